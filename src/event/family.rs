//! The families of ledgers.

use super::Hash;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Ledgers that are alike: a dialect that shows one family's own facts understands that family alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Stellar.
    Stellar,
    /// The XRP Ledger.
    Xrpl,
    /// Chains that run the Ethereum virtual machine.
    Evm,
    /// Planetmint and BigchainDB.
    Planetmint,
}

impl Family {
    /// The family of a network, by its id such as `evm-137`.
    pub fn of_network(id: &str) -> Family {
        match id.split('-').next() {
            Some("stellar") => Family::Stellar,
            Some("xrpl") => Family::Xrpl,
            Some("evm") => Family::Evm,
            _ => Family::Planetmint,
        }
    }

    /// A hash as people of this family write one.
    pub fn written(self, hash: &Hash) -> String {
        match self {
            Family::Xrpl => hash.to_string().to_uppercase(),
            family => format!("{}{hash}", family.hash_prefix()),
        }
    }

    /// What stands before the digits of a hash where people of this family write one.
    pub const fn hash_prefix(self) -> &'static str {
        match self {
            Family::Evm => "0x",
            Family::Stellar | Family::Xrpl | Family::Planetmint => "",
        }
    }
}

/// The family's name for people.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Stellar => "Stellar",
            Family::Xrpl => "the XRP Ledger",
            Family::Evm => "an EVM chain",
            Family::Planetmint => "Planetmint",
        })
    }
}
