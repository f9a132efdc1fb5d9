//! One run: a program, its clients, a stretch of time, and what came of it.

use crate::clients::{Clients, Target};
use crate::common::{monotonic, percentile};
use crate::frames::Seen;
use crate::kernel;
use crate::pause;
use crate::server::Program;
use crate::workload::{Contender, Traffic, Wish, Workload};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Figures of a run by their names.
pub type Figures = BTreeMap<&'static str, f64>;

/// What a program takes for its first clients, it takes once: memory counts from here on.
const FIRST_CLIENTS: usize = 500;
/// The server hands over what it counts once a second.
const SETTLE: Duration = Duration::from_millis(1500);

/// What stood at one moment between two ledgers.
struct Moment {
    nanos: u64,
    frames: u64,
    delivery: u64,
    source: u64,
    devnet: u64,
    clients: u64,
}

impl Moment {
    fn now(program: &Program, clients: &Clients) -> Moment {
        quiet(clients);
        let cpu = program.cpu();
        Moment {
            nanos: monotonic(),
            frames: clients.frames(),
            delivery: cpu.delivery,
            source: cpu.source,
            devnet: cpu.devnet,
            clients: kernel::cpu_of(std::process::id(), |name| name == "clients"),
        }
    }
}

/// Waits until nothing has come for a moment: then no ledger is half delivered.
fn quiet(clients: &Clients) {
    let end = Instant::now() + Duration::from_secs(3);
    let mut frames = clients.frames();
    loop {
        pause(Duration::from_millis(4));
        let now = clients.frames();
        if now == frames || Instant::now() > end {
            return;
        }
        frames = now;
    }
}

/// Measures a program under a workload.
pub fn measure(workload: &Workload, contender: Contender, recorded: &[Vec<String>]) -> Figures {
    let mut program = match contender {
        Contender::Limit(writing) => Program::limit(workload, writing, recorded),
        Contender::Ledgercast => Program::ledgercast(workload),
    };
    let mut figures = Figures::new();
    let registers = Arc::new(workload.registers());
    let clients = Clients::start(Target { address: program.address, registers, tls: program.tls.clone() });
    let first = FIRST_CLIENTS.min(workload.clients / 2);
    clients.connect(first);
    pause(SETTLE);
    let memory_of_first = program.memory();
    let (started, cpu) = (Instant::now(), program.cpu());
    clients.connect(workload.clients);
    let more = (workload.clients - first) as f64;
    figures.insert("connect_seconds", started.elapsed().as_secs_f64() * workload.clients as f64 / more);
    figures.insert("connect_cpu_us", (program.cpu().delivery - cpu.delivery) as f64 / 1e3 / more);
    pause(SETTLE);
    // Of a few clients it would be the memory of everything else.
    let each = |memory: u64| (workload.clients >= 1000).then(|| (memory as f64 - memory_of_first as f64) / more);
    figures.extend(each(program.memory()).map(|memory| ("memory", memory)));

    let (counted, load) = (program.counted(), kernel::load());
    let before = Moment::now(&program, &clients);
    let (mut posted, mut served) = (program.posted_lately(), program.served_lately());
    for _ in 0..workload.seconds {
        pause(Duration::from_secs(1));
        // The server forgets soon.
        posted.extend(program.posted_lately());
        served.extend(program.served_lately());
    }
    let after = Moment::now(&program, &clients);
    pause(SETTLE);
    let counted_after = program.counted();
    figures.extend(each(program.memory()).map(|memory| ("memory_after", memory)));
    figures.insert("load", load);
    posted.extend(program.posted_lately());
    served.extend(program.served_lately());
    let failed = clients.failed();
    posted.extend(program.end());
    let streams = clients.stop();

    let deliveries = after.frames - before.frames;
    let seconds = (after.nanos - before.nanos) as f64 / 1e9;
    figures.insert("client_cpu_share", (after.clients - before.clients) as f64 / 1e9 / seconds);
    figures.insert("failed", failed as f64);
    figures.insert("cpu_share", (after.delivery - before.delivery) as f64 / 1e9 / seconds);
    if deliveries == 0 {
        return figures;
    }
    let ledgers = posted.values().filter(|nanos| (before.nanos..after.nanos).contains(nanos)).count() as f64;
    figures.insert("ledgers", ledgers);
    figures.insert("deliveries", deliveries as f64);
    figures.insert("deliveries_per_second", deliveries as f64 / seconds);
    figures.insert("cpu_us", (after.delivery - before.delivery) as f64 / 1e3 / deliveries as f64);
    if contender == Contender::Ledgercast {
        let writes = (counted_after.writes - counted.writes) as f64;
        let queued = (counted_after.deliveries - counted.deliveries) as f64;
        let together = match workload.traffic {
            Traffic::Mixed { events } => f64::from(events),
            Traffic::Payments { .. } => 1.0,
        };
        figures.insert("writes_per_ledger", writes * together / queued);
        figures.insert("source_us_per_ledger", (after.source - before.source) as f64 / 1e3 / ledgers);
        figures.insert("devnet_us_per_ledger", (after.devnet - before.devnet) as f64 / 1e3 / ledgers);
    }
    let window = Window { workload, posted: &posted, from: before.nanos, to: after.nanos };
    window.latencies(&streams, &posted, &FROM_POST, &mut figures);
    window.latencies(&streams, &served, &FROM_RPC, &mut figures);
    window.losses(&streams, &mut figures);
    figures
}

/// Names of figures, and which share of the latencies each is.
type Latencies = [(&'static str, f64); 4];

/// From the source's post.
const FROM_POST: Latencies = [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999)];
/// From the RPC's first serving: with the source's reading and decoding.
const FROM_RPC: Latencies = [("rpc_p50_ms", 0.5), ("rpc_p90_ms", 0.9), ("rpc_p99_ms", 0.99), ("rpc_p999_ms", 0.999)];

/// The ledgers that count.
struct Window<'a> {
    workload: &'a Workload,
    posted: &'a HashMap<u64, u64>,
    from: u64,
    to: u64,
}

impl Window<'_> {
    /// When a ledger was posted, if it counts.
    fn posted(&self, ledger: u32) -> Option<u64> {
        let nanos = *self.posted.get(&u64::from(ledger))?;
        (self.from..self.to).contains(&nanos).then_some(nanos)
    }

    /// From these moments of the ledgers that count to the read of a ledger's last event. Nothing where there are none.
    fn latencies(&self, streams: &[Vec<Seen>], since: &HashMap<u64, u64>, names: &Latencies, figures: &mut Figures) {
        let latency = |seen: &Seen| {
            self.posted(seen.ledger)?;
            Some(seen.read_nanos.saturating_sub(*since.get(&u64::from(seen.ledger))?))
        };
        let mut sorted: Vec<u64> = streams.iter().flatten().filter_map(latency).collect();
        sorted.sort_unstable();
        if !sorted.is_empty() {
            figures.extend(names.iter().map(|(name, share)| (*name, percentile(&sorted, *share))));
        }
    }

    /// Frames that are missing, and ledgers that are not alike at all clients or not whose they should be.
    fn losses(&self, streams: &[Vec<Seen>], figures: &mut Figures) {
        let count = self.workload.events();
        let ledgers: Vec<u32> = self.posted.keys().map(|ledger| *ledger as u32).collect();
        let ledgers = ledgers.into_iter().filter(|ledger| self.posted(*ledger).is_some());
        // What each client shall have got.
        let mut expected: HashMap<(usize, u32), u32> = HashMap::new();
        for ledger in ledgers {
            match self.workload.wish {
                Wish::Everything => expected.extend((0..streams.len()).map(|client| ((client, ledger), count))),
                Wish::OwnAccount => {
                    let first = u64::from(ledger) * u64::from(count);
                    for turn in first..first + u64::from(count) {
                        *expected.entry(((turn % streams.len() as u64) as usize, ledger)).or_default() += 1;
                    }
                }
                Wish::Nothing => {}
            }
        }
        let (mut wrong, mut bytes, mut frames, mut lengths) = (0, 0, 0, HashMap::new());
        for (client, stream) in streams.iter().enumerate() {
            for seen in stream.iter().filter(|seen| self.posted(seen.ledger).is_some()) {
                let left = expected.entry((client, seen.ledger)).or_default();
                wrong += u64::from(seen.frames.saturating_sub(*left));
                *left = left.saturating_sub(seen.frames);
                (bytes, frames) = (bytes + u64::from(seen.bytes), frames + u64::from(seen.frames));
                if self.workload.wish == Wish::Everything {
                    wrong += u64::from(*lengths.entry(seen.ledger).or_insert(seen.bytes) != seen.bytes);
                }
            }
            wrong += stream.windows(2).filter(|two| two[0].ledger >= two[1].ledger).count() as u64;
        }
        figures.insert("lost", expected.values().map(|left| f64::from(*left)).sum());
        figures.insert("wrong", wrong as f64);
        figures.insert("bytes_per_delivery", bytes as f64 / frames as f64);
    }
}
