//! RLP, the form in which Ethereum hashes things: byte strings and lists of them.

use alloy_primitives::U256;
use alloy_primitives::ruint::UintTryFrom;

/// A list under construction.
#[derive(Default)]
pub(super) struct List(Vec<u8>);

impl List {
    /// A byte string.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        match bytes {
            [byte @ 0..0x80] => self.0.push(*byte),
            _ => {
                head(&mut self.0, 0x80, bytes.len());
                self.0.extend_from_slice(bytes);
            }
        }
        self
    }

    /// A number: its bytes without zeros before them.
    pub fn number<T>(self, number: T) -> Self
    where
        U256: UintTryFrom<T>,
    {
        let bytes: [u8; 32] = U256::from(number).to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        self.bytes(&bytes[zeros..])
    }

    /// A list within.
    pub fn list(mut self, list: List) -> Self {
        self.0.extend(list.encode());
        self
    }

    /// The whole list.
    pub fn encode(self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.0.len() + 9);
        head(&mut whole, 0xc0, self.0.len());
        whole.extend(self.0);
        whole
    }
}

/// What stands before so many bytes.
fn head(out: &mut Vec<u8>, base: u8, length: usize) {
    if length < 56 {
        out.push(base + length as u8);
        return;
    }
    let bytes = length.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    out.push(base + 55 + (bytes.len() - zeros) as u8);
    out.extend_from_slice(&bytes[zeros..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        assert_eq!(List::default().encode(), [0xc0]);
        assert_eq!(List::default().bytes(b"cat").bytes(b"dog").encode(), b"\xc8\x83cat\x83dog");
        let numbers = List::default().number(0u64).number(15u64).number(1024u64).bytes(b"\x80");
        assert_eq!(numbers.encode(), b"\xc7\x80\x0f\x82\x04\x00\x81\x80");
        let nested = List::default().list(List::default()).list(List::default().list(List::default()));
        assert_eq!(nested.encode(), [0xc3, 0xc0, 0xc1, 0xc0]);
        let long = List::default().bytes(&[b'a'; 56]).encode();
        assert_eq!(long[..4], [0xf8, 58, 0xb8, 56]);
        assert_eq!(List::default().bytes(&[0; 1024]).encode()[..6], [0xf9, 0x04, 0x03, 0xb9, 0x04, 0x00]);
    }
}
