//! What a dialect answers to plain HTTP below its mount: requests and answers as values, and recent ledgers to answer
//! from.

use crate::broker::{History, StreamEntry};
use crate::event::{Hash, SourceNumber};
use bytes::Bytes;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

/// Largest body of a request, bytes. A larger one is answered with 413 and never seen by a dialect. Below what a
/// connection may send before it has its answer, or that would be told first.
pub const MAX_BODY: usize = 32 << 10;

/// A whole request that is no handshake.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// Such as `GET`.
    pub method: Box<str>,
    /// The path after the mount's own: `""`, or beginning with `/` (not after a mount at `/`, which has it already).
    pub below: Box<str>,
    /// The query string without the question mark.
    pub query: Box<str>,
    /// The `Authorization` header, where it is text.
    pub authorization: Option<Box<str>>,
    /// The body, at most [`MAX_BODY`].
    pub body: Bytes,
    /// Who asks: an address as limits count it.
    pub peer: IpAddr,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// Headers; the length comes by itself.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpReply {
    /// JSON under a status.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> HttpReply {
        HttpReply { status, headers: vec![("content-type", "application/json".to_owned())], body: body.into() }
    }

    /// The same with a further header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> HttpReply {
        self.headers.push((name, value.into()));
        self
    }
}

/// An answer on its way. It runs on a thread that serves sessions: work that takes long goes elsewhere.
pub type HttpFuture = Pin<Box<dyn Future<Output = HttpReply>>>;

/// Recent ledgers of a mount's sources.
#[derive(Clone)]
pub struct Recent {
    history: Arc<History>,
    sources: Arc<[SourceNumber]>,
}

impl Recent {
    /// Over the history of these sources.
    pub fn new(history: Arc<History>, sources: Arc<[SourceNumber]>) -> Recent {
        Recent { history, sources }
    }

    /// The mount's sources, in the order of the settings.
    pub fn sources(&self) -> &[SourceNumber] {
        &self.sources
    }

    /// The newest ledger of a source.
    pub fn newest(&self, source: SourceNumber) -> Option<Arc<StreamEntry>> {
        self.history.newest(source)
    }

    /// A ledger by its index; the newest such where the network began anew.
    pub fn ledger(&self, source: SourceNumber, index: u64) -> Option<Arc<StreamEntry>> {
        self.history.by_index(source, index)
    }

    /// The ledger of this sequence, if it is kept ([`super::Mount::follow`]).
    pub fn at(&self, sequence: u64) -> Option<Arc<StreamEntry>> {
        self.history.get(sequence)
    }

    /// The ledger that a transaction is in. Only for dialects that say so ([`super::Manners::finds_transactions`]).
    pub fn transaction(&self, source: SourceNumber, hash: &Hash) -> Option<Arc<StreamEntry>> {
        self.history.by_transaction(source, hash)
    }
}
