//! What the clients of one filter got together: the row that each of them is held against.
//!
//! An event stands here once, as the digest of its bytes and its place, in the order of the stream and not of its
//! coming: one that came to the second client first, because the first one lost it, is put where it belongs.

use std::collections::{BTreeSet, VecDeque};

/// Where an event stands: ledger, then place in it.
pub type Key = (u64, u64);

/// Missing ledgers that are remembered, in case that another client brings them.
const MISSING: usize = 1024;

/// An event that some client got.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Where it stands.
    pub key: Key,
    /// Of its bytes.
    pub digest: u64,
    /// When the first client read it, nanoseconds.
    pub first_seen: u64,
}

/// A row of events of one stream. Positions count from the beginning of the run, also when the oldest are gone.
#[derive(Debug)]
pub struct Log {
    /// Which stream.
    pub stream: usize,
    /// The position of the oldest entry.
    base: u64,
    entries: VecDeque<Entry>,
    limit: usize,
    /// The newest ledger whose own event is here.
    last_ledger: Option<u64>,
    missing: BTreeSet<u64>,
    /// Missing ones that are not remembered any more.
    missing_for_good: u64,
}

impl Log {
    /// An empty one that keeps `limit` entries.
    pub fn new(stream: usize, limit: usize) -> Log {
        Log {
            stream,
            base: 0,
            entries: VecDeque::new(),
            limit,
            last_ledger: None,
            missing: BTreeSet::new(),
            missing_for_good: 0,
        }
    }

    /// The position of the oldest entry.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The position after the newest one.
    pub fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// The entry at a position; `None` outside of what is kept.
    pub fn get(&self, position: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(position.checked_sub(self.base)?).ok()?)
    }

    /// The entry with this key, or where it would stand.
    pub fn find(&self, key: Key) -> Result<u64, u64> {
        let found = self.entries.binary_search_by_key(&key, |entry| entry.key);
        found.map(|at| self.base + at as u64).map_err(|at| self.base + at as u64)
    }

    /// Whether a key is older than all that is kept, and something has gone already.
    pub fn has_forgotten(&self, key: Key) -> bool {
        self.base > 0 && self.entries.front().is_none_or(|oldest| key < oldest.key)
    }

    /// Puts an entry where [`Log::find`] said; later ones move on by one.
    pub fn insert(&mut self, position: u64, entry: Entry) {
        self.entries.insert((position - self.base) as usize, entry);
    }

    /// Lets the oldest go when there are too many.
    pub fn trim(&mut self) {
        if self.entries.len() > self.limit {
            self.entries.pop_front();
            self.base += 1;
        }
    }

    /// Of these positions those that nobody had seen at `since`.
    pub fn seen_after(&self, since: u64, positions: std::ops::Range<u64>) -> impl Iterator<Item = &Entry> {
        let positions = positions.start.max(self.base)..positions.end;
        positions.filter_map(|position| self.get(position)).filter(move |entry| entry.first_seen > since)
    }

    /// Notes a ledger's own event, from a client that gets all since `from`. `announced` says what the server
    /// told to be missing.
    pub fn ledger(&mut self, ledger: u64, from: u64, announced: impl Fn(u64) -> bool) {
        if self.missing.remove(&ledger) {
            return;
        }
        let last = self.last_ledger.map_or(from, |last| last.max(from));
        // A row that leaps far is some other row; what is not remembered is still counted.
        let hole = last.saturating_add(1)..ledger;
        for missing in hole.clone().take(MISSING).filter(|ledger| !announced(*ledger)) {
            self.missing.insert(missing);
            if self.missing.len() > MISSING {
                self.missing.pop_first();
                self.missing_for_good += 1;
            }
        }
        self.missing_for_good += (hole.end.saturating_sub(hole.start)).saturating_sub(MISSING as u64);
        self.last_ledger = self.last_ledger.max(Some(ledger));
    }

    /// Ledgers that nobody got and the server did not announce as missing.
    pub fn missing_ledgers(&self) -> u64 {
        self.missing_for_good + self.missing.len() as u64
    }
}
