//! Exact amounts: how servers write them, what lies between two of them, and rates of 16 digits as servers round.

use crate::event::Amount;
use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;

/// Digits that a token's amount has at most: servers round to so many.
const PRECISION: usize = 16;
/// The smallest number of that many digits.
const SMALLEST: u128 = 10u128.pow(PRECISION as u32 - 1);
/// Digits that are read of an amount; the widest real one, of a multi-purpose token, has 19.
const MOST_DIGITS: usize = 36;
/// Powers of ten that are read; real ones go from -96 to 80.
const EXPONENTS: RangeInclusive<i32> = -120..=120;
/// Powers of ten at which servers write a token's 16 digits with a point; outside they write an exponent.
const PLAIN: RangeInclusive<i32> = -25..=-5;

/// A decimal number `±mantissa × 10^exponent` without trailing zeros, so equality is identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    mantissa: u128,
    exponent: i32,
}

/// A decimal number of any length, `±DIGITS × 10^exponent`; zero has no digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exact {
    negative: bool,
    digits: String,
    exponent: i32,
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Decimal = Decimal { negative: false, mantissa: 0, exponent: 0 };

    /// Reads any form that servers write: `100`, `-0.5`, `1103773976379842e-26`.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, number) = match text.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, text),
        };
        let (number, exponent) = match number.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (number, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let fraction = i32::try_from(fraction.len()).ok()?;
        Decimal::from_digits(negative, &digits, exponent.checked_sub(fraction)?)
    }

    fn from_digits(negative: bool, digits: &str, exponent: i32) -> Option<Decimal> {
        let digits = digits.trim_start_matches('0');
        let trimmed = digits.trim_end_matches('0');
        if trimmed.is_empty() {
            return Some(Decimal::ZERO);
        }
        let exponent = exponent.checked_add(i32::try_from(digits.len() - trimmed.len()).ok()?)?;
        if trimmed.len() > MOST_DIGITS || !EXPONENTS.contains(&exponent) {
            return None;
        }
        Some(Decimal { negative, mantissa: trimmed.parse().ok()?, exponent })
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Without its sign.
    pub fn magnitude(self) -> Decimal {
        Decimal { negative: false, ..self }
    }

    /// The amount; `decimals` of the digits are behind the point of what people count in.
    pub fn amount(self, decimals: i32) -> Amount {
        Amount::from_digits(self.negative, &self.mantissa.to_string(), self.exponent - decimals)
            .expect("decimal digits, and not many")
    }

    /// Exactly `self - other`.
    pub fn minus(self, other: Decimal) -> Exact {
        self.plus(Decimal { negative: !other.negative, ..other })
    }

    /// Exactly `self + other`.
    pub fn plus(self, other: Decimal) -> Exact {
        let exponent = match (self.is_zero(), other.is_zero()) {
            (true, _) => other.exponent,
            (_, true) => self.exponent,
            _ => self.exponent.min(other.exponent),
        };
        // Both as whole numbers of the smaller unit; a few hundred digits at most.
        let digits = |number: Decimal| -> Vec<u8> {
            if number.is_zero() {
                return Vec::new();
            }
            let mut digits = number.mantissa.to_string();
            digits.extend(std::iter::repeat_n('0', (number.exponent - exponent) as usize));
            digits.into_bytes().iter().rev().map(|digit| digit - b'0').collect()
        };
        let (ours, theirs) = (digits(self), digits(other));
        let (negative, sum) = if self.negative == other.negative {
            (self.negative, added(&ours, &theirs))
        } else if smaller(&ours, &theirs) {
            (other.negative, subtracted(&theirs, &ours))
        } else {
            (self.negative, subtracted(&ours, &theirs))
        };
        let digits: String = sum.iter().rev().map(|digit| char::from(digit + b'0')).collect();
        Exact::new(negative, &digits, exponent)
    }

    /// `self / other` to 16 digits, rounded to nearest. `None` where that is no number.
    pub fn rate(self, other: Decimal) -> Option<Decimal> {
        if other.is_zero() {
            return None;
        }
        if self.is_zero() {
            return Some(Decimal::ZERO);
        }
        let (mut dividend, mut exponent) = (self.mantissa, self.exponent);
        while dividend < 10 * SMALLEST {
            dividend *= 10;
            exponent -= 1;
        }
        // Enough digits behind those that are kept: neither side has more than 19.
        const MORE: u32 = 19;
        let dividend = dividend.checked_mul(10u128.pow(MORE))?;
        let mut digits = (dividend / other.mantissa).to_string();
        let mut exponent = exponent - MORE as i32 - other.exponent;
        if dividend % other.mantissa != 0 {
            // Stands for all that follow, so that just above the middle is not the middle.
            digits.push('1');
            exponent -= 1;
        }
        Exact::new(self.negative != other.negative, &digits, exponent).rounded()
    }
}

/// Digits from the lowest.
fn smaller(a: &[u8], b: &[u8]) -> bool {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev())) == Ordering::Less
}

fn added(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (longer, shorter) = if a.len() < b.len() { (b, a) } else { (a, b) };
    let mut carry = 0;
    let mut sum: Vec<u8> = (0..longer.len())
        .map(|at| {
            let digit = longer[at] + shorter.get(at).copied().unwrap_or(0) + carry;
            carry = digit / 10;
            digit % 10
        })
        .collect();
    sum.push(carry);
    sum
}

/// `b` is not larger than `a`.
fn subtracted(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    (0..a.len())
        .map(|at| {
            let less = b.get(at).copied().unwrap_or(0) + borrow;
            borrow = u8::from(a[at] < less);
            a[at] + 10 * borrow - less
        })
        .collect()
}

impl Exact {
    fn new(negative: bool, digits: &str, exponent: i32) -> Exact {
        let digits = digits.trim_start_matches('0');
        let trimmed = digits.trim_end_matches('0');
        let exponent = exponent + (digits.len() - trimmed.len()) as i32;
        match trimmed {
            "" => Exact { negative: false, digits: String::new(), exponent: 0 },
            _ => Exact { negative, digits: trimmed.to_owned(), exponent },
        }
    }

    /// To 16 digits as servers keep them: to nearest, in the middle to even. `None` outside of what can be.
    pub fn rounded(&self) -> Option<Decimal> {
        if self.digits.len() <= PRECISION {
            return Decimal::from_digits(self.negative, &self.digits, self.exponent);
        }
        let (kept, rest) = self.digits.split_at(PRECISION);
        let mut mantissa: u128 = kept.parse().ok()?;
        // No trailing zeros, so what begins with 5 and goes on is above the middle.
        let up = match rest.as_bytes() {
            [b'5'] => mantissa % 2 == 1,
            [first, ..] => *first >= b'5',
            [] => false,
        };
        mantissa += u128::from(up);
        Decimal::from_digits(self.negative, &mantissa.to_string(), self.exponent + rest.len() as i32)
    }

    /// As it is, if it is not wider than amounts are.
    pub fn decimal(&self) -> Option<Decimal> {
        Decimal::from_digits(self.negative, &self.digits, self.exponent)
    }

    /// The amount, nothing rounded; `None` where it is longer than amounts may be.
    pub fn amount(&self, decimals: i32) -> Option<Amount> {
        if self.digits.is_empty() {
            return Some(Amount::ZERO);
        }
        Amount::from_digits(self.negative, &self.digits, self.exponent - decimals).ok()
    }

    /// `self / other` as a fraction of whole numbers; `None` unless both are above zero.
    pub fn fraction(&self, other: &Exact) -> Option<(Box<str>, Box<str>)> {
        let above_zero = |number: &Exact| !number.negative && !number.digits.is_empty();
        if !above_zero(self) || !above_zero(other) {
            return None;
        }
        let unit = self.exponent.min(other.exponent);
        let whole = |number: &Exact| number.digits.clone() + &"0".repeat((number.exponent - unit) as usize);
        let (numerator, denominator) = (whole(self), whole(other));
        // In lowest terms where that is cheap.
        if let (Ok(n), Ok(d)) = (numerator.parse::<u128>(), denominator.parse::<u128>()) {
            let divisor = greatest_common_divisor(n, d);
            return Some(((n / divisor).to_string().into(), (d / divisor).to_string().into()));
        }
        Some((numerator.into(), denominator.into()))
    }
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// As a server writes a token's amount.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut mantissa, mut exponent) = (self.mantissa, self.exponent);
        while mantissa != 0 && mantissa < SMALLEST {
            mantissa *= 10;
            exponent -= 1;
        }
        let token = mantissa != 0 && mantissa < 10 * SMALLEST;
        if token && exponent != 0 && !PLAIN.contains(&exponent) {
            let sign = if self.negative { "-" } else { "" };
            return write!(f, "{sign}{mantissa}e{exponent}");
        }
        fmt::Display::fmt(&self.amount(0), f)
    }
}

#[cfg(test)]
mod tests;
