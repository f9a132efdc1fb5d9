//! One session: registers by a key, keeps its heart beating, unregisters.

use super::keys::KeyRef;
use super::{MANNERS, REGISTER_WITHIN, Shared};
use crate::broker::Subscription;
use crate::dialect::{Change, Dialect, Ending, Input, Output, REPLAY_ENDED, Start, frame};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A session's id: random, shown as a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(pub u128);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Version 4, variant 1: what these bits say of a random one.
        let id = self.0 & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
        let part = |from: u32, digits: u32| (id >> from) & ((1 << (4 * digits)) - 1);
        let (low, mid, version, clock, node) = (part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12));
        write!(f, "{low:08x}-{mid:04x}-{version:04x}-{clock:04x}-{node:012x}")
    }
}

/// One session's state. Paid for every connection.
pub(super) struct Session {
    shared: Arc<Shared>,
    id: Id,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The timer runs.
    Connected,
    Registered {
        key: KeyRef,
        /// Whether `register:ack` is on its way already.
        acknowledged: bool,
    },
    Closed,
}

/// What a client said. A field that is no text is none.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Register { key: Option<String> },
    Heartbeat { session: Option<String> },
    Unregister { key: Option<String> },
}

#[derive(Serialize)]
#[serde(tag = "command")]
enum Answer<'a> {
    #[serde(rename = "register:ack")]
    RegisterAck {
        #[serde(rename = "sessionID")]
        session: &'a str,
    },
    #[serde(rename = "register:nack")]
    RegisterNack,
    #[serde(rename = "heartbeat")]
    Heartbeat {
        #[serde(rename = "sessionID")]
        session: &'a str,
    },
    #[serde(rename = "unregister:ack")]
    UnregisterAck,
}

impl Answer<'_> {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("texts always make JSON")
    }
}

impl Said {
    /// `None`: nothing that the protocol knows.
    fn read(text: &str) -> Option<Said> {
        let mut fields: Map<String, Value> = serde_json::from_str(text).ok()?;
        let mut text = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        match text("command")?.as_str() {
            "register" => Some(Said::Register { key: text("key") }),
            "heartbeat" => Some(Said::Heartbeat { session: text("sessionID") }),
            "unregister" => Some(Said::Unregister { key: text("key") }),
            _ => None,
        }
    }
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, id: Id) -> Session {
        Session { shared, id, state: State::Connected }
    }

    fn key(&self, text: Option<&str>) -> Option<KeyRef> {
        self.shared.keys.find(text?)
    }

    /// A message; `None`: one that means nothing.
    fn hear(&mut self, said: Option<Said>, output: &mut Output) {
        match (self.state, said) {
            (State::Connected, Some(Said::Register { key: Some(key) })) => match self.key(Some(&key)) {
                Some(key) => self.register(key, output),
                None => self.refuse("unknown key", output),
            },
            (State::Connected, _) => self.refuse("register first", output),
            (State::Registered { key, acknowledged }, Some(said)) => self.registered(key, acknowledged, said, output),
            (State::Registered { .. }, None) => output.protocol_error = Some("unknown_message"),
            (State::Closed, _) => {}
        }
    }

    fn registered(&mut self, own: KeyRef, acknowledged: bool, said: Said, output: &mut Output) {
        let id = self.id.to_string();
        match said {
            Said::Register { key } if self.key(key.as_deref()) == Some(own) => {
                output.control_text(&Answer::RegisterAck { session: &id }.text());
            }
            Said::Register { .. } => self.refuse("another key", output),
            Said::Heartbeat { session } if session.as_ref() == Some(&id) => {
                output.control_text(&Answer::Heartbeat { session: &id }.text());
            }
            Said::Heartbeat { .. } => output.protocol_error = Some("heartbeat_of_another"),
            Said::Unregister { key } if self.key(key.as_deref()) == Some(own) => {
                // The close forgets what waits in its turn, and the ack is the first frame whatever follows.
                if !acknowledged {
                    output.control_text(&Answer::RegisterAck { session: &id }.text());
                }
                output.control_text(&Answer::UnregisterAck.text());
                self.close(1000, "unregistered", output);
            }
            Said::Unregister { .. } => output.protocol_error = Some("unregister_of_another"),
        }
    }

    fn register(&mut self, key: KeyRef, output: &mut Output) {
        self.state = State::Registered { key, acknowledged: false };
        output.alarm(None);
        let answer = frame::text(&Answer::RegisterAck { session: &self.id.to_string() }.text());
        let clauses = self.shared.keys.clauses(key);
        output.subscribe(Change {
            subscription: Subscription { clauses, rendering: self.shared.rendering, copy_per_tag: false },
            start: Start::Head,
            answer: Box::new(move |_| Some(answer)),
        });
    }

    fn refuse(&mut self, reason: &'static str, output: &mut Output) {
        output.control_text(&Answer::RegisterNack.text());
        self.close(MANNERS.codes.limit, reason, output);
    }

    fn close(&mut self, code: u16, reason: &'static str, output: &mut Output) {
        self.state = State::Closed;
        output.close(code, reason);
    }

    fn ending(&mut self, ending: Ending, output: &mut Output) {
        let codes = MANNERS.codes;
        let (code, reason) = match ending {
            Ending::Shutdown => (codes.shutdown, "server is shutting down"),
            Ending::TooSlow => (codes.too_slow, "too slow"),
            Ending::Gap => (codes.gap, "gap in the stream"),
            Ending::Dead => (codes.dead, "no sign of life"),
            Ending::TooManyMessages => (codes.limit, "too many messages"),
            Ending::Revoked => (codes.limit, "access revoked"),
            Ending::ReplayEnd => (REPLAY_ENDED, "end of the replay"),
        };
        self.close(code, reason, output);
    }
}

impl Dialect for Session {
    fn handle(&mut self, input: Input<'_>, _: Duration, output: &mut Output) {
        if self.state == State::Closed {
            return;
        }
        match input {
            Input::Opened => output.alarm(Some(REGISTER_WITHIN)),
            Input::Text(text) => self.hear(Said::read(text), output),
            Input::Binary(_) => self.hear(None, output),
            Input::Alarm if self.state == State::Connected => self.refuse("registration timeout", output),
            Input::Applied => {
                if let State::Registered { acknowledged, .. } = &mut self.state {
                    *acknowledged = true;
                }
            }
            Input::Ending(ending) => self.ending(ending, output),
            // Larger messages close the connection, there is one change alone, and nothing is held or called.
            Input::Alarm | Input::TooManyChanges | Input::TooBig { .. } | Input::Held(_) | Input::Answered { .. } => {}
        }
    }

    fn still_allowed(&self) -> bool {
        match self.state {
            State::Registered { key, .. } => self.shared.keys.still_known(key),
            State::Connected | State::Closed => true,
        }
    }
}

#[cfg(test)]
mod tests;
