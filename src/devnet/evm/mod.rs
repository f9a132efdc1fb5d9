//! The EVM face: a simulated chain behind the real JSON-RPC of Ethereum nodes.
//!
//! Comes in: the settings and, from the ticker, the time of each block. Goes out: answers in the words of geth.
//!
//! How a block comes about, file by file:
//!
//! ```text
//! world        who is on the chain, from the seed; contracts: which are built in, the same on every devnet
//! traffic      what happens next, by chance and by the state
//! action       a call, a payment or a deploy, and its input
//! transaction  signed and hashed; rlp: the form in which things are hashed
//! engine       carries it out on the state: status, gas, logs
//! block        → header, hash, receipts, pieces of JSON, made once
//! history      the blocks that are still known, and the reorganisations
//! rpc          answers, joined from the pieces
//! ```
//!
//! What always holds:
//! * Blocks name their parents. Now and then the newest one or two are replaced: most of their transactions come again,
//!   in other blocks or with another result, some never. Nobody can ask for what was replaced any more. `safe` and
//!   `finalized` blocks are never replaced.
//! * Token balances, reserves, nonces and balances of the coin are kept exactly, at 256 bits. Allowances are not kept.
//! * Transactions of the block at some height follow from (settings, height) alone, and so do reorganisations; block
//!   hashes also from the times of blocks. Times never go back, but can repeat, because they have whole seconds.
//! * Hashes of blocks and transactions, blooms, addresses of created contracts, selectors and topics are formed as on
//!   the real chain. Signatures only look as they should; code of contracts is random; state, transaction and receipt
//!   roots are digests and not roots of the protocol's trees.

mod action;
mod block;
mod contracts;
mod engine;
mod history;
mod rlp;
mod rpc;
mod traffic;
mod transaction;
mod world;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::table::{Row, Simulated};
use super::{Error, Settings};
use crate::source::LocalFuture;
use block::Contents;
use history::Network;
use world::World;

pub use contracts::Contract;
pub use world::{CHAIN_ID, deployer};

/// This face's line in the table.
pub(super) const ROW: Row = Row {
    endpoint: "Ethereum JSON-RPC",
    port: 8545,
    network: |settings| {
        let contents = match settings.payments_per_ledger {
            None => Contents::Mixed { events: settings.events_per_ledger },
            Some(count) => Contents::Payments { count },
        };
        let Settings { seed, accounts, retention, .. } = *settings;
        Ok(Arc::new(Network::new(World::new(seed, accounts), contents, retention)))
    },
    accounts: |settings| Ok(World::new(settings.seed, settings.accounts).addresses()),
};

impl Simulated for Network {
    fn close_next(&self, close_time: u64) -> Result<(), Error> {
        Network::close_next(self, close_time);
        Ok(())
    }

    fn serve(self: Arc<Self>, request: HttpRequest, payload: web::Payload) -> LocalFuture<'static, HttpResponse> {
        Box::pin(rpc::serve(self, request, payload))
    }
}
