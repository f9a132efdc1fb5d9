use super::*;
use crate::source::xrpl::recordings;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The events of a kind of one transaction.
fn of_transaction(events: &[Event], kind: EventKind, order: u32) -> impl Iterator<Item = &Event> {
    events.iter().filter(move |event| event.kind == kind && event.place.transaction == order)
}

fn keys<'a>(event: &'a Event, prefix: &str) -> BTreeSet<&'a str> {
    event.subjects.iter().filter_map(|key| key.strip_prefix(prefix)).collect()
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// An asset and a value of the recordings, as events name them.
fn told(side: &Value) -> (String, Amount) {
    let (asset, value) = (side["asset"].as_str().unwrap(), side["value"].as_str().unwrap());
    let value = super::super::amounts::Decimal::parse(value).unwrap();
    match asset.split_once('/') {
        None => (asset.to_owned(), value.amount(6)),
        Some((code, issuer)) => (format!("{code}:{issuer}"), value.amount(0)),
    }
}

#[test]
fn affected_accounts_books_and_trades_are_those_of_the_model() {
    let Some(expected) = recordings::recorded("expected/per-transaction.json") else { return };
    let (mut trades, mut strangers) = (0, 0);
    for (file, transactions) in expected.as_object().unwrap() {
        let ledger = recordings::closed(file).unwrap();
        let batch = recordings::batch_of(&ledger);
        let transactions = transactions.as_array().unwrap();
        assert_eq!(transactions.len(), ledger.transactions.len());
        for (order, expected) in (1..).zip(transactions) {
            let event = of_transaction(&batch.events, EventKind::Transaction, order).next().unwrap();
            let native: &native::Transaction = event.native.as_ref().unwrap().get().unwrap();
            assert_eq!(
                (&*native.hash, &*native.result),
                (expected["hash"].as_str().unwrap(), expected["result"].as_str().unwrap())
            );
            let affected = texts(&expected["affected"]);
            assert_eq!(keys(event, "affected:"), affected, "{}", native.hash);
            let tx: Value = serde_json::from_str(&native.tx_json).unwrap();
            let mut accounts = affected.clone();
            accounts.extend(["Account", "Destination"].iter().filter_map(|name| tx[name].as_str()));
            assert_eq!(keys(event, "account:"), accounts);
            strangers += accounts.len() - affected.len();
            let books: BTreeSet<String> = expected["books"]
                .as_array()
                .unwrap()
                .iter()
                .map(|book| {
                    format!("{}/{}", book["taker_pays"].as_str().unwrap(), book["taker_gets"].as_str().unwrap())
                })
                .collect();
            assert_eq!(keys(event, "book:"), books.iter().map(String::as_str).collect(), "{}", native.hash);
            let found: Vec<_> = of_transaction(&batch.events, EventKind::Trade, order).collect();
            let model = expected["trades"].as_array().unwrap();
            assert_eq!(found.len(), model.len());
            trades += found.len();
            for (event, expected) in found.iter().zip(model) {
                let Body::Trade(trade) = &event.body else { panic!("{event:?}") };
                assert_eq!(&*trade.seller, expected["maker"].as_str().unwrap());
                assert_eq!(trade.offer.as_deref(), Some(&*expected["offer_sequence"].to_string()));
                assert_eq!(*trade.buyer, *tx["Account"].as_str().unwrap());
                assert_eq!((trade.sold.id.to_string(), trade.sold_amount.clone().unwrap()), told(&expected["sold"]));
                assert_eq!(
                    (trade.bought.id.to_string(), trade.bought_amount.clone().unwrap()),
                    told(&expected["paid"])
                );
            }
        }
    }
    assert!(trades >= 10 && strangers > 0, "{trades} trades, {strangers} receivers that were not affected");
}

/// What a client of that API version reads, made of the native form: the dialect does the same.
fn message(batch: &crate::event::LedgerBatch, event: &Event, version: u64) -> Value {
    let ledger: &native::Ledger = batch.native.as_ref().unwrap().get().unwrap();
    let native: &native::Transaction = event.native.as_ref().unwrap().get().unwrap();
    let mut tx: Value = serde_json::from_str(&native.tx_json).unwrap();
    tx["date"] = ledger.close_time.into();
    if let Some(funds) = &native.owner_funds {
        tx["owner_funds"] = (**funds).into();
    }
    let mut message = json!({
        "type": "transaction", "validated": true, "status": "closed", "close_time_iso": ledger.close_time_iso,
        "ledger_index": batch.ledger.index, "ledger_hash": ledger.hash, "engine_result": native.result,
        "engine_result_code": native.result_code, "engine_result_message": native.result_message,
        "meta": serde_json::from_str::<Value>(&native.meta).unwrap(),
    });
    if version == 1 {
        if let Some(amount) = &native.deliver_max {
            tx["Amount"] = serde_json::from_str(amount).unwrap();
        }
        tx["hash"] = (*native.hash).into();
        message["transaction"] = tx;
    } else {
        message["hash"] = (*native.hash).into();
        message["tx_json"] = tx;
    }
    message
}

#[test]
fn messages_are_those_of_the_model_field_for_field() {
    let mut compared = 0;
    for file in ["2013-309936", "2015-11119600", "2024-87704323"] {
        let Some(lines) = recordings::recorded_text(&format!("expected/{file}.jsonl")) else { return };
        let batch = recordings::batch(&format!("{file}.json")).unwrap();
        for version in [1, 2] {
            let expected: Vec<Value> = lines
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .filter(|line| line["api_version"] == version)
                .map(|mut line| line["message"].take())
                .collect();
            if expected.is_empty() {
                continue;
            }
            let transactions = batch.events.iter().filter(|event| event.kind == EventKind::Transaction);
            let found: Vec<Value> = transactions.map(|event| message(&batch, event, version)).collect();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected);
                compared += 1;
            }
        }
    }
    assert!(compared >= 50, "{compared}");
}

#[test]
fn the_ledger_comes_first_and_everything_has_its_place() {
    let Some(batch) = recordings::batch("2024-87704323.json") else { return };
    let kinds: Vec<_> = batch.events.iter().take(3).map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Ledger, EventKind::BookChanges, EventKind::Transaction]);
    assert_eq!((&*batch.events[0].id, &*batch.events[2].id), ("87704323-ledger", "87704323-0"));
    let ids: BTreeSet<_> = batch.events.iter().map(|event| &event.id).collect();
    assert_eq!(ids.len(), batch.events.len());
    assert!(batch.events.is_sorted_by_key(|event| event.place));
    let Body::Ledger(facts) = batch.events[0].body else { panic!() };
    assert_eq!(facts.transaction_count, 22);
}

/// The payment of a transaction recorded alone.
fn payment_of(tx: &Value, meta: &Value) -> Option<(Payment, Event)> {
    let batch = recordings::batch_of(&recordings::alone(tx, meta));
    let event = batch.events.into_iter().find(|event| event.kind == EventKind::Payment)?;
    let Body::Payment(payment) = event.body.clone() else { panic!() };
    Some((*payment, event))
}

#[test]
fn recorded_payments_of_all_sorts() {
    let alone = |file: &str| {
        recordings::recorded(&format!("txs/{file}.json")).map(|mut it| (it["tx"].take(), it["meta"].take()))
    };
    let Some((tx, meta)) = alone("DirectMPTPayment") else { return };
    let (payment, _) = payment_of(&tx, &meta).unwrap();
    assert_eq!((payment.asset.kind, payment.amount.unwrap().to_string()), ("mpt", "100".into()));
    assert_eq!(payment.asset.issuer.as_deref(), Some("rwREfyDU1SbcjN3xXZDbm8uNJV77T2ruKw"));

    // To oneself: no payment, but trades.
    let meta = recordings::recorded("txs/cross-currency-payment-meta.json").unwrap();
    let tx = json!({ "TransactionType": "Payment", "Account": "rA", "Destination": "rA", "DeliverMax": "1" });
    assert!(payment_of(&tx, &meta).is_none());
    let batch = recordings::batch_of(&recordings::alone(&tx, &meta));
    assert_eq!(batch.events.iter().filter(|event| event.kind == EventKind::Trade).count(), 3);

    for nothing_paid in ["NFTokenMint", "PaymentWithConvert", "OfferCreate", "AMMDeposit_usd"] {
        let (tx, meta) = alone(nothing_paid).unwrap();
        assert!(payment_of(&tx, &meta).is_none(), "{nothing_paid}");
    }

    let partial = recordings::recorded("txs/partialPaymentIOU-account_tx.json").unwrap();
    let (payment, event) = payment_of(&partial["tx_json"], &partial["meta"]).unwrap();
    let delivered = &partial["meta"]["delivered_amount"];
    assert_ne!(delivered["value"], partial["tx_json"]["DeliverMax"]["value"]);
    assert_eq!(payment.amount.unwrap(), Amount::parse(delivered["value"].as_str().unwrap()).unwrap());
    assert_eq!(event.assets[0].keys[0], "USD".into());
}

#[test]
fn who_paid_whom_and_what() {
    let success = |nodes: Value| json!({ "AffectedNodes": nodes, "TransactionResult": "tesSUCCESS" });
    let tx = json!({ "TransactionType": "Payment", "Account": "rA", "Destination": "rB", "DestinationTag": 7,
        "DeliverMax": "2500000", "Memos": [{ "Memo": { "MemoData": "72656E74" } }] });
    let (payment, _) = payment_of(&tx, &success(json!([]))).unwrap();
    assert_eq!((&*payment.from, &*payment.to, payment.to_muxed_id.as_deref()), ("rA", "rB", Some("7")));
    assert_eq!((payment.amount, payment.memo.as_deref()), (Amount::parse("2.5").ok(), Some("rent")));

    // A check is paid by who wrote it.
    let check = json!({ "DeletedNode": { "LedgerEntryType": "Check", "FinalFields": { "Account": "rWriter" } } });
    let tx = json!({ "TransactionType": "CheckCash", "Account": "rCasher", "Amount": "10" });
    let (payment, _) = payment_of(&tx, &success(json!([check]))).unwrap();
    assert_eq!((&*payment.from, &*payment.to, payment.operation), ("rWriter", "rCasher", Some("check_cash")));

    let tx = json!({ "TransactionType": "AccountDelete", "Account": "rA", "Destination": "rB" });
    let mut meta = success(json!([]));
    meta["DeliveredAmount"] = "99".into();
    let (payment, _) = payment_of(&tx, &meta).unwrap();
    assert_eq!(payment.amount, Amount::parse("0.000099").ok());

    // What was delivered is not known: there was a payment, of so and so much.
    meta.as_object_mut().unwrap().insert("delivered_amount".into(), "unavailable".into());
    let usd = json!({ "currency": "USD", "issuer": "rI", "value": "5" });
    let tx = json!({ "TransactionType": "Payment", "Account": "rA", "Destination": "rB", "Amount": usd });
    let (payment, event) = payment_of(&tx, &meta).unwrap();
    assert_eq!((&*payment.asset.id, payment.amount, event.assets[0].amount.clone()), ("USD:rI", None, None));

    let failed = json!({ "AffectedNodes": [], "TransactionResult": "tecPATH_DRY" });
    assert!(payment_of(&tx, &failed).is_none());
}

#[test]
fn books_are_told_of_offers_made_changed_and_gone_and_only_by_success() {
    let usd = json!({ "currency": "USD", "issuer": "rI", "value": "5" });
    let eur = json!({ "currency": "0000000000000000000000004555520000000000", "issuer": "rI", "value": "5" });
    let sides = |gets: &Value, pays: &Value| json!({ "TakerGets": gets, "TakerPays": pays });
    let node = |change: &str, fields: &str, gets: &Value, pays: &Value| json!({ change: { "LedgerEntryType": "Offer", fields: sides(gets, pays) } });
    let xrp = json!("5");
    let mut inside = node("CreatedNode", "NewFields", &usd, &eur);
    inside["CreatedNode"]["NewFields"]["DomainID"] = "ab".repeat(32).into();
    let nodes = json!([
        node("CreatedNode", "NewFields", &usd, &xrp),
        node("ModifiedNode", "PreviousFields", &xrp, &usd),
        node("DeletedNode", "FinalFields", &eur, &usd),
        node("ModifiedNode", "FinalFields", &eur, &xrp),
        inside,
    ]);
    let tx = json!({ "TransactionType": "OfferCreate", "Account": "rA" });
    let books = |result: &str| {
        let meta = json!({ "AffectedNodes": nodes, "TransactionResult": result });
        let batch = recordings::batch_of(&recordings::alone(&tx, &meta));
        let event = batch.events.into_iter().find(|event| event.kind == EventKind::Transaction).unwrap();
        keys(&event, "book:").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let domain = "AB".repeat(32);
    assert_eq!(
        books("tesSUCCESS"),
        ["EUR/rI/USD/rI", "USD/rI/EUR/rI/", "USD/rI/XRP", "XRP/USD/rI"].map(|book| match book.strip_suffix('/') {
            Some(book) => format!("{book}/{domain}"),
            None => book.to_owned(),
        })
    );
    assert_eq!(books("tecKILLED"), [""; 0]);
}

#[test]
fn a_transaction_that_touches_hundreds_of_accounts_is_told_to_each() {
    let account = |at: u32| {
        crate::source::xrpl::currency::address(&std::array::from_fn(|byte| at.to_be_bytes()[byte % 4] ^ 0x5a))
    };
    let nodes: Vec<Value> = (0..600)
        .map(|at| json!({ "ModifiedNode": { "LedgerEntryType": "AccountRoot", "FinalFields": { "Account": account(at) } } }))
        .collect();
    let tx =
        json!({ "TransactionType": "Payment", "Account": account(0), "Destination": account(1), "DeliverMax": "1" });
    let meta = json!({ "AffectedNodes": nodes, "TransactionResult": "tesSUCCESS" });
    let batch = recordings::batch_of(&recordings::alone(&tx, &meta));
    let event = batch.events.iter().find(|event| event.kind == EventKind::Transaction).unwrap();
    assert_eq!((keys(event, "affected:").len(), keys(event, "account:").len(), event.subjects.len()), (600, 600, 1200));
}

#[test]
fn pseudo_transactions_affect_nobody() {
    let zero = "rrrrrrrrrrrrrrrrrrrrrhoLvTp";
    let node = json!({ "ModifiedNode": { "LedgerEntryType": "Amendments", "FinalFields": { "Account": zero } } });
    let tx = json!({ "TransactionType": "EnableAmendment", "Account": zero, "Fee": "0" });
    let meta = json!({ "AffectedNodes": [node], "TransactionResult": "tesSUCCESS" });
    let batch = recordings::batch_of(&recordings::alone(&tx, &meta));
    assert!(keys(&batch.events[2], "affected:").is_empty());
}

#[test]
fn memos_are_text_where_they_can_be() {
    let memo = |hex: &str| {
        let json = json!({ "Memos": [{ "Memo": { "MemoData": hex } }] }).to_string();
        memo(&Fields::of(&json).unwrap()).map(|memo| memo.to_string())
    };
    assert_eq!(memo("72656E74").as_deref(), Some("rent"));
    for kept in ["FF", "7", "00", "zz", "72é5"] {
        assert_eq!(memo(kept).as_deref(), Some(kept));
    }
}
