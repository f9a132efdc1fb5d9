//! Flow's filters judged the plain way, on the JSON that clients get: what the server must agree
//! with. Amounts are compared digit by digit.

use serde_json::Value;
use std::cmp::Ordering;

/// Two decimal numbers without signs and exponents, of any length.
pub fn compare(left: &str, right: &str) -> Ordering {
    let parts = |text: &str| -> (String, String) {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (whole.trim_start_matches('0').to_owned(), fraction.trim_end_matches('0').to_owned())
    };
    let ((left, left_fraction), (right, right_fraction)) = (parts(left), parts(right));
    // Longer is larger before the point; behind it, texts compare as numbers do.
    left.len().cmp(&right.len()).then_with(|| left.cmp(&right)).then_with(|| left_fraction.cmp(&right_fraction))
}

/// Whether an event reaches a client with these filters. Account filters are not judged for
/// transactions: the JSON does not name the accounts of their operations.
pub fn matches(filters: &Value, event: &Value) -> bool {
    let list = |name: &str| -> Vec<&str> {
        filters[name].as_array().into_iter().flatten().map(|value| value.as_str().expect("a text")).collect()
    };
    let (types, accounts, assets) = (list("types"), list("account_ids"), list("asset_codes"));
    let least = filters["min_amount"].as_str().unwrap_or_default();

    let kind = event["type"].as_str().expect("every event has a type");
    let event_type = event["event_type"].as_str();
    if !types.is_empty() && !types.contains(&kind) && !event_type.is_some_and(|it| types.contains(&it)) {
        return false;
    }
    if !accounts.is_empty() {
        assert_ne!(kind, "transaction", "not judged");
        let has = accounts_of(kind, event);
        if !accounts.iter().any(|account| has.contains(account)) {
            return false;
        }
    }
    if assets.is_empty() && least.is_empty() {
        return true;
    }
    sides(kind, event).into_iter().any(|(asset, amount)| {
        let asset_fits = assets.is_empty()
            || assets.iter().any(|wanted| {
                let code = asset.split(':').next().expect("there is a first");
                match asset {
                    "native" => ["native", "XLM"].contains(wanted),
                    asset => *wanted == asset || *wanted == code,
                }
            });
        // An amount below zero is less than any that a filter can have.
        let reaches = |amount: &str| !amount.starts_with('-') && compare(amount, least) != Ordering::Less;
        let amount_fits = least.is_empty() || amount.is_some_and(reaches);
        asset_fits && amount_fits
    })
}

/// The assets of an event, each with its amount.
fn sides<'a>(kind: &str, event: &'a Value) -> Vec<(&'a str, Option<&'a str>)> {
    let side = |asset: &str, amount: &str| event[asset].as_str().map(|asset| (asset, event[amount].as_str()));
    match kind {
        "payment" | "contract_event" => side("asset", "amount").into_iter().collect(),
        "trade" => [side("sell_asset", "sell_amount"), side("buy_asset", "buy_amount")].into_iter().flatten().collect(),
        _ => Vec::new(),
    }
}

/// The accounts under which an event is found.
pub fn accounts_of<'a>(kind: &str, event: &'a Value) -> Vec<&'a str> {
    let mut accounts = Vec::new();
    let fields: &[&str] = match kind {
        "payment" => &["from", "to"],
        "trade" => &["seller_id", "buyer_id", "liquidity_pool"],
        "contract_event" => {
            addresses(&event["topics"], &mut accounts);
            &["contract_id"]
        }
        _ => &[],
    };
    accounts.extend(fields.iter().filter_map(|field| event[*field].as_str()));
    accounts
}

/// Every address in an XDR value.
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

#[test]
fn decimals_compare_exactly() {
    for (left, right, order) in [
        ("922337203685.4775807", "922337203685.4775806", Ordering::Greater),
        ("1", "1.0000000", Ordering::Equal),
        ("0.5", "0.45", Ordering::Greater),
        ("10", "9.9999999", Ordering::Greater),
        ("0.0000001", "0", Ordering::Greater),
        ("007", "7", Ordering::Equal),
    ] {
        assert_eq!(compare(left, right), order, "{left} {right}");
        assert_eq!(compare(right, left), order.reverse(), "{left} {right}");
    }
}
