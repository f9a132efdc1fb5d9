//! Blocks that are replaced: in the window nobody hears of it; below it the settings say what to do. And blocks that
//! nobody has any more.

use super::fetch::{Step, newest};
use super::{EvmRpc, REMEMBERED};
use crate::event::{Continuity, ContinuityKind, Hash};
use crate::source::SourceError;
use crate::source::evm::config::{Final, OnDeepReorg, OnGap};
use std::time::{Duration, Instant};

/// A block that is not there is lost when it was asked for so long, and so far below the head. Until then it may only be
/// late.
const LOST_AFTER: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(30) };
const LOST_BELOW: u64 = 8;

impl EvmRpc {
    /// Asks for the head. Where it is not above what we have, what we have is compared: blocks can be replaced without
    /// the head's number changing. A lower head alone is no reorganisation, for another machine may lag.
    pub(super) async fn look(&mut self) -> Result<(), SourceError> {
        self.refresh_head().await?;
        let (head, next) = (self.head, self.next_number());
        if head < next {
            // What is above the head is not missing.
            self.misses = 0;
            self.missing_since = None;
        }
        if let Final::Tag(_) = self.finality {
            if let Some(((last, Some(ours)), found)) = self.last.zip(self.final_hash)
                && last == head
                && ours != found
            {
                return self.deep().await;
            }
            return Ok(());
        }
        if head >= next {
            return Ok(());
        }
        let Some((number, ours)) = self.known(head.min(next.saturating_sub(1))) else { return Ok(()) };
        let Some((_, found)) = self.header(number).await? else { return Ok(()) };
        if found == ours {
            return Ok(());
        }
        if self.last.is_some_and(|(last, _)| number <= last) {
            return self.deep().await;
        }
        // The chain has another block here, and others above.
        while self.window.back().is_some_and(|top| top.number >= number) {
            self.window.pop_back();
        }
        self.checked = None;
        Ok(())
    }

    /// What the chain calls final must be what is in the window; else it and the blocks come from machines that
    /// disagree, and nothing of the window is sent.
    pub(super) fn disagreement(&mut self) -> Option<SourceError> {
        let (number, called) = (self.head, self.final_hash?);
        let ours = self.in_window(number)?.hash;
        if ours == called {
            return None;
        }
        self.window.clear();
        self.head_at = None;
        let reason = format!("block {number} is {ours}, and {called} where it is called final");
        Some(SourceError::Malformed { url: self.ask_another(), method: "eth_getBlockByNumber".into(), reason })
    }

    /// The block of this number as we have it.
    fn known(&self, number: u64) -> Option<(u64, Hash)> {
        let in_window = self.window.iter().map(|block| (block.number, block.hash));
        in_window.chain(self.sent.iter().copied()).find(|(known, _)| *known == number)
    }

    /// The next block does not follow the top: the top is thrown away, if it was not sent yet. Nothing was told of it,
    /// so nothing has to be taken back.
    pub(super) async fn dropped(&mut self) -> Result<Step, SourceError> {
        // It may be another chain altogether.
        self.checked = None;
        if self.window.pop_back().is_some() {
            return Ok(Step::Dropped);
        }
        let Some((last, Some(ours))) = self.last else { return Ok(Step::Dropped) };
        match self.header(last).await? {
            None => self.not_there(last).await,
            // Two machines, of which one is behind or astray.
            Some((_, found)) if found == ours => {
                let next = self.next_number();
                Err(self.fault(
                    "eth_getBlockByNumber",
                    format!("block {next} does not follow block {last} of the same node"),
                ))
            }
            Some(_) => self.deep().await.map(|()| Step::Dropped),
        }
    }

    /// A block that was sent seems to be no part of the chain any more. It is looked at again, elsewhere if possible,
    /// before it is believed; and only who has a block at that height knows of it: a machine may have stopped on a block
    /// that was replaced.
    async fn deep(&mut self) -> Result<(), SourceError> {
        let Some((last, Some(ours))) = self.last else { return Ok(()) };
        self.checked = None;
        let head = newest(self.calls().await?).await?;
        let there = if head >= last { self.header(last).await? } else { None };
        let another = there.map(|(_, found)| found).filter(|found| *found != ours && self.doubt(*found));
        let Some(found) = another else {
            return Err(SourceError::Discontinuity { url: self.ask_another(), ledger: last.saturating_add(1) });
        };
        let reason =
            format!("the chain was reorganised below what was sent: block {last} was {ours}, and is not any more");
        if self.config.on_deep_reorg == OnDeepReorg::Stop {
            self.ask_another();
            return Err(SourceError::Held {
                reason: format!("{reason} ({found} instead)"),
                key: "on_deep_reorg",
                value: "continue",
            });
        }
        let (fork, hash) = self.fork_point(last, ours).await?;
        self.window.clear();
        self.sent.retain(|(number, _)| *number <= fork);
        self.announce = Some(Continuity {
            kind: ContinuityKind::Reorg,
            from_ledger: fork.saturating_add(1),
            to_ledger: last,
            reason,
        });
        self.last = Some((fork, Some(hash)));
        self.due = Some(fork.saturating_add(1));
        self.doubts.clear();
        Ok(())
    }

    /// The address in use has this block instead of the last one: whether that is believed.
    fn doubt(&mut self, found: Hash) -> bool {
        let Some((calls, _)) = &self.made else { return false };
        self.doubts.heard(calls.endpoint(), found, calls.endpoints())
    }

    /// The newest block that was sent and is still part of the chain. Where nobody knows any more what came before the
    /// blocks that were replaced, going on anywhere would lose blocks.
    async fn fork_point(&mut self, last: u64, ours: Hash) -> Result<(u64, Hash), SourceError> {
        let (mut number, mut hash) = (last, ours);
        for _ in 0..REMEMBERED {
            let below = number.saturating_sub(1);
            let parent = match self.known(below) {
                Some((_, parent)) => Some(parent),
                None => self.parent_of(hash).await?,
            };
            let Some(parent) = parent.filter(|_| number > 0) else { break };
            (number, hash) = (below, parent);
            if self.header(number).await?.is_some_and(|(_, found)| found == hash) {
                return Ok((number, hash));
            }
        }
        // Another may still have them.
        self.ask_another();
        let reason = format!(
            "the chain was reorganised below block {last}, and where the chain parted is not known: no rpc has what came \
             before block {number} that was replaced. Without its checkpoint the source begins anew at start_ledger"
        );
        Err(SourceError::Held { reason, key: "rpc_url", value: "(a node that still has the replaced blocks)" })
    }

    /// A block was not there several times.
    pub(super) async fn lost(&mut self, number: u64) -> Result<Step, SourceError> {
        let since = *self.missing_since.get_or_insert_with(Instant::now);
        // Who does not have it tells how far it is.
        self.refresh_head().await?;
        let far = self.newest_final() >= number.saturating_add(LOST_BELOW) && self.window.is_empty();
        let gone = far && since.elapsed() >= LOST_AFTER;
        if gone && self.config.on_gap == OnGap::Announce {
            self.existing_final().await?;
        }
        let url = self.ask_another();
        self.head_at = None;
        if !gone {
            self.misses = 0;
            let reason = format!("block {number} is not there, or not whole, and the head is {}", self.head);
            return Err(SourceError::Malformed { url, method: "eth_getBlockByNumber".into(), reason });
        }
        if self.config.on_gap == OnGap::Wait {
            let reason = format!("block {number} is due and the rpc does not have it");
            return Err(SourceError::Held { reason, key: "on_gap", value: "announce" });
        }
        let start = self.newest_final();
        if self.last.is_some() {
            let from_ledger = match &self.announce {
                // A gap that grew, or one after a fork, is told with what came before it.
                Some(announced) => announced.from_ledger,
                None => number,
            };
            let reason = format!("the rpc does not have block {number} any more");
            self.announce =
                Some(Continuity { kind: ContinuityKind::Gap, from_ledger, to_ledger: start.saturating_sub(1), reason });
        }
        // The chain cannot be followed over the gap.
        self.last = self.last.map(|_| (start.saturating_sub(1), None));
        self.due = Some(start);
        self.there();
        Ok(Step::Dropped)
    }

    /// Something is there again.
    pub(super) fn there(&mut self) {
        self.misses = 0;
        self.missing_since = None;
        self.faults = 0;
    }

    /// The next call goes to another address, if there is one. Gives the address that was in use.
    fn ask_another(&mut self) -> String {
        let Some((calls, _)) = &mut self.made else { return String::new() };
        let shown = calls.shown();
        calls.fail_over();
        shown
    }
}
