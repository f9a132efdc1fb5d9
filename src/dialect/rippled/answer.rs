//! Answers, written around texts that are JSON already.

use super::faults::Fault;
use super::request::{Request, fields, json, masked, push_field};
use serde_json::value::RawValue;

/// What an answer repeats of its request beside the request itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    id: Option<Box<RawValue>>,
    api_version: Option<Box<RawValue>>,
}

impl Header {
    pub fn of(request: &Request<'_>) -> Header {
        Header { id: request.id.map(RawValue::to_owned), api_version: request.api_version.map(RawValue::to_owned) }
    }

    /// An answer, begun.
    fn begin(&self, status: &str, room: usize) -> String {
        let mut answer = String::with_capacity(room + 128);
        answer.push('{');
        if let Some(id) = &self.id {
            push_field(&mut answer, "id", id.get());
        }
        push_field(&mut answer, "status", status);
        push_field(&mut answer, "type", "\"response\"");
        if let Some(version) = &self.api_version {
            push_field(&mut answer, "api_version", version.get());
        }
        answer
    }
}

/// A good answer; `result` is the text of an object.
pub(super) fn success(header: &Header, result: &str, forwarded: bool) -> String {
    let mut answer = header.begin("\"success\"", result.len());
    if forwarded {
        push_field(&mut answer, "forwarded", "true");
    }
    push_field(&mut answer, "result", result);
    answer.push('}');
    answer
}

/// A refusal.
pub(super) fn error(header: &Header, fault: Fault, request: &str) -> String {
    let mut answer = header.begin("\"error\"", request.len());
    push_fault(&mut answer, fault);
    push_field(&mut answer, "request", &masked(request));
    answer.push('}');
    answer
}

/// A refusal that belongs to no request.
pub(super) fn general_error(fault: Fault) -> String {
    let mut answer = Header::default().begin("\"error\"", 0);
    push_fault(&mut answer, fault);
    answer.push('}');
    answer
}

fn push_fault(answer: &mut String, fault: Fault) {
    push_field(answer, "error", &json(fault.error));
    if let Some(code) = fault.code {
        push_field(answer, "error_code", &json(code));
    }
    if let Some(message) = fault.message {
        push_field(answer, "error_message", &json(message));
    }
}

/// The answer to what is no request at all.
pub(super) fn not_json(value: &str) -> String {
    format!(r#"{{"type":"error","error":"jsonInvalid","value":{}}}"#, json(value))
}

/// What the ledger's server said, as our answer: its result without its status, or its error at the top level.
/// `None`: it said nothing that we understand.
pub(super) fn of_reply(header: &Header, reply: &str, request: &str, forwarded: bool) -> Option<String> {
    let mut refused = false;
    let understood = fields(reply, |name, value| {
        refused |= name == "error" || name == "status" && value.get() == "\"error\"";
    });
    if !understood {
        return None;
    }
    if !refused {
        let mut result = String::with_capacity(reply.len());
        result.push('{');
        fields(reply, |name, value| {
            if name != "status" {
                push_field(&mut result, &name, value.get());
            }
        });
        result.push('}');
        return Some(success(header, &result, forwarded));
    }
    let mut answer = header.begin("\"error\"", reply.len() + request.len());
    if forwarded {
        push_field(&mut answer, "forwarded", "true");
    }
    fields(reply, |name, value| {
        // The client's own request stands there, not ours.
        if !matches!(&*name, "status" | "type" | "id" | "api_version" | "request" | "forwarded") {
            push_field(&mut answer, &name, value.get());
        }
    });
    push_field(&mut answer, "request", &masked(request));
    answer.push('}');
    Some(answer)
}
