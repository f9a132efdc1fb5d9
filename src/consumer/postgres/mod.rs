//! PostgreSQL: events and ledgers as rows, made to be asked.
//!
//! In: the stream of some sources. Out: rows in three tables, whose names begin with `table_prefix`: `ledgers`,
//! `events` (each in typed columns, and whole as Flow's clients get it), and `gaps` (every break in the row of ledgers).
//!
//! Who owns what: [`run`] is the life of one consumer: connect, find the place, read, write, go on; `reader` is the
//! place in one source's stream; `place` decides where a ledger belongs among the rows; `database` is the connection
//! and its transactions; `schema` the tables; `rows` and `encode` what stands in them; `trouble` what can go wrong.
//!
//! What always holds:
//! * a ledger is written in one transaction with all of its events: it is there whole or not at all;
//! * the row in `ledgers` is unique for (network, epoch, ledger), the one in `events` for (network, epoch, event id): what
//!   is written twice, by whomever, is there once;
//! * where to go on is asked of the database itself, at every connection: the newest ledger there, by its hash;
//! * ledgers that were replaced (a reorg) are deleted in the transaction that writes their replacement, and `gaps` tells
//!   it: whoever asks the tables sees one chain, without a flag to remember. A network that begins anew, and a chain that
//!   has no link to the rows that are there, gets the next `epoch`, and nothing is deleted;
//! * what could not be read any more, and what the database cannot hold, is a row in `gaps` and a line in the log.

mod config;
mod database;
mod encode;
mod place;
mod reader;
mod rows;
mod schema;
mod tls;
mod trouble;

pub use config::Config;

use super::Context;
use crate::source::Backoff;
use database::Database;
use reader::Reader;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use trouble::{Kind, Trouble};

/// The longest wait between two attempts to connect.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How long a connection may still take when the end was asked for: a database that is there takes less.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// How far batches shrink for a slow database: to a single ledger in any case.
const MOST_HALVINGS: u32 = 16;

/// Asks a database whether it would take rows; both answers are for people.
pub async fn probe(config: &Config, section: &str) -> Result<String, String> {
    database::probe(config, section).await.map_err(|trouble| trouble.to_string())
}

/// Writes until it is stopped.
pub async fn run(config: Config, mut context: Context) {
    let stream = &context.stream;
    let reader = |(number, name): &(_, _)| Reader::new(stream, *number, std::sync::Arc::clone(name));
    let mut life = Life { readers: context.sources.iter().map(reader).collect(), halvings: 0, config };
    let mut backoff = Backoff::default();
    loop {
        let trouble = match life.connected(&mut context, &mut backoff).await {
            Ok(()) => return,
            Err(trouble) => trouble,
        };
        context.status.is_down(trouble.kind.name(), &trouble.reason);
        if trouble.kind == Kind::Timeout {
            life.halvings = (life.halvings + 2).min(MOST_HALVINGS);
        }
        let wait = backoff.after_failure(None, LONGEST_WAIT);
        tokio::select! {
            () = sleep(wait) => {}
            _ = context.stop.changed() => {}
        }
        if *context.stop.borrow() {
            return;
        }
    }
}

struct Life {
    config: Config,
    readers: Vec<Reader>,
    /// Batches are smaller by so many halvings than the settings say: the database is slow.
    halvings: u32,
}

impl Life {
    /// One connection, until it fails or the end.
    async fn connected(&mut self, context: &mut Context, backoff: &mut Backoff) -> Result<(), Trouble> {
        let mut stop = context.stop.clone();
        let at_the_end = async {
            // Who asked for the end is gone where this fails.
            let _ = stop.wait_for(|stop| *stop).await;
            sleep(LAST_WAIT).await;
        };
        let mut database = tokio::select! {
            database = Database::connect(&self.config, &context.section) => database?,
            () = at_the_end => return Ok(()),
        };
        for reader in &mut self.readers {
            reader.detach();
        }
        let mut is_told = false;
        loop {
            context.stream.heads.borrow_and_update();
            let stopping = *context.stop.borrow_and_update();
            let began = Instant::now();
            let mut wrote = false;
            for number in 0..self.readers.len() {
                let bytes = (self.config.batch_bytes.bytes() >> self.halvings).max(1);
                let ledgers = (self.config.batch_ledgers as usize >> self.halvings).max(1);
                match self.readers[number].step(&mut database, &context.status, bytes, ledgers).await {
                    Ok(more) => wrote |= more,
                    Err(trouble) => {
                        // The others go first the next time: what ails one source alone shall not cost them theirs.
                        self.readers.rotate_left(number + 1);
                        return Err(trouble);
                    }
                }
            }
            // Only now: a database that takes connections and no rows is not up.
            if wrote || !is_told {
                is_told = true;
                context.status.is_up();
                backoff.reset();
            }
            if wrote {
                self.halvings = self.halvings.saturating_sub(1);
                if self.readers.iter().any(Reader::is_behind) {
                    continue;
                }
            } else if stopping {
                return Ok(());
            }
            if !wrote {
                tokio::select! {
                    changed = context.stream.heads.changed() => if changed.is_err() { return Ok(()) },
                    _ = context.stop.changed() => {}
                    () = database.closed() => return Err(Trouble::ended()),
                }
            }
            if !*context.stop.borrow() {
                tokio::select! {
                    () = sleep(self.config.batch_wait.0.saturating_sub(began.elapsed())) => {}
                    _ = context.stop.changed() => {}
                }
            }
        }
    }
}
