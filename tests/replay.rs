//! Yesterday's market through today's endpoint: a client that says how fast and until where gets what one got that was
//! live then, byte by byte, and is told that it is over.

use crate::common::client::{Client, Got, Head};
use crate::common::http;
use crate::common::server::{Devnet, Server, path, settings_of};
use crate::resume::{Stream, comes_back, cursor, dial, first, read_through, stays, through};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ledgers of a second.
const RATE: u64 = 8;

/// A server of one devnet that allows replays, whose memory is short and whose journal is long.
fn serve(source: &str, devnet: &Devnet, dialect: &str) -> (Server, TempDir) {
    let state = tempfile::tempdir().unwrap();
    let more = format!("state_dir: '{}'\nhistory: {{ budget: 128KiB }}", path(state.path()));
    let text = settings_of(source, devnet.address, dialect, "{}", &more);
    let mount =
        format!("config: {{}}, replay: true }}\n      - {{ dialect: {dialect}, path: /never, sources: [devnet] }}");
    let server = Server::start(&text.replacen("config: {} }", &mount, 1));
    server.wait_ready();
    (server, state)
}

/// What a client gets that registers so, up to the end; then the close.
async fn replay(address: SocketAddr, mut register: Value) -> (Vec<String>, Value) {
    register["type"] = "register".into();
    let (mut client, answer) = comes_back(address, register).await;
    assert_eq!(answer["type"], "registered", "{answer}");
    let mut texts = Vec::new();
    loop {
        match client.next().await {
            Got::Text(text) if text.starts_with(r#"{"type":"replay_end""#) => {
                assert!(matches!(client.next().await, Got::Close(1000, _)));
                return (texts, serde_json::from_str(&text).unwrap());
            }
            Got::Text(text) => texts.push(text),
            other => panic!("{other:?} after {} events", texts.len()),
        }
    }
}

fn between(all: &[String], from: u64, until: u64) -> Vec<String> {
    all.iter().filter(|text| (from..=until).contains(&Head::of(text).ledger)).cloned().collect()
}

/// Waits for so many ledgers; the first of them and all that the stream has.
async fn ledgers(stream: &Stream, count: u64) -> (u64, Vec<String>) {
    let from = Head::of(&first(stream).await).ledger + 1;
    (from, through(stream, from + count).await)
}

#[tokio::test]
async fn what_was_live_comes_again_at_any_speed() {
    let devnet = Devnet::start(&RATE.to_string(), 40);
    let (server, _state) = serve("stellar_rpc", &devnet, "flow");
    let stream = stays(server.clients).await;
    let (from, _) = ledgers(&stream, 60).await;
    let until = from + 39;
    let register = |speed: &str| json!({"from_ledger": from, "speed": speed, "until": until});
    let far = json!({"from_ledger": from + 20, "speed": "3x", "until": from + 44});
    let began = Instant::now();
    let (max, ten, once, far, again) = tokio::join!(
        replay(server.clients, register("max")),
        replay(server.clients, register("10x")),
        async {
            let once = replay(server.clients, json!({"from_ledger": from, "speed": "1x", "until": from + 25})).await;
            (began.elapsed(), once)
        },
        replay(server.clients, far),
        async {
            // While they replay: those who do are no slow clients.
            let metric =
                |name: &str| (0..4).map(|at| server.metric(&format!("{name}{{worker=\"{at}\"}}"))).sum::<f64>();
            while metric("ledgercast_sessions_replaying") < 1.0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let report = http::get(server.admin, "/debug/sessions").unwrap().json();
            let sessions = report["sessions"].as_array().unwrap().clone();
            assert!(sessions.iter().any(|session| session["replays"] == "1x"), "{report}");
            // Another registers in the midst of it.
            replay(server.clients, register("max")).await
        },
    );
    let all = through(&stream, from + 44).await;
    let expected = between(&all, from, until);
    assert!(expected.len() > 1000, "{} events", expected.len());
    for (got, end) in [&max, &ten, &again] {
        assert!(*got == expected, "{} events instead of {}", got.len(), expected.len());
        assert_eq!((&end["ledger"], &end["ledgers"], &end["events"]), (&json!(until), &json!(40), &json!(got.len())));
    }
    assert_eq!(max.1, ten.1);
    assert!(far.0 == between(&all, from + 20, from + 44), "{} events", far.0.len());
    // Ledgers close in whole seconds.
    let (took, once) = once;
    assert!(once.0 == between(&all, from, from + 25), "{} events", once.0.len());
    let seconds = |text: &String| {
        let event: Value = serde_json::from_str(text).unwrap();
        event["ledger_closed_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
    };
    let lasted = seconds(once.0.last().unwrap()) - seconds(&once.0[0]);
    assert!(lasted >= 2 && took >= Duration::from_secs(lasted as u64), "{took:?} for {lasted} s of ledgers");
    // Its cursor is one like any other: what was left out then comes now.
    let register = json!({"type": "register", "resume": max.1["cursor"]});
    let (mut back, answer) = comes_back(server.clients, register).await;
    assert!(answer["resumed"]["ledgers"].as_u64().unwrap() > 4, "{answer}");
    assert!(read_through(&mut back, from + 44).await == between(&all, until + 1, from + 44));
}

#[tokio::test]
async fn a_replay_that_cannot_be_is_refused() {
    let devnet = Devnet::start(&RATE.to_string(), 20);
    let (server, _state) = serve("stellar_rpc", &devnet, "flow");
    let stream = stays(server.clients).await;
    let (from, all) = ledgers(&stream, 5).await;
    let good = cursor(&all[0]);
    for (register, reason) in [
        (json!({"from_ledger": from, "until": from + 100_000}), "is not there yet"),
        (json!({"from_ledger": from + 2, "until": from + 1}), "is not after the beginning"),
        (json!({"from_ledger": from, "speed": "2000x"}), "no number from 0.1x to 1000x"),
        (json!({"speed": "max"}), "send resume or from_ledger with them"),
    ] {
        let mut register = register;
        register["type"] = "register".into();
        let (mut client, answer) = comes_back(server.clients, register).await;
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("invalid_resume")), "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(reason), "{answer}");
        client.registered(&json!({}), &mut Vec::new()).await;
    }
    for (query, status) in [
        (format!("/ws?resume={good}&until=ledger:99999999999"), 400),
        (format!("/ws?resume=ledger:{}&until=ledger:{from}", from + 1), 400),
        (format!("/ws?resume={good}&speed=fast"), 400),
        (format!("/ws?resume={good}&speed=1x&speed=1x"), 400),
        (format!("/ws?resume=ledger:{from}&resume={good}"), 400),
        ("/ws?speed=1x".to_owned(), 400),
        (format!("/never?resume={good}"), 400),
        (format!("/never?resume={good}&speed=1x"), 400),
    ] {
        assert_eq!(dial(server.clients, &query).await.err(), Some(status), "{query}");
    }
    let mut client = dial(server.clients, "/never").await.unwrap();
    client.next_text().await;
    let register = json!({"type": "register", "from_ledger": from, "speed": "1x"});
    client.text(register.to_string()).await;
    let answer = client.next_text().await;
    assert!(answer.contains("invalid_resume") && answer.contains("replay: true"), "{answer}");
}

const SUBSCRIBE: &str = r#"{"id":1,"command":"subscribe","streams":["ledger","transactions"]}"#;

/// A client of another protocol, that says all of it in its address.
#[tokio::test]
async fn an_unmodified_client_replays_by_its_address() {
    let devnet = Devnet::of_ledger("xrpl", &RATE.to_string(), 20);
    let (server, _state) = serve("xrpl_rpc", &devnet, "rippled");
    let mut live = dial(server.clients, "/ws").await.unwrap();
    live.text(SUBSCRIBE.to_owned()).await;
    live.next_text().await;
    let ledger = |text: &str| serde_json::from_str::<Value>(text).unwrap()["ledger_index"].as_u64().unwrap();
    let mut all = vec![live.next_text().await];
    let from = ledger(&all[0]) + 1;
    while ledger(all.last().unwrap()) < from + 60 {
        all.push(live.next_text().await);
    }
    let until = from + 39;
    let expected: Vec<String> = all.into_iter().filter(|text| (from..=until).contains(&ledger(text))).collect();
    let replay = async |speed: &str| {
        let query = format!("/ws?resume=ledger:{from}&speed={speed}&until=ledger:{until}");
        let mut client = dial(server.clients, &query).await.unwrap();
        client.text(SUBSCRIBE.to_owned()).await;
        let answer: Value = serde_json::from_str(&client.next_text().await).unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        let mut texts = Vec::new();
        loop {
            match client.next().await {
                Got::Text(text) => texts.push(text),
                Got::Close(code, _) => return (texts, code),
                other => panic!("{other:?}"),
            }
        }
    };
    let (max, ten) = tokio::join!(replay("max"), replay("10x"));
    for (got, code) in [max, ten] {
        assert_eq!(code, 1000);
        assert!(got == expected, "{} messages instead of {}", got.len(), expected.len());
    }
}

/// Without an end it is a client like any other once it is at the head.
#[tokio::test]
async fn a_fast_replay_goes_on_live() {
    let devnet = Devnet::start(&RATE.to_string(), 20);
    let (server, _state) = serve("stellar_rpc", &devnet, "flow");
    let stream = stays(server.clients).await;
    let (from, _) = ledgers(&stream, 30).await;
    let register = json!({"type": "register", "from_ledger": from, "speed": "20x"});
    let (mut client, _): (Client, _) = comes_back(server.clients, register).await;
    let got = read_through(&mut client, from + 60).await;
    assert!(got == between(&through(&stream, from + 60).await, from, from + 60), "{} events", got.len());
}
