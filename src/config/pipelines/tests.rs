use super::*;
use crate::config::load::{Loaded, read};
use crate::config::{Bind, Config, Mount, units::Time};
use crate::consumer::ConsumerConfig;
use crate::dialect::DialectConfig;
use crate::source::LedgerConfig;
use crate::source::stellar::{self, Mode, StartLedger, XdrFormat};

/// The guide's complete example, letter for letter.
const GUIDE: &str = r#"pipelines:
  ContractEventsWebSocket:
    source:
      type: RPCSourceAdapter
      config:
        rpc_url: "https://rpc-mainnet.stellar.org"
        auth_header: ""
        start_ledger: 2000000
        poll_interval: 5
        rpc_method: "getEvents"

        filters:
          - type: "contract"
            contractIds:
              - "CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75"  # USDC
            topics:
              - ["*"]

        pagination:
          limit: 1000

        xdrFormat: "json"

    processors:
      - type: GetEventsRPC
        config: {}

    consumers:
      # Stream to WebSocket for real-time clients
      - type: SaveToWebSocket
        config:
          port: "8080"
          path: "/ws"
          max_queue_size: 5000

      # Also save to database for historical queries
      - type: SaveToPostgreSQL
        config:
          host: "localhost"
          database: "stellar_events"
          username: "postgres"
          password: "password"
"#;

/// The shortest; tests add to it.
const SHORT: &str = "\
pipelines:
  one:
    source: { type: RPCSourceAdapter, config: { rpc_url: http://127.0.0.1:8000 } }
    consumers:
      - { type: SaveToWebSocket }
";

/// The guide's example without its database.
fn guide() -> String {
    let (streaming, _) = GUIDE.split_once("      # Also save").unwrap();
    streaming.to_owned()
}

fn good(text: &str) -> Loaded {
    read("x.yaml", text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn errors(text: &str) -> String {
    read("x.yaml", text).expect_err(text).to_string()
}

fn source(config: &Config, index: usize) -> &stellar::Config {
    let LedgerConfig::StellarRpc(source) = &config.sources.0[index].1.ledger else { panic!("another ledger") };
    source
}

fn queue(mount: &Mount) -> u64 {
    let DialectConfig::Flow(flow) = &mount.dialect else { panic!("another dialect") };
    flow.max_queue_size
}

/// The settings that a short file gives when its source has more keys.
fn with(keys: &str) -> Loaded {
    good(&SHORT.replace(":8000 }", &format!(":8000, {keys} }}")))
}

#[test]
fn the_guides_example_means_what_it_says() {
    let Loaded { config, notes, .. } = good(&guide());
    assert_eq!(config.sources.names().collect::<Vec<_>>(), ["ContractEventsWebSocket"]);
    let stellar = source(&config, 0);
    assert_eq!(stellar.rpc_url.as_ref().unwrap().0, "https://rpc-mainnet.stellar.org");
    assert_eq!(stellar.auth_header, None);
    assert_eq!(stellar.start_ledger, StartLedger::Number(2_000_000));
    assert_eq!(stellar.poll_interval, Time::secs(5));
    assert_eq!((stellar.mode, stellar.xdr_format, stellar.page_limit), (Mode::Events, XdrFormat::Json, 1000));
    let [filter] = stellar.filters.as_slice() else { panic!("{stellar:?}") };
    assert_eq!(filter.r#type.as_deref(), Some("contract"));
    assert_eq!(filter.contract_ids, ["CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75"]);
    assert_eq!(filter.topics, [["**"]]);

    let [listener] = config.listeners.as_slice() else { panic!("{config:?}") };
    assert_eq!(listener.bind, "0.0.0.0:8080".parse::<Bind>().unwrap());
    let [mount] = listener.mounts.as_slice() else { panic!("{listener:?}") };
    assert_eq!((mount.path.as_str(), queue(mount)), ("/ws", 5000));
    assert_eq!(mount.sources, ["ContractEventsWebSocket"]);

    let [note] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(note.starts_with("x.yaml:17:18: the topics `[\"*\"]` are asked for as `[\"**\"]`"), "{note}");
}

/// The database of a file, and where it is.
fn database(config: &Config) -> (&[String], String) {
    let [consumer] = config.consumers.as_slice() else { panic!("{:?}", config.consumers) };
    let ConsumerConfig::Postgres(database) = &consumer.consumer;
    (&consumer.sources, database.url.clone().unwrap())
}

#[test]
fn the_guides_database_is_a_consumer() {
    let Loaded { config, .. } = good(GUIDE);
    let (sources, url) = database(&config);
    assert_eq!(
        (sources, url.as_str()),
        (&["ContractEventsWebSocket".to_owned()][..], "postgres://postgres@localhost:5432/stellar_events")
    );
    assert_eq!(config.listeners.len(), 1);
    let ConsumerConfig::Postgres(database) = &config.consumers[0].consumer;
    assert_eq!(database.password.as_ref().unwrap().0, "password");
    assert!(!format!("{config:?}").contains("\"password\""));
}

#[test]
fn databases_in_all_forms() {
    let with = |config: &str| SHORT.replace("ToWebSocket", &format!("ToPostgreSQL, config: {{ {config} }}"));
    for (config, url) in [
        ("database: a, username: b", "postgres://b@localhost:5432/a"),
        (
            "host: '::1', port: '1', database: 'a/b', username: 'b@c', sslmode: require",
            "postgres://b%40c@[::1]:1/a%2Fb?sslmode=require",
        ),
        ("host: /run/postgresql, database: a, username: b, password: ''", "postgres://b@%2Frun%2Fpostgresql:5432/a"),
    ] {
        let Loaded { config, .. } = good(&with(config));
        assert_eq!(database(&config).1, url);
        assert!(config.listeners.is_empty(), "a pipeline may feed a database alone");
    }
    let Loaded { config, notes, .. } = good(&with("database: a, username: b, connect_timeout: 5, max_open_conns: 9"));
    let ConsumerConfig::Postgres(database) = &config.consumers[0].consumer;
    assert_eq!(database.connect_timeout, Time::secs(5));
    assert!(matches!(notes.as_slice(), [note] if note.contains("max_open_conns is of no use here")), "{notes:?}");
    for (config, told) in [
        ("database: a", "config has no `username`; add it"),
        ("database: a, username: b, port: many", "config.port is the text `many`; write a port such as 5432"),
        ("database: a, username: b, sslmode: verified", "config.sslmode is the text `verified`; write disable,"),
        ("database: a, username: b, passwd: SECRET", "unknown key `passwd` in pipelines.one.consumers[0].config"),
        ("database: a, username: b, password: 5678", "consumers[0].config.password: a number; write text in quotes"),
    ] {
        let errors = errors(&with(config));
        assert!(errors.contains(told) && !errors.contains("SECRET") && !errors.contains("5678"), "{errors}");
    }
    // Ours stand beside theirs.
    let both = format!(
        "{}consumers:\n  - {{ type: postgres, sources: [one], config: {{ url: postgres://x@h/y }} }}\n",
        with("database: a, username: b")
    );
    assert_eq!(good(&both).config.consumers.len(), 2);
}

#[test]
fn the_file_that_comes_along_is_good() {
    let Loaded { config, notes, .. } = good(include_str!("../../../config/pipelines.yaml"));
    assert_eq!((source(&config, 0).mode, notes.len()), (Mode::Events, 1));
}

#[test]
fn defaults_are_the_originals() {
    let Loaded { config, notes, .. } = good(SHORT);
    let expected = stellar::Config {
        rpc_url: source(&config, 0).rpc_url.clone(),
        mode: Mode::Events,
        ..stellar::Config::default()
    };
    assert_eq!(source(&config, 0), &expected);
    assert_eq!(config.listeners[0].bind.to_string(), "0.0.0.0:8080");
    let mount = &config.listeners[0].mounts[0];
    assert_eq!((mount.path.as_str(), queue(mount)), ("/ws", 1000));
    assert!(notes.is_empty());
    // Nothing after a colon, and empty quotes, are the same.
    let empty = with("auth_header: '', start_ledger: '', rpc_method: '', xdrFormat: '', filters: , pagination: ");
    assert_eq!(source(&empty.config, 0), &expected);
}

#[test]
fn values_in_all_forms() {
    let source = |keys: &str| source(&with(keys).config, 0).clone();
    for (value, start) in [
        ("0", StartLedger::Latest),
        ("'0'", StartLedger::Latest),
        ("7", StartLedger::Number(7)),
        ("'7'", StartLedger::Number(7)),
        ("oldest", StartLedger::Oldest),
    ] {
        assert_eq!(source(&format!("start_ledger: {value}")).start_ledger, start, "{value}");
    }
    for (value, time) in [("5", 5000), ("'5'", 5000), ("5s", 5000), ("250ms", 250)] {
        assert_eq!(source(&format!("poll_interval: {value}")).poll_interval, Time::millis(time), "{value}");
    }
    for (method, mode) in
        [("getEvents", Mode::Events), ("getTransactions", Mode::Transactions), ("getLedgers", Mode::Transactions)]
    {
        assert_eq!(source(&format!("rpc_method: {method}")).mode, mode);
    }
    assert_eq!(source("pagination: { limit: '70' }").page_limit, 70);
    assert_eq!(source("auth_header: 'Bearer a'").auth_header.unwrap().0, "Bearer a");
    // Only `*` alone is rewritten.
    let topics = source("filters: [{ topics: [['*', '*'], ['*'], ['*', '**']] }]").filters.remove(0).topics;
    assert_eq!(topics, [vec!["*", "*"], vec!["**"], vec!["*", "**"]]);

    for (config, bind, path, size) in [
        ("port: 81", "0.0.0.0:81", "/ws", 1000),
        ("port: '81', path: events, max_queue_size: '9'", "0.0.0.0:81", "/events", 9),
        ("path: /a/b, max_queue_size: 9", "0.0.0.0:8080", "/a/b", 9),
    ] {
        let file = SHORT.replace("ToWebSocket", &format!("ToWebSocket, config: {{ {config} }}"));
        let Loaded { config, .. } = good(&file);
        let listener = &config.listeners[0];
        let mount = &listener.mounts[0];
        assert_eq!(
            (listener.bind.to_string().as_str(), mount.path.as_str(), queue(mount)),
            (bind, path, size),
            "{file}"
        );
    }
}

#[test]
fn pipelines_share_ports_and_our_sections_stand_beside() {
    let consumers = |list: &str| SHORT.replace("- { type: SaveToWebSocket }", list);
    let mut file = consumers(
        "- { type: SaveToWebSocket }\n      - { type: SaveToWebSocket, config: { path: /more } }\n      \
         - { type: SaveToWebSocket, config: { port: 81 } }",
    );
    let second = consumers("- { type: SaveToWebSocket, config: { path: other } }").replace("one:", "second one:");
    file.push_str(second.strip_prefix("pipelines:\n").unwrap());
    file.push_str("limits: { connections: 7 }\nadmin: { bind: 127.0.0.1:91 }\nstate_dir: ./state\nworkers: 2\n");
    let Loaded { config, .. } = good(&file);
    assert_eq!(config.sources.names().collect::<Vec<_>>(), ["one", "second-one"]);
    let mounts = config.listeners.iter().flat_map(|listener| {
        let at = |mount: &Mount| format!("{}{} {}", listener.bind, mount.path, mount.sources.join(" "));
        listener.mounts.iter().map(at).collect::<Vec<_>>()
    });
    assert_eq!(
        mounts.collect::<Vec<_>>(),
        ["0.0.0.0:8080/ws one", "0.0.0.0:8080/more one", "0.0.0.0:8080/other second-one", "0.0.0.0:81/ws one"]
    );
    assert_eq!((config.limits.connections, config.workers), (7, Some(2)));
    assert_eq!(config.admin.bind, Bind::loopback(91));
}

#[test]
fn every_error_tells_where_and_what_to_do() {
    let websocket = "SaveToWebSocket\n        config:";
    for (good, bad, error) in [
        // What there is not.
        (
            "type: RPCSourceAdapter",
            "type: CaptiveCoreInboundAdapter",
            "4:13: pipelines.ContractEventsWebSocket.source is a `CaptiveCoreInboundAdapter`, which is not supported; \
             there is `RPCSourceAdapter`",
        ),
        (
            "type: GetEventsRPC",
            "type: FilterPayments",
            "25:15: pipelines.ContractEventsWebSocket.processors[0] is a `FilterPayments`, which is not supported; \
             there is `GetEventsRPC`",
        ),
        (
            "\"getEvents\"",
            "getFeeStats",
            "10:21: pipelines.ContractEventsWebSocket.source.config.rpc_method is `getFeeStats`, which is not supported; \
             there is `getEvents`, `getTransactions`, `getLedgers`",
        ),
        // Unknown keys.
        (
            "auth_header",
            "auth_heder",
            "7:9: unknown key `auth_heder` in pipelines.ContractEventsWebSocket.source.config; did you mean `auth_header`?",
        ),
        (
            "contractIds",
            "contract_ids",
            "14:13: unknown key `contract_ids` in pipelines.ContractEventsWebSocket.source.config.filters[0]; did you \
             mean `contractIds`?",
        ),
        (
            "limit: 1000",
            "limits: 1000",
            "20:11: unknown key `limits` in pipelines.ContractEventsWebSocket.source.config.pagination; did you mean \
             `limit`?",
        ),
        (
            "config: {}",
            "config: { a: 1 }",
            "26:19: unknown key `a` in pipelines.ContractEventsWebSocket.processors[0].config; there is none",
        ),
        (
            "max_queue_size",
            "max_queue",
            "34:11: unknown key `max_queue` in pipelines.ContractEventsWebSocket.consumers[0].config; did you mean \
             `max_queue_size`?",
        ),
        (
            "    consumers:",
            "    consumer:",
            "28:5: unknown key `consumer` in pipelines.ContractEventsWebSocket; did you mean `consumers`?",
        ),
        // Wrong values, some found here and some by those who read our form.
        (
            "\"8080\"",
            "eighty",
            "32:17: pipelines.ContractEventsWebSocket.consumers[0].config.port is the text `eighty`; write a port such \
             as 8080",
        ),
        (
            "\"8080\"",
            "65536",
            "32:17: pipelines.ContractEventsWebSocket.consumers[0].config.port is the number 65536; write a port such as \
             8080",
        ),
        (
            "\"8080\"",
            "9090",
            "32:17: pipelines.ContractEventsWebSocket.consumers[0].config.port is 0.0.0.0:9090, which leaves no room for \
             admin.bind at 127.0.0.1:9090; choose another port",
        ),
        (
            "\"/ws\"",
            "\"/a?b\"",
            "33:17: pipelines.ContractEventsWebSocket.consumers[0].config.path is `/a?b`; write letters, digits and `-` \
             between single slashes",
        ),
        (
            "\"/ws\"",
            "\"\"",
            "33:17: pipelines.ContractEventsWebSocket.consumers[0].config.path is the text ``; write /ws",
        ),
        (
            "5000",
            "many",
            "34:27: pipelines.ContractEventsWebSocket.consumers[0].config.max_queue_size is the text `many`; write a \
             whole number of 0 or more",
        ),
        (
            "poll_interval: 5",
            "poll_interval: 0.5",
            "9:24: pipelines.ContractEventsWebSocket.source.config.poll_interval is the number 0.5; write seconds, such \
             as 5, or 500ms",
        ),
        (
            "poll_interval: 5",
            "poll_interval: 0",
            "9:24: pipelines.ContractEventsWebSocket.source.config.poll_interval is 0; write more, or leave it out for \
             the default",
        ),
        (
            "2000000",
            "soon",
            "8:23: pipelines.ContractEventsWebSocket.source.config.start_ledger is the text `soon`; write `latest`, \
             `oldest` or a ledger number from 1",
        ),
        (
            "\"json\"",
            "xml",
            "22:20: unknown pipelines.ContractEventsWebSocket.source.config.xdrFormat `xml`; there is `base64`, `json`",
        ),
        (
            "limit: 1000",
            "limit: 10001",
            "20:18: pipelines.ContractEventsWebSocket.source.config.pagination.limit is 10001; write 1 to 10000",
        ),
        (
            "- [\"*\"]",
            "- \"*\"",
            "17:17: pipelines.ContractEventsWebSocket.source.config.filters[0].topics[0] is the text `*`; write a list, \
             such as [a, b]",
        ),
        (
            "CCW67",
            "CCW76",
            "15:17: pipelines.ContractEventsWebSocket.source.config.filters[0].contractIds[0] is \
             `CCW76TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75`, which is no contract; write 56 letters and digits \
             beginning with C",
        ),
        (
            "\"getEvents\"",
            "getLedgers",
            "13:11: pipelines.ContractEventsWebSocket.source.config.filters is for rpc_method `getEvents` alone; remove \
             it, or choose that method",
        ),
        (
            "\"https://rpc-mainnet.stellar.org\"",
            "",
            "6:9: pipelines.ContractEventsWebSocket.source.config has no `rpc_url`; add the address of a Stellar RPC, \
             such as http://127.0.0.1:8000",
        ),
        // Secrets are not repeated.
        (
            "auth_header: \"\"",
            "auth_header: 5678",
            "7:22: pipelines.ContractEventsWebSocket.source.config.auth_header is no text; write it in quotes",
        ),
        (
            "auth_header: \"\"",
            "auth_header: \"secret\\x01\"",
            "7:22: pipelines.ContractEventsWebSocket.source.config.auth_header holds no header; write `Name: value`, or \
             the value of `Authorization` alone",
        ),
        // Parts that are missing or of another form.
        (
            "type: SaveToWebSocket",
            "typ: SaveToWebSocket",
            "30:9: unknown key `typ` in pipelines.ContractEventsWebSocket.consumers[0]; did you mean `type`?",
        ),
        (
            websocket,
            "SaveToWebSocket\n      - type: SaveToWebSocket\n        config:",
            "34:17: pipelines.ContractEventsWebSocket.consumers[1] is at port 8080 and path `/ws`, where \
             pipelines.ContractEventsWebSocket.consumers[0] is already (line 30); choose another path or port",
        ),
        (
            "consumers:",
            "consumers: []\nlog:",
            "2:3: pipelines.ContractEventsWebSocket has no `SaveToWebSocket` consumer; add one for its clients",
        ),
        // Our own sections.
        (
            "pipelines:",
            "sources: {}\npipelines:",
            "1:1: `sources` cannot stand beside `pipelines`; write one form or the other",
        ),
        ("pipelines:", "limit: {}\npipelines:", "1:1: unknown key `limit` in the top level; did you mean `limits`?"),
    ] {
        let guide = guide();
        assert!(guide.contains(good), "{good}");
        let told = errors(&guide.replacen(good, bad, 1));
        assert_eq!(told, format!("x.yaml:{error}"), "{bad}");
    }
}

#[test]
fn names_that_become_one_are_told() {
    let pipeline = SHORT.strip_prefix("pipelines:\n").unwrap().replace("one:", "a b:");
    let file = format!("pipelines:\n{pipeline}{}", pipeline.replace("a b:", "a-b:"));
    assert_eq!(
        errors(&file),
        "x.yaml:6:3: pipelines.a-b is called `a-b` in logs and metrics, as the pipeline in line 2 is; rename one"
    );
    for (name, message) in [
        ("''", "x.yaml:2:3: a pipeline has no name"),
        (&"a".repeat(65), &format!("x.yaml:2:3: pipelines.{} is no name for a source", "a".repeat(65))),
    ] {
        let told = errors(&SHORT.replace("one:", &format!("{name}:")));
        assert!(told.starts_with(message), "{told}");
    }
}

#[test]
fn odd_files_are_told_and_nothing_panics() {
    for (file, message) in [
        ("pipelines:\n", "x.yaml:1:10: pipelines is empty"),
        ("pipelines: []\n", "x.yaml:1:12: pipelines is empty"),
        ("pipelines: {one: }\n", "x.yaml:1:13: pipelines.one has no `source`"),
        ("pipelines: {one: [a]}\n", "x.yaml:1:18: pipelines.one is a list; write a section with keys"),
        (
            "pipelines: {one: {source: 1, consumers: {}, processors: a}}\n",
            "x.yaml:1:27: pipelines.one.source is the number 1; write a section with keys\n\
             x.yaml:1:41: pipelines.one.consumers is a section with keys; write a list, each part after a `-`\n\
             x.yaml:1:57: pipelines.one.processors is the text `a`; write a list",
        ),
    ] {
        let told = errors(file);
        assert!(told.starts_with(message), "{told}");
    }
}

#[test]
fn names_of_the_file_replace_the_longest_of_ours() {
    let mut names = Names::default();
    names.add("sources.a", "pipelines.a");
    names.add("sources.a.config", "pipelines.a.source.config");
    names.add("sources.ab", "pipelines.a b");
    assert_eq!(
        names.in_file("sources.a.config.x is what sources.ab is, ü"),
        "pipelines.a.source.config.x is what pipelines.a b is, ü"
    );
}

proptest::proptest! {
    #[test]
    fn any_change_gives_settings_or_an_error(
        at in 0..GUIDE.len(), length in 0..12_usize, with in "[ \\-:{}\\[\\]&*!|>'\"%@,#?\n~0a]{0,4}"
    ) {
        let mut changed = GUIDE.to_owned();
        changed.replace_range(at..(at + length).min(GUIDE.len()), &with);
        if let Err(error) = read("x.yaml", &changed) {
            proptest::prop_assert!(error.to_string().starts_with("x.yaml:"), "{error}");
        }
    }
}
