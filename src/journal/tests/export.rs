//! What is kept is read from beginning to end, beside the one that writes.

use super::{Life, batch, hashed};
use crate::event::{Continuity, ContinuityKind, LedgerBatch};
use crate::journal::{Bound, Export, Unpacker};
use rusqlite::Connection;
use std::path::Path;
use tempfile::TempDir;

/// A ledger of a chain, which closed two seconds after the one before it.
fn ledger(index: u64, chain: u8) -> LedgerBatch {
    let mut batch = hashed(0, index, 3, chain);
    batch.ledger.closed_at = 1000 + 2 * index as i64;
    batch
}

/// Ledgers 1 to 4, the last two of which are replaced by others, and two more; another source's between them.
fn life(directory: &Path) -> Life {
    let life = Life::begin(directory);
    for (index, chain) in [(1, 0), (2, 0), (3, 0), (4, 0), (3, 1), (4, 1), (5, 1), (6, 1)] {
        let mut own = ledger(index, chain);
        if (index, chain) == (3, 1) {
            let reason = "forked".to_owned();
            own.continuity = Some(Continuity { kind: ContinuityKind::Reorg, from_ledger: 3, to_ledger: 4, reason });
        }
        life.post(own).unwrap();
        life.post(batch(1, index + 10 * u64::from(chain), 1)).unwrap();
    }
    life.settle();
    life
}

fn open(directory: &Path, from: Option<Bound>, to: Option<Bound>) -> Export {
    Export::open(directory, "a", "all", from, to).unwrap()
}

/// The ledgers of a range, with what is missing before each.
fn range(directory: &Path, from: Option<Bound>, to: Option<Bound>) -> Vec<(u64, Option<(u64, u64)>)> {
    let mut export = open(directory, from, to);
    let last = export.last().unwrap().map(|last| last.batch.ledger);
    let (mut found, mut read) = (Vec::new(), None);
    while let Some(next) = export.take_next().unwrap() {
        let again = Unpacker::new().unwrap().unpack(&next.form, 0).unwrap();
        assert_eq!(format!("{again:?}"), format!("{:?}", next.batch));
        let gap = next.batch.continuity.filter(|told| told.kind == ContinuityKind::Gap);
        found.push((next.batch.ledger.index, gap.map(|told| (told.from_ledger, told.to_ledger))));
        read = Some(next.batch.ledger);
    }
    assert_eq!(last, read, "the last is known before");
    found
}

fn whole(ledgers: &[u64]) -> Vec<(u64, Option<(u64, u64)>)> {
    ledgers.iter().map(|ledger| (*ledger, None)).collect()
}

#[test]
fn ranges_are_in_the_order_of_the_stream() {
    let state = TempDir::new().unwrap();
    let _life = life(state.path());
    let all = [1, 2, 3, 4, 3, 4, 5, 6];
    let ledger = |number| Some(Bound::Ledger(number));
    let time = |second| Some(Bound::Time(second));
    for (from, to, expected) in [
        (None, None, &all[..]),
        (ledger(0), ledger(u64::MAX), &all),
        // What was replaced belongs to it, as clients saw it.
        (ledger(3), None, &all[2..]),
        (None, ledger(3), &all[..5]),
        (ledger(5), ledger(5), &[5]),
        (ledger(7), None, &[]),
        (None, ledger(0), &[]),
        (ledger(6), ledger(2), &[]),
        (time(1009), None, &[5, 6]),
        (time(1010), time(1010), &[5]),
        (time(1010), time(1011), &[5]),
        (None, time(1004), &[1, 2]),
        (time(0), time(i64::MAX), &all),
        (time(1013), None, &[]),
    ] {
        assert_eq!(range(state.path(), from, to), whole(expected), "{from:?} to {to:?}");
    }
    for (source, scope, told) in [
        ("c", "all", "has no ledger of source `c` yet"),
        ("a", "others", "has no ledger of source `a` with these settings; they were others when it was recorded"),
    ] {
        let error = Export::open(state.path(), source, scope, None, None).map(|_| ()).unwrap_err().to_string();
        assert!(error.ends_with(told), "{error}");
    }
    let nowhere = Export::open(&state.path().join("b"), "a", "all", None, None).map(|_| ()).unwrap_err().to_string();
    assert!(nowhere.contains("is not there; name the settings file of a server"), "{nowhere}");
}

#[test]
fn what_is_lost_is_told_in_its_place() {
    let state = TempDir::new().unwrap();
    life(state.path()).journal.close();
    let store = Connection::open(state.path().join("journal.db")).unwrap();
    // Ledger 5 of the new chain, the thirteenth, was never written; the second is damaged.
    store
        .execute_batch(
            "DELETE FROM ledgers WHERE sequence = 13;
             INSERT INTO holes SELECT id, 13, 13, 0, 5, 1010, 21, 'gap', 5, 5, 'not kept: the disk was full'
             FROM streams WHERE source = 'a';
             UPDATE ledgers SET form = x'00' WHERE sequence = 3;",
        )
        .unwrap();
    let told =
        vec![(1, None), (2, Some((2, 2))), (3, None), (4, None), (3, None), (4, None), (5, Some((5, 5))), (6, None)];
    assert_eq!(range(state.path(), None, None), told);
    assert_eq!(range(state.path(), None, Some(Bound::Ledger(4))), told[..6]);
}

#[test]
fn nobody_is_held_up() {
    let state = TempDir::new().unwrap();
    let life = life(state.path());
    let mut export = open(state.path(), None, None);
    export.take_next().unwrap().unwrap();
    // The log goes into the file as if nobody read.
    let writer = Connection::open(state.path().join("journal.db")).unwrap();
    let busy: i64 = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
    life.post(ledger(7, 1)).unwrap();
    life.settle();
    // What came later is no part of it, and what went meanwhile is not there.
    writer.execute_batch("DELETE FROM ledgers WHERE sequence <= 9").unwrap();
    let mut left = Vec::new();
    while let Some(next) = export.take_next().unwrap() {
        left.push(next.batch.ledger.index);
    }
    assert_eq!(left, [4, 5, 6]);
}

#[test]
fn bounds_are_ledgers_and_times() {
    for (text, bound) in [
        ("0", Bound::Ledger(0)),
        ("63353901", Bound::Ledger(63_353_901)),
        ("1970-01-02", Bound::Time(86_400)),
        ("1970-01-01T01:00:00Z", Bound::Time(3600)),
        ("1970-01-01T03:00:00+02:00", Bound::Time(3600)),
    ] {
        assert_eq!(text.parse(), Ok(bound));
    }
    for wrong in ["", "-1", "tomorrow", "2026-13-01", "2026-11-21T09:30:00", "18446744073709551616"] {
        assert!(wrong.parse::<Bound>().unwrap_err().contains("is no ledger and no time"), "{wrong}");
    }
}
