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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devnet::planetmint::{Contents, Network};
    use crate::source::testing::{Reply, serve};
    use serde_json::{Value, json};

    /// A node with both APIs and seven blocks, of which it keeps three; and an address where nobody is.
    async fn addresses() -> Value {
        let network = Network::new(1, 3, Contents::Mixed { events: 3 }, 3);
        (0..7).for_each(|block| network.close_next(1_700_000_000 + block));
        let url = serve(move |path, _| {
            let answer = network.answer("GET", path, b"");
            Reply::StatusBody(answer.status, answer.body.into())
        });
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        json!([format!("http://{dead}/?key=SECRET"), url.await])
    }

    fn told(probes: &[Probe]) -> (&'static str, &Found) {
        assert!(!format!("{probes:?}").contains("SECRET"), "{probes:?}");
        let [first, second] = probes else { panic!("{probes:?}") };
        (first.found.as_ref().unwrap_err().kind(), second.found.as_ref().unwrap())
    }

    #[actix::test]
    async fn each_address_is_asked_and_tells_what_it_serves() {
        let urls = addresses().await;
        let config = serde_json::from_value(json!({ "rpc_urls": urls, "network_id": "ours" })).unwrap();
        let probes = probe_api(&config).await.unwrap();
        let (first, found) = told(&probes);
        // The address has a query, which no path can follow.
        assert!(["transport", "malformed", "http_status"].contains(&first), "{first}");
        assert_eq!((&*found.network, found.latest), ("ours", 7));
        let config: RpcConfig = serde_json::from_value(json!({ "rpc_urls": urls })).unwrap();
        let probes = probe_rpc(&config).await.unwrap();
        let (_, found) = told(&probes);
        assert_eq!((&*found.network, found.oldest, found.latest), ("ledgercast-planetmint", 5, 7));
        let probes = probe_rpc(&RpcConfig { chain_id: Some("another".into()), ..config }).await.unwrap();
        assert_eq!(probes[1].found.as_ref().unwrap_err().kind(), "wrong_network");
    }
}
