//! A transaction as the mapping sees it, whatever envelope it came in, and its own event.

use super::decode::AppliedTransaction;
use super::keys::{Names, Party, Subjects};
use super::mapping::toid;
use crate::event::{Amount, Body, Event, EventKind, Hash, Place, Transaction};
use stellar_xdr::{
    ContractEvent, FeeBumpTransactionInnerTx, InnerTransactionResultResult, LedgerEntryChange, Memo, Operation,
    OperationBody, OperationResult, TransactionEnvelope, TransactionEvent, TransactionMeta, TransactionResultResult,
};

/// One transaction, seen through its envelope, result and metadata.
pub struct View<'a> {
    /// The ledger it is in.
    pub ledger: u32,
    /// From 1.
    pub order: u32,
    /// For a fee bump the outer one.
    pub hash: Hash,
    /// Who sent it; for a fee bump the inner source.
    pub source: Party,
    /// Who pays the fee.
    pub fee_source: Party,
    /// For a fee bump the inner one.
    pub memo: Option<Box<str>>,
    /// The operations sent.
    pub operations: &'a [Operation],
    /// Their results, if the transaction succeeded.
    pub results: Option<&'a [OperationResult]>,
    meta: &'a TransactionMeta,
    fee_charged: i64,
}

impl<'a> View<'a> {
    /// Looks at a transaction.
    pub fn new(ledger: u32, applied: &'a AppliedTransaction) -> View<'a> {
        let (source, fee_source, memo, operations) = match &applied.envelope {
            TransactionEnvelope::TxV0(envelope) => {
                let source = Party::Account(envelope.tx.source_account_ed25519.0);
                (source, source, &envelope.tx.memo, &envelope.tx.operations)
            }
            TransactionEnvelope::Tx(envelope) => {
                let source = Party::from(&envelope.tx.source_account);
                (source, source, &envelope.tx.memo, &envelope.tx.operations)
            }
            TransactionEnvelope::TxFeeBump(envelope) => {
                let FeeBumpTransactionInnerTx::Tx(inner) = &envelope.tx.inner_tx;
                let fee_source = Party::from(&envelope.tx.fee_source);
                (Party::from(&inner.tx.source_account), fee_source, &inner.tx.memo, &inner.tx.operations)
            }
        };
        let results: Option<&[OperationResult]> = match &applied.result.result {
            TransactionResultResult::TxSuccess(results) => Some(results),
            TransactionResultResult::TxFeeBumpInnerSuccess(inner) => match &inner.result.result {
                InnerTransactionResultResult::TxSuccess(results) => Some(results),
                _ => None,
            },
            _ => None,
        };
        View {
            ledger,
            order: applied.order,
            hash: applied.hash,
            source,
            fee_source,
            memo: memo_text(memo),
            operations,
            results,
            meta: &applied.meta,
            fee_charged: applied.result.fee_charged,
        }
    }

    /// Whether it succeeded.
    pub fn successful(&self) -> bool {
        self.results.is_some()
    }

    /// Who an operation acts for.
    pub fn source_of(&self, operation: &Operation) -> Party {
        operation.source_account.as_ref().map_or(self.source, Party::from)
    }

    /// What an operation changed.
    pub fn changes(&self, operation: usize) -> &'a [LedgerEntryChange] {
        let changes = match self.meta {
            TransactionMeta::V0(operations) => operations.get(operation).map(|meta| &meta.changes),
            TransactionMeta::V1(meta) => meta.operations.get(operation).map(|meta| &meta.changes),
            TransactionMeta::V2(meta) => meta.operations.get(operation).map(|meta| &meta.changes),
            TransactionMeta::V3(meta) => meta.operations.get(operation).map(|meta| &meta.changes),
            TransactionMeta::V4(meta) => meta.operations.get(operation).map(|meta| &meta.changes),
        };
        changes.map_or(&[], |changes| &changes.0)
    }

    /// The events of each operation that has some, with the operation's index.
    pub fn operation_events(&self) -> Vec<(u32, &'a [ContractEvent])> {
        match self.meta {
            TransactionMeta::V3(meta) => {
                // One operation at most calls a contract, and it stands alone in its transaction.
                meta.soroban_meta.iter().map(|soroban| (0, &soroban.events[..])).collect()
            }
            TransactionMeta::V4(meta) => {
                (0..).zip(meta.operations.iter()).map(|(at, meta)| (at, &meta.events[..])).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The events of the transaction itself: its fee.
    pub fn transaction_events(&self) -> &'a [TransactionEvent] {
        match self.meta {
            TransactionMeta::V4(meta) => &meta.events,
            _ => &[],
        }
    }
}

/// The event that tells of the transaction.
pub fn event(view: &View<'_>, names: &mut Names) -> Event {
    let mut subjects = Subjects::default();
    names.add_subjects(view.source, &mut subjects);
    names.add_subjects(view.fee_source, &mut subjects);
    for operation in view.operations {
        names.add_subjects(view.source_of(operation), &mut subjects);
        if let Some(destination) = destination(&operation.body) {
            names.add_subjects(destination, &mut subjects);
        }
    }
    let body = Transaction {
        source_account: names.name(view.source.base()),
        fee_account: names.name(view.fee_source.base()),
        successful: view.successful(),
        fee_charged: Amount::from_units(view.fee_charged.into(), 0),
        operation_count: view.operations.len() as u32,
        memo: view.memo.clone(),
        application_order: view.order,
    };
    Event {
        id: toid(view.ledger, view.order, 0).to_string().into(),
        kind: EventKind::Transaction,
        place: Place::new(view.order, EventKind::Transaction, 0),
        transaction_hash: Some(view.hash),
        subjects: subjects.into_keys(),
        assets: Vec::new(),
        body: Body::Transaction(Box::new(body)),
        native: None,
    }
}

/// Who an operation sends to.
fn destination(body: &OperationBody) -> Option<Party> {
    match body {
        OperationBody::CreateAccount(create) => Some((&create.destination).into()),
        OperationBody::Payment(payment) => Some((&payment.destination).into()),
        OperationBody::PathPaymentStrictReceive(payment) => Some((&payment.destination).into()),
        OperationBody::PathPaymentStrictSend(payment) => Some((&payment.destination).into()),
        OperationBody::AccountMerge(destination) => Some(destination.into()),
        _ => None,
    }
}

/// A memo as text: hashes as hex.
fn memo_text(memo: &Memo) -> Option<Box<str>> {
    match memo {
        Memo::None => None,
        Memo::Text(text) => Some(String::from_utf8_lossy(text.as_slice()).into()),
        Memo::Id(id) => Some(id.to_string().into()),
        Memo::Hash(hash) | Memo::Return(hash) => Some(Hash(hash.0).to_string().into()),
    }
}
