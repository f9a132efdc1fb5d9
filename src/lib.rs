//! ledgercast

pub mod broker;
pub mod cli;
pub mod config;
pub mod devnet;
pub mod dialect;
pub mod event;
pub mod logging;
pub mod server;
pub mod session;
pub mod source;
