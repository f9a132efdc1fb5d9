//! What decodes and what does not, and what strangers send.

use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::time::Instant;

fn method(types: &[&str]) -> ContractAbi {
    let inputs: Vec<_> = types.iter().map(|kind| json!({ "name": "", "type": kind })).collect();
    let abi = json!([{ "type": "function", "name": "f", "inputs": inputs, "outputs": [], "stateMutability": "view" }]);
    ContractAbi::new(&abi).unwrap()
}

fn called(abi: &ContractAbi, words: &[u64]) -> Option<Box<[Value]>> {
    let data: Vec<u8> = words.iter().flat_map(|word| [[0; 24].as_slice(), &word.to_be_bytes()].concat()).collect();
    sent(abi, &data)
}

fn sent(abi: &ContractAbi, data: &[u8]) -> Option<Box<[Value]>> {
    let selector = *abi.methods.keys().next().unwrap();
    match abi.call(&[&selector, data].concat()) {
        Call::Method { arguments, .. } => arguments,
        other => panic!("{other:?}"),
    }
}

fn number(digits: &str) -> Value {
    Value::Integer(digits.into())
}

#[test]
fn values_are_exact() {
    let abi = method(&["int8", "uint256[2]", "bytes", "string[]"]);
    let words = [1, 2, 3, 5 * 32, 7 * 32, 2, 0, 2, 64, 128, 0, 0, 0, 0];
    let mut data: Vec<u8> =
        words.iter().flat_map(|word: &u64| [[0; 24].as_slice(), &word.to_be_bytes()].concat()).collect();
    data[..32].fill(0xff);
    data[6 * 32..6 * 32 + 2].copy_from_slice(&[0xab, 0xcd]);
    let values = sent(&abi, &data).unwrap();
    let texts = Value::List([Value::Text("".into()), Value::Text("".into())].into());
    let pair = Value::List([number("2"), number("3")].into());
    assert_eq!(*values, [number("-1"), pair, Value::Hex("0xabcd".into()), texts]);
    // Bytes after the arguments are allowed, fewer are not.
    assert!(sent(&abi, &[data.clone(), vec![7; 5]].concat()).is_some());
    for length in [0, 31, 32, 5 * 32, data.len() - 64] {
        assert_eq!(sent(&abi, &data[..length]), None, "{length}");
    }
    assert_eq!(abi.call(&[]), Call::Receive);
    assert_eq!(abi.call(&[1, 2, 3]), Call::Fallback);
    assert_eq!(abi.call(&[0; 4]), Call::Fallback);
}

#[test]
fn hostile_data_is_refused_at_once() {
    let began = Instant::now();
    // A thousand elements that all name one long text; lists of lists of one list; a length beyond the data.
    let texts = method(&["string[]"]);
    let mut bomb: Vec<u64> = vec![32, 20_000];
    bomb.extend(std::iter::repeat_n(20_000 * 32, 20_000));
    bomb.push(200_000);
    bomb.extend(std::iter::repeat_n(0, 7_000));
    assert_eq!(called(&texts, &bomb), None);
    let lists = method(&["uint8[][][][][][]"]);
    // Each level says: a hundred elements, all of them the next level.
    let mut levels: Vec<u64> = vec![32];
    for _ in 0..5 {
        levels.push(100);
        levels.extend(std::iter::repeat_n(100 * 32, 100));
    }
    levels.push(100);
    levels.extend(std::iter::repeat_n(1, 100));
    assert_eq!(called(&lists, &levels), None);
    let plain = method(&["uint256[]", "bytes"]);
    for words in [[64, 64, u64::MAX], [u64::MAX, 64, 0], [64, u64::MAX - 31, 0], [0, 0, 0], [64, 32, 1 << 32]] {
        let _ = called(&plain, &words);
    }
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    // The same shape without the excess decodes.
    assert!(called(&texts, &[32, 2, 64, 64, 3, 0]).is_some());
}

#[test]
fn types_that_are_too_large_are_refused_with_the_settings() {
    let deep = format!("uint8{}", "[]".repeat(20));
    for kind in ["uint256[1000000000]", "uint8[100][100][100]", deep.as_str(), "uint9", "nothing"] {
        let abi = json!([{ "type": "function", "name": "f", "inputs": [{ "type": kind }], "outputs": [], "stateMutability": "view" }]);
        assert!(ContractAbi::new(&abi).is_err(), "{kind}");
        let abi = json!([{ "type": "event", "name": "f", "inputs": [{ "type": kind, "indexed": false }], "anonymous": false }]);
        assert!(ContractAbi::new(&abi).is_err(), "{kind}");
    }
}

fn events(list: serde_json::Value) -> ContractAbi {
    ContractAbi::new(&list).unwrap()
}

fn event(name: &str, anonymous: bool, inputs: &[(&str, &str, bool)]) -> serde_json::Value {
    let inputs: Vec<_> =
        inputs.iter().map(|(name, kind, indexed)| json!({ "name": name, "type": kind, "indexed": indexed })).collect();
    json!({ "type": "event", "name": name, "anonymous": anonymous, "inputs": inputs })
}

#[test]
fn parameters_without_a_name_of_their_own() {
    let abi = events(json!([event("E", false, &[("a", "uint8", false), ("", "uint8", true), ("a", "uint8", false)])]));
    let topic = Hash(alloy_primitives::keccak256("E(uint8,uint8,uint8)").0);
    let mut data = vec![0; 64];
    (data[31], data[63]) = (1, 3);
    let mut two = [0; 32];
    two[31] = 2;
    let read = abi.log(&[topic, Hash(two)], &data);
    let LogMeaning::Event { data, .. } = read.meaning else { panic!("an event") };
    let told: Vec<_> = data.iter().map(|(name, value)| (&**name, value.clone())).collect();
    assert_eq!(told, [("a", number("1")), ("arg1", number("2")), ("arg2", number("3"))]);
    assert_eq!(read.signature.as_deref(), Some("E(uint8,uint8,uint8)"));
    // A topic too few, a topic too many, data too short: an old ABI.
    for topics in [&[topic][..], &[topic, Hash(two), Hash(two)]] {
        assert!(matches!(abi.log(topics, &[0; 64]).meaning, LogMeaning::Unknown { .. }));
    }
    assert!(matches!(abi.log(&[topic, Hash(two)], &[0; 40]).meaning, LogMeaning::Unknown { .. }));
}

#[test]
fn an_anonymous_event_is_taken_if_only_one_fits() {
    let one = event("One", true, &[("a", "uint8", true), ("b", "uint8", false)]);
    let two = event("Two", true, &[("a", "bytes32", true), ("b", "bool", false)]);
    let mut seven = [0; 32];
    seven[31] = 7;
    let name = |abi: &ContractAbi| match abi.log(&[Hash(seven)], &[0; 32]).meaning {
        LogMeaning::Event { name, .. } => name.to_string(),
        LogMeaning::Unknown { topics, data } => format!("{} {}", topics.len(), data.len()),
    };
    assert_eq!(name(&events(json!([one]))), "One");
    assert_eq!(name(&events(json!([one, two]))), "1 66");
    assert_eq!(name(&events(json!([]))), "1 66");
    assert!(matches!(events(json!([one])).log(&[], &[]).meaning, LogMeaning::Unknown { .. }));
    assert!(matches!(events(json!([one])).log(&[Hash([7; 32])], &[0; 32]).meaning, LogMeaning::Unknown { .. }));
}

#[test]
fn words_outside_their_type_do_not_decode() {
    let word = |first: &[u8], last: &[u8]| [first, &vec![0; 32 - first.len() - last.len()], last].concat();
    let negative = |last: &[u8]| [vec![0xff; 32 - last.len()], last.to_vec()].concat();
    for (kind, good, bad) in [
        ("uint8", vec![word(&[], &[255])], vec![word(&[], &[1, 0]), word(&[1], &[])]),
        ("uint256", vec![negative(&[])], vec![]),
        (
            "int16",
            vec![word(&[], &[0x7f, 1]), negative(&[0x80, 0])],
            vec![word(&[], &[0x80, 0]), negative(&[0x7f, 0]), word(&[0x80], &[])],
        ),
        ("int256", vec![negative(&[]), word(&[0x80], &[])], vec![]),
        ("bool", vec![word(&[], &[1]), word(&[], &[])], vec![word(&[], &[2]), word(&[1], &[1])]),
        ("address", vec![word(&[], &[7; 20])], vec![word(&[], &[7; 21])]),
        ("bytes4", vec![word(&[7; 4], &[])], vec![word(&[7; 5], &[]), word(&[], &[1])]),
        ("bytes32", vec![negative(&[])], vec![]),
        ("function", vec![word(&[7; 24], &[])], vec![word(&[7; 25], &[])]),
    ] {
        let alone = method(&[kind]);
        let listed = method(&[format!("({kind},bytes)[]").as_str()]);
        let logged = events(json!([event("E", true, &[("a", kind, true), ("b", kind, false)])]));
        let zero = word(&[], &[]);
        for (words, expected) in [(good, true), (bad, false)] {
            for value in words {
                assert_eq!(sent(&alone, &value).is_some(), expected, "{kind} {value:?}");
                let head = [word(&[], &[32]), word(&[], &[1]), word(&[], &[32])].concat();
                let list = [head, value.clone(), word(&[], &[64]), zero.clone()].concat();
                assert_eq!(sent(&listed, &list).is_some(), expected, "{kind} {value:?}");
                for (topic, data) in [(&value, &zero), (&zero, &value)] {
                    let topic = Hash(topic.as_slice().try_into().unwrap());
                    let read = logged.log(&[topic], data).meaning;
                    assert_eq!(matches!(read, LogMeaning::Event { .. }), expected, "{kind} {value:?}");
                }
            }
        }
    }
}

#[test]
fn no_name_stands_twice_in_an_event() {
    for names in [["", "arg0", "arg1"], ["arg2", "", ""], ["a", "arg2", "a"], ["arg1", "", "arg1"]] {
        let inputs = names.map(|name| (name, "uint8", false));
        let abi = events(json!([event("E", true, &inputs)]));
        let LogMeaning::Event { data, .. } = abi.log(&[], &[0; 96]).meaning else { panic!("an event") };
        let told: HashSet<_> = data.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(told.len(), 3, "{names:?} {told:?}");
    }
}

proptest! {
    #[test]
    fn any_calldata_is_safe(words in proptest::collection::vec(prop_oneof![0..20u64, (0..20u64).prop_map(|n| n * 32), any::<u64>()], 0..40)) {
        for types in [&["(uint256,address,string)[]", "bytes[][2]"][..], &["string", "(bool,bytes)", "int256[][]"], &["function", "bytes3", "bool[3][]"]] {
            let abi = method(types);
            let _ = called(&abi, &words);
        }
    }

    /// What alloy encodes is decoded: the bounds refuse nothing honest.
    #[test]
    fn honest_data_decodes(texts in proptest::collection::vec("\\PC{0,40}", 0..30), numbers: Vec<u64>) {
        let abi = method(&["string[]", "uint64[][1]", "(bytes,bool)[]"]);
        let list = numbers.iter().map(|number| DynSolValue::Uint(alloy_primitives::U256::from(*number), 64)).collect();
        let tuples = texts.iter().map(|text| DynSolValue::Tuple(vec![DynSolValue::Bytes(text.clone().into()), DynSolValue::Bool(true)]));
        let values = DynSolValue::Tuple(vec![
            DynSolValue::Array(texts.iter().cloned().map(DynSolValue::String).collect()),
            DynSolValue::FixedArray(vec![DynSolValue::Array(list)]),
            DynSolValue::Array(tuples.collect()),
        ]);
        let decoded = sent(&abi, &values.abi_encode_params()).unwrap();
        let expected: Vec<Value> = texts.iter().map(|text| Value::Text(text.as_str().into())).collect();
        prop_assert_eq!(&decoded[0], &Value::List(expected.into()));
    }
}
