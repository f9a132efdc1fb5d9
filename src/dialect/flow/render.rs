//! Writes events as Flow's clients read them: what every event has; the rest is in `payload`.

mod payload;
#[cfg(test)]
mod tests;

use super::PUBLIC_KINDS;
use crate::broker::Render;
use crate::dialect::ReplayEnd;
use crate::dialect::frame::Frames;
use crate::event::{Amount, Asset, Continuity, Cursor, Event, EventCursor, Family, Hash, KindSet, LedgerBatch};
use payload::Payload;
use serde::{Serialize, Serializer};
use std::fmt::{self, Display};

/// Flow's form of writing.
pub struct FlowRender {
    /// Whether events name their network: where a mount has several sources.
    pub names_network: bool,
    /// Whether events carry their cursor.
    pub cursors: bool,
}

impl Render for FlowRender {
    fn identity(&self) -> String {
        format!("flow/1 names_network={} cursors={}", self.names_network, self.cursors)
    }

    fn kinds(&self) -> KindSet {
        PUBLIC_KINDS
    }

    fn event(&self, batch: &LedgerBatch, index: usize, frames: &mut Frames) {
        if let Some(message) = EventMessage::of(batch, &batch.events[index], self.names_network, self.cursors) {
            write(frames, &message);
        }
    }

    fn continuity(&self, batch: &LedgerBatch, continuity: &Continuity, frames: &mut Frames) {
        write(
            frames,
            &ContinuityMessage {
                kind: continuity.kind.name(),
                network: &batch.network,
                from_ledger: continuity.from_ledger,
                to_ledger: continuity.to_ledger,
                reason: &continuity.reason,
            },
        );
    }

    fn replay_end(&self, end: &ReplayEnd, frames: &mut Frames) {
        let ReplayEnd { ledger, cursor, ledgers, events } = end;
        let cursor = self.cursors.then_some(Text(cursor));
        write(
            frames,
            &ReplayEndMessage { kind: "replay_end", ledger: *ledger, ledgers: *ledgers, events: *events, cursor },
        );
    }
}

/// An event as a Flow client of one source reads it, without a frame; `None` for what Flow has no words for.
pub fn event_json(batch: &LedgerBatch, event: &Event) -> Option<String> {
    let message = EventMessage::of(batch, event, false, false)?;
    Some(serde_json::to_string(&message).expect("memory takes all, and the keys are texts"))
}

fn write(frames: &mut Frames, message: &impl Serialize) {
    frames.text(|bytes| {
        serde_json::to_writer(bytes, message).expect("memory takes all, and the keys are texts");
    });
}

/// Anything that is written as a JSON text in the way it is displayed.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A hash as the people of its network write it.
struct PrefixedHash(&'static str, Hash);

impl Display for PrefixedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        self.1.fmt(f)
    }
}

fn prefixed(batch: &LedgerBatch, hash: Hash) -> Text<PrefixedHash> {
    Text(PrefixedHash(Family::of_network(&batch.network).hash_prefix(), hash))
}

/// RFC 3339 in UTC. A time outside the years -9999 to 9999 becomes the nearest inside.
fn time(unix_seconds: i64) -> jiff::Timestamp {
    let (first, last) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    let nearest = if unix_seconds < 0 { first } else { last };
    jiff::Timestamp::from_second(unix_seconds).unwrap_or(nearest)
}

/// An amount with its asset's decimals.
struct Decimals<'a> {
    amount: &'a Amount,
    decimals: Option<u8>,
}

impl Display for Decimals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.amount.with_decimals(self.decimals.map_or(0, usize::from)).fmt(f)
    }
}

fn amount<'a>(amount: &'a Option<Amount>, asset: &Asset) -> Option<Text<Decimals<'a>>> {
    amount.as_ref().map(|amount| Text(Decimals { amount, decimals: asset.decimals }))
}

#[derive(Serialize)]
struct ReplayEndMessage<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    ledger: u64,
    ledgers: u64,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Text<&'a Cursor>>,
}

#[derive(Serialize)]
struct ContinuityMessage<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    network: &'a str,
    from_ledger: u64,
    to_ledger: u64,
    reason: &'a str,
}

/// What every event has, then what its kind has.
#[derive(Serialize)]
struct EventMessage<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a str>,
    ledger: u64,
    ledger_closed_at: Text<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_hash: Option<Text<PrefixedHash>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Text<EventCursor<'a>>>,
    #[serde(flatten)]
    payload: Payload<'a>,
}

impl<'a> EventMessage<'a> {
    fn of(batch: &'a LedgerBatch, event: &'a Event, names_network: bool, cursors: bool) -> Option<EventMessage<'a>> {
        Some(EventMessage {
            kind: event.kind.name(),
            id: &event.id,
            network: names_network.then_some(&*batch.network),
            ledger: batch.ledger.index,
            ledger_closed_at: Text(time(batch.ledger.closed_at)),
            transaction_hash: event.transaction_hash.map(|hash| prefixed(batch, hash)),
            cursor: cursors.then_some(Text(EventCursor { batch, place: event.place })),
            payload: Payload::of(batch, event)?,
        })
    }
}
