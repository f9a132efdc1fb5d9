//! ledgercast

pub mod devnet;
pub mod event;
