//! What waits for the disk.
//!
//! Ledgers stay in the queue until their transaction is done, so that whoever reads finds each of them here or in the
//! store at every moment.

use super::hole::Hole;
use super::{MOST_SLOW, MOST_WAITING, SLOW_FROM, lock};
use crate::broker::StreamEntry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A commit that takes longer is of a disk that hangs: nobody waits for it any more.
const HANGS: Duration = Duration::from_secs(10);
/// Whoever waits looks again after this long, since a hanging disk tells nothing.
const LOOK: Duration = Duration::from_secs(1);

/// A ledger, and what its source counted up to it.
#[derive(Clone)]
pub struct Waiting {
    /// The ledger.
    pub entry: Arc<StreamEntry>,
    /// What its source counted.
    pub counters: BTreeMap<String, u64>,
}

/// The queue between the broker and the disk.
#[derive(Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    /// The writer waits here.
    filled: Condvar,
    /// Everybody else here.
    emptied: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    weight: usize,
    /// What was given up and is not noted in the store yet.
    lost: Vec<Hole>,
    /// How many from the front are being written, and since when.
    writing: Option<(usize, Instant)>,
    failing: bool,
    /// A damaged file is being copied: nothing is written meanwhile, and who catches up shall wait.
    salvaging: bool,
    closing: bool,
}

/// What the writer is to do.
pub struct Group {
    /// Ledgers in the order of the stream.
    pub ledgers: Vec<Waiting>,
    /// What was given up between them or before.
    pub lost: Vec<Hole>,
    /// It shall end after this.
    pub closing: bool,
}

impl Inner {
    fn works(&self) -> bool {
        !self.failing && self.writing.is_none_or(|(_, since)| since.elapsed() < HANGS)
    }

    /// Gives up the oldest that are not being written, where there are too many.
    fn shed(&mut self) {
        let from = self.writing.map_or(0, |(count, _)| count);
        let (most, why) = match self.works() {
            true => (MOST_SLOW, "the disk was too slow"),
            false => (MOST_WAITING, "the disk took nothing"),
        };
        while self.weight > most && self.waiting.len() > from + 1 {
            let Some(given_up) = self.waiting.remove(from) else { break };
            self.weight -= given_up.entry.batch.weight();
            let hole = Hole::of(&given_up.entry, why);
            let last = self.lost.iter_mut().rev().find(|last| last.source == hole.source);
            if !last.is_some_and(|last| last.join(&hole)) {
                self.lost.push(hole);
            }
        }
    }
}

impl Queue {
    /// Adds a ledger at the end.
    pub fn push(&self, entry: Arc<StreamEntry>, counters: BTreeMap<String, u64>) {
        let mut inner = lock(&self.inner);
        inner.weight += entry.batch.weight();
        inner.waiting.push_back(Waiting { entry, counters });
        inner.shed();
        drop(inner);
        self.filled.notify_one();
    }

    /// What is to be written next, at most so many and, beyond the first, of so much weight; waits for it until then.
    pub fn take(&self, most: usize, weight: usize, wait: Duration) -> Group {
        let inner = lock(&self.inner);
        let nothing = |inner: &mut Inner| inner.waiting.is_empty() && !inner.closing;
        let waited = self.filled.wait_timeout_while(inner, wait, nothing);
        let mut inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        let mut sum = 0;
        let mut fits = |waiting: &&Waiting| {
            let first = sum == 0;
            sum += waiting.entry.batch.weight();
            first || sum <= weight
        };
        let ledgers: Vec<Waiting> = inner.waiting.iter().take(most).take_while(&mut fits).cloned().collect();
        if !ledgers.is_empty() {
            inner.writing = Some((ledgers.len(), Instant::now()));
        }
        // A hole is only noted with what comes after it: before, the source's position is before it as well, and it
        // would be read again.
        let followed = |hole: &&Hole| {
            ledgers.iter().any(|next| next.entry.batch.source == hole.source && next.entry.sequence > hole.through)
        };
        let lost = inner.lost.iter().filter(followed).cloned().collect();
        Group { ledgers, lost, closing: inner.closing }
    }

    /// A group is on disk, or is not.
    pub fn finish(&self, group: &Group, written: bool) {
        let mut inner = lock(&self.inner);
        inner.writing = None;
        if written {
            for _ in &group.ledgers {
                if let Some(written) = inner.waiting.pop_front() {
                    inner.weight -= written.entry.batch.weight();
                }
            }
            // Those that grew meanwhile are noted anew with their further ledgers.
            inner.lost.retain(|hole| !group.lost.contains(hole));
        }
        drop(inner);
        self.emptied.notify_waiters();
    }

    /// Waits so long, or until it is closed.
    pub fn pause(&self, time: Duration) {
        drop(self.filled.wait_timeout_while(lock(&self.inner), time, |inner| !inner.closing));
    }

    /// Whether the disk works.
    pub fn set_failing(&self, failing: bool) {
        lock(&self.inner).failing = failing;
        self.emptied.notify_waiters();
    }

    /// Whether a damaged file is being copied.
    pub fn set_salvaging(&self, salvaging: bool) {
        lock(&self.inner).salvaging = salvaging;
        self.emptied.notify_waiters();
    }

    /// No more comes.
    pub fn close(&self) {
        lock(&self.inner).closing = true;
        self.filled.notify_all();
        self.emptied.notify_waiters();
    }

    /// Whether it is closed.
    pub fn is_closing(&self) -> bool {
        lock(&self.inner).closing
    }

    /// Whether sources that catch up shall wait.
    pub fn is_full(&self) -> bool {
        let inner = lock(&self.inner);
        let is_awaited = inner.weight > SLOW_FROM && inner.works() || inner.weight > SLOW_FROM / 2 && inner.salvaging;
        is_awaited && !inner.closing
    }

    /// Whether nothing waits, or waiting is of no use.
    pub fn is_settled(&self) -> bool {
        let inner = lock(&self.inner);
        inner.waiting.is_empty() || !inner.works()
    }

    /// Whether something is being written.
    #[cfg(test)]
    pub fn is_writing(&self) -> bool {
        lock(&self.inner).writing.is_some()
    }

    /// How many wait, and their weight.
    pub fn size(&self) -> (usize, usize) {
        let inner = lock(&self.inner);
        (inner.waiting.len(), inner.weight)
    }

    /// What waits, and what was given up, that `wanted` wants.
    pub fn find(&self, wanted: impl Fn(&StreamEntry) -> bool) -> (Vec<Arc<StreamEntry>>, Vec<Hole>) {
        let inner = lock(&self.inner);
        let entries = inner.waiting.iter().map(|waiting| &waiting.entry);
        (entries.filter(|entry| wanted(entry)).cloned().collect(), inner.lost.clone())
    }

    /// Waits until it is so.
    pub async fn until(&self, so: impl Fn(&Queue) -> bool) {
        loop {
            let emptied = self.emptied.notified();
            if so(self) {
                return;
            }
            // Too late is as good as a word.
            let _ = tokio::time::timeout(LOOK, emptied).await;
        }
    }
}
