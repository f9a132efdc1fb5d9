//! A small chain and a server that gives it, with faults.

use super::currency::address;
use crate::event::Hash;
use crate::source::testing::Reply;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

/// The forms in which servers give a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// API version 2.
    Second,
    /// API version 1.
    First,
    /// As it was ten years ago.
    Old,
}

/// Consecutive ledgers with payments in them.
#[derive(Clone)]
pub struct Chain {
    pub first: u32,
    pub latest: u32,
    pub transactions: u32,
    /// Enters every hash, so that two chains differ.
    pub salt: u8,
    /// The result of every transaction.
    pub result: &'static str,
}

fn hash(parts: &[&[u8]]) -> String {
    Hash(Sha256::digest(parts.concat()).into()).to_string().to_uppercase()
}

impl Chain {
    /// `count` ledgers from `first`, each with so many transactions.
    pub fn new(first: u32, count: u32, transactions: u32) -> Chain {
        Chain { first, latest: first + count - 1, transactions, salt: 0, result: "tesSUCCESS" }
    }

    fn hash(&self, index: u32) -> String {
        hash(&[b"ledger", &[self.salt], &index.to_be_bytes()])
    }

    /// The `result` of a `ledger`, if there is that ledger.
    pub fn result(&self, index: u32, shape: Shape) -> Option<Value> {
        if !(self.first..=self.latest).contains(&index) {
            return None;
        }
        let mut transactions: Vec<Value> =
            (0..self.transactions).map(|at| self.transaction(index, at, shape)).collect();
        transactions.sort_by_key(|transaction| transaction["hash"].as_str().unwrap().to_owned());
        let root = if transactions.is_empty() { "0".repeat(64) } else { hash(&[b"root", &index.to_be_bytes()]) };
        let mut ledger = json!({
            "ledger_index": index, "ledger_hash": self.hash(index), "parent_hash": self.hash(index - 1),
            "close_time": 780_000_000 + index, "closed": true, "transaction_hash": root, "transactions": transactions,
            "total_coins": (100_000_000_000_000_000 - u64::from(index) * u64::from(self.transactions) * 10).to_string(),
        });
        if shape != Shape::Second {
            ledger["ledger_index"] = index.to_string().into();
        }
        if shape == Shape::Old {
            ledger["accepted"] = true.into();
            ledger["seqNum"] = index.to_string().into();
        }
        Some(json!({
            "ledger_index": index, "ledger_hash": self.hash(index), "validated": true, "status": "success", "ledger": ledger
        }))
    }

    fn transaction(&self, index: u32, at: u32, shape: Shape) -> Value {
        let hash = hash(&[b"transaction", &[self.salt], &index.to_be_bytes(), &at.to_be_bytes()]);
        let (from, to) = (address(&[1; 20]), address(&[2; 20]));
        let amount = format!("{}", 1_000_000 + at);
        let mut own =
            json!({ "Account": from, "Destination": to, "Fee": "10", "Sequence": index, "TransactionType": "Payment" });
        let root = |account: &str| json!({ "ModifiedNode": { "LedgerEntryType": "AccountRoot", "FinalFields": { "Account": account } } });
        let mut meta = json!({
            "AffectedNodes": [root(&from), root(&to)], "TransactionIndex": at, "TransactionResult": self.result,
        });
        if shape != Shape::Old && self.result == "tesSUCCESS" {
            meta["delivered_amount"] = amount.clone().into();
        }
        if shape == Shape::Second {
            own["DeliverMax"] = amount.into();
            return json!({ "tx_json": own, "meta": meta, "hash": hash, "validated": true, "ledger_index": index });
        }
        own["Amount"] = amount.clone().into();
        if shape == Shape::First {
            own["DeliverMax"] = amount.into();
        }
        own["hash"] = hash.into();
        own["metaData"] = meta;
        own
    }
}

/// Something that goes wrong with one call of a method.
pub enum Fault {
    /// This instead of an answer.
    Say(&'static str, Reply),
    /// The answer, changed.
    Change(&'static str, fn(&mut Value)),
}

impl Fault {
    fn method(&self) -> &'static str {
        match self {
            Fault::Say(method, _) | Fault::Change(method, _) => method,
        }
    }
}

/// A server of the chain.
pub struct Node {
    pub chain: Chain,
    pub shape: Shape,
    /// The newest ledger that it tells of, if that is another than it has.
    pub head: Option<u32>,
    /// The ledgers that it says that it has, if those are others.
    pub complete: Option<String>,
    /// Ledgers that it has not for now.
    pub holes: BTreeSet<u32>,
    pub network: u32,
    /// Seconds since its newest ledger.
    pub age: u64,
    /// Whether API version 2 is unknown to it.
    pub knows_1_alone: bool,
    /// Used up in their order, one for each call of its method.
    pub faults: VecDeque<Fault>,
    /// The ledgers asked for.
    pub asked: Vec<u32>,
    /// Other methods called.
    pub called: Vec<String>,
}

/// A node that its test can change while it serves.
pub type SharedNode = Rc<RefCell<Node>>;

impl Node {
    /// A server without faults.
    pub fn new(chain: Chain) -> SharedNode {
        Rc::new(RefCell::new(Node {
            chain,
            shape: Shape::Second,
            head: None,
            complete: None,
            holes: BTreeSet::new(),
            network: 0,
            age: 1,
            knows_1_alone: false,
            faults: VecDeque::new(),
            asked: Vec::new(),
            called: Vec::new(),
        }))
    }

    /// What it says to a call.
    pub fn answer(&mut self, method: &str, params: &Value) -> Reply {
        let params = &params[0];
        if self.knows_1_alone && params["api_version"] != 1 {
            return Reply::Text(400, "invalid_API_version");
        }
        let mut result = self.result(method, params);
        let fault = self.faults.iter().position(|fault| fault.method() == method);
        match fault.and_then(|at| self.faults.remove(at)) {
            Some(Fault::Say(_, reply)) => return reply,
            Some(Fault::Change(_, change)) => change(&mut result),
            None => {}
        }
        Reply::Body(json!({ "result": result }).to_string().into_bytes())
    }

    fn result(&mut self, method: &str, params: &Value) -> Value {
        let Chain { first, latest, .. } = self.chain;
        let seq = self.head.unwrap_or(latest);
        let complete = self.complete.clone().unwrap_or_else(|| format!("{first}-{latest}"));
        if method == "ledger" {
            let index = params["ledger_index"].as_u64().unwrap() as u32;
            self.asked.push(index);
            assert!(params["transactions"] == true && params["expand"] == true && params["owner_funds"] == true);
            let there = self.chain.result(index, self.shape).filter(|_| !self.holes.contains(&index));
            return there.unwrap_or_else(
                || json!({ "error": "lgrNotFound", "error_code": 21, "error_message": "ledgerNotFound", "status": "error" }),
            );
        }
        self.called.push(method.to_owned());
        match method {
            "server_info" => json!({ "status": "success", "info": {
                "complete_ledgers": complete, "network_id": self.network, "server_state": "full",
                "validated_ledger": { "seq": seq, "hash": "", "age": self.age, "base_fee_xrp": 1e-05, "reserve_base_xrp": 1,
                    "reserve_inc_xrp": 0.2 },
            } }),
            "server_state" => json!({ "status": "success", "state": {
                "validated_ledger": { "seq": seq, "base_fee": 12, "reserve_base": 1_000_000, "reserve_inc": 200_000 },
            } }),
            "server_definitions" => json!({ "status": "success", "TRANSACTION_RESULTS": { "tecFROM_LATER": 201 } }),
            _ => json!({ "status": "error", "error": "unknownCmd", "error_code": 32 }),
        }
    }
}
