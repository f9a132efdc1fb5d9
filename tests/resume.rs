//! Who goes away and comes back gets exactly what it missed, or is told exactly what is gone. One client stays and takes
//! everything; what the others get is judged by it, byte by byte.

use crate::common::client::{Client, Got, Head, WELCOME};
use crate::common::raw::{REQUEST, Raw};
use crate::common::server::{Devnet, Server, settings, settings_of};
use crate::common::{PATIENCE, filter};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Everything that the client that stays has got so far.
pub type Stream = Arc<Mutex<Vec<String>>>;

pub async fn stays(address: SocketAddr) -> Stream {
    let mut client = Client::connect(address).await;
    client.registered(&json!({}), &mut Vec::new()).await;
    let stream = Stream::default();
    let into = stream.clone();
    tokio::spawn(async move {
        while let Got::Text(text) = client.receive().await {
            into.lock().unwrap().push(text);
        }
    });
    stream
}

/// Waits for the first event of the stream.
pub async fn first(stream: &Stream) -> String {
    let wait = async {
        loop {
            if let Some(first) = stream.lock().unwrap().first() {
                return first.clone();
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the stream begins")
}

/// Waits until the stream has this ledger and all before it, whole.
pub async fn through(stream: &Stream, ledger: u64) -> Vec<String> {
    let newer = |stream: &Stream| stream.lock().unwrap().last().is_some_and(|text| Head::of(text).ledger > ledger);
    let wait = async {
        while !newer(stream) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the stream goes on");
    let all = stream.lock().unwrap().clone();
    all.into_iter().filter(|text| Head::of(text).ledger <= ledger).collect()
}

/// Connects anew and says where it goes on.
pub async fn comes_back(address: SocketAddr, register: Value) -> (Client, Value) {
    let mut client = Client::connect(address).await;
    client.text(register.to_string()).await;
    let answer: Value = serde_json::from_str(&client.next_text().await).unwrap();
    (client, answer)
}

/// Everything up to the end of this ledger, by the beginning of the next.
pub async fn read_through(client: &mut Client, ledger: u64) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let text = client.next_text().await;
        if Head::of(&text).ledger > ledger {
            return texts;
        }
        texts.push(text);
    }
}

pub fn cursor(text: &str) -> String {
    let event: Value = serde_json::from_str(text).unwrap();
    event["cursor"].as_str().unwrap_or_else(|| panic!("no cursor: {text}")).to_owned()
}

fn last_ledger(stream: &Stream) -> u64 {
    stream.lock().unwrap().last().map_or(0, |text| Head::of(text).ledger)
}

/// Wherever it was cut off, also within a ledger: exactly the rest, with the same cursors.
#[tokio::test]
async fn who_comes_back_gets_what_it_missed() {
    let devnet = Devnet::start("8", 30);
    let server = Server::start(&settings(devnet.address, ""));
    server.wait_ready();
    let stream = stays(server.clients).await;
    let mut goes = Client::connect(server.clients).await;
    goes.registered(&json!({}), &mut Vec::new()).await;
    for rest in [3, 47, 1] {
        let mut last = String::new();
        for _ in 0..rest {
            last = goes.next_text().await;
        }
        drop(goes);
        // More than one ledger passes.
        through(&stream, last_ledger(&stream) + 3).await;
        let (back, answer) = comes_back(server.clients, json!({"type": "register", "resume": cursor(&last)})).await;
        goes = back;
        let until = last_ledger(&stream) + 2;
        let got = read_through(&mut goes, until).await;
        let all = through(&stream, until).await;
        let at = all.iter().position(|text| *text == last).expect("the other got it as well");
        assert!(got == all[at + 1..], "{} events instead of {}", got.len(), all.len() - at - 1);
        // What was promised came: so many events make so many whole ledgers.
        let resumed = &answer["resumed"];
        let (ledgers, events) =
            (resumed["ledgers"].as_u64().unwrap(), resumed["events_before_filter"].as_u64().unwrap());
        let promised: Vec<u64> = got[..events as usize].iter().map(|text| Head::of(text).ledger).collect();
        assert_ne!(promised.last(), got.get(events as usize).map(|text| Head::of(text).ledger).as_ref());
        let first = if Head::of(&got[0]).kind == "ledger" { promised[0] } else { Head::of(&last).ledger };
        assert_eq!(promised.last().unwrap() - first + 1, ledgers, "{answer}");
        // With the next event of this client it is cut off again.
    }
    // With filters, those of what it missed that match.
    let last = goes.next_text().await;
    drop(goes);
    through(&stream, last_ledger(&stream) + 3).await;
    let filters = json!({"types": ["payment", "ledger"]});
    let register = json!({"type": "register", "filters": filters, "resume": [cursor(&last)]});
    let (mut goes, _) = comes_back(server.clients, register).await;
    let until = last_ledger(&stream) + 2;
    let got = read_through(&mut goes, until).await;
    let all = through(&stream, until).await;
    let at = all.iter().position(|text| *text == last).unwrap();
    let wanted: Vec<String> = all[at + 1..]
        .iter()
        .filter(|text| filter::matches(&filters, &serde_json::from_str(text).unwrap()))
        .cloned()
        .collect();
    assert!(got == wanted, "{} events instead of {}", got.len(), wanted.len());
}

#[tokio::test]
async fn what_memory_has_given_up_is_named() {
    let devnet = Devnet::start("10", 40);
    let server = Server::start(&settings(devnet.address, "history: { budget: 512KiB }"));
    server.wait_ready();
    let stream = stays(server.clients).await;
    let first = first(&stream).await;
    let (from, gone_by) = (Head::of(&first).ledger, cursor(&first));
    // Until the oldest that is kept is well after it.
    let mut answer = json!({});
    let mut client = None;
    timeout(PATIENCE, async {
        while answer.get("gap").is_none() {
            sleep(Duration::from_millis(500)).await;
            let (back, said) = comes_back(server.clients, json!({"type": "register", "resume": gone_by})).await;
            (client, answer) = (Some(back), said);
        }
    })
    .await
    .expect("memory gives up ledgers");
    let gap = &answer["gap"];
    let oldest = gap["oldest_ledger"].as_u64().unwrap();
    assert_eq!((&gap["from_ledger"], &gap["to_ledger"]), (&json!(from), &json!(oldest - 1)), "{answer}");
    assert!(gap["network"].as_str().unwrap().starts_with("stellar-"), "{answer}");
    assert!(answer.get("resumed").is_none(), "{answer}");
    // From there nothing is missing.
    let until = last_ledger(&stream) + 2;
    let got = read_through(&mut client.unwrap(), until).await;
    let all = through(&stream, until).await;
    let at = all.iter().position(|text| Head::of(text).ledger == oldest).unwrap();
    assert!(got == all[at..], "{} events instead of {}", got.len(), all.len() - at);
}

#[tokio::test]
async fn who_cannot_go_on_is_told_why_and_may_register_without() {
    let (devnet, other) = (Devnet::start("8", 20), Devnet::of_ledger("xrpl", "8", 20));
    let server = Server::start(&settings(devnet.address, ""));
    let elsewhere = Server::start(&settings_of("xrpl_rpc", other.address, "flow", "{}", ""));
    server.wait_ready();
    elsewhere.wait_ready();
    let mut foreign = Client::connect(elsewhere.clients).await;
    foreign.registered(&json!({}), &mut Vec::new()).await;
    let foreign = cursor(&foreign.next_text().await);
    let stream = stays(server.clients).await;
    let good = cursor(&first(&stream).await);
    let mut forged = good.clone().into_bytes();
    forged[8] = if forged[8] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for (register, reason) in [
        (json!({"resume": forged}), "not a cursor of this service"),
        (json!({"resume": good[..good.len() - 4]}), "not a cursor of this service"),
        (json!({"resume": foreign}), "of a network that is not shown here"),
        (json!({"resume": [good, foreign]}), "of a network that is not shown here"),
        (json!({"from_ledger": 1u64 << 40}), "is not there yet"),
    ] {
        let mut register = register;
        register["type"] = "register".into();
        let (mut client, answer) = comes_back(server.clients, register.clone()).await;
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("invalid_resume")), "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(reason), "{answer}");
        // Nothing comes before it registers.
        client.text(json!({"type": "register", "resume": good}).to_string()).await;
        let registered: Value = serde_json::from_str(&client.next_text().await).unwrap();
        assert_eq!(registered["type"], "registered", "{registered}");
        let got = client.next_text().await;
        let all = stream.lock().unwrap().clone();
        let at = all.iter().position(|text| cursor(text) == good).unwrap();
        assert_eq!(got, all[at + 1]);
    }
}

#[tokio::test]
async fn two_far_apart_beside_one_that_stays() {
    let devnet = Devnet::start("10", 40);
    let server = Server::start(&settings(devnet.address, ""));
    server.wait_ready();
    let stream = stays(server.clients).await;
    let first = Head::of(&first(&stream).await).ledger;
    through(&stream, first + 30).await;
    let until = first + 40;
    let (far, near) = (first + 1, first + 25);
    let replay = async |from: u64| {
        let (mut client, answer) = comes_back(server.clients, json!({"type": "register", "from_ledger": from})).await;
        assert!(answer["resumed"]["ledgers"].as_u64().unwrap() > first + 30 - from, "{answer}");
        read_through(&mut client, until).await
    };
    let (of_far, of_near) = tokio::join!(replay(far), replay(near));
    let all = through(&stream, until).await;
    for (from, got) in [(far, of_far), (near, of_near)] {
        let at = all.iter().position(|text| Head::of(text).ledger == from).unwrap();
        assert!(got == all[at..], "from {from}: {} events instead of {}", got.len(), all.len() - at);
    }
}

/// A request for another path than the usual one.
pub async fn dial(address: SocketAddr, path: &str) -> Result<Client, u16> {
    let stream = TcpStream::connect(address).await.unwrap();
    let request = format!("ws://{address}{path}").into_client_request().unwrap();
    Client::try_over(Box::new(stream), request).await
}

async fn ledger_closed(client: &mut Client) -> u64 {
    loop {
        let message: Value = serde_json::from_str(&client.next_text().await).unwrap();
        if message["type"] == "ledgerClosed" {
            return message["ledger_index"].as_u64().unwrap();
        }
    }
}

const LEDGERS: &str = r#"{"id":1,"command":"subscribe","streams":["ledger"]}"#;

/// The messages are those of any other session; only the handshake says where it begins.
#[tokio::test]
async fn an_unmodified_client_says_it_in_its_address() {
    let devnet = Devnet::of_ledger("xrpl", "8", 20);
    let text = settings_of("xrpl_rpc", devnet.address, "rippled", "{}", "");
    let text = text.replacen(
        "config: {} }",
        "config: {}, resume: true }\n      - { dialect: flow, path: /flow, sources: [devnet] }",
        1,
    );
    let server = Server::start(&text);
    server.wait_ready();
    let mut live = dial(server.clients, "/ws").await.unwrap();
    live.text(LEDGERS.to_owned()).await;
    let first = ledger_closed(&mut live).await;
    while ledger_closed(&mut live).await < first + 8 {}
    let mut back = dial(server.clients, &format!("/ws?resume=ledger:{}", first + 1)).await.unwrap();
    // Its place waits for it.
    sleep(Duration::from_millis(500)).await;
    back.text(LEDGERS.to_owned()).await;
    let answer: Value = serde_json::from_str(&back.next_text().await).unwrap();
    assert_eq!((&answer["status"], &answer["result"]["ledger_index"]), (&json!("success"), &json!(first)), "{answer}");
    for ledger in first + 1..first + 15 {
        assert_eq!(ledger_closed(&mut back).await, ledger);
    }
    // The head of a new session, in its handshake; with it a later one goes on there.
    let mut raw = Raw::dial(server.clients);
    raw.send(REQUEST.as_bytes());
    let answer = raw.head();
    assert_eq!(answer.status, 101);
    let head = answer.header("ledgercast-cursor").expect("the mount says so").to_owned();
    let now = ledger_closed(&mut back).await;
    let mut back = dial(server.clients, &format!("/ws?resume={head}")).await.unwrap();
    back.text(LEDGERS.to_owned()).await;
    let begins = ledger_closed(&mut back).await;
    assert!((now - 1..=now + 2).contains(&begins), "{begins} is not about {now}");
    // What is gone has no words here, and what is no position is refused at once.
    let mut gone = dial(server.clients, "/ws?resume=ledger:1").await.unwrap();
    gone.text(LEDGERS.to_owned()).await;
    match gone.next().await {
        Got::Close(1012, _) => {}
        // The devnet may begin with the first that is asked for.
        Got::Text(text) => assert!(text.contains("success"), "{text}"),
        other => panic!("{other:?}"),
    }
    for (path, status) in [
        ("/ws?resume=ledger:99999999999", 400),
        ("/ws?resume=ledger:x", 400),
        ("/ws?resume=AQDVM9Cn", 400),
        ("/flow?resume=ledger:1", 400),
    ] {
        assert_eq!(dial(server.clients, path).await.err(), Some(status), "{path}");
    }
    assert_eq!(dial(server.clients, "/flow").await.unwrap().next_text().await, WELCOME);
}

/// Each network goes on where its own cursor says; one without begins at what happens now.
#[tokio::test]
async fn several_networks_go_on_each_where_it_was() {
    let (one, two) = (Devnet::start("8", 10), Devnet::of_ledger("xrpl", "5", 10));
    let server = Server::start(&format!(
        "sources:\n  one: {{ type: stellar_rpc, config: {{ rpc_url: 'http://{}', poll_interval: 50ms }} }}\n  \
         two: {{ type: xrpl_rpc, config: {{ rpc_url: 'http://{}', poll_interval: 50ms }} }}\n\
         listeners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
         - {{ dialect: flow, path: /ws, sources: [one, two] }}\nadmin: {{ bind: 127.0.0.1:0 }}\n",
        one.address, two.address
    ));
    server.wait_ready();
    let network = |text: &str| serde_json::from_str::<Value>(text).unwrap()["network"].as_str().unwrap().to_owned();
    let stream = stays(server.clients).await;
    let grown = |count: usize| {
        let stream = stream.clone();
        timeout(PATIENCE, async move {
            while stream.lock().unwrap().len() < count {
                sleep(Duration::from_millis(20)).await;
            }
            stream.lock().unwrap().clone()
        })
    };
    let all = grown(150).await.unwrap();
    let of = |all: &[String], stellar: bool| -> Vec<String> {
        all.iter().filter(|text| network(text).starts_with("stellar") == stellar).cloned().collect()
    };
    let (last_one, last_two) = (of(&all, true)[20].clone(), of(&all, false)[5].clone());
    let cursors = json!([cursor(&last_one), cursor(&last_two)]);
    let (mut both, answer) = comes_back(server.clients, json!({"type": "register", "resume": cursors})).await;
    assert!(answer["resumed"]["ledgers"].as_u64().unwrap() > 2, "{answer}");
    let register = json!({"type": "register", "resume": cursor(&last_one)});
    let (mut alone, _) = comes_back(server.clients, register).await;
    let (mut of_both, mut of_alone) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        of_both.push(both.next_text().await);
        of_alone.push(alone.next_text().await);
    }
    let all = grown(all.len() + 400).await.unwrap();
    for (stellar, last) in [(true, &last_one), (false, &last_two)] {
        let (of_it, got) = (of(&all, stellar), of(&of_both, stellar));
        let at = of_it.iter().position(|text| text == last).unwrap() + 1;
        assert!(!got.is_empty() && of_it[at..].starts_with(&got), "{} of {}", got.len(), of_it.len() - at);
    }
    let (of_it, got) = (of(&all, true), of(&of_alone, true));
    let at = of_it.iter().position(|text| *text == last_one).unwrap() + 1;
    assert!(of_it[at..].starts_with(&got));
    // The other network, from the head on.
    let (of_it, got) = (of(&all, false), of(&of_alone, false));
    let at = of_it.iter().position(|text| text == got.first().expect("it goes on")).unwrap();
    assert!(at > 6 && of_it[at..].starts_with(&got));
    assert_eq!(Head::of(&got[0]).kind, "ledger");
    // A number names no ledger of two.
    let (_, answer) = comes_back(server.clients, json!({"type": "register", "from_ledger": 3})).await;
    assert!(answer["message"].as_str().unwrap().contains("several ledgers"), "{answer}");
}
