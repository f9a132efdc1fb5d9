//! What a transaction did, told as the protocol tells it: one node for each entry that was touched.

use serde_json::{Map, Value, json};

use super::amount::{Asset, XRP};
use super::entry::{Body, Entry, Offer};
use super::state::{Entries, Journal, Touched};
use super::world::{Id, Index, World, hex};

/// What one taken offer gave and got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trade {
    pub pays: Asset,
    pub gets: Asset,
    pub paid: i128,
    pub sold: i128,
}

/// A transaction's journal, told.
#[derive(Default)]
pub(super) struct Told {
    /// The `AffectedNodes`, in the order of their indexes.
    pub nodes: Vec<Value>,
    /// Accounts that stand in them, each once.
    pub affected: Vec<Id>,
    pub trades: Vec<Trade>,
}

/// Tells a journal; `entries` are those after the transaction.
pub(super) fn tell(world: &World, journal: &Journal, entries: &Entries) -> Told {
    let mut told = Told::default();
    for (index, touched) in journal {
        let after = entries.get(index);
        let Some(last) = after.or(touched.removed.as_ref()) else { continue };
        let node = match (&touched.before, after) {
            (None, Some(made)) => created(world, index, made),
            (Some(before), Some(after)) => modified(world, index, before, after),
            (Some(before), None) => deleted(world, index, before, last),
            // Came and went within the transaction.
            (None, None) => continue,
        };
        told.nodes.push(node);
        for account in last.body.accounts(world) {
            if !told.affected.contains(&account) {
                told.affected.push(account);
            }
        }
        told.trades.extend(trade(touched, last));
    }
    told
}

fn created(world: &World, index: &Index, made: &Entry) -> Value {
    // What has its default value is left out.
    let is_told =
        |(name, value): &(String, Value)| !(value == &json!(0) || (value == &json!("0") && (name.ends_with("Node"))));
    let fields: Map<String, Value> = made.body.fields(world).into_iter().filter(is_told).collect();
    node("CreatedNode", index, &made.body, json!({"NewFields": fields}))
}

fn modified(world: &World, index: &Index, before: &Entry, after: &Entry) -> Value {
    let (old, new) = (before.body.fields(world), after.body.fields(world));
    let previous = differing(old, &new);
    let mut fields = Map::from_iter([("FinalFields".to_owned(), Value::Object(new))]);
    if !previous.is_empty() {
        fields.insert("PreviousFields".to_owned(), Value::Object(previous));
    }
    if before.body.is_threaded() {
        fields.extend(before.changed_fields());
    }
    node("ModifiedNode", index, &after.body, Value::Object(fields))
}

fn deleted(world: &World, index: &Index, before: &Entry, last: &Entry) -> Value {
    let (old, mut new) = (before.body.fields(world), last.body.fields(world));
    let previous = differing(old, &new);
    if before.body.is_threaded() {
        new.extend(before.changed_fields());
    }
    let mut fields = Map::from_iter([("FinalFields".to_owned(), Value::Object(new))]);
    if !previous.is_empty() {
        fields.insert("PreviousFields".to_owned(), Value::Object(previous));
    }
    node("DeletedNode", index, &last.body, Value::Object(fields))
}

/// The old values of what changed.
fn differing(old: Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    old.into_iter().filter(|(name, value)| new.get(name) != Some(value)).collect()
}

fn node(kind: &str, index: &Index, body: &Body, mut fields: Value) -> Value {
    fields["LedgerEntryType"] = body.kind().into();
    fields["LedgerIndex"] = hex(index).into();
    json!({kind: fields})
}

/// What was taken of an offer. One that was only withdrawn, or that is new, is no trade.
fn trade(touched: &Touched, last: &Entry) -> Option<Trade> {
    let before = touched.before.as_ref().and_then(offer)?;
    let last = offer(last)?;
    let (paid, sold) = (before.pays.units - last.pays.units, before.gets.units - last.gets.units);
    (paid != 0 && sold != 0).then_some(Trade { pays: last.pays.asset, gets: last.gets.asset, paid, sold })
}

fn offer(entry: &Entry) -> Option<&Offer> {
    match &entry.body {
        Body::Offer(offer) => Some(offer),
        _ => None,
    }
}

impl Trade {
    /// The two sides as `book_changes` has them: A is XRP if either is, else the smaller label.
    pub fn sides(&self, world: &World) -> [(Asset, i128); 2] {
        let (paid, sold) = ((self.pays, self.paid), (self.gets, self.sold));
        let pays_first = self.pays == XRP || (self.gets != XRP && world.label(self.pays) < world.label(self.gets));
        if pays_first { [paid, sold] } else { [sold, paid] }
    }
}
