//! Past the limits on memory inside the sessions: what waits stays bounded, the slowest pay, and
//! nobody else notices.

use crate::common::client::is_a_row;
use crate::common::raw::{CLOSE, FIN, PING, PONG, Raw, TEXT, frame};
use crate::common::server::{Devnet, Server, settings, settings_with};
use crate::common::{pause, wait_until};
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const EVERYTHING: &str = r#"{"type":"register","filters":{}}"#;

fn closed(server: &Server, reason: &str) -> f64 {
    server.metric(&format!(r#"ledgercast_sessions_closed_total{{dialect="flow",code="1008",reason="{reason}"}}"#))
}

/// A client that takes everything, on a thread of its own until it is told to stop. With a pause
/// after each event it makes progress every second, and falls ever more behind.
fn reading(mut raw: Raw, between: Duration, stop: &Arc<AtomicBool>) -> JoinHandle<Vec<String>> {
    let stop = stop.clone();
    raw.text(EVERYTHING);
    std::thread::spawn(move || {
        assert!(raw.next().text().starts_with(r#"{"type":"registered""#));
        let mut events = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let frame = raw.next();
            assert_ne!(frame.opcode, CLOSE, "who makes progress is not the slowest");
            if frame.opcode == TEXT {
                events.push(frame.text().to_owned());
            }
            if !between.is_zero() {
                pause(between);
            }
        }
        events
    })
}

/// Reads for a while; whether the server closed it, and said that it was too slow.
fn is_told(mut raw: Raw) -> bool {
    let until = Instant::now() + Duration::from_secs(4);
    let mut last = Vec::new();
    while let Some(frame) = raw.next_within(until.saturating_duration_since(Instant::now())) {
        if frame.opcode == CLOSE {
            assert_eq!((frame.code(), &frame.payload[2..]), (Some(1008), &b"too slow"[..]));
            assert!(String::from_utf8_lossy(&last).contains(r#""code":"too_slow""#));
            return true;
        }
        last = frame.payload;
    }
    false
}

#[test]
fn outboxes_that_are_full_together_cost_the_slowest_their_place() {
    const TOTAL: f64 = 1048576.0;
    let devnet = Devnet::start("10", 150);
    let limits = "workers: 1\nlimits: { outbox_total: 1MiB, outbox: 256KiB, send_buffer: 16KiB, stall: 60s }";
    let server = Server::start(&settings(devnet.address, limits));
    server.wait_ready();
    let stop = Arc::new(AtomicBool::new(false));
    let fast: Vec<_> = (0..3).map(|_| reading(Raw::open(server.clients), Duration::ZERO, &stop)).collect();
    let slow: Vec<_> =
        (0..2).map(|_| reading(Raw::open_small(server.clients), Duration::from_millis(5), &stop)).collect();
    pause(Duration::from_secs(1));
    let memory = server.process.memory();
    // Their outboxes alone would hold five times what all may.
    let mut stuck: Vec<Raw> = (0..20).map(|_| Raw::open_small(server.clients)).collect();
    stuck.iter_mut().for_each(|raw| raw.text(EVERYTHING));

    let mut most: f64 = 0.0;
    let mut look = || most = most.max(server.metric(r#"ledgercast_outbox_bytes{worker="0"}"#));
    wait_until("the slowest are closed", || {
        look();
        closed(&server, "outbox_total") > 0.0
    });
    let grown = server.process.memory().saturating_sub(memory);
    println!("grown by {} KiB", grown / 1024);
    assert!(grown < 64 << 20, "{grown} bytes");

    // Another second, in which nobody who reads may be closed or left without.
    for _ in 0..10 {
        pause(Duration::from_millis(100));
        look();
    }
    stop.store(true, Ordering::Relaxed);
    for (which, reader) in fast.into_iter().chain(slow).enumerate() {
        let events = reader.join().unwrap();
        assert!(events.len() > 100, "reader {which} got {}", events.len());
        is_a_row(&events);
    }

    // They find out why, in their dialect's words, if they read within five seconds of the close.
    let told: Vec<_> = stuck.into_iter().map(|raw| std::thread::spawn(move || is_told(raw))).collect();
    while told.iter().any(|it| !it.is_finished()) {
        look();
        pause(Duration::from_millis(100));
    }
    assert!(told.into_iter().map(|it| it.join().unwrap()).filter(|told| *told).count() > 0, "nobody was told");
    assert!(most > TOTAL / 2.0, "it was crowded: {most}");
    // Beyond it only what is never refused: a chunk of 64 KiB at most of each that a socket took in part.
    assert!(most < TOTAL + 25.0 * 65536.0, "{most} bytes wait");
    assert_eq!(closed(&server, "too_slow"), 0.0);
}

/// A crowd that all read, each slower than it could be fed, pass the bound at once: they share what there is.
#[test]
fn readers_are_not_closed_when_outboxes_are_full_together() {
    let devnet = Devnet::start("10", 150);
    let limits = "workers: 1\nlimits: { outbox_total: 1MiB, outbox: 256KiB, send_buffer: 16KiB }";
    let server = Server::start(&settings_with(devnet.address, "{ max_queue_size: 100000 }", limits));
    server.wait_ready();
    let stop = Arc::new(AtomicBool::new(false));
    let behind: Vec<Raw> = (0..30).map(|_| Raw::open_small(server.clients)).collect();
    // What happens now is behind them when they register.
    pause(Duration::from_secs(3));
    let readers: Vec<_> = behind.into_iter().map(|raw| reading(raw, Duration::from_micros(200), &stop)).collect();
    let mut most: f64 = 0.0;
    for _ in 0..60 {
        pause(Duration::from_millis(100));
        most = most.max(server.metric(r#"ledgercast_outbox_bytes{worker="0"}"#));
    }
    stop.store(true, Ordering::Relaxed);
    for (which, reader) in readers.into_iter().enumerate() {
        let events = reader.join().unwrap();
        assert!(events.len() > 200, "reader {which} got {}", events.len());
        is_a_row(&events[events.iter().position(|text| text.starts_with(r#"{"type":"ledger""#)).unwrap()..]);
    }
    assert!(most > 700_000.0, "it was crowded: {most}");
    assert_eq!(closed(&server, "outbox_total") + closed(&server, "too_slow"), 0.0);
}

#[test]
fn changes_over_the_limit_are_refused_each_and_counted() {
    let devnet = Devnet::start("0.2", 1);
    let more = "limits: { messages_per_second: 1000, waiting_changes: 2 }";
    let server = Server::start(&settings(devnet.address, more));
    let mut raw = Raw::open(server.clients);
    // One is under way and two wait; of a hundred that come at once most find no place.
    raw.send(&frame(FIN | TEXT, EVERYTHING.as_bytes()).repeat(100));
    let (mut taken, mut refused) = (0, 0);
    while taken + refused < 100 {
        let answer = raw.next_of(TEXT);
        if answer.text().contains("\"registered\"") {
            taken += 1;
        } else if answer.text().contains("too many filter changes") {
            refused += 1;
        }
    }
    assert!(taken >= 3 && refused > 0, "{taken} taken, {refused} refused");
    let counted = server.metric(r#"ledgercast_protocol_errors_total{dialect="flow",kind="too_many_changes"}"#);
    assert_eq!(counted, f64::from(refused));
    // The connection goes on.
    raw.text(EVERYTHING);
    while !raw.next_of(TEXT).text().contains("\"registered\"") {}
}

/// The largest filters there are, again and again, by clients that lag inside of a ledger: no change
/// takes effect, so all of them would wait.
#[test]
fn large_changes_that_wait_stop_the_reading() {
    const CLIENTS: usize = 10;
    const CHANGES: usize = 12;
    let devnet = Devnet::start("5", 300);
    let more = "limits: { send_buffer: 16KiB, outbox: 32KiB, stall: 60s }";
    let server = Server::start(&settings(devnet.address, more));
    server.wait_ready();
    let mut stuck: Vec<Raw> = (0..CLIENTS).map(|_| Raw::open(server.clients)).collect();
    stuck.iter_mut().for_each(|raw| raw.text(EVERYTHING));
    wait_until("they lag", || {
        let lagging = |worker| server.metric(&format!("ledgercast_sessions_lagging{{worker=\"{worker}\"}}"));
        lagging(0) + lagging(1) == CLIENTS as f64
    });
    let memory = server.process.memory();
    let writers: Vec<_> = stuck
        .iter()
        .map(|raw| {
            let mut stream = raw.stream.try_clone().unwrap();
            stream.set_write_timeout(None).unwrap();
            // What the server does not read must not vanish into our own kernel.
            socket2::SockRef::from(&stream).set_send_buffer_size(16 << 10).unwrap();
            std::thread::spawn(move || {
                for change in 0..CHANGES {
                    let accounts: Vec<String> = (0..1000).map(|at| format!("{change:02}-{at:0190}")).collect();
                    let text = json!({"type": "register", "filters": {"account_ids": accounts}}).to_string();
                    stream.write_all(&frame(FIN | TEXT, text.as_bytes())).expect("the server reads it in the end");
                }
            })
        })
        .collect();
    // Long enough for all that is read.
    pause(Duration::from_secs(4));
    let grown = server.process.memory().saturating_sub(memory);
    println!("grown by {} KiB", grown / 1024);
    // Each waiting one holds more than twice its text; without a bound 100 MB and more.
    assert!(grown < CLIENTS as u64 * (2 << 20), "{grown} bytes");
    assert!(writers.iter().all(|writer| !writer.is_finished()), "they are not read from");

    // Who reads again gets every change, in its turn.
    let readers: Vec<_> = stuck
        .into_iter()
        .map(|mut raw| {
            std::thread::spawn(move || {
                let mut changes = 0;
                while changes < CHANGES {
                    let answer = raw.next_of(TEXT);
                    if answer.text().starts_with(r#"{"type":"registered","message":"Filters updated""#) {
                        assert!(answer.text().contains(&format!("{changes:02}-{:0190}", 0)), "{changes}");
                        changes += 1;
                    }
                }
            })
        })
        .collect();
    writers.into_iter().chain(readers).for_each(|thread| thread.join().unwrap());
}

/// Messages of one write. Written one by one, so small ones take more of the server's kernel than it
/// told the client's to send; it drops what comes then, acknowledgements and all, for many seconds.
const BATCH: usize = 100;

/// Writes without end until told to stop, counting whole messages; reads nothing.
fn flooding(stream: &TcpStream, message: &[u8], sent: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    let mut stream = stream.try_clone().unwrap();
    stream.set_write_timeout(None).unwrap();
    let messages = message.repeat(BATCH);
    std::thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            if stream.write_all(&messages).is_err() {
                return;
            }
            sent.fetch_add(BATCH, Ordering::SeqCst);
        }
    });
}

#[test]
fn who_does_not_read_its_answers_is_not_read_from() {
    let devnet = Devnet::start("5", 50);
    let more = "limits: { messages_per_second: 10000000, send_buffer: 16KiB, stall: 60s }";
    let server = Server::start(&settings(devnet.address, more));
    server.wait_ready();
    let stop_reading = Arc::new(AtomicBool::new(false));
    let other = reading(Raw::open(server.clients), Duration::ZERO, &stop_reading);
    pause(Duration::from_secs(1));
    let memory = server.process.memory();

    let register = frame(FIN | TEXT, br#"{"type":"register","filters":{"types":["none of these"]}}"#);
    let ping = frame(FIN | PING, &[b'p'; 125]);
    let stop = Arc::new(AtomicBool::new(false));
    let mut floods: Vec<(Raw, Arc<AtomicUsize>, u8)> = (0..6)
        .map(|number| {
            let raw = Raw::open(server.clients);
            socket2::SockRef::from(&raw.stream).set_send_buffer_size(16 << 10).unwrap();
            let sent = Arc::new(AtomicUsize::new(0));
            let (message, answer) = if number % 2 == 0 { (&ping, PONG) } else { (&register, TEXT) };
            flooding(&raw.stream, message, sent.clone(), stop.clone());
            (raw, sent, answer)
        })
        .collect();
    let counts = |floods: &[(Raw, Arc<AtomicUsize>, u8)]| -> Vec<usize> {
        floods.iter().map(|(_, sent, _)| sent.load(Ordering::SeqCst)).collect()
    };
    let mut last = Vec::new();
    wait_until("nothing more is read", || {
        pause(Duration::from_secs(1));
        let now = counts(&floods);
        now == std::mem::replace(&mut last, now.clone())
    });
    for count in counts(&floods) {
        assert!((10..20_000).contains(&count), "{count} messages were read");
    }
    let grown = server.process.memory().saturating_sub(memory);
    println!("grown by {} KiB", grown / 1024);
    assert!(grown < 16 << 20, "{grown} bytes");

    // Each comes to life when it reads: all that was sent is answered.
    stop.store(true, Ordering::SeqCst);
    for (raw, sent, answer) in &mut floods {
        let mut answered = 0;
        // The writer ends with the messages in which it was stopped.
        while answered == 0 || answered < sent.load(Ordering::SeqCst) {
            let frame = raw.next();
            answered += usize::from(frame.opcode == *answer);
        }
    }
    stop_reading.store(true, Ordering::Relaxed);
    let events = other.join().unwrap();
    assert!(events.len() > 100, "{}", events.len());
    is_a_row(&events);
    assert_eq!(closed(&server, "too_slow") + closed(&server, "outbox_total"), 0.0);
}
