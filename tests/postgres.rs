//! Ledgers in a real PostgreSQL: everything that the clients got is there, once, exactly; a database that is away, slow
//! or read-only, and deaths of both sides, cost no row and no client anything.

use crate::common::client::{Head, is_a_row};
use crate::common::postgres::{Cluster, consumer, is_whole, one, rows};
use crate::common::reader::{Ledger, Reader, wait_at_most};
use crate::common::server::{Devnet, Process, Server, path, settings};
use crate::common::{PATIENCE, pause, seed, wait_until};
use ledgercast::devnet;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_postgres::Client;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn newest(runtime: &tokio::runtime::Runtime, client: &Client) -> u64 {
    let query = "select coalesce(max(ledger), 0) from ledgercast_ledgers";
    runtime.block_on(one::<i64>(client, query)) as u64
}

/// The lines of a JSON log with this text.
fn told(server: &Process, text: &str) -> usize {
    server.stderr().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn rows_are_what_a_client_got() {
    let Some(cluster) = Cluster::start() else { return };
    let runtime = runtime();
    let devnet = Devnet::start("5", 60);
    let consumers = format!("consumers:\n{}", cluster.consumer("devnet", ""));
    let mut server = Server::start(&settings(devnet.address, &consumers));
    server.wait_ready();
    let reader = Reader::start(server.clients, &json!({}));
    let until = devnet.latest() + 12;
    reader.wait_past(until, PATIENCE);
    assert_eq!(server.metric("ledgercast_consumer_up{consumer=\"postgres-0\"}"), 1.0);
    assert!(server.metric("ledgercast_consumer_rows_written_total{consumer=\"postgres-0\",table=\"events\"}") > 0.0);
    // What was posted is written before the end.
    assert_eq!(server.stop().code(), Some(0));
    let texts = reader.into_texts();
    is_a_row(&texts);

    runtime.block_on(async {
        let client = cluster.client().await;
        is_whole(&client, "ledgercast_").await;
        let query = "select event_id, kind, ledger, transaction_hash, amount::text, from_account, to_account, asset, \
                     asset_code, bought_amount::text, event::text, accounts, \
                     to_char(closed_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), cursor, network from ledgercast_events";
        let all = rows(&client, query).await;
        let by_id: BTreeMap<String, _> = all.iter().map(|row| (row.get::<_, String>(0), row)).collect();
        assert_eq!(by_id.len(), all.len());
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for text in &texts {
            // The one thing that is no text for PostgreSQL; the devnet's memos have it.
            let mut got: Value = serde_json::from_str(&text.replace("\\u0000", "\u{fffd}")).unwrap();
            let row = by_id[got["id"].as_str().unwrap()];
            // Apart, so that a row and a client's message are the same JSON wherever it was read.
            let cursor = got.as_object_mut().unwrap().remove("cursor").unwrap();
            assert_eq!(row.get::<_, &str>(13), cursor);
            let event: Value = serde_json::from_str(row.get(10)).unwrap();
            // A display price has more digits than a float here keeps.
            let plain = |value: &Value| {
                let mut value = value.clone();
                value.as_object_mut().unwrap().remove("price");
                value
            };
            assert_eq!(plain(&event), plain(&got));
            let column = |at: usize| row.get::<_, Option<String>>(at).map_or(Value::Null, Value::from);
            let is = |at: usize, key: &str| assert_eq!(column(at), got[key], "{key} of {text}");
            is(1, "type");
            assert_eq!(row.get::<_, i64>(2), got["ledger"].as_i64().unwrap());
            is(3, "transaction_hash");
            is(12, "ledger_closed_at");
            match got["type"].as_str().unwrap() {
                "payment" => {
                    is(4, "amount");
                    is(5, "from");
                    is(6, "to");
                    is(7, "asset");
                    is(8, "asset_code");
                    let accounts: Vec<String> = row.get(11);
                    let both = [got["from"].as_str().unwrap(), got["to"].as_str().unwrap()];
                    assert!(both.iter().all(|name| accounts.iter().any(|it| it == name)), "{accounts:?} {text}");
                }
                "trade" => {
                    is(4, "sell_amount");
                    is(9, "buy_amount");
                    is(5, "seller_id");
                    is(6, "buyer_id");
                    is(7, "sell_asset");
                }
                _ => {}
            }
            *kinds.entry(got["type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(kinds.len(), 5, "{kinds:?}");
        // And nothing else, from the client's first ledger on.
        let first = Head::of(&texts[0]).ledger as i64;
        assert_eq!(all.iter().filter(|row| row.get::<_, i64>(2) >= first).count(), texts.len());

        // What the README asks, of an account of ours.
        let readme = include_str!("../README.md");
        let questions = readme.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
        let paid = texts.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
        let paid = paid.filter(|it| it["type"] == "payment").map(|it| it["to"].as_str().unwrap().to_owned()).next();
        let account = readme.split("array['G").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        let (mut answered, mut done) = (0, 0);
        for question in questions.flat_map(|block| block.split(';')).filter(|it| !it.trim().is_empty()) {
            let question = question.replace(&format!("G{account}"), paid.as_deref().unwrap());
            let question = question.replace("stellar-testnet", all[0].get("network"));
            if question.trim().starts_with("delete") {
                assert_eq!(client.execute(&question, &[]).await.unwrap(), 0, "nothing is so old: {question}");
                done += 1;
                continue;
            }
            assert!(!rows(&client, &question).await.is_empty(), "{question}");
            answered += 1;
        }
        assert_eq!(answered, 4);
        assert_eq!(done, 2);

        // The account's payments, by an index.
        let payment = texts.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
        let to = payment.filter(|it| it["type"] == "payment").map(|it| it["to"].clone()).next().unwrap();
        let plan = "explain select event_id from ledgercast_events where accounts @> array[$1] and kind = 'payment' \
                    and closed_at > now() - interval '7 days'";
        let plan = plan.replace("$1", &format!("'{}'", to.as_str().unwrap()));
        client.batch_execute("set enable_seqscan = off").await.unwrap();
        let plan: Vec<String> = rows(&client, &plan).await.iter().map(|row| row.get(0)).collect();
        assert!(plan.join("\n").contains("ledgercast_events_"), "{plan:?}");
    });
}

/// One outage after the other, while a client reads on.
#[test]
fn the_database_may_go_and_come_back() {
    let Some(mut cluster) = Cluster::start() else { return };
    let runtime = runtime();
    let ledger = Ledger::start(8, devnet::Settings { events_per_ledger: 30, ..devnet::Settings::default() });
    let consumers = format!("consumers:\n{}", cluster.consumer("devnet", "statement_timeout: 2s, connect_timeout: 2s"));
    let server = Server::start(&settings(ledger.address, &consumers));
    server.wait_ready();
    let reader = Reader::start(server.clients, &json!({}));
    let lag = || server.metric("ledgercast_consumer_lag_ledgers{consumer=\"postgres-0\",source=\"devnet\"}");
    let up = || server.metric("ledgercast_consumer_up{consumer=\"postgres-0\"}") == 1.0;
    let client = |cluster: &Cluster| runtime.block_on(cluster.client());
    wait_until("it writes", up);
    let clients_get_on = || {
        let before = reader.last();
        reader.wait_past(before + 4, PATIENCE);
    };
    let comes_back = |what: &str| {
        wait_at_most(Duration::from_secs(40), &format!("it is back after: {what}"), || up() && lag() < 3.0);
    };
    for outage in ["stopped", "killed", "restarted at once", "cut", "hangs", "read-only", "locked"] {
        let before = told(&server.process, "cannot write");
        match outage {
            "stopped" | "killed" => {
                if outage == "stopped" {
                    cluster.stop()
                } else {
                    cluster.kill()
                }
                wait_until("it is noticed", || !up());
                clients_get_on();
                wait_until("the lag is told", || lag() >= 3.0);
                cluster.start_again();
            }
            "restarted at once" => {
                cluster.stop();
                cluster.start_again();
            }
            "cut" => {
                // In the middle of a transaction, if there is one.
                let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'ledgercast'";
                assert_eq!(runtime.block_on(one::<i64>(&client(&cluster), cut)), 1);
                wait_until("it is told", || told(&server.process, "cannot write") > before);
            }
            "hangs" => {
                // Connections stay open, and nothing is answered.
                cluster.stand_still();
                wait_until("it is noticed", || !up());
                clients_get_on();
                cluster.go_on();
            }
            "read-only" => {
                let admin = client(&cluster);
                let set = |value: &str| {
                    let sql = format!("alter system set default_transaction_read_only = {value}");
                    runtime.block_on(async {
                        // It holds for sessions that do not say otherwise.
                        admin.batch_execute("set default_transaction_read_only = off").await.unwrap();
                        admin.batch_execute(&sql).await.unwrap();
                        admin.batch_execute("select pg_reload_conf()").await.unwrap();
                    });
                };
                set("on");
                wait_until("it is noticed", || !up());
                clients_get_on();
                assert!(server.process.stderr().contains("\"read_only\""));
                set("off");
            }
            _ => {
                // Too slow for `statement_timeout`: somebody holds the table.
                let admin = client(&cluster);
                runtime.block_on(async {
                    admin.batch_execute("begin; lock table ledgercast_events in access exclusive mode").await.unwrap();
                });
                wait_until("it is noticed", || !up());
                clients_get_on();
                runtime.block_on(async { admin.batch_execute("rollback").await.unwrap() });
            }
        }
        comes_back(outage);
        let lines = told(&server.process, "cannot write") - before;
        assert!((1..=3).contains(&lines), "{outage}: {lines} lines");
    }
    let texts = reader.texts();
    is_a_row(&texts);
    let client = client(&cluster);
    let last = Head::of(texts.last().unwrap()).ledger;
    wait_until("all is there", || newest(&runtime, &client) >= last);
    runtime.block_on(async {
        is_whole(&client, "ledgercast_").await;
        assert_eq!(one::<i64>(&client, "select count(*) from ledgercast_gaps").await, 0);
    });
    assert!(!server.process.stderr().contains(crate::common::postgres::PASSWORD));
}

/// The program dies at any moment, again and again; state is kept, so the source goes on, and the consumer finds in the
/// journal what was posted and not written: no row is missing.
#[test]
fn the_program_may_die_in_the_middle() {
    let Some(cluster) = Cluster::start() else { return };
    let runtime = runtime();
    let seed = seed();
    eprintln!("LEDGERCAST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let ledger = Ledger::start(20, devnet::Settings { events_per_ledger: 60, ..devnet::Settings::default() });
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("settings.yaml");
    // Two of them, each with its own tables.
    let consumers = format!("{}{}", cluster.consumer("devnet", ""), cluster.consumer("devnet", "table_prefix: other_"));
    let text = settings(ledger.address, &format!("state_dir: '{}'\nconsumers:\n{consumers}", path(state.path())));
    std::fs::write(&file, &text).unwrap();
    let client = runtime.block_on(cluster.client());
    let mut seen = 0;
    for life in 0..6 {
        let mut process = Process::start(&["serve", "--config", path(&file), "--log", "json"]);
        if life == 0 {
            wait_until("it writes", || process.stderr().contains("writes into its database"));
            wait_until("a row", || newest(&runtime, &client) > 0);
        }
        pause(Duration::from_millis(random.random_range(300..2500)));
        process.kill();
        let now = newest(&runtime, &client);
        assert!(now >= seen);
        seen = now;
        runtime.block_on(is_whole(&client, "ledgercast_"));
    }
    let server = Server::start(&text);
    let tip = ledger.latest() + 3;
    wait_at_most(Duration::from_secs(40), "it has caught up", || newest(&runtime, &client) >= tip);
    wait_until("the other too", || {
        runtime.block_on(one::<i64>(&client, "select max(ledger) from other_ledgers")) as u64 >= tip
    });
    drop(server);
    runtime.block_on(async {
        for prefix in ["ledgercast_", "other_"] {
            is_whole(&client, prefix).await;
        }
        let (ledgers, missed): (i64, i64) = (
            one(&client, "select count(*) from ledgercast_ledgers").await,
            one(&client, "select coalesce(sum(to_ledger - from_ledger + 1), 0)::bigint from ledgercast_gaps").await,
        );
        // The journal has what was posted and not written before a death, so nothing is told to be missing.
        eprintln!("{ledgers} ledgers, {missed} told to be missing");
        assert_eq!(missed, 0);
        for prefix in ["ledgercast_", "other_"] {
            assert_eq!(one::<i64>(&client, &format!("select count(*) from {prefix}gaps")).await, 0, "{prefix}");
        }
        // Both have the same, as far as both have it.
        let different: i64 = one(
            &client,
            "select count(*) from ledgercast_events a join other_events b using (network, epoch, event_id) \
             where a.event <> b.event or a.ledger <> b.ledger or a.amount is distinct from b.amount",
        )
        .await;
        assert_eq!(different, 0);
    });
}

/// A disk of the database that is full, until somebody makes room.
#[test]
fn a_full_disk_costs_no_row() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(disk) = cluster.small_disk("6m") else { return };
    let runtime = runtime();
    runtime.block_on(async {
        let admin = cluster.client().await;
        let place = format!("create tablespace small location '{}'", path(disk.folder()));
        admin.batch_execute(&place).await.unwrap();
        admin.batch_execute("alter database postgres set default_tablespace = small").await.unwrap();
    });
    let ledger = Ledger::start(8, devnet::Settings { events_per_ledger: 60, ..devnet::Settings::default() });
    let consumers = format!("consumers:\n{}", cluster.consumer("devnet", ""));
    let server = Server::start(&settings(ledger.address, &consumers));
    server.wait_ready();
    let reader = Reader::start(server.clients, &json!({}));
    let up = || server.metric("ledgercast_consumer_up{consumer=\"postgres-0\"}") == 1.0;
    wait_until("it writes", up);
    wait_until("the disk is full", || !up());
    let full = || server.process.stderr().lines().any(|line| line.contains("\"full\"") && line.contains("make room"));
    wait_until("it is told", full);
    let before = reader.last();
    reader.wait_past(before + 8, PATIENCE);
    assert!(!up());
    disk.grow("500m");
    let lag = || server.metric("ledgercast_consumer_lag_ledgers{consumer=\"postgres-0\",source=\"devnet\"}");
    wait_at_most(Duration::from_secs(40), "it is back", || up() && lag() < 3.0);
    let texts = reader.texts();
    is_a_row(&texts);
    let client = runtime.block_on(cluster.client());
    let last = Head::of(texts.last().unwrap()).ledger;
    wait_until("all is there", || newest(&runtime, &client) >= last);
    runtime.block_on(async {
        is_whole(&client, "ledgercast_").await;
        assert_eq!(one::<i64>(&client, "select count(*) from ledgercast_gaps").await, 0);
    });
    drop(server);
    // Before its disk.
    drop(cluster);
}

/// What the settings get wrong is told with the remedy, and the server serves.
#[test]
fn wrong_settings_are_told_and_clients_are_served() {
    let Some(cluster) = Cluster::start() else { return };
    let runtime = runtime();
    runtime.block_on(async {
        let admin = cluster.client().await;
        let sql = "create role poor login password 'poor'; create table new_schema_version (version integer); \
                   insert into new_schema_version values (9); create role half login password 'half'; \
                   create table half_schema_version (version integer); insert into half_schema_version values (2); \
                   grant select on half_schema_version to half; create table half_ledgers (id integer)";
        admin.batch_execute(sql).await.unwrap();
        admin.batch_execute("create database latin encoding 'LATIN1' template template0").await.unwrap();
    });
    let devnet = Devnet::start("5", 5);
    let wrong = cluster.url_file("wrong", "SECRET-WORD", "");
    let poor = cluster.url_file("poor", "poor", "");
    let owner = crate::common::postgres::PASSWORD;
    let latin = cluster.write("url-latin", &format!("postgres://postgres:{owner}@localhost:{}/latin", cluster.port));
    let consumers = format!(
        "consumers:\n{}{}{}{}{}",
        consumer("devnet", &wrong, "table_prefix: a_"),
        consumer("devnet", &poor, "table_prefix: b_"),
        cluster.consumer("devnet", "table_prefix: new_"),
        consumer("devnet", &latin, "table_prefix: c_"),
        consumer("devnet", &cluster.url_file("half", "half", ""), "table_prefix: half_"),
    );
    let text = settings(devnet.address, &consumers);
    let mut server = Server::start(&text);
    server.wait_ready();
    let reader = Reader::start(server.clients, &json!({}));
    wait_until("a client is served", || reader.len() > 10);
    for (number, words) in [
        (0, ["\"refused\"", "password authentication failed", "`url_file`"]),
        (1, ["\"denied\"", "permission denied", "grant create, usage on schema public"]),
        (2, ["\"schema\"", "have version 9", "newer release"]),
        (3, ["\"refused\"", "encoded in LATIN1", "createdb --encoding UTF8"]),
    ] {
        let name = format!("postgres-{number}");
        wait_until(&name, || {
            let log = server.process.stderr();
            log.lines().any(|line| line.contains(&name) && words.iter().all(|word| line.contains(word)))
        });
        assert_eq!(server.metric(&format!("ledgercast_consumer_up{{consumer=\"{name}\"}}")), 0.0);
    }
    assert!(!server.process.stderr().contains("SECRET-WORD"));
    // Nobody waits for them at the end.
    assert_eq!(server.stop().code(), Some(0));

    // The same is told before a start.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.yaml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let mut process = Process::start(&["check-config", "--online", path(&file)]);
        let code = process.wait().code();
        (code, process.stdout(), process.stderr())
    };
    let (code, out, err) = check(&text);
    assert_eq!(code, Some(1), "{out}{err}");
    for told in [
        "password authentication failed",
        "poor may not make tables",
        "have version 9",
        "encoded in LATIN1",
        "half may not write into half_ledgers",
    ] {
        assert!(err.contains(told), "{told}: {err}");
    }
    assert!(!format!("{out}{err}").contains("SECRET-WORD"));
    let good = settings(devnet.address, &format!("consumers:\n{}", cluster.consumer("devnet", "")));
    let (code, out, err) = check(&good);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("tables ledgercast_… will be made"), "{out}");
}

/// A pipeline file with the guide's database and without a WebSocket; TLS with a certificate that is checked.
#[test]
fn a_pipeline_file_and_tls() {
    let Some(mut cluster) = Cluster::start() else { return };
    let runtime = runtime();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = cluster.write("server.crt", &made.cert.pem());
    let private = cluster.write("server.key", &made.signing_key.serialize_pem());
    runtime.block_on(async {
        let admin = cluster.client().await;
        for (key, file) in [("ssl_cert_file", &certificate), ("ssl_key_file", &private)] {
            admin.batch_execute(&format!("alter system set {key} = '{}'", file.display())).await.unwrap();
        }
        admin.batch_execute("alter system set ssl = on").await.unwrap();
    });
    cluster.stop();
    cluster.start_again();
    let devnet = Devnet::start("5", 5);
    let pipeline = format!(
        "pipelines:\n  one:\n    source: {{ type: RPCSourceAdapter, config: {{ rpc_url: 'http://{}', poll_interval: 100ms }} }}\n    \
         consumers:\n      - type: SaveToPostgreSQL\n        config: {{ host: localhost, port: '{}', database: postgres, \
         username: postgres, password: {}, sslmode: require }}\nconsumers:\n{}{}{}admin: {{ bind: 127.0.0.1:0 }}\n",
        devnet.address,
        cluster.port,
        crate::common::postgres::PASSWORD,
        consumer(
            "one",
            &cluster.url_file("postgres", crate::common::postgres::PASSWORD, "?sslmode=verify-full"),
            &format!("table_prefix: checked_, ca_file: '{}'", certificate.display())
        ),
        // A name that the certificate is not for.
        consumer(
            "one",
            &cluster.write(
                "url-ca",
                &format!(
                    "postgres://postgres:{}@127.0.0.1:{}/postgres?sslmode=verify-ca",
                    crate::common::postgres::PASSWORD,
                    cluster.port
                )
            ),
            &format!("table_prefix: any_name_, ca_file: '{}'", certificate.display())
        ),
        // Nobody vouches for it.
        consumer(
            "one",
            &cluster.write(
                "url",
                &format!(
                    "postgres://postgres:{}@localhost:{}/postgres?sslmode=verify-full",
                    crate::common::postgres::PASSWORD,
                    cluster.port
                )
            ),
            "table_prefix: unchecked_"
        ),
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.yaml");
    std::fs::write(&file, &pipeline).unwrap();
    let mut process = Process::start(&["serve", "--config", path(&file), "--log", "json"]);
    let client = runtime.block_on(cluster.client());
    let count = |table: &str| {
        let there = runtime.block_on(one::<bool>(&client, &format!("select to_regclass('{table}') is not null")));
        if there { runtime.block_on(one::<i64>(&client, &format!("select count(*) from {table}"))) } else { 0 }
    };
    wait_until("rows of all", || {
        ["ledgercast_events", "checked_ledgers", "any_name_ledgers"].into_iter().all(|table| count(table) > 0)
    });
    let encrypted: i64 = runtime.block_on(one(
        &client,
        "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where ssl and application_name = 'ledgercast'",
    ));
    assert_eq!(encrypted, 3);
    wait_until("the refusal is told", || {
        process.stderr().lines().any(|line| line.contains("postgres-3") && line.contains("certificate"))
    });
    assert_eq!(count("unchecked_ledgers"), 0);
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.wait().code(), Some(0));
}

/// Every family of ledgers has its rows; those whose ledger speaks JSON have it as well.
#[test]
fn every_family_has_rows() {
    let Some(cluster) = Cluster::start() else { return };
    let runtime = runtime();
    let families =
        [("stellar", "stellar_rpc"), ("xrpl", "xrpl_rpc"), ("evm", "evm_rpc"), ("planetmint", "planetmint_api")];
    let devnets = families.map(|(face, _)| Devnet::of_ledger(face, "5", 20));
    let chain = format!(", chain_id: {}", devnet::evm::CHAIN_ID);
    let mut text = "sources:\n".to_owned();
    for ((face, kind), devnet) in families.iter().zip(&devnets) {
        let address = devnet.address;
        let own = match *face {
            "planetmint" => ", network_id: planetmint",
            "evm" => &chain,
            _ => "",
        };
        text += &format!(
            "  {face}: {{ type: {kind}, config: {{ rpc_url: 'http://{address}', poll_interval: 100ms{own} }} }}\n"
        );
    }
    text += &format!(
        "consumers:\n{}listeners:\n  - bind: 127.0.0.1:0\n    mounts: [{{ dialect: flow, path: /ws, sources: [xrpl] }}]\n\
         admin: {{ bind: 127.0.0.1:0 }}\n",
        cluster.consumer("stellar, xrpl, evm, planetmint", "")
    );
    let mut server = Server::start(&text);
    let client = runtime.block_on(cluster.client());
    let query = "select split_part(network, '-', 1) family, count(distinct ledger), count(native), \
                 count(*) filter (where event is not null), count(*) filter (where kind = 'payment' and amount > 0) \
                 from ledgercast_events group by 1";
    let count = |row: &tokio_postgres::Row, at: usize| row.get::<_, i64>(at);
    wait_until("rows of all", || {
        let there = runtime.block_on(one::<bool>(&client, "select to_regclass('ledgercast_events') is not null"));
        let found = if there { runtime.block_on(rows(&client, query)) } else { Vec::new() };
        found.len() == 4 && found.iter().all(|row| count(row, 1) > 4 && count(row, 4) > 0)
    });
    assert_eq!(server.stop().code(), Some(0));
    runtime.block_on(async {
        for row in rows(&client, query).await {
            let family: String = row.get(0);
            assert_eq!(count(&row, 2) > 0, ["xrpl", "planetmint"].contains(&family.as_str()), "{family}");
            assert!(count(&row, 3) > 0, "{family}");
        }
        let native = "select count(*) from ledgercast_events where network like 'xrpl%' and kind = 'transaction' and \
                      (native->'tx_json'->>'TransactionType' is null or native->'meta'->>'TransactionResult' is null)";
        assert_eq!(one::<i64>(&client, native).await, 0);
        is_whole(&client, "ledgercast_").await;
    });
}
