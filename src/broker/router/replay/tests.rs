//! Clients over real sockets, before a broker whose memory is short and whose journal is long.

mod paced;

use crate::broker::testing::{Asked, Journal, RENDERINGS, batch};
use crate::broker::{Append, Broker, History, MountEntry, Renderings, Router};
use crate::dialect::{Entry, MountContext, Opening, flow};
use crate::event::Mark;
use crate::server::metrics::Metrics;
use crate::session::{self, Handover, Shared, Worker};
use actix::{Actor, Addr};
use bytes::Bytes;
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const EVENTS: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    history: Arc<History>,
    journal: Arc<Journal>,
    broker: Addr<Broker>,
    worker: Rc<Worker>,
    mount: Arc<MountEntry>,
    ledgers: u64,
    /// Events of each.
    events: u32,
}

impl World {
    /// Memory for so many ledgers, a journal without an end.
    fn new(kept: usize) -> World {
        World::of(kept, EVENTS)
    }

    /// With so many events in each ledger.
    fn of(kept: usize, events: u32) -> World {
        // What is rendered of ledgers counts as well.
        let history = Arc::new(History::new(1, RENDERINGS, batch(0, 1, events).weight() * kept));
        let metrics = Arc::new(Metrics::default());
        let broker = Broker::new(history.clone(), metrics.clone(), Arc::new([Arc::from("a")])).start();
        let journal = Arc::new(Journal::default());
        let mut shared = Shared::for_tests(history.clone(), broker.clone(), metrics);
        shared.backlog = Some(Arc::new(Asked(journal.clone())));
        shared.mounts = vec!["flow"];
        let mut renderings = Renderings::default();
        let context = MountContext { values_per_session: 10, sources: 1, replay: true, ..MountContext::default() };
        let dialect = Arc::new(flow::FlowMount::new(flow::Config::default(), context, &mut renderings));
        shared.renderings = renderings;
        let worker = Rc::new(Worker::new(Arc::new(shared), 0));
        Router::new(worker.clone()).start();
        let (path, access) = ("/ws".to_owned(), Default::default());
        let mount = MountEntry {
            number: 0,
            path,
            dialect,
            sources: Arc::new([0]),
            access,
            resume: false,
            replay: true,
            begin: None,
        };
        World { history, journal, broker, worker, mount: Arc::new(mount), ledgers: 0, events }
    }

    /// So many ledgers more, in the journal before anybody can miss them.
    async fn append(&mut self, count: u64) {
        for _ in 0..count {
            self.ledgers += 1;
            let before = self.history.head();
            let mut batch = batch(0, self.ledgers, self.events);
            batch.ledger.closed_at = self.ledgers as i64;
            self.broker
                .send(Append { batch, posted: Instant::now(), counters: std::collections::BTreeMap::new() })
                .await
                .unwrap();
            self.journal.keep(&self.history.get(before + 1).unwrap());
        }
    }

    async fn connect(&self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        let Some(Entry::Session(dialect)) = self.mount.dialect.open(Opening::at("", "")) else { panic!() };
        let (to_write, read) = (Bytes::new(), Bytes::new());
        let (token, mark, place) = (None, self.mount.begin.clone(), Box::new(()));
        let handover = Handover { socket: server.into(), to_write, read, peer: peer.ip(), token, mark, place };
        session::spawn(&self.worker, self.mount.clone(), dialect, handover);
        let mut client = Client { socket };
        assert_eq!(client.next().await["type"], "welcome");
        client
    }
}

struct Client {
    socket: TcpStream,
}

impl Client {
    async fn send(&mut self, message: Value) {
        let text = message.to_string();
        assert!(text.len() < 1 << 16);
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend((text.len() as u16).to_be_bytes());
        // A mask of zeros.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.socket.write_all(&frame).await.unwrap();
    }

    /// The next message; of a close its code.
    async fn next(&mut self) -> Value {
        timeout(PATIENCE, async {
            loop {
                let mut head = [0; 2];
                self.socket.read_exact(&mut head).await.unwrap();
                let length = match head[1] {
                    126 => self.socket.read_u16().await.unwrap().into(),
                    127 => self.socket.read_u64().await.unwrap() as usize,
                    length => length.into(),
                };
                let mut payload = vec![0; length];
                self.socket.read_exact(&mut payload).await.unwrap();
                match head[0] {
                    0x81 => return serde_json::from_slice(&payload).unwrap(),
                    0x88 => return json!({"close": u16::from_be_bytes([payload[0], payload[1]])}),
                    _ => {}
                }
            }
        })
        .await
        .expect("something comes")
    }

    async fn register(&mut self, fields: Value) -> Value {
        let mut message = json!({"type": "register"});
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.send(message).await;
        self.next().await
    }

    /// Every event of these ledgers comes, once and in order.
    async fn gets(&mut self, ledgers: std::ops::RangeInclusive<u64>) -> Value {
        self.gets_of(EVENTS, ledgers).await
    }

    async fn gets_of(&mut self, events: u32, ledgers: std::ops::RangeInclusive<u64>) -> Value {
        let mut last = Value::Null;
        for ledger in ledgers {
            for event in 0..events {
                last = self.next().await;
                assert_eq!(last["id"], format!("{ledger:03}-{event}"), "{last}");
            }
        }
        last
    }
}

#[actix::test]
async fn from_the_journal_into_memory_into_the_stream() {
    let mut world = World::new(20);
    world.append(400).await;
    let mut client = world.connect().await;
    let answer = client.register(json!({"from_ledger": 3})).await;
    assert_eq!(answer["resumed"], json!({"ledgers": 398, "events_before_filter": 398 * 5}), "{answer}");
    // Ledgers come while it is being fed.
    world.append(50).await;
    let last = client.gets(3..=450).await;
    world.append(3).await;
    client.gets(451..=453).await;
    // It goes away and comes back with the cursor of what it had last.
    drop(client);
    let mut client = world.connect().await;
    let answer = client.register(json!({"resume": last["cursor"]})).await;
    assert_eq!(answer["resumed"], json!({"ledgers": 3, "events_before_filter": 15}), "{answer}");
    client.gets(451..=453).await;
    let (ledgers, bytes) = world.history.sizes()[0];
    assert!(ledgers < 30 && bytes < 100 * batch(0, 1, EVENTS).weight(), "{ledgers} {bytes}");
}

#[actix::test]
async fn two_far_apart_beside_a_live_one() {
    let mut world = World::new(20);
    world.append(1000).await;
    let mut live = world.connect().await;
    assert_eq!(live.register(json!({})).await["type"], "registered");
    let (mut far, mut near) = (world.connect().await, world.connect().await);
    far.register(json!({"from_ledger": 1})).await;
    near.register(json!({"from_ledger": 600})).await;
    for step in 0..10 {
        world.append(1).await;
        live.gets(1001 + step..=1001 + step).await;
        far.gets(step * 100 + 1..=step * 100 + 100).await;
        near.gets(600 + step * 40..=639 + step * 40).await;
    }
    far.gets(1001..=1010).await;
    near.gets(1000..=1010).await;
    assert!(world.journal.most_under_way.load(Ordering::SeqCst) <= super::READS);
}

/// A crowd that stands at one place reads once, and one that stands at many takes its turns.
#[actix::test]
async fn a_crowd_shares_and_takes_turns() {
    let mut world = World::new(20);
    world.append(600).await;
    let mut crowd = Vec::new();
    for number in 0..40u64 {
        let from = if number % 2 == 0 { 1 } else { 1 + number * 10 };
        let mut client = world.connect().await;
        client.send(json!({"type": "register", "from_ledger": from})).await;
        crowd.push((client, from));
    }
    for (client, from) in &mut crowd {
        assert_eq!(client.next().await["type"], "registered");
        client.gets(*from..=600).await;
    }
    assert!(world.journal.most_under_way.load(Ordering::SeqCst) <= 2 * super::READS);
}

/// A client that does not read falls behind memory, and is fed from the journal when it reads on.
#[actix::test]
async fn a_slow_client_loses_nothing() {
    let mut world = World::new(20);
    let mut client = world.connect().await;
    assert_eq!(client.register(json!({})).await["type"], "registered");
    // More than sockets and outbox hold.
    world.append(20_000).await;
    client.gets(1..=20_000).await;
    assert!(world.journal.reads.load(Ordering::SeqCst) > 0, "memory was enough");
}

/// More than is rendered for a replay at once, and than an outbox holds: it stops and goes on within ledgers.
#[actix::test]
async fn large_ledgers_are_taken_in_pieces() {
    let mut world = World::of(2, 2_000);
    world.append(12).await;
    let mut client = world.connect().await;
    let answer = client.register(json!({"from_ledger": 1})).await;
    assert_eq!(answer["resumed"], json!({"ledgers": 12, "events_before_filter": 24_000}), "{answer}");
    let last = client.gets_of(2_000, 1..=5).await;
    drop(client);
    // From the middle of one.
    let mut client = world.connect().await;
    let mut event = client.register(json!({"resume": last["cursor"]})).await;
    for number in 0..700 {
        event = client.next().await;
        assert_eq!(event["id"], format!("006-{number}"));
    }
    drop(client);
    let mut client = world.connect().await;
    assert!(client.register(json!({"resume": event["cursor"]})).await["resumed"].is_object());
    for number in 700..2_000 {
        assert_eq!(client.next().await["id"], format!("006-{number}"));
    }
    client.gets_of(2_000, 7..=12).await;
}

#[actix::test]
async fn what_the_journal_gives_up_is_told_or_closes() {
    let mut world = World::new(20);
    world.append(300).await;
    world.journal.gone.store(100, Ordering::SeqCst);
    let mut client = world.connect().await;
    let answer = client.register(json!({"from_ledger": 50})).await;
    let gap = json!({"network": "test-0", "from_ledger": 50, "to_ledger": 100, "oldest_ledger": 101});
    assert_eq!((&answer["gap"], answer.get("resumed")), (&gap, None), "{answer}");
    client.gets(101..=300).await;
    // What it gives up under a client's position is no hole.
    let mut slow = world.connect().await;
    assert_eq!(slow.register(json!({"from_ledger": 150})).await["type"], "registered");
    world.append(20_000).await;
    world.journal.gone.store(20_200, Ordering::SeqCst);
    let mut next = 150;
    let closed = loop {
        let got = slow.next().await;
        if got.get("id").is_none() {
            break got;
        }
        let ledger = got["ledger"].as_u64().unwrap();
        assert!(ledger == next || ledger == next + 1, "{ledger} after {next}");
        next = ledger;
    };
    assert!(next < 20_300, "{next}");
    assert_eq!(closed["code"], "too_slow", "{closed}");
    assert_eq!(slow.next().await["close"], 1008);
}

#[actix::test]
async fn a_journal_that_fails_closes_who_needs_it() {
    let mut world = World::new(20);
    world.append(300).await;
    // One that is in the middle of it.
    let mut slow = world.connect().await;
    slow.register(json!({"from_ledger": 1})).await;
    world.append(20_000).await;
    world.journal.fails.store(true, Ordering::SeqCst);
    let closed = loop {
        let got = slow.next().await;
        if got.get("id").is_none() {
            break got;
        }
    };
    assert_eq!(closed["code"], "too_slow", "{closed}");
    // Who needs it not does not notice.
    let mut live = world.connect().await;
    live.register(json!({})).await;
    let mut client = world.connect().await;
    let answer = client.register(json!({"from_ledger": 50})).await;
    assert_eq!(answer["code"], "invalid_resume", "{answer}");
    // It is not registered, and may be without.
    assert_eq!(client.register(json!({})).await["type"], "registered");
    world.append(1).await;
    live.gets(20_301..=20_301).await;
    client.gets(20_301..=20_301).await;
}

/// When each ledger's last event came to a client of its own thread.
fn arrivals(socket: TcpStream) -> std::sync::mpsc::Receiver<Instant> {
    use std::io::Read;
    let mut socket = socket.into_std().unwrap();
    socket.set_nonblocking(false).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut count = 0;
        let mut head = [0; 4];
        let mut payload = vec![0; 1 << 16];
        while socket.read_exact(&mut head[..2]).is_ok() {
            let mut length = usize::from(head[1]);
            if length == 126 {
                socket.read_exact(&mut head[2..]).unwrap();
                length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            }
            if socket.read_exact(&mut payload[..length]).is_err() {
                return;
            }
            count += u32::from(payload.starts_with(b"{\"type\":\"ledger\""));
            if count == EVENTS {
                count = 0;
                let _ = sender.send(Instant::now());
            }
        }
    });
    receiver
}

/// `cargo test --lib -- --ignored --nocapture live_latency`
#[actix::test]
#[ignore = "a measurement"]
async fn live_latency_beside_replays() {
    const LEDGERS: u64 = 500;
    let mut world = World::new(1000);
    world.append(60_000).await;
    let mut live = world.connect().await;
    live.register(json!({})).await;
    let came = arrivals(live.socket);
    for replaying in [0, 2, 20] {
        let mut clients = Vec::new();
        for number in 0..replaying {
            let mut client = world.connect().await;
            client.send(json!({"type": "register", "from_ledger": 1 + number * 1000})).await;
            clients.push(arrivals(client.socket));
        }
        let mut posted = Vec::new();
        for _ in 0..LEDGERS {
            posted.push(Instant::now());
            world.append(1).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut latency: Vec<Duration> =
            posted.iter().map(|posted| came.recv_timeout(PATIENCE).unwrap().duration_since(*posted)).collect();
        latency.sort_unstable();
        let replayed: usize = clients.iter().map(|client| client.try_iter().count()).sum();
        println!(
            "{replaying} replaying ({replayed} ledgers meanwhile): live p50 {:?}, p99 {:?}, most {:?}",
            latency[latency.len() / 2],
            latency[latency.len() * 99 / 100],
            latency[latency.len() - 1]
        );
    }
}
