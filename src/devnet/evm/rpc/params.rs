//! What stands in the parameters of a method.

use alloy_primitives::{Address, B256, hex};
use serde_json::Value;

use super::{Answer, Failure, INVALID_PARAMS};
use crate::devnet::evm::block::Block;
use crate::devnet::evm::history::View;

/// How a block is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Height(u64),
    Hash(B256),
    Earliest,
    Latest,
    Safe,
    Finalized,
    /// What is not mined yet; the devnet has none.
    Pending,
}

impl Which {
    /// The block, if it is there.
    pub fn find<'a>(self, view: &'a View<'_>) -> Option<&'a Block> {
        match self {
            Which::Hash(hash) => view.by_hash(&hash),
            Which::Pending => None,
            // Also where the first block is not kept any more.
            Which::Earliest => view.get(0),
            _ => view.get(self.height(view)?),
        }
    }

    /// Its height, whether it is there or not.
    pub fn height(self, view: &View<'_>) -> Option<u64> {
        match self {
            Which::Height(height) => Some(height),
            Which::Hash(hash) => Some(view.by_hash(&hash)?.height),
            Which::Earliest => Some(0),
            Which::Latest | Which::Pending => Some(view.newest().height),
            Which::Safe => Some(view.safe()),
            Which::Finalized => Some(view.finalized()),
        }
    }
}

/// The parameters of a call.
pub(super) struct Params<'a>(pub &'a [Value]);

impl<'a> Params<'a> {
    /// No more than so many.
    pub fn at_most(&self, count: usize) -> Result<(), Failure> {
        match self.0.len() <= count {
            true => Ok(()),
            false => Err(invalid(format!("too many arguments, want at most {count}"))),
        }
    }

    /// One that may be left out.
    pub fn optional(&self, at: usize) -> Option<&'a Value> {
        self.0.get(at).filter(|value| !value.is_null())
    }

    pub fn value(&self, at: usize) -> Result<&'a Value, Failure> {
        self.optional(at).ok_or_else(|| invalid(format!("missing value for required argument {at}")))
    }

    pub fn boolean(&self, at: usize) -> Result<bool, Failure> {
        self.value(at)?.as_bool().ok_or_else(|| wrong(at, "json: cannot unmarshal into Go value of type bool"))
    }

    pub fn hash(&self, at: usize) -> Result<B256, Failure> {
        hash(self.value(at)?).map_err(|reason| wrong(at, &reason))
    }

    pub fn address(&self, at: usize) -> Result<Address, Failure> {
        address(self.value(at)?).map_err(|reason| wrong(at, &reason))
    }

    /// A height or a tag.
    pub fn block(&self, at: usize) -> Result<Which, Failure> {
        block(self.value(at)?).map_err(|reason| wrong(at, &reason))
    }

    /// A height, a tag, a hash, or an object with one of these.
    pub fn block_or_hash(&self, at: usize) -> Result<Which, Failure> {
        let value = self.value(at)?;
        let found = match value {
            Value::Object(members) => match (members.get("blockHash"), members.get("blockNumber")) {
                (Some(_), Some(_)) => {
                    Err("cannot specify both BlockHash and BlockNumber, choose one or the other".into())
                }
                (Some(name), None) => hash(name).map(Which::Hash),
                (None, Some(name)) => block(name),
                (None, None) => Err("invalid block number or hash".into()),
            },
            Value::String(text) if text.len() == 66 => hash(value).map(Which::Hash),
            _ => block(value),
        };
        found.map_err(|reason| wrong(at, &reason))
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(INVALID_PARAMS, message)
}

/// A parameter that is not what it should be.
pub(super) fn wrong(at: usize, reason: &str) -> Failure {
    invalid(format!("invalid argument {at}: {reason}"))
}

pub(super) fn block(value: &Value) -> Result<Which, String> {
    Ok(match value.as_str().ok_or("a block is named by a text")? {
        "earliest" => Which::Earliest,
        "latest" => Which::Latest,
        "safe" => Which::Safe,
        "finalized" => Which::Finalized,
        "pending" => Which::Pending,
        text => Which::Height(quantity(text)?),
    })
}

fn quantity(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").ok_or("hex string without 0x prefix")?;
    match digits {
        "" => return Err("hex string \"0x\"".into()),
        "0" => return Ok(0),
        _ if digits.starts_with('0') => return Err("hex number with leading zero digits".into()),
        _ if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => return Err("invalid hex string".into()),
        _ => {}
    }
    let number = u64::from_str_radix(digits, 16).map_err(|_| "hex number > 64 bits")?;
    // The real node counts with a sign.
    i64::try_from(number).map(|_| number).map_err(|_| "block number larger than int64".into())
}

pub(super) fn data(value: &Value) -> Result<Vec<u8>, String> {
    let text = value.as_str().ok_or("bytes are written as a text")?;
    let digits = text.strip_prefix("0x").ok_or("hex string without 0x prefix")?;
    match digits.len() % 2 {
        0 if !digits.starts_with("0x") => hex::decode(digits).map_err(|_| "invalid hex string".into()),
        0 => Err("invalid hex string".into()),
        _ => Err("hex string of odd length".into()),
    }
}

pub(super) fn hash(value: &Value) -> Result<B256, String> {
    let bytes = data(value)?;
    B256::try_from(bytes.as_slice()).map_err(|_| format!("hex string has length {}, want 64", bytes.len() * 2))
}

pub(super) fn address(value: &Value) -> Result<Address, String> {
    let bytes = data(value)?;
    Address::try_from(bytes.as_slice()).map_err(|_| format!("hex string has length {}, want 40", bytes.len() * 2))
}

/// A text as an answer.
pub(super) fn text(text: impl std::fmt::Display) -> Answer {
    Ok(format!("\"{text}\""))
}
