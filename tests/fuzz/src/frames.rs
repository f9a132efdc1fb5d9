//! What the server sends, read back.

use serde_json::Value;

/// The JSON objects in whole, unmasked text frames, one after the other.
pub fn messages(bytes: &[u8]) -> Vec<Value> {
    let read = |payload: &[u8]| {
        let message: Value = serde_json::from_slice(payload).expect("a frame holds JSON");
        assert!(message["type"].is_string(), "every message has a type: {message}");
        message
    };
    payloads(bytes).into_iter().map(read).collect()
}

/// What such frames carry.
pub fn payloads(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut payloads = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        assert_eq!(*first, 0x81, "no whole text frame");
        let (length, rest) = match length {
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            126 => (usize::from(u16::from_be_bytes(rest[..2].try_into().unwrap())), &rest[2..]),
            length => (usize::from(*length), rest),
        };
        let (payload, rest) = rest.split_at(length);
        payloads.push(payload);
        bytes = rest;
    }
    assert!(bytes.is_empty(), "a cut frame");
    payloads
}
