//! Flow's promises that need a whole server and more than one plain ledger: a break in the row is
//! told to everybody, and networks can be told apart.

use crate::common::client::{Client, Head};
use crate::common::raw::{REQUEST, Raw, TEXT};
use crate::common::server::{Devnet, Server, settings_with};
use ledgercast::devnet;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

/// A network in this process, other than those that the program starts by itself.
async fn network(passphrase: &str, retention: u32, events_per_ledger: usize) -> devnet::Devnet {
    let settings = devnet::Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        ledger_interval: Duration::from_millis(100),
        passphrase: passphrase.to_owned(),
        retention,
        events_per_ledger,
        ..devnet::Settings::default()
    };
    devnet::start(settings).await.unwrap()
}

/// The next break, and the events before it.
async fn until_break(client: &mut Client) -> (String, Vec<String>) {
    let mut before = Vec::new();
    loop {
        let text = client.next_text().await;
        if text.starts_with(r#"{"type":"gap""#) {
            return (text, before);
        }
        before.push(text);
    }
}

/// The server stands still for longer than the RPC keeps ledgers. Whatever the filters, and even
/// before registration, a session is told once, between the ledgers around the gap.
#[tokio::test]
async fn a_gap_is_told_to_everybody() {
    let devnet = network("flow's gaps", 8, 10).await;
    let flow = "{ max_queue_size: 10000, registration_timeout: 60s }";
    let server = Server::start(&settings_with(devnet.address(), flow, ""));
    server.wait_ready();
    let mut waiting = Client::connect(server.clients).await;
    let mut registered = Vec::new();
    for filters in [
        json!({"types": ["ledger"]}),
        json!({}),
        json!({"types": ["no such type"]}),
        json!({"account_ids": ["G..."], "asset_codes": ["NONE"], "min_amount": "1"}),
    ] {
        let mut client = Client::connect(server.clients).await;
        client.registered(&filters, &mut Vec::new()).await;
        registered.push(client);
    }
    // A few ledgers that all of them are live for.
    let mut live = String::new();
    for _ in 0..3 {
        live = registered[0].next_text().await;
    }
    server.process.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    server.process.signal(Signal::CONT);

    let (gap, before) = until_break(&mut registered[0]).await;
    let last = Head::of(before.last().unwrap_or(&live)).ledger;
    let next = Head::of(&registered[0].next_text().await).ledger;
    let told: Value = serde_json::from_str(&gap).unwrap();
    let keys: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["from_ledger", "network", "reason", "to_ledger", "type"]);
    assert_eq!((&told["from_ledger"], &told["to_ledger"]), (&json!(last + 1), &json!(next - 1)), "{gap}");
    assert!(told["network"].as_str().unwrap().starts_with("stellar-"), "{gap}");
    assert!(!told["reason"].as_str().unwrap().is_empty(), "{gap}");

    let (everything, ledgers_only) = (1, 0);
    for (number, client) in registered.iter_mut().enumerate().skip(1) {
        let (same, before) = until_break(client).await;
        assert_eq!(same, gap);
        if number == everything {
            assert!(before.iter().all(|text| Head::of(text).ledger <= last));
            assert_eq!(Head::of(&client.next_text().await).ledger, next);
        } else {
            assert!(before.is_empty(), "{before:?}");
        }
    }
    // Who registers only now gets it in its queue, in order.
    let answer = waiting.registered(&json!({"types": ["ledger"]}), &mut Vec::new()).await;
    assert!(answer.get("dropped").is_none(), "{answer}");
    let (same, before) = until_break(&mut waiting).await;
    assert_eq!(same, gap);
    let ledgers: Vec<u64> = before.iter().map(|text| Head::of(text).ledger).collect();
    assert_eq!(ledgers.last(), Some(&last));
    assert!(ledgers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ledgers:?}");
    // And once: what follows is a row again.
    for (client, first) in [(&mut waiting, next), (&mut registered[ledgers_only], next + 1)] {
        for ledger in first..first + 5 {
            let head = Head::of(&client.next_text().await);
            assert_eq!((head.kind.as_str(), head.ledger), ("ledger", ledger));
        }
    }
}

/// Two networks behind one path and one of them behind another, of the same server.
#[tokio::test]
async fn events_of_several_networks_say_whose_they_are() {
    let first = Devnet::start("10", 20);
    let second = network("another network", 1000, 20).await;
    let sources = [("one", first.address), ("two", second.address())]
        .map(|(name, rpc)| {
            format!(
                "  {name}:\n    type: stellar_rpc\n    config: {{ rpc_url: 'http://{rpc}', poll_interval: 50ms }}\n"
            )
        })
        .concat();
    let server = Server::start(&format!(
        "sources:\n{sources}listeners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
         - {{ dialect: flow, path: /ws, sources: [one, two] }}\n      \
         - {{ dialect: flow, path: /one, sources: [one] }}\nadmin: {{ bind: 127.0.0.1:0 }}\n"
    ));
    server.wait_ready();
    let mut alone = Raw::dial(server.clients);
    alone.send(REQUEST.replacen("/ws", "/one", 1).as_bytes());
    assert_eq!(alone.head().status, 101);
    let mut client = Client::connect(server.clients).await;
    alone.text(r#"{"type":"register"}"#);
    client.registered(&json!({}), &mut Vec::new()).await;

    // By network: the events, the ids, the ledgers in a row.
    let mut networks: BTreeMap<String, (Vec<String>, HashSet<String>, u64)> = BTreeMap::new();
    let enough = |networks: &BTreeMap<String, (Vec<String>, HashSet<String>, u64)>| {
        networks.len() == 2 && networks.values().all(|(texts, ..)| texts.len() > 100)
    };
    while !enough(&networks) {
        let text = client.next_text().await;
        let event: Value = serde_json::from_str(&text).unwrap();
        let network = event["network"].as_str().unwrap_or_else(|| panic!("no network: {text}"));
        let (texts, ids, last) = networks.entry(network.to_owned()).or_default();
        let head = Head::of(&text);
        assert!(ids.insert(head.id.clone()), "twice: {text}");
        assert!(*last == 0 || head.ledger == *last || (head.ledger == *last + 1 && head.kind == "ledger"), "{text}");
        *last = head.ledger;
        texts.push(text);
    }

    // The other mount says the same of the first network, without its name.
    let plain = |network: &str, text: &str| text.replacen(&format!(r#""network":"{network}","#), "", 1);
    let welcome = alone.next_of(TEXT);
    assert!(welcome.text().starts_with(r#"{"type":"welcome""#));
    assert!(alone.next_of(TEXT).text().starts_with(r#"{"type":"registered""#));
    let of_networks: Vec<HashSet<String>> =
        networks.iter().map(|(network, (texts, ..))| texts.iter().map(|text| plain(network, text)).collect()).collect();
    let mut same = [0, 0];
    for _ in 0..100 {
        let frame = alone.next_of(TEXT);
        assert!(!frame.text().contains(r#""network""#), "{}", frame.text());
        for (count, texts) in same.iter_mut().zip(&of_networks) {
            *count += usize::from(texts.contains(frame.text()));
        }
    }
    same.sort_unstable();
    assert_eq!(same[0], 0, "one network only");
    assert!(same[1] > 50, "the same events: {same:?}");
}
