//! What all sessions of one worker thread share.

use crate::broker::{Bound, Broker, History, Renderings, Router, Sessions};
use crate::server::metrics::Metrics;
use actix::Addr;
use std::cell::{Cell, OnceCell, RefCell};
use std::sync::atomic::{AtomicU16, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of one read of a socket; one buffer for each thread.
const READ_BUFFER: usize = 16 << 10;

/// Limits that hold for every session.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Bytes of ledger data that may wait for a socket.
    pub outbox: Bound,
    /// A session from which no byte has left for this long while bytes wait is closed.
    pub stall: Duration,
    /// Messages that a client may send in a second.
    pub messages_per_second: u32,
}

/// What all threads share.
pub struct Shared {
    /// Recent ledgers.
    pub history: Arc<History>,
    /// Every rendering.
    pub renderings: Renderings,
    /// The limits.
    pub limits: SessionLimits,
    /// The central actor.
    pub broker: Addr<Broker>,
    /// Connection tasks alive, over all threads.
    pub connections: AtomicUsize,
    /// Where the threads' counts go, once a second.
    pub metrics: Arc<Metrics>,
    /// Every thread's Router, once it runs.
    pub routers: Mutex<Vec<Addr<Router>>>,
    /// The number of the next thread.
    pub next_worker: AtomicU16,
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
    pub(super) read_buffer: RefCell<Box<[u8]>>,
    router: OnceCell<Addr<Router>>,
}

/// Counts of one thread, taken once a second: nothing shared is touched per delivery.
#[derive(Debug, Default)]
pub struct Counters {
    /// Writes to sockets.
    pub writes: Cell<u64>,
    /// Bytes written.
    pub bytes: Cell<u64>,
    /// Events delivered to sessions.
    pub deliveries: Cell<u64>,
    /// Messages from clients.
    pub messages: Cell<u64>,
}

impl Counters {
    pub(super) fn wrote(&self, bytes: usize) {
        self.writes.set(self.writes.get() + 1);
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// Counts events delivered.
    pub fn delivered(&self, events: u64) {
        self.deliveries.set(self.deliveries.get() + events);
    }
}

impl Worker {
    /// A worker whose Router is told by [`Worker::set_router`].
    pub fn new(shared: Arc<Shared>, number: u16) -> Worker {
        let sessions = Sessions::new(shared.history.sources());
        Worker {
            shared,
            number,
            clock: Cell::new(0),
            counters: Counters::default(),
            sessions: RefCell::new(sessions),
            read_buffer: RefCell::new(vec![0; READ_BUFFER].into()),
            router: OnceCell::new(),
        }
    }

    /// Notes the thread's Router, once.
    pub fn set_router(&self, router: Addr<Router>) {
        self.shared.routers.lock().unwrap_or_else(PoisonError::into_inner).push(router.clone());
        let _ = self.router.set(router);
    }

    /// Tells the Router that a lagging session can take more.
    pub fn hungry(&self, slot: u32) {
        let first = self.sessions.borrow_mut().make_hungry(slot);
        if first && let Some(router) = self.router.get() {
            router.do_send(crate::broker::Feed);
        }
    }
}
