//! What the tests of this folder share.

mod damage;
mod devnet;
mod export;
mod faults;
mod forms;
mod keeping;
mod ledgers;

use super::store::StoreError;
use super::{Journal, SourceKey};
use crate::broker::testing::batch;
use crate::broker::{Backlog, BacklogRead, Find, Found, History, StreamEntry};
use crate::config;
use crate::event::{Chain, Hash, LedgerBatch, Native, SourceNumber};
use crate::source::planetmint::native::Block;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Where a test says how many pages the disk of a store has.
fn disk_of(path: &Path) -> PathBuf {
    path.with_extension("pages")
}

/// A disk of as many pages as the test says, or no fewer than there are.
pub fn small_disk(path: &Path, connection: &rusqlite::Connection) {
    if let Ok(pages) = std::fs::read_to_string(disk_of(path)) {
        connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).unwrap();
    }
}

/// Whether the file's `name` as an end is there, and what it says.
fn marker(path: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(path.with_extension(name)).ok()
}

/// A commit takes as many milliseconds as the test says, or until it says otherwise; or the thread dies of it.
pub fn slow_disk(connection: &rusqlite::Connection) {
    let Some(path) = connection.path().map(Path::new) else { return };
    assert!(marker(path, "panic").is_none(), "the test wants it");
    let since = Instant::now();
    while marker(path, "slow").and_then(|text| text.parse().ok()).map(Duration::from_millis) > Some(since.elapsed()) {
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A folder that cannot be written, where the test says so: what SQLite says of it.
pub fn read_only(path: &Path) -> Result<(), StoreError> {
    let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    marker(path, "readonly").map_or(Ok(()), |_| Err(rusqlite::Error::SqliteFailure(error, None).into()))
}

/// How many seconds the clock was set forward by the test.
pub fn clock_set_by(path: &Path) -> Duration {
    marker(path, "clock").and_then(|text| text.parse().ok()).map_or(Duration::ZERO, Duration::from_secs)
}

/// From now on the disk in this folder is full; or has room again.
fn fill_disk(directory: &Path, full: bool) {
    let file = disk_of(&directory.join("journal.db"));
    if full { std::fs::write(file, "1").unwrap() } else { std::fs::remove_file(file).unwrap() }
}

/// Sets what the disk in this folder does: `slow`, `panic`, `readonly` or `clock`; `None`: no more.
fn mark(directory: &Path, name: &str, text: Option<&str>) {
    let file = directory.join("journal").with_extension(name);
    match text {
        Some(text) => std::fs::write(file, text).unwrap(),
        None => std::fs::remove_file(file).unwrap(),
    }
}

/// A journal with the history that it is the journal of, for two sources.
struct Life {
    journal: Journal,
    history: Arc<History>,
}

fn keys(scope: &str) -> Vec<SourceKey> {
    ["a", "b"].map(|name| SourceKey { name: name.into(), scope: scope.into() }).into()
}

impl Life {
    /// Begins where the one before ended.
    fn begin(directory: &Path) -> Life {
        Life::with(directory, config::Journal::default(), 1 << 30, "all")
    }

    fn with(directory: &Path, keep: config::Journal, budget: usize, scope: &str) -> Life {
        let life = Life::unstarted(directory, keep, budget, scope);
        life.start();
        life
    }

    /// Nothing is written yet.
    fn unstarted(directory: &Path, keep: config::Journal, budget: usize, scope: &str) -> Life {
        let journal = Journal::open(directory, keep, keys(scope)).unwrap();
        let mut history = History::new(2, 1, budget);
        let (head, past) = journal.past(budget);
        history.restore(head, past);
        Life { journal, history: history.into() }
    }

    fn start(&self) {
        self.journal.start(self.history.clone(), Arc::default());
    }

    /// As the broker does with what a source posts.
    fn post(&self, batch: LedgerBatch) -> Option<u64> {
        let counters = BTreeMap::from([("ledger".to_owned(), batch.ledger.index)]);
        let entry = self.history.append(batch, Instant::now())?;
        let sequence = entry.sequence;
        self.journal.append(entry, counters);
        Some(sequence)
    }

    /// Ledgers of the first source.
    fn post_all(&self, ledgers: impl IntoIterator<Item = u64>) {
        for ledger in ledgers {
            self.post(hashed(0, ledger, 3, 0)).unwrap();
        }
    }

    /// Until nothing waits.
    fn settle(&self) {
        wait("nothing waits", || self.journal.shared.queue.size().0 == 0);
    }

    fn read(&self, sources: &[SourceNumber], after: u64, bytes: usize) -> BacklogRead {
        let (answer, answered) = mpsc::channel();
        self.journal.read(sources.into(), after, bytes, Box::new(move |read| answer.send(read).unwrap()));
        answered.recv().unwrap()
    }

    fn find(&self, source: SourceNumber, what: Find) -> Found {
        let (answer, answered) = mpsc::channel();
        self.journal.find(source, what, Box::new(move |found| answer.send(found).unwrap()));
        answered.recv().unwrap()
    }

    /// Everything after a sequence, in steps of about so many bytes.
    fn walk(&self, sources: &[SourceNumber], mut after: u64, bytes: usize) -> Vec<Arc<StreamEntry>> {
        let mut all = Vec::new();
        while let BacklogRead::Entries(entries) = self.read(sources, after, bytes) {
            after = entries.last().unwrap().sequence;
            all.extend(entries);
        }
        all
    }

    fn kept_through(&self) -> Option<u64> {
        self.journal.checkpoint(0, "test-0").unwrap().map(|checkpoint| checkpoint.ledger)
    }
}

/// A ledger whose hash is of its chain and its index.
fn hashed(source: SourceNumber, ledger: u64, events: u32, chain: u8) -> LedgerBatch {
    let mut batch = batch(source, ledger, events);
    batch.ledger.hash = Some(Hash([ledger as u8 ^ chain << 7; 32]));
    batch
}

/// A ledger of some 4 KB on disk, whatever is done to make it smaller.
fn long(ledger: u64) -> LedgerBatch {
    let mut batch = hashed(0, ledger, 40, 0);
    let mut random = ledger.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for event in &mut batch.events {
        event.id = (0..13).map(|_| format!("{:016x}", next())).collect::<String>().into();
    }
    batch
}

/// The same, and in memory it counts as so many bytes.
fn heavy(ledger: u64, bytes: usize) -> LedgerBatch {
    let mut batch = long(ledger);
    batch.native = Some(Native::new(Block { app_hash: "".into(), time_received: false }, bytes));
    batch
}

/// What is announced before a ledger: from where to where.
fn gap(entry: &StreamEntry) -> Option<(u64, u64)> {
    entry.batch.continuity.as_ref().map(|gap| (gap.from_ledger, gap.to_ledger))
}

fn sequences(entries: &[Arc<StreamEntry>]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence).collect()
}

#[track_caller]
fn wait(what: &str, mut ready: impl FnMut() -> bool) {
    let since = Instant::now();
    while !ready() {
        assert!(since.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
