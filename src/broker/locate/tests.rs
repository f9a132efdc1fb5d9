use super::*;
use crate::broker::testing::{Asked, Journal, batch};
use crate::event::{Continuity, ContinuityKind, Cursor, EventCursor, Hash, LedgerBatch};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
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
    history.know_tips(|_| true);
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
    for index in 21..=22 {
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
    assert_eq!(resumed.told.from_head, ["test-1".into()]);
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

/// The number says nothing then: the hash does or, where sources know none, how often the network began anew.
#[tokio::test]
async fn after_a_reset_the_chain_counts() {
    for hashes in [true, false] {
        let of = |index, epoch: u32| {
            let hash = hashes.then_some(Hash([epoch as u8 + 1; 32]));
            let mut batch = LedgerBatch { epoch, ..batch(0, index, 5) };
            batch.ledger.hash = hash;
            batch
        };
        let reset = |index, epoch: u32, to_ledger| {
            let (kind, from_ledger, reason) = (ContinuityKind::Reset, index, String::new());
            let continuity = Some(Continuity { kind, from_ledger, to_ledger, reason });
            LedgerBatch { continuity, ..of(index, epoch) }
        };
        // All in memory, or little of it.
        for kept in [1000, 3] {
            let mut locator = locator(1, kept);
            let journal = Arc::new(Journal::default());
            locator.backlog = Some(Arc::new(Asked(journal.clone())));
            // Sequences 1 to 20, 21 to 35 and 36 to 45.
            (1..=20).for_each(|index| _ = journal.append(&locator.history, of(index, 0)));
            journal.append(&locator.history, reset(1, 1, 20));
            (2..=15).for_each(|index| _ = journal.append(&locator.history, of(index, 1)));
            journal.append(&locator.history, reset(6, 2, 15));
            (7..=15).for_each(|index| _ = journal.append(&locator.history, of(index, 2)));
            let what = format!("hashes {hashes}, kept {kept}");
            let place = async |batch: &LedgerBatch| {
                let (seen, found) = (end(batch), located(&locator, &[0], Mark::After(end(batch))).await);
                assert_eq!(judge(&locator.history, &[0], &Mark::After(seen)), Ok(()), "{what}");
                found.map(|found| (found.places[0].unwrap().at.read_through(), found.lost))
            };
            for (epoch, index, sequence) in
                [(0, 10, 10), (0, 20, 20), (1, 10, 30), (1, 2, 22), (2, 10, 40), (2, 15, 45)]
            {
                assert_eq!(place(&of(index, epoch)).await, Ok((sequence, Vec::new())), "{what}: {index} of {epoch}");
            }
            if !hashes {
                // It saw more of it than we did.
                assert_eq!(place(&of(25, 0)).await, Ok((20, Vec::new())), "{what}");
                let later = wanted(&locator.history, &[0], &Mark::After(end(&of(10, 3)))).unwrap();
                let ahead = locator.place(&later[0]).await.map(drop).unwrap_err();
                assert_eq!(ahead, ResumeError::Ahead { ledger: 10, newest: 15 });
                let told = locator.before_epoch(&later[0], ahead).await.map(drop);
                assert_eq!(told, Err(ResumeError::OtherChain { ledger: 10 }));
            }
            // A number is of the chain that counts.
            assert_eq!(super::tests::place(&locator, Mark::Ledger(10)).await.unwrap().0, at(40, 0), "{what}");
            if kept == 3 {
                journal.gone.store(15, Ordering::SeqCst);
                let lost = Lost { network: "test-0".into(), from_ledger: 13, to_ledger: 15 };
                let found = if hashes {
                    // It is in no epoch that is kept whole. Whoever waited for it in the newest knows that it is in none.
                    let old = wanted(&locator.history, &[0], &Mark::After(end(&of(12, 0)))).unwrap();
                    let ahead = ResumeError::Ahead { ledger: 12, newest: 11 };
                    let found = locator.before_epoch(&old[0], ahead).await.unwrap();
                    (found.place.unwrap().at.read_through(), Vec::from_iter(found.lost))
                } else {
                    place(&of(12, 0)).await.unwrap()
                };
                assert_eq!(found, (15, vec![lost]), "{what}");
                // The reset itself says how much is gone before it.
                journal.gone.store(20, Ordering::SeqCst);
                let lost = Lost { network: "test-0".into(), from_ledger: 13, to_ledger: 20 };
                if !hashes {
                    assert_eq!(place(&of(12, 0)).await, Ok((20, vec![lost])), "{what}");
                    assert_eq!(place(&of(20, 0)).await, Ok((20, Vec::new())), "{what}");
                    journal.gone.store(25, Ordering::SeqCst);
                    assert_eq!(place(&of(12, 0)).await, Err(ResumeError::OtherChain { ledger: 12 }), "{what}");
                }
            }
        }
    }
}

/// Before cursors named the epoch of a ledger without a hash.
#[tokio::test]
async fn an_older_cursor_is_of_the_chain_that_counts() {
    let locator = locator(1, 1000);
    (11..=20).for_each(|index| _ = locator.history.append(batch(0, index, 5), Instant::now()).unwrap());
    let mut old = cursor(&batch(0, 13, 5), 1);
    old.entries[0].chain = Chain::Newest;
    assert_eq!(place(&locator, Mark::After(old)).await, Ok((at(3, 2), 12, 13)));
}

/// Ledgers that the disk did not take: the client had some of them.
#[tokio::test]
async fn of_a_hole_only_what_the_client_has_not_is_lost() {
    let mut locator = locator(1, 3);
    let journal = Arc::new(Journal::default());
    locator.backlog = Some(Arc::new(Asked(journal.clone())));
    (1..=10).for_each(|index| _ = journal.append(&locator.history, ledger(0, index, 1)));
    // 11 to 15, and, told apart, 16 and 17.
    for (from_ledger, to_ledger) in [(11, 15), (16, 17)] {
        let (kind, reason) = (ContinuityKind::Gap, String::new());
        let continuity = Some(Continuity { kind, from_ledger, to_ledger, reason });
        journal.append(&locator.history, LedgerBatch { continuity, ..batch(0, to_ledger, 0) });
    }
    (18..=30).for_each(|index| _ = journal.append(&locator.history, ledger(0, index, 1)));
    let lost = |from_ledger, to_ledger| vec![Lost { network: "test-0".into(), from_ledger, to_ledger }];
    for (mark, sequence, lost) in [
        (Mark::After(end(&ledger(0, 13, 1))), 11, lost(14, 15)),
        (Mark::After(cursor(&ledger(0, 13, 1), 2)), 11, lost(13, 15)),
        (Mark::After(end(&ledger(0, 15, 1))), 11, Vec::new()),
        (Mark::After(end(&ledger(0, 16, 1))), 12, lost(17, 17)),
        (Mark::Ledger(12), 11, lost(12, 15)),
        (Mark::Ledger(17), 12, lost(17, 17)),
        // The hole is announced where it stands.
        (Mark::After(end(&ledger(0, 10, 1))), 10, Vec::new()),
    ] {
        let found = located(&locator, &[0], mark.clone()).await.unwrap();
        assert_eq!((found.places[0].unwrap().at, found.lost), (Position::after(sequence), lost), "{mark:?}");
        assert!(!found.anew, "{mark:?}");
    }
}

/// Between a search and what is read of it, what was found goes.
#[tokio::test]
async fn what_goes_meanwhile_is_told_as_gone() {
    let mut locator = locator(1, 3);
    let journal = Arc::new(Journal::default());
    locator.backlog = Some(Arc::new(Asked(journal.clone())));
    (1..=20).for_each(|index| _ = journal.append(&locator.history, ledger(0, index, 1)));
    *journal.gives_up.lock().unwrap() = vec![9, 6];
    let found = located(&locator, &[0], Mark::After(end(&ledger(0, 5, 1)))).await.unwrap();
    assert_eq!(found.lost, [Lost { network: "test-0".into(), from_ledger: 6, to_ledger: 9 }]);
    assert_eq!(found.places[0].unwrap().at, at(10, 0));
}

/// A number that a client saw before the process was killed.
#[tokio::test]
async fn a_number_is_waited_for_while_its_source_is_behind() {
    let history = Arc::new(History::new(1, 0, 1 << 20));
    let locator = Locator { history: history.clone(), backlog: None, at_once: Arc::new(Semaphore::new(1)) };
    (11..=20).for_each(|index| _ = history.append(ledger(0, index, 1), Instant::now()).unwrap());
    // Nobody has told yet how the sources are.
    assert_eq!(judge(&history, &[0], &Mark::Ledger(25)), Ok(()));
    let far = Mark::Ledger(20 + SOON + 1);
    let refused = ResumeError::Ahead { ledger: 20 + SOON + 1, newest: 20 };
    assert_eq!(judge(&history, &[0], &far), Err(refused));
    assert_eq!(place(&locator, far).await, Err(refused));
    let waiting = locator.clone();
    let seen = tokio::spawn(async move { place(&waiting, Mark::Ledger(25)).await });
    let waiting = locator.clone();
    let made_up = tokio::spawn(async move { place(&waiting, Mark::Ledger(900)).await });
    for index in 21..=25 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!seen.is_finished());
        history.append(ledger(0, index, 1), Instant::now()).unwrap();
    }
    assert_eq!(seen.await.unwrap(), Ok((at(15, 0), 70, 25)));
    assert!(!made_up.is_finished());
    // At the tip, what is not there was never there.
    history.know_tips(|_| true);
    assert_eq!(made_up.await.unwrap(), Err(ResumeError::Ahead { ledger: 900, newest: 25 }));
    assert_eq!(judge(&history, &[0], &Mark::Ledger(27)), Err(ResumeError::Ahead { ledger: 27, newest: 25 }));
    assert_eq!(place(&locator, Mark::Ledger(26)).await.unwrap().0, Position::after(15));
}

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Thousands may wait, and routers want the lock of the history.
#[tokio::test]
async fn who_waits_does_nothing_meanwhile() {
    let locator = locator(1, 1000);
    locator.history.append(ledger(0, 20, 1), Instant::now()).unwrap();
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let mark = Mark::After(cursor(&ledger(0, 22, 1), 2));
    let mut waiting = Box::pin(locator.clone().locate([0].into(), mark));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    locator.history.append(ledger(0, 21, 1), Instant::now()).unwrap();
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    locator.history.append(ledger(0, 22, 1), Instant::now()).unwrap();
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}
