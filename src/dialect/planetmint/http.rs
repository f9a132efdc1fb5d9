//! The part of a node's HTTP API that is answered: both roots, and blocks and transactions of recent history.

use super::render::{BLOCKS_PATH, BlockHash, Ids, TRANSACTIONS_PATH};
use crate::broker::StreamEntry;
use crate::dialect::{HttpReply, HttpRequest, Recent};
use crate::event::{Hash, SourceNumber};
use crate::source::planetmint::{native, transaction_id};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

const DOCS: &str = "https://docs.planetmint.io/";
/// What the original answers where a parameter is missing.
const MISSING: &str = "Missing required parameter in the JSON body or the post body or the query string";

/// The API of a mount: what does not depend on blocks is written once.
pub(super) struct Api {
    /// `/`
    whole: Arc<[u8]>,
    /// `/api/v1/`
    version_1: Arc<[u8]>,
    /// Whether ids may be written as other networks write theirs.
    any_network: bool,
}

impl Api {
    /// Tells that the streams are below `streams`, an address without a slash at its end.
    pub(super) fn new(streams: &str, any_network: bool) -> Api {
        // In the version's own root the paths are relative to it and yet begin with a slash: clients know it so.
        let paths = |base: &str| {
            json!({
                "blocks": format!("{base}/blocks/"),
                "docs": DOCS,
                "streamedblocks": format!("{streams}/{BLOCKS_PATH}"),
                "streams": format!("{streams}/{TRANSACTIONS_PATH}"),
                "transactions": format!("{base}/transactions/"),
            })
        };
        let whole = json!({
            "api": { "v1": paths("/api/v1") },
            "docs": DOCS,
            "software": "ledgercast",
            "version": env!("CARGO_PKG_VERSION"),
        });
        Api { whole: text(&whole).into(), version_1: text(&paths("")).into(), any_network }
    }

    /// Answers a request for anything that is no stream.
    pub(super) fn answer(&self, request: &HttpRequest, recent: &Recent) -> HttpReply {
        if !matches!(&*request.method, "GET" | "HEAD") {
            return json(405, &json!({ "message": "The method is not allowed here." })).with("allow", "GET, HEAD");
        }
        // A mount has one source.
        let Some(source) = recent.sources().first().copied() else { return no_path() };
        let path = request.below.trim_matches('/');
        let Some(path) = path.strip_prefix("api/v1") else {
            return if path.is_empty() { ok(self.whole.to_vec()) } else { no_path() };
        };
        let mut parts = path.split('/').skip(1);
        match (path.is_empty() || path.starts_with('/'), parts.next(), parts.next(), parts.next()) {
            (true, None, None, None) => ok(self.version_1.to_vec()),
            (true, Some("blocks"), height, None) => self.block(request, height, source, recent),
            (true, Some("transactions"), id, None) => self.transaction(id, source, recent),
            _ => no_path(),
        }
    }

    fn block(&self, request: &HttpRequest, height: Option<&str>, source: SourceNumber, recent: &Recent) -> HttpReply {
        let entry = match height {
            Some("latest") => recent.newest(source),
            Some(height) => {
                let is_number = !height.is_empty() && height.bytes().all(|byte| byte.is_ascii_digit());
                let Some(height) = height.parse::<u64>().ok().filter(|_| is_number) else { return no_path() };
                match recent.ledger(source, height) {
                    // Before the first block every node has this one.
                    None if height == 0 => {
                        return json(200, &json!({ "app_hash": "", "height": 0, "transaction_ids": [] }));
                    }
                    entry => entry,
                }
            }
            None => {
                let Some(id) = parameter(&request.query, "transaction_id") else {
                    return json(400, &json!({ "message": { "transaction_id": MISSING } }));
                };
                let Some(entry) = self.id(id).and_then(|hash| recent.transaction(source, &hash)) else {
                    // Cut: it is the client's own text.
                    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
                    let message = format!("Block containing transaction with id: {id} not found.");
                    return json(404, &json!({ "message": message, "status": 404 }));
                };
                Some(entry)
            }
        };
        entry.map_or_else(not_found, |entry| block_of(&entry))
    }

    fn transaction(&self, id: Option<&str>, source: SourceNumber, recent: &Recent) -> HttpReply {
        let Some(id) = id else {
            // The original searches by asset here. What is kept is no base for a search.
            return json(400, &json!({ "message": { "asset_ids": "Not searched here; ask for /transactions/<id>" } }));
        };
        let Some(hash) = self.id(id) else { return not_found() };
        let Some(entry) = recent.transaction(source, &hash) else { return not_found() };
        let mut natives = entry.batch.events.iter().filter(|event| event.transaction_hash == Some(hash));
        match natives.find_map(|event| event.native.as_ref()?.get::<native::Transaction>()) {
            Some(native) => ok(native.text.as_bytes()),
            None => not_found(),
        }
    }

    /// A transaction's id: as its network writes it, nothing else.
    fn id(&self, text: &str) -> Option<Hash> {
        if self.any_network { Hash::from_hex(text.strip_prefix("0x").unwrap_or(text)) } else { transaction_id(text) }
    }
}

#[derive(Serialize)]
struct BlockBody<'a> {
    app_hash: BlockHash<'a>,
    height: u64,
    transaction_ids: Ids<'a>,
}

fn block_of(entry: &StreamEntry) -> HttpReply {
    let batch = &entry.batch;
    json(200, &BlockBody { app_hash: BlockHash(batch), height: batch.ledger.index, transaction_ids: Ids(batch) })
}

/// The value of a parameter, as it stands in the query.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map(|(_, value)| value)
}

fn text(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and numbers always make JSON")
}

fn json(status: u16, value: &impl Serialize) -> HttpReply {
    // As the original does: everybody's pages may read what everybody may read.
    HttpReply::json(status, text(value)).with("access-control-allow-origin", "*")
}

fn ok(body: impl Into<Vec<u8>>) -> HttpReply {
    HttpReply::json(200, body).with("access-control-allow-origin", "*")
}

fn not_found() -> HttpReply {
    json(404, &json!({ "message": "Not found", "status": 404 }))
}

fn plain(status: u16, body: &str) -> HttpReply {
    let headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
    HttpReply { status, headers, body: body.into() }
}

/// Nothing is at that path.
pub(super) fn no_path() -> HttpReply {
    plain(404, "404: Not Found")
}

/// A plain request for a stream.
pub(super) fn not_upgraded() -> HttpReply {
    plain(400, "No WebSocket UPGRADE hdr: this is a stream; connect with a WebSocket client\n")
}
