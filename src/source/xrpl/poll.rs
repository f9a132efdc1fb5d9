//! Follows the validated ledgers of a server.

use super::Config;
use crate::source::{Checkpoint, Context, Ledger, LocalFuture, Next, SourceError};
use std::sync::Arc;
use std::time::Duration;

/// The source's ledger.
pub struct XrplRpc {
    config: Config,
}

impl XrplRpc {
    /// No connection yet.
    pub fn new(config: Config, _: Context) -> XrplRpc {
        XrplRpc { config }
    }
}

impl Ledger for XrplRpc {
    fn scope(&self) -> String {
        String::new()
    }

    fn poll_interval(&self) -> Duration {
        self.config.timeout.0
    }

    fn identify(&mut self) -> LocalFuture<'_, Result<Arc<str>, SourceError>> {
        Box::pin(async { Ok("xrpl".into()) })
    }

    fn open(&mut self, _: Option<Checkpoint>) -> LocalFuture<'_, Result<(), SourceError>> {
        Box::pin(async { Ok(()) })
    }

    fn next(&mut self) -> LocalFuture<'_, Result<Next, SourceError>> {
        Box::pin(async { Ok(Next::NotYet) })
    }

    fn due(&self) -> Option<u64> {
        None
    }

    fn newest(&self) -> Option<u64> {
        None
    }
}
