//! The real program as a process: the server, and the embedded ledger alone.

use super::http::{self, Answer};
use super::{PATIENCE, pause, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The program.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledgercast"));
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process that is killed with its value. What it writes is read on, so that it never waits.
pub struct Process {
    child: Child,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
    /// They end when it has said its last word.
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub fn start(arguments: &[&str]) -> Process {
        let mut program = program();
        program.args(arguments);
        Process::of(program)
    }

    /// Of a command whose output is piped, as that of [`program`] is.
    pub fn of(mut command: Command) -> Process {
        Process::of_child(command.spawn().expect("the program starts"))
    }

    /// Of a child whose output is piped.
    pub fn of_child(mut child: Child) -> Process {
        let (out, out_reader) = collect(child.stdout.take().expect("it is piped"));
        let (err, err_reader) = collect(child.stderr.take().expect("it is piped"));
        Process { child, out, err, readers: vec![out_reader, err_reader] }
    }

    pub fn stdout(&self) -> String {
        self.out.lock().unwrap().clone()
    }

    pub fn stderr(&self) -> String {
        self.err.lock().unwrap().clone()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `find` finds something in what the process wrote.
    pub fn wait_for<T>(&mut self, what: &str, find: impl Fn(&Process) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "no {what} ({ended:?}): {}{}",
                self.stdout(),
                self.stderr()
            );
            pause(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id() as i32).expect("a process has an id");
        kill_process(id, signal).expect("it is ours and not waited for yet");
    }

    /// Ends at once, as by `kill -9`.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the end, and for all that it wrote.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        status.expect("it was waited for")
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Memory in use, bytes.
    pub fn memory(&self) -> u64 {
        memory_of(self.id())
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }
}

/// Memory in use of a process, bytes.
pub fn memory_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has it");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.stderr();
            let from = log.len().saturating_sub(4000);
            eprintln!("--- the end of its log:\n{}", log.get(from..).unwrap_or(&log));
        }
    }
}

fn collect(stream: impl Read + Send + 'static) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let text = Arc::new(Mutex::new(String::new()));
    let collected = text.clone();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = collected.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    (text, reader)
}

/// `ledgercast devnet`.
pub struct Devnet {
    pub process: Process,
    pub address: SocketAddr,
}

impl Devnet {
    /// On a free port.
    pub fn start(rate: &str, events: u32) -> Devnet {
        Devnet::start_at("127.0.0.1:0".parse().unwrap(), rate, events)
    }

    pub fn start_at(listen: SocketAddr, rate: &str, events: u32) -> Devnet {
        Devnet::of("stellar", listen, rate, events)
    }

    /// Another ledger than Stellar, on a free port.
    pub fn of_ledger(ledger: &str, rate: &str, events: u32) -> Devnet {
        Devnet::of(ledger, "127.0.0.1:0".parse().unwrap(), rate, events)
    }

    fn of(ledger: &str, listen: SocketAddr, rate: &str, events: u32) -> Devnet {
        let (listen, events) = (listen.to_string(), events.to_string());
        let pace = ["--rate", rate, "--events-per-ledger", &events];
        let mut process = Process::start(&[&["devnet", "--ledger", ledger, "--listen", &listen], &pace[..]].concat());
        let address = process.wait_for("address of the devnet", |process| {
            let out = process.stdout();
            let url =
                out.lines().find_map(|line| line.strip_prefix("devnet: ")?.split_once(" at http://"))?.1.to_owned();
            url.parse().ok()
        });
        Devnet { process, address }
    }

    pub fn rpc(&self, method: &str, params: Value) -> Value {
        http::rpc(self.address, method, params)
    }

    /// The newest closed ledger.
    pub fn latest(&self) -> u64 {
        self.rpc("getHealth", json!(null))["latestLedger"].as_u64().expect("a number")
    }
}

/// One source of a devnet's ledger and one mount at `/ws`, everything else as it is set in `more`.
pub fn settings_of(source: &str, rpc: SocketAddr, dialect: &str, config: &str, more: &str) -> String {
    format!(
        "sources:\n  devnet:\n    type: {source}\n    config: {{ rpc_url: 'http://{rpc}', poll_interval: 50ms }}\n\
         listeners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
         - {{ dialect: {dialect}, path: /ws, sources: [devnet], config: {config} }}\n\
         admin: {{ bind: 127.0.0.1:0 }}\n{more}\n"
    )
}

/// Settings for tests: one source, one Flow mount, everything else as it is set in `more`.
pub fn settings(rpc: SocketAddr, more: &str) -> String {
    settings_with(rpc, "{}", more)
}

/// The same with the Flow mount's `config`.
pub fn settings_with(rpc: SocketAddr, flow: &str, more: &str) -> String {
    settings_of("stellar_rpc", rpc, "flow", flow, more)
}

/// `ledgercast serve`.
pub struct Server {
    pub process: Process,
    /// Where clients connect.
    pub clients: SocketAddr,
    /// Where operators ask.
    pub admin: SocketAddr,
    /// Holds the settings file.
    _folder: Option<TempDir>,
}

impl Server {
    /// With a settings file.
    pub fn start(settings: &str) -> Server {
        Server::start_by(program(), settings)
    }

    /// The same by a command that takes the program's arguments.
    pub fn start_by(mut command: Command, settings: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, settings).unwrap();
        command.args(["serve", "--config", path(&file), "--log", "json"]);
        let mut process = Process::of(command);
        let (clients, admin) = process.wait_for("line that it listens", listening);
        Server { process, clients, admin, _folder: Some(folder) }
    }

    /// The demo, with its own embedded ledger.
    pub fn demo(rate: &str, events: u32) -> Server {
        let events = events.to_string();
        let mut process = Process::start(&[
            "serve",
            "--bind",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--devnet-rate",
            rate,
            "--devnet-events-per-ledger",
            &events,
        ]);
        let (clients, admin) = process.wait_for("banner", |process| {
            let out = process.stdout();
            let word = |name: &str, start: &str, end: &str| {
                let line = out.lines().find_map(|line| line.trim().strip_prefix(name))?;
                let (_, rest) = line.split_once(start)?;
                rest.split_once(end)?.0.parse().ok()
            };
            Some((word("Clients", "ws://", "/ws")?, word("Operators", "http://", "/readyz")?))
        });
        Server { process, clients, admin, _folder: None }
    }

    pub fn readyz(&self) -> Answer {
        http::get(self.admin, "/readyz").expect("the admin listener answers")
    }

    pub fn wait_ready(&self) {
        wait_until("the server is ready", || self.readyz().status == 200);
    }

    /// A sample of /metrics by its name and labels; 0 where it is not there yet.
    pub fn metric(&self, sample: &str) -> f64 {
        let text = http::get(self.admin, "/metrics").expect("the admin listener answers").body;
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ').map(str::to_owned));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Open Flow sessions.
    pub fn sessions(&self) -> u64 {
        self.metric("ledgercast_sessions_open{dialect=\"flow\"}") as u64
    }

    /// SIGTERM, then the exit status.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait()
    }
}

/// Where a server with `--log json` listens for clients and for operators, once it says so.
pub fn listening(process: &Process) -> Option<(SocketAddr, SocketAddr)> {
    let log = process.stderr();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.into_iter().find(|line| line["message"] == "listening")?;
    let clients = match &line["clients"] {
        Value::Array(list) => list[0].as_str()?.to_owned(),
        other => other.as_str()?.strip_prefix('[')?.strip_suffix(']')?.split(',').next()?.to_owned(),
    };
    Some((clients.parse().ok()?, line["admin"].as_str()?.parse().ok()?))
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("paths of tests are plain")
}

/// The file in which a server keeps its ledgers and where its source stands.
pub fn journal_file(state: &Path) -> PathBuf {
    state.join("journal.db")
}

/// The last ledger of its one source in it.
pub fn checkpoint(state: &Path) -> Option<u64> {
    let file = journal_file(state);
    if !file.exists() {
        return None;
    }
    let store = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    // Before its tables are made there is none.
    store.query_row("SELECT ledger FROM streams", [], |row| row.get::<_, i64>(0)).ok().map(i64::cast_unsigned)
}
