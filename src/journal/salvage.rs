//! What can still be read of a damaged file, in another.
//!
//! Rows are copied from the newest to the oldest, some in a transaction, by the writer's thread; meanwhile nothing is
//! written, what comes waits in the queue, and whoever asks waits as well. What cannot be read becomes a hole that names
//! its ledgers, by the ledgers before and after it; what is older than all that was copied is gone. The copy takes the
//! file's place when it is whole: a kill before leaves the damaged file where it was.

use super::aside::{BESIDE, move_aside, with_end};
use super::hole::Hole;
use super::open::{Opened, Renewed};
use super::raw::RawRow;
use super::store::{Store, StoreError, Stream};
use super::{Positions, Shared};
use crate::event::{Continuity, ContinuityKind, SourceNumber};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Rows of one transaction, and their bytes.
const ROWS: usize = 256;
const BYTES: usize = 8 << 20;
/// Rows that cannot be read: more are too many to go on.
const MOST_MISSING: usize = 1 << 16;
/// Space on the disk that stays free.
const FREE: u64 = 64 << 20;
/// How often it is said how far it is.
const TOLD: Duration = Duration::from_secs(5);

fn copy_of(path: &Path) -> PathBuf {
    with_end(path, ".copy")
}

/// Puts a copy that was whole in its place, if a kill came between, and deletes one that was not.
pub fn recover(path: &Path) {
    let copy = copy_of(path);
    if !path.exists() && copy.exists() {
        // The damaged one is moved away only when the copy is whole and closed.
        let _ = fs::rename(&copy, path);
    }
    remove(&copy);
}

fn remove(copy: &Path) {
    let _ = fs::remove_file(copy);
    for end in BESIDE {
        let _ = fs::remove_file(with_end(copy, end));
    }
}

/// Copies what can be read into a new file, which takes the place of the damaged one. Nobody else may have it open.
pub fn salvage(shared: &Shared, known: &Positions, damage: &StoreError) -> Result<Opened, StoreError> {
    let path = &*shared.path;
    let (old, copy) = (Store::unwritable(path)?, copy_of(path));
    remove(&copy);
    let copied = copy_into(shared, known, damage, &old, &copy);
    let (streams, renewed) = copied.inspect_err(|_| remove(&copy))?;
    drop(old);
    move_aside(path, damage, streams.len());
    fs::rename(&copy, path).map_err(|error| StoreError::Damaged(format!("the copy cannot take its place: {error}")))?;
    Ok(Opened { store: Store::open(path)?, streams, renewed: Some(renewed) })
}

fn copy_into(
    shared: &Shared,
    known: &Positions,
    damage: &StoreError,
    old: &Store,
    copy: &Path,
) -> Result<(Vec<Stream>, Renewed), StoreError> {
    let mut new = Store::open(copy)?;
    let mut streams = known.streams.clone();
    let mut walks: Vec<Walk> = Vec::new();
    for (at, stream) in streams.iter_mut().enumerate() {
        match known.current.iter().position(|current| *current == Some(at)) {
            Some(source) => walks.push(Walk::new(at, source as SourceNumber, stream)),
            // Nobody reads these any more.
            None => stream.gone_through = stream.sequence,
        }
    }
    let of_known = |hole: &&Hole| walks.iter().any(|walk| walk.stream.id == hole.stream);
    let mut holes: Vec<Hole> = known.holes.iter().filter(of_known).cloned().collect();
    let newest = walks.iter().map(|walk| walk.stream.sequence).max().unwrap_or(0);
    let oldest = walks.iter().map(|walk| walk.stream.gone_through).min().unwrap_or(0);
    log::error!(file:% = shared.path.display(), newest, oldest;
        "the journal is damaged ({damage}); what can be read of it is copied, and nothing is written meanwhile");
    let (begun, mut told) = (Instant::now(), Instant::now());
    let (mut rows, mut bytes, mut count) = (Vec::new(), 0, 0);
    let mut missing: Vec<u64> = Vec::new();
    let mut through = newest;
    let mut stopped = None;
    while through > oldest && stopped.is_none() {
        let row = old.raw(through).ok();
        let is_known = || known.holes.iter().any(|hole| (hole.from..=hole.through).contains(&through));
        match row {
            Some(Some(row)) => {
                let walk = walks.iter_mut().find(|walk| walk.stream.id == row.stream);
                if let Some(walk) = walk.filter(|walk| through > walk.stream.gone_through) {
                    holes.extend(walk.meet(Met::row(&row), &mut missing));
                    (bytes, count) = (bytes + row.bytes(), count + 1);
                    rows.push(row);
                }
            }
            Some(None) if is_known() => {}
            Some(None) | None => missing.push(through),
        }
        for hole in known.holes.iter().filter(|hole| hole.through == through) {
            if let Some(walk) = walks.iter_mut().find(|walk| walk.stream.id == hole.stream) {
                holes.extend(walk.meet(Met::hole(hole), &mut missing));
            }
        }
        through -= 1;
        if rows.len() >= ROWS || bytes >= BYTES || through == oldest {
            new.copy(&rows)?;
            rows.clear();
            bytes = 0;
            stopped = why_not_on(shared, missing.len())?;
        }
        if told.elapsed() >= TOLD {
            told = Instant::now();
            log::info!(file:% = shared.path.display(), ledgers = count, left = through - oldest;
                "copying what can be read of the damaged journal");
        }
    }
    for walk in walks {
        // What was lost before the oldest that was found is as good as pruned.
        let lost = missing.iter().copied().find(|missing| *missing < walk.met.sequence).unwrap_or(0);
        let stream = &mut streams[walk.at];
        stream.gone_through = stream.gone_through.max(lost).max(if stopped.is_some() { through } else { 0 });
        holes.retain(|hole| hole.stream != stream.id || hole.through > stream.gone_through);
    }
    holes.sort_by_key(|hole| hole.through);
    new.commit(&[], &streams, &holes)?;
    new.finish()?;
    let found = holes.iter().filter(|hole| !known.holes.contains(hole));
    let lost = found.map(Hole::ledgers).sum();
    log::warn!(file:% = shared.path.display(), ledgers = count, lost, took_ms = begun.elapsed().as_millis() as u64,
        given_up = stopped.map_or(0, |_| through - oldest); "what could be read of the damaged journal was copied{}",
        stopped.map_or_else(String::new, |why| format!("; what is older was given up, since {why}")));
    Ok((streams, Renewed { holes, lost }))
}

/// Why the rest is given up, if it is. An error where the whole copy is.
fn why_not_on(shared: &Shared, missing: usize) -> Result<Option<&'static str>, StoreError> {
    if shared.queue.is_closing() {
        return Err(StoreError::InUse("the process ends; the next one copies the damaged file again".into()));
    }
    let directory = shared.path.parent().unwrap_or(Path::new("."));
    let free = rustix::fs::statvfs(directory).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    Ok(if missing > MOST_MISSING {
        Some("too much of it cannot be read")
    } else if free < FREE {
        Some("the disk is nearly full")
    } else if shared.queue.size().1 > super::SLOW_FROM {
        Some("too much waits to be written")
    } else {
        None
    })
}

/// A stream, on the way to its oldest ledger.
struct Walk {
    /// Which of the streams.
    at: usize,
    source: SourceNumber,
    stream: Stream,
    /// What was met last.
    met: Met,
}

/// A ledger, or a hole.
struct Met {
    epoch: u32,
    /// The ledger, or the first one in a hole.
    ledger: u64,
    /// Its last.
    last: u64,
    sequence: u64,
    first_event: u64,
    /// Unix seconds.
    at: i64,
    broken: Option<(String, u64, u64)>,
}

impl Met {
    fn row(row: &RawRow) -> Met {
        Met {
            epoch: row.epoch,
            ledger: row.ledger,
            last: row.ledger,
            sequence: row.sequence,
            first_event: row.first_event,
            at: row.posted_at / 1000,
            broken: row.broken.clone(),
        }
    }

    fn hole(hole: &Hole) -> Met {
        let Continuity { kind, from_ledger, to_ledger, .. } = hole.continuity;
        Met {
            epoch: hole.epoch,
            ledger: from_ledger,
            last: hole.ledger,
            sequence: hole.from,
            // Of its first ledger it is not known.
            first_event: hole.events,
            at: hole.closed_at,
            broken: Some((kind.name().to_owned(), from_ledger, to_ledger)),
        }
    }
}

impl Walk {
    fn new(at: usize, source: SourceNumber, stream: &Stream) -> Walk {
        let met = Met {
            epoch: stream.epoch,
            ledger: stream.ledger.saturating_add(1),
            last: stream.ledger.saturating_add(1),
            sequence: stream.sequence + 1,
            first_event: stream.events,
            at: super::prune::unix_millis(std::time::SystemTime::now()) / 1000,
            broken: None,
        };
        Walk { at, source, stream: stream.clone(), met }
    }

    /// The next older one. What lies between, if something is missing there: a hole, in the place of the last of what is
    /// missing.
    fn meet(&mut self, met: Met, missing: &mut Vec<u64>) -> Option<Hole> {
        let next = std::mem::replace(&mut self.met, met);
        let met = &self.met;
        let between = |sequence: &u64| (met.sequence + 1..next.sequence).contains(sequence);
        let after = met.last.saturating_add(1);
        // The ledgers that should be there: what comes after them says where they end.
        let (epoch, until) = match &next.broken {
            // The epoch before ended there.
            Some((kind, _, to)) if kind == ContinuityKind::Reset.name() => (met.epoch, to.saturating_add(1)),
            // What was replaced is not missed.
            Some((kind, from, _)) if kind == ContinuityKind::Reorg.name() => (next.epoch, (*from).max(after)),
            Some((_, from, _)) => (next.epoch, *from),
            None => (next.epoch, next.ledger),
        };
        let follows = met.epoch == epoch && if next.broken.is_some() { after >= until } else { after == until };
        if follows {
            return None;
        }
        // From the newest to the oldest.
        let count = missing.iter().filter(|missing| between(missing)).count() as u64;
        let place = missing.iter().position(between)?;
        let through = missing.remove(place);
        let last = until.saturating_sub(1);
        let (kind, from_ledger, to_ledger) = if met.epoch != epoch {
            (ContinuityKind::Reset, until.saturating_sub(count), met.last)
        } else if after < until {
            (ContinuityKind::Gap, after, last)
        } else {
            (ContinuityKind::Reorg, until.saturating_sub(count), met.last)
        };
        Some(Hole {
            stream: self.stream.id,
            source: self.source,
            network: (&*self.stream.network).into(),
            epoch,
            from: through,
            through,
            ledger: last,
            closed_at: next.at,
            events: next.first_event,
            continuity: Continuity {
                kind,
                from_ledger,
                to_ledger,
                reason: format!("ledgers up to {last} were not kept: their place in the journal was damaged"),
            },
        })
    }
}
