use super::*;
use crate::source::{Snapshot, State};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

thread_local! {
    static NAMES: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes the name of a metric that is registered.
pub(super) fn note(name: &str) {
    NAMES.with_borrow_mut(|names| names.insert(name.to_owned()));
}

fn session(number: u64) -> SessionRef {
    SessionRef { router: 0, slot: 0, number }
}

/// Samples by name and labels; fails on what is no OpenMetrics text.
fn read(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
    let mut families = Vec::new();
    let mut samples = BTreeMap::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            assert!(["HELP", "TYPE", "UNIT"].contains(&words[0]), "{line}");
            if words[0] == "TYPE" {
                assert!(!families.contains(&words[1].to_owned()), "told twice: {line}");
                families.push(words[1].to_owned());
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let bare = name.split('{').next().unwrap();
        assert!(
            families.iter().any(|family| bare.trim_end_matches("_total").trim_end_matches("_info") == family),
            "{line}"
        );
        assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
    }
    samples
}

/// A text in which every metric has a sample.
fn filled() -> String {
    let metrics = Metrics::default();
    metrics.session_opened("flow", session(1), &"127.0.0.1");
    metrics.session_opened("flow", session(2), &"127.0.0.1");
    let closed = Closed {
        dialect: "flow",
        session: session(1),
        peer: &"127.0.0.1",
        code: Some(1008),
        reason: "too slow",
        by_us: true,
        lag_ledgers: 7,
        lived: Duration::from_secs(1),
    };
    metrics.session_closed(closed);
    metrics.connection_refused(Refusal::ConnectionsPerAddress, &"127.0.0.1");
    metrics.protocol_error("flow", "invalid_filter", session(2));
    metrics.ledger_taken("main", [(EventKind::Ledger, 1), (EventKind::ContractEvent, 2), (EventKind::SystemEvent, 3)]);
    metrics.history("main", 1000, 3);
    metrics.frames_queued("flow", 12);
    metrics.frames_rendered(6);
    metrics.written(4096, 2);
    metrics.inbound_messages("flow", 3);
    metrics.called("main", "answered");
    metrics.worker(0, Lags { sessions: [1, 0, 3, 0], replaying: 2, largest: 70 }, 512, 256);
    let consumer = consumer::Status::new(
        "postgres-0".to_owned(),
        Arc::new(crate::broker::History::new(1, 0, 1)),
        vec![(0, "main".into())],
    );
    consumer.is_up();
    consumer.is_down("timeout", "a transaction took too long");
    consumer.is_down("timeout", "told once and counted twice");
    consumer.wrote(consumer::Table::Events, 8);
    metrics.add_consumer(Arc::new(consumer));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let known = Snapshot {
        state: State::Live,
        last_ledger: Some(42),
        newest_ledger: Some(44),
        last_closed_at: Some(now as i64 - 100),
        untaken: 1,
        errors: BTreeMap::from([("timeout", 5)]),
        breaks: BTreeMap::from([("gap", 1)]),
        checkpoint_ledger: Some(41),
        ..Snapshot::default()
    };
    let source = SourceHealth {
        name: "odd \"name\"\n".to_owned(),
        known,
        last_ledger_age: Some(Duration::from_millis(1500)),
        ..SourceHealth::default()
    };
    metrics.text(&[source], 9).unwrap()
}

#[test]
fn counts_and_reads_as_openmetrics() {
    let samples = read(&filled());
    for (name, value) in [
        (r#"ledgercast_sessions_open{dialect="flow"}"#, 1.0),
        (r#"ledgercast_sessions_opened_total{dialect="flow"}"#, 2.0),
        (r#"ledgercast_sessions_closed_total{dialect="flow",code="1008",reason="too slow"}"#, 1.0),
        (r#"ledgercast_connections_refused_total{reason="connections_per_address"}"#, 1.0),
        (r#"ledgercast_protocol_errors_total{dialect="flow",kind="invalid_filter"}"#, 1.0),
        (r#"ledgercast_ledgers_total{source="main"}"#, 1.0),
        (r#"ledgercast_events_total{source="main",kind="contract_event"}"#, 5.0),
        (r#"ledgercast_history_bytes{source="main"}"#, 1000.0),
        (r#"ledgercast_history_ledgers{source="main"}"#, 3.0),
        (r#"ledgercast_frames_queued_total{dialect="flow"}"#, 12.0),
        ("ledgercast_frames_rendered_total", 6.0),
        ("ledgercast_written_bytes_total", 4096.0),
        ("ledgercast_socket_writes_total", 2.0),
        (r#"ledgercast_inbound_messages_total{dialect="flow"}"#, 3.0),
        (r#"ledgercast_sessions_lagging{worker="0"}"#, 4.0),
        (r#"ledgercast_sessions_replaying{worker="0"}"#, 2.0),
        (r#"ledgercast_sessions_behind{worker="0",ledgers="1"}"#, 1.0),
        (r#"ledgercast_sessions_behind{worker="0",ledgers="100"}"#, 3.0),
        (r#"ledgercast_sessions_behind{worker="0",ledgers="more"}"#, 0.0),
        (r#"ledgercast_sessions_largest_lag_ledgers{worker="0"}"#, 70.0),
        (r#"ledgercast_outbox_bytes{worker="0"}"#, 512.0),
        (r#"ledgercast_inbound_bytes{worker="0"}"#, 256.0),
        (r#"ledgercast_source_last_ledger{source="odd \"name\"\n"}"#, 42.0),
        (r#"ledgercast_source_last_ledger_age_seconds{source="odd \"name\"\n"}"#, 1.5),
        (r#"ledgercast_source_behind_ledgers{source="odd \"name\"\n"}"#, 2.0),
        (r#"ledgercast_source_rpc_errors_total{source="odd \"name\"\n",kind="timeout"}"#, 5.0),
        (r#"ledgercast_source_breaks_total{source="odd \"name\"\n",kind="gap"}"#, 1.0),
        (r#"ledgercast_source_untaken_batches{source="odd \"name\"\n"}"#, 1.0),
        (r#"ledgercast_source_checkpoint_ledger{source="odd \"name\"\n"}"#, 41.0),
        (concat!(r#"ledgercast_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), 1.0),
        (r#"ledgercast_consumer_up{consumer="postgres-0"}"#, 0.0),
        (r#"ledgercast_consumer_lag_ledgers{consumer="postgres-0",source="main"}"#, 0.0),
        (r#"ledgercast_consumer_rows_written_total{consumer="postgres-0",table="events"}"#, 8.0),
        (r#"ledgercast_consumer_errors_total{consumer="postgres-0",kind="timeout"}"#, 2.0),
        ("ledgercast_connections_open", 9.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name} in {samples:#?}");
    }
    let close_age = samples[r#"ledgercast_source_close_age_seconds{source="odd \"name\"\n"}"#];
    assert!((100.0..200.0).contains(&close_age), "{close_age}");
    let fds = (samples["process_open_fds"], samples["process_max_fds"]);
    assert!(fds.0 >= 3.0 && fds.0 < fds.1, "{fds:?}");
    assert!(samples["process_resident_memory_bytes"] > 1e6);
}

/// The table in the README has every metric, by the name that a scraper sees, and no other.
#[test]
fn every_metric_stands_in_the_readme() {
    let (text, mut seen) = (filled(), BTreeSet::new());
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        seen.insert((name.strip_prefix("ledgercast_").unwrap_or(name).to_owned(), format!("{name}{suffix}")));
    }
    let with_samples: BTreeSet<String> = seen.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(NAMES.take(), with_samples, "`filled` gives every metric a sample");
    let rows = include_str!("../../../README.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let told = rows.filter_map(|row| row.split('`').next());
    let told: BTreeSet<&str> =
        told.filter(|name| name.starts_with("ledgercast_") || name.starts_with("process_")).collect();
    assert_eq!(told, seen.iter().map(|(_, name)| name.as_str()).collect());
}

#[test]
fn clients_cannot_make_labels() {
    let metrics = Metrics::default();
    for code in 3000..5000 {
        let closed = Closed {
            dialect: "flow",
            session: session(1),
            peer: &"127.0.0.1",
            code: Some(code),
            reason: "client",
            by_us: false,
            lag_ledgers: 0,
            lived: Duration::ZERO,
        };
        metrics.session_closed(closed);
    }
    let samples = read(&metrics.text(&[], 0).unwrap());
    assert_eq!(samples[r#"ledgercast_sessions_closed_total{dialect="flow",code="other",reason="client"}"#], 2000.0);
    assert_eq!(samples.keys().filter(|name| name.contains("closed")).count(), 1);
}

#[test]
fn refusals_are_told_once_in_a_while() {
    let metrics = Metrics::default();
    assert!(metrics.may_tell_refusals());
    assert!(!metrics.may_tell_refusals());
    metrics.refusals_told_at.store(1, Ordering::Relaxed);
    assert!(!metrics.may_tell_refusals());
}
