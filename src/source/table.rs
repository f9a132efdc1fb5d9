//! Stand-in.

use super::{Ledger, stellar};
use serde::Deserialize;

/// A source's `type` and `config`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", content = "config", rename_all = "snake_case")]
pub enum LedgerConfig {
    /// Stellar RPC.
    StellarRpc(stellar::Config),
}

/// Stand-in.
pub fn build(_: &LedgerConfig) -> Option<Box<dyn Ledger>> {
    None
}
