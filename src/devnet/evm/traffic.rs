//! What happens next on the chain.

use alloy_primitives::U256;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::action::{Action, Post};
use super::contracts::{Contract, Token};
use super::engine::{COIN, State};
use super::transaction::Fees;
use super::world::{Who, World};

/// The transactions of the first block after the empty one: the built-in contracts, and tokens for the pair.
pub(super) fn beginning() -> impl Iterator<Item = Action> {
    let tenth = Token::ALL.map(|token| State::supply(token) / U256::from(10));
    Contract::ALL.into_iter().map(Action::BuildIn).chain([Action::Provide { amounts: tenth }])
}

/// The coin for somebody, and nothing else.
pub(super) fn payment(rng: &mut ChaCha8Rng, to: Who) -> Action {
    Action::Pay { to, value: U256::from(rng.random_range(1..1_000_000_000u64)) * U256::from(1_000_000_000u64) }
}

/// What somebody does, and who.
pub(super) fn next(rng: &mut ChaCha8Rng, world: &World, state: &State) -> (Who, Action) {
    let who = world.trader(rng);
    let action = match rng.random_range(0..100) {
        0..25 => {
            let most = state.account(who).wei / U256::from(1_000);
            Action::Pay { to: world.other(rng, who), value: below(rng, most) }
        }
        25..45 => return transfer(rng, world, state, who),
        45..53 => {
            let amount = if rng.random_ratio(1, 8) { U256::MAX } else { below(rng, State::supply(Token::Coin)) };
            Action::Approve { token: token(rng), amount }
        }
        53..70 => return sell(rng, world, state, who),
        70..78 => Action::Post(post(rng, state, 12)),
        78..81 => Action::Label { post: state.posts, labels: labels(rng) },
        81..84 => offer(rng),
        84..86 => Action::Tip { value: below(rng, COIN) },
        86..87 => Action::Give { value: below(rng, COIN) },
        87..89 => Action::Unknown { input: rng.random() },
        89..90 => Action::Cut { to: world.other(rng, who) },
        90..94 => Action::Relayed(post(rng, state, 6)),
        94..96 => Action::Message { to: world.other(rng, who), text: format!("for you, number {}", state.posts) },
        96..98 => create(rng),
        _ => return (world.deployer(), create(rng)),
    };
    (who, action)
}

/// What is offered for gas: mostly by the new rules.
pub(super) fn fees(rng: &mut ChaCha8Rng) -> Fees {
    const GWEI: u64 = 1_000_000_000;
    match rng.random_ratio(1, 10) {
        true => Fees::Legacy { price: rng.random_range(20 * GWEI..40 * GWEI) },
        false => Fees::Dynamic { most: 50 * GWEI, tip: rng.random_range(1..2 * GWEI) },
    }
}

fn transfer(rng: &mut ChaCha8Rng, world: &World, state: &State, who: Who) -> (Who, Action) {
    let token = token(rng);
    let Some(has) = holding(state, who, token) else { return grant(world, state, who, token) };
    let to = world.other_trader(rng, who);
    // Now and then more than there is.
    let amount = if rng.random_ratio(1, 12) { has + COIN } else { below(rng, has / U256::from(20)) };
    let tail = if rng.random_ratio(1, 8) { b"\x00devnet".to_vec() } else { Vec::new() };
    (who, Action::Transfer { token, to, amount, tail })
}

fn sell(rng: &mut ChaCha8Rng, world: &World, state: &State, who: Who) -> (Who, Action) {
    let token = token(rng);
    let Some(has) = holding(state, who, token) else { return grant(world, state, who, token) };
    let amount = below(rng, has / U256::from(20));
    let gets = state.price(token, amount);
    // Now and then more than the pair gives.
    let least = if rng.random_ratio(1, 12) { gets + U256::ONE } else { gets - gets / U256::from(50) };
    let to = if rng.random_ratio(1, 5) { world.other_trader(rng, who) } else { who };
    (who, Action::Sell { token, amount, least, to })
}

/// What somebody has of a token, if it is enough to do something with it.
fn holding(state: &State, who: Who, token: Token) -> Option<U256> {
    let has = state.account(who).tokens[token as usize];
    (has > State::supply(token) / U256::from(10_000_000)).then_some(has)
}

/// Who has no tokens gets some.
fn grant(world: &World, state: &State, who: Who, token: Token) -> (Who, Action) {
    let amount = state.account(world.deployer()).tokens[token as usize] / U256::from(10_000);
    (world.deployer(), Action::Transfer { token, to: who, amount, tail: Vec::new() })
}

fn token(rng: &mut ChaCha8Rng) -> Token {
    Token::ALL[rng.random_range(0..2)]
}

/// A post; one in so many has no title.
fn post(rng: &mut ChaCha8Rng, state: &State, untitled: u32) -> Post {
    let number = state.posts + U256::ONE;
    let title = match rng.random_range(0..3) {
        _ if rng.random_ratio(1, untitled) => String::new(),
        0 => format!("Post {number}"),
        1 => format!("Zweiter Beitrag – 世界 🚀 {number}"),
        _ => format!("\"{number}\" & <others>\n"),
    };
    Post { title, body: "This is a post".to_owned(), url: format!("https://example.com/{number}") }
}

fn labels(rng: &mut ChaCha8Rng) -> Vec<String> {
    const LABELS: [&str; 5] = ["news", "wörld", "", "a label that is longer than a word of thirty-two bytes", "🏷"];
    (0..rng.random_range(0..4)).map(|_| LABELS[rng.random_range(0..LABELS.len())].to_owned()).collect()
}

/// Numbers about the limits of what clients can hold.
fn offer(rng: &mut ChaCha8Rng) -> Action {
    let edge = |bits: usize| U256::ONE << bits;
    let sizes = [edge(53) - U256::ONE, edge(53), edge(64), edge(128), edge(255), U256::MAX, U256::ZERO];
    let count = rng.random_range(0..=sizes.len());
    let price = sizes[rng.random_range(0..sizes.len())];
    Action::Offer { price, note: "best".to_owned(), sizes: sizes[..count].to_vec() }
}

fn create(rng: &mut ChaCha8Rng) -> Action {
    Action::Create { salt: rng.random::<[u8; 32]>().into(), fails: rng.random_ratio(1, 10) }
}

/// At least 1, and below `bound` if that allows.
fn below(rng: &mut ChaCha8Rng, bound: U256) -> U256 {
    let any = U256::from_limbs([rng.random(), rng.random(), 0, 0]);
    if bound.is_zero() { U256::ONE } else { (any % bound).max(U256::ONE) }
}
