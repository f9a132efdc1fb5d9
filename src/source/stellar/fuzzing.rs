//! One answer of a node → batches, without a node and without a position: for `tests/fuzz`, which
//! reaches only what is public. No part of the interface.

use super::assets::{AssetContracts, network_hash};
use super::decode::{self, ClosedLedger, Reason};
use super::emitted::{Emitted, Events, Wanted};
use super::methods::{Health, Ledgers, Network, Transactions};
use super::{mapping, network_id};
use crate::event::{Event, Hash, LedgerBatch, LedgerRef};
use serde::Deserialize;

/// What polls make of the `result` of one answer to `method`: for each ledger in it its batch, or why
/// that cannot be used.
pub fn read(method: &str, result: &str, passphrase: &str) -> Result<Vec<Result<LedgerBatch, Reason>>, Reason> {
    let reader = Reader { passphrase, network: network_hash(passphrase) };
    match method {
        "getLedgers" => Ok(reader.ledgers(&parse(result)?)),
        "getTransactions" => Ok(reader.transactions(&parse(result)?).into_iter().collect()),
        "getEvents" => reader.events(parse(result)?),
        "getHealth" => parse::<Health>(result).map(|_| Vec::new()),
        "getNetwork" => parse::<Network>(result).map(|network| {
            network_id(&network.passphrase);
            Vec::new()
        }),
        other => Err(format!("no method `{other}`")),
    }
}

/// A closed ledger as the source posts it.
pub(super) fn batch(passphrase: &str, closed: &ClosedLedger) -> Result<LedgerBatch, Reason> {
    let events = mapping::events(closed, &mut AssetContracts::new(network_hash(passphrase)))?;
    let ledger = LedgerRef {
        index: closed.index.into(),
        hash: Some(closed.hash),
        parent: Some(closed.parent),
        closed_at: closed.closed_at,
    };
    Ok(of(passphrase, ledger, events))
}

fn of(passphrase: &str, ledger: LedgerRef, events: Vec<Event>) -> LedgerBatch {
    let network = network_id(passphrase).into();
    LedgerBatch { source: 0, network, epoch: 0, ledger, continuity: None, events, native: None }
}

fn parse<'a, T: Deserialize<'a>>(result: &'a str) -> Result<T, Reason> {
    serde_json::from_str(result).map_err(|error| error.to_string())
}

struct Reader<'a> {
    passphrase: &'a str,
    network: [u8; 32],
}

impl Reader<'_> {
    fn ledgers(&self, answer: &Ledgers) -> Vec<Result<LedgerBatch, Reason>> {
        let closed = answer.ledgers.iter().map(|ledger| match ledger.has_metadata() {
            true => decode::metadata(ledger, &self.network),
            false => decode::header(ledger),
        });
        closed.map(|closed| batch(self.passphrase, &closed?)).collect()
    }

    /// The ledger of the first one, if the answer holds all up to some place.
    fn transactions(&self, answer: &Transactions) -> Option<Result<LedgerBatch, Reason>> {
        let index = answer.transactions.first()?.ledger;
        let of_ledger = (1..).zip(answer.transactions.iter().take_while(|sent| sent.ledger == index));
        let transactions = of_ledger.map(|(order, sent)| match sent.application_order == order {
            true => decode::transaction(sent, &self.network),
            false => Err(format!("transaction {order} of ledger {index} is missing")),
        });
        let transactions = match transactions.collect() {
            Ok(transactions) => transactions,
            Err(reason) => return Some(Err(reason)),
        };
        let [hash, parent, results_hash] = [Hash([2; 32]), Hash([1; 32]), Hash([0; 32])];
        let closed = ClosedLedger { index, hash, parent, closed_at: 0, transactions, results_hash };
        Some(batch(self.passphrase, &closed))
    }

    fn events(&self, answer: Events) -> Result<Vec<Result<LedgerBatch, Reason>>, Reason> {
        if !answer.events.is_sorted_by_key(|event| event.id) {
            return Err("events out of order".into());
        }
        let mut events = answer.events;
        events.dedup_by_key(|event| event.id);
        let ledgers = events.chunk_by(|event, next| event.id.ledger() == next.id.ledger());
        Ok(ledgers.map(|events| self.emitted(events)).collect())
    }

    fn emitted(&self, events: &[Emitted]) -> Result<LedgerBatch, Reason> {
        let (index, closed_at) = events.first().map_or((0, 0), |event| (event.id.ledger(), event.closed_at));
        let contracts = &mut AssetContracts::new(self.network);
        let events = mapping::emitted(index, events, &Wanted::default(), contracts)?;
        Ok(of(self.passphrase, LedgerRef { index: index.into(), hash: None, parent: None, closed_at }, events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds that are refused at once would teach the fuzzer nothing.
    #[test]
    fn the_seeds_of_the_fuzz_targets_are_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/seeds/stellar_answers");
        for (file, method, events) in [
            ("health.json", "getHealth", 0),
            ("network.json", "getNetwork", 0),
            ("ledgers_base64.json", "getLedgers", 14),
            ("ledgers_json.json", "getLedgers", 14),
            ("ledgers_without_metadata.json", "getLedgers", 2),
            ("transactions_base64.json", "getTransactions", 11),
            ("transactions_json.json", "getTransactions", 11),
            ("events_base64.json", "getEvents", 6),
            ("events_json.json", "getEvents", 3),
            ("events_old.json", "getEvents", 2),
            ("wide_integers.json", "getEvents", 1),
        ] {
            let answer = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
            let batches = read(method, &answer, "Ledgercast Devnet ; 2026").unwrap();
            let found: usize = batches.iter().map(|batch| batch.as_ref().unwrap().events.len()).sum();
            assert_eq!(found, events, "{file}");
        }
    }
}
