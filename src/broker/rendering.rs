//! Renderings: the forms in which events are written, each made once and shared by every session.

use crate::dialect::ReplayEnd;
use crate::dialect::frame::Frames;
use crate::event::{Continuity, KindSet, LedgerBatch};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a form of writing, given at start. Mounts with equal settings share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RenderingId(pub u16);

/// Writes events of one dialect in one form: a pure function of the batch and the index.
/// Nothing of a session or a user enters it.
pub trait Render: Send + Sync + 'static {
    /// Names the dialect, the form and every setting that changes bytes. Equal text, equal bytes.
    fn identity(&self) -> String;

    /// The kinds that it writes: the dialect's public kinds. Others give no frame.
    fn kinds(&self) -> KindSet;

    /// Writes event `index` of `batch` as zero or more frames.
    fn event(&self, batch: &LedgerBatch, index: usize, frames: &mut Frames);

    /// Writes a break in the row of ledgers; without a frame the dialect has no words for it and
    /// its sessions are closed instead.
    fn continuity(&self, batch: &LedgerBatch, continuity: &Continuity, frames: &mut Frames);

    /// Writes the end of a replay, if the dialect has words for it beside the close.
    fn replay_end(&self, _end: &ReplayEnd, _frames: &mut Frames) {}
}

/// Every rendering of the process. Filled at start, then shared and never changed.
#[derive(Default)]
pub struct Renderings {
    list: Vec<Arc<dyn Render>>,
    /// Frames written and not yet counted by [`Renderings::take_count`].
    written: AtomicU64,
}

impl Renderings {
    /// The number of `render`; the same for an equal identity.
    pub fn register(&mut self, render: impl Render) -> RenderingId {
        let identity = render.identity();
        let at = self.list.iter().position(|known| known.identity() == identity).unwrap_or_else(|| {
            self.list.push(Arc::new(render));
            self.list.len() - 1
        });
        RenderingId(at as u16)
    }

    /// The rendering of a number that `register` gave.
    pub fn get(&self, id: RenderingId) -> &dyn Render {
        &*self.list[usize::from(id.0)]
    }

    /// Frames were written.
    pub(super) fn count(&self, frames: u32) {
        self.written.fetch_add(frames.into(), Ordering::Relaxed);
    }

    /// How many frames were written since it was last asked.
    pub fn take_count(&self) -> u64 {
        self.written.swap(0, Ordering::Relaxed)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
