//! stand-in until merged
use super::handshake::Refusal;
use crate::broker::Sessions;
use crate::session::Worker;
use std::net::IpAddr;
#[derive(Default)]
pub struct Metrics {}
impl Metrics {
    pub fn session_opened(&self, _d: &'static str) {}
    pub fn session_over(&self, _d: &'static str) {}
    pub fn session_closed(&self, _d: &'static str, _c: u16, _r: &str, _p: IpAddr, _l: u64) {}
    pub fn handshake_refused(&self, _r: Refusal, _p: IpAddr) {}
    pub fn take_counters(&self, _w: &Worker, _s: &Sessions) {}
}
