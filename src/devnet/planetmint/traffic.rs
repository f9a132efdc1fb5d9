//! Who there is, what they own, and what they do in the next block.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::devnet::seed::draw;

/// Outputs that may still be spent; older ones are forgotten.
const UNSPENT: usize = 2_000;
/// As much as there can be of an asset.
const ALL: u64 = 9_000_000_000_000_000_000;

/// What is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// A mixture that decodes to so many broker events.
    Mixed {
        /// How many.
        events: usize,
    },
    /// So many payments, to each account in turn.
    Payments {
        /// How many.
        count: usize,
    },
}

/// One transaction.
pub(super) struct Transaction {
    pub id: String,
    pub text: String,
    pub accepted: bool,
}

/// An output that may be spent.
struct Unspent {
    transaction: String,
    index: usize,
    owner: usize,
    amount: u64,
    asset: String,
}

/// Makes the transactions of one block after the other.
pub(super) struct Traffic {
    seed: u64,
    accounts: Vec<String>,
    contents: Contents,
    unspent: VecDeque<Unspent>,
    /// The account whose turn it is.
    turn: usize,
}

impl Traffic {
    pub fn new(seed: u64, accounts: usize, contents: Contents) -> Traffic {
        let accounts = (0..accounts.max(2)).map(|index| key(seed, "account", index as u64)).collect();
        Traffic { seed, accounts, contents, unspent: VecDeque::new(), turn: 0 }
    }

    pub fn accounts(&self) -> &[String] {
        &self.accounts
    }

    /// The transactions of block `height`.
    pub fn block(&mut self, height: u64) -> Vec<Transaction> {
        let mut chance = ChaCha8Rng::from_seed(draw(self.seed, "planetmint block", height));
        let mut transactions = Vec::new();
        match self.contents {
            Contents::Payments { count } => {
                for _ in 0..count {
                    let to = self.turn % self.accounts.len();
                    self.turn = self.turn.wrapping_add(1);
                    let from = key(self.seed, "issuer", 0);
                    transactions.push(self.create(&mut chance, &from, to, 10));
                }
            }
            Contents::Mixed { events } => {
                let mut left = events.saturating_sub(1);
                while left >= 2 {
                    left -= 2;
                    transactions.push(self.any(&mut chance));
                }
                if left == 1 {
                    transactions.push(self.vote(&mut chance));
                }
                // What the application refuses is in the engine's block all the same.
                if chance.random_ratio(1, 4) {
                    let at = chance.random_range(0..=transactions.len());
                    let mut refused = self.vote(&mut chance);
                    refused.accepted = false;
                    transactions.insert(at, refused);
                }
            }
        }
        transactions
    }

    /// A transaction with one payment.
    fn any(&mut self, chance: &mut ChaCha8Rng) -> Transaction {
        let owner = chance.random_range(0..self.accounts.len());
        match chance.random_range(0..10) {
            0..7 if !self.unspent.is_empty() => self.transfer(chance),
            7 if self.unspent.len() >= 2 => self.compose(chance),
            _ => {
                let amount = [1, 10, 1_000_000, ALL][chance.random_range(0..4)];
                let from = self.accounts[owner].clone();
                self.create(chance, &from, owner, amount)
            }
        }
    }

    fn create(&mut self, chance: &mut ChaCha8Rng, from: &str, to: usize, amount: u64) -> Transaction {
        let asset = json!([{ "data": cid(chance) }]);
        let inputs = json!([input(chance, from, None)]);
        let outputs = vec![(to, amount)];
        self.finish(chance, "CREATE", inputs, outputs, asset, None)
    }

    /// Gives all of an output to somebody else, or a part and the rest back.
    fn transfer(&mut self, chance: &mut ChaCha8Rng) -> Transaction {
        let spent = self.take(chance);
        let from = self.accounts[spent.owner].clone();
        let step = chance.random_range(1..self.accounts.len());
        let to = (spent.owner + step) % self.accounts.len();
        let given = chance.random_range(1..=spent.amount);
        let mut outputs = vec![(to, given)];
        if given < spent.amount {
            outputs.push((spent.owner, spent.amount - given));
        }
        let inputs = json!([input(chance, &from, Some(&spent))]);
        let asset = json!([{ "id": spent.asset }]);
        self.finish(chance, "TRANSFER", inputs, outputs, asset, Some(spent.asset))
    }

    /// Makes one asset out of two outputs.
    fn compose(&mut self, chance: &mut ChaCha8Rng) -> Transaction {
        let parts = [self.take(chance), self.take(chance)];
        let inputs: Vec<Value> =
            parts.iter().map(|part| input(chance, &self.accounts[part.owner], Some(part))).collect();
        let asset = json!([{ "data": cid(chance) }, { "id": parts[0].asset }, { "id": parts[1].asset }]);
        self.finish(chance, "COMPOSE", json!(inputs), vec![(parts[0].owner, 1)], asset, None)
    }

    /// A transaction without a payment.
    fn vote(&mut self, chance: &mut ChaCha8Rng) -> Transaction {
        let voter = self.accounts[chance.random_range(0..self.accounts.len())].clone();
        let election = hex(chance);
        let inputs = json!([input(chance, &voter, None)]);
        let body = json!({
            "inputs": inputs,
            "outputs": [output(&voter, 1)],
            "operation": "VOTE",
            "metadata": null,
            "assets": [{ "id": election }],
            "version": "3.0",
        });
        whole(body)
    }

    fn take(&mut self, chance: &mut ChaCha8Rng) -> Unspent {
        let at = chance.random_range(0..self.unspent.len());
        self.unspent.swap_remove_back(at).expect("it was counted")
    }

    fn finish(
        &mut self,
        chance: &mut ChaCha8Rng,
        operation: &str,
        inputs: Value,
        outputs: Vec<(usize, u64)>,
        assets: Value,
        asset: Option<String>,
    ) -> Transaction {
        let metadata = if chance.random_ratio(1, 3) { json!(cid(chance)) } else { Value::Null };
        let told: Vec<Value> = outputs.iter().map(|(owner, amount)| output(&self.accounts[*owner], *amount)).collect();
        let transaction = whole(json!({
            "inputs": inputs,
            "outputs": told,
            "operation": operation,
            "metadata": metadata,
            "assets": assets,
            "version": "3.0",
        }));
        for (index, (owner, amount)) in outputs.into_iter().enumerate() {
            let asset = asset.clone().unwrap_or_else(|| transaction.id.clone());
            self.unspent.push_back(Unspent { transaction: transaction.id.clone(), index, owner, amount, asset });
        }
        while self.unspent.len() > UNSPENT {
            self.unspent.pop_front();
        }
        transaction
    }
}

/// Gives a transaction its id.
fn whole(mut body: Value) -> Transaction {
    let id: String = Sha256::digest(body.to_string()).iter().map(|byte| format!("{byte:02x}")).collect();
    body["id"] = json!(id);
    Transaction { id, text: body.to_string(), accepted: true }
}

fn input(chance: &mut ChaCha8Rng, owner: &str, spent: Option<&Unspent>) -> Value {
    let fulfills = spent.map(|spent| json!({ "transaction_id": spent.transaction, "output_index": spent.index }));
    let signature: [u8; 32] = chance.random();
    json!({
        "owners_before": [owner],
        "fulfills": fulfills,
        "fulfillment": format!("pGSAI{}", bs58::encode(signature).into_string()),
    })
}

fn output(owner: &str, amount: u64) -> Value {
    json!({
        "public_keys": [owner],
        "condition": {
            "uri": "ni:///sha-256;AAAA?fpt=ed25519-sha-256&cost=131072",
            "details": { "type": "ed25519-sha-256", "public_key": owner },
        },
        "amount": amount.to_string(),
    })
}

/// Looks like the address of something in IPFS.
fn cid(chance: &mut ChaCha8Rng) -> String {
    let digest: [u8; 32] = chance.random();
    bs58::encode([&[0x12, 0x20][..], &digest].concat()).into_string()
}

fn hex(chance: &mut ChaCha8Rng) -> String {
    let bytes: [u8; 32] = chance.random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key(seed: u64, label: &str, index: u64) -> String {
    bs58::encode(draw(seed, label, index)).into_string()
}
