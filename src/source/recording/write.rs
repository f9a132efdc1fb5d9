//! Writes a recording.

use super::line::{Edge, End, Header, LONGEST_LINE, LedgerLine, Missing, time};
use crate::dialect::flow;
use crate::event::{ContinuityKind, LedgerBatch};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::io::{self, Write};

/// Writes lines: the header first, then ledgers in their order, then the end mark.
pub struct Writer<W> {
    out: W,
    /// Whether the events are written for people as well.
    events: bool,
    end: End,
}

impl<W: Write> Writer<W> {
    /// Begins with the header. Without `events` a line has of a ledger what is read again and no more.
    pub fn begin(mut out: W, header: &Header, events: bool) -> io::Result<Writer<W>> {
        writeln!(out, "{}", json(header)?)?;
        Ok(Writer { out, events, end: End::default() })
    }

    /// The next ledger, with its packed form.
    pub fn ledger(&mut self, batch: &LedgerBatch, form: &[u8]) -> io::Result<()> {
        let mut line = json(&LedgerLine {
            ledger: batch.ledger.index,
            epoch: batch.epoch,
            hash: batch.ledger.hash.map(|hash| hash.to_string()),
            parent: batch.ledger.parent.map(|hash| hash.to_string()),
            closed_at: time(batch.ledger.closed_at),
            broken: batch.continuity.as_ref().map(Into::into),
        })?;
        line.pop();
        let begun = line.len();
        let room = LONGEST_LINE.saturating_sub(begun + form.len().div_ceil(3) * 4 + 64);
        if self.events {
            line.push_str(",\"events\":[");
            let events = batch.events.iter().filter_map(|event| flow::event_json(batch, event));
            for (number, event) in events.enumerate() {
                if number > 0 {
                    line.push(',');
                }
                line.push_str(&event);
                // A ledger that is too long to be read twice is not repeated for people.
                if line.len() > room {
                    break;
                }
            }
            line.push(']');
            if line.len() > room {
                line.truncate(begun);
            }
        }
        line.push_str(",\"data\":\"");
        STANDARD.encode_string(form, &mut line);
        line.push_str("\"}\n");
        self.out.write_all(line.as_bytes())?;
        self.end.ledgers += 1;
        self.end.events += batch.events.len() as u64;
        if let Some(told) = batch.continuity.as_ref().filter(|told| told.kind == ContinuityKind::Gap) {
            self.end.missing += told.to_ledger.saturating_sub(told.from_ledger).saturating_add(1);
        }
        Ok(())
    }

    /// Ledgers of the range that are not there.
    pub fn missing(&mut self, from_ledger: u64, to_ledger: u64, reason: &'static str) -> io::Result<()> {
        self.end.missing += to_ledger.saturating_sub(from_ledger).saturating_add(1);
        let missing = json!({ "missing": Missing { from_ledger, to_ledger, reason } });
        writeln!(self.out, "{missing}")
    }

    /// The end mark; what was written is with the system.
    pub fn end(mut self) -> io::Result<(W, End)> {
        writeln!(self.out, "{}", json!({ "end": self.end }))?;
        self.out.flush()?;
        Ok((self.out, self.end))
    }
}

impl Edge {
    /// Of this ledger.
    pub fn of(batch: &LedgerBatch) -> Edge {
        let ledger = &batch.ledger;
        let hash = ledger.hash.map(|hash| hash.to_string());
        Edge { ledger: ledger.index, epoch: batch.epoch, hash, closed_at: time(ledger.closed_at) }
    }
}

fn json(value: &impl serde::Serialize) -> io::Result<String> {
    serde_json::to_string(value).map_err(io::Error::from)
}
