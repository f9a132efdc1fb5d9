//! Amounts in integers, and the texts in which the protocol writes them.
//!
//! An amount is a whole number of units of its asset: drops of XRP, and for each token the smallest part that the
//! devnet deals in. No balance reaches 10^16 units, so each fits the 16 digits of the protocol and nothing is rounded.

use std::cmp::Ordering;

/// An asset of the fiction: 0 is XRP, the others are places in [`super::world::TOKENS`], counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asset(pub u8);

pub(super) const XRP: Asset = Asset(0);

/// So much of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub asset: Asset,
    pub units: i128,
}

impl Amount {
    pub fn new(asset: Asset, units: i128) -> Self {
        Self { asset, units }
    }
}

/// Digits of a token's amount.
const DIGITS: u32 = 16;

/// A positive number of 16 digits: mantissa and exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    mantissa: i128,
    exponent: i32,
}

impl Rate {
    /// `a` units of 10^-`a_scale` for each of `b` units of 10^-`b_scale`, rounded to nearest. Both are positive and
    /// at most 10^18.
    pub fn of((a, a_scale): (i128, u32), (b, b_scale): (i128, u32)) -> Self {
        // 10^36 fits i128 and leaves at least 18 digits after the division.
        let shift = 36 - digits(a);
        let quotient = a * 10_i128.pow(shift) / b.max(1);
        Self::rounded(quotient, b_scale as i32 - a_scale as i32 - shift as i32)
    }

    fn rounded(value: i128, exponent: i32) -> Self {
        let over = digits(value) as i32 - DIGITS as i32;
        if over <= 0 {
            return Self { mantissa: value * 10_i128.pow(over.unsigned_abs()), exponent: exponent + over };
        }
        let step = 10_i128.pow(over.unsigned_abs());
        let mantissa = (value + step / 2) / step;
        match digits(mantissa) > DIGITS {
            true => Self { mantissa: mantissa / 10, exponent: exponent + over + 1 },
            false => Self { mantissa, exponent: exponent + over },
        }
    }

    /// The 64 bits that stand for it at the end of a book directory's index; they sort as the rates do.
    pub fn bits(self) -> u64 {
        let exponent = u64::from((self.exponent + 100).clamp(0, 255).unsigned_abs());
        exponent << 56 | self.mantissa.unsigned_abs() as u64 & ((1 << 56) - 1)
    }

    /// The rate of these bits.
    pub fn from_bits(bits: u64) -> Self {
        let exponent = i32::from(bits.to_be_bytes()[0]) - 100;
        Self { mantissa: i128::from(bits & ((1 << 56) - 1)), exponent }
    }

    pub fn text(self) -> String {
        written(false, self.mantissa, self.exponent)
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.exponent, self.mantissa).cmp(&(other.exponent, other.mantissa))
    }
}

/// `units` of 10^-`scale` as the protocol writes a token's amount. Beyond 16 digits it is rounded.
pub(super) fn text(units: i128, scale: u32) -> String {
    if units == 0 {
        return "0".to_owned();
    }
    let Rate { mantissa, exponent } = Rate::rounded(units.abs(), -(scale as i32));
    written(units < 0, mantissa, exponent)
}

/// A 16-digit mantissa with its exponent: plain, or with the exponent where the protocol writes it.
fn written(negative: bool, mantissa: i128, exponent: i32) -> String {
    let sign = if negative { "-" } else { "" };
    if exponent != 0 && !(-25..=-5).contains(&exponent) {
        return format!("{sign}{mantissa}e{exponent}");
    }
    let digits = mantissa.to_string();
    let places = exponent.unsigned_abs() as usize;
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn digits(value: i128) -> u32 {
    value.checked_ilog10().map_or(1, |log| log + 1)
}

/// `value` × `times` ÷ `by`, rounded down. The product of two amounts fits.
pub(super) fn portion(value: i128, times: i128, by: i128) -> i128 {
    value * times / by.max(1)
}

/// The same rounded up.
pub(super) fn portion_up(value: i128, times: i128, by: i128) -> i128 {
    let by = by.max(1);
    (value * times + by - 1) / by
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_the_protocol_does() {
        for (units, scale, expected) in [
            (0, 11, "0"),
            (1, 0, "1"),
            (2_016_075, 2, "20160.75"),
            (-1_500, 3, "-1.5"),
            (100, 0, "100"),
            (5_085_633_592_429_894, 15, "5.085633592429894"),
            (1, 10, "0.0000000001"),
            (1, 11, "1000000000000000e-26"),
            (1_103_773_976_379_842, 26, "1103773976379842e-26"),
            (5, 26, "5000000000000000e-41"),
            (100_000_000_000_000, 0, "1000000000000000e-1"),
            (1_000_000_000, 0, "1000000000"),
        ] {
            assert_eq!(text(units, scale), expected);
        }
    }

    #[test]
    fn rates_have_sixteen_digits_and_sort_as_their_bits() {
        assert_eq!(Rate::of((44_082_741, 0), (1_586_978_676, 7)).text(), "277777.7777777778");
        assert_eq!(Rate::of((1, 0), (10, 0)).text(), "0.1");
        assert_eq!(Rate::of((1, 0), (1_000_000, 11)).text(), "100000");
        // As real book directories end.
        assert_eq!(Rate::of((1, 0), (1, 0)).bits(), 0x5503_8D7E_A4C6_8000);
        assert_eq!(Rate::of((2_016_075, 2), (15_000_000_000, 0)).bits(), 0x4F04_C668_06CF_7400);
        let rates: Vec<Rate> = [(1, 10_i128.pow(17)), (3, 7), (4, 9), (1, 1), (10_i128.pow(17), 3)]
            .map(|(a, b)| Rate::of((a, 0), (b, 0)))
            .into();
        assert!(rates.is_sorted() && rates.iter().map(|rate| rate.bits()).is_sorted());
    }
}
