//! The embedded EVM chain through the whole server: across its reorganisations a client gets exactly what the chain
//! says in the end, each thing once and in order.

use crate::common::reader::{Ledger, wait_at_most};
use crate::common::server::Server;
use crate::common::vigil::Watcher;
use ledgercast::devnet::evm::{CHAIN_ID, Contract, deployer};
use ledgercast::devnet::{Face, Settings};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

const BLOCKS: u64 = 150;
/// Longer than they take to be made.
const PATIENCE: Duration = Duration::from_secs(60);

fn number(text: &Value) -> u64 {
    u64::from_str_radix(text.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

#[test]
fn a_client_gets_what_the_chain_says_in_the_end() {
    let settings =
        Settings { face: Face::Evm, seed: crate::common::seed(), events_per_ledger: 40, ..Settings::default() };
    println!("LEDGERCAST_SEED={}", settings.seed);
    let chain = Ledger::start(20, settings);
    let contracts: Vec<Value> = Contract::ALL
        .into_iter()
        .map(|it| json!({ "name": it.name(), "address": it.address(), "abi": serde_json::from_str::<Value>(it.abi()).unwrap() }))
        .collect();
    let source = json!({
        "rpc_url": format!("http://{}", chain.address), "chain_id": CHAIN_ID, "poll_interval": "20ms",
        "start_ledger": "oldest", "finality": { "confirmations": 2 }, "calls_per_second": 10_000, "contracts": contracts,
    });
    let names: Vec<&str> = Contract::ALL.into_iter().map(Contract::name).collect();
    let keys = json!({ "keys": [{ "key": "all", "contracts": names, "deployers": [deployer()] }] });
    let server = Server::start(&format!(
        "sources:\n  chain:\n    type: evm_rpc\n    config: {source}\nlisteners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
         - {{ dialect: maticvigil, path: /vigil, sources: [chain], config: {keys} }}\nadmin: {{ bind: 127.0.0.1:0 }}\n"
    ));
    let watcher = Watcher::start(&server);
    // Blocks as they were seen first: some of them are replaced.
    let mut first_seen: HashMap<u64, Value> = HashMap::new();
    let head = || number(&chain.rpc("eth_blockNumber", json!([])));
    let block = |height: u64, full: bool| chain.rpc("eth_getBlockByNumber", json!([format!("{height:#x}"), full]));
    wait_at_most(PATIENCE, "blocks enough", || {
        let head = head();
        first_seen.entry(head).or_insert_with(|| block(head, false)["hash"].clone());
        head >= BLOCKS
    });
    let told = |message: &Value| message["blockNumber"].as_u64();
    wait_at_most(PATIENCE, "they are told", || {
        watcher.messages().iter().filter_map(told).any(|block| block >= BLOCKS - 5)
    });
    let messages = watcher.messages();

    // What the chain says by now, from the first block that was told whole.
    let first = messages.iter().find_map(told).unwrap() + 1;
    let last = BLOCKS - 6;
    let watched = |address: &Value| Contract::ALL.into_iter().any(|it| json!(it.address()) == *address);
    let (mut expected, mut logs, mut replaced) = (Vec::new(), 0, 0);
    for height in 0..=last {
        let block = block(height, true);
        replaced += usize::from(first_seen.get(&height).is_some_and(|seen| *seen != block["hash"]));
        let receipts = chain.rpc("eth_getBlockReceipts", json!([block["hash"]]));
        for (transaction, receipt) in block["transactions"].as_array().unwrap().iter().zip(receipts.as_array().unwrap())
        {
            let hash = transaction["hash"].as_str().unwrap();
            let deploys = transaction["to"].is_null() && transaction["from"] == json!(deployer());
            let kind = if deploys { "otm" } else { "contractmon" };
            if height >= first && (deploys || watched(&transaction["to"])) {
                expected.push(format!("{kind} {hash} {}", number(&receipt["status"])));
            }
            for log in receipt["logs"].as_array().unwrap() {
                logs += 1;
                if height >= first {
                    expected.push(format!("event {hash} {logs} {height} {}", number(&log["logIndex"])));
                }
            }
        }
    }
    let text = |message: &Value| {
        let (kind, hash) = (message["type"].as_str().unwrap(), message["txHash"].as_str().unwrap());
        match kind {
            "event" => {
                let [id, height, index] = ["maticvigil_event_id", "blockNumber", "logIndex"].map(|name| &message[name]);
                format!("event {hash} {id} {height} {index}")
            }
            _ => format!("{kind} {hash} {}", message["status"]),
        }
    };
    let texts: Vec<String> = messages.iter().map(text).collect();
    let begin = texts.iter().position(|text| *text == expected[0]).unwrap_or_else(|| panic!("{}", expected[0]));
    for (at, (told, expected)) in texts[begin..].iter().zip(&expected).enumerate() {
        assert_eq!(told, expected, "message {at} from block {first} on");
    }
    assert!(texts.len() - begin >= expected.len(), "{} messages of {}", texts.len() - begin, expected.len());
    println!("{} messages of blocks {first} to {last}, of which {replaced} had been replaced", expected.len());
    assert!(replaced > 0, "reorganisations happen");
    assert_eq!(server.readyz().status, 200);
}
