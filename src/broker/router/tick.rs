//! What happens once a second for every session of a thread: the only timer there is beside that of replays.

use super::Router;
use super::sessions::Slot;
use crate::dialect::{Ending, frame};
use crate::session::{CLOSING, Phase, Ring, Worker};
use std::time::Duration;

/// A session that nothing waits for is looked at once in so many seconds: looking costs a cache miss, and
/// there may be tens of thousands. So the pings of sessions that came together are spread as well.
const ROUND: u32 = 4;

/// What a session needs this second.
enum Need {
    Nothing,
    Ping,
    Ring,
    End(Ending),
    GiveUp,
}

impl Router {
    pub(super) fn tick(&mut self) {
        let worker = self.worker.clone();
        worker.clock.set(worker.clock.get() + 1);
        super::unconstrained(|| {
            let mut sessions = worker.sessions.borrow_mut();
            let due: Vec<u32> =
                sessions.iter().filter(|(at, slot)| is_due(*at, slot, &worker)).map(|(at, _)| at).collect();
            for slot in due {
                let Some(found) = sessions.slot(slot) else { continue };
                match need(found, &worker) {
                    Need::Nothing => {}
                    Need::Ping => found.link.ping(frame::EMPTY_PING, &worker),
                    Need::Ring => {
                        found.alarm = None;
                        if let Some(session) = &found.session {
                            session.do_send(Ring);
                        }
                    }
                    Need::End(ending) => {
                        let behind = found.ledgers_behind(self.head);
                        sessions.end(slot, ending, behind);
                    }
                    Need::GiveUp => found.link.give_up(),
                }
            }
            self.has_live = sessions.iter().any(|(_, slot)| slot.subscription.is_some() && slot.lag.is_none());
            self.relieve(&mut sessions, &worker);
            self.refuse_messages(&mut sessions, &worker);
            self.replay.let_go(worker.clock.get());
        });
        worker.hand_over_counts();
    }
}

/// Whether something may be due for a session by the second, as far as its slot tells, or it is its turn.
fn is_due(at: u32, slot: &Slot, worker: &Worker) -> bool {
    // Nobody tells when the last bytes of a replay have left.
    let ends = slot.session.is_none() || slot.ending || is_told(slot);
    // Whose bytes they are only the links know.
    let may_stall = worker.waiting.bytes() > 0;
    ends || may_stall || slot.alarm.is_some() || at % ROUND == worker.clock.get() % ROUND
}

/// The end of its replay has been told.
fn is_told(slot: &Slot) -> bool {
    slot.pace().is_some_and(|pace| pace.is_told())
}

fn need(slot: &Slot, worker: &Worker) -> Need {
    let (link, now) = (&slot.link, worker.clock.get());
    let manners = slot.mount.dialect.manners();
    let over = |seconds: u32, limit: Duration| Duration::from_secs(seconds.into()) >= limit;
    match link.phase() {
        Phase::Over => return Need::Nothing,
        Phase::Closing(since) if now.saturating_sub(since) >= CLOSING => return Need::GiveUp,
        Phase::Closing(_) => return Need::Nothing,
        Phase::Open if slot.ending => return Need::Nothing,
        Phase::Open => {}
    }
    if over(link.stalled_for(now), worker.shared.limits.stall) {
        return Need::End(Ending::TooSlow);
    }
    if !link.may_read(worker) {
        // Who is not read from cannot give a sign of life; bytes wait for it, so that it may stall.
        link.heard_now(worker);
    }
    if over(link.silent_for(now), manners.dead_after) {
        return Need::End(Ending::Dead);
    }
    if is_told(slot) && link.waiting() == 0 {
        return Need::End(Ending::ReplayEnd);
    }
    if slot.alarm.is_some_and(|alarm| link.opened.elapsed() >= alarm) {
        return Need::Ring;
    }
    // The next turn would be too late.
    if over(link.unpinged_for(now) + ROUND - 1, manners.ping_after) {
        return Need::Ping;
    }
    Need::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Renderings;
    use crate::broker::router::sessions::MountEntry;
    use crate::dialect::flow;
    use crate::session::Link;
    use bytes::Bytes;
    use std::rc::Rc;
    use std::sync::Arc;

    /// When the client says the only thing that it says.
    const TALKS_AT: u32 = 20;

    /// A session whose client falls silent, and what it needs at each second of the worker's clock.
    #[actix::test]
    async fn a_silent_client_is_pinged_and_then_given_up() {
        let worker = Worker::for_tests();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, peer) = listener.accept().await.unwrap();
        let link = Rc::new(Link::new(socket, Bytes::new(), peer.ip(), 0));
        link.flush(&worker);
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
        let mut sessions = worker.sessions.borrow_mut();
        let (session, _) = sessions.open(0, link.clone(), Arc::new(mount), Arc::new([0]));
        let mut needed = Vec::new();
        for second in 1..=100 {
            worker.clock.set(second);
            if second == TALKS_AT {
                link.heard_now(&worker);
            }
            let slot = sessions.slot_of(session).unwrap();
            match need(slot, &worker) {
                Need::Nothing => {}
                Need::Ping => {
                    link.ping(Bytes::new(), &worker);
                    needed.push((second, "ping"));
                }
                Need::Ring => needed.push((second, "ring")),
                Need::End(ending) => {
                    needed.push((second, ending.name()));
                    slot.ending = true;
                }
                Need::GiveUp => needed.push((second, "give up")),
            }
        }
        // It is pinged as early as the next turn would be too late; a client that talks is pinged no
        // less, and lives as long after what it said last.
        assert_eq!(needed, [(27, "ping"), (54, "ping"), (81, "ping"), (TALKS_AT + 75, "dead")]);
        // Once the close is queued it has five seconds.
        link.close(frame::close(Some(1008), ""), false, &worker);
        for second in 101..=106 {
            worker.clock.set(second);
            if matches!(need(sessions.slot_of(session).unwrap(), &worker), Need::GiveUp) {
                needed.push((second, "give up"));
                break;
            }
        }
        assert_eq!(needed.last(), Some(&(105, "give up")));
    }
}
