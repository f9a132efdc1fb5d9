//! Where memory has a ledger that somebody names, and where a session begins that goes on there.

use super::{Begin, History, Position, Row};
use crate::broker::StreamEntry;
use crate::broker::locate::Located;
use crate::dialect::Resumed;
use crate::event::{Continuity, ContinuityKind, Cursor, CursorEntry, Place, SourceNumber};
use std::collections::VecDeque;
use std::sync::Arc;

/// What memory has of a ledger.
#[derive(Debug, Clone)]
pub enum InMemory {
    /// The ledger.
    At(Arc<StreamEntry>),
    /// It was missed: the ledger after the gap.
    Missed(Arc<StreamEntry>),
    /// It is before the oldest that is kept, which this is.
    Before(Arc<StreamEntry>),
    /// It is after the newest, which this is.
    After(Arc<StreamEntry>),
    /// Its number is known with another hash.
    OtherChain(Option<Fork>),
    /// No ledger of the source is known.
    Nothing,
}

/// Where the chain of a ledger that was replaced leaves the one that replaced it.
#[derive(Debug, Clone)]
pub struct Fork {
    /// The last ledger of both.
    pub last_common: u64,
    /// The first ledger after it of the chain that counts.
    pub next: Arc<StreamEntry>,
}

/// The sequences of ledgers that do not continue the row before them, oldest first: between two of them indices rise.
/// Noted as ledgers are appended, so that whoever looks for one does not hold the lock for long.
#[derive(Default)]
pub(super) struct Breaks {
    sequences: VecDeque<u64>,
    /// Everything up to this sequence was looked at.
    through: u64,
}

impl Breaks {
    pub(super) fn look(&mut self, entries: &VecDeque<Arc<StreamEntry>>) {
        let oldest = entries.front().map_or(0, |entry| entry.sequence);
        while self.sequences.front().is_some_and(|sequence| *sequence < oldest) {
            self.sequences.pop_front();
        }
        let new = entries.partition_point(|entry| entry.sequence <= self.through);
        for at in new..entries.len() {
            let (entry, before) = (&entries[at], at.checked_sub(1).map(|before| &entries[before]));
            let continues = |before: &Arc<StreamEntry>| {
                let (old, new) = (&before.batch, &entry.batch);
                new.continuity.is_none() && old.epoch == new.epoch && old.ledger.index < new.ledger.index
            };
            if before.is_none_or(|before| !continues(before)) {
                self.sequences.push_back(entry.sequence);
            }
        }
        self.through = entries.back().map_or(self.through, |entry| entry.sequence);
    }
}

impl Row {
    fn find(&mut self, index: u64, hash: Option<[u8; 4]>) -> InMemory {
        self.breaks.look(&self.entries);
        let entries = &self.entries;
        let (Some(oldest), Some(newest)) = (entries.front(), entries.back()) else { return InMemory::Nothing };
        let (mut missed, mut fork, mut other, mut highest) = (None, None, false, 0);
        let mut end = entries.len();
        let starts = self.breaks.sequences.iter().rev();
        let starts = starts.map(|start| entries.partition_point(|entry| entry.sequence < *start));
        // The oldest may stand in the middle of its row, whose beginning is gone.
        for start in starts.chain([0]) {
            if start >= end {
                continue;
            }
            // A bare number means the chain that counts.
            if hash.is_none() && entries[start].batch.epoch != newest.batch.epoch {
                break;
            }
            highest = highest.max(entries[end - 1].batch.ledger.index);
            let (mut at, mut after) = (start, end);
            while at < after {
                let middle = at + (after - at) / 2;
                if entries[middle].batch.ledger.index < index {
                    at = middle + 1;
                } else {
                    after = middle;
                }
            }
            let first = &entries[start];
            match &first.batch.continuity {
                Some(Continuity { kind, from_ledger, to_ledger, .. })
                    if (*from_ledger..=*to_ledger).contains(&index) =>
                {
                    match kind {
                        ContinuityKind::Gap => missed = missed.or(Some(first.clone())),
                        // The first of several: it was before all of them.
                        ContinuityKind::Reorg => {
                            fork = Some(Fork { last_common: from_ledger.saturating_sub(1), next: first.clone() });
                        }
                        ContinuityKind::Reset => {}
                    }
                }
                _ => {}
            }
            if at < end && entries[at].batch.ledger.index == index {
                let found = &entries[at];
                let known = found.batch.ledger.short_hash();
                if hash.is_none_or(|hash| known.is_none_or(|known| known == hash)) {
                    return InMemory::At(found.clone());
                }
                other = true;
            } else if start < at && at < end {
                missed = missed.or(Some(entries[at].clone()));
            }
            end = start;
        }
        match missed {
            Some(after_gap) if !other => InMemory::Missed(after_gap),
            _ if other || fork.is_some() => InMemory::OtherChain(fork),
            _ if index > highest => InMemory::After(newest.clone()),
            _ => InMemory::Before(oldest.clone()),
        }
    }
}

impl History {
    /// Where the ledger of a source is, by its index and, where both know it, the beginning of its hash. Without a hash
    /// it is the newest of that index.
    pub fn find(&self, source: SourceNumber, index: u64, hash: Option<[u8; 4]>) -> InMemory {
        self.rows().by_source[usize::from(source)].find(index, hash)
    }

    /// Sequence of the newest ledger of a source that memory has given up.
    pub fn gone_through(&self, source: SourceNumber) -> u64 {
        self.rows().by_source[usize::from(source)].gone_through
    }

    /// The cursor of a position between two ledgers; `None` as long as a source has none before it.
    pub fn cursor_at(&self, sources: &[SourceNumber], at: Position) -> Option<Cursor> {
        let entry = |source: &SourceNumber| {
            let found = self.ledger_at(*source, at)?;
            let (network, ledger) = (found.batch.network.as_ref().into(), &found.batch.ledger);
            Some(CursorEntry { network, ledger: ledger.index, place: Place::END, hash: ledger.short_hash() })
        };
        sources.iter().map(entry).collect::<Option<_>>().map(|entries| Cursor { entries })
    }

    /// Where a session of these sources begins that goes on where its client was: at the earliest of the places, and in
    /// each source at its own; where it named none, at the head.
    pub fn begin_at(&self, sources: &[SourceNumber], located: Located) -> Begin {
        let rows = self.rows();
        let head = Position::after(rows.head);
        let Located { places, lost, parted, ledger, anew, replay } = located;
        let mut told = Resumed { lost, parted, ..Resumed::default() };
        let mut starts: Vec<(Position, SourceNumber)> = Vec::with_capacity(sources.len());
        for (source, place) in sources.iter().zip(places) {
            let row = &rows.by_source[usize::from(*source)];
            starts.push((place.map_or(head, |place| place.at), *source));
            if let Some(place) = place {
                told.events += row.events.saturating_sub(place.events);
                let newest = row.entries.back().map_or(0, |newest| newest.batch.ledger.index);
                told.ledgers += (newest + 1).saturating_sub(place.next_ledger);
            }
        }
        // The last is taken first.
        starts.sort_unstable_by(|one, other| other.cmp(one));
        let at = starts.last().map_or(head, |(at, _)| *at);
        let later = starts.into_iter().filter(|(start, _)| *start > at).collect();
        Begin { at, dropped: 0, resumed: Some(Box::new(super::Resumption { later, told, ledger, anew, replay })) }
    }
}
