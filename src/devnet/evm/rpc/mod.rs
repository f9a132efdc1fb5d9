//! Serves the chain as an Ethereum node: HTTP and JSON-RPC 2.0 as geth does them.
//!
//! Comes in: a POST with one request or a batch. Goes out: HTTP 200 with results and errors, and plain text for what is
//! no JSON at all by its type. Each request is answered from one view of the chain; nothing is kept between requests.

mod calls;
mod logs;
mod methods;
mod params;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::history::Network;

/// Largest request body in bytes, requests in a batch, and bytes in the answers of one, as on the real node.
const MAX_BODY: usize = 5 << 20;
const MAX_BATCH: usize = 1_000;
const MAX_ANSWERS: usize = 25_000_000;

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const TOO_LARGE: i32 = -32003;
const SERVER_ERROR: i32 = -32000;

/// A JSON-RPC error. It travels with HTTP 200.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    code: i32,
    message: String,
    data: Option<&'static str>,
}

impl Failure {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

/// The JSON of a result, or what went wrong.
type Answer = Result<String, Failure>;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    /// Echoed byte for byte; without it nobody waits for an answer.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    params: Option<Value>,
}

/// The handler for every path.
pub(super) async fn serve(network: Arc<Network>, request: HttpRequest, mut payload: web::Payload) -> HttpResponse {
    // A node's answer to who looks whether it is there.
    if request.method() == Method::GET && request.query_string().is_empty() {
        return HttpResponse::Ok().finish();
    }
    if request.method() != Method::POST {
        return HttpResponse::MethodNotAllowed().body("method not allowed\n");
    }
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case("application/json") {
        let text = "invalid content type, only application/json is supported\n";
        return HttpResponse::UnsupportedMediaType().body(text);
    }
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        match chunk {
            Ok(chunk) if body.len() + chunk.len() <= MAX_BODY => body.extend_from_slice(&chunk),
            Ok(_) => return HttpResponse::PayloadTooLarge().body(format!("content length too large (>{MAX_BODY})\n")),
            Err(error) => return HttpResponse::BadRequest().body(format!("{error}\n")),
        }
    }
    // Notifications alone are answered with nothing.
    let json = answer(&network, &body).unwrap_or_default();
    HttpResponse::Ok().content_type("application/json").body(json)
}

/// The response body; `None` if only notifications came.
fn answer(network: &Network, body: &[u8]) -> Option<String> {
    let Ok(whole) = serde_json::from_slice::<&RawValue>(body) else {
        return Some(envelope("null", Err(Failure::new(PARSE_ERROR, "parse error"))));
    };
    if !whole.get().starts_with('[') {
        return one(network, whole);
    }
    // It is JSON, and an array.
    let batch: Vec<&RawValue> = serde_json::from_str(whole.get()).unwrap_or_default();
    let refused = |text| Some(envelope("null", Err(Failure::new(INVALID_REQUEST, text))));
    match batch.len() {
        0 => return refused("empty batch"),
        1..=MAX_BATCH => {}
        _ => return refused("batch too large"),
    }
    let mut bytes = 0;
    let mut answers = Vec::new();
    for request in batch {
        let answer = match bytes {
            0..=MAX_ANSWERS => one(network, request),
            _ => id_of(request).map(|id| envelope(id, Err(Failure::new(TOO_LARGE, "response too large")))),
        };
        bytes += answer.as_ref().map_or(0, String::len);
        answers.extend(answer);
    }
    (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")))
}

fn id_of(raw: &RawValue) -> Option<&str> {
    Some(serde_json::from_str::<Request>(raw.get()).ok()?.id?.get())
}

fn one(network: &Network, raw: &RawValue) -> Option<String> {
    let invalid = || Err(Failure::new(INVALID_REQUEST, "invalid request"));
    let Ok(request) = serde_json::from_str::<Request>(raw.get()) else {
        return Some(envelope("null", invalid()));
    };
    let id = request.id.map(RawValue::get);
    if id.is_some_and(|id| id.starts_with(['{', '['])) {
        return Some(envelope("null", invalid()));
    }
    let answer = match (request.jsonrpc.as_deref(), request.method.as_deref()) {
        (Some("2.0"), Some(method)) => match request.params {
            None | Some(Value::Null) => methods::call(network, method, &[]),
            Some(Value::Array(params)) => methods::call(network, method, &params),
            Some(_) => Err(Failure::new(INVALID_PARAMS, "non-array args")),
        },
        _ => invalid(),
    };
    id.map(|id| envelope(id, answer))
}

fn envelope(id: &str, answer: Answer) -> String {
    match answer {
        Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        Err(failure) => {
            let (code, message) = (failure.code, Value::from(failure.message));
            let data = failure.data.map(|data| format!(r#","data":"{data}""#)).unwrap_or_default();
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}{data}}}}}"#)
        }
    }
}
