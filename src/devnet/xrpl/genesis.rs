//! The state before the first ledger: everybody's money, and a few offers so that the books are not empty.

use rand::RngExt;

use super::amount::{Amount, Asset, Rate, XRP};
use super::engine::POOL;
use super::entry::{Account, Body, Line, Offer};
use super::state::State;
use super::world::{BOOKS, EUR, Id, TINY, USD, World, scale, worth};

/// All drops that there are.
pub(super) const TOTAL_DROPS: i128 = 100_000_000_000_000_000;

const XRP_DROPS: i128 = 1_000_000;

/// What one holder takes of a token at most, in whole tokens; text with an exponent.
const LIMIT: i128 = 100_000_000_000_000;

/// Visitors that are there from the beginning, so that accounts can be deleted at once.
pub(super) const VISITORS: u64 = 6;

/// Offers in each direction of each book.
const OFFERS: usize = 6;

pub(super) fn genesis(world: &World) -> State {
    let mut state = State::default();
    let mut rng = world.chance(0);
    let mut given = 0;
    let mut open = |state: &mut State, id: Id, drops: i128| {
        given += drops;
        state.insert(world, Body::Account(Account::new(id, drops, 1)));
    };
    for (place, id) in world.accounts.iter().enumerate() {
        let drops = if place < world.traders().len() { 10_000 * XRP_DROPS } else { 1_000 * XRP_DROPS };
        open(&mut state, *id, drops + rng.random_range(0..1_000 * XRP_DROPS));
    }
    for issuer in world.issuers {
        open(&mut state, issuer, 1_000 * XRP_DROPS);
    }
    for number in 0..VISITORS {
        open(&mut state, world.visitor(number), rng.random_range(20 * XRP_DROPS..100 * XRP_DROPS));
    }
    let pool_drops = 20_000 * XRP_DROPS;
    open(&mut state, world.pool, pool_drops);
    state.change_account(&world.pool, |account| account.pool = true);
    let all_others = given;
    state.insert(world, Body::Account(Account::new(world.treasury, TOTAL_DROPS - all_others, 1)));

    for (place, id) in world.traders().iter().enumerate() {
        // Some hold no third token, and make a line for it later.
        let tokens: &[Asset] = if place % 4 == 3 { &[USD, EUR] } else { &[USD, EUR, TINY] };
        for asset in tokens {
            let units = worth(*asset, rng.random_range(2_000 * XRP_DROPS..8_000 * XRP_DROPS));
            let line = Line { holder: *id, asset: *asset, units, limit: LIMIT, pool: false };
            state.insert_owned(world, id, Body::Line(line));
        }
    }
    let line = Line { holder: world.pool, asset: POOL.1, units: worth(POOL.1, pool_drops), limit: 0, pool: true };
    state.insert(world, Body::Line(line));

    for (one, other) in BOOKS {
        for (pays, gets) in [(one, other), (other, one)] {
            for _ in 0..OFFERS {
                let account = world.trader(&mut rng);
                let drops = rng.random_range(20 * XRP_DROPS..200 * XRP_DROPS);
                let gets = Amount::new(gets, worth(gets, drops));
                let pays = Amount::new(pays, worth(pays, drops * rng.random_range(1_010..1_060) / 1_000));
                let can_pay = state.funds(world, &account, gets.asset) > gets.units;
                if !can_pay || !state.can_take(world, &account, pays.asset) {
                    continue;
                }
                let sequence = state.account(&account).map_or(0, |account| account.sequence);
                state.change_account(&account, |account| account.sequence += 1);
                let rate = Rate::of((pays.units, scale(pays.asset)), (gets.units, scale(gets.asset))).bits();
                state.place(world, Offer { account, sequence, pays, gets, rate, order: 0 });
            }
        }
    }
    debug_assert!(state.funds(world, &world.treasury, XRP) > 0);
    state.commit([0; 32], 0);
    state
}
