//! The families of ledgers.

use std::fmt;

/// Ledgers that are alike: a dialect that shows one family's own facts understands that family alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
