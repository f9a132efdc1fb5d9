//! The order books: offers that rest, and those that are taken.

use super::action::{FILL_OR_KILL, IMMEDIATE};
use super::amount::{Amount, Rate, portion, portion_up};
use super::entry::{Body, Offer};
use super::state::{Book, RESERVE_STEP, State, spendable};
use super::world::{Id, World, offer_index, scale};

/// The books of a state.
pub(super) struct Market<'a> {
    pub world: &'a World,
    pub state: &'a mut State,
}

/// Who pays into a book and who gets what comes out; `None`: the other book of a bridge.
#[derive(Clone, Copy)]
pub(super) struct Parties {
    pub payer: Option<Id>,
    pub receiver: Option<Id>,
}

/// How far to go.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Units wanted at most.
    pub want: i128,
    /// Units given for them at most.
    pub spend: i128,
    /// The worst rate, as (spent, got).
    pub rate: Option<(i128, i128)>,
}

/// What was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub got: i128,
    pub paid: i128,
}

impl Market<'_> {
    /// Takes the best offers of a book, one after the other, as far as the limits go. Offers without funds go.
    pub fn take(&mut self, book: Book, parties: Parties, limits: Limits) -> Taken {
        let mut taken = Taken::default();
        while taken.got < limits.want && taken.paid < limits.spend {
            let Some(offer) = self.state.offers(book).next().cloned() else { break };
            if limits.rate.is_some_and(|(spent, got)| offer.pays.units * got > spent * offer.gets.units) {
                break;
            }
            let index = offer_index(&offer.account, offer.sequence);
            let funds = self.state.funds(self.world, &offer.account, book.1).min(offer.gets.units);
            // Who crosses an own offer takes it back; so goes an offer that nobody stands behind any more.
            if funds <= 0 || Some(offer.account) == parties.payer {
                self.state.withdraw(self.world, &index);
                continue;
            }
            let (pays, gets) = (offer.pays.units, offer.gets.units);
            let mut sold = funds.min(limits.want - taken.got);
            let mut paid = portion_up(sold, pays, gets);
            let left = limits.spend - taken.paid;
            if paid > left {
                sold = portion(left, gets, pays);
                paid = portion_up(sold, pays, gets);
            }
            if sold == 0 {
                break;
            }
            self.settle(&offer, parties, Taken { got: sold, paid });
            taken.got += sold;
            taken.paid += paid;
        }
        taken
    }

    /// Moves what one offer gives and gets.
    fn settle(&mut self, offer: &Offer, parties: Parties, part: Taken) {
        let (world, maker) = (self.world, offer.account);
        if let Some(payer) = parties.payer {
            self.state.add(world, &payer, offer.pays.asset, -part.paid);
        }
        self.state.add(world, &maker, offer.pays.asset, part.paid);
        self.state.add(world, &maker, offer.gets.asset, -part.got);
        if let Some(receiver) = parties.receiver {
            self.state.add(world, &receiver, offer.gets.asset, part.got);
        }
        let index = offer_index(&maker, offer.sequence);
        let mut is_empty = false;
        self.state.change(&index, |body| {
            if let Body::Offer(offer) = body {
                offer.gets.units -= part.got;
                offer.pays.units -= part.paid;
                is_empty = offer.gets.units == 0 || offer.pays.units == 0;
            }
        });
        if is_empty {
            self.state.withdraw(world, &index);
        }
    }

    /// Crosses what an offer crosses and lets the rest of it stand.
    pub fn trade(&mut self, mut offer: Offer, flags: u32) -> Result<(), &'static str> {
        let (world, account) = (self.world, offer.account);
        let funds = self.state.funds(world, &account, offer.gets.asset);
        if funds == 0 {
            return Err("tecUNFUNDED_OFFER");
        }
        let limits = Limits {
            want: offer.pays.units,
            spend: offer.gets.units.min(funds),
            rate: Some((offer.gets.units, offer.pays.units)),
        };
        let parties = Parties { payer: Some(account), receiver: Some(account) };
        let taken = if self.state.can_take(world, &account, offer.pays.asset) {
            self.take((offer.gets.asset, offer.pays.asset), parties, limits)
        } else {
            Taken::default()
        };
        if flags & FILL_OR_KILL != 0 && taken.got < limits.want {
            return Err("tecKILLED");
        }
        if flags & IMMEDIATE != 0 {
            return if taken.got == 0 { Err("tecKILLED") } else { Ok(()) };
        }
        let rate = Rate::of((offer.pays.units, scale(offer.pays.asset)), (offer.gets.units, scale(offer.gets.asset)));
        let left = limits.want - taken.got;
        // The rest is wanted at the rate of the whole.
        let rest = portion(left, offer.gets.units, offer.pays.units);
        let can_stand = self.state.funds(world, &account, offer.gets.asset) > 0;
        if left == 0 || rest == 0 || (taken.got > 0 && !can_stand) {
            return Ok(());
        }
        if self.state.account(&account).is_some_and(|account| spendable(account) < RESERVE_STEP) {
            return if taken.got == 0 { Err("tecINSUF_RESERVE_OFFER") } else { Ok(()) };
        }
        offer.pays = Amount::new(offer.pays.asset, left);
        offer.gets = Amount::new(offer.gets.asset, rest);
        offer.rate = rate.bits();
        self.state.place(world, offer);
        Ok(())
    }

    /// What something would give, without doing it.
    pub fn only_ask<T>(&mut self, ask: impl FnOnce(&mut Market<'_>) -> T) -> T {
        let mark = self.state.mark();
        let answer = ask(&mut Market { world: self.world, state: self.state });
        self.state.return_to(mark);
        answer
    }
}
