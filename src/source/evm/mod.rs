//! An EVM chain's JSON-RPC → batches: final blocks, one after the other.
//!
//! In: `eth_chainId`, `eth_blockNumber`, `eth_getBlockByNumber` with transactions, `eth_getBlockReceipts` by hash (or
//! receipts one by one), `eth_call` for what tokens and pools say of themselves. No filters and no `eth_getLogs`: those
//! lose logs silently behind a load balancer. Out: one batch for each final block.
//!
//! Who owns what: [`EvmRpc`] owns the position and the window of blocks that are not final yet (`poll.rs` is how it
//! moves); `calls.rs` speaks JSON-RPC as providers do; `verify.rs` holds a block and its receipts against each other;
//! `watch.rs` is what the settings name, `abi.rs` what a contract's calls and logs mean; `mapping.rs` makes events;
//! [`native`] is what a dialect of the same family gets.
//!
//! What always holds:
//! * a block is sent when it is final by the settings, and only if its parent is the block sent before it; what a
//!   reorganisation takes out before that was never told;
//! * a block that was sent and is replaced stops the source, or is announced;
//! * a block is sent whole or not at all: its transactions, receipts and logs name one another;
//! * ids, places and log numbers come from the chain and the watched contracts alone, so a replay gives them again;
//! * amounts are exact, at 256 bits. What moves inside of contracts without a log is not seen: only a trace shows it.
//!
//! Trades and payments of tokens are what contracts claim in their logs. Nobody verifies that a pool is what it looks
//! like: name those that you trust.

mod abi;
mod calls;
mod check_config;
mod config;
#[doc(hidden)]
pub mod fuzzing;
mod logs;
mod mapping;
mod names;
pub mod native;
mod pace;
mod poll;
mod probe;
#[cfg(test)]
pub(crate) mod recordings;
#[cfg(test)]
pub(in crate::source) mod testing;
mod tokens;
mod verify;
mod watch;
mod wire;

pub use config::{Abi, Config, Contract, Finality, NativeAsset, OnDeepReorg, OnGap, Tag, Token};
pub use poll::EvmRpc;
pub use probe::probe;
