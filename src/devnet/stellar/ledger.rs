//! Closes a ledger: transactions in apply order, transaction set, header, hash.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use stellar_xdr::{
    DependentTxCluster, ExtensionPoint, GeneralizedTransactionSet, Hash, LedgerCloseMeta, LedgerCloseMetaExt,
    LedgerCloseMetaExtV1, LedgerCloseMetaV2, LedgerCloseValueSignature, LedgerHeader, LedgerHeaderExt,
    LedgerHeaderHistoryEntry, LedgerHeaderHistoryEntryExt, NodeId, ParallelTxExecutionStage, ParallelTxsComponent,
    StellarValue, StellarValueExt, TimePoint, TransactionEnvelope, TransactionPhase, TransactionResultMetaV1,
    TransactionResultSet, TransactionSetV1, TxSetComponent, TxSetComponentTxsMaybeDiscountedFee,
};

use super::assemble::{Applied, BASE_FEE, signature, validator};
use super::draft::Maker;
use super::plan::compose;
use super::world::{World, Xdr, account_id, sha256};

/// Protocol version in every header.
pub(super) const PROTOCOL: u32 = 25;

/// Contract calls that touch the same data apply one after another; so many are put together.
const CLUSTER: usize = 4;

/// What a ledger holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Everything that happens on a network: exactly `max(1, events)` broker events.
    Mixed {
        /// How many.
        events: usize,
    },
    /// Nothing but so many payments, to each account in turn.
    Payments {
        /// How many.
        count: usize,
    },
}

/// A closed ledger in XDR, before it is encoded for answers.
pub(super) struct Closed {
    pub meta: LedgerCloseMetaV2,
    /// Per transaction, in apply order.
    pub envelopes: Vec<TransactionEnvelope>,
}

/// Closes `sequence` on top of `previous`. Contents follow from (seed, sequence) alone; the hash
/// follows from contents, `previous` and `close_time` (unix seconds).
pub(super) fn close(world: &World, sequence: u32, previous: &Hash, close_time: u64, contents: Contents) -> Xdr<Closed> {
    let mut maker = Maker::new(world, sequence);
    let mut applied = Vec::new();
    match contents {
        Contents::Mixed { events } => {
            // The ledger itself is one of the events.
            for (serial, plan) in (0..).zip(compose(&mut maker.rng, events.saturating_sub(1))) {
                let draft = maker.draft(plan)?;
                applied.push(maker.assemble(draft, serial)?);
            }
            shuffle(&mut maker.rng, &mut applied);
        }
        Contents::Payments { count } => {
            let drafts = maker.payments_in_turn(count)?;
            for (serial, draft) in (0..).zip(drafts) {
                applied.push(maker.assemble(draft, serial)?);
            }
        }
    }
    // Contract calls are a phase of their own, which applies last. The sort is stable.
    applied.sort_by_key(|transaction| transaction.contract);

    let tx_set = transaction_set(previous, &applied)?;
    let results =
        TransactionResultSet { results: applied.iter().map(|t| t.result.clone()).collect::<Vec<_>>().try_into()? };
    let signed = signature(&mut maker.rng, validator(world))?.signature;
    let header = LedgerHeader {
        ledger_version: PROTOCOL,
        previous_ledger_hash: previous.clone(),
        scp_value: StellarValue {
            tx_set_hash: sha256(&tx_set)?,
            close_time: TimePoint(close_time),
            upgrades: Vec::new().try_into()?,
            ext: StellarValueExt::Signed(LedgerCloseValueSignature {
                node_id: NodeId(account_id(validator(world)).0),
                signature: signed,
            }),
        },
        tx_set_result_hash: sha256(&results)?,
        bucket_list_hash: Hash(world.bytes("bucket list", u64::from(sequence))),
        ledger_seq: sequence,
        total_coins: 500_018_068_120_000_000,
        fee_pool: 1_000_000 * i64::from(sequence),
        inflation_seq: 0,
        id_pool: 1_000 * u64::from(sequence),
        base_fee: BASE_FEE as u32,
        base_reserve: 5_000_000,
        max_tx_set_size: 1_000_000,
        skip_list: [const { Hash([0; 32]) }; 4],
        ext: LedgerHeaderExt::V0,
    };
    let hash = sha256(&header)?;

    let mut envelopes = Vec::with_capacity(applied.len());
    let mut processing = Vec::with_capacity(applied.len());
    for transaction in applied {
        envelopes.push(transaction.envelope);
        processing.push(TransactionResultMetaV1 {
            ext: ExtensionPoint::V0,
            result: transaction.result,
            fee_processing: transaction.fee_changes,
            tx_apply_processing: transaction.meta,
            post_tx_apply_fee_processing: transaction.refund_changes,
        });
    }
    let meta = LedgerCloseMetaV2 {
        ext: LedgerCloseMetaExt::V1(LedgerCloseMetaExtV1 { ext: ExtensionPoint::V0, soroban_fee_write1_kb: 1_234 }),
        ledger_header: LedgerHeaderHistoryEntry { hash, header, ext: LedgerHeaderHistoryEntryExt::V0 },
        tx_set,
        tx_processing: processing.try_into()?,
        upgrades_processing: Vec::new().try_into()?,
        scp_info: Vec::new().try_into()?,
        total_byte_size_of_live_soroban_state: 1_000_000,
        evicted_keys: Vec::new().try_into()?,
    };
    Ok(Closed { meta, envelopes })
}

/// The set that was agreed on: both phases, each sorted by hash, which is not the apply order.
fn transaction_set(previous: &Hash, applied: &[Applied]) -> Xdr<GeneralizedTransactionSet> {
    let sorted = |contract: bool| {
        let mut phase: Vec<&Applied> = applied.iter().filter(|t| t.contract == contract).collect();
        phase.sort_by(|a, b| a.result.transaction_hash.cmp(&b.result.transaction_hash));
        phase.into_iter().map(|t| t.envelope.clone()).collect::<Vec<_>>()
    };
    let classic = sorted(false);
    let classic = if classic.is_empty() {
        Vec::new()
    } else {
        vec![TxSetComponent::TxsetCompTxsMaybeDiscountedFee(TxSetComponentTxsMaybeDiscountedFee {
            base_fee: Some(BASE_FEE),
            txs: classic.try_into()?,
        })]
    };
    let clusters = sorted(true)
        .chunks(CLUSTER)
        .map(|cluster| Ok(DependentTxCluster(cluster.try_into()?)))
        .collect::<Xdr<Vec<_>>>()?;
    let stages = if clusters.is_empty() { Vec::new() } else { vec![ParallelTxExecutionStage(clusters.try_into()?)] };
    Ok(GeneralizedTransactionSet::V1(TransactionSetV1 {
        previous_ledger_hash: previous.clone(),
        phases: vec![
            TransactionPhase::V0(classic.try_into()?),
            TransactionPhase::V1(ParallelTxsComponent {
                base_fee: Some(BASE_FEE),
                execution_stages: stages.try_into()?,
            }),
        ]
        .try_into()?,
    }))
}

fn shuffle<T>(rng: &mut ChaCha8Rng, items: &mut [T]) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.random_range(0..=i));
    }
}

impl Closed {
    /// The form in which a ledger travels.
    pub fn into_meta(self) -> LedgerCloseMeta {
        LedgerCloseMeta::V2(self.meta)
    }
}
