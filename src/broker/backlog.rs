//! What the routers ask for ledgers that memory no longer holds.

use super::StreamEntry;
use crate::event::{Chain, SourceNumber};
use std::sync::Arc;

/// Ledgers that memory no longer holds. Asked from actor threads: never blocks.
pub trait Backlog: Send + Sync + 'static {
    /// The ledgers of these sources after `after` (a broker sequence), oldest first, at least one if there is one, about
    /// `bytes` of weight at most. `done` is called once, on any thread.
    ///
    /// Who asks looks at [`Backlog::gone_through`] first: what is given up before or while it is read is answered by
    /// [`BacklogRead::End`], never by what comes after a silent hole. Ledgers that were never written, since the disk was
    /// full, come as one ledger without events whose break is a gap that names them.
    fn read(&self, sources: Arc<[SourceNumber]>, after: u64, bytes: usize, done: Box<dyn FnOnce(BacklogRead) + Send>);

    /// Where a ledger of a network stands. `done` is called once, on any thread.
    fn find(&self, source: SourceNumber, what: Find, done: Box<dyn FnOnce(Found) + Send>);

    /// Sequence of the newest entry of this source that is NOT kept any more (0: nothing was ever given up). Cheap.
    fn gone_through(&self, source: SourceNumber) -> u64;
}

/// What was read of the ledgers after a sequence.
#[derive(Debug)]
pub enum BacklogRead {
    /// Some, oldest first.
    Entries(Vec<Arc<StreamEntry>>),
    /// Nothing after it on disk: memory has the rest, or it is the head, or it was given up meanwhile.
    End,
    /// It could not be read, and why.
    Failed(String),
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// A ledger by its index.
    Ledger {
        /// Its index.
        index: u64,
        /// The chain that it is of.
        chain: Chain,
    },
    /// The oldest that can be given.
    Oldest,
}

/// Where a ledger stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The sequence of that ledger. One that could not be kept stands where the ledger before it
    /// does: who reads on from there is told which are missing.
    At(u64),
    /// Older than what is kept.
    Gone {
        /// The oldest index that can be given.
        oldest_index: u64,
        /// Its sequence.
        oldest: u64,
    },
    /// Not there yet: newer than the newest.
    Ahead {
        /// The newest index; 0 where there is none at all.
        newest_index: u64,
    },
    /// Another chain: the index is there with another hash.
    OtherChain {
        /// The last ledger that both have, if that is known.
        last_common: Option<u64>,
    },
    /// It could not be looked for, and why.
    Failed(String),
}
