//! What it costs to write an event as clients read it: `cargo bench --bench render`.
//!
//! Every kind of event that a Flow client gets, as it comes in ledgers of all kinds, and some by
//! themselves. Figures are per event, on one core; an event is rendered once, however many want it.

#[path = "common/ledgers.rs"]
mod ledgers;

use criterion::{Criterion, criterion_group, criterion_main};
use ledgercast::broker::Render;
use ledgercast::dialect::flow::FlowRender;
use ledgercast::dialect::frame::Frames;
use ledgercast::event::{EventKind, LedgerBatch};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn all(batch: &LedgerBatch) -> impl Iterator<Item = (&LedgerBatch, usize)> {
    (0..batch.events.len()).map(move |index| (batch, index))
}

fn run(criterion: &mut Criterion, name: &str, batches: &[LedgerBatch], counts: impl Fn(EventKind) -> bool) {
    let events: Vec<(&LedgerBatch, usize)> =
        batches.iter().flat_map(all).filter(|(batch, index)| counts(batch.events[*index].kind)).collect();
    if events.is_empty() {
        println!("{name}: there are none");
        return;
    }
    let render = FlowRender { names_network: false, cursors: true };
    let written =
        |(batch, index): &(&LedgerBatch, usize)| Frames::collect(|frames| render.event(batch, *index, frames)).0;
    let bytes: usize = events.iter().map(|event| written(event).len()).sum();
    println!("{name}: {} events, {} bytes for each", events.len(), bytes / events.len());
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|count| {
            let mut spent = Duration::ZERO;
            let mut left = count as usize;
            while left > 0 {
                let some = &events[..events.len().min(left)];
                let start = Instant::now();
                for event in some {
                    black_box(written(black_box(event)));
                }
                spent += start.elapsed();
                left -= some.len();
            }
            spent
        });
    });
}

fn render(criterion: &mut Criterion) {
    let batches = ledgers::decode(&ledgers::answer(1000));
    run(criterion, "flow, all kinds", &batches, |_| true);
    run(criterion, "flow, payment", &batches, |kind| kind == EventKind::Payment);
    run(criterion, "flow, trade", &batches, |kind| kind == EventKind::Trade);
    run(criterion, "flow, transaction", &batches, |kind| kind == EventKind::Transaction);
    run(criterion, "flow, contract event", &batches, |kind| kind == EventKind::ContractEvent);
}

criterion_group!(benches, render);
criterion_main!(benches);
