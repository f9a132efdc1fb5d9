//! Fields whose form depends on what they hold: hashes, integers, decoded values, calls and logs.

use super::Argument;
use crate::dialect::maticvigil::config::BigIntegers;
use crate::event::Hash;
use crate::source::evm::native::{Call, LogMeaning, Transaction, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// The largest integer up to which JavaScript knows each one: 2^53 − 1.
const LARGEST_SAFE: i64 = (1 << 53) - 1;

/// A hash with `0x`.
pub(super) struct Hex(pub Hash);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{}", self.0))
    }
}

impl BigIntegers {
    /// How `value` and `gasPrice` are written, which are no parameters.
    pub(super) fn of_amounts(self) -> BigIntegers {
        if self == BigIntegers::String { BigIntegers::Auto } else { self }
    }
}

/// An integer of any width from its decimal digits.
pub(super) struct Amount<'a> {
    pub digits: &'a str,
    pub big_integers: BigIntegers,
}

impl Serialize for Amount<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let safe = || self.digits.parse::<i64>().ok().filter(|it| (-LARGEST_SAFE..=LARGEST_SAFE).contains(it));
        match self.big_integers {
            BigIntegers::Auto => match safe() {
                Some(number) => serializer.serialize_i64(number),
                None => serializer.serialize_str(self.digits),
            },
            // As they stand: no type of Rust's holds them all.
            BigIntegers::Number => match serde_json::from_str::<&RawValue>(self.digits) {
                Ok(number) => number.serialize(serializer),
                Err(_) => serializer.serialize_str(self.digits),
            },
            BigIntegers::String => serializer.serialize_str(self.digits),
        }
    }
}

/// A decoded value.
pub(super) struct Param<'a> {
    pub value: &'a Value,
    pub big_integers: BigIntegers,
}

impl Serialize for Param<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let big_integers = self.big_integers;
        match self.value {
            Value::Integer(digits) => Amount { digits, big_integers }.serialize(serializer),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Text(text) | Value::Hex(text) => serializer.serialize_str(text),
            Value::List(values) => serializer.collect_seq(values.iter().map(|value| Param { value, big_integers })),
        }
    }
}

/// What a transaction's input means: `method` and `input_data`. An array is decoded, a text is raw.
pub(super) struct InputJson<'a> {
    pub transaction: &'a Transaction,
    pub big_integers: BigIntegers,
}

/// A method without an ABI entry.
#[derive(serde::Serialize)]
struct Special {
    name: &'static str,
}

#[derive(serde::Serialize)]
struct Method<'a> {
    name: &'a str,
    canonical_signature: &'a str,
    selector: &'a str,
    hash: &'a str,
}

impl Serialize for InputJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let input = &*self.transaction.input;
        let mut fields = serializer.serialize_map(Some(2))?;
        match &self.transaction.call {
            Call::Deploy => fields.serialize_entry("method", &Special { name: "ContractDeploy" })?,
            Call::Receive => fields.serialize_entry("method", &Special { name: "receive" })?,
            Call::Fallback => fields.serialize_entry("method", &Special { name: "fallback" })?,
            Call::Method { method, .. } => {
                let method = Method {
                    name: &method.name,
                    canonical_signature: &method.signature,
                    selector: &method.selector,
                    hash: &method.hash,
                };
                fields.serialize_entry("method", &method)?;
            }
        }
        match &self.transaction.call {
            Call::Method { method, arguments: Some(values) } => {
                let named = method.parameters.iter().zip(values.iter());
                let arguments = named.map(|(parameter, value)| Argument {
                    param_name: &parameter.name,
                    param_type: &parameter.kind,
                    value: Param { value, big_integers: self.big_integers },
                });
                fields.serialize_entry("input_data", &Sequence(arguments))?;
            }
            _ => fields.serialize_entry("input_data", input)?,
        }
        fields.end()
    }
}

/// A list that is made while it is written.
struct Sequence<I>(I);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for Sequence<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// What a log says: its parameters by name in the order of the ABI, else what stands on the chain.
pub(super) struct EventData<'a> {
    pub meaning: &'a LogMeaning,
    pub big_integers: BigIntegers,
}

impl Serialize for EventData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.meaning {
            LogMeaning::Event { data, .. } => {
                let big_integers = self.big_integers;
                serializer.collect_map(data.iter().map(|(name, value)| (name.as_ref(), Param { value, big_integers })))
            }
            LogMeaning::Unknown { topics, data } => {
                let mut fields = serializer.serialize_map(Some(2))?;
                fields.serialize_entry("topics", topics)?;
                fields.serialize_entry("data", data)?;
                fields.end()
            }
        }
    }
}
