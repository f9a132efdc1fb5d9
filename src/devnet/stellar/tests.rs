//! What a reader makes of the ledgers, from their XDR alone.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountMergeResult, Asset, ClaimAtom, ContractEvent, ContractEventBody, ContractEventType,
    ContractId, ContractIdPreimage, FeeBumpTransactionInnerTx, GeneralizedTransactionSet, Hash,
    InnerTransactionResultResult, LedgerCloseMeta, LedgerCloseMetaV2, LedgerEntryChange,
    LedgerEntryData, LedgerHeaderHistoryEntry, Limits, ManageBuyOfferResult, ManageSellOfferResult,
    Memo, MuxedAccount, OperationBody, OperationMetaV2, OperationResult, OperationResultTr,
    PathPaymentStrictReceiveResult, PathPaymentStrictSendResult, ReadXdr, ScVal, Transaction,
    TransactionEnvelope, TransactionEventStage, TransactionMeta, TransactionMetaV4,
    TransactionPhase, TransactionResultMetaV1, TransactionResultResult, TxSetComponent, WriteXdr,
};

use super::history::Network;
use super::world::{World, contract_id, sha256};

const PASSPHRASE: &str = "Test ; 2026";

/// A network with this many ledgers.
pub(super) fn network(seed: u64, events: usize, ledgers: u64) -> Network {
    let network = Network::new(World::new(seed, 20, PASSPHRASE).unwrap(), events, 100_000);
    for ledger in 0..ledgers {
        network.close_next(1_800_000_000 + ledger).unwrap();
    }
    network
}

/// The ledgers as getLedgers gives them.
fn ledgers(network: &Network) -> Vec<LedgerCloseMetaV2> {
    let decode = |base64: &String| match LedgerCloseMeta::from_xdr_base64(base64, Limits::none()) {
        Ok(LedgerCloseMeta::V2(meta)) => meta,
        other => panic!("{other:?}"),
    };
    network
        .view()
        .from(0)
        .map(|ledger| decode(&ledger.metadata))
        .collect()
}

#[derive(Default, Debug)]
struct Count {
    /// Broker events by kind.
    kinds: BTreeMap<&'static str, usize>,
    /// Things that appear, so that the tests prove the mixture.
    seen: BTreeMap<String, usize>,
}

impl Count {
    fn kind(&mut self, kind: &'static str, n: usize) {
        *self.kinds.entry(kind).or_default() += n;
    }

    fn see(&mut self, what: impl Into<String>) {
        *self.seen.entry(what.into()).or_default() += 1;
    }

    fn total(&self) -> usize {
        self.kinds.values().sum()
    }
}

/// Decodes a ledger by the rules of a broker, without any knowledge of how it was made.
fn count(meta: &LedgerCloseMetaV2, count: &mut Count) {
    count.kind("ledger", 1);
    let mut envelopes = envelopes(meta);
    for processing in meta.tx_processing.iter() {
        let hash = processing.result.transaction_hash.clone();
        let envelope = envelopes
            .remove(&hash)
            .expect("an envelope for every result");
        transaction(&envelope, processing, count);
    }
    assert!(envelopes.is_empty(), "a result for every envelope");
}

/// Those of the transaction set, by their hashes.
fn envelopes(meta: &LedgerCloseMetaV2) -> HashMap<Hash, TransactionEnvelope> {
    let GeneralizedTransactionSet::V1(set) = &meta.tx_set;
    let mut all = Vec::new();
    for phase in set.phases.iter() {
        match phase {
            TransactionPhase::V0(components) => {
                for TxSetComponent::TxsetCompTxsMaybeDiscountedFee(set) in components.iter() {
                    all.extend(set.txs.iter().cloned());
                }
            }
            TransactionPhase::V1(parallel) => {
                let clusters = parallel
                    .execution_stages
                    .iter()
                    .flat_map(|stage| stage.0.iter());
                all.extend(clusters.flat_map(|cluster| cluster.0.iter().cloned()));
            }
        }
    }
    let network_id = Sha256::digest(PASSPHRASE).into();
    all.into_iter()
        .map(|e| (Hash(e.hash(network_id).unwrap()), e))
        .collect()
}

fn transaction(
    envelope: &TransactionEnvelope,
    processing: &TransactionResultMetaV1,
    count: &mut Count,
) {
    count.kind("transaction", 1);
    let TransactionMeta::V4(meta) = &processing.tx_apply_processing else {
        panic!("metadata is not version 4");
    };
    let tx = inner(envelope, count);
    let results = match &processing.result.result.result {
        TransactionResultResult::TxSuccess(results) => Some(results),
        TransactionResultResult::TxFeeBumpInnerSuccess(pair) => match &pair.result.result {
            InnerTransactionResultResult::TxSuccess(results) => Some(results),
            other => panic!("{other:?}"),
        },
        TransactionResultResult::TxFailed(_) | TransactionResultResult::TxFeeBumpInnerFailed(_) => {
            None
        }
        other => panic!("{other:?}"),
    };
    contract_events(meta, count);
    let mut fees = 0;
    for event in meta.events.iter() {
        count.see(format!("fee {:?}", event.stage));
        let ContractEventBody::V0(body) = &event.event.body;
        let ScVal::I128(amount) = &body.data else {
            panic!("{:?}", body.data)
        };
        let amount = i128::from(amount);
        assert_eq!(
            amount < 0,
            event.stage != TransactionEventStage::BeforeAllTxs
        );
        fees += amount;
    }
    assert_eq!(fees, i128::from(processing.result.result.fee_charged));
    let Some(results) = results else {
        count.see("failed");
        assert!(
            meta.operations.is_empty(),
            "a failed transaction has no operations"
        );
        return;
    };
    assert_eq!(
        (tx.operations.len(), results.len()),
        (meta.operations.len(), results.len())
    );
    count.see(format!("memo {}", tx.memo.name()));
    let acts = tx
        .operations
        .iter()
        .zip(results.iter())
        .zip(meta.operations.iter());
    for ((operation, result), meta) in acts {
        let OperationResult::OpInner(result) = result else {
            panic!("{result:?}")
        };
        let payments = payments(&operation.body, result, meta, count);
        count.kind("payment", payments);
        for atom in atoms(result) {
            count.see(format!("atom {}", atom.name()));
            if let Some(trade) = trade(atom) {
                assert!(trade.0 > 0 && trade.1 > 0);
                count.kind("trade", 1);
            } else {
                count.see("atom without amounts");
            }
        }
        count.see(operation.body.name());
    }
}

fn inner(envelope: &TransactionEnvelope, count: &mut Count) -> Transaction {
    match envelope {
        TransactionEnvelope::Tx(envelope) => envelope.tx.clone(),
        TransactionEnvelope::TxFeeBump(envelope) => {
            count.see("fee bump");
            let FeeBumpTransactionInnerTx::Tx(envelope) = &envelope.tx.inner_tx;
            envelope.tx.clone()
        }
        other => panic!("{other:?}"),
    }
}

fn contract_events(meta: &TransactionMetaV4, count: &mut Count) {
    let own = meta
        .operations
        .iter()
        .flat_map(|operation| operation.events.iter());
    for event in own.chain(meta.events.iter().map(|event| &event.event)) {
        assert_ne!(event.type_, ContractEventType::Diagnostic);
        count.kind("contract_event", 1);
        let ContractEventBody::V0(body) = &event.body;
        count.see(format!("{} topics", body.topics.len()));
        count.see(event.type_.name());
        if let (Some(ScVal::Symbol(name)), true) = (body.topics.first(), verified(event)) {
            count.see(format!("unified {}", name.0.to_utf8_string_lossy()));
            if let ScVal::Map(_) = body.data {
                count.see("unified with receiver id");
            }
        } else if body.topics.first() == Some(&super::events::symbol("transfer").unwrap()) {
            count.see(if body.topics.len() == 4 {
                "forged transfer"
            } else {
                "token transfer"
            });
        }
    }
    if !meta.diagnostic_events.is_empty() {
        count.see("diagnostics");
    }
}

/// Whether the event comes from the contract of the asset that its last topic names.
fn verified(event: &ContractEvent) -> bool {
    let ContractEventBody::V0(body) = &event.body;
    let asset = match body.topics.last() {
        Some(ScVal::String(label)) => match label.to_utf8_string_lossy().split_once(':') {
            Some((code, issuer)) => asset(code, issuer).unwrap_or(Asset::Native),
            None => Asset::Native,
        },
        _ => Asset::Native,
    };
    let network_id = Sha256::digest(PASSPHRASE).into();
    let derived: ContractId = contract_id(network_id, ContractIdPreimage::Asset(asset)).unwrap();
    event.contract_id == Some(derived)
}

fn asset(code: &str, issuer: &str) -> Option<Asset> {
    let issuer = issuer.parse().ok()?;
    let code: stellar_xdr::AssetCode = code.parse().ok()?;
    Some(match code {
        stellar_xdr::AssetCode::CreditAlphanum4(asset_code) => {
            Asset::CreditAlphanum4(stellar_xdr::AlphaNum4 { asset_code, issuer })
        }
        stellar_xdr::AssetCode::CreditAlphanum12(asset_code) => {
            Asset::CreditAlphanum12(stellar_xdr::AlphaNum12 { asset_code, issuer })
        }
    })
}

fn payments(
    body: &OperationBody,
    result: &OperationResultTr,
    meta: &OperationMetaV2,
    count: &mut Count,
) -> usize {
    match (body, result) {
        (OperationBody::Payment(payment), _) => {
            if let MuxedAccount::MuxedEd25519(_) = payment.destination {
                count.see("muxed destination");
            }
            match payment.amount {
                1 => count.see("smallest amount"),
                amount if amount > i64::MAX - 1_000 => count.see("largest amount"),
                _ => {}
            }
            1
        }
        (OperationBody::CreateAccount(_), _)
        | (OperationBody::CreateClaimableBalance(_), _)
        | (
            OperationBody::AccountMerge(_),
            OperationResultTr::AccountMerge(AccountMergeResult::Success(_)),
        )
        | (OperationBody::PathPaymentStrictSend(_), _)
        | (OperationBody::PathPaymentStrictReceive(_), _) => 1,
        (OperationBody::ClaimClaimableBalance(_), _) => {
            let removed = meta.changes.iter().filter(|change| {
                matches!(change, LedgerEntryChange::State(entry)
                    if matches!(entry.data, LedgerEntryData::ClaimableBalance(_)))
            });
            removed.count()
        }
        (OperationBody::InvokeHostFunction(_), _) => {
            let transfers = meta.events.iter().filter(|event| {
                let ContractEventBody::V0(body) = &event.body;
                let transfer = super::events::symbol("transfer").unwrap();
                body.topics.first() == Some(&transfer) && verified(event)
            });
            transfers.count()
        }
        _ => 0,
    }
}

fn atoms(result: &OperationResultTr) -> Vec<&ClaimAtom> {
    match result {
        OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(success))
        | OperationResultTr::CreatePassiveSellOffer(ManageSellOfferResult::Success(success))
        | OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(success)) => {
            success.offers_claimed.iter().collect()
        }
        OperationResultTr::PathPaymentStrictSend(PathPaymentStrictSendResult::Success(success)) => {
            success.offers.iter().collect()
        }
        OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::Success(
            success,
        )) => success.offers.iter().collect(),
        _ => Vec::new(),
    }
}

/// (sold, bought), unless both are 0.
fn trade(atom: &ClaimAtom) -> Option<(i64, i64)> {
    let amounts = match atom {
        ClaimAtom::V0(atom) => (atom.amount_sold, atom.amount_bought),
        ClaimAtom::OrderBook(atom) => (atom.amount_sold, atom.amount_bought),
        ClaimAtom::LiquidityPool(atom) => (atom.amount_sold, atom.amount_bought),
    };
    (amounts != (0, 0)).then_some(amounts)
}

#[test]
fn every_ledger_holds_exactly_the_events_asked_for() {
    for events in [0, 1, 2, 3, 4, 5, 6, 7, 8, 13, 20, 21, 100, 101, 1_000] {
        for meta in ledgers(&network(3, events, 6)) {
            let mut found = Count::default();
            count(&meta, &mut found);
            assert_eq!(found.total(), events.max(1), "{found:?}");
        }
    }
}

#[test]
fn the_mixture_has_everything_that_a_reader_must_know() {
    let mut found = Count::default();
    for meta in ledgers(&network(1, 2_000, 12)) {
        count(&meta, &mut found);
    }
    for kind in [
        "ledger",
        "transaction",
        "contract_event",
        "payment",
        "trade",
    ] {
        assert!(found.kinds[kind] > 0, "{kind}");
    }
    for what in [
        "0 topics",
        "1 topics",
        "2 topics",
        "3 topics",
        "4 topics",
        "Contract",
        "System",
        "diagnostics",
        "failed",
        "fee bump",
        "forged transfer",
        "token transfer",
        "fee BeforeAllTxs",
        "fee AfterTx",
        "fee AfterAllTxs",
        "atom V0",
        "atom OrderBook",
        "atom LiquidityPool",
        "atom without amounts",
        "largest amount",
        "smallest amount",
        "memo None",
        "memo Text",
        "memo Id",
        "memo Hash",
        "memo Return",
        "muxed destination",
        "unified transfer",
        "unified mint",
        "unified burn",
        "unified fee",
        "unified clawback",
        "unified set_authorized",
        "unified with receiver id",
        "Payment",
        "CreateAccount",
        "AccountMerge",
        "PathPaymentStrictSend",
        "PathPaymentStrictReceive",
        "ManageSellOffer",
        "ManageBuyOffer",
        "CreatePassiveSellOffer",
        "CreateClaimableBalance",
        "ClaimClaimableBalance",
        "Clawback",
        "SetTrustLineFlags",
        "InvokeHostFunction",
    ] {
        assert!(
            found.seen.contains_key(what),
            "{what} is missing in {:#?}",
            found.seen
        );
    }
}

#[test]
fn each_ledger_names_the_one_before() {
    let network = network(5, 30, 10);
    let mut previous = Hash([0; 32]);
    let pairs = ledgers(&network).into_iter().zip(network.view().from(0));
    for (sequence, (meta, stored)) in (1_000..).zip(pairs) {
        let entry = &meta.ledger_header;
        assert_eq!(entry.header.previous_ledger_hash, previous);
        assert_eq!(entry.header.ledger_seq, sequence);
        assert_eq!(entry.hash, sha256(&entry.header).unwrap());
        assert_eq!(
            entry.header.scp_value.tx_set_hash,
            sha256(&meta.tx_set).unwrap()
        );
        assert_eq!(stored.hash, entry.hash.to_string());
        let GeneralizedTransactionSet::V1(set) = &meta.tx_set;
        assert_eq!(set.previous_ledger_hash, previous);
        let header =
            LedgerHeaderHistoryEntry::from_xdr_base64(&stored.header, Limits::none()).unwrap();
        assert_eq!(&header, entry);
        previous = entry.hash.clone();
    }
}

#[test]
fn transactions_say_the_same_as_their_ledgers() {
    let network = network(9, 120, 4);
    for (meta, stored) in ledgers(&network).into_iter().zip(network.view().from(0)) {
        let envelopes = envelopes(&meta);
        assert_eq!(meta.tx_processing.len(), stored.transactions.len());
        for (order, (processing, item)) in meta
            .tx_processing
            .iter()
            .zip(&stored.transactions)
            .enumerate()
        {
            let json: serde_json::Value =
                serde_json::from_str(&format!("{{{}}}", item.members)).unwrap();
            let result = &processing.result;
            assert_eq!(json["txHash"], result.transaction_hash.to_string());
            assert_eq!(json["applicationOrder"], order + 1);
            assert_eq!(json["ledger"], stored.sequence);
            assert_eq!(
                json["envelopeXdr"],
                envelopes[&result.transaction_hash]
                        .to_xdr_base64(Limits::none())
                        .unwrap()
            );
            assert_eq!(
                json["resultXdr"],
                result.result.to_xdr_base64(Limits::none()).unwrap()
            );
            let meta = &processing.tx_apply_processing;
            assert_eq!(
                json["resultMetaXdr"],
                meta.to_xdr_base64(Limits::none()).unwrap()
            );
        }
    }
}

#[test]
fn the_seed_decides_all_transactions() {
    let hashes = |seed, close: u64| {
        let network = Network::new(World::new(seed, 20, PASSPHRASE).unwrap(), 50, 100);
        for ledger in 0..4 {
            network.close_next(close + ledger).unwrap();
        }
        let view = network.view();
        let transactions = view.from(0).flat_map(|l| l.transactions.iter());
        let hashes: Vec<String> = transactions.map(|t| t.members.clone()).collect();
        (hashes, view.latest().hash.clone())
    };
    let (first, second, other) = (hashes(1, 10), hashes(1, 99), hashes(2, 10));
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1, "close times are part of the hash");
    assert_ne!(first.0, other.0);
    assert_eq!(first, hashes(1, 10));
}

#[test]
fn history_is_bounded_and_time_never_goes_back() {
    let network = Network::new(World::new(1, 2, PASSPHRASE).unwrap(), 10, 3);
    for time in [100, 101, 50, 102, 103] {
        network.close_next(time).unwrap();
    }
    let view = network.view();
    assert_eq!(
        (view.oldest().sequence, view.latest().sequence),
        (1_002, 1_004)
    );
    assert_eq!(view.oldest().close_time, 101);
    assert!(view.get(1_001).is_none() && view.get(1_002).is_some() && view.get(1_005).is_none());
}

#[test]
fn memos_may_hold_bytes_that_are_no_text() {
    let mut odd = 0;
    for meta in ledgers(&network(1, 2_000, 4)) {
        for envelope in envelopes(&meta).values() {
            if let Memo::Text(text) = inner(envelope, &mut Count::default()).memo {
                odd += usize::from(std::str::from_utf8(text.as_slice()).is_err());
            }
        }
    }
    assert!(odd > 0);
}
