//! Whatever the chain and the node do, what is sent is one chain, whole and in order.

use super::*;
use crate::source::testing::Reply;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Happening {
    Mine(usize),
    Fork { depth: usize, mined: usize },
    Head(u64),
    Fault(u8),
    Poll,
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0..4usize).prop_map(Happening::Mine),
        2 => (1..4usize, 0..6usize).prop_map(|(depth, mined)| Happening::Fork { depth, mined }),
        1 => (0..8u64).prop_map(Happening::Head),
        2 => (0..8u8).prop_map(Happening::Fault),
        4 => Just(Happening::Poll),
        1 => Just(Happening::Restart),
    ]
}

fn fault(kind: u8) -> Reply {
    match kind {
        0 => Reply::Status(429, ""),
        1 => Reply::Status(502, ""),
        2 => Reply::Body(b"<html>busy</html>".to_vec()),
        3 => Reply::Cut,
        4 => Reply::Result(Value::Null),
        5 => Reply::Error(-32000, "header not found".into()),
        6 => Reply::Error(-32603, "internal error".into()),
        _ => Reply::Result(json!([])),
    }
}

async fn runs(happenings: Vec<Happening>, batch: u32) {
    const CONFIRMATIONS: u64 = 4;
    let node = Node::new(3);
    let url = served(&node).await;
    let config = settings(&[&url], json!({ "finality": { "confirmations": CONFIRMATIONS }, "batch": batch }));
    let mut source = opened(config.clone()).await;
    let mut sent: Vec<LedgerBatch> = Vec::new();
    for happening in happenings {
        match happening {
            Happening::Mine(transactions) => node.lock().unwrap().mine(transactions),
            Happening::Fork { depth, mined } => {
                let mut node = node.lock().unwrap();
                // Never below what may have been sent.
                let floor = sent.last().map_or(0, |batch| batch.ledger.index) as usize;
                let depth = depth.min(node.chain.len().saturating_sub(floor + 1));
                node.revert(depth);
                for _ in 0..mined {
                    node.mine(1);
                }
            }
            Happening::Head(back) => {
                let mut node = node.lock().unwrap();
                node.head = (back > 0).then(|| node.top().saturating_sub(back));
            }
            Happening::Fault(kind) => node.lock().unwrap().faults.push_back(fault(kind)),
            Happening::Poll => {
                for _ in 0..3 {
                    if let Ok(Next::Batch(batch)) = source.next().await {
                        sent.push(*batch);
                    }
                }
            }
            Happening::Restart => {
                node.lock().unwrap().faults.clear();
                let checkpoint = sent.last().map(|batch| checkpoint(batch, &source));
                source = made(config.clone());
                source.identify().await.unwrap();
                source.open(checkpoint).await.unwrap();
            }
        }
    }
    {
        let mut node = node.lock().unwrap();
        node.faults.clear();
        node.head = None;
        for _ in 0..10 {
            node.mine(1);
        }
    }
    sent.extend(polled(&mut source).await.0);
    let top = node.lock().unwrap().top();
    assert!(sent.iter().all(|batch| batch.continuity.is_none()));
    assert_blocks(&sent, &node, 0, top - CONFIRMATIONS);
    assert_eq!(said(&sent).first().map(|(number, _)| *number).unwrap_or(1), 1);
}

/// What the actor keeps after a batch.
pub(super) fn checkpoint(batch: &LedgerBatch, source: &EvmRpc) -> Checkpoint {
    Checkpoint {
        network: batch.network.clone(),
        epoch: batch.epoch,
        ledger: batch.ledger.index,
        hash: batch.ledger.hash,
        counters: source.counters(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn one_chain_whole_and_in_order(happenings in proptest::collection::vec(happening(), 0..60), batch in 1..6u32) {
        actix::System::new().block_on(runs(happenings, batch));
    }
}
