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

use rustix::time::{ClockId, clock_gettime};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const EVERYTHING: &str = r#"{"type":"register","filters":{}}"#;
/// The first byte of a text frame, and a pong as clients send it.
const TEXT: u8 = 0x81;
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
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
    let mut reference: HashMap<u64, (u32, u64)> = HashMap::new();
    let (mut lost, mut wrong) = (0u64, 0u64);
    let mut latencies = Vec::new();
    for stream in &streams {
        for pair in stream.windows(2) {
            lost += pair[1].ledger - pair[0].ledger - 1;
        }
        // The last one may have been cut by our stopping.
        for seen in stream.iter().rev().skip(1) {
            let first = *reference.entry(seen.ledger).or_insert((seen.events, seen.digest));
            wrong += u64::from(first != (seen.events, seen.digest) || seen.events != 100);
            if let Some(posted) = posted.get(&seen.ledger) {
                latencies.push(seen.read_nanos.saturating_sub(*posted));
            }
        }
    }
    latencies.sort_unstable();
    let percentile = |share: f64| {
        let at = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
        latencies.get(at).map_or(0.0, |nanos| *nanos as f64 / 1e6)
    };
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

/// A ledger as a client saw it.
struct Seen {
    ledger: u64,
    events: u32,
    digest: u64,
    read_nanos: u64,
}

/// Reads frames until told to stop.
async fn read_ledgers(mut socket: tokio::net::TcpStream, stop: Arc<AtomicBool>) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    let mut buffer: Vec<u8> = Vec::with_capacity(128 << 10);
    while !stop.load(Ordering::Relaxed) {
        match tokio::time::timeout(Duration::from_millis(500), socket.read_buf(&mut buffer)).await {
            Ok(Ok(0)) | Ok(Err(_)) => break,
            Ok(Ok(_)) => {}
            Err(_) => continue,
        }
        let now = monotonic();
        let mut at = 0;
        while let Some((start, end)) = frame(&buffer[at..]) {
            let (first, payload) = (buffer[at], &buffer[at + start..at + end]);
            at += end;
            if first != TEXT {
                // A ping: the server asks whether we live.
                let _ = socket.write_all(&PONG).await;
                continue;
            }
            if payload.starts_with(br#"{"type":"ledger""#) {
                seen.push(Seen { ledger: ledger_of(payload), events: 0, digest: 0, read_nanos: now });
            }
            // What comes before the first whole ledger does not count.
            if let Some(last) = seen.last_mut() {
                last.events += 1;
                last.read_nanos = now;
                last.digest = payload
                    .iter()
                    .fold(last.digest, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
            }
        }
        buffer.drain(..at);
    }
    seen
}

/// Where the payload of the first frame begins and ends.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (start, length) = match *bytes.get(1)? {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        length => (2, length.into()),
    };
    (bytes.len() >= start + length).then_some((start, start + length))
}

fn ledger_of(payload: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(payload);
    let digits = text.split(r#""ledger":"#).nth(1).unwrap_or_default();
    digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a ledger number")
}

fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A text frame as clients send it, masked with zeros.
fn masked(text: &str) -> Vec<u8> {
    let mut frame = vec![TEXT];
    match text.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

async fn connect(address: SocketAddr) -> tokio::net::TcpStream {
    let mut socket = tokio::net::TcpStream::connect(address).await.expect("connects");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.expect("asks");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("answers"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    socket
}

/// The real server with its devnet, on free ports.
struct Server {
    process: Child,
    clients: SocketAddr,
    admin: SocketAddr,
}

/// What the server has counted, and what the kernel has counted of its threads.
struct Figures {
    ledgers: u64,
    deliveries: u64,
    writes: u64,
    cpu_nanos: u64,
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ledgercast"))
            .args(["serve", "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let (mut clients, mut admin) = (None, None);
        let output = BufReader::new(process.stdout.take().expect("piped"));
        for line in output.lines() {
            let line = line.expect("text");
            let address = |prefix: &str| line.split(prefix).nth(1)?.split('/').next()?.parse().ok();
            clients = clients.or_else(|| address("ws://"));
            if line.contains("Operators") {
                admin = address("http://");
            }
            if clients.is_some() && admin.is_some() {
                break;
            }
        }
        let server = Server { process, clients: clients.expect("the banner"), admin: admin.expect("the banner") };
        while !server.get("/readyz").starts_with("HTTP/1.1 200") {
            #[expect(clippy::disallowed_methods, reason = "nothing else runs on this thread yet")]
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.admin).expect("the admin listener");
        write!(socket, "GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").expect("asks");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("answers");
        answer
    }

    fn figures(&self) -> Figures {
        let metrics = self.get("/metrics");
        let sum = |name: &str| -> u64 {
            let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
            let counts = |line: &&str| line.split(['{', ' ']).next() == Some(name);
            metrics.lines().filter(counts).filter_map(value).sum::<f64>() as u64
        };
        Figures {
            ledgers: sum("ledgercast_ledgers_total"),
            deliveries: sum("ledgercast_frames_queued_total"),
            writes: sum("ledgercast_socket_writes_total"),
            cpu_nanos: self.cpu_nanos(),
        }
    }

    /// CPU of the threads that carry events: the broker and the workers.
    fn cpu_nanos(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("its threads");
        let of_thread = |task: std::io::Result<std::fs::DirEntry>| {
            let path = task.ok()?.path();
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            let counts = name.starts_with("broker") || name.starts_with("worker-");
            let time = std::fs::read_to_string(path.join("schedstat")).ok()?;
            counts.then(|| time.split(' ').next()?.parse::<u64>().ok())?
        };
        tasks.filter_map(of_thread).sum()
    }

    /// Resident bytes of the whole process.
    fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
    }

    /// When recent ledgers were posted.
    fn posted(&self) -> HashMap<u64, u64> {
        let answer = self.get("/debug/ledgers");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let sources: serde_json::Value = serde_json::from_str(body).expect("json");
        let ledgers = sources.as_object().expect("a map").values().filter_map(|list| list.as_array()).flatten();
        ledgers.filter_map(|ledger| Some((ledger["ledger"].as_u64()?, ledger["posted_nanos"].as_u64()?))).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
