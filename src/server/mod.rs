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

/// Lets the streams go before the current thread, for work that may wait: each step of `nice`, up to 19, is about a
/// fifth less of a processor that others want as well. See nice(2).
pub fn give_way(nice: i32) {
    // Elsewhere it would be that of the process. Where it is not allowed, all goes on as before.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, nice);
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}
