//! ledgercast

pub mod broker;
pub mod config;
pub mod dialect;
pub mod event;
pub mod source;
