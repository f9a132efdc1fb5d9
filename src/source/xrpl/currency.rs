//! Names on the XRP Ledger: addresses, currencies, and the keys under which accounts and books are found.
//!
//! The source writes these keys into events and the rippled dialect into clauses, so both make them here.

use crate::event::Key;
use std::borrow::Cow;

/// Hex digits of a currency or an account written out.
const HEX_DIGITS: usize = 40;
/// Where the three letters of a code stand in its 40 digits.
const LETTERS: std::ops::Range<usize> = 24..30;

/// Whether a text is a classic address: `r…` with a good checksum.
pub fn is_address(text: &str) -> bool {
    account_id(text).is_some()
}

/// The 20 bytes of a classic address.
pub fn account_id(text: &str) -> Option<[u8; 20]> {
    // A classic address has at most 35 letters; longer texts are not worth the arithmetic.
    if !(25..=35).contains(&text.len()) {
        return None;
    }
    let decoded = bs58::decode(text).with_alphabet(bs58::Alphabet::RIPPLE).with_check(Some(0)).into_vec().ok()?;
    decoded.get(1..)?.try_into().ok()
}

/// The classic address of an account given by its 20 bytes.
pub fn address(account: &[u8; 20]) -> String {
    bs58::encode(account).with_alphabet(bs58::Alphabet::RIPPLE).with_check_version(0).into_string()
}

/// A token's currency in its one spelling: three letters where it has them, else 40 upper-case hex digits. `None` for
/// a text that is no currency, and for both spellings of `XRP`, which no token may have.
pub fn currency(text: &str) -> Option<Cow<'_, str>> {
    if text.len() == 3 {
        return (text != "XRP" && text.bytes().all(is_letter)).then_some(Cow::Borrowed(text));
    }
    if text.len() != HEX_DIGITS || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let zero = |range: std::ops::Range<usize>| text[range].bytes().all(|byte| byte == b'0');
    if zero(0..LETTERS.start) && zero(LETTERS.end..HEX_DIGITS) {
        if zero(LETTERS) {
            // The code of XRP itself.
            return None;
        }
        let letters: Option<String> = (LETTERS.start..LETTERS.end)
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok().filter(|byte| is_letter(*byte)).map(char::from))
            .collect();
        if let Some(code) = letters {
            return (code != "XRP").then_some(Cow::Owned(code));
        }
    }
    Some(Cow::Owned(text.to_ascii_uppercase()))
}

/// The letters that a three-letter code may have.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"?!@#$%^&*<>(){}[]|".contains(&byte)
}

/// An asset as one side of a book: `XRP`, or `CODE/rISSUER` with the currency in its one spelling.
pub fn side(currency: &str, issuer: Option<&str>) -> String {
    match issuer {
        None => currency.to_owned(),
        Some(issuer) => format!("{currency}/{issuer}"),
    }
}

/// The key of an account that a transaction's metadata shows as affected.
pub fn affected_key(address: &str) -> Key {
    format!("affected:{address}").into()
}

/// The key of a book as clients name it: a transaction is found under `book_key(P, G)` when it touched an offer
/// whose `TakerGets` is P and whose `TakerPays` is G (the reverse of what the names say; both known servers do it).
/// Sides are those of [`side`]; `domain` is that of a permissioned book, 64 hex digits.
pub fn book_key(taker_pays: &str, taker_gets: &str, domain: Option<&str>) -> Key {
    match domain {
        None => format!("book:{taker_pays}/{taker_gets}").into(),
        Some(domain) => format!("book:{taker_pays}/{taker_gets}/{}", domain.to_ascii_uppercase()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_classic_ones_with_a_good_checksum() {
        for good in ["rrrrrrrrrrrrrrrrrrrrrhoLvTp", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"] {
            assert_eq!(account_id(good).map(|id| address(&id)).as_deref(), Some(good));
        }
        for bad in [
            "",
            "x",
            "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTi",
            "snoPBrXtMeMyMHUVTgbuqAfg1SUTb",
            "X7gJ5YK8abHf2eTPWPFHAAot8Knck11QGqmQ7a6a3Z8PJvk",
            "nHBtDzdRDykxiuv7uSMPTcGexNm879RUUz5GW4h1qgjbtvyWZ1LE",
            "0Hb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn a_currency_has_one_spelling() {
        let usd = "0000000000000000000000005553440000000000";
        let long = "524C555344000000000000000000000000000000";
        assert_eq!(currency("USD").as_deref(), Some("USD"));
        assert_eq!(currency(usd).as_deref(), Some("USD"));
        assert_eq!(currency(&long.to_lowercase()).as_deref(), Some(long));
        assert_eq!(currency("usd").as_deref(), Some("usd"), "letters of either case are different currencies");
        let xrp = "0000000000000000000000005852500000000000";
        for bad in
            ["XRP", xrp, &"0".repeat(40), "", "US", "USDT", "U D", "ÜSD", "G00000000000000000000000555344000000000"]
        {
            assert_eq!(currency(bad), None, "{bad}");
        }
    }
}
