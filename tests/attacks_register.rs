//! Attacks by registration: hostile JSON, floods of filters, and everybody at once.

use crate::common::attack::{Scene, crowd, flood};
use crate::common::client::WELCOME;
use crate::common::raw::{BINARY, CLOSE, FIN, REQUEST, Raw, TEXT, frame};
use crate::common::reader::wait_at_most;
use serde_json::{Value, json};
use std::time::Duration;

/// What becomes of a message.
enum Outcome {
    /// Taken; the answer holds these filters.
    Registered(&'static str),
    /// Refused with this code and these words; the connection goes on.
    Refused(&'static str, &'static str),
    /// The connection is closed with this code.
    Closed(u16),
}

use Outcome::{Closed, Refused, Registered};

const NOT_JSON: Outcome = Refused("invalid_message", "not JSON");
const NOT_REGISTER: Outcome = Refused("invalid_message", "not a register message");
const FIELD_TWICE: Outcome = Refused("invalid_filter", "a field stands there twice");
const NO_LIST: Outcome = Refused("invalid_filter", "not a list of texts");
const NO_OBJECT: Outcome = Refused("invalid_filter", "filters: not an object");
const NO_DECIMAL: Outcome = Refused("invalid_filter", "not a plain decimal number");
const TOO_LONG: Outcome = Refused("invalid_filter", "longer than 200 bytes");
/// Filters that restrict nothing.
const EVERYTHING: Outcome = Registered(r#"{"types":[],"account_ids":[],"asset_codes":[],"min_amount":""}"#);

/// A good message with these filters.
fn with(filters: &str) -> Vec<u8> {
    format!(r#"{{"type":"register","filters":{filters}}}"#).into_bytes()
}

/// A list of `count` values.
fn list(value: &str, count: usize) -> String {
    format!("[{}]", vec![value; count].join(","))
}

/// Name, message, outcome. As text frames unless the name begins with `binary`.
fn cases() -> Vec<(&'static str, Vec<u8>, Outcome)> {
    let nested = |open: &str, inside: &str, close: &str, depth| open.repeat(depth) + inside + &close.repeat(depth);
    let deep = nested("[", "", "]", 200_000);
    let deep_object = nested(r#"{"a":"#, "1", "}", 80_000);
    let (digits, long) = ("9".repeat(400_000), "x".repeat(500_000));
    vec![
        ("deep nesting alone", deep.clone().into(), NOT_REGISTER),
        ("deep nesting that never ends", "[".repeat(500_000).into(), NOT_REGISTER),
        ("deep nesting in a type", format!(r#"{{"type":{deep}}}"#).into(), NOT_REGISTER),
        ("deep nesting beside", format!(r#"{{"type":"register","x":{deep_object}}}"#).into(), EVERYTHING),
        ("deep nesting for filters", with(&deep), NO_OBJECT),
        ("deep nesting in filters", with(&deep_object), EVERYTHING),
        ("deep nesting in a list", with(&format!(r#"{{"types":{deep}}}"#)), NO_LIST),
        (
            "deep nesting as an amount",
            with(&format!(r#"{{"min_amount":{deep}}}"#)),
            Refused("invalid_filter", "filters.min_amount: not a text"),
        ),
        ("a huge number alone", digits.clone().into(), NOT_JSON),
        (
            "a huge number as an amount",
            with(&format!(r#"{{"min_amount":{digits}}}"#)),
            Refused("invalid_filter", "more than 78 digits"),
        ),
        (
            "a huge number as text",
            with(&format!(r#"{{"min_amount":"{digits}"}}"#)),
            Refused("invalid_filter", "more than 78 digits"),
        ),
        ("1e999", with(r#"{"min_amount":1e999}"#), NO_DECIMAL),
        ("1e999 as a type", br#"{"type":1e999}"#.into(), NOT_JSON),
        ("an exponent beyond all", with(r#"{"min_amount":1e-99999999999999999999}"#), NO_DECIMAL),
        ("-0", with(r#"{"min_amount":-0}"#), NO_DECIMAL),
        ("-0 as text", with(r#"{"min_amount":"-0"}"#), NO_DECIMAL),
        ("NaN", with(r#"{"min_amount":NaN}"#), NOT_JSON),
        ("NaN as text", with(r#"{"min_amount":"NaN"}"#), NO_DECIMAL),
        ("Infinity as text", with(r#"{"min_amount":"Infinity"}"#), NO_DECIMAL),
        ("a hexadecimal number", with(r#"{"min_amount":0x10}"#), NOT_JSON),
        ("leading zeros", with(r#"{"min_amount":007}"#), NOT_JSON),
        (
            "a number for an amount",
            with(r#"{"min_amount":5}"#),
            Registered(r#"{"types":[],"account_ids":[],"asset_codes":[],"min_amount":"5"}"#),
        ),
        ("numbers in a list", with(r#"{"types":[1,2,3]}"#), NO_LIST),
        ("null in a list", with(r#"{"types":["payment",null]}"#), NO_LIST),
        ("a text for a list", with(r#"{"types":"payment"}"#), NO_LIST),
        ("an object for a list", with(r#"{"account_ids":{"0":"G"}}"#), NO_LIST),
        ("a list for filters", with("[]"), NO_OBJECT),
        ("a text for filters", with(r#""everything""#), NO_OBJECT),
        ("a truth for filters", with("true"), NO_OBJECT),
        ("null for filters", with("null"), EVERYTHING),
        ("nulls in filters", with(r#"{"types":null,"account_ids":null,"min_amount":null}"#), EVERYTHING),
        ("a list for the message", br#"["register",{}]"#.into(), NOT_REGISTER),
        ("a type twice", br#"{"type":"x","type":"register"}"#.into(), NOT_REGISTER),
        ("filters twice", br#"{"type":"register","filters":{},"filters":{}}"#.into(), NOT_REGISTER),
        ("a field twice", with(r#"{"types":[],"types":["payment"]}"#), FIELD_TWICE),
        ("a field twice, once escaped", with(r#"{"types":[],"\u0074ypes":[]}"#), FIELD_TWICE),
        ("an unknown field a hundred times", with(&format!("{{{}}}", vec![r#""a":1"#; 100].join(","))), EVERYTHING),
        ("escaped keys", br#"{"\u0074\u0079pe":"reg\u0069ster"}"#.into(), EVERYTHING),
        ("a key in capitals", br#"{"Type":"register"}"#.into(), NOT_REGISTER),
        ("a lone surrogate as a type", br#"{"type":"\ud800"}"#.into(), NOT_JSON),
        ("a lone surrogate in a list", with(r#"{"account_ids":["\udc00x"]}"#), NO_LIST),
        ("a lone surrogate as a key", with(r#"{"\ud800":1}"#), Refused("invalid_message", "not Unicode text")),
        (
            "NUL, escaped",
            with(r#"{"account_ids":["\u0000"]}"#),
            Registered(r#"{"types":[],"account_ids":["\u0000"],"asset_codes":[],"min_amount":""}"#),
        ),
        ("NUL, raw", with("{\"account_ids\":[\"\0\"]}"), NOT_JSON),
        ("NUL behind the message", [with("{}"), vec![0]].concat(), NOT_JSON),
        ("a line break in a text", with("{\"account_ids\":[\"a\nb\"]}"), NOT_JSON),
        ("no UTF-8", with("{}").into_iter().chain([0xff]).collect(), Closed(1007)),
        ("an overlong character", [br#"{"type":""#.as_slice(), b"\xc0\xae", br#""}"#].concat(), Closed(1007)),
        ("binary, no UTF-8", b"{\"type\":\"\xff\"}".into(), Refused("invalid_message", "not Unicode text")),
        ("binary, a byte order mark", [b"\xef\xbb\xbf".as_slice(), &with("{}")].concat(), NOT_JSON),
        ("a byte order mark", [b"\xef\xbb\xbf".as_slice(), &with("{}")].concat(), NOT_JSON),
        ("a text of 500 KB in a list", with(&format!(r#"{{"types":["{long}"]}}"#)), TOO_LONG),
        ("a key of 500 KB", with(&format!(r#"{{"{long}":1}}"#)), EVERYTHING),
        ("a type of 500 KB", format!(r#"{{"type":"{long}"}}"#).into(), NOT_REGISTER),
        ("more than 512 KiB", vec![b' '; (512 << 10) + 1], Closed(1009)),
        (
            "a list of 100,000",
            with(&format!(r#"{{"types":{}}}"#, list(r#""a""#, 100_000))),
            Refused("invalid_filter", "more than 1000 values"),
        ),
        ("a list of 100,000 numbers", with(&format!(r#"{{"types":{}}}"#, list("1", 100_000))), NO_LIST),
        (
            "three lists, one value too many",
            with(&format!(r#"{{"types":{0},"account_ids":{0},"asset_codes":["x"]}}"#, list(r#""a""#, 500))),
            Refused("invalid_filter", "more than 1000 values"),
        ),
        ("garbage behind the message", [with("{}"), b"garbage".into()].concat(), NOT_JSON),
        ("two messages in one", with("{}").repeat(2), NOT_JSON),
        ("a comma too many", with(r#"{"types":["a",]}"#), NOT_JSON),
        ("a comment", with("{} /* everything */"), NOT_JSON),
        ("single quotes", b"{'type':'register'}".into(), NOT_JSON),
        ("no end", br#"{"type":"register","filters":{"#.into(), NOT_JSON),
        ("nothing", Vec::new(), NOT_JSON),
        ("blanks", vec![b' '; 500_000], NOT_JSON),
        ("a prototype", with(r#"{"__proto__":{"types":["x"]},"constructor":1}"#), EVERYTHING),
    ]
}

#[test]
fn hostile_json() {
    let cases = cases();
    assert!(cases.len() >= 27);
    Scene::start("").endures(2, |server| {
        for (name, message, outcome) in &cases {
            let opcode = if name.starts_with("binary") { BINARY } else { TEXT };
            let mut raw = Raw::open(server.clients);
            // Events may come before what is looked for.
            let answer = |raw: &mut Raw, what: &str| loop {
                let text = raw.next_of(TEXT).text().to_owned();
                if text.starts_with(what) {
                    break serde_json::from_str::<Value>(&text).unwrap();
                }
                assert!(!text.starts_with(r#"{"type":"error""#), "{name}: {text}");
            };
            raw.try_send(&frame(FIN | opcode, message));
            match outcome {
                Registered(filters) => {
                    let registered = answer(&mut raw, r#"{"type":"registered""#);
                    assert_eq!(registered["filters"], serde_json::from_str::<Value>(filters).unwrap(), "{name}");
                }
                Refused(code, words) => {
                    let error = answer(&mut raw, r#"{"type":"error""#);
                    let told = error["message"].as_str().unwrap();
                    assert!(error["code"] == *code && told.contains(words), "{name}: {error}");
                    assert!(told.len() < 200, "{name}: {error}");
                }
                Closed(code) => {
                    assert_eq!(raw.next_of(CLOSE).code(), Some(*code), "{name}");
                    continue;
                }
            }
            // It goes on as if nothing had been.
            raw.send(&frame(FIN | TEXT, &with(r#"{"types":["none of these"]}"#)));
            let registered = answer(&mut raw, r#"{"type":"registered""#);
            assert_eq!(registered["filters"]["types"], json!(["none of these"]), "{name}");
        }
    });
}

/// Filters as large as they may be: different for each client and each time.
fn maximal(client: usize, time: usize) -> Vec<u8> {
    let accounts: Vec<String> = (0..1000).map(|at| format!("{:G<56}", format!("{client}.{time}.{at}."))).collect();
    frame(FIN | TEXT, &with(&json!({"account_ids": accounts}).to_string()))
}

#[test]
fn maximal_filters_as_fast_as_they_are_taken() {
    Scene::start("").endures(2, |server| {
        crowd(8, 1, |client, _| {
            let mut raw = Raw::open(server.clients);
            for time in 0..10 {
                raw.send(&maximal(client, time));
                while !raw.next_of(TEXT).text().starts_with(r#"{"type":"registered""#) {}
            }
        });
    });
}

#[test]
fn more_changes_than_may_wait() {
    Scene::start("").endures(1, |server| {
        crowd(6, 1, |client, _| {
            let mut raw = Raw::open(server.clients);
            // Below what may be sent in a second, and more than the sixteen that may wait.
            for time in 0..40 {
                raw.send(&maximal(client, time % 3));
            }
            let (mut answers, mut taken) = (0, 0);
            while answers < 40 {
                let frame = raw.next_of(TEXT);
                let registered = frame.text().starts_with(r#"{"type":"registered""#);
                taken += usize::from(registered);
                answers += usize::from(registered || frame.text().contains("too many filter changes"));
            }
            assert!(taken > 0);
        });
    });
}

#[test]
fn more_registrations_than_are_allowed() {
    Scene::start("").endures(2, |server| {
        crowd(12, 1, |client, _| {
            let register = frame(FIN | TEXT, &with(r#"{"types":["none of these"]}"#)).repeat(100);
            let mut raw = if client % 2 == 0 { Raw::open(server.clients) } else { Raw::open_small(server.clients) };
            flood(&mut raw, &register, crate::common::PATIENCE);
            while let Some(frame) = raw.next_within(crate::common::PATIENCE) {
                assert!(frame.opcode != CLOSE || frame.code() == Some(1008), "{frame:?}");
            }
        });
    });
}

/// A thousand clients lose their connections and come back together.
#[test]
fn everybody_comes_back_at_once() {
    const CLIENTS: usize = 1000;
    Scene::start("").endures(2, |server| {
        let mut raws: Vec<Raw> = (0..CLIENTS).map(|_| Raw::dial(server.clients)).collect();
        let hello = [REQUEST.as_bytes(), &frame(FIN | TEXT, &with(r#"{"types":["ledger"]}"#))].concat();
        raws.iter_mut().for_each(|raw| raw.send(&hello));
        wait_at_most(Duration::from_secs(60), "everybody is a session", || server.sessions() as usize >= CLIENTS);
        for raw in &mut raws {
            assert_eq!(raw.head().status, 101);
            assert_eq!(raw.next_of(TEXT).text(), WELCOME);
            assert!(raw.next_of(TEXT).text().starts_with(r#"{"type":"registered""#));
        }
        // And they get their events.
        for raw in &mut raws {
            assert!(raw.next_of(TEXT).text().starts_with(r#"{"type":"ledger""#));
        }
    });
}
