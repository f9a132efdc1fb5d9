//! `getEvents`: what is asked, the parts of the answer that are used, and which events were asked for.
//!
//! Servers of all versions: indexes come from the event's id, the cursor is a hint that may be missing.

use super::config::{EventFilter, XdrFormat};
use super::decode::{self, Reason};
use super::forms;
use super::mapping::toid;
use super::methods::in_form;
use crate::source::{RpcClient, SourceError};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::str::FromStr;
use stellar_xdr::{
    ContractEvent, ContractEventBody, ContractEventType, ContractEventV0, ContractId, ExtensionPoint, ScVal,
};

/// Topics of one event, as text; networks allow some 16 KiB in all.
const LONGEST_TOPICS: usize = 1024 * 1024;
/// Ledgers that one call looks at, at most.
pub const SEARCHED_AT_A_TIME: u32 = 10_000;

/// A page of events.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Events {
    /// In the order of their ids.
    pub events: Vec<Emitted>,
    /// Where the server would go on: an event's id, or the end of what it searched.
    pub cursor: Option<String>,
    /// The newest ledger of the server; nothing later was searched.
    pub latest_ledger: u32,
    /// The oldest ledger of the server; 0 where it does not tell.
    #[serde(default)]
    pub oldest_ledger: u32,
    /// When the newest ledger closed, Unix seconds; 0 where the server does not tell.
    #[serde(default, deserialize_with = "number_or_text")]
    pub latest_ledger_close_time: i64,
}

/// One event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Emitted {
    /// `contract` or `system`; before v23 also `diagnostic`.
    pub r#type: String,
    /// Names the event and tells its place.
    pub id: EventId,
    /// When its ledger closed, Unix seconds; RFC 3339 in the answer.
    #[serde(rename = "ledgerClosedAt", deserialize_with = "time")]
    pub closed_at: i64,
    #[serde(default)]
    contract_id: Option<String>,
    /// The transaction, 64 hex digits; the oldest servers left it out.
    pub tx_hash: Option<String>,
    /// Whether its call succeeded; where it is left out, it did.
    pub in_successful_contract_call: Option<bool>,
    topic: Option<Box<RawValue>>,
    value: Option<Box<RawValue>>,
    topic_json: Option<Box<RawValue>>,
    value_json: Option<Box<RawValue>>,
}

/// The id of an event: total order id and index, which sort as its text does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// `ledger << 32 | transaction << 12 | operation`.
    pub toid: u64,
    /// Its index in its group.
    pub index: u32,
}

impl EventId {
    /// The ledger part.
    pub fn ledger(self) -> u32 {
        (self.toid >> 32) as u32
    }

    /// The transaction part; 0 and 1,048,575 are no transactions.
    pub fn transaction(self) -> u32 {
        (self.toid >> 12) as u32 & ((1 << 20) - 1)
    }

    /// The operation part.
    pub fn operation(self) -> u32 {
        self.toid as u32 & ((1 << 12) - 1)
    }

    /// The last ledger that was searched to its end, if this is an end of a search.
    fn end_of_search(self) -> Option<u32> {
        (self.index == u32::MAX && self.toid as u32 == u32::MAX).then(|| self.ledger())
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:019}-{:010}", self.toid, self.index)
    }
}

impl FromStr for EventId {
    type Err = Reason;

    fn from_str(text: &str) -> Result<EventId, Reason> {
        let parts = text.split_once('-').and_then(|(toid, index)| Some((toid.parse().ok()?, index.parse().ok()?)));
        let (toid, index) = parts.ok_or_else(|| format!("`{text}` is no event id"))?;
        Ok(EventId { toid, index })
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let wrong = |value: &Value| serde::de::Error::custom(format!("`{value}` is no time"));
    match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse().map_err(|_| wrong(&Value::String(text))),
        value => value.as_i64().ok_or_else(|| wrong(&value)),
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time: jiff::Timestamp = text.parse().map_err(|_| serde::de::Error::custom("ledgerClosedAt is no time"))?;
    Ok(time.as_second())
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the first event of a ledger.
    Ledger(u32),
    /// After this id.
    After(EventId),
}

impl From {
    fn ledger(self) -> u32 {
        match self {
            From::Ledger(ledger) => ledger,
            From::After(id) => id.ledger(),
        }
    }
}

/// How a search goes on after a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Searched {
    /// Every event up to the end of this ledger has been given.
    pub complete: u32,
    /// Where the next page begins; `None`: the server has nothing more.
    pub next: Option<From>,
}

impl Events {
    /// What the page says about the search that began at `from`. Cursors only move forward.
    pub fn searched(&self, from: From) -> Searched {
        let last = self.events.last().map(|event| event.id);
        let reached = |id: &EventId| match from {
            From::Ledger(ledger) => id.ledger() >= ledger,
            From::After(after) => *id > after,
        };
        let cursor = self.cursor.as_ref().and_then(|cursor| cursor.parse().ok()).filter(reached);
        let end = cursor.and_then(EventId::end_of_search);
        let complete = match (end, cursor.max(last.filter(reached))) {
            (Some(end), _) => end,
            // Events of the ledger of the last one may still come.
            (None, Some(last)) => last.ledger().saturating_sub(1),
            // Nothing found, and no word of how far was searched: as far as one call goes.
            (None, None) => from.ledger().saturating_add(SEARCHED_AT_A_TIME - 1),
        };
        let next = cursor.max(last.filter(reached)).map(From::After);
        Searched { complete: complete.min(self.latest_ledger), next }
    }
}

impl Emitted {
    /// Bytes that it took in the answer, about.
    pub fn bytes(&self) -> usize {
        let raw = |raw: &Option<Box<RawValue>>| raw.as_ref().map_or(0, |raw| raw.get().len());
        200 + raw(&self.topic) + raw(&self.topic_json) + raw(&self.value) + raw(&self.value_json)
    }

    /// A list of topics. Its text is bounded first, since small items take much more memory than text.
    fn list<'a, T: Deserialize<'a>>(&self, json: &'a RawValue) -> Result<Vec<T>, Reason> {
        if json.get().len() > LONGEST_TOPICS {
            return Err(format!("the topics of event {} have more than {LONGEST_TOPICS} bytes", self.id));
        }
        let topics: Option<Vec<T>> = serde_json::from_str(json.get()).map_err(|error| format!("topic: {error}"))?;
        Ok(topics.unwrap_or_default())
    }

    /// The event itself; `None` for a diagnostic one.
    pub fn decode(&self) -> Result<Option<ContractEvent>, Reason> {
        let type_ = match self.r#type.as_str() {
            "contract" => ContractEventType::Contract,
            "system" => ContractEventType::System,
            "diagnostic" => return Ok(None),
            other => return Err(format!("event {} of type `{}`", self.id, crate::source::cut(other.to_owned()))),
        };
        let contract_id = match self.contract_id.as_deref() {
            None | Some("") => None,
            Some(id) => Some(ContractId::from_str(id).map_err(|_| format!("contractId of event {}", self.id))?),
        };
        let topics = match (&self.topic_json, &self.topic) {
            (Some(json), _) => {
                let topics: Vec<&RawValue> = self.list(json)?;
                topics.into_iter().map(forms::value_from_json).collect::<Result<Vec<_>, _>>()?
            }
            (None, Some(xdr)) => {
                let topics: Vec<&str> = self.list(xdr)?;
                topics.into_iter().map(|topic| decode::xdr(topic, "topic")).collect::<Result<Vec<_>, _>>()?
            }
            (None, None) => Vec::new(),
        };
        let data = match (&self.value_json, &self.value) {
            (Some(json), _) => forms::value_from_json(json)?,
            (None, Some(value)) => decode::xdr(&base64_of(value)?, "value")?,
            (None, None) => return Err(format!("event {} without a value", self.id)),
        };
        let topics = topics.try_into().map_err(|_| format!("too many topics in event {}", self.id))?;
        let body = ContractEventBody::V0(ContractEventV0 { topics, data });
        Ok(Some(ContractEvent { ext: ExtensionPoint::V0, contract_id, type_, body }))
    }
}

/// A text, or as the oldest servers wrote it, `{"xdr": text}`.
fn base64_of(value: &RawValue) -> Result<String, Reason> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Object { xdr: String },
    }
    match serde_json::from_str(value.get()) {
        Ok(Form::Text(xdr) | Form::Object { xdr }) => Ok(xdr),
        Err(error) => Err(format!("value: {error}")),
    }
}

/// Asks for a page of events.
pub async fn events(
    rpc: &mut RpcClient,
    from: From,
    limit: u32,
    filters: &[Value],
    form: XdrFormat,
) -> Result<Events, SourceError> {
    let mut params = match from {
        From::Ledger(start) => json!({ "startLedger": start, "pagination": { "limit": limit } }),
        From::After(id) => json!({ "pagination": { "cursor": id.to_string(), "limit": limit } }),
    };
    if !filters.is_empty() {
        params["filters"] = filters.into();
    }
    rpc.call("getEvents", &in_form(params, form)).await
}

/// Which events are wanted: judged here whatever the server understands, so that its version does
/// not decide what clients get.
#[derive(Debug, Default)]
pub struct Wanted {
    filters: Vec<Filter>,
    asked: Vec<EventFilter>,
    /// Whether filters with and without contracts or types stand side by side: servers before v27.1.1
    /// lose events then, so none is sent.
    mixed: bool,
}

#[derive(Debug)]
struct Filter {
    types: Vec<ContractEventType>,
    contracts: Vec<ContractId>,
    topics: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    /// `None` is any one value.
    segments: Vec<Option<ScVal>>,
    /// Whether more values may follow.
    any_more: bool,
}

impl Wanted {
    /// Reads the settings.
    pub fn new(asked: &[EventFilter]) -> Result<Wanted, Reason> {
        let filters = asked.iter().map(Filter::new).collect::<Result<Vec<_>, _>>()?;
        let narrow = asked.iter().filter(|filter| filter.r#type.is_some() || !filter.contract_ids.is_empty()).count();
        Ok(Wanted { mixed: narrow != 0 && narrow != asked.len(), filters, asked: asked.to_vec() })
    }

    /// The filters as the RPC takes them; without topics for servers that do not understand them.
    pub fn params(&self, with_topics: bool) -> Vec<Value> {
        // A filter that is nothing but topics would be empty without them: then nothing is filtered there.
        let empty = |filter: &EventFilter| filter.r#type.is_none() && filter.contract_ids.is_empty();
        if self.mixed || !with_topics && self.asked.iter().any(empty) {
            return Vec::new();
        }
        let param = |filter: &EventFilter| {
            let mut param = serde_json::Map::new();
            if let Some(types) = &filter.r#type {
                param.insert("type".into(), types.replace(' ', "").into());
            }
            if !filter.contract_ids.is_empty() {
                param.insert("contractIds".into(), filter.contract_ids.clone().into());
            }
            if with_topics && !filter.topics.is_empty() {
                param.insert("topics".into(), filter.topics.clone().into());
            }
            Value::Object(param)
        };
        self.asked.iter().map(param).collect()
    }

    /// Whether any filter has topics.
    pub fn has_topics(&self) -> bool {
        self.asked.iter().any(|filter| !filter.topics.is_empty())
    }

    /// Whether an event of this type and contract can be wanted. Asked first, so that what nobody wants
    /// need not be understood.
    pub fn may_match(&self, event: &Emitted) -> bool {
        let fits = |filter: &EventFilter| {
            let types = filter.r#type.as_ref();
            types.is_none_or(|types| types.split(',').any(|kind| kind.trim() == event.r#type))
                && (filter.contract_ids.is_empty()
                    || event.contract_id.as_ref().is_some_and(|id| filter.contract_ids.contains(id)))
        };
        self.asked.is_empty() || self.asked.iter().any(fits)
    }

    /// Whether the event is wanted.
    pub fn matches(&self, event: &ContractEvent) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.matches(event))
    }
}

impl Filter {
    fn new(asked: &EventFilter) -> Result<Filter, Reason> {
        let kind = |name: &str| match name.trim() {
            "contract" => Ok(ContractEventType::Contract),
            "system" => Ok(ContractEventType::System),
            other => Err(format!("type `{other}` is neither `contract` nor `system`")),
        };
        let contract = |id: &String| ContractId::from_str(id).map_err(|_| format!("`{id}` is no contract"));
        Ok(Filter {
            types: asked.r#type.iter().flat_map(|types| types.split(',')).map(kind).collect::<Result<_, _>>()?,
            contracts: asked.contract_ids.iter().map(contract).collect::<Result<_, _>>()?,
            topics: asked.topics.iter().map(|pattern| Pattern::new(pattern)).collect::<Result<_, _>>()?,
        })
    }

    fn matches(&self, event: &ContractEvent) -> bool {
        let ContractEventBody::V0(body) = &event.body;
        (self.types.is_empty() || self.types.contains(&event.type_))
            && (self.contracts.is_empty() || event.contract_id.as_ref().is_some_and(|id| self.contracts.contains(id)))
            && (self.topics.is_empty() || self.topics.iter().any(|pattern| pattern.matches(&body.topics)))
    }
}

impl Pattern {
    fn new(segments: &[String]) -> Result<Pattern, Reason> {
        let any_more = segments.last().is_some_and(|last| last == "**");
        let segments = &segments[..segments.len() - usize::from(any_more)];
        let segment = |text: &String| match text.as_str() {
            "*" => Ok(None),
            value => decode::xdr(value, "topics").map(Some),
        };
        Ok(Pattern { segments: segments.iter().map(segment).collect::<Result<_, _>>()?, any_more })
    }

    fn matches(&self, topics: &[ScVal]) -> bool {
        let length =
            if self.any_more { topics.len() >= self.segments.len() } else { topics.len() == self.segments.len() };
        let fits = |(wanted, topic): (&Option<ScVal>, &ScVal)| wanted.as_ref().is_none_or(|wanted| wanted == topic);
        length && self.segments.iter().zip(topics).all(fits)
    }
}

/// The position before every event of a ledger.
pub fn start_of(ledger: u32) -> EventId {
    EventId { toid: toid(ledger, 0, 0), index: 0 }
}

#[cfg(test)]
mod tests;
