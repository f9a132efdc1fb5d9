//! Each operation that moves value, and who can forge none.

use super::*;

#[test]
fn every_operation_that_pays() {
    let balance = ClaimableBalanceId::ClaimableBalanceIdTypeV0(stellar_xdr::Hash([8; 32]));
    let balance_key = LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance { balance_id: balance.clone() });
    let entry = LedgerEntry {
        last_modified_ledger_seq: 1,
        data: LedgerEntryData::ClaimableBalance(ClaimableBalanceEntry {
            balance_id: balance.clone(),
            claimants: VecM::default(),
            asset: usdc(),
            amount: 77,
            ext: ClaimableBalanceEntryExt::V0,
        }),
        ext: LedgerEntryExt::V0,
    };
    let last = SimplePaymentResult { destination: account(2), asset: usdc(), amount: 55 };
    let no_offers = || VecM::<ClaimAtom>::default();
    let sent = vec![
        (payment(10), paid()),
        (
            operation(OperationBody::CreateAccount(CreateAccountOp { destination: account(2), starting_balance: 20 })),
            inner(OperationResultTr::CreateAccount(CreateAccountResult::Success)),
        ),
        (
            operation(OperationBody::AccountMerge(muxed(2))),
            inner(OperationResultTr::AccountMerge(AccountMergeResult::Success(30))),
        ),
        (
            operation(OperationBody::PathPaymentStrictReceive(PathPaymentStrictReceiveOp {
                send_asset: Asset::Native,
                send_max: 1000,
                destination: muxed(2),
                dest_asset: usdc(),
                dest_amount: 40,
                path: VecM::default(),
            })),
            inner(OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::Success(
                PathPaymentStrictReceiveResultSuccess { offers: no_offers(), last: last.clone() },
            ))),
        ),
        (
            operation(OperationBody::PathPaymentStrictSend(PathPaymentStrictSendOp {
                send_asset: Asset::Native,
                send_amount: 1000,
                destination: MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id: 99, ed25519: Uint256([2; 32]) }),
                dest_asset: usdc(),
                dest_min: 1,
                path: VecM::default(),
            })),
            inner(OperationResultTr::PathPaymentStrictSend(PathPaymentStrictSendResult::Success(
                PathPaymentStrictSendResultSuccess { offers: no_offers(), last },
            ))),
        ),
        (
            operation(OperationBody::CreateClaimableBalance(CreateClaimableBalanceOp {
                asset: usdc(),
                amount: 66,
                claimants: VecM::default(),
            })),
            inner(OperationResultTr::CreateClaimableBalance(CreateClaimableBalanceResult::Success(balance.clone()))),
        ),
        (
            operation(OperationBody::ClaimClaimableBalance(ClaimClaimableBalanceOp { balance_id: balance.clone() })),
            inner(OperationResultTr::ClaimClaimableBalance(ClaimClaimableBalanceResult::Success)),
        ),
        (operation(OperationBody::Inflation), inner(OperationResultTr::Inflation(InflationResult::NotTime))),
    ];
    let mut operations = vec![OperationMetaV2::default(); sent.len()];
    let changes = vec![LedgerEntryChange::State(entry), LedgerEntryChange::Removed(balance_key)];
    operations[6].changes = LedgerEntryChanges(changes.try_into().unwrap());
    let memo = Memo::Text("invoice 7".try_into().unwrap());
    let events = map(TESTNET, 9, vec![applied(4, memo, sent, operations)]);
    let (from, to, balance) = (account(1).to_string(), account(2).to_string(), balance.to_string());
    let expected = [
        (0, "payment", &from, &to, "native", 10),
        (1, "create_account", &from, &to, "native", 20),
        (2, "account_merge", &from, &to, "native", 30),
        (3, "path_payment_strict_receive", &from, &to, "USDC", 40),
        (4, "path_payment_strict_send", &from, &to, "USDC", 55),
        (5, "create_claimable_balance", &from, &balance, "USDC", 66),
        (6, "claim_claimable_balance", &balance, &from, "USDC", 77),
    ];
    let payments = of_kind(&events, &[EventKind::Payment]);
    assert_eq!(payments.len(), expected.len());
    for (event, (at, operation, from, to, asset, units)) in payments.iter().zip(expected) {
        let Body::Payment(body) = &event.body else { panic!() };
        assert_eq!(*event.id, format!("{}-p0", toid(9, 4, at)));
        assert_eq!(event.place, Place::new(4, EventKind::Payment, at.into()));
        assert_eq!((body.operation, &*body.from, &*body.to), (Some(operation), from.as_str(), to.as_str()));
        assert_eq!(body.amount, Some(Amount::from_units(units, 7)), "{operation}");
        assert!(event.assets[0].keys.contains(&asset.into()));
        assert_eq!(body.memo.as_deref(), Some("invoice 7"));
        assert_eq!(body.to_muxed_id.as_deref(), (at == 4).then_some("99"));
        assert_eq!(event.subjects.len(), if at == 4 { 3 } else { 2 });
    }
}

#[test]
fn contract_transfers_pay_only_where_the_contract_is_the_asset_s() {
    let network = network_hash(TESTNET);
    let parties = [ScAddress::Account(account(1)), ScAddress::Contract(ContractId(stellar_xdr::Hash([5; 32])))];
    let real = native_event(&network, "transfer", &parties, -1 << 70);
    let mut forged = real.clone();
    forged.contract_id = Some(ContractId(stellar_xdr::Hash([6; 32])));
    let mut system = real.clone();
    system.type_ = ContractEventType::System;
    let mut diagnostic = real.clone();
    diagnostic.type_ = ContractEventType::Diagnostic;
    let invoke = operation(OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
        host_function: HostFunction::UploadContractWasm(BytesM::default()),
        auth: VecM::default(),
    }));
    let done =
        inner(OperationResultTr::InvokeHostFunction(InvokeHostFunctionResult::Success(stellar_xdr::Hash([0; 32]))));
    let meta =
        OperationMetaV2 { events: vec![forged, real, system, diagnostic].try_into().unwrap(), ..Default::default() };
    let events = map(TESTNET, 9, vec![applied(1, Memo::None, vec![(invoke, done)], vec![meta])]);
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    use EventKind as K;
    assert_eq!(
        kinds,
        [
            K::Ledger,
            K::Transaction,
            K::ContractEvent,
            K::ContractEvent,
            K::SystemEvent,
            K::Payment,
            K::Payment,
            K::Payment
        ][..kinds.len()]
    );
    let Body::ContractEvent(forged) = &events[2].body else { panic!() };
    assert!(forged.movement.is_none() && events[2].assets.is_empty());
    let Body::ContractEvent(real) = &events[3].body else { panic!() };
    assert_eq!(real.movement.as_ref().unwrap().amount, Some(Amount::from_units(-1 << 70, 7)));
    let contract = ContractId(stellar_xdr::Hash(contract_of(&Asset::Native, &network).unwrap())).to_string();
    for key in [format!("account:{contract}"), format!("contract:{contract}"), format!("account:{}", account(1))] {
        assert!(events[3].subjects.contains(&key.as_str().into()), "{key}");
    }
    let payments = of_kind(&events, &[EventKind::Payment]);
    assert_eq!(*payments[0].id, format!("{}-p0", toid(9, 1, 0)));
    let Body::Payment(body) = &payments[0].body else { panic!() };
    assert_eq!((body.operation, body.to.as_bytes()[0]), (Some("invoke_host_function"), b'C'));
}

#[test]
fn a_failed_transaction_moves_nothing() {
    let mut failed = applied(1, Memo::Id(5), vec![(payment(1), paid())], Vec::new());
    failed.result.result = TransactionResultResult::TxFailed(vec![paid()].try_into().unwrap());
    let events = map(TESTNET, 9, vec![failed]);
    assert_eq!(events.len(), 2);
    let Body::Transaction(body) = &events[1].body else { panic!() };
    assert!(!body.successful);
    assert_eq!((body.memo.as_deref(), body.operation_count), (Some("5"), 1));
    assert_eq!(*events[1].id, *toid(9, 1, 0).to_string());
}
