//! A block and its receipts, held against each other: providers answer from several machines, and mixed answers are
//! the usual cause of silent loss.

use super::wire::{Block, Log, Receipt, Transaction};
use crate::event::Hash;
use std::collections::{HashMap, HashSet};

/// A block whose parts belong together.
#[derive(Debug)]
pub struct Whole {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
    /// The hash of the block before.
    pub parent: Hash,
    /// Unix seconds.
    pub time: i64,
    /// Transactions and their receipts by their place in the block. Either may be missing where the settings allow
    /// it, never both.
    pub parts: Vec<Part>,
}

/// A transaction and what became of it.
#[derive(Debug)]
pub struct Part {
    /// Its place in the block.
    pub index: u32,
    /// Its hash.
    pub hash: Hash,
    /// The transaction.
    pub transaction: Option<Transaction>,
    /// What became of it.
    pub receipt: Receipt,
}

/// Why parts do not belong together, for people.
pub type Fault = String;

/// A block is what it was asked for as, and its transactions are its own.
pub fn block(block: &Block<Transaction>, asked: u64) -> Result<(u64, Hash), Fault> {
    let (number, hash) = block.identity().ok_or("a block without number and hash")?;
    if number != asked {
        return Err(format!("block {number} where {asked} was asked for"));
    }
    for (at, transaction) in block.transactions.iter().enumerate() {
        let foreign = transaction.block_hash.as_ref().is_some_and(|its| its.0 != hash)
            || transaction.block_number.as_ref().is_some_and(|its| its.0 != number);
        if foreign {
            return Err(format!("block {number} has a transaction of another block"));
        }
        if transaction.transaction_index.as_ref().is_none_or(|index| index.0 != at as u64) {
            return Err(format!("block {number} has a transaction out of its place"));
        }
    }
    Ok((number, hash))
}

/// The place of the transaction that may be without a receipt, if not `exact`: Polygon's client ends some blocks with
/// one from nobody to nobody, for what its bridge brought.
pub fn without_receipt(transactions: &[Transaction], exact: bool) -> Option<usize> {
    let last = transactions.last().filter(|_| !exact)?;
    let nobody = last.from.0.is_zero() && last.to.as_ref().is_some_and(|to| to.0.is_zero());
    nobody.then(|| transactions.len() - 1)
}

/// Puts a block and its receipts together. `exact`: each transaction has one receipt, and none is over; else one may be
/// over, and that of [`without_receipt`] may be missing.
pub fn whole(block: Block<Transaction>, receipts: Vec<Receipt>, exact: bool) -> Result<Whole, Fault> {
    let (number, hash) = block.identity().ok_or("a block without number and hash")?;
    let fault = |what: &str| format!("block {number}: {what}");
    if exact && receipts.len() != block.transactions.len() {
        return Err(format!(
            "block {number}: {} receipts for {} transactions",
            receipts.len(),
            block.transactions.len()
        ));
    }
    let has_logs = receipts.iter().any(|receipt| !receipt.logs.is_empty());
    if !has_logs && block.has_logs() {
        return Err(fault("no logs, though its bloom says that there are some"));
    }
    let mut log_indices = HashSet::new();
    for receipt in &receipts {
        if receipt.block_hash.0 != hash {
            return Err(fault("a receipt of another block"));
        }
        for log in &receipt.logs {
            own_log(log, receipt, &hash).map_err(&fault)?;
            if !log_indices.insert(log.log_index.0) {
                return Err(fault("two logs of one index"));
            }
        }
    }
    // Where one is missing, logs were cut out.
    if (0..log_indices.len() as u64).any(|index| !log_indices.contains(&index)) {
        return Err(fault("a log is missing among its logs"));
    }
    let (parent, time) = (block.parent_hash.0, block.timestamp.0);
    let without = without_receipt(&block.transactions, exact).map(|at| block.transactions[at].hash.0);
    let mut transactions: HashMap<Hash, Transaction> = HashMap::with_capacity(block.transactions.len());
    for transaction in block.transactions {
        if transactions.insert(transaction.hash.0, transaction).is_some() {
            return Err(fault("a transaction twice"));
        }
    }
    let mut parts: Vec<Part> = Vec::with_capacity(receipts.len());
    let mut over = false;
    for mut receipt in receipts {
        let hash = receipt.transaction_hash.0;
        let transaction = transactions.remove(&hash);
        match &transaction {
            Some(own) if own.transaction_index.as_ref() != Some(&receipt.transaction_index) => {
                return Err(fault("a receipt of another place than its transaction"));
            }
            None if exact || over => return Err(fault("a receipt without its transaction")),
            None => over = true,
            _ => {}
        }
        let index = u32::try_from(receipt.transaction_index.0).map_err(|_| fault("a transaction index too large"))?;
        receipt.logs.sort_by_key(|log| log.log_index.0);
        parts.push(Part { index, hash, transaction, receipt });
    }
    if transactions.keys().any(|hash| without != Some(*hash)) {
        return Err(fault("a transaction without its receipt"));
    }
    parts.sort_by_key(|part| part.index);
    if parts.windows(2).any(|two| two[0].index == two[1].index) {
        return Err(fault("two receipts of one place"));
    }
    let time = i64::try_from(time).map_err(|_| fault("a time too large"))?;
    Ok(Whole { number, hash, parent, time, parts })
}

fn own_log(log: &Log, receipt: &Receipt, block: &Hash) -> Result<(), &'static str> {
    if log.removed {
        return Err("a log that was removed");
    }
    if log.block_hash.as_ref().is_some_and(|its| its.0 != *block) {
        return Err("a log of another block");
    }
    if log.transaction_hash.as_ref().is_some_and(|its| *its != receipt.transaction_hash) {
        return Err("a log of another transaction");
    }
    if log.topics.len() > 4 {
        return Err("a log of more than four topics");
    }
    Ok(())
}
