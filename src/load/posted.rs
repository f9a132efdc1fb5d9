//! Asks the server's admin listener when its source posted recent ledgers.

use super::error::LoadError;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The server keeps 256 ledgers, so this is often enough for 500 in a second.
pub const EVERY: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer, bytes.
const LARGEST: u64 = 4 << 20;

/// Whom to ask, and for which source; `None`: the only one.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where the admin listener is.
    pub address: SocketAddr,
    /// The source's name in the server's settings.
    pub source: Option<String>,
}

/// Where the admin listener is: `http://127.0.0.1:9090`. Its clock must be ours, so it must be on this machine.
pub fn address(url: &str) -> Result<SocketAddr, LoadError> {
    let wrong = |reason: &str| LoadError::Usage(format!("--admin {url}: {reason}"));
    let parsed = reqwest::Url::parse(url).map_err(|error| wrong(&format!("{error}; write http://127.0.0.1:9090")))?;
    if parsed.scheme() != "http" {
        return Err(wrong("the admin listener speaks http; write http://127.0.0.1:9090"));
    }
    let addresses = parsed.socket_addrs(|| None).map_err(|error| wrong(&error.to_string()))?;
    let address = addresses.first().copied().ok_or_else(|| wrong("the host has no address"))?;
    if !address.ip().is_loopback() {
        return Err(wrong("it must be on this machine: latency is read from the clock that both processes share"));
    }
    Ok(address)
}

/// Ledgers and when they were posted, nanoseconds of the monotonic clock.
pub async fn ask(admin: &Admin) -> Result<Vec<(u64, u64)>, LoadError> {
    let address = admin.address;
    let wrong = |reason: String| LoadError::Admin(address, reason);
    let body = tokio::time::timeout(PATIENCE, get(address)).await;
    let body = body.map_err(|_| wrong("no answer in 5 s".to_owned()))?.map_err(|error| wrong(error.to_string()))?;
    let answer: Value = serde_json::from_str(&body).map_err(|error| wrong(format!("/debug/ledgers: {error}")))?;
    let sources = answer.as_object().ok_or_else(|| wrong("/debug/ledgers is no object".to_owned()))?;
    // Events do not say which source they come from.
    let ledgers = match &admin.source {
        Some(name) => sources.get(name),
        None => sources.values().next().filter(|_| sources.len() == 1),
    };
    let Some(ledgers) = ledgers else {
        let names: Vec<&str> = sources.keys().map(String::as_str).collect();
        return Err(wrong(format!("name one of the server's sources by --source: {}", names.join(", "))));
    };
    let pair = |ledger: &Value| Some((ledger["ledger"].as_u64()?, ledger["posted_nanos"].as_u64()?));
    Ok(ledgers.as_array().into_iter().flatten().filter_map(pair).collect())
}

async fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /debug/ledgers HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(LARGEST).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) != Some("200") {
        let status = head.lines().next().unwrap_or("nothing");
        return Err(std::io::Error::other(format!("/debug/ledgers answered {status}")));
    }
    Ok(body.to_owned())
}
