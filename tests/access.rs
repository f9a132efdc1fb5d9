//! Who may connect: tokens, origins, addresses; and what those get who may not.

use crate::common::client::{Client, Got};
use crate::common::http::{Answer, get};
use crate::common::raw::{REQUEST, Raw, TEXT};
use crate::common::server::{Devnet, Process, Server, path, settings, settings_of};
use crate::common::tls::{certificate, with_tls};
use crate::common::{PATIENCE, pause, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

const TOKEN: &str = "first-0123456789abcdef";
const OTHER: &str = "second-0123456789abcdef";

/// Settings with more keys on the one mount, and more sections.
fn mount(devnet: &Devnet, keys: &str, more: &str) -> String {
    settings(devnet.address, more).replacen("path: /ws,", &format!("path: /ws, {keys},"), 1)
}

/// The good request with more headers.
fn with_headers(headers: &str) -> String {
    REQUEST.replacen("Host: test\r\n", &format!("Host: test\r\n{headers}"), 1)
}

fn answer(server: &Server, request: &str) -> Answer {
    let mut raw = Raw::dial(server.clients);
    raw.send(request.as_bytes());
    raw.head()
}

fn refusals(server: &Server, reason: &str) -> f64 {
    server.metric(&format!("ledgercast_connections_refused_total{{reason=\"{reason}\"}}"))
}

async fn connect(address: SocketAddr, uri: &str, headers: &[(&'static str, &str)]) -> Result<Client, u16> {
    let mut request = format!("ws://{address}{uri}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    Client::try_over(Box::new(stream), request).await
}

#[tokio::test]
async fn a_token_opens_the_door_until_it_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, format!("{TOKEN} # the dashboards\n{OTHER}\n")).unwrap();
    let devnet = Devnet::start("2", 5);
    let file = folder.path().join("settings.yaml");
    let text = mount(&devnet, &format!("tokens_file: '{}'", tokens.display()), "log: { level: trace }");
    std::fs::write(&file, text).unwrap();
    let server = Server::start(&std::fs::read_to_string(&file).unwrap());
    server.wait_ready();

    let bearer = format!("Bearer {TOKEN}");
    let (protocol, query) = (format!("bearer, {TOKEN}"), format!("/ws?token={TOKEN}"));
    let mut first = Vec::new();
    for (uri, headers) in [
        ("/ws", vec![("authorization", bearer.as_str())]),
        // tungstenite, like browsers, gives up where its subprotocol is not answered.
        ("/ws", vec![("sec-websocket-protocol", protocol.as_str())]),
        (query.as_str(), vec![]),
    ] {
        let mut client = connect(server.clients, uri, &headers).await.expect("the token is good");
        assert_eq!(client.next().await, Got::Text(crate::common::client::WELCOME.to_owned()));
        client.registered(&json!({}), &mut Vec::new()).await;
        first.push(client);
    }
    let wrong = format!("Bearer {TOKEN}x");
    for (uri, headers) in [
        ("/ws", vec![]),
        ("/ws", vec![("authorization", wrong.as_str())]),
        ("/ws?token=x", vec![("sec-websocket-protocol", "bearer, x")]),
    ] {
        assert_eq!(connect(server.clients, uri, &headers).await.err(), Some(401), "{uri} {headers:?}");
    }
    let refused = answer(&server, REQUEST);
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{refused:?}");
    assert_eq!(refusals(&server, "token"), 4.0);

    // The first token is taken back: who came in with it is told and closed, the others stay.
    let mut stays = connect(server.clients, &format!("/ws?token={OTHER}"), &[]).await.unwrap();
    stays.next_text().await;
    stays.registered(&json!({}), &mut Vec::new()).await;
    std::fs::write(&tokens, OTHER).unwrap();
    server.process.signal(Signal::HUP);
    for client in &mut first {
        let mut last = String::new();
        let closed = loop {
            match client.next().await {
                Got::Text(text) => last = text,
                other => break other,
            }
        };
        let error: Value = serde_json::from_str(&last).unwrap();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("unauthorized")), "{last}");
        assert_eq!(closed, Got::Close(1008, "access revoked".to_owned()));
    }
    assert_eq!(connect(server.clients, &query, &[]).await.err(), Some(401));
    for _ in 0..20 {
        stays.next_text().await;
    }
    let log = server.process.stderr() + &server.process.stdout();
    assert!(log.contains("revoked"), "{log}");
    assert!(!log.contains(TOKEN) && !log.contains(OTHER), "a token stands in the log");

    // A file of no use is told, and those who are in stay in.
    std::fs::write(&tokens, "short").unwrap();
    server.process.signal(Signal::HUP);
    wait_until("it is said", || server.process.stderr().contains("mounts[0].tokens_file"));
    stays.next_text().await;

    // And a start with it fails, with the name of the key.
    for arguments in [&["serve", "--config", path(&file)][..], &["check-config", path(&file)]] {
        let mut process = Process::start(arguments);
        assert!(!process.wait().success());
        wait_until("the reason", || process.stderr().contains("listeners[0].mounts[0].tokens_file: "));
        assert!(process.stderr().contains("line 1 is no token"), "{}", process.stderr());
    }
}

#[test]
fn pages_of_other_origins_are_refused() {
    let devnet = Devnet::start("1", 1);
    let origins = "allowed_origins: ['https://app.example.com', 'http://*.local.example:3000']";
    let server = Server::start(&mount(&devnet, origins, ""));
    for (origin, status) in [
        ("https://app.example.com", 101),
        ("http://a.local.example:3000", 101),
        ("http://app.example.com", 403),
        ("https://app.example.com.evil.org", 403),
        ("null", 403),
    ] {
        let answer = answer(&server, &with_headers(&format!("Origin: {origin}\r\n")));
        assert_eq!(answer.status, status, "{origin}: {answer:?}");
    }
    assert_eq!(answer(&server, REQUEST).status, 101, "what is no browser sends none");
    assert_eq!(refusals(&server, "origin"), 3.0);
    // Without a list every page may connect, as with the original.
    let open = Server::start(&settings(devnet.address, ""));
    assert_eq!(answer(&open, &with_headers("Origin: https://anywhere.example\r\n")).status, 101);
}

#[test]
fn headers_are_limited() {
    let devnet = Devnet::start("1", 1);
    let server = Server::start(&settings(devnet.address, "limits: { header_bytes: 4KiB }"));
    let long = |bytes: usize| format!("X-Long: {}\r\n", "x".repeat(bytes));
    assert_eq!(answer(&server, &with_headers(&long(3500))).status, 101);
    assert_eq!(answer(&server, &with_headers(&long(5000))).status, 431);
    assert_eq!(answer(&server, &REQUEST.replacen("/ws", &format!("/ws?{}", "x".repeat(5000)), 1)).status, 431);
    // The same for what is no WebSocket.
    let plain = format!("GET / HTTP/1.1\r\nHost: test\r\n{}\r\n", long(5000));
    assert_eq!(answer(&server, &plain).status, 431);
    assert_eq!(refusals(&server, "headers"), 2.0);
    // More than the HTTP stack itself holds: refused, and not kept.
    let before = server.process.memory();
    let held: Vec<Raw> = (0..50)
        .map(|_| {
            let mut raw = Raw::dial(server.clients);
            raw.send(b"GET /ws HTTP/1.1\r\nHost: test\r\n");
            while raw.try_send(long(60_000).as_bytes()) {}
            raw
        })
        .collect();
    assert!(server.process.memory() < before + (16 << 20), "{before} {}", server.process.memory());
    drop(held);
    assert_eq!(answer(&server, REQUEST).status, 101);
}

#[test]
fn one_address_cannot_hold_the_door() {
    let devnet = Devnet::start("1", 1);
    let limits = "limits: { connections_per_address: 20, exempt_loopback: false, handshake: 2s }";
    let server = Server::start(&settings(devnet.address, limits));
    let mut silent: Vec<Raw> = (0..60).map(|_| Raw::dial(server.clients)).collect();
    // Those over the limit are let go at once, the others when their time is up.
    wait_until("those over the limit are gone", || refusals(&server, "handshakes_per_address") == 40.0);
    wait_until("the others are gone", || server.metric("ledgercast_connections_arrived") == 0.0);
    assert_eq!(refusals(&server, "no_request"), 20.0);
    for raw in &mut silent {
        raw.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        let _ = raw.stream.read_to_end(&mut rest);
        let text = String::from_utf8_lossy(&rest);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
    // Nothing of it is left: the address may have all that it may have.
    let open: Vec<Raw> = (0..20).map(|_| Raw::open(server.clients)).collect();
    let refused = answer(&server, REQUEST);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    drop(open);
    wait_until("they are gone", || server.sessions() == 0);
    Raw::open(server.clients);
}

#[test]
fn nor_the_door_behind_tls() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let devnet = Devnet::start("1", 1);
    let limits = "limits: { connections_per_address: 20, exempt_loopback: false, handshake: 5s }";
    let server = Server::start(&with_tls(&settings(devnet.address, limits), folder.path()));
    let silent: Vec<Raw> = (0..600).map(|_| Raw::dial(server.clients)).collect();
    wait_until("those over the limit are gone", || refusals(&server, "handshakes_per_address") == 580.0);
    wait_until("the others are gone", || server.metric("ledgercast_connections_arrived") == 0.0);
    assert_eq!(refusals(&server, "no_request"), 20.0);
    drop(silent);
}

#[test]
fn clients_behind_a_proxy_are_told_apart() {
    let devnet = Devnet::start("1", 1);
    let limits = "limits: { connections_per_address: 2, exempt_loopback: false, trusted_proxies: [127.0.0.0/8] }";
    let server = Server::start(&settings(devnet.address, limits));
    let mut open = Vec::new();
    let mut from = |hops: &str| {
        let mut raw = Raw::dial(server.clients);
        raw.send(with_headers(&format!("X-Forwarded-For: {hops}\r\n")).as_bytes());
        let status = raw.head().status;
        open.push(raw);
        status
    };
    // What a client writes itself stands to the left of what its proxy adds.
    assert_eq!([from("203.0.113.1"), from("9.9.9.9, 203.0.113.1"), from("8.8.8.8, 203.0.113.1")], [101, 101, 503]);
    assert_eq!([from("203.0.113.2"), from("203.0.113.2, 127.0.0.9")], [101, 101]);
    // An IPv6 client has a whole /64 to choose from.
    assert_eq!([from("2001:db8:1:2::1"), from("2001:db8:1:2::2"), from("2001:db8:1:2:ffff::3")], [101, 101, 503]);
    assert_eq!(from("2001:db8:1:3::1"), 101);
    assert_eq!(refusals(&server, "connections_per_address"), 2.0);
}

#[test]
fn connections_wait_while_too_many_ask_for_nothing() {
    let devnet = Devnet::start("1", 1);
    let server = Server::start(&settings(devnet.address, "workers: 1\nlimits: { handshakes: 10, handshake: 3s }"));
    let open = Raw::open(server.clients);
    let silent: Vec<Raw> = (0..100).map(|_| Raw::dial(server.clients)).collect();
    pause(Duration::from_millis(300));
    assert!(server.metric("ledgercast_connections_arrived") <= 10.0);
    drop(silent);
    // Whoever waits gets in.
    let mut late = Raw::dial(server.clients);
    late.send(REQUEST.as_bytes());
    assert_eq!(late.head().status, 101);
    assert_eq!(late.next_of(TEXT).text(), crate::common::client::WELCOME);
    drop(open);
}

#[test]
fn plain_http_is_not_for_the_internet() {
    let devnet = Devnet::start("1", 1);
    let text = settings(devnet.address, "");
    for bind in ["0.0.0.0:0", "'[::]:0'"] {
        let public = text.replacen("bind: 127.0.0.1:0", &format!("bind: {bind}"), 1);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, &public).unwrap();
        let mut process = Process::start(&["check-config", path(&file)]);
        assert!(!process.wait().success());
        wait_until("the reason", || process.stderr().contains("allow_plain_http: true"));
        assert!(process.stderr().contains(":6:11: listeners[0].bind is "), "{}", process.stderr());
        let allowed = public.replacen("    mounts:", "    allow_plain_http: true\n    mounts:", 1);
        let server = Server::start(&allowed);
        let here = SocketAddr::from(([127, 0, 0, 1], server.clients.port()));
        assert_eq!(get(here, "/ws").unwrap().status, 426);
    }
}

/// Behind a proxy each client counts, also where it only fetches pages and takes its time about it.
#[test]
fn pages_behind_a_proxy_are_counted_by_client() {
    let devnet = Devnet::of_ledger("planetmint", "1", 1);
    let limits = "limits: { connections_per_address: 2, exempt_loopback: false, trusted_proxies: [127.0.0.1] }";
    let server = Server::start(&settings_of("planetmint_api", devnet.address, "planetmint", "{}", limits));
    server.wait_ready();
    let ask = |client: &str, rest: &str| {
        let mut raw = Raw::dial(server.clients);
        let head = format!("POST /ws/api/v1/ HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {client}\r\n{rest}\r\n\r\n");
        raw.send(head.as_bytes());
        raw
    };
    // Their bodies never come.
    let _held: Vec<_> = (0..2).map(|_| ask("10.0.0.1", "Content-Length: 5")).collect();
    pause(Duration::from_millis(300));
    let short = "Content-Length: 0\r\nConnection: close";
    assert_eq!(ask("10.0.0.1", short).head().status, 503);
    assert_ne!(ask("10.0.0.2", short).head().status, 503, "another client");
}
