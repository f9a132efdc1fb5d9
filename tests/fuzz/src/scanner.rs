//! The frame scanner: what it reads does not depend on how the bytes were cut, and what it holds not
//! on what a header claims.

use ledgercast::session::scanner::{Fault, Item, Limit, Scanner};

/// The first byte chooses the limits, the second how the bytes are cut; the rest is the wire.
pub fn run(data: &[u8]) {
    let [limits, cut, wire @ ..] = data else { return };
    let max_message = [0, 1, 125, 1000, 1 << 16][usize::from(limits % 5)];
    let limit = Limit { max_message, discard_up_to: if limits & 0x80 == 0 { 0 } else { 2 * max_message + 7 } };
    let whole = scan([wire], limit);
    assert_eq!(whole, scan(wire.chunks(1), limit), "byte by byte");
    assert_eq!(whole, scan(wire.chunks(usize::from(*cut).max(1)), limit), "in pieces of {cut}");

    for item in &whole.0 {
        match item {
            Item::Text(text) => assert!(text.len() <= max_message),
            Item::Binary(bytes) => assert!(bytes.len() <= max_message),
            Item::Ping(bytes) => assert!(bytes.len() <= 125),
            Item::Discarded(size) => {
                assert!(*size > max_message as u64 && *size <= limit.discard_up_to as u64);
            }
            Item::Close(code) => assert!(code.is_none_or(|code| (1000..5000).contains(&code))),
            Item::Pong => {}
        }
    }
}

fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: Limit) -> (Vec<Item>, Result<(), Fault>) {
    let mut scanner = Scanner::default();
    let (mut items, mut arrived) = (Vec::new(), 0);
    for piece in pieces {
        arrived += piece.len();
        let mut input = piece;
        loop {
            let before = input.len();
            match scanner.next(&mut input, limit) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(fault) => return (items, Err(fault)),
            }
            assert!(input.len() < before, "an item out of nothing");
        }
        assert!(input.is_empty(), "bytes were left unread");
        // A vector may have doubled, and a control frame may stand inside a message.
        let most = limit.max_message.min(arrived);
        assert!(scanner.held() <= 2 * most + 256 + 16, "{} bytes for {most}", scanner.held());
    }
    (items, Ok(()))
}
