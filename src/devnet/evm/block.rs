//! Makes a block: transactions one after the other, the header, the hash, and the JSON of all of it.

use std::collections::VecDeque;
use std::sync::Arc;

use alloy_primitives::{Address, B256, Bloom, Bytes, b256, hex, keccak256};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::action::code;
use super::engine::{Log, Outcome, State};
use super::rlp::List;
use super::traffic;
use super::transaction::{Transaction, quantity};
use super::world::World;

/// Gas that a block may use.
const GAS_LIMIT: u64 = 30_000_000_000;

/// The hash of an empty list, in place of uncles.
const NO_UNCLES: B256 = b256!("0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// What the logs of a token's transfer and of a pair's swap begin with.
const TRANSFER: B256 = b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
const SWAP: B256 = b256!("0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822");

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Everything that happens on a chain, of this many broker events or a few more.
    Mixed {
        /// How many.
        events: usize,
    },
    /// Nothing but so many payments, to each account in turn.
    Payments {
        /// How many.
        count: usize,
    },
}

/// Where a block stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub height: u64,
    /// How many blocks of this height there were before it.
    pub version: u64,
    pub parent: B256,
    /// Unix seconds.
    pub time: u64,
}

/// A block, ready for answers.
pub(super) struct Block {
    pub height: u64,
    pub hash: B256,
    pub bloom: Bloom,
    /// The members of its JSON but for the transactions, without braces.
    pub header: String,
    pub transactions: Vec<Mined>,
}

/// A transaction in a block.
pub(super) struct Mined {
    pub hash: B256,
    pub json: String,
    /// The members of its receipt but for the logs, without braces.
    pub receipt: String,
    pub logs: Vec<Said>,
    /// The contract that it created, and its code.
    pub created: Option<(Address, Bytes)>,
}

/// A log in a block.
pub(super) struct Said {
    pub address: Address,
    pub topics: Vec<B256>,
    pub json: String,
}

impl Block {
    /// Bytes in memory, about.
    pub fn weight(&self) -> usize {
        let log = |log: &Said| size_of::<Said>() + log.topics.len() * 32 + log.json.len();
        let transaction = |mined: &Mined| {
            let code = mined.created.as_ref().map_or(0, |(_, code)| code.len());
            size_of::<Mined>()
                + mined.json.len()
                + mined.receipt.len()
                + code
                + mined.logs.iter().map(log).sum::<usize>()
        };
        size_of::<Block>() + self.header.len() + self.transactions.iter().map(transaction).sum::<usize>()
    }

    /// The JSON of a whole block, with its transactions or with their hashes.
    pub fn json(&self, full: bool) -> String {
        let transactions: Vec<String> = match full {
            true => self.transactions.iter().map(|mined| mined.json.clone()).collect(),
            false => self.transactions.iter().map(|mined| format!("\"{:#x}\"", mined.hash)).collect(),
        };
        format!(r#"{{{},"transactions":[{}]}}"#, self.header, transactions.join(","))
    }

    /// The JSON of all receipts.
    pub fn receipts(&self) -> String {
        let receipts: Vec<String> = self.transactions.iter().map(Mined::receipt).collect();
        format!("[{}]", receipts.join(","))
    }
}

impl Mined {
    /// The JSON of its receipt.
    pub fn receipt(&self) -> String {
        let logs: Vec<&str> = self.logs.iter().map(|log| log.json.as_str()).collect();
        format!(r#"{{{},"logs":[{}]}}"#, self.receipt, logs.join(","))
    }
}

/// Wei that are burnt for each unit of gas.
fn base_fee(height: u64) -> u64 {
    1_000_000_000 + height % 97 * 10_000_019
}

/// Carries out `carried`, which come from blocks that were replaced, and after them what is new: nothing, or what
/// `contents` says. Gives all of them in their order.
pub(super) fn make(
    world: &World,
    state: &mut State,
    place: Place,
    carried: Vec<Arc<Transaction>>,
    new: Option<Contents>,
) -> (Block, Vec<Arc<Transaction>>) {
    let mut draft = Draft { world, state, base_fee: base_fee(place.height), done: Vec::new(), events: 1 };
    for transaction in carried {
        draft.carry_out(transaction);
    }
    let mut rng = world.chance("evm block", place.height);
    match new {
        None => {}
        Some(Contents::Payments { count }) => draft.payments(&mut rng, place.height, count),
        Some(Contents::Mixed { events }) => draft.mixture(&mut rng, place.height, events),
    }
    let Draft { base_fee, done, .. } = draft;
    let block = assemble(world, place, base_fee, &done);
    (block, done.into_iter().map(|(transaction, _)| transaction).collect())
}

struct Draft<'a> {
    world: &'a World,
    state: &'a mut State,
    base_fee: u64,
    done: Vec<(Arc<Transaction>, Outcome)>,
    /// Broker events so far.
    events: usize,
}

impl Draft<'_> {
    fn carry_out(&mut self, transaction: Arc<Transaction>) {
        let outcome = self.state.execute(self.world, &transaction, self.base_fee);
        self.events += cost(&transaction, &outcome);
        self.done.push((transaction, outcome));
    }

    fn send(&mut self, rng: &mut ChaCha8Rng, from: usize, action: super::action::Action) {
        let nonce = self.state.account(from).nonce;
        self.carry_out(Arc::new(Transaction::new(self.world, from, nonce, action, traffic::fees(rng))));
    }

    fn payments(&mut self, rng: &mut ChaCha8Rng, height: u64, count: usize) {
        for number in 0..count as u64 {
            let to = self.world.in_turn(height * count as u64 + number);
            let action = traffic::payment(rng, to);
            self.send(rng, self.world.deployer(), action);
        }
    }

    fn mixture(&mut self, rng: &mut ChaCha8Rng, height: u64, events: usize) {
        match height {
            0 => {}
            1 => traffic::beginning().for_each(|action| self.send(rng, self.world.deployer(), action)),
            _ => {
                while self.events < events {
                    let (who, action) = traffic::next(rng, self.world, self.state);
                    self.send(rng, who, action);
                }
            }
        }
    }
}

/// Broker events of a transaction, for a source that follows all built-in contracts.
fn cost(transaction: &Transaction, outcome: &Outcome) -> usize {
    let paid = outcome.success && !transaction.value.is_zero();
    let logs = outcome.logs.iter();
    let tells = |topic: B256| outcome.logs.iter().filter(|log| log.topics.first() == Some(&topic)).count();
    // Transfers of tokens are payments, and swaps trades.
    1 + usize::from(transaction.to.is_none()) + usize::from(paid) + logs.len() + tells(TRANSFER) + tells(SWAP)
}

fn assemble(world: &World, place: Place, base_fee: u64, done: &[(Arc<Transaction>, Outcome)]) -> Block {
    let mut bloom = Bloom::ZERO;
    let mut blooms = VecDeque::new();
    for (_, outcome) in done {
        let mut own = Bloom::ZERO;
        for log in &outcome.logs {
            own.accrue_raw_log(log.contract.address(), &log.topics);
        }
        bloom.accrue_bloom(&own);
        blooms.push_back(own);
    }
    let hashes: Vec<u8> = done.iter().flat_map(|(transaction, _)| transaction.hash.0).collect();
    let results: Vec<u8> = done
        .iter()
        .flat_map(|(_, outcome)| {
            let logs = outcome.logs.iter().flat_map(|log| log.data.iter().copied());
            outcome.gas_used.to_be_bytes().into_iter().chain(logs)
        })
        .collect();
    let gas_used: u64 = done.iter().map(|(_, outcome)| outcome.gas_used).sum();
    let mix = world.word("evm mix", place.height << 8 | place.version & 0xff);
    let (state_root, transactions_root, receipts_root) =
        (keccak256([place.parent.0, mix.0].concat()), keccak256(hashes), keccak256(results));
    let extra = b"ledgercast devnet";
    let header = List::default()
        .bytes(&place.parent.0)
        .bytes(&NO_UNCLES.0)
        .bytes(Address::ZERO.as_slice())
        .bytes(&state_root.0)
        .bytes(&transactions_root.0)
        .bytes(&receipts_root.0)
        .bytes(bloom.data())
        .number(0u64)
        .number(place.height)
        .number(GAS_LIMIT)
        .number(gas_used)
        .number(place.time)
        .bytes(extra)
        .bytes(&mix.0)
        .bytes(&[0; 8])
        .number(base_fee)
        .encode();
    let size = header.len() + done.iter().map(|(transaction, _)| transaction.input.len() + 110).sum::<usize>();
    let hash = keccak256(header);
    let json = json!({
        "number": quantity(place.height), "hash": hash, "parentHash": place.parent, "timestamp": quantity(place.time),
        "sha3Uncles": NO_UNCLES, "miner": Address::ZERO, "stateRoot": state_root, "transactionsRoot": transactions_root,
        "receiptsRoot": receipts_root, "logsBloom": bloom, "difficulty": "0x0", "gasLimit": quantity(GAS_LIMIT),
        "gasUsed": quantity(gas_used), "extraData": hex::encode_prefixed(extra), "mixHash": mix,
        "nonce": "0x0000000000000000", "baseFeePerGas": quantity(base_fee), "size": quantity(size as u64), "uncles": [],
    });
    let block = In { height: place.height, hash, time: place.time, base_fee };
    let (mut gas, mut logs) = (0, 0);
    let mut transactions = Vec::with_capacity(done.len());
    for (at, ((transaction, outcome), own)) in done.iter().zip(blooms).enumerate() {
        gas += outcome.gas_used;
        transactions.push(block.mined(at, transaction, outcome, &own, gas, logs));
        logs += outcome.logs.len();
    }
    Block { height: place.height, hash, bloom, header: members(&json), transactions }
}

/// The block that something is in.
struct In {
    height: u64,
    hash: B256,
    time: u64,
    base_fee: u64,
}

impl In {
    fn mined(
        &self,
        at: usize,
        transaction: &Transaction,
        outcome: &Outcome,
        bloom: &Bloom,
        cumulative: u64,
        logs_before: usize,
    ) -> Mined {
        let index = quantity(at as u64);
        let receipt = json!({
            "transactionHash": transaction.hash, "transactionIndex": index, "blockHash": self.hash,
            "blockNumber": quantity(self.height), "from": transaction.sender, "to": transaction.to,
            "status": quantity(u64::from(outcome.success)), "type": transaction.kind(), "gasUsed": quantity(outcome.gas_used),
            "cumulativeGasUsed": quantity(cumulative), "effectiveGasPrice": quantity(outcome.price),
            "contractAddress": outcome.contract, "logsBloom": bloom,
        });
        let said = |(place, log): (usize, &Log)| {
            let json = json!({
                "address": log.contract.address(), "topics": log.topics, "data": hex::encode_prefixed(&log.data),
                "blockHash": self.hash, "blockNumber": quantity(self.height), "blockTimestamp": quantity(self.time),
                "transactionHash": transaction.hash, "transactionIndex": index,
                "logIndex": quantity((logs_before + place) as u64), "removed": false,
            });
            Said { address: log.contract.address(), topics: log.topics.clone(), json: json.to_string() }
        };
        let created = outcome.contract.filter(|_| outcome.success);
        Mined {
            hash: transaction.hash,
            json: transaction.json(self.hash, self.height, self.base_fee, at).to_string(),
            receipt: members(&receipt),
            logs: outcome.logs.iter().enumerate().map(said).collect(),
            created: created.map(|contract| (contract, code(contract.into_word()))),
        }
    }
}

/// An object's JSON without the braces.
fn members(object: &Value) -> String {
    let text = object.to_string();
    text[1..text.len() - 1].to_owned()
}

/// The sum of what accounts have, for tests.
#[cfg(test)]
pub(super) fn total(world: &World, state: &State, token: super::contracts::Token) -> alloy_primitives::U256 {
    let held: alloy_primitives::U256 =
        (0..world.everybody()).map(|who| state.account(who).tokens[token as usize]).sum();
    held + state.reserves[token as usize]
}
