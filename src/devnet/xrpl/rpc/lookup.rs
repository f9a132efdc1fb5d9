//! Which ledger and which account a request means.

use serde_json::{Value, json};

use super::super::history::View;
use super::super::ledger::Ledger;
use super::super::world::{Id, hex};
use super::{Call, Failure};
use crate::source::xrpl::currency::account_id;

/// A ledger that is closed, or the open one on top of the latest, which has its state and no transactions.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    /// The closed ledger whose state counts.
    pub ledger: &'a Ledger,
    pub is_open: bool,
}

impl Found<'_> {
    /// The members of an answer that say which ledger it is about.
    pub fn members(&self) -> String {
        let Ledger { index, hash, .. } = self.ledger;
        if self.is_open {
            return format!(r#""ledger_current_index":{},"validated":false"#, index + 1);
        }
        format!(r#""ledger_hash":"{}","ledger_index":{index},"validated":true"#, hex(hash))
    }
}

impl Call<'_> {
    /// The ledger that is asked for; the open one if none is.
    pub fn ledger_asked_for<'v>(&self, view: &'v View<'_>) -> Result<Found<'v>, Failure> {
        let open = Found { ledger: view.latest(), is_open: true };
        let latest = Found { ledger: view.latest(), is_open: false };
        if let Some(hash) = self.params.get("ledger_hash") {
            let hash = hash.as_str().ok_or(Failure::invalid("ledgerHashNotString"))?;
            return by_hash(view, hash);
        }
        let Some(index) = self.params.get("ledger_index").or(self.params.get("ledger")) else { return Ok(open) };
        let malformed = || Failure::invalid("ledgerIndexMalformed");
        let number = match index {
            Value::String(name) => match name.as_str() {
                "current" | "" => return Ok(open),
                "closed" | "validated" => return Ok(latest),
                hash if hash.len() == 64 => return by_hash(view, hash),
                digits => digits.parse::<u32>().map_err(|_| malformed())?.into(),
            },
            Value::Number(number) => number.as_u64().ok_or_else(malformed)?,
            _ => return Err(malformed()),
        };
        // The number of the ledger that is not closed yet means the open one, and is no error.
        if number == u64::from(view.latest().index) + 1 {
            return Ok(open);
        }
        view.get(number).map(|ledger| Found { ledger, is_open: false }).ok_or(Failure::LEDGER_NOT_FOUND)
    }

    /// Whether a ledger is asked for at all.
    pub fn names_a_ledger(&self) -> bool {
        ["ledger_hash", "ledger_index", "ledger"].iter().any(|name| self.params.contains_key(*name))
    }

    /// The account in a field that is needed.
    pub fn account(&self, name: &str) -> Result<Id, Failure> {
        let account = self.params.get(name).ok_or_else(|| Failure::missing(name))?;
        let Value::String(account) = account else {
            return Err(Failure::invalid(format!("Invalid field '{name}', not string.")));
        };
        account_id(account).ok_or(Failure::ACCOUNT_MALFORMED)
    }
}

fn by_hash<'v>(view: &'v View<'_>, hash: &str) -> Result<Found<'v>, Failure> {
    let hash = bytes(hash).ok_or(Failure::invalid("ledgerHashMalformed"))?;
    let ledger = view.newest_first().find(|ledger| ledger.hash == hash).ok_or(Failure::LEDGER_NOT_FOUND)?;
    Ok(Found { ledger, is_open: false })
}

/// 32 bytes from 64 hex digits.
pub(super) fn bytes(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Where a page begins and what is left: (items, the next one's marker).
pub(super) fn page(marker: Option<&Value>) -> Result<[u8; 32], Failure> {
    match marker {
        None => Ok([0; 32]),
        Some(marker) => {
            let index = marker.as_str().and_then(|text| text.split_once(',')).and_then(|(index, _)| bytes(index));
            index.ok_or(Failure::invalid("Invalid field 'marker'."))
        }
    }
}

/// The marker of the page that begins at this entry.
pub(super) fn marker(index: &[u8; 32]) -> Value {
    json!(format!("{},0", hex(index)))
}
