//! Good logins of the last minute: clients send their password with every request, and to verify one takes long.
//!
//! Kept is an HMAC under a key that only this process has ever had, never the password.

use super::User;
use ring::hmac;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a login is remembered: it bounds how long a guess at memory could be of use, and saves nearly all work.
pub(super) const REMEMBERED: Duration = Duration::from_secs(60);
/// Logins that are remembered.
pub(super) const MOST: usize = 1024;

/// What a name and a password are known by.
pub(super) type LoginKey = [u8; 32];

/// The key under which they are.
pub(super) struct Blinding(hmac::Key);

impl Blinding {
    pub(super) fn random() -> Blinding {
        Blinding(hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>()))
    }

    pub(super) fn of(&self, name: &str, password: &str) -> LoginKey {
        let mut context = hmac::Context::with_key(&self.0);
        // With its length, so that no two pairs are one text.
        context.update(&(name.len() as u64).to_be_bytes());
        context.update(name.as_bytes());
        context.update(password.as_bytes());
        let mut key = LoginKey::default();
        key.copy_from_slice(context.sign().as_ref());
        key
    }
}

/// The logins.
#[derive(Default)]
pub(super) struct Memory {
    known: HashMap<LoginKey, (Arc<User>, Instant)>,
}

impl Memory {
    /// Who it was. Whether that user still is, is for the caller to see.
    pub(super) fn recall(&self, key: &LoginKey, now: Instant) -> Option<&Arc<User>> {
        self.known.get(key).filter(|(_, until)| *until > now).map(|(user, _)| user)
    }

    pub(super) fn remember(&mut self, key: LoginKey, user: Arc<User>, now: Instant) {
        if self.known.len() >= MOST && !self.known.contains_key(&key) {
            self.known.retain(|_, (_, until)| *until > now);
        }
        if self.known.len() >= MOST
            && !self.known.contains_key(&key)
            && let Some(oldest) = self.known.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| *key)
        {
            self.known.remove(&oldest);
        }
        self.known.insert(key, (user, now + REMEMBERED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_short_and_bounded() {
        let user = Arc::new(User::nobody());
        let blinding = Blinding::random();
        let key = |number: usize| blinding.of("alice", &number.to_string());
        let mut memory = Memory::default();
        let start = Instant::now();
        for number in 0..MOST {
            memory.remember(key(number), user.clone(), start + Duration::from_millis(number as u64));
        }
        memory.remember(key(0), user.clone(), start + Duration::from_secs(30));
        memory.remember(key(MOST), user.clone(), start + Duration::from_secs(30));
        let now = start + Duration::from_secs(31);
        assert_eq!(memory.known.len(), MOST);
        assert!(memory.recall(&key(1), now).is_none(), "the oldest went");
        assert!([0, 2, MOST].iter().all(|number| memory.recall(&key(*number), now).is_some()));
        let now = start + Duration::from_secs(90) - Duration::from_millis(1);
        assert!(memory.recall(&key(2), now).is_none() && memory.recall(&key(0), now).is_some());
        memory.remember(key(5000), user, start + Duration::from_secs(70));
        assert_eq!(memory.known.len(), 3, "what is past goes when room is needed");
    }

    #[test]
    fn no_two_logins_are_known_by_the_same() {
        let blinding = Blinding::random();
        let key = blinding.of("alice", "pass");
        assert_eq!(key, blinding.of("alice", "pass"));
        for (name, password) in [("alic", "epass"), ("alice", "pasS"), ("alicep", "ass"), ("alice\0", "pass")] {
            assert_ne!(key, blinding.of(name, password));
        }
        assert_ne!(key, Blinding::random().of("alice", "pass"));
    }
}
