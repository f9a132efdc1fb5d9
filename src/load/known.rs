//! Messages that were read whole lately, so that one that goes to clients with many different filters is read once.

use super::dialect::Event;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// How many are kept, and how many bytes of text they were.
const EVENTS: usize = 4096;
const BYTES: usize = 8 << 20;

/// Events by the digest of their bytes.
#[derive(Default)]
pub struct Known {
    events: HashMap<u64, Rc<Event>>,
    order: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Known {
    /// The event whose bytes have this digest.
    pub fn get(&self, digest: u64) -> Option<Rc<Event>> {
        self.events.get(&digest).cloned()
    }

    /// Keeps an event for a while.
    pub fn keep(&mut self, digest: u64, event: Event, bytes: usize) -> Rc<Event> {
        let event = Rc::new(event);
        self.events.insert(digest, event.clone());
        self.order.push_back((digest, bytes));
        self.bytes += bytes;
        while self.order.len() > EVENTS || self.bytes > BYTES {
            let Some((oldest, bytes)) = self.order.pop_front() else { break };
            self.events.remove(&oldest);
            self.bytes -= bytes;
        }
        event
    }
}
