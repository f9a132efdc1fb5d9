use super::*;
use crate::broker::{History, Render};
use crate::dialect::frame::Frames;
use crate::dialect::{Action, Change, Ending, HttpReply, Input, Output};
use crate::event::{Body, Hash, LedgerBatch};
use crate::source::planetmint::recordings::{self, batch_of};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

const ID: &str = "aa00000000000000000000000000000000000000000000000000000000000000";
const OTHER: &str = "bb00000000000000000000000000000000000000000000000000000000000000";

/// The texts that a stream writes of a block, one for each event.
fn texts(stream: Stream, form: MessageForm, batch: &LedgerBatch) -> Vec<String> {
    let written = all_texts(stream, form, batch);
    assert_eq!(written.len(), batch.events.iter().filter(|event| stream.kinds().contains(event.kind)).count());
    written
}

/// The same where some events have no text.
fn all_texts(stream: Stream, form: MessageForm, batch: &LedgerBatch) -> Vec<String> {
    let render = PlanetmintRender { stream, form };
    let wanted = batch.events.iter().enumerate().filter(|(_, event)| render.kinds().contains(event.kind));
    let text = |(index, _)| {
        let mut frames = Frames::default();
        render.event(batch, index, &mut frames);
        let bytes = (frames.count() > 0).then(|| frames.to_bytes())?;
        let header = if bytes[1] < 126 { 2 } else { 4 };
        Some(String::from_utf8(bytes[header..].to_vec()).unwrap())
    };
    wanted.filter_map(text).collect()
}

fn mount(config: Value) -> PlanetmintMount {
    let config: Config = serde_json::from_value(config).unwrap();
    let context = MountContext { url: "https://example.org/planetmint".into(), ..MountContext::default() };
    PlanetmintMount::new(config, context, &mut Renderings::default())
}

/// Recent history of these blocks.
fn recent(batches: Vec<LedgerBatch>) -> Recent {
    let mut history = History::new(1, 0, 1 << 20);
    history.index_transactions(0);
    for batch in batches {
        history.append(batch, Instant::now()).unwrap();
    }
    Recent::new(Arc::new(history), [0].into())
}

async fn answer(mount: &PlanetmintMount, recent: &Recent, method: &str, path: &str) -> (u16, HttpReply) {
    let (below, query) = path.split_once('?').unwrap_or((path, ""));
    let request = HttpRequest {
        method: method.into(),
        below: below.into(),
        query: query.into(),
        authorization: None,
        body: Default::default(),
        peer: [127, 0, 0, 1].into(),
    };
    let reply = mount.http(request, recent).unwrap().await;
    (reply.status, reply)
}

fn body(reply: &HttpReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn recorded_blocks_give_exactly_the_recorded_streams() {
    let Some(batches) = recordings::batches() else { return };
    let of_all = |stream, form| batches.iter().flat_map(|batch| texts(stream, form, batch)).collect::<Vec<_>>();
    for (stream, file) in
        [(Stream::Transactions, "ws-valid_transactions.jsonl"), (Stream::Blocks, "ws-valid_blocks.jsonl")]
    {
        let recorded = recordings::recorded(file).unwrap();
        let recorded: Vec<&str> = recorded.lines().collect();
        // To the letter.
        assert_eq!(of_all(stream, MessageForm::S2), recorded);
        for (ours, recorded) in of_all(stream, MessageForm::Both).iter().zip(&recorded) {
            let (mut ours, recorded): (Value, Value) =
                (serde_json::from_str(ours).unwrap(), serde_json::from_str(recorded).unwrap());
            let asset_id = ours.as_object_mut().unwrap().remove("asset_id");
            assert_eq!((&ours, asset_id.as_ref()), (&recorded, recorded.get("asset_ids").map(|ids| &ids[0])));
        }
    }
}

#[test]
fn assets_in_every_form() {
    let transaction = |operation: &str, assets: Value| {
        json!({ "id": ID, "operation": operation, "outputs": [], "assets": assets }).to_string()
    };
    let old = json!({ "id": ID, "operation": "TRANSFER", "asset": { "id": OTHER } }).to_string();
    for (text, asset_id, asset_ids) in [
        (transaction("CREATE", json!([{ "data": "Qm" }])), ID, vec![ID]),
        (transaction("TRANSFER", json!([{ "id": OTHER }])), OTHER, vec![OTHER]),
        (transaction("COMPOSE", json!([{ "id": OTHER }, { "data": "Qm" }])), ID, vec![OTHER, ID]),
        (old, OTHER, vec![OTHER]),
    ] {
        let batch = batch_of(7, "ab", [text]);
        let written = |form| texts(Stream::Transactions, form, &batch).remove(0);
        let list = json!(asset_ids);
        assert_eq!(
            written(MessageForm::Both),
            format!(r#"{{"transaction_id":"{ID}","asset_id":"{asset_id}","asset_ids":{list},"height":7}}"#)
        );
        assert_eq!(
            written(MessageForm::P),
            format!(r#"{{"transaction_id":"{ID}","asset_id":"{asset_id}","height":7}}"#)
        );
        let s2: Value = serde_json::from_str(&written(MessageForm::S2)).unwrap();
        assert_eq!(s2, json!({ "height": 7, "asset_ids": list, "transaction_id": ID }));
    }
    // What a network may write into an id stays inside its text.
    let odd = batch_of(7, "", [transaction("TRANSFER", json!([{ "id": "\",\"x\u{1}é" }]))]);
    for form in [MessageForm::Both, MessageForm::P, MessageForm::S2] {
        let told: Value = serde_json::from_str(&texts(Stream::Transactions, form, &odd)[0]).unwrap();
        assert_eq!(told["transaction_id"], ID);
    }
    let empty = batch_of(8, "ab", []);
    assert!(texts(Stream::Transactions, MessageForm::Both, &empty).is_empty());
    assert_eq!(texts(Stream::Blocks, MessageForm::Both, &empty), [r#"{"height":8,"hash":"ab","transaction_ids":[]}"#]);
}

#[actix::test]
async fn ledgers_of_another_network() {
    use crate::source::xrpl::recordings;
    let mut moved = 0;
    for file in recordings::LEDGERS {
        let Some(batch) = recordings::batch(file) else { return };
        let hash = |hash: Option<Hash>| hash.unwrap().to_string().to_uppercase();
        let mut expected = Vec::new();
        for event in &batch.events {
            let Body::Transaction(transaction) = &event.body else { continue };
            if !transaction.successful {
                continue;
            }
            let mut ids: Vec<&str> = Vec::new();
            for other in batch.events.iter().filter(|it| it.transaction_hash == event.transaction_hash) {
                let Body::Payment(payment) = &other.body else { continue };
                if !ids.contains(&&*payment.asset.id) {
                    ids.push(&payment.asset.id);
                }
            }
            expected.push(json!({ "transaction_id": hash(event.transaction_hash), "asset_ids": ids,
                "asset_id": ids.first().copied().unwrap_or_default(), "height": batch.ledger.index }));
        }
        let written = all_texts(Stream::Transactions, MessageForm::Both, &batch);
        let written: Vec<Value> = written.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        assert_eq!(written, expected, "{file}");
        moved += expected.iter().filter(|message| message["asset_id"] != "").count();
        let block: Value = serde_json::from_str(&texts(Stream::Blocks, MessageForm::Both, &batch)[0]).unwrap();
        let ids: Vec<&Value> = expected.iter().map(|message| &message["transaction_id"]).collect();
        assert_eq!(
            block,
            json!({ "height": batch.ledger.index, "hash": hash(batch.ledger.hash), "transaction_ids": ids })
        );
        let Some(id) = ids.first().and_then(|id| id.as_str()) else { continue };
        // On an EVM chain.
        let evm = LedgerBatch { network: "evm-137".into(), ..batch.clone() };
        let written: Value = serde_json::from_str(&all_texts(Stream::Transactions, MessageForm::P, &evm)[0]).unwrap();
        assert_eq!(written["transaction_id"], format!("0x{}", id.to_lowercase()));
        // The same by plain HTTP.
        let mount = mount(json!({ "any_network": true }));
        assert_eq!(mount.manners().only, None);
        let path = format!("/api/v1/blocks?transaction_id={id}");
        let (status, reply) = answer(&mount, &recent(vec![batch.clone()]), "GET", &path).await;
        assert_eq!((status, &body(&reply)["transaction_ids"]), (200, &block["transaction_ids"]));
    }
    assert!(moved > 0);
}

#[test]
fn streams_are_where_the_mount_serves_them() {
    let opens = |mount: &PlanetmintMount, below| mount.open(Opening::at(below, "")).is_some();
    for (serve, streams) in [("both", true), ("streams", true), ("api", false)] {
        let mount = mount(json!({ "serve": serve }));
        for path in ["/api/v1/streams/valid_transactions", "/api/v1/streams/valid_blocks"] {
            assert_eq!(opens(&mount, path), streams, "{serve} {path}");
            // As it stands below a mount at the root.
            assert_eq!(opens(&mount, &path[1..]), streams, "{serve} {path}");
        }
        for path in ["", "/", "/api/v1/", "/api/v1/streams/", "/api/v1/streams/valid_transactions/", "/valid_blocks"] {
            assert!(!opens(&mount, path), "{serve} {path}");
        }
    }
}

#[actix::test]
async fn roots_come_from_the_settings() {
    let none = recent(Vec::new());
    for (config, streams) in [
        (json!({}), "wss://example.org/planetmint"),
        (json!({ "serve": "api", "streams_url": "ws://other:9985/" }), "ws://other:9985"),
    ] {
        let mount = mount(config);
        for path in ["/api/v1/", "/api/v1", "api/v1/"] {
            let (status, reply) = answer(&mount, &none, "GET", path).await;
            let root = body(&reply);
            assert_eq!(
                (status, &root["streams"]),
                (200, &json!(format!("{streams}/api/v1/streams/valid_transactions")))
            );
            assert_eq!(root["streamedblocks"], format!("{streams}/api/v1/streams/valid_blocks"));
            assert_eq!((&root["blocks"], &root["transactions"]), (&json!("/blocks/"), &json!("/transactions/")));
        }
        for path in ["/", ""] {
            let root = body(&answer(&mount, &none, "GET", path).await.1);
            assert_eq!(root["api"]["v1"]["blocks"], "/api/v1/blocks/");
            assert_eq!(root["api"]["v1"]["streams"], format!("{streams}/api/v1/streams/valid_transactions"));
        }
    }
    let streams = mount(json!({ "serve": "streams" }));
    for path in ["/", "/api/v1/", "/api/v1/blocks/1", "/x"] {
        let (status, reply) = answer(&streams, &none, "GET", path).await;
        assert_eq!((status, &*reply.body), (404, &b"404: Not Found"[..]), "{path}");
    }
    assert_eq!(answer(&streams, &none, "GET", "/api/v1/streams/valid_blocks").await.0, 400);
}

#[actix::test]
async fn blocks_and_transactions_of_history() {
    let text = |id: &str| json!({ "id": id, "operation": "CREATE", "metadata": [1.50], "assets": [{}] }).to_string();
    let known = recent(vec![batch_of(6, "", []), batch_of(7, "ab", [text(ID), text(OTHER)])]);
    let mount = mount(json!({}));
    let block = json!({ "app_hash": "ab", "height": 7, "transaction_ids": [ID, OTHER] });
    for path in [
        "/api/v1/blocks/7",
        "/api/v1/blocks/7/",
        "/api/v1/blocks/latest",
        &format!("/api/v1/blocks?transaction_id={ID}"),
    ] {
        let (status, reply) = answer(&mount, &known, "GET", path).await;
        assert_eq!((status, body(&reply)), (200, block.clone()), "{path}");
        assert!(reply.headers.contains(&("content-type", "application/json".to_owned())));
    }
    for path in [format!("/api/v1/transactions/{ID}"), format!("/api/v1/transactions/{OTHER}/")] {
        let (status, reply) = answer(&mount, &known, "GET", &path).await;
        assert_eq!((status, body(&reply)["metadata"].clone()), (200, json!([1.50])), "{path}");
    }
    let (status, reply) = answer(&mount, &known, "GET", "/api/v1/blocks/0").await;
    assert_eq!((status, &*reply.body), (200, &br#"{"app_hash":"","height":0,"transaction_ids":[]}"#[..]));
    let not_found = json!({ "message": "Not found", "status": 404 });
    for path in [
        "/api/v1/blocks/8",
        "/api/v1/blocks/1",
        "/api/v1/transactions/xyz",
        &format!("/api/v1/transactions/{}", "0".repeat(64)),
    ] {
        let (status, reply) = answer(&mount, &known, "GET", path).await;
        assert_eq!((status, body(&reply)), (404, not_found.clone()), "{path}");
    }
    for (method, path, status) in [
        ("GET", "/api/v1/blocks/abc", 404),
        ("GET", &format!("/api/v1/transactions/{}", ID.to_uppercase()), 404),
        ("GET", &format!("/api/v1/blocks?transaction_id={}", ID.to_uppercase()), 404),
        ("GET", "/api/v1/blocks/-1", 404),
        ("GET", "/api/v1/blocks/+7", 404),
        ("GET", "/api/v1/blocks/99999999999999999999999", 404),
        ("GET", "/api/v1/blocks/7/x", 404),
        ("GET", "/api/v1/blocks/", 400),
        ("GET", "/api/v1/blocks?transaction_id=%22%3Cscript%3E", 404),
        ("GET", "/api/v1/transactions", 400),
        ("GET", "/api/v1/transactions?asset_ids=zz", 400),
        ("GET", "/api/v1/nosuch", 404),
        ("GET", "/api/v1x", 404),
        ("GET", "/api/v2/", 404),
        ("POST", "/api/v1/transactions", 405),
        ("HEAD", "/api/v1/", 200),
    ] {
        assert_eq!(answer(&mount, &known, method, path).await.0, status, "{method} {path}");
    }
}

#[test]
fn whatever_a_client_sends_is_dropped() {
    let mount = mount(json!({}));
    let mut session = mount.open(Opening::at("/api/v1/streams/valid_blocks", "a=b")).and_then(Entry::session).unwrap();
    let mut handle = |input: Input<'_>| {
        let mut output = Output::default();
        session.handle(input, Duration::ZERO, &mut output);
        output.actions
    };
    let opened = handle(Input::Opened);
    let [Action::Subscribe(Change { subscription, .. })] = &opened[..] else { panic!("one subscription") };
    assert_eq!(subscription.everything_of(), Some(Stream::Blocks.kinds()));
    for input in [
        Input::Applied,
        Input::Text("hello"),
        Input::Text(r#"{"a":"#),
        Input::Text(""),
        Input::Binary(&[0, 255]),
        Input::TooBig { size: 500_000 },
        Input::Alarm,
        Input::TooManyChanges,
    ] {
        assert!(handle(input).is_empty());
    }
    assert!(matches!(handle(Input::Ending(Ending::Gap))[..], [Action::Close { code: 1012, .. }]));
    assert!(handle(Input::Ending(Ending::Dead)).is_empty(), "closed once");
}

#[test]
fn settings_that_cannot_work_are_told() {
    let problems = |config: Value| serde_json::from_value::<Config>(config).unwrap().problems();
    for good in [
        json!({}),
        json!({ "serve": "streams" }),
        json!({ "serve": "api", "streams_url": "ws://a:9985" }),
        json!({ "streams_url": "wss://a/below" }),
    ] {
        assert_eq!(problems(good), []);
    }
    for (bad, word) in [
        (json!({ "serve": "api" }), "is missing"),
        (json!({ "serve": "streams", "streams_url": "ws://a" }), "remove it"),
        (json!({ "streams_url": "http://a" }), "ws:// or wss://"),
        (json!({ "streams_url": "ws://a/?x=1" }), "more than a path"),
        (json!({ "streams_url": "a" }), "no address"),
    ] {
        assert!(problems(bad.clone())[0].1.contains(word), "{bad}");
    }
    assert!(serde_json::from_value::<Config>(json!({ "message_form": "s1" })).is_err());
}

#[test]
fn only_over_one_source_of_its_own_family() {
    use crate::config::load::parse;
    let good = include_str!("../../../config/planetmint.yaml");
    parse("planetmint.yaml", good).unwrap();
    let stellar = good.replacen("planetmint_api", "stellar_rpc", 1);
    let told = parse("x.yaml", &stellar).unwrap_err().to_string();
    assert!(told.contains("reads Stellar, and planetmint clients understand Planetmint alone"), "{told}");
    // Unless that is wished.
    let wished = good.replace("serve: streams", "serve: streams, any_network: true");
    let wished = wished.replace("serve: api,", "serve: api, any_network: true,");
    parse("x.yaml", &wished.replacen("planetmint_api", "stellar_rpc", 1)).unwrap();
    let by_rpc = good.replacen("planetmint_api", "tendermint_rpc", 1);
    parse("x.yaml", &by_rpc).unwrap();
    let two = "sources:\n  other: { type: tendermint_rpc, config: { rpc_url: 'http://a' } }\n";
    let two = good.replacen("sources:\n", two, 1).replacen("sources: [planetmint]", "sources: [planetmint, other]", 1);
    let told = parse("x.yaml", &two).unwrap_err().to_string();
    assert!(told.contains("planetmint takes one"), "{told}");
}
