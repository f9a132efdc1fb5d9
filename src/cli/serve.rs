//! `serve`: the server, with a file or as the demo.

use super::devnet::{Rate, Traffic};
use super::listen::CannotListen;
use super::{banner, demo, descriptors};
use crate::config::{Bind, Config, Loaded, LogFormat, load};
use crate::devnet::Face;
use crate::server::{ListenError, Server, StartError};
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the line of what flows is logged: often enough to see that the demo moves, and rarely
/// where nobody looks.
const DEMO_REPORT: Duration = Duration::from_secs(10);
const REPORT: Duration = Duration::from_secs(300);

/// The options of `serve`. Without `--config` it is the demo.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The settings file, ours or a pipeline file of Obsrvr Flow; without it, a demo with an embedded ledger
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
    /// The traffic of the embedded ledgers.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            interval: self.devnet_rate.0,
            events_per_ledger: self.devnet_events_per_ledger,
            accounts: self.devnet_accounts,
            seed: self.devnet_seed,
        }
    }

    /// The settings, once the embedded ledgers serve.
    pub fn config(&self, ledgers: demo::Ledgers) -> Config {
        demo::config(ledgers, &self.traffic(), self.bind, self.admin)
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
    File(Box<Loaded>),
    /// The demo: start the embedded ledgers on free ports of the loopback, then serve
    /// [`DemoArguments::config`] and print [`DemoArguments::banner`].
    Demo(DemoArguments),
}

/// Serves until the process is told to stop.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut file = arguments.config.as_deref().map(load).transpose()?;
    let log = file.as_ref().map(|file| file.config.log.clone()).unwrap_or_default();
    crate::logging::init(arguments.log.unwrap_or(log.format), log.level);

    let open_files = descriptors::raise();
    if let Some(file) = &mut file {
        descriptors::fit_and_tell(&mut file.config, open_files);
        for note in &file.notes {
            log::info!("{note}");
        }
    }
    start(
        match file {
            Some(file) => Plan::File(Box::new(file)),
            None => Plan::Demo(arguments.demo),
        },
        open_files,
    )
}

/// Runs the server in an actix system until a signal ends it.
fn start(plan: Plan, open_files: Option<u64>) -> anyhow::Result<()> {
    actix::System::new().block_on(async {
        match plan {
            Plan::File(file) => serve(&file.config, &Origin::File(&file)).await,
            Plan::Demo(arguments) => {
                let ledger =
                    |face| crate::devnet::start(arguments.traffic().settings(face, ([127, 0, 0, 1], 0).into()));
                let (stellar, xrpl) = (ledger(Face::Stellar).await?, ledger(Face::Xrpl).await?);
                let (evm, planetmint) = (ledger(Face::Evm).await?, ledger(Face::Planetmint).await?);
                let ledgers = demo::Ledgers {
                    stellar: stellar.url(),
                    xrpl: xrpl.url(),
                    evm: evm.url(),
                    planetmint: planetmint.url(),
                };
                let mut config = arguments.config(ledgers);
                // Its few clients need no warning.
                descriptors::fit(&mut config, open_files);
                let result = serve(&config, &Origin::Demo(&arguments)).await;
                for ledger in [stellar, xrpl, evm, planetmint] {
                    ledger.stop().await;
                }
                result
            }
        }
    })
}

/// What chose the settings: it decides how things are called.
pub(super) enum Origin<'a> {
    File(&'a Loaded),
    Demo(&'a DemoArguments),
    /// What it says once it listens, for the addresses of clients and operators.
    Replay(&'a dyn Fn(SocketAddr, SocketAddr) -> String),
}

/// Serves until a signal. A second one ends at once.
pub(super) async fn serve(config: &Config, origin: &Origin<'_>) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let server = Server::start(config).map_err(|error| not_started(error, origin))?;
    match (origin, server.listening.first()) {
        (Origin::Demo(demo), Some(listening)) => super::print(&demo.banner(*listening, server.admin))?,
        (Origin::Replay(banner), Some(listening)) => super::print(&banner(*listening, server.admin))?,
        _ => log::info!(clients:? = server.listening, admin:% = server.admin; "listening"),
    }
    let mut hangup = signal(SignalKind::hangup())?;
    let every = if matches!(origin, Origin::Demo(_)) { DEMO_REPORT } else { REPORT };
    let mut report = Report::new(&server);
    loop {
        tokio::select! {
            (signal, _) = signals.next() => {
                log::info!(signal; "stopping; once more to stop at once");
                break;
            }
            _ = hangup.recv() => server.reload(),
            () = tokio::time::sleep(every) => report.tell(&server),
        }
    }
    tokio::select! {
        () = server.stop() => {}
        (signal, number) = signals.next() => {
            log::warn!(signal; "stopped at once");
            // As shells tell of a process that a signal ended: this was no drain.
            std::process::exit(128 + number);
        }
    }
    Ok(())
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Its name and its number.
    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
        }
    }
}

/// Returns when the process is told to end.
pub(super) async fn signalled() -> std::io::Result<()> {
    Signals::new()?.next().await;
    Ok(())
}

/// The quiet line now and then of what flows.
struct Report {
    ledgers: u64,
    events: u64,
    delivered: u64,
}

impl Report {
    fn new(server: &Server) -> Report {
        let (ledgers, events) = Report::posted(server);
        Report { ledgers, events, delivered: server.metrics().deliveries() }
    }

    fn posted(server: &Server) -> (u64, u64) {
        let posted = |status: &std::sync::Arc<crate::source::SourceStatus>| {
            let known = status.snapshot();
            (known.ledgers_posted, known.events_posted)
        };
        server.sources().map(posted).fold((0, 0), |sum, source| (sum.0 + source.0, sum.1 + source.1))
    }

    fn tell(&mut self, server: &Server) {
        let (ledgers, events) = Report::posted(server);
        let delivered = server.metrics().deliveries();
        log::info!(
            ledgers = ledgers - self.ledgers, events = events - self.events,
            delivered = delivered - self.delivered, clients = server.sessions();
            "flowing"
        );
        *self = Report { ledgers, events, delivered };
    }
}

fn not_started(error: StartError, origin: &Origin<'_>) -> anyhow::Error {
    match (error, origin) {
        (StartError::Listen(error), _) => cannot_listen(error, origin).into(),
        (StartError::File(mut error), Origin::File(file)) => {
            error.key = file.name_in_file(&error.key);
            error.into()
        }
        (StartError::File(error), Origin::Demo(_) | Origin::Replay(_)) => error.into(),
        (StartError::Journal(error), _) => error.into(),
    }
}

fn cannot_listen(error: ListenError, origin: &Origin<'_>) -> CannotListen {
    let setting = match (origin, error.key.as_str()) {
        (Origin::Demo(_) | Origin::Replay(_), "admin.bind") => "--admin".to_owned(),
        (Origin::Demo(_) | Origin::Replay(_), _) => "--bind".to_owned(),
        (Origin::File(file), key) => file.name_in_file(key),
    };
    CannotListen::new(error.address, setting, error.error)
}
