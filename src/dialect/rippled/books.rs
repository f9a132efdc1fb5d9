//! Order books as clients name them.

use super::faults::{
    BAD_ISSUER, BAD_MARKET, DESTINATION_AMOUNT, DESTINATION_ISSUER, DOMAIN_MALFORMED, Fault, INVALID_PARAMETERS,
    SOURCE_CURRENCY, SOURCE_ISSUER,
};
use super::request::{given, json, object, push_field, text};
use crate::event::Key;
use crate::source::xrpl::currency::{account_id, book_key, currency, is_address, side};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Offers in a snapshot of one book: what the ledger's servers give where nobody says how many.
const SNAPSHOT_OFFERS: &str = "60";
/// Hex digits of a permissioned domain.
const DOMAIN_DIGITS: usize = 64;
/// The number of no account: what stands where a trust line has no issuer.
const NO_ACCOUNT: [u8; 20] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    taker_pays: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    taker_gets: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    both: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    both_sides: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    snapshot: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    state_now: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    taker: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    domain: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SideFields<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    currency: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    issuer: Option<&'a RawValue>,
}

/// One side of a book. `issuer: None`: XRP.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Side {
    currency: String,
    issuer: Option<String>,
}

impl Side {
    /// Reads a side; the faults are for its currency and its issuer.
    fn read(raw: &RawValue, [of_currency, of_issuer]: [Fault; 2]) -> Result<Side, Fault> {
        let fields = match raw.get() {
            "null" => SideFields { currency: None, issuer: None },
            text => object(text).ok_or(INVALID_PARAMETERS)?,
        };
        let name = fields.currency.and_then(text).ok_or(of_currency)?;
        let is_xrp = name == "XRP" || name.len() == 40 && name.bytes().all(|digit| digit == b'0');
        if is_xrp {
            return match fields.issuer {
                None => Ok(Side { currency: "XRP".to_owned(), issuer: None }),
                Some(_) => Err(of_issuer),
            };
        }
        let currency = currency(&name).ok_or(of_currency)?.into_owned();
        let issuer = fields.issuer.and_then(text).ok_or(of_issuer)?;
        match account_id(&issuer) {
            Some(account) if account != NO_ACCOUNT && account != [0; 20] => Ok(Side { currency, issuer: Some(issuer) }),
            _ => Err(of_issuer),
        }
    }

    fn name(&self) -> String {
        side(&self.currency, self.issuer.as_deref())
    }

    fn json(&self) -> String {
        let mut side = String::from("{");
        push_field(&mut side, "currency", &json(&self.currency));
        if let Some(issuer) = &self.issuer {
            push_field(&mut side, "issuer", &json(issuer));
        }
        side.push('}');
        side
    }
}

/// Where the offers of a snapshot stand in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Offers,
    Bids,
    Asks,
}

/// What the ledger's server is asked for a snapshot, the text of an object that is not closed yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub part: Part,
    pub parameters: String,
}

/// Reads one book: the keys that it stands for, and the questions of its snapshot.
pub(super) fn read(raw: &RawValue, keys: &mut Vec<Key>, questions: &mut Vec<Question>) -> Result<(), Fault> {
    let fields: Fields = object(raw.get()).ok_or(INVALID_PARAMETERS)?;
    let shape = |raw: Option<&'_ RawValue>| raw.is_some_and(|raw| raw.get() == "null" || raw.get().starts_with('{'));
    let (Some(pays), Some(gets)) = (fields.taker_pays, fields.taker_gets) else { return Err(INVALID_PARAMETERS) };
    if !shape(fields.taker_pays) || !shape(fields.taker_gets) {
        return Err(INVALID_PARAMETERS);
    }
    let both = flag(fields.both.or(fields.both_sides))?;
    let snapshot = flag(fields.snapshot.or(fields.state_now))?;
    let pays = Side::read(pays, [SOURCE_CURRENCY, SOURCE_ISSUER])?;
    let gets = Side::read(gets, [DESTINATION_AMOUNT, DESTINATION_ISSUER])?;
    if pays == gets {
        return Err(BAD_MARKET);
    }
    let taker = match fields.taker {
        None => None,
        Some(raw) => Some(text(raw).filter(|taker| is_address(taker)).ok_or(BAD_ISSUER)?),
    };
    let is_domain = |text: &String| text.len() == DOMAIN_DIGITS && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let domain = match fields.domain {
        None => None,
        Some(raw) => Some(text(raw).filter(is_domain).ok_or(DOMAIN_MALFORMED)?),
    };
    let mut add = |part, pays: &Side, gets: &Side| {
        keys.push(book_key(&pays.name(), &gets.name(), domain.as_deref()));
        if snapshot {
            let mut parameters = String::from("{");
            push_field(&mut parameters, "taker_pays", &pays.json());
            push_field(&mut parameters, "taker_gets", &gets.json());
            for (name, value) in [("taker", &taker), ("domain", &domain)] {
                if let Some(value) = value {
                    push_field(&mut parameters, name, &json(value));
                }
            }
            push_field(&mut parameters, "limit", SNAPSHOT_OFFERS);
            questions.push(Question { part, parameters });
        }
    };
    if both {
        add(Part::Bids, &pays, &gets);
        add(Part::Asks, &gets, &pays);
    } else {
        add(Part::Offers, &pays, &gets);
    }
    Ok(())
}

fn flag(raw: Option<&RawValue>) -> Result<bool, Fault> {
    match raw.map(RawValue::get) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(INVALID_PARAMETERS),
    }
}
