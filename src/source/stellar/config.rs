//! The settings of a Stellar source.

use crate::config::units::{Size, Time};
use crate::config::{Finding, check, settings};
use crate::source::settings::{Access, OnGap, OnReset, Secret, StartLedger, shown};
use crate::source::{RpcSettings, RpcUrl, SourceError};
use serde::Deserialize;
use std::path::PathBuf;

settings! {
    /// A Stellar RPC.
    pub struct Config {
        /// The address of the RPC. Default none: this or `rpc_urls` is needed.
        pub rpc_url: Option<RpcUrl>,
        /// Addresses of several RPCs of the same network, tried in turn when one fails. Default [].
        pub rpc_urls: Vec<RpcUrl>,
        /// The first ledger to read when there is no checkpoint: `latest`, `oldest` (the oldest that the RPC has)
        /// or a number. Default latest: what happens from now on.
        pub start_ledger: StartLedger,
        /// How long to wait at the tip before asking again. Default 1s: a ledger closes about every five seconds.
        pub poll_interval: Time = Time::secs(1),
        /// The passphrase of the network that the RPC must serve; another network is refused. Default none: any
        /// network.
        pub network_passphrase: Option<String>,
        /// How long one answer of the RPC may take, to its last byte. Default 30s: longer than a node's own limit
        /// of 25 s, so that its error is seen.
        pub timeout: Time = Time::secs(30),
        /// The largest answer of the RPC that is read, after decompression. Default 64MiB: many times a full ledger.
        pub max_response: Size = Size::mib(64),
        /// A file of one line, `Name: value` or the value of `Authorization` alone, sent as a header with every
        /// request. Default none. Never printed.
        pub auth_header_file: Option<PathBuf>,
        /// The same line as in `auth_header_file`, written here. Default none. Never printed; a file is better, since
        /// settings get copied.
        pub auth_header: Option<Secret>,
        /// What is read: `transactions`, which is whole ledgers with exact payments and trades, or `events`, which is
        /// what contracts emit and the payments that follow from it, for less traffic. Default transactions.
        pub mode: Mode,
        /// In events mode, what is asked for: at most 5, one of which an event must match. In each `type` (`contract`,
        /// `system` or both with a comma), at most 5 `contract_ids` and at most 5 `topics`, lists of base64 values,
        /// `*` for any one and a last `**` for any more. Default []: all events.
        pub filters: Vec<EventFilter>,
        /// In events mode, events asked for at a time. Default 1000: a busy ledger, and less than the 10000 that
        /// servers give at most.
        pub page_limit: u32 = 1000,
        /// The form that values are asked for in, `base64` or `json`; either is read, whatever was asked for.
        /// Default base64: smaller, and the same for all servers.
        pub xdr_format: XdrFormat,
        /// When the RPC no longer keeps the next ledger: `announce` tells clients which are missing and goes on,
        /// `wait` asks again until it is there. Default announce: a node does not get lost ledgers back.
        pub on_gap: OnGap = OnGap::Announce,
        /// When the network began anew: `continue` tells clients and begins as without a checkpoint, `stop` reads
        /// nothing more until the process is started again. Default continue: the test network is reset several times a year.
        pub on_reset: OnReset = OnReset::Continue,
    }
}

/// What is read from the RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Whole ledgers with their transactions: every kind of event, trades exact.
    #[default]
    Transactions,
    /// Contract events and the payments that follow from them.
    Events,
}

/// The form in which the RPC is asked to write XDR values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XdrFormat {
    /// The values themselves.
    #[default]
    Base64,
    /// As JSON (SEP-51).
    Json,
}

shown! {
    Mode { Transactions => "transactions", Events => "events" }
    XdrFormat { Base64 => "base64", Json => "json" }
}

settings! {
    /// One of the filters of events mode.
    pub struct EventFilter {
        /// `contract`, `system`, or both with a comma. Default none: both.
        pub r#type: Option<String>,
        /// Contracts, `C…`, at most 5. Default []: any.
        pub contract_ids: Vec<String>,
        /// Topic patterns, at most 5. Default []: any.
        pub topics: Vec<Vec<String>>,
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
        let mut found =
            check::rpc_addresses(self.rpc_url.as_ref(), &self.rpc_urls, "a Stellar RPC, such as http://127.0.0.1:8000");
        found.extend(super::check_events::problems(self));
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
    use crate::source::without_secrets;
    use serde_json::json;

    fn config(value: serde_json::Value) -> Config {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn start_ledger_in_all_forms() {
        for (value, start) in [
            (json!("latest"), StartLedger::Latest),
            (json!("oldest"), StartLedger::Oldest),
            (json!(7), StartLedger::Number(7)),
            (json!("7"), StartLedger::Number(7)),
        ] {
            assert_eq!(config(json!({ "start_ledger": value })).start_ledger, start);
        }
        for bad in [json!("newest"), json!(0), json!(-1), json!(1u64 << 32), json!(null)] {
            assert!(serde_json::from_value::<Config>(json!({ "start_ledger": bad })).is_err(), "{bad}");
        }
        assert!(serde_json::from_value::<Config>(json!({ "rpc_ulr": "http://a" })).is_err());
    }

    #[test]
    fn addresses_are_checked_and_secrets_hidden() {
        let secret = "https://user:pass@rpc.example:8443/v1/0123456789abcdef0123456789abcdef?key=secret";
        let config = config(json!({ "rpc_url": secret }));
        let rpc = config.rpc().unwrap();
        assert_eq!(without_secrets(&rpc.urls[0]), "https://rpc.example:8443/v1/…");
        let printed = format!("{config:?}");
        for hidden in ["pass", "0123456789", "secret"] {
            assert!(!printed.replace("passphrase", "").contains(hidden), "{hidden} in {printed}");
        }
        let numeric = serde_json::from_value::<Config>(json!({ "auth_header": 12345 })).unwrap_err().to_string();
        assert!(numeric.contains("quotes") && !numeric.contains("12345"), "{numeric}");
        for bad in [json!({}), json!({ "rpc_url": "rpc.example" }), json!({ "rpc_url": "ftp://a" })] {
            assert_eq!(self::config(bad).rpc().err().unwrap().kind(), "setting");
        }
    }
}
