use super::super::config::LedgerSettings;
use super::super::render::{Form, write};
use super::*;
use crate::dialect::MountedSource;
use crate::event::{EventKind, Hash, LedgerRef};
use crate::source::Coin;
use crate::source::{evm, planetmint, stellar, xrpl};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BASE: &str = "http://ledger.example";

/// A ledger of one asset of a family, as the settings would make it.
fn ledger(family: Family, asset: &str, accounts: Value) -> Ledger {
    let settings: LedgerSettings =
        serde_json::from_value(json!({ "source": "s", "asset": asset, "accounts": accounts })).unwrap();
    let coin = |id: &str| Coin { id: id.to_owned(), code: id.to_owned(), decimals: Some(6) };
    // Whatever stands there is a coin, so that any asset of recordings will do.
    let coins = if asset == "any" { Vec::new() } else { vec![coin(asset)] };
    let source = MountedSource { number: 0, name: "s".to_owned(), family, coins };
    Ledger::new("k", BASE.to_owned(), &settings, &[source]).unwrap()
}

/// Every transfer of a batch, on a ledger for each of its assets.
fn each(family: Family, batch: &LedgerBatch, mut see: impl FnMut(&Transfer<'_>, &Event)) -> usize {
    let mut count = 0;
    for event in &batch.events {
        let Body::Payment(payment) = &event.body else { continue };
        let ledger = ledger(family, &payment.asset.id, json!({}));
        match Transfer::of(&ledger, batch, event) {
            Some(transfer) => see(&transfer, event),
            None => assert!(payment.amount.is_none(), "{payment:?}"),
        }
        count += 1;
    }
    count
}

fn resource(transfer: &Transfer<'_>) -> Value {
    serde_json::to_value(transfer.resource()).unwrap()
}

fn keys_within(value: &Value, known: &[&str]) {
    for key in value.as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "{key} in {value}");
    }
}

/// The schema of five-bells-ledger, which its clients check: nothing but these fields, and those that must be there.
fn check(resource: &Value) {
    keys_within(
        resource,
        &[
            "id",
            "ledger",
            "state",
            "rejection_reason",
            "execution_condition",
            "cancellation_condition",
            "expiry_duration",
            "expires_at",
            "timeline",
            "debits",
            "credits",
            "additional_info",
        ],
    );
    keys_within(&resource["timeline"], &["proposed_at", "prepared_at", "executed_at", "rejected_at"]);
    assert!(["proposed", "prepared", "executed", "rejected"].contains(&resource["state"].as_str().unwrap()));
    assert!(resource["additional_info"].is_object());
    let id = resource["id"].as_str().unwrap();
    assert!(id.starts_with(&format!("{BASE}/transfers/")) && Uuid::parse(&id[id.len() - 36..]).is_some(), "{id}");
    assert_eq!(resource["ledger"], BASE);
    let times = resource["timeline"].as_object().unwrap().values().chain(resource.get("expires_at"));
    for time in times.map(|time| time.as_str().unwrap()) {
        assert!(time.len() == 24 && time.ends_with("Z") && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
    let side = |name: &str| {
        let entries = resource[name].as_array().unwrap();
        assert!(!entries.is_empty());
        for entry in entries {
            keys_within(
                entry,
                &["account", "amount", "memo", "invoice", "authorized", "rejected", "rejection_message"],
            );
            let name =
                entry["account"].as_str().unwrap().strip_prefix(BASE).unwrap().strip_prefix("/accounts/").unwrap();
            assert!(super::super::ledger::is_identifier(name), "{name}");
            let amount = entry["amount"].as_str().unwrap();
            let plain = Amount::parse(amount).unwrap();
            assert_eq!(plain.to_string(), amount, "the shortest form");
            assert!(entry.get("memo").is_none_or(|memo| !memo.as_object().unwrap().is_empty()));
        }
        entries.iter().map(|entry| entry["amount"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(side("debits"), side("credits"));
}

fn batches() -> Vec<(Family, Vec<LedgerBatch>)> {
    let xrpl = xrpl::recordings::LEDGERS.iter().filter_map(|file| xrpl::recordings::batch(file)).collect();
    let planetmint = planetmint::recordings::batches().unwrap_or_default();
    use stellar::recordings::{PUBNET, TESTNET};
    let stellar =
        stellar::recordings::ledgers("getLedgers.testnet-36233.json", TESTNET).map_or_else(Vec::new, |it| it.1);
    let pages = [("getTransactions.mainnet-30820015.json", PUBNET), ("getTransactions.testnet-337272.json", TESTNET)];
    let pages = pages.into_iter().filter_map(|(file, of)| Some(stellar::recordings::transactions(file, of)?.1));
    let stellar = stellar.into_iter().chain(pages).collect();
    vec![(Family::Xrpl, xrpl), (Family::Planetmint, planetmint), (Family::Stellar, stellar), (Family::Evm, evm())]
}

fn evm() -> Vec<LedgerBatch> {
    let (Some(settings), Some(chain)) = (evm::recordings::watching(&[]), evm::recordings::recorded("chain_main.json"))
    else {
        return Vec::new();
    };
    let mut settings = settings;
    settings["all_tokens"] = json!(true);
    let blocks = chain["blocks"].as_array().cloned().unwrap_or_default();
    evm::recordings::batches(settings, &blocks, &[])
}

#[test]
fn recorded_payments_of_every_family_fit_the_closed_schema() {
    for (family, batches) in batches() {
        let mut seen = BTreeMap::new();
        let mut count = 0;
        for batch in &batches {
            count += each(family, batch, |transfer, event| {
                for state in [
                    State::Executed,
                    State::Prepared { expires_at: None },
                    State::Prepared { expires_at: Some(1_700_000_000) },
                    State::Rejected(Reason::Cancelled),
                    State::Rejected(Reason::Expired),
                ] {
                    check(&resource(&Transfer { state, ..transfer.clone() }));
                }
                let told = resource(transfer);
                let Body::Payment(payment) = &event.body else { panic!("{event:?}") };
                assert_eq!(told["additional_info"]["index"], event.place.sub);
                assert_eq!(
                    told["credits"][0]["amount"].as_str(),
                    payment.amount.as_ref().map(Amount::to_string).as_deref()
                );
                // Two payments of one transaction are two transfers.
                let id = told["id"].to_string();
                assert_eq!(seen.insert(id, event.id.clone()), None);
            });
        }
        println!("{family}: {count} transfers in {} ledgers", batches.len());
        assert!(batches.is_empty() || count > 0, "{family}");
    }
}

/// A payment in a ledger of its own.
fn paid(network: &str, hash: &str, index: u64, change: impl FnOnce(&mut Payment)) -> LedgerBatch {
    let mut payment = Payment {
        from: "A".into(),
        to: "B".into(),
        from_muxed_id: None,
        to_muxed_id: None,
        asset: Arc::new(crate::event::Asset {
            id: "X".into(),
            code: "X".into(),
            issuer: None,
            kind: "native",
            decimals: None,
        }),
        amount: Some(Amount::parse("10").unwrap()),
        memo: None,
        operation: None,
    };
    change(&mut payment);
    let event = Event {
        id: "1".into(),
        kind: EventKind::Payment,
        place: crate::event::Place::new(1, EventKind::Payment, index),
        transaction_hash: Some(Hash::from_hex(hash.trim_start_matches("0x")).unwrap()),
        subjects: Vec::new(),
        assets: Vec::new(),
        body: Body::Payment(Box::new(payment)),
        native: None,
    };
    LedgerBatch {
        source: 0,
        network: network.into(),
        epoch: 0,
        ledger: LedgerRef { index: 7, hash: None, parent: None, closed_at: 1_700_000_000 },
        continuity: None,
        events: vec![event],
        native: None,
    }
}

#[test]
fn ids_are_those_of_the_contract() {
    for (network, hash, index, transfer_id, notification_id) in [
        (
            "xrpl",
            "E3FE6EA3D48F0C2B639448020EA4F03D4F4F8FFDB243A852A0F59177921B4879",
            0,
            "bc6d3364-8eee-56e0-a27f-4830138c7d11",
            "0d6d3519-355a-5932-bdcc-d9da632fafa5",
        ),
        (
            "planetmint",
            "0fdeb547670bbea980389df53cf5a91e60159339084c6b0b5cc0b5494a679530",
            1,
            "7f6434dd-ba9a-5a18-bd4b-c7e1a4d14385",
            "36147b8f-e38b-54f3-9aad-1afa367d0d7c",
        ),
        (
            "evm-137",
            "0xDF829bf142f2fed8c7a1eec6aeb1b0b0d54ee6e1a1d9d3ee2a0b4e5c7b7d0a11",
            3,
            "50d20fc7-d561-52f5-926e-c43241f4d708",
            "9857cf9a-03f3-5936-8c94-b537ae83e048",
        ),
    ] {
        let batch = paid(network, hash, index, |_| ());
        let ledger = ledger(Family::of_network(network), "X", json!({}));
        let transfer = Transfer::of(&ledger, &batch, &batch.events[0]).unwrap();
        assert_eq!(transfer.id.to_string(), transfer_id);
        assert_eq!(transfer.notification().to_string(), notification_id);
        let mut list = Vec::new();
        write(&transfer, Form::List, &mut list);
        let list: Value = serde_json::from_slice(&list).unwrap();
        assert_eq!(list["params"][0]["id"], format!("{BASE}/notifications/{notification_id}"));
        let told = resource(&transfer);
        let written = match network {
            "xrpl" => hash.to_uppercase(),
            _ => hash.to_lowercase(),
        };
        assert_eq!(told["additional_info"]["tx_hash"], written);
    }
}

const HASH: &str = "0fdeb547670bbea980389df53cf5a91e60159339084c6b0b5cc0b5494a679530";

#[test]
fn amounts_are_exact() {
    for (amount, told) in [
        (Amount::parse("1.000000000000000001").unwrap(), "1.000000000000000001"),
        (Amount::from_digits(false, "1", 30).unwrap(), "1000000000000000000000000000000"),
        (Amount::from_units(1, 6), "0.000001"),
        (Amount::from_units(1_500_000, 6), "1.5"),
        (Amount::from_units(5, 0), "5"),
        (Amount::ZERO, "0"),
    ] {
        let batch = paid("xrpl", HASH, 0, |payment| payment.amount = Some(amount.clone()));
        let ledger = ledger(Family::Xrpl, "X", json!({}));
        let told_here = resource(&Transfer::of(&ledger, &batch, &batch.events[0]).unwrap());
        check(&told_here);
        assert_eq!(
            (&told_here["debits"][0]["amount"], &told_here["credits"][0]["amount"]),
            (&json!(told), &json!(told))
        );
    }
    // How much is not known, or cannot be.
    for amount in [None, Some(Amount::from_units(-1, 0))] {
        let batch = paid("xrpl", HASH, 0, |payment| payment.amount = amount);
        assert!(Transfer::of(&ledger(Family::Xrpl, "X", json!({})), &batch, &batch.events[0]).is_none());
    }
}

#[test]
fn each_state_has_its_fields_and_its_event() {
    let batch = paid("xrpl", HASH, 0, |_| ());
    let ledger = ledger(Family::Xrpl, "X", json!({}));
    let transfer = Transfer::of(&ledger, &batch, &batch.events[0]).unwrap();
    let of = |state| {
        let transfer = Transfer { state, ..transfer.clone() };
        let mut object = Vec::new();
        write(&transfer, Form::Object, &mut object);
        let mut params = serde_json::from_slice::<Value>(&object).unwrap()["params"].take();
        let resource = params["resource"].take();
        (params["event"].as_str().unwrap().to_owned(), resource)
    };
    let time = "2023-11-14T22:13:20.000Z";
    let (event, executed) = of(State::Executed);
    assert_eq!((event.as_str(), &executed["state"]), ("transfer.update", &json!("executed")));
    assert_eq!(executed["timeline"], json!({ "executed_at": time }));
    let (event, prepared) = of(State::Prepared { expires_at: Some(1_700_000_060) });
    assert_eq!((event.as_str(), &prepared["state"]), ("transfer.create", &json!("prepared")));
    assert_eq!(prepared["timeline"], json!({ "prepared_at": time }));
    assert_eq!(prepared["expires_at"], "2023-11-14T22:14:20.000Z");
    for (reason, word) in [(Reason::Cancelled, "cancelled"), (Reason::Expired, "expired")] {
        let (event, rejected) = of(State::Rejected(reason));
        assert_eq!((event.as_str(), &rejected["state"]), ("transfer.update", &json!("rejected")));
        assert_eq!(rejected["rejection_reason"], word);
        assert_eq!(rejected["timeline"], json!({ "rejected_at": time }));
        assert!(rejected.get("expires_at").is_none());
    }
    // Its id stays the same, its notifications have each their own.
    let ids = [State::Executed, State::Prepared { expires_at: None }, State::Rejected(Reason::Expired)]
        .map(|state| Transfer { state, ..transfer.clone() }.notification());
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
}

#[test]
fn whoever_pays_and_is_paid() {
    let account = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7";
    let inside = muxed(account, "42").unwrap();
    assert!(inside.starts_with('M') && muxed(account, "x").is_none() && muxed("C", "1").is_none());
    let batch = paid("stellar-pubnet", HASH, 0, |payment| {
        payment.to = account.into();
        payment.to_muxed_id = Some("42".into());
        payment.memo = Some("for you".into());
    });
    let told = |accounts: Value| {
        let ledger = ledger(Family::Stellar, "X", accounts);
        resource(&Transfer::of(&ledger, &batch, &batch.events[0]).unwrap())["credits"][0].clone()
    };
    let memo = json!({ "text": "for you", "muxed_id": "42", "muxed_account": inside });
    assert_eq!(
        told(json!({})),
        json!({ "account": format!("{BASE}/accounts/{account}"), "amount": "10", "memo": memo })
    );
    assert_eq!(told(json!({ "shop": account }))["account"], format!("{BASE}/accounts/shop"));
    // Who named it wants it told apart.
    let both = json!({ "shop": account, "till": inside });
    assert_eq!(told(both)["account"], format!("{BASE}/accounts/till"));

    // Of the payer, too.
    let batch = paid("stellar-pubnet", HASH, 0, |payment| {
        payment.from = account.into();
        payment.from_muxed_id = Some("42".into());
    });
    let ledger_of = |accounts| ledger(Family::Stellar, "X", accounts);
    for (accounts, name) in [(json!({}), account), (json!({ "shop": account, "till": inside }), "till")] {
        let ledger = ledger_of(accounts);
        let told = resource(&Transfer::of(&ledger, &batch, &batch.events[0]).unwrap());
        assert_eq!(told["debits"][0]["account"], format!("{BASE}/accounts/{name}"));
        assert_eq!(told["debits"][0]["memo"], json!({ "muxed_id": "42", "muxed_account": inside }));
    }

    let tagged = paid("xrpl", HASH, 0, |payment| payment.to_muxed_id = Some("7".into()));
    let xrpl = ledger(Family::Xrpl, "X", json!({}));
    let transfer = Transfer::of(&xrpl, &tagged, &tagged.events[0]).unwrap();
    assert_eq!(resource(&transfer)["credits"][0]["memo"], json!({ "destination_tag": "7" }));
}

#[test]
fn outputs_of_several_owners_and_times_of_receiving() {
    let [one, two] = ["8bWMtsF8JzGjzhCEV6shdYLKnejJ3DxsEtUGJSRjNsab", "C4ADgcQ23EeP98wZhWBcBuPPdj6thXxcAY3dDVEi2PPc"];
    let output = json!({ "public_keys": [two, one], "amount": "5", "condition": {} });
    let text = |operation: &str, assets: Value| {
        let input = json!({ "owners_before": [one], "fulfills": null, "fulfillment": "x" });
        json!({ "id": HASH, "operation": operation, "inputs": [input], "outputs": [output], "assets": assets,
                "metadata": null, "version": "3.0" })
    };
    let mut batch = planetmint::recordings::batch_of(7, "", [text("CREATE", json!([{ "data": "x" }])).to_string()]);
    let ledger = ledger(Family::Planetmint, "any", json!({ "bob": two }));
    let told = |batch: &LedgerBatch| {
        let event = batch.events.iter().find(|event| event.kind == EventKind::Payment).unwrap();
        let told = resource(&Transfer::of(&ledger, batch, event).unwrap());
        check(&told);
        assert!([one, two].iter().all(|key| event.subjects.contains(&format!("account:{key}").as_str().into())));
        told
    };
    let created = told(&batch);
    assert_eq!(created["debits"][0]["account"], format!("{BASE}/accounts/issuance"));
    assert_eq!(created["credits"][0]["account"], format!("{BASE}/accounts/bob"));
    assert_eq!(created["credits"][0]["memo"], json!({ "public_keys": [two, one] }));
    assert!(created["additional_info"].get("time_source").is_none());
    batch.native = Some(crate::event::Native::new(native::Block { app_hash: "".into(), time_received: true }, 0));
    assert_eq!(told(&batch)["additional_info"]["time_source"], "received");
    assert_eq!(told(&batch)["additional_info"]["asset"], HASH);
}
