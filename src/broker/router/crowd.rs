//! Who goes when the outboxes of a thread have been full together for a second: the slowest first.
//!
//! Until then, and for everybody else, being full costs nobody an event: what is not queued is read
//! from history later, and sockets that take data are written to as ever.

use super::Router;
use super::sessions::Sessions;
use crate::dialect::Ending;
use crate::session::{End, Phase, Worker};
use std::cmp::Reverse;

/// The reason in logs and metrics: a limit of the server, which clients know as being too slow.
pub const OUTBOX_TOTAL: &str = "outbox_total";

impl Router {
    /// Once a second: closes the slowest sessions if it has been crowded for a second.
    pub(super) fn relieve(&mut self, sessions: &mut Sessions, worker: &Worker) {
        let crowded = worker.waiting.is_crowded();
        // A moment's crowd, as after a large ledger, goes away by itself.
        if !std::mem::replace(&mut self.crowded, crowded) || !crowded {
            return;
        }
        let now = worker.clock.get();
        let mut left = 0;
        let mut candidates = Vec::new();
        for slot in sessions.slots() {
            let Some(found) = sessions.slot(slot) else { continue };
            let waiting = found.link.waiting();
            if waiting == 0 || found.ending || found.link.phase() != Phase::Open {
                continue;
            }
            left += waiting;
            let behind = found.ledgers_behind(self.head);
            candidates.push((found.link.stalled_for(now), behind, waiting, slot));
        }
        candidates.sort_unstable_by_key(|slowness| Reverse(*slowness));
        let mut closed = 0;
        for (_, lag, waiting, slot) in candidates {
            if left <= worker.waiting.relieved() {
                break;
            }
            left -= waiting;
            closed += 1;
            sessions.end_as(slot, End { ending: Ending::TooSlow, reason: OUTBOX_TOTAL, lag });
        }
        if closed > 0 {
            log::warn!(
                router = self.worker.number, closed, waiting = worker.waiting.bytes();
                "the outboxes are full together (limits.outbox_total); the slowest clients are closed"
            );
        }
    }
}
