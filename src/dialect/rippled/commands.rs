//! The commands by name: which are answered here, which are asked of the ledger's server, which are refused.

use super::faults::{Fault, NO_PERMISSION, NOT_SUPPORTED, UNKNOWN_COMMAND};

/// What a command's name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Ping,
    Version,
    /// Asked of the ledger's server, which has an answer even while it cannot be reached.
    ServerInfo,
    Subscribe,
    Unsubscribe,
    /// Asked of the ledger's server.
    Proxied,
    Refused(Fault),
}

/// What may be asked of the ledger's server unless the settings say otherwise.
pub(super) const PROXIED: [&str; 35] = [
    "account_info",
    "account_lines",
    "account_objects",
    "account_offers",
    "account_nfts",
    "account_channels",
    "account_currencies",
    "account_tx",
    "amm_info",
    "book_changes",
    "book_offers",
    "deposit_authorized",
    "fee",
    "feature",
    "gateway_balances",
    "get_aggregate_price",
    "ledger",
    "ledger_closed",
    "ledger_current",
    "ledger_data",
    "ledger_entry",
    "manifest",
    "nft_buy_offers",
    "nft_sell_offers",
    "noripple_check",
    "random",
    "server_definitions",
    "server_state",
    "transaction_entry",
    "tx",
    "vault_info",
    "mpt_holders",
    "nft_info",
    "nft_history",
    "nfts_by_issuer",
];

/// Answered here.
const LOCAL: [(&str, Command); 5] = [
    ("ping", Command::Ping),
    ("server_info", Command::ServerInfo),
    ("subscribe", Command::Subscribe),
    ("unsubscribe", Command::Unsubscribe),
    ("version", Command::Version),
];

/// What signs or administers: a public server allows it to nobody.
const FORBIDDEN: [&str; 31] = [
    "batch",
    "blacklist",
    "can_delete",
    "channel_authorize",
    "connect",
    "consensus_info",
    "crawl_shards",
    "download_shard",
    "fetch_info",
    "get_counts",
    "ledger_accept",
    "ledger_cleaner",
    "ledger_request",
    "log_level",
    "logrotate",
    "node_to_shard",
    "peer_reservations_add",
    "peer_reservations_del",
    "peer_reservations_list",
    "peers",
    "print",
    "sign",
    "sign_for",
    "stop",
    "tx_reduce_relay",
    "unl_list",
    "validation_create",
    "validator_info",
    "validator_list_sites",
    "validators",
    "wallet_propose",
];

/// What writes to the ledger, or needs a session of its own with the ledger's server.
const NOT_OFFERED: [&str; 3] = ["path_find", "submit", "submit_multisigned"];

/// Offered only where the settings list them.
const DEAR: [&str; 2] = ["ripple_path_find", "simulate"];

/// What `name` stands for where `proxied` may be asked of the ledger's server.
pub(super) fn command(name: &str, proxied: &[String]) -> Command {
    if let Some((_, local)) = LOCAL.iter().find(|(known, _)| *known == name) {
        *local
    } else if FORBIDDEN.contains(&name) {
        Command::Refused(NO_PERMISSION)
    } else if NOT_OFFERED.contains(&name) {
        Command::Refused(NOT_SUPPORTED)
    } else if proxied.iter().any(|allowed| allowed == name) {
        Command::Proxied
    } else if DEAR.contains(&name) {
        Command::Refused(NOT_SUPPORTED)
    } else {
        Command::Refused(UNKNOWN_COMMAND)
    }
}

/// Why a method cannot stand in the settings' list.
pub(super) fn never_proxied(name: &str) -> Option<&'static str> {
    if LOCAL.iter().any(|(known, _)| *known == name) {
        Some("is answered here")
    } else if FORBIDDEN.contains(&name) {
        Some("signs or administers, which a public server allows to nobody")
    } else if NOT_OFFERED.contains(&name) {
        Some("writes to the ledger, or needs a session of its own with the ledger's server")
    } else {
        None
    }
}
