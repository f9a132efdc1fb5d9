//! Echoes every message over the real transport, so that others can judge it: the Autobahn suite
//! and attacks. The one line on standard output says where it listens; Ctrl-C ends it.

#[path = "mod.rs"]
mod echo;

use clap::Parser;
use std::io::Write;
use std::net::SocketAddr;

#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: SocketAddr,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ledgercast::logging::init(Default::default(), Default::default());
    actix::System::new().block_on(async {
        let server = echo::start(arguments.bind)?;
        writeln!(std::io::stdout(), "ws://{}/", server.listening[0])?;
        tokio::signal::ctrl_c().await?;
        server.stop().await;
        Ok(())
    })
}
