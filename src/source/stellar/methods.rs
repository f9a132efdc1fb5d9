//! The RPC's methods: what is asked and the parts of the answers that are used. Unknown fields are
//! ignored and few are required, since servers differ.

use crate::source::{RpcClient, SourceError};
use serde::{Deserialize, Deserializer, de};
use serde_json::json;

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

/// One closed ledger.
#[derive(Debug, Deserialize)]
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

/// One transaction.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// The ledger that it is in.
    pub ledger: u32,
    /// Its place there, from 1.
    pub application_order: u32,
    /// Its hash, hex; for a fee bump the outer one. Servers before v22 left it out.
    pub tx_hash: Option<String>,
    /// The TransactionEnvelope.
    pub envelope_xdr: String,
    /// The TransactionResult.
    pub result_xdr: String,
    /// The TransactionMeta.
    pub result_meta_xdr: String,
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
pub async fn ledgers(rpc: &mut RpcClient, start: u32, limit: u32) -> Result<Ledgers, SourceError> {
    rpc.call("getLedgers", &json!({ "startLedger": start, "pagination": { "limit": limit } })).await
}

/// Asks for a page of transactions, from a ledger or after a cursor, never both.
pub async fn transactions(
    rpc: &mut RpcClient,
    from: &TransactionsFrom,
    limit: u32,
) -> Result<Transactions, SourceError> {
    let params = match from {
        TransactionsFrom::Ledger(start) => {
            json!({ "startLedger": start, "pagination": { "limit": limit } })
        }
        TransactionsFrom::After(cursor) => {
            json!({ "pagination": { "cursor": cursor.to_string(), "limit": limit } })
        }
    };
    rpc.call("getTransactions", &params).await
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
