//! What `getEvents` gave of a ledger → its events: those of contracts, and the payments that follow
//! from verified ones. Operations are unknown here, so a payment names none, and the legs of a trade
//! look like two payments.

use crate::event::{Event, EventKind, Hash, Place};
use crate::source::stellar::assets::AssetContracts;
use crate::source::stellar::contract_events::{self, Emission, Position};
use crate::source::stellar::decode::Reason;
use crate::source::stellar::emitted::{Emitted, Wanted};
use crate::source::stellar::keys::{Names, Party};
use crate::source::stellar::mapping::toid;
use crate::source::stellar::meaning::{Meaning, meaning};
use crate::source::stellar::payments::{self, Moved};
use stellar_xdr::Asset;

/// Every wanted event of a ledger.
pub fn events(
    ledger: u32,
    emitted: &[Emitted],
    wanted: &Wanted,
    contracts: &mut AssetContracts,
) -> Result<Vec<Event>, Reason> {
    let mut names = Names::default();
    let mut events = Vec::with_capacity(emitted.len());
    for sent in emitted {
        if !wanted.may_match(sent) {
            continue;
        }
        let Some(event) = sent.decode()?.filter(|event| wanted.matches(event)) else { continue };
        let hash = sent
            .tx_hash
            .as_ref()
            .filter(|hex| !hex.is_empty())
            .map(|hex| Hash::from_hex(hex).ok_or_else(|| format!("txHash `{hex}`")));
        let position =
            Position { transaction: sent.id.transaction(), operation: sent.id.operation(), index: sent.id.index };
        let successful = sent.in_successful_contract_call.unwrap_or(true);
        let emission = Emission { ledger, hash: hash.transpose()?, successful, position };
        let meaning = meaning(&event, contracts);
        events.extend(contract_events::event(&emission, &event, meaning.as_ref(), &mut names)?);
        if let Some(moved) = meaning.filter(|_| successful).and_then(moved) {
            let Position { transaction, operation, index } = position;
            let id = format!("{}-p{index}", toid(ledger, transaction, operation));
            let place = Place::new(transaction, EventKind::Payment, u64::from(operation) << 32 | u64::from(index));
            events.push(payments::event(emission.hash, None, id, place, None, moved, &mut names));
        }
    }
    events.sort_by_key(|event| event.place);
    Ok(events)
}

/// The value that a verified event moved: what the issuer gives comes into being, and what it takes
/// is gone, so it is the other side.
fn moved(meaning: Meaning) -> Option<Moved> {
    let issuer = match &meaning.asset {
        Asset::Native => None,
        Asset::CreditAlphanum4(asset) => Some(Party::from(&asset.issuer)),
        Asset::CreditAlphanum12(asset) => Some(Party::from(&asset.issuer)),
    };
    let (from, to) = match meaning.name {
        "transfer" => (meaning.from?, meaning.to?),
        "mint" => (issuer?, meaning.to?),
        "burn" => (meaning.from?, issuer?),
        _ => return None,
    };
    Some(Moved { from, to, to_muxed_id: meaning.to_muxed_id, asset: meaning.asset, units: meaning.units? })
}
