//! The names and keys of a block's accounts and assets, each made once and shared.

use super::tokens::Tokens;
use super::watch::Watch;
use crate::event::{Amount, Asset, AssetKeys, Key};
use alloy_primitives::{Address, U256};
use std::collections::HashMap;
use std::sync::Arc;

/// Names of one block.
pub struct Names<'a> {
    watch: &'a Watch,
    tokens: &'a Tokens,
    accounts: HashMap<Address, Account>,
    assets: HashMap<Address, (Arc<Asset>, Vec<Key>)>,
    native: Vec<Key>,
}

#[derive(Clone)]
struct Account {
    /// Lower case.
    name: Arc<str>,
    /// Under both spellings: clients write addresses with checksums in their letters, or without.
    keys: [Key; 2],
}

/// Subject keys of one event, each once.
#[derive(Default)]
pub struct Subjects(Vec<Key>);

impl Subjects {
    /// Adds a key.
    pub fn add(&mut self, key: Key) {
        if !self.0.contains(&key) {
            self.0.push(key);
        }
    }

    /// All of them.
    pub fn into_keys(self) -> Vec<Key> {
        self.0
    }
}

impl<'a> Names<'a> {
    /// No names yet.
    pub fn new(watch: &'a Watch, tokens: &'a Tokens) -> Names<'a> {
        let mut native: Vec<Key> = vec!["native".into()];
        if *watch.native.code != *"native" {
            native.push(watch.native.code.clone());
        }
        Names { watch, tokens, accounts: HashMap::new(), assets: HashMap::new(), native }
    }

    fn account(&mut self, address: &Address) -> &Account {
        self.accounts.entry(*address).or_insert_with(|| {
            let name: Arc<str> = format!("{address:#x}").into();
            let keys = [format!("account:{name}").into(), format!("account:{}", address.to_checksum(None)).into()];
            Account { name, keys }
        })
    }

    /// The address in lower case.
    pub fn name(&mut self, address: &Address) -> Arc<str> {
        self.account(address).name.clone()
    }

    /// Adds the keys under which an account is found.
    pub fn add_account(&mut self, address: &Address, subjects: &mut Subjects) {
        for key in self.account(address).keys.clone() {
            subjects.add(key);
        }
    }

    /// A key of its own, such as `contract:0x…`.
    pub fn key(&mut self, space: &str, address: &Address) -> Key {
        format!("{space}:{}", self.account(address).name).into()
    }

    /// The native coin.
    pub fn native(&self) -> Arc<Asset> {
        self.watch.native.clone()
    }

    /// An amount of the native coin.
    pub fn native_amount(&self, units: U256) -> Option<Amount> {
        self.watch.native.decimals.map(|decimals| amount(units, decimals))
    }

    /// The keys of an amount of the native coin.
    pub fn native_keys(&self, units: U256) -> AssetKeys {
        AssetKeys { keys: self.native.clone(), amount: self.native_amount(units) }
    }

    /// A token, by its address.
    pub fn token(&mut self, address: &Address) -> Arc<Asset> {
        self.asset(address).0.clone()
    }

    /// An amount of a token and its keys; no amount where the decimals are unknown.
    pub fn token_keys(&mut self, address: &Address, units: U256) -> AssetKeys {
        let (asset, keys) = self.asset(address);
        AssetKeys { keys: keys.clone(), amount: asset.decimals.map(|decimals| amount(units, decimals)) }
    }

    fn asset(&mut self, address: &Address) -> &(Arc<Asset>, Vec<Key>) {
        if !self.assets.contains_key(address) {
            let id = self.name(address);
            let known = self.watch.tokens.get(address);
            let decimals = known.and_then(|(_, decimals)| *decimals).or_else(|| self.tokens.decimals(address));
            let mut keys: Vec<Key> = vec![id.clone(), address.to_checksum(None).into()];
            // What a token calls itself is no key: anyone can call a token USDC.
            let code = known.map_or_else(|| id.clone(), |(code, _)| code.clone());
            if known.is_some() && !keys.contains(&code) {
                keys.push(code.clone());
            }
            let asset = Asset { id, code, issuer: None, kind: "erc20", decimals };
            self.assets.insert(*address, (Arc::new(asset), keys));
        }
        &self.assets[address]
    }
}

/// Whole units of the smallest size as an exact decimal.
pub fn amount(units: U256, decimals: u8) -> Amount {
    Amount::from_digits(false, &units.to_string(), -i32::from(decimals)).expect("78 digits at most")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_and_the_smallest_are_exact() {
        let max = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        assert_eq!(amount(U256::MAX, 0).to_string(), max);
        assert_eq!(amount(U256::MAX, 18).to_string(), format!("{}.{}", &max[..60], &max[60..]));
        assert_eq!(amount(U256::from(1), 255).to_string(), format!("0.{}1", "0".repeat(254)));
        assert_eq!(amount(U256::ZERO, 18), Amount::ZERO);
    }

    proptest! {
        #[test]
        fn units_come_back(limbs: [u64; 4], decimals: u8) {
            let units = U256::from_limbs(limbs);
            let printed = amount(units, decimals).with_decimals(decimals.into()).to_string();
            let digits = printed.replace('.', "");
            prop_assert_eq!(U256::from_str_radix(digits.trim_start_matches('0'), 10).unwrap_or_default(), units);
            prop_assert_eq!(printed.split_once('.').map_or(0, |(_, fraction)| fraction.len()), usize::from(decimals));
        }
    }
}
