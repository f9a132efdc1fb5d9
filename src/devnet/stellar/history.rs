//! The ledgers that the network still knows, and the closing of the next one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use serde::Serialize;
use stellar_xdr::Hash;

use super::encode::{Stored, encode};
use super::ledger::{Contents, close};
use super::world::{World, Xdr};
use crate::source::monotonic_nanos;

/// Most bytes of encoded ledgers that are kept; the latest is kept whatever it takes. A ledger of 20
/// events takes some 32 KB, so the usual retention of 2,000 of them stays well below. With heavy
/// ledgers this bound decides, or a load test of thousands of events a second would fill the
/// memory within a minute.
const MAX_BYTES: usize = 128 << 20;

/// Ledgers whose first serving is remembered.
const SERVED: usize = 256;

/// Sequence of the first ledger. Not 1, so that "before the beginning" can be asked for.
const FIRST: u32 = 1_000;

/// The network's state: written by the ticker alone, read by every request.
pub(super) struct Network {
    pub world: World,
    contents: Contents,
    /// Ledgers kept at most.
    pub retention: u32,
    kept: RwLock<Kept>,
    served: Mutex<VecDeque<Served>>,
}

/// When a ledger was given away for the first time: what a measurement of latency begins with.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Served {
    pub ledger: u32,
    /// Of the machine's monotonic clock.
    pub nanos: u64,
}

struct Kept {
    /// Without holes, oldest first, never empty after the start.
    ledgers: VecDeque<Stored>,
    bytes: usize,
    tip: Hash,
    next: u32,
}

impl Network {
    /// A network without ledgers; [`Self::close_next`] must be called before it is served.
    pub fn new(world: World, contents: Contents, retention: u32) -> Self {
        let kept = Kept { ledgers: VecDeque::new(), bytes: 0, tip: Hash([0; 32]), next: FIRST };
        Self { world, contents, retention, kept: RwLock::new(kept), served: Mutex::default() }
    }

    /// Closes one ledger at `close_time` (unix seconds) and drops what is beyond the bounds. A
    /// time before that of the last ledger is raised to it.
    pub fn close_next(&self, close_time: u64) -> Xdr<()> {
        let (next, tip, last_time) = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            let last_time = kept.ledgers.back().map_or(0, |ledger| ledger.close_time);
            (kept.next, kept.tip.clone(), last_time)
        };
        // Made without the lock: requests go on while a heavy ledger is encoded.
        let closed = close(&self.world, next, &tip, close_time.max(last_time), self.contents)?;
        let hash = closed.meta.ledger_header.hash.clone();
        let stored = encode(closed)?;

        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += stored.weight();
        kept.ledgers.push_back(stored);
        kept.tip = hash;
        kept.next += 1;
        while kept.ledgers.len() > 1 && (kept.ledgers.len() > self.retention as usize || kept.bytes > MAX_BYTES) {
            if let Some(dropped) = kept.ledgers.pop_front() {
                kept.bytes -= dropped.weight();
            }
        }
        Ok(())
    }

    /// Ledgers up to this one are in an answer.
    pub(super) fn serves(&self, ledger: u32) {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if served.back().is_none_or(|last| last.ledger < ledger) {
            served.push_back(Served { ledger, nanos: monotonic_nanos() });
            if served.len() > SERVED {
                served.pop_front();
            }
        }
    }

    /// The ledgers served lately, oldest first.
    pub(super) fn served(&self) -> Vec<Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// The ledgers at this moment. Closing waits until the view is gone, so it must not be held
    /// across an await.
    pub(super) fn view(&self) -> View<'_> {
        View { kept: self.kept.read().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// Consistent: what one answer says about the tip fits what else it says.
pub(super) struct View<'a> {
    kept: RwLockReadGuard<'a, Kept>,
}

impl View<'_> {
    pub fn oldest(&self) -> &Stored {
        &self.kept.ledgers[0]
    }

    pub fn latest(&self) -> &Stored {
        &self.kept.ledgers[self.kept.ledgers.len() - 1]
    }

    pub fn get(&self, sequence: u64) -> Option<&Stored> {
        let index = sequence.checked_sub(u64::from(self.oldest().sequence))?;
        self.kept.ledgers.get(usize::try_from(index).ok()?)
    }

    /// Ledgers from `sequence` on, as far as there are any.
    pub fn from(&self, sequence: u64) -> impl Iterator<Item = &Stored> {
        let first = u64::from(self.oldest().sequence);
        let skip = usize::try_from(sequence.saturating_sub(first)).unwrap_or(usize::MAX);
        self.kept.ledgers.iter().skip(skip)
    }

    pub fn newest_first(&self) -> impl Iterator<Item = &Stored> {
        self.kept.ledgers.iter().rev()
    }
}
