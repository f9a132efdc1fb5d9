//! Gives up what is too old or too much, some at a time, and gives the space back.

use super::store::{PAGE, Store, StoreError};
use crate::config;
use rusqlite::params;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Pages that are given back in a step.
const PAGES: i64 = 64;
/// Free pages that are kept for what comes, at least; besides a part of all.
const SPARE: i64 = 128;
const SPARE_PART: i64 = 8;
/// Bytes of a row besides its form, about.
const COLUMNS: u64 = 128;

/// What a step did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// By stream: the newest sequence that was given up.
    pub gone_through: BTreeMap<i64, u64>,
    /// Whether there is more to give up or to give back.
    pub more: bool,
    /// Bytes that the rows take now.
    pub bytes: u64,
    /// When the oldest ledger that is kept was posted, Unix milliseconds.
    pub oldest: Option<i64>,
}

/// Milliseconds since 1970.
pub fn unix_millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// About what giving up a row of so many bytes gives back: rows share a page, or have whole ones.
fn taken(form: u64) -> u64 {
    let page = u64::from(PAGE);
    let row = form + COLUMNS;
    if row < page { page / (page / row) } else { row.div_ceil(page) * page }
}

impl Store {
    fn pages(&self) -> Result<(i64, i64, u64), StoreError> {
        let pragma = |name: &str| self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        let (all, free, size) = (pragma("page_count")?, pragma("freelist_count")?, pragma("page_size")?);
        Ok((all, free, ((all - free) * size).cast_unsigned()))
    }

    /// One step: at most so many rows, or some pages. `gone` is told what goes before it is gone.
    pub fn prune(
        &mut self,
        keep: &config::Journal,
        now: SystemTime,
        most: usize,
        gone: impl FnOnce(&BTreeMap<i64, u64>),
    ) -> Result<Pruned, StoreError> {
        let (_, _, bytes) = self.pages()?;
        let too_old = unix_millis(now.checked_sub(keep.max_age.0).unwrap_or(SystemTime::UNIX_EPOCH));
        let mut too_much = bytes.saturating_sub(keep.max_bytes.0);
        let mut pruned = Pruned::default();
        let mut is_last = true;
        let transaction = self.connection.transaction()?;
        {
            // In the order of the stream, which is that of time: where a clock was set back, later ones wait for it.
            let mut oldest = transaction.prepare_cached(
                "SELECT sequence, stream, posted_at, length(form) FROM ledgers ORDER BY sequence LIMIT ?",
            )?;
            let newest: Option<i64> =
                transaction.query_row("SELECT max(sequence) FROM ledgers", [], |row| row.get(0))?;
            let mut rows = oldest.query([most as i64 + 1])?;
            let mut last = None;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let (sequence, stream, posted_at): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                // No more than makes it small enough, and the newest stays however long it is.
                let is_too_much = too_much > 0 && Some(sequence) != newest;
                let goes = !keep.enabled || is_too_much || posted_at < too_old;
                if !goes || count == most {
                    pruned.more = goes;
                    is_last = Some(sequence) == newest;
                    pruned.oldest = Some(posted_at);
                    break;
                }
                count += 1;
                too_much = too_much.saturating_sub(taken(row.get::<_, i64>(3)?.cast_unsigned()));
                pruned.gone_through.insert(stream, sequence.cast_unsigned());
                last = Some(sequence);
            }
            if let Some(last) = last {
                transaction.prepare_cached("DELETE FROM ledgers WHERE sequence <= ?")?.execute([last])?;
                gone(&pruned.gone_through);
                for (stream, gone) in &pruned.gone_through {
                    let gone = gone.cast_signed();
                    transaction
                        .prepare_cached("UPDATE streams SET gone_through = max(gone_through, ?2) WHERE id = ?1")?
                        .execute(params![stream, gone])?;
                    transaction
                        .prepare_cached("DELETE FROM holes WHERE stream = ? AND through <= ?")?
                        .execute(params![stream, gone])?;
                }
            }
        }
        transaction.commit()?;
        let (all, free, bytes) = self.pages()?;
        // What a row takes is an estimate.
        pruned.more |= !is_last && bytes > keep.max_bytes.0;
        if !pruned.more && free > SPARE.max(all / SPARE_PART) {
            let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
            let mut steps = vacuum.query([])?;
            // Each step gives one page back.
            while steps.next()?.is_some() {}
            pruned.more = true;
        }
        pruned.bytes = bytes;
        Ok(pruned)
    }
}
