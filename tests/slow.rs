//! Clients that do not read, beside clients that do: the readers lose nothing and do not wait, who
//! pauses catches up without a hole, and who never reads is told so and closed, at a bounded cost.

use crate::common::client::{Client, Got, Head};
use crate::common::raw::{CLOSE, Frame, Raw, TEXT};
use crate::common::server::{Devnet, Server, settings};
use crate::common::{PATIENCE, pause, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const EVERYTHING: &str = r#"{"type":"register","filters":{}}"#;

/// Judges a row of events: nothing twice, ledgers and positions in order, none left out. `ids` are
/// those of a client that got all; the row is one piece of them.
fn is_a_row_of(texts: &[String], all: &[String]) {
    let id = |text: &String| Head::of(text).id;
    let first = id(&texts[0]);
    let begin = all.iter().position(|text| id(text) == first).expect("the other got it as well");
    let count = texts.len().min(all.len() - begin);
    for at in 0..count {
        assert_eq!(texts[at], all[begin + at], "event {at} of {}", texts.len());
    }
    // What goes on after the other stopped has no hole and no repeat within ledgers either.
    for pair in texts.windows(2) {
        let (before, after) = (Head::of(&pair[0]), Head::of(&pair[1]));
        let next = after.ledger == before.ledger + 1 && after.kind == "ledger";
        assert!(after.ledger == before.ledger || next, "{before:?} {after:?}");
    }
}

/// Whole frames, and the end that a client gets which does not keep up.
fn is_too_slow(frames: &[Frame]) -> Vec<String> {
    let [events @ .., error, closed] = frames else { panic!("{frames:?}") };
    let told: Value = serde_json::from_str(error.text()).unwrap();
    assert_eq!((&told["type"], &told["code"]), (&json!("error"), &json!("too_slow")), "{told}");
    assert_eq!((closed.opcode, closed.code()), (CLOSE, Some(1008)));
    assert_eq!(&closed.payload[2..], b"too slow");
    let texts: Vec<String> = events.iter().filter(|it| it.opcode == TEXT).map(|it| it.text().to_owned()).collect();
    for text in &texts {
        Head::of(text);
    }
    texts
}

/// The log's lines of sessions that were closed for being too slow.
fn told_as_slow(server: &Server) -> Vec<Value> {
    let log = server.process.stderr();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "session closed" && line["reason"] == "too_slow").collect()
}

/// Reads everything up to some count of events.
async fn read(client: &mut Client, count: usize) -> Vec<String> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(client.next_text().await);
    }
    events
}

fn too_slow_closes(server: &Server) -> f64 {
    server.metric(r#"ledgercast_sessions_closed_total{dialect="flow",code="1008",reason="too_slow"}"#)
}

#[tokio::test]
async fn readers_lose_nothing_beside_clients_that_never_read() {
    const STUCK: usize = 20;
    let devnet = Devnet::start("10", 150);
    let server = Server::start(&settings(devnet.address, "limits: { stall: 5s }\nhistory: { budget: 16MiB }"));
    server.wait_ready();
    let mut fast: Vec<Client> = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(server.clients).await;
        client.registered(&json!({}), &mut Vec::new()).await;
        fast.push(client);
    }
    let memory = server.process.memory();
    let mut stuck: Vec<Raw> = (0..STUCK).map(|_| Raw::open_small(server.clients)).collect();
    stuck.iter_mut().for_each(|raw| raw.text(EVERYTHING));

    // Readers read all the while.
    let mut reading = tokio::task::JoinSet::new();
    for mut client in fast {
        reading.spawn(async move { read(&mut client, 6000).await });
    }
    let mut rows = reading.join_all().await;
    rows.sort_by_key(|row| Head::of(&row[0]).ledger);
    for row in &rows {
        is_a_row_of(row, &rows[0]);
    }
    let grown = server.process.memory().saturating_sub(memory);
    assert!(grown < 64 << 20, "{STUCK} clients that do not read cost {grown} bytes");

    // A few bytes may have left after the start, then nothing for five seconds.
    wait_until("they are closed", || too_slow_closes(&server) as usize == STUCK);
    for raw in &mut stuck {
        // Some seconds after the close the server cuts, wherever the socket is: twenty that read a few KiB at a time,
        // one after the other, may take longer. The frames before the cut are whole.
        let frames = raw.whole_frames();
        let texts: Vec<&str> = frames.iter().filter(|it| it.opcode == TEXT).map(Frame::text).collect();
        assert!(texts.len() > 2, "something came before it stuck");
    }
    drop(stuck);
    wait_until("every session ends", || server.sessions() == 0);
}

#[tokio::test]
async fn who_never_reads_is_told_when_it_stalls() {
    let devnet = Devnet::start("10", 150);
    let server = Server::start(&settings(devnet.address, "limits: { stall: 2s, send_buffer: 16KiB, outbox: 32KiB }"));
    server.wait_ready();
    let mut stuck: Vec<Raw> = (0..3).map(|_| Raw::open_small(server.clients)).collect();
    stuck.iter_mut().for_each(|raw| raw.text(EVERYTHING));
    wait_until("they are closed", || too_slow_closes(&server) as usize == 3);
    // Within five seconds of the close, a client that begins to read finds out. All at once: each reads a few KiB at a
    // time, and one after the other would need most of that on a busy machine.
    let rests: Vec<Vec<Frame>> = std::thread::scope(|scope| {
        let reading: Vec<_> = stuck.iter_mut().map(|raw| scope.spawn(|| raw.rest())).collect();
        reading.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for frames in rests {
        assert!(frames.len() > 10, "{}", frames.len());
        let texts = is_too_slow(&frames);
        is_a_row_of(&texts[1..], &texts[1..]);
    }
    // And so does who reads the log, at a level that nobody turns off.
    let mut lines = Vec::new();
    wait_until("they are in the log", || {
        lines = told_as_slow(&server);
        lines.len() == 3
    });
    let mut names = std::collections::BTreeSet::new();
    for line in &lines {
        let told = (&line["level"], &line["dialect"], &line["peer"], &line["code"]);
        assert_eq!(told, (&json!("warn"), &json!("flow"), &json!("127.0.0.1"), &json!(1008)), "{line}");
        // Ten ledgers come in a second, and it was fed nothing for two.
        assert!((5..1000).contains(&line["lag_ledgers"].as_u64().expect("a number")), "{line}");
        names.insert(line["session"].as_str().expect("a name"));
    }
    assert_eq!(names.len(), 3, "each has a name of its own: {names:?}");
}

#[tokio::test]
async fn who_falls_out_of_history_is_told() {
    let devnet = Devnet::start("10", 150);
    // A few ledgers; stalling alone would take a minute.
    let more = "history: { budget: 1MiB }\nlimits: { stall: 60s, send_buffer: 16KiB, outbox: 32KiB }";
    let server = Server::start(&settings(devnet.address, more));
    server.wait_ready();
    let mut fast = Client::connect(server.clients).await;
    fast.registered(&json!({}), &mut Vec::new()).await;
    let mut slow = Raw::open_small(server.clients);
    slow.text(EVERYTHING);
    // Long enough for history to have moved on.
    let all = read(&mut fast, 6000).await;
    assert!(server.sessions() == 2, "nobody is closed for not reading alone");
    let frames = slow.rest();
    let texts = is_too_slow(&frames);
    assert!(texts[0].starts_with(r#"{"type":"registered""#));
    assert!(texts.len() < all.len(), "it missed something");
    let row = &texts[1..];
    let first = Head::of(&all[0]).ledger;
    let from = row.iter().position(|text| Head::of(text).ledger >= first).unwrap_or(row.len());
    if from < row.len() {
        is_a_row_of(&row[from..], &all);
    }
    assert_eq!(too_slow_closes(&server), 1.0);
}

#[tokio::test]
async fn who_pauses_catches_up() {
    let devnet = Devnet::start("10", 150);
    let more = "limits: { send_buffer: 16KiB, outbox: 32KiB }";
    let server = Server::start(&settings(devnet.address, more));
    server.wait_ready();
    let mut fast = Client::connect(server.clients).await;
    fast.registered(&json!({}), &mut Vec::new()).await;
    let address = server.clients;
    let pausing = tokio::task::spawn_blocking(move || {
        let mut raw = Raw::open_small(address);
        raw.text(EVERYTHING);
        let mut texts = Vec::new();
        for _ in 0..3 {
            // Megabytes come meanwhile: many times what may wait for it.
            pause(Duration::from_millis(1500));
            for _ in 0..1500 {
                texts.push(raw.next_of(TEXT).text().to_owned());
            }
        }
        texts
    });
    let mut lagged = false;
    let mut all = Vec::new();
    while all.len() < 7500 {
        all.push(fast.next_text().await);
        if all.len() % 150 == 0 {
            let lagging = |worker| server.metric(&format!("ledgercast_sessions_lagging{{worker=\"{worker}\"}}"));
            lagged |= lagging(0) + lagging(1) > 0.0;
        }
    }
    let texts = tokio::time::timeout(PATIENCE, pausing).await.unwrap().unwrap();
    assert!(texts[0].starts_with(r#"{"type":"registered""#));
    is_a_row_of(&texts[1..], &all);
    assert!(lagged, "it was fed from history");
}

/// A change of filters by a client that lags takes effect at its own position.
#[tokio::test]
async fn filters_change_where_a_lagging_client_is() {
    let devnet = Devnet::start("10", 150);
    let more = "limits: { send_buffer: 16KiB, outbox: 32KiB }";
    let server = Server::start(&settings(devnet.address, more));
    server.wait_ready();
    let mut client = Client::connect(server.clients).await;
    client.registered(&json!({}), &mut Vec::new()).await;
    // Half a second of not reading, then filters again and again while it catches up.
    let mut texts = Vec::new();
    for round in 0..6 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let types = if round % 2 == 0 { json!(["ledger"]) } else { json!([]) };
        let answer = client.registered(&json!({"types": types}), &mut texts).await;
        assert_eq!(answer["message"], "Filters updated");
        texts.push(format!("{round}"));
    }
    texts.extend(read(&mut client, 300).await);
    // Ledgers are in every segment, so their row has no hole; a change stands between two.
    let mut last = 0;
    let mut only_ledgers = false;
    for (at, text) in texts.iter().enumerate() {
        if let Ok(round) = text.parse::<u32>() {
            only_ledgers = round % 2 == 0;
            if let Some(next) = texts.get(at + 1).filter(|it| it.starts_with('{')) {
                assert_eq!(Head::of(next).kind, "ledger", "a change stands before a ledger");
            }
            continue;
        }
        let event = Head::of(text);
        assert!(!only_ledgers || event.kind == "ledger", "{text}");
        if event.kind == "ledger" {
            assert!(last == 0 || event.ledger == last + 1, "{last} {text}");
            last = event.ledger;
        } else {
            assert_eq!(event.ledger, last, "{text}");
        }
    }
}

/// A pong does not wait for the events in front of it.
#[tokio::test]
async fn a_pong_overtakes_events() {
    let devnet = Devnet::start("10", 300);
    // Much waits in our own queue, little in the kernel.
    let server = Server::start(&settings(devnet.address, "limits: { send_buffer: 8KiB, outbox: 1MiB }"));
    server.wait_ready();
    let address = server.clients;
    let row = tokio::task::spawn_blocking(move || {
        let mut raw = Raw::open_small(address);
        raw.text(EVERYTHING);
        pause(Duration::from_secs(2));
        raw.send(&crate::common::raw::frame(crate::common::raw::FIN | crate::common::raw::PING, b"now"));
        pause(Duration::from_millis(500));
        let mut before = 0;
        loop {
            let frame = raw.next();
            match frame.opcode {
                TEXT => before += 1,
                _ => {
                    assert_eq!(frame.payload, b"now");
                    break;
                }
            }
        }
        let mut after = Vec::new();
        while after.len() < 4000 {
            after.push(raw.next_of(TEXT).text().to_owned());
        }
        (before, after)
    });
    let (before, after) = row.await.unwrap();
    // Two seconds of events waited, some 6,000; the pong came after what the kernel had.
    assert!(before < 2000, "{before} events before the pong");
    is_a_row_of(&after, &after);

    // A reader under the same load.
    let mut client = Client::connect(server.clients).await;
    client.registered(&json!({}), &mut Vec::new()).await;
    for _ in 0..5 {
        client.ping(b"there?").await;
        loop {
            match client.next().await {
                Got::Pong(payload) => break assert_eq!(payload, b"there?"),
                Got::Text(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
