//! Whether clients got what they should: order, loss, repeats, content, filters.
//!
//! Clients with the same filters must get the same bytes in the same order. So each message is compared, by the
//! digest of its bytes, with the next one in the [`Log`] of its filters: that is all that is done for most of them.
//! What is new to the log, or not the next one, is read whole: its filters are judged, its place is found, and what
//! it means is counted. (`--verify all` reads and judges every message of every client.)
//!
//! What cannot be seen: an event that the server sends to none of the clients with the same filters, unless it is a
//! ledger's own; and what a client loses before its first event, or within [`GRACE`] of its registration.

use super::dialect::{Dialect, Event, Fit, Said};
use super::known::Known;
use super::log::{Entry, Key, Log};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// Entries of all logs together, about, and the fewest and most of one.
const ENTRIES: usize = 1 << 20;
const LOG: std::ops::RangeInclusive<usize> = 64..=65_536;
/// A client must get what others first saw this long after its registration, nanoseconds. Before that, its
/// subscription may begin later than the others read.
const GRACE: u64 = 5_000_000_000;
/// Losses of one client that are remembered, in case that they come late.
const REMEMBERED: usize = 32;
/// Networks and their new beginnings that are told apart, gaps that are remembered, codes that are counted.
const STREAMS: usize = 64;
const GAPS: usize = 64;
const CODES: usize = 32;

/// What was found, counted over all clients that are not slow on purpose.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Events that clients read.
    pub events: u64,
    /// Events that others with the same filters got, and this client did not, though it got later ones, or nothing
    /// at all from the end of the measured time on.
    pub lost: u64,
    /// Events that others had at the end, and that were still on their way to this client ten seconds later.
    pub late: u64,
    /// Events that came again.
    pub repeated: u64,
    /// Events that came after later ones.
    pub reordered: u64,
    /// Events whose bytes were others than those that another client got.
    pub different: u64,
    /// Events that do not fit the client's filters.
    pub mismatched: u64,
    /// Events of which the message alone does not tell whether they fit.
    pub unjudged: u64,
    /// Messages that a server of this dialect may not send.
    pub unreadable: u64,
    /// Events too old to be compared with what others got.
    pub unchecked: u64,
    /// What the server told.
    pub told: Told,
}

/// What the server told its clients beside events.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Told {
    /// `gap` messages.
    pub gaps: u64,
    /// `reset` messages.
    pub resets: u64,
    /// Events that it had dropped before a registration, by its own words.
    pub dropped: u64,
    /// `error` messages by code.
    pub errors: BTreeMap<String, u64>,
}

impl Told {
    /// Counts one message. False: it is none of these.
    pub fn count(&mut self, said: &Said) -> bool {
        match said {
            Said::Gap { .. } => self.gaps += 1,
            Said::Reset => self.resets += 1,
            Said::Registered { dropped } => self.dropped += dropped,
            Said::Error(code) => {
                let known = self.errors.contains_key(code) || self.errors.len() < CODES;
                *self.errors.entry(if known { code.clone() } else { "others".to_owned() }).or_default() += 1;
            }
            _ => return false,
        }
        true
    }
}

/// What a message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// An event of this stream and ledger.
    Event {
        /// The stream, as a number.
        stream: usize,
        /// The ledger.
        ledger: u64,
    },
    /// The client's subscription holds.
    Registered,
    /// Anything else.
    Other,
}

/// Where a client stands in a log.
#[derive(Debug)]
struct Cursor {
    log: usize,
    /// The first event that it got, and that one's ledger.
    start: u64,
    start_ledger: u64,
    /// The position after the last one.
    next: u64,
}

#[derive(Debug, Default)]
struct Client {
    group: usize,
    registered: Option<u64>,
    /// New beginnings that it was told of.
    epoch: u32,
    cursors: Vec<Cursor>,
    /// When it last got something.
    last_read: u64,
    /// What it lost lately.
    lost: Vec<(usize, Key)>,
}

/// Clients with the same filters.
struct Group {
    filters: Rc<Value>,
    logs: Vec<Log>,
    /// Where each log ended when the measuring did.
    targets: Vec<u64>,
}

/// Holds all clients against each other.
pub struct Verifier {
    dialect: &'static dyn Dialect,
    every: bool,
    digests: hashbrown::DefaultHashBuilder,
    clients: Vec<Client>,
    groups: Vec<Group>,
    by_filters: HashMap<String, usize>,
    limit: usize,
    streams: Vec<(String, u32)>,
    newest_epoch: u32,
    gaps: Vec<(u64, u64)>,
    known: Known,
    /// What was found so far.
    pub counts: Counts,
}

impl Verifier {
    /// For clients with these filters, in the order of their numbers. `every`: read every message whole.
    pub fn new(dialect: &'static dyn Dialect, every: bool, filters: impl Iterator<Item = String>) -> Verifier {
        let mut verifier = Verifier {
            dialect,
            every,
            digests: hashbrown::DefaultHashBuilder::default(),
            clients: Vec::new(),
            groups: Vec::new(),
            by_filters: HashMap::new(),
            limit: 0,
            streams: Vec::new(),
            newest_epoch: 0,
            gaps: Vec::new(),
            known: Known::default(),
            counts: Counts::default(),
        };
        for filters in filters {
            let group = match verifier.by_filters.get(&filters) {
                Some(group) => *group,
                None => {
                    let json = Rc::new(serde_json::from_str(&filters).unwrap_or_default());
                    verifier.groups.push(Group { filters: json, logs: Vec::new(), targets: Vec::new() });
                    verifier.by_filters.insert(filters, verifier.groups.len() - 1);
                    verifier.groups.len() - 1
                }
            };
            verifier.clients.push(Client { group, ..Client::default() });
        }
        verifier.limit = (ENTRIES / verifier.groups.len().max(1)).clamp(*LOG.start(), *LOG.end());
        verifier
    }

    /// How many different filters there are.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Takes one text message that a client read at `now`.
    pub fn take(&mut self, client: usize, text: &[u8], now: u64) -> Taken {
        let digest = std::hash::BuildHasher::hash_one(&self.digests, text);
        let it = &mut self.clients[client];
        it.last_read = now;
        let group = &self.groups[it.group];
        for cursor in &mut it.cursors {
            let log = &group.logs[cursor.log];
            if let Some(entry) = log.get(cursor.next).filter(|entry| entry.digest == digest) {
                cursor.next += 1;
                self.counts.events += 1;
                let taken = Taken::Event { stream: log.stream, ledger: entry.key.0 };
                if self.every {
                    self.judge_again(client, text);
                }
                return taken;
            }
        }
        match self.known.get(digest) {
            Some(event) => self.event(client, &event, digest, now),
            None => match self.dialect.read(text) {
                Said::Event(event) => {
                    let event = self.known.keep(digest, event, text.len());
                    self.event(client, &event, digest, now)
                }
                said => self.told(client, &said, now),
            },
        }
    }

    /// The client's connection is over, or begins anew: it stands nowhere.
    pub fn leave(&mut self, client: usize) {
        let it = &mut self.clients[client];
        *it = Client { group: it.group, epoch: self.newest_epoch, ..Client::default() };
    }

    /// The measuring is over: clients shall still get all that is in the logs now.
    pub fn aim(&mut self) {
        for group in &mut self.groups {
            group.targets = group.logs.iter().map(Log::end).collect();
        }
    }

    /// How many events a client is still owed, of those that were in the logs when the measuring ended.
    pub fn owed(&self, client: usize) -> u64 {
        let it = &self.clients[client];
        let Some(registered) = it.registered else { return 0 };
        let group = &self.groups[it.group];
        let of_log = |(at, target): (usize, &u64)| {
            let log = &group.logs[at];
            match it.cursors.iter().find(|cursor| cursor.log == at) {
                Some(cursor) => target.saturating_sub(cursor.next.max(log.base())),
                None => log.seen_after(registered + GRACE, log.base()..*target).count() as u64,
            }
        };
        group.targets.iter().enumerate().map(of_log).sum()
    }

    /// Counts what is still owed, as late where a client got something after `since`, and as lost where not.
    pub fn settle(&mut self, clients: impl Iterator<Item = usize>, since: u64) {
        for client in clients {
            let owed = self.owed(client);
            let kind =
                if self.clients[client].last_read > since { &mut self.counts.late } else { &mut self.counts.lost };
            *kind += owed;
        }
    }

    /// Ledgers that nobody got and the server did not announce as missing, of the filter that misses most.
    pub fn missing_ledgers(&self) -> u64 {
        let of_group = |group: &Group| group.logs.iter().map(Log::missing_ledgers).sum();
        self.groups.iter().map(of_group).max().unwrap_or(0)
    }

    fn told(&mut self, client: usize, said: &Said, now: u64) -> Taken {
        self.counts.told.count(said);
        match said {
            Said::Registered { .. } => {
                self.clients[client].registered = Some(now);
                return Taken::Registered;
            }
            Said::Gap { from, to } if !self.gaps.contains(&(*from, *to)) => {
                self.gaps.push((*from, *to));
                if self.gaps.len() > GAPS {
                    self.gaps.remove(0);
                }
            }
            // Ledger numbers may begin anew: what follows is another stream.
            Said::Reset => {
                self.clients[client].epoch += 1;
                self.newest_epoch = self.newest_epoch.max(self.clients[client].epoch);
            }
            Said::Unreadable => self.counts.unreadable += 1,
            _ => {}
        }
        Taken::Other
    }

    fn stream(&mut self, network: &str, epoch: u32) -> Option<usize> {
        let known = self.streams.iter().position(|(name, begun)| name == network && *begun == epoch);
        known.or_else(|| {
            let room = self.streams.len() < STREAMS;
            room.then(|| {
                self.streams.push((network.to_owned(), epoch));
                self.streams.len() - 1
            })
        })
    }

    fn judge(&mut self, filters: &Value, event: &Event) {
        match self.dialect.fits(filters, event) {
            Fit::Yes => {}
            Fit::No => self.counts.mismatched += 1,
            Fit::Unknown => self.counts.unjudged += 1,
        }
    }

    /// The whole check of a message that was like another's, for `--verify all`.
    fn judge_again(&mut self, client: usize, text: &[u8]) {
        let filters = self.groups[self.clients[client].group].filters.clone();
        match self.dialect.read(text) {
            Said::Event(event) => self.judge(&filters, &event),
            _ => self.counts.unreadable += 1,
        }
    }

    /// An event that is not the next one in the log of the client's filters.
    fn event(&mut self, client: usize, event: &Event, digest: u64, now: u64) -> Taken {
        self.counts.events += 1;
        let Some(stream) = self.stream(&event.network, self.clients[client].epoch) else {
            self.counts.unchecked += 1;
            return Taken::Other;
        };
        let taken = Taken::Event { stream, ledger: event.ledger };
        let at_group = self.clients[client].group;
        let group = &mut self.groups[at_group];
        let at_log = group.logs.iter().position(|log| log.stream == stream).unwrap_or_else(|| {
            group.logs.push(Log::new(stream, self.limit));
            group.logs.len() - 1
        });
        let key = (event.ledger, event.place);
        let entry = Entry { key, digest, first_seen: now };
        match group.logs[at_log].find(key) {
            Ok(position) => {
                let different = group.logs[at_log].get(position).is_some_and(|known| known.digest != digest);
                let filters = group.filters.clone();
                if self.arrive(client, at_log, position, key) && different {
                    self.counts.different += 1;
                }
                if different || self.every {
                    self.judge(&filters, event);
                }
            }
            Err(_) if group.logs[at_log].has_forgotten(key) => self.counts.unchecked += 1,
            Err(position) => {
                let filters = group.filters.clone();
                self.judge(&filters, event);
                if position < self.groups[at_group].logs[at_log].end() {
                    self.make_room(at_group, at_log, position, key);
                }
                self.groups[at_group].logs[at_log].insert(position, entry);
                self.arrive(client, at_log, position, key);
                if event.is_ledger {
                    self.note_ledger(client, at_log, event.ledger);
                }
                self.groups[at_group].logs[at_log].trim();
            }
        }
        taken
    }

    /// The client got what stands at `position`. False: it had it already.
    fn arrive(&mut self, client: usize, at_log: usize, position: u64, key: Key) -> bool {
        let it = &mut self.clients[client];
        let log = &self.groups[it.group].logs[at_log];
        let remember = |lost: &mut Vec<(usize, Key)>, key: Key| {
            if lost.len() == REMEMBERED {
                lost.remove(0);
            }
            lost.push((at_log, key));
        };
        let Some(cursor) = it.cursors.iter_mut().find(|cursor| cursor.log == at_log) else {
            // What others saw long after it registered it should have got as well.
            if let Some(registered) = it.registered {
                for entry in log.seen_after(registered + GRACE, log.base()..position) {
                    self.counts.lost += 1;
                    remember(&mut it.lost, entry.key);
                }
            }
            it.cursors.push(Cursor { log: at_log, start: position, start_ledger: key.0, next: position + 1 });
            return true;
        };
        if position >= cursor.next {
            for skipped in cursor.next.max(log.base())..position {
                self.counts.lost += 1;
                if let Some(entry) = log.get(skipped) {
                    remember(&mut it.lost, entry.key);
                }
            }
            cursor.next = position + 1;
            return true;
        }
        if position < cursor.start {
            self.counts.reordered += 1;
            return true;
        }
        match it.lost.iter().position(|lost| *lost == (at_log, key)) {
            Some(late) => {
                it.lost.remove(late);
                self.counts.lost -= 1;
                self.counts.reordered += 1;
                true
            }
            None => {
                self.counts.repeated += 1;
                false
            }
        }
    }

    /// An event comes that belongs before others which are here already: who got those, and earlier ones, has lost
    /// it. If the client that brings it now is one of them, [`Verifier::arrive`] takes that back.
    fn make_room(&mut self, at_group: usize, at_log: usize, position: u64, key: Key) {
        for other in self.clients.iter_mut().filter(|other| other.group == at_group) {
            let Some(cursor) = other.cursors.iter_mut().find(|cursor| cursor.log == at_log) else { continue };
            if cursor.next <= position {
                continue;
            }
            cursor.next += 1;
            if cursor.start >= position {
                cursor.start += 1;
                continue;
            }
            self.counts.lost += 1;
            if other.lost.len() == REMEMBERED {
                other.lost.remove(0);
            }
            other.lost.push((at_log, key));
        }
        if let Some(target) = self.groups[at_group].targets.get_mut(at_log).filter(|target| **target > position) {
            *target += 1;
        }
    }

    fn note_ledger(&mut self, client: usize, at_log: usize, ledger: u64) {
        let it = &self.clients[client];
        let from = it.cursors.iter().find(|cursor| cursor.log == at_log).map_or(ledger, |cursor| cursor.start_ledger);
        let gaps = &self.gaps;
        let announced = |ledger| gaps.iter().any(|(first, last)| (*first..=*last).contains(&ledger));
        self.groups[it.group].logs[at_log].ledger(ledger, from, announced);
    }
}

#[cfg(test)]
mod tests;
