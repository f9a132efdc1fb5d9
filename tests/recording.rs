//! Yesterday's market is told again as it was: every text, in the same order, each time, at any speed; what was recorded
//! survives its way through a file; a file that is not whole is refused.

use crate::common::client::{Client, Got, Head};
use crate::common::server::{Devnet, Process, Server, path, program};
use crate::common::wait_until;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Sources, their types, and the devnet behind each.
const SOURCES: [(&str, &str, &str); 4] = [
    ("stellar", "stellar_rpc", ""),
    ("xrpl", "xrpl_rpc", ""),
    ("evm", "evm_rpc", ", chain_id: 20260704, finality: { confirmations: 2 }"),
    ("planetmint", "planetmint_api", ""),
];
const SUBSCRIBE: &str = r#"{"id":1,"command":"subscribe","streams":["ledger","transactions"]}"#;
const REGISTER: &str = r#"{"type":"register","filters":{}}"#;
/// Ledgers that the bot trades on.
const LEDGERS: u64 = 8;

fn settings(sources: &str, state: &Path) -> String {
    format!(
        "sources:\n{sources}state_dir: {}\nlisteners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
         - {{ dialect: flow, path: /ws, sources: [xrpl] }}\n      - {{ dialect: rippled, path: /xrpl, sources: [xrpl] }}\n\
         admin: {{ bind: 127.0.0.1:0 }}\n",
        state.display()
    )
}

/// `ledgercast export`, and what it said.
fn export(settings: &Path, source: &str, more: &[&str], to: &Path) -> String {
    let mut export = program();
    export.args(["export", "--config", path(settings), "--source", source, "--output", path(to)]).args(more);
    let output = export.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{source}: {said}");
    said
}

/// `ledgercast replay`, and where its clients and operators go.
fn replay(recording: &Path, more: &[&str]) -> (Process, SocketAddr, SocketAddr) {
    let at = ["--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut replay = program();
    replay.args(["replay", path(recording)]).args(at).args(more).env("TMPDIR", recording.parent().unwrap());
    let mut process = Process::of(replay);
    let (clients, operators) = process.wait_for("banner of the replay", |process| {
        let out = process.stdout();
        let between = |before: &str, after: &str| out.split_once(before)?.1.split_once(after)?.0.parse().ok();
        Some((between("ws://", "/ws")?, between("Operators  http://", "/readyz")?))
    });
    (process, clients, operators)
}

/// Why `ledgercast replay` does not start.
fn refused(recording: &Path) -> String {
    let at = ["--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut replay = program();
    let output = replay.args(["replay", path(recording)]).args(at).env("TMPDIR", recording.parent().unwrap()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// A client at a path that says this and listens.
async fn listener(address: SocketAddr, at: &str, says: &str) -> Client {
    let mut client = Client::try_at(address, at).await.unwrap();
    client.text(says.to_owned()).await;
    client
}

/// All that comes until the server closes, with the close code.
async fn all(mut client: Client) -> (Vec<String>, u16) {
    let mut texts = Vec::new();
    loop {
        match client.next().await {
            Got::Text(text) => texts.push(text),
            Got::Close(code, _) => return (texts, code),
            other => panic!("{other:?} after {} texts", texts.len()),
        }
    }
}

/// The ledger of an event, in either protocol.
fn ledger_of(text: &str) -> Option<u64> {
    let message: Value = serde_json::from_str(text).unwrap();
    match message["type"].as_str() {
        Some("response" | "welcome" | "registered" | "replay_end") => None,
        _ => message["ledger_index"].as_u64().or(message["ledger"].as_u64()),
    }
}

/// The events up to a ledger, as they happen.
async fn live(mut client: Client, through: u64) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let text = client.next_text().await;
        match ledger_of(&text) {
            Some(ledger) if ledger > through => return texts,
            Some(_) => texts.push(text),
            None => {}
        }
    }
}

/// What a bot written with xrpl.js decides; `None`, said: there is no xrpl.js here.
fn bot(address: SocketAddr) -> Option<Vec<Value>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join("target/clients/node_modules");
    let packages = std::env::var("NODE_PATH").unwrap_or_else(|_| own.display().to_string());
    if !packages.split(':').any(|folder| Path::new(folder).join("xrpl").is_dir()) {
        println!("skipped: no xrpl.js; install the npm package xrpl and name its folder in NODE_PATH");
        return None;
    }
    let mut node = Command::new("node");
    node.arg(root.join("tests/clients/trading_bot.js")).env("NODE_PATH", packages);
    node.env("XRPL_URL", format!("ws://{address}/xrpl")).env("LEDGERS", LEDGERS.to_string());
    let mut process = Process::of({
        node.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        node
    });
    let status = process.wait();
    assert!(status.success() && process.stderr().is_empty(), "{status}: {}", process.stderr());
    Some(process.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_recorded_market_is_told_as_it_was() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let devnets = SOURCES.map(|(name, ..)| Devnet::of_ledger(name, "4", 20));
    let sources = SOURCES.iter().zip(&devnets).map(|((name, kind, more), devnet)| {
        let config = format!("{{ rpc_url: 'http://{}', poll_interval: 50ms{more} }}", devnet.address);
        format!("  {name}: {{ type: {kind}, config: {config} }}\n")
    });
    let text = settings(&sources.collect::<String>(), &at("state"));
    fs::write(at("market.yaml"), &text).unwrap();
    let mut server = Server::start(&text);
    server.wait_ready();
    let ledgers = || -> Vec<u64> {
        let known: Value = serde_json::from_str(&server.readyz().body).unwrap();
        known["sources"].as_array().unwrap().iter().map(|source| source["last_ledger"].as_u64().unwrap()).collect()
    };
    let begun = ledgers();

    // As it happens, for two clients and a bot.
    let flow = runtime.block_on(listener(server.clients, "/ws", REGISTER));
    let rippled = runtime.block_on(listener(server.clients, "/xrpl", SUBSCRIBE));
    let decisions = bot(server.clients);
    let grown = |(last, begun): (u64, &u64)| last >= begun + LEDGERS;
    wait_until("there is something to export", || ledgers().into_iter().zip(&begun).all(grown));
    let market = at("xrpl.jsonl");
    // Beside the server, which notices nothing.
    let exported: Vec<PathBuf> = SOURCES
        .iter()
        .map(|(name, ..)| {
            let file = at(&format!("{name}.jsonl"));
            let said = export(&at("market.yaml"), name, &[], &file);
            assert!(said.contains("; 0 missing"), "{said}");
            file
        })
        .collect();
    let last = header(&market)["to"]["ledger"].as_u64().unwrap();
    let (flow, rippled) = runtime.block_on(async { tokio::join!(live(flow, last), live(rippled, last)) });
    assert_eq!(server.readyz().status, 200);

    for speed in ["max", "10x"] {
        let (mut process, clients, _) = replay(&market, &["--speed", speed]);
        for (path, says, happened) in [("/ws", REGISTER, &flow), ("/xrpl", SUBSCRIBE, &rippled)] {
            let tell = || runtime.block_on(async { all(listener(clients, path, says).await).await });
            let ((once, code), again) = (tell(), tell());
            assert_eq!((&once, code), (&again.0, again.1), "{path} at {speed}");
            assert_eq!(code, 1000, "{path} at {speed}");
            let told: Vec<&String> = once.iter().filter(|text| ledger_of(text).is_some()).collect();
            let first = ledger_of(&happened[0]);
            let told: Vec<_> = told.into_iter().skip_while(|text| ledger_of(text) < first).collect();
            assert!(happened.len() > 50 && told == happened.iter().collect::<Vec<_>>(), "{path} at {speed}");
            let ends = path == "/ws" && Head::of(once.last().unwrap()).kind == "replay_end";
            assert_eq!(ends, path == "/ws", "{:?}", once.last());
        }
        // No server is behind it, and a client is told so in words that it knows.
        let answer = runtime.block_on(async {
            let asks = r#"{"id":2,"command":"account_info","account":"rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"}"#;
            listener(clients, "/xrpl", asks).await.next_text().await
        });
        assert!(answer.starts_with(r#"{"id":2,"status":"error","type":"response","error":"noNetwork""#), "{answer}");
        process.signal(rustix::process::Signal::TERM);
        assert!(process.wait().success());
        let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(left.filter(|name| name.starts_with("ledgercast-replay-")).count(), 0);
    }

    // The bot goes by what it gets, and gets the same.
    if let Some(decisions) = decisions {
        let (first, day) = (decisions.last().unwrap()["first"].as_u64().unwrap(), at("day.jsonl"));
        let (from, to) = (first.to_string(), (first + LEDGERS - 1).to_string());
        export(&at("market.yaml"), "xrpl", &["--from", &from, "--to", &to, "--lean"], &day);
        assert!(decisions.len() > 2, "{decisions:?}");
        for speed in ["10x", "max"] {
            let (_process, clients, _) = replay(&day, &["--speed", speed, "--dialect", "rippled", "--dialect", "flow"]);
            assert_eq!(bot(clients).as_ref(), Some(&decisions), "{speed}");
        }
    }
    holes(&runtime, &at("market.yaml"), &market, &at("parts"));
    assert!(server.stop().success());
    faults(&market, &at("bad.jsonl"));
    // Nobody writes there any more.
    export(&at("market.yaml"), "xrpl", &["--to", &last.to_string()], &at("again.jsonl"));
    assert!(fs::read(at("again.jsonl")).unwrap() == fs::read(&market).unwrap());
    round(&exported, folder.path());
}

fn header(recording: &Path) -> Value {
    serde_json::from_str(fs::read_to_string(recording).unwrap().lines().next().unwrap()).unwrap()
}

/// Two files that do not join: the gap is told; and all clients at the same moment.
fn holes(runtime: &tokio::runtime::Runtime, settings: &Path, market: &Path, folder: &Path) {
    let first = header(market)["from"]["ledger"].as_u64().unwrap();
    fs::create_dir(folder).unwrap();
    let number = |more: u64| (first + more).to_string();
    export(settings, "xrpl", &["--from", &number(3), "--to", &number(4)], &folder.join("a.jsonl"));
    let said = export(settings, "xrpl", &["--from", "1", "--to", &number(0)], &folder.join("b.jsonl"));
    assert!(said.contains(&format!("missing: ledgers 1 to {}: not kept any more", first - 1)), "{said}");
    let (_process, clients, _) = replay(folder, &["--speed", "max"]);
    let (texts, code) = runtime.block_on(async { all(listener(clients, "/ws", REGISTER).await).await });
    let gaps: Vec<Value> = texts
        .iter()
        .filter(|text| text.starts_with("{\"type\":\"gap\""))
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let told = json!([{ "type": "gap", "network": header(market)["network"], "from_ledger": first + 1,
        "to_ledger": first + 2, "reason": "not in the recording" }]);
    assert_eq!((json!(gaps), code), (told, 1000));

    let (_process, clients, operators) = replay(folder, &["--speed", "1000x", "--together"]);
    let mut late = runtime.block_on(async {
        let mut late = listener(clients, "/ws", REGISTER).await;
        late.next_text().await;
        late.ping(b"here").await;
        late
    });
    wait_until("the end is known", || {
        let ready = crate::common::http::get(operators, "/readyz").unwrap();
        let known: Value = serde_json::from_str(&ready.body).unwrap();
        let ended = known["sources"][0]["ended"].as_str();
        ready.status == 200 && ended.is_some_and(|ended| ended.ends_with(&format!("ended with ledger {}", first + 4)))
    });
    // It stays.
    runtime.block_on(async { while late.next().await != Got::Pong(b"here".to_vec()) {} });
}

/// Files that are not whole.
fn faults(market: &Path, bad: &Path) {
    let good = fs::read(market).unwrap();
    fs::write(bad, &good[..good.len() / 2]).unwrap();
    let told = refused(bad);
    assert!(told.contains("bad.jsonl: it has no end mark, so it was cut"), "{told}");
    let mut flipped = good.clone();
    let data = b"\"data\":\"";
    let third = good.split_inclusive(|byte| *byte == b'\n').take(2).map(<[u8]>::len).sum::<usize>();
    let at = third + good[third..].windows(data.len()).position(|window| window == data).unwrap() + data.len() + 99;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    fs::write(bad, flipped).unwrap();
    let told = refused(bad);
    assert!(told.contains("bad.jsonl:3: ledger ") && told.contains("export it again"), "{told}");
}

/// What was read from the files is written again as it was, of every family.
fn round(exported: &[PathBuf], folder: &Path) {
    let sources = SOURCES.iter().zip(exported).map(|((name, ..), file)| {
        format!("  {name}: {{ type: recording, config: {{ path: '{}', speed: max }} }}\n", file.display())
    });
    let text = settings(&sources.collect::<String>(), &folder.join("again"));
    let file = folder.join("again.yaml");
    fs::write(&file, &text).unwrap();
    let mut server = Server::start(&text);
    wait_until("all recordings are read", || {
        let known: Value = serde_json::from_str(&server.readyz().body).unwrap();
        known["sources"].as_array().unwrap().iter().all(|source| source["ended"].is_string())
    });
    assert!(server.stop().success());
    for ((name, ..), before) in SOURCES.iter().zip(exported) {
        let after = folder.join(format!("{name}.again.jsonl"));
        export(&file, name, &[], &after);
        let (before, after) = (fs::read_to_string(before).unwrap(), fs::read_to_string(after).unwrap());
        assert!(before.lines().count() > 5, "{name}: {}", before.lines().count());
        for (number, (one, other)) in before.lines().zip(after.lines()).enumerate() {
            assert!(one == other, "{name}:{}: {one}\nis not\n{other}", number + 1);
        }
        assert_eq!(before.len(), after.len(), "{name}");
    }
}
