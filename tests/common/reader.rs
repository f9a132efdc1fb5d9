//! A client that reads all the time on a thread of its own, and a real ledger in this process.

use super::client::{Client, Got, Head};
use super::{http, pause};
use ledgercast::devnet;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Reads until its server ends the connection.
pub struct Reader {
    texts: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Connects, and comes back when it is registered.
    pub fn start(address: SocketAddr, filters: &Value) -> Reader {
        Reader::try_start(address, filters).expect("the server is there")
    }

    /// The same with a server that may end meanwhile.
    pub fn try_start(address: SocketAddr, filters: &Value) -> Option<Reader> {
        let texts: Arc<Mutex<Vec<String>>> = Arc::default();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let (kept, filters) = (texts.clone(), filters.clone());
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                let Some(mut client) = Client::try_connect(address).await else { return };
                let register = json!({"type": "register", "filters": filters}).to_string();
                if !matches!(client.next().await, Got::Text(_)) || !client.try_text(register).await {
                    return;
                }
                while let Got::Text(text) = client.receive().await {
                    assert!(!text.starts_with(r#"{"type":"error""#), "{text}");
                    if text.starts_with(r#"{"type":"registered""#) {
                        let answer: Value = serde_json::from_str(&text).unwrap();
                        assert!(answer.get("dropped").is_none(), "{text}");
                        let _ = ready.send(());
                    } else {
                        kept.lock().unwrap().push(text);
                    }
                }
            });
        });
        // The sender goes with the thread.
        is_ready.recv().ok()?;
        Some(Reader { texts, thread: Some(thread) })
    }

    /// All that came so far.
    pub fn texts(&self) -> Vec<String> {
        self.texts.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.texts.lock().unwrap().len()
    }

    /// The ledger of the last event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.texts.lock().unwrap().last().map_or(0, |text| Head::of(text).ledger)
    }

    /// Waits until something of this ledger came, which makes those before it whole.
    pub fn wait_past(&self, ledger: u64, at_most: Duration) {
        wait_at_most(at_most, &format!("ledger {ledger}"), || self.last() > ledger);
    }

    /// All that came until the server ended the connection.
    pub fn into_texts(mut self) -> Vec<String> {
        self.thread.take().expect("only taken here").join().unwrap();
        self.texts()
    }
}

/// `wait_until` with another bound.
pub fn wait_at_most(time: Duration, what: &str, mut yes: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while !yes() {
        assert!(Instant::now() < end, "not within {time:?}: {what}");
        pause(Duration::from_millis(30));
    }
}

/// A devnet with every setting.
pub struct Ledger {
    pub address: SocketAddr,
    _devnet: devnet::Devnet,
}

impl Ledger {
    /// Closes so many ledgers in a second.
    pub fn start(rate: u32, more: devnet::Settings) -> Ledger {
        let settings = devnet::Settings { ledger_interval: Duration::from_secs(1) / rate, ..more };
        let devnet = runtime().block_on(devnet::start(settings)).unwrap();
        Ledger { address: devnet.address(), _devnet: devnet }
    }

    pub fn rpc(&self, method: &str, params: Value) -> Value {
        http::rpc(self.address, method, params)
    }

    /// The oldest ledger that it keeps and the newest.
    pub fn range(&self) -> (u64, u64) {
        let health = self.rpc("getHealth", json!(null));
        (health["oldestLedger"].as_u64().unwrap(), health["latestLedger"].as_u64().unwrap())
    }

    pub fn latest(&self) -> u64 {
        self.range().1
    }
}

/// For a test whose clients run on a thread of their own.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
