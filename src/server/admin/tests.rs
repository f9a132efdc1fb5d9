use super::*;
use crate::broker::{Census, WorkerCount};
use crate::source::{Snapshot, State, Trouble};
use actix::{Actor, Context, Handler, MessageResult, ResponseFuture};
use actix_web::{App, test};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

#[derive(Default)]
struct Fixed {
    sources: Vec<SourceHealth>,
    draining: bool,
    workers: Vec<(u16, Recipient<TakeCensus>)>,
}

impl Health for Fixed {
    fn sources(&self) -> Vec<SourceHealth> {
        self.sources.clone()
    }
    fn draining(&self) -> bool {
        self.draining
    }
    fn connections(&self) -> usize {
        5
    }
    fn recent(&self) -> Vec<(String, Vec<RecentLedger>)> {
        let recent = |ledger, routed_nanos| {
            let posted = Recent { ledger, posted_nanos: 7, events: 3 };
            RecentLedger { posted, routed_nanos }
        };
        vec![("main".to_owned(), vec![recent(42, Some(9)), recent(43, None)])]
    }
    fn workers(&self) -> Vec<(u16, Recipient<TakeCensus>)> {
        self.workers.clone()
    }
}

/// Status, content type and body of a GET.
async fn get(path: &str, health: Fixed) -> (u16, String, String) {
    let admin = Admin { health: Arc::new(health), metrics: Arc::default() };
    let app = test::init_service(App::new().configure(|app| admin.routes(app))).await;
    let answer = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
    let kind = answer.headers().get(CONTENT_TYPE_HEADER).map_or("", |kind| kind.to_str().unwrap()).to_owned();
    let status = answer.status().as_u16();
    (status, kind, String::from_utf8(test::read_body(answer).await.to_vec()).unwrap())
}

async fn json_of(path: &str, health: Fixed) -> (u16, Value) {
    let (status, kind, body) = get(path, health).await;
    assert_eq!(kind, "application/json");
    (status, serde_json::from_str(&body).unwrap())
}

async fn readyz(sources: Vec<SourceHealth>, draining: bool) -> (u16, Value) {
    json_of("/readyz", Fixed { sources, draining, ..Fixed::default() }).await
}

fn trouble(what: &str) -> Option<Trouble> {
    Some(Trouble { what: what.to_owned(), at: SystemTime::UNIX_EPOCH + Duration::from_millis(1500) })
}

fn live() -> SourceHealth {
    SourceHealth {
        name: "main".to_owned(),
        endpoints: vec!["http://127.0.0.1:8000".to_owned()],
        known: Snapshot { state: State::Live, last_ledger: Some(42), ..Snapshot::default() },
        last_ledger_age: Some(Duration::from_millis(1500)),
        stale_after: Some(Duration::from_secs(60)),
    }
}

/// A live source of which this is known as well.
fn known(change: impl FnOnce(&mut Snapshot)) -> SourceHealth {
    let mut source = live();
    change(&mut source.known);
    source
}

#[actix::test]
async fn alive() {
    let (status, _, body) = get("/livez", Fixed { draining: true, ..Fixed::default() }).await;
    assert_eq!((status, body.as_str()), (200, "ok"));
    assert_eq!(get("/other", Fixed::default()).await.0, 404);
}

#[actix::test]
async fn ready() {
    let (status, body) = readyz(vec![live()], false).await;
    let source = json!({
        "name": "main", "ready": true, "state": "live", "last_ledger": 42, "last_ledger_age_seconds": 1.5,
        "behind": null, "reason": null, "last_error": null,
    });
    assert_eq!((status, body), (200, json!({"ready": true, "reasons": [], "draining": false, "sources": [source]})));
}

#[actix::test]
async fn not_ready_says_why() {
    let opening = SourceHealth {
        last_ledger_age: None,
        ..known(|known| {
            (known.state, known.last_ledger) = (State::Failing, None);
            known.last_error = trouble("connection refused");
        })
    };
    let stale = SourceHealth { last_ledger_age: Some(Duration::from_secs(61)), ..live() };
    let stopped = known(|known| known.state = State::Stopped);
    // The last ledger came a second ago, and an address that is dead failed since.
    let held = known(|known| {
        (known.state, known.held) = (State::Failing, trouble("block 7 was replaced; set `on_deep_reorg: continue`"));
        known.last_error = trouble("connection refused");
    });
    let full = known(|known| known.checkpoint_error = trouble("checkpoint /x: no space; check `state_dir`"));
    for (source, draining, reason) in [
        (opening, false, "source main: no ledger yet; last error: connection refused"),
        (stale, false, "source main: no ledger for 61 s"),
        (stopped, false, "source main: stopped"),
        (held, false, "source main: block 7 was replaced; set `on_deep_reorg: continue`"),
        (full, false, "source main: checkpoint /x: no space; check `state_dir`"),
        (live(), true, "the server is about to stop"),
    ] {
        let (status, body) = readyz(vec![source], draining).await;
        assert_eq!((status, &body["ready"], &body["reasons"]), (503, &json!(false), &json!([reason])));
    }
    // An error after which ledgers still come is told, but the source is ready.
    let error = known(|known| (known.state, known.last_error) = (State::Failing, trouble("timeout")));
    let (status, body) = readyz(vec![error], false).await;
    assert_eq!((status, &body["sources"][0]["last_error"]), (200, &json!("timeout")));
    // One that is over is not.
    let over = known(|known| known.last_error = trouble("timeout"));
    let (status, body) = readyz(vec![over], false).await;
    assert_eq!((status, &body["sources"][0]["last_error"]), (200, &Value::Null));
}

#[actix::test]
async fn metrics() {
    let (status, kind, body) = get("/metrics", Fixed { sources: vec![live()], ..Fixed::default() }).await;
    assert_eq!((status, kind.as_str()), (200, CONTENT_TYPE));
    for sample in [
        "ledgercast_source_last_ledger{source=\"main\"} 42\n",
        "ledgercast_source_ready{source=\"main\"} 1\n",
        "ledgercast_connections_open 5\n",
    ] {
        assert!(body.contains(sample), "{sample} {body}");
    }
    assert!(body.ends_with("# EOF\n"));
}

#[actix::test]
async fn tells_when_ledgers_were_posted_and_routed() {
    let expected = json!({ "main": [
        { "ledger": 42, "posted_nanos": 7, "routed_nanos": 9, "events": 3 },
        { "ledger": 43, "posted_nanos": 7, "routed_nanos": null, "events": 3 },
    ]});
    assert_eq!(json_of("/debug/ledgers", Fixed::default()).await, (200, expected));
}

#[actix::test]
async fn tells_everything_of_a_source() {
    let source = known(|known| {
        known.network = Some("stellar-testnet".into());
        (known.newest_ledger, known.last_closed_at) = (Some(44), Some(1_795_259_844));
        (known.ledgers_posted, known.events_posted, known.untaken) = (10, 200, 1);
        known.errors = BTreeMap::from([("checkpoint", 1), ("timeout", 2)]);
        known.breaks = BTreeMap::from([("gap", 1)]);
        known.last_error = trouble("timeout");
        (known.checkpoint_ledger, known.checkpoint_error) = (Some(41), trouble("no space"));
    });
    let (status, body) = json_of("/debug/sources", Fixed { sources: vec![source], ..Fixed::default() }).await;
    let expected = json!({
        "name": "main", "endpoints": ["http://127.0.0.1:8000"], "ready": false, "reasons": ["no space"],
        "state": "live", "network": "stellar-testnet", "last_ledger": 42,
        "last_ledger_closed_at": "2026-11-21T11:17:24.000Z", "last_ledger_age_seconds": 1.5, "newest_ledger": 44,
        "behind": 2, "ledgers_posted": 10, "events_posted": 200, "untaken_batches": 1,
        "errors": {"checkpoint": 1, "timeout": 2}, "breaks": {"gap": 1},
        "last_error": {"what": "timeout", "at": "1970-01-01T00:00:01.500Z"},
        "checkpoint_ledger": 41, "checkpoint_error": {"what": "no space", "at": "1970-01-01T00:00:01.500Z"},
    });
    assert_eq!((status, body), (200, json!({ "sources": [expected] })));
}

/// A Router that answers at once.
struct Answers(u16);

impl Actor for Answers {
    type Context = Context<Self>;
}

impl Handler<TakeCensus> for Answers {
    type Result = MessageResult<TakeCensus>;
    fn handle(&mut self, asked: TakeCensus, _: &mut Self::Context) -> Self::Result {
        let worker = WorkerCount { worker: self.0, sessions: asked.limit, lagging: 0, replaying: 0, behind_ledgers: 0 };
        MessageResult(Census { worker, sessions: Vec::new() })
    }
}

/// One whose thread is stuck.
struct Stuck;

impl Actor for Stuck {
    type Context = Context<Self>;
}

impl Handler<TakeCensus> for Stuck {
    type Result = ResponseFuture<Census>;
    fn handle(&mut self, _: TakeCensus, _: &mut Self::Context) -> Self::Result {
        Box::pin(std::future::pending())
    }
}

#[actix::test]
async fn a_worker_that_does_not_answer_is_named() {
    let workers = vec![(1, Stuck.start().recipient()), (2, Answers(2).start().recipient())];
    let (status, body) = json_of("/debug/sessions?limit=3", Fixed { workers, ..Fixed::default() }).await;
    let expected = json!({
        "sort": "lag", "limit": 3, "not_answering": ["worker-1"], "sessions": [],
        "workers": [{"worker": 2, "sessions": 3, "lagging": 0, "replaying": 0, "behind_ledgers": 0}],
    });
    assert_eq!((status, body), (200, expected));
}

#[actix::test]
async fn a_wrong_question_is_answered_with_the_words() {
    let (status, body) = json_of("/debug/sessions?sort=slow", Fixed::default()).await;
    assert_eq!((status, &body["error"]), (400, &json!("`sort` must be one of lag, waiting, age, stalled, silent")));
}
