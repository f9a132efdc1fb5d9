//! JSON-RPC as EVM nodes and their providers speak it: batches, errors per item, limits told in many ways, at a rate
//! that the provider bears.

use super::pace::Pace;
use crate::source::{RpcClient, SourceError, cut};
use serde::de::{self, DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
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

/// The method whose refusals strangers may word: a contract's own text stands in them.
pub const CONTRACT_CALL: &str = "eth_call";

/// One call: a method and its parameters.
pub type Call = (&'static str, Value);

/// What came of one call of a batch: the text of its result, or why it was refused.
pub type Outcome = Result<Box<RawValue>, SourceError>;

/// The calls of one source.
pub struct Calls {
    rpc: RpcClient,
    next_id: u64,
    /// Calls in one request at most.
    batch: usize,
    /// The same for the address in use; fewer where it does not like so many.
    batch_here: usize,
    pace: Pace,
}

/// Read without building anything that it does not need: a stranger's answer may be as large as `max_response`.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// `null` is a result, and is told from none.
    #[serde(default, deserialize_with = "present")]
    result: Option<Box<RawValue>>,
    #[serde(borrow)]
    error: Option<Refusal<'a>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(default)]
    code: i64,
    #[serde(default, borrow)]
    message: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
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
struct Answers {
    most: usize,
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

impl Calls {
    /// Calls over this client.
    pub fn new(rpc: RpcClient, batch: u32, per_second: u32) -> Calls {
        let batch = batch.max(1) as usize;
        Calls { rpc, next_id: 1, batch, batch_here: batch, pace: Pace::new(per_second) }
    }

    /// The number of the address in use; when it changes, what is known of the node is void.
    pub fn endpoint(&self) -> usize {
        self.rpc.endpoint()
    }

    /// How many addresses there are.
    pub fn endpoints(&self) -> usize {
        self.rpc.endpoints()
    }

    /// The address in use, for people.
    pub fn shown(&self) -> String {
        self.rpc.shown().to_owned()
    }

    /// Goes to the next address, if there is one.
    pub fn fail_over(&mut self) {
        self.rpc.fail_over();
        self.batch_here = self.batch;
    }

    /// Calls that may be asked in one request now.
    pub fn at_once(&self) -> usize {
        self.batch_here
    }

    /// An answer that is not what the method gives.
    pub fn malformed(&self, method: &str, reason: String) -> SourceError {
        self.rpc.malformed(method, reason)
    }

    /// One call, its result read.
    pub async fn one<R: DeserializeOwned>(&mut self, method: &'static str, params: Value) -> Result<R, SourceError> {
        let outcome = self.single(&(method, params)).await?;
        self.read(method, &outcome)
    }

    /// Reads a result; one that is not what the method gives is for another address to give better.
    pub fn read<R: DeserializeOwned>(&mut self, method: &str, result: &RawValue) -> Result<R, SourceError> {
        serde_json::from_str(result.get()).map_err(|error| {
            let error = self.malformed(method, error.to_string());
            self.fail_over();
            error
        })
    }

    /// Several calls, answered in their order; in one request where the address takes batches. An error is one of all
    /// of them; what is refused alone stands at its place.
    pub async fn many(&mut self, calls: &[Call]) -> Result<Vec<Outcome>, SourceError> {
        let mut outcomes = Vec::with_capacity(calls.len());
        while outcomes.len() < calls.len() {
            let rest = &calls[outcomes.len()..];
            let now = &rest[..rest.len().min(self.batch_here)];
            match now {
                [call] => match self.single(call).await {
                    Ok(result) => outcomes.push(Ok(result)),
                    Err(error) if is_answer(&error) => outcomes.push(Err(error)),
                    Err(error) => return Err(error),
                },
                now => match self.together(now).await? {
                    Some(answered) => outcomes.extend(answered),
                    // Refused as a whole: fewer the next time.
                    None => self.batch_here = (self.batch_here / 2).max(1),
                },
            }
        }
        Ok(outcomes)
    }

    async fn single(&mut self, (method, params): &Call) -> Outcome {
        self.pace.wait(1).await;
        let id = self.take_ids(1);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut outcome = self.exchange(method, body.to_string().into_bytes()).await.and_then(|answer| {
            let answer: Answer =
                serde_json::from_slice(&answer).map_err(|error| self.malformed(method, error.to_string()))?;
            // Only an error may lack the id: the server could not read the request then.
            let unread = answer.error.is_some() && answer.id.is_none();
            if !unread && number(answer.id) != Some(id) {
                return Err(self.malformed(method, format!("answers another request than {id}")));
            }
            self.outcome(method, answer)
        });
        if let Err(error) = &mut outcome {
            self.failed(error);
        } else {
            self.pace.worked(1);
        }
        outcome
    }

    /// One request with several calls. `None`: the address does not take it.
    async fn together(&mut self, calls: &[Call]) -> Result<Option<Vec<Outcome>>, SourceError> {
        self.pace.wait(calls.len()).await;
        let first = self.take_ids(calls.len());
        let item = |(at, (method, params)): (usize, &Call)| json!({ "jsonrpc": "2.0", "id": first + at as u64, "method": method, "params": params });
        let body = Value::from(calls.iter().enumerate().map(item).collect::<Vec<_>>()).to_string();
        let method = calls[0].0;
        let answer = match self.exchange(method, body.into_bytes()).await {
            Ok(answer) => answer,
            Err(mut error) => {
                let whole = match &error {
                    SourceError::TooLarge { .. } => true,
                    SourceError::Status { status, .. } => matches!(status, 400 | 405 | 413 | 415 | 422),
                    _ => false,
                };
                if whole {
                    return Ok(None);
                }
                self.failed(&mut error);
                return Err(error);
            }
        };
        let mut reader = serde_json::Deserializer::from_slice(&answer);
        let listed = reader.deserialize_seq(Answers { most: calls.len() });
        let Ok(answers) = listed.and_then(|answers| reader.end().map(|()| answers)) else {
            // An object: an error of the whole, or something that is no answer at all.
            let whole = serde_json::from_slice::<Answer>(&answer);
            let mut error = match whole.ok().and_then(|answer| self.outcome(method, answer).err()) {
                Some(SourceError::Status { status, retry_after, url }) => {
                    SourceError::Status { status, retry_after, url }
                }
                Some(_) => return Ok(None),
                None => self.malformed(method, "no batch of answers".into()),
            };
            self.failed(&mut error);
            return Err(error);
        };
        let mut placed: Vec<Option<Answer>> = calls.iter().map(|_| None).collect();
        for answer in answers {
            let place = number(answer.id).and_then(|id| usize::try_from(id.checked_sub(first)?).ok());
            if let Some(place) = place.and_then(|place| placed.get_mut(place)) {
                *place = Some(answer);
            }
        }
        let mut outcomes = Vec::with_capacity(calls.len());
        for ((method, _), answer) in calls.iter().zip(placed) {
            let outcome = match answer {
                Some(answer) => self.outcome(method, answer),
                None => Err(self.malformed(method, "no answer to a call of a batch".into())),
            };
            match outcome {
                // What is no answer to this call is trouble of the node, and what came with it is asked again.
                Err(mut error) if !is_answer(&error) => {
                    self.failed(&mut error);
                    return Err(error);
                }
                outcome => outcomes.push(outcome),
            }
        }
        self.pace.worked(calls.len());
        Ok(Some(outcomes))
    }

    fn take_ids(&mut self, count: usize) -> u64 {
        let first = self.next_id;
        self.next_id += count as u64;
        first
    }

    /// The body of the answer. Some servers send errors with other statuses: what they say counts then.
    async fn exchange(&self, method: &str, body: Vec<u8>) -> Result<Vec<u8>, SourceError> {
        let mut reply = self.rpc.post(method, body).await?;
        if reply.status != 200
            && let Ok(Answer { error: Some(refusal), .. }) = serde_json::from_slice::<Answer>(&reply.body)
        {
            if reply.status != 429 {
                return Ok(reply.body);
            }
            let asked = retry_after(&lower(&refusal.message), refusal.data);
            reply.retry_after = reply.retry_after.or(asked);
        }
        reply.ok(self.rpc.shown())
    }

    fn outcome(&self, method: &str, answer: Answer) -> Outcome {
        match (answer.error, answer.result) {
            (Some(refusal), _) => Err(refused(self.shown(), method, refusal)),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(self.malformed(method, "neither result nor error".into())),
        }
    }

    /// What another address may do better is asked there the next time.
    fn failed(&mut self, error: &mut SourceError) {
        if matches!(error, SourceError::Status { status: 429, .. }) {
            self.pace.slower();
        }
        if !is_answer(error) {
            self.rpc.give_up(error);
            self.batch_here = self.batch;
        }
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
fn number(id: Option<&RawValue>) -> Option<u64> {
    let id = id?.get();
    let quoted = || id.strip_prefix('"')?.strip_suffix('"');
    (id.len() <= LONGEST_ID).then(|| quoted().unwrap_or(id).parse().ok())?
}

/// A refusal's text in lower case, as far as it is looked at.
fn lower(message: &str) -> String {
    message.chars().take(LONGEST_MESSAGE).flat_map(char::to_lowercase).collect()
}

/// A refusal; one that means "too often" is what the HTTP status 429 means.
fn refused(url: String, method: &str, refusal: Refusal) -> SourceError {
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
fn retry_after(text: &str, data: Option<&RawValue>) -> Option<Duration> {
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
