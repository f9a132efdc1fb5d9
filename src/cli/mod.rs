//! The commands.
//!
//! In: the command line. Out: a server that runs until it is told to stop, or a text and an exit code.
//!
//! Who owns what: one file for each command; [`banner`] is what the demo says, [`listen`] what a
//! taken port says, [`descriptors`] raises the limit of open files.
//!
//! What always holds: settings are read and checked whole before anything is opened; what people
//! read goes to standard output, logs and errors to standard error; failure is exit code 1, and 2 where the
//! command line is wrong.

pub mod banner;
pub mod check_config;
pub mod demo;
pub mod descriptors;
pub mod devnet;
pub mod export;
pub mod hash_password;
pub mod listen;
pub mod load;
pub mod replay;
pub mod serve;
pub mod token;

use crate::config::reference;
use anyhow::Context;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  ledgercast                                   a demo: an embedded ledger, clients at ws://127.0.0.1:8080/ws
  ledgercast serve --bind 127.0.0.1:8081       the same on another port
  ledgercast gen-config > my.yaml              every setting, explained
  ledgercast check-config my.yaml              is the file good?
  ledgercast check-config --online my.yaml     and do its sources answer?
  ledgercast serve --config my.yaml            run with it
  ledgercast devnet --rate 0.2                 only the embedded ledger, one block every 5 seconds
  ledgercast devnet --ledger xrpl              the same as an XRP Ledger
  ledgercast export --config my.yaml --from 2026-11-21 --to 2026-11-22 > day.jsonl
                                               yesterday's ledgers as lines of JSON
  ledgercast replay --speed 10x day.jsonl      the same for clients, ten times as fast
  ledgercast load --clients 1000               how many clients can it serve?
  ledgercast hash-password > alice.password    what a user's `password_file` holds
  ledgercast token --config my.yaml --mount /bells --user alice
                                               a token for a five-bells client
  RUST_LOG=ledgercast=debug ledgercast         with more in the log";

/// Polls ledgers and pushes what happens on them to many WebSocket clients, each in the protocol it already speaks.
///
/// Without a command it runs `serve` on a built-in demo.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server, with a file or as the built-in demo
    Serve(serve::Arguments),
    /// Say whether a settings file is good, and what it was understood to mean
    CheckConfig {
        /// Ask each source once as well: which network it serves and which ledgers it keeps
        #[arg(long)]
        online: bool,
        /// The YAML file: ours, or a pipeline file of Obsrvr Flow
        file: PathBuf,
    },
    /// Print every setting with its default and meaning
    GenConfig,
    /// Run only the embedded ledgers: a real Stellar RPC or XRP Ledger JSON-RPC with seeded traffic
    Devnet(devnet::Arguments),
    /// Write ledgers that a server keeps to a file: a recording
    #[command(long_about = export::ABOUT)]
    Export(export::Arguments),
    /// Serve a recording as if it happened now
    #[command(long_about = replay::ABOUT)]
    Replay(replay::Arguments),
    /// Load a server with many clients, check what they get, and measure how long it takes
    Load(Box<load::Arguments>),
    /// Read a password, print the hash that stands for it in the settings
    #[command(long_about = hash_password::ABOUT)]
    HashPassword,
    /// Print a token with which a user of a five_bells mount comes in
    #[command(long_about = token::ABOUT)]
    Token(token::Arguments),
}

/// Does what the command line says. Errors are for people, with the remedy.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command.unwrap_or_else(|| Command::Serve(serve::Arguments::default())) {
        Command::Serve(arguments) => serve::run(arguments),
        Command::CheckConfig { online, file } => check_config::run(&file, online),
        Command::GenConfig => print(&reference::print(&reference::example())),
        Command::Devnet(arguments) => devnet::run(arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Load(arguments) => load::run(*arguments),
        Command::HashPassword => hash_password::run(),
        Command::Token(arguments) => token::run(&arguments),
    }
}

/// To standard output; a reader that left early (`| head`) is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        assert!(Arguments::parse_from(["ledgercast"]).command.is_none());
        let both = ["ledgercast", "serve", "--config", "x.yaml", "--bind", "127.0.0.1:1"];
        assert!(Arguments::try_parse_from(both).is_err(), "the file says where to listen");
        assert!(Arguments::try_parse_from(["ledgercast", "serve", "--bind", "here"]).is_err());
        let log = ["ledgercast", "serve", "--config", "x.yaml", "--log", "json"];
        assert!(Arguments::try_parse_from(log).is_ok());
    }
}
