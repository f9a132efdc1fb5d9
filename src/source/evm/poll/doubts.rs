//! Whether it is believed that a block that was sent is no part of the chain any more.

use crate::event::Hash;
use std::collections::HashMap;

/// An address that failed so often since a doubt arose does not answer: nobody waits for its word, and what it said
/// before is void. The source stays away longer after each failure, so that this takes about a quarter of a minute: a
/// node that is only started anew is heard.
const SILENT_AFTER: u32 = 3;

/// What the addresses of a source say of the block sent last, since one of them had another in its place.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// The other block, by the number of the address that has it.
    said: HashMap<usize, Hash>,
    /// How often an address failed since it answered last.
    failures: HashMap<usize, u32>,
}

impl Doubts {
    /// The chain was followed: nobody doubts any more.
    pub(super) fn clear(&mut self) {
        self.said.clear();
        self.failures.clear();
    }

    /// An address, one of so many, has this block instead of the one sent last. Gives whether it is believed: all that
    /// answer say the same, and it was said twice, by two addresses or by the only one that answers. An address that
    /// has the block that was sent, or was not asked yet, stands against it; one that does not answer does not.
    pub(super) fn heard(&mut self, address: usize, found: Hash, addresses: usize) -> bool {
        self.failures.remove(&address);
        let again = self.said.insert(address, found) == Some(found);
        let voices = self.said.values().filter(|other| **other == found).count();
        let agrees = |other: usize| match self.said.get(&other) {
            Some(said) => *said == found,
            None => self.failures.get(&other).is_some_and(|failures| *failures >= SILENT_AFTER),
        };
        (again || voices > 1) && (0..addresses).all(agrees)
    }

    /// An address gave no usable answer.
    pub(super) fn failed(&mut self, address: usize) {
        if self.said.is_empty() && self.failures.is_empty() {
            return;
        }
        let failures = self.failures.entry(address).or_default();
        *failures = failures.saturating_add(1);
        if *failures >= SILENT_AFTER {
            self.said.remove(&address);
        }
    }

    /// An address answered, and has nothing against the block sent last.
    pub(super) fn works(&mut self, address: usize) {
        self.failures.remove(&address);
        self.said.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Hash = Hash([1; 32]);
    const TWO: Hash = Hash([2; 32]);

    #[test]
    fn the_only_address_must_say_it_twice() {
        let mut doubts = Doubts::default();
        assert!(!doubts.heard(0, ONE, 1));
        assert!(!doubts.heard(0, TWO, 1), "another one each time");
        assert!(doubts.heard(0, TWO, 1));
        doubts.works(0);
        assert!(!doubts.heard(0, TWO, 1), "it had nothing against it in between");
    }

    #[test]
    fn all_that_answer_must_say_the_same() {
        let mut doubts = Doubts::default();
        assert!(!doubts.heard(0, ONE, 3));
        assert!(!doubts.heard(1, ONE, 3), "the third was not asked");
        assert!(!doubts.heard(2, TWO, 3));
        assert!(!doubts.heard(0, ONE, 3), "the third says otherwise");
        assert!(doubts.heard(2, ONE, 3));
    }

    #[test]
    fn who_does_not_answer_for_a_while_has_no_word() {
        let mut doubts = Doubts::default();
        // Nothing is counted while nobody doubts.
        (0..9).for_each(|_| doubts.failed(1));
        assert!(!doubts.heard(0, ONE, 2));
        for _ in 1..SILENT_AFTER {
            doubts.failed(1);
            assert!(!doubts.heard(0, ONE, 2), "it may be back in a moment");
        }
        doubts.failed(1);
        assert!(doubts.heard(0, ONE, 2));
        // It is back, and has the block that was sent.
        doubts.works(1);
        assert!(!doubts.heard(0, ONE, 2));
        // What the dead said is void: the one that is left must say it itself, and twice.
        doubts.clear();
        assert!(!doubts.heard(1, ONE, 2));
        (0..SILENT_AFTER).for_each(|_| doubts.failed(1));
        assert!(!doubts.heard(0, ONE, 2));
        assert!(doubts.heard(0, ONE, 2));
    }
}
