//! The fuzz targets, in one program: linking one takes long enough.
//!
//! `FUZZ_TARGET` names the one to run; everything else is libFuzzer's own command line. See
//! `tests/fuzz/run.sh`.
#![no_main]

mod batches;
mod config;
mod flow;
mod frames;
mod handshake;
mod ledgers;
mod positions;
mod rippled;
mod scanner;
mod stellar;

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// Takes any bytes; panics where something that always holds does not.
type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 13] = [
    ("scanner", scanner::run),
    ("flow", flow::run),
    ("rippled", rippled::run),
    ("stellar_answers", stellar::answers),
    ("stellar_xdr", stellar::xdr),
    ("xrpl_answers", ledgers::xrpl),
    ("evm_answers", ledgers::evm),
    ("planetmint_answers", ledgers::planetmint),
    ("cursor", positions::cursor),
    ("checkpoint", positions::checkpoint),
    ("stored", positions::stored),
    ("config", config::run),
    ("handshake", handshake::run),
];

static TARGET: OnceLock<Target> = OnceLock::new();

fn chosen() -> Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target);
    target.unwrap_or_else(|| {
        let known: Vec<_> = TARGETS.iter().map(|(known, _)| *known).collect();
        eprintln!("FUZZ_TARGET is `{name}`; it must be one of {}", known.join(", "));
        std::process::exit(2)
    })
}

fuzz_target!(|data: &[u8]| {
    TARGET.get_or_init(chosen)(data);
});
