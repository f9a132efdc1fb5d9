//! The chain as the source sees it, and what holds of its blocks and reorganisations.

use std::collections::{BTreeMap, HashMap, HashSet};

use alloy_primitives::B256;
use serde_json::{Value, json};

use super::block::{Contents, total};
use super::contracts::{Contract, Token};
use super::engine::State;
use super::history::{Network, View};
use super::world::{CHAIN_ID, World, deployer};
use crate::event::EventKind;
use crate::source::evm::native::{Call, Log, LogMeaning, Transaction};
use crate::source::evm::recordings::{batches, whole};

const TIME: u64 = 1_800_000_000;

fn network(seed: u64, accounts: usize, events: usize) -> Network {
    Network::new(World::new(seed, accounts), Contents::Mixed { events }, 2_000)
}

/// The chain from its first block, by hash.
fn hashes(view: &View<'_>) -> Vec<B256> {
    let mut hashes: Vec<B256> = view.newest_first().map(|block| block.hash).collect();
    hashes.reverse();
    hashes
}

/// A block and its receipts, as a node writes them.
fn mined(view: &View<'_>, height: u64) -> Value {
    let block = view.get(height).unwrap();
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    json!({ "block": parse(&block.json(true)), "receipts": parse(&block.receipts()) })
}

/// The settings of a source that follows all that is built in.
fn settings() -> Value {
    let contracts: Vec<Value> = Contract::ALL
        .into_iter()
        .map(|contract| json!({ "name": contract.name(), "address": contract.address(), "abi": serde_json::from_str::<Value>(contract.abi()).unwrap() }))
        .collect();
    let tokens: Vec<Value> = Contract::ALL
        .into_iter()
        .filter_map(|contract| {
            let (code, decimals) = contract.token()?;
            Some(json!({ "address": contract.address(), "code": code, "decimals": decimals }))
        })
        .collect();
    json!({ "chain_id": CHAIN_ID, "contracts": contracts, "tokens": tokens, "pools": [Contract::Pair.address()] })
}

#[test]
fn blocks_link_and_reorganisations_stay_near_the_tip() {
    let network = network(1, 50, 40);
    let mut before: Vec<B256> = Vec::new();
    let mut seen: HashMap<B256, u64> = HashMap::new();
    let (mut depths, mut same_height, mut gone) = (BTreeMap::new(), 0, HashSet::new());
    let (mut moved, mut never_again) = (0, 0);
    let mut finalized = B256::ZERO;
    for tick in 0..400 {
        let transactions = |view: &View<'_>| -> HashMap<B256, u64> {
            // Further down nothing is replaced.
            let blocks = view.newest_first().take(4);
            blocks.flat_map(|block| block.transactions.iter().map(|mined| (mined.hash, block.height))).collect()
        };
        let placed = if tick == 0 { HashMap::new() } else { transactions(&network.view()) };
        network.close_next(TIME + tick);
        let view = network.view();
        let now = hashes(&view);
        let common = before.iter().zip(&now).take_while(|(one, other)| one == other).count();
        let depth = before.len() - common;
        if depth > 0 {
            *depths.entry(depth).or_insert(0) += 1;
            same_height += usize::from(before.len() == now.len());
            gone.extend(before[common..].iter().copied());
            let again = transactions(&view);
            for (hash, height) in placed.iter().filter(|(_, height)| **height >= common as u64) {
                match again.get(hash) {
                    Some(other) if other != height => moved += 1,
                    Some(_) => {}
                    None => never_again += 1,
                }
            }
        }
        assert!(now.len() == before.len() + 1 || (now.len() == before.len() && depth > 0), "{tick}");
        // What was called final is the ancestor of what is.
        assert!(finalized.is_zero() || now.contains(&finalized));
        finalized = view.get(view.finalized()).unwrap().hash;
        assert!(view.finalized() <= view.safe() && view.safe() <= view.newest().height);
        // Every hash stands for one block for ever, and those that are gone for none.
        for (height, hash) in now.iter().enumerate() {
            assert_eq!(*seen.entry(*hash).or_insert(height as u64), height as u64);
            assert_eq!(view.by_hash(hash).unwrap().height, height as u64);
        }
        assert!(gone.iter().all(|hash| view.by_hash(hash).is_none()));
        before = now;
    }
    println!("depths {depths:?}, {same_height} of the same height, {moved} moved, {never_again} never came again");
    assert!(depths.keys().all(|depth| *depth <= 2) && depths.len() == 2, "{depths:?}");
    assert!(depths.values().sum::<i32>() > 15 && same_height > 3 && moved > 5 && never_again > 5);

    let view = network.view();
    let mut parent = B256::ZERO;
    let (mut last, mut nonces) = (0, HashMap::<String, u64>::new());
    for height in 0..=view.newest().height {
        let block = mined(&view, height);
        // The source's own checks, blooms among them.
        let read = whole(&block);
        assert_eq!((read.number, read.parent.to_string()), (height, format!("{parent:x}")));
        assert!(read.time >= last);
        (parent, last) = (view.get(height).unwrap().hash, read.time);
        for transaction in block["block"]["transactions"].as_array().unwrap() {
            let nonce = nonces.entry(transaction["from"].as_str().unwrap().to_owned()).or_default();
            assert_eq!(transaction["nonce"], format!("{nonce:#x}"));
            *nonce += 1;
            let hash = transaction["hash"].as_str().unwrap().parse().unwrap();
            assert_eq!(serde_json::from_str::<Value>(&view.transaction(&hash).unwrap().json).unwrap(), *transaction);
        }
        let used = |receipt: &Value| u64::from_str_radix(&receipt["gasUsed"].as_str().unwrap()[2..], 16).unwrap();
        let gas: u64 = block["receipts"].as_array().unwrap().iter().map(used).sum();
        assert_eq!(block["block"]["gasUsed"], format!("{gas:#x}"));
        for (receipt, transaction) in
            block["receipts"].as_array().unwrap().iter().zip(block["block"]["transactions"].as_array().unwrap())
        {
            let limit = u64::from_str_radix(&transaction["gas"].as_str().unwrap()[2..], 16).unwrap();
            assert!(used(receipt) <= limit && used(receipt) >= 21_000);
        }
    }
    for token in Token::ALL {
        assert_eq!(total(&network.world, view.state(), token), State::supply(token), "tokens come from nowhere");
    }
}

#[test]
fn the_same_settings_give_the_same_chain() {
    let run = |seed: u64, time: u64| {
        let network = network(seed, 10, 20);
        (0..60).for_each(|tick| network.close_next(time + tick));
        let view = network.view();
        let transactions =
            view.newest_first().flat_map(|block| block.transactions.iter().map(|mined| mined.hash)).collect::<Vec<_>>();
        (hashes(&view), transactions)
    };
    assert_eq!(run(3, TIME), run(3, TIME));
    let (early, late) = (run(3, TIME), run(3, TIME + 5));
    assert!(early.1 == late.1 && early.0 != late.0);
    assert_ne!(run(4, TIME).1, early.1);
}

#[test]
fn the_source_understands_everything() {
    const EVENTS: usize = 60;
    let network = network(5, 30, EVENTS);
    (0..200).for_each(|tick| network.close_next(TIME + tick));
    let view = network.view();
    let blocks: Vec<Value> = (0..=view.newest().height).map(|height| mined(&view, height)).collect();
    let [coin, dollar, pair] =
        [Contract::Coin, Contract::Dollar, Contract::Pair].map(|it| format!("{:#x}", it.address()));
    let batches = batches(settings(), &blocks, &[(&pair, &coin, &dollar)]);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut count = |what: &'static str| *counts.entry(what).or_default() += 1;
    let mut exact = 0;
    for batch in batches.iter().skip(2) {
        exact += usize::from((EVENTS..EVENTS + 12).contains(&batch.events.len()));
        for event in &batch.events {
            count(event.kind.name());
            let native = event.native.as_ref();
            if let Some(transaction) = native.and_then(|native| native.get::<Transaction>()) {
                if !transaction.successful {
                    count("failed");
                }
                match &transaction.call {
                    Call::Deploy if !transaction.successful => count("failed deploy"),
                    Call::Deploy if *transaction.from == format!("{:#x}", deployer()) => {
                        count("deploy of the deployer")
                    }
                    Call::Deploy => {}
                    Call::Receive => count("receive"),
                    Call::Fallback => count("fallback"),
                    Call::Method { arguments: None, method } => {
                        assert_eq!((&*method.name, transaction.successful), ("transfer", false));
                        count("cut");
                    }
                    Call::Method { method, .. } => {
                        count("method");
                        let (method, input) = (&method.name, transaction.input.len());
                        if &**method == "transfer" && input > 2 + 8 + 128 {
                            count("trailing bytes");
                        }
                    }
                }
            }
            if let Some(log) = native.and_then(|native| native.get::<Log>()) {
                match &log.meaning {
                    LogMeaning::Event { name, .. } => match &**name {
                        "NewPost" => count("NewPost"),
                        "Offered" => count("Offered"),
                        "Labelled" => count("Labelled"),
                        "Tipped" => count("Tipped"),
                        "Swap" => count("Swap"),
                        "Approval" => count("Approval"),
                        _ => count("other event"),
                    },
                    LogMeaning::Unknown { topics, .. } => {
                        assert!(topics.is_empty());
                        count("log of no event");
                    }
                }
            }
        }
    }
    println!("{counts:?}, {exact} of {} of the size asked for", batches.len());
    for what in [
        "failed",
        "failed deploy",
        "deploy of the deployer",
        "receive",
        "fallback",
        "cut",
        "method",
        "trailing bytes",
        "NewPost",
        "Offered",
        "Labelled",
        "Tipped",
        "Swap",
        "Approval",
        "other event",
        "log of no event",
    ] {
        assert!(counts.get(what).is_some_and(|count| *count > 2), "{what}: {counts:?}");
    }
    assert_eq!(counts["Swap"], counts[EventKind::Trade.name()]);
    // All but those that a reorganisation cut short or filled up.
    assert!(exact * 10 > batches.len() * 7, "{exact}");
    // Amounts need more than 64 bits.
    let wide = blocks.iter().flat_map(|mined| mined["block"]["transactions"].as_array().unwrap());
    assert!(wide.into_iter().filter(|one| one["value"].as_str().unwrap().len() > 18).count() > 10);
}

#[test]
fn payments_alone_reach_everybody_in_turn() {
    let world = World::new(1, 7);
    let addresses = world.addresses();
    let network = Network::new(world, Contents::Payments { count: 3 }, 2_000);
    (0..50).for_each(|tick| network.close_next(TIME + tick));
    let view = network.view();
    assert_eq!(view.newest().height, 49, "nothing is replaced");
    for height in 0..50 {
        let block = mined(&view, height);
        let transactions = block["block"]["transactions"].as_array().unwrap();
        assert_eq!(transactions.len(), 3);
        for (at, transaction) in transactions.iter().enumerate() {
            assert_eq!(transaction["to"], addresses[(height as usize * 3 + at) % 7]);
            assert_eq!(block["receipts"][at]["status"], "0x1");
        }
    }
}

#[test]
fn memory_is_bounded() {
    let network = Network::new(World::new(1, 5), Contents::Mixed { events: 20 }, 10);
    (0..60).for_each(|tick| network.close_next(TIME + tick));
    let view = network.view();
    let blocks: Vec<u64> = view.newest_first().map(|block| block.height).collect();
    assert_eq!(blocks.len(), 10);
    assert!(view.get(0).is_none() && view.get(view.newest().height + 1).is_none());
    for block in view.newest_first() {
        assert!(block.transactions.iter().all(|mined| view.transaction(&mined.hash).is_some()));
    }
    assert_eq!(view.known_transactions(), view.newest_first().map(|block| block.transactions.len()).sum::<usize>());
}
