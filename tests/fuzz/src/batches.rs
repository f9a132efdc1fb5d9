//! What must hold of every batch, whatever a server sent.

use crate::frames::{messages, payloads};
use ledgercast::broker::{Clause, Index, Render};
use ledgercast::dialect::flow::FlowRender;
use ledgercast::dialect::frame::Frames;
use ledgercast::dialect::maticvigil::{BigIntegers, MaticVigilRender};
use ledgercast::dialect::planetmint::{MessageForm, PlanetmintRender, Stream};
use ledgercast::dialect::rippled::{ApiVersion, RippledRender};
use ledgercast::event::{Amount, AmountError, Event, KindSet, LedgerBatch, stored};
use ledgercast::source::NATIVES;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Digits after the point of every amount on Stellar; others may have more.
const DECIMALS: usize = 7;
/// Events of a batch that are looked for in an index; each needs one of its own.
const SOUGHT: usize = 8;

pub fn check(batch: &LedgerBatch) {
    for pair in batch.events.windows(2) {
        assert!(pair[0].place < pair[1].place, "{} does not stand before {}", pair[0].id, pair[1].id);
    }
    let ids: HashSet<_> = batch.events.iter().map(|event| &event.id).collect();
    assert_eq!(ids.len(), batch.events.len(), "an id stands twice");
    let render = FlowRender { names_network: true, cursors: true };
    for (at, event) in batch.events.iter().enumerate() {
        check_event(event);
        if at < SOUGHT {
            check_found(event);
        }
        let mut frames = Frames::default();
        render.event(batch, at, &mut frames);
        assert_eq!(frames.count(), u32::from(render.kinds().contains(event.kind)), "{}", event.id);
        for message in messages(&frames.to_bytes()) {
            assert_eq!(message["type"], event.kind.name());
            assert_eq!(message["id"], *event.id);
        }
    }
    assert!(batch.weight() > 0);
    check_kept(batch);
}

/// What the journal keeps of it says the same in every dialect.
fn check_kept(batch: &LedgerBatch) {
    let written = stored::encode(batch);
    let kept = stored::decode(&written, batch.source, NATIVES).expect("what was written can be read");
    assert_eq!(stored::encode(&kept), written);
    let form = MessageForm::Both;
    let renders: [&dyn Render; 6] = [
        &FlowRender { names_network: false, cursors: true },
        &RippledRender { version: ApiVersion::One },
        &RippledRender { version: ApiVersion::Two },
        &MaticVigilRender::new(BigIntegers::default()),
        &PlanetmintRender { stream: Stream::Transactions, form },
        &PlanetmintRender { stream: Stream::Blocks, form },
    ];
    for render in renders {
        for at in 0..batch.events.len() {
            if !render.kinds().contains(batch.events[at].kind) {
                continue;
            }
            let frames = [batch, &kept].map(|batch| {
                let mut frames = Frames::default();
                render.event(batch, at, &mut frames);
                frames.to_bytes()
            });
            assert_eq!(frames[0], frames[1], "{}", render.identity());
            for payload in payloads(&frames[0]) {
                let message: Result<Value, _> = serde_json::from_slice(payload);
                assert!(message.is_ok(), "{}: {}", render.identity(), String::from_utf8_lossy(payload));
            }
        }
    }
}

fn check_event(event: &Event) {
    let subjects: HashSet<_> = event.subjects.iter().collect();
    assert_eq!(subjects.len(), event.subjects.len(), "a key stands twice: {event:?}");
    for amount in event.assets.iter().filter_map(|asset| asset.amount.as_ref()) {
        let text = amount.with_decimals(DECIMALS).to_string();
        let plain = text.strip_prefix('-').unwrap_or(&text);
        let read = match Amount::parse(plain) {
            // Longer than filters may be.
            Err(AmountError::TooLong) => continue,
            read => read.expect("what is written can be read"),
        };
        assert_eq!(read.with_decimals(DECIMALS).to_string(), plain);
        assert_eq!(read == *amount, !amount.is_negative());
    }
}

/// An event is found by the filter that asks for exactly what it has.
fn check_found(event: &Event) {
    let asset = event.assets.first();
    let clause = Clause {
        kinds: KindSet::of(&[event.kind]),
        subjects: event.subjects.first().cloned().into_iter().collect(),
        assets: asset.and_then(|asset| asset.keys.first()).cloned().into_iter().collect(),
        min_amount: asset.and_then(|asset| asset.amount.clone()),
        tag: 0,
    };
    assert!(clause.matches(event), "{event:?}");
    let mut index = Index::new();
    index.insert(1, &Arc::from([clause]));
    let mut hits = Vec::new();
    index.matches(event, &mut hits);
    assert_eq!(hits.len(), 1, "{event:?}");
}
