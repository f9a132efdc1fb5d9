//! One Flow session: waits for the first `register`, then follows the later ones.

use super::register::{self, RegisterError, Registration, Wrong};
use super::{MANNERS, Shared};
use crate::broker::{Clause, Subscription};
use crate::dialect::{
    Action, Change, Dialect, Ending, Input, Lane, Lost, Output, Parted, REPLAY_ENDED, ResumeError, Resumed, Start,
    frame,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;
use std::time::Duration;

/// Errors are answered this far apart, so that a client's nonsense is not doubled.
const BETWEEN_ERRORS: Duration = Duration::from_secs(1);

/// One session's state. Paid for every connection, so it holds nothing of its filters.
pub(super) struct Session {
    shared: Arc<Shared>,
    /// No `error` before this time since opening.
    quiet_until: Duration,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The timer runs.
    Unregistered,
    Registered,
    Closed,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Code {
    InvalidMessage,
    InvalidFilter,
    InvalidResume,
    RegistrationTimeout,
    TooSlow,
    Unauthorized,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message<'a> {
    Registered {
        message: &'static str,
        filters: &'a RawValue,
        #[serde(skip_serializing_if = "is_zero")]
        dropped: u64,
        #[serde(flatten)]
        went_on: Option<WentOn<'a>>,
    },
    Error {
        code: Code,
        message: &'a str,
    },
}

/// How a client goes on where it was, in one word.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum WentOn<'a> {
    /// Nothing is missing.
    Resumed { ledgers: u64, events_before_filter: u64 },
    /// These are gone; the oldest that is kept comes first.
    Gap(OneOrMore<Gap<'a>>),
    /// It was on a chain that counts no more.
    Reorg(OneOrMore<Reorg<'a>>),
}

/// Of one network an object, of several a list.
#[derive(Serialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

#[derive(Serialize)]
struct Gap<'a> {
    network: &'a str,
    from_ledger: u64,
    to_ledger: u64,
    oldest_ledger: u64,
}

#[derive(Serialize)]
struct Reorg<'a> {
    network: &'a str,
    last_common_ledger: u64,
}

impl<'a> WentOn<'a> {
    fn of(resumed: &'a Resumed) -> WentOn<'a> {
        let gap = |lost: &'a Lost| Gap {
            network: &lost.network,
            from_ledger: lost.from_ledger,
            to_ledger: lost.to_ledger,
            oldest_ledger: lost.to_ledger + 1,
        };
        let reorg =
            |parted: &'a Parted| Reorg { network: &parted.network, last_common_ledger: parted.last_common_ledger };
        match resumed {
            Resumed { lost, .. } if !lost.is_empty() => WentOn::Gap(one_or_more(lost.iter().map(gap))),
            Resumed { parted, .. } if !parted.is_empty() => WentOn::Reorg(one_or_more(parted.iter().map(reorg))),
            Resumed { ledgers, events, .. } => WentOn::Resumed { ledgers: *ledgers, events_before_filter: *events },
        }
    }
}

fn one_or_more<T>(all: impl Iterator<Item = T>) -> OneOrMore<T> {
    let mut all: Vec<T> = all.collect();
    match all.pop() {
        Some(only) if all.is_empty() => OneOrMore::One(only),
        last => {
            all.extend(last);
            OneOrMore::More(all)
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Message<'_> {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always make JSON")
    }
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>) -> Session {
        Session { shared, quiet_until: Duration::ZERO, state: State::Unregistered }
    }

    fn message(&mut self, text: &str, now: Duration, output: &mut Output) {
        match register::read(text, self.shared.values_per_session) {
            Ok(Registration { mark: Some(_), .. }) if self.state == State::Registered => {
                self.refuse(&RegisterError::MarkTooLate, now, output);
            }
            Ok(Registration { replays: true, .. }) if !self.shared.replay => {
                self.refuse(&RegisterError::NoReplay, now, output);
            }
            Ok(registration) => self.register(registration, output),
            Err(error) => self.refuse(&error, now, output),
        }
    }

    fn register(&mut self, Registration { filters, mark, .. }: Registration, output: &mut Output) {
        let first = self.state == State::Unregistered;
        self.state = State::Registered;
        let message = if first {
            output.alarm(None);
            "Registration successful, processing queued events"
        } else {
            "Filters updated"
        };
        let clauses: Arc<[Clause]> = filters.clause().into_iter().collect();
        let answered = first || self.shared.config.confirm_updates;
        let echo = answered.then(|| to_raw_value(&filters).expect("lists of texts always make JSON"));
        output.subscribe(Change {
            subscription: Subscription { clauses, rendering: self.shared.rendering, copy_per_tag: false },
            start: mark.map_or(Start::Opened { at_most: self.shared.config.max_queue_size }, |(mark, replay)| {
                Start::Mark(mark, replay)
            }),
            answer: Box::new(move |applied| {
                let filters = echo?;
                // What was lost before the first filters; later ones keep the position and lose nothing.
                let dropped = if first { applied.dropped } else { 0 };
                let went_on = applied.resumed.as_ref().map(WentOn::of);
                Some(frame::text(&Message::Registered { message, filters: &filters, dropped, went_on }.text()))
            }),
        });
    }

    fn refuse(&mut self, error: &RegisterError, now: Duration, output: &mut Output) {
        let code = match error.wrong() {
            Wrong::Message => Code::InvalidMessage,
            Wrong::Filters => Code::InvalidFilter,
            Wrong::Mark => Code::InvalidResume,
        };
        self.error(code, &error.to_string(), now, output);
    }

    fn error(&mut self, code: Code, message: &str, now: Duration, output: &mut Output) {
        if now >= self.quiet_until {
            self.quiet_until = now + BETWEEN_ERRORS;
            output.text(&Message::Error { code, message }.text());
        }
    }

    /// Says why and closes. On the control lane: a close waits for that one alone.
    fn leave(&mut self, code: Code, message: &str, close: u16, reason: &'static str, output: &mut Output) {
        output.control_text(&Message::Error { code, message }.text());
        self.close(close, reason, output);
    }

    fn close(&mut self, code: u16, reason: &'static str, output: &mut Output) {
        self.state = State::Closed;
        output.close(code, reason);
    }

    fn ending(&mut self, ending: Ending, output: &mut Output) {
        let codes = MANNERS.codes;
        match ending {
            Ending::Shutdown => self.close(codes.shutdown, "server is shutting down", output),
            Ending::TooSlow => {
                let message = "the connection does not keep up with the stream; read faster or narrow the filters";
                self.leave(Code::TooSlow, message, codes.too_slow, "too slow", output);
            }
            Ending::Gap => self.close(codes.gap, "gap in the stream", output),
            Ending::Dead => self.close(codes.dead, "no sign of life", output),
            Ending::TooManyMessages => {
                let message = "too many messages in a second; send fewer";
                self.leave(Code::InvalidMessage, message, codes.limit, "too many messages", output);
            }
            Ending::Revoked => {
                let message = "the access token is no longer valid; connect with another";
                self.leave(Code::Unauthorized, message, codes.limit, "access revoked", output);
            }
            // What is told of it stands among the events.
            Ending::ReplayEnd => self.close(REPLAY_ENDED, "end of the replay", output),
        }
    }
}

impl Dialect for Session {
    fn handle(&mut self, input: Input<'_>, now: Duration, output: &mut Output) {
        if self.state == State::Closed {
            return;
        }
        match input {
            Input::Opened => {
                // On the control lane, so that no later control frame can come before it.
                output.actions.push(Action::Send(Lane::Control, self.shared.welcome.clone()));
                output.alarm(Some(self.shared.config.registration_timeout.0));
            }
            Input::Text(text) => self.message(text, now, output),
            Input::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => self.message(text, now, output),
                Err(_) => self.refuse(&RegisterError::NotText, now, output),
            },
            Input::Alarm if self.state == State::Unregistered => {
                let message = "no registration in time; send a register message right after connecting";
                let code = MANNERS.codes.limit;
                self.leave(Code::RegistrationTimeout, message, code, "registration timeout", output);
            }
            Input::TooManyChanges => {
                let message = "too many filter changes wait already; this one was not taken, send it again later";
                // Outside of the one a second: it must not be lost that a change was not taken. It is
                // no larger than the answer to a change that was, and `messages_per_second` bounds both.
                output.text(&Message::Error { code: Code::InvalidFilter, message }.text());
            }
            Input::Ending(ending) => self.ending(ending, output),
            // Behind one that was refused, a change without a position has registered.
            Input::Applied if self.state == State::Unregistered => {
                self.state = State::Registered;
                output.alarm(None);
            }
            // Larger messages close the connection; changes are applied in the order they were asked for.
            // Flow neither holds nor calls.
            Input::Alarm | Input::Applied | Input::TooBig { .. } | Input::Held(_) | Input::Answered { .. } => {}
        }
    }

    fn tells_of_gaps(&self) -> bool {
        true
    }

    /// It may register again, and has as long for it as at first.
    fn refused(&mut self, error: ResumeError, now: Duration, output: &mut Output) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Unregistered;
        output.alarm(Some(now + self.shared.config.registration_timeout.0));
        let message = format!("resume: {error}");
        // Outside of the one a second: it must not be lost that the registration was not taken.
        output.text(&Message::Error { code: Code::InvalidResume, message: &message }.text());
    }
}

#[cfg(test)]
mod tests;
