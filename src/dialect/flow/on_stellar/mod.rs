//! Flow's words for a whole ledger of Stellar: from what the network recorded to what clients read.

mod fields;
mod filters;

use super::FlowRender;
use crate::broker::Render;
use crate::dialect::frame::Frames;
use crate::event::LedgerBatch;
use serde_json::Value;

/// What clients read of a ledger, event by event.
fn texts(batch: &LedgerBatch) -> Vec<String> {
    let text = |index| {
        let mut frames = Frames::default();
        FlowRender { names_network: false, cursors: false }.event(batch, index, &mut frames);
        assert_eq!(frames.count(), 1, "every event of Stellar has words");
        let bytes = frames.to_bytes();
        let header = if bytes[1] < 126 { 2 } else { 4 };
        String::from_utf8(bytes[header..].to_vec()).unwrap()
    };
    (0..batch.events.len()).map(text).collect()
}

/// The same for one type, read as JSON.
fn written(batch: &LedgerBatch, kind: &str) -> Vec<Value> {
    let values = texts(batch).into_iter().map(|text| serde_json::from_str::<Value>(&text).unwrap());
    values.filter(|value| value["type"] == kind).collect()
}
