//! Writes calls, deploys and logs as MaticVigil's clients read them.

mod fields;
#[cfg(test)]
mod tests;

use super::config::BigIntegers;
use crate::broker::Render;
use crate::dialect::frame::Frames;
use crate::event::{Continuity, Event, EventKind, KindSet, LedgerBatch};
use crate::source::evm::native;
use fields::{Amount, EventData, Hex, InputJson, Param};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// The largest message that the usual Python client takes unless it is told otherwise.
const LARGEST_TAKEN: usize = 1 << 20;

/// MaticVigil's form of writing.
pub struct MaticVigilRender {
    big_integers: BigIntegers,
    /// A message that is too large for some was told about.
    warned: AtomicBool,
}

impl MaticVigilRender {
    /// With this form of integers.
    pub fn new(big_integers: BigIntegers) -> MaticVigilRender {
        MaticVigilRender { big_integers, warned: AtomicBool::new(false) }
    }

    fn write(&self, frames: &mut Frames, batch: &LedgerBatch, event: &Event, message: &impl Serialize) {
        let mut length = 0;
        frames.text(|bytes| {
            let before = bytes.len();
            serde_json::to_writer(&mut *bytes, message).expect("memory takes all, and the keys are texts");
            length = bytes.len() - before;
        });
        if length > LARGEST_TAKEN && !self.warned.swap(true, Ordering::Relaxed) {
            log::warn!(network:% = batch.network, event:% = event.id, bytes = length;
                "a message of more than 1 MiB: Python clients refuse it unless they set max_size; further ones are not told");
        }
    }

    fn transaction(&self, batch: &LedgerBatch, event: &Event, frames: &mut Frames) {
        let native = event.native.as_ref().and_then(|native| native.get::<native::Transaction>());
        let (Some(transaction), Some(hash)) = (native, event.transaction_hash) else { return };
        // Only what a contract calls an integer is a parameter.
        let amount = |digits| Amount { digits, big_integers: self.big_integers.of_amounts() };
        let message = TransactionMessage {
            kind: if event.kind == EventKind::Deploy { "otm" } else { "contractmon" },
            hash: Hex(hash),
            from: &transaction.from,
            input: &transaction.input,
            input_json: InputJson { transaction, big_integers: self.big_integers },
            to: transaction.to.as_deref(),
            gas_used: transaction.gas_used,
            gas: transaction.gas,
            gas_price: amount(&transaction.gas_price),
            value: amount(&transaction.value),
            status: transaction.successful.into(),
        };
        self.write(frames, batch, event, &message);
    }

    fn log(&self, batch: &LedgerBatch, event: &Event, frames: &mut Frames) {
        let native = event.native.as_ref().and_then(|native| native.get::<native::Log>());
        let (Some(log), Some(hash)) = (native, event.transaction_hash) else { return };
        let message = EventMessage {
            kind: "event",
            hash: Hex(hash),
            log_index: log.index,
            block_number: batch.ledger.index,
            transaction_index: event.place.transaction,
            contract: &log.contract,
            name: match &log.meaning {
                native::LogMeaning::Event { name, .. } => name,
                // A reserved word: no real event has this name, and receivers take one without for a transaction.
                native::LogMeaning::Unknown { .. } => "anonymous",
            },
            data: EventData { meaning: &log.meaning, big_integers: self.big_integers },
            number: log.number,
            time: batch.ledger.closed_at,
        };
        self.write(frames, batch, event, &message);
    }
}

impl Render for MaticVigilRender {
    fn identity(&self) -> String {
        format!("maticvigil/1 big_integers={}", self.big_integers.name())
    }

    fn kinds(&self) -> KindSet {
        KindSet::of(&[EventKind::Transaction, EventKind::Deploy, EventKind::ContractEvent])
    }

    fn event(&self, batch: &LedgerBatch, index: usize, frames: &mut Frames) {
        let event = &batch.events[index];
        match event.kind {
            EventKind::Transaction | EventKind::Deploy => self.transaction(batch, event, frames),
            EventKind::ContractEvent => self.log(batch, event, frames),
            _ => {}
        }
    }

    fn continuity(&self, _: &LedgerBatch, _: &Continuity, _: &mut Frames) {}
}

#[derive(Serialize)]
struct TransactionMessage<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "txHash")]
    hash: Hex,
    #[serde(rename = "fromAddress")]
    from: &'a str,
    input: &'a str,
    #[serde(rename = "inputJSON")]
    input_json: InputJson<'a>,
    #[serde(rename = "toAddress")]
    to: Option<&'a str>,
    #[serde(rename = "gasUsed")]
    gas_used: u64,
    gas: u64,
    #[serde(rename = "gasPrice")]
    gas_price: Amount<'a>,
    value: Amount<'a>,
    /// A number: receivers test its truth.
    status: u8,
}

#[derive(Serialize)]
struct EventMessage<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "txHash")]
    hash: Hex,
    #[serde(rename = "logIndex")]
    log_index: u64,
    #[serde(rename = "blockNumber")]
    block_number: u64,
    #[serde(rename = "transactionIndex")]
    transaction_index: u32,
    contract: &'a str,
    #[serde(rename = "event_name")]
    name: &'a str,
    #[serde(rename = "event_data")]
    data: EventData<'a>,
    #[serde(rename = "maticvigil_event_id")]
    number: u64,
    #[serde(rename = "ctime")]
    time: i64,
}

/// An argument of a call.
#[derive(Serialize)]
struct Argument<'a> {
    param_name: &'a str,
    param_type: &'a str,
    value: Param<'a>,
}
