//! What is wrong with an EVM source's settings, found before anything is asked.

use super::config::{Config, Contract};
use super::watch::{self, Watch};
use crate::config::tree::Step;
use crate::config::{Finding, check};
use std::collections::HashMap;

/// The window of blocks that are not final yet is held in memory.
const MOST_CONFIRMATIONS: u64 = 1000;
/// What a token's `decimals()` can say.
const MOST_DECIMALS: u32 = 255;

impl Config {
    /// Everything that is wrong, found before anything is asked.
    pub fn problems(&self) -> Vec<Finding> {
        let mut found = check::rpc_addresses(
            self.rpc_url.as_ref(),
            &self.rpc_urls,
            "an EVM chain's RPC, such as http://127.0.0.1:8545",
        );
        let mut tell = |path: Vec<Step>, message: &str| found.push((path, message.to_owned()));
        if self.chain_id.is_none() {
            tell(Vec::new(), "has no `chain_id`; add the chain's number, such as 1 for Ethereum or 137 for Polygon");
        }
        if self.finality.tag.is_some() && self.finality.confirmations.is_some() {
            tell(vec!["finality".into()], "has both `confirmations` and `tag`; write one of them");
        }
        if self.finality.confirmations.is_some_and(|blocks| blocks > MOST_CONFIRMATIONS) {
            let path = vec!["finality".into(), "confirmations".into()];
            tell(path, "is more than 1000; write less, or `tag: finalized`");
        }
        if self.native_asset.code.is_empty() {
            tell(vec!["native_asset".into(), "code".into()], "is empty; write what clients call the coin, such as ETH");
        }
        if self.native_asset.decimals > MOST_DECIMALS {
            tell(vec!["native_asset".into(), "decimals".into()], "is more than 255; write 18");
        }
        let mut seen = HashMap::new();
        let contracts = self.contracts.iter().map(|contract| ("contracts", contract.address.as_ref()));
        let tokens = self.tokens.iter().map(|token| ("tokens", token.address.as_ref()));
        let pools = self.pools.iter().map(|pool| ("pools", Some(pool)));
        let mut at = 0;
        for (list, text) in contracts.chain(tokens).chain(pools) {
            at = if seen.contains_key(list) { at + 1 } else { 0 };
            let known: &mut HashMap<_, usize> = seen.entry(list).or_default();
            let mut path = vec![list.into(), at.into()];
            if list != "pools" {
                path.push("address".into());
            }
            match text.map(|text| watch::address(text)) {
                None => found.push((path, "is missing; write `0x` and 40 hex digits".to_owned())),
                Some(Err(message)) => found.push((path, message)),
                Some(Ok(address)) => {
                    if let Some(other) = known.insert(address, at) {
                        found.push((path, format!("is that of {list}[{other}] already; remove one")));
                    }
                }
            }
        }
        for (at, contract) in self.contracts.iter().enumerate() {
            found.extend(contract.problem().map(|(key, message)| {
                let key = key.map(Step::from);
                ([Step::from("contracts"), at.into()].into_iter().chain(key).collect(), message)
            }));
        }
        for (at, token) in self.tokens.iter().enumerate() {
            let mut tell = |key: &str, message: &str| {
                found.push((vec!["tokens".into(), at.into(), key.into()], message.to_owned()));
            };
            if token.code.as_ref().is_none_or(String::is_empty) {
                tell("code", "is missing; write what clients call the token, such as USDC");
            }
            if token.decimals.is_some_and(|decimals| decimals > MOST_DECIMALS) {
                tell("decimals", "is more than 255; write how many the token has, or leave it out");
            }
        }
        let header = self.auth_header.as_ref().map(|secret| secret.0.as_str());
        found.extend(check::auth_header(header, self.auth_header_file.is_some()));
        found.extend(check::zeros(&[
            ("poll_interval", self.poll_interval.0.is_zero()),
            ("batch", self.batch == 0),
            ("calls_per_second", self.calls_per_second == 0),
            ("timeout", self.timeout.0.is_zero()),
            ("max_response", self.max_response.0 == 0),
        ]));
        found
    }
}

impl Contract {
    /// What is wrong with its ABI, and at which key.
    fn problem(&self) -> Option<(Option<&'static str>, String)> {
        match (&self.abi, &self.abi_file) {
            (None, None) => Some((None, "has no `abi`; add it, or name its file as `abi_file`".to_owned())),
            (Some(_), Some(_)) => Some((Some("abi"), "stands beside abi_file; write one of them".to_owned())),
            (Some(_), None) => Watch::abi(self).err().map(|message| (Some("abi"), message)),
            (None, Some(_)) => Watch::abi(self).err().map(|message| (Some("abi_file"), message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::evm::config::{Final, Tag};
    use serde_json::json;

    fn config(value: serde_json::Value) -> Config {
        serde_json::from_value(value).unwrap()
    }

    fn told(value: serde_json::Value) -> Vec<String> {
        let steps = |path: &[Step]| crate::config::decode::path_text(path.iter());
        config(value).problems().into_iter().map(|(path, message)| format!("{} {message}", steps(&path))).collect()
    }

    const BOARD: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

    #[test]
    fn good_settings_have_no_problems() {
        let good = json!({
            "rpc_url": "http://127.0.0.1:8545", "chain_id": 31337, "finality": { "tag": "safe" },
            "contracts": [{ "name": "Board", "address": BOARD, "abi": [] }, { "address": BOARD.replace("5F", "00"), "abi": { "abi": [] } }],
            "tokens": [{ "address": BOARD, "code": "USDC", "decimals": 6 }], "pools": [BOARD],
        });
        assert_eq!(told(good.clone()), Vec::<String>::new());
        assert_eq!(config(good).finality(), Final::Tag(Tag::Safe));
        for (chain, confirmations) in [(1, 20), (137, 200), (10, 64)] {
            assert_eq!(config(json!({ "chain_id": chain })).finality(), Final::Confirmations(confirmations));
        }
        let own = json!({ "chain_id": 1, "finality": { "confirmations": 3 } });
        assert_eq!(config(own).finality(), Final::Confirmations(3));
    }

    #[test]
    fn each_problem_is_told_where_it_stands() {
        let clash = json!([
            { "type": "function", "name": "collate_propagate_storage", "inputs": [{ "type": "bytes16" }], "outputs": [], "stateMutability": "view" },
            { "type": "function", "name": "burn", "inputs": [{ "type": "uint256" }], "outputs": [], "stateMutability": "view" },
        ]);
        let found = told(json!({
            "rpc_url": "ftp://a", "finality": { "confirmations": 1001, "tag": "safe" }, "batch": 0,
            "contracts": [
                { "address": "0x12", "abi": clash }, { "address": BOARD, "abi": 5 }, { "abi_file": "/no/such/file" },
                { "address": BOARD.to_lowercase() },
            ],
            "tokens": [{ "address": BOARD, "decimals": 256 }],
        }));
        let expected = [
            "rpc_url must begin with http:// or https://",
            " has no `chain_id`",
            "finality has both",
            "finality.confirmations is more than 1000",
            "contracts[0].address is no address",
            "contracts[2].address is missing",
            "contracts[3].address is that of contracts[1] already",
            "contracts[0].abi has two methods of one selector",
            "contracts[1].abi is no ABI",
            "contracts[2].abi_file cannot be read",
            "contracts[3] has no `abi`",
            "tokens[0].code is missing",
            "tokens[0].decimals is more than 255",
            "batch is 0",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}, not {expected}");
        }
        assert!(serde_json::from_value::<Config>(json!({ "chain": 1 })).is_err());
        assert!(serde_json::from_value::<Config>(json!({ "finality": { "tag": "latest" } })).is_err());
    }
}
