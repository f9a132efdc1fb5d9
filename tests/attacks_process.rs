//! What befalls the whole process: a session that panics, hardly any descriptors, a clock that is set.

use crate::common::attack::{Scene, cpu_share, small_history};
use crate::common::client::WELCOME;
use crate::common::http::get;
use crate::common::raw::{FIN, REQUEST, Raw, TEXT, frame};
use crate::common::server::{Devnet, Process, Server, path, program, settings};
use crate::common::{pause, wait_until};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// A connection to the echo example.
fn open(address: SocketAddr, at: &str) -> Raw {
    let mut raw = Raw::dial(address);
    raw.send(REQUEST.replacen("/ws", at, 1).as_bytes());
    assert_eq!(raw.head().status, 101);
    raw
}

#[test]
fn a_panic_ends_its_session_alone() {
    // Where cargo puts examples; it builds them with the tests.
    let echo = Path::new(env!("CARGO_BIN_EXE_ledgercast")).with_file_name("examples").join("echo");
    assert!(echo.exists(), "build it first: cargo build --example echo");
    let mut command = Command::new(echo);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::of(command);
    let address: SocketAddr = process.wait_for("address", |process| {
        process.stdout().lines().find_map(|line| line.strip_prefix("ws://")?.strip_suffix('/')?.parse().ok())
    });
    // On each thread.
    let mut others: Vec<Raw> = (0..20).map(|_| open(address, "/")).collect();
    let mut echoes = |what: &str| {
        for raw in &mut others {
            raw.text(what);
            assert_eq!(raw.next().text(), what);
        }
    };
    echoes("before");
    let panics = |count: usize| {
        for _ in 0..count {
            let mut raw = open(address, "/panic");
            raw.text("fine");
            assert_eq!(raw.next().text(), "fine");
            raw.text("panic");
            assert!(raw.rest().iter().all(|frame| frame.opcode != TEXT));
        }
    };
    panics(20);
    let (descriptors, memory) = (process.descriptors(), process.memory());
    for round in 0..5 {
        panics(20);
        echoes(&format!("round {round}"));
    }
    wait_until("descriptors are closed", || process.descriptors() <= descriptors);
    assert!(process.memory() < memory + (16 << 20), "{memory} bytes before, {} after", process.memory());
    assert!(process.is_running());
    assert!(process.stderr().contains("a client asked for it"));
}

#[test]
fn hardly_any_descriptors() {
    let devnet = Devnet::start("4", 20);
    let mut command = Command::new("sh");
    let program = program();
    command.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\"", path(Path::new(program.get_program()))]);
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let settings = settings(devnet.address, &small_history("workers: 2\nlimits: { handshake: 2s }"));
    let server = Server::start_by(command, &settings);
    // The process needs most of them itself.
    Scene::with(devnet, server, 1).endures(1, |server| {
        // Far more than can be.
        let mut raws: Vec<Raw> = (0..300).map(|_| Raw::dial(server.clients)).collect();
        let (mut served, mut refused, mut waiting) = (Vec::new(), 0, 0);
        for (at, mut raw) in raws.drain(..).enumerate() {
            raw.try_send(REQUEST.as_bytes());
            // The first ones have had the time; whoever waits still waits.
            let time = Duration::from_millis(if at < 100 { 500 } else { 20 });
            let Some(status) = raw.status_within(time) else {
                waiting += 1;
                continue;
            };
            match status {
                101 => served.push(raw),
                503 => refused += 1,
                other => panic!("status {other}"),
            }
        }
        eprintln!("{} served, {refused} refused, {waiting} waited", served.len());
        assert!(!served.is_empty() && refused > 0);
        // Operators are answered, and the process waits without work.
        assert_eq!(server.readyz().status, 200);
        let share = cpu_share(server.process.id(), Duration::from_secs(2));
        assert!(share < 0.7, "{share} of a core");
        for raw in &mut served {
            assert_eq!(raw.next_of(TEXT).text(), WELCOME);
            raw.send(&frame(FIN | TEXT, br#"{"type":"register","filters":{"types":["ledger"]}}"#));
            assert!(raw.next_of(TEXT).text().starts_with(r#"{"type":"registered""#));
        }
        let log = server.process.stderr();
        assert!(log.lines().count() < 100, "the log is full of it: {log}");
    });
}

/// The library that lies about the time, where it is installed.
fn faketime() -> Option<PathBuf> {
    let folders = Path::new("/usr/lib").read_dir().ok()?.filter_map(Result::ok);
    folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|file| file.exists())
}

/// The server's clock against ours, by the header that every answer has.
fn ahead(server: &Server) -> f64 {
    let answer = get(server.clients, "/").expect("a page");
    let date = httpdate::parse_http_date(answer.header("date").expect("a date")).expect("a date");
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    since(date) - since(SystemTime::now())
}

#[test]
fn the_clock_is_set() {
    let Some(library) = faketime() else {
        eprintln!("skipped: Debian's package `faketime` is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("time");
    let set = |by: &str| {
        // In one step: a half-written file would be another time.
        let new = folder.path().join("new");
        std::fs::write(&new, by).unwrap();
        std::fs::rename(new, &file).unwrap();
    };
    set("+0s");
    let mut command = program();
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &file);
    // What measures time must not be what is set; and each look at the clock reads the file.
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_NO_CACHE", "1");
    let devnet = Devnet::start("4", 20);
    let text = settings(devnet.address, &small_history(&format!("state_dir: '{}'", folder.path().display())));
    let server = Server::start_by(command, &text);
    let errors = |server: &Server| {
        let metrics = get(server.admin, "/metrics").unwrap().body;
        let counts = metrics.lines().filter(|line| line.starts_with("ledgercast_source_rpc_errors"));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
    };
    let mut scene = Scene::of(devnet, server);
    let before = errors(&scene.server);
    // Forward, back behind the start, far back, and home.
    for (by, seconds) in [("+3600s", 3600.0), ("-3600s", -3600.0), ("-900d", -900.0 * 86400.0), ("+0s", 0.0)] {
        set(by);
        wait_until("the clock is set", || (ahead(&scene.server) - seconds).abs() < 30.0);
        pause(Duration::from_secs(2));
        // Nobody was closed, and the ledger goes on.
        scene.calms_down();
        assert_eq!(errors(&scene.server), before, "{by}");
    }
    let log = scene.server.process.stderr();
    assert!(!log.contains("session closed") && log.lines().count() < 30, "{log}");
    scene.is_whole();
}
