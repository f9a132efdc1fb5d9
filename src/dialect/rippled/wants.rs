//! What a session is subscribed to.

use super::asked::{Asked, Streams};
use crate::broker::{Clause, RenderingId, Subscription};
use crate::event::{EventKind, Key, KindSet};
use std::sync::Arc;

const TRANSACTION: KindSet = KindSet::of(&[EventKind::Transaction]);

/// The tags, in the order in which copies of a transaction are told apart.
const TAG_TRANSACTIONS: u8 = 0;
const TAG_TRANSACTIONS_PROPOSED: u8 = 1;
const TAG_BOOKS: u8 = 2;
const TAG_ACCOUNTS: u8 = 3;

/// What a session is subscribed to. Its lists of accounts and books are the router's own clauses, so that they are
/// in memory once: ten thousand sessions have one account each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wants {
    clauses: Arc<[Clause]>,
    streams: Streams,
    /// Which of [`List`] stand at the end of the clauses, in that order.
    lists: u8,
}

#[derive(Clone, Copy)]
enum List {
    Books = 1,
    Accounts = 2,
    AccountsProposed = 4,
}

impl List {
    const ALL: [List; 3] = [List::Books, List::Accounts, List::AccountsProposed];

    const fn tag(self) -> u8 {
        match self {
            List::Books => TAG_BOOKS,
            List::Accounts | List::AccountsProposed => TAG_ACCOUNTS,
        }
    }
}

/// The lists' values, by [`List::ALL`].
type Lists = [Vec<Key>; 3];

impl Wants {
    /// Nothing.
    pub fn nothing() -> Wants {
        Wants::of(Streams::default(), Default::default())
    }

    /// How many accounts and books.
    pub fn values(&self) -> usize {
        List::ALL.into_iter().map(|list| self.list(list).len()).sum()
    }

    /// This and what is asked for.
    pub fn with(&self, asked: &Asked) -> Wants {
        let lists = [&asked.books, &asked.accounts, &asked.accounts_proposed];
        let add = |list, more: &Vec<Key>| {
            let mut keys = [self.list(list), more].concat();
            keys.sort_unstable();
            keys.dedup();
            keys
        };
        self.or(self.streams.with(asked.streams), [0, 1, 2].map(|at| add(List::ALL[at], lists[at])))
    }

    /// This without what is asked for.
    pub fn without(&self, asked: &Asked) -> Wants {
        let lists = [&asked.books, &asked.accounts, &asked.accounts_proposed];
        let remove = |list, less: &Vec<Key>| {
            let kept = self.list(list).iter().filter(|key| less.binary_search(key).is_err());
            kept.cloned().collect::<Vec<Key>>()
        };
        self.or(self.streams.without(asked.streams), [0, 1, 2].map(|at| remove(List::ALL[at], lists[at])))
    }

    /// As the router has it.
    pub fn subscription(&self, rendering: RenderingId, copy_per_tag: bool) -> Subscription {
        Subscription { clauses: self.clauses.clone(), rendering, copy_per_tag }
    }

    /// These, or the old ones where they are equal: in memory once.
    fn or(&self, streams: Streams, lists: Lists) -> Wants {
        let wants = Wants::of(streams, lists);
        if wants == *self { self.clone() } else { wants }
    }

    fn list(&self, list: List) -> &[Key] {
        if self.lists & list as u8 == 0 {
            return &[];
        }
        // The lists that are there and stand after it.
        let after = List::ALL.into_iter().filter(|other| *other as u8 > list as u8 && self.lists & *other as u8 != 0);
        &self.clauses[self.clauses.len() - 1 - after.count()].subjects
    }

    fn of(streams: Streams, values: Lists) -> Wants {
        let mut clauses = Vec::new();
        let wanted = [
            (Streams::LEDGER, EventKind::Ledger),
            (Streams::BOOK_CHANGES, EventKind::BookChanges),
            (Streams::TRANSACTIONS, EventKind::Transaction),
        ];
        let kinds = wanted.into_iter().filter(|(stream, _)| streams.contains(*stream));
        let kinds = kinds.fold(KindSet::EMPTY, |kinds, (_, kind)| kinds.union(KindSet::of(&[kind])));
        if !kinds.is_empty() {
            clauses.push(Clause { tag: TAG_TRANSACTIONS, ..Clause::everything(kinds) });
        }
        if streams.contains(Streams::TRANSACTIONS_PROPOSED) {
            clauses.push(Clause { tag: TAG_TRANSACTIONS_PROPOSED, ..Clause::everything(TRANSACTION) });
        }
        let mut lists = 0;
        for (list, subjects) in List::ALL.into_iter().zip(values) {
            if !subjects.is_empty() {
                lists |= list as u8;
                clauses.push(Clause { subjects, tag: list.tag(), ..Clause::everything(TRANSACTION) });
            }
        }
        // No clauses at all are no memory: most who connect begin so.
        let clauses = if clauses.is_empty() { Arc::default() } else { clauses.into() };
        Wants { clauses, streams, lists }
    }
}
