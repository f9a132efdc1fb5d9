//! The listener for operators: is it alive, is it ready, what does it count.
//!
//! In: what sources and the server know of themselves, through [`Health`]. Out: `/livez` (the
//! process answers), `/readyz` (every source delivers and the server is not about to stop: 200,
//! else 503; JSON with the reasons either way), `/metrics`, and `/debug/ledgers` (when recent ledgers
//! were posted, on the machine's monotonic clock).

use super::metrics::{CONTENT_TYPE, Metrics};
use crate::source::Recent;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE as CONTENT_TYPE_HEADER};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What the admin listener asks at each request. Must answer at once: it is asked on a worker's thread.
pub trait Health: Send + Sync + 'static {
    /// The sources, in the order of the settings.
    fn sources(&self) -> Vec<SourceHealth>;

    /// Whether the server is about to stop.
    fn draining(&self) -> bool;

    /// The ledgers posted lately, by source name, oldest first.
    fn recent(&self) -> Vec<(String, Vec<Recent>)>;
}

/// How a source is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceHealth {
    /// Its name in the settings.
    pub name: String,
    /// What it does.
    pub state: SourceState,
    /// The last ledger that the broker took from it.
    pub last_ledger: Option<u64>,
    /// How long ago that was.
    pub last_ledger_age: Option<Duration>,
    /// From this age on the source counts as not delivering; `None`: never.
    pub stale_after: Option<Duration>,
    /// Ledgers between it and the tip of its network, where the RPC tells.
    pub behind: Option<u64>,
    /// What went wrong last, if nothing went right since; one line without secrets (no query or
    /// path of an RPC's address).
    pub last_error: Option<String>,
    /// Failed calls since start, by kind.
    pub rpc_errors: Vec<(&'static str, u64)>,
}

/// What a source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Asks the network who it is and where to begin.
    #[default]
    Opening,
    /// At the tip.
    Live,
    /// Behind the tip, reading as fast as it may.
    CatchingUp,
    /// The last call failed; tries again.
    Retrying,
    /// Waits for an operator.
    Stopped,
}

impl SourceHealth {
    /// Why the source is not ready; `None`: it is.
    pub fn trouble(&self) -> Option<String> {
        let what = match (self.state, self.last_ledger_age) {
            (SourceState::Stopped, _) => "stopped".to_owned(),
            (_, None) => "no ledger yet".to_owned(),
            (_, Some(age)) if self.stale_after.is_some_and(|limit| age >= limit) => {
                format!("no ledger for {} s", age.as_secs())
            }
            _ => return None,
        };
        let error = self.last_error.as_ref().map(|error| format!("; last error: {error}")).unwrap_or_default();
        Some(format!("{what}{error}"))
    }
}

/// What the routes need.
#[derive(Clone)]
pub struct Admin {
    /// How the sources and the server are.
    pub health: Arc<dyn Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Admin {
    /// Puts the routes into an `App`: `App::new().configure(|app| admin.routes(app))`.
    pub fn routes(&self, app: &mut web::ServiceConfig) {
        app.app_data(web::Data::new(self.clone()))
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics))
            .route("/debug/ledgers", web::get().to(ledgers));
    }
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
    draining: bool,
    sources: Vec<SourceReadiness>,
}

#[derive(Debug, Serialize)]
struct SourceReadiness {
    name: String,
    ready: bool,
    state: SourceState,
    last_ledger: Option<u64>,
    /// To the millisecond.
    last_ledger_age_seconds: Option<f64>,
    behind: Option<u64>,
    reason: Option<String>,
    last_error: Option<String>,
}

fn readiness(health: &dyn Health) -> Readiness {
    let draining = health.draining();
    let mut reasons = Vec::new();
    if draining {
        reasons.push("the server is about to stop".to_owned());
    }
    let mut sources = Vec::new();
    for source in health.sources() {
        let reason = source.trouble();
        reasons.extend(reason.as_ref().map(|reason| format!("source {}: {reason}", source.name)));
        sources.push(SourceReadiness {
            name: source.name,
            ready: reason.is_none(),
            state: source.state,
            last_ledger: source.last_ledger,
            last_ledger_age_seconds: source.last_ledger_age.map(|age| age.as_millis() as f64 / 1000.0),
            behind: source.behind,
            reason,
            last_error: source.last_error,
        });
    }
    Readiness { ready: reasons.is_empty(), reasons, draining, sources }
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).body("ok")
}

async fn readyz(admin: web::Data<Admin>) -> HttpResponse {
    let readiness = readiness(&*admin.health);
    let mut answer = if readiness.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.insert_header((CACHE_CONTROL, "no-store")).json(readiness)
}

async fn metrics(admin: web::Data<Admin>) -> HttpResponse {
    match admin.metrics.text(&admin.health.sources()) {
        Ok(text) => HttpResponse::Ok().insert_header((CONTENT_TYPE_HEADER, CONTENT_TYPE)).body(text),
        Err(_) => HttpResponse::InternalServerError().body("the metrics cannot be written"),
    }
}

/// When recent ledgers were posted, on the monotonic clock: what latency counts from.
async fn ledgers(admin: web::Data<Admin>) -> HttpResponse {
    let of_source = |(name, recent): (String, Vec<Recent>)| {
        let ledger = |ledger: Recent| serde_json::json!({ "ledger": ledger.ledger, "posted_nanos": ledger.posted_nanos, "events": ledger.events });
        (name, recent.into_iter().map(ledger).collect())
    };
    let sources: serde_json::Map<String, serde_json::Value> =
        admin.health.recent().into_iter().map(of_source).collect();
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{App, test};
    use serde_json::{Value, json};

    struct Fixed(Vec<SourceHealth>, bool);
    impl Health for Fixed {
        fn sources(&self) -> Vec<SourceHealth> {
            self.0.clone()
        }
        fn draining(&self) -> bool {
            self.1
        }
        fn recent(&self) -> Vec<(String, Vec<Recent>)> {
            vec![("main".to_owned(), vec![Recent { ledger: 42, posted_nanos: 7, events: 3 }])]
        }
    }

    /// Status, content type and body of a GET.
    fn get(path: &str, health: Fixed) -> (u16, String, String) {
        actix_web::rt::System::new().block_on(async {
            let admin = Admin { health: Arc::new(health), metrics: Arc::default() };
            let app = test::init_service(App::new().configure(|app| admin.routes(app))).await;
            let answer = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            let kind = answer.headers().get(CONTENT_TYPE_HEADER).map_or("", |kind| kind.to_str().unwrap()).to_owned();
            let status = answer.status().as_u16();
            (status, kind, String::from_utf8(test::read_body(answer).await.to_vec()).unwrap())
        })
    }

    fn readyz(health: Fixed) -> (u16, Value) {
        let (status, kind, body) = get("/readyz", health);
        assert_eq!(kind, "application/json");
        (status, serde_json::from_str(&body).unwrap())
    }

    fn live() -> SourceHealth {
        SourceHealth {
            name: "main".to_owned(),
            state: SourceState::Live,
            last_ledger: Some(42),
            last_ledger_age: Some(Duration::from_millis(1500)),
            stale_after: Some(Duration::from_secs(60)),
            ..SourceHealth::default()
        }
    }

    #[test]
    fn alive() {
        let (status, _, body) = get("/livez", Fixed(vec![], true));
        assert_eq!((status, body.as_str()), (200, "ok"));
        assert_eq!(get("/other", Fixed(vec![], false)).0, 404);
    }

    #[test]
    fn ready() {
        let (status, body) = readyz(Fixed(vec![live()], false));
        let source = json!({
            "name": "main", "ready": true, "state": "live", "last_ledger": 42, "last_ledger_age_seconds": 1.5,
            "behind": null, "reason": null, "last_error": null,
        });
        assert_eq!(
            (status, body),
            (200, json!({"ready": true, "reasons": [], "draining": false, "sources": [source]}))
        );
    }

    #[test]
    fn not_ready_says_why() {
        let opening = SourceHealth {
            last_error: Some("connection refused".to_owned()),
            state: SourceState::Retrying,
            last_ledger: None,
            last_ledger_age: None,
            ..live()
        };
        let stale = SourceHealth { last_ledger_age: Some(Duration::from_secs(61)), ..live() };
        let stopped = SourceHealth { state: SourceState::Stopped, ..live() };
        for (source, draining, reason) in [
            (opening, false, "source main: no ledger yet; last error: connection refused"),
            (stale, false, "source main: no ledger for 61 s"),
            (stopped, false, "source main: stopped"),
            (live(), true, "the server is about to stop"),
        ] {
            let (status, body) = readyz(Fixed(vec![source], draining));
            assert_eq!((status, &body["ready"], &body["reasons"]), (503, &json!(false), &json!([reason])));
        }
        // An error after which ledgers still come is told, but the source is ready.
        let error = SourceHealth { last_error: Some("timeout".to_owned()), state: SourceState::Retrying, ..live() };
        let (status, body) = readyz(Fixed(vec![error], false));
        assert_eq!((status, &body["sources"][0]["last_error"]), (200, &json!("timeout")));
    }

    #[test]
    fn metrics() {
        let (status, kind, body) = get("/metrics", Fixed(vec![live()], false));
        assert_eq!((status, kind.as_str()), (200, CONTENT_TYPE));
        assert!(body.contains("ledgercast_source_last_ledger{source=\"main\"} 42\n"), "{body}");
        assert!(body.contains("ledgercast_source_ready{source=\"main\"} 1\n"), "{body}");
        assert!(body.ends_with("# EOF\n"));
    }

    #[test]
    fn tells_when_ledgers_were_posted() {
        let (status, _, body) = get("/debug/ledgers", Fixed(Vec::new(), false));
        let expected = json!({ "main": [{ "ledger": 42, "posted_nanos": 7, "events": 3 }] });
        assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, expected));
    }
}
