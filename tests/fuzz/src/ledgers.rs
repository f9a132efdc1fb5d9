//! What nodes of the other families may answer.

use crate::batches;
use ledgercast::devnet::evm::Contract;
use ledgercast::source::{evm, planetmint, xrpl};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The `result` of a `ledger`.
pub fn xrpl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(Some(batch)) = xrpl::fuzzing::read(text) {
        batches::check(&batch);
    }
}

/// A block with its receipts, on a chain with the devnet's contracts.
pub fn evm(data: &[u8]) {
    static READER: OnceLock<evm::fuzzing::Reader> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(data) else { return };
    let reader = READER.get_or_init(|| {
        let contract = |contract: &Contract| {
            let abi: Value = serde_json::from_str(contract.abi()).expect("an ABI");
            json!({ "name": contract.name(), "address": contract.address().to_string(), "abi": abi })
        };
        let contracts: Vec<_> = Contract::ALL.iter().map(contract).collect();
        let settings = json!({ "contracts": contracts, "all_tokens": true });
        let config = serde_json::from_value(settings).expect("settings");
        evm::fuzzing::Reader::new(&config).expect("good settings")
    });
    if let Ok(batch) = reader.read(text) {
        batches::check(&batch);
    }
}

/// The transactions of a block.
pub fn planetmint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(batch) = planetmint::fuzzing::read(text) {
        batches::check(&batch);
    }
}
