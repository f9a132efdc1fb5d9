//! The PostgreSQL consumer on a stage: ledgers that no devnet makes go through real history into a real database, in
//! this process: odd values, reorganisations, resets, holes, what memory no longer has.

use crate::common::PATIENCE;
use crate::common::postgres::{Cluster, is_whole, one, rows};
use ledgercast::broker::{Backlog, BacklogRead, Find, Found, History, StreamEntry};
use ledgercast::config::load::parse;
use ledgercast::consumer::{self, Running, Stream};
use ledgercast::event::{
    Amount, Asset, AssetKeys, Body, Chain, Continuity, ContinuityKind, Event, EventKind, Hash, LedgerBatch,
    LedgerFacts, LedgerRef, Payment, Place, SourceNumber,
};
use ledgercast::server::metrics::Metrics;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
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
}

impl Backlog for Shelf {
    fn read(&self, _: Arc<[SourceNumber]>, after: u64, _: usize, done: Box<dyn FnOnce(BacklogRead) + Send>) {
        let entries = self.entries.lock().unwrap().clone();
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
        let history = Arc::new(History::new(1, 0, ledgers * plain(1, 1).weight()));
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
        let text = format!(
            "sources: {{main: {{type: stellar_rpc, config: {{rpc_url: 'http://127.0.0.1:1'}}}}}}\nconsumers:\n{consumers}"
        );
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
        // But what fills a hole among rows of its own chain is no other.
        client
            .batch_execute("delete from ledgercast_gaps; truncate ledgercast_ledgers, ledgercast_events")
            .await
            .unwrap();
        life(100, range(1, 8, 12), None).await;
        life(100, [range(1, 5, 9), vec![plain(1, 10)]].concat(), None).await;
        assert_eq!(indexes(&client, 0).await, (5..=12).collect::<Vec<_>>());
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
