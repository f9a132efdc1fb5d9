//! The keys that clauses name, each with a number and with what is posted under it alone.

use super::postings::{Entry, List};
use crate::event::Key;
use hashbrown::HashMap;

/// The keys of one field, kept as long as a clause is posted under them.
#[derive(Default)]
pub(super) struct Interner {
    keys: HashMap<Key, Interned>,
    /// Numbers given back. With those in use they are exactly 0 to their sum.
    free: Vec<u32>,
}

/// One key.
pub(super) struct Interned {
    /// Stands for the key in pairs.
    pub number: u32,
    /// How many times clauses name it in pairs; 0: it stands in none.
    pub paired: u32,
    /// Clauses posted under this key and no other. Kept beside the number because the look-up has
    /// just paid for this piece of memory.
    pub alone: List,
}

impl Interner {
    /// What is known of a key.
    pub fn get(&self, key: &str) -> Option<&Interned> {
        self.keys.get(key)
    }

    /// Posts a clause under the key alone. False: it was there.
    pub fn post(&mut self, key: &Key, entry: Entry) -> bool {
        self.intern(key).alone.insert(entry)
    }

    /// Undoes [`Self::post`]. False: it was not there.
    pub fn unpost(&mut self, key: &Key, entry: &Entry) -> bool {
        let removed = self.keys.get_mut(&**key).is_some_and(|interned| interned.alone.remove(entry));
        self.forget_unused(key);
        removed
    }

    /// Counts a clause that names the key in pairs. The number stays while the count is not 0.
    pub fn pair(&mut self, key: &Key) -> u32 {
        let interned = self.intern(key);
        interned.paired += 1;
        interned.number
    }

    /// Undoes [`Self::pair`]. The number may be given away at the next posting.
    pub fn unpair(&mut self, key: &Key) -> Option<u32> {
        let interned = self.keys.get_mut(&**key)?;
        interned.paired -= 1;
        let number = interned.number;
        self.forget_unused(key);
        Some(number)
    }

    /// Bytes of the tables, without the lists.
    pub fn memory(&self) -> usize {
        self.keys.allocation_size() + self.free.capacity() * size_of::<u32>()
    }

    /// Whether no key is known.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn intern(&mut self, key: &Key) -> &mut Interned {
        // Memory ends long before the numbers do.
        let next = self.keys.len() as u32;
        self.keys.entry(key.clone()).or_insert_with(|| Interned {
            number: self.free.pop().unwrap_or(next),
            paired: 0,
            alone: List::default(),
        })
    }

    fn forget_unused(&mut self, key: &Key) {
        let unused = |interned: &Interned| interned.paired == 0 && interned.alone.is_empty();
        if self.keys.get(&**key).is_some_and(unused)
            && let Some(interned) = self.keys.remove(&**key)
        {
            self.free.push(interned.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_and_are_used_again() {
        let keys: Vec<Key> = ["a", "b", "c"].map(Key::from).into();
        let mut interner = Interner::default();
        let numbers: Vec<u32> = keys.iter().map(|key| interner.pair(key)).collect();
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(interner.pair(&keys[1]), 1);
        assert_eq!(interner.unpair(&keys[1]), Some(1));
        assert!(interner.get("b").is_some(), "still named once");
        assert_eq!(interner.unpair(&keys[1]), Some(1));
        assert!(interner.get("b").is_none());
        assert_eq!(interner.pair(&"d".into()), 1);
        assert_eq!(interner.pair(&"e".into()), 3);
        assert_eq!(interner.unpair(&"f".into()), None);
    }
}
