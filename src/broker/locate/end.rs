//! Where a replay begins and ends.

use super::{FoundPlace, LOOK_AGAIN, LOOKS, Located, Locator, before, first_from, wanted};
use crate::broker::history::{History, InMemory, Position, Read};
use crate::dialect::{ReplayEnd, ResumeError};
use crate::event::{Cursor, CursorEntry, Mark, Place, Replay, SourceNumber, Speed};
use std::sync::Arc;

/// How a session that begins in the past is fed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How fast.
    pub speed: Speed,
    /// The place in the stream where it ends, and what is told there.
    pub end: Option<(Position, ReplayEnd)>,
}

/// Whether the end can be meant at all for a client that begins there, as far as memory alone can tell.
pub fn judge_end(history: &History, sources: &[SourceNumber], mark: &Mark, until: &Mark) -> Result<(), ResumeError> {
    if let (Mark::Ledger(from), Mark::Ledger(to)) = (mark, until)
        && to < from
    {
        return Err(ResumeError::EndBefore { ledger: *to });
    }
    for wanted in wanted(history, sources, until)? {
        if let InMemory::After(newest) = history.find(wanted.source, wanted.index, wanted.hash) {
            return Err(ResumeError::EndAhead { ledger: wanted.index, newest: newest.batch.ledger.index });
        }
    }
    Ok(())
}

impl Locator {
    /// Where a session of these sources begins, and where it ends.
    pub async fn begin(self, sources: Arc<[SourceNumber]>, mark: Mark, replay: Replay) -> Result<Located, ResumeError> {
        let mut located = match mark {
            Mark::Oldest => self.oldest(&sources).await?,
            mark => self.clone().locate(sources.clone(), mark).await?,
        };
        if !replay.is_plain() {
            let Replay { speed, until } = replay;
            let end = match until {
                Some(until) => Some(self.end(&sources, &until, &located).await?),
                None => None,
            };
            located.replay = Some(Arc::new(Replayed { speed, end }));
        }
        Ok(located)
    }

    /// With the oldest ledger of each source.
    async fn oldest(&self, sources: &[SourceNumber]) -> Result<Located, ResumeError> {
        let mut places = Vec::with_capacity(sources.len());
        for source in sources {
            let mut looks = 0;
            while self.history.newest(*source).is_none() {
                if looks == LOOKS {
                    return Err(ResumeError::NotReady);
                }
                looks += 1;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            let gone = self.history.gone_through(*source);
            let backlog = self.backlog.as_ref().map(|backlog| (backlog, backlog.gone_through(*source)));
            let entry = match backlog.filter(|(_, of_it)| *of_it < gone) {
                Some((backlog, gone)) => {
                    let _turn = self.at_once.acquire().await;
                    first_from(backlog, *source, gone + 1).await?
                }
                None => match self.history.read(&[*source], Position::after(gone), u64::MAX) {
                    Read::Entry(entry, _) => entry,
                    Read::Newest | Read::Gone => return Err(ResumeError::Unavailable),
                },
            };
            places.push(Some(before(&entry)));
        }
        Ok(Located { places, anew: true, ..Located::default() })
    }

    /// The place of the end. Where it names several networks, the latest of theirs: the stream is one.
    async fn end(
        &self,
        sources: &[SourceNumber],
        until: &Mark,
        located: &Located,
    ) -> Result<(Position, ReplayEnd), ResumeError> {
        let mut end: Option<(Position, u64)> = None;
        let mut cursor = Cursor::default();
        for mut wanted in wanted(&self.history, sources, until)? {
            let (ledger, after) = (wanted.index, *wanted.after.get_or_insert(Place::END));
            let found = self.place(&wanted).await.map_err(|error| match error {
                ResumeError::Ahead { ledger, newest } => ResumeError::EndAhead { ledger, newest },
                ResumeError::OtherChain { ledger } => ResumeError::EndOtherChain { ledger },
                other => other,
            })?;
            let FoundPlace { place: Some(place), lost: None, parted: None, ledger: entry, .. } = found else {
                let gone = found.lost.is_some();
                let error = if gone { ResumeError::EndGone { ledger } } else { ResumeError::EndOtherChain { ledger } };
                return Err(error);
            };
            if end.is_none_or(|(latest, _)| latest < place.at) {
                end = Some((place.at, ledger));
            }
            let hash = entry.filter(|entry| entry.batch.ledger.index == ledger);
            let hash = hash.map_or(wanted.hash, |entry| entry.batch.ledger.short_hash());
            let entry = CursorEntry { network: wanted.network.as_ref().into(), ledger, place: after, hash };
            cursor = cursor.and(Cursor { entries: vec![entry] });
        }
        let begin = located.places.iter().flatten().map(|place| place.at).min();
        match end {
            Some((at, ledger)) if begin.is_some_and(|begin| begin < at) => {
                Ok((at, ReplayEnd { ledger, cursor, ..ReplayEnd::default() }))
            }
            end => Err(ResumeError::EndBefore { ledger: end.map_or(0, |(_, ledger)| ledger) }),
        }
    }
}
