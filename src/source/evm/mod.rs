//! An EVM chain's JSON-RPC → batches: final blocks, one after the other.

pub mod native;
