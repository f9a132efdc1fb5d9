//! Forks, at and beyond the depth at which blocks are final, and heads that go back.

use super::*;
use crate::event::ContinuityKind;
use crate::source::testing::Reply;

#[actix::test]
async fn blocks_come_when_they_are_final() {
    let node = Node::new(30);
    let mut source = opened(settings(&[&served(&node).await], json!({}))).await;
    let (batches, errors) = polled(&mut source).await;
    assert_blocks(&batches, &node, 0, 28);
    assert_eq!((errors.len(), source.due(), source.newest()), (0, Some(29), Some(28)));
    assert_eq!(said(&batches)[0].0, 1);
    // Nothing is asked for twice, and an empty block costs one call.
    let asked = node.lock().unwrap().asked.clone();
    let count = |method: &str| asked.iter().filter(|asked| *asked == method).count();
    assert_eq!((count("eth_getBlockReceipts"), count("eth_getBlockByNumber")), (30, 31 + 4));
    node.lock().unwrap().mine(0);
    node.lock().unwrap().mine(3);
    let (batches, _) = polled(&mut source).await;
    assert_blocks(&batches, &node, 29, 30);
}

#[actix::test]
async fn a_fork_in_the_window_is_never_told() {
    // Deep as the window, and the new chain shorter, of the same length, and longer.
    for depth in 1..=3usize {
        for mined in 0..=depth + 2 {
            let node = Node::new(10);
            let mut source =
                opened(settings(&[&served(&node).await], json!({ "finality": { "confirmations": 3 } }))).await;
            assert_blocks(&polled(&mut source).await.0, &node, 0, 7);
            node.lock().unwrap().revert(depth);
            for _ in 0..mined {
                node.lock().unwrap().mine(1);
            }
            let (first, errors) = polled(&mut source).await;
            assert_eq!(errors.len(), 0, "{depth} {mined}: {errors:?}");
            // And once it has grown well past the old one.
            for _ in 0..5 {
                node.lock().unwrap().mine(1);
            }
            let (then, _) = polled(&mut source).await;
            let all: Vec<_> = first.into_iter().chain(then).collect();
            let top = node.lock().unwrap().top();
            assert!(all.iter().all(|batch| batch.continuity.is_none()));
            assert_blocks(&all, &node, 8, top - 3);
        }
    }
}

#[actix::test]
async fn a_transaction_that_moves_comes_once_with_its_last_block() {
    let node = Node::new(5);
    let mut source = opened(settings(&[&served(&node).await], json!({}))).await;
    assert_blocks(&polled(&mut source).await.0, &node, 0, 3);
    // Message 5 moves from block 5 to block 6, and block 5 says something else; then the same at the same height.
    for again in [&[5u64][..], &[5]] {
        let mut node = node.lock().unwrap();
        node.revert(1);
        if node.top() == 4 {
            node.mine(1);
        }
        node.mine_again(again);
    }
    node.lock().unwrap().mine(0);
    node.lock().unwrap().mine(0);
    let (batches, _) = polled(&mut source).await;
    let top = node.lock().unwrap().top();
    assert_blocks(&batches, &node, 4, top - 2);
    assert_eq!(said(&batches).iter().filter(|(_, message)| *message == 5).count(), 1);
}

#[actix::test]
async fn blocks_are_replaced_without_the_heads_number_changing() {
    let node = Node::new(9);
    let mut source = opened(settings(&[&served(&node).await], json!({ "finality": { "confirmations": 4 } }))).await;
    polled(&mut source).await;
    node.lock().unwrap().revert(3);
    for _ in 0..3 {
        node.lock().unwrap().mine(2);
    }
    assert!(polled(&mut source).await.0.is_empty(), "nothing more is final");
    for _ in 0..4 {
        node.lock().unwrap().mine(1);
    }
    assert_blocks(&polled(&mut source).await.0, &node, 6, 9);
}

#[actix::test]
async fn a_head_that_goes_back_is_waited_for() {
    let node = Node::new(20);
    let mut source = opened(settings(&[&served(&node).await], json!({}))).await;
    assert_blocks(&polled(&mut source).await.0, &node, 0, 18);
    for head in [3, 20, 17, 19, 0, 20, 18] {
        node.lock().unwrap().head = Some(head);
        assert_eq!(polled(&mut source).await.0.len(), 0, "{head}");
    }
    node.lock().unwrap().head = None;
    node.lock().unwrap().mine(1);
    assert_blocks(&polled(&mut source).await.0, &node, 19, 19);
}

#[actix::test]
async fn a_deep_fork_stops_the_source() {
    let node = Node::new(10);
    let mut source = opened(settings(&[&served(&node).await], json!({}))).await;
    assert_blocks(&polled(&mut source).await.0, &node, 0, 8);
    let old = node.lock().unwrap().chain.clone();
    node.lock().unwrap().revert(5);
    for _ in 0..20 {
        node.lock().unwrap().mine(1);
    }
    let (batches, errors) = polled(&mut source).await;
    assert!(batches.is_empty());
    assert_eq!(errors[0], "discontinuity");
    assert!(errors[1..].iter().all(|kind| *kind == "held") && errors.len() > 3, "{errors:?}");
    let error = source.next().await.unwrap_err().to_string();
    assert!(error.contains(&old[8].hash()[2..]) && error.contains("`on_deep_reorg: continue`"), "{error}");
    // If the old chain wins after all, what was sent is right and nothing is missing.
    node.lock().unwrap().chain = old;
    node.lock().unwrap().mine(1);
    assert_blocks(&polled(&mut source).await.0, &node, 9, 9);
}

#[actix::test]
async fn a_deep_fork_is_announced_where_that_is_wished() {
    for confirmations in [0, 2] {
        let more = json!({ "on_deep_reorg": "continue", "finality": { "confirmations": confirmations } });
        let node = Node::new(10);
        let mut source = opened(settings(&[&served(&node).await], more)).await;
        let last = 10 - confirmations;
        let before = polled(&mut source).await.0;
        assert_blocks(&before, &node, 0, last);
        node.lock().unwrap().revert(6);
        for _ in 0..8 {
            node.lock().unwrap().mine(1);
        }
        let (batches, errors) = polled(&mut source).await;
        assert_eq!(errors, ["discontinuity"]);
        let announced = batches[0].continuity.clone().unwrap();
        assert_eq!((announced.kind, announced.from_ledger, announced.to_ledger), (ContinuityKind::Reorg, 5, last));
        assert!(batches[1..].iter().all(|batch| batch.continuity.is_none()));
        assert_blocks(&batches, &node, 5, 12 - confirmations);
        // Numbers of logs are never given twice.
        assert_eq!(said(&batches)[0].0, said(&before).last().unwrap().0 + 1);
    }
}

#[actix::test]
async fn what_the_chain_calls_final_is_sent() {
    let node = Node::new(40);
    node.lock().unwrap().tag = Some(20);
    let more = json!({ "finality": { "tag": "finalized" } });
    let mut source = opened(settings(&[&served(&node).await], more.clone())).await;
    assert_blocks(&polled(&mut source).await.0, &node, 0, 20);
    // Above it, anything may happen; it may be told late or by one who lags.
    node.lock().unwrap().revert(15);
    node.lock().unwrap().tag = Some(18);
    assert!(polled(&mut source).await.0.is_empty());
    node.lock().unwrap().tag = Some(24);
    assert_blocks(&polled(&mut source).await.0, &node, 21, 24);
    // And what was final is not any more.
    node.lock().unwrap().revert(5);
    for _ in 0..4 {
        node.lock().unwrap().mine(1);
    }
    assert_eq!(polled(&mut source).await.1[..2], ["discontinuity", "held"]);

    let node = Node::new(3);
    let mut source = made(settings(&[&served(&node).await], more));
    source.identify().await.unwrap();
    let error = source.open(None).await.unwrap_err().to_string();
    assert!(error.contains("knows no block `finalized`") && error.contains("confirmations"), "{error}");
}

#[actix::test]
async fn two_machines_behind_one_name() {
    // About every second answer comes from one that lags by five blocks.
    let node = Node::new(20);
    let lagging = node.clone();
    let mut dice: u32 = 1;
    let url = serve(move |method, params| {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut node = lagging.lock().unwrap();
        if dice >> 31 == 0 {
            return node.answer(method, params);
        }
        let full = node.chain.clone();
        let keep = full.len().saturating_sub(5);
        node.chain.truncate(keep);
        let reply = node.answer(method, params);
        node.chain = full;
        reply
    })
    .await;
    let mut source = opened(settings(&[&url], json!({}))).await;
    let mut all = Vec::new();
    for _ in 0..20 {
        all.extend(polled(&mut source).await.0);
    }
    assert_blocks(&all, &node, 0, 18);
}

#[actix::test]
async fn a_block_that_is_replaced_between_two_calls() {
    let node = Node::new(6);
    let mut left = 1;
    let replaced = node.clone();
    let url = serve(move |method, params| {
        let mut node = replaced.lock().unwrap();
        if method == "eth_getBlockReceipts" && left > 0 {
            left -= 1;
            node.revert(2);
            node.mine(1);
            node.mine(1);
            node.mine(1);
        }
        node.answer(method, params)
    })
    .await;
    let mut source = opened(settings(&[&url], json!({ "batch": 1, "start_ledger": 5 }))).await;
    let (batches, errors) = polled(&mut source).await;
    assert_blocks(&batches, &node, 5, 5);
    assert!(errors.is_empty(), "{errors:?}");
    assert!(matches!(node.lock().unwrap().answer("eth_getBlockReceipts", &json!([0])), Reply::Result(Value::Null)));
}

#[actix::test]
async fn what_is_called_final_and_the_blocks_come_from_machines_that_disagree() {
    for several in [false, true] {
        let node = Node::new(40);
        let orphans = Node::new(40);
        {
            let mut orphans = orphans.lock().unwrap();
            orphans.chain = node.lock().unwrap().chain.clone();
            orphans.revert(25);
            orphans.said = 1000;
            (0..25).for_each(|_| orphans.mine(1));
            node.lock().unwrap().tag = Some(30);
        }
        let (right, mut left) = (node.clone(), 12);
        let url = serve(move |method, params| {
            let astray = params[0] != "finalized" && left > 0;
            left -= u32::from(astray && method == "eth_getBlockByNumber" && params[0] == "0x1e");
            if astray {
                orphans.lock().unwrap().answer(method, params)
            } else {
                right.lock().unwrap().answer(method, params)
            }
        })
        .await;
        let second = served(&node).await;
        let urls = if several { vec![url.as_str(), second.as_str()] } else { vec![url.as_str()] };
        let mut source = opened(settings(&urls, json!({ "finality": { "tag": "finalized" } }))).await;
        let (batches, errors) = polled(&mut source).await;
        assert!(errors.contains(&"malformed"), "{errors:?}");
        assert_blocks(&batches, &node, 0, 30);
    }
}

#[actix::test]
async fn catching_up_below_what_is_final_holds_few_blocks() {
    let node = Node::new(300);
    node.lock().unwrap().tag = Some(280);
    let mut source = opened(settings(&[&served(&node).await], json!({ "finality": { "tag": "finalized" } }))).await;
    for _ in 0..100 {
        assert!(matches!(source.next().await, Ok(Next::Batch(_))));
        assert!(source.window.len() <= LINKED as usize + 16, "{}", source.window.len());
    }
    assert_blocks(&polled(&mut source).await.0, &node, 100, 280);
}

#[actix::test]
async fn a_machine_that_stopped_on_a_replaced_block_is_no_fork() {
    for mined in [3, 5] {
        let (stuck, good) = (Node::new(10), Node::new(10));
        let urls = [served(&stuck).await, served(&good).await];
        let more = json!({ "on_deep_reorg": "continue" });
        let mut source = opened(settings(&[&urls[0], &urls[1]], more)).await;
        assert_blocks(&polled(&mut source).await.0, &good, 0, 8);
        {
            let mut stuck = stuck.lock().unwrap();
            stuck.revert(6);
            stuck.said = 1000;
            (0..mined).for_each(|_| stuck.mine(1));
            good.lock().unwrap().mine(1);
        }
        let (batches, errors) = polled(&mut source).await;
        assert!(errors.iter().all(|kind| *kind == "discontinuity") && !errors.is_empty(), "{errors:?}");
        assert!(batches.iter().all(|batch| batch.continuity.is_none()));
        assert_blocks(&batches, &good, 9, 9);
        // When both say it, it is one.
        let mut forked = stuck.lock().unwrap().chain.clone();
        std::mem::swap(&mut good.lock().unwrap().chain, &mut forked);
        for _ in 0..8 {
            good.lock().unwrap().mine(1);
        }
        stuck.lock().unwrap().chain = good.lock().unwrap().chain.clone();
        let (batches, errors) = polled(&mut source).await;
        assert_eq!(errors, ["discontinuity"]);
        assert_eq!(batches[0].continuity.as_ref().unwrap().from_ledger, 5);
        let top = good.lock().unwrap().top();
        assert_blocks(&batches, &good, 5, top - 2);
    }
}

/// Nodes of one chain whose first ten blocks a source has sent.
async fn several<const N: usize>(more: Value) -> ([SharedNode; N], EvmRpc) {
    let nodes = [(); N].map(|()| Node::new(10));
    let mut urls = Vec::new();
    for node in &nodes {
        urls.push(served(node).await);
    }
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let mut source = opened(settings(&urls, more)).await;
    assert_blocks(&polled(&mut source).await.0, &nodes[0], 0, 8);
    (nodes, source)
}

/// Replaces the last six blocks by eight.
fn fork(node: &SharedNode) {
    let mut node = node.lock().unwrap();
    node.revert(6);
    node.said = 1000;
    (0..8).for_each(|_| node.mine(1));
}

/// It accepts connections and cuts them.
fn dies(node: &SharedNode) {
    node.lock().unwrap().twist = Some(Box::new(|_, _| Some(Reply::Cut)));
}

#[actix::test]
async fn the_dead_have_no_word_about_a_deep_fork() {
    for dead in 1..=2 {
        let ([forked, others @ ..], mut source) = several::<3>(json!({ "on_deep_reorg": "continue" })).await;
        fork(&forked);
        let (gone, alive) = others.split_at(dead);
        gone.iter().for_each(dies);
        alive.iter().for_each(fork);
        let (batches, errors) = polled(&mut source).await;
        assert!(errors.contains(&"transport") && errors.contains(&"discontinuity"), "{errors:?}");
        let announced = batches[0].continuity.clone().unwrap();
        assert_eq!((announced.kind, announced.from_ledger, announced.to_ledger), (ContinuityKind::Reorg, 5, 8));
        assert!(batches[1..].iter().all(|batch| batch.continuity.is_none()));
        assert_blocks_only(&batches, &forked, 5, 10);
    }
}

#[actix::test]
async fn a_source_is_held_though_an_address_is_dead() {
    let ([forked, good], mut source) = several::<2>(json!({})).await;
    fork(&forked);
    dies(&good);
    let (batches, errors) = polled(&mut source).await;
    assert!(batches.is_empty(), "{batches:?}");
    assert!(errors.iter().filter(|kind| **kind == "held").count() >= 3, "{errors:?}");
    let first = errors.iter().position(|kind| *kind == "held").unwrap();
    assert!(errors[..first].iter().filter(|kind| **kind == "transport").count() >= 3, "it was waited for: {errors:?}");
    // It is back, and its chain is the one that was sent: nothing is missing.
    {
        let mut good = good.lock().unwrap();
        good.twist = None;
        (0..3).for_each(|_| good.mine(1));
    }
    let (batches, _) = polled(&mut source).await;
    assert_blocks(&batches, &good, 9, 11);
}

#[actix::test]
async fn who_is_away_for_a_moment_or_says_otherwise_stands_against_a_fork() {
    // Two failures, and then it works.
    let ([orphaned, good], mut source) = several::<2>(json!({ "on_deep_reorg": "continue" })).await;
    fork(&orphaned);
    good.lock().unwrap().faults.extend([Reply::Cut, Reply::Status(502, "")]);
    good.lock().unwrap().mine(1);
    let (batches, errors) = polled(&mut source).await;
    assert!(errors.contains(&"http_status"), "{errors:?}");
    assert!(batches.iter().all(|batch| batch.continuity.is_none()));
    assert_blocks(&batches, &good, 9, 9);

    // One is dead, one has another chain, one goes on.
    let ([orphaned, dead, good], mut source) = several::<3>(json!({ "on_deep_reorg": "continue" })).await;
    fork(&orphaned);
    dies(&dead);
    for round in 0..4 {
        good.lock().unwrap().mine(1);
        // It fails as well from time to time, so that the others are asked.
        good.lock().unwrap().faults.push_back(Reply::Status(502, ""));
        let mut batches = Vec::new();
        while batches.is_empty() {
            batches = polled(&mut source).await.0;
        }
        assert!(batches.iter().all(|batch| batch.continuity.is_none()));
        assert_blocks(&batches, &good, 9 + round, 9 + round);
    }
}
