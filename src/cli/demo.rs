//! The demo that runs without a settings file: an embedded ledger and Flow clients.

use crate::config::units::Time;
use crate::config::{Admin, Bind, Config, Listener, Mount, SourceConfig, Sources, default_path};
use crate::dialect::{DialectConfig, flow};
use crate::source::{LedgerConfig, RpcUrl, stellar};

/// The settings of the demo, once the embedded ledger serves at `rpc_url`. `config/demo.yaml`
/// says the same.
pub fn config(rpc_url: String, bind: Bind, admin: Bind) -> Config {
    let source = stellar::Config {
        rpc_url: Some(RpcUrl(rpc_url)),
        // The ledger is next door and often faster than a real one.
        poll_interval: Time::millis(200),
        ..stellar::Config::default()
    };
    let mount = Mount {
        dialect: DialectConfig::Flow(flow::Config::default()),
        path: default_path(),
        sources: vec!["devnet".to_owned()],
        allowed_origins: Vec::new(),
        tokens_file: None,
    };
    Config {
        sources: Sources(vec![("devnet".to_owned(), SourceConfig { ledger: LedgerConfig::StellarRpc(source) })]),
        listeners: vec![Listener { bind, mounts: vec![mount], ..Listener::default() }],
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
        let demo = config("http://127.0.0.1:8000".to_owned(), Bind::loopback(8080), Bind::loopback(9090));
        assert_eq!(parse("demo.yaml", include_str!("../../config/demo.yaml")).unwrap(), demo);
        assert_eq!(check(&demo), []);
    }

    #[test]
    fn the_files_of_real_networks_are_good() {
        parse("stellar-testnet.yaml", include_str!("../../config/stellar-testnet.yaml")).unwrap();
        parse("stellar-pubnet.yaml", include_str!("../../config/stellar-pubnet.yaml")).unwrap();
    }
}
