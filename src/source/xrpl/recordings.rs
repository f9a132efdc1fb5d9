//! Recorded ledgers as batches: for the tests of the source and of the dialects.

use super::decode::{self, Answered, ClosedLedger};
use super::fees::Fees;
use super::{mapping, native, network_id, results, server};
use crate::event::{LedgerBatch, LedgerRef, Native};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Every recorded ledger.
pub const LEDGERS: [&str; 10] = [
    "2013-309936.json",
    "2013-309937.json",
    "2015-11119599.json",
    "2015-11119600.json",
    "2015-11119601.json",
    "2015-11119602.json",
    "2015-11119603.json",
    "2015-11119604.json",
    "2024-87704323.json",
    "2024-90150378.json",
];

/// The text of a recording; `None`, said, where the recordings are not there.
pub fn recorded_text(file: &str) -> Option<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/xrpl").join(file);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: no recording {}", path.display());
    }
    text
}

/// The same, read.
pub fn recorded(file: &str) -> Option<Value> {
    Some(serde_json::from_str(&recorded_text(file)?).unwrap())
}

/// The `result` of a `ledger` that a recorded ledger makes: some were recorded without what stands around it.
pub fn result(file: &str) -> Option<(u32, String)> {
    let text = recorded_text(&format!("ledgers/{file}"))?;
    let value: Value = serde_json::from_str(&text).unwrap();
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).map(|number| number as u32);
    if value.get("ledger").is_some() {
        return Some((number(&value["ledger_index"]).unwrap(), text));
    }
    let index = number(&value["ledger_index"]).unwrap();
    let around = json!({ "validated": true, "ledger_index": index, "ledger_hash": value["ledger_hash"] }).to_string();
    Some((index, format!(r#"{},"ledger":{text}}}"#, around.strip_suffix('}').unwrap())))
}

/// A recorded ledger.
pub fn closed(file: &str) -> Option<ClosedLedger> {
    let (index, result) = result(file)?;
    Some(ledger(&result, index))
}

/// The ledger in the `result` of a `ledger`.
pub fn ledger(result: &str, index: u32) -> ClosedLedger {
    let _: &RawValue = serde_json::from_str(result).unwrap();
    match decode::ledger(result, index).unwrap() {
        Answered::Ledger(ledger) => *ledger,
        Answered::NotYet => panic!("not validated"),
    }
}

/// A ledger as the source posts it.
pub fn batch_of(ledger: &ClosedLedger) -> LedgerBatch {
    let mut fees = Fees { base: 10, reserve_base: 10_000_000, reserve_increment: 2_000_000 };
    let known = |result: &str| results::known(result).unwrap();
    let events = mapping::events(ledger, &mut fees, &known).unwrap();
    let facts = native::Ledger {
        hash: ledger.hash.to_string().to_uppercase().into(),
        close_time: ledger.close_time,
        close_time_iso: ledger.close_time_iso.clone(),
        transactions: ledger.transactions.len() as u32,
        fee_base: fees.base,
        reserve_base: fees.reserve_base,
        reserve_increment: fees.reserve_increment,
        network_id: Some(0),
        validated_ledgers: server::Complete::parse("32570-32600").up_to(ledger.index).into(),
    };
    LedgerBatch {
        source: 0,
        network: network_id(0).into(),
        epoch: 0,
        ledger: LedgerRef {
            index: ledger.index.into(),
            hash: Some(ledger.hash),
            parent: Some(ledger.parent),
            closed_at: ledger.closed_at(),
        },
        continuity: None,
        events,
        native: Some(Native::new(facts, 0)),
    }
}

/// A recorded ledger as the source posts it.
pub fn batch(file: &str) -> Option<LedgerBatch> {
    Some(batch_of(&closed(file)?))
}

/// A transaction recorded alone, as the only one of a ledger of its own. Either half may have been recorded in any of
/// the forms in which servers write it.
pub fn alone(tx: &Value, meta: &Value) -> ClosedLedger {
    let mut meta = meta.clone();
    meta["TransactionIndex"] = 0.into();
    let hash = "AB".repeat(32);
    let mut tx = tx.clone();
    tx["hash"] = hash.clone().into();
    let entry = json!({ "tx_json": tx, "meta": meta, "hash": hash });
    let header = json!({
        "ledger_index": 90_000_000, "ledger_hash": hash, "parent_hash": hash, "transaction_hash": hash,
        "close_time": 776_000_000, "closed": true, "transactions": [entry],
    });
    let result = json!({ "validated": true, "ledger_index": 90_000_000, "ledger_hash": hash, "ledger": header });
    ledger(&result.to_string(), 90_000_000)
}
