//! The filters of getEvents: what is allowed, and what matches.

use serde::Deserialize;
use stellar_strkey::Contract;
use stellar_xdr::{Limits, ReadXdr, ScVal, WriteXdr};

use super::super::encode::StoredEvent;

/// The most filters, contract ids in a filter, and topic patterns in a filter.
const MAX_ITEMS: usize = 5;
/// The most segments of a pattern, a last `**` not counted.
const MAX_SEGMENTS: usize = 4;
/// Bounds for a topic that a client sends: nesting, and bytes.
const SEGMENT_LIMITS: Limits = Limits { depth: 100, len: 64 << 10 };

/// A filter as sent. All parts that are given must match; an empty part matches everything.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Filter {
    /// `contract`, `system`, or both with a comma.
    r#type: String,
    contract_ids: Vec<String>,
    topics: Vec<Vec<String>>,
}

/// Filters that were found good; an event must match one of them, or there are none.
pub(super) struct Filters(Vec<Checked>);

struct Checked {
    contract: bool,
    system: bool,
    contract_ids: Vec<String>,
    patterns: Vec<Pattern>,
}

struct Pattern {
    segments: Vec<Segment>,
    /// Whether any number of topics may follow.
    open: bool,
}

enum Segment {
    Any,
    /// Base64 in the one form in which the server writes it.
    Exactly(String),
}

impl Filters {
    /// The error is the text of the real server.
    pub fn check(filters: Vec<Filter>) -> Result<Self, String> {
        if filters.len() > MAX_ITEMS {
            return Err(format!("maximum {MAX_ITEMS} filters per request"));
        }
        let checked = (1..).zip(filters).map(|(number, filter)| {
            Checked::new(filter).map_err(|error| match error {
                Wrong::Filter(text) => format!("filter {number} invalid: {text}"),
                Wrong::Parameters(text) => format!("invalid parameters: {text}"),
            })
        });
        checked.collect::<Result<_, _>>().map(Self)
    }

    pub fn matches(&self, event: &StoredEvent) -> bool {
        self.0.is_empty() || self.0.iter().any(|filter| filter.matches(event))
    }
}

/// Whether a filter breaks a rule, or could not even be read.
enum Wrong {
    Filter(String),
    Parameters(String),
}

impl Checked {
    fn new(filter: Filter) -> Result<Self, Wrong> {
        let mut kinds = (filter.r#type.is_empty(), filter.r#type.is_empty());
        for kind in filter.r#type.split(',').filter(|_| !filter.r#type.is_empty()) {
            match kind {
                "contract" => kinds.0 = true,
                "system" => kinds.1 = true,
                _ => {
                    return Err(Wrong::Filter(
                        "filter type invalid: if set, type must be either 'system' or 'contract'".to_owned(),
                    ));
                }
            }
        }
        if filter.contract_ids.len() > MAX_ITEMS {
            return Err(Wrong::Filter(format!("maximum {MAX_ITEMS} contract IDs per filter")));
        }
        if filter.topics.len() > MAX_ITEMS {
            return Err(Wrong::Filter(format!("maximum {MAX_ITEMS} topics per filter")));
        }
        for (number, id) in (1..).zip(&filter.contract_ids) {
            if Contract::from_string(id).is_err() {
                return Err(Wrong::Filter(format!("contract ID {number} invalid")));
            }
        }
        let patterns =
            (1..).zip(filter.topics).map(|(number, topic)| Pattern::new(number, topic)).collect::<Result<_, _>>()?;
        let (contract, system) = kinds;
        Ok(Self { contract, system, contract_ids: filter.contract_ids, patterns })
    }

    fn matches(&self, event: &StoredEvent) -> bool {
        let kind = if event.system { self.system } else { self.contract };
        kind && (self.contract_ids.is_empty() || self.contract_ids.contains(&event.contract))
            && (self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(&event.topics)))
    }
}

impl Pattern {
    fn new(number: usize, mut segments: Vec<String>) -> Result<Self, Wrong> {
        let wrong = |text: &str| Wrong::Filter(format!("topic {number} invalid: {text}"));
        if segments.is_empty() {
            return Err(wrong("topic must have at least 1 segment"));
        }
        let open = segments.last().is_some_and(|last| last == "**");
        if open {
            segments.pop();
        }
        if let Some(place) = segments.iter().position(|segment| segment == "**") {
            let rule = "wildcard '**' is only allowed as the last segment";
            return Err(wrong(&format!("segment {} invalid: {rule}", place + 1)));
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(wrong(&format!("topic cannot have more than {MAX_SEGMENTS} segments")));
        }
        let segments = segments.iter().map(|text| Segment::new(text)).collect::<Result<_, _>>()?;
        Ok(Self { segments, open })
    }

    /// Without an open end the number of topics must be equal.
    fn matches(&self, topics: &[String]) -> bool {
        let length = self.segments.len();
        let fits = if self.open { topics.len() >= length } else { topics.len() == length };
        fits && self.segments.iter().zip(topics).all(|(segment, topic)| match segment {
            Segment::Any => true,
            Segment::Exactly(wanted) => wanted == topic,
        })
    }
}

impl Segment {
    fn new(text: &str) -> Result<Self, Wrong> {
        if text == "*" {
            return Ok(Self::Any);
        }
        // Read and written again, so that equal values are equal texts.
        ScVal::from_xdr_base64(text, SEGMENT_LIMITS)
            .and_then(|value| value.to_xdr_base64(Limits::none()))
            .map(Self::Exactly)
            .map_err(|error| Wrong::Parameters(format!("topic segment {text:?}: {error}")))
    }
}
