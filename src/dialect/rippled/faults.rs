//! The table of errors: word, number and message, as the ledger's own servers have them.

use super::render::ApiVersion;
use crate::dialect::CallError;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// The stable part.
    pub error: &'static str,
    /// Its number; two have none.
    pub code: Option<u16>,
    /// For people.
    pub message: Option<&'static str>,
}

const fn fault(error: &'static str, code: u16, message: &'static str) -> Fault {
    Fault { error, code: Some(code), message: Some(message) }
}

const fn bare(error: &'static str) -> Fault {
    Fault { error, code: None, message: None }
}

const TOO_BUSY: u16 = 9;

pub(super) const MISSING_COMMAND: Fault = bare("missingCommand");
pub(super) const INVALID_API_VERSION: Fault = bare("invalid_API_version");
pub(super) const UNKNOWN_COMMAND: Fault = fault("unknownCmd", 32, "Unknown method.");
pub(super) const INVALID_PARAMETERS: Fault = fault("invalidParams", 31, "Invalid parameters.");
pub(super) const ACCOUNT_MALFORMED: Fault = fault("actMalformed", 35, "Account malformed.");
pub(super) const STREAM_MALFORMED: Fault = fault("malformedStream", 71, "Stream malformed.");
pub(super) const NO_PERMISSION: Fault = fault("noPermission", 6, "You don't have permission for this command.");
pub(super) const NOT_SUPPORTED: Fault = fault("notSupported", 75, "Operation not supported.");
pub(super) const SOURCE_CURRENCY: Fault = fault("srcCurMalformed", 69, "Source currency is malformed.");
pub(super) const SOURCE_ISSUER: Fault = fault("srcIsrMalformed", 70, "Source issuer is malformed.");
pub(super) const DESTINATION_AMOUNT: Fault =
    fault("dstAmtMalformed", 51, "Destination amount/currency/issuer is malformed.");
pub(super) const DESTINATION_ISSUER: Fault = fault("dstIsrMalformed", 53, "Destination issuer is malformed.");
pub(super) const BAD_MARKET: Fault = fault("badMarket", 42, "No such market.");
pub(super) const BAD_ISSUER: Fault = fault("badIssuer", 41, "Issuer account malformed.");
pub(super) const DOMAIN_MALFORMED: Fault = fault("domainMalformed", 97, "Domain is malformed.");
pub(super) const SLOW_DOWN: Fault = fault("slowDown", 10, "You are placing too much load on the server.");
pub(super) const NOT_READY: Fault = fault("notReady", 13, "Not ready to handle this request.");
pub(super) const INTERNAL: Fault = fault("internal", 73, "Internal error.");

pub(super) const BUSY: Fault = fault("tooBusy", TOO_BUSY, "The server is too busy to help you now.");
pub(super) const TOO_MANY_VALUES: Fault =
    fault("tooBusy", TOO_BUSY, "Too many accounts and books for one connection (limits.values_per_session).");
pub(super) const TOO_MANY_CHANGES: Fault =
    fault("tooBusy", TOO_BUSY, "Too many changes of subscription wait on this connection (limits.waiting_changes).");
pub(super) const TOO_MANY_CALLS: Fault =
    fault("tooBusy", TOO_BUSY, "Too many requests of this connection wait for the ledger's server.");
pub(super) const TOO_MANY_SNAPSHOTS: Fault =
    fault("tooBusy", TOO_BUSY, "Too many snapshots of books in one request; at most 16, one with both counts as two.");
pub(super) const TOO_LARGE: Fault =
    fault("tooBusy", TOO_BUSY, "The answer of the ledger's server is too large (limits.call_bytes); ask for less.");

/// No word from the network: each API version has its own.
fn out_of_sync(version: ApiVersion) -> Fault {
    match version {
        ApiVersion::One => fault("noNetwork", 17, "Not synced to the network."),
        ApiVersion::Two => fault("notSynced", 18, "Not synced to the network."),
    }
}

/// What a client is told when its call got no answer.
pub(super) fn of_call(error: CallError, version: ApiVersion) -> Fault {
    match error {
        CallError::Busy => BUSY,
        CallError::Unreachable => out_of_sync(version),
        CallError::NotReady => NOT_READY,
        CallError::TooLarge => TOO_LARGE,
    }
}
