//! What each kind of event has beside what every event has.
//!
//! Some facts stand under two names: the ones that clients already know (`buyer_account_id` for
//! the receiver of a payment, `ledger_seq_num`) and the plain ones. A field that a family of
//! ledgers does not know is left out.

use super::super::price::quotient;
use super::{Decimals, PrefixedHash, Text, amount, prefixed};
use crate::event::{self, Amount, Asset, Body, Event, EventKind, LedgerBatch};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Payload<'a> {
    Ledger(Ledger),
    Transaction(Transaction<'a>),
    ContractEvent(ContractEvent<'a>),
    Payment(Payment<'a>),
    Trade(Box<Trade<'a>>),
}

impl<'a> Payload<'a> {
    /// `None` for what Flow has no words for.
    pub(super) fn of(batch: &'a LedgerBatch, event: &'a Event) -> Option<Payload<'a>> {
        Some(match &event.body {
            Body::Ledger(facts) => Payload::Ledger(Ledger::of(batch, facts)),
            Body::Transaction(body) => Payload::Transaction(Transaction::of(body)),
            Body::ContractEvent(body) => Payload::ContractEvent(ContractEvent::of(event.kind, body)),
            Body::Payment(body) => Payload::Payment(Payment::of(batch, body)),
            Body::Trade(body) => Payload::Trade(Box::new(Trade::of(batch, body))),
            Body::BookChanges | Body::Deploy { .. } => return None,
        })
    }
}

#[derive(Serialize)]
pub(super) struct Ledger {
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Text<PrefixedHash>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_hash: Option<Text<PrefixedHash>>,
    transaction_count: u32,
    successful_count: u32,
    operation_count: u32,
}

impl Ledger {
    fn of(batch: &LedgerBatch, facts: &event::LedgerFacts) -> Ledger {
        Ledger {
            hash: batch.ledger.hash.map(|hash| prefixed(batch, hash)),
            previous_hash: batch.ledger.parent.map(|hash| prefixed(batch, hash)),
            transaction_count: facts.transaction_count,
            successful_count: facts.successful_count,
            operation_count: facts.operation_count,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Transaction<'a> {
    source_account: &'a str,
    fee_account: &'a str,
    successful: bool,
    /// In the smallest unit.
    fee_charged: Text<&'a Amount>,
    operation_count: u32,
    /// Empty where there is none.
    memo: &'a str,
    application_order: u32,
}

impl<'a> Transaction<'a> {
    fn of(body: &'a event::Transaction) -> Transaction<'a> {
        Transaction {
            source_account: &body.source_account,
            fee_account: &body.fee_account,
            successful: body.successful,
            fee_charged: Text(&body.fee_charged),
            operation_count: body.operation_count,
            memo: body.memo.as_deref().unwrap_or_default(),
            application_order: body.application_order,
        }
    }
}

#[derive(Serialize)]
pub(super) struct ContractEvent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_id: Option<&'a str>,
    topics: &'a RawValue,
    data: &'a RawValue,
    event_type: &'static str,
    transaction_index: u32,
    operation_index: u32,
    in_successful_call: bool,
    #[serde(flatten)]
    movement: Option<Movement<'a>>,
}

/// What a verified asset contract's event means.
#[derive(Serialize)]
struct Movement<'a> {
    event_name: &'static str,
    asset_code: &'a str,
    asset: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Text<Decimals<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
}

impl<'a> ContractEvent<'a> {
    fn of(kind: EventKind, body: &'a event::ContractEvent) -> ContractEvent<'a> {
        ContractEvent {
            contract_id: body.contract.as_deref(),
            topics: &body.topics,
            data: &body.data,
            event_type: if kind == EventKind::SystemEvent { "system" } else { "contract" },
            transaction_index: body.transaction_index,
            operation_index: body.operation_index,
            in_successful_call: body.in_successful_call,
            movement: body.movement.as_ref().map(|movement| Movement {
                event_name: movement.name,
                asset_code: &movement.asset.code,
                asset: &movement.asset.id,
                amount: amount(&movement.amount, &movement.asset),
                from: movement.from.as_deref(),
                to: movement.to.as_deref(),
            }),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Payment<'a> {
    buyer_account_id: &'a str,
    seller_account_id: &'a str,
    from: &'a str,
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_muxed_id: Option<&'a str>,
    asset_code: &'a str,
    asset: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Text<Decimals<'a>>>,
    /// Empty where there is none.
    memo: &'a str,
    timestamp: Text<i64>,
    ledger_seq_num: u64,
    /// Empty where it is unknown.
    operation: &'static str,
}

impl<'a> Payment<'a> {
    fn of(batch: &LedgerBatch, body: &'a event::Payment) -> Payment<'a> {
        Payment {
            buyer_account_id: &body.to,
            seller_account_id: &body.from,
            from: &body.from,
            to: &body.to,
            to_muxed_id: body.to_muxed_id.as_deref(),
            asset_code: &body.asset.code,
            asset: &body.asset.id,
            amount: amount(&body.amount, &body.asset),
            memo: body.memo.as_deref().unwrap_or_default(),
            timestamp: Text(batch.ledger.closed_at),
            ledger_seq_num: batch.ledger.index,
            operation: body.operation.unwrap_or_default(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Trade<'a> {
    seller_id: &'a str,
    buyer_id: &'a str,
    sell_asset: &'a str,
    buy_asset: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sell_amount: Option<Text<Decimals<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buy_amount: Option<Text<Decimals<'a>>>,
    /// For display: bought per sold, both as their amounts are printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Box<RawValue>>,
    /// Exact: bought per sold, both in their smallest units.
    #[serde(skip_serializing_if = "Option::is_none")]
    price_r: Option<Fraction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orderbook_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    liquidity_pool: Option<&'a str>,
    sell_asset_details: AssetDetails<'a>,
    buy_asset_details: AssetDetails<'a>,
    timestamp: Text<i64>,
    buyer_account_id: &'a str,
    seller_account_id: &'a str,
}

#[derive(Serialize)]
struct Fraction<'a> {
    n: &'a str,
    d: &'a str,
}

#[derive(Serialize)]
struct AssetDetails<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> AssetDetails<'a> {
    fn of(asset: &'a Asset) -> AssetDetails<'a> {
        AssetDetails { code: &asset.code, issuer: asset.issuer.as_deref(), kind: asset.kind }
    }
}

impl<'a> Trade<'a> {
    fn of(batch: &LedgerBatch, body: &'a event::Trade) -> Trade<'a> {
        // Assets may count in different smallest units; one without decimals is its own unit.
        let scale = |asset: &Asset| asset.decimals.map_or(0, i32::from);
        let power = scale(&body.sold) - scale(&body.bought);
        let price = body.price.as_ref().and_then(|(n, d)| quotient(n, d, power));
        Trade {
            seller_id: &body.seller,
            buyer_id: &body.buyer,
            sell_asset: &body.sold.id,
            buy_asset: &body.bought.id,
            sell_amount: amount(&body.sold_amount, &body.sold),
            buy_amount: amount(&body.bought_amount, &body.bought),
            price: price.and_then(|price| RawValue::from_string(price.to_string()).ok()),
            price_r: body.price.as_ref().map(|(n, d)| Fraction { n, d }),
            orderbook_id: body.offer.as_deref(),
            liquidity_pool: body.pool.as_deref(),
            sell_asset_details: AssetDetails::of(&body.sold),
            buy_asset_details: AssetDetails::of(&body.bought),
            timestamp: Text(batch.ledger.closed_at),
            buyer_account_id: &body.buyer,
            seller_account_id: &body.seller,
        }
    }
}
