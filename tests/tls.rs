//! TLS on a listener: the same delivery over `wss://`, a certificate that changes while clients stay, and
//! peers that speak something else.

use crate::common::client::{Client, Got, is_a_row};
use crate::common::raw::Raw;
use crate::common::server::{Devnet, Server, settings};
use crate::common::tls::{certificate, localhost, trusting, with_tls};
use crate::common::{PATIENCE, pause, wait_until};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// A server that speaks TLS with the folder's certificate.
fn start(devnet: &Devnet, folder: &TempDir, more: &str) -> Server {
    let server = Server::start(&with_tls(&settings(devnet.address, more), folder.path()));
    server.wait_ready();
    server
}

/// A TLS session with a server that proves itself with this certificate.
async fn dial(address: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(trusting(trusted)).connect(localhost(), stream).await
}

async fn connect(address: SocketAddr, trusted: &CertificateDer<'static>) -> Client {
    let request = format!("wss://localhost:{}/ws", address.port()).into_client_request().unwrap();
    let stream = dial(address, trusted).await.expect("the certificate is the one expected");
    let mut client = Client::try_over(Box::new(stream), request).await.expect("a good handshake");
    assert_eq!(client.next().await, Got::Text(crate::common::client::WELCOME.to_owned()));
    client
}

#[tokio::test]
async fn the_same_events_arrive_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certificate(folder.path());
    let devnet = Devnet::start("5", 400);
    let mut server = start(&devnet, &folder, "");
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = connect(server.clients, &certificate).await;
        client.registered(&json!({}), &mut Vec::new()).await;
        clients.push(client);
    }
    // One pauses until more waits than sockets and TLS hold: it goes on from history.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for client in &mut clients {
        let mut texts = Vec::new();
        while texts.len() < 5000 {
            texts.push(client.next_text().await);
        }
        // The ledger that was under way at the registration may come without its first events.
        let first = texts.iter().position(|text| text.starts_with(r#"{"type":"ledger""#)).unwrap();
        is_a_row(&texts[first..]);
    }
    // A ping is answered between them.
    clients[0].ping(b"hello").await;
    while clients[0].next().await != Got::Pong(b"hello".to_vec()) {}
    // Each gets a close frame when the server ends.
    server.process.signal(Signal::TERM);
    for client in &mut clients {
        let code = loop {
            match client.next().await {
                Got::Close(code, _) => break code,
                Got::Gone => panic!("no close frame"),
                _ => {}
            }
        };
        assert_eq!(code, 1001);
    }
    assert!(server.process.wait().success());
}

#[tokio::test]
async fn a_new_certificate_is_served_after_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let first = certificate(folder.path());
    let devnet = Devnet::start("5", 5);
    let server = start(&devnet, &folder, "");
    let mut stays = connect(server.clients, &first).await;
    stays.registered(&json!({}), &mut Vec::new()).await;

    let second = certificate(folder.path());
    assert!(dial(server.clients, &second).await.is_err(), "not before the signal");
    server.process.signal(Signal::HUP);
    wait_until("it is said", || server.process.stderr().contains("were read again"));
    connect(server.clients, &second).await;
    assert!(dial(server.clients, &first).await.is_err());
    // What is open goes on.
    for _ in 0..30 {
        stays.next_text().await;
    }

    // Files of no use are told, and change nothing.
    std::fs::write(folder.path().join("key.pem"), "nothing").unwrap();
    server.process.signal(Signal::HUP);
    wait_until("it is said", || server.process.stderr().contains("listeners[0].tls.key_file"));
    connect(server.clients, &second).await;
}

#[test]
fn peers_that_speak_something_else_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let devnet = Devnet::start("1", 1);
    let server = start(&devnet, &folder, "limits: { handshake: 1s }");
    let descriptors = server.process.descriptors();
    let mut silent = Vec::new();
    for round in 0..200 {
        let mut raw = Raw::dial(server.clients);
        match round % 4 {
            0 => raw.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"),
            1 => raw.send(&[0xff; 4000]),
            // Half of a TLS record.
            2 => raw.send(&[0x16, 0x03, 0x01, 0x40, 0x00, 0x01]),
            _ => {}
        }
        silent.push(raw);
    }
    for raw in &mut silent {
        raw.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        let _ = raw.stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "nothing is said in plain");
        let _ = raw.stream.write_all(b"more");
    }
    drop(silent);
    wait_until("every descriptor is closed", || server.process.descriptors() <= descriptors);
    pause(Duration::from_millis(100));
    let told = server.process.stderr().lines().filter(|line| !line.contains("ledgercast::")).count();
    assert!(told < 5, "strangers fill the log: {}", server.process.stderr());
}
