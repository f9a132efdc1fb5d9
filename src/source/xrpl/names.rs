//! Who and what takes part in a ledger's events: names as people write them and the keys that filters look for, each
//! made once per ledger and shared.

use super::assets::{AssetId, issuer_of};
use super::currency::{affected_key, book_key};
use crate::event::{Amount, Asset, AssetKeys, Key};
use std::collections::HashMap;
use std::sync::Arc;

/// The names of one ledger.
#[derive(Default)]
pub struct Names {
    accounts: HashMap<Box<str>, Account>,
    assets: HashMap<AssetId, (Arc<Asset>, Vec<Key>)>,
    books: HashMap<(AssetId, AssetId, Option<Box<str>>), Key>,
}

/// One account.
struct Account {
    name: Arc<str>,
    account: Key,
    affected: Key,
}

impl Names {
    /// The address.
    pub fn name(&mut self, address: &str) -> Arc<str> {
        self.account(address).name.clone()
    }

    /// The key under which events are found that an account takes part in.
    pub fn account_key(&mut self, address: &str) -> &Key {
        &self.account(address).account
    }

    /// The key under which transactions are found that affect an account.
    pub fn affected_key(&mut self, address: &str) -> &Key {
        &self.account(address).affected
    }

    /// The key of the book under which an offer's transaction is told: pays and gets are as clients name them.
    pub fn book_key(&mut self, pays: &AssetId, gets: &AssetId, domain: Option<&str>) -> &Key {
        let key = (pays.clone(), gets.clone(), domain.map(Into::into));
        self.books.entry(key).or_insert_with(|| book_key(&pays.side(), &gets.side(), domain))
    }

    /// The asset as events tell it.
    pub fn asset(&mut self, asset: &AssetId) -> Arc<Asset> {
        self.named(asset).0.clone()
    }

    /// The keys under which events about so much of an asset are found.
    pub fn asset_keys(&mut self, asset: &AssetId, amount: Option<Amount>) -> AssetKeys {
        AssetKeys { keys: self.named(asset).1.clone(), amount }
    }

    fn account(&mut self, address: &str) -> &Account {
        if !self.accounts.contains_key(address) {
            let account = Account {
                name: address.into(),
                account: format!("account:{address}").into(),
                affected: affected_key(address),
            };
            self.accounts.insert(address.into(), account);
        }
        &self.accounts[address]
    }

    fn named(&mut self, asset: &AssetId) -> &(Arc<Asset>, Vec<Key>) {
        if !self.assets.contains_key(asset) {
            let named = self.make(asset);
            self.assets.insert(asset.clone(), named);
        }
        &self.assets[asset]
    }

    fn make(&mut self, asset: &AssetId) -> (Arc<Asset>, Vec<Key>) {
        match asset {
            AssetId::Xrp => {
                let name: Arc<str> = "XRP".into();
                let asset =
                    Asset { id: name.clone(), code: name.clone(), issuer: None, kind: "native", decimals: Some(6) };
                (Arc::new(asset), vec![name, "native".into()])
            }
            AssetId::Token { currency, issuer } => {
                let issuer = self.name(issuer);
                let id: Arc<str> = format!("{currency}:{issuer}").into();
                let code: Arc<str> = (**currency).into();
                let mut keys = vec![code.clone(), id.clone()];
                if let [a, b, c] = *code.as_bytes() {
                    // Its other spelling.
                    let long = format!("{:0>24}{a:02X}{b:02X}{c:02X}{:0>10}", "", "");
                    keys.push(format!("{long}:{issuer}").into());
                    keys.push(long.into());
                }
                (Arc::new(Asset { id, code, issuer: Some(issuer), kind: "token", decimals: None }), keys)
            }
            AssetId::Multi(issuance) => {
                let id: Arc<str> = (**issuance).into();
                let issuer = issuer_of(issuance).map(|issuer| self.name(&issuer));
                let keys = vec![id.clone()];
                (Arc::new(Asset { code: id.clone(), id, issuer, kind: "mpt", decimals: None }), keys)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_found_under_every_spelling_and_nobody_forges_the_native_one() {
        let mut names = Names::default();
        let mut keys = |asset: AssetId| -> Vec<String> {
            names.asset_keys(&asset, None).keys.iter().map(|key| key.to_string()).collect()
        };
        let token = |currency: &str| AssetId::Token { currency: currency.into(), issuer: "rI".into() };
        assert_eq!(keys(AssetId::Xrp), ["XRP", "native"]);
        let hex = "0000000000000000000000005553440000000000";
        assert_eq!(keys(token("USD")), ["USD", "USD:rI", &format!("{hex}:rI"), hex]);
        let forged = "0000000000000000000000005852500000000000";
        assert_eq!(keys(token(forged)), [forged, &format!("{forged}:rI")]);
    }

    #[test]
    fn one_name_is_one_allocation() {
        let mut names = Names::default();
        assert!(Arc::ptr_eq(&names.name("rA"), &names.name("rA")));
        let (usd, xrp) = (AssetId::Token { currency: "USD".into(), issuer: "rI".into() }, AssetId::Xrp);
        let key = names.book_key(&usd, &xrp, None).clone();
        assert!(Arc::ptr_eq(&key, names.book_key(&usd, &xrp, None)));
        assert_eq!((&*key, &**names.book_key(&xrp, &usd, Some("ab"))), ("book:USD/rI/XRP", "book:XRP/USD/rI/AB"));
    }
}
