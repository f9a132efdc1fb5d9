//! MaticVigil clients on a chain that goes on: what they get, in which order, and how it ends.

use crate::common::PATIENCE;
use crate::common::client::{Client, Got};
use crate::common::evm_node::{BOARD, EvmNode};
use crate::common::server::Server;
use crate::common::{pause, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Every block has so many calls.
const CALLS: usize = 3;

/// A server with one mount, which keeps for a slow client what these tests mine.
fn serve(node: &EvmNode, keys: Value) -> Server {
    let config = json!({ "keys": keys });
    let server = Server::start(&format!(
        "{}listeners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
         - {{ dialect: maticvigil, path: /ws, sources: [chain], config: {config} }}\n\
         admin: {{ bind: 127.0.0.1:0 }}\ncatch_up: {{ ledgers: 100000 }}\n\
         limits: {{ outbox: 4MiB }}\nlog: {{ level: trace }}\n",
        node.source("chain")
    ));
    server.wait_ready();
    server
}

/// Mines until it is dropped.
struct Miner {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Miner {
    fn start(node: Arc<EvmNode>) -> Miner {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                node.mine(CALLS);
                pause(Duration::from_millis(20));
            }
        });
        Miner { stop, thread: Some(thread) }
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

async fn connect(server: &Server) -> Client {
    Client::try_connect(server.clients).await.expect("the server takes clients")
}

async fn say(client: &mut Client, message: Value) {
    client.text(message.to_string()).await;
}

async fn next(client: &mut Client) -> Value {
    serde_json::from_str(&client.next_text().await).unwrap()
}

/// Registers, and gives the session's id, which the first frame must bring.
async fn register(client: &mut Client, key: &str) -> String {
    say(client, json!({ "command": "register", "key": key })).await;
    let first = next(client).await;
    assert_eq!(first["command"], "register:ack", "{first}");
    first["sessionID"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_acknowledgement_is_first_and_then_everything_once_in_order() {
    let node = Arc::new(EvmNode::start());
    let nobody = BOARD.replace("5Fb", "000");
    let server =
        serve(&node, json!([{ "key": "board", "contracts": ["Board"] }, { "key": "idle", "contracts": [nobody] }]));
    let miner = Miner::start(node.clone());
    let mut ids = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = connect(&server).await;
        ids.push(register(&mut client, "board").await);
        clients.push(client);
    }
    let mut idle = connect(&server).await;
    let idle_id = register(&mut idle, "idle").await;
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "every connection has an id of its own");

    for client in &mut clients {
        let (mut number, mut block) = (None, None);
        for at in 0..30 * CALLS {
            let (call, event) = (next(client).await, next(client).await);
            assert_eq!((&call["type"], &event["type"]), (&json!("contractmon"), &json!("event")));
            assert_eq!(call["txHash"], event["txHash"], "an event follows its call");
            let index = event["transactionIndex"].as_u64().unwrap();
            assert_eq!(index, (at % CALLS) as u64, "from the first call of a block on, in order");
            let (this, of) = (event["maticvigil_event_id"].as_u64().unwrap(), event["blockNumber"].as_u64().unwrap());
            assert!(number.is_none_or(|before| this == before + 1), "{number:?} {event}");
            assert!(block.is_none_or(|before| of == before + u64::from(index == 0)), "{block:?} {event}");
            assert_eq!(event["event_data"], json!({ "number": of }));
            (number, block) = (Some(this), Some(of));
        }
    }
    // Its echo is all that the other key's client gets.
    let heartbeat = json!({ "command": "heartbeat", "sessionID": idle_id });
    say(&mut idle, heartbeat.clone()).await;
    assert_eq!(next(&mut idle).await, heartbeat);
    drop(miner);
}

#[tokio::test]
async fn heartbeats_are_answered_among_the_data() {
    let node = Arc::new(EvmNode::start());
    let server = serve(&node, json!([{ "key": "board", "contracts": [BOARD] }]));
    let _miner = Miner::start(node.clone());
    let mut client = connect(&server).await;
    let id = register(&mut client, "board").await;
    for _ in 0..5 {
        say(&mut client, json!({ "command": "heartbeat", "sessionID": "another" })).await;
        say(&mut client, json!({ "command": "heartbeat", "sessionID": id })).await;
        let answered = async {
            loop {
                let message = next(&mut client).await;
                if let Some(command) = message["command"].as_str() {
                    assert_eq!((command, message["sessionID"].as_str()), ("heartbeat", Some(id.as_str())));
                    break;
                }
            }
        };
        timeout(PATIENCE, answered).await.unwrap();
    }
    let counted = "ledgercast_protocol_errors_total{dialect=\"maticvigil\",kind=\"heartbeat_of_another\"}";
    assert_eq!(server.metric(counted), 5.0);

    say(&mut client, json!({ "command": "unregister", "key": "board" })).await;
    loop {
        let message = next(&mut client).await;
        if message["command"].is_string() {
            assert_eq!(message, json!({ "command": "unregister:ack" }));
            break;
        }
    }
    assert_eq!(client.next().await, Got::Close(1000, "unregistered".to_owned()), "nothing after it");
}

/// A client that has fallen behind reads the echo before what still waits for it.
#[tokio::test]
async fn an_echo_overtakes_what_waits() {
    const BLOCKS: u64 = 600;
    let node = EvmNode::start();
    let server = serve(&node, json!([{ "key": "board", "contracts": [BOARD] }]));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let stream = socket.connect(server.clients).await.unwrap();
    let request = format!("ws://{}/ws", server.clients).into_client_request().unwrap();
    let mut slow = Client::try_over(Box::new(stream), request).await.unwrap();
    let id = register(&mut slow, "board").await;
    let mut fast = connect(&server).await;
    register(&mut fast, "board").await;
    for _ in 0..BLOCKS {
        node.mine(CALLS);
    }
    while next(&mut fast).await["blockNumber"] != BLOCKS {}
    say(&mut slow, json!({ "command": "heartbeat", "sessionID": id })).await;
    let heard = "ledgercast_inbound_messages_total{dialect=\"maticvigil\"}";
    wait_until("the heartbeat arrives", || server.metric(heard) >= 3.0);
    let (mut before, mut after, mut echo) = (0, 0, false);
    while before + after < 2 * CALLS as u64 * BLOCKS {
        match next(&mut slow).await["command"].as_str() {
            Some(command) => {
                assert!(!std::mem::replace(&mut echo, true), "two echoes");
                assert_eq!(command, "heartbeat");
            }
            None if echo => after += 1,
            None => before += 1,
        }
    }
    assert!(echo && after > 0, "{before} messages before the echo, {after} after it");
    println!("{before} messages before the echo, {after} after it");
}

#[tokio::test]
async fn who_loses_the_key_is_closed_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, key: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, key).unwrap();
        path
    };
    let (first, second) = (file("first", "SECRET-1\n"), file("second", "SECRET-2\n"));
    let node = EvmNode::start();
    let keys = |path: &Path| json!({ "key_file": path, "contracts": [BOARD] });
    let mut server = serve(&node, json!([keys(&first), keys(&second)]));
    let (mut loser, mut winner, mut silent) = (connect(&server).await, connect(&server).await, connect(&server).await);
    register(&mut loser, "SECRET-1").await;
    let id = register(&mut winner, "SECRET-2").await;

    file("first", "SECRET-3");
    server.process.signal(Signal::HUP);
    assert_eq!(loser.next().await, Got::Close(1008, "access revoked".to_owned()));
    let heartbeat = json!({ "command": "heartbeat", "sessionID": id });
    say(&mut winner, heartbeat.clone()).await;
    assert_eq!(next(&mut winner).await, heartbeat);
    register(&mut silent, "SECRET-3").await;
    let mut late = connect(&server).await;
    say(&mut late, json!({ "command": "register", "key": "SECRET-1" })).await;
    assert_eq!(next(&mut late).await, json!({ "command": "register:nack" }));
    assert_eq!(late.next().await, Got::Close(1008, "unknown key".to_owned()));

    // Browser clients come back on 1000 alone.
    server.process.signal(Signal::TERM);
    assert_eq!(winner.next().await, Got::Close(1000, "server is shutting down".to_owned()));
    assert_eq!(silent.next().await, Got::Close(1000, "server is shutting down".to_owned()));
    server.process.wait();
    assert!(!server.process.stderr().contains("SECRET"), "keys are never logged");
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection() {
    let node = EvmNode::start();
    let server = serve(&node, json!([{ "key": "board", "contracts": [BOARD] }]));
    let mut client = connect(&server).await;
    register(&mut client, "board").await;
    // The largest that is allowed means nothing, and is no reason to close.
    client.text(" ".repeat(64 << 10)).await;
    say(&mut client, json!({ "command": "register", "key": "board" })).await;
    assert_eq!(next(&mut client).await["command"], "register:ack");
    client.text(" ".repeat((64 << 10) + 1)).await;
    let Got::Close(code, _) = client.next().await else { panic!() };
    assert_eq!(code, 1009);
}
