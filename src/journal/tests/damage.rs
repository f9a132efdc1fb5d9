//! Files that are damaged: what can be read of them is kept.

use super::*;
use crate::event::{Continuity, ContinuityKind};
use crate::journal::{JournalHealth, lock};

const MIB: usize = 1 << 20;
const PAGE: usize = 8192;

/// Overwrites a part of the file.
fn scribble(file: &Path, from: usize, bytes: usize) {
    let mut content = std::fs::read(file).unwrap();
    content[from..from + bytes].fill(0xaa);
    std::fs::write(file, content).unwrap();
}

#[test]
fn a_damaged_file_is_moved_aside_with_positions_saved_if_they_can_be_read() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("journal.db");
    for (round, (from, bytes, saved)) in
        [(0, 100, false), (100, 8000, false), (3 * 8192, 8192, true)].into_iter().enumerate()
    {
        let life = Life::begin(state.path());
        let known = life.kept_through();
        life.post_all((1..=300).map(|ledger| known.unwrap_or(0) + ledger));
        life.journal.close();
        drop(life);
        scribble(&file, from, bytes);
        let life = Life::begin(state.path());
        // Where the damage is not seen at once, it is when somebody reads or writes there.
        let last = known.unwrap_or(0) + 300;
        let _ = life.walk(&[0], 0, MIB);
        life.post_all([last + 1]);
        life.settle();
        wait("it was moved aside", || aside(state.path()) == 1);
        life.settle();
        assert_eq!(life.kept_through(), Some(last + 1), "round {round}");
        let gone = life.journal.gone_through(0);
        assert_eq!(sequences(&life.walk(&[0], gone, MIB)).last(), Some(&life.history.head()));
        if saved {
            assert!(life.history.head() > 300);
        }
        life.journal.close();
        drop(life);
        for entry in state.path().read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().contains("damaged") || !saved {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn a_damaged_ledger_is_the_only_one_that_is_missing() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    life.post_all(1..=20);
    life.journal.close();
    drop(life);
    let file = state.path().join("journal.db");
    let store = rusqlite::Connection::open(&file).unwrap();
    let spoil = "UPDATE ledgers SET form = CAST(substr(form, 1, length(form) - 6) || x'000102030405' AS BLOB) WHERE sequence = 7";
    store.execute(spoil, []).unwrap();
    drop(store);
    let life = Life::with(state.path(), config::Journal::default(), 1, "all");
    let all = life.walk(&[0], 0, MIB);
    assert_eq!(sequences(&all), (1..=20).collect::<Vec<_>>());
    for entry in &all {
        assert_eq!(gap(entry), (entry.sequence == 7).then_some((7, 7)));
    }
    assert!(all[6].batch.events.is_empty() && all[6].first_event == 21);
    // In memory nothing stands behind it.
    drop((all, life));
    let life = Life::begin(state.path());
    assert_eq!((life.history.sizes()[0].0, life.history.head()), (13, 20));
    assert!(!life.history.behind(&[0], crate::broker::Position::after(6)).reached);
}

/// What is aside, but for what SQLite has beside it.
fn aside(directory: &Path) -> usize {
    let names = directory.read_dir().unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("journal.db.damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm"))
        .count()
}

/// Walks from where something is kept to the head, and gives what is missing on the way of the first source; everything
/// else must be there.
fn missing(life: &Life) -> Vec<(u64, u64)> {
    let gone = life.journal.gone_through(0);
    let all = life.walk(&[0], gone, MIB);
    let mut missing = Vec::new();
    let mut expected = None;
    for entry in &all {
        let ledger = entry.batch.ledger.index;
        let from = gap(entry).map_or(ledger, |(from, to)| {
            assert!(to == ledger && entry.batch.events.is_empty());
            missing.push((from, to));
            from
        });
        assert_eq!(from, expected.unwrap_or(from), "{missing:?}");
        if gap(entry).is_none() {
            assert_eq!(format!("{:?}", entry.batch), format!("{:?}", long(ledger)));
        }
        expected = Some(ledger + 1);
    }
    assert!(all.is_sorted_by(|one, next| one.sequence < next.sequence));
    assert_eq!(all.last().map(|last| last.sequence), Some(life.history.head()));
    missing
}

#[test]
fn a_damaged_page_costs_the_ledgers_in_it_alone() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    life.post_all([]);
    for ledger in 1..=400 {
        life.post(long(ledger)).unwrap();
    }
    life.journal.close();
    drop(life);
    let file = state.path().join("journal.db");
    let whole = std::fs::read(&file).unwrap();
    // By what stands in them: parts of the tree of rows, and of those by which rows are found.
    let of_kind = |pages: std::ops::Range<usize>, kind| {
        let pages = pages.filter(|page| whole[page * PAGE] == kind);
        pages.collect::<Vec<_>>()
    };
    let (rows, index) = (of_kind(10..whole.len() / PAGE - 1, 0x0d), of_kind(2..10, 0x0a));
    assert!(rows.len() > 50 && index.len() > 2, "{rows:?} {index:?}");
    let mut holes = 0;
    let damaged = [rows[1], rows[rows.len() / 2], rows[rows.len() * 3 / 4]].into_iter().chain(index);
    for (round, page) in damaged.enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("journal.db");
        std::fs::copy(&file, &copy).unwrap();
        scribble(&copy, page * PAGE, PAGE);
        let life = Life::with(directory.path(), config::Journal::default(), 1, "all");
        // A session that goes on there gets all the rest, and is told of what is missing.
        let lost = missing(&life);
        let count = lost.iter().map(|(from, to)| to - from + 1).sum::<u64>();
        assert!(count <= 12 && life.journal.gone_through(0) <= 12, "round {round}: {lost:?}");
        holes += count;
        assert_eq!(life.journal.health().lost, count, "it is counted");
        // Some of it is only seen when somebody writes.
        life.post(long(401)).unwrap();
        life.settle();
        assert_eq!((missing(&life), aside(directory.path())), (lost.clone(), 1), "round {round}");
        life.journal.close();
        drop(life);
        let life = Life::with(directory.path(), config::Journal::default(), 1, "all");
        assert_eq!((missing(&life), life.kept_through()), (lost, Some(401)));
    }
    assert!(holes > 0);
}

/// Where a break stands, its kind and its ledgers.
type Told = (u64, ContinuityKind, u64, u64);

#[test]
fn what_is_missing_is_told_by_source_and_breaks_are_not_lost() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    let broken = |kind, ledger: u64, to: u64, chain, epoch| {
        let mut batch = hashed(0, ledger, 2, chain);
        batch.continuity = Some(Continuity { kind, from_ledger: ledger, to_ledger: to, reason: "told".into() });
        batch.epoch = epoch;
        batch
    };
    // Sequences 1 to 20: both sources in turn, ledgers 1 to 10 of each.
    for ledger in 1..=10 {
        life.post(hashed(0, ledger, 2, 0)).unwrap();
        life.post(hashed(1, ledger, 1, 0)).unwrap();
    }
    // 21: ledgers from 9 on are replaced; 22 and 23 follow. 24: the network begins anew; 25 follows.
    life.post(broken(ContinuityKind::Reorg, 9, 10, 1, 0)).unwrap();
    life.post(hashed(0, 10, 2, 1)).unwrap();
    life.post(hashed(0, 11, 2, 1)).unwrap();
    life.post(broken(ContinuityKind::Reset, 1, 11, 0, 1)).unwrap();
    let mut last = hashed(0, 2, 2, 0);
    last.epoch = 1;
    life.post(last).unwrap();
    life.journal.close();
    drop(life);
    let file = state.path().join("journal.db");
    let kept = std::fs::read(&file).unwrap();
    let cases: [(&str, &[Told], &[Told], u64); 7] = [
        // Of both, in the middle; each has a place of its own.
        ("5, 6, 7, 8", &[(7, ContinuityKind::Gap, 3, 4)], &[(8, ContinuityKind::Gap, 3, 4)], 0),
        // What was replaced is not missed; what comes before it is.
        ("17, 19", &[], &[], 0),
        ("15, 17, 19", &[(19, ContinuityKind::Gap, 8, 8)], &[], 0),
        // The one that says so.
        ("21", &[(21, ContinuityKind::Reorg, 9, 10)], &[], 0),
        ("24", &[(24, ContinuityKind::Reset, 1, 11)], &[], 0),
        // The newest.
        ("25", &[(25, ContinuityKind::Gap, 2, 2)], &[], 0),
        // The oldest are as good as pruned.
        ("1, 3", &[], &[], 3),
    ];
    for (gone, of_first, of_second, through) in cases {
        // Where the reader was the last to close it, the log is still there.
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(crate::journal::aside::with_end(&file, end));
        }
        std::fs::write(&file, &kept).unwrap();
        let delete = format!("DELETE FROM ledgers WHERE sequence IN ({gone})");
        rusqlite::Connection::open(&file).unwrap().execute_batch(&delete).unwrap();
        let life = Life::with(state.path(), config::Journal::default(), 1, "all");
        *lock(&life.journal.shared.damaged) = Some("the test says so".into());
        wait("it was looked at", || life.journal.shared.generation.load(std::sync::atomic::Ordering::Acquire) > 0);
        // A hole is told with what comes after it.
        let mut next = hashed(0, 3, 2, 0);
        next.epoch = 1;
        assert_eq!(life.post(next), Some(26), "{gone}");
        life.settle();
        for (source, expected) in [(0, of_first), (1, of_second)] {
            let after = life.journal.gone_through(source);
            assert!(after == through || source == 1, "{gone}: {after}");
            let told = |entry: &Arc<StreamEntry>| {
                let told = entry.batch.continuity.as_ref().filter(|told| told.reason != "told")?;
                assert!(told.reason.contains("damaged"), "{told:?}");
                Some((entry.sequence, told.kind, told.from_ledger, told.to_ledger))
            };
            let all = life.walk(&[source], after, MIB);
            assert_eq!(all.iter().filter_map(told).collect::<Vec<_>>(), expected, "{gone}");
            // What comes before each in the count of events is as it was.
            for pair in all.windows(2) {
                let events = pair[0].first_event + u64::from(pair[0].len());
                assert!(pair[1].first_event >= events, "{gone}: {pair:?}");
            }
        }
        drop(life);
    }
    assert_eq!(aside(state.path()), 1, "no more than the newest");
}

#[test]
fn two_damages_at_once_are_mended_and_one_file_is_kept() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("journal.db");
    let life = Life::with(state.path(), config::Journal::default(), 1, "all");
    for ledger in 1..=200 {
        life.post(long(ledger)).unwrap();
    }
    life.settle();
    for round in 0..2 {
        // A reader says so, and whoever writes finds the file taken away as well.
        if round == 1 {
            std::fs::remove_file(&file).unwrap();
        }
        *lock(&life.journal.shared.damaged) = Some("the test says so".into());
        life.post(long(201 + round)).unwrap();
        life.settle();
        wait("the file is there", || file.exists());
    }
    assert_eq!(life.kept_through(), Some(202));
    assert!(missing(&life).is_empty());
    assert_eq!(aside(state.path()), 1);
    life.journal.close();
    drop(life);
    let life = Life::with(state.path(), config::Journal::default(), 1, "all");
    assert_eq!((missing(&life), life.kept_through()), (vec![], Some(202)));
}

#[test]
fn a_copy_that_a_kill_left_is_used_if_it_is_whole() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    life.post_all(1..=20);
    life.journal.close();
    drop(life);
    let (file, copy) = (state.path().join("journal.db"), state.path().join("journal.db.copy"));
    // In the middle of copying.
    std::fs::write(&copy, "half of it").unwrap();
    assert_eq!(Life::begin(state.path()).kept_through(), Some(20));
    assert!(!copy.exists());
    // Between the two renames.
    std::fs::rename(&file, &copy).unwrap();
    assert_eq!(Life::begin(state.path()).kept_through(), Some(20));
    assert!(!copy.exists());
}

#[test]
fn what_was_moved_aside_goes_first_where_there_is_too_much() {
    let state = tempfile::tempdir().unwrap();
    let old = state.path().join("journal.db.damaged-1");
    std::fs::write(&old, vec![0; MIB]).unwrap();
    std::fs::write(state.path().join("journal.db.damaged-1-wal"), "").unwrap();
    let keep = config::Journal { max_bytes: config::units::Size::kib(1536), ..config::Journal::default() };
    let life = Life::with(state.path(), keep, 1, "all");
    life.post_all(1..=3);
    life.settle();
    wait("it was looked at", || life.journal.health() != JournalHealth::default());
    assert!(old.exists(), "there is room");
    for ledger in 4..=150 {
        life.post(long(ledger)).unwrap();
    }
    life.settle();
    wait("it is deleted", || aside(state.path()) == 0 && !old.exists());
    assert_eq!(life.journal.gone_through(0), 0, "before any ledger");
}
