//! What a source's RPC says when it is asked once, for people who check their settings.

use super::SourceError;
use std::time::Duration;

/// Nobody waits longer for one address of a check.
pub const LONGEST_PROBE: Duration = Duration::from_secs(10);

/// One address of a source's RPC, asked.
#[derive(Debug)]
pub struct Probe {
    /// The address, without what may be secret in it.
    pub url: String,
    /// How long the answers took, all together.
    pub took: Duration,
    /// What it serves, or why it is of no use.
    pub found: Result<Found, SourceError>,
}

/// What an RPC serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The network's id, as clients see it.
    pub network: String,
    /// What the network calls itself, short and on one line.
    pub name: String,
    /// The oldest ledger that is kept.
    pub oldest: u64,
    /// The newest.
    pub latest: u64,
    /// What does not fit the settings and is no error.
    pub remarks: Vec<String>,
}
