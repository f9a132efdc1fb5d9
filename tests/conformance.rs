//! The transport by RFC 6455, held against an echo: what each client sends, and everything it gets.
//!
//! The cases are those of sections 1 to 7 and 10 of the Autobahn suite, by their numbers; the suite
//! itself runs in `tests/autobahn/run.sh`. Here every case is sent in one piece, frame by frame and
//! byte by byte.

use crate::common::raw::{BINARY, CLOSE, FIN, Frame, PING, PONG, REQUEST, Raw, TEXT, close, frame};
use std::net::SocketAddr;
use std::sync::LazyLock;

const CONTINUATION: u8 = 0;

/// One server for all tests of this file.
static SERVER: LazyLock<SocketAddr> = LazyLock::new(|| {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix::System::new().block_on(async {
            let server = crate::echo::start(([127, 0, 0, 1], 0).into()).expect("a free port");
            sender.send(server.listening[0]).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().expect("the server starts")
});

fn open(path: &str) -> Raw {
    let mut raw = Raw::dial(*SERVER);
    raw.send(REQUEST.replacen("/ws", path, 1).as_bytes());
    assert_eq!(raw.head().status, 101);
    raw
}

/// What comes back: an echo, a pong.
fn got(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame { opcode, payload: payload.as_ref().to_vec() }
}

/// Sends the frames in pieces of each kind; `expected` must come, then a close with `code`.
#[track_caller]
fn check(case: &str, frames: &[Vec<u8>], expected: &[Frame], code: Option<u16>) {
    let whole = frames.concat();
    let mut ways = vec![vec![&whole[..]], frames.iter().map(Vec::as_slice).collect()];
    if whole.len() < 2000 {
        ways.push(whole.chunks(1).collect());
    }
    for (way, pieces) in ways.into_iter().enumerate() {
        let mut raw = open("/");
        // Behind a fault the server takes everything and heeds nothing.
        pieces.into_iter().for_each(|piece| raw.send(piece));
        let frames = raw.rest();
        let (last, before) = frames.split_last().unwrap_or_else(|| panic!("{case}, way {way}: nothing came"));
        assert_eq!(last.code(), code, "{case}, way {way}");
        assert!(before == expected, "{case}, way {way}: {} frames, expected {}", before.len(), expected.len());
    }
}

/// The server echoes or pongs, and the client closes in the end.
#[track_caller]
fn fine(case: &str, frames: &[Vec<u8>], expected: &[Frame]) {
    check(case, &[frames, &[close(1000)]].concat(), expected, Some(1000));
}

/// The server fails the connection; what was good before is answered, what comes later is not.
#[track_caller]
fn fails(case: &str, code: u16, frames: &[Vec<u8>], expected: &[Frame]) {
    let later = [frame(FIN | TEXT, b"later"), frame(FIN | PING, b"later")];
    check(case, &[frames, &later].concat(), expected, Some(code));
}

/// A message in fragments of at most this size.
fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let count = payload.len().div_ceil(size).max(1);
    let piece = |at: usize| &payload[at * size..payload.len().min((at + 1) * size)];
    let first = |at: usize| {
        let opcode = if at == 0 { opcode } else { CONTINUATION };
        if at + 1 == count { FIN | opcode } else { opcode }
    };
    (0..count).map(|at| frame(first(at), piece(at))).collect()
}

#[test]
fn framing() {
    for (opcode, section) in [(TEXT, "1.1"), (BINARY, "1.2")] {
        for length in [0, 125, 126, 127, 128, 65_535, 65_536] {
            let byte = if opcode == TEXT { b'*' } else { 0xfe };
            let payload = vec![byte; length];
            fine(&format!("{section}, {length} bytes"), &[frame(FIN | opcode, &payload)], &[got(opcode, &payload)]);
        }
    }
    let payload = vec![b'*'; 65_536];
    fine("10.1.1", &fragments(TEXT, &payload, 1300), &[got(TEXT, &payload)]);
}

#[test]
fn pings_and_pongs() {
    for (case, payload) in
        [("2.1", &b""[..]), ("2.2", b"Hello, world!"), ("2.3", b"\0\xff\xfe\xfd\xfc\xfb\0\xff"), ("2.4", &[0xfe; 125])]
    {
        fine(case, &[frame(FIN | PING, payload)], &[got(PONG, payload)]);
    }
    fails("2.5", 1002, &[frame(FIN | PING, &[0xfe; 126])], &[]);
    fine("2.7", &[frame(FIN | PONG, b"")], &[]);
    fine("2.8", &[frame(FIN | PONG, b"unsolicited")], &[]);
    fine("2.9", &[frame(FIN | PONG, b"unsolicited"), frame(FIN | PING, b"asked")], &[got(PONG, b"asked")]);
    let payloads: Vec<String> = (0..10).map(|at| format!("payload-{at}")).collect();
    let pings: Vec<_> = payloads.iter().map(|payload| frame(FIN | PING, payload.as_bytes())).collect();
    let pongs: Vec<_> = payloads.iter().map(|payload| got(PONG, payload)).collect();
    fine("2.10, 2.11", &pings, &pongs);
}

#[test]
fn reserved_bits_and_opcodes() {
    let hello = || frame(FIN | TEXT, b"Hello, world!");
    let echo = [got(TEXT, b"Hello, world!")];
    for (case, first) in [
        ("3.1", 0x40 | TEXT),
        ("3.2", 0x20 | TEXT),
        ("3.3", 0x30 | TEXT),
        ("3.4", 0x40 | TEXT),
        ("3.5", 0x50 | BINARY),
        ("3.6", 0x60 | PING),
        ("3.7", 0x70 | CLOSE),
        ("4.1.1", 3),
        ("4.1.2", 4),
        ("4.1.3", 5),
        ("4.1.4", 6),
        ("4.1.5", 7),
        ("4.2.1", 11),
        ("4.2.2", 12),
        ("4.2.3", 13),
        ("4.2.4", 14),
        ("4.2.5", 15),
    ] {
        for payload in [&b""[..], b"\x03\xe8"] {
            fails(case, 1002, &[frame(FIN | first, payload)], &[]);
            fails(case, 1002, &[hello(), frame(FIN | first, payload)], &echo);
        }
    }
}

#[test]
fn fragmentation() {
    let (one, two) = (b"fragment1", b"fragment2");
    let both = [got(TEXT, b"fragment1fragment2")];
    let ping = || frame(FIN | PING, b"ping payload");
    let pong = got(PONG, b"ping payload");
    fails("5.1", 1002, &[frame(PING, one), frame(FIN, two)], &[]);
    fails("5.2", 1002, &[frame(PONG, one), frame(FIN, two)], &[]);
    fine("5.3 to 5.5", &[frame(TEXT, one), frame(FIN, two)], &both);
    fine("5.6 to 5.8", &[frame(TEXT, one), ping(), frame(FIN, two)], &[pong.clone(), both[0].clone()]);
    fails("5.9 to 5.11", 1002, &[frame(FIN, one), frame(FIN | TEXT, b"Hello")], &[]);
    fails("5.12 to 5.14", 1002, &[frame(CONTINUATION, one), frame(FIN | TEXT, b"Hello")], &[]);
    // Answered up to the fault, also when all of it came at once.
    fails("5.15", 1002, &[frame(TEXT, one), frame(FIN, two), frame(0, b"fragment3"), frame(TEXT, b"fragment4")], &both);
    fails("5.16", 1002, &[frame(CONTINUATION, one), frame(TEXT, two), frame(FIN, b"fragment3")], &[]);
    fails("5.17", 1002, &[frame(FIN, one), frame(TEXT, two), frame(FIN, b"fragment3")], &[]);
    fails("5.18", 1002, &[frame(TEXT, one), frame(FIN | TEXT, two)], &[]);
    let pieces: Vec<_> = (1..=5).map(|at| format!("fragment{at}")).collect();
    let between = [
        frame(TEXT, pieces[0].as_bytes()),
        frame(CONTINUATION, pieces[1].as_bytes()),
        frame(FIN | PING, b"pongme 1!"),
        frame(CONTINUATION, pieces[2].as_bytes()),
        frame(CONTINUATION, pieces[3].as_bytes()),
        frame(FIN | PING, b"pongme 2!"),
        frame(FIN, pieces[4].as_bytes()),
    ];
    let expected = [got(PONG, b"pongme 1!"), got(PONG, b"pongme 2!"), got(TEXT, pieces.concat())];
    fine("5.19, 5.20", &between, &expected);
    fine("6.1.1 to 6.1.3", &fragments(TEXT, b"", 1), &[got(TEXT, b"")]);
    fine("6.1.2", &[frame(TEXT, b""), frame(0, b""), frame(FIN, b"")], &[got(TEXT, b"")]);
    fine("6.1.3", &[frame(TEXT, b""), frame(0, b"middle"), frame(FIN, b"")], &[got(TEXT, b"middle")]);
}

#[test]
fn text_is_utf_8() {
    let greek = "Hello-µ@ßöäüàá-UTF-8!!";
    for (case, text) in [
        ("6.2", greek),
        ("6.5, 6.6", "κόσμε"),
        ("6.7", "\u{0}\u{80}\u{800}\u{10000}"),
        ("6.9", "\u{7f}\u{7ff}\u{ffff}\u{10ffff}"),
        ("6.11", "\u{d7ff}\u{e000}\u{fffd}\u{10ffff}"),
        ("6.22", "\u{fffe}\u{ffff}\u{1fffe}\u{1ffff}\u{10fffe}"),
        ("6.23", "\u{fff9}\u{fffa}\u{fffb}\u{fffc}\u{fffd}"),
    ] {
        fine(case, &[frame(FIN | TEXT, text.as_bytes())], &[got(TEXT, text)]);
        fine(case, &fragments(TEXT, text.as_bytes(), 1), &[got(TEXT, text)]);
    }
    for (case, bytes) in [
        ("6.3", &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"[..]),
        ("6.6.1", b"\xce"),
        ("6.6.8", b"\xce\xba\xe1\xbd"),
        ("6.8.1", b"\xf8\x88\x80\x80\x80"),
        ("6.8.2", b"\xfc\x84\x80\x80\x80\x80"),
        ("6.10.1", b"\xf7\xbf\xbf\xbf"),
        ("6.12.1", b"\x80"),
        ("6.12.8", b"\xbf\x80\xbf"),
        ("6.13", b"\xc0 \xc1 "),
        ("6.14", b"\xe0\x80"),
        ("6.14.10", b"\xfd\xbf\xbf\xbf\xbf"),
        ("6.15", b"\xc0\xe0\x80\xf0\x80\x80"),
        ("6.16", b"\xfe\xff"),
        ("6.17", b"\xc0\xaf"),
        ("6.18", b"\xf0\x8f\xbf\xbf"),
        ("6.19", b"\xe0\x80\x80"),
        ("6.20", b"\xed\xa0\x80"),
        ("6.21", b"\xed\xa0\x80\xed\xb0\x80"),
        ("6.22 beyond", b"\xf4\x90\x80\x80"),
    ] {
        fails(case, 1007, &[frame(FIN | TEXT, bytes)], &[]);
        fails(case, 1007, &fragments(TEXT, bytes, 1), &[]);
        // As bytes it is none of our business.
        fine(case, &[frame(FIN | BINARY, bytes)], &[got(BINARY, bytes)]);
    }
    // At once, not at the end of the message: 6.4.1 in fragments, 6.4.3 inside a frame.
    let bad = b"\xce\xba\xf4\x90";
    let mut raw = open("/");
    raw.send(&frame(TEXT, bad));
    assert_eq!(raw.next().code(), Some(1007), "6.4.1");
    let mut raw = open("/");
    let unfinished = frame(FIN | TEXT, &[&bad[..], b"more"].concat());
    raw.send(&unfinished[..unfinished.len() - 4]);
    assert_eq!(raw.next().code(), Some(1007), "6.4.3");
}

#[test]
fn closing() {
    let with = |code: u16, reason: &[u8]| frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat());
    let hello = frame(FIN | TEXT, b"Hello World!");
    let echo = [got(TEXT, b"Hello World!")];
    check("7.1.1", &[hello.clone(), close(1000)], &echo, Some(1000));
    check("7.1.2", &[close(1000), close(1000)], &[], Some(1000));
    check("7.1.3", &[close(1000), frame(FIN | PING, b"")], &[], Some(1000));
    check("7.1.4", &[close(1000), hello.clone()], &[], Some(1000));
    check("7.1.5", &[frame(TEXT, b"fragment1"), close(1000), frame(FIN, b"fragment2")], &[], Some(1000));
    check("7.3.1", &[frame(FIN | CLOSE, b"")], &[], None);
    check("7.3.2", &[frame(FIN | CLOSE, b"a")], &[], Some(1002));
    check("7.3.4", &[with(1000, b"Hello World!")], &[], Some(1000));
    check("7.3.5", &[with(1000, &[b'*'; 123])], &[], Some(1000));
    check("7.3.6", &[with(1000, &[b'*'; 124])], &[], Some(1002));
    check("7.5.1", &[with(1000, b"\xce\xba\xed\xa0\x80edited")], &[], Some(1007));
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        check("7.7", &[with(code, b"")], &[], Some(code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        check("7.9, 7.13", &[with(code, b"")], &[], Some(1002));
        check("with an echo before it", &[hello.clone(), with(code, b"")], &echo, Some(1002));
    }
}

#[test]
fn a_panic_ends_its_own_session_alone() {
    let mut others: Vec<Raw> = (0..20).map(|_| open("/panic")).collect();
    for _ in 0..20 {
        let mut raw = open("/panic");
        // What was queued dies with the session.
        raw.text("panic");
        assert_eq!(raw.rest(), []);
        for other in &mut others {
            other.text("well?");
            assert_eq!(other.next().text(), "well?");
        }
    }
    let mut raw = open("/");
    raw.text("panic");
    assert_eq!(raw.next().text(), "panic");
}
