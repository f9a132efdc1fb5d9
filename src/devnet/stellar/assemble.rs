//! Makes a draft into a transaction as a ledger holds it: numbered, signed, hashed, with result
//! and metadata.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use stellar_xdr::{
    AccountEntry, AccountEntryExt, ContractEvent, DecoratedSignature, ExtensionPoint, FeeBumpTransaction,
    FeeBumpTransactionEnvelope, FeeBumpTransactionExt, FeeBumpTransactionInnerTx, Hash, InnerTransactionResult,
    InnerTransactionResultExt, InnerTransactionResultPair, InnerTransactionResultResult, LedgerEntry,
    LedgerEntryChange, LedgerEntryChanges, LedgerEntryData, LedgerEntryExt, OperationMetaV2, Preconditions,
    SequenceNumber, Signature, SignatureHint, SorobanTransactionMetaExt, SorobanTransactionMetaExtV1,
    SorobanTransactionMetaV2, String32, Thresholds, TimeBounds, TimePoint, Transaction, TransactionEnvelope,
    TransactionEvent, TransactionEventStage, TransactionExt, TransactionMeta, TransactionMetaV4, TransactionResult,
    TransactionResultExt, TransactionResultPair, TransactionResultResult, TransactionV1Envelope,
};

use super::draft::{Draft, Maker, RefundStage};
use super::events::fee;
use super::world::{Key, World, Xdr, account_id, key_of};

/// What one operation pays at least, in stroops.
pub(super) const BASE_FEE: i64 = 100;

/// A transaction with everything that a ledger says about it.
pub(super) struct Applied {
    pub envelope: TransactionEnvelope,
    pub result: TransactionResultPair,
    pub fee_changes: LedgerEntryChanges,
    pub meta: TransactionMeta,
    pub refund_changes: LedgerEntryChanges,
    /// Whether it belongs to the contract phase of the ledger.
    pub contract: bool,
}

impl Maker<'_> {
    /// `serial` numbers the transactions of the ledger from 0; it makes sequence numbers unique.
    pub(super) fn assemble(&mut self, draft: Draft, serial: u32) -> Xdr<Applied> {
        let source = key_of(&draft.source);
        let payer = draft.fee_source.as_ref().map_or(source, key_of);
        let fee_bump = draft.fee_source.is_some();
        let contract = draft.call.is_some();
        let success = draft.success;

        let resource_fee = draft.call.as_ref().map_or(0, |call| call.data.resource_fee);
        let refund = draft.call.as_ref().map_or(0, |call| call.refund);
        // An outer fee bump counts as one operation more.
        let paid_operations = draft.acts.len() as i64 + i64::from(fee_bump);
        let charged = if draft.charged { BASE_FEE * paid_operations + resource_fee } else { 0 };
        let bid = charged + i64::from(self.rng.random_range(0..100_000_u32));

        let mut operations = Vec::with_capacity(draft.acts.len());
        let mut results = Vec::with_capacity(draft.acts.len());
        let mut metas = Vec::with_capacity(draft.acts.len());
        for act in draft.acts {
            operations.push(act.operation);
            results.push(act.result);
            metas.push(OperationMetaV2 {
                ext: ExtensionPoint::V0,
                changes: LedgerEntryChanges(act.changes.try_into()?),
                events: act.events.try_into()?,
            });
        }
        let sequence = i64::from(self.ledger) << 32 | i64::from(serial);
        let transaction = Transaction {
            source_account: draft.source,
            fee: u32::try_from(bid).unwrap_or(u32::MAX),
            seq_num: SequenceNumber(sequence),
            cond: self.preconditions(),
            memo: draft.memo,
            operations: operations.try_into()?,
            ext: draft.call.as_ref().map_or(TransactionExt::V0, |call| TransactionExt::V1(call.data.clone())),
        };
        let network = self.world.network_id;
        let inner_hash = Hash(transaction.hash(network)?);
        let envelope =
            TransactionV1Envelope { tx: transaction, signatures: vec![signature(&mut self.rng, source)?].try_into()? };
        let results = results.try_into()?;
        let (envelope, hash, result) = match draft.fee_source {
            None => (
                TransactionEnvelope::Tx(envelope),
                inner_hash,
                if success {
                    TransactionResultResult::TxSuccess(results)
                } else {
                    TransactionResultResult::TxFailed(results)
                },
            ),
            Some(fee_source) => {
                let outer = FeeBumpTransaction {
                    fee_source,
                    fee: bid + BASE_FEE,
                    inner_tx: FeeBumpTransactionInnerTx::Tx(envelope),
                    ext: FeeBumpTransactionExt::V0,
                };
                let hash = Hash(outer.hash(network)?);
                let signatures = vec![signature(&mut self.rng, payer)?].try_into()?;
                let pair = InnerTransactionResultPair {
                    transaction_hash: inner_hash,
                    result: InnerTransactionResult {
                        // The outer transaction pays; this field is always 0.
                        fee_charged: 0,
                        result: if success {
                            InnerTransactionResultResult::TxSuccess(results)
                        } else {
                            InnerTransactionResultResult::TxFailed(results)
                        },
                        ext: InnerTransactionResultExt::V0,
                    },
                };
                (
                    TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope { tx: outer, signatures }),
                    hash,
                    if success {
                        TransactionResultResult::TxFeeBumpInnerSuccess(pair)
                    } else {
                        TransactionResultResult::TxFeeBumpInnerFailed(pair)
                    },
                )
            }
        };

        let mut events = Vec::new();
        if draft.charged {
            let event = fee(self.world, payer, charged)?;
            events.push(staged(TransactionEventStage::BeforeAllTxs, event));
        }
        let (mut soroban_meta, mut diagnostics) = (None, Vec::new());
        if let Some(call) = draft.call {
            let stage = match call.stage {
                RefundStage::AfterTransaction => TransactionEventStage::AfterTx,
                RefundStage::AfterAll => TransactionEventStage::AfterAllTxs,
            };
            events.push(staged(stage, fee(self.world, payer, -refund)?));
            let kept = resource_fee - refund;
            soroban_meta = Some(SorobanTransactionMetaV2 {
                ext: SorobanTransactionMetaExt::V1(SorobanTransactionMetaExtV1 {
                    ext: ExtensionPoint::V0,
                    total_non_refundable_resource_fee_charged: kept / 2,
                    total_refundable_resource_fee_charged: kept - kept / 2,
                    rent_fee_charged: kept / 4,
                }),
                return_value: call.returned,
            });
            diagnostics = call.diagnostics;
        }
        // A failed transaction has no operations in its metadata, and so no events of them.
        let metas = if success { metas } else { Vec::new() };
        let ledger = self.ledger;
        Ok(Applied {
            envelope,
            result: TransactionResultPair {
                transaction_hash: hash,
                result: TransactionResult { fee_charged: charged - refund, result, ext: TransactionResultExt::V0 },
            },
            fee_changes: account_change(ledger, payer, (0, sequence - 1), (-charged, sequence - 1))?,
            meta: TransactionMeta::V4(TransactionMetaV4 {
                ext: ExtensionPoint::V0,
                tx_changes_before: account_change(ledger, source, (-charged, sequence - 1), (-charged, sequence))?,
                operations: metas.try_into()?,
                tx_changes_after: LedgerEntryChanges(Vec::new().try_into()?),
                soroban_meta,
                events: events.try_into()?,
                diagnostic_events: diagnostics.try_into()?,
            }),
            refund_changes: if refund > 0 {
                account_change(ledger, payer, (-charged, sequence), (refund - charged, sequence))?
            } else {
                LedgerEntryChanges(Vec::new().try_into()?)
            },
            contract,
        })
    }

    /// Half of all transactions set an end of their validity.
    fn preconditions(&mut self) -> Preconditions {
        if self.one_in(2) {
            return Preconditions::None;
        }
        // Years ahead of any close time, because contents must not hang on the clock.
        let end = 4_000_000_000 + self.rng.random_range(0..1_000_000);
        Preconditions::Time(TimeBounds { min_time: TimePoint(0), max_time: TimePoint(end) })
    }
}

fn staged(stage: TransactionEventStage, event: ContractEvent) -> TransactionEvent {
    TransactionEvent { stage, event }
}

/// Not a valid signature: nobody has the accounts' secret keys, and no reader checks.
pub(super) fn signature(rng: &mut ChaCha8Rng, signer: Key) -> Xdr<DecoratedSignature> {
    let mut bytes = [0; 64];
    rng.fill_bytes(&mut bytes);
    let hint = std::array::from_fn(|i| signer[28 + i]);
    Ok(DecoratedSignature { hint: SignatureHint(hint), signature: Signature(bytes.try_into()?) })
}

/// An account before and after, as (balance relative to its usual one, sequence number).
fn account_change(ledger: u32, key: Key, before: (i64, i64), after: (i64, i64)) -> Xdr<LedgerEntryChanges> {
    let before = account_entry(ledger.saturating_sub(1), key, before)?;
    let after = account_entry(ledger, key, after)?;
    let changes = vec![LedgerEntryChange::State(before), LedgerEntryChange::Updated(after)];
    Ok(LedgerEntryChanges(changes.try_into()?))
}

fn account_entry(ledger: u32, key: Key, (balance, sequence): (i64, i64)) -> Xdr<LedgerEntry> {
    // Balances are not simulated; each account has a usual one, from a thousand lumens up.
    let usual = 10_000_000_000 + i64::from(key[0]) * 1_000_000_000;
    Ok(LedgerEntry {
        last_modified_ledger_seq: ledger,
        data: LedgerEntryData::Account(AccountEntry {
            account_id: account_id(key),
            balance: usual + balance,
            seq_num: SequenceNumber(sequence),
            num_sub_entries: 0,
            inflation_dest: None,
            flags: 0,
            home_domain: String32("".try_into()?),
            thresholds: Thresholds([1, 0, 0, 0]),
            signers: Vec::new().try_into()?,
            ext: AccountEntryExt::V0,
        }),
        ext: LedgerEntryExt::V0,
    })
}

/// Whoever signs the ledgers.
pub(super) fn validator(world: &World) -> Key {
    world.bytes("validator", 0)
}
