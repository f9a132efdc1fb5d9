//! Values in the JSON form (SEP-51), as servers write it now and as older ones did.
//!
//! The `stellar-xdr` crate reads what it writes, and 64-bit numbers that are written as JSON
//! numbers. What it does not take is put into its form first: parts of wide integers as texts, and
//! wide integers as JSON numbers. No number ever goes through a float: one that does not fit into
//! 64 bits must be a text, and is refused otherwise.

use super::decode::Reason;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use stellar_xdr::ScVal;

/// The names of integers of more than 64 bits; no other value of these names exists in the XDR.
const WIDE: [&str; 4] = ["i128", "u128", "i256", "u256"];
/// Their parts, as older servers wrote them.
const PARTS: [&str; 6] = ["hi", "lo", "hi_hi", "hi_lo", "lo_hi", "lo_lo"];

/// Reads a contract's value.
pub fn value_from_json(json: &RawValue) -> Result<ScVal, Reason> {
    from_json(json, "value")
}

/// Reads any XDR type; `what` names it in the reason. Nesting is bounded by what `serde_json`
/// takes, 128 levels.
pub fn from_json<T: DeserializeOwned>(json: &RawValue, what: &str) -> Result<T, Reason> {
    let refused = match serde_json::from_str(json.get()) {
        Ok(value) => return Ok(value),
        Err(refused) => refused,
    };
    let reason = |error: &dyn std::fmt::Display| format!("{what}: {error}");
    // What is no JSON or too deep stays so.
    let mut old: Value = serde_json::from_str(json.get()).map_err(|error| reason(&error))?;
    if !modernise(&mut old).map_err(|error| reason(&error))? {
        return Err(reason(&refused));
    }
    serde_json::from_value(old).map_err(|error| reason(&error))
}

/// Rewrites wide integers of older forms; whether there were any.
fn modernise(value: &mut Value) -> Result<bool, Reason> {
    let mut changed = false;
    match value {
        Value::Array(values) => {
            for value in values {
                changed |= modernise(value)?;
            }
        }
        Value::Object(members) => {
            // Only a union's arm stands alone in its object.
            let alone = members.len() == 1;
            for (name, value) in members {
                changed |= if alone && WIDE.contains(&name.as_str()) { widen(name, value)? } else { modernise(value)? };
            }
        }
        _ => {}
    }
    Ok(changed)
}

/// A wide integer in the form that the crate takes: a text, or parts that are numbers.
fn widen(name: &str, value: &mut Value) -> Result<bool, Reason> {
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            *value = Value::String(number.to_string());
            Ok(true)
        }
        Value::Number(_) => Err(format!("{name}: a number that is no integer of 64 bits must be a text")),
        Value::Object(parts) => {
            let mut changed = false;
            for (part, value) in parts {
                let Value::String(text) = value else { continue };
                if !PARTS.contains(&part.as_str()) {
                    continue;
                }
                // The topmost part of a signed integer may be negative; the crate checks the range.
                let number = text.parse::<u64>().map(Value::from).or_else(|_| text.parse::<i64>().map(Value::from));
                *value = number.map_err(|_| format!("{name}: `{part}` is no integer of 64 bits"))?;
                changed = true;
            }
            Ok(changed)
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests;
