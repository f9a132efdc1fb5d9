//! A settings file as a tree that knows where each of its parts stands.
//!
//! serde alone cannot say where an error is once a section was buffered, as it does for settings
//! whose form depends on a neighbour (`type` beside `config`). So the text becomes this tree
//! first, and [`super::decode`] reads the settings out of the tree.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::fmt;

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

impl From<Location> for Place {
    fn from(location: Location) -> Place {
        Place { line: location.line(), column: location.column() }
    }
}

/// One value of the file.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a value of the file is.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 0 or more.
    Unsigned(u64),
    /// A whole number below 0.
    Signed(i64),
    /// Any other number.
    Float(f64),
    /// Anything else on its own.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and their values, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub place: Place,
    /// Made by [`Node::nest`]: not in the file, so no error names it.
    pub hidden: bool,
}

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Under this key.
    Key(String),
    /// At this place of a list, from 0.
    Index(usize),
}

impl Node {
    /// Reads one YAML document; an error tells where and what.
    pub fn parse(text: &str) -> Result<Node, (Option<Place>, String)> {
        // YAML 1.1's `yes` and `on` are text here: a source may be called so.
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options).map(Node::from).map_err(|error| {
            let place = error.location().map(Place::from);
            let message = match error.without_snippet() {
                serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
                    format!("the key `{key}` stands here a second time; remove one")
                }
                serde_saphyr::Error::MultipleDocuments { .. } => {
                    "a second document begins here; put everything into one".to_owned()
                }
                other => {
                    let text = other.to_string();
                    // The place is told in front, in one form for all errors.
                    let end = text.rfind(" at line ").unwrap_or(text.len());
                    format!("not YAML: {}", &text[..end])
                }
            };
            (place, message)
        })
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(has, _)| has.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The same for changing it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().find(|(has, _)| has.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The values of a list or map, for changing them; of anything else none.
    pub fn children_mut(&mut self) -> Box<dyn Iterator<Item = &mut Node> + '_> {
        match &mut self.value {
            Value::List(nodes) => Box::new(nodes.iter_mut()),
            Value::Map(entries) => Box::new(entries.iter_mut().map(|(_, node)| node)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Where `path` leads, or the nearest place on the way that the file has.
    pub fn place_of(&self, path: &[Step]) -> Place {
        let next = path.split_first().and_then(|(step, rest)| match (step, &self.value) {
            (Step::Key(key), _) => Some((self.get(key)?, rest)),
            (Step::Index(index), Value::List(nodes)) => Some((nodes.get(*index)?, rest)),
            _ => None,
        });
        match next {
            Some((node, rest)) => node.place_of(rest),
            None => self.place,
        }
    }

    /// Moves `tag` and `config` of a map into a map of their own under the hidden key `under`, the
    /// tag first: the form that serde's adjacently tagged enums read without buffering. A missing
    /// `config` becomes an empty one.
    pub fn nest(&mut self, tag: &str, under: &str) {
        let Value::Map(entries) = &mut self.value else { return };
        let (mut inner, rest): (Vec<_>, Vec<_>) =
            std::mem::take(entries).into_iter().partition(|(key, _)| key.text == tag || key.text == "config");
        *entries = rest;
        inner.sort_by_key(|(key, _)| key.text != tag);
        let hidden = |text: &str, place| Key { text: text.to_owned(), place, hidden: true };
        if !inner.iter().any(|(key, _)| key.text == "config") {
            inner.push((hidden("config", self.place), Node { place: self.place, value: Value::Map(Vec::new()) }));
        }
        let nested = Node { place: self.place, value: Value::Map(inner) };
        entries.push((hidden(under, self.place), nested));
    }
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Node {
        Node { place: spanned.referenced.into(), value: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(Value::Unsigned(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut nodes = Vec::new();
                while let Some(value) = list.next_element::<Spanned<Value>>()? {
                    nodes.push(value.into());
                }
                Ok(Value::List(nodes))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Value>>()? {
                    let key = Key { text: key.value, place: key.referenced.into(), hidden: false };
                    entries.push((key, value.into()));
                }
                Ok(Value::Map(entries))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}
