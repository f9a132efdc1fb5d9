//! What the consumers know themselves, read at each scrape.

use super::{Counters, Gauges, gauge, named, registered, registry};
use crate::consumer::Health;
use prometheus_client::registry::Registry;
use std::borrow::Cow;

/// The metrics of these consumers.
pub(super) fn registry_of(consumers: &[Health]) -> Registry {
    let mut registry = registry();
    let r = &mut registry;
    let up: Gauges<1> = registered(r, "consumer_up", "Whether a consumer can write: 1 or 0");
    let lag: Gauges<2> = registered(r, "consumer_lag_ledgers", "Ledgers that a consumer has not written yet");
    let rows: Counters<2> = registered(r, "consumer_rows_written", "Rows that a consumer wrote and committed");
    let errors: Counters<2> = registered(r, "consumer_errors", "Errors of a consumer, by kind");
    for consumer in consumers {
        let name = || named("consumer", &consumer.name);
        up.get_or_create(&[name()]).set(i64::from(consumer.up));
        for source in &consumer.lags {
            lag.get_or_create(&[name(), named("source", &source.source)]).set(gauge(source.ledgers));
        }
        for (table, count) in &consumer.rows {
            rows.get_or_create(&[name(), ("table", Cow::Borrowed(*table))]).inc_by(*count);
        }
        for (kind, count) in &consumer.errors {
            errors.get_or_create(&[name(), ("kind", Cow::Borrowed(*kind))]).inc_by(*count);
        }
    }
    registry
}
