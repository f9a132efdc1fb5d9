//! Recorded data, and a small chain with its RPC node.

use super::assets::{contract_of, network_hash};
use crate::source::testing::Reply;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use stellar_xdr::*;

/// The passphrase of the chain.
pub const PASSPHRASE: &str = "a chain for tests";

/// The `result` of a recorded answer; `None`, said, where the recordings are not there.
pub fn recorded(file: &str) -> Option<Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/stellar").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: no recording {}", path.display());
        return None;
    };
    let mut value: Value = serde_json::from_str(&text).unwrap();
    Some(if value.get("result").is_some() { value["result"].take() } else { value })
}

/// An account of the chain.
pub fn account(number: u8) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256([number; 32])))
}

/// Its muxed form without an id.
pub fn muxed(number: u8) -> MuxedAccount {
    MuxedAccount::Ed25519(Uint256([number; 32]))
}

/// A transaction of account 1 with these operations.
pub fn envelope(sequence: i64, memo: Memo, operations: Vec<Operation>) -> TransactionEnvelope {
    TransactionEnvelope::Tx(TransactionV1Envelope {
        tx: Transaction {
            source_account: muxed(1),
            fee: 100,
            seq_num: SequenceNumber(sequence),
            cond: Preconditions::None,
            memo,
            operations: operations.try_into().unwrap(),
            ext: TransactionExt::V0,
        },
        signatures: VecM::default(),
    })
}

/// A payment of `units` of the native asset to account 2.
pub fn payment(units: i64) -> Operation {
    Operation {
        source_account: None,
        body: OperationBody::Payment(PaymentOp { destination: muxed(2), asset: Asset::Native, amount: units }),
    }
}

/// The result of a transaction whose operations gave these.
pub fn succeeded(results: Vec<OperationResult>) -> TransactionResult {
    TransactionResult {
        fee_charged: 100,
        result: TransactionResultResult::TxSuccess(results.try_into().unwrap()),
        ext: TransactionResultExt::V0,
    }
}

/// The result of a payment that worked.
pub fn paid() -> OperationResult {
    OperationResult::OpInner(OperationResultTr::Payment(PaymentResult::Success))
}

/// The native contract's event `name` with these addresses and an i128.
pub fn native_event(network: &[u8; 32], name: &str, parties: &[ScAddress], units: i128) -> ContractEvent {
    let mut topics = vec![ScVal::Symbol(ScSymbol(name.try_into().unwrap()))];
    topics.extend(parties.iter().cloned().map(ScVal::Address));
    if name != "fee" {
        topics.push(ScVal::String(ScString("native".try_into().unwrap())));
    }
    let contract = contract_of(&Asset::Native, network).unwrap();
    ContractEvent {
        ext: ExtensionPoint::V0,
        contract_id: Some(ContractId(Hash(contract))),
        type_: ContractEventType::Contract,
        body: ContractEventBody::V0(ContractEventV0 {
            topics: topics.try_into().unwrap(),
            data: ScVal::I128(Int128Parts { hi: (units >> 64) as i64, lo: units as u64 }),
        }),
    }
}

fn sha256(value: &impl WriteXdr) -> [u8; 32] {
    Sha256::digest(value.to_xdr(Limits::none()).unwrap()).into()
}

/// Consecutive ledgers with payments in them.
pub struct Chain {
    pub first: u32,
    pub ledgers: Vec<Value>,
    network: [u8; 32],
    transactions: u32,
    tip_hash: [u8; 32],
    /// Enters every hash, so that two chains differ.
    pub salt: u8,
}

impl Chain {
    /// `count` ledgers from `first`, each with so many transactions.
    pub fn new(first: u32, count: u32, transactions: u32) -> Chain {
        let mut chain = Chain {
            first,
            ledgers: Vec::new(),
            network: network_hash(PASSPHRASE),
            transactions,
            tip_hash: [0; 32],
            salt: 0,
        };
        (0..count).for_each(|_| chain.close());
        chain
    }

    pub fn network(&self) -> [u8; 32] {
        self.network
    }

    /// The newest ledger.
    pub fn latest(&self) -> u32 {
        self.first + (self.ledgers.len() as u32 - 1)
    }

    /// A ledger as `getLedgers` gives it.
    pub fn ledger(&self, index: u32) -> Option<Value> {
        self.ledgers.get(index.checked_sub(self.first)? as usize).cloned()
    }

    /// Closes one more ledger.
    pub fn close(&mut self) {
        let index = self.first + self.ledgers.len() as u32;
        let mut envelopes = Vec::new();
        let mut processed = Vec::new();
        for order in 1..=self.transactions {
            let sequence = i64::from(index) << 32 | i64::from(order);
            let envelope = envelope(sequence, Memo::None, vec![payment(i64::from(order))]);
            let fee = native_event(&self.network, "fee", &[ScAddress::Account(account(1))], 100);
            let moved = [ScAddress::Account(account(1)), ScAddress::Account(account(2))];
            let transfer = native_event(&self.network, "transfer", &moved, order.into());
            let operation = OperationMetaV2 {
                ext: ExtensionPoint::V0,
                changes: LedgerEntryChanges(VecM::default()),
                events: vec![transfer].try_into().unwrap(),
            };
            let meta = TransactionMetaV4 {
                operations: vec![operation].try_into().unwrap(),
                events: vec![TransactionEvent { stage: TransactionEventStage::BeforeAllTxs, event: fee }]
                    .try_into()
                    .unwrap(),
                ..Default::default()
            };
            let hash = Hash(envelope.hash(self.network).unwrap());
            processed.push(TransactionResultMetaV1 {
                result: TransactionResultPair { transaction_hash: hash, result: succeeded(vec![paid()]) },
                tx_apply_processing: TransactionMeta::V4(meta),
                ..Default::default()
            });
            envelopes.push(envelope);
        }
        envelopes.reverse();
        let component = TxSetComponent::TxsetCompTxsMaybeDiscountedFee(TxSetComponentTxsMaybeDiscountedFee {
            base_fee: None,
            txs: envelopes.try_into().unwrap(),
        });
        let results: Vec<_> = processed.iter().map(|done: &TransactionResultMetaV1| done.result.clone()).collect();
        let results = TransactionResultSet { results: results.try_into().unwrap() };
        let mut header = LedgerHeaderHistoryEntry::default();
        header.header.ledger_seq = index;
        header.header.previous_ledger_hash = Hash(self.tip_hash);
        header.header.scp_value.close_time = TimePoint(1_700_000_000 + u64::from(index));
        header.header.bucket_list_hash = Hash([self.salt; 32]);
        header.header.tx_set_result_hash = Hash(sha256(&results));
        self.tip_hash = sha256(&header.header);
        header.hash = Hash(self.tip_hash);
        let header_xdr = header.to_xdr_base64(Limits::none()).unwrap();
        let meta = LedgerCloseMeta::V2(LedgerCloseMetaV2 {
            ledger_header: header,
            tx_set: GeneralizedTransactionSet::V1(TransactionSetV1 {
                previous_ledger_hash: Hash([0; 32]),
                phases: vec![TransactionPhase::V0(vec![component].try_into().unwrap())].try_into().unwrap(),
            }),
            tx_processing: processed.try_into().unwrap(),
            ..Default::default()
        });
        self.ledgers.push(json!({
            "hash": crate::event::Hash(self.tip_hash).to_string(),
            "sequence": index,
            "ledgerCloseTime": "1700000000",
            "headerXdr": header_xdr,
            "metadataXdr": meta.to_xdr_base64(Limits::none()).unwrap(),
        }));
    }

    /// Cuts the chain after `index` and goes on as another one would.
    pub fn fork_after(&mut self, index: u32, salt: u8) {
        self.ledgers.truncate((index + 1 - self.first) as usize);
        self.salt = salt;
        // Nobody gets to see the other chain's ledgers up to there.
        self.tip_hash = [salt; 32];
    }
}

/// A node that serves a chain.
pub struct Node {
    pub chain: Chain,
    /// The oldest ledger that it keeps.
    pub oldest: u32,
    /// Answers given instead, one each, before it works.
    pub faults: Vec<Reply>,
    /// Whether it gives older ledgers all the same.
    pub archive: bool,
    /// Whether it leaves the metadata out.
    pub without_metadata: bool,
    /// The ranges asked of getLedgers, (start, limit).
    pub asked: Vec<(u32, u32)>,
}

pub type SharedNode = Arc<Mutex<Node>>;

impl Node {
    pub fn new(chain: Chain) -> SharedNode {
        let oldest = chain.first;
        Arc::new(Mutex::new(Node {
            chain,
            oldest,
            faults: Vec::new(),
            archive: false,
            without_metadata: false,
            asked: Vec::new(),
        }))
    }

    /// Answers a call as a server with the traps of its kind.
    pub fn answer(&mut self, method: &str, params: &Value) -> Reply {
        if !self.faults.is_empty() {
            return self.faults.remove(0);
        }
        let (oldest, latest) = (self.oldest, self.chain.latest());
        let start = params["startLedger"].as_u64().map(|start| start as u32);
        let limit = params["pagination"]["limit"].as_u64().unwrap_or(50) as usize;
        let in_range = |start: u32| start <= latest && (start >= oldest || self.archive);
        let refusal = |start: u32| {
            Reply::Error(
                -32600,
                format!(
                    "start ledger ({start}) must be between the oldest ledger: {oldest} and the latest ledger: {latest} for this rpc instance"
                ),
            )
        };
        match method {
            "getNetwork" => Reply::Result(json!({ "passphrase": PASSPHRASE, "protocolVersion": 23 })),
            "getHealth" => Reply::Result(
                json!({ "status": "healthy", "latestLedger": latest, "oldestLedger": oldest, "ledgerRetentionWindow": 1000 }),
            ),
            "getLedgers" => {
                let start = start.unwrap();
                self.asked.push((start, limit as u32));
                if !in_range(start) {
                    return refusal(start);
                }
                let mut ledgers: Vec<_> =
                    (start..=latest).take(limit).filter_map(|index| self.chain.ledger(index)).collect();
                if self.without_metadata {
                    ledgers.iter_mut().for_each(|ledger| ledger["metadataXdr"] = json!(""));
                }
                Reply::Result(
                    json!({ "ledgers": ledgers, "cursor": start.to_string(), "latestLedger": latest, "oldestLedger": oldest }),
                )
            }
            "getTransactions" => {
                let after = match (start, &params["pagination"]["cursor"]) {
                    (Some(start), Value::Null) if in_range(start) => u64::from(start) << 32,
                    (Some(start), _) => return refusal(start),
                    (None, cursor) => cursor.as_str().unwrap().parse().unwrap(),
                };
                let all = (oldest..=latest).flat_map(|index| self.transactions(index));
                let page: Vec<_> = all.filter(|(toid, _)| *toid > after).take(limit).collect();
                let cursor = page.last().map_or(u64::from(latest) << 32, |(toid, _)| *toid);
                let page: Vec<_> = page.into_iter().map(|(_, sent)| sent).collect();
                Reply::Result(
                    json!({ "transactions": page, "cursor": cursor.to_string(), "latestLedger": latest, "oldestLedger": oldest }),
                )
            }
            other => Reply::Error(-32601, format!("method not found: {other}")),
        }
    }

    fn transactions(&self, index: u32) -> Vec<(u64, Value)> {
        let ledger = serde_json::from_value(self.chain.ledger(index).unwrap()).unwrap();
        let closed = super::decode::metadata(&ledger, &self.chain.network()).unwrap();
        let form = |applied: super::decode::AppliedTransaction| {
            let sent = json!({
                "ledger": index,
                "applicationOrder": applied.order,
                "txHash": applied.hash.to_string(),
                "envelopeXdr": applied.envelope.to_xdr_base64(Limits::none()).unwrap(),
                "resultXdr": applied.result.to_xdr_base64(Limits::none()).unwrap(),
                "resultMetaXdr": applied.meta.to_xdr_base64(Limits::none()).unwrap(),
            });
            (super::mapping::toid(index, applied.order, 0), sent)
        };
        closed.transactions.into_iter().map(form).collect()
    }
}
