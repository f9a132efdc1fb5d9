//! Calls to a server: its form of JSON-RPC, its words for trouble, and how long to stay away for which.

use super::json::{Fields, too_deep};
use crate::source::{Refusal, Reply, RpcClient, RpcSettings, SourceError, cut};
use rand::RngExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::cell::Cell;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// After the first refusal for too much load; doubled each time.
const OVERLOADED: Duration = Duration::from_secs(1);
/// At most.
const LONGEST: Duration = Duration::from_secs(30);
/// A server that is out of sync is asked so often.
const NOT_SYNCED: Duration = Duration::from_secs(5);
/// Polls are made rarer by this factor at most while a server says that we are a load.
const SLOWEST: u32 = 8;
/// A warning about load halves the rate once in this time.
const SLOWER_AFTER: Duration = Duration::from_secs(5);
/// Without a warning for so long, the rate is doubled again.
const FASTER_AFTER: Duration = Duration::from_secs(60);

/// A client of the servers of one network.
pub struct Client {
    rpc: RpcClient,
    /// For each server, whether it knows API version 1 alone.
    old: Vec<Cell<bool>>,
    /// Failures since the last success.
    failures: u32,
    pace: Cell<Pace>,
}

/// How much rarer than configured we poll.
#[derive(Clone, Copy)]
struct Pace {
    factor: u32,
    since: Instant,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    warning: Option<Cow<'a, str>>,
}

impl Client {
    /// No connection yet.
    pub fn new(settings: RpcSettings) -> Result<Client, SourceError> {
        let old = settings.urls.iter().map(|_| Cell::new(false)).collect();
        let pace = Cell::new(Pace { factor: 1, since: Instant::now() });
        Ok(Client { rpc: RpcClient::new(settings)?, old, failures: 0, pace })
    }

    /// The address in use, for people.
    pub fn shown(&self) -> &str {
        self.rpc.shown()
    }

    /// Calls `method` with `parameters`, an object, in the newest API version that the server knows. The answer is
    /// its `result`; what the server calls an error is one.
    pub async fn call(
        &self,
        method: &str,
        mut parameters: Value,
        within: Duration,
    ) -> Result<Box<RawValue>, SourceError> {
        loop {
            let old = &self.old[self.rpc.endpoint()];
            let version = if old.get() { 1 } else { 2 };
            parameters["api_version"] = version.into();
            let body = json!({ "method": method, "params": [parameters] }).to_string().into_bytes();
            let too_late = |_| {
                Err(SourceError::Timeout { url: self.shown().to_owned(), method: method.to_owned(), after: within })
            };
            let reply = timeout(within, self.rpc.post(method, body)).await.unwrap_or_else(too_late)?;
            match self.read(method, reply) {
                Err(error) if version == 2 && word(&error) == Some("invalid_API_version") => old.set(true),
                answer => return answer,
            }
        }
    }

    fn read(&self, method: &str, reply: Reply) -> Result<Box<RawValue>, SourceError> {
        let refused = |error: &str, message: &str| SourceError::Refused {
            url: self.shown().to_owned(),
            method: method.to_owned(),
            refusal: refusal(error),
            error: cut(error.to_owned()),
            message: cut(message.to_owned()),
            wait: None,
        };
        let status = reply.status;
        if status != 200 {
            let said = String::from_utf8_lossy(&reply.body).trim().to_owned();
            // What refuses in JSON does so at the top or inside a result.
            if let Some((error, message)) = (!too_deep(&said)).then(|| refusal_in(&said)).flatten() {
                return Err(refused(&error, &message));
            }
            return Err(match status {
                503 if said.contains("overloaded") || said.contains("slowDown") => refused("slowDown", &said),
                400 if said.contains("invalid_API_version") => refused("invalid_API_version", &said),
                400 | 403 => refused("forbidden", &said),
                _ => match reply.ok(self.shown()) {
                    Err(error) => error,
                    Ok(_) => self.malformed(method, "no answer".to_owned()),
                },
            });
        }
        let malformed = |reason: String| self.malformed(method, reason);
        let text = String::from_utf8(reply.body).map_err(|error| malformed(error.to_string()))?;
        if too_deep(&text) {
            return Err(malformed("nested too deep".to_owned()));
        }
        let envelope: Envelope = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if let Some((error, message)) = refusal_in(&text) {
            return Err(refused(&error, &message));
        }
        let result = envelope.result.ok_or_else(|| malformed("no result".to_owned()))?;
        let fields = Fields::of(result.get()).ok_or_else(|| malformed("a result that is no object".to_owned()))?;
        let inside = fields.text("warning");
        if [envelope.warning, inside].iter().flatten().any(|warning| warning == "load") {
            self.slow_down();
        }
        Ok(result.to_owned())
    }

    /// An answer of the address in use that is not what the method gives.
    pub fn malformed(&self, method: &str, reason: String) -> SourceError {
        self.rpc.malformed(method, reason)
    }

    /// Goes to the next server after an error of the one in use, and sets how long to stay away: only once every
    /// server has failed.
    pub fn failed(&mut self, error: &mut SourceError) {
        self.failures = self.failures.saturating_add(1);
        let round = self.failures / self.old.len() as u32;
        match error {
            SourceError::Refused { refusal, wait, .. } => {
                if *refusal == Refusal::Overloaded {
                    self.slow_down();
                }
                *wait = (round > 0).then(|| stay_away(*refusal, round)).flatten();
                self.rpc.fail_over();
            }
            _ => self.rpc.give_up(error),
        }
    }

    /// Something worked.
    pub fn works(&mut self) {
        self.failures = 0;
    }

    /// The next call goes to another server, if there is one.
    pub fn ask_another(&mut self) {
        self.rpc.fail_over();
    }

    /// How much rarer than configured to poll.
    pub fn slower(&self) -> u32 {
        let Pace { factor, since } = self.pace.get();
        let doublings = u32::try_from(since.elapsed().as_secs() / FASTER_AFTER.as_secs()).unwrap_or(u32::MAX);
        factor.checked_shr(doublings).unwrap_or(0).max(1)
    }

    fn slow_down(&self) {
        let factor = self.slower();
        if factor == 1 || self.pace.get().since.elapsed() >= SLOWER_AFTER {
            self.pace.set(Pace { factor: (factor * 2).min(SLOWEST), since: Instant::now() });
        }
    }
}

/// How long to stay away after so many rounds of refusals.
fn stay_away(refusal: Refusal, round: u32) -> Option<Duration> {
    let least = match refusal {
        Refusal::Overloaded => OVERLOADED.saturating_mul(1 << (round - 1).min(10)).min(LONGEST),
        Refusal::NotSynced => NOT_SYNCED,
        Refusal::Blocked | Refusal::Denied => LONGEST,
        Refusal::Other => return None,
    };
    // Brokers that were refused together do not come back together.
    Some(rand::rng().random_range(least..=least + least / 4))
}

/// How long to stay away at most where it is not for the ordinary troubles that pass: a server out of sync is asked
/// steadily, one that limits us is left alone.
pub fn longest_wait(error: &SourceError) -> Option<Duration> {
    match error {
        SourceError::Refused { refusal: Refusal::NotSynced, .. } => Some(NOT_SYNCED),
        SourceError::Refused { refusal: Refusal::Other, .. } => None,
        SourceError::Refused { .. } | SourceError::Status { status: 429, .. } => Some(LONGEST),
        _ => None,
    }
}

/// The server's word for an error.
pub fn word(error: &SourceError) -> Option<&str> {
    match error {
        SourceError::Refused { error, .. } => Some(error),
        _ => None,
    }
}

fn refusal(error: &str) -> Refusal {
    match error {
        "slowDown" | "tooBusy" => Refusal::Overloaded,
        "noNetwork" | "notSynced" | "noCurrent" | "noClosed" | "notReady" => Refusal::NotSynced,
        "amendmentBlocked" | "unlBlocked" | "expiredValidatorList" => Refusal::Blocked,
        "forbidden" | "noPermission" | "invalid_API_version" | "unknownCmd" => Refusal::Denied,
        _ => Refusal::Other,
    }
}

/// The error and its text in an answer, if it is one: HTTP says 200 all the same.
pub fn refusal_in(answer: &str) -> Option<(String, String)> {
    let whole = Fields::of(answer)?;
    let result = whole.get("result").and_then(|result| Fields::of(result.get()));
    for fields in result.iter().chain([&whole]) {
        if let Some(error) = fields.text("error") {
            let message = fields.text("error_message").unwrap_or_default();
            return Some((error.into_owned(), message.into_owned()));
        }
        if fields.text("status").is_some_and(|status| status == "error") {
            return Some(("unknown".to_owned(), String::new()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::{self, serve};
    use reqwest::header::HeaderMap;

    fn client(urls: &[&str]) -> Client {
        let urls = urls.iter().map(|url| url.parse().unwrap()).collect();
        let timeout = Duration::from_millis(500);
        Client::new(RpcSettings { urls, headers: HeaderMap::new(), timeout, max_response: 10_000 }).unwrap()
    }

    async fn asked(reply: fn() -> testing::Reply) -> Result<String, SourceError> {
        let url = serve(move |_, _| reply()).await;
        let answer = client(&[&url]).call("server_info", json!({}), Duration::from_secs(5)).await;
        answer.map(|result| result.get().to_owned())
    }

    #[actix::test]
    async fn each_trouble_has_its_name() {
        use testing::Reply::{Body, Result, Text};
        for (reply, kind) in [
            ((|| Text(503, "Server is overloaded")) as fn() -> testing::Reply, "overloaded"),
            (|| Text(503, r#"{"error":"slowDown","error_code":10,"status":"error"}"#), "overloaded"),
            (|| Text(503, "<html>"), "http_status"),
            (|| Text(500, "oops"), "http_status"),
            (|| Text(400, "Null method"), "denied"),
            (|| Text(403, "Forbidden"), "denied"),
            (|| Result(json!({ "error": "tooBusy", "error_code": 9, "status": "error" })), "overloaded"),
            (|| Result(json!({ "error": "noNetwork", "status": "error" })), "not_synced"),
            (|| Result(json!({ "error": "amendmentBlocked" })), "blocked"),
            (|| Result(json!({ "error": "unlBlocked" })), "blocked"),
            (|| Result(json!({ "error": "internal" })), "rpc"),
            (|| Result(json!({ "status": "error" })), "rpc"),
            (|| Result(json!([])), "malformed"),
            (|| Body(b"{}".to_vec()), "malformed"),
            (|| Body(b"<html>".to_vec()), "malformed"),
            (|| Body(br#"{"result":{"a":"#.to_vec()), "malformed"),
            (|| Body(vec![0xff; 9]), "malformed"),
            (|| Body(format!(r#"{{"result":{{"a":{}{}}}}}"#, "[".repeat(900), "]".repeat(900)).into()), "malformed"),
        ] {
            assert_eq!(asked(reply).await.unwrap_err().kind(), kind);
        }
        assert_eq!(asked(|| Result(json!({ "a": 1 }))).await.unwrap(), r#"{"a":1}"#);
    }

    #[actix::test]
    async fn a_server_that_knows_version_1_alone_is_asked_in_it() {
        let url = serve(|_, params| match params[0]["api_version"].as_u64() {
            Some(1) => testing::Reply::Result(json!({ "version": 1 })),
            _ => testing::Reply::Text(400, "invalid_API_version"),
        })
        .await;
        let client = client(&[&url]);
        for _ in 0..2 {
            let answer = client.call("server_info", json!({}), Duration::from_secs(5)).await.unwrap();
            assert_eq!(answer.get(), r#"{"version":1}"#);
        }
        assert!(client.old[0].get());
    }

    #[actix::test]
    async fn a_warning_about_load_makes_us_slower() {
        let url = serve(|_, _| testing::Reply::Result(json!({ "warning": "load" }))).await;
        let client = client(&[&url]);
        for _ in 0..3 {
            client.call("server_info", json!({}), Duration::from_secs(5)).await.unwrap();
        }
        assert_eq!(client.slower(), 2, "once in a while, not for each answer");
    }

    #[test]
    fn only_when_every_server_has_failed_is_there_a_wait() {
        let mut client = client(&["http://127.0.0.1:1", "http://127.0.0.1:2"]);
        let mut wait = || {
            let mut error = SourceError::Refused {
                url: String::new(),
                method: String::new(),
                error: "slowDown".into(),
                message: String::new(),
                refusal: Refusal::Overloaded,
                wait: None,
            };
            client.failed(&mut error);
            error.retry_after()
        };
        assert_eq!(wait(), None);
        assert!(wait().is_some_and(|wait| wait >= OVERLOADED && wait < OVERLOADED * 2));
        let last = (0..60).map(|_| wait()).last().unwrap();
        assert!(last.is_some_and(|wait| wait >= LONGEST && wait < LONGEST * 2));
        client.works();
        assert_eq!(client.failures, 0);
    }
}
