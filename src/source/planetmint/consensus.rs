//! Follows a chain by its consensus engine's RPC: finality at once, block times, rejected transactions told apart.

pub(super) mod rpc;

use super::config::RpcConfig;
use super::mapping::{self, Origin};
use super::position::Position;
use super::transaction::{self, Transaction};
use crate::event::Hash;
use crate::source::settings::{OnGap, StartLedger};
use crate::source::{Checkpoint, Context, Ledger, LocalFuture, Next, RpcClient, SourceError, cut};
use futures_util::future::{join, join3};
use rpc::{Block, Results};
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers in a row, for each address, that say that the due block is kept no more, before it is given up.
const LOST_PROBES: usize = 2;

/// Polls for which the newest block may be without results, or without its application hash, before that is an error: a
/// block is stored a moment before the application has gone through it.
const UNSETTLED: u32 = 10;

/// A consensus RPC, polled.
pub struct TendermintRpc {
    config: RpcConfig,
    context: Context,
    /// Made at first use, since its secrets are read from files.
    rpc: Option<RpcClient>,
    /// How many addresses there are.
    addresses: usize,
    /// The client's endpoint whose chain was checked.
    checked: Option<usize>,
    chain: Option<Arc<str>>,
    position: Position,
    newest: u64,
    oldest: u64,
    /// The due block, where it was needed for the one before it.
    ahead: Option<Block>,
    lost_probes: usize,
    /// Polls in a row that found the newest block without results, or the application not past it.
    unsettled: u32,
    /// The due block if its transactions cannot be told, and since when.
    incomplete: Option<(u64, Instant)>,
}

impl TendermintRpc {
    /// An RPC that is not connected yet.
    pub fn new(config: RpcConfig, context: Context) -> TendermintRpc {
        TendermintRpc {
            position: Position::new(config.on_gap, config.on_reset, config.reset_after.0),
            addresses: config.rpc_urls.len().max(1),
            config,
            context,
            rpc: None,
            checked: None,
            chain: None,
            newest: 0,
            oldest: 0,
            ahead: None,
            lost_probes: 0,
            unsettled: 0,
            incomplete: None,
        }
    }

    fn rpc(&mut self) -> Result<&mut RpcClient, SourceError> {
        Ok(match &mut self.rpc {
            Some(rpc) => rpc,
            empty => empty.insert(RpcClient::new(self.config.rpc()?)?),
        })
    }

    /// Asks for the range of blocks; the chain must be the right one.
    async fn status(&mut self) -> Result<(), SourceError> {
        let rpc = self.rpc()?;
        let (endpoint, url) = (rpc.endpoint(), rpc.shown().to_owned());
        let status = rpc::status(rpc).await?;
        let found = status.node_info.network;
        let known = self.chain.as_deref().or(self.config.chain_id.as_deref());
        if let Some(expected) = known.filter(|known| *known != found) {
            return Err(SourceError::WrongNetwork { url, expected: expected.to_owned(), found: cut(found) });
        }
        if found.is_empty() || found.len() > 64 {
            return Err(self.malformed("/status", "the chain has no name, or one that is too long"));
        }
        self.chain.get_or_insert_with(|| found.into());
        self.newest = status.sync_info.latest_block_height.0;
        // Old releases do not tell.
        self.oldest = status.sync_info.earliest_block_height.0.max(1);
        self.checked = Some(endpoint);
        Ok(())
    }

    async fn open_at(&mut self, checkpoint: Option<Checkpoint>) -> Result<(), SourceError> {
        self.status().await?;
        (self.ahead, self.lost_probes) = (None, 0);
        let start = self.cold_start();
        self.position.open(checkpoint.as_ref(), start);
        Ok(())
    }

    /// Where a source without a position begins.
    fn cold_start(&self) -> u64 {
        match self.config.start_ledger {
            StartLedger::Latest => self.newest.max(self.oldest),
            StartLedger::Oldest => self.oldest,
            StartLedger::Number(number) => {
                let (number, start) = (u64::from(number), u64::from(number).max(self.oldest));
                if start != number {
                    let oldest = self.oldest;
                    self.context.status.notice(&format!(
                        "`start_ledger` {number} is no longer kept; starting at {oldest}, the oldest block of the rpc"
                    ));
                }
                start
            }
        }
    }

    async fn next_block(&mut self) -> Result<Next, SourceError> {
        let mut due = self.position.due()?;
        let endpoint = self.rpc()?.endpoint();
        if due > self.newest || self.checked != Some(endpoint) {
            self.ahead = self.ahead.take().filter(|_| self.checked == Some(endpoint));
            self.status().await?;
            if self.position.is_shorter(self.newest) {
                let reason = format!("the newest block is {}, that of a new chain", self.newest);
                let start = self.cold_start();
                self.position.reset(start, reason)?;
                due = start;
            } else if self.position.is_suspicious() {
                // It may be another node that lags.
                self.rpc()?.fail_over();
                return Ok(Next::NotYet);
            }
        }
        if due > self.newest {
            return Ok(Next::NotYet);
        }
        if due < self.oldest {
            return self.lost(due);
        }
        self.lost_probes = 0;
        let Some((block, results, app_hash)) = self.fetch(due).await? else { return Ok(Next::NotYet) };
        self.unsettled = 0;
        self.deliver(due, block, results, app_hash)
    }

    /// The due block, what became of its transactions, and the application hash after it. `None`: the newest block
    /// is stored and the application is not through with it yet.
    async fn fetch(&mut self, due: u64) -> Result<Option<(Block, Results, String)>, SourceError> {
        let ahead = self.ahead.take().filter(|block| block.block.header.height.0 == due);
        let (newest, unsettled) = (self.newest, self.unsettled);
        let rpc: &RpcClient = self.rpc()?;
        let block = async {
            match ahead {
                Some(block) => Ok(block),
                None => rpc::block(rpc, due).await,
            }
        };
        if due < newest {
            // The header of the next block has the hash, and that block is due next anyway.
            let (block, results, next) = join3(block, rpc::results(rpc, due), rpc::block(rpc, due + 1)).await;
            let (block, results, next) = (block?, results?, next?);
            let app_hash = rpc::app_hash_of_hex(&next.block.header.app_hash);
            self.ahead = Some(next);
            return Ok(Some((block, results, app_hash)));
        }
        let info = rpc::ask::<rpc::Info>(rpc, "/abci_info");
        let ((block, results), info) = join(join(block, rpc::results(rpc, due)), info).await;
        if matches!(results, Err(SourceError::Rpc { .. })) && unsettled < UNSETTLED {
            self.unsettled = unsettled + 1;
            return Ok(None);
        }
        let (block, results) = (block?, results?);
        let told = results.app_hash.as_deref().and_then(rpc::bytes).filter(|bytes| !bytes.is_empty());
        if let Some(bytes) = told {
            return Ok(Some((block, results, rpc::app_hash(bytes))));
        }
        let info = info?.response;
        let app_hash = match info.last_block_height.0.cmp(&due) {
            Ordering::Equal => {
                info.last_block_app_hash.as_deref().and_then(rpc::bytes).map(rpc::app_hash).unwrap_or_default()
            }
            // The chain has moved on meanwhile.
            Ordering::Greater => {
                let next = rpc::block(rpc, due + 1).await?;
                let app_hash = rpc::app_hash_of_hex(&next.block.header.app_hash);
                (self.newest, self.ahead) = (due + 1, Some(next));
                app_hash
            }
            // Its results are there before the application has committed, and the hash is not.
            Ordering::Less if unsettled < UNSETTLED => {
                self.unsettled = unsettled + 1;
                return Ok(None);
            }
            Ordering::Less => {
                let reason = format!("the application stays at block {}, before {due}", info.last_block_height.0);
                return Err(self.malformed("/abci_info", &reason));
            }
        };
        Ok(Some((block, results, app_hash)))
    }

    /// Maps a block and moves the position past it.
    fn deliver(&mut self, due: u64, block: Block, results: Results, app_hash: String) -> Result<Next, SourceError> {
        let path = format!("/block?height={due}");
        let Block { block_id, block: rpc::Inner { header, data } } = block;
        let Some(chain) = self.chain.clone().filter(|chain| **chain == *header.chain_id) else {
            return Err(self.malformed(&path, "a block of another chain"));
        };
        let hash = rpc::hash(&block_id).ok_or_else(|| self.malformed(&path, "`block_id.hash` is no hash"))?;
        let parent = header.last_block_id.as_ref().and_then(rpc::hash);
        let time = header.time.parse::<jiff::Timestamp>();
        let time = time.map_err(|error| self.malformed(&path, &error.to_string()))?.as_second();
        self.check_parent(due, parent)?;
        let txs = data.txs.unwrap_or_default();
        let (transactions, rejected) = match self.accepted(due, &txs, &results.txs_results.unwrap_or_default()) {
            Ok(read) => read,
            Err(error) => return self.incomplete(due, error),
        };
        if let Some(unread) = transaction::unread(&transactions, due) {
            self.context.status.notice(&unread);
        }
        self.incomplete = None;
        let origin = Origin {
            source: self.context.source,
            network: chain,
            epoch: self.position.epoch,
            continuity: self.position.deliver(due, Some(hash)),
        };
        let block = mapping::Block {
            height: due,
            hash: Some(hash),
            parent,
            app_hash,
            time: Some(time),
            transactions,
            rejected,
        };
        Ok(Next::Batch(Box::new(mapping::batch(block, origin))))
    }

    /// The transactions of a block that the application accepted, and how many it did not.
    fn accepted(
        &self,
        due: u64,
        txs: &[String],
        outcomes: &[rpc::TxResult],
    ) -> Result<(Vec<Transaction>, u32), SourceError> {
        if txs.len() != outcomes.len() {
            let reason = format!("{} transactions and {} results", txs.len(), outcomes.len());
            return Err(self.malformed(&format!("/block_results?height={due}"), &reason));
        }
        let (mut transactions, mut rejected) = (Vec::new(), 0);
        for (at, (raw, outcome)) in txs.iter().zip(outcomes).enumerate() {
            // Anybody can get anything into a block; only what the application accepted happened.
            if outcome.code.is_some_and(|code| code.0 != 0) {
                rejected += 1;
                continue;
            }
            let text = rpc::bytes(raw).and_then(|bytes| String::from_utf8(bytes).ok());
            let read = text.ok_or("no text in base64".to_owned()).and_then(|text| Transaction::read(&text));
            let told = |reason| {
                let reason = format!("transaction {at} is none of Planetmint: {reason}");
                self.malformed(&format!("/block?height={due}"), &reason)
            };
            transactions.push(read.map_err(told)?);
        }
        Ok((transactions, rejected))
    }

    /// A block whose accepted transactions cannot all be told: tried again, and after `gap_patience` left out whole
    /// where the settings say so.
    fn incomplete(&mut self, due: u64, error: SourceError) -> Result<Next, SourceError> {
        let since = self.incomplete.filter(|(height, _)| *height == due).map_or_else(Instant::now, |(_, since)| since);
        self.incomplete = Some((due, since));
        // Before the first block nobody waits for one.
        let patience = if self.position.last.is_some() { self.config.gap_patience.0 } else { Duration::ZERO };
        if self.config.on_gap == OnGap::Announce && since.elapsed() >= patience {
            self.position.skip_to(due.saturating_add(1), format!("block {due} cannot be read whole: {error}"));
        }
        Err(error)
    }

    /// The block must follow the one delivered last. A difference is looked at again; if it stays, the chain is
    /// another one.
    fn check_parent(&mut self, due: u64, parent: Option<Hash>) -> Result<(), SourceError> {
        let Some((last, Some(hash))) = self.position.last else { return Ok(()) };
        if parent == Some(hash) {
            return Ok(());
        }
        let url = self.shown();
        self.position.differs(&url, due)?;
        self.position.reset(due, format!("block {last} was {hash} when it was delivered and is another one now"))
    }

    /// The RPC does not keep the due block any more.
    fn lost(&mut self, due: u64) -> Result<Next, SourceError> {
        let oldest = self.oldest;
        let reason = format!("block {due} is due and the rpc keeps none before {oldest}");
        if !self.position.may_skip() {
            self.checked = None;
            self.rpc()?.fail_over();
            return Err(Position::held_by_gap(reason));
        }
        self.lost_probes += 1;
        self.checked = None;
        if self.lost_probes < LOST_PROBES * self.addresses {
            self.rpc()?.fail_over();
            return Ok(Next::NotYet);
        }
        self.position.skip_to(oldest, reason);
        Ok(Next::NotYet)
    }

    fn shown(&self) -> String {
        self.rpc.as_ref().map_or_else(String::new, |rpc| rpc.shown().to_owned())
    }

    fn malformed(&self, path: &str, reason: &str) -> SourceError {
        SourceError::Malformed { url: self.shown(), method: path.into(), reason: cut(reason.to_owned()) }
    }

    /// After an error whoever answers next may be another node, also under the same address.
    fn after<T>(&mut self, mut outcome: Result<T, SourceError>) -> Result<T, SourceError> {
        if let Err(error) = &mut outcome {
            (self.checked, self.ahead) = (None, None);
            if let Some(rpc) = self.rpc.as_mut().filter(|_| !matches!(error, SourceError::Held { .. })) {
                rpc.give_up(error);
            }
        }
        outcome
    }
}

impl Ledger for TendermintRpc {
    fn scope(&self) -> String {
        // Heights of the consensus engine are not those of the node API.
        "planetmint consensus".into()
    }

    fn poll_interval(&self) -> Duration {
        self.config.poll_interval.0.max(Duration::from_millis(10))
    }

    fn identify(&mut self) -> LocalFuture<'_, Result<Arc<str>, SourceError>> {
        Box::pin(async {
            let status = self.status().await;
            self.after(status)?;
            let unknown = || SourceError::Setting { key: "chain_id", reason: "unknown".into() };
            self.chain.clone().ok_or_else(unknown)
        })
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
}

#[cfg(test)]
mod tests;
