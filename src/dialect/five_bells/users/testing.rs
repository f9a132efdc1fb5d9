//! What the tests of this folder share.

use super::password::{Cost, hash_password};
use std::net::IpAddr;

/// A hash that costs next to nothing.
pub(super) fn quick(password: &str) -> String {
    hash_password(password, Cost { memory: 8, passes: 1, lanes: 1 }).unwrap()
}

/// An address for each number.
pub(super) fn address(number: u32) -> IpAddr {
    IpAddr::V4(number.into())
}
