//! Methods about accounts and what they own.

use serde_json::{Map, Value, json};

use super::super::amount::Rate;
use super::super::entry::{Body, Entry};
use super::super::history::Snapshot;
use super::super::world::{Id, Index, USD, account_index, code, offer_index};
use super::lookup::{Found, bytes, marker, page};
use super::{Answer, Call, Failure, Version, members};
use crate::source::xrpl::currency::{account_id, address};

/// Items on a page: least, usual, most.
const PAGE: (u64, u64, u64) = (10, 200, 400);

/// The kinds of entries that can be asked for, and how an entry says that it is one. The devnet has the first three.
const KINDS: [(&str, &str); 12] = [
    ("check", "Check"),
    ("offer", "Offer"),
    ("state", "RippleState"),
    ("amm", "AMM"),
    ("deposit_preauth", "DepositPreauth"),
    ("did", "DID"),
    ("escrow", "Escrow"),
    ("nft_offer", "NFTokenOffer"),
    ("nft_page", "NFTokenPage"),
    ("payment_channel", "PayChannel"),
    ("signer_list", "SignerList"),
    ("ticket", "Ticket"),
];

impl Call<'_> {
    pub fn account_info(&self) -> Answer {
        // The old name of the field.
        let name = if self.params.contains_key("account") { "account" } else { "ident" };
        let id = match self.account(name) {
            Err(_) if !self.params.contains_key(name) => return Err(Failure::missing("account")),
            other => other?,
        };
        let with_signers = self.flag("signer_lists")?;
        let view = self.network.view();
        let found = self.ledger_asked_for(&view)?;
        let state = view.state_at(found.ledger.index);
        let (_, entry) = state.account(&id).ok_or(Failure::ACCOUNT_NOT_FOUND)?;
        let mut data = entry.shown(state.world);
        let mut result = Map::new();
        if with_signers {
            // Nobody here has any. Each version has its own place for them.
            match self.version {
                Version::One => data.insert("signer_lists".to_owned(), json!([])),
                Version::Two => result.insert("signer_lists".to_owned(), json!([])),
            };
        }
        let flags = [
            "allowTrustLineClawback",
            "defaultRipple",
            "depositAuth",
            "disableMasterKey",
            "disallowIncomingCheck",
            "disallowIncomingNFTokenOffer",
            "disallowIncomingPayChan",
            "disallowIncomingTrustline",
            "disallowIncomingXRP",
            "globalFreeze",
            "noFreeze",
            "passwordSpent",
            "requireAuthorization",
            "requireDestinationTag",
        ];
        let flags: Map<String, Value> = flags.iter().map(|flag| ((*flag).to_owned(), false.into())).collect();
        result.insert("account_data".to_owned(), Value::Object(data));
        result.insert("account_flags".to_owned(), Value::Object(flags));
        Ok(format!("{},{}", members(Value::Object(result)), found.members()))
    }

    pub fn account_lines(&self) -> Answer {
        let peer = match self.params.get("peer") {
            None => None,
            Some(peer) => Some(peer.as_str().and_then(account_id).ok_or(Failure::ACCOUNT_MALFORMED)?),
        };
        self.page_of("lines", |state, id, entry| match &entry.body {
            Body::Line(line) => {
                let issuer = state.world.issuer(line.asset);
                let is_holder = line.holder == *id;
                let other = if is_holder { issuer } else { Some(line.holder) };
                let theirs = is_holder || issuer == Some(*id);
                (theirs && (peer.is_none() || peer == other)).then(|| line.peer_view(state.world, is_holder))
            }
            _ => None,
        })
    }

    pub fn account_offers(&self) -> Answer {
        self.page_of("offers", |state, id, entry| match &entry.body {
            Body::Offer(offer) if offer.account == *id => Some(json!({
                "flags": 0, "seq": offer.sequence, "quality": Rate::from_bits(offer.rate).text(),
                "taker_gets": state.world.json(offer.gets), "taker_pays": state.world.json(offer.pays),
            })),
            _ => None,
        })
    }

    pub fn account_objects(&self) -> Answer {
        let wanted = match self.params.get("type") {
            None => None,
            Some(Value::String(kind)) => match KINDS.iter().find(|(name, entry)| kind == name || kind == entry) {
                Some((_, entry)) => Some(*entry),
                None => return Err(Failure::invalid("Invalid field 'type'.")),
            },
            Some(_) => return Err(Failure::invalid("Invalid field 'type', not string.")),
        };
        self.page_of("account_objects", |state, id, entry| {
            let is_object = matches!(entry.body, Body::Line(_) | Body::Offer(_) | Body::Check(_));
            let is_wanted = wanted.is_none_or(|wanted| wanted == entry.body.kind());
            // An offer is its maker's alone, whoever issued the tokens in it.
            let is_theirs = match &entry.body {
                Body::Offer(offer) => offer.account == *id,
                body => is_object && body.accounts(state.world).contains(id),
            };
            (is_object && is_wanted && is_theirs).then(|| Value::Object(entry.shown(state.world)))
        })
    }

    pub fn account_currencies(&self) -> Answer {
        let id = self.account("account")?;
        let view = self.network.view();
        let found = self.ledger_asked_for(&view)?;
        let state = view.state_at(found.ledger.index);
        state.account(&id).ok_or(Failure::ACCOUNT_NOT_FOUND)?;
        let (mut send, mut receive) = (Vec::new(), Vec::new());
        for asset in (USD.0..).map(super::super::amount::Asset).take(super::super::world::TOKENS.len()) {
            if let Some(line) = state.line(&id, asset) {
                receive.push(code(asset));
                if line.units > 0 {
                    send.push(code(asset));
                }
            } else if state.world.issuer(asset) == Some(id) {
                send.push(code(asset));
                receive.push(code(asset));
            }
        }
        let lists = members(json!({"receive_currencies": receive, "send_currencies": send}));
        Ok(format!("{lists},{}", found.members()))
    }

    pub fn ledger_entry(&self) -> Answer {
        let view = self.network.view();
        let found = self.ledger_asked_for(&view)?;
        let state = view.state_at(found.ledger.index);
        let malformed = || Failure::bare("malformedRequest");
        let index = if let Some(index) = self.params.get("index") {
            index.as_str().and_then(bytes).ok_or_else(malformed)?
        } else if let Some(account) = self.params.get("account_root") {
            account_index(&account.as_str().and_then(account_id).ok_or(Failure::bare("malformedAddress"))?)
        } else if let Some(offer) = self.params.get("offer") {
            match offer {
                Value::String(index) => bytes(index).ok_or_else(malformed)?,
                offer => {
                    let account = offer["account"].as_str().and_then(account_id);
                    let account = account.ok_or(Failure::bare("malformedAddress"))?;
                    let sequence = offer["seq"].as_u64().and_then(|sequence| u32::try_from(sequence).ok());
                    offer_index(&account, sequence.ok_or_else(malformed)?)
                }
            }
        } else if let Some(check) = self.params.get("check") {
            check.as_str().and_then(bytes).ok_or_else(malformed)?
        } else {
            return Err(Failure::bare("unknownOption"));
        };
        let entry = state.get(&index).ok_or(Failure::ENTRY_NOT_FOUND)?;
        let shown = entry.shown(state.world);
        let node = members(json!({"index": shown["index"], "node": shown}));
        Ok(format!("{node},{}", found.members()))
    }

    /// One page of what `show` makes of an account's entries.
    fn page_of(&self, list: &str, show: impl Fn(&Snapshot<'_>, &Id, &Entry) -> Option<Value>) -> Answer {
        let id = self.account("account")?;
        let limit = self.limit(PAGE)?;
        let start = page(self.params.get("marker"))?;
        let view = self.network.view();
        let found: Found<'_> = self.ledger_asked_for(&view)?;
        let state = view.state_at(found.ledger.index);
        state.account(&id).ok_or(Failure::ACCOUNT_NOT_FOUND)?;
        let entries = state.entries_from(start);
        let mut shown: Vec<(Index, Value)> = entries
            .filter_map(|(index, entry)| show(&state, &id, entry).map(|value| (*index, value)))
            .take(limit + 1)
            .collect();
        let next = (shown.len() > limit).then(|| shown.pop()).flatten();
        let items: Vec<Value> = shown.into_iter().map(|(_, value)| value).collect();
        let mut result = json!({"account": address(&id), list: items});
        if let Some((index, _)) = next {
            result["limit"] = limit.into();
            result["marker"] = marker(&index);
        }
        Ok(format!("{},{}", members(result), found.members()))
    }
}
