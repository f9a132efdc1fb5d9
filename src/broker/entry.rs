//! A ledger with its place in the stream and what was rendered of it.

use super::rendering::{RenderingId, Renderings};
use crate::dialect::frame::Frames;
use crate::event::{EventKind, Hash, KindSet, LedgerBatch};
use bytes::Bytes;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Largest piece of a joined ledger: what stands before a pong at most.
const MAX_PIECE: usize = 64 << 10;

/// A ledger in the stream: the batch, its place, and its frames, made on first use and shared.
pub struct StreamEntry {
    /// Broker sequence: the order of arrival over all sources, from 1. Never public.
    pub sequence: u64,
    /// Events of the same source before this entry.
    pub first_event: u64,
    /// When the source posted it.
    pub posted: Instant,
    /// The ledger.
    pub batch: LedgerBatch,
    /// When every worker thread had been served, nanoseconds of the monotonic clock; 0: not yet.
    routed: AtomicU64,
    /// By rendering, then by event.
    rendered: Box<[OnceLock<EventFrames>]>,
    /// Bytes rendered of this entry, and of all entries of its source.
    rendered_bytes: AtomicUsize,
    rendered_of_source: Arc<AtomicUsize>,
}

type EventFrames = Box<[OnceLock<Bytes>]>;

/// Some frames of a ledger in one chunk, cut at frame boundaries.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The first event in it.
    pub first_event: u32,
    /// Events of it that have frames.
    pub events: u32,
    /// The frames.
    pub bytes: Bytes,
}

impl fmt::Debug for StreamEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamEntry({}: ledger {})", self.sequence, self.batch.ledger.index)
    }
}

impl StreamEntry {
    /// Gives a batch its place in the stream. `rendered_of_source` counts what is rendered of all
    /// entries of the source.
    pub fn new(
        batch: LedgerBatch,
        sequence: u64,
        first_event: u64,
        posted: Instant,
        renderings: usize,
        rendered_of_source: Arc<AtomicUsize>,
    ) -> StreamEntry {
        let rendered = (0..renderings).map(|_| OnceLock::new()).collect();
        let rendered_bytes = AtomicUsize::new(0);
        let routed = AtomicU64::new(0);
        StreamEntry { sequence, first_event, posted, batch, routed, rendered, rendered_bytes, rendered_of_source }
    }

    /// When every worker thread had taken it to its live sessions, nanoseconds of the monotonic clock.
    pub fn routed(&self) -> Option<u64> {
        Some(self.routed.load(Ordering::Relaxed)).filter(|nanos| *nanos > 0)
    }

    pub(super) fn set_routed(&self, nanos: u64) {
        self.routed.store(nanos, Ordering::Relaxed);
    }

    /// How many events the ledger has.
    pub fn len(&self) -> u32 {
        self.batch.events.len() as u32
    }

    /// The hashes of its transactions.
    pub fn transaction_hashes(&self) -> impl Iterator<Item = &Hash> {
        let transactions = self.batch.events.iter().filter(|event| event.kind == EventKind::Transaction);
        transactions.filter_map(|event| event.transaction_hash.as_ref())
    }

    /// Whether the ledger has no events.
    pub fn is_empty(&self) -> bool {
        self.batch.events.is_empty()
    }

    /// The frames of event `index` in one form, headers included; empty where the form has none.
    pub fn frames(&self, renderings: &Renderings, id: RenderingId, index: u32) -> &Bytes {
        let by_event = self.rendered[usize::from(id.0)].get_or_init(|| {
            self.count_rendered(self.batch.events.len() * size_of::<OnceLock<Bytes>>());
            self.batch.events.iter().map(|_| OnceLock::new()).collect()
        });
        by_event[index as usize].get_or_init(|| {
            let render = renderings.get(id);
            let (bytes, count) = Frames::collect(|frames| {
                if render.kinds().contains(self.batch.events[index as usize].kind) {
                    render.event(&self.batch, index as usize, frames);
                }
            });
            renderings.count(count);
            self.count_rendered(bytes.len());
            bytes
        })
    }

    /// The announcement of a break before this ledger, if there is one and the form has words.
    pub fn announcement(&self, renderings: &Renderings, id: RenderingId) -> Option<Bytes> {
        let continuity = self.batch.continuity.as_ref()?;
        let (bytes, _) = Frames::collect(|frames| renderings.get(id).continuity(&self.batch, continuity, frames));
        (!bytes.is_empty()).then_some(bytes)
    }

    /// All frames of these kinds, joined: one chunk each time as long as it stays below 64 KiB.
    pub fn joined(&self, renderings: &Renderings, id: RenderingId, kinds: KindSet) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut chunks: Vec<&Bytes> = Vec::new();
        let (mut length, mut first_event) = (0, 0);
        let finish = |chunks: &mut Vec<&Bytes>, first_event: u32, length: usize| {
            let events = chunks.len() as u32;
            // A single frame needs no copy.
            let bytes = match chunks[..] {
                [single] => single.clone(),
                _ => {
                    let mut joined = Vec::with_capacity(length);
                    chunks.iter().for_each(|chunk| joined.extend_from_slice(chunk));
                    joined.into()
                }
            };
            chunks.clear();
            Piece { first_event, events, bytes }
        };
        for index in 0..self.len() {
            if !kinds.contains(self.batch.events[index as usize].kind) {
                continue;
            }
            let frames = self.frames(renderings, id, index);
            if frames.is_empty() {
                continue;
            }
            if !chunks.is_empty() && length + frames.len() > MAX_PIECE {
                pieces.push(finish(&mut chunks, first_event, length));
                length = 0;
            }
            if chunks.is_empty() {
                first_event = index;
            }
            length += frames.len();
            chunks.push(frames);
        }
        if !chunks.is_empty() {
            pieces.push(finish(&mut chunks, first_event, length));
        }
        pieces
    }

    fn count_rendered(&self, bytes: usize) {
        // The source first: whoever gives the entry up meanwhile takes off no more than was added.
        self.rendered_of_source.fetch_add(bytes, Ordering::Relaxed);
        self.rendered_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes what was rendered of it off its source's count. Readers that still hold the entry may
    /// render a little more; that is counted until they let go.
    pub(super) fn give_up(&self) {
        self.rendered_of_source.fetch_sub(self.rendered_bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Drop for StreamEntry {
    fn drop(&mut self) {
        self.give_up();
    }
}
