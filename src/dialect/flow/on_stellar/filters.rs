//! Filters, from the client's text to the events that reach it, over one ledger with everything in
//! it that a filter could take for something else.

use super::written;
use crate::broker::{Clause, Hit, Index};
use crate::dialect::flow::register;
use crate::event::{Event, EventKind, Hash, LedgerBatch};
use crate::source::stellar::recordings::{self, AppliedTransaction, TESTNET};
use serde_json::{Value, json};
use std::sync::Arc;
use stellar_xdr::{
    Asset, ClaimAtom, ClaimLiquidityAtom, ClaimOfferAtom, ContractEvent, ContractEventBody, ContractEventType,
    ContractEventV0, ContractId, ExtensionPoint, HostFunction, InvokeHostFunctionOp, InvokeHostFunctionResult, Memo,
    MuxedAccount, MuxedAccountMed25519, Operation, OperationBody, OperationMetaV2, OperationResult, OperationResultTr,
    PathPaymentStrictSendOp, PathPaymentStrictSendResult, PathPaymentStrictSendResultSuccess, PaymentOp, PaymentResult,
    PoolId, ScAddress, ScString, ScSymbol, ScVal, SimplePaymentResult, TransactionEvent, TransactionEventStage,
    TransactionMeta, TransactionMetaV4, Uint256, VecM,
};

const ISSUER: &str = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";

fn asset(name: &str) -> Asset {
    recordings::parse(&name.replace(":I", &format!(":{ISSUER}"))).unwrap()
}

/// An account's address.
fn g(number: u8) -> String {
    recordings::account(number).to_string()
}

fn muxed(number: u8, id: u64) -> MuxedAccount {
    MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id, ed25519: Uint256([number; 32]) })
}

/// The same with an id inside it.
fn m(number: u8, id: u64) -> String {
    muxed(number, id).to_string()
}

fn contract(number: u8) -> ContractId {
    ContractId(stellar_xdr::Hash([number; 32]))
}

fn applied(order: u32, sent: Vec<(OperationBody, OperationResultTr)>, meta: TransactionMetaV4) -> AppliedTransaction {
    let (sent, results) =
        sent.into_iter().map(|(body, result)| (operation(body), OperationResult::OpInner(result))).unzip();
    AppliedTransaction {
        order,
        hash: Hash([order as u8; 32]),
        envelope: recordings::envelope(order.into(), Memo::None, sent),
        result: recordings::succeeded(results),
        meta: TransactionMeta::V4(meta),
    }
}

fn operation(body: OperationBody) -> Operation {
    Operation { source_account: None, body }
}

fn pay(destination: MuxedAccount, asset: Asset, amount: i64) -> (OperationBody, OperationResultTr) {
    let payment = PaymentOp { destination, asset, amount };
    (OperationBody::Payment(payment), OperationResultTr::Payment(PaymentResult::Success))
}

/// A path payment that took an offer and went through a pool.
fn exchange() -> (OperationBody, OperationResultTr) {
    let offer = ClaimOfferAtom {
        seller_id: recordings::account(5),
        offer_id: 11,
        asset_sold: asset("USDC:I"),
        amount_sold: 100_000_000,
        asset_bought: asset("native"),
        amount_bought: 10_000_000_000,
    };
    let pool = ClaimLiquidityAtom {
        liquidity_pool_id: PoolId(stellar_xdr::Hash([8; 32])),
        asset_sold: asset("EURC:I"),
        amount_sold: 90_000_000,
        asset_bought: asset("USDC:I"),
        amount_bought: 100_000_000,
    };
    let last = SimplePaymentResult { destination: recordings::account(6), asset: asset("EURC:I"), amount: 90_000_000 };
    let send = PathPaymentStrictSendOp {
        send_asset: asset("native"),
        send_amount: 10_000_000_000,
        destination: muxed(6, 600),
        dest_asset: asset("EURC:I"),
        dest_min: 1,
        path: VecM::default(),
    };
    let offers = vec![ClaimAtom::OrderBook(offer), ClaimAtom::LiquidityPool(pool)].try_into().unwrap();
    let success = PathPaymentStrictSendResult::Success(PathPaymentStrictSendResultSuccess { offers, last });
    (OperationBody::PathPaymentStrictSend(send), OperationResultTr::PathPaymentStrictSend(success))
}

fn symbol(name: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(name.try_into().unwrap()))
}

fn account(number: u8) -> ScAddress {
    ScAddress::Account(recordings::account(number))
}

/// The event of the contract of USDC that gives an account its right, and names no amount.
fn set_authorized() -> ContractEvent {
    let network = recordings::network_hash(TESTNET);
    let name = format!("USDC:{ISSUER}");
    let topics = vec![
        symbol("set_authorized"),
        ScVal::Address(account(9)),
        ScVal::String(ScString((&*name).try_into().unwrap())),
    ];
    let id = recordings::contract_of(&asset("USDC:I"), &network).unwrap();
    ContractEvent {
        ext: ExtensionPoint::V0,
        contract_id: Some(ContractId(stellar_xdr::Hash(id))),
        type_: ContractEventType::Contract,
        body: ContractEventBody::V0(ContractEventV0 { topics: topics.try_into().unwrap(), data: ScVal::Bool(true) }),
    }
}

/// What a contract call and the fees around it emit.
fn call() -> (Vec<(OperationBody, OperationResultTr)>, TransactionMetaV4) {
    let network = recordings::network_hash(TESTNET);
    let native = |name, parties: &[ScAddress], units| recordings::native_event(&network, name, parties, units);
    let moved = [account(1), ScAddress::Contract(contract(7))];
    let forged = ContractEvent { contract_id: Some(contract(4)), ..native("transfer", &moved, 1 << 90) };
    let system = ContractEvent { type_: ContractEventType::System, contract_id: Some(contract(3)), ..forged.clone() };
    let wide = native("transfer", &moved, 1 << 100);
    let events = vec![wide, forged, system, set_authorized()];
    let refund = native("fee", &[account(1)], -38_454);
    let meta = TransactionMetaV4 {
        operations: vec![OperationMetaV2 { events: events.try_into().unwrap(), ..Default::default() }]
            .try_into()
            .unwrap(),
        events: vec![TransactionEvent { stage: TransactionEventStage::AfterAllTxs, event: refund }].try_into().unwrap(),
        ..Default::default()
    };
    let invoke = OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
        host_function: HostFunction::UploadContractWasm(Default::default()),
        auth: VecM::default(),
    });
    let done = InvokeHostFunctionResult::Success(stellar_xdr::Hash([0; 32]));
    (vec![(invoke, OperationResultTr::InvokeHostFunction(done))], meta)
}

/// The ledger, in its order; in braces the words by which the tests call its events:
/// * `ledger`;
/// * 1 `x1`: 100 USDC to account 2 with id 42 `usdc`, 500 of a code that reads `XLM` to account 3
///   `fake`, 5.0000001 native to account 4 `native`, as much as there can be to account 2 `all`;
/// * 2 `x2`: the sender gives 1000 XLM for 10 USDC of account 5 `offer`, and these for 9 EURC of a
///   pool `pool`, which reach account 6 with id 600 `path`;
/// * 3 `x3`: a call that moves 2^100 stroops to contract 7 `transfer` `call`, a contract that says
///   the same without being the native one `forged`, a system event `system`, an event about USDC
///   without an amount `right`; after all of them a fee comes back: -0.0038454 `refund`.
fn ledger() -> LedgerBatch {
    let payments = vec![
        pay(muxed(2, 42), asset("USDC:I"), 1_000_000_000),
        pay(recordings::account(3).into(), asset("XLM:I"), 5_000_000_000),
        pay(recordings::account(4).into(), asset("native"), 50_000_001),
        pay(recordings::account(2).into(), asset("native"), i64::MAX),
    ];
    let (called, emitted) = call();
    let transactions = vec![
        applied(1, payments, TransactionMetaV4::default()),
        applied(2, vec![exchange()], TransactionMetaV4::default()),
        applied(3, called, emitted),
    ];
    recordings::ledger_of(TESTNET, 9, 1_700_000_000, transactions)
}

const WORDS: [&str; 17] = [
    "ledger", "x1", "usdc", "fake", "native", "all", "x2", "path", "offer", "pool", "x3", "transfer", "forged",
    "system", "right", "call", "refund",
];

/// The events that a `register` with these filters brings, by the clause and by the index alike.
#[track_caller]
fn found(events: &[Event], filters: &Value) -> Vec<&'static str> {
    let message = json!({"type": "register", "filters": filters}).to_string();
    let clauses: Arc<[Clause]> = register::read(&message, 1000).unwrap().filters.clause().into_iter().collect();
    let mut index = Index::new();
    index.insert(1, &clauses);
    let mut found = Vec::new();
    for (event, word) in events.iter().zip(WORDS) {
        let mut hits: Vec<Hit> = Vec::new();
        index.matches(event, &mut hits);
        let matches = clauses.iter().any(|clause| clause.matches(event));
        assert_eq!(!hits.is_empty(), matches, "{filters}: {word}");
        found.extend(matches.then_some(word));
    }
    found
}

#[track_caller]
fn check<'a>(cases: impl IntoIterator<Item = (Value, &'a str)>) {
    let ledger = ledger();
    assert_eq!(ledger.events.len(), WORDS.len());
    for (filters, expected) in cases {
        let expected: Vec<&str> = expected.split_whitespace().collect();
        assert_eq!(found(&ledger.events, &filters), expected, "{filters}");
    }
}

#[test]
fn the_ledger_is_what_its_words_say() {
    use EventKind::*;
    let ledger = ledger();
    let kinds: Vec<_> = ledger.events.iter().map(|event| event.kind).collect();
    let calls = [Transaction, ContractEvent, ContractEvent, SystemEvent, ContractEvent, Payment, ContractEvent];
    let before = [Ledger, Transaction, Payment, Payment, Payment, Payment, Transaction, Payment, Trade, Trade];
    assert_eq!(kinds, [&before[..], &calls].concat());
    let amounts: Vec<_> = written(&ledger, "contract_event").iter().map(|event| event["amount"].clone()).collect();
    let wide = "126765060022822940149670.3205376";
    assert_eq!(amounts, [json!(wide), Value::Null, Value::Null, Value::Null, json!("-0.0038454")]);
    let amounts: Vec<_> = written(&ledger, "payment").iter().map(|event| event["amount"].clone()).collect();
    assert_eq!(amounts, ["100.0000000", "500.0000000", "5.0000001", "922337203685.4775807", "9.0000000", wide]);
}

#[test]
fn types() {
    let all = WORDS.join(" ");
    check([
        (json!({}), &*all),
        (json!({"types": ["contract_event"]}), "transfer forged system right refund"),
        (json!({"types": ["contract"]}), "transfer forged right refund"),
        (json!({"types": ["system"]}), "system"),
        (json!({"types": ["payment", "trade"]}), "usdc fake native all path offer pool call"),
        (json!({"types": ["ledger", "transaction", "other"]}), "ledger x1 x2 x3"),
        (json!({"types": ["other", "Payment", "payment "]}), ""),
    ]);
}

#[test]
fn accounts() {
    let native = ContractId(stellar_xdr::Hash(
        recordings::contract_of(&Asset::Native, &recordings::network_hash(TESTNET)).unwrap(),
    ));
    let pool = PoolId(stellar_xdr::Hash([8; 32])).to_string();
    check([
        // With and without its id; the transaction is found by the operations in it.
        (json!({"account_ids": [g(2)]}), "x1 usdc all"),
        (json!({"account_ids": [m(2, 42)]}), "x1 usdc"),
        (json!({"account_ids": [m(2, 43)]}), ""),
        (json!({"account_ids": [m(3, 42)]}), ""),
        (json!({"account_ids": [m(6, 600)]}), "x2 path"),
        // Both sides of a payment, of a trade; the pool by its id.
        (json!({"account_ids": [g(1)], "types": ["payment"]}), "usdc fake native all path call"),
        (json!({"account_ids": [g(1)], "types": ["trade"]}), "offer pool"),
        (json!({"account_ids": [g(5)]}), "offer"),
        (json!({"account_ids": [pool]}), "pool"),
        // Addresses in the topics, and the contract that emitted the event.
        (json!({"account_ids": [contract(7).to_string()]}), "transfer forged system call"),
        (json!({"account_ids": [native.to_string()]}), "transfer refund"),
        (json!({"account_ids": [contract(4).to_string()]}), "forged"),
        (json!({"account_ids": [g(9)]}), "right"),
        (json!({"account_ids": [g(4), g(5)]}), "x1 native offer"),
        // Exact, and nothing but addresses.
        (json!({"account_ids": [g(2).to_lowercase(), &g(2)[..20], &format!("account:{}", g(2)), ""]}), ""),
    ]);
}

#[test]
fn assets() {
    let all_native = "native all offer transfer call refund";
    check([
        (json!({"asset_codes": ["native"]}), all_native),
        (json!({"asset_codes": ["XLM"]}), all_native),
        (json!({"asset_codes": ["xlm"]}), ""),
        // A code that reads like the native one is found by its full name alone.
        (json!({"asset_codes": [format!("XLM:{ISSUER}")]}), "fake"),
        (json!({"asset_codes": ["USDC"]}), "usdc offer pool right"),
        (json!({"asset_codes": [format!("USDC:{ISSUER}")]}), "usdc offer pool right"),
        (json!({"asset_codes": [format!("USDC:{}", g(1))]}), ""),
        (json!({"asset_codes": ["EURC", "USDC"], "types": ["payment"]}), "usdc path"),
        (json!({"asset_codes": [""]}), ""),
    ]);
}

#[test]
fn amounts() {
    check([
        // Alone: only what has an amount, and one that is not below zero.
        (json!({"min_amount": "0"}), "usdc fake native all path offer pool transfer call"),
        (json!({"min_amount": "0.0000000"}), "usdc fake native all path offer pool transfer call"),
        (json!({"min_amount": 0, "types": ["ledger", "transaction"]}), ""),
        (json!({"min_amount": "0", "asset_codes": ["USDC"], "types": ["contract_event"]}), ""),
        (json!({"asset_codes": ["USDC"], "types": ["contract_event"]}), "right"),
        // To the last stroop, and beyond it.
        (json!({"min_amount": "5.0000001", "asset_codes": ["XLM"], "types": ["payment"]}), "native all call"),
        (json!({"min_amount": "5.00000010", "asset_codes": ["XLM"], "types": ["payment"]}), "native all call"),
        (json!({"min_amount": "5.00000010000000000001", "asset_codes": ["XLM"], "types": ["payment"]}), "all call"),
        (json!({"min_amount": "922337203685.4775806"}), "all transfer call"),
        (json!({"min_amount": "922337203685.4775807"}), "all transfer call"),
        (json!({"min_amount": "922337203685.47758070000001"}), "transfer call"),
        (json!({"min_amount": "126765060022822940149670.3205376"}), "transfer call"),
        (json!({"min_amount": "126765060022822940149670.3205377"}), ""),
        // One side of a trade is enough; with assets it must be a side that has one of them.
        (json!({"min_amount": "1000", "types": ["trade"]}), "offer"),
        (json!({"min_amount": "10", "types": ["trade"]}), "offer pool"),
        (json!({"min_amount": "1000", "types": ["trade"], "asset_codes": ["XLM"]}), "offer"),
        (json!({"min_amount": "10.0000001", "types": ["trade"], "asset_codes": ["USDC"]}), ""),
        (json!({"min_amount": "10", "types": ["trade"], "asset_codes": ["USDC"]}), "offer pool"),
        (json!({"min_amount": "9.0000001", "types": ["trade"], "asset_codes": ["EURC"]}), ""),
        (json!({"min_amount": "9", "types": ["trade"], "asset_codes": ["EURC"]}), "pool"),
        // All fields together.
        (json!({"types": ["payment"], "account_ids": [g(2)], "asset_codes": ["USDC"], "min_amount": 100}), "usdc"),
        (json!({"types": ["payment"], "account_ids": [g(2)], "asset_codes": ["USDC"], "min_amount": "100.1"}), ""),
        (json!({"types": ["trade"], "account_ids": [g(2)], "asset_codes": ["USDC"], "min_amount": "1"}), ""),
    ]);
}
