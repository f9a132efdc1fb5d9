//! What is said when an address cannot be listened on.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

/// An address could not be taken. Says which setting chose it and what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(error, setting))]
pub struct CannotListen {
    /// The address.
    pub address: SocketAddr,
    /// What chose it: `--bind`, or a key such as `listeners[0].bind`.
    pub setting: String,
    /// What the system said.
    pub error: Error,
}

impl CannotListen {
    /// Wraps the error of a bind.
    pub fn new(address: SocketAddr, setting: impl Into<String>, error: Error) -> CannotListen {
        CannotListen { address, setting: setting.into(), error }
    }
}

fn reason(error: &Error, setting: &str) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!("the address is in use; stop the other process or choose another with {setting}")
        }
        ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; choose one of its own, or 0.0.0.0, with {setting}")
        }
        ErrorKind::PermissionDenied => {
            format!("not allowed; ports below 1024 need a right of their own, choose a higher one with {setting}")
        }
        _ => format!("{error}; choose another with {setting}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_the_remedy() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = std::net::TcpListener::bind(address).unwrap_err();
        assert_eq!(
            CannotListen::new(address, "--bind", error).to_string(),
            format!(
                "cannot listen on {address}: the address is in use; stop the other process or choose another with --bind"
            )
        );
    }
}
