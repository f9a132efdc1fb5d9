//! What is posted under one composite key: clauses, ordered by their least amount.

use crate::event::{Amount, EventKind, KindSet};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

/// Longest list kept as a plain array. Up to here a walk passes over entries of other kinds, so it
/// also bounds the steps that a walk takes in vain.
const SHORT: usize = 32;

/// One clause, as it stands in a list.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its least amount. Shared by all postings of the clause; without one it sorts first.
    pub least: Option<Arc<Amount>>,
    /// The subscription's slot.
    pub slot: u32,
    /// Which of the subscription's clauses it is.
    pub clause: u32,
    /// The bit that it sets in the mask, by number.
    pub tag: u8,
    /// The kinds that it wants.
    pub kinds: KindSet,
    /// Whether the key tells only its subject, so that its assets must still be looked at.
    pub verify: bool,
}

/// The other fields follow from slot and clause.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |entry: &Entry| (entry.slot, entry.clause);
        self.least.cmp(&other.least).then_with(|| place(self).cmp(&place(other)))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

/// The clauses under one key. Each stands in it at most once.
#[derive(Debug)]
pub(super) enum List {
    /// Most keys have one clause: no allocation for it.
    One(Entry),
    /// None, or up to [`SHORT`], in order.
    Few(Box<[Entry]>),
    /// More.
    Many(Box<Long>),
}

/// A list that many clauses share: a set for each different choice of kinds, so that clauses of
/// other kinds cost an event nothing, and adding and removing stay cheap.
#[derive(Debug, Default)]
pub(super) struct Long {
    by_kinds: Vec<(KindSet, BTreeSet<Entry>)>,
}

impl Default for List {
    fn default() -> List {
        List::Few(Box::default())
    }
}

impl List {
    /// A list of ordered entries.
    fn of(mut entries: Vec<Entry>) -> List {
        match entries.len() {
            1 => List::One(entries.remove(0)),
            0..=SHORT => List::Few(entries.into_boxed_slice()),
            _ => {
                let mut long = Long::default();
                for entry in entries {
                    long.insert(entry);
                }
                List::Many(Box::new(long))
            }
        }
    }

    /// Puts an entry in. False: it was there.
    pub fn insert(&mut self, entry: Entry) -> bool {
        if let List::Many(long) = self {
            return long.insert(entry);
        }
        let Err(at) = self.short().binary_search(&entry) else { return false };
        let mut entries = mem::take(self).into_entries();
        entries.reserve_exact(1);
        entries.insert(at, entry);
        *self = List::of(entries);
        true
    }

    /// Takes an entry out. False: it was not there.
    pub fn remove(&mut self, entry: &Entry) -> bool {
        if let List::Many(long) = self {
            let removed = long.remove(entry);
            // Half of what made it long, so that one client coming and going does not rebuild it.
            if long.len() <= SHORT / 2 {
                *self = List::of(mem::take(self).into_entries());
            }
            return removed;
        }
        let Ok(at) = self.short().binary_search(entry) else { return false };
        let mut entries = mem::take(self).into_entries();
        entries.remove(at);
        *self = List::of(entries);
        true
    }

    /// Calls `found` with every entry that wants `kind` and whose least amount `amount` reaches.
    /// Without an amount no least amount is reached.
    pub fn walk(&self, kind: EventKind, amount: Option<&Amount>, mut found: impl FnMut(&Entry)) {
        let reached = |entry: &&Entry| entry.least.as_deref() <= amount;
        match self {
            List::Many(long) => {
                let wanted = long.by_kinds.iter().filter(|(kinds, _)| kinds.contains(kind));
                wanted.for_each(|(_, entries)| entries.iter().take_while(reached).for_each(&mut found));
            }
            short => {
                let wanted = |entry: &&Entry| entry.kinds.contains(kind);
                short.short().iter().take_while(reached).filter(wanted).for_each(found);
            }
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        matches!(self, List::Few(entries) if entries.is_empty())
    }

    fn short(&self) -> &[Entry] {
        match self {
            List::One(entry) => std::slice::from_ref(entry),
            List::Few(entries) => entries,
            List::Many(_) => &[],
        }
    }

    /// In order.
    fn into_entries(self) -> Vec<Entry> {
        match self {
            List::One(entry) => vec![entry],
            List::Few(entries) => entries.into_vec(),
            List::Many(long) => {
                let mut entries: Vec<Entry> = long.by_kinds.into_iter().flat_map(|(_, entries)| entries).collect();
                entries.sort_unstable();
                entries
            }
        }
    }
}

impl Long {
    fn len(&self) -> usize {
        self.by_kinds.iter().map(|(_, entries)| entries.len()).sum()
    }

    fn insert(&mut self, entry: Entry) -> bool {
        let at = self.by_kinds.iter().position(|(kinds, _)| *kinds == entry.kinds).unwrap_or_else(|| {
            self.by_kinds.push((entry.kinds, BTreeSet::new()));
            self.by_kinds.len() - 1
        });
        self.by_kinds[at].1.insert(entry)
    }

    fn remove(&mut self, entry: &Entry) -> bool {
        let Some(at) = self.by_kinds.iter().position(|(kinds, _)| *kinds == entry.kinds) else { return false };
        let entries = &mut self.by_kinds[at].1;
        let removed = entries.remove(entry);
        if entries.is_empty() {
            self.by_kinds.remove(at);
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Amounts from -1 to 8; -1 stands for none.
    fn entry(slot: u32) -> Entry {
        let least = i128::from(slot % 10) - 1;
        let kind = EventKind::ALL[slot as usize % 3];
        Entry {
            least: (least >= 0).then(|| Arc::new(Amount::from_units(least, 0))),
            slot,
            clause: 0,
            tag: 0,
            kinds: KindSet::of(&[kind, EventKind::Trade]),
            verify: false,
        }
    }

    fn walked(list: &List, kind: EventKind, amount: Option<i128>) -> Vec<u32> {
        let mut slots = Vec::new();
        let amount = amount.map(|units| Amount::from_units(units, 0));
        list.walk(kind, amount.as_ref(), |entry| slots.push(entry.slot));
        slots.sort_unstable();
        slots
    }

    proptest! {
        #[test]
        fn a_list_is_a_set_at_every_length(
            rounds in prop::collection::vec((any::<bool>(), 0u32..100, 0u32..60), 1..12),
            kind in prop::sample::select(EventKind::ALL.to_vec()),
            amount in prop::option::of(-2i128..10),
        ) {
            let (mut list, mut model) = (List::default(), std::collections::BTreeSet::new());
            for (add, from, count) in rounds {
                for slot in from..from + count {
                    if add {
                        prop_assert_eq!(list.insert(entry(slot)), model.insert(slot));
                    } else {
                        prop_assert_eq!(list.remove(&entry(slot)), model.remove(&slot));
                    }
                }
                let units = |slot: u32| i128::from(slot % 10) - 1;
                let wanted = |slot: &u32| {
                    let reached = units(*slot) < 0 || amount.is_some_and(|amount| amount >= units(*slot));
                    entry(*slot).kinds.contains(kind) && reached
                };
                let expected: Vec<u32> = model.iter().copied().filter(wanted).collect();
                prop_assert_eq!(walked(&list, kind, amount), expected);
                prop_assert_eq!(list.is_empty(), model.is_empty());
                if let List::Many(_) = list {
                    prop_assert!(model.len() > SHORT / 2);
                } else {
                    prop_assert!(model.len() <= SHORT);
                }
            }
        }
    }
}
