//! Kept ledgers come back exactly: the same values, and in every dialect the same bytes.

use super::ledgers;
use crate::broker::Renderings;
use crate::dialect::frame::Frames;
use crate::dialect::{self, DialectConfig, MountContext};
use crate::event::LedgerBatch;
use crate::journal::form::{Packer, Unpacker};
use serde_json::json;

/// Every form in which some dialect writes.
pub fn renderings() -> Renderings {
    let mut renderings = Renderings::default();
    for settings in [
        json!({ "dialect": "flow", "config": {} }),
        json!({ "dialect": "rippled", "config": {} }),
        json!({ "dialect": "maticvigil", "config": {} }),
        json!({ "dialect": "maticvigil", "config": { "big_integers": "string" } }),
        json!({ "dialect": "planetmint", "config": {} }),
    ] {
        let settings: DialectConfig = serde_json::from_value(settings).unwrap();
        let url = "https://example.org".into();
        let context = MountContext { url, values_per_session: 10, sources: 1, ..MountContext::default() };
        dialect::build(&settings, context, &mut renderings);
    }
    renderings
}

/// All that every dialect writes of a ledger.
fn rendered(batch: &LedgerBatch, renderings: &Renderings) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for id in 0..renderings.len() as u16 {
        let render = renderings.get(crate::broker::RenderingId(id));
        for index in 0..batch.events.len() {
            all.push(Frames::collect(|frames| render.event(batch, index, frames)).0.to_vec());
        }
        if let Some(continuity) = &batch.continuity {
            all.push(Frames::collect(|frames| render.continuity(batch, continuity, frames)).0.to_vec());
        }
    }
    all
}

/// That a ledger survives; how many bytes of frames it gives, and how many its row has.
pub fn survives(batch: &LedgerBatch, renderings: &Renderings) -> (usize, usize) {
    let row = Packer::new().unwrap().pack(batch).unwrap();
    let again = Unpacker::new().unwrap().unpack(&row, batch.source).unwrap();
    // What `Debug` shows is all but the native forms; those are in what the dialects write, and in the weight.
    assert_eq!(format!("{again:?}"), format!("{batch:?}"));
    assert_eq!(again.weight(), batch.weight());
    let (before, after) = (rendered(batch, renderings), rendered(&again, renderings));
    assert!(before == after, "ledger {} of {}", batch.ledger.index, batch.network);
    // Written again it is the same row, so nothing of the native forms was lost either.
    assert_eq!(Packer::new().unwrap().pack(&again).unwrap(), row);
    (before.iter().map(Vec::len).sum(), row.len())
}

#[test]
fn recorded_ledgers_survive() {
    let renderings = renderings();
    for (family, batches) in ledgers::recorded() {
        let (mut events, mut weight, mut frames, mut rows) = (0, 0, 0, 0);
        for batch in &batches {
            let (frames_of_it, row) = survives(batch, &renderings);
            (events, weight) = (events + batch.events.len(), weight + batch.weight());
            (frames, rows) = (frames + frames_of_it, rows + row);
        }
        println!(
            "{family}: {} ledgers, {events} events, {weight} bytes in memory, {frames} in frames, {rows} in rows",
            batches.len()
        );
        assert!(batches.is_empty() || frames > 0, "{family}");
    }
}

#[test]
fn no_row_is_trusted() {
    let mut unpacker = Unpacker::new().unwrap();
    let mut packer = Packer::new().unwrap();
    for (_, batches) in ledgers::recorded() {
        let Some(batch) = batches.iter().filter(|batch| batch.events.len() > 1).min_by_key(|batch| batch.weight())
        else {
            continue;
        };
        let row = packer.pack(batch).unwrap();
        // Cut anywhere, and changed anywhere.
        for at in (0..row.len()).step_by(row.len() / 300 + 1) {
            assert!(unpacker.unpack(&row[..at], 0).is_err(), "cut at {at}");
            let mut changed = row.clone();
            changed[at] ^= 1 << (at % 8);
            // Some bits of a frame mean nothing; what is read is then the same.
            if let Ok(again) = unpacker.unpack(&changed, 0) {
                assert_eq!(packer.pack(&again).unwrap(), row, "changed at {at}");
            }
        }
        // Without the checksum before it the form itself holds out: any of these may be a ledger, none may panic.
        let plain = crate::event::stored::encode(batch);
        for at in (0..plain.len()).step_by(plain.len() / 1000 + 1) {
            assert!(crate::event::stored::decode(&plain[..at], 0, crate::source::NATIVES).is_err());
            for bit in 0..8 {
                let mut changed = plain.clone();
                changed[at] ^= 1 << bit;
                let _ = crate::event::stored::decode(&changed, 0, crate::source::NATIVES);
            }
        }
    }
    // A frame that claims to become more than there can be.
    let mut bomb = vec![1];
    bomb.extend_from_slice(&u32::MAX.to_le_bytes());
    bomb.extend_from_slice(&zstd::bulk::compress(&vec![0; 1 << 20], 1).unwrap());
    assert!(unpacker.unpack(&bomb, 0).is_err());
    assert!(unpacker.unpack(&[], 0).is_err());
    assert!(unpacker.unpack(&[9, 0, 0, 0, 0], 0).unwrap_err().to_string().contains("another release"));
}
