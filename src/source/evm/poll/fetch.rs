//! Asks for what comes next: the head, blocks, their receipts.

use super::EvmRpc;
use crate::event::Hash;
use crate::source::SourceError;
use crate::source::evm::calls::{Call, Calls, is_answer, is_unknown_block, is_unsupported};
use crate::source::evm::config::Final;
use crate::source::evm::verify::{self, Whole};
use crate::source::evm::wire::{Block, Header, Quantity, Receipt, Transaction};
use serde_json::json;
use std::time::Instant;

/// After so many faults in a row another address is asked.
const FAULTS: u32 = 3;

const BLOCK: &str = "eth_getBlockByNumber";
const RECEIPTS: &str = "eth_getBlockReceipts";
const RECEIPT: &str = "eth_getTransactionReceipt";

/// What came of an attempt to put blocks on top of the window.
pub(super) enum Step {
    /// There are more of them.
    Extended,
    /// The top is no part of the chain any more, and was thrown away.
    Dropped,
    /// The node does not have the next one yet.
    NotThere,
}

/// How a node is asked for the receipts of a block; always by its hash, so that a reorganisation between two calls
/// cannot mix blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReceiptsForm {
    /// All at once, by the hash.
    Hash,
    /// All at once, by an object with the hash.
    Object,
    /// One by one, by the hash of the transaction.
    Single,
}

type Fetched = Block<Transaction>;

/// Asks for the chain's number.
pub(in crate::source::evm) async fn chain_id(calls: &mut Calls) -> Result<u64, SourceError> {
    Ok(calls.one::<Quantity>("eth_chainId", json!([])).await?.0)
}

/// Asks for the header of a block, by number or tag.
pub(in crate::source::evm) async fn header(calls: &mut Calls, block: &str) -> Result<Option<Header>, SourceError> {
    match calls.one(BLOCK, json!([block, false])).await {
        Err(error) if is_unknown_block(&error) => Ok(None),
        header => header,
    }
}

/// Asks for the newest block's number.
pub(in crate::source::evm) async fn newest(calls: &mut Calls) -> Result<u64, SourceError> {
    Ok(calls.one::<Quantity>("eth_blockNumber", json!([])).await?.0)
}

impl EvmRpc {
    /// Up to where blocks are fetched, and the hash there where the node told it.
    pub(super) async fn ask_head(&mut self) -> Result<(u64, Option<Hash>), SourceError> {
        let finality = self.finality;
        let calls = self.calls().await?;
        let Final::Tag(tag) = finality else { return Ok((newest(calls).await?, None)) };
        let unknown = || SourceError::Setting {
            key: "finality",
            reason: format!("the rpc knows no block `{0}`; write `confirmations` instead of `tag: {0}`", tag.name()),
        };
        let header = match header(calls, tag.name()).await {
            Err(error) if is_answer(&error) => return Err(unknown()),
            header => header?.ok_or_else(unknown)?,
        };
        let (number, hash) = header.identity().ok_or_else(unknown)?;
        Ok((number, Some(hash)))
    }

    /// Asks for the head and keeps it.
    pub(super) async fn refresh_head(&mut self) -> Result<(), SourceError> {
        self.head_at = None;
        (self.head, self.final_hash) = self.ask_head().await?;
        self.head_at = Some(Instant::now());
        Ok(())
    }

    /// The newest block that is final; an error if the node that tells so does not have it.
    pub(super) async fn existing_final(&mut self) -> Result<u64, SourceError> {
        let (number, head) = (self.newest_final(), self.head);
        match self.header(number).await? {
            Some(_) => Ok(number),
            None => Err(self.fault(BLOCK, format!("block {number} is not there, though the head is {head}"))),
        }
    }

    /// The header of a block, as the chain has it now.
    pub(super) async fn header(&mut self, number: u64) -> Result<Option<(u64, Hash)>, SourceError> {
        let found = header(self.calls().await?, &format!("{number:#x}")).await?;
        Ok(found.and_then(|header| header.identity()).filter(|(found, _)| *found == number))
    }

    /// The parent of a block of any fork, as far as the node still has it.
    pub(super) async fn parent_of(&mut self, hash: Hash) -> Result<Option<Hash>, SourceError> {
        let calls = self.calls().await?;
        match calls.one::<Option<Header>>("eth_getBlockByHash", json!([format!("0x{hash}"), false])).await {
            Err(error) if is_answer(&error) => Ok(None),
            header => Ok(header?.map(|header| header.parent_hash.0)),
        }
    }

    /// Fetches the next blocks, up to the head, and puts those that follow one another on top of the window.
    pub(super) async fn extend(&mut self) -> Result<Step, SourceError> {
        let first = self.next_number();
        let head = self.head;
        let calls = self.calls().await?;
        let count = (head - first).saturating_add(1).min(calls.at_once() as u64);
        let questions: Vec<Call> =
            (first..first + count).map(|number| (BLOCK, json!([format!("{number:#x}"), true]))).collect();
        let outcomes = calls.many(&questions).await?;
        let mut expected = self.expected_parent();
        let mut blocks: Vec<Fetched> = Vec::new();
        for (outcome, number) in outcomes.into_iter().zip(first..) {
            let read: Result<Option<Fetched>, SourceError> = match outcome {
                Ok(result) => self.calls().await?.read(BLOCK, &result),
                Err(error) if is_unknown_block(&error) => Ok(None),
                Err(error) => Err(error),
            };
            // What is wrong with a later one is seen when it is the first.
            let block = match read {
                Ok(Some(block)) => block,
                _ if !blocks.is_empty() => break,
                Ok(None) => return self.not_there(number).await,
                Err(error) => return Err(error),
            };
            let checked = verify::block(&block, number);
            let follows = expected.is_none_or(|parent| parent == block.parent_hash.0);
            match checked {
                Ok((_, hash)) if follows => expected = Some(hash),
                _ if !blocks.is_empty() => break,
                Ok(_) => return self.dropped().await,
                Err(fault) => return Err(self.fault(BLOCK, fault)),
            }
            blocks.push(block);
        }
        let receipts = self.receipts_of(&blocks).await?;
        let mut step = None;
        for (block, receipts) in blocks.into_iter().zip(receipts) {
            let number = self.next_number();
            let made = match receipts {
                None => self.not_there(number).await,
                Some(receipts) => match verify::whole(block, receipts, self.config.match_receipts) {
                    Ok(block) => self.learn_and_append(&block).await.map(|()| Step::Extended),
                    Err(fault) => Err(self.fault(RECEIPTS, fault)),
                },
            };
            match made {
                Ok(Step::Extended) => step = Some(Step::Extended),
                // What came before it is good.
                Ok(Step::NotThere | Step::Dropped) | Err(_) if step.is_some() => break,
                other => return other,
            }
        }
        Ok(step.unwrap_or(Step::NotThere))
    }

    async fn learn_and_append(&mut self, block: &Whole) -> Result<(), SourceError> {
        if let Some((calls, watch)) = &mut self.made {
            self.tokens.learn(watch, block, calls).await?;
        }
        self.append(block);
        Ok(())
    }

    /// The receipts of each block; `None`: the node does not have them, yet or any more.
    async fn receipts_of(&mut self, blocks: &[Fetched]) -> Result<Vec<Option<Vec<Receipt>>>, SourceError> {
        let exact = self.config.match_receipts;
        let asked = |block: &Fetched| !block.transactions.is_empty() || block.has_logs() || !exact;
        loop {
            self.calls().await?;
            let (endpoint, form) = self.receipts;
            let calls = self.calls().await?;
            let questions: Vec<Call> =
                blocks.iter().filter(|block| asked(block)).flat_map(|block| ask(form, block)).collect();
            let outcomes = calls.many(&questions).await?;
            let refusal =
                outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).find(|error| !is_unknown_block(error));
            if let Some(error) = refusal {
                let error = error.clone();
                self.receipts = (endpoint, self.other_form(&error).ok_or(error)?);
                continue;
            }
            let mut outcomes = outcomes.into_iter();
            let mut receipts = Vec::with_capacity(blocks.len());
            for block in blocks {
                if !asked(block) {
                    receipts.push(Some(Vec::new()));
                    continue;
                }
                let count = if form == ReceiptsForm::Single { block.transactions.len() } else { 1 };
                let without = verify::without_receipt(&block.transactions, exact);
                let mut answers = Some(Vec::new());
                for (at, outcome) in outcomes.by_ref().take(count).enumerate() {
                    let found: Option<Vec<Receipt>> = match outcome {
                        Err(_) => None,
                        Ok(result) if form == ReceiptsForm::Single => {
                            let found: Option<Receipt> = calls.read(RECEIPT, &result)?;
                            match found {
                                None if without == Some(at) => Some(Vec::new()),
                                found => found.map(|receipt| vec![receipt]),
                            }
                        }
                        Ok(result) => calls.read(RECEIPTS, &result)?,
                    };
                    match (&mut answers, found) {
                        (Some(all), Some(more)) => all.extend(more),
                        _ => answers = None,
                    }
                }
                // Nothing at all for a block that has something: not there yet.
                let nothing = block.transactions.len() == usize::from(without.is_some());
                receipts.push(answers.filter(|found: &Vec<Receipt>| !found.is_empty() || nothing));
            }
            return Ok(receipts);
        }
    }

    /// How else to ask a node that refuses to be asked so.
    fn other_form(&self, error: &SourceError) -> Option<ReceiptsForm> {
        let unsupported = is_unsupported(error);
        let form = match self.receipts.1 {
            ReceiptsForm::Hash if unsupported => ReceiptsForm::Single,
            ReceiptsForm::Hash if is_answer(error) => ReceiptsForm::Object,
            ReceiptsForm::Object if is_answer(error) => ReceiptsForm::Single,
            _ => return None,
        };
        if form == ReceiptsForm::Single {
            let text =
                "the rpc gives no receipts by block; asking for those of each transaction, which takes more calls";
            self.context.status.notice(text);
        }
        Some(form)
    }

    /// Parts that do not belong together are thrown away and asked for again; after some times elsewhere.
    pub(super) fn fault(&mut self, method: &str, fault: verify::Fault) -> SourceError {
        self.faults += 1;
        let Some((calls, _)) = &mut self.made else {
            return SourceError::Setting { key: "rpc_url", reason: fault };
        };
        let error = calls.malformed(method, fault);
        if self.faults.is_multiple_of(FAULTS) {
            calls.fail_over();
        }
        error
    }

    /// A block that the node must have is not there. That is usual where several machines answer, and lasts a moment.
    pub(super) async fn not_there(&mut self, number: u64) -> Result<Step, SourceError> {
        self.misses += 1;
        // The head may have been wrong.
        self.head_at = None;
        if self.misses < FAULTS {
            return Ok(Step::NotThere);
        }
        self.lost(number).await
    }
}

/// The calls for the receipts of a block.
fn ask(form: ReceiptsForm, block: &Fetched) -> Vec<Call> {
    let hash = block.hash.as_ref().map_or_else(String::new, |hash| format!("0x{}", hash.0));
    match form {
        ReceiptsForm::Hash => vec![(RECEIPTS, json!([hash]))],
        ReceiptsForm::Object => vec![(RECEIPTS, json!([{ "blockHash": hash }]))],
        ReceiptsForm::Single => {
            let one = |transaction: &Transaction| (RECEIPT, json!([format!("0x{}", transaction.hash.0)]));
            block.transactions.iter().map(one).collect()
        }
    }
}
