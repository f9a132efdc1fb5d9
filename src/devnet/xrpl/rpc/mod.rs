//! Serves the network as a rippled server's JSON-RPC.
//!
//! Comes in: a POST with `{"method", "params": [{…}]}`. Goes out: HTTP 200 with `{"result": {…, "status"}}` for results
//! and errors alike, and plain text with 400 for what is no request at all. Each request is answered from one view of
//! the ledgers; nothing is kept between requests.

mod accounts;
mod books;
mod failure;
mod ledgers;
mod lookup;
mod server;

#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use serde_json::{Map, Value, json};

use super::history::Network;
use failure::Failure;

/// Largest request body in bytes, as on the real server.
const MAX_BODY: usize = 1_000_000;

/// A request's parameters.
type Params = Map<String, Value>;

/// The members of a result, JSON without the braces, or what went wrong.
type Answer = Result<String, Failure>;

/// What a request's `api_version` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    One,
    Two,
}

/// A request as a method sees it.
struct Call<'a> {
    network: &'a Network,
    params: &'a Params,
    version: Version,
}

/// The handler for every path.
pub(super) async fn serve(network: Arc<Network>, request: HttpRequest, mut payload: web::Payload) -> HttpResponse {
    if request.method() != Method::POST {
        return plain(StatusCode::FORBIDDEN, "Forbidden");
    }
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        match chunk {
            Ok(chunk) if body.len() + chunk.len() <= MAX_BODY => body.extend_from_slice(&chunk),
            Ok(_) => return plain(StatusCode::BAD_REQUEST, "Unable to parse request: too large"),
            Err(error) => return plain(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }
    match answer(&network, &body) {
        Ok(json) => HttpResponse::Ok().content_type("application/json; charset=UTF-8").body(json),
        Err(text) => plain(StatusCode::BAD_REQUEST, &text),
    }
}

fn plain(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status).content_type("text/plain; charset=UTF-8").body(format!("{text}\r\n"))
}

/// The response body, or why the body is no request.
fn answer(network: &Network, body: &[u8]) -> Result<String, String> {
    let request: Value = serde_json::from_slice(body).map_err(|error| format!("Unable to parse request: {error}"))?;
    let Value::Object(request) = request else {
        return Err("Unable to parse request: not an object".to_owned());
    };
    let method = match request.get("method") {
        None | Some(Value::Null) => return Err("Null method".to_owned()),
        Some(Value::String(method)) if method.is_empty() => return Err("method is empty".to_owned()),
        Some(Value::String(method)) => method,
        Some(_) => return Err("method is not string".to_owned()),
    };
    let params = match request.get("params") {
        None | Some(Value::Null) => Params::new(),
        Some(Value::Array(params)) => match params.as_slice() {
            [] => Params::new(),
            [Value::Object(params)] => params.clone(),
            _ => return Err("params unparsable".to_owned()),
        },
        Some(_) => return Err("params unparsable".to_owned()),
    };
    let version = match params.get("api_version") {
        None => Version::One,
        Some(version) => match version.as_u64() {
            Some(1) => Version::One,
            Some(2) => Version::Two,
            _ => return Err("invalid_API_version".to_owned()),
        },
    };
    let result = match (Call { network, params: &params, version }).dispatch(method) {
        Ok(members) if members.is_empty() => r#"{"status":"success"}"#.to_owned(),
        Ok(members) => format!(r#"{{{members},"status":"success"}}"#),
        Err(failure) => {
            let mut shown = params.clone();
            for secret in ["secret", "seed", "seed_hex", "passphrase"] {
                if let Some(value) = shown.get_mut(secret) {
                    *value = "<masked>".into();
                }
            }
            shown.insert("command".to_owned(), method.as_str().into());
            failure.result(shown).to_string()
        }
    };
    let echoed = ["jsonrpc", "ripplerpc", "id"]
        .into_iter()
        .filter_map(|name| request.get(name).map(|value| format!(r#","{name}":{value}"#)));
    Ok(format!(r#"{{"result":{result}{}}}"#, echoed.collect::<String>()))
}

impl Call<'_> {
    fn dispatch(&self, method: &str) -> Answer {
        match method {
            "ping" => Ok(String::new()),
            "random" => Ok(server::random()),
            "version" => Ok(r#""version":{"first":1,"good":2,"last":2}"#.to_owned()),
            "server_info" => Ok(server::info(self.network)),
            "server_state" => Ok(server::state(self.network)),
            "server_definitions" => Ok(server::definitions()),
            "fee" => Ok(server::fee(self.network)),
            "ledger_closed" => Ok(ledgers::closed(self.network)),
            "ledger_current" => Ok(ledgers::current(self.network)),
            "ledger" => self.ledger(),
            "tx" => self.transaction(),
            "transaction_entry" => self.transaction_entry(),
            "account_tx" => self.account_transactions(),
            "account_info" => self.account_info(),
            "account_lines" => self.account_lines(),
            "account_offers" => self.account_offers(),
            "account_objects" => self.account_objects(),
            "account_currencies" => self.account_currencies(),
            "ledger_entry" => self.ledger_entry(),
            "book_offers" => self.book_offers(),
            "book_changes" => self.book_changes(),
            "subscribe" | "unsubscribe" | "path_find" => Err(Failure::NOT_SUPPORTED),
            known if server::NOT_OFFERED.contains(&known) => Err(Failure::NOT_IMPLEMENTED),
            _ => Err(Failure::UNKNOWN_COMMAND),
        }
    }

    /// A parameter that may be absent and else must be true or false.
    fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.params.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            // Version 1 takes whatever is not empty or zero for true.
            Some(other) if self.version == Version::One => {
                Ok(!(other.is_null() || *other == json!(0) || *other == json!("")))
            }
            Some(_) => Err(Failure::invalid(format!("Invalid field '{name}', not bool."))),
        }
    }

    /// How many items a page has, within what the server gives anybody.
    fn limit(&self, (least, usual, most): (u64, u64, u64)) -> Result<usize, Failure> {
        match self.params.get("limit") {
            None => Ok(usual as usize),
            Some(limit) => match limit.as_u64() {
                Some(limit) => Ok(limit.clamp(least, most) as usize),
                None => Err(Failure::invalid("Invalid field 'limit', not unsigned integer.")),
            },
        }
    }
}

/// The members of an object, JSON without the braces.
fn members(object: Value) -> String {
    let json = object.to_string();
    json[1..json.len() - 1].to_owned()
}
