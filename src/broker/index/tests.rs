//! The index held against the definition of matching.

use super::{Hit, Index, MAX_PAIRS};
use crate::broker::filter::{Clause, Subscription};
use crate::broker::rendering::RenderingId;
use crate::event::{Amount, AssetKeys, Body, Event, EventKind, Key, KindSet, Place};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn event(kind: EventKind, subjects: &[&str], assets: Vec<AssetKeys>) -> Event {
    Event {
        id: "".into(),
        kind,
        place: Place::START,
        transaction_hash: None,
        subjects: subjects.iter().map(|key| Key::from(*key)).collect(),
        assets,
        body: Body::BookChanges,
        native: None,
    }
}

fn asset(keys: &[&str], units: Option<i128>) -> AssetKeys {
    AssetKeys {
        keys: keys.iter().map(|key| Key::from(*key)).collect(),
        amount: units.map(|units| Amount::from_units(units, 7)),
    }
}

fn clause(subjects: &[&str], assets: &[&str], least: Option<i128>) -> Clause {
    Clause {
        kinds: KindSet::of(&[EventKind::Payment]),
        subjects: subjects.iter().map(|key| Key::from(*key)).collect(),
        assets: assets.iter().map(|key| Key::from(*key)).collect(),
        min_amount: least.map(|units| Amount::from_units(units, 7)),
        tag: 0,
    }
}

fn matched(index: &mut Index, event: &Event) -> Vec<Hit> {
    let mut hits = vec![Hit { slot: 99, mask: 99 }];
    index.matches(event, &mut hits);
    hits.sort_unstable();
    hits
}

/// The definition.
fn naive(held: &BTreeMap<u32, Arc<[Clause]>>, event: &Event) -> Vec<Hit> {
    let mask = |clauses: &Arc<[Clause]>| {
        let clauses = clauses.clone();
        Subscription { clauses, rendering: RenderingId(0), copy_per_tag: false }.mask(event)
    };
    held.iter().map(|(slot, clauses)| Hit { slot: *slot, mask: mask(clauses) }).filter(|hit| hit.mask != 0).collect()
}

fn assert_nothing_left(index: &Index) {
    assert_eq!((index.len(), index.postings), (0, 0));
    assert!(index.is_empty() && index.anything.is_empty() && index.pairs.is_empty() && index.members.is_empty());
    assert!(index.subjects.is_empty() && index.assets.is_empty());
    assert_eq!(index.used, <[[u32; 8]; 5]>::default());
}

fn keys(letter: &'static str, count: usize) -> impl Strategy<Value = Key> {
    (0..count).prop_map(move |number| format!("{letter}{number}").into())
}

fn kinds() -> impl Strategy<Value = KindSet> {
    let some = prop::collection::vec(prop::sample::select(EventKind::ALL.to_vec()), 0..3);
    prop_oneof![some.prop_map(|kinds| KindSet::of(&kinds)), Just(KindSet::ALL)]
}

/// Equal and adjacent values, at the scale's last digit; below zero too.
fn amount() -> impl Strategy<Value = Option<Amount>> {
    let units = prop::sample::select(vec![-1i128, 0, 1, 9_999_999, 10_000_000, 10_000_001, i128::MAX]);
    prop::option::of(units.prop_map(|units| Amount::from_units(units, 7)))
}

fn any_clause() -> impl Strategy<Value = Clause> {
    // Lists name keys twice now and then; the long ones make more pairs than are posted.
    let few = (prop::collection::vec(keys("s", 4), 0..3), prop::collection::vec(keys("a", 4), 0..3));
    let many = (prop::collection::vec(keys("s", 12), 8..14), prop::collection::vec(keys("a", 12), 9..14));
    let lists = prop_oneof![4 => few, 1 => many];
    (kinds(), lists, amount(), 0u8..4).prop_map(|(kinds, (subjects, assets), min_amount, tag)| {
        let tag = if tag == 3 { 31 } else { tag };
        Clause { kinds, subjects, assets, min_amount, tag }
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let asset = (prop::collection::vec(keys("a", 6), 0..3), amount());
    let assets = prop::collection::vec(asset.prop_map(|(keys, amount)| AssetKeys { keys, amount }), 0..4);
    let kind = prop::sample::select(EventKind::ALL.to_vec());
    (kind, prop::sample::subsequence((0..6).collect::<Vec<_>>(), 0..4), assets).prop_map(|(kind, subjects, assets)| {
        let subjects = subjects.into_iter().map(|number| format!("s{number}").into()).collect();
        Event { subjects, ..event(kind, &[], assets) }
    })
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u32, Vec<Clause>),
    Remove(u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u32..40, prop::collection::vec(any_clause(), 0..4)).prop_map(|(slot, list)| Step::Insert(slot, list)),
        1 => (0u32..45).prop_map(Step::Remove),
    ]
}

proptest! {
    #[test]
    fn agrees_with_the_definition(steps in prop::collection::vec((any_step(), any_event()), 1..120)) {
        let (mut index, mut held) = (Index::new(), BTreeMap::new());
        for (step, event) in steps {
            match step {
                Step::Insert(slot, clauses) => {
                    let clauses: Arc<[Clause]> = clauses.into();
                    index.insert(slot, &clauses);
                    held.insert(slot, clauses);
                }
                Step::Remove(slot) => {
                    index.remove(slot);
                    held.remove(&slot);
                }
            }
            prop_assert_eq!(index.len(), held.len());
            prop_assert_eq!(matched(&mut index, &event), naive(&held, &event));
        }
        for slot in 0..45 {
            index.remove(slot);
        }
        assert_nothing_left(&index);
    }
}

#[test]
fn the_matching_assets_amount_decides() {
    let mut index = Index::new();
    let on = |clause: Clause| -> Arc<[Clause]> { vec![clause].into() };
    index.insert(0, &on(clause(&[], &["USDC"], Some(100))));
    index.insert(1, &on(clause(&["s"], &["USDC"], Some(100))));
    index.insert(2, &on(clause(&["s"], &[], Some(100))));
    index.insert(3, &on(clause(&[], &["USDC"], None)));
    index.insert(4, &on(clause(&[], &[], Some(100))));
    let mut slots = |assets: Vec<AssetKeys>| -> Vec<u32> {
        let event = event(EventKind::Payment, &["s"], assets);
        matched(&mut index, &event).iter().map(|hit| hit.slot).collect()
    };
    assert_eq!(slots(vec![asset(&["USDC"], Some(99)), asset(&["native"], Some(100))]), [2, 3, 4]);
    assert_eq!(slots(vec![asset(&["USDC"], Some(100)), asset(&["native"], Some(1))]), [0, 1, 2, 3, 4]);
    // Both sides of a trade in one asset: the larger counts, in either order.
    assert_eq!(slots(vec![asset(&["USDC"], Some(1)), asset(&["USDC"], Some(100))]), [0, 1, 2, 3, 4]);
    assert_eq!(slots(vec![asset(&["USDC"], Some(100)), asset(&["USDC"], Some(1))]), [0, 1, 2, 3, 4]);
    assert_eq!(slots(vec![asset(&["USDC"], None)]), [3]);
    assert!(slots(vec![]).is_empty());
}

#[test]
fn a_clause_of_too_many_pairs_is_verified() {
    let names = |letter: &str, count: usize| (0..count).map(|at| format!("{letter}{at}")).collect::<Vec<_>>();
    let (subjects, assets) = (names("s", MAX_PAIRS), names("a", 2));
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let assets: Vec<&str> = assets.iter().map(String::as_str).collect();
    let mut index = Index::new();
    index.insert(7, &vec![clause(&subjects, &assets, Some(5))].into());
    assert_eq!((index.postings, index.pairs.len(), index.members.len()), (MAX_PAIRS, 0, 2));
    let mut hits = |subject: &str, key: &str, units| {
        matched(&mut index, &event(EventKind::Payment, &[subject], vec![asset(&[key], units)])).len()
    };
    assert_eq!(hits("s63", "a1", Some(5)), 1);
    assert_eq!(hits("s63", "a2", Some(5)), 0);
    assert_eq!(hits("s64", "a1", Some(5)), 0);
    assert_eq!(hits("s63", "a1", Some(4)), 0);
    assert_eq!(hits("s63", "a1", None), 0);
    index.remove(7);
    assert_nothing_left(&index);
}

#[test]
fn old_stamps_mean_nothing_after_the_numbers_come_round() {
    let mut index = Index::new();
    let wants = |subject: &str| -> Arc<[Clause]> { vec![clause(&[subject], &[], None)].into() };
    index.insert(0, &wants("a"));
    index.insert(1, &wants("b"));
    let about = |subjects: &[&str]| event(EventKind::Payment, subjects, vec![]);
    // Slot 1 keeps the stamp of the first event, and its place as the first hit.
    assert_eq!(matched(&mut index, &about(&["b"])), [Hit { slot: 1, mask: 1 }]);
    assert_eq!(index.stamp, 1);
    index.stamp = u32::MAX - 1;
    assert_eq!(matched(&mut index, &about(&["a"])), [Hit { slot: 0, mask: 1 }]);
    assert_eq!(matched(&mut index, &about(&["a", "b"])), [Hit { slot: 0, mask: 1 }, Hit { slot: 1, mask: 1 }]);
    assert_eq!(index.stamp, 1, "the numbers have come round");
}
