use super::*;
use crate::config::units::Size;
use crate::event::ContinuityKind;
use crate::source::State;
use crate::source::stellar::testing::{Chain, Node, PASSPHRASE, SharedNode};
use crate::source::stellar::{self, StartLedger};
use crate::source::testing::{Got, Reply, State as Kept, Taker, serve, until};
use std::path::Path;

const FAST: CatchUp = CatchUp { bytes: Size::mib(1000), ledgers: 1000 };

struct Setup {
    url: String,
    /// More nodes of the same network.
    others: Vec<String>,
    node: SharedNode,
    got: Got,
    start: StartLedger,
    delay: Duration,
    pace: CatchUp,
    state: std::cell::RefCell<Option<Kept>>,
}

impl Setup {
    async fn new(chain: Chain) -> Setup {
        let node = Node::new(chain);
        let serving = node.clone();
        let url = serve(move |method, params| serving.lock().unwrap().answer(method, params)).await;
        Setup {
            url,
            others: Vec::new(),
            node,
            got: Got::default(),
            start: StartLedger::Oldest,
            delay: Duration::ZERO,
            pace: FAST,
            state: Default::default(),
        }
    }

    /// With a folder: as after a restart of the process, with what it has.
    fn start(&self, state_dir: Option<&Path>) -> SourceHandle {
        self.start_with(state_dir.map(|directory| Kept::again(&self.state, directory, 3, "stellar transactions")))
    }

    fn start_with(&self, state: Option<Kept>) -> SourceHandle {
        let config = stellar::Config {
            rpc_url: Some(crate::source::RpcUrl(self.url.clone())),
            rpc_urls: self.others.iter().cloned().map(crate::source::RpcUrl).collect(),
            start_ledger: self.start,
            poll_interval: crate::config::units::Time::millis(20),
            network_passphrase: Some(PASSPHRASE.into()),
            timeout: crate::config::units::Time::millis(500),
            ..Default::default()
        };
        let settings = Settings {
            number: 3,
            name: "test".into(),
            ledger: LedgerConfig::StellarRpc(config),
            journal: state.as_ref().map(|state| state.journal.clone()),
            catch_up: self.pace.clone(),
        };
        start(settings, Taker { got: self.got.clone(), delay: self.delay, state }.start().recipient())
    }

    fn batches(&self) -> Vec<LedgerBatch> {
        self.got.lock().unwrap().clone()
    }

    fn ledgers(&self) -> Vec<u64> {
        self.got.lock().unwrap().iter().map(|batch| batch.ledger.index).collect()
    }

    async fn until_ledger(&self, index: u64) {
        until(&format!("ledger {index}"), || self.ledgers().last() == Some(&index)).await;
    }

    fn close(&self) {
        self.node.lock().unwrap().chain.close();
    }
}

#[actix::test]
async fn every_ledger_once_in_order() {
    let setup = Setup::new(Chain::new(100, 25, 2)).await;
    let source = setup.start(None);
    setup.until_ledger(124).await;
    until("live", || source.status.snapshot().state == State::Live).await;
    setup.close();
    setup.close();
    setup.until_ledger(126).await;
    assert_eq!(setup.ledgers(), (100..=126).collect::<Vec<_>>());
    let snapshot = source.status.snapshot();
    assert_eq!((snapshot.last_ledger, snapshot.newest_ledger, snapshot.ledgers_posted), (Some(126), Some(126), 27));
    assert!(snapshot.errors.is_empty(), "{:?}", snapshot.errors);
    // Per transaction: itself, its fee, its transfer, its payment; and the ledger.
    assert_eq!(snapshot.events_posted, 27 * 9);
    let recent = source.status.recent();
    assert_eq!((recent.len(), recent[26].ledger, recent[26].events), (27, 126, 9));
    assert!(recent.is_sorted_by_key(|recent| recent.posted_nanos));
    {
        let got = setup.got.lock().unwrap();
        assert_eq!((got[0].source, got[0].epoch), (3, 0));
        assert!(got[0].network.starts_with("stellar-") && got[0].network.len() == 16);
        assert!(got.windows(2).all(|pair| pair[1].ledger.parent == pair[0].ledger.hash));
        assert!(got.iter().all(|batch| batch.continuity.is_none()));
    }
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    assert!(threads.map(|task| name(task.unwrap())).any(|name| name.trim() == "src-test"));
    // Never past the tip that is known, and several at a time only while behind.
    assert!(setup.node.lock().unwrap().asked.iter().all(|(start, limit)| start + limit <= 127 && *limit <= 10));
    source.stop().await;
    assert_eq!(source.status.snapshot().state, State::Stopped);
}

#[actix::test]
async fn the_last_ledger_that_there_can_be_ends_nothing() {
    let state = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        // The second time from its checkpoint.
        let mut setup = Setup::new(Chain::new(u32::MAX, 1, 1)).await;
        setup.start = StartLedger::Latest;
        setup.node.lock().unwrap().oldest = 0;
        let source = setup.start(Some(state.path()));
        setup.until_ledger(u32::MAX.into()).await;
        source.stop().await;
        assert_eq!(source.status.snapshot().state, State::Stopped);
        // The next life opens what this one had open.
        setup.state.take().expect("it is kept").journal.close();
    }
}

#[actix::test]
async fn faults_delay_and_lose_nothing() {
    let setup = Setup::new(Chain::new(100, 3, 1)).await;
    setup.node.lock().unwrap().faults = vec![
        Reply::Cut,
        Reply::Status(503, "retry-after: 0\r\n"),
        Reply::Body(b"<html>".to_vec()),
        Reply::Body(br#"{"jsonrpc":"2.0","id":999999,"result":{}}"#.to_vec()),
    ];
    let source = setup.start(None);
    setup.until_ledger(102).await;
    setup.node.lock().unwrap().faults =
        vec![Reply::Error(-32603, "data stores are not initialized".into()), Reply::Silence];
    until("failing", || source.status.snapshot().errors.contains_key("timeout")).await;
    setup.close();
    setup.until_ledger(103).await;
    assert_eq!(setup.ledgers(), [100, 101, 102, 103]);
    let errors = source.status.snapshot().errors;
    assert_eq!(
        errors.into_iter().collect::<Vec<_>>(),
        [("http_status", 1), ("malformed", 2), ("rpc", 1), ("timeout", 1), ("transport", 1)]
    );
    source.stop().await;
}

#[actix::test]
async fn a_restart_goes_on_after_the_checkpoint() {
    let state = tempfile::tempdir().unwrap();
    let setup = Setup::new(Chain::new(100, 5, 1)).await;
    let source = setup.start(Some(state.path()));
    setup.until_ledger(104).await;
    source.stop().await;
    assert_eq!(source.status.snapshot().checkpoint_ledger, Some(104));
    setup.close();
    let again = setup.start(Some(state.path()));
    setup.until_ledger(105).await;
    again.stop().await;
    assert_eq!(setup.ledgers(), (100..=105).collect::<Vec<_>>());
}

#[actix::test]
async fn a_checkpoint_of_an_earlier_release_is_used_once_and_never_if_it_is_damaged() {
    let state = tempfile::tempdir().unwrap();
    let setup = Setup::new(Chain::new(100, 3, 1)).await;
    let source = setup.start(None);
    setup.until_ledger(102).await;
    source.stop().await;
    let network = source.status.snapshot().network.unwrap();
    let scope = crate::source::short_digest("stellar transactions");
    let file = crate::source::OldCheckpoint::new(state.path(), "test-3", &network, &scope).path();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{").unwrap();
    let again = setup.start(Some(state.path()));
    until("an error", || again.status.snapshot().errors.contains_key("checkpoint")).await;
    assert_eq!(again.status.snapshot().state, State::Failing);
    assert_eq!(setup.ledgers(), [100, 101, 102]);
    again.stop().await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{");

    let hash = setup.batches()[1].ledger.hash.unwrap();
    let old = serde_json::json!({
        "version": 1, "source": "test-3", "network": &*network, "scope": scope, "epoch": 0, "ledger": 101,
        "hash": hash.to_string(), "counters": {},
    });
    std::fs::write(&file, old.to_string()).unwrap();
    let again = setup.start(Some(state.path()));
    until("ledger 102 again", || setup.ledgers() == [100, 101, 102, 102]).await;
    again.stop().await;
    assert!(!file.exists(), "what is in the journal would make it wrong");
}

#[actix::test]
async fn a_slow_broker_is_not_flooded() {
    let mut setup = Setup::new(Chain::new(100, 20, 0)).await;
    setup.delay = Duration::from_millis(300);
    let source = setup.start(None);
    let mut most = 0;
    until("the tip", || {
        most = most.max(source.status.snapshot().untaken);
        setup.ledgers().len() == 20
    })
    .await;
    assert_eq!(most, MAX_UNTAKEN);
    assert_eq!(setup.ledgers(), (100..=119).collect::<Vec<_>>());
    source.stop().await;
}

#[actix::test]
async fn catching_up_is_paced() {
    let mut setup = Setup::new(Chain::new(100, 6, 0)).await;
    setup.pace = CatchUp { bytes: Size::mib(8), ledgers: 20 };
    let begun = Instant::now();
    let source = setup.start(None);
    setup.until_ledger(105).await;
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
    source.stop().await;
}

#[actix::test]
async fn only_who_catches_up_waits_for_the_disk() {
    let state = tempfile::tempdir().unwrap();
    let slow = state.path().join("journal.slow");
    let setup = Setup::new(Chain::new(100, 20, 0)).await;
    let kept = Kept::again(&setup.state, state.path(), 3, "stellar transactions");
    let fill = |ledger| {
        let mut batch = crate::broker::testing::batch(0, ledger, 1);
        let block = crate::source::planetmint::native::Block { app_hash: "".into(), time_received: false };
        batch.native = Some(crate::event::Native::new(block, 48 << 20));
        kept.journal.append(kept.history.append(batch, Instant::now()).unwrap(), Default::default());
    };
    // The disk works, but not as fast as a source that is behind.
    std::fs::write(&slow, "9000").unwrap();
    fill(1);
    *setup.state.borrow_mut() = None;
    let source = setup.start_with(Some(kept.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(kept.journal.room().is_some() && setup.ledgers().is_empty(), "{:?}", setup.ledgers());
    std::fs::remove_file(&slow).unwrap();
    setup.until_ledger(119).await;
    // Now it is at the tip.
    until("it is live", || source.status.snapshot().state == State::Live).await;
    std::fs::write(&slow, "9000").unwrap();
    fill(2);
    setup.close();
    setup.until_ledger(120).await;
    setup.close();
    setup.until_ledger(121).await;
    assert!(kept.journal.room().is_some(), "the disk is still behind");
    std::fs::remove_file(&slow).unwrap();
    source.stop().await;
}

#[actix::test]
async fn lost_ledgers_are_announced() {
    let state = tempfile::tempdir().unwrap();
    let setup = Setup::new(Chain::new(100, 3, 0)).await;
    let source = setup.start(Some(state.path()));
    setup.until_ledger(102).await;
    source.stop().await;
    {
        let mut node = setup.node.lock().unwrap();
        (0..60).for_each(|_| node.chain.close());
        node.oldest = 140;
    }
    let again = setup.start(Some(state.path()));
    setup.until_ledger(162).await;
    let got = setup.batches();
    let gap = got[3].continuity.clone().unwrap();
    assert_eq!((gap.kind, gap.from_ledger, gap.to_ledger), (ContinuityKind::Gap, 103, 149));
    assert_eq!(got[3].ledger.index, 150);
    assert!(got[4..].iter().all(|batch| batch.continuity.is_none()));
    assert_eq!(again.status.snapshot().breaks.get("gap"), Some(&1));
    again.stop().await;
}

#[actix::test]
async fn a_node_that_has_just_started_loses_nothing() {
    let state = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(Chain::new(100, 3, 0)).await;
    let source = setup.start(Some(state.path()));
    setup.until_ledger(102).await;
    source.stop().await;
    // The first node keeps little now; the second, of the same chain, has all.
    let whole = setup.node.clone();
    let second = serve(move |method, params| {
        let mut node = whole.lock().unwrap();
        let kept = std::mem::replace(&mut node.oldest, 100);
        let answer = node.answer(method, params);
        node.oldest = kept;
        answer
    });
    setup.others.push(second.await);
    {
        let mut node = setup.node.lock().unwrap();
        (0..60).for_each(|_| node.chain.close());
        node.oldest = 140;
    }
    let again = setup.start(Some(state.path()));
    setup.until_ledger(162).await;
    assert_eq!(setup.ledgers(), (100..=162).collect::<Vec<u64>>());
    assert!(setup.batches().iter().all(|batch| batch.continuity.is_none()));
    again.stop().await;
}

#[actix::test]
async fn an_archive_behind_the_server_is_used() {
    let state = tempfile::tempdir().unwrap();
    let setup = Setup::new(Chain::new(100, 3, 0)).await;
    let source = setup.start(Some(state.path()));
    setup.until_ledger(102).await;
    source.stop().await;
    {
        let mut node = setup.node.lock().unwrap();
        (0..60).for_each(|_| node.chain.close());
        (node.oldest, node.archive) = (140, true);
    }
    let again = setup.start(Some(state.path()));
    setup.until_ledger(162).await;
    assert_eq!(setup.ledgers(), (100..=162).collect::<Vec<_>>());
    assert!(again.status.snapshot().breaks.is_empty());
    again.stop().await;
}

#[actix::test]
async fn another_chain_is_announced_as_a_reset() {
    let setup = Setup::new(Chain::new(100, 3, 0)).await;
    let source = setup.start(None);
    setup.until_ledger(102).await;
    {
        let mut node = setup.node.lock().unwrap();
        node.chain.fork_after(102, 9);
        node.chain.close();
        node.chain.close();
    }
    setup.until_ledger(104).await;
    let got = setup.batches();
    assert_eq!(got.iter().map(|batch| batch.epoch).collect::<Vec<_>>(), [0, 0, 0, 1, 1]);
    assert_eq!(got[3].continuity.as_ref().unwrap().kind, ContinuityKind::Reset);
    assert_eq!(got[4].continuity, None);
    assert_eq!(source.status.snapshot().errors.get("discontinuity"), Some(&1));
    source.stop().await;
}

#[actix::test]
async fn servers_without_metadata_give_the_same() {
    // More transactions than fit on one page.
    let setup = Setup::new(Chain::new(100, 2, 205)).await;
    let source = setup.start(None);
    setup.until_ledger(101).await;
    source.stop().await;
    let whole: Vec<_> = setup.got.lock().unwrap().drain(..).collect();
    setup.node.lock().unwrap().without_metadata = true;
    let source = setup.start(None);
    setup.until_ledger(101).await;
    source.stop().await;
    let paged = setup.got.lock().unwrap();
    for (whole, paged) in whole.iter().zip(paged.iter()) {
        let ids = |batch: &LedgerBatch| batch.events.iter().map(|event| event.id.clone()).collect::<Vec<_>>();
        assert_eq!((&whole.ledger, ids(whole)), (&paged.ledger, ids(paged)));
    }
}

#[actix::test]
async fn the_wrong_network_is_refused() {
    let setup = Setup::new(Chain::new(100, 2, 0)).await;
    let node = setup.node.clone();
    let url = serve(move |method, params| match method {
        "getNetwork" => Reply::Result(serde_json::json!({ "passphrase": "another" })),
        _ => node.lock().unwrap().answer(method, params),
    })
    .await;
    let wrong = Setup { url, ..setup };
    let source = wrong.start(None);
    until("an error", || source.status.snapshot().errors.contains_key("wrong_network")).await;
    let text = source.status.snapshot().last_error.unwrap().what;
    assert!(text.contains("\"another\"") && text.contains("network_passphrase"), "{text}");
    source.stop().await;
    assert!(wrong.ledgers().is_empty());
}

#[test]
fn thread_names_fit() {
    assert_eq!(thread_name("src-", "stellar-main").to_bytes(), b"src-stellar-mai");
    assert_eq!(thread_name("src-", "aaaaaaaaaaéé").to_bytes(), b"src-aaaaaaaaaa");
    assert_eq!(thread_name("src-", "a\0b").to_bytes(), b"src-ab");
}
