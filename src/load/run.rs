//! A run from its beginning to its report.

use super::connect::Target;
use super::latency::{From, Latencies};
use super::posted::Admin;
use super::report::{Connecting, Content, Delivered, Generator, Latency, Report, Times, number};
use super::shared::Shared;
use super::verify::Verifier;
use super::{LoadError, Plan, client, dialect, posted};
use crate::source::monotonic_nanos;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};

/// How often the progress is told and the ends of phases are looked for.
const STEP: Duration = Duration::from_millis(100);
/// Clients that are not registered this long after the ramp are not waited for.
const REGISTERING: Duration = Duration::from_secs(10);
/// The last ledger that was posted in the measured time shall reach somebody in this time; it may match no filter.
const ARRIVING: Duration = Duration::from_secs(3);
/// What was in the logs at the end of the measured time shall reach everybody in this time.
const SETTLING: Duration = Duration::from_secs(10);
/// Clients that do not end in this time are cut.
const ENDING: Duration = Duration::from_secs(5);

/// What a run gives.
pub struct Outcome {
    /// What it came to.
    pub report: Report,
    /// Every time, for `--hdr`.
    pub times: Histogram<u64>,
}

/// Runs a plan to its end. `progress` shows a line on standard error where that is a terminal.
pub fn run(plan: &Plan, progress: bool) -> Result<Outcome, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| LoadError::Io("cannot start", error))?;
    let outcome = LocalSet::new().block_on(&runtime, perform(plan, progress));
    // A lookup of a name may still be under way on a thread.
    runtime.shutdown_background();
    outcome
}

async fn perform(plan: &Plan, progress: bool) -> Result<Outcome, LoadError> {
    let dialect = dialect::find(&plan.dialect)
        .ok_or_else(|| LoadError::Usage(format!("--dialect {}: there is no such dialect", plan.dialect)))?;
    let address = plan.admin.as_deref().map(posted::address).transpose()?;
    let admin = address.map(|address| Admin { address, source: plan.source.clone() });
    let target = Target::find(&plan.url, plan.token.as_deref(), &plan.trust, plan.allow_remote).await?;
    if let Some(admin) = &admin {
        posted::ask(admin).await?;
    }
    let from = if admin.is_some() { From::Post } else { From::FirstReader };
    // Slow clients have their places in the table, but say nothing to the verifier.
    let filters = (0..plan.clients).map(|client| plan.template.fill(client));
    let verifier = Verifier::new(dialect, plan.verify_all, filters);
    let shared = Shared::new(target, dialect, plan.template.clone(), verifier, Latencies::new(from), plan.clients);
    let bar = if progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    Run { plan, shared: Rc::new(shared), bar, interrupted: Rc::default(), reading: Rc::default() }.perform(admin).await
}

struct Run<'a> {
    plan: &'a Plan,
    shared: Rc<Shared>,
    bar: ProgressBar,
    interrupted: Rc<Cell<bool>>,
    /// Clients that read and have not ended.
    reading: Rc<Cell<usize>>,
}

impl Run<'_> {
    async fn perform(self, admin: Option<Admin>) -> Result<Outcome, LoadError> {
        let (plan, shared) = (self.plan, self.shared.clone());
        let mut clients = self.start_clients();
        // Ends with this function.
        let mut helpers = JoinSet::new();
        let interrupted = self.interrupted.clone();
        helpers.spawn_local(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                interrupted.set(true);
            }
        });
        if let Some(admin) = admin.clone() {
            helpers.spawn_local(follow(shared.clone(), admin));
        }

        let ramped = Instant::now() + plan.ramp;
        self.wait("connecting", ramped, || false).await;
        let is_open = || {
            let tally = shared.tally.borrow();
            let failed: u64 = tally.failures.values().sum();
            tally.arrived + tally.slow.connected + failed >= plan.clients as u64
        };
        self.wait("registering", Instant::now() + REGISTERING, is_open).await;

        let began = monotonic_nanos();
        shared.latencies.borrow_mut().measure(began..began.saturating_add(plan.duration.as_nanos() as u64));
        let (cpu, before) = (cpu_nanos(), self.counted());
        if let Some(every) = plan.churn {
            helpers.spawn_local(churn(shared.clone(), readers(plan), every, Instant::now() + plan.duration));
        }
        self.wait("measuring", Instant::now() + plan.duration, || false).await;
        let ended = monotonic_nanos();
        shared.latencies.borrow_mut().measure(began..ended);
        let (cpu, after) = (cpu_nanos() - cpu, self.counted());
        // What is owed still comes, unless a second interruption says that nobody waits for it.
        let ended_early = if self.interrupted.replace(false) {
            Some("interrupted")
        } else {
            (self.reading.get() == 0).then_some("no client was left")
        };

        if let Some(admin) = &admin
            && let Ok(ledgers) = posted::ask(admin).await
        {
            shared.latencies.borrow_mut().posted(ledgers.into_iter());
            self.wait("settling", Instant::now() + ARRIVING, || shared.latencies.borrow().is_read()).await;
        }
        shared.verifier.borrow_mut().aim();
        let aimed = monotonic_nanos();
        let settled = || readers(plan).all(|client| shared.verifier.borrow().owed(client) == 0);
        self.wait("settling", Instant::now() + SETTLING, settled).await;
        if !self.interrupted.get() {
            shared.verifier.borrow_mut().settle(readers(plan), aimed);
        }
        // What comes from here on is of our own making.
        let (counts, missing, filters) = {
            let verifier = shared.verifier.borrow();
            (verifier.counts.clone(), verifier.missing_ledgers(), verifier.groups())
        };
        let closed = shared.tally.borrow().closed.clone();
        let failures = self.failures();
        (0..plan.clients).for_each(|client| shared.end(client));
        self.bar.set_message("ending");
        let _ = timeout(ENDING, async { while clients.join_next().await.is_some() {} }).await;
        self.bar.finish_and_clear();

        let mut latencies = shared.latencies.borrow_mut();
        latencies.finish();
        let tally = shared.tally.borrow();
        let seconds = (ended - began) as f64 / 1e9;
        let (events, bytes) = (after.0 - before.0, after.1 - before.1);
        let report = Report {
            url: plan.url.clone(),
            dialect: plan.dialect.clone(),
            clients: plan.clients,
            filters,
            seconds,
            ended_early,
            connecting: Connecting {
                connected: tally.connected,
                failed: failures.values().sum(),
                failures,
                came_back: tally.came_back,
                times: Times::of(&tally.connecting),
            },
            delivered: Delivered {
                events,
                bytes,
                ledgers: latencies.ledgers(),
                events_per_second: events as f64 / seconds.max(0.001),
            },
            latency: Latency { from: latencies.from, times: Times::of(&latencies.times), unknown: latencies.unknown },
            content: Content::of(&counts, missing),
            told: counts.told,
            closed,
            slow: tally.slow.clone(),
            generator: Generator::new(cpu as f64 / ((ended - began) as f64).max(1.0)),
            failed_assertions: Vec::new(),
        };
        Ok(Outcome { report, times: latencies.times.clone() })
    }

    /// Connections that failed, and clients that still have not got through.
    fn failures(&self) -> BTreeMap<String, u64> {
        let tally = self.shared.tally.borrow();
        let mut failures = tally.failures.clone();
        let ended: u64 = failures.values().sum();
        // A connection that fails on coming back is counted above as well, so this is never too much.
        let waiting = (self.plan.clients as u64).saturating_sub(tally.arrived + tally.slow.connected + ended);
        if waiting > 0 {
            failures.insert("not registered in time".to_owned(), waiting);
        }
        failures
    }

    fn start_clients(&self) -> JoinSet<()> {
        let plan = self.plan;
        let mut clients = JoinSet::new();
        let now = Instant::now();
        self.shared.tally.borrow_mut().slow.clients = plan.slow as u64;
        for number in 0..plan.clients {
            let planned = now + plan.ramp.mul_f64(number as f64 / plan.clients as f64);
            if is_slow(plan, number) {
                // Every other one never reads.
                let never = (number * plan.slow / plan.clients).is_multiple_of(2);
                clients.spawn_local(client::run_slow(self.shared.clone(), number, planned, never));
            } else {
                let (shared, reading) = (self.shared.clone(), self.reading.clone());
                reading.set(reading.get() + 1);
                clients.spawn_local(async move {
                    client::run(shared, number, planned).await;
                    reading.set(reading.get() - 1);
                });
            }
        }
        clients
    }

    /// Waits until `end`, or `done`, or there is nothing to wait for any more.
    async fn wait(&self, phase: &str, end: Instant, mut done: impl FnMut() -> bool) {
        let mut before = self.counted().0;
        while !self.interrupted.get() && self.reading.get() > 0 && !done() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(STEP)).await;
            let events = self.counted().0;
            self.tell(phase, left, (events - before) * 10);
            before = events;
        }
    }

    fn tell(&self, phase: &str, left: Duration, rate: u64) {
        if self.bar.is_hidden() {
            return;
        }
        let (counts, tally) = (&self.shared.verifier.borrow().counts, self.shared.tally.borrow());
        self.bar.set_message(format!(
            "{phase}, {} s left: {} clients, {} events/s, lost {}, closed {}",
            left.as_secs(),
            number(self.reading.get() as u64 + tally.slow.connected),
            number(rate),
            counts.lost,
            tally.closed.values().sum::<u64>(),
        ));
        self.bar.tick();
    }

    /// Events and bytes so far.
    fn counted(&self) -> (u64, u64) {
        (self.shared.verifier.borrow().counts.events, self.shared.tally.borrow().bytes)
    }
}

/// Slow clients stand evenly among the others.
fn is_slow(plan: &Plan, number: usize) -> bool {
    (number + 1) * plan.slow / plan.clients > number * plan.slow / plan.clients
}

/// The clients that are not slow on purpose.
fn readers(plan: &Plan) -> impl Iterator<Item = usize> + 'static {
    let (slow, clients) = (plan.slow, plan.clients);
    (0..clients).filter(move |number| (number + 1) * slow / clients <= number * slow / clients)
}

/// Asks again and again when ledgers were posted. A failure is tried again: the server keeps many ledgers.
async fn follow(shared: Rc<Shared>, admin: Admin) {
    loop {
        sleep(posted::EVERY).await;
        if let Ok(ledgers) = posted::ask(&admin).await {
            shared.latencies.borrow_mut().posted(ledgers.into_iter());
        }
    }
}

/// Lets one client after the other leave and come back, each at its planned time.
async fn churn(shared: Rc<Shared>, readers: impl Iterator<Item = usize>, every: Duration, until: Instant) {
    let mut readers = readers.collect::<Vec<_>>().into_iter().cycle();
    let mut planned = Instant::now() + every;
    while planned < until {
        tokio::time::sleep_until(planned).await;
        if let Some(client) = readers.next() {
            shared.leave(client);
        }
        planned += every;
    }
}

fn cpu_nanos() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64
}
