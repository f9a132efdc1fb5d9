//! The source against nodes: recorded ones, and ones that fail in every way that providers do.

mod chain;
mod faults;
mod golden;
mod random;
mod start;

use super::*;
use crate::event::EventKind;
use crate::source::SourceStatus;
use crate::source::evm::native::{Log, LogMeaning, Value as Abi};
use crate::source::evm::testing::{BOARD, Node, SharedNode, abi, hash_of};
use crate::source::testing::serve;
use serde_json::{Value, json};

/// Serves a node.
async fn served(node: &SharedNode) -> String {
    let node = node.clone();
    serve(move |method, params| node.lock().unwrap().answer(method, params)).await
}

/// Settings for a source on the small chain, overwritten by `more`.
fn settings(urls: &[&str], more: Value) -> Config {
    let mut settings = json!({
        "rpc_urls": urls, "chain_id": 31337, "finality": { "confirmations": 2 }, "start_ledger": "oldest",
        "contracts": [{ "name": "Board", "address": BOARD, "abi": abi() }], "calls_per_second": 100_000, "timeout": "500ms",
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

fn made(config: Config) -> EvmRpc {
    EvmRpc::new(config, Context { source: 0, status: SourceStatus::new(0, "test") })
}

/// A source that is open, without a checkpoint.
async fn opened(config: Config) -> EvmRpc {
    let mut source = made(config);
    source.identify().await.unwrap();
    source.open(None).await.unwrap();
    source
}

/// Polls until nothing new comes: what came, and the kinds of the errors in between.
async fn polled(source: &mut EvmRpc) -> (Vec<LedgerBatch>, Vec<&'static str>) {
    let (mut batches, mut errors, mut quiet) = (Vec::new(), Vec::new(), 0);
    while quiet < 4 {
        match source.next().await {
            Ok(Next::Batch(batch)) => {
                batches.push(*batch);
                quiet = 0;
            }
            Ok(Next::NotYet) => quiet += 1,
            Err(error) => {
                // Shown where a test fails.
                println!("{error}");
                errors.push(error.kind());
                assert!(errors.len() < 100, "{error}");
                if error.kind() == "held" {
                    quiet += 1;
                }
            }
        }
    }
    (batches, errors)
}

/// What contracts said in these batches: log number and message.
fn said(batches: &[LedgerBatch]) -> Vec<(u64, u64)> {
    let logs = batches.iter().flat_map(|batch| &batch.events).filter(|event| event.kind == EventKind::ContractEvent);
    logs.map(|event| {
        let log: &Log = event.native.as_ref().unwrap().get().unwrap();
        let LogMeaning::Event { data, .. } = &log.meaning else { panic!("{log:?}") };
        let Abi::Integer(number) = &data[0].1 else { panic!("{log:?}") };
        (log.number, number.parse().unwrap())
    })
    .collect()
}

/// The batches are exactly the node's blocks from `first` to `last`, whatever is in them.
#[track_caller]
fn assert_blocks_only(batches: &[LedgerBatch], node: &SharedNode, first: u64, last: u64) {
    let node = node.lock().unwrap();
    let hashes: Vec<_> =
        batches.iter().map(|batch| (batch.ledger.index, format!("0x{}", batch.ledger.hash.unwrap()))).collect();
    let expected: Vec<_> = (first..=last).map(|number| (number, node.chain[number as usize].hash())).collect();
    assert_eq!(hashes, expected);
}

/// The batches are exactly the node's blocks from `first` to `last`, and the numbers of the logs go up by one.
#[track_caller]
fn assert_blocks(batches: &[LedgerBatch], node: &SharedNode, first: u64, last: u64) {
    assert_blocks_only(batches, node, first, last);
    let node = node.lock().unwrap();
    let said = said(batches);
    let before = if first == 0 { 0 } else { node.says(first - 1).len() };
    assert_eq!(said.iter().map(|(_, message)| *message).collect::<Vec<_>>(), node.says(last)[before..]);
    assert!(said.windows(2).all(|two| two[1].0 == two[0].0 + 1), "{said:?}");
}
