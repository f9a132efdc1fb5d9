//! The settings of a Stellar source.

use crate::config::units::{Size, Time};
use crate::source::{RpcSettings, SourceError, header_from_file, without_secrets};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A Stellar source's `config`.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address of the RPC.
    pub rpc_url: Option<String>,
    /// More addresses of the same network, tried in turn when one fails.
    pub rpc_urls: Vec<String>,
    /// Where to begin without a checkpoint.
    pub start_ledger: StartLedger,
    /// How long to sleep at the tip. Ledgers close about every 5 s.
    pub poll_interval: Time,
    /// The network that the RPC must serve; empty: whichever it serves.
    pub network_passphrase: Option<String>,
    /// A file of one line, `Name: value`, or the value of `Authorization` alone. Never printed.
    pub auth_header_file: Option<PathBuf>,
    /// Headers sent with every request. Never printed.
    pub headers: BTreeMap<String, String>,
    /// From a request to the last byte of its answer.
    pub timeout: Time,
    /// Largest answer, after decompression.
    pub max_response: Size,
    /// What is read.
    pub mode: Mode,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            rpc_url: None,
            rpc_urls: Vec::new(),
            start_ledger: StartLedger::Latest,
            poll_interval: Time::secs(1),
            network_passphrase: None,
            auth_header_file: None,
            headers: BTreeMap::new(),
            timeout: Time::secs(30),
            max_response: Size::mib(64),
            mode: Mode::Transactions,
        }
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
        for (name, value) in &self.headers {
            let parsed = (name.parse::<HeaderName>(), HeaderValue::from_str(value));
            let (Ok(header), Ok(mut value)) = parsed else {
                return Err(setting("headers", format!("`{name}` or its value is no http header")));
            };
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        if let Some(path) = &self.auth_header_file {
            let (name, value) = header_from_file(path)?;
            headers.insert(name, value);
        }
        if self.timeout.0.is_zero() {
            return Err(setting("timeout", "0 leaves no time for an answer; write 30s".into()));
        }
        Ok(RpcSettings { urls, headers, timeout: self.timeout.0, max_response: self.max_response.bytes() })
    }

    fn addresses(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let one = self.rpc_url.iter().map(|url| ("rpc_url", url));
        one.chain(self.rpc_urls.iter().map(|url| ("rpc_urls", url)))
    }
}

/// Without what may be secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &String| text.parse().map_or_else(|_| "(no address)".into(), |url| without_secrets(&url));
        f.debug_struct("Config")
            .field("urls", &self.addresses().map(|(_, url)| shown(url)).collect::<Vec<_>>())
            .field("start_ledger", &self.start_ledger)
            .field("poll_interval", &self.poll_interval)
            .field("network_passphrase", &self.network_passphrase)
            .field("auth_header_file", &self.auth_header_file)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("max_response", &self.max_response)
            .field("mode", &self.mode)
            .finish()
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
        let config = config(json!({ "rpc_url": secret, "headers": { "x-key": "hush" } }));
        let rpc = config.rpc().unwrap();
        assert_eq!(without_secrets(&rpc.urls[0]), "https://rpc.example:8443/v1/…");
        let printed = format!("{config:?}");
        for hidden in ["pass", "0123456789", "secret", "hush"] {
            assert!(!printed.replace("passphrase", "").contains(hidden), "{hidden} in {printed}");
        }
        for bad in [json!({}), json!({ "rpc_url": "rpc.example" }), json!({ "rpc_url": "ftp://a" })] {
            assert_eq!(self::config(bad).rpc().err().unwrap().kind(), "setting");
        }
    }
}
