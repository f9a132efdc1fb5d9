//! A payment of a ledger as a transfer between accounts.

use super::ledger::Ledger;
use super::uuid::Uuid;
use crate::event::{Amount, Body, Event, Family, LedgerBatch, Payment};
use crate::source::planetmint::native;
use serde::Serialize;
use std::sync::Arc;

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Seen, not final.
    Prepared {
        /// When it runs out, Unix seconds.
        expires_at: Option<i64>,
    },
    /// Final and good.
    Executed,
    /// Told as prepared, and nothing came of it.
    Rejected(Reason),
}

/// Why nothing came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It failed or was dropped.
    Cancelled,
    /// It ran out.
    Expired,
}

impl State {
    /// As resources say it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Prepared { .. } => "prepared",
            State::Executed => "executed",
            State::Rejected(_) => "rejected",
        }
    }

    /// The event that tells that it was reached.
    pub const fn event(self) -> &'static str {
        match self {
            State::Prepared { .. } => "transfer.create",
            State::Executed | State::Rejected(_) => "transfer.update",
        }
    }
}

/// Value that moves from one account to another.
#[derive(Debug, Clone)]
pub struct Transfer<'a> {
    ledger: &'a Ledger,
    /// What it is known by, whoever makes it and when.
    pub id: Uuid,
    /// Where it stands.
    pub state: State,
    amount: &'a Amount,
    /// When it got there, Unix seconds.
    at: i64,
    debit: Side,
    credit: Side,
    info: Info<'a>,
}

/// One side of it.
#[derive(Debug, Clone, Default)]
struct Side {
    account: String,
    memo: Memo,
}

/// What there is to say of a side. Never part of its account: clients compare that as text.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Memo {
    /// The transaction's own memo.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Box<str>>,
    /// The customer at the account (XRP Ledger).
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_tag: Option<Box<str>>,
    /// The same (Stellar).
    #[serde(skip_serializing_if = "Option::is_none")]
    muxed_id: Option<Box<str>>,
    /// Both in one address.
    #[serde(skip_serializing_if = "Option::is_none")]
    muxed_account: Option<String>,
    /// All who own it together (Planetmint), where the account is but the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    public_keys: Vec<String>,
}

/// What the resource has no fields for.
#[derive(Debug, Clone, Serialize)]
struct Info<'a> {
    network: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_hash: Option<String>,
    index: u64,
    height: u64,
    asset: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    /// Where the ledger tells no time of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_source: Option<&'static str>,
}

impl<'a> Transfer<'a> {
    /// The transfer that an event is on a ledger; `None`: it is no payment, of another asset or source, or of an
    /// amount that is not known.
    pub fn of(ledger: &'a Ledger, batch: &'a LedgerBatch, event: &'a Event) -> Option<Transfer<'a>> {
        let (payment, amount) = payment(ledger, batch, event)?;
        let family = Family::of_network(&batch.network);
        let parties = event.native.as_ref().and_then(|native| native.get::<native::Parties>());
        let several = |keys: &[Arc<str>]| match keys.len() {
            0 | 1 => Vec::new(),
            _ => keys.iter().map(|key| key.to_string()).collect(),
        };
        let inside = |id: &Option<Box<str>>, of: Family| id.clone().filter(|_| family == of);
        let muxed_account = |of, id: &Option<Box<str>>| muxed(of, id.as_deref()?);
        // Who gave it a name wants it told apart.
        let is_told = |muxed: &&String| ledger.has_name(muxed);
        let payer = muxed_account(&payment.from, &payment.from_muxed_id);
        let debit = Side {
            account: ledger.uri_of_payer(payer.as_ref().filter(is_told).map_or(&payment.from, String::as_str)),
            memo: Memo {
                muxed_id: inside(&payment.from_muxed_id, Family::Stellar),
                muxed_account: payer,
                public_keys: parties.map_or_else(Vec::new, |parties| several(&parties.senders)),
                ..Memo::default()
            },
        };
        let payee = muxed_account(&payment.to, &payment.to_muxed_id);
        let credit = Side {
            account: ledger.uri_of_payee(payee.as_ref().filter(is_told).map_or(&payment.to, String::as_str)),
            memo: Memo {
                text: payment.memo.clone(),
                destination_tag: inside(&payment.to_muxed_id, Family::Xrpl),
                muxed_id: inside(&payment.to_muxed_id, Family::Stellar),
                muxed_account: payee,
                public_keys: parties.map_or_else(Vec::new, |parties| several(&parties.owners)),
            },
        };
        let received = batch.native.as_ref().and_then(|native| native.get::<native::Block>());
        let info = Info {
            network: &batch.network,
            tx_hash: event.transaction_hash.map(|hash| family.written(&hash)),
            index: event.place.sub,
            height: batch.ledger.index,
            asset: &payment.asset.id,
            operation: payment.operation,
            time_source: received.filter(|block| block.time_received).map(|_| "received"),
        };
        let id = Transfer::id_of(batch, event);
        Some(Transfer {
            ledger,
            id,
            // Sources tell what is final, and nothing before.
            state: State::Executed,
            amount,
            at: batch.ledger.closed_at,
            debit,
            credit,
            info,
        })
    }

    /// Whether an event is a transfer on a ledger.
    pub fn is_of(ledger: &Ledger, batch: &LedgerBatch, event: &Event) -> bool {
        payment(ledger, batch, event).is_some()
    }

    /// Whether an event would be one, were its amount known.
    pub fn lacks_amount(ledger: &Ledger, batch: &LedgerBatch, event: &Event) -> bool {
        payment_here(ledger, batch, event).is_some_and(|payment| payment.amount.is_none())
    }

    /// What the transfer of a payment is known by.
    pub fn id_of(batch: &LedgerBatch, event: &Event) -> Uuid {
        let (network, index) = (&batch.network, event.place.sub);
        match event.transaction_hash {
            Some(hash) => Uuid::of(&format!("payment:{network}:{hash}:{index}")),
            // A ledger that tells no hashes has ids.
            None => Uuid::of(&format!("payment:{network}:{}:{index}", event.id)),
        }
    }

    /// What the notification that it is in this state is known by.
    pub fn notification(&self) -> Uuid {
        Uuid::of(&format!("notification:{}:{}", self.id, self.state.name()))
    }

    /// The resource that clients get.
    pub fn resource(&self) -> impl Serialize {
        let base = self.ledger.base();
        let time = |seconds| rfc3339(seconds);
        let at = Some(time(self.at));
        let timeline = match self.state {
            State::Prepared { .. } => Timeline { prepared_at: at, ..Timeline::default() },
            State::Executed => Timeline { executed_at: at, ..Timeline::default() },
            State::Rejected(_) => Timeline { rejected_at: at, ..Timeline::default() },
        };
        let amount = self.amount.to_string();
        let entry = |side: &Side, authorized| Entry {
            account: side.account.clone(),
            amount: amount.clone(),
            memo: (side.memo != Memo::default()).then(|| side.memo.clone()),
            authorized,
        };
        Resource {
            id: format!("{base}/transfers/{}", self.id),
            ledger: base,
            debits: [entry(&self.debit, Some(true))],
            credits: [entry(&self.credit, None)],
            state: self.state.name(),
            rejection_reason: match self.state {
                State::Rejected(reason) => Some(reason),
                _ => None,
            },
            expires_at: match self.state {
                State::Prepared { expires_at } => expires_at.map(time),
                _ => None,
            },
            timeline,
            additional_info: &self.info,
        }
    }

    /// Where the notification that it is in this state stands.
    pub fn notification_uri(&self) -> String {
        format!("{}/notifications/{}", self.ledger.base(), self.notification())
    }
}

/// The payment that an event is, of a ledger's source and asset and of a known amount.
fn payment<'a>(ledger: &Ledger, batch: &LedgerBatch, event: &'a Event) -> Option<(&'a Payment, &'a Amount)> {
    let payment = payment_here(ledger, batch, event)?;
    let amount = payment.amount.as_ref().filter(|amount| !amount.is_negative())?;
    Some((payment, amount))
}

/// The payment that an event is, of a ledger's source and asset.
fn payment_here<'a>(ledger: &Ledger, batch: &LedgerBatch, event: &'a Event) -> Option<&'a Payment> {
    let Body::Payment(payment) = &event.body else { return None };
    (batch.source == ledger.source() && ledger.has_asset(&payment.asset.id)).then_some(&**payment)
}

/// Nothing may stand here that five-bells-ledger has not: its clients drop the whole resource.
#[derive(Serialize)]
struct Resource<'a> {
    id: String,
    ledger: &'a str,
    debits: [Entry; 1],
    credits: [Entry; 1],
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection_reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    timeline: Timeline,
    additional_info: &'a Info<'a>,
}

#[derive(Serialize)]
struct Entry {
    account: String,
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    memo: Option<Memo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized: Option<bool>,
}

#[derive(Serialize, Default)]
struct Timeline {
    #[serde(skip_serializing_if = "Option::is_none")]
    prepared_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_at: Option<String>,
}

/// Such as `2026-11-21T07:45:23.000Z`.
fn rfc3339(seconds: i64) -> String {
    // What no calendar has is a ledger's mistake, and no reason to fall silent.
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

/// The `M…` address of a Stellar account and an id inside it.
fn muxed(account: &str, id: &str) -> Option<String> {
    let key = stellar_strkey::ed25519::PublicKey::from_string(account).ok()?;
    let muxed = stellar_strkey::ed25519::MuxedAccount { ed25519: key.0, id: id.parse().ok()? };
    Some(muxed.to_string().as_str().into())
}

#[cfg(test)]
mod tests;
