//! The events that contracts and the ledger itself emitted.

use super::assets::AssetContracts;
use super::decode::Reason;
use super::keys::{Names, Party, Subjects};
use super::mapping::toid;
use super::meaning::{DECIMALS, Meaning, MuxedId, meaning};
use super::transaction::View;
use crate::event::{Amount, Body, ContractEvent, Event, EventKind, Hash, Movement, Place};
use serde_json::value::to_raw_value;
use stellar_xdr::{ContractEventBody, ContractEventType, ScVal, TransactionEventStage};

/// The transaction part of what happens after all transactions.
const AFTER_ALL: u32 = (1 << 20) - 1;
/// The operation part of what happens after one transaction.
const AFTER_ONE: u32 = (1 << 12) - 1;

/// Events around all transactions of a ledger so far: their indices count over the whole ledger.
#[derive(Debug, Default)]
pub struct AroundAll {
    before: u32,
    after: u32,
}

/// Where an event stands: the parts of its id.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    /// The application order of the transaction, or what stands for all of them.
    pub transaction: u32,
    /// The operation.
    pub operation: u32,
    /// The index in this group.
    pub index: u32,
}

/// What is known around an event.
#[derive(Debug, Clone, Copy)]
pub struct Emission {
    /// The ledger it is in.
    pub ledger: u32,
    /// The transaction it is of.
    pub hash: Option<Hash>,
    /// Whether its call succeeded.
    pub successful: bool,
    /// Where it stands in the ledger.
    pub position: Position,
}

/// A verified transfer, from which a payment may follow.
#[derive(Debug)]
pub struct Transfer {
    /// The operation that made it.
    pub operation: u32,
    /// What it means.
    pub meaning: Meaning,
}

/// Appends the events of a transaction and gives the verified transfers among them.
pub fn append(
    view: &View<'_>,
    around: &mut AroundAll,
    contracts: &mut AssetContracts,
    names: &mut Names,
    events: &mut Vec<Event>,
) -> Result<Vec<Transfer>, Reason> {
    let mut transfers = Vec::new();
    let mut after_one = 0;
    let next = |counter: &mut u32| {
        *counter += 1;
        *counter - 1
    };
    for emitted in view.transaction_events() {
        let position = match emitted.stage {
            TransactionEventStage::BeforeAllTxs => {
                Position { transaction: 0, operation: 0, index: next(&mut around.before) }
            }
            TransactionEventStage::AfterTx => {
                Position { transaction: view.order, operation: AFTER_ONE, index: next(&mut after_one) }
            }
            TransactionEventStage::AfterAllTxs => {
                Position { transaction: AFTER_ALL, operation: 0, index: next(&mut around.after) }
            }
        };
        let meaning = meaning(&emitted.event, contracts);
        events.extend(event(&of(view, position), &emitted.event, meaning.as_ref(), names)?);
    }
    for (operation, emitted) in view.operation_events() {
        // Ids have no room for it; a transaction has 100 operations at most, but its metadata may claim more.
        if operation >= AFTER_ONE && !emitted.is_empty() {
            return Err(format!("operation {operation} of transaction {} emits events", view.order));
        }
        for (index, emitted) in (0..).zip(emitted) {
            let position = Position { transaction: view.order, operation, index };
            let meaning = meaning(emitted, contracts);
            events.extend(event(&of(view, position), emitted, meaning.as_ref(), names)?);
            transfers.extend(
                meaning.filter(|meaning| meaning.name == "transfer").map(|meaning| Transfer { operation, meaning }),
            );
        }
    }
    Ok(transfers)
}

fn of(view: &View<'_>, position: Position) -> Emission {
    Emission { ledger: view.ledger, hash: Some(view.hash), successful: view.successful(), position }
}

/// One event; `None` for a diagnostic one.
pub fn event(
    emission: &Emission,
    emitted: &stellar_xdr::ContractEvent,
    meaning: Option<&Meaning>,
    names: &mut Names,
) -> Result<Option<Event>, Reason> {
    let position = emission.position;
    let kind = match emitted.type_ {
        ContractEventType::Contract => EventKind::ContractEvent,
        ContractEventType::System => EventKind::SystemEvent,
        ContractEventType::Diagnostic => return Ok(None),
    };
    let ContractEventBody::V0(content) = &emitted.body;
    let mut subjects = Subjects::default();
    for topic in content.topics.iter() {
        add_addresses(topic, names, &mut subjects);
    }
    if let Some(Meaning { to: Some(to), to_muxed_id: Some(MuxedId::Number(id)), .. }) = meaning {
        names.add_subjects(to.with_id(*id), &mut subjects);
    }
    if let Some(contract) = &emitted.contract_id {
        names.add_subjects(Party::Contract(contract.0.0), &mut subjects);
        names.add_contract(contract.0.0, &mut subjects);
    }
    let amount = |meaning: &Meaning| meaning.units.map(|units| Amount::from_units(units, DECIMALS));
    let assets = meaning.map(|meaning| names.asset_keys(&meaning.asset, amount(meaning)));
    let mut movement = None;
    if let Some(meaning) = meaning {
        movement = Some(Movement {
            name: meaning.name,
            asset: names.asset(&meaning.asset),
            amount: amount(meaning),
            from: meaning.from.map(|party| names.name(party.base())),
            to: meaning.to.map(|party| names.name(party.base())),
        });
    }
    let json = |error: serde_json::Error| format!("event as json: {error}");
    let body = ContractEvent {
        contract: emitted.contract_id.as_ref().map(|contract| names.name(Party::Contract(contract.0.0))),
        topics: to_raw_value(&content.topics).map_err(json)?,
        data: to_raw_value(&content.data).map_err(json)?,
        transaction_index: position.transaction,
        operation_index: position.operation,
        in_successful_call: emission.successful,
        movement,
    };
    let Position { transaction, operation, index } = position;
    Ok(Some(Event {
        id: format!("{:019}-{index:010}", toid(emission.ledger, transaction, operation)).into(),
        kind,
        place: Place::new(transaction, kind, u64::from(operation) << 32 | u64::from(index)),
        transaction_hash: emission.hash,
        subjects: subjects.into_keys(),
        assets: assets.into_iter().collect(),
        body: Body::ContractEvent(Box::new(body)),
        native: None,
    }))
}

/// Every address in a topic, also inside vectors and maps.
fn add_addresses(value: &ScVal, names: &mut Names, subjects: &mut Subjects) {
    match value {
        ScVal::Address(address) => names.add_subjects(address.into(), subjects),
        ScVal::Vec(Some(values)) => values.0.iter().for_each(|value| add_addresses(value, names, subjects)),
        ScVal::Map(Some(entries)) => {
            for entry in entries.0.iter() {
                add_addresses(&entry.key, names, subjects);
                add_addresses(&entry.val, names, subjects);
            }
        }
        _ => {}
    }
}
