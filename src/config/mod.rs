//! Typed settings.
//!
//! In: a YAML file, or the built-in demo. Out: a [`Config`] that was read and checked whole, so
//! that whoever gets one need not look again.
//!
//! Who owns what: [`tree`] reads the text and remembers where each part stands, [`decode`] makes
//! values of it, [`check`] looks at what no single value can tell (a mount's sources exist, two
//! mounts do not share a path; for a source's event filters `check_events`), [`mod@load`] puts them
//! together, [`mod@reference`] writes the commented file that shows every key. [`pipelines`] brings
//! the pipeline files of Obsrvr Flow into this form before all else.
//!
//! What always holds:
//! * every key has a default, and its doc comment names it with its reason;
//! * an unknown key is an error, with the place in the file and the nearest known key;
//! * `config/default.yaml` is what [`reference::print`] prints, and equals the defaults;
//! * what may be secret is never printed: files named by `*_file`, and the few texts that stand for one.

pub mod address;
pub mod check;
pub mod decode;
pub mod discreet;
pub mod load;
pub mod origin;
pub mod pipelines;
pub mod reference;
pub mod settings;
pub mod tree;
pub mod units;

pub use address::{Bind, Network};
pub use check::Finding;
pub use discreet::{Discreet, HoldsSecret};
pub use load::{ConfigError, Loaded, load};
pub use origin::Origin;
pub(crate) use settings::settings;

use crate::consumer::ConsumerConfig;
use crate::dialect::DialectConfig;
use crate::event::{Mark, Replay};
use crate::source::LedgerConfig;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use units::{Size, Time};

settings! {
    /// All settings of one process.
    pub struct Config {
        /// The ledgers to read, each under a name of your choice. Mounts, logs and metrics use the name.
        pub sources: Sources,
        /// Where checkpoints, counters and the journal are kept over a restart. Default none: nothing is kept and
        /// every source begins at its `start_ledger`, so that a first try leaves no files behind.
        pub state_dir: Option<PathBuf>,
        /// Where clients connect. Default []: at least one is needed.
        pub listeners: Vec<Listener>,
        /// Where every ledger of some sources is kept beside the streams: `{ type: postgres, sources: [a], config: { url:
        /// … } }`. None of them slows a stream. Default []: nowhere.
        pub consumers: Vec<Consumer>,
        /// What one client, and all of them together, may take. Over a limit a client is refused or closed as
        /// its dialect says; the others do not notice.
        pub limits: Limits,
        /// Recent ledgers, kept in memory for clients that are slow, late or coming back.
        pub history: History,
        /// Closed ledgers, kept in `state_dir` for clients that were away for longer than `history` reaches, and over
        /// a restart.
        pub journal: Journal,
        /// How fast a source that is behind reads.
        pub catch_up: CatchUp,
        /// How the process ends.
        pub drain: Drain,
        /// The listener for operators: /livez, /readyz and /metrics.
        pub admin: Admin,
        /// What is logged, to standard error.
        pub log: Log,
        /// Threads that serve clients. Default none: one for each processor.
        pub workers: Option<usize>,
    }
}

settings! {
    /// One address for clients.
    pub struct Listener {
        /// The IP address and port to listen on. Default 127.0.0.1:8080: nobody from outside until you say so.
        pub bind: Bind = Bind::loopback(8080),
        /// What addresses in answers are built from; never the client's Host header. Default none: http:// (with
        /// `tls` https://) and `bind`.
        pub public_url: Option<String>,
        /// HTTPS and wss: `{ cert_file: chain.pem, key_file: key.pem }`; both are read again on SIGHUP. Default none:
        /// plain HTTP and ws.
        pub tls: Option<Tls>,
        /// Without `tls`, whether `bind` may be an address that the internet can reach, or all addresses.
        /// Default false: what clients send, tokens too, could be read on the way. Behind a proxy that speaks TLS, true.
        pub allow_plain_http: bool,
        /// Which protocols are spoken under which paths. Default []: at least one is needed.
        pub mounts: Vec<Mount>,
    }
}

settings! {
    /// What a listener proves itself with.
    pub struct Tls {
        /// The certificate and those between it and a known authority, in PEM. Default none: needed.
        pub cert_file: PathBuf,
        /// The certificate's private key, in PEM. Default none: needed.
        pub key_file: PathBuf,
    }
}

settings! {
    /// Limits.
    pub struct Limits {
        /// Open connections of all listeners together; further ones get 503. Default 50000: at a few
        /// KB for an idle client some hundred MB, and below the usual hard limit of open files.
        pub connections: u32 = 50_000,
        /// Open connections of one address (IPv6: of one /64), and as many again that have not asked for anything
        /// yet. Default 100: an office behind one address fits, a single client cannot take the whole server.
        pub connections_per_address: u32 = 100,
        /// Messages that a client may send in a second. Default 50: people and libraries send a handful,
        /// each may cost a change of filters.
        pub messages_per_second: u32 = 50,
        /// Values (accounts, assets, kinds and so on) in all filters of one session together. Default 1000:
        /// a whole portfolio, and still little in the index.
        pub values_per_session: u32 = 1_000,
        /// Bytes that one client may have under way towards us: sent and not yet read, or answers that it caused
        /// and does not read. Beyond, it is not read from. The largest single message is the dialect's.
        /// Default 64KiB: a few messages; times all connections it must fit into memory.
        pub inbound_bytes: Size = Size::kib(64),
        /// Bytes of messages under way of all clients together, a part for each of `workers`. Beyond, their senders
        /// wait, and those that have been at it the longest are closed with 1013. Default 256MiB: hundreds of the
        /// longest at once, while nearly all messages are so short that they arrive in one piece and count nothing.
        pub inbound_total: Size = Size::mib(256),
        /// How long waiting bytes may all stay unsent before a client counts as gone. Default 10s: a
        /// phone changing networks survives, a dead peer does not hold its place.
        pub stall: Time = Time::secs(10),
        /// Bytes that may wait in front of one client's socket; beyond, it is fed from history. Default 256KiB:
        /// a busy ledger for a client that takes everything.
        pub outbox: Size = Size::kib(256),
        /// Bytes that the kernel may hold for one client's socket. Default 128KiB: more than a busy ledger, and far
        /// below the megabytes to which it grows for a client that does not read.
        pub send_buffer: Size = Size::kib(128),
        /// How long a client may take for its request, TLS included. Default 5s: long for any honest
        /// client, short for one that only holds a place. What is no WebSocket ends after four times as long.
        pub handshake: Time = Time::secs(5),
        /// Connections at once that have not become WebSockets: still shaking hands, or fetching a page. Further
        /// ones wait to be accepted. Default 4096: a crowd coming back, and at most 64 KiB of headers each.
        pub handshakes: u32 = 4096,
        /// Bytes of a request's line and headers; a longer one gets 431, and more than 64KiB are not read whatever
        /// stands here. Default 16KiB: room for a browser's cookies and tokens.
        pub header_bytes: Size = Size::kib(16),
        /// Proxies whose X-Forwarded-For is believed, as addresses or networks such as 10.0.0.0/8.
        /// Default []: the header is ignored, since anybody can write it.
        pub trusted_proxies: Vec<Network>,
        /// Whether connections from this machine are free of `connections_per_address`. Default true: load
        /// tests and local proxies all come from one address.
        pub exempt_loopback: bool = true,
        /// Bytes that may wait in front of all sockets together, a part for each of `workers`. Beyond, nothing is
        /// queued and clients that lag are fed straight from history; if that lasts, the slowest are closed first.
        /// Default 512MiB: 2000 clients with a full outbox; more than the memory behind it, since they share it.
        pub outbox_total: Size = Size::mib(512),
        /// Changes of filters that may wait for an earlier one of the same client. Default 16: nobody in earnest
        /// has more under way, and each is held in memory; a further one is refused, the connection goes on.
        pub waiting_changes: u32 = 16,
        /// Calls to a ledger's RPC that run at a time for one client, in dialects that pass them on. Default 4: a page
        /// that loads asks for a few things at once; more wait.
        pub calls_of_session: u32 = 4,
        /// The same for all clients of one source. Default 64: what a public server gives one address at most.
        pub calls: u32 = 64,
        /// Calls that wait for their turn, of all clients of one source; a further one is refused. Default 256: some
        /// seconds' work for the server; who waits longer has given up.
        pub calls_waiting: u32 = 256,
        /// How long one call may take once it runs. Default 10s: servers answer in one, or not at all.
        pub call_timeout: Time = Time::secs(10),
        /// The largest answer to a call, after decompression. Default 16MiB: the largest message that the usual
        /// clients take.
        pub call_bytes: Size = Size::mib(16),
        /// Pieces of the journal, about 1MiB each, that each of `workers` holds at a time for clients whose position is
        /// older than `history.budget`; who finds no room waits for its turn. Default 16: that many clients at as many
        /// places come on together, and clients at the same place share a piece.
        pub replays: u32 = 16,
    }
}

settings! {
    /// History.
    pub struct History {
        /// Memory for the recent ledgers of each source. Default 256MiB: many ledgers more than
        /// a client's restart takes, on a small machine.
        pub budget: Size = Size::mib(256),
    }
}

settings! {
    /// The journal.
    pub struct Journal {
        /// Whether ledgers are kept; without `state_dir` none are. Default true: a restart is then no hole for clients
        /// that come back. With false `state_dir` has checkpoints and counters only.
        pub enabled: bool = true,
        /// Ledgers are given up at this age. Time in which the server is off counts as an hour at most, and a clock that
        /// is set is followed slowly, so that neither empties the journal. Default 1d: a client is back by tomorrow.
        pub max_age: Time = Time::days(1),
        /// Disk space, beyond which the oldest ledgers are given up, of whichever source. A damaged file that was moved
        /// aside counts as well, and goes before any ledger; while it is copied there are two for that time. Default
        /// 10GiB: days of most networks, and on a small machine's disk still a part.
        pub max_bytes: Size = Size::mib(10 << 10),
    }
}

settings! {
    /// The pace of catching up.
    pub struct CatchUp {
        /// Bytes of ledgers in a second, as they stand in memory. Default 8MiB: some ten busy ledgers, which every
        /// client on a fast line takes as they come.
        pub bytes: Size = Size::mib(8),
        /// Ledgers in a second. Default 20: an hour of ledgers in a minute, and no flood for clients and node. Raise it
        /// for a chain that closes more in a second.
        pub ledgers: u32 = 20,
    }
}

settings! {
    /// Drain.
    pub struct Drain {
        /// How long clients have to take what waits for them and say goodbye when the process is asked to
        /// stop. Default 10s: less than the 30 s after which service managers kill.
        pub deadline: Time = Time::secs(10),
        /// The time over which clients are told, evenly, from the first moment on; at most `deadline`. Default 3s: so
        /// 50000 clients do not come back elsewhere in the same instant, and the last still have most of `deadline`.
        pub spread: Time = Time::secs(3),
    }
}

settings! {
    /// The admin listener.
    pub struct Admin {
        /// The IP address and port to listen on. Default 127.0.0.1:9090: it tells much and asks for no
        /// password, so it stays on this machine unless you say otherwise.
        pub bind: Bind = Bind::loopback(9090),
    }
}

settings! {
    /// Logging.
    pub struct Log {
        /// `text` for people or `json`, one object a line, for machines. Default text: the first reader is a person.
        pub format: LogFormat,
        /// The least level of our own lines: error, warn, info, debug or trace. Libraries log from warn on.
        /// The environment variable RUST_LOG overrides both. Default info: a few lines for each change of
        /// state, none for each event.
        pub level: LogLevel,
    }
}

/// The sources by name, in the order of the file: the order of [`crate::event::SourceNumber`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sources(pub Vec<(String, SourceConfig)>);

/// One ledger to read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Its `type` and `config`.
    pub ledger: LedgerConfig,
}

/// A dialect at a path of a listener.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Its `dialect` and `config`.
    pub dialect: DialectConfig,
    /// Begins with `/`; a prefix, the longest wins.
    #[serde(default = "default_path")]
    pub path: String,
    /// Names of the sources whose events it delivers; at least one.
    #[serde(default)]
    pub sources: Vec<String>,
    /// The web origins whose pages may connect; empty: all.
    #[serde(default)]
    pub allowed_origins: Vec<Origin>,
    /// A file of tokens, one of which a client must have.
    #[serde(default)]
    pub tokens_file: Option<PathBuf>,
    /// Whether clients may say in their handshake where they go on.
    #[serde(default)]
    pub resume: bool,
    /// Whether they may say how fast and until where, too.
    #[serde(default)]
    pub replay: bool,
    /// Where every session begins that does not say, and how it is fed; nobody's own words.
    #[serde(skip)]
    pub begin: Option<(Mark, Replay)>,
}

/// Where ledgers are kept beside the streams.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// Its `type` and `config`.
    pub consumer: ConsumerConfig,
    /// Names of the sources whose ledgers it keeps; at least one.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// What may need somebody.
    Warn,
    /// Changes of state.
    #[default]
    Info,
    /// What sessions do.
    Debug,
    /// Everything.
    Trace,
}

pub(crate) fn default_path() -> String {
    "/ws".to_owned()
}

impl Config {
    /// Threads that serve clients.
    pub fn worker_threads(&self) -> usize {
        self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Sources {
    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The source of this name.
    pub fn get(&self, name: &str) -> Option<&SourceConfig> {
        self.0.iter().find(|(has, _)| has == name).map(|(_, source)| source)
    }

    /// The number of the source of this name.
    pub fn number(&self, name: &str) -> Option<crate::event::SourceNumber> {
        self.names().position(|has| has == name).map(|at| at as crate::event::SourceNumber)
    }
}

impl Listener {
    /// The base of addresses in answers, without a slash at its end; `bound` is where the listener really is.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let own = || match bound.ip().is_unspecified() {
            // Every address is none that a client could open.
            true => format!("{scheme}://localhost:{}", bound.port()),
            false => format!("{scheme}://{bound}"),
        };
        let url = self.public_url.clone().unwrap_or_else(own);
        url.trim_end_matches('/').to_owned()
    }
}

impl LogLevel {
    /// As the log crate calls it.
    pub fn filter(self) -> log::LevelFilter {
        match self {
            LogLevel::Error => log::LevelFilter::Error,
            LogLevel::Warn => log::LevelFilter::Warn,
            LogLevel::Info => log::LevelFilter::Info,
            LogLevel::Debug => log::LevelFilter::Debug,
            LogLevel::Trace => log::LevelFilter::Trace,
        }
    }
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sources, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Sources;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sources, A::Error> {
                let mut sources = Vec::new();
                while let Some(source) = map.next_entry()? {
                    sources.push(source);
                }
                Ok(Sources(sources))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
