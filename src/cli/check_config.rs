//! `check-config`: what a file was understood to mean, and with `--online` what its sources say.

use crate::config::{Config, Loaded, check, load, reference};
use crate::server::check_files;
use crate::source::{Found, Probe, SourceError, probe};
use anyhow::bail;
use std::fmt::Write;
use std::path::Path;

/// Reads and checks `file` and prints a few lines for people. Addresses of RPCs are cut to their
/// host, since the rest may be secret.
pub fn run(file: &Path, online: bool) -> anyhow::Result<()> {
    let loaded = load(file)?;
    check_files(&loaded.config)?;
    super::print(&format!("{} is good:\n{}", file.display(), describe(&loaded)))?;
    if online {
        actix::System::new().block_on(ask(&loaded.config))?;
    }
    Ok(())
}

fn describe(Loaded { config, notes, .. }: &Loaded) -> String {
    let mut text = String::new();
    for (name, source) in &config.sources.0 {
        let (kind, _) = reference::ledger(&source.ledger);
        let _ = writeln!(text, "  source {name}: {kind} at {}", check::endpoints(&source.ledger).join(", "));
    }
    for listener in &config.listeners {
        for mount in &listener.mounts {
            let (dialect, _) = reference::dialect(&mount.dialect);
            let sources = mount.sources.join(", ");
            let tls = if listener.tls.is_some() { ", TLS" } else { "" };
            let access = match (mount.tokens_file.is_some(), mount.allowed_origins.is_empty()) {
                (false, true) => "",
                (true, true) => ", with a token",
                (false, false) => ", pages of some origins",
                (true, false) => ", with a token, pages of some origins",
            };
            let bind = listener.bind;
            let _ = writeln!(text, "  clients at {bind}{}: {dialect}{tls}{access}, fed from {sources}", mount.path);
        }
    }
    for consumer in &config.consumers {
        let (kind, target) = (consumer.consumer.kind(), consumer.consumer.target());
        let _ = writeln!(text, "  kept in {kind}, {target}: what comes from {}", consumer.sources.join(", "));
    }
    let _ = writeln!(text, "  operators at {}: /livez /readyz /metrics", config.admin.bind);
    let state = config.state_dir.as_ref().map(|dir| format!("kept in {}", dir.display()));
    let _ = writeln!(text, "  state: {}", state.as_deref().unwrap_or("not kept over a restart"));
    for note in notes {
        let _ = writeln!(text, "  note: {note}");
    }
    text
}

/// Asks every source and prints what each says as soon as it is known.
async fn ask(config: &Config) -> anyhow::Result<()> {
    super::print("asking the sources, up to 10s for each address:\n")?;
    let mut faults = Vec::new();
    for (name, source) in &config.sources.0 {
        let (text, fault) = tell(name, probe(&source.ledger).await);
        super::print(&text)?;
        faults.extend(fault);
    }
    for (number, consumer) in config.consumers.iter().enumerate() {
        let target = consumer.consumer.target();
        match crate::consumer::probe(&consumer.consumer, &format!("consumers[{number}].config")).await {
            Ok(found) => super::print(&format!("  database {target}\n    {found}\n"))?,
            Err(reason) => faults.push(format!("database {target} is of no use: {reason}")),
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// What a source said, and what makes it one that cannot be read.
fn tell(source: &str, probes: Result<Vec<Probe>, SourceError>) -> (String, Option<String>) {
    let mut text = format!("  source {source}\n");
    let useless = || Some(format!("source {source} cannot be read: none of its addresses is of use"));
    let probes = match probes {
        Ok(probes) => probes,
        Err(error) => {
            let _ = writeln!(text, "    {error}");
            return (text, useless());
        }
    };
    let mut networks: Vec<&str> = Vec::new();
    for Probe { url, took, found } in &probes {
        match found {
            Ok(Found { network, name, oldest, latest, remarks }) => {
                let took = took.as_millis();
                let _ = writeln!(text, "    {url}: {network} ({name:?}), ledgers {oldest} to {latest}, in {took} ms");
                for remark in remarks {
                    let _ = writeln!(text, "      {remark}");
                }
                if !networks.contains(&network.as_str()) {
                    networks.push(network);
                }
            }
            // It names the address itself.
            Err(error) => {
                let _ = writeln!(text, "    {error}");
            }
        }
    }
    let fault = match networks.as_slice() {
        [] => useless(),
        [_] => None,
        several => Some(format!(
            "the addresses of source {source} serve different networks: {}; leave those of one",
            several.join(", ")
        )),
    };
    (text, fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::read;
    use std::time::Duration;

    #[test]
    fn tells_what_it_understood_but_no_keys_in_addresses() {
        let text = "sources: {main: {type: stellar_rpc, config: {rpc_url: 'https://rpc.example.org/v1/SECRET?key=SECRET'}}}\n\
                    listeners: [{bind: '[::]:80', allow_plain_http: true, mounts: [{dialect: flow, path: /flow, sources: [main]}]}]\n\
                    state_dir: /var/lib/ledgercast\n";
        assert_eq!(
            describe(&read("x.yaml", text).unwrap()),
            "  source main: stellar_rpc at https://rpc.example.org\n  \
               clients at [::]:80/flow: flow, fed from main\n  \
               operators at 127.0.0.1:9090: /livez /readyz /metrics\n  \
               state: kept in /var/lib/ledgercast\n"
        );
    }

    #[test]
    fn tells_which_addresses_are_of_use() {
        let good = |network: &str, url: &str| Probe {
            url: url.to_owned(),
            took: Duration::from_millis(7),
            found: Ok(Found {
                network: network.to_owned(),
                name: "Test".to_owned(),
                oldest: 5,
                latest: 9,
                remarks: vec!["a remark".to_owned()],
            }),
        };
        let bad = || Probe {
            url: "http://b".to_owned(),
            took: Duration::ZERO,
            found: Err(SourceError::Status { url: "http://b".to_owned(), status: 401, retry_after: None }),
        };
        let (text, fault) = tell("main", Ok(vec![bad(), good("net", "http://a")]));
        assert_eq!(
            text,
            "  source main\n    http://b: http status 401; check `auth_header_file` or `auth_header`\n    \
             http://a: net (\"Test\"), ledgers 5 to 9, in 7 ms\n      a remark\n"
        );
        assert_eq!(fault, None, "one that works is enough");
        assert!(tell("main", Ok(vec![bad()])).1.unwrap().contains("none of its addresses"));
        let setting = SourceError::Setting { key: "auth_header_file", reason: "gone".to_owned() };
        let (text, fault) = tell("main", Err(setting));
        assert!(text.contains("`auth_header_file`: gone") && fault.is_some(), "{text}");
        let (_, fault) = tell("main", Ok(vec![good("net", "http://a"), good("other", "http://b")]));
        assert!(fault.unwrap().contains("different networks: net, other"));
    }
}
