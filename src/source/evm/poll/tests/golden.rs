//! The recorded chain, from its JSON-RPC to what clients must get.

use super::*;
use crate::event::{Event, Place};
use crate::source::evm::native::{Call, Transaction};
use crate::source::evm::recordings::{recorded, watching};
use crate::source::testing::Reply;
use std::sync::{Arc, Mutex};

/// Serves recorded blocks, which may be exchanged while it runs.
async fn recorded_node(blocks: Arc<Mutex<Vec<Value>>>) -> String {
    serve(move |method, params| {
        let blocks = blocks.lock().unwrap();
        let by_hash = |hash: &Value| blocks.iter().find(|mined| mined["block"]["hash"] == *hash);
        let by_number = |number: &Value| blocks.iter().find(|mined| mined["block"]["number"] == *number);
        let answer = match method {
            "eth_chainId" => json!("0x7a69"),
            "eth_blockNumber" => blocks.last().unwrap()["block"]["number"].clone(),
            "eth_getBlockByNumber" => by_number(&params[0]).map_or(Value::Null, |mined| mined["block"].clone()),
            "eth_getBlockByHash" => by_hash(&params[0]).map_or(Value::Null, |mined| mined["block"].clone()),
            "eth_getBlockReceipts" => by_hash(&params[0]).map_or(Value::Null, |mined| mined["receipts"].clone()),
            "eth_call" => {
                let file = match params[0]["data"].as_str().unwrap() {
                    "0x313ce567" => "rpc/eth_call_token_decimals.json",
                    _ => return Reply::Error(3, "execution reverted".into()),
                };
                recorded(file).unwrap()["response"]["result"].clone()
            }
            _ => return Reply::Error(-32601, "Method not found".into()),
        };
        Reply::Result(answer)
    })
    .await
}

fn of(url: &str, mut settings: Value, more: Value) -> Config {
    settings["rpc_url"] = url.into();
    settings["start_ledger"] = "oldest".into();
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

/// An integer as MaticVigil writes it where its settings say nothing else.
fn integer(digits: &str) -> Value {
    match digits.parse::<i64>() {
        Ok(number) if number.unsigned_abs() < 1 << 53 => number.into(),
        _ => digits.into(),
    }
}

fn value(value: &Abi) -> Value {
    match value {
        Abi::Integer(digits) => integer(digits),
        Abi::Bool(value) => (*value).into(),
        Abi::Text(text) | Abi::Hex(text) => (**text).into(),
        Abi::List(values) => values.iter().map(self::value).collect(),
    }
}

/// The message that MaticVigil's clients get of an event, from the native form alone.
fn message(batch: &LedgerBatch, event: &Event) -> Option<Value> {
    let hash = format!("0x{}", event.transaction_hash?);
    let native = event.native.as_ref()?;
    if let Some(log) = native.get::<Log>() {
        let LogMeaning::Event { name, data } = &log.meaning else { panic!("{log:?}") };
        let data: serde_json::Map<String, Value> =
            data.iter().map(|(name, abi)| (name.to_string(), value(abi))).collect();
        let Place { transaction, .. } = event.place;
        return Some(json!({
            "type": "event", "txHash": hash, "logIndex": log.index, "blockNumber": batch.ledger.index,
            "transactionIndex": transaction, "contract": &*log.contract, "event_name": &**name, "event_data": data,
            "maticvigil_event_id": log.number, "ctime": batch.ledger.closed_at,
        }));
    }
    let sent: &Transaction = native.get().unwrap();
    let (method, data) = match &sent.call {
        Call::Deploy => (json!({ "name": "ContractDeploy" }), None),
        Call::Receive => (json!({ "name": "receive" }), None),
        Call::Fallback => (json!({ "name": "fallback" }), None),
        Call::Method { method, arguments } => {
            let described = json!({
                "name": &*method.name, "canonical_signature": &*method.signature, "selector": &*method.selector,
                "hash": &*method.hash,
            });
            let listed = arguments.as_ref().map(|arguments| {
                let both = method.parameters.iter().zip(arguments);
                let one = |(parameter, argument): (&crate::source::evm::native::Parameter, &Abi)| {
                    json!({ "param_name": &*parameter.name, "param_type": &*parameter.kind, "value": value(argument) })
                };
                Value::from(both.map(one).collect::<Vec<_>>())
            });
            (described, listed)
        }
    };
    let kind = if event.kind == EventKind::Deploy { "otm" } else { "contractmon" };
    Some(json!({
        "type": kind, "txHash": hash, "fromAddress": &*sent.from, "input": &*sent.input,
        "inputJSON": { "method": method, "input_data": data.unwrap_or_else(|| (*sent.input).into()) },
        "toAddress": sent.to.as_deref(), "gasUsed": sent.gas_used, "gas": sent.gas, "gasPrice": integer(&sent.gas_price),
        "value": integer(&sent.value), "status": u8::from(sent.successful),
    }))
}

#[actix::test]
async fn clients_get_what_they_must() {
    let Some(chain) = recorded("chain_main.json") else { return };
    let watched = ["PostBoard", "CoinToken"];
    let blocks = Arc::new(Mutex::new(chain["blocks"].as_array().unwrap().clone()));
    let url = recorded_node(blocks).await;
    for batch in [1, 7] {
        let more = json!({ "finality": { "confirmations": 0 }, "batch": batch });
        let mut source = opened(of(&url, watching(&watched).unwrap(), more)).await;
        let (batches, errors) = polled(&mut source).await;
        assert_eq!((batches.len(), errors.len()), (18, 0), "{errors:?}");
        let created: Vec<String> =
            watched.iter().map(|name| format!("created:{}", chain["contracts"][name].as_str().unwrap())).collect();
        let wanted = |event: &Event| {
            event.kind != EventKind::Deploy || event.subjects.iter().any(|key| created.iter().any(|one| **one == **key))
        };
        let messages: Vec<Value> = batches
            .iter()
            .flat_map(|batch| {
                batch.events.iter().filter(|event| wanted(event)).filter_map(|event| message(batch, event))
            })
            .collect();
        let expected = recorded("expected_maticvigil.json").unwrap();
        let expected = expected["messages"].as_array().unwrap();
        assert_eq!(messages.len(), expected.len());
        for (message, expected) in messages.iter().zip(expected) {
            assert_eq!(message, expected);
        }
    }
}

#[actix::test]
async fn the_recorded_fork() {
    let Some(chain) = recorded("chain_main.json") else { return };
    let forks = recorded("chain_reorg.json").unwrap();
    let fork = |name: &str| -> Vec<Value> {
        [chain["blocks"].as_array().unwrap().clone(), forks[name].as_array().unwrap().clone()].concat()
    };
    for (confirmations, last_before) in [(3, 17), (5, 15)] {
        let blocks = Arc::new(Mutex::new(fork("fork_a")));
        let url = recorded_node(blocks.clone()).await;
        let more = json!({ "finality": { "confirmations": confirmations } });
        let mut source = opened(of(&url, watching(&["PostBoard"]).unwrap(), more)).await;
        let before = polled(&mut source).await.0;
        assert_eq!(before.last().unwrap().ledger.index, last_before);
        *blocks.lock().unwrap() = fork("fork_b");
        let (after, errors) = polled(&mut source).await;
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(after.last().unwrap().ledger.index, 21 - confirmations);
        let sent: Vec<String> = [before, after]
            .concat()
            .iter()
            .flat_map(|batch| batch.events.iter().filter_map(|event| Some(format!("0x{}", event.transaction_hash?))))
            .collect();
        assert!(!sent.contains(&forks["only_on_fork_a"].as_str().unwrap().to_owned()));
    }
    // All of it sent before it is replaced.
    let blocks = Arc::new(Mutex::new(fork("fork_a")));
    let url = recorded_node(blocks.clone()).await;
    let more = json!({ "finality": { "confirmations": 0 }, "on_deep_reorg": "continue" });
    let mut source = opened(of(&url, watching(&["PostBoard"]).unwrap(), more)).await;
    assert_eq!(polled(&mut source).await.0.len(), 21);
    *blocks.lock().unwrap() = fork("fork_b");
    let after = polled(&mut source).await.0;
    let announced = after[0].continuity.clone().unwrap();
    assert_eq!((announced.from_ledger, announced.to_ledger, after.len()), (18, 20, 4));
    let moved = after.iter().flat_map(|batch| &batch.events).filter(|event| {
        let hash = event.transaction_hash.map(|hash| format!("0x{hash}"));
        event.kind == EventKind::Transaction && hash.as_deref() == forks["on_both_forks"].as_str()
    });
    assert_eq!(moved.count(), 1);
}

#[actix::test]
async fn a_tokens_decimals_are_asked_once() {
    let Some(chain) = recorded("chain_main.json") else { return };
    let blocks = Arc::new(Mutex::new(chain["blocks"].as_array().unwrap().clone()));
    let url = recorded_node(blocks).await;
    let token = &chain["contracts"]["CoinToken"];
    for (tokens, printed) in [
        (json!([{ "address": token, "code": "TCOIN" }]), Some("1.5")),
        (json!([{ "address": token, "code": "TCOIN", "decimals": 2 }]), Some("15000")),
        (json!([]), None),
    ] {
        let more = json!({ "finality": { "confirmations": 0 }, "tokens": tokens });
        let mut source = opened(of(&url, watching(&[]).unwrap(), more)).await;
        let batches = polled(&mut source).await.0;
        let paid = batches[4].events.iter().filter(|event| event.kind == EventKind::Payment);
        let amounts: Vec<_> = paid.map(|event| event.assets[0].amount.clone().unwrap().to_string()).collect();
        assert_eq!(amounts.first().map(String::as_str), printed);
        assert_eq!(amounts.len(), if printed.is_some() { 2 } else { 0 });
    }
}
