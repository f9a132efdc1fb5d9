//! The position in the chain and how it moves: blocks are fetched to the head and linked by their hashes; those that
//! are final are sent, from the window's bottom.

mod doubts;
pub(super) mod fetch;
mod reorg;
#[cfg(test)]
mod tests;

use super::calls::Calls;
use super::config::{Config, Final};
use super::mapping;
use super::tokens::Tokens;
use super::verify::Whole;
use super::watch::Watch;
use crate::event::{Continuity, Event, Hash, LedgerBatch, LedgerRef};
use crate::source::{Checkpoint, Context, Ledger, LocalFuture, Next, RpcClient, SourceError, StartLedger};
use doubts::Doubts;
use fetch::{ReceiptsForm, Step};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The name under which the number of the last log of a watched contract stands in the checkpoint.
const LOGS: &str = "contract_logs";
/// Blocks that were sent are known so far back, to find where the chain parted when one of them is replaced.
const REMEMBERED: usize = 1024;
/// Below what the chain calls final, a block with so many linked blocks on top is sent without waiting for the block
/// that was called so: catching up would hold all that is between otherwise.
const LINKED: u64 = 64;
/// Blocks that are not final yet may weigh this much together. Above it the node's word for its head is enough, and no
/// further block on top is waited for.
const HEAVIEST_WINDOW: usize = 256 << 20;
/// Blocks thrown away in one poll; more are thrown away in the next, after a pause.
const MOST_DROPS: u32 = 64;
/// So many blocks behind is worth a line in the log.
const FAR_BEHIND: u64 = 1000;

/// An EVM chain's node, polled.
pub struct EvmRpc {
    config: Config,
    context: Context,
    finality: Final,
    /// Made at first use, since its secrets and ABIs are read from files.
    made: Option<(Calls, Watch)>,
    /// The endpoint whose chain was checked.
    checked: Option<usize>,
    network: Arc<str>,
    /// How the node of this endpoint is asked for receipts.
    receipts: (usize, ReceiptsForm),
    tokens: Tokens,
    /// The block that is sent next; known once opened.
    due: Option<u64>,
    /// The block sent last, its hash where the chain can be followed from it.
    last: Option<(u64, Option<Hash>)>,
    /// Blocks sent lately, in order, up to the last.
    sent: VecDeque<(u64, Hash)>,
    /// Logs of watched contracts up to the block sent last.
    logs: u64,
    epoch: u32,
    /// Fetched and not yet sent, from `due` on, each the parent of the next.
    window: VecDeque<Prepared>,
    /// Up to where blocks are fetched: the node's head, or the block that it calls final.
    head: u64,
    /// The hash of that block, where the node calls it final.
    final_hash: Option<Hash>,
    /// When the node was asked for its head; none: it is to be asked again.
    head_at: Option<Instant>,
    /// To be announced with the next batch.
    announce: Option<Continuity>,
    /// What addresses say that have another block where the one sent last was.
    doubts: Doubts,
    /// How often in a row a block was not there, or not whole, and since when.
    misses: u32,
    missing_since: Option<Instant>,
    /// How often in a row the parts of a block did not belong together.
    faults: u32,
}

/// A block with its events made.
struct Prepared {
    number: u64,
    hash: Hash,
    parent: Hash,
    time: i64,
    events: Vec<Event>,
    /// Logs of watched contracts up to this block.
    logs: u64,
    /// Bytes in memory, about.
    weight: usize,
}

impl EvmRpc {
    /// A chain that is not connected yet.
    pub fn new(config: Config, context: Context) -> EvmRpc {
        EvmRpc {
            finality: config.finality(),
            config,
            context,
            made: None,
            checked: None,
            network: "".into(),
            receipts: (0, ReceiptsForm::Hash),
            tokens: Tokens::default(),
            due: None,
            last: None,
            sent: VecDeque::new(),
            logs: 0,
            epoch: 0,
            window: VecDeque::new(),
            head: 0,
            final_hash: None,
            head_at: None,
            announce: None,
            doubts: Doubts::default(),
            misses: 0,
            missing_since: None,
            faults: 0,
        }
    }

    /// The calls, to a node whose chain was checked.
    async fn calls(&mut self) -> Result<&mut Calls, SourceError> {
        let (calls, _) = match &mut self.made {
            Some(made) => made,
            empty => {
                let calls =
                    Calls::new(RpcClient::new(self.config.rpc()?)?, self.config.batch, self.config.calls_per_second);
                empty.insert((calls, Watch::new(&self.config)?))
            }
        };
        if self.checked != Some(calls.endpoint()) {
            let endpoint = calls.endpoint();
            let found = fetch::chain_id(calls).await?;
            let expected = self.config.chain_id.unwrap_or(found);
            if found != expected {
                let url = calls.shown();
                calls.fail_over();
                let (expected, found) = (format!("evm-{expected}"), format!("evm-{found}"));
                return Err(SourceError::WrongNetwork { url, expected, found });
            }
            self.network = format!("evm-{found}").into();
            self.checked = Some(endpoint);
            // What another node refused says nothing about this one.
            if self.receipts.0 != endpoint {
                self.receipts = (endpoint, ReceiptsForm::Hash);
            }
        }
        Ok(calls)
    }

    async fn open_at(&mut self, checkpoint: Option<Checkpoint>) -> Result<(), SourceError> {
        self.refresh_head().await?;
        self.window.clear();
        self.sent.clear();
        self.announce = None;
        self.doubts.clear();
        self.there();
        let Some(checkpoint) = checkpoint else {
            let start = match self.config.start_ledger {
                StartLedger::Latest => self.existing_final().await?,
                StartLedger::Oldest => 0,
                StartLedger::Number(number) => number.into(),
            };
            (self.last, self.due) = (None, Some(start));
            return Ok(());
        };
        self.last = Some((checkpoint.ledger, checkpoint.hash));
        self.sent.extend(checkpoint.hash.map(|hash| (checkpoint.ledger, hash)));
        self.due = Some(checkpoint.ledger.saturating_add(1));
        self.epoch = checkpoint.epoch;
        self.logs = checkpoint.counters.get(LOGS).copied().unwrap_or(0);
        let behind = self.newest_final().saturating_sub(checkpoint.ledger);
        if behind > FAR_BEHIND {
            let text = format!("{behind} blocks behind; they are all read, in their order, before what is new");
            self.context.status.notice(&text);
        }
        Ok(())
    }

    async fn next_block(&mut self) -> Result<Next, SourceError> {
        if self.due.is_none() {
            return Err(SourceError::Setting { key: "start_ledger", reason: "polled before it was opened".into() });
        }
        let (mut looked, mut drops) = (false, 0);
        loop {
            if let Some(error) = self.disagreement() {
                return Err(error);
            }
            if let Some(batch) = self.take_final() {
                return Ok(Next::Batch(Box::new(batch)));
            }
            let reached = self.next_number() > self.head;
            if reached && looked {
                return Ok(Next::NotYet);
            }
            // One wrong answer for the head must not last until it is reached.
            let old = self.head_at.is_none_or(|asked| asked.elapsed() >= self.poll_interval());
            if !looked && (reached || old) {
                looked = true;
                self.look().await?;
                continue;
            }
            match self.extend().await? {
                Step::Extended => {}
                Step::Dropped if drops < MOST_DROPS => drops += 1,
                Step::Dropped | Step::NotThere => return Ok(Next::NotYet),
            }
        }
    }

    /// The block after the window.
    fn next_number(&self) -> u64 {
        self.window.back().map_or(self.due.unwrap_or(0), |top| top.number.saturating_add(1))
    }

    /// The newest block that is final, as far as the node told.
    fn newest_final(&self) -> u64 {
        match self.finality {
            Final::Confirmations(blocks) => self.head.saturating_sub(blocks),
            Final::Tag(_) => self.head,
        }
    }

    /// The hash that the next block to fetch must name as its parent, where one is known.
    fn expected_parent(&self) -> Option<Hash> {
        match self.window.back() {
            Some(top) => Some(top.hash),
            None => self.last.and_then(|(_, hash)| hash),
        }
    }

    /// Makes a block's events and puts it on top of the window.
    fn append(&mut self, block: &Whole) {
        let Some((_, watch)) = &self.made else { return };
        let before = self.window.back().map_or(self.logs, |top| top.logs);
        let chain = self.config.chain_id.unwrap_or(0);
        let (events, logs) = mapping::events(chain, block, watch, &self.tokens, before);
        let Whole { number, hash, parent, time, .. } = *block;
        let mut prepared = Prepared { number, hash, parent, time, events, logs, weight: 0 };
        // The only one who weighs events is a batch.
        let batch = self.batch(&mut prepared, None);
        prepared.weight = batch.weight();
        prepared.events = batch.events;
        self.window.push_back(prepared);
        self.there();
    }

    /// The block of this number, if it is in the window.
    fn in_window(&self, number: u64) -> Option<&Prepared> {
        let at = number.checked_sub(self.window.front()?.number)?;
        self.window.get(usize::try_from(at).ok()?)
    }

    /// Takes the lowest block out of the window, if it is final, and moves the position past it.
    fn take_final(&mut self) -> Option<LedgerBatch> {
        let (front, top) = (self.window.front()?, self.window.back()?);
        let heavy = || self.window.iter().map(|block| block.weight).sum::<usize>() > HEAVIEST_WINDOW;
        let is_final = match self.finality {
            Final::Tag(_) => {
                let leads_there = || self.in_window(self.head).is_some_and(|block| Some(block.hash) == self.final_hash);
                let linked = top.number >= front.number.saturating_add(LINKED);
                front.number <= self.head && (linked || leads_there() || heavy())
            }
            Final::Confirmations(blocks) => {
                let due = front.number.saturating_add(blocks);
                top.number >= due || (self.head >= due && heavy())
            }
        };
        let mut block = is_final.then(|| self.window.pop_front())??;
        let announce = self.announce.take();
        self.last = Some((block.number, Some(block.hash)));
        self.due = Some(block.number.saturating_add(1));
        self.logs = block.logs;
        self.doubts.clear();
        self.sent.push_back((block.number, block.hash));
        if self.sent.len() > REMEMBERED {
            self.sent.pop_front();
        }
        Some(self.batch(&mut block, announce))
    }

    fn batch(&self, block: &mut Prepared, continuity: Option<Continuity>) -> LedgerBatch {
        LedgerBatch {
            source: self.context.source,
            network: self.network.clone(),
            epoch: self.epoch,
            ledger: LedgerRef {
                index: block.number,
                hash: Some(block.hash),
                parent: Some(block.parent),
                closed_at: block.time,
            },
            continuity,
            events: std::mem::take(&mut block.events),
            native: None,
        }
    }
}

impl Ledger for EvmRpc {
    /// Nothing restricts the position: with other contracts the stream goes on where it was, and so do the numbers of
    /// the logs, which must never come twice.
    fn scope(&self) -> String {
        "evm".into()
    }

    fn poll_interval(&self) -> Duration {
        self.config.poll_interval.0.max(Duration::from_millis(10))
    }

    fn identify(&mut self) -> LocalFuture<'_, Result<Arc<str>, SourceError>> {
        Box::pin(async move {
            self.checked = None;
            self.calls().await?;
            Ok(self.network.clone())
        })
    }

    fn open(&mut self, checkpoint: Option<Checkpoint>) -> LocalFuture<'_, Result<(), SourceError>> {
        Box::pin(self.open_at(checkpoint))
    }

    fn next(&mut self) -> LocalFuture<'_, Result<Next, SourceError>> {
        Box::pin(async {
            let asked = self.made.as_ref().map(|(calls, _)| calls.endpoint());
            let outcome = self.next_block().await;
            match (asked, &outcome) {
                // These are answers, and what they say was noted.
                (None, _) | (_, Err(SourceError::Discontinuity { .. } | SourceError::Held { .. })) => {}
                (Some(address), Ok(_)) => self.doubts.works(address),
                (Some(address), Err(_)) => self.doubts.failed(address),
            }
            // Whoever answers so may be of another chain by now.
            if matches!(outcome, Err(SourceError::Malformed { .. } | SourceError::Discontinuity { .. })) {
                self.checked = None;
            }
            outcome
        })
    }

    fn due(&self) -> Option<u64> {
        self.due
    }

    fn newest(&self) -> Option<u64> {
        self.due.map(|_| self.newest_final())
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        BTreeMap::from([(LOGS.to_owned(), self.logs)])
    }
}
