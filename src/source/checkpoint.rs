//! The position of a source, kept over restarts.
//!
//! One small JSON file for each (source, network, digest of what restricts the source), replaced
//! in one atomic step. A file that is damaged or belongs to something else is never used.

use super::SourceError;
use crate::event::Hash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const VERSION: u32 = 1;
/// A checkpoint is a few hundred bytes; more is not one.
const LONGEST_FILE: u64 = 1 << 20;

/// The last ledger that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The network's id.
    pub network: Arc<str>,
    /// Resets of the network seen so far.
    pub epoch: u32,
    /// The ledger's index.
    pub ledger: u64,
    /// Its hash, where the RPC tells one.
    pub hash: Option<Hash>,
    /// What a source counts over all ledgers, by name.
    pub counters: BTreeMap<String, u64>,
}

/// The file, with what it is bound to.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    source: String,
    network: String,
    scope: String,
    epoch: u32,
    ledger: u64,
    hash: Option<String>,
    counters: BTreeMap<String, u64>,
}

/// Where one source keeps its checkpoint.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
    source: String,
    network: String,
    scope: String,
}

impl Store {
    /// The store of a source on a network. `scope` names every setting that restricts what the
    /// source gives: another scope is another position.
    pub fn new(directory: &Path, source: &str, network: &str, scope: &str) -> Store {
        Store {
            directory: directory.join("checkpoints"),
            source: source.into(),
            network: network.into(),
            scope: short_digest(scope),
        }
    }

    /// The file. Names are free text, so what is no plain character is replaced and the digest of
    /// the whole key keeps two names apart.
    pub fn path(&self) -> PathBuf {
        let plain = |text: &str| -> String {
            let keep = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
            text.chars().take(60).map(keep).collect()
        };
        let key = short_digest(&format!("{}\0{}\0{}", self.source, self.network, self.scope));
        self.directory.join(format!("{}.{}.{key}.json", plain(&self.source), plain(&self.network)))
    }

    /// Reads the checkpoint; `None` if there is none yet.
    pub fn load(&self) -> Result<Option<Checkpoint>, SourceError> {
        let path = self.path();
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fault(format!("cannot be read: {error}"))),
            Ok(meta) if meta.len() > LONGEST_FILE => return Err(self.damaged("far too large")),
            Ok(_) => {}
        }
        let text = fs::read(&path).map_err(|error| self.fault(format!("cannot be read: {error}")))?;
        let stored: Stored = serde_json::from_slice(&text).map_err(|error| self.damaged(&error.to_string()))?;
        if stored.version != VERSION {
            return Err(self.fault(format!(
                "written by another release (version {}); use that release or move the file away",
                stored.version
            )));
        }
        if (&stored.source, &stored.network, &stored.scope) != (&self.source, &self.network, &self.scope) {
            return Err(self.fault(format!(
                "belongs to source `{}` on {}; move it away to begin anew",
                stored.source, stored.network
            )));
        }
        let hash = match stored.hash {
            None => None,
            Some(hex) => Some(Hash::from_hex(&hex).ok_or_else(|| self.damaged("`hash` is no hash"))?),
        };
        Ok(Some(Checkpoint {
            network: stored.network.into(),
            epoch: stored.epoch,
            ledger: stored.ledger,
            hash,
            counters: stored.counters,
        }))
    }

    /// Replaces the checkpoint in one atomic step and waits for the disk. Blocks: not for an actor's thread.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<(), SourceError> {
        let stored = Stored {
            version: VERSION,
            source: self.source.clone(),
            network: self.network.clone(),
            scope: self.scope.clone(),
            epoch: checkpoint.epoch,
            ledger: checkpoint.ledger,
            hash: checkpoint.hash.map(|hash| hash.to_string()),
            counters: checkpoint.counters.clone(),
        };
        self.replace(&stored).map_err(|error| {
            self.fault(format!("cannot be written: {error}; check `state_dir`, its space and its rights"))
        })
    }

    fn replace(&self, stored: &Stored) -> std::io::Result<()> {
        let path = self.path();
        let waiting = path.with_extension("json.new");
        fs::create_dir_all(&self.directory)?;
        let mut file = File::create(&waiting)?;
        file.write_all(&serde_json::to_vec_pretty(stored)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&waiting, &path)?;
        // The rename itself is only on disk when the directory is.
        File::open(&self.directory)?.sync_all()
    }

    fn damaged(&self, reason: &str) -> SourceError {
        self.fault(format!("damaged ({reason}); move it away to begin anew"))
    }

    fn fault(&self, reason: String) -> SourceError {
        SourceError::Checkpoint { path: self.path(), reason }
    }
}

/// The first 16 hex digits of the SHA-256.
fn short_digest(text: &str) -> String {
    Hash(Sha256::digest(text).into()).to_string()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            network: "stellar-testnet".into(),
            epoch: 2,
            ledger: 337_272,
            hash: Some(Hash([7; 32])),
            counters: BTreeMap::from([("events".into(), 9)]),
        }
    }

    #[test]
    fn kept_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), "a/b", "stellar-testnet", "transactions");
        assert_eq!(store.load(), Ok(None));
        store.save(&checkpoint()).unwrap();
        assert_eq!(store.load(), Ok(Some(checkpoint())));
        let later = Checkpoint { ledger: 337_273, hash: None, ..checkpoint() };
        store.save(&later).unwrap();
        assert_eq!(store.load(), Ok(Some(later)));
        // Only the file itself is left, and it lies where it belongs.
        let files: Vec<_> = fs::read_dir(store.path().parent().unwrap()).unwrap().collect();
        assert_eq!(files.len(), 1);
        assert!(store.path().starts_with(directory.path()));
    }

    #[test]
    fn a_write_that_was_cut_short_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), "a", "stellar-testnet", "");
        store.save(&checkpoint()).unwrap();
        fs::write(store.path().with_extension("json.new"), b"{\"version\":1,").unwrap();
        assert_eq!(store.load(), Ok(Some(checkpoint())));
        store.save(&checkpoint()).unwrap();
        assert_eq!(store.load(), Ok(Some(checkpoint())));
    }

    #[test]
    fn keys_are_apart() {
        let directory = tempfile::tempdir().unwrap();
        let store = |source, network, scope| Store::new(directory.path(), source, network, scope);
        store("a", "n", "s").save(&checkpoint()).unwrap();
        for other in [store("b", "n", "s"), store("a", "m", "s"), store("a", "n", "t"), store("a_", "n", "s")] {
            assert_eq!(other.load(), Ok(None));
        }
        assert_ne!(store("a/b", "n", "s").path(), store("a_b", "n", "s").path());
    }

    #[test]
    fn a_damaged_or_foreign_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), "a", "stellar-testnet", "s");
        store.save(&checkpoint()).unwrap();
        let good = fs::read_to_string(store.path()).unwrap();
        let foreign = Store::new(directory.path(), "b", "stellar-testnet", "s");
        for (bad, names) in [
            (good[..good.len() / 2].to_owned(), "damaged"),
            (String::new(), "damaged"),
            (good.replace("0707", "zz07"), "damaged"),
            (good.replace("\"version\": 1", "\"version\": 2"), "another release"),
            (good.replace("\"network\": \"stellar-testnet\"", "\"network\": \"stellar-pubnet\""), "belongs to"),
        ] {
            fs::write(store.path(), bad).unwrap();
            let error = store.load().unwrap_err();
            assert!(error.to_string().contains(names), "{error}");
            assert_eq!(error.kind(), "checkpoint");
        }
        fs::write(foreign.path(), good).unwrap();
        assert!(foreign.load().unwrap_err().to_string().contains("belongs to source `a`"));
    }
}
