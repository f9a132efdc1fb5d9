//! How fast, and until where, a client that begins in the past is fed.

use super::Mark;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Thousandths in one.
const ONE: u32 = 1000;
/// The slowest and the fastest multiple.
const SLOWEST: u32 = ONE / 10;
const FASTEST: u32 = 1000 * ONE;

/// How fast a replay goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speed {
    /// As fast as its client reads.
    #[default]
    Max,
    /// In thousandths of the pace at which the ledgers closed.
    Times(u32),
}

/// Why a text is no speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not max and no number from 0.1x to 1000x with at most three decimals, such as 10x")]
pub struct SpeedError;

/// How a client that begins in the past is fed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replay {
    /// How fast.
    pub speed: Speed,
    /// The last that it gets: the whole ledger of a number, or through the event of a cursor. `None`: it goes on with
    /// what happens now.
    pub until: Option<Mark>,
}

impl Replay {
    /// Whether it is no replay but the way on of any client that comes back.
    pub fn is_plain(&self) -> bool {
        *self == Replay::default()
    }
}

impl Speed {
    /// How long what took so many seconds takes; `None`: no time at all.
    pub fn takes(self, seconds: u64) -> Option<Duration> {
        let Speed::Times(thousandths) = self else { return None };
        let nanos = u128::from(seconds) * 1_000_000_000 * u128::from(ONE) / u128::from(thousandths.max(1));
        Some(Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX)))
    }
}

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Speed, SpeedError> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        let number = text.strip_suffix('x').ok_or(SpeedError)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| (1..=4).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
            return Err(SpeedError);
        }
        let value = |text: &str| text.parse::<u32>().map_err(|_| SpeedError);
        let thousandths = value(whole)? * ONE + value(&format!("{decimals:0<3}"))?;
        if (SLOWEST..=FASTEST).contains(&thousandths) { Ok(Speed::Times(thousandths)) } else { Err(SpeedError) }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Speed::Times(thousandths) = self else { return f.write_str("max") };
        let (whole, rest) = (thousandths / ONE, thousandths % ONE);
        match format!("{rest:03}").trim_end_matches('0') {
            "" => write!(f, "{whole}x"),
            decimals => write!(f, "{whole}.{decimals}x"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_exactly() {
        for (text, thousandths) in
            [("1x", 1000), ("10x", 10_000), ("0.1x", 100), ("1000x", 1_000_000), ("2.125x", 2125)]
        {
            assert_eq!(text.parse(), Ok(Speed::Times(thousandths)));
            assert_eq!(Speed::Times(thousandths).to_string(), text);
        }
        assert_eq!("0.50x".parse(), Ok(Speed::Times(500)));
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!(Speed::Max.to_string(), "max");
        for wrong in [
            "",
            "x",
            "1",
            "10",
            "1X",
            "-1x",
            "+1x",
            "0x",
            "0.09x",
            "1000.001x",
            "1001x",
            "99999x",
            "1.x",
            ".5x",
            "1.0000x",
            "1e2x",
            "1 x",
            "Max",
            "١x",
            "1.5.5x",
        ] {
            assert_eq!(wrong.parse::<Speed>(), Err(SpeedError), "{wrong}");
        }
    }

    #[test]
    fn what_a_speed_makes_of_time() {
        assert_eq!(Speed::Max.takes(5), None);
        assert_eq!(Speed::Times(1000).takes(5), Some(Duration::from_secs(5)));
        assert_eq!(Speed::Times(3000).takes(1), Some(Duration::from_nanos(333_333_333)));
        assert_eq!(Speed::Times(100).takes(6), Some(Duration::from_secs(60)));
        assert_eq!(Speed::Times(100).takes(u64::MAX), Some(Duration::from_nanos(u64::MAX)));
    }
}
