//! The whole server beside the limit of the machine: `cargo bench --bench fanout`.
//!
//! The real program with its real source is fed by its embedded ledger, in a process of its own; the
//! limit program (`limit.rs`) writes the same bytes at the same rate and does nothing else. They take
//! turns, so that both meet the same machine. Counted are the kernel's figures of the threads that
//! carry events, what clients read and when, and memory. Ratios to the limit, beside the goals, are
//! printed and written to `target/bench/fanout.json`.
//!
//! Arguments after `--`: `--quick` (under a minute), the names of workloads, with or without their
//! number of clients (`burst`, `burst=1000`), and `repeats=N`.

mod clients;
#[path = "../common/mod.rs"]
mod common;
mod frames;
mod kernel;
mod limit;
mod measure;
mod poll;
mod report;
mod server;
mod workload;

use measure::{Figures, measure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashMap;
use std::time::Duration;
use workload::{Contender, Traffic, Wish, Workload};

/// What was measured of one program under one workload.
pub struct Measured {
    pub workload: Workload,
    pub contender: Contender,
    pub runs: Vec<Figures>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |key: &str| arguments.iter().find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='));
    if let Some(plan) = value("limit") {
        return limit::run(plan);
    }
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit is allowed");

    let quick = arguments.iter().any(|argument| argument == "--quick");
    let repeats = value("repeats").and_then(|repeats| repeats.parse().ok()).unwrap_or(if quick { 1 } else { 3 });
    let names: Vec<String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--") && !argument.starts_with("repeats="))
        .map(|argument| argument.replace('=', " "))
        .collect();
    let wanted = |workload: &Workload| {
        names.is_empty() || names.iter().any(|name| name == workload.name || *name == workload.title())
    };
    // What a process may open, less what it needs itself.
    let most = maximum.map_or(usize::MAX, |maximum| maximum.saturating_sub(700) as usize);
    let fits = |workload: &Workload| {
        let fits = workload.clients <= most;
        if !fits {
            eprintln!("{}: left out, since only {most} clients can be open; raise `ulimit -Hn`", workload.title());
        }
        fits
    };
    let workloads: Vec<Workload> = Workload::all(quick).into_iter().filter(wanted).filter(fits).collect();

    let mut recorded: HashMap<(Traffic, Wish), Vec<Vec<String>>> = HashMap::new();
    let mut measured = Vec::new();
    for workload in workloads {
        eprintln!("{}: {}", workload.title(), workload.about);
        let recorded = recorded.entry((workload.traffic, workload.wish)).or_insert_with(|| server::record(&workload));
        let mut runs: Vec<Vec<Figures>> = workload.contenders.iter().map(|_| Vec::new()).collect();
        for repeat in 0..repeats {
            for turn in 0..runs.len() {
                // Nobody always goes first.
                let at = (turn + repeat) % runs.len();
                let figures = measure(&workload, workload.contenders[at], recorded);
                report::progress(&workload, workload.contenders[at], &figures);
                runs[at].push(figures);
            }
        }
        for (contender, runs) in workload.contenders.iter().zip(runs) {
            measured.push(Measured { workload: workload.clone(), contender: *contender, runs });
        }
    }
    report::all(&measured);
}

/// Lets time pass on the bench's own thread.
#[expect(clippy::disallowed_methods, reason = "this thread serves nobody")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
