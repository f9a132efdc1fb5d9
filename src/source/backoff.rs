//! How long to stay away after an error.

use rand::RngExt;
use std::time::{Duration, SystemTime};

/// The first wait is at most this.
const FIRST: Duration = Duration::from_millis(500);
/// No wait of our own is longer, unless a kind of ledger says otherwise.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// Never at once: a server that refuses at once would be asked in a tight loop.
const SHORTEST: Duration = Duration::from_millis(20);
/// What a server may ask for with `Retry-After`; more would let it stop a source for good.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Exponential back-off with full jitter, so that brokers that failed together do not come back
/// together.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure, of our own no more than `longest`. What the server asked for is a lower bound.
    pub fn after_failure(&mut self, asked: Option<Duration>, longest: Duration) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(10)).min(longest).max(SHORTEST);
        self.failures = self.failures.saturating_add(1);
        let jitter = rand::rng().random_range(SHORTEST..=ceiling);
        jitter.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }

    /// Begin anew: something worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Reads a `Retry-After` header: seconds, or an HTTP date. A date that has passed asks for nothing.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_cap_and_begins_anew() {
        for longest in [LONGEST, Duration::from_secs(10), Duration::ZERO] {
            let mut backoff = Backoff::default();
            for failure in 0..40 {
                let ceiling = FIRST.saturating_mul(1 << failure.min(10)).min(longest).max(SHORTEST);
                let wait = backoff.after_failure(None, longest);
                assert!(wait >= SHORTEST && wait <= ceiling, "{failure}: {wait:?}");
            }
            backoff.reset();
            assert!(backoff.after_failure(None, longest) <= FIRST);
        }
        // Full jitter: not always the same.
        let waits: Vec<_> = (0..8).map(|_| Backoff { failures: 10 }.after_failure(None, LONGEST)).collect();
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn what_the_server_asks_is_honoured_within_reason() {
        let mut backoff = Backoff::default();
        assert!(backoff.after_failure(Some(Duration::from_secs(45)), FIRST) >= Duration::from_secs(45));
        assert!(backoff.after_failure(Some(Duration::from_secs(1 << 40)), FIRST) <= LONGEST_ASKED);
    }

    #[test]
    fn retry_after_in_both_forms() {
        let now = httpdate::parse_http_date("Tue, 21 Jul 2026 18:01:10 GMT").unwrap();
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(" 0 ", now), Some(Duration::ZERO));
        assert_eq!(retry_after("Tue, 21 Jul 2026 18:01:40 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Tue, 21 Jul 2026 18:00:00 GMT", now), Some(Duration::ZERO));
        for bad in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }
}
