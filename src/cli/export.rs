//! `export`: kept ledgers become a recording, also while a server writes on.

use crate::config::{Config, load};
use crate::event::{ContinuityKind, LedgerBatch};
use crate::journal::{Bound, Export, Exported};
use crate::source::recording::{Edge, Header, VERSION, Writer};
use crate::source::{self, LedgerConfig};
use anyhow::{Context, anyhow, bail};
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What `--help` says of it.
pub const ABOUT: &str = "\
Write ledgers that a server keeps to a file: a recording

What a server with `state_dir` has kept of one source (see `journal` in the settings) is written as lines of JSON: a
header, a line for each ledger in the order of the stream, an end mark. The server may run meanwhile and notices nothing.

  ledgercast export --config my.yaml --from 2026-11-21 --to 2026-11-22 > day.jsonl
  jq -r 'select(.ledger) | .events[] | select(.type == \"payment\") | .amount' day.jsonl

In each line `events` is what Flow's clients got, for people and jq; `data` is the whole ledger, and the only part that
is read again, by `ledgercast replay` and by sources of `type: recording`. Ledgers of the range that are not kept are
told on standard error and in the file; the exit code is 0 all the same, since whoever replays the file is told of them
as well. It is 1 where nothing of the range is there, or the file could not be written whole.";

/// Nobody wonders what it does before this.
const QUIET: Duration = Duration::from_secs(5);
/// Bytes of a write.
const BUFFER: usize = 1 << 20;

/// The options of `export`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The settings file of the server
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Which of its sources; needed where there are several
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// The first ledger: a number, or a time such as 2026-11-21T09:30:00Z or 2026-11-21 [default: the oldest kept]
    #[arg(long, value_name = "LEDGER|TIME")]
    pub from: Option<Bound>,
    /// The last ledger: a number, or the time up to which ledgers closed [default: the newest]
    #[arg(long, value_name = "LEDGER|TIME")]
    pub to: Option<Bound>,
    /// Where to write; the file is there only once it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Leave out `events`, which are there for people: a much smaller file
    #[arg(long)]
    pub lean: bool,
}

/// Writes the recording.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = load(&arguments.config)?.config;
    let (name, ledger) = source_of(&config, arguments.source.as_deref())?;
    let Some(directory) = &config.state_dir else {
        bail!("{} has no `state_dir`, so nothing is kept; add it", arguments.config.display());
    };
    let mut export = Export::open(directory, name, &source::scope(ledger), arguments.from, arguments.to)?;
    let Some(last) = export.last()? else {
        bail!("no ledger of that range is kept; leave out --from and --to for all that are there");
    };
    let first = export.take_next()?.ok_or_else(|| anyhow!("the ledgers were given up meanwhile; try again"))?;
    let header = header(name, ledger, &first.batch, &last.batch);
    let told = match &arguments.output {
        Some(path) => {
            let part = PathBuf::from(format!("{}.part", path.display()));
            let file = File::create(&part).with_context(|| format!("cannot write {}", part.display()))?;
            let told = write(&mut export, first, &header, arguments, file);
            finish(&part, path, told)?
        }
        None => match write(&mut export, first, &header, arguments, io::stdout().lock()) {
            // A reader that left early (`| head`).
            Err(error) if is_broken_pipe(&error) => return Ok(()),
            told => told?.0,
        },
    };
    eprintln!("{told}");
    Ok(())
}

fn source_of<'a>(config: &'a Config, name: Option<&str>) -> anyhow::Result<(&'a str, &'a LedgerConfig)> {
    let of = |(name, source): &'a (String, crate::config::SourceConfig)| (name.as_str(), &source.ledger);
    let names = || config.sources.names().collect::<Vec<_>>().join(", ");
    match (name, config.sources.0.as_slice()) {
        (None, [only]) => Ok(of(only)),
        (None, _) => bail!("the file has several sources; add --source and one of {}", names()),
        (Some(name), sources) => sources
            .iter()
            .find(|(known, _)| known == name)
            .map(of)
            .ok_or_else(|| anyhow!("no source is called `{name}`; there is {}", names())),
    }
}

fn header(name: &str, ledger: &LedgerConfig, first: &LedgerBatch, last: &LedgerBatch) -> Header {
    let contracts = ledger.contracts().into_iter();
    Header {
        ledgercast_recording: VERSION,
        source: name.to_owned(),
        family: ledger.family(),
        network: first.network.to_string(),
        from: Edge::of(first),
        to: Edge::of(last),
        coins: ledger.coins(),
        contracts: contracts.map(|(name, address)| (name.to_owned(), address.to_owned())).collect(),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Gives the file its name once all of it is on the disk.
fn finish(part: &Path, path: &Path, written: anyhow::Result<(String, File)>) -> anyhow::Result<String> {
    let named = written.and_then(|(told, file)| {
        file.sync_all()?;
        fs::rename(part, path)?;
        Ok(told)
    });
    if named.is_err() {
        // It is of no use; that it cannot be removed matters less than why.
        let _ = fs::remove_file(part);
    }
    named.with_context(|| format!("cannot write {}", path.display()))
}

/// Writes all lines, and gives back what was done in words.
fn write<W: Write>(
    export: &mut Export,
    first: Exported,
    header: &Header,
    arguments: &Arguments,
    out: W,
) -> anyhow::Result<(String, W)> {
    const GONE: &str = "not kept any more";
    let (begun, mut told_at) = (Instant::now(), Instant::now());
    let mut writer = Writer::begin(BufWriter::with_capacity(BUFFER, out), header, !arguments.lean)?;
    let first_ledger = first.batch.ledger.index;
    if let Some(Bound::Ledger(from)) = arguments.from
        && from < first_ledger
    {
        tell_missing(from, first_ledger - 1, GONE);
        writer.missing(from, first_ledger - 1, GONE)?;
    }
    let (mut next, mut before) = (Some(first), None::<(u32, u64)>);
    while let Some(Exported { batch, form }) = next {
        let (epoch, index) = (batch.epoch, batch.ledger.index);
        match (&batch.continuity, before) {
            (Some(told), _) if told.kind == ContinuityKind::Gap => {
                tell_missing(told.from_ledger, told.to_ledger, &told.reason);
            }
            (None, Some((same, last))) if same == epoch && index > last + 1 => {
                tell_missing(last + 1, index - 1, GONE);
                writer.missing(last + 1, index - 1, GONE)?;
            }
            _ => {}
        }
        writer.ledger(&batch, &form)?;
        before = Some((epoch, index));
        if told_at.elapsed() > QUIET {
            told_at = Instant::now();
            eprintln!("ledger {index}, of {} to {}", header.from.ledger, header.to.ledger);
        }
        next = export.take_next()?;
    }
    let last = before.map_or(first_ledger, |(_, last)| last);
    if let Some(Bound::Ledger(to)) = arguments.to
        && to > last
    {
        eprintln!("ledgers after {last} are not there yet");
    }
    let (out, end) = writer.end()?;
    let out = out.into_inner().map_err(|error| error.into_error())?;
    let Header { network, from, to, .. } = header;
    let told = format!(
        "{} ledgers with {} events of {network}: {first_ledger} to {last}, {} to {}, in {:.1?}; {} missing",
        end.ledgers,
        end.events,
        from.closed_at,
        to.closed_at,
        begun.elapsed(),
        end.missing,
    );
    Ok((told, out))
}

fn tell_missing(from: u64, to: u64, why: &str) {
    eprintln!("missing: ledgers {from} to {to}: {why}");
}
