//! Where in the stream a client wants to go on, from what it names: a cursor, or the number of a ledger.
//!
//! Memory is asked first, under a short lock; what it no longer has, the journal is asked for, off the actors' threads.
//! A place found here does not move: the stream is only appended to.

mod ask;
mod end;

pub use end::{Replayed, judge_end};

use super::StreamEntry;
use super::backlog::{Backlog, Find, Found};
use super::history::{Fork, History, InMemory, Position};
use crate::dialect::{Lost, Parted, ResumeError};
use crate::event::{Chain, ContinuityKind, CursorEntry, Mark, Place, SourceNumber};
use ask::{ask, exactly, failed, find};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// How long it is waited until the sources have told their first ledger, and are where the client was: it comes back as
/// soon as the server is up.
const PATIENCE: Duration = Duration::from_secs(30);
/// What no ledger tells is looked at as often while one waits.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Searches for one place: between two steps of each, what was found may be given up.
const SEARCHES: u32 = 10;
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
    chain: Chain,
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
        if let InMemory::After(newest) = history.find(wanted.source, wanted.index, wanted.chain)
            && !wanted.comes_soon(history, newest.batch.ledger.index)
            && !wanted.may_be_before(newest.batch.epoch)
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
            return Ok(vec![Wanted { source: *source, network, index: *index, chain: Chain::Newest, after: None }]);
        }
        (Mark::Ledger(_), _) => return Err(ResumeError::SeveralSources),
        // It is asked for elsewhere.
        (Mark::Oldest, _) => return Ok(Vec::new()),
        (Mark::After(cursor), _) => &cursor.entries,
    };
    let mut all = Vec::new();
    let networks: Vec<_> = sources.iter().map(|source| (*source, network(*source))).collect();
    for CursorEntry { network, ledger, place, chain } in entries {
        let of_it = networks.iter().filter(|(_, known)| known.as_deref() == Some(network.as_str()));
        let before = all.len();
        all.extend(of_it.filter_map(|(source, known)| {
            let network = known.clone()?;
            Some(Wanted { source: *source, network, index: *ledger, chain: *chain, after: Some(*place) })
        }));
        if all.len() == before {
            let all_known = networks.iter().all(|(_, known)| known.is_some());
            return Err(if all_known { ResumeError::OtherNetwork } else { ResumeError::NotReady });
        }
    }
    Ok(all)
}

impl Wanted {
    /// Whether the ledger is after the newest, and will be read soon if anybody has ever seen it. Anybody may make up a
    /// number, so it must be one that a source has yet to read.
    fn comes_soon(&self, history: &History, newest: u64) -> bool {
        self.index <= newest.saturating_add(SOON) && (self.after.is_some() || !history.is_at_tip(self.source))
    }

    /// Whether it may be of an epoch before this one.
    fn may_be_before(&self, epoch: u32) -> bool {
        match self.chain {
            Chain::Newest => false,
            Chain::Epoch(own) => own < epoch,
            Chain::Hash(_) => epoch > 0,
        }
    }

    /// Whether a source whose newest ledger is this one has come to it.
    fn is_reached(&self, newest: Option<(u32, u64)>) -> bool {
        newest.is_some_and(|(epoch, index)| match self.chain {
            Chain::Epoch(own) => (own, self.index) <= (epoch, index),
            Chain::Newest | Chain::Hash(_) => self.index <= index,
        })
    }

    /// The first ledger that the client may not have the whole of.
    fn first_missing(&self) -> u64 {
        if self.after == Some(Place::END) { self.index.saturating_add(1) } else { self.index }
    }

    /// What is after the newest is the next ledger at most.
    fn ahead_of(&self, newest: Arc<StreamEntry>) -> Result<FoundPlace, ResumeError> {
        let index = newest.batch.ledger.index;
        if self.after.is_none() && self.index == index + 1 {
            return Ok(FoundPlace { place: Some(after(&newest)), ledger: Some(newest), ..FoundPlace::default() });
        }
        Err(ResumeError::Ahead { ledger: self.index, newest: index })
    }

    /// Whether this stands for the ledger, and for others, that could not be kept.
    fn is_hole(&self, entry: &StreamEntry) -> bool {
        let batch = &entry.batch;
        let is_missing = |index| {
            let gap = batch.continuity.as_ref().filter(|gap| gap.kind == ContinuityKind::Gap);
            gap.is_some_and(|gap| (gap.from_ledger..=gap.to_ledger).contains(&index))
        };
        batch.events.is_empty() && is_missing(batch.ledger.index) && is_missing(self.index)
    }

    /// The place after a hole: the client may have a part of what is missing there, so it is told of the rest alone.
    fn behind(&self, hole: &StreamEntry) -> FoundPlace {
        let lost = self.lost(hole.batch.ledger.index);
        FoundPlace { place: Some(after(hole)), lost, ..FoundPlace::default() }
    }

    /// The place in a ledger that was found.
    fn inside(&self, entry: Arc<StreamEntry>) -> FoundPlace {
        if self.is_hole(&entry) {
            return self.behind(&entry);
        }
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

    /// What the client has not, up to this ledger.
    fn lost(&self, to_ledger: u64) -> Option<Lost> {
        let from_ledger = self.first_missing();
        (from_ledger <= to_ledger).then(|| Lost { network: self.network.clone(), from_ledger, to_ledger })
    }

    /// The oldest that is kept instead of what is gone.
    fn instead(&self, oldest: &StreamEntry) -> Result<FoundPlace, ResumeError> {
        let batch = &oldest.batch;
        let to_ledger = match (self.chain, &batch.continuity) {
            (Chain::Epoch(epoch), reset) if epoch < batch.epoch => match reset {
                // It says where the epoch before ended.
                Some(reset) if reset.kind == ContinuityKind::Reset && epoch + 1 == batch.epoch => reset.to_ledger,
                _ => return Err(ResumeError::OtherChain { ledger: self.index }),
            },
            _ => batch.ledger.index.saturating_sub(1),
        };
        Ok(FoundPlace { place: Some(before(oldest)), lost: self.lost(to_ledger), ..FoundPlace::default() })
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
        let patience = Instant::now() + PATIENCE;
        let wanted = loop {
            match wanted(&self.history, &sources, &mark) {
                Err(ResumeError::NotReady) if Instant::now() < patience => {}
                wanted => break wanted?,
            }
            let unknown = sources.iter().map(|source| self.history.watch_newest(*source));
            let unknown: Vec<_> = unknown.filter(|newest| newest.borrow().is_none()).collect();
            let one_of_them = unknown.into_iter().map(|mut newest| {
                Box::pin(async move {
                    let _ = newest.wait_for(Option::is_some).await;
                })
            });
            // None of them: it has come meanwhile. In the end it is looked once more, whatever came of it.
            let one_of_them: Vec<_> = one_of_them.collect();
            if !one_of_them.is_empty() {
                let _ = timeout_at(patience, futures_util::future::select_all(one_of_them)).await;
            }
        };
        let mut located = Located { places: vec![None; sources.len()], ..Located::default() };
        for wanted in wanted {
            // From before the look, so that nothing comes in between unseen.
            let mut newest_ledger = self.history.watch_newest(wanted.source);
            let found = loop {
                match self.place(&wanted).await {
                    Err(ResumeError::Ahead { newest, .. })
                        if Instant::now() < patience && wanted.comes_soon(&self.history, newest) =>
                    {
                        wait_for(&wanted, &mut newest_ledger, patience).await;
                    }
                    Err(error) => break self.before_epoch(&wanted, error).await?,
                    Ok(found) => break found,
                }
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
        for _ in 0..SEARCHES {
            let in_memory = self.history.find(wanted.source, wanted.index, wanted.chain);
            let newest = self.history.newest(wanted.source);
            let may_be_before = newest.is_some_and(|newest| wanted.may_be_before(newest.batch.epoch));
            match in_memory {
                InMemory::At(entry) => return Ok(wanted.inside(entry)),
                InMemory::Nothing => return Err(ResumeError::NotReady),
                InMemory::Missed(entry) if !may_be_before => {
                    return Ok(FoundPlace { place: Some(before(&entry)), ..FoundPlace::default() });
                }
                InMemory::After(newest) if !may_be_before => return wanted.ahead_of(newest),
                _ => {}
            }
            let Some(backlog) = self.reaching(wanted.source) else { return from_memory(wanted, in_memory) };
            // A crowd that comes back takes its turns.
            let turn = self.at_once.acquire().await;
            if let Some(found) = ask(backlog, wanted, in_memory).await? {
                return Ok(found);
            }
            // What was found is given up meanwhile: what can be found now?
            drop(turn);
        }
        Err(failed("what was found is given up again and again"))
    }

    /// The journal, if it has more of a source than memory.
    fn reaching(&self, source: SourceNumber) -> Option<&Arc<dyn Backlog>> {
        let reaches = |backlog: &&Arc<dyn Backlog>| backlog.gone_through(source) < self.history.gone_through(source);
        self.backlog.as_ref().filter(reaches)
    }

    /// What is not there nor comes may be gone, of an epoch of which only later ledgers are kept.
    async fn before_epoch(&self, wanted: &Wanted, error: ResumeError) -> Result<FoundPlace, ResumeError> {
        let newest = self.history.newest(wanted.source).map_or(0, |entry| entry.batch.epoch);
        let backlog = match (error, wanted.chain, self.reaching(wanted.source)) {
            (ResumeError::Ahead { .. }, Chain::Hash(_), Some(backlog)) => backlog,
            // Ahead by its epoch, which a number makes no clearer.
            (ResumeError::Ahead { ledger, .. }, Chain::Epoch(epoch), _) if epoch > newest => {
                return Err(ResumeError::OtherChain { ledger });
            }
            _ => return Err(error),
        };
        let _turn = self.at_once.acquire().await;
        if let Found::At(sequence) = find(backlog, wanted.source, Find::Oldest).await
            && let Some(oldest) = exactly(backlog, wanted.source, sequence).await?
            && oldest.batch.epoch < newest
            && oldest.batch.ledger.index > wanted.index
        {
            return wanted.instead(&oldest);
        }
        Err(error)
    }
}

/// Waits until the source may have come to the ledger, or what else counts may have changed.
async fn wait_for(wanted: &Wanted, newest: &mut watch::Receiver<Option<(u32, u64)>>, patience: Instant) {
    let again = patience.min(Instant::now() + LOOK_AGAIN);
    let is_reached = wanted.is_reached(*newest.borrow_and_update());
    if is_reached {
        // Who was asked did not know it yet.
        sleep(LOOK_AGAIN).await;
    } else if wanted.after.is_some() {
        let _ = timeout_at(patience, newest.wait_for(|newest| wanted.is_reached(*newest))).await;
    } else {
        // A number is not waited for at the tip.
        let _ = timeout_at(again, newest.wait_for(|newest| wanted.is_reached(*newest))).await;
    }
}

/// What memory alone says of a ledger that it has not.
fn from_memory(wanted: &Wanted, in_memory: InMemory) -> Result<FoundPlace, ResumeError> {
    match in_memory {
        InMemory::Before(oldest) => wanted.instead(&oldest),
        InMemory::Missed(entry) => Ok(FoundPlace { place: Some(before(&entry)), ..FoundPlace::default() }),
        InMemory::After(newest) => wanted.ahead_of(newest),
        InMemory::OtherChain(Some(Fork { last_common, next })) => {
            let parted = wanted.parted(last_common);
            Ok(FoundPlace { place: Some(before(&next)), parted, ..FoundPlace::default() })
        }
        _ => Err(ResumeError::OtherChain { ledger: wanted.index }),
    }
}

#[cfg(test)]
mod tests;
