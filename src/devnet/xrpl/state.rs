//! The state that transactions work on: every entry, the order books in their order, and a journal of what the
//! transaction under way touched, so that it can be undone and told.

use std::collections::BTreeMap;

use super::amount::{Amount, Asset, XRP};
use super::entry::rate_index;
use super::entry::{Account, Body, Entry, Line, Offer};
use super::world::{Id, Index, World, account_index, directory_index};

/// Drops that an account must keep, and more for each entry that it owns.
pub(super) const RESERVE_BASE: i128 = 1_000_000;
pub(super) const RESERVE_STEP: i128 = 200_000;

/// Funds that never end: what an issuer has of its own token.
pub(super) const ENDLESS: i128 = 10_000_000_000_000_000;

/// Every entry of a ledger by its index.
pub(super) type Entries = BTreeMap<Index, Entry>;

/// What the transaction under way touched.
pub(super) type Journal = BTreeMap<Index, Touched>;

/// A book by what its offers ask for and what they give.
pub(super) type Book = (Asset, Asset);

#[derive(Default)]
pub(super) struct State {
    /// The ledger that is being made.
    pub ledger: u32,
    entries: Entries,
    /// Best rate first, then the oldest.
    books: BTreeMap<Book, BTreeMap<(u64, u64), Index>>,
    journal: Journal,
    /// Offers made so far.
    order: u64,
}

/// What the transaction under way did to an entry.
pub(super) struct Touched {
    /// As it was before; `None`: the transaction made it.
    pub before: Option<Entry>,
    /// As it was in the moment of its removal.
    pub removed: Option<Entry>,
}

impl State {
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    pub fn get(&self, index: &Index) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// The offers of a book, the best first.
    pub fn offers(&self, book: Book) -> impl Iterator<Item = &Offer> {
        self.books.get(&book).into_iter().flat_map(|book| book.values()).filter_map(|index| self.offer(index))
    }

    pub fn offer(&self, index: &Index) -> Option<&Offer> {
        match self.entries.get(index) {
            Some(Entry { body: Body::Offer(offer), .. }) => Some(offer),
            _ => None,
        }
    }

    /// Offers in all books together.
    pub fn count_offers(&self) -> usize {
        self.books.values().map(BTreeMap::len).sum()
    }

    pub fn account(&self, id: &Id) -> Option<&Account> {
        match self.entries.get(&account_index(id)) {
            Some(Entry { body: Body::Account(account), .. }) => Some(account),
            _ => None,
        }
    }

    pub fn line(&self, world: &World, holder: &Id, asset: Asset) -> Option<&Line> {
        match self.entries.get(&world.line_index(holder, asset)) {
            Some(Entry { body: Body::Line(line), .. }) => Some(line),
            _ => None,
        }
    }

    /// What an account can spend of an asset: XRP beyond the reserve, tokens on its line, its own token without end.
    pub fn funds(&self, world: &World, id: &Id, asset: Asset) -> i128 {
        if asset == XRP {
            return self.account(id).map_or(0, spendable);
        }
        if world.issuer(asset) == Some(*id) {
            return ENDLESS;
        }
        self.line(world, id, asset).map_or(0, |line| line.units)
    }

    /// Whether an account can be given an asset.
    pub fn can_take(&self, world: &World, id: &Id, asset: Asset) -> bool {
        match asset {
            XRP => self.account(id).is_some(),
            _ => world.issuer(asset) == Some(*id) || self.line(world, id, asset).is_some(),
        }
    }

    /// Moves an amount that the giver has to a receiver who can take it.
    pub fn give(&mut self, world: &World, from: &Id, to: &Id, amount: Amount) {
        self.add(world, from, amount.asset, -amount.units);
        self.add(world, to, amount.asset, amount.units);
    }

    /// Changes what an account has. An issuer's own token is not counted anywhere.
    pub fn add(&mut self, world: &World, id: &Id, asset: Asset, units: i128) {
        if asset == XRP {
            self.change_account(id, |account| account.drops += units);
        } else if world.issuer(asset) != Some(*id) {
            self.change(&world.line_index(id, asset), |body| {
                if let Body::Line(line) = body {
                    line.units += units;
                }
            });
        }
    }

    pub fn change_account(&mut self, id: &Id, change: impl FnOnce(&mut Account)) {
        self.change(&account_index(id), |body| {
            if let Body::Account(account) = body {
                change(account);
            }
        });
    }

    /// Changes an entry; one that is not there stays away.
    pub fn change(&mut self, index: &Index, change: impl FnOnce(&mut Body)) {
        if let Some(entry) = self.entries.get_mut(index) {
            note(&mut self.journal, index, Some(entry));
            change(&mut entry.body);
        }
    }

    /// Adds an entry.
    pub fn insert(&mut self, world: &World, body: Body) {
        let index = body.index(world);
        note(&mut self.journal, &index, None);
        self.put(index, Some(Entry { body, changed: None }));
    }

    /// Adds an entry that counts for its owner's reserve.
    pub fn insert_owned(&mut self, world: &World, owner: &Id, body: Body) {
        self.insert(world, body);
        self.change_account(owner, |account| account.owned += 1);
        self.list(world, Body::Owned { owner: *owner, count: 1 });
    }

    pub fn remove(&mut self, index: &Index) {
        if let Some(entry) = self.entries.get(index) {
            note(&mut self.journal, index, Some(entry));
            if let Some(touched) = self.journal.get_mut(index) {
                touched.removed = Some(entry.clone());
            }
            self.put(*index, None);
        }
    }

    /// Removes an entry that counts for its owner's reserve.
    pub fn remove_owned(&mut self, owner: &Id, index: &Index) {
        self.remove(index);
        self.change_account(owner, |account| account.owned = account.owned.saturating_sub(1));
        self.unlist(&directory_index(owner));
    }

    /// Puts a new offer into its book.
    pub fn place(&mut self, world: &World, mut offer: Offer) {
        offer.order = self.order;
        self.order += 1;
        let (pays, gets, rate, owner) = (offer.pays.asset, offer.gets.asset, offer.rate, offer.account);
        self.insert_owned(world, &owner, Body::Offer(offer));
        self.list(world, Body::Rate { pays, gets, rate, count: 1 });
    }

    /// Takes an offer out of its book.
    pub fn withdraw(&mut self, world: &World, index: &Index) {
        if let Some(offer) = self.offer(index) {
            let (owner, book, rate) = (offer.account, (offer.pays.asset, offer.gets.asset), offer.rate);
            self.remove_owned(&owner, index);
            self.unlist(&rate_index(world, book, rate));
        }
    }

    /// One more in a directory, which is made if need be.
    fn list(&mut self, world: &World, new: Body) {
        let index = new.index(world);
        if self.entries.contains_key(&index) {
            self.change(&index, |body| {
                if let Body::Owned { count, .. } | Body::Rate { count, .. } = body {
                    *count += 1;
                }
            });
        } else {
            self.insert(world, new);
        }
    }

    /// One less in a directory; an empty one goes.
    fn unlist(&mut self, index: &Index) {
        let mut left = 0;
        self.change(index, |body| {
            if let Body::Owned { count, .. } | Body::Rate { count, .. } = body {
                *count = count.saturating_sub(1);
                left = *count;
            }
        });
        if left == 0 {
            self.remove(index);
        }
    }

    /// Undoes everything since the last [`Self::commit`].
    pub fn roll_back(&mut self) {
        for (index, touched) in std::mem::take(&mut self.journal) {
            self.put(index, touched.before);
        }
    }

    /// A point to come back to, within a transaction.
    pub fn mark(&mut self) -> Journal {
        std::mem::take(&mut self.journal)
    }

    /// Undoes everything since the mark.
    pub fn return_to(&mut self, mark: Journal) {
        self.roll_back();
        self.journal = mark;
    }

    /// What was touched since the last time; entries that are still there now name `hash` and `ledger`.
    pub fn commit(&mut self, hash: [u8; 32], ledger: u32) -> Journal {
        for index in self.journal.keys() {
            if let Some(entry) = self.entries.get_mut(index).filter(|entry| entry.body.is_threaded()) {
                entry.changed = Some((hash, ledger));
            }
        }
        std::mem::take(&mut self.journal)
    }

    /// Sets or removes an entry, and keeps the books in step. An entry's place in a book never changes.
    fn put(&mut self, index: Index, entry: Option<Entry>) {
        let placed = |entry: &Option<Entry>| match entry {
            Some(Entry { body: Body::Offer(offer), .. }) => {
                Some(((offer.pays.asset, offer.gets.asset), (offer.rate, offer.order)))
            }
            _ => None,
        };
        let new = placed(&entry);
        let old = match entry {
            Some(entry) => self.entries.insert(index, entry),
            None => self.entries.remove(&index),
        };
        if let Some((book, place)) = placed(&old) {
            self.books.entry(book).or_default().remove(&place);
        }
        if let Some((book, place)) = new {
            self.books.entry(book).or_default().insert(place, index);
        }
    }
}

/// Remembers an entry as it was before its first change.
fn note(journal: &mut Journal, index: &Index, entry: Option<&Entry>) {
    journal.entry(*index).or_insert_with(|| Touched { before: entry.cloned(), removed: None });
}

/// XRP that an account can spend: what is beyond its reserve.
pub(super) fn spendable(account: &Account) -> i128 {
    let reserve = match account.pool {
        true => 0,
        false => RESERVE_BASE + RESERVE_STEP * i128::from(account.owned),
    };
    (account.drops - reserve).max(0)
}
