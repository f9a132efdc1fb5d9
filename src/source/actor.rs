//! The Source actor: polls one ledger, posts its batches, and ends when they are kept.

use super::backoff::Backoff;
use super::{Checkpoint, Context as LedgerContext, Ledger, LedgerConfig, Next, SourceError, SourceStatus, build};
use crate::broker::{Append, MAX_UNTAKEN};
use crate::config::CatchUp;
use crate::event::{LedgerBatch, SourceNumber};
use crate::journal::Journal;
use actix::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A stopping source waits this long for the broker to take what was posted.
const DRAIN: Duration = Duration::from_secs(5);
/// Ledgers behind from which a source is catching up again. The few that it may be behind at the tip, since a network
/// closed several between two polls, are read without regard to the disk.
const FAR_BEHIND: u64 = 32;
/// Linux keeps this many bytes of a thread's name.
const THREAD_NAME: usize = 15;

/// How long a batch of this weight takes a source that is behind. One without events floods nobody.
fn cost(pace: &CatchUp, weight: usize, empty: bool) -> Duration {
    let bytes = Duration::from_secs_f64(weight as f64 / pace.bytes.0.max(1) as f64);
    if empty { bytes } else { bytes.max(Duration::from_secs(1) / pace.ledgers.max(1)) }
}

/// What makes a source.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its number, in the order of the configuration.
    pub number: SourceNumber,
    /// Its name in the configuration.
    pub name: String,
    /// The ledger it polls.
    pub ledger: LedgerConfig,
    /// Where the broker keeps its ledgers, and with them its checkpoints; `None`: nowhere, every start is a cold one.
    pub journal: Option<Arc<Journal>>,
    /// How fast it may go while behind.
    pub catch_up: CatchUp,
}

/// A running source.
#[derive(Debug, Clone)]
pub struct SourceHandle {
    /// The actor.
    pub addr: Addr<Source>,
    /// What is known of it.
    pub status: Arc<SourceStatus>,
    arbiter: ArbiterHandle,
}

impl SourceHandle {
    /// Stops the source after its last checkpoint is written, and ends its thread.
    pub async fn stop(&self) {
        // An error means that it is stopped already.
        let _ = self.addr.send(Stop).await;
        self.arbiter.stop();
    }
}

/// Ends a source: no further poll, the last checkpoint is written, then the answer comes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

/// Starts a source on a thread of its own. Must be called inside an actix system.
///
/// Its batches go to `broker`, whose mailbox must hold [`MAX_UNTAKEN`] of each source: only what
/// fits at once is sure to stay in order.
pub fn start(settings: Settings, broker: Recipient<Append>) -> SourceHandle {
    let status = SourceStatus::new(settings.number, &settings.name);
    let arbiter = Arbiter::new().handle();
    let thread = thread_name("src-", &settings.name);
    arbiter.spawn_fn(move || {
        // A thread without its name works as well.
        let _ = rustix::thread::set_name(&thread);
    });
    let shared = status.clone();
    let addr = Source::start_in_arbiter(&arbiter, move |_| Source::new(settings, broker, shared));
    SourceHandle { addr, status, arbiter }
}

/// A thread's name, as much of it as fits.
pub(super) fn thread_name(prefix: &str, source: &str) -> std::ffi::CString {
    let mut name = String::from(prefix);
    for letter in source.chars().filter(|letter| *letter != '\0') {
        if name.len() + letter.len_utf8() > THREAD_NAME {
            break;
        }
        name.push(letter);
    }
    std::ffi::CString::new(name).unwrap_or_default()
}

/// One source. At any time exactly one of these holds: a poll is in flight, a poll is scheduled,
/// it waits for the broker or, while it catches up, for the disk, or it is stopping.
pub struct Source {
    /// Taken out while a poll is in flight.
    ledger: Option<Box<dyn Ledger>>,
    number: SourceNumber,
    broker: Recipient<Append>,
    status: Arc<SourceStatus>,
    /// Of its RPC.
    addresses: usize,
    pace: CatchUp,
    journal: Option<Arc<Journal>>,
    opened: bool,
    /// From the start, or from where it was far behind, until the tip. Only then may the disk slow it.
    catching_up: bool,
    /// The last ledger posted.
    last: Option<Checkpoint>,
    backoff: Backoff,
    /// When the pace of catching up allows the next ledger.
    paced_until: Instant,
    untaken: usize,
    /// Whether the next poll waits for the broker.
    blocked: bool,
    /// Whether all that was taken is on disk, or cannot be.
    kept: bool,
    /// Who waits for the end; the source is stopping if not empty.
    stopping: Vec<oneshot::Sender<()>>,
}

/// Without it the source would be silent and say that it is live.
impl Drop for Source {
    fn drop(&mut self) {
        crate::broker::end_if_panicking("source");
    }
}

/// What a poll was for and what it brought.
enum Polled {
    Opened(Arc<str>),
    Next(Next),
}

impl Source {
    fn new(settings: Settings, broker: Recipient<Append>, status: Arc<SourceStatus>) -> Source {
        let context = LedgerContext { source: settings.number, status: status.clone() };
        if let Some(journal) = &settings.journal {
            journal.tell(&status);
        }
        Source {
            ledger: Some(build(&settings.ledger, context)),
            number: settings.number,
            broker,
            status,
            addresses: settings.ledger.addresses().len(),
            pace: settings.catch_up,
            journal: settings.journal,
            opened: false,
            catching_up: true,
            last: None,
            backoff: Backoff::default(),
            paced_until: Instant::now(),
            untaken: 0,
            blocked: false,
            kept: false,
            stopping: Vec::new(),
        }
    }

    fn poll(&mut self, ctx: &mut Context<Self>) {
        if !self.stopping.is_empty() {
            return;
        }
        if self.untaken >= MAX_UNTAKEN {
            self.blocked = true;
            return;
        }
        let journal = self.journal.as_ref().filter(|_| self.opened && self.catching_up);
        if let Some(room) = journal.and_then(|journal| journal.room()) {
            ctx.spawn(room.into_actor(self).map(|(), source, ctx| source.poll(ctx)));
            return;
        }
        let Some(mut ledger) = self.ledger.take() else { return };
        let opening = (!self.opened).then(|| (self.journal.clone(), self.last.clone()));
        let number = self.number;
        let poll = async move {
            let polled = match opening {
                Some((journal, last)) => open(&mut *ledger, journal, number, last).await,
                None => ledger.next().await.map(Polled::Next),
            };
            (ledger, polled)
        };
        ctx.spawn(poll.into_actor(self).map(|(ledger, polled), source, ctx| {
            let wait = source.polled(&*ledger, polled, ctx);
            source.ledger = Some(ledger);
            match wait {
                Duration::ZERO => source.poll(ctx),
                wait => {
                    ctx.run_later(wait, Source::poll);
                }
            }
        }));
    }

    /// Takes what a poll brought and says how long to wait until the next.
    fn polled(
        &mut self,
        ledger: &dyn Ledger,
        polled: Result<Polled, SourceError>,
        ctx: &mut Context<Self>,
    ) -> Duration {
        let polled = polled.and_then(|polled| match polled {
            Polled::Next(Next::Batch(batch)) => self.check_order(&batch).map(|()| Polled::Next(Next::Batch(batch))),
            other => Ok(other),
        });
        let polled = match polled {
            Ok(polled) => polled,
            Err(error) => {
                let wait = self.backoff.after_failure(error.retry_after(), ledger.longest_wait(&error));
                self.status.failed(&error, wait, self.addresses);
                return wait;
            }
        };
        self.backoff.reset();
        let behind = ledger.newest().zip(ledger.due()).is_some_and(|(newest, due)| newest >= due);
        match polled {
            Polled::Opened(network) => {
                self.opened = true;
                self.status
                    .opened(&network, &ledger.due().map_or_else(String::new, |due| format!("ledger {due} is next")));
                Duration::ZERO
            }
            Polled::Next(Next::NotYet) => {
                self.status.working(ledger.newest(), behind);
                self.catching_up = false;
                ledger.poll_interval()
            }
            Polled::Next(Next::Batch(batch)) => {
                let (weight, empty) = (batch.weight(), batch.events.is_empty());
                self.post(*batch, ledger, ctx);
                self.status.working(ledger.newest(), behind);
                let left = ledger.newest().zip(ledger.due()).map_or(0, |(newest, due)| newest.saturating_sub(due));
                self.catching_up = behind && (self.catching_up || left >= FAR_BEHIND);
                if behind { self.pace(weight, empty) } else { ledger.poll_interval() }
            }
        }
    }

    /// Indices go forward by one unless the batch says why not. Anything else is a fault of ours;
    /// the source then opens again at the last ledger posted, so that nothing is lost or repeated.
    fn check_order(&mut self, batch: &LedgerBatch) -> Result<(), SourceError> {
        let Some(last) = &self.last else { return Ok(()) };
        let (expected, found) = (last.ledger + 1, batch.ledger.index);
        if found == expected || batch.continuity.is_some() {
            return Ok(());
        }
        self.opened = false;
        Err(SourceError::OutOfOrder { expected, found })
    }

    /// While behind: how long until the pace allows the next ledger.
    fn pace(&mut self, weight: usize, empty: bool) -> Duration {
        let now = Instant::now();
        self.paced_until = self.paced_until.max(now) + cost(&self.pace, weight, empty);
        self.paced_until - now
    }

    fn post(&mut self, batch: LedgerBatch, ledger: &dyn Ledger, ctx: &mut Context<Self>) {
        let checkpoint = Checkpoint {
            network: batch.network.clone(),
            epoch: batch.epoch,
            ledger: batch.ledger.index,
            hash: batch.ledger.hash,
            counters: ledger.counters(),
        };
        let counters = checkpoint.counters.clone();
        self.last = Some(checkpoint);
        self.untaken += 1;
        let posted = Instant::now();
        self.status.posted(&batch, posted);
        let answer = self.broker.send(Append { batch, posted, counters });
        ctx.spawn(answer.into_actor(self).map(move |taken, source, ctx| {
            source.untaken -= 1;
            source.status.taken();
            if taken.is_err() {
                source.status.notice("the broker is gone; the source stops");
                return source.end(ctx);
            }
            if std::mem::take(&mut source.blocked) {
                source.poll(ctx);
            }
            source.end_when_done(ctx);
        }));
    }

    /// Ends when the broker has taken all that was posted, and the disk as well.
    fn end_when_done(&mut self, ctx: &mut Context<Self>) {
        if self.stopping.is_empty() || self.untaken > 0 {
            return;
        }
        match &self.journal {
            Some(journal) if !self.kept => {
                ctx.spawn(journal.flushed().into_actor(self).map(|(), source, ctx| {
                    source.kept = true;
                    source.end_when_done(ctx);
                }));
            }
            _ => self.end(ctx),
        }
    }

    fn end(&mut self, ctx: &mut Context<Self>) {
        self.status.stopped();
        for waiting in self.stopping.drain(..) {
            // Who asked may have gone.
            let _ = waiting.send(());
        }
        ctx.stop();
    }
}

/// Asks the network who it is and begins after the last ledger posted, else after the checkpoint.
async fn open(
    ledger: &mut dyn Ledger,
    journal: Option<Arc<Journal>>,
    number: SourceNumber,
    last: Option<Checkpoint>,
) -> Result<Polled, SourceError> {
    let network = ledger.identify().await?;
    let checkpoint = match (last, journal) {
        (Some(last), _) => Some(last),
        (None, Some(journal)) => {
            let (path, of) = (journal.path().to_owned(), network.clone());
            tokio::task::spawn_blocking(move || journal.checkpoint(number, &of))
                .await
                .map_err(|error| SourceError::Checkpoint { path, reason: error.to_string() })??
        }
        (None, None) => None,
    };
    ledger.open(checkpoint).await?;
    Ok(Polled::Opened(network))
}

impl Actor for Source {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.poll(ctx);
    }
}

impl Handler<Stop> for Source {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) -> Self::Result {
        let (ended, end) = oneshot::channel();
        self.stopping.push(ended);
        ctx.run_later(DRAIN, Source::end);
        self.end_when_done(ctx);
        Box::pin(async move {
            // The sender is only dropped with the actor, which is an end too.
            let _ = end.await;
        })
    }
}

#[cfg(test)]
mod tests;
