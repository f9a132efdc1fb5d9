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

#[test]
fn every_operation_that_trades() {
    let pool = PoolId(stellar_xdr::Hash([9; 32]));
    let atom = |sold, bought| {
        ClaimAtom::LiquidityPool(ClaimLiquidityAtom {
            liquidity_pool_id: pool.clone(),
            asset_sold: usdc(),
            amount_sold: sold,
            asset_bought: Asset::Native,
            amount_bought: bought,
        })
    };
    let atoms: VecM<ClaimAtom> = vec![atom(0, 0), atom(4, 10)].try_into().unwrap();
    let last = SimplePaymentResult { destination: account(2), asset: usdc(), amount: 4 };
    let offers =
        ManageOfferSuccessResult { offers_claimed: atoms.clone(), offer: ManageOfferSuccessResultOffer::Deleted };
    let results = [
        OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(offers.clone())),
        OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(offers.clone())),
        OperationResultTr::CreatePassiveSellOffer(ManageSellOfferResult::Success(offers)),
        OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::Success(
            PathPaymentStrictReceiveResultSuccess { offers: atoms.clone(), last: last.clone() },
        )),
        OperationResultTr::PathPaymentStrictSend(PathPaymentStrictSendResult::Success(
            PathPaymentStrictSendResultSuccess { offers: atoms, last },
        )),
    ];
    // The taker is who the operation acts for, by its account.
    let taker = MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id: 8, ed25519: Uint256([5; 32]) });
    let sent = results.map(|result| {
        let acting = Operation { source_account: Some(taker.clone()), body: OperationBody::Inflation };
        (acting, inner(result))
    });
    let events = map(TESTNET, 9, vec![applied(1, Memo::None, sent.into(), Vec::new())]);
    let trades = of_kind(&events, &[EventKind::Trade]);
    assert_eq!(trades.len(), 5);
    let (pool, buyer) = (pool.to_string(), account(5).to_string());
    for (at, event) in trades.iter().enumerate() {
        // Atoms that moved nothing take no number.
        assert_eq!((&*event.id, event.place.sub), (&*format!("{}-t0", toid(9, 1, at as u32)), at as u64));
        let Body::Trade(body) = &event.body else { panic!() };
        assert_eq!((&*body.seller, &*body.buyer, body.pool.as_deref()), (&*pool, &*buyer, Some(&*pool)));
        assert_eq!((&*body.sold.code, &*body.bought.id), ("USDC", "native"));
        assert_eq!(body.price, Some(("10".into(), "4".into())), "bought / sold");
        assert_eq!(body.bought_amount, Some(Amount::from_units(10, 7)));
        let names = [&pool, &buyer, &taker.to_string()];
        assert_eq!(event.subjects, names.map(|name| format!("account:{name}").into()));
        let keys: Vec<_> = event.assets.iter().flat_map(|asset| &asset.keys).map(|key| &**key).collect();
        assert!(keys.contains(&"USDC") && keys.contains(&"native"));
    }
}
