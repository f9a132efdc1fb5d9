//! five-bells-ledger end to end: the unmodified ilp-plugin-bells from npm and clients of the proposal, at the same time
//! on one stream, held against what Flow says of it. The plugin's tests are skipped, said, where it is not installed.

use crate::common::client::{Client, Got, Head};
use crate::common::http::{self, Answer};
use crate::common::reader::Reader;
use crate::common::server::{Devnet, Process, Server, path};
use crate::common::{PATIENCE, pause, wait_until};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ledgercast::devnet::{self, Face, Settings, accounts};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What is told of it is compared when so much was told.
const ENOUGH: usize = 20;

/// A mount over the embedded XRP Ledger, with users of its own.
pub struct Bells {
    devnet: Devnet,
    state: TempDir,
    /// The busiest accounts: those of alice and bob, and others.
    accounts: Vec<String>,
    /// The passwords' hash; the password is `secret`.
    hash: String,
}

impl Bells {
    pub fn new() -> Bells {
        let devnet = Devnet::of_ledger("xrpl", "4", 40);
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("token_key"), "0123456789abcdef0123456789abcdef0123456789abcdef").unwrap();
        let accounts = accounts(&Settings { face: Face::Xrpl, ..Settings::default() }).unwrap();
        let mut command = crate::common::server::program();
        command.arg("hash-password").stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
        let hash = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        Bells { devnet, state, accounts, hash }
    }

    pub fn settings(&self, bind: SocketAddr, users: &[&str]) -> String {
        let (a, b, hash) = (&self.accounts[0], &self.accounts[1], &self.hash);
        let all = json!([
            { "name": "alice", "password_hash": hash, "accounts": ["xrp:alice"] },
            { "name": "bob", "password_hash": hash, "accounts": [format!("xrp:{b}")] },
            { "name": "admin", "password_hash": hash, "admin": true },
        ]);
        let users: Vec<&Value> =
            all.as_array().unwrap().iter().filter(|user| users.contains(&user["name"].as_str().unwrap())).collect();
        std::fs::write(self.users_file(), serde_json::to_string(&users).unwrap()).unwrap();
        let config = json!({
            "default": "xrp",
            "ledgers": { "xrp": { "source": "xrpl", "asset": "XRP", "ilp_prefix": "g.xrp.", "accounts": { "alice": a } } },
            "users_file": path(&self.users_file()),
            "token_key_file": path(&self.state.path().join("token_key")),
        });
        format!(
            "sources:\n  xrpl:\n    type: xrpl_rpc\n    config: {{ rpc_url: 'http://{}', poll_interval: 50ms }}\n\
             state_dir: '{}'\nlisteners:\n  - bind: {bind}\n    mounts:\n      \
             - {{ dialect: flow, path: /ws, sources: [xrpl] }}\n      \
             - {{ dialect: five_bells, path: /bells, sources: [xrpl], config: {config} }}\n\
             admin: {{ bind: 127.0.0.1:0 }}\ndrain: {{ spread: 0s }}\n",
            self.devnet.address,
            path(self.state.path()),
        )
    }

    fn users_file(&self) -> PathBuf {
        self.state.path().join("users.yaml")
    }

    fn server(&self, bind: SocketAddr) -> Server {
        let server = Server::start(&self.settings(bind, &["alice", "bob", "admin"]));
        server.wait_ready();
        server
    }
}

/// A free port, whichever.
pub fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// The plugin, in a process of its own.
struct Plugin {
    process: Process,
    /// The plugin ends with it.
    _stdin: ChildStdin,
}

impl Plugin {
    /// `None` where it is not installed.
    fn start(variables: &[(&str, &str)]) -> Option<Plugin> {
        let packages = std::env::var("NODE_PATH").unwrap_or_default();
        let mut places = packages.split(':').map(PathBuf::from).chain(
            // Where `tests/run.sh` installs it.
            [PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/clients/node_modules")],
        );
        let Some(place) = places.find(|place| place.join("ilp-plugin-bells").is_dir()) else {
            println!("skipped: no ilp-plugin-bells; install the npm package and name its folder in NODE_PATH");
            return None;
        };
        let mut command = Command::new("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/bells_plugin.js"));
        command.env("NODE_PATH", place).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("node starts");
        let stdin = child.stdin.take().expect("it is piped");
        Some(Plugin { process: Process::of_child(child), _stdin: stdin })
    }

    fn of(server: &Server, account: &str, user: &str, password: &str) -> Option<Plugin> {
        let account = format!("http://{}/bells/accounts/{account}", server.clients);
        Plugin::start(&[("ACCOUNT", &account), ("USERNAME", user), ("PASSWORD", password)])
    }

    fn events(&self) -> Vec<Value> {
        let out = self.process.stdout();
        out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The value of the first event of this name.
    fn wait_for(&self, name: &str) -> Value {
        self.wait_for_nth(name, 0)
    }

    fn wait_for_nth(&self, name: &str, nth: usize) -> Value {
        let mut found = None;
        wait_until(&format!("{name} of the plugin: {:?}", self.events().last()), || {
            found = self.events().into_iter().filter(|it| it["event"] == name).nth(nth);
            found.is_some()
        });
        found.expect("it was waited for")["value"].clone()
    }

    /// Transfers as (direction, from, to, amount).
    fn transfers(&self) -> Vec<(String, String, String, String)> {
        let events = self.events().into_iter();
        let transfers = events.filter(|it| it["event"].as_str().is_some_and(|event| event.ends_with("_transfer")));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        transfers
            .map(|it| {
                let transfer = &it["value"]["transfer"];
                let direction = it["event"].as_str().unwrap().trim_end_matches("_transfer").to_owned();
                (direction, text(&transfer["from"]), text(&transfer["to"]), text(&transfer["amount"]))
            })
            .collect()
    }
}

/// Payments of XRP that concern `address`, in Flow's words, as a plugin of that account should tell them.
fn expected(flow: &Reader, address: &str, name_of: impl Fn(&str) -> String) -> Vec<(String, String, String, String)> {
    let payments = flow.texts().into_iter().map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let concerned = payments.filter(|it| it["from"] == address || it["to"] == address);
    concerned
        .map(|it| {
            let name = |field: &str| format!("g.xrp.{}", name_of(it[field].as_str().unwrap()));
            let (whole, rest) = it["amount"].as_str().unwrap().split_once('.').unwrap();
            let drops = format!("{whole}{rest:0<6}").trim_start_matches('0').to_owned();
            let direction = if it["to"] == address { "incoming" } else { "outgoing" };
            (direction.to_owned(), name("from"), name("to"), drops)
        })
        .collect()
}

/// All of `part` is in `whole`, one after the other, with nothing between.
fn is_part<T: PartialEq + std::fmt::Debug>(part: &[T], whole: &[T]) {
    assert!(!part.is_empty() && whole.windows(part.len()).any(|window| window == part), "{part:#?} in {whole:#?}");
}

fn ask(server: SocketAddr, method: &str, path: &str, authorization: Option<&str>) -> Answer {
    let authorization = authorization.map(|it| format!("Authorization: {it}\r\n")).unwrap_or_default();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n{authorization}\r\n");
    http::exchange(server, request.as_bytes()).expect("an answer")
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub fn token(server: &Server, user: &str) -> String {
    let answer = ask(server.clients, "POST", "/bells/authenticate", Some(&basic(user, "secret")));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[test]
fn the_plugin_sees_every_transfer_and_comes_back_with_its_old_token() {
    let bells = Bells::new();
    let mut server = bells.server(anywhere());
    let filters = json!({ "types": ["payment"], "asset_codes": ["XRP"] });
    let flow = Reader::start(server.clients, &filters);
    let Some(plugin) = Plugin::of(&server, "alice", "alice", "secret") else { return };
    let alice = bells.accounts[0].clone();
    let info = plugin.wait_for("ready");
    assert_eq!((&info["prefix"], &info["currencyScale"]), (&json!("g.xrp."), &json!(6)), "{info}");
    assert_eq!(plugin.wait_for("balance"), json!("0"));
    assert_eq!(plugin.wait_for("refused"), json!("NotAcceptedError"));
    wait_until("transfers enough", || plugin.transfers().len() >= ENOUGH);
    let told = plugin.transfers();
    let name_of = |address: &str| if address == alice { "alice".to_owned() } else { address.to_owned() };
    is_part(&told, &expected(&flow, &alice, name_of));

    // The same address, the same key: the plugin comes back by itself, with the token that it has.
    assert_eq!(server.stop().code(), Some(0));
    let before = plugin.transfers();
    let server = bells.server(server.clients);
    let flow = Reader::start(server.clients, &filters);
    plugin.wait_for_nth("connect", 1);
    // From here on for certain.
    let from = plugin.transfers().len().max(before.len());
    wait_until("transfers enough, again", || plugin.transfers().len() >= from + ENOUGH);
    let later = &plugin.transfers()[from..];
    let ids: Vec<String> =
        plugin.events().iter().filter_map(|it| it["value"]["transfer"]["id"].as_str().map(str::to_owned)).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "none twice");
    // Flow's client may have come a ledger later than the plugin.
    let expected = expected(&flow, &alice, name_of);
    let first = later.iter().position(|it| *it == expected[0]).expect("both are live");
    is_part(&later[first..], &expected);
}

#[test]
fn an_administrators_plugins_hear_all_their_accounts() {
    let bells = Bells::new();
    let server = bells.server(anywhere());
    let account = format!("http://{}/bells/accounts/admin", server.clients);
    let names = json!(["alice", bells.accounts[1], bells.accounts[2]]).to_string();
    let variables = [
        ("EVERYBODY", "1"),
        ("ACCOUNT", &*account),
        ("USERNAME", "admin"),
        ("PASSWORD", "secret"),
        ("ACCOUNTS", &*names),
    ];
    let Some(plugin) = Plugin::start(&variables) else { return };
    plugin.wait_for("ready");
    wait_until("each hears its own", || {
        let events = plugin.events();
        let heard: HashSet<&str> = events.iter().filter_map(|it| it["value"]["name"].as_str()).collect();
        heard.len() == 3 && events.len() > ENOUGH
    });
}

#[test]
fn who_may_not_come_in_is_told() {
    let bells = Bells::new();
    let server = bells.server(anywhere());
    let Some(wrong) = Plugin::of(&server, "alice", "alice", "not it") else { return };
    let unknown = Plugin::of(&server, "alice", "nobody", "secret").unwrap();
    let foreign = Plugin::of(&server, &bells.accounts[0], "bob", "secret").unwrap();
    let own = Plugin::of(&server, &bells.accounts[1], "bob", "secret").unwrap();
    // Her own by another name: she would be connected and hear nothing.
    let alias = Plugin::of(&server, &bells.accounts[0], "alice", "secret").unwrap();
    alias.wait_for("error");
    assert_eq!(wrong.wait_for("error"), unknown.wait_for("error"), "nobody learns who is known");
    // His is another account: he may know that it is there, and nothing that happens there.
    pause(Duration::from_secs(2));
    assert_eq!(foreign.transfers(), []);
    own.wait_for("ready");
    wait_until("his own account's", || own.transfers().len() > 2);
    assert_eq!(foreign.transfers(), []);
    let log = server.process.stderr();
    assert!(!log.contains("not it") && !log.contains("secret") && !log.contains("token="), "{log}");
}

/// A client of the proposal's text, by its steps.
async fn open(server: &Server, token: &str) -> Client {
    let path = format!("/bells/websocket?token={token}");
    let mut client = Client::try_at(server.clients, &path).await.unwrap_or_else(|status| panic!("{status}"));
    assert_eq!(next(&mut client).await, json!({ "jsonrpc": "2.0", "id": null, "method": "connect" }));
    client
}

async fn next(client: &mut Client) -> Value {
    serde_json::from_str(&client.next_text().await).unwrap()
}

pub async fn subscribe(client: &mut Client, id: u64, params: Value) -> Value {
    let method = if params[0]["accounts"].is_null() && params["accounts"].is_null() {
        "subscribe_all_accounts"
    } else {
        "subscribe_account"
    };
    client.text(json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": id }).to_string()).await;
    loop {
        let message = next(client).await;
        if message["id"] == id {
            return message;
        }
    }
}

#[tokio::test]
async fn the_proposals_steps_beside_the_shipped_form() {
    let bells = Bells::new();
    let server = bells.server(anywhere());
    let base = format!("http://{}/bells", server.clients);
    for slash in ["", "/"] {
        let metadata = ask(server.clients, "GET", &format!("/bells{slash}"), None);
        assert_eq!((metadata.status, metadata.header("content-type")), (200, Some("application/json")), "{metadata:?}");
        let websocket = base.replacen("http", "ws", 1) + "/websocket";
        assert_eq!(metadata.json()["urls"]["websocket"], websocket, "whatever the Host header says");
    }
    assert_eq!(ask(server.clients, "POST", "/bells/authenticate", None).status, 401);
    let mut listed = open(&server, &token(&server, "alice")).await;
    let mut shipped = open(&server, &token(&server, "alice")).await;
    let mut admin = open(&server, &token(&server, "admin")).await;
    let alice = json!({ "eventType": "transfer.*", "accounts": [format!("{base}/accounts/alice")] });
    assert_eq!(subscribe(&mut listed, 1, json!([alice])).await, json!({ "jsonrpc": "2.0", "id": 1, "result": 1 }));
    assert_eq!(subscribe(&mut shipped, 1, alice).await, json!({ "jsonrpc": "2.0", "id": 1, "result": 1 }));
    let all = subscribe(&mut admin, 7, json!([{ "eventType": "*" }])).await;
    assert_eq!(all, json!({ "jsonrpc": "2.0", "id": 7, "result": 1 }));
    let (mut in_list, mut in_object, mut of_all) = (Vec::new(), Vec::new(), Vec::new());
    while in_list.len() < ENOUGH {
        in_list.push(next(&mut listed).await);
    }
    while in_object.len() < ENOUGH {
        in_object.push(next(&mut shipped).await);
    }
    let last = in_list.last().unwrap()["params"][0]["resource"]["id"].clone();
    while of_all.last().is_none_or(|it: &Value| it["params"][0]["resource"]["id"] != last) {
        of_all.push(next(&mut admin).await);
    }
    let own = format!("{base}/accounts/alice");
    for message in &in_list {
        let told = &message["params"][0];
        assert_eq!((&message["method"], &message["id"]), (&json!("notify"), &Value::Null));
        assert!(told["id"].as_str().unwrap().starts_with(&format!("{base}/notifications/")), "{told}");
        assert_eq!((&told["event"], &told["resource"]["ledger"]), (&json!("transfer.update"), &json!(base)));
        let transfer = &told["resource"];
        let accounts: Vec<&Value> = ["debits", "credits"].iter().map(|side| &transfer[*side][0]["account"]).collect();
        assert!(accounts.contains(&&json!(own)), "{transfer}");
        assert!(of_all.contains(message), "the administrator has it, too");
    }
    // One stream in two forms.
    let id = |it: &Value| it["resource"]["id"].clone();
    let listed_ids: Vec<Value> = in_list.iter().map(|it| id(&it["params"][0])).collect();
    let object_ids: Vec<Value> = in_object.iter().map(|it| id(&it["params"])).collect();
    let first = object_ids.iter().position(|it| listed_ids.contains(it)).expect("both are live");
    let common = listed_ids.iter().position(|it| *it == object_ids[first]).unwrap();
    assert!(listed_ids[common..].iter().zip(&object_ids[first..]).all(|(one, other)| one == other));
    assert!(in_object.iter().all(|it| it["params"]["id"].is_null()));

    // What was told may be asked for, by its parties and by administrators.
    let transfer = &in_list[0]["params"][0]["resource"];
    let below = transfer["id"].as_str().unwrap().strip_prefix(&format!("http://{}", server.clients)).unwrap();
    for (user, status) in [("alice", 200), ("admin", 200)] {
        let answer = ask(server.clients, "GET", below, Some(&basic(user, "secret")));
        assert_eq!((answer.status, answer.json()), (status, transfer.clone()), "{user}");
    }
    let foreign = of_all.iter().map(|it| &it["params"][0]["resource"]).find(|it| {
        !it.to_string().contains(&own)
            && !it["debits"].to_string().contains(&bells.accounts[1])
            && !it["credits"].to_string().contains(&bells.accounts[1])
    });
    let below = foreign.unwrap()["id"].as_str().unwrap().strip_prefix(&format!("http://{}", server.clients)).unwrap();
    for user in ["alice", "bob"] {
        assert_eq!(ask(server.clients, "GET", below, Some(&basic(user, "secret"))).status, 404, "{user}");
    }
    assert_eq!(ask(server.clients, "GET", below, None).status, 401);
}

/// What the mount's follower remembers, by the ids that clients are told.
#[tokio::test]
async fn a_notified_transfer_is_at_its_address() {
    let bells = Bells::new();
    let server = bells.server(anywhere());
    let (admin, alice) = (basic("admin", "secret"), basic("alice", "secret"));
    let mut client = open(&server, &token(&server, "admin")).await;
    assert_eq!(subscribe(&mut client, 1, json!({ "eventType": "*" })).await["result"], 1);
    let base = format!("http://{}", server.clients);
    for _ in 0..ENOUGH {
        let mut told = next(&mut client).await;
        let resource = told["params"]["resource"].take();
        let path = resource["id"].as_str().unwrap().strip_prefix(&base).unwrap().to_owned();
        let get = |user: &str| ask(server.clients, "GET", &path, Some(user));
        // It is remembered by a thread of its own.
        wait_until("the transfer is found", || get(&admin).status == 200);
        assert_eq!(get(&admin).json(), resource);
        let is_hers = resource.to_string().contains("/accounts/alice\"");
        assert_eq!(get(&alice).status, if is_hers { 200 } else { 404 }, "{resource}");
    }
}

#[tokio::test]
async fn a_user_never_sees_anothers_transfers() {
    let bells = Bells::new();
    let server = bells.server(anywhere());
    let base = format!("http://{}/bells", server.clients);
    let mut bob = open(&server, &token(&server, "bob")).await;
    let (own, foreign) = (format!("{base}/accounts/{}", bells.accounts[1]), format!("{base}/accounts/alice"));
    let by_address = format!("{base}/accounts/{}", bells.accounts[0]);
    let order = |accounts: &[&String]| json!({ "eventType": "*", "accounts": accounts });
    assert_eq!(subscribe(&mut bob, 1, order(&[&own])).await["result"], 1);
    for (id, accounts) in
        [(2, vec![&foreign]), (3, vec![&own, &foreign]), (4, vec![&by_address]), (5, vec![&foreign, &own])]
    {
        let answer = subscribe(&mut bob, id, order(&accounts)).await;
        assert_eq!(answer["error"]["code"], 40300, "{answer}");
    }
    assert_eq!(subscribe(&mut bob, 6, json!({ "eventType": "*" })).await["error"]["code"], 40300);
    // What he had before the refusals goes on, and it is his alone.
    for _ in 0..ENOUGH {
        let message = next(&mut bob).await;
        let transfer = &message["params"]["resource"];
        assert!(transfer["debits"][0]["account"] == own || transfer["credits"][0]["account"] == own, "{transfer}");
    }
}

#[tokio::test]
async fn who_is_removed_is_gone_at_once() {
    let bells = Bells::new();
    let server = bells.server(anywhere());
    let (old, admins) = (token(&server, "bob"), token(&server, "admin"));
    let mut bob = open(&server, &old).await;
    let mut admin = open(&server, &admins).await;
    bells.settings(anywhere(), &["alice", "admin"]);
    server.process.signal(rustix::process::Signal::HUP);
    loop {
        match bob.next().await {
            Got::Text(_) => {}
            end => {
                assert!(matches!(end, Got::Close(1008, _)), "{end:?}");
                break;
            }
        }
    }
    for credentials in [basic("bob", "secret"), format!("Bearer {old}")] {
        assert_eq!(ask(server.clients, "GET", "/bells/auth_token", Some(&credentials)).status, 401);
    }
    let refused = Client::try_at(server.clients, &format!("/bells/websocket?token={old}")).await;
    assert_eq!(refused.err(), Some(401));
    assert_eq!(subscribe(&mut admin, 1, json!([{ "eventType": "*" }])).await["result"], 1);
    assert_eq!(ask(server.clients, "GET", "/bells/auth_token", Some(&basic("admin", "secret"))).status, 200);
}

/// Two ledgers of two networks on one mount. One network gives up ledgers while the server stands still: its client is
/// closed, and the other's misses nothing and gets nothing that is not its own.
#[tokio::test]
async fn a_break_of_one_ledger_is_none_of_another() {
    let bells = Bells::new();
    let forgetful = devnet::start(Settings {
        ledger_interval: Duration::from_millis(100),
        retention: 8,
        passphrase: "five-bells' gaps".to_owned(),
        events_per_ledger: 20,
        ..Settings::default()
    });
    let forgetful = forgetful.await.unwrap();
    let stellar = format!(
        "sources:\n  xlm: {{ type: stellar_rpc, config: {{ rpc_url: 'http://{}', poll_interval: 50ms }} }}\n",
        forgetful.address()
    );
    let settings = bells.settings(anywhere(), &["admin"]).replacen("sources:\n", &stellar, 1);
    let settings = settings.replace("path: /bells, sources: [xrpl]", "path: /bells, sources: [xlm, xrpl]");
    let settings = settings.replace(r#""ledgers":{"#, r#""ledgers":{"xlm":{"source":"xlm"},"#);
    let server = Server::start(&settings);
    server.wait_ready();
    let flow = Reader::start(server.clients, &json!({ "types": ["payment"], "asset_codes": ["XRP"] }));
    let token = token(&server, "admin");
    let base = format!("http://{}/bells", server.clients);
    let mut clients = Vec::new();
    for below in ["", "/ledgers/xlm"] {
        let path = format!("/bells{below}/websocket?token={token}");
        let mut client = Client::try_at(server.clients, &path).await.unwrap_or_else(|status| panic!("{status}"));
        next(&mut client).await;
        assert_eq!(subscribe(&mut client, 1, json!({ "eventType": "*" })).await["result"], 1);
        clients.push((client, format!("{base}{below}")));
    }
    let transfer = |text: &str, base: &str| {
        let mut told: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            (&told["params"]["event"], &told["params"]["resource"]["ledger"]),
            (&json!("transfer.update"), &json!(base))
        );
        told["params"]["resource"].take()
    };
    for (client, base) in &mut clients {
        transfer(&client.next_text().await, base);
    }
    server.process.signal(rustix::process::Signal::STOP);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    server.process.signal(rustix::process::Signal::CONT);
    let (mut broken, broken_base) = clients.pop().unwrap();
    loop {
        match broken.next().await {
            Got::Text(text) => _ = transfer(&text, &broken_base),
            end => {
                assert!(matches!(end, Got::Close(1012, _)), "{end:?}");
                break;
            }
        }
    }
    let (mut whole, base) = clients.pop().unwrap();
    let height = |transfer: &Value| transfer["additional_info"]["height"].as_u64().unwrap();
    let newest = flow.last();
    let mut heights = Vec::new();
    while heights.last().is_none_or(|last| *last < newest + 3) {
        heights.push(height(&transfer(&whole.next_text().await, &base)));
    }
    // Between the first ledger and the last, which may be had in part: as many of each as Flow tells.
    let (first, last) = (heights[0], heights[heights.len() - 1]);
    let between = |heights: &[u64]| heights.iter().copied().filter(|it| *it > first && *it < last).collect::<Vec<_>>();
    flow.wait_past(last, PATIENCE);
    let told: Vec<u64> = flow.texts().iter().map(|text| Head::of(text).ledger).collect();
    assert_eq!(between(&heights), between(&told));
    assert!(between(&heights).len() > ENOUGH, "{heights:?}");
}

/// Pages of other origins may ask, or those that the mount names.
#[test]
fn pages_of_other_origins_may_ask() {
    let bells = Bells::new();
    let open = bells.settings(anywhere(), &["alice"]);
    let closed = open.replace("path: /bells,", "path: /bells, allowed_origins: ['https://ours.example'],");
    let (ours, theirs) = ("https://ours.example", "https://theirs.example");
    for (settings, origin, allowed) in
        [(&open, ours, Some("*")), (&open, theirs, Some("*")), (&closed, ours, Some(ours)), (&closed, theirs, None)]
    {
        let server = Server::start(settings);
        let ask = |method: &str, path: &str, more: &str| {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: {origin}\r\n{more}\r\n");
            let answer = http::exchange(server.clients, request.as_bytes()).expect("an answer");
            assert_eq!(answer.header("access-control-allow-origin"), allowed, "{answer:?}");
            assert_eq!(answer.header("vary").is_some(), settings == &closed, "{answer:?}");
            answer
        };
        let preflight = "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n";
        let answer = ask("OPTIONS", "/bells/accounts/alice", preflight);
        assert_eq!(answer.status, if allowed.is_some() { 204 } else { 403 }, "{answer:?}");
        let headers = answer.header("access-control-allow-headers");
        assert_eq!(headers, allowed.map(|_| "authorization, content-type"));
        assert_eq!(ask("GET", "/bells", "").status, if allowed.is_some() { 200 } else { 403 });
        assert_eq!(ask("GET", "/bells/health", "").status, if allowed.is_some() { 401 } else { 403 });
        assert_eq!(
            ask("OPTIONS", "/bells", "").status,
            if allowed.is_some() { 405 } else { 403 },
            "not asked by a page"
        );
    }
}

/// Many who try passwords: they are slowed, and the stream goes on beside them.
#[test]
fn a_crowd_of_logins_does_not_hold_up_the_stream() {
    const TRIES: usize = 400;
    let bells = Bells::new();
    let server = bells.server(anywhere());
    let flow = Reader::start(server.clients, &json!({ "types": ["ledger"] }));
    let clients = server.clients;
    // Who came in from here before is not held up by others who try from here.
    token(&server, "alice");
    let tries: Vec<_> = (0..8)
        .map(|thread| {
            std::thread::spawn(move || {
                let tried = |number| {
                    let credentials = basic(&format!("user{}", thread * TRIES + number), "guess");
                    ask(clients, "GET", "/bells/auth_token", Some(&credentials)).status
                };
                (0..TRIES / 8).map(tried).collect::<Vec<u16>>()
            })
        })
        .collect();
    let from = flow.last();
    let statuses: Vec<u16> = tries.into_iter().flat_map(|it| it.join().unwrap()).collect();
    assert!(statuses.iter().all(|status| [401, 429, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&429), "guessing is slowed: {statuses:?}");
    flow.wait_past(from + 5, PATIENCE);
    crate::common::client::is_a_row(&flow.texts());
    assert_eq!(ask(clients, "GET", "/bells/auth_token", Some(&basic("alice", "secret"))).status, 200);
    // Who did not has to wait with them.
    assert_eq!(ask(clients, "GET", "/bells/auth_token", Some(&basic("bob", "secret"))).status, 429);
}
