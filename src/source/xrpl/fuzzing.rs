//! One answer of a server → a batch, without a server and without a position: for `tests/fuzz`, which reaches only
//! what is public. No part of the interface.

use super::decode::{self, Answered, Reason};
use super::fees::Fees;
use super::{mapping, native};
use crate::event::{LedgerBatch, LedgerRef, Native};
use serde::Deserialize;

/// The fees that go on before every ledger.
const FEES: Fees = Fees { base: 10, reserve_base: 1_000_000, reserve_increment: 200_000 };

#[derive(Deserialize)]
struct Named {
    ledger_index: Option<u32>,
}

/// What polls make of the `result` of a `ledger`; `None`: that ledger is not closed yet.
pub fn read(result: &str) -> Result<Option<LedgerBatch>, Reason> {
    let named: Named = serde_json::from_str(result).map_err(|error| error.to_string())?;
    let asked = named.ledger_index.ok_or("no ledger_index beside the ledger")?;
    let Answered::Ledger(closed) = decode::ledger(result, asked)? else { return Ok(None) };
    let mut fees = FEES;
    let events = mapping::events(&closed, &mut fees, &|_| (0, ""))?;
    let facts = native::Ledger {
        hash: closed.hash.to_string().to_uppercase().into(),
        close_time: closed.close_time,
        close_time_iso: closed.close_time_iso.clone(),
        transactions: closed.transactions.len() as u32,
        fee_base: fees.base,
        reserve_base: fees.reserve_base,
        reserve_increment: fees.reserve_increment,
        network_id: None,
        validated_ledgers: asked.to_string().into(),
    };
    let ledger = LedgerRef {
        index: closed.index.into(),
        hash: Some(closed.hash),
        parent: Some(closed.parent),
        closed_at: closed.closed_at(),
    };
    let (network, native) = ("xrpl-0".into(), Some(Native::new(facts, 0)));
    Ok(Some(LedgerBatch { source: 0, network, epoch: 0, ledger, continuity: None, events, native }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds that are refused at once would teach the fuzzer nothing.
    #[test]
    fn the_seeds_of_the_fuzz_target_are_read() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/seeds/xrpl_answers");
        for file in std::fs::read_dir(seeds).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            assert!(read(&text).unwrap().unwrap().events.len() > 2);
        }
    }
}
