//! What the sources know themselves, read at each scrape.

use super::{Counters, Gauges, Seconds, gauge, named, registered, registry};
use crate::server::admin::SourceHealth;
use prometheus_client::registry::Registry;
use std::borrow::Cow;
use std::time::SystemTime;

/// The metrics of these sources.
pub(super) fn registry_of(sources: &[SourceHealth]) -> Registry {
    let mut registry = registry();
    let r = &mut registry;
    let ready: Gauges<1> = registered(r, "source_ready", "Whether a source is well: 1 or 0");
    let last: Gauges<1> = registered(r, "source_last_ledger", "The last ledger that a source delivered");
    let age: Seconds<1> = registered(r, "source_last_ledger_age_seconds", "Seconds since a source delivered a ledger");
    let close_age: Seconds<1> =
        registered(r, "source_close_age_seconds", "Seconds since the close time of the last ledger delivered");
    let behind: Gauges<1> = registered(r, "source_behind_ledgers", "Ledgers between a source and its network's tip");
    let untaken: Gauges<1> = registered(r, "source_untaken_batches", "Ledgers posted that the broker has not taken");
    let checkpoint: Gauges<1> = registered(r, "source_checkpoint_ledger", "The ledger of the last checkpoint on disk");
    let errors: Counters<2> = registered(r, "source_rpc_errors", "Errors of a source: failed calls and checkpoints");
    let breaks: Counters<2> = registered(r, "source_breaks", "Breaks in a source's row of ledgers that were announced");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    for source in sources {
        let (known, label) = (&source.known, [named("source", &source.name)]);
        ready.get_or_create(&label).set(i64::from(source.troubles().is_empty()));
        untaken.get_or_create(&label).set(gauge(known.untaken));
        if let Some(ledger) = known.last_ledger {
            last.get_or_create(&label).set(gauge(ledger));
        }
        if let Some(since) = source.last_ledger_age {
            age.get_or_create(&label).set(since.as_secs_f64());
        }
        if let Some(closed_at) = known.last_closed_at {
            close_age.get_or_create(&label).set(now - closed_at as f64);
        }
        if let Some(ledgers) = source.behind() {
            behind.get_or_create(&label).set(gauge(ledgers));
        }
        if let Some(ledger) = known.checkpoint_ledger {
            checkpoint.get_or_create(&label).set(gauge(ledger));
        }
        for (counts, family) in [(&known.errors, &errors), (&known.breaks, &breaks)] {
            for (kind, count) in counts {
                let labels = [named("source", &source.name), ("kind", Cow::Borrowed(*kind))];
                family.get_or_create(&labels).inc_by(*count);
            }
        }
    }
    registry
}
