//! The public position in a stream: one opaque, URL-safe text, good on every broker and after
//! every restart.
//!
//! Inside: a version, then for each source of the mount its network, ledger, place and the first
//! bytes of the ledger's hash, then a checksum that tells a cut or mistyped cursor from a good one.

use super::{LedgerBatch, Place};
use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use compact_str::CompactString;
use sha2::{Digest, Sha256};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

const VERSION: u8 = 1;
const CHECKSUM: usize = 4;
/// A mount has a handful of sources; a text that claims more is no cursor of ours.
const MAX_ENTRIES: usize = 64;
/// Longest text that is looked at: 64 entries of the longest form.
const MAX_TEXT: usize = 64 * 400;

/// Bytes of an ordinary cursor of one network.
const ORDINARY: usize = 64;

/// A position in each source of a mount: everything up to it was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor {
    /// One entry for each network.
    pub entries: Vec<CursorEntry>,
}

/// A position in one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorEntry {
    /// The network's id, at most 255 bytes.
    pub network: CompactString,
    /// The ledger.
    pub ledger: u64,
    /// The last event in it that was delivered.
    pub place: Place,
    /// The first bytes of the ledger's hash; `None` where the source knows no hashes.
    pub hash: Option<[u8; 4]>,
}

/// The position after one event, which displays as the text of a [`Cursor`] of that network alone. Events are written
/// by the thousand, so it makes no cursor first.
#[derive(Debug, Clone, Copy)]
pub struct EventCursor<'a> {
    /// The ledger.
    pub batch: &'a LedgerBatch,
    /// Where the event stands in it.
    pub place: Place,
}

/// Where a client wants to go on, in its own words: a cursor, or `ledger:` and a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// After what the cursor names.
    After(Cursor),
    /// With this ledger of the one source.
    Ledger(u64),
    /// With the oldest ledger of each source that is kept. Nobody's own words.
    Oldest,
}

/// Why a text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Cut, mistyped or from elsewhere.
    #[error("not a cursor of this service; send the `cursor` of an event unchanged")]
    Malformed,
    /// Made by a newer release.
    #[error("cursor of a newer release (version {0}); upgrade the broker or start without it")]
    Version(u8),
}

/// Entries of one network compare by position; those of two networks do not compare.
impl PartialOrd for CursorEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.network == other.network)
            .then(|| (self.ledger, self.place, self.hash).cmp(&(other.ledger, other.place, other.hash)))
    }
}

impl Cursor {
    /// The longest text of a cursor, bytes.
    pub const MAX_TEXT: usize = MAX_TEXT;

    /// This position and those of `other`; of one network the later.
    pub fn and(mut self, other: Cursor) -> Cursor {
        for entry in other.entries {
            match self.entries.iter_mut().find(|known| known.network == entry.network) {
                Some(known) if *known < entry => *known = entry,
                Some(_) => {}
                None => self.entries.push(entry),
            }
        }
        self
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(ORDINARY * self.entries.len());
        bytes.extend([VERSION, self.entries.len() as u8]);
        for CursorEntry { network, ledger, place, hash } in &self.entries {
            write_entry(&mut bytes, network, *ledger, *place, *hash);
        }
        write_text(bytes, f)
    }
}

impl fmt::Display for EventCursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (batch, mut bytes) = (self.batch, Vec::with_capacity(ORDINARY));
        bytes.extend([VERSION, 1]);
        write_entry(&mut bytes, &batch.network, batch.ledger.index, self.place, batch.ledger.short_hash());
        write_text(bytes, f)
    }
}

impl FromStr for Mark {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Mark, CursorError> {
        match text.strip_prefix("ledger:") {
            Some(number) => number.parse().map(Mark::Ledger).map_err(|_| CursorError::Malformed),
            None => text.parse().map(Mark::After),
        }
    }
}

fn write_entry(bytes: &mut Vec<u8>, network: &str, ledger: u64, place: Place, hash: Option<[u8; 4]>) {
    bytes.push(network.len() as u8);
    bytes.extend_from_slice(network.as_bytes());
    write_varint(bytes, ledger);
    write_varint(bytes, place.transaction.into());
    bytes.push(place.rank);
    write_varint(bytes, place.sub);
    bytes.push(u8::from(hash.is_some()));
    bytes.extend_from_slice(hash.as_ref().map_or(&[], |hash| &hash[..]));
}

/// The text of what was written, with its checksum.
fn write_text(mut bytes: Vec<u8>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum[..CHECKSUM]);
    fmt::Display::fmt(&Base64Display::new(&bytes, &URL_SAFE_NO_PAD), f)
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        if text.len() > MAX_TEXT {
            return Err(CursorError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError::Malformed)?;
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(CursorError::Malformed)?;
        if Sha256::digest(body)[..CHECKSUM] != checksum[..] {
            return Err(CursorError::Malformed);
        }
        let mut reader = Reader(body);
        match reader.byte() {
            Some(VERSION) => reader.entries().map(|entries| Cursor { entries }).ok_or(CursorError::Malformed),
            Some(version) => Err(CursorError::Version(version)),
            None => Err(CursorError::Malformed),
        }
    }
}

fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Reads what `Display` wrote; `None` on anything else.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return None;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn entries(&mut self) -> Option<Vec<CursorEntry>> {
        let count = usize::from(self.byte()?);
        if count > MAX_ENTRIES {
            return None;
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let length = usize::from(self.byte()?);
            let network = CompactString::from_utf8(self.take(length)?).ok()?;
            let ledger = self.varint()?;
            let transaction = u32::try_from(self.varint()?).ok()?;
            let place = Place { transaction, rank: self.byte()?, sub: self.varint()? };
            let hash = match self.byte()? {
                0 => None,
                1 => Some(self.take(4)?.try_into().ok()?),
                _ => return None,
            };
            entries.push(CursorEntry { network, ledger, place, hash });
        }
        self.0.is_empty().then_some(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Hash, LedgerRef};
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = CursorEntry> {
        let place = (any::<u32>(), 0u8..8, any::<u64>());
        let hash = proptest::option::of(any::<[u8; 4]>());
        ("[a-z0-9-]{0,40}", any::<u64>(), place, hash).prop_map(|(network, ledger, (transaction, rank, sub), hash)| {
            CursorEntry { network: network.into(), ledger, place: Place { transaction, rank, sub }, hash }
        })
    }

    proptest! {
        #[test]
        fn survives_the_wire(entries in proptest::collection::vec(entry(), 0..4)) {
            let cursor = Cursor { entries };
            let text = cursor.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(text.parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn joined_cursors_keep_the_later_of_each_network(a in entry(), b in entry()) {
            let later = CursorEntry { network: a.network.clone(), ledger: a.ledger.saturating_add(1), ..a.clone() };
            let b = CursorEntry { network: "elsewhere!".into(), ..b };
            let one = |entry: &CursorEntry| Cursor { entries: vec![entry.clone()] };
            let joined = Cursor { entries: vec![later.clone(), b.clone()] };
            prop_assert_eq!(one(&a).and(one(&later)).and(one(&b)), joined.clone());
            prop_assert_eq!(one(&later).and(one(&b)).and(one(&a)), joined);
        }

        #[test]
        fn order_is_that_of_positions(a in entry(), b in entry()) {
            let b = CursorEntry { network: a.network.clone(), ..b };
            let position = |e: &CursorEntry| (e.ledger, e.place.transaction, e.place.rank, e.place.sub);
            if position(&a) != position(&b) {
                prop_assert_eq!(a.partial_cmp(&b), Some(position(&a).cmp(&position(&b))));
            }
            prop_assert_eq!(a.partial_cmp(&b).map(Ordering::reverse), b.partial_cmp(&a));
            let elsewhere = CursorEntry { network: "elsewhere!".into(), ..b };
            prop_assert_eq!(a.partial_cmp(&elsewhere), None);
        }

        #[test]
        fn a_cut_or_changed_cursor_is_refused(e in entry(), at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]") {
            let text = Cursor { entries: vec![e] }.to_string();
            let at = at.index(text.len());
            prop_assert_eq!(text[..at].parse::<Cursor>(), Err(CursorError::Malformed));
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            if changed != text {
                prop_assert!(changed.parse::<Cursor>().is_err());
            }
        }

        #[test]
        fn any_text_is_safe(text in "\\PC{0,300}") {
            let _ = text.parse::<Cursor>();
            let _ = text.parse::<Mark>();
        }
    }

    #[test]
    fn an_event_has_the_cursor_of_its_network() {
        let mut batch = LedgerBatch {
            source: 0,
            network: "stellar-pubnet".into(),
            epoch: 0,
            ledger: LedgerRef { index: 63_353_901, hash: None, parent: None, closed_at: 0 },
            continuity: None,
            events: Vec::new(),
            native: None,
        };
        let place = Place { transaction: 300, rank: 4, sub: 7 };
        for hash in [None, Some(Hash([7; 32]))] {
            batch.ledger.hash = hash;
            let text = EventCursor { batch: &batch, place }.to_string();
            let entry = CursorEntry {
                network: "stellar-pubnet".into(),
                ledger: 63_353_901,
                place,
                hash: hash.map(|hash| hash.short()),
            };
            assert_eq!(text, Cursor { entries: vec![entry] }.to_string());
            assert!(text.len() <= 48, "{text}");
        }
    }

    #[test]
    fn marks() {
        assert_eq!("ledger:17".parse(), Ok(Mark::Ledger(17)));
        let cursor = Cursor::default();
        assert_eq!(cursor.to_string().parse(), Ok(Mark::After(cursor)));
        for text in ["", "ledger:", "ledger:-1", "ledger:1x", "17", "ledger:18446744073709551616"] {
            assert_eq!(text.parse::<Mark>(), Err(CursorError::Malformed), "{text}");
        }
    }
}
