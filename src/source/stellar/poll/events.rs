//! The events mode: pages of `getEvents` become whole ledgers.
//!
//! A ledger is delivered once everything up to its end was searched; what a page holds of a later
//! one is asked for again. There are no hashes here, so no ledger is tied to the one before.

use super::{MARGIN, StellarRpc};
use crate::event::{Hash, LedgerBatch, LedgerRef};
use crate::source::stellar::emitted::{self, Emitted, EventId, From};
use crate::source::stellar::mapping;
use crate::source::{Next, SourceError};
use std::collections::VecDeque;

/// Pages of one ledger; more than any ledger can fill with the smallest page.
const PAGES: usize = 20_000;
/// The smallest page that is asked for, where a server refuses larger ones.
pub(super) const SMALLEST_PAGE: u32 = 10;

/// Ledgers that were searched to their end.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In order; those without events are not listed.
    ledgers: VecDeque<(u32, Vec<Emitted>)>,
    /// The last one searched.
    complete: u32,
    /// When the newest ledger of the server closed, with its number.
    tip: (u32, i64),
}

impl Found {
    pub(super) fn has(&self, due: u32) -> bool {
        self.complete >= due
    }

    pub(super) fn clear(&mut self) {
        *self = Found::default();
    }
}

impl StellarRpc {
    /// Searches from `due` on, at least to its end; false: the server does not have it yet.
    pub(super) async fn search(&mut self, due: u32) -> Result<bool, SourceError> {
        self.found.clear();
        let mut from = From::Ledger(due);
        let mut events: Vec<Emitted> = Vec::new();
        let mut last: Option<EventId> = None;
        let (mut bytes, limit) = (0, self.config.max_response.bytes());
        for _ in 0..PAGES {
            let filters = self.wanted.params(!self.topics_refused);
            let (page, form) = (self.page, self.form);
            let answer = match emitted::events(self.rpc().await?, from, page, &filters, form).await {
                Ok(answer) => answer,
                Err(error @ SourceError::TooLarge { .. }) => {
                    self.page = (self.page / 2).max(SMALLEST_PAGE);
                    return Err(error);
                }
                Err(error) if matches!(error.rpc_code(), Some(-32600 | -32602)) => {
                    return self.refused(due, error).await.map(|()| false);
                }
                Err(error) => return Err(error),
            };
            if answer.oldest_ledger > answer.latest_ledger {
                return Err(self.malformed("getEvents", "the oldest ledger is after the latest".into()));
            }
            if answer.latest_ledger < due {
                self.newest = answer.latest_ledger;
                return Ok(false);
            }
            self.newest = self.newest.max(answer.latest_ledger);
            if answer.oldest_ledger > 0 {
                self.oldest = answer.oldest_ledger;
                self.watch_edge(due);
                if due < self.oldest {
                    // Read right at the edge, a page may lack what is being dropped.
                    self.lost(due)?;
                    return Ok(false);
                }
            }
            let searched = answer.searched(from);
            if !answer.events.is_sorted_by_key(|event| event.id)
                || answer.events.last().is_some_and(|event| event.id.ledger() > answer.latest_ledger)
            {
                return Err(self.malformed("getEvents", "events out of order".into()));
            }
            // Repeats are dropped by the position.
            let least = emitted::start_of(due);
            for event in answer.events {
                if event.id >= least && last.is_none_or(|last| event.id > last) {
                    bytes += event.bytes();
                    last = Some(event.id);
                    events.push(event);
                }
            }
            if searched.complete >= due {
                // A server drops ledgers while it reads, and a page from its edge may lack some in silence.
                if due.saturating_sub(answer.oldest_ledger) < MARGIN && self.health().await?.oldest_ledger > due {
                    self.lost(due)?;
                    return Ok(false);
                }
                self.refusals = 0;
                self.not_lost();
                self.found.tip = (answer.latest_ledger, answer.latest_ledger_close_time);
                self.keep(events, searched.complete);
                return Ok(true);
            }
            if bytes > limit {
                return Err(SourceError::TooLarge { url: self.shown(), method: "getEvents".into(), limit });
            }
            match searched.next {
                Some(next) => from = next,
                None => return Err(self.malformed("getEvents", format!("ledger {due} does not end"))),
            }
        }
        Err(self.malformed("getEvents", format!("ledger {due} has no end")))
    }

    fn keep(&mut self, events: Vec<Emitted>, complete: u32) {
        self.found.complete = complete;
        for event in events.into_iter().filter(|event| event.id.ledger() <= complete) {
            match self.found.ledgers.back_mut() {
                Some((ledger, events)) if *ledger == event.id.ledger() => events.push(event),
                _ => self.found.ledgers.push_back((event.id.ledger(), vec![event])),
            }
        }
    }

    /// The due ledger as a batch, which may be empty.
    pub(super) fn deliver_found(&mut self, due: u32) -> Result<Next, SourceError> {
        let events = match self.found.ledgers.front() {
            Some((ledger, _)) if *ledger == due => {
                self.found.ledgers.pop_front().map_or_else(Vec::new, |(_, found)| found)
            }
            _ => Vec::new(),
        };
        let closed_at = match events.first() {
            Some(event) => event.closed_at,
            None if self.found.tip.0 == due && self.found.tip.1 > 0 => self.found.tip.1,
            // Nobody tells when a ledger without events closed; not before the one before it.
            None => self.closed_at,
        };
        let Some(network) = &mut self.network else {
            return Err(self.malformed("getNetwork", "no network known".into()));
        };
        let mapped = mapping::emitted(due, &events, &self.wanted, &mut network.contracts);
        let id = network.id.clone();
        let events = match mapped {
            Ok(events) => events,
            Err(reason) => return Err(self.malformed("getEvents", reason)),
        };
        let ledger = LedgerRef { index: due.into(), hash: None::<Hash>, parent: None, closed_at };
        let batch = LedgerBatch {
            source: self.context.source,
            network: id,
            epoch: self.epoch,
            ledger,
            continuity: self.announce.take(),
            events,
            native: None,
        };
        self.closed_at = closed_at;
        self.moved_past(due, None);
        Ok(Next::Batch(Box::new(batch)))
    }
}

#[cfg(test)]
mod tests;
