//! Values in the forms that servers write.

use super::decode::Reason;
use serde_json::value::RawValue;
use stellar_xdr::ScVal;

/// A value from its JSON.
pub fn value_from_json(json: &RawValue) -> Result<ScVal, Reason> {
    serde_json::from_str(json.get()).map_err(|error| error.to_string())
}
