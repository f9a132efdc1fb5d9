//! The transactions of a block → a batch, without a node and without a position: for `tests/fuzz`, which reaches only
//! what is public. No part of the interface.

use super::mapping::{self, Block, Origin};
use super::transaction::{Reason, Transaction};
use crate::event::LedgerBatch;
use serde_json::value::RawValue;

/// What polls make of a block with these transactions, a JSON list of them.
pub fn read(transactions: &str) -> Result<LedgerBatch, Reason> {
    let texts: Vec<&RawValue> = serde_json::from_str(transactions).map_err(|error| error.to_string())?;
    let transactions = texts.iter().map(|text| Transaction::read(text.get())).collect::<Result<_, _>>()?;
    let (app_hash, time) = ("AB".to_owned(), Some(0));
    let block = Block { height: 7, hash: None, parent: None, app_hash, time, transactions, rejected: 0 };
    Ok(mapping::batch(block, Origin { source: 0, network: "planetmint".into(), epoch: 0, continuity: None }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Seeds that are refused at once would teach the fuzzer nothing.
    #[test]
    fn the_seeds_of_the_fuzz_target_are_read() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/seeds/planetmint_answers");
        for file in std::fs::read_dir(seeds).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            assert!(read(&text).unwrap().events.len() > 3, "{text}");
        }
    }

    #[test]
    fn a_transaction_that_comes_twice_is_told_once() {
        let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/seeds/planetmint_answers/1.json");
        let text = std::fs::read_to_string(seed).unwrap();
        let mut transactions: Vec<Value> = serde_json::from_str(&text).unwrap();
        transactions.push(transactions[0].clone());
        let [once, twice] = [text, Value::from(transactions).to_string()].map(|text| read(&text).unwrap());
        let ids = |batch: &LedgerBatch| batch.events.iter().map(|event| event.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&once), ids(&twice));
    }
}
