//! `eth_getLogs`.

use alloy_primitives::{Address, B256};
use serde_json::Value;

use super::params::{Which, address, block, hash, wrong};
use super::{Answer, Failure, INVALID_PARAMS, SERVER_ERROR};
use crate::devnet::evm::block::{Block, Said};
use crate::devnet::evm::history::View;

/// Blocks in a range and logs in an answer, as providers limit them.
const MAX_RANGE: u64 = 2_000;
const MAX_LOGS: usize = 10_000;

/// Places for topics, addresses and alternatives of a topic.
const MAX_TOPICS: usize = 4;
const MAX_ALTERNATIVES: usize = 1_000;

/// A provider's code for too many results.
const TOO_MANY: i32 = -32005;

/// Which logs are wanted.
struct Filter {
    /// Empty: of all contracts.
    addresses: Vec<Address>,
    /// For each place one of these; empty: any.
    topics: Vec<Vec<B256>>,
}

impl Filter {
    fn takes(&self, log: &Said) -> bool {
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self.topics.len() <= log.topics.len()
            && self.topics.iter().zip(&log.topics).all(|(wanted, topic)| wanted.is_empty() || wanted.contains(topic))
    }

    /// Whether a block can have such logs.
    fn may_be_in(&self, block: &Block) -> bool {
        let has = |bytes: &[u8]| block.bloom.contains_input(alloy_primitives::BloomInput::Raw(bytes));
        (self.addresses.is_empty() || self.addresses.iter().any(|address| has(address.as_slice())))
            && self.topics.iter().all(|wanted| wanted.is_empty() || wanted.iter().any(|topic| has(&topic.0)))
    }
}

/// The logs of a block or a range.
pub(super) fn logs(view: &View<'_>, filter: &Value) -> Answer {
    let Value::Object(members) = filter else {
        return Err(wrong(0, "json: cannot unmarshal into Go value of type filters.input"));
    };
    let member = |name: &str| members.get(name).filter(|value| !value.is_null());
    let read = Filter {
        addresses: read_list(member("address"), address)?,
        topics: match member("topics") {
            None => Vec::new(),
            Some(Value::Array(places)) if places.len() <= MAX_TOPICS => {
                let place = |place: &Value| read_list(Some(place).filter(|place| !place.is_null()), hash);
                places.iter().map(place).collect::<Result<_, _>>()?
            }
            Some(Value::Array(_)) => return Err(Failure::new(INVALID_PARAMS, "exceed max topics")),
            Some(_) => return Err(wrong(0, "invalid topics")),
        },
    };
    let named = |name: &str| member(name).map(block).transpose().map_err(|reason| wrong(0, &reason));
    let (from, to) = (named("fromBlock")?, named("toBlock")?);
    let heights = match member("blockHash") {
        Some(_) if from.is_some() || to.is_some() => {
            return Err(wrong(0, "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other"));
        }
        Some(name) => {
            let hash = hash(name).map_err(|reason| wrong(0, &reason))?;
            let block = view.by_hash(&hash).ok_or_else(|| Failure::new(SERVER_ERROR, "unknown block"))?;
            block.height..=block.height
        }
        None => {
            let height = |which: Option<Which>| which.unwrap_or(Which::Latest).height(view).unwrap_or(0);
            let (from, to) = (height(from), height(to));
            if from > to {
                return Err(Failure::new(INVALID_PARAMS, "invalid block range params"));
            }
            if to - from >= MAX_RANGE {
                return Err(Failure::new(SERVER_ERROR, format!("exceed max block range: {MAX_RANGE}")));
            }
            if from < view.oldest().height {
                return Err(Failure::new(SERVER_ERROR, "header not found"));
            }
            from..=to
        }
    };
    let blocks = heights.filter_map(|height| view.get(height)).filter(|block| read.may_be_in(block));
    let mut found = Vec::new();
    for log in blocks.flat_map(|block| &block.transactions).flat_map(|mined| &mined.logs) {
        if read.takes(log) {
            if found.len() == MAX_LOGS {
                return Err(Failure::new(TOO_MANY, format!("query returned more than {MAX_LOGS} results")));
            }
            found.push(log.json.as_str());
        }
    }
    Ok(format!("[{}]", found.join(",")))
}

/// One thing or a list of them.
fn read_list<T>(value: Option<&Value>, read: fn(&Value) -> Result<T, String>) -> Result<Vec<T>, Failure> {
    let wrong = |reason: String| wrong(0, &reason);
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) if values.len() > MAX_ALTERNATIVES => {
            Err(Failure::new(INVALID_PARAMS, "exceed max addresses or topics per search position"))
        }
        Some(Value::Array(values)) => values.iter().map(read).collect::<Result<_, _>>().map_err(wrong),
        Some(value) => Ok(vec![read(value).map_err(wrong)?]),
    }
}
