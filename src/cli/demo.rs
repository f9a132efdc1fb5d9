//! The demo that runs without a settings file: two embedded ledgers, each with the clients that know it.

use crate::config::units::Time;
use crate::config::{Admin, Bind, Config, Listener, Mount, SourceConfig, Sources, default_path};
use crate::dialect::{DialectConfig, flow, rippled};
use crate::source::{LedgerConfig, RpcUrl, stellar, xrpl};

/// Where the embedded ledgers serve.
#[derive(Debug, Clone)]
pub struct Ledgers {
    /// Stellar RPC.
    pub stellar: String,
    /// The JSON-RPC of the XRP Ledger.
    pub xrpl: String,
}

/// The settings of the demo, once the embedded ledgers serve. `config/demo.yaml` says the same.
pub fn config(ledgers: Ledgers, bind: Bind, admin: Bind) -> Config {
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
    let source = |name: &str, ledger| (name.to_owned(), SourceConfig { ledger });
    let mount = |dialect, path: String, source: &str| Mount {
        dialect,
        path,
        sources: vec![source.to_owned()],
        allowed_origins: Vec::new(),
        tokens_file: None,
    };
    let mounts = vec![
        mount(DialectConfig::Flow(flow::Config::default()), default_path(), "devnet"),
        mount(DialectConfig::Rippled(rippled::Config::default()), "/xrpl".to_owned(), "xrpl-devnet"),
    ];
    Config {
        sources: Sources(vec![
            source("devnet", LedgerConfig::StellarRpc(stellar)),
            source("xrpl-devnet", LedgerConfig::XrplRpc(xrpl)),
        ]),
        listeners: vec![Listener { bind, mounts, ..Listener::default() }],
        admin: Admin { bind: admin },
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::check;
    use crate::config::load::parse;

    #[test]
    fn is_what_the_file_says() {
        let ledgers = Ledgers { stellar: "http://127.0.0.1:8000".to_owned(), xrpl: "http://127.0.0.1:5005".to_owned() };
        let demo = config(ledgers, Bind::loopback(8080), Bind::loopback(9090));
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
        ] {
            parse(name, text).unwrap();
        }
    }
}
