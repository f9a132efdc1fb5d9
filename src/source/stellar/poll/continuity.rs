//! Breaks in the row of ledgers: when they are believed, and what they do to the position.

use super::{MAY_LAG, RESET_AFTER, RESET_PROBES, StellarRpc, past_edge};
use crate::event::{Continuity, ContinuityKind};
use crate::source::SourceError;
use crate::source::settings::{OnGap, OnReset};
use crate::source::stellar::decode::ClosedLedger;
use crate::source::stellar::methods::Health;
use std::time::Instant;

impl StellarRpc {
    /// Whether the network began anew: its tip stays far behind what was delivered. Then the
    /// position is forgotten.
    pub(super) fn is_reset(&mut self, due: u32, health: &Health) -> Result<bool, SourceError> {
        if health.latest_ledger.saturating_add(MAY_LAG) >= due {
            self.behind_us = None;
            return Ok(false);
        }
        let (since, probes) = self.behind_us.unwrap_or((Instant::now(), 0));
        self.behind_us = Some((since, probes + 1));
        let believed = self.last.is_some() && probes + 1 >= RESET_PROBES && since.elapsed() >= RESET_AFTER;
        if believed {
            let reason = format!("the network's newest ledger is {}, that of a new chain", health.latest_ledger);
            self.may_reset(&reason)?;
            let start = self.cold_start(health);
            self.reset(start, reason);
        } else {
            // It may be another network by now.
            self.checked = None;
            self.ask_another();
        }
        Ok(believed)
    }

    /// Whether to begin anew is for a person to say, if the settings say so; until then nothing is read,
    /// also when the new chain has grown past the old one.
    pub(super) fn may_reset(&mut self, reason: &str) -> Result<(), SourceError> {
        if self.config.on_reset == OnReset::Stop {
            self.held = Some(reason.to_owned());
            return Err(held_by_reset(reason.to_owned()));
        }
        Ok(())
    }

    /// Begins anew at `start` and announces it.
    pub(super) fn reset(&mut self, start: u32, reason: String) {
        let last = self.last.map_or(start, |(last, _)| last);
        self.announce = Some(Continuity {
            kind: ContinuityKind::Reset,
            from_ledger: start.min(last).into(),
            to_ledger: last.into(),
            reason,
        });
        self.epoch += 1;
        self.last = None;
        self.due = Some(start);
        self.behind_us = None;
        self.doubted = false;
    }

    /// Ledgers that the server no longer gives are lost; that is announced with the next batch.
    pub(super) fn skip_lost(&mut self, due: u32) -> Result<(), SourceError> {
        if self.config.on_gap == OnGap::Wait && self.last.is_some() {
            self.ask_another();
            let reason = format!("ledger {due} is due and the rpc keeps none before {}", self.oldest);
            return Err(SourceError::Held { reason, key: "on_gap", value: "announce" });
        }
        let start = past_edge(self.oldest, self.newest);
        let from = match &self.announce {
            // A gap that grew while its first ledger could not be read is still one gap.
            Some(announced) if announced.kind == ContinuityKind::Gap => Some(announced.from_ledger),
            // After a reset nothing of the new chain was promised yet, nor before the first batch.
            Some(_) => None,
            None => self.last.map(|_| due.into()),
        };
        if let Some(from_ledger) = from {
            self.announce = Some(Continuity {
                kind: ContinuityKind::Gap,
                from_ledger,
                to_ledger: u64::from(start) - 1,
                reason: format!("the rpc keeps no ledger before {}", self.oldest),
            });
        }
        self.due = Some(start);
        // The chain cannot be followed over the gap.
        self.last = self.last.map(|(last, _)| (last, None));
        Ok(())
    }

    /// Says once, before it happens, that ledgers are about to be lost: the edge of a full server
    /// comes near while we are behind.
    pub(super) fn watch_edge(&mut self, due: u32) {
        let full = self.window > 0 && self.newest.saturating_sub(self.oldest) >= self.window - 1;
        let room = due.saturating_sub(self.oldest);
        let near = full && room < self.window / 20;
        if near && !self.near_edge {
            self.context.status.notice(&format!(
                "far behind: ledger {due} is due and the rpc drops it in {room} ledgers; use an rpc that keeps more"
            ));
        }
        self.near_edge = near;
    }

    /// The ledger must follow the one delivered last. A difference is looked at again, with
    /// everything read anew; if it stays, the chain is another one.
    pub(super) fn check_parent(&mut self, closed: &ClosedLedger) -> Result<(), SourceError> {
        let Some((last, Some(hash))) = self.last else { return Ok(()) };
        if closed.parent == hash {
            return Ok(());
        }
        self.fetched.clear();
        if !self.doubted {
            self.doubted = true;
            let url = self.shown();
            self.ask_another();
            return Err(SourceError::Discontinuity { url, ledger: closed.index.into() });
        }
        let reason = format!("ledger {last} was {hash} when it was delivered and is {} now", closed.parent);
        self.may_reset(&reason)?;
        self.reset(closed.index, reason);
        Ok(())
    }
}

pub(super) fn held_by_reset(reason: String) -> SourceError {
    SourceError::Held { reason, key: "on_reset", value: "continue" }
}
