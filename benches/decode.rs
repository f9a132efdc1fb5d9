//! What it costs to make events out of an answer of a Stellar RPC: `cargo bench --bench decode`.
//!
//! From the text of a `getLedgers` answer with ledgers of 1,000 events, through base64 and XDR, to
//! batches. Figures are per event, on one core: this is what a source thread does for all clients.

#[path = "common/ledgers.rs"]
mod ledgers;

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn decode(criterion: &mut Criterion) {
    let answer = ledgers::answer(1000);
    let events: usize = ledgers::decode(&answer).iter().map(|batch| batch.events.len()).sum();
    println!("an answer of {events} events has {} bytes for each", answer.len() / events);
    criterion.bench_function("decode, per event", |bencher| {
        bencher.iter_custom(|count| {
            let rounds = count.div_ceil(events as u64);
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let start = Instant::now();
                let batches = black_box(ledgers::decode(black_box(&answer)));
                spent += start.elapsed();
                // To let them go is the broker's business, when history does.
                drop(batches);
            }
            spent.mul_f64(count as f64 / (rounds * events as u64) as f64)
        });
    });
}

criterion_group!(benches, decode);
criterion_main!(benches);
