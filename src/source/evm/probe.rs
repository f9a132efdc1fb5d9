//! Asks each address of an EVM source once.

use super::calls::Calls;
use super::config::{Config, Final};
use super::poll::fetch;
use crate::source::{Found, LONGEST_PROBE, Probe, RpcClient, RpcSettings, SourceError, StartLedger, without_secrets};
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
        let found = timeout(longest, ask(config, one)).await.unwrap_or_else(|_| {
            let method = "eth_chainId and eth_blockNumber".to_owned();
            Err(SourceError::Timeout { url: shown.clone(), method, after: longest })
        });
        probes.push(Probe { url: shown, took: began.elapsed(), found });
    }
    Ok(probes)
}

async fn ask(config: &Config, settings: RpcSettings) -> Result<Found, SourceError> {
    let mut calls = Calls::new(RpcClient::new(settings)?, 1, config.calls_per_second);
    let chain = fetch::chain_id(&mut calls).await?;
    if let Some(expected) = config.chain_id.filter(|expected| *expected != chain) {
        let (expected, found) = (format!("evm-{expected}"), format!("evm-{chain}"));
        return Err(SourceError::WrongNetwork { url: calls.shown(), expected, found });
    }
    let latest = fetch::newest(&mut calls).await?;
    let mut remarks = Vec::new();
    if let Final::Tag(tag) = config.finality() {
        let known = fetch::header(&mut calls, tag.name()).await;
        match known.ok().flatten().and_then(|header| header.identity()) {
            Some((number, _)) => remarks.push(format!("its {} block is {number}", tag.name())),
            None => remarks.push(format!("it knows no {} block; write finality: {{ confirmations: … }}", tag.name())),
        }
    }
    // Nodes that keep all tell block 0, and some that do not do so too.
    let oldest = fetch::header(&mut calls, "earliest").await.ok().flatten().and_then(|header| header.identity());
    let oldest = oldest.map_or(latest, |(number, _)| number);
    if let StartLedger::Number(start) = config.start_ledger
        && u64::from(start) > latest
    {
        remarks.push(format!("start_ledger {start} is not mined yet; without a checkpoint it is waited for"));
    }
    Ok(Found { network: format!("evm-{chain}"), name: format!("chain {chain}"), oldest, latest, remarks })
}
