//! Nodes and providers that fail: whatever they do, the stream is whole in the end, and no part of a block is sent.

use super::*;
use crate::source::testing::{Reply, in_batch};
use serde_json::value::Value as Json;

/// A node whose answers to a method are spoilt `times` times.
async fn spoilt(node: &SharedNode, method: &'static str, times: usize, spoil: fn(Json) -> Reply) -> String {
    let node = node.clone();
    let mut left = times;
    serve(move |asked, params| {
        let reply = node.lock().unwrap().answer(asked, params);
        match reply {
            Reply::Result(result) if asked == method && left > 0 => {
                left -= 1;
                spoil(result)
            }
            reply => reply,
        }
    })
    .await
}

/// The first transaction, receipt or log of an answer, changed.
fn changed(mut answer: Json, pointer: &str, value: Json) -> Reply {
    if let Some(place) = answer.pointer_mut(pointer) {
        *place = value;
    }
    Reply::Result(answer)
}

fn hash() -> Json {
    format!("0x{}", "ab".repeat(32)).into()
}

#[actix::test]
async fn answers_that_do_not_fit_are_never_sent() {
    const BLOCK: &str = "eth_getBlockByNumber";
    const RECEIPTS: &str = "eth_getBlockReceipts";
    type Case = (&'static str, &'static str, fn(Json) -> Reply);
    let cases: [Case; 28] = [
        ("null block", BLOCK, |_| Reply::Result(Json::Null)),
        ("unknown block", BLOCK, |_| Reply::Error(-32000, "header not found".into())),
        ("another number", BLOCK, |block| changed(block, "/number", "0x5".into())),
        ("no number", BLOCK, |block| changed(block, "/number", Json::Null)),
        ("no hash", BLOCK, |block| changed(block, "/hash", Json::Null)),
        ("a number", BLOCK, |block| changed(block, "/timestamp", 7.into())),
        ("zeros before", BLOCK, |block| changed(block, "/timestamp", "0x01".into())),
        ("no transactions", BLOCK, |block| changed(block, "/transactions", Json::Null)),
        ("transaction of another block", BLOCK, |block| changed(block, "/transactions/0/blockHash", hash())),
        ("transaction out of place", BLOCK, |block| changed(block, "/transactions/0/transactionIndex", "0x1".into())),
        ("transaction hash", BLOCK, |block| changed(block, "/transactions/0/hash", hash())),
        ("null receipts", RECEIPTS, |_| Reply::Result(Json::Null)),
        ("unknown block for receipts", RECEIPTS, |_| Reply::Error(-32000, "unknown block".into())),
        ("no receipts yet", RECEIPTS, |_| Reply::Result(json!([]))),
        ("receipts of another block", RECEIPTS, |receipts| changed(receipts, "/0/blockHash", hash())),
        ("receipt of another transaction", RECEIPTS, |receipts| changed(receipts, "/0/transactionHash", hash())),
        ("receipt out of place", RECEIPTS, |receipts| changed(receipts, "/0/transactionIndex", "0x1".into())),
        ("a receipt over", RECEIPTS, |receipts| {
            let mut receipts = receipts.as_array().unwrap().clone();
            receipts.extend(receipts.clone());
            Reply::Result(receipts.into())
        }),
        ("log removed", RECEIPTS, |receipts| changed(receipts, "/0/logs/0/removed", true.into())),
        ("log of another block", RECEIPTS, |receipts| changed(receipts, "/0/logs/0/blockHash", hash())),
        ("log of another transaction", RECEIPTS, |receipts| changed(receipts, "/0/logs/0/transactionHash", hash())),
        ("logs gone", RECEIPTS, |receipts| changed(receipts, "/0/logs", json!([]))),
        ("two logs of one index", RECEIPTS, |mut receipts| {
            let log = receipts[0]["logs"][0].clone();
            receipts[0]["logs"].as_array_mut().unwrap().push(log);
            Reply::Result(receipts)
        }),
        ("a log cut out", RECEIPTS, |receipts| changed(receipts, "/0/logs/0/logIndex", "0x1".into())),
        ("garbage", BLOCK, |_| Reply::Body(b"<html>".to_vec())),
        ("cut", RECEIPTS, |_| Reply::Cut),
        ("an error of the server", RECEIPTS, |_| Reply::Status(503, "")),
        ("an internal error", RECEIPTS, |_| Reply::Error(-32603, "internal".into())),
    ];
    for batch in [1, 4] {
        for (what, method, spoil) in cases {
            let node = Node::new(6);
            let url = spoilt(&node, method, 1, spoil).await;
            let mut source = opened(settings(&[&url], json!({ "batch": batch, "start_ledger": 1 }))).await;
            let mut all = polled(&mut source).await.0;
            all.extend(polled(&mut source).await.0);
            assert_eq!(all.len(), 4, "{what}");
            assert_blocks(&all, &node, 1, 4);
        }
    }
}

#[actix::test]
async fn limits_are_waited_for() {
    for batch in [1, 5] {
        let node = Node::new(4);
        let mut source = opened(settings(&[&served(&node).await], json!({ "batch": batch }))).await;
        let wait = |error: SourceError| (error.kind(), error.retry_after());
        for (fault, expected) in [
            (Reply::Status(429, "retry-after: 7\r\n"), Some(Duration::from_secs(7))),
            (Reply::Status(429, ""), None),
            (Reply::Error(-32005, "limit exceeded, try again in 3s".into()), Some(Duration::from_secs(3))),
        ] {
            node.lock().unwrap().faults.push_back(fault);
            assert_eq!(wait(source.next().await.unwrap_err()), ("http_status", expected));
        }
        assert_blocks(&polled(&mut source).await.0, &node, 0, 2);
    }
}

#[actix::test]
async fn a_limit_in_one_item_of_a_batch() {
    let node = Node::new(9);
    let mut left = 3;
    let limited = node.clone();
    let url = serve(move |method, params| {
        if method == "eth_getBlockByNumber" && params[0] == "0x3" && left > 0 {
            left -= 1;
            return Reply::Error(429, "too many requests".into());
        }
        limited.lock().unwrap().answer(method, params)
    })
    .await;
    let mut source = opened(settings(&[&url], json!({ "batch": 6 }))).await;
    let (batches, errors) = polled(&mut source).await;
    assert_blocks(&batches, &node, 0, 7);
    assert_eq!(errors, ["http_status"; 3]);
}

#[actix::test]
async fn batches_that_are_refused_become_single_calls() {
    for refusal in [
        || Reply::Status(400, ""),
        || Reply::Body(br#"{"id":null,"error":{"code":-32600,"message":"no batches"}}"#.to_vec()),
    ] {
        let node = Node::new(9);
        let refusing = node.clone();
        let url = serve(move |method, params| match in_batch() {
            true => refusal(),
            false => refusing.lock().unwrap().answer(method, params),
        })
        .await;
        let mut source = opened(settings(&[&url], json!({ "batch": 8 }))).await;
        let (batches, _) = polled(&mut source).await;
        assert_blocks(&batches, &node, 0, 7);
    }
}

#[actix::test]
async fn one_that_hangs_is_left() {
    let (hanging, good) = (Node::new(9), Node::new(9));
    let (first, second) = (served(&hanging).await, served(&good).await);
    let mut source = opened(settings(&[&first, &second], json!({ "timeout": "200ms" }))).await;
    for _ in 0..3 {
        hanging.lock().unwrap().faults.push_back(Reply::Silence);
    }
    let (batches, errors) = polled(&mut source).await;
    assert_eq!(errors, ["timeout"]);
    assert_blocks(&batches, &good, 0, 7);
}

#[actix::test]
async fn one_that_is_never_whole_is_left() {
    let (bad, good) = (Node::new(9), Node::new(9));
    let url =
        spoilt(&bad, "eth_getBlockReceipts", usize::MAX, |receipts| changed(receipts, "/0/logs", json!([]))).await;
    let second = served(&good).await;
    let mut source = opened(settings(&[&url, &second], json!({}))).await;
    let (batches, errors) = polled(&mut source).await;
    // Three times in all; the first of them may have come after a good block.
    assert!((2..=3).contains(&errors.len()) && errors.iter().all(|kind| *kind == "malformed"), "{errors:?}");
    assert_blocks(&batches, &good, 0, 7);
}

#[actix::test]
async fn receipts_come_in_three_ways() {
    let node = Node::new(5);
    node.lock().unwrap().mine(7);
    node.lock().unwrap().lacks.insert("eth_getBlockReceipts");
    let mut source = opened(settings(&[&served(&node).await], json!({ "finality": { "confirmations": 0 } }))).await;
    let (batches, errors) = polled(&mut source).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert_blocks(&batches, &node, 0, 6);
    let asked = node.lock().unwrap().asked.clone();
    assert_eq!(asked.iter().filter(|method| *method == "eth_getTransactionReceipt").count(), 12);

    // A node that wants an object.
    let node = Node::new(5);
    node.lock().unwrap().twist = Some(Box::new(|method, params| {
        let refused = method == "eth_getBlockReceipts" && params[0].is_string();
        refused.then(|| Reply::Error(-32602, "invalid argument 0".into()))
    }));
    let mut source = opened(settings(&[&served(&node).await], json!({}))).await;
    let (batches, errors) = polled(&mut source).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert_blocks(&batches, &node, 0, 3);
}

#[actix::test]
async fn another_chain_behind_the_address() {
    let (node, other) = (Node::new(5), Node::new(3));
    let mut source = opened(settings(&[&served(&node).await], json!({}))).await;
    assert_blocks(&polled(&mut source).await.0, &node, 0, 3);
    let ours = {
        let (mut node, mut other) = (node.lock().unwrap(), other.lock().unwrap());
        other.said = 1000;
        for _ in 0..9 {
            other.mine(1);
        }
        other.chain.remove(0);
        node.chain_id = 137;
        std::mem::replace(&mut node.chain, other.chain.clone())
    };
    let mut kinds = std::collections::BTreeSet::new();
    for _ in 0..10 {
        match source.next().await {
            Ok(Next::Batch(batch)) => panic!("{:?}", batch.ledger),
            Ok(Next::NotYet) => {}
            Err(error) => drop(kinds.insert(error.kind())),
        }
    }
    assert!(kinds.contains("wrong_network") && !kinds.contains("held"), "{kinds:?}");
    {
        let mut node = node.lock().unwrap();
        (node.chain, node.chain_id) = (ours, 31337);
        node.mine(1);
    }
    assert_blocks(&polled(&mut source).await.0, &node, 4, 4);
}

#[actix::test]
async fn a_block_of_a_thousand_transactions_and_bridged_logs() {
    let node = Node::new(1);
    node.lock().unwrap().mine(1000);
    let mut source = opened(settings(&[&served(&node).await], json!({ "finality": { "confirmations": 0 } }))).await;
    let (batches, _) = polled(&mut source).await;
    assert_blocks(&batches, &node, 0, 2);
    assert_eq!(batches[2].events.len(), 2001);
    assert!(batches[2].events.windows(2).all(|two| two[0].place < two[1].place));

    // One receipt more than transactions, and one less.
    let node = Node::new(2);
    {
        let mut node = node.lock().unwrap();
        node.chain[1].block["transactions"] = json!([]);
        node.mine(2);
        let nobody = format!("0x{}", "0".repeat(40));
        let last = &mut node.chain[3];
        last.receipts.pop();
        last.block["transactions"][1]["from"] = nobody.clone().into();
        last.block["transactions"][1]["to"] = nobody.into();
    }
    let loose = json!({ "finality": { "confirmations": 0 }, "match_receipts": false });
    let (batches, errors) = polled(&mut opened(settings(&[&served(&node).await], loose.clone())).await).await;
    assert!(errors.is_empty(), "{errors:?}");
    let counts: Vec<_> = batches.iter().map(|batch| batch.events.len()).collect();
    assert_eq!(counts, [1, 2, 3, 3]);
    assert_blocks(&batches, &node, 0, 3);
    // And so where each is asked for alone.
    node.lock().unwrap().lacks.insert("eth_getBlockReceipts");
    let single = json!({ "finality": { "confirmations": 0 }, "match_receipts": false, "start_ledger": 2 });
    let (batches, errors) = polled(&mut opened(settings(&[&served(&node).await], single)).await).await;
    assert!(errors.is_empty() && batches.len() == 2, "{errors:?}");
    assert_blocks(&batches, &node, 2, 3);

    // More than that is loss: an ordinary transaction without its receipt, or two receipts over.
    for loss in [0, 1] {
        let node = Node::new(1);
        {
            let mut node = node.lock().unwrap();
            node.mine(3);
            match loss {
                0 => drop(node.chain[2].receipts.pop()),
                _ => node.chain[2].block["transactions"].as_array_mut().unwrap().truncate(1),
            }
        }
        let mut source = opened(settings(&[&served(&node).await], loose.clone())).await;
        let mut batches = 0;
        for _ in 0..6 {
            batches += usize::from(matches!(source.next().await, Ok(Next::Batch(_))));
        }
        assert_eq!(batches, 2, "{loss}");
    }
}

#[actix::test]
async fn tokens_that_do_not_tell_stop_nothing() {
    for refusal in [
        || Reply::Error(3, "execution reverted: rate limit exceeded, try again in 10s".into()),
        || Reply::Error(-32000, "out of gas".into()),
        || Reply::Error(-32000, "invalid jump destination".into()),
        || Reply::Status(500, ""),
        || Reply::Silence,
    ] {
        let node = Node::new(4);
        {
            let mut node = node.lock().unwrap();
            let topics =
                json!([hash_of("Transfer(address,address,uint256)"), format!("0x{:064x}", 1), format!("0x{:064x}", 2)]);
            node.chain[2].receipts[0]["logs"][0]["topics"] = topics;
            node.twist = Some(Box::new(move |method, _| (method == "eth_call").then(refusal)));
        }
        let more = json!({ "all_tokens": true, "timeout": "200ms", "contracts": [] });
        let (batches, errors) = polled(&mut opened(settings(&[&served(&node).await], more)).await).await;
        assert_blocks_only(&batches, &node, 0, 2);
        assert!(errors.len() <= 6, "{errors:?}");
        assert!(batches[2].events.iter().any(|event| event.kind == EventKind::Payment), "{:?}", batches[2].events);
    }
}

#[actix::test]
async fn one_wrong_head_is_forgotten() {
    for tag in [false, true] {
        for wrong in [2u64, 1_000_000] {
            let node = Node::new(30);
            node.lock().unwrap().tag = Some(20);
            let spoilt = node.clone();
            let mut left = 1;
            let url = serve(move |method, params| {
                let mut node = spoilt.lock().unwrap();
                let asks = method == "eth_blockNumber" || params[0] == "finalized";
                if !asks || left == 0 {
                    return node.answer(method, params);
                }
                left -= 1;
                match method {
                    "eth_blockNumber" => Reply::Result(format!("{wrong:#x}").into()),
                    _ => {
                        let mut block = node.chain[2].block.clone();
                        block["number"] = format!("{wrong:#x}").into();
                        Reply::Result(block)
                    }
                }
            })
            .await;
            let finality = if tag { json!({ "tag": "finalized" }) } else { json!({ "confirmations": 10 }) };
            let mut source = opened(settings(&[&url], json!({ "finality": finality }))).await;
            let (batches, _) = polled(&mut source).await;
            assert_blocks(&batches, &node, 0, 20);
            assert_eq!(source.newest(), Some(20));
        }
    }
}
