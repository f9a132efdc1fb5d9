//! A node that misbehaves by a script: it stands between the program and a real RPC, hands calls on
//! and, when the script says so, answers as broken nodes and what stands before them do.
//!
//! Raw TCP and bytes written by hand, so that an answer can be wrong in every way.

use super::http::exchange;
use super::pause;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// More than the `max_response` of the tests' settings.
const HUGE: usize = 6 << 20;
/// What a small compressed answer grows to.
const BOMB: usize = 64 << 20;
/// Far more than any parser should follow.
const LEVELS: usize = 10_000;
/// While a call hangs, its client gives up long before.
const HANG: Duration = Duration::from_secs(8);

/// What happens to a call instead of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing comes, and the connection stays open.
    Hang,
    /// The connection ends.
    Close,
    /// Half of the answer comes.
    CutBody,
    /// Bytes that are no JSON.
    Garbage,
    /// A page for people with this status.
    Html(u16),
    /// This status and an empty body.
    Status(u16),
    /// 429, and to come again in a second.
    TooMany,
    /// A JSON-RPC error.
    Rpc(i64, &'static str),
    /// The right answer with the next call's id.
    WrongId,
    /// An answer that this method gave some calls before.
    Repeat,
    /// An item in the middle of the list is left out.
    Missing,
    /// The last transaction of a ledger is left out, so that no place is seen to be empty.
    WithoutLast,
    /// The answer of a node that has not got the last ledgers yet.
    Lagging(u64),
    /// The right answer and more white space than may be read.
    Huge,
    /// A result of many levels.
    Deep,
    /// The right answer, and many levels in a member that nobody knows.
    DeepUnknown,
    /// A small body that decompresses to a large one.
    GzipBomb,
    /// To the real node: who follows it gets a right answer.
    Redirect,
}

impl Fault {
    /// The kind of error that a client should make of it; `None`: it depends on the answer.
    pub fn kind(self) -> Option<&'static str> {
        Some(match self {
            Fault::Hang => "timeout",
            Fault::Close | Fault::CutBody => "transport",
            Fault::Garbage | Fault::Html(200) | Fault::WrongId | Fault::Deep => "malformed",
            Fault::Html(_) | Fault::Status(_) | Fault::TooMany | Fault::Redirect => "http_status",
            Fault::Rpc(..) => "rpc",
            Fault::Huge | Fault::GzipBomb => "too_large",
            Fault::Repeat | Fault::Missing | Fault::WithoutLast | Fault::Lagging(_) | Fault::DeepUnknown => {
                return None;
            }
        })
    }
}

/// What the script says of a call, by its method.
pub type Script = Box<dyn FnMut(&str) -> Option<Fault> + Send>;

/// The node. Its threads end with it.
pub struct FaultyRpc {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

struct Shared {
    /// The real node.
    target: Mutex<SocketAddr>,
    script: Mutex<Script>,
    /// Whether ledgers come without metadata, as from servers that want to be asked for transactions.
    bare: AtomicBool,
    /// While set, answers wait.
    held: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    /// Earlier answers of each method.
    earlier: Mutex<HashMap<String, String>>,
    /// At the next call of this method the other node takes over.
    next: Mutex<Option<(&'static str, SocketAddr)>>,
    applied: Mutex<Vec<(String, Fault)>>,
    calls: Mutex<BTreeMap<String, usize>>,
}

impl FaultyRpc {
    /// Hands everything on until a script is set.
    pub fn to(target: SocketAddr) -> FaultyRpc {
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            script: Mutex::new(Box::new(|_| None)),
            bare: AtomicBool::new(false),
            held: AtomicBool::new(false),
            open: Mutex::default(),
            earlier: Mutex::default(),
            next: Mutex::default(),
            applied: Mutex::default(),
            calls: Mutex::default(),
        });
        let mut node = FaultyRpc { address: "127.0.0.1:0".parse().unwrap(), shared, listening: None };
        node.listen();
        node
    }

    /// From now on every call is judged by this.
    pub fn script(&self, script: impl FnMut(&str) -> Option<Fault> + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// Leaves the metadata out of ledgers, so that transactions are asked for.
    pub fn without_metadata(&self) {
        self.shared.bare.store(true, Ordering::Relaxed);
    }

    /// Lets calls wait, or go on.
    pub fn hold(&self, held: bool) {
        self.shared.held.store(held, Ordering::Relaxed);
    }

    /// Another node takes over behind the same address.
    pub fn switch(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = target;
        self.cut();
    }

    /// The same just before the next call of this method.
    pub fn switch_before(&self, method: &'static str, target: SocketAddr) {
        *self.shared.next.lock().unwrap() = Some((method, target));
    }

    /// The faults that were answered with, and to which method.
    pub fn applied(&self) -> Vec<(String, Fault)> {
        self.shared.applied.lock().unwrap().clone()
    }

    /// How often a method was called.
    pub fn calls(&self, method: &str) -> usize {
        self.shared.calls.lock().unwrap().get(method).copied().unwrap_or(0)
    }

    /// Connections are refused until it listens again.
    pub fn refuse(&mut self) {
        if let Some((end, thread)) = self.listening.take() {
            end.store(true, Ordering::Relaxed);
            thread.join().unwrap();
        }
        self.cut();
    }

    /// Listens, at the same address as before.
    pub fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let end = Arc::new(AtomicBool::new(false));
        let (ended, shared) = (end.clone(), self.shared.clone());
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    pause(Duration::from_millis(2));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let mut open = shared.open.lock().unwrap();
                // Those that have ended are forgotten.
                open.retain(|stream| stream.peer_addr().is_ok());
                open.push(stream.try_clone().unwrap());
                let shared = shared.clone();
                std::thread::spawn(move || {
                    // The client may go at any time.
                    let _ = shared.connection(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        self.listening = Some((end, thread));
    }

    fn cut(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for FaultyRpc {
    fn drop(&mut self) {
        self.hold(false);
        self.refuse();
        if std::thread::panicking() {
            let applied = self.applied();
            let last = &applied[applied.len().saturating_sub(12)..];
            eprintln!("--- {} faults so far, the last: {last:?}", applied.len());
        }
    }
}

impl Shared {
    /// Serves one connection, call by call, until it ends or a fault ends it.
    fn connection(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut read = Vec::new();
        while let Some(body) = next_request(stream, &mut read)? {
            let call: Value = serde_json::from_slice(&body).expect("the program writes JSON");
            let method = call["method"].as_str().expect("a call has a method").to_owned();
            while self.held.load(Ordering::Relaxed) {
                pause(Duration::from_millis(5));
            }
            *self.calls.lock().unwrap().entry(method.clone()).or_default() += 1;
            let fault = (self.script.lock().unwrap())(&method);
            if let Some((_, target)) = self.next.lock().unwrap().take_if(|(before, _)| *before == method) {
                *self.target.lock().unwrap() = target;
            }
            let Some(right) = self.ask(&method, &body) else { return Ok(()) };
            let answer = match fault {
                None => {
                    self.earlier.lock().unwrap().insert(method, right.clone());
                    right.into()
                }
                Some(fault) => match self.instead(fault, &call, &right) {
                    Instead::Answer(bytes) => {
                        self.applied.lock().unwrap().push((method, fault));
                        bytes
                    }
                    Instead::NotHere => right.into(),
                    Instead::Bytes { bytes, then_hang } => {
                        self.applied.lock().unwrap().push((method, fault));
                        stream.write_all(&bytes)?;
                        if then_hang {
                            stream.set_read_timeout(Some(HANG))?;
                            // Ends when the client gives up.
                            let _ = stream.read(&mut [0]);
                        }
                        return Ok(());
                    }
                },
            };
            stream.write_all(&http("200 OK", "Content-Type: application/json\r\n", &answer))?;
        }
        Ok(())
    }

    /// The real node's answer; `None` where it does not answer.
    fn ask(&self, method: &str, body: &[u8]) -> Option<String> {
        let target = *self.target.lock().unwrap();
        let mut request = format!(
            "POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        let answer = exchange(target, &request)?;
        assert_eq!(answer.status, 200, "{answer:?}");
        // Large answers are not taken apart without need: the tests' processor has enough to do.
        if self.bare.load(Ordering::Relaxed) && method == "getLedgers" {
            let mut answer = answer.json();
            for ledger in answer["result"]["ledgers"].as_array_mut().into_iter().flatten() {
                ledger["metadataXdr"] = json!("");
            }
            return Some(answer.to_string());
        }
        Some(answer.body)
    }

    /// What comes instead of the right answer.
    fn instead(&self, fault: Fault, call: &Value, text: &str) -> Instead {
        let method = call["method"].as_str().unwrap_or_default();
        let last = |bytes| Instead::Bytes { bytes, then_hang: false };
        let html = b"<!DOCTYPE html><html><body><h1>Please stand by</h1></body></html>";
        let parsed = |text: &str| serde_json::from_str::<Value>(text).expect("the node writes JSON");
        match fault {
            Fault::Hang => Instead::Bytes { bytes: Vec::new(), then_hang: true },
            Fault::Close => last(Vec::new()),
            Fault::CutBody => {
                let whole = http("200 OK", "Content-Type: application/json\r\n", text.as_bytes());
                let length = whole.len() - text.len() / 2;
                last(whole[..length].to_vec())
            }
            Fault::Garbage => Instead::Answer((0..900u32).map(|n| (n * 37 % 251) as u8).collect()),
            Fault::Html(status) => last(http(&format!("{status} X"), "Content-Type: text/html\r\n", html)),
            Fault::Status(status) => last(http(&format!("{status} X"), "", b"")),
            Fault::TooMany => last(http("429 Too Many Requests", "Retry-After: 1\r\n", b"")),
            Fault::Redirect => {
                let header = format!("Location: http://{}/\r\n", self.target.lock().unwrap());
                last(http("302 Found", &header, b""))
            }
            Fault::Rpc(code, message) => {
                let error = json!({"code": code, "message": message});
                Instead::json(&json!({"jsonrpc": "2.0", "id": call["id"], "error": error}))
            }
            Fault::WrongId => {
                let mut right = parsed(text);
                right["id"] = json!(call["id"].as_u64().unwrap_or(0) + 1);
                Instead::json(&right)
            }
            Fault::Repeat => match self.earlier.lock().unwrap().get(method) {
                Some(earlier) => {
                    let mut again = parsed(earlier);
                    again["id"] = call["id"].clone();
                    Instead::json(&again)
                }
                None => Instead::NotHere,
            },
            Fault::Missing => {
                let mut right = parsed(text);
                if without_one(&mut right["result"]) { Instead::json(&right) } else { Instead::NotHere }
            }
            Fault::WithoutLast => {
                let mut right = parsed(text);
                let transactions = right["result"]["transactions"].as_array_mut();
                let Some(transactions) = transactions.filter(|list| !list.is_empty()) else { return Instead::NotHere };
                let first = transactions[0]["ledger"].clone();
                let last = transactions.iter().rposition(|it| it["ledger"] == first).expect("the first one is of it");
                transactions.remove(last);
                Instead::json(&right)
            }
            Fault::Lagging(ledgers) => {
                let mut right = parsed(text);
                if lagging(ledgers, call, &mut right) { Instead::json(&right) } else { Instead::NotHere }
            }
            Fault::Huge => Instead::Answer(format!("{text}{}", " ".repeat(HUGE)).into()),
            Fault::Deep => {
                let id = &call["id"];
                Instead::Answer(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, levels()).into())
            }
            Fault::DeepUnknown => match text.strip_suffix("}}") {
                Some(open) => Instead::Answer(format!(r#"{open},"more":{}}}}}"#, levels()).into()),
                None => Instead::NotHere,
            },
            Fault::GzipBomb => {
                let header = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
                last(http("200 OK", header, &bomb()))
            }
        }
    }
}

enum Instead {
    /// A body, status 200; the connection lives on.
    Answer(Vec<u8>),
    /// These bytes, and no more on this connection.
    Bytes { bytes: Vec<u8>, then_hang: bool },
    /// The fault does not apply to this call.
    NotHere,
}

impl Instead {
    fn json(value: &Value) -> Instead {
        Instead::Answer(value.to_string().into())
    }
}

fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The body of the next request; `None`: the client is gone.
fn next_request(mut stream: &TcpStream, read: &mut Vec<u8>) -> std::io::Result<Option<Vec<u8>>> {
    let mut buffer = [0; 16 << 10];
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize =
                length.and_then(|length| length.trim().parse().ok()).expect("the program says how long");
            let whole = end + 4 + length;
            if read.len() >= whole {
                let rest = read.split_off(whole);
                return Ok(Some(std::mem::replace(read, rest).split_off(end + 4)));
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(None),
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Leaves out an item, not at the end of its ledger where it can be helped; false: there is none.
fn without_one(result: &mut Value) -> bool {
    if let Some(ledgers) = result["ledgers"].as_array_mut().filter(|list| !list.is_empty()) {
        ledgers.remove(ledgers.len() / 2);
        return true;
    }
    let Some(transactions) = result["transactions"].as_array_mut() else { return false };
    // One that is followed by another of the same ledger: its place is seen to be empty.
    let inner = |pair: &[Value]| pair[0]["ledger"] == pair[1]["ledger"];
    let places: Vec<_> =
        transactions.windows(2).enumerate().filter(|(_, pair)| inner(pair)).map(|(at, _)| at).collect();
    // In the ledger that is asked for, which is the first: later ones may not be looked at.
    let first = transactions.first().map(|it| it["ledger"].clone());
    let places: Vec<_> = places.into_iter().filter(|at| Some(&transactions[*at]["ledger"]) == first.as_ref()).collect();
    let Some(at) = places.get(places.len() / 2) else { return false };
    transactions.remove(*at);
    true
}

/// Makes the answer that of a node whose newest ledger is some back; false: the method has none.
fn lagging(ledgers: u64, call: &Value, answer: &mut Value) -> bool {
    let Some(latest) = answer["result"]["latestLedger"].as_u64() else { return false };
    let oldest = answer["result"]["oldestLedger"].as_u64().unwrap_or(1);
    let tip = latest.saturating_sub(ledgers).max(oldest);
    let params = &call["params"];
    let cursor = params["pagination"]["cursor"].as_str().unwrap_or_default();
    // Ids begin with the number whose upper half is the ledger.
    let of_cursor = cursor.split('-').next().and_then(|toid| toid.parse::<u64>().ok()).map(|toid| toid >> 32);
    let start = params["startLedger"].as_u64().or(of_cursor).unwrap_or(0);
    let refuse =
        |message: String| json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32600, "message": message}});
    let method = call["method"].as_str().unwrap_or_default();
    let past = start > tip;
    match method {
        "getEvents" if past => {
            *answer = refuse(format!("startLedger must be within the ledger range: {oldest} - {tip}"));
            return true;
        }
        "getLedgers" | "getTransactions" if past && cursor.is_empty() => {
            *answer = refuse(format!(
                "start ledger ({start}) must be between the oldest ledger: {oldest} and the latest ledger: {tip} for this rpc instance"
            ));
            return true;
        }
        _ => {}
    }
    let result = &mut answer["result"];
    result["latestLedger"] = json!(tip);
    let mut cut = false;
    for (list, number) in [("ledgers", "sequence"), ("transactions", "ledger"), ("events", "ledger")] {
        if let Some(items) = result[list].as_array_mut() {
            let before = items.len();
            items.retain(|item| item[number].as_u64().is_some_and(|ledger| ledger <= tip));
            cut |= items.len() < before;
        }
    }
    let searched = |result: &Value| result["cursor"].as_str().and_then(|it| it.split('-').next()?.parse::<u64>().ok());
    match method {
        "getEvents" if cut || searched(result).is_some_and(|toid| toid >> 32 > tip) => {
            result["cursor"] = json!(format!("{:019}-4294967295", ((tip + 1) << 32) - 1));
        }
        // The traps that the contract tells of.
        "getTransactions" if past => result["cursor"] = json!("0"),
        "getTransactions" if cut => {
            let last = result["transactions"].as_array().and_then(|list| list.last());
            let order = last.and_then(|last| last["applicationOrder"].as_u64()).unwrap_or(0);
            let ledger = last.and_then(|last| last["ledger"].as_u64()).unwrap_or(tip);
            result["cursor"] = json!((ledger << 32 | order << 12 | 1).to_string());
        }
        _ => {}
    }
    true
}

fn levels() -> String {
    format!("{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS))
}

/// White space, gzipped.
fn bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let block = vec![b' '; 1 << 20];
    for _ in 0..BOMB / block.len() {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}
