//! Ledgers as batches, recorded ones and made-up ones: for the tests of the dialects.

pub use super::assets::{contract_of, network_hash, parse};
pub use super::decode::AppliedTransaction;
pub use super::testing::{account, envelope, native_event, recorded, succeeded};

use super::decode::{self, ClosedLedger};
use super::{fuzzing, methods};
use crate::event::{Hash, LedgerBatch};
use serde_json::Value;

/// The passphrases of the networks that recordings are of.
pub const PUBNET: &str = super::PUBNET;
pub const TESTNET: &str = super::TESTNET;

/// A closed ledger as the source posts it.
fn batch(passphrase: &str, closed: ClosedLedger) -> LedgerBatch {
    fuzzing::batch(passphrase, &closed).unwrap()
}

/// A ledger of these transactions.
pub fn ledger_of(passphrase: &str, index: u32, closed_at: i64, transactions: Vec<AppliedTransaction>) -> LedgerBatch {
    let [hash, parent, results_hash] = [2, 1, 0].map(|byte| Hash([byte; 32]));
    batch(passphrase, ClosedLedger { index, hash, parent, closed_at, transactions, results_hash })
}

/// The ledgers of a recorded `getLedgers`, with its answer.
pub fn ledgers(file: &str, passphrase: &str) -> Option<(Value, Vec<LedgerBatch>)> {
    let answer = recorded(file)?;
    let page: methods::Ledgers = serde_json::from_value(answer.clone()).unwrap();
    let network = network_hash(passphrase);
    let closed = page.ledgers.iter().map(|ledger| decode::metadata(ledger, &network).unwrap());
    Some((answer, closed.map(|closed| batch(passphrase, closed)).collect()))
}

/// The transactions of a recorded `getTransactions`, which are of one ledger, with its answer.
pub fn transactions(file: &str, passphrase: &str) -> Option<(Value, LedgerBatch)> {
    let answer = recorded(file)?;
    let page: methods::Transactions = serde_json::from_value(answer.clone()).unwrap();
    let network = network_hash(passphrase);
    let applied = page.transactions.iter().map(|sent| decode::transaction(sent, &network).unwrap()).collect();
    let closed_at = answer["transactions"][0]["createdAt"].as_i64().unwrap();
    Some((answer, ledger_of(passphrase, page.transactions[0].ledger, closed_at, applied)))
}

/// The one transaction of a recorded Horizon answer, with that.
pub fn horizon_transaction(file: &str, passphrase: &str, order: u32) -> Option<(Value, LedgerBatch)> {
    let record = recorded(file)?;
    let text = |key: &str| record[key].as_str().unwrap().to_owned();
    let sent = methods::Transaction {
        ledger: record["ledger"].as_u64().unwrap() as u32,
        application_order: order,
        tx_hash: None,
        envelope_xdr: text("envelope_xdr"),
        result_xdr: text("result_xdr"),
        result_meta_xdr: text("result_meta_xdr"),
        ..methods::Transaction::default()
    };
    let applied = decode::transaction(&sent, &network_hash(passphrase)).unwrap();
    let closed_at: jiff::Timestamp = text("created_at").parse().unwrap();
    Some((record, ledger_of(passphrase, sent.ledger, closed_at.as_second(), vec![applied])))
}
