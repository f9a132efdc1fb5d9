//! The settings of a Stellar source.

use crate::config::reference::{Show, Shown};
use crate::config::settings;
use crate::config::units::{Size, Time};
use crate::source::{RpcSettings, RpcUrl, SourceError, header_from_file, without_secrets};
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;
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
        /// What is read: `transactions`, which is whole ledgers with exact payments and trades. Default transactions.
        pub mode: Mode,
    }
}

/// What is read from the RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Whole ledgers with their transactions: every kind of event, trades exact.
    #[default]
    Transactions,
}

impl Show for Mode {
    fn show(&self) -> Shown {
        Shown::text("transactions")
    }
}

/// Where to begin without a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartLedger {
    /// The newest closed ledger.
    #[default]
    Latest,
    /// The oldest ledger that the RPC keeps.
    Oldest,
    /// This ledger.
    Number(u32),
}

impl Show for StartLedger {
    fn show(&self) -> Shown {
        match self {
            StartLedger::Latest => Shown::text("latest"),
            StartLedger::Oldest => Shown::text("oldest"),
            StartLedger::Number(number) => number.show(),
        }
    }
}

impl<'de> Deserialize<'de> for StartLedger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl Visitor<'_> for Form {
            type Value = StartLedger;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`latest`, `oldest` or a ledger number from 1")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StartLedger, E> {
                match text {
                    "latest" => Ok(StartLedger::Latest),
                    "oldest" => Ok(StartLedger::Oldest),
                    number => match number.parse() {
                        Ok(number) => self.visit_u64(number),
                        Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                    },
                }
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<StartLedger, E> {
                match u32::try_from(number) {
                    Ok(number) if number > 0 => Ok(StartLedger::Number(number)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<StartLedger, E> {
                u64::try_from(number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
                    .and_then(|number| self.visit_u64(number))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl Config {
    /// The RPC client's settings, secrets read from their files.
    pub fn rpc(&self) -> Result<RpcSettings, SourceError> {
        let setting = |key, reason| SourceError::Setting { key, reason };
        let mut urls = Vec::new();
        for (key, text) in self.addresses() {
            let url: Url = text.parse().map_err(|error| setting(key, format!("not an address: {error}")))?;
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                return Err(setting(key, format!("`{}` is no http or https address", without_secrets(&url))));
            }
            urls.push(url);
        }
        if urls.is_empty() {
            return Err(setting("rpc_url", "missing; write the address of the rpc".into()));
        }
        let mut headers = HeaderMap::new();
        if let Some(path) = &self.auth_header_file {
            let (name, value) = header_from_file(path)?;
            headers.insert(name, value);
        }
        if self.timeout.0.is_zero() {
            return Err(setting("timeout", "0 leaves no time for an answer; write 30s".into()));
        }
        Ok(RpcSettings { urls, headers, timeout: self.timeout.0, max_response: self.max_response.bytes() })
    }

    fn addresses(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let one = self.rpc_url.iter().map(|url| ("rpc_url", url.0.as_str()));
        one.chain(self.rpc_urls.iter().map(|url| ("rpc_urls", url.0.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        for bad in [json!({}), json!({ "rpc_url": "rpc.example" }), json!({ "rpc_url": "ftp://a" })] {
            assert_eq!(self::config(bad).rpc().err().unwrap().kind(), "setting");
        }
    }
}
