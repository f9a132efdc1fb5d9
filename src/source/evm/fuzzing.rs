//! A block and its receipts → a batch, without a node and without a position: for `tests/fuzz`, which reaches only what
//! is public. No part of the interface.

use super::config::Config;
use super::tokens::Tokens;
use super::verify::{self, Fault};
use super::watch::Watch;
use super::{mapping, wire};
use crate::event::{LedgerBatch, LedgerRef};
use serde::Deserialize;

/// What is wanted of a block.
pub struct Reader {
    watch: Watch,
}

#[derive(Deserialize)]
struct Mined {
    block: wire::Block<wire::Transaction>,
    receipts: Vec<wire::Receipt>,
}

impl Reader {
    /// As these settings say.
    pub fn new(config: &Config) -> Result<Reader, String> {
        Ok(Reader { watch: Watch::new(config).map_err(|error| error.to_string())? })
    }

    /// What polls make of `{"block": …, "receipts": […]}`, the answers to `eth_getBlockByNumber` and
    /// `eth_getBlockReceipts`.
    pub fn read(&self, answers: &str) -> Result<LedgerBatch, Fault> {
        let Mined { block, receipts } = serde_json::from_str(answers).map_err(|error| error.to_string())?;
        let asked = block.number.as_ref().ok_or("no number")?.0;
        verify::block(&block, asked)?;
        let whole = verify::whole(block, receipts, true)?;
        let (events, _) = mapping::events(1, &whole, &self.watch, &Tokens::default(), 0);
        let ledger = LedgerRef {
            index: whole.number,
            hash: Some(whole.hash),
            parent: Some(whole.parent),
            closed_at: whole.time,
        };
        let network = "evm-1".into();
        Ok(LedgerBatch { source: 0, network, epoch: 0, ledger, continuity: None, events, native: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds that are refused at once would teach the fuzzer nothing.
    #[test]
    fn the_seeds_of_the_fuzz_target_are_read() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/seeds/evm_answers");
        for file in std::fs::read_dir(seeds).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let config = serde_json::from_str("{}").unwrap();
            assert!(Reader::new(&config).unwrap().read(&text).unwrap().events.len() > 1);
        }
    }
}
