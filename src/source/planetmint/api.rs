//! Follows a chain by a node's HTTP API: one height after the other.

mod node;

use super::config::ApiConfig;
use super::mapping::{self, Origin};
use super::position::Position;
use super::transaction;
use crate::source::settings::{OnGap, StartLedger};
use crate::source::{Checkpoint, Context, Ledger, LocalFuture, Next, RpcClient, SourceError};
use futures_util::future::join;
use node::Block;
pub(super) use node::Node;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The counter that holds [`Block::digest`] of the last block delivered.
const DIGEST: &str = "block_ids_digest";
/// Missing heights passed at a time, once a gap is believed.
const PASSED: u32 = 100;

/// A Planetmint or BigchainDB node, polled.
pub struct PlanetmintApi {
    config: ApiConfig,
    context: Context,
    network: Arc<str>,
    /// Made at first use, since its secrets are read from files.
    node: Option<Node>,
    position: Position,
    /// The newest block that is known to be there.
    newest: u64,
    /// The due block, if it was there already when the one before it was read.
    ahead: Option<Block>,
    /// Stands for the last block delivered.
    digest: Option<u64>,
    /// The address where the last block was found to be the same.
    checked: Option<usize>,
    missing: Option<Missing>,
}

/// The due block is not there.
#[derive(Debug, Clone, Copy)]
struct Missing {
    height: u64,
    since: Instant,
    /// When the newest was asked for last.
    asked: Instant,
    /// Whether later blocks are there, or the due one has parts missing.
    is_gap: bool,
    /// Whether an operator was told.
    told: bool,
    /// Whether it is given up.
    passing: bool,
}

impl PlanetmintApi {
    /// A node that is not connected yet.
    pub fn new(config: ApiConfig, context: Context) -> PlanetmintApi {
        PlanetmintApi {
            network: config.network_id.as_str().into(),
            position: Position::new(config.on_gap, config.on_reset, config.gap_after.0),
            config,
            context,
            node: None,
            newest: 0,
            ahead: None,
            digest: None,
            checked: None,
            missing: None,
        }
    }

    fn connect(&mut self) -> Result<(), SourceError> {
        if self.node.is_none() {
            let settings = self.config.rpc()?;
            let max_bytes = settings.max_response;
            let (rate, parallel) = (self.config.requests_per_second, self.config.parallel);
            self.node = Some(Node::new(RpcClient::new(settings)?, rate, parallel, max_bytes));
        }
        Ok(())
    }

    fn node(&self) -> Result<&Node, SourceError> {
        let unopened = || SourceError::Setting { key: "rpc_url", reason: "polled before it was opened".into() };
        self.node.as_ref().ok_or_else(unopened)
    }

    async fn open_at(&mut self, checkpoint: Option<Checkpoint>) -> Result<(), SourceError> {
        self.connect()?;
        let known = checkpoint.as_ref().map(|checkpoint| checkpoint.ledger);
        self.newest = self.node()?.newest_after(known, known.unwrap_or(0)).await?;
        self.context.status.notice("this api tells no close times; the time of receiving stands in their place");
        (self.ahead, self.checked, self.missing) = (None, None, None);
        self.digest = checkpoint.as_ref().and_then(|checkpoint| checkpoint.counters.get(DIGEST)).copied();
        let start = self.cold_start();
        self.position.open(checkpoint.as_ref(), start);
        Ok(())
    }

    /// Where a source without a position begins.
    fn cold_start(&self) -> u64 {
        match self.config.start_ledger {
            StartLedger::Latest => self.newest.max(1),
            StartLedger::Oldest => 1,
            StartLedger::Number(number) => number.into(),
        }
    }

    async fn next_block(&mut self) -> Result<Next, SourceError> {
        self.position.due()?;
        self.check_last().await?;
        for _ in 0..PASSED {
            let due = self.position.due()?;
            let block = match self.ahead.take().filter(|block| block.height == due) {
                Some(block) => Some(block),
                None => self.node()?.block(due).await?,
            };
            let Some(block) = block else {
                if !self.is_passed(due).await? {
                    return Ok(Next::NotYet);
                }
                continue;
            };
            return self.deliver(block).await;
        }
        Ok(Next::NotYet)
    }

    /// Fetches the block's transactions, and looks meanwhile whether there is one more block.
    async fn deliver(&mut self, block: Block) -> Result<Next, SourceError> {
        let node = self.node()?;
        let height = block.height;
        let (transactions, ahead) = join(node.transactions(&block), node.block(height.saturating_add(1))).await;
        let transactions = match transactions {
            Ok(transactions) => transactions,
            Err(error) => return self.incomplete(height, error),
        };
        if let Some(unread) = transaction::unread(&transactions, height) {
            self.context.status.notice(&unread);
        }
        // A fault there is met again when that block is due.
        self.ahead = ahead.unwrap_or_default();
        self.newest = self.newest.max(height + u64::from(self.ahead.is_some()));
        self.digest = Some(block.digest());
        self.checked = Some(self.node()?.endpoint());
        self.missing = None;
        let origin = Origin {
            source: self.context.source,
            network: self.network.clone(),
            epoch: self.position.epoch,
            continuity: self.position.deliver(height, None),
        };
        let block = mapping::Block {
            height,
            hash: None,
            parent: None,
            app_hash: block.app_hash.unwrap_or_default(),
            time: None,
            transactions,
            rejected: 0,
        };
        Ok(Next::Batch(Box::new(mapping::batch(block, origin))))
    }

    /// The last block delivered must still be the same: asked after anything that may have put another node in its
    /// place.
    async fn check_last(&mut self) -> Result<(), SourceError> {
        let node = self.node()?;
        let (Some((last, _)), Some(digest)) = (self.position.last, self.digest) else { return Ok(()) };
        if self.checked == Some(node.endpoint()) {
            return Ok(());
        }
        let endpoint = node.endpoint();
        // One that is not there is looked into where the next is missing, too.
        let Some(block) = node.block(last).await? else { return Ok(()) };
        if block.digest() != digest {
            let url = node.shown().to_owned();
            self.position.differs(&url, last)?;
            let newest = self.node()?.newest_after(Some(last), last).await?;
            return self.reset(newest, format!("block {last} is not the one that was delivered"));
        }
        self.position.follows();
        self.checked = Some(endpoint);
        Ok(())
    }

    fn reset(&mut self, newest: u64, reason: String) -> Result<(), SourceError> {
        self.newest = newest;
        let start = self.cold_start();
        self.position.reset(start, reason)?;
        (self.ahead, self.digest, self.missing) = (None, None, None);
        Ok(())
    }

    /// The due block is not there: waits, finds out why after a while, and says whether to try the next instead.
    async fn is_passed(&mut self, due: u64) -> Result<bool, SourceError> {
        let now = Instant::now();
        let fresh = Missing { height: due, since: now, asked: now, is_gap: false, told: false, passing: false };
        let mut missing = match self.missing {
            Some(missing) if missing.height == due => missing,
            // The hole is wider than the one block that was waited for.
            Some(missing) if missing.passing => Missing { height: due, ..missing },
            _ => fresh,
        };
        let was_gap = missing.is_gap;
        let long = missing.asked.elapsed() >= self.config.gap_after.0;
        if long || self.position.is_suspicious() || (missing.passing && due > self.newest) {
            let last = self.position.last.map(|(last, _)| last);
            let newest = self.node()?.newest_after(last, due).await?;
            self.newest = newest;
            (missing.asked, missing.is_gap) = (now, newest >= due);
            missing.passing &= missing.is_gap;
            self.missing = Some(missing);
            if self.position.is_shorter(newest) {
                self.reset(newest, format!("the newest block is {newest}, that of a new chain"))?;
                return Ok(true);
            }
            if self.position.is_suspicious() {
                // It may be another node that lags.
                self.ask_another();
                return Ok(false);
            }
        }
        self.missing = Some(missing);
        // Seen twice: it may have come between the two questions.
        if !was_gap || !missing.is_gap {
            return Ok(false);
        }
        let reason = format!("block {due} is missing and the node has blocks up to {}", self.newest);
        self.pass(missing, reason)
    }

    /// A block that cannot be had though the chain went on: whether it may be left out now.
    fn pass(&mut self, mut missing: Missing, reason: String) -> Result<bool, SourceError> {
        if !self.position.may_skip() {
            self.ask_another();
            return Err(Position::held_by_gap(reason));
        }
        // Before the first block nobody waits for one.
        let patience = if self.position.last.is_some() { self.config.gap_patience.0 } else { Duration::ZERO };
        if !missing.passing && missing.since.elapsed() < patience {
            if !std::mem::replace(&mut missing.told, true) {
                self.context.status.notice(&reason);
            }
            self.missing = Some(missing);
            self.ask_another();
            return Ok(false);
        }
        missing.passing = true;
        self.missing = Some(missing);
        self.position.skip_to(missing.height.saturating_add(1), reason);
        Ok(true)
    }

    /// A block whose transactions cannot all be had: tried again, and after `gap_patience` left out whole where the
    /// settings say so.
    fn incomplete(&mut self, height: u64, error: SourceError) -> Result<Next, SourceError> {
        // Only what the node says of its own block; what happens on the way says nothing about the block.
        if matches!(error, SourceError::Malformed { .. }) && self.config.on_gap == OnGap::Announce {
            let now = Instant::now();
            let fresh = Missing { height, since: now, asked: now, is_gap: true, told: false, passing: false };
            let missing = self.missing.filter(|missing| missing.height == height && missing.is_gap).unwrap_or(fresh);
            self.missing = Some(missing);
            if missing.since.elapsed() >= self.config.gap_patience.0 {
                self.pass(missing, format!("block {height} cannot be read whole: {error}"))?;
            }
        }
        Err(error)
    }

    fn ask_another(&mut self) {
        if let Some(node) = &mut self.node {
            node.ask_another();
        }
    }
}

impl Ledger for PlanetmintApi {
    fn scope(&self) -> String {
        // Heights of the API are not those of the consensus engine.
        "planetmint api".into()
    }

    fn poll_interval(&self) -> Duration {
        self.config.poll_interval.0.max(Duration::from_millis(10))
    }

    fn identify(&mut self) -> LocalFuture<'_, Result<Arc<str>, SourceError>> {
        // The API does not tell whose it is.
        Box::pin(std::future::ready(self.connect().map(|()| self.network.clone())))
    }

    fn open(&mut self, checkpoint: Option<Checkpoint>) -> LocalFuture<'_, Result<(), SourceError>> {
        Box::pin(async {
            let opened = self.open_at(checkpoint).await;
            self.after(opened)
        })
    }

    fn next(&mut self) -> LocalFuture<'_, Result<Next, SourceError>> {
        Box::pin(async {
            let next = self.next_block().await;
            self.after(next)
        })
    }

    fn due(&self) -> Option<u64> {
        self.position.due
    }

    fn newest(&self) -> Option<u64> {
        (self.newest > 0).then_some(self.newest)
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        self.digest.map(|digest| (DIGEST.to_owned(), digest)).into_iter().collect()
    }
}

impl PlanetmintApi {
    /// After an error whoever answers next may be another node, also under the same address.
    fn after<T>(&mut self, mut outcome: Result<T, SourceError>) -> Result<T, SourceError> {
        if let Err(error) = &mut outcome {
            self.checked = None;
            self.ahead = None;
            if let Some(node) = self.node.as_mut().filter(|_| !matches!(error, SourceError::Held { .. })) {
                node.give_up(error);
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests;
