//! What a Stellar node may answer.

use crate::batches;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ledgercast::event::LedgerBatch;
use ledgercast::source::stellar::fuzzing::read;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Cursor;
use stellar_xdr::{
    ContractEvent, ContractEventBody, ContractEventType, GeneralizedTransactionSet, Hash, LedgerCloseMeta,
    LedgerHeaderHistoryEntry, Limited, Limits, ReadXdr, ScVal, TransactionEnvelope, TransactionMeta, TransactionPhase,
    TransactionResult, TransactionResultPair, TransactionResultSet, TxSetComponent, WriteXdr,
};

const TESTNET: &str = "Test SDF Network ; September 2015";
/// The network that our own seeds are of.
const DEVNET: &str = "Ledgercast Devnet ; 2026";
const METHODS: [&str; 5] = ["getLedgers", "getTransactions", "getEvents", "getHealth", "getNetwork"];
/// As `decode.rs` has it.
const DEPTH: u32 = 500;

/// The text of an answer, as whatever method it may answer: a whole one of the test network, which are
/// the recorded ones, or its `result` alone, of a devnet.
pub fn answers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let whole: Option<HashMap<String, &RawValue>> = serde_json::from_str(text).ok();
    let result = whole.and_then(|whole| whole.get("result").map(|result| result.get()));
    let (result, passphrase) = result.map_or((text, DEVNET), |result| (result, TESTNET));
    for method in METHODS {
        for batch in read(method, result, passphrase).into_iter().flatten().flatten() {
            batches::check(&batch);
        }
    }
}

/// The first byte chooses what the rest is the XDR of. What a server would have to hash is hashed
/// here, so that all behind those checks is reached.
pub fn xdr(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let mut bytes = Limited::new(Cursor::new(bytes), Limits { depth: DEPTH, len: bytes.len() });
    let answers = match kind % 3 {
        0 => ledger(&mut bytes),
        1 => transaction(&mut bytes),
        _ => event(&mut bytes),
    };
    let Some((method, base64, json)) = answers else { return };
    let [base64, json] = [base64, json].map(|answer| read(method, &answer.to_string(), TESTNET));
    let events = |read: &Vec<Result<LedgerBatch, String>>| format!("{:?}", read.iter().flatten().collect::<Vec<_>>());
    match (base64, json) {
        (Ok(base64), Ok(json)) if json.iter().all(Result::is_ok) => {
            assert_eq!(events(&base64), events(&json), "the forms differ");
            base64.iter().flatten().for_each(batches::check);
        }
        (Ok(base64), Ok(json)) => {
            let reason = json.iter().find_map(|ledger| ledger.as_ref().err()).expect("not all are good");
            let same = base64.iter().any(|ledger| ledger.as_ref().err() == Some(reason));
            assert!(same || reason.contains("recursion limit"), "only in json: {reason}");
            base64.iter().flatten().for_each(batches::check);
        }
        (Err(base64), Err(json)) => assert_eq!(base64, json),
        (Ok(_), Err(reason)) => assert!(reason.contains("recursion limit"), "only in json: {reason}"),
        (Err(reason), Ok(_)) => panic!("only in base64: {reason}"),
    }
}

/// A method with its answer in both forms.
type Answers = Option<(&'static str, Value, Value)>;
type Bytes<'a> = Limited<Cursor<&'a [u8]>>;

fn base64(value: &impl WriteXdr) -> Option<Value> {
    Some(STANDARD.encode(value.to_xdr(Limits { depth: DEPTH, len: usize::MAX }).ok()?).into())
}

fn sha256(value: &impl WriteXdr) -> Option<Hash> {
    Some(Hash(Sha256::digest(value.to_xdr(Limits { depth: DEPTH, len: usize::MAX }).ok()?).into()))
}

fn network() -> [u8; 32] {
    Sha256::digest(TESTNET).into()
}

fn ledger(bytes: &mut Bytes<'_>) -> Answers {
    let mut meta = LedgerCloseMeta::read_xdr(bytes).ok()?;
    let header = seal(&mut meta)?;
    let (sequence, hash) = (header.header.ledger_seq, header.hash.to_string());
    let mut texts = json!({ "hash": hash, "sequence": sequence });
    let mut values = texts.clone();
    (texts["headerXdr"], texts["metadataXdr"]) = (base64(&header)?, base64(&meta)?);
    values["headerJson"] = serde_json::to_value(&header).ok()?;
    values["metadataJson"] = serde_json::to_value(&meta).ok()?;
    let answer = |ledger: Value| json!({ "ledgers": [ledger], "latestLedger": sequence });
    Some(("getLedgers", answer(texts), answer(values)))
}

/// Gives every transaction its hash, the header that of the results, and the ledger its own.
fn seal(meta: &mut LedgerCloseMeta) -> Option<LedgerHeaderHistoryEntry> {
    let (header, envelopes, mut results): (_, Vec<&TransactionEnvelope>, Vec<&mut TransactionResultPair>) = match meta {
        LedgerCloseMeta::V0(meta) => (
            &mut meta.ledger_header,
            meta.tx_set.txs.iter().collect(),
            meta.tx_processing.iter_mut().map(|done| &mut done.result).collect(),
        ),
        LedgerCloseMeta::V1(meta) => (
            &mut meta.ledger_header,
            envelopes(&meta.tx_set),
            meta.tx_processing.iter_mut().map(|done| &mut done.result).collect(),
        ),
        LedgerCloseMeta::V2(meta) => (
            &mut meta.ledger_header,
            envelopes(&meta.tx_set),
            meta.tx_processing.iter_mut().map(|done| &mut done.result).collect(),
        ),
    };
    for (envelope, pair) in envelopes.iter().zip(&mut results) {
        pair.transaction_hash = Hash(envelope.hash(network()).ok()?);
    }
    let results: Vec<_> = results.into_iter().map(|pair| pair.clone()).collect();
    header.header.tx_set_result_hash = sha256(&TransactionResultSet { results: results.try_into().ok()? })?;
    header.hash = sha256(&header.header)?;
    Some(header.clone())
}

fn envelopes(set: &GeneralizedTransactionSet) -> Vec<&TransactionEnvelope> {
    let GeneralizedTransactionSet::V1(set) = set;
    let mut all = Vec::new();
    for phase in set.phases.iter() {
        match phase {
            TransactionPhase::V0(components) => all.extend(components.iter().flat_map(|component| {
                let TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component) = component;
                component.txs.iter()
            })),
            TransactionPhase::V1(parallel) => {
                let clusters = parallel.execution_stages.iter().flat_map(|stage| stage.0.iter());
                all.extend(clusters.flat_map(|cluster| cluster.0.iter()));
            }
        }
    }
    all
}

fn transaction(bytes: &mut Bytes<'_>) -> Answers {
    let envelope = TransactionEnvelope::read_xdr(bytes).ok()?;
    let result = TransactionResult::read_xdr(bytes).ok()?;
    let meta = TransactionMeta::read_xdr(bytes).ok()?;
    let hash = Hash(envelope.hash(network()).ok()?).to_string();
    let mut texts = json!({ "ledger": 7, "applicationOrder": 1, "txHash": hash });
    let mut values = texts.clone();
    (texts["envelopeXdr"], texts["resultXdr"]) = (base64(&envelope)?, base64(&result)?);
    texts["resultMetaXdr"] = base64(&meta)?;
    values["envelopeJson"] = serde_json::to_value(&envelope).ok()?;
    values["resultJson"] = serde_json::to_value(&result).ok()?;
    values["resultMetaJson"] = serde_json::to_value(&meta).ok()?;
    let answer = |sent: Value| json!({ "transactions": [sent], "latestLedger": 7, "cursor": "0" });
    Some(("getTransactions", answer(texts), answer(values)))
}

fn event(bytes: &mut Bytes<'_>) -> Answers {
    let event = ContractEvent::read_xdr(bytes).ok()?;
    let ContractEventBody::V0(body) = &event.body;
    let kind = match event.type_ {
        ContractEventType::Contract => "contract",
        ContractEventType::System => "system",
        ContractEventType::Diagnostic => "diagnostic",
    };
    let mut texts = json!({
        "type": kind,
        "id": "0000000030064775168-0000000001",
        "ledgerClosedAt": "2026-01-01T00:00:00Z",
        "contractId": event.contract_id.as_ref().map_or(String::new(), |id| id.to_string()),
    });
    let mut values = texts.clone();
    texts["topic"] = body.topics.iter().map(base64).collect::<Option<Vec<_>>>()?.into();
    texts["value"] = base64(&body.data)?;
    let written = |value: &ScVal| serde_json::to_value(value).ok();
    values["topicJson"] = body.topics.iter().map(written).collect::<Option<Vec<_>>>()?.into();
    values["valueJson"] = written(&body.data)?;
    let answer = |event: Value| json!({ "events": [event], "latestLedger": 7 });
    Some(("getEvents", answer(texts), answer(values)))
}
