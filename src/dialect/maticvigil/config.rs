//! The settings of a mount, and what may be wrong with them.

use super::MAX_MESSAGE;
use super::keys::{address, key_fault};
use crate::config::decode::suggestion;
use crate::config::reference::{Show, Shown};
use crate::config::units::Size;
use crate::config::{Discreet, Finding, HoldsSecret, settings};
use crate::source::stellar::Secret;
use std::path::PathBuf;

settings! {
    /// The MaticVigil gateway.
    pub struct Config {
        /// Who may register, and what each gets: `{ key_file, contracts, deployers }`. Default []: nobody.
        pub keys: Vec<KeyEntry>,
        /// How integers of contracts are written beyond 2^53, where JavaScript loses digits: `auto` as texts beyond and as
        /// numbers below, `number` always as numbers, as the original did, `string` every parameter as a text. `value` and
        /// `gasPrice` are no parameters: with `string` they are written as with `auto`. Default auto: nobody loses a digit.
        pub big_integers: BigIntegers,
        /// The largest message of a client; a larger one closes it with 1009. Default 64KiB: far beyond any that means
        /// something.
        pub max_message: Size = Size(MAX_MESSAGE as u64),
    }
}

settings! {
    /// A client's key and what it sees.
    pub struct Key {
        /// The key, a text of your choice such as `uuidgen` gives. Default none: this or `key_file`. Never printed; a
        /// file is better, since settings get copied.
        pub key: Option<Secret>,
        /// A file of one line, the key. Default none. Read again on SIGHUP, when clients with the old key are closed.
        pub key_file: Option<PathBuf>,
        /// Whose calls, logs and deploys it sees: contracts of the source, by name or address. Default [].
        pub contracts: Vec<String>,
        /// Whose deploys it sees, by the address that sends them. Default [].
        pub deployers: Vec<String>,
    }
}

/// How integers beyond 2^53 are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BigIntegers {
    /// As decimal texts, the others as numbers.
    #[default]
    Auto,
    /// All as numbers.
    Number,
    /// All parameters as decimal texts.
    String,
}

impl BigIntegers {
    /// As the settings call it.
    pub const fn name(self) -> &'static str {
        match self {
            BigIntegers::Auto => "auto",
            BigIntegers::Number => "number",
            BigIntegers::String => "string",
        }
    }
}

impl Show for BigIntegers {
    fn show(&self) -> Shown {
        Shown::text(self.name())
    }
}

/// An entry of `keys`. A bare text in its place is likely a key.
pub type KeyEntry = Discreet<Key>;

impl HoldsSecret for Key {
    const FORM: &'static str = "{ key_file: FILE, contracts: [ADDRESS] }";
}

impl Config {
    /// Everything that is wrong with the settings; `contracts` are the names and addresses of those that the mount's
    /// source watches.
    pub fn problems(&self, contracts: &[(&str, &str)]) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        if self.max_message.0 == 0 {
            found.push((vec!["max_message".into()], "is 0, so that nobody could register; write 64KiB".to_owned()));
        }
        for (at, entry) in self.keys.iter().enumerate() {
            let mut tell = |path: &[crate::config::tree::Step], message: String| {
                found.push(([&["keys".into(), at.into()], path].concat(), message));
            };
            match (&entry.key, &entry.key_file) {
                (None, None) => tell(&[], "has no `key`; name a file with it as `key_file`".to_owned()),
                (Some(_), Some(_)) => tell(&["key".into()], "stands beside key_file; write one of them".to_owned()),
                (None, Some(_)) => {}
                (Some(key), None) => {
                    let same = |other: &KeyEntry| other.key.as_ref() == Some(key);
                    if let Some(fault) = key_fault(&key.0) {
                        tell(&["key".into()], fault.to_owned());
                    } else if let Some(other) = self.keys[..at].iter().position(same) {
                        let message = format!("is keys[{other}].key already; put their contracts together");
                        tell(&["key".into()], message);
                    }
                }
            }
            if entry.contracts.is_empty() && entry.deployers.is_empty() {
                tell(&[], "names nothing to see; add `contracts` or `deployers`".to_owned());
            }
            for (place, text) in entry.contracts.iter().enumerate() {
                let named = contracts.iter().any(|(name, _)| name == text);
                if named || address(text).is_some() {
                    continue;
                }
                let near = match contracts {
                    [] => "; write its address".to_owned(),
                    _ => suggestion(text, contracts.iter().map(|(name, _)| *name)),
                };
                let message = match text.starts_with("0x") {
                    true => format!("is `{text}`, which is no address; write `0x` and 40 hex digits"),
                    false => format!("is `{text}`, and no contract of the source is called so{near}"),
                };
                tell(&["contracts".into(), place.into()], message);
            }
            for (place, text) in entry.deployers.iter().enumerate() {
                if address(text).is_none() {
                    let message = format!("is `{text}`, which is no address; write `0x` and 40 hex digits");
                    tell(&["deployers".into(), place.into()], message);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decode::path_text;
    use serde_json::json;

    const BOARD: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

    fn told(config: serde_json::Value, contracts: &[(&str, &str)]) -> Vec<String> {
        let config: Config = serde_json::from_value(config).unwrap();
        let found = config.problems(contracts);
        found.into_iter().map(|(path, message)| format!("{} {message}", path_text(path.iter()))).collect()
    }

    #[test]
    fn settings_have_defaults_and_no_unknown_keys() {
        let read = |value| serde_json::from_value::<Config>(value);
        assert_eq!(read(json!({})).unwrap(), Config::default());
        assert!(read(json!({ "api_keys": [] })).is_err());
        assert!(read(json!({ "keys": [{ "secret": "x" }] })).is_err());
        assert!(read(json!({ "big_integers": "hex" })).is_err());
        let good = json!({ "big_integers": "number", "max_message": "1KiB", "keys": [
            { "key": "a", "contracts": ["Board", BOARD] },
            { "key_file": "/a", "deployers": [BOARD.to_lowercase()] },
        ] });
        assert_eq!(told(good, &[("Board", BOARD)]), Vec::<String>::new());
    }

    #[test]
    fn each_problem_is_told_where_it_stands_without_the_key() {
        let bad = json!({ "max_message": "0B", "keys": [
            { "contracts": [BOARD] },
            { "key": "SECRET", "key_file": "/a", "contracts": [BOARD] },
            { "key": "SECRET", "contracts": ["Bord", "0x12"], "deployers": ["Board"] },
            { "key": "SECRET" },
            { "key": " SECRET", "contracts": [BOARD] },
            { "key": "", "contracts": [BOARD] },
        ] });
        let found = told(bad.clone(), &[("Board", BOARD), ("Coin", BOARD)]);
        let expected = [
            "max_message is 0",
            "keys[0] has no `key`",
            "keys[1].key stands beside key_file",
            "keys[2].key is keys[1].key already",
            "keys[2].contracts[0] is `Bord`, and no contract of the source is called so; did you mean `Board`?",
            "keys[2].contracts[1] is `0x12`, which is no address; write `0x` and 40 hex digits",
            "keys[2].deployers[0] is `Board`, which is no address",
            "keys[3].key is keys[1].key already",
            "keys[3] names nothing to see; add `contracts` or `deployers`",
            "keys[4].key holds no key",
            "keys[5].key holds no key",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected) && !found.contains("SECRET"), "{found}, not {expected}");
        }
        assert!(told(bad.clone(), &[])[4].ends_with("is called so; write its address"));
        let config: Config = serde_json::from_value(bad).unwrap();
        assert!(!format!("{config:?}").contains("SECRET"));
    }

    #[test]
    fn contracts_are_called_as_the_source_calls_them() {
        let file = |contract: &str, key: &str| {
            format!(
                "sources:\n  chain:\n    type: evm_rpc\n    config:\n      rpc_url: http://127.0.0.1:8545\n      chain_id: 1\n      \
                 contracts: [{{ name: Board, address: '{BOARD}', abi: [] }}]\n\
                 listeners:\n- mounts:\n  - dialect: maticvigil\n    sources: [chain]\n    config:\n      keys:\n      \
                 - {key}\n        contracts: [{contract}]\n"
            )
        };
        let told = |contract, key| {
            let read = crate::config::load::parse("x.yaml", &file(contract, key));
            read.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(told("Board", "key: SECRET"), "");
        assert_eq!(
            told("board", "key: SECRET"),
            "x.yaml:15:21: listeners[0].mounts[0].config.keys[0].contracts[0] is `board`, and no contract of the source is \
             called so; did you mean `Board`?"
        );
        assert_eq!(
            told("Board", "key: 76767"),
            "x.yaml:14:14: listeners[0].mounts[0].config.keys[0].key: a number; write text in quotes"
        );
        assert_eq!(
            told("Board", "kye: SECRET"),
            "x.yaml:14:9: unknown key `kye` in listeners[0].mounts[0].config.keys[0]; did you mean `key`?"
        );
        let bare = file("Board", "key: k").replace("key: k\n        contracts: [Board]", "SECRET");
        assert_eq!(
            crate::config::load::parse("x.yaml", &bare).unwrap_err().to_string(),
            "x.yaml:14:9: listeners[0].mounts[0].config.keys[0]: a text; write { key_file: FILE, contracts: [ADDRESS] }"
        );
    }

    #[test]
    fn a_key_in_a_wrong_place_is_not_repeated() {
        for bad in [
            json!({ "keys": ["SECRET"] }),
            json!({ "keys": [767_676] }),
            json!({ "keys": [{ "key": 767_676 }] }),
            json!({ "keys": [-767_676] }),
        ] {
            let error = serde_json::from_value::<Config>(bad).unwrap_err().to_string();
            assert!(!error.contains("SECRET") && !error.contains("767"), "{error}");
        }
    }
}
