//! The limit of open files: each client takes one.

use crate::config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one and says what holds now; `None`: no limit. The usual soft
/// limit of 1024 would refuse most clients.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            log::warn!(error = error.to_string().as_str(); "cannot raise the limit of open files");
            current
        }
    }
}

/// What a process takes that serves nobody yet, those who operate it, and files that are open for a moment.
const BASE: u64 = 36;
/// What each worker thread and each source takes.
const EACH: u64 = 8;

/// Lowers the limits of connections to what can be open at once, so that clients are refused or wait before
/// the process has no file left for its ledgers, its checkpoints and its operators. True if nothing was lowered
/// that clients would notice.
pub fn fit(config: &mut Config, open_files: Option<u64>) -> bool {
    let others = BASE + EACH * (config.worker_threads() + config.sources.0.len()) as u64;
    let room = u32::try_from(open_files.unwrap_or(u64::MAX).saturating_sub(others)).unwrap_or(u32::MAX).max(4);
    let limits = &mut config.limits;
    // Handshakes are short, and further ones wait: they get a small part.
    let handshakes = limits.handshakes.min((room / 32).max(64.min(room / 4)));
    let connections = limits.connections.min(room - handshakes);
    let fits = connections == limits.connections;
    (limits.connections, limits.handshakes) = (connections, handshakes);
    fits
}

/// The same, and says so where a file asked for more.
pub fn fit_and_tell(config: &mut Config, open_files: Option<u64>) {
    let wanted = config.limits.connections;
    if !fit(config, open_files) {
        log::warn!(
            open_files = open_files, connections = wanted, possible = config.limits.connections;
            "fewer files may be open than limits.connections needs; raise `ulimit -Hn` (systemd: LimitNOFILE) or lower it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_open_files() {
        for (open_files, connections, handshakes, fits) in [
            (None, 50_000, 4096, true),
            (Some(1_000_000), 50_000, 4096, true),
            (Some(20_000), 19_325, 623, false),
            (Some(1024), 908, 64, false),
            (Some(64), 9, 3, false),
            (Some(10), 3, 1, false),
        ] {
            let mut config = Config { workers: Some(2), ..Config::default() };
            assert_eq!(fit(&mut config, open_files), fits, "{open_files:?}");
            let limits = config.limits;
            assert_eq!((limits.connections, limits.handshakes), (connections, handshakes), "{open_files:?}");
        }
    }
}
