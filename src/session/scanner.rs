//! Reads WebSocket frames off the wire: every header is judged before a byte of its payload is
//! kept, and memory grows only with bytes that arrived, never with what a header claims.
//!
//! Follows RFC 6455 without extensions. Faults carry the close code they deserve.

use bytes::Bytes;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// RFC 6455 5.5: control frames carry at most this much.
const MAX_CONTROL: u64 = 125;
/// Two bytes, a 64-bit length, a mask.
const LONGEST_HEADER: usize = 14;

/// How large a message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Bytes kept of one message, over all its fragments.
    pub max_message: usize,
    /// Larger ones, up to this size, are read past and reported; beyond it they are a fault.
    pub discard_up_to: usize,
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Bytes),
    /// A ping, to be answered with the same payload.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The client closes, with the code it gave.
    Close(Option<u16>),
    /// A message of this size was read past.
    Discarded(u64),
}

/// What a client did wrong. Nothing after it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not the protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// Text that is no UTF-8.
    #[error("text is not valid UTF-8")]
    BadText,
    /// Over the limit.
    #[error("message is larger than the limit")]
    TooBig,
    /// What clients have begun to send and not ended is too much together, and this one has been at it the longest.
    #[error("too many long messages are under way; send it again later")]
    Crowded,
}

impl Fault {
    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Protocol(_) => "protocol",
            Fault::BadText => "bad_text",
            Fault::TooBig => "too_big",
            Fault::Crowded => "inbound_total",
        }
    }

    /// The close code it deserves.
    pub const fn code(self) -> u16 {
        match self {
            Fault::Protocol(_) => 1002,
            Fault::BadText => 1007,
            Fault::TooBig => 1009,
            Fault::Crowded => 1013,
        }
    }
}

/// The reading side of one connection. Small while nothing is under way.
#[derive(Debug, Default)]
pub struct Scanner {
    under_way: Option<Box<UnderWay>>,
}

/// A header or a message that has not ended yet.
#[derive(Debug, Default)]
struct UnderWay {
    header: [u8; LONGEST_HEADER],
    header_filled: usize,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The message whose fragments are being read: its opcode.
    message: Option<u8>,
    payload: Vec<u8>,
    /// Bytes of the message so far, kept or not.
    message_size: u64,
    /// How much of `payload` is known to be UTF-8.
    checked: usize,
    control: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    last: bool,
    opcode: u8,
    mask: [u8; 4],
    length: u64,
    read: u64,
}

impl Scanner {
    /// Memory held for a message under way, bytes: what grows with what a client sends.
    pub fn held(&self) -> usize {
        self.under_way.as_ref().map_or(0, |state| state.payload.capacity() + state.control.capacity())
    }

    /// Reads on in `input`, and takes from it what it has read. `None`: all of it was read and no
    /// message is complete.
    pub fn next(&mut self, input: &mut &[u8], limit: Limit) -> Result<Option<Item>, Fault> {
        if input.is_empty() && self.under_way.is_none() {
            return Ok(None);
        }
        let mut state = self.under_way.take().unwrap_or_default();
        let item = loop {
            let Some(mut frame) = state.frame else {
                match state.read_header(input)? {
                    Some(frame) => {
                        state.accept(&frame, limit)?;
                        state.frame = Some(frame);
                        continue;
                    }
                    None => break None,
                }
            };
            let available = input.len().min(usize::try_from(frame.length - frame.read).unwrap_or(usize::MAX));
            let (bytes, rest) = input.split_at(available);
            *input = rest;
            state.keep(&frame, bytes, limit)?;
            frame.read += available as u64;
            if frame.read < frame.length {
                state.frame = Some(frame);
                break None;
            }
            state.frame = None;
            if let Some(item) = state.finish(&frame, limit)? {
                break Some(item);
            }
        };
        if !state.is_idle() {
            self.under_way = Some(state);
        }
        Ok(item)
    }
}

impl UnderWay {
    fn is_idle(&self) -> bool {
        self.header_filled == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Collects a header; `None` while it is not complete.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Fault> {
        loop {
            let needed = match self.header_filled {
                0 | 1 => 2,
                _ => match self.header[1] & 0x7f {
                    126 => 8,
                    127 => 14,
                    _ => 6,
                },
            };
            if self.header_filled == needed {
                break;
            }
            let Some((byte, rest)) = input.split_first() else { return Ok(None) };
            self.header[self.header_filled] = *byte;
            self.header_filled += 1;
            *input = rest;
            // Judged as soon as they are here: a bad first byte must not wait for a length.
            match self.header_filled {
                1 if byte & 0x70 != 0 => return Err(Fault::Protocol("reserved bits are set")),
                1 if !matches!(byte & 0x0f, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) => {
                    return Err(Fault::Protocol("unknown opcode"));
                }
                2 if byte & 0x80 == 0 => return Err(Fault::Protocol("frame is not masked")),
                _ => {}
            }
        }
        let header = &self.header[..self.header_filled];
        let (length_bytes, mask) = header[2..].split_at(header.len() - 6);
        let length = match length_bytes {
            [] => u64::from(header[1] & 0x7f),
            bytes => bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        if length >> 63 != 0 {
            return Err(Fault::Protocol("length is negative"));
        }
        let mask = [mask[0], mask[1], mask[2], mask[3]];
        let frame = Frame { last: header[0] & 0x80 != 0, opcode: header[0] & 0x0f, mask, length, read: 0 };
        self.header_filled = 0;
        Ok(Some(frame))
    }

    /// Whether the frame may come now, and be as long as it says.
    fn accept(&mut self, frame: &Frame, limit: Limit) -> Result<(), Fault> {
        if frame.opcode >= CLOSE {
            if !frame.last || frame.length > MAX_CONTROL {
                return Err(Fault::Protocol("control frame is fragmented or too long"));
            }
            self.control.clear();
            return Ok(());
        }
        match (frame.opcode, self.message) {
            (CONTINUATION, None) => return Err(Fault::Protocol("continuation of nothing")),
            (TEXT | BINARY, Some(_)) => return Err(Fault::Protocol("message inside a message")),
            (CONTINUATION, Some(_)) => {}
            (opcode, None) => self.message = Some(opcode),
            _ => {}
        }
        self.message_size += frame.length;
        if self.message_size > limit.discard_up_to.max(limit.max_message) as u64 {
            return Err(Fault::TooBig);
        }
        if self.message_size > limit.max_message as u64 {
            // Read past from here on; what was kept of it is of no use.
            self.payload = Vec::new();
        }
        Ok(())
    }

    fn keep(&mut self, frame: &Frame, bytes: &[u8], limit: Limit) -> Result<(), Fault> {
        let control = frame.opcode >= CLOSE;
        if !control && self.message_size > limit.max_message as u64 {
            return Ok(());
        }
        let target = if control { &mut self.control } else { &mut self.payload };
        let start = target.len();
        target.extend_from_slice(bytes);
        let shift = (frame.read % 4) as usize;
        for (at, byte) in target[start..].iter_mut().enumerate() {
            *byte ^= frame.mask[(at + shift) % 4];
        }
        if !control && self.message == Some(TEXT) {
            self.check_text(false)?;
        }
        Ok(())
    }

    /// Judges text as it comes, so that garbage is refused before a large message is complete.
    fn check_text(&mut self, complete: bool) -> Result<(), Fault> {
        match std::str::from_utf8(&self.payload[self.checked..]) {
            Ok(_) => self.checked = self.payload.len(),
            // A character may go on in the next bytes.
            Err(error) if error.error_len().is_none() && !complete => self.checked += error.valid_up_to(),
            Err(_) => return Err(Fault::BadText),
        }
        Ok(())
    }

    fn finish(&mut self, frame: &Frame, limit: Limit) -> Result<Option<Item>, Fault> {
        match frame.opcode {
            PING => return Ok(Some(Item::Ping(std::mem::take(&mut self.control).into()))),
            PONG => return Ok(Some(Item::Pong)),
            CLOSE => return close_code(&self.control).map(|code| Some(Item::Close(code))),
            _ if !frame.last => return Ok(None),
            _ => {}
        }
        let opcode = self.message.take();
        let size = std::mem::take(&mut self.message_size);
        let discarded = size > limit.max_message as u64;
        if opcode == Some(TEXT) && !discarded {
            self.check_text(true)?;
        }
        self.checked = 0;
        let payload = std::mem::take(&mut self.payload);
        Ok(Some(match opcode {
            _ if discarded => Item::Discarded(size),
            Some(TEXT) => Item::Text(String::from_utf8(payload).map_err(|_| Fault::BadText)?),
            _ => Item::Binary(payload.into()),
        }))
    }
}

/// RFC 6455 7.4: a code that may stand in a close frame, and a reason that is text.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Fault> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(Fault::Protocol("close code is cut")) };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Fault::Protocol("close code is not allowed"));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(Fault::BadText);
    }
    Ok(Some(code))
}

#[cfg(test)]
mod tests;
