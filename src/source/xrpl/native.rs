//! What the rippled dialect needs of a ledger beyond the facts that all families share.
//!
//! [`crate::event::LedgerBatch::native`] is a [`Ledger`]; the native form of a transaction's event is a
//! [`Transaction`], and that of the book changes' event a [`BookChanges`]. Texts of JSON are as the server sent
//! them: unknown fields and transactions of later protocols included.

use crate::event::NativeForm;
use crate::event::stored::{Corrupt, NativeKind, Reader, Stored, Writer, stored_struct};

/// How the forms are read from where ledgers are kept.
pub const NATIVES: &[NativeKind] =
    &[NativeKind::of::<Ledger>(), NativeKind::of::<Transaction>(), NativeKind::of::<BookChanges>()];

/// The header of a validated ledger, and what the server told beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The ledger's hash, upper-case hex.
    pub hash: Box<str>,
    /// Close time, seconds since 2000-01-01 UTC.
    pub close_time: u32,
    /// The same as `YYYY-MM-DDTHH:MM:SSZ`.
    pub close_time_iso: Box<str>,
    /// Transactions, failed ones included.
    pub transactions: u32,
    /// The fee of a reference transaction, drops.
    pub fee_base: u64,
    /// What an account must hold, drops.
    pub reserve_base: u64,
    /// What it must hold besides for each object that it owns, drops.
    pub reserve_increment: u64,
    /// The network's number, where the server tells one.
    pub network_id: Option<u32>,
    /// The server's `complete_ledgers` as last seen, never ending before this ledger.
    pub validated_ledgers: Box<str>,
}

/// A transaction of a validated ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The transaction's hash, upper-case hex.
    pub hash: Box<str>,
    /// The transaction as API version 2 shows it, a JSON object, without `hash`, `date`, `owner_funds` and
    /// anything that says where it is; a Payment has `DeliverMax` and no `Amount`.
    pub tx_json: Box<str>,
    /// A Payment's `DeliverMax`, JSON: what API version 1 repeats as `Amount`.
    pub deliver_max: Option<Box<str>>,
    /// What the account could still spend of an offer's `TakerGets`, decimal text, where the server told it.
    pub owner_funds: Option<Box<str>>,
    /// The metadata, a JSON object, with `delivered_amount` where it belongs.
    pub meta: Box<str>,
    /// `TransactionResult`, such as `tesSUCCESS`.
    pub result: Box<str>,
    /// Its number.
    pub result_code: i32,
    /// What the server says about it; empty for a code that is newer than our table.
    pub result_message: &'static str,
}

impl Transaction {
    /// The transaction with its metadata, one JSON object.
    pub fn json(&self) -> String {
        format!(r#"{{"hash":"{}","tx_json":{},"meta":{}}}"#, self.hash, self.tx_json, self.meta)
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let optional = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let texts = self.hash.len() + self.tx_json.len() + self.meta.len() + self.result.len();
        texts + optional(&self.deliver_max) + optional(&self.owner_funds)
    }
}

/// The exchange rates of a ledger's trades, by pair of assets, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BookChanges(pub Vec<BookChange>);

impl BookChanges {
    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let texts = |change: &BookChange| {
            let all = [
                &change.currency_a,
                &change.currency_b,
                &change.volume_a,
                &change.volume_b,
                &change.high,
                &change.low,
                &change.open,
                &change.close,
            ];
            let domain = change.domain.as_ref().map_or(0, |domain| domain.len());
            size_of::<BookChange>() + domain + all.iter().map(|text| text.len()).sum::<usize>()
        };
        self.0.iter().map(texts).sum()
    }
}

/// What the offers between two assets did in one ledger. Amounts and rates are decimal texts as the server writes
/// them; rates are A for one B.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookChange {
    /// `XRP_drops` if either side is XRP, else the smaller `issuer/CODE`.
    pub currency_a: Box<str>,
    /// The other side.
    pub currency_b: Box<str>,
    /// How much of A moved.
    pub volume_a: Box<str>,
    /// How much of B moved.
    pub volume_b: Box<str>,
    /// The highest rate.
    pub high: Box<str>,
    /// The lowest rate.
    pub low: Box<str>,
    /// The first rate, in the order of execution.
    pub open: Box<str>,
    /// The last rate.
    pub close: Box<str>,
    /// The permissioned domain of the offers, 64 hex digits.
    pub domain: Option<Box<str>>,
}

impl NativeForm for Ledger {
    const NAME: &'static str = "xrpl.ledger";
}
impl NativeForm for Transaction {
    const NAME: &'static str = "xrpl.transaction";
}
impl NativeForm for BookChanges {
    const NAME: &'static str = "xrpl.book_changes";
}

stored_struct!(Ledger {
    hash,
    close_time,
    close_time_iso,
    transactions,
    fee_base,
    reserve_base,
    reserve_increment,
    network_id,
    validated_ledgers,
});
stored_struct!(Transaction { hash, tx_json, deliver_max, owner_funds, meta, result, result_code, result_message });
impl Stored for BookChanges {
    fn write(&self, writer: &mut Writer) {
        self.0.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<BookChanges, Corrupt> {
        Stored::read(reader).map(BookChanges)
    }
}
stored_struct!(BookChange { currency_a, currency_b, volume_a, volume_b, high, low, open, close, domain });
