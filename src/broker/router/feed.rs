//! Feeds lagging sessions from history, and behind it from the backlog, in bounded steps, round robin, until they are
//! at the head.

use super::fan_out::copies;
use super::sessions::Sessions;
use super::{Granted, Router, SessionRef, pace};
use crate::broker::history::{Begin, Position, Read};
use crate::broker::{Clause, StreamEntry, Subscription};
use crate::dialect::Ending;
use crate::event::SourceNumber;
use crate::session::Worker;
use bytes::Bytes;
use hashbrown::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events that lagging sessions may examine in one turn, and the time they may take, so that the
/// live sessions of the thread hardly notice them.
const TURN_EVENTS: usize = 2_000;
const TURN_TIME: Duration = Duration::from_millis(1);

/// The time of a turn in which somebody reads from the backlog, and the bytes that are rendered for such a session at
/// once: a replay may go on for minutes, and a ledger that closes meanwhile must hardly wait for it.
const REPLAY_TIME: Duration = Duration::from_micros(400);
const REPLAY_BYTES: usize = 64 << 10;
/// How long nobody is fed after such a turn, where somebody is live: on two cores, the p99 of live clients beside 20 that
/// read the past was 3.9 times what it is alone without this, and is 1.4 times with it (`cargo bench --bench replay`).
pub(super) const REST: Duration = Duration::from_millis(1);

/// What was read and matched in this turn, so that history is asked once for each ledger, and
/// sessions at the same ledger with equal clauses are matched once: a crowd that reconnects is one
/// reader. Emptied after the turn: a lagging reader holds no ledger between its steps.
#[derive(Default)]
pub struct Memo {
    read: HashMap<(Arc<[SourceNumber]>, Position, u64), Read>,
    wanted: HashMap<MatchKey, Rc<[Wanted]>>,
    /// Somebody reads from the backlog.
    replays: bool,
}

/// A ledger's sequence and the clauses it was held against.
type MatchKey = (u64, Arc<[Clause]>);

impl Memo {
    fn clear(&mut self) {
        self.read.clear();
        self.wanted.clear();
        self.replays = false;
    }

    /// Whether the turn that began then is over.
    fn is_over(&self, started: Instant) -> bool {
        started.elapsed() >= if self.replays { REPLAY_TIME } else { TURN_TIME }
    }
}

/// An event that a subscription wants, with the mask of its clauses.
#[derive(Clone, Copy)]
pub struct Wanted {
    event: u32,
    mask: u32,
}

/// How far a session was fed.
enum Fed {
    /// It can take more at its next turn.
    More,
    /// Its outbox is full, it is live, or it is told to close: somebody else wakes it.
    Enough,
    /// At the head, but the ledger after it is being taken round: again when that has ended.
    AtHead,
}

impl Router {
    pub(super) fn has_hungry(&self) -> bool {
        self.worker.sessions.borrow().hungry_count() > 0
    }

    /// One turn: every lagging session that can take more gets its share. Whether somebody read from the backlog.
    pub(super) fn feed_turn(&mut self) -> bool {
        let worker = self.worker.clone();
        let mut sessions = worker.sessions.borrow_mut();
        let mut left = TURN_EVENTS;
        let started = Instant::now();
        let mut waiting = Vec::new();
        // Each at most once, so that nobody takes the turn of another.
        for _ in 0..sessions.hungry_count() {
            if left == 0 || self.memo.is_over(started) {
                break;
            }
            let Some(slot) = sessions.next_hungry() else { break };
            match self.feed(&mut sessions, slot, &worker, &mut left, started) {
                Fed::More | Fed::AtHead => waiting.push(slot),
                Fed::Enough => {}
            }
        }
        for slot in waiting {
            sessions.make_hungry(slot);
        }
        let replays = self.memo.replays;
        self.memo.clear();
        if sessions.hungry_count() == 0 {
            self.replay.all_served();
        }
        drop(sessions);
        self.start_waiting();
        replays
    }

    fn feed(&mut self, sessions: &mut Sessions, slot: u32, worker: &Worker, left: &mut usize, started: Instant) -> Fed {
        let history = &worker.shared.history;
        loop {
            let Some(found) = sessions.slot(slot) else { return Fed::Enough };
            let (Some(lag), Some(subscription), false) = (&mut found.lag, &found.subscription, found.ending) else {
                return Fed::Enough;
            };
            if !found.link.can_take(worker) {
                return Fed::Enough;
            }
            if lag.held {
                return Fed::Enough;
            }
            if lag.pace.as_ref().is_some_and(|pace| pace.is_told()) {
                pace::end(sessions, slot, worker);
                return Fed::Enough;
            }
            let at = lag.at;
            if at.is_boundary()
                && let Some(wish) = lag.pending.take()
            {
                match sessions.grant(worker, slot, wish, Begin::at(at)) {
                    Granted::Subscribed => continue,
                    Granted::Held => return Fed::Enough,
                }
            }
            if lag.is_aside() {
                return Fed::Enough;
            }
            if lag.has_ended() {
                pace::end(sessions, slot, worker);
                return Fed::Enough;
            }
            let (sources, up_to) = (lag.sources(&found.sources).clone(), lag.up_to(self.head));
            let read = self.memo.read.entry((sources.clone(), at, up_to));
            let read = read.or_insert_with_key(|(sources, at, up_to)| history.read(sources, *at, *up_to)).clone();
            let replays = matches!(read, Read::Gone);
            self.memo.replays |= replays;
            let read = match read {
                Read::Gone => self.replay.read(&sources, at, up_to, worker.clock.get()),
                read => Some(read),
            };
            let (entry, from) = match read {
                Some(Read::Entry(entry, from)) => (entry, from),
                Some(Read::Newest) if lag.limit() == Some(up_to) => {
                    pace::end(sessions, slot, worker);
                    return Fed::Enough;
                }
                Some(Read::Newest) if lag.begin_next() => continue,
                Some(Read::Newest) if self.job.is_some() => return Fed::AtHead,
                Some(Read::Newest) => {
                    found.lag = None;
                    return Fed::Enough;
                }
                Some(Read::Gone) | None if self.replay.reaches(&sources, at) => {
                    lag.parked = true;
                    let session = SessionRef { router: worker.number, slot, number: found.number };
                    self.replay.ask(session, lag.stand(&sources), lag.chunk());
                    return Fed::Enough;
                }
                Some(Read::Gone) | None => {
                    let behind = at.ledgers_behind(self.head);
                    sessions.end(slot, Ending::TooSlow, behind);
                    return Fed::Enough;
                }
            };
            if let Some(pace) = &mut lag.pace
                && self.set_aside(pace, entry.batch.ledger.closed_at, slot, found.number)
            {
                return Fed::Enough;
            }
            if *left == 0 {
                return Fed::More;
            }
            let announcement = if from == 0 && !lag.announced && entry.batch.continuity.is_some() {
                match entry.announcement(&worker.shared.renderings, subscription.rendering) {
                    Some(frame) => Some(frame),
                    None => {
                        sessions.end(slot, Ending::Gap, 0);
                        return Fed::Enough;
                    }
                }
            } else {
                None
            };
            let wanted = matches(&mut self.memo, &entry, subscription, left);
            let before = |event: u32| wanted.partition_point(|wanted| wanted.event < event);
            let range = lag.events(entry.sequence, from);
            let wanted = &wanted[before(range.start)..before(range.end)];
            let frame = |wanted: &Wanted| {
                let frame = entry.frames(&worker.shared.renderings, subscription.rendering, wanted.event);
                copies(frame, subscription.copies(wanted.mask))
            };
            let announced = announcement.is_some();
            // More than the outbox may hold would not be taken anyway, and need not be rendered yet.
            let cap = worker.shared.limits.outbox.cap;
            let (cap, mut bytes) = (if replays { cap.min(REPLAY_BYTES) } else { cap }, 0);
            let fits = |frame: &Bytes| {
                let fits = bytes <= cap;
                bytes += frame.len();
                fits
            };
            let all = announcement.into_iter().chain(wanted.iter().map(frame));
            let frames: Vec<Bytes> = all.take_while(fits).collect();
            let taken = found.link.deliver(&frames, worker);
            let events_taken = taken - usize::from(announced && taken > 0);
            worker.counters.delivered(found.mount.number, events_taken as u64);
            *left = left.saturating_sub(taken);
            lag.announced = (lag.announced || (announced && taken > 0)) && events_taken < wanted.len();
            lag.at = match wanted.get(events_taken) {
                None if taken == frames.len() => Position::after(entry.sequence),
                Some(refused) if taken > 0 || !announced => Position { sequence: entry.sequence, event: refused.event },
                _ => Position { sequence: entry.sequence, event: from },
            };
            if let Some(pace) = &mut lag.pace {
                pace.passed(events_taken, lag.at == Position::after(entry.sequence));
            }
            if taken < frames.len() {
                // No room, in this outbox or in all together: bytes wait, or the socket wakes its task.
                return Fed::Enough;
            }
            if self.memo.is_over(started) {
                return Fed::More;
            }
        }
    }
}

/// The events of a ledger that a subscription wants; examined once in a turn for equal ones.
fn matches(memo: &mut Memo, entry: &StreamEntry, subscription: &Subscription, left: &mut usize) -> Rc<[Wanted]> {
    let key = (entry.sequence, subscription.clauses.clone());
    let examine = || {
        *left = left.saturating_sub(entry.batch.events.len());
        let wanted = |(index, event)| match subscription.mask(event) {
            0 => None,
            mask => Some(Wanted { event: index as u32, mask }),
        };
        entry.batch.events.iter().enumerate().filter_map(wanted).collect()
    };
    memo.wanted.entry(key).or_insert_with(examine).clone()
}
