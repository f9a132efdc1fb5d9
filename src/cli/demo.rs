//! The demo that runs without a settings file: four embedded ledgers, each with the clients that know it.

use super::devnet::Traffic;
use crate::config::units::Time;
use crate::config::{Admin, Bind, Config, Listener, Mount, SourceConfig, Sources, default_path};
use crate::devnet::{self, Face};
use crate::dialect::five_bells::{
    self, LedgerSettings, Named,
    users::{UserConfig, UserEntry},
};
use crate::dialect::{DialectConfig, flow, maticvigil, planetmint, rippled};
use crate::source::planetmint::ApiConfig;
use crate::source::stellar::Secret;
use crate::source::{LedgerConfig, RpcUrl, evm, stellar, xrpl};
use devnet::evm::Contract;

/// The key of the demo's MaticVigil gateway. It opens nothing else.
pub const VIGIL_KEY: &str = "demo-key";

/// The users of the demo's five-bells ledgers, with the hashes of their passwords, which are their names. They exist
/// nowhere else.
const USERS: [(&str, &str); 3] = [
    (
        "alice",
        "$argon2id$v=19$m=19456,t=2,p=1$bGVkZ2VyY2FzdC1kZW1vLWFsaWNl$8Onpo1inh6nTDLvG+ln3DtML7nuGzRAjH72g2a2lEbA",
    ),
    ("bob", "$argon2id$v=19$m=19456,t=2,p=1$bGVkZ2VyY2FzdC1kZW1vLWJvYg$TTX027R2c4npgEyAxv9KSk4p+keRcOn1/8auNDBorIg"),
    (
        "admin",
        "$argon2id$v=19$m=19456,t=2,p=1$bGVkZ2VyY2FzdC1kZW1vLWFkbWlu$Hrh7SziR1MkfhzpQjMLYwuD5+Xojt9PSCq9FpxZudsA",
    ),
];

/// The five-bells ledgers: key, source, asset, and where the addresses of their accounts come from. Planetmint's
/// assets come into being as it goes.
const LEDGERS: [(&str, &str, &str, Face); 4] = [
    ("xrp", "xrpl-devnet", "native", Face::Xrpl),
    ("xlm", "devnet", "native", Face::Stellar),
    ("eth", "evm-devnet", "native", Face::Evm),
    ("planetmint", "planetmint-devnet", "any", Face::Planetmint),
];

/// Built-in contracts of the EVM chain whose calls and logs are decoded.
const WATCHED: [Contract; 3] = [Contract::Coin, Contract::Pair, Contract::Board];

/// Where the embedded ledgers serve.
#[derive(Debug, Clone)]
pub struct Ledgers {
    /// Stellar RPC.
    pub stellar: String,
    /// The JSON-RPC of the XRP Ledger.
    pub xrpl: String,
    /// The JSON-RPC of the EVM chain.
    pub evm: String,
    /// The API of the Planetmint node.
    pub planetmint: String,
}

/// The settings of the demo, once the embedded ledgers serve. `config/demo.yaml` says the same.
pub fn config(ledgers: Ledgers, traffic: &Traffic, bind: Bind, admin: Bind) -> Config {
    let stellar = stellar::Config {
        rpc_url: Some(RpcUrl(ledgers.stellar)),
        // The ledger is next door and often faster than a real one.
        poll_interval: Time::millis(200),
        ..stellar::Config::default()
    };
    let xrpl = xrpl::Config {
        rpc_url: Some(RpcUrl(ledgers.xrpl)),
        poll_interval: Time::millis(200),
        ..xrpl::Config::default()
    };
    let planetmint = ApiConfig {
        rpc_url: Some(RpcUrl(ledgers.planetmint)),
        poll_interval: Time::millis(200),
        ..ApiConfig::default()
    };
    let source = |name: &str, ledger| (name.to_owned(), SourceConfig { ledger });
    let mount_of = |dialect, path: String, sources: &[&str]| Mount {
        dialect,
        path,
        sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        allowed_origins: Vec::new(),
        tokens_file: None,
        resume: false,
        // So that everything can be tried here.
        replay: true,
        begin: None,
    };
    let mount = |dialect, path, source: &str| mount_of(dialect, path, &[source]);
    let mounts = vec![
        mount(DialectConfig::Flow(flow::Config::default()), default_path(), "devnet"),
        mount(DialectConfig::Rippled(rippled::Config::default()), "/xrpl".to_owned(), "xrpl-devnet"),
        mount(DialectConfig::Maticvigil(gateway()), "/vigil/ws".to_owned(), "evm-devnet"),
        mount(DialectConfig::Planetmint(planetmint::Config::default()), "/planetmint".to_owned(), "planetmint-devnet"),
        mount_of(DialectConfig::FiveBells(bells(traffic)), "/bells".to_owned(), &LEDGERS.map(|(_, source, ..)| source)),
    ];
    Config {
        sources: Sources(vec![
            source("devnet", LedgerConfig::StellarRpc(stellar)),
            source("xrpl-devnet", LedgerConfig::XrplRpc(xrpl)),
            source("evm-devnet", LedgerConfig::EvmRpc(chain(ledgers.evm))),
            source("planetmint-devnet", LedgerConfig::PlanetmintApi(planetmint)),
        ]),
        listeners: vec![Listener { bind, mounts, ..Listener::default() }],
        admin: Admin { bind: admin },
        ..Config::default()
    }
}

/// The EVM chain, with what is built into it.
fn chain(rpc_url: String) -> evm::Config {
    let address = |contract: Contract| Some(format!("{:#x}", contract.address()));
    let contract = |contract: Contract| evm::Contract {
        name: Some(contract.name().to_owned()),
        address: address(contract),
        // It is built in, so it is JSON.
        abi: serde_json::from_str(contract.abi()).ok().map(evm::Abi),
        abi_file: None,
    };
    let token = |contract: Contract| {
        let (code, _) = contract.token()?;
        Some(evm::Token { address: address(contract), code: Some(code.to_owned()), decimals: None })
    };
    evm::Config {
        rpc_url: Some(RpcUrl(rpc_url)),
        chain_id: Some(devnet::evm::CHAIN_ID),
        poll_interval: Time::millis(200),
        // The devnet replaces two blocks at most.
        finality: evm::Finality { confirmations: Some(3), tag: None },
        contracts: WATCHED.into_iter().map(contract).collect(),
        tokens: Contract::ALL.into_iter().filter_map(token).collect(),
        pools: address(Contract::Pair).into_iter().collect(),
        calls_per_second: 1_000,
        ..evm::Config::default()
    }
}

/// The five-bells ledgers of all four networks, with two people who have the first accounts of each.
fn bells(traffic: &Traffic) -> five_bells::Config {
    let people = || USERS.iter().filter(|(name, _)| *name != "admin");
    let ledger = |(key, source, asset, face): (&str, &str, &str, Face)| {
        // Settings that make no accounts have made no network either.
        let addresses = devnet::accounts(&traffic.settings(face, ([127, 0, 0, 1], 0).into())).unwrap_or_default();
        let accounts = people().zip(addresses).map(|((name, _), address)| ((*name).to_owned(), address)).collect();
        let settings = LedgerSettings {
            source: source.to_owned(),
            asset: asset.to_owned(),
            ilp_prefix: Some(format!("test.{key}.")),
            accounts: Named(accounts),
            ..LedgerSettings::default()
        };
        (key.to_owned(), settings)
    };
    five_bells::Config {
        ledgers: Named(LEDGERS.into_iter().map(ledger).collect()),
        default: Some("xrp".to_owned()),
        users: USERS.into_iter().map(user).collect(),
        ..five_bells::Config::default()
    }
}

/// One of the demo's users.
fn user((name, hash): (&str, &str)) -> UserEntry {
    let config = UserConfig {
        name: name.to_owned(),
        password_hash: Some(Secret(hash.to_owned())),
        admin: name == "admin",
        accounts: match name {
            "admin" => Vec::new(),
            name => LEDGERS.iter().map(|(key, ..)| format!("{key}:{name}")).collect(),
        },
        ..UserConfig::default()
    };
    config.into()
}

/// The demo's user who may see every account.
pub fn admin() -> UserEntry {
    user(USERS[2])
}

/// The demo's key of a gateway, for these contracts.
pub fn key(contracts: Vec<String>) -> maticvigil::KeyEntry {
    maticvigil::Key { key: Some(Secret(VIGIL_KEY.to_owned())), key_file: None, contracts, deployers: Vec::new() }.into()
}

/// The gateway of that chain, with one key that sees everything.
fn gateway() -> maticvigil::Config {
    let key = maticvigil::Key {
        key: Some(Secret(VIGIL_KEY.to_owned())),
        key_file: None,
        contracts: WATCHED.into_iter().map(|contract| contract.name().to_owned()).collect(),
        deployers: vec![format!("{:#x}", devnet::evm::deployer())],
    };
    maticvigil::Config { keys: vec![key.into()], ..maticvigil::Config::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::check;
    use crate::config::load::parse;

    #[test]
    fn is_what_the_file_says() {
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let ledgers = Ledgers { stellar: at(8000), xrpl: at(5005), evm: at(8545), planetmint: at(19_984) };
        let traffic = super::super::serve::Arguments::default().demo.traffic();
        let demo = config(ledgers, &traffic, Bind::loopback(8080), Bind::loopback(9090));
        assert_eq!(parse("demo.yaml", include_str!("../../config/demo.yaml")).unwrap(), demo);
        assert_eq!(check(&demo), []);
    }

    #[test]
    fn the_files_of_real_networks_are_good() {
        for (name, text) in [
            ("stellar-testnet.yaml", include_str!("../../config/stellar-testnet.yaml")),
            ("stellar-pubnet.yaml", include_str!("../../config/stellar-pubnet.yaml")),
            ("xrpl-testnet.yaml", include_str!("../../config/xrpl-testnet.yaml")),
            ("xrpl-mainnet.yaml", include_str!("../../config/xrpl-mainnet.yaml")),
            ("ethereum.yaml", include_str!("../../config/ethereum.yaml")),
            ("polygon.yaml", include_str!("../../config/polygon.yaml")),
            ("planetmint.yaml", include_str!("../../config/planetmint.yaml")),
        ] {
            parse(name, text).unwrap();
        }
    }
}
