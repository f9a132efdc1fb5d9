//! The ledgers that the network still knows, the state after each of them, and the closing of the next one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::amount::{Asset, XRP};
use super::entry::{Account, Body, Entry, Line};
use super::ledger::{Contents, Ledger, Maker};
use super::state::Entries;
use super::state::{ENDLESS, spendable};
use super::world::{Id, Index, World, account_index};

/// Most bytes of ledgers that are kept; the latest is kept whatever it takes. A ledger of 20 events takes some 40 KB,
/// so the usual retention of 2,000 of them fits.
const MAX_BYTES: usize = 128 << 20;

/// The network's state: written by the ticker alone, read by every request.
pub(super) struct Network {
    pub world: World,
    /// Ledgers kept at most.
    retention: u32,
    /// Used by the ticker alone; the lock never waits.
    maker: Mutex<Maker>,
    kept: RwLock<Kept>,
}

struct Kept {
    /// Without holes, oldest first, never empty after the start.
    ledgers: VecDeque<Ledger>,
    bytes: usize,
    /// The state after the last ledger.
    entries: Entries,
}

impl Network {
    /// A network without ledgers; [`Self::close_next`] must be called before it is served.
    pub fn new(seed: u64, accounts: usize, contents: Contents, retention: u32) -> Self {
        let maker = Maker::new(World::new(seed, accounts), contents);
        let kept = Kept { ledgers: VecDeque::new(), bytes: 0, entries: maker.entries().clone() };
        let world = World::new(seed, accounts);
        Self { world, retention, maker: Mutex::new(maker), kept: RwLock::new(kept) }
    }

    /// Closes one ledger at `close_time` (unix seconds) and drops what is beyond the bounds.
    pub fn close_next(&self, close_time: u64) {
        // Made on a state of its own: requests go on while a heavy ledger is made.
        let mut maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = maker.close(close_time);
        let changed: Vec<(Index, Option<Entry>)> =
            ledger.before.iter().map(|(index, _)| (*index, maker.entries().get(index).cloned())).collect();

        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for (index, entry) in changed {
            match entry {
                Some(entry) => kept.entries.insert(index, entry),
                None => kept.entries.remove(&index),
            };
        }
        kept.bytes += ledger.weight();
        kept.ledgers.push_back(ledger);
        while kept.ledgers.len() > 1 && (kept.ledgers.len() > self.retention as usize || kept.bytes > MAX_BYTES) {
            if let Some(dropped) = kept.ledgers.pop_front() {
                kept.bytes -= dropped.weight();
            }
        }
    }

    /// The ledgers at this moment. Closing waits until the view is gone, so it must not be held across an await.
    pub fn view(&self) -> View<'_> {
        View { kept: self.kept.read().unwrap_or_else(PoisonError::into_inner), world: &self.world }
    }
}

/// Consistent: what one answer says about the tip fits what else it says.
pub(super) struct View<'a> {
    kept: RwLockReadGuard<'a, Kept>,
    world: &'a World,
}

impl View<'_> {
    pub fn oldest(&self) -> &Ledger {
        &self.kept.ledgers[0]
    }

    pub fn latest(&self) -> &Ledger {
        &self.kept.ledgers[self.kept.ledgers.len() - 1]
    }

    pub fn get(&self, index: u64) -> Option<&Ledger> {
        let place = index.checked_sub(u64::from(self.oldest().index))?;
        self.kept.ledgers.get(usize::try_from(place).ok()?)
    }

    pub fn newest_first(&self) -> impl DoubleEndedIterator<Item = &Ledger> {
        self.kept.ledgers.iter().rev()
    }

    /// The state after a ledger.
    pub fn state_at(&self, ledger: u32) -> Snapshot<'_> {
        // What later ledgers changed, as the first of them found it.
        let mut before: BTreeMap<Index, Option<&Entry>> = BTreeMap::new();
        for later in self.kept.ledgers.iter().filter(|later| later.index > ledger) {
            for (index, entry) in &later.before {
                before.entry(*index).or_insert(entry.as_ref());
            }
        }
        Snapshot { world: self.world, entries: &self.kept.entries, before }
    }
}

/// The state after some ledger.
pub(super) struct Snapshot<'a> {
    pub world: &'a World,
    entries: &'a Entries,
    before: BTreeMap<Index, Option<&'a Entry>>,
}

impl<'a> Snapshot<'a> {
    pub fn get(&self, index: &Index) -> Option<&'a Entry> {
        match self.before.get(index) {
            Some(before) => *before,
            None => self.entries.get(index),
        }
    }

    /// Every entry, by index from `from` on.
    pub fn entries_from(&self, from: Index) -> impl Iterator<Item = (&Index, &'a Entry)> {
        // Both are sorted: those that were removed since stand only in `before`.
        let gone = self.before.range(from..).filter(|(index, _)| !self.entries.contains_key(*index));
        let gone = gone.filter_map(|(index, entry)| entry.map(|entry| (index, entry)));
        let there = self.entries.range(from..);
        let there = there.filter_map(|(index, _)| self.get(index).map(|entry| (index, entry)));
        merge(there, gone)
    }

    pub fn account(&self, id: &Id) -> Option<(&'a Account, &'a Entry)> {
        let entry = self.get(&account_index(id))?;
        match &entry.body {
            Body::Account(account) => Some((account, entry)),
            _ => None,
        }
    }

    pub fn line(&self, holder: &Id, asset: Asset) -> Option<&'a Line> {
        match &self.get(&self.world.line_index(holder, asset))?.body {
            Body::Line(line) => Some(line),
            _ => None,
        }
    }

    /// What an account can spend of an asset.
    pub fn funds(&self, id: &Id, asset: Asset) -> i128 {
        if asset == XRP {
            return self.account(id).map_or(0, |(account, _)| spendable(account));
        }
        match self.world.issuer(asset) == Some(*id) {
            true => ENDLESS,
            false => self.line(id, asset).map_or(0, |line| line.units),
        }
    }
}

/// Two sorted rows as one.
fn merge<'a, T>(
    one: impl Iterator<Item = (&'a Index, T)>,
    other: impl Iterator<Item = (&'a Index, T)>,
) -> impl Iterator<Item = (&'a Index, T)> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some((a, _)), Some((b, _))) if b < a => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}
