//! Assets and so much of them, as the ledger's JSON writes them.

use super::amounts::Decimal;
use super::currency;
use super::json::text;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What an amount is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AssetId {
    /// The ledger's own.
    Xrp,
    /// A token: its currency in its one spelling, and who issued it.
    Token {
        /// Three letters, or 40 upper-case hex digits.
        currency: Box<str>,
        /// An address.
        issuer: Box<str>,
    },
    /// A multi-purpose token, by the 48 hex digits of its issuance.
    Multi(Box<str>),
}

impl AssetId {
    /// The asset as one side of a book, for [`currency::book_key`].
    pub fn side(&self) -> Cow<'_, str> {
        match self {
            AssetId::Xrp => "XRP".into(),
            AssetId::Token { currency, issuer } => currency::side(currency, Some(issuer)).into(),
            AssetId::Multi(issuance) => (**issuance).into(),
        }
    }

    /// Whether it is counted in whole units, such as drops.
    pub fn is_whole(&self) -> bool {
        !matches!(self, AssetId::Token { .. })
    }

    /// Digits behind the point of what people count in.
    pub fn decimals(&self) -> i32 {
        match self {
            AssetId::Xrp => 6,
            AssetId::Token { .. } | AssetId::Multi(_) => 0,
        }
    }
}

/// The form of amounts of tokens.
#[derive(Deserialize)]
struct Issued<'a> {
    #[serde(borrow)]
    currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    issuer: Option<Cow<'a, str>>,
    #[serde(borrow)]
    mpt_issuance_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

/// So much of an asset: of XRP in drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    /// Of what.
    pub asset: AssetId,
    /// How much.
    pub value: Decimal,
}

impl Quantity {
    /// Reads a text of drops, or an object with currency, issuer and value.
    pub fn of(value: &RawValue) -> Option<Quantity> {
        if value.get().starts_with('"') {
            let drops = text(value)?;
            // Whole drops only, in one form.
            if drops.contains(['.', 'e', 'E']) {
                return None;
            }
            return Some(Quantity { asset: AssetId::Xrp, value: Decimal::parse(&drops)? });
        }
        let issued: Issued = serde_json::from_str(value.get()).ok()?;
        let asset = match (issued.currency, issued.issuer, issued.mpt_issuance_id) {
            (_, _, Some(issuance)) => AssetId::Multi(issuance.to_ascii_uppercase().into()),
            (Some(code), Some(issuer), None) => {
                // Whatever it is called, it has an issuer and never becomes XRP.
                let code = currency::currency(&code).map_or_else(|| code.to_ascii_uppercase(), Cow::into_owned);
                AssetId::Token { currency: code.into(), issuer: issuer.into() }
            }
            _ => return None,
        };
        Some(Quantity { asset, value: Decimal::parse(&issued.value)? })
    }
}

/// Who issued a multi-purpose token: the last 40 of its 48 hex digits.
pub fn issuer_of(issuance: &str) -> Option<String> {
    let account = issuance.get(8..).filter(|digits| digits.len() == 40 && digits.is_ascii())?;
    let mut bytes = [0; 20];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(account.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(currency::address(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(json: &str) -> Option<Quantity> {
        Quantity::of(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn amounts_in_all_forms() {
        let side = |json: &str| quantity(json).map(|quantity| quantity.asset.side().into_owned());
        assert_eq!(side(r#""25""#).as_deref(), Some("XRP"));
        assert_eq!(side(r#"{"currency":"USD","issuer":"rI","value":"1"}"#).as_deref(), Some("USD/rI"));
        let hex = "0000000000000000000000005553440000000000";
        assert_eq!(side(&format!(r#"{{"currency":"{hex}","issuer":"rI","value":"1"}}"#)).as_deref(), Some("USD/rI"));
        let forged = "0000000000000000000000005852500000000000";
        let forged = side(&format!(r#"{{"currency":"{forged}","issuer":"rI","value":"1"}}"#)).unwrap();
        assert!(forged.starts_with("0000") && forged.ends_with("/rI"), "{forged}");
        let issuance = "0000301C674EE6ECD0374A628E2C442EF8E3BBBEE8C58CF3";
        let multi = format!(r#"{{"mpt_issuance_id":"{issuance}","value":"100"}}"#);
        assert_eq!(side(&multi).as_deref(), Some(issuance));
        assert_eq!(issuer_of(issuance).as_deref(), Some("rwREfyDU1SbcjN3xXZDbm8uNJV77T2ruKw"));
        for bad in [r#""""#, r#""1.5""#, r#""1e3""#, "5", "null", "[]", "{}", r#"{"currency":"USD","value":"1"}"#] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
        for bad in ["", "00", "0000301C674EE6ECD0374A628E2C442EF8E3BBBEE8C58CFG", &"é".repeat(24)] {
            assert_eq!(issuer_of(bad), None, "{bad}");
        }
    }
}
