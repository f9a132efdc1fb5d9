//! A file becomes a [`Config`], or a list of what is wrong with it and where.

use super::Config;
use super::check::{Problem, check};
use super::decode::decode;
use super::pipelines::{Names, Rewritten, rewrite};
use super::tree::{Node, Place};
use std::path::{Path, PathBuf};

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; `ledgercast gen-config` prints a file to begin with", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// One line for each thing that is wrong: `file:line:column: what; the remedy`.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

/// What a file says.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What was understood otherwise than it is written; each `file:line:column: what`.
    pub notes: Vec<String>,
    names: Names,
}

impl Loaded {
    /// What the file calls one of our settings, such as `listeners[0].bind`.
    pub fn name_in_file(&self, key: &str) -> String {
        self.names.in_file(key)
    }
}

/// Reads and checks a file.
pub fn load(file: &Path) -> Result<Loaded, ConfigError> {
    match std::fs::read_to_string(file) {
        Ok(text) => read(&file.display().to_string(), &text),
        Err(source) => Err(ConfigError::Read { file: file.to_owned(), source }),
    }
}

/// The settings alone, of the text of a file called `name`.
pub fn parse(name: &str, text: &str) -> Result<Config, ConfigError> {
    read(name, text).map(|loaded| loaded.config)
}

/// Reads and checks the text of a file called `name`.
pub fn read(name: &str, text: &str) -> Result<Loaded, ConfigError> {
    let line = |place: Option<Place>, message: &str| match place {
        Some(Place { line, column }) => format!("{name}:{line}:{column}: {message}"),
        None => format!("{name}: {message}"),
    };
    let lines = |told: Vec<(Place, String)>| -> Vec<String> {
        told.into_iter().map(|(place, message)| line(Some(place), &message)).collect()
    };

    let file = Node::parse(text).map_err(|(place, message)| ConfigError::Invalid(vec![line(place, &message)]))?;
    let Rewritten { file, notes, names } = rewrite(file).map_err(|faults| ConfigError::Invalid(lines(faults)))?;
    let config: Config = decode(&for_serde(file.clone()))
        .map_err(|fault| ConfigError::Invalid(vec![line(fault.place, &names.in_file(&fault.to_string()))]))?;
    let problems = check(&config);
    if problems.is_empty() {
        return Ok(Loaded { config, notes: lines(notes), names });
    }
    let tell = |Problem { path, message }: Problem| line(Some(file.place_of(&path)), &names.in_file(&message));
    Err(ConfigError::Invalid(problems.into_iter().map(tell).collect()))
}

/// The file's form becomes the form of the types: what `type` and `dialect` decide goes under a
/// key of its own.
fn for_serde(mut file: Node) -> Node {
    for source in file.get_mut("sources").into_iter().flat_map(Node::children_mut) {
        source.nest("type", "ledger");
    }
    for consumer in file.get_mut("consumers").into_iter().flat_map(Node::children_mut) {
        consumer.nest("type", "consumer");
    }
    for listener in file.get_mut("listeners").into_iter().flat_map(Node::children_mut) {
        for mount in listener.get_mut("mounts").into_iter().flat_map(Node::children_mut) {
            mount.nest("dialect", "dialect");
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A good file; the tests change one thing in it.
    const GOOD: &str = "\
sources:
  main:
    type: stellar_rpc
    config:
      rpc_url: http://127.0.0.1:8000
      poll_interval: 1s
listeners:
  - bind: 127.0.0.1:8080
    mounts:
      - { dialect: flow, path: /ws, sources: [main] }
limits:
  connections: 100
";

    fn errors(text: &str) -> String {
        parse("x.yaml", text).expect_err(text).to_string()
    }

    #[test]
    fn every_error_tells_where_and_what_to_do() {
        parse("x.yaml", GOOD).unwrap();
        for (good, bad, error) in [
            // Unknown keys, at every depth, also where serde alone would have lost the place.
            ("limits:", "limit:", "11:1: unknown key `limit` in the top level; did you mean `limits`?"),
            (
                "poll_interval",
                "poll_intervall",
                "6:7: unknown key `poll_intervall` in sources.main.config; did you mean `poll_interval`?",
            ),
            (
                "    config:\n      rpc_url",
                "    confg:\n      rpc_url",
                "4:5: unknown key `confg` in sources.main; did you mean `config`?",
            ),
            ("path: /ws", "pth: /ws", "10:26: unknown key `pth` in listeners[0].mounts[0]; did you mean `path`?"),
            (
                "connections: 100",
                "zebra: 100",
                "12:3: unknown key `zebra` in limits; there is `connections`, `connections_per_address`, \
                 `messages_per_second`, `values_per_session`, `inbound_bytes`, `inbound_total`, `stall`, `outbox`, `send_buffer`, `handshake`, \
                 `handshakes`, `header_bytes`, \
                 `trusted_proxies`, `exempt_loopback`, `outbox_total`, `waiting_changes`, \
                 `calls_of_session`, `calls`, `calls_waiting`, `call_timeout`, `call_bytes`, `replays`",
            ),
            (
                "flow, path: /ws",
                "flow, config: {max_queue: 5}, path: /ws",
                "10:35: unknown key `max_queue` in listeners[0].mounts[0].config; did you mean `max_queue_size`?",
            ),
            // The order of `dialect` and `config` does not matter.
            (
                "{ dialect: flow,",
                "{ config: { max_queue_sice: 5 }, dialect: flow,",
                "10:21: unknown key `max_queue_sice` in listeners[0].mounts[0].config; did you mean `max_queue_size`?",
            ),
            (
                "    type: stellar_rpc\n",
                "    type: stelar_rpc\n",
                "3:11: unknown sources.main.type `stelar_rpc`; did you mean `stellar_rpc`?",
            ),
            (
                "dialect: flow",
                "dialect: smtp",
                "10:20: unknown listeners[0].mounts[0].dialect `smtp`; there is `flow`, `rippled`, `maticvigil`, \
                 `planetmint`, `five_bells`",
            ),
            ("    type: stellar_rpc\n", "", "3:5: sources.main has no `type`; add it"),
            // Wrong types and texts.
            ("100", "many", "12:16: limits.connections is the text `many`; write a whole number of 0 or more"),
            ("100", "-1", "12:16: limits.connections is the number -1; write a whole number of 0 or more"),
            (
                "100",
                "5000000000",
                "12:16: limits.connections is the number 5000000000; write a whole number of 0 or more",
            ),
            ("100", "1.5", "12:16: limits.connections is the number 1.5; write a whole number of 0 or more"),
            ("100", "", "12:14: limits.connections is empty; write a whole number of 0 or more"),
            ("100", "[1]", "12:16: limits.connections is a list; write a whole number of 0 or more"),
            (
                "poll_interval: 1s",
                "poll_interval: fast",
                "6:22: sources.main.config.poll_interval: `fast` is no duration; write 250ms, 30s, 5m or 24h",
            ),
            (
                "poll_interval: 1s",
                "poll_interval: 5",
                "6:22: sources.main.config.poll_interval is the number 5; write text, in quotes if it looks like a number",
            ),
            (
                "connections: 100",
                "outbox: 64KB",
                "12:11: limits.outbox: `64KB` is no size; write 512B, 64KiB, 1MiB or 10GiB",
            ),
            (
                "limits:\n  connections: 100",
                "workers: 2\nlimits:\n  outbox_total: 1KiB",
                "13:17: limits.outbox_total leaves no room for one client of each of 2 workers; write 512KiB",
            ),
            (
                "  connections: 100",
                "  connections: 100\ndrain: { spread: 11s }",
                "13:18: drain.spread is longer than drain.deadline, by which all must be gone; write less",
            ),
            (
                "connections: 100",
                "trusted_proxies: [10.0.0.0/8, here]",
                "12:33: limits.trusted_proxies[1]: `here` is no network; write 10.0.0.7 or 10.0.0.0/8",
            ),
            (
                "connections: 100",
                "exempt_loopback: 1",
                "12:20: limits.exempt_loopback is the number 1; write true or false",
            ),
            (
                "bind: 127.0.0.1:8080",
                "bind: here",
                "8:11: listeners[0].bind: `here` is no address; write 127.0.0.1:8080 or [::]:8080",
            ),
            (
                "sources: [main]",
                "sources: main",
                "10:46: listeners[0].mounts[0].sources is the text `main`; write a list, such as [a, b]",
            ),
            ("  connections: 100", "  - 100", "12:3: limits is a list; write a section with keys"),
            (
                "poll_interval: 1s",
                "start_ledger: newest",
                "6:21: sources.main.config.start_ledger is the text `newest`; write `latest`, `oldest` or a ledger number from 1",
            ),
            // No YAML.
            (
                "  connections: 100",
                "  connections: 1\n  connections: 2",
                "13:3: the key `connections` stands here a second time; remove one",
            ),
            (
                "limits:",
                "  main: {}\nlimits:",
                "11:3: not YAML: while parsing a block collection, did not find expected '-' indicator",
            ),
            ("  connections: 100\n", "---\na: 1\n", "13:1: a second document begins here; put everything into one"),
            // What no single value can tell.
            (
                "[main]",
                "[mian]",
                "10:47: listeners[0].mounts[0].sources[0] is `mian`, and no source is called so; did you mean `main`?",
            ),
            ("[main]", "[main, main]", "10:53: listeners[0].mounts[0].sources[1] is `main` a second time; remove it"),
            (
                "[main]",
                "[]",
                "10:46: listeners[0].mounts[0].sources is empty; name the source whose events these clients get",
            ),
            ("path: /ws", "path: ws", "10:32: listeners[0].mounts[0].path is `ws`; write `/ws`"),
            ("path: /ws", "path: /ws/", "10:32: listeners[0].mounts[0].path is `/ws/`; write `/ws`"),
            (
                "path: /ws",
                "path: /a?b",
                "10:32: listeners[0].mounts[0].path is `/a?b`; write letters, digits and `-` between single slashes",
            ),
            (
                "limits:",
                "      - { dialect: flow, sources: [main] }\nlimits:",
                "11:9: listeners[0].mounts[1].path is `/ws`, which is mounts[0].path already; choose another",
            ),
            (
                "limits:",
                "admin: { bind: 127.0.0.1:8080 }\nlimits:",
                "8:11: listeners[0].bind is 127.0.0.1:8080, which is admin.bind already; choose another port",
            ),
            (
                "limits:",
                "admin: { bind: 0.0.0.0:8080 }\nlimits:",
                "8:11: listeners[0].bind is 127.0.0.1:8080, which leaves no room for admin.bind at 0.0.0.0:8080; \
                 choose another port",
            ),
            (
                "      rpc_url: http://127.0.0.1:8000\n",
                "",
                "5:7: sources.main.config has no `rpc_url`; add the address of a Stellar RPC, such as http://127.0.0.1:8000",
            ),
            (
                "poll_interval: 1s",
                "rpc_urls: ['http://a']",
                "5:7: sources.main.config has both `rpc_url` and `rpc_urls`; write one of them",
            ),
            (
                "http://127.0.0.1:8000",
                "ws://127.0.0.1",
                "5:16: sources.main.config.rpc_url must begin with http:// or https://",
            ),
            (
                "http://127.0.0.1:8000",
                "http://me:SECRET@host",
                "5:16: sources.main.config.rpc_url holds a user or password; put `Authorization: …` into a file and \
                 name it as auth_header_file",
            ),
            (
                "poll_interval: 1s",
                "auth_header: SECRET\n      auth_header_file: /a",
                "6:20: sources.main.config.auth_header stands beside auth_header_file; write one of them",
            ),
            (
                "poll_interval: 1s",
                "auth_header: \"SECRET\\x01\"",
                "6:20: sources.main.config.auth_header holds no header; write `Name: value`, or the value of \
                 `Authorization` alone",
            ),
            (
                "poll_interval: 1s",
                "filters: [{}]",
                "6:16: sources.main.config.filters is for `mode: events` alone; remove it, or choose that mode",
            ),
            (
                "poll_interval: 1s",
                "mode: events\n      filters:\n        - topics: [['*', transfer]]",
                "8:26: sources.main.config.filters[0].topics[0][1] is `transfer`, which is no topic; write `*`, or a \
                 value in base64, such as AAAADwAAAAh0cmFuc2Zlcg== for the symbol transfer",
            ),
            (
                "poll_interval: 1s",
                "poll_interval: 0s",
                "6:22: sources.main.config.poll_interval is 0; write more, or leave it out for the default",
            ),
            ("100", "0", "12:16: limits.connections is 0; write more, or leave it out for the default"),
            (
                "limits:",
                "workers: 0\nlimits:",
                "11:10: workers is 0; write at least 1, or leave it out for one for each processor",
            ),
            (
                "  main:",
                "  main net:",
                "3:5: sources.main net is no name for a source; write up to 64 letters, digits, `-` and `_`\n\
                 x.yaml:10:47: listeners[0].mounts[0].sources[0] is `main`, and no source is called so; did you mean `main net`?",
            ),
        ] {
            assert!(GOOD.contains(good), "{good}");
            assert_eq!(errors(&GOOD.replacen(good, bad, 1)), format!("x.yaml:{error}"), "{bad}");
        }
    }

    #[test]
    fn an_empty_file_lacks_what_has_no_default() {
        assert_eq!(
            errors("# nothing\n"),
            "x.yaml:2:1: sources is empty; add a ledger to read, or run `ledgercast` without --config for a demo\n\
             x.yaml:2:1: listeners is empty; add an address for clients"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("/nowhere/x.yaml")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read /nowhere/x.yaml: No such file"), "{error}");
        assert!(error.contains("gen-config"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_gives_settings_or_an_error(text in "\\PC{0,200}", at in 0..GOOD.len(), with in "[ \\-:{}\\[\\]&*!|>'\"%@,#?\n~0a]{0,4}") {
            let _ = parse("x.yaml", &text);
            let mut changed = GOOD.to_owned();
            changed.replace_range(at..=at, &with);
            if let Err(error) = parse("x.yaml", &changed) {
                proptest::prop_assert!(error.to_string().starts_with("x.yaml:"), "{error}");
            }
        }
    }
}
