//! Breaks in the row of ledgers: when they are believed, and what they do to the position.

use super::{STALLED, XrplRpc};
use crate::event::{Continuity, ContinuityKind};
use crate::source::settings::{OnGap, OnReset};
use crate::source::xrpl::server::Head;
use crate::source::{Next, SourceError};
use std::time::{Duration, Instant};

/// A ledger that seems to lack a transaction is believed after so many looks.
const LOOKS: u32 = 6;
/// A ledger that was named may be on its way for so long; after that it is a hole.
const GRACE: Duration = Duration::from_secs(20);
/// Servers behind one name differ by so many ledgers at most: no reset.
const MAY_LAG: u32 = 256;
/// A head far behind ours is believed after so many probes and so long.
const RESET_PROBES: u32 = 3;
const RESET_AFTER: Duration = Duration::from_secs(60);
/// A ledger that does not follow is believed after so many looks.
const DOUBTS: u32 = 5;

/// A ledger that is due, that a server named, and that each says it has not. An error in between, or a head before it,
/// ends this: such a time shows nothing about the ledger, so it must not count as patience.
pub(super) struct Missing {
    pub(super) since: Instant,
}

impl XrplRpc {
    /// The head is before the ledger that is due. Whether there is something to read all the same: after a reset.
    pub(super) fn at_tip(&mut self, due: u32, head: &Head) -> Result<bool, SourceError> {
        self.missing = None;
        // Its own word, or what we see: a server that is cut off may not know it.
        let waiting = self.waiting.get_or_insert_with(Instant::now).elapsed().as_secs();
        let age = head.age.unwrap_or(0).max(waiting);
        let stalled = age > STALLED;
        if stalled && !self.stalled {
            let url = self.client()?.shown().to_owned();
            self.context
                .status
                .notice(&format!("{url}: its newest ledger, {}, is {age} s old; still asking", head.seq));
        }
        self.stalled = stalled;
        let lags = head.seq.saturating_add(MAY_LAG) >= due || self.last.is_none();
        if stalled || !lags {
            self.client()?.ask_another();
        }
        if lags {
            self.behind_us = None;
            return Ok(false);
        }
        let (since, probes) = self.behind_us.unwrap_or((Instant::now(), 0));
        self.behind_us = Some((since, probes.saturating_add(1)));
        if probes + 1 < RESET_PROBES || since.elapsed() < RESET_AFTER {
            return Ok(false);
        }
        self.may_reset(format!("ledger {due} is due and the network's newest is {}", head.seq))?;
        let start = self.cold_start(head);
        self.reset(start, format!("the network's newest ledger is {}, that of a new chain", head.seq));
        Ok(true)
    }

    /// The due ledger was named and no server gave it: it is on its way, or there is a hole.
    pub(super) fn missed(&mut self, due: u32) -> Result<Next, SourceError> {
        self.client()?.ask_another();
        let since = self.missing.get_or_insert_with(|| Missing { since: Instant::now() }).since;
        let waited = since.elapsed();
        if waited < GRACE {
            return Ok(Next::NotYet);
        }
        let complete = self.head.as_ref().map(|head| head.complete.clone()).unwrap_or_default();
        let next = complete.after(due);
        let patience = self.config.gap_patience.0;
        match (self.config.on_gap, self.last, next) {
            // Nothing was promised yet.
            (_, None, Some(next)) => {
                self.context.status.notice(&format!("ledger {due} is not to be had; starting at {next}"));
                (self.due, self.missing) = (Some(next), None);
                Ok(Next::NotYet)
            }
            (OnGap::Announce, Some((last, _)), Some(next)) if waited >= patience => {
                let from_ledger = match &self.announce {
                    // A gap that grew while its end could not be read is still one gap.
                    Some(announced) if announced.kind == ContinuityKind::Gap => announced.from_ledger,
                    _ => due.into(),
                };
                // After a reset nothing of the new chain was promised yet.
                if self.announce.as_ref().is_none_or(|announced| announced.kind == ContinuityKind::Gap) {
                    self.announce = Some(Continuity {
                        kind: ContinuityKind::Gap,
                        from_ledger,
                        to_ledger: u64::from(next) - 1,
                        reason: format!("no server had ledger {due} for {} s", waited.as_secs()),
                    });
                }
                // The chain cannot be followed over the gap.
                (self.due, self.last, self.missing) = (Some(next), Some((last, None)), None);
                self.coins = None;
                Ok(Next::NotYet)
            }
            _ => {
                let reason =
                    format!("no server has had ledger {due} for {} s; this one has {complete}", waited.as_secs());
                Err(SourceError::Held { reason: crate::source::cut(reason), key: "on_gap", value: "announce" })
            }
        }
    }

    /// The ledger must follow the one delivered last. A difference is looked at again, with everything read anew; if
    /// it stays, the chain is another one.
    pub(super) fn check_parent(&mut self) -> Result<(), SourceError> {
        let (Some((last, Some(hash))), Some(ledger)) = (self.last, self.fetched.front()) else { return Ok(()) };
        if ledger.parent == hash {
            return Ok(());
        }
        let (index, parent) = (ledger.index, ledger.parent);
        self.fetched.clear();
        self.doubts = self.doubts.saturating_add(1);
        if self.doubts < DOUBTS {
            let url = self.client()?.shown().to_owned();
            return Err(SourceError::Discontinuity { url, ledger: index.into() });
        }
        let reason = format!("ledger {last} was {hash} when it was delivered and is {parent} now");
        if let Err(held) = self.may_reset(reason.clone()) {
            self.client()?.ask_another();
            return Err(held);
        }
        self.reset(index, reason);
        Ok(())
    }

    /// A server that cannot read all transactions gives those that it could, and says that all is well. What misses at
    /// the end of their order shows in the fees alone: each is burnt, so the ledger has as many drops less.
    pub(super) fn check_fees(&mut self) -> Result<(), SourceError> {
        let Some(ledger) = self.fetched.front() else { return Ok(()) };
        let burnt = ledger.burnt();
        let less =
            self.coins.zip(ledger.total_coins).and_then(|(before, after)| before.checked_sub(after)).unwrap_or(0);
        if burnt >= less {
            return Ok(());
        }
        let reason = format!("ledger {}: {less} drops were burnt, its transactions paid {burnt}", ledger.index);
        self.incomplete += 1;
        if self.incomplete < LOOKS {
            return Err(self.malformed("ledger", format!("{reason}; at least one is missing")));
        }
        // Every server says the same: something else burns drops now.
        self.context.status.notice(&format!("{reason}; it is taken all the same, after {LOOKS} looks"));
        Ok(())
    }

    /// Whether to begin anew is for a person to say, unless the settings do. Until then it is looked at again, and
    /// goes on by itself where the ledger delivered last is followed again.
    fn may_reset(&self, reason: String) -> Result<(), SourceError> {
        match self.config.on_reset {
            OnReset::Continue => Ok(()),
            OnReset::Stop => Err(SourceError::Held { reason, key: "on_reset", value: "continue" }),
        }
    }

    /// Begins anew at `start` and announces it.
    fn reset(&mut self, start: u32, reason: String) {
        let last = self.last.map_or(start, |(last, _)| last);
        self.announce = Some(Continuity {
            kind: ContinuityKind::Reset,
            from_ledger: start.min(last).into(),
            to_ledger: last.into(),
            reason,
        });
        self.epoch += 1;
        (self.last, self.due, self.coins) = (None, Some(start), None);
        (self.behind_us, self.missing, self.doubts) = (None, None, 0);
    }
}
