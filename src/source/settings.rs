//! Settings that several kinds of ledgers have, each with one meaning.

use super::{RpcSettings, RpcUrl, SourceError, header, header_from_file, without_secrets};
use crate::config::reference::{Show, Shown};
use crate::config::units::{Size, Time};
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;
use std::path::Path;

/// What to do about ledgers that the RPC keeps no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnGap {
    /// Tell which are missing and go on.
    Announce,
    /// Ask again until they are there.
    Wait,
}

/// What to do when the network began anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnReset {
    /// Tell, and begin as without a checkpoint.
    Continue,
    /// Read nothing more.
    Stop,
}

/// Names of choices as they stand in the file.
macro_rules! shown {
    ($($type:ty { $($variant:ident => $name:literal),* })*) => {
        $(impl $crate::config::reference::Show for $type {
            fn show(&self) -> $crate::config::reference::Shown {
                $crate::config::reference::Shown::text(match self { $(<$type>::$variant => $name,)* })
            }
        })*
    };
}

pub(crate) use shown;

shown! {
    OnGap { Announce => "announce", Wait => "wait" }
    OnReset { Continue => "continue", Stop => "stop" }
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

/// Where to begin without a checkpoint, on a chain whose first ledger has the number `FIRST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartLedger<const FIRST: u32 = 1> {
    /// The newest closed ledger.
    #[default]
    Latest,
    /// The oldest ledger that the RPC keeps.
    Oldest,
    /// This ledger.
    Number(u32),
}

impl<const FIRST: u32> Show for StartLedger<FIRST> {
    fn show(&self) -> Shown {
        match self {
            StartLedger::Latest => Shown::text("latest"),
            StartLedger::Oldest => Shown::text("oldest"),
            StartLedger::Number(number) => number.show(),
        }
    }
}

impl<'de, const FIRST: u32> Deserialize<'de> for StartLedger<FIRST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form<const FIRST: u32>;
        impl<const FIRST: u32> Visitor<'_> for Form<FIRST> {
            type Value = StartLedger<FIRST>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`latest`, `oldest` or a ledger number from {FIRST}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                match text {
                    "latest" => Ok(StartLedger::Latest),
                    "oldest" => Ok(StartLedger::Oldest),
                    number => match number.parse() {
                        Ok(number) => self.visit_u64(number),
                        Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                    },
                }
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                match u32::try_from(number) {
                    Ok(number) if number >= FIRST => Ok(StartLedger::Number(number)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                u64::try_from(number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
                    .and_then(|number| self.visit_u64(number))
            }
        }
        deserializer.deserialize_any(Form::<FIRST>)
    }
}

/// The keys of a source's settings that say how its RPC is reached.
pub struct Access<'a> {
    /// `rpc_url`
    pub rpc_url: Option<&'a RpcUrl>,
    /// `rpc_urls`
    pub rpc_urls: &'a [RpcUrl],
    /// `auth_header_file`
    pub auth_header_file: Option<&'a Path>,
    /// `auth_header`
    pub auth_header: Option<&'a Secret>,
    /// `timeout`
    pub timeout: Time,
    /// `max_response`
    pub max_response: Size,
}

impl Access<'_> {
    /// The RPC client's settings, secrets read from their files.
    pub fn rpc(&self) -> Result<RpcSettings, SourceError> {
        let setting = |key, reason| SourceError::Setting { key, reason };
        let mut urls = Vec::new();
        let one = self.rpc_url.iter().map(|url| ("rpc_url", *url));
        for (key, text) in one.chain(self.rpc_urls.iter().map(|url| ("rpc_urls", url))) {
            let url: Url = text.0.parse().map_err(|error| setting(key, format!("not an address: {error}")))?;
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                return Err(setting(key, format!("`{}` is no http or https address", without_secrets(&url))));
            }
            urls.push(url);
        }
        if urls.is_empty() {
            return Err(setting("rpc_url", "missing; write the address of the rpc".into()));
        }
        let mut headers = HeaderMap::new();
        if let Some(path) = self.auth_header_file {
            let (name, value) = header_from_file(path)?;
            headers.insert(name, value);
        }
        if let Some(Secret(line)) = self.auth_header {
            let no_header = || setting("auth_header", "holds no header; write `Name: value`".into());
            let (name, value) = header(line.trim(), "authorization").ok_or_else(no_header)?;
            headers.insert(name, value);
        }
        if self.timeout.0.is_zero() {
            return Err(setting("timeout", "0 leaves no time for an answer; write 30s".into()));
        }
        Ok(RpcSettings { urls, headers, timeout: self.timeout.0, max_response: self.max_response.bytes() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn number_0_is_a_ledger_only_where_the_chain_begins_with_it() {
        let of_block_0 =
            |value: Value| serde_json::from_value::<StartLedger<0>>(value).map_err(|error| error.to_string());
        let of_ledger_1 =
            |value: Value| serde_json::from_value::<StartLedger>(value).map_err(|error| error.to_string());
        for zero in [json!(0), json!("0")] {
            assert_eq!(of_block_0(zero.clone()), Ok(StartLedger::Number(0)));
            assert!(of_ledger_1(zero).unwrap_err().contains("a ledger number from 1"));
        }
        assert!(of_block_0(json!(-1)).unwrap_err().contains("a ledger number from 0"));
        assert_eq!(of_ledger_1(json!(1)), Ok(StartLedger::Number(1)));
    }
}
