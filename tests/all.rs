//! The tests of the real program, a file for each promise, in one program: linking is most of what a program of its
//! own would cost, and two tests at a time fill the machine better than the last test of every file.

mod common;
#[path = "echo/mod.rs"]
mod echo;

mod access;
mod admin;
mod attach;
mod attacks_frames;
mod attacks_http;
mod attacks_process;
mod attacks_register;
mod attacks_tls;
mod cli;
mod conformance;
mod devnet_truth;
mod evm_anvil;
mod evm_devnet;
mod faults;
mod five_bells;
mod flow;
mod holds;
mod journal;
mod kill;
mod limits;
mod load;
mod maticvigil;
mod pipelines;
mod planetmint;
mod postgres;
mod postgres_stage;
mod recording;
mod replay;
mod restart;
mod resume;
mod resume_dialects;
mod shutdown;
mod slow;
mod tls;
mod transcripts;
mod transport;
mod xrpl;

/// A file that nobody names would be built by nobody.
#[test]
fn every_file_is_here() {
    let here = include_str!("all.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("all.rs") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(here.contains(&format!("\nmod {name};\n")), "tests/{name}.rs is not in tests/all.rs");
        }
    }
}
