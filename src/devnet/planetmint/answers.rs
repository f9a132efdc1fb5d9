//! Both APIs: a node's own and that of its consensus engine.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::chain::{Block, CHAIN, Kept, Network};

/// Largest request body in bytes.
const MAX_BODY: usize = 64 << 10;

const HTML: &str = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<title>404 Not Found</title>\n";

/// An answer before it is HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// JSON, but for paths that there are not.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Answer {
        Answer { status, content_type: "application/json", body: body.to_string() }
    }
}

/// Answers a request, whatever its method and path.
pub async fn serve(network: Arc<Network>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let body = match payload.to_bytes_limited(MAX_BODY).await {
        Ok(Ok(body)) => body,
        _ => return HttpResponse::PayloadTooLarge().finish(),
    };
    let query = request.query_string();
    let path = match query {
        "" => request.path().to_owned(),
        query => format!("{}?{query}", request.path()),
    };
    let Answer { status, content_type, body } = network.answer(request.method().as_str(), &path, &body);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type(content_type).body(body)
}

impl Network {
    /// The answer to a request; `path` with its query.
    pub fn answer(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let kept = self.view();
        match (method, path.trim_matches('/')) {
            ("POST", "") => posted(&kept, body),
            ("GET", path) if path.is_empty() || path.starts_with("api/v1") => node(&kept, path, query),
            ("GET", method) => {
                let height = parameter(query, "height").map(Value::from);
                // The engine's id for what was asked by GET.
                engine(&kept, method, height.as_ref()).map_or_else(no_path, |outcome| envelope(json!(-1), outcome, 500))
            }
            _ => Answer::json(405, &json!({ "message": "The method is not allowed for the requested URL." })),
        }
    }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map(|(_, value)| value)
}

fn no_path() -> Answer {
    Answer { status: 404, content_type: "text/html; charset=utf-8", body: HTML.to_owned() }
}

fn not_found() -> Answer {
    Answer::json(404, &json!({ "message": "Not found", "status": 404 }))
}

/// The node's own API.
fn node(kept: &Kept, path: &str, query: &str) -> Answer {
    let mut parts = path.split('/').filter(|part| !part.is_empty()).skip(2);
    let block = |block: &Block| {
        let body = json!({ "app_hash": block.app_hash, "height": block.height, "transaction_ids": block.ids() });
        Answer::json(200, &body)
    };
    match (parts.next(), parts.next()) {
        (None, _) => {
            let root = json!({ "blocks": "/blocks/", "transactions": "/transactions/" });
            Answer::json(200, &root)
        }
        (Some("blocks"), Some("latest")) => kept.latest().map_or_else(not_found, block),
        (Some("blocks"), Some("0")) => {
            Answer::json(200, &json!({ "app_hash": "", "height": 0, "transaction_ids": [] }))
        }
        (Some("blocks"), Some(height)) => match height.parse() {
            Ok(height) => kept.get(height).map_or_else(not_found, block),
            Err(_) => no_path(),
        },
        (Some("blocks"), None) => match parameter(query, "transaction_id") {
            Some(id) => kept.transaction(id).map_or_else(not_found, |(found, _)| block(found)),
            None => Answer::json(400, &json!({ "message": { "transaction_id": "Missing required parameter" } })),
        },
        (Some("transactions"), Some(id)) => kept.transaction(id).map_or_else(not_found, |(_, transaction)| Answer {
            status: 200,
            content_type: "application/json",
            body: transaction.text.clone(),
        }),
        _ => no_path(),
    }
}

/// JSON-RPC by POST: one request, whose errors come with status 200.
fn posted(kept: &Kept, body: &[u8]) -> Answer {
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        let error =
            json!({ "code": -32700, "message": "Parse error. Invalid JSON", "data": "error unmarshaling request" });
        return envelope(Value::Null, Err(error), 500);
    };
    let method = request["method"].as_str().unwrap_or_default();
    let unknown = || Err(json!({ "code": -32601, "message": "Method not found" }));
    let outcome = engine(kept, method, request["params"].get("height")).unwrap_or_else(unknown);
    envelope(request["id"].clone(), outcome, 200)
}

fn envelope(id: Value, outcome: Result<Value, Value>, error_status: u16) -> Answer {
    match outcome {
        Ok(result) => Answer::json(200, &json!({ "jsonrpc": "2.0", "id": id, "result": result })),
        Err(error) => Answer::json(error_status, &json!({ "jsonrpc": "2.0", "id": id, "error": error })),
    }
}

/// A method of the consensus engine; `None`: there is none of this name.
fn engine(kept: &Kept, method: &str, height: Option<&Value>) -> Option<Result<Value, Value>> {
    Some(match method {
        "status" => Ok(status(kept)),
        "abci_info" => Ok(kept.latest().map_or_else(
            || json!({ "response": {} }),
            |latest| {
                json!({ "response": {
                    "last_block_height": latest.height.to_string(),
                    "last_block_app_hash": STANDARD.encode(&latest.app_hash),
                } })
            },
        )),
        "block" => find(kept, height).map(block),
        "block_results" => find(kept, height).map(results),
        _ => return None,
    })
}

/// The block of a height; without one the latest.
fn find<'a>(kept: &'a Kept, height: Option<&Value>) -> Result<&'a Block, Value> {
    let internal = |data: String| json!({ "code": -32603, "message": "Internal error", "data": data });
    let (oldest, latest) = (kept.oldest().map_or(0, |it| it.height), kept.latest().map_or(0, |it| it.height));
    let height = match height {
        Some(Value::String(text)) => text.trim_matches('"').parse().unwrap_or(0),
        Some(number) => number.as_u64().unwrap_or(0),
        None => latest,
    };
    if height == 0 {
        return Err(internal("height must be greater than 0, but got 0".to_owned()));
    }
    if height > latest {
        let text = format!("height {height} must be less than or equal to the current blockchain height {latest}");
        return Err(internal(text));
    }
    kept.get(height).ok_or_else(|| internal(format!("height {height} is not available, lowest height is {oldest}")))
}

fn status(kept: &Kept) -> Value {
    let height = |block: Option<&Block>| block.map_or(0, |block| block.height).to_string();
    json!({
        "node_info": { "network": CHAIN, "version": "0.34.24", "moniker": "devnet" },
        "sync_info": {
            "latest_block_height": height(kept.latest()),
            "earliest_block_height": height(kept.oldest()),
            "latest_block_hash": kept.latest().map_or("", |block| &block.hash),
            "catching_up": false,
        },
    })
}

fn block(block: &Block) -> Value {
    let txs: Vec<String> = block.transactions.iter().map(|it| STANDARD.encode(&it.text)).collect();
    let app_hash: String = block.app_hash_before.bytes().map(|byte| format!("{byte:02X}")).collect();
    let time = jiff::Timestamp::from_second(i64::try_from(block.time).unwrap_or(0)).unwrap_or_default();
    json!({
        "block_id": { "hash": block.hash },
        "block": {
            "header": {
                "chain_id": CHAIN,
                "height": block.height.to_string(),
                "time": time.to_string(),
                "last_block_id": { "hash": block.parent },
                "app_hash": app_hash,
            },
            "data": { "txs": txs },
        },
    })
}

fn results(block: &Block) -> Value {
    let outcome = |accepted: bool| {
        json!({ "code": u8::from(!accepted), "data": null, "log": "", "info": "", "gas_wanted": "0", "gas_used": "0",
            "events": [], "codespace": "" })
    };
    let outcomes: Vec<Value> = block.transactions.iter().map(|it| outcome(it.accepted)).collect();
    json!({
        "height": block.height.to_string(),
        "txs_results": if outcomes.is_empty() { Value::Null } else { json!(outcomes) },
        "begin_block_events": null,
        "end_block_events": null,
    })
}
