//! The subject keys of one event.

use crate::event::Key;
use std::collections::HashSet;

/// Few enough keys to look through each time.
pub const FEW: usize = 32;

/// The keys of one event, each once, in the order in which they were found.
///
/// None is left out, however many there are: a contract's event may name hundreds of addresses, and
/// what a hostile server sends is bounded by its answer alone. So the time for each is bounded.
#[derive(Default)]
pub struct Subjects {
    keys: Vec<Key>,
    /// The same, once they are more than few.
    seen: HashSet<Key>,
}

impl Subjects {
    /// Adds a key, unless it is there.
    pub fn add(&mut self, key: &Key) {
        if self.keys.len() < FEW {
            if self.keys.contains(key) {
                return;
            }
        } else {
            if self.seen.is_empty() {
                self.seen.extend(self.keys.iter().cloned());
            }
            if !self.seen.insert(key.clone()) {
                return;
            }
        }
        self.keys.push(key.clone());
    }

    /// The keys, as an event takes them.
    pub fn into_keys(self) -> Vec<Key> {
        self.keys
    }
}
