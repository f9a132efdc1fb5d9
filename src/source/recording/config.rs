//! The settings of a source that is a recording.

use super::line::Header;
use super::{Fault, Recording};
use crate::config::reference::{Show, Shown};
use crate::config::{Finding, settings};
use crate::event::Speed;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The pace at which the ledgers closed.
const AS_CLOSED: Speed = Speed::Times(1000);

settings! {
    /// Recorded ledgers.
    pub struct Config {
        /// A file that `ledgercast export` wrote, or a folder of them (`*.jsonl`), which are read in the order of their
        /// ledgers. Default none: needed.
        pub path: Location,
        /// How fast they are told: `1x` as they were closed, `10x` ten times as fast, 0.1x to 1000x, `max` as fast as
        /// they are taken. Default 1x: the pace that clients know.
        pub speed: Speed = AS_CLOSED,
    }
}

/// A file or folder, and what it says of itself once somebody has asked.
#[derive(Default)]
pub struct Location {
    /// Where.
    pub path: PathBuf,
    header: OnceLock<Result<Header, Fault>>,
}

impl Location {
    /// What it says of itself, as it was when it was first asked.
    pub fn header(&self) -> Result<&Header, &Fault> {
        let read = || Recording::open(&self.path).map(|recording| recording.summary().header);
        self.header.get_or_init(read).as_ref()
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Location {
        Location { path: path.to_owned(), header: OnceLock::new() }
    }
}

impl Clone for Location {
    fn clone(&self) -> Location {
        Location { path: self.path.clone(), header: self.header.clone() }
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Location) -> bool {
        self.path == other.path
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Show for Location {
    fn show(&self) -> Shown {
        Some(&self.path).filter(|path| !path.as_os_str().is_empty()).cloned().show()
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Location, D::Error> {
        let path = Option::<PathBuf>::deserialize(deserializer)?.unwrap_or_default();
        Ok(Location { path, header: OnceLock::new() })
    }
}

impl Show for Speed {
    fn show(&self) -> Shown {
        // No number to YAML.
        Shown::Plain(self.to_string())
    }
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Speed, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("`{text}` is {error}")))
    }
}

impl Config {
    /// Everything that is wrong, the recording's own faults among it.
    pub fn problems(&self) -> Vec<Finding> {
        let fault = match self.path.header() {
            _ if self.path.path.as_os_str().is_empty() => {
                "is missing; name a file that `ledgercast export` wrote, or a folder of them".to_owned()
            }
            Ok(_) => return Vec::new(),
            Err(fault) => format!("is of no use: {fault}"),
        };
        vec![(vec!["path".into()], fault)]
    }
}
