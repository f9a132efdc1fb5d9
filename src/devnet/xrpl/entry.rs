//! The entries of the ledger's state, and how they are shown.

use serde_json::{Map, Value, json};

use super::amount::{Amount, Asset, text};
use super::world::{Id, Index, World, account_index, amm_index, code, directory_index, hex, line_balance, scale};
use super::world::{TINY, check_index, currency, offer_index};
use crate::source::xrpl::currency::address;

/// An entry with the transaction that last changed it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub body: Body,
    /// Hash and ledger. Directories do not tell it, and the first ledger's entries have none.
    pub changed: Option<([u8; 32], u32)>,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Account(Account),
    Line(Line),
    Offer(Offer),
    Check(Check),
    /// The list of what an account owns.
    Owned {
        owner: Id,
        count: u32,
    },
    /// The offers of a book with one rate.
    Rate {
        pays: Asset,
        gets: Asset,
        rate: u64,
        count: u32,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Account {
    pub id: Id,
    pub drops: i128,
    pub sequence: u32,
    pub flags: u32,
    /// Entries that it must keep a reserve for.
    pub owned: u32,
    /// Whether it is the market maker's.
    pub pool: bool,
}

/// What a holder has of a token, and how much it would take.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub holder: Id,
    pub asset: Asset,
    /// As the holder sees it, never below 0.
    pub units: i128,
    /// In whole tokens.
    pub limit: i128,
    /// Whether the holder is the market maker.
    pub pool: bool,
}

/// What rests in an order book.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    pub account: Id,
    pub sequence: u32,
    /// What who takes the offer pays, as far as it is left.
    pub pays: Amount,
    /// What who takes the offer gets, as far as it is left.
    pub gets: Amount,
    /// The rate at which it was made; it stays.
    pub rate: u64,
    /// Older offers of one rate come first.
    pub order: u64,
}

/// A promise to pay that the destination can cash.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    pub account: Id,
    pub destination: Id,
    pub sequence: u32,
    pub send_max: Amount,
}

/// Flags of trust lines, for the low and the high side.
const RESERVE: [u32; 2] = [0x0001_0000, 0x0002_0000];
const NO_RIPPLE: [u32; 2] = [0x0010_0000, 0x0020_0000];
const POOL_LINE: u32 = 0x0100_0000;

impl Body {
    pub fn kind(&self) -> &'static str {
        match self {
            Body::Account(_) => "AccountRoot",
            Body::Line(_) => "RippleState",
            Body::Offer(_) => "Offer",
            Body::Check(_) => "Check",
            Body::Owned { .. } | Body::Rate { .. } => "DirectoryNode",
        }
    }

    /// Whether it tells which transaction changed it last.
    pub fn is_threaded(&self) -> bool {
        !matches!(self, Body::Owned { .. } | Body::Rate { .. })
    }

    pub fn index(&self, world: &World) -> Index {
        match self {
            Body::Account(account) => account_index(&account.id),
            Body::Line(line) => world.line_index(&line.holder, line.asset),
            Body::Offer(offer) => offer_index(&offer.account, offer.sequence),
            Body::Check(check) => check_index(&check.account, check.sequence),
            Body::Owned { owner, .. } => directory_index(owner),
            Body::Rate { pays, gets, rate, .. } => rate_index(world, (*pays, *gets), *rate),
        }
    }

    /// Its fields, without its kind and without who changed it.
    pub fn fields(&self, world: &World) -> Map<String, Value> {
        let fields = match self {
            Body::Account(account) => account.fields(world),
            Body::Line(line) => line.fields(world),
            Body::Offer(offer) => offer.fields(world),
            Body::Check(check) => json!({
                "Account": address(&check.account), "Destination": address(&check.destination),
                "DestinationNode": "0", "Flags": 0, "OwnerNode": "0", "Sequence": check.sequence,
                "SendMax": world.json(check.send_max),
            }),
            Body::Owned { owner, .. } => {
                json!({"Flags": 0, "Owner": address(owner), "RootIndex": hex(&directory_index(owner))})
            }
            Body::Rate { pays, gets, rate, .. } => {
                let issuer = |asset| hex(&world.issuer(asset).unwrap_or_default());
                json!({
                    "ExchangeRate": format!("{rate:x}"), "Flags": 0,
                    "RootIndex": hex(&rate_index(world, (*pays, *gets), *rate)),
                    "TakerGetsCurrency": hex(&currency(*gets)), "TakerGetsIssuer": issuer(*gets),
                    "TakerPaysCurrency": hex(&currency(*pays)), "TakerPaysIssuer": issuer(*pays),
                })
            }
        };
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// The accounts that stand in its fields: whoever is affected when it changes.
    pub fn accounts(&self, world: &World) -> Vec<Id> {
        match self {
            Body::Account(account) => vec![account.id],
            Body::Line(line) => [Some(line.holder), world.issuer(line.asset)].into_iter().flatten().collect(),
            Body::Offer(offer) => {
                let issuers = [world.issuer(offer.pays.asset), world.issuer(offer.gets.asset)];
                [Some(offer.account)].into_iter().chain(issuers).flatten().collect()
            }
            Body::Check(check) => vec![check.account, check.destination],
            Body::Owned { owner, .. } => vec![*owner],
            Body::Rate { .. } => Vec::new(),
        }
    }
}

impl Entry {
    /// It whole, as methods that show entries do.
    pub fn shown(&self, world: &World) -> Map<String, Value> {
        let mut fields = self.body.fields(world);
        fields.insert("LedgerEntryType".to_owned(), self.body.kind().into());
        fields.insert("index".to_owned(), hex(&self.body.index(world)).into());
        if self.body.is_threaded() {
            fields.extend(self.changed_fields());
        }
        fields
    }

    /// Which transaction changed it last.
    pub fn changed_fields(&self) -> Map<String, Value> {
        let (hash, ledger) = self.changed.unwrap_or_default();
        Map::from_iter([
            ("PreviousTxnID".to_owned(), hex(&hash).into()),
            ("PreviousTxnLgrSeq".to_owned(), ledger.into()),
        ])
    }
}

impl Account {
    /// One that owns nothing but its XRP.
    pub fn new(id: Id, drops: i128, sequence: u32) -> Self {
        Self { id, drops, sequence, flags: 0, owned: 0, pool: false }
    }

    fn fields(&self, world: &World) -> Value {
        let mut fields = json!({
            "Account": address(&self.id), "Balance": self.drops.to_string(), "Flags": self.flags,
            "OwnerCount": self.owned, "Sequence": self.sequence,
        });
        if self.pool {
            fields["AMMID"] = hex(&amm_index(world, TINY)).into();
        }
        fields
    }
}

impl Line {
    /// Whether the holder is the side called high, and not the one called low.
    pub fn holder_is_high(&self, world: &World) -> bool {
        world.issuer(self.asset).is_some_and(|issuer| self.holder > issuer)
    }

    /// The balance as the low side sees it.
    fn low_units(&self, world: &World) -> i128 {
        if self.holder_is_high(world) { -self.units } else { self.units }
    }

    fn fields(&self, world: &World) -> Value {
        let high = self.holder_is_high(world);
        let issuer = world.issuer(self.asset).unwrap_or_default();
        let limit = |account: &Id, limit: i128| json!({"currency": code(self.asset), "issuer": address(account), "value": text(limit, 0)});
        let (holders, issuers) = (limit(&self.holder, self.limit), limit(&issuer, 0));
        let (low, high_limit) = if high { (issuers, holders) } else { (holders, issuers) };
        let side = usize::from(high);
        let flags = RESERVE[side] | if self.pool { POOL_LINE } else { NO_RIPPLE[side] };
        json!({
            "Balance": line_balance(self.asset, self.low_units(world)), "Flags": flags,
            "HighLimit": high_limit, "HighNode": "0", "LowLimit": low, "LowNode": "0",
        })
    }

    /// The line as one of its two sides is told about it.
    pub fn peer_view(&self, world: &World, holder: bool) -> Value {
        let peer = if holder { world.issuer(self.asset).unwrap_or_default() } else { self.holder };
        let units = if holder { self.units } else { -self.units };
        let limits = (text(self.limit, 0), "0".to_owned());
        let (limit, limit_peer) = if holder { limits } else { (limits.1, limits.0) };
        let no_ripple = if holder { "no_ripple" } else { "no_ripple_peer" };
        let mut view = json!({
            "account": address(&peer), "balance": text(units, scale(self.asset)), "currency": code(self.asset),
            "limit": limit, "limit_peer": limit_peer, "no_ripple": false, "no_ripple_peer": false,
            "quality_in": 0, "quality_out": 0,
        });
        view[no_ripple] = (!self.pool).into();
        view
    }
}

impl Offer {
    fn fields(&self, world: &World) -> Value {
        json!({
            "Account": address(&self.account), "BookNode": "0", "Flags": 0, "OwnerNode": "0", "Sequence": self.sequence,
            "BookDirectory": hex(&rate_index(world, (self.pays.asset, self.gets.asset), self.rate)),
            "TakerGets": world.json(self.gets), "TakerPays": world.json(self.pays),
        })
    }
}

/// Where the offers of a book with one rate are listed.
pub(super) fn rate_index(world: &World, (pays, gets): (Asset, Asset), rate: u64) -> Index {
    let base = world.book_base(pays, gets);
    let rate = rate.to_be_bytes();
    std::array::from_fn(|at| if at < base.len() { base[at] } else { rate[at - base.len()] })
}
