//! Classic transactions that neither trade nor fail: payments, accounts, balances, issuers.

use rand::RngExt;
use stellar_xdr::{
    AccountMergeResult, ClaimClaimableBalanceOp, ClaimClaimableBalanceResult, ClaimPredicate, ClaimableBalanceEntry,
    ClaimableBalanceEntryExt, ClaimableBalanceId, Claimant, ClaimantV0, ClawbackOp, ClawbackResult, CreateAccountOp,
    CreateAccountResult, CreateClaimableBalanceOp, CreateClaimableBalanceResult, Hash, LedgerEntry, LedgerEntryChange,
    LedgerEntryData, LedgerEntryExt, LedgerKey, LedgerKeyClaimableBalance, Memo, OperationBody, OperationResultTr,
    PaymentOp, PaymentResult, ScAddress, SetTrustLineFlagsOp, SetTrustLineFlagsResult,
};

use super::draft::{Act, Draft, Maker, inner, operation};
use super::events::{address, clawback, movement, receiver_id, set_authorized};
use super::plan::MAX_OPERATIONS;
use super::world::{Key, Xdr, account_id, plain};

/// A visitor is merged away this many ledgers after it was made.
const VISIT: u32 = 3;

/// The trustline flag "authorized".
const AUTHORIZED: u32 = 1;

impl Maker<'_> {
    pub(super) fn payments(&mut self, operations: usize) -> Xdr<Draft> {
        let source = self.account();
        let memo = self.memo()?;
        let acts = (0..operations).map(|_| self.payment(source, &memo)).collect::<Xdr<Vec<_>>>()?;
        Ok(self.classic(source, memo, acts))
    }

    /// One payment operation in a transaction of `source`; some are made by another account or by
    /// the asset's issuer, some go to the issuer.
    fn payment(&mut self, source: Key, memo: &Memo) -> Xdr<Act> {
        let index = self.world.asset(&mut self.rng);
        let asset = &self.world.assets[index];
        let amount = self.amount(index);
        let mut from = source;
        if self.one_in(6) {
            from = self.other_account(source);
        }
        let mut to = self.other_account(from);
        if let Some(issuer) = asset.issuer {
            match self.rng.random_range(0..16) {
                0 => from = issuer,
                1 => to = issuer,
                _ => {}
            }
        }
        let to_muxed = self.receiver(to);
        let id = receiver_id(&to_muxed, memo)?;
        Ok(Act {
            events: vec![movement(asset, &address(from), &address(to), amount, id)?],
            operation: operation(
                (from != source).then_some(from),
                OperationBody::Payment(PaymentOp { destination: to_muxed, asset: asset.asset.clone(), amount }),
            ),
            result: inner(OperationResultTr::Payment(PaymentResult::Success)),
            changes: Vec::new(),
        })
    }

    /// Payments of lumens, to each account in turn over all ledgers, from one that is none of them.
    pub(super) fn payments_in_turn(&mut self, count: usize) -> Xdr<Vec<Draft>> {
        let payer = self.world.bytes("payer", 0);
        let first = u64::from(self.ledger) * count as u64;
        let turns: Vec<u64> = (first..first + count as u64).collect();
        turns
            .chunks(MAX_OPERATIONS)
            .map(|turns| {
                let acts = turns.iter().map(|turn| {
                    let (to, amount) = (self.world.account_in_turn(*turn), self.amount(0));
                    let body = PaymentOp { destination: plain(to), asset: self.world.assets[0].asset.clone(), amount };
                    Ok(Act {
                        events: vec![movement(&self.world.assets[0], &address(payer), &address(to), amount, None)?],
                        operation: operation(None, OperationBody::Payment(body)),
                        result: inner(OperationResultTr::Payment(PaymentResult::Success)),
                        changes: Vec::new(),
                    })
                });
                let acts = acts.collect::<Xdr<Vec<_>>>()?;
                Ok(Draft {
                    source: plain(payer),
                    fee_source: None,
                    memo: Memo::None,
                    acts,
                    success: true,
                    call: None,
                    charged: true,
                })
            })
            .collect()
    }

    pub(super) fn create_account(&mut self) -> Xdr<Draft> {
        let source = self.account();
        let memo = self.memo()?;
        let visitor = self.world.visitor(self.ledger, self.visitors_made);
        self.visitors_made += 1;
        // At least two base reserves, as the protocol demands.
        let starting_balance = self.rng.random_range(10_000_000..10_000_000_000);
        let id = receiver_id(&plain(visitor), &memo)?;
        let act = Act {
            events: vec![movement(&self.world.assets[0], &address(source), &address(visitor), starting_balance, id)?],
            operation: operation(
                None,
                OperationBody::CreateAccount(CreateAccountOp { destination: account_id(visitor), starting_balance }),
            ),
            result: inner(OperationResultTr::CreateAccount(CreateAccountResult::Success)),
            changes: Vec::new(),
        };
        Ok(self.classic(source, memo, vec![act]))
    }

    pub(super) fn account_merge(&mut self) -> Xdr<Draft> {
        let visitor = self.world.visitor(self.ledger.saturating_sub(VISIT), self.visitors_merged);
        self.visitors_merged += 1;
        let to = self.account();
        let memo = self.memo()?;
        let to_muxed = self.receiver(to);
        let balance = self.rng.random_range(10_000_000..10_000_000_000);
        let id = receiver_id(&to_muxed, &memo)?;
        let act = Act {
            events: vec![movement(&self.world.assets[0], &address(visitor), &address(to), balance, id)?],
            operation: operation(None, OperationBody::AccountMerge(to_muxed)),
            result: inner(OperationResultTr::AccountMerge(AccountMergeResult::Success(balance))),
            changes: Vec::new(),
        };
        Ok(self.classic(visitor, memo, vec![act]))
    }

    /// Made by one account for another, or claimed by its claimant. The amount of a claim stands
    /// only in the removed entry, as on the real network.
    pub(super) fn claimable_balance(&mut self) -> Xdr<Draft> {
        let source = self.account();
        let index = self.world.asset(&mut self.rng);
        let asset = &self.world.assets[index];
        let amount = self.amount(index);
        let balance = ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(self.rng.random()));
        let there = ScAddress::ClaimableBalance(balance.clone());
        let claim = self.one_in(2);
        let claimant = if claim { source } else { self.world.other_account(&mut self.rng, source) };
        let claimants = vec![Claimant::ClaimantTypeV0(ClaimantV0 {
            destination: account_id(claimant),
            predicate: ClaimPredicate::Unconditional,
        })];
        let entry = LedgerEntry {
            last_modified_ledger_seq: self.ledger.saturating_sub(u32::from(claim)),
            data: LedgerEntryData::ClaimableBalance(ClaimableBalanceEntry {
                balance_id: balance.clone(),
                claimants: claimants.clone().try_into()?,
                asset: asset.asset.clone(),
                amount,
                ext: ClaimableBalanceEntryExt::V0,
            }),
            ext: LedgerEntryExt::V0,
        };
        let act = if claim {
            Act {
                operation: operation(
                    None,
                    OperationBody::ClaimClaimableBalance(ClaimClaimableBalanceOp { balance_id: balance.clone() }),
                ),
                result: inner(OperationResultTr::ClaimClaimableBalance(ClaimClaimableBalanceResult::Success)),
                events: vec![movement(asset, &there, &address(source), amount, None)?],
                changes: vec![
                    LedgerEntryChange::State(entry),
                    LedgerEntryChange::Removed(LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance {
                        balance_id: balance,
                    })),
                ],
            }
        } else {
            Act {
                operation: operation(
                    None,
                    OperationBody::CreateClaimableBalance(CreateClaimableBalanceOp {
                        asset: asset.asset.clone(),
                        amount,
                        claimants: claimants.try_into()?,
                    }),
                ),
                result: inner(OperationResultTr::CreateClaimableBalance(CreateClaimableBalanceResult::Success(
                    balance,
                ))),
                events: vec![movement(asset, &address(source), &there, amount, None)?],
                changes: vec![LedgerEntryChange::Created(entry)],
            }
        };
        let memo = self.memo()?;
        Ok(self.classic(source, memo, vec![act]))
    }

    /// An issuer takes back some of its asset or lets somebody hold it.
    pub(super) fn issuer_act(&mut self) -> Xdr<Draft> {
        let index = self.world.issued_asset(&mut self.rng);
        let asset = &self.world.assets[index];
        let holder = self.account();
        // Issued assets all have an issuer; a network of native lumens alone would have none.
        let issuer = asset.issuer.unwrap_or(holder);
        let (body, result, event) = if self.one_in(2) {
            let amount = self.amount(index);
            (
                OperationBody::Clawback(ClawbackOp { asset: asset.asset.clone(), from: plain(holder), amount }),
                OperationResultTr::Clawback(ClawbackResult::Success),
                clawback(asset, holder, amount)?,
            )
        } else {
            let on = self.one_in(2);
            let (set_flags, clear_flags) = if on { (AUTHORIZED, 0) } else { (0, AUTHORIZED) };
            (
                OperationBody::SetTrustLineFlags(SetTrustLineFlagsOp {
                    trustor: account_id(holder),
                    asset: asset.asset.clone(),
                    clear_flags,
                    set_flags,
                }),
                OperationResultTr::SetTrustLineFlags(SetTrustLineFlagsResult::Success),
                set_authorized(asset, holder, on)?,
            )
        };
        let act =
            Act { operation: operation(None, body), result: inner(result), events: vec![event], changes: Vec::new() };
        Ok(self.classic(issuer, Memo::None, vec![act]))
    }
}
