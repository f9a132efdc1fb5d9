//! A closed ledger → its events, in ledger order.

use super::assets::AssetContracts;
use super::contract_events::{self, AroundAll};
use super::decode::{ClosedLedger, Reason};
use super::keys::Names;
use super::transaction::{self, View};
use super::{payments, trades};
use crate::event::{Body, Event, EventKind, LedgerFacts, Place};

/// The total order id of an operation: `ledger << 32 | transaction << 12 | operation`.
pub fn toid(ledger: u32, transaction: u32, operation: u32) -> u64 {
    u64::from(ledger) << 32 | u64::from(transaction) << 12 | u64::from(operation)
}

/// Every event of a ledger, the ledger's own first.
pub fn events(ledger: &ClosedLedger, contracts: &mut AssetContracts) -> Result<Vec<Event>, Reason> {
    let mut names = Names::default();
    let mut around = AroundAll::default();
    let mut events = Vec::new();
    let mut facts = LedgerFacts { transaction_count: 0, successful_count: 0, operation_count: 0 };
    for applied in &ledger.transactions {
        let view = View::new(ledger.index, applied);
        facts.transaction_count += 1;
        facts.successful_count += u32::from(view.successful());
        facts.operation_count += view.operations.len() as u32;
        events.push(transaction::event(&view, &mut names));
        let transfers = contract_events::append(&view, &mut around, contracts, &mut names, &mut events)?;
        payments::append(&view, &transfers, &mut names, &mut events);
        trades::append(&view, &mut names, &mut events);
    }
    events.push(Event {
        id: format!("{}-ledger", ledger.index).into(),
        kind: EventKind::Ledger,
        place: Place::new(0, EventKind::Ledger, 0),
        transaction_hash: None,
        subjects: Vec::new(),
        assets: Vec::new(),
        body: Body::Ledger(facts),
        native: None,
    });
    // The events around all transactions lie in the metadata of single ones.
    events.sort_by_key(|event| event.place);
    debug_assert!(events.windows(2).all(|pair| pair[0].place < pair[1].place), "two events at one place");
    Ok(events)
}

mod emitted;

pub use emitted::events as emitted;

#[cfg(test)]
mod tests;
