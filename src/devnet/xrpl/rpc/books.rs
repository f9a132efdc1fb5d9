//! The order books as they stood after a ledger.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::amount::{Amount, Asset, Rate, portion};
use super::super::entry::{Body, Entry, Offer};
use super::super::ledger::text_of;
use super::super::world::Id;
use super::{Answer, Call, Failure, members};
use crate::source::xrpl::currency::{account_id, currency};

/// Offers in an answer: least, usual, most.
const LIMIT: (u64, u64, u64) = (1, 60, 100);

/// One side of a book: an asset of the devnet, or one that nobody here has.
type Side = Option<Asset>;

/// A side as it is named: currency in its one spelling and issuer.
type Named = (String, Option<Id>);

impl Call<'_> {
    pub fn book_offers(&self) -> Answer {
        let view = self.network.view();
        let found = self.ledger_asked_for(&view)?;
        let bad_pays = (
            Failure::new("srcCurMalformed", 69, "Source currency is malformed."),
            Failure::new("srcIsrMalformed", 70, "Source issuer is malformed."),
        );
        let bad_gets = (
            Failure::new("dstAmtMalformed", 51, "Destination amount/currency/issuer is malformed."),
            Failure::new("dstIsrMalformed", 53, "Destination issuer is malformed."),
        );
        let pays_object = self.side_object("taker_pays")?;
        let gets_object = self.side_object("taker_gets")?;
        let pays_currency = side_currency(pays_object, "taker_pays", bad_pays.0)?;
        let gets_currency = side_currency(gets_object, "taker_gets", bad_gets.0)?;
        let pays = side_issuer(pays_object, "taker_pays", pays_currency, bad_pays.1)?;
        let gets = side_issuer(gets_object, "taker_gets", gets_currency, bad_gets.1)?;
        if let Some(taker) = self.params.get("taker") {
            let is_good = taker.as_str().is_some_and(|taker| account_id(taker).is_some());
            if !is_good {
                return Err(Failure::invalid("Invalid field 'taker'."));
            }
        }
        if pays == gets {
            return Err(Failure::BAD_MARKET);
        }
        let limit = self.limit(LIMIT)?;

        let state = view.state_at(found.ledger.index);
        let world = state.world;
        let asset = |(currency, issuer): Named| -> Side { world.asset(&currency, issuer) };
        let mut offers: Vec<(&Offer, &Entry)> = Vec::new();
        if let (Some(pays), Some(gets)) = (asset(pays), asset(gets)) {
            offers.extend(state.entries_from([0; 32]).filter_map(|(_, entry)| match &entry.body {
                Body::Offer(offer) if (offer.pays.asset, offer.gets.asset) == (pays, gets) => Some((offer, entry)),
                _ => None,
            }));
        }
        offers.sort_by_key(|(offer, _)| (offer.rate, offer.order));
        // What each owner has left after better offers of the same book.
        let mut left: BTreeMap<Id, i128> = BTreeMap::new();
        let mut shown = Vec::new();
        for (offer, entry) in offers.into_iter().take(limit) {
            let mut fields = entry.shown(world);
            fields.insert("quality".to_owned(), Rate::from_bits(offer.rate).text().into());
            let funds = left.entry(offer.account).or_insert_with(|| {
                let funds = state.funds(&offer.account, offer.gets.asset);
                fields.insert("owner_funds".to_owned(), text_of(offer.gets.asset, funds).into());
                funds
            });
            let funded = offer.gets.units.min(*funds);
            *funds -= funded;
            if funded < offer.gets.units {
                let paid = Amount::new(offer.pays.asset, portion(offer.pays.units, funded, offer.gets.units));
                fields.insert("taker_gets_funded".to_owned(), world.json(Amount::new(offer.gets.asset, funded)));
                fields.insert("taker_pays_funded".to_owned(), world.json(paid));
            }
            shown.push(Value::Object(fields));
        }
        Ok(format!("{},{}", members(serde_json::json!({"offers": shown})), found.members()))
    }

    fn side_object(&self, name: &str) -> Result<&Value, Failure> {
        match self.params.get(name) {
            None => Err(Failure::missing(name)),
            Some(side) if side.is_object() => Ok(side),
            Some(_) => Err(Failure::invalid(format!("Invalid field '{name}', not object."))),
        }
    }
}

fn side_currency(side: &Value, name: &str, malformed: Failure) -> Result<String, Failure> {
    let Some(code) = side.get("currency") else { return Err(Failure::missing(&format!("{name}.currency"))) };
    let Value::String(code) = code else {
        return Err(Failure::invalid(format!("Invalid field '{name}.currency', not string.")));
    };
    if code == "XRP" || code.len() == 40 && code.bytes().all(|byte| byte == b'0') {
        return Ok("XRP".to_owned());
    }
    let code = currency(code).ok_or(malformed.about(format!("Invalid field '{name}.currency', bad currency.")))?;
    Ok(code.into_owned())
}

fn side_issuer(side: &Value, name: &str, currency: String, malformed: Failure) -> Result<Named, Failure> {
    let issuer = match side.get("issuer") {
        None => None,
        Some(Value::String(issuer)) => {
            let bad = || malformed.clone().about(format!("Invalid field '{name}.issuer', bad issuer."));
            Some(account_id(issuer).ok_or_else(bad)?)
        }
        Some(_) => return Err(Failure::invalid(format!("Invalid field '{name}.issuer', not string."))),
    };
    match (currency.as_str(), issuer) {
        ("XRP", Some(_)) => {
            let message = format!("Unneeded field '{name}.issuer' for XRP currency specification.");
            Err(malformed.about(message))
        }
        ("XRP", None) | (_, Some(_)) => Ok((currency, issuer)),
        _ => Err(malformed.about(format!("Invalid field '{name}.issuer', expected non-XRP issuer."))),
    }
}
