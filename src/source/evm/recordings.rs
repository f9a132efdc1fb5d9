//! Blocks as batches, from what was recorded: for the tests of the dialects.

use super::config::Config;
use super::tokens::Tokens;
use super::verify::{self, Whole};
use super::watch::Watch;
use super::{mapping, wire};
use crate::event::{LedgerBatch, LedgerRef};
use serde_json::{Value, json};

/// A recorded file; `None`, said, where the recordings are not there.
pub fn recorded(file: &str) -> Option<Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/evm").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: no recording {}", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// The settings of a source that watches the contracts of this name on the recorded chain.
pub fn watching(names: &[&str]) -> Option<Value> {
    let chain = recorded("chain_main.json")?;
    let contract = |name: &&str| {
        Some(json!({
            "name": name, "address": chain["contracts"][name],
            "abi": recorded(&format!("contracts/{name}.json"))?["abi"],
        }))
    };
    let contracts: Option<Vec<Value>> = names.iter().map(contract).collect();
    Some(json!({ "chain_id": chain["chain_id"], "contracts": contracts?, "poll_interval": "10ms" }))
}

/// A recorded block with its receipts.
pub fn whole(mined: &Value) -> Whole {
    let block: wire::Block<wire::Transaction> = serde_json::from_value(mined["block"].clone()).unwrap();
    let number = block.number.clone().unwrap().0;
    verify::block(&block, number).unwrap();
    verify::whole(block, serde_json::from_value(mined["receipts"].clone()).unwrap(), true).unwrap()
}

/// Blocks of the recorded chain as a source with these settings posts them. `pools`: the tokens of each, which a node
/// would be asked for.
pub fn batches(settings: Value, blocks: &[Value], pools: &[(&str, &str, &str)]) -> Vec<LedgerBatch> {
    let config: Config = serde_json::from_value(settings).unwrap();
    let watch = Watch::new(&config).unwrap();
    let mut tokens = Tokens::default();
    for (pool, one, two) in pools {
        let read = |text: &str| wire::address(text).unwrap();
        tokens.set_pool(read(pool), (read(one), read(two)));
    }
    let chain = config.chain_id.unwrap();
    let mut logs = 0;
    let batch = |block: &Value| {
        let block = whole(block);
        let (events, after) = mapping::events(chain, &block, &watch, &tokens, logs);
        logs = after;
        let (index, hash, parent) = (block.number, Some(block.hash), Some(block.parent));
        LedgerBatch {
            source: 0,
            network: format!("evm-{chain}").into(),
            epoch: 0,
            ledger: LedgerRef { index, hash, parent, closed_at: block.time },
            continuity: None,
            events,
            native: None,
        }
    };
    blocks.iter().map(batch).collect()
}
