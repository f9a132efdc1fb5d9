//! Contract events as a node with unified events (CAP-67) reports them.

use stellar_xdr::{
    ContractEvent, ContractEventBody, ContractEventType, ContractEventV0, ContractId, ExtensionPoint, Memo,
    MuxedAccount, ScAddress, ScBytes, ScMap, ScMapEntry, ScString, ScSymbol, ScVal,
};

use super::world::{AssetInfo, Key, World, Xdr, account_id};

/// The event that moves `amount` of `asset` between two addresses.
///
/// From the issuer it is a mint, to the issuer a burn, otherwise a transfer. `id` is what the
/// receiver asked to be known under (see [`receiver_id`]); transfers and mints carry it, burns do
/// not.
pub(super) fn movement(
    asset: &AssetInfo,
    from: &ScAddress,
    to: &ScAddress,
    amount: i64,
    id: Option<ScVal>,
) -> Xdr<ContractEvent> {
    let issuer = asset.issuer.map(address);
    let from_issuer = issuer.as_ref() == Some(from);
    let to_issuer = issuer.as_ref() == Some(to);
    let (name, sides, id) = match (from_issuer, to_issuer) {
        (true, false) => ("mint", vec![to], id),
        (false, true) => ("burn", vec![from], None),
        _ => ("transfer", vec![from, to], id),
    };
    let data = match id {
        None => units(amount),
        Some(id) => ScVal::Map(Some(ScMap(
            vec![
                ScMapEntry { key: symbol("amount")?, val: units(amount) },
                ScMapEntry { key: symbol("to_muxed_id")?, val: id },
            ]
            .try_into()?,
        ))),
    };
    let mut topics = vec![symbol(name)?];
    topics.extend(sides.into_iter().cloned().map(ScVal::Address));
    topics.push(asset.label.clone());
    contract_event(&asset.contract, topics, data)
}

/// The id under which a receiver of a classic operation wants to be known: that of a multiplexed
/// address, else the memo of the transaction.
pub(super) fn receiver_id(to: &MuxedAccount, memo: &Memo) -> Xdr<Option<ScVal>> {
    if let MuxedAccount::MuxedEd25519(muxed) = to {
        return Ok(Some(ScVal::U64(muxed.id)));
    }
    Ok(match memo {
        Memo::None => None,
        Memo::Text(text) => Some(ScVal::String(ScString(text.as_slice().try_into()?))),
        Memo::Id(id) => Some(ScVal::U64(*id)),
        Memo::Hash(hash) | Memo::Return(hash) => Some(ScVal::Bytes(ScBytes(hash.0.try_into()?))),
    })
}

/// The charge of a transaction's fee, or its refund if `stroops` is negative.
pub(super) fn fee(world: &World, payer: Key, stroops: i64) -> Xdr<ContractEvent> {
    let topics = vec![symbol("fee")?, ScVal::Address(address(payer))];
    contract_event(&world.assets[0].contract, topics, units(stroops))
}

pub(super) fn clawback(asset: &AssetInfo, from: Key, amount: i64) -> Xdr<ContractEvent> {
    let topics = vec![symbol("clawback")?, ScVal::Address(address(from)), asset.label.clone()];
    contract_event(&asset.contract, topics, units(amount))
}

pub(super) fn set_authorized(asset: &AssetInfo, id: Key, on: bool) -> Xdr<ContractEvent> {
    let topics = vec![symbol("set_authorized")?, ScVal::Address(address(id)), asset.label.clone()];
    contract_event(&asset.contract, topics, ScVal::Bool(on))
}

pub(super) fn contract_event(contract: &ContractId, topics: Vec<ScVal>, data: ScVal) -> Xdr<ContractEvent> {
    Ok(ContractEvent {
        ext: ExtensionPoint::V0,
        contract_id: Some(contract.clone()),
        type_: ContractEventType::Contract,
        body: ContractEventBody::V0(ContractEventV0 { topics: topics.try_into()?, data }),
    })
}

pub(super) fn address(key: Key) -> ScAddress {
    ScAddress::Account(account_id(key))
}

/// At most 32 letters, digits and underscores.
pub(super) fn symbol(text: &str) -> Xdr<ScVal> {
    Ok(ScVal::Symbol(ScSymbol(text.try_into()?)))
}

pub(super) fn string(text: &str) -> Xdr<ScVal> {
    Ok(ScVal::String(ScString(text.try_into()?)))
}

/// An amount as contracts write it: a signed 128-bit integer.
pub(super) fn units(amount: i64) -> ScVal {
    ScVal::from(i128::from(amount))
}
