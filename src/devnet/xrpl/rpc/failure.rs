//! The errors, in the server's words.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::Params;

/// An error of a method. It travels with HTTP 200.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    error: &'static str,
    /// Some old ones have no number and no message.
    code: Option<u16>,
    message: Cow<'static, str>,
}

impl Failure {
    pub const NO_PERMISSION: Self = Self::new("noPermission", 6, "You don't have permission for this command.");
    pub const ACCOUNT_NOT_FOUND: Self = Self::new("actNotFound", 19, "Account not found.");
    pub const LEDGER_NOT_FOUND: Self = Self::new("lgrNotFound", 21, "ledgerNotFound");
    pub const TRANSACTION_NOT_FOUND: Self = Self::new("txnNotFound", 29, "Transaction not found.");
    pub const UNKNOWN_COMMAND: Self = Self::new("unknownCmd", 32, "Unknown method.");
    pub const ACCOUNT_MALFORMED: Self = Self::new("actMalformed", 35, "Account malformed.");
    pub const BAD_MARKET: Self = Self::new("badMarket", 42, "No such market.");
    pub const LEDGER_INDEXES_INVALID: Self = Self::new("lgrIdxsInvalid", 57, "Ledger indexes invalid.");
    pub const NOT_IMPLEMENTED: Self = Self::new("notImpl", 74, "Not implemented.");
    pub const NOT_SUPPORTED: Self = Self::new("notSupported", 75, "Operation not supported.");
    pub const INVALID_RANGE: Self = Self::new("invalidLgrRange", 79, "Ledger range is invalid.");
    pub const ENTRY_NOT_FOUND: Self = Self::new("entryNotFound", 83, "Requested ledger entry not found.");

    pub const fn new(error: &'static str, code: u16, message: &'static str) -> Self {
        Self { error, code: Some(code), message: Cow::Borrowed(message) }
    }

    /// `invalidParams`, with what is wrong.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self { error: "invalidParams", code: Some(31), message: message.into() }
    }

    /// A field that is needed.
    pub fn missing(name: &str) -> Self {
        Self::invalid(format!("Missing field '{name}'."))
    }

    /// An old error that is nothing but its name.
    pub const fn bare(error: &'static str) -> Self {
        Self { error, code: None, message: Cow::Borrowed("") }
    }

    /// The same error about a certain field.
    pub fn about(mut self, message: String) -> Self {
        self.message = message.into();
        self
    }

    /// The whole result, with the request as it was received.
    pub fn result(&self, request: Params) -> Value {
        let mut result = json!({"error": self.error, "request": request, "status": "error"});
        if let Some(code) = self.code {
            result["error_code"] = code.into();
            result["error_message"] = self.message.as_ref().into();
        }
        result
    }
}
