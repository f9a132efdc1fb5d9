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

#[test]
fn metadata_with_more_operations_than_ids_can_tell_is_refused() {
    let network = network_hash(TESTNET);
    let event = || native_event(&network, "fee", &[ScAddress::Account(account(1))], 5);
    // The event of the operation would have the id of the one after the transaction.
    let last = OperationMetaV2 { events: vec![event()].try_into().unwrap(), ..Default::default() };
    let operations = [vec![OperationMetaV2::default(); 4095], vec![last]].concat();
    let mut applied = applied(1, Memo::None, vec![(payment(1), paid())], operations);
    let TransactionMeta::V4(meta) = &mut applied.meta else { panic!() };
    let after = TransactionEvent { stage: TransactionEventStage::AfterTx, event: event() };
    meta.events = vec![after].try_into().unwrap();
    let refused = events(&closed(9, vec![applied]), &mut AssetContracts::new(network)).unwrap_err();
    assert_eq!(refused, "operation 4095 of transaction 1 emits events");
}

/// The muxed form of an account of the chain.
fn with_id(number: u8, id: u64) -> MuxedAccount {
    MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id, ed25519: Uint256([number; 32]) })
}

#[test]
fn memos_of_all_kinds_are_text() {
    let text = |bytes: &[u8]| Memo::Text(bytes.to_vec().try_into().unwrap());
    let hash = stellar_xdr::Hash([0xab; 32]);
    for (memo, expected) in [
        (Memo::None, None),
        (text(b"order 66"), Some("order 66".to_owned())),
        (text(b""), Some(String::new())),
        (text(&[b'a', 0xff]), Some("a\u{fffd}".to_owned())),
        (Memo::Id(u64::MAX), Some("18446744073709551615".to_owned())),
        (Memo::Hash(hash.clone()), Some("ab".repeat(32))),
        (Memo::Return(hash), Some("ab".repeat(32))),
    ] {
        let events = map(TESTNET, 9, vec![applied(1, memo, vec![(payment(1), paid())], Vec::new())]);
        let Body::Transaction(transaction) = &events[1].body else { panic!() };
        let Body::Payment(payment) = &events[2].body else { panic!() };
        assert_eq!((transaction.memo.as_deref(), payment.memo.as_deref()), (expected.as_deref(), expected.as_deref()));
    }
}

/// A fee bump by a muxed account 7 around a payment of a muxed account 1.
fn fee_bump(inner_result: InnerTransactionResultResult) -> AppliedTransaction {
    let mut applied = applied(1, Memo::Text("inner".try_into().unwrap()), vec![(payment(5), paid())], Vec::new());
    let TransactionEnvelope::Tx(mut inside) = applied.envelope else { panic!() };
    inside.tx.source_account = with_id(1, 11);
    applied.envelope = TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope {
        tx: FeeBumpTransaction {
            fee_source: with_id(7, 77),
            fee: 400,
            inner_tx: FeeBumpTransactionInnerTx::Tx(inside),
            ext: FeeBumpTransactionExt::V0,
        },
        signatures: VecM::default(),
    });
    let succeeded = matches!(inner_result, InnerTransactionResultResult::TxSuccess(_));
    let pair = InnerTransactionResultPair {
        transaction_hash: stellar_xdr::Hash([0xee; 32]),
        result: InnerTransactionResult { fee_charged: 0, result: inner_result, ext: InnerTransactionResultExt::V0 },
    };
    applied.result.result = match succeeded {
        true => TransactionResultResult::TxFeeBumpInnerSuccess(pair),
        false => TransactionResultResult::TxFeeBumpInnerFailed(pair),
    };
    applied
}

#[test]
fn a_fee_bump_is_found_under_all_who_take_part_and_has_the_inner_memo() {
    let results: VecM<OperationResult> = vec![paid()].try_into().unwrap();
    let events = map(TESTNET, 9, vec![fee_bump(InnerTransactionResultResult::TxSuccess(results.clone()))]);
    let Body::Transaction(transaction) = &events[1].body else { panic!() };
    let (source, payer) = (account(1).to_string(), account(7).to_string());
    assert_eq!((&*transaction.source_account, &*transaction.fee_account), (source.as_str(), payer.as_str()));
    assert_eq!((transaction.memo.as_deref(), transaction.successful), (Some("inner"), true));
    assert_eq!(events[1].transaction_hash, Some(Hash([1; 32])), "the outer one");
    let muxed = [with_id(1, 11), with_id(7, 77)].map(|muxed| muxed.to_string());
    for name in [&source, &payer, &account(2).to_string(), &muxed[0], &muxed[1]] {
        assert!(events[1].subjects.contains(&format!("account:{name}").into()), "{name}");
    }
    let Body::Payment(payment) = &events[2].body else { panic!() };
    assert_eq!((&*payment.from, payment.memo.as_deref()), (source.as_str(), Some("inner")));
    assert!(events[2].subjects.contains(&format!("account:{}", muxed[0]).into()));
    assert!(!events[2].subjects.contains(&format!("account:{payer}").into()), "who pays the fee pays nobody");

    // The bump itself worked, what is inside did not.
    let events = map(TESTNET, 9, vec![fee_bump(InnerTransactionResultResult::TxFailed(results))]);
    assert_eq!(events.len(), 2);
    let Body::Transaction(transaction) = &events[1].body else { panic!() };
    assert_eq!((transaction.memo.as_deref(), transaction.successful), (Some("inner"), false));
}

#[test]
fn the_oldest_envelopes_are_read() {
    let mut applied = applied(1, Memo::Id(3), vec![(payment(5), paid())], Vec::new());
    let TransactionEnvelope::Tx(newer) = applied.envelope else { panic!() };
    applied.envelope = TransactionEnvelope::TxV0(TransactionV0Envelope {
        tx: TransactionV0 {
            source_account_ed25519: Uint256([6; 32]),
            fee: 100,
            seq_num: newer.tx.seq_num,
            time_bounds: None,
            memo: newer.tx.memo,
            operations: newer.tx.operations,
            ext: TransactionV0Ext::V0,
        },
        signatures: VecM::default(),
    });
    let events = map(TESTNET, 9, vec![applied]);
    let Body::Payment(payment) = &events[2].body else { panic!() };
    assert_eq!((&*payment.from, payment.memo.as_deref()), (&*account(6).to_string(), Some("3")));
}

/// A claim of a balance of 77 and the changes that tell so, and a contract's transfer of 5.
fn in_metadata(version: i32) -> Vec<Event> {
    let balance_id = ClaimableBalanceId::ClaimableBalanceIdTypeV0(stellar_xdr::Hash([8; 32]));
    let entry = |amount| LedgerEntry {
        last_modified_ledger_seq: 1,
        data: LedgerEntryData::ClaimableBalance(ClaimableBalanceEntry {
            balance_id: balance_id.clone(),
            claimants: VecM::default(),
            asset: Asset::Native,
            amount,
            ext: ClaimableBalanceEntryExt::V0,
        }),
        ext: LedgerEntryExt::V0,
    };
    let key = LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance { balance_id: balance_id.clone() });
    let changes = vec![LedgerEntryChange::State(entry(77)), LedgerEntryChange::Removed(key)];
    let changes = LedgerEntryChanges(changes.try_into().unwrap());
    let parties = [1, 2].map(|number| ScAddress::Account(account(number)));
    let network = network_hash(TESTNET);
    let transfer: VecM<ContractEvent> = vec![native_event(&network, "transfer", &parties, 5)].try_into().unwrap();
    let older = || vec![OperationMeta { changes: changes.clone() }].try_into().unwrap();
    let newer = OperationMetaV2 { ext: ExtensionPoint::V0, changes: changes.clone(), events: transfer.clone() };
    let fee = native_event(&network, "fee", &parties[..1], 100);
    let meta = match version {
        0 => TransactionMeta::V0(older()),
        1 => TransactionMeta::V1(TransactionMetaV1 { operations: older(), ..Default::default() }),
        2 => TransactionMeta::V2(TransactionMetaV2 { operations: older(), ..Default::default() }),
        3 => TransactionMeta::V3(TransactionMetaV3 {
            operations: older(),
            soroban_meta: Some(SorobanTransactionMeta { events: transfer, ..Default::default() }),
            ..Default::default()
        }),
        _ => TransactionMeta::V4(TransactionMetaV4 {
            operations: vec![newer].try_into().unwrap(),
            events: vec![TransactionEvent { stage: TransactionEventStage::BeforeAllTxs, event: fee }]
                .try_into()
                .unwrap(),
            ..Default::default()
        }),
    };
    let claim = operation(OperationBody::ClaimClaimableBalance(ClaimClaimableBalanceOp { balance_id }));
    let done = inner(OperationResultTr::ClaimClaimableBalance(ClaimClaimableBalanceResult::Success));
    map(TESTNET, 9, vec![AppliedTransaction { meta, ..applied(1, Memo::None, vec![(claim, done)], Vec::new()) }])
}

#[test]
fn metadata_of_all_versions() {
    use EventKind as K;
    for version in 0..=4 {
        let events = in_metadata(version);
        let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
        let expected: &[K] = match version {
            // Before contracts, and before events of fees.
            0..=2 => &[K::Ledger, K::Transaction, K::Payment],
            3 => &[K::Ledger, K::Transaction, K::ContractEvent, K::Payment],
            _ => &[K::Ledger, K::ContractEvent, K::Transaction, K::ContractEvent, K::Payment],
        };
        assert_eq!(kinds, expected, "version {version}");
        // The transfer of an operation that calls no contract is no second payment.
        let Body::Payment(paid) = &events.last().unwrap().body else { panic!() };
        assert_eq!(paid.amount, Some(Amount::from_units(77, 7)), "version {version}");
        if let Some(emitted) = events.iter().rfind(|event| event.kind == K::ContractEvent) {
            assert_eq!(*emitted.id, format!("{:019}-0000000000", toid(9, 1, 0)));
            assert!(matches!(&emitted.body, Body::ContractEvent(body) if body.movement.is_some()));
        }
    }
}
