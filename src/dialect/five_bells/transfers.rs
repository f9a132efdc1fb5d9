//! Where the transfers are that history still has.

use super::uuid::Uuid;
use crate::event::SourceNumber;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Transfers by their ids. Bounded by history: what it gives up is forgotten here with the next ledger of the source.
#[derive(Default)]
pub(super) struct Transfers(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The ledger's sequence and the event's index in it.
    at: HashMap<Uuid, (u64, u32)>,
    /// By source, the ids of its ledgers from the oldest on.
    ledgers: HashMap<SourceNumber, VecDeque<LedgerIds>>,
}

/// A ledger's sequence and its transfers.
type LedgerIds = (u64, Box<[Uuid]>);

impl Transfers {
    /// Takes the transfers of a ledger, and forgets those of the same source's ledgers before `oldest`.
    pub fn add(&self, source: SourceNumber, sequence: u64, transfers: Vec<(Uuid, u32)>, oldest: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { at, ledgers } = &mut *known;
        let ledgers = ledgers.entry(source).or_default();
        while ledgers.front().is_some_and(|(sequence, _)| *sequence < oldest) {
            let Some((gone, ids)) = ledgers.pop_front() else { break };
            for id in ids {
                // It may have come again since, where a network began anew.
                if at.get(&id).is_some_and(|(sequence, _)| *sequence == gone) {
                    at.remove(&id);
                }
            }
        }
        if transfers.is_empty() {
            return;
        }
        ledgers.push_back((sequence, transfers.iter().map(|(id, _)| *id).collect()));
        at.extend(transfers.into_iter().map(|(id, index)| (id, (sequence, index))));
    }

    /// The sequence of the ledger and the index of the event.
    pub fn find(&self, id: Uuid) -> Option<(u64, u32)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at.get(&id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_history_gives_up_is_forgotten() {
        let id = |name: &str| Uuid::of(name);
        let transfers = Transfers::default();
        transfers.add(0, 1, vec![(id("a"), 3), (id("b"), 4)], 1);
        transfers.add(1, 2, vec![(id("c"), 1)], 2);
        transfers.add(0, 3, vec![(id("d"), 1)], 1);
        assert_eq!(
            ["a", "b", "c", "d"].map(|name| transfers.find(id(name))),
            [Some((1, 3)), Some((1, 4)), Some((2, 1)), Some((3, 1))]
        );
        // The other source has given up nothing; this one has, but for what came again.
        transfers.add(0, 4, vec![(id("a"), 7)], 3);
        assert_eq!(
            ["a", "b", "c", "d"].map(|name| transfers.find(id(name))),
            [Some((4, 7)), None, Some((2, 1)), Some((3, 1))]
        );
        transfers.add(0, 9, Vec::new(), 9);
        transfers.add(0, 10, Vec::new(), 10);
        assert_eq!(["a", "d", "c"].map(|name| transfers.find(id(name))), [None, None, Some((2, 1))]);
        let known = transfers.0.lock().unwrap();
        assert_eq!((known.at.len(), known.ledgers[&0].len()), (1, 0));
    }
}
