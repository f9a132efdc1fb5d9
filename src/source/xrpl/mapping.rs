//! A closed ledger → its events, in ledger order.

use super::assets::{AssetId, Quantity};
use super::book_changes::Tally;
use super::decode::{Applied, ClosedLedger, Reason};
use super::fees::Fees;
use super::json::{Fields, text};
use super::names::Names;
use super::native;
use super::view::{Change, View};
use crate::event::{Amount, Body, Event, EventKind, Key, LedgerFacts, Native, Payment, Place, Trade, Transaction};
use crate::source::subjects::Subjects;

/// Finds the number of a result and what is said about it.
pub type Results<'a> = &'a dyn Fn(&str) -> (i32, &'static str);

/// Every event of a ledger: its own first, then the changes of its books, then its transactions with what they
/// moved. `fees` are those before the ledger and become those after it.
pub fn events(ledger: &ClosedLedger, fees: &mut Fees, results: Results<'_>) -> Result<Vec<Event>, Reason> {
    let mut names = Names::default();
    let mut tally = Tally::default();
    let mut of_transactions = Vec::new();
    let mut successful_count = 0;
    for applied in &ledger.transactions {
        let view = View::new(applied)?;
        successful_count += u32::from(view.successful());
        if view.kind == "SetFee" {
            fees.learn(&view);
        }
        tally.add(&view);
        of_transactions.push(transaction(ledger.index, &view, results, &mut names));
        of_transactions.extend(payment(ledger.index, &view, &mut names));
        trades(ledger.index, &view, &mut names, &mut of_transactions);
    }
    let transaction_count = ledger.transactions.len() as u32;
    // Each transaction of this ledger is one operation.
    let facts = LedgerFacts { transaction_count, successful_count, operation_count: transaction_count };
    let changes = tally.into_changes();
    let bytes = changes.heap_bytes();
    let mut events = Vec::with_capacity(of_transactions.len() + 2);
    for (kind, body, native) in [
        (EventKind::Ledger, Body::Ledger(facts), None),
        (EventKind::BookChanges, Body::BookChanges, Some(Native::new(changes, bytes))),
    ] {
        events.push(Event {
            id: format!("{}-{}", ledger.index, kind.name()).into(),
            kind,
            place: Place::new(0, kind, 0),
            transaction_hash: None,
            subjects: Vec::new(),
            assets: Vec::new(),
            body,
            native,
        });
    }
    events.append(&mut of_transactions);
    debug_assert!(events.windows(2).all(|pair| pair[0].place < pair[1].place), "two events at one place");
    Ok(events)
}

/// The place of an event of a transaction; the ledger's own events are at 0.
fn place(applied: &Applied, kind: EventKind, sub: u64) -> Place {
    Place::new(applied.index.saturating_add(1), kind, sub)
}

fn transaction(ledger: u32, view: &View<'_>, results: Results<'_>, names: &mut Names) -> Event {
    let applied = view.applied;
    let mut subjects = Subjects::default();
    subjects.add(names.account_key(&view.account));
    if let Some(destination) = view.fields.text("Destination") {
        subjects.add(names.account_key(&destination));
    }
    let mut affected: Vec<Key> = Vec::new();
    view.affected(|address| {
        subjects.add(names.account_key(address));
        affected.push(names.affected_key(address).clone());
    });
    affected.iter().for_each(|key| subjects.add(key));
    if view.successful() {
        for (gets, pays, domain) in view.touched_offers() {
            // The reverse of what the names say.
            subjects.add(names.book_key(&gets, &pays, domain.as_deref()));
        }
    }
    let payer = view.fields.text("Delegate").unwrap_or_else(|| view.account.clone());
    let body = Transaction {
        source_account: names.name(&view.account),
        fee_account: names.name(&payer),
        successful: view.successful(),
        fee_charged: Amount::from_units(applied.fee.into(), 0),
        operation_count: 1,
        memo: memo(&view.fields),
        application_order: applied.index.saturating_add(1),
    };
    let (result_code, result_message) = results(&applied.result);
    let native = native::Transaction {
        hash: applied.hash.to_string().to_uppercase().into(),
        tx_json: applied.tx_json.clone(),
        deliver_max: applied.deliver_max.clone(),
        owner_funds: applied.owner_funds.clone(),
        meta: applied.meta.clone(),
        result: applied.result.clone(),
        result_code,
        result_message,
    };
    let bytes = size_of::<native::Transaction>() + native.heap_bytes();
    Event {
        id: format!("{ledger}-{}", applied.index).into(),
        kind: EventKind::Transaction,
        place: place(applied, EventKind::Transaction, 0),
        transaction_hash: Some(applied.hash),
        subjects: subjects.into_keys(),
        assets: Vec::new(),
        body: Body::Transaction(Box::new(body)),
        native: Some(Native::new(native, bytes)),
    }
}

/// What a transaction paid, if it is one that pays.
fn payment(ledger: u32, view: &View<'_>, names: &mut Names) -> Option<Event> {
    if !view.successful() {
        return None;
    }
    let (from, to, operation) = match &*view.kind {
        "Payment" => (view.account.clone(), view.fields.text("Destination")?, "payment"),
        "CheckCash" => {
            // Who wrote the check stands in the check alone, which is gone now.
            let check = view.nodes.iter().find(|node| node.entry == "Check" && node.change == Change::Deleted)?;
            (check.fields.text("Account")?, view.account.clone(), "check_cash")
        }
        "AccountDelete" => (view.account.clone(), view.fields.text("Destination")?, "account_delete"),
        _ => return None,
    };
    // A payment to oneself exchanges one asset for another: that is trades.
    if from == to {
        return None;
    }
    let delivered = view.delivered.and_then(Quantity::of);
    // What was delivered may be unknown; of what is still known.
    let sent = || ["DeliverMax", "Amount"].into_iter().find_map(|name| Quantity::of(view.fields.get(name)?));
    let asset = match &delivered {
        Some(delivered) => delivered.asset.clone(),
        None => sent().map_or(AssetId::Xrp, |sent| sent.asset),
    };
    let amount = delivered.map(|delivered| delivered.value.amount(asset.decimals()));
    let mut subjects = Subjects::default();
    subjects.add(names.account_key(&from));
    subjects.add(names.account_key(&to));
    let body = Payment {
        from: names.name(&from),
        to: names.name(&to),
        // The number of a customer at the receiver: the same as the id inside a muxed address.
        from_muxed_id: None,
        to_muxed_id: view.fields.number("DestinationTag").map(|tag| tag.to_string().into()),
        asset: names.asset(&asset),
        amount: amount.clone(),
        memo: memo(&view.fields),
        operation: Some(operation),
    };
    Some(Event {
        id: format!("{ledger}-{}-p0", view.applied.index).into(),
        kind: EventKind::Payment,
        place: place(view.applied, EventKind::Payment, 0),
        transaction_hash: Some(view.applied.hash),
        subjects: subjects.into_keys(),
        assets: vec![names.asset_keys(&asset, amount)],
        body: Body::Payment(Box::new(body)),
        native: None,
    })
}

/// The resting offers that a transaction took, each a trade.
fn trades(ledger: u32, view: &View<'_>, names: &mut Names, events: &mut Vec<Event>) {
    for (sub, offer) in (0..).zip(view.consumed_offers()) {
        let ((sold, sold_units), (paid, paid_units)) = (&offer.sold, &offer.paid);
        let mut subjects = Subjects::default();
        subjects.add(names.account_key(&offer.maker));
        subjects.add(names.account_key(&view.account));
        let sold_amount = sold_units.amount(sold.decimals());
        let bought_amount = paid_units.amount(paid.decimals());
        let body = Trade {
            seller: names.name(&offer.maker),
            buyer: names.name(&view.account),
            sold: names.asset(sold),
            sold_amount: sold_amount.clone(),
            bought: names.asset(paid),
            bought_amount: bought_amount.clone(),
            price: paid_units.fraction(sold_units),
            offer: Some(offer.sequence.to_string().into()),
            pool: None,
        };
        events.push(Event {
            id: format!("{ledger}-{}-t{sub}", view.applied.index).into(),
            kind: EventKind::Trade,
            place: place(view.applied, EventKind::Trade, sub),
            transaction_hash: Some(view.applied.hash),
            subjects: subjects.into_keys(),
            assets: vec![names.asset_keys(sold, sold_amount), names.asset_keys(paid, bought_amount)],
            body: Body::Trade(Box::new(body)),
            native: None,
        });
    }
}

/// The first memo: as text where its bytes are one, else in hex as it stands.
fn memo(fields: &Fields<'_>) -> Option<Box<str>> {
    let memos: Vec<Fields> = serde_json::from_str(fields.get("Memos")?.get()).ok()?;
    let memo = Fields::of(memos.first()?.get("Memo")?.get())?;
    let hex = memo.get("MemoData").and_then(text)?;
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
    let plain = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Some(plain.filter(|text| !text.contains('\0')).map_or_else(|| hex.into(), Into::into))
}

#[cfg(test)]
mod tests;
