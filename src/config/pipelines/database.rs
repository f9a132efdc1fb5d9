//! The consumer `SaveToPostgreSQL`: a database.

use super::{Rewriter, key, list, map, number, text};
use crate::config::decode::described;
use crate::config::tree::{Key, Node, Place, Value};

const DATABASE: &[&str] = &[
    "host",
    "port",
    "database",
    "username",
    "password",
    "sslmode",
    "connect_timeout",
    "max_open_conns",
    "max_idle_conns",
];

/// The original's defaults.
const HOST: &str = "localhost";
const PORT: u16 = 5432;

const ONE_CONNECTION: &str = "is of no use here: a consumer has one connection, on which it writes whole ledgers";

impl Rewriter {
    /// A database as one of our consumers, fed by `source`.
    pub(super) fn database(
        &mut self,
        consumer: String,
        pipeline: Place,
        source: &str,
        node: &Node,
        config: Option<&Node>,
    ) {
        let section = format!("{consumer}.config");
        let place = config.map_or(node.place, |config| config.place);
        let entries = config.map(|config| self.section(&section, config, DATABASE)).unwrap_or_default();
        let mut url = Url { host: HOST.to_owned(), port: PORT, ..Url::default() };
        let mut config: Vec<(Key, Node)> = Vec::new();
        for (name, value) in &entries {
            let field = format!("{section}.{}", name.text);
            let mut wrong =
                |write: &str| self.fault(value.place, format!("{field} is {}; write {write}", described(value)));
            match (name.text.as_str(), &value.value) {
                ("host", Value::Text(host)) if !host.is_empty() => url.host = host.clone(),
                ("host", _) => wrong("a host, such as localhost"),
                ("port", _) => match number(value).and_then(|port| u16::try_from(port).ok()) {
                    Some(port) => url.port = port,
                    None => wrong("a port such as 5432"),
                },
                ("database", Value::Text(name)) if !name.is_empty() => url.database = Some(name.clone()),
                ("database", _) => wrong("the name of a database"),
                ("username", Value::Text(name)) if !name.is_empty() => url.username = Some(name.clone()),
                ("username", _) => wrong("the name of a user"),
                // It is not repeated; what is no text is told by who reads it, without it.
                ("password", Value::Text(empty)) if empty.is_empty() => {}
                ("password", _) => config.push((key("password", value.place), (*value).clone())),
                ("sslmode", Value::Text(mode)) if mode.is_empty() => {}
                ("sslmode", Value::Text(mode))
                    if ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
                        .contains(&mode.as_str()) =>
                {
                    url.mode = Some(mode.clone());
                }
                ("sslmode", _) => wrong("disable, prefer, require, verify-ca or verify-full"),
                ("connect_timeout", _) => match number(value) {
                    Some(seconds) if seconds > 0 => {
                        config.push((key("connect_timeout", value.place), text(format!("{seconds}s"), value.place)));
                    }
                    _ => wrong("seconds, such as 10"),
                },
                _ => self.notes.push((value.place, format!("{field} {ONE_CONNECTION}"))),
            }
        }
        for (name, is_there) in [("database", url.database.is_some()), ("username", url.username.is_some())] {
            if !is_there && !entries.iter().any(|(key, _)| key.text == name) {
                self.fault(place, format!("{section} has no `{name}`; add it"));
            }
        }
        config.insert(0, (key("url", place), text(url.text(), place)));
        let ours = format!("consumers[{}]", self.consumers.len());
        self.names.add(format!("{ours}.config.url"), section.clone());
        self.names.add(format!("{ours}.config"), section);
        self.names.add(ours, consumer);
        let entries = vec![
            (key("type", node.place), text("postgres", node.place)),
            (key("sources", pipeline), list(vec![text(source, pipeline)], pipeline)),
            (key("config", place), map(config, place)),
        ];
        self.consumers.push(map(entries, node.place));
    }
}

#[derive(Default)]
struct Url {
    host: String,
    port: u16,
    database: Option<String>,
    username: Option<String>,
    mode: Option<String>,
}

impl Url {
    fn text(&self) -> String {
        let Url { host, port, database, username, mode } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { encoded(host) };
        let (user, database) = (username.as_deref().unwrap_or_default(), database.as_deref().unwrap_or_default());
        let mode = mode.as_deref().map_or_else(String::new, |mode| format!("?sslmode={mode}"));
        format!("postgres://{}@{host}:{port}/{}{mode}", encoded(user), encoded(database))
    }
}

/// With `%41` for all that has a meaning in an address.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
