use super::*;
use crate::broker::testing::batch;
use crate::broker::{Append, Broker, Clause, History, Register, RenderingId, Subscription, Wish};
use crate::dialect::Start;
use crate::server::metrics::Metrics;
use crate::session::Shared;
use actix::Addr;
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
        let append =
            |ledger, events| broker.do_send(Append { batch: batch(0, ledger, events), posted: Instant::now() });
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
