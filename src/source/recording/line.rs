//! The lines of a recording, each one JSON object: a header, a line for each ledger, an end mark.

use crate::event::{Continuity, Family};
use crate::source::Coin;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The form of the lines.
pub const VERSION: u32 = 1;
/// Longest header: contracts and tokens by the thousand.
pub const LONGEST_HEADER: usize = 4 << 20;
/// Longest line of a ledger: what a ledger may have packed, as text, and as much for people.
pub const LONGEST_LINE: usize = 512 << 20;
/// Longest end mark.
pub const LONGEST_END: usize = 4 << 10;

/// The first line: what the ledgers are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The form of the lines.
    pub ledgercast_recording: u32,
    /// The source's name in the settings that it was recorded with.
    pub source: String,
    /// The family of ledgers.
    pub family: Family,
    /// The network's id.
    pub network: String,
    /// The first ledger.
    pub from: Edge,
    /// The last.
    pub to: Edge,
    /// What the source's settings said of assets.
    #[serde(default)]
    pub coins: Vec<Coin>,
    /// Names and addresses of the contracts that it watched.
    #[serde(default)]
    pub contracts: Vec<(String, String)>,
}

/// The first or last ledger of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Its number.
    pub ledger: u64,
    /// How often the network had begun anew.
    #[serde(default)]
    pub epoch: u32,
    /// Its hash, hex.
    pub hash: Option<String>,
    /// When it closed, RFC 3339.
    pub closed_at: String,
}

impl Edge {
    /// How ledgers of one network are ordered.
    pub fn place(&self) -> (u32, u64) {
        (self.epoch, self.ledger)
    }
}

/// The last line: by it a whole file is known from one that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct End {
    /// Lines of ledgers.
    pub ledgers: u64,
    /// Their events.
    pub events: u64,
    /// Ledgers that are told to be missing.
    pub missing: u64,
}

/// A ledger, as people read it; its events and its `data` are written after it.
#[derive(Debug, Serialize)]
pub struct LedgerLine<'a> {
    pub ledger: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub epoch: u32,
    pub hash: Option<String>,
    pub parent: Option<String>,
    pub closed_at: String,
    #[serde(rename = "break", skip_serializing_if = "Option::is_none")]
    pub broken: Option<Break<'a>>,
}

fn is_zero(epoch: &u32) -> bool {
    *epoch == 0
}

/// A break before a ledger.
#[derive(Debug, Serialize)]
pub struct Break<'a> {
    kind: &'static str,
    from_ledger: u64,
    to_ledger: u64,
    reason: &'a str,
}

impl<'a> From<&'a Continuity> for Break<'a> {
    fn from(told: &'a Continuity) -> Break<'a> {
        let Continuity { kind, from_ledger, to_ledger, reason } = told;
        Break { kind: kind.name(), from_ledger: *from_ledger, to_ledger: *to_ledger, reason }
    }
}

/// Ledgers that the range should have and has not, for people: whoever reads sees it by the numbers.
#[derive(Debug, Serialize)]
pub struct Missing {
    pub from_ledger: u64,
    pub to_ledger: u64,
    pub reason: &'static str,
}

/// What is read of any line after the first.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    pub ledger: Option<u64>,
    #[serde(default)]
    pub epoch: u32,
    #[serde(borrow)]
    pub data: Option<Cow<'a, str>>,
    pub missing: Option<serde::de::IgnoredAny>,
    pub end: Option<End>,
}

/// RFC 3339 in UTC; a time outside the years that it can write becomes the nearest inside.
pub fn time(unix_seconds: i64) -> String {
    let nearest = if unix_seconds < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_second(unix_seconds).unwrap_or(nearest).to_string()
}
