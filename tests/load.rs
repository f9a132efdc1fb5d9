//! `ledgercast load` as its users run it: against the real server, where all is well, and against a server that
//! does wrong on purpose, where it must say what.

use crate::common::server::{Devnet, Process, Server, path, program, settings};
use crate::common::{pause, wait_until};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// Nothing may be wrong, and something must have come.
const ALL_IS_WELL: &str = "events>0,lost=0,late=0,repeated=0,reordered=0,different=0,mismatched=0,\
                           missing_ledgers=0,unreadable=0,unchecked=0,gaps=0,errors=0,closed=0,failed=0";

/// Exit code, standard output, standard error.
fn load(address: SocketAddr, more: &[&str]) -> (i32, String, String) {
    run(&[&["--url", &format!("ws://{address}/ws")], more].concat())
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = program().arg("load").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("it ends by itself"), text(output.stdout), text(output.stderr))
}

/// The report of a run that went well.
fn good(address: SocketAddr, more: &[&str]) -> Value {
    let (code, out, error) = load(address, &[&["--json"], more].concat());
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

#[test]
fn all_is_well_with_the_real_server() {
    let server = Server::demo("4", 60);
    server.wait_ready();
    let folder = tempfile::tempdir().unwrap();
    let hdr = folder.path().join("latency.hgrm");
    let admin = format!("http://{}", server.admin);
    let conditions = format!("{ALL_IS_WELL},connected=20,ledgers>=4,p99<20s");
    let arguments = [
        "--clients",
        "20",
        "--ramp",
        "300ms",
        "--duration",
        "3s",
        "--admin",
        &admin,
        "--source",
        "devnet",
        "--assert",
        &conditions,
    ];
    let report = good(server.clients, &[&arguments[..], &["--hdr", path(&hdr), "--verify", "all"]].concat());

    assert_eq!((&report["clients"], &report["filters"]), (&json!(20), &json!(1)));
    assert_eq!((&report["ended_early"], &report["failed_assertions"]), (&json!(null), &json!([])));
    let (latency, delivered, content) = (&report["latency"], &report["delivered"], &report["content"]);
    assert_eq!((&latency["from"], &latency["unknown"]), (&json!("post"), &json!(0)), "{latency}");
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} in {report}"));
    let times: Vec<u64> =
        ["p50", "p90", "p99", "p999", "max"].map(|name| number(&latency["times"][format!("{name}_nanos")])).into();
    assert!(times[0] > 0 && times.is_sorted(), "{times:?}");
    // Every ledger of the measured time, whole, to everybody.
    assert_eq!(number(&latency["times"]["samples"]), number(&delivered["ledgers"]) * 60 * 20, "{report}");
    assert!(number(&content["events"]) >= number(&delivered["events"]), "{report}");
    // The server counted no fewer.
    wait_until("the server counts", || {
        server.metric("ledgercast_frames_queued_total{dialect=\"flow\"}") as u64 >= number(&content["events"])
    });
    let distribution = std::fs::read_to_string(&hdr).unwrap();
    assert!(distribution.contains("1/(1-Percentile)") && distribution.contains("#[Max"), "{distribution}");
    wait_until("they all leave", || server.sessions() == 0);
}

#[test]
fn filters_differ_by_client() {
    let server = Server::demo("4", 100);
    server.wait_ready();
    let few = ["--clients", "6", "--ramp", "100ms", "--duration", "2s", "--assert", ALL_IS_WELL, "--filters"];
    let report = good(server.clients, &[&few[..], &[r#"{"types":["payment","trade"],"min_amount":"{i}.5"}"#]].concat());
    assert_eq!((&report["filters"], &report["latency"]["from"]), (&json!(6), &json!("first_reader")));

    // An account that really takes part, and one that nobody has.
    let (_, out, _) = load(server.clients, &["--clients", "1", "--duration", "1s"]);
    assert!(out.contains("spread      nothing was measured"), "one client alone has no spread: {out}");
    let folder = tempfile::tempdir().unwrap();
    let accounts = folder.path().join("accounts");
    std::fs::write(&accounts, "# ours\nGC5QKPXYJPW23RQXBOGPSER532WAC2P4YB7ULXPB2S4KNFNHMY3KTIFP\nGNOBODY\n").unwrap();
    let few = ["--clients", "4", "--duration", "3s", "--assert", ALL_IS_WELL, "--accounts", path(&accounts)];
    assert_eq!(good(server.clients, &few)["filters"], json!(2));
}

#[test]
fn slow_clients_and_those_who_come_back_disturb_nobody() {
    let devnet = Devnet::start("10", 300);
    let server = Server::start(&settings(devnet.address, "limits: { stall: 4s, send_buffer: 16KiB, outbox: 32KiB }"));
    server.wait_ready();
    let arguments = ["--clients", "12", "--slow", "4", "--churn", "5/s", "--ramp", "200ms", "--duration", "10s"];
    let report = good(server.clients, &[&arguments[..], &["--assert", ALL_IS_WELL]].concat());
    assert!(report["connecting"]["came_back"].as_u64().unwrap() > 10, "{report}");
    let slow = &report["slow"];
    assert_eq!((&slow["clients"], &slow["connected"]), (&json!(4), &json!(4)), "{report}");
    // Those who never read were closed for it, which is no fault of the others'.
    wait_until("two are closed", || {
        server.metric(r#"ledgercast_sessions_closed_total{dialect="flow",code="1008",reason="too_slow"}"#) >= 2.0
    });
    assert!(slow["events"].as_u64().unwrap() > 0, "{report}");
    assert!(
        slow["closed"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>() >= 2,
        "{report}"
    );
}

#[test]
fn a_server_that_stops_is_told() {
    let mut server = Server::demo("4", 20);
    server.wait_ready();
    let url = format!("ws://{}/ws", server.clients);
    let mut process = Process::start(&["load", "--url", &url, "--clients", "5", "--duration", "60s", "--json"]);
    wait_until("they are there", || server.sessions() == 5);
    pause(Duration::from_secs(2));
    server.stop();
    assert!(process.wait().success(), "nothing was asserted");
    let report: Value = serde_json::from_str(&process.stdout()).unwrap();
    assert_eq!(report["closed"], json!({"1001": 5}), "{report}");
    assert_eq!(report["ended_early"], "no client was left");
    assert_eq!(report["content"]["lost"], 0, "{report}");
}

#[test]
fn tls_and_tokens() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| path(&folder.path().join(name)).to_owned();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(file("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(file("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(file("tokens"), TOKEN).unwrap();
    let devnet = Devnet::start("4", 20);
    let text = settings(devnet.address, "")
        .replacen(
            "  - bind: 127.0.0.1:0\n",
            &format!(
                "  - bind: 127.0.0.1:0\n    tls: {{ cert_file: '{}', key_file: '{}' }}\n",
                file("cert.pem"),
                file("key.pem")
            ),
            1,
        )
        .replacen("config: {} }", &format!("config: {{}}, tokens_file: '{}' }}", file("tokens")), 1);
    let server = Server::start(&text);
    server.wait_ready();
    let url = format!("wss://localhost:{}/ws", server.clients.port());
    let few = ["--url", &url, "--clients", "4", "--ramp", "100ms", "--duration", "2s", "--assert", ALL_IS_WELL];
    let ended = |more: &[&str]| run(&[&few[..], more].concat());
    let (code, out, error) = ended(&["--ca", &file("cert.pem"), "--token-file", &file("tokens")]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let (code, out, error) = ended(&["--insecure", "--token-file", &file("tokens")]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let (code, _, error) = ended(&["--insecure"]);
    assert!(code == 1 && error.contains("refused with 401"), "{error}");
    assert_eq!(ended(&["--token-file", &file("tokens")]).0, 1, "nobody vouches for the certificate");
}

#[test]
fn wrong_arguments_are_told() {
    for (arguments, word) in [
        (&["--url", "ws://192.0.2.1:80/ws"][..], "--allow-remote"),
        (&["--url", "http://127.0.0.1/"], "no WebSocket"),
        (&["--dialect", "smtp"], "flow"),
        (&["--assert", "speed>1"], "p50, p90"),
        (&["--assert", "p99<50"], "50ms"),
        (&["--filters", "{"], "JSON object"),
        (&["--filters", r#"{"account_ids":["{account}"]}"#], "--accounts FILE"),
        (&["--accounts", "/nowhere"], "/nowhere"),
        (&["--clients", "0"], "give 1 to"),
        (&["--slow", "150%"], "1%"),
        (&["--slow", "100%"], "at least one"),
        (&["--churn", "fast"], "1/s"),
        (&["--duration", "0s"], "more than 0"),
        (&["--ramp", "soon"], "30s"),
        (&["--admin", "http://192.0.2.1:9090"], "on this machine"),
        (&["--ca", "x", "--insecure"], "cannot be used with"),
        (&["--token-file", "no/such/file"], "cannot be read"),
    ] {
        let (code, out, error) = run(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {error}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
    // Each client takes an open file.
    let shell = format!("ulimit -n 256; exec '{}' load --clients 1000", env!("CARGO_BIN_EXE_ledgercast"));
    let output = std::process::Command::new("sh").args(["-c", &shell]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && error.contains("256 are allowed"), "{error}");
    assert!(error.contains("at most 192"), "{error}");

    let (code, _, error) = run(&["--url", "ws://127.0.0.1:1/ws"]);
    assert!(code == 1 && error.contains("is the server running?"), "{error}");
}

/// What the bad server does, to its second client only unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    Loses,
    LosesToTheFirst,
    Repeats,
    Reorders,
    Changes,
    SendsWhatIsNotAskedFor,
    LeavesOutALedgerForAll,
    AnnouncesAGap,
    Mumbles,
    Drops,
    Stops,
    ThrowsOut,
}

#[tokio::test]
async fn what_a_bad_server_does_is_named() {
    let wrong = [
        (Fault::Nothing, "", ""),
        (Fault::Loses, "lost", "lost=0"),
        (Fault::LosesToTheFirst, "lost", "lost=0"),
        (Fault::Repeats, "repeated", "repeated=0"),
        (Fault::Reorders, "reordered", "reordered=0"),
        (Fault::Changes, "different", "different=0"),
        (Fault::SendsWhatIsNotAskedFor, "mismatched", "mismatched=0"),
        (Fault::LeavesOutALedgerForAll, "missing_ledgers", "missing_ledgers=0"),
        (Fault::AnnouncesAGap, "", "gaps=0"),
        (Fault::Mumbles, "unreadable", "unreadable=0"),
        (Fault::Drops, "", "dropped=0"),
        (Fault::Stops, "lost", "lost=0"),
        (Fault::ThrowsOut, "", "errors=0"),
    ];
    let mut runs = tokio::task::JoinSet::new();
    for (fault, figure, condition) in wrong {
        let address = serve(fault).await;
        runs.spawn_blocking(move || {
            let conditions = format!("{ALL_IS_WELL},dropped=0");
            let arguments =
                ["--clients", "3", "--ramp", "300ms", "--duration", "2s", "--json", "--assert", &conditions];
            let filters = r#"{"types":["ledger","payment"],"min_amount":""}"#;
            let (code, out, error) = load(address, &[&arguments[..], &["--filters", filters]].concat());
            let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{fault:?}: {out} {error}"));
            assert_eq!(code, i32::from(fault != Fault::Nothing), "{fault:?}: {report} {error}");
            assert!(error.contains(condition), "{fault:?}: {error}");
            for name in
                ["lost", "late", "repeated", "reordered", "different", "mismatched", "missing_ledgers", "unreadable"]
            {
                let is_wrong = report["content"][name].as_u64().unwrap() > 0;
                assert_eq!(is_wrong, name == figure, "{fault:?}: {name} in {report}");
            }
            match fault {
                Fault::AnnouncesAGap => assert_eq!(report["told"]["gaps"], 3, "{report}"),
                Fault::Drops => assert_eq!(report["told"]["dropped"], 17, "{report}"),
                Fault::ThrowsOut => {
                    assert_eq!(report["told"]["errors"], json!({"too_slow": 1}), "{report}");
                    assert_eq!(report["closed"], json!({"1008": 1}), "{report}");
                }
                _ => {}
            }
        });
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

/// A server that speaks Flow well enough, with one fault.
async fn serve(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let begun = Instant::now();
    tokio::spawn(async move {
        let clients = AtomicUsize::new(0);
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // The program first looks whether anybody is there, and says nothing then.
            let mut byte = [0];
            if stream.peek(&mut byte).await.is_ok_and(|count| count > 0) {
                tokio::spawn(converse(stream, fault, clients.fetch_add(1, Ordering::Relaxed), begun));
            }
        }
    });
    address
}

/// A ledger every 50 ms, from the next one on. Ends with the client.
async fn converse(stream: TcpStream, fault: Fault, client: usize, begun: Instant) -> Option<()> {
    const EVERY: Duration = Duration::from_millis(50);
    let mut socket = tokio_tungstenite::accept_async(stream).await.ok()?;
    socket.send(Message::text(r#"{"type":"welcome","message":"","format":{}}"#)).await.ok()?;
    let register = socket.next().await?.ok()?;
    let register: Value = serde_json::from_str(register.to_text().unwrap()).unwrap();
    assert_eq!(register["filters"]["types"], json!(["ledger", "payment"]));
    let hit = client == usize::from(fault != Fault::LosesToTheFirst);
    let dropped = if hit && fault == Fault::Drops { 17 } else { 0 };
    socket.send(Message::text(json!({"type": "registered", "dropped": dropped}).to_string())).await.ok()?;
    let mut ledger = 100 + (begun.elapsed().as_millis() / EVERY.as_millis()) as u64;
    loop {
        ledger += 1;
        let due = begun + EVERY * (ledger - 100) as u32;
        tokio::time::sleep_until(due.into()).await;
        // Something is wrong with every tenth ledger, from when all are there.
        let now = ledger > 115 && ledger % 10 == 5;
        let mut texts = vec![json!({"type": "ledger", "id": format!("{ledger}-ledger"), "ledger": ledger})];
        for at in 1..4u64 {
            let id = format!("{}-p0", ledger << 32 | at << 12);
            texts.push(json!({"type": "payment", "id": id, "ledger": ledger, "amount": "1.5", "asset": "native"}));
        }
        match fault {
            Fault::LeavesOutALedgerForAll if now => continue,
            Fault::AnnouncesAGap if ledger == 125 => continue,
            Fault::AnnouncesAGap if ledger == 126 => {
                texts.insert(
                    0,
                    json!({"type": "gap", "network": "n", "from_ledger": 125, "to_ledger": 125, "reason": ""}),
                );
            }
            Fault::Stops if hit && ledger > 125 => continue,
            Fault::ThrowsOut if hit && ledger == 125 => {
                let told = json!({"type": "error", "code": "too_slow", "message": ""}).to_string();
                socket.send(Message::text(told)).await.ok()?;
                let frame = CloseFrame { code: 1008.into(), reason: "too slow".into() };
                socket.close(Some(frame)).await.ok()?;
                while socket.next().await.is_some_and(|message| message.is_ok()) {}
                return None;
            }
            _ => {}
        }
        if now && hit {
            match fault {
                Fault::Loses | Fault::LosesToTheFirst => drop(texts.remove(2)),
                Fault::Repeats => texts.push(texts[1].clone()),
                Fault::Reorders => texts.swap(1, 2),
                Fault::Changes => texts[2]["amount"] = json!("1.6"),
                Fault::Mumbles => texts.push(json!({"type": "dance"})),
                _ => {}
            }
        }
        if now && fault == Fault::SendsWhatIsNotAskedFor {
            let id = format!("{}-t0", ledger << 32 | 3 << 12);
            texts.push(json!({"type": "trade", "id": id, "ledger": ledger}));
        }
        for text in texts {
            socket.feed(Message::text(text.to_string())).await.ok()?;
        }
        socket.flush().await.ok()?;
    }
}
