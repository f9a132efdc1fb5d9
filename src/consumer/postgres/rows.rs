//! An event as a row.

use super::encode::{Numeric, Time, json, name, text};
use crate::dialect::flow;
use crate::event::{Amount, Asset, Body, Event, EventCursor, Key, LedgerBatch};
use crate::source;
use std::borrow::Cow;
use std::pin::Pin;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

/// The columns of a row of events, in the order in which they are written.
pub const COLUMNS: &str = "network, epoch, ledger, event_id, kind, closed_at, transaction_index, kind_rank, sub_index, \
    transaction_hash, accounts, assets, asset, asset_code, asset_issuer, amount, from_account, to_account, \
    bought_asset, bought_asset_code, bought_asset_issuer, bought_amount, event, native, cursor";

/// Their types.
pub const TYPES: [Type; 25] = [
    Type::TEXT,
    Type::INT4,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::TIMESTAMPTZ,
    Type::INT8,
    Type::INT2,
    Type::INT8,
    Type::TEXT,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::NUMERIC,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::NUMERIC,
    Type::JSONB,
    Type::JSONB,
    Type::TEXT,
];

/// What moved from whom to whom, as far as the event tells.
#[derive(Default)]
struct Moved<'a> {
    from: Option<&'a str>,
    to: Option<&'a str>,
    asset: Option<&'a Asset>,
    amount: Option<&'a Amount>,
    bought: Option<&'a Asset>,
    bought_amount: Option<&'a Amount>,
}

impl<'a> Moved<'a> {
    fn of(body: &'a Body) -> Moved<'a> {
        match body {
            Body::Payment(payment) => Moved {
                from: Some(&payment.from),
                to: Some(&payment.to),
                asset: Some(&payment.asset),
                amount: payment.amount.as_ref(),
                ..Moved::default()
            },
            Body::Trade(trade) => Moved {
                from: Some(&trade.seller),
                to: Some(&trade.buyer),
                asset: Some(&trade.sold),
                amount: trade.sold_amount.as_ref(),
                bought: Some(&trade.bought),
                bought_amount: trade.bought_amount.as_ref(),
            },
            Body::ContractEvent(event) => event.movement.as_ref().map_or_else(Moved::default, |movement| Moved {
                from: movement.from.as_deref(),
                to: movement.to.as_deref(),
                asset: Some(&movement.asset),
                amount: movement.amount.as_ref(),
                ..Moved::default()
            }),
            Body::Transaction(transaction) => Moved { from: Some(&transaction.source_account), ..Moved::default() },
            Body::Deploy { contract, deployer } => {
                Moved { from: Some(deployer), to: Some(contract), ..Moved::default() }
            }
            Body::Ledger(_) | Body::BookChanges => Moved::default(),
        }
    }
}

/// As Flow prints it: with the decimals of its asset.
fn numeric<'a>(amount: Option<&'a Amount>, asset: Option<&Asset>) -> Option<Numeric<'a>> {
    let decimals = asset.and_then(|asset| asset.decimals).map_or(0, usize::from);
    amount.map(|amount| Numeric(amount, decimals))
}

/// Every party of an event: the names in its subject keys, each once. A book is no party.
fn parties(subjects: &[Key]) -> Vec<Cow<'_, str>> {
    let split = subjects.iter().filter_map(|key| key.split_once(':'));
    let mut names: Vec<&str> = split.filter(|(space, _)| *space != "book").map(|(_, name)| name).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(name).collect()
}

/// Writes an event of a ledger as a row.
pub async fn write(
    writer: Pin<&mut BinaryCopyInWriter>,
    batch: &LedgerBatch,
    epoch: i32,
    event: &Event,
) -> Result<(), tokio_postgres::Error> {
    let moved = Moved::of(&event.body);
    let opt = |value: Option<&'_ str>| value.map(|value| text(value).into_owned());
    let code = |asset: Option<&Asset>| asset.map(|asset| text(&asset.code).into_owned());
    let issuer = |asset: Option<&Asset>| asset.and_then(|asset| opt(asset.issuer.as_deref()));
    let id = |asset: Option<&Asset>| asset.map(|asset| text(&asset.id).into_owned());
    let flow = flow::event_json(batch, event);
    let native = event.native.as_ref().and_then(source::native_json);
    let assets: Vec<Cow<'_, str>> = event.assets.iter().flat_map(|asset| &asset.keys).map(|key| name(key)).collect();
    let hash = event.transaction_hash.map(|hash| hash_text(batch, &hash));
    writer
        .write(&[
            &&*batch.network,
            &epoch,
            &integer(batch.ledger.index),
            &name(&event.id),
            &event.kind.name(),
            &Time(batch.ledger.closed_at),
            &i64::from(event.place.transaction),
            &i16::from(event.place.rank),
            &integer(event.place.sub),
            &hash,
            &parties(&event.subjects),
            &assets,
            &id(moved.asset),
            &code(moved.asset),
            &issuer(moved.asset),
            &numeric(moved.amount, moved.asset),
            &opt(moved.from),
            &opt(moved.to),
            &id(moved.bought),
            &code(moved.bought),
            &issuer(moved.bought),
            &numeric(moved.bought_amount, moved.bought),
            &flow.as_deref().map(json),
            &native.as_deref().map(json),
            &EventCursor { batch, place: event.place }.to_string(),
        ])
        .await
}

/// A hash as the people of its network write it.
pub fn hash_text(batch: &LedgerBatch, hash: &crate::event::Hash) -> String {
    format!("{}{hash}", crate::event::Family::of_network(&batch.network).hash_prefix())
}

/// PostgreSQL has no unsigned integers. No chain counts so far in our lives.
pub fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_columns_as_types() {
        assert_eq!(COLUMNS.split(", ").count(), TYPES.len());
    }

    #[test]
    fn parties_are_named_once_and_books_are_none() {
        let keys: Vec<Key> = ["account:b", "affected:a", "sender:b", "book:X/Y", "contract:c"].map(Into::into).into();
        assert_eq!(parties(&keys), ["a", "b", "c"]);
    }
}
