use super::*;
use crate::broker::testing::{Asked, Journal, batch};
use crate::event::{Continuity, ContinuityKind, Cursor, EventCursor, Hash, LedgerBatch};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A ledger of five events whose hash begins with `chain`.
fn ledger(source: SourceNumber, index: u64, chain: u8) -> LedgerBatch {
    let mut batch = batch(source, index, 5);
    batch.ledger.hash = Some(Hash([chain; 32]));
    batch
}

fn reorg(index: u64, through: u64, chain: u8) -> LedgerBatch {
    let (kind, from_ledger, to_ledger) = (ContinuityKind::Reorg, index, through);
    let continuity = Some(Continuity { kind, from_ledger, to_ledger, reason: String::new() });
    LedgerBatch { continuity, ..ledger(0, index, chain) }
}

/// After event `event` of a ledger.
fn cursor(batch: &LedgerBatch, event: usize) -> Cursor {
    EventCursor { batch, place: batch.events[event].place }.to_string().parse().unwrap()
}

/// After the whole of it.
fn end(batch: &LedgerBatch) -> Cursor {
    EventCursor { batch, place: Place::END }.to_string().parse().unwrap()
}

fn at(sequence: u64, event: u32) -> Position {
    Position { sequence, event }
}

/// So many sources, memory for so many ledgers of each.
fn locator(sources: usize, kept: usize) -> Locator {
    let history = Arc::new(History::new(sources, 0, batch(0, 1, 5).weight() * kept));
    Locator { history, backlog: None, at_once: Arc::new(Semaphore::new(1)) }
}

async fn located(locator: &Locator, sources: &[SourceNumber], mark: Mark) -> Result<Located, ResumeError> {
    locator.clone().locate(sources.into(), mark).await
}

/// Where one source begins.
async fn place(locator: &Locator, mark: Mark) -> Result<(Position, u64, u64), ResumeError> {
    let located = located(locator, &[0], mark).await?;
    let place = located.places[0].unwrap();
    Ok((place.at, place.events, place.next_ledger))
}

#[tokio::test]
async fn in_memory() {
    let locator = locator(1, 1000);
    for index in 11..=20 {
        locator.history.append(ledger(0, index, 1), Instant::now()).unwrap();
    }
    let place = |mark| place(&locator, mark);
    assert_eq!(place(Mark::After(cursor(&ledger(0, 13, 1), 1))).await, Ok((at(3, 2), 12, 13)));
    assert_eq!(place(Mark::After(cursor(&ledger(0, 13, 1), 4))).await, Ok((Position::after(3), 15, 14)));
    assert_eq!(place(Mark::After(end(&ledger(0, 20, 1)))).await, Ok((Position::after(10), 50, 21)));
    // A source that told no hashes.
    assert_eq!(place(Mark::After(cursor(&batch(0, 13, 5), 1))).await, Ok((at(3, 2), 12, 13)));
    assert_eq!(place(Mark::Ledger(11)).await, Ok((at(1, 0), 0, 11)));
    assert_eq!(place(Mark::Ledger(20)).await, Ok((at(10, 0), 45, 20)));
    assert_eq!(place(Mark::Ledger(21)).await, Ok((Position::after(10), 50, 21)));
    let ahead = |ledger| Err(ResumeError::Ahead { ledger, newest: 20 });
    assert_eq!(place(Mark::Ledger(22)).await, ahead(22));
    assert_eq!(place(Mark::Ledger(u64::MAX)).await, ahead(u64::MAX));
    assert_eq!(place(Mark::After(cursor(&ledger(0, 2000, 1), 0))).await, ahead(2000));
    assert_eq!(place(Mark::After(cursor(&ledger(0, 15, 2), 0))).await, Err(ResumeError::OtherChain { ledger: 15 }));
    let mut elsewhere = ledger(0, 15, 1);
    elsewhere.network = "elsewhere".into();
    assert_eq!(place(Mark::After(cursor(&elsewhere, 0))).await, Err(ResumeError::OtherNetwork));

    // A client after ledger 10 has lost nothing, one inside of it does not know.
    let told = located(&locator, &[0], Mark::After(end(&ledger(0, 10, 1)))).await.unwrap();
    assert!(told.lost.is_empty() && told.places[0].unwrap().at == at(1, 0), "{told:?}");
    for (mark, from_ledger) in [(cursor(&ledger(0, 10, 1), 0), 10), (end(&ledger(0, 4, 1)), 5)] {
        let told = located(&locator, &[0], Mark::After(mark)).await.unwrap();
        assert_eq!(told.lost, [Lost { network: "test-0".into(), from_ledger, to_ledger: 10 }]);
        assert_eq!(told.break_before(), Some(ResumeError::Gone { from: from_ledger, to: 10 }));
        let begin = locator.history.begin_at(&[0], told);
        assert_eq!(begin.at, at(1, 0));
    }
}

/// A killed process may have told what its next life has yet to read.
#[tokio::test]
async fn what_a_client_saw_before_us_is_waited_for() {
    let locator = locator(1, 1000);
    (11..=20).for_each(|index| _ = locator.history.append(ledger(0, index, 1), Instant::now()).unwrap());
    let seen = Mark::After(cursor(&ledger(0, 22, 1), 2));
    assert_eq!(judge(&locator.history, &[0], &seen), Ok(()));
    let (waiting, waited) = (locator.clone(), seen.clone());
    let place = tokio::spawn(async move { place(&waiting, waited).await });
    for index in 21..=23 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!place.is_finished());
        locator.history.append(ledger(0, index, 1), Instant::now()).unwrap();
    }
    assert_eq!(place.await.unwrap(), Ok((at(12, 3), 58, 22)));
}

#[tokio::test]
async fn counts_are_differences() {
    let locator = locator(2, 1000);
    for index in 1..=4 {
        locator.history.append(ledger(0, index, 1), Instant::now()).unwrap();
        locator.history.append(ledger(1, index + 100, 1), Instant::now()).unwrap();
    }
    // Sequences: ledger n of the first is 2n - 1, of the second 2n.
    let both = cursor(&ledger(0, 3, 1), 2).and(cursor(&ledger(1, 102, 1), 4));
    let told = located(&locator, &[0, 1], Mark::After(both)).await.unwrap();
    let begin = locator.history.begin_at(&[0, 1], told);
    let resumed = begin.resumed.unwrap();
    assert_eq!((begin.at, resumed.later), (Position::after(4), vec![(at(5, 3), 0)]));
    assert_eq!((resumed.told.ledgers, resumed.told.events), (2 + 2, 2 + 5 + 10));
    // One that it names nothing of begins at the head.
    let told = located(&locator, &[0, 1], Mark::After(cursor(&ledger(0, 1, 1), 4))).await.unwrap();
    let begin = locator.history.begin_at(&[0, 1], told);
    let resumed = begin.resumed.unwrap();
    assert_eq!((begin.at, resumed.later), (Position::after(1), vec![(Position::after(8), 1)]));
    assert_eq!((resumed.told.ledgers, resumed.told.events), (3, 15));
    // A number names no ledger of two.
    let refused = located(&locator, &[0, 1], Mark::Ledger(3)).await.unwrap_err();
    assert_eq!(refused, ResumeError::SeveralSources);
    // A cursor of all at the head, as handshakes tell it.
    let head = locator.history.cursor_at(&[0, 1], Position::after(8)).unwrap();
    let told = located(&locator, &[1, 0], Mark::After(head)).await.unwrap();
    let begin = locator.history.begin_at(&[1, 0], told);
    assert_eq!((begin.at, begin.resumed.unwrap().told), (Position::after(7), Default::default()));
}

#[tokio::test]
async fn a_replaced_ledger_is_where_it_was_as_long_as_it_is_kept() {
    let locator = locator(1, 6);
    let append = |batch| locator.history.append(batch, Instant::now()).unwrap().sequence;
    (1..=5).for_each(|index| _ = append(ledger(0, index, 1)));
    let fork = append(reorg(4, 5, 2));
    append(ledger(0, 5, 2));
    // 1 is gone, 2 to 5 are kept, and 4 and 5 of the new chain.
    assert_eq!(place(&locator, Mark::After(cursor(&ledger(0, 4, 1), 4))).await.unwrap().0, Position::after(4));
    assert_eq!(place(&locator, Mark::After(cursor(&ledger(0, 4, 2), 4))).await.unwrap().0, Position::after(fork));
    assert_eq!(place(&locator, Mark::Ledger(5)).await.unwrap().0, at(7, 0));
    assert_eq!(place(&locator, Mark::Ledger(3)).await.unwrap().0, at(3, 0));
    // When the replaced ones are gone, the client is told where the chains part.
    (6..=9).for_each(|index| _ = append(ledger(0, index, 2)));
    let told = located(&locator, &[0], Mark::After(cursor(&ledger(0, 5, 1), 4))).await.unwrap();
    assert_eq!(told.parted, [Parted { network: "test-0".into(), last_common_ledger: 3 }]);
    assert_eq!(told.places[0].unwrap().at, at(fork, 0));
    assert!(matches!(told.break_before(), Some(ResumeError::OtherChain { .. })));
    // And once that is gone as well, that nobody knows.
    append(ledger(0, 10, 2));
    append(ledger(0, 11, 2));
    let gone = located(&locator, &[0], Mark::After(cursor(&ledger(0, 5, 1), 4))).await.unwrap();
    assert_eq!(gone.lost[0].from_ledger, 5);
    let other = located(&locator, &[0], Mark::After(cursor(&ledger(0, 9, 1), 4))).await.unwrap_err();
    assert_eq!(other, ResumeError::OtherChain { ledger: 9 });
}

#[tokio::test]
async fn a_gap_and_a_reset_are_told_by_the_stream() {
    let locator = locator(1, 1000);
    let append = |batch| locator.history.append(batch, Instant::now()).unwrap().sequence;
    (1..=3).for_each(|index| _ = append(ledger(0, index, 1)));
    let (kind, from_ledger, to_ledger, reason) = (ContinuityKind::Gap, 4, 6, String::new());
    let continuity = Some(Continuity { kind, from_ledger, to_ledger, reason });
    append(LedgerBatch { continuity, ..ledger(0, 7, 1) });
    // Who begins after a break needs not be told of it, who wants what is missing must be.
    let anew = async |mark| located(&locator, &[0], mark).await.unwrap().anew;
    assert!(anew(Mark::Ledger(7)).await);
    assert!(!anew(Mark::Ledger(6)).await && !anew(Mark::After(end(&ledger(0, 3, 1)))).await);
    // A client of a broker that missed nothing.
    assert_eq!(place(&locator, Mark::After(cursor(&ledger(0, 5, 1), 2))).await.unwrap().0, at(4, 0));
    assert_eq!(place(&locator, Mark::Ledger(6)).await.unwrap().0, at(4, 0));
    let (kind, from_ledger, to_ledger, reason) = (ContinuityKind::Reset, 1, 7, String::new());
    let continuity = Some(Continuity { kind, from_ledger, to_ledger, reason });
    append(LedgerBatch { continuity, epoch: 1, ..ledger(0, 1, 2) });
    append(LedgerBatch { epoch: 1, ..ledger(0, 2, 2) });
    assert_eq!(place(&locator, Mark::After(cursor(&ledger(0, 2, 1), 4))).await.unwrap().0, Position::after(2));
    assert_eq!(place(&locator, Mark::After(cursor(&ledger(0, 2, 2), 4))).await.unwrap().0, Position::after(6));
    assert_eq!(place(&locator, Mark::Ledger(2)).await.unwrap().0, at(6, 0));
    assert_eq!(place(&locator, Mark::Ledger(7)).await, Err(ResumeError::Ahead { ledger: 7, newest: 2 }));
}

#[tokio::test]
async fn behind_memory_the_journal_knows() {
    let mut locator = locator(1, 3);
    let journal = Arc::new(Journal::default());
    locator.backlog = Some(Arc::new(Asked(journal.clone())));
    for index in 1..=20 {
        journal.append(&locator.history, ledger(0, index, 1));
    }
    assert_eq!(place(&locator, Mark::Ledger(19)).await, Ok((at(19, 0), 90, 19)));
    assert_eq!(journal.reads.load(Ordering::SeqCst), 0);
    assert_eq!(place(&locator, Mark::Ledger(1)).await, Ok((at(1, 0), 0, 1)));
    assert_eq!(place(&locator, Mark::After(cursor(&ledger(0, 7, 1), 1))).await, Ok((at(7, 2), 32, 7)));
    let told = located(&locator, &[0], Mark::After(cursor(&ledger(0, 7, 1), 4))).await.unwrap();
    assert_eq!(told.ledger.as_ref().map(|entry| entry.batch.ledger.index), Some(7));
    let begin = locator.history.begin_at(&[0], told);
    assert_eq!((begin.at, begin.resumed.unwrap().told.events), (Position::after(7), 65));
    // Another chain, of which the journal knows more than memory.
    let told = located(&locator, &[0], Mark::After(cursor(&ledger(0, 7, 9), 4))).await.unwrap();
    assert_eq!((told.parted[0].last_common_ledger, told.places[0].unwrap().at), (6, Position::after(6)));
    // What it has given up is lost.
    journal.gone.store(10, Ordering::SeqCst);
    let told = located(&locator, &[0], Mark::After(end(&ledger(0, 7, 1)))).await.unwrap();
    assert_eq!(told.lost, [Lost { network: "test-0".into(), from_ledger: 8, to_ledger: 10 }]);
    assert_eq!(told.places[0].unwrap().at, at(11, 0));
    journal.fails.store(true, Ordering::SeqCst);
    assert_eq!(place(&locator, Mark::Ledger(12)).await, Err(ResumeError::Unavailable));
    assert_eq!(place(&locator, Mark::Ledger(20)).await, Ok((at(20, 0), 95, 20)));
}

/// A client may be back before the first ledger is.
#[tokio::test]
async fn the_first_ledger_is_waited_for() {
    let locator = locator(1, 10);
    assert_eq!(judge(&locator.history, &[0], &Mark::Ledger(2)), Err(ResumeError::NotReady));
    let waiting = tokio::spawn(locator.clone().locate([0].into(), Mark::Ledger(2)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    locator.history.append(ledger(0, 2, 1), Instant::now()).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().places[0].unwrap().at, at(1, 0));
}
