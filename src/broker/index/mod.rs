//! Who wants an event: the cost follows the matches, not the number of subscriptions.
//!
//! In: the clauses of subscriptions, each subscription under a slot number of its owner (a
//! Router), and events. Out: the slots that want an event, each once, with the mask of the tags
//! that matched. What matches is defined by [`Clause::matches`]; the index must never differ.
//!
//! How: a clause is posted under composite keys of (subject or any, asset or any), one for each
//! pair of its subjects and assets. An event's own keys name all lists in which a clause that
//! wants it can stand. Each list is ordered by least amount, clauses without one first, so that a
//! walk stops at the first that the event does not reach. Under an asset its own amount decides,
//! under any asset the event's largest.
//!
//! * The kind is no part of the key: a short list's entries carry their kinds, a long one is
//!   divided by them. So a clause of many kinds is posted as often as one of a single kind, and an
//!   event costs the same few look-ups.
//! * For each kind it is known how many clauses there are of each of the four shapes of keys;
//!   look-ups of shapes that nobody uses are left out.
//! * A clause of more than [`MAX_PAIRS`] pairs is posted under its subjects only, and its assets are
//!   kept as a set that is asked on a hit, so that its postings are a sum and not a product, and a
//!   hit in vain costs the same however long its lists are.
//! * A slot is stamped with the number of the event when it is hit, so hits are never repeated.
//!
//! Who owns what: a slot keeps a share of its subscription's clauses; where they are posted is
//! worked out from them again when they are removed. One index for each worker thread and source:
//! no locks. What always holds: a key, a pair or a list exists only while a clause is posted under
//! it, and a match allocates nothing once the scratch and the caller's list have grown.

mod interner;
mod postings;
#[cfg(test)]
mod tests;

use super::filter::Clause;
use crate::event::{Amount, Event, EventKind};
use hashbrown::hash_map::Entry as Place;
use hashbrown::{HashMap, HashSet};
use interner::Interner;
use postings::{Entry, List};
use std::sync::Arc;

/// Most pairs of a subject and an asset under which one clause is posted.
const MAX_PAIRS: usize = 64;

/// A slot that wants an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The slot.
    pub slot: u32,
    /// The tags of its clauses that matched; never 0.
    pub mask: u32,
}

/// The clauses of many subscriptions, arranged so that an event finds those that want it.
#[derive(Default)]
pub struct Index {
    slots: Vec<Slot>,
    occupied: usize,
    /// Clauses with neither subjects nor assets.
    anything: List,
    subjects: Interner,
    assets: Interner,
    /// By the numbers of a subject and an asset.
    pairs: HashMap<(u32, u32), List>,
    /// The assets of clauses of [`Shape::Crowd`]: slot, clause, and the asset's number.
    members: HashSet<(u32, u32, u32)>,
    /// Clauses by shape and kind.
    used: [[u32; EventKind::ALL.len()]; 5],
    /// Entries in all lists.
    postings: usize,
    /// The number of the event being matched; 0 is none.
    stamp: u32,
    /// Scratch: an event's assets that clauses pair with subjects, as number and place among its
    /// assets.
    paired: Vec<(u32, usize)>,
}

#[derive(Default)]
struct Slot {
    clauses: Option<Arc<[Clause]>>,
    /// The last event that hit it.
    stamp: u32,
    /// Where that hit stands among the event's hits.
    hit: u32,
}

/// Which of its fields a clause is posted under.
#[derive(Clone, Copy)]
enum Shape {
    Anything,
    Subject,
    Asset,
    Pair,
    /// Too many pairs.
    Crowd,
}

impl Shape {
    fn of(clause: &Clause) -> Shape {
        match (clause.subjects.len(), clause.assets.len()) {
            (0, 0) => Shape::Anything,
            (_, 0) => Shape::Subject,
            (0, _) => Shape::Asset,
            (subjects, assets) if subjects.saturating_mul(assets) > MAX_PAIRS => Shape::Crowd,
            _ => Shape::Pair,
        }
    }
}

impl Index {
    /// An index of nothing.
    pub fn new() -> Index {
        Index::default()
    }

    /// Adds the clauses of a subscription under the caller's slot number, in place of what the
    /// slot held. Memory follows the largest number, so numbers should be dense.
    pub fn insert(&mut self, slot: u32, clauses: &Arc<[Clause]>) {
        self.remove(slot);
        let at = slot as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, Slot::default);
        }
        self.slots[at].clauses = Some(clauses.clone());
        self.occupied += 1;
        for (entry, clause) in entries(slot, clauses) {
            self.post(&entry, clause);
        }
    }

    /// Takes them out again. Nothing happens if the slot holds none.
    pub fn remove(&mut self, slot: u32) {
        let Some(clauses) = self.slots.get_mut(slot as usize).and_then(|held| held.clauses.take()) else { return };
        self.occupied -= 1;
        for (entry, clause) in entries(slot, &clauses) {
            self.unpost(&entry, clause);
        }
    }

    /// Puts every slot that wants the event into `hits`, each once, with the mask of the tags that
    /// matched. The order is that of the look-ups: the same calls give the same order.
    pub fn matches(&mut self, event: &Event, hits: &mut Vec<Hit>) {
        hits.clear();
        let kind = event.kind;
        let used = |shape: Shape| self.used[shape as usize][kind as usize] > 0;
        let [anything, by_subject, by_asset, by_pair, by_crowd] =
            [Shape::Anything, Shape::Subject, Shape::Asset, Shape::Pair, Shape::Crowd].map(used);
        if self.occupied == 0 {
            return;
        }
        self.next_stamp();
        self.paired.clear();
        if by_pair || by_crowd {
            for (at, asset) in event.assets.iter().enumerate() {
                let known = asset.keys.iter().filter_map(|key| self.assets.get(key));
                self.paired.extend(known.filter(|asset| asset.paired > 0).map(|asset| (asset.number, at)));
            }
        }
        let (paired, members) = (&self.paired, &self.members);
        let mut found = Found { slots: &mut self.slots, members, paired, stamp: self.stamp, event, hits };
        let largest = event.assets.iter().filter_map(|asset| asset.amount.as_ref()).max();

        if anything {
            found.walk(&self.anything, largest);
        }
        if by_asset {
            for asset in &event.assets {
                for interned in asset.keys.iter().filter_map(|key| self.assets.get(key)) {
                    found.walk(&interned.alone, asset.amount.as_ref());
                }
            }
        }
        if by_subject || !paired.is_empty() {
            for subject in event.subjects.iter().filter_map(|key| self.subjects.get(key)) {
                if by_subject || by_crowd {
                    found.walk(&subject.alone, largest);
                }
                if by_pair && subject.paired > 0 {
                    for (asset, at) in paired {
                        if let Some(list) = self.pairs.get(&(subject.number, *asset)) {
                            found.walk(list, event.assets[*at].amount.as_ref());
                        }
                    }
                }
            }
        }
    }

    /// How many slots hold a subscription.
    pub fn len(&self) -> usize {
        self.occupied
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// Bytes of the index, about and rather too many, without the clauses themselves.
    pub fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.subjects.memory()
            + self.assets.memory()
            + self.pairs.allocation_size()
            + self.members.allocation_size()
            + self.postings * size_of::<Entry>()
    }

    fn post(&mut self, entry: &Entry, clause: &Clause) {
        let shape = Shape::of(clause);
        for kind in clause.kinds.iter() {
            self.used[shape as usize][kind as usize] += 1;
        }
        let mut posted = 0;
        match shape {
            Shape::Anything => posted += usize::from(self.anything.insert(entry.clone())),
            Shape::Subject => {
                for key in &clause.subjects {
                    posted += usize::from(self.subjects.post(key, entry.clone()));
                }
            }
            Shape::Asset => {
                for key in &clause.assets {
                    posted += usize::from(self.assets.post(key, entry.clone()));
                }
            }
            Shape::Crowd => {
                for key in &clause.assets {
                    self.members.insert((entry.slot, entry.clause, self.assets.pair(key)));
                }
                for key in &clause.subjects {
                    posted += usize::from(self.subjects.post(key, entry.clone()));
                }
            }
            Shape::Pair => {
                let assets: Vec<u32> = clause.assets.iter().map(|key| self.assets.pair(key)).collect();
                for key in &clause.subjects {
                    let subject = self.subjects.pair(key);
                    for asset in &assets {
                        let list = self.pairs.entry((subject, *asset)).or_default();
                        posted += usize::from(list.insert(entry.clone()));
                    }
                }
            }
        }
        self.postings += posted;
    }

    /// Mirrors [`Self::post`]. A key that a clause names twice is posted once and found gone the
    /// second time.
    fn unpost(&mut self, entry: &Entry, clause: &Clause) {
        let shape = Shape::of(clause);
        for kind in clause.kinds.iter() {
            self.used[shape as usize][kind as usize] -= 1;
        }
        let mut removed = 0;
        match shape {
            Shape::Anything => removed += usize::from(self.anything.remove(entry)),
            Shape::Subject => {
                for key in &clause.subjects {
                    removed += usize::from(self.subjects.unpost(key, entry));
                }
            }
            Shape::Asset => {
                for key in &clause.assets {
                    removed += usize::from(self.assets.unpost(key, entry));
                }
            }
            Shape::Crowd => {
                for number in clause.assets.iter().filter_map(|key| self.assets.unpair(key)) {
                    self.members.remove(&(entry.slot, entry.clause, number));
                }
                for key in &clause.subjects {
                    removed += usize::from(self.subjects.unpost(key, entry));
                }
            }
            Shape::Pair => {
                let assets: Vec<u32> = clause.assets.iter().filter_map(|key| self.assets.unpair(key)).collect();
                for subject in clause.subjects.iter().filter_map(|key| self.subjects.unpair(key)) {
                    for asset in &assets {
                        let Place::Occupied(mut list) = self.pairs.entry((subject, *asset)) else { continue };
                        removed += usize::from(list.get_mut().remove(entry));
                        if list.get().is_empty() {
                            list.remove();
                        }
                    }
                }
            }
        }
        self.postings -= removed;
    }

    fn next_stamp(&mut self) {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            // After 2^32 events old stamps would come round again.
            self.slots.iter_mut().for_each(|slot| slot.stamp = 0);
            self.stamp = 1;
        }
    }
}

/// The entries of a subscription's clauses, with the clauses. One without a kind matches nothing.
fn entries(slot: u32, clauses: &[Clause]) -> impl Iterator<Item = (Entry, &Clause)> {
    clauses.iter().enumerate().filter(|(_, clause)| !clause.kinds.is_empty()).map(move |(at, clause)| {
        let entry = Entry {
            least: clause.min_amount.clone().map(Arc::new),
            slot,
            // Limits keep a subscription's clauses far below.
            clause: at as u32,
            tag: clause.tag,
            kinds: clause.kinds,
            verify: matches!(Shape::of(clause), Shape::Crowd),
        };
        (entry, clause)
    })
}

/// Where the hits of one event are collected.
struct Found<'a> {
    slots: &'a mut [Slot],
    members: &'a HashSet<(u32, u32, u32)>,
    paired: &'a [(u32, usize)],
    stamp: u32,
    event: &'a Event,
    hits: &'a mut Vec<Hit>,
}

impl Found<'_> {
    fn walk(&mut self, list: &List, amount: Option<&Amount>) {
        list.walk(self.event.kind, amount, |entry| self.hit(entry));
    }

    fn hit(&mut self, entry: &Entry) {
        let slot = &mut self.slots[entry.slot as usize];
        let bit = 1 << entry.tag;
        let hit = if slot.stamp == self.stamp { self.hits.get_mut(slot.hit as usize) } else { None };
        // The part of a clause that its posting does not tell.
        let verified = || {
            self.paired.iter().any(|(asset, at)| {
                let reached = entry.least.as_deref() <= self.event.assets[*at].amount.as_ref();
                reached && self.members.contains(&(entry.slot, entry.clause, *asset))
            })
        };
        let known = hit.as_ref().is_some_and(|hit| hit.mask & bit != 0);
        if known || entry.verify && !verified() {
            return;
        }
        match hit {
            Some(hit) => hit.mask |= bit,
            None => {
                slot.stamp = self.stamp;
                slot.hit = self.hits.len() as u32;
                self.hits.push(Hit { slot: entry.slot, mask: bit });
            }
        }
    }
}
