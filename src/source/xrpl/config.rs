//! The settings of a source on the XRP Ledger.

use crate::config::units::{Size, Time};
use crate::config::{Finding, check, settings};
use crate::source::settings::{Access, OnGap, OnReset, Secret, StartLedger};
use crate::source::{RpcSettings, RpcUrl, SourceError};
use std::path::PathBuf;

settings! {
    /// A server of the XRP Ledger, rippled or clio.
    pub struct Config {
        /// The address of the server's JSON-RPC, such as http://127.0.0.1:51234. Default none: this or `rpc_urls` is
        /// needed. Best a port that takes nobody for an administrator (in the server's own settings, one without
        /// `admin`): clients' calls go there too, and what is for administrators is no client's business.
        pub rpc_url: Option<RpcUrl>,
        /// Addresses of several servers of the same network, tried in turn when one fails. Default [].
        pub rpc_urls: Vec<RpcUrl>,
        /// The first ledger to read when there is no checkpoint: `latest`, `oldest` (the first of the newest row
        /// without holes that the server has) or a number. Default latest: what happens from now on.
        pub start_ledger: StartLedger,
        /// How long to wait at the tip before asking again. Default 500ms: a ledger closes every three to five seconds.
        pub poll_interval: Time = Time::millis(500),
        /// The number of the network that the server must serve; another network is refused. Default none: any
        /// network. The main network is 0, the test network 1.
        pub network_id: Option<u32>,
        /// How long one answer may take, to its last byte. Default 30s: a whole ledger may be megabytes.
        pub timeout: Time = Time::secs(30),
        /// The largest answer that is read, after decompression. Default 64MiB: many times a full ledger.
        pub max_response: Size = Size::mib(64),
        /// A file of one line, `Name: value` or the value of `Authorization` alone, sent as a header with every
        /// request. Default none. Never printed.
        pub auth_header_file: Option<PathBuf>,
        /// The same line as in `auth_header_file`, written here. Default none. Never printed; a file is better, since
        /// settings get copied.
        pub auth_header: Option<Secret>,
        /// When no server has the next ledger: `wait` asks again until one has it, and says so louder and louder;
        /// `announce` waits for `gap_patience`, then tells clients which are missing and goes on. Default wait: servers
        /// fill their holes.
        pub on_gap: OnGap = OnGap::Wait,
        /// How long `on_gap: announce` waits for a ledger that no server has. Default 5m, in which each server that is
        /// asked says that it has not the ledger: one that does not answer may have it.
        pub gap_patience: Time = Time::secs(300),
        /// When the network began anew, or does not follow what was delivered: `stop` delivers nothing more until it
        /// does, `continue` tells clients and goes on. Default stop: on the main network it never happens. Test networks
        /// are reset now and then.
        pub on_reset: OnReset = OnReset::Stop,
    }
}

impl Config {
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

    /// Everything that is wrong, found before anything is asked.
    pub fn problems(&self) -> Vec<Finding> {
        let example = "a server's JSON-RPC, such as http://127.0.0.1:51234";
        let mut found = check::rpc_addresses(self.rpc_url.as_ref(), &self.rpc_urls, example);
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_have_defaults_and_no_unknown_keys() {
        let config: Config = serde_json::from_value(json!({})).unwrap();
        assert_eq!(config, Config::default());
        let every = json!({
            "rpc_url": "http://127.0.0.1:51234", "start_ledger": "oldest", "poll_interval": "1s", "network_id": 1,
            "timeout": "5s", "max_response": "1MiB", "auth_header": "Bearer x", "on_gap": "announce",
            "gap_patience": "1m", "on_reset": "continue",
        });
        let config: Config = serde_json::from_value(every).unwrap();
        assert_eq!((config.network_id, config.on_gap, config.problems().len()), (Some(1), OnGap::Announce, 0));
        assert_eq!(config.rpc().unwrap().timeout, Time::secs(5).0);
        assert!(serde_json::from_value::<Config>(json!({ "network": 1 })).is_err());
        let wrong: Config = serde_json::from_value(json!({ "poll_interval": "0s" })).unwrap();
        assert_eq!(wrong.problems().len(), 2, "no address, and no time between two questions");
    }
}
