//! Calls to a ledger's RPC on behalf of clients: never over the poller's connections.

use super::LocalFuture;
use crate::dialect::{CallError, Reply};

/// Answers clients' calls to one ledger's RPC. Lives on a thread of its own; several calls run at a time, and a
/// future is dropped when its client has left.
pub trait Upstream: 'static {
    /// Calls `method` with `parameters`, the text of a JSON object. The answer is the RPC's own result, also where
    /// that says that the call was refused.
    fn call<'a>(&'a self, method: &'a str, parameters: &'a str) -> LocalFuture<'a, Result<Reply, CallError>>;
}
