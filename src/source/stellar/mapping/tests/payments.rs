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
    // What is no contract's own word pays nobody, and diagnostic events do not come out at all.
    assert_eq!(kinds, [K::Ledger, K::Transaction, K::ContractEvent, K::ContractEvent, K::SystemEvent, K::Payment]);
    assert!(matches!(&events[4].body, Body::ContractEvent(body) if body.movement.is_none()));
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

/// The muxed form of an account of the chain, and its name.
fn with_id(number: u8, id: u64) -> (MuxedAccount, String) {
    let muxed = MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id, ed25519: Uint256([number; 32]) });
    let name = muxed.to_string();
    assert!(name.starts_with('M'));
    (muxed, name)
}

#[test]
fn muxed_parties_are_named_by_account_and_found_under_both() {
    let ((source, source_name), (acting, acting_name), (to, to_name)) = (with_id(1, 5), with_id(3, 6), with_id(2, 7));
    let by_source = OperationBody::Payment(PaymentOp { destination: to, asset: Asset::Native, amount: 10 });
    let by_acting = Operation { source_account: Some(acting), body: by_source.clone() };
    let sent = vec![(operation(by_source), paid()), (by_acting, paid())];
    let mut applied = applied(1, Memo::None, sent, Vec::new());
    let TransactionEnvelope::Tx(envelope) = &mut applied.envelope else { panic!() };
    envelope.tx.source_account = source;
    let events = map(TESTNET, 9, vec![applied]);
    let keys = |names: &[&str]| -> Vec<crate::event::Key> {
        names.iter().map(|name| format!("account:{name}").into()).collect()
    };
    let [one, two, three] = [1, 2, 3].map(|number| account(number).to_string());
    let payments = of_kind(&events, &[EventKind::Payment]);
    let by = [(&one, &source_name, "5"), (&three, &acting_name, "6")];
    for (event, (from, from_name, id)) in payments.iter().zip(by) {
        let Body::Payment(body) = &event.body else { panic!() };
        assert_eq!((&*body.from, &*body.to, body.to_muxed_id.as_deref()), (&**from, &*two, Some("7")));
        assert_eq!(body.from_muxed_id.as_deref(), Some(id));
        assert_eq!(event.subjects, keys(&[from, from_name, &two, &to_name]));
    }
    assert_eq!(events[1].subjects, keys(&[&one, &source_name, &two, &to_name, &three, &acting_name]));
}

#[test]
fn each_verified_transfer_of_a_call_is_a_payment_with_its_receiver_s_id() {
    let network = network_hash(TESTNET);
    let parties = [1, 2].map(|number| ScAddress::Account(account(number)));
    let transfer = |units, id: Option<ScVal>| {
        let mut event = native_event(&network, "transfer", &parties, units);
        let ContractEventBody::V0(body) = &mut event.body;
        if let Some(id) = id {
            let entry = |key: &str, val| ScMapEntry { key: ScVal::Symbol(ScSymbol(key.try_into().unwrap())), val };
            let entries = vec![entry("amount", body.data.clone()), entry("to_muxed_id", id)];
            body.data = ScVal::Map(Some(ScMap(entries.try_into().unwrap())));
        }
        event
    };
    let mut forged = transfer(4, None);
    forged.contract_id = Some(ContractId(stellar_xdr::Hash([6; 32])));
    // The right contract, but an asset that it is not.
    let mut misnamed = transfer(5, None);
    let ContractEventBody::V0(body) = &mut misnamed.body;
    let mut topics = body.topics.to_vec();
    topics[3] =
        ScVal::String(ScString("USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN".try_into().unwrap()));
    body.topics = topics.try_into().unwrap();
    let text = ScVal::String(ScString("desk 4".try_into().unwrap()));
    let bytes = |bytes: Vec<u8>| ScVal::Bytes(ScBytes(bytes.try_into().unwrap()));
    let emitted = vec![
        transfer(1, None),
        forged,
        transfer(2, Some(ScVal::U64(99))),
        misnamed,
        native_event(&network, "mint", &parties[..1], 6),
        transfer(3, Some(text)),
        transfer(7, Some(bytes(vec![0xcd; 32]))),
        transfer(8, Some(bytes(vec![1]))),
    ];
    let count = emitted.len();
    let invoke = operation(OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
        host_function: HostFunction::UploadContractWasm(BytesM::default()),
        auth: VecM::default(),
    }));
    let done =
        inner(OperationResultTr::InvokeHostFunction(InvokeHostFunctionResult::Success(stellar_xdr::Hash([0; 32]))));
    let meta = OperationMetaV2 { events: emitted.try_into().unwrap(), ..Default::default() };
    let events = map(TESTNET, 9, vec![applied(1, Memo::Id(1), vec![(invoke, done)], vec![meta])]);
    assert_eq!(of_kind(&events, &[EventKind::ContractEvent]).len(), count);
    let payments = of_kind(&events, &[EventKind::Payment]);
    let hash = "cd".repeat(32);
    let expected = [(1, None), (2, Some("99")), (3, Some("desk 4")), (7, Some(&*hash)), (8, None)];
    assert_eq!(payments.len(), expected.len());
    for (at, (event, (units, id))) in payments.iter().zip(expected).enumerate() {
        let Body::Payment(body) = &event.body else { panic!() };
        assert_eq!(*event.id, format!("{}-p{at}", toid(9, 1, 0)));
        assert_eq!(body.amount, Some(Amount::from_units(units, 7)));
        assert_eq!((body.to_muxed_id.as_deref(), body.memo.as_deref()), (id, Some("1")));
        // Only a number makes an M… address.
        assert_eq!(event.subjects.len(), if units == 2 { 3 } else { 2 });
    }
}

#[test]
fn no_way_to_fail_pays_or_trades() {
    let results: VecM<OperationResult> = vec![paid()].try_into().unwrap();
    let atom = ClaimAtom::OrderBook(ClaimOfferAtom {
        seller_id: account(3),
        offer_id: 1,
        asset_sold: usdc(),
        amount_sold: 1,
        asset_bought: Asset::Native,
        amount_bought: 1,
    });
    let traded = inner(OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(ManageOfferSuccessResult {
        offers_claimed: vec![atom].try_into().unwrap(),
        offer: ManageOfferSuccessResultOffer::Deleted,
    })));
    for result in [
        TransactionResultResult::TxFailed(results),
        TransactionResultResult::TxFailed(vec![traded].try_into().unwrap()),
        TransactionResultResult::TxBadSeq,
        TransactionResultResult::TxInternalError,
        TransactionResultResult::TxSorobanInvalid,
    ] {
        let mut failed = applied(1, Memo::None, vec![(payment(1), paid())], Vec::new());
        failed.result.result = result.clone();
        let kinds: Vec<_> = map(TESTNET, 9, vec![failed]).iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::Ledger, EventKind::Transaction], "{result:?}");
    }
    // A successful transaction has successful operations only; what says otherwise moves nothing.
    let events =
        map(TESTNET, 9, vec![applied(1, Memo::None, vec![(payment(1), OperationResult::OpBadAuth)], Vec::new())]);
    assert_eq!(events.len(), 2);
}
