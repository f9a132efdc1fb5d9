//! Ledgers to keep: recorded ones of every family.

use crate::event::LedgerBatch;
use crate::source::{evm, planetmint, stellar, xrpl};

/// The recorded ledgers by family; none, said, where the recordings are not there.
pub fn recorded() -> Vec<(&'static str, Vec<LedgerBatch>)> {
    use stellar::recordings::{PUBNET, TESTNET, horizon_transaction, ledgers, transactions};
    let mut of_stellar = Vec::new();
    of_stellar.extend(ledgers("getLedgers.testnet-36233.json", TESTNET).into_iter().flat_map(|(_, them)| them));
    of_stellar.extend(transactions("getTransactions.mainnet-30820015.json", PUBNET).map(|(_, it)| it));
    of_stellar.extend(transactions("getTransactions.testnet-337272.json", TESTNET).map(|(_, it)| it));
    of_stellar
        .extend(horizon_transaction("transaction.mainnet-trades.horizon.json", PUBNET, 1).map(|(_, ledger)| ledger));
    let of_xrpl = xrpl::recordings::LEDGERS.iter().filter_map(|file| xrpl::recordings::batch(file)).collect();
    let mut of_evm = Vec::new();
    for (file, parts) in [("chain_main.json", &["blocks"][..]), ("chain_reorg.json", &["fork_a", "fork_b"])] {
        let Some((chain, settings)) = evm::recordings::recorded(file).zip(watching_all()) else { continue };
        for part in parts {
            let blocks = chain[part].as_array().unwrap();
            of_evm.extend(evm::recordings::batches(settings.clone(), blocks, &[]));
        }
    }
    let of_planetmint = planetmint::recordings::batches().unwrap_or_default();
    vec![("stellar", of_stellar), ("xrpl", of_xrpl), ("evm", of_evm), ("planetmint", of_planetmint)]
}

/// Settings that watch every contract of the recorded chain.
fn watching_all() -> Option<serde_json::Value> {
    let chain = evm::recordings::recorded("chain_main.json")?;
    let names: Vec<&str> = chain["contracts"].as_object()?.keys().map(String::as_str).collect();
    evm::recordings::watching(&names)
}
