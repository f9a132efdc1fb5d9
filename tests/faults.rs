//! A node that fails in every way that nodes do: the client gets each event once, in order, as from
//! a server whose node never fails; what cannot be had any more is told; and faults are counted by
//! what they are.

use crate::common::client::{Head, is_a_row};
use crate::common::faulty_rpc::{Fault, FaultyRpc};
use crate::common::reader::{Ledger, Reader, wait_at_most};
use crate::common::server::Server;
use crate::common::{pause, seed, wait_until};
use ledgercast::devnet;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const NOT_READY: &str = "data stores are not initialized";
const STALE: &str = "latency (35s) since last known ledger closed is too high (>30s)";
const PASSPHRASE: &str = "Ledgercast Devnet ; 2026";

/// Each with what it is.
const FAULTS: &[Fault] = &[
    Fault::Hang,
    Fault::Close,
    Fault::CutBody,
    Fault::Garbage,
    Fault::Html(200),
    Fault::Html(502),
    Fault::TooMany,
    Fault::Status(500),
    Fault::Status(503),
    Fault::Status(504),
    Fault::Rpc(-32098, "rpc queue for getLedgers surpassed queue limit of 1000 requests"),
    Fault::Rpc(-32001, "request exceeded processing limit threshold"),
    Fault::Rpc(-32003, "request failed to process due to internal issue"),
    Fault::Rpc(-32603, NOT_READY),
    Fault::Rpc(-32603, STALE),
    Fault::WrongId,
    Fault::Repeat,
    Fault::Missing,
    Fault::Lagging(3),
    // Past what machines behind one name may differ by, but not for long.
    Fault::Lagging(40),
    Fault::Huge,
    Fault::Deep,
    Fault::DeepUnknown,
    Fault::GzipBomb,
    Fault::Redirect,
];

/// In which form the source reads.
#[derive(Debug, Clone, Copy)]
struct Form {
    mode: &'static str,
    /// The node gives ledgers without metadata.
    bare: bool,
}

const FORMS: &[Form] = &[
    Form { mode: "transactions", bare: false },
    Form { mode: "transactions", bare: true },
    Form { mode: "events", bare: false },
];

impl Form {
    /// Whether ledgers have hashes and events of their own.
    fn has_ledgers(self) -> bool {
        self.mode == "transactions"
    }

    /// Every ledger after the one before it, nothing twice. Every ledger of these tests has contract events.
    fn is_a_row(self, texts: &[String]) {
        if self.has_ledgers() {
            return is_a_row(texts);
        }
        let heads: Vec<_> = texts.iter().map(|text| Head::of(text)).collect();
        let next = |pair: &[Head]| pair[0].ledger <= pair[1].ledger && pair[1].ledger <= pair[0].ledger + 1;
        assert!(heads.windows(2).all(next), "{texts:?}");
        let ids: std::collections::HashSet<_> = heads.iter().map(|head| &head.id).collect();
        assert_eq!(ids.len(), heads.len(), "an event twice");
    }

    /// Whether a call fetches what events are made of.
    fn is_data(self, method: &str) -> bool {
        matches!(method, "getLedgers" | "getTransactions" | "getEvents")
    }

    /// Whether the fault can be seen at all.
    fn has(self, fault: Fault) -> bool {
        ["getLedgers", "getEvents"].iter().any(|method| self.can_see(fault, method))
    }

    /// Whether the fault can be seen in an answer to this method.
    fn can_see(self, fault: Fault, method: &str) -> bool {
        match fault {
            // Which events a ledger has is known from its transactions only.
            Fault::Missing => self.mode == "transactions" && matches!(method, "getLedgers" | "getTransactions"),
            Fault::Lagging(_) | Fault::Repeat => method != "getNetwork",
            _ => true,
        }
    }

    fn proxy(self, target: SocketAddr) -> FaultyRpc {
        let rpc = FaultyRpc::to(target);
        if self.bare {
            rpc.without_metadata();
        }
        rpc
    }

    fn settings(self, rpcs: &[SocketAddr], config: &str) -> String {
        let urls: Vec<_> = rpcs.iter().map(|rpc| format!("'http://{rpc}'")).collect();
        format!(
            "sources:\n  devnet:\n    type: stellar_rpc\n    config: {{ rpc_urls: [{}], mode: {}, poll_interval: 50ms, \
             timeout: 1s, max_response: 4MiB, {config} }}\n\
             listeners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
             - {{ dialect: flow, path: /ws, sources: [devnet] }}\n\
             admin: {{ bind: 127.0.0.1:0 }}\n",
            urls.join(", "),
            self.mode
        )
    }
}

/// The forms at the same time, since most of it is waiting.
fn in_each_form(test: impl Fn(Form) + Sync) {
    std::thread::scope(|scope| {
        for form in FORMS {
            let test = &test;
            scope.spawn(move || test(*form));
        }
    });
}

fn busy() -> devnet::Settings {
    devnet::Settings { events_per_ledger: 20, ..devnet::Settings::default() }
}

/// A server whose node never fails, and its client.
fn truth(form: Form, ledger: &Ledger) -> (Server, Reader) {
    let server = Server::start(&form.settings(&[ledger.address], ""));
    server.wait_ready();
    let reader = Reader::start(server.clients, &json!({}));
    wait_until("the truth flows", || reader.len() > 0);
    (server, reader)
}

/// Both have the same events of all ledgers from the first that both have up to `last`, byte by byte.
fn is_the_truth(form: Form, got: &Reader, truth: &Reader, last: u64) {
    let (mut got, mut truth) = (got.texts(), truth.texts());
    // A node that lags makes its server begin before the truth does.
    let first = Head::of(&got[0]).ledger.max(Head::of(&truth[0]).ledger);
    form.is_a_row(&got);
    got.retain(|text| (first..=last).contains(&Head::of(text).ledger));
    truth.retain(|text| (first..=last).contains(&Head::of(text).ledger));
    form.is_a_row(&truth);
    for (got, truth) in got.iter().zip(&truth) {
        assert_eq!(got, truth);
    }
    assert_eq!(got.len(), truth.len());
    assert!(last >= first + 10, "only the ledgers {first} to {last}");
}

/// The server counted what its node did.
fn are_counted(server: &Server, applied: &[(String, Fault)]) {
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for kind in applied.iter().filter_map(|(_, fault)| fault.kind()) {
        *counts.entry(kind).or_default() += 1.0;
    }
    // On a busy machine, any fault may come too late to be seen as what it is.
    let late = (errors(server, "timeout") - counts.get("timeout").copied().unwrap_or_default()).max(0.0);
    // These may or may not be errors, by what was asked.
    let open = |faults: fn(&Fault) -> bool| applied.iter().filter(|(_, fault)| faults(fault)).count() as f64;
    for kind in ["timeout", "transport", "malformed", "http_status", "rpc", "too_large"] {
        let least = counts.get(kind).copied().unwrap_or_default();
        let most = least
            + match kind {
                "malformed" => open(|fault| matches!(fault, Fault::Missing | Fault::Repeat)),
                "rpc" => open(|fault| matches!(fault, Fault::Lagging(_))),
                "timeout" => late,
                _ => 0.0,
            };
        let counted = errors(server, kind);
        assert!((least - late..=most).contains(&counted), "{kind}: {counted} counted, {least} to {most} happened");
    }
    for kind in ["discontinuity", "out_of_order", "wrong_network", "setting", "checkpoint"] {
        assert_eq!(errors(server, kind), 0.0, "{kind}");
    }
}

fn errors(server: &Server, kind: &str) -> f64 {
    server.metric(&format!("ledgercast_source_rpc_errors_total{{source=\"devnet\",kind=\"{kind}\"}}"))
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    // A port that was free a moment ago.
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn each_fault_in_turn_costs_no_event() {
    in_each_form(|form| {
        let ledger = Ledger::start(6, busy());
        let (_truthful, truth) = truth(form, &ledger);
        let rpc = form.proxy(ledger.address);
        let server = Server::start(&form.settings(&[rpc.address], ""));
        server.wait_ready();
        let reader = Reader::start(server.clients, &json!({}));
        wait_until("events flow", || reader.len() > 0);

        // Three calls fail, then it works until two pages came, then the next fault.
        let faults: Vec<_> = FAULTS.iter().copied().filter(|fault| form.has(*fault)).collect();
        let (count, done) = (faults.len(), Arc::new(AtomicUsize::new(0)));
        let (at, mut left, mut pages) = (done.clone(), 3, 0);
        rpc.script(move |method| {
            let fault = *faults.get(at.load(Ordering::Relaxed))?;
            if left == 0 {
                pages += u32::from(form.is_data(method));
                if pages == 3 {
                    (left, pages) = (3, 0);
                    at.fetch_add(1, Ordering::Relaxed);
                }
                return None;
            }
            if fault == Fault::Missing && method == "getHealth" {
                // So that the next page has a middle.
                pause(Duration::from_millis(450));
            }
            if form.can_see(fault, method) {
                left -= 1;
                return Some(fault);
            }
            None
        });
        wait_at_most(Duration::from_secs(110), "all faults had their turn", || done.load(Ordering::Relaxed) == count);
        let last = ledger.latest();
        reader.wait_past(last, Duration::from_secs(30));
        truth.wait_past(last, Duration::from_secs(10));
        is_the_truth(form, &reader, &truth, last);
        let applied = rpc.applied();
        for fault in FAULTS.iter().filter(|fault| form.has(**fault)) {
            assert!(applied.iter().any(|(_, it)| it == fault), "{form:?}: never {fault:?}");
        }
        are_counted(&server, &applied);
        assert_eq!(server.readyz().status, 200);
    });
}

/// A ledger's header says what its transactions are, however a page of them was cut.
#[test]
fn a_ledger_without_its_last_transaction_is_not_delivered() {
    let form = Form { mode: "transactions", bare: true };
    let ledger = Ledger::start(6, busy());
    let (_truthful, truth) = truth(form, &ledger);
    let rpc = form.proxy(ledger.address);
    let server = Server::start(&form.settings(&[rpc.address], ""));
    let reader = Reader::start(server.clients, &json!({}));
    wait_until("events flow", || reader.last() >= 1012);
    let mut left = 3;
    rpc.script(move |method| {
        let fault = (method == "getTransactions" && left > 0).then_some(Fault::WithoutLast);
        left -= i32::from(fault.is_some());
        fault
    });
    wait_until("it happened", || rpc.applied().len() >= 2);
    let last = ledger.latest() + 3;
    reader.wait_past(last, Duration::from_secs(20));
    truth.wait_past(last, Duration::from_secs(20));
    is_the_truth(form, &reader, &truth, last);
}

#[test]
fn faults_at_random_cost_no_event() {
    let seed = seed();
    eprintln!("LEDGERCAST_SEED={seed}");
    in_each_form(|form| {
        let ledger = Ledger::start(6, busy());
        let (_truthful, truth) = truth(form, &ledger);
        let rpc = form.proxy(ledger.address);
        let mut random = StdRng::seed_from_u64(seed ^ u64::from(form.bare));
        // From the first call on, which asks who the network is. Not too many in a row: the source
        // would rightly stay away for half a minute.
        let mut row = 0;
        rpc.script(move |method| {
            let fault = *FAULTS.choose(&mut random).expect("there are some");
            let fails = row < 3 && random.random_bool(0.3) && form.can_see(fault, method);
            row = if fails { row + 1 } else { 0 };
            fails.then_some(fault)
        });
        let server = Server::start(&form.settings(&[rpc.address], ""));
        let reader = Reader::start(server.clients, &json!({}));
        wait_at_most(Duration::from_secs(60), "ledgers come all the same", || {
            reader.len() > 0 && rpc.applied().len() > 30
        });
        rpc.script(|_| None);
        let last = ledger.latest();
        reader.wait_past(last, Duration::from_secs(60));
        truth.wait_past(last, Duration::from_secs(10));
        is_the_truth(form, &reader, &truth, last);
        are_counted(&server, &rpc.applied());
    });
}

#[test]
fn ledgers_that_are_gone_are_told_as_one_gap() {
    in_each_form(|form| {
        let ledger = Ledger::start(10, devnet::Settings { retention: 20, ..busy() });
        let mut rpc = form.proxy(ledger.address);
        let server = Server::start(&form.settings(&[rpc.address], ""));
        let reader = Reader::start(server.clients, &json!({}));
        wait_until("events flow", || reader.last() >= 1010);
        // Between two ledgers; what happens between two calls for one of them has its own test.
        rpc.script(|method| (method == "getHealth").then_some(Fault::Close));
        pause(Duration::from_millis(400));
        rpc.refuse();
        rpc.script(|_| None);
        let last = Head::of(reader.texts().last().unwrap()).ledger;
        wait_until("the next ledger is gone", || ledger.range().0 > last + 3);
        rpc.listen();
        wait_at_most(Duration::from_secs(60), "it goes on", || reader.last() > last);
        let resumed = ledger.latest();
        reader.wait_past(resumed + 5, Duration::from_secs(20));

        let texts = reader.texts();
        let breaks: Vec<_> = texts.iter().enumerate().filter(|(_, text)| is_break(text)).collect();
        let [(at, gap)] = breaks[..] else { panic!("one gap was expected: {breaks:?}") };
        let gap: Value = serde_json::from_str(gap).unwrap();
        let (before, after) = (&texts[..at], &texts[at + 1..]);
        form.is_a_row(before);
        form.is_a_row(after);
        let last = Head::of(before.last().unwrap()).ledger;
        let next = Head::of(&after[0]).ledger;
        assert_eq!(gap["type"], "gap", "{gap}");
        assert_eq!((&gap["from_ledger"], &gap["to_ledger"]), (&json!(last + 1), &json!(next - 1)), "{gap}");
        assert_eq!(server.readyz().status, 200);
    });
}

/// Whether it tells of a break in the row of ledgers.
fn is_break(text: &str) -> bool {
    matches!(Head::of(text).kind.as_str(), "gap" | "reset" | "reorg")
}

/// The node lost the ledger, or began anew, after it named it and before it gave its transactions.
#[test]
fn a_ledger_that_goes_between_two_calls_is_told_as_a_gap() {
    let form = Form { mode: "transactions", bare: true };
    let ledger = Ledger::start(10, devnet::Settings { retention: 20, ..busy() });
    let rpc = form.proxy(ledger.address);
    let server = Server::start(&form.settings(&[rpc.address], ""));
    let reader = Reader::start(server.clients, &json!({}));
    wait_until("events flow", || reader.last() >= 1010);
    rpc.script(|method| (method == "getTransactions").then_some(Fault::Status(503)));
    pause(Duration::from_millis(300));
    let last = reader.last();
    wait_until("the next ledger is gone", || ledger.range().0 > last + 3);
    rpc.script(|_| None);
    wait_at_most(Duration::from_secs(60), "it goes on", || reader.last() > last);
    let texts = reader.texts();
    let breaks: Vec<_> = texts.iter().filter(|text| is_break(text)).collect();
    assert!(breaks.len() == 1 && breaks[0].starts_with(r#"{"type":"gap""#), "{breaks:?}");
}

#[test]
fn a_network_that_is_far_behind_for_long_began_anew() {
    in_each_form(|form| {
        let old = Ledger::start(10, busy());
        let rpc = form.proxy(old.address);
        let server = Server::start(&form.settings(&[rpc.address], "start_ledger: oldest"));
        let reader = Reader::start(server.clients, &json!({}));
        wait_until("events flow", || reader.last() >= 1060);
        let new = Ledger::start(1, devnet::Settings { seed: 99, ..busy() });
        rpc.switch_before("getHealth", new.address);
        // What was on its way has come.
        pause(Duration::from_millis(500));
        let before = reader.len();
        // Nothing is believed before its time.
        pause(Duration::from_secs(25));
        assert_eq!(reader.len(), before, "{:?}", reader.texts().get(before));
        wait_at_most(Duration::from_secs(25), "the new chain", || reader.len() > before);
        let tip = new.latest();
        reader.wait_past(tip, Duration::from_secs(20));

        let texts = reader.texts();
        let (before, reset, after) = (&texts[..before], &texts[before], &texts[before + 1..]);
        form.is_a_row(before);
        form.is_a_row(after);
        let reset: Value = serde_json::from_str(reset).unwrap();
        assert_eq!(reset["type"], "reset", "{reset}");
        assert_eq!(reset["to_ledger"], json!(Head::of(before.last().unwrap()).ledger));
        assert!(!after.iter().any(|text| is_break(text)));
        // From its start, and with its own hashes.
        let first = Head::of(&after[0]).ledger;
        assert_eq!((first, &reset["from_ledger"]), (new.range().0, &json!(first)));
        if !form.has_ledgers() {
            return;
        }
        let said = new.rpc("getLedgers", json!({"startLedger": first, "pagination": {"limit": 100}}));
        let hashes: Vec<_> = said["ledgers"].as_array().unwrap().iter().map(|it| it["hash"].clone()).collect();
        let events = after.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
        let got: Vec<_> = events.filter(|it| it["type"] == "ledger").map(|it| it["hash"].clone()).collect();
        assert!(got.len() > 10 && hashes.starts_with(&got[..got.len() - 1]), "{got:?} {hashes:?}");
    });
}

/// Another network behind an address that was right before.
fn foreign() -> devnet::Settings {
    devnet::Settings { passphrase: "Another Network ; 2026".into(), ..busy() }
}

#[test]
fn another_network_is_refused() {
    in_each_form(|form| {
        let wrong = Ledger::start(6, foreign());
        let passphrase = format!("network_passphrase: '{PASSPHRASE}'");
        let server = Server::start(&form.settings(&[wrong.address], &passphrase));
        let reader = Reader::start(server.clients, &json!({}));
        wait_until("it is refused, and again", || errors(&server, "wrong_network") >= 3.0);
        let answer = server.readyz();
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("Another Network") && answer.body.contains(PASSPHRASE), "{}", answer.body);
        assert_eq!(reader.texts(), [""; 0]);
    });
}

#[test]
fn another_network_in_the_midst_is_refused() {
    in_each_form(|form| {
        if !form.has_ledgers() {
            // Nothing ties an event to its network; there it is only asked at the start and after a fault.
            return;
        }
        // Begun before, so that it has the ledger that is due.
        let wrong = Ledger::start(6, foreign());
        pause(Duration::from_millis(600));
        let ledger = Ledger::start(6, busy());
        let (_truthful, truth) = truth(form, &ledger);
        let rpc = form.proxy(ledger.address);
        let passphrase = format!("network_passphrase: '{PASSPHRASE}'");
        let server = Server::start(&form.settings(&[rpc.address], &passphrase));
        let reader = Reader::start(server.clients, &json!({}));
        wait_until("events flow", || reader.last() >= 1012);
        rpc.switch(wrong.address);
        // At once, and not when it has been silent for a minute.
        wait_until("it is not ready", || {
            let answer = server.readyz();
            answer.status == 503 && answer.body.contains("serves the network")
        });
        pause(Duration::from_secs(3));
        rpc.switch(ledger.address);
        let last = ledger.latest();
        reader.wait_past(last, Duration::from_secs(40));
        truth.wait_past(last, Duration::from_secs(10));
        is_the_truth(form, &reader, &truth, last);
        assert!(errors(&server, "wrong_network") > 0.0);
        server.wait_ready();
    });
}

#[test]
fn one_good_address_of_several_is_enough() {
    let seed = seed();
    eprintln!("LEDGERCAST_SEED={seed}");
    in_each_form(|form| {
        let ledger = Ledger::start(6, busy());
        let wrong = Ledger::start(6, foreign());
        let (_truthful, truth) = truth(form, &ledger);
        let (broken, good) = (form.proxy(ledger.address), form.proxy(ledger.address));
        let mut random = StdRng::seed_from_u64(seed);
        // It works now and then, so that the source stays with it for a while.
        broken.script(move |method| {
            let fault = *FAULTS.choose(&mut random).expect("there are some");
            (random.random_bool(0.5) && form.can_see(fault, method)).then_some(fault)
        });
        // The good one must be left from time to time.
        let mut count = 0;
        good.script(move |_| {
            count += 1;
            (count % 20 == 0).then_some(Fault::Status(503))
        });
        let passphrase = format!("network_passphrase: '{PASSPHRASE}'");
        let rpcs = [nobody(), broken.address, wrong.address, good.address];
        let server = Server::start(&form.settings(&rpcs, &passphrase));
        let reader = Reader::start(server.clients, &json!({}));
        wait_at_most(Duration::from_secs(40), "it went round some times, and each was asked who it is", || {
            let asked = broken.calls("getNetwork").min(good.calls("getNetwork"));
            errors(&server, "wrong_network") >= 3.0 && asked > 1 && reader.len() > 0
        });
        let last = ledger.latest() + 10;
        reader.wait_past(last, Duration::from_secs(40));
        truth.wait_past(last, Duration::from_secs(10));
        is_the_truth(form, &reader, &truth, last);
    });
}
