//! XDR, in either form → a closed ledger with its transactions in the order of application.

use super::{forms, methods};
use crate::event::Hash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use stellar_xdr::{
    GeneralizedTransactionSet, LedgerCloseMeta, LedgerHeaderHistoryEntry, Limits, ReadXdr, TransactionEnvelope,
    TransactionMeta, TransactionPhase, TransactionResult, TransactionResultPair, TxSetComponent, WriteXdr,
};

/// What the servers themselves use; a contract's value nests at most about half as deep.
const DEPTH: u32 = 500;
/// For writing what was read.
const LIMITS: Limits = Limits { depth: DEPTH, len: usize::MAX };

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
    /// What the header says of all their results, see [`check_results`].
    pub results_hash: Hash,
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
    let closed = closed(ledger, &entry, pair(envelopes, processed, network)?)?;
    check_results(&closed)?;
    Ok(closed)
}

/// One transaction of `getTransactions`.
pub fn transaction(sent: &methods::Transaction, network: &[u8; 32]) -> Result<AppliedTransaction, Reason> {
    let envelope: TransactionEnvelope = either(&sent.envelope_xdr, sent.envelope_json.as_deref(), "envelope")?;
    let hash = Hash(envelope.hash(*network).map_err(|error| format!("envelope: {error}"))?);
    if let Some(told) = sent.tx_hash.as_ref().filter(|told| Hash::from_hex(told) != Some(hash)) {
        return Err(format!("txHash `{told}` of a transaction whose hash is {hash}"));
    }
    Ok(AppliedTransaction {
        order: sent.application_order,
        hash,
        envelope,
        result: either(&sent.result_xdr, sent.result_json.as_deref(), "result")?,
        meta: either(&sent.result_meta_xdr, sent.result_meta_json.as_deref(), "resultMeta")?,
    })
}

/// Whether a ledger has all its transactions, each with its own result: the header holds the hash of
/// their results.
pub fn check_results(ledger: &ClosedLedger) -> Result<(), Reason> {
    // The first ledger of a network was made without transactions, and without this hash.
    if ledger.transactions.is_empty() && ledger.results_hash == Hash([0; 32]) {
        return Ok(());
    }
    // The XDR of a TransactionResultSet, without a copy of the results.
    let mut hasher = Sha256::new();
    hasher.update((ledger.transactions.len() as u32).to_be_bytes());
    for applied in &ledger.transactions {
        hasher.update(applied.hash.0);
        hasher.update(applied.result.to_xdr(LIMITS).map_err(|error| format!("result: {error}"))?);
    }
    let found = Hash(hasher.finalize().into());
    if found != ledger.results_hash {
        return Err(format!(
            "the {} results of ledger {} are not those of its header: their hash is {found} and not {}",
            ledger.transactions.len(),
            ledger.index,
            ledger.results_hash
        ));
    }
    Ok(())
}

/// Checks the header against its hash and the answer around it.
fn closed(
    ledger: &methods::Ledger,
    entry: &LedgerHeaderHistoryEntry,
    transactions: Vec<AppliedTransaction>,
) -> Result<ClosedLedger, Reason> {
    let hash = Hash(entry.hash.0);
    if entry.header.ledger_seq != ledger.sequence || Hash::from_hex(&ledger.hash) != Some(hash) {
        return Err(format!("ledger {} with the header of ledger {}", ledger.sequence, entry.header.ledger_seq));
    }
    let header = entry.header.to_xdr(LIMITS).map_err(|error| format!("header: {error}"))?;
    let found = Hash(Sha256::digest(header).into());
    if found != hash {
        return Err(format!("the header of ledger {} has the hash {found} and not {hash}", ledger.sequence));
    }
    Ok(ClosedLedger {
        index: ledger.sequence,
        hash,
        parent: Hash(entry.header.previous_ledger_hash.0),
        closed_at: i64::try_from(entry.header.scp_value.close_time.0).map_err(|_| "close time out of range")?,
        transactions,
        results_hash: Hash(entry.header.tx_set_result_hash.0),
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
mod tests;
