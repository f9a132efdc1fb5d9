//! Flow's words for ledgers of the XRP Ledger: from what servers recorded to what clients read. Without the recordings
//! these tests say that they are skipped.

use super::FlowRender;
use super::register;
use crate::broker::Render;
use crate::dialect::frame::Frames;
use crate::event::{EventKind, LedgerBatch};
use crate::source::xrpl::recordings;
use serde_json::{Value, json};

/// What clients read of a ledger, event by event; `None` for what Flow has no words for.
fn written(batch: &LedgerBatch) -> Vec<Option<Value>> {
    let text = |index| {
        let mut frames = Frames::default();
        FlowRender { names_network: false, cursors: false }.event(batch, index, &mut frames);
        let bytes = (frames.count() > 0).then(|| frames.to_bytes())?;
        let header = if bytes[1] < 126 { 2 } else { 4 };
        Some(serde_json::from_slice(&bytes[header..]).unwrap())
    };
    (0..batch.events.len()).map(text).collect()
}

/// Those of one type.
fn of_type(batch: &LedgerBatch, kind: &str) -> Vec<Value> {
    written(batch).into_iter().flatten().filter(|value| value["type"] == kind).collect()
}

/// Drops as clients read them.
fn xrp(drops: &Value) -> String {
    let digits = format!("{:0>7}", drops.as_str().unwrap());
    let (whole, fraction) = digits.split_at(digits.len() - 6);
    format!("{whole}.{fraction}")
}

/// The recorded transactions of a ledger in the order of their execution.
fn sent(file: &str) -> Vec<Value> {
    let recorded = recordings::recorded(&format!("ledgers/{file}")).unwrap();
    let ledger = recorded.get("ledger").unwrap_or(&recorded);
    let mut transactions = ledger["transactions"].as_array().unwrap().clone();
    transactions.sort_by_key(|transaction| transaction["metaData"]["TransactionIndex"].as_u64());
    transactions
}

#[test]
fn recorded_ledgers_transactions_and_payments() {
    let mut payments = 0;
    for file in recordings::LEDGERS {
        let Some(batch) = recordings::batch(file) else { return };
        let sent = sent(file);
        let index = batch.ledger.index;
        let closed_at = jiff::Timestamp::from_second(batch.ledger.closed_at).unwrap().to_string();
        let successful = |transaction: &&Value| transaction["metaData"]["TransactionResult"] == "tesSUCCESS";
        let ledger = json!({
            "type": "ledger", "id": format!("{index}-ledger"), "ledger": index, "ledger_closed_at": closed_at,
            "hash": batch.ledger.hash.unwrap().to_string(), "previous_hash": batch.ledger.parent.unwrap().to_string(),
            "transaction_count": sent.len(), "successful_count": sent.iter().filter(successful).count(),
            "operation_count": sent.len(),
        });
        assert_eq!(of_type(&batch, "ledger"), [ledger]);
        let told = of_type(&batch, "transaction");
        assert_eq!(told.len(), sent.len());
        for ((at, told), sent) in (0..).zip(&told).zip(&sent) {
            let mut told = told.clone();
            // What it says is in hex; here only that it is something.
            assert_eq!(told["memo"] == "", sent.get("Memos").is_none());
            told.as_object_mut().unwrap().remove("memo");
            let expected = json!({
                "type": "transaction", "id": format!("{index}-{at}"), "ledger": index, "ledger_closed_at": closed_at,
                "transaction_hash": sent["hash"].as_str().unwrap().to_lowercase(), "source_account": sent["Account"],
                "fee_account": sent["Account"], "successful": successful(&sent), "fee_charged": sent["Fee"],
                "operation_count": 1, "application_order": at + 1,
            });
            assert_eq!(told, expected);
        }
        let paying = |sent: &&Value| {
            successful(sent) && sent["TransactionType"] == "Payment" && sent["Account"] != sent["Destination"]
        };
        let told = of_type(&batch, "payment");
        assert_eq!(told.len(), sent.iter().filter(paying).count());
        for (told, sent) in told.iter().zip(sent.iter().filter(paying)) {
            let meta = &sent["metaData"];
            let delivered = meta.get("delivered_amount").or(meta.get("DeliveredAmount")).unwrap_or(&sent["Amount"]);
            let (asset, amount) = match delivered {
                Value::String(_) => ("XRP".to_owned(), xrp(delivered)),
                token => {
                    let (code, issuer) = (token["currency"].as_str().unwrap(), token["issuer"].as_str().unwrap());
                    (format!("{code}:{issuer}"), token["value"].as_str().unwrap().to_owned())
                }
            };
            let expected = json!({
                "from": sent["Account"], "to": sent["Destination"], "buyer_account_id": sent["Destination"],
                "seller_account_id": sent["Account"], "asset": asset, "amount": amount, "operation": "payment",
                "timestamp": batch.ledger.closed_at.to_string(), "ledger_seq_num": index,
            });
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(&told[name], value, "{name} of {told}");
            }
            let tag = sent.get("DestinationTag").map(|tag| tag.to_string());
            assert_eq!(told.get("to_muxed_id").and_then(Value::as_str), tag.as_deref());
            payments += 1;
        }
    }
    assert!(payments > 50, "{payments}");
}

#[test]
fn a_recorded_trade_has_its_price() {
    let Some(batch) = recordings::batch("2013-309936.json") else { return };
    let trades = of_type(&batch, "trade");
    let issuer = "rvYAfWj5gh67oV6fW32ZzP3Aw4Eubs59B";
    let (seller, buyer) = ("rPXh6UrSBuLzzqKksZchqM4nC67EhfNnAW", "r9uVRhJEKsJVaxsU3c3rimzLWKYRmDUcX2");
    let expected = json!({
        "type": "trade", "id": "309936-0-t0", "ledger": 309_936, "ledger_closed_at": "2013-03-04T17:34:00Z",
        "transaction_hash": "2aefb8ae33e908c711cbf5887ca2ad19d8b04416ede9b497520e91a184de8015",
        "seller_id": seller, "buyer_id": buyer, "seller_account_id": seller, "buyer_account_id": buyer,
        "sell_asset": "XRP", "sell_amount": "41930.000000",
        "buy_asset": format!("BTC:{issuer}"), "buy_amount": "2.329443577674418",
        // Of a whole XRP in BTC; exactly, of one drop.
        "price": 0.000_055_555_534_883_720_91,
        "price_r": { "n": "1164721788837209", "d": "20965000000000000000000000" }, "orderbook_id": "25",
        "sell_asset_details": { "code": "XRP", "type": "native" },
        "buy_asset_details": { "code": "BTC", "issuer": issuer, "type": "token" }, "timestamp": "1362418440",
    });
    assert_eq!(trades[0], expected);
    assert_eq!((&trades[1]["sell_amount"], &trades[1]["buy_amount"]), (&json!("1810.000000"), &json!("0.1")));
}

#[test]
fn books_are_not_flow_s_matter() {
    let Some(batch) = recordings::batch("2024-90150378.json") else { return };
    for (event, told) in batch.events.iter().zip(written(&batch)) {
        assert_eq!(event.kind == EventKind::BookChanges, told.is_none());
    }
}

/// A payment of the asset with this JSON, in a ledger with a trade of 2 USD for 5 XRP.
fn made_up(delivered: Value) -> LedgerBatch {
    let usd = |value: &str| json!({ "currency": "USD", "issuer": "rIssuer", "value": value });
    let offer = json!({ "ModifiedNode": { "LedgerEntryType": "Offer",
        "FinalFields": { "Account": "rMaker", "Sequence": 7, "TakerGets": usd("1"), "TakerPays": "2500000" },
        "PreviousFields": { "TakerGets": usd("3"), "TakerPays": "7500000" } } });
    let tx = json!({ "TransactionType": "Payment", "Account": "rPayer", "Destination": "rPaid", "Fee": "10" });
    let meta = json!({ "AffectedNodes": [offer], "TransactionResult": "tesSUCCESS", "delivered_amount": delivered });
    recordings::batch_of(&recordings::alone(&tx, &meta))
}

#[test]
fn filters_find_accounts_assets_and_amounts() {
    let hex = "0000000000000000000000005553440000000000";
    let token = json!({ "currency": "USD", "issuer": "rIssuer", "value": "1103773976379842e-26" });
    let forged = json!({ "currency": "0000000000000000000000005852500000000000", "issuer": "rIssuer", "value": "9" });
    for (delivered, filters, expected) in [
        (json!("2500000"), json!({}), "ledger transaction payment trade"),
        (json!("2500000"), json!({ "account_ids": ["rPayer"] }), "transaction payment trade"),
        (json!("2500000"), json!({ "account_ids": ["rMaker"] }), "transaction trade"),
        (json!("2500000"), json!({ "account_ids": ["rIssuer"] }), "transaction"),
        (json!("2500000"), json!({ "asset_codes": ["XRP"], "min_amount": "2.5" }), "payment trade"),
        (json!("2500000"), json!({ "asset_codes": ["native"], "min_amount": "2.500001" }), "trade"),
        (json!("2500000"), json!({ "asset_codes": ["USD"] }), "trade"),
        (token.clone(), json!({ "asset_codes": ["USD:rIssuer"] }), "payment trade"),
        (token.clone(), json!({ "asset_codes": [hex] }), "payment trade"),
        (
            token.clone(),
            json!({ "asset_codes": ["USD"], "min_amount": "0.00000000001103773976379842" }),
            "payment trade",
        ),
        (token, json!({ "asset_codes": ["USD"], "min_amount": "0.00000000001103773976379843" }), "trade"),
        (forged, json!({ "asset_codes": ["XRP"], "types": ["payment"] }), ""),
        (json!("unavailable"), json!({ "types": ["payment"] }), "payment"),
        (json!("unavailable"), json!({ "types": ["payment"], "min_amount": "0" }), ""),
    ] {
        let batch = made_up(delivered);
        let message = json!({ "type": "register", "filters": filters }).to_string();
        let clause = register::read(&message, 100).unwrap().filters.clause().unwrap();
        let found: Vec<_> =
            batch.events.iter().filter(|event| clause.matches(event)).map(|event| event.kind.name()).collect();
        assert_eq!(found.join(" "), expected, "{filters}");
    }
    let payment = of_type(&made_up(json!("unavailable")), "payment");
    assert_eq!(payment[0].get("amount"), None);
}
