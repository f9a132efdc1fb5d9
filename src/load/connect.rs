//! From a URL to an open WebSocket.

use super::error::LoadError;
use super::tls::{self, Trust};
use rustls::pki_types::ServerName;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Connect, TLS and upgrade together may take this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest head of the server's answer, bytes.
const LONGEST_HEAD: usize = 16 << 10;
/// Any sixteen bytes will do: the key guards against caches, not against attackers.
const KEY: &str = "bGVkZ2VyY2FzdCBsb2FkIQ==";
/// Connections from one address to one port: the ephemeral ports of Linux are 28,232, and some are taken.
pub const FROM_ONE_ADDRESS: usize = 20_000;

/// Where clients connect, and as whom.
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    request: String,
}

/// What carries the frames.
pub enum Stream {
    /// `ws://`
    Plain(TcpStream),
    /// `wss://`
    Tls(Box<TlsStream<TcpStream>>),
}

impl Target {
    /// Finds the server of a URL. Only loopback addresses unless `allow_remote`: a load generator pointed at
    /// somebody else's server is an attack.
    pub async fn find(url: &str, token: Option<&str>, trust: &Trust, allow_remote: bool) -> Result<Target, LoadError> {
        let wrong = |reason: String| LoadError::Usage(format!("--url {url}: {reason}"));
        let parsed =
            reqwest::Url::parse(url).map_err(|error| wrong(format!("{error}; write ws://127.0.0.1:8080/ws")))?;
        let secure = match parsed.scheme() {
            "ws" => false,
            "wss" => true,
            other => return Err(wrong(format!("`{other}` is no WebSocket; write ws://127.0.0.1:8080/ws or wss://…"))),
        };
        let host = parsed.host_str().ok_or_else(|| wrong("no host".to_owned()))?.to_owned();
        let port = parsed.port().unwrap_or(if secure { 443 } else { 80 });
        let plain_host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let found = tokio::net::lookup_host((plain_host.as_str(), port)).await;
        let addresses: Vec<SocketAddr> = found.map_err(|error| wrong(error.to_string()))?.collect();
        if let Some(remote) = addresses.iter().find(|address| !address.ip().is_loopback() && !allow_remote) {
            return Err(wrong(format!(
                "{} is not this machine; if the server is yours, add --allow-remote",
                remote.ip()
            )));
        }
        let tls = if secure {
            let name = ServerName::try_from(plain_host).map_err(|error| wrong(error.to_string()))?;
            Some((TlsConnector::from(tls::config(trust)?), name))
        } else {
            None
        };
        let path = match parsed.query() {
            Some(query) => format!("{}?{query}", parsed.path()),
            None => parsed.path().to_owned(),
        };
        if token.is_some_and(|token| token.bytes().any(|byte| !byte.is_ascii_graphic())) {
            return Err(LoadError::Usage("--token-file: the token has other than visible ASCII characters".to_owned()));
        }
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{authorization}\r\n"
        );
        // `localhost` has two addresses, and a server may listen on one.
        let mut refusal = "the host has no address".to_owned();
        for address in addresses {
            match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(_)) => return Ok(Target { address, tls, request }),
                Ok(Err(error)) => refusal = error.to_string(),
                Err(_) => refusal = format!("no answer in {} s", PATIENCE.as_secs()),
            }
        }
        Err(LoadError::Connect(url.to_owned(), refusal))
    }

    /// Opens one connection. The bytes are what came behind the answer's head. An error is a short text that
    /// is the same for all clients, so that they can be counted by it.
    pub async fn open(&self, client: usize, receive_buffer: Option<u32>) -> Result<(Stream, Vec<u8>), String> {
        match tokio::time::timeout(PATIENCE, self.try_open(client, receive_buffer)).await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(Refused::Io(error))) => Err(error.kind().to_string()),
            Ok(Err(Refused::Status(status))) => Err(format!("refused with {status}")),
            Err(_) => Err(format!("not open in {} s", PATIENCE.as_secs())),
        }
    }

    async fn try_open(&self, client: usize, receive_buffer: Option<u32>) -> Result<(Stream, Vec<u8>), Refused> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(from) = source_address(self.address, client) {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut stream = match &self.tls {
            None => Stream::Plain(stream),
            Some((connector, name)) => Stream::Tls(Box::new(connector.connect(name.clone(), stream).await?)),
        };
        stream.write_all(self.request.as_bytes()).await?;
        let rest = upgrade(&mut stream).await?;
        Ok((stream, rest))
    }
}

/// The first clients come from wherever the system chooses; more of them on the loopback from 127.0.0.2, .3, …
fn source_address(to: SocketAddr, client: usize) -> Option<IpAddr> {
    let IpAddr::V4(to) = to.ip() else { return None };
    let further = u8::try_from(client / FROM_ONE_ADDRESS).ok().filter(|further| (1..250).contains(further))?;
    to.is_loopback().then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + further)))
}

enum Refused {
    Io(std::io::Error),
    Status(String),
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Refused {
        Refused::Io(error)
    }
}

/// Reads the answer's head; returns what came behind it.
async fn upgrade(stream: &mut Stream) -> Result<Vec<u8>, Refused> {
    let mut read = Vec::with_capacity(1024);
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if read.len() > LONGEST_HEAD {
            return Err(Refused::Status("an endless head".to_owned()));
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    };
    let rest = read.split_off(end);
    let head = String::from_utf8_lossy(&read);
    let status = head.split(' ').nth(1).unwrap_or("no status");
    if status != "101" {
        return Err(Refused::Status(status.chars().take(3).collect()));
    }
    let accept = actix_http::ws::hash_key(KEY.as_bytes());
    let is_accept = |line: &str| {
        let (name, value) = line.split_once(':')?;
        (name.eq_ignore_ascii_case("sec-websocket-accept")).then(|| value.trim().as_bytes() == accept)
    };
    if head.lines().find_map(is_accept) != Some(true) {
        return Err(Refused::Status("a wrong Sec-WebSocket-Accept".to_owned()));
    }
    Ok(rest)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_clients_come_from_many_addresses() {
        let to: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let from = |client| source_address(to, client).map(|address| address.to_string());
        assert_eq!((from(0), from(19_999)), (None, None));
        assert_eq!((from(20_000).as_deref(), from(45_000).as_deref()), (Some("127.0.0.2"), Some("127.0.0.3")));
        assert_eq!(source_address("10.0.0.1:80".parse().unwrap(), 30_000), None);
        assert_eq!(source_address("[::1]:80".parse().unwrap(), 30_000), None);
    }

    #[tokio::test]
    async fn other_machines_are_refused() {
        let find = async |url: &str| match Target::find(url, None, &Trust::System, false).await {
            Ok(_) => panic!("{url}"),
            Err(error) => (error.is_usage(), error.to_string()),
        };
        for (url, word) in [
            ("ws://192.0.2.1/ws", "--allow-remote"),
            ("wss://[2001:db8::1]:8443/ws", "--allow-remote"),
            ("ws://0.0.0.0:8080/ws", "--allow-remote"),
            ("http://127.0.0.1/ws", "no WebSocket"),
            ("127.0.0.1:8080", "write ws://"),
        ] {
            let (is_usage, text) = find(url).await;
            assert!(is_usage && text.contains(word), "{url}: {text}");
        }
        let (is_usage, text) = find("ws://127.0.0.1:1/ws").await;
        assert!(!is_usage && text.contains("is the server running"), "{text}");
    }
}
