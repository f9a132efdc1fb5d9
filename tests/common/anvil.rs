//! The real node of Foundry, anvil, and contracts for it, made here instruction by instruction.

use crate::common::http;
use crate::common::server::Process;
use alloy_primitives::{U256, hex, keccak256};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The chain's number.
pub const CHAIN: u64 = 31337;

/// The first contracts of account 0, on every fresh chain.
pub const BOARD: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";
pub const COIN: &str = "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512";
pub const RELAY: &str = "0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0";

/// A node with blocks made on demand.
pub struct Anvil {
    pub process: Process,
    pub address: SocketAddr,
    /// Ten with more than they can spend.
    pub accounts: Vec<String>,
}

/// The program, by `ANVIL` or among the packages of Node.
fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ANVIL") {
        return Some(path.into());
    }
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let packages = std::env::var("NODE_PATH").unwrap_or_default();
    let mut places = packages.split(':').map(PathBuf::from).chain(
        // Where `tests/run.sh` installs it.
        [PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/clients/node_modules")],
    );
    places.find_map(|place| {
        let program = place.join(format!("@foundry-rs/anvil-linux-{machine}/bin/anvil"));
        program.is_file().then_some(program)
    })
}

impl Anvil {
    /// On a free port; `None`, said, where it is not installed.
    pub fn start() -> Option<Anvil> {
        Anvil::with(&[])
    }

    /// The same with further arguments.
    pub fn with(arguments: &[&str]) -> Option<Anvil> {
        let Some(program) = program() else {
            println!("skipped: no anvil; name it as ANVIL, or install the npm package @foundry-rs/anvil (NODE_PATH)");
            return None;
        };
        let mut command = Command::new(program);
        command.args(["--port", "0", "--no-mining", "--order", "fifo", "--chain-id", "31337"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::of(command);
        let address = process.wait_for("address of anvil", |process| {
            let out = process.stdout();
            out.lines().find_map(|line| line.strip_prefix("Listening on "))?.parse().ok()
        });
        let accounts = http::rpc(address, "eth_accounts", json!([]));
        let accounts = accounts.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_lowercase()).collect();
        Some(Anvil { process, address, accounts })
    }

    pub fn rpc(&self, method: &str, params: Value) -> Value {
        http::rpc(self.address, method, params)
    }

    /// Sends a transaction and gives its hash. It is in the next block.
    pub fn send(&self, from: usize, to: Option<&str>, value: u128, input: &[u8]) -> String {
        let sent = self.rpc("eth_sendTransaction", json!([self.transaction(from, to, value, input)]));
        sent.as_str().unwrap().to_owned()
    }

    /// A transaction as the node takes it.
    pub fn transaction(&self, from: usize, to: Option<&str>, value: u128, input: &[u8]) -> Value {
        let mut transaction = json!({
            "from": self.accounts[from], "value": format!("{value:#x}"), "gas": "0x4c4b40",
            "input": hex::encode_prefixed(input),
        });
        if let Some(to) = to {
            transaction["to"] = to.into();
        }
        transaction
    }

    pub fn mine(&self, blocks: u64) {
        for _ in 0..blocks {
            self.rpc("evm_mine", json!([]));
        }
    }

    pub fn head(&self) -> u64 {
        number(&self.rpc("eth_blockNumber", json!([])))
    }

    /// The number and the hash of a block, by number or tag.
    pub fn block(&self, block: &str) -> (u64, String) {
        let block = self.rpc("eth_getBlockByNumber", json!([block, false]));
        (number(&block["number"]), block["hash"].as_str().unwrap()[2..].to_owned())
    }

    pub fn receipt(&self, transaction: &str) -> Value {
        self.rpc("eth_getTransactionReceipt", json!([transaction]))
    }

    /// Unix seconds of a block.
    pub fn time(&self, block: u64) -> u64 {
        number(&self.rpc("eth_getBlockByNumber", json!([format!("{block:#x}"), false]))["timestamp"])
    }

    /// Deploys the three contracts from account 0 and mines them; gives the hashes.
    pub fn deploy(&self) -> [String; 3] {
        let hashes = [board(), coin(), relay()].map(|code| self.send(0, None, 0, &code));
        self.mine(1);
        let made = hashes.each_ref().map(|hash| self.receipt(hash)["contractAddress"].as_str().unwrap().to_lowercase());
        assert_eq!(made, [BOARD, COIN, RELAY]);
        hashes
    }

    /// It answers nothing any more, and keeps its connections.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }
}

/// A quantity.
pub fn number(text: &Value) -> u64 {
    u64::from_str_radix(text.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

/// The ABI of the board: it says again what it is told, so that arguments of a call are the data of its log.
pub fn board_abi() -> Value {
    let note = [parameter("id", "uint256"), parameter("text", "string")];
    let mut offer = parameter("offer", "tuple");
    offer["components"] =
        json!([parameter("price", "uint256"), parameter("maker", "address"), parameter("note", "string")]);
    let offered = [offer, parameter("sizes", "uint256[]"), parameter("flags", "bool[2]"), parameter("least", "int256")];
    json!([
        function("note", "nonpayable", &note),
        event("Noted", &note, 0),
        function("offer", "nonpayable", &offered),
        event("Offered", &offered, 0),
        function("tip", "payable", &[]),
        function("fail", "nonpayable", &[parameter("why", "string")]),
        event("Opened", &[], 0),
        { "type": "receive", "stateMutability": "payable" },
    ])
}

/// The ABI of the coin: a token that lets everybody transfer anything.
pub fn coin_abi() -> Value {
    let (to, value) = (parameter("to", "address"), parameter("value", "uint256"));
    json!([
        function("transfer", "nonpayable", &[to.clone(), value.clone()]),
        event("Transfer", &[parameter("from", "address"), to, value], 2),
    ])
}

fn parameter(name: &str, kind: &str) -> Value {
    json!({ "name": name, "type": kind })
}

fn function(name: &str, mutability: &str, inputs: &[Value]) -> Value {
    json!({ "type": "function", "name": name, "stateMutability": mutability, "inputs": inputs, "outputs": [] })
}

/// The first so many parameters are indexed.
fn event(name: &str, inputs: &[Value], indexed: usize) -> Value {
    let mut inputs = inputs.to_vec();
    for (at, input) in inputs.iter_mut().enumerate() {
        input["indexed"] = (at < indexed).into();
    }
    json!({ "type": "event", "name": name, "anonymous": false, "inputs": inputs })
}

pub const NOTE: &str = "note(uint256,string)";
pub const OFFER: &str = "offer((uint256,address,string),uint256[],bool[2],int256)";
pub const TRANSFER: &str = "transfer(address,uint256)";

/// A call of `note`.
pub fn note(id: u64, text: &str) -> Vec<u8> {
    use alloy_dyn_abi::DynSolValue;
    call(NOTE, vec![DynSolValue::Uint(U256::from(id), 256), DynSolValue::String(text.to_owned())])
}

/// A call's selector and arguments.
pub fn call(signature: &str, arguments: Vec<alloy_dyn_abi::DynSolValue>) -> Vec<u8> {
    [&keccak256(signature)[..4], &alloy_dyn_abi::DynSolValue::Tuple(arguments).abi_encode_params()].concat()
}

const STOP: u8 = 0x00;
const SUB: u8 = 0x03;
const EQ: u8 = 0x14;
const SHR: u8 = 0x1c;
const CALLER: u8 = 0x33;
const CALLVALUE: u8 = 0x34;
const CALLDATALOAD: u8 = 0x35;
const CALLDATASIZE: u8 = 0x36;
const CALLDATACOPY: u8 = 0x37;
const CODECOPY: u8 = 0x39;
const MSTORE: u8 = 0x52;
const JUMPI: u8 = 0x57;
const GAS: u8 = 0x5a;
const JUMPDEST: u8 = 0x5b;
const PUSH1: u8 = 0x60;
const PUSH2: u8 = 0x61;
const PUSH4: u8 = 0x63;
const PUSH32: u8 = 0x7f;
const DUP1: u8 = 0x80;
const DUP3: u8 = 0x82;
const SWAP1: u8 = 0x90;
const LOG1: u8 = 0xa1;
const LOG3: u8 = 0xa3;
const CALL: u8 = 0xf1;
const RETURN: u8 = 0xf3;
const REVERT: u8 = 0xfd;

const FAIL: [u8; 5] = [PUSH1, 0, PUSH1, 0, REVERT];

/// Code that creates a contract of this code, after `first` has been done.
fn creating(first: &[u8], code: &[u8]) -> Vec<u8> {
    let [high, low] = (code.len() as u16).to_be_bytes();
    let at = (first.len() + 12) as u8;
    [first, &[PUSH2, high, low, DUP1, PUSH1, at, PUSH1, 0, CODECOPY, PUSH1, 0, RETURN], code].concat()
}

/// Code that does what belongs to a call's selector, takes what comes without one, and refuses all else.
fn dispatching(methods: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let head = [PUSH1, 0, CALLDATALOAD, PUSH1, 0xe0, SHR];
    let unknown = [&[CALLDATASIZE, PUSH2, 0, 0, JUMPI, STOP, JUMPDEST][..], &FAIL].concat();
    let mut at = head.len() + methods.len() * 11;
    let place = |at: usize| (at as u16).to_be_bytes();
    let (mut choices, mut rest) = (Vec::new(), unknown);
    let refusal = place(at + 6);
    rest[2..4].copy_from_slice(&refusal);
    at += rest.len();
    for (signature, code) in methods {
        choices.extend([DUP1, PUSH4]);
        choices.extend_from_slice(&keccak256(signature)[..4]);
        choices.extend([EQ, PUSH2]);
        choices.extend(place(at));
        choices.push(JUMPI);
        rest.push(JUMPDEST);
        rest.extend(code);
        at += 1 + code.len();
    }
    [&head[..], &choices, &rest].concat()
}

/// Code that says the arguments of the call again, as this event.
fn again(event: &str) -> Vec<u8> {
    let copy = [PUSH1, 4, CALLDATASIZE, SUB, DUP1, PUSH1, 4, PUSH1, 0, CALLDATACOPY];
    [&copy[..], &[PUSH32], &keccak256(event).0, &[SWAP1, PUSH1, 0, LOG1, STOP]].concat()
}

/// Creates the board, which says `Opened()` at once.
pub fn board() -> Vec<u8> {
    let opened = [&[PUSH32][..], &keccak256("Opened()").0, &[PUSH1, 0, PUSH1, 0, LOG1]].concat();
    let code = dispatching(&[
        (NOTE, again("Noted(uint256,string)")),
        (OFFER, again("Offered((uint256,address,string),uint256[],bool[2],int256)")),
        ("tip()", vec![STOP]),
        ("fail(string)", FAIL.to_vec()),
    ]);
    creating(&opened, &code)
}

/// Creates the coin.
pub fn coin() -> Vec<u8> {
    let value = [PUSH1, 0x24, CALLDATALOAD, PUSH1, 0, MSTORE, PUSH1, 4, CALLDATALOAD, CALLER, PUSH32];
    let transfer = keccak256("Transfer(address,address,uint256)").0;
    let code = dispatching(&[
        (TRANSFER, [&value[..], &transfer, &[PUSH1, 0x20, PUSH1, 0, LOG3, STOP]].concat()),
        ("decimals()", vec![PUSH1, 6, PUSH1, 0, MSTORE, PUSH1, 0x20, PUSH1, 0, RETURN]),
    ]);
    creating(&[], &code)
}

/// Creates what sends on the rest of its input to the contract in the first word.
pub fn relay() -> Vec<u8> {
    let copy = [PUSH1, 0x20, CALLDATASIZE, SUB, DUP1, PUSH1, 0x20, PUSH1, 0, CALLDATACOPY];
    let send = [PUSH1, 0, PUSH1, 0, DUP3, PUSH1, 0, CALLVALUE, PUSH1, 0, CALLDATALOAD, GAS, CALL];
    let done = (copy.len() + send.len() + 4 + FAIL.len()) as u8;
    let code = [&copy[..], &send, &[PUSH2, 0, done, JUMPI], &FAIL, &[JUMPDEST, STOP]].concat();
    creating(&[], &code)
}

/// Creates nothing.
pub fn failing() -> Vec<u8> {
    FAIL.to_vec()
}

/// The relay's input.
pub fn relayed(to: &str, input: &[u8]) -> Vec<u8> {
    let to: alloy_primitives::Address = to.parse().unwrap();
    [to.into_word().as_slice(), input].concat()
}
