//! What happens once a second for every session of a thread: the only timer there is.

use super::Router;
use super::sessions::Slot;
use crate::dialect::{Ending, frame};
use crate::session::{CLOSING, Phase, Ring, Worker};
use std::time::Duration;

/// Seconds over which the pings of sessions that came together are spread.
const PING_SPREAD: u64 = 4;

/// What a session needs this second.
enum Need {
    Nothing,
    Ping,
    Ring,
    End(Ending),
    GiveUp,
}

impl Router {
    pub(super) fn tick(&mut self) {
        let worker = self.worker.clone();
        worker.clock.set(worker.clock.get() + 1);
        super::unconstrained(|| {
            let mut sessions = worker.sessions.borrow_mut();
            for slot in sessions.slots() {
                let Some(found) = sessions.slot(slot) else { continue };
                match need(found, &worker) {
                    Need::Nothing => {}
                    Need::Ping => found.link.ping(frame::EMPTY_PING, &worker),
                    Need::Ring => {
                        found.alarm = None;
                        if let Some(session) = &found.session {
                            session.do_send(Ring);
                        }
                    }
                    Need::End(ending) => {
                        let behind = found.lag.as_ref().map_or(0, |lag| self.head.saturating_sub(lag.at.sequence));
                        sessions.end(slot, ending, behind);
                    }
                    Need::GiveUp => found.link.give_up(),
                }
            }
        });
        worker.hand_over_counts();
    }
}

fn need(slot: &Slot, worker: &Worker) -> Need {
    let (link, now) = (&slot.link, worker.clock.get());
    let manners = slot.mount.dialect.manners();
    let over = |seconds: u32, limit: Duration| u64::from(seconds) >= limit.as_secs();
    match link.phase() {
        Phase::Over => return Need::Nothing,
        Phase::Closing(since) if now.saturating_sub(since) >= CLOSING => return Need::GiveUp,
        Phase::Closing(_) => return Need::Nothing,
        Phase::Open if slot.ending => return Need::Nothing,
        Phase::Open => {}
    }
    if over(link.stalled_for(now), worker.shared.limits.stall) {
        return Need::End(Ending::TooSlow);
    }
    if over(link.silent_for(now), manners.dead_after) {
        return Need::End(Ending::Dead);
    }
    if slot.alarm.is_some_and(|alarm| link.opened.elapsed() >= alarm) {
        return Need::Ring;
    }
    // Spread, so that a crowd that came together is not pinged together.
    let early = (slot.number % PING_SPREAD) as u32;
    if over(link.idle_for(now) + early, manners.ping_after) {
        return Need::Ping;
    }
    Need::Nothing
}
