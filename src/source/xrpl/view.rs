//! A transaction as the mapping sees it: what of it is read, and what its metadata shows.

use super::amounts::Exact;
use super::assets::{AssetId, Quantity, issuer_of};
use super::decode::{Applied, Reason};
use super::json::{Fields, text};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The account of nobody, which nothing affects.
const ZERO_ACCOUNT: &str = "rrrrrrrrrrrrrrrrrrrrrhoLvTp";

/// Every field that names an account.
pub const ACCOUNT_FIELDS: [&str; 25] = [
    "Account",
    "Owner",
    "Destination",
    "Issuer",
    "Authorize",
    "Unauthorize",
    "RegularKey",
    "NFTokenMinter",
    "EmitCallback",
    "Holder",
    "Delegate",
    "OtherChainSource",
    "OtherChainDestination",
    "AttestationSignerAccount",
    "AttestationRewardAccount",
    "LockingChainDoor",
    "IssuingChainDoor",
    "Subject",
    "Borrower",
    "Counterparty",
    "Sponsor",
    "HighSponsor",
    "LowSponsor",
    "CounterpartySponsor",
    "Sponsee",
];

/// One transaction.
pub struct View<'a> {
    /// What it is.
    pub applied: &'a Applied,
    /// Its own fields.
    pub fields: Fields<'a>,
    /// `TransactionType`
    pub kind: Cow<'a, str>,
    /// Who sent it.
    pub account: Cow<'a, str>,
    /// What was delivered, as the metadata tells it.
    pub delivered: Option<&'a RawValue>,
    /// What it changed.
    pub nodes: Vec<Node<'a>>,
}

/// An entry of the ledger that a transaction changed.
pub struct Node<'a> {
    /// How.
    pub change: Change,
    /// `LedgerEntryType`
    pub entry: Cow<'a, str>,
    /// What it is: `NewFields` of a created one, else `FinalFields`.
    pub fields: Fields<'a>,
    /// What of it was otherwise before.
    pub previous: Option<Fields<'a>>,
}

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Created,
    /// It is another now.
    Modified,
    /// It is gone.
    Deleted,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(rename = "AffectedNodes", borrow, default)]
    nodes: Vec<Wrapped<'a>>,
    #[serde(borrow)]
    delivered_amount: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wrapped<'a> {
    #[serde(borrow)]
    created_node: Option<Entry<'a>>,
    #[serde(borrow)]
    modified_node: Option<Entry<'a>>,
    #[serde(borrow)]
    deleted_node: Option<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    ledger_entry_type: Cow<'a, str>,
    #[serde(borrow)]
    new_fields: Option<Fields<'a>>,
    #[serde(borrow)]
    final_fields: Option<Fields<'a>>,
    #[serde(borrow)]
    previous_fields: Option<Fields<'a>>,
}

impl<'a> View<'a> {
    /// Looks at a transaction.
    pub fn new(applied: &'a Applied) -> Result<View<'a>, Reason> {
        let fields = Fields::of(&applied.tx_json).ok_or("a transaction that is no object")?;
        let of_transaction = |name: &str| format!("transaction {} without {name}", applied.hash);
        let meta: Meta = serde_json::from_str(&applied.meta).map_err(|error| format!("metadata: {error}"))?;
        let node = |wrapped: Wrapped<'a>| {
            let (change, entry) = match wrapped {
                Wrapped { created_node: Some(entry), .. } => (Change::Created, entry),
                Wrapped { modified_node: Some(entry), .. } => (Change::Modified, entry),
                Wrapped { deleted_node: Some(entry), .. } => (Change::Deleted, entry),
                // A change of a kind that is still to be invented shows nothing that we read.
                _ => return None,
            };
            let fields = if change == Change::Created { entry.new_fields } else { entry.final_fields };
            Some(Node {
                change,
                entry: entry.ledger_entry_type,
                fields: fields.unwrap_or_default(),
                previous: entry.previous_fields,
            })
        };
        Ok(View {
            applied,
            kind: fields.text("TransactionType").ok_or_else(|| of_transaction("TransactionType"))?,
            account: fields.text("Account").ok_or_else(|| of_transaction("Account"))?,
            delivered: meta.delivered_amount,
            nodes: meta.nodes.into_iter().filter_map(node).collect(),
            fields,
        })
    }

    /// Whether it did what it was meant to do.
    pub fn successful(&self) -> bool {
        &*self.applied.result == "tesSUCCESS"
    }

    /// Tells every account that the metadata shows as affected; some more than once.
    pub fn affected(&self, mut tell: impl FnMut(&str)) {
        let mut tell = |address: &str| {
            if !address.is_empty() && address != ZERO_ACCOUNT {
                tell(address);
            }
        };
        for (name, value) in self.nodes.iter().flat_map(|node| &node.fields.0) {
            match &**name {
                "LowLimit" | "HighLimit" | "TakerPays" | "TakerGets" => match Quantity::of(value).map(|it| it.asset) {
                    Some(AssetId::Token { issuer, .. }) => tell(&issuer),
                    Some(AssetId::Multi(issuance)) => issuer_of(&issuance).iter().for_each(|issuer| tell(issuer)),
                    Some(AssetId::Xrp) | None => {}
                },
                "MPTokenIssuanceID" => {
                    text(value).and_then(|issuance| issuer_of(&issuance)).iter().for_each(|issuer| tell(issuer));
                }
                name if ACCOUNT_FIELDS.contains(&name) => text(value).iter().for_each(|address| tell(address)),
                _ => {}
            }
        }
    }

    /// The offers that a book's clients are told about: what an offer sells, what it asks for, and its domain.
    ///
    /// As servers do, of a changed offer its former sides: one that only moved in its directory is not told.
    pub fn touched_offers(&self) -> impl Iterator<Item = (AssetId, AssetId, Option<Cow<'a, str>>)> {
        self.nodes.iter().filter(|node| node.entry == "Offer").filter_map(|node| {
            let sides = if node.change == Change::Modified { node.previous.as_ref()? } else { &node.fields };
            let side = |name| Quantity::of(sides.get(name)?);
            Some((side("TakerGets")?.asset, side("TakerPays")?.asset, node.fields.text("DomainID")))
        })
    }

    /// The resting offers that it took, wholly or in part.
    pub fn consumed_offers(&self) -> impl Iterator<Item = Consumed<'a>> {
        let cancels = self.fields.number("OfferSequence");
        self.nodes.iter().filter(|node| node.entry == "Offer" && node.change != Change::Created).filter_map(
            move |node| {
                let maker = node.fields.text("Account")?;
                let sequence = node.fields.number("Sequence")?;
                if node.change == Change::Deleted && maker == self.account && cancels == Some(sequence) {
                    return None;
                }
                let previous = node.previous.as_ref()?;
                let moved = |name| {
                    let (before, after) = (Quantity::of(previous.get(name)?)?, Quantity::of(node.fields.get(name)?)?);
                    (before.asset == after.asset).then(|| (before.asset, before.value.minus(after.value)))
                };
                Some(Consumed {
                    sold: moved("TakerGets")?,
                    paid: moved("TakerPays")?,
                    domain: node.fields.text("DomainID"),
                    maker,
                    sequence,
                })
            },
        )
    }
}

/// A resting offer that a transaction took, wholly or in part.
pub struct Consumed<'a> {
    /// Whose offer.
    pub maker: Cow<'a, str>,
    /// Its number.
    pub sequence: u64,
    /// What the maker gave.
    pub sold: (AssetId, Exact),
    /// What the maker got.
    pub paid: (AssetId, Exact),
    /// The permissioned domain of the offer.
    pub domain: Option<Cow<'a, str>>,
}
