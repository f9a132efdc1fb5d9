//! Opens the journal, whatever state its file is in.

use super::aside::move_aside;
use super::hole::Hole;
use super::prune::unix_millis;
use super::queue::Queue;
use super::salvage;
use super::store::{Store, StoreError, Stream};
use super::{Journal, JournalHealth, MOST_QUESTIONS, Positions, Shared, SourceState, Unstarted, form::Unpacker};
use crate::broker::{Kept, Past};
use crate::config;
use crate::event::SourceNumber;
use crate::source::short_digest;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

/// The file in `state_dir`.
pub(super) const FILE: &str = "journal.db";
/// Held while a process uses it.
const LOCK: &str = "journal.lock";
/// Putting ledgers back into memory takes no longer, of all sources.
const LONGEST_RESTORE: Duration = Duration::from_secs(5);

/// What identifies a source over restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceKey {
    /// Its name in the settings.
    pub name: String,
    /// Names every setting that restricts or shapes what it gives.
    pub scope: String,
}

/// Why the journal cannot be used: a person must look, since going on would lose positions.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the folder.
    #[error("another process uses `state_dir` {0}; stop it, or give this one a folder of its own")]
    InUse(PathBuf),
    /// It is there and cannot be read, or is no journal of this release.
    #[error("journal {path}: {reason}; give this user the right to read and write it, or move it away to begin anew")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// See [`Journal::open`].
pub(super) fn open(directory: &Path, keep: config::Journal, sources: Vec<SourceKey>) -> Result<Journal, OpenError> {
    let path = directory.join(FILE);
    let made = fs::create_dir_all(directory);
    let held = match &made {
        Ok(()) => hold(directory)?,
        Err(_) => None,
    };
    let opened = match made {
        Ok(()) => {
            salvage::recover(&path);
            open_or_renew(&path, &[])
        }
        Err(error) => Err(StoreError::Damaged(format!("the folder cannot be made: {error}"))),
    };
    let (store, streams, error) = match opened {
        Ok(Opened { store, streams, .. }) => (Some(store), streams, None),
        Err(error) => {
            let reason = format!("cannot be written: {error}; check `state_dir`, its space and its rights");
            let streams = if path.exists() { only_read(&path)? } else { Vec::new() };
            log::error!(file:% = path.display(); "the journal {reason}; ledgers are not kept meanwhile");
            (None, streams, Some(reason))
        }
    };
    let sources: Vec<SourceState> = sources
        .into_iter()
        .map(|SourceKey { name, scope }| SourceState {
            name,
            scope: short_digest(&scope),
            gone_through: AtomicU64::new(0),
            status: Mutex::default(),
            old_file: Mutex::default(),
        })
        .collect();
    let mut positions = Positions { streams, ..Positions::default() };
    for source in &sources {
        let own = positions.streams.iter().enumerate().filter(|(_, stream)| stream.source == source.name);
        let current = own.clone().filter(|(_, stream)| stream.scope == source.scope);
        let current = current.max_by_key(|(_, stream)| stream.sequence).map(|(at, _)| at);
        // What was read under other settings, or on another network, is no part of the row of ledgers.
        let others = own.filter(|(at, _)| Some(*at) != current).map(|(_, stream)| stream.sequence);
        let gone = current.map_or(0, |at| positions.streams[at].gone_through);
        source.gone_through.store(others.fold(gone, u64::max), std::sync::atomic::Ordering::Release);
        positions.current.push(current);
    }
    let mut damaged = None;
    if let Some(store) = &store {
        let numbers = 0..sources.len() as SourceNumber;
        let current: Vec<(SourceNumber, &Stream)> =
            numbers.filter_map(|source| Some((source, positions.current(source)?))).collect();
        positions.holes = store.holes(&current).unwrap_or_else(|error| {
            log::error!(file:% = path.display(); "what the journal lacks cannot be read: {error}");
            // Nobody reads before that was looked at.
            damaged = error.is_damage().then(|| error.to_string());
            Vec::new()
        });
    }
    let queue = Queue::default();
    queue.set_failing(error.is_some());
    let error = error.map(|reason| format!("{}: {reason}", path.display()));
    let shared = Shared {
        path,
        keep,
        sources,
        queue,
        positions: Mutex::new(positions),
        generation: AtomicU64::new(0),
        reading: Mutex::default(),
        damaged: Mutex::new(damaged),
        health: Mutex::new(JournalHealth { error, ..JournalHealth::default() }),
        held: Mutex::new(held),
    };
    let (sender, questions) = mpsc::sync_channel(MOST_QUESTIONS);
    Ok(Journal {
        shared: shared.into(),
        questions: Mutex::new(Some(sender)),
        threads: Mutex::default(),
        unstarted: Mutex::new(Some(Unstarted { store, questions })),
    })
}

/// Makes sure that nobody else writes there; `None`: nobody can.
pub(super) fn hold(directory: &Path) -> Result<Option<File>, OpenError> {
    let Ok(file) = File::create(directory.join(LOCK)) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_owned())),
        // A file system without locks.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// An open file, and where the streams in it stand.
pub(super) struct Opened {
    pub store: Store,
    pub streams: Vec<Stream>,
    /// If it is another than before.
    pub renewed: Option<Renewed>,
}

/// What another file has that took the place of a damaged one.
#[derive(Default)]
pub(super) struct Renewed {
    /// All its holes.
    pub holes: Vec<Hole>,
    /// Ledgers in those that are new.
    pub lost: u64,
}

/// Opens the file; one that is damaged is moved aside, said, and another begun. Where the sources stand is saved, as it
/// is `known`, or as far as the damaged file can still tell.
pub(super) fn open_or_renew(path: &Path, known: &[Stream]) -> Result<Opened, StoreError> {
    let open = || -> Result<Opened, StoreError> {
        let store = Store::open(path)?;
        let streams = store.streams()?;
        Ok(Opened { store, streams, renewed: None })
    };
    let damage: StoreError = match open() {
        Err(error) if error.is_damage() => error,
        // Somebody took it away while it was ours.
        Ok(Opened { streams, .. }) if streams.is_empty() && !known.is_empty() => {
            StoreError::Damaged("it was replaced by another".into())
        }
        opened => return opened,
    };
    renew(path, known, &damage)
}

/// The same for a file that is known to be damaged.
pub(super) fn renew(path: &Path, known: &[Stream], damage: &StoreError) -> Result<Opened, StoreError> {
    let mut streams = match known {
        [] => Store::unwritable(path).and_then(|store| store.streams()).unwrap_or_default(),
        known => known.to_vec(),
    };
    streams.iter_mut().for_each(|stream| stream.gone_through = stream.sequence);
    move_aside(path, damage, streams.len());
    let mut store = Store::open(path)?;
    store.commit(&[], &streams, &[])?;
    Ok(Opened { store, streams, renewed: Some(Renewed::default()) })
}

/// Where the sources stand in a file that cannot be written.
fn only_read(path: &Path) -> Result<Vec<Stream>, OpenError> {
    match Store::unwritable(path).and_then(|store| store.streams()) {
        Err(StoreError::Empty) => Ok(Vec::new()),
        read => read.map_err(|error| OpenError::Unreadable { path: path.to_owned(), reason: error.to_string() }),
    }
}

/// See [`Journal::past`].
pub(super) fn past(shared: &Shared, store: Option<&Store>, budget: usize) -> (u64, Vec<Past>) {
    let positions = shared.positions().clone();
    let head = positions.streams.iter().map(|stream| stream.sequence).max().unwrap_or(0);
    let begun = Instant::now();
    let (mut count, mut bytes) = (0, 0);
    let of_source = |(number, source): (usize, &SourceState)| {
        let own = positions.streams.iter().filter(|stream| stream.source == source.name);
        let mut past = Past {
            events: own.clone().map(|stream| stream.events).max().unwrap_or(0),
            gone_through: own.map(|stream| stream.sequence).max().unwrap_or(0),
            ledgers: Vec::new(),
        };
        let number = number as SourceNumber;
        let (Some(stream), Some(store), Ok(mut unpacker)) = (positions.current(number), store, Unpacker::new()) else {
            return past;
        };
        // An equal share of the time each.
        let until = LONGEST_RESTORE * (u32::from(number) + 1) / shared.sources.len().max(1) as u32;
        let gone = shared.gone_through(number);
        let hole = positions.holes.iter().rev().find(|hole| hole.source == number).map_or(0, |hole| hole.through);
        let mut weight = 0;
        let mut next = past.gone_through + 1;
        while let Ok(before) = store.before(stream.id, next) {
            // What comes before this one, or is gone, or is a hole, is not in memory.
            past.gone_through = before.unwrap_or(0).max(gone).max(hole);
            let Some(sequence) = before.filter(|before| *before > gone.max(hole)) else { break };
            if weight >= budget || begun.elapsed() > until {
                break;
            }
            let row = store.row(sequence).ok().flatten();
            let Some((row, Ok(batch))) = row.map(|row| {
                let batch = unpacker.unpack(&row.form, number);
                (row, batch)
            }) else {
                break;
            };
            weight += batch.weight();
            (count, bytes) = (count + 1, bytes + batch.weight());
            let posted = posted(row.posted_at);
            past.ledgers.push(Kept { batch, sequence, first_event: row.first_event, posted });
            next = sequence;
        }
        past.ledgers.reverse();
        past
    };
    let past = shared.sources.iter().enumerate().map(of_source).collect();
    if head > 0 {
        log::info!(ledgers = count, bytes, took_ms = begun.elapsed().as_millis() as u64;
            "recent ledgers are back in memory from the journal");
    }
    (head, past)
}

/// When that was, on the clock of this process.
pub(super) fn posted(unix: i64) -> Instant {
    let age = unix_millis(SystemTime::now()).saturating_sub(unix).max(0);
    let now = Instant::now();
    now.checked_sub(Duration::from_millis(age.cast_unsigned())).unwrap_or(now)
}
