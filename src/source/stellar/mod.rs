//! Stellar RPC → batches, in one of two modes: *transactions*, whole ledgers with everything in
//! them, or *events*, what contracts emitted and the payments that follow from it.
//!
//! In: `getNetwork`, `getHealth`; `getLedgers` and, from servers that give no metadata,
//! `getTransactions`; in events mode `getEvents`. Out: one batch per closed ledger, empty ones too.
//!
//! Who owns what: [`StellarRpc`] owns the position and the client (`poll.rs` is how it moves);
//! `decode.rs` turns XDR into a closed ledger; `mapping.rs` turns that into events, with one file
//! for each kind.
//!
//! What always holds:
//! * the position is ours: server cursors are hints, and a ledger is taken only if it is the next one;
//! * each ledger's parent is the ledger delivered before it; a difference that stays is announced
//!   as a reset;
//! * an event names an asset only where its contract is proven to be that asset's own.

mod assets;
mod check_events;
mod config;
mod contract_events;
mod decode;
mod emitted;
mod forms;
#[doc(hidden)]
pub mod fuzzing;
mod keys;
mod mapping;
mod meaning;
mod methods;
mod payments;
mod poll;
mod probe;
#[cfg(test)]
pub(crate) mod recordings;
#[cfg(test)]
pub(in crate::source) mod testing;
mod trades;
mod transaction;

pub use super::settings::{OnGap, OnReset, Secret, StartLedger};
pub use config::{Config, EventFilter, Mode, XdrFormat};
pub use poll::StellarRpc;
pub use probe::probe;

/// The networks that have names of their own.
const PUBNET: &str = "Public Global Stellar Network ; September 2015";
const TESTNET: &str = "Test SDF Network ; September 2015";

/// The id of the network with this passphrase.
pub fn network_id(passphrase: &str) -> String {
    match passphrase {
        PUBNET => "stellar-pubnet".into(),
        TESTNET => "stellar-testnet".into(),
        other => format!("stellar-{}", &crate::event::Hash(assets::network_hash(other)).to_string()[..8]),
    }
}
