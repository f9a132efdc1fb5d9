//! What each method answers.

use super::params::{Params, Which, text};
use super::{Answer, Failure, METHOD_NOT_FOUND, SERVER_ERROR, calls, logs};
use crate::devnet::evm::block::{Block, Mined};
use crate::devnet::evm::history::{Network, View};
use crate::devnet::evm::transaction::quantity;
use crate::devnet::evm::world::CHAIN_ID;
use serde_json::Value;

/// What a wallet should offer, wei for a unit of gas.
const GAS_PRICE: u64 = 3_000_000_000;

/// Calls a method.
pub(super) fn call(network: &Network, method: &str, params: &[Value]) -> Answer {
    let view = network.view();
    let params = Params(params);
    let or_null = |found: Option<String>| Ok(found.unwrap_or_else(|| "null".to_owned()));
    match method {
        "web3_clientVersion" => text(concat!("ledgercast-devnet/v", env!("CARGO_PKG_VERSION"))),
        "net_version" => text(CHAIN_ID),
        "net_listening" => Ok("true".to_owned()),
        "eth_chainId" => text(quantity(CHAIN_ID)),
        "eth_syncing" => Ok("false".to_owned()),
        "eth_accounts" => Ok("[]".to_owned()),
        "eth_gasPrice" => text(quantity(GAS_PRICE)),
        "eth_blockNumber" => text(quantity(view.newest().height)),
        "eth_getBlockByNumber" => {
            params.at_most(2)?;
            block(&view, params.block(0)?, params.boolean(1)?)
        }
        "eth_getBlockByHash" => {
            params.at_most(2)?;
            block(&view, Which::Hash(params.hash(0)?), params.boolean(1)?)
        }
        "eth_getBlockReceipts" => {
            params.at_most(1)?;
            or_null(params.block_or_hash(0)?.find(&view).map(Block::receipts))
        }
        "eth_getTransactionReceipt" => {
            params.at_most(1)?;
            or_null(view.transaction(&params.hash(0)?).map(Mined::receipt))
        }
        "eth_getTransactionByHash" => {
            params.at_most(1)?;
            or_null(view.transaction(&params.hash(0)?).map(|mined| mined.json.clone()))
        }
        "eth_getLogs" => {
            params.at_most(1)?;
            logs::logs(&view, params.value(0)?)
        }
        "eth_getCode" => {
            let address = params.address(0)?;
            now(&view, &params)?;
            text(calls::code(&view, address))
        }
        "eth_getBalance" => {
            let address = params.address(0)?;
            now(&view, &params)?;
            let who = view.world.find(address);
            text(quantity(who.map(|who| view.state().account(who).wei).unwrap_or_default()))
        }
        "eth_getTransactionCount" => {
            let address = params.address(0)?;
            now(&view, &params)?;
            text(quantity(view.world.find(address).map_or(0, |who| view.state().account(who).nonce)))
        }
        "eth_call" => {
            now(&view, &params)?;
            calls::call(&view, params.value(0)?)
        }
        "eth_sendRawTransaction" | "eth_sendTransaction" => {
            Err(Failure::new(SERVER_ERROR, "the devnet takes no transactions; it makes its own"))
        }
        _ => Err(Failure::new(METHOD_NOT_FOUND, format!("the method {method} does not exist/is not available"))),
    }
}

fn block(view: &View<'_>, which: Which, full: bool) -> Answer {
    Ok(which.find(view).map_or_else(|| "null".to_owned(), |block| block.json(full)))
}

/// What accounts have is known after the newest block only.
fn now(view: &View<'_>, params: &Params<'_>) -> Result<(), Failure> {
    let which = match params.optional(1) {
        None => Which::Latest,
        Some(_) => params.block_or_hash(1)?,
    };
    match which.height(view) {
        Some(height) if height == view.newest().height => Ok(()),
        Some(height) if height < view.newest().height => {
            Err(Failure::new(SERVER_ERROR, "historical state is not kept on the devnet; ask for `latest`"))
        }
        _ => Err(Failure::new(SERVER_ERROR, "header not found")),
    }
}
