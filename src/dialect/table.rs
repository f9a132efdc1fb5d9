//! The table of dialects: their names in the configuration and how a mount of each is made.

use super::{Mount, MountContext, MountedSource, five_bells, flow, maticvigil, planetmint, rippled};
use crate::broker::Renderings;
use crate::config::Finding;
use serde::Deserialize;
use std::sync::Arc;

/// A mount's `dialect` and `config`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "dialect", content = "config", rename_all = "snake_case")]
pub enum DialectConfig {
    /// Obsrvr Flow.
    Flow(flow::Config),
    /// The WebSocket API of the XRP Ledger's servers.
    Rippled(rippled::Config),
    /// The MaticVigil gateway.
    Maticvigil(maticvigil::Config),
    /// The event streams of a Planetmint node, and its API's roots.
    Planetmint(planetmint::Config),
    /// The API of five-bells-ledger.
    FiveBells(five_bells::Config),
}

impl DialectConfig {
    /// Everything that is wrong with the settings; `contracts` are the names and addresses of those that the mount's
    /// sources watch.
    pub fn problems(&self, sources: &[MountedSource], contracts: &[(&str, &str)]) -> Vec<Finding> {
        match self {
            DialectConfig::Flow(config) => config.problems(),
            DialectConfig::Rippled(config) => config.problems(),
            DialectConfig::Maticvigil(config) => config.problems(contracts),
            DialectConfig::Planetmint(config) => config.problems(),
            DialectConfig::FiveBells(config) => config.problems(sources),
        }
    }

    /// Whether clients come in as one of its own users, so that they need no other token.
    pub fn has_users(&self) -> bool {
        matches!(self, DialectConfig::FiveBells(_))
    }
}

/// Makes the mount that a configuration describes.
pub fn build(config: &DialectConfig, context: MountContext, renderings: &mut Renderings) -> Arc<dyn Mount> {
    match config {
        DialectConfig::Flow(config) => Arc::new(flow::FlowMount::new(config.clone(), context, renderings)),
        DialectConfig::Rippled(config) => Arc::new(rippled::RippledMount::new(config.clone(), context, renderings)),
        DialectConfig::Maticvigil(config) => {
            Arc::new(maticvigil::MaticVigilMount::new(config.clone(), context, renderings))
        }
        DialectConfig::Planetmint(config) => {
            Arc::new(planetmint::PlanetmintMount::new(config.clone(), context, renderings))
        }
        DialectConfig::FiveBells(config) => {
            Arc::new(five_bells::FiveBellsMount::new(config.clone(), context, renderings))
        }
    }
}
