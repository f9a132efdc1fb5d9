//! Where in the stream a client wants to go on, from what it names: a cursor, or the number of a ledger.
//!
//! Memory is asked first, under a short lock; what it no longer has, the journal is asked for, off the actors' threads.
//! A place found here does not move: the stream is only appended to.

mod end;

pub use end::{Replayed, judge_end};

use super::StreamEntry;
use super::backlog::{Backlog, BacklogRead, Find, Found};
use super::history::{Fork, History, InMemory, Position};
use crate::dialect::{Lost, Parted, ResumeError};
use crate::event::{CursorEntry, Mark, Place, SourceNumber};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// How often, and how many times, it is looked whether the sources have told their first ledger, and whether they are
/// where the client was: it comes back as soon as the server is up.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const LOOKS: u32 = 150;
/// Ledgers that a client may have seen and the server has not yet: a process that was killed may have told more than it
/// had kept, and its next life reads those again.
const SOON: u64 = 1000;

/// Where a session begins in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourcePlace {
    /// The position.
    pub at: Position,
    /// Events of the source before it.
    pub events: u64,
    /// The first ledger of which something comes after it.
    pub next_ledger: u64,
}

/// Where a session begins in each of its sources, and what is missing.
#[derive(Debug, Default)]
pub struct Located {
    /// In the order of the sources; `None`: at the head.
    pub places: Vec<Option<SourcePlace>>,
    /// Ledgers that are not kept any more.
    pub lost: Vec<Lost>,
    /// Chains that the client was on and that count no more.
    pub parted: Vec<Parted>,
    /// The ledger before the place in the first source, if memory may not have it.
    pub ledger: Option<Arc<StreamEntry>>,
    /// The client wants no more than what begins there: a break before it is none for it.
    pub anew: bool,
    /// How it is fed from there, if not as any that comes back.
    pub replay: Option<Arc<Replayed>>,
}

impl Located {
    /// Why a client that can be told of neither cannot go on.
    pub fn break_before(&self) -> Option<ResumeError> {
        let gone = self.lost.first().map(|lost| ResumeError::Gone { from: lost.from_ledger, to: lost.to_ledger });
        gone.or(self.parted.first().map(|parted| ResumeError::OtherChain { ledger: parted.last_common_ledger + 1 }))
    }
}

/// What may be asked for places: memory, and behind it the journal.
#[derive(Clone)]
pub struct Locator {
    /// Memory.
    pub history: Arc<History>,
    /// The journal.
    pub backlog: Option<Arc<dyn Backlog>>,
    /// How many may ask the journal at a time.
    pub at_once: Arc<Semaphore>,
}

/// What a mark says of one source: the place in it, or its beginning.
struct Wanted {
    source: SourceNumber,
    network: Arc<str>,
    index: u64,
    hash: Option<[u8; 4]>,
    after: Option<Place>,
}

/// What was found of it.
#[derive(Default)]
struct FoundPlace {
    place: Option<SourcePlace>,
    lost: Option<Lost>,
    parted: Option<Parted>,
    ledger: Option<Arc<StreamEntry>>,
    anew: bool,
}

/// Whether a mark can be meant for these sources at all, as far as memory alone can tell.
pub fn judge(history: &History, sources: &[SourceNumber], mark: &Mark) -> Result<(), ResumeError> {
    for wanted in wanted(history, sources, mark)? {
        if let InMemory::After(newest) = history.find(wanted.source, wanted.index, wanted.hash)
            && !wanted.comes_soon(newest.batch.ledger.index)
        {
            wanted.ahead_of(newest)?;
        }
    }
    Ok(())
}

/// What a mark means in these sources.
fn wanted(history: &History, sources: &[SourceNumber], mark: &Mark) -> Result<Vec<Wanted>, ResumeError> {
    let network = |source: SourceNumber| history.newest(source).map(|entry| entry.batch.network.clone());
    let entries = match (mark, sources) {
        (Mark::Ledger(index), [source]) => {
            let network = network(*source).ok_or(ResumeError::NotReady)?;
            return Ok(vec![Wanted { source: *source, network, index: *index, hash: None, after: None }]);
        }
        (Mark::Ledger(_), _) => return Err(ResumeError::SeveralSources),
        // It is asked for elsewhere.
        (Mark::Oldest, _) => return Ok(Vec::new()),
        (Mark::After(cursor), _) => &cursor.entries,
    };
    let mut all = Vec::new();
    let networks: Vec<_> = sources.iter().map(|source| (*source, network(*source))).collect();
    for CursorEntry { network, ledger, place, hash } in entries {
        let of_it = networks.iter().filter(|(_, known)| known.as_deref() == Some(network.as_str()));
        let before = all.len();
        all.extend(of_it.filter_map(|(source, known)| {
            let network = known.clone()?;
            Some(Wanted { source: *source, network, index: *ledger, hash: *hash, after: Some(*place) })
        }));
        if all.len() == before {
            let all_known = networks.iter().all(|(_, known)| known.is_some());
            return Err(if all_known { ResumeError::OtherNetwork } else { ResumeError::NotReady });
        }
    }
    Ok(all)
}

impl Wanted {
    /// Whether the ledger is after the newest, and will be read soon if anybody has ever seen it.
    fn comes_soon(&self, newest: u64) -> bool {
        self.after.is_some() && self.index <= newest.saturating_add(SOON)
    }

    /// What is after the newest is the next ledger at most.
    fn ahead_of(&self, newest: Arc<StreamEntry>) -> Result<FoundPlace, ResumeError> {
        let index = newest.batch.ledger.index;
        if self.after.is_none() && self.index == index + 1 {
            return Ok(FoundPlace { place: Some(after(&newest)), ledger: Some(newest), ..FoundPlace::default() });
        }
        Err(ResumeError::Ahead { ledger: self.index, newest: index })
    }

    /// The place in a ledger that was found.
    fn inside(&self, entry: Arc<StreamEntry>) -> FoundPlace {
        let place = match self.after {
            // A ledger that was never read stands where the one before it does.
            _ if entry.batch.ledger.index < self.index => after(&entry),
            None => before(&entry),
            Some(_) if entry.batch.ledger.index > self.index => before(&entry),
            Some(last) => {
                let event = entry.batch.events.partition_point(|event| event.place <= last) as u32;
                if event == entry.len() {
                    after(&entry)
                } else {
                    SourcePlace {
                        at: Position { sequence: entry.sequence, event },
                        events: entry.first_event + u64::from(event),
                        next_ledger: self.index,
                    }
                }
            }
        };
        // What stands before the beginning of a ledger is another, which memory may have.
        let anew = self.after.is_none() && entry.batch.ledger.index == self.index;
        let ledger = (place.at.event > 0).then_some(entry);
        FoundPlace { place: Some(place), ledger, anew, ..FoundPlace::default() }
    }

    /// The oldest that is kept instead of what is gone.
    fn instead(&self, oldest: &StreamEntry) -> FoundPlace {
        let from_ledger = if self.after == Some(Place::END) { self.index + 1 } else { self.index };
        let to_ledger = oldest.batch.ledger.index.saturating_sub(1);
        let lost = Lost { network: self.network.clone(), from_ledger, to_ledger };
        let lost = (from_ledger <= to_ledger).then_some(lost);
        FoundPlace { place: Some(before(oldest)), lost, ..FoundPlace::default() }
    }

    fn parted(&self, last_common_ledger: u64) -> Option<Parted> {
        Some(Parted { network: self.network.clone(), last_common_ledger })
    }
}

fn before(entry: &StreamEntry) -> SourcePlace {
    let at = Position { sequence: entry.sequence, event: 0 };
    SourcePlace { at, events: entry.first_event, next_ledger: entry.batch.ledger.index }
}

fn after(entry: &StreamEntry) -> SourcePlace {
    let events = entry.first_event + u64::from(entry.len());
    SourcePlace { at: Position::after(entry.sequence), events, next_ledger: entry.batch.ledger.index + 1 }
}

impl Locator {
    /// Where a session of these sources goes on.
    pub async fn locate(self, sources: Arc<[SourceNumber]>, mark: Mark) -> Result<Located, ResumeError> {
        let mut looks = 0;
        let wanted = loop {
            match wanted(&self.history, &sources, &mark) {
                Err(ResumeError::NotReady) if looks < LOOKS => looks += 1,
                wanted => break wanted?,
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let mut located = Located { places: vec![None; sources.len()], ..Located::default() };
        for wanted in wanted {
            let found = loop {
                match self.place(&wanted).await {
                    Err(ResumeError::Ahead { newest, .. }) if looks < LOOKS && wanted.comes_soon(newest) => looks += 1,
                    found => break found?,
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            };
            for (at, source) in sources.iter().enumerate().filter(|(_, source)| **source == wanted.source) {
                located.places[at] = found.place;
                if *source == sources[0] {
                    located.ledger = found.ledger.clone();
                }
            }
            // A number is of the only source.
            located.anew |= found.anew;
            located.lost.extend(found.lost);
            located.parted.extend(found.parted);
        }
        Ok(located)
    }

    async fn place(&self, wanted: &Wanted) -> Result<FoundPlace, ResumeError> {
        let in_memory = self.history.find(wanted.source, wanted.index, wanted.hash);
        match in_memory {
            InMemory::At(entry) => Ok(wanted.inside(entry)),
            InMemory::Missed(entry) => Ok(FoundPlace { place: Some(before(&entry)), ..FoundPlace::default() }),
            InMemory::After(newest) => wanted.ahead_of(newest),
            InMemory::Nothing => Err(ResumeError::NotReady),
            InMemory::Before(_) | InMemory::OtherChain(_) => {
                let reaches = |backlog: &&Arc<dyn Backlog>| {
                    backlog.gone_through(wanted.source) < self.history.gone_through(wanted.source)
                };
                match self.backlog.as_ref().filter(reaches) {
                    Some(backlog) => {
                        // A crowd that comes back takes its turns.
                        let _turn = self.at_once.acquire().await;
                        ask(backlog, wanted, in_memory).await
                    }
                    None => from_memory(wanted, in_memory),
                }
            }
        }
    }
}

/// What memory alone says of a ledger that it has not.
fn from_memory(wanted: &Wanted, in_memory: InMemory) -> Result<FoundPlace, ResumeError> {
    match in_memory {
        InMemory::Before(oldest) => Ok(wanted.instead(&oldest)),
        InMemory::OtherChain(Some(Fork { last_common, next })) => {
            let parted = wanted.parted(last_common);
            Ok(FoundPlace { place: Some(before(&next)), parted, ..FoundPlace::default() })
        }
        _ => Err(ResumeError::OtherChain { ledger: wanted.index }),
    }
}

async fn ask(backlog: &Arc<dyn Backlog>, wanted: &Wanted, in_memory: InMemory) -> Result<FoundPlace, ResumeError> {
    match find(backlog, wanted.source, wanted.index, wanted.hash).await {
        Found::At(sequence) => Ok(wanted.inside(first_from(backlog, wanted.source, sequence).await?)),
        Found::Gone { oldest, .. } => Ok(wanted.instead(&*first_from(backlog, wanted.source, oldest).await?)),
        Found::Ahead { newest_index } => Err(ResumeError::Ahead { ledger: wanted.index, newest: newest_index }),
        Found::OtherChain { last_common: Some(last_common) } => {
            let Found::At(sequence) = find(backlog, wanted.source, last_common, None).await else {
                return from_memory(wanted, in_memory);
            };
            let entry = first_from(backlog, wanted.source, sequence).await?;
            let (place, parted) = (Some(after(&entry)), wanted.parted(last_common));
            Ok(FoundPlace { place, parted, ledger: Some(entry), ..FoundPlace::default() })
        }
        Found::OtherChain { last_common: None } => from_memory(wanted, in_memory),
        Found::Failed(error) => Err(failed(&error)),
    }
}

fn failed(error: &str) -> ResumeError {
    log::error!(error; "the journal cannot be asked where a client was");
    ResumeError::Unavailable
}

async fn find(backlog: &Arc<dyn Backlog>, source: SourceNumber, index: u64, hash: Option<[u8; 4]>) -> Found {
    let (done, found) = oneshot::channel();
    // Nobody waits any more where it cannot be sent.
    backlog.find(source, Find::Ledger { index, hash }, Box::new(move |found| _ = done.send(found)));
    found.await.unwrap_or_else(|_| Found::Failed("no answer".to_owned()))
}

/// The ledger of this sequence, or the first after it that is kept.
async fn first_from(
    backlog: &Arc<dyn Backlog>,
    source: SourceNumber,
    sequence: u64,
) -> Result<Arc<StreamEntry>, ResumeError> {
    let (done, read) = oneshot::channel();
    // One ledger comes, however little is asked for.
    let answer = Box::new(move |read| _ = done.send(read));
    backlog.read(Arc::new([source]), sequence.saturating_sub(1), 1, answer);
    match read.await {
        Ok(BacklogRead::Entries(entries)) if !entries.is_empty() => Ok(entries[0].clone()),
        Ok(BacklogRead::Failed(error)) => Err(failed(&error)),
        Ok(BacklogRead::Entries(_) | BacklogRead::End) => Err(failed("a ledger that was found is not there")),
        Err(_) => Err(failed("no answer")),
    }
}

#[cfg(test)]
mod tests;
