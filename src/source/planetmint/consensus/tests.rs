use super::*;
use crate::config::units::Time;
use crate::devnet::planetmint::{Contents, Network};
use crate::event::{ContinuityKind, LedgerBatch};
use crate::source::planetmint::config::ApiConfig;
use crate::source::planetmint::{PlanetmintApi, native, recordings};
use crate::source::settings::{OnGap, OnReset};
use crate::source::testing::{Reply, serve};
use crate::source::{RpcUrl, SourceStatus};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;

/// What a scripted RPC serves, and answers given instead, one each, before it works.
struct Script {
    network: Arc<Network>,
    faults: Vec<Reply>,
    /// Answers of single paths given instead.
    instead: HashMap<String, Value>,
}

type Shared = Arc<Mutex<Script>>;

fn network(seed: u64, blocks: u64, retention: u32) -> Arc<Network> {
    let network = Arc::new(Network::new(seed, 5, Contents::Mixed { events: 10 }, retention));
    (0..blocks).for_each(|block| network.close_next(1_700_000_000 + block));
    network
}

async fn scripted(network: &Arc<Network>) -> (Shared, String) {
    let script = Arc::new(Mutex::new(Script { network: network.clone(), faults: Vec::new(), instead: HashMap::new() }));
    let serving = script.clone();
    let url = serve(move |path, _| {
        let mut script = serving.lock().unwrap();
        if !script.faults.is_empty() {
            return script.faults.remove(0);
        }
        if let Some(instead) = script.instead.get(path) {
            return Reply::Body(instead.to_string().into());
        }
        let answer = script.network.answer("GET", path, b"");
        Reply::StatusBody(answer.status, answer.body.into())
    });
    (script, url.await)
}

fn config(url: &str) -> RpcConfig {
    RpcConfig {
        rpc_url: Some(RpcUrl(url.to_owned())),
        start_ledger: StartLedger::Oldest,
        reset_after: Time::millis(1),
        timeout: Time::millis(500),
        ..RpcConfig::default()
    }
}

fn context() -> Context {
    Context { source: 3, status: SourceStatus::new(3, "test") }
}

async fn opened(config: RpcConfig) -> TendermintRpc {
    let mut ledger = TendermintRpc::new(config, context());
    assert_eq!(&*ledger.identify().await.unwrap(), "ledgercast-planetmint");
    ledger.open(None).await.unwrap();
    ledger
}

async fn poll(ledger: &mut impl Ledger) -> Result<LedgerBatch, &'static str> {
    match ledger.next().await {
        Ok(Next::Batch(batch)) => Ok(*batch),
        Ok(Next::NotYet) => Err("not yet"),
        Err(error) => Err(error.kind()),
    }
}

/// Polls until something else than `not yet` comes.
async fn patient(ledger: &mut TendermintRpc) -> Result<LedgerBatch, &'static str> {
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        match poll(ledger).await {
            Err("not yet") => {}
            other => return other,
        }
    }
    Err("never")
}

fn app_hash(batch: &LedgerBatch) -> &str {
    &batch.native.as_ref().unwrap().get::<native::Block>().unwrap().app_hash
}

#[actix::test]
async fn both_ways_in_give_the_same() {
    let network = network(1, 30, 1000);
    let (_, url) = scripted(&network).await;
    let mut by_rpc = opened(config(&url)).await;
    let settings = ApiConfig { rpc_url: Some(RpcUrl(url)), start_ledger: StartLedger::Oldest, ..ApiConfig::default() };
    let mut by_api = PlanetmintApi::new(settings, context());
    by_api.open(None).await.unwrap();
    let mut rejected = 0;
    for height in 1..=30 {
        let (one, other) = (poll(&mut by_rpc).await.unwrap(), poll(&mut by_api).await.unwrap());
        let told = |batch: &LedgerBatch| {
            let event = |event: &crate::event::Event| {
                let native = event.native.as_ref().and_then(|native| native.get::<native::Transaction>()).cloned();
                let subjects: Vec<String> = event.subjects.iter().map(|key| key.to_string()).collect();
                (event.id.clone(), event.place, event.transaction_hash, subjects, event.assets.clone(), native)
            };
            (batch.ledger.index, batch.events.iter().map(event).collect::<Vec<_>>())
        };
        assert_eq!(told(&one), told(&other));
        assert_eq!(app_hash(&one), app_hash(&other), "block {height}");
        assert_eq!((one.events.len(), one.ledger.closed_at), (10, 1_700_000_000 + height - 1));
        assert!(one.ledger.hash.is_some() && (height == 1 || one.ledger.parent.is_some()));
        let crate::event::Body::Ledger(facts) = one.events[0].body else { panic!() };
        rejected += facts.transaction_count - facts.successful_count;
    }
    assert!(rejected > 0, "some were rejected and are nowhere but in the count");
    assert_eq!(poll(&mut by_rpc).await.unwrap_err(), "not yet");
    network.close_next(1_700_000_100);
    assert_eq!(poll(&mut by_rpc).await.unwrap().ledger.index, 31);
}

#[actix::test]
async fn faults_delay_and_lose_nothing() {
    let network = network(1, 3, 1000);
    let (script, url) = scripted(&network).await;
    let mut ledger = opened(config(&url)).await;
    let error = br#"{"jsonrpc":"2.0","id":-1,"error":{"code":-32603,"message":"Internal error","data":"could not find results for height #1"}}"#;
    for (fault, kind) in [
        (Reply::Cut, "transport"),
        (Reply::Silence, "timeout"),
        (Reply::Status(502, ""), "http_status"),
        (Reply::StatusBody(500, error.to_vec()), "rpc"),
        (Reply::Body(error.to_vec()), "rpc"),
        (Reply::Body(b"<html>".to_vec()), "malformed"),
        (Reply::Body(br#"{"jsonrpc":"2.0","id":-1}"#.to_vec()), "malformed"),
        (Reply::Body(br#"{"jsonrpc":"2.0","id":-1,"result":{"block":null}}"#.to_vec()), "malformed"),
    ] {
        script.lock().unwrap().faults = vec![fault];
        assert_eq!(poll(&mut ledger).await.unwrap_err(), kind);
    }
    for height in 1..=3 {
        assert_eq!(poll(&mut ledger).await.unwrap().ledger.index, height);
    }
}

#[actix::test]
async fn the_newest_block_may_lack_its_results_for_a_moment() {
    let network = network(1, 1, 1000);
    let (script, url) = scripted(&network).await;
    let mut ledger = opened(config(&url)).await;
    let path = "/block_results?height=1";
    let error = json!({ "jsonrpc": "2.0", "id": -1, "error": { "code": -32603, "message": "no results" } });
    script.lock().unwrap().instead.insert(path.to_owned(), error);
    for _ in 0..UNSETTLED {
        assert_eq!(poll(&mut ledger).await.unwrap_err(), "not yet");
    }
    assert_eq!(poll(&mut ledger).await.unwrap_err(), "rpc");
    script.lock().unwrap().instead.clear();
    assert_eq!(poll(&mut ledger).await.unwrap().ledger.index, 1);
}

#[actix::test]
async fn the_application_may_not_have_committed_the_newest_block() {
    let network = network(1, 1, 1000);
    let (script, url) = scripted(&network).await;
    let mut ledger = opened(config(&url)).await;
    let answer = |height: Value| json!({ "result": { "response": { "last_block_height": height } } });
    let say = |value: Value| script.lock().unwrap().instead.insert("/abci_info".to_owned(), value);
    for round in 0..UNSETTLED {
        say(if round % 2 == 0 { answer(json!("0")) } else { json!({ "result": { "response": {} } }) });
        assert_eq!(poll(&mut ledger).await.unwrap_err(), "not yet");
    }
    assert_eq!(poll(&mut ledger).await.unwrap_err(), "malformed");
    say(json!({ "error": { "code": -32603, "message": "down" } }));
    assert_eq!(poll(&mut ledger).await.unwrap_err(), "rpc");
    // It says that the chain went on, and the rpc has no such block.
    say(answer(json!("2")));
    assert_eq!(poll(&mut ledger).await.unwrap_err(), "rpc");
    script.lock().unwrap().instead.clear();
    let batch = poll(&mut ledger).await.unwrap();
    assert!(batch.ledger.index == 1 && !app_hash(&batch).is_empty());
}

#[actix::test]
async fn a_block_that_cannot_be_told_is_announced_where_that_is_wished() {
    let network = network(1, 3, 1000);
    let (script, url) = scripted(&network).await;
    let id = "a".repeat(64);
    let answer = |path: &str| -> Value { serde_json::from_str(&network.answer("GET", path, b"").body).unwrap() };
    let put = |height: u64, text: &str| {
        use base64::Engine;
        let (block, results) = (format!("/block?height={height}"), format!("/block_results?height={height}"));
        let (mut changed, mut outcomes) = (answer(&block), answer(&results));
        changed["result"]["block"]["data"]["txs"] =
            json!([base64::engine::general_purpose::STANDARD.encode(text.as_bytes())]);
        outcomes["result"]["txs_results"] = json!([{}]);
        script.lock().unwrap().instead.extend([(block, changed), (results, outcomes)]);
    };
    // Nobody can read the second, and of the third only the id.
    put(2, "foo=bar");
    put(3, &json!({ "id": id, "operation": 7 }).to_string());
    for (on_gap, patience) in
        [(OnGap::Announce, Time::millis(1)), (OnGap::Announce, Time::secs(600)), (OnGap::Wait, Time::millis(1))]
    {
        let mut ledger = opened(RpcConfig { on_gap, gap_patience: patience, ..config(&url) }).await;
        assert_eq!(poll(&mut ledger).await.unwrap().ledger.index, 1);
        assert_eq!(poll(&mut ledger).await.unwrap_err(), "malformed");
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(poll(&mut ledger).await.unwrap_err(), "malformed");
        let next = poll(&mut ledger).await;
        if on_gap == OnGap::Wait || patience != Time::millis(1) {
            assert_eq!((next.unwrap_err(), ledger.due()), ("malformed", Some(2)));
            continue;
        }
        let next = next.unwrap();
        let gap = next.continuity.unwrap();
        assert_eq!((gap.kind, gap.from_ledger, gap.to_ledger, next.ledger.index), (ContinuityKind::Gap, 2, 2, 3));
        assert_eq!((next.events.len(), &*next.events[1].id), (2, &*id));
    }
}

#[actix::test]
async fn what_is_no_longer_kept() {
    let network = network(1, 5, 10);
    let (_, url) = scripted(&network).await;
    let mut waits = opened(config(&url)).await;
    let mut announces = opened(RpcConfig { on_gap: OnGap::Announce, ..config(&url) }).await;
    assert_eq!(poll(&mut waits).await.unwrap().ledger.index, 1);
    assert_eq!(poll(&mut announces).await.unwrap().ledger.index, 1);
    (0..20).for_each(|block| network.close_next(1_700_000_100 + block));
    // What was fetched ahead or believed to be there is no longer.
    (waits.newest, waits.ahead, announces.newest, announces.ahead) = (0, None, 0, None);
    assert_eq!(patient(&mut waits).await.unwrap_err(), "held");
    let next = patient(&mut announces).await.unwrap();
    let gap = next.continuity.unwrap();
    assert_eq!((gap.kind, gap.from_ledger, gap.to_ledger, next.ledger.index), (ContinuityKind::Gap, 2, 15, 16));
    assert_eq!(poll(&mut announces).await.unwrap().continuity, None);
    // A start that is no longer kept begins at the oldest, and misses nothing that anybody waits for.
    let mut late = opened(RpcConfig { start_ledger: StartLedger::Number(3), ..config(&url) }).await;
    let first = poll(&mut late).await.unwrap();
    assert_eq!((first.ledger.index, first.continuity), (16, None));
}

#[actix::test]
async fn another_chain_is_no_continuation() {
    for (blocks, on_reset) in [(3, OnReset::Continue), (9, OnReset::Continue), (3, OnReset::Stop), (9, OnReset::Stop)] {
        let (script, url) = scripted(&network(1, 5, 1000)).await;
        let mut ledger = opened(RpcConfig { on_reset, ..config(&url) }).await;
        for _ in 0..5 {
            poll(&mut ledger).await.unwrap();
        }
        script.lock().unwrap().network = network(2, blocks, 1000);
        let mut next = patient(&mut ledger).await;
        if blocks > 5 {
            assert_eq!(next.unwrap_err(), "discontinuity");
            next = patient(&mut ledger).await;
        }
        if on_reset == OnReset::Stop {
            assert_eq!(next.unwrap_err(), "held");
            assert_eq!(poll(&mut ledger).await.unwrap_err(), "held");
            continue;
        }
        let next = next.unwrap();
        assert_eq!((next.continuity.unwrap().kind, next.epoch), (ContinuityKind::Reset, 1));
    }
}

#[actix::test]
async fn the_wrong_chain_is_refused() {
    let (_, url) = scripted(&network(1, 2, 1000)).await;
    let mut ledger = TendermintRpc::new(RpcConfig { chain_id: Some("another".into()), ..config(&url) }, context());
    assert_eq!(ledger.identify().await.unwrap_err().kind(), "wrong_network");
}

#[actix::test]
async fn results_must_fit_the_transactions() {
    let network = network(1, 2, 1000);
    let (script, url) = scripted(&network).await;
    let mut ledger = opened(config(&url)).await;
    let answer = |path: &str| -> Value { serde_json::from_str(&network.answer("GET", path, b"").body).unwrap() };
    let (block, results) = ("/block?height=1", "/block_results?height=1");
    let mut changed = answer(results);
    changed["result"]["txs_results"] = Value::Null;
    script.lock().unwrap().instead.insert(results.to_owned(), changed.clone());
    assert_eq!(poll(&mut ledger).await.unwrap_err(), "malformed", "transactions without results");
    let mut other = answer(block);
    other["result"]["block"]["data"]["txs"] = json!(["Zm9vPWJhcg=="]);
    script.lock().unwrap().instead.insert(block.to_owned(), other.clone());
    for (outcomes, fits) in [
        (json!([]), false),
        // Accepted, and no transaction.
        (json!([{}]), false),
        (json!([{ "code": "0" }]), false),
        (json!([{ "code": -1 }]), false),
        // Rejected, it may be anything.
        (json!([{ "code": 7 }]), true),
    ] {
        changed["result"]["txs_results"] = outcomes;
        script.lock().unwrap().instead.insert(results.to_owned(), changed.clone());
        match poll(&mut ledger).await {
            Ok(batch) => assert!(fits && (batch.ledger.index, batch.events.len()) == (1, 1), "{changed}"),
            Err(kind) => assert!(!fits && kind == "malformed", "{kind}: {changed}"),
        }
    }
    // Another height, another chain, no time, no hash.
    for (pointer, value) in [
        ("/result/block/header/height", json!("3")),
        ("/result/block/header/chain_id", json!("another")),
        ("/result/block/header/time", json!("yesterday")),
        ("/result/block_id/hash", json!("xx")),
        ("/result/block/data/txs", json!([7])),
    ] {
        let mut other = answer("/block?height=2");
        *other.pointer_mut(pointer).unwrap() = value;
        script.lock().unwrap().instead.insert("/block?height=2".to_owned(), other);
        ledger.ahead = None;
        assert_eq!(poll(&mut ledger).await.unwrap_err(), "malformed", "{pointer}");
    }
    script.lock().unwrap().instead.clear();
    assert_eq!(poll(&mut ledger).await.unwrap().ledger.index, 2);
}

#[test]
fn recorded_answers_are_read() {
    let result =
        |file: &str| recordings::json(&format!("tendermint-rpc/{file}")).map(|mut value| value["result"].take());
    for (version, newest) in [("v0_34", 67), ("v0_38", 232)] {
        let Some(status) = result(&format!("{version}-status.json")) else { return };
        let status: rpc::Status = serde_json::from_value(status).unwrap();
        assert_eq!((&*status.node_info.network, status.sync_info.latest_block_height.0), ("dockerchain", newest));
        let block: Block =
            serde_json::from_value(result(&format!("{version}-block_at_height_10.json")).unwrap()).unwrap();
        assert_eq!(block.block.header.height.0, 10);
        assert!(rpc::hash(&block.block_id).is_some());
        assert!(block.block.header.last_block_id.as_ref().and_then(rpc::hash).is_some());
        assert!(block.block.header.time.parse::<jiff::Timestamp>().is_ok());
        let results = result(&format!("{version}-block_results_at_height_10.json")).unwrap();
        let results: Results = serde_json::from_value(results).unwrap();
        assert!(results.txs_results.is_none() && results.height.0 == 10);
    }
}
