//! The WebSocket of the MaticVigil and EthVigil gateways: registration by a key, heartbeats, and what happens on
//! the key's contracts.
//!
//! In: `register`, `heartbeat` and `unregister`, one JSON object to a text message. Out: their answers, and
//! `contractmon`, `otm` and `event` messages.
//!
//! Who owns what: [`MaticVigilMount`] holds what all sessions share; `Keys` knows who may see what, and reads the
//! files that hold keys; a `Session` holds its id and a state; [`MaticVigilRender`] writes events, knowing no session.
//!
//! What always holds:
//! * `register:ack` is the first frame, and no event overtakes it: it is the answer to the one change of subscription
//!   that a session ever asks for;
//! * every later answer overtakes waiting data: clients read one frame after a question and take it for the answer;
//! * keys are compared by their SHA-256 in constant time and never printed;
//! * there are no words for a break in the row of blocks: sessions are closed with 1000, the only code on which
//!   browser clients come back.

mod config;
#[cfg(test)]
mod golden;
mod keys;
mod render;
mod session;

pub use config::{BigIntegers, Config, Key, KeyEntry};
pub use render::MaticVigilRender;

use super::{CloseCodes, Entry, Manners, Mount, MountContext, Opening, Oversize};
use crate::broker::{RenderingId, Renderings};
use crate::event::Family;
use crate::server::FileError;
use keys::Keys;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a client's message: a hundred times the longest that means something.
const MAX_MESSAGE: usize = 64 << 10;
/// How long a client may take to register.
const REGISTER_WITHIN: Duration = Duration::from_secs(10);

/// What is the same for every session. Browser clients come back on 1000 alone, so that is what a client gets that
/// shall come back.
pub const MANNERS: Manners = Manners {
    name: "maticvigil",
    ping_after: Duration::from_secs(20),
    dead_after: Duration::from_secs(90),
    max_message: MAX_MESSAGE,
    oversize: Oversize::Close,
    codes: CloseCodes { shutdown: 1000, too_slow: 1013, gap: 1000, dead: 1008, limit: 1008 },
    one_source: true,
    only: Some(Family::Evm),
    calls: false,
    http: false,
    finds_transactions: false,
    follows: false,
    claims_path_alone: true,
};

/// What the sessions of a mount share.
struct Shared {
    max_message: usize,
    keys: Keys,
    rendering: RenderingId,
}

/// The gateway at one path.
pub struct MaticVigilMount {
    shared: Arc<Shared>,
}

impl MaticVigilMount {
    /// A mount with these settings in these surroundings. Keys that stand in files are unknown until
    /// [`Mount::read_files`].
    pub fn new(config: Config, context: MountContext, renderings: &mut Renderings) -> MaticVigilMount {
        let rendering = renderings.register(MaticVigilRender::new(config.big_integers));
        let keys = Keys::new(&config.keys, &context);
        MaticVigilMount { shared: Arc::new(Shared { max_message: config.max_message.bytes(), keys, rendering }) }
    }
}

impl Mount for MaticVigilMount {
    fn manners(&self) -> &'static Manners {
        &MANNERS
    }

    fn max_message(&self) -> usize {
        self.shared.max_message
    }

    fn open(&self, opening: Opening<'_>) -> Option<Entry> {
        let id = session::Id(rand::random());
        opening.below.is_empty().then(|| session::Session::new(self.shared.clone(), id).into())
    }

    fn read_files(&self) -> Result<(), FileError> {
        self.shared.keys.read_files()
    }
}
