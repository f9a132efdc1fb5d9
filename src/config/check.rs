//! What no single value can tell: names that must exist, things that must differ, counts that must fit.

use super::decode::{path_text, suggestion};
use super::tree::Step;
use super::units::Size;
use super::{Config, Listener, Mount};
use crate::broker::Renderings;
use crate::dialect::MountedSource;
use crate::source::{LedgerConfig, RpcUrl};
use std::collections::HashMap;

/// Something that is wrong with settings of the right form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The way to the value.
    pub path: Vec<Step>,
    /// What is wrong, and the remedy.
    pub message: String,
}

/// Steps from keys and indexes.
macro_rules! path {
    ($($step:expr),*) => { &[$(Step::from($step)),*] };
}

impl From<&str> for Step {
    fn from(key: &str) -> Step {
        Step::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Step {
        Step::Index(index)
    }
}

/// Everything that is wrong, in the order of the settings.
pub fn check(config: &Config) -> Vec<Problem> {
    let mut checks = Checks::default();
    checks.sources(config);
    checks.listeners(config);
    checks.consumers(config);
    checks.counts(config);
    checks.0
}

/// The addresses of a source's RPCs without what may be secret in them: scheme, host and port.
pub fn endpoints(ledger: &LedgerConfig) -> Vec<String> {
    let addresses = ledger.addresses();
    if addresses.is_empty() {
        // A place without secrets.
        return ledger.endpoints();
    }
    let urls = addresses.into_iter().filter_map(|url| reqwest::Url::parse(&url.0).ok());
    urls.map(|url| url.origin().ascii_serialization()).collect()
}

/// Something that is wrong below a source's or a mount's `config`: the way to the value from there, and a message
/// that begins after it.
pub type Finding = (Vec<Step>, String);

/// What may be wrong with the addresses of any source's RPC. `example` says which RPC, such as at which address.
pub fn rpc_addresses(one: Option<&RpcUrl>, many: &[RpcUrl], example: &str) -> Vec<Finding> {
    let whole = |message: String| vec![(Vec::new(), message)];
    match (one, many) {
        (None, []) => whole(format!("has no `rpc_url`; add the address of {example}")),
        (Some(_), [_, ..]) => whole("has both `rpc_url` and `rpc_urls`; write one of them".to_owned()),
        (Some(one), []) => url_fault(&one.0).into_iter().map(|fault| (vec!["rpc_url".into()], fault)).collect(),
        (None, many) => {
            let faults = many.iter().enumerate().filter_map(|(at, url)| Some((at, url_fault(&url.0)?)));
            faults.map(|(at, fault)| (vec!["rpc_urls".into(), at.into()], fault)).collect()
        }
    }
}

/// A header in the settings beside one in a file, or one that is none.
pub fn auth_header(line: Option<&str>, has_file: bool) -> Option<Finding> {
    let message = match line? {
        _ if has_file => "stands beside auth_header_file; write one of them",
        line if crate::source::header(line.trim(), "authorization").is_none() => {
            "holds no header; write `Name: value`, or the value of `Authorization` alone"
        }
        _ => return None,
    };
    Some((vec!["auth_header".into()], message.to_owned()))
}

/// Keys whose value must not be zero and is.
pub fn zeros(keys: &[(&str, bool)]) -> Vec<Finding> {
    let zero = keys.iter().filter(|(_, zero)| *zero);
    zero.map(|(key, _)| (vec![Step::from(*key)], "is 0; write more, or leave it out for the default".to_owned()))
        .collect()
}

/// What is wrong with an address. Its text is not repeated: it may hold a password.
fn url_fault(url: &str) -> Option<String> {
    match reqwest::Url::parse(url) {
        Err(error) => Some(format!("is no address ({error}); write http://host:port/path")),
        Ok(url) if !["http", "https"].contains(&url.scheme()) || !url.has_host() => {
            Some("must begin with http:// or https://".to_owned())
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Some(
            "holds a user or password; put `Authorization: …` into a file and name it as auth_header_file".to_owned(),
        ),
        Ok(_) => None,
    }
}

/// The mount as it would serve, for what it says of itself.
fn built(mount: &Mount) -> std::sync::Arc<dyn crate::dialect::Mount> {
    crate::dialect::build(&mount.dialect, Default::default(), &mut Renderings::default())
}

#[derive(Default)]
struct Checks(Vec<Problem>);

impl Checks {
    /// Tells a problem; `message` begins after the value's path.
    fn tell(&mut self, path: &[Step], message: impl std::fmt::Display) {
        let message = format!("{} {message}", path_text(path.iter()));
        self.0.push(Problem { path: path.to_vec(), message });
    }

    fn sources(&mut self, config: &Config) {
        if config.sources.0.is_empty() {
            self.tell(
                path!("sources"),
                "is empty; add a ledger to read, or run `ledgercast` without --config for a demo",
            );
        }
        for (name, source) in &config.sources.0 {
            // Names stand in metrics, logs and files of `state_dir`.
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
                let message = "is no name for a source; write up to 64 letters, digits, `-` and `_`";
                self.tell(path!("sources", name.as_str()), message);
            }
            self.all(path!("sources", name.as_str(), "config"), source.ledger.problems());
        }
    }

    /// Tells what was found below a section.
    fn all(&mut self, section: &[Step], findings: Vec<Finding>) {
        for (path, message) in findings {
            self.tell(&[section, &path].concat(), message);
        }
    }

    fn listeners(&mut self, config: &Config) {
        if config.listeners.is_empty() && config.consumers.is_empty() {
            self.tell(path!("listeners"), "is empty; add an address for clients");
        }
        let mut binds = vec![(config.admin.bind, "admin.bind".to_owned())];
        for (index, listener) in config.listeners.iter().enumerate() {
            let path = path!("listeners", index, "bind");
            if let Some((other, key)) = binds.iter().find(|(other, _)| other.meets(listener.bind)) {
                let message = match *other == listener.bind {
                    true => format!("is {other}, which is {key} already; choose another port"),
                    false => {
                        format!("is {}, which leaves no room for {key} at {other}; choose another port", listener.bind)
                    }
                };
                self.tell(path, message);
            }
            binds.push((listener.bind, path_text(path.iter())));
            if let Some(fault) = listener.public_url.as_deref().and_then(url_fault) {
                self.tell(path!("listeners", index, "public_url"), fault);
            }
            if let Some(tls) = &listener.tls {
                for (key, file) in [("cert_file", &tls.cert_file), ("key_file", &tls.key_file)] {
                    if file.as_os_str().is_empty() {
                        self.tell(path!("listeners", index, "tls", key), "is missing; name a file in PEM");
                    }
                }
            } else if listener.bind.is_public() && !listener.allow_plain_http {
                let message = format_args!(
                    "is {}, which the internet may reach, and there is no `tls`; add it, or where a proxy speaks TLS \
                     for it, `allow_plain_http: true`",
                    listener.bind
                );
                self.tell(path!("listeners", index, "bind"), message);
            }
            self.mounts(config, index, listener);
        }
    }

    fn consumers(&mut self, config: &Config) {
        for (index, consumer) in config.consumers.iter().enumerate() {
            self.all(path!("consumers", index, "config"), consumer.consumer.problems());
            let path = path!("consumers", index, "sources");
            if consumer.sources.is_empty() {
                self.tell(path, "is empty; name the source whose ledgers shall be kept");
            }
            self.source_names(config, path, &consumer.sources);
        }
    }

    /// Names of sources: known, and each once.
    fn source_names(&mut self, config: &Config, path: &[Step], names: &[String]) {
        for (index, name) in names.iter().enumerate() {
            let path: Vec<Step> = path.iter().cloned().chain([Step::Index(index)]).collect();
            if config.sources.number(name).is_none() {
                let near = suggestion(name, config.sources.names());
                self.tell(&path, format_args!("is `{name}`, and no source is called so{near}"));
            } else if names[..index].contains(name) {
                self.tell(&path, format_args!("is `{name}` a second time; remove it"));
            }
        }
    }

    fn mounts(&mut self, config: &Config, listener_index: usize, listener: &Listener) {
        if listener.mounts.is_empty() {
            self.tell(path!("listeners", listener_index, "mounts"), "is empty; add a dialect at a path");
        }
        let mut paths = HashMap::new();
        for (index, mount) in listener.mounts.iter().enumerate() {
            let path = path!("listeners", listener_index, "mounts", index, "path");
            let text = &mount.path;
            if !text.starts_with('/') {
                self.tell(path, format_args!("is `{text}`; write `/{text}`"));
            } else if text.len() > 1 && text.ends_with('/') {
                self.tell(path, format_args!("is `{text}`; write `{}`", text.trim_end_matches('/')));
            } else if text.contains(|c: char| !c.is_ascii_graphic() || "?#%{}\\".contains(c)) || text.contains("//") {
                self.tell(path, format_args!("is `{text}`; write letters, digits and `-` between single slashes"));
            }
            if let Some(other) = paths.insert(text, index) {
                let message = format_args!("is `{text}`, which is mounts[{other}].path already; choose another");
                self.tell(path, message);
            }
            let section = path!("listeners", listener_index, "mounts", index, "config");
            let sources = mount.sources.iter().filter_map(|name| config.sources.get(name));
            let contracts: Vec<_> = sources.flat_map(|source| source.ledger.contracts()).collect();
            self.all(section, mount.dialect.problems(&MountedSource::of(config, &mount.sources), &contracts));
            if mount.tokens_file.is_some() && mount.dialect.has_users() {
                let message =
                    "asks clients of this dialect for a token that they have no room for; they come in as `users`";
                self.tell(path!("listeners", listener_index, "mounts", index, "tokens_file"), message);
            }
            self.mounted_sources(config, path!("listeners", listener_index, "mounts", index, "sources"), mount);
        }
    }

    fn mounted_sources(&mut self, config: &Config, path: &[Step], mount: &Mount) {
        self.source_names(config, path, &mount.sources);
        let manners = built(mount).manners();
        for (index, name) in mount.sources.iter().enumerate() {
            let Some(number) = config.sources.number(name) else { continue };
            let found = config.sources.0[usize::from(number)].1.ledger.family();
            if let Some(only) = manners.only.filter(|only| *only != found) {
                let path: Vec<Step> = path.iter().cloned().chain([Step::Index(index)]).collect();
                let message = format_args!(
                    "is `{name}`, which reads {found}, and {} clients understand {only} alone; name such a source, or \
                     choose `dialect: flow`, which shows any",
                    manners.name
                );
                self.tell(&path, message);
            }
        }
        // Events are known outside by their network, so two that cannot be told apart must not meet.
        let mut networks = HashMap::new();
        for (index, name) in mount.sources.iter().enumerate() {
            let Some(number) = config.sources.number(name) else { continue };
            let Some(network) = config.sources.0[usize::from(number)].1.ledger.network_named() else { continue };
            if let Some(other) = networks.insert(network, name)
                && other != name
            {
                let path: Vec<Step> = path.iter().cloned().chain([Step::Index(index)]).collect();
                let message = format_args!(
                    "is `{name}`, whose network is called `{network}` as that of `{other}`; give each its `network_id`"
                );
                self.tell(&path, message);
            }
        }
        match mount.sources.len() {
            0 => self.tell(path, "is empty; name the source whose events these clients get"),
            2.. if manners.one_source => {
                let message = format_args!(
                    "names {} sources, and {} takes one; make a mount for each",
                    mount.sources.len(),
                    manners.name
                );
                self.tell(path, message);
            }
            _ => {}
        }
    }

    fn counts(&mut self, config: &Config) {
        let limits = &config.limits;
        for (section, key, zero) in [
            ("limits", "connections", limits.connections == 0),
            ("limits", "connections_per_address", limits.connections_per_address == 0),
            ("limits", "messages_per_second", limits.messages_per_second == 0),
            ("limits", "values_per_session", limits.values_per_session == 0),
            ("limits", "inbound_bytes", limits.inbound_bytes.0 == 0),
            ("limits", "inbound_total", limits.inbound_total.0 == 0),
            ("limits", "stall", limits.stall.0.is_zero()),
            ("limits", "outbox", limits.outbox.0 == 0),
            ("limits", "send_buffer", limits.send_buffer.0 == 0),
            ("limits", "handshake", limits.handshake.0.is_zero()),
            ("limits", "handshakes", limits.handshakes == 0),
            ("limits", "header_bytes", limits.header_bytes.0 == 0),
            ("limits", "outbox_total", limits.outbox_total.0 == 0),
            ("limits", "waiting_changes", limits.waiting_changes == 0),
            ("limits", "calls_of_session", limits.calls_of_session == 0),
            ("limits", "calls", limits.calls == 0),
            ("limits", "calls_waiting", limits.calls_waiting == 0),
            ("limits", "call_timeout", limits.call_timeout.0.is_zero()),
            ("limits", "call_bytes", limits.call_bytes.0 == 0),
            ("limits", "replays", limits.replays == 0),
            ("history", "budget", config.history.budget.0 == 0),
            ("journal", "max_age", config.journal.max_age.0.is_zero()),
            ("journal", "max_bytes", config.journal.max_bytes.0 == 0),
            ("catch_up", "bytes", config.catch_up.bytes.0 == 0),
            ("catch_up", "ledgers", config.catch_up.ledgers == 0),
        ] {
            if zero {
                self.tell(path!(section, key), "is 0; write more, or leave it out for the default");
            }
        }
        let threads = config.worker_threads();
        let mounts = config.listeners.iter().flat_map(|listener| &listener.mounts);
        let largest = mounts.map(|mount| built(mount).max_message()).max().unwrap_or(0);
        for (key, total, one) in [
            ("outbox_total", limits.outbox_total.0, limits.outbox.0),
            ("inbound_total", limits.inbound_total.0, largest as u64),
        ] {
            let least = Size(one.saturating_mul(threads as u64));
            if total < least.0 {
                let message = format_args!("leaves no room for one client of each of {threads} workers; write {least}");
                self.tell(path!("limits", key), message);
            }
        }
        if config.drain.spread > config.drain.deadline {
            let message = "is longer than drain.deadline, by which all must be gone; write less";
            self.tell(path!("drain", "spread"), message);
        }
        if config.workers == Some(0) {
            self.tell(path!("workers"), "is 0; write at least 1, or leave it out for one for each processor");
        }
    }
}
