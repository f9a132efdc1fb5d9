//! Stand-in: only the settings.

use super::{CloseCodes, Dialect, Manners, Mount, Opening, Oversize};
use crate::broker::Renderings;
use crate::config::settings;
use crate::config::units::Time;
use std::time::Duration;

settings! {
    /// Obsrvr Flow.
    pub struct Config {
        /// Events kept for a client between its connection and its registration. Default 1000, as Flow's guide says.
        pub max_queue_size: u64 = 1000,
        /// How long a client may take to register before it is closed with 1008. Default 10s, as Flow does.
        pub registration_timeout: Time = Time::secs(10),
        /// Answer a later `register` with `registered`, which marks where the new filters begin. Default true:
        /// clients branch on `type` and lose nothing.
        pub confirm_updates: bool = true,
    }
}

/// Stand-in.
pub struct FlowMount;

impl FlowMount {
    /// Stand-in.
    pub fn new(_: Config, _: &mut Renderings) -> FlowMount {
        FlowMount
    }
}

static MANNERS: Manners = Manners {
    name: "flow",
    ping_after: Duration::from_secs(30),
    dead_after: Duration::from_secs(75),
    max_message: 524_288,
    oversize: Oversize::Close,
    codes: CloseCodes { shutdown: 1001, too_slow: 1008, gap: 1012, dead: 1001, limit: 1008 },
    one_source: false,
    claims_path_alone: true,
};

impl Mount for FlowMount {
    fn manners(&self) -> &'static Manners {
        &MANNERS
    }
    fn open(&self, _: Opening<'_>) -> Option<Box<dyn Dialect>> {
        None
    }
}
