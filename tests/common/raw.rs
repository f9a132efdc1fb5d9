//! A WebSocket client that can do everything wrong: its own handshake and its own frames.

use super::PATIENCE;
use super::http::Answer;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
/// The last fragment.
pub const FIN: u8 = 0x80;

/// A good request.
pub const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// One connection.
pub struct Raw {
    pub stream: TcpStream,
    /// Read and not yet taken.
    buffer: Vec<u8>,
}

/// A frame from the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn text(&self) -> &str {
        assert_eq!(self.opcode, TEXT, "{self:?}");
        std::str::from_utf8(&self.payload).expect("text frames are UTF-8")
    }

    /// A close frame's code.
    pub fn code(&self) -> Option<u16> {
        assert_eq!(self.opcode, CLOSE, "{self:?}");
        self.payload.first_chunk().map(|code| u16::from_be_bytes(*code))
    }
}

/// A client's frame with `first` as its first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0xa5, 0x5a, 0xee];
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame's header up to the mask, for any length.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(0x80 | length as u8),
        126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes
}

/// A close frame's payload.
pub fn close(code: u16) -> Vec<u8> {
    frame(FIN | CLOSE, &code.to_be_bytes())
}

impl Raw {
    /// Only TCP.
    pub fn dial(address: SocketAddr) -> Raw {
        Raw::over(TcpStream::connect_timeout(&address, PATIENCE).expect("the server listens"))
    }

    /// Only TCP, and so little room that a client that does not read stops the server at once.
    pub fn dial_small(address: SocketAddr) -> Raw {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect_timeout(&address.into(), PATIENCE).expect("the server listens");
        Raw::over(socket.into())
    }

    fn over(stream: TcpStream) -> Raw {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Raw { stream, buffer: Vec::new() }
    }

    /// A WebSocket whose welcome has been read.
    pub fn open(address: SocketAddr) -> Raw {
        Raw::dial(address).upgraded()
    }

    pub fn open_small(address: SocketAddr) -> Raw {
        Raw::dial_small(address).upgraded()
    }

    fn upgraded(mut self) -> Raw {
        self.send(REQUEST.as_bytes());
        let answer = self.head();
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(self.next().text(), super::client::WELCOME);
        self
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    /// Sends what the server may refuse to read to its end.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub fn text(&mut self, text: &str) {
        self.send(&frame(FIN | TEXT, text.as_bytes()));
    }

    /// Reads more; false at the end of the connection or of the time.
    fn fill(&mut self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut bytes = [0; 16 << 10];
        match self.stream.read(&mut bytes) {
            Ok(count) if count > 0 => {
                self.buffer.extend_from_slice(&bytes[..count]);
                true
            }
            _ => false,
        }
    }

    /// An HTTP answer, with as much body as it says it has.
    pub fn head(&mut self) -> Answer {
        let until = Instant::now() + PATIENCE;
        let end = |buffer: &[u8]| buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        loop {
            if let Some(end) = end(&self.buffer) {
                let answer = Answer::parse(&self.buffer[..end]);
                let body = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
                if self.buffer.len() >= end + body {
                    let answer = Answer::parse(&self.buffer[..end + body]);
                    self.buffer.drain(..end + body);
                    return answer;
                }
            }
            assert!(self.fill(until), "no whole answer: {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// The status of an HTTP answer, with what follows left unread; `None`: nothing came within this time.
    pub fn status_within(&mut self, time: Duration) -> Option<u16> {
        let until = Instant::now() + time;
        while !self.buffer.windows(4).any(|four| four == b"\r\n\r\n") {
            if !self.fill(until) {
                return None;
            }
        }
        Some(self.head().status)
    }

    /// A whole frame out of the buffer.
    fn take(&mut self) -> Option<Frame> {
        let [first, second, rest @ ..] = &self.buffer[..] else { return None };
        assert_eq!(first & 0x70, 0, "reserved bits");
        assert_eq!(first & FIN, FIN, "the server sends whole messages");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let (length, header) = match second {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*rest.first_chunk()?) as usize, 10),
            length => (usize::from(*length), 2),
        };
        let opcode = first & 0x0f;
        let payload = self.buffer.get(header..header + length)?.to_vec();
        self.buffer.drain(..header + length);
        Some(Frame { opcode, payload })
    }

    /// The next frame; `None` when there is none within this time, or the connection ended after a
    /// whole one.
    pub fn next_within(&mut self, time: Duration) -> Option<Frame> {
        let until = Instant::now() + time;
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            if !self.fill(until) {
                return None;
            }
        }
    }

    pub fn next(&mut self) -> Frame {
        self.next_within(PATIENCE).expect("a frame comes")
    }

    /// The next frame of this kind.
    pub fn next_of(&mut self, opcode: u8) -> Frame {
        loop {
            let frame = self.next();
            if frame.opcode == opcode {
                return frame;
            }
        }
    }

    /// All whole frames up to the end of the connection, wherever that is.
    pub fn whole_frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next_within(PATIENCE) {
            frames.push(frame);
        }
        frames
    }

    /// Everything up to the end of the connection, which must be between two frames.
    pub fn rest(&mut self) -> Vec<Frame> {
        let frames = self.whole_frames();
        assert!(self.buffer.is_empty(), "the connection ends inside a frame: {} bytes", self.buffer.len());
        frames
    }

    /// The code of the close frame, which must be the last thing that comes; the connection ends
    /// when we have shut our side.
    pub fn closed(&mut self) -> Option<u16> {
        let _ = self.stream.shutdown(Shutdown::Write);
        let frames = self.rest();
        let last = frames.last().expect("a close frame comes");
        last.code()
    }
}
