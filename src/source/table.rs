//! The table of ledgers: their names in the configuration and how each is made.

use super::{Ledger, Probe, RpcUrl, SourceError, SourceStatus, Upstream, evm, planetmint, recording, stellar, xrpl};
use crate::config::Finding;
use crate::event::stored::NativeKinds;
use crate::event::{Family, Native, SourceNumber};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// A source's `type` and `config`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", content = "config", rename_all = "snake_case")]
pub enum LedgerConfig {
    /// A Stellar RPC node.
    StellarRpc(stellar::Config),
    /// A server of the XRP Ledger.
    XrplRpc(xrpl::Config),
    /// A node of an EVM chain.
    EvmRpc(evm::Config),
    /// The HTTP API of a Planetmint or BigchainDB node.
    PlanetmintApi(planetmint::ApiConfig),
    /// The consensus engine's RPC of such a network.
    TendermintRpc(planetmint::RpcConfig),
    /// What `ledgercast export` wrote.
    Recording(recording::Config),
}

impl LedgerConfig {
    /// The family of ledgers that it reads.
    pub fn family(&self) -> Family {
        match self {
            LedgerConfig::StellarRpc(_) => Family::Stellar,
            LedgerConfig::XrplRpc(_) => Family::Xrpl,
            LedgerConfig::EvmRpc(_) => Family::Evm,
            LedgerConfig::PlanetmintApi(_) | LedgerConfig::TendermintRpc(_) => Family::Planetmint,
            // One that cannot be read is told by its problems.
            LedgerConfig::Recording(config) => config.path.header().map_or(Family::Stellar, |header| header.family),
        }
    }

    /// The addresses that are asked, in order.
    pub fn addresses(&self) -> Vec<&RpcUrl> {
        let (one, many) = match self {
            LedgerConfig::StellarRpc(config) => (&config.rpc_url, &config.rpc_urls),
            LedgerConfig::XrplRpc(config) => (&config.rpc_url, &config.rpc_urls),
            LedgerConfig::EvmRpc(config) => (&config.rpc_url, &config.rpc_urls),
            LedgerConfig::PlanetmintApi(config) => (&config.rpc_url, &config.rpc_urls),
            LedgerConfig::TendermintRpc(config) => (&config.rpc_url, &config.rpc_urls),
            LedgerConfig::Recording(_) => return Vec::new(),
        };
        one.iter().chain(many).collect()
    }

    /// The same for people, without what may be secret in them.
    pub fn endpoints(&self) -> Vec<String> {
        match self {
            LedgerConfig::Recording(config) => vec![config.path.to_string()],
            _ => self.addresses().into_iter().map(|url| format!("{url:?}")).collect(),
        }
    }

    /// What the settings call the network, where the ledger itself tells no name.
    pub fn network_named(&self) -> Option<&str> {
        match self {
            LedgerConfig::PlanetmintApi(config) => Some(&config.network_id),
            LedgerConfig::Recording(config) => Some(&config.path.header().ok()?.network),
            _ => None,
        }
    }

    /// Names and addresses of the contracts that it watches, those that have both.
    pub fn contracts(&self) -> Vec<(&str, &str)> {
        match self {
            LedgerConfig::EvmRpc(config) => {
                let named = config.contracts.iter();
                named.filter_map(|contract| Some((contract.name.as_deref()?, contract.address.as_deref()?))).collect()
            }
            LedgerConfig::Recording(config) => {
                let watched = config.path.header().into_iter().flat_map(|header| &header.contracts);
                watched.map(|(name, address)| (name.as_str(), address.as_str())).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The assets that its settings say something of, the network's own first; none where every asset is somebody's.
    pub fn coins(&self) -> Vec<Coin> {
        let coin = |id: &str, code: &str, decimals| Coin { id: id.to_owned(), code: code.to_owned(), decimals };
        match self {
            LedgerConfig::StellarRpc(_) => vec![coin("native", "XLM", Some(7))],
            LedgerConfig::XrplRpc(_) => vec![coin("XRP", "XRP", Some(6))],
            LedgerConfig::EvmRpc(config) => {
                let decimals = |decimals: u32| u8::try_from(decimals).ok();
                let native = &config.native_asset;
                let tokens = config.tokens.iter().filter_map(|token| {
                    let (address, code) = (token.address.as_deref()?, token.code.as_deref()?);
                    Some(coin(&address.to_ascii_lowercase(), code, token.decimals.and_then(decimals)))
                });
                [coin("native", &native.code, decimals(native.decimals))].into_iter().chain(tokens).collect()
            }
            LedgerConfig::PlanetmintApi(_) | LedgerConfig::TendermintRpc(_) => Vec::new(),
            LedgerConfig::Recording(config) => config.path.header().map_or(Vec::new(), |header| header.coins.clone()),
        }
    }

    /// Everything that is wrong with the settings, found before anything is asked.
    pub fn problems(&self) -> Vec<Finding> {
        match self {
            LedgerConfig::StellarRpc(config) => config.problems(),
            LedgerConfig::XrplRpc(config) => config.problems(),
            LedgerConfig::EvmRpc(config) => config.problems(),
            LedgerConfig::PlanetmintApi(config) => config.problems(),
            LedgerConfig::TendermintRpc(config) => config.problems(),
            LedgerConfig::Recording(config) => config.problems(),
        }
    }
}

/// An asset that a source's settings say something of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coin {
    /// What events call it ([`crate::event::Asset::id`]).
    pub id: String,
    /// What people call it.
    pub code: String,
    /// Digits after the point, where they are known before anything is asked.
    pub decimals: Option<u8>,
}

/// The native forms of every family that has some: how kept ledgers are read again.
pub const NATIVES: NativeKinds = &[xrpl::native::NATIVES, evm::native::NATIVES, planetmint::native::NATIVES];

/// What of the settings restricts or shapes what a source gives: see [`Ledger::scope`].
pub fn scope(config: &LedgerConfig) -> String {
    build(config, Context { source: 0, status: SourceStatus::new(0, "") }).scope()
}

/// What a ledger needs to know of the source it works for.
#[derive(Debug, Clone)]
pub struct Context {
    /// The number that its batches carry.
    pub source: SourceNumber,
    /// Where it tells what an operator should read.
    pub status: Arc<SourceStatus>,
}

/// Makes the ledger that a configuration describes. No connection yet.
pub fn build(config: &LedgerConfig, context: Context) -> Box<dyn Ledger> {
    match config {
        LedgerConfig::StellarRpc(config) => Box::new(stellar::StellarRpc::new(config.clone(), context)),
        LedgerConfig::XrplRpc(config) => Box::new(xrpl::XrplRpc::new(config.clone(), context)),
        LedgerConfig::EvmRpc(config) => Box::new(evm::EvmRpc::new(config.clone(), context)),
        LedgerConfig::PlanetmintApi(config) => Box::new(planetmint::PlanetmintApi::new(config.clone(), context)),
        LedgerConfig::TendermintRpc(config) => Box::new(planetmint::TendermintRpc::new(config.clone(), context)),
        LedgerConfig::Recording(config) => Box::new(recording::Recorded::new(config.clone(), context)),
    }
}

/// Makes what answers clients' own calls to a ledger's RPC, for families whose dialect has such calls. Its
/// connections are not the source's. An answer may have `max_response` bytes. `None`: no calls, or settings that the
/// source itself will refuse.
pub fn upstream(config: &LedgerConfig, max_response: usize) -> Option<Box<dyn Upstream>> {
    match config {
        LedgerConfig::StellarRpc(_) | LedgerConfig::EvmRpc(_) => None,
        LedgerConfig::PlanetmintApi(_) | LedgerConfig::TendermintRpc(_) => None,
        LedgerConfig::XrplRpc(config) => {
            xrpl::XrplUpstream::new(config, max_response).map(|upstream| Box::new(upstream) as _)
        }
        LedgerConfig::Recording(config) => Some(Box::new(recording::RecordedServer::new(config))),
    }
}

/// The native form of an event where that is JSON: a whole transaction.
pub fn native_json(native: &Native) -> Option<Cow<'_, str>> {
    let xrpl = native.get::<xrpl::native::Transaction>().map(|transaction| Cow::Owned(transaction.json()));
    let planetmint = || native.get::<planetmint::native::Transaction>().map(|found| Cow::Borrowed(&*found.text));
    xrpl.or_else(planetmint)
}

/// Asks each address that a configuration names once, one after the other, each for
/// [`super::LONGEST_PROBE`] at most. An error: nothing can be asked with these settings.
pub async fn probe(config: &LedgerConfig) -> Result<Vec<Probe>, SourceError> {
    match config {
        LedgerConfig::StellarRpc(config) => stellar::probe(config).await,
        LedgerConfig::XrplRpc(config) => xrpl::probe(config).await,
        LedgerConfig::EvmRpc(config) => evm::probe(config).await,
        LedgerConfig::PlanetmintApi(config) => planetmint::probe_api(config).await,
        LedgerConfig::TendermintRpc(config) => planetmint::probe_rpc(config).await,
        LedgerConfig::Recording(config) => Ok(recording::probe(config)),
    }
}
