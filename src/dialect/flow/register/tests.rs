use super::*;
use crate::event::{AssetKeys, Body, CursorEntry, Event, Place, Replay, SpeedError};
use proptest::prelude::*;
use serde_json::{Value, json};

const LIMIT: usize = 1000;

fn filters(filters: Value) -> Result<Filters, RegisterError> {
    read(&json!({"type": "register", "filters": filters}).to_string(), LIMIT).map(|registration| registration.filters)
}

fn refused(text: &str) -> RegisterError {
    read(text, LIMIT).unwrap_err()
}

#[test]
fn what_is_left_out_restricts_nothing() {
    let empty = json!({"types": [], "account_ids": [], "asset_codes": [], "min_amount": ""});
    for text in [
        r#"{"type":"register"}"#,
        r#" {"type":"register","filters":null} "#,
        r#"{"filters":{},"type":"register"}"#,
        r#"{"type":"register","filters":{"types":null,"account_ids":null,"asset_codes":null,"min_amount":null}}"#,
        r#"{"type":"register","filters":{"types":[]},"more":[1,{"a":null}]}"#,
        r#"{"type":"register","filters":{"custom":{"deep":[1,2]},"min_amount":""}}"#,
        r#"{"\u0074ype":"regist\u0065r"}"#,
    ] {
        let filters = read(text, LIMIT).unwrap().filters;
        assert_eq!(serde_json::to_value(&filters).unwrap(), empty, "{text}");
        assert_eq!(filters.clause(), Some(Clause::everything(PUBLIC_KINDS)), "{text}");
    }
}

#[test]
fn echo_keeps_the_order_and_says_a_value_once() {
    let filters = filters(json!({"types": ["trade", "payment", "trade"], "account_ids": ["GB", "GA"],
        "asset_codes": ["XLM"], "min_amount": "0100.50"}))
    .unwrap();
    let expected = json!({"types": ["trade", "payment"], "account_ids": ["GB", "GA"],
        "asset_codes": ["XLM"], "min_amount": "0100.50"});
    assert_eq!(serde_json::to_value(&filters).unwrap(), expected);
}

#[test]
fn numbers_are_taken_by_their_digits() {
    for (number, kept) in [("100", "100"), ("922337203685.4775807", "922337203685.4775807"), ("0.10", "0.10")] {
        let text = format!(r#"{{"type":"register","filters":{{"min_amount": {number} }}}}"#);
        let filters = read(&text, LIMIT).unwrap().filters;
        assert_eq!(filters.min_amount, kept);
        assert_eq!(filters.clause().unwrap().min_amount, Some(Amount::parse(kept).unwrap()));
    }
    for number in ["1e3", "1E3", "-1", "-0", "1.5e-7"] {
        let error = refused(&format!(r#"{{"type":"register","filters":{{"min_amount":{number}}}}}"#));
        assert_eq!(error, RegisterError::Amount(AmountError::Malformed), "{number}");
    }
}

#[test]
fn where_to_go_on() {
    let cursor = |network: &str, ledger| {
        let place = Place::START;
        Cursor { entries: vec![CursorEntry { network: network.into(), ledger, place, hash: None }] }
    };
    let mark = |fields: Value| {
        let mut message = json!({"type": "register"});
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        read(&message.to_string(), LIMIT).map(|registration| registration.mark.map(|(mark, _)| mark))
    };
    let (one, other) = (cursor("one", 7), cursor("other", 9));
    assert_eq!(mark(json!({})), Ok(None));
    assert_eq!(mark(json!({"resume": null, "from_ledger": null})), Ok(None));
    assert_eq!(mark(json!({"resume": one.to_string()})), Ok(Some(Mark::After(one.clone()))));
    let several = [cursor("one", 3), other.clone(), one.clone()].map(|cursor| cursor.to_string());
    assert_eq!(mark(json!({ "resume": several })), Ok(Some(Mark::After(one.clone().and(other)))));
    assert_eq!(mark(json!({"from_ledger": 17})), Ok(Some(Mark::Ledger(17))));

    let malformed = RegisterError::Cursor(CursorError::Malformed);
    let cut = &one.to_string()[1..];
    let many: Vec<String> = (0..65).map(|number| cursor(&number.to_string(), 1).to_string()).collect();
    for (fields, expected) in [
        (json!({"resume": cut}), &malformed),
        (json!({"resume": ""}), &malformed),
        (json!({"resume": "x".repeat(Cursor::MAX_TEXT + 1)}), &malformed),
        (json!({"resume": [one.to_string(), cut]}), &malformed),
        (json!({"resume": []}), &RegisterError::CursorForm),
        (json!({"resume": many}), &RegisterError::CursorForm),
        (json!({"resume": 7}), &RegisterError::CursorForm),
        (json!({"resume": {}}), &RegisterError::CursorForm),
        (json!({"resume": [7]}), &RegisterError::CursorForm),
        (json!({"from_ledger": "17"}), &RegisterError::LedgerForm),
        (json!({"from_ledger": -1}), &RegisterError::LedgerForm),
        (json!({"from_ledger": 1.5}), &RegisterError::LedgerForm),
        (json!({"resume": one.to_string(), "from_ledger": 17}), &RegisterError::TwoMarks),
    ] {
        let error = mark(fields.clone()).unwrap_err();
        assert_eq!(&error, expected, "{fields}");
        assert_eq!(error.wrong(), Wrong::Mark);
        assert!(error.to_string().len() < 150, "{error}");
    }
}

#[test]
fn how_fast_and_until_where() {
    let read = |fields: Value| {
        let mut message = json!({"type": "register", "from_ledger": 5});
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        read(&message.to_string(), LIMIT).map(|registration| registration.mark.map(|(_, replay)| replay))
    };
    let entry = CursorEntry { network: "one".into(), ledger: 9, place: Place::END, hash: None };
    let cursor = Cursor { entries: vec![entry] };
    let replay = |speed: &str, until| Ok(Some(Replay { speed: speed.parse().unwrap(), until }));
    assert_eq!(read(json!({})), replay("max", None));
    assert_eq!(read(json!({"speed": null, "until": null})), replay("max", None));
    assert_eq!(read(json!({"speed": "10x", "until": 7})), replay("10x", Some(Mark::Ledger(7))));
    let until = Some(Mark::After(cursor.clone()));
    assert_eq!(read(json!({"until": cursor.to_string()})), replay("max", until));
    for (fields, expected) in [
        (json!({"speed": "10"}), RegisterError::Speed(SpeedError)),
        (json!({"speed": "1e999x"}), RegisterError::Speed(SpeedError)),
        (json!({"speed": 10}), RegisterError::SpeedForm),
        (json!({"speed": ["10x"]}), RegisterError::SpeedForm),
        (json!({"until": "7"}), RegisterError::Until(CursorError::Malformed)),
        (json!({"until": "ledger:7"}), RegisterError::Until(CursorError::Malformed)),
        (json!({"until": 7.5}), RegisterError::UntilForm),
        (json!({"until": [7]}), RegisterError::UntilForm),
        (json!({"from_ledger": null, "until": 7}), RegisterError::NoMark),
        (json!({"from_ledger": null, "speed": "max"}), RegisterError::NoMark),
    ] {
        let error = read(fields.clone()).unwrap_err();
        assert_eq!(error, expected, "{fields}");
        assert_eq!(error.wrong(), Wrong::Mark);
        assert!(error.to_string().len() < 150, "{error}");
    }
}

#[test]
fn amounts_that_are_no_decimals() {
    for text in ["abc", "-1", "+1", "1e3", "NaN", "1.", ".5", " 1", "1 ", "1,000"] {
        let error = filters(json!({"min_amount": text})).unwrap_err();
        assert_eq!(error, RegisterError::Amount(AmountError::Malformed), "{text}");
    }
    assert_eq!(
        filters(json!({"min_amount": "9".repeat(79)})).unwrap_err(),
        RegisterError::Amount(AmountError::TooLong)
    );
    for value in [json!(true), json!([]), json!({})] {
        assert_eq!(filters(json!({"min_amount": value})).unwrap_err(), RegisterError::AmountNoText, "{value}");
    }
}

#[test]
fn no_register_message() {
    for text in [
        r#"{"type":"subscribe"}"#,
        r#"{"type":"Register"}"#,
        r#"{"type":1}"#,
        r#"{"type":null}"#,
        "{}",
        "[]",
        r#"["register",null]"#,
        r#""register""#,
        "null",
        "1",
        r#"{"type":"register","type":"register"}"#,
    ] {
        assert_eq!(refused(text), RegisterError::NotRegister, "{text}");
    }
    for text in ["", "register", "{", r#"{"type":"register"} x"#, r#"{"type":"register",}"#, "\u{feff}{}"] {
        let error = refused(text);
        assert!(matches!(error, RegisterError::NotJson { .. }), "{text}: {error:?}");
        assert_eq!(error.wrong(), Wrong::Message);
    }
}

#[test]
fn filters_of_the_wrong_form() {
    for value in [json!([]), json!(["payment"]), json!("all"), json!(1), json!(true)] {
        assert_eq!(filters(value.clone()).unwrap_err(), RegisterError::NoObject, "{value}");
    }
    for field in ["types", "account_ids", "asset_codes"] {
        for value in [json!("payment"), json!({}), json!(1), json!([1]), json!([null]), json!([["payment"]])] {
            let error = filters(json!({field: value})).unwrap_err();
            assert_eq!(error, RegisterError::NoListOfTexts { field }, "{value}");
            assert_eq!(error.wrong(), Wrong::Filters);
            assert!(error.to_string().contains(field));
        }
    }
    let twice = r#"{"type":"register","filters":{"types":[],"types":["payment"]}}"#;
    assert_eq!(refused(twice), RegisterError::FieldTwice);
    let half = r#"{"type":"register","filters":{"\ud800":1}}"#;
    assert_eq!(refused(half), RegisterError::NotText);
}

#[test]
fn lists_are_bounded_together() {
    let values = |count: usize| (0..count).map(|n| format!("G{n}")).collect::<Vec<_>>();
    let of = |accounts, assets| filters(json!({"account_ids": values(accounts), "asset_codes": values(assets)}));
    assert_eq!(of(600, 400).unwrap().account_ids.len(), 600);
    let error = of(600, 401).unwrap_err();
    assert_eq!(error, RegisterError::TooManyValues { limit: LIMIT });
    assert!(error.to_string().contains("1000 values") && error.to_string().contains("values_per_session"));
    assert!(filters(json!({"types": vec!["payment"; LIMIT]})).is_ok());
    assert!(filters(json!({"types": vec!["payment"; LIMIT + 1]})).is_err());
}

#[test]
fn values_are_bounded() {
    assert!(filters(json!({"asset_codes": ["x".repeat(200)]})).is_ok());
    let error = filters(json!({"asset_codes": ["x".repeat(201), "y"]})).unwrap_err();
    assert_eq!(error, RegisterError::ValueTooLong { field: "asset_codes" });
}

#[test]
fn depth_costs_nothing() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let unread = format!(r#"{{"type":"register","filters":{{"custom":{}}}}}"#, deep("[", "]"));
    assert!(read(&unread, LIMIT).is_ok());
    let list = format!(r#"{{"type":"register","filters":{{"types":{}}}}}"#, deep("[", "]"));
    assert_eq!(refused(&list), RegisterError::NoListOfTexts { field: "types" });
    assert_eq!(refused(&deep("[", "]")), RegisterError::NotRegister);
    refused(&"[".repeat(500_000));
    refused(&"{\"type\":".repeat(60_000));
}

#[test]
fn errors_repeat_nothing_of_the_message() {
    let long = "x".repeat(100_000);
    for text in [
        json!({"type": long}).to_string(),
        json!({"type": "register", "filters": long}).to_string(),
        json!({"type": "register", "filters": {"types": long}}).to_string(),
        json!({"type": "register", "filters": {"types": [long]}}).to_string(),
        json!({"type": "register", "filters": {"min_amount": long}}).to_string(),
        long.clone(),
    ] {
        assert!(refused(&text).to_string().len() < 150);
    }
}

fn kinds(types: Value) -> KindSet {
    filters(json!({"types": types})).unwrap().clause().map_or(KindSet::EMPTY, |clause| clause.kinds)
}

#[test]
fn types_to_kinds() {
    use EventKind::*;
    assert_eq!(kinds(json!([])), KindSet::of(&[Ledger, Transaction, ContractEvent, SystemEvent, Payment, Trade]));
    assert_eq!(kinds(json!(["contract_event"])), KindSet::of(&[ContractEvent, SystemEvent]));
    assert_eq!(kinds(json!(["contract"])), KindSet::of(&[ContractEvent]));
    assert_eq!(kinds(json!(["system", "trade"])), KindSet::of(&[SystemEvent, Trade]));
    assert_eq!(kinds(json!(["ledger", "transaction", "payment"])), KindSet::of(&[Ledger, Transaction, Payment]));
    assert_eq!(kinds(json!(["payment", "unheard_of"])), KindSet::of(&[Payment]));
    // Kinds of other dialects, other case, nothing: none of them is a name here.
    for name in ["deploy", "book_changes", "Payment", "", "*"] {
        assert!(filters(json!({"types": [name]})).unwrap().clause().is_none(), "{name}");
    }
}

#[test]
fn equal_filters_are_equal_clauses() {
    let clause = |accounts: Value, assets: Value| {
        filters(json!({"account_ids": accounts, "asset_codes": assets, "min_amount": "1.0"})).unwrap().clause()
    };
    let one = clause(json!(["GB", "GA", "GB"]), json!(["XLM", "USDC:G"]));
    assert_eq!(one, clause(json!(["GA", "GB"]), json!(["USDC:G", "XLM"])));
    let one = one.unwrap();
    assert_eq!(one.subjects, ["account:GA".into(), "account:GB".into()]);
    assert_eq!(one.assets, ["USDC:G".into(), "XLM".into()]);
}

/// A payment of 100 USDC from an account to a muxed one, as a source lists it.
fn payment() -> Event {
    Event {
        id: "1-p1".into(),
        kind: EventKind::Payment,
        place: Place::new(1, EventKind::Payment, 1),
        transaction_hash: None,
        subjects: ["account:GA", "account:GB", "account:MB42"].map(Into::into).to_vec(),
        assets: vec![AssetKeys {
            keys: ["USDC", "USDC:GI"].map(Into::into).to_vec(),
            amount: Some(Amount::from_units(1_000_000_000, 7)),
        }],
        body: Body::BookChanges,
        native: None,
    }
}

#[test]
fn which_payments_match() {
    for (wanted, matches) in [
        (json!({"types": ["payment"]}), true),
        (json!({"types": ["trade"]}), false),
        (json!({"account_ids": ["GA"]}), true),
        (json!({"account_ids": ["GX", "GB"]}), true),
        (json!({"account_ids": ["MB42"]}), true),
        (json!({"account_ids": ["MB43"]}), false),
        (json!({"account_ids": ["ga"]}), false),
        (json!({"account_ids": ["account:GA"]}), false),
        (json!({"asset_codes": ["USDC"]}), true),
        (json!({"asset_codes": ["USDC:GI"]}), true),
        (json!({"asset_codes": ["USDC:GX", "XLM"]}), false),
        (json!({"min_amount": "100"}), true),
        (json!({"min_amount": "100.00000000000000000001"}), false),
        (json!({"types": ["payment"], "account_ids": ["GA"], "asset_codes": ["USDC"], "min_amount": 100}), true),
        (json!({"types": ["payment"], "account_ids": ["GA"], "asset_codes": ["XLM"], "min_amount": 100}), false),
    ] {
        let clause = filters(wanted.clone()).unwrap().clause().unwrap();
        assert_eq!(clause.matches(&payment()), matches, "{wanted}");
    }
}

/// What a message must be to register, told once more and in another way.
fn is_valid(message: &Value) -> bool {
    let Some(object) = message.as_object() else { return false };
    let texts = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(value) => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
    };
    let decimal = |text: &str| {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        text.split_once('.').map_or(digits(text), |(whole, fraction)| digits(whole) && digits(fraction))
    };
    object.get("type") == Some(&json!("register"))
        && match object.get("filters") {
            None | Some(Value::Null) => true,
            Some(Value::Object(fields)) => {
                ["types", "account_ids", "asset_codes"].iter().all(|field| texts(fields.get(*field)))
                    && match fields.get("min_amount") {
                        None | Some(Value::Null) => true,
                        Some(Value::String(text)) => text.is_empty() || decimal(text),
                        Some(Value::Number(number)) => decimal(&number.to_string()),
                        Some(_) => false,
                    }
            }
            Some(_) => false,
        }
}

/// Messages near the border: the right keys with right and wrong values.
fn message() -> impl Strategy<Value = Value> {
    let text = prop_oneof![Just("register"), Just("payment"), Just("100"), Just("1e3"), Just("0.5"), Just("")];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            3 => Just("type"), 3 => Just("filters"), 2 => Just("types"), 2 => Just("account_ids"),
            2 => Just("asset_codes"), 2 => Just("min_amount"), 1 => Just("custom"),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key, inner.clone()), 0..5)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            inner.prop_map(|filters| json!({"type": "register", "filters": filters})),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_safe(text in "\\PC{0,300}|[{}\\[\\]\":,a-z0-9\\\\ ]{0,300}") {
        if let Ok(Registration { filters, .. }) = read(&text, LIMIT) {
            prop_assert!(is_valid(&serde_json::from_str(&text).unwrap()));
            let _ = filters.clause();
        }
    }

    #[test]
    fn registers_exactly_what_is_valid(message in message()) {
        let text = message.to_string();
        prop_assert_eq!(read(&text, LIMIT).is_ok(), is_valid(&message), "{}", text);
    }

    #[test]
    fn filters_near_the_border(fields in message()) {
        let message = json!({"type": "register", "filters": fields});
        prop_assert_eq!(read(&message.to_string(), LIMIT).is_ok(), is_valid(&message), "{}", message);
    }
}

#[test]
fn evm_addresses_match_in_any_spelling() {
    let (mixed, lower) = ("0x5FbDB2315678afecb367f032d93F642f64180aa3", "0x5fbdb2315678afecb367f032d93f642f64180aa3");
    let of =
        |address: &str| filters(json!({"account_ids": [address, "GAbc"], "asset_codes": [address, "Xlm"]})).unwrap();
    assert_eq!(of(mixed).clause(), of(lower).clause());
    let subjects = of(mixed).clause().unwrap().subjects;
    assert!(subjects.contains(&format!("account:{lower}").into()) && subjects.contains(&"account:GAbc".into()));
    // The echo is what was written, and nothing else is respelled.
    assert_eq!(serde_json::to_value(of(mixed)).unwrap()["account_ids"][0], mixed);
    for other in [format!("{mixed}0"), "0xABCDEF".to_owned(), mixed.replace('F', "G")] {
        assert!(of(&other).clause().unwrap().assets.contains(&other.as_str().into()), "{other}");
    }
}
