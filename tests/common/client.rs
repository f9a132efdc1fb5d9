//! A Flow client, as its users write it: a WebSocket library and JSON.

use super::PATIENCE;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

pub const WELCOME: &str = r#"{"type":"welcome","message":"Please send registration message to begin receiving events","format":{"type":"register","filters":{"types":[],"account_ids":[],"asset_codes":[],"min_amount":""}}}"#;

/// What a client gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Got {
    Text(String),
    Pong(Vec<u8>),
    Close(u16, String),
    /// The connection ended without a close frame.
    Gone,
}

/// What carries the frames.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection.
pub struct Client {
    socket: WebSocketStream<Box<dyn Stream>>,
}

/// What is read of an event.
#[derive(Debug, Clone, Deserialize)]
pub struct Head {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub ledger: u64,
}

impl Head {
    pub fn of(text: &str) -> Head {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

impl Client {
    /// Connects and reads the welcome.
    pub async fn connect(address: SocketAddr) -> Client {
        let mut client = Client::try_connect(address).await.expect("the server takes clients");
        assert_eq!(client.next().await, Got::Text(WELCOME.to_owned()));
        client
    }

    pub async fn try_connect(address: SocketAddr) -> Option<Client> {
        Client::try_at(address, "/ws").await.ok()
    }

    /// At another path; else the status of the refusal, 0 where there is none.
    pub async fn try_at(address: SocketAddr, path: &str) -> Result<Client, u16> {
        let connection = timeout(PATIENCE, TcpStream::connect(address)).await.expect("a connection takes less");
        let request = format!("ws://{address}{path}").into_client_request().expect("it is an address");
        Client::try_over(Box::new(connection.map_err(|_| 0u16)?), request).await
    }

    /// Shakes hands with a request of one's own; else the status of the refusal, 0 where there is none.
    pub async fn try_over(stream: Box<dyn Stream>, request: Request) -> Result<Client, u16> {
        let shake = tokio_tungstenite::client_async(request, stream);
        match timeout(PATIENCE, shake).await.expect("a handshake takes less") {
            Ok((socket, _)) => Ok(Client { socket }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(_) => Err(0),
        }
    }

    pub async fn register(&mut self, filters: &Value) {
        self.text(json!({"type": "register", "filters": filters}).to_string()).await;
    }

    pub async fn text(&mut self, text: String) {
        self.send(Message::text(text)).await;
    }

    /// The same to a server that may have ended; false: it has.
    pub async fn try_text(&mut self, text: String) -> bool {
        timeout(PATIENCE, self.socket.send(Message::text(text))).await.is_ok_and(|sent| sent.is_ok())
    }

    pub async fn send(&mut self, message: Message) {
        timeout(PATIENCE, self.socket.send(message)).await.expect("the server reads").expect("the server is there");
    }

    pub async fn ping(&mut self, payload: &'static [u8]) {
        self.send(Message::Ping(Bytes::from_static(payload))).await;
    }

    /// The next thing that comes; pings from the server are answered and left out.
    pub async fn next(&mut self) -> Got {
        timeout(PATIENCE, self.receive()).await.expect("something comes")
    }

    /// The same without patience, for `select!`.
    pub async fn receive(&mut self) -> Got {
        loop {
            return match self.socket.next().await {
                None | Some(Err(_)) => Got::Gone,
                Some(Ok(Message::Text(text))) => Got::Text(text.as_str().to_owned()),
                Some(Ok(Message::Pong(payload))) => Got::Pong(payload.to_vec()),
                Some(Ok(Message::Close(frame))) => match frame {
                    Some(frame) => Got::Close(u16::from(frame.code), frame.reason.as_str().to_owned()),
                    None => Got::Close(u16::from(CloseCode::Status), String::new()),
                },
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Binary(bytes))) => panic!("Flow sends no binary: {bytes:?}"),
            };
        }
    }

    /// The next text.
    pub async fn next_text(&mut self) -> String {
        match self.next().await {
            Got::Text(text) => text,
            other => panic!("a text was expected: {other:?}"),
        }
    }

    /// Registers anew and gives the answer; events before it go to `events`.
    pub async fn registered(&mut self, filters: &Value, events: &mut Vec<String>) -> Value {
        self.register(filters).await;
        loop {
            let text = self.next_text().await;
            if text.starts_with(r#"{"type":"registered""#) {
                return serde_json::from_str(&text).unwrap();
            }
            assert!(!text.starts_with(r#"{"type":"error""#), "{text}");
            events.push(text);
        }
    }

    /// Closes, as a library does, and waits for the answer.
    pub async fn close(mut self) {
        // The server may have closed meanwhile.
        let _ = timeout(PATIENCE, self.socket.close(None)).await;
        while !matches!(self.next().await, Got::Close(..) | Got::Gone) {}
    }
}

/// Every ledger after the one before it, each beginning with its own event; nothing twice.
pub fn is_a_row(texts: &[String]) {
    let mut ids = HashSet::new();
    let mut last = 0;
    for text in texts {
        let event = Head::of(text);
        if event.kind == "ledger" {
            assert!(last == 0 || event.ledger == last + 1, "after {last}: {text}");
            last = event.ledger;
        }
        assert_eq!(event.ledger, last, "{text}");
        assert!(ids.insert(event.id), "twice: {text}");
    }
}
