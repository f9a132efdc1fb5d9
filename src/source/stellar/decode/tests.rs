use super::*;
use crate::source::stellar::assets::network_hash;
use crate::source::stellar::testing::{Chain, recorded};
use serde_json::value::to_raw_value;
use stellar_xdr::{ScVal, ScVec};

#[test]
fn recorded_metadata() {
    let Some(answer) = recorded("getLedgers.testnet-36233.json") else { return };
    let answer: methods::Ledgers = serde_json::from_value(answer).unwrap();
    let network = network_hash(crate::source::stellar::TESTNET);
    let closed: Vec<_> = answer.ledgers.iter().map(|ledger| metadata(ledger, &network).unwrap()).collect();
    assert_eq!([closed[0].index, closed[1].index], [36_233, 36_234]);
    assert_eq!(closed[1].parent, closed[0].hash);
    assert_eq!(closed[0].closed_at, 1_734_032_457);
    let alone = header(&answer.ledgers[0]).unwrap();
    assert_eq!((alone.hash, alone.parent), (closed[0].hash, closed[0].parent));
}

/// The chain's ledger 6, of four transactions, in both forms.
fn ledger(chain: &Chain) -> [methods::Ledger; 2] {
    let base64: methods::Ledger = serde_json::from_value(chain.ledger(6).unwrap()).unwrap();
    let header: LedgerHeaderHistoryEntry = xdr(&base64.header_xdr, "header").unwrap();
    let json = methods::Ledger {
        hash: base64.hash.clone(),
        sequence: base64.sequence,
        header_json: Some(to_raw_value(&header).unwrap()),
        metadata_json: Some(to_raw_value(&meta(&base64)).unwrap()),
        ..Default::default()
    };
    [base64, json]
}

fn meta(ledger: &methods::Ledger) -> LedgerCloseMeta {
    xdr(&ledger.metadata_xdr, "metadata").unwrap()
}

#[test]
fn both_forms_say_the_same() {
    let chain = Chain::new(5, 3, 4);
    let [base64, json] = ledger(&chain).map(|ledger| metadata(&ledger, &chain.network()).unwrap());
    assert_eq!(base64.transactions.len(), 4);
    assert_eq!(format!("{base64:?}"), format!("{json:?}"));
    let [base64, json] = ledger(&chain).map(|ledger| header(&ledger).unwrap());
    assert_eq!(format!("{base64:?}"), format!("{json:?}"));
    for applied in metadata(&ledger(&chain)[0], &chain.network()).unwrap().transactions {
        let sent = methods::Transaction {
            application_order: applied.order,
            envelope_json: Some(to_raw_value(&applied.envelope).unwrap()),
            result_json: Some(to_raw_value(&applied.result).unwrap()),
            result_meta_json: Some(to_raw_value(&applied.meta).unwrap()),
            ..Default::default()
        };
        let read = transaction(&sent, &chain.network()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{applied:?}"));
    }
    let bad = RawValue::from_string("{}".into()).unwrap();
    let bad = methods::Ledger { metadata_json: Some(bad), ..Default::default() };
    assert!(metadata(&bad, &[0; 32]).unwrap_err().starts_with("metadataJson: "));
    assert!(header(&bad).unwrap_err().starts_with("headerXdr: "));
}

#[test]
fn a_header_must_have_its_hash_and_the_results_that_of_the_header() {
    let chain = Chain::new(5, 3, 4);
    let [mut ledger, _] = ledger(&chain);
    let good = meta(&ledger);
    let mut refusal = |change: &dyn Fn(&mut stellar_xdr::LedgerCloseMetaV2)| {
        let mut meta = good.clone();
        let LedgerCloseMeta::V2(inside) = &mut meta else { panic!() };
        change(inside);
        ledger.metadata_xdr = meta.to_xdr_base64(Limits::none()).unwrap();
        metadata(&ledger, &chain.network()).err()
    };
    assert_eq!(refusal(&|_| ()), None);
    let reason = refusal(&|meta| meta.ledger_header.header.total_coins += 1).unwrap();
    assert!(reason.starts_with("the header of ledger 6 has the hash "), "{reason}");
    let reason = refusal(&|meta| {
        let mut done = meta.tx_processing.to_vec();
        done[1].result.result.fee_charged += 1;
        meta.tx_processing = done.try_into().unwrap();
    });
    assert!(reason.unwrap().starts_with("the 4 results of ledger 6 are not those of its header"));
    let reason = refusal(&|meta| {
        let mut done = meta.tx_processing.to_vec();
        done.swap(0, 1);
        meta.tx_processing = done.try_into().unwrap();
    });
    assert!(reason.unwrap().starts_with("the 4 results of ledger 6"));
}

#[test]
fn transactions_read_singly_must_all_be_there() {
    let chain = Chain::new(5, 3, 4);
    let [ledger, _] = ledger(&chain);
    let whole = metadata(&ledger, &chain.network()).unwrap();
    let mut read = header(&ledger).unwrap();
    assert!(check_results(&read).is_err());
    read.transactions = whole.transactions;
    assert_eq!(check_results(&read), Ok(()));
    read.transactions.pop();
    assert!(check_results(&read).unwrap_err().starts_with("the 3 results of ledger 6"));
    let first = ClosedLedger { index: 1, transactions: Vec::new(), results_hash: Hash([0; 32]), ..read };
    assert_eq!(check_results(&first), Ok(()));
}

#[test]
fn a_transaction_must_have_its_hash() {
    let Some(mut answer) = recorded("getTransactions.testnet-337272.json") else { return };
    let sent = answer["transactions"][0].take();
    let mut sent: methods::Transaction = serde_json::from_value(sent).unwrap();
    let network = network_hash(crate::source::stellar::TESTNET);
    assert_eq!(transaction(&sent, &network).unwrap().hash.to_string(), *sent.tx_hash.as_ref().unwrap());
    for wrong in ["x".to_owned(), "00".repeat(32)] {
        sent.tx_hash = Some(wrong);
        assert!(transaction(&sent, &network).unwrap_err().starts_with("txHash"));
    }
}

#[test]
fn envelopes_find_their_results_whatever_their_order() {
    let chain = Chain::new(5, 3, 4);
    let ledger: methods::Ledger = serde_json::from_value(chain.ledger(6).unwrap()).unwrap();
    let closed = metadata(&ledger, &chain.network()).unwrap();
    // The chain puts envelopes into the set backwards.
    let orders: Vec<_> = closed.transactions.iter().map(|applied| applied.order).collect();
    assert_eq!(orders, [1, 2, 3, 4]);
    for applied in &closed.transactions {
        assert_eq!(applied.envelope.hash(chain.network()).unwrap(), applied.hash.0);
    }
    assert!(metadata(&ledger, &[0; 32]).unwrap_err().contains("no envelope for transaction"));
    let other = methods::Ledger { sequence: 7, ..ledger };
    assert!(metadata(&other, &chain.network()).unwrap_err().contains("header of ledger 6"));
}

#[test]
fn what_is_cut_or_too_deep_is_refused() {
    let good = ScVal::U32(7).to_xdr_base64(Limits::none()).unwrap();
    assert_eq!(xdr::<ScVal>(&good, "value"), Ok(ScVal::U32(7)));
    for bad in ["", "AAAA", "!", &good[..4], &good.repeat(2)] {
        assert!(xdr::<ScVal>(bad, "value").unwrap_err().starts_with("value: "), "{bad}");
    }
    let mut deep = ScVal::Void;
    for _ in 0..300 {
        deep = ScVal::Vec(Some(ScVec(vec![deep].try_into().unwrap())));
    }
    let deep = deep.to_xdr_base64(Limits::none()).unwrap();
    assert!(xdr::<ScVal>(&deep, "value").is_err());
}
