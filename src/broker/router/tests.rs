use super::*;
use crate::broker::testing::batch;
use crate::broker::{
    Append, Broker, Clause, History, Located, Register, RenderingId, Replayed, SourcePlace, Subscription, Wish,
};
use crate::dialect::{ReplayEnd, Start};
use crate::server::metrics::Metrics;
use crate::session::Shared;
use actix::Addr;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn started() -> (Addr<Broker>, Rc<Worker>) {
    let history = Arc::new(History::new(1, 1, 1 << 30));
    let metrics = Arc::new(Metrics::default());
    let broker = Broker::new(history.clone(), metrics.clone(), Arc::new([Arc::from("a")])).start();
    let worker = Rc::new(Worker::new(Arc::new(Shared::for_tests(history, broker.clone(), metrics)), 0));
    Router::new(worker.clone()).start();
    (broker, worker)
}

fn register(broker: &Addr<Broker>) {
    broker.do_send(Register {
        session: SessionRef { router: 0, slot: 7, number: 7 },
        sources: Arc::new([0]),
        opened: None,
        located: None,
        wish: Wish::Change(Change {
            subscription: Subscription {
                clauses: Arc::from(Vec::<Clause>::new()),
                rendering: RenderingId(0),
                copy_per_tag: false,
            },
            start: Start::Head,
            answer: Box::new(|_| None),
        }),
    });
}

/// A change that is stamped while a head is being worked up to carries the Router past that head;
/// it must answer all the same, or the Broker never tells it another. Tried at many moments, since
/// it takes a slice that ends between the two.
#[actix::test]
async fn a_change_past_an_unanswered_head_does_not_end_the_stream() {
    for moment in 0..24 {
        let (broker, worker) = started();
        let append = |ledger, events| {
            let (batch, counters) = (batch(0, ledger, events), Default::default());
            broker.do_send(Append { batch, posted: Instant::now(), counters });
        };
        let head = || worker.sessions.borrow().head;
        // Looking up 700 events costs about a sixth of a slice.
        for ledger in 1..=40 {
            append(ledger, 700);
        }
        while head() < 1 {
            tokio::task::yield_now().await;
        }
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        append(41, 700);
        register(&broker);
        append(42, 700);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        append(43, 10);
        let mut patience = 200;
        while head() < 43 {
            patience -= 1;
            assert!(patience > 0, "stopped at {} of 43, moment {moment}", head());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

proptest! {
    /// Wherever a client was in each source, and wherever it ends: it reads what came after, up to there, and nothing
    /// else, in the order of the stream.
    #[test]
    fn each_source_goes_on_where_it_was(
        ledgers in proptest::collection::vec((0u16..3, 0u32..5), 1..40),
        places in proptest::collection::vec(proptest::option::of((0usize..40, 0u32..6)), 3),
        sources in proptest::sample::subsequence(vec![0u16, 1, 2], 1..=3),
        end in proptest::option::of((0usize..40, 0u32..6)),
    ) {
        let history = History::new(3, 0, 1 << 30);
        // (sequence, event) of each source's events.
        let mut all: Vec<(u16, u64, u32)> = Vec::new();
        let mut entries = Vec::new();
        for (at, (source, events)) in ledgers.iter().enumerate() {
            let entry = history.append(batch(*source, at as u64 + 1, *events), Instant::now()).unwrap();
            all.extend((0..*events).map(|event| (*source, entry.sequence, event)));
            entries.push(entry);
        }
        let place = |source: u16| {
            let (at, event) = places[usize::from(source)]?;
            let of_it: Vec<_> = entries.iter().filter(|entry| entry.batch.source == source).collect();
            let entry = of_it.get(at % of_it.len().max(1))?;
            let event = event.min(entry.len());
            let inside = Position { sequence: entry.sequence, event };
            let at = if event == entry.len() { Position::after(entry.sequence) } else { inside };
            let events = entry.first_event + u64::from(event);
            Some(SourcePlace { at, events, next_ledger: entry.batch.ledger.index })
        };
        let end = end.map(|(at, event)| {
            let entry = &entries[at % entries.len()];
            let inside = Position { sequence: entry.sequence, event };
            if event < entry.len() { inside } else { Position::after(entry.sequence) }
        });
        let replay = end.map(|end| Replayed { end: Some((end, ReplayEnd::default())), ..Replayed::default() });
        let located = Located { replay: replay.map(Arc::new), places: sources.iter().map(|source| place(*source)).collect(), ..Located::default() };
        let head = Position::after(history.head());
        let told = all.iter().filter(|(source, sequence, event)| {
            let begins = place(*source).map_or(head, |place| place.at);
            sources.contains(source) && Position { sequence: *sequence, event: *event } >= begins
        });
        let told = told.count() as u64;
        let expected: Vec<_> = all
            .iter()
            .filter(|(source, ..)| sources.contains(source))
            .filter(|(source, sequence, event)| {
                let begins = place(*source).map_or(head, |place| place.at);
                let at = Position { sequence: *sequence, event: *event };
                at >= begins && end.is_none_or(|end| at < end)
            })
            .copied()
            .collect();
        let begin = history.begin_at(&sources, located);
        prop_assert_eq!(begin.resumed.as_ref().unwrap().told.events, told);
        let sources: Arc<[u16]> = sources.into();
        let mut lag = Lag::from(&begin, &sources);
        let mut read = Vec::new();
        loop {
            if lag.has_ended() {
                break;
            }
            let up_to = lag.up_to(history.head());
            match history.read(lag.sources(&sources), lag.at, up_to) {
                Read::Entry(entry, from) => {
                    let events = lag.events(entry.sequence, from);
                    read.extend((events.start..events.end.min(entry.len())).map(|event| (entry.batch.source, entry.sequence, event)));
                    lag.at = Position::after(entry.sequence);
                }
                Read::Newest if lag.limit() == Some(up_to) => break,
                Read::Newest if lag.begin_next() => {}
                Read::Newest => break,
                Read::Gone => prop_assert!(false, "everything is kept"),
            }
        }
        prop_assert_eq!(read, expected);
        prop_assert!(lag.later.is_none() || end.is_some());
    }
}
