//! The blocks that the network still knows, and the closing of the next one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use sha2::{Digest, Sha256};

use super::traffic::{Contents, Traffic, Transaction};

/// Most bytes of blocks that are kept; the latest is kept whatever it takes.
const MAX_BYTES: usize = 128 << 20;

/// The chain's id.
pub(super) const CHAIN: &str = "ledgercast-planetmint";

/// A block.
pub(super) struct Block {
    pub height: u64,
    /// Unix seconds.
    pub time: u64,
    /// The consensus engine's hashes of it and of the one before, upper-case hex.
    pub hash: String,
    pub parent: String,
    /// The application's hash before and after it, lower-case hex.
    pub app_hash_before: String,
    pub app_hash: String,
    /// Rejected ones too.
    pub transactions: Vec<Transaction>,
}

impl Block {
    /// Ids of its accepted transactions.
    pub fn ids(&self) -> Vec<&str> {
        self.transactions.iter().filter(|it| it.accepted).map(|it| it.id.as_str()).collect()
    }

    fn weight(&self) -> usize {
        // The id stands in the index, too.
        size_of::<Block>() + self.transactions.iter().map(|it| it.text.len() + 4 * it.id.len()).sum::<usize>()
    }
}

/// The network's state: written by the ticker alone, read by every request.
pub struct Network {
    /// Blocks kept at most.
    retention: u32,
    /// Used by the ticker alone; the lock never waits.
    traffic: Mutex<Traffic>,
    accounts: Vec<String>,
    kept: RwLock<Kept>,
}

#[derive(Default)]
pub(super) struct Kept {
    /// Without holes, oldest first.
    blocks: VecDeque<Block>,
    bytes: usize,
    /// The height of each accepted transaction.
    heights: HashMap<String, u64>,
}

impl Network {
    /// A network without blocks.
    pub fn new(seed: u64, accounts: usize, contents: Contents, retention: u32) -> Network {
        let traffic = Traffic::new(seed, accounts, contents);
        let accounts = traffic.accounts().to_vec();
        Network { retention: retention.max(1), traffic: Mutex::new(traffic), accounts, kept: RwLock::default() }
    }

    /// The public keys of its accounts, in the order in which payments in turn reach them.
    pub fn accounts(&self) -> &[String] {
        &self.accounts
    }

    /// Closes one block at `close_time` (unix seconds) and drops what is beyond the bounds. A time before that of the
    /// last block is raised to it.
    pub fn close_next(&self, close_time: u64) {
        let (height, parent, app_hash_before, last_time) = {
            let kept = self.view();
            match kept.blocks.back() {
                Some(last) => (last.height + 1, last.hash.clone(), last.app_hash.clone(), last.time),
                None => (1, String::new(), String::new(), 0),
            }
        };
        let time = close_time.max(last_time);
        let transactions = self.traffic.lock().unwrap_or_else(PoisonError::into_inner).block(height);
        let mut app = Sha256::new().chain_update(&app_hash_before);
        let mut any = false;
        for transaction in transactions.iter().filter(|it| it.accepted) {
            app.update(&transaction.id);
            any = true;
        }
        // An empty block leaves it as it was.
        let app_hash = if any || height == 1 { hex(app) } else { app_hash_before.clone() };
        let header = Sha256::new().chain_update(&parent).chain_update(&app_hash).chain_update(time.to_be_bytes());
        let hash = hex(header).to_uppercase();
        let block = Block { height, time, hash, parent, app_hash_before, app_hash, transactions };

        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += block.weight();
        let ids: Vec<String> = block.ids().into_iter().map(str::to_owned).collect();
        kept.heights.extend(ids.into_iter().map(|id| (id, height)));
        kept.blocks.push_back(block);
        while kept.blocks.len() > 1 && (kept.blocks.len() > self.retention as usize || kept.bytes > MAX_BYTES) {
            let Some(dropped) = kept.blocks.pop_front() else { break };
            kept.bytes -= dropped.weight();
            for id in dropped.ids() {
                kept.heights.remove(id);
            }
        }
    }

    /// The blocks at this moment. Closing waits until the view is gone, so it must not be held across an await.
    pub(super) fn view(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    pub fn oldest(&self) -> Option<&Block> {
        self.blocks.front()
    }

    pub fn latest(&self) -> Option<&Block> {
        self.blocks.back()
    }

    pub fn get(&self, height: u64) -> Option<&Block> {
        let at = height.checked_sub(self.oldest()?.height)?;
        self.blocks.get(usize::try_from(at).ok()?)
    }

    /// The block of an accepted transaction, and the transaction.
    pub fn transaction(&self, id: &str) -> Option<(&Block, &Transaction)> {
        let block = self.get(*self.heights.get(id)?)?;
        Some((block, block.transactions.iter().find(|it| it.id == id)?))
    }
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
