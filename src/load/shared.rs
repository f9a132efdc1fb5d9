//! What all clients of a run share. One thread runs them all, so there are no locks.

use super::connect::Target;
use super::dialect::Dialect;
use super::latency::{Latencies, histogram};
use super::template::Template;
use super::verify::{Told, Verifier};
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use tokio::sync::{Notify, Semaphore};

/// Bytes that one read takes at most.
const BUFFER: usize = 256 << 10;
/// Connections that are opened at the same time: more than this only wait in the server's queue.
const DOORS: usize = 256;

/// What tells a client to close.
#[derive(Debug, Default)]
pub struct Control {
    /// Wakes the client: it closes.
    pub notify: Notify,
    /// Whether it shall not come back.
    pub ends: Cell<bool>,
}

/// Counts beside the verifier's.
#[derive(Debug)]
pub struct Tally {
    /// Sessions that were registered.
    pub connected: u64,
    /// Clients that were registered once.
    pub arrived: u64,
    /// Connections that failed, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Clients that left and came back.
    pub came_back: u64,
    /// From the planned time to the registration, nanoseconds.
    pub connecting: Histogram<u64>,
    /// Sessions that the server ended, by close code.
    pub closed: BTreeMap<String, u64>,
    /// Bytes read.
    pub bytes: u64,
    /// Clients that are slow on purpose.
    pub slow: Slow,
}

/// What clients that are slow on purpose were told.
#[derive(Debug, Default, Clone, serde::Serialize)]
pub struct Slow {
    /// How many there shall be.
    pub clients: u64,
    /// Sessions that were opened.
    pub connected: u64,
    /// Events that they read.
    pub events: u64,
    /// What the server told them.
    pub told: Told,
    /// How the server ended them, by close code.
    pub closed: BTreeMap<String, u64>,
}

/// Everything that clients share.
pub struct Shared {
    /// Where they connect.
    pub target: Target,
    /// What they speak.
    pub dialect: &'static dyn Dialect,
    /// What they ask for.
    pub template: Template,
    /// Holds them against each other.
    pub verifier: RefCell<Verifier>,
    /// How long it took.
    pub latencies: RefCell<Latencies>,
    /// What else was counted.
    pub tally: RefCell<Tally>,
    /// Each read goes in here.
    pub buffer: RefCell<Box<[u8]>>,
    /// Who may open a connection now.
    pub doors: Semaphore,
    /// One for each client.
    pub controls: Vec<Control>,
}

impl Shared {
    /// For so many clients.
    pub fn new(
        target: Target,
        dialect: &'static dyn Dialect,
        template: Template,
        verifier: Verifier,
        latencies: Latencies,
        clients: usize,
    ) -> Shared {
        let tally = Tally {
            connected: 0,
            arrived: 0,
            failures: BTreeMap::new(),
            came_back: 0,
            connecting: histogram(),
            closed: BTreeMap::new(),
            bytes: 0,
            slow: Slow::default(),
        };
        Shared {
            target,
            dialect,
            template,
            verifier: RefCell::new(verifier),
            latencies: RefCell::new(latencies),
            tally: RefCell::new(tally),
            buffer: RefCell::new(vec![0; BUFFER].into()),
            doors: Semaphore::new(DOORS),
            controls: (0..clients).map(|_| Control::default()).collect(),
        }
    }

    /// Tells a client to end.
    pub fn end(&self, client: usize) {
        self.controls[client].ends.set(true);
        self.controls[client].notify.notify_one();
    }

    /// Tells a client to leave and come back.
    pub fn leave(&self, client: usize) {
        self.controls[client].notify.notify_one();
    }
}
