//! A journal that is there already: the same ledgers for every server, so that each begins with the same past.

use crate::ledgers::{answer, decode};
use ledgercast::broker::History;
use ledgercast::config;
use ledgercast::event::{Hash, LedgerBatch};
use ledgercast::journal::{Journal, SourceKey};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The devnet's first ledger; the past is all before it.
pub const FIRST: u64 = 1_000;
/// The parent of the devnet's first ledger.
const NONE: Hash = Hash([0; 32]);

/// Writes the ledgers before the devnet's first, with so many events each, as a server of the bench would have.
pub fn write(directory: &Path, events: usize) {
    let keys = vec![SourceKey { name: "devnet".into(), scope: "stellar transactions".into() }];
    let journal = Journal::open(directory, config::Journal::default(), keys).expect("it opens");
    let history = Arc::new(History::new(1, 1, 1));
    journal.start(history.clone(), Arc::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let patterns = decode(&answer(events));
    for (index, pattern) in (1..FIRST).zip(patterns.iter().cycle()) {
        let entry = history.append(in_row(pattern, index), Instant::now()).expect("it is new");
        journal.append(entry, BTreeMap::new());
        if let Some(room) = journal.room() {
            runtime.block_on(room);
        }
    }
    runtime.block_on(journal.flushed());
}

/// A ledger like another, at this place of the chain, with ids of its own.
fn in_row(pattern: &LedgerBatch, index: u64) -> LedgerBatch {
    let mut batch = pattern.clone();
    let hash = |index: u64| {
        let mut bytes = [0x5a; 32];
        bytes[..8].copy_from_slice(&index.to_be_bytes());
        Hash(bytes)
    };
    batch.ledger.index = index;
    batch.ledger.hash = Some(if index + 1 == FIRST { NONE } else { hash(index) });
    batch.ledger.parent = Some(hash(index - 1));
    for (number, event) in batch.events.iter_mut().enumerate() {
        event.id = format!("{index}-{number}").into();
    }
    batch
}
