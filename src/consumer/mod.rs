//! Ledgers → places that keep them: what wants every ledger of its sources and has no socket of ours.
//!
//! In: the stream of some sources, read from shared history and, further back, from the backlog. Out: rows in a
//! database, whole ledgers in order. One folder for each kind; [`postgres`] is the first.
//!
//! Who owns what: a consumer owns its position, one for each source, its connection and its thread, named
//! `consumer-<number>`. Nobody sends it anything but the head: it reads on when it has written what it read.
//! [`Status`] is shared with the metrics, and tells the log.
//!
//! What always holds:
//! * nothing that happens here is waited for by a source, a session or the broker: a slow or dead database only
//!   means that a position stays behind;
//! * the position is what the database holds, so that after any death, of either side, the next life goes on after the
//!   last ledger that is there whole;
//! * what memory and the backlog do not reach any more is told, in the log and in the database: no silent hole;
//! * secrets are read from files, the environment or a pipeline file, and never printed.
//!
//! Adding a kind of consumer: one folder, and one line in each list of `table.rs`.

pub mod postgres;
mod status;
mod table;

pub use status::{Health, SourceLag, Status, Table};
pub use table::{ConsumerConfig, check_files, probe};

use crate::broker::{Backlog, History};
use crate::config::Config;
use crate::event::SourceNumber;
use crate::server::metrics::Metrics;
use crate::server::{give_way, name_thread};
use actix::Arbiter;
use std::sync::Arc;
use tokio::sync::watch;

/// How far a consumer's thread stands back for those of live clients: it reads on from where it is whenever it can.
const NICE: i32 = 10;

/// What every consumer reads from.
#[derive(Clone)]
pub struct Stream {
    /// Recent ledgers.
    pub history: Arc<History>,
    /// What history no longer holds, if it is kept.
    pub backlog: Option<Arc<dyn Backlog>>,
    /// Tells the head.
    pub heads: watch::Receiver<u64>,
}

/// What one consumer is given.
pub struct Context {
    /// The stream.
    pub stream: Stream,
    /// The sources that it shall keep, with their names.
    pub sources: Vec<(SourceNumber, Arc<str>)>,
    /// Where it tells how it is.
    pub status: Arc<Status>,
    /// The section of its settings, for messages.
    pub section: String,
    /// Turns true when it shall write what is there and end.
    pub stop: watch::Receiver<bool>,
}

/// A fault of ours would else end it without a word: nobody waits for it.
struct Watch(Arc<Status>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.died();
        }
    }
}

/// A consumer that runs on a thread of its own.
pub struct Running {
    stop: watch::Sender<bool>,
    thread: Arbiter,
}

/// Starts all consumers of the settings.
pub fn start(config: &Config, stream: &Stream, metrics: &Metrics) -> Vec<Running> {
    let all = config.consumers.iter().enumerate();
    let running = all.map(|(number, consumer)| {
        let sources: Vec<(SourceNumber, Arc<str>)> = consumer
            .sources
            .iter()
            .filter_map(|name| Some((config.sources.number(name)?, name.as_str().into())))
            .collect();
        let name = format!("{}-{number}", consumer.consumer.kind());
        let status = Arc::new(Status::new(name, stream.history.clone(), sources.clone()));
        metrics.add_consumer(status.clone());
        let section = format!("consumers[{number}].config");
        let (stop, stopped) = watch::channel(false);
        let thread = Arbiter::new();
        thread.spawn_fn(move || {
            name_thread(&format!("consumer-{number}"));
            give_way(NICE);
        });
        let context = Context { stream: stream.clone(), sources, status, section, stop: stopped };
        let consumer = consumer.consumer.clone();
        thread.spawn(async move {
            let _watch = Watch(context.status.clone());
            table::run(&consumer, context).await;
        });
        Running { stop, thread }
    });
    running.collect()
}

impl Running {
    /// Asks it to write what is there and to end.
    pub fn ask(&self) {
        self.stop.send_replace(true);
    }

    /// The same, and waits until it has; one whose database is away ends soon.
    pub async fn finish(&self) {
        self.ask();
        self.stop.closed().await;
    }
}

/// Ends it wherever it is: what is not committed is not there.
impl Drop for Running {
    fn drop(&mut self) {
        self.thread.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_ours_is_told() {
        let status = Arc::new(Status::new("postgres-0".to_owned(), Arc::new(History::new(1, 0, 1)), Vec::new()));
        status.is_up();
        drop(Watch(status.clone()));
        assert!(status.health().up, "it was asked to end");
        let watch = Watch(status.clone());
        let fault = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _watch = watch;
            panic!("a fault");
        }));
        let health = status.health();
        assert!(fault.is_err() && !health.up);
        assert_eq!(health.errors.into_iter().collect::<Vec<_>>(), [("died", 1)]);
    }
}
