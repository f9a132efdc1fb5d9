//! Stand-in: only the settings.

use crate::config::reference::{Show, Shown};
use crate::config::settings;
use crate::config::units::{Size, Time};
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::path::PathBuf;

settings! {
    /// A Stellar RPC.
    pub struct Config {
        /// The address of the RPC. Default none: this or `rpc_urls` is needed.
        pub rpc_url: Option<String>,
        /// Addresses of several RPCs of the same network, tried in turn when one fails. Default [].
        pub rpc_urls: Vec<String>,
        /// The first ledger to read: `latest`, `oldest` (the oldest that the RPC has) or a number.
        /// Default latest: what happens from now on.
        pub start_ledger: Start,
        /// How long to wait at the tip before asking again. Default 1s: a ledger closes about every five seconds.
        pub poll_interval: Time = Time::secs(1),
        /// The passphrase that the RPC must name. Default none: any network.
        pub network_passphrase: Option<String>,
        /// How long one answer of the RPC may take. Default 30s.
        pub timeout: Time = Time::secs(30),
        /// The largest answer of the RPC that is read, after decompression. Default 64MiB: many times a full ledger.
        pub max_response: Size = Size::mib(64),
        /// A file with one line `Name: value`, sent as a header with every request. Default none.
        pub auth_header_file: Option<PathBuf>,
        /// What is read: `transactions`. Default transactions.
        pub mode: Mode,
    }
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Whole ledgers with their transactions.
    #[default]
    Transactions,
}

impl Show for Mode {
    fn show(&self) -> Shown {
        Shown::text("transactions")
    }
}

/// The first ledger to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// From now on.
    #[default]
    Latest,
    /// As far back as the RPC reaches.
    Oldest,
    /// This one.
    Ledger(u64),
}

impl Show for Start {
    fn show(&self) -> Shown {
        match self {
            Start::Latest => Shown::text("latest"),
            Start::Oldest => Shown::text("oldest"),
            Start::Ledger(number) => number.show(),
        }
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Start, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Start;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("latest, oldest or a ledger's number")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Start, E> {
                Ok(Start::Ledger(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Start, E> {
                match text {
                    "latest" => Ok(Start::Latest),
                    "oldest" => Ok(Start::Oldest),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
