//! What is asked of the consensus RPC, by GET, and how its answers are read.
//!
//! Numbers come as texts, hashes as upper-case hex, transactions and other bytes as base64. An error comes with HTTP
//! 500 and says itself in the body.

use crate::event::Hash;
use crate::source::{RpcClient, SourceError, cut};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer};
use serde_json::value::RawValue;

/// A whole number, as text or as number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Number(pub u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Number;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number, as text or as number")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// `status`, as far as it is needed.
#[derive(Debug, Deserialize)]
pub struct Status {
    pub node_info: NodeInfo,
    pub sync_info: SyncInfo,
}

#[derive(Debug, Deserialize)]
pub struct NodeInfo {
    /// The chain's id.
    pub network: String,
    #[serde(default)]
    pub version: String,
}

#[derive(Debug, Deserialize)]
pub struct SyncInfo {
    pub latest_block_height: Number,
    #[serde(default)]
    pub earliest_block_height: Number,
}

/// `block`.
#[derive(Debug, Deserialize)]
pub struct Block {
    pub block_id: BlockId,
    pub block: Inner,
}

#[derive(Debug, Default, Deserialize)]
pub struct BlockId {
    #[serde(default)]
    pub hash: String,
}

#[derive(Debug, Deserialize)]
pub struct Inner {
    pub header: Header,
    pub data: Data,
}

#[derive(Debug, Deserialize)]
pub struct Header {
    pub chain_id: String,
    pub height: Number,
    pub time: String,
    /// The application's state after the block before.
    #[serde(default)]
    pub app_hash: String,
    #[serde(default)]
    pub last_block_id: Option<BlockId>,
}

#[derive(Debug, Deserialize)]
pub struct Data {
    /// Null for an empty block in some releases.
    pub txs: Option<Vec<String>>,
}

/// `block_results`.
#[derive(Debug, Deserialize)]
pub struct Results {
    pub height: Number,
    /// Null for an empty block.
    pub txs_results: Option<Vec<TxResult>>,
    /// From 0.38 on, base64: the application's state after this block.
    pub app_hash: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct TxResult {
    /// Left out when it is 0.
    pub code: Option<Number>,
}

/// `abci_info`.
#[derive(Debug, Deserialize)]
pub struct Info {
    pub response: InfoResponse,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct InfoResponse {
    pub last_block_height: Number,
    pub last_block_app_hash: Option<String>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: String,
}

/// Asks for a path such as `/block?height=10`.
pub async fn ask<T: DeserializeOwned>(rpc: &RpcClient, path: &str) -> Result<T, SourceError> {
    let reply = rpc.get(path).await?;
    let malformed = |error: serde_json::Error| rpc.malformed(path, error.to_string());
    let answer = match serde_json::from_slice::<Answer<'_>>(&reply.body) {
        Ok(answer) => answer,
        Err(error) if reply.status == 200 => return Err(malformed(error)),
        Err(_) => Answer { result: None, error: None },
    };
    match answer {
        Answer { error: Some(AnswerError { code, message, data }), .. } => {
            let message = cut(if data.is_empty() { message } else { format!("{message}: {data}") });
            Err(SourceError::Rpc { url: rpc.shown().to_owned(), method: path.into(), code, message })
        }
        Answer { result: Some(result), .. } if reply.status == 200 => {
            serde_json::from_str(result.get()).map_err(malformed)
        }
        _ => {
            reply.ok(rpc.shown())?;
            Err(rpc.malformed(path, "neither result nor error".into()))
        }
    }
}

/// `status`.
pub async fn status(rpc: &RpcClient) -> Result<Status, SourceError> {
    ask(rpc, "/status").await
}

/// The block of a height.
pub async fn block(rpc: &RpcClient, height: u64) -> Result<Block, SourceError> {
    let path = format!("/block?height={height}");
    let block: Block = ask(rpc, &path).await?;
    let found = block.block.header.height.0;
    if found == height { Ok(block) } else { Err(rpc.malformed(&path, format!("block {found} came"))) }
}

/// What became of its transactions.
pub async fn results(rpc: &RpcClient, height: u64) -> Result<Results, SourceError> {
    let path = format!("/block_results?height={height}");
    let results: Results = ask(rpc, &path).await?;
    let found = results.height.0;
    if found == height { Ok(results) } else { Err(rpc.malformed(&path, format!("block {found} came"))) }
}

/// A hash in hex of either case; `None` for an empty one, as the first block's parent is.
pub fn hash(id: &BlockId) -> Option<Hash> {
    Hash::from_hex(&id.hash)
}

/// Bytes in base64.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The application hash as the node API tells it, from the hex in a header.
pub fn app_hash_of_hex(hex: &str) -> String {
    let nibble = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
    let pairs = hex.as_bytes().chunks_exact(2);
    let bytes: Option<Vec<u8>> = pairs.map(|pair| Some(nibble(&pair[0])? << 4 | nibble(&pair[1])?)).collect();
    bytes.map(app_hash).unwrap_or_default()
}

/// The same from the bytes: Planetmint's are themselves hex digits; others are written as hex.
pub fn app_hash(bytes: Vec<u8>) -> String {
    if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_hexdigit) {
        return bytes.into_iter().map(char::from).collect();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_texts_or_numbers() {
        let read = |text| serde_json::from_str::<Number>(text).ok();
        assert_eq!((read("\"67\""), read("67")), (Some(Number(67)), Some(Number(67))));
        for bad in ["\"\"", "-1", "\"-1\"", "1.5", "null", "\"0x1\"", "{}"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn application_hashes_are_the_text_inside() {
        let text = "7bad06cd77607b2c6f015a8799efffea5e3084a744cdf3bab31e4af068939374";
        let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(app_hash_of_hex(&hex), text);
        assert_eq!(app_hash_of_hex("0600000000000000"), "0600000000000000");
        assert_eq!((app_hash_of_hex(""), app_hash_of_hex("zz")), (String::new(), String::new()));
    }
}
