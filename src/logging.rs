//! Log lines on standard error: text for people, or one JSON object a line for machines.
//!
//! Text: time, level, target, message, `key=value`s. JSON: `time`, `level`, `target`, `message` and
//! the key-values beside them. What peers sent may stand in a message or value, so in both forms
//! nothing in it can begin a new line or hide the rest.

use crate::config::{LogFormat, LogLevel};
use env_logger::Builder;
use jiff::{Timestamp, Unit};
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{LevelFilter, Record};
use serde_json::{Map, Value as Json};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Begins logging. `RUST_LOG` goes before `level`. A second call changes nothing.
pub fn init(format: LogFormat, level: LogLevel) {
    let mut builder = Builder::new();
    match std::env::var("RUST_LOG") {
        Ok(filters) if !filters.is_empty() => builder.parse_filters(&filters),
        _ => builder
            .filter_level(LevelFilter::Warn)
            // It calls every malformed request of a stranger an error.
            .filter_module("actix_http::h1::dispatcher", LevelFilter::Off)
            .filter_module("ledgercast", level.filter()),
    };
    builder.format(move |out, record| write_line(out, format, Timestamp::now(), record));
    // Tests and embedders may have set a logger of their own.
    let _ = builder.try_init();
}

fn write_line(out: &mut impl Write, format: LogFormat, now: Timestamp, record: &Record<'_>) -> io::Result<()> {
    let now = now.round(Unit::Millisecond).unwrap_or(now);
    // One write, so that lines of two threads never mix.
    let mut line = match format {
        LogFormat::Text => text_line(now, record),
        LogFormat::Json => json_line(now, record)?,
    };
    line.push('\n');
    out.write_all(line.as_bytes())
}

fn text_line(now: Timestamp, record: &Record<'_>) -> String {
    struct Pairs<'a>(&'a mut String);
    impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
            self.0.push(' ');
            push_printable(self.0, key.as_str());
            self.0.push('=');
            let value = value.to_string();
            let bare = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"' || c == '=');
            if bare {
                push_printable(self.0, &value);
            } else {
                let _ = write!(self.0, "{}", Json::from(value));
            }
            Ok(())
        }
    }
    let target = record.target().strip_prefix("ledgercast::").unwrap_or(record.target());
    let mut line = format!("{now:.3} {:5} {target}: ", record.level());
    push_printable(&mut line, &record.args().to_string());
    // Our visitor never fails.
    let _ = record.key_values().visit(&mut Pairs(&mut line));
    line
}

/// Control characters as escapes: a peer's text shall not forge lines or move the cursor.
fn push_printable(line: &mut String, text: &str) {
    for c in text.chars() {
        // The two separators end lines for some readers.
        if c.is_control() || c == '\u{2028}' || c == '\u{2029}' {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

fn json_line(now: Timestamp, record: &Record<'_>) -> io::Result<String> {
    struct Pairs<'a>(&'a mut Map<String, Json>);
    impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
            let mut key = key.as_str().to_owned();
            // The line's own four come first and stay.
            if ["time", "level", "target", "message"].contains(&key.as_str()) {
                key.push('_');
            }
            let mut json = ToJson(Json::Null);
            value.visit(&mut json)?;
            self.0.insert(key, json.0);
            Ok(())
        }
    }
    let mut object = Map::new();
    object.insert("time".to_owned(), format!("{now:.3}").into());
    object.insert("level".to_owned(), record.level().as_str().to_lowercase().into());
    object.insert("target".to_owned(), record.target().into());
    object.insert("message".to_owned(), record.args().to_string().into());
    let _ = record.key_values().visit(&mut Pairs(&mut object));
    Ok(serde_json::to_string(&object)?)
}

/// Numbers and booleans as such, everything else as text.
struct ToJson(Json);

impl<'v> VisitValue<'v> for ToJson {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.0 = value.to_string().into();
        Ok(())
    }
    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.0 = Json::Null;
        Ok(())
    }
    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }
    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }
    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        // JSON has no infinities.
        self.0 = serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Json::Number);
        Ok(())
    }
    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }
    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;
    use proptest::prelude::*;

    fn line(format: LogFormat, target: &str, message: &str, kvs: &[(&str, Value<'_>)]) -> String {
        let mut out = Vec::new();
        let now = Timestamp::from_millisecond(1_700_000_000_120).unwrap();
        let args = format_args!("{message}");
        let record = Record::builder().args(args).level(Level::Warn).target(target).key_values(&kvs).build();
        write_line(&mut out, format, now, &record).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text() {
        let kvs = [("code", Value::from(1008)), ("reason", Value::from("too slow")), ("who", Value::from("a\nb"))];
        assert_eq!(
            line(LogFormat::Text, "ledgercast::session", "closed\r\n2023 ERROR \u{1b}[2J", &kvs),
            "2023-11-14T22:13:20.120Z WARN  session: closed\\r\\n2023 ERROR \\u{1b}[2J code=1008 reason=\"too slow\" who=\"a\\nb\"\n"
        );
    }

    #[test]
    fn json() {
        let kvs = [("code", Value::from(1008)), ("level", Value::from("high")), ("lag", Value::from(f64::NAN))];
        let line = line(LogFormat::Json, "ledgercast::session", "closed", &kvs);
        let read: Json = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "time": "2023-11-14T22:13:20.120Z", "level": "warn", "target": "ledgercast::session", "message": "closed",
            "code": 1008, "level_": "high", "lag": "NaN",
        });
        assert_eq!(read, expected);
    }

    proptest! {
        #[test]
        fn one_valid_object_a_line(target in any::<String>(), message in any::<String>(), key in any::<String>(), value in any::<String>(), number in any::<f64>()) {
            let kvs = [(key.as_str(), Value::from(value.as_str())), ("number", Value::from(number))];
            let line = line(LogFormat::Json, &target, &message, &kvs);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let read: Json = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read["message"].as_str(), Some(message.as_str()));
            prop_assert_eq!(read["target"].as_str(), Some(target.as_str()));
        }

        #[test]
        fn one_printable_line(message in any::<String>(), key in any::<String>(), value in any::<String>()) {
            let line = line(LogFormat::Text, "t", &message, &[(key.as_str(), Value::from(value.as_str()))]);
            prop_assert!(!line.trim_end_matches('\n').contains(|c: char| c.is_control()), "{line:?}");
        }
    }
}
