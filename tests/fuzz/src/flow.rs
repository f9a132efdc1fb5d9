//! Flow's state machine, fed with transcripts: the format of `tests/data/flow` (see
//! `tests/common/transcript.rs`), read leniently, and without what was expected there.

use crate::frames::messages;
use ledgercast::broker::{Renderings, Subscription};
use ledgercast::config::units::Time;
use ledgercast::dialect::flow::{Config, FlowMount, MANNERS};
use ledgercast::dialect::{
    Action, Applied, Change, Dialect, Ending, Entry, Input, Mount, MountContext, Opening, Output,
};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;

/// Changes that wait before further ones are refused, as `limits.waiting_changes` says.
const WAITING_CHANGES: usize = 16;
/// Steps of one conversation.
const STEPS: usize = 500;
/// The most that passes in one step.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// No input needs more: an error and a close.
const MOST_ACTIONS: usize = 2;
/// Errors about messages are this far apart.
const BETWEEN_ERRORS: Duration = Duration::from_secs(1);

struct Conversation {
    session: Box<dyn Dialect>,
    values_per_session: usize,
    now: Duration,
    waiting: VecDeque<Change>,
    last_error: Option<Duration>,
    closed: bool,
}

/// The lines of a conversation.
pub fn run(data: &[u8]) {
    let lines = || data.split(|byte| *byte == b'\n').take(STEPS);
    let setting = |name: &[u8]| lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    let config: Config = serde_json::from_slice(&setting(b"@config ")).unwrap_or_default();
    let limits: Value = serde_json::from_slice(&setting(b"@limits ")).unwrap_or_default();
    let values_per_session = limits["values_per_session"].as_u64().map_or(20, |limit| limit as usize);
    let mut conversation = Conversation {
        session: open(&config, values_per_session),
        values_per_session,
        now: Duration::ZERO,
        waiting: VecDeque::new(),
        last_error: None,
        closed: false,
    };
    let welcome = conversation.feed(Input::Opened);
    assert_eq!(welcome.len(), 1);
    lines().for_each(|line| conversation.line(line));
}

fn open(config: &Config, values_per_session: usize) -> Box<dyn Dialect> {
    let context = MountContext { values_per_session, sources: 1, ..MountContext::default() };
    let mount = FlowMount::new(config.clone(), context, &mut Renderings::default());
    mount.open(Opening::at("", "")).and_then(Entry::session).expect("at the path itself")
}

impl Conversation {
    fn line(&mut self, line: &[u8]) {
        let (word, rest) = match line.iter().position(|byte| *byte == b' ') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        let text = String::from_utf8_lossy(rest);
        match word {
            b"-->" => self.said(Input::Text(&text)),
            b"-->b" => self.said(Input::Binary(rest)),
            b"-->x" => {
                let bytes: Vec<u8> = text.split(' ').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
                self.said(Input::Binary(&bytes));
            }
            b"~" => self.now += text.parse::<Time>().map_or(Duration::ZERO, |time| time.0.min(LONGEST)),
            b"!alarm" => drop(self.feed(Input::Alarm)),
            b"!too_big" => drop(self.feed(Input::TooBig { size: MANNERS.max_message as u64 + 1 })),
            b"!too_many_changes" => drop(self.feed(Input::TooManyChanges)),
            b"!applied" => {
                let dropped = text.strip_prefix("dropped=").and_then(|count| count.parse().ok());
                self.apply(dropped.unwrap_or(0));
            }
            b"!ending" => {
                let ending = match &*text {
                    "shutdown" => Ending::Shutdown,
                    "too_slow" => Ending::TooSlow,
                    "gap" => Ending::Gap,
                    "dead" => Ending::Dead,
                    "revoked" => Ending::Revoked,
                    "replay_end" => Ending::ReplayEnd,
                    _ => Ending::TooManyMessages,
                };
                self.feed(Input::Ending(ending));
                assert!(self.closed, "the end of a session is a close");
            }
            _ => {}
        }
    }

    /// A message of the client's: answered with an error or a change, and with errors seldom.
    fn said(&mut self, input: Input<'_>) {
        let changes = self.waiting.len();
        let answers = self.feed(input);
        assert!(answers.len() + self.waiting.len() - changes <= 1, "one message, several answers");
        for error in &answers {
            assert_eq!(error["type"], "error");
            let allowed = self.last_error.is_none_or(|last| self.now >= last + BETWEEN_ERRORS);
            assert!(allowed, "two errors within a second: {error}");
            self.last_error = Some(self.now);
        }
        if self.waiting.len() > WAITING_CHANGES {
            self.waiting.pop_back();
            self.feed(Input::TooManyChanges);
        }
    }

    /// The next change takes effect: its answer, sent as a message, means the same.
    fn apply(&mut self, dropped: u64) {
        let Some(Change { subscription, answer, .. }) = self.waiting.pop_front() else { return };
        let Some(answer) = answer(&Applied { dropped, ..Applied::default() }) else { return };
        let answers = messages(&answer);
        let [registered] = &answers[..] else { panic!("one answer") };
        assert_eq!(registered["type"], "registered");
        let again = json!({"type": "register", "filters": registered["filters"]}).to_string();
        let mut output = Output::default();
        open(&Config::default(), self.values_per_session).handle(Input::Text(&again), Duration::ZERO, &mut output);
        let understood = output.actions.into_iter().find_map(|action| match action {
            Action::Subscribe(change) => Some(change.subscription),
            _ => None,
        });
        assert_eq!(understood.as_ref(), Some(&subscription), "{again}");
        self.feed(Input::Applied);
    }

    /// Feeds one input, checks what comes of it, and gives the messages sent.
    fn feed(&mut self, input: Input<'_>) -> Vec<Value> {
        let mut output = Output::default();
        self.session.handle(input, self.now, &mut output);
        assert!(output.actions.len() <= MOST_ACTIONS, "{} actions", output.actions.len());
        let mut sent = Vec::new();
        for action in output.actions {
            assert!(!self.closed, "something after the close");
            match action {
                Action::Send(_, frame) => {
                    let mut messages = messages(&frame);
                    assert_eq!(messages.len(), 1);
                    // Nothing of what a client wrote comes back, but in the answer to a change.
                    assert!(frame.len() < 300, "{} bytes: {}", frame.len(), messages[0]);
                    sent.append(&mut messages);
                }
                Action::Subscribe(change) => {
                    self.check(&change.subscription);
                    self.waiting.push_back(change);
                }
                Action::Alarm(_) => {}
                Action::Hold | Action::Release(_) | Action::Call(_) => panic!("Flow calls nobody"),
                Action::Close { code, reason } => {
                    assert!((1000..5000).contains(&code) && reason.len() <= 123);
                    self.closed = true;
                }
            }
        }
        sent
    }

    fn check(&self, subscription: &Subscription) {
        assert!(subscription.clauses.len() <= 1);
        for clause in subscription.clauses.iter() {
            assert!(clause.subjects.len() + clause.assets.len() <= self.values_per_session);
            assert!(!clause.kinds.is_empty());
            assert!(clause.subjects.iter().all(|key| key.starts_with("account:")));
            assert!(clause.min_amount.as_ref().is_none_or(|least| !least.is_negative()));
        }
    }
}
