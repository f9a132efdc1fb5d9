//! What contracts answer to who only asks: `eth_call`, and their code.

use alloy_dyn_abi::DynSolValue;
use alloy_primitives::{Address, Bytes, U256, hex, keccak256};
use serde_json::Value;

use super::params::{address, data, text, wrong};
use super::{Answer, Failure};
use crate::devnet::evm::action::{encode, number};
use crate::devnet::evm::contracts::{Contract, Token};
use crate::devnet::evm::engine::State;
use crate::devnet::evm::history::View;

/// The code of a contract; empty where there is none.
pub(super) fn code(view: &View<'_>, contract: Address) -> Bytes {
    if let Some(built_in) = built_in(view, contract) {
        return crate::devnet::evm::action::code(keccak256(built_in.name()));
    }
    let created = view.newest_first().flat_map(|block| &block.transactions).filter_map(|mined| mined.created.as_ref());
    created.into_iter().find(|(created, _)| *created == contract).map(|(_, code)| code.clone()).unwrap_or_default()
}

/// The built-in contract at an address, once it is there.
fn built_in(view: &View<'_>, contract: Address) -> Option<Contract> {
    let deployed = view.state().account(view.world.deployer()).nonce as usize;
    Contract::ALL.into_iter().take(deployed).find(|built_in| built_in.address() == contract)
}

/// Answers a call that changes nothing.
pub(super) fn call(view: &View<'_>, call: &Value) -> Answer {
    let member = |name: &str| call.get(name).filter(|value| !value.is_null());
    let to = member("to").map(address).transpose().map_err(|reason| wrong(0, &reason))?;
    let input = member("input").or(member("data")).map(data).transpose().map_err(|reason| wrong(0, &reason))?;
    let reverted = || Failure { code: 3, message: "execution reverted".to_owned(), data: Some("0x") };
    let Some(contract) = to.and_then(|to| built_in(view, to)) else {
        // No code does nothing and says nothing; unknown code does what it likes.
        let has_code = to.is_some_and(|to| !code(view, to).is_empty());
        return if has_code { Err(reverted()) } else { text("0x") };
    };
    let answer = answer(view, contract, &input.unwrap_or_default()).ok_or_else(reverted)?;
    text(hex::encode_prefixed(encode(answer)))
}

fn answer(view: &View<'_>, contract: Contract, input: &[u8]) -> Option<Vec<DynSolValue>> {
    let (selector, arguments) = input.split_first_chunk::<4>()?;
    let is = |signature: &str| keccak256(signature)[..4] == selector[..];
    let words = |words: &[U256]| Some(words.iter().copied().map(number).collect());
    let state = view.state();
    let token = match contract {
        Contract::Pair => {
            return match () {
                () if is("token0()") => Some(vec![DynSolValue::Address(Contract::Coin.address())]),
                () if is("token1()") => Some(vec![DynSolValue::Address(Contract::Dollar.address())]),
                () if is("getReserves()") => words(&[state.reserves[0], state.reserves[1], U256::ZERO]),
                () => None,
            };
        }
        Contract::Board => return if is("postCount()") { words(&[state.posts]) } else { None },
        Contract::Relay => return None,
        Contract::Coin => Token::Coin,
        Contract::Dollar => Token::Dollar,
    };
    let (symbol, decimals) = contract.token()?;
    match () {
        () if is("name()") => Some(vec![DynSolValue::String(contract.name().to_owned())]),
        () if is("symbol()") => Some(vec![DynSolValue::String(symbol.to_owned())]),
        () if is("decimals()") => words(&[U256::from(decimals)]),
        () if is("totalSupply()") => words(&[State::supply(token)]),
        () if is("balanceOf(address)") => {
            let owner = Address::from_slice(arguments.get(12..32)?);
            let has = match view.world.find(owner) {
                Some(who) => state.account(who).tokens[token as usize],
                None if owner == Contract::Pair.address() => state.reserves[token as usize],
                None => U256::ZERO,
            };
            words(&[has])
        }
        () => None,
    }
}
