//! Requests and answers, without HTTP.

use serde_json::{Value, json};

use super::answer;
use crate::devnet::evm::block::Contents;
use crate::devnet::evm::contracts::Contract;
use crate::devnet::evm::history::Network;
use crate::devnet::evm::world::{World, deployer};

fn network() -> Network {
    let network = Network::new(World::new(1, 30), Contents::Mixed { events: 40 }, 2_000);
    (0..60).for_each(|tick| network.close_next(1_800_000_000 + tick));
    network
}

fn ask(network: &Network, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string();
    let answer: Value = serde_json::from_str(&answer(network, body.as_bytes()).unwrap()).unwrap();
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
    answer
}

fn result(network: &Network, method: &str, params: Value) -> Value {
    let answer = ask(network, method, params);
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

fn error(network: &Network, method: &str, params: Value) -> (i64, String) {
    let answer = ask(network, method, params);
    let error = &answer["error"];
    (error["code"].as_i64().unwrap_or_else(|| panic!("{answer}")), error["message"].as_str().unwrap().to_owned())
}

fn raw(network: &Network, body: &str) -> Value {
    answer(network, body.as_bytes()).map_or(Value::Null, |answer| serde_json::from_str(&answer).unwrap())
}

#[test]
fn requests_are_answered_by_their_ids() {
    let network = network();
    let parse_error = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32700, "message": "parse error" } });
    assert_eq!(raw(&network, "<html>"), parse_error);
    assert_eq!(raw(&network, "{"), parse_error);
    let invalid = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": "invalid request" } });
    assert_eq!(raw(&network, "17"), invalid);
    assert_eq!(raw(&network, r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#), invalid);
    assert_eq!(raw(&network, r#"{"jsonrpc":"1.0","id":3,"method":"eth_chainId"}"#)["error"]["code"], -32600);
    assert_eq!(
        raw(&network, r#"{"jsonrpc":"2.0","id":3,"method":"eth_chainId","params":{}}"#)["error"]["code"],
        -32602
    );
    assert_eq!(raw(&network, r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#), Value::Null, "a notification");
    assert_eq!(raw(&network, "[]")["error"]["message"], "empty batch");
    let batch = r#"[{"jsonrpc":"2.0","id":"a","method":"eth_chainId"},{"jsonrpc":"2.0","method":"x"},
        {"jsonrpc":"2.0","id":-1.5,"method":"eth_no","params":[]},3]"#;
    let answers = raw(&network, batch);
    assert_eq!(answers.as_array().unwrap().len(), 3);
    assert_eq!((&answers[0]["id"], &answers[0]["result"]), (&json!("a"), &json!("0x1352760")));
    assert_eq!(answers[1]["id"], json!(-1.5));
    assert_eq!(answers[1]["error"]["message"], "the method eth_no does not exist/is not available");
    assert_eq!(answers[2], invalid);
    let many = format!("[{}]", vec![r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#; 1001].join(","));
    assert_eq!(raw(&network, &many)["error"]["message"], "batch too large");
}

#[test]
fn the_chain_tells_of_itself() {
    let network = network();
    assert_eq!(result(&network, "eth_chainId", json!([])), "0x1352760");
    assert_eq!(result(&network, "net_version", json!([])), "20260704");
    assert_eq!(result(&network, "eth_syncing", json!([])), false);
    assert!(result(&network, "web3_clientVersion", json!([])).as_str().unwrap().starts_with("ledgercast-devnet/v"));
    let newest = network.view().newest().height;
    assert_eq!(result(&network, "eth_blockNumber", Value::Null), format!("{newest:#x}"));
}

#[test]
fn blocks_are_found_by_every_name() {
    let network = network();
    let newest = network.view().newest().height;
    let latest = result(&network, "eth_getBlockByNumber", json!(["latest", true]));
    assert_eq!(latest, result(&network, "eth_getBlockByNumber", json!([format!("{newest:#x}"), true])));
    assert_eq!(latest, result(&network, "eth_getBlockByHash", json!([latest["hash"], true])));
    let short = result(&network, "eth_getBlockByHash", json!([latest["hash"], false]));
    let hashes: Vec<Value> =
        latest["transactions"].as_array().unwrap().iter().map(|transaction| transaction["hash"].clone()).collect();
    assert_eq!(short["transactions"], json!(hashes));
    assert!(!hashes.is_empty());
    let number = |tag: &str| result(&network, "eth_getBlockByNumber", json!([tag, false]))["number"].clone();
    assert_eq!(number("safe"), format!("{:#x}", newest - 4));
    assert_eq!(number("finalized"), format!("{:#x}", newest - 8));
    assert_eq!(number("earliest"), "0x0");
    assert_eq!(number("pending"), Value::Null);
    assert_eq!(number(&format!("{:#x}", newest + 1)), Value::Null);
    assert_eq!(result(&network, "eth_getBlockByHash", json!([format!("0x{:064x}", 5), true])), Value::Null);

    let receipts = result(&network, "eth_getBlockReceipts", json!([latest["hash"]]));
    for name in [
        json!("latest"),
        latest["number"].clone(),
        json!({ "blockHash": latest["hash"] }),
        json!({ "blockNumber": "latest" }),
    ] {
        assert_eq!(result(&network, "eth_getBlockReceipts", json!([name])), receipts, "{name}");
    }
    assert_eq!(result(&network, "eth_getBlockReceipts", json!([format!("0x{:064x}", 5)])), Value::Null);
    for (at, hash) in hashes.iter().enumerate() {
        assert_eq!(result(&network, "eth_getTransactionReceipt", json!([hash])), receipts[at]);
        assert_eq!(result(&network, "eth_getTransactionByHash", json!([hash])), latest["transactions"][at]);
    }
    let nothing = json!([format!("0x{:064x}", 5)]);
    assert_eq!(result(&network, "eth_getTransactionReceipt", nothing.clone()), Value::Null);
    assert_eq!(result(&network, "eth_getTransactionByHash", nothing), Value::Null);

    for (params, reason) in [
        (json!([]), "missing value for required argument 0"),
        (json!(["latest"]), "missing value for required argument 1"),
        (json!(["latest", true, 1]), "too many arguments, want at most 2"),
        (json!(["0x01", true]), "leading zero"),
        (json!(["17", true]), "without 0x prefix"),
        (json!([17, true]), "invalid argument 0"),
        (json!(["0xffffffffffffffff", true]), "larger than int64"),
        (json!(["latest", 1]), "invalid argument 1"),
    ] {
        let (code, message) = error(&network, "eth_getBlockByNumber", params.clone());
        assert!(code == -32602 && message.contains(reason), "{params}: {message}");
    }
    assert!(error(&network, "eth_getBlockByHash", json!(["0x00", true])).1.contains("want 64"));
}

#[test]
fn logs_are_those_of_the_receipts() {
    let network = network();
    let newest = network.view().newest().height;
    let mut all = Vec::new();
    for height in 0..=newest {
        for receipt in result(&network, "eth_getBlockReceipts", json!([format!("{height:#x}")])).as_array().unwrap() {
            all.extend(receipt["logs"].as_array().unwrap().iter().cloned());
        }
    }
    let logs = |filter: Value| result(&network, "eth_getLogs", json!([filter]));
    assert!(all.len() > 200);
    assert_eq!(logs(json!({ "fromBlock": "0x0" })), json!(all));
    assert_eq!(logs(json!({ "fromBlock": "earliest", "toBlock": "0x200" }))[0], all[0]);
    let chosen = |takes: &dyn Fn(&Value) -> bool| json!(all.iter().filter(|log| takes(log)).collect::<Vec<_>>());
    let board = json!(Contract::Board.address());
    assert_eq!(logs(json!({ "fromBlock": "0x0", "address": board })), chosen(&|log| log["address"] == board));
    let swap = all
        .iter()
        .find(|log| log["address"] == json!(Contract::Pair.address()) && log["topics"][2].is_string())
        .unwrap();
    let (topic, taker) = (&swap["topics"][0], &swap["topics"][1]);
    let by_topic = logs(json!({ "fromBlock": "0x0", "topics": [[topic, format!("0x{:064x}", 1)]] }));
    assert_eq!(by_topic, chosen(&|log| log["topics"][0] == *topic));
    let by_taker = logs(json!({ "fromBlock": "0x0", "address": [swap["address"]], "topics": [null, taker] }));
    assert_eq!(by_taker, chosen(&|log| log["address"] == swap["address"] && log["topics"][1] == *taker));
    assert!(!by_taker.as_array().unwrap().is_empty());
    let of_block = logs(json!({ "blockHash": swap["blockHash"] }));
    assert_eq!(of_block, chosen(&|log| log["blockHash"] == swap["blockHash"]));

    let failed = |filter: Value| error(&network, "eth_getLogs", json!([filter]));
    assert_eq!(failed(json!({ "blockHash": format!("0x{:064x}", 5) })), (-32000, "unknown block".to_owned()));
    assert_eq!(failed(json!({ "blockHash": swap["blockHash"], "toBlock": "latest" })).0, -32602);
    assert_eq!(
        failed(json!({ "fromBlock": "0x5", "toBlock": "0x4" })),
        (-32602, "invalid block range params".to_owned())
    );
    assert_eq!(
        failed(json!({ "fromBlock": "0x0", "toBlock": "0x7d0" })),
        (-32000, "exceed max block range: 2000".to_owned())
    );
    assert_eq!(failed(json!({ "topics": [null, null, null, null, null] })).1, "exceed max topics");
    assert_eq!(failed(json!("x")).0, -32602);
}

#[test]
fn contracts_answer() {
    let network = network();
    let call = |contract: Contract, data: &str| {
        ask(&network, "eth_call", json!([{ "to": contract.address(), "data": data }, "latest"]))
    };
    let word =
        |answer: Value| alloy_primitives::U256::from_str_radix(&answer["result"].as_str().unwrap()[2..], 16).unwrap();
    assert_eq!(word(call(Contract::Coin, "0x313ce567")), alloy_primitives::U256::from(18));
    assert_eq!(word(call(Contract::Dollar, "0x313ce567")), alloy_primitives::U256::from(6));
    let symbol = call(Contract::Coin, "0x95d89b41")["result"].as_str().unwrap().to_owned();
    assert!(symbol.contains("43415354"), "{symbol}");
    for (data, token) in [("0x0dfe1681", Contract::Coin), ("0xd21220a7", Contract::Dollar)] {
        assert_eq!(call(Contract::Pair, data)["result"], format!("{:#x}", token.address().into_word()));
    }
    let balance = format!("0x70a08231{:x}", deployer().into_word());
    assert!(word(call(Contract::Coin, &balance)) > alloy_primitives::U256::from(u64::MAX));
    let reverted = json!({ "code": 3, "message": "execution reverted", "data": "0x" });
    assert_eq!(call(Contract::Board, "0x313ce567")["error"], reverted);
    assert_eq!(call(Contract::Coin, "0x")["error"], reverted);
    let nobody = json!([{ "to": format!("0x{:040x}", 9), "input": "0x313ce567" }]);
    assert_eq!(result(&network, "eth_call", nobody), "0x");
    let past = json!([{ "to": Contract::Coin.address(), "data": "0x313ce567" }, "0x2"]);
    assert_eq!(error(&network, "eth_call", past).0, -32000);

    let code = |address: Value| result(&network, "eth_getCode", json!([address, "latest"]));
    assert!(Contract::ALL.iter().all(|contract| code(json!(contract.address())).as_str().unwrap().len() > 100));
    assert_eq!(code(json!(deployer())), "0x");
    assert_ne!(result(&network, "eth_getBalance", json!([deployer(), "latest"])), "0x0");
    let nonce = result(&network, "eth_getTransactionCount", json!([deployer(), "latest"]));
    assert!(u64::from_str_radix(&nonce.as_str().unwrap()[2..], 16).unwrap() > 5, "{nonce}");
    assert_eq!(error(&network, "eth_sendRawTransaction", json!(["0x00"])).0, -32000);
    assert_eq!(error(&network, "eth_newFilter", json!([{}])).0, -32601);
}
