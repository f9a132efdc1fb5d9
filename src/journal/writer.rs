//! The one thread that writes.

use super::aside;
use super::clock::Clock;
use super::form::{FormError, Packer};
use super::hole::Hole;
use super::open::{Opened, open_or_renew, renew};
use super::prune::unix_millis;
use super::queue::Group;
use super::salvage::salvage;
use super::store::{NewRow, Store, StoreError, Stream};
use super::{Positions, Shared, lock};
use crate::event::SourceNumber;
use crate::server::metrics::Metrics;
use crate::source::SourceError;
use rusqlite::ErrorCode;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Ledgers of one transaction, and their weight: what is there when the one before is done, so one while the source is
/// live and many while it catches up.
const GROUP: usize = 64;
const GROUP_WEIGHT: usize = 16 << 20;
/// How often it is looked at what is too old, and at most how long the thread sleeps.
const PRUNE: Duration = Duration::from_secs(1);
/// Rows given up in a step: more than a group brings, so that giving up keeps pace.
const PRUNE_ROWS: usize = 2 * GROUP;
/// A disk that failed is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// The thread's state.
pub struct Writer {
    shared: Arc<Shared>,
    store: Option<Store>,
    packer: Option<Packer>,
    metrics: Arc<Metrics>,
    /// Once there is a file.
    clock: Option<Clock>,
    /// Bytes of a damaged file that was moved aside.
    aside: u64,
}

/// Without it sources would wait for room for ever.
impl Drop for Writer {
    fn drop(&mut self) {
        crate::broker::end_if_panicking("journal");
    }
}

impl Writer {
    /// With the store, if it could be opened already.
    pub fn new(shared: Arc<Shared>, store: Option<Store>, metrics: Arc<Metrics>) -> Writer {
        let aside = aside::size(&shared.path);
        Writer { shared, store, packer: None, metrics, clock: None, aside }
    }

    /// Until the queue is closed and empty, or cannot be written.
    pub fn run(mut self) {
        let mut pruned = None::<Instant>;
        let mut more = false;
        let mut unlooked = 0;
        loop {
            let group = self.shared.queue.take(GROUP, GROUP_WEIGHT, if more { Duration::ZERO } else { PRUNE });
            let written = self.write(&group);
            let failed = written.is_err();
            if let Err(error) = written {
                self.failed(&group, &error);
            }
            self.shared.queue.finish(&group, !failed);
            unlooked += group.ledgers.len();
            let due = more || unlooked >= GROUP || pruned.is_none_or(|at| at.elapsed() >= PRUNE);
            if !failed && due {
                (pruned, unlooked) = (Some(Instant::now()), 0);
                more = self.prune().unwrap_or_else(|error| {
                    self.failed(&group, &error);
                    false
                });
            }
            if group.closing && (group.ledgers.is_empty() || failed) {
                return;
            }
            if failed {
                self.shared.queue.pause(RETRY);
            }
        }
    }

    /// The store, opened again if need be.
    fn store(&mut self) -> Result<&mut Store, StoreError> {
        let damage = lock(&self.shared.damaged).take();
        if let Some(damage) = damage {
            self.renew(&StoreError::Damaged(damage))?;
        } else if self.store.is_none() {
            self.reopen(|shared, known| open_or_renew(&shared.path, &known.streams))?;
        }
        self.store.as_mut().ok_or_else(|| StoreError::Damaged("no store".into()))
    }

    /// Goes on in another file, with what can be read of this one; where that is nothing, with the positions alone.
    fn renew(&mut self, damage: &StoreError) -> Result<(), StoreError> {
        self.shared.queue.set_salvaging(true);
        let renewed = self.reopen(|shared, known| match salvage(shared, known, damage) {
            Err(StoreError::InUse(why)) => Err(StoreError::InUse(why)),
            Err(error) => {
                log::error!(file:% = shared.path.display(); "nothing can be copied of the damaged journal: {error}");
                renew(&shared.path, &known.streams, damage)
            }
            copied => copied,
        });
        self.shared.queue.set_salvaging(false);
        renewed
    }

    /// With no other connection of this process, and of no other process.
    fn reopen(
        &mut self,
        open: impl FnOnce(&Shared, &Positions) -> Result<Opened, StoreError>,
    ) -> Result<(), StoreError> {
        self.store = None;
        let shared = self.shared.clone();
        shared.hold()?;
        let mut reading = lock(&shared.reading);
        *reading = None;
        let known = shared.positions().clone();
        self.took(open(&shared, &known)?);
        Ok(())
    }

    fn took(&mut self, Opened { store, streams, renewed }: Opened) {
        if let Some(renewed) = renewed {
            let mut known = self.shared.positions();
            for (source, current) in self.shared.sources.iter().zip(&known.current) {
                if let Some(stream) = current.and_then(|at| streams.get(at)) {
                    source.gone_through.fetch_max(stream.gone_through, Ordering::AcqRel);
                }
            }
            known.streams = streams;
            known.holes = renewed.holes;
            drop(known);
            self.lost(renewed.lost);
            self.aside = aside::size(&self.shared.path);
        }
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
        self.store = Some(store);
    }

    /// Ledgers could not be kept.
    fn lost(&self, ledgers: u64) {
        if ledgers > 0 {
            lock(&self.shared.health).lost += ledgers;
            self.metrics.journal_lost(ledgers);
            log::error!(ledgers, file:% = self.shared.path.display();
                "ledgers are missing in the journal; who reads there is told which");
        }
    }

    /// The time by which rows get old.
    fn now(&mut self) -> SystemTime {
        let wall = SystemTime::now();
        #[cfg(test)]
        let wall = wall + super::tests::clock_set_by(&self.shared.path);
        let newest = || self.store.as_ref().and_then(|store| store.newest_posted().ok().flatten());
        self.clock.get_or_insert_with(|| Clock::new(wall, newest())).now(wall)
    }

    /// One transaction: the ledgers, where their sources stand, and what was given up before them.
    fn write(&mut self, group: &Group) -> Result<(), StoreError> {
        self.store()?;
        if group.ledgers.is_empty() {
            self.shared.works();
            return Ok(());
        }
        let now = self.now();
        if self.packer.is_none() {
            self.packer = Packer::new().ok();
        }
        let (mut positions, known_streams) = {
            let known = self.shared.positions();
            let positions =
                Positions { streams: known.streams.clone(), current: known.current.clone(), holes: Vec::new() };
            (positions, known.streams.len())
        };
        let mut holes: Vec<Hole> = group.lost.clone();
        for hole in &mut holes {
            let at = stream_of(&self.shared, &mut positions, hole.source, &hole.network);
            hole.stream = positions.streams[at].id;
        }
        let keeps = self.shared.keep.enabled;
        let mut rows = Vec::with_capacity(group.ledgers.len());
        let mut touched = BTreeMap::<SourceNumber, usize>::new();
        let mut packed = 0;
        for waiting in &group.ledgers {
            let (entry, batch) = (&waiting.entry, &waiting.entry.batch);
            let at = stream_of(&self.shared, &mut positions, batch.source, &batch.network);
            positions.current[usize::from(batch.source)] = Some(at);
            touched.insert(batch.source, at);
            let stream = &mut positions.streams[at];
            (stream.epoch, stream.ledger, stream.hash) = (batch.epoch, batch.ledger.index, batch.ledger.hash);
            (stream.sequence, stream.events) = (entry.sequence, entry.first_event + u64::from(entry.len()));
            stream.counters.clone_from(&waiting.counters);
            if !keeps {
                stream.gone_through = entry.sequence;
                continue;
            }
            let form = self.packer.as_mut().map(|packer| packer.pack(batch));
            match form.unwrap_or(Err(FormError::TooLong(0))) {
                Ok(form) => {
                    packed += form.len();
                    let posted_at = unix_millis(now.checked_sub(entry.posted.elapsed()).unwrap_or(UNIX_EPOCH));
                    rows.push(NewRow { stream: stream.id, entry, posted_at, form });
                }
                Err(error) => {
                    log::error!(ledger = batch.ledger.index, source = batch.source; "a ledger cannot be kept: {error}");
                    holes.push(Hole { stream: stream.id, ..Hole::of(entry, &error.to_string()) });
                }
            }
        }
        let changed: Vec<Stream> = touched.values().map(|at| positions.streams[*at].clone()).collect();
        let created = positions.streams[known_streams..].iter().filter(|new| !changed.contains(new)).cloned();
        let streams: Vec<Stream> = created.chain(changed.iter().cloned()).collect();
        // Not another one than at the beginning: what a renewed one has given up is not in these positions.
        let store = self.store.as_mut().ok_or_else(|| StoreError::Damaged("no store".into()))?;
        store.commit(&rows, &streams, &holes)?;
        let lost = holes.iter().map(Hole::ledgers).sum();
        {
            let mut known = self.shared.positions();
            (known.streams, known.current) = (positions.streams, positions.current);
            known.holes.extend(holes);
            known.holes.sort_by_key(|hole| hole.through);
            for (source, at) in &touched {
                let gone = known.streams[*at].gone_through;
                self.shared.sources[usize::from(*source)].gone_through.fetch_max(gone, Ordering::AcqRel);
            }
        }
        self.shared.works();
        self.lost(lost);
        self.metrics.journal_written(rows.len() as u64, packed as u64);
        for (source, stream) in touched.keys().zip(&changed) {
            let state = &self.shared.sources[usize::from(*source)];
            if let Some(status) = &*lock(&state.status) {
                status.checkpoint(stream.ledger, Ok(()));
            }
            if let Some(old) = lock(&state.old_file).take() {
                // It would be wrong from now on.
                let _ = fs::remove_file(old);
            }
        }
        Ok(())
    }

    /// Says it to everybody who may wait, and tries another file or another connection the next time.
    fn failed(&mut self, group: &Group, error: &StoreError) {
        let remedy = match error {
            StoreError::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                "make room on the disk of `state_dir`, or lower `journal.max_bytes`"
            }
            _ => "check `state_dir`, its space and its rights",
        };
        let reason = format!("cannot be written: {error}; {remedy}");
        self.shared.fails(&reason);
        self.metrics.journal_failed();
        self.store = None;
        if error.is_damage()
            && let Err(error) = self.renew(error)
        {
            log::error!(file:% = self.shared.path.display(); "the journal cannot go on in another file: {error}");
        }
        let mut last = BTreeMap::new();
        for waiting in &group.ledgers {
            last.insert(waiting.entry.batch.source, waiting.entry.batch.ledger.index);
        }
        for (source, ledger) in last {
            let state = self.shared.sources.get(usize::from(source));
            if let Some(status) = state.and_then(|state| lock(&state.status).clone()) {
                let (path, reason) = (self.shared.path.clone(), reason.clone());
                status.checkpoint(ledger, Err(SourceError::Checkpoint { path, reason }));
            }
        }
    }

    /// Gives up some of what is too old or too much. Whether there is more.
    fn prune(&mut self) -> Result<bool, StoreError> {
        let shared = self.shared.clone();
        let gone = |streams: &BTreeMap<i64, u64>| {
            // Before the rows are gone: whoever reads meanwhile must not take what comes after them for what is next.
            let mut known = shared.positions();
            for (id, sequence) in streams {
                let Some(at) = known.streams.iter().position(|stream| stream.id == *id) else { continue };
                known.streams[at].gone_through = known.streams[at].gone_through.max(*sequence);
                for (source, current) in shared.sources.iter().zip(&known.current) {
                    if *current == Some(at) {
                        source.gone_through.fetch_max(*sequence, Ordering::AcqRel);
                    }
                }
                known.holes.retain(|hole| hole.stream != *id || hole.through > *sequence);
            }
        };
        let keep = self.shared.keep.clone();
        if self.store.as_ref().is_some_and(|store| store.is_gone_from(&shared.path)) {
            let damage = StoreError::Damaged("its file was deleted or replaced while it was used".into());
            self.reopen(|shared, known| renew(&shared.path, &known.streams, &damage))?;
        }
        self.store()?;
        let now = self.now();
        let pruned = self.store()?.prune(&keep, now, PRUNE_ROWS, gone)?;
        let oldest = pruned.oldest.map(|millis| UNIX_EPOCH + Duration::from_millis(millis.max(0).cast_unsigned()));
        {
            let mut health = lock(&self.shared.health);
            (health.bytes, health.oldest) = (pruned.bytes, oldest);
        }
        if self.aside > 0 && pruned.bytes.saturating_add(self.aside) > keep.max_bytes.0 {
            aside::remove(&self.shared.path, "with it the journal takes more than `journal.max_bytes`", |_| true);
            self.aside = 0;
        }
        let age = oldest.and_then(|oldest| now.duration_since(oldest).ok()).unwrap_or_default();
        let (_, waiting) = self.shared.queue.size();
        self.metrics.journal_size(pruned.bytes, waiting, age);
        Ok(pruned.more)
    }
}

/// Where the stream of a source on a network stands among all; a new one at the end if there is none.
fn stream_of(shared: &Shared, positions: &mut Positions, source: SourceNumber, network: &str) -> usize {
    let state = &shared.sources[usize::from(source)];
    let is_it =
        |stream: &Stream| (&*stream.source, &*stream.network, &*stream.scope) == (&*state.name, network, &*state.scope);
    let current = positions.current[usize::from(source)];
    let found = positions.streams.iter().position(is_it);
    if let Some(at) = found
        && current == found
    {
        return at;
    }
    // The source reads something else from now on: what was before is given up.
    let own = positions.streams.iter().filter(|stream| stream.source == state.name);
    let gone = own.map(|stream| stream.sequence).max().unwrap_or(0);
    let at = found.unwrap_or_else(|| {
        positions.streams.push(Stream {
            id: positions.streams.iter().map(|stream| stream.id).max().unwrap_or(0) + 1,
            source: state.name.clone(),
            network: network.into(),
            scope: state.scope.clone(),
            epoch: 0,
            ledger: 0,
            hash: None,
            counters: BTreeMap::new(),
            sequence: 0,
            events: 0,
            gone_through: 0,
        });
        positions.streams.len() - 1
    });
    positions.streams[at].gone_through = positions.streams[at].gone_through.max(gone);
    at
}
