//! What is asked of the ledger's server for one session: a few calls at a time, a few more wait.

use super::faults::{BUSY, Fault, TOO_MANY_CALLS};
use super::request::{Request, parameters};
use crate::dialect::{Action, Call, Output};
use std::collections::VecDeque;

/// Calls of one session under way: what the server allows it.
const MOST: usize = 4;
/// Requests that wait for one of those to end.
const MOST_WAITING: usize = 8;

/// The method that is answered even while the ledger's server cannot be reached.
pub(super) const SERVER_INFO: &str = "server_info";

/// Requests that wait, bounded in number and in bytes.
#[derive(Default)]
pub(super) struct Waiting {
    texts: VecDeque<Box<str>>,
    bytes: usize,
}

impl Waiting {
    /// Adds a request. False: there is no room.
    pub fn push(&mut self, text: &str, most: usize, most_bytes: usize) -> bool {
        let room = self.texts.len() < most && self.bytes + text.len() <= most_bytes;
        if room {
            self.bytes += text.len();
            self.texts.push_back(text.into());
        }
        room
    }

    pub fn pop(&mut self) -> Option<Box<str>> {
        let text = self.texts.pop_front()?;
        self.bytes -= text.len();
        Some(text)
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// What a call is made for.
pub(super) enum Purpose {
    /// This request.
    Request(Box<str>),
    /// This question of the snapshot that is under way.
    Question(usize),
    /// Nobody waits for its answer any more.
    Nothing,
}

/// The calls of one session.
#[derive(Default)]
pub(super) struct Calls {
    running: Vec<(u32, Purpose)>,
    waiting: Waiting,
    /// The number of the last one. They begin anew when none is under way.
    last: u32,
}

impl Calls {
    /// Asks for what a request says, at once or in its turn.
    pub fn request(&mut self, command: &str, text: &str, most_bytes: usize, output: &mut Output) -> Result<(), Fault> {
        // What a client asks first and waits for does not queue behind what is slow, within bounds.
        let most = if command == SERVER_INFO { 2 * MOST } else { MOST };
        if self.running.len() < most {
            self.start(command, parameters(text), Purpose::Request(text.into()), output);
            Ok(())
        } else if command == SERVER_INFO {
            Err(BUSY)
        } else if self.waiting.push(text, MOST_WAITING, most_bytes) {
            Ok(())
        } else {
            Err(TOO_MANY_CALLS)
        }
    }

    /// Begins a call, whatever else is under way.
    pub fn start(&mut self, method: &str, parameters: String, purpose: Purpose, output: &mut Output) {
        self.last += 1;
        self.running.push((self.last, purpose));
        let call = Call { number: self.last, method: method.into(), parameters: parameters.into() };
        output.actions.push(Action::Call(call));
    }

    /// Begins what waits, as far as there is room.
    pub fn go_on(&mut self, output: &mut Output) {
        while self.has_room() {
            let Some(text) = self.waiting.pop() else { return };
            // It was understood before it waited.
            if let Some(Ok(command)) = Request::read(&text).map(|request| request.command()) {
                let parameters = parameters(&text);
                self.start(&command, parameters, Purpose::Request(text), output);
            }
        }
    }

    /// What an answered call was made for.
    pub fn answered(&mut self, number: u32) -> Option<Purpose> {
        let at = self.running.iter().position(|(running, _)| *running == number)?;
        Some(self.running.swap_remove(at).1)
    }

    /// Nobody waits for the questions of a snapshot any more.
    pub fn give_up_questions(&mut self) {
        for (_, purpose) in &mut self.running {
            if matches!(purpose, Purpose::Question(_)) {
                *purpose = Purpose::Nothing;
            }
        }
    }

    pub fn has_room(&self) -> bool {
        self.running.len() < MOST
    }

    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }
}
