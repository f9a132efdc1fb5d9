//! Where a source stands in the chain, and when a gap or another chain is believed. The same for both ways in.

use crate::event::{Continuity, ContinuityKind, Hash};
use crate::source::settings::{OnGap, OnReset};
use crate::source::{Checkpoint, SourceError};
use std::time::{Duration, Instant};

/// A chain shorter than ours is believed after so many answers, and not before some time has passed: machines behind
/// one name differ by a few blocks.
const RESET_PROBES: u32 = 3;

/// The place in the chain.
#[derive(Debug)]
pub struct Position {
    on_gap: OnGap,
    on_reset: OnReset,
    /// How long a chain must have been shorter than ours.
    reset_after: Duration,
    /// The block that is due; known once opened.
    pub due: Option<u64>,
    /// The last block delivered, and its hash where the way in tells one.
    pub last: Option<(u64, Option<Hash>)>,
    /// Resets so far.
    pub epoch: u32,
    /// To be announced with the next batch.
    announce: Option<Continuity>,
    /// Why nothing more is read until a person has looked.
    held: Option<String>,
    /// Since when and how often the chain was found shorter than ours.
    shorter: Option<(Instant, u32)>,
    /// Whether the last block was found to be another one, once.
    doubted: bool,
}

impl Position {
    /// Nowhere yet.
    pub fn new(on_gap: OnGap, on_reset: OnReset, reset_after: Duration) -> Position {
        Position {
            on_gap,
            on_reset,
            reset_after,
            due: None,
            last: None,
            epoch: 0,
            announce: None,
            held: None,
            shorter: None,
            doubted: false,
        }
    }

    /// After a checkpoint, else at `start`.
    pub fn open(&mut self, checkpoint: Option<&Checkpoint>, start: u64) {
        self.doubted = false;
        match checkpoint {
            Some(Checkpoint { ledger, hash, epoch, .. }) => {
                (self.last, self.epoch) = (Some((*ledger, *hash)), *epoch);
                self.due = Some(ledger.saturating_add(1));
            }
            None => (self.last, self.due) = (None, Some(start)),
        }
    }

    /// The block that is due, if anything may be read.
    pub fn due(&self) -> Result<u64, SourceError> {
        match (&self.held, self.due) {
            (Some(reason), _) => Err(held_by_reset(reason.clone())),
            (None, Some(due)) => Ok(due),
            (None, None) => {
                Err(SourceError::Setting { key: "start_ledger", reason: "polled before it was opened".into() })
            }
        }
    }

    /// A block goes to the broker; gives what is to be announced before it.
    pub fn deliver(&mut self, height: u64, hash: Option<Hash>) -> Option<Continuity> {
        self.last = Some((height, hash));
        self.due = Some(height.saturating_add(1));
        self.follows();
        self.announce.take()
    }

    /// The chain is the one that was delivered from.
    pub fn follows(&mut self) {
        (self.doubted, self.shorter) = (false, None);
    }

    /// Whether blocks that cannot be had may be left out.
    pub fn may_skip(&self) -> bool {
        self.on_gap == OnGap::Announce || self.last.is_none()
    }

    /// The error that stands where they may not.
    pub fn held_by_gap(reason: String) -> SourceError {
        SourceError::Held { reason, key: "on_gap", value: "announce" }
    }

    /// Leaves out the blocks before `to`, which are announced unless nothing was delivered yet.
    pub fn skip_to(&mut self, to: u64, reason: String) {
        let Some(from_ledger) = self.due.replace(to).filter(|_| self.last.is_some()) else { return };
        let to_ledger = to.saturating_sub(1);
        match &mut self.announce {
            Some(announced) if announced.kind == ContinuityKind::Gap => announced.to_ledger = to_ledger,
            // What begins anew has no blocks that anybody waits for.
            Some(_) => {}
            None => {
                self.announce = Some(Continuity { kind: ContinuityKind::Gap, from_ledger, to_ledger, reason });
            }
        }
        // The chain cannot be followed over the gap.
        self.last = self.last.map(|(height, _)| (height, None));
    }

    /// Whether a chain whose newest block is `newest` is another one: it stays shorter than what was delivered.
    pub fn is_shorter(&mut self, newest: u64) -> bool {
        if self.last.is_none_or(|(last, _)| newest >= last) {
            self.shorter = None;
            return false;
        }
        let (since, probes) = self.shorter.unwrap_or((Instant::now(), 0));
        self.shorter = Some((since, probes.saturating_add(1)));
        probes + 1 >= RESET_PROBES && since.elapsed() >= self.reset_after
    }

    /// Whether the chain was found shorter lately, so that it is looked at again soon.
    pub fn is_suspicious(&self) -> bool {
        self.shorter.is_some()
    }

    /// The last block is another one than was delivered. Looked at again before it is believed.
    pub fn differs(&mut self, url: &str, height: u64) -> Result<(), SourceError> {
        if std::mem::replace(&mut self.doubted, true) {
            return Ok(());
        }
        Err(SourceError::Discontinuity { url: url.to_owned(), ledger: height })
    }

    /// Begins anew at `start` and announces it, or reads nothing more, as the settings say.
    pub fn reset(&mut self, start: u64, reason: String) -> Result<(), SourceError> {
        if self.on_reset == OnReset::Stop {
            self.held = Some(reason.clone());
            return Err(held_by_reset(reason));
        }
        let last = self.last.map_or(start, |(last, _)| last);
        self.announce =
            Some(Continuity { kind: ContinuityKind::Reset, from_ledger: start.min(last), to_ledger: last, reason });
        self.epoch += 1;
        (self.last, self.due) = (None, Some(start));
        self.follows();
        Ok(())
    }
}

fn held_by_reset(reason: String) -> SourceError {
    SourceError::Held { reason, key: "on_reset", value: "continue" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u64, on_gap: OnGap, on_reset: OnReset) -> Position {
        let mut position = Position::new(on_gap, on_reset, Duration::ZERO);
        position.open(None, last);
        assert_eq!(position.deliver(last, None), None);
        position
    }

    #[test]
    fn a_shorter_chain_is_believed_after_a_while() {
        let mut position = at(100, OnGap::Wait, OnReset::Continue);
        assert!(!position.is_shorter(99) && !position.is_shorter(99) && position.is_suspicious());
        // One answer that knows our block clears it.
        assert!(!position.is_shorter(100) && !position.is_suspicious());
        assert!(!position.is_shorter(5) && !position.is_shorter(5) && position.is_shorter(5));
        position.reset(5, "new".into()).unwrap();
        assert_eq!((position.due, position.epoch), (Some(5), 1));
        let announced = position.deliver(5, None).unwrap();
        assert_eq!((announced.kind, announced.from_ledger, announced.to_ledger), (ContinuityKind::Reset, 5, 100));
        position.reset_after = Duration::from_secs(3600);
        assert!((0..10).all(|_| !position.is_shorter(1)), "too early");
    }

    #[test]
    fn a_reset_waits_for_a_person_where_that_is_wished() {
        let mut position = at(100, OnGap::Wait, OnReset::Stop);
        assert_eq!(position.reset(5, "new".into()).unwrap_err().kind(), "held");
        assert_eq!(position.due().unwrap_err().kind(), "held");
        assert_eq!((position.due, position.epoch), (Some(101), 0));
    }

    #[test]
    fn one_gap_is_announced_once() {
        let mut position = at(100, OnGap::Announce, OnReset::Stop);
        position.skip_to(102, "gone".into());
        position.skip_to(105, "gone".into());
        let announced = position.deliver(105, None).unwrap();
        assert_eq!((announced.from_ledger, announced.to_ledger), (101, 104));
        assert_eq!(position.deliver(106, None), None);
        // Nobody waits for what was before the first.
        let mut position = Position::new(OnGap::Wait, OnReset::Stop, Duration::ZERO);
        position.open(None, 1);
        assert!(position.may_skip());
        position.skip_to(7, "pruned".into());
        assert_eq!((position.due, position.deliver(7, None)), (Some(7), None));
    }

    #[test]
    fn another_block_is_looked_at_twice() {
        let mut position = at(100, OnGap::Wait, OnReset::Stop);
        assert_eq!(position.differs("u", 100).unwrap_err().kind(), "discontinuity");
        position.differs("u", 100).unwrap();
        position.follows();
        assert!(position.differs("u", 100).is_err());
    }
}
