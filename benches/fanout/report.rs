//! What is told: tables of medians, the goals, and a file for programs.

use crate::Measured;
use crate::kernel;
use crate::limit::Writing;
use crate::measure::Figures;
use crate::workload::{Contender, Workload};
use serde_json::{Value, json};
use std::path::Path;

/// One line for each run, while one waits.
pub fn progress(workload: &Workload, contender: Contender, figures: &Figures) {
    let get = |name| figures.get(name).copied().unwrap_or(f64::NAN);
    eprintln!(
        "  {} {:<26} {:8.3} us, p50 {:7.2} p99 {:7.2} ms, connected in {:5.2} s, memory {:6.0} {:6.0} B, \
         clients {:.2} cores, load {:.1}, lost {} wrong {}",
        workload.title(),
        contender.name(),
        get("cpu_us"),
        get("p50_ms"),
        get("p99_ms"),
        get("connect_seconds"),
        get("memory"),
        get("memory_after"),
        get("client_cpu_share"),
        get("load"),
        get("lost"),
        get("wrong"),
    );
}

impl Measured {
    fn values(&self, name: &str) -> Vec<f64> {
        let mut values: Vec<f64> = self.runs.iter().filter_map(|figures| figures.get(name).copied()).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    /// The middle one of all runs.
    fn median(&self, name: &str) -> Option<f64> {
        let values = self.values(name);
        let last = values.len().checked_sub(1)?;
        Some((values[last / 2] + values[last.div_ceil(2)]) / 2.0)
    }
}

/// Everything that was measured, to be looked up.
struct Results<'a>(&'a [Measured]);

impl Results<'_> {
    fn of(&self, title: &str, contender: Contender) -> Option<&Measured> {
        self.0.iter().find(|measured| measured.workload.title() == title && measured.contender == contender)
    }

    fn ours(&self, title: &str, name: &str) -> Option<f64> {
        self.of(title, Contender::Ledgercast)?.median(name)
    }

    /// Our CPU for each delivery beside that of the limit.
    fn ratio(&self, title: &str, writing: Writing) -> Option<f64> {
        Some(self.ours(title, "cpu_us")? / self.of(title, Contender::Limit(writing))?.median("cpu_us")?)
    }
}

/// A goal, and what was reached.
struct Goal {
    what: String,
    reached: f64,
    must: f64,
    aim: f64,
}

/// The goals for which there are figures.
fn goals(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut goal = |what: String, reached: Option<f64>, must: f64, aim: f64| {
        goals.extend(reached.map(|reached| Goal { what, reached, must, aim }));
    };
    for clients in [1000, 10_000] {
        let (burst, single) = (format!("burst {clients}"), format!("single {clients}"));
        let ratio = results.ratio(&burst, Writing::PerLedger);
        goal(format!("{burst}: CPU of a delivery, times the limit"), ratio, 1.25, 1.1);
        let ratio = results.ratio(&single, Writing::PerEvent);
        goal(format!("{single}: CPU of a delivery, times the limit"), ratio, 1.15, 1.0);
    }
    for clients in [1000, 10_000, 19_000] {
        let title = format!("selective {clients}");
        let ratio = results.ratio(&title, Writing::ToAccount);
        goal(format!("{title}: CPU of an event, times the limit"), ratio, 1.4, 1.2);
    }
    let cpu = |title| results.ours(title, "cpu_us");
    let growth = cpu("selective 19000").zip(cpu("selective 1000")).map(|(many, few)| many / few);
    goal("selective: growth from 1000 to 19000 clients".to_owned(), growth, 1.4, 1.2);
    for (name, must, aim) in [("p50_ms", 0.3, 0.15), ("p99_ms", 1.0, 0.45)] {
        goal(
            format!("alone 10000: latency, {}", name.replace('_', ", ")),
            results.ours("alone 10000", name),
            must,
            aim,
        );
    }
    let memory = |title: &str, name| results.ours(title, name).map(|bytes| bytes / 1024.0);
    goal("idle 10000: memory of a session, KB".to_owned(), memory("idle 10000", "memory"), 3.0, 2.0);
    goal("burst 10000: memory of a session after, KB".to_owned(), memory("burst 10000", "memory_after"), 3.5, 2.0);
    let tls = results.ours("burst-tls 1000", "cpu_us").zip(results.ours("burst 1000", "cpu_us"));
    goal("burst-tls 1000: CPU, times plain".to_owned(), tls.map(|(tls, plain)| tls / plain), 2.0, 1.7);
    goal("idle-tls 3000: memory of a session, KB".to_owned(), memory("idle-tls 3000", "memory"), 11.0, 9.0);
    let seconds = results.ours("connect 19000", "connect_seconds");
    goal("connect 19000: all accepted and registered, s".to_owned(), seconds, 15.0, 5.0);
    let losses = ["lost", "wrong", "failed"].iter().flat_map(|name| {
        results.0.iter().filter(|it| it.contender == Contender::Ledgercast).flat_map(|it| it.values(name))
    });
    goal("all: events lost, wrong, or clients closed".to_owned(), Some(losses.sum()), 0.0, 0.0);
    goals
}

impl Goal {
    fn verdict(&self) -> &'static str {
        match self.reached {
            reached if reached <= self.aim => "met, aim too",
            reached if reached <= self.must => "met",
            _ => "MISSED",
        }
    }
}

/// The columns of the table: heading, figure, what it is divided by, digits.
const COLUMNS: [(&str, &str, f64, usize); 12] = [
    ("CPU us", "cpu_us", 1.0, 3),
    ("1000/s", "deliveries_per_second", 1000.0, 1),
    ("p50 ms", "p50_ms", 1.0, 2),
    ("p90", "p90_ms", 1.0, 2),
    ("p99", "p99_ms", 1.0, 2),
    ("p99.9", "p999_ms", 1.0, 2),
    ("rpc p50", "rpc_p50_ms", 1.0, 2),
    ("rpc p99", "rpc_p99_ms", 1.0, 2),
    ("writes", "writes_per_ledger", 1.0, 2),
    ("B idle", "memory", 1.0, 0),
    ("B after", "memory_after", 1.0, 0),
    ("conn s", "connect_seconds", 1.0, 2),
];

fn table(results: &Results) {
    print!("{:<22} {:<25} {:>6} {:>13}", "workload", "program", "ratio", "CPU least-most");
    COLUMNS.iter().for_each(|(heading, ..)| print!(" {heading:>8}"));
    println!(" {:>8}", "lost");
    for measured in results.0 {
        let title = measured.workload.title();
        let ratio = match (measured.contender, measured.workload.contenders) {
            (Contender::Ledgercast, [.., Contender::Limit(writing), _]) => results.ratio(&title, *writing),
            _ => None,
        };
        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let cpu = measured.values("cpu_us");
        let spread = cpu.first().zip(cpu.last()).map_or(String::new(), |(least, most)| format!("{least:.3}-{most:.3}"));
        print!("{title:<22} {:<25} {ratio:>6} {spread:>13}", measured.contender.name());
        for (_, name, divisor, digits) in COLUMNS {
            let value = measured.median(name).map_or(String::new(), |value| format!("{:.digits$}", value / divisor));
            print!(" {value:>8}");
        }
        let lost: f64 = ["lost", "wrong", "failed"].iter().flat_map(|name| measured.values(name)).sum();
        println!(" {lost:>8}");
    }
}

/// Prints everything and writes the file.
pub fn all(measured: &[Measured]) {
    let results = Results(measured);
    println!("Medians. CPU is of broker and workers, for each delivery; latency from the source's post (rpc: from");
    println!(
        "the RPC's first serving) to the client's read of a ledger's last event; memory for each connection, without history.\n"
    );
    table(&results);
    let goals = goals(&results);
    println!("\n{:<55} {:>8} {:>8} {:>8}", "goal", "reached", "must", "aim");
    for goal in &goals {
        println!("{:<55} {:>8.2} {:>8} {:>8}  {}", goal.what, goal.reached, goal.must, goal.aim, goal.verdict());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/fanout.json");
    match write(&path, measured, &goals, &results) {
        Ok(()) => println!("\nwritten to {}", path.display()),
        Err(error) => eprintln!("{}: {error}", path.display()),
    }
}

fn write(path: &Path, measured: &[Measured], goals: &[Goal], results: &Results) -> std::io::Result<()> {
    let row = |measured: &Measured| -> Value {
        let names = measured.runs.first().map(|figures| figures.keys()).into_iter().flatten();
        let medians: serde_json::Map<String, Value> =
            names.map(|name| ((*name).to_owned(), json!(measured.median(name)))).collect();
        let ratio = match (measured.contender, measured.workload.contenders) {
            (Contender::Ledgercast, [.., Contender::Limit(writing), _]) => {
                results.ratio(&measured.workload.title(), *writing)
            }
            _ => None,
        };
        json!({
            "workload": measured.workload.name,
            "about": measured.workload.about,
            "clients": measured.workload.clients,
            "ledgers_per_second": measured.workload.rate,
            "tls": measured.workload.tls,
            "program": measured.contender.name(),
            "ratio_to_limit": ratio,
            "medians": medians,
            "runs": measured.runs,
        })
    };
    let goal = |goal: &Goal| {
        json!({
            "goal": goal.what, "reached": goal.reached, "must": goal.must, "aim": goal.aim, "verdict": goal.verdict(),
        })
    };
    let all = json!({
        "machine": kernel::machine(),
        "results": measured.iter().map(row).collect::<Vec<_>>(),
        "goals": goals.iter().map(goal).collect::<Vec<_>>(),
    });
    std::fs::create_dir_all(path.parent().expect("it has a folder"))?;
    std::fs::write(path, serde_json::to_string_pretty(&all)?)
}
