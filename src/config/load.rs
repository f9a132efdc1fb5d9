//! A file becomes a [`Config`], or a list of what is wrong with it and where.

use super::Config;
use super::check::{Problem, check};
use super::decode::decode;
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

/// Reads and checks a file.
pub fn load(file: &Path) -> Result<Config, ConfigError> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&file.display().to_string(), &text),
        Err(source) => Err(ConfigError::Read { file: file.to_owned(), source }),
    }
}

/// Reads and checks the text of a file called `name`.
pub fn parse(name: &str, text: &str) -> Result<Config, ConfigError> {
    let line = |place: Option<Place>, message: &dyn std::fmt::Display| match place {
        Some(Place { line, column }) => format!("{name}:{line}:{column}: {message}"),
        None => format!("{name}: {message}"),
    };
    let invalid = |place, message: &dyn std::fmt::Display| ConfigError::Invalid(vec![line(place, message)]);

    let file = Node::parse(text).map_err(|(place, message)| invalid(place, &message))?;
    let config: Config = decode(&for_serde(file.clone())).map_err(|fault| invalid(fault.place, &fault))?;
    let problems = check(&config);
    if problems.is_empty() {
        return Ok(config);
    }
    let lines = problems.iter().map(|Problem { path, message }| line(Some(file.place_of(path)), message)).collect();
    Err(ConfigError::Invalid(lines))
}

/// The file's form becomes the form of the types: what `type` and `dialect` decide goes under a
/// key of its own.
fn for_serde(mut file: Node) -> Node {
    for source in file.get_mut("sources").into_iter().flat_map(Node::children_mut) {
        source.nest("type", "ledger");
    }
    for listener in file.get_mut("listeners").into_iter().flat_map(Node::children_mut) {
        for mount in listener.get_mut("mounts").into_iter().flat_map(Node::children_mut) {
            mount.nest("dialect", "dialect");
        }
    }
    file
}
