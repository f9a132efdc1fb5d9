//! What a `subscribe` or `unsubscribe` asks for, whole or not at all.

use super::books::{self, Question};
use super::faults::{
    ACCOUNT_MALFORMED, Fault, INVALID_PARAMETERS, NO_PERMISSION, NOT_SUPPORTED, STREAM_MALFORMED, TOO_MANY_SNAPSHOTS,
};
use super::request::{Request, entries, text};
use crate::event::Key;
use crate::source::xrpl::currency::{affected_key, is_address};
use serde_json::value::RawValue;

/// Books that one request may ask a snapshot of, either side counted.
const MOST_SNAPSHOTS: usize = 16;

/// A set of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Streams(u8);

impl Streams {
    pub const LEDGER: Streams = Streams(1);
    pub const BOOK_CHANGES: Streams = Streams(2);
    pub const TRANSACTIONS: Streams = Streams(4);
    pub const TRANSACTIONS_PROPOSED: Streams = Streams(8);

    pub fn contains(self, other: Streams) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn with(self, other: Streams) -> Streams {
        Streams(self.0 | other.0)
    }

    pub fn without(self, other: Streams) -> Streams {
        Streams(self.0 & !other.0)
    }
}

/// What a request asks for. Lists are sorted, each value once.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub streams: Streams,
    pub books: Vec<Key>,
    pub accounts: Vec<Key>,
    pub accounts_proposed: Vec<Key>,
    /// What to ask the ledger's server before the subscription stands.
    pub questions: Vec<Question>,
}

impl Asked {
    /// Reads all that a request asks for, in the order in which the ledger's own servers look at it.
    pub fn read(request: &Request<'_>, subscribe: bool) -> Result<Asked, Fault> {
        if request.url.is_some() {
            return Err(NO_PERMISSION);
        }
        let mut asked = Asked::default();
        if let Some(raw) = request.streams {
            entries(raw, |entry| {
                asked.streams = asked.streams.with(stream(entry, subscribe)?);
                Ok(())
            })
            .unwrap_or(Err(INVALID_PARAMETERS))?;
        }
        asked.accounts_proposed = accounts(request.accounts_proposed.or(request.rt_accounts))?;
        asked.accounts = accounts(request.accounts)?;
        if let Some(raw) = request.books {
            entries(raw, |entry| books::read(entry, &mut asked.books, &mut asked.questions))
                .unwrap_or(Err(INVALID_PARAMETERS))?;
        }
        if !subscribe {
            asked.questions.clear();
        } else if asked.questions.len() > MOST_SNAPSHOTS {
            return Err(TOO_MANY_SNAPSHOTS);
        }
        sort(&mut asked.books);
        Ok(asked)
    }
}

/// One stream. Those that polling cannot give can be given up, since nobody has them.
fn stream(raw: &RawValue, subscribe: bool) -> Result<Streams, Fault> {
    let refused = |fault| if subscribe { Err(fault) } else { Ok(Streams::default()) };
    match text(raw).as_deref() {
        Some("ledger") => Ok(Streams::LEDGER),
        Some("book_changes") => Ok(Streams::BOOK_CHANGES),
        Some("transactions") => Ok(Streams::TRANSACTIONS),
        Some("transactions_proposed" | "rt_transactions") => Ok(Streams::TRANSACTIONS_PROPOSED),
        Some("validations" | "manifests" | "consensus" | "server") => refused(NOT_SUPPORTED),
        Some("peer_status") => refused(NO_PERMISSION),
        _ => Err(STREAM_MALFORMED),
    }
}

fn accounts(raw: Option<&RawValue>) -> Result<Vec<Key>, Fault> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    entries(raw, |entry| {
        let address = text(entry).filter(|address| is_address(address)).ok_or(ACCOUNT_MALFORMED)?;
        keys.push(affected_key(&address));
        Ok(())
    })
    .unwrap_or(Err(INVALID_PARAMETERS))?;
    if keys.is_empty() {
        return Err(ACCOUNT_MALFORMED);
    }
    sort(&mut keys);
    Ok(keys)
}

fn sort(keys: &mut Vec<Key>) {
    keys.sort_unstable();
    keys.dedup();
}
