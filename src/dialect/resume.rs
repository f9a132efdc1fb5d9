//! Where a client goes on that was there before, and what it is told of it.

use crate::event::{Cursor, CursorError};
use std::sync::Arc;

/// Why a client cannot go on where it says. The texts are sent to it, so they repeat nothing of what it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// No cursor of ours.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The mount shows no such network.
    #[error("the cursor is of a network that is not shown here; go on where it came from")]
    OtherNetwork,
    /// A number says nothing where several ledgers are shown.
    #[error("several ledgers are shown here, so that a number names none; send the cursor of an event")]
    SeveralSources,
    /// From the future.
    #[error("ledger {ledger} is not there yet, the newest is {newest}; begin there or without a position")]
    Ahead {
        /// The ledger.
        ledger: u64,
        /// The newest.
        newest: u64,
    },
    /// A ledger that was replaced, or of a network that began anew.
    #[error("ledger {ledger} is of another chain, and where the two part is not known; name an earlier ledger")]
    OtherChain {
        /// The ledger.
        ledger: u64,
    },
    /// Ledgers are gone, and the dialect has no words for it.
    #[error("ledgers {from} to {to} are not kept any more")]
    Gone {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The end of a replay is from the future.
    #[error(
        "until: ledger {ledger} is not there yet, the newest is {newest}; leave it out to go on with what happens now"
    )]
    EndAhead {
        /// The ledger.
        ledger: u64,
        /// The newest.
        newest: u64,
    },
    /// The end of a replay is where it begins, or before that.
    #[error("until: ledger {ledger} is not after the beginning; name a later one")]
    EndBefore {
        /// The ledger.
        ledger: u64,
    },
    /// The end of a replay is gone.
    #[error("until: ledger {ledger} is not kept any more; name a later one")]
    EndGone {
        /// The ledger.
        ledger: u64,
    },
    /// The end of a replay is a ledger that was replaced.
    #[error("until: ledger {ledger} is of another chain; name its number")]
    EndOtherChain {
        /// The ledger.
        ledger: u64,
    },
    /// Nothing is known of a source yet.
    #[error("no ledger was read yet; try again in a moment")]
    NotReady,
    /// The journal fails.
    #[error("what is kept cannot be read now; try again in a moment")]
    Unavailable,
}

/// How a client goes on where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Ledgers between there and the head.
    pub ledgers: u64,
    /// Events between there and the head, before filtering.
    pub events: u64,
    /// What is gone of them; it goes on with the oldest that is kept.
    pub lost: Vec<Lost>,
    /// Where the client was on a chain that no longer counts; it goes on after the last ledger of both.
    pub parted: Vec<Parted>,
    /// Networks of which it named no place: they begin with what happens now.
    pub from_head: Vec<Arc<str>>,
}

/// What is told at the end of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayEnd {
    /// The last ledger, as the client named it.
    pub ledger: u64,
    /// With it a later session goes on after the end.
    pub cursor: Cursor,
    /// Ledgers that were passed.
    pub ledgers: u64,
    /// Events that the client got of them.
    pub events: u64,
}

/// Ledgers of a network that are not kept any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The network.
    pub network: Arc<str>,
    /// The first; of that one the client may have had a part.
    pub from_ledger: u64,
    /// The last.
    pub to_ledger: u64,
}

/// Where a network's chain left the one that a client was on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parted {
    /// The network.
    pub network: Arc<str>,
    /// The last ledger of both.
    pub last_common_ledger: u64,
}
