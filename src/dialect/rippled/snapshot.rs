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
use std::time::Duration;

/// How long a session's position is held at most.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that the offers of one answer may have.
const MOST_BYTES: usize = 16 << 20;
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
    /// Questions asked already.
    asked: usize,
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
        let request = request.into();
        Snapshot { request, wants, version, tells_ledger, questions, asked: 0, offers, bytes: 0, held: None }
    }

    /// The session's position is held.
    pub fn hold(&mut self, held: Held) {
        self.held = Some(held);
    }

    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Asks what was not asked yet, as far as there is room.
    pub fn ask(&mut self, calls: &mut Calls, output: &mut Output) {
        let Some(held) = &self.held else { return };
        while self.asked < self.questions.len() && calls.has_room() {
            let mut parameters = std::mem::take(&mut self.questions[self.asked].parameters);
            push_field(&mut parameters, "api_version", &(self.version as u8).to_string());
            push_field(&mut parameters, "ledger_index", &held.index.to_string());
            parameters.push('}');
            calls.start(BOOK_OFFERS, parameters, Purpose::Question(self.asked), output);
            self.asked += 1;
        }
    }

    /// Takes the answer to a question; an error is the whole request's answer.
    pub fn answered(&mut self, question: usize, outcome: Result<&str, CallError>) -> Result<(), String> {
        let reply = outcome.map_err(|error| self.refusal(faults::of_call(error, self.version)))?;
        let Some(Reply { offers, error }) = object(reply) else { return Err(self.refusal(INTERNAL)) };
        if error.is_some() {
            let refused = answer::of_reply(&self.header(), reply, &self.request, false);
            return Err(refused.unwrap_or_else(|| self.refusal(INTERNAL)));
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
