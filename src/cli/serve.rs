//! `serve`: the server, with a file or as the demo.

use super::devnet::{Rate, Traffic};
use super::{banner, demo, descriptors};
use crate::config::{Bind, Config, LogFormat, load};
use clap::Parser;
use std::path::PathBuf;

/// The options of `serve`. Without `--config` it is the demo.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The settings file; without it, a demo with an embedded ledger
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How log lines are written, whatever the file says
    #[arg(long, value_name = "FORMAT")]
    pub log: Option<LogFormat>,
    /// The options of the demo.
    #[command(flatten)]
    pub demo: DemoArguments,
}

/// What can be chosen without a file.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Demo (without --config)")]
pub struct DemoArguments {
    /// Where clients connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", conflicts_with = "config")]
    pub bind: Bind,
    /// Where /livez, /readyz and /metrics are
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090", conflicts_with = "config")]
    pub admin: Bind,
    /// Ledgers in a second, such as 1, 4 or 0.2
    #[arg(long, value_name = "NUMBER", default_value = "1", conflicts_with = "config")]
    pub devnet_rate: Rate,
    /// Events in each ledger, about
    #[arg(long, value_name = "NUMBER", default_value_t = 20, conflicts_with = "config")]
    pub devnet_events_per_ledger: u32,
    /// Accounts that take part
    #[arg(long, value_name = "NUMBER", default_value_t = 50, conflicts_with = "config")]
    pub devnet_accounts: u32,
    /// Equal seeds give equal ledgers
    #[arg(long, value_name = "NUMBER", default_value_t = 1, conflicts_with = "config")]
    pub devnet_seed: u64,
}

impl Default for Arguments {
    /// As if nothing was given after `serve`.
    fn default() -> Arguments {
        #[derive(Parser)]
        struct Nothing {
            #[command(flatten)]
            arguments: Arguments,
        }
        Nothing::parse_from(["serve"]).arguments
    }
}

impl DemoArguments {
    /// The traffic of the embedded ledger.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            interval: self.devnet_rate.0,
            events_per_ledger: self.devnet_events_per_ledger,
            accounts: self.devnet_accounts,
            seed: self.devnet_seed,
        }
    }

    /// The settings, once the embedded ledger serves at `rpc_url`.
    pub fn config(&self, rpc_url: String) -> Config {
        demo::config(rpc_url, self.bind, self.admin)
    }

    /// What the demo says once it listens at `bind` and `admin`: not always the addresses asked
    /// for, since port 0 means any free one.
    pub fn banner(&self, bind: std::net::SocketAddr, admin: std::net::SocketAddr) -> String {
        banner::banner(bind, admin)
    }
}

/// What shall be served.
#[derive(Debug)]
pub enum Plan {
    /// What a file says.
    Settings(Box<Config>),
    /// The demo: start the embedded ledger on a free port of the loopback, then serve
    /// [`DemoArguments::config`] and print [`DemoArguments::banner`].
    Demo(DemoArguments),
}

/// Serves until the process is told to stop.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = arguments.config.as_deref().map(load).transpose()?;
    let log = config.as_ref().map(|config| config.log.clone()).unwrap_or_default();
    crate::logging::init(arguments.log.unwrap_or(log.format), log.level);

    let open_files = descriptors::raise();
    // The demo's few clients need no warning.
    if let Some(config) = &config {
        descriptors::warn_if_short(open_files, config.limits.connections);
    }
    start(match config {
        Some(config) => Plan::Settings(Box::new(config)),
        None => Plan::Demo(arguments.demo),
    })
}

/// INTEGRATION: the one call into `crate::server` (and, for the demo, `crate::devnet`). Wrap errors
/// of a bind in [`super::listen::CannotListen`], with `--bind` or `--admin` for the demo and the key
/// otherwise.
fn start(_plan: Plan) -> anyhow::Result<()> {
    anyhow::bail!("this build has no server")
}
