//! The store: one SQLite file.
//!
//! `ledgers` has a row for each ledger, by broker sequence; `streams` has for each (source, network, what restricts
//! it) how far it is, which is the source's checkpoint; `holes` has what could not be kept. What the columns of a row
//! tell is in its `form` as well; they are there to be looked for, and to say what a damaged row was.

use super::aside::with_end;
use super::hole::Hole;
use crate::broker::StreamEntry;
use crate::event::{Continuity, ContinuityKind, Hash, SourceNumber};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The form of the tables.
const SCHEMA: i64 = 1;
/// Our mark in the head of the file: `LCJ1`.
const MARK: i64 = 0x4c43_4a31;
/// Bytes of a page: rows have many pages, and small ones fill this well.
pub const PAGE: u32 = 8192;
/// Pages of the log beyond which it goes into the file, in the writer's thread.
const LOG_PAGES: u32 = 1000;
/// Nobody else writes, so nothing is busy for long.
const BUSY: Duration = Duration::from_secs(5);

/// Columns of `ledgers`.
pub(super) const COLUMNS: usize = 12;
/// A row. `OR REPLACE`: a transaction may have been done though it was said to have failed.
pub(super) const INSERT: &str = "INSERT OR REPLACE INTO ledgers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const TABLES: &str = "
    CREATE TABLE streams (
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, network TEXT NOT NULL, scope TEXT NOT NULL,
        epoch INTEGER NOT NULL, ledger INTEGER NOT NULL, hash BLOB, counters TEXT NOT NULL,
        sequence INTEGER NOT NULL, events INTEGER NOT NULL, gone_through INTEGER NOT NULL,
        UNIQUE (source, network, scope));
    CREATE TABLE ledgers (
        sequence INTEGER PRIMARY KEY, stream INTEGER NOT NULL, epoch INTEGER NOT NULL, ledger INTEGER NOT NULL,
        hash BLOB, first_event INTEGER NOT NULL, events INTEGER NOT NULL, posted_at INTEGER NOT NULL,
        break TEXT, break_from INTEGER, break_to INTEGER, form BLOB NOT NULL);
    CREATE INDEX by_ledger ON ledgers (stream, epoch, ledger);
    CREATE INDEX by_stream ON ledgers (stream, sequence);
    CREATE TABLE holes (
        stream INTEGER NOT NULL, from_sequence INTEGER NOT NULL, through INTEGER NOT NULL, epoch INTEGER NOT NULL,
        ledger INTEGER NOT NULL, closed_at INTEGER NOT NULL, events INTEGER NOT NULL,
        break TEXT NOT NULL, break_from INTEGER NOT NULL, break_to INTEGER NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (stream, from_sequence));
";

/// Why the store does not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What SQLite says.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A file of another release or program.
    #[error("the file is of another release or program (mark {mark:x}, form {form})")]
    Foreign {
        /// The mark in its head.
        mark: i64,
        /// The form of its tables.
        form: i64,
    },
    /// A file in which nothing is yet: it was made on a full disk, and is as good as none.
    #[error("nothing is in the file")]
    Empty,
    /// Another process writes there.
    #[error("{0}")]
    InUse(String),
    /// A value that we never wrote.
    #[error("damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether the file is damaged, so that nothing but another helps.
    pub fn is_damage(&self) -> bool {
        match self {
            StoreError::Damaged(_) => true,
            StoreError::Foreign { .. } | StoreError::Empty | StoreError::InUse(_) => false,
            StoreError::Sqlite(error) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
                    || matches!(
                        error,
                        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..)
                    )
            }
        }
    }
}

/// A stream of ledgers: one source on one network, with the same restrictions; and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its number in the store.
    pub id: i64,
    /// The source's name in the settings.
    pub source: String,
    /// The network.
    pub network: String,
    /// The digest of what restricts the source.
    pub scope: String,
    /// Resets of the network.
    pub epoch: u32,
    /// The last ledger.
    pub ledger: u64,
    /// Its hash.
    pub hash: Option<Hash>,
    /// What the source counts.
    pub counters: BTreeMap<String, u64>,
    /// The last ledger's sequence.
    pub sequence: u64,
    /// Events of all its ledgers ever.
    pub events: u64,
    /// Sequence of the newest ledger that is not kept any more.
    pub gone_through: u64,
}

/// A ledger to be written.
pub struct NewRow<'a> {
    /// The number of its stream.
    pub stream: i64,
    /// The ledger.
    pub entry: &'a StreamEntry,
    /// When it was posted, Unix milliseconds.
    pub posted_at: i64,
    /// The packed form.
    pub form: Vec<u8>,
}

/// A ledger as it was kept.
pub struct KeptRow {
    /// Its sequence.
    pub sequence: u64,
    /// Resets of the network.
    pub epoch: u32,
    /// Its index.
    pub ledger: u64,
    /// Events of the stream before it.
    pub first_event: u64,
    /// Its events.
    pub events: u64,
    /// When it was posted, Unix milliseconds.
    pub posted_at: i64,
    /// A break before it: its kind, first and last ledger.
    pub broken: Option<(String, u64, u64)>,
    /// The packed form.
    pub form: Vec<u8>,
}

/// The open file.
pub struct Store {
    pub(super) connection: Connection,
    /// What the file is, whatever its path; `None` where it is only read.
    file: Option<(u64, u64)>,
}

/// What tells a file from another of the same path: its device and its number there.
fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|file| (file.dev(), file.ino()))
}

/// A break before a ledger, in the three columns from this one on.
pub(super) fn broken(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<(String, u64, u64)>> {
    Ok(match row.get::<_, Option<String>>(at)? {
        Some(kind) => Some((kind, number(row, at + 1)?, number(row, at + 2)?)),
        None => None,
    })
}

pub(super) fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get(at).map(i64::cast_unsigned)
}

fn hash(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Hash>> {
    Ok(row.get::<_, Option<[u8; 32]>>(at)?.map(Hash))
}

/// As the columns `break` have it.
pub(super) fn kind_named(name: &str) -> Option<ContinuityKind> {
    let all = [ContinuityKind::Gap, ContinuityKind::Reset, ContinuityKind::Reorg];
    all.into_iter().find(|kind| kind.name() == name)
}

impl Store {
    /// Opens the file for writing; makes it if there is none.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        #[cfg(test)]
        super::tests::read_only(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        // The first two only count for a new file, and before anything is in it.
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = {LOG_PAGES};
             PRAGMA journal_size_limit = {};",
            2 * LOG_PAGES * PAGE
        ))?;
        #[cfg(test)]
        super::tests::small_disk(path, &connection);
        let mut store = Store { connection, file: identity(path) };
        if store.tables()? == 0 {
            let transaction = store.connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.execute_batch(&format!("PRAGMA application_id = {MARK}; PRAGMA user_version = {SCHEMA};"))?;
            transaction.commit()?;
        }
        store.check()?;
        Ok(store)
    }

    /// Opens the file for reading alone, beside the one that writes it.
    pub fn beside(path: &Path) -> Result<Store, StoreError> {
        #[cfg(test)]
        super::tests::read_only(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        let store = Store { connection, file: None };
        store.check()?;
        Ok(store)
    }

    /// Opens a file that cannot be written, nor anything beside it.
    pub fn unwritable(path: &Path) -> Result<Store, StoreError> {
        Store::beside(path).or_else(|error| {
            if matches!(error, StoreError::Empty) {
                return Err(error);
            }
            if with_end(path, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
                return Store::with_log(path);
            }
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
            let Some(text) = path.to_str() else { return Err(error) };
            let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            // There is no log that would count.
            let connection = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?;
            let store = Store { connection, file: None };
            store.check().map(|()| store)
        })
    }

    /// Opens a file that cannot be written together with its log, in which the newest ledgers are. What SQLite keeps
    /// beside them for those that share a file is in memory instead, and nothing is locked: whoever could write it
    /// would have left what [`Store::beside`] needs.
    fn with_log(path: &Path) -> Result<Store, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs(path, flags, "unix-none")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
        let store = Store { connection, file: None };
        store.check().map(|()| store)
    }

    /// Whether what was opened for writing is not at its path any more: somebody deleted or replaced it.
    pub fn is_gone_from(&self, path: &Path) -> bool {
        let is_missing = || path.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        match identity(path) {
            Some(there) => self.file.is_some_and(|own| own != there),
            None => is_missing(),
        }
    }

    fn tables(&self) -> Result<i64, StoreError> {
        Ok(self.connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?)
    }

    fn check(&self) -> Result<(), StoreError> {
        let pragma = |name: &str| self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        let (mark, form) = (pragma("application_id")?, pragma("user_version")?);
        if (mark, form) == (MARK, SCHEMA) {
            return Ok(());
        }
        let is_empty = (mark, form) == (0, 0) && self.tables()? == 0;
        Err(if is_empty { StoreError::Empty } else { StoreError::Foreign { mark, form } })
    }

    /// Where all streams stand.
    pub fn streams(&self) -> Result<Vec<Stream>, StoreError> {
        let mut query = self.connection.prepare(
            "SELECT id, source, network, scope, epoch, ledger, hash, counters, sequence, events, gone_through
             FROM streams ORDER BY id",
        )?;
        let mut rows = query.query([])?;
        let mut streams = Vec::new();
        while let Some(row) = rows.next()? {
            let counters: String = row.get(7)?;
            streams.push(Stream {
                id: row.get(0)?,
                source: row.get(1)?,
                network: row.get(2)?,
                scope: row.get(3)?,
                epoch: row.get(4)?,
                ledger: number(row, 5)?,
                hash: hash(row, 6)?,
                counters: serde_json::from_str(&counters).map_err(|error| StoreError::Damaged(error.to_string()))?,
                sequence: number(row, 8)?,
                events: number(row, 9)?,
                gone_through: number(row, 10)?,
            });
        }
        Ok(streams)
    }

    /// All holes of these streams, in the order of the stream.
    pub fn holes(&self, current: &[(SourceNumber, &Stream)]) -> Result<Vec<Hole>, StoreError> {
        let mut query = self.connection.prepare(
            "SELECT from_sequence, through, epoch, ledger, closed_at, events, break, break_from, break_to, reason
             FROM holes WHERE stream = ?",
        )?;
        let mut holes = Vec::new();
        for (source, stream) in current {
            let mut rows = query.query([stream.id])?;
            while let Some(row) = rows.next()? {
                let kind: String = row.get(6)?;
                holes.push(Hole {
                    stream: stream.id,
                    source: *source,
                    network: Arc::from(&*stream.network),
                    from: number(row, 0)?,
                    through: number(row, 1)?,
                    epoch: row.get(2)?,
                    ledger: number(row, 3)?,
                    closed_at: row.get(4)?,
                    events: number(row, 5)?,
                    continuity: Continuity {
                        kind: kind_named(&kind).ok_or_else(|| StoreError::Damaged(format!("no break `{kind}`")))?,
                        from_ledger: number(row, 7)?,
                        to_ledger: number(row, 8)?,
                        reason: row.get(9)?,
                    },
                });
            }
        }
        holes.sort_by_key(|hole| hole.through);
        Ok(holes)
    }

    /// Writes all of it, or nothing.
    pub fn commit(&mut self, rows: &[NewRow<'_>], streams: &[Stream], holes: &[Hole]) -> Result<(), StoreError> {
        #[cfg(test)]
        super::tests::slow_disk(&self.connection);
        let transaction = self.connection.transaction()?;
        for NewRow { stream, entry, posted_at, form } in rows {
            let batch = &entry.batch;
            let broken = batch.continuity.as_ref();
            transaction.prepare_cached(INSERT)?.execute(params![
                entry.sequence.cast_signed(),
                stream,
                batch.epoch,
                batch.ledger.index.cast_signed(),
                batch.ledger.hash.map(|hash| hash.0),
                entry.first_event.cast_signed(),
                entry.len(),
                posted_at,
                broken.map(|broken| broken.kind.name()),
                broken.map(|broken| broken.from_ledger.cast_signed()),
                broken.map(|broken| broken.to_ledger.cast_signed()),
                form,
            ])?;
        }
        for hole in holes {
            let told = &hole.continuity;
            transaction
                .prepare_cached("INSERT OR REPLACE INTO holes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    hole.stream,
                    hole.from.cast_signed(),
                    hole.through.cast_signed(),
                    hole.epoch,
                    hole.ledger.cast_signed(),
                    hole.closed_at,
                    hole.events.cast_signed(),
                    told.kind.name(),
                    told.from_ledger.cast_signed(),
                    told.to_ledger.cast_signed(),
                    told.reason,
                ])?;
        }
        for stream in streams {
            let counters =
                serde_json::to_string(&stream.counters).map_err(|error| StoreError::Damaged(error.to_string()))?;
            transaction
                .prepare_cached("INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    stream.id,
                    stream.source,
                    stream.network,
                    stream.scope,
                    stream.epoch,
                    stream.ledger.cast_signed(),
                    stream.hash.map(|hash| hash.0),
                    counters,
                    stream.sequence.cast_signed(),
                    stream.events.cast_signed(),
                    stream.gone_through.cast_signed(),
                ])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Sequences of a stream after one, oldest first, at most so many.
    pub fn sequences(&self, stream: i64, after: u64, most: usize) -> Result<Vec<u64>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT sequence FROM ledgers WHERE stream = ? AND sequence > ? ORDER BY sequence LIMIT ?",
        )?;
        let rows = query.query_map(params![stream, after.cast_signed(), most as i64], |row| number(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest sequence of a stream before one.
    pub fn before(&self, stream: i64, sequence: u64) -> Result<Option<u64>, StoreError> {
        let mut query =
            self.connection.prepare_cached("SELECT max(sequence) FROM ledgers WHERE stream = ? AND sequence < ?")?;
        let found = query.query_row(params![stream, sequence.cast_signed()], |row| row.get::<_, Option<i64>>(0))?;
        Ok(found.map(i64::cast_unsigned))
    }

    /// The row of a sequence.
    pub fn row(&self, sequence: u64) -> Result<Option<KeptRow>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT sequence, epoch, ledger, first_event, events, posted_at, break, break_from, break_to, form
             FROM ledgers WHERE sequence = ?",
        )?;
        let row = query.query_row([sequence.cast_signed()], |row| {
            Ok(KeptRow {
                sequence: number(row, 0)?,
                epoch: row.get(1)?,
                ledger: number(row, 2)?,
                first_event: number(row, 3)?,
                events: number(row, 4)?,
                posted_at: row.get(5)?,
                broken: broken(row, 6)?,
                form: row.get(9)?,
            })
        });
        Ok(row.optional()?)
    }

    /// The newest ledger of an index: its sequence and its hash.
    pub fn by_index(&self, stream: i64, epoch: u32, index: u64) -> Result<Option<(u64, Option<Hash>)>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT sequence, hash FROM ledgers WHERE stream = ? AND epoch = ? AND ledger = ?
             ORDER BY sequence DESC LIMIT 1",
        )?;
        let found =
            query.query_row(params![stream, epoch, index.cast_signed()], |row| Ok((number(row, 0)?, hash(row, 1)?)));
        Ok(found.optional()?)
    }

    /// The newest ledger of an index with a hash that begins so.
    pub fn by_hash(&self, stream: i64, epoch: u32, index: u64, begins: [u8; 4]) -> Result<Option<u64>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT max(sequence) FROM ledgers
             WHERE stream = ? AND epoch = ? AND ledger = ? AND substr(hash, 1, 4) = ?",
        )?;
        let found =
            query.query_row(params![stream, epoch, index.cast_signed(), begins], |row| row.get::<_, Option<i64>>(0))?;
        Ok(found.map(i64::cast_unsigned))
    }

    /// The lowest index that is kept of this epoch or, if none is, of the next: the index and its first sequence.
    pub fn oldest(&self, stream: i64, epoch: u32) -> Result<Option<(u64, u64)>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT ledger, sequence FROM ledgers WHERE stream = ?1
             AND epoch = (SELECT min(epoch) FROM ledgers WHERE stream = ?1 AND epoch >= ?2)
             ORDER BY ledger, sequence LIMIT 1",
        )?;
        let found = query.query_row(params![stream, epoch], |row| Ok((number(row, 0)?, number(row, 1)?)));
        Ok(found.optional()?)
    }

    /// The newest epoch of a stream before one of which a ledger is kept.
    pub fn epoch_before(&self, stream: i64, epoch: i64) -> Result<Option<u32>, StoreError> {
        let mut query =
            self.connection.prepare_cached("SELECT max(epoch) FROM ledgers WHERE stream = ? AND epoch < ?")?;
        Ok(query.query_row(params![stream, epoch], |row| row.get(0))?)
    }

    /// The newest ledger of an epoch whose index is below one: its sequence.
    pub fn below(&self, stream: i64, epoch: u32, index: u64) -> Result<Option<u64>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT sequence FROM ledgers WHERE stream = ? AND epoch = ? AND ledger < ?
             ORDER BY ledger DESC, sequence DESC LIMIT 1",
        )?;
        let found = query.query_row(params![stream, epoch, index.cast_signed()], |row| number(row, 0));
        Ok(found.optional()?)
    }
}
