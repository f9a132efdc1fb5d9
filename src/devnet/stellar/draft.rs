//! A transaction before it has a hash, and the one who makes them.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use stellar_xdr::{
    ContractEvent, DiagnosticEvent, LedgerEntryChange, Memo, MuxedAccount, Operation, OperationBody, OperationResult,
    OperationResultTr, ScVal, SorobanTransactionData,
};

use super::plan::Plan;
use super::world::{AssetIndex, Key, World, Xdr, muxed, plain};

/// One operation and all that came of it.
pub(super) struct Act {
    pub operation: Operation,
    pub result: OperationResult,
    /// Empty in a failed transaction, as are the changes.
    pub events: Vec<ContractEvent>,
    pub changes: Vec<LedgerEntryChange>,
}

/// When the refund of a contract call's unused fee is reported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RefundStage {
    /// Right after its transaction, as up to protocol 22. Some are, because readers of old ledgers
    /// meet it.
    AfterTransaction,
    /// After all transactions of the ledger.
    AfterAll,
}

/// What only a contract call has. Fees in stroops.
pub(super) struct Call {
    pub data: SorobanTransactionData,
    /// Part of `data.resource_fee` that is given back; above 0.
    pub refund: i64,
    pub stage: RefundStage,
    /// `None` if it trapped.
    pub returned: Option<ScVal>,
    /// Never part of what getEvents gives; copies of real events among them.
    pub diagnostics: Vec<DiagnosticEvent>,
}

/// A transaction and its outcome, but neither signed, nor numbered, nor hashed.
pub(super) struct Draft {
    pub source: MuxedAccount,
    /// Set if another account's fee bump carries it.
    pub fee_source: Option<MuxedAccount>,
    pub memo: Memo,
    pub acts: Vec<Act>,
    pub success: bool,
    pub call: Option<Call>,
    /// False for [`Plan::Silent`] alone.
    pub charged: bool,
}

/// Makes the transactions of one ledger.
pub(super) struct Maker<'a> {
    pub world: &'a World,
    pub rng: ChaCha8Rng,
    pub ledger: u32,
    /// Visitors made and merged away so far in this ledger.
    pub visitors_made: u32,
    pub visitors_merged: u32,
}

impl<'a> Maker<'a> {
    pub fn new(world: &'a World, ledger: u32) -> Self {
        let rng = world.chance(ledger);
        Self { world, rng, ledger, visitors_made: 0, visitors_merged: 0 }
    }

    /// The transaction for a plan. It decodes to exactly `plan.cost()` broker events.
    pub fn draft(&mut self, plan: Plan) -> Xdr<Draft> {
        match plan {
            Plan::Payments { operations } => self.payments(operations),
            Plan::CreateAccount => self.create_account(),
            Plan::AccountMerge => self.account_merge(),
            Plan::Path { atoms } => self.path_payment(atoms),
            Plan::Offer { atoms, empty } => self.offer(atoms, empty),
            Plan::Balance => self.claimable_balance(),
            Plan::Issuer => self.issuer_act(),
            Plan::Contract { events, transfers } => self.contract_call(events, transfers),
            Plan::Failed => self.failure(),
            Plan::Trapped => self.trapped_call(),
            Plan::Silent => self.silence(),
        }
    }

    /// A classic transaction from `source`, sometimes multiplexed, sometimes carried by a fee bump.
    pub fn classic(&mut self, source: Key, memo: Memo, acts: Vec<Act>) -> Draft {
        let source_account = if self.one_in(16) { muxed(source, self.rng.random()) } else { plain(source) };
        let fee_source = self.one_in(8).then(|| {
            let payer = self.world.other_account(&mut self.rng, source);
            if self.one_in(4) { muxed(payer, self.rng.random()) } else { plain(payer) }
        });
        Draft { source: source_account, fee_source, memo, acts, success: true, call: None, charged: true }
    }

    pub fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_ratio(1, n)
    }

    pub fn account(&mut self) -> Key {
        self.world.account(&mut self.rng)
    }

    pub fn other_account(&mut self, one: Key) -> Key {
        self.world.other_account(&mut self.rng, one)
    }

    /// An address for `key`, one in eight of them multiplexed.
    pub fn receiver(&mut self, key: Key) -> MuxedAccount {
        if self.one_in(8) { muxed(key, self.rng.random()) } else { plain(key) }
    }

    /// Stroops, evenly spread over the magnitudes; sometimes the smallest amount that there is
    /// and, for issued assets only (there are not so many lumens), nearly the largest.
    pub fn amount(&mut self, asset: AssetIndex) -> i64 {
        match self.rng.random_range(0..1000) {
            0..15 => 1,
            15..20 if asset != 0 => i64::MAX - self.rng.random_range(0..1_000),
            _ => {
                let magnitude = 10_i64.pow(self.rng.random_range(2..14));
                self.rng.random_range(magnitude..10 * magnitude)
            }
        }
    }

    /// Half of all transactions have one. Texts are mostly readable; a memo may hold any bytes,
    /// so a few do.
    pub fn memo(&mut self) -> Xdr<Memo> {
        let reference: u64 = self.rng.random();
        Ok(match self.rng.random_range(0..80) {
            0..20 => Memo::Text(format!("invoice {}", reference % 1_000_000).as_str().try_into()?),
            20 => Memo::Text("caf\u{e9} \u{2615}".try_into()?),
            21 => Memo::Text([0xff, 0x00, 0xfe, b'"'].try_into()?),
            22..32 => Memo::Id(reference),
            32..36 => Memo::Hash(stellar_xdr::Hash(self.rng.random())),
            36..40 => Memo::Return(stellar_xdr::Hash(self.rng.random())),
            _ => Memo::None,
        })
    }
}

/// An operation; `source` only where it is not that of the transaction.
pub(super) fn operation(source: Option<Key>, body: OperationBody) -> Operation {
    Operation { source_account: source.map(plain), body }
}

pub(super) fn inner(result: OperationResultTr) -> OperationResult {
    OperationResult::OpInner(result)
}
