//! The settings of both sources.

use crate::config::units::{Size, Time};
use crate::config::{Finding, check, settings};
use crate::source::settings::{Access, OnGap, OnReset, Secret, StartLedger};
use crate::source::{RpcSettings, RpcUrl, SourceError};
use std::path::PathBuf;

settings! {
    /// The HTTP API of a Planetmint or BigchainDB node.
    pub struct ApiConfig {
        /// The address of the node's API, without `/api/v1`. Default none: this or `rpc_urls` is needed.
        pub rpc_url: Option<RpcUrl>,
        /// Addresses of several nodes of the same network, tried in turn when one fails. Default [].
        pub rpc_urls: Vec<RpcUrl>,
        /// The first block to read when there is no checkpoint: `latest`, `oldest` (block 1) or a number. Default
        /// latest: what happens from now on.
        pub start_ledger: StartLedger,
        /// How long to wait at the tip before asking again. Default 1s: blocks are seconds apart, and each question
        /// costs a node the more the longer its chain is.
        pub poll_interval: Time = Time::secs(1),
        /// What clients see as the network's name; the API tells none. Default planetmint.
        pub network_id: String = "planetmint".to_owned(),
        /// Transactions of a block that are fetched at a time. Default 6: an API runs a few workers.
        pub parallel: u32 = 6,
        /// Requests in a second at most. Default 500: a block of hundreds of transactions at once, no flood while
        /// catching up.
        pub requests_per_second: u32 = 500,
        /// How long the next block may be missing before the node is asked whether it has later ones, and how long a
        /// node must say that its chain is shorter than ours before that is believed. Default 30s.
        pub gap_after: Time = Time::secs(30),
        /// When the next block is missing and later ones are there: `wait` asks again until it comes, `announce` waits for
        /// `gap_patience`, then tells clients which are missing and goes on. Default wait: a node writes its blocks in
        /// order.
        pub on_gap: OnGap = OnGap::Wait,
        /// How long `on_gap: announce` waits for a missing block. Default 5m.
        pub gap_patience: Time = Time::secs(300),
        /// When the chain is another one than before: `stop` reads nothing more until the process is started again,
        /// `continue` tells clients and begins as without a checkpoint. Default stop: a person should look.
        pub on_reset: OnReset = OnReset::Stop,
        /// How long one answer may take, to its last byte. Default 10s.
        pub timeout: Time = Time::secs(10),
        /// The largest answer that is read, after decompression, and all transactions of a block together.
        /// Default 32MiB: many times a full block.
        pub max_response: Size = Size::mib(32),
        /// A file of one line, `Name: value` or the value of `Authorization` alone, sent as a header with every
        /// request. Default none. Never printed.
        pub auth_header_file: Option<PathBuf>,
        /// The same line as in `auth_header_file`, written here. Default none. Never printed; a file is better, since
        /// settings get copied.
        pub auth_header: Option<Secret>,
    }
}

settings! {
    /// The consensus RPC of a Planetmint or BigchainDB network: Tendermint or CometBFT, 0.34 to 0.38.
    pub struct RpcConfig {
        /// The address of the RPC. Default none: this or `rpc_urls` is needed.
        pub rpc_url: Option<RpcUrl>,
        /// Addresses of several RPCs of the same chain, tried in turn when one fails. Default [].
        pub rpc_urls: Vec<RpcUrl>,
        /// The first block to read when there is no checkpoint: `latest`, `oldest` (the oldest that the RPC has) or a
        /// number. Default latest: what happens from now on.
        pub start_ledger: StartLedger,
        /// How long to wait at the tip before asking again. Default 500ms: a block comes about every second.
        pub poll_interval: Time = Time::millis(500),
        /// The chain that the RPC must serve; another chain is refused. Default none: any chain.
        pub chain_id: Option<String>,
        /// When the RPC no longer keeps the next block, or tells what cannot be read: `wait` asks again until it is there,
        /// `announce` tells clients which are missing and goes on. Default wait: another node may have it.
        pub on_gap: OnGap = OnGap::Wait,
        /// How long `on_gap: announce` waits for a block that cannot be read to be told better. Default 5m.
        pub gap_patience: Time = Time::secs(300),
        /// How long an RPC must say that its chain is shorter than ours before that is believed. Default 30s.
        pub reset_after: Time = Time::secs(30),
        /// When the chain is another one than before: `stop` reads nothing more until the process is started again,
        /// `continue` tells clients and begins as without a checkpoint. Default stop: a person should look.
        pub on_reset: OnReset = OnReset::Stop,
        /// How long one answer may take, to its last byte. Default 10s.
        pub timeout: Time = Time::secs(10),
        /// The largest answer that is read, after decompression. Default 32MiB: a block has at most 21 MB.
        pub max_response: Size = Size::mib(32),
        /// A file of one line, `Name: value` or the value of `Authorization` alone, sent as a header with every
        /// request. Default none. Never printed.
        pub auth_header_file: Option<PathBuf>,
        /// The same line as in `auth_header_file`, written here. Default none. Never printed; a file is better, since
        /// settings get copied.
        pub auth_header: Option<Secret>,
    }
}

/// What both have, read and checked as every source's.
macro_rules! access {
    ($config:ty) => {
        impl $config {
            /// The RPC client's settings, secrets read from their files.
            pub fn rpc(&self) -> Result<RpcSettings, SourceError> {
                let access = Access {
                    rpc_url: self.rpc_url.as_ref(),
                    rpc_urls: &self.rpc_urls,
                    auth_header_file: self.auth_header_file.as_deref(),
                    auth_header: self.auth_header.as_ref(),
                    timeout: self.timeout,
                    max_response: self.max_response,
                };
                access.rpc()
            }

            fn access_problems(&self, example: &str) -> Vec<Finding> {
                let mut found = check::rpc_addresses(self.rpc_url.as_ref(), &self.rpc_urls, example);
                let urls = self.rpc_url.iter().map(|url| (vec!["rpc_url".into()], url));
                let many = self.rpc_urls.iter().enumerate();
                let many = many.map(|(at, url)| (vec!["rpc_urls".into(), at.into()], url));
                for (path, _) in urls.chain(many).filter(|(_, url)| url.0.contains(['?', '#'])) {
                    let message = "has more than a path, and paths are added to it; put a key into auth_header_file";
                    found.push((path, message.to_owned()));
                }
                let header = self.auth_header.as_ref().map(|secret| secret.0.as_str());
                found.extend(check::auth_header(header, self.auth_header_file.is_some()));
                found.extend(check::zeros(&[
                    ("poll_interval", self.poll_interval.0.is_zero()),
                    ("timeout", self.timeout.0.is_zero()),
                    ("max_response", self.max_response.0 == 0),
                ]));
                found
            }
        }
    };
}

access!(ApiConfig);
access!(RpcConfig);

impl ApiConfig {
    /// Everything that is wrong, found before anything is asked.
    pub fn problems(&self) -> Vec<Finding> {
        let mut found = self.access_problems("a node's API, such as http://127.0.0.1:9984");
        found.extend(check::zeros(&[
            ("parallel", self.parallel == 0),
            ("requests_per_second", self.requests_per_second == 0),
            ("gap_after", self.gap_after.0.is_zero()),
        ]));
        // A cursor keeps the length in one byte.
        if self.network_id.is_empty() || self.network_id.len() > 64 {
            let message = "is no name for a network; write up to 64 letters, or leave it out for `planetmint`";
            found.push((vec!["network_id".into()], message.to_owned()));
        }
        found
    }
}

impl RpcConfig {
    /// Everything that is wrong, found before anything is asked.
    pub fn problems(&self) -> Vec<Finding> {
        self.access_problems("a consensus RPC, such as http://127.0.0.1:26657")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_work_is_told() {
        let told = |config: serde_json::Value| {
            let problems = serde_json::from_value::<ApiConfig>(config).unwrap().problems();
            problems.into_iter().map(|(_, message)| message).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(told(json!({ "rpc_url": "http://127.0.0.1:9984" })), "");
        for (bad, word) in [
            (json!({}), "has no `rpc_url`"),
            (json!({ "rpc_url": "http://a/?key=SECRET" }), "more than a path"),
            (json!({ "rpc_urls": ["http://a", "http://b/#x"] }), "more than a path"),
            (json!({ "rpc_url": "http://a", "parallel": 0 }), "is 0"),
            (json!({ "rpc_url": "http://a", "network_id": "" }), "no name for a network"),
        ] {
            let message = told(bad.clone());
            assert!(message.contains(word) && !message.contains("SECRET"), "{bad}: {message}");
        }
        let rpc: RpcConfig = serde_json::from_value(json!({ "rpc_url": "ftp://a" })).unwrap();
        assert!(rpc.problems()[0].1.contains("http://"));
        assert!(serde_json::from_value::<RpcConfig>(json!({ "parallel": 1 })).is_err());
    }
}
