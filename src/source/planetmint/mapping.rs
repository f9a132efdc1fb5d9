//! A block → its batch: the events in their order, the same by either way in.

use super::ISSUANCE;
use super::native::{self, Parties};
use super::transaction::{Operation, Transaction};
use crate::event;
use crate::event::{
    Amount, Asset, AssetKeys, Body, Continuity, Event, EventKind, Hash, Key, LedgerBatch, LedgerFacts, LedgerRef,
    Native, Payment, Place, SourceNumber,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Signers that a payment is found under; the transaction is found under all. Thousands of outputs times a thousand
/// signers would fill the memory.
const MAX_PAYERS: usize = 32;

/// A block with all its accepted transactions.
#[derive(Debug)]
pub struct Block {
    /// Its height.
    pub height: u64,
    /// The consensus engine's hash of it, and of the one before it.
    pub hash: Option<Hash>,
    pub parent: Option<Hash>,
    /// The application hash after it.
    pub app_hash: String,
    /// Unix seconds; `None`: the node tells no time.
    pub time: Option<i64>,
    /// In their order.
    pub transactions: Vec<Transaction>,
    /// How many were in it and not accepted.
    pub rejected: u32,
}

/// Whose block it is.
pub struct Origin {
    pub source: SourceNumber,
    pub network: Arc<str>,
    pub epoch: u32,
    pub continuity: Option<Continuity>,
}

/// A block as it goes to the broker.
pub fn batch(block: Block, origin: Origin) -> LedgerBatch {
    let Block { height, hash, parent, app_hash, time, mut transactions, mut rejected } = block;
    let Origin { source, network, epoch, continuity } = origin;
    // One is accepted once: whatever a node says, nothing is told twice.
    let told = transactions.len();
    let mut seen = HashSet::with_capacity(transactions.len());
    transactions.retain(|transaction| seen.insert(transaction.id));
    let accepted = seen.len() as u32;
    rejected += (told - seen.len()) as u32;
    let facts = LedgerFacts {
        transaction_count: accepted + rejected,
        successful_count: accepted,
        operation_count: accepted + rejected,
    };
    let mut names = Names::default();
    let mut events = vec![Event {
        id: format!("{height}-ledger").into(),
        kind: EventKind::Ledger,
        place: Place::new(0, EventKind::Ledger, 0),
        transaction_hash: None,
        subjects: Vec::new(),
        assets: Vec::new(),
        body: Body::Ledger(facts),
        native: None,
    }];
    for (order, transaction) in (1..).zip(transactions) {
        append(order, transaction, &mut names, &mut events);
    }
    let native = native::Block { app_hash: app_hash.into(), time_received: time.is_none() };
    let bytes = size_of::<native::Block>() + native.app_hash.len();
    LedgerBatch {
        source,
        network,
        epoch,
        ledger: LedgerRef { index: height, hash, parent, closed_at: time.unwrap_or_else(now) },
        continuity,
        events,
        native: Some(Native::new(native, bytes)),
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A transaction's events: itself, then its payments.
fn append(order: u32, transaction: Transaction, names: &mut Names, events: &mut Vec<Event>) {
    let Transaction { id, operation, signers, outputs, assets, memo, text, unread: _ } = transaction;
    let own: Arc<str> = id.to_string().into();
    let signers: Vec<Party> = signers.iter().map(|key| names.party(key)).collect();
    let outputs: Vec<(Vec<Party>, Amount)> = outputs
        .into_iter()
        .map(|output| (output.owners.iter().map(|key| names.party(key)).collect(), output.amount))
        .collect();
    let asset_ids: Box<[Arc<str>]> =
        assets.iter().map(|id| id.as_deref().map_or_else(|| own.clone(), |id| names.text(id))).collect();
    let asset_id = match operation {
        operation if operation.makes_asset() => own.clone(),
        // Elections make something, too, and name nothing else.
        _ => asset_ids.first().unwrap_or(&own).clone(),
    };
    let source_account = signers.first().map_or_else(|| names.nobody(), |signer| signer.name.clone());
    let native = native::Transaction { text, asset_id: asset_id.clone(), asset_ids };
    // The signers are shared by the payments and counted once, here.
    let texts = native.asset_ids.len() + signers.len();
    let bytes = size_of::<native::Transaction>() + native.text.len() + texts * size_of::<Arc<str>>();
    events.push(Event {
        id: own.as_ref().into(),
        kind: EventKind::Transaction,
        place: Place::new(order, EventKind::Transaction, 0),
        transaction_hash: Some(id),
        subjects: subjects(signers.iter().chain(outputs.iter().flat_map(|(owners, _)| owners))),
        assets: Vec::new(),
        body: Body::Transaction(Box::new(event::Transaction {
            fee_account: source_account.clone(),
            source_account,
            successful: true,
            fee_charged: Amount::ZERO,
            operation_count: 1,
            memo: memo.clone(),
            application_order: order,
        })),
        native: Some(Native::new(native, bytes)),
    });
    let Some(word) = operation.name() else { return };
    // Who creates does not pay: the asset comes from nobody.
    let senders = if operation == Operation::Create { &[][..] } else { &signers };
    let all_senders: Arc<[Arc<str>]> = senders.iter().map(|sender| sender.name.clone()).collect();
    let asset = names.asset(&asset_id);
    let only_output = outputs.len() == 1;
    for (index, (owners, amount)) in (0..).zip(outputs) {
        let Some(first) = owners.first() else { continue };
        let is_change = matches!((senders, &owners[..]), ([sender], [owner]) if sender.name == owner.name);
        if is_change && !only_output {
            continue;
        }
        events.push(Event {
            id: format!("{own}-p{index}").into(),
            kind: EventKind::Payment,
            place: Place::new(order, EventKind::Payment, index),
            transaction_hash: Some(id),
            subjects: subjects(senders.iter().take(MAX_PAYERS).chain(&owners)),
            assets: vec![AssetKeys { keys: vec![asset_id.clone()], amount: Some(amount.clone()) }],
            body: Body::Payment(Box::new(Payment {
                from: senders.first().map_or_else(|| names.issuance(), |sender| sender.name.clone()),
                to: first.name.clone(),
                from_muxed_id: None,
                to_muxed_id: None,
                asset: asset.clone(),
                amount: Some(amount),
                memo: memo.clone(),
                operation: Some(word),
            })),
            native: parties(&all_senders, &owners),
        });
    }
}

/// Who is in a payment, where its two names do not say it.
fn parties(senders: &Arc<[Arc<str>]>, owners: &[Party]) -> Option<Native> {
    if senders.len() < 2 && owners.len() < 2 {
        return None;
    }
    let bytes = size_of::<Parties>() + owners.len() * size_of::<Arc<str>>();
    let owners = owners.iter().map(|owner| owner.name.clone()).collect();
    Some(Native::new(Parties { senders: senders.clone(), owners }, bytes))
}

/// Keys of the parties, each once.
fn subjects<'a>(parties: impl Iterator<Item = &'a Party>) -> Vec<Key> {
    let mut keys: Vec<Key> = parties.map(|party| party.key.clone()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A public key, by its name and as a subject.
#[derive(Clone)]
struct Party {
    name: Arc<str>,
    key: Key,
}

/// The texts of a block, each kept once.
#[derive(Default)]
struct Names {
    parties: HashMap<String, Party>,
    texts: HashMap<String, Arc<str>>,
    assets: HashMap<Arc<str>, Arc<Asset>>,
}

impl Names {
    fn party(&mut self, name: &str) -> Party {
        if let Some(party) = self.parties.get(name) {
            return party.clone();
        }
        let party = Party { name: name.into(), key: format!("account:{name}").into() };
        self.parties.insert(name.to_owned(), party.clone());
        party
    }

    fn text(&mut self, id: &str) -> Arc<str> {
        if let Some(text) = self.texts.get(id) {
            return text.clone();
        }
        let text: Arc<str> = id.into();
        self.texts.insert(id.to_owned(), text.clone());
        text
    }

    fn issuance(&mut self) -> Arc<str> {
        self.text(ISSUANCE)
    }

    /// Elections of old chains have inputs without owners.
    fn nobody(&mut self) -> Arc<str> {
        self.text("")
    }

    fn asset(&mut self, id: &Arc<str>) -> Arc<Asset> {
        let make = || {
            let (id, code) = (id.clone(), id.clone());
            Arc::new(Asset { id, code, issuer: None, kind: "asset", decimals: Some(0) })
        };
        self.assets.entry(id.clone()).or_insert_with(make).clone()
    }
}

#[cfg(test)]
mod tests;
