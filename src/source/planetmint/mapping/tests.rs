use super::*;
use crate::source::planetmint::recordings::{batch_of, batches};
use crate::source::planetmint::transaction;
use serde_json::{Value, json};

const ID: &str = "aa00000000000000000000000000000000000000000000000000000000000000";
const OTHER: &str = "bb00000000000000000000000000000000000000000000000000000000000000";

fn transaction(operation: &str, owners: &[&[&str]], outputs: &[(&[&str], &str)], assets: Value) -> Value {
    let inputs: Vec<Value> = owners.iter().map(|owners| json!({ "owners_before": owners, "fulfills": null })).collect();
    let outputs: Vec<Value> =
        outputs.iter().map(|(keys, amount)| json!({ "public_keys": keys, "amount": amount })).collect();
    json!({ "inputs": inputs, "outputs": outputs, "operation": operation, "metadata": null, "assets": assets,
        "version": "3.0", "id": ID })
}

fn events(transaction: Value) -> Vec<Event> {
    batch_of(7, "", [transaction.to_string()]).events.split_off(1)
}

/// `from to amount asset index` of each payment.
fn payments(transaction: Value) -> Vec<String> {
    payments_of(events(transaction))
}

fn payments_of(events: Vec<Event>) -> Vec<String> {
    let told = |event: Event| match event.body {
        Body::Payment(payment) => Some(format!(
            "{} {} {} {} {}",
            payment.from,
            payment.to,
            payment.amount.unwrap(),
            &payment.asset.id[..2],
            event.place.sub
        )),
        _ => None,
    };
    events.into_iter().filter_map(told).collect()
}

fn native(event: &Event) -> &native::Transaction {
    event.native.as_ref().unwrap().get().unwrap()
}

#[test]
fn change_is_no_payment_unless_it_is_all() {
    let asset = json!([{ "id": OTHER }]);
    let paid = |owners: &[&[&str]], outputs: &[(&[&str], &str)]| {
        payments(transaction("TRANSFER", owners, outputs, asset.clone()))
    };
    assert_eq!(paid(&[&["A"]], &[(&["B"], "4"), (&["A"], "5")]), ["A B 4 bb 0"]);
    // The index is the output's place, whatever stands before it.
    assert_eq!(paid(&[&["A"], &["A"]], &[(&["A"], "5"), (&["B"], "4")]), ["A B 4 bb 1"]);
    assert_eq!(paid(&[&["A"]], &[(&["A"], "9")]), ["A A 9 bb 0"]);
    // Shared with somebody else it is no change; of several senders nobody's.
    assert_eq!(paid(&[&["A"]], &[(&["A", "B"], "5"), (&["B"], "4")]), ["A A 5 bb 0", "A B 4 bb 1"]);
    assert_eq!(paid(&[&["A"], &["B"]], &[(&["A"], "5"), (&["C"], "4")]), ["A A 5 bb 0", "A C 4 bb 1"]);
    assert_eq!(paid(&[&["A"]], &[(&[], "5"), (&["C"], "4")]), ["A C 4 bb 1"]);
}

#[test]
fn assets_and_senders_by_operation() {
    let outputs: &[(&[&str], &str)] = &[(&["A"], "9000000000000000001"), (&["B"], "1")];
    let made = payments(transaction("CREATE", &[&["A"]], outputs, json!([{ "data": "Qm" }])));
    assert_eq!(made, ["issuance A 9000000000000000001 aa 0", "issuance B 1 aa 1"]);
    let composed = transaction("COMPOSE", &[&["A"]], &outputs[..1], json!([{ "data": "Qm" }, { "id": OTHER }]));
    assert_eq!(payments(composed.clone()), ["A A 9000000000000000001 aa 0"]);
    let whole = events(composed);
    assert_eq!(*native(&whole[0]).asset_ids, [Arc::from(ID), Arc::from(OTHER)]);
    let apart = transaction("DECOMPOSE", &[&["A"]], outputs, json!([{ "id": OTHER }, { "data": "Qm" }]));
    assert_eq!(payments(apart), ["A B 1 bb 1"]);
    for operation in ["VOTE", "VALIDATOR_ELECTION", "CHAIN_MIGRATION_ELECTION", "SOMETHING_NEW"] {
        let told = events(transaction(operation, &[&["A"]], outputs, json!([{ "id": OTHER }])));
        assert_eq!((told.len(), told[0].kind), (1, EventKind::Transaction), "{operation}");
    }
    // Nothing to go by at all.
    let bare = json!({ "id": ID, "operation": "VOTE" });
    assert_eq!(&*native(&events(bare)[0]).asset_id, ID);
}

#[test]
fn version_2_has_one_asset_and_any_metadata() {
    let mut old = transaction("TRANSFER", &[&["A"]], &[(&["B"], "1")], Value::Null);
    old["asset"] = json!({ "id": OTHER });
    old["metadata"] = json!({ "a": [1.5, { "b": null }] });
    let told = events(old.clone());
    assert_eq!((&*native(&told[0]).asset_id, native(&told[0]).asset_ids.len()), (OTHER, 1));
    let Body::Payment(payment) = &told[1].body else { panic!() };
    assert_eq!((&*payment.asset.id, &payment.memo), (OTHER, &None));
    old["operation"] = json!("CREATE");
    old["asset"] = json!({ "data": { "id": OTHER, "deep": [[[]]] } });
    old["metadata"] = json!("a word");
    let told = events(old);
    assert_eq!((&*native(&told[0]).asset_id, &*native(&told[0]).asset_ids[0]), (ID, ID));
    let Body::Payment(payment) = &told[1].body else { panic!() };
    assert_eq!(payment.memo.as_deref(), Some("a word"));
}

#[test]
fn who_is_found() {
    let told = events(transaction(
        "TRANSFER",
        &[&["A", "B"], &["A"]],
        &[(&["C", "D"], "4"), (&["E"], "5")],
        json!([{ "id": OTHER }]),
    ));
    let keys = |event: &Event| event.subjects.iter().map(|key| key.to_string()).collect::<Vec<_>>();
    let all: Vec<String> = "ABCDE".chars().map(|key| format!("account:{key}")).collect();
    assert_eq!(keys(&told[0]), all);
    assert_eq!(keys(&told[1]), all[..4]);
    let parties: &Parties = told[1].native.as_ref().unwrap().get().unwrap();
    let names = |names: &[Arc<str>]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (names(&parties.senders), names(&parties.owners)),
        (vec!["A".into(), "B".into()], vec!["C".into(), "D".into()])
    );
    let Body::Payment(payment) = &told[1].body else { panic!() };
    assert_eq!((&*payment.from, &*payment.to), ("A", "C"));
    // Who creates does not pay.
    let told = events(transaction("CREATE", &[&["A"]], &[(&["B"], "4")], json!([{}])));
    assert_eq!((keys(&told[1]), told[1].native.is_none()), (vec!["account:B".into()], true));
}

#[test]
fn what_is_no_transaction_is_refused() {
    let good = transaction("TRANSFER", &[&["A"]], &[(&["B"], "4")], json!([{ "id": OTHER }]));
    let read = |value: &Value| Transaction::read(&value.to_string());
    assert!(read(&good).unwrap().unread.is_none());
    let changed = |pointer: &str, to: Value| {
        let mut value = good.clone();
        *value.pointer_mut(pointer).unwrap() = to;
        value
    };
    for id in ["", "aa", "../../../../etc", &ID.to_uppercase(), &"é".repeat(32)] {
        assert!(read(&changed("/id", json!(id))).unwrap_err().contains("64 lower-case hex"), "{id}");
    }
    for text in ["", "null", "[]", "{", "{}", "\u{0}", "<html>"] {
        assert!(Transaction::read(text).is_err(), "{text}");
    }
    // As deep as anybody likes, where it is not looked at.
    let mut deep = good.to_string();
    deep.insert_str(1, &format!("\"x\":{}1{},", "[".repeat(100_000), "]".repeat(100_000)));
    assert!(Transaction::read(&deep).unwrap().unread.is_none());
    // What was accepted and cannot be read is told, with nothing else.
    let mut unread: Vec<Value> = ["-1", "1.5", "1e3", "", &"9".repeat(500)]
        .iter()
        .map(|amount| json!(amount))
        .chain([json!(4), json!(null)])
        .map(|amount| changed("/outputs/0/amount", amount))
        .collect();
    unread.push(changed("/operation", json!(1)));
    unread.push(changed("/outputs", json!({})));
    unread.push(changed("/inputs/0/owners_before", json!("A")));
    unread.push(changed("/inputs/0/owners_before", json!(["A".repeat(257)])));
    unread.push(changed("/assets/0/id", json!("A".repeat(257))));
    for value in unread {
        let text = value.to_string();
        let told = events(value);
        assert_eq!(
            (told.len(), &*told[0].id, &*native(&told[0]).asset_id, &*native(&told[0]).text),
            (1, ID, ID, &*text)
        );
        assert!(told[0].subjects.is_empty());
        let read = Transaction::read(&text).unwrap();
        let warning = transaction::unread(&[read], 7).unwrap();
        assert!(warning.contains(ID) && warning.contains("block 7"), "{warning}");
    }
}

#[test]
fn what_the_networks_own_readers_take() {
    let mut odd = transaction("TRANSFER", &[&["A"]], &[(&["B"], "4"), (&["C"], "5")], json!([{ "id": OTHER }]));
    odd["outputs"][1]["public_keys"] = Value::Null;
    odd["inputs"][0]["owners_before"] = Value::Null;
    odd["metadata"] = json!("m".repeat(2000));
    let told = events(odd);
    assert_eq!(told.len(), 2);
    let Body::Payment(payment) = &told[1].body else { panic!() };
    assert_eq!((&*payment.from, &*payment.to, &payment.memo), (ISSUANCE, "B", &None));
    // Of doubled members the last counts.
    let doubled = format!(
        r#"{{"id":"x","operation":"VOTE","outputs":1,"asset":{{"id":"x","id":"{OTHER}"}},"assets":null,
            "outputs":[{{"amount":1,"public_keys":7,"amount":"4","public_keys":["B"]}}],
            "inputs":[{{"owners_before":["X"],"owners_before":["A"]}}],"operation":"TRANSFER","id":"{ID}"}}"#
    );
    assert_eq!(payments_of(batch_of(7, "", [doubled]).events.split_off(1)), ["A B 4 bb 0"]);
}

#[test]
fn one_large_transaction_stays_small() {
    let owners: Vec<String> = (0..1500).map(|owner| format!("{owner:044}")).collect();
    let inputs: Vec<Value> = owners.iter().map(|owner| json!({ "owners_before": [owner] })).collect();
    let outputs: Vec<Value> = (0..20_000).map(|_| json!({ "public_keys": ["B"], "amount": "1" })).collect();
    let memo = "m".repeat(500_000);
    let text = json!({ "id": ID, "operation": "TRANSFER", "inputs": inputs, "outputs": outputs, "metadata": memo,
        "assets": [{ "id": OTHER }] });
    let batch = batch_of(7, "", [text.to_string()]);
    assert_eq!((batch.events.len(), batch.events[1].subjects.len()), (20_002, 1001));
    let parties = |event: &Event| event.native.as_ref().unwrap().get::<Parties>().unwrap().senders.clone();
    let (first, last) = (&batch.events[2], &batch.events[20_001]);
    assert!(Arc::ptr_eq(&parties(first), &parties(last)) && parties(first).len() == 1000);
    assert_eq!(last.subjects.len(), MAX_PAYERS + 1);
    assert!(batch.weight() < 120 << 20, "{} bytes", batch.weight());
}

#[test]
fn recorded_blocks() {
    let Some(batches) = batches() else { return };
    let payments = |batch: &LedgerBatch| batch.events.iter().filter(|event| event.kind == EventKind::Payment).count();
    // One for each of the 24 transactions: each makes something, composes, or gives to one other.
    assert_eq!(batches.iter().map(payments).sum::<usize>(), 24);
    assert!(batches.iter().all(|batch| batch.events.windows(2).all(|pair| pair[0].place < pair[1].place)));
    let first = &batches[3].events[2];
    let Body::Payment(payment) = &first.body else { panic!("{first:?}") };
    assert_eq!(payment.amount.as_ref().unwrap().to_string(), "41375566471722");
    assert!(payment.from.starts_with("HF5F") && payment.to.starts_with("8a6R"), "{payment:?}");
    assert!(batches.iter().all(|batch| batch.weight() > 100));
}
