//! Values in PostgreSQL's binary forms, where the library has none of ours: exact numbers, times, JSON.

use crate::event::Amount;
use bytes::{BufMut, BytesMut};
use std::borrow::Cow;
use std::error::Error;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// The least and the greatest time that PostgreSQL and Flow both can write, Unix seconds: 4713 BC, and the year 9999.
const TIMES: (i64, i64) = (-210_866_803_200, 253_402_300_799);
/// From PostgreSQL's epoch, the year 2000, to ours.
const EPOCH_SECONDS: i64 = 946_684_800;
/// Names that are looked up may be so long, bytes: an index takes 2704 and no more. No name of a chain that we know
/// comes near.
const LONGEST_NAME: usize = 512;
/// Exponents of numbers in JSON that are passed on as numbers; jsonb keeps them digit by digit.
const LARGEST_EXPONENT: usize = 400;

/// `numeric`: an amount, written with so many digits after the point at least.
#[derive(Debug)]
pub struct Numeric<'a>(pub &'a Amount, pub usize);

/// `timestamptz`: Unix seconds.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub i64);

/// `jsonb`.
#[derive(Debug)]
pub struct Json<'a>(pub Cow<'a, str>);

type Encoded = Result<IsNull, Box<dyn Error + Sync + Send>>;

impl ToSql for Numeric<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Encoded {
        encode_numeric(&self.0.with_decimals(self.1).to_string(), out)?;
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }

    to_sql_checked!();
}

/// A plain decimal in groups of four digits, the first with its weight.
fn encode_numeric(text: &str, out: &mut BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
    const WIDTH: usize = 4;
    let negative = text.starts_with('-');
    let (whole, fraction) = text.trim_start_matches('-').split_once('.').unwrap_or((text.trim_start_matches('-'), ""));
    let padding = (WIDTH - whole.len() % WIDTH) % WIDTH;
    let digits = std::iter::repeat_n(b'0', padding).chain(whole.bytes()).chain(fraction.bytes());
    let mut digits: Vec<i16> = digits.map(|digit| i16::from(digit - b'0')).collect();
    digits.resize(digits.len().next_multiple_of(WIDTH), 0);
    let groups: Vec<i16> = digits.chunks_exact(WIDTH).map(|four| four.iter().fold(0, |sum, d| sum * 10 + d)).collect();
    let first = groups.iter().position(|group| *group != 0).unwrap_or(groups.len());
    let end = groups.iter().rposition(|group| *group != 0).map_or(first, |last| last + 1);
    let weight = (whole.len() + padding) as i64 / WIDTH as i64 - 1 - first as i64;
    let is_zero = first == end;
    out.put_i16(i16::try_from(end - first)?);
    out.put_i16(if is_zero { 0 } else { i16::try_from(weight)? });
    out.put_u16(if negative { 0x4000 } else { 0 });
    // PostgreSQL's own limit.
    out.put_u16(u16::try_from(fraction.len()).ok().filter(|scale| *scale <= 16_383).ok_or("too many digits")?);
    groups[first..end].iter().for_each(|group| out.put_i16(*group));
    Ok(())
}

impl ToSql for Time {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Encoded {
        out.put_i64((self.0.clamp(TIMES.0, TIMES.1) - EPOCH_SECONDS) * 1_000_000);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl ToSql for Json<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Encoded {
        // The form's version.
        out.put_u8(1);
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }

    to_sql_checked!();
}

/// A text without what PostgreSQL's have not: a zero byte becomes U+FFFD.
pub fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// The same for a name that is looked up, cut where an index would refuse it.
pub fn name(name: &str) -> Cow<'_, str> {
    let end = name.floor_char_boundary(LONGEST_NAME);
    text(&name[..end])
}

/// JSON as jsonb takes it. What it refuses although it is JSON: zero characters and halves of pairs become U+FFFD; where
/// a number is too large to be written out, the whole is kept as a text.
pub fn json(json: &str) -> Json<'_> {
    let bytes = json.as_bytes();
    let mut changed: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    let (mut in_text, mut too_large) = (false, false);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_text = !in_text,
            b'\\' if in_text => {
                let (length, fits) = escape(&bytes[at..]);
                if !fits {
                    let out = changed.get_or_insert_default();
                    out.extend_from_slice(&bytes[copied..at]);
                    out.extend_from_slice("\u{fffd}".as_bytes());
                    copied = at + length;
                }
                at += length;
                continue;
            }
            b'e' | b'E' if !in_text && at > 0 && bytes[at - 1].is_ascii_digit() => {
                let exponent = json[at + 1..].trim_start_matches(['+', '-']);
                let digits = exponent.bytes().take_while(u8::is_ascii_digit).count();
                too_large |= exponent[..digits].parse().unwrap_or(usize::MAX) > LARGEST_EXPONENT;
            }
            _ => {}
        }
        at += 1;
    }
    let clean = match changed {
        Some(mut out) => {
            out.extend_from_slice(&bytes[copied..]);
            Cow::Owned(String::from_utf8(out).unwrap_or_else(|_| json.to_owned()))
        }
        None => Cow::Borrowed(json),
    };
    Json(if too_large { Cow::Owned(serde_json::Value::from(clean).to_string()) } else { clean })
}

/// The length of an escape, and whether jsonb takes what it stands for.
fn escape(bytes: &[u8]) -> (usize, bool) {
    let unit = |bytes: &[u8]| -> Option<u32> {
        let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match unit(bytes) {
        None => (2.min(bytes.len()), true),
        Some(0) => (6, false),
        Some(0xd800..=0xdbff) => match bytes.get(6..).and_then(unit) {
            Some(0xdc00..=0xdfff) => (12, true),
            _ => (6, false),
        },
        Some(0xdc00..=0xdfff) => (6, false),
        Some(_) => (6, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(text: &str) -> Vec<i16> {
        let mut out = BytesMut::new();
        encode_numeric(text, &mut out).unwrap();
        out.chunks_exact(2).map(|two| i16::from_be_bytes([two[0], two[1]])).collect()
    }

    /// As `numeric_send` writes them; tests/postgres.rs has PostgreSQL read many.
    #[test]
    fn numbers_in_groups_of_four() {
        for (text, encoded) in [
            ("0", vec![0, 0, 0, 0]),
            ("0.0000000", vec![0, 0, 0, 7]),
            ("1", vec![1, 0, 0, 0, 1]),
            ("-12345.67", vec![3, 1, 0x4000, 2, 1, 2345, 6700]),
            ("10000", vec![1, 1, 0, 0, 1]),
            ("0.0001", vec![1, -1, 0, 4, 1]),
            ("0.00000001", vec![1, -2, 0, 8, 1]),
            ("300.0000000", vec![1, 0, 0, 7, 300]),
        ] {
            assert_eq!(numeric(text), encoded, "{text}");
        }
        let scale = encode_numeric(&format!("0.{}", "1".repeat(20_000)), &mut BytesMut::new());
        assert!(scale.is_err());
    }

    #[test]
    fn json_that_jsonb_refuses_is_changed_and_nothing_else() {
        for (from, to) in [
            (r#"{"a":"b\\u0000\"\\","c":1e5}"#, r#"{"a":"b\\u0000\"\\","c":1e5}"#),
            (r#"["\u0000","a\u0000b"]"#, "[\"\u{fffd}\",\"a\u{fffd}b\"]"),
            (
                r#"["\ud83d\ude00","\ud83d","\ude00","\ud83d\u0041"]"#,
                "[\"\\ud83d\\ude00\",\"\u{fffd}\",\"\u{fffd}\",\"\u{fffd}\\u0041\"]",
            ),
            (r#"[1E401]"#, r#""[1E401]""#),
            (r#"[1e-99999999999999999999]"#, r#""[1e-99999999999999999999]""#),
            (r#"["1e999",true,1e+2]"#, r#"["1e999",true,1e+2]"#),
            ("\"ü\\", "\"ü\\"),
        ] {
            assert_eq!(json(from).0, to);
        }
    }

    #[test]
    fn texts_without_zeros_and_names_of_bounded_length() {
        assert_eq!(text("a\0b"), "a\u{fffd}b");
        assert!(matches!(text("ab"), Cow::Borrowed("ab")));
        assert_eq!(name(&"ü".repeat(400)).len(), 512);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_safe(text in "([\\\\\"u0deE-]|\\PC){0,60}") {
            let _ = json(&text);
        }
    }
}
