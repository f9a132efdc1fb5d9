//! The process: listeners, mounts, HTTP routes, health, metrics, admin, drain.

pub mod access;
pub mod admin;
pub mod admission;
mod arriving;
mod cors;
pub mod handshake;
pub mod listener;
pub mod metrics;
mod page;
mod plain;
mod run;
pub mod tls;

pub use run::{BuildMount, ListenError, Server, StartError, check_files};
pub use tls::FileError;

/// Names the current thread, for per-thread CPU figures. Linux keeps 15 bytes.
pub fn name_thread(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        // Only a convenience: a thread without its name works all the same.
        let _ = rustix::thread::set_name(&name);
    }
}
