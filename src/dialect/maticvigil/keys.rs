//! Who may register, and what each sees.

use super::config::{Key, KeyEntry};
use crate::broker::Clause;
use crate::dialect::MountContext;
use crate::event::{self, EventKind, KindSet};
use crate::server::FileError;
use crate::source::stellar::Secret;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use subtle::ConstantTimeEq;

/// Keys are of any form, but nobody has a longer one in earnest.
const LONGEST: usize = 512;

/// What a key is known by.
type Known = [u8; 32];

/// The keys of a mount.
pub(super) struct Keys {
    /// In the order of the settings.
    entries: Vec<Entry>,
    known: RwLock<Vec<Held>>,
}

/// What does not change while the process runs.
struct Entry {
    /// What its sessions get.
    clauses: Arc<[Clause]>,
    /// The file that holds the key, and the setting that names it.
    file: Option<(PathBuf, String)>,
}

/// The key itself, as far as we keep it.
#[derive(Clone, Copy, Default)]
struct Held {
    /// `None`: it was not read yet.
    digest: Option<Known>,
    /// Goes up when the file holds another key.
    version: u32,
}

/// A key that was valid when a session registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyRef {
    entry: u32,
    version: u32,
}

impl Keys {
    pub(super) fn new(keys: &[KeyEntry], context: &MountContext) -> Keys {
        let entry = |(at, key): (usize, &KeyEntry)| Entry {
            clauses: clauses(key, &context.contracts),
            file: key.key_file.clone().map(|file| (file, format!("{}.keys[{at}].key_file", context.section))),
        };
        let held = |key: &KeyEntry| Held { digest: key.key.as_ref().map(|Secret(key)| digest(key)), version: 0 };
        Keys {
            entries: keys.iter().enumerate().map(entry).collect(),
            known: RwLock::new(keys.iter().map(held).collect()),
        }
    }

    /// The key with this text. Every key is looked at, and each in constant time.
    pub(super) fn find(&self, text: &str) -> Option<KeyRef> {
        let offered = digest(text);
        let mut found = None;
        for (entry, held) in self.known.read().unwrap_or_else(PoisonError::into_inner).iter().enumerate() {
            if held.digest.is_some_and(|digest| digest.ct_eq(&offered).into()) {
                found = Some(KeyRef { entry: entry as u32, version: held.version });
            }
        }
        found
    }

    /// Whether a client that registered with it would still be let in.
    pub(super) fn still_known(&self, key: KeyRef) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(key.entry as usize).is_some_and(|held| held.version == key.version)
    }

    /// What a key sees.
    pub(super) fn clauses(&self, key: KeyRef) -> Arc<[Clause]> {
        self.entries.get(key.entry as usize).map(|entry| entry.clauses.clone()).unwrap_or_default()
    }

    /// Reads the keys that stand in files; on an error all stay as they were.
    pub(super) fn read_files(&self) -> Result<(), FileError> {
        let mut new = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (held, entry) in new.iter_mut().zip(&self.entries) {
            let Some((file, key)) = &entry.file else { continue };
            let wrong = |reason: String| FileError { key: key.clone(), file: file.clone(), reason };
            let text =
                std::fs::read_to_string(file).map_err(|error| wrong(format!("{error}; write the key into it")))?;
            let text = text.trim();
            if let Some(fault) = key_fault(text) {
                return Err(wrong(fault.to_owned()));
            }
            let read = Some(digest(text));
            if held.digest != read {
                *held = Held { digest: read, version: held.version.wrapping_add(1) };
            }
        }
        for (at, held) in new.iter().enumerate() {
            let Some(other) = new[..at].iter().position(|other| other.digest == held.digest) else { continue };
            // At least one of the two is a file, or the settings would have been refused.
            let files = [at, other].map(|at| self.entries[at].file.as_ref());
            let Some((file, key)) = files.into_iter().flatten().next() else { continue };
            let reason = format!("keys[{other}] and keys[{at}] are one key; put their contracts together");
            return Err(FileError { key: key.clone(), file: file.clone(), reason });
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

fn digest(key: &str) -> Known {
    Sha256::digest(key).into()
}

/// What is wrong with a key, without the key.
pub(super) fn key_fault(key: &str) -> Option<&'static str> {
    let fits = !key.is_empty() && key.len() <= LONGEST && key.trim() == key && !key.contains(char::is_control);
    (!fits).then_some("holds no key; write one line of at most 512 bytes, such as `uuidgen` gives")
}

/// An address in the form in which events have it, from one in either case.
pub(super) fn address(text: &str) -> Option<String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let fits = digits.len() == 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_lowercase())
}

/// What a key sees. A list that is empty would mean everything, so it gives no clause.
fn clauses(key: &Key, contracts: &[(String, String)]) -> Arc<[Clause]> {
    // A name stands for every contract that is called so. What is neither was refused before.
    let named =
        |text: &str| contracts.iter().filter(|(name, _)| name == text).filter_map(|(_, at)| address(at)).collect();
    let of = |text: &String| address(text).map_or_else(|| named(text), |address| vec![address]);
    let watched: Vec<String> = key.contracts.iter().flat_map(of).collect();
    let keys = |space: &'static str, addresses: &[String]| -> Vec<event::Key> {
        addresses.iter().map(|address| format!("{space}:{address}").into()).collect()
    };
    let deployers: Vec<String> = key.deployers.iter().filter_map(|text| address(text)).collect();
    let deploys = [keys("created", &watched), keys("sender", &deployers)].concat();
    let calls_and_logs = KindSet::of(&[EventKind::Transaction, EventKind::ContractEvent]);
    let clause = |kinds, mut subjects: Vec<event::Key>| {
        subjects.sort_unstable();
        subjects.dedup();
        (!subjects.is_empty()).then(|| Clause { subjects, ..Clause::everything(kinds) })
    };
    let both = [clause(calls_and_logs, keys("contract", &watched)), clause(KindSet::of(&[EventKind::Deploy]), deploys)];
    both.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    const BOARD: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
    const COIN: &str = "0xE7f1725E7734CE288F8367e1Bb143E90bb3F0512";

    fn keys(value: serde_json::Value) -> Keys {
        let keys: Vec<KeyEntry> = serde_json::from_value(value).unwrap();
        let contracts = [("Board", BOARD), ("Coin", COIN), ("Coin", BOARD)];
        let context = MountContext {
            contracts: contracts.map(|(name, address)| (name.to_owned(), address.to_owned())).into(),
            section: "here".to_owned(),
            ..MountContext::default()
        };
        Keys::new(&keys, &context)
    }

    fn seen(value: serde_json::Value) -> Vec<(KindSet, Vec<String>)> {
        let keys = keys(json!([value]));
        let clauses = keys.clauses(keys.find("k").unwrap());
        clauses.iter().map(|it| (it.kinds, it.subjects.iter().map(|key| key.to_string()).collect())).collect()
    }

    #[test]
    fn a_key_sees_what_it_names_and_no_more() {
        let (board, coin) = (BOARD.to_lowercase(), COIN.to_lowercase());
        let calls_and_logs = KindSet::of(&[EventKind::Transaction, EventKind::ContractEvent]);
        let deploys = KindSet::of(&[EventKind::Deploy]);
        let of = |space: &str, address: &str| format!("{space}:{address}");
        // By name, or by address in any case; each once.
        for contracts in [json!([BOARD]), json!(["Board", board]), json!([BOARD.to_uppercase(), "nobody"])] {
            let expected = [(calls_and_logs, vec![of("contract", &board)]), (deploys, vec![of("created", &board)])];
            assert_eq!(seen(json!({ "key": "k", "contracts": contracts })), expected);
        }
        let both = seen(json!({ "key": "k", "contracts": ["Coin"] }));
        assert_eq!(both[0].1, [of("contract", &board), of("contract", &coin)]);
        let deployer = json!({ "key": "k", "deployers": [COIN] });
        assert_eq!(seen(deployer), [(deploys, vec![of("sender", &coin)])]);
        let all = seen(json!({ "key": "k", "contracts": ["Board"], "deployers": [COIN] }));
        assert_eq!(all[1], (deploys, vec![of("created", &board), of("sender", &coin)]));
        // Nothing, and not everything.
        assert_eq!(seen(json!({ "key": "k" })), []);
    }

    #[test]
    fn files_are_read_again_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (one, two) = (file("one", "first\n"), file("two", " second \n"));
        let keys = keys(json!([{ "key": "written" }, { "key_file": one }, { "key_file": two }]));
        assert!(keys.find("first").is_none() && keys.find("").is_none(), "not read yet");
        keys.read_files().unwrap();
        let refs = ["written", "first", "second"].map(|text| keys.find(text).unwrap());
        assert_eq!(refs.map(|key| key.entry), [0, 1, 2]);
        keys.read_files().unwrap();
        assert!(refs.iter().all(|key| keys.still_known(*key)), "nothing has changed");

        file("one", "third");
        for (bad, complaint) in [
            ("", "holds no key"),
            ("two\nlines", "holds no key"),
            (&"x".repeat(LONGEST + 1), "holds no key"),
            ("written", "keys[0] and keys[2] are one key"),
            ("third", "keys[1] and keys[2] are one key"),
        ] {
            file("two", bad);
            let error = keys.read_files().unwrap_err().to_string();
            assert!(error.starts_with("here.keys[2].key_file: ") && error.contains(complaint), "{error}");
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
            assert!(refs.iter().all(|key| keys.still_known(*key)) && keys.find("third").is_none());
        }
        fs::remove_file(folder.path().join("two")).unwrap();
        assert!(keys.read_files().unwrap_err().to_string().contains("No such file"));
        file("two", "second");
        keys.read_files().unwrap();
        assert_eq!(refs.map(|key| keys.still_known(key)), [true, false, true]);
        assert!(keys.find("first").is_none() && keys.still_known(keys.find("third").unwrap()));
    }
}
