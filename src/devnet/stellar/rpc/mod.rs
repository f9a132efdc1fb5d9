//! Serves the network as Stellar RPC: HTTP and JSON-RPC 2.0 as the real server does them.
//!
//! Comes in: a POST with one request or a batch. Goes out: HTTP 200 with results and errors, 204
//! if there was nothing to answer, and plain text for what is no JSON-RPC at all. Each request is
//! answered from one view of the ledgers; nothing is kept between requests but when each ledger was
//! given away first, which `GET /served` tells those who measure (the real server has no such thing).

mod events;
mod filters;
mod json;
mod methods;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::history::Network;

/// Largest request body in bytes, as on the real server.
const MAX_BODY: usize = 512 << 10;

/// Where a request is wrong in itself, or out of the range of ledgers.
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const INTERNAL: i32 = -32603;

/// A JSON-RPC error. It travels with HTTP 200.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub code: i32,
    pub message: String,
    /// The unknown method's name, for that error only.
    pub data: Option<String>,
}

impl Failure {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

/// The JSON of a result, or what went wrong.
pub(super) type Answer = Result<String, Failure>;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    /// Echoed byte for byte; without it (or with null) nobody waits for an answer.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    params: Option<Value>,
}

/// The handler for every path.
pub(super) async fn serve(network: Arc<Network>, request: HttpRequest, mut payload: web::Payload) -> HttpResponse {
    if request.method() == Method::GET && request.path() == "/served" {
        return HttpResponse::Ok().json(network.served());
    }
    if request.method() != Method::POST {
        return HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "POST")).finish();
    }
    let content_type = request.headers().get(header::CONTENT_TYPE);
    if !content_type.and_then(|value| value.to_str().ok()).is_some_and(is_json) {
        return HttpResponse::UnsupportedMediaType().finish();
    }
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        match chunk {
            Ok(chunk) if body.len() + chunk.len() <= MAX_BODY => body.extend_from_slice(&chunk),
            Ok(_) => return plain("http: request body too large"),
            Err(error) => return plain(&error.to_string()),
        }
    }
    match answer(&network, &body) {
        Ok(Some(json)) => HttpResponse::Ok().content_type("application/json").body(json),
        Ok(None) => HttpResponse::NoContent().finish(),
        Err(error) => plain(&error),
    }
}

/// The real server's answer to everything that is not even JSON.
fn plain(text: &str) -> HttpResponse {
    HttpResponse::build(StatusCode::INTERNAL_SERVER_ERROR)
        .content_type("text/plain; charset=utf-8")
        .body(format!("{text}\n"))
}

/// `application/json`, with no other charset than utf-8.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"))
        && parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

/// The response body, `None` if only notifications came, or why the body is no JSON.
pub(super) fn answer(network: &Network, body: &[u8]) -> Result<Option<String>, String> {
    let broken = |error: serde_json::Error| format!("[-32700] parse error: {error}");
    let whole: &RawValue = serde_json::from_slice(body).map_err(broken)?;
    if !whole.get().starts_with('[') {
        return Ok(one(network, whole));
    }
    let batch: Vec<&RawValue> = serde_json::from_str(whole.get()).map_err(broken)?;
    if batch.is_empty() {
        let failure = Failure::new(INVALID_REQUEST, "empty request batch");
        return Ok(Some(envelope("null", Err(failure))));
    }
    let answers: Vec<String> = batch.into_iter().filter_map(|request| one(network, request)).collect();
    Ok((!answers.is_empty()).then(|| format!("[{}]", answers.join(","))))
}

fn one(network: &Network, raw: &RawValue) -> Option<String> {
    let Ok(request) = serde_json::from_str::<Request>(raw.get()) else {
        let failure = Failure::new(INVALID_REQUEST, "request is not a JSON object");
        return Some(envelope("null", Err(failure)));
    };
    let id = request.id?.get();
    if id.starts_with(['{', '[', 't', 'f']) {
        let failure = Failure::new(INVALID_REQUEST, "invalid request ID");
        return Some(envelope("null", Err(failure)));
    }
    let answer = match (request.jsonrpc.as_deref(), request.method.as_deref()) {
        (Some("2.0"), Some(method)) if !method.is_empty() => methods::call(network, method, request.params),
        (Some("2.0"), _) => Err(Failure::new(INVALID_REQUEST, "empty method name")),
        _ => Err(Failure::new(INVALID_REQUEST, "invalid version marker")),
    };
    Some(envelope(id, answer))
}

fn envelope(id: &str, answer: Answer) -> String {
    match answer {
        Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        Err(failure) => {
            let (code, message) = (failure.code, Value::from(failure.message));
            let data = failure.data.map(Value::from);
            let data = data.map(|data| format!(r#","data":{data}"#)).unwrap_or_default();
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}{data}}}}}"#)
        }
    }
}
