//! The limit: as little as a server can do. It completes handshakes and writes frames that were
//! encoded before; no matching, no queues, no protocol. One thread. What a real server takes more
//! than this is what its work costs.
//!
//! It runs as a process of its own, so that the kernel counts its time. Posts at planned times from
//! its start on; when its input ends, it prints when each ledger was posted, and ends.

use crate::common::monotonic;
use crate::frames::{encoded, ledger_at};
use crate::poll::{Poll, READABLE, WRITABLE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Numbers of what is no client.
const LISTENER: u64 = u64::MAX;
const INPUT: u64 = u64::MAX - 1;
/// All numbers of ledgers have four digits, as those of the embedded ledger have at first.
const FIRST_LEDGER: u64 = 1000;

/// How it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writing {
    /// Each event to each client by itself.
    PerEvent,
    /// All events of a ledger, joined once, to a client in one write. (A vectored write of a hundred
    /// frames takes a quarter more.)
    PerLedger,
    /// Each event to the one client that registered its account.
    ToAccount,
}

/// What it does, in a file.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    pub writing: Writing,
    pub interval_nanos: u64,
    /// The texts of some ledgers as the real server sent them; sent in turn.
    pub ledgers: Vec<Vec<String>>,
    /// Whose turn it is: the events of ledger N are for the accounts from N × events on.
    pub accounts: Vec<String>,
}

/// Runs a plan until the input ends.
pub fn run(path: &str) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit is allowed");
    let plan: Plan = serde_json::from_slice(&std::fs::read(path).expect("the plan")).expect("a plan");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("it is a socket");
    println!("{}", listener.local_addr().expect("it is bound"));
    Limit::new(plan, listener).run();
}

#[derive(PartialEq, Eq)]
enum State {
    Asking,
    Registering,
    Registered,
}

struct Client {
    socket: TcpStream,
    state: State,
    read: Vec<u8>,
    /// What the socket did not take.
    waiting: Vec<u8>,
}

struct Limit {
    plan: Plan,
    listener: TcpListener,
    poll: Poll,
    clients: Vec<Option<Client>>,
    by_account: HashMap<String, usize>,
    /// Ledgers as encoded frames, each with the place of its ledger's number.
    frames: Vec<Vec<(Vec<u8>, usize)>>,
    posted: Vec<(u64, u64)>,
}

impl Limit {
    fn new(plan: Plan, listener: TcpListener) -> Limit {
        let frame = |text: &String| {
            let frame = encoded(text);
            let at = ledger_at(&frame).expect("every event names its ledger");
            (frame, at)
        };
        let frames = plan.ledgers.iter().map(|texts| texts.iter().map(frame).collect()).collect();
        let (clients, by_account, posted) = (Vec::new(), HashMap::new(), Vec::new());
        Limit { plan, listener, poll: Poll::new(), clients, by_account, frames, posted }
    }

    fn run(mut self) {
        self.poll.add(&self.listener, LISTENER, READABLE);
        self.poll.add(std::io::stdin(), INPUT, READABLE);
        let start = monotonic();
        let mut ledger = 0;
        loop {
            let due = start + ledger * self.plan.interval_nanos;
            let left = due.saturating_sub(monotonic());
            for number in self.poll.wait(Duration::from_nanos(left)) {
                match number {
                    LISTENER => self.accept(),
                    INPUT => return self.tell(),
                    client => self.ready(client as usize),
                }
            }
            if monotonic() >= due {
                self.post(FIRST_LEDGER + ledger);
                ledger += 1;
            }
        }
    }

    fn tell(&self) {
        let mut output = BufWriter::new(std::io::stdout().lock());
        for (ledger, nanos) in &self.posted {
            let _ = writeln!(output, "{ledger} {nanos}");
        }
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            socket.set_nonblocking(true).expect("it is a socket");
            socket.set_nodelay(true).expect("it is a TCP socket");
            self.poll.add(&socket, self.clients.len() as u64, READABLE);
            self.clients.push(Some(Client { socket, state: State::Asking, read: Vec::new(), waiting: Vec::new() }));
        }
    }

    fn ready(&mut self, number: usize) {
        let Some(client) = &mut self.clients[number] else { return };
        let mut buffer = [0; 4096];
        match client.socket.read(&mut buffer) {
            Ok(0) => self.clients[number] = None,
            Ok(count) => {
                client.read.extend_from_slice(&buffer[..count]);
                self.answer(number);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => client.flush(&self.poll, number),
            Err(_) => self.clients[number] = None,
        }
    }

    fn answer(&mut self, number: usize) {
        const KEY: &str = "Sec-WebSocket-Key: ";
        let Some(client) = &mut self.clients[number] else { return };
        if client.state == State::Asking && client.read.ends_with(b"\r\n\r\n") {
            let request = String::from_utf8_lossy(&client.read);
            let key = request.lines().find_map(|line| line.strip_prefix(KEY)).expect("our clients send one");
            let accept = actix_http::ws::hash_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {}\r\n\r\n",
                String::from_utf8_lossy(&accept)
            );
            client.socket.write_all(answer.as_bytes()).expect("it is empty");
            client.read = Vec::new();
            client.state = State::Registering;
        } else if client.state == State::Registering && client.read.ends_with(b"}") {
            // Our clients mask with zeros.
            let text = String::from_utf8_lossy(&client.read);
            let account = text.split(r#""account_ids":[""#).nth(1).and_then(|rest| rest.split('"').next());
            if let Some(account) = account {
                self.by_account.insert(account.to_owned(), number);
            }
            client.socket.write_all(&encoded(r#"{"type":"registered"}"#)).expect("it is empty");
            client.read = Vec::new();
            client.state = State::Registered;
        }
    }

    fn post(&mut self, ledger: u64) {
        self.posted.push((ledger, monotonic()));
        let count = self.frames.len();
        let frames = &mut self.frames[ledger as usize % count];
        let digits = ledger.to_string();
        for (frame, at) in frames.iter_mut() {
            frame[*at..*at + digits.len()].copy_from_slice(digits.as_bytes());
        }
        let registered = |client: &&mut Client| client.state == State::Registered;
        match self.plan.writing {
            Writing::PerEvent => {
                for (frame, _) in frames.iter() {
                    for (number, client) in self.clients.iter_mut().enumerate() {
                        if let Some(client) = client.as_mut().filter(registered) {
                            client.write(frame, &self.poll, number);
                        }
                    }
                }
            }
            Writing::PerLedger => {
                let joined: Vec<u8> = frames.iter().flat_map(|(frame, _)| frame).copied().collect();
                for (number, client) in self.clients.iter_mut().enumerate() {
                    if let Some(client) = client.as_mut().filter(registered) {
                        client.write(&joined, &self.poll, number);
                    }
                }
            }
            Writing::ToAccount => {
                let first = ledger as usize * frames.len();
                let accounts = &self.plan.accounts;
                for (turn, (frame, _)) in (first..).zip(frames.iter()) {
                    // Without accounts it only holds connections.
                    let account = turn.checked_rem(accounts.len()).map(|at| &accounts[at]);
                    let Some(number) = account.and_then(|account| self.by_account.get(account)) else { continue };
                    if let Some(client) = &mut self.clients[*number] {
                        client.write(frame, &self.poll, *number);
                    }
                }
            }
        }
    }
}

impl Client {
    fn write(&mut self, bytes: &[u8], poll: &Poll, number: usize) {
        let mut taken = 0;
        if self.waiting.is_empty() {
            taken = self.socket.write(bytes).unwrap_or(0);
            if taken == bytes.len() {
                return;
            }
            poll.change(&self.socket, number as u64, READABLE | WRITABLE);
        }
        self.waiting.extend_from_slice(&bytes[taken..]);
    }

    fn flush(&mut self, poll: &Poll, number: usize) {
        let taken = self.socket.write(&self.waiting).unwrap_or(0);
        self.waiting.drain(..taken);
        if self.waiting.is_empty() {
            poll.change(&self.socket, number as u64, READABLE);
        }
    }
}
