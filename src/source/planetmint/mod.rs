//! Planetmint and BigchainDB → batches, by one of two ways in: a node's HTTP API, or the RPC of the consensus engine
//! below it (Tendermint, CometBFT).
//!
//! In: blocks and their transactions. Out: one batch per block, empty ones too: the block, then for each accepted
//! transaction itself and a payment for each output that is no change.
//!
//! Who owns what: [`PlanetmintApi`] and [`TendermintRpc`] each own a client and a `Position`, which knows
//! when a gap or a new chain is believed; `transaction.rs` reads a transaction, `mapping.rs` makes the batch, the same
//! for both ways.
//!
//! What always holds:
//! * a block is delivered with all its accepted transactions or not at all, and rejected ones never;
//! * ids, places and keys of a block's events are the same by either way in;
//! * amounts are whole numbers kept digit by digit;
//! * nobody goes back: blocks below the last one delivered come again only after an announced reset.

mod api;
mod config;
mod consensus;
#[doc(hidden)]
pub mod fuzzing;
mod mapping;
pub mod native;
mod position;
mod probe;
#[cfg(test)]
pub(crate) mod recordings;
mod transaction;

pub use api::PlanetmintApi;
pub use config::{ApiConfig, RpcConfig};
pub use consensus::TendermintRpc;
pub use probe::{probe_api, probe_rpc};
pub(crate) use transaction::id as transaction_id;

/// Who pays in a CREATE, which has no sender. No key reads so.
pub const ISSUANCE: &str = "issuance";
