//! The PostgreSQL consumer on a stage: ledgers that no devnet makes go through real history into a real database, in
//! this process: odd values, reorganisations, resets, holes, what memory no longer has.

use crate::common::PATIENCE;
use crate::common::postgres::{Cluster, consumer as consumer_at, is_whole, one, rows};
use ledgercast::broker::{Backlog, BacklogRead, Find, Found, History, StreamEntry};
use ledgercast::config::load::parse;
use ledgercast::consumer::{self, Running, Stream};
use ledgercast::event::{
    Amount, Asset, AssetKeys, Body, Chain, Continuity, ContinuityKind, Event, EventKind, Hash, LedgerBatch,
    LedgerFacts, LedgerRef, Payment, Place, SourceNumber,
};
use ledgercast::server::metrics::Metrics;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio_postgres::Client;

/// The hash of a ledger on one of the chains that there are in a test.
fn hash(chain: u8, index: u64) -> Hash {
    let mut bytes = [chain; 32];
    bytes[..8].copy_from_slice(&index.to_be_bytes());
    bytes[8] = chain;
    // The first bytes tell chains apart, too.
    bytes[0] = chain;
    Hash(bytes)
}

fn event(kind: EventKind, id: String, sub: u64, body: Body) -> Event {
    Event {
        id: id.into(),
        kind,
        place: Place::new(0, kind, sub),
        transaction_hash: None,
        subjects: vec!["account:alice".into(), "account:bob".into()],
        assets: Vec::new(),
        body,
        native: None,
    }
}

fn payment(memo: &str, amount: &str) -> Payment {
    let asset = Asset { id: "T:I".into(), code: "T".into(), issuer: Some("I".into()), kind: "token", decimals: None };
    Payment {
        from: "alice".into(),
        to: "bob".into(),
        from_muxed_id: None,
        to_muxed_id: None,
        asset: Arc::new(asset),
        amount: Some(Amount::parse(amount).unwrap()),
        memo: Some(memo.into()),
        operation: None,
    }
}

/// A ledger of a chain with these payments; its parent is of the same chain.
fn ledger(chain: u8, index: u64, payments: Vec<Payment>) -> LedgerBatch {
    let facts = LedgerFacts { transaction_count: 1, successful_count: 1, operation_count: 1 };
    let mut events = vec![event(EventKind::Ledger, format!("{index}"), 0, Body::Ledger(facts))];
    for (number, body) in payments.into_iter().enumerate() {
        let id = format!("{index}-{number}");
        let mut event = event(EventKind::Payment, id, number as u64, Body::Payment(Box::new(body)));
        event.assets = vec![AssetKeys { keys: vec!["T".into(), "T:I".into()], amount: None }];
        events.push(event);
    }
    LedgerBatch {
        source: 0,
        network: "test".into(),
        epoch: 0,
        ledger: LedgerRef {
            index,
            hash: Some(hash(chain, index)),
            parent: Some(hash(chain, index - 1)),
            closed_at: 1_784_656_870 + index as i64,
        },
        continuity: None,
        events,
        native: None,
    }
}

fn plain(chain: u8, index: u64) -> LedgerBatch {
    ledger(chain, index, vec![payment("rent", "1.5")])
}

fn broken(batch: LedgerBatch, kind: ContinuityKind, from_ledger: u64, to_ledger: u64) -> LedgerBatch {
    let continuity = Some(Continuity { kind, from_ledger, to_ledger, reason: "so it was".to_owned() });
    LedgerBatch { continuity, ..batch }
}

/// Everything that was ever appended, from some sequence on.
#[derive(Default)]
struct Shelf {
    entries: Mutex<Vec<Arc<StreamEntry>>>,
    gone_through: u64,
    /// How often it was read.
    reads: AtomicUsize,
    /// It cannot be read.
    fails: bool,
}

impl Backlog for Shelf {
    fn read(&self, _: Arc<[SourceNumber]>, after: u64, _: usize, done: Box<dyn FnOnce(BacklogRead) + Send>) {
        let entries = self.entries.lock().unwrap().clone();
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.fails {
            return done(BacklogRead::Failed("the disk is gone".to_owned()));
        }
        // From another thread, as it will be.
        std::thread::spawn(move || {
            let next: Vec<_> = entries.into_iter().filter(|entry| entry.sequence > after).take(3).collect();
            done(if next.is_empty() { BacklogRead::End } else { BacklogRead::Entries(next) });
        });
    }

    fn find(&self, _: SourceNumber, what: Find, done: Box<dyn FnOnce(Found) + Send>) {
        let Find::Ledger { index, chain } = what else { return done(Found::Failed("not asked".to_owned())) };
        let entries = self.entries.lock().unwrap();
        let found = entries.iter().rev().find(|entry| entry.batch.ledger.index == index);
        done(match found {
            Some(entry) if matches!(chain, Chain::Hash(_)) && chain != Chain::of(&entry.batch) => {
                Found::OtherChain { last_common: None }
            }
            Some(entry) => Found::At(entry.sequence),
            None => Found::Gone { oldest_index: 0, oldest: 0 },
        });
    }

    fn gone_through(&self, _: SourceNumber) -> u64 {
        self.gone_through
    }
}

/// A history and its consumers.
struct Stage {
    history: Arc<History>,
    shelf: Option<Arc<Shelf>>,
    heads: watch::Sender<u64>,
    metrics: Arc<Metrics>,
    running: Vec<Running>,
}

impl Stage {
    /// With a history of so many plain ledgers at most.
    fn new(ledgers: usize, shelf: Option<Shelf>) -> Stage {
        let history = Arc::new(History::new(2, 0, ledgers * plain(1, 1).weight()));
        let (heads, _) = watch::channel(0);
        Stage { history, shelf: shelf.map(Arc::new), heads, metrics: Arc::default(), running: Vec::new() }
    }

    fn append(&self, batch: LedgerBatch) {
        let index = batch.ledger.index;
        let entry = self.history.append(batch, Instant::now()).unwrap_or_else(|| panic!("{index} is there already"));
        if let Some(shelf) = &self.shelf {
            shelf.entries.lock().unwrap().push(entry.clone());
        }
        self.heads.send_replace(entry.sequence);
    }

    /// Starts the consumers of this list.
    fn start(&mut self, consumers: &str) {
        let text = format!("sources: {{main: {{{SOURCE}}}, second: {{{SOURCE}}}}}\nconsumers:\n{consumers}");
        let config = parse("stage", &text).unwrap_or_else(|error| panic!("{error}"));
        let stream = Stream {
            history: self.history.clone(),
            backlog: self.shelf.clone().map(|shelf| shelf as Arc<dyn Backlog>),
            heads: self.heads.subscribe(),
        };
        self.running = consumer::start(&config, &stream, &self.metrics);
    }

    /// All that is there is written, then they end.
    async fn finish(&mut self) {
        for consumer in self.running.drain(..) {
            tokio::time::timeout(PATIENCE, consumer.finish()).await.expect("it ends");
        }
    }

    fn metric(&self, sample: &str) -> Option<f64> {
        let text = self.metrics.text(&[], 0).unwrap();
        text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
    }

    async fn until(&self, client: &Client, query: &str, expected: i64) {
        let end = Instant::now() + PATIENCE;
        loop {
            let found: i64 = client.query_one(query, &[]).await.map_or(-1, |row| row.get(0));
            if found == expected {
                return;
            }
            assert!(
                Instant::now() < end,
                "{query} gives {found}, not {expected}: {}",
                self.metrics.text(&[], 0).unwrap()
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

/// Runs on an actix system, as the server's consumers do.
fn staged(test: impl AsyncFnOnce(Cluster, Client)) {
    let Some(cluster) = Cluster::start() else { return };
    let _ = env_logger::builder().is_test(true).filter_level(log::LevelFilter::Info).try_init();
    actix::System::new().block_on(async {
        let client = cluster.client().await;
        test(cluster, client).await;
    });
}

const SOURCE: &str = "type: stellar_rpc, config: {rpc_url: 'http://127.0.0.1:1'}";
const NEWEST: &str = "select coalesce(max(ledger), 0) from ledgercast_ledgers";

async fn indexes(client: &Client, epoch: i32) -> Vec<i64> {
    let query = format!("select ledger from ledgercast_ledgers where epoch = {epoch} order by 1");
    rows(client, &query).await.iter().map(|row| row.get(0)).collect()
}

async fn gaps(client: &Client) -> Vec<(String, Option<i64>, Option<i64>)> {
    let found =
        rows(client, "select kind, from_ledger, to_ledger from ledgercast_gaps order by noted_at, before_ledger, kind")
            .await;
    found.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn gap(kind: &str, from: i64, to: Option<i64>) -> (String, Option<i64>, Option<i64>) {
    (kind.to_owned(), Some(from), to)
}

#[test]
fn every_value_is_kept_exactly() {
    staged(async |cluster, client| {
        let digits = "1234567890".repeat(8);
        let amounts = [
            "0".to_owned(),
            "0.5".to_owned(),
            "922337203685.4775807".to_owned(),
            "115792089237316195423570985008687907853269984665640564039457584007913129639935".to_owned(),
            format!("{}.{}", &digits[..78], &digits[..78]),
            format!("0.{}1", "0".repeat(77)),
            format!("1{}", "0".repeat(77)),
            "10000.0001".to_owned(),
            "99999999.99999999".to_owned(),
        ];
        let mut payments: Vec<Payment> = amounts.iter().map(|amount| payment("", amount)).collect();
        // What no text of PostgreSQL may hold.
        payments.push(payment("a\0b", "1"));
        payments.push(payment("quotes \" and \\u0000 and ü", "1"));
        let mut stage = Stage::new(100, None);
        let mut odd = ledger(1, 5, payments);
        odd.events[1].subjects.push(format!("account:{}", "x".repeat(5000)).into());
        odd.events[2].native = None;
        stage.append(odd);
        // Times outside of what a database knows.
        let mut late = plain(1, 6);
        late.ledger.closed_at = i64::MAX;
        stage.append(late);
        stage.start(&cluster.consumer("main", ""));
        stage.until(&client, NEWEST, 6).await;
        stage.finish().await;
        is_whole(&client, "ledgercast_").await;
        let found = rows(&client, "select amount::text, event->>'amount', event->>'memo' from ledgercast_events where ledger = 5 and kind = 'payment' order by sub_index").await;
        for (row, amount) in found.iter().zip(&amounts) {
            let (column, shown): (String, String) = (row.get(0), row.get(1));
            assert_eq!((&column, &shown), (amount, amount));
        }
        let memos: Vec<String> = found[amounts.len()..].iter().map(|row| row.get(2)).collect();
        assert_eq!(memos, ["a\u{fffd}b", "quotes \" and \\u0000 and ü"]);
        // Numbers are numbers: sums and order are exact.
        let sum: String =
            one(&client, "select sum(amount)::text from ledgercast_events where sub_index in (2, 3)").await;
        assert_eq!(sum, "115792089237316195423570985008687907853269984665640564039457584008835466843620.4775807");
        let parties: i64 = one(
            &client,
            "select count(*) from ledgercast_events where accounts @> array['bob'] and assets @> array['T:I']",
        )
        .await;
        assert_eq!(parties as usize, amounts.len() + 2 + 1);
    });
}

#[test]
fn breaks_are_rows_and_replaced_ledgers_go() {
    staged(async |cluster, client| {
        let mut stage = Stage::new(100, None);
        for index in 1..=6 {
            stage.append(plain(1, index));
        }
        stage.start(&cluster.consumer("main", ""));
        stage.until(&client, NEWEST, 6).await;
        // Two ledgers are replaced; ids are the same, memos are not.
        let mut replaced = broken(ledger(2, 5, vec![payment("new", "2")]), ContinuityKind::Reorg, 5, 6);
        replaced.ledger.parent = Some(hash(1, 4));
        stage.append(replaced);
        stage.until(&client, NEWEST, 5).await;
        stage.append(plain(2, 6));
        stage.append(broken(plain(2, 9), ContinuityKind::Gap, 7, 8));
        let reset = LedgerBatch { epoch: 1, ..broken(plain(3, 2), ContinuityKind::Reset, 1, 9) };
        stage.append(reset);
        stage.append(LedgerBatch { epoch: 1, ..plain(3, 3) });
        // A ledger that a journal could not keep.
        let mut hole = broken(plain(3, 5), ContinuityKind::Gap, 4, 5);
        (hole.epoch, hole.ledger.hash, hole.ledger.parent) = (1, None, None);
        hole.events.clear();
        stage.append(hole);
        stage.append(LedgerBatch { epoch: 1, ..plain(3, 6) });
        stage.finish().await;
        assert_eq!(indexes(&client, 0).await, [1, 2, 3, 4, 5, 6, 9]);
        assert_eq!(indexes(&client, 1).await, [2, 3, 6]);
        let told = [gap("reset", 1, Some(9)), gap("reorg", 5, Some(6)), gap("gap", 4, Some(5)), gap("gap", 7, Some(8))];
        let mut found = gaps(&client).await;
        let mut told = told.to_vec();
        found.sort();
        told.sort();
        assert_eq!(found, told);
        let memo: String = one(
            &client,
            "select event->>'memo' from ledgercast_events where epoch = 0 and ledger = 5 and kind = 'payment'",
        )
        .await;
        assert_eq!(memo, "new");
        is_whole(&client, "ledgercast_").await;
    });
}

/// Another life goes on where the rows end; what is not kept any more is told; other chains do not mix.
#[test]
fn the_place_is_found_again() {
    staged(async |cluster, client| {
        let consumers = cluster.consumer("main", "");
        let life = async |ledgers: usize, batches: Vec<LedgerBatch>, shelf: Option<Shelf>| {
            let mut stage = Stage::new(ledgers, shelf);
            batches.into_iter().for_each(|batch| stage.append(batch));
            stage.start(&consumers);
            // The end comes after all was written.
            let (newest, end) = (stage.history.newest(0).unwrap().batch.ledger.index as i64, Instant::now() + PATIENCE);
            let hash = stage.history.newest(0).unwrap().batch.ledger.hash.unwrap().to_string();
            loop {
                let query = "select count(*) from ledgercast_ledgers where ledger = $1 and hash = $2";
                if client.query_one(query, &[&newest, &hash]).await.is_ok_and(|row| row.get::<_, i64>(0) > 0) {
                    break;
                }
                assert!(Instant::now() < end, "{}", stage.metrics.text(&[], 0).unwrap());
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            stage.finish().await;
            stage
        };
        let range = |chain, from: u64, to: u64| (from..=to).map(move |index| plain(chain, index)).collect::<Vec<_>>();
        life(100, range(1, 1, 5), None).await;
        // Some of it again, then more: nothing twice.
        let stage = life(100, range(1, 3, 8), None).await;
        assert_eq!(
            stage.metric(r#"ledgercast_consumer_rows_written_total{consumer="postgres-0",table="ledgers"}"#),
            Some(3.0)
        );
        assert!(gaps(&client).await.is_empty());
        // From later on: what is between is told.
        life(100, range(1, 11, 12), None).await;
        assert_eq!(gaps(&client).await, [gap("missed", 9, Some(10))]);
        // Memory has about three of them; the backlog has the rest.
        life(3, range(1, 10, 30), Some(Shelf::default())).await;
        assert_eq!(gaps(&client).await.len(), 1);
        // Memory alone does not reach.
        let stage = life(3, range(1, 28, 50), None).await;
        let kept = stage.history.oldest(&[0]).sequence as i64 + 27;
        assert_eq!(gaps(&client).await[1], gap("missed", 31, Some(kept)));
        assert_eq!(stage.metric(r#"ledgercast_consumer_errors_total{consumer="postgres-0",kind="missed"}"#), Some(1.0));
        // The last was replaced while nobody looked: the parent tells.
        let mut first = plain(2, 50);
        first.ledger.parent = Some(hash(1, 49));
        life(100, vec![plain(1, 49), first, plain(2, 51)], None).await;
        assert_eq!(gaps(&client).await[2], gap("reorg", 50, None));
        assert_eq!(indexes(&client, 0).await.last(), Some(&51));
        // A chain that has nothing to do with it gets an epoch of its own, also from the beginning.
        life(100, range(7, 51, 53), None).await;
        life(100, range(7, 52, 54), None).await;
        assert_eq!(indexes(&client, 1).await, [51, 52, 53, 54]);
        // Nor has one that begins lower than all that is there.
        life(100, range(8, 2, 4), None).await;
        assert_eq!(indexes(&client, 1).await, [51, 52, 53, 54]);
        assert_eq!(indexes(&client, 2).await, [2, 3, 4]);
        // Rows that are ahead of the stream: it goes on after the newest that both have.
        client
            .batch_execute("delete from ledgercast_gaps; truncate ledgercast_ledgers, ledgercast_events")
            .await
            .unwrap();
        life(100, range(1, 8, 12), None).await;
        life(100, range(1, 5, 10), None).await;
        assert_eq!(indexes(&client, 0).await, (8..=12).collect::<Vec<_>>());
        is_whole(&client, "ledgercast_").await;
    });
}

/// The program died before its journal had what the database has, and old rows were deleted meanwhile: they do not come
/// back, nothing is taken for another chain, and the journal is not read from its beginning.
#[test]
fn rows_may_be_ahead_of_the_journal() {
    staged(async |cluster, client| {
        let consumers = cluster.consumer("main", "");
        let mut stage = Stage::new(100, None);
        (1..=90).for_each(|index| stage.append(plain(1, index)));
        stage.start(&consumers);
        stage.until(&client, NEWEST, 90).await;
        stage.finish().await;
        let served =
            "delete from ledgercast_events where ledger < 60; delete from ledgercast_ledgers where ledger < 60";
        client.batch_execute(served).await.unwrap();
        let mut stage = Stage::new(3, Some(Shelf::default()));
        (1..=86).for_each(|index| stage.append(plain(1, index)));
        stage.start(&consumers);
        // What the source reads anew is the same up to 88; the last two were replaced.
        (87..=88).for_each(|index| stage.append(plain(1, index)));
        let mut first = plain(2, 89);
        first.ledger.parent = Some(hash(1, 88));
        stage.append(first);
        (90..=92).for_each(|index| stage.append(plain(2, index)));
        stage.until(&client, NEWEST, 92).await;
        stage.finish().await;
        let epochs: i64 = one(&client, "select count(distinct epoch) from ledgercast_events").await;
        assert_eq!((epochs, indexes(&client, 0).await), (1, (60..=92).collect()));
        assert_eq!(gaps(&client).await, [gap("reorg", 89, None)]);
        let reads = stage.shelf.as_ref().unwrap().reads.load(Ordering::Relaxed);
        assert!(reads < 10, "{reads} pieces of the journal were read");
        is_whole(&client, "ledgercast_").await;
    });
}

/// Two sources that each read a part of one network into the same tables: one of them is left out, and that is told.
#[test]
fn parts_of_one_network_do_not_mix_in_silence() {
    staged(async |cluster, client| {
        let mut stage = Stage::new(100, None);
        for index in 1..=3 {
            stage.append(plain(1, index));
            stage.append(LedgerBatch { source: 1, ..ledger(1, index, Vec::new()) });
        }
        stage.start(&cluster.consumer("main, second", ""));
        stage.until(&client, NEWEST, 3).await;
        stage.append(plain(1, 4));
        stage.append(LedgerBatch { source: 1, ..ledger(1, 4, Vec::new()) });
        stage.until(&client, NEWEST, 4).await;
        stage.finish().await;
        let differs = stage.metric(r#"ledgercast_consumer_errors_total{consumer="postgres-0",kind="differs"}"#);
        assert!(differs.is_some_and(|times| times >= 1.0), "{differs:?}");
        is_whole(&client, "ledgercast_").await;
    });
}

/// What ails the journal of one source costs the rows of no other.
#[test]
fn one_source_fails_alone() {
    staged(async |cluster, client| {
        let mut stage = Stage::new(3, Some(Shelf { fails: true, ..Shelf::default() }));
        (1..=9).for_each(|index| stage.append(plain(1, index)));
        for index in 1..=2 {
            stage.append(LedgerBatch { source: 1, network: "other".into(), ..plain(1, index) });
        }
        stage.start(&cluster.consumer("main, second", ""));
        stage
            .until(&client, "select coalesce(max(ledger), 0) from ledgercast_ledgers where network = 'other'", 2)
            .await;
        let failed = r#"ledgercast_consumer_errors_total{consumer="postgres-0",kind="backlog"}"#;
        assert!(stage.metric(failed).is_some_and(|failed| failed > 0.0));
        stage.finish().await;
    });
}

/// The backend freezes in the middle of a transaction, with its locks; and a server that takes connections and never
/// says a word more.
#[test]
fn a_database_that_hangs_is_given_up() {
    staged(async |cluster, client| {
        let mut stage = Stage::new(1000, None);
        stage.append(plain(1, 1));
        stage.start(&cluster.consumer("main", "statement_timeout: 1s, connect_timeout: 1s"));
        stage.until(&client, NEWEST, 1).await;
        // The ledgers' rows are in, the events' wait for the table.
        let admin = cluster.client().await;
        admin.batch_execute("begin; lock table ledgercast_events in exclusive mode").await.unwrap();
        (2..=50).for_each(|index| stage.append(plain(1, index)));
        let waits = "select coalesce(max(pid), 0)::bigint from pg_stat_activity where application_name = 'ledgercast' \
                     and wait_event_type = 'Lock'";
        let end = Instant::now() + PATIENCE;
        let pid = loop {
            match one::<i64>(&client, waits).await {
                0 => assert!(Instant::now() < end),
                pid => break rustix::process::Pid::from_raw(pid as i32).unwrap(),
            }
        };
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        admin.batch_execute("rollback").await.unwrap();
        let up = r#"ledgercast_consumer_up{consumer="postgres-0"}"#;
        let wait_for = async |stage: &Stage, value: f64| {
            let end = Instant::now() + PATIENCE;
            while stage.metric(up) != Some(value) {
                assert!(Instant::now() < end, "{}", stage.metrics.text(&[], 0).unwrap());
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        wait_for(&stage, 0.0).await;
        (51..=60).for_each(|index| stage.append(plain(1, index)));
        tokio::time::sleep(Duration::from_secs(2)).await;
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        stage.until(&client, NEWEST, 60).await;
        wait_for(&stage, 1.0).await;
        stage.finish().await;
        assert!(gaps(&client).await.is_empty());
        assert_eq!(indexes(&client, 0).await, (1..=60).collect::<Vec<_>>());
        is_whole(&client, "ledgercast_").await;

        // No TLS, you are in, and that is all.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://me:x@{}/x\n", silent.local_addr().unwrap());
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut socket, _)) = silent.accept().await {
                let _ = socket.read(&mut [0; 64]).await;
                let _ = socket.write_all(b"N").await;
                let _ = socket.read(&mut [0; 512]).await;
                let _ = socket.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await;
                held.push(socket);
            }
        });
        let mut stage = Stage::new(100, None);
        stage.append(plain(1, 1));
        let file = cluster.write("silent", &url);
        stage.start(&consumer_at("main", &file, "connect_timeout: 1s"));
        let end = Instant::now() + PATIENCE;
        let told = r#"ledgercast_consumer_errors_total{consumer="postgres-0",kind="unreachable"}"#;
        while stage.metric(told).is_none() {
            assert!(Instant::now() < end, "nobody is told");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        stage.finish().await;
    });
}

/// A disk without room, and tables of the release before.
#[test]
fn no_room_and_older_tables() {
    staged(async |cluster, client| {
        let consumers = cluster.consumer("main", "");
        let mut stage = Stage::new(100, None);
        stage.append(plain(1, 1));
        stage.start(&consumers);
        stage.until(&client, NEWEST, 1).await;
        let full = "create function full_disk() returns trigger language plpgsql as $$ begin raise exception sqlstate \
                    '53100' using message = 'could not extend file: No space left on device'; end $$; \
                    create trigger full_disk before insert on ledgercast_events for each row execute function full_disk()";
        client.batch_execute(full).await.unwrap();
        (2..=5).for_each(|index| stage.append(plain(1, index)));
        let end = Instant::now() + PATIENCE;
        let told = r#"ledgercast_consumer_errors_total{consumer="postgres-0",kind="full"}"#;
        while stage.metric(told).is_none_or(|times| times < 2.0) {
            assert!(Instant::now() < end);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        assert_eq!(indexes(&client, 0).await, [1]);
        client.batch_execute("drop trigger full_disk on ledgercast_events").await.unwrap();
        stage.until(&client, NEWEST, 5).await;
        stage.finish().await;
        assert!(gaps(&client).await.is_empty());

        let older = "alter table ledgercast_events drop column cursor; \
                     delete from ledgercast_schema_version where version > 1";
        client.batch_execute(older).await.unwrap();
        let mut stage = Stage::new(100, None);
        (1..=8).for_each(|index| stage.append(plain(1, index)));
        // Two at a time want to change them.
        stage.start(&format!("{consumers}{consumers}"));
        stage.until(&client, NEWEST, 8).await;
        stage.finish().await;
        let with_cursor: i64 = one(&client, "select count(distinct cursor) from ledgercast_events").await;
        let versions: i64 = one(&client, "select count(*) from ledgercast_schema_version").await;
        assert_eq!((with_cursor, versions), (6, 2));
        is_whole(&client, "ledgercast_").await;
    });
}

/// Two that write the same tables at the same time, and one beside them with its own.
#[test]
fn several_consumers_and_nothing_twice() {
    staged(async |cluster, client| {
        let mut stage = Stage::new(1000, None);
        for index in 1..=200 {
            stage.append(plain(1, index));
        }
        let same = cluster.consumer("main", "batch_ledgers: 7");
        stage.start(&format!("{same}{same}{}", cluster.consumer("main", "table_prefix: own_, batch_ledgers: 11")));
        for index in 201..=260 {
            stage.append(plain(1, index));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stage.until(&client, NEWEST, 260).await;
        stage.until(&client, "select max(ledger) from own_ledgers", 260).await;
        stage.finish().await;
        for prefix in ["ledgercast_", "own_"] {
            is_whole(&client, prefix).await;
            assert_eq!(one::<i64>(&client, &format!("select count(*) from {prefix}ledgers")).await, 260);
            assert_eq!(one::<i64>(&client, &format!("select count(*) from {prefix}events")).await, 520);
            assert_eq!(one::<i64>(&client, &format!("select count(*) from {prefix}gaps")).await, 0);
        }
    });
}

/// A ledger that a rule of the database refuses is left out, and told; those around it are there.
#[test]
fn what_the_database_cannot_hold_is_told() {
    staged(async |cluster, client| {
        let mut stage = Stage::new(100, None);
        stage.append(plain(1, 1));
        stage.start(&cluster.consumer("main", ""));
        stage.until(&client, NEWEST, 1).await;
        // As a value would that we do not think of.
        let rule = "create function refuse() returns trigger language plpgsql as $$ begin if new.ledger = 4 then \
                    raise exception sqlstate '22000' using message = 'no fours'; end if; return new; end $$; \
                    create trigger refuse before insert on ledgercast_events for each row execute function refuse()";
        client.batch_execute(rule).await.unwrap();
        for index in 2..=8 {
            stage.append(plain(1, index));
        }
        stage.until(&client, NEWEST, 8).await;
        stage.finish().await;
        assert_eq!(indexes(&client, 0).await, [1, 2, 3, 5, 6, 7, 8]);
        assert_eq!(gaps(&client).await, [gap("unwritable", 4, Some(4))]);
        is_whole(&client, "ledgercast_").await;
    });
}
