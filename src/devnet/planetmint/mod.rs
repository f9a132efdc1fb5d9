//! The Planetmint face: a simulated network behind a node's HTTP API and, on the same port, the RPC of its consensus
//! engine.
//!
//! Comes in: the settings and, from the ticker, the time of each close. Goes out: answers in the form of Planetmint
//! 2.5 (`/api/v1/…`) and of Tendermint 0.34 (`/status`, `/block`, … by GET, or JSON-RPC by POST).
//!
//! ```text
//! traffic   who there is, what they own, and the transactions of the next block
//! chain     blocks with their hashes; the only state that is kept
//! answers   both APIs
//! ```
//!
//! What always holds:
//! * a block decodes to exactly `max(1, events)` broker events: a transaction and its payment are two, a vote is one;
//! * the same settings give the same transactions in the same blocks; hashes of blocks also depend on close times;
//! * what is spent was there, belonged to who spends it, and is spent once;
//! * both APIs say the same of a block, but that rejected transactions stand in the consensus engine's block alone;
//! * ids of transactions are digests of their contents, though not by the network's own function, and signatures only
//!   look as they should.

mod answers;
mod chain;
mod traffic;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::table::{Row, Simulated};
use super::{Error, Settings};
use crate::source::LocalFuture;

pub use answers::{Answer, serve};
pub use chain::Network;
pub use traffic::Contents;

/// This face's line in the table.
pub(super) const ROW: Row = Row {
    endpoint: "Planetmint API",
    // Not 9984, where clients look for a node: that is where we stand before it.
    port: 19_984,
    network: |settings| Ok(Arc::new(network(settings))),
    accounts: |settings| Ok(network(settings).accounts().to_vec()),
};

fn network(settings: &Settings) -> Network {
    let contents = match settings.payments_per_ledger {
        None => Contents::Mixed { events: settings.events_per_ledger },
        Some(count) => Contents::Payments { count },
    };
    Network::new(settings.seed, settings.accounts, contents, settings.retention)
}

impl Simulated for Network {
    fn close_next(&self, close_time: u64) -> Result<(), Error> {
        Network::close_next(self, close_time);
        Ok(())
    }

    fn serve(self: Arc<Self>, request: HttpRequest, payload: web::Payload) -> LocalFuture<'static, HttpResponse> {
        Box::pin(serve(self, request, payload))
    }
}
