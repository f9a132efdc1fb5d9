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

pub mod five_bells;
pub mod flow;
pub mod frame;
mod http;
pub mod maticvigil;
pub mod planetmint;
pub mod rippled;
mod table;

pub use http::{HttpFuture, HttpReply, HttpRequest, MAX_BODY, Recent};
pub use table::{DialectConfig, build};

use crate::broker::{StreamEntry, Subscription};
use crate::config::Config;
use crate::event::{Cursor, CursorError, Family, LedgerRef, Mark, Replay, SourceNumber};
use crate::server::FileError;
use crate::source::Coin;
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
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

/// Why a client cannot go on where it says. The texts are sent to it, so they repeat nothing of what it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// No cursor of ours.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The mount shows no such network.
    #[error("the cursor is of a network that is not shown here; go on where it came from")]
    OtherNetwork,
    /// A number says nothing where several ledgers are shown.
    #[error("several ledgers are shown here, so that a number names none; send the cursor of an event")]
    SeveralSources,
    /// From the future.
    #[error("ledger {ledger} is not there yet, the newest is {newest}; begin there or without a position")]
    Ahead {
        /// The ledger.
        ledger: u64,
        /// The newest.
        newest: u64,
    },
    /// A ledger that was replaced, or of a network that began anew.
    #[error("ledger {ledger} is of another chain, and where the two part is not known; name an earlier ledger")]
    OtherChain {
        /// The ledger.
        ledger: u64,
    },
    /// Ledgers are gone, and the dialect has no words for it.
    #[error("ledgers {from} to {to} are not kept any more")]
    Gone {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The end of a replay is from the future.
    #[error(
        "until: ledger {ledger} is not there yet, the newest is {newest}; leave it out to go on with what happens now"
    )]
    EndAhead {
        /// The ledger.
        ledger: u64,
        /// The newest.
        newest: u64,
    },
    /// The end of a replay is where it begins, or before that.
    #[error("until: ledger {ledger} is not after the beginning; name a later one")]
    EndBefore {
        /// The ledger.
        ledger: u64,
    },
    /// The end of a replay is gone.
    #[error("until: ledger {ledger} is not kept any more; name a later one")]
    EndGone {
        /// The ledger.
        ledger: u64,
    },
    /// The end of a replay is a ledger that was replaced.
    #[error("until: ledger {ledger} is of another chain; name its number")]
    EndOtherChain {
        /// The ledger.
        ledger: u64,
    },
    /// Nothing is known of a source yet.
    #[error("no ledger was read yet; try again in a moment")]
    NotReady,
    /// The journal fails.
    #[error("what is kept cannot be read now; try again in a moment")]
    Unavailable,
}

/// How a client goes on where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Ledgers between there and the head.
    pub ledgers: u64,
    /// Events between there and the head, before filtering.
    pub events: u64,
    /// What is gone of them; it goes on with the oldest that is kept.
    pub lost: Vec<Lost>,
    /// Where the client was on a chain that no longer counts; it goes on after the last ledger of both.
    pub parted: Vec<Parted>,
}

/// What is told at the end of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayEnd {
    /// The last ledger, as the client named it.
    pub ledger: u64,
    /// With it a later session goes on after the end.
    pub cursor: Cursor,
    /// Ledgers that were passed.
    pub ledgers: u64,
    /// Events that the client got of them.
    pub events: u64,
}

/// Ledgers of a network that are not kept any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The network.
    pub network: Arc<str>,
    /// The first; of that one the client may have had a part.
    pub from_ledger: u64,
    /// The last.
    pub to_ledger: u64,
}

/// Where a network's chain left the one that a client was on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parted {
    /// The network.
    pub network: Arc<str>,
    /// The last ledger of both.
    pub last_common_ledger: u64,
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

/// What a handshake asked for, below the mount.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The path after the mount's own, `""` or beginning with `/`.
    pub below: &'a str,
    /// The query string without the question mark.
    pub query: &'a str,
    /// The `Authorization` header, where it is text.
    pub authorization: Option<&'a str>,
    /// Who asks: an address as limits count it.
    pub peer: IpAddr,
}

impl<'a> Opening<'a> {
    /// A handshake of nobody in particular, from this machine.
    pub fn at(below: &'a str, query: &'a str) -> Opening<'a> {
        Opening { below, query, authorization: None, peer: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }
}

/// What a client finds at the path of a WebSocket.
pub enum Entry {
    /// A new session's state.
    Session(Box<dyn Dialect>),
    /// It may not come in: the answer instead of an upgrade.
    Refused(HttpReply),
    /// That has to be looked up first.
    Asking(EntryFuture),
}

/// Whether a client may come in, on its way. It runs on a thread that serves sessions: work that takes long goes
/// elsewhere.
pub type EntryFuture = Pin<Box<dyn Future<Output = Result<Box<dyn Dialect>, HttpReply>>>>;

impl Entry {
    /// The session, where everybody may come in.
    pub fn session(self) -> Option<Box<dyn Dialect>> {
        match self {
            Entry::Session(session) => Some(session),
            Entry::Refused(_) | Entry::Asking(_) => None,
        }
    }
}

impl<D: Dialect> From<D> for Entry {
    fn from(session: D) -> Entry {
        Entry::Session(Box::new(session))
    }
}

/// What a mount is told of the configuration around its own settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountContext {
    /// Values that one client may filter by (`limits.values_per_session`).
    pub values_per_session: usize,
    /// How many sources the mount has.
    pub sources: usize,
    /// Changes of subscription that may wait for an earlier one (`limits.waiting_changes`).
    pub waiting_changes: usize,
    /// Where clients find the mount: the listener's `public_url` and the mount's path, without a slash at its end.
    pub url: String,
    /// The mount's sources, in the order of the settings.
    pub mounted: Vec<MountedSource>,
    /// Whether clients may say how fast and until where they are fed (the mount's `replay`).
    pub replay: bool,
    /// Names and addresses of the contracts that its sources watch.
    pub contracts: Vec<(String, String)>,
    /// Where the dialect's own settings stand, for errors: `listeners[0].mounts[0].config`.
    pub section: String,
}

/// A source of a mount, as far as dialects know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountedSource {
    /// What its batches carry.
    pub number: SourceNumber,
    /// Its name in the settings.
    pub name: String,
    /// What it reads.
    pub family: Family,
    /// What its settings say of assets, the network's own first.
    pub coins: Vec<Coin>,
}

impl MountedSource {
    /// Those of these names that the configuration has.
    pub fn of(config: &Config, names: &[String]) -> Vec<MountedSource> {
        let mounted = |name: &String| {
            let ledger = &config.sources.get(name)?.ledger;
            let (number, coins) = (config.sources.number(name)?, ledger.coins());
            Some(MountedSource { number, name: name.clone(), family: ledger.family(), coins })
        };
        names.iter().filter_map(mounted).collect()
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
