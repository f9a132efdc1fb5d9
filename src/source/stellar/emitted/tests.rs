use super::*;
use crate::event::{Body, Event, EventKind};
use crate::source::stellar::assets::{AssetContracts, network_hash};
use crate::source::stellar::testing::recorded;
use crate::source::stellar::{PUBNET, TESTNET, mapping};

const TRANSFER: &str = "AAAADwAAAAh0cmFuc2Zlcg==";
const NATIVE: &str = "CDLZFC3SYJYDZT7K67VZ75HPJVIEUVNIXF47ZG2FB2RMQQVU2HHGCYSC";

fn page(ids: &[&str], cursor: Option<&str>, latest: u32) -> Events {
    let event = |id: &&str| json!({ "type": "contract", "id": id, "ledgerClosedAt": "2026-07-21T18:01:10Z", "value": "AAAAAQ==" });
    let events: Vec<_> = ids.iter().map(event).collect();
    serde_json::from_value(json!({ "events": events, "cursor": cursor, "latestLedger": latest })).unwrap()
}

fn id(ledger: u32, operation: u32, index: u32) -> String {
    EventId { toid: toid(ledger, 1, operation), index }.to_string()
}

#[test]
fn how_far_a_page_searched() {
    let end = |ledger: u64| format!("{:019}-4294967295", ledger << 32 | 0xffff_ffff);
    let after = |text: &str| Some(From::After(text.parse().unwrap()));
    for (events, cursor, latest, complete, next) in [
        // Everything up to the end of 104 was searched.
        (vec![id(100, 0, 0)], Some(end(104)), 104, 104, Some(end(104))),
        (vec![], Some(end(104)), 109, 104, Some(end(104))),
        // A full page: the last event's ledger may have more.
        (vec![id(100, 0, 0), id(101, 0, 0)], Some(id(101, 0, 0)), 109, 100, Some(id(101, 0, 0))),
        (vec![id(100, 0, 0)], Some(id(100, 0, 0)), 109, 99, Some(id(100, 0, 0))),
        // Without a cursor only an empty page ends a search.
        (vec![id(100, 0, 0)], None, 109, 99, Some(id(100, 0, 0))),
        (vec![], None, 109, 109, None),
        (vec![], None, 500_000, 100 + 9_999, None),
        // Cursors that go back, and no cursors.
        (vec![], Some(end(42)), 109, 109, None),
        (vec![], Some("0".into()), 109, 109, None),
        // More than the server has.
        (vec![], Some(end(200)), 109, 109, Some(end(200))),
    ] {
        let ids: Vec<_> = events.iter().map(String::as_str).collect();
        let searched = page(&ids, cursor.as_deref(), latest).searched(From::Ledger(100));
        let next = next.and_then(|next| after(&next));
        assert_eq!(searched, Searched { complete, next }, "{events:?} {cursor:?} {latest}");
    }
    // The same cursor again: nothing new behind it.
    let sent = From::After(end(104).parse().unwrap());
    assert_eq!(page(&[], Some(&end(104)), 104).searched(sent), Searched { complete: 104, next: None });
}

/// The events of a recorded answer; `None` where it is not there.
fn mapped(file: &str, passphrase: &str) -> Option<Vec<Event>> {
    let answer = recorded(file)?;
    let answer = answer.get("result").unwrap_or(&answer).clone();
    let answer: Events = serde_json::from_str(&answer.to_string()).unwrap();
    let mut contracts = AssetContracts::new(network_hash(passphrase));
    let mut all = Vec::new();
    for event in answer.events {
        let ledger = event.id.ledger();
        all.extend(mapping::emitted(ledger, &[event], &Wanted::default(), &mut contracts).unwrap());
    }
    Some(all)
}

fn told(events: &[Event]) -> Vec<String> {
    let told = |event: &Event| format!("{} {:?} {:?} {:?}", event.id, event.place, event.subjects, event.body);
    events.iter().map(told).collect()
}

#[test]
fn both_forms_tell_the_same() {
    let Some(xdr) = mapped("getEvents.mainnet-30820015.json", PUBNET) else { return };
    let Some(json) = mapped("getEvents.mainnet-30820015.xdrjson.json", PUBNET) else { return };
    assert_eq!(told(&xdr), told(&json));
    let payments: Vec<_> = xdr.iter().filter(|event| event.kind == EventKind::Payment).collect();
    assert_eq!((xdr.len(), payments.len()), (63, 1));
    let Body::Payment(payment) = &payments[0].body else { panic!() };
    assert_eq!(payment.to_muxed_id.as_deref(), Some("1020515624"));
    assert_eq!((payment.operation, &payment.memo), (None, &None));
}

#[test]
fn recorded_transfers() {
    let Some(events) = mapped("getEvents.testnet-3727845-transfers.json", TESTNET) else { return };
    let first = events.iter().find(|event| &*event.id == "0016010972359577600-0000000001").unwrap();
    let Body::ContractEvent(body) = &first.body else { panic!() };
    let movement = body.movement.as_ref().unwrap();
    assert_eq!((movement.name, &*movement.asset.id), ("transfer", "native"));
    assert_eq!(movement.amount.as_ref().unwrap().with_decimals(7).to_string(), "300.0000000");
    let payments = events.iter().filter(|event| event.kind == EventKind::Payment);
    assert_eq!(payments.count(), 2);
}

#[test]
fn fees_are_no_payments() {
    let Some(events) = mapped("getEvents.testnet-3729796-fees.json", TESTNET) else { return };
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.kind == EventKind::ContractEvent && event.transaction_hash.is_some()));
}

#[test]
fn older_servers() {
    // Diagnostic events are none.
    let Some(events) = mapped("getEvents.local-p22-legacy.json", "Standalone Network ; February 2017") else { return };
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::ContractEvent; 2]);
    let old = json!({
        "type": "contract", "ledger": "5", "ledgerClosedAt": "2023-05-01T00:00:00Z", "contractId": NATIVE,
        "id": id(5, 0, 0), "pagingToken": id(5, 0, 0), "topic": [TRANSFER], "value": { "xdr": "AAAAAQ==" },
    });
    let old: Emitted = serde_json::from_str(&old.to_string()).unwrap();
    assert_eq!((old.closed_at, old.id.ledger()), (1_682_899_200, 5));
    assert!(old.decode().unwrap().is_some());
}

#[test]
fn hostile_events_are_refused() {
    let read = |change: fn(&mut Value)| {
        let mut event = json!({
            "type": "contract", "id": id(5, 0, 0), "ledgerClosedAt": "2023-05-01T00:00:00Z", "contractId": NATIVE,
            "topic": [TRANSFER], "value": "AAAAAQ==",
        });
        change(&mut event);
        serde_json::from_str::<Emitted>(&event.to_string()).map_err(|error| error.to_string())?.decode()
    };
    assert!(read(|_| {}).unwrap().is_some());
    for (change, told) in [
        ((|it: &mut Value| it["type"] = "other".into()) as fn(&mut Value), "type `other`"),
        (|it| it["id"] = "5".into(), "no event id"),
        (|it| it["ledgerClosedAt"] = "now".into(), "no time"),
        (|it| it["contractId"] = "CABC".into(), "contractId"),
        (|it| it["topic"] = json!(["AAAA"]), "topic"),
        (|it| it["value"] = json!(5), "value"),
        (|it| it["value"] = Value::Null, "without a value"),
    ] {
        let error = read(change).unwrap_err();
        assert!(error.contains(told), "{told}: {error}");
    }
}

fn filters(value: Value) -> Wanted {
    Wanted::new(&serde_json::from_value::<Vec<EventFilter>>(value).unwrap()).unwrap()
}

#[test]
fn what_is_wanted_is_judged_here_too() {
    let event = |topics: &[&str]| {
        let event = json!({
            "type": "contract", "id": id(5, 0, 0), "ledgerClosedAt": "2023-05-01T00:00:00Z", "contractId": NATIVE,
            "topic": topics, "value": "AAAAAQ==",
        });
        serde_json::from_str::<Emitted>(&event.to_string()).unwrap().decode().unwrap().unwrap()
    };
    let (one, two) = (event(&[TRANSFER]), event(&[TRANSFER, "AAAAAQ=="]));
    for (wanted, matches_one, matches_two) in [
        (json!([]), true, true),
        (json!([{ "topics": [["*"]] }]), true, false),
        (json!([{ "topics": [["**"]] }]), true, true),
        (json!([{ "topics": [["*", "**"]] }]), true, true),
        (json!([{ "topics": [["*", "*"], ["AAAAAQ=="]] }]), false, true),
        (json!([{ "topics": [[TRANSFER, "**"]] }]), true, true),
        (json!([{ "topics": [["AAAAAQ==", "**"]] }]), false, false),
        (json!([{ "type": "system" }]), false, false),
        (json!([{ "type": "contract, system" }]), true, true),
        (json!([{ "contract_ids": [NATIVE], "topics": [["*"]] }]), true, false),
        (
            json!([{ "contract_ids": ["CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA"] }, { "type": "contract" }]),
            true,
            true,
        ),
    ] {
        let judge = filters(wanted.clone());
        assert_eq!((judge.matches(&one), judge.matches(&two)), (matches_one, matches_two), "{wanted}");
    }
    assert!(Wanted::new(&[EventFilter { topics: vec![vec!["AAA".into()]], ..EventFilter::default() }]).is_err());
}

#[test]
fn what_servers_are_asked_loses_nothing() {
    let narrow = filters(json!([{ "type": "contract", "contract_ids": [NATIVE], "topics": [["**"]] }]));
    assert_eq!(narrow.params(true), [json!({ "type": "contract", "contractIds": [NATIVE], "topics": [["**"]] })]);
    assert_eq!(narrow.params(false), [json!({ "type": "contract", "contractIds": [NATIVE] })]);
    // Mixtures lose events before v27.1.1, so none is sent.
    assert!(filters(json!([{ "type": "contract" }, { "topics": [["**"]] }])).params(true).is_empty());
    // Nothing but topics, and the server does not understand them.
    assert!(filters(json!([{ "topics": [["**"]] }])).params(false).is_empty());
}
