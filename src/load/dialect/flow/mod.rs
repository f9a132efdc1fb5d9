//! Obsrvr Flow, with the event ids of Stellar.

mod filters;
mod place;

use super::{Dialect, Event, Fit, Said};
use serde_json::Value;

/// The dialect.
pub struct Flow;

impl Dialect for Flow {
    fn subscribe(&self, filters: &str) -> String {
        format!(r#"{{"type":"register","filters":{filters}}}"#)
    }

    fn read(&self, text: &[u8]) -> Said {
        read(text).unwrap_or(Said::Unreadable)
    }

    fn fits(&self, filters: &Value, event: &Event) -> Fit {
        filters::fits(filters, &event.json)
    }
}

fn read(text: &[u8]) -> Option<Said> {
    let json: Value = serde_json::from_slice(text).ok()?;
    let kind = json["type"].as_str()?;
    Some(match kind {
        "welcome" => Said::Greeting,
        "registered" => Said::Registered { dropped: json.get("dropped").map_or(Some(0), Value::as_u64)? },
        "error" => Said::Error(json["code"].as_str()?.to_owned()),
        "gap" => Said::Gap { from: json["from_ledger"].as_u64()?, to: json["to_ledger"].as_u64()? },
        "reset" | "reorg" => Said::Reset,
        _ => {
            let ledger = json["ledger"].as_u64()?;
            let place = place::of(kind, json["id"].as_str()?, ledger)?;
            let network = json.get("network").map_or(Some(""), Value::as_str)?.to_owned();
            Said::Event(Event { network, ledger, place, is_ledger: kind == "ledger", json })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_told_apart() {
        for (text, expected) in [
            (r#"{"type":"welcome","message":"x"}"#, "Greeting"),
            (r#"{"type":"registered","filters":{}}"#, "Registered { dropped: 0 }"),
            (r#"{"type":"registered","dropped":12}"#, "Registered { dropped: 12 }"),
            (r#"{"type":"error","code":"too_slow"}"#, r#"Error("too_slow")"#),
            (r#"{"type":"gap","from_ledger":3,"to_ledger":5}"#, "Gap { from: 3, to: 5 }"),
            (r#"{"type":"reset","from_ledger":3,"to_ledger":5}"#, "Reset"),
            ("{", "Unreadable"),
            (r#"{"type":"payment"}"#, "Unreadable"),
            (r#"{"type":"dance","id":"1-ledger","ledger":1}"#, "Unreadable"),
            (r#"{"type":"ledger","id":"2-ledger","ledger":1}"#, "Unreadable"),
        ] {
            assert_eq!(format!("{:?}", Flow.read(text.as_bytes())), expected, "{text}");
        }
        let text = r#"{"type":"ledger","id":"7-ledger","network":"n","ledger":7}"#;
        let Said::Event(event) = Flow.read(text.as_bytes()) else { panic!("{text}") };
        assert_eq!((&*event.network, event.ledger, event.place, event.is_ledger), ("n", 7, 0, true));
    }
}
