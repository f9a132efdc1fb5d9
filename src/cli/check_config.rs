//! `check-config`: what a file was understood to mean.

use crate::config::{Config, ConfigError, check, load, reference};
use std::fmt::Write;
use std::path::Path;

/// Reads and checks `file`; a few lines for people. Addresses of RPCs are cut to their host, since
/// the rest may be secret.
pub fn summary(file: &Path) -> Result<String, ConfigError> {
    load(file).map(|config| format!("{} is good:\n{}", file.display(), describe(&config)))
}

fn describe(config: &Config) -> String {
    let mut text = String::new();
    for (name, source) in &config.sources.0 {
        let (kind, _) = reference::ledger(&source.ledger);
        let _ = writeln!(text, "  source {name}: {kind} at {}", check::endpoints(&source.ledger).join(", "));
    }
    for listener in &config.listeners {
        for mount in &listener.mounts {
            let (dialect, _) = reference::dialect(&mount.dialect);
            let sources = mount.sources.join(", ");
            let _ = writeln!(text, "  clients at {}{}: {dialect}, fed from {sources}", listener.bind, mount.path);
        }
    }
    let _ = writeln!(text, "  operators at {}: /livez /readyz /metrics", config.admin.bind);
    let state = config.state_dir.as_ref().map(|dir| format!("kept in {}", dir.display()));
    let _ = writeln!(text, "  state: {}", state.as_deref().unwrap_or("not kept over a restart"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_it_understood_but_no_keys_in_addresses() {
        let text = "sources: {main: {type: stellar_rpc, config: {rpc_url: 'https://rpc.example.org/v1/SECRET?key=SECRET'}}}\n\
                    listeners: [{bind: '[::]:80', mounts: [{dialect: flow, path: /flow, sources: [main]}]}]\n\
                    state_dir: /var/lib/ledgercast\n";
        let config = crate::config::load::parse("x.yaml", text).unwrap();
        assert_eq!(
            describe(&config),
            "  source main: stellar_rpc at https://rpc.example.org\n  \
               clients at [::]:80/flow: flow, fed from main\n  \
               operators at 127.0.0.1:9090: /livez /readyz /metrics\n  \
               state: kept in /var/lib/ledgercast\n"
        );
    }
}
