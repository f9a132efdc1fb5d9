//! Blocks add up, chains repeat, and money is spent once.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::*;
use crate::source::planetmint::recordings::batch_of;

fn network(seed: u64, contents: Contents, blocks: u64) -> Network {
    let network = Network::new(seed, 4, contents, 50);
    (0..blocks).for_each(|block| network.close_next(1_700_000_000 + block));
    network
}

fn get(network: &Network, path: &str) -> Value {
    let answer = network.answer("GET", path, b"");
    assert_eq!(answer.status, 200, "{path}");
    serde_json::from_str(&answer.body).unwrap()
}

fn texts(network: &Network, height: u64) -> Vec<String> {
    let block = get(network, &format!("/api/v1/blocks/{height}"));
    let ids = block["transaction_ids"].as_array().unwrap();
    ids.iter().map(|id| get(network, &format!("/api/v1/transactions/{}", id.as_str().unwrap())).to_string()).collect()
}

#[test]
fn blocks_add_up() {
    for events in 0..30 {
        let network = network(1, Contents::Mixed { events }, 20);
        for height in 1..=20 {
            let batch = batch_of(height, "", texts(&network, height));
            assert_eq!(batch.events.len(), events.max(1), "block {height}");
        }
    }
    let network = network(1, Contents::Payments { count: 3 }, 4);
    let batches = (1..=4).map(|height| batch_of(height, "", texts(&network, height)));
    let to = batches.flat_map(|batch| batch.events).filter_map(|event| match event.body {
        crate::event::Body::Payment(payment) => {
            assert_eq!(event.subjects.len(), 1, "found by its receiver alone");
            Some(payment.to.to_string())
        }
        _ => None,
    });
    let turns: Vec<&String> = network.accounts().iter().cycle().take(12).collect();
    assert_eq!(to.collect::<Vec<_>>().iter().collect::<Vec<_>>(), turns);
}

#[test]
fn the_same_seed_gives_the_same_chain() {
    let chain = |seed| texts(&network(seed, Contents::Mixed { events: 40 }, 30), 30);
    assert_eq!(chain(7), chain(7));
    assert_ne!(chain(7), chain(8));
}

#[test]
fn what_is_spent_was_there() {
    let network = network(3, Contents::Mixed { events: 60 }, 40);
    let mut outputs: HashMap<(String, u64), (Value, u64)> = HashMap::new();
    let mut spent = HashSet::new();
    let mut operations = HashSet::new();
    for height in 1..=40 {
        for text in texts(&network, height) {
            let transaction: Value = serde_json::from_str(&text).unwrap();
            operations.insert(transaction["operation"].as_str().unwrap().to_owned());
            let mut sum = 0;
            for input in transaction["inputs"].as_array().unwrap() {
                let Some(id) = input["fulfills"]["transaction_id"].as_str() else { continue };
                let place = (id.to_owned(), input["fulfills"]["output_index"].as_u64().unwrap());
                let (owners, amount) = &outputs[&place];
                assert_eq!(*owners, input["owners_before"]);
                sum += amount;
                assert!(spent.insert(place), "spent twice");
            }
            let mut paid = 0;
            for (index, output) in (0..).zip(transaction["outputs"].as_array().unwrap()) {
                let amount: u64 = output["amount"].as_str().unwrap().parse().unwrap();
                paid += amount;
                let id = transaction["id"].as_str().unwrap().to_owned();
                outputs.insert((id, index), (output["public_keys"].clone(), amount));
            }
            if transaction["operation"] == "TRANSFER" {
                assert_eq!(sum, paid);
            }
        }
    }
    assert!(["CREATE", "TRANSFER", "COMPOSE", "VOTE"].iter().all(|it| operations.contains(*it)), "{operations:?}");
}

#[test]
fn answers_are_those_of_real_nodes() {
    let network = network(1, Contents::Mixed { events: 5 }, 60);
    let answer = |path: &str| {
        let answer = network.answer("GET", path, b"");
        (answer.status, answer.content_type)
    };
    let (json_type, html) = ("application/json", "text/html; charset=utf-8");
    for (path, expected) in [
        ("/api/v1/blocks/60", (200, json_type)),
        ("/api/v1/blocks/61", (404, json_type)),
        // Pruned: the same answer as "not yet".
        ("/api/v1/blocks/10", (404, json_type)),
        ("/api/v1/blocks/0", (200, json_type)),
        ("/api/v1/blocks/abc", (404, html)),
        ("/api/v1/blocks/-1", (404, html)),
        ("/api/v1/blocks/", (400, json_type)),
        ("/api/v1/nosuch", (404, html)),
        ("/api/v1/transactions/xyz", (404, json_type)),
        ("/block?height=61", (500, json_type)),
        ("/block?height=10", (500, json_type)),
        ("/block?height=0", (500, json_type)),
        ("/block_results?height=60", (200, json_type)),
        ("/nosuch", (404, html)),
    ] {
        assert_eq!(answer(path), expected, "{path}");
    }
    assert_eq!(get(&network, "/status")["result"]["sync_info"]["earliest_block_height"], "11");
    let posted = |body: Value| {
        let answer = network.answer("POST", "/", body.to_string().as_bytes());
        (answer.status, serde_json::from_str::<Value>(&answer.body).unwrap())
    };
    let call = |method: &str, height: Value| {
        posted(json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": { "height": height } }))
    };
    assert_eq!(call("block", json!("60")).1["result"]["block"]["header"]["height"], "60");
    let (status, missing) = call("block", json!("61"));
    assert_eq!((status, &missing["error"]["code"], &missing["id"]), (200, &json!(-32603), &json!(7)));
    assert_eq!(call("nosuch", json!(null)).1["error"]["code"], -32601);
    assert_eq!(network.answer("POST", "/", b"{").status, 500);
}
