//! The table of dialects: their names in the configuration and how a mount of each is made.

use super::{Mount, MountContext, flow};
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

/// Makes the mount that a configuration describes.
pub fn build(config: &DialectConfig, context: MountContext, renderings: &mut Renderings) -> Arc<dyn Mount> {
    match config {
        DialectConfig::Flow(config) => Arc::new(flow::FlowMount::new(config.clone(), context, renderings)),
    }
}
