//! The programs that are measured: the limit, and the real server with its embedded ledger in a
//! process beside it, so that only the server's own work counts.

use crate::common::masked;
use crate::frames::Stream;
use crate::kernel;
use crate::limit::{Plan, Writing};
use crate::workload::{Traffic, Workload};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A process that ends with its value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The time that a program's threads ran, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    /// What carries events to clients: broker and workers; of the limit all.
    pub delivery: u64,
    /// Threads that read ledgers.
    pub source: u64,
    /// The process of the embedded ledger.
    pub devnet: u64,
}

/// What the server has counted itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    pub deliveries: u64,
    pub writes: u64,
    pub history_bytes: u64,
}

/// A program that runs and takes clients.
pub struct Program {
    process: Process,
    pub address: SocketAddr,
    pub tls: Option<Arc<ClientConfig>>,
    /// Only of the real server.
    admin: Option<SocketAddr>,
    devnet: Option<(Process, SocketAddr)>,
    _folder: TempDir,
}

/// Waits until something is there.
fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < end, "not within 20 s: {what}");
        crate::pause(Duration::from_millis(10));
    }
}

/// The rest of the first line that a process prints, behind the last word.
fn last_word_of_first_line(process: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(process.stdout.as_mut().expect("piped")).read_line(&mut line).expect("text");
    line.rsplit([' ', '/']).next().unwrap_or_default().trim().to_owned()
}

impl Program {
    /// The limit, with the texts of ledgers that the real server sent.
    pub fn limit(workload: &Workload, writing: Writing, ledgers: &[Vec<String>]) -> Program {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("plan.json");
        let plan = Plan {
            writing,
            interval_nanos: workload.interval().as_nanos() as u64,
            ledgers: ledgers.to_vec(),
            accounts: workload.accounts(),
        };
        std::fs::write(&file, serde_json::to_vec(&plan).expect("it is data")).expect("the disk takes it");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(format!("limit={}", file.display())).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the limit starts");
        let address = last_word_of_first_line(&mut process).parse().expect("an address");
        Program { process: Process(process), address, tls: None, admin: None, devnet: None, _folder: folder }
    }

    /// The real server, fed by its real source.
    pub fn ledgercast(workload: &Workload) -> Program {
        let ledgercast = || Command::new(env!("CARGO_BIN_EXE_ledgercast"));
        let mut command = ledgercast();
        command.args(["devnet", "--listen", "127.0.0.1:0", "--rate", &workload.rate.to_string()]);
        match workload.traffic {
            Traffic::Mixed { events } => command.args(["--events-per-ledger", &events.to_string()]),
            Traffic::Payments { count } => {
                let accounts = workload.clients.to_string();
                command.args(["--payments-per-ledger", &count.to_string(), "--accounts", &accounts])
            }
        };
        let mut devnet = Process(command.stdout(Stdio::piped()).spawn().expect("the devnet starts"));
        let rpc = last_word_of_first_line(&mut devnet.0);

        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (mut of_listener, mut tls) = (String::new(), None);
        if workload.tls {
            tls = Some(certificate(&path("cert.pem"), &path("key.pem")));
            of_listener =
                format!("    tls: {{ cert_file: '{}', key_file: '{}' }}\n", path("cert.pem"), path("key.pem"));
        }
        let settings = format!(
            "sources:\n  devnet:\n    type: stellar_rpc\n    config: {{ rpc_url: 'http://{rpc}', poll_interval: 5ms }}\n\
             listeners:\n  - bind: 127.0.0.1:0\n{of_listener}    mounts:\n      \
             - {{ dialect: flow, path: /ws, sources: [devnet] }}\nadmin: {{ bind: 127.0.0.1:0 }}\n"
        );
        std::fs::write(path("settings.yaml"), settings).expect("the disk takes it");
        let log = std::fs::File::create(path("log")).expect("the disk takes it");
        let mut command = ledgercast();
        command.args(["serve", "--config", &path("settings.yaml"), "--log", "json"]).stderr(log).env_remove("RUST_LOG");
        let process = Process(command.spawn().expect("the server starts"));
        let (address, admin) = until("line that the server listens", || listening(&path("log")));
        let devnet = Some((devnet, rpc.parse().expect("an address")));
        let admin = Some(admin);
        let program = Program { process, address, tls, admin, devnet, _folder: folder };
        until("first ledger", || program.get("/readyz").starts_with("HTTP/1.1 200").then_some(()));
        program
    }

    pub fn cpu(&self) -> Cpu {
        let (id, all) = (self.process.0.id(), |_: &str| true);
        let Some((devnet, _)) = &self.devnet else {
            return Cpu { delivery: kernel::cpu_of(id, all), ..Cpu::default() };
        };
        let delivers = |name: &str| name == "broker" || name.starts_with("worker-");
        Cpu {
            delivery: kernel::cpu_of(id, delivers),
            source: kernel::cpu_of(id, |name| name.starts_with("src-")),
            devnet: kernel::cpu_of(devnet.0.id(), all),
        }
    }

    /// Resident bytes without those that the server keeps as history, by its own count.
    pub fn memory(&self) -> u64 {
        let history = self.counted().history_bytes;
        kernel::rss(self.process.0.id()).saturating_sub(history)
    }

    pub fn counted(&self) -> Counted {
        if self.admin.is_none() {
            return Counted::default();
        }
        let metrics = self.get("/metrics");
        let sum = |name: &str| -> u64 {
            let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
            let counts = |line: &&str| line.split(['{', ' ']).next() == Some(name);
            metrics.lines().filter(counts).filter_map(value).sum::<f64>() as u64
        };
        Counted {
            deliveries: sum("ledgercast_frames_queued_total"),
            writes: sum("ledgercast_socket_writes_total"),
            history_bytes: sum("ledgercast_history_bytes"),
        }
    }

    fn get(&self, path: &str) -> String {
        self.admin.map_or_else(String::new, |admin| get(admin, path))
    }

    /// When the RPC gave the last ledgers away for the first time.
    pub fn served_lately(&self) -> HashMap<u64, u64> {
        let Some((_, rpc)) = &self.devnet else { return HashMap::new() };
        pairs(&serde_json::from_str(body(&get(*rpc, "/served"))).expect("json"), "nanos").collect()
    }

    /// When the last ledgers were posted, as far as the server remembers. The limit tells at its end.
    pub fn posted_lately(&self) -> HashMap<u64, u64> {
        if self.admin.is_none() {
            return HashMap::new();
        }
        let answer = self.get("/debug/ledgers");
        let sources: Value = serde_json::from_str(body(&answer)).expect("json");
        sources.as_object().expect("a map").values().flat_map(|list| pairs(list, "posted_nanos")).collect()
    }

    /// When the limit posted ledgers; ends it.
    pub fn end(&mut self) -> HashMap<u64, u64> {
        drop(self.process.0.stdin.take());
        let mut text = String::new();
        if let Some(output) = &mut self.process.0.stdout {
            output.read_to_string(&mut text).expect("text");
        }
        let pair = |line: &str| {
            let (ledger, nanos) = line.split_once(' ')?;
            Some((ledger.parse().ok()?, nanos.parse().ok()?))
        };
        text.lines().filter_map(pair).collect()
    }
}

/// A whole HTTP answer.
fn get(address: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut socket) = TcpStream::connect(address) {
        let _ = write!(socket, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
        let _ = socket.read_to_string(&mut answer);
    }
    answer
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// Ledgers with a time, from a list of objects.
fn pairs<'a>(list: &'a Value, nanos: &'a str) -> impl Iterator<Item = (u64, u64)> + 'a {
    let ledgers = list.as_array().into_iter().flatten();
    ledgers.filter_map(move |ledger| Some((ledger["ledger"].as_u64()?, ledger[nanos].as_u64()?)))
}

/// The texts of some whole ledgers as a client gets them: what the limit sends.
pub fn record(workload: &Workload) -> Vec<Vec<String>> {
    let plain = Workload { tls: false, rate: workload.rate.max(10.0), ..workload.clone() };
    let program = Program::ledgercast(&plain);
    let mut socket = TcpStream::connect(program.address).expect("it listens");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        program.address
    );
    socket.write_all(request.as_bytes()).expect("it is open");
    let mut byte = [0];
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    socket.write_all(&masked(&workload.register_of_all())).expect("it is open");
    let (mut stream, mut bytes, mut texts) = (Stream::default(), Vec::new(), Vec::new());
    let mut buffer = vec![0; 64 << 10];
    // The first and the last may not be whole.
    while stream.seen.len() < 12 {
        let count = socket.read(&mut buffer).expect("it goes on");
        bytes.extend_from_slice(&buffer[..count]);
        let took = crate::frames::texts(&bytes, |text| texts.push(text.to_owned()));
        stream.take(&bytes, 0);
        bytes.drain(..took);
    }
    let events = texts.into_iter().skip_while(|text| !text.starts_with(r#"{"type":"registered""#)).skip(1);
    let mut events = events.skip(stream.seen[0].frames as usize);
    let whole = &stream.seen[1..stream.seen.len() - 1];
    whole.iter().map(|seen| events.by_ref().take(seen.frames as usize).collect()).collect()
}

/// Where a server that logs JSON into this file listens for clients and for operators.
fn listening(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let text = std::fs::read_to_string(log).ok()?;
    let line = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let line = line.into_iter().find(|line| line["message"] == "listening")?;
    let clients = line["clients"].to_string();
    let clients = clients.trim_matches(|end: char| !end.is_ascii_alphanumeric());
    Some((clients.parse().ok()?, line["admin"].as_str()?.parse().ok()?))
}

/// A new certificate in these files, and what a client needs to believe it.
fn certificate(cert_file: &str, key_file: &str) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a name is enough");
    std::fs::write(cert_file, made.cert.pem()).expect("the disk takes it");
    std::fs::write(key_file, made.signing_key.serialize_pem()).expect("the disk takes it");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).expect("it was made just now");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Arc::new(config.expect("ring has them").with_root_certificates(roots).with_no_client_auth())
}
