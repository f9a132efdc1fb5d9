//! What it costs to find the subscriptions that want an event, and to add and remove one.
//!
//! Figures are per event, on one core, with the look-up of the event's keys. Goals, one match:
//! 10,000 / 100,000 / 1,000,000 filters in 0.25 / 0.45 / 2 µs; 100,000 on one hot key that differ
//! in least amount in 0.1 µs.

use criterion::{Criterion, criterion_group, criterion_main};
use ledgercast::broker::{Clause, Hit, Index};
use ledgercast::event::{Amount, AssetKeys, Body, Event, EventKind, Key, KindSet, Place};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The kinds of a filter that names none.
const PUBLIC: KindSet = KindSet::of(&[
    EventKind::Ledger,
    EventKind::Transaction,
    EventKind::ContractEvent,
    EventKind::SystemEvent,
    EventKind::Payment,
    EventKind::Trade,
]);
const PAYMENTS: KindSet = KindSet::of(&[EventKind::Payment]);
/// How many filters.
const SIZES: [(&str, usize); 3] = [("10k", 10_000), ("100k", 100_000), ("1M", 1_000_000)];
/// Events of a ledger: made, then matched, so that the events are as warm in the caches as a source
/// leaves them, and the filters as cold as chance makes them.
const LEDGER: u64 = 100;

/// As long as a Stellar account, and as alike in front.
fn account(number: usize) -> Key {
    format!("account:G{:A>55}", number).into()
}

fn token(number: usize) -> Key {
    format!("T{number}:G{:A>55}", number).into()
}

fn whole(units: usize) -> Amount {
    Amount::from_units(units as i128 * 10_000_000, 7)
}

fn filter(kinds: KindSet, subjects: Vec<Key>, assets: Vec<Key>, min_amount: Option<Amount>) -> Arc<[Clause]> {
    Arc::new([Clause { kinds, subjects, assets, min_amount, tag: 0 }])
}

fn payment(from: usize, to: usize, asset: [Key; 2], units: usize) -> Event {
    Event {
        id: "".into(),
        kind: EventKind::Payment,
        place: Place::START,
        transaction_hash: None,
        subjects: vec![account(from), account(to)],
        assets: vec![AssetKeys { keys: asset.into(), amount: Some(whole(units)) }],
        body: Body::BookChanges,
        native: None,
    }
}

fn payment_of_token(from: usize, to: usize, number: usize, units: usize) -> Event {
    payment(from, to, [format!("T{number}").into(), token(number)], units)
}

fn payment_of_native() -> Event {
    payment(1, 2, ["XLM".into(), "native".into()], 1)
}

fn filled(filters: impl Iterator<Item = Arc<[Clause]>>) -> Index {
    let mut index = Index::new();
    for (slot, clauses) in filters.enumerate() {
        index.insert(slot as u32, &clauses);
    }
    index
}

/// Matches ledgers of new events. Tells the matches and the bytes that a filter takes.
fn run(criterion: &mut Criterion, name: &str, index: &mut Index, mut event: impl FnMut() -> Event) {
    let (mut hits, mut matches): (Vec<Hit>, usize) = (Vec::new(), 0);
    for _ in 0..LEDGER {
        index.matches(&event(), &mut hits);
        matches += hits.len();
    }
    let average = matches as f64 / LEDGER as f64;
    println!("{name}: {average:.2} matches per event, {} bytes per filter", index.memory() / index.len());
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|count| {
            let (mut left, mut spent) = (count, Duration::ZERO);
            while left > 0 {
                let ledger: Vec<Event> = (0..left.min(LEDGER)).map(|_| event()).collect();
                let start = Instant::now();
                for event in &ledger {
                    index.matches(black_box(event), &mut hits);
                    black_box(&hits);
                }
                spent += start.elapsed();
                left -= ledger.len() as u64;
            }
            spent
        });
    });
}

/// Every filter has an account of its own; an event is about one of them and a stranger.
fn one_match(criterion: &mut Criterion) {
    for (size, count) in SIZES {
        let of = |number| filter(PUBLIC, vec![account(number)], vec![], None);
        let mut index = filled((0..count).map(of));
        let mut random = StdRng::seed_from_u64(1);
        run(criterion, &format!("one match, {size}"), &mut index, || {
            payment_of_token(random.random_range(0..count), count + 1, 0, 5)
        });
        add_and_remove(criterion, &format!("add and remove, {size}"), &mut index, || of(count + 7));
        change(criterion, &format!("change, {size}"), &mut index, || random.random_range(0..count), of);
    }
}

/// One more comes and goes.
fn add_and_remove(criterion: &mut Criterion, name: &str, index: &mut Index, one: impl Fn() -> Arc<[Clause]>) {
    let (slot, clauses) = (index.len() as u32, one());
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            index.insert(slot, black_box(&clauses));
            index.remove(slot);
        });
    });
}

/// Any one of them goes and comes back, as when somebody connects again. Making its keys does not count.
fn change(
    criterion: &mut Criterion,
    name: &str,
    index: &mut Index,
    mut slot: impl FnMut() -> usize,
    of: impl Fn(usize) -> Arc<[Clause]>,
) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|count| {
            let mut spent = Duration::ZERO;
            for _ in 0..count {
                let slot = slot();
                let clauses = of(slot);
                let start = Instant::now();
                index.remove(slot as u32);
                index.insert(slot as u32, black_box(&clauses));
                spent += start.elapsed();
            }
            spent
        });
    });
}

/// Every shape of filter: an account, some with a token or an amount; a token with an amount;
/// large payments; a hundred accounts with two tokens.
fn mixed(criterion: &mut Criterion) {
    SIZES.into_iter().for_each(|(size, count)| mixed_of(criterion, &format!("mixed, {size}"), count));
}

fn mixed_of(criterion: &mut Criterion, name: &str, count: usize) {
    let tokens = 1_000;
    let mut random = StdRng::seed_from_u64(2);
    let mut index = filled((0..count).map(|number| {
        let (account, token) = (account(random.random_range(0..count)), token(random.random_range(0..tokens)));
        match number % 100 {
            0..40 => filter(PUBLIC, vec![account], vec![], None),
            40..60 => filter(PAYMENTS, vec![account], vec![token], None),
            60..70 => filter(PAYMENTS, vec![account], vec![], Some(whole(random.random_range(0..10_000)))),
            70..90 => filter(PAYMENTS, vec![], vec![token], Some(whole(random.random_range(9_000..1_000_000)))),
            90 => {
                let crowd = (0..100).map(|_| self::account(random.random_range(0..count))).collect();
                filter(PUBLIC, crowd, vec![token, self::token(0)], None)
            }
            _ => filter(PAYMENTS, vec![], vec![], Some(whole(random.random_range(10_000..1_000_000)))),
        }
    }));
    run(criterion, name, &mut index, || {
        let [from, to] = [(); 2].map(|()| random.random_range(0..count));
        payment_of_token(from, to, random.random_range(0..tokens), random.random_range(0..10_000))
    });
}

fn hot_filter(least: usize) -> Arc<[Clause]> {
    filter(PAYMENTS, vec![], vec!["native".into()], Some(whole(least)))
}

/// All on one asset, differing in least amount, of which the event reaches the lowest.
fn hot_key(criterion: &mut Criterion) {
    for (size, count) in SIZES {
        // In no order.
        let mut index = filled((0..count).map(|number| hot_filter(1 + number * 7_919 % count)));
        run(criterion, &format!("hot key, {size} least amounts"), &mut index, payment_of_native);
        let name = format!("hot key, add and remove one of {size}");
        add_and_remove(criterion, &name, &mut index, || hot_filter(count / 2));
    }
    let count = 100_000;
    let mut index = filled((0..count).map(|number| hot_filter(1 + number * 7_919 % count)));
    // In the order of a crowd leaving and coming back.
    criterion.bench_function("hot key, remove and add 1,000 of 100k", |bencher| {
        let thousand: Vec<_> =
            (0..1_000).map(|at| at * 97).map(|slot| (slot, hot_filter(1 + slot as usize * 7_919 % count))).collect();
        bencher.iter(|| {
            thousand.iter().for_each(|(slot, _)| index.remove(*slot));
            thousand.iter().for_each(|(slot, clauses)| index.insert(*slot, clauses));
        });
    });
}

/// Everybody wants it: the floor under any fan-out of a filtered subscription.
fn everybody(criterion: &mut Criterion) {
    for (size, count) in SIZES {
        let mut index = filled((0..count).map(|_| filter(PAYMENTS, vec![], vec!["native".into()], None)));
        run(criterion, &format!("everybody, {size}"), &mut index, payment_of_native);
    }
}

criterion_group!(benches, one_match, mixed, hot_key, everybody);
criterion_main!(benches);
