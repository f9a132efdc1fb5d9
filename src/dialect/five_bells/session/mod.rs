//! One client's side of the conversation.

mod faults;
mod request;
#[cfg(test)]
mod tests;
mod wants;

use super::ledger::{Ledger, NotAnAccount};
use super::render::Form;
use super::users::User;
use super::{MANNERS, Place, Shared};
use crate::broker::Subscription;
use crate::dialect::{Change, Dialect, Ending, Input, Output, REPLAY_ENDED, Start, frame};
use crate::event::{Key, SourceNumber};
use faults::Fault;
use request::{Asked, Order};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use wants::Wants;

/// What a client waits for before it says anything.
const CONNECT: &str = r#"{"jsonrpc":"2.0","id":null,"method":"connect"}"#;

/// One session's state.
pub(super) struct Session {
    shared: Arc<Shared>,
    place: Arc<Place>,
    user: Arc<User>,
    /// The keys of the user's accounts, sorted.
    own: Box<[Key]>,
    /// What it will be subscribed to when every change has taken effect.
    wants: Wants,
    /// The form of the last order that was good.
    form: Form,
    /// Changes that have not taken effect yet.
    changes: usize,
    /// What was before the last of them, while there are some.
    before: Option<Box<Before>>,
    closed: bool,
}

/// What to go back to if a change is not taken.
struct Before {
    wants: Wants,
    form: Form,
    id: Value,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, place: Arc<Place>, user: Arc<User>) -> Session {
        let (wants, form) = (Wants::default(), Form::Object);
        let mut own = place.keys_of(&user);
        own.sort_unstable();
        Session { shared, place, user, own: own.into(), wants, form, changes: 0, before: None, closed: false }
    }

    fn message(&mut self, bytes: &[u8], output: &mut Output) {
        let mut order = match Order::read(bytes) {
            Ok(order) => order,
            Err(fault) => return output.ordered_text(&fault.answer(&Value::Null)),
        };
        if let Err(fault) = self.order(&mut order, output) {
            output.ordered_text(&fault.answer(&order.id));
        }
    }

    fn order(&mut self, order: &mut Order, output: &mut Output) -> Result<(), Fault> {
        let (asked, event_type, form) = order.asked()?;
        let (wants, result) = match asked {
            Asked::Accounts(accounts) => {
                let keys = self.accounts(&accounts)?;
                let count = keys.len();
                let wants = Wants::of(&event_type, keys);
                (wants, count)
            }
            Asked::AllAccounts if !self.user.admin => return Err(Fault::NOT_AUTHORIZED),
            Asked::AllAccounts => (self.wants.and_all(&event_type), 1),
        };
        if self.changes >= self.shared.waiting_changes.max(1) {
            return Err(Fault::TOO_MANY_CHANGES);
        }
        let before = Before {
            wants: std::mem::replace(&mut self.wants, wants),
            form: std::mem::replace(&mut self.form, form),
            id: order.id.clone(),
        };
        self.before = Some(Box::new(before));
        self.changes += 1;
        let answer = json!({ "jsonrpc": "2.0", "id": order.id, "result": result }).to_string();
        output.subscribe(Change {
            subscription: Subscription {
                clauses: self.wants.clauses(&self.place.ledger),
                rendering: self.place.rendering(form),
                copy_per_tag: false,
            },
            start: Start::Head,
            answer: Box::new(move |_| Some(frame::text(&answer))),
        });
        Ok(())
    }

    /// The keys of accounts that the client may see all of, as often as it names them.
    fn accounts(&self, accounts: &[Value]) -> Result<Vec<Key>, Fault> {
        let ledger: &Ledger = &self.place.ledger;
        // Before anything is looked up. By their texts: an account that is named in two ways counts twice.
        let mut different: Vec<&str> = accounts.iter().filter_map(Value::as_str).collect();
        different.sort_unstable();
        different.dedup();
        if different.len() > self.shared.values_per_session {
            return Err(Fault::TOO_MANY_ACCOUNTS);
        }
        let mut names = Vec::with_capacity(accounts.len());
        let mut bad_name = None;
        for account in accounts {
            let Some(uri) = account.as_str() else { return Err(Fault::invalid_account(&account.to_string())) };
            match ledger.name_in(uri) {
                // Nothing that happens is found under it, and who waits for it would wait for ever.
                Ok(name) if ledger.is_nobody(name) => return Err(Fault::invalid_account(uri)),
                Ok(name) => names.push(name),
                Err(NotAnAccount::Uri) => return Err(Fault::invalid_account(uri)),
                Err(NotAnAccount::Name) => {
                    let name = uri.rsplit('/').next().unwrap_or(uri);
                    bad_name.get_or_insert_with(|| Fault::invalid_account_name(name));
                }
            }
        }
        if let Some(fault) = bad_name {
            return Err(fault);
        }
        let keys: Vec<Key> = names.into_iter().map(|name| ledger.account_key(name)).collect();
        if !self.user.admin && keys.iter().any(|key| self.own.binary_search(key).is_err()) {
            return Err(Fault::NOT_AUTHORIZED);
        }
        Ok(keys)
    }

    fn applied(&mut self) {
        self.changes = self.changes.saturating_sub(1);
        if self.changes == 0 {
            self.before = None;
        }
    }

    /// The last change was not taken: as if it had not been asked for. We count them, so it does not come to this
    /// unless others count otherwise.
    fn not_taken(&mut self, output: &mut Output) {
        let Some(before) = self.before.take() else { return };
        let Before { wants, form, id } = *before;
        (self.wants, self.form) = (wants, form);
        self.changes = self.changes.saturating_sub(1);
        output.ordered_text(&Fault::TOO_MANY_CHANGES.answer(&id));
    }

    fn ending(&mut self, ending: Ending, output: &mut Output) {
        self.closed = true;
        let codes = MANNERS.codes;
        let (code, reason) = match ending {
            Ending::Shutdown => (codes.shutdown, "server is shutting down"),
            Ending::TooSlow => (codes.too_slow, "too slow; connect again"),
            Ending::Gap => (codes.gap, "transfers are missing; connect again"),
            Ending::Dead => (codes.dead, "no sign of life"),
            Ending::TooManyMessages => {
                // On the control lane: a close waits for that one alone.
                output.control_text(&Fault::TOO_MANY_MESSAGES.answer(&Value::Null));
                (codes.limit, "too many messages")
            }
            Ending::Revoked => (codes.limit, "access revoked"),
            Ending::ReplayEnd => (REPLAY_ENDED, "end of the replay"),
        };
        output.close(code, reason);
    }
}

impl Dialect for Session {
    fn handle(&mut self, input: Input<'_>, _: Duration, output: &mut Output) {
        if self.closed {
            return;
        }
        match input {
            // Files may have been read again since it logged in.
            Input::Opened if !self.still_allowed() => self.ending(Ending::Revoked, output),
            Input::Opened => output.text(CONNECT),
            Input::Text(text) => self.message(text.as_bytes(), output),
            Input::Binary(bytes) => self.message(bytes, output),
            Input::Applied => self.applied(),
            Input::TooManyChanges => self.not_taken(output),
            Input::Ending(ending) => self.ending(ending, output),
            // Neither alarms, holds nor calls are asked for, and what is too big closes the connection.
            Input::TooBig { .. } | Input::Alarm | Input::Held(_) | Input::Answered { .. } => {}
        }
    }

    fn still_allowed(&self) -> bool {
        self.shared.users.still_there(&self.user)
    }

    fn sources(&self) -> Option<&Arc<[SourceNumber]>> {
        Some(&self.place.sources)
    }
}
