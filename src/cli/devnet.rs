//! `devnet`: only the embedded ledgers.

use crate::config::Bind;
use crate::devnet::{Devnet, Face, Settings};
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// What the embedded ledger does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Time between two ledgers.
    pub interval: Duration,
    /// Events in each ledger, about.
    pub events_per_ledger: u32,
    /// Accounts that take part.
    pub accounts: u32,
    /// Equal seeds give equal ledgers.
    pub seed: u64,
}

/// The options of `devnet`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which ledger; several times for several, each at an address of its own
    #[arg(long, value_name = "LEDGER", value_enum, default_value = "stellar")]
    pub ledger: Vec<Face>,
    /// Where the RPC listens, several times for several ledgers [default: port 8000 for Stellar, 5005 for the XRP
    /// Ledger, 8545 for an EVM chain and 19984 for Planetmint, on 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<Bind>,
    /// Ledgers in a second, such as 1, 4 or 0.2
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub rate: Rate,
    /// Events in each ledger, about
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub events_per_ledger: u32,
    /// Instead of the mixture, so many payments in each ledger, to each account in turn
    #[arg(long, value_name = "NUMBER", conflicts_with = "events_per_ledger")]
    pub payments_per_ledger: Option<u32>,
    /// Accounts that take part
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub accounts: u32,
    /// Equal seeds give equal ledgers
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

impl Arguments {
    /// The traffic asked for.
    pub fn traffic(&self) -> Traffic {
        let Arguments { rate, events_per_ledger, accounts, seed, .. } = *self;
        Traffic { interval: rate.0, events_per_ledger, accounts, seed }
    }

    /// Each ledger asked for, with where it listens: in the order of both options, else on its own port.
    pub fn ledgers(&self) -> impl Iterator<Item = (Face, SocketAddr)> {
        let own = |face: &Face| Bind::loopback(face.port());
        self.ledger.iter().enumerate().map(move |(place, face)| {
            let listen = self.listen.get(place).copied().unwrap_or_else(|| own(face));
            (*face, listen.0)
        })
    }
}

/// A number of ledgers in a second, kept as the time between two. Read digit by digit, so that 0.2
/// is exactly five seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Duration);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        const SLOWEST: Duration = Duration::from_secs(3600);
        let parse = || {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            if whole.is_empty() || whole.len() > 4 || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
                return None;
            }
            // rate = number / 10^digits of the fraction, so interval = 10^(9 + digits) / number nanoseconds.
            let number: u64 = format!("{whole}{fraction}").parse().ok()?;
            let nanos = 10u64.pow(9 + fraction.len() as u32).checked_div(number)?;
            Some(Duration::from_nanos(nanos))
                .filter(|interval| *interval >= Duration::from_millis(1) && *interval <= SLOWEST)
        };
        parse()
            .map(Rate)
            .ok_or_else(|| "write ledgers in a second: a number up to 1000, such as 1, 4 or 0.2".to_owned())
    }
}

impl Traffic {
    /// The devnet's settings for this traffic.
    pub fn settings(&self, face: Face, listen: SocketAddr) -> Settings {
        Settings {
            face,
            listen,
            seed: self.seed,
            ledger_interval: self.interval,
            events_per_ledger: self.events_per_ledger as usize,
            accounts: self.accounts as usize,
            ..Settings::default()
        }
    }
}

/// Runs the embedded ledgers until the process is told to stop.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    crate::logging::init(Default::default(), Default::default());
    let (ledgers, addresses) = (arguments.ledger.len(), arguments.listen.len());
    if addresses > ledgers {
        anyhow::bail!("there are {addresses} --listen for {ledgers} --ledger; give each ledger at most one address");
    }
    let settings = arguments.ledgers().map(|(face, listen)| Settings {
        payments_per_ledger: arguments.payments_per_ledger.map(|count| count as usize),
        ..arguments.traffic().settings(face, listen)
    });
    start(settings.collect())
}

fn start(settings: Vec<Settings>) -> anyhow::Result<()> {
    actix::System::new().block_on(async {
        let mut running: Vec<Devnet> = Vec::new();
        for settings in settings {
            let endpoint = settings.face.endpoint();
            let devnet = crate::devnet::start(settings).await?;
            super::print(&format!("devnet: {endpoint} at {}\n", devnet.url()))?;
            running.push(devnet);
        }
        super::serve::signalled().await?;
        for devnet in running {
            devnet.stop().await;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn each_ledger_has_its_own_address() {
        let ledgers = |line: &str| -> Vec<(Face, String)> {
            let arguments = Line::parse_from(line.split(' ')).arguments;
            arguments.ledgers().map(|(face, listen)| (face, listen.to_string())).collect()
        };
        let stellar = |at: &str| (Face::Stellar, at.to_owned());
        let xrpl = |at: &str| (Face::Xrpl, at.to_owned());
        assert_eq!(ledgers("devnet"), [stellar("127.0.0.1:8000")]);
        assert_eq!(ledgers("devnet --listen 127.0.0.1:1"), [stellar("127.0.0.1:1")]);
        assert_eq!(ledgers("devnet --ledger xrpl"), [xrpl("127.0.0.1:5005")]);
        let both = "devnet --ledger xrpl --ledger stellar --listen 127.0.0.1:1";
        assert_eq!(ledgers(both), [xrpl("127.0.0.1:1"), stellar("127.0.0.1:8000")]);
    }

    #[test]
    fn rates_are_exact() {
        for (rate, millis) in [
            ("1", 1_000),
            ("4", 250),
            ("0.2", 5_000),
            ("0.25", 4_000),
            ("1000", 1),
            ("2.50", 400),
            ("0.001", 1_000_000),
        ] {
            assert_eq!(rate.parse(), Ok(Rate(Duration::from_millis(millis))), "{rate}");
        }
        assert_eq!("3".parse(), Ok(Rate(Duration::from_nanos(333_333_333))));
        for bad in ["", "0", "0.0", "-1", "1e3", "1001", "0.0001", ".5", "1.2.3", "+1", "99999", "0.0000000001"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
