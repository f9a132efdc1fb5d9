//! The central actor: takes ledgers in, gives each its place, and decides where in the stream a
//! subscription begins.

use super::router::{Advance, Apply, Router, SessionRef};
use super::{Append, Begin, History, Located, Opened, Position, StreamEntry};
use crate::dialect::{Change, Start};
use crate::event::{EventKind, SourceNumber};
use crate::journal::Journal;
use crate::server::metrics::Metrics;
use crate::source::monotonic_nanos;
use actix::{Actor, Addr, Context, Handler, Message, Response};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The one central actor. Lives on its own Arbiter.
pub struct Broker {
    history: Arc<History>,
    metrics: Arc<Metrics>,
    /// The sources' names, by number.
    names: Arc<[Arc<str>]>,
    /// Where ledgers are kept, if anywhere.
    journal: Option<Arc<Journal>>,
    /// By their number; they join in any order.
    routers: BTreeMap<u16, RouterState>,
    head: u64,
    /// The head that every Router has worked up to.
    routed: u64,
    /// The head, for followers.
    heads: watch::Sender<u64>,
}

/// What the Broker knows of one Router.
struct RouterState {
    address: Addr<Router>,
    /// The head last sent, and whether the Router has answered it.
    sent: u64,
    answered: bool,
    /// The head last answered.
    done: u64,
}

/// A Router presents itself, with the number by which its sessions are known.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Join {
    /// Its address.
    pub router: Addr<Router>,
    /// Its number, from 0.
    pub number: u16,
}

/// A Router has worked up to the head it was told.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Advanced {
    /// Which Router.
    pub number: u16,
}

/// A session registers its filters, for the first time or anew. A session has at most one
/// unanswered, so their number is bounded by the sessions.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Register {
    /// Which session.
    pub session: SessionRef,
    /// The sources of its mount.
    pub sources: Arc<[SourceNumber]>,
    /// Where the stream was when it opened; `None` when it has asked before.
    pub opened: Option<Opened>,
    /// Where a client that has not asked before wants to go on, once that was looked up.
    pub located: Option<Box<Located>>,
    /// What it wants.
    pub wish: Wish,
}

/// What a session wants at its own place in the stream.
pub enum Wish {
    /// Another subscription.
    Change(Change),
    /// Its position held there, until [`super::Resume`].
    Hold,
}

impl Wish {
    /// Where it begins for a session that has not asked before.
    pub fn start(&self) -> &Start {
        match self {
            Wish::Change(change) => &change.start,
            Wish::Hold => &Start::Head,
        }
    }
}

impl Broker {
    /// A broker that appends to this history, for sources of these names.
    pub fn new(history: Arc<History>, metrics: Arc<Metrics>, names: Arc<[Arc<str>]>) -> Broker {
        let head = history.head();
        let heads = watch::Sender::new(head);
        Broker { history, metrics, names, journal: None, routers: BTreeMap::new(), head, routed: head, heads }
    }

    /// The same, and every ledger goes into this journal.
    pub fn with_journal(mut self, journal: Option<Arc<Journal>>) -> Broker {
        self.journal = journal;
        self
    }

    /// Tells the head to followers.
    pub fn heads(&self) -> watch::Receiver<u64> {
        self.heads.subscribe()
    }

    /// Notes when the last Router has answered a head.
    fn note_routed(&mut self) {
        let done = self.routers.values().map(|router| router.done).min().unwrap_or(0);
        if done > self.routed {
            self.history.note_routed(self.routed, done, monotonic_nanos());
            self.routed = done;
        }
    }

    /// Tells the head to every Router that has answered the last one.
    fn advance(&mut self) {
        for router in self.routers.values_mut() {
            if router.answered && router.sent < self.head {
                router.answered = false;
                router.sent = self.head;
                router.address.do_send(Advance { head: self.head });
            }
        }
    }

    fn count(&self, entry: &StreamEntry) {
        let source = usize::from(entry.batch.source);
        let Some(name) = self.names.get(source) else { return };
        let mut kinds = [0u64; EventKind::ALL.len()];
        for event in &entry.batch.events {
            kinds[event.kind as usize] += 1;
        }
        let counted = EventKind::ALL.into_iter().zip(kinds).filter(|(_, count)| *count > 0);
        self.metrics.ledger_taken(name, counted);
        if let Some((ledgers, bytes)) = self.history.sizes().get(source) {
            self.metrics.history(name, *bytes, *ledgers);
        }
    }
}

/// Without it every session would be open and silent.
impl Drop for Broker {
    fn drop(&mut self) {
        super::end_if_panicking("broker");
    }
}

impl Actor for Broker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // No capacity of its own: what waits here is bounded by the senders (see `Append` and
        // `Register`), and a message parked outside of the mailbox could be overtaken.
        ctx.set_mailbox_capacity(0);
    }
}

impl Handler<Append> for Broker {
    type Result = Response<()>;

    fn handle(&mut self, append: Append, _: &mut Self::Context) -> Response<()> {
        let Append { batch, posted, counters } = append;
        let (source, ledger) = (batch.source, batch.ledger.index);
        let Some(entry) = self.history.append(batch, posted) else {
            log::debug!(source, ledger; "ledger is in history already, dropped");
            return Response::reply(());
        };
        self.head = entry.sequence;
        self.advance();
        self.heads.send_replace(self.head);
        self.count(&entry);
        // The disk after the clients, and its slowness to the source, never to them.
        let room = self.journal.as_ref().and_then(|journal| {
            journal.append(entry, counters);
            journal.room()
        });
        room.map_or_else(|| Response::reply(()), Response::fut)
    }
}

impl Handler<Join> for Broker {
    type Result = ();

    fn handle(&mut self, join: Join, _: &mut Self::Context) {
        self.routers.insert(join.number, RouterState { address: join.router, sent: 0, answered: true, done: 0 });
        self.advance();
    }
}

impl Handler<Advanced> for Broker {
    type Result = ();

    fn handle(&mut self, advanced: Advanced, _: &mut Self::Context) {
        if let Some(router) = self.routers.get_mut(&advanced.number) {
            router.answered = true;
            router.done = router.sent;
        }
        self.advance();
        self.note_routed();
    }
}

impl Handler<Register> for Broker {
    type Result = ();

    fn handle(&mut self, register: Register, _: &mut Self::Context) {
        let Some(router) = self.routers.get(&register.session.router) else { return };
        let begin = register.opened.map(|opened| match (register.located, register.wish.start()) {
            (Some(located), _) => self.history.begin_at(&register.sources, *located),
            (None, Start::Opened { at_most }) => self.history.begin(&register.sources, opened, *at_most),
            (None, Start::Head | Start::Mark(..)) => Begin::at(Position::after(self.head)),
        });
        router.address.do_send(Apply { session: register.session, head: self.head, begin, wish: register.wish });
    }
}
