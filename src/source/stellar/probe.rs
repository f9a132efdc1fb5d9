//! Asks each address of a Stellar source once.

use super::config::Config;
use super::{methods, network_id};
use crate::source::settings::StartLedger;
use crate::source::{Found, LONGEST_PROBE, Probe, RpcClient, RpcSettings, SourceError, cut, without_secrets};
use std::time::Instant;
use tokio::time::timeout;

/// Asks the addresses in their order, each for the source's `timeout` at most and never longer
/// than [`LONGEST_PROBE`]. An error: nothing can be asked with these settings.
pub async fn probe(config: &Config) -> Result<Vec<Probe>, SourceError> {
    let all = config.rpc()?;
    let longest = all.timeout.min(LONGEST_PROBE);
    let mut probes = Vec::new();
    for url in all.urls {
        let shown = without_secrets(&url);
        let (headers, max_response) = (all.headers.clone(), all.max_response);
        let one = RpcSettings { urls: vec![url], headers, timeout: longest, max_response };
        let began = Instant::now();
        let found = match timeout(longest, ask(config, one)).await {
            Ok(found) => found,
            Err(_) => {
                let method = "getNetwork and getHealth".to_owned();
                Err(SourceError::Timeout { url: shown.clone(), method, after: longest })
            }
        };
        probes.push(Probe { url: shown, took: began.elapsed(), found });
    }
    Ok(probes)
}

async fn ask(config: &Config, settings: RpcSettings) -> Result<Found, SourceError> {
    let mut rpc = RpcClient::new(settings)?;
    let passphrase = methods::network(&mut rpc).await?.passphrase;
    let name = cut(passphrase.clone());
    if let Some(expected) = config.network_passphrase.as_ref().filter(|expected| **expected != passphrase) {
        return Err(SourceError::WrongNetwork { url: rpc.shown().to_owned(), expected: expected.clone(), found: name });
    }
    let health = methods::health(&mut rpc).await?;
    let (oldest, latest) = (health.oldest_ledger, health.latest_ledger);
    let remark = match config.start_ledger {
        StartLedger::Number(start) if start < oldest => {
            Some(format!("start_ledger {start} is no longer kept; without a checkpoint it begins at the oldest"))
        }
        StartLedger::Number(start) if start > latest => {
            Some(format!("start_ledger {start} is not closed yet; without a checkpoint it begins at the newest"))
        }
        _ => None,
    };
    Ok(Found {
        network: network_id(&passphrase),
        name,
        oldest: oldest.into(),
        latest: latest.into(),
        remarks: remark.into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devnet::{self, Settings};
    use serde_json::json;
    use std::time::Duration;

    #[tokio::test]
    async fn each_address_is_asked_and_tells_what_it_serves() {
        let devnet = devnet::start(Settings::default()).await.unwrap();
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config: Config = serde_json::from_value(json!({
            "rpc_urls": [format!("http://{dead}/?key=SECRET"), devnet.url()], "start_ledger": 1_000_000
        }))
        .unwrap();
        let probes = probe(&config).await.unwrap();
        let [first, second] = probes.as_slice() else { panic!("{probes:?}") };
        assert_eq!(first.found.as_ref().unwrap_err().kind(), "transport");
        assert!(!format!("{first:?}").contains("SECRET"), "{first:?}");
        let found = second.found.as_ref().unwrap();
        assert_eq!(found.name, "Ledgercast Devnet ; 2026");
        assert_eq!(found.network, network_id(&found.name));
        assert!(found.oldest >= 1 && found.latest >= found.oldest + 4, "{found:?}");
        assert!(found.remarks[0].starts_with("start_ledger 1000000 is not closed yet"), "{found:?}");

        let elsewhere = Config { network_passphrase: Some("another".into()), ..config };
        let probes = probe(&elsewhere).await.unwrap();
        assert_eq!(probes[1].found.as_ref().unwrap_err().kind(), "wrong_network");
        devnet.stop().await;
    }

    #[tokio::test]
    async fn one_that_says_nothing_is_waited_for_as_long_as_the_settings_allow() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let config: Config = serde_json::from_value(json!({ "rpc_url": url, "timeout": "200ms" })).unwrap();
        let probes = probe(&config).await.unwrap();
        assert_eq!(probes[0].found.as_ref().unwrap_err().kind(), "timeout");
        assert!(probes[0].took < Duration::from_secs(5), "{probes:?}");
    }
}
