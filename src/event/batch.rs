//! A closed ledger and the events in it.

use super::stored::{NativeForm, Writer};
use super::{Amount, Body, EventKind, Key, SourceNumber};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A 32-byte ledger or transaction hash. Displays as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Reads 64 hex digits of either case.
    pub fn from_hex(text: &str) -> Option<Hash> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let nibble = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Hash(bytes))
    }

    /// The first four bytes, as cursors keep them.
    pub fn short(&self) -> [u8; 4] {
        [self.0[0], self.0[1], self.0[2], self.0[3]]
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0u8; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which ledger (block) it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRef {
    /// Sequence number, height or block number.
    pub index: u64,
    /// Its hash; `None` where the RPC does not tell one.
    pub hash: Option<Hash>,
    /// The hash of the ledger before it.
    pub parent: Option<Hash>,
    /// Close time, Unix seconds.
    pub closed_at: i64,
}

impl LedgerRef {
    /// The beginning of its hash, as cursors keep it.
    pub fn short_hash(&self) -> Option<[u8; 4]> {
        self.hash.as_ref().map(Hash::short)
    }
}

/// Where an event stands in its ledger: transaction, then kind rank, then index among its kind.
/// All three come from the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The transaction's place in the ledger as the chain counts it; 0 for the ledger's own events.
    pub transaction: u32,
    /// [`EventKind::rank`].
    pub rank: u8,
    /// Place among the events of this kind in the transaction.
    pub sub: u64,
}

impl Place {
    /// Before every event of a ledger.
    pub const START: Place = Place { transaction: 0, rank: 0, sub: 0 };
    /// After every event of a ledger.
    pub const END: Place = Place { transaction: u32::MAX, rank: u8::MAX, sub: u64::MAX };

    /// The place of an event of `kind`.
    pub fn new(transaction: u32, kind: EventKind, sub: u64) -> Place {
        Place { transaction, rank: kind.rank(), sub }
    }
}

/// A break in the row of ledgers, announced to every session of the source, whatever its filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuity {
    /// What happened.
    pub kind: ContinuityKind,
    /// First ledger that is missing or void.
    pub from_ledger: u64,
    /// Last ledger that is missing or void.
    pub to_ledger: u64,
    /// One line for people.
    pub reason: String,
}

/// The kinds of breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContinuityKind {
    /// Ledgers that could not be read any more.
    Gap,
    /// The network began anew.
    Reset,
    /// Ledgers already delivered were replaced by others.
    Reorg,
}

impl ContinuityKind {
    /// `gap`, `reset` or `reorg`.
    pub const fn name(self) -> &'static str {
        match self {
            ContinuityKind::Gap => "gap",
            ContinuityKind::Reset => "reset",
            ContinuityKind::Reorg => "reorg",
        }
    }
}

/// What a dialect of the same family as the ledger needs to speak field for field, and no more.
/// Only that family's folders know the type inside.
#[derive(Clone)]
pub struct Native {
    value: Arc<dyn Form>,
    bytes: usize,
}

/// A native form whose type is not known.
trait Form: Any + Send + Sync {
    fn name(&self) -> &'static str;
    fn write(&self, writer: &mut Writer);
}

impl<T: NativeForm> Form for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn write(&self, writer: &mut Writer) {
        T::write(self, writer);
    }
}

impl Native {
    /// Wraps a value that occupies about `bytes` bytes.
    pub fn new<T: NativeForm>(value: T, bytes: usize) -> Native {
        Native { value: Arc::new(value), bytes }
    }

    /// The value, if it is a `T`.
    pub fn get<T: NativeForm>(&self) -> Option<&T> {
        let value: &dyn Any = &*self.value;
        value.downcast_ref()
    }

    /// [`NativeForm::NAME`] of the value.
    pub(super) fn name(&self) -> &'static str {
        self.value.name()
    }

    /// What it occupies, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn write_value(&self, writer: &mut Writer) {
        self.value.write(writer);
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Native({} bytes)", self.bytes)
    }
}

/// One asset that an event is about: every key it can be found under, and how much of it moved.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetKeys {
    /// `native` and `XLM`, or `USDC` and `USDC:G…`.
    pub keys: Vec<Key>,
    /// `None` where the decimals are unknown; then no minimum matches.
    pub amount: Option<Amount>,
}

/// One thing that happened on a ledger.
#[derive(Debug, Clone)]
pub struct Event {
    /// Unique within its network and stable over restarts.
    pub id: Box<str>,
    /// What kind of thing.
    pub kind: EventKind,
    /// Where in its ledger.
    pub place: Place,
    /// The transaction it belongs to.
    pub transaction_hash: Option<Hash>,
    /// Every subject key it can be found under, each once.
    pub subjects: Vec<Key>,
    /// Every asset it is about.
    pub assets: Vec<AssetKeys>,
    /// The facts, the same for all families.
    pub body: Body,
    /// What only a dialect of the same family needs.
    pub native: Option<Native>,
}

/// A closed ledger, whole. What moves from a source to the broker.
#[derive(Debug, Clone)]
pub struct LedgerBatch {
    /// The source that read it.
    pub source: SourceNumber,
    /// The network's id, such as `stellar-pubnet`.
    pub network: Arc<str>,
    /// Counts the resets of the network: ids after a reset can equal old ones.
    pub epoch: u32,
    /// Which ledger.
    pub ledger: LedgerRef,
    /// What broke between the batch before and this one.
    pub continuity: Option<Continuity>,
    /// In ledger order; the first is the ledger event, where the source tells one.
    pub events: Vec<Event>,
    /// The ledger's own native form.
    pub native: Option<Native>,
}

impl LedgerBatch {
    /// Bytes that the batch holds in memory, about: what history budgets count.
    pub fn weight(&self) -> usize {
        let native = |native: &Option<Native>| native.as_ref().map_or(0, |native| native.bytes);
        let events: usize = self.events.iter().map(|event| event.weight() + native(&event.native)).sum();
        size_of::<Self>() + events + native(&self.native)
    }
}

impl Event {
    fn weight(&self) -> usize {
        // Keys are shared between events; each reference counts its text once, so the sum errs
        // towards too heavy, which is the safe side for a memory bound.
        let keys = |keys: &[Key]| keys.iter().map(|key| size_of::<Key>() + key.len()).sum::<usize>();
        let assets: usize = self
            .assets
            .iter()
            .map(|asset| {
                let amount = asset.amount.as_ref().map_or(0, Amount::heap_bytes);
                size_of::<AssetKeys>() + keys(&asset.keys) + amount
            })
            .sum();
        size_of::<Self>() + self.id.len() + keys(&self.subjects) + assets + self.body.heap_bytes()
    }
}
