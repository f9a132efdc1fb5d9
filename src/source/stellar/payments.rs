//! Value that moved, from operations and their results. Exact: what was delivered, not what was sent.

use super::contract_events::Transfer;
use super::keys::{Names, Party, Subjects};
use super::mapping::toid;
use super::meaning::{DECIMALS, MuxedId};
use super::transaction::View;
use crate::event::{Amount, Body, Event, EventKind, Hash, Payment, Place};
use stellar_xdr::{
    AccountMergeResult, Asset, ClaimableBalanceId, CreateClaimableBalanceResult, LedgerEntryChange, LedgerEntryData,
    OperationBody, OperationResult, OperationResultTr, PathPaymentStrictSendResult,
};

/// One movement before it is an event.
pub struct Moved {
    /// Who gave.
    pub from: Party,
    /// Who got.
    pub to: Party,
    /// The id inside the receiver, where it is not in its address.
    pub to_muxed_id: Option<MuxedId>,
    /// What.
    pub asset: Asset,
    /// How much, in units of 10^-[`DECIMALS`].
    pub units: i128,
}

/// Appends the payments of a successful transaction.
pub fn append(view: &View<'_>, transfers: &[Transfer], names: &mut Names, events: &mut Vec<Event>) {
    let Some(results) = view.results else { return };
    let mut in_transaction = 0;
    for (operation, (sent, result)) in view.operations.iter().zip(results).enumerate() {
        let moved = match &sent.body {
            OperationBody::InvokeHostFunction(_) => {
                transfers.iter().filter(|transfer| transfer.operation == operation as u32).filter_map(invoked).collect()
            }
            _ => Vec::from_iter(classic(view, operation, sent, result)),
        };
        for (in_operation, moved) in moved.into_iter().enumerate() {
            let id = format!("{}-p{in_operation}", toid(view.ledger, view.order, operation as u32));
            let place = Place::new(view.order, EventKind::Payment, in_transaction);
            let operation = operation_name(sent.body.name());
            events.push(event(Some(view.hash), view.memo.clone(), id, place, operation, moved, names));
            in_transaction += 1;
        }
    }
}

/// A movement as an event of the transaction `hash`.
pub fn event(
    hash: Option<Hash>,
    memo: Option<Box<str>>,
    id: String,
    place: Place,
    operation: Option<&'static str>,
    moved: Moved,
    names: &mut Names,
) -> Event {
    let mut subjects = Subjects::default();
    names.add_subjects(moved.from, &mut subjects);
    names.add_subjects(moved.to, &mut subjects);
    if let Some(MuxedId::Number(id)) = moved.to_muxed_id {
        names.add_subjects(moved.to.with_id(id), &mut subjects);
    }
    let amount = Some(Amount::from_units(moved.units, DECIMALS));
    let muxed = moved.to.muxed_id().map(MuxedId::Number).or(moved.to_muxed_id);
    let body = Payment {
        from: names.name(moved.from.base()),
        to: names.name(moved.to.base()),
        from_muxed_id: moved.from.muxed_id().map(|id| MuxedId::Number(id).text()),
        to_muxed_id: muxed.map(|id| id.text()),
        asset: names.asset(&moved.asset),
        amount: amount.clone(),
        memo,
        operation,
    };
    Event {
        id: id.into(),
        kind: EventKind::Payment,
        place,
        transaction_hash: hash,
        subjects: subjects.into_keys(),
        assets: vec![names.asset_keys(&moved.asset, amount)],
        body: Body::Payment(Box::new(body)),
        native: None,
    }
}

/// The family's word for an operation, from the XDR's name of it.
fn operation_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "Payment" => "payment",
        "CreateAccount" => "create_account",
        "AccountMerge" => "account_merge",
        "PathPaymentStrictReceive" => "path_payment_strict_receive",
        "PathPaymentStrictSend" => "path_payment_strict_send",
        "CreateClaimableBalance" => "create_claimable_balance",
        "ClaimClaimableBalance" => "claim_claimable_balance",
        "InvokeHostFunction" => "invoke_host_function",
        _ => return None,
    })
}

/// What an operation of a fixed kind moved.
fn classic(
    view: &View<'_>,
    operation: usize,
    sent: &stellar_xdr::Operation,
    result: &OperationResult,
) -> Option<Moved> {
    let OperationResult::OpInner(result) = result else { return None };
    let from = view.source_of(sent);
    let moved = |to: Party, asset: &Asset, units: i64| {
        Some(Moved { from, to, to_muxed_id: None, asset: asset.clone(), units: units.into() })
    };
    match (&sent.body, result) {
        (OperationBody::Payment(op), _) => moved((&op.destination).into(), &op.asset, op.amount),
        (OperationBody::CreateAccount(op), _) => moved((&op.destination).into(), &Asset::Native, op.starting_balance),
        (OperationBody::AccountMerge(to), OperationResultTr::AccountMerge(AccountMergeResult::Success(balance))) => {
            moved(to.into(), &Asset::Native, *balance)
        }
        (OperationBody::PathPaymentStrictReceive(op), _) => {
            moved((&op.destination).into(), &op.dest_asset, op.dest_amount)
        }
        (
            OperationBody::PathPaymentStrictSend(op),
            OperationResultTr::PathPaymentStrictSend(PathPaymentStrictSendResult::Success(success)),
        ) => moved((&op.destination).into(), &op.dest_asset, success.last.amount),
        (
            OperationBody::CreateClaimableBalance(op),
            OperationResultTr::CreateClaimableBalance(CreateClaimableBalanceResult::Success(balance)),
        ) => moved(balance.into(), &op.asset, op.amount),
        (OperationBody::ClaimClaimableBalance(op), _) => {
            let (asset, units) = claimed(view.changes(operation), &op.balance_id)?;
            Some(Moved {
                from: (&op.balance_id).into(),
                to: from,
                to_muxed_id: None,
                asset: asset.clone(),
                units: units.into(),
            })
        }
        _ => None,
    }
}

/// What lay in a claimed balance: its last state before it was removed.
fn claimed<'a>(changes: &'a [LedgerEntryChange], id: &ClaimableBalanceId) -> Option<(&'a Asset, i64)> {
    changes.iter().rev().find_map(|change| match change {
        LedgerEntryChange::State(entry) | LedgerEntryChange::Updated(entry) => match &entry.data {
            LedgerEntryData::ClaimableBalance(balance) if balance.balance_id == *id => {
                Some((&balance.asset, balance.amount))
            }
            _ => None,
        },
        _ => None,
    })
}

/// A verified transfer inside a contract call.
fn invoked(transfer: &Transfer) -> Option<Moved> {
    let meaning = &transfer.meaning;
    Some(Moved {
        from: meaning.from?,
        to: meaning.to?,
        to_muxed_id: meaning.to_muxed_id.clone(),
        asset: meaning.asset.clone(),
        units: meaning.units?,
    })
}
