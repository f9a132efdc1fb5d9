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
            if weight > room && !read.is_empty() {
                break;
            }
            room = room.saturating_sub(weight);
            read.push(entry);
        }
        if read.is_empty() { BacklogRead::End } else { BacklogRead::Entries(read) }
    }

    fn find_now(&self, source: SourceNumber, what: Find) -> Found {
        if self.fails.load(Ordering::SeqCst) {
            return Found::Failed("the disk is on fire".to_owned());
        }
        let kept: Vec<_> = self.kept().into_iter().filter(|entry| entry.batch.source == source).collect();
        let (Some(oldest), Some(newest)) = (kept.first(), kept.last()) else { return Found::Ahead { newest_index: 0 } };
        let Find::Ledger { index, chain } = what else { return Found::At(oldest.sequence) };
        match kept.iter().rev().find(|entry| entry.batch.ledger.index == index) {
            Some(entry) if matches!(chain, Chain::Hash(_)) && Chain::of(&entry.batch) != chain => {
                Found::OtherChain { last_common: Some(index - 1) }
            }
            Some(entry) => Found::At(entry.sequence),
            None if index > newest.batch.ledger.index => Found::Ahead { newest_index: newest.batch.ledger.index },
            None => Found::Gone { oldest_index: oldest.batch.ledger.index, oldest: oldest.sequence },
        }
    }
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
        std::thread::spawn(move || done(journal.find_now(source, what)));
    }

    fn gone_through(&self, _: SourceNumber) -> u64 {
        self.0.gone.load(Ordering::SeqCst)
    }
}
