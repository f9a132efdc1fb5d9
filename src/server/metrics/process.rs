//! What the process as a whole has and uses, read at each scrape.

use super::{gauge, register, registered, registry};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::fs;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

/// Our own metrics of the process.
pub(super) fn server(connections: usize) -> Registry {
    let mut registry = registry();
    register(&mut registry, "build", "What runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    let open: Gauge = registered(&mut registry, "connections_open", "Connections of clients, sessions or not yet");
    open.set(gauge(connections));
    registry
}

/// What Prometheus calls by the same name in every program. What the system does not tell is left out.
pub(super) fn standard(started: SystemTime) -> Registry {
    let mut registry = Registry::default();
    let r = &mut registry;
    if let Ok(started) = started.duration_since(SystemTime::UNIX_EPOCH) {
        let start: Gauge<f64, AtomicU64> =
            registered(r, "process_start_time_seconds", "When the server started, Unix seconds");
        start.set(started.as_secs_f64());
    }
    let found = [
        ("process_resident_memory_bytes", "Memory in use", resident()),
        ("process_open_fds", "Open file descriptors", open_descriptors()),
        ("process_max_fds", "File descriptors that may be open", descriptor_limit()),
    ];
    for (name, help, value) in found {
        if let Some(value) = value {
            registered::<Gauge>(r, name, help).set(gauge(value));
        }
    }
    registry
}

/// Bytes of memory in use.
fn resident() -> Option<u64> {
    let pages: u64 = fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Linux tells the count as the directory's size since 6.2; before, it takes a walk.
fn open_descriptors() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        count => Some(count),
    }
}

fn descriptor_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}
