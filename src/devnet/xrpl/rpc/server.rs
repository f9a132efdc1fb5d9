//! Methods about the server itself.

use std::time::SystemTime;

use rand::RngExt;
use serde_json::{Value, json};

use super::super::history::Network;
use super::super::ledger::{BASE_FEE, EPOCH};
use super::super::state::{RESERVE_BASE, RESERVE_STEP};
use super::super::world::hex;
use super::members;

/// Larger than those of the public networks, and so small that transactions need not name it.
pub(super) const NETWORK_ID: u32 = 1_000;

/// Methods of a real server that this one does not have.
pub(super) const NOT_OFFERED: [&str; 30] = [
    "account_channels",
    "account_nfts",
    "amm_info",
    "channel_authorize",
    "channel_verify",
    "deposit_authorized",
    "feature",
    "gateway_balances",
    "get_aggregate_price",
    "ledger_data",
    "ledger_header",
    "ledger_request",
    "manifest",
    "nft_buy_offers",
    "nft_sell_offers",
    "noripple_check",
    "owner_info",
    "peers",
    "ripple_path_find",
    "sign",
    "sign_for",
    "simulate",
    "submit",
    "submit_multisigned",
    "tx_history",
    "unl_list",
    "validation_create",
    "validators",
    "vault_info",
    "wallet_propose",
];

/// Result codes with their numbers: those that this ledger gives, and their neighbours.
const RESULTS: [(&str, i32); 26] = [
    ("tesSUCCESS", 0),
    ("tecCLAIM", 100),
    ("tecPATH_PARTIAL", 101),
    ("tecUNFUNDED_ADD", 102),
    ("tecUNFUNDED_OFFER", 103),
    ("tecUNFUNDED_PAYMENT", 104),
    ("tecFAILED_PROCESSING", 105),
    ("tecDIR_FULL", 121),
    ("tecINSUF_RESERVE_LINE", 122),
    ("tecINSUF_RESERVE_OFFER", 123),
    ("tecNO_DST", 124),
    ("tecNO_DST_INSUF_XRP", 125),
    ("tecNO_LINE_INSUF_RESERVE", 126),
    ("tecNO_LINE_REDUNDANT", 127),
    ("tecPATH_DRY", 128),
    ("tecUNFUNDED", 129),
    ("tecNO_ISSUER", 133),
    ("tecNO_AUTH", 134),
    ("tecNO_LINE", 135),
    ("tecFROZEN", 137),
    ("tecNO_PERMISSION", 139),
    ("tecNO_ENTRY", 140),
    ("tecINSUFFICIENT_RESERVE", 141),
    ("tecKILLED", 150),
    ("tecHAS_OBLIGATIONS", 151),
    ("tecTOO_SOON", 152),
];

const BUILD: &str = concat!("2.6.0-ledgercast-devnet-", env!("CARGO_PKG_VERSION"));

/// Seconds since the last ledger's close.
fn age(close_time: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    now.saturating_sub(EPOCH + close_time)
}

/// What `server_info` and `server_state` have in common.
fn common(network: &Network) -> Value {
    let view = network.view();
    let (oldest, latest) = (view.oldest().index, view.latest().index);
    let complete = if oldest == latest { oldest.to_string() } else { format!("{oldest}-{latest}") };
    json!({
        "build_version": BUILD, "complete_ledgers": complete, "io_latency_ms": 1, "network_id": NETWORK_ID,
        "peers": 0, "server_state": "full", "validation_quorum": 1, "jq_trans_overflow": "0",
        "peer_disconnects": "0", "pubkey_node": "", "ports": [], "uptime": 1,
    })
}

pub(super) fn info(network: &Network) -> String {
    let mut info = common(network);
    info["hostid"] = "DEVNET".into();
    info["load_factor"] = 1.into();
    let view = network.view();
    let latest = view.latest();
    // Written as the real server does, which shows XRP as JSON floats; nothing is calculated with them.
    let validated = format!(
        r#"{{"age":{},"base_fee_xrp":1e-05,"hash":"{}","reserve_base_xrp":1,"reserve_inc_xrp":0.2,"seq":{}}}"#,
        age(latest.close_time),
        hex(&latest.hash),
        latest.index
    );
    format!(r#""info":{{{},"validated_ledger":{validated}}}"#, members(info))
}

pub(super) fn state(network: &Network) -> String {
    let mut state = common(network);
    let view = network.view();
    let latest = view.latest();
    state["load_base"] = 256.into();
    state["load_factor"] = 256.into();
    state["validated_ledger"] = json!({
        "base_fee": BASE_FEE as u64, "close_time": latest.close_time, "hash": hex(&latest.hash),
        "reserve_base": RESERVE_BASE as u64, "reserve_inc": RESERVE_STEP as u64, "seq": latest.index,
    });
    members(json!({"state": state}))
}

pub(super) fn definitions() -> String {
    let results: serde_json::Map<String, Value> =
        RESULTS.iter().map(|(name, code)| ((*name).to_owned(), (*code).into())).collect();
    members(json!({"TRANSACTION_RESULTS": results}))
}

pub(super) fn fee(network: &Network) -> String {
    let view = network.view();
    let latest = view.latest();
    members(json!({
        "current_ledger_size": "0", "current_queue_size": "0", "max_queue_size": "2000",
        "expected_ledger_size": latest.transactions.len().to_string(), "ledger_current_index": latest.index + 1,
        "drops": {"base_fee": "10", "median_fee": "5000", "minimum_fee": "10", "open_ledger_fee": "10"},
        "levels": {"median_level": "128000", "minimum_level": "256", "open_ledger_level": "256", "reference_level": "256"},
    }))
}

pub(super) fn random() -> String {
    let random: [u8; 32] = rand::rng().random();
    format!(r#""random":"{}""#, hex(&random))
}
