//! What lies behind history: chunks of the backlog, read for whoever stands there.
//!
//! A session that history no longer reaches asks for the chunk after its position and is parked until it has come. A
//! chunk is for all sessions in it: a crowd that comes back is one reader. So many chunks are held at a time, and so
//! many reads under way; who finds no room waits in turn, and a chunk gives way once everybody for whom it was read has
//! looked at it. So every session comes on by a chunk before another has its second, and nobody holds memory for longer
//! than it reads.

use super::sessions::Lag;
use super::{Router, SessionRef};
use crate::broker::history::{Position, Read};
use crate::broker::{Backlog, BacklogRead, StreamEntry};
use crate::dialect::Ending;
use crate::event::SourceNumber;
use actix::{Addr, Context, Handler, Message};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of ledgers in a chunk, about: many of them for one question, and little beside history.
const CHUNK: usize = 1 << 20;
/// The same for a session that is fed slowly: of a large chunk most would be let go before it is due. Then a ledger is
/// read twice, for the time at which it is due and when that has come.
const SLOW_CHUNK: usize = 64 << 10;
/// Reads under way at a time: enough to keep a disk busy.
const READS: usize = 4;
/// Seconds after which a chunk that nobody looks at is let go.
const KEPT: u32 = 2;

/// A chunk of the backlog has been read.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReplayRead {
    /// Which reading.
    number: u64,
    /// What came.
    read: BacklogRead,
}

/// The chunks of one Router.
pub struct Replay {
    backlog: Option<Arc<dyn Backlog>>,
    router: Option<Addr<Router>>,
    /// Chunks that may be held or be under way.
    most: usize,
    chunks: Vec<Chunk>,
    readings: Vec<Reading>,
    /// Sessions that found no room.
    waiting: VecDeque<SessionRef>,
    /// Counts readings and looks.
    counter: u64,
    /// The last reading failed, and that has been told.
    failing: bool,
}

/// A place in the backlog that sessions stand at.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stand {
    sources: Arc<[SourceNumber]>,
    /// The sequence that was read last.
    after: u64,
}

/// Ledgers of these sources after a sequence, all up to the last of them.
struct Chunk {
    stand: Stand,
    entries: Vec<Arc<StreamEntry>>,
    /// Those for whom it was read have looked at it.
    served: bool,
    /// When it was looked at last: by the counter, and by the worker's clock.
    looked: u64,
    second: u32,
}

impl Chunk {
    /// Whether it has the next ledger for who stands there.
    fn has(&self, stand: &Stand) -> bool {
        let through = self.entries.last().map_or(0, |entry| entry.sequence);
        (self.stand.after..through).contains(&stand.after) && self.stand.sources == stand.sources
    }
}

/// A chunk under way.
struct Reading {
    number: u64,
    stand: Stand,
    sessions: Vec<SessionRef>,
}

impl Lag {
    /// Where it stands, reading these sources.
    pub(super) fn stand(&self, sources: &Arc<[SourceNumber]>) -> Stand {
        Stand { sources: sources.clone(), after: self.at.read_through() }
    }

    /// How much is read for it at a time.
    pub(super) fn chunk(&self) -> usize {
        if self.pace.as_ref().is_some_and(|pace| pace.is_slow()) { SLOW_CHUNK } else { CHUNK }
    }
}

impl Replay {
    pub fn new(backlog: Option<Arc<dyn Backlog>>, most: usize) -> Replay {
        let (chunks, readings, waiting) = (Vec::new(), Vec::new(), VecDeque::new());
        Replay { backlog, router: None, most, chunks, readings, waiting, counter: 0, failing: false }
    }

    /// Where the chunks are sent.
    pub fn set_router(&mut self, router: Addr<Router>) {
        self.router = Some(router);
    }

    /// Whether the backlog has all that comes after a position.
    pub fn reaches(&self, sources: &[SourceNumber], at: Position) -> bool {
        let backlog = self.backlog.as_ref();
        backlog.is_some_and(|it| sources.iter().all(|source| it.gone_through(*source) <= at.read_through()))
    }

    /// What comes after a position, if a chunk has it.
    pub fn read(&mut self, sources: &Arc<[SourceNumber]>, at: Position, up_to: u64, second: u32) -> Option<Read> {
        let stand = Stand { sources: sources.clone(), after: at.read_through() };
        let chunk = self.chunks.iter_mut().find(|chunk| chunk.has(&stand))?;
        self.counter += 1;
        (chunk.served, chunk.looked, chunk.second) = (true, self.counter, second);
        let entry = &chunk.entries[chunk.entries.partition_point(|entry| entry.sequence <= stand.after)];
        if entry.sequence > up_to {
            return Some(Read::Newest);
        }
        let begun = entry.sequence == at.sequence && at.event != u32::MAX;
        Some(Read::Entry(entry.clone(), if begun { at.event } else { 0 }))
    }

    /// Has the chunk after a position read for a session, which is parked until then; if there is no room, in its turn.
    pub(super) fn ask(&mut self, session: SessionRef, stand: Stand, chunk: usize) {
        // Who waits already was there before.
        let asked = self.join(session, &stand) || self.waiting.is_empty() && self.start(session, stand, chunk);
        if !asked {
            self.waiting.push_back(session);
        }
    }

    /// Waits for a reading that is under way.
    fn join(&mut self, session: SessionRef, stand: &Stand) -> bool {
        let reading = self.readings.iter_mut().find(|reading| reading.stand == *stand);
        reading.map(|reading| reading.sessions.push(session)).is_some()
    }

    /// Begins to read, if there is room.
    fn start(&mut self, session: SessionRef, stand: Stand, chunk: usize) -> bool {
        let unserved = self.chunks.iter().filter(|chunk| !chunk.served).count();
        let (Some(backlog), Some(router)) = (&self.backlog, &self.router) else { return false };
        if self.readings.len() >= READS || self.readings.len() + unserved >= self.most {
            return false;
        }
        self.counter += 1;
        let (number, router) = (self.counter, router.clone());
        let done = Box::new(move |read| router.do_send(ReplayRead { number, read }));
        self.readings.push(Reading { number, stand: stand.clone(), sessions: vec![session] });
        backlog.read(stand.sources, stand.after, chunk, done);
        true
    }

    /// A reading has ended: the sessions that waited for it, and why they cannot go on, unless memory has the rest.
    fn take(&mut self, ReplayRead { number, read }: ReplayRead, second: u32) -> (Vec<SessionRef>, Option<Ending>) {
        let Some(at) = self.readings.iter().position(|reading| reading.number == number) else {
            return (Vec::new(), None);
        };
        let Reading { stand, sessions, .. } = self.readings.swap_remove(at);
        let failure = match read {
            // What was given up while it was read may be missing in it.
            BacklogRead::Entries(entries)
                if !entries.is_empty() && self.reaches(&stand.sources, Position::after(stand.after)) =>
            {
                self.make_room();
                self.counter += 1;
                self.chunks.push(Chunk { stand, entries, served: false, looked: self.counter, second });
                self.failing = false;
                return (sessions, None);
            }
            BacklogRead::Entries(_) | BacklogRead::End => None,
            BacklogRead::Failed(error) => Some(error),
        };
        let ending = if failure.is_some() { Ending::Unreadable } else { Ending::TooSlow };
        if let Some(error) = failure
            && !std::mem::replace(&mut self.failing, true)
        {
            log::error!(error; "the journal cannot be read; clients that lag are closed");
        }
        (sessions, Some(ending))
    }

    /// The chunk that was looked at the longest ago goes, if there are too many.
    fn make_room(&mut self) {
        while self.chunks.len() >= self.most.max(1) {
            let oldest = self.chunks.iter().enumerate().min_by_key(|(_, chunk)| (!chunk.served, chunk.looked));
            let Some((at, _)) = oldest else { break };
            self.chunks.swap_remove(at);
        }
    }

    /// Nobody can be fed any more, so whoever a chunk was read for has looked at it or is gone.
    pub fn all_served(&mut self) {
        self.chunks.iter_mut().for_each(|chunk| chunk.served = true);
    }

    /// Lets go what nobody has looked at for a while.
    pub fn let_go(&mut self, second: u32) {
        self.chunks.retain(|chunk| second.saturating_sub(chunk.second) <= KEPT);
    }
}

impl Router {
    /// Has chunks read for those who waited for room, as far as there is some now.
    pub(super) fn start_waiting(&mut self) {
        if self.replay.waiting.is_empty() {
            return;
        }
        let worker = self.worker.clone();
        let mut sessions = worker.sessions.borrow_mut();
        let most = 2 * sessions.len() + READS;
        if self.replay.waiting.len() > most {
            // Who left is forgotten, so that coming and going makes no queue.
            self.replay.waiting.retain(|session| sessions.slot_of(*session).is_some());
        }
        while let Some(session) = self.replay.waiting.front().copied() {
            let found = sessions.slot_of(session);
            let Some(slot) = found.filter(|slot| slot.lag.as_ref().is_some_and(|lag| lag.parked)) else {
                self.replay.waiting.pop_front();
                continue;
            };
            let Some(lag) = &mut slot.lag else { continue };
            let (stand, chunk) = (lag.stand(lag.sources(&slot.sources)), lag.chunk());
            if self.replay.chunks.iter().any(|chunk| chunk.has(&stand)) {
                // Somebody else's, meanwhile.
                lag.parked = false;
                sessions.make_hungry(session.slot);
            } else if !self.replay.join(session, &stand) && !self.replay.start(session, stand, chunk) {
                break;
            }
            self.replay.waiting.pop_front();
        }
    }
}

impl Handler<ReplayRead> for Router {
    type Result = ();
    fn handle(&mut self, read: ReplayRead, ctx: &mut Context<Self>) {
        let worker = self.worker.clone();
        let (waited, ending) = self.replay.take(read, worker.clock.get());
        {
            let mut sessions = worker.sessions.borrow_mut();
            for session in waited {
                let Some(slot) = sessions.slot_of(session) else { continue };
                let Some(lag) = &mut slot.lag else { continue };
                lag.parked = false;
                let behind = lag.at.ledgers_behind(self.head);
                let sources = lag.sources(&slot.sources).clone();
                let read = || worker.shared.history.read(&sources, lag.at, self.head);
                match ending {
                    Some(ending) if matches!(read(), Read::Gone) => sessions.end(session.slot, ending, behind),
                    _ => {
                        sessions.make_hungry(session.slot);
                    }
                }
            }
        }
        self.start_waiting();
        self.schedule_feeding(ctx);
    }
}

#[cfg(test)]
mod tests;
