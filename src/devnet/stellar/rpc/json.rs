//! `xdrFormat: "json"`: the base64 values of an answer rewritten as XDR-JSON (SEP-51).
//!
//! Done on request, from the encoded form: few ask for it, and history need not hold it.

use serde::Serialize;
use serde_json::{Map, Value};
use stellar_xdr::{
    ContractEvent, DiagnosticEvent, LedgerCloseMeta, LedgerHeaderHistoryEntry, Limits, ReadXdr, ScVal,
    TransactionEnvelope, TransactionEvent, TransactionMeta, TransactionResult,
};

use super::super::encode::Stored;
use super::methods::without_braces;
use super::{Answer, Failure, INTERNAL};

/// Members of a ledger; the base64 ones are there, but empty.
pub(super) fn ledger_as_json(ledger: &Stored) -> Answer {
    let header = value::<LedgerHeaderHistoryEntry>(&ledger.header)?;
    let metadata = value::<LedgerCloseMeta>(&ledger.metadata)?;
    Ok(format!(r#""headerXdr":"","headerJson":{header},"metadataXdr":"","metadataJson":{metadata}"#))
}

/// `members` are those of a stored transaction, without braces; so is what comes back.
pub(super) fn transaction_as_json(members: &str) -> Answer {
    let mut object = parse(&format!("{{{members}}}"))?;
    rewrite(&mut object, "envelopeXdr", "envelopeJson", value::<TransactionEnvelope>)?;
    rewrite(&mut object, "resultXdr", "resultJson", value::<TransactionResult>)?;
    rewrite(&mut object, "resultMetaXdr", "resultMetaJson", value::<TransactionMeta>)?;
    let diagnostics = ("diagnosticEventsXdr", "diagnosticEventsJson");
    rewrite(&mut object, diagnostics.0, diagnostics.1, value::<DiagnosticEvent>)?;
    if let Some(Value::Object(events)) = object.get_mut("events") {
        let (from, to) = ("transactionEventsXdr", "transactionEventsJson");
        rewrite(events, from, to, value::<TransactionEvent>)?;
        rewrite(events, "contractEventsXdr", "contractEventsJson", value::<ContractEvent>)?;
    }
    Ok(without_braces(object))
}

pub(super) fn event_as_json(event: &str) -> Answer {
    let mut object = parse(event)?;
    rewrite(&mut object, "topic", "topicJson", value::<ScVal>)?;
    rewrite(&mut object, "value", "valueJson", value::<ScVal>)?;
    Ok(Value::Object(object).to_string())
}

/// Renames a member and converts its base64 texts, however deep they lie in lists.
fn rewrite(
    object: &mut Map<String, Value>,
    from: &str,
    to: &str,
    convert: fn(&str) -> Result<Value, Failure>,
) -> Result<(), Failure> {
    if let Some(old) = object.remove(from) {
        object.insert(to.to_owned(), converted(old, convert)?);
    }
    Ok(())
}

fn converted(old: Value, convert: fn(&str) -> Result<Value, Failure>) -> Result<Value, Failure> {
    match old {
        Value::Array(items) => items.into_iter().map(|item| converted(item, convert)).collect::<Result<_, _>>(),
        Value::String(base64) => convert(&base64),
        other => Ok(other),
    }
}

fn value<T: ReadXdr + Serialize>(base64: &str) -> Result<Value, Failure> {
    // Without limits, because the devnet itself has written it.
    let value = T::from_xdr_base64(base64, Limits::none()).map_err(internal)?;
    serde_json::to_value(value).map_err(internal)
}

fn parse(json: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(json).map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new(INTERNAL, format!("xdr could not be written as json: {error}"))
}
