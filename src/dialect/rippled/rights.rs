//! What the ledger's server keeps for its administrators. It may take us for one, as a server on the same machine
//! does; no client of ours is one.

use super::request::{fields, text};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Who an administrator is. Never passed on.
pub(super) const CREDENTIALS: [&str; 2] = ["admin_user", "admin_password"];
/// The longest page that any method gives a stranger; an administrator gets any.
const LONGEST_PAGE: (f64, &str) = (2048.0, "2048");

/// Whether a request asks for nothing that changes the server or that strangers may not have.
pub(super) fn is_allowed(command: &str, request: &str) -> bool {
    let mut allowed = true;
    fields(request, |name, value| {
        allowed &= match (command, &*name) {
            // Votes against an amendment, or takes such a vote back.
            ("feature", "vetoed") => false,
            // The whole state of the ledger in one answer.
            ("ledger", "full" | "accounts") => matches!(value.get(), "false" | "null"),
            _ => true,
        };
    });
    allowed
}

/// The value of a parameter as it is passed on: an administrator's page has no bound of its own.
pub(super) fn bounded<'a>(name: &str, value: &'a RawValue) -> &'a str {
    if name != "limit" {
        return value.get();
    }
    // Servers read numbers out of texts as well.
    let number = text(value).map_or(Cow::Borrowed(value.get()), Cow::Owned);
    let (most, page) = LONGEST_PAGE;
    if number.trim().parse::<f64>().is_ok_and(|number| number > most) { page } else { value.get() }
}
