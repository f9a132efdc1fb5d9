//! What is asked of a node's HTTP API, and how its answers are read.

use crate::event::Hash;
use crate::source::planetmint::transaction::{self, Transaction};
use crate::source::{RpcClient, SourceError};
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// No chain has more blocks: where the search for the newest ends.
const HIGHEST: u64 = 1 << 40;
const LATEST: &str = "/api/v1/blocks/latest";

/// A block as either kind of node tells it.
#[derive(Debug, Deserialize)]
pub struct Block {
    /// Its height.
    pub height: u64,
    /// The application hash after it; BigchainDB tells none.
    #[serde(default)]
    pub app_hash: Option<String>,
    /// Planetmint's form.
    transaction_ids: Option<Vec<String>>,
    /// BigchainDB's form, whole transactions; Planetmint's documentation has it, too.
    transactions: Option<Vec<Box<RawValue>>>,
}

/// One transaction of a block.
enum Item {
    /// To be fetched.
    Id(Hash),
    /// Here it is.
    Whole(Box<RawValue>),
}

impl Block {
    /// Stands for the block in a checkpoint: another block has another.
    ///
    /// Made of what every node tells alike: the order of members in a whole transaction is each node's own.
    pub fn digest(&self) -> u64 {
        let mut digest = Sha256::new();
        digest.update(self.height.to_be_bytes());
        // Empty blocks have nothing else.
        digest.update(self.app_hash.as_deref().unwrap_or_default());
        // What has no such id is not delivered.
        for item in self.items().unwrap_or_default() {
            let id = match item {
                Item::Id(id) => Some(id),
                Item::Whole(whole) => Transaction::read(whole.get()).ok().map(|transaction| transaction.id),
            };
            digest.update(id.map(|id| id.0).unwrap_or_default());
        }
        let bytes: [u8; 32] = digest.finalize().into();
        bytes[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn items(&self) -> Result<Vec<Item>, String> {
        let id = |text: &str| transaction::id(text).map(Item::Id).ok_or("names a transaction by no id".to_owned());
        match (&self.transaction_ids, &self.transactions) {
            (Some(ids), _) => ids.iter().map(|text| id(text)).collect(),
            (None, Some(transactions)) => {
                let item = |raw: &RawValue| match serde_json::from_str::<String>(raw.get()) {
                    Ok(text) => id(&text),
                    Err(_) => Ok(Item::Whole(raw.to_owned())),
                };
                transactions.iter().map(|raw| item(raw)).collect()
            }
            (None, None) => Err("has neither transaction_ids nor transactions".to_owned()),
        }
    }
}

/// What a node says of what it does not have.
#[derive(Deserialize)]
struct NotFound {
    message: String,
    status: u16,
}

/// What a path gives.
enum Given<T> {
    /// This.
    Found(T),
    /// The node says that it has no such thing.
    NotThere,
    /// There is no such path.
    NoPath,
}

/// A node.
pub struct Node {
    rpc: RpcClient,
    /// From one request to the next at least.
    apart: Duration,
    next: Cell<Option<Instant>>,
    parallel: usize,
    max_bytes: usize,
}

impl Node {
    /// Asked at most so often, for so many transactions at a time, of so many bytes together.
    pub fn new(rpc: RpcClient, requests_per_second: u32, parallel: u32, max_bytes: usize) -> Node {
        let apart = Duration::from_secs(1) / requests_per_second.max(1);
        Node { rpc, apart, next: Cell::new(None), parallel: parallel.max(1) as usize, max_bytes }
    }

    /// The address in use, for people.
    pub fn shown(&self) -> &str {
        self.rpc.shown()
    }

    /// Which of the addresses it is.
    pub fn endpoint(&self) -> usize {
        self.rpc.endpoint()
    }

    /// Goes to the next address, if there is one.
    pub fn give_up(&mut self, error: &mut SourceError) {
        self.rpc.give_up(error);
    }

    /// Goes to the next address, if there is one: a second opinion.
    pub fn ask_another(&mut self) {
        self.rpc.fail_over();
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<Given<T>, SourceError> {
        let now = Instant::now();
        let at = self.next.get().map_or(now, |next| next.max(now));
        self.next.set(Some(at + self.apart));
        tokio::time::sleep(at - now).await;
        let reply = self.rpc.get(path).await?;
        if reply.status == 404 {
            // A node tells in its own words what is not there. What is no path comes in HTML, and from a gateway that
            // knows no such node in whatever it likes.
            let words = serde_json::from_slice::<NotFound>(&reply.body);
            let is_told = words.is_ok_and(|words| words.status == 404 && words.message == "Not found");
            return Ok(if is_told { Given::NotThere } else { Given::NoPath });
        }
        let body = reply.ok(self.shown())?;
        // serde_json stops at a depth of 128 by itself.
        serde_json::from_slice(&body).map(Given::Found).map_err(|error| self.rpc.malformed(path, error.to_string()))
    }

    /// The block of a height; `None`: there is none, or none yet.
    pub async fn block(&self, height: u64) -> Result<Option<Block>, SourceError> {
        let path = format!("/api/v1/blocks/{height}");
        match self.ask::<Block>(&path).await? {
            Given::Found(block) if block.height == height => Ok(Some(block)),
            Given::Found(block) => Err(self.rpc.malformed(&path, format!("block {} came", block.height))),
            Given::NotThere => Ok(None),
            Given::NoPath => Err(self.no_path()),
        }
    }

    fn no_path(&self) -> SourceError {
        SourceError::Status { url: self.shown().to_owned(), status: 404, retry_after: None }
    }

    /// The newest height; 0: no block yet. `known` is one that is likely to be near.
    pub async fn newest(&self, known: u64) -> Result<u64, SourceError> {
        match self.ask::<Block>(LATEST).await? {
            Given::Found(block) => Ok(block.height),
            Given::NotThere => Ok(0),
            Given::NoPath => self.search_newest(known).await,
        }
    }

    /// The same where a block was delivered: a node without any is none to learn from.
    pub async fn newest_after(&self, last: Option<u64>, known: u64) -> Result<u64, SourceError> {
        match (self.newest(known).await?, last) {
            (0, Some(last)) => {
                Err(self.rpc.malformed(LATEST, format!("the node has no block, and {last} was delivered")))
            }
            (newest, _) => Ok(newest),
        }
    }

    /// BigchainDB has no word for the newest: it is searched, by doubling and halving.
    async fn search_newest(&self, known: u64) -> Result<u64, SourceError> {
        // Every block up to `low` is there, none from `high` on.
        let (mut low, mut high) = (0, known.max(1));
        let mut step = 1;
        while high < HIGHEST && self.block(high).await?.is_some() {
            (low, high) = (high, high + step);
            step *= 2;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.block(middle).await? {
                Some(_) => low = middle,
                None => high = middle,
            }
        }
        Ok(low)
    }

    /// All transactions of a block, in their order, or none of them.
    pub async fn transactions(&self, block: &Block) -> Result<Vec<Transaction>, SourceError> {
        let path = format!("/api/v1/blocks/{}", block.height);
        let items = block.items().map_err(|reason| self.rpc.malformed(&path, reason))?;
        let count = items.len();
        let mut fetched = futures_util::stream::iter(items).map(|item| self.transaction(item)).buffered(self.parallel);
        let (mut transactions, mut bytes) = (Vec::with_capacity(count), 0);
        while let Some(transaction) = fetched.next().await {
            let transaction = transaction?;
            bytes += transaction.text.len();
            if bytes > self.max_bytes {
                return Err(SourceError::TooLarge {
                    url: self.shown().to_owned(),
                    method: format!("the transactions of block {}", block.height),
                    limit: self.max_bytes,
                });
            }
            transactions.push(transaction);
        }
        Ok(transactions)
    }

    async fn transaction(&self, item: Item) -> Result<Transaction, SourceError> {
        let (path, whole, wanted) = match item {
            Item::Whole(whole) => ("/api/v1/blocks/".to_owned(), whole, None),
            Item::Id(id) => {
                let path = format!("/api/v1/transactions/{id}");
                match self.ask::<Box<RawValue>>(&path).await? {
                    Given::Found(whole) => (path, whole, Some(id)),
                    // A block is written after its transactions, so this is rare and passes.
                    Given::NoPath => return Err(self.no_path()),
                    Given::NotThere => {
                        return Err(self.rpc.malformed(&path, "a block names it and it is not there".to_owned()));
                    }
                }
            }
        };
        let transaction = Transaction::read(whole.get()).map_err(|reason| self.rpc.malformed(&path, reason))?;
        match wanted {
            Some(wanted) if wanted != transaction.id => {
                Err(self.rpc.malformed(&path, format!("transaction {} came", transaction.id)))
            }
            _ => Ok(transaction),
        }
    }
}
