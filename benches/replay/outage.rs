//! The same live clients beside a PostgreSQL consumer, whatever its database does.

use crate::common::Server;
use crate::live::Live;
use crate::postgres::{Cluster, is_whole, one};
use crate::report::{Condition, Rounds};
use crate::{Plan, wait_until};
use rustix::process::setpriority_process;

const WITHOUT: usize = 0;
const AGAIN: usize = 1;
const CATCHING_UP: usize = 2;
const AT_HEAD: usize = 3;
const STOPPED: usize = 4;
const GOES_ON: usize = 5;

pub fn measure(plan: &Plan) {
    let Some(cluster) = Cluster::start() else { return };
    let goal = Some(1.1);
    let conditions = [
        Condition { name: "no consumer", goal: None },
        // What the machine makes of one and the same.
        Condition { name: "no consumer, once more", goal: None },
        Condition { name: "it catches up", goal },
        Condition { name: "it is at the head", goal },
        Condition { name: "its database stands still", goal },
        Condition { name: "the database goes on", goal },
    ];
    let (mut rounds, mut lost) = (Rounds::new(&conditions), 0);
    for round in 0..plan.rounds {
        // Nobody always goes first.
        for turn in 0..2 {
            let consumes = (turn + round) % 2 == 1;
            let (stretches, wrong) = if consumes { with(plan, &cluster, round) } else { without(plan) };
            lost += wrong;
            stretches.into_iter().for_each(|(stretch, sorted)| rounds.add(stretch.what, sorted, stretch.cores));
        }
    }
    rounds.print();
    println!("ledgers that live clients lost or got cut: {lost}; every row was there in the end\n");
}

type Stretches = (Vec<(crate::live::Stretch, Vec<u64>)>, u64);

fn without(plan: &Plan) -> Stretches {
    let (server, _state) = plan.server("");
    let mut live = Live::start(&server, plan.live);
    live.watch(&server, WITHOUT, plan.time);
    live.watch(&server, AGAIN, plan.time);
    live.end(&server, plan.events)
}

fn with(plan: &Plan, cluster: &Cluster, round: usize) -> Stretches {
    let prefix = format!("round{round}_");
    let consumers = format!("consumers:\n{}", cluster.consumer("devnet", &format!("table_prefix: {prefix}")));
    let (server, _state) = plan.server(&consumers);
    let mut live = Live::start(&server, plan.live);
    wait_until("it is connected", || lag(&server).is_finite());
    yield_to_others(cluster, plan.nice);
    // The whole past is new to this database.
    let begins = lag(&server);
    live.watch(&server, CATCHING_UP, plan.time);
    let left = lag(&server);
    wait_until("it has caught up", || lag(&server) < 3.0);
    live.watch(&server, AT_HEAD, plan.time);
    cluster.stand_still();
    live.watch(&server, STOPPED, plan.time);
    let behind = lag(&server);
    cluster.go_on();
    live.watch(&server, GOES_ON, plan.time);
    eprintln!("round {round}: {begins} ledgers behind, {left} after the first stretch, {behind} when it stood still");
    wait_until("it has caught up again", || lag(&server) < 3.0);
    let stretches = live.end(&server, plan.events);
    drop(server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = cluster.client().await;
        is_whole(&client, &prefix).await;
        assert_eq!(one::<i64>(&client, &format!("select count(*) from {prefix}gaps")).await, 0);
        // The next round begins with a disk as empty.
        let tables = format!("drop table {prefix}events, {prefix}ledgers, {prefix}gaps cascade");
        client.batch_execute(&tables).await.expect("they are there");
    });
    stretches
}

/// Each process of the database has a session of its own, between which the kernel may share the processor before it
/// looks at priorities.
fn yield_to_others(cluster: &Cluster, nice: i32) {
    for process in cluster.processes() {
        // One of them may have ended, and the kernel may have no such groups.
        let _ = setpriority_process(Some(process), nice);
        let _ = std::fs::write(format!("/proc/{}/autogroup", process.as_raw_nonzero()), nice.to_string());
    }
}

/// Ledgers that the consumer is behind.
fn lag(server: &Server) -> f64 {
    let metrics = server.get("/metrics");
    let line = metrics.lines().find(|line| line.starts_with("ledgercast_consumer_lag_ledgers"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(f64::INFINITY)
}
