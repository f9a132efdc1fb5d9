//! What the tests of this folder share.

use crate::event::{Body, Event, EventKind, LedgerBatch, LedgerFacts, LedgerRef, Place, SourceNumber};

/// A ledger with so many events and no break before it. Equal counts of events weigh the same.
pub fn batch(source: SourceNumber, ledger: u64, events: u32) -> LedgerBatch {
    let event = |at: u32| Event {
        id: format!("{ledger:03}-{at}").into(),
        kind: EventKind::Ledger,
        place: Place::new(at, EventKind::Ledger, 0),
        transaction_hash: None,
        subjects: Vec::new(),
        assets: Vec::new(),
        body: Body::Ledger(LedgerFacts { transaction_count: 0, successful_count: 0, operation_count: 0 }),
        native: None,
    };
    LedgerBatch {
        source,
        network: format!("test-{source}").into(),
        epoch: 0,
        ledger: LedgerRef { index: ledger, hash: None, parent: None, closed_at: 0 },
        continuity: None,
        events: (0..events).map(event).collect(),
        native: None,
    }
}
