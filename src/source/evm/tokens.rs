//! What tokens and pools say of themselves, asked once and kept: decimals, and which two tokens a pool holds.

use super::calls::{CONTRACT_CALL, Call, Calls, is_answer};
use super::logs::{is_swap, is_transfer};
use super::verify::Whole;
use super::watch::Watch;
use super::wire::Data;
use crate::source::SourceError;
use alloy_primitives::{Address, U256};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};

/// `decimals()`, `token0()`, `token1()`.
const DECIMALS: &str = "0x313ce567";
const TOKEN_0: &str = "0x0dfe1681";
const TOKEN_1: &str = "0xd21220a7";
/// So many tokens and pools are kept; on a chain with more they are asked again.
const MOST_KNOWN: usize = 100_000;
/// After so many failures in a row contracts are asked one by one, and whose call fails is taken not to tell: its
/// code may be what the node cannot run.
const TRIES: u32 = 5;

/// What is known of tokens and pools.
#[derive(Debug, Default)]
pub struct Tokens {
    /// `None`: it does not tell, or nothing that can be decimals.
    decimals: HashMap<Address, Option<u8>>,
    /// `None`: it is no pool.
    pools: HashMap<Address, Option<(Address, Address)>>,
    /// How often in a row asking failed in a way that can be the contract's doing.
    failures: u32,
}

impl Tokens {
    /// A token's decimals, once learnt.
    pub fn decimals(&self, token: &Address) -> Option<u8> {
        self.decimals.get(token).copied().flatten()
    }

    /// A pool's tokens, once learnt.
    pub fn pool(&self, pool: &Address) -> Option<(Address, Address)> {
        self.pools.get(pool).copied().flatten()
    }

    /// Learns a pool's tokens without asking.
    #[cfg(test)]
    pub fn set_pool(&mut self, pool: Address, tokens: (Address, Address)) {
        self.pools.insert(pool, Some(tokens));
    }

    /// Asks for what a block's events need and is not known yet.
    pub async fn learn(&mut self, watch: &Watch, block: &Whole, calls: &mut Calls) -> Result<(), SourceError> {
        if watch.tokens.is_empty() && watch.pools.is_empty() && !watch.all {
            return Ok(());
        }
        if self.decimals.len() + self.pools.len() > MOST_KNOWN {
            *self = Tokens::default();
        }
        let logs = || block.parts.iter().flat_map(|part| &part.receipt.logs);
        let pools: BTreeSet<Address> = logs()
            .filter(|log| is_swap(log) && watch.is_pool(&log.address.0) && !self.pools.contains_key(&log.address.0))
            .map(|log| log.address.0)
            .collect();
        self.ask(calls, pools, [TOKEN_0, TOKEN_1], |known, pool, words| {
            let [one, two] = words.map(|word| address_of(&word?));
            known.pools.insert(pool, one.zip(two).filter(|(one, two)| one != two));
        })
        .await?;
        let traded = logs().filter(|log| is_swap(log)).filter_map(|log| self.pool(&log.address.0));
        let moved = logs().filter(|log| is_transfer(log) && watch.is_token(&log.address.0)).map(|log| log.address.0);
        let unknown = |token: &Address| {
            !self.decimals.contains_key(token) && watch.tokens.get(token).is_none_or(|(_, decimals)| decimals.is_none())
        };
        let tokens: BTreeSet<Address> = traded.flat_map(|(one, two)| [one, two]).chain(moved).filter(unknown).collect();
        self.ask(calls, tokens, [DECIMALS], |known, token, [word]| {
            known.decimals.insert(token, word.and_then(|word| u8::try_from(word).ok()));
        })
        .await?;
        self.failures = 0;
        Ok(())
    }

    /// Asks each contract for these functions, and learns the first word of each answer.
    async fn ask<const N: usize>(
        &mut self,
        calls: &mut Calls,
        contracts: BTreeSet<Address>,
        functions: [&str; N],
        learn: impl Fn(&mut Tokens, Address, [Option<U256>; N]),
    ) -> Result<(), SourceError> {
        let contracts: Vec<Address> = contracts.into_iter().collect();
        let at_once = if self.failures < TRIES { contracts.len().max(1) } else { 1 };
        for some in contracts.chunks(at_once) {
            let questions: Vec<Call> =
                some.iter().flat_map(|contract| functions.map(|function| ask(contract, function))).collect();
            match answers(calls, &questions).await {
                Ok(words) => {
                    for (contract, words) in some.iter().zip(words.chunks_exact(N)) {
                        learn(self, *contract, std::array::from_fn(|at| words[at]));
                    }
                }
                Err(error) => {
                    let nodes_own =
                        matches!(error, SourceError::Transport { .. } | SourceError::Status { status: 429, .. });
                    if !nodes_own && self.failures >= TRIES {
                        some.iter().for_each(|contract| learn(self, *contract, [None; N]));
                    }
                    self.failures += u32::from(!nodes_own);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

fn ask(contract: &Address, function: &str) -> Call {
    (CONTRACT_CALL, json!([{ "to": format!("{contract:#x}"), "data": function }, "latest"]))
}

/// The first word of each answer; `None` where the contract does not tell.
async fn answers(calls: &mut Calls, questions: &[Call]) -> Result<Vec<Option<U256>>, SourceError> {
    let mut words = Vec::with_capacity(questions.len());
    for outcome in calls.many(questions).await? {
        words.push(match outcome {
            Ok(result) => {
                let data: Data = calls.read(CONTRACT_CALL, &result)?;
                data.0.first_chunk::<32>().map(|word| U256::from_be_bytes(*word))
            }
            Err(error) if is_answer(&error) => None,
            Err(error) => return Err(error),
        });
    }
    Ok(words)
}

/// The address in a word.
pub fn address_of(word: &U256) -> Option<Address> {
    let bytes = word.to_be_bytes::<32>();
    bytes[..12].iter().all(|byte| *byte == 0).then(|| Address::from_slice(&bytes[12..]))
}
