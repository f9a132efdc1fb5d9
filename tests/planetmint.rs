//! The whole server over a Planetmint network: both ways in, the documentation's steps, clients that do harm.

use crate::common::http;
use crate::common::raw::{BINARY, CLOSE, FIN, Frame, PING, PONG, Raw, TEXT, frame};
use crate::common::server::Server;
use crate::common::{pause, wait_until};
use actix_web::{App, HttpServer, web};
use ledgercast::devnet::planetmint::{Contents, Network, serve};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

const TRANSACTIONS: &str = "/api/v1/streams/valid_transactions";
const BLOCKS: &str = "/api/v1/streams/valid_blocks";

/// An embedded network that closes a block when it is told to.
struct Node {
    network: Arc<Network>,
    address: SocketAddr,
}

impl Node {
    /// With one block that holds `events` broker events, as later ones do.
    fn start(seed: u64, events: usize) -> Node {
        Node::keeping(10_000, seed, events)
    }

    /// The same, of whose blocks so many are kept.
    fn keeping(retention: u32, seed: u64, events: usize) -> Node {
        let network = Arc::new(Network::new(seed, 5, Contents::Mixed { events }, retention));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = network.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            let app = move || {
                let network = serving.clone();
                App::new().default_service(web::to(move |request, body| serve(network.clone(), request, body)))
            };
            let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap();
            actix_web::rt::System::new().block_on(server.run()).unwrap();
        });
        let node = Node { network, address };
        node.close();
        node
    }

    fn close(&self) {
        self.network.close_next(1_700_000_000);
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.network.answer("GET", path, b"").body).unwrap()
    }

    fn ids(&self, height: u64) -> Vec<String> {
        let block = self.get(&format!("/api/v1/blocks/{height}"));
        block["transaction_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }
}

/// A server with a mount for each way in.
fn server(node: &Node, config: &str, more: &str) -> Server {
    serving(node, &[("api", "planetmint_api", "/planetmint"), ("rpc", "tendermint_rpc", "/")], config, more)
}

/// A server with these sources: name, type and the path of its mount.
fn serving(node: &Node, sources: &[(&str, &str, &str)], config: &str, more: &str) -> Server {
    let url = format!("http://{}", node.address);
    let mut text = "sources:\n".to_owned();
    for (name, kind, _) in sources {
        // The one for which a test makes a gap.
        let gap = if *kind == "tendermint_rpc" { ", on_gap: announce" } else { "" };
        text += &format!("  {name}: {{ type: {kind}, config: {{ rpc_url: '{url}', poll_interval: 30ms{gap} }} }}\n");
    }
    text += "listeners:\n  - bind: 127.0.0.1:0\n    public_url: https://example.org\n    mounts:\n";
    for (name, _, path) in sources {
        text += &format!("      - {{ dialect: planetmint, path: {path}, sources: [{name}], config: {config} }}\n");
    }
    let server = Server::start(&format!("{text}admin: {{ bind: 127.0.0.1:0 }}\n{more}\n"));
    server.wait_ready();
    server
}

fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: somewhere.else:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

fn open(server: &Server, path: &str) -> Raw {
    let mut raw = Raw::dial(server.clients);
    raw.send(handshake(path).as_bytes());
    assert_eq!(raw.head().status, 101, "{path}");
    raw
}

/// The next message, past the pings.
fn next(raw: &mut Raw) -> Value {
    serde_json::from_str(raw.next_of(TEXT).text()).unwrap()
}

fn asked(server: &Server, path: &str) -> http::Answer {
    http::exchange(
        server.clients,
        format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .unwrap()
}

#[test]
fn the_documentations_steps_by_both_ways_in() {
    let node = Node::start(1, 12);
    let server = server(&node, "{}", "");
    for (base, url) in [("/planetmint", "wss://example.org/planetmint"), ("", "wss://example.org")] {
        let root = asked(&server, &format!("{base}/api/v1/"));
        assert_eq!((root.status, root.header("content-type")), (200, Some("application/json")));
        assert_eq!(root.json()["streams"], format!("{url}{TRANSACTIONS}"), "whatever the Host header says");
        assert_eq!(root.json()["streamedblocks"], format!("{url}{BLOCKS}"));
        assert_eq!(asked(&server, &format!("{base}/")).json()["api"]["v1"]["blocks"], "/api/v1/blocks/");
        assert_eq!(asked(&server, &format!("{base}/api/v1/nosuch")).status, 404);
        assert_eq!(asked(&server, &format!("{base}{TRANSACTIONS}")).status, 400);
        let mut refused = Raw::dial(server.clients);
        refused.send(handshake(&format!("{base}/api/v1/streams/nosuch")).as_bytes());
        assert_eq!(refused.head().status, 404);
    }
    let mut streams: Vec<(Raw, Raw)> = ["/planetmint", "", ""]
        .map(|base| (open(&server, &format!("{base}{TRANSACTIONS}")), open(&server, &format!("{base}{BLOCKS}"))))
        .into();
    for height in 2..=6 {
        node.close();
        let ids = node.ids(height);
        for (transactions, blocks) in &mut streams {
            for id in &ids {
                let told = next(transactions);
                assert_eq!((&told["transaction_id"], &told["height"]), (&json!(id), &json!(height)));
                let made = node.get(&format!("/api/v1/transactions/{id}"));
                let own = |asset: &Value| asset.get("id").cloned().unwrap_or(json!(id));
                let asset_ids: Vec<Value> = made["assets"].as_array().unwrap().iter().map(own).collect();
                assert_eq!(told["asset_ids"], json!(asset_ids));
                assert_eq!(told["asset_id"], asset_ids[0]);
            }
            let hash = node.get(&format!("/api/v1/blocks/{height}"))["app_hash"].clone();
            assert_eq!(next(blocks), json!({ "height": height, "hash": hash, "transaction_ids": ids }));
        }
    }
    for base in ["/planetmint", ""] {
        let id = &node.ids(4)[0];
        assert_eq!(asked(&server, &format!("{base}/api/v1/blocks/4")).json(), node.get("/api/v1/blocks/4"));
        assert_eq!(asked(&server, &format!("{base}/api/v1/blocks/latest")).json(), node.get("/api/v1/blocks/6"));
        let path = format!("/api/v1/transactions/{id}");
        assert_eq!(asked(&server, &format!("{base}{path}")).json(), node.get(&path));
        assert_eq!(asked(&server, &format!("{base}/api/v1/blocks?transaction_id={id}")).json()["height"], 4);
        let unknown = asked(&server, &format!("{base}/api/v1/blocks/99"));
        assert_eq!((unknown.status, unknown.json()), (404, json!({ "message": "Not found", "status": 404 })));
    }
}

#[test]
fn what_clients_send_is_dropped() {
    let node = Node::start(1, 3);
    let server = server(&node, "{}", "");
    let mut raw = open(&server, &format!("/planetmint{TRANSACTIONS}"));
    for message in ["hello", r#"{"type":"register"}"#, "{\"broken", ""] {
        raw.send(&frame(FIN | TEXT, message.as_bytes()));
    }
    raw.send(&frame(FIN | BINARY, &[0, 255, 7]));
    // Over the limit of what is read: not a word either.
    raw.send(&frame(FIN | TEXT, "x".repeat(500_000).as_bytes()));
    raw.send(&frame(FIN | PING, b"are you there?"));
    let pong: Frame = raw.next();
    assert_eq!((pong.opcode, &*pong.payload), (PONG, &b"are you there?"[..]));
    node.close();
    assert_eq!(next(&mut raw)["height"], 2);
    // Beyond what the original takes it closes, too.
    raw.try_send(&frame(FIN | TEXT, &vec![b'x'; (4 << 20) + 1]));
    assert_eq!(raw.closed(), Some(1009));
}

#[test]
fn those_who_do_not_read_or_are_reset_harm_nobody() {
    let node = Node::start(1, 2001);
    // Who never reads is closed by `stall`, so it must be longer than this test's own thread can be away from its reading
    // on a busy machine: between a block and the next it looks for what must come. The other way in asks for each
    // transaction, which would take far more than the test itself.
    let more = "limits: { outbox: 8KiB, outbox_total: 1MiB, send_buffer: 4KiB, stall: 10s }\nhistory: { budget: 1MiB }";
    let server = serving(&node, &[("rpc", "tendermint_rpc", "/")], "{}", more);
    let mut healthy = open(&server, TRANSACTIONS);
    let mut stuck = Raw::dial_small(server.clients);
    stuck.send(handshake(TRANSACTIONS).as_bytes());
    assert_eq!(stuck.head().status, 101);
    let reset: Vec<Raw> = (0..3).map(|_| open(&server, TRANSACTIONS)).collect();
    node.close();
    assert_eq!(next(&mut healthy)["height"], 2);
    // In the middle of a block.
    drop(reset);
    for height in 2..=12 {
        if height > 2 {
            node.close();
        }
        let ids = node.ids(height);
        for id in &ids[usize::from(height == 2)..] {
            assert_eq!(next(&mut healthy)["transaction_id"], json!(id), "block {height}");
        }
    }
    wait_until("the stuck client is closed", || {
        server.metric(r#"ledgercast_sessions_closed_total{dialect="planetmint",code="1013",reason="too_slow"}"#) == 1.0
    });
    node.close();
    assert_eq!(next(&mut healthy)["height"], 13);
    drop(stuck);
}

#[test]
fn a_gap_closes_with_1012_and_the_stream_goes_on() {
    let node = Node::keeping(5, 1, 3);
    let server = server(&node, "{}", "");
    let mut before = open(&server, BLOCKS);
    node.close();
    assert_eq!(next(&mut before)["height"], 2);
    // At once, so that nobody can have read them all.
    (0..2000).for_each(|_| node.close());
    assert_eq!(before.next_of(CLOSE).code(), Some(1012));
    let mut after = open(&server, BLOCKS);
    node.close();
    while next(&mut after)["height"] != 2003 {}
}

#[test]
fn a_shutdown_says_1001() {
    let node = Node::start(1, 3);
    let mut server = server(&node, "{}", "");
    let mut raw = open(&server, TRANSACTIONS);
    pause(Duration::from_millis(50));
    assert!(server.stop().success());
    assert_eq!(raw.closed(), Some(1001));
}
