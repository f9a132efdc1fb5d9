//! Asks each address of a source once.

use super::api::Node;
use super::config::{ApiConfig, RpcConfig};
use super::consensus::rpc;
use crate::source::{Found, LONGEST_PROBE, Probe, RpcClient, RpcSettings, SourceError, cut, without_secrets};
use std::time::Instant;
use tokio::time::timeout;

/// Asks the addresses in their order. An error: nothing can be asked with these settings.
pub async fn probe_api(config: &ApiConfig) -> Result<Vec<Probe>, SourceError> {
    each(config.rpc()?, "blocks/latest", async |settings| {
        let max_bytes = settings.max_response;
        let node = Node::new(RpcClient::new(settings)?, config.requests_per_second, config.parallel, max_bytes);
        let latest = node.newest(0).await?;
        let name = config.network_id.clone();
        Ok(Found { network: name.clone(), name, oldest: latest.min(1), latest, remarks: Vec::new() })
    })
    .await
}

/// The same for the consensus RPC.
pub async fn probe_rpc(config: &RpcConfig) -> Result<Vec<Probe>, SourceError> {
    each(config.rpc()?, "status", async |settings| {
        let rpc = RpcClient::new(settings)?;
        let status = rpc::status(&rpc).await?;
        let found = cut(status.node_info.network);
        if let Some(expected) = config.chain_id.clone().filter(|expected| *expected != found) {
            return Err(SourceError::WrongNetwork { url: rpc.shown().to_owned(), expected, found });
        }
        Ok(Found {
            network: found.clone(),
            name: format!("{found}, consensus engine {}", cut(status.node_info.version)),
            oldest: status.sync_info.earliest_block_height.0,
            latest: status.sync_info.latest_block_height.0,
            remarks: Vec::new(),
        })
    })
    .await
}

async fn each(
    all: RpcSettings,
    method: &str,
    ask: impl AsyncFn(RpcSettings) -> Result<Found, SourceError>,
) -> Result<Vec<Probe>, SourceError> {
    let longest = all.timeout.min(LONGEST_PROBE);
    let mut probes = Vec::new();
    for url in all.urls {
        let shown = without_secrets(&url);
        let (headers, max_response) = (all.headers.clone(), all.max_response);
        let one = RpcSettings { urls: vec![url], headers, timeout: longest, max_response };
        let began = Instant::now();
        let found = timeout(longest, ask(one)).await.unwrap_or_else(|_| {
            Err(SourceError::Timeout { url: shown.clone(), method: method.to_owned(), after: longest })
        });
        probes.push(Probe { url: shown, took: began.elapsed(), found });
    }
    Ok(probes)
}
