//! Kinds of events and sets of them.

use std::fmt;

/// What an event tells. The order of the variants is no rank; see [`EventKind::rank`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// The close of a ledger; the first event of every batch.
    Ledger = 0,
    /// The ledger's changes to order books (XRP Ledger).
    BookChanges = 1,
    /// One transaction, failed ones too.
    Transaction = 2,
    /// The creation of a contract by a transaction (EVM).
    Deploy = 3,
    /// An event that a contract emitted.
    ContractEvent = 4,
    /// A contract event emitted by the ledger itself (Stellar's type `system`).
    SystemEvent = 5,
    /// Value that moved from one party to another.
    Payment = 6,
    /// Two assets exchanged between two parties.
    Trade = 7,
}

impl EventKind {
    /// Every kind, by number.
    pub const ALL: [EventKind; 8] = [
        EventKind::Ledger,
        EventKind::BookChanges,
        EventKind::Transaction,
        EventKind::Deploy,
        EventKind::ContractEvent,
        EventKind::SystemEvent,
        EventKind::Payment,
        EventKind::Trade,
    ];

    /// Where the kind stands among the events of one transaction. System events stand among the
    /// contract events, in the order in which the ledger emitted both.
    pub const fn rank(self) -> u8 {
        match self {
            EventKind::Ledger => 0,
            EventKind::BookChanges => 1,
            EventKind::Transaction => 2,
            EventKind::Deploy => 3,
            EventKind::ContractEvent | EventKind::SystemEvent => 4,
            EventKind::Payment => 5,
            EventKind::Trade => 6,
        }
    }

    /// The kind's name in logs, metrics and Flow messages.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::Ledger => "ledger",
            EventKind::BookChanges => "book_changes",
            EventKind::Transaction => "transaction",
            EventKind::Deploy => "deploy",
            EventKind::ContractEvent | EventKind::SystemEvent => "contract_event",
            EventKind::Payment => "payment",
            EventKind::Trade => "trade",
        }
    }
}

/// A set of kinds. Unlike the lists in clients' filters an empty set is empty: it matches nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KindSet(u8);

impl KindSet {
    /// No kind.
    pub const EMPTY: KindSet = KindSet(0);
    /// Every kind.
    pub const ALL: KindSet = KindSet(u8::MAX);

    /// The set of the listed kinds.
    pub const fn of(kinds: &[EventKind]) -> KindSet {
        let mut bits = 0;
        let mut at = 0;
        while at < kinds.len() {
            bits |= 1 << kinds[at] as u8;
            at += 1;
        }
        KindSet(bits)
    }

    /// Whether `kind` is in the set.
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Whether every kind of `other` is in the set.
    pub const fn contains_all(self, other: KindSet) -> bool {
        self.0 & other.0 == other.0
    }

    /// Kinds of either set.
    pub const fn union(self, other: KindSet) -> KindSet {
        KindSet(self.0 | other.0)
    }

    /// Whether no kind is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many kinds are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The kinds of the set.
    pub fn iter(self) -> impl Iterator<Item = EventKind> {
        EventKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl fmt::Debug for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
