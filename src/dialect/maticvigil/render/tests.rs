use super::*;
use crate::dialect::frame::Frames;
use crate::event::{Body, Hash, LedgerRef, Native, Place};
use crate::source::evm::native::{Call, Log, LogMeaning, Method, Parameter, Transaction, Value};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

const HASH: &str = "0xabababababababababababababababababababababababababababababababab";

/// A batch of one event.
fn batch(kind: EventKind, native: Option<Native>) -> LedgerBatch {
    LedgerBatch {
        source: 0,
        network: "evm-1".into(),
        epoch: 0,
        ledger: LedgerRef { index: 2_006_331, hash: None, parent: None, closed_at: 1_594_994_252 },
        continuity: None,
        events: vec![Event {
            id: "x".into(),
            kind,
            place: Place::new(3, kind, 7),
            transaction_hash: Some(Hash([0xab; 32])),
            subjects: Vec::new(),
            assets: Vec::new(),
            body: Body::Deploy { contract: "".into(), deployer: "".into() },
            native,
        }],
        native: None,
    }
}

/// The text of the one frame that a batch of one event gives, if it gives one.
fn text(big_integers: BigIntegers, batch: &LedgerBatch) -> Option<String> {
    let mut frames = Frames::default();
    MaticVigilRender::new(big_integers).event(batch, 0, &mut frames);
    assert!(frames.count() <= 1);
    let bytes = frames.to_bytes();
    let header = match bytes.get(1)? {
        0..126 => 2,
        126 => 4,
        _ => 10,
    };
    Some(String::from_utf8(bytes[header..].to_vec()).unwrap())
}

fn transaction(call: Call, input: &str) -> Transaction {
    Transaction {
        from: "0xa3f36a33e66adeb98e08fe1bd96b4c58517c64c4".into(),
        to: (call != Call::Deploy).then(|| "0x882834023bddcdbe7aa4409771c153c749ae6234".into()),
        input: input.into(),
        call,
        gas_used: 146_338,
        gas: 160_971,
        gas_price: "5000000000".into(),
        value: "0".into(),
        successful: true,
    }
}

fn shown(big_integers: BigIntegers, transaction: Transaction) -> String {
    let kind = if transaction.to.is_none() { EventKind::Deploy } else { EventKind::Transaction };
    text(big_integers, &batch(kind, Some(Native::new(transaction, 0)))).unwrap()
}

fn shown_log(big_integers: BigIntegers, meaning: LogMeaning) -> String {
    let log = Log { number: 15, index: 4, contract: "0x882834023bddcdbe7aa4409771c153c749ae6234".into(), meaning };
    text(big_integers, &batch(EventKind::ContractEvent, Some(Native::new(log, 0)))).unwrap()
}

fn event(data: Vec<(&str, Value)>) -> LogMeaning {
    let data = data.into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
    LogMeaning::Event { name: "NewPost".into(), data }
}

fn integer(digits: &str) -> Value {
    Value::Integer(digits.into())
}

fn post(arguments: Option<Box<[Value]>>) -> Call {
    let parameter = |name: &str, kind: &str| Parameter { name: name.into(), kind: kind.into() };
    let method = Method {
        name: "addPost".into(),
        signature: "addPost(string,(uint256,bool)[])".into(),
        selector: "4c57e97a".into(),
        hash: "0x4c57e97a18c1628fbfb2a25a3a647c8436a651a8b5fe081444d3e7e29017806d".into(),
        parameters: [parameter("title", "string"), parameter("", "(uint256,bool)[]")].into(),
    };
    Call::Method { method: Arc::new(method), arguments }
}

#[test]
fn a_call_to_the_letter() {
    let list = Value::List([Value::List([integer("7"), Value::Bool(true)].into())].into());
    let call = post(Some([Value::Text("a \"b\" ü\n".into()), list].into()));
    let expected = format!(
        r#"{{"type":"contractmon","txHash":"{HASH}","fromAddress":"0xa3f36a33e66adeb98e08fe1bd96b4c58517c64c4","input":"0x4c57e97a00","#
    ) + r#""inputJSON":{"method":{"name":"addPost","canonical_signature":"addPost(string,(uint256,bool)[])","#
        + r#""selector":"4c57e97a","hash":"0x4c57e97a18c1628fbfb2a25a3a647c8436a651a8b5fe081444d3e7e29017806d"},"#
        + r#""input_data":[{"param_name":"title","param_type":"string","value":"a \"b\" ü\n"},"#
        + r#"{"param_name":"","param_type":"(uint256,bool)[]","value":[[7,true]]}]},"#
        + r#""toAddress":"0x882834023bddcdbe7aa4409771c153c749ae6234","#
        + r#""gasUsed":146338,"gas":160971,"gasPrice":5000000000,"value":0,"status":1}"#;
    assert_eq!(shown(BigIntegers::Auto, transaction(call, "0x4c57e97a00")), expected);
}

#[test]
fn a_deploy_to_the_letter() {
    let mut deploy = transaction(Call::Deploy, "0x6080");
    deploy.successful = false;
    let expected = format!(
        r#"{{"type":"otm","txHash":"{HASH}","fromAddress":"0xa3f36a33e66adeb98e08fe1bd96b4c58517c64c4","input":"0x6080","#
    ) + r#""inputJSON":{"method":{"name":"ContractDeploy"},"input_data":"0x6080"},"toAddress":null,"#
        + r#""gasUsed":146338,"gas":160971,"gasPrice":5000000000,"value":0,"status":0}"#;
    assert_eq!(shown(BigIntegers::Auto, deploy), expected);
}

#[test]
fn a_log_to_the_letter() {
    let meaning =
        event(vec![("title", Value::Text("First Post".into())), ("id", integer("2")), ("arg2", integer("-1"))]);
    let expected = format!(r#"{{"type":"event","txHash":"{HASH}","logIndex":4,"blockNumber":2006331,"#)
        + r#""transactionIndex":3,"contract":"0x882834023bddcdbe7aa4409771c153c749ae6234","event_name":"NewPost","#
        + r#""event_data":{"title":"First Post","id":2,"arg2":-1},"maticvigil_event_id":15,"ctime":1594994252}"#;
    assert_eq!(shown_log(BigIntegers::Auto, meaning), expected);
    let without = shown_log(BigIntegers::Auto, event(Vec::new()));
    assert!(without.contains(r#""event_data":{},"#), "{without}");
}

#[test]
fn what_has_no_meaning_is_told_as_it_stands() {
    for (call, input, method, data) in [
        (Call::Receive, "0x", json!({ "name": "receive" }), json!("0x")),
        (Call::Fallback, "0x12", json!({ "name": "fallback" }), json!("0x12")),
    ] {
        let shown: serde_json::Value =
            serde_json::from_str(&shown(BigIntegers::Auto, transaction(call, input))).unwrap();
        assert_eq!(shown["inputJSON"], json!({ "method": method, "input_data": data }));
    }
    // A known selector keeps its method.
    let shown = shown(BigIntegers::Auto, transaction(post(None), "0x4c57e97a01"));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["inputJSON"]["method"]["selector"], "4c57e97a");
    assert_eq!(shown["inputJSON"]["input_data"], "0x4c57e97a01");

    let unknown = LogMeaning::Unknown { topics: ["0x11".into(), "0x22".into()].into(), data: "0x".into() };
    let log = shown_log(BigIntegers::Auto, unknown);
    let expected = r#""event_name":"anonymous","event_data":{"topics":["0x11","0x22"],"data":"0x"},"#;
    assert!(log.contains(expected), "{log}");
}

#[test]
fn a_call_without_parameters_has_an_empty_list() {
    let Call::Method { method, .. } = post(None) else { panic!() };
    let method = Arc::new(Method { parameters: [].into(), ..(*method).clone() });
    let shown =
        shown(BigIntegers::Auto, transaction(Call::Method { method, arguments: Some([].into()) }, "0x4c57e97a"));
    assert!(shown.contains(r#""input_data":[]}"#), "{shown}");
}

/// Around 2^53 and at the ends of 256 bits, in the three forms.
#[test]
fn integers_keep_every_digit() {
    let max = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    let min = "-57896044618658097711785492504343953926634992332820282019728792003956564819968";
    for (digits, safe) in [
        ("0", true),
        ("-1", true),
        ("9007199254740991", true),
        ("-9007199254740991", true),
        ("9007199254740992", false),
        ("-9007199254740992", false),
        ("9223372036854775808", false),
        ("18446744073709551616", false),
        (max, false),
        (min, false),
    ] {
        let (number, quoted) = (digits.to_owned(), format!("\"{digits}\""));
        let auto = if safe { &number } else { &quoted };
        for (big_integers, parameter, amount) in [
            (BigIntegers::Auto, auto, auto),
            (BigIntegers::Number, &number, &number),
            // `value` is no parameter.
            (BigIntegers::String, &quoted, auto),
        ] {
            let log = shown_log(big_integers, event(vec![("a", Value::List([integer(digits)].into()))]));
            assert!(log.contains(&format!(r#""event_data":{{"a":[{parameter}]}},"#)), "{big_integers:?}: {log}");
            let mut call = transaction(Call::Receive, "0x");
            (call.value, call.gas_price) = (digits.into(), digits.into());
            let call = shown(big_integers, call);
            let expected = format!(r#""gasPrice":{amount},"value":{amount},"status":1}}"#);
            assert!(call.ends_with(&expected), "{big_integers:?}: {call}");
        }
    }
}

#[test]
fn what_is_not_of_an_evm_chain_gives_nothing() {
    for kind in [EventKind::Transaction, EventKind::Deploy, EventKind::ContractEvent, EventKind::Payment] {
        assert_eq!(text(BigIntegers::Auto, &batch(kind, None)), None);
        assert_eq!(text(BigIntegers::Auto, &batch(kind, Some(Native::new((), 0)))), None);
    }
}

#[test]
fn equal_settings_share_a_rendering() {
    let forms = [BigIntegers::Auto, BigIntegers::Number, BigIntegers::String];
    let identities: std::collections::HashSet<_> = forms.map(|form| MaticVigilRender::new(form).identity()).into();
    assert_eq!(identities.len(), 3);
}

#[test]
fn a_large_message_is_sent() {
    let render = MaticVigilRender::new(BigIntegers::Auto);
    let input = format!("0x{}", "60".repeat(300 << 10));
    for (input, large) in [("0x60", false), (input.as_str(), true)] {
        let mut frames = Frames::default();
        render.event(&batch(EventKind::Deploy, Some(Native::new(transaction(Call::Deploy, input), 0))), 0, &mut frames);
        assert_eq!(frames.count(), 1);
        assert_eq!(frames.to_bytes().len() > LARGEST_TAKEN, large);
        assert_eq!(render.warned.load(Ordering::Relaxed), large);
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i128>().prop_map(|number| integer(&number.to_string())),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(|text| Value::Text(text.into())),
        "0x[0-9a-f]{0,8}".prop_map(|text| Value::Hex(text.into())),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(|list| Value::List(list.into())))
}

proptest! {
    /// Whatever a contract says, the message is JSON and says the same.
    #[test]
    fn any_value_comes_back(name in any::<String>(), value in value()) {
        for form in [BigIntegers::Auto, BigIntegers::String] {
            let shown = shown_log(form, event(vec![(&name, value.clone())]));
            let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
            prop_assert!(same(&value, &shown["event_data"][&name]), "{value:?} {shown}");
        }
        let shown = shown_log(BigIntegers::Number, event(vec![(&name, value.clone())]));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok());
    }
}

fn same(value: &Value, shown: &serde_json::Value) -> bool {
    match value {
        Value::Integer(digits) => shown.as_str().map_or_else(|| shown.to_string(), str::to_owned) == **digits,
        Value::Bool(value) => shown == value,
        Value::Text(text) | Value::Hex(text) => shown == &**text,
        Value::List(values) => shown.as_array().is_some_and(|list| {
            list.len() == values.len() && values.iter().zip(list).all(|(value, shown)| same(value, shown))
        }),
    }
}
