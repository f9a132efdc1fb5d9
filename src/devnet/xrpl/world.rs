//! The unchanging things of the simulated network: who is on it, which tokens there are, where entries stand.
//!
//! Everything here follows from (seed, number of accounts) alone.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use super::amount::{Amount, Asset, XRP, text};
use crate::devnet::seed::draw;
use crate::source::xrpl::currency::address;

/// The 20 bytes of an account.
pub(super) type Id = [u8; 20];

/// The 32 bytes under which an entry stands in the ledger.
pub(super) type Index = [u8; 32];

/// The account that stands for "no issuer" in the balance of a trust line.
const ACCOUNT_ONE: Id = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Accounts that hold tokens and trade; further ones only pay and are paid XRP.
const MAX_TRADERS: usize = 200;

/// A token of the fiction.
pub(super) struct Token {
    /// Three letters, or 40 hex digits.
    pub code: &'static str,
    /// Which of the issuers.
    issuer: usize,
    /// A unit is 10^-scale.
    pub scale: u32,
    /// Units that are worth one XRP.
    pub worth: i128,
}

/// The second token of one issuer and one of another; the third one's amounts are so small that the protocol writes
/// them with an exponent, and its code has no three letters.
pub(super) const TOKENS: [Token; 3] = [
    Token { code: "USD", issuer: 0, scale: 11, worth: 50_000_000_000 },
    Token { code: "EUR", issuer: 0, scale: 10, worth: 4_600_000_000 },
    Token { code: "4C454447455243415354000000000000000000FF", issuer: 1, scale: 26, worth: 200_000_000_000 },
];

pub(super) const USD: Asset = Asset(1);
pub(super) const EUR: Asset = Asset(2);
/// The token with the small amounts; against XRP it is traded in a pool alone.
pub(super) const TINY: Asset = Asset(3);

/// The pairs that have order books, one direction of each.
pub(super) const BOOKS: [(Asset, Asset); 4] = [(XRP, USD), (XRP, EUR), (USD, EUR), (USD, TINY)];

/// The network's fixed cast.
pub(super) struct World {
    /// Everybody in turn.
    pub accounts: Vec<Id>,
    /// Issue the tokens.
    pub issuers: [Id; 2],
    /// Has nearly all XRP and no tokens.
    pub treasury: Id,
    /// The automated market maker between XRP and [`TINY`].
    pub pool: Id,
    seed: u64,
}

impl World {
    /// `accounts` is at least 2, so that a payment has two sides.
    pub fn new(seed: u64, accounts: usize) -> Self {
        let id = |label: &str, index: u64| account_of(draw(seed, label, index));
        Self {
            accounts: (0..accounts as u64).map(|index| id("xrpl account", index)).collect(),
            issuers: [id("xrpl issuer", 0), id("xrpl issuer", 1)],
            treasury: id("xrpl treasury", 0),
            pool: id("xrpl pool", 0),
            seed,
        }
    }

    /// Those who hold tokens.
    pub fn traders(&self) -> &[Id] {
        &self.accounts[..self.accounts.len().min(MAX_TRADERS)]
    }

    /// An account that comes and goes.
    pub fn visitor(&self, number: u64) -> Id {
        account_of(self.bytes("xrpl visitor", number))
    }

    /// What the treasury gives to who runs dry.
    pub fn treasury_gift(&self) -> Amount {
        Amount::new(XRP, 2_000_000_000)
    }

    /// An address that never becomes an account.
    pub fn nobody(&self) -> Id {
        account_of(self.bytes("xrpl nobody", 0))
    }

    pub fn addresses(&self) -> Vec<String> {
        self.accounts.iter().map(address).collect()
    }

    /// The source of chance for one ledger.
    pub fn chance(&self, ledger: u32) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.bytes("xrpl ledger", u64::from(ledger)))
    }

    /// 32 bytes that belong to (seed, `label`, `index`).
    pub fn bytes(&self, label: &str, index: u64) -> [u8; 32] {
        draw(self.seed, label, index)
    }

    /// One of the traders. The lower of two draws, so that some are far busier than others.
    pub fn trader(&self, rng: &mut ChaCha8Rng) -> Id {
        let traders = self.traders();
        let (one, other) = (rng.random_range(0..traders.len()), rng.random_range(0..traders.len()));
        traders[one.min(other)]
    }

    /// Any account but `one`.
    pub fn other(&self, rng: &mut ChaCha8Rng, one: Id) -> Id {
        loop {
            let other = self.accounts[rng.random_range(0..self.accounts.len())];
            if other != one {
                return other;
            }
        }
    }

    /// A trader other than `one`.
    pub fn other_trader(&self, rng: &mut ChaCha8Rng, one: Id) -> Id {
        loop {
            let other = self.trader(rng);
            if other != one {
                return other;
            }
        }
    }

    /// Who issues an asset; nobody issues XRP.
    pub fn issuer(&self, asset: Asset) -> Option<Id> {
        token(asset).map(|token| self.issuers[token.issuer])
    }

    /// The asset that a request names by a currency in its one spelling and an issuer's 20 bytes.
    pub fn asset(&self, currency: &str, issuer: Option<Id>) -> Option<Asset> {
        (0..=TOKENS.len() as u8).map(Asset).find(|asset| code(*asset) == currency && self.issuer(*asset) == issuer)
    }

    /// An amount as the protocol writes it: drops as a text, tokens as an object.
    pub fn json(&self, amount: Amount) -> Value {
        match (token(amount.asset), self.issuer(amount.asset)) {
            (Some(token), Some(issuer)) => {
                json!({"currency": token.code, "issuer": address(&issuer), "value": text(amount.units, token.scale)})
            }
            _ => amount.units.to_string().into(),
        }
    }

    /// An asset as in `book_changes`: `XRP_drops`, or `issuer/CODE`.
    pub fn label(&self, asset: Asset) -> String {
        match self.issuer(asset) {
            Some(issuer) => format!("{}/{}", address(&issuer), code(asset)),
            None => "XRP_drops".to_owned(),
        }
    }

    /// Where the book that sells `gets` for `pays` begins.
    pub fn book_base(&self, pays: Asset, gets: Asset) -> [u8; 24] {
        let issuer = |asset| self.issuer(asset).unwrap_or_default();
        let index = index(b'B', &[&currency(pays), &currency(gets), &issuer(pays), &issuer(gets)]);
        std::array::from_fn(|at| index[at])
    }

    /// Where a holder's trust line for a token stands.
    pub fn line_index(&self, holder: &Id, asset: Asset) -> Index {
        let issuer = self.issuer(asset).unwrap_or_default();
        let (low, high) = if *holder < issuer { (holder, &issuer) } else { (&issuer, holder) };
        index(b'r', &[low, high, &currency(asset)])
    }
}

/// What there is to know of a token; XRP is none.
pub(super) fn token(asset: Asset) -> Option<&'static Token> {
    TOKENS.get(usize::from(asset.0).checked_sub(1)?)
}

/// Its code in requests and answers.
pub(super) fn code(asset: Asset) -> &'static str {
    token(asset).map_or("XRP", |token| token.code)
}

/// Decimal places of an asset's units as amounts are written: XRP is written in drops.
pub(super) fn scale(asset: Asset) -> u32 {
    token(asset).map_or(0, |token| token.scale)
}

/// How much of `asset` is worth so many drops, at least 1.
pub(super) fn worth(asset: Asset, drops: i128) -> i128 {
    token(asset).map_or(drops, |token| drops * token.worth / 1_000_000).max(1)
}

/// The 20 bytes of a currency.
pub(super) fn currency(asset: Asset) -> [u8; 20] {
    let Some(token) = token(asset) else { return [0; 20] };
    let letters = token.code.as_bytes();
    std::array::from_fn(|at| match letters.len() {
        3 => at.checked_sub(12).and_then(|at| letters.get(at)).copied().unwrap_or(0),
        _ => token.code.get(2 * at..2 * at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0),
    })
}

pub(super) fn account_index(account: &Id) -> Index {
    index(b'a', &[account])
}

pub(super) fn offer_index(account: &Id, sequence: u32) -> Index {
    index(b'o', &[account, &sequence.to_be_bytes()])
}

pub(super) fn check_index(account: &Id, sequence: u32) -> Index {
    index(b'C', &[account, &sequence.to_be_bytes()])
}

/// Where an account's list of its own entries stands.
pub(super) fn directory_index(account: &Id) -> Index {
    index(b'O', &[account])
}

/// Where the market maker between XRP and a token stands.
pub(super) fn amm_index(world: &World, asset: Asset) -> Index {
    index(b'A', &[&[0; 20], &[0; 20], &world.issuer(asset).unwrap_or_default(), &currency(asset)])
}

/// Half of SHA-512 over the kind of entry and what names it: so the real ledger finds its entries.
fn index(space: u8, parts: &[&[u8]]) -> Index {
    let mut digest = Sha512::new().chain_update([0, space]);
    for part in parts {
        digest.update(part);
    }
    half(digest)
}

/// The first half of a SHA-512.
pub(super) fn half(digest: Sha512) -> [u8; 32] {
    let whole: [u8; 64] = digest.finalize().into();
    std::array::from_fn(|at| whole[at])
}

/// Upper-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The balance of a trust line names no issuer.
pub(super) fn line_balance(asset: Asset, units: i128) -> Value {
    json!({"currency": code(asset), "issuer": address(&ACCOUNT_ONE), "value": text(units, scale(asset))})
}

fn account_of(bytes: [u8; 32]) -> Id {
    std::array::from_fn(|at| bytes[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::xrpl::currency::account_id;

    #[test]
    fn entries_stand_where_the_real_ledger_has_them() {
        // The account that holds all XRP at the beginning of every network.
        let genesis = account_id("rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh").unwrap();
        assert_eq!(hex(&account_index(&genesis)), "2B6AC232AA4C4BE41BF49D2459FA4A0347E1B543A4C92FCEE0821C0201E2E9A8");
        assert_eq!(address(&ACCOUNT_ONE), "rrrrrrrrrrrrrrrrrrrrBZbvji");
    }

    #[test]
    fn the_seed_decides_the_cast() {
        let (one, same, other) = (World::new(7, 5), World::new(7, 5), World::new(8, 5));
        assert_eq!(one.addresses(), same.addresses());
        assert_ne!(one.addresses(), other.addresses());
        assert_eq!(one.asset("XRP", None), Some(XRP));
        assert_eq!(one.asset("USD", Some(one.issuers[0])), Some(USD));
        assert_eq!(one.asset("USD", Some(one.issuers[1])), None);
        assert_eq!(one.asset("XRP", Some(one.issuers[0])), None);
    }
}
