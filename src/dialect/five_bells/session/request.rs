//! Orders, read as far as they must be understood, in the order in which the original looks at them.

use super::faults::Fault;
use crate::dialect::five_bells::render::Form;
use serde_json::{Map, Value, json};

/// An order: a request of the right form.
#[derive(Debug)]
pub(super) struct Order {
    /// A number or a text, what the answer carries.
    pub id: Value,
    method: String,
    params: Option<Value>,
}

/// What an order asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// `subscribe_account`
    Accounts(Vec<Value>),
    /// `subscribe_all_accounts`
    AllAccounts,
}

/// Names of a request's fields; no other may stand in it.
const FIELDS: [&str; 4] = ["jsonrpc", "method", "params", "id"];

impl Order {
    /// Reads a message. A fault of this kind is answered with the id `null`.
    pub fn read(bytes: &[u8]) -> Result<Order, Fault> {
        let message: Value = serde_json::from_slice(bytes).map_err(|error| Fault::no_json(&error))?;
        let Value::Object(mut fields) = message else { return Err(Fault::schema("", "type", "type", "object")) };
        check(&fields)?;
        let id = fields.remove("id").unwrap_or_default();
        if id.is_null() {
            return Err(Fault::INVALID_ID);
        }
        let method = match fields.remove("method") {
            Some(Value::String(method)) => method,
            _ => String::new(),
        };
        Ok(Order { id, method, params: fields.remove("params") })
    }

    /// What it asks for, for which events, and in which form it was written.
    pub fn asked(&mut self) -> Result<(Asked, String, Form), Fault> {
        let needs_accounts = match &*self.method {
            "subscribe_account" => true,
            "subscribe_all_accounts" => false,
            other => return Err(Fault::unknown_method(other)),
        };
        let (mut params, form) = match self.params.take() {
            Some(Value::Object(params)) => (params, Form::Object),
            Some(Value::Array(list)) => match <[Value; 1]>::try_from(list) {
                Ok([Value::Object(params)]) => (params, Form::List),
                _ => return Err(Fault::INVALID_PARAMS),
            },
            _ => return Err(Fault::INVALID_PARAMS),
        };
        let Some(Value::String(event_type)) = params.remove("eventType") else { return Err(Fault::INVALID_PARAMS) };
        let asked = match (needs_accounts, params.remove("accounts")) {
            (true, Some(Value::Array(accounts))) => Asked::Accounts(accounts),
            (true, _) => return Err(Fault::INVALID_PARAMS),
            (false, _) => Asked::AllAccounts,
        };
        Ok((asked, event_type, form))
    }
}

/// Whether a request has the form of one.
fn check(fields: &Map<String, Value>) -> Result<(), Fault> {
    if let Some(missing) = ["jsonrpc", "method", "id"].into_iter().find(|name| !fields.contains_key(*name)) {
        return Err(Fault::missing(missing));
    }
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(Fault::additional(name));
    }
    if fields["jsonrpc"] != "2.0" {
        return Err(Fault::not_allowed(".jsonrpc", "jsonrpc", &json!(["2.0"])));
    }
    if !fields["method"].is_string() {
        return Err(Fault::schema(".method", "properties/method/type", "type", "string"));
    }
    if !matches!(fields["id"], Value::Number(_) | Value::String(_) | Value::Null) {
        return Err(Fault::schema(".id", "properties/id/type", "type", "string,number,null"));
    }
    if !fields.get("params").is_none_or(|params| params.is_object() || params.is_array()) {
        return Err(Fault::schema(".params", "properties/params/type", "type", "object,array"));
    }
    Ok(())
}
