//! `token`: a token for a user of a five_bells mount, without asking the running server.

use crate::config::units::Time;
use crate::config::{Config, load, reference};
use crate::dialect::DialectConfig;
use crate::dialect::five_bells::users::{AccessConfig, Users};
use anyhow::{Context, bail};
use std::path::PathBuf;
use std::time::SystemTime;

/// What `--help` says of it.
pub const ABOUT: &str = "\
Print a token with which a user of a five_bells mount comes in

It is as good as one that the server gives at /auth_token, since both are signed with the key in the mount's
`token_key_file`:

  ledgercast token --config my.yaml --mount /bells --user alice

A client shows it as `?token=…` of the WebSocket's address, or as `Authorization: Bearer …`. It ends with its time, with
another password of the user, with the user, and with another key.";

/// The options of `token`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The settings file of the server
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The path of the mount
    #[arg(long, value_name = "PATH")]
    pub mount: String,
    /// The name of the user
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// How long it is good, such as 12h or 30d [default: the mount's `token_max_age`]
    #[arg(long, value_name = "TIME")]
    pub max_age: Option<Time>,
}

/// Prints it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let loaded = load(&arguments.config)?;
    let (access, section) = access_of(&loaded.config, &arguments.mount)?;
    let token = token(&access, &loaded.name_in_file(&section), &arguments.user, arguments.max_age, SystemTime::now())?;
    super::print(&format!("{token}\n"))
}

/// Who may come in at the mount of this path, and where its settings stand.
fn access_of(config: &Config, path: &str) -> anyhow::Result<(AccessConfig, String)> {
    let of_listener = |(at, listener): (usize, &'_ crate::config::Listener)| {
        let mounts = listener.mounts.iter().enumerate().filter(|(_, mount)| mount.path == path);
        mounts.map(|(mount_at, _)| (at, mount_at)).collect::<Vec<_>>()
    };
    let mut places = config.listeners.iter().enumerate().flat_map(of_listener);
    let Some((listener, mount)) = places.next() else {
        let paths = config.listeners.iter().flat_map(|listener| &listener.mounts).map(|mount| mount.path.as_str());
        bail!("no mount is at `{path}`{}", crate::config::decode::suggestion(path, paths));
    };
    let dialect = &config.listeners[listener].mounts[mount].dialect;
    let section = format!("listeners[{listener}].mounts[{mount}].config");
    if places.next().is_some() {
        bail!("several listeners have a mount at `{path}`; choose a path that only one of them has");
    }
    let access = access_in(dialect).with_context(|| {
        let (name, _) = reference::dialect(dialect);
        format!("the mount at `{path}` speaks {name}; users and their tokens are of five_bells alone")
    })?;
    Ok((access, section))
}

/// The users of a dialect that has them.
fn access_in(dialect: &DialectConfig) -> Option<AccessConfig> {
    match dialect {
        DialectConfig::Flow(_)
        | DialectConfig::Rippled(_)
        | DialectConfig::Maticvigil(_)
        | DialectConfig::Planetmint(_) => None,
        DialectConfig::FiveBells(config) => Some(config.access()),
    }
}

fn token(
    access: &AccessConfig,
    section: &str,
    user: &str,
    max_age: Option<Time>,
    now: SystemTime,
) -> anyhow::Result<String> {
    if access.token_key_file.is_none() {
        bail!(
            "{section} has no `token_key_file`, so the server signs with a key that nobody else has; write the output of \
             `openssl rand -hex 32` into a file and name it there"
        );
    }
    let life = max_age.unwrap_or(access.token_max_age);
    if life.0.as_secs() == 0 {
        bail!("--max-age is less than a second, so the token would be good for nothing; write more, such as 30d");
    }
    let users = Users::new(access, section);
    users.read_files()?;
    let name = user.to_ascii_lowercase();
    let user = users.find(&name).with_context(|| {
        format!("no user of {section} is called `{name}`, or the entry is disabled; see `users` and `users_file`")
    })?;
    Ok(users.token_for(&user, now, life.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::five_bells::users::{Cost, Credentials, Login, hash_password};
    use serde_json::json;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn the_server_takes_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
        let hash = hash_password("pass", Cost { memory: 8, passes: 1, lanes: 1 });
        let mut settings = json!({ "token_key_file": key, "users": [
            { "name": "alice", "password_hash": hash }, { "name": "bob", "password_hash": hash, "disabled": true },
        ] });
        let access = |settings: &serde_json::Value| serde_json::from_value::<AccessConfig>(settings.clone()).unwrap();
        let made = |user: &str, max_age: Option<Time>, now| token(&access(&settings), "here", user, max_age, now);
        let now = SystemTime::now();
        let users = Arc::new(Users::new(&access(&settings), "here"));
        users.read_files().unwrap();
        let takes = |token: &str| {
            let login = users.login(Credentials::of(None, &format!("token={token}")), [127, 0, 0, 1].into());
            matches!(login, Login::Done(Ok(user)) if &*user.name == "alice")
        };
        assert!(takes(&made("Alice", None, now).unwrap()));
        let earlier = now - Duration::from_secs(3600);
        assert!(takes(&made("alice", Some(Time::secs(7200)), earlier).unwrap()));
        assert!(!takes(&made("alice", Some(Time::secs(1800)), earlier).unwrap()), "run out");

        let told = |result: anyhow::Result<String>| result.unwrap_err().to_string();
        for user in ["bob", "carol"] {
            assert!(told(made(user, None, now)).contains(&format!("no user of here is called `{user}`")));
        }
        assert!(told(made("alice", Some(Time::millis(999)), now)).contains("--max-age"));
        std::fs::write(&key, "SECRET").unwrap();
        let error = told(made("alice", None, now));
        assert!(error.starts_with("here.token_key_file: ") && !error.contains("SECRET"), "{error}");
        settings["token_key_file"] = json!(null);
        let error = told(token(&access(&settings), "here", "alice", None, now));
        assert!(error.contains("here has no `token_key_file`") && error.contains("openssl rand"), "{error}");
    }

    #[test]
    fn mounts_without_users_are_told() {
        let config = crate::config::reference::example();
        let told = |path: &str| access_of(&config, path).unwrap_err().to_string();
        assert_eq!(told("/ws"), "the mount at `/ws` speaks flow; users and their tokens are of five_bells alone");
        assert_eq!(told("/w"), "no mount is at `/w`; did you mean `/ws`?");
    }
}
