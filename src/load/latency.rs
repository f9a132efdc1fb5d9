//! How long events took, in an open model: the time counts from when a ledger was due, never from when a client came
//! to read it, so a server that makes its clients wait cannot hide it.
//!
//! A Flow event's only time of its own has whole seconds, so the beginning is one of two, and the report says which:
//! * the **post**: with the server's admin listener on the same machine, when its source posted the ledger, on the
//!   clock that all processes of the machine share. This is the latency of the server.
//! * the **first reader**: without it, when the first client of all read something of the ledger. This is how far
//!   clients are apart, the spread. It does not hold what the first one waited, and its own reads are left out.
//!
//! Only ledgers that began while the run measured count, and these however late they come.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Longest time that is told apart, nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;
/// Ledgers whose beginning is remembered.
const LEDGERS: usize = 4096;
/// Reads that wait for their ledger's beginning to be asked for.
const WAITING: usize = 1 << 20;

/// Where time counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// The source's post.
    Post,
    /// The first client that read the ledger.
    FirstReader,
}

/// Nanoseconds, exact to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, LONGEST, 3).expect("the bounds are in order")
}

/// A run of events of one ledger in one read of one client.
#[derive(Debug, Clone, Copy)]
pub struct Read {
    /// The stream that the ledger belongs to.
    pub stream: usize,
    /// The ledger.
    pub ledger: u64,
    /// Who read it.
    pub client: usize,
    /// When, nanoseconds of the monotonic clock.
    pub at: u64,
    /// How many events.
    pub events: u64,
}

/// Collects the times of all clients.
#[derive(Debug)]
pub struct Latencies {
    /// Where time counts from.
    pub from: From,
    /// One value for each event and client.
    pub times: Histogram<u64>,
    /// Events whose beginning was never learnt.
    pub unknown: u64,
    measured: std::ops::Range<u64>,
    /// When ledgers began, and who read them first.
    began: BTreeMap<(usize, u64), (u64, usize)>,
    waiting: Vec<Read>,
    newest_read: u64,
}

impl Latencies {
    /// Nothing is counted before [`Latencies::measure`].
    pub fn new(from: From) -> Latencies {
        let (times, began) = (histogram(), BTreeMap::new());
        Latencies { from, times, unknown: 0, measured: u64::MAX..u64::MAX, began, waiting: Vec::new(), newest_read: 0 }
    }

    /// Counts ledgers that begin in this time.
    pub fn measure(&mut self, during: std::ops::Range<u64>) {
        self.measured = during;
    }

    /// Ledgers that began while the run measured.
    pub fn ledgers(&self) -> u64 {
        self.began.values().filter(|(began, _)| self.measured.contains(began)).count() as u64
    }

    /// Whether somebody has read the last ledger that began while the run measured, as far as that can be seen.
    pub fn is_read(&self) -> bool {
        let measured = self.began.iter().filter(|(_, (began, _))| self.measured.contains(began));
        measured.map(|((_, ledger), _)| *ledger).max().is_none_or(|last| last <= self.newest_read)
    }

    /// Notes what a client read.
    pub fn read(&mut self, read: Read) {
        self.newest_read = self.newest_read.max(read.ledger);
        match self.from {
            From::FirstReader => {
                let (began, first) = *self.began.entry((read.stream, read.ledger)).or_insert((read.at, read.client));
                self.forget();
                if first != read.client {
                    self.count(began, read);
                }
            }
            From::Post => match self.began.get(&(0, read.ledger)) {
                Some((began, _)) => self.count(*began, read),
                None if self.waiting.len() < WAITING => self.waiting.push(read),
                None => self.unknown += read.events,
            },
        }
    }

    /// Notes when the source posted ledgers.
    pub fn posted(&mut self, ledgers: impl Iterator<Item = (u64, u64)>) {
        for (ledger, posted) in ledgers {
            self.began.insert((0, ledger), (posted, usize::MAX));
        }
        self.forget();
        for read in std::mem::take(&mut self.waiting) {
            match self.began.get(&(0, read.ledger)) {
                Some((began, _)) => self.count(*began, read),
                None => self.waiting.push(read),
            }
        }
    }

    /// No more will be learnt: what waits is unknown. What was read after the end may be of ledgers posted since.
    pub fn finish(&mut self) {
        let counts = self.waiting.iter().filter(|read| self.measured.contains(&read.at));
        self.unknown += counts.map(|read| read.events).sum::<u64>();
        self.waiting.clear();
    }

    fn count(&mut self, began: u64, read: Read) {
        if self.measured.contains(&began) {
            self.times.saturating_record_n(read.at.saturating_sub(began), read.events);
        }
    }

    fn forget(&mut self) {
        while self.began.len() > LEDGERS {
            self.began.pop_first();
        }
    }
}

/// The distribution as HdrHistogram's tools read it, in milliseconds.
pub fn distribution(times: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut total = 0;
    for step in times.iter_quantiles(5) {
        total += step.count_since_last_iteration();
        let (value, share) = (step.value_iterated_to() as f64 / 1e6, step.quantile_iterated_to());
        text += &format!("{value:>12.3} {share:>14.12} {total:>10}");
        text += &if share < 1.0 { format!(" {:>14.2}\n", 1.0 / (1.0 - share)) } else { "\n".to_owned() };
    }
    text + &format!(
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n\
         #[Max     = {:>12.3}, Total count    = {:>12}]\n\
         #[Buckets = {:>12}, SubBuckets     = {:>12}]\n",
        times.mean() / 1e6,
        times.stdev() / 1e6,
        times.max() as f64 / 1e6,
        times.len(),
        times.buckets(),
        2048,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ledger: u64, client: usize, at: u64, events: u64) -> Read {
        Read { stream: 0, ledger, client, at, events }
    }

    #[test]
    fn from_the_post_however_late_it_is_learnt() {
        let mut latencies = Latencies::new(From::Post);
        latencies.measure(1_000_000..9_000_000);
        latencies.read(read(5, 0, 2_000_000, 10));
        latencies.read(read(6, 0, 20_000_000, 1));
        latencies.read(read(4, 1, 2_000_000, 7));
        assert_eq!(latencies.times.len(), 0);
        latencies.posted([(3, 1), (4, 900_000), (5, 1_500_000)].into_iter());
        latencies.read(read(5, 1, 3_500_000, 10));
        assert_eq!(latencies.times.len(), 20, "ledger 4 began before the measuring");
        assert!(latencies.times.equivalent(latencies.times.value_at_quantile(0.5), 500_000));
        assert!(latencies.times.equivalent(latencies.times.max(), 2_000_000));
        // Read after the end, but begun before it: what was slow counts.
        latencies.posted([(6, 8_000_000)].into_iter());
        assert!(latencies.times.equivalent(latencies.times.max(), 12_000_000));
        latencies.read(read(7, 1, 8_500_000, 3));
        latencies.read(read(8, 1, 9_500_000, 3));
        latencies.finish();
        assert_eq!((latencies.unknown, latencies.ledgers()), (3, 2));
        assert!(latencies.is_read());
        latencies.posted([(9, 8_600_000), (10, 9_500_000)].into_iter());
        assert!(!latencies.is_read(), "9 is on its way");
    }

    #[test]
    fn the_first_reader_is_the_beginning_and_no_measure() {
        let mut latencies = Latencies::new(From::FirstReader);
        latencies.measure(0..u64::MAX);
        latencies.read(read(5, 3, 1_000_000, 10));
        latencies.read(read(5, 3, 9_000_000, 10));
        assert_eq!(latencies.times.len(), 0);
        latencies.read(read(5, 4, 4_000_000, 20));
        assert_eq!(latencies.times.len(), 20);
        assert!(latencies.times.equivalent(latencies.times.max(), 3_000_000));
        assert_eq!(latencies.ledgers(), 1);
    }

    #[test]
    fn the_distribution_is_one_that_tools_read() {
        let mut times = histogram();
        times.record_n(5_000_000, 99).unwrap();
        times.record(80_000_000).unwrap();
        let text = distribution(&times);
        let mut lines = text.lines();
        let words: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(words, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
        assert_eq!(lines.next(), Some(""));
        let rows: Vec<Vec<f64>> = lines
            .clone()
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect())
            .collect();
        assert_eq!((rows[0].len(), rows.last().unwrap().len()), (4, 3));
        assert_eq!(rows.last().unwrap()[1..], [1.0, 100.0]);
        assert!((rows.last().unwrap()[0] - 80.0).abs() < 0.1, "{text}");
        assert!(rows.windows(2).all(|pair| pair[0][..3] <= pair[1][..3]), "{text}");
        assert!(text.contains("Total count    =          100"), "{text}");
    }

    #[test]
    fn memory_is_bounded() {
        let mut latencies = Latencies::new(From::FirstReader);
        for ledger in 0..10_000 {
            latencies.read(read(ledger, 0, ledger, 1));
        }
        assert_eq!(latencies.began.len(), LEDGERS);
    }
}
