//! A ledger as it stands in a row: a version, the length of what follows once unpacked, and the
//! [stored form](crate::event::stored) in a zstd frame with a checksum.

use crate::event::stored::{self, Corrupt};
use crate::event::{LedgerBatch, SourceNumber};
use crate::source::NATIVES;
use std::io;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

const VERSION: u8 = 2;
/// The version and the length.
const HEAD: usize = 5;
/// Level 1 is nearly as small as 3 for ledgers, and takes half the time.
const LEVEL: i32 = 1;
/// The longest stored form. The largest ledgers known have some ten MiB.
const LONGEST: usize = 256 << 20;

/// Why a row cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// The bytes were changed on the disk, or are not ours.
    #[error("damaged: {0}")]
    Corrupt(#[from] Corrupt),
    /// The same, found by the checksum.
    #[error("damaged: {0}")]
    Frame(#[from] io::Error),
    /// Written by a newer release.
    #[error("written by another release (form {0})")]
    Version(u8),
    /// Larger than a row may be.
    #[error("a ledger of {0} bytes, more than the {LONGEST} that are kept")]
    TooLong(usize),
}

/// Packs ledgers, one after the other.
pub struct Packer(Compressor<'static>);

impl Packer {
    /// Takes memory once for all ledgers.
    pub fn new() -> Result<Packer, FormError> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Packer(compressor))
    }

    /// A ledger as a row.
    pub fn pack(&mut self, batch: &LedgerBatch) -> Result<Vec<u8>, FormError> {
        let plain = stored::encode(batch);
        let length = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= LONGEST);
        let length = length.ok_or(FormError::TooLong(plain.len()))?;
        let mut row = vec![VERSION];
        row.extend_from_slice(&length.to_le_bytes());
        row.extend_from_slice(&self.0.compress(&plain)?);
        Ok(row)
    }
}

/// Unpacks rows, one after the other.
pub struct Unpacker(Decompressor<'static>);

impl Unpacker {
    /// Takes memory once for all rows.
    pub fn new() -> Result<Unpacker, FormError> {
        Ok(Unpacker(Decompressor::new()?))
    }

    /// The ledger in a row, as one of `source`. Never panics, whatever stands there.
    pub fn unpack(&mut self, row: &[u8], source: SourceNumber) -> Result<LedgerBatch, FormError> {
        let (head, frame) = row.split_first_chunk::<HEAD>().ok_or(Corrupt::Length)?;
        let [version, length @ ..] = *head;
        if version != VERSION {
            return Err(FormError::Version(version));
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Err(Corrupt::TooLarge.into());
        }
        let plain = self.0.decompress(frame, length)?;
        if plain.len() != length {
            return Err(Corrupt::Length.into());
        }
        Ok(stored::decode(&plain, source, NATIVES)?)
    }
}
