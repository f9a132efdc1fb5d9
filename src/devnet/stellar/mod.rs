//! The Stellar face: a simulated network behind real Stellar RPC.
//!
//! Comes in: the settings and, from the ticker, the time of each close. Goes out: JSON-RPC answers
//! in the form of a protocol 23+ node with unified asset events (CAP-67) and metadata version 4.
//!
//! How a ledger comes about, file by file:
//!
//! ```text
//! world     who and what there is, from the seed            ─┐
//! plan      which transactions, so that the events add up    │ made again
//! classic, trades, contracts, failures (draft)               │ from (seed, number)
//!           one plan → operations, results, events           │ at any time
//! assemble  → envelope, signatures, hash, fees, metadata    ─┘
//! ledger    → apply order, transaction set, header, hash chain
//! encode    → base64 and JSON pieces, once
//! history   the ledgers that are still known; the only state
//! rpc       answers, joined from the pieces
//! ```
//!
//! What always holds:
//! * A ledger of the mixture decodes to exactly `max(1, events_per_ledger)` broker events; one of
//!   payments alone is for measuring, where each event shall reach exactly one client.
//! * Contents of ledger N depend on (settings, N) alone; hash and previous hash also on close
//!   times. Close times never go back, but can repeat, because they have whole seconds.
//! * Metadata of getLedgers, items of getTransactions and items of getEvents say the same.
//! * Issuers, contract addresses, pool ids, transaction hashes and ledger hashes are derived as on
//!   the real network. Balances, sequence numbers and signatures are plausible, but not kept
//!   consistent: nobody checks them, and keeping them would cost a database.

mod assemble;
mod classic;
mod contracts;
mod draft;
mod encode;
mod events;
mod failures;
mod history;
mod ledger;
mod plan;
mod rpc;
mod trades;
mod world;

#[cfg(test)]
mod count;
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
    endpoint: "Stellar RPC",
    port: 8000,
    network: |settings| {
        let contents = match settings.payments_per_ledger {
            None => Contents::Mixed { events: settings.events_per_ledger },
            Some(count) => Contents::Payments { count },
        };
        Ok(Arc::new(Network::new(world(settings)?, contents, settings.retention)))
    },
    accounts: |settings| Ok(world(settings)?.addresses()),
};

fn world(settings: &Settings) -> Result<World, Error> {
    Ok(World::new(settings.seed, settings.accounts, &settings.passphrase)?)
}

impl Simulated for Network {
    fn close_next(&self, close_time: u64) -> Result<(), Error> {
        Ok(Network::close_next(self, close_time)?)
    }

    fn serve(self: Arc<Self>, request: HttpRequest, payload: web::Payload) -> LocalFuture<'static, HttpResponse> {
        Box::pin(rpc::serve(self, request, payload))
    }
}
