//! What a session wants: a list of clauses, OR-ed, and how it wants it written.

use super::RenderingId;
use crate::event::{Amount, Event, Key, KindSet};
use std::sync::Arc;

/// Most different tags in one subscription: they share one 32-bit mask.
pub const MAX_TAGS: u8 = 32;

/// Lists of more keys than this are sorted, so that one with a thousand is looked up and not walked
/// through for each event that its session is fed from history.
const SHORT: usize = 16;

/// What a session wants. Clauses are OR-ed; an event reaches a session once, with a mask of the
/// clauses that matched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// OR-ed. No clause at all matches nothing.
    pub clauses: Arc<[Clause]>,
    /// Which of the dialect's renderings the session reads.
    pub rendering: RenderingId,
    /// Send an event once for each different tag that matched instead of once.
    pub copy_per_tag: bool,
}

/// One condition: AND between the fields, OR within one. Empty lists restrict nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Clause {
    /// The kinds wanted, spelled out: an empty set matches nothing.
    pub kinds: KindSet,
    /// Namespaced subject keys, such as `account:G…`. Sorted.
    pub subjects: Vec<Key>,
    /// Asset keys, such as `native`, `USDC` or `USDC:G…`. Sorted.
    pub assets: Vec<Key>,
    /// The least amount. With `assets` set, an amount of a matching asset must reach it.
    pub min_amount: Option<Amount>,
    /// Which bit of the mask it sets, below [`MAX_TAGS`]. Several clauses may share one.
    pub tag: u8,
}

impl Clause {
    /// Everything of these kinds.
    pub fn everything(kinds: KindSet) -> Clause {
        Clause { kinds, subjects: Vec::new(), assets: Vec::new(), min_amount: None, tag: 0 }
    }

    /// Whether only the kind restricts it.
    pub fn is_unrestricted(&self) -> bool {
        self.subjects.is_empty() && self.assets.is_empty() && self.min_amount.is_none()
    }

    /// Whether its lists are as [`Clause::matches`] needs them.
    pub fn is_sorted(&self) -> bool {
        [&self.subjects, &self.assets].iter().all(|list| list.len() <= SHORT || list.is_sorted())
    }

    /// The definition of matching: what the index must agree with.
    pub fn matches(&self, event: &Event) -> bool {
        let any_of = |wanted: &[Key], has: &[Key]| match wanted.len() {
            ..=SHORT => wanted.iter().any(|key| has.contains(key)),
            _ => has.iter().any(|key| wanted.binary_search(key).is_ok()),
        };
        if !self.kinds.contains(event.kind) {
            return false;
        }
        if !self.subjects.is_empty() && !any_of(&self.subjects, &event.subjects) {
            return false;
        }
        if self.assets.is_empty() && self.min_amount.is_none() {
            return true;
        }
        event.assets.iter().any(|asset| {
            (self.assets.is_empty() || any_of(&self.assets, &asset.keys))
                && self.min_amount.as_ref().is_none_or(|least| asset.amount.as_ref().is_some_and(|has| has >= least))
        })
    }
}

impl Subscription {
    /// The mask of the tags whose clauses match; 0: not wanted.
    pub fn mask(&self, event: &Event) -> u32 {
        self.clauses.iter().filter(|clause| clause.matches(event)).fold(0, |mask, clause| mask | 1 << clause.tag)
    }

    /// The kinds, if the subscription is for everything of some kinds and nothing else.
    pub fn everything_of(&self) -> Option<KindSet> {
        if self.copy_per_tag || !self.clauses.iter().all(Clause::is_unrestricted) {
            return None;
        }
        Some(self.clauses.iter().fold(KindSet::EMPTY, |kinds, clause| kinds.union(clause.kinds)))
    }

    /// How many times a matching event is sent.
    pub fn copies(&self, mask: u32) -> u32 {
        if self.copy_per_tag { mask.count_ones() } else { u32::from(mask != 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::batch;

    #[test]
    fn long_lists_match_as_short_ones_do() {
        let key = |number: usize| Key::from(format!("account:{number}"));
        for length in [1, SHORT, SHORT + 1, 1000] {
            let mut subjects: Vec<Key> = (0..length).map(|number| key(2 * number)).collect();
            subjects.sort_unstable();
            let clause = Clause { subjects, ..Clause::everything(KindSet::ALL) };
            assert!(clause.is_sorted());
            for number in 0..2 * length + 2 {
                let mut event = batch(0, 1, 1).events[0].clone();
                event.subjects = [Key::from("other"), key(number)].into_iter().collect();
                assert_eq!(clause.matches(&event), number % 2 == 0 && number < 2 * length, "{number} of {length}");
            }
        }
    }
}
