//! The whole server on the real node of Foundry: what MaticVigil and Flow clients get of contracts, and of chains that
//! are reorganised, go back, freeze, and of a server that dies. Skipped, said, where anvil is not installed.

use crate::common::anvil::{
    Anvil, BOARD, CHAIN, COIN, OFFER, RELAY, TRANSFER, board_abi, call, coin_abi, failing, note, number, relayed,
};
use crate::common::reader::Reader;
use crate::common::server::{Server, path};
use crate::common::vigil::{Watcher, ids};
use crate::common::{pause, wait_until};
use alloy_dyn_abi::DynSolValue;
use alloy_primitives::{I256, U256, keccak256};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Blocks on top of one that is sent.
const CONFIRMATIONS: u64 = 3;

/// One chain, read by MaticVigil clients at `/vigil` and by Flow's at `/ws`.
fn settings(anvil: &Anvil, source: Value, more: &str) -> String {
    let mut config = json!({
        "rpc_url": format!("http://{}", anvil.address), "chain_id": CHAIN, "poll_interval": "50ms", "timeout": "1s",
        "start_ledger": "oldest", "finality": { "confirmations": CONFIRMATIONS }, "calls_per_second": 10_000,
        "contracts": [
            { "name": "Board", "address": BOARD, "abi": board_abi() },
            { "name": "Coin", "address": COIN, "abi": coin_abi() },
        ],
        "tokens": [{ "address": COIN, "code": "COIN" }],
    });
    config.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    let keys = json!({ "keys": [{ "key": "all", "contracts": ["Board", "Coin"], "deployers": [anvil.accounts[9]] }] });
    format!(
        "sources:\n  chain:\n    type: evm_rpc\n    config: {config}\nlisteners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
         - {{ dialect: maticvigil, path: /vigil, sources: [chain], config: {keys} }}\n      \
         - {{ dialect: flow, path: /ws, sources: [chain] }}\nadmin: {{ bind: 127.0.0.1:0 }}\n{more}\n"
    )
}

/// A transaction as its message must be, from what the node says of it.
fn expected(anvil: &Anvil, hash: &str, method: Value, data: Value) -> Value {
    let transaction = anvil.rpc("eth_getTransactionByHash", json!([hash]));
    let receipt = anvil.receipt(hash);
    let amount = |text: &Value| {
        let amount = U256::from_str_radix(&text.as_str().unwrap()[2..], 16).unwrap();
        if amount < U256::from(1u64 << 53) { json!(amount.to::<u64>()) } else { json!(amount.to_string()) }
    };
    json!({
        "type": if transaction["to"].is_null() { "otm" } else { "contractmon" }, "txHash": hash,
        "fromAddress": transaction["from"], "input": transaction["input"],
        "inputJSON": { "method": method, "input_data": data }, "toAddress": transaction["to"],
        "gasUsed": number(&receipt["gasUsed"]), "gas": number(&transaction["gas"]),
        "gasPrice": amount(&receipt["effectiveGasPrice"]), "value": amount(&transaction["value"]),
        "status": number(&receipt["status"]),
    })
}

/// The method object of a signature.
fn method(signature: &str) -> Value {
    let hash = keccak256(signature);
    json!({ "name": signature.split('(').next(), "canonical_signature": signature,
        "selector": format!("{hash:x}")[..8], "hash": format!("{hash:#x}") })
}

fn parameter(name: &str, kind: &str, value: Value) -> Value {
    json!({ "param_name": name, "param_type": kind, "value": value })
}

/// The message of a log, from what the node says of it; `number` counts the logs of the watched contracts.
fn told(anvil: &Anvil, hash: &str, at: usize, name: &str, data: Value, count: u64) -> Value {
    let log = anvil.receipt(hash)["logs"][at].clone();
    let block = number(&log["blockNumber"]);
    json!({
        "type": "event", "txHash": hash, "logIndex": number(&log["logIndex"]), "blockNumber": block,
        "transactionIndex": number(&log["transactionIndex"]), "contract": log["address"], "event_name": name,
        "event_data": data, "maticvigil_event_id": count, "ctime": anvil.time(block),
    })
}

#[test]
fn everything_arrives_decoded_and_in_order() {
    let Some(anvil) = Anvil::start() else { return };
    let server = Server::start(&settings(&anvil, json!({}), ""));
    let watcher = Watcher::start(&server);
    let flow = Reader::start(server.clients, &json!({}));
    let (a, b) = (anvil.accounts[1].clone(), anvil.accounts[2].clone());
    let deploys = anvil.deploy();

    let edges = [(1u64 << 53) - 1, 1 << 53, u64::MAX].map(U256::from);
    let sizes = [&edges[..], &[U256::from_limbs([0, 0, 0, 1 << 63]), U256::MAX]].concat();
    let integer = |value: U256| DynSolValue::Uint(value, 256);
    let offer = call(
        OFFER,
        vec![
            DynSolValue::Tuple(vec![
                integer(U256::MAX),
                DynSolValue::Address(a.parse().unwrap()),
                DynSolValue::String("Straße 🚀".to_owned()),
            ]),
            DynSolValue::Array(sizes.iter().copied().map(integer).collect()),
            DynSolValue::FixedArray(vec![true.into(), false.into()]),
            DynSolValue::Int(I256::MIN, 256),
        ],
    );
    let huge = (U256::ONE << 100) + U256::ONE;
    let transfer =
        |to: &str, value: U256| call(TRANSFER, vec![DynSolValue::Address(to.parse().unwrap()), integer(value)]);
    let mut tagged = note(2, "");
    tagged.extend(b"tag of the sender");

    let noted = anvil.send(1, Some(BOARD), 0, &note(1, "First \"Post\"\n"));
    let tail = anvil.send(2, Some(BOARD), 0, &tagged);
    anvil.mine(1);
    let offered = anvil.send(3, Some(BOARD), 0, &offer);
    let failed = anvil.send(1, Some(BOARD), 0, &call("fail(string)", vec![DynSolValue::String("no".into())]));
    let cut = anvil.send(1, Some(BOARD), 0, &call("fail(string)", vec![])[..4]);
    let tipped = anvil.send(2, Some(BOARD), 1_500_000_000_000_000_000, &call("tip()", vec![]));
    let given = anvil.send(2, Some(BOARD), 7, &[]);
    let unknown = anvil.send(2, Some(BOARD), 0, b"\xde\xad\xbe\xef\x01");
    anvil.mine(1);
    let paid = anvil.send(1, Some(COIN), 0, &transfer(&b, U256::from(1_500_000)));
    let paid_huge = anvil.send(1, Some(COIN), 0, &transfer(&b, huge));
    let through = anvil.send(4, Some(RELAY), 0, &relayed(BOARD, &note(3, "relayed")));
    let plain = anvil.send(5, Some(&b), 12_345_678_901_234_567_890, &[]);
    let refused = anvil.send(9, None, 0, &failing());
    anvil.mine(1 + CONFIRMATIONS);

    let board = |hash: &str, signature: &str, data: Value| expected(&anvil, hash, method(signature), data);
    let raw = |hash: &str, name: &str| {
        let input = anvil.rpc("eth_getTransactionByHash", json!([hash]))["input"].clone();
        expected(&anvil, hash, json!({ "name": name }), input)
    };
    let note_data =
        |id: u64, text: &str| json!([parameter("id", "uint256", json!(id)), parameter("text", "string", json!(text))]);
    let numbers = json!([
        9007199254740991u64,
        "9007199254740992",
        "18446744073709551615",
        U256::from_limbs([0, 0, 0, 1 << 63]).to_string(),
        U256::MAX.to_string()
    ]);
    let tuple = json!([U256::MAX.to_string(), a, "Straße 🚀"]);
    let least = I256::MIN.to_string();
    let transfer_data =
        |value: Value| json!([parameter("to", "address", json!(b)), parameter("value", "uint256", value)]);
    let wire = vec![
        raw(&deploys[0], "ContractDeploy"),
        told(&anvil, &deploys[0], 0, "Opened", json!({}), 1),
        raw(&deploys[1], "ContractDeploy"),
        board(&noted, "note(uint256,string)", note_data(1, "First \"Post\"\n")),
        told(&anvil, &noted, 0, "Noted", json!({ "id": 1, "text": "First \"Post\"\n" }), 2),
        board(&tail, "note(uint256,string)", note_data(2, "")),
        told(&anvil, &tail, 0, "Noted", json!({ "id": 2, "text": "" }), 3),
        board(
            &offered,
            OFFER,
            json!([
                parameter("offer", "(uint256,address,string)", tuple.clone()),
                parameter("sizes", "uint256[]", numbers.clone()),
                parameter("flags", "bool[2]", json!([true, false])),
                parameter("least", "int256", json!(least)),
            ]),
        ),
        told(
            &anvil,
            &offered,
            0,
            "Offered",
            json!({ "offer": tuple, "sizes": numbers, "flags": [true, false], "least": least }),
            4,
        ),
        board(&failed, "fail(string)", json!([parameter("why", "string", json!("no"))])),
        {
            let mut cut = raw(&cut, "");
            cut["inputJSON"]["method"] = method("fail(string)");
            cut
        },
        board(&tipped, "tip()", json!([])),
        raw(&given, "receive"),
        raw(&unknown, "fallback"),
        board(&paid, TRANSFER, transfer_data(json!(1_500_000))),
        told(&anvil, &paid, 0, "Transfer", json!({ "from": a, "to": b, "value": 1_500_000 }), 5),
        board(&paid_huge, TRANSFER, transfer_data(json!(huge.to_string()))),
        told(&anvil, &paid_huge, 0, "Transfer", json!({ "from": a, "to": b, "value": huge.to_string() }), 6),
        told(&anvil, &through, 0, "Noted", json!({ "id": 3, "text": "relayed" }), 7),
        raw(&refused, "ContractDeploy"),
    ];
    let messages = watcher.wait_for(wire.len());
    for (at, (message, wire)) in messages.iter().zip(&wire).enumerate() {
        assert_eq!(message, wire, "message {at}");
    }
    for hash in [&failed, &cut, &unknown, &refused] {
        assert_eq!(messages.iter().find(|it| it["txHash"] == **hash).unwrap()["status"], 0);
    }

    // The same chain in Flow's words.
    let last = anvil.head() - CONFIRMATIONS;
    let events = || flow.texts().iter().map(|text| serde_json::from_str(text).unwrap()).collect::<Vec<Value>>();
    wait_until("Flow has the last block", || events().iter().any(|it| it["type"] == "ledger" && it["ledger"] == last));
    wait_until("and its payments", || events().iter().filter(|it| it["type"] == "payment").count() >= 5);
    let events = events();
    let payments: Vec<(String, String, String)> = events
        .iter()
        .filter(|it| it["type"] == "payment")
        .map(|it| ["asset_code", "to", "amount"].map(|name| it[name].as_str().unwrap().to_owned()).into())
        .collect();
    let payment = |asset: &str, to: &str, amount: &str| (asset.to_owned(), to.to_owned(), amount.to_owned());
    let at = |value: &str| {
        payments.iter().find(|it| it.2.starts_with(value)).unwrap_or_else(|| panic!("{payments:?}")).clone()
    };
    assert_eq!(at("1267"), payment("COIN", &b, "1267650600228229401496703.205377"));
    assert_eq!(at("12.3"), payment("ETH", &b, "12.345678901234567890"));
    assert_eq!(payments.len(), 5, "{payments:?}");
    assert_eq!(events.iter().filter(|it| it["type"] == "contract_event").count(), 7);
    let ledgers: Vec<u64> =
        events.iter().filter(|it| it["type"] == "ledger").map(|it| it["ledger"].as_u64().unwrap()).collect();
    assert!(ledgers.windows(2).all(|two| two[1] == two[0] + 1), "{ledgers:?}");
    assert!(events.iter().any(|it| it["transaction_hash"] == plain), "written as people of the chain do");
}

#[test]
fn what_a_reorganisation_takes_out_of_the_window_is_never_told() {
    let Some(anvil) = Anvil::start() else { return };
    anvil.deploy();
    let server = Server::start(&settings(&anvil, json!({}), ""));
    let watcher = Watcher::start(&server);
    let say = |id: u64| anvil.send(1, Some(BOARD), 0, &note(id, "x"));
    say(1);
    anvil.mine(1);

    // Two blocks are replaced and the head's number stays. One note is gone, one moves to a later block.
    say(1_000);
    anvil.mine(1);
    anvil.send(2, Some(BOARD), 0, &note(2, "moves"));
    anvil.mine(1);
    let head = anvil.head();
    pause(Duration::from_millis(300));
    let moved = anvil.transaction(2, Some(BOARD), 0, &note(2, "moves"));
    anvil.rpc("anvil_reorg", json!([2, [[moved, 1]]]));
    assert_eq!(anvil.head(), head);
    pause(Duration::from_millis(300));

    // The head goes back, and other blocks come.
    say(3);
    anvil.mine(1);
    let snapshot = anvil.rpc("evm_snapshot", json!([]));
    say(1_001);
    anvil.mine(1);
    say(1_002);
    anvil.mine(1);
    pause(Duration::from_millis(300));
    assert_eq!(anvil.rpc("evm_revert", json!([snapshot])), true);
    pause(Duration::from_millis(300));
    for id in 4..8 {
        say(id);
        anvil.mine(1);
    }
    anvil.mine(CONFIRMATIONS);
    wait_until("the last note is told", || watcher.told().contains(&7));
    assert_eq!(watcher.told(), (1..8).collect::<Vec<u64>>(), "each once, in order, and none that was replaced");
    let messages = watcher.messages();
    let numbers: Vec<u64> = messages.iter().filter_map(|it| it["maticvigil_event_id"].as_u64()).collect();
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "{numbers:?}");
    for message in messages.iter().filter(|it| it["type"] == "event") {
        let block = anvil.receipt(message["txHash"].as_str().unwrap())["blockNumber"].clone();
        assert_eq!(number(&block), message["blockNumber"].as_u64().unwrap(), "its final block");
    }
    assert_eq!(server.readyz().status, 200);
}

/// Makes blocks that were sent be replaced by as many others and one more.
fn reorganise_deeply(anvil: &Anvil, say: impl Fn(u64), watcher: &Watcher) {
    for id in 1..4 {
        say(id);
        anvil.mine(1);
    }
    anvil.mine(CONFIRMATIONS);
    wait_until("three are told", || watcher.told() == [1, 2, 3]);
    let depth = CONFIRMATIONS + 2;
    anvil.rpc("anvil_reorg", json!([depth, []]));
    for id in 4..6 {
        say(id);
        anvil.mine(1);
    }
    anvil.mine(CONFIRMATIONS + 1);
}

#[test]
fn a_reorganisation_of_what_was_sent_stops_the_source() {
    let Some(anvil) = Anvil::start() else { return };
    anvil.deploy();
    let server = Server::start(&settings(&anvil, json!({}), ""));
    let watcher = Watcher::start(&server);
    let say = |id| drop(anvil.send(1, Some(BOARD), 0, &note(id, "x")));
    reorganise_deeply(&anvil, say, &watcher);
    // At once, and not when it has been silent for a minute.
    wait_until("it is not ready", || server.readyz().status == 503);
    let told = server.readyz().json();
    let reason = told["reasons"][0].as_str().unwrap();
    assert!(reason.contains("on_deep_reorg: continue") && reason.contains("was reorganised"), "{told}");
    assert!(told["sources"][0]["last_ledger_age_seconds"].as_f64().unwrap() < 60.0, "{told}");
    assert_eq!(server.metric(r#"ledgercast_source_ready{source="chain"}"#), 0.0);
    anvil.mine(3);
    pause(Duration::from_millis(1_000));
    assert_eq!(watcher.told(), [1, 2, 3], "nothing more is sent");
    assert_eq!(server.readyz().status, 503);
}

/// The number and the hash of each block that was told, in order.
fn blocks(texts: &[String]) -> Vec<(u64, String)> {
    let told = texts.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
    told.filter(|it| it["type"] == "ledger")
        .map(|it| (it["ledger"].as_u64().unwrap(), it["hash"].as_str().unwrap().trim_start_matches("0x").to_owned()))
        .collect()
}

/// What the chain itself calls final, from block 0 on, over two lives of the server.
fn follows_the_tag(tag: &str, uncovered: u64) {
    let Some(anvil) = Anvil::with(&["--slots-in-an-epoch", "4"]) else { return };
    anvil.deploy();
    let state = tempfile::tempdir().unwrap();
    let source =
        json!({ "finality": { "tag": tag }, "start_ledger": if tag == "safe" { json!(0) } else { json!("oldest") } });
    let settings = settings(&anvil, source, &format!("state_dir: '{}'", path(state.path())));
    let say = |id: u64| {
        anvil.send(1, Some(BOARD), 0, &note(id, "x"));
        anvil.mine(1);
    };
    // What was told, and then what is final: never less.
    let is_covered = |reader: &Reader| {
        let told = blocks(&reader.texts()).last().map(|(number, _)| *number);
        let (newest, _) = anvil.block(tag);
        assert!(told.is_none_or(|told| told <= newest), "{told:?} was told, and {tag} is {newest}");
        told == Some(newest)
    };
    let (mut texts, mut next) = (Vec::new(), 1);
    for life in 0..2 {
        // Nothing is read before the clients are there: they are told only what comes while they are.
        anvil.freeze();
        let mut server = Server::start(&settings);
        let (watcher, reader) = (Watcher::start(&server), Reader::start(server.clients, &json!({})));
        anvil.thaw();
        for _ in 0..uncovered + 4 {
            say(next);
            next += 1;
            wait_until("it is told up to the tag", || is_covered(&reader));
        }
        assert_eq!(anvil.head(), anvil.block(tag).0 + uncovered);

        // All that is not covered is replaced, and the head's number stays.
        let before = watcher.told();
        let replaced = next - uncovered..next;
        assert!(before.iter().all(|id| !replaced.contains(id)), "{replaced:?} {before:?}");
        anvil.rpc("anvil_reorg", json!([uncovered, []]));
        pause(Duration::from_millis(300));
        // The head goes back, and what is called final with it.
        let snapshot = anvil.rpc("evm_snapshot", json!([]));
        (0..2).for_each(|at| say(1_000 + at));
        wait_until("they are covered by two blocks more", || is_covered(&reader));
        assert_eq!(anvil.rpc("evm_revert", json!([snapshot])), true);
        pause(Duration::from_millis(300));
        next = replaced.start;
        for _ in 0..uncovered + 2 {
            say(next);
            next += 1;
        }
        wait_until("it is told up to the tag again", || is_covered(&reader));
        assert_eq!(server.readyz().status, 200);
        assert_eq!(server.stop().code(), Some(0));
        let (messages, code) = watcher.end();
        assert_eq!(code, 1000);
        texts.extend(reader.into_texts());
        // In its absence.
        if life == 0 {
            anvil.rpc("anvil_reorg", json!([uncovered, []]));
            next -= uncovered;
            for _ in 0..3 {
                say(next);
                next += 1;
            }
        }
        let told = ids(&messages);
        assert!(told.windows(2).all(|two| two[1] == two[0] + 1), "{told:?}");
        assert_eq!(told.last(), Some(&(next - 1 - if life == 0 { 3 } else { uncovered })), "{told:?}");
    }
    let told = blocks(&texts);
    let truth: Vec<_> = (0..=anvil.block(tag).0).map(|number| anvil.block(&format!("{number:#x}"))).collect();
    assert_eq!(told, truth, "each final block once, from the first");
    assert!(truth.len() > 20);
    // The first block of a chain has no transactions.
    let first = texts.iter().filter(|text| text.contains(r#""ledger":0,"#)).count();
    assert_eq!(first, 1, "{:#?}", &texts[..3]);
}

#[test]
fn blocks_are_told_when_the_chain_calls_them_safe() {
    follows_the_tag("safe", 4);
}

#[test]
fn blocks_are_told_when_the_chain_calls_them_finalized() {
    follows_the_tag("finalized", 8);
}

#[test]
fn what_the_chain_called_final_and_replaces_holds_the_source() {
    let Some(anvil) = Anvil::with(&["--slots-in-an-epoch", "1"]) else { return };
    anvil.deploy();
    let server = Server::start(&settings(&anvil, json!({ "finality": { "tag": "finalized" } }), ""));
    let watcher = Watcher::start(&server);
    for id in 1..6 {
        anvil.send(1, Some(BOARD), 0, &note(id, "x"));
        anvil.mine(1);
    }
    wait_until("three are told", || watcher.told() == [1, 2, 3]);
    server.wait_ready();
    anvil.rpc("anvil_reorg", json!([4, []]));
    anvil.send(1, Some(BOARD), 0, &note(6, "x"));
    anvil.mine(4);
    wait_until("it is held", || {
        let told = server.readyz();
        told.status == 503 && told.body.contains("on_deep_reorg: continue")
    });
    assert_eq!(watcher.told(), [1, 2, 3]);
}

#[test]
fn a_reorganisation_of_what_was_sent_is_told_where_the_settings_say_so() {
    let Some(anvil) = Anvil::start() else { return };
    anvil.deploy();
    let server = Server::start(&settings(&anvil, json!({ "on_deep_reorg": "continue" }), ""));
    let watcher = Watcher::start(&server);
    let flow = Reader::start(server.clients, &json!({ "types": ["contract_event"] }));
    let say = |id| drop(anvil.send(1, Some(BOARD), 0, &note(id, "x")));
    reorganise_deeply(&anvil, say, &watcher);
    // The protocol has no words for it, and clients come back on 1000.
    let (messages, code) = watcher.end();
    assert_eq!((ids(&messages), code), (vec![1, 2, 3], 1000));
    let watcher = Watcher::start(&server);
    say(6);
    anvil.mine(1 + CONFIRMATIONS);
    wait_until("it goes on", || watcher.told().contains(&6));
    wait_until("Flow goes on", || {
        flow.texts().last().is_some_and(|text| text.contains("\"6\"") || text.contains(":6"))
    });
    let texts = flow.texts();
    let reorg = texts.iter().position(|text| text.starts_with(r#"{"type":"reorg""#)).expect("it is told");
    let told: Value = serde_json::from_str(&texts[reorg]).unwrap();
    assert_eq!(told["network"], format!("evm-{CHAIN}"));
    assert!(told["from_ledger"].as_u64().unwrap() <= told["to_ledger"].as_u64().unwrap(), "{told}");
    let after = texts.len() - reorg - 1;
    assert_eq!(after, 3, "the notes of the new chain, each once: {texts:#?}");
}

/// Says a note in a block of its own, every few milliseconds.
struct Chatter {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Chatter {
    fn start(anvil: &Arc<Anvil>, from: u64) -> Chatter {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, anvil) = (stop.clone(), anvil.clone());
        let thread = std::thread::spawn(move || {
            let mut id = from;
            while !stopped.load(Ordering::Relaxed) {
                anvil.send(1, Some(BOARD), 0, &note(id, "x"));
                anvil.mine(1);
                id += 1;
                pause(Duration::from_millis(20));
            }
            id
        });
        Chatter { stop, thread: Some(thread) }
    }

    /// The id after the last.
    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("only taken here").join().unwrap()
    }
}

/// A server that reads nothing before its client is registered: the node is frozen until then. Live clients get only
/// what comes while they are connected, so this one misses nothing.
fn begin(anvil: &Anvil, settings: &str) -> (Server, Watcher) {
    anvil.freeze();
    let server = Server::start(settings);
    let watcher = Watcher::start(&server);
    anvil.thaw();
    (server, watcher)
}

/// A checkpoint follows what the broker took; what a socket had not sent when the process died is lost with the
/// connection: a block or two, and never more than a source may have under way.
const UNSENT: usize = 4;

#[test]
fn restarts_repeat_nothing_and_skip_nothing() {
    const LIVES: usize = 4;
    let Some(anvil) = Anvil::start() else { return };
    let anvil = Arc::new(anvil);
    anvil.deploy();
    let state = tempfile::tempdir().unwrap();
    let settings = settings(&anvil, json!({}), &format!("state_dir: '{}'", path(state.path())));
    let (mut next, mut all) = (1, Vec::new());
    for life in 0..LIVES {
        let (mut server, watcher) = begin(&anvil, &settings);
        let chatter = Chatter::start(&anvil, next);
        let enough = all.len() + 20;
        wait_until("some are told", || all.len() + watcher.told().len() > enough);
        // Also a node that freezes, for longer than an answer may take.
        anvil.freeze();
        pause(Duration::from_millis(1_500));
        anvil.thaw();
        let before = watcher.told().len();
        wait_until("it goes on", || watcher.told().len() > before + 5);
        assert_eq!(server.stop().code(), Some(0));
        next = chatter.end();
        let (messages, code) = watcher.end();
        assert_eq!(code, 1000, "life {life}");
        all.extend(messages.into_iter().filter(|it| it["event_name"] == "Noted"));
    }
    let (_server, watcher) = begin(&anvil, &settings);
    anvil.mine(CONFIRMATIONS);
    wait_until("the last is told", || watcher.told().last() == Some(&(next - 1)));
    all.extend(watcher.messages().into_iter().filter(|it| it["event_name"] == "Noted"));
    let (told, numbers): (Vec<u64>, Vec<u64>) =
        (ids(&all), all.iter().map(|it| it["maticvigil_event_id"].as_u64().unwrap()).collect());
    assert!(told.windows(2).all(|two| two[0] < two[1]), "nothing twice, all in order: {told:?}");
    // The board's first word has the number 1.
    assert_eq!(numbers, told.iter().map(|id| id + 1).collect::<Vec<u64>>(), "a note has its number in every life");
    assert_eq!(told, (1..next).collect::<Vec<u64>>(), "all, in {LIVES} restarts");
}

#[test]
fn a_log_keeps_its_number_whenever_the_server_dies() {
    const LIVES: usize = 6;
    let Some(anvil) = Anvil::start() else { return };
    let anvil = Arc::new(anvil);
    anvil.deploy();
    let state = tempfile::tempdir().unwrap();
    let settings = settings(&anvil, json!({}), &format!("state_dir: '{}'", path(state.path())));
    let chatter_from = 1;
    let chatter = Chatter::start(&anvil, chatter_from);
    let mut known: BTreeMap<u64, Value> = BTreeMap::new();
    let mut repeated = 0;
    let mut keep = |messages: Vec<Value>| {
        for message in messages.into_iter().filter(|it| it["type"] == "event") {
            let number = message["maticvigil_event_id"].as_u64().unwrap();
            if let Some(before) = known.insert(number, message.clone()) {
                assert_eq!(before, message, "one number, one log");
                repeated += 1;
            }
        }
    };
    for life in 0..LIVES {
        let (mut server, watcher) = begin(&anvil, &settings);
        let death = Instant::now() + Duration::from_millis(150 + 170 * life as u64);
        wait_until("it lives", || watcher.told().len() > life);
        pause(death.saturating_duration_since(Instant::now()));
        server.process.signal(Signal::KILL);
        server.process.wait();
        keep(watcher.end().0);
    }
    let next = chatter.end();
    let (_server, watcher) = begin(&anvil, &settings);
    anvil.mine(CONFIRMATIONS);
    wait_until("the last is told", || watcher.told().last() == Some(&(next - 1)));
    keep(watcher.messages());
    let missed = (1..=next).filter(|number| !known.contains_key(number)).count();
    println!("{} numbers, {missed} missed, {repeated} repeated, in {LIVES} deaths", known.len());
    assert_eq!(known.keys().next_back(), Some(&next));
    assert!(missed <= LIVES * UNSENT, "{missed} missed");
    // Every note has its number: the board's first word has 1.
    for (number, message) in known.iter().filter(|(_, it)| it["event_name"] == "Noted") {
        assert_eq!(message["event_data"]["id"].as_u64().unwrap() + 1, *number);
    }
}
