//! Transactions that take offers: path payments through books and pools, and new offers.

use rand::RngExt;
use stellar_xdr::{
    Asset, ClaimAtom, ClaimLiquidityAtom, ClaimOfferAtom, ClaimOfferAtomV0, ContractEvent, CreatePassiveSellOfferOp,
    ManageBuyOfferOp, ManageBuyOfferResult, ManageOfferSuccessResult, ManageOfferSuccessResultOffer, ManageSellOfferOp,
    ManageSellOfferResult, OfferEntry, OfferEntryExt, OperationBody, OperationResultTr, PathPaymentStrictReceiveOp,
    PathPaymentStrictReceiveResult, PathPaymentStrictReceiveResultSuccess, PathPaymentStrictSendOp,
    PathPaymentStrictSendResult, PathPaymentStrictSendResultSuccess, Price, ScAddress, SimplePaymentResult, Uint256,
};

use super::draft::{Act, Draft, Maker, inner, operation};
use super::events::{address, movement, receiver_id};
use super::world::{AssetIndex, Key, Xdr, account_id};

/// Most assets that a path goes through, first and last not counted.
const MAX_BETWEEN: usize = 2;

/// What a taker paid and got on the way from one asset to another.
struct Chain {
    atoms: Vec<ClaimAtom>,
    /// Both legs of each atom.
    events: Vec<ContractEvent>,
    /// The assets in between.
    path: Vec<Asset>,
    paid: i64,
    got: i64,
}

impl Maker<'_> {
    /// Sends one asset, delivers another, or the same if there are no atoms; to a friend, or to
    /// oneself as arbitrageurs do.
    pub(super) fn path_payment(&mut self, atoms: usize) -> Xdr<Draft> {
        let source = self.account();
        let memo = self.memo()?;
        let send = self.world.asset(&mut self.rng);
        let (dest, chain) = if atoms == 0 {
            let amount = self.amount(send);
            let nothing = Chain { atoms: vec![], events: vec![], path: vec![], paid: amount, got: amount };
            (send, nothing)
        } else {
            let dest = self.asset_except(&[send]);
            (dest, self.chain(source, send, dest, atoms, MAX_BETWEEN)?)
        };
        let to = if self.one_in(5) { source } else { self.other_account(source) };
        let to_muxed = self.receiver(to);
        let delivered = &self.world.assets[dest];
        let id = receiver_id(&to_muxed, &memo)?;
        let mut events = chain.events;
        events.push(movement(delivered, &address(source), &address(to), chain.got, id)?);
        let last =
            SimplePaymentResult { destination: account_id(to), asset: delivered.asset.clone(), amount: chain.got };
        let send_asset = self.world.assets[send].asset.clone();
        let dest_asset = delivered.asset.clone();
        let (offers, path) = (chain.atoms.try_into()?, chain.path.try_into()?);
        let (body, result) = if self.one_in(2) {
            (
                OperationBody::PathPaymentStrictSend(PathPaymentStrictSendOp {
                    send_asset,
                    send_amount: chain.paid,
                    destination: to_muxed,
                    dest_asset,
                    dest_min: (chain.got - chain.got / 100).max(1),
                    path,
                }),
                OperationResultTr::PathPaymentStrictSend(PathPaymentStrictSendResult::Success(
                    PathPaymentStrictSendResultSuccess { offers, last },
                )),
            )
        } else {
            (
                OperationBody::PathPaymentStrictReceive(PathPaymentStrictReceiveOp {
                    send_asset,
                    send_max: chain.paid.saturating_add(chain.paid / 100),
                    destination: to_muxed,
                    dest_asset,
                    dest_amount: chain.got,
                    path,
                }),
                OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::Success(
                    PathPaymentStrictReceiveResultSuccess { offers, last },
                )),
            )
        };
        let act = Act { operation: operation(None, body), result: inner(result), events, changes: Vec::new() };
        Ok(self.classic(source, memo, vec![act]))
    }

    pub(super) fn offer(&mut self, atoms: usize, empty: bool) -> Xdr<Draft> {
        let source = self.account();
        let memo = self.memo()?;
        let act = self.offer_act(source, atoms, empty)?;
        Ok(self.classic(source, memo, vec![act]))
    }

    /// One of the three offer operations, which takes `atoms` others and puts the rest, if there
    /// is one, into the book.
    pub(super) fn offer_act(&mut self, source: Key, atoms: usize, empty: bool) -> Xdr<Act> {
        let sell = self.world.asset(&mut self.rng);
        let buy = self.asset_except(&[sell]);
        let mut chain = if atoms == 0 {
            let (paid, got) = (0, 0);
            Chain { atoms: vec![], events: vec![], path: vec![], paid, got }
        } else {
            self.chain(source, sell, buy, atoms, 0)?
        };
        if empty {
            let maker = self.other_account(source);
            self.take(&mut chain, source, Counterparty::Account(maker), (sell, 0), (buy, 0))?;
        }
        let price = price(self.world.assets[sell].worth, self.world.assets[buy].worth);
        let selling = self.world.assets[sell].asset.clone();
        let buying = self.world.assets[buy].asset.clone();
        // Without a counterparty all of it stays in the book.
        let rest = if atoms == 0 || self.one_in(2) { self.amount(sell) } else { 0 };
        let entered = if rest == 0 {
            ManageOfferSuccessResultOffer::Deleted
        } else {
            ManageOfferSuccessResultOffer::Created(OfferEntry {
                seller_id: account_id(source),
                offer_id: self.rng.random_range(1..1_000_000_000),
                selling: selling.clone(),
                buying: buying.clone(),
                amount: rest,
                price: price.clone(),
                flags: 0,
                ext: OfferEntryExt::V0,
            })
        };
        let amount = chain.paid.saturating_add(rest);
        let success = ManageOfferSuccessResult { offers_claimed: chain.atoms.try_into()?, offer: entered };
        let (body, result) = match self.rng.random_range(0..6) {
            0 => (
                OperationBody::CreatePassiveSellOffer(CreatePassiveSellOfferOp { selling, buying, amount, price }),
                OperationResultTr::CreatePassiveSellOffer(ManageSellOfferResult::Success(success)),
            ),
            1 => (
                OperationBody::ManageBuyOffer(ManageBuyOfferOp {
                    selling,
                    buying,
                    buy_amount: chain.got.max(1),
                    price: Price { n: price.d, d: price.n },
                    offer_id: 0,
                }),
                OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(success)),
            ),
            _ => (
                OperationBody::ManageSellOffer(ManageSellOfferOp { selling, buying, amount, price, offer_id: 0 }),
                OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(success)),
            ),
        };
        Ok(Act { operation: operation(None, body), result: inner(result), events: chain.events, changes: Vec::new() })
    }

    /// Goes from `send` to `dest` in `atoms` (at least 1) steps, over at most `between` other
    /// assets. Each asset on the way is taken from one or more counterparties.
    fn chain(&mut self, taker: Key, send: AssetIndex, dest: AssetIndex, atoms: usize, between: usize) -> Xdr<Chain> {
        let between = self.rng.random_range(0..=between.min(atoms - 1));
        let mut route = vec![send];
        for _ in 0..between {
            let mut taken = route.clone();
            taken.push(dest);
            route.push(self.asset_except(&taken));
        }
        route.push(dest);

        // From a hundred lumens up, so that even one of the dearest asset can be shared out.
        let magnitude = 10_i64.pow(self.rng.random_range(9..15));
        let mut xlm = self.rng.random_range(magnitude..10 * magnitude);
        let paid = self.world.worth(send, xlm);
        let mut chain = Chain {
            atoms: Vec::with_capacity(atoms),
            events: Vec::with_capacity(2 * atoms),
            path: route[1..=between].iter().map(|i| self.world.assets[*i].asset.clone()).collect(),
            paid,
            got: paid,
        };
        let mut atoms_left = atoms;
        for (step, pair) in route.windows(2).enumerate() {
            let steps_left = between - step;
            let here = if steps_left == 0 { atoms_left } else { self.rng.random_range(1..=atoms_left - steps_left) };
            atoms_left -= here;
            // Each step costs up to one percent.
            xlm -= xlm / 10_000 * self.rng.random_range(0..100);
            let bought = chain.got;
            let sold = self.world.worth(pair[1], xlm);
            let weights: Vec<i64> = (0..here).map(|_| self.rng.random_range(50..=100)).collect();
            let shares = share(bought, &weights).into_iter().zip(share(sold, &weights));
            for (bought, sold) in shares {
                let maker = match self.rng.random_range(0..20) {
                    0..6 => Counterparty::Pool,
                    6 => Counterparty::OldAccount(self.other_account(taker)),
                    _ => Counterparty::Account(self.other_account(taker)),
                };
                self.take(&mut chain, taker, maker, (pair[0], bought), (pair[1], sold))?;
            }
            chain.got = sold;
        }
        Ok(chain)
    }

    /// Adds one claim: the maker gets `bought` from the taker and gives `sold`.
    fn take(
        &mut self,
        chain: &mut Chain,
        taker: Key,
        maker: Counterparty,
        (bought, amount_bought): (AssetIndex, i64),
        (sold, amount_sold): (AssetIndex, i64),
    ) -> Xdr<()> {
        let (from, to) = (&self.world.assets[bought], &self.world.assets[sold]);
        let (asset_bought, asset_sold) = (from.asset.clone(), to.asset.clone());
        let offer_id = self.rng.random_range(1..1_000_000_000);
        let (there, atom) = match maker {
            Counterparty::Pool => {
                let pool = self.world.pool(bought, sold)?;
                (
                    ScAddress::LiquidityPool(pool.clone()),
                    ClaimAtom::LiquidityPool(ClaimLiquidityAtom {
                        liquidity_pool_id: pool,
                        asset_sold,
                        amount_sold,
                        asset_bought,
                        amount_bought,
                    }),
                )
            }
            Counterparty::OldAccount(key) => (
                address(key),
                ClaimAtom::V0(ClaimOfferAtomV0 {
                    seller_ed25519: Uint256(key),
                    offer_id,
                    asset_sold,
                    amount_sold,
                    asset_bought,
                    amount_bought,
                }),
            ),
            Counterparty::Account(key) => (
                address(key),
                ClaimAtom::OrderBook(ClaimOfferAtom {
                    seller_id: account_id(key),
                    offer_id,
                    asset_sold,
                    amount_sold,
                    asset_bought,
                    amount_bought,
                }),
            ),
        };
        let here = address(taker);
        chain.events.push(movement(from, &here, &there, amount_bought, None)?);
        chain.events.push(movement(to, &there, &here, amount_sold, None)?);
        chain.atoms.push(atom);
        Ok(())
    }

    fn asset_except(&mut self, taken: &[AssetIndex]) -> AssetIndex {
        loop {
            let index = self.world.asset(&mut self.rng);
            if !taken.contains(&index) {
                return index;
            }
        }
    }
}

/// Who stands on the other side of a claim, and in which form the result names it.
enum Counterparty {
    Account(Key),
    /// The form of ledgers before protocol 18.
    OldAccount(Key),
    Pool,
}

/// Splits `total` in the proportions of `weights`, without loss.
fn share(total: i64, weights: &[i64]) -> Vec<i64> {
    let all: i64 = weights.iter().sum();
    let mut left = total;
    weights
        .iter()
        .enumerate()
        .map(|(i, weight)| {
            let part = i128::from(total) * i128::from(*weight) / i128::from(all);
            // A part of an i64 is an i64.
            let part = if i + 1 == weights.len() { left } else { part as i64 };
            left -= part;
            part
        })
        .collect()
}

/// The price of an asset in another, from the worth of both, as small a fraction as fits.
fn price(of: u64, other: u64) -> Price {
    let (mut n, mut d) = (of, other);
    let limit = i32::MAX as u64;
    while n > limit || d > limit {
        (n, d) = (n / 10, d / 10);
    }
    Price { n: n.max(1) as i32, d: d.max(1) as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        assert_eq!(share(1_111, &[50, 60, 100]).iter().sum::<i64>(), 1_111);
        assert_eq!(share(i64::MAX, &[99, 51]).iter().sum::<i64>(), i64::MAX);
    }

    #[test]
    fn prices_fit_their_fraction() {
        assert_eq!(price(9_000_000_000, 10_000), Price { n: 900_000_000, d: 1_000 });
        assert_eq!(price(9_000_000_000, 30), Price { n: 900_000_000, d: 3 });
    }
}
