//! How the server ends: a close frame to everybody, within its deadline, whoever does not read;
//! and how it ends those who do not register.

mod common;

use common::client::{Client, Got};
use common::raw::{CLOSE, Raw, TEXT};
use common::server::{Devnet, Server, settings, settings_with};
use common::wait_until;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::TcpStream;

#[tokio::test]
async fn everybody_gets_a_close_frame() {
    const CLIENTS: usize = 200;
    let devnet = Devnet::start("5", 100);
    let more = "drain: { deadline: 8s }\nlimits: { send_buffer: 16KiB, outbox: 32KiB }";
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

#[tokio::test]
async fn an_idle_server_ends_at_once_and_twice_is_harmless() {
    let mut server = Server::demo("5", 20);
    server.wait_ready();
    let mut client = Client::connect(server.clients).await;
    client.registered(&json!({}), &mut Vec::new()).await;
    server.process.signal(Signal::INT);
    server.process.signal(Signal::TERM);
    let status = server.process.wait();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn who_does_not_register_is_told_and_closed() {
    let devnet = Devnet::start("1", 20);
    let server = Server::start(&settings_with(devnet.address, "{ registration_timeout: 2s }", ""));
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
