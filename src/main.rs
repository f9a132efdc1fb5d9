//! The binary: arguments in, exit code out.

use clap::Parser;
use ledgercast::config::ConfigError;
use std::process::ExitCode;

fn main() -> ExitCode {
    match ledgercast::cli::run(ledgercast::cli::Arguments::parse()) {
        Ok(()) => return ExitCode::SUCCESS,
        // Each of its lines begins with the place in the file, which editors and terminals follow.
        Err(error) if error.is::<ConfigError>() => eprintln!("{error}"),
        // `{:#}`: the causes follow on the same line.
        Err(error) => eprintln!("ledgercast: {error:#}"),
    }
    ExitCode::FAILURE
}
