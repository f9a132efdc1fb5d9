//! Settings out of a [`Node`] tree: a serde deserializer whose errors say which key, where and what to write.

use super::tree::{Key, Node, Place, Step, Value};
use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Something in the settings that cannot be.
#[derive(Debug)]
pub struct Fault {
    /// Where in the file; `None` for settings that come from no file.
    pub place: Option<Place>,
    /// The way to the section or value, innermost step first while it is being built.
    path: Vec<Step>,
    what: What,
}

#[derive(Debug)]
enum What {
    UnknownKey { key: String, known: Vec<String> },
    UnknownName { name: String, known: &'static [&'static str] },
    Missing { key: &'static str },
    Wrong { found: String, expected: String },
    Other(String),
}

/// Reads a `T` out of the tree.
pub fn decode<'de, T: de::Deserialize<'de>>(node: &'de Node) -> Result<T, Fault> {
    T::deserialize(node)
}

impl Fault {
    /// Keeps the first, innermost place.
    fn at(mut self, place: Place) -> Fault {
        self.place.get_or_insert(place);
        self
    }

    /// What is wrong, for files of secrets: without a word that the file holds. The types that are read must not repeat
    /// any either, where they tell faults of their own.
    pub fn without_contents(&self) -> String {
        let path = path_text(self.path.iter().rev());
        let section = if path.is_empty() { "the top level" } else { &path };
        let names = |known: &[&str]| known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
        match &self.what {
            What::UnknownKey { known, .. } => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                format!("unknown key in {section}; there is {}", names(&known))
            }
            What::UnknownName { known, .. } => format!("unknown {section}; there is {}", names(known)),
            What::Wrong { expected, .. } => format!("{section} is something else; write {expected}"),
            What::Missing { .. } | What::Other(_) => self.to_string(),
        }
    }

    fn inside(mut self, step: Step) -> Fault {
        self.path.push(step);
        self
    }

    /// Keys that were nested for serde are offered under the names that they have in the file.
    fn with_names_of_file(mut self, entries: &[(Key, Node)]) -> Fault {
        if let What::UnknownKey { known, .. } = &mut self.what
            && self.path.is_empty()
            && let Some((hidden, Node { value: Value::Map(inner), .. })) = entries.iter().find(|(key, _)| key.hidden)
        {
            known.retain(|key| *key != hidden.text);
            known.extend(inner.iter().map(|(key, _)| key.text.clone()));
        }
        self
    }
}

/// `sources.main.config` or `listeners[0].bind`.
pub fn path_text<'a>(path: impl Iterator<Item = &'a Step>) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.push_str(&format!(".{key}")),
        }
    }
    text
}

/// `; did you mean …?` where a name is near, else what there is.
pub fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    // Up to a third of the letters may differ, and two in a short name; or the end is missing.
    let allowed = (name.chars().count() / 3).max(2);
    let begun = |known: &str| name.len() > 2 && known.starts_with(name);
    let near = known
        .clone()
        .map(|known| (strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(distance, known)| begun(known) || *distance <= allowed && *distance < known.chars().count())
        .min_by_key(|(distance, _)| *distance);
    match near {
        Some((_, known)) => format!("; did you mean `{known}`?"),
        None => {
            let known: Vec<String> = known.map(|known| format!("`{known}`")).collect();
            format!("; there is {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = path_text(self.path.iter().rev());
        let section = if path.is_empty() { "the top level" } else { &path };
        match &self.what {
            What::UnknownKey { key, known } => {
                let near = suggestion(key, known.iter().map(String::as_str));
                write!(f, "unknown key `{key}` in {section}{near}")
            }
            What::UnknownName { name, known } => {
                write!(f, "unknown {section} `{name}`{}", suggestion(name, known.iter().copied()))
            }
            What::Missing { key } => write!(f, "{section} has no `{key}`; add it"),
            What::Wrong { found, expected } => write!(f, "{section} is {found}; write {expected}"),
            What::Other(message) => write!(f, "{section}: {message}"),
        }
    }
}

impl std::error::Error for Fault {}

fn fault(what: What) -> Fault {
    Fault { place: None, path: Vec::new(), what }
}

fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        // Addresses of RPCs carry keys and passwords.
        Unexpected::Str(text) if text.contains("://") => "an address".to_owned(),
        Unexpected::Str(text) => format!("the text `{text}`"),
        Unexpected::Unit | Unexpected::Option => "empty".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a section with keys".to_owned(),
        other => other.to_string(),
    }
}

/// What a value is, as errors call it.
pub fn described(node: &Node) -> String {
    found(match &node.value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Unsigned(value) => Unexpected::Unsigned(*value),
        Value::Signed(value) => Unexpected::Signed(*value),
        Value::Float(value) => Unexpected::Float(*value),
        Value::Text(text) => Unexpected::Str(text),
        Value::List(_) => Unexpected::Seq,
        Value::Map(_) => Unexpected::Map,
    })
}

fn wanted(expected: &dyn de::Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u64" | "u32" | "u16" | "usize" => "a whole number of 0 or more".to_owned(),
        "a string" | "path string" => "text, in quotes if it looks like a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list, such as [a, b]".to_owned(),
        text if text.starts_with("struct ") || text.starts_with("adjacently tagged") || text == "a map" => {
            "a section with keys".to_owned()
        }
        text if text.starts_with("variant") || text.starts_with("enum") => "a name".to_owned(),
        _ => expected,
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        fault(What::Other(message.to_string()))
    }
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Fault {
        fault(What::Wrong { found: found(unexpected), expected: wanted(expected) })
    }
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Fault {
        Fault::invalid_type(unexpected, expected)
    }
    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Fault {
        fault(What::UnknownName { name: name.to_owned(), known })
    }
    fn unknown_field(key: &str, known: &'static [&'static str]) -> Fault {
        let known = known.iter().map(|&key| key.to_owned()).collect();
        fault(What::UnknownKey { key: key.to_owned(), known })
    }
    fn missing_field(key: &'static str) -> Fault {
        fault(What::Missing { key })
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Signed(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(nodes) => visitor.visit_seq(List { nodes, index: 0 }),
            Value::Map(entries) => {
                visitor.visit_map(Map { entries, index: 0 }).map_err(|f| f.with_names_of_file(entries))
            }
        }
        .map_err(|fault| fault.at(self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Text(text) => {
                let name: StrDeserializer<'_, Fault> = text.as_str().into_deserializer();
                visitor.visit_enum(name).map_err(|fault| fault.at(self.place))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    // A section whose keys are all commented out is an empty section and no error. A list is none:
    // serde would take it for the values of the keys, in their order.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_map(Map { entries: &[], index: 0 }).map_err(|fault| fault.at(self.place)),
            Value::List(_) => Err(<Fault as de::Error>::invalid_type(Unexpected::Seq, &visitor).at(self.place)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_seq(List { nodes: &[], index: 0 }).map_err(|fault| fault.at(self.place)),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

struct List<'de> {
    nodes: &'de [Node],
    index: usize,
}

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.nodes.get(self.index) else { return Ok(None) };
        let step = Step::Index(self.index);
        self.index += 1;
        seed.deserialize(node).map(Some).map_err(|fault| fault.at(node.place).inside(step))
    }
}

struct Map<'de> {
    entries: &'de [(Key, Node)],
    index: usize,
}

impl<'de> MapAccess<'de> for Map<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, _)) = self.entries.get(self.index) else { return Ok(None) };
        let text: StringDeserializer<Fault> = key.text.clone().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|fault| fault.at(key.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, node)) = self.entries.get(self.index) else {
            return Err(de::Error::custom("a value was asked for after the last key"));
        };
        self.index += 1;
        seed.deserialize(node).map_err(|fault| {
            let fault = fault.at(node.place);
            if key.hidden { fault } else { fault.inside(Step::Key(key.text.clone())) }
        })
    }
}
