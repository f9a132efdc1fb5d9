//! Assets exchanged on the order books and in the pools, from the claim atoms of the results.

use super::keys::{Names, Party, Subjects};
use super::mapping::toid;
use super::meaning::DECIMALS;
use super::transaction::View;
use crate::event::{Amount, Body, Event, EventKind, Place, Trade};
use stellar_xdr::{
    Asset, ClaimAtom, ManageBuyOfferResult, ManageSellOfferResult, OperationResult, OperationResultTr,
    PathPaymentStrictReceiveResult, PathPaymentStrictSendResult,
};

/// The three forms of a claim atom as one.
struct Claim<'a> {
    maker: Party,
    offer: Option<i64>,
    sold: &'a Asset,
    sold_units: i64,
    bought: &'a Asset,
    bought_units: i64,
}

/// Appends the trades of a successful transaction.
pub fn append(view: &View<'_>, names: &mut Names, events: &mut Vec<Event>) {
    let Some(results) = view.results else { return };
    let mut in_transaction = 0;
    for (operation, (sent, result)) in view.operations.iter().zip(results).enumerate() {
        let taker = view.source_of(sent);
        // Atoms that moved nothing exist; they are no trades.
        let claims = atoms(result).iter().map(claim).filter(|claim| claim.sold_units != 0 || claim.bought_units != 0);
        for (in_operation, claim) in claims.enumerate() {
            let id = format!("{}-t{in_operation}", toid(view.ledger, view.order, operation as u32));
            let place = Place::new(view.order, EventKind::Trade, in_transaction);
            events.push(event(view, id, place, taker, &claim, names));
            in_transaction += 1;
        }
    }
}

fn event(view: &View<'_>, id: String, place: Place, taker: Party, claim: &Claim<'_>, names: &mut Names) -> Event {
    let mut subjects = Subjects::default();
    names.add_subjects(claim.maker, &mut subjects);
    names.add_subjects(taker, &mut subjects);
    let seller = names.name(claim.maker);
    let sold_amount = Some(Amount::from_units(claim.sold_units.into(), DECIMALS));
    let bought_amount = Some(Amount::from_units(claim.bought_units.into(), DECIMALS));
    let price = || (claim.bought_units.to_string().into(), claim.sold_units.to_string().into());
    let body = Trade {
        pool: matches!(claim.maker, Party::Pool(_)).then(|| seller.clone()),
        seller,
        buyer: names.name(taker.base()),
        sold: names.asset(claim.sold),
        sold_amount: sold_amount.clone(),
        bought: names.asset(claim.bought),
        bought_amount: bought_amount.clone(),
        price: (claim.sold_units != 0).then(price),
        offer: claim.offer.map(|offer| offer.to_string().into()),
    };
    Event {
        id: id.into(),
        kind: EventKind::Trade,
        place,
        transaction_hash: Some(view.hash),
        subjects: subjects.into_keys(),
        assets: vec![names.asset_keys(claim.sold, sold_amount), names.asset_keys(claim.bought, bought_amount)],
        body: Body::Trade(Box::new(body)),
        native: None,
    }
}

/// The offers that an operation took.
fn atoms(result: &OperationResult) -> &[ClaimAtom] {
    let OperationResult::OpInner(result) = result else { return &[] };
    match result {
        OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(success))
        | OperationResultTr::CreatePassiveSellOffer(ManageSellOfferResult::Success(success))
        | OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(success)) => &success.offers_claimed,
        OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::Success(success)) => {
            &success.offers
        }
        OperationResultTr::PathPaymentStrictSend(PathPaymentStrictSendResult::Success(success)) => &success.offers,
        _ => &[],
    }
}

fn claim(atom: &ClaimAtom) -> Claim<'_> {
    match atom {
        ClaimAtom::V0(atom) => Claim {
            maker: Party::Account(atom.seller_ed25519.0),
            offer: Some(atom.offer_id),
            sold: &atom.asset_sold,
            sold_units: atom.amount_sold,
            bought: &atom.asset_bought,
            bought_units: atom.amount_bought,
        },
        ClaimAtom::OrderBook(atom) => Claim {
            maker: (&atom.seller_id).into(),
            offer: Some(atom.offer_id),
            sold: &atom.asset_sold,
            sold_units: atom.amount_sold,
            bought: &atom.asset_bought,
            bought_units: atom.amount_bought,
        },
        ClaimAtom::LiquidityPool(atom) => Claim {
            maker: (&atom.liquidity_pool_id).into(),
            offer: None,
            sold: &atom.asset_sold,
            sold_units: atom.amount_sold,
            bought: &atom.asset_bought,
            bought_units: atom.amount_bought,
        },
    }
}
