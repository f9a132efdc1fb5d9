//! Recent ledgers, each with its place in the stream and what was rendered of it.

use crate::event::LedgerBatch;
use bytes::Bytes;
use std::sync::OnceLock;
use std::time::Instant;

use super::rendering::{RenderingId, Renderings};
use crate::dialect::frame::Frames;

/// A ledger in the stream: the batch, its place, and its rendered frames.
pub struct StreamEntry {
    /// Broker sequence: the order of arrival over all sources, from 1. Never public.
    pub sequence: u64,
    /// Events of the same source before this entry.
    pub first_event: u64,
    /// When the source posted it.
    pub posted: Instant,
    /// The ledger.
    pub batch: LedgerBatch,
    /// By rendering, then by event; made on first use.
    rendered: Box<[OnceLock<Box<[OnceLock<Bytes>]>>]>,
}

impl std::fmt::Debug for StreamEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamEntry({}: ledger {})", self.sequence, self.batch.ledger.index)
    }
}

impl StreamEntry {
    /// Gives a batch its place in the stream.
    pub fn new(batch: LedgerBatch, sequence: u64, first_event: u64, posted: Instant, renderings: usize) -> StreamEntry {
        let rendered = (0..renderings).map(|_| OnceLock::new()).collect();
        StreamEntry { sequence, first_event, posted, batch, rendered }
    }

    /// The frames of event `index` in one form, headers included; empty where the form has none.
    pub fn frames(&self, renderings: &Renderings, id: RenderingId, index: usize) -> &Bytes {
        let by_event = self.rendered[usize::from(id.0)]
            .get_or_init(|| (0..self.batch.events.len()).map(|_| OnceLock::new()).collect());
        by_event[index].get_or_init(|| {
            let render = renderings.get(id);
            let mut frames = Frames::default();
            if render.kinds().contains(self.batch.events[index].kind) {
                render.event(&self.batch, index, &mut frames);
            }
            frames.into_bytes()
        })
    }
}
