//! Logs whose layout is known without an ABI: transfers of tokens, and swaps of two kinds of pools.

use super::wire::Log;
use alloy_primitives::{Address, I256, U256, b256};

/// `Transfer(address,address,uint256)`.
const TRANSFER: [u8; 32] = b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef").0;
/// `Swap` of Uniswap v2 and of what follows its layout.
const SWAP_V2: [u8; 32] = b256!("0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822").0;
/// `Swap` of Uniswap v3 and of what follows its layout.
const SWAP_V3: [u8; 32] = b256!("0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67").0;

/// A token's transfer.
#[derive(Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Who gave; zero where it was made.
    pub from: Address,
    /// Who got; zero where it was destroyed.
    pub to: Address,
    /// How much, in the smallest unit.
    pub units: U256,
}

/// A pool's swap.
#[derive(Debug, PartialEq, Eq)]
pub struct Swap {
    /// Who called the pool.
    pub taker: Address,
    /// Who got what the pool paid.
    pub recipient: Address,
    /// Whether the pool took its first token and paid the second, or the other way round.
    pub takes_first: bool,
    /// What the pool took, in the smallest unit.
    pub taken: U256,
    /// What the pool paid, in the smallest unit.
    pub paid: U256,
}

fn is(log: &Log, layout: [u8; 32]) -> bool {
    log.topics.first().is_some_and(|topic| topic.0.0 == layout)
}

/// Whether it looks like a token's transfer.
pub fn is_transfer(log: &Log) -> bool {
    is(log, TRANSFER)
}

/// Whether it looks like a pool's swap.
pub fn is_swap(log: &Log) -> bool {
    is(log, SWAP_V2) || is(log, SWAP_V3)
}

/// Reads a transfer: 3 topics and a word. With 4 topics it is a transfer of a single thing (ERC-721) and no amount.
/// Tokens of old have it all in the data: `old` says whether such a log is taken.
pub fn transfer(log: &Log, old: bool) -> Option<Transfer> {
    if !is_transfer(log) {
        return None;
    }
    match (&log.topics[..], log.data.0.len()) {
        ([_, from, to], 32) => {
            Some(Transfer { from: address(&from.0.0)?, to: address(&to.0.0)?, units: word(log, 0)? })
        }
        ([_], 96) if old => Some(Transfer {
            from: address(&word(log, 0)?.to_be_bytes())?,
            to: address(&word(log, 1)?.to_be_bytes())?,
            units: word(log, 2)?,
        }),
        _ => None,
    }
}

/// Reads a swap in which the pool took one token and paid the other.
pub fn swap(log: &Log) -> Option<Swap> {
    let [_, taker, recipient] = &log.topics[..] else { return None };
    let (taker, recipient) = (address(&taker.0.0)?, address(&recipient.0.0)?);
    let (first, second) = if is(log, SWAP_V2) && log.data.0.len() == 128 {
        let [in_0, in_1, out_0, out_1] = [word(log, 0)?, word(log, 1)?, word(log, 2)?, word(log, 3)?];
        (Net::between(in_0, out_0), Net::between(in_1, out_1))
    } else if is(log, SWAP_V3) && log.data.0.len() == 160 {
        (Net::of(I256::from_raw(word(log, 0)?)), Net::of(I256::from_raw(word(log, 1)?)))
    } else {
        return None;
    };
    let (takes_first, taken, paid) = match (first, second) {
        (Net::Taken(taken), Net::Paid(paid)) => (true, taken, paid),
        (Net::Paid(paid), Net::Taken(taken)) => (false, taken, paid),
        // A loan that came back with a fee, or nothing.
        _ => return None,
    };
    Some(Swap { taker, recipient, takes_first, taken, paid })
}

/// What a pool's holding of one token did.
enum Net {
    Taken(U256),
    Paid(U256),
    Nothing,
}

impl Net {
    fn between(taken: U256, paid: U256) -> Net {
        match taken.cmp(&paid) {
            std::cmp::Ordering::Greater => Net::Taken(taken - paid),
            std::cmp::Ordering::Less => Net::Paid(paid - taken),
            std::cmp::Ordering::Equal => Net::Nothing,
        }
    }

    fn of(amount: I256) -> Net {
        match (amount.is_zero(), amount.is_negative()) {
            (true, _) => Net::Nothing,
            (_, true) => Net::Paid(amount.unsigned_abs()),
            (_, false) => Net::Taken(amount.unsigned_abs()),
        }
    }
}

fn word(log: &Log, at: usize) -> Option<U256> {
    let bytes = log.data.0.get(at * 32..at * 32 + 32)?;
    Some(U256::from_be_slice(bytes))
}

/// The address in a word; what has something before it is none.
fn address(word: &[u8; 32]) -> Option<Address> {
    super::tokens::address_of(&U256::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Hash;
    use crate::source::evm::wire::{Account, Data, Hash32, Quantity};
    use proptest::prelude::*;

    fn log(topics: &[[u8; 32]], data: &[U256]) -> Log {
        Log {
            address: Account(Address::repeat_byte(9)),
            topics: topics.iter().map(|topic| Hash32(Hash(*topic))).collect(),
            data: Data(data.iter().flat_map(|word| word.to_be_bytes::<32>()).collect()),
            block_hash: None,
            transaction_hash: None,
            log_index: Quantity(0),
            removed: false,
        }
    }

    fn party(byte: u8) -> [u8; 32] {
        Address::repeat_byte(byte).into_word().0
    }

    #[test]
    fn transfers_have_three_topics_and_one_word() {
        let (one, two) = (party(1), party(2));
        let plain = transfer(&log(&[TRANSFER, one, two], &[U256::MAX]), false).unwrap();
        assert_eq!((plain.from, plain.to, plain.units), (Address::repeat_byte(1), Address::repeat_byte(2), U256::MAX));
        let words = [U256::from_be_bytes(one), U256::from_be_bytes(two), U256::from(7)];
        let old = log(&[TRANSFER], &words);
        assert_eq!(transfer(&old, false), None);
        assert_eq!(transfer(&old, true).unwrap().units, U256::from(7));
        for other in [
            log(&[TRANSFER, one, two, party(3)], &[]),
            log(&[TRANSFER, one, two], &[]),
            log(&[TRANSFER, one, two], &[U256::ZERO, U256::ZERO]),
            log(&[TRANSFER, one, [0xff; 32]], &[U256::ZERO]),
            log(&[SWAP_V2, one, two], &[U256::ZERO]),
            log(&[], &[U256::ZERO]),
        ] {
            assert_eq!(transfer(&other, true), None);
        }
    }

    proptest! {
        #[test]
        fn a_pool_takes_one_and_pays_the_other(ins in any::<[u64; 2]>(), outs in any::<[u64; 2]>()) {
            let words = [ins[0], ins[1], outs[0], outs[1]].map(U256::from);
            let net: Vec<i128> = (0..2).map(|at| i128::from(ins[at]) - i128::from(outs[at])).collect();
            let found = swap(&log(&[SWAP_V2, party(1), party(2)], &words));
            let signed = |net: i128| I256::try_from(net).unwrap().into_raw();
            let three = [signed(net[0]), signed(net[1]), U256::ZERO, U256::ZERO, U256::ZERO];
            prop_assert_eq!(&found, &swap(&log(&[SWAP_V3, party(1), party(2)], &three)));
            match found {
                Some(swap) => {
                    let (taken, paid) = if swap.takes_first { (net[0], net[1]) } else { (net[1], net[0]) };
                    prop_assert_eq!(U256::from(taken), swap.taken);
                    prop_assert_eq!(U256::from(-paid), swap.paid);
                }
                None => prop_assert!(net[0].signum() * net[1].signum() != -1),
            }
        }

        #[test]
        fn any_log_is_safe(topics in proptest::collection::vec(any::<[u8; 32]>(), 0..6), kind in 0..3usize, data: Vec<u8>) {
            let mut log = log(&topics, &[]);
            log.topics.insert(0, Hash32(Hash([TRANSFER, SWAP_V2, SWAP_V3][kind])));
            log.data = Data(data);
            let _ = (transfer(&log, true), swap(&log));
        }
    }
}
