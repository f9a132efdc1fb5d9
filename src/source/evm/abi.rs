//! What calls and logs mean by a contract's ABI. Tables are made once; each call and log is decoded once.

mod bounds;
#[cfg(test)]
mod tests;

use super::native::{Call, LogMeaning, Method, Parameter, Value};
use crate::event::Hash;
use alloy_dyn_abi::{DynSolEvent, DynSolType, DynSolValue, Specifier};
use alloy_json_abi::{Event, JsonAbi};
use alloy_primitives::{B256, hex};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Types may be nested so deep; what decodes goes no deeper.
const DEEPEST: usize = 16;
/// Words that a type may take whatever is in it: more is an array of fixed size that no contract has.
const WIDEST: usize = 4096;

/// A contract's methods and events.
#[derive(Debug)]
pub struct ContractAbi {
    methods: HashMap<[u8; 4], KnownMethod>,
    /// By the first topic; those of one signature differ in what is indexed.
    events: HashMap<B256, Vec<KnownEvent>>,
    anonymous: Vec<KnownEvent>,
}

#[derive(Debug)]
struct KnownMethod {
    method: Arc<Method>,
    /// The tuple of its parameters.
    arguments: DynSolType,
}

#[derive(Debug)]
struct KnownEvent {
    name: Arc<str>,
    signature: Arc<str>,
    /// What each parameter is called, and whether it is indexed.
    parameters: Box<[(Arc<str>, bool)]>,
    form: DynSolEvent,
}

/// What a log means, and the signature of the event where it is one.
pub struct Read {
    /// What it means.
    pub meaning: LogMeaning,
    /// The event's name and types.
    pub signature: Option<Arc<str>>,
}

impl ContractAbi {
    /// Makes the tables of an ABI: a JSON array, or an object with it as `abi`. The error says what is wrong, to
    /// follow the name of the setting.
    pub fn new(json: &serde_json::Value) -> Result<ContractAbi, String> {
        let list = json.get("abi").unwrap_or(json);
        if !list.is_array() {
            return Err("is no ABI: write a JSON array, or an object with it as `abi`".to_owned());
        }
        let text = list.to_string();
        let abi = JsonAbi::from_json_str(&text).map_err(|error| format!("is no ABI: {error}"))?;
        let mut tables = ContractAbi { methods: HashMap::new(), events: HashMap::new(), anonymous: Vec::new() };
        for function in abi.functions() {
            let parameter = |input: &alloy_json_abi::Param| Parameter {
                name: input.name.as_str().into(),
                kind: input.selector_type().as_ref().into(),
            };
            let signature = function.signature();
            let selector = function.selector().0;
            let types = function.inputs.iter().map(|input| resolve(input, &signature)).collect::<Result<_, _>>()?;
            let method = Arc::new(Method {
                name: function.name.as_str().into(),
                selector: hex::encode(selector).into(),
                hash: hex::encode_prefixed(alloy_primitives::keccak256(&signature)).into(),
                signature: signature.into(),
                parameters: function.inputs.iter().map(parameter).collect(),
            });
            let known = KnownMethod { method, arguments: DynSolType::Tuple(types) };
            if let Some(other) = tables.methods.get(&selector)
                && other.method.signature != known.method.signature
            {
                let (one, two) = (&other.method.signature, &known.method.signature);
                return Err(format!("has two methods of one selector, {one} and {two}; remove one"));
            }
            tables.methods.entry(selector).or_insert(known);
        }
        for event in abi.events() {
            let known = KnownEvent::new(event)?;
            match event.anonymous {
                true => tables.anonymous.push(known),
                false => tables.events.entry(event.selector()).or_default().push(known),
            }
        }
        Ok(tables)
    }

    /// What a transaction's input means.
    pub fn call(&self, input: &[u8]) -> Call {
        if input.is_empty() {
            return Call::Receive;
        }
        let Some((selector, data)) = input.split_first_chunk::<4>() else { return Call::Fallback };
        let Some(known) = self.methods.get(selector) else { return Call::Fallback };
        Call::Method { method: known.method.clone(), arguments: decode(&known.arguments, data) }
    }

    /// What a log means.
    pub fn log(&self, topics: &[Hash], data: &[u8]) -> Read {
        let words: Vec<B256> = topics.iter().map(|topic| B256::from(topic.0)).collect();
        let named = words.first().and_then(|topic| self.events.get(topic));
        let found = match named {
            Some(events) => events.iter().find_map(|event| event.read(&words, data)),
            None => {
                // Only if exactly one fits.
                let mut fitting = self.anonymous.iter().filter_map(|event| event.read(&words, data));
                fitting.next().filter(|_| fitting.next().is_none())
            }
        };
        found.unwrap_or_else(|| Read {
            meaning: LogMeaning::Unknown {
                topics: words.iter().map(|topic| hex::encode_prefixed(topic).into()).collect(),
                data: hex::encode_prefixed(data).into(),
            },
            signature: None,
        })
    }
}

/// A parameter's type, of a size that can be decoded.
fn resolve(parameter: &impl Specifier<DynSolType>, signature: &str) -> Result<DynSolType, String> {
    let resolved = parameter.resolve().map_err(|error| format!("has a wrong type in {signature}: {error}"))?;
    if resolved.nesting_depth() >= DEEPEST || bounds::words(&resolved) > WIDEST {
        return Err(format!("has a type in {signature} that is too large to decode; remove it"));
    }
    Ok(resolved)
}

impl KnownEvent {
    fn new(event: &Event) -> Result<KnownEvent, String> {
        let signature = event.signature();
        for input in &event.inputs {
            resolve(input, &signature)?;
        }
        let form = event.resolve().map_err(|error| format!("has a wrong event {signature}: {error}"))?;
        // No name stands twice among the values of an event, be it written or made.
        let mut used = HashSet::new();
        let name = |(at, input): (usize, &alloy_json_abi::EventParam)| {
            let mut name = input.name.clone();
            if name.is_empty() || used.contains(&name) {
                name = format!("arg{at}");
            }
            while !used.insert(name.clone()) {
                name.push('_');
            }
            (Arc::from(name), input.indexed)
        };
        let parameters = event.inputs.iter().enumerate().map(name).collect();
        Ok(KnownEvent { name: event.name.as_str().into(), signature: signature.into(), parameters, form })
    }

    fn read(&self, topics: &[B256], data: &[u8]) -> Option<Read> {
        let own_topics = topics.iter().skip(topics.len().saturating_sub(self.form.indexed().len()));
        let indexed_fit = self.form.indexed().iter().zip(own_topics).all(|(kind, topic)| bounds::is_value(kind, topic));
        if !indexed_fit || !bounds::fits(self.form.body(), data) {
            return None;
        }
        let decoded = self.form.decode_log_parts(topics.iter().copied(), data).ok()?;
        let (mut indexed, mut body) = (decoded.indexed.into_iter(), decoded.body.into_iter());
        let values = self.parameters.iter().map(|(name, is_indexed)| {
            let value = if *is_indexed { indexed.next() } else { body.next() };
            value.map(|value| (name.clone(), exact(value)))
        });
        let data = values.collect::<Option<_>>()?;
        let meaning = LogMeaning::Event { name: self.name.clone(), data };
        Some(Read { meaning, signature: Some(self.signature.clone()) })
    }
}

/// The values of a tuple's components; bytes after them are allowed.
fn decode(tuple: &DynSolType, data: &[u8]) -> Option<Box<[Value]>> {
    let types = tuple.as_tuple()?;
    if types.is_empty() {
        return Some(Box::default());
    }
    if !bounds::fits(types, data) {
        return None;
    }
    match tuple.abi_decode_sequence(data).ok()? {
        DynSolValue::Tuple(values) => Some(values.into_iter().map(exact).collect()),
        _ => None,
    }
}

fn exact(value: DynSolValue) -> Value {
    let list = |values: Vec<DynSolValue>| Value::List(values.into_iter().map(exact).collect());
    match value {
        DynSolValue::Bool(value) => Value::Bool(value),
        DynSolValue::Int(value, _) => Value::Integer(value.to_string().into()),
        DynSolValue::Uint(value, _) => Value::Integer(value.to_string().into()),
        DynSolValue::Address(value) => Value::Hex(hex::encode_prefixed(value).into()),
        DynSolValue::Function(value) => Value::Hex(hex::encode_prefixed(value).into()),
        DynSolValue::FixedBytes(word, size) => Value::Hex(hex::encode_prefixed(&word[..size.min(32)]).into()),
        DynSolValue::Bytes(bytes) => Value::Hex(hex::encode_prefixed(bytes).into()),
        DynSolValue::String(text) => Value::Text(text.into()),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) | DynSolValue::Tuple(values) => list(values),
    }
}
