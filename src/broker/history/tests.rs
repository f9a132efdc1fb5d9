use super::*;
use crate::broker::testing::batch;
use crate::event::{Continuity, ContinuityKind, EventKind};
use proptest::prelude::*;

fn append(history: &History, source: SourceNumber, ledger: u64, events: u32) -> Option<u64> {
    history.append(batch(source, ledger, events), Instant::now()).map(|entry| entry.sequence)
}

/// Reads on from a position to the head: (source, ledger, event) of everything, or what is gone.
fn read_on(history: &History, sources: &[SourceNumber], mut at: Position) -> Option<Vec<(SourceNumber, u64, u32)>> {
    let mut read = Vec::new();
    loop {
        match history.read(sources, at, history.head()) {
            Read::Entry(entry, from) => {
                let events = from..entry.len();
                read.extend(events.map(|event| (entry.batch.source, entry.batch.ledger.index, event)));
                at = Position::after(entry.sequence);
            }
            Read::Newest => return Some(read),
            Read::Gone => return None,
        }
    }
}

#[test]
fn what_a_source_repeats_is_dropped() {
    let history = History::new(2, 0, 1 << 20);
    assert_eq!(append(&history, 0, 7, 1), Some(1));
    assert_eq!(append(&history, 0, 7, 1), None);
    assert_eq!(append(&history, 0, 6, 1), None);
    assert_eq!(append(&history, 1, 6, 1), Some(2));
    assert_eq!(append(&history, 0, 8, 1), Some(3));
    // A break allows a lower number: the network began anew.
    let mut reset = batch(0, 1, 1);
    reset.epoch = 1;
    let (from_ledger, to_ledger, reason) = (1, 8, String::new());
    reset.continuity = Some(Continuity { kind: ContinuityKind::Reset, from_ledger, to_ledger, reason });
    assert!(history.append(reset, Instant::now()).is_some());
}

#[test]
fn the_budget_gives_up_the_oldest_and_says_so() {
    let weight = batch(0, 1, 3).weight();
    let history = History::new(1, 0, weight * 4);
    for ledger in 1..=10 {
        append(&history, 0, ledger, 3);
    }
    let (ledgers, bytes) = history.sizes()[0];
    assert!(ledgers == 4 && bytes <= weight * 4, "{ledgers} ledgers, {bytes} bytes");
    assert!(read_on(&history, &[0], Position::after(5)).is_none());
    assert_eq!(read_on(&history, &[0], Position::after(6)).unwrap().len(), 12);
    // A ledger that was read in part is gone as well.
    assert!(read_on(&history, &[0], Position { sequence: 6, event: 1 }).is_none());
    assert_eq!(read_on(&history, &[0], Position { sequence: 7, event: 1 }).unwrap().len(), 11);
}

#[test]
fn a_busy_source_does_not_push_out_a_quiet_one() {
    let history = History::new(2, 0, batch(0, 1, 3).weight() * 2);
    append(&history, 0, 1, 3);
    for ledger in 1..=50 {
        append(&history, 1, ledger, 3);
    }
    assert_eq!(read_on(&history, &[0], Position::default()).unwrap().len(), 3);
    assert!(read_on(&history, &[0, 1], Position::default()).is_none());
}

#[test]
fn dropped_counts_also_what_is_gone() {
    let weight = batch(0, 1, 5).weight();
    let history = History::new(1, 0, weight * 4);
    for ledger in 1..=20 {
        append(&history, 0, ledger, 5);
    }
    // Opened after ledger 2; 17 to 20 are kept.
    let opened = Opened { at: Position::after(2), events: 10 };
    let begin = history.begin(&[0], opened, 1000);
    assert_eq!((begin.at, begin.dropped), (Position { sequence: 17, event: 0 }, 70));
    // And at most so many: into the middle of a ledger.
    let begin = history.begin(&[0], opened, 7);
    assert_eq!((begin.at, begin.dropped), (Position { sequence: 19, event: 3 }, 83));
    let begin = history.begin(&[0], opened, 0);
    assert_eq!((begin.at, begin.dropped), (Position::after(20), 90));
    assert_eq!(history.events_before(Position { sequence: 19, event: 3 }), [93]);
    assert_eq!(history.events_before(Position::after(20)), [100]);
    let live = Opened { at: Position::after(20), events: 100 };
    let begin = history.begin(&[0], live, 1000);
    assert_eq!((begin.at, begin.dropped), (Position::after(20), 0));
}

proptest! {
    /// Wherever a session opened and however little it may have: what it gets is the end of the
    /// stream without a hole, and what it gets and what was dropped are together all there was.
    #[test]
    fn begin_is_exact(
        ledgers in proptest::collection::vec((0u16..3, 1u32..6), 1..40),
        opened_at in 0usize..40,
        at_most in 0u64..60,
        sources in proptest::sample::subsequence(vec![0u16, 1, 2], 1..=3),
        kept in 1usize..30,
    ) {
        let history = History::new(3, 0, batch(0, 1, 3).weight() * kept);
        let mut all = Vec::new();
        let mut opened = Opened::default();
        for (at, (source, events)) in ledgers.iter().enumerate() {
            if at == opened_at {
                let events = all.len() as u64;
                opened = Opened { at: Position::after(at as u64), events };
            }
            append(&history, *source, at as u64 + 1, *events);
            if sources.contains(source) {
                all.extend((0..*events).map(|event| (*source, at as u64 + 1, event)));
            }
        }
        let begin = history.begin(&sources, opened, at_most);
        let read = read_on(&history, &sources, begin.at).expect("it begins at what is kept");
        prop_assert!(all.ends_with(&read));
        let since = all.len() as u64 - opened.events;
        prop_assert_eq!(read.len() as u64 + begin.dropped, since);
        prop_assert!(read.len() as u64 <= at_most);
    }
}

#[test]
fn how_far_behind_a_position_is() {
    let history = History::new(2, 0, 1 << 20);
    for (source, ledger, events) in [(0, 1, 3), (1, 1, 10), (0, 2, 4), (0, 3, 5)] {
        append(&history, source, ledger, events).unwrap();
    }
    let at = |sequence, event| Position { sequence, event };
    for (position, ledgers, of_first, of_both) in [
        (Position::after(0), 4, 12, 22),
        (at(1, 0), 4, 12, 22),
        (at(1, 2), 4, 10, 20),
        (Position::after(1), 3, 9, 19),
        (at(2, 4), 3, 9, 15),
        (at(4, 1), 1, 4, 4),
        (Position::after(4), 0, 0, 0),
        // The next ledger is under way.
        (at(5, 0), 0, 0, 0),
    ] {
        assert_eq!(position.ledgers_behind(history.head()), ledgers, "{position:?}");
        let events = |sources: &[SourceNumber]| history.behind(sources, position);
        assert_eq!(events(&[0]), Behind { events: of_first, reached: true }, "{position:?}");
        assert_eq!(events(&[0, 1]), Behind { events: of_both, reached: true }, "{position:?}");
    }
}

#[test]
fn behind_history_is_known_as_such() {
    // Room for two ledgers of the five.
    let history = History::new(1, 0, batch(0, 1, 10).weight() * 2);
    (1..=5).for_each(|ledger| _ = append(&history, 0, ledger, 10).unwrap());
    assert_eq!(history.behind(&[0], Position::after(3)), Behind { events: 20, reached: true });
    assert_eq!(history.behind(&[0], Position::after(1)), Behind { events: 20, reached: false });
    assert_eq!(Position::after(1).ledgers_behind(history.head()), 4);
}

#[test]
fn ledgers_are_noted_as_routed_once() {
    let history = History::new(2, 0, 1 << 20);
    for (source, ledger) in [(0, 1), (1, 1), (0, 2), (0, 3)] {
        append(&history, source, ledger, 1).unwrap();
    }
    assert_eq!(history.routed_at(0, 9), [(3, None), (2, None), (1, None)]);
    history.note_routed(0, 2, 70);
    history.note_routed(2, 3, 80);
    assert_eq!(history.routed_at(0, 9), [(3, None), (2, Some(80)), (1, Some(70))]);
    assert_eq!(history.routed_at(1, 9), [(1, Some(70))]);
    assert_eq!(history.routed_at(0, 1), [(3, None)]);
}

#[test]
fn ledgers_and_transactions_are_found_while_they_are_kept() {
    let weight = batch(0, 1, 3).weight();
    let mut history = History::new(2, 0, weight * 4);
    history.index_transactions(0);
    let hash = |ledger: u8, transaction: u8| {
        let mut bytes = [7; 32];
        (bytes[0], bytes[31]) = (ledger, transaction);
        Hash(bytes)
    };
    let append = |source, ledger: u8, epoch| {
        let mut batch = batch(source, ledger.into(), 3);
        batch.epoch = epoch;
        for (index, event) in batch.events.iter_mut().enumerate() {
            event.kind = EventKind::Transaction;
            event.transaction_hash = Some(hash(ledger, index as u8));
        }
        if epoch > 0 {
            let (from_ledger, to_ledger, reason) = (1, 10, String::new());
            batch.continuity = Some(Continuity { kind: ContinuityKind::Reset, from_ledger, to_ledger, reason });
        }
        history.append(batch, Instant::now()).unwrap().sequence
    };
    let sequences: Vec<u64> = (1..=10).map(|ledger| append(0, ledger, 0)).collect();
    append(1, 10, 0);
    let by_index = |index| history.by_index(0, index).map(|entry| entry.sequence);
    let by_hash = |source, ledger, transaction| {
        history.by_transaction(source, &hash(ledger, transaction)).map(|entry| entry.batch.ledger.index)
    };
    assert_eq!(
        (by_index(6), by_index(7), by_index(10), by_index(11)),
        (None, Some(sequences[6]), Some(sequences[9]), None)
    );
    assert_eq!(history.newest(0).map(|entry| entry.sequence), Some(sequences[9]));
    assert_eq!((by_hash(0, 6, 0), by_hash(0, 7, 2), by_hash(0, 10, 0)), (None, Some(7), Some(10)));
    assert_eq!(by_hash(0, 7, 9), None, "the whole hash counts, not its beginning");
    assert_eq!(by_hash(1, 10, 0), None, "nobody asked for this source's");
    // After a reset the same indices come again: the newest counts.
    let again = append(0, 9, 1);
    assert_eq!((by_index(9), by_hash(0, 9, 0)), (Some(again), Some(9)));
    assert_eq!((by_index(10), by_hash(0, 10, 0)), (None, None), "of the chain before");
}
