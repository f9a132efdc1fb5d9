//! How a consumer is: what the metrics show and the log tells.

use crate::broker::{History, Read};
use crate::event::SourceNumber;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What rows are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Ledgers.
    Ledgers,
    /// Their events.
    Events,
    /// Breaks in the row of ledgers.
    Gaps,
}

impl Table {
    /// All, by number.
    pub const ALL: [Table; 3] = [Table::Ledgers, Table::Events, Table::Gaps];

    /// The word for it in the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Ledgers => "ledgers",
            Table::Events => "events",
            Table::Gaps => "gaps",
        }
    }
}

/// How a consumer is, shared with the metrics. Whatever happens to it is told here once: one method moves the metric
/// and writes the log line.
pub struct Status {
    name: Box<str>,
    history: Arc<History>,
    sources: Vec<SourceStatus>,
    up: AtomicBool,
    rows: [AtomicU64; Table::ALL.len()],
    errors: Mutex<BTreeMap<&'static str, u64>>,
    down: Mutex<Option<Down>>,
}

struct SourceStatus {
    number: SourceNumber,
    name: Arc<str>,
    /// The newest ledger written, plus one; 0: none.
    written: AtomicU64,
}

/// Since when it is down, and what was told of it last.
struct Down {
    since: Instant,
    kind: &'static str,
}

/// A moment of a [`Status`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The consumer.
    pub name: String,
    /// Whether it can write.
    pub up: bool,
    /// Rows written since start.
    pub rows: Vec<(&'static str, u64)>,
    /// Errors by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// How far each of its sources is behind.
    pub lags: Vec<SourceLag>,
}

/// How far a source's rows are behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLag {
    /// The source.
    pub source: Arc<str>,
    /// Ledgers between the newest in the stream and the newest written.
    pub ledgers: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Status {
    /// Of a consumer that has not begun.
    pub fn new(name: String, history: Arc<History>, sources: Vec<(SourceNumber, Arc<str>)>) -> Status {
        let status = |(number, name)| SourceStatus { number, name, written: AtomicU64::new(0) };
        Status {
            name: name.into(),
            history,
            sources: sources.into_iter().map(status).collect(),
            up: AtomicBool::new(false),
            rows: Default::default(),
            errors: Mutex::default(),
            down: Mutex::default(),
        }
    }

    /// The consumer's name in metrics and logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It can write. Told where it could not before, and the first time.
    pub fn is_up(&self) {
        let was_up = self.up.swap(true, Ordering::Relaxed);
        match lock(&self.down).take() {
            Some(down) => {
                let (down_ms, lag_ledgers) = (down.since.elapsed().as_millis() as u64, self.lag());
                log::info!(consumer = &*self.name, down_ms, lag_ledgers; "the database is back");
            }
            None if !was_up => log::info!(consumer = &*self.name; "writes into its database"),
            None => {}
        }
    }

    /// It cannot write. The same trouble is told once, until it is over.
    pub fn is_down(&self, kind: &'static str, reason: &str) {
        self.up.store(false, Ordering::Relaxed);
        self.count_error(kind);
        let mut down = lock(&self.down);
        let since = match &*down {
            Some(down) if down.kind == kind => return,
            Some(down) => down.since,
            None => Instant::now(),
        };
        *down = Some(Down { since, kind });
        log::warn!(
            consumer = &*self.name, kind = kind;
            "cannot write: {reason}; tries again, the stream goes on"
        );
    }

    /// Something went wrong that does not keep it from writing.
    pub fn error(&self, kind: &'static str, reason: &str) {
        self.count_error(kind);
        log::error!(consumer = &*self.name, kind = kind; "{reason}");
    }

    /// It ended by a fault of ours.
    pub fn died(&self) {
        self.up.store(false, Ordering::Relaxed);
        self.error(
            "died",
            "ended by a fault of this program, and writes no more until the next start; please report it",
        );
    }

    fn count_error(&self, kind: &'static str) {
        *lock(&self.errors).entry(kind).or_default() += 1;
    }

    /// Rows were committed.
    pub fn wrote(&self, table: Table, rows: u64) {
        self.rows[table as usize].fetch_add(rows, Ordering::Relaxed);
    }

    /// A source's ledgers up to this one are in the database.
    pub fn wrote_through(&self, source: SourceNumber, ledger: u64) {
        if let Some(status) = self.sources.iter().find(|status| status.number == source) {
            status.written.store(ledger.saturating_add(1), Ordering::Relaxed);
        }
    }

    fn lag(&self) -> u64 {
        self.sources.iter().map(|source| self.lag_of(source)).max().unwrap_or(0)
    }

    fn lag_of(&self, source: &SourceStatus) -> u64 {
        let Some(newest) = self.history.newest(source.number) else { return 0 };
        let index = |written: u64| newest.batch.ledger.index.saturating_add(1).saturating_sub(written);
        match source.written.load(Ordering::Relaxed) {
            // Nothing yet: all that is there.
            0 => match self.history.read(&[source.number], self.history.oldest(&[source.number]), u64::MAX) {
                Read::Entry(oldest, _) => index(oldest.batch.ledger.index),
                Read::Newest | Read::Gone => 0,
            },
            written => index(written),
        }
    }

    /// As it is now.
    pub fn health(&self) -> Health {
        let lag = |source: &SourceStatus| SourceLag { source: source.name.clone(), ledgers: self.lag_of(source) };
        let rows = Table::ALL.into_iter().zip(&self.rows);
        Health {
            name: self.name.to_string(),
            up: self.up.load(Ordering::Relaxed),
            rows: rows.map(|(table, rows)| (table.name(), rows.load(Ordering::Relaxed))).collect(),
            errors: lock(&self.errors).clone(),
            lags: self.sources.iter().map(lag).collect(),
        }
    }
}
