//! A signed transaction: its fields, its hash, its JSON.

use alloy_primitives::ruint::UintTryFrom;
use alloy_primitives::{Address, B256, U256, hex, keccak256};
use serde_json::{Value, json};

use super::action::Action;
use super::rlp::List;
use super::world::{CHAIN_ID, Who, World};

/// What every transaction costs, and every one that creates a contract besides.
const BASE_GAS: u64 = 21_000;
const CREATE_GAS: u64 = 32_000;

/// A signed transaction. It stays the same when a reorganisation moves it.
#[derive(Debug)]
pub(super) struct Transaction {
    pub from: Who,
    pub sender: Address,
    pub nonce: u64,
    pub action: Action,
    pub to: Option<Address>,
    pub value: U256,
    pub input: Vec<u8>,
    /// The most gas that it may use.
    pub gas: u64,
    fees: Fees,
    pub hash: B256,
    /// r, s and the parity; they only look as they should.
    signature: (U256, U256, bool),
}

/// What is offered for a unit of gas, in wei.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fees {
    /// As before EIP-1559.
    Legacy { price: u64 },
    /// At most so much, of which so much is for who makes the block.
    Dynamic { most: u64, tip: u64 },
}

impl Transaction {
    pub fn new(world: &World, from: Who, nonce: u64, action: Action, fees: Fees) -> Transaction {
        let (to, value, input) = (action.to(world), action.value(), action.input(world, from));
        let enough = sending(&input, to.is_none()) + action.work();
        // As wallets do: a fifth more than it takes.
        let gas = enough + enough / 5;
        let mut one = Transaction {
            from,
            sender: world.address(from),
            nonce,
            action,
            to,
            value,
            input,
            gas,
            fees,
            hash: B256::ZERO,
            signature: (U256::ZERO, U256::ZERO, false),
        };
        let unsigned = keccak256(one.encode());
        let [r, s] = [1u8, 2].map(|part| keccak256([unsigned.as_slice(), one.sender.as_slice(), &[part]].concat()));
        // The lower half of the values, as is the law for s.
        one.signature = (r.into(), U256::from_be_bytes(s.0) >> 1, unsigned[31] % 2 == 1);
        one.hash = keccak256(one.encode());
        one
    }

    /// Gas for what is sent alone.
    pub fn sending(&self) -> u64 {
        sending(&self.input, self.to.is_none())
    }

    /// What is paid for a unit of gas where the block's base fee is this.
    pub fn price(&self, base_fee: u64) -> u64 {
        match self.fees {
            Fees::Legacy { price } => price,
            Fees::Dynamic { most, tip } => most.min(base_fee + tip),
        }
    }

    /// The form that is sent around, and hashed.
    fn encode(&self) -> Vec<u8> {
        let to = self.to.as_ref().map_or(&[][..], |to| to.as_slice());
        let (r, s, odd) = self.signature;
        match self.fees {
            Fees::Legacy { price } => List::default()
                .number(self.nonce)
                .number(price)
                .number(self.gas)
                .bytes(to)
                .number(self.value)
                .bytes(&self.input)
                .number(CHAIN_ID * 2 + 35 + u64::from(odd))
                .number(r)
                .number(s)
                .encode(),
            Fees::Dynamic { most, tip } => {
                let fields = List::default()
                    .number(CHAIN_ID)
                    .number(self.nonce)
                    .number(tip)
                    .number(most)
                    .number(self.gas)
                    .bytes(to)
                    .number(self.value)
                    .bytes(&self.input)
                    .list(List::default())
                    .number(u64::from(odd))
                    .number(r)
                    .number(s);
                [vec![2], fields.encode()].concat()
            }
        }
    }

    /// `0x0` or `0x2`.
    pub fn kind(&self) -> &'static str {
        match self.fees {
            Fees::Legacy { .. } => "0x0",
            Fees::Dynamic { .. } => "0x2",
        }
    }

    /// As a node shows it in a block of this hash, height and base fee, at this place.
    pub fn json(&self, block: B256, height: u64, base_fee: u64, at: usize) -> Value {
        let (r, s, odd) = self.signature;
        let mut json = json!({
            "blockHash": block, "blockNumber": quantity(height), "transactionIndex": quantity(at as u64),
            "from": self.sender, "to": self.to, "value": quantity(self.value), "input": hex::encode_prefixed(&self.input),
            "gas": quantity(self.gas), "gasPrice": quantity(self.price(base_fee)), "nonce": quantity(self.nonce),
            "hash": self.hash, "type": self.kind(), "chainId": quantity(CHAIN_ID),
            "r": quantity(r), "s": quantity(s),
        });
        match self.fees {
            Fees::Legacy { .. } => json["v"] = quantity(CHAIN_ID * 2 + 35 + u64::from(odd)).into(),
            Fees::Dynamic { most, tip } => {
                json["maxFeePerGas"] = quantity(most).into();
                json["maxPriorityFeePerGas"] = quantity(tip).into();
                json["accessList"] = json!([]);
                json["v"] = quantity(u64::from(odd)).into();
                json["yParity"] = quantity(u64::from(odd)).into();
            }
        }
        json
    }
}

/// Gas for an input, and for creating a contract of it.
fn sending(input: &[u8], creates: bool) -> u64 {
    let bytes: u64 = input.iter().map(|byte| if *byte == 0 { 4 } else { 16 }).sum();
    BASE_GAS + bytes + if creates { CREATE_GAS } else { 0 }
}

/// A number as the protocol writes it.
pub(super) fn quantity<T>(number: T) -> String
where
    U256: UintTryFrom<T>,
{
    format!("{:#x}", U256::from(number))
}
