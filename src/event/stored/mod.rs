//! The stored form of what flows: a ledger as bytes, and the same ledger back.
//!
//! In: a [`LedgerBatch`]. Out: bytes that [`decode`] makes the same batch of, native forms included, so that every
//! dialect renders the same bytes of both. A form of our own and not a general one: texts that stand in many events
//! (accounts, assets, methods) are written once and shared again when read, words of the program come back as such,
//! and what stands on a disk is read as hostile.
//!
//! Who owns what: this folder writes the shared part; a family's `native.rs` says what stands in its native forms,
//! with `stored_struct!` and `stored_enum!`, and names them in its list of [`NativeKind`]s.
//!
//! What always holds:
//! * a field that is added and not stored is a compile error;
//! * bytes of any kind give a batch or [`Corrupt`]: no panic, and no more memory than [`MAX_MEMORY`];
//! * numbers are of variable length, so small ones are small; compression is whoever's who keeps the bytes.

mod basic;
mod batch;
mod body;
mod forms;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use forms::{stored_enum, stored_struct};

use super::{LedgerBatch, Native, SourceNumber};
use hashbrown::HashMap;
use std::any::{Any, TypeId};
use std::sync::Arc;

/// What the lists of one batch may take in memory. A ledger of 10,000 busy events has some 20 MiB.
pub const MAX_MEMORY: usize = 1 << 30;
/// How deep lists may stand in lists. Nothing that a source makes comes near.
const DEEPEST: usize = 64;

/// Bytes that are no stored ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// The bytes end too early, or go on after the end.
    #[error("cut short or too long")]
    Length,
    /// Something that is none of what may stand there.
    #[error("no {0}")]
    Not(&'static str),
    /// More than a ledger can have.
    #[error("more than a ledger can have")]
    TooLarge,
    /// A native form that this release does not know.
    #[error("native form `{0}` is not known to this release")]
    Native(String),
}

/// A value that can be written and read again.
pub trait Stored: Sized {
    /// Appends the value.
    fn write(&self, writer: &mut Writer);
    /// Reads what [`Stored::write`] wrote.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Corrupt>;
}

/// A family's native form: what it is called in stored ledgers, for ever.
pub trait NativeForm: Stored + Any + Send + Sync {
    /// Such as `xrpl.transaction`.
    const NAME: &'static str;
}

/// How the native form of a name is read.
#[derive(Debug, Clone, Copy)]
pub struct NativeKind {
    name: &'static str,
    read: fn(&mut Reader<'_>, usize) -> Result<Native, Corrupt>,
}

impl NativeKind {
    /// How a `T` is read.
    pub const fn of<T: NativeForm>() -> NativeKind {
        NativeKind { name: T::NAME, read: |reader, bytes| Ok(Native::new(T::read(reader)?, bytes)) }
    }

    /// What it is called in stored ledgers.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The native forms of every family.
pub type NativeKinds = &'static [&'static [NativeKind]];

/// A batch as bytes.
pub fn encode(batch: &LedgerBatch) -> Vec<u8> {
    let mut writer = Writer::default();
    batch::write(batch, &mut writer);
    writer.bytes
}

/// The batch that [`encode`] wrote, as one of `source`.
pub fn decode(bytes: &[u8], source: SourceNumber, natives: NativeKinds) -> Result<LedgerBatch, Corrupt> {
    let mut reader = Reader {
        left: bytes,
        natives,
        texts: Vec::new(),
        words: Vec::new(),
        shared: Vec::new(),
        memory: MAX_MEMORY,
        depth: 0,
    };
    let batch = batch::read(&mut reader, source)?;
    if reader.left.is_empty() { Ok(batch) } else { Err(Corrupt::Length) }
}

/// Writes values one after the other.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    texts: HashMap<Arc<str>, u64>,
    words: HashMap<&'static str, u64>,
    /// By type and address. Whoever writes holds the batch, so an address stands for one value.
    shared: HashMap<(TypeId, usize), u64>,
}

impl Writer {
    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// These bytes, without their number.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A number, seven bits to a byte.
    pub fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    /// A text with its length.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.raw(text.as_bytes());
    }

    /// A text that may stand elsewhere in the batch as well.
    pub fn shared_text(&mut self, text: &Arc<str>) {
        let next = self.texts.len() as u64 + 1;
        match self.texts.get(&**text) {
            Some(number) => self.number(*number),
            None => {
                self.texts.insert(text.clone(), next);
                self.number(0);
                self.text(text);
            }
        }
    }

    /// A word of the program.
    pub fn word(&mut self, word: &'static str) {
        let next = self.words.len() as u64 + 1;
        match self.words.get(word) {
            Some(number) => self.number(*number),
            None => {
                self.words.insert(word, next);
                self.number(0);
                self.text(word);
            }
        }
    }

    /// A value that others in the batch may hold as well.
    pub fn shared<T: ?Sized + 'static>(&mut self, value: &Arc<T>, write: impl FnOnce(&T, &mut Writer)) {
        let key = (TypeId::of::<T>(), Arc::as_ptr(value).addr());
        match self.shared.get(&key) {
            Some(number) => self.number(*number),
            None => {
                self.number(0);
                write(value, self);
                // What it holds itself got its number before.
                self.shared.insert(key, self.shared.len() as u64 + 1);
            }
        }
    }
}

/// Reads what a [`Writer`] wrote.
pub struct Reader<'a> {
    left: &'a [u8],
    natives: NativeKinds,
    texts: Vec<Arc<str>>,
    words: Vec<&'static str>,
    /// Each an `Arc` of something.
    shared: Vec<Box<dyn Any>>,
    /// What lists may still take.
    memory: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Corrupt> {
        let (first, left) = self.left.split_first().ok_or(Corrupt::Length)?;
        self.left = left;
        Ok(*first)
    }

    /// So many bytes.
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, left) = self.left.split_at_checked(count).ok_or(Corrupt::Length)?;
        self.left = left;
        Ok(taken)
    }

    /// A number.
    pub fn number(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Corrupt::Not("number"))
    }

    /// A number of a narrower type.
    pub fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T, Corrupt> {
        T::try_from(self.number()?).map_err(|_| Corrupt::TooLarge)
    }

    /// A text with its length.
    pub fn text(&mut self) -> Result<&'a str, Corrupt> {
        let length = self.narrow()?;
        std::str::from_utf8(self.raw(length)?).map_err(|_| Corrupt::Not("text"))
    }

    /// What [`Writer::shared_text`] wrote.
    pub fn shared_text(&mut self) -> Result<Arc<str>, Corrupt> {
        match self.narrow::<usize>()?.checked_sub(1) {
            Some(at) => self.texts.get(at).cloned().ok_or(Corrupt::Not("shared text")),
            None => {
                let text: Arc<str> = self.text()?.into();
                self.texts.push(text.clone());
                Ok(text)
            }
        }
    }

    /// What [`Writer::word`] wrote.
    pub fn word(&mut self) -> Result<&'static str, Corrupt> {
        match self.narrow::<usize>()?.checked_sub(1) {
            Some(at) => self.words.get(at).copied().ok_or(Corrupt::Not("word")),
            None => {
                let word = words::of(self.text()?).ok_or(Corrupt::TooLarge)?;
                self.words.push(word);
                Ok(word)
            }
        }
    }

    /// What [`Writer::shared`] wrote.
    pub fn shared<T: ?Sized + 'static>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Arc<T>, Corrupt>,
    ) -> Result<Arc<T>, Corrupt> {
        match self.narrow::<usize>()?.checked_sub(1) {
            Some(at) => {
                let value = self.shared.get(at).and_then(|value| value.downcast_ref::<Arc<T>>());
                value.cloned().ok_or(Corrupt::Not("shared value"))
            }
            None => {
                let value = self.nested(read)?;
                self.shared.push(Box::new(value.clone()));
                Ok(value)
            }
        }
    }

    /// A list, as many as its length says.
    pub fn list<T: Stored>(&mut self) -> Result<Vec<T>, Corrupt> {
        let count: usize = self.narrow()?;
        // Each takes a byte at least.
        if count > self.left.len() {
            return Err(Corrupt::Length);
        }
        let bytes = count.checked_mul(size_of::<T>()).ok_or(Corrupt::TooLarge)?;
        self.memory = self.memory.checked_sub(bytes).ok_or(Corrupt::TooLarge)?;
        self.nested(|reader| {
            let mut list = Vec::with_capacity(count);
            for _ in 0..count {
                list.push(T::read(reader)?);
            }
            Ok(list)
        })
    }

    /// Goes one deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Corrupt>) -> Result<T, Corrupt> {
        if self.depth == DEEPEST {
            return Err(Corrupt::TooLarge);
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// How the native form of a name is read.
    fn native_kind(&self, name: &str) -> Result<NativeKind, Corrupt> {
        let mut all = self.natives.iter().copied().flatten();
        all.find(|kind| kind.name == name).copied().ok_or_else(|| Corrupt::Native(name.chars().take(80).collect()))
    }
}
