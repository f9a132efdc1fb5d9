use super::*;
use crate::source::Coin;
use serde_json::json;

const ISSUER: &str = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";
const BITSTAMP: &str = "rvYAfWj5gh67oV6fW32ZzP3Aw4Eubs59B";
const TOKEN: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";

fn source(family: Family) -> MountedSource {
    let coin = |id: &str, code: &str, decimals| Coin { id: id.to_owned(), code: code.to_owned(), decimals };
    let coins = match family {
        Family::Stellar => vec![coin("native", "XLM", Some(7))],
        Family::Xrpl => vec![coin("XRP", "XRP", Some(6))],
        Family::Evm => vec![coin("native", "POL", Some(18)), coin(TOKEN, "USDC", Some(6)), coin("0x1", "ODD", None)],
        Family::Planetmint => Vec::new(),
    };
    MountedSource { number: 0, name: "s".to_owned(), family, coins }
}

fn ledger(family: Family, settings: serde_json::Value) -> Ledger {
    let settings: LedgerSettings = serde_json::from_value(settings).unwrap();
    Ledger::new("k", "http://l.example".to_owned(), &settings, &[source(family)]).unwrap()
}

#[test]
fn assets_are_found_by_every_name_that_means_one() {
    let id = |family, text: &str| asset_id(text, &source(family)).ok();
    let some = |text: &str| Some(Some(text.to_owned()));
    let upper = TOKEN.to_uppercase().replace("0X", "0x");
    let hex = "0000000000000000000000005553440000000000";
    for (family, text, expected) in [
        (Family::Stellar, "native", some("native")),
        (Family::Stellar, "XLM", some("native")),
        (Family::Stellar, &format!("USDC:{ISSUER}"), some(&format!("USDC:{ISSUER}"))),
        (Family::Stellar, "USDC", None),
        (Family::Stellar, "USDC:GA5Z", None),
        (Family::Stellar, &format!("TOOLONGTOBEIT:{ISSUER}"), None),
        (Family::Stellar, "any", None),
        (Family::Xrpl, "native", some("XRP")),
        (Family::Xrpl, "XRP", some("XRP")),
        (Family::Xrpl, &format!("USD:{BITSTAMP}"), some(&format!("USD:{BITSTAMP}"))),
        (Family::Xrpl, &format!("{hex}:{BITSTAMP}"), some(&format!("USD:{BITSTAMP}"))),
        (Family::Xrpl, &format!("XRP:{BITSTAMP}"), None),
        (Family::Xrpl, "USD", None),
        (Family::Xrpl, &"a".repeat(48), some(&"A".repeat(48))),
        (Family::Evm, "native", some("native")),
        (Family::Evm, "POL", some("native")),
        (Family::Evm, "USDC", some(TOKEN)),
        (Family::Evm, &upper, some(TOKEN)),
        (Family::Evm, "DAI", None),
        (Family::Evm, &TOKEN.replace('5', "6"), None),
        (Family::Planetmint, "any", Some(None)),
        (Family::Planetmint, "ab12", some("ab12")),
        (Family::Planetmint, "native", None),
        (Family::Planetmint, "", None),
    ] {
        assert_eq!(id(family, text), expected, "{family} {text}");
    }
}

#[test]
fn what_clients_count_with() {
    let told = |family, text: &str| {
        let source = source(family);
        let id = asset_id(text, &source).unwrap();
        (default_scale(id.as_deref(), &source), default_code(id.as_deref(), &source))
    };
    let of = |scale, code: &str| (scale, code.to_owned());
    assert_eq!(told(Family::Xrpl, "native"), of(Some(6), "XRP"));
    assert_eq!(told(Family::Xrpl, &format!("USD:{BITSTAMP}")), of(Some(15), "USD"));
    assert_eq!(told(Family::Stellar, "native"), of(Some(7), "XLM"));
    assert_eq!(told(Family::Stellar, &format!("USDC:{ISSUER}")), of(Some(7), "USDC"));
    assert_eq!(told(Family::Evm, "native"), of(Some(18), "POL"));
    assert_eq!(told(Family::Evm, "USDC"), of(Some(6), "USDC"));
    assert_eq!(told(Family::Evm, "ODD"), of(None, "ODD"));
    assert_eq!(told(Family::Planetmint, "any"), of(Some(1), "any"));
}

#[test]
fn an_account_has_one_name() {
    let evm = ledger(
        Family::Evm,
        json!({ "source": "s", "accounts": { "board": TOKEN.to_uppercase().replace("0X", "0x") } }),
    );
    for name in ["board", "BOARD", TOKEN, &TOKEN.to_uppercase()] {
        assert_eq!(&*evm.account_key(name), format!("account:{TOKEN}"), "{name}");
        assert_eq!(evm.canonical_name(name), "board");
    }
    let other = format!("0x{}", "Ab".repeat(20));
    assert_eq!(evm.canonical_name(&other), other.to_lowercase());
    assert_eq!(evm.uri_of_payer(TOKEN), "http://l.example/accounts/board");
    assert_eq!(evm.uri_of_payer(ZERO_ADDRESS), "http://l.example/accounts/issuance");
    assert_eq!(evm.uri_of_payee(ZERO_ADDRESS), "http://l.example/accounts/burn");

    // Who is nobody, and cannot be waited for.
    let digest = format!("key-{}", "0a".repeat(20));
    for nobody in [ISSUANCE, BURN, ZERO_ADDRESS, &ZERO_ADDRESS.to_uppercase(), &digest] {
        assert!(evm.is_nobody(nobody) && !evm.knows(nobody), "{nobody}");
    }
    assert!(!evm.is_nobody("key-1") && !evm.is_nobody("board") && !evm.is_nobody(&other));
    let named = ledger(Family::Evm, json!({ "source": "s", "accounts": { "mint": ZERO_ADDRESS } }));
    assert!(!named.is_nobody("mint") && !named.is_nobody(ZERO_ADDRESS), "named, it is told so on either side");
    assert_eq!(named.uri_of_payer(ZERO_ADDRESS), named.uri_of_payee(ZERO_ADDRESS));

    let xrpl = ledger(Family::Xrpl, json!({ "source": "s", "accounts": { "b": BITSTAMP } }));
    assert_eq!(&*xrpl.account_key("B"), format!("account:{BITSTAMP}"));
    assert_eq!(xrpl.canonical_name(&BITSTAMP.to_lowercase()), BITSTAMP.to_lowercase(), "another address");
    assert!(xrpl.knows("B") && xrpl.knows(BITSTAMP) && !xrpl.knows("nobody") && !xrpl.knows(TOKEN));
    assert_eq!(xrpl.named().collect::<Vec<_>>(), ["b"]);
}

/// On Planetmint a public key is whatever the chain takes for one.
#[test]
fn nobody_takes_a_name() {
    let ledger = ledger(Family::Planetmint, json!({ "source": "s", "asset": "any", "accounts": { "alice": "A1" } }));
    let payee = |key: &str| ledger.uri_of_payee(key).strip_prefix("http://l.example/accounts/").unwrap().to_owned();
    assert_eq!(payee("A1"), "alice");
    assert_eq!(payee("B2"), "B2");
    assert_eq!(ledger.uri_of_payer(ISSUANCE), "http://l.example/accounts/issuance");
    for forged in ["alice", "ALICE", "issuance", "a/b", "é", &"x".repeat(87), "x?y"] {
        let told = payee(forged);
        assert!(told.starts_with("key-") && is_identifier(&told), "{forged}: {told}");
    }
    assert_eq!(payee(""), "burn");
}

#[test]
fn uris_of_accounts() {
    let ledger = ledger(Family::Xrpl, json!({ "source": "s" }));
    let name = |uri: &'static str| ledger.name_in(uri);
    assert_eq!(name("http://l.example/accounts/x_Y-9"), Ok("x_Y-9"));
    for uri in ["", "x", "http://l.example/accounts/", "http://l.example/accounts/a/b", "https://l.example/accounts/a"]
    {
        assert_eq!(name(uri), Err(NotAnAccount::Uri), "{uri}");
    }
    for uri in ["http://l.example/accounts/a b", "http://l.example/accounts/%41", "http://l.example/accounts/a#"] {
        assert_eq!(name(uri), Err(NotAnAccount::Name), "{uri}");
    }
}
