//! Obsrvr Flow's event WebSocket: welcome, register, registered, events.
//!
//! In: `register` messages, as text or binary. Out: JSON objects, one to a text frame: `welcome`,
//! `registered`, `error`, and the events themselves.
//!
//! Who owns what: [`FlowMount`] holds what all sessions share (settings, welcome frame, the number
//! of the rendering); a `Session` holds a state and one time; `register` turns a message into
//! filters and filters into one clause; [`FlowRender`] writes events, knowing no session.
//!
//! What always holds:
//! * `welcome` is the first frame, `registered` comes before the first event, and the events after
//!   a `registered` are those of the filters in it;
//! * a message that is not understood changes nothing: no filter, no timer. It is answered with an
//!   `error`, at most one a second;
//! * of a message only what its filters need is kept, and how much that can be is bounded;
//! * every break in the row of ledgers is told (`gap`, `reset`, `reorg`), whatever the filters;
//! * where a mount has several sources, every event names its network;
//! * the `cursor` of an event says that its client has everything of its network up to it: with the last of each
//!   network a later session goes on after them, or is told what is gone.

#[cfg(test)]
mod on_evm;
#[cfg(test)]
mod on_planetmint;
#[cfg(test)]
mod on_stellar;
#[cfg(test)]
mod on_xrpl;
mod price;
mod register;
mod render;
mod session;

pub use render::{FlowRender, event_json};

use super::{CloseCodes, Entry, Manners, Mount, MountContext, Opening, Oversize, frame};
use crate::broker::{RenderingId, Renderings};
use crate::config::units::{Size, Time};
use crate::config::{Finding, settings};
use crate::event::{EventKind, KindSet};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a client's message, as in the original.
const MAX_MESSAGE: usize = 512 << 10;

settings! {
    /// Obsrvr Flow.
    pub struct Config {
        /// Events before the head, before filtering, that a client gets of what happened between its connection
        /// and its first `register`. Default 1000, as Flow's guide says.
        pub max_queue_size: u64 = 1000,
        /// How long a client may take to register before it is closed with 1008. Default 10s, as Flow does.
        pub registration_timeout: Time = Time::secs(10),
        /// Answer a later `register` with `registered`, which marks where the new filters begin. Default true:
        /// clients branch on `type` and lose nothing. With false there is no answer, as in the original.
        pub confirm_updates: bool = true,
        /// Give every event a `cursor`, with which a client that comes back goes on after it. Default true. With false
        /// events are some 60 bytes shorter, and only numbers of ledgers are left to go on by.
        pub cursors: bool = true,
        /// The largest message of a client; a larger one closes it with 1009. Default 512KiB, as Flow does.
        pub max_message: Size = Size(MAX_MESSAGE as u64),
    }
}

impl Config {
    /// Everything that is wrong with the settings.
    pub fn problems(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.registration_timeout.0.is_zero() {
            let message = "is 0, so that every client would be closed at once; write 10s";
            found.push((vec!["registration_timeout".into()], message.to_owned()));
        }
        if self.max_message.0 == 0 {
            found.push((vec!["max_message".into()], "is 0, so that nobody could register; write 512KiB".to_owned()));
        }
        found
    }
}

/// What is the same for every Flow session.
pub const MANNERS: Manners = Manners {
    name: "flow",
    ping_after: Duration::from_secs(30),
    dead_after: Duration::from_secs(75),
    max_message: MAX_MESSAGE,
    oversize: Oversize::Close,
    codes: CloseCodes { shutdown: 1001, too_slow: 1008, gap: 1012, dead: 1008, limit: 1008 },
    one_source: false,
    only: None,
    calls: false,
    http: false,
    finds_transactions: false,
    follows: false,
    claims_path_alone: true,
};

/// The kinds that Flow writes; what an empty `types` means.
const PUBLIC_KINDS: KindSet = KindSet::of(&[
    EventKind::Ledger,
    EventKind::Transaction,
    EventKind::ContractEvent,
    EventKind::SystemEvent,
    EventKind::Payment,
    EventKind::Trade,
]);

/// The first frame of every connection, to the letter.
const WELCOME: &str = concat!(
    r#"{"type":"welcome","message":"Please send registration message to begin receiving events","#,
    r#""format":{"type":"register","filters":{"types":[],"account_ids":[],"asset_codes":[],"min_amount":""}}}"#,
);

/// What the sessions of a mount share.
struct Shared {
    config: Config,
    /// Values that the lists of one `register` may have together.
    values_per_session: usize,
    /// Clients may say how fast and until where they are fed.
    replay: bool,
    rendering: RenderingId,
    welcome: Bytes,
}

/// Flow at one path.
pub struct FlowMount {
    shared: Arc<Shared>,
}

impl FlowMount {
    /// A mount with these settings in these surroundings.
    pub fn new(config: Config, context: MountContext, renderings: &mut Renderings) -> FlowMount {
        let MountContext { values_per_session, sources, replay, .. } = context;
        // With one source every event is of its network; with several, clients must be able to tell.
        let rendering = renderings.register(FlowRender { names_network: sources > 1, cursors: config.cursors });
        FlowMount {
            shared: Arc::new(Shared { config, values_per_session, replay, rendering, welcome: frame::text(WELCOME) }),
        }
    }
}

impl Mount for FlowMount {
    fn manners(&self) -> &'static Manners {
        &MANNERS
    }

    fn max_message(&self) -> usize {
        self.shared.config.max_message.bytes()
    }

    fn open(&self, opening: Opening<'_>) -> Option<Entry> {
        opening.below.is_empty().then(|| session::Session::new(self.shared.clone()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_at_the_path_itself() {
        let mount = FlowMount::new(Config::default(), MountContext::default(), &mut Renderings::default());
        assert!(mount.open(Opening::at("", "a=b")).is_some());
        for below in ["/", "/x"] {
            assert!(mount.open(Opening::at(below, "")).is_none(), "{below}");
        }
    }

    #[test]
    fn settings_have_defaults_and_no_unknown_keys() {
        let read = |text| serde_json::from_str::<Config>(text);
        assert_eq!(read("{}").unwrap(), Config::default());
        let set =
            read(r#"{"max_queue_size":5,"registration_timeout":"3s","confirm_updates":false,"max_message":"1KiB","cursors":false}"#)
                .unwrap();
        let registration_timeout = Time::secs(3);
        let max_message = Size::kib(1);
        let expected =
            Config { max_queue_size: 5, registration_timeout, confirm_updates: false, cursors: false, max_message };
        assert_eq!(set, expected);
        assert!(read(r#"{"queue_size":5}"#).is_err());
    }

    #[test]
    fn mounts_share_a_rendering_that_gives_the_same_bytes() {
        let mut renderings = Renderings::default();
        let mut rendering = |size, sources, cursors| {
            let config = Config { max_queue_size: size, cursors, ..Config::default() };
            let context = MountContext { values_per_session: size as usize, sources, ..MountContext::default() };
            FlowMount::new(config, context, &mut renderings).shared.rendering
        };
        let one_source = rendering(1, 1, true);
        assert_eq!(rendering(2, 1, true), one_source);
        let several = rendering(1, 2, true);
        assert_eq!(rendering(2, 5, true), several);
        assert_ne!(one_source, several);
        assert_ne!(rendering(1, 1, false), one_source);
        assert_eq!(renderings.len(), 3);
    }
}
