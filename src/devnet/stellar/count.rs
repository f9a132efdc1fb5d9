//! A reader for the tests: decodes a ledger into broker events from its XDR alone, by the rules of a
//! broker and without any knowledge of how it was made.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountMergeResult, AlphaNum4, AlphaNum12, Asset, AssetCode, ClaimAtom, ContractEvent, ContractEventBody,
    ContractEventType, ContractId, ContractIdPreimage, FeeBumpTransactionInnerTx, GeneralizedTransactionSet, Hash,
    InnerTransactionResultResult, LedgerCloseMetaV2, LedgerEntryChange, LedgerEntryData, ManageBuyOfferResult,
    ManageSellOfferResult, MuxedAccount, OperationBody, OperationMetaV2, OperationResult, OperationResultTr,
    PathPaymentStrictReceiveResult, PathPaymentStrictSendResult, ScVal, Transaction, TransactionEnvelope,
    TransactionEventStage, TransactionMeta, TransactionMetaV4, TransactionPhase, TransactionResultMetaV1,
    TransactionResultResult, TxSetComponent,
};

use super::events::symbol;
use super::world::contract_id;

/// The network that the tests read.
pub(super) const PASSPHRASE: &str = "Test ; 2026";

#[derive(Default, Debug)]
pub(super) struct Count {
    /// Broker events by kind.
    pub kinds: BTreeMap<&'static str, usize>,
    /// Things that appear, so that the tests prove the mixture.
    pub seen: BTreeMap<String, usize>,
}

impl Count {
    fn kind(&mut self, kind: &'static str, n: usize) {
        *self.kinds.entry(kind).or_default() += n;
    }

    fn see(&mut self, what: impl Into<String>) {
        *self.seen.entry(what.into()).or_default() += 1;
    }

    pub fn total(&self) -> usize {
        self.kinds.values().sum()
    }
}

/// Decodes a ledger by the rules of a broker, without any knowledge of how it was made.
pub(super) fn count(meta: &LedgerCloseMetaV2, count: &mut Count) {
    count.kind("ledger", 1);
    let mut envelopes = envelopes(meta);
    for processing in meta.tx_processing.iter() {
        let hash = processing.result.transaction_hash.clone();
        let envelope = envelopes.remove(&hash).expect("an envelope for every result");
        transaction(&envelope, processing, count);
    }
    assert!(envelopes.is_empty(), "a result for every envelope");
}

/// Those of the transaction set, by their hashes.
pub(super) fn envelopes(meta: &LedgerCloseMetaV2) -> HashMap<Hash, TransactionEnvelope> {
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
                let clusters = parallel.execution_stages.iter().flat_map(|stage| stage.0.iter());
                all.extend(clusters.flat_map(|cluster| cluster.0.iter().cloned()));
            }
        }
    }
    let network_id = Sha256::digest(PASSPHRASE).into();
    all.into_iter().map(|e| (Hash(e.hash(network_id).unwrap()), e)).collect()
}

fn transaction(envelope: &TransactionEnvelope, processing: &TransactionResultMetaV1, count: &mut Count) {
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
        TransactionResultResult::TxFailed(_) | TransactionResultResult::TxFeeBumpInnerFailed(_) => None,
        other => panic!("{other:?}"),
    };
    contract_events(meta, count);
    let mut fees = 0;
    for event in meta.events.iter() {
        count.see(format!("fee {:?}", event.stage));
        let ContractEventBody::V0(body) = &event.event.body;
        let ScVal::I128(amount) = &body.data else { panic!("{:?}", body.data) };
        let amount = i128::from(amount);
        assert_eq!(amount < 0, event.stage != TransactionEventStage::BeforeAllTxs);
        fees += amount;
    }
    assert_eq!(fees, i128::from(processing.result.result.fee_charged));
    let Some(results) = results else {
        count.see("failed");
        assert!(meta.operations.is_empty(), "a failed transaction has no operations");
        return;
    };
    assert_eq!((tx.operations.len(), results.len()), (meta.operations.len(), results.len()));
    count.see(format!("memo {}", tx.memo.name()));
    let acts = tx.operations.iter().zip(results.iter()).zip(meta.operations.iter());
    for ((operation, result), meta) in acts {
        let OperationResult::OpInner(result) = result else { panic!("{result:?}") };
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

pub(super) fn inner(envelope: &TransactionEnvelope, count: &mut Count) -> Transaction {
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
    let own = meta.operations.iter().flat_map(|operation| operation.events.iter());
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
        } else if body.topics.first() == Some(&symbol("transfer").unwrap()) {
            count.see(if body.topics.len() == 4 { "forged transfer" } else { "token transfer" });
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
    let code: AssetCode = code.parse().ok()?;
    Some(match code {
        AssetCode::CreditAlphanum4(asset_code) => Asset::CreditAlphanum4(AlphaNum4 { asset_code, issuer }),
        AssetCode::CreditAlphanum12(asset_code) => Asset::CreditAlphanum12(AlphaNum12 { asset_code, issuer }),
    })
}

fn payments(body: &OperationBody, result: &OperationResultTr, meta: &OperationMetaV2, count: &mut Count) -> usize {
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
        | (OperationBody::AccountMerge(_), OperationResultTr::AccountMerge(AccountMergeResult::Success(_)))
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
                let transfer = symbol("transfer").unwrap();
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
        OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::Success(success)) => {
            success.offers.iter().collect()
        }
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
