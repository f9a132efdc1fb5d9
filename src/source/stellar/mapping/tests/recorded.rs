//! What real servers recorded.

use super::*;
use crate::source::stellar::forms;
use serde_json::value::{RawValue, to_raw_value};

/// The transactions of a recorded `getTransactions`, which are of one ledger.
fn recorded_events(file: &str, passphrase: &str) -> Option<(Value, Vec<Event>)> {
    let answer = recorded(file)?;
    let page: methods::Transactions = serde_json::from_value(answer.clone()).unwrap();
    let index = page.transactions[0].ledger;
    let network = network_hash(passphrase);
    let applied = page.transactions.iter().map(|sent| decode::transaction(sent, &network).unwrap()).collect();
    Some((answer, map(passphrase, index, applied)))
}

#[test]
fn a_recorded_ledger_of_the_public_network() {
    let Some((answer, events)) = recorded_events("getTransactions.mainnet-30820015.json", PUBNET) else { return };
    let Body::Ledger(facts) = events[0].body else { panic!() };
    assert_eq!((&*events[0].id, facts.transaction_count, facts.successful_count), ("30820015-ledger", 59, 44));
    let Some(expected) = recorded("getEvents.mainnet-30820015.xdrjson.json") else { return };
    let expected = expected["events"].as_array().unwrap();
    let emitted = of_kind(&events, &[EventKind::ContractEvent, EventKind::SystemEvent]);
    assert_eq!(emitted.len(), 62);
    for (event, expected) in emitted.iter().zip(expected) {
        let Body::ContractEvent(body) = &event.body else { panic!() };
        let json = |raw: &serde_json::value::RawValue| serde_json::from_str::<Value>(raw.get()).unwrap();
        assert_eq!(*event.id, *expected["id"].as_str().unwrap());
        assert_eq!(json(&body.topics), expected["topicJson"], "{}", event.id);
        assert_eq!(json(&body.data), expected["valueJson"], "{}", event.id);
        assert_eq!(body.contract.as_deref(), expected["contractId"].as_str());
        assert_eq!(body.transaction_index, expected["transactionIndex"]);
        assert_eq!(body.operation_index, expected["operationIndex"]);
        assert_eq!(body.in_successful_call, expected["inSuccessfulContractCall"]);
        assert_eq!(event.transaction_hash.unwrap().to_string(), expected["txHash"]);
        assert!(body.movement.is_some(), "{} is an asset contract's own", event.id);
    }
    let transactions = of_kind(&events, &[EventKind::Transaction]);
    for (event, sent) in transactions.iter().zip(answer["transactions"].as_array().unwrap()) {
        let Body::Transaction(body) = &event.body else { panic!() };
        assert_eq!(body.successful, sent["status"] == "SUCCESS");
        assert_eq!(body.application_order, sent["applicationOrder"]);
        assert_eq!(event.transaction_hash.unwrap().to_string(), sent["txHash"]);
    }
    // The one transfer of the ledger is one payment, muxed receiver and all.
    let transfer = emitted.iter().find_map(|event| match &event.body {
        Body::ContractEvent(body) => body.movement.clone().filter(|movement| movement.name == "transfer"),
        _ => None,
    });
    let transfer = transfer.unwrap();
    let mut paid = events.iter().filter_map(|event| match &event.body {
        Body::Payment(body) => Some(&**body),
        _ => None,
    });
    let same =
        |body: &&crate::event::Payment| Some(&body.from) == transfer.from.as_ref() && body.amount == transfer.amount;
    assert_eq!(paid.find(same).map(|body| &body.to), transfer.to.as_ref());
}

#[test]
fn a_recorded_ledger_of_the_test_network() {
    let Some((answer, events)) = recorded_events("getTransactions.testnet-337272.json", TESTNET) else { return };
    let kinds: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
    let Body::Ledger(facts) = events[0].body else { panic!() };
    assert_eq!((facts.transaction_count, facts.successful_count), (5, 4));
    // Exactly the events that the server itself lists for the transactions.
    let mut listed = 0;
    for sent in answer["transactions"].as_array().unwrap() {
        listed += sent["events"]["transactionEventsXdr"].as_array().map_or(0, Vec::len);
        let operations = sent["events"]["contractEventsXdr"].as_array();
        listed += operations.into_iter().flatten().map(|events| events.as_array().unwrap().len()).sum::<usize>();
    }
    let emitted = of_kind(&events, &[EventKind::ContractEvent, EventKind::SystemEvent]);
    assert_eq!(emitted.len(), listed, "{kinds:?}");
    // A failed fee bump: the outer account pays.
    let Body::Transaction(failed) = &of_kind(&events, &[EventKind::Transaction])[0].body else { panic!() };
    assert!(!failed.successful && failed.application_order == 1);
    let ids: Vec<_> = emitted.iter().map(|event| &*event.id).collect();
    assert!(ids.is_sorted());
    assert!(matches!(&emitted[0].body, Body::ContractEvent(body) if body.transaction_index == 0));
}

#[test]
fn recorded_trades() {
    let Some(record) = recorded("transaction.mainnet-trades.horizon.json") else { return };
    let text = |key: &str| record[key].as_str().unwrap().to_owned();
    let sent = methods::Transaction {
        ledger: 52_428_726,
        application_order: 3,
        tx_hash: None,
        envelope_xdr: text("envelope_xdr"),
        result_xdr: text("result_xdr"),
        result_meta_xdr: text("result_meta_xdr"),
        ..methods::Transaction::default()
    };
    let applied = decode::transaction(&sent, &network_hash(PUBNET)).unwrap();
    assert_eq!(applied.hash.to_string(), record["hash"]);
    let TransactionResultResult::TxFeeBumpInnerSuccess(inner) = applied.result.result.clone() else { panic!() };
    let InnerTransactionResultResult::TxSuccess(results) = inner.result.result else { panic!() };
    let OperationResult::OpInner(OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::Success(
        success,
    ))) = &results[0]
    else {
        panic!()
    };
    let atoms = success.offers.to_vec();
    let events = map(PUBNET, 52_428_726, vec![applied]);
    let trades = of_kind(&events, &[EventKind::Trade]);
    assert_eq!(trades.len(), 5);
    let (mut pools, mut offers) = (0, 0);
    for (at, (event, atom)) in trades.iter().zip(&atoms).enumerate() {
        let Body::Trade(body) = &event.body else { panic!() };
        assert_eq!(*event.id, format!("{}-t{at}", toid(52_428_726, 3, 0)));
        assert_eq!((event.place.transaction, event.place.sub), (3, at as u64));
        let (sold, bought) = match atom {
            ClaimAtom::OrderBook(atom) => {
                offers += 1;
                assert_eq!(body.offer.as_deref(), Some(&*atom.offer_id.to_string()));
                assert_eq!((&*body.seller, &body.pool), (&*atom.seller_id.to_string(), &None));
                (atom.amount_sold, atom.amount_bought)
            }
            ClaimAtom::LiquidityPool(atom) => {
                pools += 1;
                let pool = atom.liquidity_pool_id.to_string();
                assert!(pool.starts_with('L') && event.subjects.contains(&format!("account:{pool}").into()));
                assert_eq!((&*body.seller, body.pool.as_deref(), &body.offer), (&*pool, Some(&*pool), &None));
                (atom.amount_sold, atom.amount_bought)
            }
            ClaimAtom::V0(_) => panic!(),
        };
        assert_eq!(body.sold_amount, Some(Amount::from_units(sold.into(), 7)));
        assert_eq!(body.price, Some((bought.to_string().into(), sold.to_string().into())));
        // The operation acts for an account of its own, not for the transaction's.
        assert_eq!(*body.buyer, *record["fee_account"].as_str().unwrap());
        assert_eq!(event.assets.len(), 2);
    }
    assert_eq!((offers, pools), (2, 3));
    // What one maker sold the next one bought: the path is followed.
    let Body::Trade(first) = &trades[0].body else { panic!() };
    let Body::Payment(payment) = &of_kind(&events, &[EventKind::Payment])[0].body else { panic!() };
    assert_eq!(payment.operation, Some("path_payment_strict_receive"));
    assert_eq!(payment.amount, Some(Amount::from_units(11_352_859, 7)));
    assert_eq!(first.buyer, payment.from);
}

/// A contract call of one operation with these events.
fn called(hash: &Value, order: u32, meta: TransactionMeta) -> AppliedTransaction {
    let invoke = operation(OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
        host_function: HostFunction::UploadContractWasm(BytesM::default()),
        auth: VecM::default(),
    }));
    let done =
        inner(OperationResultTr::InvokeHostFunction(InvokeHostFunctionResult::Success(stellar_xdr::Hash([0; 32]))));
    let hash = Hash::from_hex(hash.as_str().unwrap()).unwrap();
    AppliedTransaction { hash, meta, ..applied(order, Memo::None, vec![(invoke, done)], Vec::new()) }
}

fn read<T: serde::de::DeserializeOwned>(json: &Value) -> T {
    forms::from_json(&to_raw_value(json).unwrap(), "recorded").unwrap()
}

#[test]
fn recorded_events_in_the_json_form() {
    for (ledger, transfers) in [(60_014_504, 4), (60_016_050, 0), (59_784_559, 2)] {
        let Some(sent) = recorded(&format!("getTransaction.mainnet-{ledger}.xdrjson.json")) else { return };
        let around: Vec<TransactionEvent> = read(&sent["events"]["transactionEventsJson"]);
        let inside: Vec<Vec<ContractEvent>> = read(&sent["events"]["contractEventsJson"]);
        let operations: Vec<_> = inside
            .into_iter()
            .map(|events| OperationMetaV2 { events: events.try_into().unwrap(), ..Default::default() })
            .collect();
        let meta = TransactionMeta::V4(TransactionMetaV4 {
            operations: operations.try_into().unwrap(),
            events: around.try_into().unwrap(),
            ..Default::default()
        });
        let order = sent["applicationOrder"].as_u64().unwrap() as u32;
        let events = map(PUBNET, ledger, vec![called(&sent["txHash"], order, meta)]);
        let emitted = of_kind(&events, &[EventKind::ContractEvent]);
        // Fee, what the call emitted, refund: in the order of their ids.
        let [before, after] = [0, 1].map(|at| &sent["events"]["transactionEventsJson"][at]["event"]);
        let inside = sent["events"]["contractEventsJson"][0].as_array().unwrap();
        let expected: Vec<_> = [before].into_iter().chain(inside).chain([after]).collect();
        assert_eq!(emitted.len(), expected.len());
        assert!(emitted.is_sorted_by(|one, next| one.id < next.id));
        for (event, expected) in emitted.iter().zip(&expected) {
            let Body::ContractEvent(body) = &event.body else { panic!() };
            let json = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).unwrap();
            assert_eq!(body.contract.as_deref(), expected["contract_id"].as_str());
            assert_eq!(json(&body.topics), expected["body"]["v0"]["topics"]);
            assert_eq!(json(&body.data), expected["body"]["v0"]["data"]);
        }
        let names = emitted.iter().filter_map(|event| match &event.body {
            Body::ContractEvent(body) => body.movement.as_ref().map(|movement| movement.name),
            _ => None,
        });
        let names: Vec<_> = names.collect();
        assert_eq!((names.first(), names.last()), (Some(&"fee"), Some(&"fee")));
        assert_eq!(names.iter().filter(|name| **name == "transfer").count(), transfers);
        assert_eq!(of_kind(&events, &[EventKind::Payment]).len(), transfers);
    }
}

/// The event that a recorded one of `getEvents` tells of.
fn emitted(recorded: &Value) -> ContractEvent {
    let value = |json: &Value| decode::xdr::<ScVal>(json.as_str().unwrap(), "value").unwrap();
    let topics: Vec<_> = recorded["topic"].as_array().into_iter().flatten().map(value).collect();
    ContractEvent {
        ext: ExtensionPoint::V0,
        contract_id: recorded["contractId"].as_str().filter(|id| !id.is_empty()).map(|id| id.parse().unwrap()),
        type_: match recorded["type"].as_str().unwrap() {
            "contract" => ContractEventType::Contract,
            "system" => ContractEventType::System,
            _ => ContractEventType::Diagnostic,
        },
        body: ContractEventBody::V0(ContractEventV0 {
            topics: topics.try_into().unwrap(),
            data: value(&recorded["value"]),
        }),
    }
}

/// The network that nodes make for themselves alone.
const STANDALONE: &str = "Standalone Network ; February 2017";

#[test]
fn recorded_events_between_the_fee_and_its_refund() {
    let Some(answer) = recorded("getEvents.local-p23.json") else { return };
    let recorded = answer["events"].as_array().unwrap();
    let [fee, first, second, refund] = &recorded[..] else { panic!() };
    let around = [(TransactionEventStage::BeforeAllTxs, fee), (TransactionEventStage::AfterAllTxs, refund)];
    let around = around.map(|(stage, event)| TransactionEvent { stage, event: emitted(event) });
    let inside = vec![emitted(first), emitted(second)];
    let operation = OperationMetaV2 { events: inside.try_into().unwrap(), ..Default::default() };
    let meta = TransactionMeta::V4(TransactionMetaV4 {
        operations: vec![operation].try_into().unwrap(),
        events: around.to_vec().try_into().unwrap(),
        ..Default::default()
    });
    let events = map(STANDALONE, 2081, vec![called(&fee["txHash"], 1, meta)]);
    let mapped = of_kind(&events, &[EventKind::ContractEvent]);
    assert_eq!(mapped.len(), recorded.len());
    for (event, recorded) in mapped.iter().zip(recorded) {
        let Body::ContractEvent(body) = &event.body else { panic!() };
        assert_eq!(*event.id, *recorded["id"].as_str().unwrap());
        assert_eq!(event.transaction_hash.unwrap().to_string(), recorded["txHash"]);
        assert_eq!(body.contract.as_deref(), recorded["contractId"].as_str());
        assert_eq!(body.transaction_index, recorded["transactionIndex"]);
        assert_eq!(body.operation_index, recorded["operationIndex"]);
        assert_eq!(body.movement.is_some(), recorded["transactionIndex"] != 1);
    }
    let Body::ContractEvent(refund) = &mapped[3].body else { panic!() };
    assert_eq!(refund.movement.as_ref().unwrap().amount, Some(Amount::from_units(-104_929, 7)));
    assert!(of_kind(&events, &[EventKind::Payment]).is_empty(), "fees are no payments");
}

#[test]
fn recorded_events_of_an_older_server() {
    let Some(answer) = recorded("getEvents.local-p22-legacy.json") else { return };
    let recorded = answer["events"].as_array().unwrap();
    let contract: Vec<_> = recorded.iter().filter(|event| event["type"] == "contract").collect();
    assert!(!contract.is_empty() && contract.len() < recorded.len());
    // Diagnostic ones never come out, not even where a server puts them among the others.
    let events: Vec<_> = recorded.iter().map(emitted).collect();
    let meta = TransactionMeta::V3(TransactionMetaV3 {
        soroban_meta: Some(SorobanTransactionMeta { events: events.try_into().unwrap(), ..Default::default() }),
        ..Default::default()
    });
    let events = map(STANDALONE, 356, vec![called(&recorded[0]["txHash"], 1, meta)]);
    let mapped = of_kind(&events, &[EventKind::ContractEvent, EventKind::SystemEvent]);
    // Its ids count the diagnostic ones, too.
    let ids = |at: &Value| at["id"].as_str().unwrap().to_owned();
    assert_eq!(
        mapped.iter().map(|event| event.id.to_string()).collect::<Vec<_>>(),
        Vec::from_iter(contract.iter().map(|event| ids(event)))
    );
}
