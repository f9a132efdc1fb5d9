//! What operators see: how the sources are, who is slow, when ledgers went round, and why the server
//! is not ready when its disk fails.

use crate::common::client::Client;
use crate::common::http;
use crate::common::raw::Raw;
use crate::common::server::{Devnet, Server, journal_file, path, settings};
use crate::common::wait_until;
use serde_json::{Value, json};

fn get(server: &Server, path: &str) -> Value {
    let answer = http::get(server.admin, path).expect("the admin listener answers");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn names(answer: &Value) -> Vec<&str> {
    let sessions = answer["sessions"].as_array().expect("a list");
    sessions.iter().map(|session| session["session"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn who_is_slow_and_how_far_behind() {
    let devnet = Devnet::start("10", 150);
    let more = "limits: { stall: 60s, send_buffer: 16KiB, outbox: 32KiB }\nworkers: 2";
    let server = Server::start(&settings(devnet.address, more));
    server.wait_ready();
    let mut first = Client::connect(server.clients).await;
    first.registered(&json!({"types": ["ledger"]}), &mut Vec::new()).await;
    let mut stuck = Raw::open_small(server.clients);
    stuck.text(r#"{"type":"register","filters":{}}"#);
    let mut waits = Client::connect(server.clients).await;

    let mut answer = Value::Null;
    wait_until("one is ten ledgers behind", || {
        answer = get(&server, "/debug/sessions");
        answer["sessions"][0]["lag_ledgers"].as_u64().is_some_and(|lag| lag >= 10)
    });
    assert_eq!((&answer["sort"], &answer["limit"], &answer["not_answering"]), (&json!("lag"), &json!(100), &json!([])));
    let workers = answer["workers"].as_array().unwrap();
    let sum = |key: &str| workers.iter().map(|worker| worker[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((workers.len(), sum("sessions")), (2, 3));
    assert!(sum("lagging") >= 1, "{answer}");
    let slowest = &answer["sessions"][0];
    for (key, value) in [
        ("dialect", json!("flow")),
        ("path", json!("/ws")),
        ("peer", json!("127.0.0.1")),
        ("registered", json!(true)),
        ("history_reaches", json!(true)),
        ("phase", json!("open")),
    ] {
        assert_eq!(slowest[key], value, "{key} {slowest}");
    }
    assert!(slowest["waiting_bytes"].as_u64().unwrap() > 0, "{slowest}");
    // About 150 events in a ledger, before filtering.
    let (ledgers, events) = (slowest["lag_ledgers"].as_u64().unwrap(), slowest["lag_events"].as_u64().unwrap());
    assert!(events > 20 * (ledgers - 1) && events < 2000 * ledgers, "{slowest}");
    let all = names(&answer);
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{all:?}");
    let registered = |session: &&Value| session["registered"] == json!(true);
    assert_eq!(answer["sessions"].as_array().unwrap().iter().filter(registered).count(), 2);
    let slow_name = all[0].to_owned();

    // Other orders, and no more than asked for, over all threads.
    let oldest = get(&server, "/debug/sessions?sort=age&limit=2");
    assert_eq!(names(&oldest)[1], slow_name, "the second that came");
    assert_eq!(names(&oldest).len(), 2);
    assert_eq!(names(&get(&server, "/debug/sessions?sort=waiting&limit=1")), [slow_name.as_str()]);
    wait_until("it is known that nothing leaves", || {
        let stalled = &get(&server, "/debug/sessions?sort=stalled&limit=1")["sessions"][0];
        stalled["session"] == slow_name.as_str() && stalled["stalled_seconds"].as_u64().unwrap() >= 2
    });
    for (query, words) in [("sort=speed", "lag, waiting, age, stalled, silent"), ("limit=5000", "from 1 to 1000")] {
        let answer = http::get(server.admin, &format!("/debug/sessions?{query}")).unwrap();
        assert!(answer.status == 400 && answer.body.contains(words), "{answer:?}");
    }

    // The same in figures.
    let sample = |name: &str, worker| server.metric(&format!("ledgercast_sessions_{name}{{worker=\"{worker}\"}}"));
    wait_until("metrics know", || sample("largest_lag_ledgers", 0).max(sample("largest_lag_ledgers", 1)) >= 10.0);
    assert_eq!(server.metric("ledgercast_connections_open"), 3.0);
    // Not a fault of the others, who are served.
    waits.registered(&json!({"types": ["ledger"]}), &mut Vec::new()).await;
    waits.next_text().await;
    first.next_text().await;
}

#[tokio::test]
async fn sources_and_ledgers_are_told() {
    let devnet = Devnet::start("10", 20);
    let address = devnet.address.to_string();
    let with_key = settings(devnet.address, "").replace(&address, &format!("{address}/?key=hidden"));
    let server = Server::start(&with_key);
    server.wait_ready();
    let mut client = Client::connect(server.clients).await;
    client.registered(&json!({"types": ["ledger"]}), &mut Vec::new()).await;
    for _ in 0..5 {
        client.next_text().await;
    }
    let answer = get(&server, "/debug/sources");
    assert!(!answer.to_string().contains("hidden"), "{answer}");
    let source = &answer["sources"][0];
    assert_eq!((&source["name"], &source["ready"], &source["reasons"]), (&json!("devnet"), &json!(true), &json!([])));
    assert_eq!(source["endpoints"], json!([format!("http://{address}")]));
    assert!(source["network"].as_str().unwrap().starts_with("stellar-"), "{source}");
    assert!(source["last_ledger"].as_u64() <= source["newest_ledger"].as_u64(), "{source}");
    assert!(source["ledgers_posted"].as_u64().unwrap() >= 5, "{source}");
    assert!(source["events_posted"].as_u64().unwrap() > 20, "{source}");
    assert!(source["last_ledger_age_seconds"].as_f64().unwrap() < 20.0, "{source}");
    assert_eq!((&source["errors"], &source["breaks"], &source["last_error"]), (&json!({}), &json!({}), &Value::Null));

    // Posted first, then routed, and both in the order of the ledgers.
    let ledgers = get(&server, "/debug/ledgers")["devnet"].as_array().unwrap().clone();
    assert!(ledgers.len() >= 5);
    let routed: Vec<(u64, u64)> = ledgers
        .iter()
        .filter_map(|ledger| Some((ledger["posted_nanos"].as_u64()?, ledger["routed_nanos"].as_u64()?)))
        .collect();
    assert!(routed.len() >= 5, "{ledgers:?}");
    assert!(routed.iter().all(|(posted, routed)| posted < routed), "{routed:?}");
    assert!(routed.is_sorted_by_key(|(posted, _)| posted) && routed.is_sorted_by_key(|(_, routed)| routed));
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_written_is_told() {
    let state = tempfile::tempdir().unwrap();
    let devnet = Devnet::start("10", 5);
    let server = Server::start(&settings(devnet.address, &format!("state_dir: '{}'", path(state.path()))));
    server.wait_ready();
    let kept = || get(&server, "/debug/sources")["sources"][0].clone();
    wait_until("a checkpoint is written", || kept()["checkpoint_ledger"].is_u64());

    // No rights would not stop root, so somebody else writes and does not end.
    let other = rusqlite::Connection::open(journal_file(state.path())).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    wait_until("it is not ready", || server.readyz().status == 503);
    let reasons = server.readyz().json()["reasons"].clone();
    let reason = reasons[0].as_str().expect("a text");
    assert!(reason.contains("cannot be written") && reason.contains("check `state_dir`"), "{reason}");
    // Ledgers go on, and so do errors; the log has the first of this minute.
    wait_until("it is tried again", || kept()["errors"]["checkpoint"].as_u64().is_some_and(|count| count >= 3));
    assert_eq!(server.metric("ledgercast_source_ready{source=\"devnet\"}"), 0.0);
    let lines = |text: &str| server.process.stderr().lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("cannot be written"), 1);

    other.execute_batch("ROLLBACK").unwrap();
    wait_until("it is ready again", || server.readyz().status == 200);
    assert_eq!(kept()["checkpoint_error"], Value::Null);
    assert!(kept()["last_error"]["what"].as_str().unwrap().contains("cannot be written"));
    wait_until("the log says so", || lines("checkpoints are written again") == 1);
}
