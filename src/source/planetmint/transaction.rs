//! Reads one transaction, as the node API and the consensus engine both give it.

use crate::event::{Amount, Hash};
use serde::Deserialize;
use serde_json::value::RawValue;

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
    /// Who signed its inputs, each once, in order.
    pub signers: Vec<String>,
    /// What it pays out.
    pub outputs: Vec<Output>,
    /// The id of each of its assets; `None`: the asset is its own.
    pub assets: Vec<Option<String>>,
    /// Its metadata, where that is a text.
    pub memo: Option<Box<str>>,
    /// All of it, as it came.
    pub text: Box<str>,
}

/// One output.
#[derive(Debug)]
pub struct Output {
    /// Who owns it, together.
    pub owners: Vec<String>,
    /// How much it is, a whole number.
    pub amount: Amount,
}

#[derive(Deserialize)]
struct Wire<'a> {
    id: String,
    operation: String,
    #[serde(default)]
    inputs: Vec<WireInput>,
    #[serde(default)]
    outputs: Vec<WireOutput>,
    /// Since version 3.0.
    assets: Option<Vec<WireAsset>>,
    /// Before.
    asset: Option<WireAsset>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireInput {
    #[serde(default)]
    owners_before: Vec<String>,
}

#[derive(Deserialize)]
struct WireOutput {
    public_keys: Vec<String>,
    amount: String,
}

#[derive(Deserialize)]
struct WireAsset {
    id: Option<String>,
}

impl Transaction {
    /// Reads the JSON of a transaction. What is not needed may be anything.
    pub fn read(text: &str) -> Result<Transaction, Reason> {
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let id = id(&wire.id).ok_or("its id is not 64 lower-case hex digits")?;
        let mut signers: Vec<String> = Vec::new();
        for owner in wire.inputs.into_iter().flat_map(|input| input.owners_before) {
            // Thousands of inputs of one owner are ordinary, many different owners are not.
            if !signers.contains(&owner) {
                if signers.len() == MAX_SIGNERS {
                    return Err(format!("more than {MAX_SIGNERS} owners of its inputs"));
                }
                signers.push(owner);
            }
        }
        let outputs = wire.outputs.into_iter().map(|WireOutput { public_keys, amount }| {
            let amount = Amount::from_digits(false, &amount, 0).map_err(|_| "an amount is no whole number")?;
            Ok(Output { owners: public_keys, amount })
        });
        let assets = wire.assets.unwrap_or_else(|| wire.asset.into_iter().collect());
        Ok(Transaction {
            id,
            operation: Operation::of(&wire.operation),
            signers,
            outputs: outputs.collect::<Result<_, Reason>>()?,
            assets: assets.into_iter().map(|asset| asset.id).collect(),
            memo: wire
                .metadata
                .and_then(|metadata| serde_json::from_str::<String>(metadata.get()).ok())
                .map(Into::into),
            text: text.trim().into(),
        })
    }
}

/// Owners of one transaction's inputs that are told apart.
const MAX_SIGNERS: usize = 1000;

/// An id as the network writes it: nothing else goes into an address.
pub fn id(text: &str) -> Option<Hash> {
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.bytes().all(plain).then(|| Hash::from_hex(text)).flatten()
}
