//! Encodes a closed ledger once, into the strings from which every answer is joined.
//!
//! All values are base64, hex, strkeys, numbers or fixed words, so none needs JSON escaping.

use std::fmt::Write;

use jiff::Timestamp;
use stellar_xdr::{
    ContractEvent, ContractEventBody, ContractEventType, Limits, TransactionEnvelope, TransactionEvent,
    TransactionEventStage, TransactionMeta, TransactionMetaV4, TransactionResultMetaV1, TransactionResultResult,
    WriteXdr,
};

use super::ledger::Closed;
use super::world::Xdr;

/// The transaction part of the position of an event after all transactions: the largest there is.
const AFTER_ALL: u64 = 0xf_ffff;
/// The operation part of the position of an event after its transaction: the largest there is.
const AFTER_TRANSACTION: u64 = 0xfff;

/// A ledger ready to be served.
pub(super) struct Stored {
    pub sequence: u32,
    /// Unix seconds.
    pub close_time: u64,
    /// Hex.
    pub hash: String,
    /// Base64 of LedgerHeaderHistoryEntry.
    pub header: String,
    /// Base64 of LedgerCloseMeta.
    pub metadata: String,
    /// In apply order; the first has application order 1.
    pub transactions: Vec<StoredTransaction>,
    /// In the order of their ids.
    pub events: Vec<StoredEvent>,
}

pub(super) struct StoredTransaction {
    /// Hex; of a fee bump the outer hash.
    pub hash: String,
    /// JSON members from `status` to `ledger`, without braces: getTransactions and getTransaction
    /// write `createdAt` differently after them.
    pub members: String,
}

pub(super) struct StoredEvent {
    pub place: Place,
    pub system: bool,
    /// Strkey `C...`, or empty.
    pub contract: String,
    /// Base64 of each topic.
    pub topics: Vec<String>,
    /// The whole JSON object.
    pub json: String,
}

/// Where an event stands: (total order id, index in its group). Sorts in the order of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub toid: u64,
    pub index: u32,
}

impl Place {
    pub fn ledger(self) -> u64 {
        self.toid >> 32
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:019}-{:010}", self.toid, self.index)
    }
}

/// The total order id of a place in a ledger. `transaction` counts from 1 and has 20 bits,
/// `operation` 12.
pub(super) fn toid(ledger: u32, transaction: u64, operation: u64) -> u64 {
    u64::from(ledger) << 32 | transaction << 12 | operation
}

impl Stored {
    /// Approximate heap use in bytes, by which history is bounded.
    pub fn weight(&self) -> usize {
        const PER_STRING: usize = 40;
        let transactions: usize =
            self.transactions.iter().map(|t| t.hash.len() + t.members.len() + 2 * PER_STRING).sum();
        let events: usize = self
            .events
            .iter()
            .map(|e| {
                let topics: usize = e.topics.iter().map(|t| t.len() + PER_STRING).sum();
                e.json.len() + e.contract.len() + topics + 4 * PER_STRING
            })
            .sum();
        self.header.len() + self.metadata.len() + transactions + events + 4 * PER_STRING
    }
}

/// Encodes all that any method will be asked for.
pub(super) fn encode(closed: Closed) -> Xdr<Stored> {
    let header = &closed.meta.ledger_header;
    let sequence = header.header.ledger_seq;
    let close_time = header.header.scp_value.close_time.0;
    let hash = header.hash.to_string();
    let header = base64(header)?;

    let mut transactions = Vec::with_capacity(closed.envelopes.len());
    let mut collector = Collector { sequence, closed_at: rfc3339(close_time), before: 0, after: 0, events: Vec::new() };
    let applied = closed.envelopes.iter().zip(closed.meta.tx_processing.iter());
    for (order, (envelope, processing)) in (1..).zip(applied) {
        let meta = match &processing.tx_apply_processing {
            TransactionMeta::V4(meta) => meta,
            // Ledgers are closed with this version alone; see `assemble`.
            _ => return Err(stellar_xdr::Error::Invalid),
        };
        let hash = processing.result.transaction_hash.to_string();
        collector.transaction(order, &hash, succeeded(processing), meta)?;
        let members = members(sequence, order, &hash, envelope, processing, meta)?;
        transactions.push(StoredTransaction { hash, members });
    }
    let mut events = collector.events;
    events.sort_by_key(|event| event.place);
    let metadata = base64(&closed.into_meta())?;
    Ok(Stored { sequence, close_time, hash, header, metadata, transactions, events })
}

/// Gives the events of a ledger their places while it walks over the transactions.
struct Collector {
    sequence: u32,
    closed_at: String,
    /// Events before and after all transactions so far; these groups count over the whole ledger.
    before: u32,
    after: u32,
    events: Vec<StoredEvent>,
}

impl Collector {
    fn transaction(&mut self, order: u64, hash: &str, success: bool, meta: &TransactionMetaV4) -> Xdr<()> {
        let mut own_after = 0;
        for TransactionEvent { stage, event } in meta.events.iter() {
            let (transaction, operation, counter) = match stage {
                TransactionEventStage::BeforeAllTxs => (0, 0, &mut self.before),
                TransactionEventStage::AfterTx => (order, AFTER_TRANSACTION, &mut own_after),
                TransactionEventStage::AfterAllTxs => (AFTER_ALL, 0, &mut self.after),
            };
            let index = *counter;
            *counter += 1;
            let place = Place { toid: toid(self.sequence, transaction, operation), index };
            self.push(place, hash, success, event)?;
        }
        for (operation, operation_meta) in (0..).zip(meta.operations.iter()) {
            for (index, event) in (0..).zip(operation_meta.events.iter()) {
                let place = Place { toid: toid(self.sequence, order, operation), index };
                self.push(place, hash, success, event)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, place: Place, hash: &str, success: bool, event: &ContractEvent) -> Xdr<()> {
        let ContractEventBody::V0(body) = &event.body;
        let system = event.type_ == ContractEventType::System;
        let kind = if system { "system" } else { "contract" };
        let contract = event.contract_id.as_ref().map(|id| id.to_string()).unwrap_or_default();
        let topics = body.topics.iter().map(base64).collect::<Xdr<Vec<_>>>()?;
        let (ledger, closed_at) = (self.sequence, &self.closed_at);
        let transaction = place.toid >> 12 & AFTER_ALL;
        let operation = place.toid & AFTER_TRANSACTION;
        let mut json = format!(
            r#"{{"type":"{kind}","ledger":{ledger},"ledgerClosedAt":"{closed_at}","contractId":"{contract}","id":"{place}","operationIndex":{operation},"transactionIndex":{transaction},"txHash":"{hash}","inSuccessfulContractCall":{success}"#
        );
        if !topics.is_empty() {
            json.push_str(r#","topic":"#);
            push_list(&mut json, &topics);
        }
        json.push_str(r#","value":""#);
        json.push_str(&base64(&body.data)?);
        json.push_str("\"}");
        self.events.push(StoredEvent { place, system, contract, topics, json });
        Ok(())
    }
}

fn members(
    ledger: u32,
    order: u64,
    hash: &str,
    envelope: &TransactionEnvelope,
    processing: &TransactionResultMetaV1,
    meta: &TransactionMetaV4,
) -> Xdr<String> {
    let status = if succeeded(processing) { "SUCCESS" } else { "FAILED" };
    let fee_bump = matches!(envelope, TransactionEnvelope::TxFeeBump(_));
    let envelope = base64(envelope)?;
    let result = base64(&processing.result.result)?;
    let result_meta = base64(&processing.tx_apply_processing)?;
    let mut json = format!(
        r#""status":"{status}","txHash":"{hash}","applicationOrder":{order},"feeBump":{fee_bump},"envelopeXdr":"{envelope}","resultXdr":"{result}","resultMetaXdr":"{result_meta}""#
    );
    if !meta.diagnostic_events.is_empty() {
        let diagnostics = meta.diagnostic_events.iter().map(base64).collect::<Xdr<Vec<_>>>()?;
        json.push_str(r#","diagnosticEventsXdr":"#);
        push_list(&mut json, &diagnostics);
    }
    json.push_str(r#","events":{"#);
    if !meta.events.is_empty() {
        let events = meta.events.iter().map(base64).collect::<Xdr<Vec<_>>>()?;
        json.push_str(r#""transactionEventsXdr":"#);
        push_list(&mut json, &events);
    }
    if !meta.operations.is_empty() {
        if !meta.events.is_empty() {
            json.push(',');
        }
        json.push_str(r#""contractEventsXdr":["#);
        for (index, operation) in meta.operations.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            let events = operation.events.iter().map(base64).collect::<Xdr<Vec<_>>>()?;
            push_list(&mut json, &events);
        }
        json.push(']');
    }
    // Writing into a String cannot fail.
    let _ = write!(json, r#"}},"ledger":{ledger}"#);
    Ok(json)
}

fn succeeded(processing: &TransactionResultMetaV1) -> bool {
    matches!(
        processing.result.result.result,
        TransactionResultResult::TxSuccess(_) | TransactionResultResult::TxFeeBumpInnerSuccess(_)
    )
}

fn base64(value: &impl WriteXdr) -> Xdr<String> {
    value.to_xdr_base64(Limits::none())
}

fn push_list(json: &mut String, items: &[String]) {
    json.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push('"');
        json.push_str(item);
        json.push('"');
    }
    json.push(']');
}

/// `2026-01-31T12:00:00Z`.
fn rfc3339(unix: u64) -> String {
    let time = i64::try_from(unix).ok().and_then(|s| Timestamp::from_second(s).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_real_server() {
        // From a recorded answer: fee charge, operation and fee refund of one ledger.
        let place = |transaction, index| Place { toid: toid(2081, transaction, 0), index };
        assert_eq!(place(0, 0).to_string(), "0000008937826942976-0000000000");
        assert_eq!(place(1, 1).to_string(), "0000008937826947072-0000000001");
        assert_eq!(place(AFTER_ALL, 0).to_string(), "0000008942121906176-0000000000");
    }

    #[test]
    fn times_are_written_in_whole_seconds() {
        assert_eq!(rfc3339(1_751_748_266), "2025-07-05T20:44:26Z");
    }
}
