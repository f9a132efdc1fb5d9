//! When a recorded ledger is due.

use crate::event::Speed;
use std::time::{Duration, Instant};

/// Turns close times into times of now.
#[derive(Debug)]
pub struct Pace {
    speed: Speed,
    /// The first ledger: when it closed, and when it was told.
    begun: Option<(i64, Instant)>,
    /// When the one before is due: none is due before it, whatever its close time.
    last: Option<Instant>,
}

impl Pace {
    pub fn new(speed: Speed) -> Pace {
        Pace { speed, begun: None, last: None }
    }

    /// When the next ledger is due, which closed at this Unix second.
    pub fn due(&mut self, closed_at: i64, now: Instant) -> Instant {
        let (first, begun) = *self.begun.get_or_insert((closed_at, now));
        let since = closed_at.saturating_sub(first).max(0).cast_unsigned();
        let Some(after) = self.speed.takes(since) else { return now };
        // Beyond some centuries nobody waits for it.
        let due = begun.checked_add(after).unwrap_or(now);
        let due = self.last.map_or(due, |last| due.max(last));
        self.last = Some(due);
        due
    }
}

/// Nothing is due later than what nobody lives to see; a wait for it ends and begins again.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledgers_are_due_as_they_were_closed() {
        let now = Instant::now();
        let after = |speed: &str, times: &[i64]| -> Vec<u64> {
            let mut pace = Pace::new(speed.parse().unwrap());
            times.iter().map(|at| (pace.due(*at, now) - now).as_millis() as u64).collect()
        };
        assert_eq!(after("1x", &[100, 105, 105, 111]), [0, 5000, 5000, 11_000]);
        assert_eq!(after("10x", &[100, 105, 111]), [0, 500, 1100]);
        assert_eq!(after("0.5x", &[100, 101]), [0, 2000]);
        assert_eq!(after("max", &[100, 1_000_000]), [0, 0]);
        // A close time that goes back is due with the one before, and no time ends the process.
        assert_eq!(after("1x", &[100, 110, 90, 112]), [0, 10_000, 10_000, 12_000]);
        let mut pace = Pace::new(Speed::Times(100));
        for at in [i64::MIN, i64::MAX, 0] {
            pace.due(at, now);
        }
    }
}
