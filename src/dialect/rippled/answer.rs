//! Answers, written around texts that are JSON already.

use super::faults::Fault;
use super::request::{Request, fields, json, masked, push_field};
use serde_json::value::RawValue;

const SUCCESS: &str = "\"success\"";
const ERROR: &str = "\"error\"";

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
        let mut answer = String::with_capacity(self.room() + room);
        self.write(status, &mut answer);
        answer
    }

    /// Bytes of an answer beside its result or request, about.
    fn room(&self) -> usize {
        128 + self.id.as_ref().map_or(0, |id| id.get().len())
    }

    fn write(&self, status: &str, answer: &mut String) {
        answer.push('{');
        if let Some(id) = &self.id {
            push_field(answer, "id", id.get());
        }
        push_field(answer, "status", status);
        push_field(answer, "type", "\"response\"");
        if let Some(version) = &self.api_version {
            push_field(answer, "api_version", version.get());
        }
    }
}

/// A good answer; `result` is the text of an object.
pub(super) fn success(header: &Header, result: &str, forwarded: bool) -> String {
    let mut answer = header.begin(SUCCESS, result.len());
    if forwarded {
        push_field(&mut answer, "forwarded", "true");
    }
    push_field(&mut answer, "result", result);
    answer.push('}');
    answer
}

/// A refusal.
pub(super) fn error(header: &Header, fault: Fault, request: &str) -> String {
    let mut answer = String::with_capacity(header.room() + request.len());
    push_error(header, fault, request, &mut answer);
    answer
}

/// The same, appended.
pub(super) fn push_error(header: &Header, fault: Fault, request: &str, answer: &mut String) {
    header.write(ERROR, answer);
    push_fault(answer, fault);
    push_field(answer, "request", &masked(request));
    answer.push('}');
}

/// A refusal that belongs to no request.
pub(super) fn general_error(fault: Fault) -> String {
    let mut answer = Header::default().begin(ERROR, 0);
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

/// Bytes that the answer to `request` takes beside those of a reply of the ledger's server.
pub(super) fn room(header: &Header, request: &str) -> usize {
    header.room() + request.len()
}

/// Appends what the ledger's server said, as our answer: its result without its status, or its error at the top level.
/// False: it said nothing that we understand, and nothing is appended. A good result, which may be megabytes, is read
/// once and copied once.
pub(super) fn push_reply(header: &Header, reply: &str, request: &str, forwarded: bool, answer: &mut String) -> bool {
    let start = answer.len();
    let begin = |status: &str, answer: &mut String| {
        header.write(status, answer);
        if forwarded {
            push_field(answer, "forwarded", "true");
        }
    };
    begin(SUCCESS, answer);
    push_field(answer, "result", "{");
    let mut refused = false;
    let understood = fields(reply, |name, value| {
        refused |= name == "error" || name == "status" && value.get() == ERROR;
        if !refused && name != "status" {
            push_field(answer, &name, value.get());
        }
    });
    if understood && !refused {
        answer.push_str("}}");
        return true;
    }
    answer.truncate(start);
    if !understood {
        return false;
    }
    begin(ERROR, answer);
    fields(reply, |name, value| {
        // The client's own request stands there, not ours.
        if !matches!(&*name, "status" | "type" | "id" | "api_version" | "request" | "forwarded") {
            push_field(answer, &name, value.get());
        }
    });
    push_field(answer, "request", &masked(request));
    answer.push('}');
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(reply: &str, request: &str) -> (String, bool) {
        let header = Request::read(request).as_ref().map(Header::of).unwrap();
        let mut answer = String::with_capacity(room(&header, request) + reply.len());
        let place = answer.as_ptr();
        let understood = push_reply(&header, reply, request, true, &mut answer);
        assert_eq!(answer.as_ptr(), place, "one piece of memory is enough");
        (answer, understood)
    }

    /// Megabytes, and a refusal that shows itself only behind them.
    #[test]
    fn a_large_reply_is_written_in_one_piece() {
        let state = format!("[{}7]", "{\"a\":[1,\"\\u00e4\"]},".repeat(100_000));
        let request = r#"{"id":"one","command":"ledger_data","api_version":2}"#;
        let head = r#"{"id":"one","status":"success","type":"response","api_version":2,"forwarded":true"#;
        let good = pushed(&format!(r#"{{"state":{state},"status":"success","b":1}}"#), request);
        assert!(good == (format!(r#"{head},"result":{{"state":{state},"b":1}}}}"#), true));
        let head = head.replace("success", "error");
        let refused = pushed(&format!(r#"{{"state":{state},"error":"x","status":"error","request":{{}}}}"#), request);
        assert!(refused == (format!(r#"{head},"state":{state},"error":"x","request":{request}}}"#), true));
        for broken in [format!(r#"{{"state":{state}"#), format!(r#"{{"state":{state}}}}}"#), "[]".to_owned()] {
            assert!(pushed(&broken, request) == (String::new(), false));
        }
    }
}
