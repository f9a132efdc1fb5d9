//! Requests: read as far as they must be understood, and repeated as they were written.

use super::faults::{Fault, INVALID_API_VERSION, MISSING_COMMAND};
use super::render::ApiVersion;
use super::rights::{CREDENTIALS, bounded};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Parameters whose values no answer repeats.
const SECRETS: [&str; 4] = ["secret", "seed", "seed_hex", "passphrase"];
const MASK: &str = "\"<masked>\"";

/// A request as far as it is read. Values stay the text that they are until their form is known, so that hostile
/// ones cost no memory, however deep they are nested.
#[derive(Deserialize)]
pub(super) struct Request<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    pub id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    command: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub api_version: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub url: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub streams: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub accounts: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub accounts_proposed: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub rt_accounts: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub books: Option<&'a RawValue>,
}

/// A field that stands there, be it `null`.
pub(super) fn given<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Request<'a> {
    /// `None`: no JSON object, or a name that stands twice in it.
    pub fn read(text: &'a str) -> Option<Request<'a>> {
        object(text)
    }

    /// The command's name.
    pub fn command(&self) -> Result<String, Fault> {
        self.version_given()?;
        let text = |raw: Option<&RawValue>| raw.map(|raw| text(raw).ok_or(MISSING_COMMAND)).transpose();
        match (text(self.command)?, text(self.method)?) {
            (Some(command), Some(method)) if command != method => Err(MISSING_COMMAND),
            (Some(name), _) | (None, Some(name)) => Ok(name),
            (None, None) => Err(MISSING_COMMAND),
        }
    }

    fn version_given(&self) -> Result<ApiVersion, Fault> {
        match self.api_version.map(RawValue::get) {
            None | Some("1") => Ok(ApiVersion::One),
            Some("2") => Ok(ApiVersion::Two),
            Some(_) => Err(INVALID_API_VERSION),
        }
    }

    /// Its API version; the first where it names none.
    pub fn version(&self) -> ApiVersion {
        self.version_given().unwrap_or(ApiVersion::One)
    }
}

/// An object's fields, in a struct that borrows them. `None`: no object, or a name that stands twice in it.
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    // A list of the same values would pass for the object.
    if text.trim_ascii_start().starts_with('{') { serde_json::from_str(text).ok() } else { None }
}

/// A JSON text's own text.
pub(super) fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// Hands over the entries of a list until one is refused. `None`: no list.
pub(super) fn entries<'a, E>(
    raw: &'a RawValue,
    each: impl FnMut(&'a RawValue) -> Result<(), E>,
) -> Option<Result<(), E>> {
    struct Entries<F>(F);
    impl<'a, E, F: FnMut(&'a RawValue) -> Result<(), E>> Visitor<'a> for Entries<F> {
        type Value = Result<(), E>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
            while let Some(entry) = list.next_element()? {
                if let Err(refused) = (self.0)(entry) {
                    // The reader wants the list to be read to its end.
                    while list.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Err(refused));
                }
            }
            Ok(Ok(()))
        }
    }
    serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Entries(each)).ok()
}

/// Hands over the fields of an object in their order. False: no object.
pub(super) fn fields<'a>(text: &'a str, each: impl FnMut(Cow<'_, str>, &'a RawValue)) -> bool {
    struct Fields<F>(F);
    impl<'a, F: FnMut(Cow<'_, str>, &'a RawValue)> Visitor<'a> for Fields<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                (self.0)(name.into(), value);
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Fields(each)).and_then(|()| deserializer.end()).is_ok()
}

/// Appends a field to the text of an object that `{` began.
pub(super) fn push_field(object: &mut String, name: &str, value: &str) {
    if !object.ends_with('{') {
        object.push(',');
    }
    object.push_str(&json(name));
    object.push(':');
    object.push_str(value);
}

/// A text as JSON.
pub(super) fn json(text: impl Serialize) -> String {
    serde_json::to_string(&text).expect("texts always make JSON")
}

/// The request with its secrets hidden: what errors repeat.
pub(super) fn masked(request: &str) -> Cow<'_, str> {
    let is_secret = |name: &str| SECRETS.contains(&name) || CREDENTIALS.contains(&name);
    let mut secrets = false;
    fields(request, |name, _| secrets |= is_secret(&name));
    if !secrets {
        return Cow::Borrowed(request.trim_ascii());
    }
    let mut object = String::from("{");
    fields(request, |name, value| push_field(&mut object, &name, if is_secret(&name) { MASK } else { value.get() }));
    object.push('}');
    Cow::Owned(object)
}

/// What the ledger's server is asked: everything but `id`, the command and an administrator's name, and always an API
/// version.
pub(super) fn parameters(request: &str) -> String {
    let mut object = String::from("{");
    let mut version = false;
    fields(request, |name, value| {
        version |= name == "api_version";
        if !matches!(&*name, "id" | "command" | "method") && !CREDENTIALS.contains(&&*name) {
            push_field(&mut object, &name, bounded(&name, value));
        }
    });
    if !version {
        push_field(&mut object, "api_version", "1");
    }
    object.push('}');
    object
}
