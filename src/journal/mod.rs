//! Closed ledgers on disk, and with them where each source stands.
//!
//! In: each ledger that the broker has put into the stream ([`Journal::append`]), with what its source counts. Out:
//! the same ledgers to whoever asks for more than memory holds ([`crate::broker::Backlog`]), to memory after a restart
//! ([`Journal::past`]), and to each source the position at which to go on ([`Journal::checkpoint`]).
//!
//! Who owns what: the queue (`queue`) takes ledgers in from the broker's thread and never waits; one thread, `journal`
//! (`writer`), owns the store (`store`, SQLite) and alone writes; another, `journal-read` (`reader`), answers questions
//! on a connection of its own. `form` packs a ledger, `hole` tells what could not be kept.
//!
//! What always holds:
//! * a ledger, the position of its source and its counters become durable in one transaction: after `kill -9` a ledger
//!   is there with its checkpoint or not at all, and what is not there is polled again and gets the same ids;
//! * the broker's sequence goes on over restarts, so a row's place in the stream is for ever;
//! * nobody but a source that is catching up ever waits for the disk, and that one only while the disk works. At the tip
//!   the stream goes on whatever the disk does: the queue gives up its oldest ledgers beyond [`MOST_WAITING`] (twice as
//!   much while the disk is merely slow), and what was given up is told to readers, ledger by ledger, where it would
//!   stand;
//! * what is damaged on the disk is said to be, and never given; what else can be read of a damaged file is copied into
//!   another (`salvage`);
//! * rows go after `max_age`, or when the rows take more than `max_bytes`, oldest first, some at a time. A clock that
//!   jumps makes nothing old (`clock`).
//!
//! Why SQLite and not redb: the two alone, in a release build on 2 cores with rows of 12 KB that do not compress, for
//! ledgers of 100 events; pages of 8 KiB. SQLite wrote 2,300 to 6,100 ledgers a second with a commit for each and
//! 18,000 to 21,000 with one for 64, redb 1,500 and 16,000 to 19,000 (9,000 to 15,000 and 28,000 where a kill may take
//! the last 63); SQLite read back 240,000 to 270,000, redb 35,000 to 135,000; SQLite's file was 1.06 to 1.09 times its
//! rows, redb's 1.9 to 2.2 times; after `kill -9` at 1,000,000 events SQLite was open in 3 ms, redb in 150 to 200 ms.
//! `WAL` with `synchronous = NORMAL`: a killed process loses nothing, a machine that loses power the last moments,
//! together with their checkpoints. `cargo bench --bench journal` measures the whole.

mod aside;
mod checkpoint;
mod clock;
mod export;
mod form;
mod hole;
mod open;
mod prune;
mod queue;
mod raw;
mod reader;
mod salvage;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use export::{Bound, Export, ExportError, Exported};
#[cfg(test)]
pub(crate) use form::Packer;
pub(crate) use form::Unpacker;
pub use open::{OpenError, SourceKey};

use crate::broker::{Backlog, BacklogRead, Find, Found, History, Past, StreamEntry};
use crate::config;
use crate::event::SourceNumber;
use crate::server::give_way;
use crate::server::metrics::Metrics;
use crate::source::{Checkpoint, SourceError, SourceStatus};
use hole::Hole;
use queue::Queue;
use reader::Question;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;
use store::{Store, StoreError, Stream};

/// Weight of the ledgers that may wait for the disk, while it works, before sources that catch up are slowed.
pub const SLOW_FROM: usize = 32 << 20;
/// Weight of the ledgers that wait for a disk that does not work: some minutes of busy networks.
pub const MOST_WAITING: usize = 64 << 20;
/// The same for one that works, but slower than the network: more, since sources that catch up may have posted a few
/// large ledgers beyond [`SLOW_FROM`].
pub const MOST_SLOW: usize = 2 * MOST_WAITING;

/// How far the thread that reads for those who are behind stands back for those who are live.
const READER_NICE: i32 = 19;

/// Questions that may wait. Each session has one at most, and those that are lagging ask in turn.
const MOST_QUESTIONS: usize = 16 << 10;

/// The journal of the process. Ends when it is closed or dropped.
pub struct Journal {
    shared: Arc<Shared>,
    /// `None` when it is closed.
    questions: Mutex<Option<SyncSender<Question>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// What the threads begin with, until they do.
    unstarted: Mutex<Option<Unstarted>>,
}

struct Unstarted {
    store: Option<Store>,
    questions: Receiver<Question>,
}

/// What the threads and whoever asks share.
struct Shared {
    /// The file of the store.
    path: PathBuf,
    keep: config::Journal,
    /// By number.
    sources: Vec<SourceState>,
    queue: Queue,
    positions: Mutex<Positions>,
    /// Counts the files that `path` has been: another is another connection.
    generation: AtomicU64,
    /// The connection of whoever reads, between two questions. SQLite has one state of a file for a whole process: what
    /// was opened while the folder could not be written keeps others from writing it until it is closed.
    reading: Mutex<Option<(u64, Store)>>,
    /// What a reader found wrong with the file, until the writer has looked.
    damaged: Mutex<Option<String>>,
    health: Mutex<JournalHealth>,
    /// Held for as long as the journal is ours.
    held: Mutex<Option<File>>,
}

struct SourceState {
    name: String,
    /// The digest of what restricts it.
    scope: String,
    gone_through: AtomicU64,
    status: Mutex<Option<Arc<SourceStatus>>>,
    /// The checkpoint file of an earlier release, until what was in it is in the store.
    old_file: Mutex<Option<PathBuf>>,
}

/// Where the sources stand, as the store has it.
#[derive(Clone, Default)]
struct Positions {
    streams: Vec<Stream>,
    /// By source: which of the streams is its own now.
    current: Vec<Option<usize>>,
    /// In the order of the stream.
    holes: Vec<Hole>,
}

/// How the journal is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalHealth {
    /// Bytes of the rows on disk.
    pub bytes: u64,
    /// When the oldest ledger kept was posted.
    pub oldest: Option<SystemTime>,
    /// Ledgers that could not be kept, since the start.
    pub lost: u64,
    /// Why nothing can be written; `None` as soon as something can.
    pub error: Option<String>,
}

/// A lock whose values are whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    /// Opens the journal in this folder, for sources in the order of their numbers. A store that is damaged is moved
    /// aside and begun anew; one that cannot be written is tried again and again while the stream goes on.
    pub fn open(directory: &Path, keep: config::Journal, sources: Vec<SourceKey>) -> Result<Journal, OpenError> {
        open::open(directory, keep, sources)
    }

    /// What memory had before the restart, as far as `budget` bytes for each source and a few seconds allow, and the
    /// sequence of the newest ledger.
    pub fn past(&self, budget: usize) -> (u64, Vec<Past>) {
        let unstarted = lock(&self.unstarted);
        let store = unstarted.as_ref().and_then(|unstarted| unstarted.store.as_ref());
        open::past(&self.shared, store, budget)
    }

    /// Begins to write, and to answer. `history` is what the ledgers come from.
    pub fn start(&self, history: Arc<History>, metrics: Arc<Metrics>) {
        let Some(Unstarted { store, questions }) = lock(&self.unstarted).take() else { return };
        let (shared, shared_too) = (self.shared.clone(), self.shared.clone());
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer::Writer::new(shared, store, metrics).run());
        let reader = std::thread::Builder::new().name("journal-read".to_owned()).spawn(move || {
            give_way(READER_NICE);
            reader::Reader::new(shared_too, history).run(questions);
        });
        for thread in [writer, reader] {
            match thread {
                Ok(thread) => lock(&self.threads).push(thread),
                Err(error) => {
                    self.shared.fails(&format!("no thread: {error}; see the limits on processes and threads"))
                }
            }
        }
    }

    /// Takes a ledger in: at once, whatever the disk does. In the order of the stream.
    pub fn append(&self, entry: Arc<StreamEntry>, counters: BTreeMap<String, u64>) {
        self.shared.queue.push(entry, counters);
    }

    /// Waits until the disk is not too far behind; `None`: it is not, or it does not work and nobody shall wait. Only for
    /// who is catching up.
    pub fn room(&self) -> Option<impl Future<Output = ()> + 'static> {
        let shared = self.shared.clone();
        let is_full = shared.queue.is_full();
        is_full.then_some(async move { shared.queue.until(|queue| !queue.is_full()).await })
    }

    /// Waits until all that was taken in is on disk, or cannot be.
    pub fn flushed(&self) -> impl Future<Output = ()> + 'static {
        let shared = self.shared.clone();
        async move { shared.queue.until(Queue::is_settled).await }
    }

    /// Where a source goes on, on this network; `None` if it was never there. Reads a small file at most.
    pub fn checkpoint(&self, source: SourceNumber, network: &str) -> Result<Option<Checkpoint>, SourceError> {
        checkpoint::load(&self.shared, source, network)
    }

    /// From now on this is told when a position is on disk, or cannot be.
    pub fn tell(&self, status: &Arc<SourceStatus>) {
        if let Some(source) = self.shared.sources.get(usize::from(status.number)) {
            *lock(&source.status) = Some(status.clone());
        }
    }

    /// How it is.
    pub fn health(&self) -> JournalHealth {
        lock(&self.shared.health).clone()
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Writes what waits, if it can be written, and ends. Blocks for as long as a commit takes.
    pub fn close(&self) {
        self.shared.queue.close();
        *lock(&self.questions) = None;
        for thread in lock(&self.threads).drain(..) {
            // It has said what it died of.
            let _ = thread.join();
        }
        *lock(&self.unstarted) = None;
        *lock(&self.shared.held) = None;
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({})", self.shared.path.display())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Backlog for Journal {
    fn read(&self, sources: Arc<[SourceNumber]>, after: u64, bytes: usize, done: Box<dyn FnOnce(BacklogRead) + Send>) {
        self.ask(Question::Read { sources, after, bytes, done });
    }

    fn find(&self, source: SourceNumber, what: Find, done: Box<dyn FnOnce(Found) + Send>) {
        self.ask(Question::Find { source, what, done });
    }

    fn gone_through(&self, source: SourceNumber) -> u64 {
        self.shared.gone_through(source)
    }
}

impl Journal {
    fn ask(&self, question: Question) {
        let questions = lock(&self.questions).clone();
        let refused = match questions {
            Some(questions) => questions.try_send(question).err(),
            None => Some(TrySendError::Disconnected(question)),
        };
        match refused {
            None => {}
            Some(TrySendError::Full(question)) => question.fail("too many wait for the journal; ask again"),
            Some(TrySendError::Disconnected(question)) => question.fail("the journal is closed"),
        }
    }
}

impl Shared {
    fn gone_through(&self, source: SourceNumber) -> u64 {
        self.sources.get(usize::from(source)).map_or(0, |source| source.gone_through.load(Ordering::Acquire))
    }

    fn positions(&self) -> MutexGuard<'_, Positions> {
        lock(&self.positions)
    }

    /// Makes the folder ours, where that could not be done before; whoever writes must have tried.
    fn hold(&self) -> Result<(), StoreError> {
        let mut held = lock(&self.held);
        if held.is_none()
            && let Some(directory) = self.path.parent()
        {
            *held = open::hold(directory).map_err(|error| StoreError::InUse(error.to_string()))?;
        }
        Ok(())
    }

    /// Nothing can be written: nobody waits for the disk any more.
    fn fails(&self, reason: &str) {
        lock(&self.health).error = Some(format!("{}: {reason}", self.path.display()));
        self.queue.set_failing(true);
    }

    /// Something was written.
    fn works(&self) {
        let failed = lock(&self.health).error.take().is_some();
        self.queue.set_failing(false);
        if failed {
            log::info!(file:% = self.path.display(); "the journal is written again");
        }
    }
}

impl Positions {
    /// The stream of a source now.
    fn current(&self, source: SourceNumber) -> Option<&Stream> {
        let at = (*self.current.get(usize::from(source))?)?;
        self.streams.get(at)
    }
}
