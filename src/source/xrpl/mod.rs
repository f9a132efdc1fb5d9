//! XRP Ledger JSON-RPC → batches: validated ledgers, one after the other.

mod config;
pub mod currency;
pub mod native;
mod poll;
mod probe;
mod upstream;

pub use config::Config;
pub use poll::XrplRpc;
pub use probe::probe;
pub use upstream::XrplUpstream;
