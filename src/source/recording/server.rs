//! Answers clients' own calls where there is no ledger's server behind: what the recording itself tells.

use super::Config;
use super::line::Edge;
use crate::dialect::{CallError, Reply};
use crate::source::{LocalFuture, Upstream};
use serde_json::json;

/// The XRP Ledger's number for a network stands after this.
const NETWORK: &str = "xrpl-";

/// The server of a recorded XRP Ledger. It has one answer: what it is. Clients ask for that when they connect; what else
/// they ask gets the error of a server that is not connected to its network.
pub struct RecordedServer {
    info: Option<Reply>,
}

impl RecordedServer {
    /// Of this recording.
    pub fn new(config: &Config) -> RecordedServer {
        let info = config.path.header().ok().map(|header| {
            let Edge { ledger, hash, .. } = &header.to;
            let network_id: u32 = header.network.strip_prefix(NETWORK).and_then(|id| id.parse().ok()).unwrap_or(0);
            let hash = hash.as_deref().map(str::to_uppercase);
            let info = json!({
                "complete_ledgers": format!("{}-{ledger}", header.from.ledger),
                "network_id": network_id,
                "server_state": "full",
                "validated_ledger": { "age": 0, "hash": hash, "seq": ledger },
            });
            json!({ "info": info, "status": "success" }).to_string().into()
        });
        RecordedServer { info }
    }
}

impl Upstream for RecordedServer {
    fn call<'a>(&'a self, method: &'a str, _: &'a str) -> LocalFuture<'a, Result<Reply, CallError>> {
        let info = self.info.clone().filter(|_| method == "server_info");
        Box::pin(std::future::ready(info.ok_or(CallError::Unreachable)))
    }

    fn remembers(&self, _: &str) -> bool {
        true
    }
}
