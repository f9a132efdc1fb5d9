//! Reads one transaction, as the node API and the consensus engine both give it.

use crate::event::{Amount, Hash};
use crate::source::cut;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};

/// Why an answer cannot be used.
pub type Reason = String;

/// What a transaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Makes an asset out of nothing.
    Create,
    /// Moves an asset.
    Transfer,
    /// Makes an asset out of others.
    Compose,
    /// Takes an asset apart.
    Decompose,
    /// Elections and votes, and what later releases may add: nothing moves.
    Other,
}

impl Operation {
    fn of(name: &str) -> Operation {
        match name {
            "CREATE" => Operation::Create,
            "TRANSFER" => Operation::Transfer,
            "COMPOSE" => Operation::Compose,
            "DECOMPOSE" => Operation::Decompose,
            _ => Operation::Other,
        }
    }

    /// The network's own word, for what moves something.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Operation::Create => Some("CREATE"),
            Operation::Transfer => Some("TRANSFER"),
            Operation::Compose => Some("COMPOSE"),
            Operation::Decompose => Some("DECOMPOSE"),
            Operation::Other => None,
        }
    }

    /// Whether its asset is named after the transaction itself.
    pub const fn makes_asset(self) -> bool {
        matches!(self, Operation::Create | Operation::Compose)
    }
}

/// A transaction, read.
#[derive(Debug)]
pub struct Transaction {
    /// Its id.
    pub id: Hash,
    /// What it does.
    pub operation: Operation,
    /// Who signed its inputs, each once, in order; the first thousand.
    pub signers: Vec<String>,
    /// What it pays out.
    pub outputs: Vec<Output>,
    /// The id of each of its assets; `None`: the asset is its own.
    pub assets: Vec<Option<String>>,
    /// Its metadata, where that is a text.
    pub memo: Option<Box<str>>,
    /// All of it, as it came.
    pub text: Box<str>,
    /// Why nothing but its id and its text is here.
    pub unread: Option<Reason>,
}

/// One output.
#[derive(Debug)]
pub struct Output {
    /// Who owns it, together.
    pub owners: Vec<String>,
    /// How much it is, a whole number.
    pub amount: Amount,
}

/// The members of a JSON object, unread. Of doubled ones the last counts, as it does for the network's own readers.
type Members<'a> = HashMap<String, &'a RawValue>;

/// A member; `None`: it is not there, or null.
fn member<'a, T: Deserialize<'a>>(members: &Members<'a>, name: &str) -> Result<Option<T>, Reason> {
    let Some(raw) = members.get(name).copied() else { return Ok(None) };
    serde_json::from_str(raw.get()).map_err(|error| format!("`{name}`: {error}"))
}

/// The objects of a list.
fn each<'a>(members: &Members<'a>, name: &str) -> Result<impl Iterator<Item = Result<Members<'a>, Reason>>, Reason> {
    let list: Vec<&'a RawValue> = member(members, name)?.unwrap_or_default();
    let name = name.to_owned();
    Ok(list
        .into_iter()
        .map(move |raw| serde_json::from_str(raw.get()).map_err(|error| format!("in `{name}`: {error}"))))
}

/// Names of a list, none of them too long.
fn names(members: &Members<'_>, name: &str) -> Result<Vec<String>, Reason> {
    let names: Vec<String> = member(members, name)?.unwrap_or_default();
    names.into_iter().map(bounded).collect()
}

/// A name is told with each payment, so that a long one would fill the memory.
fn bounded(name: String) -> Result<String, Reason> {
    if name.len() > MAX_NAME { Err(format!("a name of more than {MAX_NAME} bytes")) } else { Ok(name) }
}

impl Transaction {
    /// Reads the JSON of an accepted transaction. What is not needed may be anything, and what is needed and cannot be
    /// read does not hide that there was such a transaction; without an id there is nothing to tell.
    pub fn read(text: &str) -> Result<Transaction, Reason> {
        let members: Members<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let told: Option<String> = member(&members, "id")?;
        let id = told.as_deref().and_then(id).ok_or("its id is not 64 lower-case hex digits")?;
        let mut transaction = Transaction {
            id,
            operation: Operation::Other,
            signers: Vec::new(),
            outputs: Vec::new(),
            assets: Vec::new(),
            memo: None,
            text: text.trim().into(),
            unread: None,
        };
        let Err(reason) = transaction.fill(&members) else { return Ok(transaction) };
        // Half of it would be wrong.
        (transaction.signers, transaction.outputs, transaction.assets) = (Vec::new(), Vec::new(), Vec::new());
        (transaction.operation, transaction.unread) = (Operation::Other, Some(reason));
        Ok(transaction)
    }

    fn fill(&mut self, members: &Members<'_>) -> Result<(), Reason> {
        let operation: String = member(members, "operation")?.ok_or("no `operation`")?;
        self.operation = Operation::of(&operation);
        let mut seen = HashSet::new();
        'inputs: for input in each(members, "inputs")? {
            for owner in names(&input?, "owners_before")? {
                if self.signers.len() == MAX_SIGNERS {
                    break 'inputs;
                }
                if seen.insert(owner.clone()) {
                    self.signers.push(owner);
                }
            }
        }
        for output in each(members, "outputs")? {
            let output = output?;
            let amount: String = member(&output, "amount")?.ok_or("an output without `amount`")?;
            let amount = Amount::from_digits(false, &amount, 0).map_err(|_| "an amount is no whole number")?;
            self.outputs.push(Output { owners: names(&output, "public_keys")?, amount });
        }
        let asset = |asset: &Members<'_>| member::<String>(asset, "id")?.map(bounded).transpose();
        // Since version 3.0 a list, before one object.
        let is_there = |name: &str| members.get(name).is_some_and(|raw| raw.get() != "null");
        if is_there("assets") {
            self.assets = each(members, "assets")?.map(|one| asset(&one?)).collect::<Result<_, _>>()?;
        } else if let Some(one) = member::<Members<'_>>(members, "asset")? {
            self.assets = vec![asset(&one)?];
        }
        let memo = member::<String>(members, "metadata").ok().flatten();
        self.memo = memo.filter(|memo| memo.len() <= MAX_MEMO).map(Into::into);
        Ok(())
    }
}

/// What an operator should know of a block's transactions: that some could not be read.
pub fn unread(transactions: &[Transaction], height: u64) -> Option<String> {
    let mut found = transactions.iter().filter_map(|it| it.unread.as_ref().map(|reason| (it.id, reason)));
    let (id, reason) = found.next()?;
    let reason = cut(reason.clone());
    let more = match found.count() {
        0 => String::new(),
        more => format!("; {more} more of the block likewise"),
    };
    Some(format!("transaction {id} of block {height} is told without payments, as it cannot be read: {reason}{more}"))
}

/// Owners of one transaction's inputs that are told apart.
const MAX_SIGNERS: usize = 1000;
/// Bytes of a key or of an asset's id; those of the network have 44 and 64.
const MAX_NAME: usize = 256;
/// Bytes of a memo, which each payment has: a longer one is in the transaction's text alone.
const MAX_MEMO: usize = 1024;

/// An id as the network writes it: nothing else goes into an address.
pub fn id(text: &str) -> Option<Hash> {
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.bytes().all(plain).then(|| Hash::from_hex(text)).flatten()
}
