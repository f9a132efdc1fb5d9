//! Start, stop and transport, over real connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::*;

/// One exchange: (status, body).
fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!("{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // The server may answer and close before it has read all.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

const JSON: &str = "POST / HTTP/1.1\r\nContent-Type: application/json";
const HEALTH: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#;

fn latest(address: SocketAddr) -> u64 {
    let (status, body) = exchange(address, JSON, HEALTH);
    assert_eq!(status, 200);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["result"]["latestLedger"].as_u64().unwrap()
}

#[tokio::test]
async fn it_closes_ledgers_until_it_is_stopped() {
    let settings = Settings { ledger_interval: Duration::from_millis(20), ..Settings::default() };
    let devnet = start(settings.clone()).await.unwrap();
    let address = devnet.address();
    assert_eq!(devnet.url(), format!("http://{address}"));
    assert!(latest(address) >= 1_000 + u64::from(HISTORY) - 1);
    while latest(address) < 1_020 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let taken = start(Settings { listen: address, ..settings.clone() }).await.unwrap_err();
    let text = taken.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("port 0"), "{text}");

    devnet.stop().await;
    assert!(TcpStream::connect(address).is_err());
    let again = start(Settings { listen: address, ..settings }).await.unwrap();
    assert_eq!(again.address(), address);
    again.stop().await;
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let devnet = start(Settings::default()).await.unwrap();
    let address = devnet.address();
    drop(devnet);
    while TcpStream::connect(address).is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_transport_is_that_of_the_real_server() {
    let devnet = start(Settings::default()).await.unwrap();
    let status = |head: &str, body: &[u8]| exchange(devnet.address(), head, body).0;
    assert_eq!(status("GET / HTTP/1.1", b""), 405);
    assert_eq!(status("PUT / HTTP/1.1\r\nContent-Type: application/json", HEALTH), 405);
    assert_eq!(status("POST / HTTP/1.1", HEALTH), 415);
    let typed = |kind: &str| format!("POST / HTTP/1.1\r\nContent-Type: {kind}");
    assert_eq!(status(&typed("text/plain"), HEALTH), 415);
    assert_eq!(status(&typed("application/json; charset=latin1"), HEALTH), 415);
    assert_eq!(status(&typed("application/json; charset=UTF-8"), HEALTH), 200);
    assert_eq!(status("POST /any/path HTTP/1.1\r\nContent-Type: application/json", HEALTH), 200);
    assert_eq!(status(JSON, br#"{"jsonrpc":"2.0","method":"getHealth"}"#), 204);
    assert_eq!(status(JSON, b"<html>"), 500);
    let (status, body) = exchange(devnet.address(), JSON, &vec![b' '; (512 << 10) + 1]);
    assert_eq!((status, body.as_str()), (500, "http: request body too large\n"));
    devnet.stop().await;
}

#[tokio::test]
async fn wrong_settings_name_the_key_and_the_remedy() {
    let good = Settings::default;
    let error = async |settings| start(settings).await.unwrap_err().to_string();
    assert!(error(Settings { accounts: 1, ..good() }).await.contains("accounts is 1"));
    assert!(error(Settings { events_per_ledger: 1 << 20, ..good() }).await.contains("at most"));
    assert!(error(Settings { ledger_interval: Duration::ZERO, ..good() }).await.contains("1s"));
    assert!(error(Settings { ledger_interval: Duration::MAX, ..good() }).await.contains("a day"));
    assert!(error(Settings { retention: 0, ..good() }).await.contains("retention"));
    assert!(error(Settings { passphrase: String::new(), ..good() }).await.contains("passphrase"));
}

#[tokio::test]
async fn every_face_is_served_on_its_own_port() {
    let settings = Settings { face: Face::Xrpl, ledger_interval: Duration::from_millis(50), ..Settings::default() };
    let addresses = accounts(&settings).unwrap();
    assert_eq!(addresses.len(), settings.accounts);
    assert_ne!(addresses, accounts(&Settings::default()).unwrap());
    let devnet = start(settings).await.unwrap();
    let info = |body: &[u8]| exchange(devnet.address(), "POST / HTTP/1.1", body);
    let newest = || {
        let (status, body) = info(br#"{"method":"server_info","params":[{}]}"#);
        assert_eq!(status, 200);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["result"]["info"]["validated_ledger"]["seq"].as_u64().unwrap()
    };
    let first = newest();
    while newest() < first + 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(info(br#"{"method":"nothing"}"#).0, 200, "errors of methods travel with 200");
    assert_eq!(info(b"{").0, 400);
    assert_eq!(info(&vec![b' '; 1_000_001]).0, 400);
    assert_eq!(exchange(devnet.address(), "GET / HTTP/1.1", b"").0, 403);
    let account = format!(r#"{{"method":"account_info","params":[{{"account":"{}"}}]}}"#, addresses[0]);
    assert!(info(account.as_bytes()).1.contains("account_data"));
    devnet.stop().await;
}

#[tokio::test]
async fn the_evm_chain_is_served_as_by_its_nodes() {
    let settings = Settings { face: Face::Evm, ledger_interval: Duration::from_millis(50), ..Settings::default() };
    let addresses = accounts(&settings).unwrap();
    assert!(addresses.iter().all(|address| address.len() == 42 && address.starts_with("0x")));
    let devnet = start(settings).await.unwrap();
    let ask = |body: &[u8]| exchange(devnet.address(), JSON, body);
    let newest = || {
        let (status, body) = ask(br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#);
        assert_eq!(status, 200);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        u64::from_str_radix(&body["result"].as_str().unwrap()[2..], 16).unwrap()
    };
    assert!(newest() >= u64::from(HISTORY) - 1);
    while newest() < 12 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ask(b"{").1.contains("-32700"), "errors travel with 200");
    assert_eq!(ask(br#"{"jsonrpc":"2.0","method":"eth_blockNumber"}"#), (200, String::new()), "a notification");
    assert_eq!(ask(&vec![b' '; (5 << 20) + 1]).0, 413);
    assert_eq!(exchange(devnet.address(), "GET / HTTP/1.1", b"").0, 200);
    assert_eq!(exchange(devnet.address(), "PUT / HTTP/1.1", b"").0, 405);
    assert_eq!(exchange(devnet.address(), "POST / HTTP/1.1\r\nContent-Type: text/plain", b"{}").0, 415);
    devnet.stop().await;
}
