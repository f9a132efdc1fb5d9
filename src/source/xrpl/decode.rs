//! The answer to `ledger` → a ledger that is whole, or the reason why it is not taken.

use super::json::{Fields, object, text};
use crate::event::Hash;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Why an answer is not taken.
pub type Reason = String;

/// Unix time of 2000-01-01, where the ledger's clock begins.
pub const EPOCH: i64 = 946_684_800;
/// From this ledger on the metadata of a partial payment tells what was delivered.
const DELIVERED_FROM: u32 = 4_594_095;
/// Closed after this, it does so as well.
const DELIVERED_AFTER: u32 = 446_000_000;
/// The root of an empty tree of transactions.
const NO_TRANSACTIONS: [u8; 32] = [0; 32];
/// What older servers and other methods put among a transaction's own fields.
const NO_FIELDS: [&str; 11] = [
    "hash",
    "meta",
    "metaData",
    "owner_funds",
    "date",
    "ledger_index",
    "ledger_hash",
    "inLedger",
    "validated",
    "ctid",
    "close_time_iso",
];

/// A ledger, whole, its transactions in the order of their execution.
#[derive(Debug, Clone)]
pub struct ClosedLedger {
    /// Its number.
    pub index: u32,
    /// Its hash.
    pub hash: Hash,
    /// The hash of the one before it.
    pub parent: Hash,
    /// Seconds since 2000.
    pub close_time: u32,
    /// The same as `YYYY-MM-DDTHH:MM:SSZ`.
    pub close_time_iso: Box<str>,
    /// In order.
    pub transactions: Vec<Applied>,
    /// All drops that there are after it, where the header tells.
    pub total_coins: Option<u64>,
    /// Bytes of the answer.
    pub bytes: usize,
}

impl ClosedLedger {
    /// What its transactions paid in fees, which are burnt.
    pub fn burnt(&self) -> u64 {
        self.transactions.iter().fold(0, |sum, applied| sum.saturating_add(applied.fee))
    }

    /// Its close time as Unix seconds.
    pub fn closed_at(&self) -> i64 {
        i64::from(self.close_time) + EPOCH
    }
}

/// A transaction and what it did.
#[derive(Debug, Clone)]
pub struct Applied {
    /// `TransactionIndex`, from 0.
    pub index: u32,
    /// Its hash.
    pub hash: Hash,
    /// Drops that it offered as its fee.
    pub fee: u64,
    /// Its own fields as API version 2 shows them.
    pub tx_json: Box<str>,
    /// A Payment's `DeliverMax`.
    pub deliver_max: Option<Box<str>>,
    /// What the account can still spend, as the server tells it.
    pub owner_funds: Option<Box<str>>,
    /// The metadata, with `delivered_amount` where it belongs.
    pub meta: Box<str>,
    /// `TransactionResult`
    pub result: Box<str>,
}

/// What an answer brought.
#[derive(Debug)]
pub enum Answered {
    /// The ledger.
    Ledger(Box<ClosedLedger>),
    /// The number's ledger is open or not validated yet.
    NotYet,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    validated: bool,
    #[serde(default, deserialize_with = "index")]
    ledger_index: Option<u32>,
    #[serde(borrow)]
    ledger_hash: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ledger: Header<'a>,
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(default, deserialize_with = "index")]
    ledger_index: Option<u32>,
    #[serde(borrow)]
    ledger_hash: Option<Cow<'a, str>>,
    #[serde(borrow)]
    parent_hash: Option<Cow<'a, str>>,
    #[serde(borrow)]
    transaction_hash: Option<Cow<'a, str>>,
    close_time: Option<u32>,
    #[serde(borrow)]
    close_time_iso: Option<Cow<'a, str>>,
    closed: Option<bool>,
    #[serde(borrow)]
    total_coins: Option<Cow<'a, str>>,
    #[serde(borrow)]
    transactions: Option<Vec<&'a RawValue>>,
}

/// A number, or a text of one.
fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form<'a> {
        Number(u32),
        Text(#[serde(borrow)] Cow<'a, str>),
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::Number(number) => Some(number),
        Form::Text(text) => text.parse().ok(),
    })
}

/// Reads the `result` of a `ledger` that was asked for by its number.
pub fn ledger(result: &str, asked: u32) -> Result<Answered, Reason> {
    let answer: Answer = serde_json::from_str(result).map_err(|error| error.to_string())?;
    let Answer { validated, ledger_index, ledger_hash, ledger: header } = answer;
    if !validated || header.closed == Some(false) {
        return Ok(Answered::NotYet);
    }
    for index in [ledger_index, header.ledger_index] {
        match index {
            Some(index) if index == asked => {}
            Some(other) => return Err(format!("ledger {other} came for ledger {asked}")),
            None => return Err("no ledger_index".to_owned()),
        }
    }
    let hash_of = |name: &str, text: Option<&str>| -> Result<Hash, Reason> {
        text.and_then(Hash::from_hex).ok_or_else(|| format!("no {name}"))
    };
    let hash = hash_of("ledger_hash", header.ledger_hash.as_deref())?;
    if hash != hash_of("ledger_hash beside the ledger", ledger_hash.as_deref())? {
        return Err("two different hashes of one ledger".to_owned());
    }
    let close_time = header.close_time.ok_or("no close_time")?;
    let sent = header.transactions.ok_or("no transactions")?;
    let root = hash_of("transaction_hash", header.transaction_hash.as_deref())?;
    if sent.is_empty() != (root.0 == NO_TRANSACTIONS) {
        return Err(format!("{} transactions, and transaction_hash {root}", sent.len()));
    }
    let mut transactions = Vec::with_capacity(sent.len());
    for entry in sent {
        transactions.push(transaction(entry.get(), asked, close_time)?);
    }
    // Servers sort by hash.
    transactions.sort_by_key(|applied| applied.index);
    if let Some((place, applied)) = (0..).zip(&transactions).find(|(place, applied)| applied.index != *place) {
        return Err(format!("transaction {place} is missing or twice: {} came in its place", applied.index));
    }
    Ok(Answered::Ledger(Box::new(ClosedLedger {
        index: asked,
        hash,
        parent: hash_of("parent_hash", header.parent_hash.as_deref())?,
        close_time,
        close_time_iso: match header.close_time_iso {
            Some(iso) => iso.into(),
            None => iso(close_time),
        },
        transactions,
        total_coins: header.total_coins.and_then(|coins| coins.parse().ok()),
        bytes: result.len(),
    })))
}

/// A close time as people write it.
fn iso(close_time: u32) -> Box<str> {
    let time = jiff::Timestamp::from_second(i64::from(close_time) + EPOCH).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.to_string().into()
}

/// One entry of the array, in the form of either API version.
fn transaction(entry: &str, ledger: u32, close_time: u32) -> Result<Applied, Reason> {
    let entry = Fields::of(entry).ok_or("a transaction that is no object; was `expand` understood?")?;
    let own = match entry.get("tx_json") {
        Some(own) => Fields::of(own.get()).ok_or("tx_json that is no object")?,
        None => entry.clone(),
    };
    let hash = entry.text("hash").or_else(|| own.text("hash")).ok_or("a transaction without hash")?;
    let hash = Hash::from_hex(&hash).ok_or("a transaction whose hash is none")?;
    let meta = entry.get("meta").or_else(|| entry.get("metaData")).ok_or("a transaction without metadata")?;
    let meta = Fields::of(meta.get()).ok_or("metadata that is no object")?;
    let index = meta.number("TransactionIndex").and_then(|index| u32::try_from(index).ok());
    let result = meta.text("TransactionResult").ok_or("metadata without TransactionResult")?;
    let kind = own.text("TransactionType").ok_or("a transaction without TransactionType")?;
    let payment = kind == "Payment";
    let amount = own.get("Amount");
    let deliver_max = own.get("DeliverMax").or(amount).filter(|_| payment).map(|raw| raw.get());
    let kept = own.0.iter().filter(|(name, _)| !NO_FIELDS.contains(&&**name));
    let kept = kept.filter(|(name, _)| !payment || (name != "Amount" && name != "DeliverMax"));
    let members = kept.map(|(name, value)| (&**name, value.get()));
    let tx_json = object(members.chain(deliver_max.map(|amount| ("DeliverMax", amount))));
    let delivers = matches!(&*kind, "Payment" | "CheckCash" | "AccountDelete") && result == "tesSUCCESS";
    let meta_json = match meta.get("delivered_amount") {
        None if delivers => {
            let told = ledger >= DELIVERED_FROM || close_time > DELIVERED_AFTER;
            let sent = amount.or_else(|| own.get("DeliverMax")).filter(|_| told);
            let delivered = meta.get("DeliveredAmount").or(sent);
            meta.with("delivered_amount", delivered.map_or(r#""unavailable""#, |amount| amount.get()))
        }
        _ => object(meta.0.iter().map(|(name, value)| (&**name, value.get()))),
    };
    let owner_funds = entry.get("owner_funds").or_else(|| own.get("owner_funds")).and_then(text);
    Ok(Applied {
        index: index.ok_or("metadata without TransactionIndex")?,
        hash,
        fee: own.number("Fee").unwrap_or(0),
        tx_json,
        deliver_max: deliver_max.map(Into::into),
        owner_funds: owner_funds.map(Into::into),
        meta: meta_json,
        result: result.into(),
    })
}

#[cfg(test)]
mod tests;
