//! getEvents.

use serde::Deserialize;

use super::super::encode::{Place, StoredEvent, toid};
use super::super::history::Network;
use super::filters::{Filter, Filters};
use super::json::event_as_json;
use super::methods::{Format, Pagination};
use super::{Answer, Failure, INVALID_PARAMS, INVALID_REQUEST};

/// Events on a page: most, and if nothing is asked for.
const MAX_LIMIT: u64 = 10_000;
const DEFAULT_LIMIT: u64 = 100;

/// Ledgers that one call looks at.
const SCAN: u64 = 10_000;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Params {
    start_ledger: u32,
    /// Exclusive; 0 stands for none.
    end_ledger: u32,
    filters: Option<Vec<Filter>>,
    pagination: Option<Pagination>,
    xdr_format: Option<String>,
}

pub(super) fn events(network: &Network, params: Params) -> Answer {
    let invalid = |message: String| Failure::new(INVALID_PARAMS, message);
    let (cursor, limit) = match params.pagination {
        Some(page) => (page.cursor, page.limit),
        None => (None, 0),
    };
    let cursor = match cursor {
        None => None,
        Some(text) => {
            Some(parse(&text).ok_or_else(|| invalid(format!("invalid parameters: invalid event id {text}")))?)
        }
    };
    let format = Format::of(params.xdr_format.as_deref())?;
    if cursor.is_some() && (params.start_ledger != 0 || params.end_ledger != 0) {
        return Err(invalid("ledger ranges and cursor cannot both be set".to_owned()));
    }
    if cursor.is_none() && params.start_ledger == 0 {
        return Err(invalid("startLedger must be positive".to_owned()));
    }
    if limit > MAX_LIMIT {
        return Err(invalid(format!("limit must not exceed {MAX_LIMIT}")));
    }
    let limit = if limit == 0 { DEFAULT_LIMIT } else { limit } as usize;
    let filters = Filters::check(params.filters.unwrap_or_default()).map_err(invalid)?;

    let view = network.view();
    let (oldest, latest) = (view.oldest(), view.latest());
    let start = cursor.map_or(u64::from(params.start_ledger), Place::ledger);
    if !(u64::from(oldest.sequence)..=u64::from(latest.sequence)).contains(&start) {
        return Err(Failure::new(
            INVALID_REQUEST,
            format!("startLedger must be within the ledger range: {} - {}", oldest.sequence, latest.sequence),
        ));
    }
    let mut end = (start + SCAN).min(u64::from(latest.sequence) + 1);
    if params.end_ledger != 0 {
        end = end.min(u64::from(params.end_ledger));
    }
    let found: Vec<&StoredEvent> = view
        .from(start)
        .take_while(|ledger| u64::from(ledger.sequence) < end)
        .flat_map(|ledger| &ledger.events)
        .filter(|event| cursor.is_none_or(|cursor| event.place > cursor))
        .filter(|event| filters.matches(event))
        .take(limit)
        .collect();
    let next = match found.last() {
        Some(last) if found.len() == limit => last.place,
        // Ledger numbers are 32 bits wide, and so is `end - 1`.
        _ => end_of(end.saturating_sub(1) as u32),
    };
    let items = match format {
        Format::Base64 => found.iter().map(|event| event.json.clone()).collect::<Vec<_>>(),
        Format::Json => found.iter().map(|event| event_as_json(&event.json)).collect::<Result<_, _>>()?,
    };
    Ok(format!(
        r#"{{"events":[{}],"cursor":"{next}","latestLedger":{},"oldestLedger":{},"latestLedgerCloseTime":"{}","oldestLedgerCloseTime":"{}"}}"#,
        items.join(","),
        latest.sequence,
        oldest.sequence,
        latest.close_time,
        oldest.close_time
    ))
}

/// Behind everything in a ledger.
fn end_of(ledger: u32) -> Place {
    Place { toid: toid(ledger, 0xf_ffff, 0xfff), index: u32::MAX }
}

/// An event id, `<total order id>-<index>`.
fn parse(text: &str) -> Option<Place> {
    let (toid, index) = text.split_once('-')?;
    // The total order id is a signed number that is never negative.
    let toid = u64::try_from(toid.parse::<i64>().ok()?).ok()?;
    Some(Place { toid, index: index.parse().ok()? })
}
