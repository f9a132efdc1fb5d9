//! Attacks by frames: clients shake hands well and then do their worst. Nobody else notices, and
//! nothing stays.

use crate::common::attack::{Scene, crowd, flood, garbage, reset};
use crate::common::raw::{BINARY, CLOSE, FIN, PING, PONG, Raw, TEXT, close, frame, header};
use crate::common::server::Server;
use crate::common::{PATIENCE, wait_until};
use rand::{Rng, RngExt};
use std::time::Duration;

const CONTINUATION: u8 = 0;
const LARGEST: usize = 512 << 10;

fn closed(server: &Server, code: &str, reason: &str) -> f64 {
    server.metric(&format!(r#"ledgercast_sessions_closed_total{{dialect="flow",code="{code}",reason="{reason}"}}"#))
}

#[test]
fn garbage_after_a_good_handshake() {
    Scene::start("").endures(2, |server| {
        crowd(4, 250, |_, chance| {
            let mut raw = Raw::open(server.clients);
            raw.try_send(&garbage(chance, 4000));
            // Some look at what comes of it, some end, some do not even do that.
            match chance.random_range(0..4) {
                0 => {
                    let _ = raw.stream.shutdown(std::net::Shutdown::Write);
                    raw.rest();
                }
                1 => reset(raw),
                _ => drop(raw),
            }
        });
        assert!(closed(server, "1002", "protocol") > 100.0);
        // It is counted, not told: strangers could fill the disk.
        assert!(server.process.stderr().lines().count() < 50, "{}", server.process.stderr());
    });
}

/// A whole frame of any kind, with a length that is true or not.
fn any_frame(chance: &mut impl Rng) -> Vec<u8> {
    let first: u8 = chance.random();
    let payload = vec![chance.random(); chance.random_range(0..300)];
    match chance.random_range(0..4) {
        0 => header(first, chance.random()),
        1 => [header(first, chance.random_range(0..70_000)), payload].concat(),
        2 => [vec![first, chance.random_range(0..0x7f)], payload].concat(),
        _ => frame(first, &payload),
    }
}

#[test]
fn illegal_frames() {
    Scene::start("").endures(2, |server| {
        crowd(4, 250, |_, chance| {
            let mut raw = Raw::open(server.clients);
            let frames: Vec<u8> = (0..chance.random_range(1..20)).flat_map(|_| any_frame(chance)).collect();
            raw.try_send(&frames);
            raw.try_send(&close(1000));
            let _ = raw.stream.shutdown(std::net::Shutdown::Write);
            raw.rest();
        });
    });
}

#[test]
fn a_frame_of_a_tebibyte() {
    Scene::start("").endures(2, |server| {
        crowd(4, 10, |turn, _| {
            let mut raw = Raw::open(server.clients);
            // At once, or as the second fragment of something harmless.
            if turn % 2 == 1 {
                raw.send(&frame(BINARY, b"harmless"));
            }
            let first = if turn % 2 == 1 { FIN } else { FIN | BINARY };
            raw.send(&[header(first, 1 << 40), vec![1, 2, 3, 4]].concat());
            // The server swallows what comes or ends it; it keeps none of it.
            flood(&mut raw, &[0x55; LARGEST], Duration::from_millis(300));
            assert_eq!(raw.next_of(CLOSE).code(), Some(1009));
        });
    });
}

#[test]
fn fragments_without_end() {
    Scene::start("").endures(2, |server| {
        // Never finished, and let go: some kilobytes, then nothing.
        let held: Vec<Raw> = (0..200)
            .map(|_| {
                let mut raw = Raw::open(server.clients);
                raw.send(&frame(TEXT, b"{"));
                raw.send(&frame(CONTINUATION, &[b' '; 1000]).repeat(20));
                raw
            })
            .collect();
        // Over the limit together.
        crowd(4, 5, |_, _| {
            let mut raw = Raw::open(server.clients);
            raw.send(&frame(TEXT, b"{"));
            raw.try_send(&frame(CONTINUATION, &[b' '; 100]).repeat(6000));
            assert_eq!(raw.next_of(CLOSE).code(), Some(1009));
        });
        // Empty ones grow to nothing, and could go on for ever.
        crowd(4, 2, |_, _| {
            let mut raw = Raw::open(server.clients);
            raw.send(&frame(TEXT, b"{"));
            flood(&mut raw, &frame(CONTINUATION, b"").repeat(1000), Duration::from_secs(1));
        });
        drop(held);
    });
}

/// Frames that cost a client nothing, by clients that read the answers and by those that do not.
fn floods(frames: &[u8]) {
    Scene::start("").endures(2, |server| {
        let before = closed(server, "1008", "too_many_messages");
        crowd(16, 1, |turn, _| {
            if turn % 2 == 0 {
                let mut raw = Raw::open(server.clients);
                flood(&mut raw, frames, PATIENCE);
                // It was told why, if it looked in time.
                while let Some(frame) = raw.next_within(PATIENCE) {
                    if frame.opcode == CLOSE {
                        assert_eq!(frame.code(), Some(1008));
                    }
                }
            } else {
                flood(&mut Raw::open_small(server.clients), frames, PATIENCE);
            }
        });
        wait_until("each is closed", || closed(server, "1008", "too_many_messages") == before + 16.0);
    });
}

#[test]
fn ping_floods() {
    floods(&frame(FIN | PING, &[b'p'; 125]).repeat(100));
}

#[test]
fn pong_floods() {
    floods(&frame(FIN | PONG, b"").repeat(1000));
}

#[test]
fn empty_frames() {
    floods(&[frame(FIN | TEXT, b""), frame(FIN | BINARY, b"")].concat().repeat(500));
}

/// As many as one may send, by clients that never read what they cause.
#[test]
fn pings_below_the_limit_by_clients_that_do_not_read() {
    Scene::start("limits: { stall: 2s }").endures(1, |server| {
        let mut raws: Vec<Raw> = (0..40).map(|_| Raw::open_small(server.clients)).collect();
        for _ in 0..30 {
            for raw in &mut raws {
                raw.try_send(&frame(FIN | PING, &[b'p'; 125]).repeat(4));
            }
            crate::common::pause(Duration::from_millis(100));
        }
    });
}
