//! What is kept, found and given up while all is well.

use super::*;
use crate::config::units::{Size, Time};
use crate::event::{Continuity, ContinuityKind};
use crate::journal::OpenError;
use crate::journal::store::Store;

#[test]
fn a_restart_is_no_hole() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    assert_eq!(life.journal.checkpoint(0, "test-0"), Ok(None));
    let mut posted = Vec::new();
    for ledger in 1..=50 {
        posted.push(life.post(hashed(0, ledger, 4, 0)).unwrap());
        if ledger % 5 == 0 {
            posted.push(life.post(hashed(1, 900 + ledger, 2, 0)).unwrap());
        }
    }
    assert_eq!(posted, (1..=60).collect::<Vec<u64>>());
    // A close writes what waits.
    life.journal.close();
    let before: Vec<String> = (1..=60).map(|at| format!("{:?}", life.history.get(at).unwrap().batch)).collect();
    drop(life);

    let life = Life::begin(state.path());
    assert_eq!((life.history.head(), life.history.sizes()[0].0, life.history.sizes()[1].0), (60, 50, 10));
    let checkpoint = life.journal.checkpoint(0, "test-0").unwrap().unwrap();
    assert_eq!((checkpoint.ledger, checkpoint.hash), (50, Some(Hash([50; 32]))));
    assert_eq!(checkpoint.counters, BTreeMap::from([("ledger".to_owned(), 50)]));
    // Who was behind before is as far behind now.
    let at = crate::broker::Position::after(30);
    let behind = life.history.behind(&[0, 1], at);
    assert!(behind.reached);
    assert_eq!(behind.events, 25 * 4 + 5 * 2);
    let all = life.walk(&[0, 1], 0, 1 << 20);
    let after: Vec<String> = all.iter().map(|entry| format!("{:?}", entry.batch)).collect();
    assert_eq!(after, before);
    // What is polled again is dropped, what is new goes on.
    assert_eq!(life.post(hashed(0, 50, 4, 0)), None);
    assert_eq!(life.post(hashed(0, 51, 4, 0)), Some(61));
    assert_eq!(life.history.newest(0).unwrap().first_event, 200);
    life.settle();
    assert_eq!(life.kept_through(), Some(51));
}

#[test]
fn memory_is_a_window_on_it() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    life.post_all(1..=40);
    life.journal.close();
    drop(life);
    let weight = hashed(0, 1, 3, 0).weight();
    let life = Life::with(state.path(), config::Journal::default(), 5 * weight, "all");
    assert_eq!(life.history.sizes()[0], (5, 5 * weight));
    use crate::broker::{Position, Read};
    assert!(matches!(life.history.read(&[0], Position::after(34), 40), Read::Gone));
    let Read::Entry(entry, 0) = life.history.read(&[0], Position::after(35), 40) else { panic!() };
    assert_eq!((entry.sequence, entry.batch.ledger.index), (36, 36));
    // The rest is on disk.
    let BacklogRead::Entries(entries) = life.read(&[0], 34, 2 * weight) else { panic!() };
    assert_eq!(sequences(&entries), [35, 36]);
    assert!(Arc::ptr_eq(&entries[1], &entry), "what memory has is not made again");
    let again = life.read(&[0], 34, 1);
    let BacklogRead::Entries(again) = again else { panic!() };
    assert!(Arc::ptr_eq(&again[0], &entries[0]), "nor what was read a moment ago");
    assert_eq!(life.journal.gone_through(0), 0);
}

#[test]
fn frames_of_what_was_read_count_in_what_is_kept_for_the_next() {
    use crate::broker::{Render, RenderingId, Renderings};
    struct Long;
    impl Render for Long {
        fn identity(&self) -> String {
            "long".into()
        }
        fn kinds(&self) -> crate::event::KindSet {
            crate::event::KindSet::ALL
        }
        fn event(&self, _: &LedgerBatch, _: usize, frames: &mut crate::dialect::frame::Frames) {
            frames.text(|text| text.resize(text.len() + (1 << 20), b'x'));
        }
        fn continuity(&self, _: &LedgerBatch, _: &Continuity, _: &mut crate::dialect::frame::Frames) {}
    }
    let mut renderings = Renderings::default();
    renderings.register(Long);
    let state = tempfile::tempdir().unwrap();
    let life = Life::with(state.path(), config::Journal::default(), 1, "all");
    for ledger in 1..=100 {
        life.post(hashed(0, ledger, 1, 0)).unwrap();
    }
    life.settle();
    let mut most = 0;
    for after in 0..98 {
        let BacklogRead::Entries(entries) = life.read(&[0], after, 1) else { panic!() };
        assert_eq!(entries[0].frames(&renderings, RenderingId(0), 0).len() >> 20, 1);
        drop(entries);
        most = most.max(life.history.rendered_elsewhere() >> 20);
    }
    assert!((30..=34).contains(&most), "{most} MiB");
}

#[test]
fn it_is_read_in_bounded_steps_of_the_sources_asked_for() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    let mut of_second = Vec::new();
    for ledger in 1..=600 {
        life.post(hashed(0, ledger, 1, 0)).unwrap();
        if ledger % 7 == 0 {
            of_second.push(life.post(hashed(1, ledger, 1, 0)).unwrap());
        }
        // While it is written, too: what waits is read as well.
        if ledger % 200 == 0 {
            let all = life.walk(&[1, 0], 0, 1 << 20);
            assert_eq!(sequences(&all), (1..=life.history.head()).collect::<Vec<_>>());
        }
    }
    life.settle();
    for bytes in [1, 3000, 1 << 20, usize::MAX] {
        assert_eq!(sequences(&life.walk(&[0, 1], 0, bytes)), (1..=685).collect::<Vec<_>>(), "{bytes}");
        assert_eq!(sequences(&life.walk(&[1], 0, bytes)), of_second, "{bytes}");
    }
    let BacklogRead::Entries(one) = life.read(&[0], 17, 1) else { panic!() };
    assert_eq!(one.len(), 1);
    assert!(matches!(life.read(&[0], 685, 1), BacklogRead::End));
    assert!(matches!(life.read(&[], 0, 1), BacklogRead::End));
}

#[test]
fn ledgers_are_found() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    let by = |index, chain| Find::Ledger { index, chain };
    let of = |index, hash: Option<u8>| by(index, hash.map_or(Chain::Newest, |byte| Chain::Hash([byte; 4])));
    assert_eq!(life.find(0, Find::Oldest), Found::Ahead { newest_index: 0 });
    assert_eq!(life.find(0, of(7, None)), Found::Ahead { newest_index: 0 });
    life.post_all(101..=120);
    let check = || {
        assert_eq!(life.find(0, Find::Oldest), Found::At(1));
        assert_eq!(life.find(0, of(110, None)), Found::At(10));
        assert_eq!(life.find(0, of(110, Some(110))), Found::At(10));
        assert_eq!(life.find(0, of(121, None)), Found::Ahead { newest_index: 120 });
        assert_eq!(life.find(0, of(100, None)), Found::Gone { oldest_index: 101, oldest: 1 });
        assert_eq!(life.find(0, of(110, Some(9))), Found::OtherChain { last_common: None });
    };
    // While it waits and when it is written.
    check();
    life.settle();
    check();
    // Ledgers from 116 on are replaced.
    let mut other = hashed(0, 116, 3, 1);
    let kind = ContinuityKind::Reorg;
    other.continuity = Some(Continuity { kind, from_ledger: 116, to_ledger: 120, reason: "replaced".into() });
    assert_eq!(life.post(other), Some(21));
    let old = 118;
    // Not replaced yet: who goes on there is told of the break first.
    assert_eq!(life.find(0, of(old, Some(118))), Found::At(18));
    (117..=121).for_each(|ledger| assert!(life.post(hashed(0, ledger, 3, 1)).is_some()));
    let check = || {
        assert_eq!(life.find(0, of(old, Some(118))), Found::At(18), "it stands where it was");
        assert_eq!(life.find(0, of(old, Some(118 ^ 0x80))), Found::At(23));
        assert_eq!(life.find(0, of(115, Some(115))), Found::At(15));
    };
    check();
    life.settle();
    check();
    // The network begins anew.
    let mut reset = hashed(0, 3, 1, 0);
    let kind = ContinuityKind::Reset;
    (reset.epoch, reset.continuity) =
        (1, Some(Continuity { kind, from_ledger: 3, to_ledger: 121, reason: "reset".into() }));
    assert!(life.post(reset).is_some());
    let check = || {
        assert_eq!(life.find(0, of(118, Some(118))), Found::At(18));
        assert_eq!(life.find(0, of(118, Some(118 ^ 0x80))), Found::At(23));
        assert_eq!(life.find(0, of(3, Some(3))), Found::At(27));
        assert_eq!(life.find(0, of(118, Some(9))), Found::Ahead { newest_index: 3 });
        // It would be of what is gone of the first chain.
        assert_eq!(life.find(0, of(3, Some(9))), Found::Gone { oldest_index: 101, oldest: 1 });
        assert_eq!(life.find(0, of(118, None)), Found::Ahead { newest_index: 3 });
        assert_eq!(life.find(0, Find::Oldest), Found::At(1));
        assert_eq!(life.find(0, of(2, None)), Found::Gone { oldest_index: 3, oldest: 27 });
        // As sources without hashes name them.
        assert_eq!(life.find(0, by(110, Chain::Epoch(0))), Found::At(10));
        assert_eq!(life.find(0, by(130, Chain::Epoch(0))), Found::At(26), "the client saw more of it");
        assert_eq!(life.find(0, by(100, Chain::Epoch(0))), Found::Gone { oldest_index: 101, oldest: 1 });
        assert_eq!(life.find(0, by(3, Chain::Epoch(1))), Found::At(27));
        assert_eq!(life.find(0, by(3, Chain::Epoch(2))), Found::Ahead { newest_index: 3 });
    };
    check();
    life.settle();
    check();
    // Who was on the chain before gets the rest of it, the break, and what came then.
    let rest = life.walk(&[0], 24, 1);
    let breaks: Vec<_> = rest.iter().map(|entry| (entry.sequence, gap(entry))).collect();
    assert_eq!(breaks, [(25, None), (26, None), (27, Some((3, 121)))]);
}

#[test]
fn what_is_too_old_goes() {
    let state = tempfile::tempdir().unwrap();
    let keep = config::Journal { max_age: Time::secs(60), ..config::Journal::default() };
    let life = Life::begin(state.path());
    life.post_all(1..=300);
    life.journal.close();
    drop(life);
    // All but the last ten are an hour old.
    let store = Store::open(&state.path().join("journal.db")).unwrap();
    let older = "UPDATE ledgers SET posted_at = posted_at - 3600000 WHERE sequence <= 290";
    store.connection.execute(older, []).unwrap();
    drop(store);
    let life = Life::with(state.path(), keep, 1, "all");
    wait("the old are gone", || life.journal.gone_through(0) == 290);
    assert!(matches!(life.read(&[0], 289, 1), BacklogRead::End));
    assert_eq!(sequences(&life.walk(&[0], 290, 1)), (291..=300).collect::<Vec<_>>());
    assert_eq!(life.find(0, Find::Oldest), Found::At(291));
    let of = |index| Find::Ledger { index, chain: Chain::Newest };
    assert_eq!(life.find(0, of(290)), Found::Gone { oldest_index: 291, oldest: 291 });
    wait("it is told", || life.journal.health().oldest.is_some());
    life.journal.close();
    drop(life);
    // It is known in the next life.
    assert_eq!(Life::begin(state.path()).journal.gone_through(0), 290);
}

#[test]
fn a_clock_that_is_set_makes_nothing_old() {
    let state = tempfile::tempdir().unwrap();
    let year = Some("31536000");
    let life = Life::begin(state.path());
    life.post_all(1..=20);
    life.settle();
    let looked = |life: &Life, from: u64| {
        // Each look of the writer comes with the next group, at the latest after a second.
        for ledger in from..from + 3 {
            life.post_all([ledger]);
            life.settle();
            std::thread::park_timeout(Duration::from_millis(1100));
        }
        assert_eq!(life.journal.gone_through(0), 0);
        assert_eq!(sequences(&life.walk(&[0], 0, 1 << 20)), (1..=from + 2).collect::<Vec<_>>());
    };
    mark(state.path(), "clock", year);
    looked(&life, 21);
    life.journal.close();
    drop(life);
    // Nor does a start with another clock, set forward or back.
    let life = Life::begin(state.path());
    looked(&life, 24);
    life.journal.close();
    drop(life);
    mark(state.path(), "clock", None);
    looked(&Life::begin(state.path()), 27);
}

#[test]
fn what_is_too_much_goes_and_its_space_is_used_again() {
    let state = tempfile::tempdir().unwrap();
    let most = Size::mib(1);
    let keep = config::Journal { max_bytes: most, ..config::Journal::default() };
    let life = Life::with(state.path(), keep.clone(), 1 << 20, "all");
    for ledger in 1..=1000 {
        life.post(long(ledger)).unwrap();
        if ledger % 100 == 0 {
            life.settle();
        }
    }
    wait("it is small again", || life.journal.gone_through(0) >= 500 && life.journal.health().bytes <= most.0);
    let gone = life.journal.gone_through(0);
    assert!(gone < 1000, "{gone}");
    assert_eq!(sequences(&life.walk(&[0], gone, 1 << 20)), (gone + 1..=1000).collect::<Vec<_>>());
    // The file never had all of it at once: 1,000 ledgers would be more than 4 MiB.
    life.journal.close();
    let size = state.path().join("journal.db").metadata().unwrap().len();
    assert!(size < 3 * most.0, "{size}");
    drop(life);
    // With less allowed the file shrinks, but for some spare pages.
    let life = Life::with(state.path(), config::Journal { max_bytes: Size::kib(200), ..keep.clone() }, 1, "all");
    wait("it is smaller", || life.journal.gone_through(0) > gone && life.journal.health().bytes <= 200 << 10);
    let gone = life.journal.gone_through(0);
    assert!(gone < 990, "no more than needed: {gone}");
    life.journal.close();
    drop(life);
    // The newest stays, whatever it takes.
    let life = Life::with(state.path(), config::Journal { max_bytes: Size::kib(1), ..keep }, 1, "all");
    wait("one is left", || life.journal.gone_through(0) == 999);
    life.journal.close();
    assert_eq!(life.journal.gone_through(0), 999);
}

#[test]
fn another_network_or_other_settings_are_another_row() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    life.post_all(1..=10);
    life.journal.close();
    drop(life);
    // Other settings: nothing of before counts.
    let life = Life::with(state.path(), config::Journal::default(), 1 << 30, "less");
    assert_eq!((life.kept_through(), life.history.head(), life.history.sizes()[0].0), (None, 10, 0));
    assert_eq!(life.journal.gone_through(0), 10);
    // Even with indices that were there before.
    life.post_all(5..=7);
    life.settle();
    assert_eq!(life.kept_through(), Some(7));
    assert_eq!(sequences(&life.walk(&[0], 10, 1)), [11, 12, 13]);
    assert_eq!(life.history.newest(0).unwrap().first_event, 36);
    life.journal.close();
    drop(life);
    // Back to the first ones, it goes on where it was, and what lies between is gone.
    let life = Life::begin(state.path());
    assert_eq!((life.kept_through(), life.journal.gone_through(0)), (Some(10), 13));
    life.post_all(11..=12);
    // Another network.
    let mut other = hashed(0, 3, 1, 0);
    other.network = "other".into();
    assert_eq!(life.post(other), Some(16));
    life.settle();
    assert_eq!(life.history.sizes()[0].0, 1);
    assert_eq!(life.journal.gone_through(0), 15);
    assert_eq!(life.journal.checkpoint(0, "other").unwrap().map(|it| it.ledger), Some(3));
    assert_eq!(life.find(0, Find::Ledger { index: 3, chain: Chain::Newest }), Found::At(16));
}

#[test]
fn without_ledgers_positions_are_kept_all_the_same() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    life.post_all(1..=10);
    life.journal.close();
    drop(life);
    let none = config::Journal { enabled: false, ..config::Journal::default() };
    let life = Life::with(state.path(), none, 1 << 30, "all");
    life.post_all(11..=12);
    life.settle();
    wait("nothing is kept", || life.journal.gone_through(0) == 12);
    assert!(matches!(life.read(&[0], 5, 1), BacklogRead::End));
    life.journal.close();
    drop(life);
    let life = Life::begin(state.path());
    assert_eq!((life.kept_through(), life.history.head(), life.journal.gone_through(0)), (Some(12), 12, 12));
    life.post_all(13..=14);
    life.settle();
    assert_eq!(sequences(&life.walk(&[0], 12, 1)), [13, 14]);
}

#[test]
fn one_process_at_a_time() {
    let state = tempfile::tempdir().unwrap();
    let life = Life::begin(state.path());
    let second = Journal::open(state.path(), config::Journal::default(), keys("all"));
    assert!(matches!(second, Err(OpenError::InUse(_))));
    drop(life);
    Life::begin(state.path());
}

#[test]
fn a_file_of_another_release_is_left_alone() {
    let state = tempfile::tempdir().unwrap();
    drop(Life::begin(state.path()));
    let file = state.path().join("journal.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let error = Journal::open(state.path(), config::Journal::default(), keys("all")).unwrap_err().to_string();
    assert!(error.contains("another release") && error.contains("journal.db"), "{error}");
    let files = state.path().read_dir().unwrap().count();
    assert!(files <= 4, "nothing was moved");
}
