//! The position in the chain and how it moves.

mod continuity;
mod events;
mod fetch;

use super::assets::{AssetContracts, network_hash};
use super::config::{Config, Mode, XdrFormat};
use super::decode::{self, ClosedLedger, Reason};
use super::emitted::Wanted;
use super::methods::{self, Health};
use super::{mapping, network_id};
use crate::event::{Continuity, Hash, LedgerBatch, LedgerRef};
use crate::source::settings::StartLedger;
use crate::source::{Checkpoint, Context, Ledger, LocalFuture, Next, RpcClient, SourceError, cut};
use continuity::held_by_reset;
use events::Found;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Kept from the edge of what the server holds, which moves on while we read.
const MARGIN: u32 = 10;
/// Machines behind one name differ by a few ledgers: no reset.
const MAY_LAG: u32 = 12;
/// A tip far behind ours is believed after so many probes and so long.
const RESET_PROBES: u32 = 3;
const RESET_AFTER: Duration = Duration::from_secs(30);

/// A Stellar RPC node, polled.
pub struct StellarRpc {
    config: Config,
    context: Context,
    /// Made at first use, since its secrets are read from files.
    rpc: Option<RpcClient>,
    /// The client's endpoint whose network was checked.
    checked: Option<usize>,
    network: Option<Network>,
    /// The ledger that is due; known once opened.
    due: Option<u32>,
    /// The last ledger delivered.
    last: Option<(u32, Option<Hash>)>,
    epoch: u32,
    /// The range of the server, as far as it told.
    newest: u32,
    oldest: u32,
    /// Fetched and not yet delivered, from `due` on.
    fetched: VecDeque<methods::Ledger>,
    /// In events mode, what was searched and not yet delivered.
    found: Found,
    /// In events mode, what is asked for.
    wanted: Wanted,
    /// Whether the server refuses patterns of topics; then they are only looked at here.
    topics_refused: bool,
    /// Events or transactions asked for at a time.
    page: u32,
    /// The form that values are asked for in.
    form: XdrFormat,
    /// Why nothing more is read until a person has looked.
    held: Option<String>,
    /// The close time of the ledger delivered last.
    closed_at: i64,
    /// Bytes of the largest ledger of the last page, as the answer holds it.
    ledger_bytes: usize,
    /// To be announced with the next batch.
    announce: Option<Continuity>,
    /// Since when and how often the tip was far behind ours.
    behind_us: Option<(Instant, u32)>,
    refusals: u32,
    /// Since when, and how many answers in a row said that the due ledger is kept no more.
    lost_probes: Option<(Instant, u32)>,
    /// How many ledgers the server keeps; 0: it does not tell.
    window: u32,
    /// Whether the loss of ledgers was said to be near.
    near_edge: bool,
    /// Whether the parent of `due` was found different once.
    doubted: bool,
}

struct Network {
    id: Arc<str>,
    passphrase: String,
    contracts: AssetContracts,
}

impl StellarRpc {
    /// A ledger that is not connected yet.
    pub fn new(config: Config, context: Context) -> StellarRpc {
        StellarRpc {
            page: first_page(&config),
            form: config.xdr_format,
            held: None,
            config,
            found: Found::default(),
            wanted: Wanted::default(),
            topics_refused: false,
            closed_at: 0,
            context,
            rpc: None,
            checked: None,
            network: None,
            due: None,
            last: None,
            epoch: 0,
            newest: 0,
            oldest: 0,
            fetched: VecDeque::new(),
            ledger_bytes: 0,
            announce: None,
            behind_us: None,
            refusals: 0,
            lost_probes: None,
            window: 0,
            near_edge: false,
            doubted: false,
        }
    }

    /// The client, connected to a node whose network was checked.
    async fn rpc(&mut self) -> Result<&mut RpcClient, SourceError> {
        let rpc = match &mut self.rpc {
            Some(rpc) => rpc,
            empty => empty.insert(RpcClient::new(self.config.rpc()?)?),
        };
        let endpoint = rpc.endpoint();
        if self.checked != Some(endpoint) {
            let url = rpc.shown().to_owned();
            let found = methods::network(rpc).await?.passphrase;
            let known = self.network.as_ref().map(|network| &network.passphrase);
            if let Some(expected) = known.or(self.config.network_passphrase.as_ref()).filter(|known| **known != found) {
                let expected = expected.clone();
                rpc.fail_over();
                return Err(SourceError::WrongNetwork { url, expected, found: cut(found) });
            }
            self.network.get_or_insert_with(|| Network {
                id: network_id(&found).into(),
                contracts: AssetContracts::new(network_hash(&found)),
                passphrase: found,
            });
            self.checked = Some(endpoint);
            // What another node refused says nothing about this one.
            (self.page, self.topics_refused) = (first_page(&self.config), false);
        }
        Ok(rpc)
    }

    async fn health(&mut self) -> Result<Health, SourceError> {
        let health = methods::health(self.rpc().await?).await?;
        (self.newest, self.oldest) = (health.latest_ledger, health.oldest_ledger);
        self.window = health.ledger_retention_window;
        Ok(health)
    }

    /// Where a source without a position begins.
    fn cold_start(&self, health: &Health) -> u32 {
        let (oldest, latest) = (health.oldest_ledger.max(1), health.latest_ledger);
        // Only a server that is full moves its edge.
        let window = health.ledger_retention_window;
        let full = window > 0 && latest.saturating_sub(oldest) + 1 >= window;
        let from_oldest = if full { past_edge(oldest, latest) } else { oldest };
        match self.config.start_ledger {
            StartLedger::Latest => latest,
            StartLedger::Oldest => from_oldest,
            StartLedger::Number(number) if (oldest..=latest).contains(&number) => number,
            StartLedger::Number(number) => {
                let start = if number < oldest { from_oldest } else { latest };
                self.context.status.notice(&format!(
                    "`start_ledger` {number} is not among the ledgers {oldest} to {latest} that the rpc keeps; starting at {start}"
                ));
                start
            }
        }
    }

    async fn open_at(&mut self, checkpoint: Option<Checkpoint>) -> Result<(), SourceError> {
        if self.config.mode == Mode::Events {
            let wrong = |reason| SourceError::Setting { key: "filters", reason };
            self.wanted = Wanted::new(&self.config.filters).map_err(wrong)?;
            self.context.status.notice(
                "events mode: there will be contract events and the payments that follow from them, \
                 and no ledger, transaction or trade events",
            );
        }
        let health = self.health().await?;
        self.fetched.clear();
        self.found.clear();
        self.doubted = false;
        match checkpoint {
            Some(checkpoint) => {
                let ledger = u32::try_from(checkpoint.ledger).unwrap_or(u32::MAX - 1);
                self.last = Some((ledger, checkpoint.hash));
                self.epoch = checkpoint.epoch;
                self.due = Some(ledger.saturating_add(1));
            }
            None => {
                self.last = None;
                self.due = Some(self.cold_start(&health));
            }
        }
        Ok(())
    }

    async fn next_ledger(&mut self) -> Result<Next, SourceError> {
        let Some(mut due) = self.due else {
            return Err(SourceError::Setting { key: "start_ledger", reason: "polled before it was opened".into() });
        };
        if let Some(reason) = self.held.clone() {
            return Err(held_by_reset(reason));
        }
        self.rpc().await?;
        if self.fetched.is_empty() && !self.found.has(due) {
            if due > self.newest {
                let health = self.health().await?;
                if due <= self.newest {
                    self.behind_us = None;
                } else if !self.is_reset(due, &health)? {
                    return Ok(Next::NotYet);
                }
                due = self.due.unwrap_or(due);
            }
            let has = match self.config.mode {
                Mode::Transactions => self.fetch(due).await?,
                Mode::Events => self.search(due).await?,
            };
            if !has {
                return Ok(Next::NotYet);
            }
        }
        if self.config.mode == Mode::Events {
            return self.deliver_found(due);
        }
        let Some(ledger) = self.fetched.front() else { return Ok(Next::NotYet) };
        let closed = if !ledger.has_metadata() {
            let Some(closed) = self.read_transactions(due).await? else { return Ok(Next::NotYet) };
            closed
        } else {
            decode::metadata(ledger, &self.network_hash()).map_err(|reason| self.malformed("getLedgers", reason))?
        };
        self.check_parent(&closed)?;
        self.deliver(closed)
    }

    /// Maps a ledger and moves the position past it.
    fn deliver(&mut self, closed: ClosedLedger) -> Result<Next, SourceError> {
        let Some(network) = &mut self.network else {
            return Err(self.malformed("getNetwork", "no network known".into()));
        };
        let id = network.id.clone();
        let events = match mapping::events(&closed, &mut network.contracts) {
            Ok(events) => events,
            Err(reason) => return Err(self.malformed("getLedgers", reason)),
        };
        let batch = LedgerBatch {
            source: self.context.source,
            network: id,
            epoch: self.epoch,
            ledger: LedgerRef {
                index: closed.index.into(),
                hash: Some(closed.hash),
                parent: Some(closed.parent),
                closed_at: closed.closed_at,
            },
            continuity: self.announce.take(),
            events,
            native: None,
        };
        self.fetched.pop_front();
        self.moved_past(closed.index, Some(closed.hash));
        Ok(Next::Batch(Box::new(batch)))
    }

    fn moved_past(&mut self, ledger: u32, hash: Option<Hash>) {
        self.last = Some((ledger, hash));
        self.due = Some(ledger.saturating_add(1));
        self.doubted = false;
        self.behind_us = None;
        self.not_lost();
    }

    fn network_hash(&self) -> [u8; 32] {
        self.network.as_ref().map_or([0; 32], |network| *network.contracts.network())
    }

    fn shown(&self) -> String {
        self.rpc.as_ref().map_or_else(String::new, |rpc| rpc.shown().to_owned())
    }

    /// An answer that cannot be used is fetched anew, from another node if there is one.
    fn malformed(&mut self, method: &str, reason: Reason) -> SourceError {
        let url = self.shown();
        self.fetched.clear();
        self.found.clear();
        self.ask_another();
        if self.form == XdrFormat::Json {
            // JSON is read to a smaller depth than the values may have, and one of them must not end the stream.
            self.form = XdrFormat::Base64;
            self.context.status.notice("an answer in json could not be used; asking for base64 from now on");
        }
        SourceError::Malformed { url, method: method.into(), reason: cut(reason) }
    }

    /// The next call goes to another address, if there is one: a second opinion.
    fn ask_another(&mut self) {
        if let Some(rpc) = &mut self.rpc {
            rpc.fail_over();
        }
    }
}

/// Events or transactions asked for at a time, before a server refuses so many.
fn first_page(config: &Config) -> u32 {
    match config.mode {
        Mode::Transactions => methods::TRANSACTIONS_PAGE,
        Mode::Events => config.page_limit.max(events::SMALLEST_PAGE),
    }
}

/// A ledger a little past the edge of what a server keeps, where there is one.
fn past_edge(oldest: u32, latest: u32) -> u32 {
    let oldest = oldest.max(1);
    oldest + MARGIN.min(latest.saturating_sub(oldest) / 2)
}

impl Ledger for StellarRpc {
    fn scope(&self) -> String {
        match self.config.mode {
            Mode::Transactions => "stellar transactions".into(),
            // What is asked for decides what there is to go on from.
            Mode::Events => format!("stellar events {:?}", self.config.filters),
        }
    }

    fn poll_interval(&self) -> Duration {
        self.config.poll_interval.0.max(Duration::from_millis(10))
    }

    fn identify(&mut self) -> LocalFuture<'_, Result<Arc<str>, SourceError>> {
        Box::pin(async move {
            self.checked = None;
            self.rpc().await?;
            let id = self.network.as_ref().map(|network| network.id.clone());
            id.ok_or_else(|| SourceError::Setting { key: "network_passphrase", reason: "unknown".into() })
        })
    }

    fn open(&mut self, checkpoint: Option<Checkpoint>) -> LocalFuture<'_, Result<(), SourceError>> {
        Box::pin(self.open_at(checkpoint))
    }

    fn next(&mut self) -> LocalFuture<'_, Result<Next, SourceError>> {
        Box::pin(async {
            let outcome = self.next_ledger().await;
            // Whoever answers now may be another node, of another network. Where hashes tie the ledgers, a
            // connection that broke is no reason to ask: a stranger's first ledger does not fit.
            let strange = match &outcome {
                Err(SourceError::Malformed { .. } | SourceError::Discontinuity { .. }) => true,
                Err(SourceError::Transport { .. }) => self.config.mode == Mode::Events,
                _ => false,
            };
            if strange {
                self.checked = None;
            }
            outcome
        })
    }

    fn due(&self) -> Option<u64> {
        self.due.map(u64::from)
    }

    fn newest(&self) -> Option<u64> {
        (self.newest > 0).then(|| self.newest.into())
    }
}

#[cfg(test)]
mod tests;
