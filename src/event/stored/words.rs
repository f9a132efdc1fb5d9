//! Words of the program, such as `credit_alphanum4`, that types hold as `&'static str`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The program has some hundreds, the longest a sentence; more come from no ledger that we stored.
const MOST: usize = 4096;
const LONGEST: usize = 512;

static WORDS: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

/// The word with this text. The first time a word is read it is kept for ever, which its number and its length
/// bound; `None` beyond.
pub fn of(text: &str) -> Option<&'static str> {
    // A set is whole whatever happened to whoever held it.
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    let words = words.get_or_insert_default();
    if let Some(word) = words.get(text) {
        return Some(word);
    }
    if text.len() > LONGEST || words.len() >= MOST {
        return None;
    }
    let word: &'static str = Box::leak(text.into());
    words.insert(word);
    Some(word)
}
