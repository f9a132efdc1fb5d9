//! The one message that clients send: `register`, its filters and the clause they make, and where to go on.

use super::PUBLIC_KINDS;
use crate::broker::Clause;
use crate::event::{Amount, AmountError, Cursor, CursorError, EventKind, Key, KindSet, Mark, Replay, SpeedError};
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Cursors that one message may have: those of all networks of a mount.
const MOST_CURSORS: usize = 64;

/// Longest value in a list, bytes. The longest real one, `CODE:ISSUER`, has 69.
const LONGEST_VALUE: usize = 200;

/// Why a message is no `register` that we can follow. The texts are sent to the client, so they
/// repeat nothing of what it wrote: that could be half a megabyte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RegisterError {
    #[error("not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("not Unicode text; send JSON as UTF-8")]
    NotText,
    #[error("not a register message; send {{\"type\":\"register\",\"filters\":{{...}}}}")]
    NotRegister,
    #[error("filters: not an object; leave it out to receive everything")]
    NoObject,
    #[error("filters: a field stands there twice; send each once")]
    FieldTwice,
    #[error("filters.{field}: not a list of texts; send [] for no restriction")]
    NoListOfTexts { field: &'static str },
    #[error("filters.{field}: a value is longer than {LONGEST_VALUE} bytes")]
    ValueTooLong { field: &'static str },
    #[error("filters: more than {limit} values in all lists together (values_per_session); send fewer")]
    TooManyValues { limit: usize },
    #[error("filters.min_amount: {0}; send \"\" for no restriction")]
    Amount(AmountError),
    #[error("filters.min_amount: not a text; send a decimal number as text")]
    AmountNoText,
    #[error("resume: {0}")]
    Cursor(CursorError),
    #[error("resume: not a text and no list of at most {MOST_CURSORS}; send the last cursor, of each network")]
    CursorForm,
    #[error("from_ledger: not the number of a ledger; send a whole number")]
    LedgerForm,
    #[error("resume and from_ledger: both say where to go on; send one of them")]
    TwoMarks,
    #[error("speed: {0}")]
    Speed(SpeedError),
    #[error("speed: not a text; send \"max\", or \"10x\" for ten times the pace of the ledger")]
    SpeedForm,
    #[error("until: {0}")]
    Until(CursorError),
    #[error("until: not the number of a ledger and no cursor; send one of them")]
    UntilForm,
    #[error("speed, until: they say how to go on; send resume or from_ledger with them")]
    NoMark,
    #[error("speed, until: not allowed here; the operator allows them by `replay: true`")]
    NoReplay,
    #[error("resume, from_ledger: only the first register of a connection can say where to go on; connect anew")]
    MarkTooLate,
}

/// What a message that is no good `register` is wrong about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// All of it.
    Message,
    /// Its filters.
    Filters,
    /// Where it wants to go on.
    Mark,
}

impl RegisterError {
    pub(super) fn wrong(&self) -> Wrong {
        use RegisterError::*;
        match self {
            NotJson { .. } | NotText | NotRegister => Wrong::Message,
            Cursor(_) | CursorForm | LedgerForm | TwoMarks | MarkTooLate => Wrong::Mark,
            Speed(_) | SpeedForm | Until(_) | UntilForm | NoMark | NoReplay => Wrong::Mark,
            NoObject
            | FieldTwice
            | NoListOfTexts { .. }
            | ValueTooLong { .. }
            | TooManyValues { .. }
            | Amount(_)
            | AmountNoText => Wrong::Filters,
        }
    }
}

/// A `register` that was understood.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) filters: Filters,
    /// Where to go on, and how.
    pub(super) mark: Option<(Mark, Replay)>,
    /// It says how fast or until where, which not every mount allows.
    pub(super) replays: bool,
}

/// Filters as they were understood: what `registered` echoes. Order kept, repeated values once.
#[derive(Debug, Default, Serialize)]
pub(super) struct Filters {
    types: Vec<String>,
    account_ids: Vec<String>,
    asset_codes: Vec<String>,
    /// As it was written; empty: no restriction.
    min_amount: String,
    /// The same number.
    #[serde(skip)]
    least: Option<Amount>,
}

/// A message as far as we read it. Values stay unread text until their form is known, so that
/// hostile ones cost no memory; how deep they are nested does not matter then.
#[derive(Deserialize)]
struct Message<'a> {
    r#type: String,
    #[serde(borrow)]
    filters: Option<&'a RawValue>,
    #[serde(borrow)]
    resume: Option<&'a RawValue>,
    #[serde(borrow)]
    from_ledger: Option<&'a RawValue>,
    #[serde(borrow)]
    speed: Option<&'a RawValue>,
    #[serde(borrow)]
    until: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Fields<'a> {
    #[serde(borrow)]
    types: Option<&'a RawValue>,
    #[serde(borrow)]
    account_ids: Option<&'a RawValue>,
    #[serde(borrow)]
    asset_codes: Option<&'a RawValue>,
    #[serde(borrow)]
    min_amount: Option<&'a RawValue>,
}

/// Reads a `register` message; its lists may have `limit` values together.
pub(super) fn read(text: &str, limit: usize) -> Result<Registration, RegisterError> {
    let message: Message = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            RegisterError::NotRegister
        } else {
            RegisterError::NotJson { line: error.line(), column: error.column() }
        }
    })?;
    // A list of the same values would pass for the object; a `register` is an object.
    if !text.trim_start().starts_with('{') || message.r#type != "register" {
        return Err(RegisterError::NotRegister);
    }
    let fields = match message.filters.map(RawValue::get) {
        None => Fields::default(),
        Some(object) if object.starts_with('{') => {
            // All that can still be wrong: a name that stands twice, or an escape that is no character.
            let wrong = |error: serde_json::Error| {
                if error.is_data() { RegisterError::FieldTwice } else { RegisterError::NotText }
            };
            serde_json::from_str(object).map_err(wrong)?
        }
        Some(_) => return Err(RegisterError::NoObject),
    };
    let mut lists = Lists { limit, left: limit };
    let types = lists.read("types", fields.types)?;
    let account_ids = lists.read("account_ids", fields.account_ids)?;
    let asset_codes = lists.read("asset_codes", fields.asset_codes)?;
    let min_amount = fields.min_amount.map_or(Ok(String::new()), amount_text)?;
    let least =
        if min_amount.is_empty() { None } else { Some(Amount::parse(&min_amount).map_err(RegisterError::Amount)?) };
    let mark = match (message.resume, message.from_ledger) {
        (None, None) => None,
        (Some(cursors), None) => Some(Mark::After(cursor(cursors)?)),
        (None, Some(number)) => Some(Mark::Ledger(number.get().parse().map_err(|_| RegisterError::LedgerForm)?)),
        (Some(_), Some(_)) => return Err(RegisterError::TwoMarks),
    };
    let replays = message.speed.is_some() || message.until.is_some();
    if replays && mark.is_none() {
        return Err(RegisterError::NoMark);
    }
    let replay = replay(message.speed, message.until)?;
    let mark = mark.map(|mark| (mark, replay));
    Ok(Registration { filters: Filters { types, account_ids, asset_codes, min_amount, least }, mark, replays })
}

/// How fast, and until where.
fn replay(speed: Option<&RawValue>, until: Option<&RawValue>) -> Result<Replay, RegisterError> {
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
    let speed = speed.map(|raw| {
        let speed = text(raw).ok_or(RegisterError::SpeedForm)?;
        speed.parse().map_err(RegisterError::Speed)
    });
    let until = until.map(|raw| match (raw.get().parse(), text(raw)) {
        (Ok(number), _) => Ok(Mark::Ledger(number)),
        (Err(_), Some(cursor)) => cursor.parse().map(Mark::After).map_err(RegisterError::Until),
        (Err(_), None) => Err(RegisterError::UntilForm),
    });
    Ok(Replay { speed: speed.transpose()?.unwrap_or_default(), until: until.transpose()? })
}

/// The position of one cursor, or of all in a list together.
fn cursor(raw: &RawValue) -> Result<Cursor, RegisterError> {
    let one = |text: &str| text.parse::<Cursor>().map_err(RegisterError::Cursor);
    // Of a text that is no text, and of a list of more than texts.
    let form = |_| RegisterError::CursorForm;
    match raw.get().as_bytes().first() {
        Some(b'"') => one(&serde_json::from_str::<Cow<'_, str>>(raw.get()).map_err(form)?),
        Some(b'[') if raw.get().len() <= MOST_CURSORS * Cursor::MAX_TEXT => {
            let list: Vec<Cow<'_, str>> = serde_json::from_str(raw.get()).map_err(form)?;
            if list.is_empty() || list.len() > MOST_CURSORS {
                return Err(RegisterError::CursorForm);
            }
            let mut all = Cursor::default();
            for text in &list {
                all = all.and(one(text)?);
                if all.entries.len() > MOST_CURSORS {
                    return Err(RegisterError::CursorForm);
                }
            }
            Ok(all)
        }
        _ => Err(RegisterError::CursorForm),
    }
}

/// The text of an amount. A JSON number is taken as it is written, never as a float.
fn amount_text(raw: &RawValue) -> Result<String, RegisterError> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map_err(|_| RegisterError::AmountNoText),
        Some(b'-' | b'0'..=b'9') => Ok(text.to_owned()),
        _ => Err(RegisterError::AmountNoText),
    }
}

/// Reads the lists of one message, counting their values.
struct Lists {
    limit: usize,
    left: usize,
}

impl Lists {
    fn read(&mut self, field: &'static str, raw: Option<&RawValue>) -> Result<Vec<String>, RegisterError> {
        let Some(raw) = raw else { return Ok(Vec::new()) };
        let values = Values { field, lists: self };
        serde_json::Deserializer::from_str(raw.get())
            .deserialize_seq(values)
            .unwrap_or(Err(RegisterError::NoListOfTexts { field }))
    }
}

/// Reads one list and keeps nothing above the limits.
struct Values<'a> {
    field: &'static str,
    lists: &'a mut Lists,
}

impl<'de> Visitor<'de> for Values<'_> {
    /// What JSON's own errors cannot tell apart.
    type Value = Result<Vec<String>, RegisterError>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        let mut seen = HashSet::new();
        let mut refused = None;
        while let Some(value) = list.next_element::<String>()? {
            if value.len() > LONGEST_VALUE {
                refused = Some(RegisterError::ValueTooLong { field: self.field });
            } else if self.lists.left == 0 {
                refused = Some(RegisterError::TooManyValues { limit: self.lists.limit });
            }
            if let Some(refused) = refused {
                // The reader wants the list to be read to its end.
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Err(refused));
            }
            self.lists.left -= 1;
            if seen.insert(value.clone()) {
                values.push(value);
            }
        }
        Ok(Ok(values))
    }
}

impl Filters {
    /// The clause that matches what the filters want; none where they can match nothing.
    ///
    /// Sources list an event under every spelling of its accounts and assets (`G…` and `M…`,
    /// `native` and `XLM`, `CODE` and `CODE:ISSUER`), so a value becomes exactly one key.
    pub(super) fn clause(&self) -> Option<Clause> {
        let kinds = if self.types.is_empty() {
            PUBLIC_KINDS
        } else {
            self.types.iter().fold(KindSet::EMPTY, |kinds, name| kinds.union(kinds_of(name)))
        };
        // Sorted, so that equal filters in another order are equal clauses and matched once.
        let sorted = |keys: &mut dyn Iterator<Item = Key>| {
            let mut keys: Vec<Key> = keys.collect();
            keys.sort_unstable();
            keys
        };
        (!kinds.is_empty()).then(|| Clause {
            kinds,
            subjects: sorted(
                &mut self.account_ids.iter().map(|account| format!("account:{}", as_listed(account)).into()),
            ),
            assets: sorted(&mut self.asset_codes.iter().map(|asset| Key::from(as_listed(asset).as_ref()))),
            min_amount: self.least.clone(),
            tag: 0,
        })
    }
}

/// A value as sources list it. EVM addresses have many spellings, by the case of their digits; nothing else has their
/// form.
fn as_listed(value: &str) -> Cow<'_, str> {
    let is_address = |digits: &str| digits.len() == 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    match value.strip_prefix("0x").is_some_and(is_address) {
        true => value.to_ascii_lowercase().into(),
        false => value.into(),
    }
}

/// The kinds that a name in `types` stands for: an event's `type`, or its `event_type`. Unknown
/// names stand for none.
fn kinds_of(name: &str) -> KindSet {
    match name {
        "contract" => KindSet::of(&[EventKind::ContractEvent]),
        "system" => KindSet::of(&[EventKind::SystemEvent]),
        _ => PUBLIC_KINDS
            .iter()
            .filter(|kind| kind.name() == name)
            .fold(KindSet::EMPTY, |kinds, kind| kinds.union(KindSet::of(&[kind]))),
    }
}

#[cfg(test)]
mod tests;
