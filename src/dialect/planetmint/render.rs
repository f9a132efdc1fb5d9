//! Writes the messages of both streams.

use super::MessageForm;
use crate::broker::Render;
use crate::dialect::frame::Frames;
use crate::event::{Body, Continuity, Event, EventKind, Family, Hash, KindSet, LedgerBatch};
use crate::source::planetmint::native;
use serde::ser::{Serialize, Serializer};
use serde_json::ser::Formatter;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

/// Where the streams are, below a mount.
pub(super) const TRANSACTIONS_PATH: &str = "api/v1/streams/valid_transactions";
pub(super) const BLOCKS_PATH: &str = "api/v1/streams/valid_blocks";

/// What is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// `valid_transactions`.
    Transactions,
    /// `valid_blocks`.
    Blocks,
}

impl Stream {
    /// The kinds of events that it is made from.
    pub const fn kinds(self) -> KindSet {
        match self {
            Stream::Transactions => KindSet::of(&[EventKind::Transaction]),
            Stream::Blocks => KindSet::of(&[EventKind::Ledger]),
        }
    }
}

/// One stream in one form.
pub struct PlanetmintRender {
    /// Which.
    pub stream: Stream,
    /// How assets are told.
    pub form: MessageForm,
}

impl Render for PlanetmintRender {
    fn identity(&self) -> String {
        format!("planetmint/1 {:?} {:?}", self.stream, self.form)
    }

    fn kinds(&self) -> KindSet {
        self.stream.kinds()
    }

    fn event(&self, batch: &LedgerBatch, index: usize, frames: &mut Frames) {
        match self.stream {
            Stream::Transactions => self.transaction(batch, index, frames),
            Stream::Blocks => self.write(
                frames,
                &BlockMessage { height: batch.ledger.index, hash: BlockHash(batch), transaction_ids: Ids(batch) },
            ),
        }
    }

    // There are no words for a break: the sessions are closed.
    fn continuity(&self, _: &LedgerBatch, _: &Continuity, _: &mut Frames) {}
}

impl PlanetmintRender {
    fn transaction(&self, batch: &LedgerBatch, index: usize, frames: &mut Frames) {
        let event = &batch.events[index];
        let Some(transaction_id) = accepted(event).map(|hash| written(batch, hash)) else { return };
        let height = batch.ledger.index;
        let moved;
        let (asset_id, asset_ids) = match event.native.as_ref().and_then(|native| native.get::<native::Transaction>()) {
            Some(native) => (&*native.asset_id, &*native.asset_ids),
            None => {
                moved = moved_assets(&batch.events[index..]);
                (moved.first().map_or("", |id| &**id), &*moved)
            }
        };
        match self.form {
            MessageForm::Both => {
                self.write(frames, &BothMessage { transaction_id, asset_id, asset_ids: List(asset_ids), height })
            }
            MessageForm::P => self.write(frames, &PMessage { transaction_id, asset_id, height }),
            MessageForm::S2 => self.write(frames, &S2Message { height, asset_ids: List(asset_ids), transaction_id }),
        }
    }

    fn write(&self, frames: &mut Frames, message: &impl Serialize) {
        frames.text(|bytes| {
            let written = match self.form {
                MessageForm::S2 => message.serialize(&mut serde_json::Serializer::with_formatter(bytes, Spaced)),
                MessageForm::Both | MessageForm::P => serde_json::to_writer(bytes, message),
            };
            written.expect("memory takes all, and the keys are texts");
        });
    }
}

/// The hash of a transaction that happened: other networks tell failed ones, too.
fn accepted(event: &Event) -> Option<Hash> {
    match &event.body {
        Body::Transaction(transaction) if transaction.successful => event.transaction_hash,
        _ => None,
    }
}

/// The assets of the payments of a transaction of another network, each once. The events begin with the transaction's
/// own, and its payments follow.
fn moved_assets(events: &[Event]) -> Vec<Arc<str>> {
    let Some((transaction, rest)) = events.split_first() else { return Vec::new() };
    let mut seen = HashSet::new();
    let payments = rest.iter().take_while(|event| event.transaction_hash == transaction.transaction_hash);
    let assets = payments.filter_map(|event| match &event.body {
        // Under `native` nobody would know which network's.
        Body::Payment(payment) if &*payment.asset.id == "native" => Some(&payment.asset.code),
        Body::Payment(payment) => Some(&payment.asset.id),
        _ => None,
    });
    assets.filter(|id| seen.insert(&**id)).cloned().collect()
}

/// What stands as a block's hash: the application hash after it, empty where the source tells none; for another
/// network the ledger's own.
pub(super) struct BlockHash<'a>(pub &'a LedgerBatch);

impl Serialize for BlockHash<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (planetmint(self.0), self.0.ledger.hash) {
            (Some(block), _) => serializer.serialize_str(&block.app_hash),
            (None, Some(hash)) => written(self.0, hash).serialize(serializer),
            (None, None) => serializer.serialize_str(""),
        }
    }
}

/// What a block of Planetmint has and no other.
fn planetmint(batch: &LedgerBatch) -> Option<&native::Block> {
    batch.native.as_ref()?.get()
}

/// A hash of a block or in it.
fn written(batch: &LedgerBatch, hash: Hash) -> Written {
    let family = if planetmint(batch).is_some() { Family::Planetmint } else { Family::of_network(&batch.network) };
    Written { hash, family }
}

/// A block's transactions, by id, as a JSON list.
pub(super) struct Ids<'a>(pub &'a LedgerBatch);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.events.iter().filter_map(accepted).map(|hash| written(self.0, hash)))
    }
}

/// A hash as its network writes it.
struct Written {
    hash: Hash,
    family: Family,
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.family.written(&self.hash))
    }
}

/// Shared texts.
struct List<'a>(&'a [Arc<str>]);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|text| &**text))
    }
}

#[derive(serde::Serialize)]
struct BothMessage<'a> {
    transaction_id: Written,
    asset_id: &'a str,
    asset_ids: List<'a>,
    height: u64,
}

#[derive(serde::Serialize)]
struct PMessage<'a> {
    transaction_id: Written,
    asset_id: &'a str,
    height: u64,
}

#[derive(serde::Serialize)]
struct S2Message<'a> {
    height: u64,
    asset_ids: List<'a>,
    transaction_id: Written,
}

#[derive(serde::Serialize)]
struct BlockMessage<'a> {
    height: u64,
    hash: BlockHash<'a>,
    transaction_ids: Ids<'a>,
}

/// A blank after each comma and colon, as the original's language writes JSON.
struct Spaced;

impl Spaced {
    fn comma<W: ?Sized + io::Write>(writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
}

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        Spaced::comma(writer, first)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        Spaced::comma(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
