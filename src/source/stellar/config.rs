//! The settings of a Stellar source.

use crate::config::reference::{Show, Shown};
use crate::config::units::{Size, Time};
use crate::config::{Finding, check, settings};
use crate::source::{RpcSettings, RpcUrl, SourceError, header, header_from_file, without_secrets};
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
        pub on_gap: OnGap,
        /// When the network began anew: `continue` tells clients and begins as without a checkpoint, `stop` reads
        /// nothing more until the process is started again. Default continue: the test network is reset several times a year.
        pub on_reset: OnReset,
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

/// What to do about ledgers that the RPC keeps no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnGap {
    /// Tell which are missing and go on.
    #[default]
    Announce,
    /// Ask again until they are there.
    Wait,
}

/// What to do when the network began anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnReset {
    /// Tell, and begin as without a checkpoint.
    #[default]
    Continue,
    /// Read nothing more.
    Stop,
}

/// Names as they stand in the file.
macro_rules! shown {
    ($($type:ty { $($variant:ident => $name:literal),* })*) => {
        $(impl Show for $type {
            fn show(&self) -> Shown {
                Shown::text(match self { $(<$type>::$variant => $name,)* })
            }
        })*
    };
}

shown! {
    Mode { Transactions => "transactions", Events => "events" }
    XdrFormat { Base64 => "base64", Json => "json" }
    OnGap { Announce => "announce", Wait => "wait" }
    OnReset { Continue => "continue", Stop => "stop" }
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

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text in quotes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(text.to_owned()))
            }
            // Told without the number, which may be the secret.
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
                Err(E::custom("a number; write text in quotes"))
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
                self.visit_u64(0)
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
                self.visit_u64(0)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Nothing built-in is secret, so there is nothing to show.
impl Show for Secret {
    fn show(&self) -> Shown {
        Shown::text("(secret)")
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
        if let Some(Secret(line)) = &self.auth_header {
            let no_header = || setting("auth_header", "holds no header; write `Name: value`".into());
            let (name, value) = header(line.trim(), "authorization").ok_or_else(no_header)?;
            headers.insert(name, value);
        }
        if self.timeout.0.is_zero() {
            return Err(setting("timeout", "0 leaves no time for an answer; write 30s".into()));
        }
        Ok(RpcSettings { urls, headers, timeout: self.timeout.0, max_response: self.max_response.bytes() })
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
        let numeric = serde_json::from_value::<Config>(json!({ "auth_header": 12345 })).unwrap_err().to_string();
        assert!(numeric.contains("quotes") && !numeric.contains("12345"), "{numeric}");
        for bad in [json!({}), json!({ "rpc_url": "rpc.example" }), json!({ "rpc_url": "ftp://a" })] {
            assert_eq!(self::config(bad).rpc().err().unwrap().kind(), "setting");
        }
    }
}
