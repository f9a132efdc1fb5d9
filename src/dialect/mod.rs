//! What each protocol says and understands: pure state machines, no sockets, no clocks, no actors.
//!
//! In: what a client sent and what happened to its session ([`Input`]), with the time since it
//! opened. Out: what to do about it ([`Action`]): frames to send, a change of subscription, an
//! alarm, a close. A session (`crate::session`) carries the actions out.
//!
//! Who owns what: a [`Mount`] is one configured dialect at one path, shared by its sessions and
//! threads; a [`Dialect`] is one session's state, owned by that session.
//!
//! What always holds: equal inputs give equal actions, so every dialect is tested by transcripts
//! (`tests/data/<dialect>/`), run through the bare state machine and through a real socket.
//!
//! Adding a dialect: one folder, and one line in each list of `table.rs`.

mod entry;
pub mod five_bells;
pub mod flow;
pub mod frame;
mod http;
pub mod maticvigil;
pub mod planetmint;
mod resume;
pub mod rippled;
mod table;

pub use entry::{Entry, EntryFuture, MountContext, MountedSource, Opening};
pub use http::{HttpFuture, HttpReply, HttpRequest, MAX_BODY, Recent};
pub use resume::{Lost, Parted, ReplayEnd, ResumeError, Resumed};
pub use table::{DialectConfig, build};

use crate::broker::{StreamEntry, Subscription};
use crate::event::{Family, LedgerRef, Mark, Replay, SourceNumber};
use crate::server::FileError;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What is the same for every session of a dialect, whatever the mount's settings.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// The name in the configuration.
    pub name: &'static str,
    /// Time between two pings, whatever the client sends.
    pub ping_after: Duration,
    /// A client that has sent nothing for this long is dead. Any frame is life.
    pub dead_after: Duration,
    /// Largest message a client may send, bytes, unless the mount says otherwise.
    pub max_message: usize,
    /// What happens to a larger one.
    pub oversize: Oversize,
    /// What the close says when the session cannot say it itself.
    pub codes: CloseCodes,
    /// Whether a mount takes exactly one source.
    pub one_source: bool,
    /// The one family of ledgers that it shows; `None`: any.
    pub only: Option<Family>,
    /// Whether its clients may call the ledger's RPC ([`Action::Call`]).
    pub calls: bool,
    /// Whether it answers plain HTTP ([`Mount::http`]).
    pub http: bool,
    /// Whether it looks transactions up by their hash ([`Recent::transaction`]).
    pub finds_transactions: bool,
    /// Whether it sees ledgers without a session ([`Mount::follow`]).
    pub follows: bool,
    /// Whether the mount's path is the one WebSocket path, nothing below it.
    pub claims_path_alone: bool,
}

/// What to do with a message over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// Close with 1009.
    Close,
    /// Read past it without keeping it, up to this many bytes, and tell the dialect.
    Discard {
        /// Above this, close with 1009 all the same.
        up_to: usize,
    },
}

/// The close code at the end of a replay, of every dialect: its client asked for no more.
pub const REPLAY_ENDED: u16 = 1000;

/// Close codes for what a session cannot help.
#[derive(Debug, Clone, Copy)]
pub struct CloseCodes {
    /// The server stops.
    pub shutdown: u16,
    /// The client does not keep up and history no longer reaches its position.
    pub too_slow: u16,
    /// A break in the row of ledgers that the dialect has no words for.
    pub gap: u16,
    /// No sign of life.
    pub dead: u16,
    /// A limit was passed.
    pub limit: u16,
}

/// What happened to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// The handshake is done; nothing was sent yet.
    Opened,
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A message over the limit was discarded ([`Oversize::Discard`]).
    TooBig {
        /// Its size in bytes, as far as it was declared.
        size: u64,
    },
    /// The time asked for with [`Action::Alarm`] has come.
    Alarm,
    /// A change of subscription took effect and its answer is on its way.
    Applied,
    /// The session's position is held at this point ([`Action::Hold`]), until [`Action::Release`].
    Held(&'a Applied),
    /// The answer to [`Action::Call`].
    Answered {
        /// The call's number.
        call: u32,
        /// What the ledger's RPC said.
        outcome: Result<&'a str, CallError>,
    },
    /// More changes wait than the session may have (`limits.waiting_changes`); this one was not taken.
    TooManyChanges,
    /// The session is about to be closed: say so in the dialect's own words, ending with [`Action::Close`].
    Ending(Ending),
}

/// Why the broker closes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The server stops.
    Shutdown,
    /// History no longer reaches the session's position, or nothing has left for `limits.stall`.
    TooSlow,
    /// A break in the row of ledgers that the dialect has no words for.
    Gap,
    /// What lies behind history cannot be read now.
    Unreadable,
    /// No sign of life.
    Dead,
    /// Too many messages in a second.
    TooManyMessages,
    /// The token or key that let the client in is no longer known.
    Revoked,
    /// A replay has come to the end that its client asked for, and everything before it has left.
    ReplayEnd,
}

impl Ending {
    /// The word for it in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Ending::Shutdown => "shutdown",
            Ending::TooSlow => "too_slow",
            Ending::Gap => "gap",
            Ending::Unreadable => "unreadable",
            Ending::Dead => "dead",
            Ending::TooManyMessages => "too_many_messages",
            Ending::Revoked => "revoked",
            Ending::ReplayEnd => "replay_end",
        }
    }
}

/// What the RPC of a ledger answered to a client's call: the text of its JSON result.
pub type Reply = Arc<str>;

/// Why a client's call got no answer of the ledger's RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    /// Too many calls are under way or wait, of this client or of all.
    Busy,
    /// The RPC did not answer in time, or not at all.
    Unreachable,
    /// Nothing is known of the ledger yet.
    NotReady,
    /// The answer is larger than `limits.call_bytes`.
    TooLarge,
}

/// A call to the RPC of the mount's first source on behalf of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What [`Input::Answered`] names it by; the dialect's own.
    pub number: u32,
    /// The method.
    pub method: Box<str>,
    /// Its parameters, the text of a JSON object.
    pub parameters: Box<str>,
}

/// The end of a hold.
pub struct Release {
    /// What the session wants from the point on where it was held; `None`: what it wanted before.
    pub subscription: Option<Subscription>,
    /// The answer, placed in the data lane before anything that came after that point.
    pub answer: Bytes,
}

/// The way a frame takes among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Overtakes waiting data, between frames.
    Control,
    /// In its turn, after the answers of all changes that were asked for before it: the answer to a request that
    /// must not overtake those to earlier ones. A change that is held is not waited for.
    Ordered,
    /// In its turn, at once.
    Data,
}

/// What a session shall do.
pub enum Action {
    /// Send a frame, header included ([`frame`]).
    Send(Lane, Bytes),
    /// Replace the session's subscription.
    Subscribe(Change),
    /// Hold the session's position where a change would take effect now, and tell by [`Input::Held`]. Takes its turn
    /// among the changes; those asked for later wait until [`Action::Release`].
    Hold,
    /// Go on from where the position was held.
    Release(Release),
    /// Ask the ledger's RPC; [`Input::Answered`] follows, unless the session ends before.
    Call(Call),
    /// Wake the dialect with [`Input::Alarm`] at this time since opening; `None`: not any more.
    /// Kept to the next whole second.
    Alarm(Option<Duration>),
    /// Close, after what was sent on the control lane.
    Close {
        /// The close code.
        code: u16,
        /// At most 123 bytes.
        reason: &'static str,
    },
}

/// A change of subscription. It takes effect at the session's own position, at a ledger boundary.
pub struct Change {
    /// What the session wants from then on.
    pub subscription: Subscription,
    /// Where a first subscription begins; later ones keep the session's position.
    pub start: Start,
    /// Makes the answer, placed in the data lane exactly at the point where the change took effect.
    pub answer: Answer,
}

/// Makes the answer to a change of subscription from the point where it took effect.
pub type Answer = Box<dyn FnOnce(&Applied) -> Option<Bytes> + Send>;

/// Where a first subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the next ledger.
    Head,
    /// Where the stream was when the session opened, but at most this many events back.
    Opened {
        /// Events before the head, before filtering.
        at_most: u64,
    },
    /// Where the client says, and fed as it says. If that cannot be, the change is not taken ([`Dialect::refused`]).
    Mark(Mark, Replay),
}

/// The point at which a change took effect.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// Events between opening and the start that are not delivered any more, before filtering.
    pub dropped: u64,
    /// The newest ledger before that point, of the mount's first source.
    pub ledger: Option<Arc<StreamEntry>>,
    /// How a client goes on that said where.
    pub resumed: Option<Resumed>,
}

impl Applied {
    /// Which ledger it is.
    pub fn ledger_ref(&self) -> Option<&LedgerRef> {
        self.ledger.as_ref().map(|entry| &entry.batch.ledger)
    }
}

/// Collects the actions of one input.
#[derive(Default)]
pub struct Output {
    /// In the order in which they shall be carried out.
    pub actions: Vec<Action>,
    /// The client said something that means nothing and is not answered: a word to count it by.
    pub protocol_error: Option<&'static str>,
}

impl Output {
    /// Sends one text message in its turn.
    pub fn text(&mut self, payload: &str) {
        self.actions.push(Action::Send(Lane::Data, frame::text(payload)));
    }

    /// Sends one text message in its turn, written as [`frame::text_of`] says.
    pub fn long_text(&mut self, room: usize, write: impl FnOnce(&mut String)) {
        self.actions.push(Action::Send(Lane::Data, frame::text_of(room, write)));
    }

    /// Sends one text message after the answers to all earlier changes.
    pub fn ordered_text(&mut self, payload: &str) {
        self.actions.push(Action::Send(Lane::Ordered, frame::text(payload)));
    }

    /// Sends one text message before waiting data.
    pub fn control_text(&mut self, payload: &str) {
        self.actions.push(Action::Send(Lane::Control, frame::text(payload)));
    }

    /// Closes the session.
    pub fn close(&mut self, code: u16, reason: &'static str) {
        self.actions.push(Action::Close { code, reason });
    }

    /// Sets or clears the alarm.
    pub fn alarm(&mut self, at: Option<Duration>) {
        self.actions.push(Action::Alarm(at));
    }

    /// Changes the subscription.
    pub fn subscribe(&mut self, change: Change) {
        self.actions.push(Action::Subscribe(change));
    }
}

/// One session's side of the conversation.
pub trait Dialect: 'static {
    /// Takes what happened `now` after opening and says what to do.
    fn handle(&mut self, input: Input<'_>, now: Duration, output: &mut Output);

    /// Whether its client may stay, now that [`Mount::read_files`] was called again; if not, [`Ending::Revoked`] follows.
    fn still_allowed(&self) -> bool {
        true
    }

    /// Whether it can tell its client of ledgers that are gone, and of a position that is none. If not, the session is
    /// closed with [`Ending::Gap`] where either comes up.
    fn tells_of_gaps(&self) -> bool {
        false
    }

    /// The first change was not taken, since its client cannot go on where it says; it is as if it had not been asked
    /// for. Only where [`Dialect::tells_of_gaps`].
    fn refused(&mut self, _error: ResumeError, _now: Duration, _output: &mut Output) {}

    /// Which of the mount's sources it shows, the same as long as it lives; `None`: all.
    fn sources(&self) -> Option<&Arc<[SourceNumber]>> {
        None
    }
}

/// One configured dialect at one path: makes the sessions' state machines.
pub trait Mount: Send + Sync + 'static {
    /// What is the same for all its sessions.
    fn manners(&self) -> &'static Manners;

    /// Largest message a client may send, bytes.
    fn max_message(&self) -> usize {
        self.manners().max_message
    }

    /// Reads the files that the dialect's settings name, at start and whenever asked later. On an error what was read
    /// before goes on.
    fn read_files(&self) -> Result<(), FileError> {
        Ok(())
    }

    /// A new session's state, or `None` where no WebSocket is at that path. What is work to find out, or is counted,
    /// is left to [`Entry::Asking`]: that is begun only where the rest of the handshake is good and a place is free.
    fn open(&self, opening: Opening<'_>) -> Option<Entry>;

    /// Sees every ledger of the mount's sources once, those of each in their order, off the threads of sessions and the
    /// broker's, if its manners say so ([`Manners::follows`]). `oldest` is the sequence of the oldest ledger of that source that history keeps.
    fn follow(&self, _entry: &StreamEntry, _oldest: u64) {}

    /// Answers a request that is no handshake; `None`: nothing of the dialect's is there.
    fn http(&self, _: HttpRequest, _: &Recent) -> Option<HttpFuture> {
        None
    }
}
