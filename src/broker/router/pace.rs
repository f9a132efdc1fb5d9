//! Replays: sessions in the past that are fed no faster than they asked for, and no further.
//!
//! A session whose next ledger is not due is set aside: nobody looks at it, and it holds nothing, until the one timer
//! of the thread says so. What it reads ahead of its time it forgets.

use super::sessions::{Sessions, Slot};
use super::{Router, SessionRef};
use crate::broker::history::Position;
use crate::broker::locate::Replayed;
use crate::dialect::frame::Frames;
use crate::dialect::{Ending, ReplayEnd};
use crate::event::Speed;
use crate::session::Worker;
use actix::{AsyncContext, Context, SpawnHandle};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

/// Up to this speed, in thousandths, a chunk of the backlog would be let go before much of it is due.
const SLOW: u32 = 10_000;

/// How a session is fed that replays.
pub struct Pace {
    replay: Arc<Replayed>,
    /// When its first ledger was taken up, and when that had closed.
    began: Option<(Instant, i64)>,
    /// When the last ledger that was looked at is due.
    due: Option<Instant>,
    /// Set aside until then.
    aside: Option<Instant>,
    /// The end has been told; it is closed when all has left.
    told: bool,
    ledgers: u64,
    events: u64,
}

impl Pace {
    pub fn new(replay: Arc<Replayed>) -> Pace {
        Pace { replay, began: None, due: None, aside: None, told: false, ledgers: 0, events: 0 }
    }

    /// How fast it goes.
    pub fn speed(&self) -> Speed {
        self.replay.speed
    }

    /// When a ledger that closed then is due, if that is not yet: the first at once, the others as long after it as
    /// they closed, by the speed, and none before the one ahead of it.
    fn due_after(&mut self, now: Instant, closed_at: i64) -> Option<Instant> {
        let (began, first) = *self.began.get_or_insert((now, closed_at));
        let later = u64::try_from(closed_at.saturating_sub(first)).unwrap_or(0);
        // A time that cannot be told never comes; the session may leave before.
        let due = began + self.replay.speed.takes(later)?.min(NEVER);
        let due = self.due.map_or(due, |before| before.max(due));
        self.due = Some(due);
        (due > now).then_some(due)
    }

    /// The sequence beyond which it reads nothing.
    pub fn limit(&self) -> Option<u64> {
        let (Position { sequence, event }, _) = self.replay.end.as_ref()?;
        Some(if *event == 0 { sequence.saturating_sub(1) } else { *sequence })
    }

    /// The first event of a ledger that comes after the end.
    pub fn end_within(&self, ledger: u64) -> u32 {
        let end = self.replay.end.as_ref().filter(|(at, _)| at.sequence == ledger);
        end.map_or(u32::MAX, |(at, _)| at.event)
    }

    /// Not looked at until the timer says so.
    pub fn is_aside(&self) -> bool {
        self.aside.is_some()
    }

    /// Only its last bytes are waited for.
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// So many events were fed, and with them the rest of a ledger.
    pub fn passed(&mut self, events: usize, whole: bool) {
        self.events += events as u64;
        self.ledgers += u64::from(whole);
    }

    /// Whether little shall be read at a time.
    pub fn is_slow(&self) -> bool {
        matches!(self.replay.speed, Speed::Times(thousandths) if thousandths <= SLOW)
    }

    fn end(&self) -> ReplayEnd {
        let end = self.replay.end.as_ref().map(|(_, end)| end.clone());
        ReplayEnd { ledgers: self.ledgers, events: self.events, ..end.unwrap_or_default() }
    }
}

/// Longer than anybody waits, and short enough to be added to any time.
const NEVER: std::time::Duration = std::time::Duration::from_secs(100 * 365 * 86_400);

/// The sessions of a thread that are set aside, by when they are due.
#[derive(Default)]
pub struct Aside {
    heap: BinaryHeap<Reverse<(Instant, u32, u64)>>,
    /// What the timer is set to.
    timer: Option<(Instant, SpawnHandle)>,
}

impl Slot {
    /// How it replays, if it does.
    pub fn pace(&self) -> Option<&Pace> {
        self.lag.as_ref()?.pace.as_deref()
    }
}

/// Ends a replay that has come to its end: told at once, closed when all has left.
pub(super) fn end(sessions: &mut Sessions, slot: u32, worker: &Worker) {
    let Some(found) = sessions.slot(slot) else { return };
    let (Some(lag), Some(subscription)) = (&mut found.lag, &found.subscription) else { return };
    let Some(pace) = &mut lag.pace else { return };
    if !std::mem::replace(&mut pace.told, true) {
        let rendering = worker.shared.renderings.get(subscription.rendering);
        let (frame, _) = Frames::collect(|frames| rendering.replay_end(&pace.end(), frames));
        if !frame.is_empty() {
            found.link.push_answer(frame, worker);
            found.link.flush(worker);
        }
    }
    if found.link.waiting() == 0 {
        sessions.end(slot, Ending::ReplayEnd, 0);
    }
}

impl Router {
    /// Sets a session aside whose next ledger closed then, if that is not due.
    pub(super) fn set_aside(&mut self, pace: &mut Pace, closed_at: i64, slot: u32, number: u64) -> bool {
        let due = pace.due_after(Instant::now(), closed_at);
        if let Some(due) = due {
            pace.aside = Some(due);
            self.aside.heap.push(Reverse((due, slot, number)));
        }
        due.is_some()
    }

    /// Sets the timer to the session that is due first.
    pub(super) fn arm(&mut self, ctx: &mut Context<Self>) {
        let sessions = self.worker.sessions.borrow();
        if self.aside.heap.len() > 2 * sessions.len() {
            // Who left is forgotten, so that coming and going makes no queue.
            let is_there = |slot: u32, number| sessions.get(slot).is_some_and(|found| found.number == number);
            self.aside.heap.retain(|Reverse((_, slot, number))| is_there(*slot, *number));
        }
        drop(sessions);
        let Some(Reverse((due, ..))) = self.aside.heap.peek() else { return };
        let due = *due;
        match self.aside.timer {
            Some((armed, _)) if armed <= due => return,
            Some((_, timer)) => _ = ctx.cancel_future(timer),
            None => {}
        }
        let timer = ctx.run_later(due.saturating_duration_since(Instant::now()), |router, ctx| {
            router.aside.timer = None;
            router.take_up();
            router.work(ctx);
        });
        self.aside.timer = Some((due, timer));
    }

    /// Those whose time has come can be fed.
    fn take_up(&mut self) {
        let worker = self.worker.clone();
        let mut sessions = worker.sessions.borrow_mut();
        let heap = &mut self.aside.heap;
        let now = Instant::now();
        while let Some(Reverse((due, slot, number))) = heap.peek().copied()
            && due <= now
        {
            heap.pop();
            let session = SessionRef { router: worker.number, slot, number };
            let pace = sessions.slot_of(session).and_then(|slot| slot.lag.as_mut()?.pace.as_mut());
            if let Some(pace) = pace {
                pace.aside = None;
                sessions.make_hungry(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn pace(speed: &str) -> Pace {
        Pace::new(Arc::new(Replayed { speed: speed.parse().unwrap(), end: None }))
    }

    /// When ledgers are due that closed at these times, in milliseconds after the first was taken up. Looked at `late`
    /// after each is due.
    fn due(speed: &str, closed: &[i64], late: u64) -> Vec<u64> {
        let (mut pace, start) = (pace(speed), Instant::now());
        let mut now = start;
        let mut all = Vec::new();
        for closed_at in closed {
            let due = pace.due_after(now, *closed_at).unwrap_or(now);
            // Asked again, as by one who was woken early, it says the same.
            assert_eq!(pace.due_after(now, *closed_at).unwrap_or(now), due);
            all.push((due - start).as_millis() as u64);
            now = due + Duration::from_millis(late);
        }
        all
    }

    #[test]
    fn ledgers_are_due_as_they_closed() {
        let closed = [100, 105, 105, 111];
        assert_eq!(due("1x", &closed, 0), [0, 5000, 5000, 11_000]);
        assert_eq!(due("10x", &closed, 0), [0, 500, 500, 1100]);
        assert_eq!(due("0.5x", &closed, 0), [0, 10_000, 10_000, 22_000]);
        assert_eq!(due("max", &closed, 0), [0, 0, 0, 0]);
        // Who is late for one is not late for the next, and catches up where that is past.
        assert_eq!(due("1x", &closed, 1000), [0, 5000, 6000, 11_000]);
        // Of two networks one may be behind, or its clock set back.
        assert_eq!(due("1x", &[100, 105, 103, 106], 0), [0, 5000, 5000, 6000]);
        assert_eq!(due("1x", &[100, 90, 101], 0), [0, 0, 1000]);
        // Times that nothing ever closed at.
        for closed in [[i64::MIN, i64::MAX], [0, i64::MAX], [i64::MAX, i64::MIN]] {
            assert!(due("0.1x", &closed, 0)[1] <= NEVER.as_millis() as u64);
        }
    }

    #[test]
    fn the_end_is_a_place_in_the_stream() {
        let of = |at| Pace::new(Arc::new(Replayed { speed: Speed::Max, end: Some((at, ReplayEnd::default())) }));
        let whole = of(Position::after(7));
        assert_eq!((whole.limit(), whole.end_within(7), whole.end_within(6)), (Some(7), u32::MAX, u32::MAX));
        let within = of(Position { sequence: 7, event: 3 });
        assert_eq!((within.limit(), within.end_within(7), within.end_within(6)), (Some(7), 3, u32::MAX));
        assert_eq!(of(Position { sequence: 7, event: 0 }).limit(), Some(6));
        assert_eq!(pace("1x").limit(), None);
    }
}
