//! XRP Ledger JSON-RPC → batches: validated ledgers, one after the other.
//!
//! In: `server_info` (the head), `ledger` by number, `server_state` (fees) and, for a result that is newer than our
//! table, `server_definitions`; of rippled or clio, in API version 2 or, from servers that know no other, 1. Out: one
//! batch per validated ledger, with what the rippled dialect needs of it (`native.rs`).
//!
//! Who owns what: [`XrplRpc`] owns the position (`poll.rs` is how it moves) and a `Client`, which knows the servers'
//! words for trouble; `decode.rs` takes an answer as a ledger or says why not; `view.rs` reads of a transaction what is
//! needed; `mapping.rs` turns that into events. [`XrplUpstream`] answers clients' own calls over other connections.
//!
//! What always holds:
//! * a ledger is taken only if it is the one asked for, validated, whole and the child of the one delivered before;
//! * transactions are kept as the server wrote them: cut and joined as text (`json.rs`), never read into numbers;
//! * amounts are exact; what servers round to 16 digits is rounded as they do (`amounts.rs`);
//! * accounts are affected by what the metadata shows alone, and a token never passes for XRP.

mod amounts;
mod assets;
mod book_changes;
mod client;
mod config;
pub mod currency;
mod decode;
mod fees;
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod mapping;
mod names;
pub mod native;
mod poll;
mod probe;
#[cfg(test)]
pub(crate) mod recordings;
mod results;
mod server;
#[cfg(test)]
mod testing;
mod upstream;
mod view;

pub use config::Config;
pub use poll::XrplRpc;
pub use probe::probe;
pub use upstream::XrplUpstream;

/// The id of the network with this number; 0 is the main one.
pub fn network_id(number: u32) -> String {
    match number {
        0 => "xrpl".into(),
        number => format!("xrpl-{number}"),
    }
}
