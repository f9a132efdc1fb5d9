//! WebSocket frames as the server sends them: whole messages, unmasked, header included.

use bytes::Bytes;
use std::cell::Cell;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// A control frame holds 125 bytes, the code takes two.
const MAX_REASON: usize = 123;
/// The longest header: two bytes and a 64-bit length.
const LONGEST_HEADER: usize = 10;
/// Memory that a thread keeps for writing frames: many times an ordinary event.
const KEPT_SCRATCH: usize = 64 << 10;

/// One text message.
pub fn text(payload: &str) -> Bytes {
    whole(TEXT, payload.as_bytes())
}

/// One text message whose payload, of about `room` bytes, `write` appends. For large ones: nothing is copied after it.
pub fn text_of(room: usize, write: impl FnOnce(&mut String)) -> Bytes {
    let mut message = String::with_capacity(LONGEST_HEADER + room);
    // The header's length follows the payload's: room for the longest, of which the beginning is cut off afterwards.
    message.extend(std::iter::repeat_n('\0', LONGEST_HEADER));
    write(&mut message);
    let mut message = message.into_bytes();
    let (header, used) = header(TEXT, message.len() - LONGEST_HEADER);
    let start = LONGEST_HEADER - used;
    message[start..LONGEST_HEADER].copy_from_slice(&header[..used]);
    Bytes::from(message).slice(start..)
}

/// One binary message.
pub fn binary(payload: &[u8]) -> Bytes {
    whole(BINARY, payload)
}

/// A ping without a payload.
pub const EMPTY_PING: Bytes = Bytes::from_static(&[PING, 0]);

/// The answer to a ping with this payload.
pub fn pong(payload: &[u8]) -> Bytes {
    whole(PONG, payload)
}

/// A close frame. Without a code it is empty. The reason is cut to what a control frame holds.
pub fn close(code: Option<u16>, reason: &str) -> Bytes {
    let mut payload = Vec::new();
    if let Some(code) = code {
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(MAX_REASON)]);
    }
    whole(CLOSE, &payload)
}

fn whole(first: u8, payload: &[u8]) -> Bytes {
    let (header, used) = header(first, payload.len());
    [&header[..used], payload].concat().into()
}

/// A header, and how many bytes of it count.
fn header(first: u8, length: usize) -> ([u8; LONGEST_HEADER], usize) {
    let mut header = [0; LONGEST_HEADER];
    header[0] = first;
    let used = match length {
        0..=125 => {
            header[1] = length as u8;
            2
        }
        126..=0xffff => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&(length as u64).to_be_bytes());
            LONGEST_HEADER
        }
    };
    (header, used)
}

/// Where a renderer writes its frames: zero or more text messages, one after the other.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    count: u32,
}

impl Frames {
    /// Appends one text message whose payload `write` makes.
    ///
    /// The payload must be UTF-8; JSON writers give nothing else.
    pub fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        // The header's length follows the payload's: room for the longest, closed up afterwards.
        self.bytes.resize(start + LONGEST_HEADER, 0);
        write(&mut self.bytes);
        let length = self.bytes.len() - start - LONGEST_HEADER;
        let (header, used) = header(TEXT, length);
        let unused = LONGEST_HEADER - used;
        self.bytes[start + unused..start + LONGEST_HEADER].copy_from_slice(&header[..used]);
        self.bytes.drain(start..start + unused);
        self.count += 1;
    }

    /// How many messages were written.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// All of them, ready for the socket, in memory of just their size.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.bytes)
    }

    /// What `write` writes, and how many messages it is. It writes into memory of the thread, which is kept
    /// for the next time, so that a frame costs one allocation of just its size.
    pub fn collect(write: impl FnOnce(&mut Frames)) -> (Bytes, u32) {
        thread_local! {
            static SCRATCH: Cell<Frames> = Cell::default();
        }
        let mut frames = SCRATCH.take();
        write(&mut frames);
        let written = (frames.to_bytes(), frames.count);
        if frames.bytes.capacity() <= KEPT_SCRATCH {
            frames.bytes.clear();
            frames.count = 0;
            SCRATCH.set(frames);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_by_length() {
        for (length, header) in
            [(0, &[0x81, 0][..]), (125, &[0x81, 125]), (126, &[0x81, 126, 0, 126]), (65_535, &[0x81, 126, 255, 255])]
        {
            let payload = "x".repeat(length);
            let mut expected = header.to_vec();
            expected.extend_from_slice(payload.as_bytes());
            assert_eq!(text(&payload), expected, "{length}");
            assert_eq!(text_of(0, |message| message.push_str(&payload)), expected, "{length}");
            let mut frames = Frames::default();
            frames.text(|bytes| bytes.extend_from_slice(payload.as_bytes()));
            assert_eq!(frames.to_bytes(), expected, "{length}");
        }
        assert_eq!(text(&"x".repeat(65_536))[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_long_message_stays_where_it_was_written() {
        let mut written = std::ptr::null();
        let frame = text_of(100_000, |message| {
            message.extend(std::iter::repeat_n('x', 70_000));
            written = message[LONGEST_HEADER..].as_ptr();
        });
        assert_eq!(frame[10..].as_ptr(), written);
    }

    #[test]
    fn several_messages_stand_one_after_the_other() {
        let mut frames = Frames::default();
        frames.text(|bytes| bytes.push(b'a'));
        frames.text(|bytes| bytes.extend_from_slice(b"bc"));
        assert_eq!(frames.count(), 2);
        assert_eq!(&frames.to_bytes()[..], b"\x81\x01a\x81\x02bc");
    }
}
