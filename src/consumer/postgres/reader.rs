//! A place in the stream of one source, and the rows that come of what is read there.

use super::database::{Database, Write, Written};
use super::place::{Break, Incoming, MISSED, Plan, Tip, follows, goes_back, plan};
use super::rows::{hash_text, integer};
use super::trouble::{Kind, Trouble};
use crate::broker::{StreamEntry, Stretch, Stretches};
use crate::consumer::{Status, Stream, Table};
use crate::event::{ContinuityKind, Hash, SourceNumber};
use std::sync::Arc;

/// How often a ledger is looked up anew when somebody else writes the same at the same time.
const LOOKS: usize = 3;

/// A place in the stream of one source.
pub struct Reader {
    number: SourceNumber,
    name: Arc<str>,
    stretches: Stretches,
    /// Everything up to this broker sequence is done.
    after: u64,
    /// The network, once a ledger told it, on this connection.
    network: Option<Arc<str>>,
    /// What the database counts epochs higher than the source does.
    shift: Shift,
    /// The last ledger that passed.
    passed: Option<Tip>,
    /// The last that we wrote or found; `None` before the first look.
    written: Option<Option<Tip>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shift {
    Known(i32),
    /// The next ledger comes right after the one that the database has last.
    NextIsAfterTip,
    /// The next ledger comes from somewhere else.
    NextIsElsewhere,
}

impl Reader {
    /// Of this source, its place unknown yet.
    pub fn new(stream: &Stream, number: SourceNumber, name: Arc<str>) -> Reader {
        Reader {
            number,
            name,
            stretches: Stretches::new(stream.history.clone(), stream.backlog.clone(), number),
            after: 0,
            network: None,
            shift: Shift::Known(0),
            passed: None,
            written: None,
        }
    }

    /// A new connection: the place is asked anew.
    pub fn detach(&mut self) {
        self.network = None;
    }

    /// Whether there is more to read.
    pub fn is_behind(&self) -> bool {
        let newest = self.stretches.newest();
        newest.is_some_and(|newest| self.passed.as_ref().is_none_or(|tip| tip.ledger < newest))
    }

    /// Reads the next ledgers and writes them. False: there are none yet.
    pub async fn step(
        &mut self,
        database: &mut Database,
        status: &Status,
        bytes: usize,
        at_most: usize,
    ) -> Result<bool, Trouble> {
        if self.network.is_none() && !self.attach(database, status).await? {
            return Ok(false);
        }
        match self.stretches.read(self.after, bytes, at_most).await.map_err(Trouble::backlog)? {
            Stretch::Ledgers(ledgers) => {
                self.write_all(database, status, &ledgers).await?;
                Ok(true)
            }
            Stretch::Newest => Ok(false),
            Stretch::Gone => {
                let oldest = self.stretches.oldest();
                if oldest <= self.after {
                    let reason = "the next one is on its way from memory to there";
                    return Err(Trouble::backlog(reason.to_owned()));
                }
                // What is missing is known when the next ledger comes.
                self.after = oldest;
                Ok(true)
            }
        }
    }

    /// Finds the place after the newest ledger in the database. False: nothing is known of the network yet.
    async fn attach(&mut self, database: &Database, status: &Status) -> Result<bool, Trouble> {
        let oldest = self.stretches.oldest();
        let first = self.stretches.read(oldest.max(self.after), 1, 1).await.map_err(Trouble::backlog)?;
        let first = match (first, self.written.is_some()) {
            (Stretch::Ledgers(ledgers), _) => ledgers,
            // At the head: any ledger tells the network.
            (_, true) => match self.stretches.read(oldest, 1, 1).await.map_err(Trouble::backlog)? {
                Stretch::Ledgers(ledgers) => ledgers,
                _ => return Ok(false),
            },
            _ => return Ok(false),
        };
        let Some(network) = first.first().map(|entry| entry.batch.network.clone()) else { return Ok(false) };
        let tips = database.tips(&network).await?;
        if self.written.as_ref().map(Option::as_ref) != Some(tips.first()) {
            let mut place = (tips.first(), None);
            // The database may be ahead: we died before the journal had what was written here, or another writes, too.
            // Or its newest were replaced meanwhile. Then the place is after what both have, not at the beginning, where
            // rows may have been deleted by whom they served long enough.
            for tip in &tips {
                let hash = tip.hash.as_deref().and_then(|hash| Hash::from_hex(hash.trim_start_matches("0x")));
                let found = self.stretches.find(tip.ledger, hash).await.map_err(Trouble::backlog)?;
                if found.is_some() {
                    place = (Some(tip), found);
                    break;
                }
            }
            self.shift = match place {
                (None, _) => Shift::Known(0),
                (Some(_), Some(_)) => Shift::NextIsAfterTip,
                (Some(_), None) => Shift::NextIsElsewhere,
            };
            self.after = place.1.unwrap_or(oldest);
            if let Some(tip) = tips.first() {
                status.wrote_through(self.number, tip.ledger);
            }
            self.passed = place.0.cloned();
            self.written = Some(self.passed.clone());
        }
        self.network = Some(network);
        Ok(true)
    }

    async fn write_all(
        &mut self,
        database: &mut Database,
        status: &Status,
        ledgers: &[Arc<StreamEntry>],
    ) -> Result<(), Trouble> {
        let mut run: Vec<&StreamEntry> = Vec::new();
        let mut tip = self.passed.clone();
        for entry in ledgers {
            if self.network.as_ref() != Some(&entry.batch.network) {
                self.flush(database, status, &mut run, ledgers).await?;
                // The source reads another network from here on.
                self.passed = database.tip(&entry.batch.network).await?;
                (self.network, self.shift) = (Some(entry.batch.network.clone()), Shift::NextIsElsewhere);
                tip = self.passed.clone();
            }
            let next = self.incoming(entry, tip.as_ref());
            if follows(tip.as_ref(), &next) {
                tip = Some(next.tip);
                run.push(entry);
                continue;
            }
            self.flush(database, status, &mut run, ledgers).await?;
            self.settle(database, status, entry, ledgers).await?;
            tip = self.passed.clone();
        }
        self.flush(database, status, &mut run, ledgers).await
    }

    /// What a ledger is, as the database counts.
    fn incoming<'a>(&mut self, entry: &'a StreamEntry, tip: Option<&Tip>) -> Incoming<'a> {
        let batch = &entry.batch;
        let own = i32::try_from(batch.epoch).unwrap_or(i32::MAX);
        let is_reset = batch.continuity.as_ref().is_some_and(|it| it.kind == ContinuityKind::Reset);
        let before = own - i32::from(is_reset);
        let shift = match (self.shift, tip) {
            (Shift::Known(shift), _) => shift,
            (_, None) => 0,
            (Shift::NextIsAfterTip, Some(tip)) => tip.epoch - before,
            // Without state a source counts from 0 again; with it, more resets may have come.
            (Shift::NextIsElsewhere, Some(tip)) => (tip.epoch - before).max(0),
        };
        self.shift = Shift::Known(shift);
        let hash = |hash: Option<Hash>| hash.map(|hash| hash_text(batch, &hash));
        Incoming {
            tip: Tip { epoch: own.saturating_add(shift), ledger: batch.ledger.index, hash: hash(batch.ledger.hash) },
            parent: hash(batch.ledger.parent),
            continuity: batch.continuity.as_ref(),
            is_hole: batch.continuity.is_some() && batch.events.is_empty() && batch.ledger.hash.is_none(),
        }
    }

    /// Writes ledgers that follow each other, and the tip.
    async fn flush(
        &mut self,
        database: &mut Database,
        status: &Status,
        run: &mut Vec<&StreamEntry>,
        ledgers: &[Arc<StreamEntry>],
    ) -> Result<(), Trouble> {
        let run = std::mem::take(run);
        let Some(last) = run.last() else { return Ok(()) };
        let tip = self.incoming(last, None).tip;
        let write = Write {
            source: &self.name,
            ledgers: &run,
            epoch: tip.epoch,
            replace_from: None,
            breaks: &[],
            before: run[0],
            notes_only: false,
        };
        match database.write(&write).await {
            Ok(Written::Done { events, gaps }) => {
                self.tell(status, &write, events, gaps);
                self.passed_by(last, Some(tip), true, status);
                return Ok(());
            }
            Ok(Written::Conflict) => {}
            Err(trouble) if trouble.kind == Kind::Data => {}
            Err(trouble) => return Err(trouble),
        }
        // One by one: which is it?
        for entry in run {
            self.settle(database, status, entry, ledgers).await?;
        }
        Ok(())
    }

    /// Looks up where a ledger belongs, and writes it. `ledgers` are those that it was read with.
    async fn settle(
        &mut self,
        database: &mut Database,
        status: &Status,
        entry: &StreamEntry,
        ledgers: &[Arc<StreamEntry>],
    ) -> Result<(), Trouble> {
        let name = self.name.clone();
        for _ in 0..LOOKS {
            let passed = self.passed.clone();
            let mut next = self.incoming(entry, passed.as_ref());
            let mut known = database.known(&entry.batch.network, &next.tip).await?;
            if goes_back(passed.as_ref(), &next, &known) {
                known.is_foreign = self.is_foreign(database, next.tip.epoch, ledgers).await?;
            }
            let alone = [entry];
            let mut write = Write {
                source: &name,
                ledgers: &alone,
                epoch: next.tip.epoch,
                replace_from: None,
                breaks: &[],
                before: entry,
                notes_only: false,
            };
            let noted;
            match plan(passed.as_ref(), &next, &known) {
                Plan::Skip => {
                    let (there, ours) = (known.events, entry.batch.events.len() as u64);
                    if there != ours {
                        let index = entry.batch.ledger.index;
                        status.error(
                            "differs",
                            &format!(
                                "ledger {index} of {name} has {ours} events, and the row that is there counts {there}; \
                                 sources that each read a part of one network need a consumer and a `table_prefix` each"
                            ),
                        );
                    }
                    self.passed_by(entry, Some(next.tip), true, status);
                    return Ok(());
                }
                Plan::Note(breaks) => {
                    noted = breaks;
                    write.notes_only = true;
                }
                Plan::Write { replace_from, epochs, breaks } => {
                    next.tip.epoch += epochs;
                    noted = breaks;
                    (write.epoch, write.replace_from) = (next.tip.epoch, replace_from);
                }
            }
            write.breaks = &noted;
            let written = match database.write(&write).await {
                Err(trouble) if trouble.kind == Kind::Data => {
                    let index = entry.batch.ledger.index;
                    let reason = format!("the database cannot hold it: {trouble}");
                    status.error("unwritable", &format!("ledger {index} of {} is left out: {reason}", self.name));
                    let mut noted = noted.clone();
                    noted.push(Break { kind: "unwritable", from: Some(index), to: Some(index), reason });
                    let note = Write { breaks: &noted, notes_only: true, ..write };
                    let written = database.write(&note).await?;
                    self.finish(status, entry, next.tip, &note, written);
                    return Ok(());
                }
                written => written?,
            };
            if written != Written::Conflict {
                self.finish(status, entry, next.tip, &write, written);
                return Ok(());
            }
        }
        Err(Trouble { kind: Kind::Conflict, reason: "others write the same ledgers at the same time".to_owned() })
    }

    /// Whether none of the ledgers that come together is in the database; unknown where they have no hashes.
    async fn is_foreign(&self, database: &Database, epoch: i32, ledgers: &[Arc<StreamEntry>]) -> Result<bool, Trouble> {
        let known = ledgers.iter().filter_map(|entry| Some((&entry.batch, entry.batch.ledger.hash?)));
        let (indexes, hashes): (Vec<i64>, Vec<String>) =
            known.map(|(batch, hash)| (integer(batch.ledger.index), hash_text(batch, &hash))).unzip();
        let Some(entry) = ledgers.first().filter(|_| !hashes.is_empty()) else { return Ok(false) };
        Ok(!database.has_one(&entry.batch.network, epoch, &indexes, &hashes).await?)
    }

    fn tell(&self, status: &Status, write: &Write<'_>, events: u64, gaps: u64) {
        if !write.notes_only {
            let all: u64 = write.ledgers.iter().map(|entry| u64::from(entry.len())).sum();
            status.wrote(Table::Ledgers, write.ledgers.len() as u64);
            status.wrote(Table::Events, events);
            if events < all {
                let (first, last) = (write.ledgers.first(), write.ledgers.last());
                let index = |entry: Option<&&StreamEntry>| entry.map_or(0, |entry| entry.batch.ledger.index);
                status.error(
                    "repeated",
                    &format!(
                        "{} events of ledgers {} to {} of {} have ids that are there already; they were left out",
                        all - events,
                        index(first),
                        index(last),
                        self.name
                    ),
                );
            }
        }
        status.wrote(Table::Gaps, gaps);
        for it in write.breaks.iter().filter(|it| it.kind == MISSED) {
            let (from, to) = (it.from.unwrap_or(0), it.to.map_or("the reset".to_owned(), |to| to.to_string()));
            status.error(MISSED, &format!("ledgers {from} to {to} of {} are missing: {}", self.name, it.reason));
        }
    }

    /// Notes what `settle` wrote.
    fn finish(&mut self, status: &Status, entry: &StreamEntry, tip: Tip, write: &Write<'_>, written: Written) {
        let Written::Done { events, gaps } = written else { return };
        self.tell(status, write, events, gaps);
        let own = i32::try_from(entry.batch.epoch).unwrap_or(i32::MAX);
        self.shift = Shift::Known(tip.epoch - own);
        self.passed_by(entry, Some(tip), !write.notes_only, status);
    }

    fn passed_by(&mut self, entry: &StreamEntry, tip: Option<Tip>, is_there: bool, status: &Status) {
        self.after = entry.sequence;
        if is_there {
            self.written = Some(tip.clone());
        }
        self.passed = tip;
        status.wrote_through(self.number, entry.batch.ledger.index);
    }
}
