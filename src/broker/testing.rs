//! What the tests of this folder share.

use super::backlog::{Backlog, BacklogRead, Find, Found};
use super::{History, StreamEntry};
use crate::event::{Body, Chain, Event, EventKind, LedgerBatch, LedgerFacts, LedgerRef, Place, SourceNumber};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A ledger with so many events and no break before it. Equal counts of events weigh the same.
pub fn batch(source: SourceNumber, ledger: u64, events: u32) -> LedgerBatch {
    let event = |at: u32| Event {
        id: format!("{ledger:03}-{at}").into(),
        kind: EventKind::Ledger,
        place: Place::new(at, EventKind::Ledger, 0),
        transaction_hash: None,
        subjects: Vec::new(),
        assets: Vec::new(),
        body: Body::Ledger(LedgerFacts { transaction_count: 0, successful_count: 0, operation_count: 0 }),
        native: None,
    };
    LedgerBatch {
        source,
        network: format!("test-{source}").into(),
        epoch: 0,
        ledger: LedgerRef { index: ledger, hash: None, parent: None, closed_at: 0 },
        continuity: None,
        events: (0..events).map(event).collect(),
        native: None,
    }
}

/// A journal that keeps everything in memory and answers from another thread.
#[derive(Default)]
pub struct Journal {
    entries: Mutex<Vec<Arc<StreamEntry>>>,
    /// Entries up to this sequence are gone.
    pub gone: AtomicU64,
    /// What will be gone after the next search, after the one after it and so on; the last is the next.
    pub gives_up: Mutex<Vec<u64>>,
    /// Every question fails.
    pub fails: AtomicBool,
    /// Chunks that were read, and readings under way now and at most.
    pub reads: AtomicUsize,
    under_way: AtomicUsize,
    pub most_under_way: AtomicUsize,
}

/// Renderings for which its entries have room.
pub const RENDERINGS: usize = 1;

impl Journal {
    /// The same entry as one that history has got.
    pub fn keep(&self, entry: &StreamEntry) {
        let StreamEntry { sequence, first_event, posted, batch, .. } = entry;
        let copy = StreamEntry::new(batch.clone(), *sequence, *first_event, *posted, RENDERINGS, Arc::default());
        self.entries.lock().unwrap().push(Arc::new(copy));
    }

    /// Appends to both.
    pub fn append(&self, history: &History, batch: LedgerBatch) -> u64 {
        let entry = history.append(batch, Instant::now()).unwrap();
        self.keep(&entry);
        entry.sequence
    }

    fn kept(&self) -> Vec<Arc<StreamEntry>> {
        let gone = self.gone.load(Ordering::SeqCst);
        self.entries.lock().unwrap().iter().filter(|entry| entry.sequence > gone).cloned().collect()
    }

    fn read_now(&self, sources: &[SourceNumber], after: u64, bytes: usize) -> BacklogRead {
        if self.fails.load(Ordering::SeqCst) {
            return BacklogRead::Failed("the disk is on fire".to_owned());
        }
        let mut room = bytes;
        let mut read = Vec::new();
        for entry in self.kept() {
            if entry.sequence <= after || !sources.contains(&entry.batch.source) {
                continue;
            }
            let weight = entry.batch.weight();
            // Holes come with what is behind them.
            if weight > room && !read.iter().all(is_hole) {
                break;
            }
            room = room.saturating_sub(weight);
            read.push(entry);
        }
        if read.is_empty() { BacklogRead::End } else { BacklogRead::Entries(read) }
    }

    /// Where a ledger stands. As the real one: what could not be kept is found before it.
    fn find_now(&self, source: SourceNumber, what: Find) -> Found {
        if self.fails.load(Ordering::SeqCst) {
            return Found::Failed("the disk is on fire".to_owned());
        }
        let is_row = |entry: &Arc<StreamEntry>| entry.batch.source == source && !is_hole(entry);
        let kept: Vec<_> = self.kept().into_iter().filter(is_row).collect();
        let (Some(oldest), Some(newest)) = (kept.first(), kept.last()) else { return Found::Ahead { newest_index: 0 } };
        let Find::Ledger { index, chain } = what else { return Found::At(oldest.sequence) };
        let of_chain = |entry: &&Arc<StreamEntry>| match chain {
            Chain::Newest => entry.batch.epoch == newest.batch.epoch,
            Chain::Epoch(epoch) => entry.batch.epoch == epoch,
            Chain::Hash(hash) => entry.batch.ledger.short_hash() == Some(hash),
        };
        let newest_index = newest.batch.ledger.index;
        let of_it: Vec<_> = kept.iter().filter(of_chain).collect();
        if let Some(entry) = of_it.iter().rev().find(|entry| entry.batch.ledger.index == index) {
            return Found::At(entry.sequence);
        }
        let mut of_newest = kept.iter().rev().filter(|entry| entry.batch.epoch == newest.batch.epoch);
        let may_be_later = !matches!(chain, Chain::Epoch(epoch) if epoch < newest.batch.epoch);
        if index > newest_index && may_be_later {
            Found::Ahead { newest_index }
        } else if matches!(chain, Chain::Hash(_)) && of_newest.any(|entry| entry.batch.ledger.index == index) {
            Found::OtherChain { last_common: Some(index - 1) }
        } else if let Some(before) = of_it.iter().rev().find(|entry| entry.batch.ledger.index < index) {
            Found::At(before.sequence)
        } else {
            Found::Gone { oldest_index: oldest.batch.ledger.index, oldest: oldest.sequence }
        }
    }
}

fn is_hole(entry: &Arc<StreamEntry>) -> bool {
    entry.batch.events.is_empty() && entry.batch.continuity.is_some()
}

/// What the actors ask: a copy of it goes to the thread that answers.
pub struct Asked(pub Arc<Journal>);

impl Backlog for Asked {
    fn read(&self, sources: Arc<[SourceNumber]>, after: u64, bytes: usize, done: Box<dyn FnOnce(BacklogRead) + Send>) {
        let journal = self.0.clone();
        journal.reads.fetch_add(1, Ordering::SeqCst);
        let now = journal.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        journal.most_under_way.fetch_max(now, Ordering::SeqCst);
        std::thread::spawn(move || {
            let read = journal.read_now(&sources, after, bytes);
            journal.under_way.fetch_sub(1, Ordering::SeqCst);
            done(read);
        });
    }

    fn find(&self, source: SourceNumber, what: Find, done: Box<dyn FnOnce(Found) + Send>) {
        let journal = self.0.clone();
        std::thread::spawn(move || {
            let found = journal.find_now(source, what);
            let gone = journal.gives_up.lock().unwrap().pop();
            journal.gone.fetch_max(gone.unwrap_or(0), Ordering::SeqCst);
            done(found);
        });
    }

    fn gone_through(&self, _: SourceNumber) -> u64 {
        self.0.gone.load(Ordering::SeqCst)
    }
}
