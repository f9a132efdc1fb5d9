//! What the MaticVigil dialect needs of a block beyond the facts that all families share.
//!
//! | event kind | native form | where |
//! | --- | --- | --- |
//! | `Transaction` | [`Transaction`] | only where `to` is a watched contract: what `contractmon` tells |
//! | `Deploy` | [`Transaction`] | every deploy, failed ones too, `to` is `None`: what `otm` tells |
//! | `ContractEvent` | [`Log`] | every contract event: what `event` tells |
//!
//! The keys by which a dialect finds them, addresses in lower case with `0x`:
//! * `contract:ADDRESS` on the transaction to a watched contract and on each log of one;
//! * `created:ADDRESS` and `sender:ADDRESS` on a deploy, and on nothing else.
//!
//! So the clauses of a key are `{Transaction, contract:…}`, `{ContractEvent, contract:…}` and
//! `{Deploy, created:… or sender:…}`, and one transaction never fits two of them. The order of a batch is the
//! protocol's: by transaction, first the transaction, then its deploy, then its logs by index.
//!
//! The rest of a message stands in what all families share: `txHash` is [`crate::event::Event::transaction_hash`],
//! `blockNumber` is [`crate::event::LedgerRef::index`], `ctime` is [`crate::event::LedgerRef::closed_at`],
//! `transactionIndex` is [`crate::event::Place::transaction`], and `logIndex` is [`Log::index`].
//!
//! Values are exact and have no JSON form of their own yet: how an integer beyond 2^53 is written is the dialect's
//! setting.

use crate::event::NativeForm;
use crate::event::stored::{NativeKind, stored_enum, stored_struct};
use std::sync::Arc;

/// How the forms are read from where ledgers are kept.
pub const NATIVES: &[NativeKind] = &[NativeKind::of::<Transaction>(), NativeKind::of::<Log>()];

/// A mined transaction and what it called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Who sent it, lower case.
    pub from: Arc<str>,
    /// The contract that it was sent to, lower case; `None`: it creates one.
    pub to: Option<Arc<str>>,
    /// What was sent along, lower-case hex; `0x` where nothing was.
    pub input: Box<str>,
    /// What that means.
    pub call: Call,
    /// Gas used by this transaction alone.
    pub gas_used: u64,
    /// The most that it might have used.
    pub gas: u64,
    /// Wei paid for one unit of gas, a decimal text.
    pub gas_price: Box<str>,
    /// Wei sent along, a decimal text.
    pub value: Box<str>,
    /// Whether it succeeded.
    pub successful: bool,
}

/// What a transaction's input means to the contract that it was sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// It creates a contract; the input is its code.
    Deploy,
    /// No input.
    Receive,
    /// No method of the contract has this selector, or the input is shorter than one.
    Fallback,
    /// A method.
    Method {
        /// Which.
        method: Arc<Method>,
        /// Its arguments, as many as [`Method::parameters`]; `None`: they do not decode, the input is all there is.
        arguments: Option<Box<[Value]>>,
    },
}

/// A method of a watched contract, shared by all calls of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its bare name.
    pub name: Box<str>,
    /// Its name and the canonical types of its parameters, such as `transfer(address,uint256)`.
    pub signature: Box<str>,
    /// The first four bytes of its hash, 8 lower-case hex digits without `0x`.
    pub selector: Box<str>,
    /// The keccak-256 of the signature, `0x` and 64 lower-case hex digits.
    pub hash: Box<str>,
    /// Its parameters, in order.
    pub parameters: Box<[Parameter]>,
}

/// A parameter of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the ABI; empty if it has none.
    pub name: Box<str>,
    /// Its canonical type, tuples written out as in the signature: `(uint256,address)[]`.
    pub kind: Box<str>,
}

/// A log of a watched contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The number of the log among all logs of all watched contracts, in the order of the chain, from 1; kept over
    /// restarts (`maticvigil_event_id`).
    pub number: u64,
    /// Its place among the logs of its block.
    pub index: u64,
    /// The contract, lower case.
    pub contract: Arc<str>,
    /// What it says.
    pub meaning: LogMeaning,
}

/// What a log means by its contract's ABI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogMeaning {
    /// One of the ABI's events.
    Event {
        /// Its bare name.
        name: Arc<str>,
        /// Parameter names and values in the order of the ABI, indexed and not. Names are unique: a parameter without
        /// a name, or with one that was used before, is called `arg<position>`.
        data: Box<[(Arc<str>, Value)]>,
    },
    /// Nothing in the ABI fits.
    Unknown {
        /// The topics, `0x` and 64 lower-case hex digits each.
        topics: Box<[Box<str>]>,
        /// The data, lower-case hex with `0x`.
        data: Box<str>,
    },
}

/// A decoded ABI value, exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `uintN` or `intN` of any width: its decimal digits, with `-` before a negative one.
    Integer(Box<str>),
    /// `bool`.
    Bool(bool),
    /// `string`, what is no UTF-8 replaced by U+FFFD.
    Text(Box<str>),
    /// `address`, `bytes`, `bytesN`, `function`, and the hash that stands for an indexed value of dynamic type:
    /// lower-case hex with `0x`, which may be all.
    Hex(Box<str>),
    /// `T[]`, `T[k]` and tuples: the elements or components in order.
    List(Box<[Value]>),
}

impl Value {
    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::Bool(_) => 0,
            Value::Integer(text) | Value::Text(text) | Value::Hex(text) => text.len(),
            Value::List(values) => values.iter().map(Value::weight).sum(),
        }
    }

    fn weight(&self) -> usize {
        size_of::<Value>() + self.heap_bytes()
    }
}

impl Transaction {
    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let arguments = match &self.call {
            Call::Method { arguments: Some(arguments), .. } => arguments.iter().map(Value::weight).sum(),
            _ => 0,
        };
        self.input.len() + self.gas_price.len() + self.value.len() + arguments
    }
}

impl Log {
    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        match &self.meaning {
            LogMeaning::Event { data, .. } => {
                data.iter().map(|(_, value)| size_of::<Arc<str>>() + value.weight()).sum()
            }
            LogMeaning::Unknown { topics, data } => {
                topics.iter().map(|topic| 16 + topic.len()).sum::<usize>() + data.len()
            }
        }
    }
}

impl NativeForm for Transaction {
    const NAME: &'static str = "evm.transaction";
}
impl NativeForm for Log {
    const NAME: &'static str = "evm.log";
}

stored_struct!(Transaction { from, to, input, call, gas_used, gas, gas_price, value, successful });
stored_enum!(Call { 0 => Deploy, 1 => Receive, 2 => Fallback, 3 => Method { method, arguments } });
stored_struct!(Method { name, signature, selector, hash, parameters });
stored_struct!(Parameter { name, kind });
stored_struct!(Log { number, index, contract, meaning });
stored_enum!(LogMeaning { 0 => Event { name, data }, 1 => Unknown { topics, data } });
stored_enum!(Value { 0 => Integer(text), 1 => Bool(value), 2 => Text(text), 3 => Hex(text), 4 => List(values) });
