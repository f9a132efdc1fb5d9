//! Writes notifications.

use super::ledger::Ledger;
use super::transfer::Transfer;
use crate::broker::Render;
use crate::dialect::frame::Frames;
use crate::event::{Continuity, EventKind, KindSet, LedgerBatch};
use serde::Serialize;
use std::sync::Arc;

/// The kinds of events that are told.
pub(super) const KINDS: KindSet = KindSet::of(&[EventKind::Payment]);

/// How `params` is written, of orders and so of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The object itself, as five-bells-ledger 21 has it.
    Object,
    /// A list of one object, as its proposal had it; there notifications have an `id`.
    List,
}

/// The notifications of one ledger in one form.
pub struct FiveBellsRender {
    /// Whose.
    pub ledger: Arc<Ledger>,
    /// How.
    pub form: Form,
}

#[derive(Serialize)]
struct Message<P> {
    jsonrpc: &'static str,
    id: Option<()>,
    method: &'static str,
    params: P,
}

#[derive(Serialize)]
struct Notification<R> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    event: &'static str,
    resource: R,
}

impl Render for FiveBellsRender {
    fn identity(&self) -> String {
        format!("five_bells/1 {:?} {:?}", self.form, self.ledger)
    }

    fn kinds(&self) -> KindSet {
        KINDS
    }

    fn event(&self, batch: &LedgerBatch, index: usize, frames: &mut Frames) {
        if let Some(transfer) = Transfer::of(&self.ledger, batch, &batch.events[index]) {
            frames.text(|bytes| write(&transfer, self.form, bytes));
        }
    }

    // There are no words for a break: the sessions are closed.
    fn continuity(&self, _: &LedgerBatch, _: &Continuity, _: &mut Frames) {}
}

/// Appends the notification that a transfer is in its state.
pub(super) fn write(transfer: &Transfer<'_>, form: Form, bytes: &mut Vec<u8>) {
    let notification = |id| Notification { id, event: transfer.state.event(), resource: transfer.resource() };
    let written = match form {
        Form::Object => serde_json::to_writer(bytes, &message(notification(None))),
        Form::List => serde_json::to_writer(bytes, &message([notification(Some(transfer.notification_uri()))])),
    };
    written.expect("memory takes all, and the keys are texts");
}

fn message<P>(params: P) -> Message<P> {
    Message { jsonrpc: "2.0", id: None, method: "notify", params }
}
