//! `kill -9` at any moment, again and again, with state kept: after each death the next life begins
//! with the ledger after the checkpoint. So of all ledgers after the first that was posted none is
//! skipped, and what comes twice is only what was delivered and not yet kept, in the same bytes.

use crate::common::client::{Head, is_a_row};
use crate::common::faulty_rpc::FaultyRpc;
use crate::common::reader::{Ledger, Reader};
use crate::common::server::{Process, Server, checkpoint, listening, path, settings};
use crate::common::{pause, seed, wait_until};
use ledgercast::devnet;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const LIVES: usize = 12;
/// A checkpoint follows what the broker took; what a socket had not sent when the process died is
/// lost with the connection. That is a ledger or two, and never more than a source may have under way.
const UNSENT: u64 = 4;

/// One life of the server: what its client got until the process was killed. The source reads
/// nothing before the client is registered, so that the client gets all that is posted.
fn live_for(time: Duration, from_the_start: bool, settings: &Path, rpc: &FaultyRpc) -> Vec<String> {
    rpc.hold(true);
    let mut process = Process::start(&["serve", "--config", path(settings), "--log", "json"]);
    let mut death = Instant::now() + time;
    let mut reader = None;
    while Instant::now() < death {
        if let Some((clients, _)) = listening(&process)
            && reader.is_none()
        {
            reader = Some(Reader::start(clients, &json!({})));
            rpc.hold(false);
            if !from_the_start {
                death = Instant::now() + time;
            }
        }
        assert!(process.is_running(), "{}", process.stderr());
        if reader.is_none() && !from_the_start {
            // Its time begins with the first call.
            death = Instant::now() + time;
        }
        pause(Duration::from_millis(2));
    }
    process.kill();
    rpc.hold(false);
    reader.map_or_else(Vec::new, Reader::into_texts)
}

#[test]
fn no_ledger_is_skipped_whenever_the_server_dies() {
    let seed = seed();
    eprintln!("LEDGERCAST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let ledger = Ledger::start(10, devnet::Settings { events_per_ledger: 40, ..devnet::Settings::default() });
    let truthful = Server::start(&settings(ledger.address, ""));
    truthful.wait_ready();
    let truth = Reader::start(truthful.clients, &json!({}));
    wait_until("the truth flows", || truth.len() > 0);

    let rpc = FaultyRpc::to(ledger.address);
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("settings.yaml");
    std::fs::write(&file, settings(rpc.address, &format!("state_dir: '{}'", path(state.path())))).unwrap();

    // All that came in all lives, by ledger and then in its order there.
    let mut all: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut kept = None;
    let mut deaths = BTreeMap::<&str, usize>::new();
    for life in 0..LIVES {
        // On the way up as well, around the first checkpoint of a life, and at any time.
        let (most, from_the_start) = [(600, true), (40, false), (600, false)][life % 3];
        let time = Duration::from_millis(random.random_range(5..=most));
        let texts = live_for(time, from_the_start, &file, &rpc);
        // Always whole, whenever it was that the process died.
        let now = checkpoint(state.path());
        let what = format!("life {life}, {time:?}, kept {kept:?} then {now:?}");
        assert!(now >= kept, "{what}");
        is_a_row(&texts);
        let heads: Vec<_> = texts.iter().map(|text| Head::of(text)).collect();
        if let (Some(first), Some(last)) = (heads.first(), heads.last()) {
            assert_eq!(first.kind, "ledger", "{what}: {}", texts[0]);
            if let Some(kept) = kept {
                assert_eq!(first.ledger, kept + 1, "{what}: begins with {}", first.ledger);
            }
            assert!(now.is_none_or(|now| now <= last.ledger + UNSENT), "{what}: {} was the last", last.ledger);
            *deaths.entry(if now > kept { "after a checkpoint" } else { "before a checkpoint" }).or_default() += 1;
        } else {
            // Nothing left it; then next to nothing is kept.
            assert!(now.unwrap_or(0) <= kept.map_or(u64::MAX, |kept| kept + UNSENT), "{what}");
            *deaths.entry("before an event").or_default() += 1;
        }
        let mut life: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (head, text) in heads.iter().zip(&texts) {
            life.entry(head.ledger).or_default().push(text.clone());
        }
        for (number, texts) in life {
            let known = all.entry(number).or_default();
            // A repeat is equal as far as both go; only the last ledger of a life may be cut short.
            let common = known.len().min(texts.len());
            assert_eq!(known[..common], texts[..common], "{what}: ledger {number}");
            if texts.len() > known.len() {
                *known = texts;
            }
        }
        kept = now;
        // The ledger goes on meanwhile.
        pause(Duration::from_millis(random.random_range(0..200)));
    }
    eprintln!("{deaths:?}");
    // One quiet life reads up to the tip.
    rpc.hold(true);
    let server = Server::start(&std::fs::read_to_string(&file).unwrap());
    let reader = Reader::start(server.clients, &json!({}));
    rpc.hold(false);
    let tip = ledger.latest();
    reader.wait_past(tip, Duration::from_secs(20));
    truth.wait_past(tip, Duration::from_secs(20));
    let texts = reader.texts();
    is_a_row(&texts);
    assert_eq!(Head::of(&texts[0]).ledger, kept.expect("some lives were long enough") + 1);

    // What came is what a server that never died said, byte by byte.
    let mut said: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for text in truth.texts() {
        said.entry(Head::of(&text).ledger).or_default().push(text);
    }
    let (mut whole, last) = (0, all.keys().next_back().copied().unwrap_or_default());
    for (number, texts) in &all {
        let truth = &said[number];
        assert_eq!(texts[..], truth[..texts.len()], "ledger {number}");
        whole += usize::from(texts.len() == truth.len());
    }
    let first = *all.keys().next().expect("some lives were long enough");
    let missed = (first..=last).filter(|number| !all.contains_key(number)).count();
    eprintln!("ledgers {first} to {last}: {whole} whole, {missed} kept and not sent");
    assert!(missed <= LIVES * UNSENT as usize && whole > LIVES, "{missed} missed, {whole} whole");
}
