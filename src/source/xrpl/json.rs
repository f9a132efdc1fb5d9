//! JSON as a server sent it: read as far as it is needed, cut and joined as text, never through numbers.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// No answer is nested deeper: the ledger's own limit is 10, and what reads our messages may not bear more.
const DEEPEST: usize = 64;

/// Whether a text nests deeper than any answer does. Only meaningful for valid JSON.
pub fn too_deep(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > DEEPEST {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The members of an object in their order, values unread.
#[derive(Debug, Clone, Default)]
pub struct Fields<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

/// A name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
            type Value = Fields<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

impl<'a> Fields<'a> {
    /// Reads an object; `None` for anything else.
    pub fn of(text: &'a str) -> Option<Fields<'a>> {
        serde_json::from_str(text).ok()
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| *value)
    }

    /// A member that is a text.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        text(self.get(name)?)
    }

    /// A member that is a whole number, or a text of one.
    pub fn number(&self, name: &str) -> Option<u64> {
        number(self.get(name)?)
    }

    /// The same object with a member replaced or, if it has none of that name, added.
    pub fn with(&self, name: &str, value: &str) -> Box<str> {
        let mut replaced = false;
        let mut members: Vec<(&str, &str)> = Vec::with_capacity(self.0.len() + 1);
        for (found, old) in &self.0 {
            let this = found == name;
            replaced |= this;
            members.push((found, if this { value } else { old.get() }));
        }
        if !replaced {
            members.push((name, value));
        }
        object(members)
    }
}

/// A text.
pub fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Name>(value.get()).ok().map(|Name(text)| text)
}

/// A whole number, or a text of one: API versions differ.
pub fn number(value: &RawValue) -> Option<u64> {
    value.get().trim_matches('"').parse().ok()
}

/// An object of these members.
pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> Box<str> {
    let mut written = String::from("{");
    for (name, value) in members {
        if written.len() > 1 {
            written.push(',');
        }
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if plain {
            written.extend(["\"", name, "\""]);
        } else {
            written.push_str(&serde_json::Value::from(name).to_string());
        }
        written.push(':');
        written.push_str(value);
    }
    written.push('}');
    written.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_are_kept_as_they_were_sent() {
        let sent = r#"{"a":1.10,"b":{"c":[1e400, "x"]},"d\"é":null}"#;
        let fields = Fields::of(sent).unwrap();
        assert_eq!(&*fields.with("z", "7"), r#"{"a":1.10,"b":{"c":[1e400, "x"]},"d\"é":null,"z":7}"#);
        assert_eq!(&*fields.with("b", "[]"), r#"{"a":1.10,"b":[],"d\"é":null}"#);
        assert_eq!(Fields::of(r#"{"n":7,"s":"8","t":"\u0041"}"#).unwrap().number("s"), Some(8));
        assert_eq!(Fields::of(r#"{"t":"\u0041"}"#).unwrap().text("t").as_deref(), Some("A"));
        for bad in ["[]", "1", "", "{", r#"{"a":}"#] {
            assert!(Fields::of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn depth_is_counted_outside_of_texts() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!too_deep(&nested(DEEPEST)) && too_deep(&nested(DEEPEST + 1)));
        assert!(!too_deep(&format!(r#"["{}\"["]"#, "[".repeat(1000))));
        assert!(!too_deep(&"[]".repeat(1000)));
    }

    proptest! {
        #[test]
        fn any_name_is_written_so_that_it_is_read_back(name in "\\PC{0,12}") {
            let written = object([(name.as_str(), "1")]);
            prop_assert_eq!(&Fields::of(&written).unwrap().0[0].0, &name);
        }

        #[test]
        fn any_text_is_safe(text in "\\PC{0,100}") {
            let _ = (too_deep(&text), Fields::of(&text).is_some());
        }
    }
}
