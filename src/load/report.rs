//! What a run came to: as text for people, as JSON for programs, and as figures for `--assert`.

use super::assertion::{Figure, Millis, Unit};
use super::latency::From;
use super::shared::Slow;
use super::verify::{Counts, Told};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The share of one core above which the generator may be what is slow.
const BUSY: f64 = 0.8;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where clients connected.
    pub url: String,
    /// What they spoke.
    pub dialect: String,
    /// How many there should be, slow ones among them.
    pub clients: usize,
    /// How many different filters they had.
    pub filters: usize,
    /// How long was measured, seconds.
    pub seconds: f64,
    /// Why it was not as long as asked for.
    pub ended_early: Option<&'static str>,
    /// How they connected.
    pub connecting: Connecting,
    /// What came while it was measured.
    pub delivered: Delivered,
    /// How long it took.
    pub latency: Latency,
    /// What was right and wrong, from the first event to the last.
    pub content: Content,
    /// What the server told.
    pub told: Told,
    /// Sessions that the server ended, by close code.
    pub closed: BTreeMap<String, u64>,
    /// What clients that are slow on purpose were told.
    pub slow: Slow,
    /// What the generator itself took.
    pub generator: Generator,
    /// Conditions of `--assert` that do not hold.
    pub failed_assertions: Vec<String>,
}

/// How clients connected.
#[derive(Debug, Serialize)]
pub struct Connecting {
    /// Sessions that were registered.
    pub connected: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Why, and how often.
    pub failures: BTreeMap<String, u64>,
    /// Clients that left and came back (`--churn`).
    pub came_back: u64,
    /// From the planned time of the connection to its registration.
    pub times: Times,
}

/// What came while it was measured.
#[derive(Debug, Serialize)]
pub struct Delivered {
    /// Events, counted once for each client.
    pub events: u64,
    /// Bytes, headers included.
    pub bytes: u64,
    /// Ledgers.
    pub ledgers: u64,
    /// Events in a second.
    pub events_per_second: f64,
}

/// How long events took.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// Where time counts from.
    pub from: From,
    /// The percentiles.
    pub times: Times,
    /// Events whose beginning was never learnt.
    pub unknown: u64,
}

/// Percentiles in nanoseconds; `None` where nothing was measured.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "their names say it")]
pub struct Times {
    pub samples: u64,
    pub p50_nanos: Option<u64>,
    pub p90_nanos: Option<u64>,
    pub p99_nanos: Option<u64>,
    pub p999_nanos: Option<u64>,
    pub max_nanos: Option<u64>,
}

/// What was right and wrong, from the first event to the last.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "their names say it, and `load --help` says more")]
pub struct Content {
    pub events: u64,
    pub lost: u64,
    pub late: u64,
    pub repeated: u64,
    pub reordered: u64,
    pub different: u64,
    pub mismatched: u64,
    /// Ledgers whose own event nobody got, though their neighbours came.
    pub missing_ledgers: u64,
    pub unreadable: u64,
    pub unjudged: u64,
    pub unchecked: u64,
}

/// What the generator took while it measured.
#[derive(Debug, Serialize)]
pub struct Generator {
    /// Share of one core.
    pub cpu: f64,
    /// Whether that is so much that figures may be the generator's and not the server's.
    pub busy: bool,
}

impl Times {
    /// Of a histogram in nanoseconds.
    pub fn of(times: &Histogram<u64>) -> Times {
        let at = |share| (!times.is_empty()).then(|| times.value_at_quantile(share));
        Times {
            samples: times.len(),
            p50_nanos: at(0.5),
            p90_nanos: at(0.9),
            p99_nanos: at(0.99),
            p999_nanos: at(0.999),
            max_nanos: at(1.0),
        }
    }

    fn text(&self) -> String {
        let [Some(p50), Some(p90), Some(p99), Some(p999), Some(max)] =
            [self.p50_nanos, self.p90_nanos, self.p99_nanos, self.p999_nanos, self.max_nanos].map(|it| it.map(Millis))
        else {
            return "nothing was measured".to_owned();
        };
        format!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}")
    }
}

impl Content {
    /// Of what the verifier counted.
    pub fn of(counts: &Counts, missing_ledgers: u64) -> Content {
        let Counts {
            events,
            lost,
            late,
            repeated,
            reordered,
            different,
            mismatched,
            unjudged,
            unreadable,
            unchecked,
            ..
        } = *counts;
        Content {
            events,
            lost,
            late,
            repeated,
            reordered,
            different,
            mismatched,
            missing_ledgers,
            unreadable,
            unjudged,
            unchecked,
        }
    }
}

impl Generator {
    /// From CPU and wall time.
    pub fn new(cpu: f64) -> Generator {
        Generator { cpu, busy: cpu > BUSY }
    }
}

impl Report {
    /// Everything that can be asserted, by the names of [`super::assertion::NAMES`].
    pub fn figures(&self) -> Vec<Figure> {
        let (times, content, told) = (&self.latency.times, &self.content, &self.told);
        let count = |name, value| (name, Unit::Count, Some(value));
        let time = |name, value| (name, Unit::Time, value);
        vec![
            time("p50", times.p50_nanos),
            time("p90", times.p90_nanos),
            time("p99", times.p99_nanos),
            time("p99.9", times.p999_nanos),
            time("max", times.max_nanos),
            time("connect_p99", self.connecting.times.p99_nanos),
            count("connected", self.connecting.connected),
            count("failed", self.connecting.failed),
            count("events", self.delivered.events),
            count("ledgers", self.delivered.ledgers),
            count("lost", content.lost),
            count("late", content.late),
            count("repeated", content.repeated),
            count("reordered", content.reordered),
            count("different", content.different),
            count("mismatched", content.mismatched),
            count("missing_ledgers", content.missing_ledgers),
            count("unreadable", content.unreadable),
            count("unchecked", content.unchecked),
            count("gaps", told.gaps),
            count("resets", told.resets),
            count("errors", told.errors.values().sum()),
            count("dropped", told.dropped),
            count("closed", self.closed.values().sum()),
        ]
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, rest: String| {
            let _ = writeln!(text, "{name:<11} {rest}");
        };
        let Report { clients, url, dialect, seconds, filters, .. } = self;
        let early = self.ended_early.map(|why| format!(" ({why})")).unwrap_or_default();
        let clients = many(*clients as u64, "client");
        line(
            "load",
            format!("{clients} at {url} ({dialect}), {}, {seconds:.1} s{early}", many(*filters as u64, "filter")),
        );
        let connecting = &self.connecting;
        let failures =
            if connecting.failed == 0 { String::new() } else { format!(", failed {}", list(&connecting.failures)) };
        let came_back =
            if connecting.came_back == 0 { String::new() } else { format!(", {} came back", connecting.came_back) };
        line("connected", format!("{}{failures}{came_back}", number(connecting.connected)));
        line("", format!("planned to registered: {}", connecting.times.text()));
        let delivered = &self.delivered;
        line(
            "delivered",
            format!(
                "{} of {}, {}/s, {:.1} MB/s",
                many(delivered.events, "event"),
                many(delivered.ledgers, "ledger"),
                number(delivered.events_per_second as u64),
                delivered.bytes as f64 / seconds.max(0.001) / 1e6
            ),
        );
        let (name, from) = match self.latency.from {
            From::Post => ("latency", "from the source's post to a client's read"),
            From::FirstReader => (
                "spread",
                "from the first client that read a ledger to each other one (no latency: --admin gives that)",
            ),
        };
        line(name, self.latency.times.text());
        line("", from.to_owned());
        if self.latency.unknown > 0 {
            line(
                "",
                format!(
                    "{} are not in it: when their ledger was posted is unknown",
                    many(self.latency.unknown, "event")
                ),
            );
        }
        let c = &self.content;
        line(
            "content",
            format!(
                "{} checked: lost {}, repeated {}, reordered {}, different {}, not matching {}, unreadable {}",
                number(c.events),
                c.lost,
                c.repeated,
                c.reordered,
                c.different,
                c.mismatched,
                c.unreadable
            ),
        );
        line(
            "",
            format!(
                "ledgers missing {}; still on their way {}; filters not judged {}, too old to compare {}",
                c.missing_ledgers, c.late, c.unjudged, c.unchecked
            ),
        );
        line("told", told(&self.told));
        line("closed", format!("by the server: {}", list(&self.closed)));
        if self.slow.clients > 0 {
            let slow = &self.slow;
            line(
                "slow",
                format!("{} of {}: read {}", slow.connected, many(slow.clients, "client"), many(slow.events, "event")),
            );
            line("", format!("told {}; closed by the server: {}", told(&slow.told), list(&slow.closed)));
        }
        let busy = if self.generator.busy { ": it may be what is slow, the server can be faster" } else { "" };
        line("generator", format!("{:.0} % of one core{busy}", self.generator.cpu * 100.0));
        for failed in &self.failed_assertions {
            line("FAILED", failed.clone());
        }
        text
    }
}

fn told(told: &Told) -> String {
    format!("gap {}, reset {}, dropped events {}, errors {}", told.gaps, told.resets, told.dropped, list(&told.errors))
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let words: Vec<String> = counts.iter().map(|(name, count)| format!("{name} × {count}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn many(count: u64, what: &str) -> String {
    format!("{} {what}{}", number(count), if count == 1 { "" } else { "s" })
}

/// With commas between thousands.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::assertion::NAMES;
    use crate::load::latency::histogram;

    fn report() -> Report {
        let mut times = histogram();
        times.record_n(12_000_000, 10).unwrap();
        Report {
            url: "ws://127.0.0.1:8080/ws".to_owned(),
            dialect: "flow".to_owned(),
            clients: 1000,
            filters: 1,
            seconds: 10.0,
            ended_early: None,
            connecting: Connecting {
                connected: 1000,
                failed: 2,
                failures: BTreeMap::from([("refused with 503".to_owned(), 2)]),
                came_back: 0,
                times: Times::of(&times),
            },
            delivered: Delivered { events: 4_000_000, bytes: 5, ledgers: 40, events_per_second: 400_000.0 },
            latency: Latency { from: From::Post, times: Times::of(&times), unknown: 0 },
            content: Content::of(&Counts { events: 4_000_001, lost: 3, ..Counts::default() }, 1),
            told: Told::default(),
            closed: BTreeMap::from([("1001".to_owned(), 4)]),
            slow: Slow::default(),
            generator: Generator::new(0.4),
            failed_assertions: vec!["lost=0: it is 3".to_owned()],
        }
    }

    #[test]
    fn every_name_has_its_figure() {
        let names: Vec<(&str, Unit)> = report().figures().iter().map(|(name, unit, _)| (*name, *unit)).collect();
        assert_eq!(names, NAMES);
    }

    #[test]
    fn people_read_what_matters() {
        let text = report().text();
        for words in [
            "1,000 clients at ws://127.0.0.1:8080/ws (flow), 1 filter, 10.0 s",
            "failed refused with 503 × 2",
            "4,000,000 events of 40 ledgers, 400,000/s",
            "p99 12.0 ms",
            "from the source's post",
            "4,000,001 checked: lost 3, repeated 0",
            "ledgers missing 1",
            "closed      by the server: 1001 × 4",
            "FAILED      lost=0: it is 3",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
