//! The unchanging things of the simulated chain: who is on it. Follows from (seed, number of accounts) alone.

use alloy_primitives::{Address, B256, keccak256};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::rlp::List;
use crate::devnet::seed::draw;

/// The chain's number. No public chain has it.
pub const CHAIN_ID: u64 = 20_260_704;

/// Accounts that hold tokens and trade; further ones only pay and are paid.
const MAX_TRADERS: usize = 200;

/// Somebody with a balance: the place in [`World::accounts`], or after all of them the deployer.
pub(super) type Who = usize;

/// Who created the built-in contracts, has the tokens that nobody else has, and deploys something now and then. The
/// same on every devnet.
pub fn deployer() -> Address {
    Address::from_word(keccak256("ledgercast devnet deployer"))
}

/// Where the contract stands that `from` creates by its transaction of this nonce.
pub(super) fn created(from: Address, nonce: u64) -> Address {
    Address::from_word(keccak256(List::default().bytes(from.as_slice()).number(nonce).encode()))
}

/// The chain's fixed cast.
pub(super) struct World {
    /// Everybody in turn, and the deployer after them.
    accounts: Vec<Address>,
    seed: u64,
}

impl World {
    /// `accounts` is at least 2, so that a payment has two sides.
    pub fn new(seed: u64, accounts: usize) -> Self {
        let account = |index| Address::from_word(keccak256(draw(seed, "evm account", index)));
        Self { accounts: (0..accounts as u64).map(account).chain([deployer()]).collect(), seed }
    }

    /// Everybody with a balance.
    pub fn everybody(&self) -> usize {
        self.accounts.len()
    }

    pub fn deployer(&self) -> Who {
        self.accounts.len() - 1
    }

    pub fn address(&self, who: Who) -> Address {
        self.accounts[who]
    }

    /// Who an address is.
    pub fn find(&self, address: Address) -> Option<Who> {
        self.accounts.iter().position(|account| *account == address)
    }

    /// The addresses of the accounts in turn, lower case.
    pub fn addresses(&self) -> Vec<String> {
        self.accounts[..self.deployer()].iter().map(|account| format!("{account:#x}")).collect()
    }

    /// An account in turn.
    pub fn in_turn(&self, number: u64) -> Who {
        (number % self.deployer() as u64) as usize
    }

    /// One of the traders. The lower of two draws, so that some are far busier than others.
    pub fn trader(&self, rng: &mut ChaCha8Rng) -> Who {
        let traders = self.deployer().min(MAX_TRADERS);
        rng.random_range(0..traders).min(rng.random_range(0..traders))
    }

    /// Any account but `one`.
    pub fn other(&self, rng: &mut ChaCha8Rng, one: Who) -> Who {
        loop {
            let other = rng.random_range(0..self.deployer());
            if other != one {
                return other;
            }
        }
    }

    /// A trader other than `one`.
    pub fn other_trader(&self, rng: &mut ChaCha8Rng, one: Who) -> Who {
        loop {
            let other = self.trader(rng);
            if other != one {
                return other;
            }
        }
    }

    /// The source of chance for what belongs to a height.
    pub fn chance(&self, label: &str, height: u64) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(draw(self.seed, label, height))
    }

    /// 32 bytes that belong to (seed, `label`, `index`).
    pub fn word(&self, label: &str, index: u64) -> B256 {
        draw(self.seed, label, index).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contracts_stand_where_the_real_chain_puts_them() {
        // The first contracts of the first account of every development chain.
        let known: Address = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266".parse().unwrap();
        assert_eq!(format!("{:#x}", created(known, 0)), "0x5fbdb2315678afecb367f032d93f642f64180aa3");
        assert_eq!(format!("{:#x}", created(known, 1)), "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512");
    }

    #[test]
    fn the_seed_decides_the_cast() {
        let (one, same, other) = (World::new(7, 5), World::new(7, 5), World::new(8, 5));
        assert_eq!(one.addresses(), same.addresses());
        assert_ne!(one.addresses(), other.addresses());
        assert_eq!((one.addresses().len(), one.everybody()), (5, 6));
        assert_eq!(one.address(one.deployer()), other.address(other.deployer()));
    }
}
