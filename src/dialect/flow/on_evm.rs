//! Flow's words for blocks of an EVM chain, from what a node answered to what clients read, and the filters on them.

use super::{FlowRender, register};
use crate::broker::{Clause, Hit, Index, Render};
use crate::dialect::frame::Frames;
use crate::event::{EventKind, LedgerBatch};
use crate::source::evm::recordings::{batches, recorded, watching};
use serde_json::{Value, json};
use std::sync::Arc;

const BOARD: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";
const COIN: &str = "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512";
/// The other token of the recorded pools, of which nothing is known.
const OTHER: &str = "0x00000000000000000000000000000000000000ee";
const PAIR: &str = "0x76ca03a67c049477ffb09694dfef00416db69746";
const POOL: &str = "0x1696c7203769a71c97ca725d42b13270ee493526";
const DEPLOYER: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const TRADER: &str = "0x23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f";

/// The recorded chain, with a coin of 6 decimals and two pools.
fn chain(more: &[(&str, Value)]) -> Option<Vec<LedgerBatch>> {
    let mut settings = watching(&["PostBoard"])?;
    settings["tokens"] = json!([{ "address": COIN, "code": "TCOIN", "decimals": 6 }]);
    settings["pools"] = json!([PAIR, POOL]);
    for (key, value) in more {
        settings[*key] = value.clone();
    }
    let blocks = recorded("chain_main.json")?["blocks"].as_array().unwrap().clone();
    Some(batches(settings, &blocks, &[(PAIR, COIN, OTHER), (POOL, COIN, OTHER)]))
}

/// What clients read of an event; `None` where Flow has no words.
fn text(batch: &LedgerBatch, index: usize) -> Option<Value> {
    let mut frames = Frames::default();
    FlowRender { names_network: true, cursors: false }.event(batch, index, &mut frames);
    if frames.count() == 0 {
        assert_eq!(batch.events[index].kind, EventKind::Deploy);
        return None;
    }
    let bytes = frames.to_bytes();
    let header = if bytes[1] < 126 { 2 } else { 4 };
    Some(serde_json::from_slice(&bytes[header..]).unwrap())
}

/// All texts of a type in a block.
fn written(batch: &LedgerBatch, kind: &str) -> Vec<Value> {
    (0..batch.events.len()).filter_map(|index| text(batch, index)).filter(|text| text["type"] == kind).collect()
}

/// The member of a text that a case is about.
fn of<'a>(texts: &'a [Value], key: &str) -> Vec<&'a Value> {
    texts.iter().map(|text| &text[key]).collect()
}

#[test]
fn every_kind_has_its_words() {
    let Some(chain) = chain(&[]) else { return };
    let ledger = &written(&chain[4], "ledger")[0];
    for transaction in written(&chain[4], "transaction") {
        assert!(
            transaction["transaction_hash"].as_str().is_some_and(|hash| hash.len() == 66 && hash.starts_with("0x"))
        );
    }
    let expected = json!({
        "type": "ledger", "network": "evm-31337", "ledger": 4, "transaction_count": 3, "successful_count": 3,
        "operation_count": 3, "ledger_closed_at": "2020-07-17T13:54:08Z",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&ledger[key], value, "{key}");
    }
    let failed = &written(&chain[5], "transaction")[0];
    assert_eq!((&failed["successful"], &failed["application_order"]), (&json!(false), &json!(1)));
    // 25,010 gas at 1,592,015,885 wei.
    assert_eq!(failed["fee_charged"], "39816317283850");
    let event = &written(&chain[7], "contract_event")[0];
    assert_eq!((&event["contract_id"], &event["data"]["event"]), (&json!(BOARD), &json!("Quoted")));
    assert_eq!(event["data"]["signature"], "Quoted(address,(uint256,address,string),uint256[])");
    let largest = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert_eq!(event["data"]["parameters"]["quote"][0], largest);
    assert_eq!(event["topics"].as_array().unwrap().len(), 2);
    // The board is no token, and the coin is not decoded.
    let names: Vec<_> = chain.iter().flat_map(|batch| written(batch, "contract_event")).collect();
    assert_eq!(names.len(), 9);
}

#[test]
fn payments_are_exact() {
    let Some(chain) = chain(&[]) else { return };
    let minted = &written(&chain[2], "payment")[0];
    assert_eq!(minted["amount"], "10000000000000000000000000000000000.000000");
    assert_eq!(
        (&minted["operation"], &minted["asset_code"], &minted["asset"]),
        (&json!("mint"), &json!("TCOIN"), &json!(COIN))
    );
    let moved = written(&chain[4], "payment");
    assert_eq!(of(&moved, "amount"), ["1.500000", "1267650600228229401496703.205377"]);
    assert_eq!(of(&moved, "from"), [DEPLOYER, DEPLOYER]);
    let native = written(&chain[9], "payment");
    assert_eq!(of(&native, "amount"), ["1.500000000000000000", "1.000000000000000000", "0.000000000000000123"]);
    assert_eq!(of(&native, "asset"), ["native"; 3]);
    assert_eq!(of(&native, "asset_code"), ["ETH"; 3]);
    // Sent along with a deploy, to the contract; what fails moves nothing.
    let deployed = &written(&chain[1], "payment")[0];
    assert_eq!((&deployed["to"], &deployed["amount"]), (&json!(BOARD), &json!("0.000000000000000007")));
    assert!(written(&chain[5], "payment").is_empty() && written(&chain[15], "payment").is_empty());
}

#[test]
fn trades_tell_what_the_pool_sold_and_bought() {
    let Some(chain) = chain(&[]) else { return };
    let trades = written(&chain[14], "trade");
    // The pair took 1 coin and paid 5e17 of the other; the pool paid 2 coins and took 1e18 of the other.
    assert_eq!(of(&trades, "liquidity_pool"), [PAIR, POOL]);
    assert_eq!(of(&trades, "seller_id"), [PAIR, POOL]);
    assert_eq!(of(&trades, "buyer_id"), [TRADER; 2]);
    assert_eq!(of(&trades, "buy_asset"), [COIN, OTHER]);
    assert_eq!(of(&trades, "sell_asset"), [OTHER, COIN]);
    assert_eq!((&trades[0]["buy_amount"], &trades[1]["sell_amount"]), (&json!("1.000000"), &json!("2.000000")));
    assert!(trades[0].get("sell_amount").is_none() && trades[1].get("buy_amount").is_none(), "decimals are unknown");
    assert_eq!(trades[0]["price_r"], json!({ "n": "1000000", "d": "500000000000000000" }));
    assert_eq!(trades[1]["price_r"], json!({ "n": "1000000000000000000", "d": "2000000" }));
}

/// How many events of each type a `register` with these filters brings from the whole chain, by the clause and by the
/// index alike.
#[track_caller]
fn found(chain: &[LedgerBatch], filters: Value) -> String {
    let message = json!({ "type": "register", "filters": filters }).to_string();
    let clauses: Arc<[Clause]> = register::read(&message, 1000).unwrap().filters.clause().into_iter().collect();
    let mut index = Index::new();
    index.insert(1, &clauses);
    let mut found = Vec::new();
    for batch in chain {
        for event in &batch.events {
            let mut hits: Vec<Hit> = Vec::new();
            index.matches(event, &mut hits);
            let matches = clauses.iter().any(|clause| clause.matches(event));
            assert_eq!(!hits.is_empty(), matches, "{filters}: {}", event.id);
            if matches {
                found.push(format!("{}:{}", batch.ledger.index, event.kind.name()));
            }
        }
    }
    found.join(" ")
}

#[test]
fn filters_find_accounts_in_either_spelling() {
    let Some(chain) = chain(&[]) else { return };
    for board in [BOARD, "0x5FbDB2315678afecb367f032d93F642f64180aa3"] {
        let deploy = "1:transaction 1:contract_event 1:payment";
        assert!(found(&chain[..3], json!({ "account_ids": [board] })).starts_with(deploy));
    }
    assert_eq!(found(&chain, json!({ "account_ids": [TRADER], "types": ["trade"] })), "14:trade 14:trade");
    assert_eq!(found(&chain, json!({ "account_ids": [PAIR], "types": ["trade"] })), "14:trade");
    assert_eq!(found(&chain, json!({ "account_ids": [&BOARD[..41], "", "0x"] })), "");
    assert_eq!(found(&chain, json!({ "types": ["ledger"] })).split(' ').count(), 18);
}

#[test]
fn filters_find_assets_and_amounts() {
    let Some(chain) = chain(&[]) else { return };
    let payments = |assets: Value, least: &str| {
        found(&chain, json!({ "types": ["payment"], "asset_codes": assets, "min_amount": least }))
    };
    for coin in ["TCOIN", COIN, "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"] {
        assert_eq!(payments(json!([coin]), ""), "2:payment 4:payment 4:payment", "{coin}");
    }
    assert_eq!(payments(json!(["tcoin"]), ""), "");
    for native in ["native", "ETH"] {
        assert_eq!(payments(json!([native]), ""), "1:payment 9:payment 9:payment 9:payment", "{native}");
        assert_eq!(payments(json!([native]), "0.000000000000000123"), "9:payment 9:payment 9:payment");
        assert_eq!(payments(json!([native]), "0.000000000000000124"), "9:payment 9:payment");
        assert_eq!(payments(json!([native]), "1.0000000000000000000000001"), "9:payment");
    }
    // Beyond what 128 bits hold, to the last unit.
    assert_eq!(payments(json!(["TCOIN"]), "1267650600228229401496703.205377"), "2:payment 4:payment");
    assert_eq!(payments(json!(["TCOIN"]), "1267650600228229401496703.205378"), "2:payment");
    // A side of a trade that is unknown matches no minimum, the other does; a transaction has the value sent with it.
    let trades = |assets: Value| found(&chain, json!({ "types": ["trade"], "asset_codes": assets, "min_amount": "1" }));
    assert_eq!((trades(json!([OTHER])), trades(json!([COIN]))), (String::new(), "14:trade 14:trade".into()));
    let sent = found(&chain, json!({ "types": ["ledger", "transaction", "contract_event"], "min_amount": "1" }));
    assert_eq!(sent, "9:transaction 9:transaction");
}

#[test]
fn unknown_decimals_have_no_amount_and_match_no_minimum() {
    let tokens = json!([{ "address": COIN, "code": "TCOIN" }]);
    let Some(chain) = chain(&[("tokens", tokens)]) else { return };
    let paid = written(&chain[4], "payment");
    assert!(paid.len() == 2 && paid.iter().all(|paid| paid.get("amount").is_none()));
    let filters = |least: &str| json!({ "types": ["payment"], "asset_codes": ["TCOIN"], "min_amount": least });
    assert_eq!(found(&chain, filters("")), "2:payment 4:payment 4:payment");
    assert_eq!(found(&chain, filters("0")), "");
}
