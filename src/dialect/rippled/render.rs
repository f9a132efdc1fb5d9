//! Writes messages: spliced from the texts that the ledger's server sent, once for each API version.

#[cfg(test)]
mod tests;

use crate::broker::Render;
use crate::dialect::frame::Frames;
use crate::event::{Continuity, EventKind, KindSet, LedgerBatch};
use crate::source::xrpl::native::{BookChange, BookChanges, Ledger, Transaction};
use serde::Serialize;

/// The two forms of requests and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// What those speak who name no version.
    One = 1,
    /// What the libraries speak.
    Two = 2,
}

impl ApiVersion {
    /// By number.
    pub const ALL: [ApiVersion; 2] = [ApiVersion::One, ApiVersion::Two];
}

/// The form of one API version.
pub struct RippledRender {
    /// Which.
    pub version: ApiVersion,
}

impl Render for RippledRender {
    fn identity(&self) -> String {
        format!("rippled/{}", self.version as u8)
    }

    fn kinds(&self) -> KindSet {
        KindSet::of(&[EventKind::Ledger, EventKind::BookChanges, EventKind::Transaction])
    }

    fn event(&self, batch: &LedgerBatch, index: usize, frames: &mut Frames) {
        let event = &batch.events[index];
        let Some(ledger) = batch.native.as_ref().and_then(|native| native.get::<Ledger>()) else { return };
        let native = event.native.as_ref();
        match event.kind {
            EventKind::Ledger => frames.text(|bytes| ledger_closed(bytes, batch.ledger.index, ledger)),
            EventKind::BookChanges => {
                let Some(changes) = native.and_then(|native| native.get::<BookChanges>()) else { return };
                frames.text(|bytes| book_changes(bytes, batch.ledger.index, ledger, changes));
            }
            EventKind::Transaction => {
                let Some(transaction) = native.and_then(|native| native.get::<Transaction>()) else { return };
                frames.text(|bytes| self.transaction(bytes, batch.ledger.index, ledger, transaction));
            }
            _ => {}
        }
    }

    /// No words: sessions that stood before a break are closed.
    fn continuity(&self, _: &LedgerBatch, _: &Continuity, _: &mut Frames) {}
}

/// What an answer to a subscription for `ledger` says of the newest one.
pub(super) fn newest_ledger(index: u64, ledger: &Ledger) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut object = Object::begin(&mut bytes);
    ledger_fields(&mut object, index, ledger);
    object.end();
    bytes
}

fn ledger_fields(object: &mut Object<'_>, index: u64, ledger: &Ledger) {
    object.field("fee_base", ledger.fee_base);
    object.field("ledger_hash", &ledger.hash);
    object.field("ledger_index", index);
    object.field("ledger_time", ledger.close_time);
    if let Some(network_id) = ledger.network_id {
        object.field("network_id", network_id);
    }
    object.field("reserve_base", ledger.reserve_base);
    object.field("reserve_inc", ledger.reserve_increment);
    object.field("validated_ledgers", &ledger.validated_ledgers);
}

fn ledger_closed(bytes: &mut Vec<u8>, index: u64, ledger: &Ledger) {
    let mut object = Object::begin(bytes);
    object.field("type", "ledgerClosed");
    ledger_fields(&mut object, index, ledger);
    object.field("txn_count", ledger.transactions);
    object.end();
}

fn book_changes(bytes: &mut Vec<u8>, index: u64, ledger: &Ledger, changes: &BookChanges) {
    let mut object = Object::begin(bytes);
    object.field("type", "bookChanges");
    object.field("validated", true);
    object.field("ledger_index", index);
    object.field("ledger_hash", &ledger.hash);
    object.field("ledger_time", ledger.close_time);
    object.name("changes");
    object.bytes.push(b'[');
    for (at, change) in changes.0.iter().enumerate() {
        if at > 0 {
            object.bytes.push(b',');
        }
        book_change(object.bytes, change);
    }
    object.bytes.push(b']');
    object.end();
}

fn book_change(bytes: &mut Vec<u8>, change: &BookChange) {
    let mut object = Object::begin(bytes);
    object.field("currency_a", &change.currency_a);
    object.field("currency_b", &change.currency_b);
    object.field("volume_a", &change.volume_a);
    object.field("volume_b", &change.volume_b);
    object.field("high", &change.high);
    object.field("low", &change.low);
    object.field("open", &change.open);
    object.field("close", &change.close);
    if let Some(domain) = &change.domain {
        object.field("domain", domain);
    }
    object.end();
}

impl RippledRender {
    fn transaction(&self, bytes: &mut Vec<u8>, index: u64, ledger: &Ledger, transaction: &Transaction) {
        let mut object = Object::begin(bytes);
        object.field("type", "transaction");
        object.field("validated", true);
        object.field("status", "closed");
        object.field("close_time_iso", &ledger.close_time_iso);
        object.field("ledger_index", index);
        object.field("ledger_hash", &ledger.hash);
        object.field("engine_result", &transaction.result);
        object.field("engine_result_code", transaction.result_code);
        object.field("engine_result_message", transaction.result_message);
        if self.version == ApiVersion::Two {
            object.field("hash", &transaction.hash);
        }
        object.name(match self.version {
            ApiVersion::One => "transaction",
            ApiVersion::Two => "tx_json",
        });
        let mut inner = Object::extend(object.bytes, &transaction.tx_json);
        if self.version == ApiVersion::One {
            if let Some(amount) = &transaction.deliver_max {
                inner.raw("Amount", amount);
            }
            inner.field("hash", &transaction.hash);
        }
        inner.field("date", ledger.close_time);
        if let Some(funds) = &transaction.owner_funds {
            inner.field("owner_funds", funds);
        }
        inner.end();
        object.raw("meta", &transaction.meta);
        object.end();
    }
}

/// An object that is being written.
struct Object<'a> {
    bytes: &'a mut Vec<u8>,
    empty: bool,
}

impl Object<'_> {
    fn begin(bytes: &mut Vec<u8>) -> Object<'_> {
        bytes.push(b'{');
        Object { bytes, empty: true }
    }

    /// The fields of `object`, the text of one, to go on from.
    fn extend<'a>(bytes: &'a mut Vec<u8>, object: &str) -> Object<'a> {
        let fields = object.trim_ascii_end();
        let fields = fields.strip_suffix('}').unwrap_or(fields).trim_ascii_end();
        bytes.extend_from_slice(fields.as_bytes());
        Object { empty: fields.ends_with('{'), bytes }
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.empty) {
            self.bytes.push(b',');
        }
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    fn field(&mut self, name: &str, value: impl Serialize) {
        self.name(name);
        serde_json::to_writer(&mut *self.bytes, &value).expect("memory takes all, and texts and numbers make JSON");
    }

    /// A value that is JSON already.
    fn raw(&mut self, name: &str, value: &str) {
        self.name(name);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    fn end(self) {
        self.bytes.push(b'}');
    }
}
