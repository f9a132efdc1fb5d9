use super::super::dialect;
use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn verifier(filters: &[&str]) -> Verifier {
    let flow = dialect::find("flow").expect("it is in the table");
    let mut verifier = Verifier::new(flow, false, filters.iter().map(|filters| (*filters).to_owned()));
    for client in 0..filters.len() {
        assert_eq!(verifier.take(client, br#"{"type":"registered"}"#, 0), Taken::Registered);
    }
    verifier
}

fn ledger(ledger: u64) -> String {
    format!(r#"{{"type":"ledger","id":"{ledger}-ledger","ledger":{ledger}}}"#)
}

/// The payment number `at` of a ledger.
fn payment(ledger: u64, at: u64) -> String {
    let id = ledger << 32 | (at + 1) << 12;
    format!(
        r#"{{"type":"payment","id":"{id}-p0","ledger":{ledger},"from":"GA","to":"GB","asset":"native","amount":"{at}.5"}}"#
    )
}

fn all(verifier: &mut Verifier, client: usize, texts: &[String]) {
    for text in texts {
        verifier.take(client, text.as_bytes(), SECOND);
    }
}

/// Lost, repeated, reordered, different, mismatched.
fn found(verifier: &Verifier) -> [u64; 5] {
    let counts = &verifier.counts;
    [counts.lost, counts.repeated, counts.reordered, counts.different, counts.mismatched]
}

#[test]
fn whoever_loses_an_event_is_found() {
    let row = [ledger(7), payment(7, 0), payment(7, 1), ledger(8)];
    let without = [row[0].clone(), row[1].clone(), row[3].clone()];
    for (first, second) in [(&row[..], &without[..]), (&without[..], &row[..])] {
        let mut verifier = verifier(&["{}", "{}"]);
        all(&mut verifier, 0, first);
        all(&mut verifier, 1, second);
        assert_eq!(found(&verifier), [1, 0, 0, 0, 0]);
        assert_eq!(verifier.counts.events, 7);
        assert_eq!(verifier.missing_ledgers(), 0);
    }
}

#[test]
fn order_repeats_and_content_are_told_apart() {
    let row = [ledger(7), payment(7, 0), payment(7, 1), ledger(8)];
    let changed = |at: usize| row[at].replace(r#""GB""#, r#""GC""#);
    let cases: [(&[&str], [u64; 5]); 5] = [
        (&[&row[0], &row[1], &row[2], &row[3]], [0, 0, 0, 0, 0]),
        (&[&row[0], &row[2], &row[1], &row[3]], [0, 0, 1, 0, 0]),
        (&[&row[0], &row[1], &row[1], &row[2], &row[0]], [0, 2, 0, 0, 0]),
        (&[&row[0], &changed(1), &row[2], &row[3]], [0, 0, 0, 1, 0]),
        // What came before its first event comes out of turn as well.
        (&[&row[1], &row[2], &row[0], &row[3]], [0, 0, 1, 0, 0]),
    ];
    for (texts, expected) in cases {
        for other_first in [true, false] {
            let mut verifier = verifier(&["{}", "{}"]);
            if other_first {
                all(&mut verifier, 1, &row);
            }
            all(&mut verifier, 0, &texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            if !other_first {
                all(&mut verifier, 1, &row);
            }
            assert_eq!(found(&verifier), expected, "{texts:?}");
        }
    }
}

#[test]
fn filters_are_judged_once_for_all() {
    let filters = r#"{"types":["payment"],"min_amount":"2"}"#;
    for every in [false, true] {
        let mut verifier = verifier(&[filters, filters, "{}"]);
        verifier.every = every;
        for client in 0..3 {
            all(&mut verifier, client, &[payment(7, 1), payment(7, 2)]);
        }
        assert_eq!(verifier.counts.mismatched, if every { 2 } else { 1 });
        assert_eq!(verifier.groups(), 2);
    }
}

#[test]
fn missing_ledgers_are_found_unless_announced() {
    let mut verifier = verifier(&["{}", "{}"]);
    all(&mut verifier, 0, &[ledger(7), ledger(9)]);
    assert_eq!(verifier.missing_ledgers(), 1);
    // The other one has it: then it is lost, not missing.
    all(&mut verifier, 1, &[ledger(7), ledger(8), ledger(9)]);
    assert_eq!((verifier.missing_ledgers(), verifier.counts.lost), (0, 1));
    let gap = r#"{"type":"gap","network":"n","from_ledger":10,"to_ledger":12,"reason":"x"}"#.to_owned();
    all(&mut verifier, 0, &[gap, ledger(13), ledger(16)]);
    assert_eq!((verifier.missing_ledgers(), verifier.counts.told.gaps), (2, 1));
    // A leap without end neither hangs nor takes memory.
    all(&mut verifier, 0, &[ledger(u64::MAX)]);
    assert!(verifier.missing_ledgers() > u64::MAX / 2);
}

#[test]
fn a_network_that_begins_anew_is_another_row() {
    let mut verifier = verifier(&["{}", "{}"]);
    let reset = r#"{"type":"reset","network":"n","from_ledger":2,"to_ledger":2}"#.to_owned();
    for client in 0..2 {
        all(&mut verifier, client, &[ledger(900), reset.clone(), ledger(2), ledger(3)]);
    }
    assert_eq!((found(&verifier), verifier.missing_ledgers()), ([0; 5], 0));
    assert_eq!(verifier.counts.told.resets, 2);
}

#[test]
fn who_comes_later_owes_nothing_of_before() {
    let mut verifier = verifier(&["{}", "{}"]);
    all(&mut verifier, 0, &[ledger(7), ledger(8)]);
    all(&mut verifier, 1, &[ledger(8), ledger(9)]);
    verifier.leave(1);
    all(&mut verifier, 0, &[ledger(9), ledger(10), ledger(11)]);
    verifier.take(1, br#"{"type":"registered"}"#, SECOND);
    all(&mut verifier, 1, &[ledger(11)]);
    assert_eq!((found(&verifier), verifier.missing_ledgers()), ([0; 5], 0));
    // Nor is a row broken where nobody was there.
    (0..2).for_each(|client| verifier.leave(client));
    verifier.take(1, br#"{"type":"registered"}"#, SECOND);
    all(&mut verifier, 1, &[payment(20, 1), ledger(21)]);
    assert_eq!((found(&verifier), verifier.missing_ledgers()), ([0; 5], 0));
}

#[test]
fn what_never_comes_is_owed() {
    let mut verifier = verifier(&["{}", "{}", "{}"]);
    for (at, seen) in [(7, SECOND), (8, 10 * SECOND), (9, 11 * SECOND)] {
        verifier.take(0, ledger(at).as_bytes(), seen);
    }
    all(&mut verifier, 1, &[ledger(7)]);
    verifier.aim();
    all(&mut verifier, 0, &[ledger(10)]);
    // The third one got nothing: what was first seen long after it had registered is its own.
    assert_eq!([0, 1, 2].map(|client| verifier.owed(client)), [0, 2, 2]);
    verifier.leave(2);
    assert_eq!(verifier.owed(2), 0);
    // What is still on its way is late, what does not come at all is lost.
    verifier.settle(0..3, 0);
    assert_eq!((verifier.counts.late, verifier.counts.lost), (2, 0));
    verifier.settle(0..3, 2 * SECOND);
    assert_eq!((verifier.counts.late, verifier.counts.lost), (2, 2));
    all(&mut verifier, 1, &[ledger(8), ledger(9)]);
    assert_eq!(verifier.owed(1), 0);
}

#[test]
fn what_is_told_is_counted_apart() {
    let mut verifier = verifier(&["{}"]);
    for text in [
        r#"{"type":"registered","dropped":12}"#,
        r#"{"type":"error","code":"too_slow","message":""}"#,
        r#"{"type":"error","code":"too_slow","message":""}"#,
        r#"{"type":"welcome"}"#,
        r#"{"type":"nonsense"}"#,
    ] {
        verifier.take(0, text.as_bytes(), SECOND);
    }
    let counts = &verifier.counts;
    assert_eq!((counts.told.dropped, counts.unreadable, counts.events), (12, 1, 0));
    assert_eq!(counts.told.errors, BTreeMap::from([("too_slow".to_owned(), 2)]));
}

#[test]
fn memory_is_bounded() {
    let mut verifier = verifier(&["{}", "{}"]);
    verifier.limit = 10;
    all(&mut verifier, 0, &(1..100).map(ledger).collect::<Vec<_>>());
    assert_eq!((verifier.groups[0].logs[0].base(), verifier.groups[0].logs[0].end()), (89, 99));
    // Who is that late is neither right nor wrong, until it is where the others are.
    all(&mut verifier, 1, &(50..100).map(ledger).collect::<Vec<_>>());
    assert_eq!((found(&verifier), verifier.counts.unchecked), ([0; 5], 40));
}

proptest! {
    /// Clients get parts of one row, one message here and one there: what each lost is what others got between
    /// its first and its last event.
    #[test]
    fn losses_are_exact(
        parts in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 30), 1..5),
        turns in proptest::collection::vec(0usize..5, 150),
    ) {
        let row: Vec<String> = (0..30).map(|at| payment(7 + at / 6, at % 6)).collect();
        let mut verifier = verifier(&vec!["{}"; parts.len()]);
        let mut waiting: Vec<Vec<usize>> =
            parts.iter().map(|part| (0..30).rev().filter(|at| part[*at]).collect()).collect();
        // All that the turns leave comes at the end.
        let rest = (0..parts.len()).flat_map(|client| [client; 30]);
        for client in turns.into_iter().filter(|turn| *turn < parts.len()).chain(rest) {
            if let Some(at) = waiting[client].pop() {
                verifier.take(client, row[at].as_bytes(), SECOND);
            }
        }
        let mut expected = 0;
        for part in &parts {
            let (Some(first), Some(last)) = (part.iter().position(|got| *got), part.iter().rposition(|got| *got)) else {
                continue;
            };
            expected += (first..last).filter(|at| !part[*at] && parts.iter().any(|other| other[*at])).count() as u64;
        }
        prop_assert_eq!(found(&verifier), [expected, 0, 0, 0, 0]);
    }
}
