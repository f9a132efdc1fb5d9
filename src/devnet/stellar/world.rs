//! The unchanging things of the simulated network: who is on it, what they own, which contracts run.
//!
//! Everything here follows from (seed, number of accounts, passphrase) alone. Nothing of it changes
//! while ledgers close, so that a ledger's contents need no history to be made again.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, AlphaNum4, AlphaNum12, Asset, AssetCode4, AssetCode12, ContractId, ContractIdPreimage,
    ContractIdPreimageFromAddress, Hash, HashIdPreimage, HashIdPreimageContractId, Limits,
    LiquidityPoolConstantProductParameters, LiquidityPoolParameters, MuxedAccount, MuxedAccountMed25519, PoolId,
    PublicKey, ScAddress, ScVal, Uint256, WriteXdr,
};

use crate::devnet::seed::draw;

/// What building XDR gives: it fails only where a list is longer than its type allows.
pub(super) type Xdr<T> = Result<T, stellar_xdr::Error>;

/// An account's raw ed25519 public key.
pub(super) type Key = [u8; 32];

/// Index into [`World::assets`]; 0 is the native asset.
pub(super) type AssetIndex = usize;

/// The fee of a constant product pool in hundredths of a percent, the only one that the protocol has.
const POOL_FEE: i32 = 30;

/// An asset of the fiction: its code ("" is the native one) and what one unit is worth in
/// ten-thousandths of an XLM. The twelve-letter code is there because its XDR form is another one.
const ASSETS: [(&str, u64); 7] = [
    ("", 10_000),
    ("USDC", 85_000),
    ("EURC", 95_000),
    ("BTC", 9_000_000_000),
    ("yXLM", 10_050),
    ("AQUA", 30),
    ("LEDGERCAST", 120_000),
];

/// Contracts which emit events of their own making.
const CONTRACTS: u64 = 6;

/// An asset together with the contract that reports its movements.
pub(super) struct AssetInfo {
    pub asset: Asset,
    /// `None` for the native asset, which nobody issues.
    pub issuer: Option<Key>,
    /// The address of the asset's contract, derived as CAP-46-6 says, deployed or not.
    pub contract: ContractId,
    /// `native` or `CODE:ISSUER`: the last topic of its events.
    pub label: ScVal,
    /// Worth of one unit in ten-thousandths of an XLM.
    pub worth: u64,
}

/// The network's fixed cast.
pub(super) struct World {
    /// SHA-256 of the passphrase.
    pub network_id: [u8; 32],
    pub passphrase: String,
    pub(super) assets: Vec<AssetInfo>,
    pub contracts: Vec<ContractId>,
    seed: u64,
    accounts: Vec<Key>,
}

impl World {
    /// `accounts` must be at least 2, so that a payment has two sides.
    pub fn new(seed: u64, accounts: usize, passphrase: &str) -> Xdr<Self> {
        let network_id: [u8; 32] = Sha256::digest(passphrase).into();
        let assets = ASSETS
            .iter()
            .enumerate()
            .map(|(index, (code, worth))| {
                let issuer = draw(seed, "issuer", index as u64);
                AssetInfo::new(network_id, code, issuer, *worth)
            })
            .collect::<Xdr<Vec<_>>>()?;
        let contracts = (0..CONTRACTS)
            .map(|index| {
                let deployer = ScAddress::Account(account_id(draw(seed, "deployer", index)));
                contract_id(
                    network_id,
                    ContractIdPreimage::Address(ContractIdPreimageFromAddress {
                        address: deployer,
                        salt: Uint256(draw(seed, "salt", index)),
                    }),
                )
            })
            .collect::<Xdr<Vec<_>>>()?;
        Ok(Self {
            network_id,
            passphrase: passphrase.to_owned(),
            assets,
            contracts,
            seed,
            accounts: (0..accounts as u64).map(|index| draw(seed, "account", index)).collect(),
        })
    }

    /// The source of chance for one ledger. Two networks with one seed give the same ledger N.
    pub fn chance(&self, ledger: u32) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(draw(self.seed, "ledger", u64::from(ledger)))
    }

    /// 32 bytes that belong to (seed, `label`, `index`).
    pub fn bytes(&self, label: &str, index: u64) -> [u8; 32] {
        draw(self.seed, label, index)
    }

    /// One of the accounts. The lower of two draws, so that some are far busier than others, as on
    /// a real network.
    pub fn account(&self, rng: &mut ChaCha8Rng) -> Key {
        let n = self.accounts.len();
        self.accounts[rng.random_range(0..n).min(rng.random_range(0..n))]
    }

    /// The account whose turn it is.
    pub fn account_in_turn(&self, turn: u64) -> Key {
        self.accounts[(turn % self.accounts.len() as u64) as usize]
    }

    /// The addresses of all accounts.
    pub fn addresses(&self) -> Vec<String> {
        self.accounts.iter().map(|key| account_id(*key).to_string()).collect()
    }

    /// An account other than `one`.
    pub fn other_account(&self, rng: &mut ChaCha8Rng, one: Key) -> Key {
        loop {
            let other = self.accounts[rng.random_range(0..self.accounts.len())];
            if other != one {
                return other;
            }
        }
    }

    /// An account that comes and goes: made by create_account in `ledger`, merged away later.
    pub fn visitor(&self, ledger: u32, slot: u32) -> Key {
        self.bytes("visitor", u64::from(ledger) << 32 | u64::from(slot))
    }

    /// Any asset, the native one as often as all issued ones together.
    pub fn asset(&self, rng: &mut ChaCha8Rng) -> AssetIndex {
        if rng.random_ratio(1, 2) { 0 } else { self.issued_asset(rng) }
    }

    pub fn issued_asset(&self, rng: &mut ChaCha8Rng) -> AssetIndex {
        rng.random_range(1..self.assets.len())
    }

    /// How much of `asset` is worth `xlm` stroops, at least 1.
    pub fn worth(&self, asset: AssetIndex, xlm: i64) -> i64 {
        let amount = i128::from(xlm) * 10_000 / i128::from(self.assets[asset].worth);
        i64::try_from(amount).unwrap_or(i64::MAX).max(1)
    }

    /// The id of the constant product pool of two different assets.
    pub fn pool(&self, one: AssetIndex, other: AssetIndex) -> Xdr<PoolId> {
        let (one, other) = (&self.assets[one].asset, &self.assets[other].asset);
        // The protocol orders the two sides; the id of the pair is the same from either side.
        let (asset_a, asset_b) = if one < other { (one, other) } else { (other, one) };
        let parameters =
            LiquidityPoolParameters::LiquidityPoolConstantProduct(LiquidityPoolConstantProductParameters {
                asset_a: asset_a.clone(),
                asset_b: asset_b.clone(),
                fee: POOL_FEE,
            });
        Ok(PoolId(sha256(&parameters)?))
    }
}

impl AssetInfo {
    fn new(network_id: [u8; 32], code: &str, issuer: Key, worth: u64) -> Xdr<Self> {
        let asset = match code.len() {
            0 => Asset::Native,
            1..=4 => {
                Asset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(padded(code)), issuer: account_id(issuer) })
            }
            _ => Asset::CreditAlphanum12(AlphaNum12 {
                asset_code: AssetCode12(padded(code)),
                issuer: account_id(issuer),
            }),
        };
        let (issuer, label) = if code.is_empty() {
            (None, "native".to_owned())
        } else {
            (Some(issuer), format!("{code}:{}", account_id(issuer)))
        };
        let contract = contract_id(network_id, ContractIdPreimage::Asset(asset.clone()))?;
        let label = ScVal::String(stellar_xdr::ScString(label.try_into()?));
        Ok(Self { asset, issuer, contract, label, worth })
    }
}

/// The address of a contract on the network with this id.
pub(super) fn contract_id(network_id: [u8; 32], preimage: ContractIdPreimage) -> Xdr<ContractId> {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(network_id),
        contract_id_preimage: preimage,
    });
    Ok(ContractId(sha256(&preimage)?))
}

/// SHA-256 of a value's XDR.
pub(super) fn sha256(value: &impl WriteXdr) -> Xdr<Hash> {
    Ok(Hash(Sha256::digest(value.to_xdr(Limits::none())?).into()))
}

pub(super) fn account_id(key: Key) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key)))
}

pub(super) fn plain(key: Key) -> MuxedAccount {
    MuxedAccount::Ed25519(Uint256(key))
}

pub(super) fn muxed(key: Key, id: u64) -> MuxedAccount {
    MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id, ed25519: Uint256(key) })
}

/// The account behind a possibly multiplexed address.
pub(super) fn key_of(account: &MuxedAccount) -> Key {
    match account {
        MuxedAccount::Ed25519(key) => key.0,
        MuxedAccount::MuxedEd25519(muxed) => muxed.ed25519.0,
    }
}

fn padded<const N: usize>(code: &str) -> [u8; N] {
    std::array::from_fn(|i| code.as_bytes().get(i).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asset_contracts_have_the_addresses_of_the_real_networks() {
        let native = |passphrase| World::new(1, 2, passphrase).unwrap().assets[0].contract.to_string();
        assert_eq!(
            native("Public Global Stellar Network ; September 2015"),
            "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA"
        );
        assert_eq!(
            native("Test SDF Network ; September 2015"),
            "CDLZFC3SYJYDZT7K67VZ75HPJVIEUVNIXF47ZG2FB2RMQQVU2HHGCYSC"
        );
    }

    #[test]
    fn a_pool_is_the_same_from_either_side() {
        let world = World::new(1, 2, "x").unwrap();
        assert_eq!(world.pool(0, 3).unwrap(), world.pool(3, 0).unwrap());
        assert_ne!(world.pool(0, 3).unwrap(), world.pool(0, 2).unwrap());
    }

    #[test]
    fn the_seed_decides_the_cast() {
        let account = |seed| World::new(seed, 5, "x").unwrap().accounts[0];
        assert_eq!(account(7), account(7));
        assert_ne!(account(7), account(8));
    }
}
