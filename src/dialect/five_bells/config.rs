//! The settings of a mount, and what may be wrong with them.

use super::ledger::{
    BURN, Digits, ISSUANCE, asset_id, canonical, default_code, default_precision, default_scale, digits, is_address,
    is_identifier,
};
use super::users::{AccessConfig, KnownLedger, UserEntry};
use crate::config::decode::suggestion;
use crate::config::reference::{Entry, Show, Shown};
use crate::config::tree::Step;
use crate::config::units::Time;
use crate::config::{Finding, settings};
use crate::dialect::MountedSource;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

/// Longest key of a ledger.
const LONGEST_KEY: usize = 64;
/// More digits than any amount has.
const MOST_DIGITS: u32 = 255;

settings! {
    /// The API of five-bells-ledger.
    pub struct Config {
        /// The ledgers, each one asset of one of the mount's sources, under a key of your choice: clients find them at
        /// `/ledgers/<key>`. Each `{ source, asset, scale, precision, currency_code, currency_symbol, ilp_prefix, accounts }`.
        /// Default {}: at least one is needed.
        pub ledgers: Named<LedgerSettings>,
        /// The key of the ledger that stands at the mount's own path. Default none: needed where there are several.
        pub default: Option<String>,
        /// Who may come in: `{ name, password_file, admin, accounts }`. Default []: nobody, unless `users_file` names some.
        pub users: Vec<UserEntry>,
        /// A YAML file with a list of further users of the same form. Default none. Read again on SIGHUP, when the
        /// connections of those who were removed, disabled or changed are closed.
        pub users_file: Option<PathBuf>,
        /// A file with the key that signs tokens, at least 32 bytes such as `openssl rand -hex 32` gives. Default none: a
        /// random key, so that tokens end with the process, and clients that hold one try it for ever. Read again on
        /// SIGHUP; another key ends all tokens.
        pub token_key_file: Option<PathBuf>,
        /// How long a token is good. Default 3650d: clients fetch one when they start and never again, so it must outlive
        /// them. Before, it ends with its user, with the user's password and with the key.
        pub token_max_age: Time = AccessConfig::default().token_max_age,
    }
}

settings! {
    /// One ledger.
    pub struct LedgerSettings {
        /// One of the mount's sources. Default "": needed.
        pub source: String,
        /// What it is a ledger of: `native` is the network's own coin; else a code that the source's settings give, a
        /// token's `0x…` address, `CODE:ISSUER`, or the id of a Planetmint asset, where `any` stands for all of them.
        /// Default native.
        pub asset: String = "native".to_owned(),
        /// Digits after the point that clients count with; never 0, at which they give up. Default none: XRP 6, Stellar 7,
        /// a coin or token of an EVM chain as its source says, a token of the XRP Ledger 15, Planetmint 1.
        pub scale: Option<u32>,
        /// Digits that amounts have at most. Default none: XRP 17, Stellar 19, Planetmint 20, others 78.
        pub precision: Option<u32>,
        /// What people call the asset. Default none: its code.
        pub currency_code: Option<String>,
        /// What stands before amounts. Default none: `currency_code`.
        pub currency_symbol: Option<String>,
        /// Where Interledger addresses of its accounts begin; ends in a dot. Default none: `private.`, the ledger's key and a dot.
        pub ilp_prefix: Option<String>,
        /// Accounts that are told under a name: `{ name: address }`. Others are told under their address. Default {}.
        pub accounts: Named<String>,
    }
}

/// Values under names of the operator's choice, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Named<T> {
        Named(Vec::new())
    }
}

impl<T> Named<T> {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<T: Show> Show for Named<T> {
    fn show(&self) -> Shown {
        let entry = |(name, value): (&str, &T)| Entry { key: name.to_owned().into(), doc: &[], value: value.show() };
        Shown::Section(self.iter().map(entry).collect())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Named<T>, D::Error> {
        struct InOrder<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    values.push(entry);
                }
                Ok(Named(values))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

impl Config {
    /// Who may come in.
    pub fn access(&self) -> AccessConfig {
        AccessConfig {
            users: self.users.clone(),
            users_file: self.users_file.clone(),
            token_key_file: self.token_key_file.clone(),
            token_max_age: self.token_max_age,
        }
    }

    /// The key of the ledger at the mount's own path; `None`: nobody can tell which.
    pub(super) fn default_key(&self) -> Option<&str> {
        match (&self.default, &self.ledgers.0[..]) {
            (Some(key), _) => Some(key),
            (None, [(key, _)]) => Some(key),
            (None, _) => None,
        }
    }

    /// What users may have accounts of.
    pub(super) fn known_ledgers(&self, sources: &[MountedSource]) -> Vec<KnownLedger> {
        let known = |(key, ledger): (&str, &LedgerSettings)| KnownLedger {
            key: key.to_owned(),
            names: ledger.accounts.iter().map(|(name, _)| name.to_owned()).collect(),
            family: sources.iter().find(|source| source.name == ledger.source).map(|source| source.family),
        };
        self.ledgers.iter().map(known).collect()
    }

    /// Everything that is wrong with the settings, on a mount of these sources.
    pub fn problems(&self, sources: &[MountedSource]) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        let keys: Vec<&str> = self.ledgers.iter().map(|(key, _)| key).collect();
        if keys.is_empty() {
            found.push((vec!["ledgers".into()], "is empty; add one, `{ KEY: { source, asset } }`".to_owned()));
        }
        for (key, ledger) in self.ledgers.iter() {
            let below = |path: Vec<Step>| [vec!["ledgers".into(), key.into()], path].concat();
            if !is_key(key) {
                let message = "is no key for a ledger; write up to 64 letters a to z, digits and inner `-`".to_owned();
                found.push((below(Vec::new()), message));
            }
            found.extend(ledger.problems(sources).into_iter().map(|(path, message)| (below(path), message)));
        }
        for source in sources {
            if !keys.is_empty() && !self.ledgers.iter().any(|(_, ledger)| ledger.source == source.name) {
                let message = format!("has none of the source `{}`; add one, or take it from `sources`", source.name);
                found.push((vec!["ledgers".into()], message));
            }
        }
        match &self.default {
            Some(key) if !keys.contains(&key.as_str()) => {
                let message =
                    format!("is `{key}`, and no ledger is called so{}", suggestion(key, keys.iter().copied()));
                found.push((vec!["default".into()], message));
            }
            None if keys.len() > 1 => {
                found.push((vec!["default".into()], "is missing; write the key of one of the ledgers".to_owned()));
            }
            _ => {}
        }
        found.extend(self.access().problems(&self.known_ledgers(sources)));
        found
    }
}

impl LedgerSettings {
    fn problems(&self, sources: &[MountedSource]) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        let mut tell = |path: &[&str], message: String| {
            found.push((path.iter().map(|key| Step::from(*key)).collect(), message));
        };
        let source = sources.iter().find(|source| source.name == self.source);
        if source.is_none() {
            match &*self.source {
                "" => tell(&["source"], "is missing; name one of the mount's sources".to_owned()),
                name => {
                    let near = suggestion(name, sources.iter().map(|source| source.name.as_str()));
                    tell(&["source"], format!("is `{name}`, which is no source of the mount{near}"));
                }
            }
        }
        let asset = source.map(|source| asset_id(&self.asset, source));
        match (source, &asset) {
            (_, Some(Err(fault))) => tell(&["asset"], fault.clone()),
            (Some(source), Some(Ok(id))) => match (digits(id.as_deref(), source), self.scale) {
                (Digits::Unknown, _) => {
                    let message = format!(
                        "is `{}`, and the source says no `decimals` of it, without which there are no amounts; write \
                         them in its `tokens`",
                        self.asset
                    );
                    tell(&["asset"], message);
                }
                (Digits::Known(digits), Some(scale)) if scale > 0 && scale < digits => {
                    let message = format!(
                        "is {scale}, and amounts have {digits} digits after the point; leave it out for the default"
                    );
                    tell(&["scale"], message);
                }
                _ => {}
            },
            _ => {}
        }
        match self.scale {
            Some(0) => tell(&["scale"], "is 0, at which clients give up; write 1 or more".to_owned()),
            Some(more) if more > MOST_DIGITS => tell(&["scale"], format!("is {more}; write {MOST_DIGITS} or less")),
            _ => {}
        }
        match (self.precision, self.scale) {
            (Some(0), _) => tell(&["precision"], "is 0; write more, or leave it out for the default".to_owned()),
            (Some(precision), Some(scale)) if precision < scale => {
                tell(&["precision"], format!("is {precision}, less than `scale`; write {scale} or more"));
            }
            _ => {}
        }
        if let Some(prefix) = &self.ilp_prefix {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
            if !prefix.ends_with('.') {
                tell(&["ilp_prefix"], format!("is `{prefix}`; write `{prefix}.`, with a dot at its end"));
            } else if !prefix.bytes().all(fits) || prefix.contains("..") || prefix.starts_with('.') {
                tell(&["ilp_prefix"], format!("is `{prefix}`; write letters, digits, `_`, `~`, `-` and dots between"));
            }
        }
        let mut named: HashMap<String, &str> = HashMap::new();
        for (name, address) in self.accounts.iter() {
            let path = ["accounts", name];
            if !is_identifier(name) || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                tell(&path, "is no name; write up to 86 letters a to z, digits, `-` and `_`".to_owned());
            } else if [ISSUANCE, BURN].contains(&name) || source.is_some_and(|source| is_address(source.family, name)) {
                tell(&path, format!("takes the name `{name}`, which stands for something else; choose another"));
            }
            if let Some(source) = source.filter(|source| !is_address(source.family, address)) {
                tell(&path, format!("is `{address}`, which is no address on {}", source.family));
            }
            if let Some(other) = named.insert(canonical(address).into_owned(), name) {
                tell(&path, format!("is the account of `{other}` already; an account has one name"));
            }
        }
        found
    }

    /// What clients are told as its currency: scale, precision, code and symbol.
    pub(super) fn currency(&self, source: &MountedSource) -> Currency {
        let id = asset_id(&self.asset, source).ok().flatten();
        let code = self.currency_code.clone().unwrap_or_else(|| default_code(id.as_deref(), source));
        Currency {
            scale: self.scale.or_else(|| default_scale(id.as_deref(), source)).unwrap_or(1),
            precision: self.precision.unwrap_or_else(|| default_precision(id.as_deref(), source)),
            symbol: self.currency_symbol.clone().unwrap_or_else(|| code.clone()),
            code,
        }
    }
}

/// How amounts of a ledger are to be read.
pub(super) struct Currency {
    pub scale: u32,
    pub precision: u32,
    pub code: String,
    pub symbol: String,
}

/// Stands in paths.
fn is_key(key: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let inner = !key.starts_with('-') && !key.ends_with('-');
    (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(fits) && inner
}

#[cfg(test)]
mod tests;
