//! How clients come in: what a handshake asks for, what stands there, and what a mount knows of the settings around it.

use super::{Dialect, HttpReply};
use crate::config::Config;
use crate::event::{Family, SourceNumber};
use crate::source::Coin;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

/// What a handshake asked for, below the mount.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The path after the mount's own, `""` or beginning with `/`.
    pub below: &'a str,
    /// The query string without the question mark.
    pub query: &'a str,
    /// The `Authorization` header, where it is text.
    pub authorization: Option<&'a str>,
    /// Who asks: an address as limits count it.
    pub peer: IpAddr,
}

impl<'a> Opening<'a> {
    /// A handshake of nobody in particular, from this machine.
    pub fn at(below: &'a str, query: &'a str) -> Opening<'a> {
        Opening { below, query, authorization: None, peer: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }
}

/// What a client finds at the path of a WebSocket.
pub enum Entry {
    /// A new session's state.
    Session(Box<dyn Dialect>),
    /// It may not come in: the answer instead of an upgrade.
    Refused(HttpReply),
    /// That has to be looked up first.
    Asking(EntryFuture),
}

/// Whether a client may come in, on its way. It runs on a thread that serves sessions: work that takes long goes
/// elsewhere.
pub type EntryFuture = Pin<Box<dyn Future<Output = Result<Box<dyn Dialect>, HttpReply>>>>;

impl Entry {
    /// The session, where everybody may come in.
    pub fn session(self) -> Option<Box<dyn Dialect>> {
        match self {
            Entry::Session(session) => Some(session),
            Entry::Refused(_) | Entry::Asking(_) => None,
        }
    }
}

impl<D: Dialect> From<D> for Entry {
    fn from(session: D) -> Entry {
        Entry::Session(Box::new(session))
    }
}

/// What a mount is told of the configuration around its own settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountContext {
    /// Values that one client may filter by (`limits.values_per_session`).
    pub values_per_session: usize,
    /// How many sources the mount has.
    pub sources: usize,
    /// Changes of subscription that may wait for an earlier one (`limits.waiting_changes`).
    pub waiting_changes: usize,
    /// Where clients find the mount: the listener's `public_url` and the mount's path, without a slash at its end.
    pub url: String,
    /// The mount's sources, in the order of the settings.
    pub mounted: Vec<MountedSource>,
    /// Whether clients may say how fast and until where they are fed (the mount's `replay`).
    pub replay: bool,
    /// Names and addresses of the contracts that its sources watch.
    pub contracts: Vec<(String, String)>,
    /// Where the dialect's own settings stand, for errors: `listeners[0].mounts[0].config`.
    pub section: String,
}

/// A source of a mount, as far as dialects know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountedSource {
    /// What its batches carry.
    pub number: SourceNumber,
    /// Its name in the settings.
    pub name: String,
    /// What it reads.
    pub family: Family,
    /// What its settings say of assets, the network's own first.
    pub coins: Vec<Coin>,
}

impl MountedSource {
    /// Those of these names that the configuration has.
    pub fn of(config: &Config, names: &[String]) -> Vec<MountedSource> {
        let mounted = |name: &String| {
            let ledger = &config.sources.get(name)?.ledger;
            let (number, coins) = (config.sources.number(name)?, ledger.coins());
            Some(MountedSource { number, name: name.clone(), family: ledger.family(), coins })
        };
        names.iter().filter_map(mounted).collect()
    }
}
