//! The time by which rows get old.
//!
//! The wall clock may be set, forward as well as back, and a jump must not make every row too old at once. So this one
//! only follows it: while the process runs, at half to twice the pace of the monotonic clock, and over a restart by
//! [`OFF`] at most. It is what rows are stamped with as well. Where both agree, as they do nearly always, it is the wall
//! clock; after a long time off or a jump rows are kept for longer, never for less than half of `max_age`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How much older rows may have become while the process was not running: more than a restart takes.
const OFF: Duration = Duration::from_secs(3600);

/// See above.
#[derive(Debug)]
pub struct Clock {
    /// Since 1970.
    at: Duration,
    since: Instant,
}

impl Clock {
    /// Goes on after the newest row there is, by its stamp in Unix milliseconds.
    pub fn new(wall: SystemTime, newest: Option<i64>) -> Clock {
        let latest = newest.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
        let latest = latest.map_or(Duration::MAX, |newest| newest.saturating_add(OFF));
        Clock { at: since_1970(wall).min(latest), since: Instant::now() }
    }

    /// Now.
    pub fn now(&mut self, wall: SystemTime) -> SystemTime {
        let elapsed = self.since.elapsed();
        self.since += elapsed;
        self.pass(elapsed, wall)
    }

    fn pass(&mut self, elapsed: Duration, wall: SystemTime) -> SystemTime {
        self.at = since_1970(wall).clamp(self.at + elapsed / 2, self.at + elapsed * 2);
        UNIX_EPOCH + self.at
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const YEAR: Duration = Duration::from_secs(365 * 86400);

    #[test]
    fn it_is_the_wall_clock_and_follows_its_jumps_slowly() {
        let start = UNIX_EPOCH + 50 * YEAR;
        let mut clock = Clock::new(start, None);
        assert_eq!(clock.pass(HOUR, start + HOUR), start + HOUR);
        // A little slower and faster is as well.
        assert_eq!(clock.pass(HOUR, start + 2 * HOUR + HOUR / 9), start + 2 * HOUR + HOUR / 9);
        // Set forward by a year, it takes a year to be there.
        assert_eq!(clock.pass(HOUR, start + YEAR), start + 4 * HOUR + HOUR / 9);
        assert_eq!(clock.pass(YEAR, start + 2 * YEAR), start + 2 * YEAR);
        // Set back, it never goes back, and does not stand still.
        assert_eq!(clock.pass(2 * HOUR, start), start + 2 * YEAR + HOUR);
    }

    #[test]
    fn a_long_time_off_counts_for_little() {
        let newest = UNIX_EPOCH + 50 * YEAR;
        let millis = newest.duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        for (off, counted) in [(HOUR / 2, HOUR / 2), (HOUR, HOUR), (YEAR, HOUR)] {
            let mut clock = Clock::new(newest + off, Some(millis));
            assert_eq!(clock.pass(Duration::ZERO, newest + off), newest + counted);
        }
        // Rows of the future change nothing.
        let mut clock = Clock::new(newest - YEAR, Some(millis));
        assert_eq!(clock.pass(Duration::ZERO, newest - YEAR), newest - YEAR);
    }
}
