//! Batches → sessions: the one central [`Broker`], its [`Router`] in each worker thread, and what
//! they share.
//!
//! In: whole ledgers from sources ([`Append`]); changes of subscription from sessions
//! ([`Register`]). Out: bytes in the sessions' outboxes, each ledger with one write for each
//! session while its socket takes all.
//!
//! Who owns what: the Broker alone appends to [`History`] and decides at which point of the stream
//! a subscription begins; a Router owns the index and the slots of the sessions on its thread; an
//! [`Outbox`] belongs to one session's link and is written by that session and its Router.
//!
//! What always holds:
//! * ledgers and changes reach a Router through one mailbox, in one order, and a change carries
//!   the head at which it was stamped: "registered at N" means everything after N, nothing twice;
//! * the Broker keeps at most one unanswered [`Advance`] for each Router, so a slow thread costs
//!   neither memory nor anybody else's time;
//! * a session is a subscription and a position. At the head it is live; behind it, it is fed
//!   from history in bounded steps until it is at the head again;
//! * what memory no longer holds is read from the [`Backlog`], a chunk at a time, for whoever stands
//!   there; where it does not reach either, the session is told or closed;
//! * nobody's slowness reaches a source: the Broker only appends.

mod actor;
mod backlog;
mod entry;
mod filter;
mod follower;
mod history;
mod index;
mod locate;
mod outbox;
mod rendering;
mod router;
mod stretch;
#[cfg(test)]
pub(crate) mod testing;

pub use actor::{Advanced, Broker, Join, Register, Wish};
pub use backlog::{Backlog, BacklogRead, Find, Found};
pub use entry::{Piece, StreamEntry};
pub use filter::{Clause, MAX_TAGS, Subscription};
pub use follower::{Followed, follow};
pub use history::{Begin, Behind, Fork, History, InMemory, Kept, Opened, Past, Position, Read, Resumption};
pub use index::{Hit, Index};
pub use locate::{Located, Locator, Replayed, SourcePlace, judge, judge_end};
pub use outbox::{Bound, MAX_CHUNKS, Outbox};
pub use rendering::{Render, RenderingId, Renderings};
pub use router::{
    Advance, Apply, Census, Drain, Feed, Lags, MountEntry, OUTBOX_TOTAL, Resume, Revoke, Router, SessionRef,
    SessionReport, Sessions, SortBy, TakeCensus, WorkerCount,
};
pub use stretch::{Stretch, Stretches};

use crate::event::LedgerBatch;
use std::collections::BTreeMap;
use std::time::Instant;

/// A source hands over the next ledger. The answer means that the broker has taken it, and that the journal is not
/// too far behind; a source keeps at most [`MAX_UNTAKEN`] unanswered.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub struct Append {
    /// The ledger.
    pub batch: LedgerBatch,
    /// When it was posted: what latency counts from.
    pub posted: Instant,
    /// What the source counts over all ledgers, after this one: kept in the same step as the ledger.
    pub counters: BTreeMap<String, u64>,
}

/// Ledgers that a source may have posted and the broker not taken.
pub const MAX_UNTAKEN: usize = 4;

/// Ends the process when one of the actors that everybody depends on dies of a panic: whoever
/// watches the process starts it again, and the clients come back. Silence they could not see.
pub(crate) fn end_if_panicking(actor: &str) {
    if std::thread::panicking() {
        log::error!(actor; "died of a panic; the process ends");
        std::process::exit(EXIT_SOFTWARE);
    }
}

/// The exit code for an internal error, as sysexits.h has it.
const EXIT_SOFTWARE: i32 = 70;
