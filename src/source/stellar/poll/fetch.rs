//! Fetching: pages of ledgers, and their transactions where a server gives no metadata.

use super::StellarRpc;
use super::events::SMALLEST_PAGE;
use crate::source::stellar::config::Mode;
use crate::source::stellar::decode::{self, ClosedLedger};
use crate::source::stellar::methods::{self, TransactionsFrom};
use crate::source::{Ledger, SourceError};
use std::time::Instant;

/// Ledgers asked for at a time while behind.
const AT_A_TIME: u32 = 10;
/// Refusals of a ledger that health says is there, before they are an error.
const REFUSALS: u32 = 10;
/// Answers in a row that say that a ledger is kept no more, before it is given up.
const LOST_PROBES: u32 = 5;
/// And it must have been so for this many poll intervals.
const LOST_AFTER: u32 = 10;
/// Refusals after which it may be the patterns of topics that a server does not understand.
const TOPICS_REFUSED: u32 = 5;
/// Pages of transactions in one ledger; more than any ledger can hold.
const PAGES: usize = 500;

impl StellarRpc {
    /// Fetches the next ledgers; false: the server does not give them yet.
    pub(super) async fn fetch(&mut self, due: u32) -> Result<bool, SourceError> {
        // A quarter of the largest answer leaves room for ledgers that are larger than those before.
        let fits = self.config.max_response.bytes() / 4 / self.ledger_bytes.max(1);
        let fits = u32::try_from(fits).unwrap_or(u32::MAX).clamp(1, AT_A_TIME);
        let limit = self.newest.saturating_sub(due).saturating_add(1).min(fits);
        let format = self.form;
        let answer = match methods::ledgers(self.rpc().await?, due, limit, format).await {
            Ok(answer) => answer,
            Err(error @ SourceError::TooLarge { .. }) => {
                // The next attempt asks for one ledger only.
                self.ledger_bytes = usize::MAX;
                return Err(error);
            }
            Err(error) if matches!(error.rpc_code(), Some(-32600 | -32602)) => {
                return self.refused(due, error).await.map(|()| false);
            }
            Err(error) => return Err(error),
        };
        self.refusals = 0;
        // A tip before the due ledger is looked at again by health, whatever was said before.
        self.newest =
            if answer.latest_ledger < due { answer.latest_ledger } else { self.newest.max(answer.latest_ledger) };
        if answer.oldest_ledger > answer.latest_ledger {
            return Err(self.malformed("getLedgers", "the oldest ledger is after the latest".into()));
        }
        self.oldest = answer.oldest_ledger;
        self.watch_edge(due);
        // Repeats are dropped by the position; a hole is an error, whatever came after it.
        let mut expected = due;
        for ledger in answer.ledgers {
            if ledger.sequence < expected {
                continue;
            }
            if ledger.sequence != expected || self.fetched.len() == limit as usize {
                break;
            }
            self.fetched.push_back(ledger);
            expected = expected.saturating_add(1);
        }
        self.ledger_bytes = self.fetched.iter().map(methods::Ledger::bytes).max().unwrap_or(self.ledger_bytes);
        if self.fetched.is_empty() && due < self.oldest {
            self.lost(due)?;
            return Ok(false);
        }
        if self.fetched.is_empty() && answer.latest_ledger >= due {
            return Err(self.malformed("getLedgers", format!("ledger {due} is missing from the answer")));
        }
        Ok(!self.fetched.is_empty())
    }

    /// A refused position is decided by numbers, not by the server's text.
    pub(super) async fn refused(&mut self, due: u32, error: SourceError) -> Result<(), SourceError> {
        self.health().await?;
        if due > self.newest {
            return Ok(());
        }
        // Only now: a server that also reads from an archive gives more than it says.
        if due < self.oldest {
            return self.lost(due);
        }
        // Another machine behind the same name may lag. Not for ever.
        self.refusals += 1;
        self.not_lost();
        self.ask_for_less(&error);
        if self.refusals < REFUSALS {
            return Ok(());
        }
        self.refusals = 0;
        self.ask_another();
        Err(error)
    }

    /// Where it is not the position that a server refuses (that is -32600), it may give smaller pages
    /// or, if it is an older one, not know `**`.
    fn ask_for_less(&mut self, error: &SourceError) {
        if error.rpc_code() != Some(-32602) || self.config.mode != Mode::Events {
            return;
        }
        if self.refusals == TOPICS_REFUSED && self.wanted.has_topics() {
            self.topics_refused = true;
            self.context.status.notice(&format!("{error}; asking without `topics`, which are looked at here instead"));
        } else {
            self.page = (self.page / 2).max(SMALLEST_PAGE);
        }
    }

    /// A node says that it does not keep the due ledger any more. Believed when it, or the others in
    /// turn, have said so several times and for a while: a node that has just started keeps little, and
    /// another may still have it.
    pub(super) fn lost(&mut self, due: u32) -> Result<(), SourceError> {
        let (since, probes) = self.lost_probes.unwrap_or((Instant::now(), 0));
        self.lost_probes = Some((since, probes.saturating_add(1)));
        if probes + 1 < LOST_PROBES || since.elapsed() < LOST_AFTER * self.poll_interval() {
            self.ask_another();
            return Ok(());
        }
        self.skip_lost(due)?;
        self.not_lost();
        Ok(())
    }

    /// An answer that shows that the due ledger is still kept.
    pub(super) fn not_lost(&mut self) {
        self.lost_probes = None;
    }

    /// The front ledger through `getTransactions`, for servers that give no metadata; `None`: the
    /// server answering does not have the ledger yet.
    pub(super) async fn read_transactions(&mut self, due: u32) -> Result<Option<ClosedLedger>, SourceError> {
        let Some(ledger) = self.fetched.front() else { return Ok(None) };
        let mut closed = decode::header(ledger).map_err(|reason| self.malformed("getLedgers", reason))?;
        let network = self.network_hash();
        let format = self.form;
        let mut from = TransactionsFrom::Ledger(due);
        let (mut bytes, limit) = (0, self.config.max_response.bytes());
        for _ in 0..PAGES {
            let at_a_time = self.page;
            let page = match methods::transactions(self.rpc().await?, &from, at_a_time, format).await {
                Ok(page) => page,
                Err(error) if matches!(error.rpc_code(), Some(-32600 | -32602)) => {
                    // Either it gives fewer at a time, or it has lost the ledger since it gave the header.
                    self.page = (at_a_time / 2).max(SMALLEST_PAGE);
                    self.fetched.clear();
                    return self.refused(due, error).await.map(|()| None);
                }
                Err(error) => return Err(error),
            };
            if page.latest_ledger < due {
                self.newest = page.latest_ledger;
                self.fetched.clear();
                return Ok(None);
            }
            let count = page.transactions.len();
            let past = page.transactions.last().is_some_and(|last| last.ledger > due);
            for sent in page.transactions.iter().filter(|sent| sent.ledger == due) {
                let next = closed.transactions.len() as u32 + 1;
                if sent.application_order < next {
                    continue;
                }
                if sent.application_order != next {
                    return Err(
                        self.malformed("getTransactions", format!("transaction {next} of ledger {due} is missing"))
                    );
                }
                bytes += sent.bytes();
                if bytes > limit {
                    return Err(SourceError::TooLarge { url: self.shown(), method: "getTransactions".into(), limit });
                }
                let applied = decode::transaction(sent, &network);
                closed.transactions.push(applied.map_err(|reason| self.malformed("getTransactions", reason))?);
            }
            // Only an empty page is the end: a provider may give fewer at a time than asked for.
            if past || count == 0 {
                decode::check_results(&closed).map_err(|reason| self.malformed("getTransactions", reason))?;
                self.page = self.page.saturating_mul(2).min(methods::TRANSACTIONS_PAGE);
                return Ok(Some(closed));
            }
            // A full page that does not move on would be read for ever.
            let Some(cursor) = methods::greater_cursor(from, &page.cursor) else {
                return Err(self.malformed("getTransactions", format!("cursor `{}` does not move on", page.cursor)));
            };
            from = TransactionsFrom::After(cursor);
        }
        Err(self.malformed("getTransactions", format!("ledger {due} has no end")))
    }
}
