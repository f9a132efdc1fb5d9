//! The table of ledgers: their names in the configuration and how each is made.

use super::{Ledger, Probe, SourceError, SourceStatus, stellar};
use crate::event::SourceNumber;
use serde::Deserialize;
use std::sync::Arc;

/// A source's `type` and `config`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", content = "config", rename_all = "snake_case")]
pub enum LedgerConfig {
    /// A Stellar RPC node.
    StellarRpc(stellar::Config),
}

impl LedgerConfig {
    /// The addresses that are asked, in order, without what may be secret in them.
    pub fn endpoints(&self) -> Vec<String> {
        match self {
            LedgerConfig::StellarRpc(config) => config.endpoints(),
        }
    }
}

/// What a ledger needs to know of the source it works for.
#[derive(Debug, Clone)]
pub struct Context {
    /// The number that its batches carry.
    pub source: SourceNumber,
    /// Where it tells what an operator should read.
    pub status: Arc<SourceStatus>,
}

/// Makes the ledger that a configuration describes. No connection yet.
pub fn build(config: &LedgerConfig, context: Context) -> Box<dyn Ledger> {
    match config {
        LedgerConfig::StellarRpc(config) => Box::new(stellar::StellarRpc::new(config.clone(), context)),
    }
}

/// Asks each address that a configuration names once, one after the other, each for
/// [`super::LONGEST_PROBE`] at most. An error: nothing can be asked with these settings.
pub async fn probe(config: &LedgerConfig) -> Result<Vec<Probe>, SourceError> {
    match config {
        LedgerConfig::StellarRpc(config) => stellar::probe(config).await,
    }
}
