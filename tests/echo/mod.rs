//! A dialect that echoes, and the settings to serve it on the real transport.

use ledgercast::config::units::Size;
use ledgercast::config::{Bind, Config, Listener, Mount as MountSettings};
use ledgercast::dialect::flow;
use ledgercast::dialect::{Action, CloseCodes, Dialect, DialectConfig, Entry, Input, Lane, Manners, Mount};
use ledgercast::dialect::{Opening, Output, Oversize, frame};
use ledgercast::server::{Server, StartError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The Autobahn suite sends messages of 16 MiB; this leaves room above them.
const MAX_MESSAGE: Size = Size::mib(17);

static MANNERS: Manners = Manners {
    name: "echo",
    // Beyond the length of any test: nothing comes that was not asked for.
    ping_after: Duration::from_secs(600),
    dead_after: Duration::from_secs(1200),
    max_message: MAX_MESSAGE.0 as usize,
    oversize: Oversize::Close,
    codes: CloseCodes { shutdown: 1001, too_slow: 1008, gap: 1012, dead: 1011, limit: 1008 },
    only: None,
    calls: false,
    http: false,
    finds_transactions: false,
    follows: false,
    one_source: false,
    claims_path_alone: false,
};

struct EchoMount;

impl Mount for EchoMount {
    fn manners(&self) -> &'static Manners {
        &MANNERS
    }

    fn open(&self, opening: Opening<'_>) -> Option<Entry> {
        match opening.below {
            "" => Some(Echo { panics: false }.into()),
            "panic" => Some(Echo { panics: true }.into()),
            _ => None,
        }
    }
}

/// Text for text, bytes for bytes. At `/panic` the text `panic` panics instead.
struct Echo {
    panics: bool,
}

impl Dialect for Echo {
    fn handle(&mut self, input: Input<'_>, _: Duration, output: &mut Output) {
        match input {
            Input::Text("panic") if self.panics => panic!("a client asked for it"),
            Input::Text(text) => output.text(text),
            Input::Binary(bytes) => output.actions.push(Action::Send(Lane::Data, frame::binary(bytes))),
            _ => {}
        }
    }
}

fn config(bind: SocketAddr) -> Config {
    let mut config = Config::default();
    // Settings know only the dialects that serve; which one stands here does not matter.
    let dialect = DialectConfig::Flow(flow::Config::default());
    let mount = MountSettings {
        dialect,
        path: "/".to_owned(),
        sources: Vec::new(),
        allowed_origins: Vec::new(),
        tokens_file: None,
        resume: false,
        replay: false,
        begin: None,
    };
    config.listeners = vec![Listener { bind: Bind(bind), mounts: vec![mount], ..Listener::default() }];
    config.admin.bind = Bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    // The suite sends as fast as it can. All other limits are those of any server; `inbound_bytes`
    // too, which makes a sender of large messages wait and never ends it.
    config.limits.messages_per_second = u32::MAX;
    config
}

/// Serves at this address, port 0 being any free one. Must run inside an actix system.
pub fn start(bind: SocketAddr) -> Result<Server, StartError> {
    Server::start_with(&config(bind), &|_, _, _| Arc::new(EchoMount))
}
