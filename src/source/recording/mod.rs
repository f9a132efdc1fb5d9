//! Recorded ledgers as a source: what `ledgercast export` wrote is told again, in the same order and at a chosen speed.
//!
//! In: a file of lines, or a folder of them (`line` says what stands in a line, [`Writer`] writes, [`Recording`] reads).
//! Out: the very batches that were recorded, native forms included, so that every dialect says the same bytes again.
//!
//! Who owns what: a [`Recording`] reads one ledger at a time, whatever the size of the file; [`Recorded`] gives them to the
//! Source actor when they are due. After the last one it says so and stays, so that clients stay as well.
//!
//! What always holds:
//! * `data` alone is the truth: the rest of a line is for people, and is not looked at but for the ledger's number;
//! * a ledger that is missing, in a file or between two, is told as a gap, never skipped in silence;
//! * a file that was cut, changed, or written by a newer release is refused with the line and the remedy;
//! * whatever stands in a file, memory is bounded: the length of a line, of a ledger, the number of files.

mod config;
mod file;
mod line;
mod pace;
mod read;
mod server;
#[cfg(test)]
mod tests;
mod write;

pub use config::{Config, Location};
pub use file::Fault;
pub use line::{Edge, End, Header, VERSION};
pub use read::{Recording, Summary};
pub use server::RecordedServer;
pub use write::Writer;

use super::{Checkpoint, Context, Found, Ledger, LocalFuture, Next, Probe, SourceError};
use crate::event::LedgerBatch;
use pace::{LONGEST_WAIT, Pace};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the end of a recording is looked at: nothing comes after it.
const AFTER_THE_END: Duration = Duration::from_secs(3600);

/// A recording, told as a ledger's RPC would tell it.
pub struct Recorded {
    config: Config,
    context: Context,
    /// `None` until it is open.
    recording: Option<Recording>,
    pace: Pace,
    /// The next ledger, once it is read, and when it is due.
    next: Option<(Box<LedgerBatch>, Instant)>,
    /// What was found wrong with the file: nothing mends it while it is read.
    fault: Option<Fault>,
    /// The last ledger that was told.
    last: Option<u64>,
    ended: bool,
}

impl Recorded {
    /// With these settings. Nothing is opened yet.
    pub fn new(config: Config, context: Context) -> Recorded {
        let pace = Pace::new(config.speed);
        Recorded { config, context, recording: None, pace, next: None, fault: None, last: None, ended: false }
    }

    /// Reads on, so that it is known when the next ledger is due.
    fn read_on(&mut self) -> Result<(), SourceError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into());
        }
        let Some(recording) = &mut self.recording else { return Ok(()) };
        if self.next.is_some() || self.ended {
            return Ok(());
        }
        match recording.next(self.context.source) {
            Ok(Some(batch)) => {
                let due = self.pace.due(batch.ledger.closed_at, Instant::now());
                self.next = Some((Box::new(batch), due));
            }
            Ok(None) => {
                self.ended = true;
                let last = self.last.map_or_else(|| "nothing was left".to_owned(), |last| format!("ledger {last}"));
                self.context.status.ended(&format!("the recording {} ended with {last}", self.config.path));
            }
            Err(fault) => {
                self.fault = Some(fault.clone());
                return Err(fault.into());
            }
        }
        Ok(())
    }
}

impl Ledger for Recorded {
    fn scope(&self) -> String {
        format!("recording path={}", self.config.path)
    }

    fn poll_interval(&self) -> Duration {
        match &self.next {
            Some((_, due)) => due.saturating_duration_since(Instant::now()).min(LONGEST_WAIT),
            None => AFTER_THE_END,
        }
    }

    fn identify(&mut self) -> LocalFuture<'_, Result<Arc<str>, SourceError>> {
        let opened = Recording::open(&self.config.path.path).map_err(SourceError::from);
        let network = opened.map(|recording| {
            let network: Arc<str> = recording.summary().header.network.as_str().into();
            self.recording = Some(recording);
            (self.next, self.fault, self.ended) = (None, None, false);
            network
        });
        Box::pin(std::future::ready(network))
    }

    fn open(&mut self, checkpoint: Option<Checkpoint>) -> LocalFuture<'_, Result<(), SourceError>> {
        let mut open = || {
            if let (Some(recording), Some(checkpoint)) = (&mut self.recording, &checkpoint) {
                self.last = Some(checkpoint.ledger);
                recording.go_on_after(checkpoint, self.context.source)?;
            }
            self.read_on()
        };
        Box::pin(std::future::ready(open()))
    }

    fn next(&mut self) -> LocalFuture<'_, Result<Next, SourceError>> {
        let mut next = || {
            self.read_on()?;
            if self.next.as_ref().is_none_or(|(_, due)| *due > Instant::now()) {
                return Ok(Next::NotYet);
            }
            let Some((batch, _)) = self.next.take() else { return Ok(Next::NotYet) };
            self.last = Some(batch.ledger.index);
            // What is wrong with the ledger after this one is told when that is due.
            let _ = self.read_on();
            Ok(Next::Batch(batch))
        };
        Box::pin(std::future::ready(next()))
    }

    fn due(&self) -> Option<u64> {
        self.next.as_ref().map(|(batch, _)| batch.ledger.index)
    }

    /// It is never behind: the speed is its own.
    fn newest(&self) -> Option<u64> {
        None
    }
}

/// Looks at what a recording says of itself.
pub fn probe(config: &Config) -> Vec<Probe> {
    let begun = Instant::now();
    let found = Recording::open(&config.path.path).map_err(SourceError::from).map(|recording| {
        let Summary { header, end, .. } = recording.summary();
        let missing = (end.missing > 0).then(|| format!("{} ledgers are missing in it", end.missing));
        Found {
            network: header.network.clone(),
            name: format!("recorded from source {}", header.source),
            oldest: header.from.ledger,
            latest: header.to.ledger,
            remarks: missing.into_iter().collect(),
        }
    });
    vec![Probe { url: config.path.to_string(), took: begun.elapsed(), found }]
}
