//! A subscription that is answered with the offers of its books: they are asked for the very ledger at which the
//! session's position is held, so that nothing is missing and nothing comes twice.

use super::answer::{self, Header};
use super::books::{Part, Question};
use super::calls::{Calls, Purpose};
use super::faults::{self, Fault, INTERNAL, TOO_LARGE};
use super::render::ApiVersion;
use super::request::{Request, given, object, push_field};
use super::wants::Wants;
use crate::dialect::{CallError, Output};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a session's position is held at most.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that the offers of one answer may have.
const MOST_BYTES: usize = 16 << 20;
/// A server that has not the ledger yet is asked again after this long: it may be behind the one that told of it.
const SOON: Duration = Duration::from_millis(300);
/// The version in which offers are asked for: servers of every age know it, and offers are the same in each.
const VERSION: &str = "1";
/// The method that is asked.
const BOOK_OFFERS: &str = "book_offers";

/// A `subscribe` with snapshots, under way.
pub(super) struct Snapshot {
    /// The request as it was written.
    pub request: Box<str>,
    /// What the session wants when the answer is there.
    pub wants: Wants,
    /// The version that the session has then.
    pub version: ApiVersion,
    /// Whether the answer tells the newest ledger.
    pub tells_ledger: bool,
    questions: Vec<Question>,
    /// Questions to ask.
    due: VecDeque<usize>,
    /// Questions to ask again, since the server had not the ledger, and when.
    again: Vec<usize>,
    again_at: Option<Duration>,
    /// What the server said then.
    lacking: Option<String>,
    /// What was answered, by question: the offers with commas between them.
    offers: Vec<Option<Box<str>>>,
    bytes: usize,
    /// Where the session is held.
    held: Option<Held>,
}

/// The point at which a session is held.
pub(super) struct Held {
    /// The newest ledger there.
    pub index: u64,
    /// What the answer tells of it, the text of an object.
    pub ledger: String,
    /// How long.
    pub until: Duration,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    offers: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    error: Option<&'a RawValue>,
}

impl Snapshot {
    pub fn new(request: &str, wants: Wants, version: ApiVersion, tells_ledger: bool, questions: Vec<Question>) -> Self {
        let offers = questions.iter().map(|_| None).collect();
        let (request, due) = (request.into(), (0..questions.len()).collect());
        let (again, again_at, lacking) = (Vec::new(), None, None);
        Snapshot {
            request,
            wants,
            version,
            tells_ledger,
            questions,
            due,
            again,
            again_at,
            lacking,
            offers,
            bytes: 0,
            held: None,
        }
    }

    /// The session's position is held.
    pub fn hold(&mut self, held: Held) {
        self.held = Some(held);
    }

    /// When to wake it: to ask again, or to give up.
    pub fn alarm(&self) -> Option<Duration> {
        let until = self.held.as_ref()?.until;
        Some(self.again_at.map_or(until, |again| again.min(until)))
    }

    /// Takes the time; an error is the whole request's answer.
    pub fn woken(&mut self, now: Duration) -> Result<(), String> {
        if self.held.as_ref().is_some_and(|held| now >= held.until) {
            let unreachable = || self.refusal(faults::of_call(CallError::Unreachable, self.version));
            return Err(self.lacking.clone().unwrap_or_else(unreachable));
        }
        if self.again_at.is_some_and(|again| now >= again) {
            self.again_at = None;
            self.due.extend(self.again.drain(..));
        }
        Ok(())
    }

    /// Asks what is to be asked, as far as there is room.
    pub fn ask(&mut self, calls: &mut Calls, output: &mut Output) {
        let Some(held) = &self.held else { return };
        while calls.has_room() {
            let Some(question) = self.due.pop_front() else { return };
            let mut parameters = self.questions[question].parameters.clone();
            push_field(&mut parameters, "api_version", VERSION);
            push_field(&mut parameters, "ledger_index", &held.index.to_string());
            parameters.push('}');
            calls.start(BOOK_OFFERS, parameters, Purpose::Question(question), output);
        }
    }

    /// Takes the answer to a question; an error is the whole request's answer.
    pub fn answered(&mut self, question: usize, outcome: Result<&str, CallError>, now: Duration) -> Result<(), String> {
        let of_call = |error| faults::of_call(error, self.version);
        let reply = outcome.map_err(|error| self.refusal(of_call(error)))?;
        let Some(Reply { offers, error }) = object(reply) else { return Err(self.refusal(INTERNAL)) };
        if let Some(error) = error {
            let mut refused = String::new();
            let refused = match error.get() {
                // The client's version may have another word for it.
                r#""noNetwork""# => self.refusal(of_call(CallError::Unreachable)),
                _ if answer::push_reply(&self.header(), reply, &self.request, false, &mut refused) => refused,
                _ => self.refusal(INTERNAL),
            };
            if error.get() != r#""lgrNotFound""# {
                return Err(refused);
            }
            self.lacking = Some(refused);
            self.again.push(question);
            self.again_at.get_or_insert(now + SOON);
            return Ok(());
        }
        let inside = |list: &'_ RawValue| Some(list.get().strip_prefix('[')?.strip_suffix(']')?.trim_ascii().into());
        let Some(offers) = offers.and_then(inside) else { return Err(self.refusal(INTERNAL)) };
        let offers: Box<str> = offers;
        self.bytes += offers.len();
        if self.bytes > MOST_BYTES {
            return Err(self.refusal(TOO_LARGE));
        }
        self.offers[question] = Some(offers);
        Ok(())
    }

    /// Whether every question is answered.
    pub fn is_complete(&self) -> bool {
        self.offers.iter().all(Option::is_some)
    }

    /// The good answer.
    pub fn answer(&self) -> String {
        let mut result = match &self.held {
            Some(held) if self.tells_ledger => held.ledger.clone(),
            _ => "{}".to_owned(),
        };
        result.pop();
        for (part, name) in [(Part::Offers, "offers"), (Part::Bids, "bids"), (Part::Asks, "asks")] {
            let of_part = self.questions.iter().zip(&self.offers).filter(|(question, _)| question.part == part);
            let lists: Vec<&str> = of_part.filter_map(|(_, offers)| offers.as_deref()).collect();
            if !lists.is_empty() {
                let filled: Vec<&str> = lists.into_iter().filter(|offers| !offers.is_empty()).collect();
                push_field(&mut result, name, &format!("[{}]", filled.join(",")));
            }
        }
        result.push('}');
        answer::success(&self.header(), &result, false)
    }

    /// A refusal of the request.
    pub fn refusal(&self, fault: Fault) -> String {
        answer::error(&self.header(), fault, &self.request)
    }

    fn header(&self) -> Header {
        Request::read(&self.request).map(|request| Header::of(&request)).unwrap_or_default()
    }
}
