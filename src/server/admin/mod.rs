//! The listener for operators: is it alive, is it ready, what does it count, who is slow.
//!
//! In: what sources, Routers and the server know of themselves, through [`Health`]. Out: `/livez`
//! (the process answers), `/readyz` (every source delivers, its position is kept, and the server is
//! not about to stop: 200, else 503; JSON with the reasons either way), `/metrics`, and for people
//! `/debug/sources`, `/debug/sessions` and `/debug/ledgers`, all JSON.
//!
//! Nothing here can hold up the stream: the listener has a thread of its own, Routers are asked for
//! a bounded answer in bounded time, and everything else is a copy of what was noted anyway.

mod sessions;
mod sources;

pub use sources::SourceHealth;

use super::metrics::{CONTENT_TYPE, Metrics};
use crate::broker::TakeCensus;
use crate::journal::JournalHealth;
use crate::source::Recent;
use actix::Recipient;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE as CONTENT_TYPE_HEADER};
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use serde::Serialize;
use std::sync::Arc;

/// What the admin listener asks at each request. Must answer at once.
pub trait Health: Send + Sync + 'static {
    /// The sources, in the order of the settings.
    fn sources(&self) -> Vec<SourceHealth>;

    /// How the journal is, where there is one.
    fn journal(&self) -> Option<JournalHealth> {
        None
    }

    /// Whether the server is about to stop.
    fn draining(&self) -> bool;

    /// Connections of clients that are open.
    fn connections(&self) -> usize;

    /// The ledgers posted lately, by source name, oldest first.
    fn recent(&self) -> Vec<(String, Vec<RecentLedger>)>;

    /// Every worker thread that sessions live on, by number.
    fn workers(&self) -> Vec<(u16, Recipient<TakeCensus>)>;
}

/// A ledger that was posted lately, and when it had gone round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentLedger {
    /// The ledger, as its source knows it.
    pub posted: Recent,
    /// When every worker thread had taken it to its live sessions, nanoseconds of the monotonic
    /// clock; `None`: not yet, or history has forgotten it.
    pub routed_nanos: Option<u64>,
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
            .route("/readyz", web::get().to(sources::readyz))
            .route("/metrics", web::get().to(metrics))
            .route("/debug/sources", web::get().to(sources::all))
            .route("/debug/sessions", web::get().to(sessions::sessions))
            .route("/debug/ledgers", web::get().to(ledgers));
    }
}

/// An answer that is true for this moment only.
fn fresh(mut answer: HttpResponseBuilder, body: impl Serialize) -> HttpResponse {
    answer.insert_header((CACHE_CONTROL, "no-store")).json(body)
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).body("ok")
}

async fn metrics(admin: web::Data<Admin>) -> HttpResponse {
    match admin.metrics.text(&admin.health.sources(), admin.health.connections()) {
        Ok(text) => HttpResponse::Ok().insert_header((CONTENT_TYPE_HEADER, CONTENT_TYPE)).body(text),
        Err(_) => HttpResponse::InternalServerError().body("the metrics cannot be written"),
    }
}

/// When recent ledgers were posted and had gone round, on the monotonic clock: what latency counts from.
async fn ledgers(admin: web::Data<Admin>) -> HttpResponse {
    let ledger = |RecentLedger { posted, routed_nanos }: RecentLedger| {
        let Recent { ledger, posted_nanos, events } = posted;
        serde_json::json!({
            "ledger": ledger, "posted_nanos": posted_nanos, "routed_nanos": routed_nanos, "events": events,
        })
    };
    let of_source = |(name, recent): (String, Vec<RecentLedger>)| (name, recent.into_iter().map(ledger).collect());
    let sources: serde_json::Map<String, serde_json::Value> =
        admin.health.recent().into_iter().map(of_source).collect();
    fresh(HttpResponse::Ok(), sources)
}

#[cfg(test)]
mod tests;
