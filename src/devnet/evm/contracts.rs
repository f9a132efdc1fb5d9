//! The built-in contracts. They stand at the same addresses on every devnet, so that settings can name them.

use alloy_primitives::Address;

use super::world::{created, deployer};

/// A built-in contract, in the order in which they are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// A token (ERC-20) with 18 digits after the point, such that usual amounts need more than 64 bits.
    Coin,
    /// A token with 6 digits after the point.
    Dollar,
    /// A pool of both tokens, with the logs of Uniswap v2.
    Pair,
    /// A board for posts: texts, lists, structs, unnamed logs.
    Board,
    /// Passes calls on to other contracts.
    Relay,
}

use Contract::{Board, Coin, Dollar, Pair, Relay};

impl Contract {
    /// All of them.
    pub const ALL: [Contract; 5] = [Coin, Dollar, Pair, Board, Relay];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Coin => "Devnet Coin",
            Dollar => "Devnet Dollar",
            Pair => "Coin-Dollar Pair",
            Board => "Post Board",
            Relay => "Relay",
        }
    }

    /// Its ABI, a JSON array.
    pub fn abi(self) -> &'static str {
        match self {
            Coin | Dollar => include_str!("abi/token.json"),
            Pair => include_str!("abi/pair.json"),
            Board => include_str!("abi/board.json"),
            Relay => include_str!("abi/relay.json"),
        }
    }

    /// Where it stands.
    pub fn address(self) -> Address {
        created(deployer(), self as u64)
    }

    /// A token's code and its digits after the point.
    pub fn token(self) -> Option<(&'static str, u8)> {
        match self {
            Coin => Some(("CAST", 18)),
            Dollar => Some(("DUSD", 6)),
            Pair | Board | Relay => None,
        }
    }
}

/// One of the two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Coin,
    Dollar,
}

impl Token {
    pub const ALL: [Token; 2] = [Token::Coin, Token::Dollar];

    pub fn other(self) -> Token {
        match self {
            Token::Coin => Token::Dollar,
            Token::Dollar => Token::Coin,
        }
    }

    pub fn contract(self) -> Contract {
        match self {
            Token::Coin => Coin,
            Token::Dollar => Dollar,
        }
    }
}
