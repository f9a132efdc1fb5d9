//! A pipeline file of Obsrvr Flow runs as it is: `serve --config` takes it, and its clients get events.

use crate::common::client::{Client, Got, Head, WELCOME};
use crate::common::server::{Devnet, Server};
use serde_json::json;
use std::collections::HashSet;

/// The form of the guide's complete example. Port 0 takes a free one.
fn pipeline(devnet: &Devnet, method: &str) -> String {
    format!(
        r#"pipelines:
  Whole Ledgers:
    source:
      type: RPCSourceAdapter
      config:
        rpc_url: "http://{}"
        auth_header: ""
        start_ledger: 0
        poll_interval: 200ms
        rpc_method: "{method}"
        pagination:
          limit: 200
        xdrFormat: "base64"
    processors:
      - type: GetEventsRPC
        config: {{}}
    consumers:
      - type: SaveToWebSocket
        config:
          port: "0"
          path: "ws"
          max_queue_size: "5000"
admin: {{ bind: 127.0.0.1:0 }}
"#,
        devnet.address
    )
}

/// The pipeline runs, and a client sees these types of events and no others.
async fn delivers(method: &str, types: &[&'static str]) {
    let devnet = Devnet::start("4", 30);
    let mut server = Server::start(&pipeline(&devnet, method));
    assert!(server.clients.ip().is_unspecified(), "{}", server.clients);
    server.wait_ready();
    let samples = crate::common::http::get(server.admin, "/metrics").unwrap().body;
    assert!(samples.contains("source=\"Whole-Ledgers\""), "{samples}");

    let mut client = Client::try_connect(([127, 0, 0, 1], server.clients.port()).into()).await.unwrap();
    assert_eq!(client.next().await, Got::Text(WELCOME.to_owned()));
    let mut events = Vec::new();
    client.registered(&json!({}), &mut events).await;
    let mut missing: HashSet<_> = types.iter().copied().collect();
    while !missing.is_empty() {
        let event = Head::of(&client.next_text().await);
        assert!(types.contains(&event.kind.as_str()), "{event:?}");
        missing.remove(event.kind.as_str());
        assert!(event.ledger > 0 && !event.id.is_empty(), "{event:?}");
    }
    client.close().await;
    assert_eq!(server.stop().code(), Some(0));
}

#[tokio::test]
async fn whole_ledgers_reach_the_clients_of_a_pipeline() {
    delivers("getTransactions", &["ledger", "transaction", "payment", "trade", "contract_event"]).await;
}

#[tokio::test]
async fn contract_events_reach_the_clients_of_a_pipeline() {
    delivers("getEvents", &["payment", "contract_event"]).await;
}

/// What is understood otherwise than written is told once, at the start.
#[test]
fn a_star_alone_is_told_in_the_log() {
    let devnet = Devnet::start("1", 5);
    let filters = "rpc_method: \"getEvents\"\n        filters: [{ topics: [['*'], ['*']] }]";
    let settings = pipeline(&devnet, "getEvents").replace("rpc_method: \"getEvents\"", filters);
    let server = Server::start(&settings);
    let log = server.process.stderr();
    let told: Vec<_> = log.lines().filter(|line| line.contains("any topics")).collect();
    assert!(matches!(told.as_slice(), [line] if line.contains("settings.yaml:11:")), "{log}");
}
