//! One session: answers requests, changes what it is subscribed to, asks the ledger's server.

#[cfg(test)]
mod tests;

use super::answer::{self, Header};
use super::asked::{Asked, Streams};
use super::calls::{Calls, Purpose, Waiting};
use super::commands::{Command, command};
use super::faults::{self, Fault, INTERNAL, NO_PERMISSION, NOT_READY, SLOW_DOWN, TOO_MANY_CHANGES, TOO_MANY_VALUES};
use super::render::{ApiVersion, newest_ledger};
use super::request::Request;
use super::rights::is_allowed;
use super::snapshot::{Held, PATIENCE, Snapshot};
use super::wants::Wants;
use super::{Duplicates, MANNERS, Shared};
use crate::broker::Subscription;
use crate::dialect::{
    Action, Applied, CallError, Change, Dialect, Ending, Input, Output, REPLAY_ENDED, Release, Start, frame,
};
use crate::source::xrpl::native::Ledger;
use std::sync::Arc;
use std::time::Duration;

/// Changes of subscription that wait behind a snapshot or behind too many others.
const MOST_WAITING: usize = 16;
/// What an answer without anything to tell says.
const NOTHING: &str = "{}";
/// The API versions that we speak.
const VERSIONS: &str = r#"{"version":{"first":1,"last":2,"good":2}}"#;

/// One session's state. Paid for every connection.
pub(super) struct Session {
    shared: Arc<Shared>,
    /// What it will be subscribed to when everything that is under way is done.
    wants: Wants,
    /// The version of its messages then.
    version: ApiVersion,
    closed: bool,
    /// Only while something is under way.
    busy: Option<Box<Busy>>,
}

/// What is under way.
#[derive(Default)]
struct Busy {
    /// Changes of subscription, holds among them, that have not taken effect yet.
    changes: usize,
    /// What was before the last change or hold that was asked for.
    before: Option<Before>,
    /// One at a time, so that a change after it can tell what it changes.
    snapshot: Option<Snapshot>,
    /// `subscribe` and `unsubscribe` that wait until they may be asked for.
    waiting: Waiting,
    calls: Calls,
}

/// What was before a change, to go back to if it is not taken.
struct Before {
    wants: Wants,
    version: ApiVersion,
    request: Box<str>,
}

impl Busy {
    fn is_idle(&self) -> bool {
        self.changes == 0 && self.snapshot.is_none() && self.waiting.is_empty() && self.calls.is_idle()
    }
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>) -> Session {
        Session { wants: Wants::nothing(), shared, version: ApiVersion::One, closed: false, busy: None }
    }

    fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }

    fn message(&mut self, text: &str, output: &mut Output) {
        let Some(request) = Request::read(text) else { return output.ordered_text(&answer::not_json(text)) };
        if let Err(fault) = self.request(&request, text, output) {
            output.ordered_text(&answer::error(&Header::of(&request), fault, text));
        }
    }

    fn request(&mut self, request: &Request<'_>, text: &str, output: &mut Output) -> Result<(), Fault> {
        let name = request.command()?;
        let mut answer = |result| output.ordered_text(&answer::success(&Header::of(request), result, false));
        match command(&name, &self.shared.config.proxied) {
            Command::Ping => answer(NOTHING),
            Command::Version => answer(VERSIONS),
            Command::Subscribe | Command::Unsubscribe if self.must_wait() => {
                let most_bytes = self.shared.waiting_bytes();
                if !self.busy().waiting.push(text, MOST_WAITING, most_bytes) {
                    return Err(TOO_MANY_CHANGES);
                }
            }
            Command::Subscribe => self.subscribe(request, text, output)?,
            Command::Unsubscribe => self.unsubscribe(request, text, output)?,
            Command::Proxied if !is_allowed(&name, text) => return Err(NO_PERMISSION),
            Command::ServerInfo | Command::Proxied => {
                let most_bytes = self.shared.waiting_bytes();
                self.busy().calls.request(&name, text, most_bytes, output)?;
            }
            Command::Refused(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Whether a change must wait until one that is under way is done.
    fn must_wait(&self) -> bool {
        self.is_blocked() || self.busy.as_ref().is_some_and(|busy| !busy.waiting.is_empty())
    }

    fn is_blocked(&self) -> bool {
        let most = self.shared.waiting_changes.max(1);
        self.busy.as_ref().is_some_and(|busy| busy.snapshot.is_some() || busy.changes >= most)
    }

    fn subscribe(&mut self, request: &Request<'_>, text: &str, output: &mut Output) -> Result<(), Fault> {
        let asked = Asked::read(request, true)?;
        let wants = self.wants.with(&asked);
        if wants.values() > self.shared.values_per_session.max(self.wants.values()) {
            return Err(TOO_MANY_VALUES);
        }
        let tells_ledger = asked.streams.contains(Streams::LEDGER);
        let version = request.version();
        if asked.questions.is_empty() {
            self.change(request, text, wants, version, tells_ledger, output);
        } else {
            let before = self.before(text);
            let busy = self.busy();
            busy.before = Some(before);
            busy.changes += 1;
            busy.snapshot = Some(Snapshot::new(text, wants, version, tells_ledger, asked.questions));
            output.actions.push(Action::Hold);
        }
        Ok(())
    }

    fn unsubscribe(&mut self, request: &Request<'_>, text: &str, output: &mut Output) -> Result<(), Fault> {
        let wants = self.wants.without(&Asked::read(request, false)?);
        self.change(request, text, wants, self.version, false, output);
        Ok(())
    }

    fn change(
        &mut self,
        request: &Request<'_>,
        text: &str,
        wants: Wants,
        version: ApiVersion,
        tells_ledger: bool,
        output: &mut Output,
    ) {
        let header = Header::of(request);
        if !tells_ledger && wants == self.wants && version == self.version {
            return output.ordered_text(&answer::success(&header, NOTHING, false));
        }
        let before = self.before(text);
        (self.wants, self.version) = (wants, version);
        let busy = self.busy();
        busy.before = Some(before);
        busy.changes += 1;
        output.subscribe(Change {
            subscription: self.subscription(),
            start: Start::Head,
            answer: Box::new(move |applied| {
                let newest = tells_ledger.then(|| newest(applied)).flatten();
                let result = newest.as_ref().map_or(NOTHING, |(_, ledger)| ledger);
                Some(frame::text(&answer::success(&header, result, false)))
            }),
        });
    }

    fn before(&self, request: &str) -> Before {
        Before { wants: self.wants.clone(), version: self.version, request: request.into() }
    }

    /// What the router shall send.
    fn subscription(&self) -> Subscription {
        let rendering = self.shared.renderings[self.version as usize - 1];
        self.wants.subscription(rendering, self.shared.config.duplicates == Duplicates::PerSubscription)
    }

    /// The last change or hold was not taken: as if it had not been asked for. We count what is under way, so it
    /// does not come to this unless others count otherwise.
    fn not_taken(&mut self, output: &mut Output) {
        let busy = self.busy();
        let Some(Before { wants, version, request }) = busy.before.take() else { return };
        busy.snapshot = None;
        busy.changes = busy.changes.saturating_sub(1);
        (self.wants, self.version) = (wants, version);
        let header = Request::read(&request).map(|request| Header::of(&request)).unwrap_or_default();
        output.ordered_text(&answer::error(&header, TOO_MANY_CHANGES, &request));
        self.go_on(output);
    }

    fn applied(&mut self, output: &mut Output) {
        let busy = self.busy();
        busy.changes = busy.changes.saturating_sub(1);
        if busy.changes == 0 && busy.snapshot.is_none() {
            busy.before = None;
        }
        self.go_on(output);
    }

    /// Takes the changes that may be asked for now.
    fn go_on(&mut self, output: &mut Output) {
        while !self.is_blocked() {
            let Some(text) = self.busy().waiting.pop() else { return };
            let Some(request) = Request::read(&text) else { continue };
            let taken = match request.command().as_deref() {
                Ok("subscribe") => self.subscribe(&request, &text, output),
                _ => self.unsubscribe(&request, &text, output),
            };
            if let Err(fault) = taken {
                output.ordered_text(&answer::error(&Header::of(&request), fault, &text));
            }
        }
    }

    fn held(&mut self, applied: &Applied, now: Duration, output: &mut Output) {
        let busy = self.busy();
        busy.before = None;
        let Some(snapshot) = &mut busy.snapshot else { return };
        match newest(applied) {
            Some((index, ledger)) => {
                snapshot.hold(Held { index, ledger, until: now + PATIENCE });
                output.alarm(snapshot.alarm());
                snapshot.ask(&mut busy.calls, output);
            }
            None => {
                let refusal = snapshot.refusal(NOT_READY);
                self.release(Err(refusal), output);
            }
        }
    }

    /// Ends a snapshot with its answer or with a refusal.
    fn release(&mut self, outcome: Result<(), String>, output: &mut Output) {
        let busy = self.busy();
        busy.calls.give_up_questions();
        let Some(snapshot) = busy.snapshot.take() else { return };
        output.alarm(None);
        let (subscription, answer) = match outcome {
            Ok(()) => {
                let answer = snapshot.answer();
                (self.wants, self.version) = (snapshot.wants, snapshot.version);
                (Some(self.subscription()), answer)
            }
            Err(refusal) => (None, refusal),
        };
        output.actions.push(Action::Release(Release { subscription, answer: frame::text(&answer) }));
        self.go_on(output);
    }

    fn answered(&mut self, call: u32, outcome: Result<&str, CallError>, now: Duration, output: &mut Output) {
        let forwarded = self.shared.config.forwarded;
        let busy = self.busy();
        match busy.calls.answered(call) {
            Some(Purpose::Request(text)) => reply(&text, outcome, forwarded, output),
            Some(Purpose::Question(question)) => {
                if let Some(snapshot) = &mut busy.snapshot {
                    let alarm = snapshot.alarm();
                    match snapshot.answered(question, outcome, now) {
                        Ok(()) if snapshot.alarm() != alarm => output.alarm(snapshot.alarm()),
                        Ok(()) if !snapshot.is_complete() => {}
                        outcome => self.release(outcome, output),
                    }
                }
            }
            Some(Purpose::Nothing) | None => {}
        }
        let busy = self.busy();
        if let Some(snapshot) = &mut busy.snapshot {
            snapshot.ask(&mut busy.calls, output);
        }
        busy.calls.go_on(output);
    }

    /// A snapshot has waited for long enough, or shall ask again.
    fn alarm(&mut self, now: Duration, output: &mut Output) {
        let busy = self.busy();
        let Some(snapshot) = &mut busy.snapshot else { return };
        match snapshot.woken(now) {
            Ok(()) => {
                output.alarm(snapshot.alarm());
                snapshot.ask(&mut busy.calls, output);
            }
            refused => self.release(refused, output),
        }
    }

    fn ending(&mut self, ending: Ending, output: &mut Output) {
        self.closed = true;
        self.busy = None;
        let codes = MANNERS.codes;
        match ending {
            Ending::Shutdown => output.close(codes.shutdown, "server is shutting down"),
            Ending::TooSlow => output.close(codes.too_slow, "Policy error: client is too slow."),
            Ending::Gap => output.close(codes.gap, "gap in the stream"),
            Ending::Dead => output.close(codes.dead, "no sign of life"),
            Ending::TooManyMessages => {
                // On the control lane: a close waits for that one alone.
                output.control_text(&answer::general_error(SLOW_DOWN));
                output.close(codes.limit, "threshold exceeded");
            }
            Ending::Revoked => output.close(codes.limit, "access revoked"),
            Ending::ReplayEnd => output.close(REPLAY_ENDED, "end of the replay"),
        }
    }
}

/// The newest ledger at a point, by number and as answers tell it.
fn newest(applied: &Applied) -> Option<(u64, String)> {
    let batch = &applied.ledger.as_ref()?.batch;
    let ledger = batch.native.as_ref()?.get::<Ledger>()?;
    let text = String::from_utf8(newest_ledger(batch.ledger.index, ledger)).ok()?;
    Some((batch.ledger.index, text))
}

/// Sends the answer to a request from what the ledger's server said.
fn reply(text: &str, outcome: Result<&str, CallError>, forwarded: bool, output: &mut Output) {
    // It was understood before it was asked.
    let request = Request::read(text);
    let header = request.as_ref().map(Header::of).unwrap_or_default();
    let version = request.map_or(ApiVersion::One, |request| request.version());
    let room = answer::room(&header, text) + outcome.map_or(0, str::len);
    output.long_text(room, |answer| {
        let fault = match outcome {
            Ok(reply) if answer::push_reply(&header, reply, text, forwarded, answer) => return,
            Ok(_) => INTERNAL,
            Err(error) => faults::of_call(error, version),
        };
        answer::push_error(&header, fault, text, answer);
    });
}

impl Dialect for Session {
    fn handle(&mut self, input: Input<'_>, now: Duration, output: &mut Output) {
        if self.closed {
            return;
        }
        match input {
            Input::Text(text) => self.message(text, output),
            Input::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => self.message(text, output),
                Err(_) => output.ordered_text(&answer::not_json(&String::from_utf8_lossy(bytes))),
            },
            // What it was is gone.
            Input::TooBig { .. } => output.ordered_text(&answer::not_json("")),
            Input::Applied => self.applied(output),
            Input::Held(applied) => self.held(applied, now, output),
            Input::Answered { call, outcome } => self.answered(call, outcome, now, output),
            Input::TooManyChanges => self.not_taken(output),
            Input::Alarm => self.alarm(now, output),
            Input::Ending(ending) => self.ending(ending, output),
            Input::Opened => {}
        }
        if self.busy.as_ref().is_some_and(|busy| busy.is_idle()) {
            self.busy = None;
        }
    }
}
