//! What happens: one transaction after the other, chosen by chance and by what the state allows.

use std::collections::VecDeque;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::action::{Action, Draft, FILL_OR_KILL, IMMEDIATE, Payment, Way};
use super::amount::{Amount, Asset, XRP, portion};
use super::engine::{POOL, pool_price};
use super::genesis::VISITORS;
use super::market::{Limits, Market, Parties};
use super::state::State;
use super::world::{BOOKS, EUR, Id, Index, TINY, USD, World, check_index, worth};

/// Offers that rest at most, for each direction of each book: the memory is bounded, and so is a walk over a book.
const MAX_OFFERS: usize = 25 * 2 * BOOKS.len();

/// A book with no more offers than these is left alone.
const THIN: usize = 2;

/// Checks that wait at most.
const MAX_CHECKS: usize = 20;

/// Accounts that come and go, at most so many at once.
const MAX_VISITORS: usize = 16;

/// An account can be deleted so many ledgers after the one that made it.
const DELETABLE_AFTER: u32 = 256;

const XRP_DROPS: i128 = 1_000_000;

/// Beyond these, in drops of the same worth, an account gives back or is given: so nobody runs dry, and no balance
/// reaches the 16 digits.
const TOO_LITTLE: i128 = 500 * XRP_DROPS;
const TOO_MUCH: i128 = 15_000 * XRP_DROPS;

/// What traffic remembers from ledger to ledger, besides the state.
pub(super) struct Traffic {
    /// Who came, with the ledger that it came in; oldest first.
    visitors: VecDeque<(Id, u32)>,
    /// How many have come.
    arrived: u64,
    /// Checks that were written, oldest first; some failed.
    checks: VecDeque<Index>,
}

impl Traffic {
    pub fn new(world: &World) -> Self {
        let visitors = (0..VISITORS).map(|number| (world.visitor(number), 1)).collect();
        Self { visitors, arrived: VISITORS, checks: VecDeque::new() }
    }
}

/// Chooses the transactions of one ledger.
pub(super) struct Planner<'a> {
    pub world: &'a World,
    pub state: &'a mut State,
    pub traffic: &'a mut Traffic,
    pub rng: ChaCha8Rng,
}

impl Planner<'_> {
    /// The next transaction.
    pub fn next(&mut self) -> Draft {
        for _ in 0..8 {
            if let Some(mut draft) = self.any() {
                if self.rng.random_ratio(1, 12) {
                    draft.memo = Some(format!("order {}", self.rng.random_range(1_000..10_000)));
                }
                return draft;
            }
        }
        let to = self.world.trader(&mut self.rng);
        self.payment(self.world.treasury, to, self.world.treasury_gift())
    }

    /// So many drops to the account whose turn it is, from somebody who is none of them.
    pub fn in_turn(&mut self, turn: u64) -> Draft {
        let accounts = &self.world.accounts;
        let to = accounts[(turn % accounts.len() as u64) as usize];
        let drops = self.rng.random_range(1..=1_000);
        direct(self.world.treasury, to, Amount::new(XRP, drops))
    }

    fn any(&mut self) -> Option<Draft> {
        match self.rng.random_range(0..100) {
            0..24 => self.xrp_payment(),
            24..34 => self.token_payment(),
            34..39 => self.partial_payment(),
            39..46 => self.book_payment(),
            46..49 => self.bridge_payment(),
            49..65 => self.resting_offer(),
            65..76 => self.crossing_offer(),
            76..80 => self.cancel(),
            80..86 => self.swap(),
            86..88 => self.trust(),
            88..91 => self.check(),
            91..93 => self.visit(),
            _ => self.failure(),
        }
    }

    /// An amount between a tenth and some hundred XRP, or of that worth.
    fn amount(&mut self, asset: Asset) -> Amount {
        let mut drops = self.rng.random_range(1..=9) * 10_i128.pow(self.rng.random_range(5..=8));
        if self.rng.random_ratio(1, 2) {
            drops += self.rng.random_range(0..drops);
        }
        Amount::new(asset, worth(asset, drops))
    }

    /// What an account has of an asset, in drops of the same worth.
    fn wealth(&self, id: &Id, asset: Asset) -> i128 {
        portion(self.state.funds(self.world, id, asset), XRP_DROPS, worth(asset, XRP_DROPS))
    }

    fn payment(&mut self, from: Id, to: Id, amount: Amount) -> Draft {
        let mut draft = direct(from, to, amount);
        if self.rng.random_ratio(1, 3) {
            draft.destination_tag = Some(self.rng.random_range(0..5_000_000));
        }
        draft
    }

    fn xrp_payment(&mut self) -> Option<Draft> {
        let from = self.world.trader(&mut self.rng);
        let wealth = self.wealth(&from, XRP);
        if wealth < TOO_LITTLE {
            return Some(self.payment(self.world.treasury, from, self.world.treasury_gift()));
        }
        if wealth > TOO_MUCH {
            return Some(self.payment(from, self.world.treasury, Amount::new(XRP, wealth / 2)));
        }
        let to = self.world.other(&mut self.rng, from);
        let amount = if self.rng.random_ratio(1, 20) { Amount::new(XRP, 1) } else { self.amount(XRP) };
        Some(self.payment(from, to, Amount::new(XRP, amount.units.min(wealth / 10).max(1))))
    }

    /// A token, and somebody who has it.
    fn holder(&mut self) -> (Id, Asset) {
        let asset = [USD, USD, EUR, TINY][self.rng.random_range(0..4)];
        (self.world.trader(&mut self.rng), asset)
    }

    fn token_payment(&mut self) -> Option<Draft> {
        let (from, asset) = self.holder();
        let issuer = self.world.issuer(asset)?;
        self.state.line(self.world, &from, asset)?;
        let wealth = self.wealth(&from, asset);
        if wealth < TOO_LITTLE || (wealth < TOO_MUCH / 3 && self.rng.random_ratio(1, 6)) {
            let amount = self.amount(asset).units + worth(asset, TOO_LITTLE);
            return Some(self.payment(issuer, from, Amount::new(asset, amount)));
        }
        let mut amount = self.amount(asset);
        amount.units = amount.units.min(self.state.funds(self.world, &from, asset) / 4);
        if wealth > TOO_MUCH || self.rng.random_ratio(1, 10) {
            return Some(self.payment(from, issuer, amount));
        }
        let to = self.world.other_trader(&mut self.rng, from);
        self.state.can_take(self.world, &to, asset).then(|| self.payment(from, to, amount))
    }

    /// More is asked for than `send_max` buys.
    fn partial_payment(&mut self) -> Option<Draft> {
        let (from, asset) = self.holder();
        let to = self.world.other_trader(&mut self.rng, from);
        let amount = self.amount(asset);
        let funds = self.state.funds(self.world, &from, asset);
        let fits = self.state.can_take(self.world, &to, asset) && amount.units < funds;
        let asked = Amount::new(asset, amount.units * self.rng.random_range(2..1_000));
        let payment = Payment { to, amount: asked, send_max: Some(amount), partial: true, way: Way::Direct };
        fits.then(|| Draft::new(from, Action::Payment(payment)))
    }

    /// A book in either direction.
    fn book(&mut self) -> (Asset, Asset) {
        let (one, other) = BOOKS[self.rng.random_range(0..BOOKS.len())];
        if self.rng.random_ratio(1, 2) { (one, other) } else { (other, one) }
    }

    fn book_payment(&mut self) -> Option<Draft> {
        let book = self.book();
        self.state.offers(book).nth(THIN)?;
        let best = self.state.offers(book).next()?.gets;
        let units = (best.units * self.rng.random_range(1..=25) / 10).max(1);
        let from = self.world.trader(&mut self.rng);
        let parties = Parties { payer: Some(from), receiver: Some(from) };
        let spend = self.state.funds(self.world, &from, book.0);
        let limits = Limits { want: units, spend, rate: None };
        let taken = self.market().only_ask(|market| market.take(book, parties, limits));
        self.exchange(from, (book.0, taken.paid), (book.1, taken.got), Way::Book)
    }

    fn bridge_payment(&mut self) -> Option<Draft> {
        let (source, target) = if self.rng.random_ratio(1, 2) { (USD, EUR) } else { (EUR, USD) };
        let best = self.state.offers((XRP, target)).next()?.gets;
        let units = (best.units * self.rng.random_range(1..=15) / 10).max(1);
        let from = self.world.trader(&mut self.rng);
        let into = Parties { payer: Some(from), receiver: None };
        let out = Parties { payer: None, receiver: Some(from) };
        let spend = self.state.funds(self.world, &from, source);
        let end = Limits { want: units, spend: 1_000_000 * XRP_DROPS, rate: None };
        let end = self.market().only_ask(|market| market.take((XRP, target), out, end));
        let middle = Limits { want: end.paid, spend, rate: None };
        let middle = self.market().only_ask(|market| market.take((source, XRP), into, middle));
        (middle.got == end.paid).then_some(())?;
        self.exchange(from, (source, middle.paid), (target, end.got), Way::Bridge)
    }

    /// A payment that turns one asset into another, at a price that was just asked for.
    fn exchange(
        &mut self,
        from: Id,
        (source, cost): (Asset, i128),
        (target, units): (Asset, i128),
        way: Way,
    ) -> Option<Draft> {
        // Now and then to oneself: a trade in the form of a payment.
        let to = if self.rng.random_ratio(1, 8) { from } else { self.world.other_trader(&mut self.rng, from) };
        let has = self.state.funds(self.world, &from, source);
        if units == 0 || cost == 0 || cost >= has || !self.state.can_take(self.world, &to, target) {
            return None;
        }
        let partial = self.rng.random_ratio(1, 3);
        let (amount, send_max) = match partial {
            // Much is asked for, and what it may cost decides.
            true => (units * self.rng.random_range(2..6), cost),
            false => (units, cost + cost / 100 + 1),
        };
        let (amount, send_max) = (Amount::new(target, amount), Some(Amount::new(source, send_max)));
        Some(Draft::new(from, Action::Payment(Payment { to, amount, send_max, partial, way })))
    }

    fn resting_offer(&mut self) -> Option<Draft> {
        let (pays, gets) = self.book();
        let account = self.world.trader(&mut self.rng);
        let drops = self.rng.random_range(10 * XRP_DROPS..300 * XRP_DROPS);
        let units = worth(gets, drops);
        let asked = worth(pays, drops * self.rng.random_range(1_010..1_060) / 1_000);
        let funds = self.state.funds(self.world, &account, gets);
        let fits = self.state.count_offers() < MAX_OFFERS
            && units < funds / 2
            && self.state.can_take(self.world, &account, pays);
        let own = self.state.offers((pays, gets)).find(|offer| offer.account == account).map(|offer| offer.sequence);
        let replaces = own.filter(|_| self.rng.random_ratio(1, 3));
        let (pays, gets) = (Amount::new(pays, asked), Amount::new(gets, units));
        fits.then(|| Draft::new(account, Action::Offer { pays, gets, flags: 0, replaces }))
    }

    /// An offer against the best one of the other direction: for a part of it, for all of it, or for more.
    fn crossing_offer(&mut self) -> Option<Draft> {
        let (pays, gets) = self.book();
        if self.state.offers((gets, pays)).nth(THIN).is_none() {
            return self.resting_offer();
        }
        let best = self.state.offers((gets, pays)).next()?;
        let (wanted, price, maker) = (best.gets.units, best.pays.units, best.account);
        let tenths = [2, 5, 10, 10, 20, 30][self.rng.random_range(0..6)];
        let account = self.world.other_trader(&mut self.rng, maker);
        // A little more than the price, since what is paid is rounded up.
        let (wanted, price) = ((wanted * tenths / 10).max(1), price * tenths / 10 + 1);
        let flags = match self.rng.random_range(0..12) {
            0 | 1 => IMMEDIATE,
            2 if tenths <= 10 => FILL_OR_KILL,
            _ => 0,
        };
        let funds = self.state.funds(self.world, &account, gets);
        let fits = price < funds && self.state.can_take(self.world, &account, pays);
        let (pays, gets) = (Amount::new(pays, wanted), Amount::new(gets, price));
        fits.then(|| Draft::new(account, Action::Offer { pays, gets, flags, replaces: None }))
    }

    fn cancel(&mut self) -> Option<Draft> {
        let book = self.book();
        let count = self.state.offers(book).count();
        (count > 2).then_some(())?;
        // Mostly those far from the price.
        let place = count - 1 - self.rng.random_range(0..count / 2);
        let offer = self.state.offers(book).nth(place)?;
        Some(Draft::new(offer.account, Action::Cancel { sequence: offer.sequence }))
    }

    fn swap(&mut self) -> Option<Draft> {
        let from = self.world.trader(&mut self.rng);
        // Back to where it began, when the price has gone far.
        let to_xrp = match self.state.funds(self.world, &self.world.pool, XRP) / XRP_DROPS {
            25_000.. => true,
            ..16_000 => false,
            _ => self.rng.random_ratio(1, 2),
        };
        let (source, target) = if to_xrp { (POOL.1, POOL.0) } else { POOL };
        let pool = |asset| self.state.funds(self.world, &self.world.pool, asset);
        let (has, of) = (pool(source), pool(target));
        let units = self.amount(target).units.min(of / 50).max(1);
        self.exchange(from, (source, pool_price(has, of, units)), (target, units), Way::Pool)
    }

    fn trust(&mut self) -> Option<Draft> {
        let (account, asset) = self.holder();
        let limit = 10_i128.pow(self.rng.random_range(9..=14));
        Some(Draft::new(account, Action::Trust { asset, limit }))
    }

    fn check(&mut self) -> Option<Draft> {
        let waiting = self.traffic.checks.len();
        if waiting < 3 || (waiting < MAX_CHECKS && self.rng.random_ratio(1, 2)) {
            let (account, token) = self.holder();
            let to = self.world.other_trader(&mut self.rng, account);
            let asset = if self.rng.random_ratio(1, 2) { XRP } else { token };
            let send_max = self.amount(asset);
            let sequence = self.state.account(&account)?.sequence;
            let fits = send_max.units < self.state.funds(self.world, &account, asset) / 4
                && self.state.can_take(self.world, &to, asset);
            fits.then_some(())?;
            self.traffic.checks.push_back(check_index(&account, sequence));
            return Some(Draft::new(account, Action::CheckCreate { to, send_max }));
        }
        let check = self.traffic.checks.pop_front()?;
        let Some(super::entry::Body::Check(known)) = self.state.get(&check).map(|entry| &entry.body) else {
            return None;
        };
        if self.rng.random_ratio(1, 8) {
            return Some(Draft::new(known.account, Action::CheckCancel { check }));
        }
        let amount = Amount::new(known.send_max.asset, (known.send_max.units / 2).max(1));
        let flexible = self.rng.random_ratio(1, 2);
        Some(Draft::new(known.destination, Action::CheckCash { check, amount, flexible }))
    }

    /// Somebody comes, or goes.
    fn visit(&mut self) -> Option<Draft> {
        let ledger = self.state.ledger;
        let is_old = |(_, since): &&(Id, u32)| since + DELETABLE_AFTER <= ledger;
        let leaves = self.rng.random_ratio(1, 2) || self.traffic.visitors.len() >= MAX_VISITORS;
        if leaves && self.traffic.visitors.front().filter(is_old).is_some() {
            let (account, _) = self.traffic.visitors.pop_front()?;
            self.state.account(&account)?;
            let to = self.world.trader(&mut self.rng);
            return Some(Draft::new(account, Action::Delete { to }));
        }
        (self.traffic.visitors.len() < MAX_VISITORS).then_some(())?;
        let visitor = self.world.visitor(self.traffic.arrived);
        self.traffic.arrived += 1;
        self.traffic.visitors.push_back((visitor, ledger));
        let drops = self.rng.random_range(20 * XRP_DROPS..100 * XRP_DROPS);
        Some(self.payment(self.world.treasury, visitor, Amount::new(XRP, drops)))
    }

    /// Something that is charged and does nothing.
    fn failure(&mut self) -> Option<Draft> {
        let (from, token) = self.holder();
        let treasury = self.world.treasury;
        let (drops, funds) = (self.wealth(&from, XRP), self.state.funds(self.world, &from, token));
        Some(match self.rng.random_range(0..7) {
            // The treasury has no tokens, and nobody can give it any: tecUNFUNDED_OFFER and tecPATH_DRY.
            0 => {
                let (pays, gets) = (self.amount(XRP), self.amount(token));
                Draft::new(treasury, Action::Offer { pays, gets, flags: 0, replaces: None })
            }
            1 => direct(from, treasury, self.amount(token)),
            // tecUNFUNDED_PAYMENT, and tecPATH_PARTIAL for tokens.
            2 => direct(from, treasury, Amount::new(XRP, drops + 1)),
            3 if funds > 0 => direct(from, self.world.issuer(token)?, Amount::new(token, funds * 2)),
            // tecNO_DST_INSUF_XRP
            4 => direct(from, self.world.nobody(), Amount::new(XRP, 1)),
            // tecKILLED: far too cheap
            5 => {
                let (pays, gets) = self.book();
                let (pays, gets) = (self.amount(pays), Amount::new(gets, 1));
                (self.state.funds(self.world, &from, gets.asset) > 0).then_some(())?;
                Draft::new(from, Action::Offer { pays, gets, flags: FILL_OR_KILL, replaces: None })
            }
            // tecNO_ENTRY
            6 => {
                let check = check_index(&treasury, self.rng.random());
                let amount = self.amount(XRP);
                Draft::new(from, Action::CheckCash { check, amount, flexible: false })
            }
            _ => return None,
        })
    }

    fn market(&mut self) -> Market<'_> {
        Market { world: self.world, state: self.state }
    }
}

fn direct(from: Id, to: Id, amount: Amount) -> Draft {
    Draft::new(from, Action::Payment(Payment { to, amount, send_max: None, partial: false, way: Way::Direct }))
}
