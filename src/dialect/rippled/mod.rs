//! The WebSocket API of the XRP Ledger's servers, as xrpl.js and xrpl-py speak it.

use super::{CloseCodes, Dialect, Input, Manners, Mount, MountContext, Opening, Output, Oversize};
use crate::broker::Renderings;
use crate::config::{Finding, settings};
use crate::event::Family;
use std::time::Duration;

settings! {
    /// The WebSocket API of the XRP Ledger's servers.
    pub struct Config {
    }
}

impl Config {
    /// Everything that is wrong with the settings.
    pub fn problems(&self) -> Vec<Finding> {
        Vec::new()
    }
}

/// What is the same for every session.
pub const MANNERS: Manners = Manners {
    name: "rippled",
    ping_after: Duration::from_secs(30),
    dead_after: Duration::from_secs(60),
    max_message: 64 << 10,
    oversize: Oversize::Discard { up_to: 4 << 20 },
    codes: CloseCodes { shutdown: 1001, too_slow: 1008, gap: 1012, dead: 1008, limit: 1008 },
    one_source: true,
    only: Some(Family::Xrpl),
    calls: true,
    http: false,
    finds_transactions: false,
    claims_path_alone: true,
};

/// The API at one path.
pub struct RippledMount;

impl RippledMount {
    /// A mount with these settings in these surroundings.
    pub fn new(_: Config, _: MountContext, _: &mut Renderings) -> RippledMount {
        RippledMount
    }
}

impl Mount for RippledMount {
    fn manners(&self) -> &'static Manners {
        &MANNERS
    }

    fn open(&self, opening: Opening<'_>) -> Option<Box<dyn Dialect>> {
        opening.below.is_empty().then(|| Box::new(Session) as Box<dyn Dialect>)
    }
}

struct Session;

impl Dialect for Session {
    fn handle(&mut self, _: Input<'_>, _: Duration, _: &mut Output) {}
}
