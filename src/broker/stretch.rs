//! Ledgers for those who read at their own pace, in stretches: from memory, and further back from the backlog.
//!
//! Unlike a follower ([`super::follow`]), a reader keeps its position itself and moves it when it has done something
//! with what it read. A slow or dead one holds up nobody: its position stays behind, that is all.

use super::backlog::{Backlog, BacklogRead, Find, Found};
use super::entry::StreamEntry;
use super::history::{History, Position, Read};
use crate::event::{Chain, Hash, SourceNumber};
use std::sync::Arc;
use tokio::sync::oneshot;

/// How often the two are asked anew when what one has given up is not in the other yet.
const LOOKS: usize = 3;

/// The stream of one source, to be read from any place.
#[derive(Clone)]
pub struct Stretches {
    history: Arc<History>,
    backlog: Option<Arc<dyn Backlog>>,
    source: [SourceNumber; 1],
}

/// What comes after a place in the stream.
#[derive(Debug)]
pub enum Stretch {
    /// The next ledgers, oldest first; at least one.
    Ledgers(Vec<Arc<StreamEntry>>),
    /// Nothing yet.
    Newest,
    /// The next ledgers are not kept any more; those after [`Stretches::oldest`] are.
    Gone,
}

impl Stretches {
    /// Of this source.
    pub fn new(history: Arc<History>, backlog: Option<Arc<dyn Backlog>>, source: SourceNumber) -> Stretches {
        Stretches { history, backlog, source: [source] }
    }

    /// The sequence after which the oldest ledger comes that is kept.
    pub fn oldest(&self) -> u64 {
        let in_memory = self.history.oldest(&self.source).sequence;
        self.backlog.as_ref().map_or(in_memory, |backlog| backlog.gone_through(self.source[0]).min(in_memory))
    }

    /// Index of the newest ledger.
    pub fn newest(&self) -> Option<u64> {
        Some(self.history.newest(self.source[0])?.batch.ledger.index)
    }

    /// The next ledgers after sequence `after`: about `bytes` of them, and no more than `at_most`. An error: the
    /// backlog could not be read.
    pub async fn read(&self, after: u64, bytes: usize, at_most: usize) -> Result<Stretch, String> {
        for _ in 0..LOOKS {
            match self.in_memory(after, bytes, at_most) {
                Stretch::Gone => {}
                stretch => return Ok(stretch),
            }
            let Some(backlog) = &self.backlog else { return Ok(Stretch::Gone) };
            if backlog.gone_through(self.source[0]) > after {
                return Ok(Stretch::Gone);
            }
            let (done, read) = oneshot::channel();
            let sources = Arc::new(self.source);
            backlog.read(sources, after, bytes, Box::new(move |read| drop(done.send(read))));
            match read.await.unwrap_or_else(|_| BacklogRead::Failed("it ended".to_owned())) {
                BacklogRead::Entries(mut entries) if !entries.is_empty() => {
                    entries.truncate(at_most.max(1));
                    return Ok(Stretch::Ledgers(entries));
                }
                BacklogRead::Failed(reason) => return Err(reason),
                // On its way from one to the other, or given up meanwhile.
                BacklogRead::Entries(_) | BacklogRead::End => tokio::task::yield_now().await,
            }
        }
        Ok(Stretch::Gone)
    }

    fn in_memory(&self, after: u64, bytes: usize, at_most: usize) -> Stretch {
        let (mut ledgers, mut weight, mut at) = (Vec::new(), 0, after);
        loop {
            match self.history.read(&self.source, Position::after(at), u64::MAX) {
                Read::Entry(entry, _) => {
                    at = entry.sequence;
                    weight += entry.batch.weight();
                    ledgers.push(entry);
                    if weight >= bytes || ledgers.len() >= at_most {
                        return Stretch::Ledgers(ledgers);
                    }
                }
                Read::Newest | Read::Gone if !ledgers.is_empty() => return Stretch::Ledgers(ledgers),
                Read::Newest => return Stretch::Newest,
                Read::Gone => return Stretch::Gone,
            }
        }
    }

    /// The sequence of a ledger; `None` where neither memory nor the backlog has it.
    pub async fn find(&self, index: u64, hash: Option<Hash>) -> Result<Option<u64>, String> {
        if let Some(entry) = self.history.by_index(self.source[0], index)
            && is_same(entry.batch.ledger.hash, hash)
        {
            return Ok(Some(entry.sequence));
        }
        let Some(backlog) = &self.backlog else { return Ok(None) };
        let chain = hash.map_or(Chain::Newest, |hash| Chain::Hash(hash.short()));
        let mut what = Find::Ledger { index, chain };
        // At most once more: for the ledger that both chains have.
        for _ in 0..2 {
            let (done, found) = oneshot::channel();
            backlog.find(self.source[0], what, Box::new(move |found| drop(done.send(found))));
            match found.await.unwrap_or_else(|_| Found::Failed("it ended".to_owned())) {
                Found::At(sequence) => return Ok(Some(sequence)),
                Found::Failed(reason) => return Err(reason),
                Found::OtherChain { last_common: Some(index) } => {
                    what = Find::Ledger { index, chain: Chain::Newest };
                }
                Found::OtherChain { last_common: None } | Found::Gone { .. } | Found::Ahead { .. } => break,
            }
        }
        Ok(None)
    }
}

/// Whether two ledgers of one index are one, as far as their hashes are known.
fn is_same(one: Option<Hash>, other: Option<Hash>) -> bool {
    one.is_none() || other.is_none() || one == other
}

#[cfg(test)]
mod tests {
    use super::super::testing::batch;
    use super::*;
    use std::sync::Mutex;
    use std::time::Instant;

    /// Keeps what it is given, but for what was given up.
    #[derive(Default)]
    struct Shelf {
        entries: Mutex<Vec<Arc<StreamEntry>>>,
        gone: u64,
        fails: bool,
    }

    impl Backlog for Shelf {
        fn read(&self, _: Arc<[SourceNumber]>, after: u64, _: usize, done: Box<dyn FnOnce(BacklogRead) + Send>) {
            let entries = self.entries.lock().unwrap();
            let next: Vec<_> = entries.iter().filter(|entry| entry.sequence > after).take(2).cloned().collect();
            done(match next {
                _ if self.fails => BacklogRead::Failed("the disk is gone".to_owned()),
                next if next.is_empty() => BacklogRead::End,
                next => BacklogRead::Entries(next),
            });
        }

        fn find(&self, _: SourceNumber, what: Find, done: Box<dyn FnOnce(Found) + Send>) {
            let Find::Ledger { index, chain } = what else { panic!("only ledgers are looked for") };
            let entries = self.entries.lock().unwrap();
            let found = entries.iter().find(|entry| entry.batch.ledger.index == index);
            done(match found {
                Some(_) if chain == Chain::Hash([9; 4]) => Found::OtherChain { last_common: Some(index - 1) },
                Some(entry) => Found::At(entry.sequence),
                None => Found::Ahead { newest_index: 0 },
            });
        }

        fn gone_through(&self, _: SourceNumber) -> u64 {
            self.gone
        }
    }

    /// Ten ledgers, of which memory has about the last three.
    fn history(shelf: &Shelf) -> Arc<History> {
        let history = Arc::new(History::new(1, 0, 3 * batch(0, 1, 4).weight()));
        for index in 1..=10 {
            let entry = history.append(batch(0, index, 4), Instant::now()).unwrap();
            shelf.entries.lock().unwrap().push(entry);
        }
        history
    }

    async fn all(stretches: &Stretches, mut after: u64) -> Vec<u64> {
        let mut seen = Vec::new();
        loop {
            match stretches.read(after, 1, 100).await.unwrap() {
                Stretch::Ledgers(ledgers) => {
                    seen.extend(ledgers.iter().map(|entry| entry.batch.ledger.index));
                    after = ledgers.last().unwrap().sequence;
                }
                Stretch::Newest => return seen,
                Stretch::Gone => {
                    seen.push(0);
                    after = stretches.oldest();
                }
            }
        }
    }

    #[tokio::test]
    async fn memory_and_backlog_are_one_stream() {
        let mut shelf = Shelf::default();
        let history = history(&shelf);
        // Without a backlog: memory alone, and the rest is told to be gone.
        let alone = Stretches::new(history.clone(), None, 0);
        assert!(matches!(alone.read(0, 1, 1).await, Ok(Stretch::Gone)));
        let kept = alone.oldest();
        assert_eq!(all(&alone, 0).await, [vec![0], (kept + 1..=10).collect()].concat());
        assert_eq!((alone.find(10, None).await, alone.find(1, None).await), (Ok(Some(10)), Ok(None)));
        // With one that gave up the first two.
        shelf.entries.lock().unwrap().drain(..2);
        shelf.gone = 2;
        let both = Stretches::new(history.clone(), Some(Arc::new(shelf)), 0);
        assert_eq!(both.oldest(), 2);
        assert_eq!(all(&both, 0).await, [0, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(all(&both, 4).await, [5, 6, 7, 8, 9, 10]);
        assert_eq!(both.find(4, None).await, Ok(Some(4)));
        // Of another chain: where both part.
        assert_eq!(both.find(4, Some(Hash([9; 32]))).await, Ok(Some(3)));
        // All of memory at once, and in parts.
        let Ok(Stretch::Ledgers(ledgers)) = both.read(kept, usize::MAX, 100).await else { panic!("they are there") };
        assert_eq!(ledgers.len() as u64, 10 - kept);
        let Ok(Stretch::Ledgers(ledgers)) = both.read(kept, usize::MAX, 2).await else { panic!("they are there") };
        assert_eq!(ledgers.len(), 2);
        let failing = Shelf { fails: true, ..Shelf::default() };
        assert!(Stretches::new(history, Some(Arc::new(failing)), 0).read(0, 1, 1).await.is_err());
    }
}
