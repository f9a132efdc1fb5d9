//! Messages as the ledger's servers sent them: taken apart into what a source gives, written again, compared field
//! for field.

use super::*;
use crate::event::{Body, Event, LedgerFacts, LedgerRef, Native, Place};
use serde_json::{Value, json};
use std::path::Path;

/// A file of the recordings; `None`, said, where they are not there.
fn recorded(file: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/xrpl").join(file);
    let text = std::fs::read_to_string(&path);
    if text.is_err() {
        println!("skipped: no recording {}", path.display());
    }
    text.ok()
}

fn message(file: &str) -> Option<Value> {
    recorded(file).map(|text| serde_json::from_str(&text).unwrap())
}

fn text(value: &Value) -> Box<str> {
    value.as_str().unwrap_or_default().into()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// A ledger of which a message tells no more than these.
fn ledger(hash: &str, close_time: u32, close_time_iso: &str) -> Ledger {
    Ledger {
        hash: hash.into(),
        close_time,
        close_time_iso: close_time_iso.into(),
        transactions: 0,
        fee_base: 10,
        reserve_base: 1_000_000,
        reserve_increment: 200_000,
        network_id: None,
        validated_ledgers: "1-5".into(),
    }
}

fn batch(index: u64, ledger: Ledger, kind: EventKind, native: Option<Native>) -> LedgerBatch {
    let facts = LedgerFacts { transaction_count: 0, successful_count: 0, operation_count: 0 };
    let event = Event {
        id: "id".into(),
        kind,
        place: Place::new(0, kind, 0),
        transaction_hash: None,
        subjects: Vec::new(),
        assets: Vec::new(),
        body: Body::Ledger(facts),
        native,
    };
    LedgerBatch {
        source: 0,
        network: "xrpl".into(),
        epoch: 0,
        ledger: LedgerRef { index, hash: None, parent: None, closed_at: 0 },
        continuity: None,
        events: vec![event],
        native: Some(Native::new(ledger, 0)),
    }
}

fn written(batch: &LedgerBatch, version: ApiVersion) -> Value {
    let mut frames = Frames::default();
    RippledRender { version }.event(batch, 0, &mut frames);
    assert_eq!(frames.count(), 1);
    let bytes = frames.to_bytes();
    let header = match bytes[1] {
        127 => 10,
        126 => 4,
        _ => 2,
    };
    serde_json::from_slice(&bytes[header..]).unwrap()
}

/// A ledger and a transaction as a source gives them, from a message of either version.
fn taken_apart(message: &Value) -> (u64, Ledger, Transaction) {
    let first = message.get("transaction").is_some();
    let mut inner = message[if first { "transaction" } else { "tx_json" }].as_object().unwrap().clone();
    let date = inner.remove("date").and_then(|date| date.as_u64()).unwrap();
    let owner_funds = inner.remove("owner_funds").map(|funds| text(&funds));
    let hash = if first { inner.remove("hash").unwrap() } else { message["hash"].clone() };
    let payment = inner["TransactionType"] == "Payment";
    if first && payment {
        assert_eq!(inner.remove("Amount"), inner.get("DeliverMax").cloned());
    }
    let deliver_max = payment.then(|| inner["DeliverMax"].to_string().into());
    let transaction = Transaction {
        hash: text(&hash),
        tx_json: Value::from(inner).to_string().into(),
        deliver_max,
        owner_funds,
        meta: message["meta"].to_string().into(),
        result: text(&message["engine_result"]),
        result_code: message["engine_result_code"].as_i64().unwrap() as i32,
        result_message: text(&message["engine_result_message"]).into_string().leak(),
    };
    let ledger = ledger(&text(&message["ledger_hash"]), date as u32, &text(&message["close_time_iso"]));
    (number(&message["ledger_index"]), ledger, transaction)
}

fn rendered(message: &Value, version: ApiVersion) -> Value {
    let (index, ledger, transaction) = taken_apart(message);
    written(&batch(index, ledger, EventKind::Transaction, Some(Native::new(transaction, 0))), version)
}

/// The other version's form of a message, by the table of the protocol.
fn other_form(message: &Value) -> Value {
    let mut other = message.clone();
    let fields = other.as_object_mut().unwrap();
    if let Some(mut inner) = fields.remove("transaction") {
        let of_inner = inner.as_object_mut().unwrap();
        fields.insert("hash".into(), of_inner.remove("hash").unwrap());
        if of_inner["TransactionType"] == "Payment" {
            of_inner.remove("Amount");
        }
        fields.insert("tx_json".into(), inner);
    } else {
        let mut inner = fields.remove("tx_json").unwrap();
        inner["hash"] = fields.remove("hash").unwrap();
        if inner["TransactionType"] == "Payment" {
            inner["Amount"] = inner["DeliverMax"].clone();
        }
        fields.insert("transaction".into(), inner);
    }
    other
}

#[test]
fn recorded_transactions_in_both_versions() {
    for (file, version, other) in [
        ("streams/transaction-v2-payment.json", ApiVersion::Two, ApiVersion::One),
        ("streams/transaction-v2-offercreate.json", ApiVersion::Two, ApiVersion::One),
        ("streams/transaction-v1-offercreate.json", ApiVersion::One, ApiVersion::Two),
    ] {
        let Some(mut message) = message(file) else { return };
        if message.get("close_time_iso").is_none() {
            // Of 2021, before there was such a field.
            message["close_time_iso"] = "2021-09-02T17:12:01Z".into();
        }
        assert_eq!(rendered(&message, version), message, "{file}");
        assert_eq!(rendered(&message, other), other_form(&message), "{file}");
    }
}

#[test]
fn what_subscribers_of_whole_ledgers_get() {
    for file in ["2013-309936", "2015-11119600", "2024-87704323"] {
        let Some(lines) = recorded(&format!("expected/{file}.jsonl")) else { return };
        let mut transactions = 0;
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let message = &line["message"];
            if message["type"] == "transaction" {
                let version = if line["api_version"] == 1 { ApiVersion::One } else { ApiVersion::Two };
                assert_eq!(rendered(message, version), *message, "{file}");
                transactions += 1;
            }
        }
        assert!(transactions > 0, "{file}");
    }
}

#[test]
fn ledger_closed() {
    let Some(mut message) = message("streams/ledgerClosed.json") else { return };
    // Of 2021: gone since.
    message.as_object_mut().unwrap().remove("fee_ref");
    let mut ledger = Ledger {
        transactions: number(&message["txn_count"]) as u32,
        fee_base: number(&message["fee_base"]),
        reserve_base: number(&message["reserve_base"]),
        reserve_increment: number(&message["reserve_inc"]),
        validated_ledgers: text(&message["validated_ledgers"]),
        ..ledger(&text(&message["ledger_hash"]), number(&message["ledger_time"]) as u32, "")
    };
    let index = number(&message["ledger_index"]);
    for network_id in [None, Some(0), Some(21_338)] {
        ledger.network_id = network_id;
        if let Some(network_id) = network_id {
            message["network_id"] = network_id.into();
        }
        let batch = batch(index, ledger.clone(), EventKind::Ledger, None);
        for version in ApiVersion::ALL {
            assert_eq!(written(&batch, version), message);
        }
        let mut newest = message.clone();
        let fields = newest.as_object_mut().unwrap();
        assert!(fields.remove("type").is_some() && fields.remove("txn_count").is_some());
        assert_eq!(serde_json::from_slice::<Value>(&newest_ledger(index, &ledger)).unwrap(), newest);
    }
}

#[test]
fn recorded_book_changes() {
    let Some(mut message) = message("streams/bookChanges.json") else { return };
    message["validated"] = true.into();
    message["changes"][0]["domain"] = "AB".repeat(32).into();
    let change = |change: &Value| BookChange {
        currency_a: text(&change["currency_a"]),
        currency_b: text(&change["currency_b"]),
        volume_a: text(&change["volume_a"]),
        volume_b: text(&change["volume_b"]),
        high: text(&change["high"]),
        low: text(&change["low"]),
        open: text(&change["open"]),
        close: text(&change["close"]),
        domain: change.get("domain").map(text),
    };
    let changes = BookChanges(message["changes"].as_array().unwrap().iter().map(change).collect());
    assert!(changes.0.len() > 5);
    let ledger = ledger(&text(&message["ledger_hash"]), number(&message["ledger_time"]) as u32, "");
    let of = |changes| {
        let native = Some(Native::new(changes, 0));
        batch(number(&message["ledger_index"]), ledger.clone(), EventKind::BookChanges, native)
    };
    for version in ApiVersion::ALL {
        assert_eq!(written(&of(changes.clone()), version), message);
        let none = written(&of(BookChanges::default()), version);
        assert_eq!(none["changes"], json!([]), "one for each ledger, with or without");
    }
}

/// Where there are no recordings: the shapes of a payment, to the letter.
#[test]
fn a_payment_to_the_letter() {
    let payment = Transaction {
        hash: "64".into(),
        tx_json: r#"{"Account":"r1","DeliverMax":{"value":"1.10"},"Future":[1e400]}"#.into(),
        deliver_max: Some(r#"{"value":"1.10"}"#.into()),
        owner_funds: None,
        meta: r#"{"TransactionIndex":4}"#.into(),
        result: "tecPATH_DRY".into(),
        result_code: 128,
        result_message: "Path could not send partial amount.",
    };
    let text = |transaction: &Transaction, version| {
        let native = Some(Native::new(transaction.clone(), 0));
        let batch = batch(7, ledger("0B", 783_820_741, "2024-11-01T23:59:01Z"), EventKind::Transaction, native);
        let mut frames = Frames::default();
        RippledRender { version }.event(&batch, 0, &mut frames);
        String::from_utf8(frames.to_bytes()[4..].to_vec()).unwrap()
    };
    let head = concat!(
        r#"{"type":"transaction","validated":true,"status":"closed","close_time_iso":"2024-11-01T23:59:01Z","#,
        r#""ledger_index":7,"ledger_hash":"0B","engine_result":"tecPATH_DRY","engine_result_code":128,"#,
        r#""engine_result_message":"Path could not send partial amount.","#,
    );
    let inner = r#"{"Account":"r1","DeliverMax":{"value":"1.10"},"Future":[1e400],"#;
    let meta = r#""meta":{"TransactionIndex":4}}"#;
    let first = format!(r#""transaction":{inner}"Amount":{{"value":"1.10"}},"hash":"64","date":783820741}},"#);
    assert_eq!(text(&payment, ApiVersion::One), format!("{head}{first}{meta}"));
    let second = format!(r#""hash":"64","tx_json":{inner}"date":783820741}},"#);
    assert_eq!(text(&payment, ApiVersion::Two), format!("{head}{second}{meta}"));
    // Nothing in it, or white space at its end.
    for (tx_json, expected) in [("{}", "{"), ("{ }\n", "{"), ("{\"a\": {} } ", "{\"a\": {},")] {
        let funds = Some("36054185999".into());
        let odd = Transaction { tx_json: tx_json.into(), owner_funds: funds, ..payment.clone() };
        let expected = format!(r#""tx_json":{expected}"date":783820741,"owner_funds":"36054185999"}},"#);
        assert!(text(&odd, ApiVersion::Two).contains(&expected), "{tx_json}");
    }
}

#[test]
fn what_has_no_words() {
    let render = RippledRender { version: ApiVersion::Two };
    let continuity = Continuity {
        kind: crate::event::ContinuityKind::Gap,
        from_ledger: 1,
        to_ledger: 2,
        reason: "not to be had".to_owned(),
    };
    let mut frames = Frames::default();
    let mut batch = batch(7, ledger("0B", 1, ""), EventKind::Trade, None);
    render.continuity(&batch, &continuity, &mut frames);
    for kind in [EventKind::Trade, EventKind::Payment, EventKind::Transaction, EventKind::BookChanges] {
        batch.events[0].kind = kind;
        render.event(&batch, 0, &mut frames);
    }
    batch.native = None;
    batch.events[0].kind = EventKind::Ledger;
    render.event(&batch, 0, &mut frames);
    assert_eq!(frames.count(), 0);
}
