//! A server of the XRP Ledger by a script: it gives the ledgers that a test hands it, and misbehaves when told to.

use crate::common::pause;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of an answer to `account_lines`.
pub const LARGE: usize = 1 << 20;

/// What happens to a call instead of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends.
    Close,
    /// Half of the answer comes.
    Cut,
    /// Nothing comes for longer than the client waits.
    Hang,
    /// This status and a page for people.
    Status(u16),
    /// Bytes that are no JSON in a good answer.
    Garbage,
    /// An error of the server in a good answer.
    Error(&'static str, i64),
    /// `ledger` answers with the open ledger of that number.
    NotValidated,
    /// `ledger` lacks its last transaction.
    Short,
    /// A transaction without metadata.
    WithoutMeta,
    /// `ledger` answers another ledger than asked for.
    WrongLedger,
    /// The head goes back by a few ledgers.
    HeadBack,
    /// `complete_ledgers` has a hole, and the ledgers in it are not found.
    Hole,
}

#[derive(Default)]
struct State {
    /// Whole `ledger` results by index.
    ledgers: BTreeMap<u64, Value>,
    /// The newest validated one.
    head: u64,
    fault: Option<Fault>,
    /// Methods that the fault is for; empty: all.
    only: Vec<&'static str>,
}

/// The server.
pub struct Node {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// With ledgers in the form of API version 1 or 2; the first is validated.
    pub fn start(ledgers: Vec<Value>) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ledgers: BTreeMap<u64, Value> = ledgers.into_iter().map(|ledger| (index(&ledger), ledger)).collect();
        let head = *ledgers.keys().next().expect("a ledger");
        let state = Arc::new(Mutex::new(State { ledgers, head, ..State::default() }));
        let ended = Arc::new(AtomicBool::new(false));
        let (serving, over) = (state.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            for socket in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                if let Ok(socket) = socket {
                    let state = serving.clone();
                    std::thread::spawn(move || connection(socket, &state));
                }
            }
        });
        Node { address, state, ended, thread: Some(thread) }
    }

    /// Validates up to this ledger.
    pub fn validate(&self, head: u64) {
        self.state.lock().unwrap().head = head;
    }

    /// From now on calls of these methods (none: of all) misbehave; `None`: no more.
    pub fn misbehave(&self, fault: Option<Fault>, only: &[&'static str]) {
        let mut state = self.state.lock().unwrap();
        (state.fault, state.only) = (fault, only.to_vec());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The index of a `ledger` result.
pub fn index(result: &Value) -> u64 {
    let index = &result["ledger"]["ledger_index"];
    index.as_u64().or_else(|| index.as_str()?.parse().ok()).expect("a ledger has an index")
}

/// Serves requests until the client goes.
fn connection(mut socket: TcpStream, state: &Mutex<State>) {
    let _ = socket.set_read_timeout(Some(Duration::from_secs(60)));
    let mut read = Vec::new();
    while let Some(request) = request(&mut socket, &mut read) {
        let method = request["method"].as_str().unwrap_or_default().to_owned();
        let (fault, result) = {
            let state = state.lock().unwrap();
            let fault = state.fault.filter(|_| state.only.is_empty() || state.only.contains(&method.as_str()));
            (fault, answer(&state, &method, &request["params"][0], fault))
        };
        let body = json!({ "result": result }).to_string();
        let good = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let sent = match fault {
            Some(Fault::Close) => None,
            Some(Fault::Hang) => {
                pause(Duration::from_secs(4));
                None
            }
            Some(Fault::Cut) => {
                let whole = good(&body);
                let _ = socket.write_all(&whole.as_bytes()[..whole.len() - body.len() / 2]);
                None
            }
            Some(Fault::Status(status)) => {
                let page = "<html>Server is overloaded</html>";
                Some(format!("HTTP/1.1 {status} no\r\nContent-Length: {}\r\n\r\n{page}", page.len()))
            }
            Some(Fault::Garbage) => Some(good(&body[..body.len() / 2])),
            _ => Some(good(&body)),
        };
        if sent.is_none_or(|sent| socket.write_all(sent.as_bytes()).is_err()) {
            break;
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
}

/// The next request's body.
fn request(socket: &mut TcpStream, read: &mut Vec<u8>) -> Option<Value> {
    let mut buffer = [0; 8192];
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let whole = end + 4 + length.map_or(0, |length| length.trim().parse().unwrap());
            if read.len() >= whole {
                let body = read.drain(..whole).skip(end + 4).collect::<Vec<u8>>();
                return serde_json::from_slice(&body).ok();
            }
        }
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
}

fn error(name: &str, code: i64) -> Value {
    json!({"status": "error", "error": name, "error_code": code, "error_message": name, "request": {}})
}

fn answer(state: &State, method: &str, params: &Value, fault: Option<Fault>) -> Value {
    if let Some(Fault::Error(name, code)) = fault {
        return error(name, code);
    }
    let first = *state.ledgers.keys().next().expect("there is one");
    let head = if fault == Some(Fault::HeadBack) { state.head.saturating_sub(3).max(first) } else { state.head };
    let hash = |index: u64| state.ledgers[&index]["ledger_hash"].clone();
    let complete = match fault {
        Some(Fault::Hole) => format!("{first}-{first},{}-{}", head + 100, head + 200),
        _ => format!("{first}-{head}"),
    };
    let validated = json!({"seq": head, "hash": hash(head), "age": 2, "base_fee_xrp": 1e-5, "reserve_base_xrp": 1,
        "reserve_inc_xrp": 0.2});
    match method {
        "server_info" => json!({"status": "success", "info": {"build_version": "2.6.0", "complete_ledgers": complete,
            "server_state": "full", "network_id": 0, "validated_ledger": validated}}),
        "server_state" => json!({"status": "success", "state": {"build_version": "2.6.0",
            "complete_ledgers": complete, "server_state": "full", "network_id": 0, "validated_ledger": {
                "seq": head, "hash": hash(head), "base_fee": 10, "reserve_base": 1_000_000, "reserve_inc": 200_000}}}),
        "ledger" => ledger(state, params, head, fault),
        "book_offers" => json!({"status": "success", "ledger_index": params["ledger_index"], "offers": [
            {"Account": "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", "quality": "1"}]}),
        "account_info" => json!({"status": "success", "validated": true, "account_data": {
            "Account": params["account"], "Balance": "9007199254740993"}}),
        "account_lines" => json!({"status": "success", "lines": "x".repeat(LARGE)}),
        _ => error("unknownCmd", 32),
    }
}

fn ledger(state: &State, params: &Value, head: u64, fault: Option<Fault>) -> Value {
    let asked = match &params["ledger_index"] {
        Value::String(word) if word == "validated" => Some(head),
        Value::String(number) => number.parse().ok(),
        number => number.as_u64(),
    };
    let by_hash = || state.ledgers.values().find(|ledger| ledger["ledger_hash"] == params["ledger_hash"]).map(index);
    let asked = asked.or_else(by_hash).filter(|asked| *asked <= head && fault != Some(Fault::Hole));
    let asked = match fault {
        Some(Fault::WrongLedger) => state.ledgers.keys().copied().find(|index| Some(*index) != asked),
        _ => asked,
    };
    let Some(found) = asked.and_then(|asked| state.ledgers.get(&asked)) else { return error("lgrNotFound", 21) };
    let mut found = found.clone();
    found["status"] = json!("success");
    if fault == Some(Fault::NotValidated) {
        found["validated"] = json!(false);
        found["ledger"]["closed"] = json!(false);
    }
    if let Some(transactions) = found["ledger"]["transactions"].as_array_mut() {
        match fault {
            Some(Fault::Short) => _ = transactions.pop(),
            Some(Fault::WithoutMeta) => {
                for name in ["meta", "metaData"] {
                    transactions[0].as_object_mut().unwrap().remove(name);
                }
            }
            _ => {}
        }
    }
    found
}
