//! What is measured: the workloads, and who does each beside whom.

use crate::limit::Writing;
use ledgercast::devnet::{self, Settings};
use std::time::Duration;

/// What the ledgers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// So many events of all kinds; 1 is the ledger itself.
    Mixed { events: u32 },
    /// So many payments, to each account in turn.
    Payments { count: u32 },
}

/// What clients want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wish {
    Everything,
    /// Payments of an account of one's own.
    OwnAccount,
    /// What never happens.
    Nothing,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    Limit(Writing),
    Ledgercast,
}

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Contender::Limit(Writing::PerEvent) => "limit, write per event",
            Contender::Limit(Writing::PerLedger) => "limit, write per ledger",
            Contender::Limit(Writing::ToAccount) => "limit, look-up and write",
            Contender::Ledgercast => "ledgercast",
        }
    }
}

/// One thing that is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    pub clients: usize,
    pub traffic: Traffic,
    pub wish: Wish,
    /// Ledgers in a second: fewer than 20, at which the source would hold them for a backlog and pace them.
    pub rate: f64,
    pub tls: bool,
    pub seconds: u64,
    pub contenders: &'static [Contender],
}

const SINGLE: &[Contender] = &[Contender::Limit(Writing::PerEvent), Contender::Ledgercast];
const BURST: &[Contender] = &[Contender::Limit(Writing::PerLedger), Contender::Ledgercast];
const BOTH: &[Contender] =
    &[Contender::Limit(Writing::PerEvent), Contender::Limit(Writing::PerLedger), Contender::Ledgercast];
const SELECTIVE: &[Contender] = &[Contender::Limit(Writing::ToAccount), Contender::Ledgercast];
const ALONE: &[Contender] = &[Contender::Ledgercast];

const LEDGER: Traffic = Traffic::Mixed { events: 100 };
const EVENT: Traffic = Traffic::Mixed { events: 1 };

impl Workload {
    /// All of them, or a few short ones.
    pub fn all(quick: bool) -> Vec<Workload> {
        let seconds = if quick { 2 } else { 5 };
        let of = |name, about, clients, traffic, wish, rate, contenders| Workload {
            name,
            about,
            clients,
            traffic,
            wish,
            rate,
            tls: false,
            seconds,
            contenders,
        };
        let single = |clients, rate| {
            let about = "one event in each ledger, to all";
            of("single", about, clients, EVENT, Wish::Everything, rate, SINGLE)
        };
        let burst = |clients, rate, contenders| {
            let about = "100 events in each ledger, to all";
            of("burst", about, clients, LEDGER, Wish::Everything, rate, contenders)
        };
        let payments = |name, about, clients, count, rate| {
            of(name, about, clients, Traffic::Payments { count }, Wish::OwnAccount, rate, SELECTIVE)
        };
        let selective = |clients| {
            let about = "200 payments in each ledger, each for one client, 2000 in a second";
            payments("selective", about, clients, 200, 10.0)
        };
        let calm = |clients| {
            let about = "20 payments in each ledger, each for one client, 200 in a second";
            payments("calm", about, clients, 20, 10.0)
        };
        let alone = |clients| {
            let about = "one payment in each ledger, for one client, 10 in a second";
            payments("alone", about, clients, 1, 10.0)
        };
        let idle = |clients| {
            let about = "registered clients to which nothing comes";
            of("idle", about, clients, EVENT, Wish::Nothing, 0.5, ALONE)
        };
        let tls = |name, workload: Workload| Workload { name, tls: true, contenders: ALONE, ..workload };
        if quick {
            return vec![single(1000, 10.0), burst(1000, 4.0, BURST), selective(1000), calm(1000), idle(3000)];
        }
        vec![
            single(100, 10.0),
            single(1000, 10.0),
            single(10_000, 2.0),
            single(19_000, 1.0),
            burst(100, 4.0, BOTH),
            burst(1000, 4.0, BURST),
            burst(10_000, 1.0, BURST),
            selective(1000),
            selective(10_000),
            selective(19_000),
            calm(1000),
            calm(10_000),
            alone(10_000),
            tls("single-tls", single(1000, 10.0)),
            tls("burst-tls", burst(1000, 4.0, BURST)),
            tls("idle-tls", idle(3000)),
            idle(10_000),
            Workload { name: "connect", contenders: SELECTIVE, ..idle(19_000) },
        ]
    }

    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.clients)
    }

    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate)
    }

    /// The accounts to which payments go in turn.
    pub fn accounts(&self) -> Vec<String> {
        if self.wish != Wish::OwnAccount {
            return Vec::new();
        }
        devnet::accounts(&Settings { accounts: self.clients, ..Settings::default() }).expect("good settings")
    }

    /// Events of each ledger that go to anybody.
    pub fn events(&self) -> u32 {
        match self.traffic {
            Traffic::Mixed { events } => events,
            Traffic::Payments { count } => count,
        }
    }

    /// What one registers who wants what all of them together want.
    pub fn register_of_all(&self) -> String {
        match self.wish {
            Wish::OwnAccount => r#"{"type":"register","filters":{"types":["payment"]}}"#.to_owned(),
            Wish::Everything | Wish::Nothing => r#"{"type":"register","filters":{}}"#.to_owned(),
        }
    }

    /// What each client registers; the last for all that come after.
    pub fn registers(&self) -> Vec<String> {
        let of = |types: &str, account: &str| {
            format!(r#"{{"type":"register","filters":{{{types}"account_ids":["{account}"]}}}}"#)
        };
        match self.wish {
            Wish::Everything => vec![self.register_of_all()],
            Wish::OwnAccount => self.accounts().iter().map(|account| of(r#""types":["payment"],"#, account)).collect(),
            Wish::Nothing => (0..self.clients).map(|client| of("", &format!("G{client:055}"))).collect(),
        }
    }
}
