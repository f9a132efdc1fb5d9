use super::*;
use crate::source::xrpl::recordings;
use proptest::prelude::*;
use serde_json::Value;

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn equal_amounts_are_equal_whatever_their_form() {
    for same in ["100", "1000000000000000e-13", "100.0", "0100", "1e2", "1E+2"] {
        assert_eq!(decimal(same), decimal("100"), "{same}");
        assert_eq!(decimal(same).amount(0), Amount::parse("100").unwrap(), "{same}");
    }
    assert_eq!(decimal("-0"), Decimal::ZERO);
    for bad in ["", "-", ".5", "e5", "1e", "1e9999999999", "1e121", "1..2", "--1", "0x1", " 1", "NaN", "1,0"] {
        assert_eq!(Decimal::parse(bad), None, "{bad}");
    }
    assert_eq!(Decimal::parse(&"1".repeat(37)), None);
}

#[test]
fn written_as_servers_write() {
    for text in [
        "0",
        "1",
        "-0.5996838787749999",
        "1103773976379842e-26",
        "3387728245861906e-2",
        "1000000000000000e-1",
        "9999999999999999e80",
        "-1000000000000000e-96",
        "2.329443577674418",
        "1413500174054660e-4",
        "162573356.3100158",
    ] {
        assert_eq!(decimal(text).to_string(), text);
    }
    assert_eq!(decimal("100000000000000").to_string(), "1000000000000000e-1");
    assert_eq!(decimal("99999999999").to_string(), "99999999999");
}

#[test]
fn every_recorded_amount_is_written_back_as_it_was() {
    /// Counts the token amounts below a value.
    fn look(value: &Value, found: &mut usize) {
        match value {
            Value::Object(fields) => {
                if let (Some(Value::String(text)), true) = (fields.get("value"), fields.contains_key("currency")) {
                    assert_eq!(decimal(text).to_string(), *text);
                    *found += 1;
                }
                fields.values().for_each(|value| look(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| look(value, found)),
            _ => {}
        }
    }
    let mut found = 0;
    for file in recordings::LEDGERS {
        let Some(ledger) = recordings::recorded(&format!("ledgers/{file}")) else { return };
        look(&ledger, &mut found);
    }
    assert!(found > 1500, "{found}");
}

#[test]
fn differences_are_exact() {
    let difference = |a: &str, b: &str| decimal(a).minus(decimal(b)).amount(0).unwrap().to_string();
    assert_eq!(difference("2.388888", "0.059444422325582"), "2.329443577674418");
    assert_eq!(difference("43000000000", "1070000000"), "41930000000");
    assert_eq!(difference("1", "1"), "0");
    assert_eq!(difference("0", "5"), "-5");
    assert_eq!(difference("-1", "-3"), "2");
    // Far more than 16 digits.
    assert_eq!(difference("1000000000", "1000000000000000e-35"), "999999999.99999999999999999999");
    assert_eq!(decimal("1000000000").minus(decimal("1e-20")).rounded(), Some(decimal("1000000000")));
    assert_eq!(decimal("9e80").plus(decimal("1e-96")).amount(0), None, "longer than amounts may be");
}

#[test]
fn rates_are_rounded_to_nearest() {
    let rate = |a: &str, b: &str| decimal(a).rate(decimal(b)).unwrap().to_string();
    assert_eq!(rate("1", "3"), "0.3333333333333333");
    assert_eq!(rate("2", "3"), "0.6666666666666667");
    assert_eq!(rate("-23020993", "-11.51049687275246"), "1999999.935232603");
    assert_eq!(rate("75.626516003375", "63.022096669479"), "1.200000000000003");
    assert_eq!(rate("0.013432464305", "0.013566788948"), "0.9900990099046391");
    assert_eq!(rate("9223372036854775807", "1"), "9223372036854776e3");
    assert_eq!(rate("1", "9223372036854775807"), "1084202172485504e-34");
    assert_eq!(rate("0", "5"), "0");
    assert_eq!(decimal("5").rate(Decimal::ZERO), None);
}

#[test]
fn fractions_are_exact_and_in_lowest_terms() {
    let exact = |text: &str| decimal(text).minus(Decimal::ZERO);
    let fraction = |a: &str, b: &str| exact(a).fraction(&exact(b)).map(|(n, d)| format!("{n}/{d}"));
    assert_eq!(fraction("14.64", "2").as_deref(), Some("183/25"));
    assert_eq!(
        fraction("2.329443577674418", "41930000000").as_deref(),
        Some("1164721788837209/20965000000000000000000000")
    );
    assert_eq!((fraction("-1", "2"), fraction("1", "0"), fraction("0", "1")), (None, None, None));
    assert!(fraction("1e80", "1e-96").unwrap().ends_with("/1"));
}

/// Any amount that a token can have.
fn token() -> impl Strategy<Value = Decimal> {
    (any::<bool>(), 1_000_000_000_000_000u64..=9_999_999_999_999_999, -96i32..=80).prop_map(
        |(negative, mantissa, exponent)| Decimal::from_digits(negative, &mantissa.to_string(), exponent).unwrap(),
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(amount in token()) {
        prop_assert_eq!(Decimal::parse(&amount.to_string()), Some(amount));
        prop_assert_eq!(amount.amount(0), Amount::from_digits(amount.negative, &amount.mantissa.to_string(), amount.exponent).unwrap());
    }

    #[test]
    fn sums_are_those_of_integers(a in -(1i64 << 53)..1 << 53, b in -(1i64 << 53)..1 << 53, e in -20i32..20) {
        let of = |value: i128| Decimal::from_digits(value < 0, &value.unsigned_abs().to_string(), e).unwrap();
        let (x, y) = (of(a.into()), of(b.into()));
        prop_assert_eq!(x.plus(y).decimal(), Some(of(i128::from(a) + i128::from(b))));
        prop_assert_eq!(x.minus(y).decimal(), Some(of(i128::from(a) - i128::from(b))));
    }

    #[test]
    fn differences_and_sums_undo_each_other(a in token(), b in token()) {
        let sum = a.plus(b);
        // Where it fits, taking one away leaves the other.
        if let Some(sum) = sum.decimal() {
            prop_assert_eq!(sum.minus(b).decimal(), Some(a));
        }
        prop_assert_eq!(a.minus(a).decimal(), Some(Decimal::ZERO));
    }

    #[test]
    fn a_rate_is_as_near_as_16_digits_allow(a in 1u64..1 << 60, b in 1u64..1 << 60) {
        let of = |value: u64| Decimal::from_digits(false, &value.to_string(), 0).unwrap();
        let rate = of(a).rate(of(b)).unwrap();
        prop_assert!(rate.mantissa < 10 * SMALLEST);
        // In units of the last of 16 digits the error is at most a half: |a - rate × b| × 2 ≤ b × unit.
        let (mut mantissa, mut exponent) = (rate.mantissa, rate.exponent);
        while mantissa < SMALLEST {
            mantissa *= 10;
            exponent -= 1;
        }
        let product = mantissa * u128::from(b);
        prop_assume!((-17..=0).contains(&exponent));
        let scale = 10u128.pow((-exponent) as u32);
        let Some(scaled) = u128::from(a).checked_mul(scale) else { return Ok(()) };
        prop_assert!(scaled.abs_diff(product) * 2 <= u128::from(b));
    }

    #[test]
    fn any_text_is_safe(text in "[-0-9.eE+]{0,40}|\\PC{0,20}") {
        if let Some(read) = Decimal::parse(&text) {
            prop_assert_eq!(Decimal::parse(&read.to_string()), Some(read));
        }
    }
}
