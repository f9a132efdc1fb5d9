//! What transactions ask for, and how they are written.

use serde_json::{Map, Value, json};

use super::amount::{Amount, Asset, text};
use super::world::{Id, Index, World, code, hex};
use crate::source::xrpl::currency::address;

/// Take part of a payment rather than fail.
pub(super) const PARTIAL: u32 = 0x0002_0000;
/// What an offer does not get at once, it does not want.
pub(super) const IMMEDIATE: u32 = 0x0002_0000;
/// All at once, or nothing.
pub(super) const FILL_OR_KILL: u32 = 0x0004_0000;

/// One transaction's request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Payment(Payment),
    Offer {
        pays: Amount,
        gets: Amount,
        flags: u32,
        /// An older offer that it replaces.
        replaces: Option<u32>,
    },
    Cancel {
        sequence: u32,
    },
    Trust {
        asset: Asset,
        /// In whole tokens.
        limit: i128,
    },
    CheckCreate {
        to: Id,
        send_max: Amount,
    },
    CheckCash {
        check: Index,
        amount: Amount,
        /// As much as there is, but no less than the amount.
        flexible: bool,
    },
    CheckCancel {
        check: Index,
    },
    Delete {
        to: Id,
    },
}

/// A payment and the way it takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Payment {
    pub to: Id,
    pub amount: Amount,
    /// What it may cost, where that is not the amount itself.
    pub send_max: Option<Amount>,
    /// Deliver as much as `send_max` buys.
    pub partial: bool,
    pub way: Way,
}

/// How one asset becomes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It stays what it is.
    Direct,
    /// Through the offers of one book.
    Book,
    /// Through two books with XRP between them.
    Bridge,
    /// Through the market maker.
    Pool,
}

/// A transaction before it is carried out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub account: Id,
    pub action: Action,
    pub destination_tag: Option<u32>,
    pub memo: Option<String>,
}

impl Draft {
    pub fn new(account: Id, action: Action) -> Self {
        Self { account, action, destination_tag: None, memo: None }
    }

    /// Drops that it costs.
    pub fn fee(&self) -> i128 {
        // The real network asks for as much as the reserve of an entry.
        if matches!(self.action, Action::Delete { .. }) { super::state::RESERVE_STEP } else { super::ledger::BASE_FEE }
    }

    /// The transaction's fields as API version 2 names them, but for its signature.
    pub fn fields(&self, world: &World, sequence: u32, last_ledger: u32) -> Map<String, Value> {
        let mut fields = self.action.fields(world);
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("Account", address(&self.account).into());
        set("Fee", self.fee().to_string().into());
        set("Sequence", sequence.into());
        set("LastLedgerSequence", last_ledger.into());
        set("TransactionType", self.action.kind().into());
        if let Some(tag) = self.destination_tag {
            set("DestinationTag", tag.into());
        }
        if let Some(memo) = &self.memo {
            set("Memos", json!([{"Memo": {"MemoData": hex(memo.as_bytes()), "MemoType": hex(b"text/plain")}}]));
        }
        fields
    }
}

impl Action {
    pub fn kind(&self) -> &'static str {
        match self {
            Action::Payment(_) => "Payment",
            Action::Offer { .. } => "OfferCreate",
            Action::Cancel { .. } => "OfferCancel",
            Action::Trust { .. } => "TrustSet",
            Action::CheckCreate { .. } => "CheckCreate",
            Action::CheckCash { .. } => "CheckCash",
            Action::CheckCancel { .. } => "CheckCancel",
            Action::Delete { .. } => "AccountDelete",
        }
    }

    fn fields(&self, world: &World) -> Map<String, Value> {
        let fields = match self {
            Action::Payment(payment) => payment.fields(world),
            Action::Offer { pays, gets, flags, replaces } => {
                let mut fields =
                    json!({"Flags": flags, "TakerGets": world.json(*gets), "TakerPays": world.json(*pays)});
                if let Some(sequence) = replaces {
                    fields["OfferSequence"] = (*sequence).into();
                }
                fields
            }
            Action::Cancel { sequence } => json!({"Flags": 0, "OfferSequence": sequence}),
            Action::Trust { asset, limit } => {
                let issuer = address(&world.issuer(*asset).unwrap_or_default());
                let limit = json!({"currency": code(*asset), "issuer": issuer, "value": text(*limit, 0)});
                json!({"Flags": 0x0002_0000, "LimitAmount": limit})
            }
            Action::CheckCreate { to, send_max } => {
                json!({"Destination": address(to), "Flags": 0, "SendMax": world.json(*send_max)})
            }
            Action::CheckCash { check, amount, flexible } => {
                let name = if *flexible { "DeliverMin" } else { "Amount" };
                json!({"CheckID": hex(check), "Flags": 0, name: world.json(*amount)})
            }
            Action::CheckCancel { check } => json!({"CheckID": hex(check), "Flags": 0}),
            Action::Delete { to } => json!({"Destination": address(to), "Flags": 0}),
        };
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

impl Payment {
    fn fields(&self, world: &World) -> Value {
        let flags = if self.partial { PARTIAL } else { 0 };
        let mut fields =
            json!({"DeliverMax": world.json(self.amount), "Destination": address(&self.to), "Flags": flags});
        if let Some(send_max) = self.send_max {
            fields["SendMax"] = world.json(send_max);
        }
        if self.way == Way::Bridge {
            // The paths that the real network's path finder would name here.
            fields["Paths"] = json!([[{"currency": "XRP", "type": 16, "type_hex": "0000000000000010"}]]);
        }
        fields
    }
}
