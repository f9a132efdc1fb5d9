//! A recording of one file or many, as one row of ledgers.

use super::file::{Fault, File};
use super::line::{End, Header};
use crate::event::{Continuity, ContinuityKind, Hash, LedgerBatch, SourceNumber};
use crate::source::Checkpoint;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Files of a folder: years of days.
const MOST_FILES: usize = 10_000;

/// What a recording says of itself: all of its files together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What it is of, from the first ledger to the last.
    pub header: Header,
    /// What stands in it.
    pub end: End,
    /// How many files it has.
    pub files: usize,
}

/// Recorded ledgers, read one after the other.
pub struct Recording {
    summary: Summary,
    /// In the order of their ledgers.
    waiting: VecDeque<PathBuf>,
    open: Option<File>,
    /// Where the file before ended, as long as only what that has was read.
    at_join: bool,
    last: Option<Last>,
}

/// The ledger that was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    epoch: u32,
    index: u64,
    hash: Option<Hash>,
}

impl Recording {
    /// A file, or all `*.jsonl` of a folder.
    pub fn open(path: &Path) -> Result<Recording, Fault> {
        let mut found: Vec<(PathBuf, Header, End)> = Vec::new();
        for path in files(path)? {
            let File { header, end, .. } = File::open(&path)?;
            found.push((path, header, end));
        }
        found.sort_by_key(|(_, header, _)| (header.from.place(), header.to.place()));
        let Some((first, header, _)) = found.first() else {
            return Err(Fault::of(
                path,
                "no recording is in this folder; put files of `ledgercast export` there, *.jsonl",
            ));
        };
        let mut summary = Summary { header: header.clone(), end: End::default(), files: found.len() };
        for (path, header, end) in &found {
            let (own, other) = ((header.family, &header.network), (summary.header.family, &summary.header.network));
            if own != other {
                let reason = format!(
                    "it is of network {}, and {} of {}; keep each network in a folder of its own",
                    header.network,
                    first.display(),
                    summary.header.network
                );
                return Err(Fault::of(path, reason));
            }
            if header.to.place() > summary.header.to.place() {
                summary.header.to = header.to.clone();
            }
            summary.end.ledgers += end.ledgers;
            summary.end.events += end.events;
            summary.end.missing += end.missing;
        }
        let waiting = found.into_iter().map(|(path, ..)| path).collect();
        Ok(Recording { summary, waiting, open: None, at_join: false, last: None })
    }

    /// What it says of itself.
    pub fn summary(&self) -> Summary {
        self.summary.clone()
    }

    /// The next ledger, with a gap before it where ledgers are missing; `None`: that was all.
    pub fn next(&mut self, source: SourceNumber) -> Result<Option<LedgerBatch>, Fault> {
        loop {
            let Some(file) = &mut self.open else {
                let Some(path) = self.waiting.pop_front() else { return Ok(None) };
                self.open = Some(File::open(&path)?);
                self.at_join = self.last.is_some();
                continue;
            };
            let Some(mut batch) = file.next(source, |_| true)? else {
                self.open = None;
                continue;
            };
            let own = Last { epoch: batch.epoch, index: batch.ledger.index, hash: batch.ledger.hash };
            if let (Some(last), None) = (self.last, &batch.continuity) {
                let goes_on = (own.epoch, own.index) > (last.epoch, last.index);
                match self.at_join {
                    // The file before has it too.
                    true if !goes_on => continue,
                    true if is_of_another_chain(last, &batch) => {
                        let reason =
                            format!("ledger {} is of another chain than those in the file before it", own.index);
                        return Err(file.fault(format!("{reason}; keep each chain in a folder of its own")));
                    }
                    false if !goes_on => {
                        let reason = format!("ledger {} stands after ledger {}", own.index, last.index);
                        return Err(file.fault(format!("{reason}; export it again")));
                    }
                    _ => batch.continuity = missing_between(last, own),
                }
            }
            self.at_join = false;
            self.last = Some(own);
            return Ok(Some(batch));
        }
    }

    /// Goes to the ledger after one that was told in an earlier life. Where the recording has not got that one, to the
    /// first that is later; what is missing between is told.
    pub fn go_on_after(&mut self, checkpoint: &Checkpoint, source: SourceNumber) -> Result<(), Fault> {
        let place = (checkpoint.epoch, checkpoint.ledger);
        let known = Last { epoch: checkpoint.epoch, index: checkpoint.ledger, hash: checkpoint.hash };
        while let Some(path) = self.waiting.front() {
            let mut file = File::open(path)?;
            if file.header.to.place() < place {
                self.waiting.pop_front();
                continue;
            }
            // The usual case at its end: nothing has to be looked through.
            let hash = checkpoint.hash.map(|hash| hash.to_string());
            if file.header.to.place() == place && file.header.to.hash == hash {
                self.waiting.pop_front();
                break;
            }
            let is_it = |batch: &LedgerBatch| {
                (batch.epoch, batch.ledger.index, batch.ledger.hash) == (known.epoch, known.index, known.hash)
            };
            let mut found = false;
            while !found && let Some(batch) = file.next(source, |line| (line.epoch, line.ledger) == place)? {
                found = is_it(&batch);
            }
            if found {
                self.waiting.pop_front();
                self.open = Some(file);
                self.last = Some(known);
                return Ok(());
            }
            // It has no such ledger: from its first later one on, as at a join of two files.
            break;
        }
        self.last = Some(known);
        Ok(())
    }
}

/// Whether a ledger says that it follows another one than this, which it should follow.
fn is_of_another_chain(last: Last, batch: &LedgerBatch) -> bool {
    let follows = (batch.epoch, batch.ledger.index) == (last.epoch, last.index + 1);
    follows && matches!((last.hash, batch.ledger.parent), (Some(hash), Some(parent)) if hash != parent)
}

/// What is told of the ledgers between two that do not follow each other.
fn missing_between(last: Last, next: Last) -> Option<Continuity> {
    let told = |kind, from_ledger, to_ledger| {
        let reason = "not in the recording".to_owned();
        Some(Continuity { kind, from_ledger, to_ledger, reason })
    };
    match next.index {
        index if last.epoch != next.epoch => told(ContinuityKind::Reset, index, index),
        index if index == last.index + 1 => None,
        index => told(ContinuityKind::Gap, last.index + 1, index - 1),
    }
}

/// The files of a path, in no order.
fn files(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    let cannot = |error: std::io::Error| Fault::of(path, format!("cannot be read: {error}"));
    if !path.metadata().map_err(cannot)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(cannot)? {
        let file = entry.map_err(cannot)?.path();
        if file.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(file);
        }
        if files.len() > MOST_FILES {
            return Err(Fault::of(path, format!("more than {MOST_FILES} files; name a smaller folder")));
        }
    }
    Ok(files)
}
