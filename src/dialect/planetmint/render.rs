//! Writes the messages of both streams.

use super::MessageForm;
use crate::broker::Render;
use crate::dialect::frame::Frames;
use crate::event::{Continuity, EventKind, Hash, KindSet, LedgerBatch};
use crate::source::planetmint::native;
use serde::ser::{Serialize, Serializer};
use serde_json::ser::Formatter;
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
                &BlockMessage { height: batch.ledger.index, hash: app_hash(batch), transaction_ids: Ids(batch) },
            ),
        }
    }

    // There are no words for a break: the sessions are closed.
    fn continuity(&self, _: &LedgerBatch, _: &Continuity, _: &mut Frames) {}
}

impl PlanetmintRender {
    fn transaction(&self, batch: &LedgerBatch, index: usize, frames: &mut Frames) {
        let event = &batch.events[index];
        let native = event.native.as_ref().and_then(|native| native.get::<native::Transaction>());
        let (Some(native), Some(hash)) = (native, event.transaction_hash) else { return };
        let (transaction_id, height) = (Text(hash), batch.ledger.index);
        let (asset_id, asset_ids) = (&*native.asset_id, &*native.asset_ids);
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

/// The application hash after a block; empty where the source tells none.
pub(super) fn app_hash(batch: &LedgerBatch) -> &str {
    batch.native.as_ref().and_then(|native| native.get::<native::Block>()).map_or("", |block| &block.app_hash)
}

/// A block's transactions, by id, as a JSON list.
pub(super) struct Ids<'a>(pub &'a LedgerBatch);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let transactions = self.0.events.iter().filter(|event| event.kind == EventKind::Transaction);
        serializer.collect_seq(transactions.filter_map(|event| event.transaction_hash.map(Text)))
    }
}

/// A hash as it is displayed.
struct Text(Hash);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
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
    transaction_id: Text,
    asset_id: &'a str,
    asset_ids: List<'a>,
    height: u64,
}

#[derive(serde::Serialize)]
struct PMessage<'a> {
    transaction_id: Text,
    asset_id: &'a str,
    height: u64,
}

#[derive(serde::Serialize)]
struct S2Message<'a> {
    height: u64,
    asset_ids: List<'a>,
    transaction_id: Text,
}

#[derive(serde::Serialize)]
struct BlockMessage<'a> {
    height: u64,
    hash: &'a str,
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
