//! The settings of a source on an EVM chain.

use crate::config::reference::{Show, Shown};
use crate::config::settings;
use crate::config::units::{Size, Time};
use crate::source::{RpcSettings, RpcUrl, Secret, SourceError, StartLedger, header, header_from_file, without_secrets};
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use std::path::PathBuf;

settings! {
    /// An EVM chain.
    pub struct Config {
        /// The address of the chain's JSON-RPC. Default none: this or `rpc_urls` is needed.
        pub rpc_url: Option<RpcUrl>,
        /// Addresses of several RPCs of the same chain, tried in turn when one fails. Default [].
        pub rpc_urls: Vec<RpcUrl>,
        /// The chain's number, such as 1 for Ethereum and 137 for Polygon; an RPC of another chain is refused.
        /// Default none: it must be written.
        pub chain_id: Option<u64>,
        /// The first block to read when there is no checkpoint: `latest` (the newest that is final), `oldest` (block 0)
        /// or a number. Default latest: what happens from now on.
        pub start_ledger: StartLedger<0>,
        /// How long to wait at the tip before asking again; half of a block's time is enough. Default 1s.
        pub poll_interval: Time = Time::secs(1),
        /// When a block counts as final and is sent. Nothing that was sent can be taken back.
        pub finality: Finality,
        /// The coin that gas is paid in.
        pub native_asset: NativeAsset,
        /// Contracts whose calls and logs are decoded, each `{name, address, abi}`, or `abi_file` for `abi`.
        /// Default []: none.
        pub contracts: Vec<Contract>,
        /// Tokens whose transfers are payments, each `{address, code, decimals}`; without `decimals` the token is asked.
        /// Clients find them by code and address. Default []: none.
        pub tokens: Vec<Token>,
        /// Pools of the Uniswap v2 and v3 layouts whose swaps are trades, by address. Default []: none.
        pub pools: Vec<String>,
        /// Take payments and trades from the logs of every token and pool, and not only of those above. Anyone can
        /// emit such logs; on a busy chain they are many. Default false.
        pub all_tokens: bool = false,
        /// What may be asked in one request. 1: one thing at a time, for RPCs that do not like batches; one that refuses
        /// them is asked so by itself. Default 10.
        pub batch: u32 = 10,
        /// Calls a second at most; fewer for a while when the RPC says that these are too many. Default 50.
        pub calls_per_second: u32 = 50,
        /// Refuse a block whose receipts are not those of its transactions. With false one receipt may have no
        /// transaction, and a last transaction from nobody to nobody no receipt: for Polygon, where bridging does so.
        /// Default true.
        pub match_receipts: bool = true,
        /// When the RPC no longer gives the next block: `wait` asks again until it does, `announce` tells clients which are
        /// missing and goes on at the newest final block. Default wait: another RPC may have it.
        pub on_gap: OnGap,
        /// When blocks that were sent are no part of the chain any more: `stop` sends nothing more until they are again
        /// or a person has looked, `continue` tells clients and goes on from where the chain parted. Default stop.
        pub on_deep_reorg: OnDeepReorg,
        /// How long one answer of the RPC may take, to its last byte. Default 10s.
        pub timeout: Time = Time::secs(10),
        /// The largest answer of the RPC that is read, after decompression. Default 64MiB: a batch of full blocks.
        pub max_response: Size = Size::mib(64),
        /// A file of one line, `Name: value` or the value of `Authorization` alone, sent as a header with every
        /// request. Default none. Never printed.
        pub auth_header_file: Option<PathBuf>,
        /// The same line as in `auth_header_file`, written here. Default none. Never printed; a file is better, since
        /// settings get copied.
        pub auth_header: Option<Secret>,
    }
}

settings! {
    /// When a block is final: one of the two.
    pub struct Finality {
        /// Blocks on top of it. Default none: without `tag` 20 on chain 1, 200 on chain 137, and 64 elsewhere.
        pub confirmations: Option<u64>,
        /// What the chain itself calls final: `safe` or `finalized`. Default none.
        pub tag: Option<Tag>,
    }
}

settings! {
    /// The coin that gas is paid in.
    pub struct NativeAsset {
        /// Its code; clients also find it as `native`. Default ETH.
        pub code: String = "ETH".to_owned(),
        /// Digits after the point. Default 18.
        pub decimals: u32 = 18,
    }
}

settings! {
    /// A contract to decode.
    pub struct Contract {
        /// What people call it. Default none.
        pub name: Option<String>,
        /// Where it is, in either case. Default none: it must be written.
        pub address: Option<String>,
        /// Its ABI: a JSON array, or an object with it as `abi`. Default none: this or `abi_file`.
        pub abi: Option<Abi>,
        /// A file that holds the same. Default none.
        pub abi_file: Option<PathBuf>,
    }
}

settings! {
    /// A token to follow.
    pub struct Token {
        /// Its contract, in either case. Default none: it must be written.
        pub address: Option<String>,
        /// What clients call it. Default none: it must be written.
        pub code: Option<String>,
        /// Digits after the point. Default none: what the token says.
        pub decimals: Option<u32>,
    }
}

/// The blocks that the chain itself calls final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tag {
    /// Unlikely to be replaced.
    Safe,
    /// Never to be replaced.
    Finalized,
}

/// What to do about blocks that the RPC gives no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnGap {
    /// Ask again until they are there.
    #[default]
    Wait,
    /// Tell which are missing and go on.
    Announce,
}

/// What to do when blocks that were sent were replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDeepReorg {
    /// Send nothing more.
    #[default]
    Stop,
    /// Tell, and go on from where the chain parted.
    Continue,
}

/// An ABI written into the settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Abi(pub serde_json::Value);

impl Show for Abi {
    fn show(&self) -> Shown {
        // JSON is YAML.
        Shown::Plain(self.0.to_string())
    }
}

impl Tag {
    /// As the RPC and the settings call it.
    pub const fn name(self) -> &'static str {
        match self {
            Tag::Safe => "safe",
            Tag::Finalized => "finalized",
        }
    }
}

impl Show for Tag {
    fn show(&self) -> Shown {
        Shown::text(self.name())
    }
}

impl Show for OnGap {
    fn show(&self) -> Shown {
        Shown::text(match self {
            OnGap::Wait => "wait",
            OnGap::Announce => "announce",
        })
    }
}

impl Show for OnDeepReorg {
    fn show(&self) -> Shown {
        Shown::text(match self {
            OnDeepReorg::Stop => "stop",
            OnDeepReorg::Continue => "continue",
        })
    }
}

/// When a block is final, settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Final {
    /// This many blocks are on top of it.
    Confirmations(u64),
    /// The chain says so.
    Tag(Tag),
}

impl Config {
    /// When a block is final.
    pub fn finality(&self) -> Final {
        match (self.finality.tag, self.finality.confirmations, self.chain_id) {
            (Some(tag), _, _) => Final::Tag(tag),
            (None, Some(confirmations), _) => Final::Confirmations(confirmations),
            (None, None, Some(1)) => Final::Confirmations(20),
            (None, None, Some(137)) => Final::Confirmations(200),
            (None, None, _) => Final::Confirmations(64),
        }
    }

    /// The RPC client's settings, secrets read from their files.
    pub fn rpc(&self) -> Result<RpcSettings, SourceError> {
        let setting = |key, reason| SourceError::Setting { key, reason };
        let one = self.rpc_url.iter().map(|url| ("rpc_url", url));
        let mut urls = Vec::new();
        for (key, text) in one.chain(self.rpc_urls.iter().map(|url| ("rpc_urls", url))) {
            let url: Url = text.0.parse().map_err(|error| setting(key, format!("not an address: {error}")))?;
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                return Err(setting(key, format!("`{}` is no http or https address", without_secrets(&url))));
            }
            urls.push(url);
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
        Ok(RpcSettings { urls, headers, timeout: self.timeout.0, max_response: self.max_response.bytes() })
    }
}
