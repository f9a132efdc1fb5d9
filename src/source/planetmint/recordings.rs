//! Blocks for tests: recorded ones and made-up ones.

use super::mapping::{self, Origin};
use super::transaction::Transaction;
use crate::event::LedgerBatch;
use serde_json::Value;
use std::collections::HashMap;

/// The text of a recording; `None`, said, where the recordings are not there.
pub fn recorded(file: &str) -> Option<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/planetmint").join(file);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: no recording {}", path.display());
    }
    text
}

/// The same, as JSON.
pub fn json(file: &str) -> Option<Value> {
    recorded(file).map(|text| serde_json::from_str(&text).unwrap())
}

/// What the recorded node answers to each path of blocks and transactions.
pub fn paths() -> Option<HashMap<String, Value>> {
    let (blocks, transactions) = (json("blocks.json")?, json("transactions.json")?);
    let blocks = blocks.as_array().unwrap().clone();
    let mut paths = HashMap::from([("/api/v1/blocks/latest".to_owned(), blocks.last().unwrap().clone())]);
    paths.extend(blocks.into_iter().map(|block| (format!("/api/v1/blocks/{}", block["height"]), block)));
    let transactions = transactions.as_array().unwrap().iter();
    let by_id = transactions.map(|it| (format!("/api/v1/transactions/{}", it["id"].as_str().unwrap()), it.clone()));
    paths.extend(by_id);
    Some(paths)
}

/// The recorded blocks 1 to 14 as the source posts them.
pub fn batches() -> Option<Vec<LedgerBatch>> {
    let paths = paths()?;
    let batch = |height: u64| {
        let block = &paths[&format!("/api/v1/blocks/{height}")];
        let ids = block["transaction_ids"].as_array().unwrap().iter();
        let texts = ids.map(|id| paths[&format!("/api/v1/transactions/{}", id.as_str().unwrap())].to_string());
        batch_of(height, block["app_hash"].as_str().unwrap(), texts)
    };
    Some((1..=14).map(batch).collect())
}

/// A block of these transactions.
pub fn batch_of(height: u64, app_hash: &str, texts: impl IntoIterator<Item = String>) -> LedgerBatch {
    let block = mapping::Block {
        height,
        hash: None,
        parent: None,
        app_hash: app_hash.to_owned(),
        time: Some(1_700_000_000),
        transactions: texts.into_iter().map(|text| Transaction::read(&text).unwrap()).collect(),
        rejected: 0,
    };
    mapping::batch(block, Origin { source: 0, network: "planetmint".into(), epoch: 0, continuity: None })
}
