//! What the journal costs: `cargo bench --bench journal`.
//!
//! Ledgers of the embedded Stellar network with 100 events each, as the source posts them. One table: how many ledgers
//! a second are written with a commit for each and as a source that catches up brings them, how many are read back
//! into entries, what an event takes on disk, and how long a journal of 1,000,000 events takes to open after the
//! process that wrote it was killed. `LEDGERCAST_JOURNAL_EVENTS` is another number of events;
//! `LEDGERCAST_JOURNAL_DIR` another disk.

#[path = "common/ledgers.rs"]
mod ledgers;

use ledgercast::broker::{Backlog, BacklogRead, History};
use ledgercast::config;
use ledgercast::event::LedgerBatch;
use ledgercast::journal::{Journal, SourceKey};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Ledgers read in one answer weigh about so much, as the routers ask for them.
const STEP: usize = 4 << 20;
/// The child that is killed writes here.
const CHILD: &str = "LEDGERCAST_JOURNAL_CHILD";

struct Life {
    journal: Arc<Journal>,
    history: Arc<History>,
}

impl Life {
    fn begin(directory: &Path, memory: usize) -> Life {
        let keys = vec![SourceKey { name: "a".into(), scope: "all".into() }];
        let keep = config::Journal { max_bytes: config::units::Size::mib(100 << 10), ..config::Journal::default() };
        let journal = Journal::open(directory, keep, keys).expect("it opens");
        let mut history = History::new(1, 1, memory);
        let (head, past) = journal.past(memory);
        history.restore(head, past);
        let history = Arc::new(history);
        journal.start(history.clone(), Arc::default());
        Life { journal: journal.into(), history }
    }

    fn post(&self, batch: &LedgerBatch, index: u64) {
        let mut batch = batch.clone();
        batch.ledger.index = index;
        let entry = self.history.append(batch, Instant::now()).expect("it is new");
        self.journal.append(entry, BTreeMap::new());
    }
}

fn main() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return write_until_killed(&PathBuf::from(directory));
    }
    let events: u64 =
        std::env::var("LEDGERCAST_JOURNAL_EVENTS").map_or(1_000_000, |text| text.parse().expect("a number"));
    let folder = std::env::var_os("LEDGERCAST_JOURNAL_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let state = tempfile::tempdir_in(folder).expect("a folder");
    let batches = ledgers::decode(&ledgers::answer(100));
    let of_each = batches[0].events.len() as u64;
    let count = events / of_each;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");

    println!("| what | ledgers/s | events/s | |\n| --- | --- | --- | --- |");
    let row = |what: &str, ledgers: u64, took: Duration, note: String| {
        let rate = ledgers as f64 / took.as_secs_f64();
        println!("| {what} | {rate:.0} | {:.0} | {note} |", rate * of_each as f64);
    };
    // Memory holds next to nothing, so that all is read from the disk.
    let life = Life::begin(state.path(), 1);
    let begun = Instant::now();
    let single = (count / 20).max(1);
    let mut worst = Duration::ZERO;
    for index in 0..single {
        let one = Instant::now();
        life.post(&batches[index as usize % batches.len()], index + 1);
        runtime.block_on(life.journal.flushed());
        worst = worst.max(one.elapsed());
    }
    row("append, one commit a ledger", single, begun.elapsed(), format!("worst {:.1} ms", worst.as_secs_f64() * 1e3));
    let begun = Instant::now();
    for index in single..count {
        life.post(&batches[index as usize % batches.len()], index + 1);
        // As the broker answers a source.
        if let Some(room) = life.journal.room() {
            runtime.block_on(room);
        }
    }
    runtime.block_on(life.journal.flushed());
    row("append, catching up", count - single, begun.elapsed(), "groups of up to 64".into());
    let begun = Instant::now();
    let (mut after, mut read) = (0, 0);
    loop {
        let (answer, answered) = mpsc::channel();
        life.journal.read([0].into(), after, STEP, Box::new(move |read| answer.send(read).expect("it waits")));
        match answered.recv().expect("an answer") {
            BacklogRead::Entries(entries) => {
                after = entries.last().expect("at least one").sequence;
                read += entries.len() as u64;
            }
            BacklogRead::End => break,
            BacklogRead::Failed(why) => panic!("{why}"),
        }
    }
    assert_eq!(read, count);
    row("read back", count, begun.elapsed(), format!("in steps of {} MiB", STEP >> 20));
    drop(life);
    let bytes = state.path().join("journal.db").metadata().expect("it is there").len();
    let weight: usize = batches.iter().map(LedgerBatch::weight).sum();
    println!(
        "| on disk | | | {:.0} bytes an event; in memory {:.0} |",
        bytes as f64 / (count * of_each) as f64,
        weight as f64 / (batches.len() as u64 * of_each) as f64
    );

    // Another process goes on writing, and is killed.
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .env(CHILD, state.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    std::thread::park_timeout(Duration::from_secs(3));
    child.kill().expect("it runs");
    child.wait().expect("it ran");
    for (memory, what) in [(1, "open after kill -9"), (256 << 20, "open, 256 MiB back in memory")] {
        let begun = Instant::now();
        let life = Life::begin(state.path(), memory);
        let took = begun.elapsed();
        let head = life.history.head();
        assert!(head > count, "the child wrote nothing");
        let (ledgers, _) = life.history.sizes()[0];
        let took = took.as_secs_f64() * 1e3;
        println!("| {what} | | | {took:.1} ms, {} events on disk, {ledgers} ledgers in memory |", head * of_each);
    }
}

/// A life that only a kill ends.
fn write_until_killed(directory: &Path) {
    let life = Life::begin(directory, 1);
    let batches = ledgers::decode(&ledgers::answer(100));
    for index in life.history.newest(0).map_or(0, |newest| newest.batch.ledger.index).. {
        life.post(&batches[index as usize % batches.len()], index + 1);
        while life.journal.room().is_some() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}
