//! Whoever wants ledgers without a socket: a position off the threads of sessions.
//!
//! Of one source: history gives up those of each by themselves, and a position among several would be pushed on by
//! the one that gives up the most.
//!
//! A follower is told of a head, not sent a ledger: a slow one holds up nobody, and what it has not seen when history
//! gives it up it is told to have missed.

use super::entry::StreamEntry;
use super::history::{History, Position, Read};
use crate::event::SourceNumber;
use std::sync::Arc;
use tokio::sync::watch;

/// What a follower is given.
pub enum Followed<'a> {
    /// The next ledger of its source.
    Ledger(&'a StreamEntry),
    /// History gave up ledgers that it had not seen; the next is the oldest kept.
    Missed,
}

/// Gives every ledger of a source to `take`, in order, from the oldest in history on; ends with the broker.
pub async fn follow(
    history: Arc<History>,
    mut heads: watch::Receiver<u64>,
    source: SourceNumber,
    mut take: impl FnMut(Followed<'_>),
) {
    let sources = [source];
    let mut at = history.oldest(&sources);
    loop {
        let head = *heads.borrow_and_update();
        loop {
            match history.read(&sources, at, head) {
                Read::Entry(entry, _) => {
                    at = Position::after(entry.sequence);
                    take(Followed::Ledger(&entry));
                }
                Read::Gone => {
                    take(Followed::Missed);
                    at = history.oldest(&sources);
                }
                Read::Newest => break,
            }
            // Others of this thread follow, too.
            tokio::task::yield_now().await;
        }
        if heads.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::batch;
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn sees_all_once_and_is_told_what_it_missed() {
        // Room for about three ledgers.
        let history = Arc::new(History::new(2, 0, 3 * batch(0, 1, 4).weight()));
        let (heads, seen_heads) = watch::channel(0);
        let (sender, mut seen) = tokio::sync::mpsc::channel(100);
        let append = |source, index| history.append(batch(source, index, 4), Instant::now()).unwrap().sequence;
        append(0, 1);
        let task = tokio::spawn(follow(history.clone(), seen_heads, 0, move |followed| {
            let _ = sender.try_send(match followed {
                Followed::Ledger(entry) => (entry.batch.source, entry.batch.ledger.index),
                Followed::Missed => (9, 0),
            });
        }));
        heads.send_replace(1);
        assert_eq!(seen.recv().await, Some((0, 1)));
        append(1, 1);
        heads.send_replace(append(0, 2));
        assert_eq!(seen.recv().await, Some((0, 2)));
        // More than is kept before it has looked.
        let last = (3..=10).map(|index| append(0, index)).max().unwrap();
        heads.send_replace(last);
        assert_eq!(seen.recv().await, Some((9, 0)));
        let mut rest = Vec::new();
        while rest.last() != Some(&(0, 10)) {
            rest.push(seen.recv().await.unwrap());
        }
        assert!(rest.len() < 8 && rest.windows(2).all(|two| two[1].1 == two[0].1 + 1), "{rest:?}");
        // The other source has given up nothing.
        let (sender, mut seen) = tokio::sync::mpsc::channel(100);
        let other = tokio::spawn(follow(history, heads.subscribe(), 1, move |followed| {
            let Followed::Ledger(entry) = followed else { panic!() };
            let _ = sender.try_send((entry.batch.source, entry.batch.ledger.index));
        }));
        assert_eq!(seen.recv().await, Some((1, 1)));
        drop(heads);
        task.await.unwrap();
        other.await.unwrap();
    }
}
