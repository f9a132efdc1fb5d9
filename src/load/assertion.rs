//! What a run must have come to, such as `p99<50ms,lost=0`.

use std::fmt;
use std::str::FromStr;

/// How a figure is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    Count,
    /// Nanoseconds.
    Time,
}

/// One figure of the report: its name, its unit, and its value if it was measured.
pub type Figure = (&'static str, Unit, Option<u64>);

/// The names that can be asserted, in the order in which they are listed to people.
pub const NAMES: &[(&str, Unit)] = &[
    ("p50", Unit::Time),
    ("p90", Unit::Time),
    ("p99", Unit::Time),
    ("p99.9", Unit::Time),
    ("max", Unit::Time),
    ("connect_p99", Unit::Time),
    ("connected", Unit::Count),
    ("failed", Unit::Count),
    ("events", Unit::Count),
    ("ledgers", Unit::Count),
    ("lost", Unit::Count),
    ("late", Unit::Count),
    ("repeated", Unit::Count),
    ("reordered", Unit::Count),
    ("different", Unit::Count),
    ("mismatched", Unit::Count),
    ("missing_ledgers", Unit::Count),
    ("unreadable", Unit::Count),
    ("unchecked", Unit::Count),
    ("gaps", Unit::Count),
    ("resets", Unit::Count),
    ("errors", Unit::Count),
    ("dropped", Unit::Count),
    ("closed", Unit::Count),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

/// Longer ones first: `<=` begins like `<`.
const COMPARISONS: &[(&str, Comparison)] = &[
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Less),
    (">", Comparison::More),
    ("=", Comparison::Equal),
];
const TIMES: &[(&str, u64)] = &[("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    name: &'static str,
    comparison: Comparison,
    value: u64,
    /// As it was written.
    text: String,
}

/// All conditions; each must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assertion(Vec<Condition>);

impl Assertion {
    /// What does not hold, each with the figure that was found. Empty: all is well.
    pub fn failures(&self, figures: &[Figure]) -> Vec<String> {
        self.0.iter().filter_map(|condition| condition.failure(figures)).collect()
    }
}

impl Condition {
    fn failure(&self, figures: &[Figure]) -> Option<String> {
        let Some((unit, found)) =
            figures.iter().find_map(|(name, unit, found)| Some((*unit, (*found)?)).filter(|_| *name == self.name))
        else {
            return Some(format!("{}: nothing was measured", self.text));
        };
        let holds = match self.comparison {
            Comparison::Less => found < self.value,
            Comparison::AtMost => found <= self.value,
            Comparison::Equal => found == self.value,
            Comparison::AtLeast => found >= self.value,
            Comparison::More => found > self.value,
        };
        let found = match unit {
            Unit::Count => found.to_string(),
            Unit::Time => Millis(found).to_string(),
        };
        (!holds).then(|| format!("{}: it is {found}", self.text))
    }
}

/// Nanoseconds for people.
#[derive(Clone, Copy)]
pub struct Millis(pub u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two digits behind the point below 10 ms, none above a second.
        let decimals = match self.0 {
            0..10_000_000 => 2,
            10_000_000..1_000_000_000 => 1,
            _ => 0,
        };
        write!(f, "{:.decimals$} ms", self.0 as f64 / 1e6)
    }
}

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Assertion, String> {
        text.split(',').map(|part| condition(part.trim())).collect::<Result<_, _>>().map(Assertion)
    }
}

fn condition(text: &str) -> Result<Condition, String> {
    let at =
        text.find(['<', '>', '=']).ok_or_else(|| format!("`{text}`: write NAME<VALUE, such as p99<50ms or lost=0"))?;
    let (name, rest) = (text[..at].trim(), &text[at..]);
    let Some(&(name, unit)) = NAMES.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        return Err(format!("`{name}` is no figure; there are {}", names.join(", ")));
    };
    let (sign, comparison) =
        COMPARISONS.iter().find(|(sign, _)| rest.starts_with(sign)).ok_or("write <, <=, =, >= or >")?;
    let value = rest[sign.len()..].trim();
    let parsed = match unit {
        Unit::Count => value.parse().ok(),
        Unit::Time => time(value),
    };
    let value = parsed.ok_or_else(|| match unit {
        Unit::Count => format!("`{text}`: {name} is a whole number"),
        Unit::Time => format!("`{text}`: {name} is a time; write 800us, 50ms, 2.5ms or 1s"),
    })?;
    Ok(Condition { name, comparison: *comparison, value, text: text.to_owned() })
}

/// `50ms`, `2.5ms`: exact nanoseconds.
fn time(text: &str) -> Option<u64> {
    let at = text.find(|character: char| !character.is_ascii_digit() && character != '.')?;
    let (number, unit) = text.split_at(at);
    let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let part = fraction.parse::<u64>().ok()?.checked_mul(*factor)? / 10u64.pow(fraction.len() as u32);
    whole.parse::<u64>().ok()?.checked_mul(*factor)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_named() {
        let figures = [
            ("p99", Unit::Time, Some(61_250_000)),
            ("lost", Unit::Count, Some(3)),
            ("events", Unit::Count, Some(100)),
            ("max", Unit::Time, None),
        ];
        let failures = |text: &str| text.parse::<Assertion>().unwrap().failures(&figures);
        assert_eq!(failures("p99<61.3ms,lost=3,events>=100, events > 99"), [""; 0]);
        assert_eq!(failures("p99<50ms,lost=0,events>99"), ["p99<50ms: it is 61.2 ms", "lost=0: it is 3"]);
        assert_eq!(failures("p99<=61250us"), [""; 0]);
        assert_eq!(failures("p99<61250us").len(), 1);
        assert_eq!(failures("max<1s"), ["max<1s: nothing was measured"]);
        assert_eq!(failures("lost<=2,lost>3").len(), 2);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, word) in [
            ("p98<50ms", "p50, p90"),
            ("p99", "NAME<VALUE"),
            ("p99<50", "50ms"),
            ("p99<-1ms", "50ms"),
            ("p99<1.ms", "50ms"),
            ("p99<99999999999999999999s", "50ms"),
            ("lost=0ms", "whole number"),
            ("lost!0", "NAME<VALUE"),
            ("", "NAME<VALUE"),
            ("lost=0,", "NAME<VALUE"),
        ] {
            let error = text.parse::<Assertion>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn times_are_exact() {
        for (text, nanos) in [("50ms", 50_000_000), ("0.5us", 500), ("2.25s", 2_250_000_000), ("7ns", 7)] {
            assert_eq!(time(text), Some(nanos), "{text}");
        }
    }
}
