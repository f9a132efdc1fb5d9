//! What is known of a running source, for health, metrics and logs.
//!
//! Anything that can happen to a source is told once, by a method of [`SourceStatus`] that writes
//! the log line and moves the counter together.

use super::SourceError;
use crate::event::{Continuity, LedgerBatch, SourceNumber};
use serde::Serialize;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Asking the network who it is and where to begin.
    #[default]
    #[serde(rename = "opening")]
    Starting,
    /// At the tip.
    Live,
    /// Reading ledgers that closed before.
    CatchingUp,
    /// Waiting after an error.
    #[serde(rename = "retrying")]
    Failing,
    /// Ended.
    Stopped,
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

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What, with the remedy; one line without secrets.
    pub what: String,
    /// When.
    pub at: SystemTime,
}

/// A copy of what is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
    /// The last error, also when all is well again.
    pub last_error: Option<Trouble>,
    /// Why nothing more is read before a person has looked, and since when; `None` as soon as a poll works.
    pub held: Option<Trouble>,
    /// How it ended, where nothing will come any more and nothing is wrong.
    pub ended: Option<String>,
    /// The ledger of the last checkpoint written.
    pub checkpoint_ledger: Option<u64>,
    /// Why the newest checkpoint could not be written; `None` as soon as one can.
    pub checkpoint_error: Option<Trouble>,
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
    polls: Reminder,
    checkpoints: Reminder,
    /// How often an address served another network since a poll worked.
    strangers: usize,
    /// When a change of state was logged last.
    state_logged: Option<Instant>,
}

/// Decides which of the errors that go on are logged: the first, each of another kind, and one now
/// and then.
#[derive(Debug, Default)]
struct Reminder {
    /// The kind of error that was logged last and when, until it works again.
    logged: Option<(&'static str, Instant)>,
    /// Errors since then that were not logged.
    unlogged: u64,
}

impl Reminder {
    /// An error of this kind: if it shall be logged, how many were not since the last that was.
    fn failed(&mut self, kind: &'static str) -> Option<u64> {
        if self.logged.is_some_and(|(logged, at)| logged == kind && at.elapsed() < REMIND) {
            self.unlogged += 1;
            return None;
        }
        self.logged = Some((kind, Instant::now()));
        Some(std::mem::take(&mut self.unlogged))
    }

    /// It works: if it did not before, how many errors were not logged.
    fn works(&mut self) -> Option<u64> {
        self.logged.take().map(|_| std::mem::take(&mut self.unlogged))
    }
}

impl SourceStatus {
    /// A source that is starting.
    pub fn new(number: SourceNumber, name: &str) -> Arc<SourceStatus> {
        let inner = Inner {
            snapshot: Snapshot::default(),
            recent: VecDeque::with_capacity(RECENT),
            polls: Reminder::default(),
            checkpoints: Reminder::default(),
            strangers: 0,
            state_logged: None,
        };
        Arc::new(SourceStatus { number, name: name.into(), inner: Mutex::new(inner) })
    }

    /// A copy of what is known now.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().snapshot.clone()
    }

    /// Whether it is at the tip, and the broker has all of it.
    pub fn is_at_tip(&self) -> bool {
        let snapshot = &self.lock().snapshot;
        snapshot.state == State::Live && snapshot.untaken == 0
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
        // Until the poll is over, whoever looks shall not see a ledger newer than the newest.
        snapshot.newest_ledger = snapshot.newest_ledger.max(snapshot.last_ledger);
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
        (inner.snapshot.held, inner.strangers) = (None, 0);
        if let Some(unlogged) = inner.polls.works() {
            log::info!(source = self.name.as_str(), unlogged; "source works again");
        }
        let (last, newest) = (inner.snapshot.last_ledger, inner.snapshot.newest_ledger);
        let tell = before != state && inner.state_logged.is_none_or(|at| at.elapsed() >= SETTLED);
        if tell {
            inner.state_logged = Some(Instant::now());
        }
        drop(inner);
        if tell {
            let doing = if behind { "catching up" } else { "live" };
            log::info!(source = self.name.as_str(), ledger = last, newest; "source is {doing}");
        }
    }

    /// A poll failed; the next is after `wait`. The source has so many addresses: of another network it is only when
    /// that was said as often, since one wrong address among good ones is left by itself.
    pub(super) fn failed(&self, error: &SourceError, wait: Duration, addresses: usize) {
        let mut inner = self.lock();
        inner.snapshot.state = State::Failing;
        let kind = error.kind();
        self.count(&mut inner, error);
        let holds = match error {
            SourceError::Held { .. } | SourceError::Recording { .. } => true,
            SourceError::WrongNetwork { .. } => {
                inner.strangers += 1;
                inner.strangers >= addresses
            }
            _ => false,
        };
        let snapshot = &mut inner.snapshot;
        let same = snapshot.held.as_ref().map(|held| &held.what) == snapshot.last_error.as_ref().map(|last| &last.what);
        if holds && !same {
            snapshot.held = snapshot.last_error.clone();
        }
        let unlogged = inner.polls.failed(kind);
        drop(inner);
        if let Some(unlogged) = unlogged {
            log::warn!(source = self.name.as_str(), kind, wait_ms = wait.as_millis() as u64, unlogged; "{error}");
        }
    }

    /// A checkpoint is on disk, or is not.
    pub(crate) fn checkpoint(&self, ledger: u64, outcome: Result<(), SourceError>) {
        let mut inner = self.lock();
        match outcome {
            Ok(()) => {
                inner.snapshot.checkpoint_ledger = Some(ledger);
                inner.snapshot.checkpoint_error = None;
                let works_again = inner.checkpoints.works();
                drop(inner);
                if let Some(unlogged) = works_again {
                    log::info!(source = self.name.as_str(), ledger, unlogged; "checkpoints are written again");
                }
            }
            Err(error) => {
                self.count(&mut inner, &error);
                inner.snapshot.checkpoint_error = inner.snapshot.last_error.clone();
                let unlogged = inner.checkpoints.failed(error.kind());
                drop(inner);
                if let Some(unlogged) = unlogged {
                    log::error!(source = self.name.as_str(), kind = error.kind(), ledger, unlogged; "{error}");
                }
            }
        }
    }

    /// Something that an operator should read, though the source goes on.
    pub(super) fn notice(&self, text: &str) {
        log::warn!(source = self.name.as_str(); "{text}");
    }

    /// All that there is was told.
    pub(super) fn ended(&self, how: &str) {
        self.lock().snapshot.ended = Some(how.to_owned());
        log::info!(source = self.name.as_str(); "{how}; nothing comes after it");
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
        inner.snapshot.last_error = Some(Trouble { what: error.to_string(), at: SystemTime::now() });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_again_now_and_then() {
        let mut reminder = Reminder::default();
        assert_eq!(reminder.works(), None);
        assert_eq!(reminder.failed("timeout"), Some(0));
        assert_eq!((reminder.failed("timeout"), reminder.failed("timeout")), (None, None));
        assert_eq!(reminder.failed("transport"), Some(2));
        assert_eq!(reminder.failed("transport"), None);
        // A minute later.
        reminder.logged = reminder.logged.and_then(|(kind, at)| Some((kind, at.checked_sub(REMIND)?)));
        assert_eq!(reminder.failed("transport"), Some(1));
        assert_eq!((reminder.works(), reminder.works()), (Some(0), None));
    }

    #[test]
    fn what_holds_a_source_is_known_until_a_poll_works() {
        let failed = |status: &SourceStatus, error: &SourceError| {
            status.failed(error, Duration::ZERO, 2);
            status.snapshot().held.map(|held| held.what)
        };
        let gone = SourceError::Transport { url: "http://a".into(), reason: "refused".into() };
        let held = SourceError::Held { reason: "forked".into(), key: "on_deep_reorg", value: "continue" };
        let stranger =
            SourceError::WrongNetwork { url: "http://a".into(), expected: "evm-1".into(), found: "evm-2".into() };
        let status = SourceStatus::new(0, "a");
        assert_eq!(failed(&status, &gone), None);
        assert_eq!(failed(&status, &held), Some(held.to_string()));
        let since = status.snapshot().held;
        assert_eq!(failed(&status, &gone), Some(held.to_string()), "who else fails does not lift it");
        failed(&status, &held);
        assert_eq!(status.snapshot().held, since, "since the first time");
        status.working(None, false);
        assert_eq!(status.snapshot().held, None);
        // Of two addresses one may be wrong.
        assert_eq!(failed(&status, &stranger), None);
        status.working(None, false);
        assert_eq!(failed(&status, &stranger), None);
        assert_eq!(failed(&status, &gone), None);
        assert_eq!(failed(&status, &stranger), Some(stranger.to_string()));
    }

    #[test]
    fn a_checkpoint_that_fails_is_known_until_one_is_written() {
        let status = SourceStatus::new(0, "a");
        let full = || SourceError::Checkpoint { path: "/state".into(), reason: "no space; check `state_dir`".into() };
        status.checkpoint(6, Ok(()));
        status.checkpoint(7, Err(full()));
        let known = status.snapshot();
        assert_eq!(known.checkpoint_error.map(|error| error.what), Some(full().to_string()));
        assert_eq!((known.checkpoint_ledger, known.errors["checkpoint"]), (Some(6), 1));
        status.checkpoint(8, Ok(()));
        let known = status.snapshot();
        assert_eq!((known.checkpoint_error, known.checkpoint_ledger), (None, Some(8)));
        assert!(known.last_error.is_some(), "the last error is remembered");
    }
}
