//! Reads what is kept of one source from beginning to end, beside a server that may be writing.
//!
//! Each question is a transaction of its own, so the writer's log is never kept from going into the file, and nothing is
//! locked between two. Rows that are given up meanwhile are seen to be missing by whoever looks at the numbers.

use super::form::{FormError, Packer, Unpacker};
use super::hole::Hole;
use super::open::FILE;
use super::store::{KeptRow, Store, StoreError, Stream};
use crate::event::LedgerBatch;
use crate::source::short_digest;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Rows that are looked up at a time.
const PAGE: usize = 256;
/// Letters of `2026-11-21`.
const DATE: usize = 10;

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// This ledger.
    Ledger(u64),
    /// What closed at this Unix second.
    Time(i64),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Bound, String> {
        if let Ok(ledger) = text.parse() {
            return Ok(Bound::Ledger(ledger));
        }
        let midnight = |date: jiff::civil::Date| date.to_zoned(jiff::tz::TimeZone::UTC).map(|day| day.timestamp());
        // A time without its zone is not taken for a date.
        let time = match text.len() {
            DATE => text.parse().and_then(midnight),
            _ => text.parse::<jiff::Timestamp>(),
        };
        let wrong =
            |_| format!("`{text}` is no ledger and no time; write 63353901, 2026-11-21T09:30:00Z or 2026-11-21 (UTC)");
        time.map(|time| Bound::Time(time.as_second())).map_err(wrong)
    }
}

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be read.
    #[error("journal {path}: {error}; run it as a user who may read and write beside the file")]
    Store {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: StoreError,
    },
    /// A row cannot be packed anew.
    #[error("ledger {ledger}: {error}")]
    Form {
        /// The ledger.
        ledger: u64,
        /// What is wrong.
        error: FormError,
    },
    /// The journal has nothing of the source.
    #[error("{0}")]
    Nothing(String),
}

/// A ledger as it is kept, or what stands for one that is lost.
#[derive(Debug)]
pub struct Exported {
    /// The ledger.
    pub batch: LedgerBatch,
    /// Its packed form.
    pub form: Vec<u8>,
}

/// The ledgers of one source in a range, in the order of the stream.
pub struct Export {
    path: PathBuf,
    store: Store,
    stream: Stream,
    /// Of this stream, those that come in the order of the stream.
    holes: VecDeque<Hole>,
    unpacker: Unpacker,
    packer: Packer,
    /// Everything up to here was given.
    after: u64,
    through: u64,
    page: VecDeque<u64>,
}

impl Export {
    /// What the journal in `directory` has of the source of this name, which is restricted as `scope` says.
    pub fn open(
        directory: &Path,
        source: &str,
        scope: &str,
        from: Option<Bound>,
        to: Option<Bound>,
    ) -> Result<Export, ExportError> {
        let path = directory.join(FILE);
        let failed = |error| ExportError::Store { path: path.clone(), error };
        if !path.exists() {
            let path = path.display();
            return Err(ExportError::Nothing(format!(
                "{path} is not there; name the settings file of a server that has run with `state_dir`"
            )));
        }
        let store = Store::beside(&path).map_err(failed)?;
        let streams = store.streams().map_err(failed)?;
        let digest = short_digest(scope);
        let own = streams.iter().filter(|stream| stream.source == source && stream.scope == digest);
        let Some(stream) = own.max_by_key(|stream| stream.sequence).cloned() else {
            let other = streams.iter().any(|stream| stream.source == source);
            let why = if other { "with these settings; they were others when it was recorded" } else { "yet" };
            return Err(ExportError::Nothing(format!("{} has no ledger of source `{source}` {why}", path.display())));
        };
        let holes = store.holes(&[(0, &stream)]).map_err(failed)?.into();
        let form = |error| ExportError::Form { ledger: 0, error };
        let (unpacker, packer) = (Unpacker::new().map_err(form)?, Packer::new().map_err(form)?);
        let through = stream.sequence;
        let page = VecDeque::new();
        let mut export = Export { path, store, stream, holes, unpacker, packer, after: 0, through, page };
        if let Some(from) = from {
            export.after = export.first_from(from)?.map_or(export.through, |sequence| sequence - 1);
        }
        if let Some(to) = to {
            export.through = export.last_to(to)?.unwrap_or(0).min(export.through);
        }
        let after = export.after;
        export.holes.retain(|hole| hole.through > after);
        Ok(export)
    }

    /// The network.
    pub fn network(&self) -> &str {
        &self.stream.network
    }

    /// The last ledger of the range, without going on.
    pub fn last(&mut self) -> Result<Option<Exported>, ExportError> {
        let row = self.ask(|store, stream, export| store.before(stream, export.through + 1))?;
        let hole = self.holes.iter().rev().find(|hole| hole.through <= self.through).cloned();
        match (row.filter(|row| *row > self.after), hole) {
            (row, Some(hole)) if row.is_none_or(|row| row < hole.through) => self.hole(&hole).map(Some),
            (Some(row), _) => self.row(row),
            (None, _) => Ok(None),
        }
    }

    /// The next ledger of the range; `None`: there is none left.
    pub fn take_next(&mut self) -> Result<Option<Exported>, ExportError> {
        loop {
            if self.page.is_empty() {
                let found = self.ask(|store, stream, export| store.sequences(stream, export.after, PAGE))?;
                self.page = found.into_iter().take_while(|sequence| *sequence <= self.through).collect();
            }
            let row = self.page.front().copied();
            let hole = self.holes.front().filter(|hole| hole.through <= self.through);
            if let Some(hole) = hole.filter(|hole| row.is_none_or(|row| hole.through < row)).cloned() {
                self.holes.pop_front();
                self.after = self.after.max(hole.through);
                return self.hole(&hole).map(Some);
            }
            let Some(row) = row else { return Ok(None) };
            self.page.pop_front();
            self.after = row;
            // Given up since it was looked up.
            if let Some(exported) = self.row(row)? {
                return Ok(Some(exported));
            }
        }
    }

    /// The first row from which on ledgers belong to the range.
    fn first_from(&self, from: Bound) -> Result<Option<u64>, ExportError> {
        match from {
            Bound::Ledger(ledger) => {
                self.ask(|store, stream, export| store.first_of(stream, export.stream.epoch, ledger))
            }
            Bound::Time(time) => self.first_closed(|closed| closed >= time),
        }
    }

    /// The last row of the range.
    fn last_to(&self, to: Bound) -> Result<Option<u64>, ExportError> {
        match to {
            Bound::Ledger(ledger) => {
                self.ask(|store, stream, export| store.last_of(stream, export.stream.epoch, ledger))
            }
            Bound::Time(time) => {
                let later = self.first_closed(|closed| closed > time)?;
                let end = later.unwrap_or(self.through + 1);
                self.ask(|store, stream, _| store.before(stream, end))
            }
        }
    }

    /// The first row whose close time is late enough, as close times only rise.
    fn first_closed(&self, late: impl Fn(i64) -> bool) -> Result<Option<u64>, ExportError> {
        let (mut low, mut high) = (1, self.through + 1);
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let row = self.ask(|store, stream, _| store.sequences(stream, middle - 1, 1))?.first().copied();
            let Some(row) = row.filter(|row| *row <= self.through) else {
                high = middle;
                continue;
            };
            let kept = self.ask(|store, _, _| store.row(row))?;
            let closed = kept.map(|row| match Unpacker::new().and_then(|mut it| it.unpack(&row.form, 0)) {
                Ok(batch) => batch.ledger.closed_at,
                // When it came, which is soon after.
                Err(_) => row.posted_at / 1000,
            });
            if closed.is_some_and(&late) {
                found = Some(row);
                high = middle;
            } else {
                low = row + 1;
            }
        }
        Ok(found)
    }

    fn row(&mut self, sequence: u64) -> Result<Option<Exported>, ExportError> {
        let Some(row) = self.ask(|store, _, _| store.row(sequence))? else { return Ok(None) };
        match self.unpacker.unpack(&row.form, 0) {
            Ok(batch) => Ok(Some(Exported { batch, form: row.form })),
            Err(error) => self.pack(self.lost(&row, &error)).map(Some),
        }
    }

    fn hole(&mut self, hole: &Hole) -> Result<Exported, ExportError> {
        self.pack(hole.batch())
    }

    fn pack(&mut self, batch: LedgerBatch) -> Result<Exported, ExportError> {
        let form = self.packer.pack(&batch).map_err(|error| ExportError::Form { ledger: batch.ledger.index, error })?;
        Ok(Exported { batch, form })
    }

    /// What stands for a ledger whose row cannot be read.
    fn lost(&self, row: &KeptRow, error: &FormError) -> LedgerBatch {
        Hole::of_row(row, 0, self.stream.network.as_str().into(), &error.to_string()).batch()
    }

    fn ask<T>(&self, question: impl FnOnce(&Store, i64, &Export) -> Result<T, StoreError>) -> Result<T, ExportError> {
        let answer = question(&self.store, self.stream.id, self);
        answer.map_err(|error| ExportError::Store { path: self.path.clone(), error })
    }
}

impl Store {
    /// The first row of a stream's epoch with this ledger or a later one.
    fn first_of(&self, stream: i64, epoch: u32, ledger: u64) -> Result<Option<u64>, StoreError> {
        self.edge(
            "SELECT sequence FROM ledgers WHERE stream = ? AND epoch = ? AND ledger >= ? ORDER BY ledger, sequence LIMIT 1",
            (stream, epoch, ledger),
        )
    }

    /// The last row of a stream's epoch with this ledger or an earlier one.
    fn last_of(&self, stream: i64, epoch: u32, ledger: u64) -> Result<Option<u64>, StoreError> {
        self.edge(
            "SELECT sequence FROM ledgers WHERE stream = ? AND epoch = ? AND ledger <= ?
             ORDER BY ledger DESC, sequence DESC LIMIT 1",
            (stream, epoch, ledger),
        )
    }

    fn edge(&self, query: &str, (stream, epoch, ledger): (i64, u32, u64)) -> Result<Option<u64>, StoreError> {
        let ledger = i64::try_from(ledger).unwrap_or(i64::MAX);
        let mut query = self.connection.prepare_cached(query)?;
        let mut rows = query.query((stream, epoch, ledger))?;
        Ok(rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()?.map(i64::cast_unsigned))
    }
}
