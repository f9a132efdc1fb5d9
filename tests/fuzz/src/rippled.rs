//! Rippled's state machine, fed with transcripts: the format of `tests/data/rippled` (see
//! `tests/common/transcript.rs`), read leniently, and without what was expected there.

use crate::frames::payloads;
use ledgercast::broker::{Renderings, StreamEntry};
use ledgercast::config::units::Time;
use ledgercast::dialect::rippled::{Config, MANNERS, RippledMount};
use ledgercast::dialect::{
    Action, Applied, CallError, Change, Dialect, Ending, Entry, Input, Lane, Mount, MountContext, Opening, Output,
};
use ledgercast::event::{LedgerBatch, LedgerRef, Native};
use ledgercast::source::xrpl::native;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Changes that may be under way.
const WAITING_CHANGES: usize = 16;
/// Calls that may be under way: four, and as many `server_info`.
const CALLS: usize = 8;
/// Steps of one conversation.
const STEPS: usize = 500;
/// The most that passes in one step.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

enum Waiting {
    Change(Change),
    Hold,
}

struct Conversation {
    session: Box<dyn Dialect>,
    values_per_session: usize,
    now: Duration,
    alarm: Option<Duration>,
    waiting: VecDeque<Waiting>,
    held: bool,
    calls: BTreeSet<u32>,
    /// Messages of the client, and answers to them.
    said: usize,
    answered: usize,
    closed: bool,
}

/// The lines of a conversation.
pub fn run(data: &[u8]) {
    let lines = || data.split(|byte| *byte == b'\n').take(STEPS);
    let setting = |name: &[u8]| lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    let config: Config = serde_json::from_slice(&setting(b"@config ")).unwrap_or_default();
    let limits: Value = serde_json::from_slice(&setting(b"@limits ")).unwrap_or_default();
    let values_per_session = limits["values_per_session"].as_u64().map_or(20, |limit| limit as usize);
    let context =
        MountContext { values_per_session, sources: 1, waiting_changes: WAITING_CHANGES, ..MountContext::default() };
    let mount = RippledMount::new(config, context, &mut Renderings::default());
    let mut conversation = Conversation {
        session: mount.open(Opening::at("", "")).and_then(Entry::session).expect("at the path itself"),
        values_per_session,
        now: Duration::ZERO,
        alarm: None,
        waiting: VecDeque::new(),
        held: false,
        calls: BTreeSet::new(),
        said: 0,
        answered: 0,
        closed: false,
    };
    conversation.feed(Input::Opened);
    lines().for_each(|line| conversation.line(line));
    conversation.finish();
}

/// A point after a ledger.
fn newest() -> Applied {
    let native = native::Ledger {
        hash: "AB".into(),
        close_time: 1,
        close_time_iso: "".into(),
        transactions: 0,
        fee_base: 10,
        reserve_base: 1,
        reserve_increment: 1,
        network_id: None,
        validated_ledgers: "1-7".into(),
    };
    let batch = LedgerBatch {
        source: 0,
        network: "xrpl".into(),
        epoch: 0,
        ledger: LedgerRef { index: 7, hash: None, parent: None, closed_at: 0 },
        continuity: None,
        events: Vec::new(),
        native: Some(Native::new(native, 0)),
    };
    let entry = StreamEntry::new(batch, 1, 0, Instant::now(), 0, Arc::default());
    Applied { ledger: Some(Arc::new(entry)), ..Applied::default() }
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
            b"!too_big" => self.said(Input::TooBig { size: MANNERS.max_message as u64 + 1 }),
            b"~" => self.now += text.parse::<Time>().map_or(Duration::ZERO, |time| time.0.min(LONGEST)),
            b"!alarm" => self.ring(),
            b"!applied" => self.apply(),
            b"!held" => self.hold(),
            b"!answered" => {
                let (call, reply) = text.split_once(' ').unwrap_or((&text, ""));
                self.answer(call, Ok(reply));
            }
            b"!failed" => self.answer(&text, Err(CallError::Unreachable)),
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

    fn said(&mut self, input: Input<'_>) {
        self.said += usize::from(!self.closed);
        self.feed(input);
    }

    fn apply(&mut self) {
        if self.held || !matches!(self.waiting.front(), Some(Waiting::Change(_))) {
            return;
        }
        let Some(Waiting::Change(change)) = self.waiting.pop_front() else { return };
        let answer = (change.answer)(&newest()).expect("every change is answered");
        self.sent(&answer);
        self.feed(Input::Applied);
    }

    fn hold(&mut self) {
        if !self.held && matches!(self.waiting.front(), Some(Waiting::Hold)) {
            self.waiting.pop_front();
            self.held = true;
            self.feed(Input::Held(&newest()));
        }
    }

    fn answer(&mut self, call: &str, outcome: Result<&str, CallError>) {
        let call = call.split(' ').next().and_then(|call| call.parse().ok()).unwrap_or(0);
        if self.calls.remove(&call) {
            self.feed(Input::Answered { call, outcome });
        }
    }

    /// The time comes that the session has asked for, if it has.
    fn ring(&mut self) {
        if let Some(at) = self.alarm.take() {
            self.now = self.now.max(at);
            self.feed(Input::Alarm);
        }
    }

    /// Everything that is under way comes to its end, and every message has had its answer.
    fn finish(&mut self) {
        while !self.closed && (self.held || !self.waiting.is_empty() || !self.calls.is_empty()) {
            self.apply();
            self.hold();
            let call = self.calls.first().copied();
            call.into_iter().for_each(|call| self.answer(&call.to_string(), Err(CallError::Busy)));
            if self.held {
                assert!(self.alarm.is_some(), "a held session always waits for a time");
                self.ring();
            }
        }
        assert!(self.closed || self.said == self.answered, "{} messages, {} answers", self.said, self.answered);
    }

    /// Feeds one input and checks what comes of it.
    fn feed(&mut self, input: Input<'_>) {
        let mut output = Output::default();
        self.session.handle(input, self.now, &mut output);
        let last_words = output.actions.iter().any(|action| matches!(action, Action::Close { .. }));
        for action in output.actions {
            assert!(!self.closed, "something after the close");
            match action {
                Action::Send(lane, frame) => {
                    assert_eq!(lane == Lane::Control, last_words);
                    self.sent(&frame);
                }
                Action::Subscribe(change) => {
                    for clause in change.subscription.clauses.iter() {
                        assert!(clause.subjects.len() <= self.values_per_session && !clause.kinds.is_empty());
                        assert!(clause.is_sorted() && clause.assets.is_empty());
                    }
                    self.waiting.push_back(Waiting::Change(change));
                }
                Action::Hold => self.waiting.push_back(Waiting::Hold),
                Action::Release(release) => {
                    assert!(std::mem::take(&mut self.held), "a release without a hold");
                    self.sent(&release.answer);
                    self.feed(Input::Applied);
                }
                Action::Call(call) => assert!(self.calls.insert(call.number), "two calls of one number"),
                Action::Alarm(at) => self.alarm = at,
                Action::Close { code, reason } => {
                    assert!((1000..5000).contains(&code) && reason.len() <= 123);
                    self.closed = true;
                }
            }
        }
        assert!(self.waiting.len() <= WAITING_CHANGES && self.calls.len() <= CALLS);
    }

    /// One message. What the client wrote may stand in it, also escapes that are half a character.
    fn sent(&mut self, frame: &[u8]) {
        let payloads = payloads(frame);
        let [payload] = payloads[..] else { panic!("one message") };
        let message: BTreeMap<String, &RawValue> = serde_json::from_slice(payload).expect("a frame holds JSON");
        assert!(matches!(message["type"].get(), "\"response\"" | "\"error\""));
        self.answered += 1;
    }
}
