//! Ledger RPC → batches.
//!
//! In: one ledger's RPC, polled. Out: [`LedgerBatch`]es posted to the broker: complete or not at
//! all, in order, never twice, never skipping silently.
//!
//! Who owns what: a [`Ledger`] knows one RPC and fetches and decodes the next ledger; the
//! [`Source`] actor does the rest for all of them: the poll rhythm, back-off, posting, checkpoint,
//! gauges. [`SourceStatus`] is shared with health and metrics. [`RpcClient`] is there for ledgers
//! that speak JSON-RPC.
//!
//! What always holds:
//! * each source lives on a thread of its own, named `src-<name>`, so that decoding delays no session;
//! * ledger indices go forward by exactly one, except where the batch carries a break
//!   ([`crate::event::Continuity`]) that is announced;
//! * at most [`crate::broker::MAX_UNTAKEN`] batches wait for the broker;
//! * a checkpoint is written together with its ledger ([`crate::journal`]), after the broker took the batch, so that
//!   after a crash a ledger may come again (the broker drops what it has) but none is missed;
//! * a checkpoint is only used for the source, network and settings that it was written for.
//!
//! Adding a ledger: one folder, and one line in each list of `table.rs`.

mod actor;
mod backoff;
mod checkpoint;
mod error;
pub mod evm;
pub mod planetmint;
mod probe;
pub mod recording;
mod rpc;
mod settings;
mod status;
pub mod stellar;
mod subjects;
mod table;
#[cfg(test)]
mod testing;
mod upstream;
pub mod xrpl;

pub use actor::{Settings, Source, SourceHandle, Stop, start};
pub(crate) use backoff::Backoff;
pub use checkpoint::{Checkpoint, OldCheckpoint, short_digest};
pub use error::{Refusal, SourceError};
pub use probe::{Found, LONGEST_PROBE, Probe};
pub use rpc::{Reply, RpcClient, RpcUrl, Settings as RpcSettings, header_from_file, without_secrets};
pub(crate) use rpc::{cut, header};
pub use settings::{OnGap, OnReset, Secret, StartLedger};
pub use status::{RECENT, Recent, Snapshot, SourceStatus, State, Trouble, monotonic_nanos};
pub use table::{Coin, Context, LedgerConfig, NATIVES, build, native_json, probe, scope, upstream};
pub use upstream::{CallLimits, CallUpstream, Upstream, UpstreamActor};

use crate::event::LedgerBatch;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

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
///
/// Any of its futures may be dropped before it ends, when the source stops.
pub trait Ledger: 'static {
    /// Names every setting that restricts or shapes what comes: a checkpoint of another scope is
    /// not used.
    fn scope(&self) -> String;

    /// How long to sleep at the tip.
    fn poll_interval(&self) -> Duration;

    /// How long to stay away at most after an error, of our own: what a server asks for may be longer.
    fn longest_wait(&self, _: &SourceError) -> Duration {
        backoff::LONGEST
    }

    /// Asks the network who it is: the network's id. A network that is not the configured one is
    /// an error.
    fn identify(&mut self) -> LocalFuture<'_, Result<Arc<str>, SourceError>>;

    /// Settles where to begin: after `checkpoint`, which is of this network, else as configured.
    fn open(&mut self, checkpoint: Option<Checkpoint>) -> LocalFuture<'_, Result<(), SourceError>>;

    /// Fetches the ledger after our position and moves the position past it; on any error the
    /// position stays. Never a part of a ledger.
    fn next(&mut self) -> LocalFuture<'_, Result<Next, SourceError>>;

    /// The ledger that is due next, once opened.
    fn due(&self) -> Option<u64>;

    /// The newest ledger that the RPC told of.
    fn newest(&self) -> Option<u64>;

    /// What it counts over all ledgers, up to the batch given last; kept in the checkpoint.
    fn counters(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
}
