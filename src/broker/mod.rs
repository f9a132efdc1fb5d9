//! Batches → sessions.

mod filter;
mod history;
mod index;
mod rendering;

pub use filter::{Clause, MAX_TAGS, Subscription};
pub use history::StreamEntry;
pub use index::{Hit, Index};
pub use rendering::{Render, RenderingId, Renderings};

use crate::event::LedgerBatch;
use std::time::Instant;

/// A source hands over the next ledger. The answer means that the broker has taken it; a source
/// keeps at most [`MAX_UNTAKEN`] unanswered.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub struct Append {
    /// The ledger.
    pub batch: LedgerBatch,
    /// When it was posted: what latency counts from.
    pub posted: Instant,
}

/// Ledgers that a source may have posted and the broker not taken.
pub const MAX_UNTAKEN: usize = 4;
