//! What nodes answer, read without building anything that is not needed, and what their refusals mean.

use super::CONTRACT_CALL;
use crate::source::{SourceError, cut};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Texts of refusals that mean "too often", in lower case.
const TOO_OFTEN: [&str; 9] = [
    "rate limit",
    "rate exceeded",
    "ratelimit",
    "too many requests",
    "request limit",
    "maximum number of concurrent requests",
    "daily request count exceeded",
    "try again in",
    "compute units per second",
];
/// An id is read up to here, and so much of the text of a refusal.
const LONGEST_ID: usize = 32;
const LONGEST_MESSAGE: usize = 2000;
/// The first part of what providers write as the time to wait.
const AGAIN_IN: &str = "try again in ";

/// Read without building anything that it does not need: a stranger's answer may be as large as `max_response`.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    /// `null` is a result, and is told from none.
    #[serde(default, deserialize_with = "present")]
    pub(super) result: Option<Box<RawValue>>,
    #[serde(borrow)]
    pub(super) error: Option<Refusal<'a>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// Why a call was refused.
#[derive(Deserialize)]
pub(super) struct Refusal<'a> {
    #[serde(default)]
    code: i64,
    #[serde(default, borrow)]
    pub(super) message: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
}

/// What is used of the data of a refusal: how long to stay away.
#[derive(Deserialize)]
struct RefusalData {
    rate: Rate,
}

#[derive(Deserialize)]
struct Rate {
    backoff_seconds: f64,
}

/// Reads the answers to a batch, and no more than there are calls in it.
pub(super) struct Answers {
    pub(super) most: usize,
}

impl<'de> Visitor<'de> for Answers {
    type Value = Vec<Answer<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a list of {} answers", self.most)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut answers = Vec::new();
        while let Some(answer) = list.next_element()? {
            if answers.len() == self.most {
                return Err(de::Error::invalid_length(self.most + 1, &self));
            }
            answers.push(answer);
        }
        Ok(answers)
    }
}

/// Whether a refusal is the answer to the call, and no trouble of the node.
pub fn is_answer(error: &SourceError) -> bool {
    // Whatever a contract does instead of answering is up to whoever wrote it.
    let of_contract = matches!(error, SourceError::Rpc { method, .. } if method == CONTRACT_CALL);
    of_contract || matches!(error.rpc_code(), Some(-32601 | -32602 | -32600 | -32004)) || is_unknown_block(error)
}

/// Whether a node says that it does not know such a block, or not any more.
pub fn is_unknown_block(error: &SourceError) -> bool {
    let names_one = |text: &str| ["block", "header", "hash"].iter().any(|word| text.contains(word));
    let unknown = |text: &str| text.contains("unknown") || text.contains("not found");
    !is_unsupported(error) && text(error).is_some_and(|text| names_one(&text) && unknown(&text))
}

/// Whether a node does not have the method.
pub fn is_unsupported(error: &SourceError) -> bool {
    matches!(error.rpc_code(), Some(-32601 | -32004))
        || text(error).is_some_and(|text| text.contains("not supported") || text.contains("unsupported method"))
}

fn text(error: &SourceError) -> Option<String> {
    match error {
        SourceError::Rpc { message, .. } => Some(message.to_lowercase()),
        _ => None,
    }
}

/// An id that may come back as a text.
pub(super) fn number(id: Option<&RawValue>) -> Option<u64> {
    let id = id?.get();
    let quoted = || id.strip_prefix('"')?.strip_suffix('"');
    (id.len() <= LONGEST_ID).then(|| quoted().unwrap_or(id).parse().ok())?
}

/// A refusal's text in lower case, as far as it is looked at.
pub(super) fn lower(message: &str) -> String {
    message.chars().take(LONGEST_MESSAGE).flat_map(char::to_lowercase).collect()
}

/// A refusal; one that means "too often" is what the HTTP status 429 means.
pub(super) fn refused(url: String, method: &str, refusal: Refusal) -> SourceError {
    let Refusal { code, message, data } = refusal;
    let lower = lower(&message);
    let too_often = match code {
        // A contract's own words, which may be any.
        _ if method == CONTRACT_CALL && (code == 3 || lower.contains("revert")) => false,
        429 => true,
        -32012 => lower.contains("credits"),
        // "Too many results" from some, "too often" from others.
        -32005 if lower.contains("result") || lower.contains("range") => false,
        -32005 | -32016 => true,
        _ => TOO_OFTEN.iter().any(|words| lower.contains(words)),
    };
    match too_often {
        true => SourceError::Status { url, status: 429, retry_after: retry_after(&lower, data) },
        false => SourceError::Rpc { url, method: method.into(), code, message: cut(message.into()) },
    }
}

/// How long a refusal asks us to stay away.
pub(super) fn retry_after(text: &str, data: Option<&RawValue>) -> Option<Duration> {
    if let Some(Ok(RefusalData { rate })) = data.map(|data| serde_json::from_str(data.get())) {
        return Some(Duration::from_secs(rate.backoff_seconds.ceil() as u64));
    }
    let asked = &text[text.find(AGAIN_IN)? + AGAIN_IN.len()..];
    let digits = asked.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = asked[..digits].parse().ok()?;
    let unit = asked[digits..].trim_start();
    match unit.starts_with("ms") || unit.starts_with("milli") {
        true => Some(Duration::from_millis(number)),
        // A fraction of a second is rounded up.
        false => Some(Duration::from_secs(number.saturating_add(u64::from(unit.starts_with('.'))))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn refusal(code: i64, message: &str, data: Value) -> SourceError {
        refusal_of("eth_x", code, message, data)
    }

    fn refusal_of(method: &str, code: i64, message: &str, data: Value) -> SourceError {
        let data = serde_json::value::to_raw_value(&data).unwrap();
        refused("http://a".into(), method, Refusal { code, message: message.into(), data: Some(&data) })
    }

    #[test]
    fn limits_are_told_in_many_ways() {
        let (none, seconds) = (None, |seconds| Some(Duration::from_secs(seconds)));
        for (code, message, data, wait) in [
            (429, "", json!(null), none),
            (-32005, "limit exceeded", json!(null), none),
            (
                -32005,
                "daily request count exceeded, request rate limited",
                json!({ "rate": { "backoff_seconds": 30 } }),
                seconds(30),
            ),
            (-32007, "50/second request limit reached", json!(null), none),
            (-32012, "out of CREDITS", json!(null), none),
            (-32016, "over", json!(null), none),
            (-32000, "Too Many Requests, try again in 250ms", json!(null), Some(Duration::from_millis(250))),
            (-32090, "Too many requests, rate limited. Try again in 10s", json!(null), seconds(10)),
            (1, "your app has exceeded its compute units per second capacity", json!(null), none),
        ] {
            let error = refusal(code, message, data);
            assert_eq!((error.kind(), error.retry_after()), ("http_status", wait), "{message}");
            assert!(!is_answer(&error));
        }
        let error = refusal(-32005, "query returned more than 10000 results", json!(null));
        assert_eq!(error.rpc_code(), Some(-32005));
    }

    #[test]
    fn refusals_that_are_answers() {
        for (code, message) in [(-32601, "Method not found"), (-32000, "unknown block")] {
            assert!(is_answer(&refusal(code, message, json!(null))), "{message}");
        }
        // What a contract says or does is never the provider's limit.
        for (code, message) in [
            (3, "execution reverted"),
            (3, "rate limit"),
            (-32000, "execution reverted: too many requests, try again in 10s"),
            (-32000, "VM Exception while processing transaction: revert rate limit"),
            (-32000, "out of gas"),
            (-32000, "invalid jump destination"),
            (-32015, "stack underflow"),
        ] {
            assert!(is_answer(&refusal_of("eth_call", code, message, json!("0x08c379a0"))), "{message}");
        }
        assert!(!is_answer(&refusal_of("eth_call", -32005, "rate limit", json!(null))));
        let lacks = refusal(-32601, "Method not found", json!(null));
        assert!(is_unsupported(&lacks) && !is_unknown_block(&lacks));
        for text in ["unknown block", "header not found", "Block not found", "header for hash not found"] {
            assert!(is_unknown_block(&refusal(-32000, text, json!(null))), "{text}");
        }
        assert!(!is_answer(&refusal(-32603, "internal error", json!(null))));
    }

    #[test]
    fn ids_may_be_texts() {
        let long = format!("\"{}\"", "0".repeat(100));
        for (id, expected) in [("7", Some(7)), ("\"7\"", Some(7)), ("{}", None), ("-1", None), (&long, None)] {
            let text = format!(r#"{{"id":{id},"result":1}}"#);
            let answer: Answer = serde_json::from_str(&text).unwrap();
            assert_eq!(number(answer.id), expected, "{id}");
        }
        let answer: Answer = serde_json::from_str(r#"{"id":1,"result":null}"#).unwrap();
        assert_eq!(answer.result.unwrap().get(), "null");
    }

    #[test]
    fn no_more_answers_are_read_than_calls_were_made() {
        let read = |text: &str| {
            let read = serde_json::Deserializer::from_str(text).deserialize_seq(Answers { most: 2 });
            read.ok().map(|answers| answers.len())
        };
        assert_eq!(read(r#"[{"id":1,"result":1}]"#), Some(1));
        assert_eq!(read("[{},{}]"), Some(2));
        assert_eq!(read("[{},{},{}]"), None);
        assert_eq!(read("{}"), None);
    }
}
