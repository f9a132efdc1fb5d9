//! Where a source begins, and how it goes on after a stop.

use super::random::checkpoint;
use super::*;
use crate::event::ContinuityKind;
use crate::source::testing::Reply;

#[actix::test]
async fn where_a_source_begins() {
    for (start, first) in
        [(json!("latest"), 18), (json!("oldest"), 0), (json!(0), 0), (json!("0"), 0), (json!(5), 5), (json!(25), 25)]
    {
        let node = Node::new(20);
        let source = opened(settings(&[&served(&node).await], json!({ "start_ledger": start }))).await;
        assert_eq!(source.due(), Some(first));
    }
    let node = Node::new(20);
    let mut source = opened(settings(&[&served(&node).await], json!({ "start_ledger": 25 }))).await;
    assert!(polled(&mut source).await.0.is_empty());
    for _ in 0..8 {
        node.lock().unwrap().mine(1);
    }
    assert_blocks(&polled(&mut source).await.0, &node, 25, 26);
}

#[actix::test]
async fn block_0_is_a_position_like_any_other() {
    let node = Node::new(2);
    let config = settings(&[&served(&node).await], json!({ "start_ledger": 0 }));
    let mut source = opened(config.clone()).await;
    let (batches, errors) = polled(&mut source).await;
    assert_blocks(&batches, &node, 0, 0);
    assert_eq!((errors.len(), source.due(), source.newest()), (0, Some(1), Some(0)));
    let mut source = resumed(config, checkpoint(&batches[0], &source)).await;
    assert!(polled(&mut source).await.0.is_empty());
    node.lock().unwrap().mine(1);
    assert_blocks(&polled(&mut source).await.0, &node, 1, 1);
}

/// A source that goes on after a batch of another.
async fn resumed(config: Config, checkpoint: Checkpoint) -> EvmRpc {
    let mut source = made(config);
    source.identify().await.unwrap();
    source.open(Some(checkpoint)).await.unwrap();
    source
}

#[actix::test]
async fn a_restart_loses_and_repeats_nothing() {
    let node = Node::new(60);
    let config = settings(&[&served(&node).await], json!({}));
    let mut source = opened(config.clone()).await;
    let mut all = Vec::new();
    // In the middle of catching up, again and again.
    for _ in 0..10 {
        for _ in 0..5 {
            let Ok(Next::Batch(batch)) = source.next().await else { panic!("a batch") };
            all.push(*batch);
        }
        source = resumed(config.clone(), checkpoint(all.last().unwrap(), &source)).await;
    }
    all.extend(polled(&mut source).await.0);
    assert_blocks(&all, &node, 0, 58);
    assert_eq!(said(&all).last(), Some(&(58, 58)));
    // And the same chain gives the same ids.
    let again = polled(&mut opened(config).await).await.0;
    let ids = |batches: &[LedgerBatch]| -> Vec<String> {
        batches.iter().flat_map(|batch| batch.events.iter().map(|event| event.id.to_string())).collect()
    };
    assert_eq!(ids(&all), ids(&again));
}

#[actix::test]
async fn the_checkpoints_block_is_gone() {
    for keeps_replaced in [false, true] {
        let node = Node::new(20);
        node.lock().unwrap().keeps_replaced = keeps_replaced;
        let url = served(&node).await;
        let mut source = opened(settings(&[&url], json!({}))).await;
        let sent = polled(&mut source).await.0;
        let checkpoint = checkpoint(sent.last().unwrap(), &source);
        node.lock().unwrap().revert(8);
        for _ in 0..12 {
            node.lock().unwrap().mine(1);
        }
        let mut stopped = resumed(settings(&[&url], json!({})), checkpoint.clone()).await;
        let (batches, errors) = polled(&mut stopped).await;
        assert!(batches.is_empty() && errors.contains(&"held"), "{errors:?}");
        let more = json!({ "on_deep_reorg": "continue" });
        let (batches, errors) = polled(&mut resumed(settings(&[&url], more), checkpoint).await).await;
        // Where the chain parted is known if the node still has the blocks that it replaced; else blocks would be lost.
        if !keeps_replaced {
            assert!(batches.is_empty() && errors.contains(&"held"), "{errors:?}");
            continue;
        }
        let first = 13;
        let announced = batches[0].continuity.clone().unwrap();
        assert_eq!((announced.kind, announced.from_ledger, announced.to_ledger), (ContinuityKind::Reorg, first, 18));
        assert_blocks(&batches, &node, first, 22);
    }
}

#[actix::test]
async fn a_shorter_chain_is_waited_for() {
    let node = Node::new(20);
    let config = settings(&[&served(&node).await], json!({}));
    let mut source = opened(config.clone()).await;
    let sent = polled(&mut source).await.0;
    node.lock().unwrap().head = Some(4);
    let mut source = resumed(config, checkpoint(sent.last().unwrap(), &source)).await;
    let (batches, errors) = polled(&mut source).await;
    assert!(batches.is_empty() && errors.is_empty(), "{errors:?}");
}

#[actix::test]
async fn blocks_that_nobody_has_any_more() {
    for (on_gap, expected) in [("wait", None), ("announce", Some((11, 37)))] {
        let node = Node::new(40);
        let url = served(&node).await;
        let mut source = opened(settings(&[&url], json!({ "on_gap": on_gap, "start_ledger": 10 }))).await;
        let Ok(Next::Batch(first)) = source.next().await else { panic!("a batch") };
        let checkpoint = checkpoint(&first, &source);
        node.lock().unwrap().twist = Some(Box::new(|method, params| {
            let number = params[0].as_str().and_then(|text| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok());
            let pruned = method == "eth_getBlockByNumber" && number.is_some_and(|number| number < 30);
            pruned.then_some(Reply::Result(Value::Null))
        }));
        let mut source = resumed(source.config.clone(), checkpoint).await;
        let (batches, errors) = polled(&mut source).await;
        match expected {
            None => assert!(batches.is_empty() && errors.contains(&"held"), "{errors:?}"),
            Some((from, to)) => {
                let gap = batches[0].continuity.clone().unwrap();
                assert_eq!((gap.kind, gap.from_ledger, gap.to_ledger), (ContinuityKind::Gap, from, to));
                let hashes: Vec<_> = batches.iter().map(|batch| batch.ledger.index).collect();
                assert_eq!(hashes, [38]);
            }
        }
    }
}

#[actix::test]
async fn settings_that_cannot_work_are_told() {
    let node = Node::new(2);
    let url = served(&node).await;
    let error = made(settings(&[&url], json!({ "chain_id": 1 }))).identify().await.unwrap_err();
    assert!(error.to_string().contains("\"evm-31337\", not \"evm-1\""), "{error}");
    let bad = json!({ "contracts": [{ "address": BOARD, "abi_file": "/no/such/file" }] });
    assert_eq!(made(settings(&[&url], bad)).identify().await.unwrap_err().kind(), "setting");
}

#[actix::test]
async fn each_address_is_asked_and_tells_what_it_serves() {
    let node = Node::new(20);
    node.lock().unwrap().tag = Some(12);
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = [format!("http://{dead}/?key=SECRET"), served(&node).await];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let config = settings(&urls, json!({ "start_ledger": 1000, "finality": { "tag": "safe" } }));
    let probes = super::super::super::probe(&config).await.unwrap();
    assert_eq!(probes[0].found.as_ref().unwrap_err().kind(), "transport");
    assert!(!format!("{:?}", probes[0]).contains("SECRET"));
    let found = probes[1].found.as_ref().unwrap();
    assert_eq!((found.network.as_str(), found.oldest, found.latest), ("evm-31337", 0, 20));
    assert!(found.remarks[0].contains("safe block is 12") && found.remarks[1].contains("not mined yet"), "{found:?}");
    let other = settings(&urls, json!({ "chain_id": 5 }));
    let probes = super::super::super::probe(&other).await.unwrap();
    assert_eq!(probes[1].found.as_ref().unwrap_err().kind(), "wrong_network");
}
