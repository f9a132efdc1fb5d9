use super::*;
use crate::config::CatchUp;
use crate::event::{Body, ContinuityKind, EventKind};
use crate::source::settings::{OnGap, OnReset};
use crate::source::testing::{Got, Reply, State, Taker, serve};
use crate::source::xrpl::testing::{Chain, Fault, Node, Shape, SharedNode};
use crate::source::{LedgerConfig, Refusal, Settings, SourceHandle, SourceStatus, start};
use actix::Actor;
use std::path::Path;

const PATIENCE: Duration = Duration::from_secs(120);

struct Setup {
    node: SharedNode,
    config: Config,
    got: Got,
    state: std::cell::RefCell<Option<State>>,
}

async fn serving(node: &SharedNode) -> String {
    let node = node.clone();
    serve(move |method, params| node.borrow_mut().answer(method, params)).await
}

impl Setup {
    async fn new(chain: Chain) -> Setup {
        let node = Node::new(chain);
        let url = serving(&node).await;
        let config = serde_json::from_value(json!({
            "rpc_urls": [url], "start_ledger": "oldest", "poll_interval": "20ms", "timeout": "1s", "network_id": 0,
        }));
        Setup { node, config: config.unwrap(), got: Got::default(), state: Default::default() }
    }

    /// With a folder: as after a restart of the process, with what it has.
    fn start(&self, state_dir: Option<&Path>) -> SourceHandle {
        let state = state_dir.map(|directory| State::again(&self.state, directory, 3, "xrpl"));
        let settings = Settings {
            number: 3,
            name: "test".into(),
            ledger: LedgerConfig::XrplRpc(self.config.clone()),
            journal: state.as_ref().map(|state| state.journal.clone()),
            catch_up: CatchUp { ledgers: 1000, ..CatchUp::default() },
        };
        start(settings, Taker { got: self.got.clone(), delay: Duration::ZERO, state }.start().recipient())
    }

    fn ledgers(&self) -> Vec<u64> {
        self.got.lock().unwrap().iter().map(|batch| batch.ledger.index).collect()
    }

    async fn until_ledger(&self, index: u64) {
        let since = Instant::now();
        while self.ledgers().last() != Some(&index) {
            assert!(since.elapsed() < PATIENCE, "never ledger {index}: {:?}", self.ledgers());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every ledger from 100 once, in order, whole, and nothing said about breaks.
    #[track_caller]
    fn assert_all_up_to(&self, last: u64) {
        assert_eq!(self.ledgers(), (100..=last).collect::<Vec<_>>());
        let got = self.got.lock().unwrap();
        assert!(got.windows(2).all(|pair| pair[1].ledger.parent == pair[0].ledger.hash));
        // The ledger, its books, and of each of two transactions itself and its payment.
        assert!(got.iter().all(|batch| batch.continuity.is_none() && batch.events.len() == 6));
    }
}

#[actix::test]
async fn every_ledger_once_in_order_from_servers_of_any_age() {
    for shape in [Shape::Second, Shape::First, Shape::Old] {
        let setup = Setup::new(Chain::new(100, 25, 2)).await;
        setup.node.borrow_mut().shape = shape;
        setup.node.borrow_mut().knows_1_alone = shape != Shape::Second;
        let source = setup.start(None);
        setup.until_ledger(124).await;
        setup.node.borrow_mut().chain.latest = 126;
        setup.until_ledger(126).await;
        setup.assert_all_up_to(126);
        let status = source.status.snapshot();
        assert_eq!((status.network.as_deref(), status.errors.len()), (Some("xrpl"), 0), "{:?}", status.last_error);
        let got = setup.got.lock().unwrap().clone();
        let native: &native::Ledger = got[3].native.as_ref().unwrap().get().unwrap();
        assert_eq!((native.fee_base, native.reserve_base, native.reserve_increment), (12, 1_000_000, 200_000));
        assert_eq!((&*native.validated_ledgers, native.network_id, native.transactions), ("100-124", Some(0), 2));
        // Each asked for once, and none that is not there.
        let mut asked = setup.node.borrow().asked.clone();
        asked.sort_unstable();
        assert_eq!(asked, (100..=126).collect::<Vec<_>>());
        source.stop().await;
    }
}

fn refusing(error: &'static str) -> impl Fn() -> Reply {
    move || Reply::Result(json!({ "error": error, "error_code": 1, "status": "error" }))
}

/// A fault and how often it happens.
fn faults(times: usize, fault: impl Fn() -> Fault) -> Vec<Fault> {
    (0..times).map(|_| fault()).collect()
}

fn say(method: &'static str, times: usize, reply: impl Fn() -> Reply) -> Vec<Fault> {
    faults(times, || Fault::Say(method, reply()))
}

fn change(times: usize, change: fn(&mut serde_json::Value)) -> Vec<Fault> {
    faults(times, || Fault::Change("ledger", change))
}

/// Lets a fault happen at the tip and ends it: every ledger comes, once and in order.
async fn survives(name: &str, faults: Vec<Fault>) {
    let setup = Setup::new(Chain::new(100, 3, 2)).await;
    let source = setup.start(None);
    setup.until_ledger(102).await;
    {
        let mut node = setup.node.borrow_mut();
        node.faults.extend(faults);
        node.chain.latest = 104;
    }
    setup.until_ledger(104).await;
    setup.node.borrow_mut().chain.latest = 106;
    setup.until_ledger(106).await;
    setup.assert_all_up_to(106);
    assert_eq!(setup.node.borrow().faults.len(), 0, "{name}: it did not happen");
    source.stop().await;
}

#[actix::test]
async fn every_fault_delays_and_loses_nothing() {
    let cut_json = || Reply::Body(br#"{"result":{"ledger":{"ledger_index":103,"#.to_vec());
    let slow = || {
        let refused = json!({ "result": { "error": "lgrNotFound", "status": "error" } });
        Reply::Slow(Duration::from_millis(400), Box::new(Reply::Body(refused.to_string().into_bytes())))
    };
    let cases: Vec<(&str, Vec<Fault>)> = vec![
        ("500", say("ledger", 3, || Reply::Text(500, "oops"))),
        ("503", say("ledger", 2, || Reply::Text(503, "Server is overloaded"))),
        ("clio's 503", say("server_info", 1, || Reply::Text(503, r#"{"error":"slowDown","error_code":10}"#))),
        ("hang", say("ledger", 2, || Reply::Silence)),
        ("reset", say("ledger", 3, || Reply::Cut)),
        ("short body", say("ledger", 3, || Reply::Short(br#"{"result":{}}"#.to_vec()))),
        ("cut json", say("ledger", 3, cut_json)),
        ("html", say("server_info", 3, || Reply::Body(b"<html><body>maintenance</body></html>".to_vec()))),
        ("slow", say("ledger", 2, slow)),
        ("slowDown", say("ledger", 2, refusing("slowDown"))),
        ("tooBusy", say("server_info", 1, refusing("tooBusy"))),
        ("noNetwork", say("ledger", 1, refusing("noNetwork"))),
        ("notSynced", say("server_info", 1, refusing("notSynced"))),
        ("internal", say("ledger", 2, refusing("internal"))),
        ("empty result", say("ledger", 2, || Reply::Result(json!({})))),
        ("not there yet", say("ledger", 5, refusing("lgrNotFound"))),
        ("not validated", change(4, |answer| answer["validated"] = false.into())),
        (
            "open ledger",
            change(3, |answer| {
                *answer = json!({ "ledger": { "closed": false, "ledger_index": "103" }, "ledger_current_index": 103,
                "status": "success", "validated": false });
            }),
        ),
        ("short array", change(3, |answer| drop(answer["ledger"]["transactions"].as_array_mut().unwrap().pop()))),
        (
            "the last one missing",
            change(3, |answer| {
                let list = answer["ledger"]["transactions"].as_array_mut().unwrap();
                list.retain(|transaction| transaction["meta"]["TransactionIndex"] == 0);
            }),
        ),
        ("no transactions", change(2, |answer| answer["ledger"]["transactions"] = json!([]))),
        (
            "no metadata",
            change(3, |answer| {
                drop(answer["ledger"]["transactions"][1].as_object_mut().unwrap().remove("meta"));
            }),
        ),
        (
            "the wrong ledger",
            change(3, |answer| {
                answer["ledger_index"] = 7.into();
                answer["ledger"]["ledger_index"] = 7.into();
            }),
        ),
        ("another parent", change(2, |answer| answer["ledger"]["parent_hash"] = "AB".repeat(32).into())),
        ("load", change(2, |answer| answer["warning"] = "load".into())),
        (
            "no validated ledger",
            faults(1, || {
                Fault::Change("server_info", |answer| {
                    drop(answer["info"].as_object_mut().unwrap().remove("validated_ledger"));
                })
            }),
        ),
        (
            "stalled",
            faults(2, || {
                Fault::Change("server_info", |answer| {
                    answer["info"]["validated_ledger"]["age"] = 90.into();
                })
            }),
        ),
    ];
    let all = cases.into_iter().map(|(name, faults)| survives(name, faults));
    futures_util::stream::iter(all).buffer_unordered(32).collect::<Vec<()>>().await;
}

#[actix::test]
async fn a_head_that_goes_back_or_is_named_too_early_and_a_hole_that_fills() {
    let setup = Setup::new(Chain::new(100, 6, 2)).await;
    let source = setup.start(None);
    setup.until_ledger(105).await;
    // A server that is behind answers for a while.
    setup.node.borrow_mut().head = Some(101);
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Then the head is named before anybody has it.
    setup.node.borrow_mut().head = Some(107);
    tokio::time::sleep(Duration::from_millis(400)).await;
    setup.node.borrow_mut().chain.latest = 107;
    setup.until_ledger(107).await;
    // A hole at the head.
    {
        let mut node = setup.node.borrow_mut();
        (node.chain.latest, node.head) = (110, None);
        node.holes.extend([108, 109]);
        node.complete = Some("100-107,110".into());
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(setup.ledgers().last(), Some(&107), "never the one after a hole");
    setup.node.borrow_mut().holes.remove(&108);
    setup.until_ledger(108).await;
    setup.node.borrow_mut().holes.clear();
    setup.until_ledger(110).await;
    setup.assert_all_up_to(110);
    assert_eq!(source.status.snapshot().errors.len(), 0);
    source.stop().await;
}

#[actix::test]
async fn servers_that_disagree_are_one_network() {
    // One lags, one has a hole, one is of another network, one is down.
    let mut setup = Setup::new(Chain::new(100, 10, 2)).await;
    let lagging = Node::new(Chain::new(100, 4, 2));
    lagging.borrow_mut().age = 90;
    setup.node.borrow_mut().holes.insert(106);
    let patchy = Node::new(Chain::new(105, 5, 2));
    let strange = Node::new(Chain { salt: 9, ..Chain::new(100, 500, 2) });
    strange.borrow_mut().network = 5;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [serving(&lagging).await, serving(&strange).await, format!("http://{gone}/"), serving(&patchy).await] {
        setup.config.rpc_urls.insert(0, crate::source::RpcUrl(url));
    }
    setup.config.start_ledger = StartLedger::Number(100);
    // The first that is asked has nothing before 105.
    setup.config.rpc_urls.rotate_left(1);
    let source = setup.start(None);
    setup.until_ledger(109).await;
    setup.assert_all_up_to(109);
    setup.node.borrow_mut().chain.latest = 112;
    patchy.borrow_mut().chain.latest = 111;
    setup.until_ledger(112).await;
    setup.assert_all_up_to(112);
    source.stop().await;
}

#[actix::test]
async fn a_restart_goes_on_after_the_checkpoint_and_only_on_the_same_chain() {
    let state = tempfile::tempdir().unwrap();
    let setup = Setup::new(Chain::new(100, 5, 2)).await;
    let source = setup.start(Some(state.path()));
    setup.until_ledger(104).await;
    source.stop().await;
    setup.node.borrow_mut().chain.latest = 107;
    let source = setup.start(Some(state.path()));
    setup.until_ledger(107).await;
    source.stop().await;
    setup.assert_all_up_to(107);
    // Another chain under the same address: not one ledger of it.
    {
        let mut node = setup.node.borrow_mut();
        (node.chain.latest, node.chain.salt) = (110, 1);
    }
    let source = setup.start(Some(state.path()));
    let since = Instant::now();
    while !source.status.snapshot().errors.contains_key("held") {
        assert!(since.elapsed() < PATIENCE, "{:?}", source.status.snapshot());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    setup.assert_all_up_to(107);
    // It comes back by itself with the chain.
    setup.node.borrow_mut().chain.salt = 0;
    setup.until_ledger(110).await;
    setup.assert_all_up_to(110);
    source.stop().await;
}

#[actix::test]
async fn a_new_chain_is_announced_where_that_is_wished() {
    let mut setup = Setup::new(Chain::new(100, 5, 2)).await;
    setup.config.on_reset = OnReset::Continue;
    let source = setup.start(None);
    setup.until_ledger(104).await;
    {
        let mut node = setup.node.borrow_mut();
        (node.chain.latest, node.chain.salt) = (106, 1);
    }
    setup.until_ledger(106).await;
    assert_eq!(setup.ledgers(), (100..=106).collect::<Vec<_>>());
    let got = setup.got.lock().unwrap().clone();
    let announced = got[5].continuity.as_ref().unwrap();
    assert_eq!((announced.kind, announced.from_ledger, announced.to_ledger), (ContinuityKind::Reset, 104, 104));
    assert_eq!((got[4].epoch, got[5].epoch, got[6].continuity.is_none()), (0, 1, true));
    source.stop().await;
}

#[actix::test]
async fn a_result_from_the_future_gets_its_number_from_the_server() {
    for (result, code) in [("tecFROM_LATER", 201), ("tecUNHEARD_OF", 100)] {
        let setup = Setup::new(Chain { result, ..Chain::new(100, 3, 1) }).await;
        setup.node.borrow_mut().faults.push_back(Fault::Say("server_definitions", Reply::Cut));
        let source = setup.start(None);
        setup.until_ledger(102).await;
        let got = setup.got.lock().unwrap().clone();
        for batch in &got {
            let native: &native::Transaction = batch.events[2].native.as_ref().unwrap().get().unwrap();
            assert_eq!((&*native.result, native.result_code, native.result_message), (result, code, ""));
        }
        let asked = setup.node.borrow().called.iter().filter(|method| *method == "server_definitions").count();
        assert_eq!(asked, 2, "once in vain, once");
        source.stop().await;
    }
}

/// One result that nobody can tell the number of must not halt the ledger.
#[actix::test]
async fn a_result_from_the_future_is_told_whatever_is_said_about_it() {
    let refused =
        || Reply::Body(br#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"no such method"},"id":1}"#.to_vec());
    for refusal in [
        (|| Reply::Text(404, "not found")) as fn() -> Reply,
        || Reply::Text(405, "not allowed"),
        || Reply::Text(502, "<html>"),
        || Reply::Cut,
        || Reply::Silence,
        || Reply::Body(vec![b' '; 200_000]),
        || Reply::Result(json!({})),
        refused,
    ] {
        let mut setup = Setup::new(Chain { result: "tecUNHEARD_OF", ..Chain::new(100, 3, 1) }).await;
        setup.config.max_response = crate::config::units::Size(100_000);
        setup.node.borrow_mut().faults.extend(say("server_definitions", 20, refusal));
        let source = setup.start(None);
        setup.until_ledger(102).await;
        setup.node.borrow_mut().chain.latest = 105;
        setup.until_ledger(105).await;
        assert_eq!(setup.ledgers(), (100..=105).collect::<Vec<_>>());
        let got = setup.got.lock().unwrap().clone();
        for batch in &got {
            let native: &native::Transaction = batch.events[2].native.as_ref().unwrap().get().unwrap();
            assert_eq!((&*native.result, native.result_code, native.result_message), ("tecUNHEARD_OF", 100, ""));
        }
        assert_eq!(setup.node.borrow().faults.len(), 17, "three questions, not some for each ledger");
        assert_eq!(source.status.snapshot().errors.len(), 0);
        source.stop().await;
    }
}

#[actix::test]
async fn a_number_that_was_not_to_be_had_is_asked_for_again_later() {
    let node = Node::new(Chain { result: "tecFROM_LATER", ..Chain::new(100, 3, 1) });
    node.borrow_mut().faults.extend(say("server_definitions", 4, || Reply::Text(404, "not found")));
    let mut ledger = polled_up_to(100, "1-200");
    ledger.config.rpc_url = Some(crate::source::RpcUrl(serving(&node).await));
    ledger.client().unwrap();
    let answer = node.borrow().chain.result(101, Shape::Second).unwrap().to_string();
    let Ok(Answered::Ledger(closed)) = decode::ledger(&answer, 101) else { panic!() };
    let mut learnt = Vec::new();
    // At once, soon after, and twice when some time has passed.
    for wait in [false, false, true, false, true, true] {
        let long_ago = Instant::now() - Duration::from_secs(601);
        if wait {
            ledger.codes.unanswered.iter_mut().for_each(|asked| *asked = long_ago);
            ledger.codes.told.values_mut().for_each(|told| *told = told.map_err(|_| long_ago));
        }
        ledger.codes.learn(ledger.client.as_mut().unwrap(), &closed, &ledger.context.status).await;
        learnt.push((ledger.codes.of("tecFROM_LATER").0, node.borrow().called.len()));
    }
    assert_eq!(learnt, [(100, 3), (100, 3), (100, 4), (100, 4), (201, 5), (201, 5)]);
}

#[actix::test]
async fn fees_are_known_from_servers_that_tell_them_otherwise() {
    let setup = Setup::new(Chain::new(100, 2, 1)).await;
    setup.node.borrow_mut().faults.push_back(Fault::Say("server_state", refusing("unknownCmd")()));
    let source = setup.start(None);
    setup.until_ledger(101).await;
    let got = setup.got.lock().unwrap().clone();
    let native: &native::Ledger = got[0].native.as_ref().unwrap().get().unwrap();
    assert_eq!((native.fee_base, native.reserve_base, native.reserve_increment), (10, 1_000_000, 200_000));
    let Body::Ledger(facts) = got[0].events[0].body else { panic!() };
    assert_eq!((facts.transaction_count, got[0].events[1].kind), (1, EventKind::BookChanges));
    source.stop().await;
}

/// A ledger that is not connected, at this position.
fn polled_up_to(last: u32, complete: &str) -> XrplRpc {
    let context = Context { source: 0, status: SourceStatus::new(0, "test") };
    let config = Config { rpc_url: Some(crate::source::RpcUrl("http://127.0.0.1:1".into())), ..Config::default() };
    let mut ledger = XrplRpc::new(config, context);
    (ledger.last, ledger.due) = (Some((last, Some(Hash([1; 32])))), Some(last + 1));
    ledger.head = Some(head(last + 10, complete));
    ledger
}

fn head(seq: u32, complete: &str) -> Head {
    Head { seq, age: Some(1), complete: Complete::parse(complete), network: None, fees: None }
}

fn long_ago() -> Instant {
    Instant::now() - Duration::from_secs(400)
}

#[test]
fn a_hole_is_waited_for_and_passed_only_where_that_is_wished() {
    let mut ledger = polled_up_to(100, "50-100,105-110");
    assert!(matches!(ledger.missed(101), Ok(Next::NotYet)), "it may be on its way");
    assert!(ledger.poll_interval() <= SOON);
    ledger.missing = Some(Missing { since: long_ago() });
    let alarm = ledger.missed(101).unwrap_err();
    assert!(alarm.kind() == "held" && alarm.to_string().contains("50-100,105-110"), "{alarm}");
    assert_eq!((ledger.due, ledger.announce.is_some()), (Some(101), false));

    ledger.config.on_gap = OnGap::Announce;
    ledger.missing = Some(Missing { since: Instant::now() - Duration::from_secs(60) });
    assert_eq!(ledger.missed(101).unwrap_err().kind(), "held", "not before its time");
    ledger.missing = Some(Missing { since: long_ago() });
    assert!(matches!(ledger.missed(101), Ok(Next::NotYet)));
    let announced = ledger.announce.clone().unwrap();
    assert_eq!((announced.kind, announced.from_ledger, announced.to_ledger), (ContinuityKind::Gap, 101, 104));
    assert_eq!((ledger.due, ledger.last), (Some(105), Some((100, None))));
    // It grows while its end is not to be had either.
    (ledger.missing, ledger.head) = (Some(Missing { since: long_ago() }), Some(head(110, "50-100,107-110")));
    ledger.missed(105).unwrap();
    let announced = ledger.announce.clone().unwrap();
    assert_eq!((announced.from_ledger, announced.to_ledger, ledger.due), (101, 106, Some(107)));
}

/// Only while servers answer does a ledger that they have not count as one that is not there.
#[actix::test]
async fn an_outage_is_no_gap() {
    let mut ledger = polled_up_to(100, "50-100,105-110");
    ledger.config.on_gap = OnGap::Announce;
    // Nobody listens there.
    ledger.missing = Some(Missing { since: long_ago() });
    assert_eq!(ledger.next().await.unwrap_err().kind(), "transport");
    assert!(matches!(ledger.missed(101), Ok(Next::NotYet)));
    assert!(ledger.announce.is_none() && ledger.due == Some(101), "patience begins anew");
    // A head that went back says nothing about the ledger.
    ledger.missing = Some(Missing { since: long_ago() });
    assert!(!ledger.at_tip(101, &head(99, "50-99")).unwrap());
    assert!(matches!(ledger.missed(101), Ok(Next::NotYet)));
    assert!(ledger.announce.is_none());
    // But that the hole is told of does not end it.
    ledger.config.on_gap = OnGap::Wait;
    ledger.missing = Some(Missing { since: long_ago() });
    for _ in 0..2 {
        let missed = ledger.missed(101);
        assert_eq!(ledger.settle(missed).unwrap_err().kind(), "held");
    }
}

#[test]
fn every_server_is_asked_for_what_one_has_not() {
    let mut ledger = polled_up_to(100, "50-100,105-110");
    ledger.config.rpc_urls.push(crate::source::RpcUrl("http://127.0.0.1:2".into()));
    ledger.missing = Some(Missing { since: long_ago() });
    let mut asked = Vec::new();
    for _ in 0..4 {
        let missed = ledger.missed(101);
        assert_eq!(ledger.settle(missed).unwrap_err().kind(), "held");
        asked.push(ledger.client().unwrap().shown().to_owned());
    }
    assert!(asked.windows(2).all(|pair| pair[0] != pair[1]), "{asked:?}");
}

#[test]
fn passing_troubles_keep_away_for_a_short_time() {
    let ledger = polled_up_to(100, "");
    let refused = |refusal| SourceError::Refused {
        url: String::new(),
        method: String::new(),
        error: String::new(),
        message: String::new(),
        refusal,
        wait: None,
    };
    let status = |status| SourceError::Status { url: String::new(), status, retry_after: None };
    for (error, longest) in [
        (SourceError::Transport { url: String::new(), reason: String::new() }, 10),
        (status(502), 10),
        (status(429), 30),
        (refused(Refusal::Other), 10),
        (refused(Refusal::NotSynced), 5),
        (refused(Refusal::Overloaded), 30),
    ] {
        assert_eq!(ledger.longest_wait(&error), Duration::from_secs(longest), "{error:?}");
    }
}

#[test]
fn a_head_far_back_is_believed_only_after_a_while() {
    let mut ledger = polled_up_to(5000, "1-40");
    ledger.config.on_reset = OnReset::Continue;
    for _ in 0..10 {
        assert!(!ledger.at_tip(5001, &head(40, "1-40")).unwrap(), "too early");
    }
    ledger.behind_us = Some((long_ago(), 1));
    assert!(!ledger.at_tip(5001, &head(40, "1-40")).unwrap(), "too few probes");
    ledger.config.on_reset = OnReset::Stop;
    assert_eq!(ledger.at_tip(5001, &head(40, "1-40")).unwrap_err().kind(), "held");
    ledger.config.on_reset = OnReset::Continue;
    assert!(ledger.at_tip(5001, &head(40, "1-40")).unwrap());
    let announced = ledger.announce.clone().unwrap();
    assert_eq!((announced.kind, announced.from_ledger, announced.to_ledger), (ContinuityKind::Reset, 40, 5000));
    assert_eq!((ledger.due, ledger.last, ledger.epoch), (Some(40), None, 1));
    // One that only lags is none.
    let mut ledger = polled_up_to(5000, "1-40");
    ledger.behind_us = Some((long_ago(), 100));
    assert!(!ledger.at_tip(5001, &head(4900, "1-4900")).unwrap());
    assert_eq!(ledger.behind_us, None);
}

#[test]
fn where_a_source_begins() {
    let start = |start_ledger, complete| {
        let mut ledger = polled_up_to(1, "");
        ledger.config.start_ledger = start_ledger;
        ledger.cold_start(&head(2000, complete))
    };
    let list = "100-500,900-2000";
    assert_eq!(start(StartLedger::Latest, list), 2000);
    // Not before a hole that would be waited for.
    assert_eq!(start(StartLedger::Oldest, list), 900);
    assert_eq!(start(StartLedger::Number(300), list), 300);
    assert_eq!(start(StartLedger::Number(7), list), 100);
    assert_eq!(start(StartLedger::Number(9000), list), 2000);
    assert_eq!((start(StartLedger::Oldest, "empty"), start(StartLedger::Number(7), "empty")), (2000, 2000));
}
