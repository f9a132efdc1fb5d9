//! Carries transactions out: the state of the chain, and what each transaction does to it.

use alloy_dyn_abi::DynSolValue;
use alloy_primitives::{Address, B256, U256, keccak256};

use super::action::{Action, Post, encode, number, numbers, offer, texts};
use super::contracts::{Contract, Token};
use super::transaction::Transaction;
use super::world::{Who, World, created};

/// One of the coin, in wei.
pub(super) const COIN: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// Gas for a log, about.
const LOG_GAS: u64 = 1_700;

/// Who has what. Small enough to be copied for each block.
#[derive(Clone)]
pub(super) struct State {
    accounts: Vec<Account>,
    /// What the pair has of each token.
    pub reserves: [U256; 2],
    /// Posts on the board.
    pub posts: U256,
}

/// What somebody has.
#[derive(Clone)]
pub(super) struct Account {
    pub nonce: u64,
    pub wei: U256,
    pub tokens: [U256; 2],
}

/// What became of a transaction.
pub(super) struct Outcome {
    pub success: bool,
    pub gas_used: u64,
    /// Wei for a unit of gas.
    pub price: u64,
    /// The contract that was created, or would have been.
    pub contract: Option<Address>,
    pub logs: Vec<Log>,
}

/// What a contract said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    pub contract: Contract,
    pub topics: Vec<B256>,
    pub data: Vec<u8>,
}

impl Log {
    fn new(contract: Contract, signature: &str, indexed: &[B256], data: Vec<DynSolValue>) -> Log {
        let topics = [&[keccak256(signature)], indexed].concat();
        Log { contract, topics, data: encode(data) }
    }

    fn transfer(token: Token, from: Address, to: Address, amount: U256) -> Log {
        let parties = [from.into_word(), to.into_word()];
        Log::new(token.contract(), "Transfer(address,address,uint256)", &parties, vec![number(amount)])
    }
}

impl State {
    /// Before the first block.
    pub fn new(world: &World) -> State {
        let account = |wei| Account { nonce: 0, wei, tokens: [U256::ZERO; 2] };
        let million = U256::from(1_000_000u64) * COIN;
        let mut accounts = vec![account(million); world.everybody()];
        // Enough for any number of payments, where these are all there is.
        accounts[world.deployer()].wei = million * million;
        State { accounts, reserves: [U256::ZERO; 2], posts: U256::ZERO }
    }

    pub fn account(&self, who: Who) -> &Account {
        &self.accounts[who]
    }

    /// How many tokens there are.
    pub fn supply(token: Token) -> U256 {
        let digits = token.contract().token().map_or(0, |(_, decimals)| decimals);
        U256::from(1_000_000_000u64) * U256::from(10).pow(U256::from(digits))
    }

    /// Carries a transaction out. One that fails changes nothing but nonce and fee.
    pub fn execute(&mut self, world: &World, transaction: &Transaction, base_fee: u64) -> Outcome {
        let price = transaction.price(base_fee);
        let done = self.act(world, transaction);
        let success = done.is_some();
        let logs = done.unwrap_or_default();
        let sending = transaction.sending();
        let work = transaction.action.work();
        let gas_used = match success {
            // A contract is as dear as its code; anything else by what it says.
            true => (sending + work * 3 / 4 + LOG_GAS * logs.len() as u64).min(transaction.gas),
            false => sending + work / 5,
        };
        let account = &mut self.accounts[transaction.from];
        account.nonce += 1;
        account.wei = account.wei.saturating_sub(U256::from(gas_used) * U256::from(price));
        let contract = transaction.to.is_none().then(|| created(transaction.sender, transaction.nonce));
        Outcome { success, gas_used, price, contract, logs }
    }

    /// The logs of what was done; `None`: it was refused.
    fn act(&mut self, world: &World, transaction: &Transaction) -> Option<Vec<Log>> {
        let from = transaction.from;
        let sender = transaction.sender;
        match &transaction.action {
            Action::Pay { to, value } => {
                self.spend(from, *value)?;
                self.accounts[*to].wei += *value;
                Some(Vec::new())
            }
            Action::Message { .. } => Some(Vec::new()),
            Action::BuildIn(contract) => Some(self.build_in(from, sender, *contract)),
            Action::Create { fails, .. } => (!fails).then(Vec::new),
            Action::Transfer { token, to, amount, .. } => {
                self.take(from, *token, *amount)?;
                self.accounts[*to].tokens[*token as usize] += *amount;
                Some(vec![Log::transfer(*token, sender, world.address(*to), *amount)])
            }
            Action::Approve { token, amount } => {
                let parties = [sender.into_word(), Contract::Pair.address().into_word()];
                let signature = "Approval(address,address,uint256)";
                Some(vec![Log::new(token.contract(), signature, &parties, vec![number(*amount)])])
            }
            Action::Provide { amounts } => {
                let mut logs = Vec::new();
                for token in Token::ALL {
                    let amount = amounts[token as usize];
                    self.take(from, token, amount)?;
                    self.reserves[token as usize] += amount;
                    logs.push(Log::transfer(token, sender, Contract::Pair.address(), amount));
                }
                logs.push(self.sync());
                Some(logs)
            }
            Action::Sell { token, amount, least, to } => self.sell(world, from, *token, *amount, *least, *to),
            Action::Post(post) | Action::Relayed(post) => Some(vec![self.post(post)?]),
            Action::Label { post, labels } => {
                let first = labels.first().map(keccak256).unwrap_or_default();
                let indexed = [B256::from(*post), first];
                let signature = "Labelled(uint256,string,string[])";
                let labelled = Log::new(Contract::Board, signature, &indexed, vec![texts(labels)]);
                Some(vec![labelled, Log::new(Contract::Board, "Tick()", &[], Vec::new())])
            }
            Action::Offer { price, note, sizes } => {
                let signature = "Offered(address,(uint256,address,string),uint256[])";
                let data = vec![offer(*price, sender, note), numbers(sizes)];
                Some(vec![Log::new(Contract::Board, signature, &[sender.into_word()], data)])
            }
            Action::Tip { value } => {
                self.spend(from, *value)?;
                // An anonymous event: without the topic that names it.
                let data = encode(vec![number(*value)]);
                Some(vec![Log { contract: Contract::Board, topics: vec![sender.into_word()], data }])
            }
            Action::Give { value } => {
                self.spend(from, *value)?;
                // A log of no event at all.
                let data = format!("{value} wei, thank you").into_bytes();
                Some(vec![Log { contract: Contract::Board, topics: Vec::new(), data }])
            }
            Action::Unknown { .. } | Action::Cut { .. } => None,
        }
    }

    fn build_in(&mut self, from: Who, sender: Address, contract: Contract) -> Vec<Log> {
        let token = match contract {
            Contract::Coin => Token::Coin,
            Contract::Dollar => Token::Dollar,
            Contract::Board => {
                let first = Post { title: "Welcome".to_owned(), body: String::new(), url: String::new() };
                return self.post(&first).into_iter().collect();
            }
            Contract::Pair | Contract::Relay => return Vec::new(),
        };
        let supply = State::supply(token);
        self.accounts[from].tokens[token as usize] = supply;
        vec![Log::transfer(token, Address::ZERO, sender, supply)]
    }

    fn post(&mut self, post: &Post) -> Option<Log> {
        if post.title.is_empty() {
            return None;
        }
        self.posts += U256::ONE;
        let data = vec![number(self.posts), DynSolValue::String(post.title.clone())];
        Some(Log::new(Contract::Board, "NewPost(uint256,string)", &[], data))
    }

    fn sell(&mut self, world: &World, from: Who, token: Token, amount: U256, least: U256, to: Who) -> Option<Vec<Log>> {
        let (sold, bought) = (token as usize, token.other() as usize);
        let gets = self.price(token, amount);
        if gets < least || gets.is_zero() {
            return None;
        }
        self.take(from, token, amount)?;
        self.reserves[sold] += amount;
        self.reserves[bought] -= gets;
        self.accounts[to].tokens[bought] += gets;
        let (sender, receiver, pair) = (world.address(from), world.address(to), Contract::Pair.address());
        let mut figures = [U256::ZERO; 4];
        (figures[sold], figures[2 + bought]) = (amount, gets);
        let swap = Log::new(
            Contract::Pair,
            "Swap(address,uint256,uint256,uint256,uint256,address)",
            &[sender.into_word(), receiver.into_word()],
            figures.map(number).into(),
        );
        Some(vec![
            Log::transfer(token, sender, pair, amount),
            Log::transfer(token.other(), pair, receiver, gets),
            self.sync(),
            swap,
        ])
    }

    /// What the pair gives for so much of a token: the product of its reserves stays, and 0.3 % with it.
    pub fn price(&self, token: Token, amount: U256) -> U256 {
        let [has, gives] = [token, token.other()].map(|token| self.reserves[token as usize]);
        let paid = amount * U256::from(997u64);
        let whole = has * U256::from(1_000u64) + paid;
        if whole.is_zero() { U256::ZERO } else { paid * gives / whole }
    }

    fn sync(&self) -> Log {
        Log::new(Contract::Pair, "Sync(uint112,uint112)", &[], self.reserves.map(number).into())
    }

    fn spend(&mut self, from: Who, value: U256) -> Option<()> {
        let account = &mut self.accounts[from];
        account.wei = account.wei.checked_sub(value)?;
        Some(())
    }

    fn take(&mut self, from: Who, token: Token, amount: U256) -> Option<()> {
        let tokens = &mut self.accounts[from].tokens[token as usize];
        *tokens = tokens.checked_sub(amount)?;
        Some(())
    }
}
