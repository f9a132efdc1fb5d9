//! The settings of a source on the XRP Ledger.

use crate::config::units::{Size, Time};
use crate::config::{Finding, check, settings};
use crate::source::RpcUrl;

settings! {
    /// A server of the XRP Ledger, rippled or clio.
    pub struct Config {
        /// The address of the server's JSON-RPC. Default none: this or `rpc_urls` is needed.
        pub rpc_url: Option<RpcUrl>,
        /// Addresses of several servers of the same network, tried in turn when one fails. Default [].
        pub rpc_urls: Vec<RpcUrl>,
        /// How long one answer may take, to its last byte. Default 30s: a whole ledger may be megabytes.
        pub timeout: Time = Time::secs(30),
        /// The largest answer that is read, after decompression. Default 64MiB: many times a full ledger.
        pub max_response: Size = Size::mib(64),
    }
}

impl Config {
    /// Everything that is wrong, found before anything is asked.
    pub fn problems(&self) -> Vec<Finding> {
        check::rpc_addresses(
            self.rpc_url.as_ref(),
            &self.rpc_urls,
            "a server's JSON-RPC, such as http://127.0.0.1:5005",
        )
    }
}
