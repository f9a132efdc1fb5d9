use super::*;
use crate::config::CatchUp;
use crate::config::units::{Size, Time};
use crate::devnet::planetmint::{Contents, Network};
use crate::event::{ContinuityKind, LedgerBatch};
use crate::source::planetmint::recordings;
use crate::source::settings::OnReset;
use crate::source::testing::{Got, Reply, Taker, serve, until};
use crate::source::{LedgerConfig, RpcUrl, Settings, SourceStatus, start};
use actix::Actor;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Mutex;

type Answers = Box<dyn Fn(&str) -> (u16, Value) + Send>;

/// A scripted node.
struct Node {
    /// The status and JSON of a path.
    answer: Answers,
    /// Paths that are not there, for a time.
    hidden: HashSet<String>,
    /// In BigchainDB's form.
    bigchaindb: bool,
    /// Answers given instead, one each, before it works.
    faults: Vec<Reply>,
    asked: Vec<String>,
}

type SharedNode = Arc<Mutex<Node>>;

impl Node {
    fn new(answer: impl Fn(&str) -> (u16, Value) + Send + 'static) -> SharedNode {
        let (hidden, faults, asked) = (HashSet::new(), Vec::new(), Vec::new());
        Arc::new(Mutex::new(Node { answer: Box::new(answer), hidden, bigchaindb: false, faults, asked }))
    }

    fn of(network: &Arc<Network>) -> SharedNode {
        Node::new(answers_of(network))
    }

    fn recorded() -> Option<SharedNode> {
        let paths = recordings::paths()?;
        let not_found = json!({ "message": "Not found", "status": 404 });
        Some(Node::new(move |path| paths.get(path).map_or((404, not_found.clone()), |value| (200, value.clone()))))
    }

    fn reply(&mut self, path: &str) -> Reply {
        self.asked.push(path.to_owned());
        if !self.faults.is_empty() {
            return self.faults.remove(0);
        }
        let html = || Reply::StatusBody(404, b"<!DOCTYPE HTML>".to_vec());
        if self.bigchaindb && path == "/api/v1/blocks/latest" {
            return html();
        }
        let (status, mut body) = match self.hidden.contains(path) {
            true => (404, json!({ "message": "Not found", "status": 404 })),
            false => (self.answer)(path),
        };
        if self.bigchaindb && body.get("transaction_ids").is_some() {
            let ids = body["transaction_ids"].as_array().unwrap().clone();
            let whole: Vec<Value> = ids
                .iter()
                .map(|id| (self.answer)(&format!("/api/v1/transactions/{}", id.as_str().unwrap())).1)
                .collect();
            body = json!({ "height": body["height"], "transactions": whole });
        }
        if body.is_null() { html() } else { Reply::StatusBody(status, body.to_string().into()) }
    }

    async fn serve(node: &SharedNode) -> String {
        let node = node.clone();
        serve(move |path, _| node.lock().unwrap().reply(path)).await
    }
}

fn answers_of(network: &Arc<Network>) -> impl Fn(&str) -> (u16, Value) + Send + 'static {
    let network = network.clone();
    move |path| {
        let answer = network.answer("GET", path, b"");
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
    }
}

/// A chain of so many blocks.
fn network(seed: u64, blocks: u64) -> Arc<Network> {
    let network = Arc::new(Network::new(seed, 5, Contents::Mixed { events: 9 }, 1000));
    (0..blocks).for_each(|block| network.close_next(1_700_000_000 + block));
    network
}

fn config(url: &str) -> ApiConfig {
    ApiConfig {
        rpc_url: Some(RpcUrl(url.to_owned())),
        start_ledger: StartLedger::Oldest,
        poll_interval: Time::millis(20),
        gap_after: Time::millis(1),
        gap_patience: Time::millis(1),
        requests_per_second: 100_000,
        timeout: Time::millis(500),
        ..ApiConfig::default()
    }
}

async fn opened(config: ApiConfig, checkpoint: Option<Checkpoint>) -> PlanetmintApi {
    let mut ledger = PlanetmintApi::new(config, Context { source: 3, status: SourceStatus::new(3, "test") });
    assert_eq!(&*ledger.identify().await.unwrap(), "planetmint");
    ledger.open(checkpoint).await.unwrap();
    ledger
}

/// What a poll brings: the height, or a word.
async fn poll(ledger: &mut PlanetmintApi) -> Result<LedgerBatch, &'static str> {
    // So that `gap_after` has passed.
    tokio::time::sleep(Duration::from_millis(3)).await;
    match ledger.next().await {
        Ok(Next::Batch(batch)) => Ok(*batch),
        Ok(Next::NotYet) => Err("not yet"),
        Err(error) => Err(error.kind()),
    }
}

async fn read(ledger: &mut PlanetmintApi, count: usize) -> Vec<LedgerBatch> {
    let mut batches = Vec::new();
    for _ in 0..count {
        batches.push(poll(ledger).await.unwrap());
    }
    batches
}

/// What of a batch must be the same by any way in.
fn told(batch: &LedgerBatch) -> (u64, Vec<String>) {
    (batch.ledger.index, batch.events.iter().map(|it| format!("{} {:?} {:?}", it.id, it.subjects, it.assets)).collect())
}

#[actix::test]
async fn recorded_blocks_in_both_forms() {
    let (Some(node), Some(expected)) = (Node::recorded(), recordings::batches()) else { return };
    let url = Node::serve(&node).await;
    for bigchaindb in [false, true] {
        node.lock().unwrap().bigchaindb = bigchaindb;
        let mut ledger = opened(config(&url), None).await;
        assert_eq!(ledger.newest(), Some(14), "searched where it is not told");
        let batches = read(&mut ledger, 14).await;
        assert_eq!(batches.iter().map(told).collect::<Vec<_>>(), expected.iter().map(told).collect::<Vec<_>>());
        assert_eq!(poll(&mut ledger).await.unwrap_err(), "not yet");
        let app_hash = |batch: &LedgerBatch| {
            let native = batch.native.as_ref().unwrap().get::<crate::source::planetmint::native::Block>().unwrap();
            assert!(bigchaindb || native.time_received || batch.ledger.closed_at == 1_700_000_000);
            native.app_hash.clone()
        };
        for (batch, expected) in batches.iter().zip(&expected) {
            assert_eq!(app_hash(batch), if bigchaindb { "".into() } else { app_hash(expected) });
        }
    }
}

#[actix::test]
async fn where_a_source_begins() {
    let network = network(1, 40);
    let node = Node::of(&network);
    let url = Node::serve(&node).await;
    for bigchaindb in [false, true] {
        node.lock().unwrap().bigchaindb = bigchaindb;
        for (start_ledger, due) in [
            (StartLedger::Latest, 40),
            (StartLedger::Oldest, 1),
            (StartLedger::Number(7), 7),
            (StartLedger::Number(90), 90),
        ] {
            let ledger = opened(ApiConfig { start_ledger, ..config(&url) }, None).await;
            assert_eq!((ledger.due(), ledger.newest()), (Some(due), Some(40)));
        }
    }
    // Idle, one question for each poll.
    let mut ledger =
        opened(ApiConfig { start_ledger: StartLedger::Latest, gap_after: Time::secs(30), ..config(&url) }, None).await;
    node.lock().unwrap().bigchaindb = false;
    read(&mut ledger, 1).await;
    node.lock().unwrap().asked.clear();
    for _ in 0..3 {
        assert_eq!(poll(&mut ledger).await.unwrap_err(), "not yet");
    }
    assert_eq!(node.lock().unwrap().asked, ["/api/v1/blocks/41"; 3]);
}

#[actix::test]
async fn a_late_block_is_waited_for() {
    let network = network(1, 5);
    let node = Node::of(&network);
    let mut ledger = opened(config(&Node::serve(&node).await), None).await;
    read(&mut ledger, 2).await;
    node.lock().unwrap().hidden.insert("/api/v1/blocks/3".into());
    // It was there a moment ago, but is asked for anew after an error.
    ledger.ahead = None;
    let mut words = Vec::new();
    for _ in 0..6 {
        words.push(poll(&mut ledger).await.unwrap_err());
    }
    assert_eq!((words[0], words[5]), ("not yet", "held"), "{words:?}");
    node.lock().unwrap().hidden.clear();
    let rest = read(&mut ledger, 3).await;
    assert_eq!(rest.iter().map(|batch| batch.ledger.index).collect::<Vec<_>>(), [3, 4, 5]);
    assert!(rest.iter().all(|batch| batch.continuity.is_none()));
}

#[actix::test]
async fn a_gap_is_announced_where_that_is_wished() {
    let network = network(1, 9);
    let node = Node::of(&network);
    let url = Node::serve(&node).await;
    let mut ledger = opened(ApiConfig { on_gap: OnGap::Announce, ..config(&url) }, None).await;
    node.lock().unwrap().hidden.extend([3, 4, 5].map(|height| format!("/api/v1/blocks/{height}")));
    read(&mut ledger, 2).await;
    let mut next = poll(&mut ledger).await;
    for _ in 0..20 {
        if next.is_ok() {
            break;
        }
        assert_eq!(next.unwrap_err(), "not yet");
        next = poll(&mut ledger).await;
    }
    let next = next.unwrap();
    let gap = next.continuity.unwrap();
    assert_eq!((gap.kind, gap.from_ledger, gap.to_ledger, next.ledger.index), (ContinuityKind::Gap, 3, 5, 6));
    assert!(read(&mut ledger, 3).await.iter().all(|batch| batch.continuity.is_none()));
}

#[actix::test]
async fn a_block_comes_whole_or_not_at_all() {
    let network = network(1, 4);
    let node = Node::of(&network);
    let url = Node::serve(&node).await;
    let block = (node.lock().unwrap().answer)("/api/v1/blocks/2").1;
    let last = format!(
        "/api/v1/transactions/{}",
        block["transaction_ids"].as_array().unwrap().last().unwrap().as_str().unwrap()
    );
    for (on_gap, then) in [(OnGap::Wait, 2), (OnGap::Announce, 3)] {
        let mut ledger = opened(ApiConfig { on_gap, ..config(&url) }, None).await;
        read(&mut ledger, 1).await;
        node.lock().unwrap().hidden.insert(last.clone());
        for _ in 0..2 {
            assert_eq!(poll(&mut ledger).await.unwrap_err(), "malformed");
        }
        if on_gap == OnGap::Wait {
            node.lock().unwrap().hidden.clear();
        }
        let next = read(&mut ledger, 1).await.remove(0);
        assert_eq!(next.ledger.index, then);
        let gap = next.continuity.map(|gap| (gap.from_ledger, gap.to_ledger));
        assert_eq!(gap, (on_gap == OnGap::Announce).then_some((2, 2)));
    }
}

#[actix::test]
async fn a_shorter_chain_is_another_one() {
    let (old, new) = (network(1, 9), network(2, 3));
    let node = Node::of(&old);
    let url = Node::serve(&node).await;
    for on_reset in [OnReset::Stop, OnReset::Continue] {
        node.lock().unwrap().answer = Box::new(answers_of(&old));
        let mut ledger = opened(ApiConfig { on_reset, ..config(&url) }, None).await;
        read(&mut ledger, 9).await;
        node.lock().unwrap().answer = Box::new(answers_of(&new));
        let mut next = poll(&mut ledger).await;
        for _ in 0..20 {
            if !matches!(next, Err("not yet")) {
                break;
            }
            next = poll(&mut ledger).await;
        }
        if on_reset == OnReset::Stop {
            assert_eq!(next.unwrap_err(), "held");
            // Also when it has grown past ours.
            node.lock().unwrap().answer = Box::new(answers_of(&old));
            assert_eq!(poll(&mut ledger).await.unwrap_err(), "held");
            continue;
        }
        let next = next.unwrap();
        let reset = next.continuity.unwrap();
        assert_eq!((reset.kind, reset.to_ledger, next.epoch, next.ledger.index), (ContinuityKind::Reset, 9, 1, 1));
    }
}

#[actix::test]
async fn a_gateway_and_an_empty_node_are_no_new_chain() {
    let network = network(1, 3);
    let node = Node::of(&network);
    let url = Node::serve(&node).await;
    let mut ledger = opened(ApiConfig { on_reset: OnReset::Continue, ..config(&url) }, None).await;
    read(&mut ledger, 3).await;
    let checkpoint =
        Checkpoint { network: "planetmint".into(), epoch: 0, ledger: 3, hash: None, counters: ledger.counters() };
    for (body, kind) in [
        (json!({ "message": "no Route matched with those values" }), "http_status"),
        (json!({ "message": "Not found", "status": 503 }), "http_status"),
        (json!({ "message": "Block not found", "status": 404 }), "http_status"),
        (json!({}), "http_status"),
        // As a node without blocks says it.
        (json!({ "message": "Not found", "status": 404 }), "malformed"),
    ] {
        let told = body.clone();
        node.lock().unwrap().answer = Box::new(move |_| (404, told.clone()));
        let mut kinds = Vec::new();
        for _ in 0..6 {
            kinds.push(poll(&mut ledger).await.unwrap_err());
        }
        assert!(kinds.contains(&kind) && kinds.iter().all(|it| [kind, "not yet"].contains(it)), "{body}: {kinds:?}");
        let mut again = PlanetmintApi::new(config(&url), Context { source: 3, status: SourceStatus::new(3, "test") });
        assert_eq!(again.open(Some(checkpoint.clone())).await.unwrap_err().kind(), kind, "{body}");
    }
    node.lock().unwrap().answer = Box::new(answers_of(&network));
    network.close_next(1_700_000_100);
    let next = read(&mut ledger, 1).await.remove(0);
    assert_eq!((next.ledger.index, next.continuity, next.epoch), (4, None, 0));
}

#[actix::test]
async fn a_gateway_hides_no_transaction() {
    let network = network(1, 1);
    let node = Node::of(&network);
    let url = Node::serve(&node).await;
    let mut ledger = opened(ApiConfig { on_gap: OnGap::Announce, ..config(&url) }, None).await;
    let real = answers_of(&network);
    node.lock().unwrap().answer =
        Box::new(
            move |path| {
                if path.contains("/transactions/") { (404, json!({ "message": "no route" })) } else { real(path) }
            },
        );
    for _ in 0..3 {
        assert_eq!(poll(&mut ledger).await.unwrap_err(), "http_status");
    }
    node.lock().unwrap().answer = Box::new(answers_of(&network));
    assert_eq!(read(&mut ledger, 1).await[0].ledger.index, 1);
}

#[test]
fn the_same_block_by_any_node() {
    let id = "a".repeat(64);
    let digest = |text: String| serde_json::from_str::<Block>(&text).unwrap().digest();
    let whole = |transaction: String| digest(format!(r#"{{"height":7,"transactions":[{transaction}]}}"#));
    let one = whole(format!(r#"{{"id":"{id}","operation":"VOTE"}}"#));
    assert_eq!(one, whole(format!(r#"{{ "operation": "VOTE", "id": "{id}" }}"#)));
    assert_eq!(one, digest(format!(r#"{{"transaction_ids":["{id}"],"height":7,"app_hash":""}}"#)));
    assert_ne!(one, digest(format!(r#"{{"transaction_ids":["{id}"],"height":8}}"#)));
    assert_ne!(one, whole(format!(r#"{{"id":"{}","operation":"VOTE"}}"#, "b".repeat(64))));
    let empty = |app_hash: &str| digest(format!(r#"{{"transaction_ids":[],"height":7,"app_hash":"{app_hash}"}}"#));
    assert_ne!(empty("aa"), empty("bb"));
}

#[actix::test]
async fn another_chain_is_known_by_the_last_block() {
    let (old, new) = (network(1, 5), network(2, 9));
    let node = Node::of(&old);
    let url = Node::serve(&node).await;
    let settings = ApiConfig { on_reset: OnReset::Continue, ..config(&url) };
    let mut ledger = opened(settings.clone(), None).await;
    read(&mut ledger, 5).await;
    let checkpoint =
        Checkpoint { network: "planetmint".into(), epoch: 0, ledger: 5, hash: None, counters: ledger.counters() };
    // The same chain goes on after a restart.
    old.close_next(1_700_000_100);
    let mut again = opened(settings.clone(), Some(checkpoint.clone())).await;
    assert_eq!(read(&mut again, 1).await[0].ledger.index, 6);
    // Another one does not, neither after a restart nor after a connection that broke.
    node.lock().unwrap().answer = Box::new(answers_of(&new));
    let mut again = opened(settings, Some(checkpoint)).await;
    assert_eq!(poll(&mut again).await.unwrap_err(), "discontinuity");
    node.lock().unwrap().faults = vec![Reply::Cut];
    assert_eq!(poll(&mut ledger).await.unwrap_err(), "transport");
    assert_eq!(poll(&mut ledger).await.unwrap_err(), "discontinuity");
    let next = poll(&mut ledger).await.unwrap();
    assert_eq!((next.continuity.unwrap().kind, next.epoch), (ContinuityKind::Reset, 1));
}

#[actix::test]
async fn faults_delay_and_lose_nothing() {
    let network = network(1, 6);
    let node = Node::of(&network);
    let url = Node::serve(&node).await;
    let cut_off = {
        let whole = (node.lock().unwrap().answer)("/api/v1/blocks/1").1.to_string();
        whole[..whole.len() / 2].to_owned()
    };
    node.lock().unwrap().faults = vec![
        Reply::Cut,
        Reply::Status(503, "retry-after: 0\r\n"),
        Reply::Body(b"<html>".to_vec()),
        Reply::StatusBody(404, b"<html>".to_vec()),
        Reply::Body(cut_off.into()),
    ];
    let got = Got::default();
    let settings = Settings {
        number: 3,
        name: "test".into(),
        ledger: LedgerConfig::PlanetmintApi(ApiConfig { gap_after: Time::secs(30), ..config(&url) }),
        journal: None,
        catch_up: CatchUp { bytes: Size::mib(1000), ledgers: 1000 },
    };
    let source = start(settings, Taker { got: got.clone(), delay: Duration::ZERO, state: None }.start().recipient());
    let heights = || got.lock().unwrap().iter().map(|batch| batch.ledger.index).collect::<Vec<_>>();
    until("block 6", || heights().last() == Some(&6)).await;
    node.lock().unwrap().faults = vec![
        Reply::Silence,
        Reply::Body(br#"{"height":1,"app_hash":"","transaction_ids":[]}"#.to_vec()),
        Reply::Status(500, ""),
    ];
    until("a timeout", || source.status.snapshot().errors.contains_key("timeout")).await;
    network.close_next(1_700_000_100);
    until("block 7", || heights().last() == Some(&7)).await;
    assert_eq!(heights(), [1, 2, 3, 4, 5, 6, 7]);
    assert!(got.lock().unwrap().iter().all(|batch| batch.events.len() == 9 && batch.continuity.is_none()));
    source.stop().await;
}

#[actix::test]
async fn another_node_takes_over() {
    let network = network(1, 6);
    let (one, other) = (Node::of(&network), Node::of(&network));
    let urls = vec![RpcUrl(Node::serve(&one).await), RpcUrl(Node::serve(&other).await)];
    let mut ledger = opened(ApiConfig { rpc_url: None, rpc_urls: urls, ..config("") }, None).await;
    read(&mut ledger, 2).await;
    one.lock().unwrap().faults = (0..100).map(|_| Reply::Status(500, "")).collect();
    ledger.ahead = None;
    assert_eq!(poll(&mut ledger).await.unwrap_err(), "http_status");
    let rest: Vec<u64> = read(&mut ledger, 4).await.iter().map(|batch| batch.ledger.index).collect();
    assert_eq!(rest, [3, 4, 5, 6]);
    // Before it delivered anything it was looked at: its last block is ours.
    assert_eq!(other.lock().unwrap().asked[0], "/api/v1/blocks/2");
}

#[actix::test]
async fn answers_are_hostile_until_proven() {
    let network = network(1, 1);
    let node = Node::of(&network);
    let url = Node::serve(&node).await;
    let mut ledger = opened(ApiConfig { gap_after: Time::secs(30), ..config(&url) }, None).await;
    let deep = format!(r#"{{"height":1,"transactions":[{}{}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "null",
        "[]",
        "{}",
        r#"{"height":"1","transaction_ids":[]}"#,
        r#"{"height":2,"transaction_ids":[]}"#,
        r#"{"height":-1,"transaction_ids":[]}"#,
        r#"{"height":1}"#,
        r#"{"height":1,"transaction_ids":[1]}"#,
        r#"{"height":1,"transaction_ids":["../../admin"]}"#,
        r#"{"height":1,"transactions":[{}]}"#,
        r#"{"height":1,"transactions":["x"]}"#,
        &deep,
    ] {
        node.lock().unwrap().faults = vec![Reply::Body(body.into())];
        assert_eq!(poll(&mut ledger).await.unwrap_err(), "malformed", "{body:.80}");
    }
    assert!(!node.lock().unwrap().asked.iter().any(|path| path.contains("admin")));
    // A transaction other than the one that was asked for.
    let id = (node.lock().unwrap().answer)("/api/v1/blocks/1").1["transaction_ids"][0].as_str().unwrap().to_owned();
    let other = json!({ "id": "a".repeat(64), "operation": "VOTE" });
    let real = answers_of(&network);
    node.lock().unwrap().answer =
        Box::new(move |path| if path.ends_with(&id) { (200, other.clone()) } else { real(path) });
    assert_eq!(poll(&mut ledger).await.unwrap_err(), "malformed");
    node.lock().unwrap().answer = Box::new(answers_of(&network));
    assert_eq!(poll(&mut ledger).await.unwrap().ledger.index, 1);
}
