//! Every field of every type of event, held against recorded data that is read the plain way: as
//! the JSON of the network's own XDR. Objects are compared whole, so no field can be missing, be
//! wrong or be too many. Without the recordings these tests say that they are skipped.

use super::{texts, written};
use crate::event::{Hash, LedgerBatch};
use crate::source::stellar::recordings::{self, AppliedTransaction, PUBNET, TESTNET};
use serde::Serialize;
use serde_json::{Value, json};
use stellar_xdr::{
    ContractEvent, ContractEventBody, ContractEventType, ContractEventV0, ContractId, ExtensionPoint, HostFunction,
    InvokeHostFunctionOp, InvokeHostFunctionResult, Limits, Memo, Operation, OperationBody, OperationMetaV2,
    OperationResult, OperationResultTr, ReadXdr, ScVal, TransactionEnvelope, TransactionMeta, TransactionMetaV4,
    TransactionResult, VecM,
};

/// Stroops as clients read them.
fn printed(stroops: &Value) -> String {
    let stroops = stroops.as_str().map_or_else(|| stroops.to_string(), str::to_owned);
    let (sign, digits) = stroops.strip_prefix('-').map_or(("", &*stroops), |digits| ("-", digits));
    let digits = format!("{digits:0>8}");
    let (whole, fraction) = digits.split_at(digits.len() - 7);
    format!("{sign}{whole}.{fraction}")
}

fn closed_at(unix_seconds: i64) -> String {
    jiff::Timestamp::from_second(unix_seconds).unwrap().to_string()
}

fn json_of<T: ReadXdr + Serialize>(base64: &Value) -> Value {
    serde_json::to_value(T::from_xdr_base64(base64.as_str().unwrap(), Limits::none()).unwrap()).unwrap()
}

/// An asset in the XDR's JSON as its full name.
fn asset(asset: &Value) -> String {
    let Some(credit) = asset.as_object() else { return "native".to_owned() };
    let (_, credit) = credit.iter().next().unwrap();
    format!("{}:{}", credit["asset_code"].as_str().unwrap(), credit["issuer"].as_str().unwrap())
}

fn code(asset: &str) -> &str {
    if asset == "native" { "XLM" } else { asset.split(':').next().unwrap() }
}

fn details(asset: &Value) -> Value {
    match asset.as_object().and_then(|credit| credit.iter().next()) {
        None => json!({"code": "XLM", "type": "native"}),
        Some((kind, credit)) => json!({"code": credit["asset_code"], "issuer": credit["issuer"], "type": kind}),
    }
}

/// `value` with the members of `more` as well.
fn with(mut value: Value, more: Value) -> Value {
    let Value::Object(more) = more else { unreachable!() };
    value.as_object_mut().unwrap().extend(more);
    value
}

/// The inner transaction of an envelope and who pays its fee.
fn inner(envelope: &Value) -> (&Value, &Value) {
    if let Some(bump) = envelope.get("tx_fee_bump") {
        return (&bump["tx"]["inner_tx"]["tx"]["tx"], &bump["tx"]["fee_source"]);
    }
    let tx = envelope.get("tx").or(envelope.get("tx_v0")).map(|envelope| &envelope["tx"]).unwrap();
    (tx, tx.get("source_account").unwrap_or(&tx["source_account_ed25519"]))
}

fn memo(tx: &Value) -> String {
    match &tx["memo"] {
        Value::Object(memo) => {
            let text = memo.values().next().unwrap();
            text.as_str().map_or_else(|| text.to_string(), str::to_owned)
        }
        _ => String::new(),
    }
}

/// A recorded transaction as plain JSON.
struct Sent {
    tx: Value,
    fee_account: Value,
    result: Value,
    order: u64,
    successful: bool,
    hash: Value,
    ledger: u64,
    closed_at: i64,
}

impl Sent {
    /// One of `getTransactions`.
    fn of(sent: &Value) -> Sent {
        let envelope = json_of::<TransactionEnvelope>(&sent["envelopeXdr"]);
        let (tx, fee_account) = inner(&envelope);
        Sent {
            tx: tx.clone(),
            fee_account: fee_account.clone(),
            result: json_of::<TransactionResult>(&sent["resultXdr"]),
            order: sent["applicationOrder"].as_u64().unwrap(),
            successful: sent["status"] == "SUCCESS",
            hash: sent["txHash"].clone(),
            ledger: sent["ledger"].as_u64().unwrap(),
            closed_at: sent["createdAt"].as_i64().unwrap(),
        }
    }

    fn operations(&self) -> &[Value] {
        self.tx["operations"].as_array().unwrap()
    }

    fn id(&self, operation: usize) -> u64 {
        self.ledger << 32 | self.order << 12 | operation as u64
    }

    /// What every event of it has.
    fn event(&self, kind: &str, id: String) -> Value {
        let (ledger, closed_at, hash) = (self.ledger, closed_at(self.closed_at), &self.hash);
        json!({"type": kind, "id": id, "ledger": ledger, "ledger_closed_at": closed_at, "transaction_hash": hash})
    }

    fn transaction(&self) -> Value {
        let event = self.event("transaction", self.id(0).to_string());
        with(
            event,
            json!({
                "source_account": self.tx["source_account"], "fee_account": self.fee_account,
                "successful": self.successful, "fee_charged": self.result["fee_charged"].as_str().unwrap(),
                "operation_count": self.operations().len(), "memo": memo(&self.tx), "application_order": self.order,
            }),
        )
    }

    /// The payments that its operations were, if it succeeded.
    fn payments(&self) -> Vec<Value> {
        let operations = self.operations().iter().enumerate().filter(|_| self.successful);
        let payment = |(at, operation): (usize, &Value)| {
            let (name, body) = operation["body"].as_object()?.iter().next()?;
            let (currency, amount) = match name.as_str() {
                "payment" => (&body["asset"], &body["amount"]),
                "create_account" => (&Value::Null, &body["starting_balance"]),
                "path_payment_strict_receive" => (&body["dest_asset"], &body["dest_amount"]),
                _ => return None,
            };
            let from = if operation["source_account"].is_null() { &self.tx } else { operation };
            let (from, to, currency) = (&from["source_account"], &body["destination"], asset(currency));
            Some(with(
                self.event("payment", format!("{}-p0", self.id(at))),
                json!({
                    "buyer_account_id": to, "seller_account_id": from, "from": from, "to": to,
                    "asset": currency, "asset_code": code(&currency), "amount": printed(amount), "memo": memo(&self.tx),
                    "timestamp": self.closed_at.to_string(), "ledger_seq_num": self.ledger, "operation": name,
                }),
            ))
        };
        operations.filter_map(payment).collect()
    }
}

const WHOLE_LEDGERS: [(&str, &str); 2] =
    [("getTransactions.mainnet-30820015.json", PUBNET), ("getTransactions.testnet-337272.json", TESTNET)];

#[test]
fn recorded_transactions_payments_and_counts() {
    for (file, network) in WHOLE_LEDGERS {
        let Some((answer, batch)) = recordings::transactions(file, network) else { return };
        let sent: Vec<Sent> = answer["transactions"].as_array().unwrap().iter().map(Sent::of).collect();
        assert_eq!(written(&batch, "transaction"), sent.iter().map(Sent::transaction).collect::<Vec<_>>());
        assert_eq!(written(&batch, "payment"), sent.iter().flat_map(Sent::payments).collect::<Vec<_>>());
        let first = &sent[0];
        let mut ledger = first.event("ledger", format!("{}-ledger", first.ledger));
        ledger.as_object_mut().unwrap().remove("transaction_hash");
        let ledger = with(
            ledger,
            json!({
                "hash": batch.ledger.hash.unwrap().to_string(), "previous_hash": batch.ledger.parent.unwrap().to_string(),
                "transaction_count": sent.len(), "successful_count": sent.iter().filter(|it| it.successful).count(),
                "operation_count": sent.iter().map(|it| it.operations().len()).sum::<usize>(),
            }),
        );
        assert_eq!(written(&batch, "ledger"), [ledger]);
    }
}

#[test]
fn recorded_ledgers() {
    let Some((answer, batches)) = recordings::ledgers("getLedgers.testnet-36233.json", TESTNET) else { return };
    let ledgers = answer["ledgers"].as_array().unwrap();
    let mut previous = None;
    for (batch, ledger) in batches.iter().zip(ledgers) {
        let [event] = &written(batch, "ledger")[..] else { panic!("one for each ledger") };
        assert_eq!(event["id"], format!("{}-ledger", ledger["sequence"]));
        assert_eq!((&event["ledger"], &event["hash"]), (&ledger["sequence"], &ledger["hash"]));
        let seconds = ledger["ledgerCloseTime"].as_str().unwrap().parse().unwrap();
        assert_eq!(event["ledger_closed_at"], closed_at(seconds));
        // The link of the chain.
        if let Some(previous) = previous.replace(event["hash"].clone()) {
            assert_eq!(event["previous_hash"], previous);
        }
        let transactions = written(batch, "transaction");
        let successful = transactions.iter().filter(|transaction| transaction["successful"] == true);
        assert_eq!(event["transaction_count"], transactions.len());
        assert_eq!(event["successful_count"], successful.count());
    }
    assert!(previous.is_some());
}

/// What an asset contract's event means, from its topics and value.
fn movement(topics: &Value, data: &Value) -> Value {
    let topics = topics.as_array().unwrap();
    let name = topics[0]["symbol"].as_str().unwrap();
    let currency = topics.last().unwrap()["string"].as_str().unwrap_or("native");
    let mut fields = json!({"event_name": name, "asset": currency, "asset_code": code(currency)});
    if name != "set_authorized" {
        let amount = data.get("i128").or_else(|| {
            let entries = data["map"].as_array()?;
            entries.iter().find(|entry| entry["key"]["symbol"] == "amount")?["val"].get("i128")
        });
        fields["amount"] = printed(amount.unwrap()).into();
        fields["from"] = topics[1]["address"].clone();
    }
    if name == "transfer" {
        fields["to"] = topics[2]["address"].clone();
    }
    fields
}

/// An event as `getEvents` tells it, as Flow's clients read it.
fn contract_event(said: &Value, topics: &Value, data: &Value) -> Value {
    json!({
        "type": "contract_event", "id": said["id"], "ledger": said["ledger"],
        "ledger_closed_at": said["ledgerClosedAt"], "transaction_hash": said["txHash"],
        "contract_id": said["contractId"], "topics": topics, "data": data, "event_type": said["type"],
        "transaction_index": said["transactionIndex"], "operation_index": said["operationIndex"],
        "in_successful_call": said["inSuccessfulContractCall"],
    })
}

#[test]
fn recorded_contract_events() {
    let (file, network) = WHOLE_LEDGERS[0];
    let Some((_, batch)) = recordings::transactions(file, network) else { return };
    let Some(said) = recordings::recorded("getEvents.mainnet-30820015.xdrjson.json") else { return };
    let event = |said: &Value| {
        let (topics, data) = (&said["topicJson"], &said["valueJson"]);
        with(contract_event(said, topics, data), movement(topics, data))
    };
    let expected: Vec<Value> = said["events"].as_array().unwrap().iter().map(event).collect();
    assert_eq!(written(&batch, "contract_event"), expected);
}

/// A ledger with one transaction, whose contract call emitted these.
fn call(network: &str, ledger: u32, closed_at: i64, order: u32, hash: &str, events: Vec<ContractEvent>) -> LedgerBatch {
    let invoke = Operation {
        source_account: None,
        body: OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
            host_function: HostFunction::UploadContractWasm(Default::default()),
            auth: VecM::default(),
        }),
    };
    let done = InvokeHostFunctionResult::Success(stellar_xdr::Hash([0; 32]));
    let operation = OperationMetaV2 { events: events.try_into().unwrap(), ..Default::default() };
    let meta = TransactionMetaV4 { operations: vec![operation].try_into().unwrap(), ..Default::default() };
    let applied = AppliedTransaction {
        order,
        hash: Hash::from_hex(hash).unwrap(),
        envelope: recordings::envelope(1, Memo::None, vec![invoke]),
        result: recordings::succeeded(vec![OperationResult::OpInner(OperationResultTr::InvokeHostFunction(done))]),
        meta: TransactionMeta::V4(meta),
    };
    recordings::ledger_of(network, ledger, closed_at, vec![applied])
}

/// The example of the protocol: two transfers among others of a call on the test network.
#[test]
fn the_transfers_of_the_protocol_s_example() {
    let Some(answer) = recordings::recorded("getEvents.testnet-3727845-transfers.json") else { return };
    let said = answer["events"].as_array().unwrap();
    let emitted = |said: &Value| {
        let value = |base64: &Value| ScVal::from_xdr_base64(base64.as_str().unwrap(), Limits::none()).unwrap();
        let topics: Vec<ScVal> = said["topic"].as_array().unwrap().iter().map(value).collect();
        let body = ContractEventV0 { topics: topics.try_into().unwrap(), data: value(&said["value"]) };
        ContractEvent {
            ext: ExtensionPoint::V0,
            contract_id: Some(said["contractId"].as_str().unwrap().parse::<ContractId>().unwrap()),
            type_: ContractEventType::Contract,
            body: ContractEventBody::V0(body),
        }
    };
    // The answer has the second and the ninth event of the call; what stood between is nobody's asset.
    let other = ContractEvent { contract_id: Some(ContractId(stellar_xdr::Hash([6; 32]))), ..emitted(&said[0]) };
    let mut events = vec![other; 9];
    events[1] = emitted(&said[0]);
    events[8] = emitted(&said[1]);
    let first = &said[0];
    let closed: jiff::Timestamp = first["ledgerClosedAt"].as_str().unwrap().parse().unwrap();
    let (ledger, order) = (first["ledger"].as_u64().unwrap(), first["transactionIndex"].as_u64().unwrap());
    let hash = first["txHash"].as_str().unwrap();
    let batch = call(TESTNET, ledger as u32, closed.as_second(), order as u32, hash, events);
    let got = written(&batch, "contract_event");
    assert_eq!(got.len(), 9);
    for (said, at) in said.iter().zip([1, 8]) {
        let topics: Vec<Value> = said["topic"].as_array().unwrap().iter().map(json_of::<ScVal>).collect();
        let (topics, data) = (Value::from(topics), json_of::<ScVal>(&said["value"]));
        assert_eq!(got[at], with(contract_event(said, &topics, &data), movement(&topics, &data)));
    }
    // To the letter, what the protocol prints.
    let example = json!({"type": "contract_event", "id": "0016010972359577600-0000000001", "ledger": 3_727_845,
        "ledger_closed_at": "2026-07-21T18:01:10Z",
        "transaction_hash": "a5c9247b77eb04c0d857934a2e988c408167976c8acbdf3d8acf64c44deb3beb",
        "contract_id": "CDLZFC3SYJYDZT7K67VZ75HPJVIEUVNIXF47ZG2FB2RMQQVU2HHGCYSC",
        "data": {"i128": "3000000000"}, "asset_code": "XLM", "asset": "native", "amount": "300.0000000"});
    for (key, value) in example.as_object().unwrap() {
        assert_eq!(&got[1][key], value, "{key}");
    }
    assert_eq!(got[1]["topics"][0], json!({"symbol": "transfer"}));
    // Forged ones name no asset, though they read the same.
    assert_eq!(got[0]["topics"], got[1]["topics"]);
    for key in ["event_name", "asset_code", "asset", "amount", "from", "to"] {
        assert!(got[0].get(key).is_none(), "{key}");
    }
    // Only the true ones are payments.
    assert_eq!(written(&batch, "payment").len(), 2);
}

/// Transfers of two assets inside a swap on the public network, and the payments that they were.
#[test]
fn recorded_transfers_of_a_swap() {
    let Some(answer) = recordings::recorded("getTransaction.mainnet-60014504.xdrjson.json") else { return };
    let said = answer["events"]["contractEventsJson"][0].as_array().unwrap();
    let events: Vec<ContractEvent> = said.iter().map(|said| serde_json::from_value(said.clone()).unwrap()).collect();
    let seconds: i64 = answer["createdAt"].as_str().unwrap().parse().unwrap();
    let ledger = answer["ledger"].as_u64().unwrap();
    let order = answer["applicationOrder"].as_u64().unwrap();
    let hash = answer["txHash"].as_str().unwrap();
    let batch = call(PUBNET, ledger as u32, seconds, order as u32, hash, events);
    let got = written(&batch, "contract_event");
    assert_eq!(got.len(), said.len());
    let mut payments = Vec::new();
    for (got, said) in got.iter().zip(said) {
        let body = &said["body"]["v0"];
        assert_eq!((&got["topics"], &got["data"]), (&body["topics"], &body["data"]));
        assert_eq!((&got["contract_id"], &got["event_type"]), (&said["contract_id"], &said["type_"]));
        let is_transfer = body["topics"][0]["symbol"] == "transfer" && body["topics"][3]["string"].is_string();
        assert_eq!(got.get("asset").is_some(), is_transfer, "{got}");
        if is_transfer {
            let movement = movement(&body["topics"], &body["data"]);
            for (key, value) in movement.as_object().unwrap() {
                assert_eq!(&got[key], value, "{key}");
            }
            let id = format!("{}-p{}", ledger << 32 | order << 12, payments.len());
            let (from, to) = (&movement["from"], &movement["to"]);
            payments.push(json!({
                "type": "payment", "id": id, "ledger": ledger, "ledger_closed_at": closed_at(seconds),
                "transaction_hash": hash, "buyer_account_id": to, "seller_account_id": from, "from": from, "to": to,
                "asset": movement["asset"], "asset_code": movement["asset_code"], "amount": movement["amount"],
                "memo": "", "timestamp": seconds.to_string(), "ledger_seq_num": ledger,
                "operation": "invoke_host_function",
            }));
        }
    }
    assert!(payments.len() >= 2);
    assert_eq!(written(&batch, "payment"), payments);
}

/// Whether a price as it stands in the text is `n / d` to the last digit written. In whole numbers.
fn is_quotient(price: &str, n: i128, d: i128) -> bool {
    let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().unwrap();
    (digits * d - n * 10i128.pow(fraction.len() as u32)).abs() * 2 <= d
}

#[test]
fn recorded_trades() {
    const ORDER: u32 = 3;
    let file = "transaction.mainnet-trades.horizon.json";
    let Some((record, batch)) = recordings::horizon_transaction(file, PUBNET, ORDER) else { return };
    let (result, envelope) =
        (json_of::<TransactionResult>(&record["result_xdr"]), json_of::<TransactionEnvelope>(&record["envelope_xdr"]));
    let (tx, _) = inner(&envelope);
    let operation = &tx["operations"][0];
    let closed: jiff::Timestamp = record["created_at"].as_str().unwrap().parse().unwrap();
    let sent = Sent {
        tx: tx.clone(),
        fee_account: record["fee_account"].clone(),
        result: json!({"fee_charged": record["fee_charged"]}),
        order: ORDER.into(),
        successful: record["successful"] == true,
        hash: record["hash"].clone(),
        ledger: record["ledger"].as_u64().unwrap(),
        closed_at: closed.as_second(),
    };
    // Horizon says the same of the transaction as its XDR.
    assert_eq!(sent.tx["source_account"], record["source_account"]);
    assert_eq!(sent.operations().len(), record["operation_count"].as_u64().unwrap() as usize);
    assert_eq!(written(&batch, "transaction"), [sent.transaction()]);
    assert_eq!(written(&batch, "payment"), sent.payments());

    let buyer = if operation["source_account"].is_null() { tx } else { operation };
    let buyer = &buyer["source_account"];
    let inner = &result["result"]["tx_fee_bump_inner_success"]["result"]["result"]["tx_success"][0];
    let atoms = inner["op_inner"]["path_payment_strict_receive"]["success"]["offers"].as_array().unwrap();
    let got: Vec<String> = texts(&batch).into_iter().filter(|text| text.starts_with(r#"{"type":"trade""#)).collect();
    assert_eq!(got.len(), atoms.len());
    let (mut pools, mut offers) = (0, 0);
    for (at, (text, atom)) in got.iter().zip(atoms).enumerate() {
        let (form, atom) = atom.as_object().unwrap().iter().next().unwrap();
        let number = |key: &str| -> i128 { atom[key].as_str().unwrap().parse().unwrap() };
        let (seller, maker) = match form.as_str() {
            "order_book" => {
                offers += 1;
                (&atom["seller_id"], json!({"orderbook_id": atom["offer_id"].as_str().unwrap()}))
            }
            "liquidity_pool" => {
                pools += 1;
                (&atom["liquidity_pool_id"], json!({"liquidity_pool": atom["liquidity_pool_id"]}))
            }
            other => panic!("{other}"),
        };
        let mut value: Value = serde_json::from_str(text).unwrap();
        assert!(value["price"].is_number(), "{text}");
        let price = text.split_once(r#""price":"#).unwrap().1.split(',').next().unwrap();
        assert!(is_quotient(price, number("amount_bought"), number("amount_sold")), "{text}");
        value.as_object_mut().unwrap().remove("price");
        let expected = json!({
            "seller_id": seller, "buyer_id": buyer, "seller_account_id": seller, "buyer_account_id": buyer,
            "sell_asset": asset(&atom["asset_sold"]), "buy_asset": asset(&atom["asset_bought"]),
            "sell_amount": printed(&atom["amount_sold"]), "buy_amount": printed(&atom["amount_bought"]),
            "price_r": {"n": atom["amount_bought"], "d": atom["amount_sold"]},
            "sell_asset_details": details(&atom["asset_sold"]), "buy_asset_details": details(&atom["asset_bought"]),
            "timestamp": sent.closed_at.to_string(),
        });
        let event = sent.event("trade", format!("{}-t{at}", sent.id(0)));
        assert_eq!(value, with(with(event, expected), maker));
    }
    assert_eq!((offers, pools), (2, 3));
}
