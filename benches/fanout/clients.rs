//! The clients: all sockets on one thread with one buffer, so that reading costs little beside
//! what the kernel takes for it.

use crate::common::{masked, monotonic};
use crate::frames::{Seen, Stream};
use crate::poll::{Poll, READABLE, WRITABLE};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// Connections that are being made at one time.
const ARRIVING: usize = 64;
/// Clients that share one source address.
const OF_ONE_ADDRESS: usize = 500;
/// One read takes a ledger of hundreds of events.
const BUFFER: usize = 256 << 10;
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// Where clients connect and what they ask for.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// What each registers; the last is for all that come after.
    pub registers: Arc<Vec<String>>,
    pub tls: Option<Arc<ClientConfig>>,
}

/// What is known of the clients from outside while they read.
#[derive(Default)]
struct Shared {
    wanted: AtomicUsize,
    registered: AtomicUsize,
    /// Event frames read by all.
    frames: AtomicU64,
    /// Connections that ended or could not be made.
    failed: AtomicUsize,
    stop: AtomicBool,
}

/// Many clients on a thread of their own.
pub struct Clients {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Vec<Vec<Seen>>>>,
}

impl Clients {
    pub fn start(target: Target) -> Clients {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let run = move || Generator::new(target, of_thread).run();
        let thread = std::thread::Builder::new().name("clients".to_owned()).spawn(run).expect("a thread");
        Clients { shared, thread: Some(thread) }
    }

    /// Makes it so many and waits until all are registered. Panics where one is refused.
    pub fn connect(&self, count: usize) {
        self.shared.wanted.store(count, Relaxed);
        let end = monotonic() + 120_000_000_000;
        while self.shared.registered.load(Relaxed) < count {
            assert!(self.failed() == 0 && monotonic() < end, "{} of {count} clients failed", self.failed());
            crate::pause(Duration::from_millis(1));
        }
    }

    pub fn frames(&self) -> u64 {
        self.shared.frames.load(Relaxed)
    }

    pub fn failed(&self) -> usize {
        self.shared.failed.load(Relaxed)
    }

    /// Ends all connections; what each client read.
    pub fn stop(mut self) -> Vec<Vec<Seen>> {
        self.shared.stop.store(true, Relaxed);
        self.thread.take().expect("it is taken only here").join().expect("the clients' thread ends")
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
    }
}

enum State {
    Connecting,
    /// The request is sent.
    Asked,
    /// The head of the answer was read.
    Open,
    Gone,
}

struct Client {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    state: State,
    stream: Stream,
}

struct Generator {
    target: Target,
    shared: Arc<Shared>,
    poll: Poll,
    clients: Vec<Client>,
    arriving: usize,
    buffer: Vec<u8>,
    /// What the network brought of TLS.
    raw: Vec<u8>,
}

impl Generator {
    fn new(target: Target, shared: Arc<Shared>) -> Generator {
        let raw = if target.tls.is_some() { vec![0; BUFFER] } else { Vec::new() };
        let (buffer, clients) = (vec![0; BUFFER], Vec::new());
        Generator { target, shared, poll: Poll::new(), clients, arriving: 0, buffer, raw }
    }

    fn run(mut self) -> Vec<Vec<Seen>> {
        while !self.shared.stop.load(Relaxed) {
            while self.arriving < ARRIVING && self.clients.len() < self.shared.wanted.load(Relaxed) {
                self.connect();
            }
            for number in self.poll.wait(Duration::from_millis(10)) {
                if !self.ready(number as usize) {
                    self.clients[number as usize].state = State::Gone;
                    self.poll.remove(&self.clients[number as usize].socket);
                    self.shared.failed.fetch_add(1, Relaxed);
                }
            }
        }
        self.clients.into_iter().map(|client| client.stream.seen).collect()
    }

    fn connect(&mut self) {
        let number = self.clients.len();
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP)).expect("a descriptor");
        let from = Ipv4Addr::new(127, 0, 0, 2 + (number / OF_ONE_ADDRESS) as u8);
        socket.bind(&SockAddr::from(SocketAddrV4::new(from, 0))).expect("every address of 127/8 is ours");
        // The answer, good or bad, comes as an event.
        let _ = socket.connect(&self.target.address.into());
        let tls = self.target.tls.clone().map(|config| {
            let name = ServerName::try_from("localhost").expect("a name");
            Box::new(ClientConnection::new(config, name).expect("the configuration is good"))
        });
        self.poll.add(&socket, number as u64, WRITABLE);
        self.clients.push(Client { socket: socket.into(), tls, state: State::Connecting, stream: Stream::default() });
        self.arriving += 1;
    }

    /// Something happened to a client; false: its connection ended.
    fn ready(&mut self, number: usize) -> bool {
        let client = &mut self.clients[number];
        if let State::Connecting = client.state {
            if !matches!(client.socket.take_error(), Ok(None)) {
                return false;
            }
            self.poll.change(&client.socket, number as u64, READABLE);
            client.state = State::Asked;
            let request = format!(
                "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                self.target.address
            );
            return client.send(request.as_bytes());
        }
        self.read(number)
    }

    fn read(&mut self, number: usize) -> bool {
        let client = &mut self.clients[number];
        if client.tls.is_none() {
            let kept = client.stream.rest.len();
            self.buffer[..kept].copy_from_slice(&client.stream.rest);
            let Some(count) = some(client.socket.read(&mut self.buffer[kept..])) else { return false };
            return count == 0 || self.took(number, kept + count);
        }
        let Some(count) = some(client.socket.read(&mut self.raw)) else { return false };
        let mut at = 0;
        while at < count {
            let client = &mut self.clients[number];
            let Some(tls) = &mut client.tls else { return false };
            at += tls.read_tls(&mut &self.raw[at..count]).unwrap_or(0);
            if tls.process_new_packets().is_err() {
                return false;
            }
            loop {
                let client = &mut self.clients[number];
                let kept = client.stream.rest.len();
                self.buffer[..kept].copy_from_slice(&client.stream.rest);
                let Some(tls) = &mut client.tls else { return false };
                let Some(count) = some(tls.reader().read(&mut self.buffer[kept..])) else { return false };
                if count == 0 {
                    break;
                }
                if !self.took(number, kept + count) {
                    return false;
                }
            }
        }
        // Answers of TLS itself.
        self.clients[number].send(&[])
    }

    /// The first so many bytes of the buffer are a client's.
    fn took(&mut self, number: usize, count: usize) -> bool {
        let client = &mut self.clients[number];
        let mut bytes = &self.buffer[..count];
        match client.state {
            State::Asked => {
                let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                    client.stream.rest = bytes.to_vec();
                    return true;
                };
                if !bytes.starts_with(b"HTTP/1.1 101 ") {
                    eprintln!("refused: {}", String::from_utf8_lossy(bytes));
                    return false;
                }
                bytes = &bytes[end + 4..];
                client.state = State::Open;
                let register = self.target.registers.get(number).or(self.target.registers.last());
                if !client.send(&masked(register.map_or("", String::as_str))) {
                    return false;
                }
            }
            State::Open => {}
            State::Connecting | State::Gone => return false,
        }
        let before = client.stream.registered;
        let read = client.stream.take(bytes, monotonic());
        if client.stream.registered && !before {
            self.arriving -= 1;
            self.shared.registered.fetch_add(1, Relaxed);
        }
        if read.frames > 0 {
            self.shared.frames.fetch_add(read.frames, Relaxed);
        }
        if client.stream.closed {
            eprintln!("client {number} was closed");
            return false;
        }
        !read.pinged || client.send(&PONG)
    }
}

impl Client {
    /// Few and short, so the socket always takes it.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let Some(tls) = &mut self.tls else {
            return bytes.is_empty() || self.socket.write(bytes).is_ok_and(|count| count == bytes.len());
        };
        if tls.writer().write_all(bytes).is_err() {
            return false;
        }
        while tls.wants_write() {
            if tls.write_tls(&mut self.socket).is_err() {
                return false;
            }
        }
        true
    }
}

/// Bytes that were read, 0 where there are none now; `None`: no more will come.
fn some(read: std::io::Result<usize>) -> Option<usize> {
    match read {
        Ok(0) => None,
        Ok(count) => Some(count),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Some(0),
        Err(_) => None,
    }
}
