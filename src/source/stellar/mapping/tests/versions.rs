//! Envelopes, results and metadata of every version.

use super::*;

#[test]
fn events_around_transactions_have_places_of_their_own() {
    let network = network_hash(TESTNET);
    let payer = [ScAddress::Account(account(1))];
    let stages =
        [TransactionEventStage::BeforeAllTxs, TransactionEventStage::AfterTx, TransactionEventStage::AfterAllTxs];
    let transactions = (1..=2).map(|order| {
        let mut applied = applied(order, Memo::None, vec![(payment(1), paid())], vec![OperationMetaV2::default()]);
        let fees = stages.map(|stage| TransactionEvent { stage, event: native_event(&network, "fee", &payer, 5) });
        let TransactionMeta::V4(meta) = &mut applied.meta else { panic!() };
        meta.events = fees.to_vec().try_into().unwrap();
        applied
    });
    let events = map(TESTNET, 9, transactions.collect());
    let ids: Vec<_> =
        events.iter().filter(|event| event.kind == EventKind::ContractEvent).map(|event| &*event.id).collect();
    let id = |transaction, operation, index: u32| format!("{:019}-{index:010}", toid(9, transaction, operation));
    let around = 1_048_575;
    assert_eq!(ids, [id(0, 0, 0), id(0, 0, 1), id(1, 4095, 0), id(2, 4095, 0), id(around, 0, 0), id(around, 0, 1)]);
    assert!(ids.is_sorted());
}
