//! Recent ledgers in the order of the stream, shared by the broker and the routers.
//!
//! Each source has its own row and its own budget, so that a busy ledger does not push out a quiet
//! one. The order over all sources is the broker sequence. Readers take the lock once for each
//! ledger and hold nothing but an `Arc` of it meanwhile.

mod marks;

pub use marks::{Fork, InMemory};

use super::entry::StreamEntry;
use super::locate::Replayed;
use crate::dialect::Resumed;
use crate::event::{Hash, LedgerBatch, SourceNumber};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A place in the stream of all sources: everything before it has been delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Broker sequence of the ledger that is read next, or of a ledger before the next one.
    pub sequence: u64,
    /// The event in it that is read next; `u32::MAX` when all of it was read.
    pub event: u32,
}

impl Position {
    /// After the whole ledger of this sequence. Sequences begin at 1, so `after(0)` is the
    /// beginning of the stream.
    pub const fn after(sequence: u64) -> Position {
        Position { sequence, event: u32::MAX }
    }

    /// Ledgers up to `head`, of all sources, that are not wholly before the position.
    pub const fn ledgers_behind(self, head: u64) -> u64 {
        head.saturating_sub(self.read_through())
    }

    /// Sequence of the newest ledger that is wholly before the position.
    pub const fn read_through(self) -> u64 {
        if self.event == u32::MAX { self.sequence } else { self.sequence.saturating_sub(1) }
    }

    /// Whether the position is between two ledgers.
    pub const fn is_boundary(self) -> bool {
        self.event == u32::MAX || self.event == 0
    }
}

/// What history has at a position.
#[derive(Debug, Clone)]
pub enum Read {
    /// The ledger, and the first event of it to read.
    Entry(Arc<StreamEntry>, u32),
    /// Nothing yet: the position is the newest.
    Newest,
    /// The ledger is not kept any more.
    Gone,
}

/// Where a session begins.
#[derive(Debug, Default)]
pub struct Begin {
    /// The position.
    pub at: Position,
    /// Events between opening and this position, not delivered any more, before filtering.
    pub dropped: u64,
    /// For a client that goes on where it was.
    pub resumed: Option<Box<Resumption>>,
}

impl Begin {
    /// At a position, without more to tell.
    pub fn at(at: Position) -> Begin {
        Begin { at, ..Begin::default() }
    }
}

/// How a client goes on where it was.
#[derive(Debug, Default)]
pub struct Resumption {
    /// Sources that begin later than the others, the last first.
    pub later: Vec<(Position, SourceNumber)>,
    /// What its dialect is told.
    pub told: Resumed,
    /// The ledger before the position, if memory may not have it.
    pub ledger: Option<Arc<StreamEntry>>,
    /// A break just before the position is none for the client.
    pub anew: bool,
    /// How it is fed from there, if not as any that comes back.
    pub replay: Option<Arc<Replayed>>,
}

/// Where the stream was when a session opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opened {
    /// The position.
    pub at: Position,
    /// Events of the session's sources before it.
    pub events: u64,
}

/// How far a position is from the newest ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Events after it, before filtering; at least so many if history no longer reaches it.
    pub events: u64,
    /// Whether history reaches the position.
    pub reached: bool,
}

/// A ledger that was kept elsewhere, with its place.
#[derive(Debug)]
pub struct Kept {
    /// The ledger.
    pub batch: LedgerBatch,
    /// Its broker sequence.
    pub sequence: u64,
    /// Events of the same source before it.
    pub first_event: u64,
    /// When it was posted.
    pub posted: Instant,
}

/// What was of a source before this start.
#[derive(Debug, Default)]
pub struct Past {
    /// Its newest ledgers, oldest first.
    pub ledgers: Vec<Kept>,
    /// Events of all its ledgers ever.
    pub events: u64,
    /// Sequence of the newest ledger before those.
    pub gone_through: u64,
}

/// Recent ledgers of every source.
pub struct History {
    rows: Mutex<Rows>,
    /// The numbers of all sources.
    all_sources: Vec<SourceNumber>,
    /// How many renderings each entry has room for.
    renderings: usize,
    /// Bytes for each source.
    budget: usize,
    /// Bytes rendered of entries that are not in the rows.
    rendered_elsewhere: Arc<AtomicUsize>,
}

struct Rows {
    by_source: Vec<Row>,
    /// Sequence of the newest entry.
    head: u64,
}

#[derive(Default)]
struct Row {
    entries: VecDeque<Arc<StreamEntry>>,
    /// Sequence of the newest entry that was given up.
    gone_through: u64,
    /// Events of all entries ever appended.
    events: u64,
    /// Bytes of the batches kept.
    weight: usize,
    /// Bytes rendered of them, counted by the entries themselves.
    rendered: Arc<AtomicUsize>,
    /// The sequence of each transaction's ledger, by the first bytes of its hash; `None`: nobody asks.
    transactions: Option<HashMap<u64, u64>>,
    breaks: marks::Breaks,
}

/// What transactions are looked up by: enough of the hash that two hardly ever share it.
fn prefix(hash: &Hash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = hash.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Row {
    fn first_after(&self, sequence: u64) -> Option<&Arc<StreamEntry>> {
        self.entries.get(self.entries.partition_point(|entry| entry.sequence <= sequence))
    }

    /// Whether something after a position is not kept any more. A ledger read in part is the same as
    /// one not begun.
    fn is_gone(&self, at: Position) -> bool {
        self.gone_through > at.read_through()
    }

    /// Puts a ledger at the end.
    fn push(&mut self, entry: Arc<StreamEntry>) {
        self.weight += entry.batch.weight();
        if let Some(transactions) = &mut self.transactions {
            transactions.extend(entry.transaction_hashes().map(|hash| (prefix(hash), entry.sequence)));
        }
        self.entries.push_back(entry);
    }

    /// Gives up the oldest ledger.
    fn pop(&mut self) {
        let Some(oldest) = self.entries.pop_front() else { return };
        self.weight -= oldest.batch.weight();
        self.gone_through = oldest.sequence;
        if let Some(transactions) = &mut self.transactions {
            for hash in oldest.transaction_hashes() {
                if transactions.get(&prefix(hash)) == Some(&oldest.sequence) {
                    transactions.remove(&prefix(hash));
                }
            }
        }
        oldest.give_up();
    }

    /// Events of this source before a position.
    fn events_before(&self, at: Position) -> u64 {
        let index = self.entries.partition_point(|entry| entry.sequence < at.sequence);
        match self.entries.get(index) {
            Some(entry) if entry.sequence == at.sequence => {
                entry.first_event + u64::from(at.event).min(entry.batch.events.len() as u64)
            }
            Some(entry) => entry.first_event,
            None => self.events,
        }
    }
}

impl History {
    /// An empty history for so many sources.
    pub fn new(sources: usize, renderings: usize, budget: usize) -> History {
        let by_source = (0..sources).map(|_| Row::default()).collect();
        let all_sources = (0..sources as SourceNumber).collect();
        let rows = Mutex::new(Rows { by_source, head: 0 });
        History { rows, all_sources, renderings, budget, rendered_elsewhere: Arc::default() }
    }

    /// Puts back what was there before this start: the stream goes on after `head`, and who comes back finds it as it
    /// was. In the order of the sources; before anything is appended.
    pub fn restore(&mut self, head: u64, past: Vec<Past>) {
        let rows = self.rows.get_mut().unwrap_or_else(PoisonError::into_inner);
        rows.head = head;
        for (row, past) in rows.by_source.iter_mut().zip(past) {
            (row.events, row.gone_through) = (past.events, past.gone_through);
            for Kept { batch, sequence, first_event, posted } in past.ledgers {
                let rendered = row.rendered.clone();
                let entry = StreamEntry::new(batch, sequence, first_event, posted, self.renderings, rendered);
                // It went round in the life before.
                entry.set_routed(1);
                row.push(Arc::new(entry));
            }
        }
    }

    /// A ledger that is not in the rows, with room for what is rendered of it. Its frames count in no budget, so
    /// whoever holds it bounds how many there are.
    pub fn entry_of(&self, kept: Kept) -> Arc<StreamEntry> {
        let Kept { batch, sequence, first_event, posted } = kept;
        let rendered = self.rendered_elsewhere.clone();
        Arc::new(StreamEntry::new(batch, sequence, first_event, posted, self.renderings, rendered))
    }

    /// From now on transactions of this source can be looked up by their hash: 16 bytes for each.
    pub fn index_transactions(&mut self, source: SourceNumber) {
        let rows = self.rows.get_mut().unwrap_or_else(PoisonError::into_inner);
        rows.by_source[usize::from(source)].transactions.get_or_insert_default();
    }

    /// How many sources there are.
    pub fn sources(&self) -> usize {
        self.all_sources.len()
    }

    /// Their numbers.
    pub fn all_sources(&self) -> &[SourceNumber] {
        &self.all_sources
    }

    /// A panic elsewhere leaves the rows as they were: every change below is complete or not begun.
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a batch its place at the head and gives up the oldest ledgers of its source beyond
    /// the budget; the newest is always kept. `None`: history has this ledger already.
    pub fn append(&self, batch: LedgerBatch, posted: Instant) -> Option<Arc<StreamEntry>> {
        let mut rows = self.rows();
        let sequence = rows.head + 1;
        let row = &mut rows.by_source[usize::from(batch.source)];
        let repeated = row.entries.back().is_some_and(|newest| {
            let (old, new) = (&newest.batch, &batch);
            let same = old.network == new.network && old.epoch == new.epoch;
            new.continuity.is_none() && same && new.ledger.index <= old.ledger.index
        });
        if repeated {
            return None;
        }
        if row.entries.back().is_some_and(|newest| newest.batch.network != batch.network) {
            // Another network since the last start: what was before is no part of its row.
            while !row.entries.is_empty() {
                row.pop();
            }
        }
        let first_event = row.events;
        row.events += batch.events.len() as u64;
        let rendered = row.rendered.clone();
        let entry = Arc::new(StreamEntry::new(batch, sequence, first_event, posted, self.renderings, rendered));
        row.push(entry.clone());
        while row.entries.len() > 1 && row.weight + row.rendered.load(Ordering::Relaxed) > self.budget {
            row.pop();
        }
        row.breaks.look(&row.entries);
        rows.head = sequence;
        Some(entry)
    }

    /// Events before a position, by source.
    pub fn events_before(&self, at: Position) -> Vec<u64> {
        self.rows().by_source.iter().map(|row| row.events_before(at)).collect()
    }

    /// Sequence of the newest ledger.
    pub fn head(&self) -> u64 {
        self.rows().head
    }

    /// What comes after a position in the stream of these sources, up to `head`.
    pub fn read(&self, sources: &[SourceNumber], at: Position, head: u64) -> Read {
        let rows = self.rows();
        let mut next: Option<&Arc<StreamEntry>> = None;
        for source in sources {
            let row = &rows.by_source[usize::from(*source)];
            if row.is_gone(at) {
                return Read::Gone;
            }
            if let Some(entry) = row.first_after(at.read_through())
                && next.is_none_or(|best| entry.sequence < best.sequence)
            {
                next = Some(entry);
            }
        }
        match next {
            Some(entry) if entry.sequence <= head => {
                let begun = entry.sequence == at.sequence && at.event != u32::MAX;
                Read::Entry(entry.clone(), if begun { at.event } else { 0 })
            }
            _ => Read::Newest,
        }
    }

    /// Where the oldest ledger of these sources that is kept begins, or the next where none is.
    pub fn oldest(&self, sources: &[SourceNumber]) -> Position {
        let rows = self.rows();
        let gone = sources.iter().map(|source| rows.by_source[usize::from(*source)].gone_through).max();
        Position::after(gone.unwrap_or(0))
    }

    /// The entry of a sequence, if it is kept.
    pub fn get(&self, sequence: u64) -> Option<Arc<StreamEntry>> {
        let rows = self.rows();
        rows.by_source.iter().find_map(|row| {
            let entry = row.first_after(sequence.checked_sub(1)?)?;
            (entry.sequence == sequence).then(|| entry.clone())
        })
    }

    /// The newest ledger of a source.
    pub fn newest(&self, source: SourceNumber) -> Option<Arc<StreamEntry>> {
        self.rows().by_source[usize::from(source)].entries.back().cloned()
    }

    /// The ledger of a source by its index; where the network began anew or was reorganised, the newest such.
    pub fn by_index(&self, source: SourceNumber, index: u64) -> Option<Arc<StreamEntry>> {
        let rows = self.rows();
        let entries = &rows.by_source[usize::from(source)].entries;
        let (oldest, newest) = (entries.front()?, entries.back()?);
        let (first, last, epoch) = (oldest.batch.ledger.index, newest.batch.ledger.index, newest.batch.epoch);
        let is_it = |entry: &&Arc<StreamEntry>| entry.batch.ledger.index == index && entry.batch.epoch == epoch;
        // Where nothing broke, the index tells the place, and numbers beyond are not looked for: somebody may try
        // many, and routers wait for the lock.
        if oldest.batch.epoch == epoch && last.checked_sub(first) == Some(entries.len() as u64 - 1) {
            let place = index.checked_sub(first).and_then(|place| usize::try_from(place).ok())?;
            return entries.get(place).filter(is_it).cloned();
        }
        // What was before the network began anew is of another chain.
        let of_epoch = entries.iter().rev().take_while(|entry| entry.batch.epoch == epoch);
        of_epoch.into_iter().find(is_it).cloned()
    }

    /// The ledger of a source that has a transaction, for sources of [`History::index_transactions`].
    pub fn by_transaction(&self, source: SourceNumber, hash: &Hash) -> Option<Arc<StreamEntry>> {
        let rows = self.rows();
        let row = &rows.by_source[usize::from(source)];
        let sequence = *row.transactions.as_ref()?.get(&prefix(hash))?;
        let entry = row.first_after(sequence.checked_sub(1)?)?.clone();
        if entry.batch.epoch != row.entries.back()?.batch.epoch {
            return None;
        }
        drop(rows);
        let is_there = entry.transaction_hashes().any(|found| found == hash);
        is_there.then_some(entry)
    }

    /// The newest ledger of a source at or before a position.
    pub fn ledger_at(&self, source: SourceNumber, at: Position) -> Option<Arc<StreamEntry>> {
        let rows = self.rows();
        let row = &rows.by_source[usize::from(source)];
        let through = if at.event == 0 { at.sequence.saturating_sub(1) } else { at.sequence };
        let index = row.entries.partition_point(|entry| entry.sequence <= through);
        index.checked_sub(1).and_then(|index| row.entries.get(index)).cloned()
    }

    /// Where a session of these sources begins that opened at `opened`: not before the oldest
    /// ledger kept, and at most `at_most` events before the head.
    pub fn begin(&self, sources: &[SourceNumber], opened: Opened, at_most: u64) -> Begin {
        let rows = self.rows();
        let rows_of: Vec<&Row> = sources.iter().map(|source| &rows.by_source[usize::from(*source)]).collect();
        let gone = Position::after(rows_of.iter().map(|row| row.gone_through).max().unwrap_or(0));
        let oldest = opened.at.max(gone);
        let at = oldest.max(events_back(&rows_of, at_most, Position::after(rows.head), oldest));
        // Running counts, so that what was given up meanwhile counts as well.
        let before: u64 = rows_of.iter().map(|row| row.events_before(at)).sum();
        Begin { at, dropped: before.saturating_sub(opened.events), resumed: None }
    }

    /// How far a position in the stream of these sources is behind.
    pub fn behind(&self, sources: &[SourceNumber], at: Position) -> Behind {
        let rows = self.rows();
        let mut behind = Behind { events: 0, reached: true };
        for source in sources {
            let row = &rows.by_source[usize::from(*source)];
            behind.events += row.events - row.events_before(at);
            behind.reached &= !row.is_gone(at);
        }
        behind
    }

    /// Notes that every worker thread has been served the ledgers after `from` up to `through`.
    pub fn note_routed(&self, from: u64, through: u64, nanos: u64) {
        let rows = self.rows();
        for row in &rows.by_source {
            let new = row.entries.iter().rev().skip_while(|entry| entry.sequence > through);
            new.take_while(|entry| entry.sequence > from).for_each(|entry| entry.set_routed(nanos));
        }
    }

    /// The newest ledgers of a source, newest first, at most so many, with when they were routed.
    pub fn routed_at(&self, source: SourceNumber, at_most: usize) -> Vec<(u64, Option<u64>)> {
        let rows = self.rows();
        let newest = rows.by_source[usize::from(source)].entries.iter().rev().take(at_most);
        newest.map(|entry| (entry.batch.ledger.index, entry.routed())).collect()
    }

    /// Ledgers and bytes kept of each source.
    pub fn sizes(&self) -> Vec<(usize, usize)> {
        let rows = self.rows();
        let size = |row: &Row| (row.entries.len(), row.weight + row.rendered.load(Ordering::Relaxed));
        rows.by_source.iter().map(size).collect()
    }
}

/// The position `count` events before `head`; looks no further back than `oldest`.
fn events_back(rows: &[&Row], count: u64, head: Position, oldest: Position) -> Position {
    let mut read: Vec<usize> = rows.iter().map(|row| row.entries.len()).collect();
    let mut left = count;
    let mut at = head;
    while left > 0 && at > oldest {
        let newest = (0..rows.len())
            .filter_map(|row| Some((row, &rows[row].entries[read[row].checked_sub(1)?])))
            .max_by_key(|(_, entry)| entry.sequence);
        let Some((row, entry)) = newest else { break };
        read[row] -= 1;
        let events = entry.batch.events.len() as u64;
        at = Position { sequence: entry.sequence, event: events.saturating_sub(left) as u32 };
        left -= left.min(events);
    }
    at
}

#[cfg(test)]
mod tests;
