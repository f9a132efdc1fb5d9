use super::*;
use crate::event::{self, Body, Event, EventKind, LedgerFacts, LedgerRef, Movement, Place};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;

const RENDER: FlowRender = FlowRender { names_network: false, cursors: false };
const ALICE: &str = "GALICE";
const BOB: &str = "GBOB";

fn asset(id: &str, decimals: Option<u8>) -> Arc<Asset> {
    let (code, issuer) = id.split_once(':').map_or((id, None), |(code, issuer)| (code, Some(issuer.into())));
    let kind = if issuer.is_some() { "credit_alphanum4" } else { "native" };
    let code = if code == "native" { "XLM" } else { code };
    Arc::new(Asset { id: id.into(), code: code.into(), issuer, kind, decimals })
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn stroops(units: i128) -> Option<Amount> {
    Some(Amount::from_units(units, 7))
}

fn batch(kind: EventKind, body: Body) -> LedgerBatch {
    let event = Event {
        id: "0016010972359577600-0000000001".into(),
        kind,
        place: Place::new(1, kind, 1),
        transaction_hash: (kind != EventKind::Ledger).then_some(Hash([0xa5; 32])),
        subjects: Vec::new(),
        assets: Vec::new(),
        body,
        native: None,
    };
    let ledger = LedgerRef {
        index: 3_727_845,
        hash: Some(Hash([1; 32])),
        parent: Some(Hash([2; 32])),
        closed_at: 1_784_656_870,
    };
    LedgerBatch {
        source: 0,
        network: "stellar-testnet".into(),
        epoch: 0,
        ledger,
        continuity: None,
        events: vec![event],
        native: None,
    }
}

/// The payload of a text frame; `None` where none was written.
fn payload(frames: Frames) -> Option<String> {
    let count = frames.count();
    let bytes = frames.to_bytes();
    assert_eq!(count, u32::from(!bytes.is_empty()));
    let header = match bytes.get(1)? {
        126 => 4,
        _ => 2,
    };
    Some(String::from_utf8(bytes[header..].to_vec()).unwrap())
}

fn written(batch: &LedgerBatch) -> String {
    let mut frames = Frames::default();
    RENDER.event(batch, 0, &mut frames);
    payload(frames).unwrap()
}

/// What every event has, and `fields`.
#[track_caller]
fn assert_written(batch: &LedgerBatch, fields: Value) {
    let kind = batch.events[0].kind;
    let text = written(batch);
    assert!(text.starts_with(&format!(r#"{{"type":"{}","id":"#, kind.name())), "{text}");
    let mut expected = json!({
        "type": kind.name(),
        "id": "0016010972359577600-0000000001",
        "ledger": 3_727_845,
        "ledger_closed_at": "2026-07-21T18:01:10Z",
    });
    if kind != EventKind::Ledger {
        expected["transaction_hash"] = "a5".repeat(32).into();
    }
    expected.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{text}");
}

#[test]
fn ledger() {
    let facts = LedgerFacts { transaction_count: 3, successful_count: 2, operation_count: 9 };
    let mut batch = batch(EventKind::Ledger, Body::Ledger(facts));
    let counts = json!({"transaction_count": 3, "successful_count": 2, "operation_count": 9});
    let mut all = counts.clone();
    all["hash"] = "01".repeat(32).into();
    all["previous_hash"] = "02".repeat(32).into();
    assert_written(&batch, all);
    // A source that knows no hashes.
    batch.ledger.hash = None;
    batch.ledger.parent = None;
    assert_written(&batch, counts);
}

#[test]
fn transaction() {
    let body = |memo: Option<&str>| {
        Body::Transaction(Box::new(event::Transaction {
            source_account: ALICE.into(),
            fee_account: BOB.into(),
            successful: false,
            fee_charged: Amount::from_units(1_000_000, 0),
            operation_count: 2,
            memo: memo.map(Into::into),
            application_order: 7,
        }))
    };
    let mut fields = json!({
        "source_account": ALICE, "fee_account": BOB, "successful": false, "fee_charged": "1000000",
        "operation_count": 2, "memo": "\"quoted\"\n", "application_order": 7,
    });
    assert_written(&batch(EventKind::Transaction, body(Some("\"quoted\"\n"))), fields.clone());
    fields["memo"] = "".into();
    assert_written(&batch(EventKind::Transaction, body(None)), fields);
}

fn contract_event(movement: Option<Movement>) -> Body {
    Body::ContractEvent(Box::new(event::ContractEvent {
        contract: Some("CDLZ".into()),
        topics: raw(r#"[{"symbol":"transfer"},{"address":"G..."}]"#),
        data: raw(r#"{"i128":"340282366920938463463374607431768211455"}"#),
        transaction_index: 5,
        operation_index: 1,
        in_successful_call: true,
        movement,
    }))
}

#[test]
fn contract_event_of_any_contract() {
    let fields = |event_type| {
        json!({
            "contract_id": "CDLZ",
            "topics": [{"symbol": "transfer"}, {"address": "G..."}],
            "data": {"i128": "340282366920938463463374607431768211455"},
            "event_type": event_type, "transaction_index": 5, "operation_index": 1, "in_successful_call": true,
        })
    };
    assert_written(&batch(EventKind::ContractEvent, contract_event(None)), fields("contract"));
    assert_written(&batch(EventKind::SystemEvent, contract_event(None)), fields("system"));
}

#[test]
fn contract_event_of_a_verified_asset() {
    let movement = Movement {
        name: "transfer",
        asset: asset("native", Some(7)),
        amount: stroops(3_000_000_000),
        from: Some(ALICE.into()),
        to: None,
    };
    let text = written(&batch(EventKind::ContractEvent, contract_event(Some(movement))));
    let value: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({"event_name": "transfer", "asset_code": "XLM", "asset": "native", "amount": "300.0000000",
        "from": ALICE, "contract_id": "CDLZ"});
    for (key, expected) in expected.as_object().unwrap() {
        assert_eq!(&value[key], expected, "{key} in {text}");
    }
    assert!(value.get("to").is_none(), "{text}");
}

#[test]
fn json_of_the_chain_is_passed_on_unread() {
    let Body::ContractEvent(mut body) = contract_event(None) else { unreachable!() };
    // More than any number type holds.
    body.data = raw("123456789012345678901234567890.10");
    let text = written(&batch(EventKind::ContractEvent, Body::ContractEvent(body)));
    assert!(text.contains(r#""data":123456789012345678901234567890.10,"#), "{text}");
}

#[test]
fn payment() {
    let body = event::Payment {
        from: ALICE.into(),
        to: BOB.into(),
        from_muxed_id: None,
        to_muxed_id: Some("42".into()),
        asset: asset("USDC:GISSUER", Some(7)),
        amount: stroops(i64::MAX.into()),
        memo: Some("rent".into()),
        operation: Some("path_payment_strict_send"),
    };
    let fields = json!({
        "buyer_account_id": BOB, "seller_account_id": ALICE, "from": ALICE, "to": BOB, "to_muxed_id": "42",
        "asset_code": "USDC", "asset": "USDC:GISSUER", "amount": "922337203685.4775807", "memo": "rent",
        "timestamp": "1784656870", "ledger_seq_num": 3_727_845, "operation": "path_payment_strict_send",
    });
    assert_written(&batch(EventKind::Payment, Body::Payment(Box::new(body.clone()))), fields);

    let bare = event::Payment {
        from_muxed_id: None,
        to_muxed_id: None,
        asset: asset("0xtoken", None),
        amount: None,
        memo: None,
        operation: None,
        ..body
    };
    let fields = json!({
        "buyer_account_id": BOB, "seller_account_id": ALICE, "from": ALICE, "to": BOB,
        "asset_code": "0xtoken", "asset": "0xtoken", "memo": "",
        "timestamp": "1784656870", "ledger_seq_num": 3_727_845, "operation": "",
    });
    assert_written(&batch(EventKind::Payment, Body::Payment(Box::new(bare))), fields);
}

#[test]
fn amounts_have_the_decimals_of_their_asset() {
    let printed = |units, scale, decimals| {
        let body = event::Payment {
            from: ALICE.into(),
            to: BOB.into(),
            from_muxed_id: None,
            to_muxed_id: None,
            asset: asset("X", decimals),
            amount: Some(Amount::from_units(units, scale)),
            memo: None,
            operation: None,
        };
        let text = written(&batch(EventKind::Payment, Body::Payment(Box::new(body))));
        serde_json::from_str::<Value>(&text).unwrap()["amount"].as_str().unwrap().to_owned()
    };
    assert_eq!(printed(1, 7, Some(7)), "0.0000001");
    assert_eq!(printed(1_500_000, 6, Some(6)), "1.500000");
    assert_eq!(printed(1_500_000, 6, None), "1.5");
    assert_eq!(printed(10i128.pow(20), 18, Some(18)), "100.000000000000000000");
    assert_eq!(printed(5, 0, Some(0)), "5");
}

fn trade() -> event::Trade {
    event::Trade {
        seller: ALICE.into(),
        buyer: BOB.into(),
        sold: asset("native", Some(7)),
        sold_amount: stroops(30_000_000),
        bought: asset("USDC:GISSUER", Some(7)),
        bought_amount: stroops(10_000_000),
        price: Some(("1".into(), "3".into())),
        offer: Some("4711".into()),
        pool: None,
    }
}

#[test]
fn trade_of_an_offer() {
    let batch = batch(EventKind::Trade, Body::Trade(Box::new(trade())));
    assert!(written(&batch).contains(r#""price":0.33333333333333333,"#));
    assert_written(
        &batch,
        json!({
            "seller_id": ALICE, "buyer_id": BOB, "sell_asset": "native", "buy_asset": "USDC:GISSUER",
            "sell_amount": "3.0000000", "buy_amount": "1.0000000",
            "price": 1.0 / 3.0, "price_r": {"n": "1", "d": "3"}, "orderbook_id": "4711",
            "sell_asset_details": {"code": "XLM", "type": "native"},
            "buy_asset_details": {"code": "USDC", "issuer": "GISSUER", "type": "credit_alphanum4"},
            "timestamp": "1784656870", "buyer_account_id": BOB, "seller_account_id": ALICE,
        }),
    );
}

#[test]
fn trade_with_a_pool() {
    let body = event::Trade { offer: None, pool: Some("LPOOL".into()), seller: "LPOOL".into(), price: None, ..trade() };
    let value: Value = serde_json::from_str(&written(&batch(EventKind::Trade, Body::Trade(Box::new(body))))).unwrap();
    assert_eq!(value["liquidity_pool"], "LPOOL");
    assert_eq!(value["seller_id"], "LPOOL");
    for absent in ["orderbook_id", "price", "price_r"] {
        assert!(value.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn price_counts_in_printed_units() {
    // 0.000002 of one asset for 5 whole ones of another: 2 smallest units for 5.
    let body = event::Trade {
        sold: asset("A:G", None),
        sold_amount: Some(Amount::from_units(5, 0)),
        bought: asset("XRP", Some(6)),
        bought_amount: Some(Amount::from_units(2, 6)),
        price: Some(("2".into(), "5".into())),
        ..trade()
    };
    let text = written(&batch(EventKind::Trade, Body::Trade(Box::new(body))));
    assert!(text.contains(r#""price":0.0000004,"price_r":{"n":"2","d":"5"}"#), "{text}");
}

/// Clients of several sources can tell their networks apart; nothing else changes.
#[test]
fn the_network_is_named_where_there_may_be_several() {
    let facts = LedgerFacts { transaction_count: 3, successful_count: 2, operation_count: 9 };
    for (kind, body) in [
        (EventKind::Ledger, Body::Ledger(facts)),
        (EventKind::ContractEvent, contract_event(None)),
        (EventKind::Trade, Body::Trade(Box::new(trade()))),
    ] {
        let batch = batch(kind, body);
        let mut frames = Frames::default();
        FlowRender { names_network: true, cursors: false }.event(&batch, 0, &mut frames);
        let named = payload(frames).unwrap();
        assert_eq!(named.replacen(r#""network":"stellar-testnet","#, "", 1), written(&batch));
        assert_eq!(serde_json::from_str::<Value>(&named).unwrap()["network"], "stellar-testnet");
    }
}

#[test]
fn breaks_in_the_row_of_ledgers() {
    use crate::event::ContinuityKind::{Gap, Reorg, Reset};
    let batch = batch(EventKind::Trade, Body::BookChanges);
    for (kind, name) in [(Gap, "gap"), (Reset, "reset"), (Reorg, "reorg")] {
        let continuity = Continuity { kind, from_ledger: 5, to_ledger: 9, reason: "beyond retention".into() };
        let mut frames = Frames::default();
        RENDER.continuity(&batch, &continuity, &mut frames);
        let expected = json!({"type": name, "network": "stellar-testnet", "from_ledger": 5, "to_ledger": 9,
            "reason": "beyond retention"});
        assert_eq!(serde_json::from_str::<Value>(&payload(frames).unwrap()).unwrap(), expected);
    }
}

#[test]
fn no_words_no_frame() {
    for body in [Body::BookChanges, Body::Deploy { contract: "0x1".into(), deployer: "0x2".into() }] {
        let mut frames = Frames::default();
        RENDER.event(&batch(EventKind::Deploy, body), 0, &mut frames);
        assert_eq!(frames.count(), 0);
    }
}

#[test]
fn any_close_time_is_safe() {
    assert_eq!(time(0).to_string(), "1970-01-01T00:00:00Z");
    assert!(time(i64::MAX).to_string().starts_with("9999-12-"));
    assert!(time(i64::MIN).to_string().starts_with("-009999-01-"));
}
