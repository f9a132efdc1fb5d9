//! What the journal promises: a process that is killed again and again costs nobody an event, and a client that was
//! away gets what it missed, however long ago.

use crate::common::client::{Client, Got, is_a_row};
use crate::common::reader::{Ledger, Reader, wait_at_most};
use crate::common::server::{Process, Server, listening, path, settings};
use crate::common::{pause, seed};
use ledgercast::devnet;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const KILLS: usize = 20;
const EVENTS: usize = 100_000;

/// A client that comes back with its last cursor whenever its server is gone.
struct Faithful {
    texts: Arc<Mutex<Vec<String>>>,
    done: Arc<AtomicBool>,
    /// How often it came back with a cursor.
    thread: JoinHandle<usize>,
}

impl Faithful {
    fn start(address: SocketAddr, filters: Value) -> Faithful {
        let (texts, done) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (kept, is_done) = (texts.clone(), done.clone());
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                let (mut resumed, mut cursor) = (0, None::<String>);
                while !is_done.load(Ordering::Relaxed) {
                    let Some(mut client) = Client::try_connect(address).await else {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        continue;
                    };
                    let mut register = json!({ "type": "register", "filters": filters });
                    if let Some(cursor) = &cursor {
                        register["resume"] = json!(cursor);
                    }
                    if !client.try_text(register.to_string()).await {
                        continue;
                    }
                    while let Got::Text(text) = client.receive().await {
                        let message: Value = serde_json::from_str(&text).unwrap();
                        match message["type"].as_str().unwrap() {
                            "welcome" => {}
                            "registered" => {
                                assert!(message.get("gap").is_none() && message.get("dropped").is_none(), "{text}");
                                assert_eq!(message.get("resumed").is_some(), cursor.is_some(), "{text}");
                                resumed += usize::from(cursor.is_some());
                            }
                            "error" | "gap" | "reset" | "reorg" => panic!("{text}"),
                            _ => {
                                cursor = Some(message["cursor"].as_str().expect("every event has one").to_owned());
                                kept.lock().unwrap().push(text);
                            }
                        }
                        if is_done.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                }
                resumed
            })
        });
        Faithful { texts, done, thread }
    }

    fn len(&self) -> usize {
        self.texts.lock().unwrap().len()
    }

    fn end(self) -> (Vec<String>, usize) {
        self.done.store(true, Ordering::Relaxed);
        let resumed = self.thread.join().unwrap();
        (std::mem::take(&mut self.texts.lock().unwrap()), resumed)
    }
}

fn serve(settings: &Path) -> (Process, SocketAddr) {
    let mut process = Process::start(&["serve", "--config", path(settings), "--log", "json"]);
    let (clients, _) = process.wait_for("line that it listens", listening);
    (process, clients)
}

#[test]
fn twenty_kills_cost_nobody_an_event() {
    let seed = seed();
    println!("LEDGERCAST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let ledger = Ledger::start(20, devnet::Settings { events_per_ledger: 120, ..devnet::Settings::default() });
    let wishes = [
        json!({}),
        json!({ "types": ["payment"] }),
        json!({ "types": ["ledger"] }),
        json!({ "asset_codes": ["XLM"], "min_amount": "100" }),
    ];
    let truthful = Server::start(&settings(ledger.address, ""));
    truthful.wait_ready();
    let truth: Vec<Reader> = wishes.iter().map(|filters| Reader::start(truthful.clients, filters)).collect();

    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("settings.yaml");
    let text = settings(ledger.address, &format!("state_dir: '{}'", path(state.path())));
    std::fs::write(&file, &text).unwrap();
    let (mut process, address) = serve(&file);
    // The next lives are where the first one was.
    std::fs::write(&file, text.replacen("bind: 127.0.0.1:0", &format!("bind: {address}"), 1)).unwrap();
    let clients: Vec<Faithful> = wishes.iter().map(|filters| Faithful::start(address, filters.clone())).collect();
    wait_at_most(Duration::from_secs(20), "they are served", || clients.iter().all(|client| client.len() > 0));
    for _ in 0..KILLS {
        pause(Duration::from_millis(random.random_range(50..3_000)));
        process.kill();
        process = serve(&file).0;
    }
    wait_at_most(Duration::from_secs(90), "events enough", || clients[0].len() >= EVENTS);
    let mut counts = Vec::new();
    for ((client, truth), filters) in clients.into_iter().zip(truth).zip(wishes) {
        let (told, resumed) = client.end();
        let last = told.last().expect("it was served").clone();
        wait_at_most(Duration::from_secs(20), "the truth is as far", || truth.texts().contains(&last));
        let truth = truth.texts();
        let first = truth.iter().position(|text| *text == told[0]).expect("it is in the truth");
        let lost = truth[first..].iter().zip(&told).position(|(one, other)| one != other);
        if let Some(at) = lost {
            let around = at.saturating_sub(1)..(at + 2).min(told.len());
            panic!("{filters}: differs at {at}: {:#?} should be {:#?}", &told[around.clone()], &truth[first..][around]);
        }
        counts.push((told.len(), resumed));
        if filters == json!({}) {
            is_a_row(&told);
        }
    }
    println!("events and returns of each client: {counts:?}");
    assert!(counts.iter().all(|(_, resumed)| *resumed >= KILLS / 2), "{counts:?}");
}
