//! How the server ends: a close frame to everybody, within its deadline, whoever does not read;
//! and how it ends those who do not register.

use crate::common::client::{Client, Got, Head};
use crate::common::raw::{CLOSE, Raw, TEXT};
use crate::common::server::{Devnet, Server, settings, settings_with};
use crate::common::wait_until;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::Instant;

#[tokio::test]
async fn everybody_gets_a_close_frame() {
    const CLIENTS: usize = 200;
    let devnet = Devnet::start("5", 100);
    let more = "drain: { deadline: 8s, spread: 0s }\nlimits: { send_buffer: 16KiB, outbox: 32KiB }";
    let mut server = Server::start(&settings(devnet.address, more));
    server.wait_ready();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(server.clients).await;
        // Some take everything, some little, some have not registered.
        match number % 4 {
            0 => client.register(&json!({})).await,
            1 | 2 => client.register(&json!({"types": ["trade"]})).await,
            _ => {}
        }
        clients.push(client);
    }
    let mut stuck = Raw::open_small(server.clients);
    stuck.text(r#"{"type":"register","filters":{}}"#);
    wait_until("it is behind", || {
        let lagging = |worker| server.metric(&format!("ledgercast_sessions_lagging{{worker=\"{worker}\"}}"));
        lagging(0) + lagging(1) > 0.0
    });

    server.process.signal(Signal::TERM);
    let address = server.clients;
    let mut closing = tokio::task::JoinSet::new();
    for mut client in clients {
        closing.spawn(async move {
            loop {
                match client.next().await {
                    Got::Text(_) => {}
                    end => break end,
                }
            }
        });
    }
    let ends = closing.join_all().await;
    assert_eq!(ends.len(), CLIENTS);
    for end in ends {
        assert_eq!(end, Got::Close(1001, "server is shutting down".to_owned()));
    }
    // Nobody is taken meanwhile: the address is closed or the handshake refused.
    assert!(Client::try_connect(address).await.is_none());
    // The one that does not read holds it up for five seconds at most.
    let status = server.process.wait();
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(server.process.stderr().contains(r#""message":"drained""#));
    assert!(TcpStream::connect(address).is_err());
}

/// What is in the log line that ends a drain.
fn drained(server: &Server) -> Value {
    let log = server.process.stderr();
    let line = log.lines().find(|line| line.contains(r#""message":"drained""#)).expect("it says so");
    serde_json::from_str(line).unwrap()
}

#[tokio::test]
async fn an_idle_server_ends_at_once() {
    let mut server = Server::demo("5", 20);
    server.wait_ready();
    let mut client = Client::connect(server.clients).await;
    client.registered(&json!({}), &mut Vec::new()).await;
    server.process.signal(Signal::INT);
    let status = server.process.wait();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn a_second_signal_ends_at_once_and_says_so() {
    let devnet = Devnet::start("5", 100);
    for (second, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        // One that does not read would hold the drain up for seconds.
        let limits = "limits: { send_buffer: 16KiB, outbox: 32KiB }\ndrain: { deadline: 60s, spread: 60s }";
        let mut server = Server::start(&settings(devnet.address, limits));
        let clients: Vec<Raw> = (0..10).map(|_| Raw::open_small(server.clients)).collect();
        server.process.signal(Signal::TERM);
        wait_until("it drains", || server.readyz().body.contains(r#""draining":true"#));
        server.process.signal(second);
        assert_eq!(server.process.wait().code(), Some(code));
        assert!(server.process.stderr().contains("stopped at once"));
        drop(clients);
    }
}

#[test]
fn who_does_not_read_is_left_at_the_deadline() {
    const STUCK: u64 = 3;
    let devnet = Devnet::start("5", 200);
    let more = "limits: { send_buffer: 16KiB, outbox: 32KiB }\ndrain: { deadline: 2s, spread: 0s }";
    let mut server = Server::start(&settings(devnet.address, more));
    server.wait_ready();
    let mut stuck: Vec<Raw> = (0..STUCK).map(|_| Raw::open_small(server.clients)).collect();
    stuck.iter_mut().for_each(|raw| raw.text(r#"{"type":"register","filters":{}}"#));
    wait_until("they are behind", || {
        let lagging = |worker| server.metric(&format!("ledgercast_sessions_lagging{{worker=\"{worker}\"}}"));
        lagging(0) + lagging(1) == STUCK as f64
    });
    assert_eq!(server.stop().code(), Some(0));
    let drained = drained(&server);
    assert_eq!((&drained["sessions"], &drained["left"]), (&json!(STUCK), &json!(STUCK)), "{drained}");
    assert!((2000..10_000).contains(&drained["took_ms"].as_u64().unwrap()), "{drained}");
}

/// Clients are told one after the other, and whenever its turn comes, each has the same last ledger.
#[tokio::test]
async fn the_close_frames_are_spread() {
    const CLIENTS: usize = 100;
    let devnet = Devnet::start("5", 20);
    let mut server = Server::start(&settings(devnet.address, "drain: { spread: 4s }"));
    server.wait_ready();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(server.clients).await;
        // Some are idle.
        if number % 2 == 0 {
            client.registered(&json!({}), &mut Vec::new()).await;
        }
        clients.push(client);
    }
    for client in clients.iter_mut().step_by(2) {
        client.next_text().await;
    }
    let signalled = Instant::now();
    server.process.signal(Signal::TERM);
    let mut closing = tokio::task::JoinSet::new();
    for mut client in clients {
        closing.spawn(async move {
            let mut last = None;
            loop {
                match client.next().await {
                    Got::Text(text) => last = Some(Head::of(&text).ledger),
                    end => {
                        assert_eq!(end, Got::Close(1001, "server is shutting down".to_owned()));
                        break (signalled.elapsed(), last);
                    }
                }
            }
        });
    }
    // From the first moment nobody new is taken.
    wait_until("it drains", || server.readyz().body.contains(r#""draining":true"#));
    assert!(Client::try_connect(server.clients).await.is_none());
    let mut ends = closing.join_all().await;
    ends.sort_unstable();
    let second = |at: usize| ends[at].0.as_secs_f64();
    let told = format!("{:.1} {:.1} {:.1}", second(0), second(CLIENTS / 2), second(CLIENTS - 1));
    assert!(second(0) < 2.0 && second(CLIENTS - 1) > 3.0, "{told}");
    assert!(second(CLIENTS - 1) - second(CLIENTS / 2) > 1.0 && second(CLIENTS / 2) - second(0) > 1.0, "{told}");
    let last: Vec<u64> = ends.iter().filter_map(|(_, last)| *last).collect();
    assert!(last.len() == CLIENTS / 2 && last.iter().all(|ledger| *ledger == last[0]), "{last:?}");
    assert_eq!(server.process.wait().code(), Some(0));
    assert_eq!(drained(&server)["left"], 0);
}

/// As many as the descriptors of an ordinary machine allow.
#[tokio::test]
async fn a_crowd_is_gone_in_time() {
    const CLIENTS: usize = 2000;
    crate::common::raise_open_files();
    let devnet = Devnet::start("1", 20);
    let mut server = Server::start(&settings(devnet.address, ""));
    server.wait_ready();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(server.clients).await;
        client.register(&json!({"types": [if number % 10 == 0 { "ledger" } else { "none of these" }]})).await;
        clients.push(client);
    }
    server.process.signal(Signal::TERM);
    let mut closing = tokio::task::JoinSet::new();
    for mut client in clients {
        closing.spawn(async move {
            while let Got::Text(_) = client.next().await {}
            // A library that answers the close, and the end of the connection.
            client.close().await;
        });
    }
    closing.join_all().await;
    assert_eq!(server.process.wait().code(), Some(0));
    let drained = drained(&server);
    assert_eq!((&drained["sessions"], &drained["left"]), (&json!(CLIENTS), &json!(0)), "{drained}");
}

#[test]
fn who_does_not_register_is_told_and_closed() {
    let devnet = Devnet::start("1", 20);
    let server = Server::start(&settings_with(devnet.address, "{ registration_timeout: 4s }", ""));
    let mut silent = Raw::open(server.clients);
    let mut wrong = Raw::open(server.clients);
    wrong.text(r#"{"type":"subscribe"}"#);
    assert!(wrong.next().text().contains("invalid_message"));
    let mut registered = Raw::open(server.clients);
    registered.text(r#"{"type":"register","filters":{"types":["none"]}}"#);
    for raw in [&mut silent, &mut wrong] {
        let error = raw.next();
        assert_eq!(error.opcode, TEXT);
        let error: Value = serde_json::from_str(error.text()).unwrap();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("registration_timeout")), "{error}");
        let close = raw.next();
        assert_eq!((close.opcode, close.code()), (CLOSE, Some(1008)));
        assert_eq!(&close.payload[2..], b"registration timeout");
    }
    // Who has registered stays.
    registered.text(r#"{"type":"register","filters":{"types":["none"]}}"#);
    for _ in 0..2 {
        assert!(registered.next().text().starts_with(r#"{"type":"registered""#));
    }
    drop((silent, wrong));
    wait_until("the two are gone", || server.sessions() == 1);
}
