//! What a client that takes everything gets is what the RPC says of the same ledgers.

use crate::common::client::Client;
use crate::common::server::{Devnet, Server, settings};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const LEDGERS: u64 = 12;

/// Pages through a method; `items` is the member with the list.
fn pages(devnet: &Devnet, method: &str, items: &str, first: u64, last: u64, more: Value) -> Vec<Value> {
    let ledger = |item: &Value| item.get("ledger").or(item.get("sequence")).and_then(Value::as_u64).unwrap();
    let mut all = Vec::new();
    let mut params = json!({"startLedger": first, "pagination": {"limit": 150}});
    loop {
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut answer = devnet.rpc(method, params);
        let page = answer[items].take();
        let page = page.as_array().unwrap();
        all.extend(page.iter().filter(|item| ledger(item) <= last).cloned());
        if page.is_empty() || page.iter().any(|item| ledger(item) > last) {
            return all;
        }
        params = json!({"pagination": {"limit": 150, "cursor": answer["cursor"]}});
    }
}

#[tokio::test]
async fn events_are_what_the_rpc_says() {
    let devnet = Devnet::start("4", 150);
    let server = Server::start(&settings(devnet.address, ""));
    server.wait_ready();
    let mut client = Client::connect(server.clients).await;
    client.registered(&json!({}), &mut Vec::new()).await;
    let mut by_type: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    loop {
        let event: Value = serde_json::from_str(&client.next_text().await).unwrap();
        let ledgers = by_type.get("ledger").map_or(0, Vec::len) as u64;
        if event["type"] == "ledger" && ledgers == LEDGERS {
            break;
        }
        by_type.entry(event["type"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    let got = |kind: &str| by_type.get(kind).map(Vec::as_slice).unwrap_or_default();
    let first = got("ledger")[0]["ledger"].as_u64().unwrap();
    let last = first + LEDGERS - 1;

    // Ledgers: numbers, hashes, and the chain they make.
    let ledgers = pages(&devnet, "getLedgers", "ledgers", first, last, json!({}));
    assert_eq!(ledgers.len() as u64, LEDGERS);
    for (event, ledger) in got("ledger").iter().zip(&ledgers) {
        assert_eq!((&event["ledger"], &event["hash"]), (&ledger["sequence"], &ledger["hash"]));
        let closed: jiff::Timestamp = event["ledger_closed_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(closed.as_second().to_string(), ledger["ledgerCloseTime"].as_str().unwrap());
    }
    for pair in got("ledger").windows(2) {
        assert_eq!(pair[1]["previous_hash"], pair[0]["hash"]);
    }

    // Transactions: the same ones in the same order, failed ones as well.
    let transactions = pages(&devnet, "getTransactions", "transactions", first, last, json!({}));
    assert_eq!(got("transaction").len(), transactions.len());
    for (event, transaction) in got("transaction").iter().zip(&transactions) {
        assert_eq!(event["transaction_hash"], transaction["txHash"]);
        assert_eq!(event["ledger"], transaction["ledger"]);
        assert_eq!(event["application_order"], transaction["applicationOrder"]);
        assert_eq!(event["successful"], json!(transaction["status"] == "SUCCESS"));
    }
    for event in got("ledger") {
        let of_it = transactions.iter().filter(|transaction| transaction["ledger"] == event["ledger"]);
        let (all, successful) =
            of_it.fold((0, 0), |(all, good), it| (all + 1, good + u64::from(it["status"] == "SUCCESS")));
        assert_eq!(
            (event["transaction_count"].as_u64(), event["successful_count"].as_u64()),
            (Some(all), Some(successful))
        );
    }

    // Contract events: the same ids, contracts, topics and values.
    let as_json = pages(&devnet, "getEvents", "events", first, last, json!({"xdrFormat": "json"}));
    let as_base64 = pages(&devnet, "getEvents", "events", first, last, json!({}));
    assert_eq!(as_json.len(), as_base64.len());
    let events: BTreeMap<&str, &Value> =
        got("contract_event").iter().map(|event| (event["id"].as_str().unwrap(), event)).collect();
    assert_eq!(events.len(), got("contract_event").len(), "every id once");
    let said: BTreeMap<&str, &Value> = as_json.iter().map(|event| (event["id"].as_str().unwrap(), event)).collect();
    assert_eq!(events.keys().collect::<Vec<_>>(), said.keys().collect::<Vec<_>>());
    for (id, event) in &events {
        let said = said[id];
        // The RPC leaves an empty list out.
        assert_eq!(event["topics"], *said.get("topicJson").unwrap_or(&json!([])), "{id}");
        assert_eq!(event["data"], said["valueJson"], "{id}");
        assert_eq!(event["contract_id"], said["contractId"], "{id}");
        assert_eq!(event["transaction_hash"], said["txHash"], "{id}");
        assert_eq!(event["event_type"], said["type"], "{id}");
        assert_eq!(event["ledger"], said["ledger"], "{id}");
        assert_eq!(event["ledger_closed_at"], said["ledgerClosedAt"], "{id}");
    }

    // Every kind was there, and payments and trades belong to transactions that succeeded.
    let succeeded: Vec<&Value> =
        transactions.iter().filter(|it| it["status"] == "SUCCESS").map(|it| &it["txHash"]).collect();
    for kind in ["payment", "trade"] {
        assert!(!got(kind).is_empty(), "{kind}");
        for event in got(kind) {
            assert!(succeeded.contains(&&event["transaction_hash"]), "{event}");
        }
    }
}
