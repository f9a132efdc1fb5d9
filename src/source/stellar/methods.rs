//! The RPC's methods: what is asked and the parts of the answers that are used. Unknown fields are
//! ignored and few are required, since servers differ.

use super::config::XdrFormat;
use crate::source::{RpcClient, SourceError};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Transactions asked for at a time; the most that a server with default settings gives.
pub const TRANSACTIONS_PAGE: u32 = 200;

/// Whether the node is well and what it holds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The newest ledger.
    pub latest_ledger: u32,
    /// The oldest ledger that is kept.
    #[serde(default)]
    pub oldest_ledger: u32,
    /// How many ledgers are kept; 0 where the server does not tell.
    #[serde(default)]
    pub ledger_retention_window: u32,
}

/// Who the network is.
#[derive(Debug, Deserialize)]
pub struct Network {
    /// Its passphrase.
    pub passphrase: String,
}

/// A page of ledgers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledgers {
    /// In order.
    pub ledgers: Vec<Ledger>,
    /// The newest ledger of the server.
    pub latest_ledger: u32,
    /// The oldest ledger of the server.
    #[serde(default)]
    pub oldest_ledger: u32,
}

/// One closed ledger, its values in the base64 form or as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Its hash, hex.
    pub hash: String,
    /// Its number.
    pub sequence: u32,
    /// The XDR of its LedgerHeaderHistoryEntry, base64.
    #[serde(default)]
    pub header_xdr: String,
    /// The XDR of its LedgerCloseMeta, base64; empty where the server does not give it.
    #[serde(default)]
    pub metadata_xdr: String,
    /// The header as JSON, from servers asked for it.
    pub header_json: Option<Box<RawValue>>,
    /// The LedgerCloseMeta as JSON.
    pub metadata_json: Option<Box<RawValue>>,
}

impl Ledger {
    /// Whether the server gave the metadata, in whatever form.
    pub fn has_metadata(&self) -> bool {
        !self.metadata_xdr.is_empty() || self.metadata_json.is_some()
    }

    /// Bytes of its values, as the answer holds them.
    pub fn bytes(&self) -> usize {
        let xdr = self.header_xdr.len() + self.metadata_xdr.len();
        xdr + length(&self.header_json) + length(&self.metadata_json)
    }
}

fn length(json: &Option<Box<RawValue>>) -> usize {
    json.as_ref().map_or(0, |json| json.get().len())
}

/// A page of transactions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transactions {
    /// In order.
    pub transactions: Vec<Transaction>,
    /// Where the server would go on: a hint, see [`greater_cursor`].
    #[serde(default, deserialize_with = "text_or_number")]
    pub cursor: String,
    /// The newest ledger of the server.
    pub latest_ledger: u32,
}

/// One transaction, its values in the base64 form or as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// The ledger that it is in.
    pub ledger: u32,
    /// Its place there, from 1.
    pub application_order: u32,
    /// Its hash, hex; for a fee bump the outer one. Servers before v22 left it out.
    pub tx_hash: Option<String>,
    /// The XDR of its TransactionEnvelope, base64.
    #[serde(default)]
    pub envelope_xdr: String,
    /// The XDR of its TransactionResult, base64.
    #[serde(default)]
    pub result_xdr: String,
    /// The XDR of its TransactionMeta, base64.
    #[serde(default)]
    pub result_meta_xdr: String,
    /// The TransactionEnvelope as JSON, from servers asked for it.
    pub envelope_json: Option<Box<RawValue>>,
    /// The TransactionResult as JSON.
    pub result_json: Option<Box<RawValue>>,
    /// The TransactionMeta as JSON.
    pub result_meta_json: Option<Box<RawValue>>,
}

impl Transaction {
    /// Bytes of its values, as the answer holds them.
    pub fn bytes(&self) -> usize {
        let xdr = self.envelope_xdr.len() + self.result_xdr.len() + self.result_meta_xdr.len();
        xdr + length(&self.envelope_json) + length(&self.result_json) + length(&self.result_meta_json)
    }
}

/// Asks whether the node is well.
pub async fn health(rpc: &mut RpcClient) -> Result<Health, SourceError> {
    rpc.call("getHealth", &json!({})).await
}

/// Asks who the network is.
pub async fn network(rpc: &mut RpcClient) -> Result<Network, SourceError> {
    rpc.call("getNetwork", &json!({})).await
}

/// Asks for up to `limit` ledgers from `start`.
pub async fn ledgers(rpc: &mut RpcClient, start: u32, limit: u32, format: XdrFormat) -> Result<Ledgers, SourceError> {
    let params = json!({ "startLedger": start, "pagination": { "limit": limit } });
    rpc.call("getLedgers", &in_form(params, format)).await
}

/// Asks for a page of transactions, from a ledger or after a cursor, never both.
pub async fn transactions(
    rpc: &mut RpcClient,
    from: &TransactionsFrom,
    limit: u32,
    format: XdrFormat,
) -> Result<Transactions, SourceError> {
    let params = match from {
        TransactionsFrom::Ledger(start) => {
            json!({ "startLedger": start, "pagination": { "limit": limit } })
        }
        TransactionsFrom::After(cursor) => {
            json!({ "pagination": { "cursor": cursor.to_string(), "limit": limit } })
        }
    };
    rpc.call("getTransactions", &in_form(params, format)).await
}

/// Parameters that ask for values in this form. Base64 is what servers write unasked, and the ones
/// that know no other form know no parameter for it.
pub fn in_form(mut params: Value, format: XdrFormat) -> Value {
    if format == XdrFormat::Json {
        params["xdrFormat"] = "json".into();
    }
    params
}

/// Where a page of transactions begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionsFrom {
    /// With the first of a ledger.
    Ledger(u32),
    /// After this transaction's total order id.
    After(u64),
}

/// The server's cursor, only if it is past what was asked: at the tip servers hand out one that
/// lies before, or `0`.
pub fn greater_cursor(asked: TransactionsFrom, cursor: &str) -> Option<u64> {
    let cursor: u64 = cursor.parse().ok()?;
    let least = match asked {
        TransactionsFrom::Ledger(start) => u64::from(start) << 32,
        TransactionsFrom::After(cursor) => cursor,
    };
    (cursor > least).then_some(cursor)
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        other => Err(de::Error::custom(format!("cursor is {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_named_only_where_it_is_not_the_usual_one() {
        assert_eq!(in_form(json!({ "startLedger": 7 }), XdrFormat::Base64), json!({ "startLedger": 7 }));
        let asked = in_form(json!({ "startLedger": 7 }), XdrFormat::Json);
        assert_eq!(asked, json!({ "startLedger": 7, "xdrFormat": "json" }));
    }

    #[test]
    fn either_form_is_read() {
        let ledger: Ledger =
            serde_json::from_str(r#"{"hash":"ab","sequence":7,"headerXdr":"","headerJson":{"a":1}}"#).unwrap();
        assert_eq!((ledger.has_metadata(), ledger.bytes()), (false, 7));
        let ledger = Ledger { metadata_json: ledger.header_json, ..Ledger::default() };
        assert!(ledger.has_metadata());
        assert!(Ledger { metadata_xdr: "AAAA".into(), ..Ledger::default() }.has_metadata());
        let sent = r#"{"ledger":7,"applicationOrder":1,"envelopeXdr":"AAAA","resultJson":[],"resultMetaJson":null}"#;
        let sent: Transaction = serde_json::from_str(sent).unwrap();
        assert_eq!((sent.bytes(), sent.result_meta_json.is_none()), (6, true));
    }

    #[test]
    fn cursors_only_go_forward() {
        let at = |ledger: u64, order: u64| ledger << 32 | order << 12;
        let asked = TransactionsFrom::After(at(100, 3));
        assert_eq!(greater_cursor(asked, &at(100, 4).to_string()), Some(at(100, 4)));
        // The start of the latest ledger, the same again, nothing, and no number.
        for trap in [at(100, 0).to_string(), at(100, 3).to_string(), "0".into(), String::new(), "x".into()] {
            assert_eq!(greater_cursor(asked, &trap), None, "{trap}");
        }
        assert_eq!(greater_cursor(TransactionsFrom::Ledger(100), &at(100, 0).to_string()), None);
    }
}
