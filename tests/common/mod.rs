//! What the tests of the real program share: processes, clients, raw bytes, and filters judged
//! the plain way.
//!
//! Everything is on the loopback, on free ports, bounded in time; a process ends with the value
//! that started it.

pub mod anvil;
pub mod attack;
pub mod client;
pub mod evm_node;
pub mod faulty_rpc;
pub mod filter;
pub mod http;
pub mod postgres;
pub mod raw;
pub mod reader;
pub mod server;
pub mod tls;
pub mod transcript;
pub mod vigil;
pub mod xrpl_node;

use std::time::{Duration, Instant};

/// Nothing that is expected takes longer, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Lets time pass on a test's own thread.
#[allow(clippy::disallowed_methods, reason = "a test's thread serves nobody")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Asks until the answer is yes; panics with `what` when patience ends.
pub fn wait_until(what: &str, mut yes: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !yes() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        pause(Duration::from_millis(30));
    }
}

/// A seed for this run, or the one in `LEDGERCAST_SEED`. Print it when a test fails.
pub fn seed() -> u64 {
    std::env::var("LEDGERCAST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random)
}

/// Lets this process hold as many connections as it may.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit is allowed");
}
