use super::*;
use crate::config::units::{Size, Time};
use crate::devnet;
use crate::event::{Body, Event, EventKind};
use crate::source::settings::StartLedger;
use crate::source::stellar::config::{Config, EventFilter, Mode, XdrFormat};
use crate::source::testing::{Reply, serve};
use crate::source::{Context, Ledger, RpcUrl, SourceStatus};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

fn source(url: &str, change: impl FnOnce(&mut Config)) -> StellarRpc {
    let mut config = Config {
        rpc_url: Some(RpcUrl(url.to_owned())),
        mode: Mode::Events,
        start_ledger: StartLedger::Oldest,
        poll_interval: Time::millis(10),
        ..Config::default()
    };
    change(&mut config);
    StellarRpc::new(config, Context { source: 0, status: SourceStatus::new(0, "test") })
}

/// The ledgers from the first to `last`, each once and in order.
async fn read(mut source: StellarRpc, last: u64) -> Vec<LedgerBatch> {
    source.identify().await.unwrap();
    source.open(None).await.unwrap();
    let mut batches: Vec<LedgerBatch> = Vec::new();
    for _ in 0..2_000 {
        if batches.last().is_some_and(|batch| batch.ledger.index >= last) {
            return batches;
        }
        match source.next().await.unwrap() {
            Next::Batch(batch) => {
                let before = batches.last().map(|batch| batch.ledger.index + 1);
                assert!(before.is_none_or(|due| batch.ledger.index == due), "{before:?}");
                batches.push(*batch);
            }
            Next::NotYet => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("no ledger {last}");
}

/// What contracts emitted, whatever the mode.
fn emitted(batches: &[LedgerBatch], wanted: impl Fn(&Event) -> bool) -> Vec<String> {
    let of_contracts = |event: &&Event| matches!(event.kind, EventKind::ContractEvent | EventKind::SystemEvent);
    let told = |batch: &LedgerBatch| {
        let closed_at = batch.ledger.closed_at;
        let events = batch.events.iter().filter(of_contracts).filter(|event| wanted(event));
        events.map(move |event| format!("{closed_at} {event:?}")).collect::<Vec<_>>()
    };
    batches.iter().flat_map(told).collect()
}

#[actix::test]
async fn both_modes_tell_the_same_of_contracts() {
    let settings = devnet::Settings {
        ledger_interval: Duration::from_millis(100),
        events_per_ledger: 60,
        ..devnet::Settings::default()
    };
    let devnet = devnet::start(settings).await.unwrap();
    let exact = read(source(&devnet.url(), |config| config.mode = Mode::Transactions), 1012).await;
    let expected = emitted(&exact, |_| true);
    assert!(expected.len() > 300, "{}", expected.len());
    for (page_limit, xdr_format) in [(1000, XdrFormat::Base64), (10, XdrFormat::Base64), (17, XdrFormat::Json)] {
        let found = read(
            source(&devnet.url(), |config| {
                config.page_limit = page_limit;
                config.xdr_format = xdr_format;
            }),
            1012,
        );
        let found = found.await;
        let from = exact[0].ledger.index;
        let found: Vec<_> = found.into_iter().filter(|batch| (from..=1012).contains(&batch.ledger.index)).collect();
        assert_eq!(emitted(&found, |_| true), expected, "{page_limit} {xdr_format:?}");
        let payments = found.iter().flat_map(|batch| &batch.events).filter(|event| event.kind == EventKind::Payment);
        assert!(payments.count() > 0);
    }
    // Filters are pushed down, and the ledgers without such events are there all the same.
    let contract = exact.iter().flat_map(|batch| &batch.events).find_map(|event| match &event.body {
        Body::ContractEvent(body) => body.contract.clone(),
        _ => None,
    });
    let contract = contract.unwrap();
    let filter = EventFilter {
        contract_ids: vec![contract.to_string()],
        topics: vec![vec!["**".into()]],
        ..EventFilter::default()
    };
    let found = read(source(&devnet.url(), |config| config.filters = vec![filter]), 1012).await;
    let is_its =
        |event: &Event| matches!(&event.body, Body::ContractEvent(body) if body.contract.as_ref() == Some(&contract));
    let found: Vec<_> = found.into_iter().filter(|batch| batch.ledger.index <= 1012).collect();
    assert_eq!(emitted(&found, |_| true), emitted(&exact, is_its));
    devnet.stop().await;
}

/// A node with two events in ledger 103 of 100 to 110, which answers by `events`.
async fn node(mut events: impl FnMut(&Value) -> Reply + 'static) -> String {
    serve(move |method, params| match method {
        "getNetwork" => Reply::Result(json!({ "passphrase": "p" })),
        "getHealth" => Reply::Result(json!({ "latestLedger": 110, "oldestLedger": 100 })),
        _ => events(params),
    })
    .await
}

fn answer(events: &[(u32, u32)], cursor: Value) -> Reply {
    let event = |(ledger, index): &(u32, u32)| {
        json!({
            "type": "contract", "id": EventId { toid: mapping::toid(*ledger, 1, 0), index: *index }.to_string(),
            "ledgerClosedAt": "2026-07-21T18:01:10Z", "topic": [], "value": "AAAAAQ==",
        })
    };
    let events: Vec<_> = events.iter().map(event).collect();
    Reply::Result(json!({
        "events": events, "cursor": cursor, "latestLedger": 110, "oldestLedger": 100,
        "latestLedgerCloseTime": "1784656900",
    }))
}

fn counts(batches: &[LedgerBatch]) -> Vec<(u64, usize)> {
    batches.iter().map(|batch| (batch.ledger.index, batch.events.len())).filter(|(_, count)| *count > 0).collect()
}

#[actix::test]
async fn servers_without_cursors_are_read_to_an_empty_page() {
    let url = node(|params| match params["pagination"]["cursor"].as_str() {
        None => answer(&[(103, 0)], Value::Null),
        Some(cursor) if cursor.ends_with("-0000000000") => answer(&[(103, 0), (103, 1)], Value::Null),
        Some(_) => answer(&[], Value::Null),
    });
    let batches = read(source(&url.await, |_| {}), 110).await;
    assert_eq!((batches.len(), counts(&batches)), (11, vec![(103, 2)]));
    // Empty ledgers closed when the one before did, except for the newest, of which the server tells.
    assert_eq!(batches[5].ledger.closed_at, 1_784_656_870);
    assert_eq!(batches[10].ledger.closed_at, 1_784_656_900);
}

#[actix::test]
async fn patterns_that_a_server_refuses_are_judged_here() {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let seen = asked.clone();
    let url = node(move |params| {
        seen.borrow_mut().push(params["filters"].clone());
        match params["filters"][0]["topics"] {
            Value::Null => answer(&[(103, 0)], json!(format!("{:019}-4294967295", 110u64 << 32 | 0xffff_ffff))),
            _ => Reply::Error(-32602, "filter 1 invalid".into()),
        }
    });
    let filter = |topics: Value| EventFilter {
        r#type: Some("contract".into()),
        topics: serde_json::from_value(topics).unwrap(),
        ..EventFilter::default()
    };
    let url = url.await;
    let all = read(source(&url, |config| config.filters = vec![filter(json!([["**"]]))]), 110).await;
    assert_eq!(counts(&all), [(103, 1)]);
    let some = read(source(&url, |config| config.filters = vec![filter(json!([["*", "**"]]))]), 110).await;
    assert_eq!(counts(&some), []);
    assert_eq!(asked.borrow()[0], json!([{ "type": "contract", "topics": [["**"]] }]));
}

#[actix::test]
async fn what_cannot_be_is_no_ledger() {
    for (events, cursor) in [
        // Out of order, past the newest ledger, and a search that stands still.
        (vec![(103, 1), (103, 0)], "0"),
        (vec![(120, 0)], "0"),
    ] {
        let url = node(move |_| answer(&events, cursor.into())).await;
        let mut source = source(&url, |_| {});
        source.identify().await.unwrap();
        source.open(None).await.unwrap();
        assert_eq!(source.next().await.unwrap_err().kind(), "malformed");
    }
    // One ledger that never ends costs bounded memory.
    let next = Rc::new(RefCell::new(0));
    let url = node(move |_| {
        *next.borrow_mut() += 2;
        let index = *next.borrow();
        answer(&[(100, index), (100, index + 1)], Value::Null)
    });
    let mut source = source(&url.await, |config| config.max_response = Size::kib(4));
    source.identify().await.unwrap();
    source.open(None).await.unwrap();
    assert_eq!(source.next().await.unwrap_err().kind(), "too_large");
}

#[actix::test]
async fn smaller_pages_are_asked_for_where_large_ones_are_refused() {
    let url = node(|params| match params["pagination"]["limit"].as_u64().unwrap() {
        0..=300 => answer(&[(103, 0)], json!(format!("{:019}-4294967295", 110u64 << 32 | 0xffff_ffff))),
        _ => Reply::Error(-32602, "limit must not exceed 300".into()),
    });
    let batches = read(source(&url.await, |_| {}), 110).await;
    assert_eq!(counts(&batches), [(103, 1)]);
}
