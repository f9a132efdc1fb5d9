//! The settings of who may come in, and what may be wrong with them.

use super::super::ledger::is_address;
use super::password::Hash;
use crate::config::tree::Step;
use crate::config::units::Time;
use crate::config::{Discreet, Finding, HoldsSecret, decode::suggestion, settings};
use crate::event::Family;
use crate::source::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// A longer life of tokens is a slip of the pen.
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 365 * 86_400);
/// As the account names of five-bells-ledger.
const NAME_LENGTHS: std::ops::RangeInclusive<usize> = 2..=20;
/// Of a name or address of an account.
const LONGEST_ACCOUNT: usize = 86;

settings! {
    /// Who may come in.
    pub struct AccessConfig {
        /// Those who may: `{ name, password_file, admin, accounts }`. Default []: nobody, unless `users_file` names some.
        pub users: Vec<UserEntry>,
        /// A YAML file with a list of further users of the same form. Default none. Read again on SIGHUP, when the
        /// connections of those who were removed, disabled or changed are closed.
        pub users_file: Option<PathBuf>,
        /// A file with the key that signs tokens, at least 32 bytes such as `openssl rand -hex 32` gives. Default none: a
        /// random key, so that tokens end with the process, and clients that hold one try it for ever. Read again on
        /// SIGHUP; another key ends all tokens. Where mounts share one, a user who stands in both with the same password
        /// hash comes in at both with one token.
        pub token_key_file: Option<PathBuf>,
        /// How long a token is good. Default 3650d: clients fetch one when they start and never again, so it must outlive
        /// them. Before, it ends with its user, with the user's password and with the key.
        pub token_max_age: Time = Time::days(3650),
    }
}

settings! {
    /// One who may come in.
    pub struct UserConfig {
        /// Letters a to z, digits and inner `-`, 2 to 20 of them. Default "": needed.
        pub name: String,
        /// What `ledgercast hash-password` prints. Default none: this or `password_file`. Never printed.
        pub password_hash: Option<Secret>,
        /// A file of one line, the same. Default none. Read again on SIGHUP.
        pub password_file: Option<PathBuf>,
        /// Whether all accounts are open to this user. Default false.
        pub admin: bool,
        /// The accounts that are: `<ledger>:<name or address>`, such as xrp:alice. Default [].
        pub accounts: Vec<String>,
        /// Keeps the entry, but lets nobody in. Default false.
        pub disabled: bool,
    }
}

/// An entry of `users`. A bare text in its place may hold a password.
pub type UserEntry = Discreet<UserConfig>;

impl HoldsSecret for UserConfig {
    const FORM: &'static str = "{ name: NAME, password_file: FILE, accounts: ['LEDGER:NAME'] }";
}

/// A ledger of the mount, as far as users' accounts are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLedger {
    /// Its key.
    pub key: String,
    /// Its accounts that have names.
    pub names: Vec<String>,
    /// What its addresses look like; `None`: any name may be one.
    pub family: Option<Family>,
}

impl KnownLedger {
    /// What is wrong with an account there. Its text is not repeated: people write passwords in wrong places.
    fn fault(&self, account: &str) -> Option<String> {
        let family = self.family?;
        let is_name = || self.names.contains(&account.to_ascii_lowercase());
        (!is_address(family, account) && !is_name()).then(|| {
            let near = suggestion(account, self.names.iter().map(String::as_str));
            format!("is no address on {family}, and no name of the ledger `{}`{near}", self.key)
        })
    }
}

impl AccessConfig {
    /// Everything that is wrong with the settings, on a mount of these ledgers.
    pub fn problems(&self, ledgers: &[KnownLedger]) -> Vec<Finding> {
        let mut found = Vec::new();
        for (at, user) in self.users.iter().enumerate() {
            for (path, message) in user.problems(Some(ledgers)) {
                found.push(([vec!["users".into(), at.into()], path].concat(), message));
            }
            if let Some(other) = self.users[..at].iter().position(|other| other.name == user.name) {
                let path = vec!["users".into(), at.into(), "name".into()];
                found.push((path, format!("is that of users[{other}] already; remove one of them")));
            }
        }
        let fault = match self.token_max_age.0 {
            // Tokens have whole seconds.
            short if short.as_secs() == 0 => {
                "is less than a second, so that no token would be good; write more, such as 365d"
            }
            long if long > LONGEST_LIFE => "is more than a hundred years; write less, such as 3650d",
            _ => return found,
        };
        found.push((vec!["token_max_age".into()], fault.to_owned()));
        found
    }
}

impl UserConfig {
    /// Everything that is wrong with the entry; without `ledgers` those of `accounts` are not looked at.
    pub(super) fn problems(&self, ledgers: Option<&[KnownLedger]>) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        let mut tell = |path: &[Step], message: String| found.push((path.to_vec(), message));
        if !is_name(&self.name) {
            let message = "is no name for a user; write 2 to 20 letters a to z, digits and inner `-`".to_owned();
            tell(&["name".into()], message);
        }
        match (&self.password_hash, &self.password_file) {
            (None, None) => {
                let remedy = "write what `ledgercast hash-password` prints into a file and name it as `password_file`";
                tell(&[], format!("has no `password_hash`; {remedy}"));
            }
            (Some(_), Some(_)) => {
                let message = "stands beside password_file; write one of them".to_owned();
                tell(&["password_hash".into()], message);
            }
            (Some(Secret(text)), None) => {
                if let Err(fault) = Hash::parse(text) {
                    tell(&["password_hash".into()], fault.to_string());
                }
            }
            (None, Some(_)) => {}
        }
        for (at, text) in self.accounts.iter().enumerate() {
            let path = ["accounts".into(), at.into()];
            let Some((ledger, account)) = account(text) else {
                tell(&path, "is no account; write `<ledger>:<name or address>`, such as xrp:alice".to_owned());
                continue;
            };
            let Some(known) = ledgers else { continue };
            match known.iter().find(|known| known.key == ledger) {
                Some(known) => {
                    if let Some(fault) = known.fault(account) {
                        tell(&path, fault);
                    }
                }
                None => {
                    let near = suggestion(ledger, known.iter().map(|known| known.key.as_str()));
                    tell(&path, format!("is of the ledger `{ledger}`, and none is called so{near}"));
                }
            }
        }
        found
    }
}

/// Whether it may be a user's name.
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    NAME_LENGTHS.contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// The ledger's key, and the name or address there.
pub(super) fn account(text: &str) -> Option<(&str, &str)> {
    let (ledger, account) = text.split_once(':')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let good = !ledger.is_empty() && (1..=LONGEST_ACCOUNT).contains(&account.len()) && account.chars().all(fits);
    good.then_some((ledger, account))
}

#[cfg(test)]
mod tests {
    use super::super::tests::quick;
    use super::*;
    use crate::config::decode::path_text;
    use crate::config::reference::{Entry, Show, Shown};
    use serde_json::json;

    #[test]
    fn names_are_those_of_the_original() {
        for good in ["al", "alice", "a-b", "0-9", "a--b", "abcdefghijklmnopqrst"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a", "Alice", "-a", "a-", "a b", "a_b", "é1", "abcdefghijklmnopqrstu", "a\0"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn comments_name_the_defaults() {
        for section in [AccessConfig::default().show(), UserConfig::default().show()] {
            let Shown::Section(entries) = section else { panic!("a section") };
            for Entry { key, doc, value } in entries {
                let value = match value {
                    Shown::Plain(text) => text.replace("null", "none"),
                    _ => "[]".to_owned(),
                };
                assert!(doc.concat().contains(&format!("Default {value}")), "{key}: {value}");
            }
        }
    }

    #[test]
    fn each_problem_is_told_where_it_stands_without_the_secret() {
        let good = quick("pass");
        let too_much = good.replace("m=8,", "m=4194304,");
        let config: AccessConfig = serde_json::from_value(json!({ "token_max_age": "999ms", "users": [
            { "name": "alice", "password_hash": good, "accounts": ["xrp:alice"] },
            { "name": "Bob", "password_file": "/a", "password_hash": good },
            { "name": "alice", "password_hash": "SECRET" },
            { "name": "carol", "accounts": ["xpr:a", "xrp:", "SECRET", "xrp:a b"] },
            { "name": "dora", "password_hash": too_much, "admin": true },
            { "name": "emil", "password_hash": good, "accounts": ["xlm:Alice", "xlm:alcie", "xlm:SECRET"] },
        ] }))
        .unwrap();
        let ledger = |key: &str, family| KnownLedger { key: key.to_owned(), names: vec!["alice".to_owned()], family };
        let ledgers = [ledger("xrp", None), ledger("xlm", Some(Family::Stellar))];
        let found: Vec<String> = config
            .problems(&ledgers)
            .into_iter()
            .map(|(path, message)| format!("{} {message}", path_text(path.iter())))
            .collect();
        let expected = [
            "users[1].name is no name",
            "users[1].password_hash stands beside password_file",
            "users[2].password_hash is no argon2id hash; write what `ledgercast hash-password` prints",
            "users[2].name is that of users[0] already",
            "users[3] has no `password_hash`; write what",
            "users[3].accounts[0] is of the ledger `xpr`, and none is called so; did you mean `xrp`?",
            "users[3].accounts[1] is no account; write `<ledger>:<name or address>`",
            "users[3].accounts[2] is no account",
            "users[3].accounts[3] is no account",
            "users[4].password_hash asks for more than 256 MiB of memory",
            "users[5].accounts[1] is no address on Stellar, and no name of the ledger `xlm`; did you mean `alice`?",
            "users[5].accounts[2] is no address on Stellar",
            "token_max_age is less than a second",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected) && !found.contains("SECRET"), "{found}, not {expected}");
        }
        let printed = format!("{config:?}");
        assert!(!printed.contains("argon2") && printed.contains("password_hash: Some((secret))"), "{printed}");
        let bare = serde_json::from_value::<AccessConfig>(json!({ "users": ["alice:SECRET"] })).unwrap_err();
        assert!(!bare.to_string().contains("SECRET") && bare.to_string().contains("password_file"), "{bare}");
        let life = AccessConfig { token_max_age: Time::days(40_000), ..AccessConfig::default() };
        assert!(life.problems(&[])[0].1.contains("a hundred years"));
        assert_eq!(AccessConfig::default().problems(&[]), []);
    }
}
