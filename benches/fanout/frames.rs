//! What a client of the bench reads: frames out of bytes, and of each ledger how many, how large
//! and when.

/// First bytes of frames that servers send.
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;

/// A ledger as one client read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub ledger: u32,
    pub frames: u32,
    pub bytes: u32,
    /// When its last frame was read, on the monotonic clock.
    pub read_nanos: u64,
}

/// What one client has read. Content is judged by count, length and ledger number: as much as costs
/// next to nothing, so that the client is not what is measured.
#[derive(Debug, Default)]
pub struct Stream {
    /// Whether `registered` came.
    pub registered: bool,
    pub seen: Vec<Seen>,
    /// The beginning of a frame that was not read whole.
    pub rest: Vec<u8>,
    pub closed: bool,
}

/// What came of some bytes.
#[derive(Debug, Default)]
pub struct Read {
    /// Event frames.
    pub frames: u64,
    pub bytes: u64,
    /// Whether a pong is due.
    pub pinged: bool,
}

impl Stream {
    /// Takes all whole frames and keeps what is left.
    pub fn take(&mut self, bytes: &[u8], now: u64) -> Read {
        let (mut at, mut read) = (0, Read::default());
        while let Some((start, end)) = frame(&bytes[at..]) {
            let (first, payload) = (bytes[at], &bytes[at + start..at + end]);
            at += end;
            match first {
                TEXT if self.registered => {
                    self.event(payload, end as u32, now);
                    read.frames += 1;
                    read.bytes += end as u64;
                }
                TEXT => self.registered = payload.starts_with(br#"{"type":"registered""#),
                PING => read.pinged = true,
                CLOSE => self.closed = true,
                _ => {}
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(&bytes[at..]);
        read
    }

    fn event(&mut self, payload: &[u8], length: u32, now: u64) {
        let ledger = ledger_of(payload);
        match self.seen.last_mut() {
            Some(last) if last.ledger == ledger => {
                last.frames += 1;
                last.bytes += length;
                last.read_nanos = now;
            }
            _ => self.seen.push(Seen { ledger, frames: 1, bytes: length, read_nanos: now }),
        }
    }
}

/// Where the payload of the first frame begins and ends, if it is whole.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (start, length) = match *bytes.get(1)? {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        length => (2, length.into()),
    };
    (bytes.len() >= start + length).then_some((start, start + length))
}

/// Calls back with each whole text; how many bytes they took.
pub fn texts(bytes: &[u8], mut each: impl FnMut(&str)) -> usize {
    let mut at = 0;
    while let Some((start, end)) = frame(&bytes[at..]) {
        if bytes[at] == TEXT {
            each(&String::from_utf8_lossy(&bytes[at + start..at + end]));
        }
        at += end;
    }
    at
}

/// Where the number of an event's ledger begins. Every event names it, soon after its type and id.
pub fn ledger_at(payload: &[u8]) -> Option<usize> {
    const KEY: &[u8] = br#""ledger":"#;
    // The key stands behind a type and an id, so looking at every quote is as quick as anything.
    let quotes = payload.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(at, _)| at);
    quotes.take(40).find(|at| payload[*at..].starts_with(KEY)).map(|at| at + KEY.len())
}

fn ledger_of(payload: &[u8]) -> u32 {
    let digits = ledger_at(payload).map_or(&[][..], |at| &payload[at..]);
    digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// A text frame as servers send it.
pub fn encoded(text: &str) -> Vec<u8> {
    let mut frame = vec![TEXT];
    match text.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=65_535 => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}
