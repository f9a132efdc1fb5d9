//! Exact decimal amounts.
//!
//! An amount is compared and printed, never calculated with, so it is kept as its significant
//! decimal digits and the power of ten before them. Comparison is then exact at any scale (78
//! digits on each side of the point and more), which no fixed-width decimal type gives.

use compact_str::CompactString;
use std::cmp::Ordering;
use std::fmt;

/// Digits allowed on each side of the point in [`Amount::parse`]; a uint256 has 78.
pub const MAX_DIGITS: usize = 78;

/// An exact decimal number: `±0.DIGITS × 10^exponent`. Normalised, so equality is identity.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Amount {
    negative: bool,
    /// Power of ten that moves the point before the first digit to its place; 0 for zero.
    exponent: i32,
    /// Decimal digits without leading or trailing zeros; empty for zero.
    digits: CompactString,
}

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not of the form `123` or `123.45`: a sign, an exponent, a blank, an empty part.
    #[error("not a plain decimal number such as 100 or 0.5")]
    Malformed,
    /// More than 78 digits before or after the point.
    #[error("more than {MAX_DIGITS} digits before or after the point")]
    TooLong,
}

impl Amount {
    /// Zero.
    pub const ZERO: Amount = Amount { negative: false, exponent: 0, digits: CompactString::const_new("") };

    /// The strict form that filters take: digits, optionally a point and more digits. No sign,
    /// exponent, blank, or empty part.
    pub fn parse(text: &str) -> Result<Amount, AmountError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(AmountError::Malformed),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits_only(whole) || !digits_only(fraction) {
            return Err(AmountError::Malformed);
        }
        if whole.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
            return Err(AmountError::TooLong);
        }
        let mut digits = CompactString::from(whole);
        digits.push_str(fraction);
        Ok(Self::normalised(false, &digits, whole.len() as i32))
    }

    /// `units × 10^-scale`: what ledgers count in, such as stroops with scale 7.
    pub fn from_units(units: i128, scale: u32) -> Amount {
        let mut digits = CompactString::default();
        let _ = fmt::Write::write_fmt(&mut digits, format_args!("{}", units.unsigned_abs()));
        let exponent = digits.len() as i32 - scale as i32;
        Self::normalised(units < 0, &digits, exponent)
    }

    /// `digits × 10^power`, for numbers wider than i128 (uint256) and for mantissa and exponent
    /// forms. `digits` are decimal digits only.
    pub fn from_digits(negative: bool, digits: &str, power: i32) -> Result<Amount, AmountError> {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AmountError::Malformed);
        }
        if digits.len() > 2 * MAX_DIGITS {
            return Err(AmountError::TooLong);
        }
        Ok(Self::normalised(negative, digits, digits.len() as i32 + power))
    }

    /// The sign, the significant digits (none for zero), and the power of ten that [`Amount::from_digits`] takes.
    pub(super) fn parts(&self) -> (bool, &str, i32) {
        (self.negative, &self.digits, self.exponent - self.digits.len() as i32)
    }

    fn normalised(negative: bool, digits: &str, exponent: i32) -> Amount {
        let trimmed = digits.trim_start_matches('0');
        let exponent = exponent - (digits.len() - trimmed.len()) as i32;
        let trimmed = trimmed.trim_end_matches('0');
        if trimmed.is_empty() {
            return Amount::ZERO;
        }
        Amount { negative, exponent, digits: trimmed.into() }
    }

    /// Whether the amount is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether the amount is zero.
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Bytes on the heap, for the weight of history.
    pub fn heap_bytes(&self) -> usize {
        if self.digits.is_heap_allocated() { self.digits.capacity() } else { 0 }
    }

    /// Written with exactly `decimals` digits after the point, or more where the amount has more:
    /// nothing is ever rounded.
    pub fn with_decimals(&self, decimals: usize) -> impl fmt::Display + '_ {
        Fixed { amount: self, decimals }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, decimals: usize) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let point = self.exponent;
        let digits = self.digits.as_str();
        let zeros = |f: &mut fmt::Formatter<'_>, count: usize| (0..count).try_for_each(|_| f.write_str("0"));
        // Before the point.
        if point <= 0 {
            f.write_str("0")?;
        } else {
            let cut = digits.len().min(point as usize);
            f.write_str(&digits[..cut])?;
            zeros(f, point as usize - cut)?;
        }
        // After it.
        let rest = &digits[digits.len().min(point.max(0) as usize)..];
        let leading = if rest.is_empty() { 0 } else { (-point).max(0) as usize };
        let written = leading + rest.len();
        if written.max(decimals) > 0 {
            f.write_str(".")?;
            zeros(f, leading)?;
            f.write_str(rest)?;
            zeros(f, decimals.saturating_sub(written))?;
        }
        Ok(())
    }
}

struct Fixed<'a> {
    amount: &'a Amount,
    decimals: usize,
}

impl fmt::Display for Fixed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.amount.write(f, self.decimals)
    }
}

/// The shortest plain form, `0.5` or `1000000`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.cmp_magnitude(other),
            (true, true) => other.cmp_magnitude(self),
        }
    }
}

impl Amount {
    /// Without leading or trailing zeros, the larger exponent is the larger number, and within
    /// one exponent the digits compare as texts.
    fn cmp_magnitude(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn strict_forms_only() {
        for good in ["0", "1", "100", "0.5", "00.50", "922337203685.4775807"] {
            assert!(Amount::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "1.", ".5", "+1", "-1", "1e3", "NaN", " 1", "1 ", "1,0", "0x1", "1.2.3", "١"] {
            assert_eq!(Amount::parse(bad), Err(AmountError::Malformed), "{bad:?}");
        }
        assert!(Amount::parse(&"9".repeat(78)).is_ok());
        assert_eq!(Amount::parse(&"9".repeat(79)), Err(AmountError::TooLong));
        assert_eq!(Amount::parse(&format!("0.{}", "1".repeat(79))), Err(AmountError::TooLong));
    }

    #[test]
    fn the_last_stroop_counts() {
        assert!(amount("922337203685.4775807") > amount("922337203685.4775806"));
        assert_eq!(Amount::from_units(i64::MAX.into(), 7), amount("922337203685.4775807"));
        assert!(amount("0.00000000000000000001") > Amount::ZERO);
    }

    #[test]
    fn prints_with_decimals() {
        let print = |units, scale, decimals| Amount::from_units(units, scale).with_decimals(decimals).to_string();
        assert_eq!(print(1, 7, 7), "0.0000001");
        assert_eq!(print(0, 7, 7), "0.0000000");
        assert_eq!(print(3_000_000_000, 7, 7), "300.0000000");
        assert_eq!(print(-150, 2, 7), "-1.5000000");
        assert_eq!(print(123, 0, 0), "123");
        assert_eq!(print(12345, 4, 2), "1.2345");
        assert_eq!(Amount::from_units(i128::MIN, 0).to_string(), i128::MIN.to_string());
    }

    proptest! {
        #[test]
        fn order_is_that_of_integers(a: i64, b: i64, scale in 0u32..20) {
            let (x, y) = (Amount::from_units(a.into(), scale), Amount::from_units(b.into(), scale));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x == y, a == b);
        }

        #[test]
        fn order_holds_across_scales(a in any::<u64>(), b in any::<u64>(), s in 0u32..16, t in 0u32..16) {
            let (x, y) = (Amount::from_units(a.into(), s), Amount::from_units(b.into(), t));
            // The same two numbers as integers of 10^-16.
            let widen = |value: u64, scale: u32| u128::from(value) * 10u128.pow(16 - scale);
            prop_assert_eq!(x.cmp(&y), widen(a, s).cmp(&widen(b, t)));
        }

        #[test]
        fn text_is_kept(whole in "(0|[1-9][0-9]{0,77})", fraction in "[0-9]{0,77}[1-9]") {
            let text = format!("{whole}.{fraction}");
            prop_assert_eq!(amount(&text).to_string(), text);
            prop_assert_eq!(amount(&whole).to_string(), whole);
        }

        #[test]
        fn units_round_trip(units: i128, scale in 0u32..40) {
            let printed = Amount::from_units(units, scale).with_decimals(scale as usize).to_string();
            prop_assert_eq!(printed.replace('.', "").parse::<i128>().unwrap(), units);
            if scale > 0 {
                prop_assert_eq!(printed.split_once('.').unwrap().1.len(), scale as usize);
            }
        }

        #[test]
        fn any_text_is_safe(text in "\\PC{0,200}") {
            let _ = Amount::parse(&text);
        }
    }
}
