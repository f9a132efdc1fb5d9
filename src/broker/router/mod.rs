//! The Broker's arm in one worker thread: takes ledgers to the sessions that live there.
//!
//! In: heads and changes from the Broker, in one order; hungry sessions from their connection
//! tasks; chunks of the backlog. Out: bytes in outboxes, and [`Advanced`] when a head has been worked up to.
//!
//! Work goes in slices: 512 sessions of the ledger under way, then a share for lagging sessions,
//! then the thread's other tasks. A change is applied between two ledgers only. Replays whose next ledger is not due
//! have one timer together.

mod census;
mod crowd;
mod drain;
mod fan_out;
mod feed;
mod pace;
mod replay;
mod revoke;
mod sessions;
mod tick;

pub use census::{Census, SessionReport, SortBy, TakeCensus, WorkerCount};
pub use crowd::OUTBOX_TOTAL;
pub use drain::Drain;
pub use revoke::Revoke;
pub use sessions::{Lags, MountEntry, SessionRef, Sessions};

use super::Clause;
use super::actor::{Advanced, Join, Wish};
use super::history::{Begin, Position, Read};
use crate::dialect::{Answer, Applied, Change, Ending, Release, Start};
use crate::session::{ChangeApplied, End, Held, Worker};
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message};
use fan_out::Job;
use feed::Memo;
use pace::Aside;
use replay::Replay;
use sessions::{Lag, Slot};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// Sessions of one slice.
const SLICE: usize = 512;
/// Values that go into the index, and others out of it, in about the time of one write to a socket.
const VALUES_OF_A_WRITE: usize = 16;

/// Work up to this head, then answer [`Advanced`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct Advance {
    /// Broker sequence of the newest ledger.
    pub head: u64,
}

/// Put a change of subscription into force, after working up to the head at which it was stamped.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Apply {
    /// Which session.
    pub session: SessionRef,
    /// The head at which the Broker stamped it.
    pub head: u64,
    /// Where a first subscription begins; `None`: at the session's own position.
    pub begin: Option<Begin>,
    /// What it wants.
    pub wish: Wish,
}

/// Let a session go on from where its position was held.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Resume {
    /// Which session.
    pub session: SessionRef,
    /// What it wants from then on, and the answer that comes before.
    pub release: Release,
}

/// Lagging sessions can take more. Sent once, until the Router has looked.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Feed;

/// The actor.
pub struct Router {
    worker: Rc<Worker>,
    /// Everything up to this sequence has been taken to the live sessions.
    head: u64,
    /// What the Broker told last, and whether it waits for an answer.
    target: u64,
    unanswered: bool,
    changes: VecDeque<Apply>,
    job: Option<Job>,
    memo: Memo,
    /// What is read from behind history.
    replay: Replay,
    /// Replays whose next ledger is not due.
    aside: Aside,
    /// A further slice is on its way.
    scheduled: bool,
    /// Those who read the past wait a moment.
    resting: bool,
    /// A second ago somebody was live here.
    has_live: bool,
    /// For so many seconds the outboxes have been crowded.
    crowded: u32,
    /// A second ago senders of long messages had to wait.
    senders_wait: bool,
}

impl Router {
    /// The Router of a worker.
    pub fn new(worker: Rc<Worker>) -> Router {
        let replay = Replay::new(worker.shared.backlog.clone(), worker.shared.limits.replays);
        Router {
            worker,
            head: 0,
            target: 0,
            unanswered: false,
            changes: VecDeque::new(),
            job: None,
            memo: Memo::default(),
            replay,
            aside: Aside::default(),
            scheduled: false,
            resting: false,
            has_live: false,
            crowded: 0,
            senders_wait: false,
        }
    }

    /// One slice of whatever is to be done, and the next one on its way if anything is left.
    fn work(&mut self, ctx: &mut Context<Self>) {
        let mut replays = false;
        unconstrained(|| {
            let mut budget = SLICE;
            while budget > 0 && self.step(&mut budget) {}
            if !self.resting {
                replays = self.feed_turn();
            }
        });
        // A change may have carried us past the target already.
        if self.unanswered && self.head >= self.target {
            self.unanswered = false;
            self.worker.shared.broker.do_send(Advanced { number: self.worker.number });
        }
        if self.job.is_some() || !self.changes.is_empty() || self.head < self.target {
            self.schedule(ctx);
        } else if replays && self.has_live {
            self.rest(ctx);
        } else if self.has_hungry() {
            self.schedule_feeding(ctx);
        }
        self.arm(ctx);
    }

    /// A slice soon, if anything of it may be for those who lag.
    fn schedule_feeding(&mut self, ctx: &mut Context<Self>) {
        if !self.resting {
            self.schedule(ctx);
        }
    }

    /// Feeds nobody for a moment. A thread that is never idle is at the end of every queue for a processor, and so is
    /// the next ledger then.
    fn rest(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.resting, true) {
            ctx.spawn(actix::fut::wrap_future(tokio::time::sleep(feed::REST)).map(|(), router: &mut Self, ctx| {
                router.resting = false;
                router.schedule(ctx);
            }));
        }
    }

    /// A slice at the thread's next turn. Through the run queue and not the mailbox: an actor
    /// empties its mailbox in one go, and the thread's other tasks would wait.
    fn schedule(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.scheduled, true) {
            ctx.spawn(actix::fut::wrap_future(tokio::task::yield_now()).map(|(), router: &mut Self, ctx| {
                router.scheduled = false;
                router.work(ctx);
            }));
        }
    }

    /// The next thing in the order of the stream. False when there is nothing.
    fn step(&mut self, budget: &mut usize) -> bool {
        if let Some(job) = &mut self.job {
            if job.run(&self.worker, budget) {
                self.finish_job();
            }
            return true;
        }
        // A change waits until everything before it has been taken round.
        let next_stop = self.changes.front().map_or(self.target, |change| change.head);
        if self.head < next_stop {
            *budget -= 1;
            self.start_job(next_stop);
        } else if let Some(change) = self.changes.pop_front() {
            *budget = budget.saturating_sub(cost(&change.wish));
            self.apply(change);
        } else {
            return false;
        }
        true
    }

    /// Begins with the ledger after our head.
    fn start_job(&mut self, up_to: u64) {
        let history = &self.worker.shared.history;
        match history.read(history.all_sources(), Position::after(self.head), up_to) {
            Read::Entry(entry, _) => {
                self.job = Some(Job::new(entry));
                return;
            }
            Read::Gone => {
                // This thread is further behind than history reaches. Its sessions are lagging
                // ones, then: each is told by its own position what it lost.
                log::warn!(router = self.worker.number, head = self.head; "worker thread is behind history");
                self.worker.sessions.borrow_mut().all_lag(Position::after(self.head));
            }
            // Nothing is kept of what was appended up to here.
            Read::Newest => {}
        }
        self.head = up_to;
        let events = history.events_before(Position::after(up_to));
        self.worker.sessions.borrow_mut().skip_to(up_to, events);
    }

    fn finish_job(&mut self) {
        if let Some(job) = self.job.take() {
            self.head = job.entry.sequence;
            self.worker.sessions.borrow_mut().job_ended(&job.entry);
        }
    }

    /// Puts a change into force: for a live session now, for a lagging one at its next boundary.
    fn apply(&mut self, apply: Apply) {
        let mut sessions = self.worker.sessions.borrow_mut();
        let Some(slot) = sessions.slot_of(apply.session) else { return };
        if slot.session.is_none() {
            // It is closing.
            return;
        }
        match &mut slot.lag {
            // It was held where its client had been, and subscribes only now.
            Some(lag) if apply.begin.is_none() && slot.subscription.is_none() => {
                let at = lag.at;
                sessions.grant(&self.worker, apply.session.slot, apply.wish, Begin::at(at));
                sessions.make_hungry(apply.session.slot);
            }
            Some(lag) if apply.begin.is_none() => {
                lag.pending = Some(apply.wish);
                // A replay whose next ledger is not due would look at it no sooner.
                sessions.make_hungry(apply.session.slot);
            }
            _ => {
                let head = Position::after(self.head);
                let begin = apply.begin.unwrap_or_else(|| Begin::at(head));
                let lag = Lag::from(&begin, &slot.sources);
                if sessions.grant(&self.worker, apply.session.slot, apply.wish, begin) == Granted::Held {
                    return;
                }
                if lag.at < head {
                    sessions.lag(apply.session.slot, lag);
                    sessions.make_hungry(apply.session.slot);
                }
            }
        }
    }
}

/// What became of a session's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Granted {
    /// It goes on from there.
    Subscribed,
    /// It stays there.
    Held,
}

impl Sessions {
    /// Puts what a session wants into force at this point.
    fn grant(&mut self, worker: &Worker, slot: u32, wish: Wish, begin: Begin) -> Granted {
        match wish {
            Wish::Change(change) => {
                self.subscribe(worker, slot, change, begin);
                Granted::Subscribed
            }
            Wish::Hold => {
                let Some(entry) = self.slot(slot) else { return Granted::Held };
                match &mut entry.lag {
                    Some(lag) => lag.held = true,
                    None => entry.lag = Some(Box::new(Lag { held: true, ..Lag::from(&begin, &entry.sources) })),
                }
                if let Some(session) = &entry.session {
                    session.do_send(Held(applied(entry, worker, begin)));
                }
                Granted::Held
            }
        }
    }

    /// The answer into the data lane, the subscription into the index, the session told.
    fn subscribe(&mut self, worker: &Worker, slot: u32, change: Change, begin: Begin) {
        self.unsubscribe(slot);
        let Some(entry) = self.slot(slot) else { return };
        if let Some(frame) = (change.answer)(&applied(entry, worker, begin)) {
            entry.link.push_answer(frame, worker);
            entry.link.flush(worker);
        }
        if let Some(session) = &entry.session {
            session.do_send(ChangeApplied);
        }
        self.enter(slot, change.subscription);
    }

    /// Tells a session to close, once.
    fn end(&mut self, slot: u32, ending: Ending, lag: u64) {
        self.end_as(slot, End::of(ending, lag));
    }

    fn end_as(&mut self, slot: u32, end: End) {
        let Some(entry) = self.slot(slot) else { return };
        if let (Some(session), false) = (&entry.session, entry.ending) {
            entry.ending = true;
            session.do_send(end);
        }
    }
}

/// What a change costs of a slice: its values go into the index one by one, and those before it out of it.
fn cost(wish: &Wish) -> usize {
    let Wish::Change(change) = wish else { return 1 };
    let values = |clause: &Clause| clause.subjects.len() + clause.assets.len();
    1 + change.subscription.clauses.iter().map(values).sum::<usize>() / VALUES_OF_A_WRITE
}

/// What a dialect is told of the point at which its wish took effect.
fn applied(slot: &Slot, worker: &Worker, begin: Begin) -> Applied {
    let first = slot.sources.first();
    let (told, before) = begin.resumed.map(|resumed| (resumed.told, resumed.ledger)).unzip();
    let in_memory = || first.and_then(|first| worker.shared.history.ledger_at(*first, begin.at));
    Applied { dropped: begin.dropped, ledger: before.flatten().or_else(in_memory), resumed: told }
}

/// Runs `work` outside of tokio's co-operative budget: within it, writes to sockets would begin to
/// say "not now" after the first hundred.
fn unconstrained(work: impl FnOnce()) {
    let mut work = Some(work);
    let once = std::future::poll_fn(|_| {
        if let Some(work) = work.take() {
            work();
        }
        Poll::Ready(())
    });
    let mut waker = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = pin!(tokio::task::unconstrained(once)).as_mut().poll(&mut waker);
}

/// Without it the sessions of this thread would be open and silent.
impl Drop for Router {
    fn drop(&mut self) {
        super::end_if_panicking("router");
    }
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // What was before there were sessions here, such as what a restart put back, is nobody's to be taken round.
        let history = &self.worker.shared.history;
        self.head = history.head();
        let events = history.events_before(Position::after(self.head));
        self.worker.sessions.borrow_mut().skip_to(self.head, events);
        self.replay.set_router(ctx.address());
        self.worker.set_router(ctx.address());
        self.worker.shared.broker.do_send(Join { router: ctx.address(), number: self.worker.number });
        ctx.run_interval(std::time::Duration::from_secs(1), |router, _| router.tick());
    }
}

impl Handler<Advance> for Router {
    type Result = ();
    fn handle(&mut self, advance: Advance, ctx: &mut Self::Context) {
        self.target = advance.head;
        self.unanswered = true;
        self.work(ctx);
    }
}

impl Handler<Apply> for Router {
    type Result = ();
    fn handle(&mut self, apply: Apply, ctx: &mut Self::Context) {
        self.changes.push_back(apply);
        // Not at once: a crowd that registers together is fed together.
        self.schedule(ctx);
    }
}

impl Handler<Resume> for Router {
    type Result = ();
    fn handle(&mut self, Resume { session, release }: Resume, ctx: &mut Self::Context) {
        let worker = self.worker.clone();
        let mut sessions = worker.sessions.borrow_mut();
        let Some(slot) = sessions.slot_of(session) else { return };
        let Some(lag) = slot.lag.as_mut().filter(|lag| lag.held) else { return };
        lag.held = false;
        let at = lag.at;
        match release.subscription {
            Some(subscription) => {
                let answer: Answer = Box::new(|_| Some(release.answer));
                let change = Change { subscription, start: Start::Head, answer };
                sessions.subscribe(&worker, session.slot, change, Begin::at(at));
            }
            None => {
                if slot.subscription.is_none() && !lag.resumed {
                    // It never had a place in the stream.
                    slot.lag = None;
                }
                slot.link.push_answer(release.answer, &worker);
                slot.link.flush(&worker);
                if let Some(session) = &slot.session {
                    session.do_send(ChangeApplied);
                }
            }
        }
        sessions.make_hungry(session.slot);
        drop(sessions);
        self.schedule_feeding(ctx);
    }
}

impl Handler<Feed> for Router {
    type Result = ();
    fn handle(&mut self, _: Feed, ctx: &mut Self::Context) {
        self.schedule_feeding(ctx);
    }
}

#[cfg(test)]
mod tests;
