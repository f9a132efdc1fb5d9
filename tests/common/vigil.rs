//! A MaticVigil client that reads all the time on a thread of its own.

// Each test file is a program of its own and needs only a part of this.
#![allow(dead_code)]

use crate::common::client::{Client, Got};
use crate::common::server::Server;
use crate::common::wait_until;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// A MaticVigil client that reads until its server ends the connection.
pub struct Watcher {
    messages: Arc<Mutex<Vec<Value>>>,
    thread: Option<JoinHandle<u16>>,
}

impl Watcher {
    /// Comes back when it is registered.
    pub fn start(server: &Server) -> Watcher {
        let messages: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let (kept, address) = (messages.clone(), server.clients);
        let read = async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!("ws://{address}/vigil").into_client_request().unwrap();
            let mut client = Client::try_over(Box::new(stream), request).await.unwrap();
            client.text(json!({ "command": "register", "key": "all" }).to_string()).await;
            let ack: Value = serde_json::from_str(&client.next_text().await).unwrap();
            assert_eq!(ack["command"], "register:ack");
            ready.send(()).unwrap();
            loop {
                match client.receive().await {
                    Got::Text(text) => kept.lock().unwrap().push(serde_json::from_str(&text).unwrap()),
                    Got::Close(code, _) => return code,
                    Got::Gone => return 0,
                    Got::Pong(_) => {}
                }
            }
        };
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || runtime().block_on(read));
        is_ready.recv().unwrap();
        Watcher { messages, thread: Some(thread) }
    }

    pub fn messages(&self) -> Vec<Value> {
        self.messages.lock().unwrap().clone()
    }

    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        wait_until(&format!("{count} messages of {:#?}", self.told()), || self.messages.lock().unwrap().len() >= count);
        self.messages()
    }

    /// The ids that notes told, in order.
    pub fn told(&self) -> Vec<u64> {
        ids(&self.messages())
    }

    /// Everything until the end, and the code of it.
    pub fn end(mut self) -> (Vec<Value>, u16) {
        let code = self.thread.take().expect("only taken here").join().unwrap();
        (self.messages(), code)
    }
}

/// The same of some messages.
pub fn ids(messages: &[Value]) -> Vec<u64> {
    messages
        .iter()
        .filter(|it| it["event_name"] == "Noted")
        .map(|it| it["event_data"]["id"].as_u64().unwrap())
        .collect()
}
