//! `load`: many clients that check what they get.

use super::descriptors;
use crate::config::units::Time;
use crate::load::{self, Assertion, Plan, Template, Trust, dialect};
use anyhow::Context;
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// What the process needs beside a file for each client.
const OTHER_FILES: u64 = 64;
/// So many clients can tell themselves apart by address on the loopback.
const MOST: usize = 1_000_000;

const ABOUT: &str = "\
Latency:
  With --admin, latency counts from when the server's source posted a ledger to when a client had read the event, on
  the clock that all processes of a machine share: an open model, so a server that lets clients wait cannot hide it.
  Without --admin there is no such beginning (a Flow event's own time has whole seconds), and the report says `spread`:
  from the first client that read something of a ledger to each other client. It does not hold what the first waited.
  Ledgers that begin in the measured time count, however late they come. Where the report says that the generator is
  busy, the figures may be its own.

Content:
  Clients with equal filters must get equal bytes in equal order; the first to get an event also has its filters and
  its place in the row judged, by rules written apart from the server. Lost is what another client with the same
  filters got and this one did not, though it got later events, or nothing more for ten seconds after the end; late is
  what was still on its way then. An event that nobody with these filters gets is only noticed if it is a ledger's own
  (missing_ledgers). What the server told to be missing (gap, dropped) is counted apart.

Figures for --assert:
  p50 p90 p99 p99.9 max connect_p99                             times: 800us, 50ms, 1s
  connected failed events ledgers lost late repeated reordered different mismatched missing_ledgers unreadable
  unchecked gaps resets errors dropped closed                             numbers

Exit code: 0 all is well; 1 a condition of --assert does not hold, or there was no run; 2 the arguments are wrong.

Examples:
  ledgercast load --clients 100 --duration 10s --assert 'lost=0,repeated=0'
  ledgercast load --clients 1000 --ramp 5s --admin http://127.0.0.1:9090 --assert 'p99<200ms,lost=0' --json
  ledgercast load --clients 50 --accounts accounts.txt --filters '{\"types\":[\"payment\"],\"account_ids\":[\"{account}\"]}'
  ledgercast load --clients 500 --slow 2% --churn 10/s --hdr latency.hgrm";

/// The options of `load`.
#[derive(Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub struct Arguments {
    /// Where clients connect: ws:// or wss://
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:8080/ws")]
    pub url: String,
    /// What they speak
    #[arg(long, value_name = "NAME", default_value = "flow", value_parser = dialects())]
    pub dialect: String,
    /// How many there are
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub clients: usize,
    /// Over how much time their connecting is spread
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub ramp: Time,
    /// How long is measured, from the end of the ramp
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub duration: Time,
    /// The filters of each client as JSON; {i} is its number, {account} its line of --accounts
    #[arg(long, value_name = "JSON")]
    pub filters: Option<String>,
    /// Accounts, one a line; without --filters each client asks for its own
    #[arg(long, value_name = "FILE")]
    pub accounts: Option<PathBuf>,
    /// Clients that hardly read, every other one never: 1% or a number
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub slow: Share,
    /// Clients that leave and come back: 10/s
    #[arg(long, value_name = "RATE")]
    pub churn: Option<Rate>,
    /// A file with an access token on its first line, sent as `Authorization: Bearer`
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// wss: the certificates that vouch for the server, PEM
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// wss: take every certificate
    #[arg(long)]
    pub insecure: bool,
    /// Load another machine than this one. Only do so to your own
    #[arg(long)]
    pub allow_remote: bool,
    /// The server's admin listener on this machine: latency then counts from the source's post
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// The server's source that these clients read, where it has several
    #[arg(long, value_name = "NAME", requires = "admin")]
    pub source: Option<String>,
    /// What is read whole: `differing` messages, or `all` of every client, which costs the generator much
    #[arg(long, value_name = "WHICH", default_value = "differing", value_parser = ["differing", "all"])]
    pub verify: String,
    /// What must hold, such as p99<50ms,lost=0; otherwise the exit code is 1
    #[arg(long, value_name = "CONDITIONS")]
    pub assert: Option<Assertion>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Write the distribution of latencies into a file, as HdrHistogram's tools read it
    #[arg(long, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
}

fn dialects() -> PossibleValuesParser {
    PossibleValuesParser::new(dialect::TABLE.iter().map(|(name, _)| *name))
}

/// A share of the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Hundredths of a percent.
    Part(usize),
    /// So many.
    Number(usize),
}

impl Share {
    fn of(self, clients: usize) -> usize {
        match self {
            // At least one, where some were asked for.
            Share::Part(part) => (clients * part).div_ceil(10_000),
            Share::Number(number) => number,
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let wrong = || "write a part such as 1% or 0.5%, or a number of clients".to_owned();
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().map(Share::Number).map_err(|_| wrong());
        };
        let (whole, fraction) = percent.split_once('.').unwrap_or((percent, "0"));
        if fraction.is_empty() || fraction.len() > 2 {
            return Err(wrong());
        }
        let digits = |text: &str| text.parse::<u16>().map_err(|_| wrong());
        let part = usize::from(digits(whole)?) * 100 + usize::from(digits(&format!("{fraction:0<2}"))?);
        if part <= 10_000 { Ok(Share::Part(part)) } else { Err(wrong()) }
    }
}

/// So many in a second, kept as the time between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Duration);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let number =
            text.strip_suffix("/s").unwrap_or(text).parse().ok().filter(|number| (1..=10_000).contains(number));
        let number: u32 = number.ok_or("write how many in a second, 1/s to 10000/s")?;
        Ok(Rate(Duration::from_secs(1) / number))
    }
}

/// Runs it, prints the report, and ends the process with the exit code that the report deserves.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let plan = plan(&arguments)?;
    let outcome = match load::run(&plan, !arguments.json) {
        Err(error) if error.is_usage() => wrong(&error.to_string()),
        outcome => outcome?,
    };
    let mut report = outcome.report;
    if let Some(assertion) = &arguments.assert {
        report.failed_assertions = assertion.failures(&report.figures());
    }
    if let Some(file) = &arguments.hdr {
        std::fs::write(file, load::distribution(&outcome.times))
            .with_context(|| format!("--hdr {}", file.display()))?;
    }
    if arguments.json {
        super::print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    } else {
        super::print(&report.text())?;
    }
    if report.connecting.connected + report.slow.connected == 0 {
        let reasons: Vec<&str> = report.connecting.failures.keys().map(String::as_str).collect();
        anyhow::bail!("no client was registered: {}", reasons.join(", "));
    }
    if !report.failed_assertions.is_empty() {
        anyhow::bail!("--assert does not hold: {}", report.failed_assertions.join("; "));
    }
    Ok(())
}

fn plan(arguments: &Arguments) -> anyhow::Result<Plan> {
    let template = Template::new(arguments.filters.as_deref(), arguments.accounts.as_deref());
    let template = template.unwrap_or_else(|error| wrong(&error.to_string()));
    let clients = arguments.clients;
    if !(1..=MOST).contains(&clients) {
        wrong(&format!("--clients {clients}: give 1 to {MOST}"));
    }
    let slow = arguments.slow.of(clients);
    if slow >= clients {
        wrong("--slow: at least one client must read, for the others to be compared with");
    }
    if arguments.duration.0.is_zero() {
        wrong("--duration: give more than 0");
    }
    if let Some(files) = descriptors::raise()
        && files < clients as u64 + OTHER_FILES
    {
        let most = files.saturating_sub(OTHER_FILES);
        wrong(&format!(
            "--clients {clients}: each takes an open file, and {files} are allowed; raise `ulimit -Hn`, or give at most {most}"
        ));
    }
    let trust = match (&arguments.ca, arguments.insecure) {
        (Some(file), _) => Trust::File(file.clone()),
        (None, true) => Trust::Everybody,
        (None, false) => Trust::System,
    };
    Ok(Plan {
        url: arguments.url.clone(),
        allow_remote: arguments.allow_remote,
        trust,
        token: arguments.token_file.as_deref().map(token),
        dialect: arguments.dialect.clone(),
        clients,
        slow,
        ramp: arguments.ramp.0,
        duration: arguments.duration.0,
        churn: arguments.churn.map(|rate| rate.0),
        template,
        admin: arguments.admin.clone(),
        source: arguments.source.clone(),
        verify_all: arguments.verify == "all",
    })
}

/// The token in a file.
fn token(path: &Path) -> String {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| wrong(&format!("--token-file {}: cannot be read: {error}", path.display())));
    match text.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() => token.to_owned(),
        _ => wrong(&format!("--token-file {}: the first line is empty; write the token there", path.display())),
    }
}

/// Ends the process as for any wrong argument: exit code 2.
fn wrong(message: &str) -> ! {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n")).exit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_rates() {
        for (text, of_1000) in [("1%", 10), ("0.5%", 5), ("0.01%", 1), ("100%", 1000), ("7", 7), ("0", 0), ("0%", 0)] {
            assert_eq!(text.parse::<Share>().unwrap().of(1000), of_1000, "{text}");
        }
        assert_eq!("1%".parse::<Share>().unwrap().of(3), 1, "some were asked for");
        for bad in ["", "%", "101%", "1.%", "0.001%", "-1", "x", "1.5"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
        assert_eq!("10/s".parse(), Ok(Rate(Duration::from_millis(100))));
        assert_eq!("4".parse(), Ok(Rate(Duration::from_millis(250))));
        for bad in ["0/s", "1.5/s", "10/m", "", "10001/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
