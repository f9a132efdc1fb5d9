//! The facts of an event in a form that is the same for every family of ledgers.
//!
//! Dialects of another family render from these. A field that a family does not know is `None`.

use super::Amount;
use serde_json::value::RawValue;
use std::sync::Arc;

/// An asset, named once per ledger and shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The full name: `native`, `CODE:ISSUER`, or a token's address.
    pub id: Arc<str>,
    /// The bare code, such as `XLM` or `USDC`.
    pub code: Arc<str>,
    /// The issuer; `None` for a native asset.
    pub issuer: Option<Arc<str>>,
    /// The family's word for the kind of asset, such as `credit_alphanum4`.
    pub kind: &'static str,
    /// Digits after the point when an amount of it is printed; `None`: plain and trimmed.
    pub decimals: Option<u8>,
}

/// What the event tells. The variant fits the event's kind.
#[derive(Debug, Clone)]
pub enum Body {
    /// A closed ledger.
    Ledger(LedgerFacts),
    /// Changes to order books; the facts are in the batch's native form.
    BookChanges,
    /// One transaction.
    Transaction(Box<Transaction>),
    /// A contract was created.
    Deploy {
        /// The new contract.
        contract: Arc<str>,
        /// Who sent the transaction.
        deployer: Arc<str>,
    },
    /// A contract or system event.
    ContractEvent(Box<ContractEvent>),
    /// Value moved.
    Payment(Box<Payment>),
    /// Two assets were exchanged.
    Trade(Box<Trade>),
}

/// Counts over a closed ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerFacts {
    /// Transactions, failed ones included.
    pub transaction_count: u32,
    /// Transactions that succeeded.
    pub successful_count: u32,
    /// Operations of all transactions.
    pub operation_count: u32,
}

/// One transaction.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Who sent it.
    pub source_account: Arc<str>,
    /// Who paid the fee.
    pub fee_account: Arc<str>,
    /// Whether it succeeded.
    pub successful: bool,
    /// Fee in the smallest unit, such as stroops.
    pub fee_charged: Amount,
    /// How many operations it has.
    pub operation_count: u32,
    /// Its memo, as text.
    pub memo: Option<Box<str>>,
    /// Its place in the ledger, from 1.
    pub application_order: u32,
}

/// An event that a contract emitted.
#[derive(Debug, Clone)]
pub struct ContractEvent {
    /// The contract; `None` for some system events.
    pub contract: Option<Arc<str>>,
    /// The topics, a JSON array.
    pub topics: Box<RawValue>,
    /// The value, JSON.
    pub data: Box<RawValue>,
    /// As the chain counts; 0 and 1,048,575 are fee events around all transactions (Stellar).
    pub transaction_index: u32,
    /// The operation inside its transaction.
    pub operation_index: u32,
    /// Whether its contract call succeeded.
    pub in_successful_call: bool,
    /// What the event means, where its contract is known to be an asset's own.
    pub movement: Option<Movement>,
}

/// The meaning of a verified asset contract's event.
#[derive(Debug, Clone)]
pub struct Movement {
    /// `transfer`, `mint`, `burn`, `clawback`, `fee`, `set_authorized`.
    pub name: &'static str,
    /// The asset that the contract stands for.
    pub asset: Arc<Asset>,
    /// How much; `None` for `set_authorized`.
    pub amount: Option<Amount>,
    /// Who gave.
    pub from: Option<Arc<str>>,
    /// Who got.
    pub to: Option<Arc<str>>,
}

/// Value that moved from one party to another.
#[derive(Debug, Clone)]
pub struct Payment {
    /// Who paid. Never a muxed address: its account.
    pub from: Arc<str>,
    /// Who was paid. Never a muxed address: its account.
    pub to: Arc<str>,
    /// The muxed id of the payer, where it has one.
    pub from_muxed_id: Option<Box<str>>,
    /// The muxed id of the receiver, where it has one.
    pub to_muxed_id: Option<Box<str>>,
    /// What was delivered.
    pub asset: Arc<Asset>,
    /// How much was delivered; `None` where the decimals are unknown.
    pub amount: Option<Amount>,
    /// The transaction's memo, as text.
    pub memo: Option<Box<str>>,
    /// The family's word for the operation, such as `path_payment_strict_send`.
    pub operation: Option<&'static str>,
}

/// Two assets exchanged.
#[derive(Debug, Clone)]
pub struct Trade {
    /// The maker; for a pool its id.
    pub seller: Arc<str>,
    /// The taker.
    pub buyer: Arc<str>,
    /// What the maker sold.
    pub sold: Arc<Asset>,
    /// How much of it.
    pub sold_amount: Option<Amount>,
    /// What the maker got.
    pub bought: Arc<Asset>,
    /// How much of it.
    pub bought_amount: Option<Amount>,
    /// Exact price, bought per sold, as whole numbers `n/d` of smallest units.
    pub price: Option<(Box<str>, Box<str>)>,
    /// The maker's offer, for an order-book trade.
    pub offer: Option<Box<str>>,
    /// The pool, for a pool trade.
    pub pool: Option<Arc<str>>,
}

impl Body {
    /// Bytes on the heap, about. Shared names are counted with the keys.
    pub fn heap_bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let digits = |amount: &Option<Amount>| amount.as_ref().map_or(0, Amount::heap_bytes);
        match self {
            Body::Ledger(_) | Body::BookChanges | Body::Deploy { .. } => 0,
            Body::Transaction(body) => size_of::<Transaction>() + text(&body.memo),
            Body::ContractEvent(body) => size_of::<ContractEvent>() + body.topics.get().len() + body.data.get().len(),
            Body::Payment(body) => {
                let muxed = text(&body.from_muxed_id) + text(&body.to_muxed_id);
                size_of::<Payment>() + text(&body.memo) + muxed + digits(&body.amount)
            }
            Body::Trade(body) => size_of::<Trade>() + digits(&body.sold_amount) + digits(&body.bought_amount),
        }
    }
}
