//! The XRP Ledger from a server's JSON-RPC to a client of its WebSocket API: recorded ledgers give the recorded
//! messages, faults lose nothing, large messages pass, and calls go through.
//!
//! The recordings are not part of the project: where they are not, those tests say so and do nothing.

use crate::common::PATIENCE;
use crate::common::server::Server;
use crate::common::xrpl_node::{Fault, LARGE, Node, index};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Where recordings are, if they are.
fn recordings() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/xrpl");
    if !folder.is_dir() {
        println!("skipped: no recordings of the XRP Ledger beside the project");
        return None;
    }
    Some(folder)
}

/// A recorded ledger as the `ledger` method answers it; old recordings are bare ledgers.
fn recorded(folder: &Path, name: &str) -> Value {
    let text = std::fs::read_to_string(folder.join("ledgers").join(name)).unwrap();
    let read: Value = serde_json::from_str(&text).unwrap();
    match read.get("ledger") {
        Some(_) => read,
        None => json!({"ledger_hash": read["ledger_hash"], "ledger_index": read["ledger_index"].as_str().unwrap()
            .parse::<u64>().unwrap(), "validated": true, "ledger": read}),
    }
}

fn settings(node: SocketAddr, source: &str, rippled: &str, more: &str) -> String {
    format!(
        "sources:\n  xrpl:\n    type: xrpl_rpc\n    config: {{ rpc_url: 'http://{node}', poll_interval: 50ms, timeout: 2s{source} }}\n\
         listeners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
         - {{ dialect: rippled, path: /, sources: [xrpl], config: {rippled} }}\n      \
         - {{ dialect: flow, path: /ws, sources: [xrpl] }}\n\
         admin: {{ bind: 127.0.0.1:0 }}\n{more}\n"
    )
}

/// A server that says that it is blocked is left alone for 38 s at most, if it says so when it is asked.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// A client of the WebSocket API.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Messages that came while an answer was waited for.
    messages: Vec<Value>,
    next: u64,
}

impl Client {
    async fn connect(address: SocketAddr) -> Client {
        let config = WebSocketConfig::default().max_message_size(Some(64 << 20)).max_frame_size(Some(64 << 20));
        let url = format!("ws://{address}/");
        let connecting = tokio_tungstenite::connect_async_with_config(url, Some(config), false);
        let (socket, _) = timeout(PATIENCE, connecting).await.expect("in time").expect("it listens");
        Client { socket, messages: Vec::new(), next: 1 }
    }

    async fn receive(&mut self) -> Value {
        loop {
            let message = timeout(LONGEST_SILENCE, self.socket.next()).await.expect("something comes");
            match message.expect("it is open").expect("it is good") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// Sends a request and gives the answer; what else comes before it is kept.
    async fn ask(&mut self, mut request: Value) -> Value {
        let id = json!({"number": self.next});
        self.next += 1;
        request["id"] = id.clone();
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        loop {
            let message = self.receive().await;
            if message["type"] == "response" {
                assert_eq!(message["id"], id, "{message}");
                return message;
            }
            self.messages.push(message);
        }
    }

    async fn subscribe(&mut self, request: Value) {
        let mut whole = json!({"command": "subscribe"});
        whole.as_object_mut().unwrap().extend(request.as_object().unwrap().clone());
        let answer = self.ask(whole).await;
        assert_eq!(answer["status"], "success", "{answer}");
    }

    /// The next message of a stream.
    async fn next(&mut self) -> Value {
        match self.messages.is_empty() {
            true => self.receive().await,
            false => self.messages.remove(0),
        }
    }

    /// Everything up to the last transaction of a ledger.
    async fn through(&mut self, ledger: u64) -> Vec<Value> {
        let mut messages = Vec::new();
        let mut left = None;
        while left != Some(0) {
            let message = self.next().await;
            let of_it = message["ledger_index"] == ledger;
            match message["type"].as_str() {
                Some("ledgerClosed") if of_it => left = message["txn_count"].as_u64(),
                Some("transaction") if of_it => left = left.map(|left| left - 1),
                _ => {}
            }
            messages.push(message);
        }
        messages
    }
}

/// Whole ledgers in order: each closes with its number of transactions, in the order of execution.
fn check_rows(messages: &[Value], first: u64, last: u64) {
    let mut rest = messages.iter();
    for ledger in first..=last {
        let closed = rest.next().expect("a ledger closes");
        assert_eq!((&closed["type"], &closed["ledger_index"]), (&json!("ledgerClosed"), &json!(ledger)));
        for place in 0..closed["txn_count"].as_u64().unwrap() {
            let transaction = rest.next().expect("as many as it says");
            assert_eq!(transaction["ledger_index"], ledger, "{transaction}");
            assert_eq!(transaction["meta"]["TransactionIndex"], place);
        }
    }
    assert_eq!(rest.next(), None);
}

#[tokio::test]
async fn recorded_ledgers_give_the_recorded_messages() {
    let Some(folder) = recordings() else { return };
    let mut rows: BTreeMap<u64, (&str, Vec<&str>)> = BTreeMap::new();
    rows.insert(309_936, ("2013-309936.jsonl", vec!["2013-309936.json", "2013-309937.json"]));
    rows.insert(11_119_600, ("2015-11119600.jsonl", vec!["2015-11119599.json", "2015-11119600.json"]));
    rows.insert(87_704_323, ("2024-87704323.jsonl", vec!["2024-87704323.json"]));
    for (wanted, (expected, files)) in rows {
        let node = Node::start(files.iter().map(|file| recorded(&folder, file)).collect());
        let (first, last) = (index(&recorded(&folder, files[0])), index(&recorded(&folder, files[files.len() - 1])));
        // The client comes before the ledger: the head does not exist until it is there.
        node.misbehave(Some(Fault::Error("noNetwork", 17)), &[]);
        let start = format!(", start_ledger: {first}");
        let server = Server::start(&settings(node.address, &start, "{}", ""));
        let mut clients = Vec::new();
        for version in [1, 2] {
            let mut client = Client::connect(server.clients).await;
            client.subscribe(json!({"streams": ["ledger", "transactions"], "api_version": version})).await;
            clients.push(client);
        }
        node.validate(last);
        node.misbehave(None, &[]);
        let text = std::fs::read_to_string(folder.join("expected").join(expected)).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (version, client) in clients.iter_mut().enumerate() {
            let of_version = lines.iter().filter(|line| line["api_version"] == version + 1);
            let told: Vec<&Value> = of_version.map(|line| &line["message"]).collect();
            let messages = client.through(last).await;
            check_rows(&messages, first, last);
            if !told.is_empty() {
                let got = messages.iter().filter(|m| m["type"] == "transaction" && m["ledger_index"] == wanted);
                for (got, told) in got.clone().zip(&told) {
                    assert_eq!(got, *told, "ledger {wanted}, version {}", version + 1);
                }
                assert_eq!(got.count(), told.len(), "ledger {wanted}, version {}", version + 1);
            }
        }
    }
}

/// A ledger of one big transaction and some small ones, made up: it links to the one before.
fn made_up(index: u64, transactions: usize, bytes: usize) -> Value {
    let hash = |index: u64| format!("{index:064X}");
    let list: Vec<Value> = (0..transactions)
        .map(|place| {
            let id = format!("{:064X}", index * 1000 + place as u64);
            let memo = if place == 0 { "AB".repeat(bytes / 2) } else { "AB".to_owned() };
            json!({"hash": id, "tx_json": {"Account": "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",
                "Destination": "rrrrrrrrrrrrrrrrrrrrBZbvji", "DeliverMax": "9007199254740993", "Fee": "10",
                "Sequence": place + 1, "TransactionType": "Payment", "Memos": [{"Memo": {"MemoData": memo}}]},
                "meta": {"TransactionIndex": place, "TransactionResult": "tesSUCCESS",
                    "delivered_amount": "9007199254740993", "AffectedNodes": [{"ModifiedNode": {
                    "LedgerEntryType": "AccountRoot", "LedgerIndex": id, "FinalFields": {
                        "Account": "rrrrrrrrrrrrrrrrrrrrBZbvji", "Balance": "9007199254740994"}}}]}})
        })
        .collect();
    let empty = list.is_empty();
    json!({"ledger_hash": hash(index), "ledger_index": index, "validated": true, "ledger": {
        "ledger_hash": hash(index), "ledger_index": index, "parent_hash": hash(index - 1), "closed": true,
        "close_time": 800_000_000 + index, "close_time_iso": "2025-05-08T06:13:20Z",
        "transaction_hash": if empty { "0".repeat(64) } else { hash(index + 1) }, "transactions": list}})
}

#[tokio::test]
async fn every_fault_leaves_each_ledger_once_and_in_order() {
    let first = 1000;
    let faults = [
        Fault::Close,
        Fault::Cut,
        Fault::Status(500),
        Fault::Status(503),
        Fault::Garbage,
        Fault::Error("slowDown", 10),
        Fault::Error("tooBusy", 9),
        Fault::Error("noNetwork", 17),
        Fault::Error("amendmentBlocked", 14),
        Fault::Error("internal", 73),
        Fault::NotValidated,
        Fault::Short,
        Fault::WithoutMeta,
        Fault::WrongLedger,
        Fault::HeadBack,
        Fault::Hole,
        Fault::Hang,
    ];
    let last = first + 2 * faults.len() as u64 + 1;
    let node = Node::start((first..=last).map(|ledger| made_up(ledger, (ledger % 4) as usize, 2)).collect());
    let server = Server::start(&settings(node.address, "", "{}", ""));
    server.wait_ready();
    let mut client = Client::connect(server.clients).await;
    client.subscribe(json!({"streams": ["ledger", "transactions"], "api_version": 2})).await;
    let mut head = first;
    for fault in faults {
        let of_ledger = matches!(
            fault,
            Fault::NotValidated | Fault::Short | Fault::WithoutMeta | Fault::WrongLedger | Fault::Garbage | Fault::Cut
        );
        node.misbehave(Some(fault), if of_ledger { &["ledger"] } else { &[] });
        head += 2;
        node.validate(head);
        tokio::time::sleep(Duration::from_millis(400)).await;
        node.misbehave(None, &[]);
        // The client's own requests are answered meanwhile.
        let pong = client.ask(json!({"command": "ping"})).await;
        assert_eq!(pong["result"], json!({}), "{fault:?}");
    }
    node.validate(last);
    let mut messages = client.through(last).await;
    messages.retain(|message| message["type"] != "response");
    check_rows(&messages, first + 1, last);
    assert_eq!(server.metric("ledgercast_sessions_closed_total"), 0.0);
}

#[tokio::test]
async fn large_messages_and_large_amounts_pass() {
    let node = Node::start((1..=3).map(|ledger| made_up(ledger, 2, if ledger == 2 { 1_500_000 } else { 2 })).collect());
    let server = Server::start(&settings(node.address, "", "{}", ""));
    server.wait_ready();
    let mut clients = Vec::new();
    for streams in [json!({"streams": ["ledger", "transactions"]}), json!({"accounts": ["rrrrrrrrrrrrrrrrrrrrBZbvji"]})]
    {
        let mut client = Client::connect(server.clients).await;
        client.subscribe(streams).await;
        clients.push(client);
    }
    node.validate(3);
    for client in &mut clients {
        let mut transactions = Vec::new();
        while transactions.len() < 4 {
            let message = client.next().await;
            if message["type"] == "transaction" {
                transactions.push(message);
            }
        }
        let big = &transactions[0];
        let memo = big["transaction"]["Memos"][0]["Memo"]["MemoData"].as_str().unwrap();
        assert_eq!(memo.len(), 1_500_000);
        // More than a double holds exactly.
        for field in ["Amount", "DeliverMax"] {
            assert_eq!(big["transaction"][field], "9007199254740993");
        }
        assert_eq!(big["meta"]["delivered_amount"], "9007199254740993");
    }
}

#[tokio::test]
async fn calls_go_through_and_server_info_outlives_the_server() {
    let node = Node::start((1..=2).map(|ledger| made_up(ledger, 1, 2)).collect());
    let server = Server::start(&settings(node.address, "", "{}", ""));
    server.wait_ready();
    let mut client = Client::connect(server.clients).await;
    let account = "rrrrrrrrrrrrrrrrrrrrBZbvji";
    let answer = client.ask(json!({"command": "account_info", "account": account, "api_version": 2})).await;
    assert_eq!(answer["result"]["account_data"]["Balance"], "9007199254740993");
    assert_eq!((&answer["status"], answer["result"].get("status")), (&json!("success"), None));
    let refused = client.ask(json!({"command": "fee"})).await;
    assert_eq!((&refused["error"], &refused["error_code"]), (&json!("unknownCmd"), &json!(32)), "{refused}");
    // A snapshot is of the ledger at which the subscription begins.
    let issuer = "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh";
    let book = json!({"taker_pays": {"currency": "XRP"}, "taker_gets": {"currency": "USD", "issuer": issuer},
        "snapshot": true});
    let answer = client.ask(json!({"command": "subscribe", "books": [book]})).await;
    assert_eq!(answer["result"]["offers"][0]["quality"], "1", "{answer}");
    let info = client.ask(json!({"command": "server_info"})).await;
    assert_eq!(info["result"]["info"]["complete_ledgers"], "1-1");
    // The server is gone: what was last known is told, at once and with an honest age; calls say so.
    node.misbehave(Some(Fault::Close), &[]);
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    let before = tokio::time::Instant::now();
    let later = client.ask(json!({"command": "server_info"})).await;
    assert!(before.elapsed() < Duration::from_secs(15), "a client waits 20 s for it");
    let age = |info: &Value| info["result"]["info"]["validated_ledger"]["age"].as_u64().unwrap();
    assert!(age(&later) >= age(&info) + 3, "{later}");
    for (version, error) in [(1, "noNetwork"), (2, "notSynced")] {
        let answer = client.ask(json!({"command": "account_info", "account": account, "api_version": version})).await;
        assert_eq!(answer["error"], error, "{answer}");
    }
    assert_eq!(client.ask(json!({"command": "ping"})).await["result"], json!({}));
}

/// Two dialects over one source, by one index.
#[tokio::test]
async fn flow_shows_the_same_ledger() {
    let node = Node::start((1..=3).map(|ledger| made_up(ledger, 2, 2)).collect());
    let server = Server::start(&settings(node.address, "", "{}", ""));
    server.wait_ready();
    let mut client = crate::common::client::Client::connect(server.clients).await;
    let mut events = Vec::new();
    let filters = json!({"types": ["payment"], "asset_codes": ["XRP"], "min_amount": "9007199254.740993"});
    client.registered(&filters, &mut events).await;
    node.validate(3);
    let mut amounts = Vec::new();
    while amounts.len() < 4 {
        let event: Value = serde_json::from_str(&client.next_text().await).unwrap();
        assert_eq!((&event["type"], &event["to"]), (&json!("payment"), &json!("rrrrrrrrrrrrrrrrrrrrBZbvji")));
        amounts.push(event["amount"].clone());
    }
    assert!(amounts.iter().all(|amount| amount == "9007199254.740993"), "{amounts:?}");
}

/// Clients that ask for much and read nothing: what waits for them is bounded, for each and for all.
#[tokio::test]
async fn large_answers_wait_within_bounds() {
    const CLIENTS: usize = 12;
    let node = Node::start((1..=2).map(|ledger| made_up(ledger, 1, 2)).collect());
    let server =
        Server::start(&settings(node.address, "", "{}", "workers: 1\nlimits: { outbox_total: 8MiB, stall: 60s }"));
    server.wait_ready();
    let before = server.process.memory();
    let ask = |number: u64| json!({"id": number, "command": "account_lines", "account": "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"});
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Client::connect(server.clients).await;
        for number in 0..4 {
            client.socket.send(Message::text(ask(number).to_string())).await.unwrap();
        }
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let grown = server.process.memory().saturating_sub(before);
    assert!(grown < 24 << 20, "{} MiB for {} MiB of answers", grown >> 20, (4 * CLIENTS * LARGE) >> 20);
    // Nobody else notices.
    let mut other = Client::connect(server.clients).await;
    assert_eq!(other.ask(json!({"command": "ping"})).await["result"], json!({}));
}
