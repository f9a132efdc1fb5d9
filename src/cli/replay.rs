//! `replay`: a recording for clients, as if it happened now.

use super::serve::{Origin, serve, signalled};
use super::{banner, demo, descriptors};
use crate::broker::History;
use crate::config::check::check;
use crate::config::units::{Size, Time};
use crate::config::{
    Admin, Bind, Config, Listener, LogFormat, LogLevel, Mount, SourceConfig, Sources, load, reference,
};
use crate::dialect::five_bells::{self, LedgerSettings, Named};
use crate::dialect::{DialectConfig, flow, maticvigil, planetmint, rippled};
use crate::event::{Family, Mark, Replay, Speed};
use crate::journal::{Journal, SourceKey};
use crate::server::metrics::Metrics;
use crate::source::recording::{self, Recording, Summary};
use crate::source::{self, LedgerConfig};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What `--help` says of it.
pub const ABOUT: &str = "\
Serve a recording as if it happened now

What `ledgercast export` wrote is served in the protocols that fit its ledger, to clients that need no change: a trading
bot is tested against yesterday's market through the same protocol as today's.

  ledgercast replay --speed 10x day.jsonl

Each client begins with the first ledger when it subscribes, goes on at the chosen speed, and is told the end: in Flow by
`replay_end`, in every protocol by close code 1000. So it gets the same messages in the same order each time. With
--together all clients see the same moment instead, which begins when the program starts.

Without --config the addresses are those of the demo: /ws for Flow, and as it fits /xrpl, /vigil/ws, /planetmint, /bells.
With --config they are those of that settings file, with its users, keys and names, for all of its mounts that show the
recorded source. Calls to the ledger's own server get the protocol's error, since none is behind a recording. The ledgers
are unpacked into a folder in TMPDIR that is removed at the end; it takes about as much as a recording made with --lean.";

/// Memory for what was unpacked last: nobody asks for it.
const UNPACKING: usize = 1 << 20;
/// Nobody wonders what it does before this.
const QUIET: Duration = Duration::from_secs(5);

/// The options of `replay`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The recording: a file, or a folder of them (*.jsonl), which are joined in the order of their ledgers
    #[arg(value_name = "FILE|DIR")]
    pub path: PathBuf,
    /// How fast: 1x as the ledgers closed, 10x, 0.5x, or max: as fast as each client reads
    #[arg(long, value_name = "SPEED", default_value = "1x")]
    pub speed: Speed,
    /// Where clients connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub bind: Bind,
    /// Where /livez, /readyz and /metrics are
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub admin: Bind,
    /// All clients see the same moment
    #[arg(long)]
    pub together: bool,
    /// Only this protocol, such as flow or rippled; more than one with several of them
    #[arg(long, value_name = "NAME")]
    pub dialect: Vec<String>,
    /// Settings of a server that reads the same ledger: clients find its mounts, users, keys and names
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How log lines are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log: LogFormat,
}

/// Serves until the process is told to stop.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    crate::logging::init(arguments.log, LogLevel::default());
    let open_files = descriptors::raise();
    let summary = Recording::open(&arguments.path)?.summary();
    let mut config = config(&arguments, &summary)?;
    descriptors::fit(&mut config, open_files);
    actix::System::new().block_on(async {
        // Removed when it is dropped, after the server has ended.
        let _folder = if arguments.together {
            None
        } else {
            let folder = TempDir::with_prefix("ledgercast-replay-").context("no folder can be made; set TMPDIR")?;
            if !unpack(&arguments.path, folder.path(), &config).await? {
                return Ok(());
            }
            config.state_dir = Some(folder.path().to_owned());
            Some(folder)
        };
        serve(&config, &Origin::Replay(&|clients, operators| told(&arguments, &summary, &config, clients, operators)))
            .await
    })
}

/// The settings: one source, and the mounts that fit.
fn config(arguments: &Arguments, summary: &Summary) -> anyhow::Result<Config> {
    let name = summary.header.source.clone();
    let speed = if arguments.together { arguments.speed } else { Speed::Max };
    let ledger = LedgerConfig::Recording(recording::Config { path: arguments.path.as_path().into(), speed });
    let (mut config, mut mounts) = match &arguments.config {
        None => (Config::default(), mounts(summary)),
        Some(file) => {
            let config = load(file)?.config;
            let mounts = mounts_of(&config, &name);
            if mounts.is_empty() {
                bail!("{} has no mount that shows a source `{name}`, which was recorded", file.display());
            }
            (config, mounts)
        }
    };
    let dialect = |mount: &Mount| reference::dialect(&mount.dialect).0;
    let known = mounts.iter().map(dialect).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = arguments.dialect.iter().find(|wanted| !mounts.iter().any(|mount| dialect(mount) == *wanted))
    {
        bail!("--dialect {unknown}: this recording can be served as {known}");
    }
    mounts.retain(|mount| {
        arguments.dialect.is_empty() || arguments.dialect.iter().any(|wanted| wanted == dialect(mount))
    });
    if !arguments.together {
        let until = Some(Mark::Ledger(summary.header.to.ledger));
        for mount in &mut mounts {
            mount.begin = Some((Mark::Oldest, Replay { speed: arguments.speed, until: until.clone() }));
        }
    }
    config.sources = Sources(vec![(name, SourceConfig { ledger })]);
    config.listeners = vec![Listener { bind: arguments.bind, mounts, ..Listener::default() }];
    config.admin = Admin { bind: arguments.admin };
    (config.state_dir, config.consumers) = (None, Vec::new());
    // Nothing of it is given up while it is served.
    config.journal = crate::config::Journal {
        enabled: true,
        max_age: Time::days(36_500),
        max_bytes: Size(i64::MAX.cast_unsigned()),
    };
    let problems = check(&config);
    if !problems.is_empty() {
        let told: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        bail!("{} cannot be served: {}", arguments.path.display(), told.join("\n"));
    }
    Ok(config)
}

/// The mounts of a settings file that show a source, with that source alone.
fn mounts_of(config: &Config, name: &str) -> Vec<Mount> {
    let all = config.listeners.iter().flat_map(|listener| &listener.mounts);
    let showing = all.filter(|mount| mount.sources.iter().any(|source| source == name));
    showing
        .map(|mount| {
            let mut mount = Mount { sources: vec![name.to_owned()], ..mount.clone() };
            if let DialectConfig::FiveBells(bells) = &mut mount.dialect {
                only(bells, name);
            }
            mount
        })
        .collect()
}

/// Leaves of a mount's ledgers those of one source.
fn only(bells: &mut five_bells::Config, source: &str) {
    let Named(ledgers) = &mut bells.ledgers;
    ledgers.retain(|(_, ledger)| ledger.source == source);
    let is_kept = |key: &str| ledgers.iter().any(|(kept, _)| kept == key);
    for user in &mut bells.users {
        user.0.accounts.retain(|account| account.split_once(':').is_none_or(|(key, _)| is_kept(key)));
    }
    if bells.default.as_deref().is_some_and(|key| !is_kept(key)) {
        bells.default = ledgers.first().map(|(key, _)| key.clone());
    }
}

/// The protocols that fit the recorded ledger, where the demo has them.
fn mounts(summary: &Summary) -> Vec<Mount> {
    let header = &summary.header;
    let mut mounts = Vec::new();
    let mut mount = |path: &str, dialect| {
        mounts.push(Mount {
            dialect,
            path: path.to_owned(),
            sources: vec![header.source.clone()],
            allowed_origins: Vec::new(),
            tokens_file: None,
            resume: false,
            replay: false,
            begin: None,
        });
    };
    mount("/ws", DialectConfig::Flow(flow::Config::default()));
    match header.family {
        Family::Stellar => {}
        Family::Xrpl => mount("/xrpl", DialectConfig::Rippled(rippled::Config::default())),
        // A key that sees nothing is none.
        Family::Evm if header.contracts.is_empty() => {}
        Family::Evm => {
            let contracts = header.contracts.iter().map(|(_, address)| address.clone()).collect();
            let config = maticvigil::Config { keys: vec![demo::key(contracts)], ..maticvigil::Config::default() };
            mount("/vigil/ws", DialectConfig::Maticvigil(config));
        }
        Family::Planetmint => mount("/planetmint", DialectConfig::Planetmint(planetmint::Config::default())),
    }
    let (key, asset) = match header.family {
        Family::Stellar => ("xlm", "native"),
        Family::Xrpl => ("xrp", "native"),
        Family::Evm => ("eth", "native"),
        Family::Planetmint => ("planetmint", "any"),
    };
    let ledger = LedgerSettings {
        source: header.source.clone(),
        asset: asset.to_owned(),
        ilp_prefix: Some(format!("test.{key}.")),
        ..LedgerSettings::default()
    };
    let bells = five_bells::Config {
        ledgers: Named(vec![(key.to_owned(), ledger)]),
        users: vec![demo::admin()],
        ..five_bells::Config::default()
    };
    mount("/bells", DialectConfig::FiveBells(bells));
    mounts
}

/// Puts the whole recording into a journal, as if it had been read here. False: the process was told to stop.
async fn unpack(path: &Path, directory: &Path, config: &Config) -> anyhow::Result<bool> {
    let [(name, settings)] = config.sources.0.as_slice() else { bail!("a replay has one source") };
    let key = SourceKey { name: name.clone(), scope: source::scope(&settings.ledger) };
    let mut recording = Recording::open(path)?;
    let all = recording.summary().end.ledgers;
    let journal = Journal::open(directory, config.journal.clone(), vec![key])?;
    let history = Arc::new(History::new(1, 0, UNPACKING));
    journal.start(history.clone(), Arc::new(Metrics::default()));
    let stop = signalled();
    tokio::pin!(stop);
    let (mut count, mut told_at) = (0, Instant::now());
    while let Some(batch) = recording.next(0)? {
        if let Some(entry) = history.append(batch, Instant::now()) {
            journal.append(entry, BTreeMap::new());
        }
        count += 1;
        if told_at.elapsed() > QUIET {
            told_at = Instant::now();
            log::info!(ledgers = count, of = all; "unpacking the recording");
        }
        let room = journal.room();
        let room = async {
            match room {
                Some(room) => room.await,
                None => tokio::task::yield_now().await,
            }
        };
        tokio::select! {
            biased;
            _ = &mut stop => return Ok(false),
            () = room => {}
        }
    }
    journal.flushed().await;
    let health = journal.health();
    journal.close();
    match health.error {
        Some(error) => bail!("the recording cannot be unpacked: {error}; make room, or set TMPDIR to another folder"),
        None if health.lost > 0 => bail!("{} ledgers could not be unpacked; set TMPDIR to another folder", health.lost),
        None => Ok(true),
    }
}

/// What is said once it is up.
fn told(
    arguments: &Arguments,
    summary: &Summary,
    config: &Config,
    clients: SocketAddr,
    operators: SocketAddr,
) -> String {
    let (clients, operators) = (banner::reachable(clients), banner::reachable(operators));
    let Summary { header, end, files } = summary;
    let path = arguments.path.display();
    let of = if *files == 1 { String::new() } else { format!(" ({files} files)") };
    let mut text = format!(
        "ledgercast replays {path}{of} at {}. Ctrl-C stops it.\n\n  \
         Recorded   {} ledgers with {} events of {}: {} to {}\n             {} to {}{}\n",
        arguments.speed,
        end.ledgers,
        end.events,
        header.network,
        header.from.ledger,
        header.to.ledger,
        header.from.closed_at,
        header.to.closed_at,
        match end.missing {
            0 => String::new(),
            missing => format!("; {missing} ledgers are missing, which clients are told"),
        },
    );
    let begin = match arguments.together {
        true => "All see the same moment, which has begun now; nothing comes after the last ledger.",
        false => "Each begins with the first ledger when it subscribes, and is closed (1000) after the last.",
    };
    let _ = writeln!(text, "  Clients    {begin}");
    for mount in config.listeners.iter().flat_map(|listener| &listener.mounts) {
        let (scheme, about) = match &mount.dialect {
            DialectConfig::Flow(_) => ("ws", "Obsrvr Flow".to_owned()),
            DialectConfig::Rippled(_) => ("ws", "XRP Ledger: xrpl.js, xrpl-py".to_owned()),
            DialectConfig::Maticvigil(_) if arguments.config.is_none() => {
                ("ws", format!("MaticVigil, with the key {}", demo::VIGIL_KEY))
            }
            DialectConfig::Maticvigil(_) => ("ws", "MaticVigil".to_owned()),
            DialectConfig::Planetmint(_) => ("http", "Planetmint; its API tells where the streams are".to_owned()),
            DialectConfig::FiveBells(_) if arguments.config.is_none() => {
                ("http", "five-bells-ledger; admin:admin".to_owned())
            }
            DialectConfig::FiveBells(_) => ("http", "five-bells-ledger".to_owned()),
        };
        let _ = writeln!(text, "             {scheme}://{clients}{} ({about})", mount.path);
    }
    let _ = writeln!(text, "  Operators  http://{operators}/readyz and http://{operators}/metrics");
    text
}
