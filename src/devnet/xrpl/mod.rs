//! The XRP Ledger face: a simulated network behind the real JSON-RPC of its servers.
//!
//! Comes in: the settings and, from the ticker, the time of each close. Goes out: answers in the words of a rippled
//! 2.x server, in both of its API versions.
//!
//! How a ledger comes about, file by file:
//!
//! ```text
//! world     who and what there is, from the seed          ─┐
//! genesis   everybody's money before the first ledger      │ follow from the seed alone
//! traffic   what happens next, by chance and by the state ─┘
//! action    a transaction's request and its fields
//! engine    carries it out; market: the order books of it
//! state     the entries, with a journal of what was touched; entry: what they say
//! metadata  the journal, told: created, modified and deleted nodes; changes: the rates of its trades
//! ledger    → header, hash chain, pieces of JSON, made once
//! history   the ledgers that are still known, and the state after each
//! rpc       answers, joined from the pieces
//! ```
//!
//! What always holds:
//! * The state is kept exactly, in integers: XRP only goes away as fees, tokens only come from and go to their issuer,
//!   and what an offer has lost is what its owner gave and got.
//! * Metadata is made by comparing the state before and after a transaction, so it cannot say anything else.
//! * The state after every kept ledger can be asked for: later ledgers remember what they changed.
//! * Transactions of ledger N follow from (settings, N) alone; ledger hashes also from close times. Close times never
//!   go back, but can repeat, because they have whole seconds.
//! * Addresses, currencies, amounts, the rates in book directories and the places of entries in the ledger are formed
//!   as on the real network. Hashes of transactions, ledgers and states are digests of their contents, but not of the
//!   protocol's own binary form, which the devnet does not have; keys and signatures only look as they should.
//! * The path of a payment is chosen by who makes it up, and not sought: market maker and order books never compete.

mod action;
mod amount;
mod changes;
mod engine;
mod entry;
mod genesis;
mod history;
mod ledger;
mod market;
mod metadata;
mod rpc;
mod state;
mod traffic;
mod world;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::table::{Row, Simulated};
use super::{Error, Settings};
use crate::source::LocalFuture;
use history::Network;
use ledger::Contents;
use world::World;

/// This face's line in the table.
pub(super) const ROW: Row = Row {
    endpoint: "XRP Ledger JSON-RPC",
    port: 5005,
    network: |settings| {
        let contents = match settings.payments_per_ledger {
            None => Contents::Mixed { events: settings.events_per_ledger },
            Some(count) => Contents::Payments { count },
        };
        let Settings { seed, accounts, retention, .. } = *settings;
        Ok(Arc::new(Network::new(seed, accounts, contents, retention)))
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
