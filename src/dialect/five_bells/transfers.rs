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
    /// The ledger's sequence and the event's index in it. By source, too: two of one network tell the same transfers.
    at: HashMap<(SourceNumber, Uuid), (u64, u32)>,
    /// By source, the ids of its ledgers from the oldest on.
    ledgers: HashMap<SourceNumber, VecDeque<IdsOfLedger>>,
}

/// A ledger's sequence and its transfers.
type IdsOfLedger = (u64, Box<[Uuid]>);

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
                if at.get(&(source, id)).is_some_and(|(sequence, _)| *sequence == gone) {
                    at.remove(&(source, id));
                }
            }
        }
        if transfers.is_empty() {
            return;
        }
        ledgers.push_back((sequence, transfers.iter().map(|(id, _)| *id).collect()));
        at.extend(transfers.into_iter().map(|(id, index)| ((source, id), (sequence, index))));
    }

    /// The sequence of the source's ledger and the index of the event.
    pub fn find(&self, source: SourceNumber, id: Uuid) -> Option<(u64, u32)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at.get(&(source, id)).copied()
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
        let find =
            |source, names: &[&str]| -> Vec<_> { names.iter().map(|name| transfers.find(source, id(name))).collect() };
        let all = ["a", "b", "c", "d"];
        assert_eq!(find(0, &all), [Some((1, 3)), Some((1, 4)), None, Some((3, 1))]);
        assert_eq!(find(1, &all), [None, None, Some((2, 1)), None]);
        // The other source has given up nothing; this one has, but for what came again.
        transfers.add(0, 4, vec![(id("a"), 7)], 3);
        assert_eq!(find(0, &all), [Some((4, 7)), None, None, Some((3, 1))]);
        // Two sources of one network tell the same, each in its own time.
        transfers.add(1, 5, vec![(id("a"), 7)], 2);
        transfers.add(0, 9, Vec::new(), 9);
        transfers.add(0, 10, Vec::new(), 10);
        assert_eq!((find(0, &all), find(1, &["a", "c"])), (vec![None; 4], vec![Some((5, 7)), Some((2, 1))]));
        let known = transfers.0.lock().unwrap();
        assert_eq!((known.at.len(), known.ledgers[&0].len()), (2, 0));
    }
}
