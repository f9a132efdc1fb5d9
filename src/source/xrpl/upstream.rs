//! Answers clients' own calls to the servers.
//!
//! What a client asks for is passed on to one server and, where that fails or has not the ledger, to the next.
//! `server_info`, which every client asks for when it connects, is asked of a server once in two seconds and comes from
//! memory while no server answers, with the age that it has by then. `server_state` comes from memory only while fresh.

use super::Config;
use super::client::refusal_in;
use super::json::{Fields, too_deep};
use crate::dialect::{CallError, Reply};
use crate::source::{LocalFuture, Reply as HttpReply, RpcClient, RpcSettings, SourceError, Upstream};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Nobody waits longer for one call; so with several servers each has its share of it.
const LONGEST_CALL: Duration = Duration::from_secs(10);
/// But no server has less.
const SHORTEST_CALL: Duration = Duration::from_secs(3);
/// What a server says of itself is good for so long.
const FRESH: Duration = Duration::from_secs(2);
/// A dashboard waits for this answer before it does anything.
const PATIENCE: Duration = Duration::from_millis(1500);
/// While servers are known to be down, what is known is given at once.
const IMPATIENCE: Duration = Duration::from_millis(50);
/// What servers say of themselves, whoever asks: the last answer outlives them.
const INFO: &str = "server_info";
/// The same for machines. It has no age by which an old answer could be told from a new one.
const STATE: &str = "server_state";

/// The servers as clients' calls reach them.
pub struct XrplUpstream {
    servers: Rc<Servers>,
    info: Rc<Remembered>,
    state: Remembered,
}

/// Connections of our own to each server.
struct Servers {
    clients: Vec<RpcClient>,
    /// The one that answered last.
    current: Cell<usize>,
    timeout: Duration,
}

/// The last good answer to a method, and whether another is on its way.
#[derive(Default)]
struct Remembered {
    last: RefCell<Option<(Reply, Instant)>>,
    asking: Cell<Option<Instant>>,
    /// Whether the last question got no answer.
    down: Cell<bool>,
    /// Told whenever a question ends.
    ended: Notify,
}

#[derive(Serialize)]
struct Request<'a> {
    method: &'a str,
    params: [&'a RawValue; 1],
}

impl XrplUpstream {
    /// No connection yet; an answer may have `max_response` bytes. `None`: settings that the source itself will refuse.
    pub fn new(config: &Config, max_response: usize) -> Option<XrplUpstream> {
        let all = config.rpc().ok()?;
        let share = LONGEST_CALL / all.urls.len() as u32;
        let longest = share.max(SHORTEST_CALL).min(all.timeout);
        let client = |url| {
            let (headers, max_response) = (all.headers.clone(), max_response);
            RpcClient::new(RpcSettings { urls: vec![url], headers, timeout: longest, max_response })
        };
        let clients: Result<Vec<RpcClient>, SourceError> = all.urls.iter().cloned().map(client).collect();
        let servers = Rc::new(Servers { clients: clients.ok()?, current: Cell::new(0), timeout: longest });
        Some(XrplUpstream { servers, info: Rc::default(), state: Remembered::default() })
    }

    /// What the servers say of themselves: new, or as it was said last, by now so much older.
    async fn info(&self) -> Result<Reply, CallError> {
        let known = &self.info;
        if let Some(answer) = known.newer_than(FRESH) {
            return Ok(answer);
        }
        let slow = known.asking.get().is_some_and(|since| since.elapsed() > PATIENCE);
        let doubtful = known.last.borrow().is_some() && (known.down.get() || slow);
        // Before the question, so that no end of it is missed.
        let ended = known.ended.notified();
        if known.asking.get().is_none() {
            known.asking.set(Some(Instant::now()));
            let (servers, known) = (self.servers.clone(), known.clone());
            // Goes on when who asked has left: the next one asks for the same.
            actix::spawn(async move {
                let answer = servers.call(INFO, "{}").await;
                known.down.set(!known.keep(&answer));
                known.asking.set(None);
                known.ended.notify_waiters();
            });
        }
        let _ = timeout(if doubtful { IMPATIENCE } else { PATIENCE }, ended).await;
        known.newer_than(Duration::MAX).ok_or(CallError::NotReady)
    }

    /// The state of a server, asked anew unless that was just done.
    async fn state(&self) -> Result<Reply, CallError> {
        if let Some(answer) = self.state.newer_than(FRESH) {
            return Ok(answer);
        }
        let answer = self.servers.call(STATE, "{}").await;
        self.state.keep(&answer);
        let word = answer.as_ref().ok().and_then(|answer| refusal_in(answer)).map(|(word, _)| word);
        match word.as_deref() {
            // Asked in no client's API version, and each has its own word for this.
            Some("noNetwork" | "notSynced") => Err(CallError::Unreachable),
            _ => answer,
        }
    }
}

impl Remembered {
    /// Keeps an answer if it is a good one. Whether it is.
    fn keep(&self, answer: &Result<Reply, CallError>) -> bool {
        let good = answer.as_ref().ok().filter(|answer| refusal_in(answer).is_none());
        if let Some(answer) = good {
            *self.last.borrow_mut() = Some((answer.clone(), Instant::now()));
        }
        good.is_some()
    }

    /// The last answer, if it is not older than this, with its age as it is now.
    fn newer_than(&self, limit: Duration) -> Option<Reply> {
        let last = self.last.borrow();
        let (answer, since) = last.as_ref()?;
        let elapsed = since.elapsed();
        if elapsed > limit {
            return None;
        }
        let aged = (elapsed.as_secs() > 0).then(|| aged(answer, elapsed.as_secs())).flatten();
        Some(aged.map_or_else(|| answer.clone(), Into::into))
    }
}

/// The answer with the age of its ledger so many seconds higher; `None` where it has none.
fn aged(answer: &str, seconds: u64) -> Option<Box<str>> {
    let result = Fields::of(answer)?;
    let info = Fields::of(result.get("info")?.get())?;
    let name = ["validated_ledger", "closed_ledger"].into_iter().find(|name| info.get(name).is_some())?;
    let ledger = Fields::of(info.get(name)?.get())?;
    let age = ledger.number("age")?.saturating_add(seconds);
    Some(result.with("info", &info.with(name, &ledger.with("age", &age.to_string()))))
}

impl Servers {
    /// Calls a method, of each server in turn until one answers.
    async fn call(&self, method: &str, parameters: &str) -> Result<Reply, CallError> {
        let Ok(parameters) = serde_json::from_str::<&RawValue>(parameters) else { return Err(CallError::Unreachable) };
        let Ok(body) = serde_json::to_vec(&Request { method, params: [parameters] }) else {
            return Err(CallError::Unreachable);
        };
        let mut outcome = Err(CallError::Unreachable);
        let (first, mut lacked) = (self.current.get(), false);
        for tried in 0..self.clients.len() {
            let at = (first + tried) % self.clients.len();
            let reply = timeout(self.timeout, self.clients[at].post(method, body.clone())).await;
            let said = match reply {
                Ok(Ok(reply)) => read(reply),
                Ok(Err(SourceError::TooLarge { .. })) => return Err(CallError::TooLarge),
                Ok(Err(_)) | Err(_) => Err(CallError::Unreachable),
            };
            let word = said.as_ref().map(|answer| refusal_in(answer).map(|(word, _)| word));
            match word.as_ref().map(Option::as_deref) {
                // It may be behind the one whose ledgers we tell of, or keep fewer of them: no trouble of its own.
                Ok(Some("lgrNotFound")) => {
                    (outcome, lacked) = (said, true);
                    continue;
                }
                Ok(word) if !word.is_some_and(is_trouble) => return said,
                // Another call may have gone on meanwhile.
                _ if self.current.get() == at => self.current.set((at + 1) % self.clients.len()),
                _ => {}
            }
            // That a server lacks the ledger says more than that others are in trouble.
            if !lacked {
                outcome = said;
            }
        }
        outcome
    }
}

/// Errors that are the server's own: another may do better.
fn is_trouble(error: &str) -> bool {
    matches!(
        error,
        "noNetwork"
            | "notSynced"
            | "noCurrent"
            | "noClosed"
            | "notReady"
            | "amendmentBlocked"
            | "unlBlocked"
            | "slowDown"
            | "tooBusy"
            | "internal"
    )
}

/// The `result` of an answer.
fn read(reply: HttpReply) -> Result<Reply, CallError> {
    let HttpReply { status, body, .. } = reply;
    let text = String::from_utf8(body).map_err(|_| CallError::Unreachable)?;
    if too_deep(&text) {
        return Err(CallError::Unreachable);
    }
    let said = Fields::of(&text);
    match said.as_ref().and_then(|said| said.get("result")) {
        Some(result) if result.get().starts_with('{') => return Ok(result.get().into()),
        _ => {}
    }
    let refused = |error: &str, code: u32, message: &str| -> Reply {
        json!({ "error": error, "error_code": code, "error_message": message, "status": "error" }).to_string().into()
    };
    match status {
        // Said in words of HTTP, meant for the client.
        400 if text.contains("invalid_API_version") => {
            Ok(json!({ "error": "invalid_API_version", "status": "error" }).to_string().into())
        }
        400 => Ok(refused("invalidParams", 31, "Invalid parameters.")),
        403 => Ok(refused("noPermission", 6, "You don't have permission for this command.")),
        429 | 503 => Err(CallError::Busy),
        _ => Err(CallError::Unreachable),
    }
}

impl Upstream for XrplUpstream {
    fn call<'a>(&'a self, method: &'a str, parameters: &'a str) -> LocalFuture<'a, Result<Reply, CallError>> {
        Box::pin(async move {
            match method {
                INFO => self.info().await,
                STATE => self.state().await,
                _ => self.servers.call(method, parameters).await,
            }
        })
    }

    fn remembers(&self, method: &str) -> bool {
        method == INFO
    }
}

#[cfg(test)]
mod tests;
