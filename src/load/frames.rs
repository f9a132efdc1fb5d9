//! WebSocket frames as a client reads and writes them (RFC 6455, no extensions).
//!
//! A frame that lies whole in what was read is handed on where it lies: nothing is copied and nothing is kept
//! for the connection. Only what is cut, and messages in fragments, wait in a buffer of the connection, which
//! grows with bytes that arrived and is given back afterwards.

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;
/// RFC 6455 5.5: control frames carry at most this much.
const MAX_CONTROL: u64 = 125;
/// Larger messages end the connection: a server must not fill our memory.
pub const MAX_MESSAGE: usize = 1 << 20;
/// A buffer that is larger than this is given back once it is empty.
const KEPT: usize = 4 << 10;

/// What a server sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A whole text message. Not checked to be UTF-8.
    Text(&'a [u8]),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A ping, to be answered with the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// The server closes, with the code it gave.
    Close(Option<u16>),
}

/// What a server did against the protocol. Nothing after it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub &'static str);

/// The reading side of one connection.
#[derive(Debug, Default)]
pub struct Reader {
    /// The beginning of a frame whose rest has not come yet.
    cut: Vec<u8>,
    /// The fragments so far of a message, and its opcode.
    message: Vec<u8>,
    opcode: Option<u8>,
}

#[derive(Clone, Copy)]
struct Header {
    first: u8,
    /// Bytes of the header, and of the whole frame.
    size: usize,
    total: usize,
}

impl Reader {
    /// Reads all of `input` and hands each whole message to `take`. False from `take` ends the reading: what
    /// comes after is of no use.
    pub fn read(&mut self, mut input: &[u8], mut take: impl FnMut(Item<'_>) -> bool) -> Result<bool, Fault> {
        while !input.is_empty() {
            if self.cut.is_empty()
                && let Some(header) = header(input)?
                && input.len() >= header.total
            {
                let (frame, rest) = input.split_at(header.total);
                input = rest;
                if !self.frame(header.first, &frame[header.size..], &mut take)? {
                    return Ok(false);
                }
                continue;
            }
            // One byte at a time until the header is known, then all that is missing at once.
            let missing = match header(&self.cut)? {
                Some(header) => header.total - self.cut.len(),
                None => 1,
            };
            let (more, rest) = input.split_at(missing.min(input.len()));
            self.cut.extend_from_slice(more);
            input = rest;
            if let Some(header) = header(&self.cut)?
                && self.cut.len() == header.total
            {
                let frame = std::mem::take(&mut self.cut);
                let go_on = self.frame(header.first, &frame[header.size..], &mut take)?;
                self.cut = reused(frame);
                if !go_on {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Bytes of memory held.
    pub fn held(&self) -> usize {
        self.cut.capacity() + self.message.capacity()
    }

    fn frame(&mut self, first: u8, payload: &[u8], take: &mut impl FnMut(Item<'_>) -> bool) -> Result<bool, Fault> {
        let last = first & LAST != 0;
        match first & 0x0f {
            PING => return Ok(take(Item::Ping(payload))),
            PONG => return Ok(take(Item::Pong)),
            CLOSE => {
                let code = match payload.split_first_chunk::<2>() {
                    Some((code, _)) => Some(u16::from_be_bytes(*code)),
                    None if payload.is_empty() => None,
                    None => return Err(Fault("close code is cut")),
                };
                return Ok(take(Item::Close(code)));
            }
            opcode @ (TEXT | BINARY) if self.opcode.is_none() => {
                if last {
                    return Ok(take(whole(opcode, payload)));
                }
                self.opcode = Some(opcode);
            }
            CONTINUATION if self.opcode.is_some() => {}
            CONTINUATION => return Err(Fault("continuation of nothing")),
            _ => return Err(Fault("message inside a message")),
        }
        if self.message.len() + payload.len() > MAX_MESSAGE {
            return Err(Fault("message is larger than 1 MiB"));
        }
        self.message.extend_from_slice(payload);
        if !last {
            return Ok(true);
        }
        let opcode = self.opcode.take().unwrap_or(TEXT);
        let message = std::mem::take(&mut self.message);
        let go_on = take(whole(opcode, &message));
        self.message = reused(message);
        Ok(go_on)
    }
}

fn whole(opcode: u8, payload: &[u8]) -> Item<'_> {
    if opcode == TEXT { Item::Text(payload) } else { Item::Binary(payload) }
}

/// An empty buffer with the memory of this one, if that is small.
fn reused(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    if buffer.capacity() > KEPT { Vec::new() } else { buffer }
}

/// `None`: it is not whole yet. Faults are found as early as they can be.
fn header(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let &[first, second, ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(Fault("reserved bits are set"));
    }
    if !matches!(first & 0x0f, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
        return Err(Fault("unknown opcode"));
    }
    if second & MASKED != 0 {
        return Err(Fault("a server's frame is masked"));
    }
    let (size, length) = match second {
        126 => match bytes.get(2..4) {
            Some(length) => (4, u64::from(length[0]) << 8 | u64::from(length[1])),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10) {
            Some(length) => (10, length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))),
            None => return Ok(None),
        },
        length => (2, u64::from(length)),
    };
    if first & 0x08 != 0 && (first & LAST == 0 || length > MAX_CONTROL) {
        return Err(Fault("control frame is fragmented or too long"));
    }
    if length > MAX_MESSAGE as u64 {
        return Err(Fault("message is larger than 1 MiB"));
    }
    Ok(Some(Header { first, size, total: size + length as usize }))
}

/// A text message as clients send it.
pub fn text(payload: &str) -> Vec<u8> {
    masked(LAST | TEXT, payload.as_bytes())
}

/// The answer to a ping.
pub fn pong(payload: &[u8]) -> Vec<u8> {
    masked(LAST | PONG, payload)
}

/// A close frame.
pub fn close(code: u16) -> Vec<u8> {
    masked(LAST | CLOSE, &code.to_be_bytes())
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask: [u8; 4] = rand::random();
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::frame;
    use crate::session::scanner::{self, Limit, Scanner};
    use proptest::prelude::*;

    fn read_in(wire: &[u8], step: usize) -> (Vec<String>, Result<bool, Fault>) {
        let mut reader = Reader::default();
        let mut items = Vec::new();
        for piece in wire.chunks(step) {
            let read = reader.read(piece, |item| {
                items.push(format!("{item:?}"));
                true
            });
            if read != Ok(true) {
                return (items, read);
            }
        }
        assert!(reader.held() <= 2 * wire.len().max(KEPT), "{}", reader.held());
        (items, Ok(true))
    }

    #[test]
    fn faults_are_told() {
        for wire in [
            &[0xc1, 0][..],
            &[0x83, 0],
            &[0x81, 0x81],
            &[0x09, 0],
            &[0x89, 126],
            &[0x80, 1, b'x'],
            &[0x01, 1, b'x', 0x81, 1, b'y'],
            &[0x88, 1, 3],
            &[0x81, 127, 0, 0, 0, 0, 0, 0x10, 0, 1],
            &[0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            let padded = [wire, &[0; 130]].concat();
            for step in [1, 200] {
                assert!(read_in(&padded, step).1.is_err(), "{wire:?}");
            }
        }
    }

    #[test]
    fn fragments_are_bounded() {
        let mut reader = Reader::default();
        let piece = |first: u8| [&[first, 127, 0, 0, 0, 0, 0, 0x08, 0, 0][..], &[b'x'; 1 << 19]].concat();
        assert_eq!(reader.read(&piece(0x01), |_| true), Ok(true));
        assert_eq!(reader.read(&piece(0x00), |_| true), Ok(true));
        assert!(reader.read(&[0x00, 1, b'x'], |_| true).is_err());
    }

    #[test]
    fn who_has_enough_reads_no_more() {
        let wire = [&frame::text("a")[..], &frame::text("b")].concat();
        let mut count = 0;
        let read = Reader::default().read(&wire, |_| {
            count += 1;
            false
        });
        assert_eq!((read, count), (Ok(false), 1));
    }

    /// A message of the server's own encoder, sometimes in fragments with a ping between.
    fn message() -> impl Strategy<Value = (Vec<u8>, Vec<String>)> {
        let of_server =
            (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..400)).prop_map(|(is_text, payload)| {
                if is_text {
                    let text = "y".repeat(payload.len() * 200);
                    (frame::text(&text).to_vec(), vec![format!("{:?}", Item::Text(text.as_bytes()))])
                } else {
                    (frame::binary(&payload).to_vec(), vec![format!("{:?}", Item::Binary(&payload))])
                }
            });
        let in_fragments = "[a-z]{1,60}".prop_map(|text| {
            let (left, right) = text.as_bytes().split_at(text.len() / 2);
            let mut wire = vec![TEXT, left.len() as u8];
            wire.extend_from_slice(left);
            wire.extend_from_slice(&frame::pong(b"p"));
            wire.extend_from_slice(&[LAST | CONTINUATION, right.len() as u8]);
            wire.extend_from_slice(right);
            (wire, vec![format!("{:?}", Item::Pong), format!("{:?}", Item::Text(text.as_bytes()))])
        });
        let closes = (1000u16..1015).prop_map(|code| {
            (frame::close(Some(code), "why").to_vec(), vec![format!("{:?}", Item::Close(Some(code)))])
        });
        prop_oneof![of_server, in_fragments, closes]
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(messages in proptest::collection::vec(message(), 1..6), step in 1usize..9000) {
            let wire = messages.iter().map(|(wire, _)| &wire[..]).collect::<Vec<_>>().concat();
            let expected: Vec<String> = messages.into_iter().flat_map(|(_, items)| items).collect();
            prop_assert_eq!(read_in(&wire, step), (expected, Ok(true)));
        }

        #[test]
        fn any_bytes_are_safe(wire in proptest::collection::vec(any::<u8>(), 0..300), step in 1usize..40) {
            prop_assert_eq!(read_in(&wire, step), read_in(&wire, 1000));
        }

        /// What we send, the server's own scanner reads.
        #[test]
        fn the_server_reads_what_we_write(payload in ".{0,300}", long in 0usize..70_000) {
            let payload = payload + &"x".repeat(long);
            let limit = Limit { max_message: 1 << 20, discard_up_to: 0 };
            let read = |wire: Vec<u8>| Scanner::default().next(&mut &wire[..], limit);
            prop_assert_eq!(read(text(&payload)), Ok(Some(scanner::Item::Text(payload.clone()))));
            let small = &payload.as_bytes()[..payload.len().min(125)];
            prop_assert_eq!(read(pong(small)), Ok(Some(scanner::Item::Pong)));
            prop_assert_eq!(read(close(1000)), Ok(Some(scanner::Item::Close(Some(1000)))));
        }
    }
}
