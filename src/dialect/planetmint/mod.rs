//! Planetmint's event streams, and as much of a node's HTTP API as leads to them.
//!
//! In: nothing that matters; whatever a client sends is dropped. Out: JSON objects, one to a text frame: on
//! `valid_transactions` one for each accepted transaction, on `valid_blocks` one for each block. Over plain HTTP: both
//! API roots, and blocks and transactions of recent history.
//!
//! Who owns what: [`PlanetmintMount`] holds what all sessions share (the renderings, the bodies of the roots); a
//! `Session` only knows its stream; `render.rs` writes messages, `http.rs` answers requests.
//!
//! What always holds:
//! * a stream begins with the first block after the handshake, and has no history;
//! * messages come in the order of blocks and of transactions in them, each once;
//! * clients have no words for a break in the row of blocks, so their connections are closed before it;
//! * addresses in answers come from the settings and never from the request.

mod http;
mod render;
mod session;
#[cfg(test)]
mod tests;

pub use render::{PlanetmintRender, Stream};

use super::{CloseCodes, Entry, HttpFuture, HttpRequest, Manners, Mount, MountContext, Opening, Oversize, Recent};
use crate::broker::{RenderingId, Renderings};
use crate::config::reference::{Show, Shown};
use crate::config::{Finding, settings};
use crate::event::Family;
use http::Api;
use serde::Deserialize;
use session::Session;
use std::time::Duration;

settings! {
    /// Planetmint's event streams and the part of its API that leads to them.
    pub struct Config {
        /// What stands under this mount: the `api` (on a node's port 9984), the `streams` (on its port 9985), or `both`.
        /// Default both.
        pub serve: Serve,
        /// The address that the API's root tells of the streams, such as ws://example.org:9985, if another mount serves
        /// them. Default none: this mount's own address.
        pub streams_url: Option<String>,
        /// Which fields name a transaction's assets: `p` is `asset_id` as the documentation says, `s2` is `asset_ids` as
        /// nodes from 1.3 on send, to the letter; `both` has both. Default both: no reader lacks its own.
        pub message_form: MessageForm,
        /// Whether the mount's source may be of another network than Planetmint. Default false: the documentation's
        /// readers expect SHA3-256 hashes. Set, hashes come as that network writes them, `asset_ids` are the assets of
        /// the transaction's payments, `asset_id` is the first of them or empty, and `hash` is the ledger's own.
        pub any_network: bool,
    }
}

/// What a mount serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Serve {
    /// Plain HTTP alone.
    Api,
    /// The WebSockets alone.
    Streams,
    /// Both.
    #[default]
    Both,
}

/// How a transaction's assets are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageForm {
    /// `asset_id` and `asset_ids`.
    #[default]
    Both,
    /// `asset_id`, as documented.
    P,
    /// `asset_ids`, byte for byte as Planetmint 2 sends it.
    S2,
}

impl Show for Serve {
    fn show(&self) -> Shown {
        Shown::text(match self {
            Serve::Api => "api",
            Serve::Streams => "streams",
            Serve::Both => "both",
        })
    }
}

impl Show for MessageForm {
    fn show(&self) -> Shown {
        Shown::text(match self {
            MessageForm::Both => "both",
            MessageForm::P => "p",
            MessageForm::S2 => "s2",
        })
    }
}

impl Config {
    /// Everything that is wrong with the settings.
    pub fn problems(&self) -> Vec<Finding> {
        let fault = |message: &str| vec![(vec!["streams_url".into()], message.to_owned())];
        match (&self.streams_url, self.serve) {
            (None, Serve::Api) => fault(
                "is missing, and with `serve: api` the streams are elsewhere; write it, such as ws://127.0.0.1:9985",
            ),
            (Some(_), Serve::Streams) => fault("is told by the api alone; remove it, or change `serve`"),
            (Some(url), _) => match reqwest::Url::parse(url) {
                Ok(url) if !["ws", "wss"].contains(&url.scheme()) || !url.has_host() => {
                    fault("must begin with ws:// or wss://")
                }
                Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                    fault("has more than a path; write ws://host:port")
                }
                Ok(_) => Vec::new(),
                Err(error) => fault(&format!("is no address ({error}); write ws://host:port")),
            },
            (None, _) => Vec::new(),
        }
    }
}

/// What is the same for every session.
pub const MANNERS: Manners = Manners {
    name: "planetmint",
    ping_after: Duration::from_secs(30),
    dead_after: Duration::from_secs(75),
    max_message: 64 << 10,
    // As much as the original reads of a message.
    oversize: Oversize::Discard { up_to: 4 << 20 },
    codes: CloseCodes { shutdown: 1001, too_slow: 1013, gap: 1012, dead: 1008, limit: 1008 },
    one_source: true,
    only: Some(Family::Planetmint),
    calls: false,
    http: true,
    finds_transactions: true,
    follows: false,
    claims_path_alone: false,
};

/// The same with [`Config::any_network`].
const MANNERS_OF_ANY: Manners = Manners { only: None, ..MANNERS };

/// The streams and the API below one path.
pub struct PlanetmintMount {
    serve: Serve,
    any_network: bool,
    api: Api,
    transactions: RenderingId,
    blocks: RenderingId,
}

impl PlanetmintMount {
    /// A mount with these settings in these surroundings.
    pub fn new(config: Config, context: MountContext, renderings: &mut Renderings) -> PlanetmintMount {
        let Config { serve, streams_url, message_form, any_network } = config;
        let mut rendering = |stream| renderings.register(PlanetmintRender { stream, form: message_form });
        let (transactions, blocks) = (rendering(Stream::Transactions), rendering(Stream::Blocks));
        // http becomes ws, https becomes wss.
        let streams = streams_url.unwrap_or_else(|| context.url.replacen("http", "ws", 1));
        let api = Api::new(streams.trim_end_matches('/'), any_network);
        PlanetmintMount { serve, any_network, api, transactions, blocks }
    }

    /// The stream of a path below the mount.
    fn stream(&self, below: &str) -> Option<(Stream, RenderingId)> {
        match below.strip_prefix('/').unwrap_or(below) {
            _ if self.serve == Serve::Api => None,
            render::TRANSACTIONS_PATH => Some((Stream::Transactions, self.transactions)),
            render::BLOCKS_PATH => Some((Stream::Blocks, self.blocks)),
            _ => None,
        }
    }
}

impl Mount for PlanetmintMount {
    fn manners(&self) -> &'static Manners {
        if self.any_network { &MANNERS_OF_ANY } else { &MANNERS }
    }

    fn open(&self, opening: Opening<'_>) -> Option<Entry> {
        let (stream, rendering) = self.stream(opening.below)?;
        Some(Session::new(stream, rendering).into())
    }

    fn http(&self, request: HttpRequest, recent: &Recent) -> Option<HttpFuture> {
        let reply = if self.stream(&request.below).is_some() {
            http::not_upgraded()
        } else if self.serve == Serve::Streams {
            http::no_path()
        } else {
            self.api.answer(&request, recent)
        };
        Some(Box::pin(std::future::ready(reply)))
    }
}
