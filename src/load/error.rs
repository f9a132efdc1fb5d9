//! Why there was no run.

use std::net::SocketAddr;

/// Told with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// The filters cannot be made.
    #[error(transparent)]
    Template(#[from] super::template::TemplateError),
    /// Nobody takes connections.
    #[error("cannot connect to {0}: {1}; is the server running?")]
    Connect(String, String),
    /// The admin listener is of no use.
    #[error("--admin http://{0}: {1}")]
    Admin(SocketAddr, String),
    /// Something of our own.
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
}

impl LoadError {
    /// Whether the command line is to blame.
    pub fn is_usage(&self) -> bool {
        matches!(self, LoadError::Usage(_) | LoadError::Template(_))
    }
}
