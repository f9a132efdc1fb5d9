//! What can go wrong between a ledger's RPC and us.

use std::path::PathBuf;
use std::time::Duration;

/// Why a source could not go on. Each message names where and the remedy; URLs are shown without
/// what may be a secret in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No connection, or one that broke before the answer was whole.
    #[error("{url}: {reason}; check that the node runs and that this host may reach it")]
    Transport {
        /// Where, for people.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// No whole answer in time.
    #[error("{url}: no whole answer to {method} within {after:?}; raise `timeout` or use a nearer node")]
    Timeout {
        /// Where, for people.
        url: String,
        /// The method called.
        method: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// An HTTP status other than 200.
    #[error("{url}: http status {status}; {}", remedy(*.status))]
    Status {
        /// Where, for people.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long the server asks us to stay away.
        retry_after: Option<Duration>,
    },
    /// A JSON-RPC error object.
    #[error("{url}: {method} was refused with {code}: {message}")]
    Rpc {
        /// Where, for people.
        url: String,
        /// The method called.
        method: String,
        /// The JSON-RPC error code.
        code: i64,
        /// The server's text, cut to a sane length.
        message: String,
    },
    /// The server says by a word of its own that it cannot, or will not, answer now.
    #[error("{url}: {method} was refused with {error}: {message}; {}", refusal.remedy())]
    Refused {
        /// Where, for people.
        url: String,
        /// The method called.
        method: String,
        /// The server's word for it, such as `slowDown`.
        error: String,
        /// The server's text, cut to a sane length.
        message: String,
        /// What it means.
        refusal: Refusal,
        /// How long to stay away at least.
        wait: Option<Duration>,
    },
    /// An answer that is not what the method gives.
    #[error("{url}: unusable answer to {method}: {reason}; check that the url is an rpc of this ledger kind")]
    Malformed {
        /// Where, for people.
        url: String,
        /// The method called.
        method: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer over the limit.
    #[error("{url}: the answer to {method} is larger than {limit} bytes; raise `max_response`")]
    TooLarge {
        /// Where, for people.
        url: String,
        /// The method called.
        method: String,
        /// The limit, bytes after decompression.
        limit: usize,
    },
    /// The node serves another network than the configured one.
    #[error(
        "{url} serves the network \"{found}\", not \"{expected}\"; correct `rpc_url`, or `network_passphrase`, `network_id` or `chain_id`"
    )]
    WrongNetwork {
        /// Where, for people.
        url: String,
        /// What the configuration or the stored position says.
        expected: String,
        /// What the node says.
        found: String,
    },
    /// A hash of the chain differs from what was delivered; looked at again before it is believed.
    #[error("{url}: ledger {ledger} does not follow the ledger delivered before it; looking again")]
    Discontinuity {
        /// Where, for people.
        url: String,
        /// The ledger whose parent differs.
        ledger: u64,
    },
    /// A ledger came out of order: a fault of ours, contained by starting again from the last good one.
    #[error("ledger {found} came where {expected} was due; going back to the last ledger posted")]
    OutOfOrder {
        /// What was due.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Something happened at which the settings say to wait for a person.
    #[error("{reason}; nothing more is read; to go on, set `{key}: {value}`")]
    Held {
        /// What happened.
        reason: String,
        /// The key that decides.
        key: &'static str,
        /// Its value that goes on.
        value: &'static str,
    },
    /// A recording that cannot be read on.
    #[error("{reason}")]
    Recording {
        /// Where, what is wrong and what to do.
        reason: String,
    },
    /// A setting that cannot work.
    #[error("`{key}`: {reason}")]
    Setting {
        /// The key in the source's `config`.
        key: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A checkpoint that cannot be read, written or trusted.
    #[error("checkpoint {}: {reason}", .path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// What it means that a server refuses by a word of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// We ask too much, or others do.
    Overloaded,
    /// It is starting, or has lost its network.
    NotSynced,
    /// It can no longer follow the network, and needs a person.
    Blocked,
    /// Our request is wrong, or not allowed.
    Denied,
    /// Anything else.
    Other,
}

impl Refusal {
    const fn kind(self) -> &'static str {
        match self {
            Refusal::Overloaded => "overloaded",
            Refusal::NotSynced => "not_synced",
            Refusal::Blocked => "blocked",
            Refusal::Denied => "denied",
            Refusal::Other => "rpc",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Refusal::Overloaded => "raise `poll_interval` or use another server",
            Refusal::NotSynced => "it is asked again until it follows its network",
            Refusal::Blocked => "it cannot follow the network any more; upgrade it, or use another server",
            Refusal::Denied => "check that the url is an rpc of this ledger kind and that this host may use it",
            Refusal::Other => "it will be asked again",
        }
    }
}

fn remedy(status: u16) -> &'static str {
    match status {
        401 | 403 => "check `auth_header_file` or `auth_header`",
        404 | 405 | 415 => "check the path of `rpc_url`",
        429 => "the node limits us; raise `poll_interval` or use another node",
        300..=399 => "redirects are not followed; write the final address in `rpc_url`",
        _ => "the node or what stands before it is in trouble; it will be asked again",
    }
}

impl SourceError {
    /// A short name for metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            SourceError::Transport { .. } => "transport",
            SourceError::Timeout { .. } => "timeout",
            SourceError::Status { .. } => "http_status",
            SourceError::Rpc { .. } => "rpc",
            SourceError::Refused { refusal, .. } => refusal.kind(),
            SourceError::Malformed { .. } => "malformed",
            SourceError::TooLarge { .. } => "too_large",
            SourceError::WrongNetwork { .. } => "wrong_network",
            SourceError::Discontinuity { .. } => "discontinuity",
            SourceError::OutOfOrder { .. } => "out_of_order",
            SourceError::Held { .. } => "held",
            SourceError::Recording { .. } => "recording",
            SourceError::Setting { .. } => "setting",
            SourceError::Checkpoint { .. } => "checkpoint",
        }
    }

    /// How long the server asked us to stay away.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            SourceError::Status { retry_after, .. } => *retry_after,
            SourceError::Refused { wait, .. } => *wait,
            _ => None,
        }
    }

    /// The code of a JSON-RPC error.
    pub const fn rpc_code(&self) -> Option<i64> {
        match self {
            SourceError::Rpc { code, .. } => Some(*code),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_place_and_the_remedy() {
        let limited = SourceError::Status { url: "https://rpc.example".into(), status: 429, retry_after: None };
        assert_eq!(
            limited.to_string(),
            "https://rpc.example: http status 429; the node limits us; raise `poll_interval` or use another node"
        );
        assert_eq!(limited.kind(), "http_status");
        let large = SourceError::TooLarge { url: "http://a".into(), method: "getLedgers".into(), limit: 5 };
        assert!(large.to_string().contains("raise `max_response`"));
    }
}
