//! Plain HTTP, as users, as nobody and as each other.

use super::users::{Cost, hash_password};
use super::*;
use crate::broker::History;
use crate::dialect::{HttpReply, MountedSource};
use crate::event::{Family, LedgerBatch};
use crate::source::Coin;
use crate::source::xrpl::recordings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use serde_json::{Value, json};
use std::time::Instant;

const URL: &str = "https://example.org/bells";
const ALICE: &str = "rPT1Sjq2YGrBMTttX4GZHjKu9dyfzbpAYe";
const BITSTAMP: &str = "rvYAfWj5gh67oV6fW32ZzP3Aw4Eubs59B";

fn mount_for(accounts: Value) -> FiveBellsMount {
    let hash = |name: &str| hash_password(name, Cost { memory: 8, passes: 1, lanes: 1 }).unwrap();
    let config = json!({
        "ledgers": {
            "xrp": { "source": "main", "accounts": accounts },
            "usd": { "source": "main", "asset": format!("USD:{BITSTAMP}"), "currency_symbol": "$", "ilp_prefix": "g.usd." },
        },
        "default": "xrp",
        "users": [
            { "name": "alice", "password_hash": hash("alice"), "accounts": ["xrp:alice", format!("usd:{ALICE}")] },
            { "name": "bob", "password_hash": hash("bob"), "accounts": ["xrp:bob", "xrp:carol"] },
            { "name": "admin", "password_hash": hash("admin"), "admin": true },
        ],
    });
    let coins = vec![Coin { id: "XRP".to_owned(), code: "XRP".to_owned(), decimals: Some(6) }];
    let context = MountContext {
        url: URL.to_owned(),
        mounted: vec![MountedSource { number: 0, name: "main".to_owned(), family: Family::Xrpl, coins }],
        ..MountContext::default()
    };
    let mount = FiveBellsMount::new(serde_json::from_value(config).unwrap(), context, &mut Renderings::default());
    mount.read_files().unwrap();
    mount
}

fn mount() -> FiveBellsMount {
    mount_for(json!({ "alice": ALICE, "bob": BITSTAMP }))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Recent history of these ledgers, shown to the mount.
fn recent(mount: &FiveBellsMount, batches: Vec<LedgerBatch>) -> Recent {
    let history = History::new(1, 0, 64 << 20);
    for batch in batches {
        let entry = history.append(batch, Instant::now()).unwrap();
        mount.follow(&entry, 0);
    }
    Recent::new(Arc::new(history), [0].into())
}

struct Client<'a> {
    mount: &'a FiveBellsMount,
    recent: Recent,
}

impl Client<'_> {
    async fn ask(&self, method: &str, path: &str, authorization: Option<String>) -> HttpReply {
        let (below, query) = path.split_once('?').unwrap_or((path, ""));
        let request = HttpRequest {
            method: method.into(),
            below: below.into(),
            query: query.into(),
            authorization: authorization.map(Into::into),
            body: Default::default(),
            peer: [127, 0, 0, 1].into(),
        };
        self.mount.http(request, &self.recent).unwrap().await
    }

    /// As a user whose password is its name; `""`: as nobody.
    async fn as_user(&self, user: &str, method: &str, path: &str) -> (u16, Value) {
        let shown = (!user.is_empty()).then(|| basic(user, user));
        let reply = self.ask(method, path, shown).await;
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }
}

fn client(mount: &FiveBellsMount) -> Client<'_> {
    Client { mount, recent: recent(mount, Vec::new()) }
}

fn error(id: &str, message: &str) -> Value {
    json!({ "id": id, "message": message })
}

#[actix::test]
async fn the_main_uri_tells_where_all_is() {
    let mount = mount();
    let client = client(&mount);
    for path in ["", "/"] {
        let (status, told) = client.as_user("", "GET", path).await;
        assert_eq!(status, 200);
        for (key, below) in [
            ("health", "/health"),
            ("transfer", "/transfers/:id"),
            ("transfer_fulfillment", "/transfers/:id/fulfillment"),
            ("transfer_fulfillment2", "/transfers/:id/fulfillment2"),
            ("transfer_rejection", "/transfers/:id/rejection"),
            ("transfer_state", "/transfers/:id/state"),
            ("accounts", "/accounts"),
            ("account", "/accounts/:name"),
            ("auth_token", "/auth_token"),
            ("message", "/messages"),
        ] {
            assert_eq!(told["urls"][key], format!("{URL}{below}"), "{key}");
        }
        assert_eq!(told["urls"]["websocket"], "wss://example.org/bells/websocket");
        assert_eq!((&told["scale"], &told["precision"], &told["connectors"]), (&json!(6), &json!(17), &json!([])));
        assert_eq!((&told["currency_code"], &told["ilp_prefix"]), (&json!("XRP"), &json!("private.xrp.")));
    }
    for path in ["/ledgers/usd", "/ledgers/usd/"] {
        let (status, told) = client.as_user("", "GET", path).await;
        assert_eq!(status, 200);
        assert_eq!(told["urls"]["account"], format!("{URL}/ledgers/usd/accounts/:name"));
        assert_eq!((&told["currency_code"], &told["currency_symbol"]), (&json!("USD"), &json!("$")));
        assert_eq!((&told["scale"], &told["ilp_prefix"]), (&json!(15), &json!("g.usd.")));
    }
    let gone = (404, error("NotFoundError", "Not Found"));
    for path in [
        "/nosuch",
        "/ledgers",
        "/ledgers/",
        "/ledgers/xrp",
        "/ledgers/eur",
        "//",
        "/accounts/a/b",
        "/health/x",
        "/transfers",
        "/transfers/1/x",
        "/transfers/1/state/x",
        "/ledgers/usd/ledgers/usd",
    ] {
        assert_eq!(client.as_user("alice", "GET", path).await, gone, "{path}");
    }
    for (method, path, allowed) in [
        ("POST", "/", "HEAD, GET"),
        ("POST", "/auth_token", "HEAD, GET"),
        ("GET", "/authenticate", "POST"),
        ("DELETE", "/accounts", "HEAD, GET"),
        ("POST", "/accounts/alice", "HEAD, GET"),
        ("PUT", "/health", "HEAD, GET"),
        ("GET", "/messages", "POST"),
        ("POST", "/websocket", "HEAD, GET"),
    ] {
        let reply = client.ask(method, path, None).await;
        assert_eq!(reply.status, 405, "{method} {path}");
        assert!(reply.headers.contains(&("allow", allowed.to_owned())), "{method} {path}: {:?}", reply.headers);
    }
    let reply = client.ask("GET", "/websocket", Some(basic("alice", "alice"))).await;
    assert_eq!(reply.status, 426);
    assert!(reply.headers.contains(&("upgrade", "websocket".to_owned())));
}

#[actix::test]
async fn tokens_by_both_names() {
    let mount = mount();
    let client = client(&mount);
    for (method, path) in [("GET", "/auth_token"), ("POST", "/authenticate"), ("POST", "/ledgers/usd/authenticate")] {
        let (status, told) = client.as_user("alice", method, path).await;
        assert_eq!((status, &told["token_max_age"]), (200, &json!(3650_u64 * 86_400_000)));
        let token = told["token"].as_str().unwrap();
        let account = client.ask("GET", "/accounts/alice", Some(format!("Bearer {token}"))).await;
        assert_eq!(account.status, 200);
        assert!(String::from_utf8(account.body).unwrap().contains("balance"));
        let query = format!("token={token}");
        let Some(Entry::Asking(mut entering)) = mount.open(Opening::at("/websocket", &query)) else { panic!() };
        assert!((&mut entering).now_or_never().is_some_and(|entered| entered.is_ok()), "a token needs no time");

        let reply = client.ask(method, path, None).await;
        assert_eq!((reply.status, &reply.body[..]), (401, &b"Unauthorized"[..]));
        assert!(reply.headers.iter().any(|(name, value)| *name == "www-authenticate" && value.starts_with("Basic ")));
        for wrong in [basic("alice", "bob"), basic("nobody", "x")] {
            let reply = client.ask(method, path, Some(wrong)).await;
            let told: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!((reply.status, told), (401, error("UnauthorizedError", "Invalid password")));
        }
    }
    // What the plugin tries to see whether requests take tokens.
    let reply = client.ask("GET", "/transfers/1", Some("Bearer invalidToken".to_owned())).await;
    let told: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, told), (401, error("UnauthorizedError", "Invalid token")));
    for (path, query) in [("/websocket", ""), ("/websocket", "token=x"), ("/ledgers/usd/websocket", "token=")] {
        let Some(Entry::Asking(entering)) = mount.open(Opening::at(path, query)) else { panic!() };
        let reply = entering.await.err().unwrap();
        let told: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, &told["id"]), (401, &json!("UnauthorizedError")));
    }
    for path in ["", "/", "/websocket/", "/ledgers/xrp/websocket", "/ledgers/eur/websocket", "/accounts/alice"] {
        assert!(mount.open(Opening::at(path, "")).is_none(), "{path}");
    }
}

/// A handshake that fails for another reason costs no password, and is no guess.
#[actix::test]
async fn a_password_waits_until_the_handshake_is_good() {
    let mount = mount();
    let wrong = basic("alice", "wrong");
    let open = || mount.open(Opening { authorization: Some(&wrong), ..Opening::at("/websocket", "") });
    for _ in 0..50 {
        assert!(matches!(open(), Some(Entry::Asking(_))));
    }
    let client = client(&mount);
    assert_eq!(client.as_user("alice", "GET", "/auth_token").await.0, 200, "nobody has guessed");
    assert_eq!(mount.shared.users.verified(), 1);
}

#[actix::test]
async fn accounts_by_who_asks() {
    let mount = mount();
    let client = client(&mount);
    let of = |name: &str| json!({ "id": format!("{URL}/accounts/{name}"), "name": name, "ledger": URL });
    let whole = |name: &str| {
        let mut account = of(name);
        for (key, value) in
            [("balance", json!("0")), ("is_disabled", json!(false)), ("minimum_allowed_balance", json!("0"))]
        {
            account[key] = value;
        }
        account
    };
    for (user, path, expected) in [
        ("alice", "/accounts/alice", whole("alice")),
        ("", &format!("/accounts/{ALICE}"), of("alice")),
        ("bob", "/accounts/ALICE", of("alice")),
        ("admin", "/accounts/alice", whole("alice")),
        ("", "/accounts/alice", of("alice")),
        ("bob", "/accounts/alice", of("alice")),
        ("", "/accounts/nobody", of("nobody")),
        ("bob", "/accounts/carol", whole("carol")),
    ] {
        assert_eq!(client.as_user(user, "GET", path).await, (200, expected), "{user} {path}");
    }
    // A client of such an account would hear nothing: it shall not think that it is connected.
    let renamed = format!("Unknown account; its one name here is {URL}/accounts/alice");
    for (user, path) in [
        ("alice", "/accounts/ALICE"),
        ("alice", &format!("/accounts/{ALICE}")),
        ("admin", &format!("/accounts/{ALICE}")),
    ] {
        let told = client.as_user(user, "GET", path).await;
        assert_eq!(told, (404, error("NotFoundError", &renamed)), "{user} {path}");
    }
    let (status, told) = client.as_user("admin", "GET", "/accounts/admin").await;
    assert_eq!((status, &told["is_admin"]), (200, &json!(true)));
    let unknown = (404, error("NotFoundError", "Unknown account"));
    assert_eq!(client.as_user("admin", "GET", "/accounts/issuance").await, unknown);
    assert_eq!(client.as_user("alice", "GET", "/accounts/nobody").await, unknown);
    assert_eq!(client.as_user("admin", "GET", "/accounts/nobody").await, unknown);
    for user in ["", "alice"] {
        let (status, told) = client.as_user(user, "GET", "/accounts/al%20ice").await;
        assert_eq!((status, &told["id"]), (400, &json!("InvalidUriParameterError")));
        assert_eq!(told["message"], "name is not a valid Identifier");
        assert_eq!(told["validationErrors"][0]["params"]["pattern"], "^[a-zA-Z0-9_-]{1,86}$");
    }
    let wrong = client.ask("GET", "/accounts/alice", Some(basic("alice", "bob"))).await;
    assert_eq!(wrong.status, 401, "who shows something wrong is not nobody");
    assert_eq!(
        client.as_user("alice", "GET", "/accounts").await,
        (403, error("ForbiddenError", "You aren't an admin"))
    );
    let (status, told) = client.as_user("admin", "GET", "/accounts").await;
    let names: Vec<&str> = told.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!((status, names), (200, vec!["alice", "bob"]));
    // On the other ledger nobody has a name.
    let (status, told) = client.as_user("alice", "GET", &format!("/ledgers/usd/accounts/{ALICE}")).await;
    assert_eq!((status, &told["name"], &told["ledger"]), (200, &json!(ALICE), &json!(format!("{URL}/ledgers/usd"))));
    assert_eq!(client.as_user("alice", "GET", "/health").await, (200, json!({ "status": "OK" })));
    assert_eq!(client.ask("GET", "/health", None).await.status, 401);
}

#[actix::test]
async fn nothing_can_be_written() {
    let mount = mount();
    let client = client(&mount);
    let id = "155dff3f-4915-44df-a707-acc4b527bc01";
    for below in ["", "/fulfillment", "/fulfillment2", "/rejection"] {
        let path = format!("/transfers/{id}{below}");
        let (status, told) = client.as_user("alice", "PUT", &path).await;
        assert_eq!((status, &told["id"]), (403, &json!("ForbiddenError")), "{path}");
        assert_eq!(client.as_user("", "PUT", &path).await.0, 401);
    }
    assert_eq!(client.as_user("admin", "PUT", "/accounts/x").await.0, 403);
    let (status, told) = client.as_user("alice", "POST", "/messages").await;
    assert_eq!((status, &told["id"]), (422, &json!("NoSubscriptionsError")));
}

/// Every recorded payment, as its parties, as an administrator and as strangers.
#[actix::test]
async fn a_transfer_is_for_its_parties_alone() {
    let batches: Vec<LedgerBatch> = recordings::LEDGERS.iter().filter_map(|file| recordings::batch(file)).collect();
    let xrp = |event: &crate::event::Event| match &event.body {
        crate::event::Body::Payment(payment) => (&*payment.asset.id == "XRP" && payment.amount.is_some())
            .then(|| (payment.from.to_string(), payment.to.to_string())),
        _ => None,
    };
    let mut payments = Vec::new();
    for batch in &batches {
        payments.extend(batch.events.iter().filter_map(|event| Some((Transfer::id_of(batch, event), xrp(event)?))));
    }
    let Some((_, (from, _))) = payments.iter().find(|(_, (from, to))| from != to) else { return };
    // The first payer is alice, and bob has two accounts that nobody pays from or to.
    let mount = mount_for(json!({ "alice": from, "bob": ALICE }));
    let client = Client { mount: &mount, recent: recent(&mount, batches) };
    let unknown = (404, error("NotFoundError", "Unknown transfer ID"));
    let (mut seen, mut hidden) = (0, 0);
    for (id, (payer, payee)) in &payments {
        let path = format!("/transfers/{id}");
        let (status, told) = client.as_user("admin", "GET", &path).await;
        assert_eq!((status, &told["id"]), (200, &json!(format!("{URL}{path}"))));
        let as_alice = client.as_user("alice", "GET", &path).await;
        if payer == from || payee == from {
            assert_eq!(as_alice, (200, told));
            seen += 1;
        } else {
            assert_eq!(as_alice, unknown);
            hidden += 1;
        }
        for path in [path.clone(), format!("{path}/state?type=sha256"), format!("{path}/fulfillment")] {
            assert_eq!(client.as_user("bob", "GET", &path).await, unknown);
        }
        assert_eq!(client.as_user("", "GET", &path).await.0, 401);
        // It is of another asset than that ledger.
        assert_eq!(client.as_user("admin", "GET", &format!("/ledgers/usd{path}")).await, unknown);
    }
    assert!(seen > 0 && hidden > 0, "{seen} {hidden}");
    let path = format!("/transfers/{}", payments[0].0);
    let (status, told) = client.as_user("admin", "GET", &format!("{path}/state?type=sha256")).await;
    assert_eq!((status, &told["type"], &told["signer"]), (200, &json!("sha256"), &json!(URL)));
    assert_eq!(
        (&told["message"]["id"], &told["message"]["state"]),
        (&json!(format!("{URL}{path}")), &json!("executed"))
    );
    assert_eq!(client.as_user("admin", "GET", &format!("{path}/state")).await.0, 400);
    assert_eq!(client.as_user("admin", "GET", &format!("{path}/fulfillment")).await.0, 422);
    assert_eq!(client.as_user("admin", "GET", &format!("{path}/rejection")).await.0, 405);
    assert_eq!(client.as_user("admin", "GET", &path.to_uppercase().replace("/TRANSFERS", "/transfers")).await.0, 200);
    let (status, told) = client.as_user("admin", "GET", "/transfers/1").await;
    assert_eq!((status, &told["message"]), (400, &json!("id is not a valid Uuid")));
    let nobody_s = "/transfers/00000000-0000-4000-8000-000000000000";
    assert_eq!(client.as_user("admin", "GET", nobody_s).await, unknown);
}
