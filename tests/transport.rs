//! Handshakes and frames, right and wrong: each wrong one gets the answer it deserves, nobody else
//! notices, and nothing is left behind.

use crate::common::http::{Answer, exchange, get};
use crate::common::raw::{BINARY, CLOSE, FIN, PING, PONG, REQUEST, Raw, TEXT, close, frame, header};
use crate::common::server::{Devnet, Server, settings, settings_with};
use crate::common::{PATIENCE, pause, wait_until};
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

const REGISTER: &str = r#"{"type":"register","filters":{"types":["none of these"]}}"#;

fn quiet(more: &str) -> (Devnet, Server) {
    // The ledger is beside the point here.
    let devnet = Devnet::start("0.2", 1);
    let server = Server::start(&settings(devnet.address, more));
    // Its last thread is up when it answers here: from now on descriptors can be counted.
    server.readyz();
    (devnet, server)
}

/// The good request with one thing changed.
fn request(from: &str, to: &str) -> String {
    assert!(REQUEST.contains(from), "{from}");
    REQUEST.replacen(from, to, 1)
}

/// The answer to a wrong handshake, after which the connection ends.
fn refused(server: &Server, request: &str) -> Answer {
    exchange(server.clients, request.as_bytes()).expect("an answer comes")
}

/// A connection that has registered goes on: its filter is answered again.
fn works(raw: &mut Raw) {
    raw.text(REGISTER);
    let text = raw.next_of(TEXT);
    assert!(text.text().starts_with(r#"{"type":"registered""#), "{}", text.text());
}

/// All sessions are gone, and so are their descriptors.
fn nothing_is_left(server: &Server, descriptors: usize) {
    wait_until("every session ends", || server.sessions() == 0);
    wait_until("every descriptor is closed", || server.process.descriptors() <= descriptors);
}

#[test]
fn handshakes() {
    let (_devnet, server) = quiet("");
    drop(Raw::open(server.clients));
    let descriptors = server.process.descriptors();

    let old = refused(&server, &request("Version: 13", "Version: 8"));
    assert_eq!((old.status, old.header("sec-websocket-version")), (426, Some("13")), "{old:?}");
    for (from, to, status) in [
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "not base64 at all!", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("Connection: Upgrade\r\n", "", 400),
        ("Connection: Upgrade", "Connection: keep-alive", 400),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13, 8", 426),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8", 426),
        ("Host", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHost", 400),
        ("Host", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nHost", 400),
        ("Host: test\r\n", "", 400),
        ("Host: test", "Host: test\r\nHost: other", 400),
        ("Upgrade: websocket\r\n", "", 426),
        ("Upgrade: websocket", "Upgrade: h2c", 426),
        ("Upgrade: websocket", "Upgrade: websocket/13", 426),
        ("HTTP/1.1", "HTTP/2.0", 400),
        ("GET", "POST", 405),
        ("GET", "HEAD", 405),
        ("GET", "OPTIONS", 405),
        ("GET", "CONNECT", 405),
        ("GET /ws", "CONNECT test:443", 405),
        ("GET /ws", "GET /other", 404),
        ("GET /ws", "GET /ws/below", 404),
        ("GET /ws", "GET /wsx", 404),
        ("GET /ws", "GET /", 404),
        ("Host: test\r\n", "Host: test\r\nContent-Length: 5\r\n", 400),
        ("Host: test\r\n", "Host: test\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Host: test", "Host: test\r\nTransfer-Encoding: identity", 400),
        ("Host: test", "Host: test\r\nContent-Length: 0\r\nContent-Length: 5", 400),
        ("Host: test", "Host: test\r\n folded", 400),
        ("Host: test", "Host : test", 400),
    ] {
        let request = request(from, to);
        let with_body = if to.contains("Content-Length") { request.clone() + "hello" } else { request.clone() };
        let with_body = if to.contains("chunked") { request + "5\r\nhello\r\n0\r\n\r\n" } else { with_body };
        let answer = refused(&server, &with_body);
        assert_eq!(answer.status, status, "{to}: {answer:?}");
    }
    assert_eq!(get(server.clients, "/ws").unwrap().status, 426);
    let post = "POST /ws HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(refused(&server, post).status, 405);
    assert_eq!(get(server.clients, "/other").unwrap().status, 404);
    assert_eq!(get(server.clients, "/").unwrap().status, 200);

    // Header names and tokens in any case, several tokens, a query.
    let mut raw = Raw::dial(server.clients);
    let unusual = request("Connection: Upgrade", "cOnNeCtIoN: keep-alive, uPgRaDe").replace("/ws ", "/ws?a=b ");
    raw.send(unusual.as_bytes());
    let answer = raw.head();
    assert_eq!((answer.status, answer.header("sec-websocket-accept")), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    drop(raw);
    nothing_is_left(&server, descriptors);
}

#[test]
fn frames_may_come_with_the_request() {
    let (_devnet, server) = quiet("");
    let registered = |raw: &mut Raw| {
        assert_eq!(raw.head().status, 101);
        assert!(raw.next().text().starts_with(r#"{"type":"welcome""#));
        assert!(raw.next().text().starts_with(r#"{"type":"registered""#));
    };
    let register = frame(FIN | TEXT, REGISTER.as_bytes());

    let mut raw = Raw::dial(server.clients);
    raw.send(&[REQUEST.as_bytes(), &register].concat());
    registered(&mut raw);

    // After a GET whose connection was kept, and right behind one.
    let kept = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut raw = Raw::dial(server.clients);
    raw.send(kept);
    assert_eq!(raw.head().status, 200);
    raw.send(&[REQUEST.as_bytes(), &register].concat());
    registered(&mut raw);

    let mut raw = Raw::dial(server.clients);
    raw.send(&[kept.as_slice(), REQUEST.as_bytes(), &register].concat());
    assert_eq!(raw.head().status, 200);
    registered(&mut raw);

    // The request itself, byte by byte.
    let mut raw = Raw::dial(server.clients);
    for byte in REQUEST.as_bytes().iter().chain(&register) {
        raw.send(&[*byte]);
    }
    registered(&mut raw);
}

#[test]
fn over_the_limit_of_connections() {
    let (_devnet, server) = quiet("limits: { connections: 3 }");
    let mut open: Vec<Raw> = (0..3).map(|_| Raw::open(server.clients)).collect();
    for _ in 0..3 {
        let answer = refused(&server, REQUEST);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    open.iter_mut().for_each(works);
    // One leaves, one may come.
    open.pop();
    wait_until("a place is free", || {
        let mut raw = Raw::dial(server.clients);
        raw.send(REQUEST.as_bytes());
        raw.head().status == 101
    });
    let refused = server.metric("ledgercast_connections_refused_total{reason=\"connections\"}");
    assert!(refused >= 3.0, "{refused}");
}

#[test]
fn wrong_frames_get_their_close_code() {
    let (_devnet, server) = quiet("");
    let mut other = Raw::open(server.clients);
    works(&mut other);
    let descriptors = server.process.descriptors();
    let unmasked = [&[FIN | TEXT, REGISTER.len() as u8][..], REGISTER.as_bytes()].concat();
    let cases: Vec<(&str, u16, Vec<u8>)> = vec![
        ("not masked", 1002, unmasked),
        ("RSV1", 1002, frame(FIN | 0x40 | TEXT, b"x")),
        ("RSV2", 1002, frame(FIN | 0x20 | TEXT, b"x")),
        ("RSV3 on a ping", 1002, frame(FIN | 0x10 | PING, b"")),
        ("opcode 3", 1002, frame(FIN | 3, b"x")),
        ("opcode 11", 1002, frame(FIN | 11, b"")),
        ("a ping in fragments", 1002, frame(PING, b"")),
        ("a ping of 126 bytes", 1002, frame(FIN | PING, &[b'x'; 126])),
        ("a continuation of nothing", 1002, frame(FIN, b"x")),
        ("text inside a text", 1002, [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat()),
        ("a negative length", 1002, [header(FIN | BINARY, 1 << 63), vec![0; 4]].concat()),
        ("no UTF-8", 1007, frame(FIN | TEXT, b"{\"type\":\"\xff\"}")),
        ("half a character", 1007, frame(FIN | TEXT, &"€".as_bytes()[..2])),
        ("no UTF-8 in a later fragment", 1007, [frame(TEXT, b"{"), frame(FIN, b"\xc0\xaf")].concat()),
    ];
    for (what, code, bytes) in cases {
        let mut raw = Raw::open(server.clients);
        raw.send(&bytes);
        assert_eq!(raw.closed(), Some(code), "{what}");
    }
    // Garbage that is no WebSocket at all.
    let mut raw = Raw::open(server.clients);
    raw.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(raw.closed(), Some(1002));
    works(&mut other);
    drop(other);
    nothing_is_left(&server, descriptors);
}

#[test]
fn large_messages() {
    const LARGEST: usize = 512 * 1024;
    let (devnet, server) = quiet("");
    let mut other = Raw::open(server.clients);
    works(&mut other);
    let descriptors = server.process.descriptors();

    // The largest that is allowed is read, and no register.
    let mut raw = Raw::open(server.clients);
    raw.send(&frame(FIN | TEXT, &[b' '; LARGEST]));
    assert!(raw.next().text().contains("invalid_message"));
    works(&mut raw);
    drop(raw);

    // One byte more, in one frame and in two.
    for bytes in [
        frame(FIN | TEXT, &[b' '; LARGEST + 1]),
        [frame(TEXT, &[b' '; LARGEST]), frame(FIN, b" ")].concat(),
        [frame(TEXT, b" "), frame(FIN, &[b' '; LARGEST])].concat(),
    ] {
        let mut raw = Raw::open(server.clients);
        // It may be refused before all of it was taken.
        raw.try_send(&bytes);
        assert_eq!(raw.next_of(CLOSE).code(), Some(1009));
    }

    // As much as the settings say.
    let small = Server::start(&settings_with(devnet.address, "{ max_message: 1KiB }", ""));
    let mut raw = Raw::open(small.clients);
    raw.send(&frame(FIN | TEXT, &[b' '; 1024]));
    assert!(raw.next().text().contains("invalid_message"));
    raw.send(&frame(FIN | TEXT, &[b' '; 1025]));
    assert_eq!(raw.next_of(CLOSE).code(), Some(1009));

    // What a header claims is judged at once and costs nothing.
    let memory = server.process.memory();
    let mut claims: Vec<Raw> = (0..50)
        .map(|_| {
            let mut raw = Raw::open(server.clients);
            raw.send(&header(FIN | BINARY, 1 << 40));
            raw.send(&[1, 2, 3, 4]);
            raw
        })
        .collect();
    for raw in &mut claims {
        assert_eq!(raw.next_of(CLOSE).code(), Some(1009));
    }
    // What is sent all the same is swallowed.
    for raw in claims.iter_mut().take(10) {
        for _ in 0..16 {
            raw.try_send(&[0; LARGEST]);
        }
    }
    let grown = server.process.memory().saturating_sub(memory);
    assert!(grown < 16 << 20, "grown by {grown} bytes");
    drop(claims);
    works(&mut other);
    drop(other);
    nothing_is_left(&server, descriptors);
}

#[test]
fn good_frames_in_every_form() {
    let (_devnet, server) = quiet("");
    let mut raw = Raw::open(server.clients);
    let descriptors = server.process.descriptors();

    for payload in [&b""[..], b"are you there", &[0xff; 125]] {
        raw.send(&frame(FIN | PING, payload));
        let pong = raw.next();
        assert_eq!((pong.opcode, &pong.payload[..]), (PONG, payload));
    }
    // A pong that nobody asked for is no message.
    raw.send(&frame(FIN | PONG, b"unasked"));
    works(&mut raw);

    // In fragments, with a ping between them; an empty one as well.
    let (first, rest) = REGISTER.as_bytes().split_at(10);
    raw.send(&frame(TEXT, first));
    raw.send(&frame(FIN | PING, b"between"));
    raw.send(&frame(0, b""));
    raw.send(&frame(FIN, rest));
    assert_eq!(raw.next().payload, b"between");
    assert!(raw.next().text().starts_with(r#"{"type":"registered""#));

    // Byte by byte, and with a character cut in two by fragments.
    for byte in frame(FIN | TEXT, REGISTER.as_bytes()) {
        raw.send(&[byte]);
    }
    assert!(raw.next().text().starts_with(r#"{"type":"registered""#));
    let text = r#"{"type":"register","filters":{"types":["€"]}}"#.as_bytes();
    let cut = text.windows(3).position(|it| it == "€".as_bytes()).unwrap() + 1;
    raw.send(&[frame(TEXT, &text[..cut]), frame(FIN, &text[cut..])].concat());
    assert!(raw.next().text().contains("€"));

    // Many in one segment, as binary, with a length in the long form.
    let register = frame(FIN | BINARY, REGISTER.as_bytes());
    raw.send(&register.repeat(5));
    for _ in 0..5 {
        assert!(raw.next().text().starts_with(r#"{"type":"registered""#));
    }
    drop(raw);
    nothing_is_left(&server, descriptors);
}

#[test]
fn a_close_is_answered_with_its_code() {
    let (_devnet, server) = quiet("");
    drop(Raw::open(server.clients));
    wait_until("it has gone", || server.sessions() == 0);
    let descriptors = server.process.descriptors();
    for code in [1000, 1001, 3000, 4000] {
        let mut raw = Raw::open(server.clients);
        raw.send(&close(code));
        assert_eq!(raw.closed(), Some(code));
    }
    // Without a code the answer has none; codes that nobody may send are no protocol.
    let mut raw = Raw::open(server.clients);
    raw.send(&frame(FIN | CLOSE, b""));
    assert_eq!(raw.closed(), None);
    for payload in [&[0x03][..], &999u16.to_be_bytes(), &1005u16.to_be_bytes(), &5000u16.to_be_bytes()] {
        let mut raw = Raw::open(server.clients);
        raw.send(&frame(FIN | CLOSE, payload));
        assert_eq!(raw.closed(), Some(1002), "{payload:?}");
    }
    // Nothing behind a close is heard.
    let mut raw = Raw::open(server.clients);
    raw.send(&[close(1000), frame(FIN | TEXT, REGISTER.as_bytes())].concat());
    let _ = raw.stream.shutdown(Shutdown::Write);
    let frames = raw.rest();
    assert_eq!(frames.iter().map(|frame| frame.opcode).collect::<Vec<_>>(), [CLOSE]);

    // Ends without a word: in the middle of a frame, right after the request, before its end.
    let mut raw = Raw::open(server.clients);
    raw.send(&frame(FIN | TEXT, REGISTER.as_bytes())[..10]);
    drop(raw);
    let mut raw = Raw::dial(server.clients);
    raw.send(REQUEST.as_bytes());
    drop(raw);
    let mut raw = Raw::dial(server.clients);
    raw.send(&REQUEST.as_bytes()[..40]);
    drop(raw);
    nothing_is_left(&server, descriptors);
}

#[test]
fn too_many_messages_close_only_their_sender() {
    let (_devnet, server) = quiet("limits: { messages_per_second: 10 }");
    let mut other = Raw::open(server.clients);
    let mut raw = Raw::open(server.clients);
    let descriptors = server.process.descriptors();
    // More than two seconds' worth, wherever the second begins.
    raw.try_send(&frame(FIN | TEXT, REGISTER.as_bytes()).repeat(40));
    let frames = raw.rest();
    let [.., error, closed] = &frames[..] else { panic!("{frames:?}") };
    assert!(error.text().contains("too many messages in a second"), "{}", error.text());
    assert_eq!(closed.code(), Some(1008));
    works(&mut other);
    // Ten in a second are well.
    for _ in 0..3 {
        pause(Duration::from_millis(1100));
        (0..4).for_each(|_| works(&mut other));
    }
    drop((other, raw));
    nothing_is_left(&server, descriptors);
}

#[test]
fn connections_that_say_nothing_end() {
    let (_devnet, server) = quiet("limits: { handshake: 3s }");
    drop(Raw::open(server.clients));
    wait_until("it has gone", || server.sessions() == 0);
    let descriptors = server.process.descriptors();
    let mut silent: Vec<Raw> = (0..5).map(|_| Raw::dial(server.clients)).collect();
    silent.iter_mut().for_each(|raw| raw.send(&REQUEST.as_bytes()[..20]));
    for raw in &mut silent {
        // An answer or none, then the end.
        raw.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut raw.stream, &mut answer).expect("the server ends it");
    }
    nothing_is_left(&server, descriptors);
}

/// What clients have begun to send and never end is bounded in all, and costs those who have been at it the longest.
#[test]
fn long_messages_are_bounded_together() {
    let (_devnet, server) = quiet("workers: 1\nlimits: { inbound_total: 8MiB }");
    let mut other = Raw::open(server.clients);
    works(&mut other);
    let descriptors = server.process.descriptors();
    // Once, so that what the process keeps for later is there.
    drop(Raw::open(server.clients));
    let memory = server.process.memory();
    let closed =
        || server.metric("ledgercast_sessions_closed_total{dialect=\"flow\",code=\"1013\",reason=\"inbound_total\"}");
    let begun = [header(FIN | TEXT, 400_000), vec![0; 300_000]].concat();
    let mut senders: Vec<Raw> = (0..60).map(|_| Raw::open(server.clients)).collect();
    let sending: Vec<_> = senders
        .iter_mut()
        .map(|raw| {
            let mut stream = raw.stream.try_clone().unwrap();
            let begun = begun.clone();
            // They wait until the server reads on.
            std::thread::spawn(move || stream.write_all(&begun).is_ok())
        })
        .collect();
    wait_until("enough are closed for the others to have room", || closed() >= 25.0);
    for sender in sending {
        let _ = sender.join();
    }
    assert!(server.process.memory() < memory + (24 << 20), "{memory} {}", server.process.memory());
    // Who sends short messages does not notice, and a long one or one in two parts is taken as well.
    works(&mut other);
    let register = frame(FIN | TEXT, REGISTER.as_bytes());
    other.send(&register[..20]);
    pause(Duration::from_millis(100));
    other.send(&register[20..]);
    assert!(other.next_of(TEXT).text().starts_with(r#"{"type":"registered""#));
    let mut large = Raw::open(server.clients);
    large.send(&frame(FIN | TEXT, &[b' '; 400_000]));
    assert!(large.next_of(TEXT).text().contains("invalid_message"));

    let held = || server.metric("ledgercast_inbound_bytes{worker=\"0\"}");
    // Counts are told once a second.
    wait_until("something is held", || held() > 0.0);
    assert!(held() < 9e6, "{}", held());
    drop(senders);
    wait_until("nothing is held", || held() == 0.0);
    drop((other, large));
    nothing_is_left(&server, descriptors);
}
