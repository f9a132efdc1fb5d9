//! ledgercast

pub mod broker;
pub mod cli;
pub mod config;
pub mod dialect;
pub mod event;
pub mod logging;
pub mod server;
/// Stand-in.
pub mod session {
    /// Stand-in.
    pub const MAX_WAITING_CHANGES: usize = 16;
}
pub mod source;
