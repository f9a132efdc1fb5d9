//! Which sessions of a thread are the slowest, oldest, most stalled: for operators.
//!
//! One pass over the slots keeps the few that are asked for; only of those more is found out, so
//! that no session waits for an operator's question.

use super::sessions::Slot;
use super::{Router, SessionRef};
use crate::session::{Phase, Worker};
use actix::{Context, Handler, Message, MessageResult};
use serde::{Serialize, Serializer};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::Instant;

/// What sessions are sorted by, the greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SortBy {
    /// Ledgers behind; where that is equal, bytes waiting.
    #[default]
    Lag,
    /// Bytes that wait for the socket.
    Waiting,
    /// Time since the handshake.
    Age,
    /// Time for which bytes have waited and none has left.
    Stalled,
    /// Time since the client's last sign of life.
    Silent,
}

impl SortBy {
    /// Every one, with its word.
    pub const ALL: [(&'static str, SortBy); 5] = [
        ("lag", SortBy::Lag),
        ("waiting", SortBy::Waiting),
        ("age", SortBy::Age),
        ("stalled", SortBy::Stalled),
        ("silent", SortBy::Silent),
    ];

    fn rank(self, slot: &Slot, worker: &Worker, head: u64, at: Instant) -> Rank {
        let (link, now) = (&slot.link, worker.clock.get());
        match self {
            // A replay is where it wants to be.
            SortBy::Lag if slot.pace().is_some() => (0, link.waiting() as u64),
            SortBy::Lag => (slot.ledgers_behind(head), link.waiting() as u64),
            SortBy::Waiting => (link.waiting() as u64, 0),
            SortBy::Age => (at.saturating_duration_since(link.opened).as_nanos() as u64, 0),
            SortBy::Stalled => (link.stalled_for(now).into(), 0),
            SortBy::Silent => (link.silent_for(now).into(), 0),
        }
    }
}

type Rank = (u64, u64);

/// Tell the first sessions in this order, at most so many.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Census")]
pub struct TakeCensus {
    /// The order.
    pub sort: SortBy,
    /// How many.
    pub limit: usize,
    /// When all threads were asked: ages count to here, so that those of two threads compare.
    pub at: Instant,
}

/// A thread's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Census {
    /// How the thread is.
    pub worker: WorkerCount,
    /// The first sessions in the order asked for, each with its rank.
    pub sessions: Vec<(Rank, SessionReport)>,
}

/// How a thread is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerCount {
    /// Its number.
    pub worker: u16,
    /// Its sessions.
    pub sessions: usize,
    /// Those behind the head that do not want to be there.
    pub lagging: usize,
    /// Those that replay.
    pub replaying: usize,
    /// Ledgers that the thread itself has not been through yet.
    pub behind_ledgers: u64,
}

/// What an operator learns of a session.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionReport {
    /// The name by which the log knows it.
    pub session: String,
    /// The number of its thread.
    pub worker: u16,
    /// The dialect's name.
    pub dialect: &'static str,
    /// The mount.
    pub path: String,
    /// Where the client is.
    pub peer: IpAddr,
    /// Since the handshake.
    pub age_seconds: u64,
    /// Whether it has a subscription.
    pub registered: bool,
    /// How fast it replays, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replays: Option<String>,
    /// Ledgers of all sources that it has not been fed wholly.
    pub lag_ledgers: u64,
    /// Events of its sources that it has not been fed, before filtering; at least so many where
    /// history no longer reaches its position.
    pub lag_events: u64,
    /// Whether history reaches its position: where not, it is closed as soon as that is noticed.
    pub history_reaches: bool,
    /// Bytes that wait for its socket.
    pub waiting_bytes: usize,
    /// For how long bytes have waited and none has left.
    pub stalled_seconds: u32,
    /// Since the client's last sign of life.
    pub silent_seconds: u32,
    /// How far its life has come.
    #[serde(serialize_with = "phase")]
    pub phase: Phase,
}

/// Since when a session closes is on the thread's own clock, and of no use outside.
fn phase<S: Serializer>(phase: &Phase, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match phase {
        Phase::Open => "open",
        Phase::Closing(_) => "closing",
        Phase::Over => "over",
    })
}

impl Router {
    fn census(&self, asked: TakeCensus) -> Census {
        let sessions = self.worker.sessions.borrow();
        let head = sessions.newest();
        let (mut lagging, mut replaying) = (0, 0);
        // The least of those kept is at the top; of equals, the older session stays.
        let mut kept = BinaryHeap::with_capacity(asked.limit.min(sessions.len()));
        for (slot, found) in sessions.iter() {
            lagging += usize::from(found.lag.is_some() && found.pace().is_none());
            replaying += usize::from(found.pace().is_some());
            let ranked = Reverse((asked.sort.rank(found, &self.worker, head, asked.at), Reverse(found.number), slot));
            if kept.len() < asked.limit {
                kept.push(ranked);
            } else if let Some(mut least) = kept.peek_mut()
                && ranked < *least
            {
                *least = ranked;
            }
        }
        let report = |Reverse((rank, _, slot)): Reverse<(Rank, Reverse<u64>, u32)>| {
            Some((rank, self.report(slot, sessions.get(slot)?, head)))
        };
        Census {
            worker: WorkerCount {
                worker: self.worker.number,
                sessions: sessions.len(),
                lagging,
                replaying,
                behind_ledgers: self.target.saturating_sub(head),
            },
            sessions: kept.into_sorted_vec().into_iter().filter_map(report).collect(),
        }
    }

    /// Whether what is kept behind history has all that a session needs.
    fn replay_reaches(&self, slot: &Slot) -> bool {
        slot.lag.as_ref().is_some_and(|lag| self.replay.reaches(lag.sources(&slot.sources), lag.at))
    }

    fn report(&self, at: u32, slot: &Slot, head: u64) -> SessionReport {
        let (link, now) = (&slot.link, self.worker.clock.get());
        let session = SessionRef { router: self.worker.number, slot: at, number: slot.number };
        let behind = slot.lag.as_ref().map(|lag| self.worker.shared.history.behind(&slot.sources, lag.at));
        SessionReport {
            session: session.to_string(),
            worker: self.worker.number,
            dialect: slot.mount.dialect.manners().name,
            path: slot.mount.path.clone(),
            peer: link.peer,
            age_seconds: link.opened.elapsed().as_secs(),
            registered: slot.subscription.is_some(),
            replays: slot.pace().map(|pace| pace.speed().to_string()),
            lag_ledgers: slot.ledgers_behind(head),
            lag_events: behind.map_or(0, |behind| behind.events),
            history_reaches: behind.is_none_or(|behind| behind.reached) || self.replay_reaches(slot),
            waiting_bytes: link.waiting(),
            stalled_seconds: link.stalled_for(now),
            silent_seconds: link.silent_for(now),
            phase: link.phase(),
        }
    }
}

impl Handler<TakeCensus> for Router {
    type Result = MessageResult<TakeCensus>;

    fn handle(&mut self, asked: TakeCensus, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.census(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::router::sessions::{Lag, MountEntry};
    use crate::broker::testing::batch;
    use crate::broker::{Broker, History, Lags, Position, Renderings};
    use crate::dialect::flow;
    use crate::server::metrics::Metrics;
    use crate::session::{Link, Shared};
    use actix::Actor;
    use bytes::Bytes;
    use std::rc::Rc;
    use std::sync::Arc;

    /// A Router at ledger 100 with sessions of these lags in ledgers; 0: live.
    async fn router(lags: &[u64]) -> Router {
        let history = Arc::new(History::new(1, 1, 1 << 30));
        (1..=100).for_each(|ledger| _ = history.append(batch(0, ledger, 10), Instant::now()));
        let metrics = Arc::new(Metrics::default());
        let broker = Broker::new(history.clone(), metrics.clone(), Arc::new([Arc::from("a")])).start();
        let worker = Rc::new(Worker::new(Arc::new(Shared::for_tests(history, broker, metrics)), 3));
        let dialect = flow::FlowMount::new(flow::Config::default(), Default::default(), &mut Renderings::default());
        let mount = MountEntry {
            number: 0,
            path: "/ws".into(),
            dialect: Arc::new(dialect),
            sources: Arc::new([0]),
            access: Default::default(),
            resume: false,
            replay: false,
            begin: None,
        };
        let mount = Arc::new(mount);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut sessions = worker.sessions.borrow_mut();
        sessions.head = 100;
        for lag in lags {
            let socket = tokio::net::TcpStream::from_std(socket.try_clone().unwrap()).unwrap();
            let link = Rc::new(Link::new(socket, Bytes::new(), [127, 0, 0, 1].into(), 0));
            let (session, _) = sessions.open(3, link, mount.clone(), mount.sources.clone());
            if *lag > 0 {
                sessions.lag(session.slot, Lag::new(Position::after(100 - lag)));
            }
        }
        drop(sessions);
        let mut router = Router::new(worker);
        router.target = 102;
        router
    }

    fn first(router: &Router, sort: SortBy, limit: usize) -> Vec<(u64, u64, u64)> {
        let census = router.census(TakeCensus { sort, limit, at: Instant::now() });
        let number = |report: &SessionReport| report.session.strip_prefix("3-").unwrap().parse().unwrap();
        census.sessions.iter().map(|(_, report)| (number(report), report.lag_ledgers, report.lag_events)).collect()
    }

    #[actix::test]
    async fn the_slowest_come_first_and_no_more_than_asked_for() {
        let router = router(&[0, 7, 0, 90, 1, 7]).await;
        assert_eq!(first(&router, SortBy::Lag, 1), [(4, 90, 900)]);
        let slow = [(4, 90, 900), (2, 7, 70), (6, 7, 70), (5, 1, 10)];
        assert_eq!(first(&router, SortBy::Lag, 4), slow);
        // Of equals, the older one first.
        assert_eq!(first(&router, SortBy::Lag, 100)[..], [&slow[..], &[(1, 0, 0), (3, 0, 0)]].concat());
        let by_age: Vec<u64> = first(&router, SortBy::Age, 3).into_iter().map(|(number, ..)| number).collect();
        assert_eq!(by_age, [1, 2, 3]);
        let Census { worker, .. } = router.census(TakeCensus { sort: SortBy::Lag, limit: 1, at: Instant::now() });
        assert_eq!(worker, WorkerCount { worker: 3, sessions: 6, lagging: 4, replaying: 0, behind_ledgers: 2 });
        assert_eq!(router.worker.sessions.borrow().lags(), Lags { sessions: [1, 2, 1, 0], replaying: 0, largest: 90 });
    }
}
