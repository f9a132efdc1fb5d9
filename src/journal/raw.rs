//! Rows as they are, from one file into another.

use super::store::{COLUMNS, INSERT, Store, StoreError, broken, number};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params_from_iter};

/// All of a row, as it is.
pub struct RawRow {
    /// Its sequence.
    pub sequence: u64,
    /// The number of its stream.
    pub stream: i64,
    /// Resets of the network.
    pub epoch: u32,
    /// Its index.
    pub ledger: u64,
    /// Events of the stream before it.
    pub first_event: u64,
    /// When it was posted, Unix milliseconds.
    pub posted_at: i64,
    /// A break before it: its kind, first and last ledger.
    pub broken: Option<(String, u64, u64)>,
    columns: Vec<Value>,
}

impl RawRow {
    /// About how long it is.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(|column| if let Value::Blob(blob) = column { blob.len() } else { 8 }).sum()
    }
}

impl Store {
    /// All of the row of a sequence.
    pub fn raw(&self, sequence: u64) -> Result<Option<RawRow>, StoreError> {
        let mut query = self.connection.prepare_cached("SELECT * FROM ledgers WHERE sequence = ?")?;
        let row = query.query_row([sequence.cast_signed()], |row| {
            Ok(RawRow {
                sequence: number(row, 0)?,
                stream: row.get(1)?,
                epoch: row.get(2)?,
                ledger: number(row, 3)?,
                first_event: number(row, 5)?,
                posted_at: row.get(7)?,
                broken: broken(row, 8)?,
                columns: (0..COLUMNS).map(|at| row.get(at)).collect::<Result<_, _>>()?,
            })
        });
        Ok(row.optional()?)
    }

    /// Writes rows of another file, all or none.
    pub fn copy(&mut self, rows: &[RawRow]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for row in rows {
            transaction.prepare_cached(INSERT)?.execute(params_from_iter(&row.columns))?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Closes it, with nothing left beside it.
    pub fn finish(self) -> Result<(), StoreError> {
        let busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))?;
        if busy != 0 {
            return Err(StoreError::InUse("somebody else reads the copy of the journal".into()));
        }
        self.connection.close().map_err(|(_, error)| error.into())
    }

    /// When the newest row was posted, Unix milliseconds.
    pub fn newest_posted(&self) -> Result<Option<i64>, StoreError> {
        let newest = "SELECT posted_at FROM ledgers ORDER BY sequence DESC LIMIT 1";
        Ok(self.connection.query_row(newest, [], |row| row.get(0)).optional()?)
    }
}
