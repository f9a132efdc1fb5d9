//! The sessions of one thread: their slots, and what finds those that want an event.

use super::pace::Pace;
use crate::broker::history::{Begin, Opened, Position};
use crate::broker::index::Index;
use crate::broker::{Clause, RenderingId, StreamEntry, Subscription, Wish};
use crate::dialect::Mount;
use crate::event::{KindSet, Mark, Replay, SourceNumber};
use crate::server::access::Access;
use crate::session::{Link, Session};
use actix::Addr;
use slab::Slab;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A session, from anywhere. Numbers are never reused, slots are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionRef {
    /// The Router of its thread.
    pub router: u16,
    /// Its slot there.
    pub slot: u32,
    /// Its number on that thread.
    pub number: u64,
}

/// The name of a session in logs and answers: no other session of the process has it.
impl fmt::Display for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.router, self.number)
    }
}

/// A mount as sessions see it.
pub struct MountEntry {
    /// From 0, over all listeners: where its counts are kept.
    pub number: u16,
    /// Where it is: the longest prefix wins.
    pub path: String,
    /// The dialect that is spoken there.
    pub dialect: Arc<dyn Mount>,
    /// The sources whose events it shows.
    pub sources: Arc<[SourceNumber]>,
    /// Who may connect.
    pub access: Access,
    /// Whether clients may say in their handshake where they go on.
    pub resume: bool,
    /// Whether they may say how fast and until where, too.
    pub replay: bool,
    /// Where every session begins that does not say, and how it is fed: for mounts that show a past and nothing else.
    pub begin: Option<(Mark, Replay)>,
}

/// One connection's place in its thread.
pub struct Slot {
    pub number: u64,
    pub link: Rc<Link>,
    pub mount: Arc<MountEntry>,
    /// The sources whose events it shows: the mount's, or some of them.
    pub sources: Arc<[SourceNumber]>,
    /// While the actor lives.
    pub session: Option<Addr<Session>>,
    pub subscription: Option<Subscription>,
    /// Its group, for subscriptions to everything of some kinds.
    group: Option<GroupSeat>,
    /// Behind the head; `None`: live, or not registered.
    pub lag: Option<Box<Lag>>,
    /// Waits in the queue of lagging sessions that can take more.
    hungry: bool,
    /// Told to close.
    pub ending: bool,
    /// When the dialect wants to be woken, after opening.
    pub alarm: Option<Duration>,
}

impl Slot {
    /// Ledgers up to `head` that it has not been fed wholly; 0 for a live session.
    pub fn ledgers_behind(&self, head: u64) -> u64 {
        self.lag.as_ref().map_or(0, |lag| lag.at.ledgers_behind(head))
    }
}

/// A position behind the head.
pub struct Lag {
    pub at: Position,
    /// The break before the ledger at `at` has been announced already.
    pub announced: bool,
    /// Takes effect at the next boundary.
    pub pending: Option<Wish>,
    /// Not fed until its session says so.
    pub held: bool,
    /// Not fed until a chunk of the backlog has come.
    pub parked: bool,
    /// Its client was there before: it keeps the position even while it has no subscription.
    pub resumed: bool,
    /// Sources that begin later than the others.
    pub later: Option<Box<Later>>,
    /// How fast and until where it is fed, if it says so.
    pub pace: Option<Box<Pace>>,
}

/// A session whose sources begin at different positions, for a client that had more of one than of another.
pub struct Later {
    /// The sources that have begun.
    pub begun: Arc<[SourceNumber]>,
    /// The others, the next last.
    waiting: Vec<(Position, SourceNumber)>,
}

impl Lag {
    pub fn new(at: Position) -> Lag {
        let (pending, later, pace) = (None, None, None);
        Lag { at, announced: false, pending, held: false, parked: false, resumed: false, later, pace }
    }

    /// Of a session of these sources.
    pub fn from(begin: &Begin, sources: &[SourceNumber]) -> Lag {
        let Some(resumed) = &begin.resumed else { return Lag::new(begin.at) };
        let waiting = resumed.later.clone();
        let has_begun = |source: &SourceNumber| waiting.iter().all(|(_, waits)| waits != source);
        let begun = sources.iter().copied().filter(has_begun).collect();
        let later = (!waiting.is_empty()).then(|| Box::new(Later { begun, waiting }));
        let pace = resumed.replay.clone().map(|replay| Box::new(Pace::new(replay)));
        Lag { resumed: true, announced: resumed.anew, later, pace, ..Lag::new(begin.at) }
    }

    /// The sources that it reads now, of all that its session shows.
    pub fn sources<'a>(&'a self, all: &'a Arc<[SourceNumber]>) -> &'a Arc<[SourceNumber]> {
        self.later.as_ref().map_or(all, |later| &later.begun)
    }

    /// How far it may read before another source begins, or it ends.
    pub fn up_to(&self, head: u64) -> u64 {
        let next = self.later.as_ref().and_then(|later| later.waiting.last());
        let next = next.map_or(head, |(at, _)| at.read_through().min(head));
        self.limit().map_or(next, |limit| limit.min(next))
    }

    /// The sequence beyond which it reads nothing.
    pub fn limit(&self) -> Option<u64> {
        self.pace.as_ref().and_then(|pace| pace.limit())
    }

    /// Whether it has read all that it may.
    pub fn has_ended(&self) -> bool {
        self.limit().is_some_and(|limit| limit <= self.at.read_through())
    }

    /// What it may read of a ledger, from this event on. Of two sources one may begin after the end of the other.
    pub fn events(&self, ledger: u64, from: u32) -> Range<u32> {
        let through = self.pace.as_ref().map_or(u32::MAX, |pace| pace.end_within(ledger));
        from.min(through)..through
    }

    /// Whether its next ledger is not due.
    pub fn is_aside(&self) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.is_aside())
    }

    /// Whether nobody need look at it: what it waits for wakes it.
    fn waits(&self) -> bool {
        self.parked || self.is_aside() && self.pending.is_none()
    }

    /// Everything before the beginning of the next source was read: it begins. False where there is none.
    pub fn begin_next(&mut self) -> bool {
        let Some(later) = &mut self.later else { return false };
        let Some((at, _)) = later.waiting.last().copied() else { return false };
        self.at = self.at.max(at);
        let mut begun = later.begun.to_vec();
        while let Some((_, source)) = later.waiting.pop_if(|(next, _)| *next <= at) {
            begun.push(source);
        }
        later.begun = begun.into();
        if later.waiting.is_empty() {
            self.later = None;
        }
        true
    }
}

/// How far the sessions of a thread are behind the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lags {
    /// Sessions that are behind, by how many ledgers: [`Lags::CLASSES`].
    pub sessions: [usize; 4],
    /// Sessions that replay: behind because they want to be.
    pub replaying: usize,
    /// Ledgers that the last of them is behind.
    pub largest: u64,
}

impl Lags {
    /// The greatest number of ledgers in each class, with its name in metrics.
    pub const CLASSES: [(&'static str, u64); 4] = [("1", 1), ("10", 10), ("100", 100), ("more", u64::MAX)];

    fn count(&mut self, ledgers: u64) {
        let class = Lags::CLASSES.iter().position(|(_, up_to)| ledgers <= *up_to);
        self.sessions[class.unwrap_or(Lags::CLASSES.len() - 1)] += 1;
        self.largest = self.largest.max(ledgers);
    }
}

/// Sessions that want everything of the same kinds in the same form: no index, one chunk for all.
pub struct Group {
    pub sources: Arc<[SourceNumber]>,
    pub rendering: RenderingId,
    pub kinds: KindSet,
    /// Slots. [`VACANT`] where one left while a ledger was under way.
    pub members: Vec<u32>,
    vacancies: bool,
}

/// A seat left while a ledger was being taken round; nobody moves up until that has ended.
const VACANT: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct GroupSeat {
    group: u32,
    seat: u32,
}

/// The sessions of one thread.
pub struct Sessions {
    slots: Slab<Slot>,
    next_number: u64,
    pub groups: Vec<Group>,
    /// By source: the subscriptions that are no group's.
    pub indexes: Vec<Index>,
    hungry: VecDeque<u32>,
    /// The server stops: who is not told yet is told at its start.
    pub draining: bool,
    /// A ledger is being taken round.
    pub job_runs: bool,
    /// Sequence of the newest ledger that was taken round.
    pub head: u64,
    /// By source: events up to the head.
    events: Vec<u64>,
}

impl Sessions {
    /// No sessions yet, over so many sources.
    pub fn new(sources: usize) -> Sessions {
        Sessions {
            slots: Slab::new(),
            next_number: 1,
            groups: Vec::new(),
            indexes: (0..sources).map(|_| Index::new()).collect(),
            hungry: VecDeque::new(),
            draining: false,
            job_runs: false,
            head: 0,
            events: vec![0; sources],
        }
    }

    /// A place for a new connection.
    pub fn open(
        &mut self,
        router: u16,
        link: Rc<Link>,
        mount: Arc<MountEntry>,
        sources: Arc<[SourceNumber]>,
    ) -> (SessionRef, Opened) {
        let number = self.next_number;
        self.next_number += 1;
        let events = sources.iter().map(|source| self.events[usize::from(*source)]).sum();
        let opened = Opened { at: Position::after(self.head), events };
        let slot = self.slots.insert(Slot {
            number,
            link,
            mount,
            sources,
            session: None,
            subscription: None,
            group: None,
            lag: None,
            hungry: false,
            ending: false,
            alarm: None,
        });
        (SessionRef { router, slot: slot as u32, number }, opened)
    }

    /// The connection is over.
    pub fn close(&mut self, session: SessionRef) {
        if self.slot_of(session).is_some() {
            self.unsubscribe(session.slot);
            self.slots.remove(session.slot as usize);
        }
    }

    /// The slot of a session, if it still lives.
    pub fn slot_of(&mut self, session: SessionRef) -> Option<&mut Slot> {
        self.slots.get_mut(session.slot as usize).filter(|slot| slot.number == session.number)
    }

    pub fn slot(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(slot as usize)
    }

    /// Every session with its slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.slots.iter().map(|(slot, found)| (slot as u32, found))
    }

    /// Every slot in use.
    pub fn slots(&self) -> Vec<u32> {
        self.slots.iter().map(|(slot, _)| slot as u32).collect()
    }

    /// A session by its slot.
    pub fn get(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(slot as usize)
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes a session out of its group or the index.
    pub fn unsubscribe(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        if entry.subscription.take().is_none() {
            return;
        }
        match entry.group.take() {
            Some(seat) => self.leave(seat),
            None => {
                for source in entry.sources.iter() {
                    self.indexes[usize::from(*source)].remove(slot);
                }
            }
        }
    }

    fn leave(&mut self, seat: GroupSeat) {
        let group = &mut self.groups[seat.group as usize];
        if self.job_runs {
            group.members[seat.seat as usize] = VACANT;
            group.vacancies = true;
            return;
        }
        group.members.swap_remove(seat.seat as usize);
        if let Some(moved) = group.members.get(seat.seat as usize).copied() {
            self.reseat(moved, seat);
        }
    }

    fn reseat(&mut self, slot: u32, seat: GroupSeat) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.group = Some(seat);
        }
    }

    /// Puts a session into its group or the index.
    pub fn enter(&mut self, slot: u32, subscription: Subscription) {
        debug_assert!(subscription.clauses.iter().all(Clause::is_sorted), "dialects sort the lists of their clauses");
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        let sources = entry.sources.clone();
        match subscription.everything_of() {
            Some(kinds) => {
                let rendering = subscription.rendering;
                let same =
                    |group: &Group| group.rendering == rendering && group.kinds == kinds && group.sources == sources;
                let group = self.groups.iter().position(same).unwrap_or_else(|| {
                    self.groups.push(Group { sources, rendering, kinds, members: Vec::new(), vacancies: false });
                    self.groups.len() - 1
                });
                let members = &mut self.groups[group].members;
                entry.group = Some(GroupSeat { group: group as u32, seat: members.len() as u32 });
                members.push(slot);
            }
            None => {
                for source in sources.iter() {
                    self.indexes[usize::from(*source)].insert(slot, &subscription.clauses);
                }
            }
        }
        entry.subscription = Some(subscription);
    }

    /// The session reads from history from now on.
    pub fn lag(&mut self, slot: u32, lag: Lag) {
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            entry.lag = Some(Box::new(lag));
        }
    }

    /// Every live session reads from history from now on.
    pub fn all_lag(&mut self, at: Position) {
        let live: Vec<u32> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.subscription.is_some() && slot.lag.is_none())
            .map(|(slot, _)| slot as u32)
            .collect();
        for slot in live {
            self.lag(slot, Lag::new(at));
            self.make_hungry(slot);
        }
    }

    /// Queues a lagging session that can take more. True if it is the first in the queue.
    pub fn make_hungry(&mut self, slot: u32) -> bool {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return false };
        if entry.lag.as_ref().is_none_or(|lag| lag.waits()) || entry.hungry || entry.ending {
            return false;
        }
        entry.hungry = true;
        self.hungry.push_back(slot);
        self.hungry.len() == 1
    }

    /// The next lagging session that can take more.
    pub fn next_hungry(&mut self) -> Option<u32> {
        loop {
            let slot = self.hungry.pop_front()?;
            // It may have left, and its slot may be another's by now.
            if let Some(entry) = self.slots.get_mut(slot as usize)
                && std::mem::take(&mut entry.hungry)
            {
                return Some(slot);
            }
        }
    }

    /// How many lagging sessions wait to be fed.
    pub fn hungry_count(&self) -> usize {
        self.hungry.len()
    }

    /// Sequence of the newest ledger that was taken round or is under way.
    pub fn newest(&self) -> u64 {
        self.head + u64::from(self.job_runs)
    }

    /// How many ledgers a session is behind.
    pub fn ledgers_behind(&self, session: SessionRef) -> u64 {
        let slot = self.slots.get(session.slot as usize).filter(|slot| slot.number == session.number);
        slot.map_or(0, |slot| slot.ledgers_behind(self.newest()))
    }

    /// How far the sessions are behind the head.
    pub fn lags(&self) -> Lags {
        let newest = self.newest();
        let mut lags = Lags::default();
        for (_, slot) in self.iter().filter(|(_, slot)| slot.lag.is_some()) {
            match slot.pace() {
                None => lags.count(slot.ledgers_behind(newest)),
                Some(_) => lags.replaying += 1,
            }
        }
        lags
    }

    /// Ledgers were passed over: what opens now begins after them.
    pub fn skip_to(&mut self, head: u64, events: Vec<u64>) {
        self.head = head;
        self.events = events;
    }

    /// A ledger has been taken round: the head moves on, and groups close their ranks.
    pub fn job_ended(&mut self, entry: &StreamEntry) {
        self.job_runs = false;
        self.head = entry.sequence;
        self.events[usize::from(entry.batch.source)] = entry.first_event + u64::from(entry.len());
        for group in 0..self.groups.len() {
            if !std::mem::take(&mut self.groups[group].vacancies) {
                continue;
            }
            self.groups[group].members.retain(|slot| *slot != VACANT);
            for seat in 0..self.groups[group].members.len() {
                let slot = self.groups[group].members[seat];
                self.reseat(slot, GroupSeat { group: group as u32, seat: seat as u32 });
            }
        }
    }
}
