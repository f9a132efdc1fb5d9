//! Flow's filters, judged on what clients read. Amounts are compared digit by digit.

use super::super::Fit;
use serde_json::Value;
use std::cmp::Ordering;
use std::str::FromStr;
use stellar_strkey::{Contract, Strkey, ed25519};

/// All fields that are set must hold; what a message does not tell is not held against it.
pub fn fits(filters: &Value, event: &Value) -> Fit {
    let kind = event["type"].as_str().unwrap_or_default();
    let of_type = |wanted: &str| wanted == kind || event["event_type"].as_str() == Some(wanted);
    let types = list(filters, "types");
    if !types.is_empty() && !types.iter().any(|wanted| of_type(wanted)) {
        return Fit::No;
    }
    let least = match &filters["min_amount"] {
        Value::String(least) => least.clone(),
        Value::Number(least) => least.to_string(),
        _ => String::new(),
    };
    match (has_account(&list(filters, "account_ids"), kind, event), has_amount(filters, &least, kind, event)) {
        (_, false) | (Fit::No, _) => Fit::No,
        (fit, true) => fit,
    }
}

fn list<'a>(filters: &'a Value, name: &str) -> Vec<&'a str> {
    filters[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn has_account(wanted: &[&str], kind: &str, event: &Value) -> Fit {
    if wanted.is_empty() {
        return Fit::Yes;
    }
    let mut parties = Vec::new();
    let fields: &[&str] = match kind {
        "payment" => &["from", "to"],
        "trade" => &["seller_id", "buyer_id", "liquidity_pool"],
        "transaction" => &["source_account", "fee_account"],
        "contract_event" => {
            addresses(&event["topics"], &mut parties);
            &["contract_id"]
        }
        _ => &[],
    };
    parties.extend(fields.iter().filter_map(|field| event[*field].as_str()));
    let is = |wanted: &str| parties.iter().any(|party| wanted == *party || Some(wanted) == base(party).as_deref());
    if wanted.iter().any(|wanted| is(wanted)) {
        return Fit::Yes;
    }
    // The accounts of a transaction's operations, and the ids inside most muxed accounts, are not told.
    let may_be = |wanted: &&str| base(wanted).is_some_and(|base| parties.contains(&&*base));
    if kind == "transaction" || wanted.iter().any(may_be) { Fit::Unknown } else { Fit::No }
}

/// The account (or contract) inside a muxed one.
fn base(address: &str) -> Option<String> {
    if !address.starts_with('M') {
        return None;
    }
    match Strkey::from_str(address).ok()? {
        Strkey::MuxedAccountEd25519(muxed) => Some(ed25519::PublicKey(muxed.ed25519).to_string().as_str().to_owned()),
        Strkey::MuxedContract(muxed) => Some(Contract(muxed.contract_id).to_string().as_str().to_owned()),
        _ => None,
    }
}

/// Every address in a value of a contract.
fn addresses<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| addresses(value, found)),
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(address) if name == "address" => found.push(address),
                    _ => addresses(value, found),
                }
            }
        }
        _ => {}
    }
}

/// Whether one side of the event has an asset that is wanted, and enough of it.
fn has_amount(filters: &Value, least: &str, kind: &str, event: &Value) -> bool {
    let assets = list(filters, "asset_codes");
    if assets.is_empty() && least.is_empty() {
        return true;
    }
    let sides: &[(&str, &str)] = match kind {
        "payment" | "contract_event" => &[("asset", "amount")],
        "trade" => &[("sell_asset", "sell_amount"), ("buy_asset", "buy_amount")],
        _ => &[],
    };
    sides.iter().any(|(asset, amount)| {
        let Some(asset) = event[*asset].as_str() else { return false };
        let code = asset.split(':').next().unwrap_or(asset);
        let is = |wanted: &&str| *wanted == asset || *wanted == if asset == "native" { "XLM" } else { code };
        let reaches = |amount: &str| !amount.starts_with('-') && compare(amount, least) != Ordering::Less;
        (assets.is_empty() || assets.iter().any(is))
            && (least.is_empty() || event[*amount].as_str().is_some_and(reaches))
    })
}

/// Two decimal numbers without signs and exponents, of any length.
fn compare(left: &str, right: &str) -> Ordering {
    let parts = |text: &'_ str| -> (String, String) {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (whole.trim_start_matches('0').to_owned(), fraction.trim_end_matches('0').to_owned())
    };
    let ((left, left_fraction), (right, right_fraction)) = (parts(left), parts(right));
    // Longer is larger before the point; behind it, texts compare as numbers do.
    left.len().cmp(&right.len()).then_with(|| left.cmp(&right)).then_with(|| left_fraction.cmp(&right_fraction))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const G: &str = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ";
    const M: &str = "MA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVAAAAAAAAAAAAAJLK";

    #[test]
    fn judged_field_by_field() {
        let payment =
            json!({"type": "payment", "from": G, "to": "GB", "asset": "USDC:GI", "amount": "922337203685.4775807"});
        let trade = json!({"type": "trade", "seller_id": "GS", "buyer_id": "GB", "sell_asset": "AQUA:GI",
            "sell_amount": "5.0000000", "buy_asset": "native", "buy_amount": "0.1000000"});
        let event = json!({"type": "contract_event", "event_type": "contract", "contract_id": "C1",
            "topics": [{"symbol": "x"}, {"vec": [{"address": M}]}]});
        let transaction = json!({"type": "transaction", "source_account": G, "fee_account": "GF"});
        let ledger = json!({"type": "ledger"});
        for (filters, event, fit) in [
            (json!({}), &ledger, Fit::Yes),
            (json!({"types": ["ledger", "trade"]}), &ledger, Fit::Yes),
            (json!({"types": ["trade"]}), &ledger, Fit::No),
            (json!({"types": ["contract"]}), &event, Fit::Yes),
            (json!({"types": ["system"]}), &event, Fit::No),
            (json!({"account_ids": [G]}), &event, Fit::Yes),
            (json!({"account_ids": [M]}), &event, Fit::Yes),
            (json!({"account_ids": ["C1"]}), &event, Fit::Yes),
            (json!({"account_ids": ["C2"]}), &event, Fit::No),
            (json!({"account_ids": [M]}), &payment, Fit::Unknown),
            (json!({"account_ids": ["GX", G]}), &payment, Fit::Yes),
            (json!({"account_ids": ["GX"]}), &payment, Fit::No),
            (json!({"account_ids": ["GX"]}), &transaction, Fit::Unknown),
            (json!({"account_ids": [G]}), &transaction, Fit::Yes),
            (json!({"account_ids": [G]}), &ledger, Fit::No),
            (json!({"asset_codes": ["USDC"]}), &payment, Fit::Yes),
            (json!({"asset_codes": ["USDC:GI"]}), &payment, Fit::Yes),
            (json!({"asset_codes": ["USDC:GX", "USD"]}), &payment, Fit::No),
            (json!({"asset_codes": ["XLM"]}), &trade, Fit::Yes),
            (json!({"asset_codes": ["native"], "min_amount": "0.1"}), &trade, Fit::Yes),
            (json!({"asset_codes": ["native"], "min_amount": "0.10000001"}), &trade, Fit::No),
            (json!({"min_amount": "5"}), &trade, Fit::Yes),
            (json!({"min_amount": 6}), &trade, Fit::No),
            (json!({"min_amount": "922337203685.4775807"}), &payment, Fit::Yes),
            (json!({"min_amount": "922337203685.4775808"}), &payment, Fit::No),
            (json!({"min_amount": "0"}), &ledger, Fit::No),
            (json!({"account_ids": ["GX"], "min_amount": "1"}), &transaction, Fit::No),
            (json!({"types": [], "account_ids": null, "min_amount": ""}), &ledger, Fit::Yes),
        ] {
            assert_eq!(fits(&filters, event), fit, "{filters} {event}");
        }
    }
}
