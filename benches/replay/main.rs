//! What live clients notice of those who come back, and of a database: `cargo bench --bench replay`.
//!
//! The real server with a journal of the past behind little memory, and live clients that take everything. In turns,
//! within one run: they are alone; beside two clients, and beside twenty, that come back to far apart and read all that
//! they missed, again and again; and the same server without a consumer, with a PostgreSQL consumer that catches up,
//! that is at the head, whose database stands still (SIGSTOP), and goes on. The latency is from the source's post to
//! the client's read of a ledger's last event.
//!
//! Clients that come back and the database run at the lowest priority: in earnest they are other machines, and what
//! counts here is the server. `nice=0` lets them take what they can.
//!
//! Arguments after `--`: `replays` or `postgres` for one of both, and `rounds=5`, `seconds=8`, `live=100`, `rate=10`,
//! `events=50` of a ledger, `past=200` events of a ledger of the past, `nice=19`.

#[allow(dead_code, reason = "also of the fan-out's bench")]
#[path = "../fanout/clients.rs"]
mod clients;
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "also of the fan-out's bench")]
#[path = "../fanout/frames.rs"]
mod frames;
#[path = "../common/ledgers.rs"]
mod ledgers;
mod live;
mod outage;
mod past;
#[allow(dead_code, reason = "also of the fan-out's bench")]
#[path = "../fanout/poll.rs"]
mod poll;
#[allow(dead_code, reason = "also of the tests")]
#[path = "../../tests/common/postgres.rs"]
mod postgres;
mod replays;
mod report;

use common::Server;
use live::Live;
use replays::Replays;
use report::{Condition, Rounds};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What is measured.
pub struct Plan {
    rounds: usize,
    time: Duration,
    live: usize,
    rate: u32,
    events: u32,
    past: u32,
    nice: i32,
    /// The state of a server that has seen the past.
    state: TempDir,
}

impl Plan {
    /// A server with the past and a ledger of its own; the folder is its state.
    fn server(&self, more: &str) -> (Server, TempDir) {
        let state = tempfile::tempdir().expect("a folder");
        std::fs::copy(self.state.path().join("journal.db"), state.path().join("journal.db")).expect("room for it");
        let more = format!("state_dir: '{}'\nhistory: {{ budget: 4MiB }}\n{more}", server::path(state.path()));
        (Server::start_beside(&self.rate.to_string(), &self.events.to_string(), "5ms", &more), state)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let number = |key: &str, usual: i32| {
        let value = arguments.iter().find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='));
        value.map_or(usual, |value| value.parse().unwrap_or_else(|_| panic!("{key}={value} is no number")))
    };
    let wanted = |name: &str| arguments.iter().all(|it| it.contains('=')) || arguments.iter().any(|it| it == name);
    let plan = Plan {
        rounds: number("rounds", 5).unsigned_abs() as usize,
        time: Duration::from_secs(number("seconds", 8).unsigned_abs().into()),
        live: number("live", 100).unsigned_abs() as usize,
        // At 20 the source would take them for a backlog and pace them.
        rate: number("rate", 10).clamp(1, 19).unsigned_abs(),
        events: number("events", 50).unsigned_abs(),
        past: number("past", 200).unsigned_abs(),
        nice: number("nice", 19),
        state: tempfile::tempdir().expect("a folder"),
    };
    past::write(plan.state.path(), plan.past as usize);
    if wanted("replays") {
        beside_replays(&plan);
    }
    if wanted("postgres") {
        outage::measure(&plan);
    }
}

/// How many come back, in each condition.
const RETURNING: [u64; 3] = [0, 2, 20];

fn beside_replays(plan: &Plan) {
    let (server, _state) = plan.server("");
    let mut live = Live::start(&server, plan.live);
    let (mut read, mut wrong) = ([(0, 0.0); 3], 0);
    for round in 0..plan.rounds {
        for turn in 0..RETURNING.len() {
            // Nobody always goes first.
            let at = (turn + round) % RETURNING.len();
            let replays = Replays::start(server.clients, RETURNING[at], plan.past, plan.nice);
            let begun = Instant::now();
            live.watch(&server, at, plan.time);
            let told = replays.told.clone();
            drop(replays);
            let events = told.events.load(Relaxed);
            read[at] = (read[at].0 + events, read[at].1 + begun.elapsed().as_secs_f64());
            wrong += told.wrong.load(Relaxed);
            eprintln!(
                "round {round}: {} come back, {events} events, {} times to the end, {} MiB",
                RETURNING[at],
                told.rounds.load(Relaxed),
                server.rss() >> 20
            );
        }
    }
    let (stretches, lost) = live.end(&server, plan.events);
    let conditions = [("live alone", None), ("beside 2 that come back", Some(1.5)), ("beside 20", Some(1.5))];
    let conditions = conditions.map(|(name, goal)| Condition { name, goal });
    let mut rounds = Rounds::new(&conditions);
    stretches.into_iter().for_each(|(stretch, sorted)| rounds.add(stretch.what, sorted, stretch.cores));
    rounds.print();
    for at in 1..RETURNING.len() {
        let rate = read[at].0 as f64 / read[at].1;
        println!("{} clients read {rate:.0} events of the past in a second", RETURNING[at]);
    }
    println!("ledgers that live clients lost or got cut: {lost}; clients that came back: {wrong}\n");
}

/// What the tests' cluster asks of its surroundings.
mod server {
    use super::Path;

    pub fn path(path: &Path) -> &str {
        path.to_str().expect("temporary folders have plain names")
    }
}

/// Lets time pass on the bench's own thread.
#[expect(clippy::disallowed_methods, reason = "this thread serves nobody")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn wait_until(what: &str, mut yes: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !yes() {
        assert!(Instant::now() < end, "not within two minutes: {what}");
        pause(Duration::from_millis(50));
    }
}
