use super::*;
use crate::source::xrpl::recordings;
use crate::source::xrpl::testing::{Chain, Shape};
use serde_json::{Value, json};

/// The `result` of a good answer.
fn good() -> Value {
    Chain::new(100, 3, 2).result(101, Shape::Second).unwrap()
}

fn read(result: &Value) -> Result<Answered, Reason> {
    ledger(&result.to_string(), 101)
}

fn taken(result: &Value) -> ClosedLedger {
    match read(result).unwrap() {
        Answered::Ledger(ledger) => *ledger,
        Answered::NotYet => panic!("not yet"),
    }
}

#[test]
fn both_versions_give_the_same_ledger() {
    let chain = Chain::new(100, 3, 2);
    let of = |shape| format!("{:?}", { ClosedLedger { bytes: 0, ..taken(&chain.result(101, shape).unwrap()) } });
    assert_eq!(of(Shape::Second), of(Shape::First));
    // Without the newer fields in the header and in a payment.
    assert_eq!(of(Shape::Second), of(Shape::Old));
}

#[test]
fn transactions_are_put_in_the_order_of_their_execution() {
    let ledger = taken(&good());
    assert_eq!(ledger.transactions.iter().map(|applied| applied.index).collect::<Vec<_>>(), [0, 1]);
    let mut turned = good();
    turned["ledger"]["transactions"].as_array_mut().unwrap().reverse();
    assert_eq!(format!("{:?}", taken(&turned).transactions), format!("{:?}", ledger.transactions));
}

#[test]
fn what_is_not_validated_is_not_there_yet() {
    let open = json!({ "ledger": { "closed": false, "ledger_index": "101" }, "ledger_current_index": 101, "validated": false });
    let mut unsure = good();
    unsure["validated"] = false.into();
    let mut without = good();
    without.as_object_mut().unwrap().remove("validated");
    let mut not_closed = good();
    not_closed["ledger"]["closed"] = false.into();
    for answer in [open, unsure, without, not_closed] {
        assert!(matches!(read(&answer), Ok(Answered::NotYet)), "{answer}");
    }
}

#[test]
fn a_ledger_is_whole_or_not_taken() {
    let other = "CD".repeat(32);
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(&str, Change); 17] = [
        ("ledger 102 came", &|answer| answer["ledger_index"] = 102.into()),
        ("ledger 100 came", &|answer| answer["ledger"]["ledger_index"] = "100".into()),
        ("no ledger_index", &|answer| drop(answer["ledger"].as_object_mut().unwrap().remove("ledger_index"))),
        ("two different hashes", &|answer| answer["ledger_hash"] = other.clone().into()),
        ("no ledger_hash", &|answer| answer["ledger"]["ledger_hash"] = "AB".into()),
        ("no parent_hash", &|answer| answer["ledger"]["parent_hash"] = Value::Null),
        ("no close_time", &|answer| drop(answer["ledger"].as_object_mut().unwrap().remove("close_time"))),
        ("no transactions", &|answer| drop(answer["ledger"].as_object_mut().unwrap().remove("transactions"))),
        ("transaction 0 is missing", &|answer| {
            drop(answer["ledger"]["transactions"].as_array_mut().unwrap().remove(0))
        }),
        ("transaction 1 is missing or twice", &|answer| {
            let list = answer["ledger"]["transactions"].as_array_mut().unwrap();
            list[1] = list[0].clone();
        }),
        ("0 transactions", &|answer| answer["ledger"]["transactions"] = json!([])),
        ("2 transactions", &|answer| answer["ledger"]["transaction_hash"] = "0".repeat(64).into()),
        ("without metadata", &|answer| {
            drop(answer["ledger"]["transactions"][0].as_object_mut().unwrap().remove("meta"));
        }),
        ("metadata that is no object", &|answer| answer["ledger"]["transactions"][0]["meta"] = "F0".into()),
        ("without TransactionIndex", &|answer| {
            let meta = answer["ledger"]["transactions"][0]["meta"].as_object_mut().unwrap();
            drop(meta.remove("TransactionIndex"));
        }),
        ("no object", &|answer| answer["ledger"]["transactions"][0] = other.clone().into()),
        ("a transaction whose hash is none", &|answer| answer["ledger"]["transactions"][0]["hash"] = "x".into()),
    ];
    for (reason, change) in cases {
        let mut answer = good();
        change(&mut answer);
        let told = read(&answer).unwrap_err();
        assert!(told.contains(reason), "{reason}: {told}");
    }
    for odd in [json!({}), json!([]), json!({ "ledger": 5, "validated": true })] {
        assert!(read(&odd).is_err(), "{odd}");
    }
    assert!(ledger("{\"validated\":true,\"ledger", 101).is_err());
}

/// The metadata of a transaction of this type, as it is passed on.
fn meta_of(kind: &str, own: Value, meta: Value, ledger: u32, close_time: u32) -> Value {
    let mut entry = json!({ "tx_json": own, "meta": meta, "hash": "AB".repeat(32) });
    entry["tx_json"]["TransactionType"] = kind.into();
    entry["meta"]["TransactionIndex"] = 0.into();
    let applied = transaction(&entry.to_string(), ledger, close_time).unwrap();
    serde_json::from_str(&applied.meta).unwrap()
}

#[test]
fn what_was_delivered_is_told_where_it_belongs() {
    const LATE: (u32, u32) = (90_000_000, 770_000_000);
    let success = || json!({ "TransactionResult": "tesSUCCESS" });
    let delivered =
        |kind, own, meta, (ledger, time)| meta_of(kind, own, meta, ledger, time)["delivered_amount"].clone();
    let token = json!({ "currency": "USD", "issuer": "rI", "value": "1" });
    assert_eq!(delivered("Payment", json!({ "DeliverMax": "5" }), success(), LATE), "5");
    assert_eq!(delivered("Payment", json!({ "Amount": token }), success(), LATE), token);
    let partial = json!({ "TransactionResult": "tesSUCCESS", "DeliveredAmount": "3" });
    assert_eq!(delivered("Payment", json!({ "Amount": "5" }), partial.clone(), LATE), "3");
    assert_eq!(delivered("AccountDelete", json!({}), partial.clone(), LATE), "3");
    assert_eq!(delivered("CheckCash", json!({ "Amount": "5" }), success(), LATE), "5");
    assert_eq!(delivered("CheckCash", json!({ "DeliverMin": "5" }), success(), LATE), "unavailable");
    // The server's own word stands.
    let told = json!({ "TransactionResult": "tesSUCCESS", "delivered_amount": "4", "DeliveredAmount": "3" });
    assert_eq!(delivered("Payment", json!({ "Amount": "5" }), told, LATE), "4");
    // Before it was written down: only late enough by number or by time.
    for (at, expected) in
        [((4_594_094, 446_000_000), "unavailable"), ((4_594_095, 446_000_000), "5"), ((4_594_094, 446_000_001), "5")]
    {
        assert_eq!(delivered("Payment", json!({ "Amount": "5" }), success(), at), expected, "{at:?}");
    }
    assert_eq!(delivered("Payment", json!({ "Amount": "5" }), partial, (1, 1)), "3");
    for (kind, result) in [("Payment", "tecPATH_DRY"), ("OfferCreate", "tesSUCCESS"), ("EscrowFinish", "tesSUCCESS")] {
        let meta = meta_of(kind, json!({ "Amount": "5" }), json!({ "TransactionResult": result }), LATE.0, LATE.1);
        assert_eq!(meta.get("delivered_amount"), None, "{kind} {result}");
    }
}

#[test]
fn a_transaction_keeps_its_own_fields_to_the_letter_and_loses_the_others() {
    let entry = r#"{"Account":"rA","Amount":"5","Big":100000000000000000001,"Fee":"1.0e1","TransactionType":"Future",
        "Nested":{"hash":1,"date":2},"hash":"ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB",
        "date":1,"ledger_index":5,"inLedger":5,"validated":true,"ctid":"C","owner_funds":"7.5",
        "metaData":{"TransactionIndex":0,"TransactionResult":"tesSUCCESS","New":1.50}}"#;
    let applied = transaction(entry, 101, 1).unwrap();
    assert_eq!(
        &*applied.tx_json,
        r#"{"Account":"rA","Amount":"5","Big":100000000000000000001,"Fee":"1.0e1","TransactionType":"Future","Nested":{"hash":1,"date":2}}"#
    );
    assert_eq!(&*applied.meta, r#"{"TransactionIndex":0,"TransactionResult":"tesSUCCESS","New":1.50}"#);
    assert_eq!((applied.owner_funds.as_deref(), applied.deliver_max), (Some("7.5"), None));
}

#[test]
fn recorded_ledgers_are_taken_and_follow_each_other() {
    let mut before: Option<ClosedLedger> = None;
    for file in recordings::LEDGERS {
        let Some(ledger) = recordings::closed(file) else { return };
        assert!(file.ends_with(&format!("-{}.json", ledger.index)));
        let recorded = recordings::recorded(&format!("ledgers/{file}")).unwrap();
        let header = recorded.get("ledger").unwrap_or(&recorded);
        assert_eq!(ledger.transactions.len(), header["transactions"].as_array().unwrap().len());
        if let Some(iso) = header["close_time_iso"].as_str() {
            assert_eq!((&*ledger.close_time_iso, &*iso_of(&ledger)), (iso, iso));
        }
        if let Some(before) = before.filter(|before| before.index + 1 == ledger.index) {
            assert_eq!(ledger.parent, before.hash);
            assert_eq!(before.total_coins.unwrap() - ledger.total_coins.unwrap(), ledger.burnt());
        }
        before = Some(ledger);
    }
}

fn iso_of(ledger: &ClosedLedger) -> Box<str> {
    super::iso(ledger.close_time)
}
