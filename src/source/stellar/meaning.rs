//! What an asset contract's event means (CAP-67).

use super::assets::AssetContracts;
use super::keys::Party;
use crate::event::Hash;
use stellar_xdr::{Asset, ContractEvent, ContractEventBody, ContractEventType, Int128Parts, ScMap, ScVal};

/// Digits after the point of every asset's amounts.
pub const DECIMALS: u32 = 7;

/// The meaning of a verified asset contract's event.
#[derive(Debug, PartialEq)]
pub struct Meaning {
    /// The event's name.
    pub name: &'static str,
    /// The asset that the contract stands for.
    pub asset: Asset,
    /// How much, in units of 10^-[`DECIMALS`]; `None` for `set_authorized`.
    pub units: Option<i128>,
    /// Who gave.
    pub from: Option<Party>,
    /// Who got.
    pub to: Option<Party>,
    /// The id inside the receiver.
    pub to_muxed_id: Option<MuxedId>,
}

/// The id inside a receiver, from its muxed address or the transaction's memo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MuxedId {
    /// A number: with the account it makes an `M…` address.
    Number(u64),
    /// Anything else, as text.
    Text(Box<str>),
}

impl MuxedId {
    /// As text.
    pub fn text(&self) -> Box<str> {
        match self {
            MuxedId::Number(id) => id.to_string().into(),
            MuxedId::Text(text) => text.clone(),
        }
    }
}

/// Reads an event, if its contract is truly an asset's own and the event has the form of one of its
/// movements.
pub fn meaning(event: &ContractEvent, contracts: &mut AssetContracts) -> Option<Meaning> {
    // Diagnostic events repeat what others tell, and the host itself moves nothing.
    if event.type_ != ContractEventType::Contract {
        return None;
    }
    let contract = &event.contract_id.as_ref()?.0.0;
    let ContractEventBody::V0(body) = &event.body;
    let [ScVal::Symbol(name), arguments @ ..] = &body.topics[..] else { return None };
    let name = name.0.as_slice();
    if name == b"fee" {
        // The one movement that does not name its asset.
        let [payer] = arguments else { return None };
        let (from, units) = (party(payer)?, number(&body.data)?);
        let fee = Meaning {
            name: "fee",
            asset: Asset::Native,
            units: Some(units),
            from: Some(from),
            to: None,
            to_muxed_id: None,
        };
        return contracts.is_native(contract).then_some(fee);
    }
    let [parties @ .., ScVal::String(named)] = arguments else { return None };
    let (name, from, to) = match (name, parties) {
        (b"transfer", [from, to]) => ("transfer", Some(party(from)?), Some(party(to)?)),
        (b"burn", [from]) => ("burn", Some(party(from)?), None),
        // Before Protocol 23 the admin stood before the party.
        (b"mint", [to] | [_, to]) => ("mint", None, Some(party(to)?)),
        (b"clawback", [from] | [_, from]) => ("clawback", Some(party(from)?), None),
        (b"set_authorized", [_] | [_, _]) => ("set_authorized", None, None),
        _ => return None,
    };
    let (units, to_muxed_id) = match name {
        "set_authorized" => (None, None),
        _ => amount(&body.data).map(|(units, id)| (Some(units), id))?,
    };
    let asset = contracts.verify(contract, std::str::from_utf8(named.0.as_slice()).ok()?)?;
    Some(Meaning { name, asset, units, from, to, to_muxed_id })
}

fn party(value: &ScVal) -> Option<Party> {
    match value {
        ScVal::Address(address) => Some(address.into()),
        _ => None,
    }
}

fn number(value: &ScVal) -> Option<i128> {
    match value {
        ScVal::I128(Int128Parts { hi, lo }) => Some(i128::from(*hi) << 64 | i128::from(*lo)),
        _ => None,
    }
}

/// An amount alone, or a map of amount and receiver id.
fn amount(data: &ScVal) -> Option<(i128, Option<MuxedId>)> {
    let ScVal::Map(Some(ScMap(entries))) = data else { return Some((number(data)?, None)) };
    let named = |name: &[u8]| {
        let is_named = |key: &ScVal| matches!(key, ScVal::Symbol(symbol) if symbol.0.as_slice() == name);
        entries.iter().find(|entry| is_named(&entry.key)).map(|entry| &entry.val)
    };
    let id = named(b"to_muxed_id").and_then(|id| match id {
        ScVal::U64(id) => Some(MuxedId::Number(*id)),
        ScVal::String(text) => Some(MuxedId::Text(String::from_utf8_lossy(text.0.as_slice()).into())),
        ScVal::Bytes(bytes) => {
            // A hash memo; bytes of another length are no receiver's id.
            let hash = bytes.0.as_slice().try_into().ok()?;
            Some(MuxedId::Text(Hash(hash).to_string().into()))
        }
        _ => None,
    });
    Some((number(named(b"amount")?)?, id))
}
