//! What people see on the command line: texts, exit codes, and errors that name the remedy.

use crate::common::server::{Devnet, Process, path, program};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;

/// Exit code, standard output, standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = program().args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("it ends by itself"), text(output.stdout), text(output.stderr))
}

#[test]
fn version_and_help() {
    let version = format!("ledgercast {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]), (0, version, String::new()));
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for command in ["serve", "check-config", "gen-config", "devnet", "hash-password", "token"] {
        assert!(help.contains(command), "{command} is not in\n{help}");
    }
    let (code, _, error) = run(&["sevre"]);
    assert_eq!(code, 2);
    assert!(error.contains("serve"), "{error}");
}

#[test]
fn the_printed_settings_are_the_file_and_good() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.yaml");
    let (code, printed, _) = run(&["gen-config"]);
    assert_eq!((code, printed.as_str()), (0, std::fs::read_to_string(file).unwrap().as_str()));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|it| it == "yaml")) {
        let (code, text, error) = run(&["check-config", path(&file)]);
        assert_eq!((code, error.as_str()), (0, ""), "{}", file.display());
        assert!(text.contains("is good"), "{text}");
    }
}

#[test]
fn a_broken_file_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.yaml");
    let good = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo.yaml")).unwrap();
    let line = good.lines().position(|line| line.contains("poll_interval:")).unwrap() + 1;
    let column = good.lines().nth(line - 1).unwrap().find("poll_interval").unwrap() + 1;
    std::fs::write(&file, good.replace("poll_interval:", "pol_interval:")).unwrap();
    for command in [&["check-config", path(&file)][..], &["serve", "--config", path(&file)]] {
        let (code, out, error) = run(command);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(error.contains(&format!("{}:{line}:{column}: ", path(&file))), "{error}");
        assert!(error.contains("did you mean `poll_interval`?"), "{error}");
        assert!(!error.contains("panicked") && !error.contains("RUST_BACKTRACE"), "{error}");
    }
    let (code, _, error) = run(&["serve", "--config", "/none/such.yaml"]);
    assert_eq!(code, 1);
    assert!(error.contains("/none/such.yaml") && error.contains("gen-config"), "{error}");
}

#[test]
fn sources_are_asked_when_that_is_wished() {
    let devnet = Devnet::start("1", 5);
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("online.yaml");
    let check = |addresses: &str, more: &str| {
        let settings = crate::common::server::settings(devnet.address, "")
            .replace("rpc_url:", "rpc_urls:")
            .replace(&format!("'http://{}'", devnet.address), &format!("[{addresses}], {more}"));
        std::fs::write(&file, settings).unwrap();
        run(&["check-config", "--online", path(&file)])
    };
    let (alive, dead) = (format!("http://{}", devnet.address), format!("http://{dead}"));

    let (code, text, error) = check(&format!("'{dead}/?key=SECRET', '{alive}'"), "start_ledger: 999999");
    assert_eq!((code, error.as_str()), (0, ""), "{text}");
    let line = text.lines().find(|line| line.contains(&format!("{alive}: stellar-"))).expect(&text);
    assert!(line.contains("(\"Ledgercast Devnet ; 2026\"), ledgers ") && line.ends_with(" ms"), "{text}");
    assert!(text.contains("start_ledger 999999 is not closed yet"), "{text}");
    assert!(text.contains(&format!("{dead}: ")) && text.contains("check that the node runs"), "{text}");
    assert!(!text.contains("SECRET"), "{text}");

    let (code, text, error) = check(&format!("'{dead}'"), "timeout: 2s");
    assert_eq!((code, error.lines().count()), (1, 1), "{text}{error}");
    assert!(text.contains("is good") && error.contains("source devnet cannot be read"), "{text}{error}");

    let (code, text, error) = check(&format!("'{alive}'"), "network_passphrase: another");
    assert_eq!(code, 1, "{text}{error}");
    assert!(text.contains("serves the network \"Ledgercast Devnet ; 2026\", not \"another\""), "{text}");

    // Without the wish nobody is asked.
    let (code, text, _) = run(&["check-config", path(&file)]);
    assert_eq!((code, text.contains("asking")), (0, false), "{text}");
}

#[test]
fn a_password_becomes_its_hash() {
    let hash = |password: &str| {
        let mut process = program().arg("hash-password").stdin(Stdio::piped()).spawn().unwrap();
        // It may have seen enough before all is written.
        let _ = process.stdin.take().unwrap().write_all(password.as_bytes());
        let output = process.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, text, error) = hash("correct horse\n");
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && text.lines().count() == 1, "{text}");
    for (bad, told) in [("", "is empty"), ("one\ntwo\n", "more than one line"), (&"x".repeat(3000), "1024 bytes")] {
        let (code, text, error) = hash(bad);
        assert_eq!((code, text.as_str()), (1, ""), "{error}");
        assert!(error.contains(told) && !error.contains("xxx") && !error.contains("two"), "{error}");
    }
}

#[test]
fn a_taken_port_names_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let free = "127.0.0.1:0";
    for (arguments, remedy) in [
        (&["serve", "--bind", &address, "--admin", free][..], "--bind"),
        (&["serve", "--bind", free, "--admin", &address], "--admin"),
        (&["devnet", "--listen", &address], "choose another"),
    ] {
        let (code, _, error) = run(arguments);
        assert_eq!(code, 1, "{error}");
        assert!(error.contains(&address) && error.contains(remedy), "{arguments:?}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taken.yaml");
    let text = crate::common::server::settings("127.0.0.1:9".parse().unwrap(), "")
        .replace("bind: 127.0.0.1:0\n", &format!("bind: {address}\n"));
    std::fs::write(&file, text).unwrap();
    let (code, _, error) = run(&["serve", "--config", path(&file)]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains(&address) && error.contains("listeners[0].bind"), "{error}");
    // A pipeline file has another name for it. Its consumers listen on all addresses.
    let port = taken.local_addr().unwrap().port().to_string();
    let pipelines = concat!(env!("CARGO_MANIFEST_DIR"), "/config/pipelines.yaml");
    let text = std::fs::read_to_string(pipelines).unwrap().replace("\"8080\"", &port);
    std::fs::write(&file, format!("{text}admin: {{ bind: '{free}' }}\n")).unwrap();
    let (code, _, error) = run(&["serve", "--config", path(&file)]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("pipelines.ContractEventsWebSocket.consumers[0].config.port"), "{error}");
}

#[test]
fn two_demos_can_run_side_by_side() {
    let one = crate::common::server::Server::demo("1", 20);
    let other = crate::common::server::Server::demo("1", 20);
    one.wait_ready();
    other.wait_ready();
    assert_ne!(one.clients, other.clients);
    let banner = one.process.stdout();
    for command in ["python3 -c", "node -e", "websocat"] {
        assert!(banner.contains(command), "{banner}");
    }
}

#[test]
fn the_devnet_alone_is_a_stellar_rpc() {
    let mut devnet = Devnet::start("5", 60);
    let health = devnet.rpc("getHealth", Value::Null);
    assert_eq!(health["status"], "healthy");
    let oldest = health["oldestLedger"].as_u64().unwrap();
    assert!(health["latestLedger"].as_u64().unwrap() >= oldest + 4, "there is a history at once");

    let ledgers = devnet.rpc("getLedgers", json!({"startLedger": oldest, "pagination": {"limit": 3}}));
    let list = ledgers["ledgers"].as_array().unwrap();
    let numbers: Vec<u64> = list.iter().map(|ledger| ledger["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [oldest, oldest + 1, oldest + 2]);
    assert!(list.iter().all(|ledger| ledger["metadataXdr"].is_string()));

    let transactions = devnet.rpc("getTransactions", json!({"startLedger": oldest}));
    assert!(transactions["transactions"].as_array().is_some_and(|list| !list.is_empty()));
    let events = devnet.rpc("getEvents", json!({"startLedger": oldest, "pagination": {"limit": 10}}));
    assert_eq!(events["events"].as_array().map(Vec::len), Some(10));

    devnet.process.signal(rustix::process::Signal::TERM);
    assert_eq!(devnet.process.wait().code(), Some(0));
    let again = Process::start(&["devnet", "--listen", &devnet.address.to_string()]);
    crate::common::wait_until("its port is free at once", || again.stdout().contains("Stellar RPC at"));
}
