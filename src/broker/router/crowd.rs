//! Who goes when too much waits on a thread: in all its outboxes together, or of messages that clients
//! have begun and not ended.
//!
//! Until then, and for everybody else, being full costs nobody an event or a message: what is not queued
//! is read from history later, sockets that take data are written to as ever, and who sends waits.

use super::Router;
use super::sessions::Sessions;
use crate::dialect::Ending;
use crate::session::{End, Phase, Worker};
use std::cmp::Reverse;

/// The reason in logs and metrics: a limit of the server, which clients know as being too slow.
pub const OUTBOX_TOTAL: &str = "outbox_total";

/// A client of which no byte has left for two whole seconds, on a clock of whole seconds, takes nothing.
const TAKES_NOTHING: u32 = 3;

/// Seconds of crowd after which those who still take something go as well. Who reads at an honest pace
/// makes room in that time.
const PATIENCE: u32 = 10;

impl Router {
    /// Once a second: closes the slowest sessions if it has been crowded for a second, at first only those
    /// that take nothing.
    pub(super) fn relieve(&mut self, sessions: &mut Sessions, worker: &Worker) {
        if !worker.waiting.is_crowded() {
            self.crowded = 0;
            return;
        }
        self.crowded += 1;
        // A moment's crowd, as after a large ledger, goes away by itself.
        if self.crowded == 1 {
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
        for (stalled, lag, waiting, slot) in candidates {
            if left <= worker.waiting.relieved() || stalled < TAKES_NOTHING && self.crowded < PATIENCE {
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

    /// Once a second: refuses the messages that have been under way the longest, if there is too much of
    /// such, and has the senders of the others look whether they may go on.
    pub(super) fn refuse_messages(&mut self, sessions: &mut Sessions, worker: &Worker) {
        // Once more after it: who waits is not told by those who make room.
        let crowded = worker.under_way.is_crowded();
        if !std::mem::replace(&mut self.senders_wait, crowded) && !crowded {
            return;
        }
        let mut holders: Vec<_> = sessions
            .iter()
            .filter_map(|(slot, found)| found.link.message().map(|message| (message.since, slot, message.held)))
            .collect();
        holders.sort_unstable();
        let mut left = worker.under_way.bytes();
        for (since, slot, held) in holders {
            let Some(found) = sessions.slot(slot) else { continue };
            // What began a moment ago may end in the next.
            if crowded && left > worker.under_way.relieved() && since < worker.clock.get() {
                left -= held;
                found.link.refuse_message();
            } else {
                found.link.wake();
            }
        }
    }
}
