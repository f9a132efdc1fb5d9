//! What the settings name: contracts, tokens, pools and the native coin, by address.

use super::abi::ContractAbi;
use super::config::{Config, Contract};
use super::wire;
use crate::event::Asset;
use crate::source::SourceError;
use alloy_primitives::Address;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// An ABI file may be this large; compilers put code beside it.
const LARGEST_ABI: u64 = 16 << 20;

/// The watched set.
#[derive(Debug)]
pub struct Watch {
    /// Contracts by address.
    pub contracts: HashMap<Address, Arc<ContractAbi>>,
    /// Tokens: what clients call each, and its decimals where the settings tell them.
    pub tokens: HashMap<Address, (Arc<str>, Option<u8>)>,
    /// Pools.
    pub pools: HashSet<Address>,
    /// Whether all tokens and pools count.
    pub all: bool,
    /// The native coin.
    pub native: Arc<Asset>,
}

/// An address as the settings have it. The error is to follow the name of the setting.
pub fn address(text: &str) -> Result<Address, String> {
    wire::address(text)
        .map_err(|_| format!("is no address: `{}`; write `0x` and 40 hex digits", super::super::cut(text.into())))
}

impl Watch {
    /// Reads what the settings name.
    pub fn new(config: &Config) -> Result<Watch, SourceError> {
        let wrong = |key| move |reason| SourceError::Setting { key, reason };
        let named = |key, text: &Option<String>| address(text.as_deref().unwrap_or_default()).map_err(wrong(key));
        let mut contracts = HashMap::new();
        for contract in &config.contracts {
            let abi = Watch::abi(contract).map_err(wrong("contracts"))?;
            contracts.insert(named("contracts", &contract.address)?, Arc::new(abi));
        }
        let mut tokens = HashMap::new();
        for token in &config.tokens {
            let code = token.code.as_deref().unwrap_or_default().into();
            let decimals = token.decimals.and_then(|decimals| u8::try_from(decimals).ok());
            tokens.insert(named("tokens", &token.address)?, (code, decimals));
        }
        let pools = config.pools.iter().map(|pool| address(pool).map_err(wrong("pools"))).collect::<Result<_, _>>()?;
        let native = Arc::new(Asset {
            id: "native".into(),
            code: config.native_asset.code.as_str().into(),
            issuer: None,
            kind: "native",
            decimals: u8::try_from(config.native_asset.decimals).ok(),
        });
        Ok(Watch { contracts, tokens, pools, all: config.all_tokens, native })
    }

    /// A contract's tables. The error is to follow the name of the setting.
    pub fn abi(contract: &Contract) -> Result<ContractAbi, String> {
        match (&contract.abi, &contract.abi_file) {
            (Some(abi), _) => ContractAbi::new(&abi.0),
            (None, Some(path)) => {
                let unread = |error| format!("cannot be read: {}: {error}", path.display());
                let mut text = String::new();
                let mut file = File::open(path).map_err(unread)?.take(LARGEST_ABI);
                file.read_to_string(&mut text).map_err(unread)?;
                let json =
                    serde_json::from_str(&text).map_err(|error| format!("{} is no ABI: {error}", path.display()))?;
                ContractAbi::new(&json)
            }
            (None, None) => Err("has no ABI".to_owned()),
        }
    }

    /// Whether transfers of this token are payments.
    pub fn is_token(&self, address: &Address) -> bool {
        self.all || self.tokens.contains_key(address)
    }

    /// Whether swaps of this pool are trades.
    pub fn is_pool(&self, address: &Address) -> bool {
        self.all || self.pools.contains(address)
    }
}
