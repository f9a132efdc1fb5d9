//! The table of dialects: their names in the configuration and how a mount of each is made.

use super::{Mount, flow};
use crate::broker::Renderings;
use serde::Deserialize;
use std::sync::Arc;

/// A mount's `dialect` and `config`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "dialect", content = "config", rename_all = "snake_case")]
pub enum DialectConfig {
    /// Obsrvr Flow.
    Flow(flow::Config),
}

/// Makes the mount that a configuration describes, for clients that may filter by
/// `values_per_session` values (`limits.values_per_session`).
pub fn build(config: &DialectConfig, values_per_session: usize, renderings: &mut Renderings) -> Arc<dyn Mount> {
    match config {
        DialectConfig::Flow(config) => Arc::new(flow::FlowMount::new(config.clone(), values_per_session, renderings)),
    }
}
