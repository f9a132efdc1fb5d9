//! Takes one ledger to the live sessions of a thread, in slices.
//!
//! First the break before it, if there is one, to every session of its source. Then the groups:
//! one joined chunk for all. Then those that the index finds, each with all its frames at once.
//! So every session gets the ledger with one write, while its socket takes all.

use super::sessions::{Lag, Sessions};
use crate::broker::history::Position;
use crate::broker::index::Hit;
use crate::broker::{Piece, StreamEntry};
use crate::dialect::Ending;
use crate::session::Worker;
use bytes::Bytes;
use std::sync::Arc;

/// Hits that are held at a time: what bounds the memory of a ledger that matches everybody's
/// filters. Beyond it, sessions get the ledger in more than one write.
const MAX_HITS: usize = 1 << 18;

/// One ledger under way.
pub struct Job {
    pub entry: Arc<StreamEntry>,
    stage: Stage,
    /// Frames of one session, kept for their memory.
    frames: Vec<Bytes>,
    /// The events that they belong to.
    events: Vec<u32>,
}

enum Stage {
    Begin,
    Announce { slots: Vec<u32>, at: usize },
    Groups { group: usize, at: usize, pieces: Option<Vec<Piece>> },
    Match { from: u32 },
    Selected { matched: Matched, at: usize, next: u32 },
}

/// What the index found in a row of events, by session.
#[derive(Default)]
struct Matched {
    /// Sessions in the order in which they were found, each with its first hit.
    sessions: Vec<(u32, u32)>,
    hits: Vec<LinkedHit>,
}

struct LinkedHit {
    event: u32,
    mask: u32,
    /// The same session's next hit, or [`NO_HIT`].
    next: u32,
}

const NO_HIT: u32 = u32::MAX;

impl Job {
    pub fn new(entry: Arc<StreamEntry>) -> Job {
        Job { entry, stage: Stage::Begin, frames: Vec::new(), events: Vec::new() }
    }

    /// Goes on until the budget is used up. True when the ledger has been taken to all.
    pub fn run(&mut self, worker: &Worker, budget: &mut usize) -> bool {
        let mut sessions = worker.sessions.borrow_mut();
        let sessions = &mut *sessions;
        sessions.job_runs = true;
        loop {
            match &mut self.stage {
                Stage::Begin if self.entry.batch.continuity.is_some() => {
                    self.stage = Stage::Announce { slots: sessions.slots(), at: 0 };
                }
                Stage::Begin => self.stage = Stage::Groups { group: 0, at: 0, pieces: None },
                Stage::Announce { slots, at } => {
                    while *at < slots.len() {
                        if *budget == 0 {
                            return false;
                        }
                        *budget -= 1;
                        announce(sessions, slots[*at], &self.entry, worker);
                        *at += 1;
                    }
                    self.stage = Stage::Groups { group: 0, at: 0, pieces: None };
                }
                Stage::Groups { group, at, pieces } => {
                    let Some(current) = sessions.groups.get(*group) else {
                        self.stage = Stage::Match { from: 0 };
                        continue;
                    };
                    if current.members.is_empty() || !current.sources.contains(&self.entry.batch.source) {
                        *group += 1;
                        continue;
                    }
                    let pieces = pieces.get_or_insert_with(|| {
                        let pieces = self.entry.joined(&worker.shared.renderings, current.rendering, current.kinds);
                        self.frames.clear();
                        self.frames.extend(pieces.iter().map(|piece| piece.bytes.clone()));
                        pieces
                    });
                    let members = if pieces.is_empty() { 0 } else { current.members.len() };
                    while *at < members {
                        if *budget == 0 {
                            return false;
                        }
                        *budget -= 1;
                        let slot = sessions.groups[*group].members[*at];
                        *at += 1;
                        deliver_pieces(sessions, slot, &self.entry, pieces, &self.frames, worker);
                    }
                    self.stage = Stage::Groups { group: *group + 1, at: 0, pieces: None };
                }
                Stage::Match { from } => {
                    if *from >= self.entry.len() {
                        return true;
                    }
                    let (matched, next) = find(sessions, &self.entry, *from);
                    // Matching is work as well: about as much for an event as a write.
                    *budget = budget.saturating_sub((next - *from) as usize / 8);
                    self.stage = Stage::Selected { matched, at: 0, next };
                }
                Stage::Selected { matched, at, next } => {
                    while *at < matched.sessions.len() {
                        if *budget == 0 {
                            return false;
                        }
                        let found = matched.sessions[*at];
                        *at += 1;
                        self.frames.clear();
                        self.events.clear();
                        deliver_selected(
                            sessions,
                            found,
                            &matched.hits,
                            &self.entry,
                            (&mut self.frames, &mut self.events),
                            worker,
                        );
                        // Many frames are work as well.
                        *budget = budget.saturating_sub(1 + self.frames.len() / 16);
                    }
                    let next = *next;
                    self.stage = Stage::Match { from: next };
                }
            }
        }
    }
}

/// Looks events up until all are done or enough hits are held; tells the event to go on with.
fn find(sessions: &mut Sessions, entry: &StreamEntry, from: u32) -> (Matched, u32) {
    let index = &mut sessions.indexes[usize::from(entry.batch.source)];
    let mut matched = Matched::default();
    if index.is_empty() {
        return (matched, entry.len());
    }
    let mut found: Vec<Hit> = Vec::new();
    // By slot: the session's last hit so far.
    let mut last: hashbrown::HashMap<u32, u32> = hashbrown::HashMap::new();
    let mut event = from;
    while event < entry.len() && matched.hits.len() < MAX_HITS {
        index.matches(&entry.batch.events[event as usize], &mut found);
        for hit in &found {
            let at = matched.hits.len() as u32;
            matched.hits.push(LinkedHit { event, mask: hit.mask, next: NO_HIT });
            match last.insert(hit.slot, at) {
                Some(before) => matched.hits[before as usize].next = at,
                None => matched.sessions.push((hit.slot, at)),
            }
        }
        event += 1;
    }
    (matched, event)
}

fn announce(sessions: &mut Sessions, slot: u32, entry: &StreamEntry, worker: &Worker) {
    let Some(found) = sessions.slot(slot) else { return };
    let Some(subscription) = &found.subscription else { return };
    if found.lag.is_some() || !found.sources.contains(&entry.batch.source) {
        return;
    }
    match entry.announcement(&worker.shared.renderings, subscription.rendering) {
        Some(frame) => {
            if found.link.deliver(&[frame], worker) == 0 {
                sessions.lag(slot, Lag::new(Position { sequence: entry.sequence, event: 0 }));
            }
        }
        None => sessions.end(slot, Ending::Gap, 0),
    }
}

fn deliver_pieces(
    sessions: &mut Sessions,
    slot: u32,
    entry: &StreamEntry,
    pieces: &[Piece],
    frames: &[Bytes],
    worker: &Worker,
) {
    let Some(found) = sessions.slot(slot) else { return };
    if found.lag.is_some() || found.ending || found.subscription.is_none() {
        return;
    }
    let taken = found.link.deliver(frames, worker);
    let events = pieces[..taken].iter().map(|piece| u64::from(piece.events)).sum();
    worker.counters.delivered(found.mount.number, events);
    if let Some(refused) = pieces.get(taken) {
        fall_behind(sessions, slot, entry, refused.first_event);
    }
}

fn deliver_selected(
    sessions: &mut Sessions,
    (slot, first): (u32, u32),
    hits: &[LinkedHit],
    entry: &StreamEntry,
    (frames, events): (&mut Vec<Bytes>, &mut Vec<u32>),
    worker: &Worker,
) {
    let Some(found) = sessions.slot(slot) else { return };
    let Some(subscription) = &found.subscription else { return };
    if found.lag.is_some() || found.ending {
        return;
    }
    let mut at = first;
    while let Some(hit) = hits.get(at as usize) {
        let frame = entry.frames(&worker.shared.renderings, subscription.rendering, hit.event);
        if !frame.is_empty() {
            frames.push(copies(frame, subscription.copies(hit.mask)));
            events.push(hit.event);
        }
        at = hit.next;
    }
    let taken = found.link.deliver(frames, worker);
    worker.counters.delivered(found.mount.number, taken as u64);
    if let Some(refused) = events.get(taken) {
        fall_behind(sessions, slot, entry, *refused);
    }
}

/// From this event on the session reads from history.
fn fall_behind(sessions: &mut Sessions, slot: u32, entry: &StreamEntry, event: u32) {
    let at = Position { sequence: entry.sequence, event };
    let announced = entry.batch.continuity.is_some();
    sessions.lag(slot, Lag { announced, ..Lag::new(at) });
}

/// One chunk with so many copies of a frame: they are taken or refused together.
pub fn copies(frame: &Bytes, count: u32) -> Bytes {
    match count {
        1 => frame.clone(),
        _ => frame.repeat(count as usize).into(),
    }
}
