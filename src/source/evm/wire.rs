//! What a node writes: strict hex, and the parts of blocks, transactions, receipts and logs that are used. All other
//! fields are ignored, since every fork adds some.

use crate::event::Hash;
use alloy_primitives::{Address, U256, hex};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::borrow::Cow;
use std::fmt::Display;

/// Hex digits of 256 bits.
const WIDEST: usize = 64;

/// The digits of a quantity: `0x` and at least one digit, without zeros before it.
fn quantity_digits(text: &str) -> Result<&str, String> {
    let shown = || text.chars().take(20).collect::<String>();
    let digits = text.strip_prefix("0x").ok_or_else(|| format!("`{}` is no hex quantity", shown()))?;
    let strict = !digits.is_empty() && digits.len() <= WIDEST && (digits == "0" || !digits.starts_with('0'));
    if !strict || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!("`{}` is no hex quantity", shown()));
    }
    Ok(digits)
}

/// A quantity of at most 64 bits.
pub fn quantity(text: &str) -> Result<u64, String> {
    u64::from_str_radix(quantity_digits(text)?, 16).map_err(|_| format!("`{text}` is wider than 64 bits"))
}

/// A quantity of at most 256 bits.
pub fn wide_quantity(text: &str) -> Result<U256, String> {
    U256::from_str_radix(quantity_digits(text)?, 16).map_err(|error| error.to_string())
}

/// Bytes: `0x` and an even number of digits.
pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    // A second prefix would be cut off by the decoder.
    let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with("0x")).ok_or("bytes begin with `0x`")?;
    hex::decode(digits.as_bytes()).map_err(|error| format!("bytes: {error}"))
}

/// 20 bytes in either case: a checksum in the letters is not looked at.
pub fn address(text: &str) -> Result<Address, String> {
    let bytes = bytes(text)?;
    Address::try_from(bytes.as_slice()).map_err(|_| "an address has 20 bytes".to_owned())
}

/// 32 bytes.
pub fn hash(text: &str) -> Result<Hash, String> {
    let hash = text.strip_prefix("0x").and_then(Hash::from_hex);
    hash.ok_or_else(|| "a hash has `0x` and 64 digits".to_owned())
}

/// A value that is read from a JSON text.
macro_rules! from_text {
    ($($(#[doc = $doc:literal])* $name:ident($type:ty) by $read:path;)*) => {
        $($(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub $type);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                $read(&text).map($name).map_err(|reason: String| de::Error::custom(Cut(reason)))
            }
        })*
    };
}

/// A reason that may quote what a stranger wrote.
struct Cut(String);

impl Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::source::cut(self.0.clone()))
    }
}

from_text! {
    /// A number of at most 64 bits.
    Quantity(u64) by quantity;
    /// A number of at most 256 bits.
    Wide(U256) by wide_quantity;
    /// Bytes.
    Data(Vec<u8>) by bytes;
    /// An account.
    Account(Address) by address;
    /// A hash.
    Hash32(Hash) by hash;
}

/// A block, with whatever stands for its transactions.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block<T> {
    /// Its number; a block that is not mined yet has none.
    pub number: Option<Quantity>,
    /// Its hash; a block that is not mined yet has none.
    pub hash: Option<Hash32>,
    /// The hash of the block before.
    pub parent_hash: Hash32,
    /// Unix seconds.
    pub timestamp: Quantity,
    /// Marks which addresses and topics stand in its logs.
    pub logs_bloom: Option<Data>,
    /// In order.
    pub transactions: Vec<T>,
}

/// A block of which only the header is wanted.
pub type Header = Block<de::IgnoredAny>;

impl<T> Block<T> {
    /// Number and hash of a mined block.
    pub fn identity(&self) -> Option<(u64, Hash)> {
        Some((self.number.as_ref()?.0, self.hash.as_ref()?.0))
    }

    /// Whether the bloom says that there are logs.
    pub fn has_logs(&self) -> bool {
        self.logs_bloom.as_ref().is_some_and(|bloom| bloom.0.iter().any(|byte| *byte != 0))
    }
}

/// A mined transaction.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// Its hash.
    pub hash: Hash32,
    /// The block that it is in.
    pub block_hash: Option<Hash32>,
    /// The number of that block.
    pub block_number: Option<Quantity>,
    /// Its place there.
    pub transaction_index: Option<Quantity>,
    /// Who sent it.
    pub from: Account,
    /// Whom it was sent to; none creates a contract.
    pub to: Option<Account>,
    /// Wei.
    pub value: Wide,
    /// The most gas that it may use.
    pub gas: Quantity,
    /// Wei for one unit of gas.
    pub gas_price: Option<Wide>,
    /// What was sent along.
    pub input: Data,
}

/// What became of a transaction.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The transaction.
    pub transaction_hash: Hash32,
    /// The block that it is in.
    pub block_hash: Hash32,
    /// Its place there.
    pub transaction_index: Quantity,
    /// 1 or 0; none before the Byzantium fork.
    pub status: Option<Quantity>,
    /// Gas that this transaction used.
    pub gas_used: Quantity,
    /// Wei that were paid for one unit of gas.
    pub effective_gas_price: Option<Wide>,
    /// The contract that it created, or would have.
    pub contract_address: Option<Account>,
    /// In order.
    pub logs: Vec<Log>,
}

impl Receipt {
    /// Whether it succeeded. Receipts from before the Byzantium fork do not tell, and count as such.
    pub fn successful(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.0 != 0)
    }
}

/// What a contract said.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// The contract.
    pub address: Account,
    /// At most four.
    pub topics: Vec<Hash32>,
    /// The rest.
    pub data: Data,
    /// The block that it is in.
    pub block_hash: Option<Hash32>,
    /// The transaction.
    pub transaction_hash: Option<Hash32>,
    /// Its place among the logs of the block.
    pub log_index: Quantity,
    /// Whether a reorganisation took it out.
    #[serde(default)]
    pub removed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_strict() {
        assert_eq!((quantity("0x0"), quantity("0x10"), quantity("0xFf")), (Ok(0), Ok(16), Ok(255)));
        assert_eq!(wide_quantity(&format!("0x{}", "f".repeat(64))), Ok(U256::MAX));
        for bad in ["", "0x", "0x00", "0x01", "10", "0X1", "0x-1", "0x+1", "0x 1", "0xg", "0x1_0", "0b1"] {
            assert!(quantity(bad).is_err() && wide_quantity(bad).is_err(), "{bad}");
        }
        assert!(quantity("0x10000000000000000").is_err());
        assert!(wide_quantity(&format!("0x1{}", "0".repeat(64))).is_err());
        for number in ["1", "null", "true", "{}", "\"1\""] {
            assert!(serde_json::from_str::<Quantity>(number).is_err(), "{number}");
        }
    }

    #[test]
    fn bytes_have_two_digits_each() {
        assert_eq!(bytes("0x"), Ok(vec![]));
        assert_eq!(bytes("0x00Ff"), Ok(vec![0, 255]));
        for bad in ["", "00", "0x0", "0xzz", "0x0x00"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert!(address("0x5FbDB2315678afecb367f032d93F642f64180aa3").is_ok());
        assert!(address("0x5FbDB2315678afecb367f032d93F642f64180a").is_err());
        assert!(hash(&format!("0x{}", "0".repeat(63))).is_err());
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: u64, wide: [u64; 4]) {
            prop_assert_eq!(quantity(&format!("{number:#x}")), Ok(number));
            let wide = U256::from_limbs(wide);
            prop_assert_eq!(wide_quantity(&format!("{wide:#x}")), Ok(wide));
        }

        #[test]
        fn any_text_is_safe(text in "(0x)?\\PC{0,80}") {
            let _ = (quantity(&text), wide_quantity(&text), bytes(&text), address(&text), hash(&text));
        }
    }
}
