//! The position in the chain and how it moves.

mod codes;
mod continuity;

use super::client::{self, Client, word};
use super::decode::{self, Answered, ClosedLedger};
use super::fees::Fees;
use super::server::{self, Complete, Head};
use super::{Config, mapping, native, network_id};
use crate::event::{Continuity, Hash, LedgerBatch, LedgerRef, Native};
use crate::source::settings::StartLedger;
use crate::source::{Checkpoint, Context, Ledger, LocalFuture, Next, SourceError};
use codes::Codes;
use continuity::Missing;
use futures_util::StreamExt;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Ledgers asked for at a time while behind.
const LOOK_AHEAD: usize = 4;
/// Bytes of answers that may wait together, about.
const LOOK_AHEAD_BYTES: usize = 16 << 20;
/// Fees are asked for again after this long.
const FEES_AGE: Duration = Duration::from_secs(60);
/// A ledger that was named and is not there yet is asked for again so soon.
const SOON: Duration = Duration::from_millis(250);
/// A newest ledger older than this: the server's head has stopped.
pub(super) const STALLED: u64 = 20;
/// What of the position is kept in the checkpoint beside it.
const COINS: &str = "total_coins";
/// Passing troubles keep us away so long at most: a ledger closes every three to five seconds.
const LONGEST_PASSING: Duration = Duration::from_secs(10);

/// A server of the XRP Ledger, polled.
pub struct XrplRpc {
    config: Config,
    context: Context,
    /// Made at first use, since its secrets are read from files.
    client: Option<Client>,
    /// The network's id, and its number where a server told one.
    network: Option<(Arc<str>, Option<u32>)>,
    /// The ledger that is due; known once opened.
    due: Option<u32>,
    /// The last ledger delivered.
    last: Option<(u32, Option<Hash>)>,
    epoch: u32,
    /// What the server said last.
    head: Option<Head>,
    /// Fetched and not yet delivered, from `due` on.
    fetched: VecDeque<ClosedLedger>,
    /// Bytes of the largest answer of those fetched last.
    ledger_bytes: usize,
    fees: Option<Fees>,
    /// When the fees were asked for.
    fees_asked: Option<Instant>,
    /// Numbers of results that are newer than our table.
    codes: Codes,
    /// To be announced with the next batch.
    announce: Option<Continuity>,
    /// Since when servers say, one after the other, that they have not the due ledger though it is named.
    missing: Option<Missing>,
    /// Since when and how often the head was far behind ours.
    behind_us: Option<(Instant, u32)>,
    /// How often the due ledger did not follow the one delivered last.
    doubts: u32,
    /// Since when the newest ledger of the network seems to be the one delivered last.
    waiting: Option<Instant>,
    /// All drops that there were after the last ledger delivered.
    coins: Option<u64>,
    /// How often the due ledger seemed to lack a transaction.
    incomplete: u32,
    /// Whether it was said that the head has stopped.
    stalled: bool,
}

impl XrplRpc {
    /// No connection yet.
    pub fn new(config: Config, context: Context) -> XrplRpc {
        XrplRpc {
            config,
            context,
            client: None,
            network: None,
            due: None,
            last: None,
            epoch: 0,
            head: None,
            fetched: VecDeque::new(),
            ledger_bytes: 0,
            fees: None,
            fees_asked: None,
            codes: Codes::default(),
            announce: None,
            missing: None,
            behind_us: None,
            doubts: 0,
            waiting: None,
            coins: None,
            incomplete: 0,
            stalled: false,
        }
    }

    fn client(&mut self) -> Result<&mut Client, SourceError> {
        Ok(match &mut self.client {
            Some(client) => client,
            empty => empty.insert(Client::new(self.config.rpc()?)?),
        })
    }

    /// Asks a server for its head, and whether it is of our network.
    async fn ask_head(&mut self) -> Result<&Head, SourceError> {
        let head = server::head(self.client()?).await?;
        let known = self.network.as_ref().and_then(|(_, number)| *number).or(self.config.network_id);
        if let Some((expected, found)) = known.zip(head.network).filter(|(expected, found)| expected != found) {
            let url = self.client()?.shown().to_owned();
            return Err(SourceError::WrongNetwork { url, expected: network_id(expected), found: network_id(found) });
        }
        let number = head.network.or(known);
        match &mut self.network {
            Some((_, told)) => *told = number,
            empty => *empty = Some((network_id(number.unwrap_or(0)).into(), number)),
        }
        self.fees = self.fees.or(head.fees);
        Ok(self.head.insert(head))
    }

    /// Where a source without a position begins.
    fn cold_start(&self, head: &Head) -> u32 {
        let oldest = head.complete.row_of(head.seq).unwrap_or(head.seq).min(head.seq);
        match self.config.start_ledger {
            StartLedger::Latest => head.seq,
            StartLedger::Oldest => oldest,
            StartLedger::Number(number) => {
                let first = head.complete.first().unwrap_or(head.seq);
                let start = if number > head.seq { head.seq } else { number.max(first.min(head.seq)) };
                if start != number {
                    self.context.status.notice(&format!(
                        "`start_ledger` {number} is not among the ledgers {} that the server has; starting at {start}",
                        head.complete
                    ));
                }
                start
            }
        }
    }

    async fn open_at(&mut self, checkpoint: Option<Checkpoint>) -> Result<(), SourceError> {
        let head = self.ask_head().await?.clone();
        self.fetched.clear();
        (self.doubts, self.missing, self.incomplete) = (0, None, 0);
        self.coins = checkpoint.as_ref().and_then(|checkpoint| checkpoint.counters.get(COINS).copied());
        match checkpoint {
            Some(checkpoint) => {
                let ledger = u32::try_from(checkpoint.ledger).unwrap_or(u32::MAX - 1);
                self.last = Some((ledger, checkpoint.hash));
                self.epoch = checkpoint.epoch;
                self.due = Some(ledger.saturating_add(1));
            }
            None => {
                self.last = None;
                self.due = Some(self.cold_start(&head));
            }
        }
        Ok(())
    }

    async fn next_ledger(&mut self) -> Result<Next, SourceError> {
        let Some(mut due) = self.due else {
            return Err(SourceError::Setting { key: "start_ledger", reason: "polled before it was opened".into() });
        };
        if self.fetched.front().is_none_or(|ledger| ledger.index != due) {
            self.fetched.clear();
            // What a server has is asked anew where a ledger was not to be had: it may be another server by now.
            let newest = self.head.as_ref().filter(|_| self.missing.is_none()).map_or(0, |head| head.seq);
            if newest < due {
                let head = self.ask_head().await?.clone();
                if head.seq < due && !self.at_tip(due, &head)? {
                    return Ok(Next::NotYet);
                }
                due = self.due.unwrap_or(due);
            }
            if !self.fetch(due).await? {
                return self.missed(due);
            }
        }
        self.learn_fees().await;
        if let (Some(client), Some(ledger)) = (&mut self.client, self.fetched.front()) {
            self.codes.learn(client, ledger, &self.context.status).await;
        }
        self.check_parent()?;
        self.check_fees()?;
        self.deliver()
    }

    /// Fetches `due` and, while behind, some after it. Whether `due` was to be had.
    async fn fetch(&mut self, due: u32) -> Result<bool, SourceError> {
        let newest = self.head.as_ref().map_or(due, |head| head.seq.max(due));
        let room = LOOK_AHEAD_BYTES / self.ledger_bytes.max(1);
        let count = ((newest - due) as usize + 1).min(LOOK_AHEAD).min(room.max(1));
        let timeout = self.config.timeout.0;
        let client = &*self.client()?;
        let fetch = |index: u32| async move {
            let parameters = json!({
                "ledger_index": index, "transactions": true, "expand": true, "owner_funds": true, "binary": false
            });
            let result = client.call("ledger", parameters, timeout).await?;
            decode::ledger(result.get(), index).map_err(|reason| client.malformed("ledger", reason))
        };
        let indices = (0..count as u32).map(|ahead| due.saturating_add(ahead));
        let mut answers = futures_util::stream::iter(indices.map(fetch)).buffered(count);
        let mut fetched = VecDeque::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(Answered::Ledger(ledger)) => fetched.push_back(*ledger),
                // Those before it are good. What is wrong with it is seen when it is due.
                _ if !fetched.is_empty() => break,
                Ok(Answered::NotYet) => return Ok(false),
                Err(error) if word(&error) == Some("lgrNotFound") => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        drop(answers);
        self.ledger_bytes = fetched.iter().map(|ledger| ledger.bytes).max().unwrap_or(0);
        self.fetched = fetched;
        Ok(true)
    }

    /// Fees change by vote, about never; those in ledgers are read from there.
    async fn learn_fees(&mut self) {
        if self.fees_asked.is_some_and(|asked| asked.elapsed() < FEES_AGE) {
            return;
        }
        self.fees_asked = Some(Instant::now());
        if let Ok(client) = self.client()
            && let Some(fees) = server::fees(client).await
        {
            self.fees = Some(fees);
        }
    }

    /// Maps the ledger that is due and moves the position past it.
    fn deliver(&mut self) -> Result<Next, SourceError> {
        let (Some((network, number)), Some(ledger)) = (self.network.clone(), self.fetched.front()) else {
            return Ok(Next::NotYet);
        };
        let Some(mut fees) = self.fees else {
            let reason = "neither `server_state` nor `server_info` tells the fees".to_owned();
            return Err(self.malformed("server_state", reason));
        };
        let code = |result: &str| self.codes.of(result);
        let events = match mapping::events(ledger, &mut fees, &code) {
            Ok(events) => events,
            Err(reason) => return Err(self.malformed("ledger", reason)),
        };
        let complete = self.head.as_ref().map_or_else(Complete::default, |head| head.complete.clone());
        let facts = native::Ledger {
            hash: ledger.hash.to_string().to_uppercase().into(),
            close_time: ledger.close_time,
            close_time_iso: ledger.close_time_iso.clone(),
            transactions: ledger.transactions.len() as u32,
            fee_base: fees.base,
            reserve_base: fees.reserve_base,
            reserve_increment: fees.reserve_increment,
            network_id: number,
            validated_ledgers: complete.up_to(ledger.index).into(),
        };
        let bytes = size_of::<native::Ledger>() + facts.hash.len() + facts.validated_ledgers.len();
        let batch = LedgerBatch {
            source: self.context.source,
            network,
            epoch: self.epoch,
            ledger: LedgerRef {
                index: ledger.index.into(),
                hash: Some(ledger.hash),
                parent: Some(ledger.parent),
                closed_at: ledger.closed_at(),
            },
            continuity: self.announce.take(),
            events,
            native: Some(Native::new(facts, bytes)),
        };
        self.fees = Some(fees);
        (self.coins, self.incomplete) = (ledger.total_coins, 0);
        self.last = Some((ledger.index, Some(ledger.hash)));
        self.due = Some(ledger.index.saturating_add(1));
        self.fetched.pop_front();
        (self.doubts, self.missing, self.behind_us, self.waiting) = (0, None, None, None);
        Ok(Next::Batch(Box::new(batch)))
    }

    /// An answer that cannot be used is fetched anew.
    fn malformed(&mut self, method: &str, reason: String) -> SourceError {
        self.fetched.clear();
        match self.client() {
            Ok(client) => client.malformed(method, reason),
            Err(error) => error,
        }
    }

    /// After any error of a server the next one is asked, if there is one.
    fn settle<T>(&mut self, outcome: Result<T, SourceError>) -> Result<T, SourceError> {
        let held = matches!(outcome, Err(SourceError::Held { .. }));
        if outcome.is_err() && !held {
            // It might be this server that has what the others have not.
            self.missing = None;
        }
        match (&mut self.client, outcome) {
            (Some(client), Ok(good)) => {
                client.works();
                Ok(good)
            }
            // Servers answered; who holds has gone on to the next one.
            (Some(client), Err(mut error)) if !held => {
                client.failed(&mut error);
                Err(error)
            }
            (_, outcome) => outcome,
        }
    }
}

impl Ledger for XrplRpc {
    fn scope(&self) -> String {
        "xrpl".into()
    }

    fn poll_interval(&self) -> Duration {
        let slower = self.client.as_ref().map_or(1, Client::slower);
        let interval = self.config.poll_interval.0.max(Duration::from_millis(10)) * slower;
        if self.missing.is_some() && slower == 1 { interval.min(SOON) } else { interval }
    }

    fn longest_wait(&self, error: &SourceError) -> Duration {
        client::longest_wait(error).unwrap_or(LONGEST_PASSING)
    }

    fn identify(&mut self) -> LocalFuture<'_, Result<Arc<str>, SourceError>> {
        Box::pin(async move {
            let asked = self.ask_head().await.map(|_| ());
            self.settle(asked)?;
            let id = self.network.as_ref().map(|(id, _)| id.clone());
            id.ok_or_else(|| SourceError::Setting { key: "network_id", reason: "unknown".into() })
        })
    }

    fn open(&mut self, checkpoint: Option<Checkpoint>) -> LocalFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            let opened = self.open_at(checkpoint).await;
            self.settle(opened)
        })
    }

    fn next(&mut self) -> LocalFuture<'_, Result<Next, SourceError>> {
        Box::pin(async move {
            let next = self.next_ledger().await;
            self.settle(next)
        })
    }

    fn due(&self) -> Option<u64> {
        self.due.map(u64::from)
    }

    fn newest(&self) -> Option<u64> {
        self.head.as_ref().map(|head| head.seq.into())
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        self.coins.iter().map(|coins| (COINS.to_owned(), *coins)).collect()
    }
}

#[cfg(test)]
mod tests;
