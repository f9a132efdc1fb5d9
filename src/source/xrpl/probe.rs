//! Asks each address of a source once.

use super::client::Client;
use super::{Config, network_id, server};
use crate::source::settings::StartLedger;
use crate::source::{Found, LONGEST_PROBE, Probe, RpcSettings, SourceError, without_secrets};
use std::time::Instant;
use tokio::time::timeout;

/// Asks the addresses in their order, each for the source's `timeout` at most and never longer than
/// [`LONGEST_PROBE`]. An error: nothing can be asked with these settings.
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
            Err(_) => Err(SourceError::Timeout { url: shown.clone(), method: "server_info".into(), after: longest }),
        };
        probes.push(Probe { url: shown, took: began.elapsed(), found });
    }
    Ok(probes)
}

async fn ask(config: &Config, settings: RpcSettings) -> Result<Found, SourceError> {
    let client = Client::new(settings)?;
    let head = server::head(&client).await?;
    if let Some((expected, found)) = config.network_id.zip(head.network).filter(|(expected, found)| expected != found) {
        let url = client.shown().to_owned();
        return Err(SourceError::WrongNetwork { url, expected: network_id(expected), found: network_id(found) });
    }
    let number = head.network.or(config.network_id).unwrap_or(0);
    let latest = head.seq;
    let oldest = head.complete.first().unwrap_or(latest).min(latest);
    let row = head.complete.row_of(latest).unwrap_or(latest).min(latest);
    let mut remarks = Vec::new();
    match config.start_ledger {
        StartLedger::Number(start) if start < oldest => {
            remarks.push(format!("start_ledger {start} is not kept; without a checkpoint it begins at {oldest}"));
        }
        StartLedger::Number(start) if start > latest => {
            remarks
                .push(format!("start_ledger {start} is not closed yet; without a checkpoint it begins at the newest"));
        }
        StartLedger::Number(start) if start < row => {
            remarks.push(format!("between start_ledger {start} and the newest ledger the server has holes"));
        }
        _ => {}
    }
    if head.network.is_none() {
        remarks.push("the server does not tell its network_id; nothing shows that it is the right network".to_owned());
    }
    if let Some(age) = head.age.filter(|age| *age > super::poll::STALLED) {
        remarks.push(format!("its newest ledger is {age} s old"));
    }
    let name = match number {
        0 => "main network".to_owned(),
        1 => "test network".to_owned(),
        2 => "developers' network".to_owned(),
        other => format!("network {other}"),
    };
    Ok(Found { network: network_id(number), name, oldest: oldest.into(), latest: latest.into(), remarks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::{Reply, serve};
    use serde_json::json;

    #[actix::test]
    async fn each_address_is_asked_and_tells_what_it_serves() {
        let info = |network: u32| {
            json!({ "info": { "complete_ledgers": "5-9,20-100", "network_id": network, "server_state": "full",
                "validated_ledger": { "seq": 100, "age": 90, "hash": "" } } })
        };
        let served = serve(move |_, _| Reply::Result(info(1))).await;
        let other = serve(move |_, _| Reply::Result(info(0))).await;
        let blocked = serve(|_, _| Reply::Result(json!({ "info": { "amendment_blocked": true } }))).await;
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config: Config = serde_json::from_value(json!({
            "rpc_urls": [format!("http://{dead}/?key=SECRET"), served, other, blocked], "start_ledger": 7, "network_id": 1
        }))
        .unwrap();
        let probes = probe(&config).await.unwrap();
        let kinds: Vec<_> = probes.iter().map(|probe| probe.found.as_ref().err().map(SourceError::kind)).collect();
        assert_eq!(kinds, [Some("transport"), None, Some("wrong_network"), Some("blocked")]);
        assert!(!format!("{:?}", probes[0]).contains("SECRET"));
        let found = probes[1].found.as_ref().unwrap();
        assert_eq!((&*found.network, found.oldest, found.latest), ("xrpl-1", 5, 100));
        assert_eq!(found.remarks.len(), 2, "{found:?}");
    }
}
