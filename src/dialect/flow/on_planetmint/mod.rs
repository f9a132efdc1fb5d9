//! Flow's words for recorded blocks of Planetmint, and its filters over them.

use super::{FlowRender, register};
use crate::broker::Render;
use crate::dialect::frame::Frames;
use crate::event::LedgerBatch;
use crate::source::planetmint::recordings;
use serde_json::{Value, json};

/// What clients read of a block.
fn written(batch: &LedgerBatch) -> Vec<Value> {
    let value = |index| {
        let mut frames = Frames::default();
        FlowRender { names_network: true, cursors: false }.event(batch, index, &mut frames);
        let bytes = frames.to_bytes();
        let header = if bytes[1] < 126 { 2 } else { 4 };
        serde_json::from_slice(&bytes[header..]).unwrap()
    };
    (0..batch.events.len()).map(value).collect()
}

#[test]
fn a_transfer_and_its_change() {
    let Some(batches) = recordings::batches() else { return };
    let told = written(&batches[3]);
    let types: Vec<&str> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ledger", "transaction", "payment", "transaction", "payment"]);
    assert_eq!((&told[0]["ledger"], &told[0]["transaction_count"]), (&json!(4), &json!(2)));
    let id = "211ce0c33fabdce5a78c044df97a6b7443fccc1f90659e22a0b6e44eb9eed268";
    let asset = "ce2d045ac1560619e21c0d78f22eaf2ef7bd84c75d54caeed9d055b293b54c50";
    let payment = &told[2];
    for (field, value) in [
        ("id", json!(format!("{id}-p0"))),
        ("network", json!("planetmint")),
        ("transaction_hash", json!(id)),
        ("asset", json!(asset)),
        ("asset_code", json!(asset)),
        // A whole number, to the last digit.
        ("amount", json!("41375566471722")),
        ("operation", json!("TRANSFER")),
    ] {
        assert_eq!(payment[field], value, "{field}");
    }
    assert!(payment["from"].as_str().unwrap().starts_with("HF5F"));
    assert_eq!(payment["to"], payment["buyer_account_id"]);
}

#[test]
fn filters() {
    let Some(batches) = recordings::batches() else { return };
    let found = |filters: Value| {
        let message = json!({ "type": "register", "filters": filters }).to_string();
        let clause = register::read(&message, 1000).unwrap().filters.clause().unwrap();
        batches.iter().flat_map(|batch| &batch.events).filter(|event| clause.matches(event)).count()
    };
    let asset = "ce2d045ac1560619e21c0d78f22eaf2ef7bd84c75d54caeed9d055b293b54c50";
    assert_eq!(found(json!({})), 14 + 24 + 24);
    // Made, and given away twice.
    assert_eq!(found(json!({ "asset_codes": [asset] })), 3);
    assert_eq!(found(json!({ "asset_codes": [asset], "min_amount": "41375566471723" })), 2);
    assert_eq!(found(json!({ "asset_codes": [asset], "min_amount": "9000000000000001" })), 0);
    let payments = recordings::json("transactions.json").unwrap();
    let account = payments[4]["outputs"][0]["public_keys"][0].as_str().unwrap();
    let by_hand = payments.as_array().unwrap().iter().filter(|it| it.to_string().contains(account)).count();
    assert_eq!(found(json!({ "account_ids": [account], "types": ["transaction"] })), by_hand);
}
