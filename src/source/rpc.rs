//! An HTTP client for ledgers' RPCs, whose answers are hostile until proven: JSON-RPC 2.0 by
//! [`RpcClient::call`], other forms by [`RpcClient::post`] and [`RpcClient::get`].

use super::SourceError;
use super::backoff::retry_after;
use crate::config::reference::{Show, Shown};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A connection that does not come up in this time is tried again elsewhere.
const CONNECT: Duration = Duration::from_secs(10);
/// What is read of the body of an answer that is an error, and for how long.
const ERROR_BODY: usize = 64 << 10;
const ERROR_BODY_TIME: Duration = Duration::from_secs(2);
/// Server texts are cut to this for logs.
const LONGEST_TEXT: usize = 300;
/// Path segments longer than this may be an access key and are not shown.
const LONGEST_SHOWN_SEGMENT: usize = 16;

/// How to reach the RPC.
pub struct Settings {
    /// One or more addresses of the same network; the first is preferred at start.
    pub urls: Vec<Url>,
    /// Sent with every request.
    pub headers: HeaderMap,
    /// From the request to the last byte of the answer.
    pub timeout: Duration,
    /// Largest answer, bytes after decompression.
    pub max_response: usize,
}

/// A client of one ledger's RPC.
pub struct RpcClient {
    http: Client,
    endpoints: Vec<Endpoint>,
    current: usize,
    next_id: u64,
    timeout: Duration,
    max_response: usize,
}

struct Endpoint {
    url: Url,
    /// Without credentials.
    shown: String,
}

/// A whole HTTP answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// How long the server asks us to stay away.
    pub retry_after: Option<Duration>,
    /// The body, after decompression.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body, if the status is 200. `shown` is the address for people.
    pub fn ok(self, shown: &str) -> Result<Vec<u8>, SourceError> {
        match self {
            Reply { status: 200, body, .. } => Ok(body),
            Reply { status, retry_after, .. } => {
                Err(SourceError::Status { url: shown.to_owned(), status, retry_after })
            }
        }
    }
}

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a P,
}

#[derive(Deserialize)]
#[serde(bound = "R: DeserializeOwned")]
struct Answer<R> {
    #[serde(default)]
    id: serde_json::Value,
    result: Option<R>,
    error: Option<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    code: i64,
    #[serde(default)]
    message: String,
}

impl RpcClient {
    /// Makes the client; no connection yet.
    pub fn new(settings: Settings) -> Result<RpcClient, SourceError> {
        // Only the first call in a process sets it; whoever was first chose the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .default_headers(settings.headers)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(2);
        if settings.urls.iter().all(|url| url.scheme() == "http") {
            // A host without root certificates can still poll a plain address.
            builder = builder.tls_certs_only(std::iter::empty());
        }
        let http = builder
            .build()
            .map_err(|error| SourceError::Setting { key: "rpc_url", reason: format!("no http client: {error:?}") })?;
        let endpoints: Vec<_> =
            settings.urls.into_iter().map(|url| Endpoint { shown: without_secrets(&url), url }).collect();
        if endpoints.is_empty() {
            return Err(SourceError::Setting {
                key: "rpc_url",
                reason: "missing; write the address of the rpc".into(),
            });
        }
        let (timeout, max_response) = (settings.timeout, settings.max_response);
        Ok(RpcClient { http, endpoints, current: 0, next_id: 1, timeout, max_response })
    }

    /// The number of the address in use. When it changes, what is known of the node is void.
    pub fn endpoint(&self) -> usize {
        self.current
    }

    /// How many addresses there are.
    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// The address in use, for people.
    pub fn shown(&self) -> &str {
        &self.endpoints[self.current].shown
    }

    /// Goes to the next address after an error of the one in use; what one node asks for does not bind the next.
    pub fn give_up(&mut self, error: &mut SourceError) {
        self.fail_over();
        if self.endpoints.len() > 1
            && let SourceError::Status { retry_after, .. } = error
        {
            *retry_after = None;
        }
    }

    /// Goes to the next address, if there is one.
    pub fn fail_over(&mut self) {
        self.current = (self.current + 1) % self.endpoints.len();
    }

    /// Calls `method` with an object as `params`. An error that another node may not have moves the
    /// client to the next address; the caller tries again after its back-off, and knows by
    /// [`RpcClient::endpoint`] that it speaks to another node.
    pub async fn call<R: DeserializeOwned>(&mut self, method: &str, params: &impl Serialize) -> Result<R, SourceError> {
        let mut outcome = self.attempt(method, params).await;
        // A refused position is an answer; everything else is the node's trouble.
        let of_position = matches!(method, "getLedgers" | "getTransactions" | "getEvents");
        if let Err(error) = &mut outcome
            && !(of_position && matches!(error.rpc_code(), Some(-32600 | -32602)))
        {
            self.give_up(error);
        }
        outcome
    }

    async fn attempt<R: DeserializeOwned>(&mut self, method: &str, params: &impl Serialize) -> Result<R, SourceError> {
        let id = self.next_id;
        self.next_id += 1;
        let request = serde_json::to_vec(&Request { jsonrpc: "2.0", id, method, params })
            .map_err(|error| self.malformed(method, format!("request: {error}")))?;
        let body = self.post(method, request).await?.ok(self.shown())?;
        let malformed = |reason| self.malformed(method, reason);
        // serde_json stops at a depth of 128 by itself.
        let answer: Answer<Box<RawValue>> =
            serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
        // Only an error may lack the id: the server could not read the request then.
        let unread = answer.error.is_some() && answer.id.is_null();
        if answer.id != id && !unread {
            return Err(malformed(format!("answers request {}, not {id}", answer.id)));
        }
        if let Some(error) = answer.error {
            return Err(SourceError::Rpc {
                url: self.shown().to_owned(),
                method: method.into(),
                code: error.code,
                message: cut(error.message),
            });
        }
        let result = answer.result.ok_or_else(|| malformed("neither result nor error".into()))?;
        serde_json::from_str(result.get()).map_err(|error| malformed(error.to_string()))
    }

    /// Sends a JSON body to the address in use and reads the answer whole, whatever its status, within
    /// the time and size that an answer may have. `method` is for errors only. Never another address.
    pub async fn post(&self, method: &str, body: Vec<u8>) -> Result<Reply, SourceError> {
        let request = self.http.post(self.endpoints[self.current].url.clone());
        let json = HeaderValue::from_static("application/json");
        self.exchange(method, request.header(CONTENT_TYPE, json).body(body)).await
    }

    /// Asks for a path below the address in use, such as `/api/v1/blocks/latest`, under the same bounds.
    pub async fn get(&self, path: &str) -> Result<Reply, SourceError> {
        let base = self.endpoints[self.current].url.as_str();
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let url: Url = url.parse().map_err(|error| self.malformed(path, format!("no address: {error}")))?;
        self.exchange(path, self.http.get(url)).await
    }

    async fn exchange(&self, method: &str, request: RequestBuilder) -> Result<Reply, SourceError> {
        let whole = async {
            let response = request.send().await.map_err(|error| self.transport(error))?;
            let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = asked.and_then(|value| retry_after(value, SystemTime::now()));
            let status = response.status().as_u16();
            let body = match status {
                200 => self.body(response, method, self.max_response).await?,
                // What stands beside an error may say more; it is not worth waiting for.
                _ => {
                    let body = self.body(response, method, ERROR_BODY);
                    tokio::time::timeout(ERROR_BODY_TIME, body).await.unwrap_or(Ok(Vec::new())).unwrap_or_default()
                }
            };
            Ok(Reply { status, retry_after, body })
        };
        let timeout = self.timeout;
        tokio::time::timeout(timeout, whole).await.unwrap_or_else(|_| {
            Err(SourceError::Timeout { url: self.shown().to_owned(), method: method.into(), after: timeout })
        })
    }

    /// Reads the body, counting what it is after decompression.
    async fn body(&self, mut response: Response, method: &str, limit: usize) -> Result<Vec<u8>, SourceError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(error))? {
            if body.len() + chunk.len() > limit {
                return Err(SourceError::TooLarge { url: self.shown().to_owned(), method: method.into(), limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// An answer of the address in use that is not what the method gives.
    pub fn malformed(&self, method: &str, reason: String) -> SourceError {
        SourceError::Malformed { url: self.shown().to_owned(), method: method.into(), reason: cut(reason) }
    }

    fn transport(&self, error: reqwest::Error) -> SourceError {
        // The innermost cause says what happened; reqwest's own text only says that it failed.
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        SourceError::Transport { url: self.shown().to_owned(), reason: cut(cause.to_string()) }
    }
}

/// Reads a header from a file of one line: `Name: value`, or the value of `Authorization` alone.
/// The value is never printed.
pub fn header_from_file(path: &Path) -> Result<(HeaderName, HeaderValue), SourceError> {
    let fault = |reason: String| SourceError::Setting { key: "auth_header_file", reason };
    let text =
        std::fs::read_to_string(path).map_err(|error| fault(format!("{} cannot be read: {error}", path.display())))?;
    header(text.trim(), "authorization")
        .ok_or_else(|| fault(format!("{} holds no header; write one line `Name: value`", path.display())))
}

/// Reads one line: `Name: value`, or the value of the header `default_name` alone.
pub(crate) fn header(line: &str, default_name: &str) -> Option<(HeaderName, HeaderValue)> {
    let named = line.split_once(':').and_then(|(name, value)| Some((name.parse().ok()?, value.trim())));
    let (name, value) = named.unwrap_or((default_name.parse().ok()?, line));
    let mut value = HeaderValue::from_str(value).ok().filter(|value| !value.is_empty())?;
    value.set_sensitive(true);
    Some((name, value))
}

/// The address of an RPC as it stands in the settings. Providers put keys into addresses, so it is
/// never printed whole.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct RpcUrl(pub String);

impl fmt::Debug for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.parse().map_or_else(|_| "(no address)".to_owned(), |url| without_secrets(&url));
        f.write_str(&shown)
    }
}

/// Only built-in defaults and examples are shown: no secrets of anybody.
impl Show for RpcUrl {
    fn show(&self) -> Shown {
        Shown::text(&self.0)
    }
}

/// An address as it may stand in logs: no user, password, query, nor path segment that may be a key.
pub fn without_secrets(url: &Url) -> String {
    let mut shown = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        shown.push_str(&format!(":{port}"));
    }
    for segment in url.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty()) {
        shown.push('/');
        shown.push_str(if segment.len() > LONGEST_SHOWN_SEGMENT { "…" } else { segment });
    }
    shown
}

/// A server's text, short and on one line.
pub(crate) fn cut(text: String) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests;
