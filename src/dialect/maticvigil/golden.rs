//! The recorded chain as the clients of a key must read it, to the letter.

use super::{BigIntegers, Config, MaticVigilMount, MaticVigilRender};
use crate::broker::{Hit, Index, Render, Renderings};
use crate::dialect::MountContext;
use crate::dialect::frame::Frames;
use crate::event::LedgerBatch;
use crate::source::evm::recordings::{batches, recorded, watching};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What the source of these tests watches.
const WATCHED: [&str; 2] = ["PostBoard", "CoinToken"];
/// Who deployed the two; the second of these deployed three more, the third fails to.
const DEPLOYERS: [&str; 3] = [
    "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "0x14dc79964da2c08b23698b3d3cc7ca32193d9955",
    "0xa0ee7a142d267c1f36714e4a8f75612f20a79720",
];
const BOARD: &str = "0x5FBDB2315678AFECB367F032D93F642F64180AA3";

/// The recorded chain.
fn chain() -> Option<Vec<LedgerBatch>> {
    let blocks = recorded("chain_main.json")?["blocks"].as_array().unwrap().clone();
    Some(batches(watching(&WATCHED)?, &blocks, &[]))
}

/// What a client with a key that names these reads of the chain, in order.
fn read(chain: &[LedgerBatch], contracts: Value, deployers: Value, big_integers: BigIntegers) -> Vec<String> {
    let key = json!({ "key": "k", "contracts": contracts, "deployers": deployers });
    let config: Config = serde_json::from_value(json!({ "keys": [key] })).unwrap();
    let addresses = recorded("chain_main.json").unwrap()["contracts"].take();
    let contracts = WATCHED.map(|name| (name.to_owned(), addresses[name].as_str().unwrap().to_owned())).into();
    let context = MountContext { contracts, ..MountContext::default() };
    let shared = MaticVigilMount::new(config, context, &mut Renderings::default()).shared;
    let mut index = Index::new();
    index.insert(1, &shared.keys.clauses(shared.keys.find("k").unwrap()));

    let render = MaticVigilRender::new(big_integers);
    let mut texts = Vec::new();
    for batch in chain {
        for (at, event) in batch.events.iter().enumerate() {
            let mut hits: Vec<Hit> = Vec::new();
            index.matches(event, &mut hits);
            assert!(hits.len() <= 1, "once, whatever matched");
            if hits.is_empty() {
                continue;
            }
            let mut frames = Frames::default();
            render.event(batch, at, &mut frames);
            assert_eq!(frames.count(), 1, "what is found is told: {}", event.id);
            let bytes = frames.to_bytes();
            let header = if bytes[1] < 126 { 2 } else { 4 };
            texts.push(String::from_utf8(bytes[header..].to_vec()).unwrap());
        }
    }
    texts
}

/// A JSON text without the white space between its parts.
fn compact(text: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let keep = |c: &char| {
        let keep = inside || !c.is_ascii_whitespace();
        inside ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        keep
    };
    text.chars().filter(keep).collect()
}

#[test]
fn the_recorded_messages_to_the_letter() {
    #[derive(Deserialize)]
    struct File {
        messages: Vec<Box<RawValue>>,
    }
    let (Some(chain), Some(file)) = (chain(), recorded("expected_maticvigil.json")) else { return };
    drop(file);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/evm/expected_maticvigil.json");
    let file: File = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let got = read(&chain, json!(["PostBoard", "CoinToken"]), json!([]), BigIntegers::Auto);
    assert_eq!(got.len(), 27);
    assert_eq!(file.messages.len(), 27);
    for (got, expected) in got.iter().zip(file.messages) {
        assert_eq!(*got, compact(expected.get()));
    }
}

#[test]
fn a_deployer_gets_its_deploys_also_failed_ones_and_each_once() {
    let Some(chain) = chain() else { return };
    let deploys = read(&chain, json!([]), json!(DEPLOYERS), BigIntegers::Auto);
    let deploys: Vec<Value> = deploys.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let status: Vec<_> = deploys.iter().map(|message| message["status"].as_i64().unwrap()).collect();
    assert_eq!(status, [1, 1, 1, 1, 1, 0]);
    assert!(deploys.iter().all(|message| message["type"] == "otm" && message["toAddress"].is_null()));
    // The board's own deploy fits two rules.
    let board = read(&chain, json!([BOARD]), json!([]), BigIntegers::Auto);
    let both = read(&chain, json!([BOARD]), json!(DEPLOYERS), BigIntegers::Auto);
    assert_eq!(both.len(), board.len() + 5);
    // By name it is the same.
    assert_eq!(board, read(&chain, json!(["PostBoard"]), json!([]), BigIntegers::Auto));
    assert!(read(&chain, json!([]), json!([]), BigIntegers::Auto).is_empty());
}

/// The forms differ in how large integers are written, and in nothing else.
#[test]
fn the_other_forms_say_the_same() {
    let Some(chain) = chain() else { return };
    let of = |form| read(&chain, json!(["PostBoard", "CoinToken"]), json!([]), form);
    let (auto, number, string) = (of(BigIntegers::Auto), of(BigIntegers::Number), of(BigIntegers::String));
    let largest = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    let without_quotes = |text: &String| text.replace('"', "");
    for ((auto, number), string) in auto.iter().zip(&number).zip(&string) {
        assert_eq!(without_quotes(auto), without_quotes(number));
        assert_eq!(without_quotes(auto), without_quotes(string));
    }
    assert!(number.iter().any(|text| text.contains(&format!("[{largest},\""))));
    assert!(string.iter().any(|text| text.contains(r#""event_data":{"id":"1","#)));
}
