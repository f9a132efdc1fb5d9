//! Transactions that were charged and did nothing, whatever their results seem to say.

use rand::RngExt;
use stellar_xdr::{
    BumpSequenceOp, BumpSequenceResult, CreateAccountOp, CreateAccountResult, ManageSellOfferOp, ManageSellOfferResult,
    OperationBody, OperationResult, OperationResultTr, PathPaymentStrictReceiveOp, PathPaymentStrictReceiveResult,
    PaymentOp, PaymentResult, Price, SequenceNumber,
};

use super::draft::{Act, Draft, Maker, inner, operation};
use super::world::{Key, Xdr, account_id, plain};

impl Maker<'_> {
    /// A classic transaction in which one operation failed, so that none counts. Half of them have
    /// operations before it whose results say success, claims included.
    pub(super) fn failure(&mut self) -> Xdr<Draft> {
        let source = self.account();
        let memo = self.memo()?;
        let mut acts = Vec::new();
        if self.one_in(2) {
            let atoms = self.rng.random_range(0..3);
            acts.push(self.offer_act(source, atoms, false)?);
        }
        acts.push(self.failed_act(source)?);
        for act in &mut acts {
            act.events.clear();
            act.changes.clear();
        }
        let mut draft = self.classic(source, memo, acts);
        draft.success = false;
        Ok(draft)
    }

    fn failed_act(&mut self, source: Key) -> Xdr<Act> {
        let index = self.world.issued_asset(&mut self.rng);
        let asset = self.world.assets[index].asset.clone();
        let native = self.world.assets[0].asset.clone();
        let amount = self.amount(index);
        let to = self.other_account(source);
        let pay = |amount| OperationBody::Payment(PaymentOp { destination: plain(to), asset: asset.clone(), amount });
        let payment = |result| inner(OperationResultTr::Payment(result));
        let (body, result) = match self.rng.random_range(0..7) {
            0 => (pay(amount), payment(PaymentResult::Underfunded)),
            1 => (pay(amount), payment(PaymentResult::NoTrust)),
            2 => (pay(amount), payment(PaymentResult::NoDestination)),
            3 => (pay(amount), OperationResult::OpBadAuth),
            4 => (
                OperationBody::PathPaymentStrictReceive(PathPaymentStrictReceiveOp {
                    send_asset: native,
                    send_max: 1,
                    destination: plain(source),
                    dest_asset: asset,
                    dest_amount: amount,
                    path: Vec::new().try_into()?,
                }),
                inner(OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::OverSendmax)),
            ),
            5 => (
                OperationBody::ManageSellOffer(ManageSellOfferOp {
                    selling: asset,
                    buying: native,
                    amount,
                    price: Price { n: 1, d: 7 },
                    offer_id: 0,
                }),
                inner(OperationResultTr::ManageSellOffer(ManageSellOfferResult::Underfunded)),
            ),
            _ => (
                OperationBody::CreateAccount(CreateAccountOp {
                    destination: account_id(to),
                    starting_balance: 10_000_000,
                }),
                inner(OperationResultTr::CreateAccount(CreateAccountResult::AlreadyExist)),
            ),
        };
        Ok(Act { operation: operation(None, body), result, events: Vec::new(), changes: Vec::new() })
    }

    /// See [`super::plan::Plan::Silent`].
    pub(super) fn silence(&mut self) -> Xdr<Draft> {
        let source = self.account();
        let act = Act {
            operation: operation(None, OperationBody::BumpSequence(BumpSequenceOp { bump_to: SequenceNumber(0) })),
            result: inner(OperationResultTr::BumpSequence(BumpSequenceResult::Success)),
            events: Vec::new(),
            changes: Vec::new(),
        };
        let mut draft = self.classic(source, stellar_xdr::Memo::None, vec![act]);
        draft.fee_source = None;
        draft.charged = false;
        Ok(draft)
    }
}
