//! Whoever joins, registers late, changes filters or leaves, at any moment: every event that
//! matches arrives exactly once and in order, from the point where the client connected, and a
//! change of filters takes effect between two ledgers.
//!
//! One client takes everything. What the others get is judged by it, event by event and byte by
//! byte, with filters that are matched the plain way.

use crate::common::client::{Client, Got, Head};
use crate::common::server::{Devnet, Server, settings_with};
use crate::common::{PATIENCE, filter, seed};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Everything that the first client got so far.
type Stream = Arc<Mutex<Vec<String>>>;

/// Takes everything, until the test ends.
async fn reference(address: SocketAddr) -> Stream {
    let mut client = Client::connect(address).await;
    let mut events = Vec::new();
    assert!(client.registered(&json!({}), &mut events).await.get("dropped").is_none());
    let stream = Stream::default();
    let into = stream.clone();
    tokio::spawn(async move {
        while let Got::Text(text) = client.receive().await {
            into.lock().unwrap().push(text);
        }
    });
    stream
}

async fn grown(stream: &Stream, to: usize) {
    let grow = async {
        while stream.lock().unwrap().len() < to {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, grow).await.expect("the stream goes on");
}

fn last_ledger(stream: &Stream) -> u64 {
    stream.lock().unwrap().last().map_or(0, |text| Head::of(text).ledger)
}

/// One segment of what a client got: the filters, and the events under them.
struct Segment {
    filters: Value,
    events: Vec<String>,
}

/// What one client saw.
struct Record {
    name: String,
    /// The newest ledger of the first client before this one connected.
    before: u64,
    /// The newest ledger of the network once it had connected: what closes later must arrive.
    after: u64,
    segments: Vec<Segment>,
}

/// Filters that have something to find, mostly.
fn random_filters(random: &mut impl Rng, stream: &Stream) -> Value {
    let seen: Vec<Value> = {
        let stream = stream.lock().unwrap();
        let from = stream.len().saturating_sub(200);
        stream[from..].iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    };
    let mut filters = json!({});
    let some = |from: &[&str], random: &mut dyn Rng| -> Vec<String> {
        let mut random = random;
        let count = random.random_range(1..=3);
        (0..count).filter_map(|_| from.choose(&mut random).map(|it| (*it).to_owned())).collect()
    };
    let by_account = random.random_ratio(2, 5);
    if by_account {
        let accounts: Vec<&str> =
            seen.iter().flat_map(|event| filter::accounts_of(event["type"].as_str().unwrap(), event)).collect();
        filters["account_ids"] = json!(some(&accounts, random));
    }
    if by_account || random.random_ratio(1, 2) {
        // Not transactions: their JSON does not name all accounts by which they are found.
        let kinds = ["payment", "trade", "contract_event", "ledger", "contract", "system", "other"];
        filters["types"] = json!(some(&kinds, random));
    }
    if random.random_ratio(1, 3) {
        let assets: Vec<&str> = seen.iter().filter_map(|event| event["asset"].as_str()).collect();
        let codes: Vec<&str> = seen.iter().filter_map(|event| event["asset_code"].as_str()).collect();
        let from = if random.random() { assets } else { codes };
        filters["asset_codes"] = json!(some(&from, random));
    }
    if random.random_ratio(1, 3) {
        // Refunds of fees have amounts below zero; a filter has none.
        let amounts = seen.iter().filter_map(|event| event["amount"].as_str());
        let amounts: Vec<&str> = amounts.filter(|amount| !amount.starts_with('-')).collect();
        filters["min_amount"] = json!(amounts.choose(random).copied().unwrap_or("1"));
    }
    filters
}

/// Joins, waits, registers, changes its mind, leaves.
async fn visitor(name: String, address: SocketAddr, rpc: SocketAddr, seed: u64, stream: Stream) -> Record {
    let mut random = StdRng::seed_from_u64(seed);
    sleep(Duration::from_millis(random.random_range(0..3000))).await;
    let before = last_ledger(&stream);
    let mut client = Client::connect(address).await;
    let after = crate::common::http::rpc(rpc, "getHealth", json!(null))["latestLedger"].as_u64().unwrap();
    sleep(Duration::from_millis(random.random_range(0..2000))).await;

    let mut segments: Vec<Segment> = Vec::new();
    let mut change = async |filters: Value, client: &mut Client| {
        let mut early = Vec::new();
        let answer = client.registered(&filters, &mut early).await;
        assert!(answer.get("dropped").is_none(), "{answer}");
        match segments.last_mut() {
            Some(last) => last.events.extend(early),
            None => assert!(early.is_empty(), "events before `registered`: {early:?}"),
        }
        segments.push(Segment { filters, events: Vec::new() });
        segments.len() - 1
    };
    let mut texts: Vec<(usize, String)> = Vec::new();
    for _ in 0..random.random_range(1..6) {
        let filters = random_filters(&mut random, &stream);
        let at = change(filters, &mut client).await;
        // Reads as it comes, for a while.
        let end = tokio::time::Instant::now() + Duration::from_millis(random.random_range(0..1200));
        while let Ok(got) = tokio::time::timeout_at(end, client.receive()).await {
            let Got::Text(text) = got else { panic!("{name}: {got:?}") };
            texts.push((at, text));
        }
    }
    // Ledgers alone: the first of them ends the last random segment.
    let at = change(json!({"types": ["ledger"]}), &mut client).await;
    for _ in 0..2 {
        texts.push((at, client.next_text().await));
    }
    client.close().await;
    // What was read while waiting stands before what was read with the next answer.
    for (at, text) in texts.into_iter().rev() {
        segments[at].events.insert(0, text);
    }
    Record { name, before, after, segments }
}

/// The first client's events, ready to judge by.
struct Truth {
    texts: Vec<String>,
    values: Vec<Value>,
    ledgers: Vec<u64>,
    by_id: HashMap<String, usize>,
}

impl Truth {
    fn of(texts: Vec<String>) -> Truth {
        let values: Vec<Value> = texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let ledgers: Vec<u64> = values.iter().map(|event| event["ledger"].as_u64().unwrap()).collect();
        let mut by_id = HashMap::new();
        for (at, event) in values.iter().enumerate() {
            let id = event["id"].as_str().unwrap().to_owned();
            assert!(by_id.insert(id, at).is_none(), "twice: {event}");
        }
        // Ledgers follow one another, each begins with its own event.
        for at in 1..ledgers.len() {
            if ledgers[at] != ledgers[at - 1] {
                assert_eq!(ledgers[at], ledgers[at - 1] + 1, "no hole");
                assert_eq!(values[at]["type"], "ledger");
            }
        }
        Truth { texts, values, ledgers, by_id }
    }

    /// Positions of a client's events, in its order.
    fn places(&self, texts: &[String]) -> Vec<usize> {
        let place = |text: &String| {
            let at = self.by_id.get(&Head::of(text).id).unwrap_or_else(|| panic!("nobody else got {text}"));
            assert_eq!(text, &self.texts[*at], "the same for all");
            *at
        };
        texts.iter().map(place).collect()
    }

    /// Judges one client. A boundary is the last ledger before a segment; every boundary that
    /// explains what came is followed up.
    fn judge(&self, record: &Record) {
        let (first, last) = (self.ledgers[0], *self.ledgers.last().unwrap());
        let mut boundaries: Vec<u64> = (record.before.max(first) - 1..=record.after).collect();
        for (number, segment) in record.segments.iter().enumerate() {
            let got = self.places(&segment.events);
            let wanted: Vec<usize> =
                (0..self.values.len()).filter(|at| filter::matches(&segment.filters, &self.values[*at])).collect();
            let is_last = number + 1 == record.segments.len();
            let explains = |begin: u64, end: u64| {
                let from = wanted.partition_point(|at| self.ledgers[*at] <= begin);
                let to = wanted.partition_point(|at| self.ledgers[*at] <= end);
                if is_last { wanted[from..].starts_with(&got) } else { wanted[from..to.max(from)] == got }
            };
            let ends: Vec<u64> = if is_last { vec![last] } else { (boundaries[0]..=last).collect() };
            let next: Vec<u64> = ends
                .into_iter()
                .filter(|end| boundaries.iter().any(|begin| begin <= end && explains(*begin, *end)))
                .collect();
            assert!(
                !next.is_empty(),
                "{}, segment {number}, {}: connected between ledgers {} and {}, began after one of {boundaries:?}, got {:?}\nof {:?}",
                record.name,
                segment.filters,
                record.before,
                record.after,
                got.iter().map(|at| (self.ledgers[*at], *at)).collect::<Vec<_>>(),
                wanted.iter().map(|at| (self.ledgers[*at], *at)).collect::<Vec<_>>(),
            );
            boundaries = next;
        }
    }
}

/// Visitors come and go while the ledger goes on.
async fn visitors(workers: u32, count: usize) {
    let seed = seed();
    eprintln!("LEDGERCAST_SEED={seed}");
    let devnet = Devnet::start("5", 60);
    let server =
        Server::start(&settings_with(devnet.address, "{ max_queue_size: 10000 }", &format!("workers: {workers}")));
    let stream = reference(server.clients).await;
    grown(&stream, 120).await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..count {
        let name = format!("visitor {number} of seed {seed}");
        running.spawn(visitor(name, server.clients, devnet.address, seed ^ (number as u64) << 32, stream.clone()));
    }
    let mut records = running.join_all().await;
    // With several workers the first client's may be ahead of another's.
    if workers > 1 {
        records.iter_mut().for_each(|record| record.before = 0);
    }
    // Everything that the visitors got, the first client gets as well.
    let newest = records.iter().flat_map(|record| record.segments.iter().flat_map(|segment| &segment.events));
    let newest = newest.map(|text| Head::of(text).ledger).max().expect("events came");
    let wait = async {
        while last_ledger(&stream) <= newest {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the stream goes on");
    let truth = Truth::of(stream.lock().unwrap().clone());
    let mut events = 0;
    for record in &records {
        truth.judge(record);
        events += record.segments.iter().map(|segment| segment.events.len()).sum::<usize>();
    }
    assert!(events > 10 * count, "filters found something: {events}");
}

#[tokio::test]
async fn visitors_on_one_worker() {
    visitors(1, 40).await;
}

#[tokio::test]
async fn visitors_on_several_workers() {
    visitors(3, 60).await;
}

/// Before registration the newest `max_queue_size` events are kept, and what is not is counted.
#[tokio::test]
async fn late_registration_tells_what_was_dropped() {
    const KEPT: usize = 150;
    let devnet = Devnet::start("8", 60);
    let server = Server::start(&settings_with(devnet.address, "{ max_queue_size: 150 }", "workers: 1"));
    let stream = reference(server.clients).await;
    grown(&stream, 120).await;
    let mut clients = Vec::new();
    for extra in [0, 20, 200, 301, 500] {
        let before = last_ledger(&stream);
        let client = Client::connect(server.clients).await;
        clients.push((extra, before, devnet.latest(), stream.lock().unwrap().len(), client));
    }
    let mut seen = Vec::new();
    for (extra, before, after, then, mut client) in clients {
        grown(&stream, then + extra).await;
        let answer = client.registered(&json!({}), &mut Vec::new()).await;
        let dropped = answer.get("dropped").map_or(0, |count| count.as_u64().unwrap()) as usize;
        let mut events = Vec::new();
        while events.len() < KEPT + 200 {
            events.push(client.next_text().await);
        }
        seen.push((extra, before, after, dropped, events));
        client.close().await;
    }
    let length = stream.lock().unwrap().len();
    grown(&stream, length + 200).await;
    let truth = Truth::of(stream.lock().unwrap().clone());
    for (extra, before, after, dropped, events) in seen {
        let places = truth.places(&events);
        let begin = places[0];
        assert!(places.iter().zip(begin..).all(|(place, expected)| *place == expected), "all in a row");
        // Dropped and received add up to everything since the ledger at connecting.
        let opened = begin - dropped;
        let ledger = truth.ledgers[opened];
        assert_eq!(truth.values[opened]["type"], "ledger", "connected between two ledgers");
        assert!((before..=after + 1).contains(&ledger), "{before} {ledger} {after}");
        if dropped > 0 {
            // As many as are kept, up to the end of the ledger at registering.
            assert_eq!(truth.values[begin + KEPT]["type"], "ledger", "kept {KEPT} before the head");
        } else {
            assert!(extra < 400, "500 events later some are dropped");
        }
    }
}

/// More sessions than a worker serves in one slice, so that they come, change and leave while a
/// ledger is being taken round. Ledgers are in all their filters, so none may be missing.
#[tokio::test]
async fn a_crowd_changes_while_a_ledger_goes_round() {
    const CROWD: usize = 1300;
    let seed = seed();
    eprintln!("LEDGERCAST_SEED={seed}");
    crate::common::raise_open_files();
    let devnet = Devnet::start("4", 12);
    let server = Server::start(&settings_with(devnet.address, "{ max_queue_size: 10000 }", "workers: 1"));
    server.wait_ready();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..CROWD as u64 {
        let mut random = StdRng::seed_from_u64(seed ^ number << 32);
        let address = server.clients;
        running.spawn(async move {
            // All at once would be more than a handshake's patience on a busy machine.
            sleep(Duration::from_millis(number * 2)).await;
            let mut client = Client::connect(address).await;
            let mut texts = Vec::new();
            for _ in 0..random.random_range(2..5) {
                let others = ["payment", "trade", "transaction"];
                let types: Vec<&str> =
                    std::iter::once("ledger").chain(others.into_iter().filter(|_| random.random_ratio(1, 4))).collect();
                client.registered(&json!({"types": types}), &mut texts).await;
                let end = tokio::time::Instant::now() + Duration::from_millis(random.random_range(0..1500));
                while let Ok(got) = tokio::time::timeout_at(end, client.receive()).await {
                    let Got::Text(text) = got else { panic!("{got:?}") };
                    texts.push(text);
                }
            }
            // Some say goodbye, some are just gone.
            if random.random() {
                client.close().await;
            }
            texts
        });
    }
    let mut ledgers = 0;
    for texts in running.join_all().await {
        let mut last = 0;
        for event in texts.iter().map(|text| Head::of(text)) {
            if event.kind == "ledger" {
                assert!(last == 0 || event.ledger == last + 1, "seed {seed}: after {last}: {event:?}");
                (last, ledgers) = (event.ledger, ledgers + 1);
            }
            assert_eq!(event.ledger, last, "seed {seed}: {event:?}");
        }
    }
    assert!(ledgers > CROWD * 3, "{ledgers}");
    crate::common::wait_until("every session ends", || server.sessions() == 0);
}
