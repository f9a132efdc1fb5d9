//! Durations and sizes as people write them: `30s`, `250ms`, `5m`, `64KiB`, `1MiB`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration, written as a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

/// A number of bytes, written as a whole number and `B`, `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const TIME_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl Time {
    /// So many milliseconds.
    pub const fn millis(count: u64) -> Time {
        Time(Duration::from_millis(count))
    }

    /// So many seconds.
    pub const fn secs(count: u64) -> Time {
        Time(Duration::from_secs(count))
    }

    /// So many days.
    pub const fn days(count: u64) -> Time {
        Time::secs(count * 86_400)
    }
}

impl Size {
    /// So many KiB.
    pub const fn kib(count: u64) -> Size {
        Size(count << 10)
    }

    /// So many MiB.
    pub const fn mib(count: u64) -> Size {
        Size(count << 20)
    }

    /// As an index into memory.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A whole number directly followed by one of the units, in units of the smallest.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The same number in the largest unit that leaves it whole.
fn print(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = |(_, factor): &&(&str, u64)| value.is_multiple_of(*factor) && value >= *factor;
    match units.iter().rev().find(fits) {
        Some((name, factor)) => write!(f, "{}{name}", value / factor),
        None => write!(f, "0{}", units[1].0),
    }
}

impl FromStr for Time {
    type Err = String;
    fn from_str(text: &str) -> Result<Time, String> {
        parse(text, &TIME_UNITS)
            .map(Time::millis)
            .ok_or_else(|| format!("`{text}` is no duration; write 250ms, 30s, 5m or 24h"))
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Size, String> {
        parse(text, &SIZE_UNITS)
            .map(Size)
            .ok_or_else(|| format!("`{text}` is no size; write 512B, 64KiB, 1MiB or 10GiB"))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, self.0.as_millis() as u64, &TIME_UNITS)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, self.0, &SIZE_UNITS)
    }
}

macro_rules! as_text {
    ($unit:ty) => {
        impl fmt::Debug for $unit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
as_text!(Time);
as_text!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written() {
        for text in ["250ms", "30s", "5m", "36h", "1500ms", "30d"] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
        assert_eq!("24h".parse::<Time>(), Ok(Time::days(1)));
        for text in ["512B", "64KiB", "1MiB", "10GiB", "1500B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for bad in ["", "5", "s", "-1s", "1.5s", "5 s", "5S", "99999999999999999999s", "18446744073709551615h"] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
        for bad in ["64KB", "64k", "1e3B", ""] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
        assert_eq!(Time::secs(0).to_string(), "0s");
    }
}
