//! The table: what live clients saw under each condition, beside what they see alone.

use crate::live::Times;

/// Something that live clients are measured beside. The first of a table is what the others are held against.
#[derive(Clone, Copy)]
pub struct Condition {
    pub name: &'static str,
    /// The most that p99 may grow, times.
    pub goal: Option<f64>,
}

/// What was measured under each condition, round by round.
pub struct Rounds<'a> {
    conditions: &'a [Condition],
    times: Vec<Vec<Times>>,
    all: Vec<Vec<u64>>,
    cores: Vec<Vec<f64>>,
}

impl<'a> Rounds<'a> {
    pub fn new(conditions: &'a [Condition]) -> Rounds<'a> {
        let empty = || conditions.iter();
        Rounds {
            conditions,
            times: empty().map(|_| Vec::new()).collect(),
            all: empty().map(|_| Vec::new()).collect(),
            cores: empty().map(|_| Vec::new()).collect(),
        }
    }

    pub fn add(&mut self, what: usize, sorted: Vec<u64>, cores: f64) {
        let times = Times::of(&sorted);
        eprintln!(
            "  {:<27} p50 {:7.2} p99 {:7.2} ms, {cores:.2} cores",
            self.conditions[what].name, times.p50, times.p99
        );
        self.times[what].push(times);
        self.all[what].extend(sorted);
        self.cores[what].push(cores);
    }

    /// Medians of the rounds, and ratios of each round to the first condition in the same round.
    pub fn print(mut self) {
        self.all.iter_mut().for_each(|all| all.sort_unstable());
        println!(
            "| live clients | p50 ms | p99 ms | p50 times | p99 times (least-most) | p99 of all, times | cores | |"
        );
        println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
        let alone = Times::of(&self.all[0]);
        for (what, condition) in self.conditions.iter().enumerate() {
            let values = |of: fn(&Times) -> f64| sorted(self.times[what].iter().map(of));
            let ratios = |of: fn(&Times) -> f64| {
                sorted(self.times[what].iter().zip(&self.times[0]).map(|(it, alone)| of(it) / of(alone)))
            };
            let (p99, of_all) = (ratios(|it| it.p99), Times::of(&self.all[what]));
            let verdict = condition.goal.map_or(String::new(), |goal| {
                let verdict = if median(&p99) <= goal { "met" } else { "MISSED" };
                format!("goal {goal}: {verdict}")
            });
            println!(
                "| {} | {:.2} | {:.2} | {:.2} | {:.2} ({:.2}-{:.2}) | {:.2} | {:.2} | {verdict} |",
                condition.name,
                median(&values(|it| it.p50)),
                median(&values(|it| it.p99)),
                median(&ratios(|it| it.p50)),
                median(&p99),
                p99.first().copied().unwrap_or(f64::NAN),
                p99.last().copied().unwrap_or(f64::NAN),
                of_all.p99 / alone.p99,
                median(&sorted(self.cores[what].iter().copied())),
            );
        }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The middle one.
fn median(sorted: &[f64]) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    (sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0
}
