use super::*;
use crate::source::stellar::methods;
use crate::source::stellar::testing::recorded;
use serde_json::value::to_raw_value;
use stellar_xdr::{
    Int128Parts, Int256Parts, LedgerCloseMeta, LedgerHeaderHistoryEntry, Limits, ReadXdr, TransactionEnvelope,
    TransactionMeta, TransactionResult, UInt128Parts, UInt256Parts, WriteXdr,
};

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn value(json: &str) -> Result<ScVal, Reason> {
    value_from_json(&raw(json))
}

#[test]
fn one_value_in_every_form_it_was_ever_written_in() {
    let i128 = |hi, lo| ScVal::I128(Int128Parts { hi, lo });
    let u128 = |hi, lo| ScVal::U128(UInt128Parts { hi, lo });
    let i256 = |hi_hi, rest| ScVal::I256(Int256Parts { hi_hi, hi_lo: rest, lo_hi: rest, lo_lo: rest });
    let u256 = |hi_hi, lo_lo| ScVal::U256(UInt256Parts { hi_hi, hi_lo: 0, lo_hi: 2, lo_lo });
    let cases: [(ScVal, &[&str]); 14] = [
        (ScVal::Void, &[r#""void""#]),
        (ScVal::U32(7), &[r#"{"u32":7}"#]),
        (ScVal::U64(u64::MAX), &[r#"{"u64":"18446744073709551615"}"#, r#"{"u64":18446744073709551615}"#]),
        (ScVal::I64(-5), &[r#"{"i64":"-5"}"#, r#"{"i64":-5}"#]),
        (ScVal::I64(i64::MIN), &[r#"{"i64":"-9223372036854775808"}"#, r#"{"i64":-9223372036854775808}"#]),
        (ScVal::Timepoint(9.into()), &[r#"{"timepoint":"9"}"#, r#"{"timepoint":9}"#]),
        (i128(0, 12), &[r#"{"i128":"12"}"#, r#"{"i128":{"hi":0,"lo":12}}"#, r#"{"i128":12}"#]),
        // No double holds this one.
        (
            i128(0, 9_007_199_254_740_993),
            &[
                r#"{"i128":"9007199254740993"}"#,
                r#"{"i128":9007199254740993}"#,
                r#"{"i128":{"hi":"0","lo":9007199254740993}}"#,
            ],
        ),
        (
            i128(-1, u64::MAX),
            &[
                r#"{"i128":"-1"}"#,
                r#"{"i128":-1}"#,
                r#"{"i128":{"hi":-1,"lo":18446744073709551615}}"#,
                r#"{"i128":{"hi":"-1","lo":"18446744073709551615"}}"#,
                r#"{"i128":{"lo":"18446744073709551615","hi":-1}}"#,
            ],
        ),
        (
            i128(i64::MIN, 0),
            &[
                r#"{"i128":"-170141183460469231731687303715884105728"}"#,
                r#"{"i128":{"hi":"-9223372036854775808","lo":"0"}}"#,
            ],
        ),
        (
            u128(u64::MAX, 1),
            &[
                r#"{"u128":"340282366920938463444927863358058659841"}"#,
                r#"{"u128":{"hi":18446744073709551615,"lo":1}}"#,
                r#"{"u128":{"hi":"18446744073709551615","lo":"1"}}"#,
            ],
        ),
        (
            i256(-1, u64::MAX),
            &[
                r#"{"i256":"-1"}"#,
                r#"{"i256":{"hi_hi":-1,"hi_lo":18446744073709551615,"lo_hi":18446744073709551615,"lo_lo":18446744073709551615}}"#,
                r#"{"i256":{"hi_hi":"-1","hi_lo":"18446744073709551615","lo_hi":"18446744073709551615","lo_lo":"18446744073709551615"}}"#,
            ],
        ),
        (
            u256(0, 3),
            &[r#"{"u256":"36893488147419103235"}"#, r#"{"u256":{"hi_hi":0,"hi_lo":"0","lo_hi":2,"lo_lo":"3"}}"#],
        ),
        (ScVal::Bool(true), &[r#"{"bool":true}"#]),
    ];
    for (expected, forms) in cases {
        for form in forms {
            assert_eq!(value(form), Ok(expected.clone()), "{form}");
            // Inside of others, too.
            let inside = value(&format!(r#"{{"map":[{{"key":{{"symbol":"i128"}},"val":{{"vec":[{form}]}}}}]}}"#));
            let ScVal::Map(Some(map)) = inside.unwrap() else { panic!("{form}") };
            assert_eq!(map.0[0].val, ScVal::Vec(Some(vec![expected.clone()].try_into().unwrap())), "{form}");
        }
        // The first form is the one that is written now.
        assert_eq!(serde_json::to_string(&expected).unwrap(), forms[0]);
    }
}

#[test]
fn no_number_is_rounded() {
    for bad in [
        r#"{"u64":18446744073709551616}"#,
        r#"{"u64":"18446744073709551616"}"#,
        r#"{"u64":-1}"#,
        r#"{"u64":1.0}"#,
        r#"{"u64":1e3}"#,
        r#"{"i64":9223372036854775808}"#,
        r#"{"i128":18446744073709551616}"#,
        r#"{"i128":-9223372036854775809}"#,
        r#"{"i128":1.5}"#,
        r#"{"i128":"1.5"}"#,
        r#"{"i128":""}"#,
        r#"{"i128":"170141183460469231731687303715884105728"}"#,
        r#"{"i128":{"hi":0,"lo":18446744073709551616}}"#,
        r#"{"i128":{"hi":0,"lo":"18446744073709551616"}}"#,
        r#"{"i128":{"hi":0,"lo":-1}}"#,
        r#"{"i128":{"hi":0,"lo":"-1"}}"#,
        r#"{"i128":{"hi":"9223372036854775808","lo":"0"}}"#,
        r#"{"i128":{"hi":0.5,"lo":0}}"#,
        r#"{"i128":{"hi":"0"}}"#,
        r#"{"i128":null}"#,
        r#"{"u128":-1}"#,
        r#"{"u256":{"hi":1,"lo":2}}"#,
        r#"{"u32":"7"}"#,
    ] {
        let reason = value(bad).unwrap_err();
        assert!(reason.starts_with("value: "), "{bad}: {reason}");
    }
}

#[test]
fn what_is_no_value_is_refused() {
    for bad in ["7", "null", r#""nothing""#, "{}", r#"{"u32":7,"i32":7}"#, r#"{"address":"GA5Z"}"#, r#"{"bytes":"0"}"#]
    {
        assert!(value(bad).unwrap_err().starts_with("value: "), "{bad}");
    }
}

#[test]
fn addresses_strings_and_bytes() {
    let account = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";
    let json = format!(r#"{{"vec":[{{"address":"{account}"}},{{"bytes":"00ff"}},{{"string":"a\\n\\xff"}}]}}"#);
    let ScVal::Vec(Some(values)) = value(&json).unwrap() else { panic!() };
    assert!(matches!(&values.0[0], ScVal::Address(address) if address.to_string() == account));
    assert!(matches!(&values.0[1], ScVal::Bytes(bytes) if bytes.as_slice() == [0, 0xff]));
    assert!(matches!(&values.0[2], ScVal::String(text) if text.as_slice() == b"a\n\xff"));
}

#[test]
fn what_is_too_deep_is_refused() {
    let nested = |levels: usize| format!("{}{}{}", r#"{"vec":["#.repeat(levels), r#""void""#, "]}".repeat(levels));
    assert!(value(&nested(60)).is_ok());
    for levels in [64, 100_000] {
        let reason = value(&nested(levels)).unwrap_err();
        assert!(reason.contains("recursion limit"), "{reason}");
    }
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(from_json::<LedgerCloseMeta>(&raw(&nested), "metadataJson").is_err());
}

#[test]
fn a_deep_value_inside_metadata_is_read_or_refused() {
    let metadata = |levels: usize| {
        let topic = format!("{}{}{}", r#"{"vec":["#.repeat(levels), r#""void""#, "]}".repeat(levels));
        let event = format!(
            r#"{{"ext":"v0","contract_id":null,"type_":"contract","body":{{"v0":{{"topics":[{topic}],"data":"void"}}}}}}"#
        );
        let operation = format!(r#"{{"ext":"v0","changes":[],"events":[{event}]}}"#);
        raw(&format!(
            r#"{{"v4":{{"ext":"v0","tx_changes_before":[],"operations":[{operation}],"tx_changes_after":[],"soroban_meta":null,"events":[],"diagnostic_events":[]}}}}"#
        ))
    };
    let deep = |levels| from_json::<TransactionMeta>(&metadata(levels), "resultMetaJson");
    assert!(matches!(deep(55), Ok(TransactionMeta::V4(_))));
    assert!(deep(70).unwrap_err().starts_with("resultMetaJson: recursion limit exceeded"));
}

/// What the base64 form holds, written as JSON and read back.
fn same<T: ReadXdr + WriteXdr + serde::Serialize + DeserializeOwned>(base64: &str) {
    let value = T::from_xdr_base64(base64, Limits::none()).unwrap();
    let json = to_raw_value(&value).unwrap();
    let back: T = from_json(&json, "json").unwrap();
    assert_eq!(back.to_xdr_base64(Limits::none()).unwrap(), base64);
    // As older servers wrote it: numbers for texts wherever they fit.
    let mut old = serde_json::to_value(&value).unwrap();
    let numbers = numbers_for_texts(&mut old);
    let back: T = from_json(&to_raw_value(&old).unwrap(), "old json").unwrap();
    assert_eq!(back.to_xdr_base64(Limits::none()).unwrap(), base64, "{numbers} numbers");
}

fn numbers_for_texts(value: &mut Value) -> usize {
    const NAMES: [&str; 12] = [
        "i128",
        "u64",
        "i64",
        "fee",
        "seq_num",
        "amount",
        "balance",
        "fee_charged",
        "close_time",
        "total_coins",
        "fee_pool",
        "id_pool",
    ];
    match value {
        Value::Array(values) => values.iter_mut().map(numbers_for_texts).sum(),
        Value::Object(members) => {
            let mut count = 0;
            for (name, value) in members {
                match value {
                    Value::String(text) if NAMES.contains(&name.as_str()) => {
                        let Ok(number) = text.parse::<i64>() else { continue };
                        *value = number.into();
                        count += 1;
                    }
                    other => count += numbers_for_texts(other),
                }
            }
            count
        }
        _ => 0,
    }
}

#[test]
fn recorded_ledgers_and_transactions_in_both_forms() {
    if let Some(answer) = recorded("getLedgers.testnet-36233.json") {
        let answer: methods::Ledgers = serde_json::from_value(answer).unwrap();
        for ledger in answer.ledgers {
            same::<LedgerHeaderHistoryEntry>(&ledger.header_xdr);
            same::<LedgerCloseMeta>(&ledger.metadata_xdr);
        }
    }
    for file in ["getTransactions.testnet-337272.json", "getTransactions.mainnet-30820015.json"] {
        let Some(answer) = recorded(file) else { continue };
        let answer: methods::Transactions = serde_json::from_value(answer).unwrap();
        assert!(!answer.transactions.is_empty());
        for sent in answer.transactions {
            same::<TransactionEnvelope>(&sent.envelope_xdr);
            same::<TransactionResult>(&sent.result_xdr);
            same::<TransactionMeta>(&sent.result_meta_xdr);
        }
    }
}

#[test]
fn recorded_values_in_both_forms() {
    let (Some(base64), Some(json)) =
        (recorded("getEvents.mainnet-30820015.json"), recorded("getEvents.mainnet-30820015.xdrjson.json"))
    else {
        return;
    };
    let (base64, json) = (base64["events"].as_array().unwrap().clone(), json["events"].as_array().unwrap().clone());
    assert_eq!((base64.len(), json.len()), (62, 62));
    for (base64, json) in base64.iter().zip(&json) {
        let sent = base64["topic"].as_array().unwrap().iter().chain([&base64["value"]]);
        let written = json["topicJson"].as_array().unwrap().iter().chain([&json["valueJson"]]);
        assert_eq!(base64["topic"].as_array().unwrap().len(), json["topicJson"].as_array().unwrap().len());
        for (sent, written) in sent.zip(written) {
            let expected = ScVal::from_xdr_base64(sent.as_str().unwrap(), Limits::none()).unwrap();
            assert_eq!(value_from_json(&to_raw_value(written).unwrap()), Ok(expected));
        }
    }
}
