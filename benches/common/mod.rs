//! The real server with its devnet, and clients that read ledgers: what benches of the whole share.

// Each bench is a program of its own and needs only a part of this.
#![allow(dead_code)]

use rustix::time::{ClockId, clock_gettime};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const EVERYTHING: &str = r#"{"type":"register","filters":{}}"#;
/// The first byte of a text frame, and a pong as clients send it.
const TEXT: u8 = 0x81;
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// A ledger as a client saw it.
pub struct Seen {
    pub ledger: u64,
    pub events: u32,
    pub digest: u64,
    pub read_nanos: u64,
}

/// Reads frames until told to stop.
pub async fn read_ledgers(mut socket: tokio::net::TcpStream, stop: Arc<AtomicBool>) -> Vec<Seen> {
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

pub fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A text frame as clients send it, masked with zeros.
pub fn masked(text: &str) -> Vec<u8> {
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

pub async fn connect(address: SocketAddr) -> tokio::net::TcpStream {
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
pub struct Server {
    pub process: Child,
    /// Its ledger, where that is a process of its own.
    devnet: Option<(Child, tempfile::TempDir)>,
    pub clients: SocketAddr,
    pub admin: SocketAddr,
}

/// What the server has counted, and what the kernel has counted of its threads.
pub struct Figures {
    pub ledgers: u64,
    pub deliveries: u64,
    pub writes: u64,
    pub cpu_nanos: u64,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Server {
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
        let (clients, admin) = (clients.expect("the banner"), admin.expect("the banner"));
        Server { process, devnet: None, clients, admin }.ready()
    }

    /// With a ledger of its own process and little history, so that the server's memory is what clients cost.
    pub fn start_small(rate: &str, events: &str) -> Server {
        Server::start_beside(rate, events, "50ms", "history: { budget: 4MiB }")
    }

    /// With a ledger of its own process; `more` are settings of the top level.
    pub fn start_beside(rate: &str, events: &str, poll_interval: &str, more: &str) -> Server {
        let free = || {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
            listener.local_addr().expect("it listens")
        };
        let (rpc, clients, admin) = (free(), free(), free());
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("settings.yaml");
        let settings = format!(
            "sources:\n  devnet:\n    type: stellar_rpc\n    \
             config: {{ rpc_url: 'http://{rpc}', poll_interval: {poll_interval} }}\n\
             listeners: [ {{ bind: '{clients}', mounts: [ {{ dialect: flow, path: /ws, sources: [devnet] }} ] }} ]\n\
             admin: {{ bind: '{admin}' }}\n{more}\n"
        );
        std::fs::write(&file, settings).expect("the settings are written");
        let start = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ledgercast"));
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
        };
        let devnet = start(&["devnet", "--listen", &rpc.to_string(), "--rate", rate, "--events-per-ledger", events]);
        let process = start(&["serve", "--config", file.to_str().expect("a plain path")]);
        Server { process, devnet: Some((devnet, folder)), clients, admin }.ready()
    }

    fn ready(self) -> Server {
        let server = self;
        while TcpStream::connect(server.admin).is_err() || !server.get("/readyz").starts_with("HTTP/1.1 200") {
            #[expect(clippy::disallowed_methods, reason = "nothing else runs on this thread yet")]
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    pub fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.admin).expect("the admin listener");
        write!(socket, "GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").expect("asks");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("answers");
        answer
    }

    pub fn figures(&self) -> Figures {
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
    pub fn cpu_nanos(&self) -> u64 {
        self.cpu_nanos_of(|name| name.starts_with("broker") || name.starts_with("worker-"))
    }

    /// CPU of threads by their names.
    pub fn cpu_nanos_of(&self, counts: impl Fn(&str) -> bool) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("its threads");
        let of_thread = |task: std::io::Result<std::fs::DirEntry>| {
            let path = task.ok()?.path();
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            let time = std::fs::read_to_string(path.join("schedstat")).ok()?;
            counts(&name).then(|| time.split(' ').next()?.parse::<u64>().ok())?
        };
        tasks.filter_map(of_thread).sum()
    }

    /// Resident bytes of the whole process.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
    }

    /// When recent ledgers were posted.
    pub fn posted(&self) -> HashMap<u64, u64> {
        let answer = self.get("/debug/ledgers");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let sources: serde_json::Value = serde_json::from_str(body).expect("json");
        let ledgers = sources.as_object().expect("a map").values().filter_map(|list| list.as_array()).flatten();
        ledgers.filter_map(|ledger| Some((ledger["ledger"].as_u64()?, ledger["posted_nanos"].as_u64()?))).collect()
    }
}

/// Ledgers that are missing in the clients' streams, and those that were cut or not the same for all. `events`: what
/// each ledger has.
pub fn lost_and_wrong(streams: &[Vec<Seen>], events: u32) -> (u64, u64) {
    let mut reference: HashMap<u64, (u32, u64)> = HashMap::new();
    let (mut lost, mut wrong) = (0, 0);
    for stream in streams {
        for pair in stream.windows(2) {
            lost += pair[1].ledger - pair[0].ledger - 1;
        }
        // The last one may have been cut by our stopping.
        for seen in stream.iter().rev().skip(1) {
            let first = *reference.entry(seen.ledger).or_insert((seen.events, seen.digest));
            wrong += u64::from(first != (seen.events, seen.digest) || seen.events != events);
        }
    }
    (lost, wrong)
}

/// A share of sorted nanoseconds, in milliseconds.
pub fn percentile(sorted: &[u64], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |nanos| *nanos as f64 / 1e6)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some((devnet, _)) = &mut self.devnet {
            let _ = devnet.kill();
            let _ = devnet.wait();
        }
    }
}
