//! One client's side of a stream.

use super::MANNERS;
use super::render::Stream;
use crate::broker::{Clause, RenderingId, Subscription};
use crate::dialect::{Change, Dialect, Ending, Input, Output, REPLAY_ENDED, Start};
use std::time::Duration;

/// One session's state.
pub(super) struct Session {
    stream: Stream,
    rendering: RenderingId,
    closed: bool,
}

impl Session {
    pub(super) fn new(stream: Stream, rendering: RenderingId) -> Session {
        Session { stream, rendering, closed: false }
    }
}

impl Dialect for Session {
    fn handle(&mut self, input: Input<'_>, _: Duration, output: &mut Output) {
        if self.closed {
            return;
        }
        match input {
            Input::Opened => output.subscribe(Change {
                subscription: Subscription {
                    clauses: [Clause::everything(self.stream.kinds())].into(),
                    rendering: self.rendering,
                    copy_per_tag: false,
                },
                // What is committed from the handshake on, also while it is being registered.
                start: Start::Opened { at_most: u64::MAX },
                answer: Box::new(|_| None),
            }),
            Input::Ending(ending) => {
                self.closed = true;
                let codes = MANNERS.codes;
                let (code, reason) = match ending {
                    Ending::Shutdown => (codes.shutdown, "server is shutting down"),
                    Ending::TooSlow => (codes.too_slow, "too slow; connect again"),
                    Ending::Gap => (codes.gap, "blocks are missing; connect again"),
                    Ending::Dead => (codes.dead, "no sign of life"),
                    Ending::TooManyMessages => (codes.limit, "too many messages"),
                    Ending::Revoked => (codes.limit, "access revoked"),
                    Ending::ReplayEnd => (REPLAY_ENDED, "end of the replay"),
                };
                output.close(code, reason);
            }
            // Whatever a client sends is dropped without a word, also what was too large to be read.
            Input::Text(_) | Input::Binary(_) | Input::TooBig { .. } => {}
            // There is one change, and neither alarms, holds nor calls.
            Input::Alarm | Input::Applied | Input::Held(_) | Input::Answered { .. } | Input::TooManyChanges => {}
        }
    }
}
