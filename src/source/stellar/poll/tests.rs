use super::*;
use crate::source::SourceStatus;
use crate::source::settings::{OnGap, OnReset};

fn polled_up_to(last: u32) -> StellarRpc {
    let context = Context { source: 0, status: SourceStatus::new(0, "test") };
    let mut ledger = StellarRpc::new(Config::default(), context);
    (ledger.last, ledger.due) = (Some((last, None)), Some(last + 1));
    ledger
}

fn tip(latest_ledger: u32) -> Health {
    Health { latest_ledger, oldest_ledger: 1, ledger_retention_window: 1000 }
}

#[test]
fn a_tip_far_back_is_believed_only_after_a_while() {
    let mut ledger = polled_up_to(5000);
    for _ in 0..10 {
        assert!(!ledger.is_reset(5001, &tip(40)).unwrap(), "too early");
    }
    ledger.behind_us = Some((Instant::now() - RESET_AFTER, 1));
    assert!(!ledger.is_reset(5001, &tip(40)).unwrap(), "too few probes");
    assert!(ledger.is_reset(5001, &tip(40)).unwrap());
    let announced = ledger.announce.clone().unwrap();
    assert_eq!((announced.from_ledger, announced.to_ledger), (40, 5000));
    assert_eq!((ledger.due, ledger.last, ledger.epoch), (Some(40), None, 1));
}

#[test]
fn a_node_that_lags_is_no_reset() {
    let mut ledger = polled_up_to(5000);
    ledger.behind_us = Some((Instant::now() - RESET_AFTER, 100));
    assert!(!ledger.is_reset(5001, &tip(4995)).unwrap());
    assert_eq!(ledger.behind_us, None);
}

#[test]
fn where_a_source_begins() {
    let start = |start_ledger, oldest_ledger| {
        let context = Context { source: 0, status: SourceStatus::new(0, "test") };
        let config = Config { start_ledger, ..Config::default() };
        let health = Health { latest_ledger: 2000, oldest_ledger, ledger_retention_window: 1000 };
        StellarRpc::new(config, context).cold_start(&health)
    };
    assert_eq!(start(StartLedger::Latest, 1001), 2000);
    // A full server moves its edge, one that is filling does not.
    assert_eq!(start(StartLedger::Oldest, 1001), 1011);
    assert_eq!(start(StartLedger::Oldest, 1500), 1500);
    assert_eq!(start(StartLedger::Number(1600), 1500), 1600);
    assert_eq!(start(StartLedger::Number(7), 1500), 1500);
    assert_eq!(start(StartLedger::Number(9000), 1500), 2000);
}

#[actix::test]
async fn a_reset_waits_for_a_person_where_that_is_wished() {
    let mut ledger = polled_up_to(5000);
    ledger.config.on_reset = OnReset::Stop;
    ledger.behind_us = Some((Instant::now() - RESET_AFTER, RESET_PROBES));
    assert_eq!(ledger.is_reset(5001, &tip(40)).unwrap_err().kind(), "held");
    assert_eq!((ledger.due, ledger.epoch, ledger.announce.is_some()), (Some(5001), 0, false));
    // Also once the new chain has grown past the old one: no call is made any more.
    ledger.newest = 9000;
    assert_eq!(ledger.next_ledger().await.unwrap_err().kind(), "held");
}

#[test]
fn lost_ledgers_wait_for_a_person_where_that_is_wished() {
    let mut ledger = polled_up_to(5000);
    (ledger.oldest, ledger.newest) = (6000, 7000);
    let long_ago = Some((Instant::now() - Duration::from_secs(3600), 100));
    (ledger.config.on_gap, ledger.lost_probes) = (OnGap::Wait, long_ago);
    for _ in 0..3 {
        assert_eq!(ledger.lost(5001).unwrap_err().kind(), "held");
        assert_eq!((ledger.due, ledger.announce.is_some()), (Some(5001), false));
    }
    (ledger.config.on_gap, ledger.lost_probes) = (OnGap::Announce, long_ago);
    ledger.lost(5001).unwrap();
    let announced = ledger.announce.clone().unwrap();
    assert_eq!((announced.from_ledger, announced.to_ledger, ledger.due), (5001, 6009, Some(6010)));
}

#[test]
fn a_loss_is_not_believed_at_once() {
    let mut ledger = polled_up_to(5000);
    (ledger.oldest, ledger.newest) = (6000, 7000);
    for _ in 0..50 {
        ledger.lost(5001).unwrap();
    }
    assert_eq!((ledger.due, ledger.announce.is_some()), (Some(5001), false), "often, but not for long");
}
