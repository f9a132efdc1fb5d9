//! How often a provider is asked: no more than the settings allow, less for a while after it said that this is too
//! much.

use std::time::{Duration, Instant};

/// Never fewer calls a second than this.
const LEAST: f64 = 3.0;
/// What a refusal takes off, and what a run of calls that worked gives back.
const SLOWER: f64 = 0.8;
const FASTER: f64 = 1.05;
const RUN: usize = 50;
/// Calls that may come at once after a rest, as a part of a second's.
const BURST: f64 = 0.25;

/// The rate of calls.
pub struct Pace {
    /// Calls a second, as the settings allow and as it is now.
    most: f64,
    now: f64,
    /// Calls that worked since the rate was changed.
    worked: usize,
    /// When the calls so far are paid for.
    paid: Option<Instant>,
}

impl Pace {
    /// At most this many calls a second.
    pub fn new(per_second: u32) -> Pace {
        let most = f64::from(per_second.max(1));
        Pace { most, now: most, worked: 0, paid: None }
    }

    /// Waits until so many calls may be made.
    pub async fn wait(&mut self, calls: usize) {
        let wait = self.due(calls, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn due(&mut self, calls: usize, now: Instant) -> Duration {
        let paid = self.paid.unwrap_or(now);
        let wait = paid.saturating_duration_since(now + Duration::from_secs_f64(BURST));
        self.paid = Some(paid.max(now) + Duration::from_secs_f64(calls as f64 / self.now));
        wait
    }

    /// These calls worked.
    pub fn worked(&mut self, calls: usize) {
        self.worked += calls;
        if self.worked >= RUN {
            self.worked = 0;
            self.now = (self.now * FASTER).min(self.most);
        }
    }

    /// It was too much.
    pub fn slower(&mut self) {
        self.worked = 0;
        self.now = (self.now * SLOWER).max(LEAST.min(self.most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_spread_and_the_rate_follows_what_is_said() {
        let mut pace = Pace::new(10);
        let now = Instant::now();
        let waits: Vec<_> = (0..20).map(|_| pace.due(1, now)).collect();
        assert_eq!(waits[0], Duration::ZERO);
        assert!(waits[19] >= Duration::from_secs_f64(1.6) && waits[19] <= Duration::from_secs_f64(1.7), "{waits:?}");
        assert_eq!(pace.due(1, now + Duration::from_secs(60)), Duration::ZERO);
        for _ in 0..100 {
            pace.slower();
        }
        assert_eq!(pace.now, LEAST);
        for _ in 0..100 {
            pace.worked(RUN);
        }
        assert_eq!(pace.now, 10.0);
    }
}
