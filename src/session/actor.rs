//! The session actor: hears its client, asks its dialect, carries out what the dialect says.

use super::link::Link;
use super::transport::{SessionContext, Trouble};
use super::worker::Worker;
use crate::broker::{Located, MountEntry, Opened, Register, Resume, SessionRef, Wish};
use crate::dialect::{
    Action, Applied, Call, CallError, Dialect, Ending, Input, Lane, Output, REPLAY_ENDED, Reply, ResumeError, Start,
    frame,
};
use crate::event::{Mark, Replay, SourceNumber};
use crate::server::metrics::Closed;
use crate::source::CallUpstream;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Handler, Message, WrapFuture};
use bytes::Bytes;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A change of subscription took effect: the next one may go.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ChangeApplied;

/// The position is held here, until [`crate::broker::Resume`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct Held(pub Applied);

/// Files of the settings were read again: close the session if its dialect no longer allows it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StillAllowed;

/// The time that the dialect asked for has come.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ring;

/// Close, in the dialect's own words.
#[derive(Message)]
#[rtype(result = "()")]
pub struct End {
    /// Why.
    pub ending: Ending,
    /// The word for it in logs and metrics.
    pub reason: &'static str,
    /// How many ledgers the session was behind.
    pub lag: u64,
}

impl End {
    /// For this reason and no other.
    pub fn of(ending: Ending, lag: u64) -> End {
        End { ending, reason: ending.name(), lag }
    }
}

/// The end of a session, for its log line.
struct Ended {
    code: Option<u16>,
    reason: &'static str,
    by_us: bool,
    /// Ledgers that the session was behind.
    lag: u64,
}

/// What takes its turn among a session's changes.
enum Turn {
    Wish(Wish),
    /// The answer to a request that came after them.
    Answer(Bytes),
}

/// A wish on its way.
struct Changing {
    /// Bytes of the message that asked for it.
    bytes: usize,
    /// It is a hold, which no answer waits for.
    hold: bool,
}

/// One WebSocket's actor.
pub struct Session {
    worker: Rc<Worker>,
    link: Rc<Link>,
    mount: Arc<MountEntry>,
    dialect: Box<dyn Dialect>,
    number: SessionRef,
    /// Where the stream was at the handshake; taken by the first registration.
    opened: Option<Opened>,
    /// Where it begins instead, as its client's handshake said; taken by the first registration, too.
    mark: Option<Box<(Mark, Replay)>>,
    /// What is with the Broker or the Router.
    changing: Option<Changing>,
    /// What waits for it, with the bytes of the messages that asked for it.
    waiting: VecDeque<(Turn, usize)>,
    /// Bytes of the message that is being handled.
    message: usize,
    /// How it ended, once it has.
    ended: Option<Box<Ended>>,
    /// Messages in this second of the worker's clock.
    second: u32,
    messages: u32,
}

impl Session {
    pub(super) fn new(
        worker: Rc<Worker>,
        link: Rc<Link>,
        mount: Arc<MountEntry>,
        dialect: Box<dyn Dialect>,
        number: SessionRef,
        opened: Opened,
        mark: Option<(Mark, Replay)>,
    ) -> Session {
        let (opened, mark) = (Some(opened), mark.map(Box::new));
        Session {
            worker,
            link,
            mount,
            dialect,
            number,
            opened,
            mark,
            changing: None,
            waiting: VecDeque::new(),
            message: 0,
            ended: None,
            second: 0,
            messages: 0,
        }
    }

    /// A message from the client.
    pub(super) fn message(&mut self, input: Input<'_>, ctx: &mut SessionContext) {
        if self.may_say_more(ctx) {
            self.message = match &input {
                Input::Text(text) => text.len(),
                Input::Binary(bytes) => bytes.len(),
                _ => 0,
            };
            self.ask(input, ctx);
            self.message = 0;
        }
    }

    /// A ping from the client. Its pong does not go through the context, which gives its output away
    /// later: a close that came in the same read would overtake it.
    pub(super) fn pinged(&mut self, payload: &[u8], ctx: &mut SessionContext) {
        if self.may_say_more(ctx) {
            self.link.push_control(frame::pong(payload), &self.worker);
        }
    }

    /// A pong from the client. Most are asked for; who sends them without end costs as much as by pings.
    pub(super) fn ponged(&mut self, ctx: &mut SessionContext) {
        self.may_say_more(ctx);
    }

    /// Counts a message, ping or pong; closes the session of a client that sends too many.
    fn may_say_more(&mut self, ctx: &mut SessionContext) -> bool {
        let now = self.worker.clock.get();
        if self.second != now {
            (self.second, self.messages) = (now, 0);
        }
        self.messages += 1;
        self.worker.counters.heard(self.mount.number);
        if self.messages > self.worker.shared.limits.messages_per_second {
            self.end(End::of(Ending::TooManyMessages, 0), ctx);
            return false;
        }
        true
    }

    /// Something that is no message: one too large, or no WebSocket protocol at all.
    pub(super) fn trouble(&mut self, ctx: &mut SessionContext) {
        match self.link.trouble.take() {
            Some(Trouble::Discarded(size)) => self.message(Input::TooBig { size }, ctx),
            Some(Trouble::Fault(fault)) => {
                self.told(Some(fault.code()), fault.name(), true, 0);
                // What was good before the fault keeps its answers: they go first.
                self.link.close(frame::close(Some(fault.code()), &fault.to_string()), true, &self.worker);
                ctx.stop();
            }
            None => ctx.stop(),
        }
    }

    /// The client closes: the same code goes back, after what is on its way.
    pub(super) fn client_closes(&mut self, code: Option<u16>, ctx: &mut SessionContext) {
        let lag = self.worker.sessions.borrow().ledgers_behind(self.number);
        self.told(code, "client", false, lag);
        self.link.close(frame::close(code, ""), true, &self.worker);
        ctx.stop();
    }

    /// Tells the dialect and does what it says. True if it closed.
    fn ask(&mut self, input: Input<'_>, ctx: &mut SessionContext) -> bool {
        self.ask_for(input, None, 0, ctx)
    }

    /// The same for a session that is `lag` ledgers behind. Where the server has a word for its end,
    /// metrics use that one for every dialect.
    fn ask_for(&mut self, input: Input<'_>, word: Option<&'static str>, lag: u64, ctx: &mut SessionContext) -> bool {
        let mut output = Output::default();
        self.dialect.handle(input, self.link.opened.elapsed(), &mut output);
        self.carry_out(output, word, lag, ctx)
    }

    fn carry_out(&mut self, output: Output, word: Option<&'static str>, lag: u64, ctx: &mut SessionContext) -> bool {
        if let Some(kind) = output.protocol_error {
            let dialect = self.mount.dialect.manners().name;
            self.worker.shared.metrics.protocol_error(dialect, kind, self.number);
        }
        // A last word must not be overtaken by the close that follows it.
        let last_words = output.actions.iter().any(|action| matches!(action, Action::Close { .. }));
        for action in output.actions {
            match action {
                Action::Send(Lane::Data, frame) if !last_words => self.link.push_answer(frame, &self.worker),
                Action::Send(Lane::Ordered, frame) if !last_words => self.answer_in_turn(frame),
                Action::Send(_, frame) => self.link.push_control(frame, &self.worker),
                Action::Subscribe(change) => self.change(Wish::Change(change), ctx),
                Action::Hold => self.change(Wish::Hold, ctx),
                Action::Release(release) => self.worker.resume(Resume { session: self.number, release }),
                Action::Call(call) => self.call(call, ctx),
                Action::Alarm(at) => {
                    if let Some(slot) = self.worker.sessions.borrow_mut().slot_of(self.number) {
                        slot.alarm = at;
                    }
                }
                Action::Close { code, reason } => {
                    self.told(Some(code), word.unwrap_or(reason), true, lag);
                    self.link.close(frame::close(Some(code), reason), false, &self.worker);
                    ctx.stop();
                    return true;
                }
            }
        }
        false
    }

    /// One change at a time, in order; a bounded number waits. The bytes of their messages bound
    /// their memory: beyond `limits.inbound` the client is not read from.
    fn change(&mut self, wish: Wish, ctx: &mut SessionContext) {
        let waiting = self.waiting.iter().filter(|(turn, _)| matches!(turn, Turn::Wish(_))).count();
        if self.changing.is_none() {
            self.count_unapplied(self.message);
            self.ask_broker(wish, self.message, ctx);
        } else if waiting < self.worker.shared.limits.waiting_changes {
            self.count_unapplied(self.message);
            self.waiting.push_back((Turn::Wish(wish), self.message));
        } else {
            let dialect = self.mount.dialect.manners().name;
            self.worker.shared.metrics.protocol_error(dialect, "too_many_changes", self.number);
            self.ask(Input::TooManyChanges, ctx);
        }
    }

    /// An answer that must not overtake those of earlier changes.
    fn answer_in_turn(&mut self, frame: Bytes) {
        let ahead = self.changing.as_ref().is_some_and(|changing| !changing.hold) || !self.waiting.is_empty();
        if ahead {
            let bytes = frame.len();
            self.count_unapplied(bytes);
            self.waiting.push_back((Turn::Answer(frame), bytes));
        } else {
            self.link.push_answer(frame, &self.worker);
        }
    }

    fn count_unapplied(&self, bytes: usize) {
        self.link.unapplied.set(self.link.unapplied.get() + bytes);
    }

    fn sources(&self) -> &Arc<[SourceNumber]> {
        self.dialect.sources().unwrap_or(&self.mount.sources)
    }

    fn ask_broker(&mut self, wish: Wish, bytes: usize, ctx: &mut SessionContext) {
        self.changing = Some(Changing { bytes, hold: matches!(wish, Wish::Hold) });
        let mark = match wish.start() {
            // It has its place.
            _ if self.opened.is_none() => None,
            Start::Mark(mark, replay) => Some((mark.clone(), replay.clone())),
            Start::Head | Start::Opened { .. } => self.mark.take().map(|mark| *mark),
        };
        match mark {
            None => self.register(wish, None),
            Some((mark, replay)) => {
                let locating = self.worker.locator().begin(self.sources().clone(), mark, replay);
                ctx.spawn(locating.into_actor(self).map(|located, session, ctx| match located {
                    Ok(located) => session.go_on(wish, located, ctx),
                    Err(error) => session.refused(error, ctx),
                }));
            }
        }
    }

    fn register(&mut self, wish: Wish, located: Option<Box<Located>>) {
        let (sources, opened) = (self.sources().clone(), self.opened.take());
        let register = Register { session: self.number, sources, opened, located, wish };
        self.worker.shared.broker.do_send(register);
    }

    /// The place where its client wants to go on was found.
    fn go_on(&mut self, wish: Wish, located: Located, ctx: &mut SessionContext) {
        match located.break_before().filter(|_| !self.dialect.tells_of_gaps()) {
            None => self.register(wish, Some(Box::new(located))),
            Some(error) => self.refused(error, ctx),
        }
    }

    /// Its client cannot go on where it wants to: nothing has changed, if the dialect can say so.
    fn refused(&mut self, error: ResumeError, ctx: &mut SessionContext) {
        log::debug!(session:% = self.number, error:%; "a client cannot go on where it was");
        if let Some(Changing { bytes, .. }) = self.changing.take() {
            self.link.unapplied.set(self.link.unapplied.get() - bytes);
        }
        if self.dialect.tells_of_gaps() {
            let mut output = Output::default();
            self.dialect.refused(error, self.link.opened.elapsed(), &mut output);
            self.carry_out(output, None, 0, ctx);
            self.next_turns(ctx);
        } else {
            self.end(End { ending: Ending::Gap, reason: "resume", lag: 0 }, ctx);
        }
    }

    /// What waited, as far as it may go now.
    fn next_turns(&mut self, ctx: &mut SessionContext) {
        while self.changing.as_ref().is_none_or(|changing| changing.hold) {
            // Wishes go one at a time.
            if self.changing.is_some() && !matches!(self.waiting.front(), Some((Turn::Answer(_), _))) {
                break;
            }
            match self.waiting.pop_front() {
                // Its bytes are counted already, until it has taken effect.
                Some((Turn::Wish(wish), bytes)) => self.ask_broker(wish, bytes, ctx),
                Some((Turn::Answer(frame), bytes)) => {
                    self.link.unapplied.set(self.link.unapplied.get() - bytes);
                    self.link.push_answer(frame, &self.worker);
                }
                None => break,
            }
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
    }

    /// Asks the ledger's RPC for the client. The call ends with the session.
    fn call(&mut self, Call { number, method, parameters }: Call, ctx: &mut SessionContext) {
        let worker = &self.worker;
        let upstream = self.sources().first().and_then(|source| worker.shared.upstreams.get(usize::from(*source)));
        let Some(Some(upstream)) = upstream else {
            self.ask(Input::Answered { call: number, outcome: Err(CallError::Unreachable) }, ctx);
            return;
        };
        // Answers may be large: a client that does not take them gets no more.
        if self.link.waiting() > worker.shared.limits.outbox.cap {
            self.ask(Input::Answered { call: number, outcome: Err(CallError::Busy) }, ctx);
            return;
        }
        let (answer, answered) = oneshot::channel();
        upstream.do_send(CallUpstream { session: self.number, method, parameters, answer });
        ctx.spawn(answered.into_actor(self).map(move |answered, session, ctx| {
            let outcome = answered.unwrap_or(Err(CallError::Unreachable)).and_then(|reply| session.fits(reply));
            let outcome = outcome.as_ref().map(|text| &**text).map_err(|error| *error);
            session.ask(Input::Answered { call: number, outcome }, ctx);
        }));
    }

    /// An answer may be large, and is never cut: it comes only where this client takes what it has, and all
    /// together do.
    fn fits(&self, reply: Reply) -> Result<Reply, CallError> {
        let (worker, waiting) = (&self.worker, self.link.waiting());
        let fits =
            waiting <= worker.shared.limits.outbox.cap && worker.waiting.has_room(waiting, waiting + reply.len());
        if fits { Ok(reply) } else { Err(CallError::Busy) }
    }

    fn end(&mut self, End { ending, reason, lag }: End, ctx: &mut SessionContext) {
        if !self.ask_for(Input::Ending(ending), Some(reason), lag, ctx) {
            let codes = self.mount.dialect.manners().codes;
            let code = match ending {
                Ending::Shutdown => codes.shutdown,
                Ending::TooSlow => codes.too_slow,
                Ending::Gap => codes.gap,
                Ending::Dead => codes.dead,
                Ending::TooManyMessages | Ending::Revoked => codes.limit,
                Ending::ReplayEnd => REPLAY_ENDED,
            };
            self.told(Some(code), reason, true, lag);
            self.link.close(frame::close(Some(code), ""), false, &self.worker);
            ctx.stop();
        }
    }

    /// Notes how the session ended; the first word counts.
    fn told(&mut self, code: Option<u16>, reason: &'static str, by_us: bool, lag: u64) {
        self.ended.get_or_insert_with(|| Box::new(Ended { code, reason, by_us, lag }));
    }
}

impl Actor for Session {
    type Context = SessionContext;

    fn started(&mut self, ctx: &mut Self::Context) {
        let draining = {
            let mut sessions = self.worker.sessions.borrow_mut();
            if let Some(slot) = sessions.slot_of(self.number) {
                slot.session = Some(ctx.address());
            }
            sessions.draining
        };
        if draining {
            self.end(End::of(Ending::Shutdown, 0), ctx);
        } else if !self.mount.access.still_allows(self.link.token.as_deref()) {
            // Taken back between the handshake and now.
            self.end(End::of(Ending::Revoked, 0), ctx);
        } else {
            self.ask(Input::Opened, ctx);
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        let mut sessions = self.worker.sessions.borrow_mut();
        let lag = sessions.ledgers_behind(self.number);
        if let Some(slot) = sessions.slot_of(self.number) {
            slot.session = None;
            slot.lag = None;
            sessions.unsubscribe(self.number.slot);
        }
        let ended = self.ended.take().unwrap_or(Box::new(Ended { code: None, reason: "gone", by_us: false, lag }));
        self.worker.shared.metrics.session_closed(Closed {
            dialect: self.mount.dialect.manners().name,
            session: self.number,
            peer: &self.link.peer,
            code: ended.code,
            reason: ended.reason,
            by_us: ended.by_us,
            lag_ledgers: ended.lag,
            lived: self.link.opened.elapsed(),
        });
    }
}

impl Handler<ChangeApplied> for Session {
    type Result = ();
    fn handle(&mut self, _: ChangeApplied, ctx: &mut Self::Context) {
        if let Some(Changing { bytes, .. }) = self.changing.take() {
            self.link.unapplied.set(self.link.unapplied.get() - bytes);
        }
        // What was asked for before comes before what the dialect asks for now.
        self.next_turns(ctx);
        self.ask(Input::Applied, ctx);
    }
}

impl Handler<Held> for Session {
    type Result = ();
    fn handle(&mut self, Held(applied): Held, ctx: &mut Self::Context) {
        self.ask(Input::Held(&applied), ctx);
    }
}

impl Handler<Ring> for Session {
    type Result = ();
    fn handle(&mut self, _: Ring, ctx: &mut Self::Context) {
        self.ask(Input::Alarm, ctx);
    }
}

impl Handler<StillAllowed> for Session {
    type Result = ();
    fn handle(&mut self, _: StillAllowed, ctx: &mut Self::Context) {
        if !self.dialect.still_allowed() {
            self.end(End::of(Ending::Revoked, 0), ctx);
        }
    }
}

impl Handler<End> for Session {
    type Result = ();
    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        self.end(end, ctx);
    }
}
