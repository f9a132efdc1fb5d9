//! `devnet`: only the embedded ledger.

use crate::config::Bind;
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
    /// Where the RPC listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub listen: Bind,
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
    pub fn settings(&self, listen: SocketAddr) -> crate::devnet::Settings {
        crate::devnet::Settings {
            listen,
            seed: self.seed,
            ledger_interval: self.interval,
            events_per_ledger: self.events_per_ledger as usize,
            accounts: self.accounts as usize,
            ..crate::devnet::Settings::default()
        }
    }
}

/// Runs the embedded ledger until the process is told to stop.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    crate::logging::init(Default::default(), Default::default());
    let settings = crate::devnet::Settings {
        payments_per_ledger: arguments.payments_per_ledger.map(|count| count as usize),
        ..arguments.traffic().settings(arguments.listen.0)
    };
    start(settings)
}

fn start(settings: crate::devnet::Settings) -> anyhow::Result<()> {
    actix::System::new().block_on(async {
        let devnet = crate::devnet::start(settings).await?;
        super::print(&format!("devnet: Stellar RPC at {}\n", devnet.url()))?;
        super::serve::signalled().await?;
        devnet.stop().await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
