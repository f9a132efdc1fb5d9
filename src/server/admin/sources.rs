//! How the sources are: whether the server is ready, and everything known of each.

use super::{Admin, Health, fresh};
use crate::source::{Snapshot, State, Trouble};
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a source is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceHealth {
    /// Its name in the settings.
    pub name: String,
    /// The addresses that it asks, without what may be secret in them.
    pub endpoints: Vec<String>,
    /// What is known of it.
    pub known: Snapshot,
    /// How long ago its last ledger was posted.
    pub last_ledger_age: Option<Duration>,
    /// From this age on the source counts as not delivering; `None`: never.
    pub stale_after: Option<Duration>,
}

impl SourceHealth {
    /// Why the source is not ready; empty: it is.
    pub fn troubles(&self) -> Vec<String> {
        let error = || self.current_error().map(|error| format!("; last error: {error}")).unwrap_or_default();
        let silent = match (self.known.state, &self.known.held, self.last_ledger_age) {
            (State::Stopped, ..) => Some(format!("stopped{}", error())),
            // At once: nothing will come before a person has looked.
            (_, Some(held), _) => Some(held.what.clone()),
            _ if self.known.ended.is_some() => None,
            (.., None) => Some(format!("no ledger yet{}", error())),
            (.., Some(age)) if self.stale_after.is_some_and(|limit| age >= limit) => {
                Some(format!("no ledger for {} s{}", age.as_secs(), error()))
            }
            _ => None,
        };
        let checkpoint = self.known.checkpoint_error.as_ref().map(|error| error.what.clone());
        silent.into_iter().chain(checkpoint).collect()
    }

    /// Ledgers between it and the tip of its network, where the RPC tells.
    pub fn behind(&self) -> Option<u64> {
        let (newest, last) = self.known.newest_ledger.zip(self.known.last_ledger)?;
        Some(newest.saturating_sub(last))
    }

    /// What went wrong last, if nothing went right since.
    fn current_error(&self) -> Option<&str> {
        let error = self.known.last_error.as_ref()?;
        (self.known.state == State::Failing).then_some(error.what.as_str())
    }

    /// To the millisecond.
    fn age_seconds(&self) -> Option<f64> {
        self.last_ledger_age.map(|age| age.as_millis() as f64 / 1000.0)
    }
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
    draining: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<JournalReadiness>,
    sources: Vec<SourceReadiness>,
}

#[derive(Debug, Serialize)]
struct JournalReadiness {
    ready: bool,
    bytes: u64,
    oldest: Option<String>,
    lost_ledgers: u64,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct SourceReadiness {
    name: String,
    ready: bool,
    state: State,
    last_ledger: Option<u64>,
    last_ledger_age_seconds: Option<f64>,
    behind: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
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
        let troubles = source.troubles();
        reasons.extend(troubles.iter().map(|reason| format!("source {}: {reason}", source.name)));
        sources.push(SourceReadiness {
            ready: troubles.is_empty(),
            state: source.known.state,
            last_ledger: source.known.last_ledger,
            last_ledger_age_seconds: source.age_seconds(),
            behind: source.behind(),
            ended: source.known.ended.clone(),
            reason: (!troubles.is_empty()).then(|| troubles.join("; ")),
            last_error: source.current_error().map(str::to_owned),
            name: source.name,
        });
    }
    let journal = health.journal().map(|known| JournalReadiness {
        ready: known.error.is_none(),
        bytes: known.bytes,
        oldest: known.oldest.and_then(|at| shown(Timestamp::try_from(at))),
        lost_ledgers: known.lost,
        reason: known.error,
    });
    reasons.extend(journal.as_ref().and_then(|known| known.reason.as_ref()).map(|why| format!("journal {why}")));
    Readiness { ready: reasons.is_empty(), reasons, draining, journal, sources }
}

/// `/readyz`.
pub(super) async fn readyz(admin: web::Data<Admin>) -> HttpResponse {
    let readiness = readiness(&*admin.health);
    fresh(if readiness.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() }, readiness)
}

/// Everything that is known of a source.
#[derive(Debug, Serialize)]
struct SourceReport {
    name: String,
    endpoints: Vec<String>,
    ready: bool,
    reasons: Vec<String>,
    state: State,
    network: Option<String>,
    last_ledger: Option<u64>,
    last_ledger_closed_at: Option<String>,
    last_ledger_age_seconds: Option<f64>,
    newest_ledger: Option<u64>,
    behind: Option<u64>,
    ledgers_posted: u64,
    events_posted: u64,
    untaken_batches: usize,
    errors: BTreeMap<&'static str, u64>,
    breaks: BTreeMap<&'static str, u64>,
    last_error: Option<TroubleReport>,
    checkpoint_ledger: Option<u64>,
    checkpoint_error: Option<TroubleReport>,
}

#[derive(Debug, Serialize)]
struct TroubleReport {
    what: String,
    at: Option<String>,
}

impl From<Trouble> for TroubleReport {
    fn from(Trouble { what, at }: Trouble) -> TroubleReport {
        TroubleReport { what, at: shown(Timestamp::try_from(at)) }
    }
}

/// A time to the millisecond; `None` for one that no calendar has.
fn shown(time: Result<Timestamp, jiff::Error>) -> Option<String> {
    time.ok().map(|time| format!("{time:.3}"))
}

impl From<SourceHealth> for SourceReport {
    fn from(source: SourceHealth) -> SourceReport {
        let reasons = source.troubles();
        let (behind, last_ledger_age_seconds) = (source.behind(), source.age_seconds());
        let known = source.known;
        SourceReport {
            name: source.name,
            endpoints: source.endpoints,
            ready: reasons.is_empty(),
            reasons,
            state: known.state,
            network: known.network.map(|network| network.to_string()),
            last_ledger: known.last_ledger,
            last_ledger_closed_at: known.last_closed_at.and_then(|seconds| shown(Timestamp::from_second(seconds))),
            last_ledger_age_seconds,
            newest_ledger: known.newest_ledger,
            behind,
            ledgers_posted: known.ledgers_posted,
            events_posted: known.events_posted,
            untaken_batches: known.untaken,
            errors: known.errors,
            breaks: known.breaks,
            last_error: known.last_error.map(TroubleReport::from),
            checkpoint_ledger: known.checkpoint_ledger,
            checkpoint_error: known.checkpoint_error.map(TroubleReport::from),
        }
    }
}

/// `/debug/sources`.
pub(super) async fn all(admin: web::Data<Admin>) -> HttpResponse {
    let sources: Vec<SourceReport> = admin.health.sources().into_iter().map(SourceReport::from).collect();
    fresh(HttpResponse::Ok(), serde_json::json!({ "sources": sources }))
}
