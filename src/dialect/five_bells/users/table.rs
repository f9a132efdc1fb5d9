//! The users as the settings and files have them now, with the key of their tokens: made whole, or not at all.

use super::config::{AccessConfig, KnownLedger, UserConfig, UserEntry, account};
use super::password::{Cost, Credential, Hash};
use super::token::{Claim, KEY_BYTES, TokenKey};
use super::{Shown, User, told_now};
use crate::config::decode::{decode, path_text};
use crate::config::tree::{Node, Place, Step};
use crate::server::FileError;
use crate::source::Secret;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes of a file of users: tens of thousands of them.
const LONGEST_FILE: u64 = 8 << 20;

/// Everybody who may come in.
pub(super) struct Table {
    entries: HashMap<Box<str>, Entry>,
    /// What a password is compared with that is nobody's: one as costly as each that is somebody's. Which of them is
    /// the name's for as long as the process lives, so that no time tells who exists.
    dummies: Box<[Arc<Hash>]>,
    choice: RandomState,
    pub key: Arc<TokenKey>,
    /// Goes up with each other key.
    key_number: u32,
}

struct Entry {
    hash: Arc<Hash>,
    disabled: bool,
    /// As one who has shown a password.
    user: Arc<User>,
}

/// Where the settings stand, and what they may name.
pub(super) struct Surroundings<'a> {
    pub section: &'a str,
    pub ledgers: Option<&'a [KnownLedger]>,
}

impl Table {
    /// What the settings alone say: those whose password stands in a file are not there yet.
    pub(super) fn of_settings(settings: &AccessConfig) -> Table {
        let mut table = Table::empty(Arc::new(TokenKey::random()), 0, RandomState::new());
        for user in &settings.users {
            let hash = user.password_hash.as_ref().and_then(|Secret(text)| Hash::parse(text).ok());
            if let Some(hash) = hash {
                table.add(user, hash);
            }
        }
        table.prepare_dummies();
        table
    }

    /// What the settings and their files say now.
    pub(super) fn read(settings: &AccessConfig, around: &Surroundings<'_>, before: &Table) -> Result<Table, FileError> {
        let (mut key, mut number) = (before.key.clone(), before.key_number);
        if let Some(file) = &settings.token_key_file {
            let read = read_key(file).map_err(|reason| around.wrong("token_key_file", file, reason))?;
            if open_to_all(file) && told_now(around.section, "open key") {
                log::warn!(mount:% = around.section, file:% = file.display();
                    "every user of this machine can read the key of the tokens and come in as anybody; run `chmod o-r` on it");
            }
            if number == 0 || !read.is(&key) {
                (key, number) = (Arc::new(read), number.wrapping_add(1));
            }
        }
        let mut table = Table::empty(key, number, before.choice.clone());
        for (at, user) in settings.users.iter().enumerate() {
            let setting = format!("users[{at}].password_file");
            // What stands in the settings themselves was looked at with them.
            let Some(hash) = user_hash(user, around, &setting)? else { continue };
            table.add(user, hash);
        }
        if let Some(file) = &settings.users_file {
            table.add_file(file, around)?;
        }
        table.prepare_dummies();
        Ok(table)
    }

    fn empty(key: Arc<TokenKey>, key_number: u32, choice: RandomState) -> Table {
        Table { entries: HashMap::new(), dummies: Box::default(), choice, key, key_number }
    }

    fn add_file(&mut self, file: &Path, around: &Surroundings<'_>) -> Result<(), FileError> {
        let wrong = |reason: String| around.wrong("users_file", file, reason);
        let at = |place: Option<Place>| match place {
            Some(Place { line, column }) => format!("line {line}, column {column}: "),
            None => String::new(),
        };
        let text = read_text(file, LONGEST_FILE).map_err(wrong)?;
        let tree = Node::parse(&text)
            .map_err(|(place, _)| wrong(format!("{}is no YAML, or a key stands there twice", at(place))))?;
        let users: Vec<UserEntry> =
            decode(&tree).map_err(|fault| wrong(format!("{}{}", at(fault.place), fault.without_contents())))?;
        for (index, user) in users.iter().enumerate() {
            let taken = self.entries.contains_key(user.name.as_str());
            let taken = taken.then(|| (vec!["name".into()], "is that of another user; remove one of them".to_owned()));
            if let Some((path, message)) = user.problems(around.ledgers).into_iter().next().or(taken) {
                let path = [vec![Step::Index(index)], path].concat();
                let place = at(Some(tree.place_of(&path)));
                return Err(wrong(format!("{place}{} {message}", path_text(path.iter()))));
            }
            if let Some(hash) = user_hash(user, around, "users_file")? {
                self.add(user, hash);
            }
        }
        Ok(())
    }

    /// The first of a name stays.
    fn add(&mut self, user: &UserConfig, hash: Hash) {
        let accounts = user.accounts.iter().filter_map(|text| account(text));
        let user_now = User {
            name: user.name.as_str().into(),
            admin: user.admin,
            accounts: accounts.map(|(ledger, account)| (ledger.into(), account.into())).collect(),
            credential: hash.credential,
            token: None,
        };
        self.entries.entry(user.name.as_str().into()).or_insert_with(|| Entry {
            hash: Arc::new(hash),
            disabled: user.disabled,
            user: Arc::new(user_now),
        });
    }

    /// In order, so that reading the files again does not change a name's.
    fn prepare_dummies(&mut self) {
        let mut costs: Vec<Cost> = self.entries.values().map(|entry| entry.hash.cost()).collect();
        costs.sort_unstable();
        costs.dedup();
        self.dummies = costs.into_iter().map(|cost| Arc::new(Hash::dummy(cost))).collect();
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name).filter(|entry| !entry.disabled)
    }

    /// The user of this name, if there is one who may come in.
    pub(super) fn find(&self, name: &str) -> Option<&Arc<User>> {
        self.entry(name).map(|entry| &entry.user)
    }

    /// What a password of this user has to fit; of nobody too there is something.
    pub(super) fn hash(&self, name: &str) -> Arc<Hash> {
        if let Some(entry) = self.entries.get(name) {
            return entry.hash.clone();
        }
        let number = self.choice.hash_one(name) % (self.dummies.len() as u64).max(1);
        let dummy = self.dummies.get(number as usize).cloned();
        dummy.unwrap_or_else(|| Arc::new(Hash::dummy(Cost::RECOMMENDED)))
    }

    /// Whose token it is.
    pub(super) fn judge(&self, token: &str, now: SystemTime) -> Option<Arc<User>> {
        let claim = Claim::read(token)?;
        let entry = self.entry(claim.name());
        // For nobody's the same is done as for somebody's.
        let credential = entry.map_or(Credential([0; 32]), |entry| entry.hash.credential);
        let good = self.key.believes(&claim, credential, now);
        let shown = Shown { key_number: self.key_number, expiry: claim.expiry() };
        entry.filter(|_| good).map(|entry| Arc::new(User { token: Some(shown), ..(*entry.user).clone() }))
    }

    /// Whether it is still one of ours, with the same rights, password and key.
    pub(super) fn still_there(&self, user: &User) -> bool {
        let User { name, admin, accounts, credential, token } = user;
        self.entry(name).is_some_and(|Entry { user: now, .. }| {
            (now.admin, &now.accounts, now.credential) == (*admin, accounts, *credential)
                && token.is_none_or(|shown| shown.key_number == self.key_number)
        })
    }
}

impl Surroundings<'_> {
    fn wrong(&self, setting: &str, file: &Path, reason: String) -> FileError {
        FileError { key: format!("{}.{setting}", self.section), file: file.to_owned(), reason }
    }
}

/// What the user's password has to fit, from wherever it stands; `setting` names the file.
fn user_hash(user: &UserConfig, around: &Surroundings<'_>, setting: &str) -> Result<Option<Hash>, FileError> {
    let Some(file) = &user.password_file else {
        return Ok(user.password_hash.as_ref().and_then(|Secret(text)| Hash::parse(text).ok()));
    };
    let wrong = |reason: String| around.wrong(setting, file, reason);
    let text = read_text(file, 4096).map_err(wrong)?;
    Hash::parse(text.trim()).map(Some).map_err(|fault| wrong(fault.to_string()))
}

fn read_bytes(file: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(error.to_string()),
        Ok(_) if bytes.len() as u64 > limit => Err(format!("is larger than {limit} bytes")),
        Ok(_) => Ok(bytes),
    }
}

fn read_text(file: &Path, limit: u64) -> Result<String, String> {
    let bytes = read_bytes(file, limit)?;
    std::str::from_utf8(without_mark(&bytes)).map(str::to_owned).map_err(|_| "is no text".to_owned())
}

/// Without the mark that some editors put before a text in UTF-8.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// Whether others than its owner and its group can read a file.
pub(super) fn open_to_all(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|data| data.mode() & 0o004 != 0)
}

fn read_key(file: &Path) -> Result<TokenKey, String> {
    const REMEDY: &str = "write at least 32 bytes, such as `openssl rand -hex 32` gives";
    let bytes = read_bytes(file, *KEY_BYTES.end() as u64).map_err(|reason| format!("{reason}; {REMEDY}"))?;
    // What an editor puts around a text is no part of a key; any byte of one that is no text is.
    let text = without_mark(&bytes);
    let key = if text.is_ascii() { text.trim_ascii() } else { &bytes };
    if !KEY_BYTES.contains(&key.len()) {
        return Err(format!("holds a key of {} bytes, which could be guessed; {REMEDY}", key.len()));
    }
    Ok(TokenKey::new(key))
}
