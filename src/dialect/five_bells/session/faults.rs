//! The table of errors: code, name and text, as five-bells-ledger has them.

use serde_json::{Value, json};
use std::borrow::Cow;

/// Letters of a client's own text that are repeated to it.
const MOST_REPEATED: usize = 256;

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    code: i32,
    name: &'static str,
    text: Cow<'static, str>,
    /// What did not fit into the schema.
    validation: Option<Value>,
}

const fn fault(code: i32, text: &'static str) -> Fault {
    Fault { code, name: "RpcError", text: Cow::Borrowed(text), validation: None }
}

const INVALID_REQUEST: Fault = fault(-32600, "Invalid Request");

impl Fault {
    pub const INVALID_ID: Fault = fault(40000, "Invalid id");
    pub const INVALID_PARAMS: Fault = fault(-32602, "Invalid params");
    pub const NOT_AUTHORIZED: Fault = fault(40300, "Not authorized");
    pub const TOO_MANY_ACCOUNTS: Fault =
        fault(40000, "Too many accounts for one connection (limits.values_per_session)");
    pub const TOO_MANY_CHANGES: Fault =
        fault(40000, "Too many changes of subscription wait on this connection (limits.waiting_changes)");
    pub const TOO_MANY_MESSAGES: Fault = fault(40000, "Too many messages (limits.messages_per_second)");

    pub fn no_json(error: &serde_json::Error) -> Fault {
        let (line, column) = (error.line(), error.column());
        let text = format!("Unexpected token or end of JSON input at line {line} column {column}");
        Fault { code: -32700, name: "SyntaxError", text: text.into(), validation: None }
    }

    pub fn unknown_method(method: &str) -> Fault {
        Fault { text: format!("Unknown method: {}", cut(method)).into(), ..fault(-32601, "") }
    }

    pub fn invalid_account(uri: &str) -> Fault {
        Fault { text: format!("Invalid account: {}", cut(uri)).into(), ..fault(40002, "") }
    }

    pub fn invalid_account_name(name: &str) -> Fault {
        Fault { text: format!("Invalid account name: {}", cut(name)).into(), ..fault(40001, "") }
    }

    /// A value of another type.
    pub fn schema(at: &str, schema: &str, keyword: &str, expected: &str) -> Fault {
        invalid(keyword, at, schema, &json!({ "type": expected }), &format!("should be {expected}"))
    }

    pub fn missing(name: &str) -> Fault {
        let message = format!("should have required property '{name}'");
        invalid("required", "", "required", &json!({ "missingProperty": name }), &message)
    }

    pub fn additional(name: &str) -> Fault {
        let params = json!({ "additionalProperty": cut(name) });
        invalid("additionalProperties", "", "additionalProperties", &params, "should NOT have additional properties")
    }

    pub fn not_allowed(at: &str, name: &str, allowed: &Value) -> Fault {
        let message = "should be equal to one of the allowed values";
        invalid("enum", at, &format!("properties/{name}/enum"), &json!({ "allowedValues": allowed }), message)
    }

    /// The answer, to the order of this id.
    pub fn answer(&self, id: &Value) -> String {
        let mut data = json!({ "name": self.name, "message": self.text });
        if let Some(validation) = &self.validation {
            data["validationErrors"] = json!([validation]);
        }
        let message = format!("{}: {}", self.name, self.text);
        json!({ "jsonrpc": "2.0", "id": id, "error": { "code": self.code, "message": message, "data": data } })
            .to_string()
    }
}

fn invalid(keyword: &str, at: &str, schema: &str, params: &Value, message: &str) -> Fault {
    let validation = json!({
        "keyword": keyword, "dataPath": at, "schemaPath": format!("#/{schema}"), "params": params, "message": message,
    });
    Fault { validation: Some(validation), ..INVALID_REQUEST }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_REPEATED)]
}
