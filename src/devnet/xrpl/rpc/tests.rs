//! Every method as a client sees it; the transport is tested with `devnet::start`.

use serde_json::{Value, json};

use super::super::history::Network;
use super::super::ledger::{Contents, FIRST};
use super::super::tests::network;
use super::answer;
use crate::source::xrpl::currency::address;

fn call(network: &Network, method: &str, params: Value) -> Value {
    let body = json!({"method": method, "params": [params]}).to_string();
    let response: Value = serde_json::from_str(&answer(network, body.as_bytes()).unwrap()).unwrap();
    response["result"].clone()
}

/// The result of a call that succeeds.
pub(in crate::devnet::xrpl) fn result(network: &Network, method: &str, params: Value) -> Value {
    let result = call(network, method, params);
    assert_eq!(result["status"], "success", "{method}: {result}");
    result
}

fn error(network: &Network, method: &str, params: Value) -> (String, Value, String) {
    let result = call(network, method, params.clone());
    assert_eq!(result["status"], "error", "{method} {params}: {result}");
    assert_eq!(result["request"]["command"], method);
    let text = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
    (text("error"), result["error_code"].clone(), text("error_message"))
}

fn small() -> Network {
    network(1, 40, 12)
}

const LATEST: u64 = FIRST as u64 + 11;

#[test]
fn requests_that_are_none_are_answered_as_text() {
    let network = small();
    for (body, expected) in [
        (r#"{"params":[{}]}"#, "Null method"),
        (r#"{"method":5}"#, "method is not string"),
        (r#"{"method":"ping","params":{}}"#, "params unparsable"),
        (r#"{"method":"ping","params":[1]}"#, "params unparsable"),
        (r#"{"method":"ping","params":[{"api_version":3}]}"#, "invalid_API_version"),
        (r#"{"method":"ping","params":[{"api_version":"2"}]}"#, "invalid_API_version"),
    ] {
        assert_eq!(answer(&network, body.as_bytes()), Err(expected.to_owned()), "{body}");
    }
    for body in ["", "<html>", "[]", "{"] {
        assert!(answer(&network, body.as_bytes()).unwrap_err().starts_with("Unable to parse request"), "{body}");
    }
    let answer = |body: &str| answer(&network, body.as_bytes()).unwrap();
    assert_eq!(answer(r#"{"method":"ping"}"#), r#"{"result":{"status":"success"}}"#);
    let echoed: Value = serde_json::from_str(&answer(r#"{"method":"ping","params":[],"id":{"a":1}}"#)).unwrap();
    assert_eq!(echoed["id"], json!({"a": 1}));
}

#[test]
fn the_server_tells_about_itself() {
    let network = small();
    let info = &result(&network, "server_info", json!({}))["info"];
    let state = &result(&network, "server_state", json!({}))["state"];
    assert_eq!(info["complete_ledgers"], format!("{FIRST}-{LATEST}"));
    assert_eq!(info["server_state"], "full");
    assert_eq!(info["network_id"], state["network_id"]);
    assert_eq!(info["validated_ledger"]["seq"], LATEST);
    let raw = answer(&network, br#"{"method":"server_info"}"#).unwrap();
    assert!(raw.contains(r#""base_fee_xrp":1e-05,"#), "{raw}");
    assert!(info["validated_ledger"]["age"].is_u64() && info["build_version"].is_string());
    assert_eq!(state["validated_ledger"]["hash"], info["validated_ledger"]["hash"]);
    assert_eq!(state["validated_ledger"]["base_fee"], 10);
    assert_eq!(state["validated_ledger"]["reserve_base"], 1_000_000);
    assert_eq!(state["validated_ledger"]["reserve_inc"], 200_000);
    let closed = result(&network, "ledger_closed", json!({}));
    assert_eq!(closed["ledger_hash"], info["validated_ledger"]["hash"]);
    assert_eq!(closed["ledger_index"], LATEST);
    assert_eq!(result(&network, "ledger_current", json!({}))["ledger_current_index"], LATEST + 1);
    assert_eq!(result(&network, "fee", json!({}))["drops"]["base_fee"], "10");
    assert_eq!(result(&network, "random", json!({}))["random"].as_str().unwrap().len(), 64);
    let results = &result(&network, "server_definitions", json!({}))["TRANSACTION_RESULTS"];
    assert_eq!((&results["tesSUCCESS"], &results["tecPATH_DRY"]), (&json!(0), &json!(128)));
    // Every result that ever occurs is in the table.
    for ledger in network.view().newest_first() {
        for transaction in &ledger.transactions {
            let meta: Value = serde_json::from_str(&format!("{{{}}}", transaction.meta)).unwrap();
            assert!(results[meta["TransactionResult"].as_str().unwrap()].is_i64(), "{meta}");
        }
    }
    let one = Network::new(1, 2, Contents::Mixed { events: 5 }, 1);
    one.close_next(1_800_000_000);
    assert_eq!(result(&one, "server_info", json!({}))["info"]["complete_ledgers"], FIRST.to_string());
}

#[test]
fn unknown_and_unoffered_methods_say_so() {
    let network = small();
    let unknown = ("unknownCmd".to_owned(), json!(32), "Unknown method.".to_owned());
    assert_eq!(error(&network, "no_such_thing", json!({})), unknown);
    assert_eq!(error(&network, "feature", json!({})).0, "notImpl");
    assert_eq!(error(&network, "manifest", json!({})).1, 74);
    assert_eq!(error(&network, "subscribe", json!({"streams": ["ledger"]})).0, "notSupported");
    let masked = call(&network, "sign", json!({"secret": "s", "x": 1}));
    assert_eq!(masked["request"], json!({"command": "sign", "secret": "<masked>", "x": 1}));
}

#[test]
fn ledgers_are_found_by_every_name() {
    let network = small();
    let latest = result(&network, "ledger", json!({"ledger_index": "validated"}));
    let hash = latest["ledger_hash"].clone();
    for name in [
        json!({"ledger_index": LATEST}),
        json!({"ledger_index": LATEST.to_string()}),
        json!({"ledger_index": "closed"}),
        json!({"ledger_hash": hash}),
        json!({"ledger_hash": hash.as_str().unwrap().to_lowercase()}),
        json!({"ledger": hash}),
        json!({"ledger": LATEST}),
    ] {
        assert_eq!(result(&network, "ledger", name.clone()), latest, "{name}");
    }
    assert_eq!((&latest["validated"], &latest["ledger_index"]), (&json!(true), &json!(LATEST)));
    // The open ledger, also by its number.
    for name in [json!("current"), json!(LATEST + 1), json!((LATEST + 1).to_string())] {
        let open = result(&network, "ledger", json!({"ledger_index": name, "transactions": true}));
        assert_eq!(open["validated"], false);
        assert_eq!(open["ledger_current_index"], LATEST + 1);
        assert_eq!(open["ledger"]["closed"], false);
        assert_eq!(open["ledger"]["parent_hash"], hash);
        assert!(open.get("ledger_hash").is_none());
    }
    let both = result(&network, "ledger", json!({}));
    assert_eq!(both["closed"]["ledger"]["ledger_hash"], hash);
    assert_eq!(both["open"]["ledger"]["parent_hash"], hash);

    let missing = ("lgrNotFound".to_owned(), json!(21), "ledgerNotFound".to_owned());
    for name in
        [json!({"ledger_index": LATEST + 2}), json!({"ledger_index": 1}), json!({"ledger_hash": "A".repeat(64)})]
    {
        assert_eq!(error(&network, "ledger", name.clone()), missing, "{name}");
    }
    for (name, message) in [
        (json!({"ledger_index": "x"}), "ledgerIndexMalformed"),
        (json!({"ledger_index": -1}), "ledgerIndexMalformed"),
        (json!({"ledger_index": 1.5}), "ledgerIndexMalformed"),
        (json!({"ledger_index": []}), "ledgerIndexMalformed"),
        (json!({"ledger_hash": "x"}), "ledgerHashMalformed"),
        (json!({"ledger_hash": 7}), "ledgerHashNotString"),
    ] {
        assert_eq!(
            error(&network, "ledger", name.clone()),
            ("invalidParams".into(), json!(31), message.into()),
            "{name}"
        );
    }
    assert_eq!(error(&network, "ledger", json!({"ledger_index": LATEST, "full": true})).0, "noPermission");
    assert_eq!(error(&network, "ledger", json!({"ledger_index": LATEST, "binary": true})).0, "notSupported");
}

#[test]
fn both_versions_show_the_same_ledger_in_their_own_shapes() {
    let network = network(1, 60, 40);
    let (mut payments, mut funds, mut deleted) = (0, 0, 0);
    for index in u64::from(FIRST)..u64::from(FIRST) + 40 {
        let ask = |version: u32, more: Value| {
            let mut params =
                json!({"ledger_index": index, "transactions": true, "expand": true, "api_version": version});
            for (name, value) in more.as_object().unwrap() {
                params[name] = value.clone();
            }
            result(&network, "ledger", params)
        };
        let (one, two) = (ask(1, json!({"owner_funds": true})), ask(2, json!({"owner_funds": true})));
        assert_eq!(one["ledger_hash"], two["ledger_hash"]);
        assert_eq!(
            (&one["ledger"]["ledger_index"], &two["ledger"]["ledger_index"]),
            (&json!(index.to_string()), &json!(index))
        );
        let hashes = ask(1, json!({"expand": false}))["ledger"]["transactions"].clone();
        let list = |ledger: &Value| ledger["ledger"]["transactions"].as_array().unwrap().clone();
        assert_eq!(hashes, list(&two).iter().map(|one| one["hash"].clone()).collect::<Value>());
        for (one, two) in list(&one).into_iter().zip(list(&two)) {
            assert_eq!(one["metaData"], two["meta"]);
            assert_eq!(one["hash"], two["hash"]);
            assert_eq!(two["ledger_index"], index);
            assert_eq!(two["ledger_hash"], one["ledger_hash"].as_str().map_or(two["ledger_hash"].clone(), Value::from));
            assert_eq!((&two["validated"], &two["close_time_iso"]), (&json!(true), &two["close_time_iso"]));
            let mut fields = one.as_object().unwrap().clone();
            for name in ["metaData", "hash", "owner_funds"] {
                fields.remove(name);
            }
            if one["TransactionType"] == "Payment" {
                payments += 1;
                let amount = fields.remove("Amount").unwrap();
                assert_eq!(amount, fields["DeliverMax"]);
                let succeeded = one["metaData"]["TransactionResult"] == "tesSUCCESS";
                assert_eq!(one["metaData"].get("delivered_amount").is_some(), succeeded);
            }
            if one["TransactionType"] == "AccountDelete" {
                deleted += 1;
                assert!(one["metaData"].get("delivered_amount").is_none());
                assert!(one["metaData"]["DeliveredAmount"].is_string());
                let alone = result(&network, "tx", json!({"transaction": one["hash"]}));
                assert_eq!(alone["meta"]["delivered_amount"], one["metaData"]["DeliveredAmount"]);
            }
            assert_eq!(Value::Object(fields), two["tx_json"]);
            assert_eq!(one["owner_funds"], two["owner_funds"]);
            assert_eq!(one["TransactionType"] == "OfferCreate", one["owner_funds"].is_string());
            funds += usize::from(one["owner_funds"].is_string());
        }
        let without = ask(1, json!({}));
        assert!(list(&without).iter().all(|one| one.get("owner_funds").is_none()));
    }
    assert!(payments > 100 && funds > 50 && deleted > 0, "{payments} {funds} {deleted}");
}

#[test]
fn transactions_are_found_alone() {
    let network = small();
    let ledger = result(&network, "ledger", json!({"ledger_index": LATEST, "transactions": true, "expand": true}));
    for one in ledger["ledger"]["transactions"].as_array().unwrap() {
        let found = result(&network, "tx", json!({"transaction": one["hash"]}));
        assert_eq!(
            (&found["hash"], &found["ledger_index"], &found["inLedger"]),
            (&one["hash"], &json!(LATEST), &json!(LATEST))
        );
        assert_eq!(found["date"], ledger["ledger"]["close_time"]);
        assert_eq!(found["Account"], one["Account"]);
        assert_eq!(found["validated"], true);
        let two = result(&network, "tx", json!({"transaction": one["hash"], "api_version": 2}));
        assert_eq!(two["tx_json"]["date"], found["date"]);
        assert_eq!(two["meta"], found["meta"]);
        assert_eq!(two["ledger_hash"], ledger["ledger_hash"]);
        assert!(two["tx_json"].get("Amount").is_none() || one["TransactionType"] != "Payment");
        let again = result(&network, "tx", json!({"ctid": found["ctid"], "api_version": 2}));
        assert_eq!(again, two);
        let entry = json!({"tx_hash": one["hash"], "ledger_index": LATEST});
        let entry = result(&network, "transaction_entry", entry);
        assert_eq!((&entry["tx_json"]["hash"], &entry["metadata"]), (&one["hash"], &found["meta"]));
    }
    assert_eq!(error(&network, "tx", json!({"transaction": "0".repeat(64)})).0, "txnNotFound");
    assert_eq!(error(&network, "tx", json!({"transaction": "x"})).0, "notImpl");
    assert_eq!(error(&network, "tx", json!({})).0, "invalidParams");
    let other = json!({"tx_hash": "0".repeat(64), "ledger_index": LATEST});
    assert_eq!(error(&network, "transaction_entry", other).0, "transactionNotFound");
}

#[test]
fn accounts_are_shown_as_they_were() {
    let network = network(1, 40, 40);
    let trader = address(&network.world.traders()[0]);
    // What the metadata says of the account after each ledger is what account_info says there.
    let mut balance = Value::Null;
    for index in u64::from(FIRST)..u64::from(FIRST) + 40 {
        let params = json!({"ledger_index": index, "transactions": true, "expand": true});
        let ledger = result(&network, "ledger", params);
        let mut list = ledger["ledger"]["transactions"].as_array().unwrap().clone();
        list.sort_by_key(|one| one["metaData"]["TransactionIndex"].as_u64());
        for node in list.iter().flat_map(|one| one["metaData"]["AffectedNodes"].as_array().unwrap()) {
            let fields = &node["ModifiedNode"]["FinalFields"];
            if node["ModifiedNode"]["LedgerEntryType"] == "AccountRoot" && fields["Account"] == trader {
                balance = fields.clone();
            }
        }
        let info = result(&network, "account_info", json!({"account": trader, "ledger_index": index}));
        for (name, value) in balance.as_object().into_iter().flatten() {
            assert_eq!(&info["account_data"][name], value, "{name} at {index}");
        }
    }
    assert!(balance.is_object());
    let one = result(&network, "account_info", json!({"account": trader, "signer_lists": true}));
    assert_eq!(one["account_data"]["signer_lists"], json!([]));
    assert_eq!((&one["validated"], one["ledger_current_index"].is_u64()), (&json!(false), true));
    let two = result(&network, "account_info", json!({"account": trader, "signer_lists": true, "api_version": 2}));
    assert_eq!(two["signer_lists"], json!([]));

    for method in ["account_info", "account_lines", "account_offers", "account_objects"] {
        assert_eq!(error(&network, method, json!({})).2, "Missing field 'account'.");
        assert_eq!(error(&network, method, json!({"account": 5})).0, "invalidParams");
        let malformed = ("actMalformed".to_owned(), json!(35), "Account malformed.".to_owned());
        assert_eq!(error(&network, method, json!({"account": "x"})), malformed);
        let nobody = address(&network.world.nobody());
        let missing = ("actNotFound".to_owned(), json!(19), "Account not found.".to_owned());
        assert_eq!(error(&network, method, json!({"account": nobody})), missing);
        assert_eq!(error(&network, method, json!({"account": trader, "ledger_index": 5})).0, "lgrNotFound");
    }
}

/// All items of a paged method.
fn pages(network: &Network, method: &str, list: &str, mut params: Value) -> Vec<Value> {
    let mut items = Vec::new();
    loop {
        let page = result(network, method, params.clone());
        items.extend(page[list].as_array().unwrap().iter().cloned());
        match page.get("marker") {
            Some(marker) => params["marker"] = marker.clone(),
            None => return items,
        }
    }
}

#[test]
fn what_accounts_own_is_listed_whatever_the_page_is() {
    let network = network(4, 60, 60);
    let issuer = address(&network.world.issuers[0]);
    let whole = pages(&network, "account_lines", "lines", json!({"account": issuer, "limit": 400}));
    assert!(whole.len() >= 38, "{}", whole.len());
    assert!(whole.iter().all(|line| line["balance"].as_str().unwrap().starts_with('-') || line["balance"] == "0"));
    assert_eq!(pages(&network, "account_lines", "lines", json!({"account": issuer, "limit": 10})), whole);
    let first = result(&network, "account_lines", json!({"account": issuer, "limit": 10}));
    assert_eq!((first["limit"].as_u64(), first["lines"].as_array().unwrap().len()), (Some(10), 10));

    let mut offers = 0;
    for trader in network.world.traders() {
        let trader = address(trader);
        let lines = result(&network, "account_lines", json!({"account": trader, "peer": issuer}));
        for line in lines["lines"].as_array().unwrap() {
            assert_eq!(line["account"], issuer);
            let mirror = whole.iter().find(|other| other["account"] == trader && other["currency"] == line["currency"]);
            assert_eq!(mirror.unwrap()["limit_peer"], line["limit"]);
        }
        let listed = pages(&network, "account_offers", "offers", json!({"account": trader}));
        let objects = json!({"account": trader, "type": "offer"});
        let objects = pages(&network, "account_objects", "account_objects", objects);
        assert_eq!(listed.len(), objects.len());
        for (offer, object) in listed.iter().zip(&objects) {
            assert_eq!((&offer["seq"], &offer["taker_gets"]), (&object["Sequence"], &object["TakerGets"]));
            let entry = result(&network, "ledger_entry", json!({"offer": {"account": trader, "seq": offer["seq"]}}));
            assert_eq!(&entry["node"], object);
        }
        offers += listed.len();
        let info = result(&network, "account_info", json!({"account": trader}));
        let all = pages(&network, "account_objects", "account_objects", json!({"account": trader}));
        let own = all.iter().filter(|one| one["LedgerEntryType"] != "Check" || one["Account"] == trader);
        assert_eq!(info["account_data"]["OwnerCount"], own.count());
    }
    assert!(offers > 20, "{offers}");
    assert_eq!(error(&network, "account_objects", json!({"account": issuer, "type": "x"})).0, "invalidParams");
    assert_eq!(error(&network, "account_lines", json!({"account": issuer, "marker": "x"})).0, "invalidParams");
    assert_eq!(error(&network, "ledger_entry", json!({"index": "0".repeat(64)})).0, "entryNotFound");
}

#[test]
fn account_tx_gives_every_transaction_that_affects_the_account() {
    let network = network(1, 40, 30);
    let trader = address(&network.world.traders()[0]);
    let mut expected = Vec::new();
    for index in u64::from(FIRST)..u64::from(FIRST) + 30 {
        let params = json!({"ledger_index": index, "transactions": true, "expand": true});
        let ledger = result(&network, "ledger", params);
        let mut list = ledger["ledger"]["transactions"].as_array().unwrap().clone();
        list.sort_by_key(|one| one["metaData"]["TransactionIndex"].as_u64());
        // An address in the final state of an entry, but not as the other side of a line's balance.
        expected.extend(
            list.iter().filter(|one| one["metaData"].to_string().contains(&trader)).map(|one| one["hash"].clone()),
        );
    }
    assert!(expected.len() > 20);
    for limit in [10, 17, 400] {
        for forward in [false, true] {
            let params = json!({"account": trader, "limit": limit, "forward": forward, "ledger_index_min": -1});
            let found = pages(&network, "account_tx", "transactions", params);
            let mut hashes: Vec<Value> = found.iter().map(|one| one["tx"]["hash"].clone()).collect();
            if !forward {
                hashes.reverse();
            }
            assert_eq!(hashes, expected, "{limit} {forward}");
        }
    }
    let two =
        result(&network, "account_tx", json!({"account": trader, "api_version": 2, "ledger_index_max": FIRST + 5}));
    assert_eq!(two["ledger_index_max"], FIRST + 5);
    let one = &two["transactions"][0];
    assert!(one["tx_json"]["date"].is_u64() && one["hash"].is_string() && one["close_time_iso"].is_string());
    let wrong = json!({"account": trader, "ledger_index_min": FIRST + 9, "ledger_index_max": FIRST + 2});
    assert_eq!(error(&network, "account_tx", wrong.clone()).0, "lgrIdxsInvalid");
}

#[test]
fn books_are_checked_side_by_side() {
    let network = small();
    let issuer = address(&network.world.issuers[0]);
    let usd = json!({"currency": "USD", "issuer": issuer});
    let hex = json!({"currency": "0000000000000000000000005553440000000000", "issuer": issuer});
    let xrp = json!({"currency": "XRP"});
    let ask = |pays: &Value, gets: &Value| json!({"taker_pays": pays, "taker_gets": gets, "ledger_index": LATEST});
    let book = result(&network, "book_offers", ask(&usd, &xrp));
    assert_eq!(book, result(&network, "book_offers", ask(&hex, &xrp)), "both spellings");
    let offers = book["offers"].as_array().unwrap();
    assert!(!offers.is_empty());
    for offer in offers {
        assert!(offer["TakerGets"].is_string() && offer["TakerPays"]["currency"] == "USD");
        assert!(offer["quality"].is_string() && offer["LedgerEntryType"] == "Offer");
    }
    assert!(offers[0]["owner_funds"].is_string());
    let mut one = ask(&usd, &xrp);
    one["limit"] = json!(1);
    assert_eq!(result(&network, "book_offers", one)["offers"].as_array().unwrap(), &offers[..1]);
    let other = json!({"currency": "ABC", "issuer": issuer});
    assert_eq!(result(&network, "book_offers", ask(&other, &xrp))["offers"], json!([]));

    let code = |pays: Value, gets: Value| error(&network, "book_offers", ask(&pays, &gets)).0;
    assert_eq!(code(usd.clone(), usd.clone()), "badMarket");
    assert_eq!(code(json!({"currency": "US"}), xrp.clone()), "srcCurMalformed");
    assert_eq!(code(xrp.clone(), json!({"currency": "US"})), "dstAmtMalformed");
    assert_eq!(code(json!({"currency": "USD"}), xrp.clone()), "srcIsrMalformed");
    assert_eq!(code(json!({"currency": "XRP", "issuer": issuer}), usd.clone()), "srcIsrMalformed");
    assert_eq!(code(xrp.clone(), json!({"currency": "USD", "issuer": "x"})), "dstIsrMalformed");
    assert_eq!(code(json!("XRP"), usd.clone()), "invalidParams");
    assert_eq!(code(json!({}), usd.clone()), "invalidParams");
    let mut far = ask(&usd, &xrp);
    far["ledger_index"] = json!(5);
    assert_eq!(error(&network, "book_offers", far).0, "lgrNotFound");
}

#[test]
fn book_changes_are_those_of_the_metadata() {
    let network = network(1, 60, 30);
    let mut pairs = 0;
    for index in u64::from(FIRST)..u64::from(FIRST) + 30 {
        let changes = result(&network, "book_changes", json!({"ledger_index": index}));
        assert_eq!((&changes["type"], &changes["ledger_index"]), (&json!("bookChanges"), &json!(index)));
        let params = json!({"ledger_index": index, "transactions": true, "expand": true});
        let ledger = result(&network, "ledger", params);
        assert_eq!(changes["ledger_time"], ledger["ledger"]["close_time"]);
        // Drops that moved against each token.
        let mut drops: std::collections::BTreeMap<String, i128> = Default::default();
        for one in ledger["ledger"]["transactions"].as_array().unwrap() {
            for node in one["metaData"]["AffectedNodes"].as_array().unwrap() {
                let node = node.get("ModifiedNode").or(node.get("DeletedNode")).unwrap_or(&Value::Null);
                let (last, before) = (&node["FinalFields"], &node["PreviousFields"]);
                for (xrp, token) in [("TakerGets", "TakerPays"), ("TakerPays", "TakerGets")] {
                    if node["LedgerEntryType"] == "Offer" && before[xrp].is_string() {
                        let read = |value: &Value| value.as_str().unwrap().parse::<i128>().unwrap();
                        let label = format!(
                            "{}/{}",
                            last[token]["issuer"].as_str().unwrap(),
                            last[token]["currency"].as_str().unwrap()
                        );
                        *drops.entry(label).or_default() += read(&before[xrp]) - read(&last[xrp]);
                    }
                }
            }
        }
        for change in changes["changes"].as_array().unwrap() {
            pairs += 1;
            if change["currency_a"] == "XRP_drops" {
                let label = change["currency_b"].as_str().unwrap();
                assert_eq!(change["volume_a"], drops.remove(label).unwrap().to_string());
            } else {
                assert!(change["currency_a"].as_str() < change["currency_b"].as_str());
            }
        }
        assert!(drops.is_empty(), "{drops:?}");
    }
    assert!(pairs > 20, "{pairs}");
}
