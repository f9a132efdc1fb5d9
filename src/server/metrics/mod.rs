//! What is counted, and what is told about sessions and connections.
//!
//! One [`Metrics`] for the process, shared. Whatever happens to a session is told here once: one
//! method moves the metric and writes the log line, so that the two never disagree. Worker threads
//! count for themselves and hand over sums once per ledger or tick.
//!
//! Labels are names from the settings or texts of the program. Nothing that a peer sends becomes a
//! label, since each new value would stay for ever.

mod consumers;
mod journal;
mod process;
mod sources;

use super::admin::SourceHealth;
use super::handshake::Refusal;
use crate::broker::{Lags, OUTBOX_TOTAL, SessionRef};
use crate::consumer;
use crate::dialect::Ending;
use crate::event::EventKind;
use journal::Journal;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use std::borrow::Cow;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The type of what [`Metrics::text`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Refusals are told in the log at most once in this time, with their count: anybody can cause them.
const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(10);

type Label = (&'static str, Cow<'static, str>);
type Counters<const LABELS: usize> = Family<[Label; LABELS], Counter>;
type Gauges<const LABELS: usize> = Family<[Label; LABELS], Gauge>;
type Seconds<const LABELS: usize> = Family<[Label; LABELS], Gauge<f64, AtomicU64>>;

/// The end of a session.
#[derive(Debug, Clone, Copy)]
pub struct Closed<'a, Peer> {
    /// The dialect's name.
    pub dialect: &'static str,
    /// Which session.
    pub session: SessionRef,
    /// Where the client was.
    pub peer: &'a Peer,
    /// The close code; `None`: the connection ended without a close.
    pub code: Option<u16>,
    /// Why: a text of the program, never the client's.
    pub reason: &'static str,
    /// Whether we ended it and not the client.
    pub by_us: bool,
    /// Ledgers that the session was behind the head.
    pub lag_ledgers: u64,
    /// How long it lived.
    pub lived: Duration,
}

/// Everything that is counted. Shared in an `Arc`.
pub struct Metrics {
    registry: Registry,
    started: Instant,
    started_at: SystemTime,
    sessions: Gauges<1>,
    opened: Counters<1>,
    closed: Counters<3>,
    refused: Counters<1>,
    arrived: Gauge,
    ledgers: Counters<1>,
    events: Counters<2>,
    frames_queued: Counters<1>,
    /// Over all dialects; not exported, since scrapers can add.
    frames_queued_sum: Counter,
    frames_rendered: Counter,
    written_bytes: Counter,
    socket_writes: Counter,
    inbound_messages: Counters<1>,
    calls: Counters<2>,
    protocol_errors: Counters<2>,
    lagging: Gauges<1>,
    replaying: Gauges<1>,
    behind: Gauges<2>,
    largest_lag: Gauges<1>,
    outbox_bytes: Gauges<1>,
    inbound_bytes: Gauges<1>,
    history_bytes: Gauges<1>,
    history_ledgers: Gauges<1>,
    journal: Journal,
    consumers: Mutex<Vec<Arc<consumer::Status>>>,
    refusals_untold: AtomicU64,
    /// Milliseconds after `started`, plus one; 0: never.
    refusals_told_at: AtomicU64,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn label(key: &'static str, value: &'static str) -> Label {
    (key, Cow::Borrowed(value))
}

fn named(key: &'static str, value: &str) -> Label {
    (key, Cow::Owned(value.to_owned()))
}

fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    register(registry, name, help, metric.clone());
    metric
}

fn register(registry: &mut Registry, name: &str, help: &str, metric: impl Metric) {
    #[cfg(test)]
    tests::note(name);
    // The library ends the sentence.
    registry.register(name, help, metric);
}

fn registry() -> Registry {
    Registry::with_prefix("ledgercast")
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = registry();
        let r = &mut registry;
        Metrics {
            started: Instant::now(),
            started_at: SystemTime::now(),
            sessions: registered(r, "sessions_open", "Open sessions"),
            opened: registered(r, "sessions_opened", "Sessions opened"),
            closed: registered(r, "sessions_closed", "Sessions closed, by close code and reason"),
            refused: registered(r, "connections_refused", "Connections refused before they became sessions"),
            arrived: registered(r, "connections_arrived", "Connections that are no WebSockets, or not yet"),
            ledgers: registered(r, "ledgers", "Ledgers taken from a source"),
            events: registered(r, "events", "Events taken from a source, before filtering"),
            frames_queued: registered(r, "frames_queued", "Events queued to clients whose filters they match"),
            frames_queued_sum: Counter::default(),
            frames_rendered: registered(r, "frames_rendered", "Event frames written in a dialect's form, once for all"),
            written_bytes: registered(r, "written_bytes", "Bytes that sockets took"),
            socket_writes: registered(r, "socket_writes", "Write calls on sockets"),
            inbound_messages: registered(r, "inbound_messages", "Messages from clients"),
            calls: registered(r, "upstream_calls", "Clients' own calls to a ledger's RPC, by outcome"),
            protocol_errors: registered(
                r,
                "protocol_errors",
                "Messages from clients that their dialect does not allow",
            ),
            lagging: registered(r, "sessions_lagging", "Sessions behind the head, fed from history"),
            replaying: registered(r, "sessions_replaying", "Sessions behind the head because they replay"),
            behind: registered(r, "sessions_behind", "Sessions behind the head by so many ledgers at most"),
            largest_lag: registered(r, "sessions_largest_lag_ledgers", "Ledgers that the slowest session is behind"),
            outbox_bytes: registered(r, "outbox_bytes", "Bytes waiting in front of sockets"),
            inbound_bytes: registered(r, "inbound_bytes", "Bytes of messages that have not ended yet"),
            history_bytes: registered(r, "history_bytes", "Memory of the recent ledgers of a source"),
            history_ledgers: registered(r, "history_ledgers", "Recent ledgers of a source in memory"),
            journal: Journal::registered(r),
            consumers: Mutex::default(),
            refusals_untold: AtomicU64::new(0),
            refusals_told_at: AtomicU64::new(0),
            registry,
        }
    }
}

impl Metrics {
    /// A session was opened.
    pub fn session_opened(&self, dialect: &'static str, session: SessionRef, peer: &impl Display) {
        self.sessions.get_or_create(&[label("dialect", dialect)]).inc();
        self.opened.get_or_create(&[label("dialect", dialect)]).inc();
        log::debug!(dialect = dialect, session:% = session, peer:% = peer; "session opened");
    }

    /// A session ended. A client that was too slow is told at `warn`, what else we ended for reasons of ours at
    /// `info`, what the client brought about at `debug`.
    pub fn session_closed<Peer: Display>(&self, closed: Closed<'_, Peer>) {
        let Closed { dialect, session, peer, code, reason, by_us, lag_ledgers, lived } = closed;
        self.sessions.get_or_create(&[label("dialect", dialect)]).dec();
        // A client can send a thousand different codes; the ones that we or the RFC know get a label each.
        let code_label = match code {
            None => Cow::Borrowed("none"),
            Some(code) if by_us || (1000..=1015).contains(&code) => Cow::Owned(code.to_string()),
            Some(_) => Cow::Borrowed("other"),
        };
        self.closed.get_or_create(&[label("dialect", dialect), ("code", code_label), label("reason", reason)]).inc();
        let ended_by = |endings: &[Ending]| endings.iter().any(|ending| ending.name() == reason);
        let level = match by_us {
            true if ended_by(&[Ending::TooSlow]) || reason == OUTBOX_TOTAL => log::Level::Warn,
            true if ended_by(&[Ending::Shutdown, Ending::Gap, Ending::Dead, Ending::Revoked]) => log::Level::Info,
            // What a client brings about by what it sends, anybody can a thousand times in a second.
            _ => log::Level::Debug,
        };
        log::log!(
            level, dialect = dialect, session:% = session, peer:% = peer, code = code, reason = reason,
            lag_ledgers = lag_ledgers, lived_ms = u64::try_from(lived.as_millis()).unwrap_or(u64::MAX);
            "session closed"
        );
    }

    /// A connection was refused before it became a session.
    pub fn connection_refused(&self, refusal: Refusal, peer: &impl Display) {
        self.refused.get_or_create(&[label("reason", refusal.name())]).inc();
        self.refusals_untold.fetch_add(1, Ordering::Relaxed);
        if self.may_tell_refusals() {
            let count = self.refusals_untold.swap(0, Ordering::Relaxed);
            log::warn!(reason = refusal.name(), peer:% = peer, count = count; "connections refused; this is the latest");
        }
    }

    /// A connection was accepted that has not asked for anything yet.
    pub fn connection_arrived(&self) {
        self.arrived.inc();
    }

    /// It has become a session or is gone. That nothing was asked for is counted and not told: those who look
    /// whether a port is open do it all the time.
    pub fn connection_left(&self, asked: bool) {
        self.arrived.dec();
        if !asked {
            self.refused.get_or_create(&[label("reason", Refusal::NoRequest.name())]).inc();
        }
    }

    /// Whether it is time again; true for one caller only.
    fn may_tell_refusals(&self) -> bool {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let told = self.refusals_told_at.load(Ordering::Relaxed);
        let due = told == 0 || now - told.min(now) >= REFUSALS_TOLD_EVERY.as_millis() as u64;
        due && self.refusals_told_at.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// A client's call to a source's RPC ended; `outcome` is a word of the program.
    pub fn called(&self, source: &str, outcome: &'static str) {
        self.calls.get_or_create(&[named("source", source), label("outcome", outcome)]).inc();
    }

    /// A client sent what its dialect does not allow; `kind` is the dialect's word for it.
    pub fn protocol_error(&self, dialect: &'static str, kind: &'static str, session: SessionRef) {
        self.protocol_errors.get_or_create(&[label("dialect", dialect), label("kind", kind)]).inc();
        log::debug!(dialect = dialect, session:% = session, kind = kind; "protocol error");
    }

    /// The broker took a ledger; `events` says how many events of each kind it brought.
    pub fn ledger_taken(&self, source: &str, events: impl IntoIterator<Item = (EventKind, u64)>) {
        self.ledgers.get_or_create(&[named("source", source)]).inc();
        for (kind, count) in events {
            self.events.get_or_create(&[named("source", source), label("kind", kind.name())]).inc_by(count);
        }
    }

    /// What history holds of a source now.
    pub fn history(&self, source: &str, bytes: usize, ledgers: usize) {
        self.history_bytes.get_or_create(&[named("source", source)]).set(gauge(bytes));
        self.history_ledgers.get_or_create(&[named("source", source)]).set(gauge(ledgers));
    }

    /// So many event frames were queued to clients of a dialect.
    pub fn frames_queued(&self, dialect: &'static str, count: u64) {
        self.frames_queued.get_or_create(&[label("dialect", dialect)]).inc_by(count);
        self.frames_queued_sum.inc_by(count);
    }

    /// Event frames queued to clients of all dialects since start.
    pub fn deliveries(&self) -> u64 {
        self.frames_queued_sum.get()
    }

    /// So many event frames were rendered.
    pub fn frames_rendered(&self, count: u64) {
        self.frames_rendered.inc_by(count);
    }

    /// Sockets took so many bytes in so many writes.
    pub fn written(&self, bytes: u64, writes: u64) {
        self.written_bytes.inc_by(bytes);
        self.socket_writes.inc_by(writes);
    }

    /// Clients of a dialect sent so many messages.
    pub fn inbound_messages(&self, dialect: &'static str, count: u64) {
        self.inbound_messages.get_or_create(&[label("dialect", dialect)]).inc_by(count);
    }

    /// How a worker thread stands now.
    pub fn worker(&self, worker: usize, lags: Lags, outbox_bytes: usize, inbound_bytes: usize) {
        let label = ("worker", Cow::Owned(worker.to_string()));
        for ((name, _), sessions) in Lags::CLASSES.into_iter().zip(lags.sessions) {
            let labels = [label.clone(), ("ledgers", Cow::Borrowed(name))];
            self.behind.get_or_create(&labels).set(gauge(sessions));
        }
        let label = [label];
        self.lagging.get_or_create(&label).set(gauge(lags.sessions.iter().sum::<usize>()));
        self.replaying.get_or_create(&label).set(gauge(lags.replaying));
        self.largest_lag.get_or_create(&label).set(gauge(lags.largest));
        self.outbox_bytes.get_or_create(&label).set(gauge(outbox_bytes));
        self.inbound_bytes.get_or_create(&label).set(gauge(inbound_bytes));
    }

    /// A consumer whose state shall be read at each scrape.
    pub fn add_consumer(&self, status: Arc<consumer::Status>) {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner).push(status);
    }

    /// How the consumers are.
    fn consumers(&self) -> Vec<consumer::Health> {
        let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.iter().map(|status| status.health()).collect()
    }

    /// Everything in the OpenMetrics text form, which Prometheus reads; sources and open
    /// connections as they are now.
    pub fn text(&self, sources: &[SourceHealth], connections: usize) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &sources::registry_of(sources))?;
        encode_registry(&mut text, &consumers::registry_of(&self.consumers()))?;
        encode_registry(&mut text, &process::server(connections))?;
        encode_registry(&mut text, &process::standard(self.started_at))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

fn gauge(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
