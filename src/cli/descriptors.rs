//! The limit of open files: each client takes one.

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

/// Warns when `connections` cannot all be open at once.
pub fn warn_if_short(limit: Option<u64>, connections: u32) {
    /// Listeners, sources, files and what libraries open.
    const OTHERS: u64 = 200;
    if let Some(limit) = limit
        && limit < u64::from(connections) + OTHERS
    {
        log::warn!(
            open_files = limit, connections = connections;
            "fewer files may be open than limits.connections needs; raise `ulimit -Hn` (systemd: LimitNOFILE) or lower it"
        );
    }
}
