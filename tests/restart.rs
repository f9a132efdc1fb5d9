//! The server dies and comes back, the ledger goes away and comes back: no ledger is skipped, none
//! is delivered twice, and what happens meanwhile is told.

use crate::common::client::{Client, Head, is_a_row};
use crate::common::server::{Devnet, Server, checkpoint, journal_file, path, settings};
use crate::common::{pause, wait_until};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The first ledger that the source of this server read, as it says in its log.
fn began_at(server: &Server) -> u64 {
    let mut found = None;
    wait_until("the source is open", || {
        let log = server.process.stderr();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found = lines.into_iter().find_map(|line| {
            let told = line["message"].as_str()?.strip_prefix("source opened, ledger ")?;
            told.split(' ').next()?.parse().ok()
        });
        found.is_some()
    });
    found.expect("it was waited for")
}

/// Reads until so many ledgers have begun, and some events more.
async fn read_ledgers(client: &mut Client, count: usize, texts: &mut Vec<String>) {
    let mut ledgers = 0;
    while ledgers < count {
        let text = client.next_text().await;
        ledgers += usize::from(Head::of(&text).kind == "ledger");
        texts.push(text);
    }
}

#[tokio::test]
async fn a_killed_server_goes_on_after_its_checkpoint() {
    let devnet = Devnet::start("8", 40);
    let state = tempfile::tempdir().unwrap();
    let settings = settings(devnet.address, &format!("state_dir: '{}'", path(state.path())));
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut known = None;
    for round in 0..4u64 {
        let mut server = Server::start(&settings);
        let mut client = Client::connect(server.clients).await;
        let mut texts = Vec::new();
        client.registered(&json!({}), &mut texts).await;
        read_ledgers(&mut client, 6 + round as usize, &mut texts).await;
        is_a_row(&texts);
        let first = began_at(&server);
        if let Some(known) = known {
            // The ledger after the checkpoint: none skipped, none posted again.
            assert_eq!(first, known + 1, "round {round}");
        }
        // All that was read since is in one row up to the last.
        wait_until("as many ledgers as there are numbers", || {
            let ledgers = server.metric("ledgercast_ledgers_total{source=\"devnet\"}");
            let last = server.metric("ledgercast_source_last_ledger{source=\"devnet\"}");
            ledgers > 0.0 && last - ledgers + 1.0 == first as f64
        });
        wait_until("a checkpoint is kept", || checkpoint(state.path()).is_some_and(|it| it >= first));
        server.process.kill();
        let kept = checkpoint(state.path()).expect("there is one");
        // It may be behind what was delivered, since nobody waits for the disk: then ledgers come
        // again. It is never ahead of the network.
        assert!((first..=devnet.latest()).contains(&kept), "{kept}");
        // The same facts have the same form in every run.
        for text in texts {
            if let Some(before) = seen.insert(Head::of(&text).id, text.clone()) {
                assert_eq!(before, text);
            }
        }
        known = Some(kept);
        // The ledger goes on meanwhile.
        pause(Duration::from_millis(150 * round + 100));
    }
    // A quiet end keeps all that was delivered.
    let mut server = Server::start(&settings);
    assert_eq!(began_at(&server), known.unwrap() + 1);
    let mut client = Client::connect(server.clients).await;
    let mut texts = Vec::new();
    client.registered(&json!({}), &mut texts).await;
    read_ledgers(&mut client, 4, &mut texts).await;
    assert_eq!(server.stop().code(), Some(0));
    let kept = checkpoint(state.path()).unwrap();
    assert!(kept >= Head::of(texts.last().unwrap()).ledger, "{kept}");
}

#[test]
fn a_damaged_journal_is_moved_aside_and_told() {
    let devnet = Devnet::start("8", 20);
    let state = tempfile::tempdir().unwrap();
    let settings = settings(devnet.address, &format!("state_dir: '{}'", path(state.path())));
    let mut server = Server::start(&settings);
    wait_until("a checkpoint is kept", || checkpoint(state.path()).is_some());
    server.process.kill();
    let file = journal_file(state.path());
    std::fs::write(&file, "this is no journal, and longer than the head of one would be: ".repeat(500)).unwrap();
    std::fs::remove_file(file.with_extension("db-wal")).unwrap();
    let server = Server::start(&settings);
    server.wait_ready();
    let log = server.process.stderr();
    assert!(log.contains("the journal is damaged") && log.contains("journal.db.damaged-"), "{log}");
    wait_until("a checkpoint is kept again", || checkpoint(state.path()).is_some());
    let kept: Vec<_> =
        state.path().read_dir().unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert!(kept.iter().any(|name| name.starts_with("journal.db.damaged-")), "{kept:?}");
}

/// Stands between the server and its RPC, so that the way can be cut.
struct Cable {
    address: SocketAddr,
    target: SocketAddr,
    whole: Option<(Arc<AtomicBool>, std::thread::JoinHandle<()>)>,
}

impl Cable {
    fn to(target: SocketAddr) -> Cable {
        let mut cable = Cable { address: "127.0.0.1:0".parse().unwrap(), target, whole: None };
        cable.mend();
        cable
    }

    fn mend(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let (is_cut, target) = (cut.clone(), self.target);
        let thread = std::thread::spawn(move || {
            let open: Mutex<Vec<TcpStream>> = Mutex::default();
            while !is_cut.load(Ordering::Relaxed) {
                let Ok((near, _)) = listener.accept() else {
                    pause(Duration::from_millis(5));
                    continue;
                };
                near.set_nonblocking(false).unwrap();
                let Ok(far) = TcpStream::connect(target) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || copy(from, to));
                }
                open.lock().unwrap().extend([near, far]);
            }
            for stream in open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        self.whole = Some((cut, thread));
    }

    /// Connections end, further ones are refused.
    fn cut(&mut self) {
        if let Some((cut, thread)) = self.whole.take() {
            cut.store(true, Ordering::Relaxed);
            thread.join().unwrap();
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.cut();
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[tokio::test]
async fn an_rpc_that_comes_back_leaves_no_hole() {
    let devnet = Devnet::start("8", 40);
    let mut cable = Cable::to(devnet.address);
    let server = Server::start(&settings(cable.address, ""));
    let mut client = Client::connect(server.clients).await;
    let mut texts = Vec::new();
    client.registered(&json!({}), &mut texts).await;
    for _ in 0..2 {
        read_ledgers(&mut client, 4, &mut texts).await;
        cable.cut();
        wait_until("the failure is told", || {
            let source = server.readyz().json()["sources"][0].take();
            source["state"] == "retrying" && source["last_error"].is_string()
        });
        pause(Duration::from_millis(700));
        cable.mend();
        let missed = devnet.latest();
        while texts.last().is_none_or(|text| Head::of(text).ledger <= missed) {
            texts.push(client.next_text().await);
        }
        wait_until("it is live again", || server.readyz().json()["sources"][0]["last_error"].is_null());
    }
    is_a_row(&texts);
    assert_eq!(server.readyz().status, 200);
}

#[tokio::test]
async fn a_server_may_start_before_its_rpc() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(&settings(address, ""));
    let mut client = Client::connect(server.clients).await;
    client.registered(&json!({}), &mut Vec::new()).await;
    wait_until("the failure is told", || {
        let answer = server.readyz();
        let reason = answer.json()["reasons"][0].as_str().unwrap_or_default().to_owned();
        answer.status == 503 && reason.starts_with("source devnet: no ledger yet; last error: ")
    });
    let _devnet = Devnet::start_at(address, "8", 40);
    server.wait_ready();
    let mut texts = Vec::new();
    read_ledgers(&mut client, 3, &mut texts).await;
    is_a_row(&texts);
}

/// Another chain behind the same address is announced, between two ledgers.
#[tokio::test]
async fn a_network_that_begins_anew_is_announced() {
    let mut devnet = Devnet::start("10", 30);
    let server = Server::start(&settings(devnet.address, ""));
    let mut client = Client::connect(server.clients).await;
    let mut texts = Vec::new();
    // Resets are told whatever the filters are.
    client.registered(&json!({"types": ["ledger"]}), &mut texts).await;
    read_ledgers(&mut client, 12, &mut texts).await;
    devnet.process.kill();
    // From a past that the first chain never had: the hashes differ.
    pause(Duration::from_millis(1200));
    let _again = Devnet::start_at(devnet.address, "10", 30);
    let reset = loop {
        let text = client.next_text().await;
        if text.starts_with(r#"{"type":"reset""#) {
            break text;
        }
        texts.push(text);
    };
    is_a_row(&texts);
    let reset: Value = serde_json::from_str(&reset).unwrap();
    let mut after = Vec::new();
    read_ledgers(&mut client, 5, &mut after).await;
    is_a_row(&after);
    assert!(reset["network"].as_str().unwrap().starts_with("stellar-"), "{reset}");
    assert_eq!(reset["to_ledger"], json!(Head::of(texts.last().unwrap()).ledger));
    assert_eq!(server.readyz().status, 200);
}
