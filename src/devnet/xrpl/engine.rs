//! Carries transactions out on the state, and says what came of them.

use super::action::{Action, Draft, Payment, Way};
use super::amount::{Amount, XRP, portion, portion_up};
use super::entry::{Account, Body, Check, Entry, Line, Offer};
use super::market::{Limits, Market, Parties};
use super::state::{RESERVE_BASE, State};
use super::world::{Id, Index, TINY, World, offer_index};

/// What the market maker keeps of what it is given, in thousandths.
const POOL_FEE: i128 = 5;

pub(super) const SUCCESS: &str = "tesSUCCESS";

/// What came of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub result: &'static str,
    /// What arrived, of payments that succeeded.
    pub delivered: Option<Amount>,
}

/// Why a transaction was charged and did nothing.
type Failed = &'static str;

/// Carries a draft out whose account exists and can pay the fee. The state's journal has the changes.
pub(super) fn apply(world: &World, state: &mut State, draft: &Draft) -> Outcome {
    charge(state, draft);
    match act(world, state, draft) {
        Ok(delivered) => Outcome { result: SUCCESS, delivered },
        Err(result) => {
            state.roll_back();
            charge(state, draft);
            Outcome { result, delivered: None }
        }
    }
}

/// The fee is burnt, whatever becomes of the transaction.
fn charge(state: &mut State, draft: &Draft) {
    state.change_account(&draft.account, |account| {
        account.drops -= draft.fee();
        account.sequence += 1;
    });
}

fn act(world: &World, state: &mut State, draft: &Draft) -> Result<Option<Amount>, Failed> {
    let account = draft.account;
    match &draft.action {
        Action::Payment(payment) => pay(world, state, &account, payment).map(Some),
        Action::Offer { pays, gets, flags, replaces } => {
            if let Some(sequence) = replaces {
                state.withdraw(world, &offer_index(&account, *sequence));
            }
            // The account has been charged, so its number has gone on.
            let sequence = state.account(&account).map_or(0, |account| account.sequence - 1);
            let offer = Offer { account, sequence, pays: *pays, gets: *gets, rate: 0, order: 0 };
            Market { world, state }.trade(offer, *flags)?;
            Ok(None)
        }
        Action::Cancel { sequence } => {
            state.withdraw(world, &offer_index(&account, *sequence));
            Ok(None)
        }
        Action::Trust { asset, limit } => {
            let index = world.line_index(&account, *asset);
            if state.get(&index).is_some() {
                state.change(&index, |body| {
                    if let Body::Line(line) = body {
                        line.limit = *limit;
                    }
                });
            } else {
                let line = Line { holder: account, asset: *asset, units: 0, limit: *limit, pool: false };
                state.insert_owned(world, &account, Body::Line(line));
            }
            Ok(None)
        }
        Action::CheckCreate { to, send_max } => {
            let sequence = state.account(&account).map_or(0, |account| account.sequence - 1);
            let check = Check { account, destination: *to, sequence, send_max: *send_max };
            state.insert_owned(world, &account, Body::Check(check));
            Ok(None)
        }
        Action::CheckCash { check, amount, flexible } => {
            cash(world, state, &account, (check, *amount, *flexible)).map(Some)
        }
        Action::CheckCancel { check } => {
            let owner = check_at(state, check).ok_or("tecNO_ENTRY")?.account;
            state.remove_owned(&owner, check);
            Ok(None)
        }
        Action::Delete { to } => {
            let drops = state.account(&account).map_or(0, |account| account.drops);
            let all = Amount::new(XRP, drops);
            state.give(world, &account, to, all);
            state.remove(&super::world::account_index(&account));
            Ok(Some(all))
        }
    }
}

fn pay(world: &World, state: &mut State, from: &Id, payment: &Payment) -> Result<Amount, Failed> {
    match payment.way {
        Way::Direct if payment.amount.asset == XRP => pay_xrp(world, state, from, payment),
        Way::Direct => pay_token(world, state, from, payment),
        Way::Book | Way::Bridge => exchange(world, state, from, payment),
        Way::Pool => swap(world, state, from, payment),
    }
}

fn pay_xrp(world: &World, state: &mut State, from: &Id, payment: &Payment) -> Result<Amount, Failed> {
    let Payment { to, amount, .. } = *payment;
    if state.funds(world, from, XRP) < amount.units {
        return Err("tecUNFUNDED_PAYMENT");
    }
    if state.account(&to).is_none() {
        if amount.units < RESERVE_BASE {
            return Err("tecNO_DST_INSUF_XRP");
        }
        // New accounts begin to count at the ledger that made them.
        let sequence = state.ledger;
        state.insert(world, Body::Account(Account::new(to, 0, sequence)));
    }
    state.give(world, from, &to, amount);
    Ok(amount)
}

fn pay_token(world: &World, state: &mut State, from: &Id, payment: &Payment) -> Result<Amount, Failed> {
    let Payment { to, amount, send_max, partial, .. } = *payment;
    let asset = amount.asset;
    let funds = state.funds(world, from, asset).min(send_max.map_or(amount.units, |most| most.units));
    if funds == 0 || !state.can_take(world, &to, asset) {
        return Err("tecPATH_DRY");
    }
    if funds < amount.units && !partial {
        return Err("tecPATH_PARTIAL");
    }
    let delivered = Amount::new(asset, funds.min(amount.units));
    state.give(world, from, &to, delivered);
    Ok(delivered)
}

/// Through order books.
fn exchange(world: &World, state: &mut State, from: &Id, payment: &Payment) -> Result<Amount, Failed> {
    let Payment { to, amount, send_max, partial, way } = *payment;
    let most = send_max.unwrap_or(amount);
    if !state.can_take(world, &to, amount.asset) {
        return Err("tecPATH_DRY");
    }
    let spend = most.units.min(state.funds(world, from, most.asset));
    let mut market = Market { world, state };
    let got = if way == Way::Book {
        let parties = Parties { payer: Some(*from), receiver: Some(to) };
        market.take((most.asset, amount.asset), parties, Limits { want: amount.units, spend, rate: None }).got
    } else {
        let into = Parties { payer: Some(*from), receiver: None };
        let out = Parties { payer: None, receiver: Some(to) };
        let first = Limits { want: i128::from(u64::MAX >> 2), spend, rate: None };
        // What the first book can give at most; then what the second one takes of that; then exactly so much.
        let most_xrp = market.only_ask(|market| market.take((most.asset, XRP), into, first).got);
        let second = Limits { want: amount.units, spend: most_xrp, rate: None };
        let needed = market.only_ask(|market| market.take((XRP, amount.asset), out, second).paid);
        let middle = market.take((most.asset, XRP), into, Limits { want: needed, ..first });
        let end = market.take((XRP, amount.asset), out, Limits { spend: middle.got, ..second });
        if middle.got != end.paid {
            return Err("tecPATH_PARTIAL");
        }
        end.got
    };
    match got {
        0 => Err("tecPATH_DRY"),
        got if got < amount.units && !partial => Err("tecPATH_PARTIAL"),
        got => Ok(Amount::new(amount.asset, got)),
    }
}

/// What the market maker asks for so many units of one of its assets, when it has these amounts.
pub(super) fn pool_price(has: i128, of: i128, wanted: i128) -> i128 {
    portion_up(portion_up(has, wanted, of - wanted), 1_000, 1_000 - POOL_FEE)
}

/// Through the market maker: the product of what it has never falls.
fn swap(world: &World, state: &mut State, from: &Id, payment: &Payment) -> Result<Amount, Failed> {
    let Payment { to, amount, send_max, partial, .. } = *payment;
    let most = send_max.unwrap_or(amount);
    if !state.can_take(world, &to, amount.asset) {
        return Err("tecPATH_DRY");
    }
    let has = state.funds(world, &world.pool, most.asset);
    let of = state.funds(world, &world.pool, amount.asset);
    let spend = most.units.min(state.funds(world, from, most.asset));
    let mut got = amount.units.min(of / 2);
    let mut paid = pool_price(has, of, got);
    if paid > spend {
        let effective = portion(spend, 1_000 - POOL_FEE, 1_000);
        got = portion(of, effective, has + effective);
        paid = spend;
    }
    if got <= 0 {
        return Err("tecPATH_DRY");
    }
    if got < amount.units && !partial {
        return Err("tecPATH_PARTIAL");
    }
    state.give(world, from, &world.pool, Amount::new(most.asset, paid));
    let got = Amount::new(amount.asset, got);
    state.give(world, &world.pool, &to, got);
    Ok(got)
}

/// The market maker's two assets.
pub(super) const POOL: (super::amount::Asset, super::amount::Asset) = (XRP, TINY);

fn check_at(state: &State, index: &Index) -> Option<Check> {
    match state.get(index) {
        Some(Entry { body: Body::Check(check), .. }) => Some(check.clone()),
        _ => None,
    }
}

fn cash(
    world: &World,
    state: &mut State,
    by: &Id,
    (index, amount, flexible): (&Index, Amount, bool),
) -> Result<Amount, Failed> {
    let check = check_at(state, index).ok_or("tecNO_ENTRY")?;
    if check.destination != *by {
        return Err("tecNO_PERMISSION");
    }
    // The reserve that the check itself ties up is free for it.
    state.remove_owned(&check.account, index);
    let funds = state.funds(world, &check.account, amount.asset).min(check.send_max.units);
    if funds < amount.units || !state.can_take(world, by, amount.asset) {
        return Err("tecPATH_PARTIAL");
    }
    let delivered = if flexible { Amount::new(amount.asset, funds) } else { amount };
    state.give(world, &check.account, by, delivered);
    Ok(delivered)
}
