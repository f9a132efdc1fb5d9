//! Ledger RPC → batches.
//!
//! In: one ledger's RPC, polled. Out: [`LedgerBatch`]es posted to the broker: complete or not at
//! all, in order, never twice, never skipping silently.
//!
//! Who owns what: a [`Ledger`] knows one RPC and fetches and decodes the next ledger; the Source
//! actor does the rest for all of them: the poll rhythm, back-off, posting, checkpoint, gauges.
//!
//! Adding a ledger: one folder, and one line in each list of [`table`].

pub mod stellar;
mod table;

pub use table::{LedgerConfig, build};

use crate::event::LedgerBatch;
use std::future::Future;
use std::pin::Pin;

/// A future that stays on its thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a poll brought.
#[derive(Debug)]
pub enum Next {
    /// The next ledger, whole.
    Batch(Box<LedgerBatch>),
    /// The ledger after our position is not closed yet.
    NotYet,
}

/// One kind of ledger RPC: given its position, fetches and decodes the next ledger.
pub trait Ledger: 'static {
    /// Asks the network who it is and settles where to begin: after `checkpoint`, else as configured.
    fn open(&mut self, checkpoint: Option<Checkpoint>) -> LocalFuture<'_, Result<(), SourceError>>;

    /// Fetches the ledger after our position and moves the position past it; on any error the
    /// position stays. Never a part of a ledger.
    fn next(&mut self) -> LocalFuture<'_, Result<Next, SourceError>>;
}

/// Stand-in.
pub struct Checkpoint;
/// Stand-in.
#[derive(Debug)]
pub struct SourceError;
