//! The WebSocket API of five-bells-ledger.

pub mod users;
