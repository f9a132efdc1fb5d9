use super::*;
use crate::config::decode::path_text;
use crate::event::Family;
use crate::source::Coin;
use serde_json::{Value, json};

const ALICE: &str = "rPT1Sjq2YGrBMTttX4GZHjKu9dyfzbpAYe";

fn sources() -> Vec<MountedSource> {
    let coin = |id: &str, code: &str, decimals| Coin { id: id.to_owned(), code: code.to_owned(), decimals };
    let source = |number, name: &str, family, coins| MountedSource { number, name: name.to_owned(), family, coins };
    vec![
        source(0, "xrpl-main", Family::Xrpl, vec![coin("XRP", "XRP", Some(6))]),
        source(1, "chain", Family::Evm, vec![coin("native", "ETH", Some(18)), coin("0x1", "ODD", None)]),
    ]
}

fn told(config: Value) -> Vec<String> {
    let config: Config = serde_json::from_value(config).unwrap();
    let found = config.problems(&sources());
    found.into_iter().map(|(path, message)| format!("{} {message}", path_text(path.iter()))).collect()
}

/// A good one, of which `change` changes something.
fn with(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut config = json!({
        "ledgers": {
            "xrp": { "source": "xrpl-main", "accounts": { "alice": ALICE } },
            "eth": { "source": "chain", "asset": "ETH", "scale": 9, "ilp_prefix": "g.eth." },
        },
        "default": "xrp",
    });
    change(&mut config);
    told(config)
}

#[test]
fn settings_have_defaults_and_no_unknown_keys() {
    let read = |value| serde_json::from_value::<Config>(value);
    assert_eq!(read(json!({})).unwrap(), Config::default());
    assert_eq!(Config::default().token_max_age, AccessConfig::default().token_max_age);
    for bad in [json!({ "ledger": {} }), json!({ "ledgers": { "a": { "sauce": "x" } } }), json!({ "ledgers": [] })] {
        assert!(read(bad.clone()).is_err(), "{bad}");
    }
    assert_eq!(with(|_| ()), Vec::<String>::new());
    // In the order of the file.
    let config = read(json!({ "ledgers": { "z": {}, "a": {} } })).unwrap();
    assert_eq!(config.default_key(), None);
    let config = read(json!({ "ledgers": { "z": {} } })).unwrap();
    assert_eq!(config.default_key(), Some("z"));
}

#[test]
fn each_problem_is_told_where_it_stands() {
    let zero = format!("0x{}", "0a".repeat(20));
    for (change, expected) in [
        (json!({ "/ledgers": {}, "/default": null }), "ledgers is empty"),
        (json!({ "/default": "xpr" }), "default is `xpr`, and no ledger is called so; did you mean `xrp`?"),
        (json!({ "/default": null }), "default is missing"),
        (
            json!({ "/ledgers/xrp/source": "xrpl-mian" }),
            "ledgers.xrp.source is `xrpl-mian`, which is no source of the mount; did you mean `xrpl-main`?",
        ),
        (json!({ "/ledgers/xrp/source": "" }), "ledgers.xrp.source is missing"),
        (
            json!({ "/ledgers/eth/source": "xrpl-main", "/ledgers/eth/asset": "XRP" }),
            "ledgers has none of the source `chain`",
        ),
        (json!({ "/ledgers/xrp/asset": "USD" }), "ledgers.xrp.asset is `USD`, which names no one asset"),
        (
            json!({ "/ledgers/eth/asset": "any" }),
            "ledgers.eth.asset is `any`, but different assets are no one currency",
        ),
        (json!({ "/ledgers/eth/asset": "ODD", "/ledgers/eth/scale": null }), "ledgers.eth.scale is missing"),
        (json!({ "/ledgers/eth/scale": 0 }), "ledgers.eth.scale is 0, at which clients give up"),
        (json!({ "/ledgers/eth/scale": 256 }), "ledgers.eth.scale is 256"),
        (json!({ "/ledgers/eth/precision": 0 }), "ledgers.eth.precision is 0"),
        (json!({ "/ledgers/eth/ilp_prefix": "g.eth" }), "ledgers.eth.ilp_prefix is `g.eth`; write `g.eth.`"),
        (json!({ "/ledgers/eth/ilp_prefix": "g eth." }), "ledgers.eth.ilp_prefix is `g eth.`"),
        (
            json!({ "/ledgers/xrp/accounts": { "bob": ALICE, "alice": ALICE } }),
            "ledgers.xrp.accounts.bob is the account of `alice` already",
        ),
        (json!({ "/ledgers/xrp/accounts": { "Alice": ALICE } }), "ledgers.xrp.accounts.Alice is no name"),
        (
            json!({ "/ledgers/xrp/accounts": { "issuance": ALICE } }),
            "ledgers.xrp.accounts.issuance takes the name `issuance`",
        ),
        (json!({ "/ledgers/eth/accounts": { &zero: zero } }), "takes the name"),
        (
            json!({ "/ledgers/xrp/accounts": { "alice": ALICE.to_lowercase() } }),
            "which is no address on the XRP Ledger",
        ),
    ] {
        let found = with(|config| {
            for (at, value) in change.as_object().unwrap() {
                let (section, key) = at.rsplit_once('/').unwrap();
                config.pointer_mut(section).unwrap()[key] = value.clone();
            }
        });
        // A ledger that is of no source leaves that source without one.
        let follows = |it: &String| it.starts_with("ledgers has none of the source") && !expected.contains("has none");
        let own: Vec<&String> = found.iter().filter(|it| !follows(it)).collect();
        assert!(own.len() == 1 && own[0].contains(expected), "{change}: {found:#?}");
    }
    let bad_key =
        told(json!({ "ledgers": { "a/b": { "source": "xrpl-main" }, "b": { "source": "chain" } }, "default": "b" }));
    assert!(bad_key.len() == 1 && bad_key[0].contains("is no key for a ledger"), "{bad_key:?}");
}

#[test]
fn users_and_tokens_are_looked_at_where_they_stand() {
    let file = |users: &str, more: &str| {
        let text = format!(
            "sources:\n  main: {{ type: xrpl_rpc, config: {{ rpc_url: 'http://127.0.0.1:5005' }} }}\nlisteners:\n- mounts:\n  \
             - dialect: five_bells\n    sources: [main]\n{more}    config:\n      ledgers:\n        xrp: {{ source: main }}\n      \
             users:\n      - {users}\n"
        );
        let read = crate::config::load::parse("x.yaml", &text);
        read.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let user = "{ name: al, password_file: /x, accounts: ['xrp:a'] }";
    assert_eq!(file(user, ""), "");
    let unknown = file(&user.replace("xrp:", "xpr:"), "");
    assert!(
        unknown.starts_with("x.yaml:11:") && unknown.contains("config.users[0].accounts[0] is of the ledger `xpr`"),
        "{unknown}"
    );
    let tokens = file(user, "    tokens_file: /tokens\n");
    assert!(tokens.contains("x.yaml:7:18: listeners[0].mounts[0].tokens_file asks"), "{tokens}");
}
