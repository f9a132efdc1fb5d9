//! Ledgers of the embedded network as its RPC serves them, for benches of one step.

use ledgercast::devnet::{self, Settings};
use ledgercast::event::LedgerBatch;
use ledgercast::source::stellar::fuzzing;
use std::io::{Read, Write};
use std::net::TcpStream;

/// The `result` of a `getLedgers` with some ledgers of so many events of all kinds.
pub fn answer(events: usize) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let settings = Settings { events_per_ledger: events, ..Settings::default() };
    let devnet = runtime.block_on(devnet::start(settings)).expect("the devnet starts");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"getLedgers","params":{"startLedger":1000}}"#;
    let mut socket = TcpStream::connect(devnet.address()).expect("it listens");
    write!(
        socket,
        "POST / HTTP/1.1\r\nHost: devnet\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it is open");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(!head.contains("chunked"), "{head}");
    let answer: serde_json::Value = serde_json::from_str(body).expect("JSON");
    answer["result"].to_string()
}

/// The ledgers in an answer, and nothing that is wrong.
pub fn decode(answer: &str) -> Vec<LedgerBatch> {
    let batches = fuzzing::read("getLedgers", answer, &Settings::default().passphrase).expect("it is an answer");
    batches.into_iter().map(|batch| batch.expect("it is right")).collect()
}
