//! XDR, in either form → a closed ledger with its transactions in the order of application.

use super::{forms, methods};
use crate::event::Hash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::collections::HashMap;
use stellar_xdr::{
    GeneralizedTransactionSet, LedgerCloseMeta, LedgerHeaderHistoryEntry, Limits, ReadXdr, TransactionEnvelope,
    TransactionMeta, TransactionPhase, TransactionResult, TransactionResultPair, TxSetComponent,
};

/// What the servers themselves use; a contract's value nests at most about half as deep.
const DEPTH: u32 = 500;

/// Why something cannot be decoded, for [`crate::source::SourceError::Malformed`].
pub type Reason = String;

/// A closed ledger, as the mapping takes it.
#[derive(Debug)]
pub struct ClosedLedger {
    /// Its number.
    pub index: u32,
    /// Its hash.
    pub hash: Hash,
    /// The hash of the ledger before.
    pub parent: Hash,
    /// Unix seconds.
    pub closed_at: i64,
    /// In the order of application.
    pub transactions: Vec<AppliedTransaction>,
}

/// One transaction and what came of it.
#[derive(Debug)]
pub struct AppliedTransaction {
    /// From 1, without holes.
    pub order: u32,
    /// For a fee bump the outer one.
    pub hash: Hash,
    /// What was sent.
    pub envelope: TransactionEnvelope,
    /// What came of it.
    pub result: TransactionResult,
    /// What it changed and emitted.
    pub meta: TransactionMeta,
}

/// Decodes base64 XDR that must end where its value ends.
pub fn xdr<T: ReadXdr>(text: &str, what: &str) -> Result<T, Reason> {
    let bytes = STANDARD.decode(text).map_err(|error| format!("{what}: {error}"))?;
    T::from_xdr(&bytes, Limits { depth: DEPTH, len: bytes.len() }).map_err(|error| format!("{what}: {error}"))
}

/// A value in the form that the server gave it in; `name` is that of its member without `Xdr` or
/// `Json`.
fn either<T: ReadXdr + DeserializeOwned>(base64: &str, json: Option<&RawValue>, name: &str) -> Result<T, Reason> {
    match json {
        // A server that gives JSON leaves the other empty, if it is there at all.
        Some(json) if base64.is_empty() => forms::from_json(json, &format!("{name}Json")),
        _ => xdr(base64, &format!("{name}Xdr")),
    }
}

/// The header of a ledger, without its transactions.
pub fn header(ledger: &methods::Ledger) -> Result<ClosedLedger, Reason> {
    let entry: LedgerHeaderHistoryEntry = either(&ledger.header_xdr, ledger.header_json.as_deref(), "header")?;
    closed(ledger, &entry, Vec::new())
}

/// A whole ledger from its metadata.
pub fn metadata(ledger: &methods::Ledger, network: &[u8; 32]) -> Result<ClosedLedger, Reason> {
    let meta: LedgerCloseMeta = either(&ledger.metadata_xdr, ledger.metadata_json.as_deref(), "metadata")?;
    let (entry, envelopes, processed): (_, _, Vec<_>) = match meta {
        LedgerCloseMeta::V0(meta) => {
            let processed = meta.tx_processing.into_vec().into_iter();
            let processed = processed.map(|done| (done.result, done.tx_apply_processing)).collect();
            (meta.ledger_header, meta.tx_set.txs.into_vec(), processed)
        }
        LedgerCloseMeta::V1(meta) => {
            let processed = meta.tx_processing.into_vec().into_iter();
            let processed = processed.map(|done| (done.result, done.tx_apply_processing)).collect();
            (meta.ledger_header, envelopes(meta.tx_set), processed)
        }
        LedgerCloseMeta::V2(meta) => {
            let processed = meta.tx_processing.into_vec().into_iter();
            let processed = processed.map(|done| (done.result, done.tx_apply_processing)).collect();
            (meta.ledger_header, envelopes(meta.tx_set), processed)
        }
    };
    closed(ledger, &entry, pair(envelopes, processed, network)?)
}

/// One transaction of `getTransactions`.
pub fn transaction(sent: &methods::Transaction, network: &[u8; 32]) -> Result<AppliedTransaction, Reason> {
    let envelope: TransactionEnvelope = either(&sent.envelope_xdr, sent.envelope_json.as_deref(), "envelope")?;
    let hash = match &sent.tx_hash {
        Some(hex) => Hash::from_hex(hex).ok_or_else(|| format!("txHash `{hex}`"))?,
        None => Hash(envelope.hash(*network).map_err(|error| format!("envelope: {error}"))?),
    };
    Ok(AppliedTransaction {
        order: sent.application_order,
        hash,
        envelope,
        result: either(&sent.result_xdr, sent.result_json.as_deref(), "result")?,
        meta: either(&sent.result_meta_xdr, sent.result_meta_json.as_deref(), "resultMeta")?,
    })
}

/// Checks the header against the answer around it.
fn closed(
    ledger: &methods::Ledger,
    entry: &LedgerHeaderHistoryEntry,
    transactions: Vec<AppliedTransaction>,
) -> Result<ClosedLedger, Reason> {
    let hash = Hash(entry.hash.0);
    if entry.header.ledger_seq != ledger.sequence || Hash::from_hex(&ledger.hash) != Some(hash) {
        return Err(format!("ledger {} with the header of ledger {}", ledger.sequence, entry.header.ledger_seq));
    }
    Ok(ClosedLedger {
        index: ledger.sequence,
        hash,
        parent: Hash(entry.header.previous_ledger_hash.0),
        closed_at: i64::try_from(entry.header.scp_value.close_time.0).map_err(|_| "close time out of range")?,
        transactions,
    })
}

/// Every envelope of a ledger, in no order of use.
fn envelopes(set: GeneralizedTransactionSet) -> Vec<TransactionEnvelope> {
    let GeneralizedTransactionSet::V1(set) = set;
    let mut all = Vec::new();
    for phase in set.phases.into_vec() {
        match phase {
            TransactionPhase::V0(components) => {
                for component in components.into_vec() {
                    let TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component) = component;
                    all.extend(component.txs.into_vec());
                }
            }
            TransactionPhase::V1(parallel) => {
                let stages = parallel.execution_stages.into_vec().into_iter();
                let clusters = stages.flat_map(|stage| stage.0.into_vec());
                all.extend(clusters.flat_map(|cluster| cluster.0.into_vec()));
            }
        }
    }
    all
}

/// Gives each result its envelope. Results come in the order of application, envelopes in that of
/// the set; only the hash ties them.
fn pair(
    envelopes: Vec<TransactionEnvelope>,
    processed: Vec<(TransactionResultPair, TransactionMeta)>,
    network: &[u8; 32],
) -> Result<Vec<AppliedTransaction>, Reason> {
    if envelopes.len() != processed.len() {
        return Err(format!("{} envelopes for {} results", envelopes.len(), processed.len()));
    }
    let mut by_hash = HashMap::with_capacity(envelopes.len());
    for envelope in envelopes {
        let hash = envelope.hash(*network).map_err(|error| format!("envelope: {error}"))?;
        by_hash.insert(hash, envelope);
    }
    let applied = (1..).zip(processed).map(|(order, (pair, meta))| {
        let hash = Hash(pair.transaction_hash.0);
        let envelope = by_hash.remove(&hash.0).ok_or_else(|| format!("no envelope for transaction {hash}"))?;
        Ok(AppliedTransaction { order, hash, envelope, result: pair.result, meta })
    });
    applied.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::stellar::assets::network_hash;
    use crate::source::stellar::testing::{Chain, recorded};
    use stellar_xdr::{ScVal, ScVec, WriteXdr};

    #[test]
    fn recorded_metadata() {
        let Some(answer) = recorded("getLedgers.testnet-36233.json") else { return };
        let answer: methods::Ledgers = serde_json::from_value(answer).unwrap();
        let network = network_hash(super::super::TESTNET);
        let closed: Vec<_> = answer.ledgers.iter().map(|ledger| metadata(ledger, &network).unwrap()).collect();
        assert_eq!([closed[0].index, closed[1].index], [36_233, 36_234]);
        assert_eq!(closed[1].parent, closed[0].hash);
        assert_eq!(closed[0].closed_at, 1_734_032_457);
        let alone = header(&answer.ledgers[0]).unwrap();
        assert_eq!((alone.hash, alone.parent), (closed[0].hash, closed[0].parent));
    }

    #[test]
    fn envelopes_find_their_results_whatever_their_order() {
        let chain = Chain::new(5, 3, 4);
        let ledger: methods::Ledger = serde_json::from_value(chain.ledger(6).unwrap()).unwrap();
        let closed = metadata(&ledger, &chain.network()).unwrap();
        // The chain puts envelopes into the set backwards.
        let orders: Vec<_> = closed.transactions.iter().map(|applied| applied.order).collect();
        assert_eq!(orders, [1, 2, 3, 4]);
        for applied in &closed.transactions {
            assert_eq!(applied.envelope.hash(chain.network()).unwrap(), applied.hash.0);
        }
        assert!(metadata(&ledger, &[0; 32]).unwrap_err().contains("no envelope for transaction"));
        let other = methods::Ledger { sequence: 7, ..ledger };
        assert!(metadata(&other, &chain.network()).unwrap_err().contains("header of ledger 6"));
    }

    #[test]
    fn what_is_cut_or_too_deep_is_refused() {
        let good = ScVal::U32(7).to_xdr_base64(Limits::none()).unwrap();
        assert_eq!(xdr::<ScVal>(&good, "value"), Ok(ScVal::U32(7)));
        for bad in ["", "AAAA", "!", &good[..4], &good.repeat(2)] {
            assert!(xdr::<ScVal>(bad, "value").unwrap_err().starts_with("value: "), "{bad}");
        }
        let mut deep = ScVal::Void;
        for _ in 0..300 {
            deep = ScVal::Vec(Some(ScVec(vec![deep].try_into().unwrap())));
        }
        let deep = deep.to_xdr_base64(Limits::none()).unwrap();
        assert!(xdr::<ScVal>(&deep, "value").is_err());
    }
}
