//! What operators see: health and metrics.

pub mod admin;
pub mod metrics;
