//! The settings as a commented file: every key with its meaning, unit, default and reason.
//!
//! The comments are the doc comments of the types ([`super::settings`]), so the file, the
//! documentation and the code cannot drift apart.

use super::units::{Size, Time};
use super::{Config, Consumer, Listener, LogFormat, LogLevel, Mount, Origin, SourceConfig, Sources, default_path};
use crate::consumer::ConsumerConfig;
use crate::dialect::{DialectConfig, flow};
use crate::source::{LedgerConfig, RpcUrl, stellar};
use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::path::PathBuf;

/// A value as the file shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// A scalar, ready to write.
    Plain(String),
    /// Keys with their comments.
    Section(Vec<Entry>),
    /// A list.
    List(Vec<Shown>),
}

/// One key of a section.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Cow<'static, str>,
    /// Its doc comment, line by line.
    pub doc: &'static [&'static str],
    /// Its value.
    pub value: Shown,
}

/// What can stand in the file.
pub trait Show {
    /// The value as the file shows it.
    fn show(&self) -> Shown;
}

impl Shown {
    /// A text, in quotes where YAML would read it otherwise.
    pub fn text(text: impl Display) -> Shown {
        let text = text.to_string();
        let safe = |c: char| c.is_ascii_alphanumeric() || "_./:-".contains(c);
        let numeric = |c: char| c.is_ascii_hexdigit() || "xXoO_.eE+-".contains(c);
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.');
        let word = ["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
        let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '.') && text.chars().all(numeric);
        let plain = begins && !word && !number && !text.ends_with(':') && text.chars().all(safe);
        // A JSON string is a YAML string.
        Shown::Plain(if plain { text } else { serde_json::Value::from(text).to_string() })
    }
}

macro_rules! show_as_is {
    ($($type:ty),*) => {
        $(impl Show for $type {
            fn show(&self) -> Shown {
                Shown::Plain(self.to_string())
            }
        })*
    };
}
show_as_is!(u32, u64, usize, bool, Time, Size);

impl Show for String {
    fn show(&self) -> Shown {
        Shown::text(self)
    }
}

impl Show for Origin {
    fn show(&self) -> Shown {
        Shown::text(self)
    }
}

impl Show for PathBuf {
    fn show(&self) -> Shown {
        Shown::text(self.display())
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> Shown {
        self.as_ref().map_or_else(|| Shown::Plain("null".to_owned()), T::show)
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> Shown {
        Shown::List(self.iter().map(T::show).collect())
    }
}

impl Show for LogFormat {
    fn show(&self) -> Shown {
        Shown::text(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

impl Show for LogLevel {
    fn show(&self) -> Shown {
        Shown::text(self.filter().as_str().to_lowercase())
    }
}

impl Show for Sources {
    fn show(&self) -> Shown {
        let entry = |(name, source): &(String, SourceConfig)| {
            let (kind, config) = ledger(&source.ledger);
            let value = Shown::Section(vec![
                Entry {
                    key: "type".into(),
                    doc: &[" What kind of RPC it is. Below stand the settings of each kind."],
                    value: Shown::text(kind),
                },
                Entry { key: "config".into(), doc: &[], value: config },
            ]);
            Entry { key: name.clone().into(), doc: &[], value }
        };
        Shown::Section(self.0.iter().map(entry).collect())
    }
}

impl Show for Mount {
    fn show(&self) -> Shown {
        let (name, config) = dialect(&self.dialect);
        let entry = |key: &'static str, doc, value| Entry { key: key.into(), doc, value };
        Shown::Section(vec![
            entry("dialect", &[" The protocol of the clients. Below stand the settings of each."], Shown::text(name)),
            entry(
                "path",
                &[" Where they connect; begins with `/`. The longest path that fits wins. Default /ws."],
                self.path.show(),
            ),
            entry("sources", &[" Names of the sources whose events they get; at least one."], self.sources.show()),
            entry(
                "allowed_origins",
                &[
                    " The web pages that may connect, by their origin: https://app.example.com, or https://*.example.com for",
                    " all hosts below one. What is no browser sends no origin and is not asked. Default []: every page.",
                ],
                self.allowed_origins.show(),
            ),
            entry(
                "tokens_file",
                &[
                    " A file of access tokens, one to a line, `#` before remarks; a client must have one of them. Read again on",
                    " SIGHUP, when clients whose token is gone are closed. Default none: everybody may connect.",
                ],
                self.tokens_file.show(),
            ),
            entry(
                "resume",
                &[
                    " Whether a client may say in its handshake where it goes on: `?resume=` and a cursor, or `?resume=ledger:` and",
                    " a number. The answer then names the position in a header `ledgercast-cursor`. Default false: what is kept",
                    " is read for those who were there before, by the means of their protocol.",
                ],
                self.resume.show(),
            ),
            entry(
                "replay",
                &[
                    " Whether a client that begins in the past may say how fast it is fed and until where: `&speed=10x&until=` and",
                    " `ledger:` and a number, or a cursor, behind `?resume=`, which this allows as well, or by its protocol's own",
                    " means. Default false: a slow replay stays behind for as long as it likes, and reads from the journal.",
                ],
                self.replay.show(),
            ),
            entry("config", &[], config),
        ])
    }
}

impl Show for Consumer {
    fn show(&self) -> Shown {
        let (name, config) = consumer(&self.consumer);
        let entry = |key: &'static str, value| Entry { key: key.into(), doc: &[], value };
        Shown::Section(vec![
            entry("type", Shown::text(name)),
            entry("sources", self.sources.show()),
            entry("config", config),
        ])
    }
}

/// A consumer's `type` and `config`, as the file has them.
pub fn consumer(config: &ConsumerConfig) -> (&'static str, Shown) {
    match config {
        ConsumerConfig::Postgres(config) => ("postgres", config.show()),
    }
}

/// A source's `type` and `config`, as the file has them.
pub fn ledger(config: &LedgerConfig) -> (&'static str, Shown) {
    match config {
        LedgerConfig::StellarRpc(config) => ("stellar_rpc", config.show()),
        LedgerConfig::XrplRpc(config) => ("xrpl_rpc", config.show()),
        LedgerConfig::EvmRpc(config) => ("evm_rpc", config.show()),
        LedgerConfig::PlanetmintApi(config) => ("planetmint_api", config.show()),
        LedgerConfig::TendermintRpc(config) => ("tendermint_rpc", config.show()),
        LedgerConfig::Recording(config) => ("recording", config.show()),
    }
}

/// A mount's `dialect` and `config`, as the file has them.
pub fn dialect(config: &DialectConfig) -> (&'static str, Shown) {
    match config {
        DialectConfig::Flow(config) => ("flow", config.show()),
        DialectConfig::Rippled(config) => ("rippled", config.show()),
        DialectConfig::Maticvigil(config) => ("maticvigil", config.show()),
        DialectConfig::Planetmint(config) => ("planetmint", config.show()),
        DialectConfig::FiveBells(config) => ("five_bells", config.show()),
    }
}

/// The defaults, with one source and one listener so that every key can be shown: Flow at
/// ws://127.0.0.1:8080/ws, fed by what `ledgercast devnet` serves.
pub fn example() -> Config {
    let source =
        stellar::Config { rpc_url: Some(RpcUrl("http://127.0.0.1:8000".to_owned())), ..stellar::Config::default() };
    let mount = Mount {
        dialect: DialectConfig::Flow(flow::Config::default()),
        path: default_path(),
        sources: vec!["stellar-main".to_owned()],
        allowed_origins: Vec::new(),
        tokens_file: None,
        resume: false,
        replay: false,
        begin: None,
    };
    Config {
        sources: Sources(vec![("stellar-main".to_owned(), SourceConfig { ledger: LedgerConfig::StellarRpc(source) })]),
        listeners: vec![Listener { mounts: vec![mount], ..Listener::default() }],
        ..Config::default()
    }
}

const HEAD: &str = "\
# ledgercast: every setting with its default, as `ledgercast gen-config` prints it.
#
# Leave out what you do not change. The source and the listener are an example (there is none by
# default): Flow clients at ws://127.0.0.1:8080/ws, fed by `ledgercast devnet`.
#
#   ledgercast check-config FILE     says whether a file is good
#   ledgercast serve --config FILE   runs with it
#
# Durations: 250ms, 30s, 5m, 24h. Sizes: 512B, 64KiB, 1MiB, 10GiB. `null`: not set.
# Secrets belong into files named by `…_file`, since settings get copied.
";

/// Every kind of source that is not in the example, every such dialect and every consumer, with its defaults.
fn others() -> (Vec<LedgerConfig>, Vec<DialectConfig>, Vec<ConsumerConfig>) {
    let ledgers = vec![
        LedgerConfig::XrplRpc(Default::default()),
        LedgerConfig::EvmRpc(Default::default()),
        LedgerConfig::PlanetmintApi(Default::default()),
        LedgerConfig::TendermintRpc(Default::default()),
        LedgerConfig::Recording(Default::default()),
    ];
    let dialects = vec![
        DialectConfig::Rippled(Default::default()),
        DialectConfig::Maticvigil(Default::default()),
        DialectConfig::Planetmint(Default::default()),
        DialectConfig::FiveBells(Default::default()),
    ];
    (ledgers, dialects, vec![ConsumerConfig::Postgres(Default::default())])
}

/// The settings of those, as remarks: only one kind can stand in the example.
fn print_others(text: &mut String) {
    let (ledgers, dialects, consumers) = others();
    let ledgers = ledgers.iter().map(|config| ("a source of", "type", ledger(config)));
    let dialects = dialects.iter().map(|config| ("a mount of", "dialect", dialect(config)));
    let consumers = consumers.iter().map(|config| ("a consumer of", "type", consumer(config)));
    for (what, key, (name, config)) in ledgers.chain(dialects).chain(consumers) {
        let Shown::Section(entries) = config else { continue };
        let mut section = format!("{key}: {name}\nconfig:\n");
        for entry in entries {
            write_entry(&mut section, &entry, 2);
        }
        let _ = writeln!(text, "\n# The settings of {what} `{key}: {name}`:\n#");
        for line in section.lines() {
            let _ = writeln!(text, "#   {line}");
        }
    }
}

/// The commented file.
pub fn print(config: &Config) -> String {
    let mut text = HEAD.to_owned();
    if let Shown::Section(entries) = config.show() {
        for entry in entries {
            text.push('\n');
            write_entry(&mut text, &entry, 0);
        }
    }
    print_others(&mut text);
    text
}

fn write_entry(text: &mut String, entry: &Entry, indent: usize) {
    let margin = " ".repeat(indent);
    for line in entry.doc {
        let _ = writeln!(text, "{margin}#{line}");
    }
    let _ = write!(text, "{margin}{}:", entry.key);
    write_value(text, &entry.value, indent + 2);
}

fn write_value(text: &mut String, value: &Shown, indent: usize) {
    match value {
        Shown::Plain(scalar) => {
            let _ = writeln!(text, " {scalar}");
        }
        Shown::Section(entries) if entries.is_empty() => text.push_str(" {}\n"),
        Shown::Section(entries) => {
            text.push('\n');
            for entry in entries {
                write_entry(text, entry, indent);
            }
        }
        Shown::List(values) if values.iter().all(|value| matches!(value, Shown::Plain(_))) => {
            let scalars: Vec<&str> = values
                .iter()
                .filter_map(|value| if let Shown::Plain(s) = value { Some(s.as_str()) } else { None })
                .collect();
            let _ = writeln!(text, " [{}]", scalars.join(", "));
        }
        Shown::List(values) => {
            text.push('\n');
            for value in values {
                let _ = write!(text, "{}-", " ".repeat(indent));
                write_value(text, value, indent + 2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse;

    #[test]
    fn every_limit_stands_in_the_readme() {
        let Shown::Section(limits) = crate::config::Limits::default().show() else { panic!("a section") };
        let readme = include_str!("../../README.md");
        for Entry { key, value, .. } in limits {
            let line = readme.lines().find(|line| line.starts_with(&format!("| `{key}` | ")));
            let line = line.unwrap_or_else(|| panic!("the README says nothing of limits.{key}"));
            if let Shown::Plain(value) = value {
                assert!(line.contains(&value), "another default: {line}");
            }
        }
    }

    #[test]
    fn the_file_is_what_is_printed_and_equals_the_defaults() {
        let file = include_str!("../../config/default.yaml");
        let printed = print(&example());
        assert!(file == printed, "write it anew: ledgercast gen-config > config/default.yaml");
        assert_eq!(parse("default.yaml", file).unwrap(), example());
        let read = example();
        assert_eq!(Config { sources: Sources::default(), listeners: Vec::new(), ..read }, Config::default());
    }

    #[test]
    fn what_is_left_out_is_the_default() {
        let short = "sources: {stellar-main: {type: stellar_rpc, config: {rpc_url: 'http://127.0.0.1:8000'}}}\n\
                     listeners: [{mounts: [{dialect: flow, sources: [stellar-main]}]}]\nlimits:\n";
        assert_eq!(parse("short.yaml", short).unwrap(), example());
    }

    /// Every key says its default, and says the right one.
    #[test]
    fn comments_name_the_defaults() {
        fn look(section: &str, shown: Shown) {
            let Shown::Section(entries) = shown else { panic!("{section}") };
            for Entry { key, doc, value } in entries {
                let mut default = String::new();
                match value {
                    Shown::Section(_) => {
                        look(&key, value);
                        continue;
                    }
                    _ => write_value(&mut default, &value, 0),
                }
                let default = default.trim().replace("null", "none");
                let doc: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
                assert!(doc.join(" ").contains(&format!("Default {default}")), "{section}.{key}: Default {default}");
            }
        }
        look("", Config::default().show());
        look("listener", Listener::default().show());
        look("flow", flow::Config::default().show());
        look("maticvigil key", crate::dialect::maticvigil::Key::default().show());
        look("five_bells ledger", crate::dialect::five_bells::LedgerSettings::default().show());
        look("stellar_rpc", stellar::Config::default().show());
        let (ledgers, dialects, consumers) = others();
        let all = ledgers.iter().map(ledger).chain(dialects.iter().map(dialect)).chain(consumers.iter().map(consumer));
        for (name, shown) in all {
            look(name, shown);
        }
    }

    #[test]
    fn texts_are_quoted_where_yaml_needs_it() {
        for (text, shown) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("/ws", "/ws"),
            ("[::]:80", "\"[::]:80\""),
            ("Test SDF Network ; September 2015", "\"Test SDF Network ; September 2015\""),
            ("1", "\"1\""),
            ("0x1f", "\"0x1f\""),
            ("yes", "\"yes\""),
            ("", "\"\""),
            ("a:", "\"a:\""),
            ("- a", "\"- a\""),
            ("a\nb", "\"a\\nb\""),
        ] {
            assert_eq!(Shown::text(text), Shown::Plain(shown.to_owned()));
            let back: String = serde_saphyr::from_str(shown).unwrap();
            assert_eq!(back, text);
        }
    }
}
