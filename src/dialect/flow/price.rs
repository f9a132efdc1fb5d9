//! A price for display, from its exact fraction.

use crate::event::Amount;

/// Leading digits of the fraction's parts that are looked at; ten times that still fits in u128.
const DIGITS_READ: usize = 37;
/// Digits of the quotient at least, when it does not end before: what a reader's f64 can hold.
const DIGITS_WRITTEN: u32 = 17;
/// With more zeros than this nobody reads the number; the exact fraction is beside it.
const MAX_POWER: u32 = 200;

/// `n / d × 10^power` to at least 17 digits, rounded half up. `None` where that is no number.
///
/// Long division of whole numbers: no amount passes through a float.
pub(super) fn quotient(n: &str, d: &str, power: i32) -> Option<Amount> {
    let (n, n_power) = leading(n)?;
    let (d, d_power) = leading(d)?;
    let mut digits = n.checked_div(d)?;
    let mut rest = n % d;
    let mut power = power.checked_add(n_power)?.checked_sub(d_power)?;
    if power.unsigned_abs() > MAX_POWER {
        return None;
    }
    while rest != 0 && digits < 10u128.pow(DIGITS_WRITTEN - 1) {
        digits = digits * 10 + rest * 10 / d;
        rest = rest * 10 % d;
        power -= 1;
    }
    if rest * 2 >= d {
        digits += 1;
    }
    Amount::from_digits(false, &digits.to_string(), power).ok()
}

/// The number made of the leading digits, and the power of ten cut off.
fn leading(text: &str) -> Option<(u128, i32)> {
    let text = text.trim_start_matches('0');
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let read = text.len().min(DIGITS_READ);
    let number = if read == 0 { 0 } else { text[..read].parse().ok()? };
    Some((number, i32::try_from(text.len() - read).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(n: &str, d: &str) -> String {
        quotient(n, d, 0).unwrap().to_string()
    }

    #[test]
    fn divides() {
        assert_eq!(price("1", "2"), "0.5");
        assert_eq!(price("1", "3"), "0.33333333333333333");
        assert_eq!(price("2", "3"), "0.66666666666666667");
        assert_eq!(price("2000000000", "1"), "2000000000");
        assert_eq!(price("0", "5"), "0");
        assert_eq!(price("1", "9223372036854775807"), "0.00000000000000000010842021724855044");
        assert_eq!(price("9223372036854775807", "1"), "9223372036854775807");
        assert_eq!(quotient("15", "1", -1).unwrap().to_string(), "1.5");
        assert_eq!(quotient("15", "10", 6).unwrap().to_string(), "1500000");
    }

    #[test]
    fn wider_than_u128() {
        let wide = |digit: &str| digit.repeat(78);
        assert_eq!(price(&wide("6"), &wide("3")), "2");
        assert_eq!(price(&wide("1"), &wide("9"))[..12], *"0.1111111111");
    }

    #[test]
    fn no_number() {
        for (n, d) in [("1", "0"), ("1", ""), ("1", "00"), ("-1", "2"), ("1", "+2"), ("1.5", "2"), ("x", "2")] {
            assert_eq!(quotient(n, d, 0), None, "{n}/{d}");
        }
        assert_eq!(quotient("1", "2", 10_000), None);
        assert_eq!(quotient(&"9".repeat(1000), "1", i32::MAX), None);
    }

    proptest! {
        #[test]
        fn is_near_the_fraction(n: u64, d in 1u64..) {
            let written: f64 = price(&n.to_string(), &d.to_string()).parse().unwrap();
            let expected = n as f64 / d as f64;
            prop_assert!((written - expected).abs() <= expected * 1e-15);
        }

        #[test]
        fn any_text_is_safe(n in "[0-9]{0,90}|\\PC{0,9}", d in "[0-9]{0,90}|\\PC{0,9}", power: i32) {
            let _ = quotient(&n, &d, power);
        }
    }
}
