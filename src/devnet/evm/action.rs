//! What somebody wants of the chain, and how that is said: to whom, with how much, with which input.

use alloy_dyn_abi::DynSolValue;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use super::contracts::{Contract, Token};
use super::world::{Who, World};

/// What a transaction is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The coin of the chain, from account to account.
    Pay { to: Who, value: U256 },
    /// Bytes for an account, which does nothing with them.
    Message { to: Who, text: String },
    /// One of the built-in contracts comes about.
    BuildIn(Contract),
    /// A contract that nobody knows. Its constructor may fail.
    Create { salt: B256, fails: bool },
    /// Some tokens. `tail`: bytes after the arguments, as some senders append them.
    Transfer { token: Token, to: Who, amount: U256, tail: Vec<u8> },
    /// The pair may take tokens of the sender.
    Approve { token: Token, amount: U256 },
    /// Both tokens for the pair, for nothing.
    Provide { amounts: [U256; 2] },
    /// A token for the other, at the pair's price, or nothing if that is bad.
    Sell { token: Token, amount: U256, least: U256, to: Who },
    /// A post on the board; one without a title is refused.
    Post(Post),
    /// The same through the relay.
    Relayed(Post),
    /// Some words for a post.
    Label { post: U256, labels: Vec<String> },
    /// A struct and a list of numbers of every size.
    Offer { price: U256, note: String, sizes: Vec<U256> },
    /// Something for the board, by a method.
    Tip { value: U256 },
    /// The same without a word.
    Give { value: U256 },
    /// A method that the board does not have.
    Unknown { input: [u8; 12] },
    /// Too few arguments.
    Cut { to: Who },
}

/// What is written on the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Post {
    pub title: String,
    pub body: String,
    pub url: String,
}

impl Action {
    /// To whom it is sent; `None` creates a contract.
    pub fn to(&self, world: &World) -> Option<Address> {
        let contract = match self {
            Action::Pay { to, .. } | Action::Message { to, .. } => return Some(world.address(*to)),
            Action::BuildIn(_) | Action::Create { .. } => return None,
            Action::Transfer { token, .. } | Action::Approve { token, .. } => token.contract(),
            Action::Cut { .. } => Contract::Coin,
            Action::Provide { .. } | Action::Sell { .. } => Contract::Pair,
            Action::Relayed(_) => Contract::Relay,
            Action::Post(_)
            | Action::Label { .. }
            | Action::Offer { .. }
            | Action::Tip { .. }
            | Action::Give { .. }
            | Action::Unknown { .. } => Contract::Board,
        };
        Some(contract.address())
    }

    /// The coin sent along.
    pub fn value(&self) -> U256 {
        match self {
            Action::Pay { value, .. } | Action::Tip { value } | Action::Give { value } => *value,
            _ => U256::ZERO,
        }
    }

    /// What is sent along otherwise.
    pub fn input(&self, world: &World, from: Who) -> Vec<u8> {
        let account = |who: Who| DynSolValue::Address(world.address(who));
        match self {
            Action::Pay { .. } | Action::Give { .. } => Vec::new(),
            Action::Message { text, .. } => text.clone().into_bytes(),
            Action::BuildIn(contract) => init_code(keccak256(contract.name())),
            Action::Create { salt, .. } => init_code(*salt),
            Action::Transfer { to, amount, tail, .. } => {
                let mut input = call("transfer(address,uint256)", vec![account(*to), number(*amount)]);
                input.extend_from_slice(tail);
                input
            }
            Action::Approve { amount, .. } => {
                let spender = DynSolValue::Address(Contract::Pair.address());
                call("approve(address,uint256)", vec![spender, number(*amount)])
            }
            Action::Provide { amounts } => call(
                "provide(uint256[2])",
                vec![DynSolValue::FixedArray(amounts.iter().copied().map(number).collect())],
            ),
            Action::Sell { token, amount, least, to } => {
                let token = DynSolValue::Address(token.contract().address());
                let arguments = vec![token, number(*amount), number(*least), account(*to)];
                call("sell(address,uint256,uint256,address)", arguments)
            }
            Action::Post(post) => post.input(),
            Action::Relayed(post) => {
                let target = DynSolValue::Address(Contract::Board.address());
                call("relay(address,bytes)", vec![target, DynSolValue::Bytes(post.input())])
            }
            Action::Label { post, labels } => call("label(uint256,string[])", vec![number(*post), texts(labels)]),
            Action::Offer { price, note, sizes } => {
                let offer = offer(*price, world.address(from), note);
                call("offer((uint256,address,string),uint256[])", vec![offer, numbers(sizes)])
            }
            Action::Tip { .. } => call("tip()", Vec::new()),
            Action::Unknown { input } => input.to_vec(),
            Action::Cut { to } => {
                let mut input = call("transfer(address,uint256)", vec![account(*to), number(U256::ZERO)]);
                input.truncate(40);
                input
            }
        }
    }

    /// Gas for what is done, beside that for what is sent.
    pub fn work(&self) -> u64 {
        match self {
            Action::Pay { .. } | Action::Message { .. } => 0,
            Action::Give { .. } => 2_300,
            Action::BuildIn(_) | Action::Create { .. } => 400_000,
            Action::Transfer { .. } => 29_000,
            Action::Approve { .. } => 24_000,
            Action::Provide { .. } | Action::Sell { .. } => 85_000,
            Action::Post(_) | Action::Label { .. } | Action::Offer { .. } => 40_000,
            Action::Relayed(_) => 48_000,
            Action::Tip { .. } => 9_000,
            Action::Unknown { .. } | Action::Cut { .. } => 300,
        }
    }
}

impl Post {
    fn input(&self) -> Vec<u8> {
        let words = [self.title.as_str(), &self.body, &self.url, "none"];
        call("addPost(string,string,string,string)", words.map(|word| word.to_owned().into()).into())
    }
}

/// A call's selector and arguments.
fn call(signature: &str, arguments: Vec<DynSolValue>) -> Vec<u8> {
    let mut input = keccak256(signature)[..4].to_vec();
    input.extend(encode(arguments));
    input
}

/// Arguments of a call or data of a log.
pub(super) fn encode(values: Vec<DynSolValue>) -> Vec<u8> {
    DynSolValue::Tuple(values).abi_encode_params()
}

pub(super) fn number(number: U256) -> DynSolValue {
    DynSolValue::Uint(number, 256)
}

pub(super) fn numbers(numbers: &[U256]) -> DynSolValue {
    DynSolValue::Array(numbers.iter().copied().map(number).collect())
}

pub(super) fn texts(texts: &[String]) -> DynSolValue {
    DynSolValue::Array(texts.iter().cloned().map(DynSolValue::String).collect())
}

/// The struct of [`Action::Offer`].
pub(super) fn offer(price: U256, maker: Address, note: &str) -> DynSolValue {
    DynSolValue::Tuple(vec![number(price), DynSolValue::Address(maker), DynSolValue::String(note.to_owned())])
}

/// Code as a compiler makes it at the beginning and nobody does after it.
fn init_code(salt: B256) -> Vec<u8> {
    [&[0x60, 0x80, 0x60, 0x40, 0x52], &code(salt)[..]].concat()
}

/// Code as it would stand on the chain.
pub(super) fn code(salt: B256) -> Bytes {
    (0..12u8).flat_map(|part| keccak256([salt.as_slice(), &[part]].concat()).0).collect()
}
