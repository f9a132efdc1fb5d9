//! The load generator: many clients that check what they get.
//!
//! In: a [`Plan`] (where, how many, with which filters, for how long). Out: a [`Report`]: what came, how long it took,
//! whether it was what should have come, and what the server told besides.
//!
//! Who owns what: `run` plans and ends the run; `client` is the life of one client, `connect` opens its
//! connection, `frames` reads it; `verify` holds clients against each other through a `log` for each different
//! filter; `latency` counts times, from what `posted` asks of the server's admin listener where there is one;
//! `report` writes, `assertion` judges. What is known of a protocol is in `dialect` only.
//!
//! What always holds:
//! * Light: one thread. Clients share one read buffer; a message that equals the one that another client with the
//!   same filters got costs a digest of its bytes, and is not read.
//! * Bounded: what is kept of events is a digest and a place, a million of them for all filters together; a client
//!   keeps nothing but the beginning of a message that is not whole, at most 1 MiB.
//! * Open: connections are planned in time and latency counts from when a ledger was due, so that waiting is never
//!   hidden. Nothing is left out because it came late: after the measured time, clients go on until they have all
//!   that others had at its end, or ten seconds have passed; what is still owed then is late, or lost where nothing came.
//! * It is told apart what the server lost and what it told to be missing.

pub mod assertion;
mod client;
mod connect;
pub mod dialect;
mod error;
pub mod frames;
mod known;
mod latency;
mod log;
mod posted;
pub mod report;
mod run;
mod shared;
mod template;
mod tls;
mod verify;

pub use assertion::Assertion;
pub use error::LoadError;
pub use latency::distribution;
pub use report::Report;
pub use run::{Outcome, run};
pub use template::{Template, TemplateError};
pub use tls::Trust;
pub(crate) use tls::{client_config, client_config_for_any_name};

use std::time::Duration;

/// What shall be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `ws://` or `wss://`.
    pub url: String,
    /// Whether another machine may be loaded.
    pub allow_remote: bool,
    /// Whom `wss://` trusts.
    pub trust: Trust,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// The protocol, by its name in [`dialect::TABLE`].
    pub dialect: String,
    /// How many clients, slow ones among them.
    pub clients: usize,
    /// How many of them hardly read, or not at all.
    pub slow: usize,
    /// Over how much time connecting is spread.
    pub ramp: Duration,
    /// How long is measured after that.
    pub duration: Duration,
    /// Time between two clients that leave and come back.
    pub churn: Option<Duration>,
    /// The filters of each client.
    pub template: Template,
    /// The server's admin listener, `http://127.0.0.1:9090`.
    pub admin: Option<String>,
    /// Whose posts count, of several sources of the server.
    pub source: Option<String>,
    /// Read every message of every client whole.
    pub verify_all: bool,
}
