//! A scripted HTTP server and a broker that only takes, for tests.

use crate::broker::{Append, History};
use crate::event::SourceNumber;
use crate::journal::{Journal, SourceKey};
use actix::prelude::*;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server answers to one call.
pub enum Reply {
    Result(Value),
    Error(i64, String),
    /// Another status, with a header.
    Status(u16, &'static str),
    /// Another status, with a text.
    Text(u16, &'static str),
    /// A body that ends before the length that was announced.
    Short(Vec<u8>),
    /// An answer that takes its time.
    Slow(Duration, Box<Reply>),
    /// These bytes as the body, instead of an answer.
    Body(Vec<u8>),
    /// The same under another status.
    StatusBody(u16, Vec<u8>),
    /// The same, gzipped.
    Gzip(Vec<u8>),
    /// Never.
    Silence,
    /// The connection is cut.
    Cut,
}

thread_local! {
    static IN_BATCH: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether the call that is being answered came in a batch.
pub fn in_batch() -> bool {
    IN_BATCH.get()
}

/// Serves JSON-RPC on loopback with `answer(method, params)`, a GET as `answer(path, null)`, and gives the address.
/// Lives as long as the test's system.
pub async fn serve(answer: impl FnMut(&str, &Value) -> Reply + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = std::rc::Rc::new(std::cell::RefCell::new(answer));
    actix::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let answer = answer.clone();
            actix::spawn(async move {
                let _ = connection(socket, |method, params| answer.borrow_mut()(method, params)).await;
            });
        }
    });
    url
}

async fn connection(
    mut socket: TcpStream,
    mut answer: impl FnMut(&str, &Value) -> Reply,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut read = Vec::new();
    loop {
        let (head, body) = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(read[..end].to_vec())?.to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let whole = end + 4 + length.map_or(Ok(0), str::parse::<usize>)?;
                if read.len() >= whole {
                    let rest = read.split_off(whole);
                    let body = std::mem::replace(&mut read, rest).split_off(end + 4);
                    break (head, body);
                }
            }
            if socket.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let call: Value = match head.strip_prefix("get ").and_then(|rest| rest.split(' ').next()) {
            // Named by its path, in lower case.
            Some(path) => json!({ "method": path }),
            None => {
                assert!(head.starts_with("post ") && head.contains("content-type: application/json"), "{head}");
                serde_json::from_slice(&body)?
            }
        };
        let mut answer_one = |call: &Value| {
            let reply = answer(call["method"].as_str().unwrap(), &call["params"]);
            in_envelope(&call["id"], reply)
        };
        let mut reply = match &call {
            Value::Array(calls) => {
                // What is no result and no error is the answer to the whole batch.
                IN_BATCH.set(true);
                let answers: Result<Vec<Value>, Reply> = calls.iter().map(&mut answer_one).collect();
                IN_BATCH.set(false);
                // In any order: it is the ids that count.
                answers.map(|answers| Value::from_iter(answers.into_iter().rev()))
            }
            call => answer_one(call),
        };
        while let Err(Reply::Slow(time, later)) = reply {
            tokio::time::sleep(time).await;
            reply = in_envelope(&call["id"], *later);
        }
        let mut missing = 0;
        let (status, header, body) = match reply.map_or_else(|other| other, |json| Reply::Body(json.to_string().into()))
        {
            Reply::Body(body) => (200, "", body),
            Reply::Short(body) => {
                missing = 1;
                (200, "", body)
            }
            Reply::StatusBody(status, body) => (status, "", body),
            Reply::Text(status, text) => (status, "", text.into()),
            Reply::Status(status, header) => (status, header, Vec::new()),
            Reply::Gzip(body) => (200, "content-encoding: gzip\r\n", body),
            Reply::Silence => return std::future::pending().await,
            Reply::Cut => return Ok(()),
            Reply::Result(_) | Reply::Error(..) | Reply::Slow(..) => unreachable!("in an envelope, or waited for"),
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{header}\r\n", body.len() + missing);
        // In one piece: the second of two would wait for the client's word that the first has come.
        socket.write_all(&[head.as_bytes(), &body].concat()).await?;
        if missing > 0 {
            return Ok(());
        }
    }
}

/// A result or an error in its envelope; anything else is no answer to one call.
fn in_envelope(id: &Value, reply: Reply) -> Result<Value, Reply> {
    match reply {
        Reply::Result(result) => Ok(json!({ "jsonrpc": "2.0", "id": id, "result": result })),
        Reply::Error(code, message) => {
            Ok(json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }))
        }
        other => Err(other),
    }
}

/// What a test broker got, in order.
pub type Got = Arc<Mutex<Vec<crate::event::LedgerBatch>>>;

/// A broker that keeps what it gets and answers after `delay`.
pub struct Taker {
    pub got: Got,
    pub delay: Duration,
    /// Where it keeps it over a restart of the source, if anywhere.
    pub state: Option<State>,
}

/// Where what a source posts is kept, and its place in the stream.
#[derive(Clone)]
pub struct State {
    pub journal: Arc<Journal>,
    pub history: Arc<History>,
}

impl State {
    /// In this folder, for the source of this number, as after a restart: what was open of it before is closed.
    pub fn again(open: &RefCell<Option<State>>, directory: &Path, number: SourceNumber, scope: &str) -> State {
        if let Some(before) = open.take() {
            before.journal.close();
        }
        let state = State::of(directory, number, scope);
        *open.borrow_mut() = Some(state.clone());
        state
    }

    fn of(directory: &Path, number: SourceNumber, scope: &str) -> State {
        let key = |of: SourceNumber| SourceKey { name: format!("test-{of}"), scope: scope.into() };
        let journal = Journal::open(directory, Default::default(), (0..=number).map(key).collect()).unwrap();
        let mut history = History::new(usize::from(number) + 1, 0, 1 << 30);
        let (head, past) = journal.past(1 << 30);
        history.restore(head, past);
        let history = Arc::new(history);
        journal.start(history.clone(), Arc::default());
        State { journal: journal.into(), history }
    }
}

impl Actor for Taker {
    type Context = Context<Self>;
}

impl Handler<Append> for Taker {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, append: Append, _: &mut Self::Context) -> Self::Result {
        let Append { batch, posted, counters } = append;
        self.got.lock().unwrap().push(batch.clone());
        if let Some(State { journal, history }) = &self.state
            && let Some(entry) = history.append(batch, posted)
        {
            journal.append(entry, counters);
        }
        let delay = self.delay;
        Box::pin(async move { tokio::time::sleep(delay).await })
    }
}

/// Waits until `ready`, for at most 10 s.
pub async fn until(what: &str, mut ready: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if ready() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
