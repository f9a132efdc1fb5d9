//! Typed settings.

pub mod units;
