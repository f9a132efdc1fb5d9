//! What is known of a running source, for health, metrics and logs.
//!
//! Anything that can happen to a source is told once, by a method of [`SourceStatus`] that writes
//! the log line and moves the counter together.

use super::SourceError;
use crate::event::{Continuity, LedgerBatch, SourceNumber};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Ledgers whose posting times are kept.
pub const RECENT: usize = 256;
/// An error that goes on is logged again after this long.
const REMIND: Duration = Duration::from_secs(60);
/// A change between live and catching up is logged at most this often: a chain that closes faster
/// than it is polled changes all the time.
const SETTLED: Duration = Duration::from_secs(10);

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Asking the network who it is.
    Starting,
    /// At the tip.
    Live,
    /// Reading ledgers that closed before.
    CatchingUp,
    /// Waiting after an error.
    Failing,
    /// Ended.
    Stopped,
}

impl State {
    /// The name in metrics and health answers.
    pub const fn name(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Live => "live",
            State::CatchingUp => "catching_up",
            State::Failing => "failing",
            State::Stopped => "stopped",
        }
    }
}

/// A ledger that was posted lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recent {
    /// The ledger's index.
    pub ledger: u64,
    /// When it was posted: nanoseconds of the machine's monotonic clock, comparable between processes.
    pub posted_nanos: u64,
    /// How many events it has.
    pub events: u32,
}

/// A copy of what is known.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the source is doing.
    pub state: State,
    /// The network's id, once known.
    pub network: Option<Arc<str>>,
    /// The last ledger posted.
    pub last_ledger: Option<u64>,
    /// Its close time, Unix seconds.
    pub last_closed_at: Option<i64>,
    /// When it was posted.
    pub last_posted: Option<Instant>,
    /// The newest ledger that the RPC told of.
    pub newest_ledger: Option<u64>,
    /// Ledgers posted.
    pub ledgers_posted: u64,
    /// Events posted.
    pub events_posted: u64,
    /// Batches posted that the broker has not taken yet.
    pub untaken: usize,
    /// Errors by [`SourceError::kind`].
    pub errors: BTreeMap<&'static str, u64>,
    /// Breaks announced, by [`crate::event::ContinuityKind::name`].
    pub breaks: BTreeMap<&'static str, u64>,
    /// The last error and when it happened.
    pub last_error: Option<(String, SystemTime)>,
    /// The ledger of the last checkpoint written.
    pub checkpoint_ledger: Option<u64>,
}

/// What is known of one source; shared.
#[derive(Debug)]
pub struct SourceStatus {
    /// The source's number.
    pub number: SourceNumber,
    /// The source's name in the configuration.
    pub name: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    snapshot: Snapshot,
    recent: VecDeque<Recent>,
    /// The kind of error that was logged last and when, until the source works again.
    logged: Option<(&'static str, Instant)>,
    /// Errors since then that were not logged.
    unlogged: u64,
    /// When a change of state was logged last.
    state_logged: Option<Instant>,
}

impl SourceStatus {
    /// A source that is starting.
    pub fn new(number: SourceNumber, name: &str) -> Arc<SourceStatus> {
        let snapshot = Snapshot {
            state: State::Starting,
            network: None,
            last_ledger: None,
            last_closed_at: None,
            last_posted: None,
            newest_ledger: None,
            ledgers_posted: 0,
            events_posted: 0,
            untaken: 0,
            errors: BTreeMap::new(),
            breaks: BTreeMap::new(),
            last_error: None,
            checkpoint_ledger: None,
        };
        let inner =
            Inner { snapshot, recent: VecDeque::with_capacity(RECENT), logged: None, unlogged: 0, state_logged: None };
        Arc::new(SourceStatus { number, name: name.into(), inner: Mutex::new(inner) })
    }

    /// A copy of what is known now.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().snapshot.clone()
    }

    /// The ledgers posted lately, oldest first, at most [`RECENT`].
    pub fn recent(&self) -> Vec<Recent> {
        self.lock().recent.iter().copied().collect()
    }

    /// The network answered and the beginning is settled.
    pub(super) fn opened(&self, network: &Arc<str>, from: &str) {
        self.lock().snapshot.network = Some(network.clone());
        log::info!(source = self.name.as_str(), network = network.as_ref(); "source opened, {from}");
    }

    /// A ledger goes to the broker.
    pub(super) fn posted(&self, batch: &LedgerBatch, posted: Instant) {
        let mut inner = self.lock();
        let snapshot = &mut inner.snapshot;
        snapshot.last_ledger = Some(batch.ledger.index);
        snapshot.last_closed_at = Some(batch.ledger.closed_at);
        snapshot.last_posted = Some(posted);
        snapshot.ledgers_posted += 1;
        snapshot.events_posted += batch.events.len() as u64;
        snapshot.untaken += 1;
        if let Some(Continuity { kind, from_ledger, to_ledger, reason }) = &batch.continuity {
            *snapshot.breaks.entry(kind.name()).or_default() += 1;
            log::error!(source = self.name.as_str(), from_ledger = *from_ledger, to_ledger = *to_ledger;
                "{}: {reason}", kind.name());
        }
        if inner.recent.len() == RECENT {
            inner.recent.pop_front();
        }
        let events = batch.events.len() as u32;
        inner.recent.push_back(Recent { ledger: batch.ledger.index, posted_nanos: monotonic_nanos(), events });
    }

    /// The broker took a ledger.
    pub(super) fn taken(&self) {
        let mut inner = self.lock();
        inner.snapshot.untaken = inner.snapshot.untaken.saturating_sub(1);
    }

    /// A poll worked.
    pub(super) fn working(&self, newest: Option<u64>, behind: bool) {
        let mut inner = self.lock();
        inner.snapshot.newest_ledger = newest.or(inner.snapshot.newest_ledger);
        let state = if behind { State::CatchingUp } else { State::Live };
        let before = std::mem::replace(&mut inner.snapshot.state, state);
        if inner.logged.take().is_some() {
            let unlogged = std::mem::take(&mut inner.unlogged);
            log::info!(source = self.name.as_str(), unlogged; "source works again");
        }
        let (last, newest) = (inner.snapshot.last_ledger, inner.snapshot.newest_ledger);
        let tell = before != state && inner.state_logged.is_none_or(|at| at.elapsed() >= SETTLED);
        if tell {
            inner.state_logged = Some(Instant::now());
        }
        drop(inner);
        if tell {
            log::info!(source = self.name.as_str(), ledger = last, newest; "source is {}", state.name());
        }
    }

    /// A poll failed; the next is after `wait`.
    pub(super) fn failed(&self, error: &SourceError, wait: Duration) {
        let mut inner = self.lock();
        inner.snapshot.state = State::Failing;
        let kind = error.kind();
        self.count(&mut inner, error);
        let repeats = |(logged, at): (&str, Instant)| logged == kind && at.elapsed() < REMIND;
        if inner.logged.is_some_and(repeats) {
            inner.unlogged += 1;
            return;
        }
        inner.logged = Some((kind, Instant::now()));
        let unlogged = std::mem::take(&mut inner.unlogged);
        drop(inner);
        log::warn!(source = self.name.as_str(), kind, wait_ms = wait.as_millis() as u64, unlogged; "{error}");
    }

    /// A checkpoint is on disk, or is not.
    pub(super) fn checkpoint(&self, ledger: u64, outcome: Result<(), SourceError>) {
        let mut inner = self.lock();
        match outcome {
            Ok(()) => inner.snapshot.checkpoint_ledger = Some(ledger),
            Err(error) => {
                let first = !inner.snapshot.errors.contains_key(error.kind());
                self.count(&mut inner, &error);
                drop(inner);
                if first {
                    log::error!(source = self.name.as_str(), kind = error.kind(); "{error}");
                }
            }
        }
    }

    /// Something that an operator should read, though the source goes on.
    pub(super) fn notice(&self, text: &str) {
        log::warn!(source = self.name.as_str(); "{text}");
    }

    /// The source ended.
    pub(super) fn stopped(&self) {
        let mut inner = self.lock();
        inner.snapshot.state = State::Stopped;
        let last = inner.snapshot.last_ledger;
        drop(inner);
        log::info!(source = self.name.as_str(), ledger = last; "source stopped");
    }

    fn count(&self, inner: &mut Inner, error: &SourceError) {
        *inner.snapshot.errors.entry(error.kind()).or_default() += 1;
        inner.snapshot.last_error = Some((error.to_string(), SystemTime::now()));
    }

    /// The lock is held for a few assignments that cannot panic, so a poisoned value is whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine's monotonic clock, nanoseconds: what other processes on it can compare with.
pub fn monotonic_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
