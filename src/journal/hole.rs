//! Ledgers that could not be kept, and how readers are told.

use super::store::{KeptRow, kind_named};
use crate::broker::{History, Kept, StreamEntry};
use crate::event::{Continuity, ContinuityKind, LedgerBatch, LedgerRef, SourceNumber};
use std::sync::Arc;
use std::time::Instant;

/// Ledgers of a stream that were given up before they were written, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// The stream that they were of; 0 until it has a number.
    pub stream: i64,
    /// The source.
    pub source: SourceNumber,
    /// The network.
    pub network: Arc<str>,
    /// Resets of the network before them.
    pub epoch: u32,
    /// Sequence of the first and of the last.
    pub from: u64,
    /// Sequence of the last.
    pub through: u64,
    /// Index of the last.
    pub ledger: u64,
    /// Close time of the last, Unix seconds.
    pub closed_at: i64,
    /// Events of the source before what comes next.
    pub events: u64,
    /// What readers are told.
    pub continuity: Continuity,
}

impl Hole {
    /// A ledger whose row is there and cannot be read.
    pub fn of_row(row: &KeptRow, source: SourceNumber, network: Arc<str>, why: &str) -> Hole {
        let ledger = row.ledger;
        // A break of its own would be lost with it.
        let own = row.broken.as_ref().and_then(|(name, from, to)| Some((kind_named(name)?, *from, *to)));
        let (kind, from_ledger, to_ledger) = own.unwrap_or((ContinuityKind::Gap, ledger, ledger));
        let reason = format!("ledger {ledger} was not kept: {why}");
        Hole {
            stream: 0,
            source,
            network,
            epoch: row.epoch,
            from: row.sequence,
            through: row.sequence,
            ledger,
            closed_at: row.posted_at / 1000,
            events: row.first_event + row.events,
            continuity: Continuity { kind, from_ledger, to_ledger, reason },
        }
    }

    /// A ledger that was given up.
    pub fn of(entry: &StreamEntry, reason: &str) -> Hole {
        let batch = &entry.batch;
        let index = batch.ledger.index;
        let gap = Continuity {
            kind: ContinuityKind::Gap,
            from_ledger: index,
            to_ledger: index,
            reason: format!("not kept: {reason}"),
        };
        // A break of its own would be lost with it.
        let continuity = batch.continuity.as_ref().map_or(gap, |own| Continuity {
            reason: format!("{}; ledgers from {index} on were not kept: {reason}", own.reason),
            ..own.clone()
        });
        Hole {
            stream: 0,
            source: batch.source,
            network: batch.network.clone(),
            epoch: batch.epoch,
            from: entry.sequence,
            through: entry.sequence,
            ledger: index,
            closed_at: batch.ledger.closed_at,
            events: entry.first_event + u64::from(entry.len()),
            continuity,
        }
    }

    /// How many ledgers are missing.
    pub fn ledgers(&self) -> u64 {
        self.continuity.to_ledger.saturating_sub(self.continuity.from_ledger) + 1
    }

    /// Makes it reach over `next` as well, if that comes right after it and is of the same kind.
    pub fn join(&mut self, next: &Hole) -> bool {
        let follows = self.source == next.source
            && self.network == next.network
            && self.epoch == next.epoch
            && self.ledger.checked_add(1) == Some(next.ledger)
            && self.continuity.kind == ContinuityKind::Gap
            && next.continuity.kind == ContinuityKind::Gap
            && next.continuity.from_ledger == next.ledger;
        if follows {
            self.through = next.through;
            self.ledger = next.ledger;
            self.closed_at = next.closed_at;
            self.events = next.events;
            self.continuity.to_ledger = next.ledger;
        }
        follows
    }

    /// What stands in its place for a reader: no event, and the break.
    pub fn entry(&self, history: &History) -> Arc<StreamEntry> {
        let (batch, posted) = (self.batch(), Instant::now());
        history.entry_of(Kept { batch, sequence: self.through, first_event: self.events, posted })
    }

    /// The same without a place in the stream.
    pub fn batch(&self) -> LedgerBatch {
        LedgerBatch {
            source: self.source,
            network: self.network.clone(),
            epoch: self.epoch,
            ledger: LedgerRef { index: self.ledger, hash: None, parent: None, closed_at: self.closed_at },
            continuity: Some(self.continuity.clone()),
            events: Vec::new(),
            native: None,
        }
    }
}
