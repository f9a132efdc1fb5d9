//! Payments that cannot be told, since nobody knows their amount: counted and logged.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it is logged at most.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What was skipped on a mount.
pub(super) struct Skipped {
    /// Where the mount stands, for the log.
    section: String,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    all: u64,
    untold: u64,
    told: Option<Instant>,
}

impl Skipped {
    pub fn new(section: &str) -> Skipped {
        Skipped { section: section.to_owned(), counted: Mutex::default() }
    }

    /// So many more were skipped.
    pub fn count(&self, payments: u64, now: Instant) {
        let told = self.counted.lock().unwrap_or_else(PoisonError::into_inner).add(payments, now);
        if let Some((skipped, all)) = told {
            log::warn!(mount:% = self.section, skipped, all;
                "payments are not told, since their amounts are not known; told once a minute");
        }
    }
}

impl Counted {
    /// Those since they were told last and all, if they are to be told now.
    fn add(&mut self, payments: u64, now: Instant) -> Option<(u64, u64)> {
        self.all += payments;
        self.untold += payments;
        let due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
        (due && self.untold > 0).then(|| {
            self.told = Some(now);
            (std::mem::take(&mut self.untold), self.all)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_once_a_minute() {
        let (mut counted, start) = (Counted::default(), Instant::now());
        let mut add = |payments, seconds| counted.add(payments, start + Duration::from_secs(seconds));
        assert_eq!(add(0, 0), None);
        assert_eq!(add(2, 1), Some((2, 2)));
        assert_eq!([add(1, 2), add(4, 60), add(0, 60)], [None; 3]);
        assert_eq!(add(0, 61), Some((5, 7)));
        assert_eq!(add(0, 500), None);
        assert_eq!(add(1, 501), Some((1, 8)));
    }
}
