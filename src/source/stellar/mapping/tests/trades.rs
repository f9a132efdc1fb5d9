//! Claim atoms of all forms.

use super::*;

#[test]
fn atoms_of_all_forms_and_none_that_moved_nothing() {
    let order_book = |sold, bought| {
        ClaimAtom::OrderBook(ClaimOfferAtom {
            seller_id: account(3),
            offer_id: 11,
            asset_sold: usdc(),
            amount_sold: sold,
            asset_bought: Asset::Native,
            amount_bought: bought,
        })
    };
    let old = ClaimAtom::V0(ClaimOfferAtomV0 {
        seller_ed25519: Uint256([4; 32]),
        offer_id: 12,
        asset_sold: usdc(),
        amount_sold: 1,
        asset_bought: Asset::Native,
        amount_bought: 3,
    });
    let success = ManageOfferSuccessResult {
        offers_claimed: vec![order_book(0, 0), old, order_book(0, 1)].try_into().unwrap(),
        offer: ManageOfferSuccessResultOffer::Deleted,
    };
    let results = [
        OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(success.clone())),
        OperationResultTr::CreatePassiveSellOffer(ManageSellOfferResult::Success(success)),
    ];
    let sent = results.map(|result| (operation(OperationBody::Inflation), inner(result)));
    let events = map(TESTNET, 9, vec![applied(1, Memo::None, sent.into(), Vec::new())]);
    let trades = of_kind(&events, &[EventKind::Trade]);
    let ids: Vec<_> = trades.iter().map(|event| (&*event.id, event.place.sub)).collect();
    let id = |operation, at| format!("{}-t{at}", toid(9, 1, operation));
    assert_eq!(ids, [(&*id(0, 0), 0), (&*id(0, 1), 1), (&*id(1, 0), 2), (&*id(1, 1), 3)]);
    let Body::Trade(old) = &trades[0].body else { panic!() };
    assert_eq!((&*old.seller, &*old.buyer), (&*account(4).to_string(), &*account(1).to_string()));
    let Body::Trade(gift) = &trades[1].body else { panic!() };
    assert_eq!(gift.price, None);
}
