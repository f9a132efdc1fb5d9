//! Attacks before a WebSocket is open: connections that ask for nothing, slowly, too much, or are reset.

use crate::common::attack::{Scene, crowd, flood, garbage, reset};
use crate::common::raw::{FIN, REQUEST, Raw, TEXT, frame};
use crate::common::reader::wait_at_most;
use crate::common::server::Server;
use crate::common::{PATIENCE, pause};
use rand::RngExt;
use std::io::Read;
use std::time::{Duration, Instant};

const REGISTER: &str = r#"{"type":"register","filters":{}}"#;

/// Everybody says something each second, and nobody comes to an end. Gives how many were let go meanwhile.
fn dribble(raws: &mut [Raw], text: &[u8], time: Duration) {
    let end = Instant::now() + time;
    for byte in text.iter().cycle() {
        for raw in raws.iter_mut() {
            raw.try_send(&[*byte]);
        }
        if Instant::now() > end {
            break;
        }
        pause(Duration::from_secs(1));
    }
}

/// The server has ended every one of them without waiting for us.
fn all_are_let_go(server: &Server, raws: &mut [Raw]) {
    wait_at_most(PATIENCE, "those who ask for nothing are let go", || {
        server.metric("ledgercast_connections_arrived") == 0.0
    });
    for raw in raws {
        raw.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // An answer, an end or a reset, but no waiting.
        if let Err(error) = raw.stream.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn half_open_handshakes() {
    Scene::start("limits: { handshake: 2s, handshakes: 2000 }").endures(1, |server| {
        let mut silent: Vec<Raw> = (0..500).map(|_| Raw::dial(server.clients)).collect();
        let mut slow: Vec<Raw> = (0..1000).map(|_| Raw::dial(server.clients)).collect();
        let mut nearly: Vec<Raw> = (0..500).map(|_| Raw::dial(server.clients)).collect();
        nearly.iter_mut().for_each(|raw| raw.send(&REQUEST.as_bytes()[..REQUEST.len() - 2]));
        dribble(&mut slow, REQUEST.as_bytes(), Duration::from_secs(4));
        for raws in [&mut silent, &mut slow, &mut nearly] {
            all_are_let_go(server, raws);
        }
    });
}

/// What a connection may do once it has had an answer: the next request is as bounded as the first.
#[test]
fn slow_requests_after_a_good_one() {
    let get = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    Scene::start("limits: { handshake: 2s }").endures(1, |server| {
        let asked = |_| {
            let mut raw = Raw::dial(server.clients);
            raw.send(get);
            assert_eq!(raw.head().status, 200);
            raw
        };
        let again: Vec<Raw> = (0..200).map(asked).collect();
        let mut bodies: Vec<Raw> = (0..200).map(|_| Raw::dial(server.clients)).collect();
        let post = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n";
        bodies.iter_mut().for_each(|raw| raw.send(post));
        let mut upgrades: Vec<Raw> = (0..200).map(|_| Raw::dial(server.clients)).collect();
        let upgrade = REQUEST.replacen("Host: test\r\n", "Host: test\r\nTransfer-Encoding: chunked\r\n", 1);
        upgrades.iter_mut().for_each(|raw| raw.send(upgrade.as_bytes()));
        let mut raws: Vec<Raw> = [again, bodies, upgrades].into_iter().flatten().collect();
        dribble(&mut raws, REQUEST.as_bytes(), Duration::from_secs(8));
        all_are_let_go(server, &mut raws);
    });
}

/// Requests without end on one connection, whose answers nobody reads.
#[test]
fn answers_that_nobody_reads() {
    let get = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(500);
    Scene::start("limits: { handshake: 2s }").endures(1, |server| {
        crowd(10, 1, |_, _| {
            let mut raw = Raw::dial_small(server.clients);
            flood(&mut raw, &get, Duration::from_secs(2));
        });
    });
}

#[test]
fn header_floods() {
    Scene::start("").endures(2, |server| {
        crowd(4, 50, |turn, chance| {
            let mut raw = Raw::dial(server.clients);
            let headers = match turn % 5 {
                // More of them than the HTTP stack reads, ...
                0 => (0..2000).map(|at| format!("X-{at}: y\r\n")).collect(),
                // ... the same one many times, ...
                1 => "Cookie: a=b\r\n".repeat(2000),
                // ... long ones, ...
                2 => format!("X: {}\r\n", "x".repeat(200_000)),
                3 => format!("{}: x\r\n", "x".repeat(100_000)),
                // ... and no header at all, for ever.
                _ => "x".repeat(300_000),
            };
            let (first, rest) = REQUEST.split_once("Host").unwrap();
            if raw.try_send(format!("{first}{headers}Host{rest}").as_bytes()) && chance.random() {
                raw.stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut answer = Vec::new();
                let _ = raw.stream.read_to_end(&mut answer);
                assert!(!answer.starts_with(b"HTTP/1.1 2") && !answer.starts_with(b"HTTP/1.1 5"), "{answer:?}");
            }
        });
        // None of it is more than a refusal: not even the name that is longer than the HTTP stack can hold.
        let log = server.process.stderr();
        assert!(!log.contains("panicked"), "{log}");
        // No HTTP at all.
        crowd(4, 100, |_, chance| {
            Raw::dial(server.clients).try_send(&garbage(chance, 10_000));
        });
    });
}

/// Connections that come and are reset at every stage: as fast as this machine can.
#[test]
fn connect_and_reset() {
    Scene::start("").endures(3, |server| {
        crowd(4, 400, |turn, chance| {
            let mut raw = Raw::dial(server.clients);
            let request = REQUEST.as_bytes();
            match turn % 5 {
                0 => {}
                1 => raw.send(&request[..chance.random_range(1..request.len())]),
                2 => raw.send(request),
                stage => {
                    raw.send(request);
                    assert_eq!(raw.head().status, 101);
                    let register = frame(FIN | TEXT, REGISTER.as_bytes());
                    // In the middle of a frame, or with events under way.
                    raw.send(if stage == 3 { &register[..10] } else { &register });
                }
            }
            reset(raw);
        });
    });
}
