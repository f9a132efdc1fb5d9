use super::*;
use crate::event::{Amount, Hash};
use crate::source::stellar::assets::{contract_of, network_hash, parse};
use crate::source::stellar::decode::{self, AppliedTransaction};
use crate::source::stellar::testing::{account, envelope, muxed, native_event, paid, payment, recorded, succeeded};
use crate::source::stellar::{PUBNET, TESTNET, methods};
use serde_json::Value;
use stellar_xdr::*;

type Xdr<T> = stellar_xdr::VecM<T>;

fn closed(index: u32, transactions: Vec<AppliedTransaction>) -> ClosedLedger {
    let [hash, parent, results_hash] = [1, 0, 2].map(|byte| Hash([byte; 32]));
    ClosedLedger { index, hash, parent, closed_at: 1_700_000_000, transactions, results_hash }
}

fn map(passphrase: &str, index: u32, transactions: Vec<AppliedTransaction>) -> Vec<Event> {
    let events = events(&closed(index, transactions), &mut AssetContracts::new(network_hash(passphrase))).unwrap();
    assert!(events.windows(2).all(|pair| pair[0].place < pair[1].place));
    let mut ids: Vec<_> = events.iter().map(|event| &event.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), events.len(), "an id twice");
    events
}

/// The transactions of a recorded `getTransactions`, which are of one ledger.
fn recorded_events(file: &str, passphrase: &str) -> Option<(Value, Vec<Event>)> {
    let answer = recorded(file)?;
    let page: methods::Transactions = serde_json::from_value(answer.clone()).unwrap();
    let index = page.transactions[0].ledger;
    let network = network_hash(passphrase);
    let applied = page.transactions.iter().map(|sent| decode::transaction(sent, &network).unwrap()).collect();
    Some((answer, map(passphrase, index, applied)))
}

fn of_kind(events: &[Event], kinds: &[EventKind]) -> Vec<Event> {
    events.iter().filter(|event| kinds.contains(&event.kind)).cloned().collect()
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

fn applied(
    order: u32,
    memo: Memo,
    sent: Vec<(Operation, OperationResult)>,
    operations: Vec<OperationMetaV2>,
) -> AppliedTransaction {
    let (sent, results) = sent.into_iter().unzip();
    AppliedTransaction {
        order,
        hash: Hash([order as u8; 32]),
        envelope: envelope(order.into(), memo, sent),
        result: succeeded(results),
        meta: TransactionMeta::V4(TransactionMetaV4 {
            operations: operations.try_into().unwrap(),
            ..Default::default()
        }),
    }
}

fn operation(body: OperationBody) -> Operation {
    Operation { source_account: None, body }
}

fn inner(result: OperationResultTr) -> OperationResult {
    OperationResult::OpInner(result)
}

fn usdc() -> Asset {
    parse("USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN").unwrap()
}

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
    let no_offers = || Xdr::<ClaimAtom>::default();
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
fn atoms_of_all_forms_and_none_that_moved_nothing() {
    let order_book = |sold, bought| {
        ClaimAtom::OrderBook(ClaimOfferAtom {
            seller_id: account(3),
            offer_id: 11,
            asset_sold: usdc(),
            amount_sold: sold,
            asset_bought: Asset::Native,
            amount_bought: bought,
        })
    };
    let old = ClaimAtom::V0(ClaimOfferAtomV0 {
        seller_ed25519: Uint256([4; 32]),
        offer_id: 12,
        asset_sold: usdc(),
        amount_sold: 1,
        asset_bought: Asset::Native,
        amount_bought: 3,
    });
    let success = ManageOfferSuccessResult {
        offers_claimed: vec![order_book(0, 0), old, order_book(0, 1)].try_into().unwrap(),
        offer: ManageOfferSuccessResultOffer::Deleted,
    };
    let results = [
        OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(success.clone())),
        OperationResultTr::CreatePassiveSellOffer(ManageSellOfferResult::Success(success)),
    ];
    let sent = results.map(|result| (operation(OperationBody::Inflation), inner(result)));
    let events = map(TESTNET, 9, vec![applied(1, Memo::None, sent.into(), Vec::new())]);
    let trades = of_kind(&events, &[EventKind::Trade]);
    let ids: Vec<_> = trades.iter().map(|event| (&*event.id, event.place.sub)).collect();
    let id = |operation, at| format!("{}-t{at}", toid(9, 1, operation));
    assert_eq!(ids, [(&*id(0, 0), 0), (&*id(0, 1), 1), (&*id(1, 0), 2), (&*id(1, 1), 3)]);
    let Body::Trade(old) = &trades[0].body else { panic!() };
    assert_eq!((&*old.seller, &*old.buyer), (&*account(4).to_string(), &*account(1).to_string()));
    let Body::Trade(gift) = &trades[1].body else { panic!() };
    assert_eq!(gift.price, None);
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
