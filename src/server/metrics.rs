//! What is counted, and what is told about sessions and connections.
//!
//! One [`Metrics`] for the process, shared. Whatever happens to a session is told here once: one
//! method moves the metric and writes the log line, so that the two never disagree. Worker threads
//! count for themselves and hand over sums once per ledger or tick.
//!
//! Labels are names from the settings or texts of the program. Nothing that a peer sends becomes a
//! label, since each new value would stay for ever.

use super::admin::SourceHealth;
use super::handshake::Refusal;
use crate::event::EventKind;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use std::borrow::Cow;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The type of what [`Metrics::text`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Refusals are told in the log at most once in this time, with their count: anybody can cause them.
const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(10);

type Label = (&'static str, Cow<'static, str>);
type Counters<const LABELS: usize> = Family<[Label; LABELS], Counter>;
type Gauges<const LABELS: usize> = Family<[Label; LABELS], Gauge>;

/// The end of a session.
#[derive(Debug, Clone, Copy)]
pub struct Closed<'a, Peer> {
    /// The dialect's name.
    pub dialect: &'static str,
    /// The session's number.
    pub session: u64,
    /// Where the client was.
    pub peer: &'a Peer,
    /// The close code; `None`: the connection ended without a close.
    pub code: Option<u16>,
    /// Why: a text of the program, never the client's.
    pub reason: &'static str,
    /// Whether we ended it and not the client.
    pub by_us: bool,
    /// Events between the session's position and the head, before filtering.
    pub lag: u64,
    /// How long it lived.
    pub lived: Duration,
}

/// Everything that is counted. Shared in an `Arc`.
pub struct Metrics {
    registry: Registry,
    started: Instant,
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
    protocol_errors: Counters<2>,
    lagging: Gauges<1>,
    outbox_bytes: Gauges<1>,
    history_bytes: Gauges<1>,
    history_ledgers: Gauges<1>,
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
    // The library ends the sentence.
    registry.register(name, help, metric.clone());
    metric
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
            sessions: registered(r, "sessions_open", "Open sessions"),
            opened: registered(r, "sessions_opened", "Sessions opened"),
            closed: registered(r, "sessions_closed", "Sessions closed, by close code and reason"),
            refused: registered(r, "connections_refused", "Connections refused before they became sessions"),
            arrived: registered(r, "connections_arrived", "Connections that are no WebSockets, or not yet"),
            ledgers: registered(r, "ledgers", "Ledgers taken from a source"),
            events: registered(r, "events", "Events taken from a source, before filtering"),
            frames_queued: registered(r, "frames_queued", "Event frames queued to clients: the deliveries"),
            frames_queued_sum: Counter::default(),
            frames_rendered: registered(r, "frames_rendered", "Event frames written in a dialect's form, once for all"),
            written_bytes: registered(r, "written_bytes", "Bytes that sockets took"),
            socket_writes: registered(r, "socket_writes", "Write calls on sockets"),
            inbound_messages: registered(r, "inbound_messages", "Messages from clients"),
            protocol_errors: registered(
                r,
                "protocol_errors",
                "Messages from clients that their dialect does not allow",
            ),
            lagging: registered(r, "sessions_lagging", "Sessions behind the head, fed from history"),
            outbox_bytes: registered(r, "outbox_bytes", "Bytes waiting in front of sockets"),
            history_bytes: registered(r, "history_bytes", "Memory of the recent ledgers of a source"),
            history_ledgers: registered(r, "history_ledgers", "Recent ledgers of a source in memory"),
            refusals_untold: AtomicU64::new(0),
            refusals_told_at: AtomicU64::new(0),
            registry,
        }
    }
}

impl Metrics {
    /// A session was opened.
    pub fn session_opened(&self, dialect: &'static str, session: u64, peer: &impl Display) {
        self.sessions.get_or_create(&[label("dialect", dialect)]).inc();
        self.opened.get_or_create(&[label("dialect", dialect)]).inc();
        log::debug!(dialect = dialect, session = session, peer:% = peer; "session opened");
    }

    /// A session ended. What we ended is told at `info`, what the client ended at `debug`.
    pub fn session_closed<Peer: Display>(&self, closed: Closed<'_, Peer>) {
        let Closed { dialect, session, peer, code, reason, by_us, lag, lived } = closed;
        self.sessions.get_or_create(&[label("dialect", dialect)]).dec();
        // A client can send a thousand different codes; the ones that we or the RFC know get a label each.
        let code_label = match code {
            None => Cow::Borrowed("none"),
            Some(code) if by_us || (1000..=1015).contains(&code) => Cow::Owned(code.to_string()),
            Some(_) => Cow::Borrowed("other"),
        };
        self.closed.get_or_create(&[label("dialect", dialect), ("code", code_label), label("reason", reason)]).inc();
        let level = if by_us { log::Level::Info } else { log::Level::Debug };
        log::log!(
            level, dialect = dialect, session = session, peer:% = peer, code = code, reason = reason, lag = lag,
            lived_ms = u64::try_from(lived.as_millis()).unwrap_or(u64::MAX);
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

    /// A client sent what its dialect does not allow; `kind` is the dialect's word for it.
    pub fn protocol_error(&self, dialect: &'static str, kind: &'static str, session: u64) {
        self.protocol_errors.get_or_create(&[label("dialect", dialect), label("kind", kind)]).inc();
        log::debug!(dialect = dialect, session = session, kind = kind; "protocol error");
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

    /// What stands at a worker thread now.
    pub fn worker(&self, worker: usize, lagging_sessions: usize, outbox_bytes: usize) {
        let label = [("worker", Cow::Owned(worker.to_string()))];
        self.lagging.get_or_create(&label).set(gauge(lagging_sessions));
        self.outbox_bytes.get_or_create(&label).set(gauge(outbox_bytes));
    }

    /// Everything in the OpenMetrics text form, which Prometheus reads; `sources` as they are now.
    pub fn text(&self, sources: &[SourceHealth]) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &source_registry(sources))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

fn gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What the sources know themselves, read at each scrape.
fn source_registry(sources: &[SourceHealth]) -> Registry {
    let mut registry = registry();
    let r = &mut registry;
    let ready: Gauges<1> = registered(r, "source_ready", "Whether a source delivers: 1 or 0");
    let last: Gauges<1> = registered(r, "source_last_ledger", "The last ledger that a source delivered");
    let age: Family<[Label; 1], Gauge<f64, AtomicU64>> =
        registered(r, "source_last_ledger_age_seconds", "Seconds since a source delivered a ledger");
    let behind: Gauges<1> = registered(r, "source_behind_ledgers", "Ledgers between a source and its network's tip");
    let errors: Counters<2> = registered(r, "source_rpc_errors", "Failed calls of a source's RPC");
    for source in sources {
        let label = [named("source", &source.name)];
        ready.get_or_create(&label).set(i64::from(source.trouble().is_none()));
        if let Some(ledger) = source.last_ledger {
            last.get_or_create(&label).set(i64::try_from(ledger).unwrap_or(i64::MAX));
        }
        if let Some(since) = source.last_ledger_age {
            age.get_or_create(&label).set(since.as_secs_f64());
        }
        if let Some(ledgers) = source.behind {
            behind.get_or_create(&label).set(i64::try_from(ledgers).unwrap_or(i64::MAX));
        }
        for (kind, count) in &source.rpc_errors {
            let labels = [named("source", &source.name), ("kind", Cow::Borrowed(*kind))];
            errors.get_or_create(&labels).inc_by(*count);
        }
    }
    registry
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

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
            assert!(families.iter().any(|family| bare.trim_end_matches("_total") == family), "{line}");
            assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
        }
        samples
    }

    #[test]
    fn counts_and_reads_as_openmetrics() {
        let metrics = Metrics::default();
        metrics.session_opened("flow", 1, &"127.0.0.1");
        metrics.session_opened("flow", 2, &"127.0.0.1");
        let closed = Closed {
            dialect: "flow",
            session: 1,
            peer: &"127.0.0.1",
            code: Some(1008),
            reason: "too slow",
            by_us: true,
            lag: 7,
            lived: Duration::from_secs(1),
        };
        metrics.session_closed(closed);
        metrics.connection_refused(Refusal::ConnectionsPerAddress, &"127.0.0.1");
        metrics.protocol_error("flow", "invalid_filter", 2);
        metrics
            .ledger_taken("main", [(EventKind::Ledger, 1), (EventKind::ContractEvent, 2), (EventKind::SystemEvent, 3)]);
        metrics.history("main", 1000, 3);
        metrics.frames_queued("flow", 12);
        metrics.frames_rendered(6);
        metrics.written(4096, 2);
        metrics.inbound_messages("flow", 3);
        metrics.worker(0, 1, 512);
        let source = SourceHealth {
            name: "odd \"name\"\n".to_owned(),
            last_ledger: Some(42),
            last_ledger_age: Some(Duration::from_millis(1500)),
            behind: Some(2),
            rpc_errors: vec![("timeout", 5)],
            ..SourceHealth::default()
        };
        let samples = read(&metrics.text(&[source]).unwrap());
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
            (r#"ledgercast_sessions_lagging{worker="0"}"#, 1.0),
            (r#"ledgercast_outbox_bytes{worker="0"}"#, 512.0),
            (r#"ledgercast_source_last_ledger{source="odd \"name\"\n"}"#, 42.0),
            (r#"ledgercast_source_last_ledger_age_seconds{source="odd \"name\"\n"}"#, 1.5),
            (r#"ledgercast_source_behind_ledgers{source="odd \"name\"\n"}"#, 2.0),
            (r#"ledgercast_source_rpc_errors_total{source="odd \"name\"\n",kind="timeout"}"#, 5.0),
        ] {
            assert_eq!(samples.get(name), Some(&value), "{name} in {samples:#?}");
        }
    }

    #[test]
    fn clients_cannot_make_labels() {
        let metrics = Metrics::default();
        for code in 3000..5000 {
            let closed = Closed {
                dialect: "flow",
                session: 1,
                peer: &"127.0.0.1",
                code: Some(code),
                reason: "client",
                by_us: false,
                lag: 0,
                lived: Duration::ZERO,
            };
            metrics.session_closed(closed);
        }
        let samples = read(&metrics.text(&[]).unwrap());
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
}
