//! Tokens: opaque to clients, good without being kept anywhere.
//!
//! A token is base64url of: version (1 byte), issued and expiry (8 bytes each, seconds of Unix time, big endian), the
//! user's name, and HMAC-SHA256 over all that and what the user's password is known by. So it ends with the key, with
//! the user, and with the user's password: there is no other way to take back one that lives for years.

use super::password::Credential;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const VERSION: u8 = 1;
/// Version and both times.
const HEAD: usize = 1 + 8 + 8;
const TAG: usize = 32;
/// Above what any token of ours has: 20 letters of a name at most.
const LONGEST: usize = 128;
/// How far the clock that issued a token may be ahead, s.
const SKEW: u64 = 60;

/// How many bytes a key may have.
pub(super) const KEY_BYTES: std::ops::RangeInclusive<usize> = 32..=4096;

/// What signs tokens.
pub(super) struct TokenKey {
    key: hmac::Key,
    /// To see whether a file holds another one.
    digest: [u8; 32],
}

/// What a token says, not yet believed.
pub(super) struct Claim {
    bytes: Vec<u8>,
}

impl TokenKey {
    pub(super) fn new(bytes: &[u8]) -> TokenKey {
        TokenKey { key: hmac::Key::new(hmac::HMAC_SHA256, bytes), digest: Sha256::digest(bytes).into() }
    }

    pub(super) fn random() -> TokenKey {
        TokenKey::new(&rand::random::<[u8; 32]>())
    }

    pub(super) fn is(&self, other: &TokenKey) -> bool {
        self.digest == other.digest
    }

    /// A token for the user of this name and password.
    pub(super) fn sign(&self, name: &str, credential: Credential, now: SystemTime, life: Duration) -> String {
        let issued = seconds(now);
        let mut bytes = vec![VERSION];
        bytes.extend(issued.to_be_bytes());
        bytes.extend(issued.saturating_add(life.as_secs()).to_be_bytes());
        bytes.extend(name.as_bytes());
        let tag = hmac::sign(&self.key, &signed(&bytes, credential));
        bytes.extend(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether we issued it to the user with this password, and it is good now.
    pub(super) fn believes(&self, claim: &Claim, credential: Credential, now: SystemTime) -> bool {
        let (said, tag) = claim.bytes.split_at(claim.bytes.len() - TAG);
        if hmac::verify(&self.key, &signed(said, credential), tag).is_err() {
            return false;
        }
        let now = seconds(now);
        claim.issued() <= now.saturating_add(SKEW) && now < claim.expiry()
    }
}

impl Claim {
    /// `None`: no token of ours.
    pub(super) fn read(text: &str) -> Option<Claim> {
        let bytes = URL_SAFE_NO_PAD.decode(text.get(..LONGEST.min(text.len()))?).ok()?;
        let whole = text.len() <= LONGEST && bytes.len() > HEAD + TAG && bytes.first() == Some(&VERSION);
        whole.then_some(Claim { bytes })
    }

    /// Whose it claims to be; `""` where that is no text.
    pub(super) fn name(&self) -> &str {
        std::str::from_utf8(&self.bytes[HEAD..self.bytes.len() - TAG]).unwrap_or_default()
    }

    fn number(&self, at: usize) -> u64 {
        self.bytes[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn issued(&self) -> u64 {
        self.number(1)
    }

    /// When it runs out, seconds of Unix time.
    pub(super) fn expiry(&self) -> u64 {
        self.number(9)
    }
}

/// What the tag is of. The credential has a fixed length, so nothing can be said in two ways.
fn signed(said: &[u8], credential: Credential) -> Vec<u8> {
    [&credential.0[..], said].concat()
}

/// Seconds of Unix time.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CREDENTIAL: Credential = Credential([7; 32]);
    const LIFE: Duration = Duration::from_secs(1000);

    fn key() -> TokenKey {
        TokenKey::new(b"0123456789abcdef0123456789abcdef")
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn token() -> String {
        key().sign("alice", CREDENTIAL, at(5000), LIFE)
    }

    fn passes(text: &str) -> bool {
        Claim::read(text).is_some_and(|claim| key().believes(&claim, CREDENTIAL, at(5001)))
    }

    #[test]
    fn a_token_is_good_in_its_time_alone() {
        let claim = Claim::read(&token()).unwrap();
        assert_eq!(claim.name(), "alice");
        let good = |seconds| key().believes(&claim, CREDENTIAL, at(seconds));
        assert!(good(5000) && good(5999) && !good(6000) && !good(u64::from(u32::MAX)));
        // The clock of another server, a little behind; and one that cannot be.
        assert!(good(5000 - SKEW) && !good(5000 - SKEW - 1) && !good(0));
    }

    #[test]
    fn another_key_or_password_ends_it() {
        let claim = Claim::read(&token()).unwrap();
        let other = TokenKey::new(b"0123456789abcdef0123456789abcdeF");
        assert!(!other.believes(&claim, CREDENTIAL, at(5001)) && !other.is(&key()) && key().is(&key()));
        assert!(!key().believes(&claim, Credential([8; 32]), at(5001)));
        assert!(!TokenKey::random().is(&TokenKey::random()));
    }

    #[test]
    fn it_fits_into_a_query_as_it_is() {
        let longest = key().sign(&"x".repeat(20), CREDENTIAL, at(u64::from(u32::MAX)), Duration::MAX);
        assert!(longest.len() <= LONGEST && Claim::read(&longest).is_some());
        assert!(longest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{longest}");
    }

    #[test]
    fn every_single_change_is_seen() {
        let good = token();
        assert!(passes(&good));
        for place in 0..good.len() {
            for other in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ " {
                let mut changed = good.clone().into_bytes();
                if changed[place] == *other {
                    continue;
                }
                changed[place] = *other;
                assert!(!passes(std::str::from_utf8(&changed).unwrap()), "{place} {other}");
            }
            assert!(!passes(&good[..place]) && !passes(&good[place + 1..]), "cut at {place}");
        }
    }

    proptest! {
        #[test]
        fn no_altered_token_passes(
            bytes in proptest::collection::vec(any::<u8>(), 0..120), text in "\\PC{0,200}",
            flips in proptest::collection::vec((0..128usize, 1..=255u8), 1..6),
        ) {
            prop_assert!(!passes(&text));
            prop_assert!(!passes(&URL_SAFE_NO_PAD.encode(&bytes)));
            // With the right version, so that all the rest is looked at.
            let versioned = [&[VERSION], bytes.as_slice()].concat();
            prop_assert!(!passes(&URL_SAFE_NO_PAD.encode(versioned)));
            let good = token();
            let mut altered = URL_SAFE_NO_PAD.decode(&good).unwrap();
            for (place, flip) in flips {
                let place = place % altered.len();
                altered[place] ^= flip;
            }
            let altered = URL_SAFE_NO_PAD.encode(altered);
            prop_assert!(altered == good || !passes(&altered));
            let longer = good + &URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert!(bytes.is_empty() || !passes(&longer));
        }
    }
}
