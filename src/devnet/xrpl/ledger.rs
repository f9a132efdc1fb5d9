//! Closes a ledger: transactions one after the other, their metadata, the header, the hash.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha512};

use super::action::{Action, Draft};
use super::amount::{Amount, XRP, text};
use super::changes::book_changes;
use super::engine::{Outcome, apply};
use super::entry::Entry;
use super::genesis::{TOTAL_DROPS, genesis};
use super::metadata::{Told, Trade, tell};
use super::state::{Entries, State};
use super::traffic::{Planner, Traffic};
use super::world::{Id, Index, World, half, hex, scale};
use crate::source::xrpl::currency::address;

/// What a transaction costs, in drops.
pub(super) const BASE_FEE: i128 = 10;

/// Number of the first ledger. Not 1, so that "before the beginning" can be asked for, and so high that the first
/// visitors may leave.
pub(super) const FIRST: u32 = 1_000;

/// A transaction is good for so many ledgers.
const GOOD_FOR: u32 = 20;

/// Seconds from 1970 to the beginning of the protocol's time.
pub(super) const EPOCH: u64 = 946_684_800;

/// What a ledger holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Everything that happens on a network, of this many broker events or a few more.
    Mixed {
        /// How many.
        events: usize,
    },
    /// Nothing but so many payments, to each account in turn.
    Payments {
        /// How many.
        count: usize,
    },
}

/// A closed ledger, ready for answers.
pub(super) struct Ledger {
    pub index: u32,
    pub hash: [u8; 32],
    pub parent_hash: [u8; 32],
    /// Seconds since 2000.
    pub close_time: u64,
    pub parent_close_time: u64,
    pub total_drops: i128,
    /// A digest of the state.
    pub account_hash: [u8; 32],
    /// A digest of the transactions; zeros if there are none.
    pub transaction_hash: [u8; 32],
    /// In the order of execution.
    pub transactions: Vec<Transaction>,
    /// Their places in the order of their hashes.
    pub by_hash: Vec<usize>,
    /// The list of `book_changes`, JSON.
    pub book_changes: String,
    /// What each entry that it changed was before; `None`: it was not there.
    pub before: Vec<(Index, Option<Entry>)>,
}

/// A transaction of a closed ledger, in pieces of JSON that fit every form of answer.
pub(super) struct Transaction {
    /// Upper-case hex.
    pub hash: String,
    /// Members of the transaction, but for a Payment's amount.
    pub members: String,
    /// A Payment's amount.
    pub deliver_max: Option<String>,
    /// Members of the metadata, but for `delivered_amount`.
    pub meta: String,
    /// What arrived, of a Payment, CheckCash or AccountDelete that succeeded.
    pub delivered: Option<String>,
    pub is_delete: bool,
    /// What an offer's account can spend of what it sells, at the end of the ledger.
    pub owner_funds: Option<String>,
    pub affected: Vec<Id>,
}

/// What makes ledgers: the state and all that chance needs.
pub(super) struct Maker {
    pub world: World,
    state: State,
    traffic: Traffic,
    contents: Contents,
    parent_hash: [u8; 32],
    parent_close_time: u64,
    account_hash: [u8; 32],
    total_drops: i128,
    next: u32,
}

/// A transaction between its execution and the end of its ledger.
struct Executed {
    hash: [u8; 32],
    draft: Draft,
    fields: Map<String, Value>,
    outcome: Outcome,
    told: Told,
}

impl Maker {
    pub fn new(world: World, contents: Contents) -> Self {
        let state = genesis(&world);
        let traffic = Traffic::new(&world);
        Self {
            account_hash: world.bytes("xrpl genesis", 0),
            world,
            state,
            traffic,
            contents,
            parent_hash: [0; 32],
            parent_close_time: 0,
            total_drops: TOTAL_DROPS,
            next: FIRST,
        }
    }

    /// The state after the last ledger.
    pub fn entries(&self) -> &Entries {
        self.state.entries()
    }

    /// Closes the next ledger at a time in seconds since 1970. Its transactions follow from (settings, number).
    pub fn close(&mut self, unix: u64) -> Ledger {
        let index = self.next;
        let close_time = unix.saturating_sub(EPOCH).max(self.parent_close_time);
        self.state.ledger = index;
        let mut before = BTreeMap::new();
        let executed = self.execute(&mut before);

        let trades: Vec<Trade> = executed.iter().flat_map(|one| one.told.trades.iter().copied()).collect();
        let mut by_hash: Vec<usize> = (0..executed.len()).collect();
        by_hash.sort_by_key(|place| executed[*place].hash);
        let transactions: Vec<Transaction> =
            executed.into_iter().zip(0..).map(|(one, place)| self.finish(one, place)).collect();
        let transaction_hash = digest(
            "transactions",
            by_hash.iter().map(|place| {
                let Transaction { hash, meta, .. } = &transactions[*place];
                [hash.as_bytes(), meta.as_bytes()]
            }),
        );
        let changed = before.keys().map(|index| {
            let shown = self.state.get(index).map(|entry| Value::Object(entry.shown(&self.world)).to_string());
            (index, shown.unwrap_or_default())
        });
        let changed: Vec<_> = changed.collect();
        let parent_state = [self.account_hash.as_slice(), b"".as_slice()];
        let entries = changed.iter().map(|(index, shown)| [index.as_slice(), shown.as_bytes()]);
        self.account_hash = digest("state", [parent_state].into_iter().chain(entries));

        let mut ledger = Ledger {
            index,
            hash: [0; 32],
            parent_hash: self.parent_hash,
            close_time,
            parent_close_time: self.parent_close_time,
            total_drops: self.total_drops,
            account_hash: self.account_hash,
            transaction_hash: if transactions.is_empty() { [0; 32] } else { transaction_hash },
            book_changes: book_changes(&self.world, &trades).to_string(),
            transactions,
            by_hash,
            before: before.into_iter().collect(),
        };
        ledger.hash = ledger.digest();
        self.parent_hash = ledger.hash;
        self.parent_close_time = close_time;
        self.next += 1;
        ledger
    }

    /// Runs the ledger's transactions; `before` gets what each entry was.
    fn execute(&mut self, before: &mut BTreeMap<Index, Option<Entry>>) -> Vec<Executed> {
        let rng = self.world.chance(self.next);
        let mut planner = Planner { world: &self.world, state: &mut self.state, traffic: &mut self.traffic, rng };
        let mut executed = Vec::new();
        // The ledger and its book changes are two of the events.
        let mut events = 2;
        loop {
            let draft = match self.contents {
                Contents::Mixed { events: wanted } if events < wanted => planner.next(),
                Contents::Payments { count } if executed.len() < count => {
                    planner.in_turn(u64::from(self.next) * count as u64 + executed.len() as u64)
                }
                _ => break,
            };
            let sequence = planner.state.account(&draft.account).map_or(0, |account| account.sequence);
            let mut fields = draft.fields(planner.world, sequence, self.next + GOOD_FOR);
            let hash = sign(planner.world, &draft.account, &mut fields);
            let outcome = apply(planner.world, planner.state, &draft);
            let journal = planner.state.commit(hash, self.next);
            let told = tell(planner.world, &journal, planner.state.entries());
            for (index, touched) in journal {
                before.entry(index).or_insert(touched.before);
            }
            self.total_drops -= draft.fee();
            events += 1 + told.trades.len() + usize::from(outcome.delivered.is_some());
            executed.push(Executed { hash, draft, fields, outcome, told });
        }
        executed
    }

    /// What can be said of a transaction once its ledger is at its end.
    fn finish(&self, executed: Executed, place: usize) -> Transaction {
        let Executed { hash, draft, mut fields, outcome, told } = executed;
        let deliver_max = fields.remove("DeliverMax").map(|amount| amount.to_string());
        let mut meta = Map::from_iter([
            ("AffectedNodes".to_owned(), Value::Array(told.nodes)),
            ("TransactionIndex".to_owned(), place.into()),
            ("TransactionResult".to_owned(), outcome.result.into()),
        ]);
        let delivered = outcome.delivered.map(|amount| self.world.json(amount));
        if let Some(delivered) = delivered.clone().filter(|_| draft.action.tells_delivered(outcome.delivered)) {
            meta.insert("DeliveredAmount".to_owned(), delivered);
        }
        Transaction {
            hash: hex(&hash),
            members: without_braces(fields),
            deliver_max,
            meta: without_braces(meta),
            delivered: delivered.map(|amount| amount.to_string()),
            is_delete: matches!(draft.action, Action::Delete { .. }),
            owner_funds: self.owner_funds(&draft),
            affected: told.affected,
        }
    }

    fn owner_funds(&self, draft: &Draft) -> Option<String> {
        let Action::Offer { gets, .. } = &draft.action else { return None };
        if self.world.issuer(gets.asset) == Some(draft.account) {
            return None;
        }
        Some(text_of(gets.asset, self.state.funds(&self.world, &draft.account, gets.asset)))
    }
}

/// Units of an asset as a bare text.
pub(super) fn text_of(asset: super::amount::Asset, units: i128) -> String {
    if asset == XRP { units.to_string() } else { text(units, scale(asset)) }
}

impl Action {
    /// Whether the metadata itself says what arrived: where the transaction does not.
    fn tells_delivered(&self, delivered: Option<Amount>) -> bool {
        match self {
            Action::Payment(payment) => delivered != Some(payment.amount),
            Action::CheckCash { flexible, .. } => *flexible,
            _ => true,
        }
    }
}

impl Ledger {
    /// The digest of all that the header says.
    fn digest(&self) -> [u8; 32] {
        let numbers = [u64::from(self.index), self.close_time, self.parent_close_time].map(u64::to_be_bytes).concat();
        let hashes = [self.parent_hash, self.account_hash, self.transaction_hash].concat();
        digest("ledger", [[numbers.as_slice(), hashes.as_slice()], [&self.total_drops.to_be_bytes(), b""]])
    }

    /// Bytes that it takes, about.
    pub fn weight(&self) -> usize {
        // An entry with its place in the list.
        const ENTRY: usize = 250;
        let transactions = self.transactions.iter().map(|one| {
            let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            let texts = one.members.len() + one.meta.len() + one.hash.len() + optional(&one.deliver_max);
            texts + optional(&one.delivered) + optional(&one.owner_funds) + 20 * one.affected.len() + 200
        });
        transactions.sum::<usize>() + ENTRY * self.before.len() + self.book_changes.len()
    }
}

/// Adds the key and the signature, which look as they should and prove nothing, and gives the hash.
fn sign(world: &World, account: &Id, fields: &mut Map<String, Value>) -> [u8; 32] {
    let key = digest("key", [[account.as_slice(), world.bytes("xrpl key", 0).as_slice()]]);
    fields.insert("SigningPubKey".to_owned(), format!("ED{}", hex(&key)).into());
    let text = Value::Object(fields.clone()).to_string();
    let halves = ["signature", "signature's end"].map(|label| hex(&digest(label, [[text.as_bytes(), key.as_slice()]])));
    fields.insert("TxnSignature".to_owned(), halves.concat().into());
    digest("transaction", [[text.as_bytes(), address(account).as_bytes()]])
}

/// Half of SHA-512 over a label and pairs of pieces, each with its length.
fn digest<'a>(label: &str, pieces: impl IntoIterator<Item = [&'a [u8]; 2]>) -> [u8; 32] {
    let mut digest = Sha512::new().chain_update(label);
    for piece in pieces.into_iter().flatten() {
        digest.update((piece.len() as u64).to_be_bytes());
        digest.update(piece);
    }
    half(digest)
}

/// A JSON object's members without its braces, to be joined with others.
fn without_braces(object: Map<String, Value>) -> String {
    let json = Value::Object(object).to_string();
    json[1..json.len() - 1].to_owned()
}
