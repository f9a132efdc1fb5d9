//! Names for transfers and notifications that are the same wherever and whenever they are made: UUIDs of version 5.

use sha1::{Digest, Sha1};
use std::fmt;

/// The namespace of URLs, RFC 9562 6.6.
const NAMESPACE: [u8; 16] =
    [0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];
/// Digits before each of its four dashes.
const GROUPS: [usize; 4] = [8, 12, 16, 20];
/// Letters of its text.
const LENGTH: usize = 36;

/// A UUID. Displays in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// That of a name.
    pub fn of(name: &str) -> Uuid {
        let digest = Sha1::new().chain_update(NAMESPACE).chain_update(name).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x50;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }

    /// Reads one of any version, in either case.
    pub fn parse(text: &str) -> Option<Uuid> {
        let text = text.as_bytes();
        if text.len() != LENGTH {
            return None;
        }
        let mut bytes = [0; 16];
        let mut digits = 0;
        for (at, letter) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if *letter != b'-' {
                    return None;
                }
                continue;
            }
            let digit = (*letter as char).to_digit(16)? as u8;
            bytes[digits / 2] |= if digits % 2 == 0 { digit << 4 } else { digit };
            digits += 1;
        }
        Some(Uuid(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if GROUPS.contains(&(2 * at)) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written() {
        // RFC 9562, A.4, is of the DNS namespace; this one is Python's uuid5(NAMESPACE_URL, "https://example.org/").
        let text = Uuid::of("https://example.org/").to_string();
        assert_eq!(text.len(), LENGTH);
        assert_eq!(Uuid::parse(&text), Some(Uuid::of("https://example.org/")));
        assert_eq!(Uuid::parse(&text.to_uppercase()), Uuid::parse(&text));
        assert_eq!(&text[14..15], "5");
        assert!("89ab".contains(&text[19..20]));
        for bad in ["", "1", &text[1..], &format!("{text}0"), &text.replace('-', "0"), &"é".repeat(18)] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
    }
}
