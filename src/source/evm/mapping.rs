//! A block → its events, in their order.

use super::abi::Read;
use super::logs::{self, Transfer};
use super::names::{Names, Subjects};
use super::native::{Call, Log as NativeLog, LogMeaning, Transaction as NativeTransaction, Value};
use super::tokens::Tokens;
use super::verify::{Part, Whole};
use super::watch::Watch;
use super::wire::{Log, Receipt, Transaction};
use crate::event::{self, AssetKeys, Body, Event, EventKind, Hash, LedgerFacts, Native, Payment, Place, Trade};
use alloy_primitives::{U256, hex};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

/// The events of a block, and the number of the last log of a watched contract, of which there were `logs_before`
/// before this block.
pub fn events(chain: u64, block: &Whole, watch: &Watch, tokens: &Tokens, logs_before: u64) -> (Vec<Event>, u64) {
    let mut block = Mapping {
        chain,
        block,
        names: Names::new(watch, tokens),
        watch,
        tokens,
        logs: logs_before,
        events: Vec::new(),
    };
    block.ledger();
    for part in &block.block.parts {
        block.part(part);
    }
    block.events.sort_by_key(|event| event.place);
    (block.events, block.logs)
}

struct Mapping<'a> {
    chain: u64,
    block: &'a Whole,
    watch: &'a Watch,
    tokens: &'a Tokens,
    names: Names<'a>,
    /// Logs of watched contracts so far.
    logs: u64,
    events: Vec<Event>,
}

impl Mapping<'_> {
    #[expect(clippy::too_many_arguments, reason = "the parts of an event")]
    fn push(
        &mut self,
        part: &Part,
        kind: EventKind,
        sub: u64,
        subjects: Subjects,
        assets: Vec<AssetKeys>,
        body: Body,
        native: Option<Native>,
    ) {
        let hash = part.hash;
        self.events.push(Event {
            id: format!("{}:0x{}:0x{hash}:{}:{sub}", self.chain, self.block.hash, kind.name()).into(),
            kind,
            place: Place::new(part.index, kind, sub),
            transaction_hash: Some(hash),
            subjects: subjects.into_keys(),
            assets,
            body,
            native,
        });
    }

    fn ledger(&mut self) {
        let mined = || self.block.parts.iter().filter(|part| part.transaction.is_some());
        let count = mined().count() as u32;
        let facts = LedgerFacts {
            transaction_count: count,
            successful_count: mined().filter(|part| part.receipt.successful()).count() as u32,
            operation_count: count,
        };
        self.events.push(Event {
            id: format!("{}:0x{}:-:ledger:0", self.chain, self.block.hash).into(),
            kind: EventKind::Ledger,
            place: Place::new(0, EventKind::Ledger, 0),
            transaction_hash: None,
            subjects: Vec::new(),
            assets: Vec::new(),
            body: Body::Ledger(facts),
            native: None,
        });
    }

    fn part(&mut self, part: &Part) {
        if let Some(transaction) = &part.transaction {
            self.transaction(part, transaction);
        }
        for log in &part.receipt.logs {
            self.contract_event(part, log);
            self.token_payment(part, log);
            self.trade(part, log);
        }
    }

    fn transaction(&mut self, part: &Part, transaction: &Transaction) {
        let receipt = &part.receipt;
        let price = price(transaction, receipt);
        let created = receipt.contract_address.as_ref().filter(|_| transaction.to.is_none());
        let called = transaction.to.as_ref().and_then(|to| Some((to.0, self.watch.contracts.get(&to.0)?.clone())));
        let mut subjects = Subjects::default();
        for party in [Some(&transaction.from), transaction.to.as_ref(), created].into_iter().flatten() {
            self.names.add_account(&party.0, &mut subjects);
        }
        let native = called.map(|(to, abi)| {
            subjects.add(self.names.key("contract", &to));
            self.native_transaction(transaction, receipt, price, abi.call(&transaction.input.0))
        });
        let from = self.names.name(&transaction.from.0);
        let fee = price.saturating_mul(U256::from(receipt.gas_used.0));
        let body = event::Transaction {
            source_account: from.clone(),
            fee_account: from.clone(),
            successful: receipt.successful(),
            fee_charged: super::names::amount(fee, 0),
            operation_count: 1,
            memo: None,
            application_order: part.index.saturating_add(1),
        };
        let value = transaction.value.0;
        let assets = if value.is_zero() { Vec::new() } else { vec![self.names.native_keys(value)] };
        self.push(part, EventKind::Transaction, 0, subjects, assets, Body::Transaction(Box::new(body)), native);
        if transaction.to.is_none() {
            let mut subjects = Subjects::default();
            self.names.add_account(&transaction.from.0, &mut subjects);
            subjects.add(self.names.key("sender", &transaction.from.0));
            let contract = match created {
                None => "".into(),
                Some(created) => {
                    self.names.add_account(&created.0, &mut subjects);
                    subjects.add(self.names.key("created", &created.0));
                    self.names.name(&created.0)
                }
            };
            let native = self.native_transaction(transaction, receipt, price, Call::Deploy);
            self.push(
                part,
                EventKind::Deploy,
                0,
                subjects,
                Vec::new(),
                Body::Deploy { contract, deployer: from },
                Some(native),
            );
        }
        if receipt.successful() && !value.is_zero() {
            self.native_payment(part, transaction, value);
        }
    }

    fn native_transaction(&mut self, transaction: &Transaction, receipt: &Receipt, price: U256, call: Call) -> Native {
        let native = NativeTransaction {
            from: self.names.name(&transaction.from.0),
            to: transaction.to.as_ref().map(|to| self.names.name(&to.0)),
            input: hex::encode_prefixed(&transaction.input.0).into(),
            call,
            gas_used: receipt.gas_used.0,
            gas: transaction.gas.0,
            gas_price: price.to_string().into(),
            value: transaction.value.0.to_string().into(),
            successful: receipt.successful(),
        };
        let bytes = size_of::<NativeTransaction>() + native.heap_bytes();
        Native::new(native, bytes)
    }

    fn native_payment(&mut self, part: &Part, transaction: &Transaction, value: U256) {
        let Some(to) = transaction.to.as_ref().or(part.receipt.contract_address.as_ref()) else { return };
        let mut subjects = Subjects::default();
        self.names.add_account(&transaction.from.0, &mut subjects);
        self.names.add_account(&to.0, &mut subjects);
        let body = Payment {
            from: self.names.name(&transaction.from.0),
            to: self.names.name(&to.0),
            from_muxed_id: None,
            to_muxed_id: None,
            asset: self.names.native(),
            amount: self.names.native_amount(value),
            memo: None,
            operation: Some("transfer"),
        };
        let assets = vec![self.names.native_keys(value)];
        self.push(part, EventKind::Payment, 0, subjects, assets, Body::Payment(Box::new(body)), None);
    }

    fn token_payment(&mut self, part: &Part, log: &Log) {
        let token = log.address.0;
        if !self.watch.is_token(&token) {
            return;
        }
        let configured = self.watch.tokens.contains_key(&token);
        let Some(Transfer { from, to, units }) = logs::transfer(log, configured) else { return };
        let mut subjects = Subjects::default();
        self.names.add_account(&from, &mut subjects);
        self.names.add_account(&to, &mut subjects);
        let keys = self.names.token_keys(&token, units);
        let body = Payment {
            from: self.names.name(&from),
            to: self.names.name(&to),
            from_muxed_id: None,
            to_muxed_id: None,
            asset: self.names.token(&token),
            amount: keys.amount.clone(),
            memo: None,
            operation: Some(if from.is_zero() {
                "mint"
            } else if to.is_zero() {
                "burn"
            } else {
                "transfer"
            }),
        };
        // The native payment of the transaction is the first.
        let sub = log.log_index.0.saturating_add(1);
        self.push(part, EventKind::Payment, sub, subjects, vec![keys], Body::Payment(Box::new(body)), None);
    }

    fn trade(&mut self, part: &Part, log: &Log) {
        let pool = log.address.0;
        if !self.watch.is_pool(&pool) {
            return;
        }
        let Some((first, second)) = self.tokens.pool(&pool) else { return };
        let Some(swap) = logs::swap(log) else { return };
        let (taken, paid) = if swap.takes_first { (first, second) } else { (second, first) };
        let mut subjects = Subjects::default();
        for party in [&swap.taker, &swap.recipient, &pool] {
            self.names.add_account(party, &mut subjects);
        }
        let sold = self.names.token_keys(&paid, swap.paid);
        let bought = self.names.token_keys(&taken, swap.taken);
        let name = self.names.name(&pool);
        let body = Trade {
            seller: name.clone(),
            buyer: self.names.name(&swap.taker),
            sold: self.names.token(&paid),
            sold_amount: sold.amount.clone(),
            bought: self.names.token(&taken),
            bought_amount: bought.amount.clone(),
            price: Some((swap.taken.to_string().into(), swap.paid.to_string().into())),
            offer: None,
            pool: Some(name),
        };
        self.push(
            part,
            EventKind::Trade,
            log.log_index.0,
            subjects,
            vec![sold, bought],
            Body::Trade(Box::new(body)),
            None,
        );
    }

    fn contract_event(&mut self, part: &Part, log: &Log) {
        let Some(abi) = self.watch.contracts.get(&log.address.0) else { return };
        let topics: Vec<Hash> = log.topics.iter().map(|topic| topic.0).collect();
        let read = abi.log(&topics, &log.data.0);
        self.logs += 1;
        let contract = self.names.name(&log.address.0);
        let mut subjects = Subjects::default();
        subjects.add(self.names.key("contract", &log.address.0));
        self.names.add_account(&log.address.0, &mut subjects);
        let body = event::ContractEvent {
            contract: Some(contract.clone()),
            topics: raw(&topics.iter().map(|topic| format!("0x{topic}")).collect::<Vec<_>>()),
            data: shown(&read, &log.data.0),
            transaction_index: part.index,
            operation_index: 0,
            in_successful_call: true,
            movement: None,
        };
        let native = NativeLog { number: self.logs, index: log.log_index.0, contract, meaning: read.meaning };
        let bytes = size_of::<NativeLog>() + native.heap_bytes();
        let native = Some(Native::new(native, bytes));
        let body = Body::ContractEvent(Box::new(body));
        self.push(part, EventKind::ContractEvent, log.log_index.0, subjects, Vec::new(), body, native);
    }
}

/// What was paid for a unit of gas.
fn price(transaction: &Transaction, receipt: &Receipt) -> U256 {
    let price = receipt.effective_gas_price.as_ref().or(transaction.gas_price.as_ref());
    price.map_or(U256::ZERO, |price| price.0)
}

/// A log's data for people and dialects of other families: the bytes, and what they mean where that is known, integers
/// as texts.
fn shown(read: &Read, data: &[u8]) -> Box<RawValue> {
    let bytes = hex::encode_prefixed(data);
    match &read.meaning {
        LogMeaning::Unknown { .. } => raw(&json!({ "raw": bytes })),
        LogMeaning::Event { name, data } => {
            let parameters = InOrder(data.iter().map(|(name, value)| (&**name, json(value))).collect());
            raw(&Shown { event: name, signature: read.signature.as_deref(), parameters, raw: bytes })
        }
    }
}

#[derive(serde::Serialize)]
struct Shown<'a> {
    event: &'a str,
    signature: Option<&'a str>,
    parameters: InOrder<'a>,
    raw: String,
}

/// An object whose members stay in their order.
struct InOrder<'a>(Vec<(&'a str, serde_json::Value)>);

impl serde::Serialize for InOrder<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Integer(text) | Value::Text(text) | Value::Hex(text) => (**text).into(),
        Value::List(values) => values.iter().map(json).collect(),
    }
}

fn raw(value: &impl serde::Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("texts, lists and maps with texts as keys")
}
