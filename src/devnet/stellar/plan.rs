//! What a ledger will hold: transactions whose broker events add up to an exact number.
//!
//! A broker decodes a ledger into one `ledger` event, and for each transaction one `transaction`
//! event, one for each contract event (fees included), one per payment and one per trade. The cost
//! of a plan is that number for its transaction.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The most operations that the protocol allows in one transaction.
pub(super) const MAX_OPERATIONS: usize = 100;

/// Order book or pool steps in one operation; real ones rarely have more.
const MAX_ATOMS: usize = 8;

/// One transaction to be made, by kind and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Payments of native and issued assets in one transaction.
    Payments {
        operations: usize,
    },
    CreateAccount,
    AccountMerge,
    /// A path payment that crosses this many offers and pools; none when it sends what it delivers.
    Path {
        atoms: usize,
    },
    /// An offer that takes this many others. `empty` adds one claim of nothing for nothing, which
    /// a ledger can hold, which moves nothing, and which is no trade.
    Offer {
        atoms: usize,
        empty: bool,
    },
    /// A claimable balance made or claimed.
    Balance,
    /// A clawback or a change of authorisation by an issuer: an event, but no payment.
    Issuer,
    /// A call of a contract that emits `events` of its own and moves assets `transfers` times
    /// through their contracts.
    Contract {
        events: usize,
        transfers: usize,
    },
    /// A classic transaction that was charged and did nothing.
    Failed,
    /// A contract call that trapped: charged and partly refunded.
    Trapped,
    /// A transaction without fee and events, the only one that costs a single broker event. No
    /// real ledger has it; it is made only when a ledger must hold exactly two events.
    Silent,
}

impl Plan {
    /// Number of broker events that its transaction decodes to.
    pub fn cost(self) -> usize {
        // The transaction itself and its fee.
        const CHARGED: usize = 2;
        // The movement and the payment that it is.
        const PAYMENT: usize = 2;
        // Both legs and the trade.
        const TRADE: usize = 3;
        match self {
            Self::Payments { operations } => CHARGED + PAYMENT * operations,
            Self::CreateAccount | Self::AccountMerge | Self::Balance => CHARGED + PAYMENT,
            Self::Path { atoms } => CHARGED + TRADE * atoms + PAYMENT,
            Self::Offer { atoms, empty } => CHARGED + TRADE * atoms + 2 * usize::from(empty),
            Self::Issuer | Self::Trapped => CHARGED + 1,
            // The refund is one more.
            Self::Contract { events, transfers } => CHARGED + 1 + events + PAYMENT * transfers,
            Self::Failed => CHARGED,
            Self::Silent => 1,
        }
    }
}

/// Plans whose costs add up to exactly `budget`.
pub(super) fn compose(rng: &mut ChaCha8Rng, budget: usize) -> Vec<Plan> {
    if budget == 1 {
        return vec![Plan::Silent];
    }
    let mut plans = Vec::new();
    let mut left = budget;
    while left > 0 {
        let plan = next(rng, left);
        left -= plan.cost();
        plans.push(plan);
    }
    plans
}

/// A plan that fits into `left` (at least 2) and leaves either nothing or at least 2, because 1
/// can be filled by no real transaction.
fn next(rng: &mut ChaCha8Rng, left: usize) -> Plan {
    for _ in 0..32 {
        let plan = any(rng);
        let cost = plan.cost();
        if cost == left || cost + 2 <= left {
            return plan;
        }
    }
    match left {
        2 => Plan::Failed,
        3 => Plan::Contract { events: 0, transfers: 0 },
        // 32 draws did not fit, so little is left: one contract call fills it. If against all odds
        // much is left, it takes 11 of at least 15, and what stays can be filled again.
        4..15 => Plan::Contract { events: left - 3, transfers: 0 },
        _ => Plan::Contract { events: 8, transfers: 0 },
    }
}

fn any(rng: &mut ChaCha8Rng) -> Plan {
    match rng.random_range(0..100) {
        0..30 => Plan::Payments { operations: operations(rng) },
        30..35 => Plan::CreateAccount,
        35..38 => Plan::AccountMerge,
        38..50 => Plan::Path { atoms: rng.random_range(0..=MAX_ATOMS / 2) },
        50..64 => Plan::Offer { atoms: atoms(rng), empty: rng.random_ratio(1, 12) },
        64..67 => Plan::Balance,
        67..69 => Plan::Issuer,
        69..81 => Plan::Contract { events: rng.random_range(0..6), transfers: 0 },
        81..90 => Plan::Contract { events: rng.random_range(0..3), transfers: rng.random_range(1..4) },
        90..98 => Plan::Failed,
        _ => Plan::Trapped,
    }
}

/// Mostly one operation, sometimes a handful, rarely as many as there can be.
fn operations(rng: &mut ChaCha8Rng) -> usize {
    match rng.random_range(0..200) {
        0..130 => 1,
        130..190 => rng.random_range(2..6),
        190..199 => rng.random_range(6..21),
        _ => MAX_OPERATIONS,
    }
}

/// Half of all offers only enter the book.
fn atoms(rng: &mut ChaCha8Rng) -> usize {
    if rng.random_ratio(1, 2) { 0 } else { rng.random_range(1..=MAX_ATOMS) }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_budget_is_met_exactly() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for budget in (0..300).chain([1_000, 12_345]) {
            let plans = compose(&mut rng, budget);
            assert_eq!(plans.iter().map(|plan| plan.cost()).sum::<usize>(), budget);
            assert_eq!(plans.contains(&Plan::Silent), budget == 1);
        }
    }
}
