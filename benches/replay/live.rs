//! The clients that are live all the while, and what they noticed in each stretch of time.

use crate::clients::{Clients, Target};
use crate::common::{Server, monotonic, percentile};
use crate::frames::Seen;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One stretch of time under one condition.
pub struct Stretch {
    /// Which condition.
    pub what: usize,
    from: u64,
    to: u64,
    /// CPU of the threads that carry events, cores.
    pub cores: f64,
}

/// Latencies of a stretch in milliseconds.
#[derive(Clone, Copy)]
pub struct Times {
    pub p50: f64,
    pub p99: f64,
}

pub struct Live {
    clients: Clients,
    posted: HashMap<u64, u64>,
    stretches: Vec<Stretch>,
}

impl Live {
    pub fn start(server: &Server, count: usize) -> Live {
        let registers = Arc::new(vec![r#"{"type":"register","filters":{}}"#.to_owned()]);
        let clients = Clients::start(Target { address: server.clients, registers, tls: None });
        clients.connect(count);
        Live { clients, posted: HashMap::new(), stretches: Vec::new() }
    }

    /// Lets time pass under a condition, after a second in which it settles.
    pub fn watch(&mut self, server: &Server, what: usize, time: Duration) {
        crate::pause(Duration::from_secs(1));
        let (from, cpu, end) = (monotonic(), server.cpu_nanos(), Instant::now() + time);
        while Instant::now() < end {
            crate::pause(Duration::from_secs(1).min(end.saturating_duration_since(Instant::now())));
            // The server forgets soon.
            self.posted.extend(server.posted());
        }
        let to = monotonic();
        let cores = (server.cpu_nanos() - cpu) as f64 / (to - from) as f64;
        self.stretches.push(Stretch { what, from, to, cores });
    }

    /// The stretches with their times and all latencies, and how many ledgers were lost or not whole.
    pub fn end(mut self, server: &Server, events: u32) -> (Vec<(Stretch, Vec<u64>)>, u64) {
        // What was posted last still comes.
        crate::pause(Duration::from_millis(1500));
        self.posted.extend(server.posted());
        assert_eq!(self.clients.failed(), 0, "a live client was closed");
        let streams = self.clients.stop();
        let wrong = streams.iter().map(|stream| wrong(stream, events)).sum();
        let latencies = |stretch: &Stretch| {
            let latency = |seen: &Seen| {
                let posted = *self.posted.get(&u64::from(seen.ledger))?;
                (stretch.from..stretch.to).contains(&posted).then(|| seen.read_nanos.saturating_sub(posted))
            };
            let mut sorted: Vec<u64> = streams.iter().flatten().filter_map(latency).collect();
            sorted.sort_unstable();
            sorted
        };
        let all = self.stretches.into_iter().map(|stretch| (latencies(&stretch), stretch)).map(|(it, of)| (of, it));
        (all.collect(), wrong)
    }
}

impl Times {
    pub fn of(sorted: &[u64]) -> Times {
        Times { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) }
    }
}

fn wrong(stream: &[Seen], events: u32) -> u64 {
    // The first may have been cut by our coming, the last by our going.
    let torn = stream.windows(2).skip(1).filter(|two| two[1].ledger != two[0].ledger + 1 || two[0].frames != events);
    torn.count() as u64
}
