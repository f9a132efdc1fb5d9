//! The position of a source, kept over restarts: in the journal's file, in the same transaction as the ledger.
//!
//! Earlier releases had one small JSON file for each (source, network, digest of what restricts the source). Where the
//! journal has no position it is read from there, once. A file that is damaged or belongs to something else is never
//! used.

use super::SourceError;
use crate::event::Hash;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
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
#[derive(Debug, Deserialize)]
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

/// Where an earlier release kept the checkpoint of a source.
#[derive(Debug, Clone)]
pub struct OldCheckpoint {
    directory: PathBuf,
    source: String,
    network: String,
    scope: String,
}

impl OldCheckpoint {
    /// That of a source on a network. `scope` is the [`short_digest`] of [`super::Ledger::scope`].
    pub fn new(directory: &Path, source: &str, network: &str, scope: &str) -> OldCheckpoint {
        OldCheckpoint {
            directory: directory.join("checkpoints"),
            source: source.into(),
            network: network.into(),
            scope: scope.into(),
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

    fn damaged(&self, reason: &str) -> SourceError {
        self.fault(format!("damaged ({reason}); move it away to begin anew"))
    }

    fn fault(&self, reason: String) -> SourceError {
        SourceError::Checkpoint { path: self.path(), reason }
    }
}

/// The first 16 hex digits of the SHA-256.
pub fn short_digest(text: &str) -> String {
    Hash(Sha256::digest(text).into()).to_string()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"version": 1, "source": "a", "network": "stellar-testnet", "scope": "SCOPE", "epoch": 2,
        "ledger": 337272, "hash": "HASH", "counters": {"events": 9}}"#;

    fn good() -> String {
        GOOD.replace("SCOPE", &short_digest("s")).replace("HASH", &"07".repeat(32))
    }

    fn old(directory: &Path, source: &str, network: &str, scope: &str) -> OldCheckpoint {
        OldCheckpoint::new(directory, source, network, &short_digest(scope))
    }

    fn write(old: &OldCheckpoint, text: &str) {
        fs::create_dir_all(old.path().parent().unwrap()).unwrap();
        fs::write(old.path(), text).unwrap();
    }

    #[test]
    fn what_an_earlier_release_wrote_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = old(directory.path(), "a", "stellar-testnet", "s");
        assert_eq!(file.load(), Ok(None));
        write(&file, &good());
        let expected = Checkpoint {
            network: "stellar-testnet".into(),
            epoch: 2,
            ledger: 337_272,
            hash: Some(Hash([7; 32])),
            counters: BTreeMap::from([("events".into(), 9)]),
        };
        assert_eq!(file.load(), Ok(Some(expected)));
        // Where that release put it.
        let name = file.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            name,
            format!("a.stellar-testnet.{}.json", short_digest(&format!("a\0stellar-testnet\0{}", short_digest("s"))))
        );
    }

    #[test]
    fn keys_are_apart() {
        let directory = tempfile::tempdir().unwrap();
        let file = |source, network, scope| old(directory.path(), source, network, scope);
        write(&file("a", "stellar-testnet", "s"), &good());
        for other in [("b", "stellar-testnet", "s"), ("a", "m", "s"), ("a", "stellar-testnet", "t"), ("a_", "n", "s")] {
            assert_eq!(file(other.0, other.1, other.2).load(), Ok(None));
        }
        assert_ne!(file("a/b", "n", "s").path(), file("a_b", "n", "s").path());
    }

    #[test]
    fn a_damaged_or_foreign_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = old(directory.path(), "a", "stellar-testnet", "s");
        let good = good();
        let foreign = old(directory.path(), "b", "stellar-testnet", "s");
        for (bad, names) in [
            (good[..good.len() / 2].to_owned(), "damaged"),
            (String::new(), "damaged"),
            (good.replace("0707", "zz07"), "damaged"),
            (good.replace("\"version\": 1", "\"version\": 2"), "another release"),
            (good.replace("\"network\": \"stellar-testnet\"", "\"network\": \"stellar-pubnet\""), "belongs to"),
        ] {
            write(&file, &bad);
            let error = file.load().unwrap_err();
            assert!(error.to_string().contains(names), "{error}");
            assert_eq!(error.kind(), "checkpoint");
        }
        write(&foreign, &good);
        assert!(foreign.load().unwrap_err().to_string().contains("belongs to source `a`"));
    }
}
