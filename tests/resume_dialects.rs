//! Unmodified clients of every protocol go away and come back by their address alone, with whatever lets them in.

use crate::common::PATIENCE;
use crate::common::client::{Client, Head};
use crate::common::evm_node::EvmNode;
use crate::common::pause;
use crate::common::raw::Raw;
use crate::common::reader::Reader;
use crate::common::server::{Devnet, Server, path, settings, settings_of};
use crate::five_bells::{Bells, anywhere, subscribe, token};
use ledgercast::event::{Chain, Cursor, CursorEntry, Place};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::timeout;

const TOKEN: &str = "a-token-that-is-long-enough-for-anybody";
/// Ledgers that a client misses.
const MISSED: u64 = 5;

/// How clients of a protocol come in, what they say first, and which ledger a message tells of.
struct Kind {
    path: String,
    says: Option<Value>,
    ledger: fn(&Value) -> Option<u64>,
}

impl Kind {
    fn at(&self, resume: &str) -> String {
        let mark = if self.path.contains('?') { '&' } else { '?' };
        format!("{}{mark}resume={resume}", self.path)
    }

    async fn join(&self, server: &Server, path: &str) -> Client {
        let mut client = Client::try_at(server.clients, path).await.unwrap_or_else(|status| panic!("{path}: {status}"));
        if let Some(says) = &self.says {
            client.text(says.to_string()).await;
        }
        client
    }

    /// What tells of ledgers, from now until one after this.
    async fn through(&self, client: &mut Client, ledger: u64) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let message: Value = serde_json::from_str(&client.next_text().await).unwrap();
            match (self.ledger)(&message) {
                Some(of) if of > ledger => return all,
                Some(_) => all.push(message),
                None => {}
            }
        }
    }

    /// Where a session that opens now begins, as its handshake says.
    fn begins(&self, server: &Server) -> String {
        let mut raw = Raw::dial(server.clients);
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            self.path
        );
        raw.send(request.as_bytes());
        raw.head().header("ledgercast-cursor").expect("the mount says so").to_owned()
    }

    async fn comes_back(&self, server: &Server) {
        let mut stays = self.join(server, &self.path).await;
        let first = loop {
            let message: Value = serde_json::from_str(&stays.next_text().await).unwrap();
            if let Some(ledger) = (self.ledger)(&message) {
                break ledger;
            }
        };
        self.through(&mut stays, first + 1).await;
        let cursor = self.begins(server);
        let at = cursor.parse::<Cursor>().unwrap().entries[0].ledger;
        let all = self.through(&mut stays, at + MISSED).await;
        for resume in [cursor.clone(), format!("ledger:{}", at + 1)] {
            let mut back = self.join(server, &self.at(&resume)).await;
            let got = self.through(&mut back, at + MISSED).await;
            let missed: Vec<_> = all.iter().filter(|message| (self.ledger)(message) > Some(at)).collect();
            assert!(!missed.is_empty() && got.iter().eq(missed.iter().copied()), "{resume}: {got:?} is not {missed:?}");
        }
        self.refuses(server, &cursor).await;
    }

    /// What is no cursor of a network that is shown here.
    async fn refuses(&self, server: &Server, good: &str) {
        let mut forged = good.to_owned().into_bytes();
        forged[6] = if forged[6] == b'A' { b'B' } else { b'A' };
        let network = "elsewhere".into();
        let entry = CursorEntry { network, ledger: 3, place: Place::END, chain: Chain::Hash([1; 4]) };
        let foreign = Cursor { entries: vec![entry] }.to_string();
        for resume in [String::from_utf8(forged).unwrap(), good[..good.len() - 3].to_owned(), foreign] {
            assert_eq!(Client::try_at(server.clients, &self.at(&resume)).await.err(), Some(400), "{resume}");
        }
    }
}

/// With one mount at `/ws` that wants a token and lets clients go on.
fn guarded(folder: &tempfile::TempDir, settings: &str) -> Server {
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, TOKEN).unwrap();
    let with = format!("sources: [devnet], resume: true, tokens_file: '{}',", path(&tokens));
    let server = Server::start(&settings.replacen("sources: [devnet],", &with, 1));
    server.wait_ready();
    server
}

#[tokio::test]
async fn rippled_with_a_token() {
    let (devnet, folder) = (Devnet::of_ledger("xrpl", "10", 5), tempfile::tempdir().unwrap());
    let server = guarded(&folder, &settings_of("xrpl_rpc", devnet.address, "rippled", "{}", ""));
    let kind = Kind {
        path: format!("/ws?token={TOKEN}"),
        says: Some(json!({ "id": 1, "command": "subscribe", "streams": ["ledger"] })),
        ledger: |message| if message["type"] == "ledgerClosed" { message["ledger_index"].as_u64() } else { None },
    };
    kind.comes_back(&server).await;
    let cursor = kind.begins(&server);
    assert_eq!(Client::try_at(server.clients, &format!("/ws?resume={cursor}")).await.err(), Some(401));
}

#[tokio::test]
async fn planetmint_with_a_token() {
    for (ledger, source) in [("planetmint", "planetmint_api"), ("planetmint", "tendermint_rpc")] {
        let (devnet, folder) = (Devnet::of_ledger(ledger, "10", 5), tempfile::tempdir().unwrap());
        let server = guarded(&folder, &settings_of(source, devnet.address, "planetmint", "{}", ""));
        let kind = Kind {
            path: format!("/ws/api/v1/streams/valid_blocks?token={TOKEN}"),
            says: None,
            ledger: |message| message["height"].as_u64(),
        };
        kind.comes_back(&server).await;
        let resume = format!("/ws/api/v1/streams/valid_blocks?resume={}", kind.begins(&server));
        assert_eq!(Client::try_at(server.clients, &resume).await.err(), Some(401));
    }
}

#[tokio::test]
async fn maticvigil_with_a_key() {
    let node = Arc::new(EvmNode::start());
    let config = json!({ "keys": [{ "key": "board", "contracts": ["Board"] }] });
    let server = Server::start(&format!(
        "{}listeners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
         - {{ dialect: maticvigil, path: /ws, sources: [chain], resume: true, config: {config} }}\n\
         admin: {{ bind: 127.0.0.1:0 }}\n",
        node.source("chain")
    ));
    server.wait_ready();
    let ended = Arc::new(AtomicBool::new(false));
    let (mining, ends) = (node.clone(), ended.clone());
    let miner = std::thread::spawn(move || {
        while !ends.load(Ordering::Relaxed) {
            mining.mine(2);
            pause(Duration::from_millis(60));
        }
    });
    let kind = Kind {
        path: "/ws".to_owned(),
        says: Some(json!({ "command": "register", "key": "board" })),
        ledger: |message| message["blockNumber"].as_u64(),
    };
    let tested = timeout(2 * PATIENCE, kind.comes_back(&server)).await;
    ended.store(true, Ordering::Relaxed);
    miner.join().unwrap();
    tested.expect("it takes less");
}

/// Its messages name no ledger: Flow's cursors of the same payments tell where each is.
#[tokio::test]
async fn five_bells_with_a_login() {
    let bells = Bells::new();
    let settings = bells.settings(anywhere(), &["admin"]);
    let settings = settings.replace("sources: [xrpl], config:", "sources: [xrpl], resume: true, config:");
    let server = Server::start(&settings);
    server.wait_ready();
    let flow = Reader::start(server.clients, &json!({ "types": ["payment"], "asset_codes": ["XRP"] }));
    let key = token(&server, "admin");
    let kind = Kind { path: format!("/bells/websocket?token={key}"), says: None, ledger: |_| None };
    let transfers = async |client: &mut Client, count: usize| {
        assert_eq!(subscribe(client, 1, json!([{ "eventType": "*" }])).await["result"], 1);
        let mut all = Vec::new();
        while all.len() < count {
            let message: Value = serde_json::from_str(&client.next_text().await).unwrap();
            if message["method"] == "notify" {
                all.push(message);
            }
        }
        all
    };
    crate::common::wait_until("payments", || flow.len() > 30);
    let cursors: Vec<String> = flow.texts().iter().map(|text| text_of(text, "cursor")).collect();
    let mut early = Client::try_at(server.clients, &kind.at(&cursors[2])).await.unwrap();
    let early = transfers(&mut early, 40).await;
    let mut late = Client::try_at(server.clients, &kind.at(&cursors[9])).await.unwrap();
    let late = transfers(&mut late, 20).await;
    assert_eq!(early[7..27], late, "exactly what is after each");
    kind.refuses(&server, &cursors[2]).await;
    let without = format!("/bells/websocket?resume={}", cursors[2]);
    assert_eq!(Client::try_at(server.clients, &without).await.err(), Some(401));
}

fn text_of(event: &str, field: &str) -> String {
    serde_json::from_str::<Value>(event).unwrap()[field].as_str().unwrap().to_owned()
}

/// A change takes effect at the session's own position, which is far behind: nothing is missing, nothing comes twice.
#[tokio::test]
async fn filters_change_while_a_session_is_on_the_backlog() {
    let (devnet, state) = (Devnet::start("20", 40), tempfile::tempdir().unwrap());
    let more = format!("history: {{ budget: 256KiB }}\nstate_dir: '{}'", path(state.path()));
    let server = Server::start(&settings(devnet.address, &more));
    server.wait_ready();
    let stays = Reader::start(server.clients, &json!({}));
    crate::common::wait_until("ledgers", || stays.len() > 0);
    let first = Head::of(&stays.texts()[0]).ledger + 1;
    stays.wait_past(first + 60, PATIENCE);
    let until = first + 70;
    let mut client = Client::connect(server.clients).await;
    client
        .text(json!({ "type": "register", "filters": { "types": ["ledger"] }, "from_ledger": first }).to_string())
        .await;
    client.text(json!({ "type": "register", "filters": {} }).to_string()).await;
    let (mut got, mut changed) = (Vec::new(), None);
    loop {
        let text = client.next_text().await;
        if text_of(&text, "type") == "registered" {
            changed = Some(got.len());
            continue;
        }
        if Head::of(&text).ledger > until {
            break;
        }
        got.push(text);
    }
    stays.wait_past(until, PATIENCE);
    let all: Vec<String> = stays.texts();
    let of_both: Vec<&String> = all.iter().filter(|text| (first..=until).contains(&Head::of(text).ledger)).collect();
    let changed = changed.expect("it is said");
    // The ledger from which on everything comes.
    let from = Head::of(&got[changed]).ledger;
    assert!(from < until - 10, "it took effect at {from}, far behind {until}");
    let (before, after): (Vec<&String>, Vec<&String>) =
        of_both.into_iter().partition(|text| Head::of(text).ledger < from);
    let ledgers: Vec<&String> = before.into_iter().filter(|text| text_of(text, "type") == "ledger").collect();
    assert!(got[..changed].iter().eq(ledgers), "only ledgers before {from}");
    assert!(got[changed..].iter().eq(after), "everything from {from} on");
}
