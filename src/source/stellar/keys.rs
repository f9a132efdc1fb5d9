//! Who takes part in an event: names as people write them and the keys that filters look for,
//! each made once per ledger and shared.

use crate::event::{Amount, Asset, AssetKeys, Key};
pub use crate::source::subjects::Subjects;
use std::collections::HashMap;
use std::sync::Arc;
use stellar_xdr::{
    AccountId, ClaimableBalanceId, Hash as XdrHash, MuxedAccount, PoolId, PublicKey, ScAddress, Uint256,
};

/// An address of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// `G…`
    Account([u8; 32]),
    /// `M…`: an account and an id inside it.
    Muxed([u8; 32], u64),
    /// `C…`
    Contract([u8; 32]),
    /// A contract and an id inside it.
    MuxedContract([u8; 32], u64),
    /// `B…`: a claimable balance.
    Balance([u8; 32]),
    /// `L…`: a liquidity pool.
    Pool([u8; 32]),
}

impl Party {
    /// Without the id inside: what events name.
    pub fn base(self) -> Party {
        match self {
            Party::Muxed(account, _) => Party::Account(account),
            Party::MuxedContract(contract, _) => Party::Contract(contract),
            other => other,
        }
    }

    /// The id inside.
    pub fn muxed_id(self) -> Option<u64> {
        match self {
            Party::Muxed(_, id) | Party::MuxedContract(_, id) => Some(id),
            _ => None,
        }
    }

    /// The same with an id inside, where that can be.
    pub fn with_id(self, id: u64) -> Party {
        match self {
            Party::Account(account) => Party::Muxed(account, id),
            Party::Contract(contract) => Party::MuxedContract(contract, id),
            other => other,
        }
    }

    fn strkey(self) -> String {
        use stellar_strkey::{ClaimableBalance, Contract, LiquidityPool, MuxedContract, ed25519};
        match self {
            Party::Account(key) => ed25519::PublicKey(key).to_string().as_str().into(),
            Party::Muxed(ed25519, id) => ed25519::MuxedAccount { ed25519, id }.to_string().as_str().into(),
            Party::Contract(id) => Contract(id).to_string().as_str().into(),
            Party::MuxedContract(contract_id, id) => MuxedContract { contract_id, id }.to_string().as_str().into(),
            Party::Balance(id) => ClaimableBalance::V0(id).to_string().as_str().into(),
            Party::Pool(id) => LiquidityPool(id).to_string().as_str().into(),
        }
    }
}

impl From<&AccountId> for Party {
    fn from(AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key))): &AccountId) -> Party {
        Party::Account(*key)
    }
}

impl From<&MuxedAccount> for Party {
    fn from(account: &MuxedAccount) -> Party {
        match account {
            MuxedAccount::Ed25519(Uint256(key)) => Party::Account(*key),
            MuxedAccount::MuxedEd25519(muxed) => Party::Muxed(muxed.ed25519.0, muxed.id),
        }
    }
}

impl From<&ClaimableBalanceId> for Party {
    fn from(ClaimableBalanceId::ClaimableBalanceIdTypeV0(XdrHash(id)): &ClaimableBalanceId) -> Party {
        Party::Balance(*id)
    }
}

impl From<&PoolId> for Party {
    fn from(PoolId(XdrHash(id)): &PoolId) -> Party {
        Party::Pool(*id)
    }
}

impl From<&ScAddress> for Party {
    fn from(address: &ScAddress) -> Party {
        match address {
            ScAddress::Account(account) => account.into(),
            ScAddress::Contract(contract) => Party::Contract(contract.0.0),
            ScAddress::MuxedAccount(muxed) => Party::Muxed(muxed.ed25519.0, muxed.id),
            ScAddress::ClaimableBalance(id) => id.into(),
            ScAddress::LiquidityPool(id) => id.into(),
            ScAddress::MuxedContract(muxed) => Party::MuxedContract(muxed.contract_id.0.0, muxed.id),
        }
    }
}

/// The names of one ledger: one allocation for each, however often it occurs.
#[derive(Default)]
pub struct Names {
    parties: HashMap<Party, (Arc<str>, Key)>,
    contracts: HashMap<[u8; 32], Key>,
    assets: HashMap<stellar_xdr::Asset, (Arc<Asset>, Vec<Key>)>,
}

impl Names {
    /// The address as people write it.
    pub fn name(&mut self, party: Party) -> Arc<str> {
        self.party(party).0.clone()
    }

    /// Adds the keys under which events of `party` are found: its own and, for one with an id
    /// inside, that of the account around it.
    pub fn add_subjects(&mut self, party: Party, subjects: &mut Subjects) {
        subjects.add(&self.party(party.base()).1);
        if party != party.base() {
            subjects.add(&self.party(party).1);
        }
    }

    /// Adds the key of the contract that emitted an event.
    pub fn add_contract(&mut self, contract: [u8; 32], subjects: &mut Subjects) {
        let name = self.name(Party::Contract(contract));
        let key = self.contracts.entry(contract).or_insert_with(|| format!("contract:{name}").into());
        subjects.add(key);
    }

    /// The asset as events tell it.
    pub fn asset(&mut self, asset: &stellar_xdr::Asset) -> Arc<Asset> {
        self.named_asset(asset).0.clone()
    }

    /// The keys under which events about so much of an asset are found.
    pub fn asset_keys(&mut self, asset: &stellar_xdr::Asset, amount: Option<Amount>) -> AssetKeys {
        AssetKeys { keys: self.named_asset(asset).1.clone(), amount }
    }

    fn party(&mut self, party: Party) -> &(Arc<str>, Key) {
        self.parties.entry(party).or_insert_with(|| {
            let name = party.strkey();
            let key = format!("account:{name}");
            (name.into(), key.into())
        })
    }

    fn named_asset(&mut self, asset: &stellar_xdr::Asset) -> &(Arc<Asset>, Vec<Key>) {
        if !self.assets.contains_key(asset) {
            let named = self.make_asset(asset);
            self.assets.insert(asset.clone(), named);
        }
        &self.assets[asset]
    }

    fn make_asset(&mut self, asset: &stellar_xdr::Asset) -> (Arc<Asset>, Vec<Key>) {
        let (code, issuer, kind) = match asset {
            stellar_xdr::Asset::Native => {
                let asset =
                    Asset { id: "native".into(), code: "XLM".into(), issuer: None, kind: "native", decimals: Some(7) };
                let keys = vec![asset.id.clone(), asset.code.clone()];
                return (Arc::new(asset), keys);
            }
            stellar_xdr::Asset::CreditAlphanum4(asset) => {
                (super::assets::code(&asset.asset_code.0), &asset.issuer, "credit_alphanum4")
            }
            stellar_xdr::Asset::CreditAlphanum12(asset) => {
                (super::assets::code(&asset.asset_code.0), &asset.issuer, "credit_alphanum12")
            }
        };
        let issuer = self.name(issuer.into());
        let id: Arc<str> = format!("{code}:{issuer}").into();
        let code: Arc<str> = code.into();
        // Anyone may issue a code that reads like the native asset; a filter for the native asset
        // must not match it.
        let forged = matches!(&*code, "XLM" | "native");
        let keys = if forged { vec![id.clone()] } else { vec![code.clone(), id.clone()] };
        (Arc::new(Asset { id, code, issuer: Some(issuer), kind, decimals: Some(7) }), keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::stellar::assets::parse;
    use crate::source::subjects::FEW;

    #[test]
    fn a_muxed_party_is_found_under_both() {
        let mut names = Names::default();
        let mut subjects = Subjects::default();
        let party = Party::Muxed([3; 32], 7);
        names.add_subjects(party, &mut subjects);
        names.add_subjects(party.base(), &mut subjects);
        let subjects = subjects.into_keys();
        assert_eq!(subjects.len(), 2);
        assert!(subjects[0].starts_with("account:G") && subjects[1].starts_with("account:M"));
    }

    #[test]
    fn nobody_forges_the_native_asset() {
        let mut names = Names::default();
        let mut keys = |text: &str| -> Vec<String> {
            let asset = parse(text).unwrap();
            names.asset_keys(&asset, None).keys.iter().map(|key| key.to_string()).collect()
        };
        let issuer = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";
        assert_eq!(keys("native"), ["native", "XLM"]);
        assert_eq!(keys(&format!("USDC:{issuer}")), ["USDC".to_owned(), format!("USDC:{issuer}")]);
        assert_eq!(keys(&format!("XLM:{issuer}")), [format!("XLM:{issuer}")]);
        assert_eq!(keys(&format!("native:{issuer}")), [format!("native:{issuer}")]);
    }

    #[test]
    fn one_name_is_one_allocation() {
        let mut names = Names::default();
        let (first, second) = (names.name(Party::Account([9; 32])), names.name(Party::Account([9; 32])));
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn every_key_once_and_in_order_however_many() {
        let mut names = Names::default();
        for count in [FEW - 1, FEW, FEW + 1, 20_000] {
            let parties: Vec<_> = (0..count as u64).map(|id| Party::Muxed([3; 32], id)).collect();
            let mut subjects = Subjects::default();
            for party in parties.iter().chain(&parties) {
                names.add_subjects(*party, &mut subjects);
            }
            let subjects = subjects.into_keys();
            let base = [Party::Account([3; 32])];
            let expected = base.iter().chain(&parties).map(|party| format!("account:{}", party.strkey()));
            assert!(expected.eq(subjects.iter().map(|key| key.to_string())), "{count}");
        }
    }
}
