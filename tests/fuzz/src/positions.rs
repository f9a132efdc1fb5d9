//! Positions that come back from outside: cursors of clients, checkpoints from the disk.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgercast::event::{Cursor, stored};
use ledgercast::source::{NATIVES, OldCheckpoint};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// As it stands, and as the bytes of a cursor that only lack their checksum: nobody guesses that one.
pub fn cursor(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
    let sealed = [data, &Sha256::digest(data)[..4]].concat();
    check(&URL_SAFE_NO_PAD.encode(sealed));
}

fn check(text: &str) {
    let Ok(cursor) = text.parse::<Cursor>() else { return };
    // A number may be written longer than needed, so only its meaning stays.
    let written = cursor.to_string();
    assert_eq!(written.parse::<Cursor>().as_ref(), Ok(&cursor));
    assert!(written.len() <= text.len());
    assert!(written.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    assert!(cursor.entries.iter().all(|entry| entry.partial_cmp(entry).is_some_and(|order| order.is_eq())));
}

/// The file of an earlier release as it stands.
pub fn checkpoint(data: &[u8]) {
    static OLD: OnceLock<OldCheckpoint> = OnceLock::new();
    let old = OLD.get_or_init(|| {
        let directory = std::env::temp_dir().join(format!("ledgercast-fuzz-{}", std::process::id()));
        let old = OldCheckpoint::new(&directory, "main", "stellar-testnet", "stellar transactions");
        std::fs::create_dir_all(old.path().parent().expect("a file lies in a directory")).expect("a directory");
        old
    });
    std::fs::write(old.path(), data).expect("a file");
    let _ = old.load();
}

/// A ledger as the journal keeps it. What can be read is written and comes back the same.
pub fn stored(data: &[u8]) {
    let Ok(batch) = stored::decode(data, 0, NATIVES) else { return };
    let written = stored::encode(&batch);
    let again = stored::decode(&written, 0, NATIVES).expect("what was written can be read");
    assert_eq!(stored::encode(&again), written);
}
