//! The table of faces: the kinds of ledger that the devnet can be.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Error, Settings, evm, planetmint, stellar, xrpl};
use crate::source::LocalFuture;

/// A kind of ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Face {
    /// Stellar, behind Stellar RPC
    #[default]
    Stellar,
    /// The XRP Ledger, behind the JSON-RPC of its servers
    Xrpl,
    /// An EVM chain, behind the JSON-RPC of Ethereum nodes
    Evm,
    /// A Planetmint network, behind a node's API and the RPC of its consensus engine
    Planetmint,
}

/// What there is to know of a face.
pub(super) struct Row {
    /// What its endpoint is, for people.
    pub endpoint: &'static str,
    /// The port that clients of such a ledger try first on a machine of their own.
    pub port: u16,
    /// Makes a network without ledgers.
    pub network: fn(&Settings) -> Result<Arc<dyn Simulated>, Error>,
    /// The addresses of a network's accounts, in turn.
    pub accounts: fn(&Settings) -> Result<Vec<String>, Error>,
}

impl Face {
    /// What its endpoint is, such as `Stellar RPC`.
    pub fn endpoint(self) -> &'static str {
        self.row().endpoint
    }

    /// The port that clients of such a ledger try first on a machine of their own.
    pub fn port(self) -> u16 {
        self.row().port
    }

    pub(super) fn row(self) -> &'static Row {
        match self {
            Face::Stellar => &stellar::ROW,
            Face::Xrpl => &xrpl::ROW,
            Face::Evm => &evm::ROW,
            Face::Planetmint => &planetmint::ROW,
        }
    }
}

/// A network of some kind: what the ticker and the HTTP server need of it.
pub(super) trait Simulated: Send + Sync {
    /// Closes one ledger at `close_time` (unix seconds) and drops what is beyond the bounds. A time before that of
    /// the last ledger is raised to it. Called by the ticker alone.
    fn close_next(&self, close_time: u64) -> Result<(), Error>;

    /// Answers a request, whatever its method and path.
    fn serve(self: Arc<Self>, request: HttpRequest, payload: web::Payload) -> LocalFuture<'static, HttpResponse>;
}
