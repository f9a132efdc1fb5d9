//! Every method as a client sees it; the transport is tested with `devnet::start`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::history::Network;
use super::super::tests::network;
use super::answer;

fn call(network: &Network, method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let body = answer(network, request.to_string().as_bytes()).unwrap().unwrap();
    let response: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&response["jsonrpc"], &response["id"]), (&json!("2.0"), &json!(7)));
    response
}

fn result(network: &Network, method: &str, params: Value) -> Value {
    let response = call(network, method, params);
    assert!(response["error"].is_null(), "{response}");
    response["result"].clone()
}

fn error(network: &Network, method: &str, params: Value) -> (i64, String) {
    let error = &call(network, method, params)["error"];
    let code = error["code"].as_i64().expect("an error");
    (code, error["message"].as_str().unwrap().to_owned())
}

/// Every item of a paged method from ledger 1000 on, and the last cursor.
fn walk(network: &Network, (method, list): (&str, &str), limit: usize, filters: Value) -> (Vec<Value>, String) {
    let mut items = Vec::new();
    let mut params = json!({"startLedger": 1_000, "pagination": {"limit": limit}});
    loop {
        if method == "getEvents" {
            params["filters"] = filters.clone();
        }
        let page = result(network, method, params);
        let found = page[list].as_array().unwrap();
        items.extend(found.iter().cloned());
        let cursor = page["cursor"].as_str().unwrap().to_owned();
        if found.len() < limit {
            return (items, cursor);
        }
        // The real server answers a getLedgers cursor at the tip with an error.
        if method == "getLedgers" && cursor.parse::<u64>().ok() == page["latestLedger"].as_u64() {
            return (items, cursor);
        }
        params = json!({"pagination": {"limit": limit, "cursor": cursor}});
    }
}

#[test]
fn walking_gives_every_item_once_whatever_the_page_is() {
    let network = network(1, 60, 12);
    let view = network.view();
    let transactions: Vec<&str> = view.from(0).flat_map(|l| &l.transactions).map(|t| t.hash.as_str()).collect();
    let events: Vec<String> = view.from(0).flat_map(|l| &l.events).map(|e| e.place.to_string()).collect();
    assert_eq!(events.iter().collect::<BTreeSet<_>>().len(), events.len());
    assert!(events.is_sorted());
    for limit in [1, 2, 7, 50, 200] {
        let (items, _) = walk(&network, ("getTransactions", "transactions"), limit, Value::Null);
        let hashes: Vec<&str> = items.iter().map(|t| t["txHash"].as_str().unwrap()).collect();
        assert_eq!(hashes, transactions);
        let (items, cursor) = walk(&network, ("getEvents", "events"), limit, json!([]));
        let ids: Vec<&str> = items.iter().map(|e| e["id"].as_str().unwrap()).collect();
        assert_eq!(ids, events);
        assert_eq!(cursor, format!("{:019}-4294967295", (1_012_u64 << 32) - 1));
        let (items, cursor) = walk(&network, ("getLedgers", "ledgers"), limit, Value::Null);
        let numbers: Vec<u64> = items.iter().map(|l| l["sequence"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1_000..1_012).collect::<Vec<_>>());
        assert_eq!(cursor, "1011");
    }
}

#[test]
fn events_have_the_members_of_the_real_server() {
    let network = network(1, 600, 5);
    let (events, _) = walk(&network, ("getEvents", "events"), 10_000, json!([]));
    let mut without_topics = 0;
    for event in &events {
        let ledger = event["ledger"].as_u64().unwrap();
        let (transaction, operation) =
            (event["transactionIndex"].as_u64().unwrap(), event["operationIndex"].as_u64().unwrap());
        let id = format!("{:019}-", ledger << 32 | transaction << 12 | operation);
        assert!(event["id"].as_str().unwrap().starts_with(&id), "{event}");
        assert!(["contract", "system"].contains(&event["type"].as_str().unwrap()));
        assert_eq!(event["ledgerClosedAt"], format!("2027-01-15T08:00:0{}Z", ledger - 1_000));
        assert!(event["contractId"].as_str().unwrap().starts_with('C'));
        assert!(event["value"].is_string() && event["inSuccessfulContractCall"].is_boolean());
        assert_ne!(event["topic"], json!([]), "left out when empty");
        without_topics += usize::from(event["topic"].is_null());
    }
    assert!(without_topics > 0);
}

#[test]
fn the_tip_behaves_as_on_the_real_server() {
    let network = network(1, 20, 3);
    // getEvents: an empty page and the same cursor.
    let (_, cursor) = walk(&network, ("getEvents", "events"), 1_000, json!([]));
    let page = result(&network, "getEvents", json!({"pagination": {"cursor": cursor}}));
    assert_eq!((&page["events"], &page["cursor"]), (&json!([]), &json!(cursor)));
    // getTransactions: an empty page, and a cursor that goes back.
    let (_, cursor) = walk(&network, ("getTransactions", "transactions"), 200, Value::Null);
    let page = result(&network, "getTransactions", json!({"pagination": {"cursor": cursor}}));
    let back = (1_002_u64 << 32 | 1).to_string();
    assert_eq!((&page["transactions"], &page["cursor"]), (&json!([]), &json!(back)));
    // Past the tip the cursor is 0, which is then refused.
    let past = (1_010_u64 << 32).to_string();
    let page = result(&network, "getTransactions", json!({"pagination": {"cursor": past}}));
    assert_eq!((&page["transactions"], &page["cursor"]), (&json!([]), &json!("0")));
    assert_eq!(
        error(&network, "getTransactions", json!({"pagination": {"cursor": "0"}})),
        (-32602, "database does not contain metadata for ledger: 0".to_owned())
    );
    // getLedgers: an error.
    assert_eq!(
        error(&network, "getLedgers", json!({"pagination": {"cursor": "1002"}})),
        (
            -32602,
            "cursor ('1002') must be between the oldest ledger: 1000 and the latest ledger: 1002 for this rpc instance"
                .to_owned()
        )
    );
}

#[test]
fn errors_have_the_texts_of_the_real_server() {
    let network = network(1, 20, 3);
    let range = "startLedger must be within the ledger range: 1000 - 1002";
    let start = |n| {
        format!(
            "start ledger ({n}) must be between the oldest ledger: 1000 and the latest ledger: 1002 for this rpc instance"
        )
    };
    let filters = |filters: Value| json!({"startLedger": 1_000, "filters": filters});
    let topics = |topics: Value| filters(json!([{"topics": topics}]));
    let old = (5_u64 << 32).to_string();
    let cases = [
        ("getEvents", json!({"startLedger": 999}), -32600, range.to_owned()),
        ("getEvents", json!({"startLedger": 1_003}), -32600, range.to_owned()),
        ("getEvents", json!({"pagination": {"cursor": "0000000021474836480-0000000000"}}), -32600, range.to_owned()),
        ("getEvents", json!({}), -32602, "startLedger must be positive".to_owned()),
        (
            "getEvents",
            json!({"startLedger": 1_000, "pagination": {"cursor": "1-1"}}),
            -32602,
            "ledger ranges and cursor cannot both be set".to_owned(),
        ),
        (
            "getEvents",
            json!({"startLedger": 1_000, "pagination": {"limit": 10_001}}),
            -32602,
            "limit must not exceed 10000".to_owned(),
        ),
        ("getEvents", filters(json!([{}, {}, {}, {}, {}, {}])), -32602, "maximum 5 filters per request".to_owned()),
        (
            "getEvents",
            filters(json!([{"contractIds": ["C1"]}])),
            -32602,
            "filter 1 invalid: contract ID 1 invalid".to_owned(),
        ),
        (
            "getEvents",
            filters(json!([{}, {"type": "diagnostic"}])),
            -32602,
            "filter 2 invalid: filter type invalid: if set, type must be either 'system' or 'contract'".to_owned(),
        ),
        (
            "getEvents",
            topics(json!([[]])),
            -32602,
            "filter 1 invalid: topic 1 invalid: topic must have at least 1 segment".to_owned(),
        ),
        (
            "getEvents",
            topics(json!([["*"], ["**", "*"]])),
            -32602,
            "filter 1 invalid: topic 2 invalid: segment 1 invalid: wildcard '**' is only allowed as the last segment"
                .to_owned(),
        ),
        (
            "getEvents",
            topics(json!([["*", "*", "*", "*", "*"]])),
            -32602,
            "filter 1 invalid: topic 1 invalid: topic cannot have more than 4 segments".to_owned(),
        ),
        (
            "getEvents",
            json!({"pagination": {"cursor": "x"}}),
            -32602,
            "invalid parameters: invalid event id x".to_owned(),
        ),
        ("getTransactions", json!({"startLedger": 9}), -32600, start(9)),
        ("getTransactions", json!({}), -32600, start(0)),
        ("getLedgers", json!({"startLedger": 1_003}), -32600, start(1_003)),
        (
            "getLedgers",
            json!({"startLedger": 1_000, "pagination": {"limit": 201}}),
            -32600,
            "limit must not exceed 200".to_owned(),
        ),
        (
            "getTransactions",
            json!({"startLedger": 1_000, "pagination": {"cursor": "77"}}),
            -32600,
            "startLedger (1000) and cursor (77) cannot both be set".to_owned(),
        ),
        (
            "getTransactions",
            json!({"pagination": {"cursor": old}}),
            -32602,
            "database does not contain metadata for ledger: 5".to_owned(),
        ),
        ("getTransaction", json!({"hash": "ab"}), -32602, "unexpected hash length (2)".to_owned()),
        ("nothing", json!({}), -32601, "method not found".to_owned()),
    ];
    for (method, params, code, text) in cases {
        assert_eq!(error(&network, method, params.clone()), (code, text), "{method} {params}");
    }
    for (method, params) in [
        ("getEvents", json!([1_000])),
        ("getEvents", json!({"startLedger": -1})),
        ("getEvents", topics(json!([["no xdr"]]))),
        ("getLedgers", json!({"startLedger": "1000"})),
        ("getLedgers", json!({"startLedger": 1_000, "xdrFormat": "yaml"})),
    ] {
        assert_eq!(error(&network, method, params.clone()).0, -32602, "{method} {params}");
    }
}

#[test]
fn filters_select_as_on_the_real_server() {
    const TRANSFER: &str = "AAAADwAAAAh0cmFuc2Zlcg==";
    let network = network(1, 300, 6);
    let (all, _) = walk(&network, ("getEvents", "events"), 10_000, json!([]));
    let topics = |event: &Value| event["topic"].as_array().map_or(0, Vec::len);
    let native = network.world.assets[0].contract.to_string();
    let own = network.world.contracts[0].to_string();
    let check = |filters: Value, wanted: &dyn Fn(&Value) -> bool| {
        let (found, _) = walk(&network, ("getEvents", "events"), 37, filters.clone());
        let expected: Vec<&Value> = all.iter().filter(|event| wanted(event)).collect();
        assert!(!expected.is_empty(), "{filters} would prove nothing");
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filters}");
    };
    check(json!([{}]), &|_| true);
    check(json!([{"topics": [["**"]]}]), &|_| true);
    check(json!([{"topics": [["*"]]}]), &|event| topics(event) == 1);
    check(json!([{"topics": [["*", "*", "*", "*"]]}]), &|event| topics(event) == 4);
    check(json!([{"topics": [["*", "*", "*", "**"]]}]), &|event| topics(event) >= 3);
    check(json!([{"topics": [[TRANSFER, "**"]]}]), &|event| event["topic"][0] == TRANSFER);
    check(json!([{"topics": [[TRANSFER, "*", "*"], ["*"]]}]), &|event| {
        topics(event) == 3 && event["topic"][0] == TRANSFER || topics(event) == 1
    });
    check(json!([{"type": "system"}]), &|event| event["type"] == "system");
    check(json!([{"type": "contract,system"}]), &|_| true);
    check(json!([{"contractIds": [native, own]}]), &|event| {
        event["contractId"] == native || event["contractId"] == own
    });
    check(json!([{"contractIds": [native], "topics": [[TRANSFER, "**"]]}]), &|event| {
        event["contractId"] == native && event["topic"][0] == TRANSFER
    });
    check(json!([{"type": "system"}, {"contractIds": [own]}]), &|event| {
        event["type"] == "system" || event["contractId"] == own
    });
}

#[test]
fn an_end_ledger_is_exclusive() {
    let network = network(1, 20, 4);
    let page = result(&network, "getEvents", json!({"startLedger": 1_001, "endLedger": 1_002}));
    let events = page["events"].as_array().unwrap();
    assert!(!events.is_empty() && events.iter().all(|event| event["ledger"] == 1_001));
    assert_eq!(page["cursor"], format!("{:019}-4294967295", (1_002_u64 << 32) - 1));
}

#[test]
fn every_answer_has_its_numbers_and_texts_in_the_right_type() {
    let network = network(1, 40, 3);
    let health = result(&network, "getHealth", Value::Null);
    assert_eq!(
        health,
        json!({
            "status": "healthy", "latestLedger": 1_002, "latestLedgerCloseTime": 1_800_000_002,
            "oldestLedger": 1_000, "oldestLedgerCloseTime": 1_800_000_000,
            "ledgerRetentionWindow": 100_000,
        })
    );
    let info = result(&network, "getNetwork", json!({}));
    assert_eq!(info, json!({"passphrase": "Test ; 2026", "protocolVersion": 25}));
    let latest = result(&network, "getLatestLedger", json!({}));
    let page = result(&network, "getLedgers", json!({"startLedger": 1_002}));
    let ledger = &page["ledgers"][0];
    assert_eq!(latest["id"], ledger["hash"]);
    assert_eq!(latest["metadataXdr"], ledger["metadataXdr"]);
    assert_eq!((&latest["sequence"], &latest["closeTime"]), (&json!(1_002), &json!("1800000002")));
    assert_eq!(ledger["ledgerCloseTime"], "1800000002");
    assert_eq!(page["latestLedgerCloseTime"], 1_800_000_002);
    let page = result(&network, "getEvents", json!({"startLedger": 1_002}));
    assert_eq!(page["latestLedgerCloseTime"], "1800000002");
    let page = result(&network, "getTransactions", json!({"startLedger": 1_002}));
    assert_eq!(page["oldestLedgerCloseTimestamp"], 1_800_000_000);
    let transaction = &page["transactions"][0];
    assert_eq!(transaction["createdAt"], 1_800_000_002);
    // By position, which this method alone understands.
    assert_eq!(result(&network, "getTransactions", json!([1_002])), page);

    let single = result(&network, "getTransaction", json!({"hash": transaction["txHash"]}));
    assert_eq!(single["createdAt"], "1800000002");
    assert_eq!(single["resultMetaXdr"], transaction["resultMetaXdr"]);
    let missing = result(&network, "getTransaction", json!({"hash": "0".repeat(64)}));
    assert_eq!(missing["status"], "NOT_FOUND");
    assert!(result(&network, "getVersionInfo", json!({}))["version"].is_string());
}

#[test]
fn json_is_offered_for_every_value() {
    let network = network(1, 200, 3);
    let params = json!({"startLedger": 1_000, "xdrFormat": "json", "pagination": {"limit": 100}});
    let ledgers = result(&network, "getLedgers", params.clone());
    let ledger = &ledgers["ledgers"][0];
    assert_eq!((&ledger["headerXdr"], &ledger["metadataXdr"]), (&json!(""), &json!("")));
    assert_eq!(ledger["headerJson"]["hash"], ledger["hash"]);
    assert!(ledger["metadataJson"]["v2"]["tx_processing"].is_array());
    let transactions = result(&network, "getTransactions", params.clone());
    for transaction in transactions["transactions"].as_array().unwrap() {
        assert!(transaction["envelopeXdr"].is_null() && transaction["envelopeJson"].is_object());
        assert!(transaction["resultMetaJson"]["v4"].is_object());
        let fee = &transaction["events"]["transactionEventsJson"][0];
        assert_eq!(fee["stage"], "before_all_txs");
        assert_eq!(fee["event"]["body"]["v0"]["topics"][0], json!({"symbol": "fee"}));
    }
    let events = result(&network, "getEvents", params);
    assert!(events["events"][0]["topic"].is_null());
    assert_eq!(events["events"][0]["topicJson"][0], json!({"symbol": "fee"}));
    assert!(events["events"][0]["valueJson"]["i128"].is_string());
}

#[test]
fn batches_and_notifications() {
    let network = network(1, 1, 1);
    let respond = |body: &str| answer(&network, body.as_bytes());
    let health = r#"{"jsonrpc":"2.0","id":"a","method":"getHealth"}"#;
    let silent = r#"{"jsonrpc":"2.0","method":"getHealth"}"#;
    let batch = respond(&format!("[{health},{silent},{health},3]")).unwrap().unwrap();
    let batch: Value = serde_json::from_str(&batch).unwrap();
    assert_eq!(batch.as_array().unwrap().len(), 3);
    assert_eq!((&batch[0]["id"], &batch[1]["result"]["status"]), (&json!("a"), &json!("healthy")));
    assert_eq!(batch[2]["error"]["code"], -32600);
    assert_eq!(respond(silent).unwrap(), None);
    assert_eq!(respond(&format!("[{silent}]")).unwrap(), None);
    assert!(respond("[]").unwrap().unwrap().contains("-32600"));
    assert!(respond(r#"{"id":1,"method":"getHealth"}"#).unwrap().unwrap().contains("-32600"));
    assert!(respond("{").is_err() && respond("").is_err());
}
