//! Methods about ledgers and transactions.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::history::Network;
use super::super::ledger::{EPOCH, Ledger, Transaction};
use super::super::world::hex;
use super::lookup::{Found, bytes};
use super::server::NETWORK_ID;
use super::{Answer, Call, Failure, Version, members};

/// Items on a page of account_tx: least, usual, most.
const PAGE: (u64, u64, u64) = (10, 200, 400);

pub(super) fn closed(network: &Network) -> String {
    let view = network.view();
    let Ledger { hash, index, .. } = view.latest();
    format!(r#""ledger_hash":"{}","ledger_index":{index}"#, hex(hash))
}

pub(super) fn current(network: &Network) -> String {
    format!(r#""ledger_current_index":{}"#, network.view().latest().index + 1)
}

/// What of its transactions a ledger is shown with.
#[derive(Clone, Copy)]
struct Shown {
    transactions: bool,
    expand: bool,
    owner_funds: bool,
}

impl Call<'_> {
    pub fn ledger(&self) -> Answer {
        if self.flag("full")? || self.flag("accounts")? {
            return Err(Failure::NO_PERMISSION);
        }
        if self.flag("binary")? {
            // The devnet has no binary form.
            return Err(Failure::NOT_SUPPORTED);
        }
        let shown = Shown {
            transactions: self.flag("transactions")?,
            expand: self.flag("expand")?,
            owner_funds: self.flag("owner_funds")?,
        };
        let view = self.network.view();
        if !self.names_a_ledger() {
            let [closed, open] =
                [false, true].map(|is_open| self.header(Found { ledger: view.latest(), is_open }, shown));
            return Ok(format!(r#""closed":{{"ledger":{closed}}},"open":{{"ledger":{open}}}"#));
        }
        let found = self.ledger_asked_for(&view)?;
        Ok(format!(r#""ledger":{},{}"#, self.header(found, shown), found.members()))
    }

    /// A ledger's own object.
    fn header(&self, found: Found<'_>, shown: Shown) -> String {
        let ledger = found.ledger;
        let number = |index: u32| match self.version {
            Version::One => json!(index.to_string()),
            Version::Two => json!(index),
        };
        if found.is_open {
            let mut header =
                json!({"closed": false, "ledger_index": number(ledger.index + 1), "parent_hash": hex(&ledger.hash)});
            if shown.transactions {
                header["transactions"] = json!([]);
            }
            return header.to_string();
        }
        let time = time(ledger.close_time);
        let header = members(json!({
            "account_hash": hex(&ledger.account_hash), "close_flags": 0, "close_time": ledger.close_time,
            "close_time_human": time.strftime("%Y-%b-%d %H:%M:%S.000000000 UTC").to_string(),
            "close_time_iso": time.to_string(), "close_time_resolution": 10, "closed": true,
            "ledger_hash": hex(&ledger.hash), "ledger_index": number(ledger.index),
            "parent_close_time": ledger.parent_close_time, "parent_hash": hex(&ledger.parent_hash),
            "total_coins": ledger.total_drops.to_string(), "transaction_hash": hex(&ledger.transaction_hash),
        }));
        if !shown.transactions {
            return format!("{{{header}}}");
        }
        let transactions = ledger.by_hash.iter().map(|place| {
            let transaction = &ledger.transactions[*place];
            match shown.expand {
                true => self.expanded(ledger, transaction, shown.owner_funds),
                false => format!("\"{}\"", transaction.hash),
            }
        });
        let transactions: Vec<String> = transactions.collect();
        format!(r#"{{{header},"transactions":[{}]}}"#, transactions.join(","))
    }

    /// A transaction in an expanded ledger.
    fn expanded(&self, ledger: &Ledger, transaction: &Transaction, owner_funds: bool) -> String {
        let Transaction { hash, owner_funds: funds, is_delete, .. } = transaction;
        let funds = funds.as_ref().filter(|_| owner_funds).map(|funds| format!(r#","owner_funds":"{funds}""#));
        let funds = funds.unwrap_or_default();
        let fields = transaction.fields(self.version);
        // This method alone says nothing of its own about what a deleted account left.
        let meta = if *is_delete { format!("{{{}}}", transaction.meta) } else { transaction.metadata() };
        match self.version {
            Version::One => format!(r#"{{{fields},"hash":"{hash}","metaData":{meta}{funds}}}"#),
            Version::Two => {
                let place = place(ledger);
                format!(r#"{{"tx_json":{{{fields}}},"hash":"{hash}","meta":{meta},{place}{funds}}}"#)
            }
        }
    }

    pub fn transaction(&self) -> Answer {
        if self.flag("binary")? {
            return Err(Failure::NOT_SUPPORTED);
        }
        let view = self.network.view();
        let found = match (self.params.get("transaction"), self.params.get("ctid")) {
            (Some(Value::String(hash)), _) => {
                bytes(hash).ok_or(Failure::NOT_IMPLEMENTED)?;
                let hash = hash.to_ascii_uppercase();
                view.newest_first().find_map(|ledger| {
                    let place = ledger.transactions.iter().position(|one| one.hash == hash)?;
                    Some((ledger, place))
                })
            }
            (None, Some(Value::String(ctid))) => {
                let (index, place, network) = parsed(ctid).ok_or(Failure::invalid("Invalid parameters."))?;
                let ledger = view.get(index).filter(|_| network == NETWORK_ID);
                ledger.filter(|ledger| place < ledger.transactions.len()).map(|ledger| (ledger, place))
            }
            _ => return Err(Failure::invalid("Invalid parameters.")),
        };
        let (ledger, at) = found.ok_or(Failure::TRANSACTION_NOT_FOUND)?;
        Ok(self.whole(ledger, at))
    }

    pub fn transaction_entry(&self) -> Answer {
        let hash = self.params.get("tx_hash").ok_or(Failure::bare("fieldNotFoundTransaction"))?;
        let view = self.network.view();
        let found = self.ledger_asked_for(&view)?;
        if found.is_open {
            return Err(Failure::bare("notYetImplemented"));
        }
        let hash = hash.as_str().filter(|hash| bytes(hash).is_some()).ok_or(Failure::bare("malformedRequest"))?;
        let hash = hash.to_ascii_uppercase();
        let transaction = found.ledger.transactions.iter().find(|one| one.hash == hash);
        let transaction = transaction.ok_or(Failure::bare("transactionNotFound"))?;
        let fields = transaction.fields(self.version);
        let meta = transaction.metadata();
        let place = place(found.ledger);
        Ok(match self.version {
            Version::One => {
                format!(r#""tx_json":{{{fields},"hash":"{hash}"}},"metadata":{meta},{}"#, found.members())
            }
            Version::Two => format!(r#""tx_json":{{{fields}}},"hash":"{hash}","meta":{meta},{place}"#),
        })
    }

    pub fn account_transactions(&self) -> Answer {
        if self.flag("binary")? {
            return Err(Failure::NOT_SUPPORTED);
        }
        let account = self.account("account")?;
        let limit = self.limit(PAGE)?;
        let forward = self.flag("forward")?;
        let view = self.network.view();
        let (oldest, latest) = (i64::from(view.oldest().index), i64::from(view.latest().index));
        let bound = |name: &str, other: i64| match self.params.get(name) {
            None => Ok(other),
            Some(value) => match value.as_i64() {
                Some(bound) if bound >= 0 => Ok(bound.clamp(oldest, latest)),
                Some(_) => Ok(other),
                None => Err(Failure::invalid("Invalid parameters.")),
            },
        };
        let (min, max) = if self.names_a_ledger() {
            let found = self.ledger_asked_for(&view)?;
            (i64::from(found.ledger.index), i64::from(found.ledger.index))
        } else {
            (bound("ledger_index_min", oldest)?, bound("ledger_index_max", latest)?)
        };
        if min > max {
            return Err(match self.version {
                Version::One => Failure::LEDGER_INDEXES_INVALID,
                Version::Two => Failure::INVALID_RANGE,
            });
        }
        let marker = match self.params.get("marker") {
            None => None,
            Some(marker) => match (marker["ledger"].as_i64(), marker["seq"].as_u64()) {
                (Some(ledger), Some(place)) => Some((ledger, place)),
                _ => {
                    return Err(Failure::invalid(
                        "invalid marker. Provide ledger index via ledger field, and transaction sequence number via seq field",
                    ));
                }
            },
        };
        // One place for each transaction, in order; a page is a part of it.
        let within = view.newest_first().rev().filter(|ledger| (min..=max).contains(&i64::from(ledger.index)));
        let places = within.flat_map(|ledger| (0..ledger.transactions.len()).map(move |at| (ledger, at)));
        let places = places.filter(|(ledger, at)| ledger.transactions[*at].affected.contains(&account));
        let mut places: Vec<(&Ledger, usize)> = places.collect();
        if !forward {
            places.reverse();
        }
        let key = |(ledger, at): &(&Ledger, usize)| (i64::from(ledger.index), *at as u64);
        let start = match marker {
            None => 0,
            Some(marker) => {
                let is_before =
                    |place: &(&Ledger, usize)| if forward { key(place) < marker } else { key(place) > marker };
                places.iter().position(|place| !is_before(place)).unwrap_or(places.len())
            }
        };
        let items = places.iter().skip(start).take(limit).map(|(ledger, at)| self.item(ledger, *at));
        let items: Vec<String> = items.collect();
        let next = places.get(start + limit).map(key);
        let next = next.map(|(ledger, place)| format!(r#","marker":{{"ledger":{ledger},"seq":{place}}}"#));
        let address = crate::source::xrpl::currency::address(&account);
        Ok(format!(
            r#""account":"{address}","ledger_index_max":{max},"ledger_index_min":{min},"limit":{limit},"transactions":[{}],"validated":true{}"#,
            items.join(","),
            next.unwrap_or_default()
        ))
    }

    /// A transaction in a page of account_tx.
    fn item(&self, ledger: &Ledger, at: usize) -> String {
        let transaction = &ledger.transactions[at];
        let (fields, meta, hash) = (transaction.fields(self.version), transaction.metadata(), &transaction.hash);
        let (index, date) = (ledger.index, ledger.close_time);
        match self.version {
            Version::One => format!(
                r#"{{"meta":{meta},"tx":{{{fields},"date":{date},"hash":"{hash}","inLedger":{index},"ledger_index":{index}}},"validated":true}}"#
            ),
            Version::Two => format!(
                r#"{{"meta":{meta},"tx_json":{{{fields},"date":{date},"ledger_index":{index}}},"hash":"{hash}",{}}}"#,
                place(ledger)
            ),
        }
    }

    /// The members of a transaction's own answer.
    fn whole(&self, ledger: &Ledger, at: usize) -> String {
        let transaction = &ledger.transactions[at];
        let (fields, meta, hash) = (transaction.fields(self.version), transaction.metadata(), &transaction.hash);
        let (index, date) = (ledger.index, ledger.close_time);
        let ctid = format!(r#","ctid":"C{index:07X}{at:04X}{NETWORK_ID:04X}""#);
        match self.version {
            Version::One => format!(
                r#"{fields},"date":{date},"hash":"{hash}","inLedger":{index},"ledger_index":{index},"meta":{meta},"validated":true{ctid}"#
            ),
            Version::Two => format!(
                r#""tx_json":{{{fields},"date":{date},"ledger_index":{index}{ctid}}},"hash":"{hash}","meta":{meta},{}{ctid}"#,
                place(ledger)
            ),
        }
    }

    pub fn book_changes(&self) -> Answer {
        let view = self.network.view();
        let found = self.ledger_asked_for(&view)?;
        let Ledger { book_changes, close_time, .. } = found.ledger;
        let changes = if found.is_open { "[]" } else { book_changes };
        Ok(format!(r#""changes":{changes},"ledger_time":{close_time},"type":"bookChanges",{}"#, found.members()))
    }
}

impl Transaction {
    /// Its members as a version names them.
    fn fields(&self, version: Version) -> String {
        let members = &self.members;
        match (&self.deliver_max, version) {
            (None, _) => members.clone(),
            (Some(amount), Version::One) => format!(r#"{members},"Amount":{amount},"DeliverMax":{amount}"#),
            (Some(amount), Version::Two) => format!(r#"{members},"DeliverMax":{amount}"#),
        }
    }

    /// The metadata with what arrived.
    fn metadata(&self) -> String {
        match &self.delivered {
            None => format!("{{{}}}", self.meta),
            Some(delivered) => format!(r#"{{{},"delivered_amount":{delivered}}}"#, self.meta),
        }
    }
}

/// Where a transaction is, as version 2 says it.
fn place(ledger: &Ledger) -> String {
    format!(
        r#""close_time_iso":"{}","ledger_hash":"{}","ledger_index":{},"validated":true"#,
        time(ledger.close_time),
        hex(&ledger.hash),
        ledger.index
    )
}

fn time(close_time: u64) -> Timestamp {
    let seconds = i64::try_from(EPOCH.saturating_add(close_time)).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

/// Ledger, place and network of a compact transaction identifier.
fn parsed(ctid: &str) -> Option<(u64, usize, u32)> {
    let valid = ctid.len() == 16 && ctid.starts_with('C') && ctid.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then_some(())?;
    let number = |from: usize, to: usize| u32::from_str_radix(&ctid[from..to], 16).ok();
    Some((number(1, 8)?.into(), number(8, 12)? as usize, number(12, 16)?))
}
