//! A small chain that can be mined and reorganised, and its node with the traps of its kind.

use crate::source::testing::Reply;
use alloy_primitives::{hex, keccak256};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

/// The chain's number.
pub const CHAIN: u64 = 31337;
/// A contract whose every transaction emits one log `Said(uint256 number)`.
pub const BOARD: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";
/// Who sends.
pub const SENDER: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";

/// The ABI of [`BOARD`].
pub fn abi() -> Value {
    json!([
        { "type": "event", "name": "Said", "anonymous": false, "inputs": [{ "name": "number", "type": "uint256", "indexed": false }] },
        { "type": "function", "name": "say", "inputs": [], "outputs": [], "stateMutability": "nonpayable" },
    ])
}

/// A block and its receipts, as a node writes them.
#[derive(Clone)]
pub struct Mined {
    pub block: Value,
    pub receipts: Vec<Value>,
}

impl Mined {
    pub fn hash(&self) -> String {
        self.block["hash"].as_str().unwrap().to_owned()
    }
}

/// A hash of anything.
pub fn hash_of(what: &str) -> String {
    hex::encode_prefixed(keccak256(what))
}

/// What a node does besides answering.
pub type Twist = Box<dyn FnMut(&str, &Value) -> Option<Reply> + Send>;

/// A node that serves a chain.
pub struct Node {
    /// The canonical blocks, from block 0.
    pub chain: Vec<Mined>,
    /// Blocks that were replaced, by hash, if the node keeps them.
    pub replaced: HashMap<String, Mined>,
    pub keeps_replaced: bool,
    /// Number of the next message: every transaction of the chain says another one, on all forks.
    pub said: u64,
    /// The head that the node tells, where it is not the chain's.
    pub head: Option<u64>,
    /// What the chain calls final.
    pub tag: Option<u64>,
    pub chain_id: u64,
    /// Answers given instead, one each, before it works.
    pub faults: VecDeque<Reply>,
    /// Methods that it does not have.
    pub lacks: HashSet<&'static str>,
    /// Asked before anything else.
    pub twist: Option<Twist>,
    /// Every method asked, in order.
    pub asked: Vec<String>,
}

pub type SharedNode = Arc<Mutex<Node>>;

impl Node {
    /// A node of a chain with a first block and `blocks` on top of it, with one transaction each.
    pub fn new(blocks: usize) -> SharedNode {
        let mut node = Node {
            chain: Vec::new(),
            replaced: HashMap::new(),
            keeps_replaced: false,
            said: 1,
            head: None,
            tag: None,
            chain_id: CHAIN,
            faults: VecDeque::new(),
            lacks: HashSet::new(),
            twist: None,
            asked: Vec::new(),
        };
        node.mine(0);
        for _ in 0..blocks {
            node.mine(1);
        }
        Arc::new(Mutex::new(node))
    }

    pub fn top(&self) -> u64 {
        self.chain.len() as u64 - 1
    }

    /// Mines a block of transactions that all say something new.
    pub fn mine(&mut self, transactions: usize) {
        let said: Vec<u64> = (0..transactions as u64).map(|at| self.said + at).collect();
        self.said += transactions as u64;
        self.mine_again(&said);
    }

    /// Mines a block of transactions that say these, which may have been said on a fork that is gone.
    pub fn mine_again(&mut self, said: &[u64]) {
        let number = self.chain.len() as u64;
        let parent = self.chain.last().map_or_else(|| format!("0x{}", "0".repeat(64)), Mined::hash);
        let hash = hash_of(&format!("{number} on {parent} says {said:?}, {}", self.said));
        let at = |index: usize| (format!("{number:#x}"), format!("{index:#x}"));
        let transactions: Vec<Value> = said
            .iter()
            .enumerate()
            .map(|(index, said)| {
                json!({
                    "type": "0x2", "hash": hash_of(&format!("transaction {said}")), "blockHash": hash, "blockNumber": at(index).0,
                    "transactionIndex": at(index).1, "from": SENDER, "to": BOARD, "value": "0x0", "gas": "0x5208",
                    "gasPrice": "0x7", "input": "0x", "nonce": "0x1",
                })
            })
            .collect();
        let receipts = said
            .iter()
            .enumerate()
            .map(|(index, said)| {
                let transaction = hash_of(&format!("transaction {said}"));
                let log = json!({
                    "address": BOARD, "topics": [hash_of("Said(uint256)")], "data": format!("0x{said:064x}"), "blockHash": hash,
                    "transactionHash": transaction, "transactionIndex": at(index).1, "logIndex": at(index).1, "removed": false,
                });
                json!({
                    "transactionHash": transaction, "blockHash": hash, "blockNumber": at(index).0, "transactionIndex": at(index).1,
                    "status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x7", "contractAddress": null, "logs": [log],
                })
            })
            .collect();
        let bloom = if said.is_empty() { "00" } else { "01" };
        let block = json!({
            "number": at(0).0, "hash": hash, "parentHash": parent, "timestamp": format!("{:#x}", 1_700_000_000 + number * 2),
            "logsBloom": format!("0x{}", bloom.repeat(256)), "transactions": transactions,
        });
        self.chain.push(Mined { block, receipts });
    }

    /// Throws the newest blocks away.
    pub fn revert(&mut self, depth: usize) {
        let gone = self.chain.split_off(self.chain.len() - depth);
        if self.keeps_replaced {
            self.replaced.extend(gone.into_iter().map(|mined| (mined.hash(), mined)));
        }
    }

    /// What the canonical blocks up to one say, in order.
    pub fn says(&self, last: u64) -> Vec<u64> {
        let logs = self.chain.iter().take(last as usize + 1).flat_map(|mined| &mined.receipts);
        logs.map(|receipt| {
            let data = receipt["logs"][0]["data"].as_str().unwrap();
            u64::from_str_radix(&data[50..], 16).unwrap()
        })
        .collect()
    }

    fn by_hash(&self, hash: &Value) -> Option<&Mined> {
        let hash = hash.get("blockHash").unwrap_or(hash).as_str()?;
        self.chain.iter().find(|mined| mined.hash() == hash).or_else(|| self.replaced.get(hash))
    }

    fn by_number(&self, number: &Value) -> Option<&Mined> {
        let number = match number.as_str()? {
            "earliest" => 0,
            "safe" | "finalized" => self.tag?,
            number => u64::from_str_radix(number.strip_prefix("0x")?, 16).ok()?,
        };
        self.chain.get(number as usize)
    }

    /// Answers a call.
    pub fn answer(&mut self, method: &str, params: &Value) -> Reply {
        self.asked.push(method.to_owned());
        if let Some(fault) = self.faults.pop_front() {
            return fault;
        }
        if let Some(mut twist) = self.twist.take() {
            let twisted = twist(method, params);
            self.twist = Some(twist);
            if let Some(reply) = twisted {
                return reply;
            }
        }
        if self.lacks.contains(method) {
            return Reply::Error(-32601, "Method not found".into());
        }
        let block = |mined: Option<&Mined>| Reply::Result(mined.map_or(Value::Null, |mined| mined.block.clone()));
        match method {
            "eth_chainId" => Reply::Result(format!("{:#x}", self.chain_id).into()),
            "eth_blockNumber" => Reply::Result(format!("{:#x}", self.head.unwrap_or(self.top())).into()),
            "eth_getBlockByNumber" => block(self.by_number(&params[0])),
            "eth_getBlockByHash" => block(self.by_hash(&params[0])),
            "eth_getBlockReceipts" => {
                Reply::Result(self.by_hash(&params[0]).map_or(Value::Null, |mined| mined.receipts.clone().into()))
            }
            "eth_getTransactionReceipt" => {
                let mut all = self.chain.iter().flat_map(|mined| &mined.receipts);
                let found = all.rfind(|receipt| receipt["transactionHash"] == params[0]);
                Reply::Result(found.cloned().unwrap_or(Value::Null))
            }
            "eth_call" => Reply::Error(3, "execution reverted".into()),
            other => panic!("{other} was called"),
        }
    }
}
