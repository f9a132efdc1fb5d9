//! Disks that are full, slow, missing or broken.

use super::*;
use crate::journal::{MOST_SLOW, MOST_WAITING, SLOW_FROM};
use crate::source::SourceStatus;

const MIB: usize = 1 << 20;

/// Where the first source stands, as health sees it.
fn status(life: &Life) -> Arc<SourceStatus> {
    let status = SourceStatus::new(0, "a");
    life.journal.tell(&status);
    status
}

#[test]
fn who_catches_up_waits_for_a_slow_disk() {
    let state = tempfile::tempdir().unwrap();
    // Nothing is written before it starts.
    let life = Life::unstarted(state.path(), config::Journal::default(), 1 << 30, "all");
    for ledger in 1..=(SLOW_FROM / MIB) as u64 - 1 {
        life.post(heavy(ledger, MIB)).unwrap();
        assert!(life.journal.room().is_none(), "{ledger}");
    }
    life.post(heavy(100, 3 * MIB)).unwrap();
    let room = life.journal.room().expect("it is full");
    life.start();
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(room);
    assert!(life.journal.room().is_none());
    life.settle();
    assert_eq!(life.journal.health().lost, 0);
}

#[actix::test]
async fn at_the_tip_nobody_waits_for_a_slow_disk() {
    use crate::broker::{Append, Broker};
    use actix::Actor;
    let state = tempfile::tempdir().unwrap();
    let Life { journal, history } = Life::with(state.path(), config::Journal::default(), 1, "all");
    let journal = Arc::new(journal);
    // It works, but hardly.
    mark(state.path(), "slow", Some("8000"));
    let names = Arc::new([Arc::from("a"), Arc::from("b")]);
    let broker = Broker::new(history.clone(), Arc::default(), names).with_journal(Some(journal.clone())).start();
    let last = 2 * (MOST_SLOW / MIB) as u64;
    for ledger in 1..=last {
        let append = Append { batch: heavy(ledger, MIB), posted: Instant::now(), counters: BTreeMap::new() };
        broker.send(append).await.unwrap();
        assert!(journal.shared.queue.size().1 <= MOST_SLOW + 2 * MIB, "memory is bounded");
    }
    assert_eq!(journal.health().error, None, "it works");
    assert!(journal.room().is_some(), "who catches up would wait");
    mark(state.path(), "slow", None);
    drop(broker);
    while Arc::strong_count(&journal) > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let life = Life { journal: Arc::into_inner(journal).unwrap_or_else(|| panic!("somebody has it")), history };
    life.settle();
    let all = life.walk(&[0], 0, 4 * MIB);
    let mut expected = 1;
    let mut missing = 0;
    for entry in &all {
        let ledger = entry.batch.ledger.index;
        let from = gap(entry).map_or(ledger, |(from, to)| {
            assert!(to == ledger && entry.batch.continuity.as_ref().unwrap().reason.contains("too slow"));
            missing += to - from + 1;
            from
        });
        assert_eq!(from, expected);
        expected = ledger + 1;
    }
    assert_eq!(expected, last + 1);
    assert!(missing >= last / 4 && missing < last, "{missing}");
    assert_eq!(life.journal.health().lost, missing);
}

#[test]
fn a_writer_that_dies_ends_the_process() {
    // The process that ends is another than that of the tests.
    if let Ok(directory) = std::env::var("LEDGERCAST_TEST_PANIC") {
        let life = Life::begin(Path::new(&directory));
        life.post_all(1..=5);
        life.settle();
        mark(Path::new(&directory), "panic", Some(""));
        life.post_all(6..=6);
        wait("the end", || false);
    }
    let state = tempfile::tempdir().unwrap();
    let name = "journal::tests::faults::a_writer_that_dies_ends_the_process";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let child = child.args(["--exact", name]).env("LEDGERCAST_TEST_PANIC", state.path());
    let ended = child.output().unwrap();
    assert_eq!(ended.status.code(), Some(70), "{ended:?}");
    mark(state.path(), "panic", None);
    let life = Life::begin(state.path());
    assert_eq!(life.kept_through(), Some(5), "nothing false was said");
}

#[actix::test]
async fn a_disk_that_hangs_holds_up_no_stop() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    mark(state.path(), "slow", Some("600000"));
    life.post_all(1..=5);
    wait("it is being written", || life.journal.shared.queue.is_writing());
    tokio::time::timeout(Duration::from_secs(60), life.journal.flushed()).await.expect("it ends");
    assert!(life.journal.room().is_none(), "nobody waits for it any more");
    assert_eq!(life.kept_through(), None, "nothing false is said");
    mark(state.path(), "slow", None);
    life.settle();
    assert_eq!(life.kept_through(), Some(5));
}

#[test]
fn a_folder_that_another_process_took_meanwhile_is_left_alone() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("state");
    std::fs::write(&directory, "").unwrap();
    let life = Life::begin(&directory);
    std::fs::remove_file(&directory).unwrap();
    std::fs::create_dir(&directory).unwrap();
    // In the order of two processes: the lock, then the file. Where this one was first, it is released and taken again.
    let Ok(other) = Journal::open(&directory, config::Journal::default(), keys("all")) else {
        // It was quicker than the test.
        return;
    };
    life.post_all(1..=5);
    wait("it is said", || life.journal.health().error.is_some_and(|error| error.contains("another process uses")));
    assert!(matches!(life.read(&[0], 2, 1), BacklogRead::Entries(_)), "what waits");
    assert_eq!((life.kept_through(), other.checkpoint(0, "test-0").unwrap()), (None, None));
    drop(other);
    life.settle();
    assert_eq!((life.kept_through(), life.journal.health().error), (Some(5), None));
}

#[test]
fn a_full_disk_stops_nobody_and_a_short_time_loses_nothing() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    let status = status(&life);
    life.post_all(1..=20);
    life.settle();
    fill_disk(state.path(), true);
    // The limit counts for the next connection.
    drop((life, status));
    let life = Life::begin(state.path());
    let status = self::status(&life);
    for ledger in 21..=400 {
        life.post(long(ledger)).unwrap();
    }
    wait("it is said", || life.journal.health().error.is_some());
    let error = life.journal.health().error.unwrap();
    assert!(error.contains("journal.db") && error.contains("full") && error.contains("make room"), "{error}");
    wait("the source's health says it", || status.snapshot().checkpoint_error.is_some());
    assert!(life.journal.room().is_none(), "nobody waits for it");
    let through = life.kept_through().unwrap();
    assert!((20..400).contains(&through), "nothing false is said: {through}");
    // All that waits can be read.
    assert_eq!(sequences(&life.walk(&[0], 0, MIB)), (1..=400).collect::<Vec<_>>());
    fill_disk(state.path(), false);
    life.settle();
    assert_eq!((life.kept_through(), life.journal.health().error, life.journal.health().lost), (Some(400), None, 0));
    assert_eq!((status.snapshot().checkpoint_ledger, status.snapshot().checkpoint_error), (Some(400), None));
    assert_eq!(sequences(&life.walk(&[0], 0, MIB)), (1..=400).collect::<Vec<_>>());
}

#[test]
fn after_a_long_time_readers_are_told_which_ledgers_are_missing() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    life.post_all(1..=20);
    life.journal.close();
    drop(life);
    fill_disk(state.path(), true);
    // Memory holds little, so that the disk is asked.
    let life = Life::with(state.path(), config::Journal::default(), 1, "all");
    for ledger in 21..=60 {
        life.post(long(ledger)).unwrap();
    }
    wait("it fails", || life.journal.health().error.is_some());
    let through = life.kept_through().unwrap();
    let most = (MOST_WAITING / MIB) as u64;
    let last = 60 + 2 * most;
    for ledger in 61..=last {
        life.post(heavy(ledger, MIB)).unwrap();
        if ledger % 10 == 0 {
            life.post(hashed(1, ledger, 1, 0)).unwrap();
        }
        assert!(life.journal.room().is_none());
    }
    assert!(life.journal.shared.queue.size().1 <= MOST_WAITING + 2 * MIB);
    // What is missing, seen by a reader, and whether the rest is whole.
    let check = |life: &Life| {
        let all = life.walk(&[0], 0, 4 * MIB);
        let mut expected = 1;
        let mut missing = Vec::new();
        for entry in &all {
            if let Some((from, to)) = gap(entry) {
                assert!(entry.batch.events.is_empty() && from == expected && to == entry.batch.ledger.index);
                // A hole that grew while the disk failed is told in pieces, one after the other.
                match missing.last_mut() {
                    Some((_, before)) if *before + 1 == from => *before = to,
                    _ => missing.push((from, to)),
                }
            } else {
                assert_eq!(entry.batch.ledger.index, expected);
            }
            expected = entry.batch.ledger.index + 1;
        }
        assert_eq!(expected, last + 1);
        assert!(all.is_sorted_by_key(|entry| entry.sequence));
        missing
    };
    let missing = check(&life);
    assert_eq!(missing.len(), 1, "{missing:?}");
    let (from, to) = missing[0];
    assert!(from > through && to >= last - most - 1 && to < last, "{missing:?}");
    fill_disk(state.path(), false);
    life.settle();
    assert_eq!(check(&life), missing);
    wait("it is counted", || life.journal.health().lost > to - from);
    // What is looked for in the hole is found before it.
    let found = life.find(0, Find::Ledger { index: from + 3, chain: Chain::Newest });
    let Found::At(before) = found else { panic!("{found:?}") };
    let BacklogRead::Entries(next) = life.read(&[0], before, 1) else { panic!() };
    assert_eq!(gap(&next[0]).map(|(first, _)| first), Some(from));
    life.journal.close();
    drop(life);
    let life = Life::with(state.path(), config::Journal::default(), 1, "all");
    assert_eq!(check(&life), missing);
    assert_eq!(life.kept_through(), Some(last));
}

#[test]
fn what_was_not_kept_at_the_end_is_read_again_and_is_no_hole() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    life.post_all(1..=5);
    life.journal.close();
    drop(life);
    fill_disk(state.path(), true);
    let life = Life::with(state.path(), config::Journal::default(), 1, "all");
    for ledger in 6..=300 {
        life.post(long(ledger)).unwrap();
    }
    wait("it fails", || life.journal.health().error.is_some());
    for ledger in 301..=500 {
        life.post(heavy(ledger, MIB)).unwrap();
    }
    let through = life.kept_through().unwrap();
    life.journal.close();
    drop(life);
    fill_disk(state.path(), false);
    let life = Life::begin(state.path());
    assert_eq!((life.kept_through(), life.history.head()), (Some(through), through));
    life.post_all(through + 1..=through + 3);
    life.settle();
    let all = life.walk(&[0], 0, MIB);
    assert_eq!(
        all.iter().map(|entry| entry.batch.ledger.index).collect::<Vec<_>>(),
        (1..=through + 3).collect::<Vec<_>>()
    );
    assert!(all.iter().all(|entry| gap(entry).is_none()));
}

#[test]
fn a_folder_that_cannot_be_made_is_tried_again() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("state");
    // Something else is in its place.
    std::fs::write(&directory, "").unwrap();
    let life = Life::begin(&directory);
    let error = life.journal.health().error.unwrap();
    assert!(error.contains("journal.db") && error.contains("state_dir"), "{error}");
    life.post_all(1..=5);
    assert!(life.journal.room().is_none());
    assert!(matches!(life.read(&[0], 2, 1), BacklogRead::Entries(_)), "what waits");
    std::fs::remove_file(&directory).unwrap();
    std::fs::create_dir(&directory).unwrap();
    life.settle();
    assert_eq!((life.kept_through(), life.journal.health().error), (Some(5), None));
}

#[test]
fn an_empty_file_is_as_good_as_none() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("journal.db");
    std::fs::write(&file, "").unwrap();
    // What a first start on a full disk leaves.
    fill_disk(state.path(), true);
    let life = Life::begin(state.path());
    assert!(life.journal.health().error.is_some());
    life.post_all(1..=5);
    assert!(matches!(life.read(&[0], 2, 1), BacklogRead::Entries(_)), "what waits");
    life.journal.close();
    drop(life);
    let life = Life::begin(state.path());
    assert_eq!(life.kept_through(), None);
    life.post_all(1..=5);
    fill_disk(state.path(), false);
    life.settle();
    assert_eq!((life.kept_through(), life.journal.health().error), (Some(5), None));
}

#[test]
fn a_file_that_is_taken_away_is_begun_anew() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::with(state.path(), config::Journal::default(), 1, "all");
    life.post_all(1..=20);
    life.settle();
    assert_eq!(life.walk(&[0], 0, MIB).len(), 20);
    let file = state.path().join("journal.db");
    std::fs::remove_file(&file).unwrap();
    wait("it is there again", || file.exists() && life.journal.gone_through(0) == 20);
    life.post_all(21..=25);
    life.settle();
    assert_eq!(sequences(&life.walk(&[0], 20, MIB)), (21..=25).collect::<Vec<_>>());
    life.journal.close();
    drop(life);
    assert_eq!(Life::begin(state.path()).kept_through(), Some(25));
}

#[test]
fn a_cut_log_loses_its_end_alone() {
    let state = tempfile::tempdir().unwrap();
    let copied = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    for ledger in 1..=60 {
        life.post_all([ledger]);
        life.settle();
    }
    // As a process that was killed leaves them, and a disk that lost the end.
    for name in ["journal.db", "journal.db-wal"] {
        std::fs::copy(state.path().join(name), copied.path().join(name)).unwrap();
    }
    let log = copied.path().join("journal.db-wal");
    let whole = std::fs::read(&log).unwrap();
    for part in [95, 60, 30] {
        std::fs::write(&log, &whole[..whole.len() * part / 100]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        for name in ["journal.db", "journal.db-wal"] {
            std::fs::copy(copied.path().join(name), directory.path().join(name)).unwrap();
        }
        let again = Life::begin(directory.path());
        let through = again.kept_through().unwrap_or(0);
        assert!(through < 60, "{through}");
        // The ledgers are those of the checkpoint, no more and no fewer.
        assert_eq!(sequences(&again.walk(&[0], 0, MIB)), (1..=through).collect::<Vec<_>>(), "{part} %");
        again.post_all(through + 1..=through + 2);
        again.settle();
        assert_eq!(sequences(&again.walk(&[0], 0, MIB)), (1..=through + 2).collect::<Vec<_>>());
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_read_with_its_log() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    life.post_all(1..=40);
    life.settle();
    // As a process that was killed leaves them: the newest are in the log.
    let copied = tempfile::tempdir().unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        std::fs::copy(state.path().join(name), copied.path().join(name)).unwrap();
    }
    mark(copied.path(), "readonly", Some(""));
    let files = || ["journal.db", "journal.db-wal"].map(|name| std::fs::read(copied.path().join(name)).unwrap());
    let before = files();
    assert!(!before[1].is_empty());
    let again = Life::with(copied.path(), config::Journal::default(), 1, "all");
    assert!(again.journal.health().error.is_some());
    assert_eq!((again.kept_through(), again.history.head()), (Some(40), 40));
    assert_eq!(sequences(&again.walk(&[0], 0, MIB)), (1..=40).collect::<Vec<_>>());
    assert_eq!(again.post(hashed(0, 41, 3, 0)), Some(41), "no number is given twice");
    drop(again);
    assert!(files() == before, "nothing is written");
    mark(copied.path(), "readonly", None);
    assert_eq!(sequences(&Life::begin(copied.path()).walk(&[0], 0, MIB)), (1..=40).collect::<Vec<_>>());
}
