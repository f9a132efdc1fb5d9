//! What the journal promises: a process that is killed again and again costs nobody an event, and a client that was
//! away gets what it missed, however long ago.

use crate::common::client::{Client, Got, is_a_row};
use crate::common::raw::{FIN, PING, Raw, TEXT, frame};
use crate::common::reader::{Ledger, Reader, runtime, wait_at_most};
use crate::common::server::{Process, Server, listening, memory_of, path, settings, settings_with};
use crate::common::{pause, raise_open_files, seed, wait_until};
use ledgercast::devnet;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Sessions that come back at once.
const CROWD: usize = 1_000;
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
    // The other server begins with the newest ledger, which the truth shall have.
    wait_until("the truth has begun", || truth[0].len() > 0);

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
        let first = truth
            .iter()
            .position(|text| *text == told[0])
            .unwrap_or_else(|| panic!("{filters}: not in the truth: {}", told[0]));
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

/// One of a crowd: reads on after some event, and holds every frame against what somebody got who stayed.
async fn reads_the_same(mut socket: TcpStream, all: Arc<Vec<String>>, after: usize) -> usize {
    let (mut buffer, mut at) = (Vec::with_capacity(64 << 10), after + 1);
    while at < all.len() {
        let count = timeout(Duration::from_secs(60), socket.read_buf(&mut buffer)).await.expect("more comes").unwrap();
        assert!(count > 0, "closed after {} of {} events", at - after, all.len() - after);
        let mut taken = 0;
        while let Some((opcode, payload, length)) = whole_frame(&buffer[taken..]) {
            taken += length;
            match opcode {
                TEXT if payload.starts_with(br#"{"type":"registered""#) => assert_eq!(at, after + 1),
                TEXT => {
                    let told = all.get(at).is_none_or(|text| text.as_bytes() == payload);
                    assert!(told, "{at}: {} is not {}", String::from_utf8_lossy(payload), all[at]);
                    at += 1;
                }
                opcode => assert_eq!(opcode, PING),
            }
        }
        buffer.drain(..taken);
    }
    at - after - 1
}

/// The first frame: its opcode, its payload and its whole length.
fn whole_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (start, length) = match *bytes.get(1)? {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
        127 => panic!("no event is so long"),
        length => (2, usize::from(length)),
    };
    Some((bytes[0] & 0x0f, bytes.get(start..start + length)?, start + length))
}

#[test]
fn a_crowd_comes_back_from_far_and_gets_everything() {
    raise_open_files();
    let ledger = Ledger::start(20, devnet::Settings { events_per_ledger: 25, ..devnet::Settings::default() });
    let state = tempfile::tempdir().unwrap();
    // Memory has a ledger or two; all before comes from the disk.
    let more = format!(
        "state_dir: '{}'\nhistory: {{ budget: 64KiB }}\nlimits: {{ outbox: 32KiB, send_buffer: 16KiB }}",
        path(state.path())
    );
    let server = Server::start(&settings_with(ledger.address, "{ registration_timeout: 60s }", &more));
    server.wait_ready();
    let reader = Reader::start(server.clients, &json!({}));
    wait_until("there is a past", || reader.len() > 1_200);
    let cursor = serde_json::from_str::<Value>(&reader.texts()[0]).unwrap()["cursor"].clone();
    let register =
        frame(FIN | TEXT, json!({ "type": "register", "filters": {}, "resume": cursor }).to_string().as_bytes());

    let mut crowd: Vec<Raw> = (0..CROWD).map(|_| Raw::open(server.clients)).collect();
    let before = server.process.memory();
    let all = Arc::new(reader.texts());
    crowd.iter_mut().for_each(|raw| raw.send(&register));
    let done = Arc::<AtomicBool>::default();
    let is_done = done.clone();
    let id = server.process.id();
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while !is_done.load(Ordering::Relaxed) {
            most = most.max(memory_of(id));
            pause(Duration::from_millis(20));
        }
        most
    });
    let (compared, begun) = (all.clone(), Instant::now());
    let counts: Vec<usize> = runtime().block_on(async move {
        let mut reading = JoinSet::new();
        for raw in crowd {
            let stream = raw.stream;
            stream.set_nonblocking(true).unwrap();
            reading.spawn(reads_the_same(TcpStream::from_std(stream).unwrap(), compared.clone(), 0));
        }
        reading.join_all().await
    });
    let took = begun.elapsed();
    done.store(true, Ordering::Relaxed);
    let most = watch.join().unwrap();
    assert!(counts.len() == CROWD && counts.iter().all(|count| *count >= all.len() - 1), "{counts:?}");
    let bytes: usize = all.iter().map(String::len).sum();
    println!(
        "{CROWD} sessions read {} events each, {} MiB in all, in {took:.1?}; memory {} MiB before, {} MiB at most",
        all.len() - 1,
        (bytes * CROWD) >> 20,
        before >> 20,
        most >> 20
    );
    // What may wait for each of them, the pieces of the disk that two workers hold, and the allocator.
    let allowed = CROWD as u64 * (32 << 10) + 2 * 16 * (1 << 20) + (32 << 20);
    assert!(most.saturating_sub(before) < allowed, "{before} bytes became {most}");
}
