//! Guessing is slowed: per address, per user, and for refused tokens.
//!
//! Each failure moves a moment into the future by a fixed step; who is further ahead than a few steps has to wait. So
//! a person who mistypes notices nothing, and a program that guesses gets one try for each step, for ever.
//!
//! * An address gets [`ADDRESS`]: 10 failures, then 6 a minute, whatever the users.
//! * A user gets [`USER`] from all addresses together: 30 failures, then 6 a minute, so that many addresses guess no
//!   faster. Names that do not exist are counted alike, or they could be told apart.
//! * An address from which a user has logged in well in the last day counts by itself ([`PAIR`]), for this user alone:
//!   neither what others try on the user nor what others do behind the same address keeps that user out. Only who
//!   guesses on this very user from behind this very address can, for nothing tells the two apart; good tokens, which
//!   nobody can guess, are not even asked about here.
//! * A password that is remembered ([`super::memory`]) is asked about like any other, or who has to wait could guess on
//!   without end at those who are logged in.
//! * What remains is a user who is under attack and comes from a new address: the waiting is counted for failures
//!   alone and not for tries, so a place comes free every [`USER`] step for whoever tries next.
//! * Refused tokens are counted apart ([`TOKEN`]): clients hold dead ones for ever and must still be able to log in.
//!
//! Every table is bounded. In a full one those who need not wait any more are forgotten, then the one who has the least
//! to wait: who fills a table with new names or addresses only drives out others like that.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// So many failures at once, then one for each step.
#[derive(Debug, Clone, Copy)]
struct Pace {
    at_once: u32,
    step: Duration,
}

const ADDRESS: Pace = Pace { at_once: 10, step: Duration::from_secs(10) };
const USER: Pace = Pace { at_once: 30, step: Duration::from_secs(10) };
const PAIR: Pace = Pace { at_once: 10, step: Duration::from_secs(10) };
/// A client with a dead token tries twice a second: most of its tries get the honest answer.
const TOKEN: Pace = Pace { at_once: 30, step: Duration::from_secs(1) };

/// Entries of one table: less than a megabyte.
const MOST: usize = 4096;
/// How long an address is known as good for a user.
const GOOD_FOR: Duration = Duration::from_secs(86_400);
/// How often slowed logins are logged at most.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// A user's name as the tables have it: short whatever a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NameId(u64);

/// Who failed lately.
pub(super) struct Guard {
    ids: RandomState,
    addresses: Slow<IpAddr>,
    users: Slow<NameId>,
    pairs: Slow<(NameId, IpAddr)>,
    tokens: Slow<IpAddr>,
    /// Until when an address is good for a user.
    good: HashMap<(NameId, IpAddr), Instant>,
    slowed: u64,
    told: Option<Instant>,
}

impl Guard {
    pub(super) fn new() -> Guard {
        Guard {
            ids: RandomState::new(),
            addresses: Slow::new(ADDRESS),
            users: Slow::new(USER),
            pairs: Slow::new(PAIR),
            tokens: Slow::new(TOKEN),
            good: HashMap::new(),
            slowed: 0,
            told: None,
        }
    }

    pub(super) fn id(&self, name: &str) -> NameId {
        NameId(self.ids.hash_one(name))
    }

    /// Whether a password may be tried; if not, how long to wait. `section` is where the mount stands, for the log.
    pub(super) fn may_try(&mut self, name: NameId, peer: IpAddr, now: Instant, section: &str) -> Result<(), Duration> {
        let wait = if self.is_good(name, peer, now) {
            self.pairs.wait(&(name, peer), now)
        } else {
            self.addresses.wait(&peer, now).max(self.users.wait(&name, now))
        };
        let Some(wait) = wait else { return Ok(()) };
        self.slowed += 1;
        if self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY) {
            // No name: people type their password there by mistake.
            log::warn!(mount:% = section, refused = self.slowed, last:% = peer;
                "logins are slowed after many failures; told once a minute");
            (self.slowed, self.told) = (0, Some(now));
        }
        Err(wait)
    }

    /// A password that was tried was wrong.
    pub(super) fn failed(&mut self, name: NameId, peer: IpAddr, now: Instant) {
        if self.is_good(name, peer, now) {
            self.pairs.count((name, peer), now);
        } else {
            self.addresses.count(peer, now);
            self.users.count(name, now);
        }
    }

    /// A password was right. What the address failed before stays counted: else an account of one's own would be a way
    /// to try on those of others.
    pub(super) fn succeeded(&mut self, name: NameId, peer: IpAddr, now: Instant) {
        make_room(&mut self.good, &(name, peer), now);
        self.good.insert((name, peer), now + GOOD_FOR);
    }

    /// A token was refused; `Err` where its sender has to wait. Good tokens are never asked about: to judge one costs no
    /// more than to look here.
    pub(super) fn refused_token(&mut self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        if let Some(wait) = self.tokens.wait(&peer, now) {
            return Err(wait);
        }
        self.tokens.count(peer, now);
        Ok(())
    }

    fn is_good(&self, name: NameId, peer: IpAddr, now: Instant) -> bool {
        self.good.get(&(name, peer)).is_some_and(|until| *until > now)
    }
}

/// Failures by key, each as the moment at which all of them are forgotten.
struct Slow<K> {
    pace: Pace,
    until: HashMap<K, Instant>,
}

impl<K: Hash + Eq + Copy> Slow<K> {
    fn new(pace: Pace) -> Slow<K> {
        Slow { pace, until: HashMap::new() }
    }

    /// How long to wait before the next try; `None`: not at all.
    fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let ahead = self.until.get(key)?.saturating_duration_since(now);
        let free = self.pace.step * (self.pace.at_once - 1);
        ahead.checked_sub(free).filter(|wait| !wait.is_zero())
    }

    fn count(&mut self, key: K, now: Instant) {
        make_room(&mut self.until, &key, now);
        let until = self.until.entry(key).or_insert(now);
        *until = (*until).max(now) + self.pace.step;
    }
}

/// Room for one more key in a table of moments: what is past goes, then what is past next.
fn make_room<K: Hash + Eq + Copy>(table: &mut HashMap<K, Instant>, key: &K, now: Instant) {
    if table.len() < MOST || table.contains_key(key) {
        return;
    }
    table.retain(|_, until| *until > now);
    if table.len() >= MOST
        && let Some(first) = table.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key)
    {
        table.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::address;
    use super::*;

    const STEP: Duration = Duration::from_secs(10);

    struct Play {
        guard: Guard,
        now: Instant,
    }

    impl Play {
        fn new() -> Play {
            Play { guard: Guard::new(), now: Instant::now() }
        }

        fn may(&mut self, name: &str, from: u32) -> Result<(), Duration> {
            let id = self.guard.id(name);
            self.guard.may_try(id, address(from), self.now, "here")
        }

        /// Tries until it is slowed; how often it could.
        fn guess(&mut self, name: &str, from: u32) -> u32 {
            let id = self.guard.id(name);
            let mut tries = 0;
            while self.may(name, from).is_ok() {
                self.guard.failed(id, address(from), self.now);
                tries += 1;
            }
            tries
        }

        fn log_in(&mut self, name: &str, from: u32) {
            let id = self.guard.id(name);
            self.guard.succeeded(id, address(from), self.now);
        }
    }

    #[test]
    fn an_address_is_slowed_whatever_the_names_and_recovers() {
        let mut play = Play::new();
        let mut tries = 0;
        while play.may(&format!("user{tries}"), 1).is_ok() {
            let id = play.guard.id(&format!("user{tries}"));
            play.guard.failed(id, address(1), play.now);
            tries += 1;
        }
        assert_eq!(tries, 10);
        assert_eq!(play.may("alice", 1), Err(STEP));
        assert_eq!(play.may("alice", 2), Ok(()), "others notice nothing");
        play.now += STEP - Duration::from_millis(1);
        assert_eq!(play.may("alice", 1), Err(Duration::from_millis(1)));
        play.now += Duration::from_millis(1);
        assert_eq!(play.guess("alice", 1), 1, "one for each step");
        play.now += STEP * 100;
        assert_eq!(play.guess("alice", 1), 10, "all is forgotten");
    }

    #[test]
    fn a_user_is_slowed_from_all_addresses_together() {
        for name in ["alice", "nobody"] {
            let mut play = Play::new();
            let tries: u32 = (1..20).map(|from| play.guess(name, from)).sum();
            assert_eq!(tries, 30, "{name}: names that exist and others alike");
            assert_eq!(play.may(name, 99), Err(STEP));
            assert_eq!(play.may("bob", 99), Ok(()));
            // Waiting is for failures and not for tries, so it does not last while others go on trying.
            for _ in 0..1000 {
                assert!(play.may(name, 98).is_err());
            }
            play.now += STEP;
            assert_eq!(play.may(name, 99), Ok(()));
        }
    }

    #[test]
    fn an_address_that_was_good_for_a_user_is_not_locked_out_by_others() {
        let mut play = Play::new();
        play.log_in("alice", 1);
        // Others guess on the user, and at others behind the same address.
        let _: u32 = (2..20).map(|from| play.guess("alice", from)).sum();
        assert_eq!(play.guess("bob", 1), 10);
        assert!(play.may("alice", 2).is_err() && play.may("bob", 1).is_err());
        assert_eq!(play.may("alice", 1), Ok(()));
        // It may not guess without end either, and keeps nobody else out by it.
        assert_eq!(play.guess("alice", 1), 10);
        play.now += STEP * 31;
        assert_eq!(play.may("alice", 3), Ok(()));
        play.now += GOOD_FOR;
        assert!(!play.guard.is_good(play.guard.id("alice"), address(1), play.now), "a day later");
    }

    #[test]
    fn a_login_of_ones_own_forgives_nothing() {
        let mut play = Play::new();
        for _ in 0..9 {
            let id = play.guard.id("alice");
            play.guard.failed(id, address(1), play.now);
            play.log_in("mallory", 1);
        }
        assert_eq!(play.guess("alice", 1), 1);
    }

    #[test]
    fn refused_tokens_are_slowed_apart() {
        let mut play = Play::new();
        let refused = (0..100).take_while(|_| play.guard.refused_token(address(1), play.now).is_ok()).count();
        assert_eq!(refused, 30);
        assert_eq!(play.guard.refused_token(address(1), play.now), Err(Duration::from_secs(1)));
        assert_eq!(play.guard.refused_token(address(2), play.now), Ok(()));
        assert_eq!(play.may("alice", 1), Ok(()), "it can still fetch a new one");
        play.now += Duration::from_secs(1);
        assert_eq!(play.guard.refused_token(address(1), play.now), Ok(()));
    }

    #[test]
    fn every_table_is_bounded_and_keeps_who_is_slowed() {
        let mut play = Play::new();
        assert_eq!(play.guess("alice", 1), 10);
        for number in 0..MOST as u32 + 300 {
            let id = play.guard.id(&format!("user{number}"));
            let from = address(1000 + number);
            play.guard.failed(id, from, play.now);
            play.guard.succeeded(id, from, play.now);
            play.guard.failed(id, from, play.now);
            let _ = play.guard.refused_token(from, play.now);
        }
        let guard = &play.guard;
        let sizes = [guard.addresses.until.len(), guard.users.until.len(), guard.tokens.until.len()];
        assert_eq!((sizes, guard.pairs.until.len(), guard.good.len()), ([MOST; 3], MOST, MOST));
        assert!(play.may("bob", 1).is_err(), "others came and went, and this one still waits");
        // What is past goes at once.
        play.now += STEP * 2;
        let id = play.guard.id("late");
        play.guard.failed(id, address(9), play.now);
        assert_eq!(play.guard.addresses.until.len(), 2);
    }
}
