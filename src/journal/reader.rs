//! The thread that answers: what stands after a place, and where a ledger stands.

use super::Shared;
use super::form::Unpacker;
use super::hole::Hole;
use super::open::posted;
use super::store::{KeptRow, Store, StoreError, Stream};
use crate::broker::{BacklogRead, Find, Found, History, Kept, StreamEntry};
use crate::event::{Chain, SourceNumber};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Ledgers of each source that are looked at in one answer.
const LEDGERS: usize = 256;
/// Weight of the ledgers read lately, and of what is rendered of them, that are kept for the next who asks, as clients that come back together do.
const CACHE: usize = 32 << 20;
/// Epochs of a network that are looked through for a ledger, from the newest on.
const MOST_EPOCHS: usize = 1000;

/// How long the writer has to look at a file that was found damaged before the question is answered by that.
const LOOKED: Duration = Duration::from_secs(3);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);
/// So long after the last question nothing is kept for the next.
const IDLE: Duration = Duration::from_secs(10);

/// What is asked.
pub enum Question {
    /// See [`crate::broker::Backlog::read`].
    Read {
        /// Of which sources.
        sources: Arc<[SourceNumber]>,
        /// After which sequence.
        after: u64,
        /// About how much.
        bytes: usize,
        /// Takes the answer.
        done: Box<dyn FnOnce(BacklogRead) + Send>,
    },
    /// See [`crate::broker::Backlog::find`].
    Find {
        /// Of which source.
        source: SourceNumber,
        /// What.
        what: Find,
        /// Takes the answer.
        done: Box<dyn FnOnce(Found) + Send>,
    },
}

impl Question {
    /// The answer that there is none.
    pub fn fail(self, reason: &str) {
        match self {
            Question::Read { done, .. } => done(BacklogRead::Failed(reason.to_owned())),
            Question::Find { done, .. } => done(Found::Failed(reason.to_owned())),
        }
    }
}

/// The thread's state.
pub struct Reader {
    shared: Arc<Shared>,
    history: Arc<History>,
    unpacker: Option<Unpacker>,
    /// With the generation of the file; while a question is answered, else in [`Shared::reading`].
    store: Option<(u64, Store)>,
    /// Whatever somebody still holds.
    known: HashMap<u64, Weak<StreamEntry>>,
    recent: VecDeque<Arc<StreamEntry>>,
    recent_weight: usize,
}

impl Reader {
    /// Makes entries that fit `history`.
    pub fn new(shared: Arc<Shared>, history: Arc<History>) -> Reader {
        Reader {
            shared,
            history,
            unpacker: Unpacker::new().ok(),
            store: None,
            known: HashMap::new(),
            recent: VecDeque::new(),
            recent_weight: 0,
        }
    }

    /// Until nobody can ask any more. What waits when the journal is closed is not answered.
    pub fn run(mut self, questions: Receiver<Question>) {
        loop {
            let question = match questions.recv_timeout(IDLE) {
                Ok(question) => question,
                Err(RecvTimeoutError::Timeout) => {
                    self.forget(0);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if self.shared.queue.is_closing() {
                question.fail("the journal is closed");
                continue;
            }
            match question {
                Question::Read { sources, after, bytes, done } => {
                    let read = self.answer(|reader| reader.read(&sources, after, bytes));
                    done(read.unwrap_or_else(BacklogRead::Failed));
                }
                Question::Find { source, what, done } => {
                    let found = self.answer(|reader| reader.find(source, what));
                    done(found.unwrap_or_else(Found::Failed));
                }
            }
        }
        *super::lock(&self.shared.reading) = None;
    }

    /// Asks the store; where it is damaged, again once the writer has saved what it could.
    fn answer<T>(&mut self, mut ask: impl FnMut(&mut Reader) -> Result<T, StoreError>) -> Result<T, String> {
        let shared = self.shared.clone();
        let mut again = true;
        loop {
            let is_damaged = super::lock(&shared.damaged).is_some();
            let generation = shared.generation.load(Ordering::Acquire);
            if !(is_damaged && again) {
                // The writer closes the connection before it opens the file again.
                let mut reading = super::lock(&shared.reading);
                self.store = reading.take();
                let answer = ask(self).map_err(|error| (error.is_damage(), self.failed(&error)));
                *reading = self.store.take();
                match answer {
                    Ok(answer) => return Ok(answer),
                    Err((true, _)) if again => {}
                    Err((_, reason)) => return Err(reason),
                }
            }
            again = false;
            let since = Instant::now();
            let is_same = || shared.generation.load(Ordering::Acquire) == generation && !shared.queue.is_closing();
            while is_same() && since.elapsed() < LOOKED {
                std::thread::park_timeout(LOOK);
                // The writer has this while it copies.
                drop(super::lock(&shared.reading));
            }
        }
    }

    /// Whoever writes must know if the file is damaged.
    fn failed(&mut self, error: &StoreError) -> String {
        self.store = None;
        let reason = format!("journal {} cannot be read: {error}", self.shared.path.display());
        log::error!("{reason}");
        if error.is_damage() {
            super::lock(&self.shared.damaged).get_or_insert_with(|| error.to_string());
        }
        reason
    }

    /// Opens the file if need be; `None` where there is none yet.
    fn store(&mut self) -> Result<Option<&Store>, StoreError> {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if self.store.as_ref().is_none_or(|(of, _)| *of != generation) {
            self.store = None;
            if !self.shared.path.exists() {
                return Ok(None);
            }
            match Store::unwritable(&self.shared.path) {
                Err(StoreError::Empty) => return Ok(None),
                store => self.store = Some((generation, store?)),
            }
        }
        Ok(self.store.as_ref().map(|(_, store)| store))
    }

    fn read(&mut self, sources: &[SourceNumber], after: u64, bytes: usize) -> Result<BacklogRead, StoreError> {
        // First what waits, then what is written: a ledger that changes place meanwhile is found twice and not missed.
        let wanted = |entry: &StreamEntry| entry.sequence > after && sources.contains(&entry.batch.source);
        let (waiting, lost) = self.shared.queue.find(wanted);
        let streams: Vec<(SourceNumber, i64)> = {
            let positions = self.shared.positions();
            sources.iter().filter_map(|source| Some((*source, positions.current(*source)?.id))).collect()
        };
        let mut found: Vec<(u64, SourceNumber)> = Vec::new();
        // Beyond this there may be more of a source than was looked at.
        let mut whole_through = u64::MAX;
        if let Some(store) = self.store()? {
            for (source, stream) in streams {
                let sequences = store.sequences(stream, after, LEDGERS)?;
                if sequences.len() == LEDGERS {
                    whole_through = whole_through.min(sequences[LEDGERS - 1]);
                }
                found.extend(sequences.into_iter().map(|sequence| (sequence, source)));
            }
        }
        found.sort_unstable();
        found.retain(|(sequence, _)| *sequence <= whole_through);
        let (mut entries, mut weight) = (Vec::new(), 0);
        let mut complete = whole_through == u64::MAX;
        for (sequence, source) in found {
            if weight >= bytes && !entries.is_empty() {
                complete = false;
                break;
            }
            let Some(entry) = self.entry(sequence, source)? else {
                complete = false;
                break;
            };
            weight += entry.batch.weight();
            entries.push(entry);
        }
        let last = entries.last().map_or(after, |entry| entry.sequence);
        if complete {
            for entry in waiting.into_iter().filter(|entry| entry.sequence > last) {
                if weight >= bytes && !entries.is_empty() {
                    break;
                }
                weight += entry.batch.weight();
                entries.push(entry);
            }
        }
        let Some(last) = entries.last().map(|entry| entry.sequence) else { return Ok(BacklogRead::End) };
        for hole in self.holes(sources, lost).iter().filter(|hole| hole.through > after && hole.through < last) {
            let at = entries.partition_point(|entry| entry.sequence < hole.through);
            entries.insert(at, hole.entry(&self.history));
        }
        // Given up while it was read: what was found may begin behind what is missing.
        if sources.iter().any(|source| self.shared.gone_through(*source) > after) {
            return Ok(BacklogRead::End);
        }
        Ok(BacklogRead::Entries(entries))
    }

    /// What is missing of these sources.
    fn holes(&self, sources: &[SourceNumber], lost: Vec<Hole>) -> Vec<Hole> {
        let mut holes = self.shared.positions().holes.clone();
        // A hole that was noted meanwhile is in both.
        holes.retain(|noted| !lost.iter().any(|lost| (lost.source, lost.from) == (noted.source, noted.from)));
        holes.extend(lost);
        holes.retain(|hole| sources.contains(&hole.source));
        holes
    }

    /// The ledger of a sequence; `None`: it was given up meanwhile.
    fn entry(&mut self, sequence: u64, source: SourceNumber) -> Result<Option<Arc<StreamEntry>>, StoreError> {
        if let Some(entry) = self.known.get(&sequence).and_then(Weak::upgrade).or_else(|| self.history.get(sequence)) {
            return Ok(Some(entry));
        }
        let Some(row) = self.store()?.map(|store| store.row(sequence)).transpose()?.flatten() else { return Ok(None) };
        let batch = self.unpacker.as_mut().map(|unpacker| unpacker.unpack(&row.form, source));
        let entry = match batch {
            Some(Ok(batch)) => {
                let (first_event, posted) = (row.first_event, posted(row.posted_at));
                self.history.entry_of(Kept { batch, sequence, first_event, posted })
            }
            Some(Err(error)) => self.damaged(&row, source, &error.to_string()),
            None => self.damaged(&row, source, "out of memory"),
        };
        self.remember(&entry);
        Ok(Some(entry))
    }

    /// What stands for a ledger whose row cannot be read.
    fn damaged(&self, row: &KeptRow, source: SourceNumber, why: &str) -> Arc<StreamEntry> {
        let ledger = row.ledger;
        log::error!(file:% = self.shared.path.display(), source, ledger; "a ledger in the journal is lost: {why}");
        let network = self.shared.positions().current(source).map_or_else(Default::default, |it| it.network.clone());
        Hole::of_row(row, source, network.into(), why).entry(&self.history)
    }

    fn remember(&mut self, entry: &Arc<StreamEntry>) {
        self.known.insert(entry.sequence, Arc::downgrade(entry));
        self.recent_weight += entry.batch.weight();
        self.recent.push_back(entry.clone());
        // What was rendered of those that somebody else holds is counted as well: less is kept then.
        self.forget(CACHE.saturating_sub(self.history.rendered_elsewhere()));
        if self.known.len() > 2 * self.recent.len() + LEDGERS {
            self.known.retain(|_, entry| entry.strong_count() > 0);
        }
    }

    /// Keeps no more than so much of what was read lately.
    fn forget(&mut self, most: usize) {
        while self.recent_weight > most
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_weight -= oldest.batch.weight();
        }
    }

    fn find(&mut self, source: SourceNumber, what: Find) -> Result<Found, StoreError> {
        let (waiting, _) = self.shared.queue.find(|entry| entry.batch.source == source);
        let stream = self.shared.positions().current(source).cloned();
        // What waits may be of another network, or of a later epoch.
        let newest = waiting.last().map(|entry| &entry.batch);
        let of_network = |network: &str| newest.is_none_or(|newest| &*newest.network == network);
        let stream = stream.filter(|stream| of_network(&stream.network));
        let (epoch, newest_index) = match (newest, &stream) {
            (Some(newest), _) => (newest.epoch, newest.ledger.index),
            (None, Some(stream)) => (stream.epoch, stream.ledger),
            (None, None) => return Ok(Found::Ahead { newest_index: 0 }),
        };
        let waiting = waiting.iter().filter(|entry| of_network(&entry.batch.network)).cloned().collect();
        let store = self.store()?.zip(stream.as_ref());
        let places = Places { waiting, store, epoch, newest_index };
        match what {
            Find::Oldest => {
                Ok(places.oldest(0)?.map_or(Found::Ahead { newest_index }, |(_, sequence)| Found::At(sequence)))
            }
            Find::Ledger { index, chain: Chain::Newest } => places.find(epoch, index),
            Find::Ledger { chain: Chain::Epoch(later), .. } if later > epoch => Ok(Found::Ahead { newest_index }),
            Find::Ledger { index, chain: Chain::Epoch(epoch) } => places.find(epoch, index),
            Find::Ledger { index, chain: Chain::Hash(hash) } => places.find_by_hash(index, hash),
        }
    }
}

/// Where the ledgers of a source stand.
struct Places<'a> {
    /// Those that are not written yet.
    waiting: Vec<Arc<StreamEntry>>,
    store: Option<(&'a Store, &'a Stream)>,
    /// Of the newest.
    epoch: u32,
    newest_index: u64,
}

impl Places<'_> {
    /// The oldest ledger that is kept, of this epoch or a later one: its index and its sequence.
    fn oldest(&self, epoch: u32) -> Result<Option<(u64, u64)>, StoreError> {
        let stored = match self.store {
            Some((store, stream)) => store.oldest(stream.id, epoch)?,
            None => None,
        };
        let waiting = || self.waiting.iter().find(|entry| entry.batch.epoch >= epoch);
        Ok(stored.or_else(|| waiting().map(|entry| (entry.batch.ledger.index, entry.sequence))))
    }

    /// The newest ledger of an epoch by its index.
    fn find(&self, epoch: u32, index: u64) -> Result<Found, StoreError> {
        let is_it = |entry: &&Arc<StreamEntry>| entry.batch.epoch == epoch && entry.batch.ledger.index == index;
        let here = match (self.waiting.iter().rev().find(is_it), self.store) {
            (Some(entry), _) => Some(entry.sequence),
            (None, Some((store, stream))) => store.by_index(stream.id, epoch, index)?.map(|(sequence, _)| sequence),
            (None, None) => None,
        };
        if let Some(sequence) = here {
            return Ok(Found::At(sequence));
        }
        if epoch == self.epoch && index > self.newest_index {
            return Ok(Found::Ahead { newest_index: self.newest_index });
        }
        let (oldest_index, oldest) = self.oldest(epoch)?.unwrap_or_else(|| {
            let newest = self.store.map_or(0, |(_, stream)| stream.sequence);
            (self.newest_index.saturating_add(1), newest + 1)
        });
        let of_epoch = |entry: &&Arc<StreamEntry>| entry.batch.epoch == epoch && entry.batch.ledger.index < index;
        let below = match (self.waiting.iter().rev().find(of_epoch), self.store) {
            (Some(entry), _) => Some(entry.sequence),
            (None, Some((store, stream))) => store.below(stream.id, epoch, index)?,
            (None, None) => None,
        };
        Ok(below.map_or(Found::Gone { oldest_index, oldest }, Found::At))
    }

    /// The ledger of an index whose hash begins so, of whatever epoch. One that was replaced stands where it was, as in
    /// memory: the break comes after it, and who goes on behind it gets nothing twice.
    fn find_by_hash(&self, index: u64, hash: [u8; 4]) -> Result<Found, StoreError> {
        let is_it = |entry: &&Arc<StreamEntry>| {
            entry.batch.ledger.index == index && entry.batch.ledger.short_hash() == Some(hash)
        };
        if let Some(entry) = self.waiting.iter().rev().find(is_it) {
            return Ok(Found::At(entry.sequence));
        }
        let mut before = i64::from(self.epoch) + 1;
        for _ in 0..MOST_EPOCHS {
            let Some((store, stream)) = self.store else { break };
            let Some(epoch) = store.epoch_before(stream.id, before)? else { break };
            if let Some(sequence) = store.by_hash(stream.id, epoch, index, hash)? {
                return Ok(Found::At(sequence));
            }
            before = epoch.into();
        }
        let found = match self.find(self.epoch, index)? {
            Found::At(_) if self.is_other(index)? => Found::OtherChain { last_common: None },
            found => found,
        };
        match (found, self.oldest(0)?) {
            // What is gone may have had it.
            (Found::OtherChain { .. } | Found::Gone { .. }, Some((oldest_index, oldest))) if index < oldest_index => {
                Ok(Found::Gone { oldest_index, oldest })
            }
            (Found::Gone { oldest, .. }, Some((_, first))) if first < oldest => {
                Ok(Found::OtherChain { last_common: None })
            }
            (found, _) => Ok(found),
        }
    }

    /// Whether the newest epoch has a hash for this index.
    fn is_other(&self, index: u64) -> Result<bool, StoreError> {
        let is_it = |entry: &&Arc<StreamEntry>| entry.batch.epoch == self.epoch && entry.batch.ledger.index == index;
        Ok(match (self.waiting.iter().rev().find(is_it), self.store) {
            (Some(entry), _) => entry.batch.ledger.hash.is_some(),
            (None, Some((store, stream))) => {
                store.by_index(stream.id, self.epoch, index)?.is_some_and(|(_, hash)| hash.is_some())
            }
            (None, None) => false,
        })
    }
}
