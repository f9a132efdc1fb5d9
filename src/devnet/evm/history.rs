//! The blocks that the chain still knows, the making of the next one, and reorganisations.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use alloy_primitives::B256;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::block::{Block, Contents, Mined, Place, make};
use super::engine::State;
use super::transaction::Transaction;
use super::world::World;

/// Most bytes of blocks that are kept; the newest is kept whatever it takes. A block of 20 events takes some 30 KB.
const MAX_BYTES: usize = 128 << 20;

/// Blocks that a reorganisation replaces at most.
const DEEPEST: usize = 2;

/// Below this height nothing is replaced, so that the built-in contracts stay.
const STEADY: u64 = 4;

/// So far below the newest block a `safe` and a `finalized` one stand.
const SAFE: u64 = 4;
const FINALIZED: u64 = 8;

/// The chain: written by the ticker alone, read by every request.
pub(super) struct Network {
    pub world: World,
    /// Blocks kept at most.
    retention: u32,
    /// Used by the ticker alone; the lock never waits.
    maker: Mutex<Maker>,
    kept: RwLock<Kept>,
}

struct Kept {
    /// Without holes, oldest first, never empty after the start.
    blocks: VecDeque<Block>,
    by_hash: HashMap<B256, u64>,
    /// Height and place of each transaction.
    transactions: HashMap<B256, (u64, usize)>,
    bytes: usize,
    /// After the newest block.
    state: Arc<State>,
}

/// What is needed to make blocks, and to make the newest ones again.
struct Maker {
    contents: Contents,
    /// The newest blocks, one more than can be replaced.
    recent: VecDeque<Recent>,
    /// What reorganisations took out of blocks and no block has taken up yet.
    waiting: Vec<Arc<Transaction>>,
    state: State,
    /// The newest block when the chain was reorganised last.
    reorganised: u64,
}

/// A block that can be replaced.
struct Recent {
    place: Place,
    hash: B256,
    transactions: Vec<Arc<Transaction>>,
    /// Before it.
    state: State,
}

/// A reorganisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reorganisation {
    depth: usize,
    /// Whether a block comes on top, or the newest keeps its number.
    longer: bool,
}

impl Network {
    /// A chain without blocks; [`Self::close_next`] must be called before it is served.
    pub fn new(world: World, contents: Contents, retention: u32) -> Self {
        let state = State::new(&world);
        let kept = Kept {
            blocks: VecDeque::new(),
            by_hash: HashMap::new(),
            transactions: HashMap::new(),
            bytes: 0,
            state: Arc::new(state.clone()),
        };
        let maker = Maker { contents, recent: VecDeque::new(), waiting: Vec::new(), state, reorganised: 0 };
        Self { world, retention, maker: Mutex::new(maker), kept: RwLock::new(kept) }
    }

    /// Makes a block, or replaces some, at `time` (unix seconds); drops what is beyond the bounds.
    pub fn close_next(&self, time: u64) {
        // Made on a state of its own: requests go on while a heavy block is made.
        let mut maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner);
        let (replaced, blocks) = maker.next(&self.world, time);
        let state = Arc::new(maker.state.clone());

        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..replaced {
            let block = kept.blocks.pop_back();
            kept.forget(block);
        }
        blocks.into_iter().for_each(|block| kept.add(block));
        kept.state = state;
        while kept.blocks.len() > DEEPEST + 1 && (kept.blocks.len() > self.retention as usize || kept.bytes > MAX_BYTES)
        {
            let block = kept.blocks.pop_front();
            kept.forget(block);
        }
    }

    /// The chain at this moment. Making a block waits until the view is gone, so it must not be held across an await.
    pub fn view(&self) -> View<'_> {
        View { kept: self.kept.read().unwrap_or_else(PoisonError::into_inner), world: &self.world }
    }
}

impl Kept {
    fn add(&mut self, block: Block) {
        self.bytes += block.weight();
        self.by_hash.insert(block.hash, block.height);
        let places = block.transactions.iter().enumerate();
        self.transactions.extend(places.map(|(at, mined)| (mined.hash, (block.height, at))));
        self.blocks.push_back(block);
    }

    fn forget(&mut self, block: Option<Block>) {
        let Some(block) = block else { return };
        self.bytes -= block.weight();
        self.by_hash.remove(&block.hash);
        for mined in &block.transactions {
            self.transactions.remove(&mined.hash);
        }
    }
}

impl Maker {
    /// How many blocks go, and which come instead and on top of them.
    fn next(&mut self, world: &World, time: u64) -> (usize, Vec<Block>) {
        let Some(newest) = self.recent.back().map(|recent| recent.place.height) else {
            return (0, vec![self.on_top(world, time)]);
        };
        let mut rng = world.chance("evm reorganisation", newest);
        let Some(Reorganisation { depth, longer }) = self.reorganisation(&mut rng, newest) else {
            return (0, vec![self.on_top(world, time)]);
        };
        self.reorganised = newest;
        let replaced = self.recent.split_off(self.recent.len() - depth);
        self.state = replaced[0].state.clone();
        let transactions = replaced.iter().flat_map(|recent| recent.transactions.iter().cloned());
        let mut left = without_one(&mut rng, transactions.collect());
        let mut blocks = Vec::new();
        for (at, recent) in replaced.iter().enumerate() {
            // Its share, or a little less: the rest moves on to later blocks.
            let share = left.len().div_ceil(depth - at);
            let taken = share - rng.random_range(0..=share.min(2));
            let later = left.split_off(taken);
            let place = Place { version: recent.place.version + 1, parent: self.parent(), ..recent.place };
            blocks.push(self.make(world, place, left, None));
            left = later;
        }
        self.waiting = left;
        if longer {
            blocks.push(self.on_top(world, time));
        }
        (depth, blocks)
    }

    /// Whether the chain is reorganised now, and how. Once for a height at most.
    fn reorganisation(&self, rng: &mut ChaCha8Rng, newest: u64) -> Option<Reorganisation> {
        let found = Reorganisation { depth: rng.random_range(1..=DEEPEST), longer: rng.random_ratio(2, 3) };
        let due = rng.random_ratio(1, 12) && newest >= STEADY && newest > self.reorganised;
        (due && matches!(self.contents, Contents::Mixed { .. })).then_some(found)
    }

    fn parent(&self) -> B256 {
        self.recent.back().map_or(B256::ZERO, |recent| recent.hash)
    }

    /// The next block.
    fn on_top(&mut self, world: &World, time: u64) -> Block {
        let (height, last) = self.recent.back().map_or((0, 0), |recent| (recent.place.height + 1, recent.place.time));
        let place = Place { height, version: 0, parent: self.parent(), time: time.max(last) };
        let waiting = std::mem::take(&mut self.waiting);
        self.make(world, place, waiting, Some(self.contents))
    }

    fn make(&mut self, world: &World, place: Place, carried: Vec<Arc<Transaction>>, new: Option<Contents>) -> Block {
        let state = self.state.clone();
        let (block, transactions) = make(world, &mut self.state, place, carried, new);
        self.recent.push_back(Recent { place, hash: block.hash, transactions, state });
        if self.recent.len() > DEEPEST + 1 {
            self.recent.pop_front();
        }
        block
    }
}

/// Now and then a transaction never comes back; then none does of those that its sender sent after it.
fn without_one(rng: &mut ChaCha8Rng, mut transactions: Vec<Arc<Transaction>>) -> Vec<Arc<Transaction>> {
    if transactions.is_empty() || !rng.random_ratio(1, 2) {
        return transactions;
    }
    let at = rng.random_range(0..transactions.len());
    let (from, nonce) = (transactions[at].from, transactions[at].nonce);
    transactions.retain(|transaction| transaction.from != from || transaction.nonce < nonce);
    transactions
}

/// Consistent: what one answer says about the newest block fits what else it says.
pub(super) struct View<'a> {
    kept: RwLockReadGuard<'a, Kept>,
    pub world: &'a World,
}

impl View<'_> {
    pub fn oldest(&self) -> &Block {
        &self.kept.blocks[0]
    }

    pub fn newest(&self) -> &Block {
        &self.kept.blocks[self.kept.blocks.len() - 1]
    }

    pub fn safe(&self) -> u64 {
        self.newest().height.saturating_sub(SAFE)
    }

    pub fn finalized(&self) -> u64 {
        self.newest().height.saturating_sub(FINALIZED)
    }

    pub fn get(&self, height: u64) -> Option<&Block> {
        let place = height.checked_sub(self.oldest().height)?;
        self.kept.blocks.get(usize::try_from(place).ok()?)
    }

    pub fn by_hash(&self, hash: &B256) -> Option<&Block> {
        self.get(*self.kept.by_hash.get(hash)?)
    }

    /// A transaction and the block that it is in.
    pub fn transaction(&self, hash: &B256) -> Option<&Mined> {
        let (height, at) = *self.kept.transactions.get(hash)?;
        self.get(height)?.transactions.get(at)
    }

    /// How many transactions can be found by hash.
    #[cfg(test)]
    pub fn known_transactions(&self) -> usize {
        self.kept.transactions.len()
    }

    pub fn newest_first(&self) -> impl Iterator<Item = &Block> {
        self.kept.blocks.iter().rev()
    }

    /// After the newest block.
    pub fn state(&self) -> &State {
        &self.kept.state
    }
}
