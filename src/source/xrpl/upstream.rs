//! Answers clients' own calls to the server.

use super::Config;
use crate::dialect::{CallError, Reply};
use crate::source::{LocalFuture, Upstream};

/// The server as clients' calls reach it.
pub struct XrplUpstream;

impl XrplUpstream {
    /// No connection yet. `None`: settings that the source itself will refuse.
    pub fn new(_: &Config, _: usize) -> Option<XrplUpstream> {
        Some(XrplUpstream)
    }
}

impl Upstream for XrplUpstream {
    fn call<'a>(&'a self, _: &'a str, _: &'a str) -> LocalFuture<'a, Result<Reply, CallError>> {
        Box::pin(async { Err(CallError::Unreachable) })
    }
}
