//! What the admin listener asks of a server.

use crate::broker::TakeCensus;
use crate::journal::{Journal, JournalHealth};
use crate::server::admin::{self, RecentLedger, SourceHealth};
use crate::server::admission::Admission;
use crate::session::Shared;
use crate::source::{RECENT, SourceStatus};
use actix::Recipient;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A source that has delivered no ledger for this long is not ready. Every ledger that we know
/// closes one in seconds.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// What it is told from.
pub(super) struct Health {
    /// With the addresses that they ask.
    pub sources: Vec<(Arc<SourceStatus>, Vec<String>)>,
    pub admission: Arc<Admission>,
    pub shared: Arc<Shared>,
    pub journal: Option<Arc<Journal>>,
}

impl admin::Health for Health {
    fn sources(&self) -> Vec<SourceHealth> {
        let health = |(status, endpoints): &(Arc<SourceStatus>, Vec<String>)| {
            let known = status.snapshot();
            SourceHealth {
                name: status.name.clone(),
                endpoints: endpoints.clone(),
                last_ledger_age: known.last_posted.map(|posted| posted.elapsed()),
                stale_after: Some(STALE_AFTER),
                known,
            }
        };
        self.sources.iter().map(health).collect()
    }

    fn journal(&self) -> Option<JournalHealth> {
        self.journal.as_ref().map(|journal| journal.health())
    }

    fn draining(&self) -> bool {
        self.admission.is_draining()
    }

    fn connections(&self) -> usize {
        self.admission.open()
    }

    fn recent(&self) -> Vec<(String, Vec<RecentLedger>)> {
        let of_source = |(status, _): &(Arc<SourceStatus>, Vec<String>)| {
            let routed: HashMap<u64, Option<u64>> =
                // Newest last: after a reset of the network a number may come twice.
                self.shared.history.routed_at(status.number, RECENT).into_iter().rev().collect();
            let recent = status.recent().into_iter();
            let with_routed = recent
                .map(|posted| RecentLedger { posted, routed_nanos: routed.get(&posted.ledger).copied().flatten() });
            (status.name.clone(), with_routed.collect())
        };
        self.sources.iter().map(of_source).collect()
    }

    fn workers(&self) -> Vec<(u16, Recipient<TakeCensus>)> {
        let routers = self.shared.routers.lock().unwrap_or_else(PoisonError::into_inner);
        routers.iter().map(|(number, router)| (*number, router.clone().recipient())).collect()
    }
}
