//! The RPC of a small chain that a test mines: every transaction goes to one contract, which emits one log.

use alloy_primitives::{hex, keccak256};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The chain's number.
pub const CHAIN: u64 = 31337;
/// The contract.
pub const BOARD: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
/// The node. Its threads end with the process.
pub struct EvmNode {
    /// Where it listens.
    pub address: SocketAddr,
    chain: Arc<Mutex<Vec<Mined>>>,
}

struct Mined {
    block: Value,
    receipts: Vec<Value>,
}

fn hash_of(what: &str) -> String {
    hex::encode_prefixed(keccak256(what))
}

impl EvmNode {
    /// With an empty first block.
    pub fn start() -> EvmNode {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = EvmNode { address: listener.local_addr().unwrap(), chain: Arc::default() };
        node.mine(0);
        let chain = node.chain.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().filter_map(Result::ok) {
                let chain = chain.clone();
                std::thread::spawn(move || serve(socket, &chain));
            }
        });
        node
    }

    /// Mines a block of so many transactions.
    pub fn mine(&self, transactions: usize) {
        let mut chain = self.chain.lock().unwrap();
        let (number, parent) = (chain.len(), chain.last().map_or_else(|| hash_of("none"), |it| hash(&it.block)));
        let block_hash = hash_of(&format!("block {number}"));
        let (mut called, mut receipts) = (Vec::new(), Vec::new());
        for at in 0..transactions {
            let transaction = hash_of(&format!("transaction {number} {at}"));
            let place = json!({ "blockHash": block_hash, "blockNumber": format!("{number:#x}"),
                "transactionIndex": format!("{at:#x}") });
            let log = json!({ "address": BOARD.to_lowercase(), "topics": [hash_of("Said(uint256)")], "data": format!("0x{number:064x}"),
                "transactionHash": transaction, "logIndex": format!("{at:#x}"), "removed": false });
            called.push(with(
                &place,
                json!({ "type": "0x2", "hash": transaction, "from": BOARD.to_lowercase(),
                "to": BOARD.to_lowercase(), "value": "0x0", "gas": "0x5208", "gasPrice": "0x7", "input": "0x",
                "nonce": "0x1" }),
            ));
            receipts.push(with(
                &place,
                json!({ "transactionHash": transaction, "status": "0x1", "gasUsed": "0x5208",
                "effectiveGasPrice": "0x7", "contractAddress": null, "logs": [with(&place, log)] }),
            ));
        }
        let bloom = if transactions == 0 { "00" } else { "01" };
        let block = json!({ "number": format!("{number:#x}"), "hash": block_hash, "parentHash": parent,
            "timestamp": format!("{:#x}", 1_700_000_000 + number), "logsBloom": format!("0x{}", bloom.repeat(256)),
            "transactions": called });
        chain.push(Mined { block, receipts });
    }

    /// The settings of a source that reads it, as `sources`.
    pub fn source(&self, name: &str) -> String {
        let abi = json!([{ "type": "event", "name": "Said", "anonymous": false,
            "inputs": [{ "name": "number", "type": "uint256", "indexed": false }] }]);
        let config = json!({ "rpc_url": format!("http://{}", self.address), "chain_id": CHAIN, "poll_interval": "20ms",
            "finality": { "confirmations": 0 }, "calls_per_second": 10_000,
            "contracts": [{ "name": "Board", "address": BOARD, "abi": abi }] });
        format!("sources:\n  {name}:\n    type: evm_rpc\n    config: {config}\n")
    }
}

fn hash(block: &Value) -> String {
    block["hash"].as_str().unwrap().to_owned()
}

/// Both objects in one.
fn with(place: &Value, mut fields: Value) -> Value {
    let all = fields.as_object_mut().unwrap();
    all.extend(place.as_object().unwrap().clone());
    fields
}

fn answer(chain: &[Mined], method: &str, params: &Value) -> Value {
    let number = |text: &str| usize::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let by_number = || chain.get(number(params[0].as_str()?)?);
    let by_hash = || chain.iter().rev().find(|mined| mined.block["hash"] == params[0]);
    match method {
        "eth_chainId" => format!("{CHAIN:#x}").into(),
        "eth_blockNumber" => format!("{:#x}", chain.len() - 1).into(),
        "eth_getBlockByNumber" => by_number().map_or(Value::Null, |mined| mined.block.clone()),
        "eth_getBlockByHash" => by_hash().map_or(Value::Null, |mined| mined.block.clone()),
        "eth_getBlockReceipts" => {
            by_hash().or_else(by_number).map_or(Value::Null, |mined| mined.receipts.clone().into())
        }
        other => panic!("{other} was called"),
    }
}

/// Answers the calls of one connection until it ends.
fn serve(mut socket: TcpStream, chain: &Mutex<Vec<Mined>>) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let body = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
                let length: usize =
                    head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
                if read.len() >= end + 4 + length {
                    let rest = read.split_off(end + 4 + length);
                    break std::mem::replace(&mut read, rest).split_off(end + 4);
                }
            }
            let mut piece = [0; 4096];
            match socket.read(&mut piece).ok()? {
                0 => return None,
                count => read.extend_from_slice(&piece[..count]),
            }
        };
        let asked: Value = serde_json::from_slice(&body).ok()?;
        let one = |call: &Value| {
            let result = answer(&chain.lock().unwrap(), call["method"].as_str().unwrap(), &call["params"]);
            json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })
        };
        let body = asked.as_array().map_or_else(|| one(&asked), |calls| calls.iter().map(one).collect()).to_string();
        let length = body.len();
        socket.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes()).ok()?;
    }
}
