//! ledgercast

pub mod event;
