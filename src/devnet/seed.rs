//! Where all chance comes from.

use sha2::{Digest, Sha256};

/// 32 bytes that belong to (seed, `label`, `index`).
pub(super) fn draw(seed: u64, label: &str, index: u64) -> [u8; 32] {
    Sha256::new()
        .chain_update("ledgercast devnet")
        .chain_update(label)
        .chain_update(seed.to_be_bytes())
        .chain_update(index.to_be_bytes())
        .finalize()
        .into()
}
