//! What all sessions of one worker thread share.

use super::Waiting;
use crate::broker::{Backlog, Bound, Broker, History, Locator, Renderings, Resume, Router, Sessions};
use crate::server::metrics::Metrics;
use crate::source::UpstreamActor;
use actix::Addr;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bytes of one read of a socket; one buffer for each thread.
const READ_BUFFER: usize = 16 << 10;

/// Limits that hold for every session.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Bytes of ledger data that may wait for a socket.
    pub outbox: Bound,
    /// Bytes that a client may have under way: beyond, it is not read from.
    pub inbound: usize,
    /// A session from which no byte has left for this long while bytes wait is closed.
    pub stall: Duration,
    /// Messages that a client may send in a second.
    pub messages_per_second: u32,
    /// Changes of subscription that may wait for an earlier one of the same session.
    pub waiting_changes: usize,
    /// Bytes that may wait in all outboxes of one thread.
    pub outboxes: usize,
    /// Bytes of messages under way that all clients of one thread may have.
    pub inbounds: usize,
    /// Chunks of the backlog that one thread holds at a time.
    pub replays: usize,
}

/// What all threads share.
pub struct Shared {
    /// Recent ledgers.
    pub history: Arc<History>,
    /// What history no longer holds, if it is kept.
    pub backlog: Option<Arc<dyn Backlog>>,
    /// Every rendering.
    pub renderings: Renderings,
    /// The limits.
    pub limits: SessionLimits,
    /// The central actor.
    pub broker: Addr<Broker>,
    /// The dialect of each mount, by [`crate::broker::MountEntry::number`].
    pub mounts: Vec<&'static str>,
    /// Where the threads' counts go, once a second.
    pub metrics: Arc<Metrics>,
    /// By source: what answers clients' own calls to its RPC, where the family has such calls.
    pub upstreams: Vec<Option<Addr<UpstreamActor>>>,
    /// Every thread's Router by its number, once it runs.
    pub routers: Mutex<BTreeMap<u16, Addr<Router>>>,
    /// The number of the next thread.
    pub next_worker: AtomicU16,
}

#[cfg(test)]
impl Shared {
    /// With ordinary limits and no mounts.
    pub fn for_tests(history: Arc<History>, broker: Addr<Broker>, metrics: Arc<Metrics>) -> Shared {
        let (outbox, stall) = (Bound::of(256 << 10), Duration::from_secs(10));
        Shared {
            history,
            backlog: None,
            renderings: Renderings::default(),
            limits: SessionLimits {
                outbox,
                inbound: 64 << 10,
                stall,
                messages_per_second: 50,
                waiting_changes: 16,
                outboxes: 64 << 20,
                inbounds: 64 << 20,
                replays: 4,
            },
            broker,
            mounts: Vec::new(),
            upstreams: Vec::new(),
            metrics,
            routers: Mutex::default(),
            next_worker: AtomicU16::new(1),
        }
    }
}

/// One worker thread.
pub struct Worker {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// The number of this thread's Router.
    pub number: u16,
    /// Seconds since the thread began; moved on by the Router's tick.
    pub clock: Cell<u32>,
    /// What happened since the last tick.
    pub counters: Counters,
    /// The slots, the groups and the index.
    pub sessions: RefCell<Sessions>,
    /// What waits in their outboxes.
    pub waiting: Waiting,
    /// Bytes of messages that have begun and not ended, of all connections.
    pub under_way: Waiting,
    pub(super) read_buffer: RefCell<Box<[u8]>>,
    /// Sessions that may ask the backlog at a time where their clients were.
    locating: Arc<Semaphore>,
    router: OnceCell<Addr<Router>>,
}

#[cfg(test)]
impl Worker {
    /// Over one source, with a broker that runs.
    pub fn for_tests() -> Worker {
        use actix::Actor;
        let history = Arc::new(History::new(1, 1, 1 << 20));
        let metrics = Arc::new(Metrics::default());
        let broker = Broker::new(history.clone(), metrics.clone(), Arc::new([Arc::from("a")])).start();
        Worker::new(Arc::new(Shared::for_tests(history, broker, metrics)), 0)
    }
}

/// Counts of one thread, taken once a second: nothing shared is touched per delivery.
#[derive(Debug, Default)]
pub struct Counters {
    writes: Cell<u64>,
    bytes: Cell<u64>,
    by_mount: Vec<MountCounters>,
}

#[derive(Debug, Default)]
struct MountCounters {
    deliveries: Cell<u64>,
    messages: Cell<u64>,
}

fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get() + count);
}

impl Counters {
    pub(super) fn wrote(&self, bytes: usize) {
        add(&self.writes, 1);
        add(&self.bytes, bytes as u64);
    }

    /// Events were delivered to sessions of a mount.
    pub fn delivered(&self, mount: u16, events: u64) {
        add(&self.by_mount[usize::from(mount)].deliveries, events);
    }

    /// A client of a mount sent a message.
    pub fn heard(&self, mount: u16) {
        add(&self.by_mount[usize::from(mount)].messages, 1);
    }
}

impl Worker {
    /// A worker whose Router is told by [`Worker::set_router`].
    pub fn new(shared: Arc<Shared>, number: u16) -> Worker {
        let sessions = Sessions::new(shared.history.sources());
        let by_mount = shared.mounts.iter().map(|_| MountCounters::default()).collect();
        let waiting = Waiting::new(shared.limits.outboxes);
        let under_way = Waiting::new(shared.limits.inbounds);
        let locating = Arc::new(Semaphore::new(shared.limits.replays));
        Worker {
            shared,
            number,
            clock: Cell::new(0),
            counters: Counters { by_mount, ..Counters::default() },
            sessions: RefCell::new(sessions),
            waiting,
            under_way,
            read_buffer: RefCell::new(vec![0; READ_BUFFER].into()),
            locating,
            router: OnceCell::new(),
        }
    }

    /// Notes the thread's Router, once.
    pub fn set_router(&self, router: Addr<Router>) {
        self.shared.routers.lock().unwrap_or_else(PoisonError::into_inner).insert(self.number, router.clone());
        let _ = self.router.set(router);
    }

    /// Moves what this thread has counted to where all threads' counts are.
    pub fn hand_over_counts(&self) {
        let metrics = &self.shared.metrics;
        metrics.written(self.counters.bytes.take(), self.counters.writes.take());
        metrics.frames_rendered(self.shared.renderings.take_count());
        for (dialect, counters) in self.shared.mounts.iter().zip(&self.counters.by_mount) {
            metrics.frames_queued(dialect, counters.deliveries.take());
            metrics.inbound_messages(dialect, counters.messages.take());
        }
        let sessions = self.sessions.borrow();
        metrics.worker(self.number.into(), sessions.lags(), self.waiting.bytes(), self.under_way.bytes());
    }

    /// What finds the places that clients name.
    pub fn locator(&self) -> Locator {
        let Shared { history, backlog, .. } = &*self.shared;
        Locator { history: history.clone(), backlog: backlog.clone(), at_once: self.locating.clone() }
    }

    /// Tells the Router that a held session may go on.
    pub fn resume(&self, resume: Resume) {
        if let Some(router) = self.router.get() {
            router.do_send(resume);
        }
    }

    /// Tells the Router that a lagging session can take more.
    pub fn hungry(&self, slot: u32) {
        let first = self.sessions.borrow_mut().make_hungry(slot);
        if first && let Some(router) = self.router.get() {
            router.do_send(crate::broker::Feed);
        }
    }
}
