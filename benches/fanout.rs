//! The whole server under clients: `cargo bench --bench fanout`.
//!
//! Starts the real binary with its devnet, connects clients from this process, and prints what
//! they saw beside what the server and the kernel say of it:
//! * `broadcast`: everybody takes everything: loss, writes for each ledger and client, CPU of broker
//!   and workers for each delivery, latency from the source's post to the client's read;
//! * `stuck`: the same with twenty clients that never read, and the server's memory meanwhile;
//! * `idle`: memory of registered sessions that nothing matches.
//!
//! Arguments after `--`: the names of the runs wanted (all), and `clients=N` for `broadcast`.

mod common;

use common::{EVERYTHING, Server, connect, lost_and_wrong, masked, percentile, read_ledgers};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

const SETTLE: Duration = Duration::from_secs(2);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |name: &str| {
        let mut names = arguments.iter().filter(|argument| !argument.contains('='));
        names.clone().next().is_none() || names.any(|argument| argument == name)
    };
    let clients = arguments.iter().find_map(|argument| argument.strip_prefix("clients=")?.parse().ok()).unwrap_or(1000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if wanted("broadcast") {
            broadcast(clients, 0).await;
        }
        if wanted("stuck") {
            broadcast(200, 0).await;
            broadcast(200, 20).await;
        }
        if wanted("idle") {
            idle(10_000).await;
        }
    });
}

/// Everybody takes ledgers of 100 events; `stuck` more clients never read.
async fn broadcast(clients: usize, stuck: usize) {
    const SECONDS: u64 = 10;
    const EVENTS: u64 = 100;
    let server = Server::start(&["--devnet-rate", "4", "--devnet-events-per-ledger", "100"]);
    let stop = Arc::new(AtomicBool::new(false));
    let mut held = Vec::new();
    for _ in 0..stuck {
        let socket = connect(server.clients).await;
        let mut socket = socket;
        socket.write_all(&masked(EVERYTHING)).await.expect("registers");
        held.push(socket);
    }
    let mut readers = Vec::new();
    for _ in 0..clients {
        let mut socket = connect(server.clients).await;
        socket.write_all(&masked(EVERYTHING)).await.expect("registers");
        readers.push(tokio::spawn(read_ledgers(socket, stop.clone())));
    }
    tokio::time::sleep(SETTLE).await;
    let (before, rss_before) = (server.figures(), server.rss());
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let (after, rss_after) = (server.figures(), server.rss());
    let posted = server.posted();
    stop.store(true, Ordering::Relaxed);
    let mut streams = Vec::new();
    for reader in readers {
        streams.push(reader.await.expect("the reader ends"));
    }

    // Every client must have every ledger between its first and its last, whole and equal.
    let (lost, wrong) = lost_and_wrong(&streams, EVENTS as u32);
    let whole = streams.iter().flat_map(|stream| stream.iter().rev().skip(1));
    let mut latencies: Vec<u64> =
        whole.filter_map(|seen| Some(seen.read_nanos.saturating_sub(*posted.get(&seen.ledger)?))).collect();
    latencies.sort_unstable();
    let percentile = |share| percentile(&latencies, share);
    let ledgers = after.ledgers - before.ledgers;
    let deliveries = after.deliveries - before.deliveries;
    println!(
        "broadcast: {clients} clients, {stuck} that never read, {ledgers} ledgers of 100 events in {SECONDS} s\n  \
         ledgers lost {lost}, ledgers cut or unlike {wrong}, deliveries {deliveries}\n  \
         writes for each ledger and reading client {:.3}\n  \
         cpu of broker and workers {:.3} us for each delivery, {:.2} us for each write\n  \
         latency from post to the whole ledger read, ms: p50 {:.1} p90 {:.1} p99 {:.1} max {:.1}\n  \
         server memory {} KiB before, {} KiB after",
        // Both are counted at the same moment, once a second; ledgers are counted when they come.
        (after.writes - before.writes) as f64 * EVENTS as f64 / deliveries as f64,
        (after.cpu_nanos - before.cpu_nanos) as f64 / 1e3 / deliveries as f64,
        (after.cpu_nanos - before.cpu_nanos) as f64 / 1e3 / (after.writes - before.writes) as f64,
        percentile(0.5),
        percentile(0.9),
        percentile(0.99),
        percentile(1.0),
        rss_before / 1024,
        rss_after / 1024,
    );
}

/// Memory of registered sessions to which nothing comes.
async fn idle(clients: usize) {
    let server = Server::start(&["--devnet-rate", "0.2"]);
    // What the process takes once, whoever comes.
    let mut sockets = open(&server, 500, 0).await;
    tokio::time::sleep(SETTLE).await;
    let before = server.rss();
    let started = Instant::now();
    sockets.extend(open(&server, clients, 500).await);
    let took = started.elapsed();
    tokio::time::sleep(SETTLE).await;
    let after = server.rss();
    println!(
        "idle: {clients} registered sessions, each with a filter of its own, connected in {:.1} s: {} bytes of memory each",
        took.as_secs_f64(),
        (after.saturating_sub(before)) / clients as u64,
    );
    drop(sockets);
}

async fn open(server: &Server, count: usize, from: usize) -> Vec<tokio::net::TcpStream> {
    let mut sockets = Vec::new();
    for at in from..from + count {
        let mut socket = connect(server.clients).await;
        let filter = format!(r#"{{"type":"register","filters":{{"account_ids":["G{at:055}"]}}}}"#);
        socket.write_all(&masked(&filter)).await.expect("registers");
        sockets.push(socket);
    }
    sockets
}
