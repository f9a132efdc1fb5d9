//! Positions that come back from outside: cursors of clients, checkpoints from the disk.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgercast::event::Cursor;
use ledgercast::source::CheckpointStore;
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

/// The file as it stands. What is taken from it can be written and comes back the same.
pub fn checkpoint(data: &[u8]) {
    static STORE: OnceLock<CheckpointStore> = OnceLock::new();
    let store = STORE.get_or_init(|| {
        let directory = std::env::temp_dir().join(format!("ledgercast-fuzz-{}", std::process::id()));
        let store = CheckpointStore::new(&directory, "main", "stellar-testnet", "stellar transactions");
        std::fs::create_dir_all(store.path().parent().expect("a file lies in a directory")).expect("a directory");
        store
    });
    std::fs::write(store.path(), data).expect("a file");
    if let Ok(Some(checkpoint)) = store.load() {
        store.save(&checkpoint).expect("a file");
        assert_eq!(store.load(), Ok(Some(checkpoint)));
    }
}
