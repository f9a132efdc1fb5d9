//! Assets and the contracts that stand for them.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use stellar_xdr::{
    AccountId, AlphaNum4, AlphaNum12, Asset, AssetCode4, AssetCode12, ContractIdPreimage, Hash, HashIdPreimage,
    HashIdPreimageContractId, Limits, WriteXdr,
};

/// Asset contracts remembered; more are derived again.
const REMEMBERED: usize = 10_000;

/// An asset's code without the zeros that fill it up.
pub fn code(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Reads `native` or `CODE:ISSUER` (SEP-11).
pub fn parse(text: &str) -> Option<Asset> {
    if text == "native" {
        return Some(Asset::Native);
    }
    let (code, issuer) = text.split_once(':')?;
    if !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let issuer: AccountId = issuer.parse().ok()?;
    match code.len() {
        1..=4 => Some(Asset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(filled(code)), issuer })),
        5..=12 => Some(Asset::CreditAlphanum12(AlphaNum12 { asset_code: AssetCode12(filled(code)), issuer })),
        _ => None,
    }
}

/// `code`, at most `N` bytes, filled up with zeros.
fn filled<const N: usize>(code: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..code.len()].copy_from_slice(code.as_bytes());
    bytes
}

/// The id of a network: what its hashes are bound to.
pub fn network_hash(passphrase: &str) -> [u8; 32] {
    Sha256::digest(passphrase).into()
}

/// The address of the contract that stands for `asset`, deployed or not.
pub fn contract_of(asset: &Asset, network: &[u8; 32]) -> Option<[u8; 32]> {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(*network),
        contract_id_preimage: ContractIdPreimage::Asset(asset.clone()),
    });
    let bytes = preimage.to_xdr(Limits { depth: 10, len: 1000 }).ok()?;
    Some(Sha256::digest(bytes).into())
}

/// Which contracts are assets' own. Anyone can emit an event that looks like an asset's; only the
/// address of the contract cannot be chosen.
pub struct AssetContracts {
    network: [u8; 32],
    native: Option<[u8; 32]>,
    verified: HashMap<[u8; 32], (Box<str>, Asset)>,
}

impl AssetContracts {
    /// None known yet but the native one.
    pub fn new(network: [u8; 32]) -> AssetContracts {
        AssetContracts { native: contract_of(&Asset::Native, &network), network, verified: HashMap::new() }
    }

    /// The id of the network.
    pub fn network(&self) -> &[u8; 32] {
        &self.network
    }

    /// Whether `contract` stands for the native asset.
    pub fn is_native(&self, contract: &[u8; 32]) -> bool {
        self.native.as_ref() == Some(contract)
    }

    /// The asset, if `contract` is truly the one that stands for what it names.
    pub fn verify(&mut self, contract: &[u8; 32], named: &str) -> Option<Asset> {
        if let Some((name, asset)) = self.verified.get(contract) {
            return (**name == *named).then(|| asset.clone());
        }
        let asset = parse(named)?;
        if contract_of(&asset, &self.network)? != *contract {
            return None;
        }
        if self.verified.len() == REMEMBERED {
            self.verified.clear();
        }
        self.verified.insert(*contract, (named.into(), asset.clone()));
        Some(asset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stellar_xdr::ContractId;

    const PUBNET: &str = "Public Global Stellar Network ; September 2015";
    const TESTNET: &str = "Test SDF Network ; September 2015";
    const USDC: &str = "USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";

    #[test]
    fn known_contracts() {
        for (network, asset, contract) in [
            (PUBNET, "native", "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA"),
            (TESTNET, "native", "CDLZFC3SYJYDZT7K67VZ75HPJVIEUVNIXF47ZG2FB2RMQQVU2HHGCYSC"),
            (PUBNET, USDC, "CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75"),
        ] {
            let id = contract_of(&parse(asset).unwrap(), &network_hash(network)).unwrap();
            assert_eq!(ContractId(Hash(id)).to_string(), contract);
        }
    }

    #[test]
    fn only_the_asset_s_own_contract_is_believed() {
        let network = network_hash(PUBNET);
        let mut contracts = AssetContracts::new(network);
        let usdc = contract_of(&parse(USDC).unwrap(), &network).unwrap();
        for _ in 0..2 {
            assert_eq!(contracts.verify(&[1; 32], USDC), None);
            assert_eq!(contracts.verify(&usdc, USDC), parse(USDC));
            assert_eq!(contracts.verify(&usdc, "native"), None);
        }
        assert!(!contracts.is_native(&usdc));
    }

    #[test]
    fn names_of_assets() {
        for bad in [
            "",
            "USDC",
            "native:",
            ":G",
            "TOOLONGTOBEIT:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN",
            "US C:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN",
            "USDC:GA5Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(code(b"EURC"), "EURC");
        assert_eq!(code(b"TREAD\0\0\0\0\0\0\0"), "TREAD");
    }
}
