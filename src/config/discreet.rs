//! Sections in whose place people may write a secret.

use super::reference::{Show, Shown};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// A section that holds a secret.
pub trait HoldsSecret {
    /// How it is written, for errors.
    const FORM: &'static str;
}

/// Such a section. A bare text in its place is likely the secret, so it is refused without being repeated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Discreet<T>(pub T);

impl<T> From<T> for Discreet<T> {
    fn from(section: T) -> Discreet<T> {
        Discreet(section)
    }
}

impl<T> Deref for Discreet<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Show> Show for Discreet<T> {
    fn show(&self) -> Shown {
        self.0.show()
    }
}

impl<'de, T: Deserialize<'de> + HoldsSecret> Deserialize<'de> for Discreet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Discreet<T>, D::Error> {
        struct Section<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + HoldsSecret> Visitor<'de> for Section<T> {
            type Value = Discreet<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a section with keys")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Discreet<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Discreet)
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Discreet<T>, E> {
                Err(E::custom(format_args!("a text; write {}", T::FORM)))
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Discreet<T>, E> {
                self.visit_str("")
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Discreet<T>, E> {
                self.visit_str("")
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Discreet<T>, E> {
                self.visit_str("")
            }
        }
        deserializer.deserialize_any(Section(PhantomData))
    }
}
